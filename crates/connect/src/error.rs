//! What can go wrong with a call, as facts.
//!
//! In: what a stage found. Out: an error that names the request, how often it was sent, the page,
//! and what helps. Texts of servers are cut to 500 bytes and have passed the redactor before they
//! get here; URLs are of the type that masks itself. What never happens here: a decision. Whether a
//! failure is worth another try is asked of [`Failure::is_transient`] by the stage that retries.

mod explain;

use std::time::Duration;

use restway_model::definition::Method;
use restway_model::{Code, Name, SafeUrl, TableName, TemplateError, Timespan};

use crate::egress::Denial;
use crate::proxy::Proxy;

/// A call that did not bring what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// A `${…}` has no value.
    #[error(transparent)]
    Value(#[from] TemplateError),
    /// A definition or an argument makes no request.
    #[error("{subject} {problem}")]
    Invalid {
        /// What is wrong.
        subject: String,
        /// How.
        problem: String,
    },
    /// A request, all its attempts taken together.
    #[error("{} {url}: {failure}{}", .method.as_str(), tries(*.attempts))]
    Exchange {
        /// The request's method.
        method: Method,
        /// The request's URL.
        url: SafeUrl,
        /// How often it was sent.
        attempts: u32,
        /// What the last attempt came to.
        #[source]
        failure: Box<Failure>,
    },
    /// A person's login that did not come about.
    #[error("the login of `{api}` failed: {failure}")]
    Login {
        /// The api.
        api: Name,
        /// Why.
        #[source]
        failure: Box<Failure>,
    },
    /// A page that was kept, and that is not what the definition says now.
    #[error("{failure} (page {page} that was kept of `{resource}`)")]
    Kept {
        /// The table that it is for.
        resource: TableName,
        /// The number of its file.
        page: u64,
        /// What is wrong with it.
        #[source]
        failure: Box<Failure>,
    },
    /// A page of a walk.
    #[error("{cause} (page {page} of `{resource}`)")]
    Page {
        /// The table that the walk is for.
        resource: TableName,
        /// The page, from 1.
        page: u64,
        /// What happened.
        #[source]
        cause: Box<CallError>,
    },
}

/// What one attempt, or the answer to it, came to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The workspace may not reach that address.
    #[error(transparent)]
    Egress(Denial),
    /// A `${…}` that only sending needs has no value.
    #[error(transparent)]
    Value(TemplateError),
    /// Something that only sending finds out about the definition.
    #[error("{subject} {problem}")]
    Invalid {
        /// What is wrong.
        subject: String,
        /// How.
        problem: String,
    },
    /// The name has no address.
    #[error("the host name does not resolve ({problem})")]
    Dns {
        /// What the resolver said.
        problem: String,
    },
    /// No connection.
    #[error("no connection ({problem})")]
    Connect {
        /// What the system said.
        problem: String,
    },
    /// The proxy answered, and did not open the way to the host.
    #[error("the proxy {problem}")]
    ProxyRefused {
        /// What it did instead.
        problem: String,
        /// Whether asking again is of no use.
        is_final: bool,
    },
    /// What happened on the way through a proxy.
    #[error("{failure} (via the proxy {proxy})")]
    ViaProxy {
        /// The proxy.
        proxy: SafeUrl,
        /// What happened.
        #[source]
        failure: Box<Failure>,
    },
    /// No TLS.
    #[error("the TLS handshake failed ({problem})")]
    Tls {
        /// What the handshake ended with.
        problem: String,
    },
    /// Silence, or an answer slower than any bound.
    #[error("{what} within {}", Timespan(*.after))]
    Timeout {
        /// What did not happen.
        what: &'static str,
        /// For how long.
        after: Duration,
    },
    /// A tape is played, and this is not on it.
    #[error("the recording has no answer: {problem}")]
    NotRecorded {
        /// Why.
        problem: String,
    },
    /// The answer ended before its end.
    #[error("the answer broke off after {offset} bytes ({problem})")]
    Interrupted {
        /// How.
        problem: String,
        /// Decoded bytes that came.
        offset: u64,
    },
    /// The answer came whole, as far as HTTP can tell, and what it holds has no end.
    #[error("the answer of {offset} bytes is cut ({problem})")]
    Unfinished {
        /// What is missing.
        problem: String,
        /// Decoded bytes that came.
        offset: u64,
    },
    /// A redirect that is not followed.
    #[error("the redirect to {target} is not followed: {problem}")]
    Redirect {
        /// Where to.
        target: String,
        /// Why not.
        problem: String,
    },
    /// 401 or 403.
    #[error("status {status}: the api refused the credentials{excerpt}")]
    Unauthorized {
        /// The status.
        status: u16,
        /// What else the answer said.
        excerpt: Excerpt,
    },
    /// The api wants a longer wait than allowed.
    #[error(
        "status {status}: the api asks to wait {}, and {} are allowed in all",
        Timespan(*.wait), Timespan(*.bound)
    )]
    RateLimited {
        /// The status.
        status: u16,
        /// The wait that was asked for.
        wait: Duration,
        /// The longest that is allowed.
        bound: Duration,
    },
    /// Any other status that was not expected.
    #[error("status {status}{excerpt}")]
    Status {
        /// The status.
        status: u16,
        /// What else the answer said.
        excerpt: Excerpt,
    },
    /// The token endpoint gave no token.
    #[error("no token from {url}: {failure}")]
    Token {
        /// The token endpoint.
        url: SafeUrl,
        /// Why.
        #[source]
        failure: Box<Failure>,
    },
    /// The token endpoint answered, and not with a token.
    #[error("{problem}")]
    TokenRefused {
        /// What happened, in words.
        problem: String,
        /// The error of RFC 6749, section 5.2, if it was one.
        error: Option<String>,
    },
    /// A person has to log in.
    #[error("{problem}")]
    LoginMissing {
        /// Why.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// A token that rotates could not be kept or read.
    #[error("the token cannot be kept: {0}")]
    Keeper(#[source] restway_model::KeeperFailed),
    /// The content coding of the answer is not what its head says.
    #[error("the answer cannot be unpacked: {problem}")]
    Packed {
        /// How it is packed.
        problem: String,
    },
    /// A bound on bytes or depth.
    #[error("{what} is larger than the bound of {bound}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The bound with its unit.
        bound: String,
        /// What may help, when this place knows better than the code.
        hint: Option<String>,
    },
    /// Not JSON, from the start or from some byte on.
    #[error("the answer is not JSON: {problem}{excerpt}")]
    NotJson {
        /// What is there instead.
        problem: String,
        /// The place, as text.
        excerpt: Excerpt,
    },
    /// A page for people, where an answer was expected: a login, a proxy, a firewall.
    #[error("the answer is not {format}: {}", page_line(.title.as_deref()))]
    Page {
        /// What was expected.
        format: &'static str,
        /// Its title.
        title: Option<String>,
    },
    /// The answer is one that the definition calls an error.
    #[error("the answer is an error, by `fail_when: {condition}`{excerpt}")]
    Declared {
        /// The condition.
        condition: String,
        /// The answer without its records.
        excerpt: Excerpt,
    },
    /// Not the format that the definition names, from the start or from some place on.
    #[error("the answer is not {format}: {problem}{excerpt}")]
    Malformed {
        /// The format.
        format: &'static str,
        /// What is there instead.
        problem: String,
        /// The place, as text.
        excerpt: Excerpt,
    },
    /// The `records` path finds no list and no object.
    #[error("the path `{path}` finds no records: {problem}")]
    RecordsMissing {
        /// The path.
        path: String,
        /// What is there instead.
        problem: String,
        /// The fields that are there.
        fields: Vec<String>,
        /// The path that is likely meant.
        suggestion: Option<String>,
    },
    /// An export job that brought nothing.
    #[error(transparent)]
    Job(crate::job::JobFailure),
    /// A page that was read before.
    #[error("the api sent the walk in a circle: {problem}")]
    PageLoop {
        /// What repeats.
        problem: &'static str,
    },
    /// More pages than allowed.
    #[error("there are more than {bound} pages")]
    PageBound {
        /// The bound.
        bound: u64,
    },
    /// It was not let go.
    #[error("the request was not sent, because the run ends")]
    Stayed,
    /// A file that a call reads or writes.
    #[error("the answer's file could not be written ({problem})")]
    File {
        /// Why not.
        problem: String,
    },
    /// The file in which a large page waits.
    #[error("the page is too large for memory, and its temporary file failed ({0})")]
    Spool(#[source] std::io::Error),
    /// The next page lies where credentials do not go.
    #[error("the next page lies on another origin: {next}")]
    PageTarget {
        /// Where.
        next: SafeUrl,
    },
}

/// Some text of an answer, to see what it was about: one line, at most 500 bytes, redacted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excerpt(pub(crate) String);

impl std::fmt::Display for Excerpt {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(formatter, ": {}", self.0)
    }
}

fn page_line(title: Option<&str>) -> String {
    match title {
        Some(title) => format!("it is a page titled `{title}`"),
        None => "it begins with `<`, as HTML and XML do".to_owned(),
    }
}

fn tries(attempts: u32) -> String {
    match attempts {
        0 | 1 => String::new(),
        more => format!(" (after {more} attempts)"),
    }
}

impl CallError {
    pub(crate) fn invalid(subject: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { subject: subject.into(), problem: problem.into() }
    }

    /// Whether the api is out, and may well answer later: nobody is there, or it fails itself. A
    /// name that does not resolve, or a proxy that refuses, is more likely a wrong definition.
    pub fn is_outage(&self) -> bool {
        let is_out = |failure: &Failure| {
            failure.is_outage() && !matches!(failure.code(), Code::CallDns | Code::CallProxy)
        };
        match self {
            Self::Exchange { failure, .. } | Self::Login { failure, .. } => match &**failure {
                Failure::Token { failure, .. } => is_out(failure),
                failure => is_out(failure),
            },
            Self::Page { cause, .. } => cause.is_outage(),
            Self::Value(_) | Self::Invalid { .. } | Self::Kept { .. } => false,
        }
    }
}

impl Failure {
    pub(crate) fn invalid(subject: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { subject: subject.into(), problem: problem.into() }
    }

    pub(crate) fn token_refused(problem: impl Into<String>) -> Self {
        Self::TokenRefused { problem: problem.into(), error: None }
    }

    /// The error of RFC 6749, section 5.2, if it is one.
    pub(crate) fn oauth_error(&self) -> Option<&str> {
        match self {
            Self::Token { failure, .. } => failure.oauth_error(),
            Self::TokenRefused { error, .. } => error.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn malformed(format: &'static str, problem: String) -> Self {
        Self::Malformed { format, problem, excerpt: Excerpt::default() }
    }

    /// The status of the answer that this was, if it was one.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Unauthorized { status, .. }
            | Self::RateLimited { status, .. }
            | Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The same, on the way through a proxy.
    pub(crate) fn through(self, proxy: &Proxy) -> Self {
        match self {
            Self::Egress(_) | Self::Invalid { .. } => self,
            other => Self::ViaProxy { proxy: proxy.shown(), failure: Box::new(other) },
        }
    }

    /// Whether the same request may well succeed a little later.
    pub fn is_transient(&self) -> bool {
        if let Self::ViaProxy { failure, .. } = self {
            return failure.is_transient();
        }
        matches!(
            self,
            Self::Dns { .. }
                | Self::Connect { .. }
                | Self::ProxyRefused { is_final: false, .. }
                | Self::Timeout { .. }
                | Self::Interrupted { .. }
                | Self::Unfinished { .. }
                | Self::Page { .. }
        )
    }

    /// Whether a few tries tell as much as many: a name that does not resolve rarely will in ten
    /// minutes, nor will a sender mend what it cuts, or a login page go away.
    pub(crate) fn is_stubborn(&self) -> bool {
        match self {
            Self::Dns { .. } | Self::Unfinished { .. } | Self::Page { .. } => true,
            Self::ProxyRefused { .. } => true,
            Self::ViaProxy { failure, .. } => failure.is_stubborn(),
            _ => false,
        }
    }

    /// Whether it may be the whole api that is out, and not this one request.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::ProxyRefused { .. } => true,
            Self::ViaProxy { failure, .. } => failure.is_outage(),
            Self::Dns { .. } | Self::Connect { .. } | Self::Timeout { .. } => true,
            Self::Status { status, .. } => *status >= 500,
            _ => false,
        }
    }
}
