//! The places of one api: how many calls may be under way at once.
//!
//! In: the ceiling, and what the api says by 429. Out: places, in the order in which they were
//! asked for. The number follows the api (additive increase, multiplicative decrease, as TCP's
//! congestion window, RFC 5681): it is halved when the api says that it is too much, once for all
//! calls that were under way then, and grows by one with each round of calls that go well, up to
//! the ceiling. One place always stays.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places.
pub(crate) struct Places {
    ceiling: usize,
    permits: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Places as a real number: it grows by parts of one.
    allowed: f64,
    /// Places that are there, once the debt is paid.
    open: usize,
    /// Places that vanish when whoever is there leaves.
    debt: usize,
    /// When it was last halved.
    cut_at: Duration,
}

/// A place, until it is dropped.
pub(crate) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    state: Arc<Mutex<State>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(permit) = self.permit.take().filter(|_| state.debt > 0) {
            state.debt -= 1;
            permit.forget();
        }
    }
}

impl Places {
    pub(crate) fn new(ceiling: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a concurrency is a small number")]
        let allowed = ceiling as f64;
        let state = State { allowed, open: ceiling, debt: 0, cut_at: Duration::ZERO };
        Self {
            ceiling,
            permits: Arc::new(Semaphore::new(ceiling)),
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The most places there may be.
    pub(crate) const fn ceiling(&self) -> usize {
        self.ceiling
    }

    /// Waits for a place.
    pub(crate) async fn enter(&self) -> Option<Place> {
        // The semaphore is never closed; without it nothing is lost but the bound.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        Some(Place { permit: Some(permit), state: Arc::clone(&self.state) })
    }

    /// A call that began then was too much.
    pub(crate) fn too_many(&self, begun: Duration, now: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if begun < state.cut_at {
            return;
        }
        state.cut_at = now;
        state.allowed = (state.allowed / 2.0).max(1.0);
        let kept = whole(state.allowed);
        let excess = state.open.saturating_sub(kept);
        state.open -= excess;
        state.debt += excess - self.permits.forget_permits(excess);
    }

    /// A call went well.
    pub(crate) fn well(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open >= self.ceiling {
            return;
        }
        state.allowed += 1.0 / state.allowed;
        if whole(state.allowed) <= state.open {
            return;
        }
        state.open += 1;
        if state.debt > 0 {
            state.debt -= 1;
        } else {
            self.permits.add_permits(1);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 1 and the ceiling"
)]
fn whole(allowed: f64) -> usize {
    allowed as usize
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many places can be had at once now.
    fn free(places: &Places) -> usize {
        let taken: Vec<Place> =
            std::iter::from_fn(|| places.enter().now_or_never().flatten()).collect();
        taken.len()
    }

    #[tokio::test]
    async fn too_many_halves_once_for_all_that_were_under_way() {
        let places = Places::new(8);
        let held: Vec<Place> = futures::future::join_all((0..8).map(|_| places.enter()))
            .await
            .into_iter()
            .flatten()
            .collect();
        for _ in 0..8 {
            places.too_many(SECOND, 2 * SECOND);
        }
        assert_eq!(free(&places), 0);
        drop(held);
        assert_eq!(free(&places), 4);
        places.too_many(3 * SECOND, 3 * SECOND);
        assert_eq!(free(&places), 2);
        for _ in 0..10 {
            places.too_many(9 * SECOND, 9 * SECOND);
        }
        assert_eq!(free(&places), 1);
    }

    #[tokio::test]
    async fn it_grows_by_one_a_round_up_to_the_ceiling() {
        let places = Places::new(4);
        places.too_many(SECOND, SECOND);
        places.too_many(2 * SECOND, 2 * SECOND);
        let grown: Vec<usize> = (0..12)
            .map(|_| {
                places.well();
                free(&places)
            })
            .collect();
        assert_eq!(grown, [2, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4]);
    }
}
