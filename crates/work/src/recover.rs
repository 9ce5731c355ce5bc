//! Rolling forward: what a process recorded and did not finish, the next one finishes.

use restway_model::Event;
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
                match body_of(&batch)? {
                    Body::Landed(staged) => drop(self.lake.commit(&staged).await?),
                    Body::Revised(revision) => self.lake.revise(&revision).await?,
                }
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

fn body_of(batch: &BatchIntent) -> Result<Body, WorkError> {
    serde_json::from_value(batch.body.clone()).map_err(|source| WorkError::Journal {
        stream: batch.stream.clone(),
        sequence: batch.sequence,
        source,
    })
}
