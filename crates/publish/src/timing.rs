//! How long the stages of an answer took.
//!
//! In: the end of each stage. Out: the `Server-Timing` header (W3C). What never happens here: a
//! decision that depends on time.

use std::time::Duration;

use restway_model::Clock;

/// How long each stage took, for the `Server-Timing` header. A stage may be entered twice.
pub(crate) struct Timing<'a> {
    clock: &'a dyn Clock,
    last: Duration,
    spent: [(&'static str, Duration); 5],
}

impl<'a> Timing<'a> {
    pub(crate) fn new(clock: &'a dyn Clock) -> Self {
        let stages = ["access", "request", "plan", "query", "respond"];
        let spent = stages.map(|stage| (stage, Duration::ZERO));
        Self { clock, last: clock.monotonic(), spent }
    }

    /// Adds the time since the last lap to the stage that it was spent in.
    pub(crate) fn lap<T>(&mut self, stage: &'static str, outcome: T) -> T {
        let now = self.clock.monotonic();
        for (name, spent) in &mut self.spent {
            if *name == stage {
                *spent += now.saturating_sub(self.last);
            }
        }
        self.last = now;
        outcome
    }

    pub(crate) fn header(&self) -> String {
        let written = |(stage, spent): &(&str, Duration)| {
            format!("{stage};dur={:.3}", spent.as_secs_f64() * 1_000.0)
        };
        self.spent.iter().map(written).collect::<Vec<_>>().join(", ")
    }
}
