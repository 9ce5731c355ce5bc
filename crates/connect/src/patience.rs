//! The patience with one api: whether a request that failed is worth another try.
//!
//! In: which requests went well, and which were given up after all their tries. Out: whether the
//! api is taken to be out. When it is, each request is sent once: those that would wait for their
//! next try have failed, and the first that goes well makes all as before. So an hour of errors
//! costs the tries of the requests under way and one for each that follows, never thousands; and
//! nothing is refused unasked, because one broken resource is not the whole api.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What is known of the api.
#[derive(Debug, Default)]
pub(crate) struct Patience(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    went_well_at: Option<Duration>,
    is_over: bool,
}

impl Patience {
    /// An answer came that was expected.
    pub(crate) fn went_well(&self, now: Duration) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { went_well_at: Some(now), is_over: false };
    }

    /// A request that began then was given up; says whether that was the end of patience, because
    /// nothing else went well since.
    pub(crate) fn gave_up(&self, begun: Duration) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = !state.is_over && state.went_well_at.is_none_or(|well| well < begun);
        state.is_over |= is_first;
        is_first
    }

    /// Whether the api is taken to be out.
    pub(crate) fn is_over(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_with_a_request_given_up_and_begins_with_one_that_went_well() {
        let (patience, second) = (Patience::default(), Duration::from_secs(1));
        patience.went_well(5 * second);
        assert!(!patience.gave_up(3 * second) && !patience.is_over(), "another went well since");
        assert!(patience.gave_up(6 * second) && patience.is_over());
        assert!(!patience.gave_up(6 * second), "it is told once");
        patience.went_well(7 * second);
        assert!(!patience.is_over());
    }
}
