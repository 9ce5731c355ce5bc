//! The tables of a resource brought back to what they were, or removed: all of them together.
//!
//! In: a table of a resource and a moment. Out: a [`Revision`], which changes nothing yet, can be
//! kept in a journal, and is carried out by this process or another. It has a number in the
//! resource's line of batches, so that carrying it out twice does nothing twice, and a sync that
//! follows goes on after it. Child tables are brought back to the newest batch that the resource's
//! own version has, by the number that each commit says: times of commits prove nothing. Rejects
//! stay where they are, and go with a resource that is dropped. What never happens here: a change
//! of one table alone that would leave its parent's or its children's rows without their
//! counterpart.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Add, Metadata, MetadataExt, Transaction};
use deltalake_core::protocol::DeltaOperation;
use restway_model::{Event, RunId, TableName};
use serde::{Deserialize, Serialize};

use crate::commit::{landed, run_metadata, sync_checkpoint};
use crate::delta::{Opened, is_table, open, open_version};
use crate::error::TableError;
use crate::lake::{Shared, folders};
use crate::moment::{Moment, check_files, open_at};
use crate::naming::{rejects_table, resource_of};
use crate::together::{batch_at, version_of};
use crate::write::sync_folder;

/// A change of all tables of a resource that is not a landing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    stream: String,
    sequence: u64,
    resource: TableName,
    run: RunId,
    change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    /// Each table gets the rows and columns of a version, or no rows where there is none. The
    /// resource's own table is the last.
    Restore(Vec<(TableName, Option<u64>)>),
    /// The tables go, with all their versions.
    Drop(Vec<TableName>),
}

/// Which line of batches a revision belongs to, and its place there.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The name under which the resource's batches are numbered.
    pub stream: String,
    /// The number.
    pub sequence: u64,
    /// The run.
    pub run: RunId,
}

impl Revision {
    /// Whether it takes its tables away.
    pub fn is_drop(&self) -> bool {
        matches!(self.change, Change::Drop(_))
    }

    /// The tables that it changes.
    pub fn tables(&self) -> Vec<&TableName> {
        match &self.change {
            Change::Restore(tables) => tables.iter().map(|(table, _)| table).collect(),
            Change::Drop(tables) => tables.iter().collect(),
        }
    }
}

/// The way back to a moment: the revision, and the newest batch that the tables had then.
pub(crate) async fn restore(
    shared: &Shared,
    name: &TableName,
    moment: Moment,
    turn: Turn,
) -> Result<(Revision, Option<u64>), TableError> {
    let now = open(&shared.root, name).await?;
    let now = now.ok_or_else(|| shared.missing(&name.to_string()))?;
    let target = open_at(shared, name, Some(moment)).await?;
    let target = target.ok_or_else(|| shared.missing(&name.to_string()))?;
    check_files(shared, name, &target, Some(moment))?;
    let had = landed(&now, name, &turn.stream).await?;
    if let Some(landed) = had.filter(|landed| *landed >= turn.sequence) {
        let (table, sequence) = (name.clone(), turn.sequence);
        return Err(TableError::JournalBehind { table, landed, sequence });
    }
    let then = landed(&target, name, &turn.stream).await?;
    let batch = batch_at(&shared.folder(name), target.version())?;
    let mut tables = Vec::new();
    for child in family(shared, name).await?.into_iter().filter(|table| table != name) {
        // One that cannot be read cannot be brought back; that is said before anything is done.
        open(&shared.root, &child).await?;
        let version = match batch {
            Some(batch) if !target.files().is_empty() => {
                child_version(shared, &child, batch).await?
            }
            _ => None,
        };
        tables.push((child, version));
    }
    tables.push((name.clone(), Some(target.version())));
    let Turn { stream, sequence, run } = turn;
    let change = Change::Restore(tables);
    Ok((Revision { stream, sequence, resource: name.clone(), run, change }, then))
}

/// The version that a child table had; none before it was there.
async fn child_version(
    shared: &Shared,
    child: &TableName,
    batch: u64,
) -> Result<Option<u64>, TableError> {
    let Some(version) = version_of(shared, child, batch)? else { return Ok(None) };
    let opened = open_version(&shared.root, child, version).await?;
    let opened = opened.ok_or_else(|| shared.missing(&child.to_string()))?;
    check_files(shared, child, &opened, Some(Moment::Version(version)))?;
    Ok(Some(version))
}

/// The removal of a resource's tables; of one that cannot be read too. `waiting` are those that
/// batches were recorded for, and which may not be there.
pub(crate) async fn dropped(
    shared: &Shared,
    name: &TableName,
    turn: Turn,
    waiting: Vec<TableName>,
) -> Result<Revision, TableError> {
    if !is_table(&shared.folder(name)) && waiting.is_empty() {
        return Err(shared.missing(&name.to_string()));
    }
    let mut tables = family(shared, name).await?;
    tables.extend(waiting);
    let rejects = rejects_table(name);
    if is_table(&shared.folder(&rejects)) {
        tables.insert(rejects);
    }
    let tables = tables.into_iter().collect();
    let Turn { stream, sequence, run } = turn;
    Ok(Revision { stream, sequence, resource: name.clone(), run, change: Change::Drop(tables) })
}

/// A table and all tables that are lists of its records, however deep.
///
/// # Errors
/// [`TableError::ChildTable`] when the table itself is such a list, and its parent is there.
pub(crate) async fn family(
    shared: &Shared,
    name: &TableName,
) -> Result<BTreeSet<TableName>, TableError> {
    let mut parents = BTreeMap::new();
    for table in folders(&shared.root.join(name.api.as_str()))? {
        let table = TableName::new(name.api.clone(), table);
        let parent = match open(&shared.root, &table).await {
            Ok(opened) => opened.and_then(|opened| opened.parent()),
            // One that cannot be read belongs where its name says.
            Err(_) => Some(resource_of(&table)).filter(|resource| *resource != table),
        };
        if let Some(parent) = parent {
            parents.insert(table, parent);
        }
    }
    if let Some(parent) = parents.get(name)
        && is_table(&shared.folder(parent))
    {
        return Err(TableError::ChildTable { table: name.clone(), parent: parent.clone() });
    }
    let mut family = BTreeSet::from([name.clone()]);
    // A child's child is found in the round after its parent.
    for _ in 0..parents.len() {
        let found = parents.iter().filter(|(_, parent)| family.contains(*parent));
        let found: Vec<TableName> = found.map(|(table, _)| table.clone()).collect();
        family.extend(found);
    }
    Ok(family)
}

/// Carries a revision out; what is done already stays done.
pub(crate) async fn revise(shared: &Shared, revision: &Revision) -> Result<(), TableError> {
    match &revision.change {
        Change::Drop(tables) => tables.iter().try_for_each(|table| remove(&shared.folder(table))),
        Change::Restore(tables) => {
            for (table, version) in tables {
                bring_back(shared, revision, table, *version).await?;
            }
            Ok(())
        }
    }
}

/// Removes a table: its log first, so that a part of it is never taken for the whole.
fn remove(folder: &Path) -> Result<(), TableError> {
    for path in [&folder.join("_delta_log"), folder] {
        match fs_err::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(TableError::file(path, error));
            }
            _ => {}
        }
    }
    match folder.parent() {
        Some(parent) if parent.exists() => sync_folder(parent),
        _ => Ok(()),
    }
}

/// Commits a version's files and columns as the newest ones.
async fn bring_back(
    shared: &Shared,
    revision: &Revision,
    name: &TableName,
    version: Option<u64>,
) -> Result<(), TableError> {
    let Some(now) = open(&shared.root, name).await? else { return Ok(()) };
    let had = landed(&now, name, &revision.stream).await?;
    if had.is_some_and(|landed| landed >= revision.sequence) {
        return Ok(());
    }
    let target = match version {
        None => None,
        Some(version) => {
            let target = open_version(&shared.root, name, version).await?;
            let target = target.ok_or_else(|| shared.missing(&name.to_string()))?;
            check_files(shared, name, &target, Some(Moment::Version(version)))?;
            Some(target)
        }
    };
    let actions = differences(&now, target.as_ref())?;
    let sequence = i64::try_from(revision.sequence).unwrap_or(i64::MAX);
    let run = run_metadata(&revision.run, revision.sequence, actions.len() + 1);
    let properties = CommitProperties::default()
        .with_metadata(run)
        .with_application_transaction(Transaction::new(&revision.stream, sequence));
    let operation = DeltaOperation::Restore { version, datetime: None };
    let committed = CommitBuilder::from(properties)
        .with_actions(actions)
        .build(Some(&now.snapshot), now.store.clone(), operation)
        .await;
    let overtaken = |error| TableError::Overtaken { table: name.clone(), source: Box::new(error) };
    let version = committed.map_err(overtaken)?.version();
    sync_checkpoint(&shared.folder(name), version)?;
    shared.observer.observe(&Event::TableCommitted { table: name.clone(), version, rows: 0 });
    Ok(())
}

/// What makes a table what it was.
fn differences(now: &Opened, target: Option<&Opened>) -> Result<Vec<Action>, TableError> {
    let mut actions = Vec::new();
    let paths = |opened: &Opened| -> BTreeSet<String> {
        opened.files().into_iter().map(|file| file.path).collect()
    };
    let active = paths(now);
    let wanted = target.map(paths).unwrap_or_default();
    if let Some(target) = target {
        if now.snapshot.schema() != target.snapshot.schema() {
            let metadata: Metadata = now.snapshot.metadata().clone();
            let schema = target.snapshot.schema();
            let metadata = metadata.with_schema(&schema).map_err(TableError::internal)?;
            actions.push(Action::Metadata(metadata));
        }
        let files = target.snapshot.log_data();
        let missing = files.iter().filter(|file| !active.contains(file.path().as_ref()));
        actions.extend(missing.map(|file| {
            Action::Add(Add {
                path: file.path().into_owned(),
                size: file.size(),
                modification_time: file.modification_time(),
                data_change: true,
                stats: file.stats(),
                ..Add::default()
            })
        }));
    }
    let files = now.snapshot.log_data();
    let surplus = files.iter().filter(|file| !wanted.contains(file.path().as_ref()));
    actions.extend(surplus.map(|file| Action::Remove(file.remove_action(true))));
    Ok(actions)
}
