//! What the unit tests of several stages need: a clock that is turned by its own pauses.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use restway_model::{Clock, Pause};

/// A clock that stands still but for the pauses it is asked for, which take no time at all.
#[derive(Default)]
pub(crate) struct HandClock {
    elapsed: Mutex<Duration>,
}

impl HandClock {
    pub(crate) fn turn(&self, by: Duration) {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap_or_default() + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, duration: Duration) -> Pause<'_> {
        self.turn(duration);
        Box::pin(std::future::ready(()))
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}
