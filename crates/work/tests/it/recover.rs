//! What a process left half done, the next one finishes before anybody reads.

use std::path::Path;
use std::sync::Arc;

use restway_connect::{Proxies, SystemClock};
use restway_model::{
    Code, Event, Explain, Limits, Observer, Records, Redactor, RunKind, TableName,
};
use restway_store::{BatchIntent, StateChanges};
use restway_tables::{Landing, LoadMode, StagedBatch};
use restway_work::{
    Extent, FileContent, FileImport, Selection, Settings, Stopper, WorkError, Workspace, init,
};
use sqlx::{Connection, Executor};

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
    record_of(workspace, "acme.items", sequence, record).await
}

async fn record_of(
    workspace: &Workspace,
    resource: &str,
    sequence: u64,
    record: &str,
) -> StagedBatch {
    let resource: TableName = resource.parse().expect("a name");
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

const TWO: &str = "api: acme
base_url: http://127.0.0.1:1
retry: { deadline: 0s }
resources:
  items: { path: /, load: append }
  parts: { for_each: items, path: '/${parent.id}' }
  other: /
";

/// A workspace where a table lost what a recorded batch was made for.
async fn stuck(folder: &Path) -> Workspace {
    init(folder, None).expect("a workspace");
    fs_err::write(folder.join("apis/acme.yaml"), TWO).expect("a file");
    record(&open(folder).await, 1, "{\"id\": 1, \"l\": [1]}").await;
    let before = open(folder).await;
    record_of(&before, "acme.other", 1, "{\"id\": 7}").await;
    record(&before, 2, "{\"id\": 2, \"l\": [2]}").await;
    fs_err::remove_dir_all(folder.join(".restway/tables/acme/items")).expect("it goes");
    open(folder).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_its_table_does_not_take_stops_its_resource_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let workspace = stuck(folder.path()).await;
    assert_eq!(rows(&workspace, "acme.other").await, ["{\"id\":7}"], "the other is finished");
    let (_stopper, stop) = Stopper::new();
    let report = workspace.sync(&Selection::default(), Extent::New, &stop).await;
    let report = report.expect("a report");
    let said: Vec<String> = report
        .resources
        .iter()
        .map(|one| format!("{} {}", one.resource, one.error.as_ref().expect("an error").code()))
        .collect();
    assert_eq!(
        said,
        ["acme.items table.conflict", "acme.other call.connect", "acme.parts run.failed"]
    );
    let error = report.resources[0].error.as_ref().expect("an error");
    assert!(error.to_string().contains("batch 2 of `acme.items`"), "{error}");
    assert!(error.hints().iter().any(|hint| hint.contains("tables drop acme.items")));
    let items: TableName = "acme.items".parse().expect("a name");
    for refused in [
        workspace.restore(&items, restway_tables::Moment::Version(0)).await.map(|_| ()),
        workspace.optimize(vec![items.clone()]).await.map(|_| ()),
        workspace.vacuum(vec![items.clone()], Default::default()).await.map(|_| ()),
    ] {
        assert_eq!(refused.expect_err("it waits").code(), Code::TableConflict);
    }
    let done = workspace.optimize(Vec::new()).await.expect("the others");
    let names: Vec<String> = done.iter().map(|one| one.table.to_string()).collect();
    assert_eq!(names, ["acme._requests", "acme.other"], "the list of one that waits waits too");
    workspace.drop_tables(&items).await.expect("it is given up");
    assert!(workspace.store().pending_batches().await.expect("a list").is_empty());
    assert_eq!(workspace.lake().tables().await.expect("tables").len(), 2);
    record(&workspace, 4, "{\"id\": 3}").await;
    assert_eq!(rows(&open(folder.path()).await, "acme.items").await, ["{\"id\":3}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_that_was_recorded_gives_up_what_waits_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let workspace = stuck(folder.path()).await;
    let items: TableName = "acme.items".parse().expect("a name");
    let run = workspace.store().start_run(RunKind::Tables, "test").await.expect("a run");
    let (stream, sequence) = (items.to_string(), 3);
    let turn = restway_tables::Turn { stream: stream.clone(), sequence, run: run.clone() };
    let planned = workspace.lake().dropped(&items, turn, vec![items.clone()]).await;
    let body = serde_json::to_value(planned.expect("planned")).expect("JSON");
    let batch = BatchIntent { stream, sequence, run, resource: items, body, rows: 0 };
    // The process stops after it has recorded the drop.
    let changes = StateChanges { resets: true, ..StateChanges::default() };
    workspace.store().record_batch(&batch, &changes).await.expect("recorded");
    let next = open(folder.path()).await;
    assert!(next.store().pending_batches().await.expect("a list").is_empty());
    assert!(!folder.path().join(".restway/tables/acme/items").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_lacks_a_batch_is_not_added_to() {
    let folder = tempfile::tempdir().expect("a folder");
    init(folder.path(), None).expect("a workspace");
    fs_err::write(folder.path().join("apis/acme.yaml"), TWO).expect("a file");
    for sequence in 1..=2 {
        let workspace = open(folder.path()).await;
        let staged = record(&workspace, sequence, &format!("{{\"id\": {sequence}}}")).await;
        workspace.lake().commit(&staged).await.expect("committed");
        let none = StateChanges { resets: true, ..StateChanges::default() };
        workspace.store().finish_batch("acme.items", sequence).await.expect("finished");
        workspace.store().change_states("acme.items", &none).await.expect("no state is left");
    }
    let log = folder.path().join(".restway/tables/acme/items/_delta_log");
    fs_err::remove_file(log.join(format!("{:020}.json", 2))).expect("a version is lost");
    let workspace = open(folder.path()).await;
    let (_stopper, stop) = Stopper::new();
    let items = Selection(vec!["acme.items".into()]);
    let report = workspace.sync(&items, Extent::New, &stop).await.expect("a report");
    let error = report.resources[0].error.as_ref().expect("an error");
    assert!(matches!(error, WorkError::TableBehind { landed: 1, recorded: 2, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_batch_stay_when_the_journal_does_not_say_that_it_was_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    init(folder.path(), None).expect("a workspace");
    let workspace = open(folder.path()).await;
    let journal = format!("sqlite://{}", folder.path().join(".restway/restway.db").display());
    let mut journal = sqlx::SqliteConnection::connect(&journal).await.expect("the journal");
    let refuse =
        "create trigger refuse before insert on batch begin select raise(abort, 'no'); end";
    journal.execute(refuse).await.expect("a trigger");
    let (_stopper, stop) = Stopper::new();
    let import = || FileImport {
        name: "a.ndjson".into(),
        content: FileContent::Ndjson(Box::new(std::io::Cursor::new(b"{\"id\": 1}\n".to_vec()))),
        table: "lake.a".parse().expect("a name"),
        appends: true,
        types: Default::default(),
    };
    let files = || {
        let all = fs_err::read_dir(folder.path().join(".restway/tables/lake/a")).expect("a folder");
        all.flatten().filter(|it| it.path().extension().is_some_and(|it| it == "parquet")).count()
    };
    let report = workspace.import_file(import(), &stop).await.expect("a report");
    assert_eq!(report.resources[0].error.as_ref().map(Explain::code), Some(Code::StoreFailed));
    assert_eq!(files(), 1, "the batch may be recorded");
    journal.execute("drop trigger refuse").await.expect("it goes");
    workspace.import_file(import(), &stop).await.expect("a report");
    assert_eq!((files(), rows(&workspace, "lake.a").await.len()), (1, 1), "and is swept if not");
}
