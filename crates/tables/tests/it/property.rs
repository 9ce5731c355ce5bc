//! Any records, landed in any batches, come back as they were.
//!
//! Both sides are brought to one form in which only what landing promises to keep is left: numbers
//! by their exact value, instants by their moment, and no difference between null, `{}`, `[]` and
//! a key that is not there.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveTime};
use jiter::{Jiter, Peek};
use proptest::collection::vec;
use proptest::prelude::*;
use restway_model::definition::Deletes;
use restway_model::{ColumnType, Limits};
use restway_tables::{Landing, LoadMode, StagedBatch};

use crate::support::{Fixture, landing};

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Nothing,
    Scalar(String),
    List(Vec<Form>),
    Object(BTreeMap<String, Form>),
}

impl Form {
    fn read(json: &str) -> Form {
        let mut jiter = Jiter::new(json.as_bytes());
        let peek = jiter.peek().expect("JSON");
        Self::value(&mut jiter, peek)
    }

    fn value(jiter: &mut Jiter<'_>, peek: Peek) -> Form {
        match peek {
            Peek::Object => {
                let mut members = BTreeMap::new();
                let mut key = jiter.known_object().expect("an object").map(str::to_owned);
                while let Some(name) = key {
                    let peek = jiter.peek().expect("a value");
                    members.insert(name, Self::value(jiter, peek));
                    key = jiter.next_key().expect("a key").map(str::to_owned);
                }
                Form::object(members)
            }
            Peek::Array => {
                let mut items = Vec::new();
                let mut next = jiter.known_array().expect("a list");
                while let Some(peek) = next {
                    items.push(Self::value(jiter, peek));
                    next = jiter.array_step().expect("a list");
                }
                Form::list(items)
            }
            Peek::String => Form::text(jiter.known_str().expect("a string")),
            Peek::Null => {
                jiter.known_null().expect("null");
                Form::Nothing
            }
            Peek::True | Peek::False => {
                Form::Scalar(jiter.known_bool(peek).expect("a bool").to_string())
            }
            peek => {
                let bytes = jiter.known_number_bytes(peek).expect("a number");
                Form::text(std::str::from_utf8(bytes).expect("UTF-8"))
            }
        }
    }

    fn object(mut members: BTreeMap<String, Form>) -> Form {
        members.retain(|_, value| *value != Form::Nothing);
        if members.is_empty() { Form::Nothing } else { Form::Object(members) }
    }

    fn list(items: Vec<Form>) -> Form {
        if items.is_empty() { Form::Nothing } else { Form::List(items) }
    }

    fn text(text: &str) -> Form {
        if let Some(number) = number(text) {
            return Form::Scalar(number);
        }
        let instant = DateTime::parse_from_rfc3339(text).map(|instant| instant.timestamp_micros());
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10);
        let day = day.map(|day| day.and_time(NaiveTime::MIN).and_utc().timestamp_micros());
        match instant.ok().or(day) {
            Some(micros) => Form::Scalar(format!("at {micros}")),
            None => Form::Scalar(text.to_owned()),
        }
    }
}

/// `±digits e exponent` without zeros at either end, when a text is a number.
fn number(text: &str) -> Option<String> {
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let power: i64 = power.parse().ok()?;
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = digits.trim_start_matches('0').trim_end_matches('0');
    if kept.is_empty() {
        return Some("0".into());
    }
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    Some(format!("{sign}{kept} e {}", power - fraction.len() as i64 + zeros as i64))
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        (-3i64..100).prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        "-?[1-9][0-9]{15,45}",
        "-?(0|[1-9][0-9]{0,4})\\.[0-9]{1,4}",
        "-?(0|[1-9])\\.[0-9]{12,40}",
        "-?[1-9](\\.[0-9]{1,3})?[eE][+-]?[0-9]{1,3}",
        "\"[a-zé\u{1F600}]{0,6}\"",
        "\"[x-z]{1,3}(\\\\n|\\\\\"|\\\\u00e9|\\\\\\\\)[a-c]{0,2}\"",
        "\"20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-8])\"",
        "\"20[0-9]{2}-0[1-9]-1[0-9]T[01][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]0[0-9]:30)\"",
    ]
}

fn value() -> impl Strategy<Value = String> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            object(inner),
        ]
    })
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("a"),
        Just("b"),
        Just("Cc"),
        Just("d e"),
        Just("a__b"),
        Just("_row_id"),
        Just("it's")
    ];
    vec((key, value), 0..5).prop_map(|members| {
        let members: Vec<String> =
            members.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

/// Mostly objects, as records are.
fn record() -> impl Strategy<Value = String> {
    prop_oneof![4 => object(value()).boxed(), 1 => value().boxed()]
}

/// A table as it was read back: rows by id.
struct Read {
    name: String,
    list: Option<(String, String)>,
    /// Name, path and whether it is JSON.
    columns: Vec<(String, String, bool)>,
    rows: Vec<(i64, i64, i64, Vec<Option<String>>)>,
}

async fn read(fixture: &Fixture) -> Vec<Read> {
    let mut tables = Vec::new();
    for (_, summary) in fixture.lake.tables().await.expect("tables") {
        let summary = summary.expect("a whole table");
        let detail = fixture.lake.table(&summary.name).await.expect("a table");
        let columns: Vec<(String, String, bool)> = detail
            .columns
            .iter()
            .filter_map(|c| Some((c.name.clone(), c.path.clone()?, c.kind == ColumnType::Json)))
            .collect();
        let is_child = summary.list.is_some();
        let links = if is_child { "_row_id, _parent_id, _idx" } else { "_row_id, _row_id, _idx" };
        let links = if is_child { links } else { "_row_id, 0 as p, 0 as i" };
        let names: String = columns.iter().map(|(name, ..)| format!(", \"{name}\"")).collect();
        let sql = format!("select {links}{names} from {} order by _row_id", summary.name);
        let answer = fixture.lake.query(&sql, &[]).await.expect("an answer");
        let (cells, _) = answer.cells(usize::MAX).await.expect("cells");
        let id = |cell: &Option<String>| cell.as_deref().expect("an id").parse().expect("an id");
        let rows = cells
            .into_iter()
            .map(|cells| (id(&cells[0]), id(&cells[1]), id(&cells[2]), cells[3..].to_vec()));
        let rows = rows.collect::<Vec<_>>();
        assert_eq!(Some(rows.len() as u64), summary.rows, "the log counts the rows");
        let list = summary.list.map(|list| (list.table.to_string(), list.path));
        tables.push(Read { name: summary.name.to_string(), list, columns, rows });
    }
    tables
}

/// Puts a value at a path: `$.a['b c']`, with quotes as the path language escapes them.
fn put(target: &mut Form, path: &str, value: Form) {
    let mut keys: Vec<String> = Vec::new();
    let mut rest = path.strip_prefix('$').expect("a path");
    while !rest.is_empty() {
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            keys.push(name[..end].to_owned());
            rest = &name[end..];
        } else {
            let end = rest.find("']").expect("an end");
            keys.push(rest[2..end].replace("\\'", "'"));
            rest = &rest[end + 2..];
        }
    }
    let mut place = target;
    for key in keys {
        if *place == Form::Nothing {
            *place = Form::Object(BTreeMap::new());
        }
        let Form::Object(members) = place else { panic!("{path} has two values") };
        place = members.entry(key).or_insert(Form::Nothing);
    }
    assert_eq!(*place, Form::Nothing, "{path} has two values");
    *place = value;
}

fn rebuild(tables: &[Read], table: &Read, row: usize) -> Form {
    let (id, _, _, cells) = &table.rows[row];
    let mut form = Form::Nothing;
    for ((_, path, is_json), cell) in table.columns.iter().zip(cells) {
        if let Some(text) = cell {
            let value = if *is_json { Form::read(text) } else { Form::text(text) };
            if value != Form::Nothing {
                put(&mut form, path, value);
            }
        }
    }
    for child in tables {
        let Some((_, path)) = child.list.as_ref().filter(|(parent, _)| *parent == table.name)
        else {
            continue;
        };
        let mut items: Vec<(i64, Form)> = Vec::new();
        for (index, (_, parent, place, _)) in child.rows.iter().enumerate() {
            if parent == id {
                items.push((*place, rebuild(tables, child, index)));
            }
        }
        items.sort_by_key(|(place, _)| *place);
        if !items.is_empty() {
            put(&mut form, path, Form::List(items.into_iter().map(|(_, item)| item).collect()));
        }
    }
    form
}

/// An object with a key of few, so that records meet.
fn keyed() -> impl Strategy<Value = String> {
    let id = prop_oneof![
        6 => (1i64..6).prop_map(|id| id.to_string()),
        1 => Just("12345678901234567890".to_owned()),
        1 => Just("\"x\"".to_owned()),
        1 => Just("\"2\"".to_owned()),
    ];
    (id, object(value())).prop_map(|(id, rest)| {
        let comma = if rest == "{}" { "" } else { "," };
        format!("{{\"id\":{id}{comma}{}", &rest[1..])
    })
}

/// Commits a batch as a process does that stops after some of its tables, and then another.
async fn commit_in_two(fixture: &Fixture, batch: &StagedBatch, cut: usize) {
    let mut part = serde_json::to_value(batch).expect("a value");
    let tables = part["tables"].as_array_mut().expect("tables");
    tables.drain(..cut.min(tables.len()));
    let part: StagedBatch = serde_json::from_value(part).expect("a batch");
    fixture.reopened().commit(&part).await.expect("committed");
    fixture.lake.commit(batch).await.expect("committed");
    let again = fixture.reopened().commit(batch).await.expect("committed");
    assert!(again.iter().all(|table| !table.is_new));
}

/// The records that hold, as a map would have them, and as the tables have them.
async fn merged(
    batches: &[Vec<String>],
    mode: LoadMode,
    keys_max: usize,
    cut: usize,
) -> (Vec<String>, Vec<String>) {
    let limits = Limits { row_group_rows_max: 2, merge_keys_max: keys_max, ..Limits::default() };
    let fixture = Fixture::with(limits);
    let mut model: BTreeMap<String, Form> = BTreeMap::new();
    for (index, batch) in batches.iter().enumerate() {
        let when = "a = true".parse().expect("a condition");
        let deletes = Deletes { when: Some(when), ..Deletes::default() };
        let settings = Landing { deletes, ..landing(index as u64 + 1, mode) };
        let staged = fixture.stage(settings, &batch.join("\n")).await.expect("staged");
        commit_in_two(&fixture, &staged, cut).await;
        for record in batch {
            let Form::Object(members) = Form::read(record) else { panic!("an object") };
            let key = format!("{:?}", members["id"]);
            if members.get("a") == Some(&Form::Scalar("true".into())) {
                model.remove(&key);
            } else {
                model.insert(key, Form::Object(members));
            }
        }
    }
    let tables = read(&fixture).await;
    let root = tables.iter().find(|table| table.name == "acme.items").expect("the table");
    let holds = if mode == LoadMode::History { " where _is_current" } else { "" };
    let current = fixture.rows(&format!("select _row_id from acme.items{holds}")).await;
    let holds = |id: i64| current.contains(&format!("{{\"_row_id\":{id}}}"));
    let rows = (0..root.rows.len()).filter(|row| holds(root.rows[*row].0));
    let mut found: Vec<String> =
        rows.map(|row| format!("{:?}", rebuild(&tables, root, row))).collect();
    let mut expected: Vec<String> = model.values().map(|form| format!("{form:?}")).collect();
    found.sort_unstable();
    expected.sort_unstable();
    for list in tables.iter().filter(|table| table.list.as_ref().is_some()) {
        let sql = format!(
            "select count(*) as n from {} where _root_id not in (select _row_id from acme.items)",
            list.name
        );
        assert_eq!(fixture.rows(&sql).await, ["{\"n\":0}"], "{} has orphans", list.name);
    }
    (expected, found)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn merging_is_what_a_map_does(
        batches in vec(vec(keyed(), 0..8), 1..5),
        is_history in any::<bool>(),
        keys_max in 1usize..5,
        cut in 0usize..4,
    ) {
        let mode = if is_history { LoadMode::History } else { LoadMode::Merge };
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (expected, found) = runtime.block_on(merged(&batches, mode, keys_max, cut));
        prop_assert_eq!(expected, found);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn records_come_back_as_they_were(
        batches in vec(vec(record(), 0..6), 1..4),
        rows_max in 1usize..4,
        map_keys_max in prop_oneof![1usize..6, Just(256)],
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (expected, found) = runtime.block_on(async {
            let limits =
                Limits { row_group_rows_max: rows_max, map_keys_max, ..Limits::default() };
            let fixture = Fixture::with(limits);
            for (index, batch) in batches.iter().enumerate() {
                fixture.land(index as u64 + 1, LoadMode::Append, &batch.join("\n")).await;
            }
            let tables = read(&fixture).await;
            let root = tables.iter().find(|table| table.name == "acme.items").expect("the table");
            let found = (0..root.rows.len()).map(|row| rebuild(&tables, root, row));
            let expected = batches.iter().flatten().map(|text| Form::read(text));
            (expected.collect::<Vec<Form>>(), found.collect::<Vec<Form>>())
        });
        prop_assert_eq!(expected, found);
    }
}
