//! Records and their lists seen as of one batch, whatever moment somebody looks at.

use restway_model::RunId;
use restway_tables::{AsOf, LoadMode, Moment, StagedBatch, Turn};

use crate::support::{Fixture, landing, name};

const BOTH: &str = "select i.id, l.value from acme.items i left join acme.items__l l \
                    on l._parent_id = i._row_id order by i.id, l.value";
const LISTS: &str = "select value from acme.items__l order by value";

fn entry(fixture: &Fixture, table: &str, version: u64) -> std::path::PathBuf {
    fixture.root().join(format!("acme/{table}/_delta_log/{version:020}.json"))
}

/// A batch that has reached the tables of the lists, and not that of the records.
async fn half(fixture: &Fixture, sequence: u64, mode: LoadMode, lines: &str) -> StagedBatch {
    let batch = fixture.land(sequence, mode, lines).await;
    fs_err::remove_file(entry(fixture, "items", sequence)).expect("its newest version");
    batch
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_beside_a_commit_sees_records_and_lists_of_one_batch() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Merge, "{\"id\": 1, \"l\": [1, 2]}").await;
    let (both, lists) = (fixture.rows(BOTH).await, fixture.rows(LISTS).await);
    let line = "{\"id\": 1, \"l\": [{\"m\": [7]}]}\n{\"id\": 2, \"l\": [3], \"k\": [4]}";
    let batch = half(&fixture, 2, LoadMode::Merge, &line.replace("{\"m\": [7]}", "9")).await;
    assert_eq!(fixture.rows(BOTH).await, both);
    assert_eq!(fixture.rows(LISTS).await, lists, "also where only the lists are asked for");
    let made = "select count(*) as n from acme.items__k";
    assert_eq!(fixture.rows(made).await, ["{\"n\":0}"], "a list of the batch on its way");
    fixture.lake.compact(&name("acme.items__l")).await.expect("compacted");
    assert_eq!(fixture.rows(BOTH).await, both, "whatever else happened to the lists");
    let now = AsOf {
        all: Some(Moment::Instant(chrono::DateTime::<chrono::Utc>::MAX_UTC)),
        ..AsOf::default()
    };
    let answer = fixture.lake.query_with(BOTH, &[], &now, Vec::new()).await.expect("an answer");
    assert_eq!(answer.json_rows(9).await.expect("rows"), both);
    let newest = fixture.lake.table(&name("acme.items__l")).await.expect("a table");
    let by_number = AsOf {
        tables: [(name("acme.items__l"), Moment::Version(newest.summary.version))].into(),
        ..AsOf::default()
    };
    let answer = fixture.lake.query_with(LISTS, &[], &by_number, Vec::new()).await;
    let rows = answer.expect("an answer").json_rows(9).await.expect("rows");
    assert_eq!(rows, ["{\"value\":3}", "{\"value\":9}"], "a version is what it is");
    fixture.lake.commit(&batch).await.expect("committed");
    assert_eq!(fixture.rows(LISTS).await, ["{\"value\":3}", "{\"value\":9}"]);
    assert_eq!(fixture.rows(BOTH).await.len(), 2);
    assert_eq!(fixture.rows(made).await, ["{\"n\":1}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_lists_are_of_their_records_batch() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"id\": 1, \"l\": [{\"m\": [1]}]}").await;
    half(&fixture, 2, LoadMode::Append, "{\"id\": 2, \"l\": [{\"m\": [2]}]}").await;
    let lists = "select value from acme.items__l__m";
    assert_eq!(fixture.rows(lists).await, ["{\"value\":1}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_restored_by_their_batch_and_not_by_a_clock() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"id\": 1, \"l\": [1]}").await;
    let first = fixture.rows(BOTH).await;
    fixture.land(2, LoadMode::Append, "{\"id\": 2, \"l\": [2]}").await;
    // The clock was far ahead when the lists of the first batch were committed, and behind later.
    for (version, time) in [(1, "9999999999999"), (2, "1")] {
        let file = entry(&fixture, "items__l", version);
        let text = fs_err::read_to_string(&file).expect("an entry");
        let (before, rest) = text.split_once("\"timestamp\":").expect("a time");
        let after = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        fs_err::write(&file, format!("{before}\"timestamp\":{time}{after}")).expect("written");
    }
    let turn = Turn { stream: "acme.items".into(), sequence: 3, run: RunId("run-2".into()) };
    let lake = fixture.reopened();
    let restored = lake.restore(&name("acme.items"), Moment::Version(1), turn).await;
    lake.revise(&restored.expect("planned").0).await.expect("restored");
    assert_eq!(fixture.rows(BOTH).await, first);
    assert_eq!(fixture.tables().await, ["acme.items 1", "acme.items__l 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_ends_no_row_before_it_began() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::History, "{\"id\": 1, \"v\": 1}").await;
    let mut earlier = landing(2, LoadMode::History);
    earlier.fetched_at -= chrono::Duration::hours(1);
    let batch = fixture.stage(earlier, "{\"id\": 1, \"v\": 2}").await.expect("staged");
    fixture.lake.commit(&batch).await.expect("committed");
    let sql = "select v, _valid_to >= _valid_from as fits from acme.items order by v";
    assert_eq!(fixture.rows(sql).await, ["{\"v\":1,\"fits\":true}", "{\"v\":2,\"fits\":null}"]);
}
