//! Faults on the wire: bodies that come late, in pieces, without end, or not to their end.
//!
//! In go sizes and waits; out come streamed bodies, never held whole. A body that is shorter than
//! its `Content-Length` makes hyper close the connection once the stream ends, which is exactly
//! what a crashed upstream looks like to a client.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures::stream;
use tokio::time::sleep;

use super::number;
use crate::answer::{self, Answer};
use crate::data::Collection;
use crate::pages::{page_text, token_page};
use crate::params::Params;
use crate::state::Api;

/// A prime, so that pieces end within characters, numbers and names.
const DRIP_BYTES: usize = 61;
const HUGE_MIB_MAX: u64 = 4_096;
/// A record of `/fault/huge` is about this long.
const HUGE_RECORD_BYTES: u64 = 1_024;
const HUGE_CHUNK_RECORDS: u64 = 64;

type Shared = State<Arc<Api>>;

/// A 200 JSON response that promises `promised` bytes, sends `part` and closes.
pub(crate) fn cut_short(part: Bytes, promised: usize) -> Response {
    let pieces = stream::unfold(Some(part), |part| async {
        let Some(part) = part else {
            // Pending once makes hyper write out what it has before it sees the end.
            tokio::task::yield_now().await;
            return None;
        };
        Some((Ok::<_, Infallible>(part), None))
    });
    let mut response = answer::ok(Body::from_stream(pieces));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(promised));
    response
}

pub(super) async fn truncated(State(api): Shared, RawQuery(query): RawQuery) -> Answer {
    let whole = page_text(&api, Collection::Customers, query.as_deref(), &[])?;
    let whole = Bytes::from(whole);
    Ok(cut_short(whole.slice(..whole.len() / 2), whole.len()))
}

pub(super) async fn slow(
    State(api): Shared,
    Path(ms): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    sleep(Duration::from_millis(number(&ms, 60_000)?)).await;
    token_page(&api, Collection::Customers, query.as_deref(), &[])
}

pub(super) async fn drip(State(api): Shared, RawQuery(query): RawQuery) -> Answer {
    let params = Params::read(query.as_deref(), &["ms", "pageSize", "pageToken"])?;
    let wait = Duration::from_millis(params.number("ms", 1, 0..=1_000)?);
    let whole = Bytes::from(page_text(&api, Collection::Customers, query.as_deref(), &["ms"])?);
    let pieces = stream::unfold(whole, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        sleep(wait).await;
        let piece = rest.split_to(rest.len().min(DRIP_BYTES));
        Some((Ok::<_, Infallible>(piece), rest))
    });
    Ok(answer::ok(Body::from_stream(pieces)))
}

pub(super) async fn huge(Path(mib): Path<String>) -> Answer {
    let records = number(&mib, HUGE_MIB_MAX)? * 1024 * 1024 / HUGE_RECORD_BYTES;
    // States: what comes before the first record, then the number of records sent.
    let pieces = stream::unfold(Some(0), move |sent| async move {
        let sent = sent?;
        let end = (sent + HUGE_CHUNK_RECORDS).min(records);
        let mut piece = String::with_capacity(80 * 1024);
        if sent == 0 {
            piece.push_str("{\"data\":[");
        }
        for id in sent + 1..=end {
            piece.push_str(if id == 1 { "" } else { "," });
            piece.push_str(&huge_record(id));
        }
        if end == records {
            piece.push_str(&format!("],\"total\":{records}}}"));
            return Some((Ok::<_, Infallible>(Bytes::from(piece)), None));
        }
        Some((Ok(Bytes::from(piece)), Some(end)))
    });
    Ok(answer::ok(Body::from_stream(pieces)))
}

/// Text that differs from record to record, so that it does not compress to nothing.
fn huge_record(id: u64) -> String {
    let mut mixed = id;
    let mut text = String::with_capacity(HUGE_RECORD_BYTES as usize);
    while text.len() < 960 {
        mixed = mixed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        text.push_str(&format!("{:013x} ", mixed >> 12));
    }
    format!("{{\"id\":{id},\"amount\":{}.25,\"text\":\"{text}\"}}", id % 1_000)
}
