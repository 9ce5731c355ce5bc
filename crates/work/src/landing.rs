//! The last steps of every landing, of a sync as of a file: record, commit, finish.
//!
//! In: a staged batch, whose files are on the disk. Out: tables that have it. The order is the
//! promise: one transaction of the journal records the batch; then each table's log is rolled
//! forward; whoever opens the workspace after a crash between the two does the rest.

use restway_model::{Event, RunId, TableName};
use restway_store::{BatchIntent, StateChanges, StoreError};
use restway_tables::{CommittedTable, StagedBatch};

use crate::{WorkError, Workspace};

/// A batch of a resource or of a file, and where it belongs.
pub(crate) struct Batch<'a> {
    pub(crate) run: &'a RunId,
    pub(crate) table: &'a TableName,
    pub(crate) stream: &'a str,
    pub(crate) sequence: u64,
    pub(crate) staged: &'a StagedBatch,
}

impl Workspace {
    /// Records the batch with the states that its stream has after it.
    pub(crate) async fn record(
        &self,
        batch: &Batch<'_>,
        changes: &StateChanges,
    ) -> Result<(), WorkError> {
        let (stream, sequence, rows) = (batch.stream, batch.sequence, batch.staged.rows());
        let body = serde_json::to_value(batch.staged);
        let intent = BatchIntent {
            body: body.map_err(|source| WorkError::Journal {
                stream: stream.to_owned(),
                sequence,
                source,
            })?,
            stream: stream.to_owned(),
            sequence,
            run: batch.run.clone(),
            resource: batch.table.clone(),
            rows,
        };
        if let Err(error) = self.store.record_batch(&intent, changes).await {
            // Any other error may hide that the batch is recorded, and then its files are all that
            // there is of it. If it is not, they are swept when its number begins again.
            let is_refused =
                matches!(error, StoreError::BatchTooLarge { .. } | StoreError::BatchOrder { .. });
            if is_refused {
                // The journal's own error is the one to report.
                let _ = self.lake.discard(batch.staged).await;
            }
            return Err(error.into());
        }
        let resource = batch.table.clone();
        self.observer.observe(&Event::BatchRecorded { resource, sequence, rows });
        Ok(())
    }

    /// Makes a recorded batch visible.
    pub(crate) async fn make_visible(
        &self,
        batch: &Batch<'_>,
    ) -> Result<Vec<CommittedTable>, WorkError> {
        let committed = self.lake.commit(batch.staged).await?;
        self.store.finish_batch(batch.stream, batch.sequence).await?;
        Ok(committed)
    }
}
