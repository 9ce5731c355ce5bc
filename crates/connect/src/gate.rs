//! The gate of one api: how fast it is called, from this process and from the others.
//!
//! In: the api's rates. Out: the way is free, after as long a wait as they demand.
//! All rates hold at once, each over a sliding window, so that no span of that length ever holds
//! more calls than declared. An api that asks one call to come back later keeps all of them
//! outside, because its limit counts all of them. Who came first enters first.

use std::collections::VecDeque;
use std::fmt;
use std::sync::PoisonError;
use std::time::Duration;

use restway_model::definition::ApiLimits;
use restway_model::{Clock, Name, Rate, SharedRates};
use tokio::sync::Mutex;

use crate::places::{Place, Places};

const CONCURRENCY_DEFAULT: u16 = 4;

/// How many requests an api has under way at once.
pub(crate) fn places(limits: &ApiLimits) -> usize {
    usize::from(limits.concurrency.unwrap_or(CONCURRENCY_DEFAULT).max(1))
}
/// Longer waits are told.
const WAIT_UNTOLD_MAX: Duration = Duration::from_secs(1);

/// The gate of one api.
pub(crate) struct Gate {
    pub(crate) places: Places,
    rates: Vec<Rate>,
    /// All rates' windows. Held while its holder waits, which makes a queue of those behind.
    windows: Mutex<Vec<Window>>,
    /// Apart from the windows, so that the gate can be closed while somebody waits.
    closed_until: std::sync::Mutex<Duration>,
}

/// A gate for what is no api and belongs to this process alone: the limits of a webhook.
pub struct Turns(Gate);

impl fmt::Debug for Turns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Turns").finish_non_exhaustive()
    }
}

/// A turn; the next one may begin when it is dropped.
pub struct Turn {
    _place: Option<Place>,
}

impl Turns {
    /// A gate with nobody behind it.
    pub fn new(limits: &ApiLimits) -> Self {
        Self(Gate::new(limits))
    }

    /// Waits for a place among those under way, and for the rate.
    pub async fn turn(&self, clock: &dyn Clock) -> Turn {
        let place = self.0.places.enter().await;
        let api = Name::slug("turns");
        let passer = Passer { api: &api, clock, shared: None, waits: &|_| (), alone: &|_| () };
        self.0.pass(&passer).await;
        Turn { _place: place }
    }
}

/// Who passes the gate.
pub(crate) struct Passer<'a> {
    pub(crate) api: &'a Name,
    pub(crate) clock: &'a dyn Clock,
    /// The calls of other processes, where they are known.
    pub(crate) shared: Option<&'a dyn SharedRates>,
    /// Is told of waits that a person would notice.
    pub(crate) waits: &'a (dyn Fn(Duration) + Sync),
    /// Is told why the rates hold for this process alone.
    pub(crate) alone: &'a (dyn Fn(String) + Sync),
}

/// A rate and the calls that count.
struct Window {
    rate: Rate,
    calls: VecDeque<Duration>,
}

impl Gate {
    pub(crate) fn new(limits: &ApiLimits) -> Self {
        let concurrency = places(limits);
        let windows = limits.rate.iter().map(|rate| Window { rate: *rate, calls: VecDeque::new() });
        Self {
            places: Places::new(concurrency),
            rates: limits.rate.clone(),
            windows: Mutex::new(windows.collect()),
            closed_until: std::sync::Mutex::default(),
        }
    }

    /// Waits until one more request may go out, and counts it.
    pub(crate) async fn pass(&self, passer: &Passer<'_>) {
        // Without rates, and never closed, there is nobody to wait for.
        if self.rates.is_empty() && self.closed_until().is_zero() {
            return;
        }
        let mut windows = self.windows.lock().await;
        loop {
            let now = passer.clock.monotonic();
            let closed = self.closed_until().saturating_sub(now);
            let own = windows.iter_mut().map(|window| window.wait(now)).fold(closed, Duration::max);
            let wait = if own.is_zero() { self.others(passer) } else { own };
            if wait.is_zero() {
                windows.iter_mut().for_each(|window| window.calls.push_back(now));
                return;
            }
            if wait > WAIT_UNTOLD_MAX {
                (passer.waits)(wait);
            }
            passer.clock.sleep(wait).await;
        }
    }

    /// The wait that the calls of other processes ask for; none if the call was counted.
    fn others(&self, passer: &Passer<'_>) -> Duration {
        let Some(shared) = passer.shared.filter(|_| !self.rates.is_empty()) else {
            return Duration::ZERO;
        };
        let taken = shared.take(passer.api, &self.rates, passer.clock.now());
        taken.unwrap_or_else(|problem| {
            (passer.alone)(problem);
            Duration::ZERO
        })
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
        while self.calls.front().is_some_and(|call| *call + self.rate.window() <= now) {
            self.calls.pop_front();
        }
        if self.calls.len() < self.rate.count as usize {
            return Duration::ZERO;
        }
        // No more than `count` are ever kept, so the oldest is the one that must leave.
        self.calls.front().map_or(Duration::ZERO, |call| *call + self.rate.window() - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::HandClock;

    async fn pass(gate: &Gate, clock: &HandClock, shared: Option<&dyn SharedRates>) -> Vec<u64> {
        let told = std::sync::Mutex::new(Vec::new());
        let waits = |wait: Duration| told.lock().expect("waits").push(wait.as_secs());
        let api = "acme".parse().expect("a name");
        gate.pass(&Passer { api: &api, clock, shared, waits: &waits, alone: &|_| () }).await;
        told.into_inner().expect("waits")
    }

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
            pass(&gate, &clock, None).await;
            moments.push(clock.monotonic().as_secs());
        }
        assert_eq!(moments, [0, 0, 1, 1, 2, 61, 61, 62]);
    }

    #[tokio::test]
    async fn a_closed_gate_keeps_everybody_outside() {
        let clock = HandClock::default();
        let gate = gate(&[]);
        gate.close_until(Duration::from_secs(30));
        gate.close_until(Duration::from_secs(10));
        assert_eq!(pass(&gate, &clock, None).await, [30]);
        assert_eq!(clock.monotonic().as_secs(), 30);
    }

    #[tokio::test]
    async fn calls_of_other_processes_count_and_short_waits_are_not_told() {
        struct Others(std::sync::Mutex<Vec<Result<Duration, String>>>);
        impl SharedRates for Others {
            fn take(
                &self,
                _: &Name,
                _: &[Rate],
                _: chrono::DateTime<chrono::Utc>,
            ) -> Result<Duration, String> {
                self.0.lock().expect("answers").pop().expect("it is not asked so often")
            }
        }
        let (clock, gate) = (HandClock::default(), gate(&["5/s"]));
        let answers = [
            Err("broken".to_owned()),
            Ok(Duration::ZERO),
            Ok(Duration::from_secs(1)),
            Ok(Duration::from_secs(3)),
        ];
        let others = Others(std::sync::Mutex::new(answers.into()));
        assert_eq!(pass(&gate, &clock, Some(&others)).await, [3]);
        assert_eq!(clock.monotonic().as_secs(), 4);
        assert_eq!(pass(&gate, &clock, Some(&others)).await, [0; 0]);
    }
}
