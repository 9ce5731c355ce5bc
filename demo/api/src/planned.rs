//! Faults planned in the settings, for requests to ordinary paths.
//!
//! In go requests, just after they are logged; out come they themselves, or the planned fault. Each
//! fault counts the requests whose path starts with its own; the first fault that is due is the
//! only one to act, but every fault whose path fits counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::answer::Problem;
use crate::faults::cut_short;
use crate::settings::{Effect, Fault};
use crate::state::Api;

/// The largest answer that is cut short; a larger one becomes an empty one.
const CUT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The planned faults and how many requests each has counted.
pub(crate) struct Plan {
    faults: Vec<(Fault, AtomicU64)>,
}

impl Plan {
    pub(crate) fn new(faults: Vec<Fault>) -> Plan {
        Plan { faults: faults.into_iter().map(|fault| (fault, AtomicU64::new(0))).collect() }
    }

    fn due(&self, path: &str) -> Option<Effect> {
        let mut due = None;
        for (fault, counter) in &self.faults {
            if !path.starts_with(&fault.path) {
                continue;
            }
            let earlier = counter.fetch_add(1, Ordering::Relaxed);
            let (first, count) = (u64::from(fault.after), u64::from(fault.times));
            if due.is_none() && (first..first + count).contains(&earlier) {
                due = Some(fault.effect.clone());
            }
        }
        due
    }
}

/// The layer that lets planned faults act.
pub(crate) async fn apply(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    match api.plan.due(request.uri().path()) {
        None => next.run(request).await,
        Some(Effect::Wait(wait)) => {
            tokio::time::sleep(wait).await;
            next.run(request).await
        }
        Some(Effect::Answer { status, retry_after }) => planned(status, retry_after),
        Some(Effect::Truncate) => {
            let (parts, body) = next.run(request).await.into_parts();
            let whole = to_bytes(body, CUT_BYTES_MAX).await.unwrap_or_default();
            let mut response = cut_short(whole.slice(..whole.len() / 2), whole.len() + 1);
            *response.status_mut() = parts.status;
            if let Some(content_type) = parts.headers.get(header::CONTENT_TYPE) {
                response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
            }
            response
        }
    }
}

fn planned(status: u16, retry_after: Option<u64>) -> Response {
    let status = match StatusCode::from_u16(status) {
        Ok(status) if !status.is_informational() && status.as_u16() < 600 => status,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut problem = Problem::new(status, "planned_fault", "this answer was planned in settings");
    if let Some(seconds) = retry_after {
        problem = problem.header(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    problem.into_response()
}
