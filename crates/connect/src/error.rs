//! What can go wrong with a call, as facts.
//!
//! In: what a stage found. Out: an error that names the request, how often it was sent, the page,
//! and what helps. Texts of servers are cut to 500 bytes and have passed the redactor before they
//! get here; URLs are of the type that masks itself. What never happens here: a decision. Whether a
//! failure is worth another try is asked of [`Failure::is_transient`] by the stage that retries.

use std::time::Duration;

use restway_model::definition::Method;
use restway_model::{
    Code, Explain, MissingSecret, Name, SafeUrl, TableName, TemplateError, Timespan,
};

use crate::egress::Denial;
use crate::proxy::Proxy;
use crate::wire::{NO_CONNECTION, TOTAL};

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

    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Egress(_) => Code::EgressDenied,
            Self::Value(error) => value_code(error),
            Self::Invalid { .. } => Code::DefinitionInvalid,
            Self::Dns { .. } => Code::CallDns,
            Self::Connect { .. } => Code::CallConnect,
            Self::ProxyRefused { .. } => Code::CallProxy,
            Self::ViaProxy { failure, .. } => failure.code(),
            Self::Tls { .. } => Code::CallTls,
            Self::Timeout { .. } => Code::CallTimeout,
            Self::Interrupted { .. } | Self::Unfinished { .. } => Code::CallInterrupted,
            Self::NotRecorded { .. } => Code::CallNotRecorded,
            Self::Redirect { .. } => Code::CallRedirect,
            Self::Unauthorized { .. } => Code::CallUnauthorized,
            Self::RateLimited { .. } => Code::CallRateLimited,
            Self::Status { status: 429, .. } => Code::CallRateLimited,
            Self::Status { .. } => Code::CallStatus,
            Self::Token { failure, .. } => match failure.as_ref() {
                Self::Status { .. } | Self::Unauthorized { .. } => Code::TokenRefused,
                other => other.code(),
            },
            Self::TokenRefused { .. } => Code::TokenRefused,
            Self::LoginMissing { .. } => Code::LoginMissing,
            Self::Keeper(_) => Code::StoreFailed,
            Self::TooLarge { .. } => Code::BodyTooLarge,
            Self::Packed { .. } => Code::BodyPacked,
            Self::NotJson { .. } | Self::Page { format: "JSON", .. } => Code::BodyNotJson,
            Self::Malformed { .. } | Self::Page { .. } => Code::BodyMalformed,
            Self::Declared { .. } => Code::AnswerDeclared,
            Self::RecordsMissing { .. } => Code::RecordsMissing,
            Self::Job(failure) => failure.code(),
            Self::PageLoop { .. } => Code::PageLoop,
            Self::PageBound { .. } => Code::PageBound,
            Self::PageTarget { .. } => Code::PageTarget,
            Self::Spool(error) if error.kind() == std::io::ErrorKind::StorageFull => Code::DiskFull,
            Self::Spool(_) | Self::File { .. } => Code::FileFailed,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint: &str = match self {
            Self::Egress(denial) => return denial.hints(),
            Self::LoginMissing { hint, .. } => return vec![hint.clone()],
            Self::Value(error) => return value_hints(error),
            Self::RecordsMissing { fields, suggestion, .. } => {
                return records_hints(fields, suggestion.as_deref());
            }
            Self::TooLarge { hint, .. } => return hint.iter().cloned().collect(),
            Self::Token { failure, .. } => return failure.hints(),
            Self::Dns { .. } => "check the host name in `base_url`, and that this machine has DNS",
            Self::ProxyRefused { is_final: true, .. } => {
                "check `username` and `password` of `proxy`, or those in the environment's proxy"
            }
            Self::ProxyRefused { .. } => "ask whoever runs the proxy whether it may reach the host",
            Self::ViaProxy { failure, .. } => match failure.as_ref() {
                Self::Connect { .. } | Self::Timeout { what: NO_CONNECTION, .. } => {
                    "check `proxy.url` or the environment's proxy, and that the proxy is up"
                }
                other => return other.hints(),
            },
            Self::Connect { .. } => "check the port in `base_url`, and that the api is up",
            Self::Tls { .. } => {
                "the certificate must be valid for the host and signed by an authority that this \
                 machine trusts"
            }
            Self::Timeout { what: TOTAL, .. } => {
                "allow the whole answer more: `limits.timeout` in an api file, `total_timeout` of one call"
            }
            Self::Timeout { .. } => "a longer `limits.timeout` or smaller pages may help",
            Self::Unauthorized { status: 401, .. } => "check `auth` and the secrets it names",
            Self::Unauthorized { .. } => "the credentials are known and may not do this",
            Self::RateLimited { .. } | Self::Status { status: 429, .. } => {
                "run it again later, or allow longer waits with `limits.max_wait`"
            }
            Self::TokenRefused { .. } => {
                "check `client_id`, `client_secret`, `scopes` and `client_auth`"
            }
            Self::NotRecorded { .. } => {
                "record it anew with `--record DIR`: the definition asks for something else now"
            }
            Self::Redirect { .. } => "write the address that it leads to as `base_url` or `path`",
            Self::Packed { .. } => {
                "ask for it as it is, with `headers: { Accept-Encoding: identity }`"
            }
            Self::Malformed { .. } => {
                "look at the answer with `restway call`, and check `format` and `archive`"
            }
            Self::NotJson { .. } | Self::Page { .. } => {
                "open the URL in a browser: it may ask for a login"
            }
            Self::Job(failure) => failure.hint(),
            Self::PageLoop { .. } => {
                "check `paginate`: its `next` or `param` may name the wrong field"
            }
            Self::PageBound { .. } => "raise `max_pages` if there really are so many",
            Self::PageTarget { .. } => {
                "credentials are bound to one origin; a walk stays on the one it began on"
            }
            Self::Spool(_) => {
                "it lies in `.restway/spill` of the workspace, which needs room for the largest page"
            }
            Self::Unfinished { .. } => "the api itself may send it cut: look with `restway call`",
            Self::Interrupted { .. }
            | Self::Declared { .. }
            | Self::Status { .. }
            | Self::Invalid { .. }
            | Self::File { .. }
            | Self::Keeper(_) => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

fn value_code(error: &TemplateError) -> Code {
    match error.scope {
        "secret" if unreadable(error).is_some() => Code::SecretUnreadable,
        "secret" | "env" => Code::SecretMissing,
        "param" => Code::ArgumentInvalid,
        _ => Code::DefinitionInvalid,
    }
}

/// Why a secret that is there does not open.
fn unreadable(error: &TemplateError) -> Option<&str> {
    error.problem.strip_prefix(MissingSecret::UNREADABLE)
}

fn value_hints(error: &TemplateError) -> Vec<String> {
    match error.scope {
        // Setting it again would lose what the right key opens.
        "secret" if unreadable(error).is_some_and(|problem| problem.starts_with("the key")) => {
            vec![
                "give the key back that the secrets were set with, as `.restway/key` or in \
                 `RESTWAY_KEY`"
                    .to_owned(),
            ]
        }
        "secret" => vec![format!("set it with `restway secret set {}`", error.name)],
        "env" => vec![format!("set the environment variable {}", error.name)],
        "param" => vec![format!("give it with `--param {}=…`", error.name)],
        _ => Vec::new(),
    }
}

fn records_hints(fields: &[String], suggestion: Option<&str>) -> Vec<String> {
    let mut hints = Vec::new();
    hints.extend(suggestion.map(|path| format!("did you mean `records: {path}`?")));
    if !fields.is_empty() {
        hints.push(format!("the fields there are: {}", fields.join(", ")));
    }
    hints
}

impl CallError {
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

impl Explain for CallError {
    fn code(&self) -> Code {
        match self {
            Self::Value(error) => value_code(error),
            Self::Invalid { .. } => Code::DefinitionInvalid,
            Self::Exchange { failure, .. }
            | Self::Login { failure, .. }
            | Self::Kept { failure, .. } => failure.code(),
            Self::Page { cause, .. } => cause.code(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Value(error) => value_hints(error),
            Self::Invalid { .. } => Vec::new(),
            Self::Exchange { failure, .. }
            | Self::Login { failure, .. }
            | Self::Kept { failure, .. } => failure.hints(),
            Self::Page { cause, .. } => cause.hints(),
        }
    }
}
