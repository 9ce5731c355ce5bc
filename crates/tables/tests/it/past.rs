//! Tables as they were, what a damaged table does to the others, and what columns hold.

use chrono::{DateTime, Utc};
use restway_model::{Code, Explain, Limits};
use restway_tables::{AsOf, LoadMode, Moment, TableVersion};

use crate::support::{Fixture, name};

const COUNT: &str = "select count(*) as n, max(id) as top from acme.items";

async fn asked(fixture: &Fixture, sql: &str, as_of: &AsOf) -> Result<Vec<String>, Code> {
    let answer =
        fixture.lake.query_with(sql, &[], as_of, Vec::new()).await.map_err(|error| error.code())?;
    answer.json_rows(100).await.map_err(|error| error.code())
}

fn all(moment: Moment) -> AsOf {
    AsOf { all: Some(moment), ..AsOf::default() }
}

async fn history(fixture: &Fixture) -> Vec<TableVersion> {
    fixture.lake.history(&name("acme.items"), 100).await.expect("a history")
}

fn time(version: &TableVersion) -> DateTime<Utc> {
    version.committed_at.expect("a time")
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_read_as_they_were_at_a_version_or_an_instant() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"id\": 1}").await;
    fixture.land(2, LoadMode::Append, "{\"id\": 2, \"l\": [1]}").await;
    fixture.land(3, LoadMode::Replace, "{\"id\": 1.5}").await;
    let seen =
        [(1, "{\"n\":1,\"top\":1}"), (2, "{\"n\":2,\"top\":2}"), (3, "{\"n\":1,\"top\":1.5}")];
    let history = history(&fixture).await;
    let numbers: Vec<(u64, Option<u64>)> = history.iter().map(|v| (v.version, v.rows)).collect();
    assert_eq!(numbers, [(3, Some(1)), (2, Some(2)), (1, Some(1)), (0, Some(0))]);
    assert_eq!(history[1].run.as_ref().map(|run| run.0.as_str()), Some("run-1"));
    for (version, row) in seen {
        let expected = Ok(vec![row.to_owned()]);
        assert_eq!(asked(&fixture, COUNT, &all(Moment::Version(version))).await, expected);
        let at = history.iter().find(|one| one.version == version).map(time).expect("a version");
        assert_eq!(asked(&fixture, COUNT, &all(Moment::Instant(at))).await, expected);
    }
    let one = AsOf { tables: [(name("acme.items"), Moment::Version(2))].into(), ..AsOf::default() };
    let both = "select count(*) as n from acme.items, acme.items__l";
    assert_eq!(asked(&fixture, both, &one).await, Ok(vec!["{\"n\":0}".into()]));
    let before = Moment::Instant(time(&history[3]) - chrono::Duration::seconds(1));
    for (sql, as_of, code) in [
        (COUNT, all(Moment::Version(4)), Code::VersionMissing),
        (COUNT, all(before), Code::VersionMissing),
        (both, all(Moment::Version(1)), Code::ArgumentInvalid),
        ("select 1 as a", one, Code::QueryInvalid),
    ] {
        assert_eq!(asked(&fixture, sql, &as_of).await, Err(code), "{sql} {as_of:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_whose_files_were_removed_is_said_to_be_gone() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"id\": 1}").await;
    fixture.land(2, LoadMode::Replace, "{\"id\": 2}").await;
    fixture.lake.vacuum(&name("acme.items"), std::time::Duration::ZERO).await.expect("vacuumed");
    let gone = asked(&fixture, COUNT, &all(Moment::Version(1))).await;
    assert_eq!(gone, Err(Code::VersionMissing));
    assert_eq!(fixture.rows(COUNT).await, ["{\"n\":1,\"top\":2}"]);
}

#[test]
fn moments_are_versions_instants_and_days() {
    let instant = |text: &str| Moment::Instant(text.parse().expect("an instant"));
    for (text, moment) in [
        ("12", Moment::Version(12)),
        ("2026-01-31T12:00:00Z", instant("2026-01-31T12:00:00Z")),
        ("2026-01-31T12:00:00+02:00", instant("2026-01-31T10:00:00Z")),
        ("2026-01-31", instant("2026-01-31T00:00:00Z")),
    ] {
        assert_eq!(text.parse(), Ok(moment), "{text}");
    }
    for text in ["", "-1", "yesterday", "2026-02-31", "12:00"] {
        assert!(text.parse::<Moment>().is_err(), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_table_stops_only_those_who_ask_for_it() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"id\": 1}").await;
    let log = fixture.root().join("acme/broken/_delta_log");
    fs_err::create_dir_all(&log).expect("a folder");
    fs_err::write(log.join("00000000000000000000.json"), "{\"not\": \"a log\"}").expect("a file");
    assert_eq!(fixture.tables().await, ["acme.broken table.damaged", "acme.items 1"]);
    assert_eq!(fixture.rows(COUNT).await.len(), 1);
    let listed = fixture.rows("show tables").await.join("\n");
    assert!(listed.contains("broken") && listed.contains("items"), "{listed}");
    let warned = format!("{:?}", fixture.seen.0.lock().expect("events"));
    assert!(warned.contains("Warned") && warned.contains("acme.broken"), "{warned}");
    let as_of = AsOf::default();
    let asked = asked(&fixture, "select * from acme.broken", &as_of).await;
    assert_eq!(asked, Err(Code::TableDamaged));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_is_named() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"id\": 1}").await;
    let is_data = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "parquet");
    let file = fixture.files().into_iter().find(is_data).expect("a data file");
    fs_err::remove_file(file).expect("removed");
    let error = fixture.lake.query(COUNT, &[]).await.err().expect("refused");
    assert_eq!(error.code(), Code::TableDamaged);
    assert!(format!("{error:?}").contains("part-"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_count_what_columns_hold() {
    let fixture = Fixture::new();
    let lines: String = (0..1000)
        .map(|n| {
            let word = ["red", "blue", "red", "green"][n % 4];
            let money =
                if n % 10 == 0 { "null".to_owned() } else { format!("{n}.12345678901234567") };
            format!("{{\"id\": {n}, \"word\": \"{word}\", \"money\": {money}, \"none\": null}}\n")
        })
        .collect();
    fixture.land(1, LoadMode::Append, &lines).await;
    let profile = fixture.lake.profile(&name("acme.items")).await.expect("a profile");
    assert_eq!(profile.rows, 1000);
    let column =
        |name: &str| profile.columns.iter().find(|column| column.name == name).expect("a column");
    let id = column("id");
    assert_eq!((id.nulls, id.distinct, id.is_distinct_exact), (0, 1000, true));
    assert_eq!((id.min.as_deref(), id.max.as_deref()), (Some("0"), Some("999")));
    assert!(id.frequent.is_empty(), "values that come once are not frequent");
    let word = column("word");
    let frequent: Vec<(&str, u64)> =
        word.frequent.iter().map(|value| (value.value.as_str(), value.rows)).collect();
    assert_eq!(frequent, [("red", 500), ("blue", 250), ("green", 250)]);
    let money = column("money");
    assert_eq!((money.nulls, money.max.as_deref()), (100, Some("999.12345678901234567")));
    let none = column("none");
    assert_eq!((none.nulls, none.distinct, none.min.as_deref()), (1000, 0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_over_its_memory_fails_by_a_code_of_its_own_and_others_go_on() {
    let limits = Limits { query_memory_bytes_max: 1 << 20, ..Limits::default() };
    let fixture = Fixture::with(limits);
    fixture.land(1, LoadMode::Append, "{\"id\": 1}").await;
    let many = "select array_agg(a.value || repeat('x', 200)) as all from \
                generate_series(1, 200000) as a";
    let failed = match fixture.lake.query(many, &[]).await {
        Err(error) => error,
        Ok(answer) => answer.json_rows(1).await.expect_err("too much"),
    };
    assert_eq!(failed.code(), Code::QueryMemory, "{failed:?}");
    assert!(failed.hints().iter().any(|hint| hint.contains("--memory")));
    let sorted = "select a.value as v from generate_series(1, 500000) as a order by v desc limit 1";
    assert_eq!(fixture.rows(sorted).await, ["{\"v\":500000}"]);
    assert_eq!(fixture.rows(COUNT).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_do_not_exist_get_a_hint() {
    let fixture = Fixture::new();
    for (sql, hint) in [
        ("select lenght('a')", "did you mean `length`?"),
        ("select aprox_distinct(1)", "did you mean `approx_distinct`?"),
    ] {
        let error = fixture.lake.query(sql, &[]).await.err().expect("refused");
        assert_eq!((error.code(), error.hints()), (Code::QueryInvalid, vec![hint.to_owned()]));
    }
}
