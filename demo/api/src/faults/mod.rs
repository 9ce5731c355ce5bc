//! `/fault`: what goes wrong in the wild, on demand and without authorization.
//!
//! | path | what happens |
//! | --- | --- |
//! | `/fault/status/{code}` | this status, 200 to 599, with a JSON error where a body may be |
//! | `/fault/flaky/{n}/{name}` | 503, `Retry-After: 0` for the first n calls, then customers |
//! | `/fault/rate/{name}` | 429, `Retry-After: 1` for the first call, then customers |
//! | `/fault/unauthorized-after/{n}/{name}` | a bearer token works n times, then 401 for ever; |
//! | | a newer token works n times again |
//! | `/fault/loop` | token pages whose `nextPageToken` repeats for ever |
//! | `/fault/html` | 200 with a login page |
//! | `/fault/empty` | 200 with an empty body |
//! | `/fault/not-json` | 200 with JSON that breaks in the middle of the data |
//! | `/fault/no-records` | 200 with an error and no data |
//! | `/fault/types` | three token pages whose types drift (see `shapes`) |
//! | `/fault/deep/{n}` | one record with n nested arrays, n up to 100,000 |
//! | `/fault/truncated` | a `Content-Length` that is not kept, then the connection closes |
//! | `/fault/slow/{ms}` | customers after a wait of up to 60,000 ms |
//! | `/fault/drip?ms=` | customers in small pieces with a wait (1 ms, up to 1,000) between |
//! | `/fault/huge/{mib}` | about that many MiB of records, up to 4,096 |
//! | `/fault/redirect/{n}` | n redirects (up to 100), then customers |
//! | `/fault/redirect-to?url=` | a redirect to anywhere |
//! | `/fault/echo` | any method; the request as JSON, `Authorization` cut to its scheme |
//!
//! "Customers" means token pages, so that a walk can go on where it recovered. Names keep counters
//! apart: a test takes a name of its own. There may be 10,000 names; another is refused.

mod calls;
mod shapes;
mod wire;

pub(crate) use calls::Memory;
pub(crate) use wire::cut_short;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get};

use crate::answer::Problem;
use crate::state::Api;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/fault/status/{code}", any(calls::status))
        .route("/fault/flaky/{n}/{name}", get(calls::flaky))
        .route("/fault/rate/{name}", get(calls::rate))
        .route("/fault/unauthorized-after/{n}/{name}", get(calls::unauthorized_after))
        .route("/fault/redirect/{n}", get(calls::redirect))
        .route("/fault/redirect-to", get(calls::redirect_to))
        .route("/fault/echo", any(calls::echo))
        .route("/fault/loop", get(shapes::endless))
        .route("/fault/html", get(shapes::html))
        .route("/fault/empty", get(shapes::empty))
        .route("/fault/not-json", get(shapes::not_json))
        .route("/fault/no-records", get(shapes::no_records))
        .route("/fault/types", get(shapes::types))
        .route("/fault/deep/{n}", get(shapes::deep))
        .route("/fault/truncated", get(wire::truncated))
        .route("/fault/slow/{ms}", get(wire::slow))
        .route("/fault/drip", get(wire::drip))
        .route("/fault/huge/{mib}", get(wire::huge))
}

/// A number in a path.
fn number(text: &str, most: u64) -> Result<u64, Problem> {
    match text.parse() {
        Ok(number) if number <= most => Ok(number),
        _ => {
            let message = format!("`{text}` must be a whole number up to {most}");
            Err(Problem::bad_request("invalid_path", message))
        }
    }
}
