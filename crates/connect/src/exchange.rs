//! Send and retry: one request, as often as it takes.
//!
//! In: a request and the api it is for. Out: the head of an answer that was expected, its body
//! still to be read, or the error that all attempts came to. Whoever reads the body and finds it
//! broken says so with [`Exchange::broke`], and may open again from the start.
//!
//! Each attempt goes: place → chain of hops (`chain.rs`). Waits between attempts hold no place at
//! the gate, and authorization comes after every wait.

mod chain;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use restway_model::{Event, SafeUrl};

use crate::cookies::Jar;
use crate::error::{CallError, Excerpt, Failure};
use crate::excerpt::excerpt;
use crate::places::Place;
use crate::request::{Attempt, Request};
use crate::retry::{Cause, Decision, Schedule, declared_wait, exhausted_wait};
use crate::sent::Tally;
use crate::target::Target;
use crate::wire::Incoming;
use crate::{Connector, read_all};

/// How many attempts are kept for showing; the oldest go first.
const ATTEMPTS_KEPT_MAX: usize = 100;
/// How much of an answer that is an error is read.
const EXCERPT_BYTES_MAX: u64 = 16 << 10;

/// One request and its attempts.
pub(crate) struct Exchange {
    connector: Connector,
    target: Arc<Target>,
    request: Request,
    schedule: Schedule,
    tries: u32,
    attempts: Vec<Attempt>,
    tally: Arc<Tally>,
    /// The page that it is for, from 1.
    page: Option<u64>,
    /// When the first try began.
    started: Duration,
    has_renewed: bool,
    begun: Duration,
    begun_at: DateTime<Utc>,
    redirected_to: Option<SafeUrl>,
    /// Whether an answer from elsewhere chose where the chain is now; see [`is_led`].
    is_led: bool,
}

/// An answer whose body is still to be read. Its place at the gate is free when it is dropped.
pub(crate) struct Opened {
    pub(crate) incoming: Incoming,
    /// The URL that answered.
    pub(crate) url: SafeUrl,
    /// What answers have set on the way.
    pub(crate) cookies: Jar,
    place: Option<Place>,
}

impl Opened {
    /// Frees the place at the gate.
    pub(crate) fn release(&mut self) {
        self.place = None;
    }
}

impl Exchange {
    pub(crate) fn new(connector: Connector, target: Arc<Target>, request: Request) -> Self {
        let now = connector.clock().monotonic();
        let begun_at = connector.clock().now();
        let schedule = match &request.manner.retry {
            Some(retry) => Schedule::exact(retry, target.wait_max),
            None => Schedule::new(&target.retry, target.wait_max, now),
        };
        Self {
            connector,
            target,
            request: request.with_content_type(),
            schedule,
            tries: 0,
            attempts: Vec::with_capacity(1),
            tally: Arc::default(),
            page: None,
            started: now,
            has_renewed: false,
            begun: now,
            begun_at,
            redirected_to: None,
            is_led: false,
        }
    }

    /// The same for a page, counted with others.
    pub(crate) fn tallied(mut self, tally: &Arc<Tally>, page: Option<u64>) -> Self {
        self.tally = Arc::clone(tally);
        self.page = page;
        self
    }

    /// Sends until an expected answer begins.
    pub(crate) async fn open(&mut self) -> Result<Opened, CallError> {
        loop {
            self.tries += 1;
            if self.tries > 1 {
                self.tally.tries_again();
                self.begun = self.connector.clock().monotonic();
                self.begun_at = self.connector.clock().now();
            }
            self.redirected_to = None;
            self.is_led = false;
            let mut opened = match self.chain().await {
                Ok(opened) => opened,
                Err(failure) => {
                    self.note(None, Some(&failure));
                    self.wait_or_fail(failure).await?;
                    continue;
                }
            };
            let status = opened.incoming.status;
            if self.request.expected.names(status) {
                let now = self.note(Some(status), None);
                self.went_well(&opened.incoming.headers, now);
                return Ok(opened);
            }
            let declared = declared_wait(&opened.incoming.headers, self.connector.clock().now());
            if status == 429 {
                let now = self.connector.clock().monotonic();
                self.target.gate.places.too_many(self.begun, now);
            }
            let decision = self.decide(status, declared);
            let is_played = self.is_played();
            if let Some(wait) = declared.filter(|wait| *wait <= self.target.wait_max && !is_played)
            {
                // The limit counts all calls to the api, also when this one is not repeated.
                let until = self.connector.clock().monotonic() + wait;
                self.target.gate.close_until(until);
            }
            if self.request.expected.takes_any() && !matches!(decision, Decision::Again(_)) {
                self.note(Some(status), None);
                return Ok(opened);
            }
            let failure = self.refusal(&mut opened.incoming, decision).await;
            opened.incoming.blame(&failure);
            drop(opened);
            self.note(Some(status), Some(&failure));
            let Decision::Again(wait) = decision else {
                self.gave_up(&failure);
                return Err(self.error(failure));
            };
            self.wait(wait, &failure).await;
        }
    }

    /// Sends until an answer has come whole.
    pub(crate) async fn whole(&mut self, bytes_max: u64) -> Result<(Opened, Bytes), CallError> {
        loop {
            let mut opened = self.open().await?;
            let clock = self.connector.clock();
            match read_all(&mut opened.incoming, bytes_max, clock).await {
                Ok(body) => return Ok((opened, body)),
                Err(failure) => {
                    drop(opened);
                    self.broke(failure).await?;
                }
            }
        }
    }

    /// A tape answers without delay, also to who was to wait.
    fn is_played(&self) -> bool {
        self.connector.extras().tape.as_ref().is_some_and(|tape| tape.plays())
    }

    /// Remembers that not even all tries helped, if that may be the api's fault.
    fn gave_up(&self, failure: &Failure) {
        let was_tried = self.tries > 1 && self.request.manner.retry.is_none();
        if !was_tried || !failure.is_outage() {
            return;
        }
        if self.target.patience.gave_up(self.started) {
            self.connector.observe(&Event::Warned {
                about: self.target.name.to_string(),
                message: "nothing goes well any more: each request is sent once, until one does"
                    .into(),
            });
        }
    }

    /// The schedule's word, unless the api is taken to be out.
    fn scheduled(&mut self, cause: Cause) -> Decision {
        let clock = self.connector.clock();
        let decision = self.schedule.after(cause, clock.monotonic(), clock.jitter());
        let is_own = !matches!(cause, Cause::Declared(_));
        if is_own && self.target.patience.is_over() { Decision::GiveUp } else { decision }
    }

    /// The body broke: waits, so that the caller may open again, or says that it may not.
    pub(crate) async fn broke(&mut self, failure: Failure) -> Result<(), CallError> {
        let duration = self.connector.clock().monotonic().saturating_sub(self.begun);
        let error = self.connector.redacted(&failure.to_string());
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.error = Some(error);
            attempt.duration = duration;
        }
        self.wait_or_fail(failure).await
    }

    /// A failure of this request, with its URL and attempts.
    pub(crate) fn error(&self, failure: Failure) -> CallError {
        CallError::Exchange {
            method: self.request.method,
            url: self.request.url.clone(),
            attempts: self.tries,
            failure: Box::new(failure),
        }
    }

    /// The attempts, the last one ending now.
    pub(crate) fn finished(mut self) -> Vec<Attempt> {
        let duration = self.connector.clock().monotonic().saturating_sub(self.begun);
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.duration = duration;
        }
        self.attempts
    }

    pub(crate) const fn request(&self) -> &Request {
        &self.request
    }

    /// The api may take more at once; or this was the last call that it allows for some time, and
    /// waiting is cheaper than being refused.
    fn went_well(&self, headers: &[(String, String)], now: Duration) {
        self.target.gate.places.well();
        self.target.patience.went_well(now);
        let now_at = self.begun_at + now.saturating_sub(self.begun);
        if let Some(wait) = exhausted_wait(headers, now_at)
            && wait <= self.target.wait_max
            && !self.is_played()
        {
            self.target.gate.close_until(now + wait);
        }
    }

    fn decide(&mut self, status: u16, declared: Option<Duration>) -> Decision {
        if let Some(retry) = &self.request.manner.retry {
            return self.decide_exactly(retry.status.contains(&status), declared);
        }
        // Some apis say 403 when a rate limit is reached, and mean it only with a reset beside it.
        let is_limited = status == 429 || (status == 403 && declared.is_some());
        let is_passing = is_limited || self.target.retry.status.contains(&status);
        let may_repeat =
            self.request.repeatable || (status == 429 && self.request.waits_for_limits);
        if !is_passing || !may_repeat {
            return Decision::GiveUp;
        }
        self.scheduled(declared.map_or(Cause::Passing, Cause::Declared))
    }

    fn decide_exactly(&mut self, is_listed: bool, declared: Option<Duration>) -> Decision {
        if !is_listed || !self.request.repeatable {
            return Decision::GiveUp;
        }
        let cause = declared.map_or(Cause::Passing, Cause::Declared);
        self.schedule.after(cause, self.connector.clock().monotonic(), 0.0)
    }

    async fn refusal(&self, incoming: &mut Incoming, decision: Decision) -> Failure {
        let status = incoming.status;
        if let Decision::TooLong(wait) = decision {
            return Failure::RateLimited { status, wait, bound: self.target.wait_max };
        }
        // An error page that is too long or breaks off is no error on top of the error.
        let body = read_all(incoming, EXCERPT_BYTES_MAX, self.connector.clock()).await;
        let excerpt = match body {
            Ok(body) => excerpt(&body, self.connector.redactor()),
            Err(_) => Excerpt::default(),
        };
        match status {
            401 | 403 => Failure::Unauthorized { status, excerpt },
            _ => Failure::Status { status, excerpt },
        }
    }

    async fn wait_or_fail(&mut self, failure: Failure) -> Result<(), CallError> {
        let is_exact = self.request.manner.retry.is_some();
        if !failure.is_transient() || !self.request.repeatable || is_exact {
            return Err(self.error(failure));
        }
        let cause = if failure.is_stubborn() { Cause::Stubborn } else { Cause::Passing };
        match self.scheduled(cause) {
            Decision::Again(wait) => {
                self.wait(wait, &failure).await;
                Ok(())
            }
            Decision::GiveUp | Decision::TooLong(_) => {
                self.gave_up(&failure);
                Err(self.error(failure))
            }
        }
    }

    async fn wait(&mut self, wait: Duration, failure: &Failure) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.wait = Some(wait);
        }
        self.connector.observe(&Event::RetryScheduled {
            api: self.target.name.clone(),
            url: self.request.url.clone(),
            reason: self.connector.redacted(&failure.to_string()),
            wait,
            attempt: self.tries,
        });
        if !self.is_played() {
            self.connector.clock().sleep(wait).await;
            self.tally.waited_between(wait);
        }
    }

    /// Keeps the attempt, which ends now, and says when that is.
    fn note(&mut self, status: Option<u16>, failure: Option<&Failure>) -> Duration {
        let now = self.connector.clock().monotonic();
        if self.attempts.len() >= ATTEMPTS_KEPT_MAX {
            self.attempts.remove(0);
        }
        self.attempts.push(Attempt {
            method: self.request.method,
            url: self.request.url.clone(),
            started: self.begun_at,
            redirected_to: self.redirected_to.clone(),
            status,
            error: failure.map(|failure| self.connector.redacted(&failure.to_string())),
            duration: now.saturating_sub(self.begun),
            wait: None,
        });
        now
    }
}
