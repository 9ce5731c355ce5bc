//! The gate of one api: how fast and how parallel it is called from this process.
//!
//! In: the api's rates and its concurrency. Out: a permit, after as long a wait as they demand.
//! All rates hold at once, each over a sliding window, so that no span of that length ever holds
//! more calls than declared. An api that asks one call to come back later keeps all of them
//! outside, because its limit counts all of them. Who came first enters first.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use restway_model::definition::ApiLimits;
use restway_model::{Clock, Rate};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

const CONCURRENCY_DEFAULT: u16 = 4;

/// The gate of one api, or of one webhook.
pub struct Gate {
    permits: Arc<Semaphore>,
    /// All rates' windows. Held while its holder waits, which makes a queue of those behind.
    windows: Mutex<Vec<Window>>,
    /// Apart from the windows, so that the gate can be closed while somebody waits.
    closed_until: std::sync::Mutex<Duration>,
}

/// A rate and the calls of the last `rate.per`.
struct Window {
    rate: Rate,
    calls: VecDeque<Duration>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// A gate with nobody behind it.
    pub fn new(limits: &ApiLimits) -> Self {
        let concurrency = limits.concurrency.unwrap_or(CONCURRENCY_DEFAULT).max(1);
        let windows = limits.rate.iter().map(|rate| Window { rate: *rate, calls: VecDeque::new() });
        Self {
            permits: Arc::new(Semaphore::new(usize::from(concurrency))),
            windows: Mutex::new(windows.collect()),
            closed_until: std::sync::Mutex::default(),
        }
    }

    /// A place among the calls under way, held until the answer is read.
    pub async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed; without it nothing is lost but the bound.
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    /// Waits until one more request may go out, and counts it.
    pub async fn pass(&self, clock: &dyn Clock) {
        let mut windows = self.windows.lock().await;
        loop {
            let now = clock.monotonic();
            let closed = self.closed_until().saturating_sub(now);
            let wait =
                windows.iter_mut().map(|window| window.wait(now)).fold(closed, Duration::max);
            if wait.is_zero() {
                windows.iter_mut().for_each(|window| window.calls.push_back(now));
                return;
            }
            clock.sleep(wait).await;
        }
    }

    /// Keeps everybody outside until then.
    pub(crate) fn close_until(&self, moment: Duration) {
        let mut closed = self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = moment.max(*closed);
    }

    fn closed_until(&self) -> Duration {
        *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn wait(&mut self, now: Duration) -> Duration {
        while self.calls.front().is_some_and(|call| *call + self.rate.per <= now) {
            self.calls.pop_front();
        }
        if self.calls.len() < self.rate.count as usize {
            return Duration::ZERO;
        }
        // No more than `count` are ever kept, so the oldest is the one that must leave.
        self.calls.front().map_or(Duration::ZERO, |call| *call + self.rate.per - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::HandClock;

    fn gate(rates: &[&str]) -> Gate {
        let rate = rates.iter().map(|text| text.parse().expect("a rate")).collect();
        Gate::new(&ApiLimits { rate, ..ApiLimits::default() })
    }

    #[tokio::test]
    async fn all_windows_hold_at_once() {
        let clock = HandClock::default();
        let gate = gate(&["2/s", "5/m"]);
        let mut moments = Vec::new();
        for _ in 0..8 {
            gate.pass(&clock).await;
            moments.push(clock.monotonic().as_secs());
        }
        assert_eq!(moments, [0, 0, 1, 1, 2, 60, 60, 61]);
    }

    #[tokio::test]
    async fn a_closed_gate_keeps_everybody_outside() {
        let clock = HandClock::default();
        let gate = gate(&[]);
        gate.close_until(Duration::from_secs(30));
        gate.close_until(Duration::from_secs(10));
        gate.pass(&clock).await;
        assert_eq!(clock.monotonic().as_secs(), 30);
    }

    #[tokio::test]
    async fn as_many_places_as_the_concurrency() {
        let gate = Gate::new(&ApiLimits { concurrency: Some(1), ..ApiLimits::default() });
        let first = gate.place().await;
        assert_eq!(gate.permits.available_permits(), 0);
        drop(first);
        assert_eq!(gate.permits.available_permits(), 1);
    }
}
