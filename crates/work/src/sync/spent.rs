//! Where the time of one resource's sync went, for its report.
//!
//! Each stage's time is added up by itself, also where stages and requests go side by side; so the
//! largest one is what the sync waited for, and together they may be more than the sync took. The
//! clock is read for each request, page and batch, never for a record.

use std::time::Duration;

use restway_connect::Spent;
use serde_json::{Value, json};

/// The stages after the requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Landing {
    /// Records parsed and put into columns, and waiting for the encoder where that is slower.
    pub(super) shape: Duration,
    /// Files closed and flushed, merges planned.
    pub(super) write: Duration,
    /// The journal and the tables' logs.
    pub(super) commit: Duration,
}

/// All stages in seconds.
pub(super) fn timings(total: Duration, requests: Spent, landing: Landing) -> Value {
    json!({
        "total": seconds(total),
        "requests": seconds(requests.requests),
        "rate_waits": seconds(requests.rate),
        "retry_waits": seconds(requests.retries),
        "shape": seconds(landing.shape),
        "write": seconds(landing.write),
        "commit": seconds(landing.commit),
    })
}

/// To the millisecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}
