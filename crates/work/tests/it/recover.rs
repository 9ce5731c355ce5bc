//! What a process left half done, the next one finishes before anybody reads.

use std::path::Path;
use std::sync::Arc;

use restway_connect::{Proxies, SystemClock};
use restway_model::{Event, Limits, Observer, Records, Redactor, RunKind, TableName};
use restway_store::{BatchIntent, StateChanges};
use restway_tables::{Landing, LoadMode, StagedBatch};
use restway_work::{Extent, Selection, Settings, Stopper, WorkError, Workspace, init};

pub(crate) struct Silent;

impl Observer for Silent {
    fn observe(&self, _: &Event) {}
}

pub(crate) fn settings() -> Settings {
    Settings {
        limits: Limits::default(),
        observer: Arc::new(Silent),
        clock: Arc::new(SystemClock::default()),
        redactor: Redactor::default(),
        may_reach_loopback: true,
        proxies: Proxies::default(),
        tape: None,
        apis: None,
    }
}

pub(crate) async fn open(folder: &Path) -> Workspace {
    Workspace::open(folder, settings()).await.expect("it opens")
}

fn state(sequence: u64) -> StateChanges {
    let parts = [(String::new(), Some(sequence.into()))].into();
    StateChanges { resets: false, parts }
}

/// Stages a record with a list, as a sync does, and records the batch without committing it; the
/// state that it leaves is its number.
pub(crate) async fn record(workspace: &Workspace, sequence: u64, record: &str) -> StagedBatch {
    let resource: TableName = "acme.items".parse().expect("a name");
    let run = workspace.store().start_run(RunKind::Sync, "test").await.expect("a run");
    let landing = Landing {
        resource: resource.clone(),
        stream: resource.to_string(),
        sequence,
        run: run.clone(),
        fetched_at: chrono::DateTime::UNIX_EPOCH,
        mode: LoadMode::Append,
        key: Vec::new(),
        deletes: Default::default(),
        contract: Default::default(),
        max_rejects: Default::default(),
        types: Default::default(),
        nest_depth: 3,
        json: Vec::new(),
        columns: Vec::new(),
        gone: None,
        maps: None,
    };
    let mut intake = workspace.lake().begin(landing).await.expect("it begins");
    let text = bytes::Bytes::copy_from_slice(record.as_bytes());
    let span = 0..text.len();
    intake.push(&Records::new(text, vec![span]), &[]).expect("it lands");
    let staged = intake.finish().expect("it is staged");
    let batch = BatchIntent {
        stream: resource.to_string(),
        sequence,
        run,
        resource,
        body: serde_json::to_value(&staged).expect("JSON"),
        rows: staged.rows(),
    };
    workspace.store().record_batch(&batch, &state(sequence)).await.expect("it is recorded");
    staged
}

pub(crate) async fn rows(workspace: &Workspace, table: &str) -> Vec<String> {
    let sql =
        format!("select * exclude (_row_id, _run_id, _fetched_at) from {table} order by _row_id");
    let answer = workspace.lake().query(&sql, &[]).await.expect("an answer");
    answer.json_rows(100).await.expect("rows")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_batch_is_rolled_forward_when_the_workspace_opens() {
    let folder = tempfile::tempdir().expect("a folder");
    init(folder.path(), None).expect("a workspace");
    // The process stops after the commit point, before any table has the batch.
    record(&open(folder.path()).await, 1, "{\"id\": 1, \"parts\": [7, 8]}").await;

    let next = open(folder.path()).await;
    assert_eq!(rows(&next, "acme.items").await, ["{\"id\":1}"]);
    assert_eq!(next.lake().tables().await.expect("tables").len(), 2);
    assert!(next.store().pending_batches().await.expect("a list").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_some_tables_have_lands_once_in_each() {
    let folder = tempfile::tempdir().expect("a folder");
    init(folder.path(), None).expect("a workspace");
    let first = open(folder.path()).await;
    let staged = record(&first, 1, "{\"id\": 1, \"parts\": [7]}").await;
    // The process stops after the tables have the batch, before the journal knows.
    first.lake().commit(&staged).await.expect("it is committed");

    for _ in 0..2 {
        let next = open(folder.path()).await;
        assert_eq!(rows(&next, "acme.items").await, ["{\"id\":1}"]);
        assert!(next.store().pending_batches().await.expect("a list").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_rolled_forward_while_another_process_works() {
    let folder = tempfile::tempdir().expect("a folder");
    init(folder.path(), None).expect("a workspace");
    let worker = open(folder.path()).await;
    let lock = worker.store().lock().expect("the lock");
    record(&worker, 1, "{\"id\": 1}").await;

    let reader = open(folder.path()).await;
    assert!(reader.lake().tables().await.expect("tables").is_empty());
    let (_stopper, stop) = Stopper::new();
    fs_err::write(
        folder.path().join("apis/acme.yaml"),
        "api: acme\nbase_url: http://127.0.0.1:1\nresources: { items: / }\n",
    )
    .expect("a file");
    let refused = open(folder.path()).await.sync(&Selection::default(), Extent::New, &stop).await;
    assert!(matches!(refused, Err(WorkError::Store(_))), "{refused:?}");
    drop(lock);
    assert_eq!(rows(&open(folder.path()).await, "acme.items").await, ["{\"id\":1}"]);
}
