//! When a request is sent again, and after which wait.
//!
//! In: the retry settings, what an attempt came to, what the api asked for, the time. Out: a wait,
//! or the end. Pure: the stage that sends also sleeps. Two kinds of wait are kept apart. Our own
//! grows from step to step, is spread by chance and ends at `deadline`. One that the api declares
//! (`Retry-After`, a rate limit's reset) uses up no step, is a second at least and bounded by
//! `max_wait` in all, so that an api which says "one more second" for ever does not hold a run for
//! ever; and however slow its answers are, both bounds together end the tries.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use restway_model::definition::Retry;

use crate::ratelimit;
use crate::request::header;

/// Few tries bridge a hiccup of what rarely passes.
const STUBBORN_ATTEMPTS_MAX: u32 = 3;
/// A shorter wait that the api asks for is none: it would be asked again and again.
const DECLARED_MIN: Duration = Duration::from_secs(1);
/// "Come back at once" is obeyed so often before our own steps count again.
const AT_ONCE_MAX: u32 = 3;
/// A reset value above this is a moment (seconds since 1970), below it a number of seconds.
const EPOCH_MIN: i64 = 1_000_000_000;
/// And above this the moment is in milliseconds.
const EPOCH_MILLIS_MIN: i64 = 100_000_000_000;

/// What to do after an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Decision {
    /// Send it again after this wait.
    Again(Duration),
    /// It was sent often enough.
    GiveUp,
    /// The api asks for a longer wait than allowed.
    TooLong(Duration),
}

/// Why an attempt failed, as far as the schedule cares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cause {
    /// Anything that may pass.
    Passing,
    /// What rarely passes.
    Stubborn,
    /// The api said when to come back.
    Declared(Duration),
}

/// The tries at one request so far.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    retry: Arc<Retry>,
    wait_max: Duration,
    started: Duration,
    steps: u32,
    at_once: u32,
    declared: Duration,
    exact: Option<Start>,
}

/// When the time of an exact schedule began: with its first decision.
#[derive(Debug, Clone, Copy, Default)]
struct Start(Option<Duration>);

impl Schedule {
    pub(crate) fn new(retry: &Arc<Retry>, wait_max: Duration, now: Duration) -> Self {
        let retry = Arc::clone(retry);
        let declared = Duration::ZERO;
        Self { retry, wait_max, started: now, steps: 0, at_once: 0, declared, exact: None }
    }

    /// The same with the waits that are written down: no chance in them, none below what the api
    /// asks for, and the time counted from the first decision.
    pub(crate) fn exact(retry: &Retry, wait_max: Duration) -> Self {
        let mut schedule = Self::new(&Arc::new(retry.clone()), wait_max, Duration::ZERO);
        schedule.exact = Some(Start::default());
        schedule
    }

    fn exactly(&mut self, start: Start, cause: Cause, now: Duration) -> Decision {
        let started = start.0.unwrap_or(now);
        self.exact = Some(Start(Some(started)));
        let mut wait = self.step();
        if let Cause::Declared(asked) = cause {
            if asked > self.wait_max {
                return Decision::TooLong(asked);
            }
            wait = wait.max(asked);
        }
        if now.saturating_sub(started) + wait > self.retry.deadline.0 {
            return Decision::GiveUp;
        }
        self.steps += 1;
        Decision::Again(wait)
    }

    /// Decides after a failed attempt; `jitter` is a number in `0.0..1.0`.
    pub(crate) fn after(&mut self, cause: Cause, now: Duration, jitter: f64) -> Decision {
        if let Some(start) = self.exact {
            return self.exactly(start, cause, now);
        }
        match cause {
            Cause::Declared(wait) if !wait.is_zero() => {
                let wait = wait.max(DECLARED_MIN);
                if self.declared + wait > self.wait_max {
                    return Decision::TooLong(wait);
                }
                let spent = now.saturating_sub(self.started);
                if spent + wait > self.retry.deadline.0 + self.wait_max {
                    return Decision::GiveUp;
                }
                self.declared += wait;
                return Decision::Again(wait);
            }
            Cause::Declared(_) if self.at_once < AT_ONCE_MAX => {
                self.at_once += 1;
                return Decision::Again(Duration::ZERO);
            }
            Cause::Stubborn if self.steps + 1 >= STUBBORN_ATTEMPTS_MAX => return Decision::GiveUp,
            _ => {}
        }
        let step = self.step();
        // Half of the step is fixed: full jitter may draw a wait of nothing many times in a row.
        let wait = step.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
        let own = now.saturating_sub(self.started).saturating_sub(self.declared);
        if own + wait > self.retry.deadline.0 {
            return Decision::GiveUp;
        }
        self.steps += 1;
        Decision::Again(wait)
    }

    /// `initial * multiplier^steps`, at most `maximum`.
    fn step(&self) -> Duration {
        let multiplier = self.retry.multiplier;
        let multiplier = if multiplier.is_finite() { multiplier.max(1.0) } else { 1.0 };
        let exponent = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let seconds = self.retry.initial.0.as_secs_f64() * multiplier.powi(exponent);
        let step = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        step.min(self.retry.maximum.0)
    }
}

/// The wait that an answer asks for: `Retry-After` (RFC 9110, section 10.2.3), else the reset of a
/// rate limit with nothing remaining.
pub(crate) fn declared_wait(headers: &[(String, String)], now: DateTime<Utc>) -> Option<Duration> {
    let asked = header(headers, "retry-after").and_then(|text| retry_after(text, now));
    asked.or_else(|| exhausted_wait(headers, now))
}

/// The reset of a rate limit with nothing remaining: `RateLimit` (draft-ietf-httpapi-ratelimit-
/// headers, as it is and as it was), `RateLimit-*`, `X-RateLimit-*`, `X-Rate-Limit-*`.
pub(crate) fn exhausted_wait(headers: &[(String, String)], now: DateTime<Utc>) -> Option<Duration> {
    if let Some(limits) = header(headers, "ratelimit") {
        return ratelimit::wait(limits, header(headers, "ratelimit-policy"));
    }
    for (remaining, until) in [
        ("ratelimit-remaining", "ratelimit-reset"),
        ("x-ratelimit-remaining", "x-ratelimit-reset"),
        ("x-rate-limit-remaining", "x-rate-limit-reset"),
    ] {
        if header(headers, remaining).map(str::trim) == Some("0") {
            return header(headers, until).and_then(|text| reset(text, now));
        }
    }
    None
}

fn retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    if let Some(wait) = seconds(text) {
        return Some(wait);
    }
    let date = http_date(text)?;
    Some((date - now).to_std().unwrap_or_default())
}

/// Whole or decimal seconds, not negative.
fn seconds(text: &str) -> Option<Duration> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = text.parse::<f64>().ok().filter(|_| is_number)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A date in any of the three forms of RFC 9110, section 5.6.7.
pub(crate) fn http_date(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(date) = DateTime::parse_from_rfc2822(text) {
        return Some(date.to_utc());
    }
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|date| date.and_utc())
}

/// Nobody agrees whether a reset is a moment or a number of seconds; its magnitude tells.
fn reset(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    let Ok(number) = text.parse::<i64>() else {
        return retry_after(text, now);
    };
    let moment = match number {
        EPOCH_MILLIS_MIN.. => DateTime::from_timestamp_millis(number)?,
        EPOCH_MIN.. => DateTime::from_timestamp(number, 0)?,
        0.. => return Some(Duration::from_secs(number.unsigned_abs())),
        _ => return None,
    };
    Some((moment - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use restway_model::Timespan;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn schedule(deadline: u64) -> Schedule {
        let retry = Retry {
            initial: Timespan(SECOND),
            maximum: Timespan(10 * SECOND),
            deadline: Timespan(Duration::from_secs(deadline)),
            ..Retry::default()
        };
        Schedule::new(&Arc::new(retry), 60 * SECOND, Duration::ZERO)
    }

    /// Turns a clock by each wait and collects them until the end.
    fn waits(mut schedule: Schedule, jitter: f64, causes: &[Cause]) -> (Vec<f64>, Decision) {
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        for turn in 0..1_000 {
            let cause = causes.get(turn).or(causes.last()).copied().unwrap_or(Cause::Passing);
            match schedule.after(cause, now, jitter) {
                Decision::Again(wait) => {
                    now += wait;
                    waits.push(wait.as_secs_f64());
                }
                end => return (waits, end),
            }
        }
        panic!("the schedule does not end");
    }

    #[test]
    fn steps_grow_to_the_maximum_and_end_at_the_deadline() {
        let full = 1.0 - f64::EPSILON;
        let (grown, end) = waits(schedule(40), full, &[Cause::Passing]);
        let rounded: Vec<f64> = grown.iter().map(|wait| wait.round()).collect();
        assert_eq!((rounded, end), (vec![1.0, 2.0, 4.0, 8.0, 10.0, 10.0], Decision::GiveUp));
        let (least, _) = waits(schedule(8), 0.0, &[Cause::Passing]);
        assert_eq!(least, vec![0.5, 1.0, 2.0, 4.0]);
    }

    #[test]
    fn declared_waits_use_no_step_and_are_bounded_in_all() {
        let asked = Cause::Declared(20 * SECOND);
        let (taken, end) = waits(schedule(1), 0.0, &[asked]);
        assert_eq!((taken, end), (vec![20.0; 3], Decision::TooLong(20 * SECOND)));
        // The deadline counts our own time only, and our own steps start where they stood.
        let (mixed, end) = waits(schedule(1), 0.0, &[asked, Cause::Passing, asked, Cause::Passing]);
        assert_eq!((mixed, end), (vec![20.0, 0.5, 20.0], Decision::GiveUp));
    }

    #[test]
    fn a_declared_wait_of_next_to_nothing_is_a_second_and_time_spent_counts() {
        let asked = Cause::Declared(Duration::from_millis(1));
        let (taken, end) = waits(schedule(600), 0.0, &[asked]);
        assert_eq!((taken, end), (vec![1.0; 60], Decision::TooLong(SECOND)));
        // An api that takes its time over each answer holds a run no longer than both bounds.
        let mut slow = schedule(100);
        let asked = Cause::Declared(2 * SECOND);
        assert_eq!(slow.after(asked, 150 * SECOND, 0.0), Decision::Again(2 * SECOND));
        assert_eq!(slow.after(asked, 159 * SECOND, 0.0), Decision::GiveUp);
    }

    #[test]
    fn at_once_is_obeyed_a_few_times_and_names_get_three_tries() {
        let at_once = Cause::Declared(Duration::ZERO);
        let (taken, _) = waits(schedule(2), 0.0, &[at_once]);
        assert_eq!(taken, vec![0.0, 0.0, 0.0, 0.5, 1.0]);
        let (taken, end) = waits(schedule(600), 0.0, &[Cause::Stubborn]);
        assert_eq!((taken.len(), end), (2, Decision::GiveUp));
    }

    #[test]
    fn the_documented_schedule_makes_fifteen_attempts() {
        let exact = Schedule::exact(&Retry::default(), 900 * SECOND);
        let (taken, end) = waits(exact, 0.0, &[Cause::Passing]);
        let mut expected = vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
        expected.extend([60.0; 8]);
        assert_eq!((taken, end), (expected, Decision::GiveUp));
        // A wait that the api asks for is never cut short, and counts.
        let asked = Schedule::exact(&Retry::default(), 900 * SECOND);
        let (taken, _) = waits(asked, 0.0, &[Cause::Declared(200 * SECOND)]);
        assert_eq!(taken, [200.0; 3]);
        let mut late = Schedule::exact(&Retry::default(), 900 * SECOND);
        assert_eq!(late.after(Cause::Passing, 5_000 * SECOND, 0.5), Decision::Again(SECOND));
    }

    #[test]
    fn odd_settings_still_end() {
        for multiplier in [f64::NAN, f64::INFINITY, -3.0, 0.0, 1e300] {
            let mut odd = schedule(20);
            Arc::make_mut(&mut odd.retry).multiplier = multiplier;
            let (_, end) = waits(odd, 0.5, &[Cause::Passing]);
            assert_eq!(end, Decision::GiveUp, "{multiplier}");
        }
    }

    #[test]
    fn every_form_of_a_declared_wait_is_read() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("a moment");
        type Headers = &'static [(&'static str, &'static str)];
        let table: [(Headers, Option<u64>); 20] = [
            (&[("retry-after", "120")], Some(120)),
            (&[("Retry-After", " 0 ")], Some(0)),
            (&[("retry-after", "1.5")], Some(1)),
            (&[("retry-after", "Tue, 14 Nov 2023 22:14:20 GMT")], Some(60)),
            (&[("retry-after", "Tuesday, 14-Nov-23 22:14:20 GMT")], Some(60)),
            (&[("retry-after", "Tue Nov 14 22:14:20 2023")], Some(60)),
            (&[("retry-after", "Tue, 14 Nov 2023 22:13:00 GMT")], Some(0)),
            (&[("retry-after", "-5")], None),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "inf")], None),
            (&[("retry-after", "864000")], Some(864_000)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "30")], Some(30)),
            (&[("ratelimit-remaining", "0"), ("ratelimit-reset", "30")], Some(30)),
            (&[("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "30")], Some(30)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000045")], Some(45)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000045000")], Some(45)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1600000000")], Some(0)),
            (&[("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "30")], None),
            (&[("x-ratelimit-reset", "30")], None),
            (&[], None),
        ];
        for (headers, expected) in table {
            let headers: Vec<(String, String)> =
                headers.iter().map(|&(name, value)| (name.into(), value.into())).collect();
            let wait = declared_wait(&headers, now).map(|wait| wait.as_secs());
            assert_eq!(wait, expected, "{headers:?}");
        }
    }
}
