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
use restway_model::{ColumnType, Limits};
use restway_tables::LoadMode;

use crate::support::Fixture;

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
    for summary in fixture.lake.tables().await.expect("tables") {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn records_come_back_as_they_were(
        batches in vec(vec(record(), 0..6), 1..4),
        rows_max in 1usize..4,
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (expected, found) = runtime.block_on(async {
            let limits = Limits { row_group_rows_max: rows_max, ..Limits::default() };
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
