//! Rolling forward: what a process recorded and did not finish, the next one finishes.

use restway_model::Event;
use restway_store::BatchIntent;
use restway_tables::StagedBatch;

use crate::{WorkError, Workspace};

/// How often the journal is asked for more; each answer holds hundreds of batches.
const ROUNDS_MAX: usize = 10_000;

impl Workspace {
    /// Brings every table to where the journal is. Must be called under the workspace's lock.
    ///
    /// # Errors
    /// A table that cannot be committed to; the batch stays in the journal.
    pub(crate) async fn recover(&self) -> Result<(), WorkError> {
        for _ in 0..ROUNDS_MAX {
            let pending = self.store.pending_batches().await?;
            if pending.is_empty() {
                return Ok(());
            }
            for batch in pending {
                let staged: StagedBatch = staged_of(&batch)?;
                self.lake.commit(&staged).await?;
                self.store.finish_batch(&batch.stream, batch.sequence).await?;
                self.observer.observe(&Event::BatchRecovered {
                    resource: batch.resource,
                    sequence: batch.sequence,
                });
            }
        }
        Ok(())
    }
}

fn staged_of(batch: &BatchIntent) -> Result<StagedBatch, WorkError> {
    serde_json::from_value(batch.body.clone()).map_err(|source| WorkError::Journal {
        stream: batch.stream.clone(),
        sequence: batch.sequence,
        source,
    })
}
