//! Rows told apart by a key: merged, deleted, kept as a history, refused.

use restway_model::definition::{ColumnRule, Contract, Deletes, MaxRejects, TypeRule};
use restway_model::{Code, Explain, Limits};
use restway_tables::{Landing, LoadMode, StagedBatch};

use crate::support::{Fixture, landing, name};

fn deletes(sequence: u64, mode: LoadMode, when: &str) -> Landing {
    let when = Some(when.parse().expect("a condition"));
    let deletes = Deletes { when, ..Deletes::default() };
    Landing { deletes, ..landing(sequence, mode) }
}

fn absent(sequence: u64, mode: LoadMode, max_fraction: f64) -> Landing {
    let deletes = Deletes { absent: true, max_fraction: Some(max_fraction), ..Deletes::default() };
    Landing { deletes, ..landing(sequence, mode) }
}

fn rejecting(sequence: u64, mode: LoadMode, contract: Contract) -> Landing {
    Landing { max_rejects: MaxRejects::Count(9), contract, ..landing(sequence, mode) }
}

async fn land(fixture: &Fixture, landing: Landing, lines: &str) -> StagedBatch {
    let batch = fixture.stage(landing, lines).await.expect("staged");
    fixture.lake.commit(&batch).await.expect("committed");
    batch
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_row_takes_the_place_of_its_key_with_all_its_lists() {
    let fixture = Fixture::new();
    let first = "{\"id\": 1, \"v\": \"a\", \"l\": [{\"m\": [1, 2]}, {\"m\": [3]}]}\n\
                 {\"id\": 2, \"v\": \"b\", \"l\": [{\"m\": [4]}]}\n{\"id\": 3, \"v\": \"c\"}";
    fixture.land(1, LoadMode::Merge, first).await;
    let second = "{\"id\": 1, \"v\": \"x\", \"l\": [{\"m\": [9]}]}\n{\"id\": 4, \"v\": \"d\"}\n\
                  {\"id\": 3, \"v\": \"y\"}\n{\"id\": 3, \"v\": \"z\", \"l\": [{}]}";
    let batch = fixture.land(2, LoadMode::Merge, second).await;
    let tally = batch.tally();
    assert_eq!((tally.replaced, tally.repeated, tally.deleted), (2, 1, 0));
    let rows = fixture.rows("select id, v from acme.items order by id").await;
    let expected = ["1x", "2b", "3z", "4d"];
    let expected = expected.map(|row| format!("{{\"id\":{},\"v\":\"{}\"}}", &row[..1], &row[1..]));
    assert_eq!(rows, expected);
    let values = "select i.id, m.value from acme.items i join acme.items__l l \
                  on l._parent_id = i._row_id join acme.items__l__m m on m._parent_id = l._row_id \
                  and m._root_id = i._row_id order by i.id, m.value";
    assert_eq!(fixture.rows(values).await, ["{\"id\":1,\"value\":9}", "{\"id\":2,\"value\":4}"]);
    assert_eq!(fixture.tables().await, ["acme.items 4", "acme.items__l 3", "acme.items__l__m 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_meet_after_their_column_widened_and_texts_stay_apart() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Merge, "{\"id\": 1, \"v\": 1}\n{\"id\": 2, \"v\": 2}").await;
    let wide = "{\"id\": 12345678901234567890, \"v\": 3}\n{\"id\": 1, \"v\": 4}";
    assert_eq!(fixture.land(2, LoadMode::Merge, wide).await.tally().replaced, 1);
    let text = "{\"id\": \"x\", \"v\": 5}\n{\"id\": 2, \"v\": 6}\n{\"id\": \"02\", \"v\": 7}";
    assert_eq!(fixture.land(3, LoadMode::Merge, text).await.tally().replaced, 1);
    let rows = fixture.rows("select id, v from acme.items order by v").await;
    let expected = [("12345678901234567890", 3), ("1", 4), ("x", 5), ("2", 6), ("02", 7)];
    let expected = expected.map(|(id, v)| format!("{{\"id\":\"{id}\",\"v\":{v}}}"));
    assert_eq!(rows, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_doubles_meet_after_their_column_became_text() {
    let fixture = Fixture::new();
    let doubles = "{\"id\": 1.50, \"v\": 1}\n{\"id\": 2.0, \"v\": 2}";
    fixture.land(1, LoadMode::Merge, doubles).await;
    let text = format!("{{\"id\": \"x\", \"v\": 3}}\n{doubles}");
    assert_eq!(fixture.land(2, LoadMode::Merge, &text).await.tally().replaced, 2);
    assert_eq!(fixture.land(3, LoadMode::Merge, &text).await.tally().replaced, 3);
    assert_eq!(
        fixture.land(4, LoadMode::Merge, "{\"id\": \"2\", \"v\": 4}").await.tally().replaced,
        0
    );
    let rows = fixture.rows("select id from acme.items order by v").await;
    assert_eq!(rows, ["1.5", "2.0", "x", "2"].map(|id| format!("{{\"id\":\"{id}\"}}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_batch_is_not_refused_for_one_bad_record() {
    let fixture = Fixture::new();
    let share =
        |sequence, mode| Landing { max_rejects: MaxRejects::default(), ..landing(sequence, mode) };
    let lines = "{\"id\": 1}\n{\"id\": null}\n{\"id\": 2}";
    land(&fixture, share(1, LoadMode::Merge), lines).await;
    assert_eq!(fixture.tables().await, ["acme.items 2", "acme.items__rejects 1"]);
    let many =
        |bad: usize| [vec!["{\"id\": null}"; bad], vec!["{\"id\": 3}"; 20]].concat().join("\n");
    let staged = fixture.stage(share(2, LoadMode::Merge), &many(11)).await;
    assert_eq!(staged.expect_err("refused").code(), Code::TooManyRejects);
    fixture.stage(share(2, LoadMode::Merge), &many(10)).await.expect("staged");
    // All of a table is judged by what it has: else a wrong definition would empty it.
    let typed = |lines: &str| {
        let types = [("id".to_owned(), restway_model::ColumnType::Int64)].into();
        (Landing { types, ..share(2, LoadMode::Replace) }, lines.to_owned())
    };
    let (landing, lines) = typed("{\"id\": \"x\"}\n{\"id\": 1}\n{\"id\": 2}");
    let staged = fixture.stage(landing, &lines).await;
    assert_eq!(staged.expect_err("refused").code(), Code::TooManyRejects);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_hold_no_key_of_the_batch_stay() {
    let fixture = Fixture::new();
    for sequence in 1..=3 {
        let line = |n: u64| format!("{{\"id\": {}, \"v\": 0}}", sequence * 100 + n);
        let lines: Vec<String> = (0..10).map(line).collect();
        fixture.land(sequence, LoadMode::Merge, &lines.join("\n")).await;
    }
    let before = fixture.files();
    let batch = fixture.land(4, LoadMode::Merge, "{\"id\": 205, \"v\": 1}").await;
    let text = serde_json::to_value(&batch).expect("a value");
    let removed = text["tables"][0]["removed"]["files"].as_array().expect("files");
    assert_eq!(removed.len(), 1, "only the file with 200 to 209 is written again");
    assert_eq!(
        fixture.rows("select sum(v) as v, count(*) as n from acme.items").await,
        ["{\"v\":1,\"n\":30}"]
    );
    let parquet = |files: &[std::path::PathBuf]| {
        files.iter().filter(|file| file.extension().is_some_and(|end| end == "parquet")).count()
    };
    assert_eq!(parquet(&fixture.files()), parquet(&before) + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_more_keys_than_fit_is_merged_in_passes() {
    let limits = Limits { merge_keys_max: 7, row_group_rows_max: 16, ..Limits::default() };
    let fixture = Fixture::with(limits);
    let lines = |from: u64, v: u64| {
        let line = |n: u64| format!("{{\"id\": {}, \"v\": {v}, \"l\": [{n}]}}", from + n);
        (0..100).map(line).collect::<Vec<String>>().join("\n")
    };
    fixture.land(1, LoadMode::Merge, &lines(0, 1)).await;
    let batch =
        fixture.land(2, LoadMode::Merge, &format!("{}\n{}", lines(50, 2), lines(60, 3))).await;
    assert_eq!((batch.tally().repeated, batch.tally().replaced), (90, 50));
    let rows = fixture.rows("select v, count(*) as n from acme.items group by v order by v").await;
    assert_eq!(rows, ["{\"v\":1,\"n\":50}", "{\"v\":2,\"n\":10}", "{\"v\":3,\"n\":100}"]);
    assert_eq!(fixture.tables().await, ["acme.items 160", "acme.items__l 160"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_is_committed_once_and_not_onto_files_it_did_not_see() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Merge, "{\"id\": 1, \"l\": [1]}\n{\"id\": 2, \"l\": [2]}").await;
    let lines = "{\"id\": 2, \"l\": [3, 4]}\n{\"id\": 3, \"new\": [5]}";
    let batch = fixture.stage(landing(2, LoadMode::Merge), lines).await.expect("staged");
    // A process that stopped after each of the tables; the next one rolls all of them forward.
    let whole = serde_json::to_value(&batch).expect("a value");
    for tables in 1..=2 {
        let mut part = whole.clone();
        let list = part["tables"].as_array_mut().expect("tables");
        let from = list.len() - tables;
        list.drain(..from);
        let part: StagedBatch = serde_json::from_value(part).expect("a batch");
        fixture.reopened().commit(&part).await.expect("committed");
    }
    fixture.reopened().commit(&batch).await.expect("rolled forward");
    let again = fixture.lake.commit(&batch).await.expect("committed");
    assert!(again.iter().all(|table| !table.is_new));
    let tables = ["acme.items 3", "acme.items__l 3", "acme.items__new 1"];
    assert_eq!(fixture.tables().await, tables);
    let late = fixture.stage(landing(4, LoadMode::Merge), "{\"id\": 9}").await.expect("staged");
    fixture.land(3, LoadMode::Merge, "{\"id\": 9}").await;
    let error = fixture.lake.commit(&late).await.expect_err("it would be there twice");
    assert_eq!(error.code(), Code::TableConflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_when_their_record_says_so() {
    let fixture = Fixture::new();
    fixture.land(1, LoadMode::Merge, "{\"id\": 1, \"l\": [1]}\n{\"id\": 2, \"l\": [2]}").await;
    let lines = "{\"id\": 1, \"state\": {\"gone\": true}}\n{\"id\": 2}\n{\"id\": 2, \"l\": [3]}\n\
                 {\"id\": 3, \"state\": {\"gone\": true}}\n\
                 {\"id\": 4, \"state\": {\"gone\": true}}\n\
                 {\"id\": 4, \"state\": {\"gone\": false}}";
    let batch = land(&fixture, deletes(2, LoadMode::Merge, "state.gone = true"), lines).await;
    assert_eq!((batch.tally().deleted, batch.tally().replaced), (1, 1));
    assert_eq!(
        fixture.rows("select id from acme.items order by id").await,
        ["{\"id\":2}", "{\"id\":4}"]
    );
    assert_eq!(fixture.rows("select value from acme.items__l").await, ["{\"value\":3}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_that_a_whole_walk_did_not_meet_up_to_a_part() {
    let fixture = Fixture::new();
    let lines = |ids: std::ops::Range<u64>| {
        ids.map(|id| format!("{{\"id\": {id}, \"l\": [{id}]}}")).collect::<Vec<_>>().join("\n")
    };
    fixture.land(1, LoadMode::Merge, &lines(0..10)).await;
    let files = fixture.files().len();
    let refused = fixture.stage(absent(2, LoadMode::Merge, 0.2), &lines(3..11)).await;
    let error = refused.expect_err("three of ten");
    assert_eq!(error.code(), Code::TooManyAbsent);
    assert!(error.to_string().contains("3 of 10 rows"), "{error}");
    assert_eq!(
        fixture.stage(absent(2, LoadMode::Merge, 0.2), "").await.expect_err("all").code(),
        Code::TooManyAbsent
    );
    assert_eq!(fixture.files().len(), files, "nothing is left over");
    let batch = land(&fixture, absent(2, LoadMode::Merge, 0.3), &lines(3..11)).await;
    assert_eq!(batch.tally().deleted, 3);
    assert_eq!(fixture.tables().await, ["acme.items 8", "acme.items__l 8"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_keeps_what_was_and_adds_only_what_changed() {
    let fixture = Fixture::new();
    let at = |sequence: u64, second: i64| {
        let fetched_at = chrono::DateTime::from_timestamp(second, 0).expect("an instant");
        Landing { fetched_at, ..deletes(sequence, LoadMode::History, "gone = true") }
    };
    let first =
        "{\"id\": 1, \"v\": \"a\", \"l\": [1]}\n{\"id\": 2, \"v\": \"b\", \"l\": [2]}\n{\"id\": 3}";
    land(&fixture, at(1, 10), first).await;
    let second = "{\"l\": [1, null], \"v\": \"a\", \"id\": 1}\n\
                  {\"id\": 2, \"v\": \"b\", \"l\": [2, 3]}\n\
                  {\"id\": 3, \"gone\": true}\n{\"v\": \"b\", \"id\": 4, \"x\": null}";
    let batch = land(&fixture, at(2, 20), second).await;
    let tally = batch.tally();
    assert_eq!((tally.unchanged, tally.replaced, tally.deleted), (0, 2, 1));
    let third = "{\"v\": \"b\", \"id\": 4}\n{\"id\": 2, \"l\": [2, 3], \"v\": \"b\"}\n{\"id\": 3}";
    let batch = land(&fixture, at(3, 30), third).await;
    assert_eq!((batch.tally().unchanged, batch.tally().replaced, batch.rows()), (2, 0, 1));
    let sql = "select id, date_part('second', _valid_from) as f, \
               date_part('second', _valid_to) as t, _is_current as now, \
               (select count(*) from acme.items__l l where l._root_id = i._row_id) as n \
               from acme.items i order by id, f";
    let rows = fixture.rows(sql).await;
    let row = |id, from, to: &str, now: bool, n| {
        format!("{{\"id\":{id},\"f\":{from},\"t\":{to},\"now\":{now},\"n\":{n}}}")
    };
    let expected = [
        row(1, 10, "20", false, 1),
        row(1, 20, "null", true, 2),
        row(2, 10, "20", false, 1),
        row(2, 20, "null", true, 2),
        row(3, 10, "20", false, 0),
        row(3, 30, "null", true, 0),
        row(4, 20, "null", true, 0),
    ];
    assert_eq!(rows, expected);
    let error =
        fixture.stage(landing(4, LoadMode::Merge), "{\"id\": 1}").await.expect_err("a history");
    assert_eq!(error.code(), Code::DefinitionInvalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_cannot_be_landed_are_kept_apart_and_counted() {
    let fixture = Fixture::new();
    let lines = "{\"id\": 1, \"rejects\": [1]}\n{\"id\": null}\n{\"name\": \"x\"}\n{\"id\": [1]}\n\
                 {\"id\": 2}";
    let batch = land(&fixture, rejecting(1, LoadMode::Merge, Contract::default()), lines).await;
    assert_eq!(batch.tally().rejected, 3);
    let tables = ["acme.items 2", "acme.items__rejects 3", "acme.items__rejects_2 1"];
    assert_eq!(fixture.tables().await, tables);
    let rows = fixture
        .rows("select reason, path, record, _run_id from acme.items__rejects order by _row_id")
        .await;
    assert_eq!(
        rows[0],
        "{\"reason\":\"key_missing\",\"path\":\"id\",\"record\":{\"id\": null},\
         \"_run_id\":\"run-1\"}"
    );
    assert!(rows[2].contains("\"record\":{\"id\": [1]}"), "{}", rows[2]);
    assert_eq!(fixture.columns("acme.items").await, ["id int64"], "nothing of them is left");
    land(&fixture, rejecting(2, LoadMode::Replace, Contract::default()), "{\"id\": 3}").await;
    assert_eq!(fixture.tables().await[1], tables[1], "they stay, whatever a load replaces");
    let few = Landing { max_rejects: MaxRejects::Count(1), ..landing(3, LoadMode::Merge) };
    let error = fixture.stage(few, "{}\n{}\n{\"id\": 1}").await.expect_err("two");
    assert_eq!(error.code(), Code::TooManyRejects);
    let share = Landing { max_rejects: MaxRejects::default(), ..landing(3, LoadMode::Merge) };
    let lines = ["{}"; 11].join("\n");
    let error = fixture.stage(share, &lines).await.expect_err("all of them");
    assert!(error.to_string().contains("11 of 11 records"), "{error}");
    assert_eq!(fixture.tables().await[1], tables[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_freezes_or_rejects_what_the_table_does_not_have() {
    let fixture = Fixture::new();
    let rules = |columns, types| Contract { columns, types };
    let strict = rules(ColumnRule::Reject, TypeRule::Reject);
    let first = "{\"id\": 1, \"n\": null, \"o\": {\"a\": 1.5}, \"l\": [{\"k\": \"x\"}]}";
    land(&fixture, rejecting(1, LoadMode::Append, strict), first).await;
    let lines = "{\"id\": 2, \"n\": true, \"o\": {\"a\": 2}, \
                 \"l\": [{\"k\": \"y\", \"new\": null}], \"later\": null}\n\
                 {\"id\": \"x\"}\n{\"id\": 3, \"new\": 1}\n{\"id\": 4, \"l\": [{\"k\": 5}]}\n\
                 {\"id\": 5, \"m\": [1]}\n{\"id\": 6, \"o\": 7}\n{\"id\": 7, \"l\": [{\"z\": 1}]}";
    let batch = land(&fixture, rejecting(2, LoadMode::Append, strict), lines).await;
    assert_eq!(batch.tally().rejected, 5);
    let reasons =
        fixture.rows("select reason, path from acme.items__rejects order by _row_id").await;
    let reason = |reason, path| format!("{{\"reason\":\"{reason}\",\"path\":\"{path}\"}}");
    let expected = [
        reason("new_type", "$.id"),
        reason("new_column", "$.new"),
        reason("new_column", "acme.items__m"),
        reason("new_column", "$.o"),
        reason("new_column", "$.z"),
    ];
    assert_eq!(reasons, expected);
    assert_eq!(fixture.columns("acme.items").await, ["id int64", "n bool", "o__a float64"]);
    assert_eq!(fixture.columns("acme.items__l").await, ["k text"]);
    for (contract, line, word) in [
        (rules(ColumnRule::Freeze, TypeRule::Widen), "{\"id\": 9, \"new\": 1}", "no column"),
        (rules(ColumnRule::Evolve, TypeRule::Freeze), "{\"id\": \"x\"}", "found text"),
    ] {
        let error = fixture.stage(rejecting(3, LoadMode::Append, contract), line).await;
        let error = error.expect_err("frozen");
        assert_eq!(error.code(), Code::RecordInvalid);
        assert!(error.to_string().contains(word), "{error}");
    }
    let open = rules(ColumnRule::Evolve, TypeRule::Reject);
    let batch =
        land(&fixture, rejecting(3, LoadMode::Append, open), "{\"id\": 8, \"new\": 1}").await;
    assert_eq!(batch.tally().rejected, 0);
    let summary = fixture.lake.table(&name("acme.items")).await.expect("a table").summary;
    assert_eq!(summary.rows, Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_record_was_refused_is_not_taken_for_absent() {
    let fixture = Fixture::new();
    let absent = |sequence| {
        let types = [("x".to_owned(), "int64".parse().expect("a type"))].into();
        let max_rejects = MaxRejects::Count(9);
        Landing { types, max_rejects, ..absent(sequence, LoadMode::Merge, 1.0) }
    };
    land(&fixture, absent(1), "{\"id\": 1, \"x\": 1}\n{\"id\": 2, \"x\": 2}").await;
    let refused = "{\"id\": 1, \"x\": \"oops\"}\n{\"id\": 3, \"x\": 3}";
    let tally = land(&fixture, absent(2), refused).await.tally();
    assert_eq!((tally.rejected, tally.deleted), (1, 0));
    let ids = fixture.rows("select id from acme.items order by id").await;
    assert_eq!(ids, ["{\"id\":1}", "{\"id\":2}", "{\"id\":3}"]);
    let whole = "{\"id\": 1, \"x\": 1}\n{\"id\": 3, \"x\": 3}";
    assert_eq!(land(&fixture, absent(3), whole).await.tally().deleted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_sweeps_its_own_leavings_and_nobody_elses() {
    let fixture = Fixture::new();
    let of = |resource: &str| {
        let (resource, stream) = (name(resource), resource.to_owned());
        Landing { resource, stream, ..landing(1, LoadMode::Append) }
    };
    land(&fixture, of("acme.items_"), "{\"id\": 1, \"l\": [1, 2]}").await;
    land(&fixture, of("acme.items"), "{\"id\": 2}").await;
    let rows = fixture.rows("select value from acme.items___l order by value").await;
    assert_eq!(rows, ["{\"value\":1}", "{\"value\":2}"]);
}
