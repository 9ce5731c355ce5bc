//! A request before anything secret is added to it, and the answer to a whole call.
//!
//! In: what a definition or a person asks for. Out: plain values that the stages pass on. A
//! [`Request`] holds no credentials of the api's `auth`: those are added where it is sent, on each
//! hop anew. Its own headers may hold secrets all the same, so its `Debug` shows their names only.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use restway_model::SafeUrl;
use restway_model::definition::{Method, Retry};
use serde_json::Value;

use crate::plan::USER_AGENT;
use crate::tls::Tls;
use crate::upload::Upload;

/// The body that a call reads at most, unless it says otherwise.
const CALL_BYTES_MAX: u64 = 64 << 20;

/// The headers that every request has, unless it brings its own.
pub(crate) const DEFAULTS: [(&str, &str); 2] =
    [("accept", "application/json"), ("user-agent", USER_AGENT)];

/// What to send.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The whole URL.
    pub url: SafeUrl,
    /// Headers, in order; a name may come twice.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Body>,
    /// Whether sending it twice does what sending it once does.
    pub repeatable: bool,
    /// Whether it is sent again after a rate limit even where it is not repeatable otherwise.
    pub waits_for_limits: bool,
    /// What must have been done before it goes out, after every wait and login; asked each time.
    pub leave: Option<Leave>,
    /// Whether its answer is kept, and asked whether it still holds before it is sent again.
    pub keeps: bool,
    /// The statuses that are an answer and not an error.
    pub expected: Expected,
    /// Decoded bytes of the answer at most, for [`crate::Connector::call`].
    pub body_bytes_max: u64,
    /// How it is sent, where that is not the api's to say.
    pub manner: Manner,
}

/// Asked at the last moment before a request goes out; if the answer is no, it does not.
pub type Leave = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// How one request is sent. What is not given is as the api and the process have it.
#[derive(Clone, Default)]
pub struct Manner {
    /// What a redirect means.
    pub redirects: Option<Redirects>,
    /// How long things may take.
    pub timeouts: Option<Timeouts>,
    /// The only statuses that are tried again, and the exact waits: no chance is added to them.
    /// Nothing else is tried again then, no broken connection either.
    pub retry: Option<Retry>,
    /// TLS on the host of the request's URL.
    pub(crate) tls: Option<Arc<Tls>>,
}

/// What a redirect means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirects {
    /// It is the answer.
    Returned,
    /// It is followed; more than so many are an error.
    Followed(u16),
}

/// How long the parts of one try may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection is open.
    pub connect: Duration,
    /// Silence, before the answer and in it.
    pub read: Duration,
    /// All of it, with redirects and body.
    pub total: Duration,
}

impl Request {
    /// A request without headers and body, repeatable if its method is.
    pub fn new(method: Method, url: SafeUrl) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            body: None,
            repeatable: method.is_idempotent(),
            waits_for_limits: false,
            leave: None,
            keeps: false,
            expected: Expected::Success,
            body_bytes_max: CALL_BYTES_MAX,
            manner: Manner::default(),
        }
    }

    /// The body as a person may read it, secrets in it too; files are named.
    pub fn payload(&self) -> String {
        self.body.as_ref().map(|body| body.upload().shown()).unwrap_or_default()
    }

    /// The request as it is sent, for showing: with what the wire adds.
    pub(crate) fn with_defaults(mut self) -> Self {
        for (name, value) in DEFAULTS {
            self = self.with_default(name, value);
        }
        self.with_content_type()
    }

    /// The request with the content type of its body, unless it names one.
    pub(crate) fn with_content_type(self) -> Self {
        match self.body.as_ref().and_then(Body::content_type) {
            Some(content_type) => self.with_default("content-type", content_type),
            None => self,
        }
    }

    fn with_default(mut self, name: &str, value: &str) -> Self {
        if !self.has_header(name) {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        formatter
            .debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &headers)
            .field("has_body", &self.body.is_some())
            .field("repeatable", &self.repeatable)
            .finish_non_exhaustive()
    }
}

/// A request's body.
#[derive(Clone, PartialEq)]
pub enum Body {
    /// JSON, sent as `application/json`.
    Json(Value),
    /// The same as text, sent as it stands.
    JsonText(String),
    /// Pairs, sent as `application/x-www-form-urlencoded`.
    Form(Vec<(String, String)>),
    /// Any text, sent with the content type among the request's headers.
    Text(String),
    /// Bytes and files, streamed, with the content type among the request's headers.
    Upload(Upload),
    /// Any bytes, sent with the content type among the request's headers.
    Bytes(Bytes),
}

impl Body {
    /// The body as it is sent.
    pub(crate) fn upload(&self) -> Upload {
        match self {
            Self::Json(value) => Bytes::from(value.to_string()).into(),
            Self::Form(pairs) => Bytes::from(form(pairs)).into(),
            Self::Text(text) | Self::JsonText(text) => Bytes::from(text.clone()).into(),
            Self::Upload(upload) => upload.clone(),
            Self::Bytes(bytes) => bytes.clone().into(),
        }
    }

    pub(crate) const fn content_type(&self) -> Option<&'static str> {
        match self {
            Self::Json(_) | Self::JsonText(_) => Some("application/json"),
            Self::Form(_) => Some("application/x-www-form-urlencoded"),
            Self::Text(_) | Self::Upload(_) | Self::Bytes(_) => None,
        }
    }
}

fn form(pairs: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The statuses that are an answer and not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// 200 to 299.
    Success,
    /// 200 to 299 and these.
    SuccessOr(Vec<u16>),
    /// Whatever comes, once no further try may change it.
    Any,
    /// The same, and these at once, even if a further try might change them.
    Listed(Vec<u16>),
}

impl Expected {
    /// Whether the status is asked for by name, so that no retry would be better.
    pub(crate) fn names(&self, status: u16) -> bool {
        match self {
            Self::Success | Self::Any => (200..300).contains(&status),
            Self::SuccessOr(others) => (200..300).contains(&status) || others.contains(&status),
            Self::Listed(listed) => listed.contains(&status),
        }
    }

    /// Whether an answer that is not asked for by name is one all the same, in the end.
    pub(crate) const fn takes_any(&self) -> bool {
        matches!(self, Self::Any | Self::Listed(_))
    }
}

/// The answer to a call.
#[derive(Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The URL that answered, at the end of all redirects.
    pub url: SafeUrl,
    /// Headers in order, names in lower case; a name may come twice.
    pub headers: Vec<(String, String)>,
    /// The decoded body, whole.
    pub body: Bytes,
    /// How it was got; the last is the one that answered.
    pub attempts: Vec<Attempt>,
    /// The cookies that the answer, and the redirects on the way to it, have set.
    pub cookies: Vec<(String, String)>,
}

impl Answer {
    #[cfg(test)]
    pub(crate) fn of_body(headers: &[(String, String)], body: &[u8]) -> Self {
        Self {
            status: 200,
            url: SafeUrl::new(url::Url::parse("https://h/").expect("a URL")),
            headers: headers.to_vec(),
            body: Bytes::copy_from_slice(body),
            attempts: Vec::new(),
            cookies: Vec::new(),
        }
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Answer")
            .field("status", &self.status)
            .field("url", &self.url)
            .field("bytes", &self.body.len())
            .field("attempts", &self.attempts.len())
            .finish_non_exhaustive()
    }
}

pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// One try at a request.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The method.
    pub method: Method,
    /// The URL, without credentials in its query.
    pub url: SafeUrl,
    /// When it began.
    pub started: DateTime<Utc>,
    /// Where redirects led to, if there were any.
    pub redirected_to: Option<SafeUrl>,
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// What was wrong with it, redacted.
    pub error: Option<String>,
    /// From before the first byte to the end of the answer.
    pub duration: Duration,
    /// The wait after it.
    pub wait: Option<Duration>,
}
