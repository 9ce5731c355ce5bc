//! What is visible when, and what a failure leaves.

use restway_model::{Code, Event, Explain};
use restway_tables::{LoadMode, Moment, StagedBatch, Turn};

use crate::support::{Fixture, landing, name, records};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_committed_once_however_often_it_is_tried() {
    let fixture = Fixture::new();
    let batch = fixture.stage(landing(1, LoadMode::Append), "{\"a\": 1, \"l\": [1, 2]}").await;
    let batch = batch.expect("staged");
    assert!(fixture.lake.tables().await.expect("tables").is_empty(), "nobody sees it yet");
    // The journal keeps it as text; another process commits it.
    let text = serde_json::to_string(&batch).expect("a text");
    let kept: StagedBatch = serde_json::from_str(&text).expect("a batch");
    assert_eq!(kept, batch);
    let first = fixture.reopened().commit(&kept).await.expect("committed");
    let second = fixture.lake.commit(&batch).await.expect("committed");
    assert!(first.iter().all(|table| table.is_new) && second.iter().all(|table| !table.is_new));
    assert_eq!(fixture.tables().await, ["acme.items 1", "acme.items__l 2"]);
    fixture.land(2, LoadMode::Append, "{\"a\": 2}").await;
    fixture.lake.commit(&batch).await.expect("an old batch is done too");
    fixture.lake.discard(&batch).await.expect("what is committed stays");
    assert_eq!(fixture.rows("select sum(a) as s from acme.items").await, ["{\"s\":3}"]);
    assert_eq!(fixture.tables().await, ["acme.items 2", "acme.items__l 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_committed_batch_is_rolled_forward() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"a\": 1, \"l\": [1]}").await;
    let lines = "{\"a\": \"x\", \"l\": [\"y\"], \"new\": [1]}";
    let batch = fixture.stage(landing(2, LoadMode::Append), lines).await.expect("staged");
    // A process that stopped after the first table: only part of the batch is committed.
    let mut part = serde_json::to_value(&batch).expect("a value");
    let tables = part["tables"].as_array_mut().expect("tables");
    tables.retain(|table| table["def"]["name"]["table"] == "items__l");
    let part: StagedBatch = serde_json::from_value(part).expect("a batch");
    fixture.lake.commit(&part).await.expect("committed");
    assert_eq!(fixture.tables().await, ["acme.items 1", "acme.items__l 2"]);
    fixture.reopened().commit(&batch).await.expect("rolled forward");
    assert_eq!(fixture.tables().await, ["acme.items 2", "acme.items__l 2", "acme.items__new 1"]);
    assert_eq!(
        fixture.rows("select value from acme.items__l order by _row_id").await,
        ["{\"value\":\"1\"}", "{\"value\":\"y\"}"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn appending_a_wider_type_rewrites_the_files_in_one_commit() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"a\": 1}").await;
    fixture.land(2, LoadMode::Append, "{\"a\": 2, \"b\": null}").await;
    fixture.land(3, LoadMode::Append, "{\"a\": \"x\", \"b\": true}").await;
    assert_eq!(fixture.columns("acme.items").await, ["a text", "b bool"]);
    let rows = fixture.rows("select a, b from acme.items order by _row_id").await;
    assert_eq!(
        rows,
        ["{\"a\":\"1\",\"b\":null}", "{\"a\":\"2\",\"b\":null}", "{\"a\":\"x\",\"b\":true}"]
    );
    let detail = fixture.lake.table(&name("acme.items")).await.expect("a table");
    assert_eq!((detail.summary.version, detail.summary.files), (3, 2));
    let seen = fixture.seen.0.lock().expect("events");
    let widened = |event: &Event| match event {
        Event::ColumnChanged { column, from, .. } => column == "a" && from.is_some(),
        _ => false,
    };
    assert_eq!(seen.iter().filter(|event| widened(event)).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn replacing_empties_the_children_too() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"a\": 1, \"l\": [{\"m\": [1]}]}\n{\"a\": 2}").await;
    fixture.land(2, LoadMode::Replace, "{\"a\": \"x\"}").await;
    let tables = ["acme.items 1", "acme.items__l 0", "acme.items__l__m 0"];
    assert_eq!(fixture.tables().await, tables);
    assert_eq!(fixture.rows("select a from acme.items").await, ["{\"a\":\"x\"}"]);
    assert_eq!(fixture.rows("select * from acme.items__l").await, Vec::<String>::new());
    fixture.land(3, LoadMode::Replace, "").await;
    assert_eq!(fixture.tables().await[0], "acme.items 0");
    fixture.land(4, LoadMode::Append, "{\"a\": 3, \"l\": [{\"m\": [\"z\"]}]}").await;
    assert_eq!(fixture.rows("select value from acme.items__l__m").await, ["{\"value\":\"z\"}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_finished_or_not_committed_leaves_no_files() {
    let fixture = Fixture::new();
    let mut intake = fixture.begin(landing(1, LoadMode::Append)).await;
    intake.push(&records("{\"a\": [1]}"), &[]).expect("taken");
    intake.abandon();
    assert!(fixture.files().is_empty());
    let batch = fixture.stage(landing(1, LoadMode::Append), "{\"a\": [1]}").await.expect("staged");
    assert_eq!(fixture.files().len(), 2);
    fixture.lake.discard(&batch).await.expect("discarded");
    assert!(fixture.files().is_empty());
    // The same number can be staged again, and child tables get the same names.
    fixture.land(1, LoadMode::Append, "{\"a\": [1]}").await;
    assert_eq!(fixture.tables().await, ["acme.items 1", "acme.items__a 1"]);
    assert!(fixture.stage(landing(2, LoadMode::Append), "{\"b\": 1}\n{\"a\": ").await.is_err());
    assert_eq!(fixture.files().len(), 6, "{:?}", fixture.files());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_is_an_error_with_its_path() {
    let fixture = Fixture::new();
    // A file stands where the api's folder should be: that fails for every user, root included.
    fs_err::write(fixture.root().join("acme"), "x").expect("a file");
    let error =
        fixture.stage(landing(1, LoadMode::Append), "{\"a\": 1}").await.expect_err("no folder");
    assert_eq!(error.code(), Code::FileFailed);
    assert!(error.to_string().contains("acme"), "{error}");
    assert_eq!(fixture.files().len(), 1, "only the file that was in the way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changed_under_a_batch_is_a_conflict() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"a\": 1}").await;
    let other =
        fixture.stage(landing(3, LoadMode::Append), "{\"a\": \"x\"}").await.expect("staged");
    fixture.land(2, LoadMode::Append, "{\"a\": 2}").await;
    let error = fixture.lake.commit(&other).await.expect_err("other files");
    assert_eq!(error.code(), Code::TableConflict);
    fixture.land(4, LoadMode::Append, "{\"b\": 2}").await;
    let error = fixture.stage(landing(5, LoadMode::Append), "{}").await.map(|_| ());
    assert!(error.is_ok(), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commits_survive_a_checkpoint() {
    let fixture = Fixture::new();
    for sequence in 1..=101 {
        fixture.land(sequence, LoadMode::Append, &format!("{{\"a\": {sequence}}}")).await;
    }
    let last = fixture.land(102, LoadMode::Append, "{\"a\": 102}").await;
    let again = fixture.lake.commit(&last).await.expect("committed");
    assert!(again.iter().all(|table| !table.is_new), "the log remembers it past the checkpoint");
    assert_eq!(
        fixture.rows("select count(*) as n, sum(a) as s from acme.items").await,
        ["{\"n\":102,\"s\":5253}"]
    );
    let checkpoints =
        fixture.files().iter().filter(|file| file.to_string_lossy().contains("checkpoint")).count();
    assert!(checkpoints > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_process_that_died_are_swept_when_their_batch_begins_again() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"a\": 1, \"l\": [1]}").await;
    let kept = fixture.files();
    // Staged, and neither recorded nor discarded: what a kill leaves.
    let staged = fixture.stage(landing(2, LoadMode::Append), "{\"a\": 2, \"l\": [2]}").await;
    drop(staged.expect("staged"));
    assert_eq!(fixture.files().len(), kept.len() + 2);
    fixture.begin(landing(2, LoadMode::Append)).await.abandon();
    let mut left = fixture.files();
    left.sort();
    let mut kept = kept;
    kept.sort();
    assert_eq!(left, kept);
    assert_eq!(fixture.tables().await, ["acme.items 1", "acme.items__l 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_older_than_the_tables_is_refused_and_loses_nothing() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"a\": 1}").await;
    fixture.land(2, LoadMode::Append, "{\"a\": 2}").await;
    let before = fixture.files();
    let Err(error) = fixture.lake.begin(landing(1, LoadMode::Replace)).await else {
        panic!("its rows would be taken for landed");
    };
    assert_eq!(error.code(), Code::TableConflict);
    assert!(error.hints().iter().any(|hint| hint.contains("restway.db")), "{:?}", error.hints());
    assert_eq!(fixture.files(), before);
    assert_eq!(fixture.tables().await, ["acme.items 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_leaves_the_version_before_and_lands_later() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"a\": 1, \"l\": [1]}").await;
    let batch = fixture.stage(landing(2, LoadMode::Append), "{\"a\": 2, \"l\": [2]}").await;
    let batch = batch.expect("staged");
    // The log's folder is out of the way, and a file in its place: that fails for root, too.
    let log = fixture.root().join("acme/items/_delta_log");
    let aside = fixture.root().join("aside");
    fs_err::rename(&log, &aside).expect("moved");
    fs_err::write(&log, "x").expect("a file");
    assert!(fixture.lake.commit(&batch).await.is_err(), "there is no log");
    fs_err::remove_file(&log).expect("removed");
    fs_err::rename(&aside, &log).expect("moved back");
    fixture.reopened().commit(&batch).await.expect("rolled forward");
    fixture.reopened().commit(&batch).await.expect("and once");
    assert_eq!(fixture.tables().await, ["acme.items 2", "acme.items__l 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_another_writer_adds_meanwhile_stay_beside_those_of_a_batch() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"a\": 1}").await;
    let ours = fixture.stage(landing(2, LoadMode::Append), "{\"a\": 2}").await.expect("staged");
    let theirs =
        restway_tables::Landing { stream: "theirs".into(), ..landing(7, LoadMode::Append) };
    let theirs = fixture.stage(theirs, "{\"a\": 40}").await.expect("staged");
    fixture.reopened().commit(&theirs).await.expect("committed");
    fixture.lake.commit(&ours).await.expect("committed");
    fixture.lake.commit(&ours).await.expect("and once");
    assert_eq!(fixture.rows("select sum(a) as s from acme.items").await, ["{\"s\":43}"]);
}

/// The newest version of a table's log.
fn newest(fixture: &Fixture, table: &str) -> std::path::PathBuf {
    let log = fixture.root().join("acme").join(table).join("_delta_log");
    let files = fs_err::read_dir(log).expect("a log").flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|end| end == "json")).max().expect("a version")
}

/// What a disk leaves of the last write when the power goes: a part of it, which may end a line.
fn cuts(text: &[u8]) -> Vec<usize> {
    let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let ends: Vec<usize> = ends.flat_map(|(at, _)| [at, at + 1]).collect();
    [vec![0, text.len() / 3, text.len() / 2, text.len() - 1], ends].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_torn_or_empty_is_not_read_as_if_it_were_not_there() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"a\": 1}").await;
    let staged = fixture.stage(landing(2, LoadMode::Append), "{\"a\": 2}").await.expect("staged");
    fixture.lake.commit(&staged).await.expect("committed");
    let newest = newest(&fixture, "items");
    let text = fs_err::read(&newest).expect("a version");
    assert_eq!(cuts(&text).len(), 8, "a line of the commit, one of its file, one of its number");
    for keep in cuts(&text) {
        fs_err::write(&newest, &text[..keep]).expect("written");
        let lake = fixture.reopened();
        let error = lake.query("select count(*) from acme.items", &[]).await.map(|_| ());
        let error = error.expect_err("a row is missing");
        assert_eq!(error.code(), Code::TableDamaged, "{keep}");
        assert!(error.to_string().contains("is torn"), "{keep}: {error}");
        assert!(error.hints().iter().any(|hint| hint.contains("tables drop acme.items")));
        let error = lake.begin(landing(3, LoadMode::Append)).await.map(|_| ());
        assert_eq!(error.expect_err("a row is missing").code(), Code::TableDamaged, "{keep}");
        let error = lake.commit(&staged).await.expect_err("its version is there, and broken");
        assert_eq!(error.code(), Code::TableDamaged, "{keep}");
        assert_eq!(fixture.tables().await, ["acme.items table.damaged"]);
    }
    fs_err::write(&newest, &text).expect("written");
    assert_eq!(fixture.tables().await, ["acme.items 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_kind_of_version_is_read_when_it_is_torn() {
    let fixture = Fixture::new();
    let turn = |sequence| Turn {
        stream: "acme.items".into(),
        sequence,
        run: restway_model::RunId("run-1".into()),
    };
    for sequence in 1..=3 {
        fixture.land(sequence, LoadMode::Append, &format!("{{\"a\": {sequence}}}")).await;
    }
    let items = name("acme.items");
    for step in ["compacted", "restored", "replaced"] {
        match step {
            "compacted" => drop(fixture.lake.compact(&items).await.expect("compacted")),
            "restored" => {
                let plan = fixture.lake.restore(&items, Moment::Version(1), turn(4)).await;
                fixture.lake.revise(&plan.expect("planned").0).await.expect("restored");
            }
            _ => drop(fixture.land(5, LoadMode::Replace, "{\"b\": [1]}").await),
        }
        let newest = newest(&fixture, "items");
        let text = fs_err::read(&newest).expect("a version");
        for keep in cuts(&text) {
            fs_err::write(&newest, &text[..keep]).expect("written");
            let tables = fixture.tables().await;
            assert_eq!(tables[0], "acme.items table.damaged", "{step}, {keep}");
        }
        fs_err::write(&newest, &text).expect("written");
        fixture.lake.query("select * from acme.items", &[]).await.expect("rows");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_a_log_has_no_name_before_it_is_whole() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Append, "{\"a\": 1}").await;
    let log = fixture.root().join("acme/items/_delta_log");
    let names = || {
        let entries = fs_err::read_dir(&log).expect("a log").flatten();
        let mut names: Vec<_> =
            entries.map(|it| it.file_name().into_string().expect("a name")).collect();
        names.sort();
        names
    };
    let before = names();
    assert_eq!(before.len(), 2, "nothing else is left: {before:?}");
    // What a process that died left beside an entry is no part of the log.
    fs_err::write(log.join(".x.tmp"), "{\"commitInfo\": {").expect("written");
    fixture.land(2, LoadMode::Append, "{\"a\": 2}").await;
    assert_eq!(fixture.tables().await, ["acme.items 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_commit_one_batch_at_once_land_it_once() {
    let fixture = Fixture::new();
    for sequence in 1..=12 {
        let lines = format!("{{\"a\": {sequence}, \"l\": [1, 2]}}");
        let batch = fixture.stage(landing(sequence, LoadMode::Append), &lines).await;
        let batch = batch.expect("staged");
        let others = [fixture.reopened(), fixture.reopened(), fixture.reopened()];
        let (first, second, third) = tokio::join!(
            others[0].commit(&batch),
            others[1].commit(&batch),
            others[2].commit(&batch)
        );
        // Each of them finds the number taken by its own batch, and takes that for its answer.
        let all = [first, second, third].map(|committed| committed.expect("committed"));
        for table in 0..2 {
            let new = all.iter().filter(|committed| committed[table].is_new).count();
            assert_eq!(new, 1, "{sequence}");
        }
    }
    assert_eq!(fixture.tables().await, ["acme.items 12", "acme.items__l 24"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_is_half_done_loses_nothing() {
    let fixture = Fixture::new();
    let log = fixture.root().join("acme/items/_delta_log");
    let is_checkpoint = |path: &std::path::PathBuf| path.to_string_lossy().contains("checkpoint");
    let mut sequence = 0;
    while sequence < 150 && !fixture.files().iter().any(is_checkpoint) {
        sequence += 1;
        fixture.land(sequence, LoadMode::Append, &format!("{{\"a\": {sequence}}}")).await;
    }
    let all = format!("acme.items {sequence}");
    let pointer = log.join("_last_checkpoint");
    let files: Vec<_> = fixture.files().into_iter().filter(is_checkpoint).collect();
    assert!(files.len() == 2 && files.contains(&pointer), "{files:?}");
    let checkpoint = files.iter().find(|file| **file != pointer).expect("a checkpoint");
    let (bytes, said) =
        (fs_err::read(checkpoint).expect("it"), fs_err::read(&pointer).expect("it"));
    // Killed before it is pointed to, and before it is there.
    fs_err::remove_file(&pointer).expect("it goes");
    assert_eq!(fixture.tables().await, [all.as_str()]);
    fs_err::remove_file(checkpoint).expect("it goes");
    assert_eq!(fixture.tables().await, [all.as_str()]);
    // Cut by a disk: it is refused, and never less than the table.
    for keep in [0, bytes.len() / 2, bytes.len() - 1] {
        fs_err::write(checkpoint, &bytes[..keep]).expect("written");
        for pointed in [false, true] {
            match pointed {
                true => fs_err::write(&pointer, &said).expect("written"),
                false => drop(fs_err::remove_file(&pointer)),
            }
            let tables = fixture.tables().await;
            assert!(
                tables == [all.as_str()] || tables == ["acme.items table.damaged"],
                "{tables:?}"
            );
        }
    }
    // A pointer that is cut is not gone by.
    fs_err::write(checkpoint, &bytes).expect("written");
    fs_err::write(&pointer, &said[..said.len() / 2]).expect("written");
    let tables = fixture.tables().await;
    assert!(tables == [all.as_str()] || tables == ["acme.items table.damaged"], "{tables:?}");
}
