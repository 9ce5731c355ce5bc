//! Descriptions that are kept for a while.
//!
//! In: a relation, and how it is read. Out: its description, the same one until it is read anew:
//! after [`AGE_MAX`], or at once when a statement showed that it is no longer true. One request
//! reads it while the others go on with the one before, and all see the new one together.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use restway_model::Clock;

use super::{Description, Relation, SourceError};

/// How old a description may be.
const AGE_MAX: Duration = Duration::from_secs(5);

/// What was read, and when.
#[derive(Clone)]
struct Kept {
    description: Arc<Description>,
    read_at: Duration,
}

/// The descriptions of one source.
pub(super) struct Catalog {
    clock: Arc<dyn Clock>,
    kept: Mutex<HashMap<Relation, Kept>>,
    /// Who has it reads.
    reading: tokio::sync::Mutex<()>,
}

impl Catalog {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, kept: Mutex::default(), reading: tokio::sync::Mutex::new(()) }
    }

    pub(super) async fn get<F>(
        &self,
        relation: &Relation,
        read: impl FnOnce() -> F + Send,
    ) -> Result<Arc<Description>, SourceError>
    where
        F: Future<Output = Result<Description, SourceError>> + Send,
    {
        let _reading = match self.kept(relation) {
            Some((description, true)) => return Ok(description),
            Some((description, false)) => match self.reading.try_lock() {
                Ok(reading) => reading,
                Err(_) => return Ok(description),
            },
            None => {
                let reading = self.reading.lock().await;
                // Another one may have read it in the meantime.
                if let Some((description, true)) = self.kept(relation) {
                    return Ok(description);
                }
                reading
            }
        };
        let read = read().await?;
        let read_at = self.clock.monotonic();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let same = kept.get(relation).map(|kept| &kept.description).filter(|old| ***old == read);
        let description = same.map_or_else(|| Arc::new(read), Arc::clone);
        let entry = Kept { description: Arc::clone(&description), read_at };
        kept.insert(relation.clone(), entry);
        Ok(description)
    }

    pub(super) fn forget(&self, relation: &Relation) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(relation);
    }

    /// What is kept, and whether it is young enough.
    fn kept(&self, relation: &Relation) -> Option<(Arc<Description>, bool)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get(relation)?;
        let age = self.clock.monotonic().saturating_sub(kept.read_at);
        Some((Arc::clone(&kept.description), age < AGE_MAX))
    }
}
