//! What was sent: each request with what became of it, and what a walk's requests took in all.
//!
//! In: a request as it goes out, then its answer as it is read. Out: one
//! [`Event::RequestEnded`] for each, when its answer was understood, failed, or nobody wants more
//! of it; and sums for the report of a sync. A request is told of exactly once, because its end is
//! where its [`Sent`] is dropped. Requests for tokens and single calls are not among them: they
//! belong to no resource, and cost nothing here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use restway_model::definition::Method;
use restway_model::{Code, Event, SafeUrl, TableName};

use crate::Connector;
use crate::error::Failure;
use crate::wire::Incoming;

/// Where the time of a walk went; what happens side by side is added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// From each request to the end of its answer.
    pub requests: Duration,
    /// Waiting at the api's rate, and for what `Retry-After` and its kin say.
    pub rate: Duration,
    /// Waiting between the tries of a request.
    pub retries: Duration,
}

impl Spent {
    /// Adds another walk's.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.rate += other.rate;
        self.retries += other.retries;
    }
}

/// What several exchanges sent together.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// The resource that they are for.
    resource: Option<TableName>,
    requests: AtomicU64,
    retries: AtomicU64,
    unchanged: AtomicU64,
    /// Nanoseconds of each part of [`Spent`].
    busy: AtomicU64,
    at_rate: AtomicU64,
    between: AtomicU64,
}

impl Tally {
    pub(crate) fn of(resource: TableName) -> Self {
        Self { resource: Some(resource), ..Self::default() }
    }

    /// Requests that went out, redirects and repeats included.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Tries beyond the first of each.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Answers that were kept and still hold.
    pub(crate) fn unchanged(&self) -> u64 {
        self.unchanged.load(Ordering::Relaxed)
    }

    /// The resource whose requests are told of; none where nobody asks.
    pub(crate) const fn resource(&self) -> Option<&TableName> {
        self.resource.as_ref()
    }

    pub(crate) fn spent(&self) -> Spent {
        let of = |nanos: &AtomicU64| Duration::from_nanos(nanos.load(Ordering::Relaxed));
        Spent { requests: of(&self.busy), rate: of(&self.at_rate), retries: of(&self.between) }
    }

    pub(crate) fn sends(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn tries_again(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn meets(&self, is_unchanged: bool) {
        self.unchanged.fetch_add(u64::from(is_unchanged), Ordering::Relaxed);
    }

    pub(crate) fn waited_at_rate(&self, took: Duration) {
        add(&self.at_rate, took);
    }

    pub(crate) fn waited_between(&self, took: Duration) {
        add(&self.between, took);
    }
}

fn add(sum: &AtomicU64, took: Duration) {
    sum.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// A request that is under way. Dropping it says how it ended.
pub(crate) struct Sent {
    pub(crate) connector: Connector,
    pub(crate) tally: Arc<Tally>,
    pub(crate) resource: TableName,
    pub(crate) page: Option<u64>,
    pub(crate) method: Method,
    /// Without the credential: a key in the query has a name of the api's choosing.
    pub(crate) url: SafeUrl,
    pub(crate) attempt: u32,
    pub(crate) sent_at: DateTime<Utc>,
    pub(crate) begun: Duration,
    /// How long it took, once the body has ended.
    pub(crate) took: Option<Duration>,
    pub(crate) status: Option<u16>,
    /// Bytes of the body so far, unpacked.
    pub(crate) bytes: u64,
    pub(crate) error: Option<Code>,
}

impl Sent {
    /// The body came to its end; what is still to be found out takes no time of the api's.
    pub(crate) fn ended(&mut self) {
        self.took = Some(self.so_far());
    }

    fn so_far(&self) -> Duration {
        self.connector.clock().monotonic().saturating_sub(self.begun)
    }
}

impl Incoming {
    /// Takes over what is told when nobody wants the body any more.
    pub(crate) fn tell(&mut self, sent: Option<Box<Sent>>) {
        self.sent = sent;
        if let Some(sent) = &mut self.sent {
            sent.status = Some(self.status);
        }
    }

    /// The request did all that was asked of it.
    pub(crate) fn praise(&mut self) {
        self.sent = None;
    }

    /// The request failed, and ends here.
    pub(crate) fn blame(&mut self, failure: &Failure) {
        if let Some(mut sent) = self.sent.take() {
            sent.error = Some(failure.code());
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        let duration = self.took.unwrap_or_else(|| self.so_far());
        add(&self.tally.busy, duration);
        self.connector.observe(&Event::RequestEnded {
            resource: self.resource.clone(),
            page: self.page,
            method: self.method,
            url: self.url.clone(),
            sent_at: self.sent_at,
            status: self.status,
            duration,
            bytes: self.bytes,
            attempt: self.attempt,
            error: self.error,
        });
    }
}
