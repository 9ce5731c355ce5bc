//! Tables kept: compacted, restored and dropped, whole and once, however often it is tried.

use restway_model::{Code, Explain, RunId};
use restway_tables::{AsOf, Lake, LoadMode, Moment, TableError, Turn};

use crate::support::{Fixture, landing, name};

fn turn(sequence: u64) -> Turn {
    Turn { stream: "acme.items".into(), sequence, run: RunId("run-2".into()) }
}

fn data_files(fixture: &Fixture) -> usize {
    let files = fixture.files();
    files.iter().filter(|file| file.extension().is_some_and(|end| end == "parquet")).count()
}

const ALL: &str = "select * from acme.items order by _row_id";

#[tokio::test(flavor = "multi_thread")]
async fn compacting_keeps_every_row_and_landing_goes_on() {
    let fixture = Fixture::new();
    for sequence in 1..=6 {
        let line = format!(
            "{{\"id\": {sequence}, \"c{sequence}\": \"x\", \"none\": null, \"m\": {sequence}.5}}"
        );
        fixture.land(sequence, LoadMode::Append, &line).await;
    }
    let before = fixture.rows(ALL).await;
    let done = fixture.lake.compact(&name("acme.items")).await.expect("compacted");
    assert_eq!((done.files_before, done.files), (6, 1));
    assert_eq!(fixture.rows(ALL).await, before);
    let again = fixture.lake.compact(&name("acme.items")).await.expect("compacted");
    assert_eq!((again.version, again.files), (done.version, 1), "nothing is left to do");
    let as_of = AsOf { all: Some(Moment::Version(done.version - 1)), ..AsOf::default() };
    let old = fixture.lake.query_with(ALL, &[], &as_of, Vec::new()).await.expect("an answer");
    assert_eq!(old.json_rows(100).await.expect("rows"), before);

    // A column of nulls only is still in no file, so its first type rewrites nothing.
    fixture.land(7, LoadMode::Append, "{\"id\": 7, \"none\": 1.5}").await;
    assert_eq!(
        fixture.rows("select none from acme.items where id >= 6 order by id").await,
        ["{\"none\":null}", "{\"none\":1.5}"]
    );
    // A type that widens rewrites the compacted file.
    fixture.land(8, LoadMode::Append, "{\"id\": \"a\"}").await;
    assert_eq!(fixture.rows("select count(id) as n from acme.items").await, ["{\"n\":8}"]);
    assert_eq!(fixture.rows("select min(id) as id from acme.items").await, ["{\"id\":\"1\"}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_compaction_that_died_are_vacuumed() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"id\": 1}").await;
    let orphan = fixture.root().join("acme/items/compact-00000000000000000001-x.parquet");
    fs_err::write(&orphan, "half a file").expect("written");
    assert_eq!(fixture.rows(ALL).await.len(), 1);
    fixture.lake.vacuum(&name("acme.items"), std::time::Duration::ZERO).await.expect("vacuumed");
    assert!(!orphan.exists());
    assert_eq!(fixture.rows(ALL).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_stops_compacting_and_leaves_nothing() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"id\": 1}").await;
    fixture.land(2, LoadMode::Append, "{\"id\": 2}").await;
    let file = fixture.files().into_iter().find(|file| {
        file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("part-"))
    });
    fs_err::write(file.expect("a file"), "no parquet").expect("written");
    let before = fixture.files();
    let error = fixture.lake.compact(&name("acme.items")).await.expect_err("refused");
    assert_eq!(error.code(), Code::FileFailed, "{error:?}");
    assert_eq!(fixture.files().len(), before.len());
}

async fn restore(lake: &Lake, version: u64, sequence: u64) -> Option<u64> {
    let moment = Moment::Version(version);
    let (revision, then) =
        lake.restore(&name("acme.items"), moment, turn(sequence)).await.expect("planned");
    let kept = serde_json::to_string(&revision).expect("JSON");
    let revision = serde_json::from_str(&kept).expect("a revision");
    for _ in 0..2 {
        lake.revise(&revision).await.expect("restored");
    }
    then
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_is_restored_with_its_children_and_its_columns() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"id\": 1, \"l\": [1, 2]}").await;
    let first = fixture.rows(ALL).await;
    fixture.land(2, LoadMode::Append, "{\"id\": 2.5, \"l\": [3], \"new\": [true]}").await;
    let second = fixture.rows(ALL).await;
    assert_eq!(restore(&fixture.lake, 1, 3).await, Some(1), "it had the first batch then");
    assert_eq!(fixture.rows(ALL).await, first);
    assert_eq!(fixture.columns("acme.items").await, ["id int64"]);
    assert_eq!(fixture.tables().await, ["acme.items 1", "acme.items__l 2", "acme.items__new 0"]);
    let files = data_files(&fixture);
    assert_eq!(restore(&fixture.reopened(), 2, 4).await, Some(2));
    assert_eq!(fixture.rows(ALL).await, second);
    assert_eq!(fixture.tables().await, ["acme.items 2", "acme.items__l 3", "acme.items__new 1"]);
    assert_eq!(data_files(&fixture), files, "no file is written again");
    fixture.land(5, LoadMode::Append, "{\"id\": 3}").await;
    assert_eq!(fixture.tables().await[0], "acme.items 3");
    assert_eq!(restore(&fixture.lake, 0, 6).await, None, "it was empty then");
    let empty = ["acme.items 0", "acme.items__l 0", "acme.items__new 0"];
    assert_eq!(fixture.tables().await, empty);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_restored_or_dropped_says_why() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"id\": 1, \"l\": [1, 2]}").await;
    fixture.land(2, LoadMode::Replace, "{\"id\": 2}").await;
    fixture.lake.vacuum(&name("acme.items"), std::time::Duration::ZERO).await.expect("vacuumed");
    let restored = async |table: &str, version: u64, sequence: u64| -> Code {
        let moment = Moment::Version(version);
        let planned = fixture.lake.restore(&name(table), moment, turn(sequence)).await;
        planned.expect_err("refused").code()
    };
    assert_eq!(restored("acme.items", 1, 3).await, Code::VersionMissing);
    assert_eq!(restored("acme.items", 99, 3).await, Code::VersionMissing);
    assert_eq!(restored("acme.items", 2, 2).await, Code::TableConflict);
    assert_eq!(restored("acme.items__l", 1, 3).await, Code::ArgumentInvalid);
    assert_eq!(restored("acme.itms", 1, 3).await, Code::TableMissing);
    let child = fixture.lake.dropped(&name("acme.items__l"), turn(3), Vec::new()).await;
    assert!(matches!(child, Err(TableError::ChildTable { .. })), "{child:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_is_dropped_with_its_children_and_lands_anew() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"id\": 1, \"l\": [{\"m\": [1]}]}").await;
    let log = fixture.root().join("acme/broken/_delta_log");
    fs_err::create_dir_all(&log).expect("a folder");
    fs_err::write(log.join("00000000000000000000.json"), "{}").expect("a file");
    let revision =
        fixture.lake.dropped(&name("acme.items"), turn(2), Vec::new()).await.expect("planned");
    assert_eq!(revision.tables().len(), 3);
    for _ in 0..2 {
        fixture.lake.revise(&revision).await.expect("dropped");
    }
    assert_eq!(fixture.tables().await, ["acme.broken table.damaged"]);
    let broken =
        fixture.lake.dropped(&name("acme.broken"), turn(1), Vec::new()).await.expect("planned");
    fixture.lake.revise(&broken).await.expect("dropped");
    let batch = fixture.stage(landing(3, LoadMode::Append), "{\"id\": \"x\"}").await;
    fixture.lake.commit(&batch.expect("staged")).await.expect("committed");
    assert_eq!(fixture.tables().await, ["acme.items 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_read_goes_with_its_resource_and_not_alone() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"a\": 1, \"l\": [1]}").await;
    let log = fixture.root().join("acme/items__l/_delta_log");
    fs_err::write(log.join(format!("{:020}.json", 1)), "").expect("written");
    let tables = fixture.tables().await;
    assert_eq!(tables, ["acme.items 1", "acme.items__l table.damaged"]);
    let list = name("acme.items__l");
    let error = fixture.lake.table(&list).await.expect_err("it is torn");
    assert!(error.hints().iter().any(|it| it.contains("`restway tables drop acme.items`")));
    let alone = fixture.lake.dropped(&list, turn(2), Vec::new()).await;
    assert_eq!(alone.expect_err("its records stay").code(), Code::ArgumentInvalid);
    let restored = fixture.lake.restore(&name("acme.items"), Moment::Version(0), turn(2)).await;
    assert_eq!(restored.map(|_| ()).expect_err("a part").code(), Code::TableDamaged);
    let all = fixture.lake.dropped(&name("acme.items"), turn(2), Vec::new()).await;
    fixture.lake.revise(&all.expect("planned")).await.expect("dropped");
    assert!(fixture.files().is_empty(), "{:?}", fixture.files());
}
