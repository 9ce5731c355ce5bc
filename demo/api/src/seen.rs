//! The log of requests, for tests to read.
//!
//! In goes every request, before anything else looks at it; out come [`Seen`] entries, the latest
//! 10,000 of them, and counts by path that outlive them. A secret never gets in: of an
//! `Authorization` header only the scheme is kept, and of a token its serial number; the value of
//! an `api_key` in a query is masked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::state::{Api, locked};
use crate::tokens::Tokens;
use crate::{API_KEY_HEADER, API_KEY_PARAMETER};

const ENTRIES_MAX: usize = 10_000;
const PATHS_MAX: usize = 10_000;

/// One request as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The how-manieth request this is, from 1.
    pub serial: u64,
    /// When it came, after the server's start.
    pub at: Duration,
    /// Its method, `GET` for one.
    pub method: String,
    /// Its path and query, with API keys masked.
    pub path_and_query: String,
    /// What it was authorized with.
    pub credential: Credential,
    /// Its `Idempotency-Key` header.
    pub idempotency_key: Option<String>,
    /// Its `Content-Type` header.
    pub content_type: Option<String>,
    /// Its `User-Agent` header.
    pub user_agent: Option<String>,
    /// The status it was answered with; none while it is under way, or if its client left.
    pub status: Option<u16>,
}

/// What a request was authorized with, without the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    None,
    /// HTTP Basic.
    Basic,
    /// A bearer token: its serial number from 1, or none if it was not issued here.
    Bearer(Option<u64>),
    /// An API key, in the header or in the query.
    ApiKey,
    /// An `Authorization` header with another scheme.
    Other,
}

/// The log itself.
pub(crate) struct SeenLog {
    start: Instant,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    count: u64,
    entries: VecDeque<Seen>,
    by_path: BTreeMap<String, u64>,
}

impl Default for SeenLog {
    fn default() -> SeenLog {
        SeenLog { start: Instant::now(), inner: Mutex::default() }
    }
}

impl SeenLog {
    pub(crate) fn entries(&self) -> Vec<Seen> {
        locked(&self.inner).entries.iter().cloned().collect()
    }

    pub(crate) fn count(&self, path_prefix: &str) -> u64 {
        let inner = locked(&self.inner);
        let paths = inner.by_path.iter().filter(|(path, _)| path.starts_with(path_prefix));
        paths.map(|(_, count)| count).sum()
    }

    pub(crate) fn clear(&self) {
        let mut inner = locked(&self.inner);
        inner.entries.clear();
        inner.by_path.clear();
    }

    fn begin(&self, request: &Request, tokens: &Tokens) -> u64 {
        let headers = request.headers();
        let uri = request.uri();
        let text = |name: &str| {
            let value = headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let mut seen = Seen {
            serial: 0,
            at: self.start.elapsed(),
            method: request.method().to_string(),
            path_and_query: masked(uri.path(), uri.query()),
            credential: credential(headers, uri.query(), tokens),
            idempotency_key: text("idempotency-key"),
            content_type: text(header::CONTENT_TYPE.as_str()),
            user_agent: text(header::USER_AGENT.as_str()),
            status: None,
        };
        let mut inner = locked(&self.inner);
        inner.count += 1;
        seen.serial = inner.count;
        if inner.entries.len() >= ENTRIES_MAX {
            inner.entries.pop_front();
        }
        inner.entries.push_back(seen);
        let has_room = inner.by_path.len() < PATHS_MAX;
        if let Some(count) = inner.by_path.get_mut(uri.path()) {
            *count += 1;
        } else if has_room {
            inner.by_path.insert(uri.path().to_owned(), 1);
        }
        inner.count
    }

    fn answered(&self, serial: u64, status: u16) {
        let mut inner = locked(&self.inner);
        // An answer usually belongs to one of the last requests, so the search starts there.
        if let Some(seen) = inner.entries.iter_mut().rev().find(|seen| seen.serial == serial) {
            seen.status = Some(status);
        }
    }
}

/// The outermost layer.
pub(crate) async fn record(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let serial = api.seen.begin(&request, &api.tokens);
    let response = next.run(request).await;
    api.seen.answered(serial, response.status().as_u16());
    response
}

fn credential(headers: &HeaderMap, query: Option<&str>, tokens: &Tokens) -> Credential {
    let scheme = headers.get(header::AUTHORIZATION).map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        text.split(' ').next().unwrap_or_default().to_owned()
    });
    match scheme.as_deref() {
        Some("bearer") => Credential::Bearer(tokens.known(headers).map(|grant| grant.serial)),
        Some("basic") => Credential::Basic,
        Some(_) => Credential::Other,
        None if headers.contains_key(API_KEY_HEADER) || has_key(query) => Credential::ApiKey,
        None => Credential::None,
    }
}

fn has_key(query: Option<&str>) -> bool {
    query.unwrap_or_default().split('&').any(is_key)
}

fn is_key(pair: &str) -> bool {
    pair.split('=').next() == Some(API_KEY_PARAMETER)
}

fn masked(path: &str, query: Option<&str>) -> String {
    let Some(query) = query else {
        return path.to_owned();
    };
    let pairs = query.split('&').map(|pair| if is_key(pair) { "api_key=***" } else { pair });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}
