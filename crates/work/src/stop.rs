//! The wish to stop: raised once, seen by every task that waits.

use tokio::sync::watch;

use crate::WorkError;

/// Raises the wish. Dropping it without raising it means: never.
#[derive(Debug, Clone)]
pub struct Stopper(std::sync::Arc<watch::Sender<bool>>);

/// Sees the wish.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stopper {
    /// A pair of the two ends.
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(std::sync::Arc::new(sender)), Stop(receiver))
    }

    /// Asks everything to stop where it is safe to.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Whether it is time to stop.
    pub fn is_raised(&self) -> bool {
        *self.0.borrow()
    }

    /// What something comes to, unless it is time to stop before.
    ///
    /// # Errors
    /// [`WorkError::Stopped`].
    pub(crate) async fn unless_raised<T>(
        mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, WorkError> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.raised() => Err(WorkError::Stopped),
        }
    }

    /// Ends when it is time to stop, and never when nobody can ask for it any more.
    pub async fn raised(&mut self) {
        if self.0.wait_for(|raised| *raised).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
