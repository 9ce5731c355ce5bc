//! A staged batch made visible, table by table, exactly once.
//!
//! In: a batch whose files are on the disk. Out: one Delta commit per table, with the batch's
//! number as its `txn` action. The number is compared on the very snapshot that is committed on,
//! so a batch that is committed again, by this process or another, adds nothing; and a commit
//! whose answer was lost is recognized as done. Child tables go first, so that a record that is
//! visible has its rows. Nothing is parsed, converted or encoded here.
//!
//! An entry of the log is on the disk before it has its name (`log`); what else belongs to a
//! version is flushed here, after each commit and before a batch is taken for done: a commit that
//! was reported survives a loss of power.

use std::collections::HashMap;
use std::path::Path;

use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::{
    CommitBuilder, CommitData, CommitProperties, TransactionError,
};
use deltalake_core::kernel::{
    Action, Add, Metadata, MetadataExt, Protocol, Remove, Transaction, new_metadata,
};
use deltalake_core::logstore::CommitOrBytes;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use restway_model::{Event, RunId, TableName};
use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::delta::{Opened, configuration, open, schema};
use crate::error::TableError;
use crate::keys;
use crate::lake::Shared;
use crate::log::{self, ACTIONS_KEY};
use crate::staged::{Removed, StagedBatch, StagedTable};
use crate::write::{Trail, sync_folder};
use crate::{CommittedTable, LoadMode};

/// Looks at a table that another writer keeps changing.
const ATTEMPTS_MAX: usize = 8;

/// Rolls every table of the batch forward.
pub(crate) async fn commit(
    shared: &Shared,
    batch: &StagedBatch,
) -> Result<Vec<CommittedTable>, TableError> {
    let mut committed = Vec::new();
    for table in batch.tables.iter().rev() {
        committed.push(commit_table(shared, batch, table).await?);
    }
    committed.reverse();
    Ok(committed)
}

async fn commit_table(
    shared: &Shared,
    batch: &StagedBatch,
    table: &StagedTable,
) -> Result<CommittedTable, TableError> {
    let name = &table.def.name;
    let fresh = table.files.iter().filter(|file| file.fresh);
    let rows = fresh.map(|file| file.rows).sum();
    for _ in 0..ATTEMPTS_MAX {
        let Some(opened) = open(&shared.root, name).await? else {
            check_creatable(batch, table)?;
            create(shared, batch, table).await?;
            continue;
        };
        if is_done(&opened, name, batch).await? {
            let version = opened.version();
            // Who committed it may have died before the disk had the entry's name.
            sync_folder(&shared.folder(name).join("_delta_log"))?;
            return Ok(CommittedTable { table: name.clone(), version, rows, is_new: false });
        }
        check_base(&opened, batch, table)?;
        match write(&opened, batch, table).await {
            Ok(version) => {
                sync_checkpoint(&shared.folder(name), version)?;
                report(shared, table, version, rows);
                return Ok(CommittedTable { table: name.clone(), version, rows, is_new: true });
            }
            Err(DeltaTableError::Transaction { source: TransactionError::CommitConflict(_) }) => {}
            Err(error) => return Err(TableError::damaged(name, error)),
        }
    }
    Err(conflict(batch, name, "another writer commits all the time"))
}

fn conflict(batch: &StagedBatch, table: &TableName, problem: &str) -> TableError {
    let (table, problem) = (table.clone(), problem.to_owned());
    TableError::Conflict { table, sequence: batch.sequence, problem }
}

/// The newest batch of the stream that the table has.
pub(crate) async fn landed(
    opened: &Opened,
    name: &TableName,
    stream: &str,
) -> Result<Option<u64>, TableError> {
    let landed = opened
        .snapshot
        .transaction_version(opened.store.as_ref(), stream)
        .await
        .map_err(|error| TableError::damaged(name, error))?;
    Ok(landed.and_then(|landed| u64::try_from(landed).ok()))
}

/// Whether the table has the batch already.
async fn is_done(
    opened: &Opened,
    name: &TableName,
    batch: &StagedBatch,
) -> Result<bool, TableError> {
    let landed = landed(opened, name, &batch.stream).await?;
    Ok(landed.is_some_and(|landed| landed >= batch.sequence))
}

fn check_creatable(batch: &StagedBatch, table: &StagedTable) -> Result<(), TableError> {
    if table.base.is_some() {
        return Err(conflict(batch, &table.def.name, "the table is gone"));
    }
    Ok(())
}

/// Whether the table is still what the batch was staged for.
fn check_base(opened: &Opened, batch: &StagedBatch, table: &StagedTable) -> Result<(), TableError> {
    let name = &table.def.name;
    let now = opened.def(name);
    // A table that this batch makes exists already when a process stopped between making it and
    // adding its rows.
    if table.base.as_ref().unwrap_or(&table.def) != &now {
        return Err(conflict(batch, name, "its columns are others"));
    }
    if let Some(looked_at) = &table.looked_at {
        let files = opened.files();
        if *looked_at != keys::names(files.iter().map(|file| file.path.as_str())) {
            return Err(conflict(batch, name, "its files are others"));
        }
    }
    Ok(())
}

/// Makes the table, empty: version 0 is not checked for conflicts, so rows never ride in it.
async fn create(
    shared: &Shared,
    batch: &StagedBatch,
    table: &StagedTable,
) -> Result<(), TableError> {
    let name = &table.def.name;
    let folder = shared.folder(name);
    let trail = Trail::new(String::new());
    trail.make_folder(&folder.join("_delta_log"))?;
    let schema = schema(&table.def)?;
    let metadata = new_metadata(&schema, Vec::<String>::new(), configuration(&table.def))
        .and_then(|metadata| metadata.with_name(name.to_string()))
        .map_err(TableError::internal)?;
    let protocol: Protocol =
        serde_json::from_value(json!({ "minReaderVersion": 1, "minWriterVersion": 2 }))
            .map_err(TableError::internal)?;
    let location = Url::from_directory_path(&folder)
        .map_err(|()| TableError::internal("the tables' folder is not absolute"))?;
    let operation = DeltaOperation::Create {
        mode: SaveMode::ErrorIfExists,
        location,
        protocol: protocol.clone(),
        metadata: metadata.clone(),
    };
    let actions = vec![Action::Protocol(protocol), Action::Metadata(metadata)];
    let run = run_metadata(&batch.run, batch.sequence, actions.len());
    let data = CommitData::new(actions, operation, run, Vec::new());
    let bytes = data.get_bytes().map_err(|error| TableError::damaged(name, error))?;
    let store = log::store(&folder)?;
    match store.write_commit_entry(0, CommitOrBytes::LogBytes(bytes), Uuid::new_v4()).await {
        Ok(()) | Err(TransactionError::VersionAlreadyExists(_)) => {
            sync_folder(&folder.join("_delta_log"))
        }
        Err(error) => Err(TableError::damaged(name, error)),
    }
}

async fn write(
    opened: &Opened,
    batch: &StagedBatch,
    table: &StagedTable,
) -> Result<u64, DeltaTableError> {
    let mut actions = Vec::new();
    if table.base.as_ref().is_some_and(|base| *base != table.def) {
        let schema =
            schema(&table.def).map_err(|error| DeltaTableError::Generic(error.to_string()))?;
        let metadata: Metadata = opened.snapshot.metadata().clone();
        actions.push(Action::Metadata(metadata.with_schema(&schema)?));
    }
    let goes = |path: &str| match &table.removed {
        Removed::Nothing => false,
        Removed::All => true,
        Removed::Files(names) => names.binary_search_by(|name| name.as_str().cmp(path)).is_ok(),
    };
    let files = opened.snapshot.log_data();
    let removed = files.iter().filter(|file| goes(&file.path()));
    let removed: Vec<Remove> = removed.map(|file| file.remove_action(true)).collect();
    actions.extend(removed.into_iter().map(Action::Remove));
    actions.extend(table.files.iter().map(|file| {
        Action::Add(Add {
            path: file.name.clone(),
            size: file.bytes as i64,
            modification_time: file.modified_millis,
            data_change: true,
            stats: Some(file.stats.clone()),
            ..Add::default()
        })
    }));
    let operation = operation(batch, table);
    let sequence = i64::try_from(batch.sequence).unwrap_or(i64::MAX);
    let properties = CommitProperties::default()
        .with_metadata(run_metadata(&batch.run, batch.sequence, actions.len() + 1))
        .with_application_transaction(Transaction::new(&batch.stream, sequence));
    let finalized = CommitBuilder::from(properties)
        .with_actions(actions)
        .build(Some(&opened.snapshot), opened.store.clone(), operation)
        .await?;
    Ok(finalized.version())
}

/// What the log says was done. Where the batch depends on files that it looked at, it is a merge of
/// the whole table: then a commit of another writer between our look and our commit is a conflict.
fn operation(batch: &StagedBatch, table: &StagedTable) -> DeltaOperation {
    if table.looked_at.is_some() {
        return DeltaOperation::Merge {
            predicate: None,
            merge_predicate: None,
            matched_predicates: Vec::new(),
            not_matched_predicates: Vec::new(),
            not_matched_by_source_predicates: Vec::new(),
        };
    }
    let mode = match batch.mode {
        LoadMode::Replace if table.removed == Removed::All => SaveMode::Overwrite,
        _ => SaveMode::Append,
    };
    DeltaOperation::Write { mode, partition_by: None, predicate: None }
}

/// What a commit says of itself: the run and the batch that it is of, and how many actions it has.
pub(crate) fn run_metadata(
    run: &RunId,
    sequence: u64,
    actions: usize,
) -> HashMap<String, serde_json::Value> {
    HashMap::from([
        ("restway.run".to_owned(), json!(run)),
        ("restway.sequence".to_owned(), json!(sequence)),
        (ACTIONS_KEY.to_owned(), json!(actions)),
    ])
}

/// Waits until the disk has the checkpoint that came with a version, if one did: a large one is not
/// written at once, as an entry of the log is.
pub(crate) fn sync_checkpoint(folder: &Path, version: u64) -> Result<(), TableError> {
    let log = folder.join("_delta_log");
    let number = format!("{version:020}.checkpoint");
    let entries = fs_err::read_dir(&log).map_err(|error| TableError::file(&log, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| TableError::file(&log, error))?;
        if entry.file_name().to_string_lossy().starts_with(&number) {
            let path = entry.path();
            let synced = fs_err::File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(|error| TableError::file(&path, error))?;
            sync_folder(&log)?;
        }
    }
    Ok(())
}

fn report(shared: &Shared, table: &StagedTable, version: u64, rows: u64) {
    let name = &table.def.name;
    for change in &table.changes {
        shared.observer.observe(&Event::ColumnChanged {
            table: name.clone(),
            column: change.column.clone(),
            from: change.from,
            to: change.to,
        });
    }
    shared.observer.observe(&Event::TableCommitted { table: name.clone(), version, rows });
}

/// Removes the files of a batch that no table has.
pub(crate) async fn discard(shared: &Shared, batch: &StagedBatch) -> Result<(), TableError> {
    for table in &batch.tables {
        let name = &table.def.name;
        let folder = shared.folder(name);
        let opened = open(&shared.root, name).await?;
        if let Some(opened) = &opened
            && is_done(opened, name, batch).await?
        {
            continue;
        }
        for file in &table.files {
            let path = folder.join(&file.name);
            match fs_err::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(TableError::file(&path, error));
                }
                _ => {}
            }
        }
        if opened.is_none() {
            // The folder stays when something else is in it, and that is right.
            let _ = fs_err::remove_dir(&folder);
        }
    }
    Ok(())
}
