//! Rolling forward: what a process recorded and did not finish, the next one finishes.
//!
//! In: the journal's batches that are not in their tables yet. Out: tables that have them, and the
//! batches that no table takes: of each resource the first, because what follows it must wait. One
//! resource that cannot go on is refused by name, and never keeps the others from going on. A batch
//! that was recorded before the drop of its tables is given up with them.

use std::collections::BTreeMap;

use restway_model::{Event, TableName};
use restway_store::BatchIntent;
use restway_tables::{Revision, StagedBatch};
use serde::{Deserialize, Serialize};

use crate::{WorkError, Workspace};

/// What the journal holds of a batch until it is in the tables.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Body {
    /// Records that were landed.
    Landed(StagedBatch),
    /// Tables that are restored or dropped.
    Revised(Revision),
}

/// How often the journal is asked for more; each answer holds hundreds of batches.
const ROUNDS_MAX: usize = 10_000;

/// Why batches could not be brought into their tables, by resource.
#[derive(Debug, Default)]
pub(crate) struct Unfinished(BTreeMap<TableName, WorkError>);

impl Unfinished {
    /// Why the batches of a resource wait, if they do.
    pub(crate) fn take(&mut self, resource: &TableName) -> Option<WorkError> {
        self.0.remove(resource)
    }

    /// Why a table waits, if it does: that of a resource, or of a list in its records.
    pub(crate) fn keeps(&self, table: &TableName) -> Option<&WorkError> {
        self.0.iter().find(|(resource, _)| is_of(table, resource)).map(|(_, error)| error)
    }

    /// As [`Self::keeps`], for one who reports it.
    pub(crate) fn take_of(&mut self, table: &TableName) -> Option<WorkError> {
        let resource = self.0.keys().find(|resource| is_of(table, resource))?.clone();
        self.take(&resource)
    }

    /// Refuses to go on with a resource whose batches wait.
    pub(crate) fn refuse(mut self, resource: &TableName) -> Result<(), WorkError> {
        self.take(resource).map_or(Ok(()), Err)
    }

    /// All of them, each with its resource.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TableName, &WorkError)> {
        self.0.iter()
    }
}

/// Whether a table is a resource's, or of a list in its records.
fn is_of(table: &TableName, resource: &TableName) -> bool {
    let list = table.table.as_str().strip_prefix(resource.table.as_str());
    let is_its = list.is_some_and(|list| list.is_empty() || list.starts_with("__"));
    resource.api == table.api && is_its
}

impl Workspace {
    /// Brings every table to where the journal is, as far as they let it. Must be called under the
    /// workspace's lock.
    ///
    /// # Errors
    /// The journal itself.
    pub(crate) async fn recover(&self) -> Result<Unfinished, WorkError> {
        let mut unfinished = Unfinished::default();
        for _ in 0..ROUNDS_MAX {
            let pending = self.store.pending_batches().await?;
            let mut is_any = false;
            for batch in &pending {
                if unfinished.0.contains_key(&batch.resource) {
                    continue;
                }
                let is_given_up = pending.iter().any(|later| {
                    later.stream == batch.stream && later.sequence > batch.sequence && drops(later)
                });
                if !is_given_up && let Err(source) = self.roll_forward(batch).await {
                    let (resource, sequence) = (batch.resource.clone(), batch.sequence);
                    let source = Box::new(source);
                    let error = WorkError::Unfinished { resource, sequence, source };
                    unfinished.0.insert(batch.resource.clone(), error);
                    continue;
                }
                self.store.finish_batch(&batch.stream, batch.sequence).await?;
                is_any = true;
                if !is_given_up {
                    let (resource, sequence) = (batch.resource.clone(), batch.sequence);
                    self.observer.observe(&Event::BatchRecovered { resource, sequence });
                }
            }
            if !is_any {
                break;
            }
        }
        Ok(unfinished)
    }

    async fn roll_forward(&self, batch: &BatchIntent) -> Result<(), WorkError> {
        match body_of(batch)? {
            Body::Landed(staged) => drop(self.lake.commit(&staged).await?),
            Body::Revised(revision) => self.lake.revise(&revision).await?,
        }
        Ok(())
    }

    /// The tables that the waiting batches of a stream are for.
    pub(crate) async fn waiting_tables(&self, stream: &str) -> Result<Vec<TableName>, WorkError> {
        let mut tables = Vec::new();
        for batch in self.store.pending_batches().await? {
            if batch.stream != stream {
                continue;
            }
            match body_of(&batch) {
                Ok(Body::Landed(staged)) => tables.extend(staged.tables().cloned()),
                Ok(Body::Revised(revision)) => {
                    tables.extend(revision.tables().into_iter().cloned());
                }
                // What nobody can read is of its resource at least.
                Err(_) => tables.push(batch.resource),
            }
        }
        Ok(tables)
    }

    /// Gives up the batches of a stream that wait, up to one that takes their tables away.
    pub(crate) async fn give_up(&self, stream: &str, before: u64) -> Result<(), WorkError> {
        for batch in self.store.pending_batches().await? {
            if batch.stream == stream && batch.sequence < before {
                self.store.finish_batch(stream, batch.sequence).await?;
            }
        }
        Ok(())
    }
}

/// Whether a batch takes the tables of its resource away.
fn drops(batch: &BatchIntent) -> bool {
    matches!(body_of(batch), Ok(Body::Revised(revision)) if revision.is_drop())
}

fn body_of(batch: &BatchIntent) -> Result<Body, WorkError> {
    serde_json::from_value(batch.body.clone()).map_err(|source| WorkError::Journal {
        stream: batch.stream.clone(),
        sequence: batch.sequence,
        source,
    })
}
