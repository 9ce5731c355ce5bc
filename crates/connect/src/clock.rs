//! The clock of the machine.
//!
//! In: nothing. Out: the time, pauses and a little chance, through the seam that tests replace.
//! This module is the only one that may read the machine's clock; the timeouts of sockets are the
//! runtime's own, because a socket does not wait for a clock that is turned by hand.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use restway_model::{Clock, Pause};

/// The machine's clock, with the runtime's timers.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pause<'_> {
        Box::pin(tokio::time::sleep(duration))
    }

    /// The standard library gives every hasher keys of its own, which is chance enough to spread
    /// retries and needs no further dependency.
    fn jitter(&self) -> f64 {
        const BITS: u32 = 53;
        let bits = RandomState::new().build_hasher().finish() >> (u64::BITS - BITS);
        bits as f64 / (1_u64 << BITS) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_in_its_range_and_varies() {
        let clock = SystemClock::default();
        let drawn: Vec<f64> = (0..100).map(|_| clock.jitter()).collect();
        assert!(drawn.iter().all(|value| (0.0..1.0).contains(value)));
        assert!(drawn.iter().any(|value| *value < 0.5) && drawn.iter().any(|value| *value > 0.5));
    }
}
