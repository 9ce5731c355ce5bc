//! Send and retry: one request, as often as it takes.
//!
//! In: a request and the api it is for. Out: the head of an answer that was expected, its body
//! still to be read, or the error that all attempts came to. Whoever reads the body and finds it
//! broken says so with [`Exchange::broke`], and may open again from the start.
//!
//! Each attempt goes: place → (pass → authorize → wire → 401? token, once → redirect?) per hop.
//! Waits between attempts hold no place at the gate, and authorization comes after every wait.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use restway_model::definition::Auth;
use restway_model::{Event, SafeUrl};

use crate::authorize::{Credential, fixed, signed};
use crate::error::{CallError, Excerpt, Failure};
use crate::excerpt::excerpt;
use crate::gate::Passer;
use crate::kept::{Met, Sought, identity};
use crate::outputs::Jar;
use crate::places::Place;
use crate::redirect::{Hop, is_led};
use crate::request::{Attempt, Redirects, Request};
use crate::retry::{Cause, Decision, Schedule, declared_wait, exhausted_wait};
use crate::sent::{Sent, Tally};
use crate::target::Target;
use crate::values::NoValues;
use crate::wire::{End, Incoming, Outgoing, Route};
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
        if !is_passing || !self.request.repeatable {
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

    /// One attempt: the request and the redirects it leads through.
    async fn chain(&mut self) -> Result<Opened, Failure> {
        let place = self.target.gate.places.enter().await;
        let mut hop = Hop {
            method: self.request.method,
            url: self.request.url.clone(),
            headers: self.request.headers.clone(),
            body: self.request.body.as_ref().map(crate::request::Body::upload),
            is_home: self.target.is_home(self.request.url.expose()),
        };
        let redirects_max = match self.request.manner.redirects {
            Some(Redirects::Returned) => 0,
            Some(Redirects::Followed(most)) => usize::from(most),
            None => self.connector.limits().redirects_max,
        };
        let is_followed = self.request.manner.redirects != Some(Redirects::Returned);
        let mut cookies = Jar::default();
        for _ in 0..=redirects_max {
            let incoming = self.hop(&hop).await?;
            cookies.read(&incoming.headers);
            let next = match is_followed {
                true => hop.after(incoming.status, &incoming.headers)?,
                false => None,
            };
            let Some(mut next) = next else {
                return Ok(Opened { incoming, url: hop.url, cookies, place });
            };
            let is_definitions = self.request.manner.redirects.is_none();
            if is_definitions && hop.loses_write(incoming.status, &next) {
                return Err(Failure::Redirect {
                    target: next.url.to_string(),
                    problem: "the POST would become a GET, which does not do it; write that \
                              address in the definition"
                        .into(),
                });
            }
            if next.is_home && !is_definitions {
                cookies.apply(&mut next.headers);
            }
            let is_written = self.target.is_home(next.url.expose());
            self.is_led = is_led(self.is_led, hop.url.expose(), next.url.expose(), is_written);
            hop = next;
            self.redirected_to = Some(hop.url.clone());
        }
        Err(Failure::Redirect {
            target: hop.url.to_string(),
            problem: format!("it is number {} of one request", redirects_max + 1),
        })
    }

    /// How the hop's host is reached.
    async fn route(&self, hop: &Hop) -> Result<Route, Failure> {
        let manner = &self.request.manner;
        let is_own = hop.url.expose().host_str() == self.request.url.expose().host_str();
        let tls = match manner.tls.clone().filter(|_| is_own) {
            None if hop.is_home && self.target.is_own(hop.url.expose()) => {
                self.connector.tls(&self.target.tls).await?
            }
            tls => tls,
        };
        if let Some(tls) = &tls
            && let Some(warning) = self.target.ending_warning(tls, self.connector.clock().now())
        {
            self.connector.observe(&warning);
        }
        let connect_timeout = manner.timeouts.map(|timeouts| timeouts.connect);
        let proxy = self.connector.proxy(self.target.proxy.as_ref(), hop.url.expose())?;
        Ok(Route { tls, connect_timeout, proxy, is_led: self.is_led })
    }

    /// One hop; with a token that the api refuses, once more with a new one.
    async fn hop(&mut self, hop: &Hop) -> Result<Incoming, Failure> {
        let (credential, serial) = self.credential(hop, None).await?;
        let incoming = self.send(hop, credential).await?;
        let site =
            self.target.site(hop.url.expose()).filter(|_| hop.is_home && incoming.status == 401);
        if site.is_some_and(|site| site.is_challenged(&incoming.headers)) {
            drop(incoming);
            let (credential, _) = self.credential(hop, None).await?;
            return self.send(hop, credential).await;
        }
        let Some(serial) = serial.filter(|_| incoming.status == 401 && !self.has_renewed) else {
            return Ok(incoming);
        };
        self.has_renewed = true;
        drop(incoming);
        let (credential, _) = self.credential(hop, Some(serial)).await?;
        self.send(hop, credential).await
    }

    /// The credential of a hop, and the serial of its token if it is one.
    async fn credential(
        &self,
        hop: &Hop,
        refused: Option<u64>,
    ) -> Result<(Credential, Option<u64>), Failure> {
        let site = self.target.site(hop.url.expose()).filter(|site| site.auth != Auth::None);
        let Some(site) = site.filter(|_| hop.is_home) else {
            return Ok((Credential::None, None));
        };
        if let Some(warning) = self.target.plain_warning(hop.url.expose()) {
            self.connector.observe(&warning);
        }
        let credential = {
            let lookup = self.connector.lookup(&NoValues, true);
            let redactor = self.connector.redactor();
            match fixed(&site.auth, &lookup, redactor)? {
                Some(credential) => Some(credential),
                None => signed(site, hop, &lookup, self.connector.clock().now(), redactor)?,
            }
        };
        if let Some(credential) = credential {
            return Ok((credential, None));
        }
        let tokens = &site.tokens;
        let (credential, serial) =
            tokens.credential(&self.connector, &self.target, site, refused).await?;
        Ok((credential, Some(serial)))
    }

    /// Waits at the gate.
    async fn pass(&self) {
        let api = &self.target.name;
        let waits = |wait| self.connector.observe(&Event::RateWaited { api: api.clone(), wait });
        let alone = |problem: String| {
            if let Some(warning) = self.target.alone_warning(problem) {
                self.connector.observe(&warning);
            }
        };
        let passer = Passer {
            api,
            clock: self.connector.clock(),
            shared: self.connector.extras().rates.as_deref(),
            waits: &waits,
            alone: &alone,
        };
        if self.tally.resource().is_none() {
            return self.target.gate.pass(&passer).await;
        }
        let begun = self.connector.clock().monotonic();
        self.target.gate.pass(&passer).await;
        self.tally.waited_at_rate(self.connector.clock().monotonic().saturating_sub(begun));
    }

    async fn send(&mut self, hop: &Hop, credential: Credential) -> Result<Incoming, Failure> {
        let clock = self.connector.clock();
        if hop.is_home && !self.is_played() {
            self.pass().await;
        }
        self.tally.sends();
        let begun = clock.monotonic();
        // Shown without the credential: a key in the query has a name of the api's choosing.
        let url = hop.url.clone();
        self.connector.observe(&Event::RequestSent {
            api: self.target.name.clone(),
            method: hop.method,
            url: url.clone(),
            attempt: self.tries,
        });
        let mut outgoing = Outgoing {
            method: hop.method,
            url: hop.url.expose().clone(),
            headers: hop.headers.clone(),
            body: hop.body.clone(),
            answer_timeout: self.target.answer_timeout,
            route: self.route(hop).await?,
            read_timeout: None,
            end: self.target.answer_bound.map(|total| End {
                total,
                at: begun + total,
                left: total,
            }),
        };
        if let Some(timeouts) = self.request.manner.timeouts {
            let at = self.begun + timeouts.total;
            let left = at.saturating_sub(begun);
            outgoing.answer_timeout = timeouts.read;
            outgoing.read_timeout = Some(timeouts.read);
            outgoing.end = Some(End { total: timeouts.total, at, left });
        }
        let sought = self.sought(hop, &credential).await?;
        if let Some(sought) = &sought {
            sought.ask(&mut outgoing.headers);
        }
        credential.apply(&mut outgoing.url, &mut outgoing.headers);
        let mut sent = self.sent(hop, &url, begun);
        let sending = self.connector.wire().send(outgoing).await;
        let mut incoming = sending.inspect_err(|failure| {
            if let Some(sent) = &mut sent {
                sent.error = Some(failure.code());
            }
        })?;
        self.connector.observe(&Event::AnswerReceived {
            api: self.target.name.clone(),
            url,
            status: incoming.status,
            duration: clock.monotonic().saturating_sub(begun),
        });
        incoming.tell(sent);
        if let Some(sought) = sought {
            let met = sought.meet(incoming.status, &incoming.headers, clock).await;
            let met = met.inspect_err(|failure| incoming.blame(failure))?;
            self.tally.meets(matches!(met, Met::Unchanged(..)));
            incoming.met(met);
        }
        Ok(incoming)
    }

    /// The request as it is told of when it has ended; only those of walks are.
    fn sent(&self, hop: &Hop, url: &SafeUrl, begun: Duration) -> Option<Box<Sent>> {
        let resource = self.tally.resource()?.clone();
        Some(Box::new(Sent {
            connector: self.connector.clone(),
            tally: Arc::clone(&self.tally),
            resource,
            page: self.page,
            method: hop.method,
            url: url.clone(),
            attempt: self.tries,
            sent_at: self.connector.clock().now(),
            begun,
            took: None,
            status: None,
            bytes: 0,
            error: None,
        }))
    }

    /// The kept answer to a hop, where one is asked for. A tape has the answers as they came.
    async fn sought(&self, hop: &Hop, credential: &Credential) -> Result<Option<Sought>, Failure> {
        let is_asked = self.request.keeps && hop.is_home && hop.url == self.request.url;
        let (Some(kept), None) = (self.connector.kept(), &self.connector.extras().tape) else {
            return Ok(None);
        };
        let Some(site) = self.target.site(hop.url.expose()).filter(|_| is_asked) else {
            return Ok(None);
        };
        let identity = {
            let lookup = self.connector.lookup(&NoValues, true);
            identity(&self.target, &site.auth, credential, &lookup)?
        };
        Ok(Some(kept.seek(hop, &identity).await))
    }
}
