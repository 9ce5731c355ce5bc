//! The journal is ordered, atomic and survives the process.

use super::*;
use restway_model::{Code, Explain, RunKind};
use serde_json::json;

use crate::testing::Bench;

fn template(sequence: u64) -> BatchIntent {
    BatchIntent {
        stream: "a".into(),
        sequence,
        run: RunId(String::new()),
        resource: "acme.issues".parse().unwrap(),
        body: json!({ "files": [format!("part-{sequence}.parquet")] }),
        rows: 10,
    }
}

async fn intent(store: &Store, stream: &str, sequence: u64) -> BatchIntent {
    let run = store.start_run(RunKind::Sync, "acme").await.unwrap();
    BatchIntent { stream: stream.into(), run, ..template(sequence) }
}

/// The state that a batch leaves: its number, for the part "".
fn page(sequence: u64) -> StateChanges {
    let parts = BTreeMap::from([(String::new(), Some(json!({ "page": sequence })))]);
    StateChanges { resets: false, parts }
}

async fn record(store: &Store, stream: &str, sequence: u64) -> Result<(), StoreError> {
    store.record_batch(&intent(store, stream, sequence).await, &page(sequence)).await
}

#[tokio::test]
async fn a_recorded_batch_is_pending_after_reopening_until_it_is_finished() {
    let bench = Bench::new();
    let store = bench.open().await;
    let mut recorded = Vec::new();
    for (stream, sequence) in [("b", 1), ("a", 1), ("a", 2)] {
        let batch = intent(&store, stream, sequence).await;
        store.record_batch(&batch, &page(sequence)).await.unwrap();
        recorded.push(batch);
    }
    recorded.rotate_left(1);
    drop(store);

    let store = bench.open().await;
    assert_eq!(store.pending_batches().await.unwrap(), recorded);
    store.finish_batch("a", 1).await.unwrap();
    store.finish_batch("a", 1).await.unwrap();
    store.finish_batch("b", 1).await.unwrap();
    assert_eq!(store.pending_batches().await.unwrap(), recorded[1..2]);
    assert_eq!(store.next_sequence("a").await.unwrap(), 3);
    assert_eq!(store.next_sequence("b").await.unwrap(), 2);
    assert_eq!(store.next_sequence("never seen").await.unwrap(), 1);
}

#[tokio::test]
async fn a_finished_batch_keeps_its_row_and_state_and_drops_its_body() {
    let bench = Bench::new();
    let store = bench.open().await;
    record(&store, "a", 1).await.unwrap();
    store.finish_batch("a", 1).await.unwrap();
    let kept: (Option<String>, i64) =
        sqlx::query_as("select body, row_count from batch").fetch_one(store.pool()).await.unwrap();
    assert_eq!(kept, (None, 10));
    assert_eq!(store.stream_state("a", "").await.unwrap(), Some(json!({ "page": 1 })));

    assert_eq!(store.stream_state("never seen", "").await.unwrap(), None);
}

#[tokio::test]
async fn a_batch_out_of_turn_is_refused_and_leaves_nothing() {
    let bench = Bench::new();
    let store = bench.open().await;
    record(&store, "a", 1).await.unwrap();
    let before = store.pending_batches().await.unwrap();
    for wrong in [0, 1, 3, u64::MAX] {
        let refused = record(&store, "a", wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::TableConflict);
        assert!(
            matches!(refused, StoreError::BatchOrder { expected: 2, given, .. } if given == wrong)
        );
    }
    assert_eq!(store.pending_batches().await.unwrap(), before);
    assert_eq!(store.stream_state("a", "").await.unwrap(), Some(json!({ "page": 1 })));
}

#[tokio::test]
async fn a_batch_of_no_run_is_refused_and_its_state_with_it() {
    let bench = Bench::new();
    let store = bench.open().await;
    let stray = BatchIntent { run: RunId("none".into()), ..intent(&store, "a", 1).await };
    assert_eq!(store.record_batch(&stray, &page(1)).await.unwrap_err().code(), Code::StoreFailed);
    assert_eq!(store.pending_batches().await.unwrap(), []);
    assert_eq!(store.stream_state("a", "").await.unwrap(), None);
    assert_eq!(store.next_sequence("a").await.unwrap(), 1);
}

#[tokio::test]
async fn batches_are_finished_in_order() {
    let bench = Bench::new();
    let store = bench.open().await;
    for sequence in 1..=2 {
        record(&store, "a", sequence).await.unwrap();
    }
    let early = store.finish_batch("a", 2).await;
    assert!(matches!(early, Err(StoreError::BatchOrder { expected: 1, given: 2, .. })));
    let unknown = store.finish_batch("a", 3).await;
    assert!(matches!(unknown, Err(StoreError::BatchUnknown { .. })));
    assert_eq!(store.pending_batches().await.unwrap().len(), 2);
}

#[tokio::test]
async fn of_writers_that_race_for_a_number_one_wins() {
    let bench = Bench::new();
    let stores = [bench.open().await, bench.open().await];
    for sequence in 1..=10 {
        let racing = stores.iter().flat_map(|store| [store.clone(), store.clone()]);
        let tasks: Vec<_> = racing
            .map(|store| tokio::spawn(async move { record(&store, "a", sequence).await }))
            .collect();
        let mut won = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(()) => won += 1,
                Err(error) => assert!(matches!(error, StoreError::BatchOrder { .. }), "{error:?}"),
            }
        }
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn pending_batches_are_handed_out_in_bounded_parts() {
    let bench = Bench::new();
    let store = bench.open().await;
    let run = store.start_run(RunKind::Sync, "acme").await.unwrap();
    let mut connection = store.pool().begin().await.unwrap();
    for sequence in 1..=PENDING_MAX + 1 {
        sqlx::query(sql::BATCH_RECORD)
            .bind("a")
            .bind(sequence)
            .bind(&run.0)
            .bind("acme.issues")
            .bind(1)
            .bind("null")
            .bind("2026-03-01T10:00:00.000Z")
            .execute(&mut *connection)
            .await
            .unwrap();
    }
    connection.commit().await.unwrap();
    let first_part = store.pending_batches().await.unwrap();
    assert_eq!(first_part.len(), usize::try_from(PENDING_MAX).unwrap());
    for batch in first_part {
        store.finish_batch("a", batch.sequence).await.unwrap();
    }
    assert_eq!(store.pending_batches().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused() {
    let bench = Bench::new();
    let store = bench.open().await;
    let body = json!("x".repeat(JSON_BYTES_MAX));
    let huge = BatchIntent { body, ..intent(&store, "a", 1).await };
    assert!(matches!(
        store.record_batch(&huge, &page(1)).await,
        Err(StoreError::BatchTooLarge { .. })
    ));
}

#[tokio::test]
async fn each_part_of_a_stream_has_a_state_of_its_own() {
    let bench = Bench::new();
    let store = bench.open().await;
    let change = |resets, parts: &[(&str, Option<u64>)]| {
        let one = |(part, state): &(&str, Option<u64>)| {
            ((*part).to_owned(), state.map(serde_json::Value::from))
        };
        StateChanges { resets, parts: parts.iter().map(one).collect() }
    };
    store.change_states("a", &change(false, &[("1", Some(7)), ("2", Some(8))])).await.unwrap();
    store.change_states("b", &change(false, &[("1", Some(9))])).await.unwrap();
    store.change_states("a", &change(false, &[("1", None), ("3", Some(6))])).await.unwrap();
    assert_eq!(store.count_states("a").await.unwrap(), 2);
    assert_eq!(store.stream_state("a", "1").await.unwrap(), None);
    assert_eq!(store.stream_state("a", "3").await.unwrap(), Some(json!(6)));
    let batch = intent(&store, "a", 1).await;
    store.record_batch(&batch, &change(true, &[("2", Some(1))])).await.unwrap();
    assert_eq!(store.count_states("a").await.unwrap(), 1);
    assert_eq!(store.stream_state("a", "2").await.unwrap(), Some(json!(1)));
    assert_eq!(store.stream_state("b", "1").await.unwrap(), Some(json!(9)));
}

#[tokio::test]
async fn what_the_states_were_after_each_batch_is_known_for_a_thousand_batches() {
    let bench = Bench::new();
    let store = bench.open().await;
    let run = store.start_run(RunKind::Sync, "acme").await.unwrap();
    for sequence in 1..=1_150 {
        let batch = BatchIntent { run: run.clone(), ..template(sequence) };
        let mut changes = page(sequence);
        changes.resets = sequence == 500;
        if sequence == 3 || sequence == 1_120 {
            changes.parts.insert("rare".into(), Some(sequence.into()));
        }
        store.record_batch(&batch, &changes).await.unwrap();
        store.finish_batch("a", sequence).await.unwrap();
    }
    let after = async |sequence| store.states_after("a", sequence).await;
    let states = |page: u64, rare: Option<u64>| {
        let rare = rare.map(|rare| ("rare".to_owned(), rare.into()));
        let page = (String::new(), json!({ "page": page }));
        [page].into_iter().chain(rare).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(after(151).await.unwrap(), states(151, Some(3)));
    assert_eq!(after(499).await.unwrap(), states(499, Some(3)));
    assert_eq!(after(500).await.unwrap(), states(500, None));
    assert_eq!(after(1_150).await.unwrap(), states(1_150, Some(1_120)));
    let forgotten = after(150).await.expect_err("too old");
    assert!(matches!(forgotten, StoreError::StateForgotten { oldest: 151, .. }), "{forgotten}");

    // A sync that brings no row changes what the newest batch left.
    let changes = StateChanges { resets: true, ..StateChanges::default() };
    store.change_states("a", &changes).await.unwrap();
    assert_eq!(after(1_150).await.unwrap(), BTreeMap::new());
    assert_eq!(after(1_149).await.unwrap(), states(1_149, Some(1_120)));
}
