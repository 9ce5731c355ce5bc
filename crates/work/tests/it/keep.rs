//! Tables that are restored and dropped: whole, after any crash, and the next sync starts right.

use std::path::Path;

use restway_model::{Code, Explain, RunKind, RunStatus, TableName};
use restway_store::{BatchIntent, StateChanges};
use restway_tables::{Moment, Turn};
use restway_work::{Workspace, init};

use crate::recover::{open, record, rows};

fn items() -> TableName {
    "acme.items".parse().expect("a name")
}

/// A workspace whose resource has had two batches.
async fn landed(folder: &Path) -> Workspace {
    init(folder, None).expect("a workspace");
    record(&open(folder).await, 1, "{\"id\": 1, \"parts\": [7]}").await;
    record(&open(folder).await, 2, "{\"id\": 2, \"parts\": [8]}").await;
    open(folder).await
}

async fn turn(workspace: &Workspace) -> Turn {
    let stream = items().to_string();
    let sequence = workspace.store().next_sequence(&stream).await.expect("a number");
    let run = workspace.store().start_run(RunKind::Tables, "test").await.expect("a run");
    Turn { stream, sequence, run }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_resource_goes_on_from_the_state_that_it_had() {
    let folder = tempfile::tempdir().expect("a folder");
    let workspace = landed(folder.path()).await;
    let tables = workspace.restore(&items(), Moment::Version(1)).await.expect("restored");
    assert_eq!(tables.len(), 2);
    assert_eq!(rows(&workspace, "acme.items").await, ["{\"id\":1}"]);
    assert_eq!(rows(&workspace, "acme.items__parts").await.len(), 1);
    let state = workspace.store().stream_state("acme.items", "").await.expect("a state");
    assert_eq!(state, Some(1.into()), "what the first batch left");
    record(&workspace, 4, "{\"id\": 3}").await;
    assert_eq!(rows(&open(folder.path()).await, "acme.items").await, ["{\"id\":1}", "{\"id\":3}"]);
    let runs = workspace.store().runs(10, None).await.expect("runs");
    let run = runs.iter().find(|run| run.kind == RunKind::Tables).expect("it was a run");
    assert_eq!(run.status, RunStatus::Succeeded);
    assert_eq!(run.subject, "restore acme.items to version 1");
    // And back to what is now an old version again, with the state of that one.
    workspace.restore(&items(), Moment::Version(2)).await.expect("restored");
    assert_eq!(rows(&workspace, "acme.items").await, ["{\"id\":1}", "{\"id\":2}"]);
    let state = workspace.store().stream_state("acme.items", "").await.expect("a state");
    assert_eq!(state, Some(2.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_resource_starts_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let workspace = landed(folder.path()).await;
    workspace.drop_tables(&items()).await.expect("dropped");
    assert!(workspace.lake().tables().await.expect("tables").is_empty());
    assert_eq!(workspace.store().stream_state("acme.items", "").await.expect("none"), None);
    record(&workspace, 4, "{\"id\": \"x\"}").await;
    assert_eq!(rows(&open(folder.path()).await, "acme.items").await, ["{\"id\":\"x\"}"]);
    let missing = workspace.drop_tables(&"acme.itms".parse().expect("a name")).await;
    assert_eq!(missing.expect_err("refused").code(), Code::TableMissing);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_and_not_carried_out_is_when_the_workspace_opens() {
    let folder = tempfile::tempdir().expect("a folder");
    let workspace = landed(folder.path()).await;
    let turn_of = turn(&workspace).await;
    let sequence = turn_of.sequence;
    let run = turn_of.run.clone();
    let planned = workspace.lake().restore(&items(), Moment::Version(1), turn_of).await;
    let (revision, _) = planned.expect("planned");
    let batch = BatchIntent {
        stream: items().to_string(),
        sequence,
        run,
        resource: items(),
        body: serde_json::to_value(&revision).expect("JSON"),
        rows: 0,
    };
    workspace.store().record_batch(&batch, &StateChanges::default()).await.expect("recorded");
    assert_eq!(rows(&workspace, "acme.items").await.len(), 2, "nothing happened yet");
    for _ in 0..2 {
        let next = open(folder.path()).await;
        assert_eq!(rows(&next, "acme.items").await, ["{\"id\":1}"]);
        assert!(next.store().pending_batches().await.expect("a list").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeping_waits_for_nobody_and_changes_nothing_while_another_works() {
    let folder = tempfile::tempdir().expect("a folder");
    let workspace = landed(folder.path()).await;
    let lock = workspace.store().lock().expect("the lock");
    let optimized = workspace.optimize(Vec::new()).await.map(|_| ());
    let restored = workspace.restore(&items(), Moment::Version(1)).await.map(|_| ());
    let dropped = workspace.drop_tables(&items()).await.map(|_| ());
    for refused in [optimized, restored, dropped] {
        assert_eq!(refused.expect_err("refused").code(), Code::WorkspaceBusy);
    }
    drop(lock);
    let done = workspace.optimize(vec![items()]).await.expect("compacted");
    assert_eq!((done[0].files_before, done[0].files), (2, 1));
    assert_eq!(rows(&workspace, "acme.items").await.len(), 2);
}
