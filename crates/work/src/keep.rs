//! Keeping tables: compacting them, freeing what old versions need, restoring and dropping them.
//!
//! In: names of tables. Out: tables that hold the same rows in fewer files, or the rows that they
//! held before, or that are gone. All of it happens under the workspace's lock, after what an
//! earlier process left is finished. Restoring and dropping are batches of the journal like any
//! landing: recorded first, carried out after, finished by the next process if this one dies; and
//! the state that a sync goes on from is the one that the restored rows had, or none. Nothing is
//! called or landed here.

use std::collections::BTreeMap;
use std::time::Duration;

use restway_model::{Counts, Event, RunId, RunKind, RunStatus, TableName};
use restway_store::{BatchIntent, RunError, StateChanges};
use restway_tables::{Compacted, Moment, Revision, Turn};
use serde_json::Value;

use crate::recover::{Body, Unfinished};
use crate::{WorkError, Workspace};

/// From where the parts of a resource go on.
type States = BTreeMap<String, Value>;

impl Workspace {
    /// Removes the files that only versions older than `age` need, from the tables that are named
    /// or from all; answers with how many files went from each.
    ///
    /// # Errors
    /// A table that does not exist, or a workspace that another process is changing.
    pub async fn vacuum(
        &self,
        tables: Vec<TableName>,
        age: Duration,
    ) -> Result<Vec<(TableName, u64)>, WorkError> {
        let _lock = self.store.lock()?;
        let unfinished = self.recover().await?;
        let mut removed = Vec::new();
        for table in self.named_or_all(tables, unfinished).await? {
            let files = self.lake.vacuum(&table, age).await?;
            removed.push((table, files));
        }
        Ok(removed)
    }

    /// Makes few large files of many small ones, in the tables that are named or in all.
    ///
    /// # Errors
    /// A table that does not exist, or a workspace that another process is changing.
    pub async fn optimize(&self, tables: Vec<TableName>) -> Result<Vec<Compacted>, WorkError> {
        let _lock = self.store.lock()?;
        let unfinished = self.recover().await?;
        let mut done = Vec::new();
        for table in self.named_or_all(tables, unfinished).await? {
            done.push(self.lake.compact(&table).await?);
        }
        Ok(done)
    }

    /// Brings a resource's table and its child tables back to what they were; answers with the
    /// tables. The next sync goes on from where the resource was then.
    ///
    /// # Errors
    /// A moment that cannot be restored, or a workspace that another process is changing.
    pub async fn restore(
        &self,
        table: &TableName,
        moment: Moment,
    ) -> Result<Vec<TableName>, WorkError> {
        let subject = format!("restore {table} to {moment}");
        self.revised(
            table,
            &subject,
            |unfinished| unfinished.refuse(table),
            async |turn| {
                let stream = turn.stream.clone();
                let (revision, then) = self.lake.restore(table, moment, turn).await?;
                let states = match then {
                    None => States::new(),
                    Some(batch) => self.store.states_after(&stream, batch).await?,
                };
                Ok((revision, states))
            },
        )
        .await
    }

    /// Drops a resource's table and its child tables; answers with the tables. The next sync
    /// lands everything anew. Batches that the tables did not take are given up with them.
    ///
    /// # Errors
    /// No such table, or a workspace that another process is changing.
    pub async fn drop_tables(&self, table: &TableName) -> Result<Vec<TableName>, WorkError> {
        self.revised(
            table,
            &format!("drop {table}"),
            |_| Ok(()),
            async |turn| {
                let waiting = self.waiting_tables(&turn.stream).await?;
                Ok((self.lake.dropped(table, turn, waiting).await?, States::new()))
            },
        )
        .await
    }

    /// The tables that are named; without names all that can be opened. One that waits for a batch
    /// of the journal stays as it is: the batch names files, and knows those that it was made for.
    async fn named_or_all(
        &self,
        tables: Vec<TableName>,
        mut unfinished: Unfinished,
    ) -> Result<Vec<TableName>, WorkError> {
        for table in &tables {
            if let Some(error) = unfinished.take_of(table) {
                return Err(error);
            }
        }
        if !tables.is_empty() {
            return Ok(tables);
        }
        let mut all = Vec::new();
        for (table, summary) in self.lake.tables().await? {
            let why = match (unfinished.keeps(&table), summary) {
                (Some(error), _) => error.to_string(),
                (None, Err(error)) => error.to_string(),
                (None, Ok(_)) => {
                    all.push(table);
                    continue;
                }
            };
            let message = format!("left as it is: {why}");
            self.observer.observe(&Event::Warned { about: table.to_string(), message });
        }
        Ok(all)
    }

    /// Plans a revision, records it, and carries it out, as a run.
    async fn revised(
        &self,
        table: &TableName,
        subject: &str,
        check: impl FnOnce(Unfinished) -> Result<(), WorkError>,
        plan: impl AsyncFnOnce(Turn) -> Result<(Revision, States), WorkError>,
    ) -> Result<Vec<TableName>, WorkError> {
        let lock = self.store.lock()?;
        check(self.recover().await?)?;
        self.store.close_abandoned_runs(&lock).await?;
        let run = self.store.start_run(RunKind::Tables, subject).await?;
        let done = self.record_and_revise(table, &run, plan).await;
        let error: Option<RunError> = done.as_ref().err().map(|error| self.run_error(error));
        let status = if error.is_none() { RunStatus::Succeeded } else { RunStatus::Failed };
        self.store.end_run(&run, status, &Counts::default(), error.as_ref()).await?;
        done
    }

    async fn record_and_revise(
        &self,
        table: &TableName,
        run: &RunId,
        plan: impl AsyncFnOnce(Turn) -> Result<(Revision, States), WorkError>,
    ) -> Result<Vec<TableName>, WorkError> {
        let stream = table.to_string();
        let sequence = self.store.next_sequence(&stream).await?;
        let turn = Turn { stream: stream.clone(), sequence, run: run.clone() };
        let (revision, states) = plan(turn).await?;
        let tables = revision.tables().into_iter().cloned().collect();
        let body = Body::Revised(revision.clone());
        let body = serde_json::to_value(&body).map_err(|source| WorkError::Journal {
            stream: stream.clone(),
            sequence,
            source,
        })?;
        let intent = BatchIntent {
            stream: stream.clone(),
            sequence,
            run: run.clone(),
            resource: table.clone(),
            body,
            rows: 0,
        };
        let parts = states.into_iter().map(|(part, state)| (part, Some(state))).collect();
        let changes = StateChanges { resets: true, parts };
        self.store.record_batch(&intent, &changes).await?;
        self.give_up(&stream, sequence).await?;
        self.lake.revise(&revision).await?;
        self.store.finish_batch(&stream, sequence).await?;
        Ok(tables)
    }
}
