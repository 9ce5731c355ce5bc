//! Why a request is not answered with rows.
//!
//! In: facts, from any stage. Out, by four tables that read like printed lists: the status, the
//! code, the title and the sentence. What lies behind a fault of ours ([`Refusal::Broken`]) is for
//! the observer; the caller reads a fixed sentence. A refusal never names anything that the
//! caller has not named and may not see.

use std::borrow::Cow;
use std::time::Duration;

use restway_model::{Code, Explain, nearest};

use crate::source::SourceError;

/// At most so many problems of one request are told: each costs a search for the nearest name.
const VALIDATIONS_MAX: usize = 20;
/// The methods of what can only be read.
pub(crate) const READS: &str = "GET, HEAD, OPTIONS";
/// At most so many characters of the caller's own text are repeated.
const REPEATED_MAX: usize = 40;

/// How a caller can say who he is (RFC 9110, 11.6.1).
const CHALLENGE: &str = "Bearer realm=\"restway\", ApiKey realm=\"restway\"";
const CHALLENGE_AGAIN: &str =
    "Bearer realm=\"restway\", error=\"invalid_token\", ApiKey realm=\"restway\"";

/// A wait in whole seconds, of which the last has passed when it is over.
pub(crate) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// One finding about a request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Validation {
    /// Which rule.
    pub(crate) validation_id: Cow<'static, str>,
    /// What is wrong, and what to write instead.
    pub(crate) message: String,
    /// `error` stops a request, `warning` until it is accepted; `information` is told.
    pub(crate) severity: &'static str,
    /// The field that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    /// Where in the body: RFC 6901.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pointer: Option<String>,
    /// Which of many items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<usize>,
}

impl Validation {
    pub(crate) fn error(validation_id: &'static str, message: String) -> Self {
        Self::new(Cow::Borrowed(validation_id), message, "error")
    }

    pub(crate) fn new(id: Cow<'static, str>, message: String, severity: &'static str) -> Self {
        let (field, pointer, index) = (None, None, None);
        Self { validation_id: id, message, severity, field, pointer, index }
    }
}

/// Problems in the order in which they were found, up to a bound.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    errors: Vec<Validation>,
    notes: Vec<Validation>,
    /// Whether a name that means nothing is only noted (RFC 7240, 4.4).
    pub(crate) is_lenient: bool,
}

impl Findings {
    pub(crate) fn add(&mut self, validation_id: &'static str, message: String) {
        self.push(Validation::error(validation_id, message));
    }

    pub(crate) fn push(&mut self, validation: Validation) {
        if !self.is_full() {
            self.errors.push(validation);
        }
    }

    pub(crate) fn into_vec(self) -> Vec<Validation> {
        self.errors
    }

    /// A name that means nothing, with the nearest that does.
    pub(crate) fn unknown<'a>(
        &mut self,
        validation_id: &'static str,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'a str>,
    ) {
        if self.is_full() {
            return;
        }
        let mut message = format!("there is no {what} `{}`", shown(name));
        if let Some(near) = nearest(name, known) {
            message.push_str(&format!(": did you mean `{near}`?"));
        }
        if self.is_lenient {
            message.push_str(" (passed over)");
            self.notes.push(Validation::new(validation_id.into(), message, "information"));
        } else {
            self.add(validation_id, message);
        }
    }

    /// What does not stop the request.
    pub(crate) fn take_notes(&mut self) -> Vec<Validation> {
        std::mem::take(&mut self.notes)
    }

    pub(crate) fn refuse(self) -> Result<(), Refusal> {
        if self.errors.is_empty() { Ok(()) } else { Err(Refusal::Invalid(self.errors)) }
    }

    fn is_full(&self) -> bool {
        self.errors.len().max(self.notes.len()) >= VALIDATIONS_MAX
    }
}

/// The caller's own text, as much of it as is worth repeating.
pub(crate) fn shown(text: &str) -> String {
    if text.chars().count() <= REPEATED_MAX {
        return text.to_owned();
    }
    let start: String = text.chars().take(REPEATED_MAX).collect();
    format!("{start}…")
}

/// What was not written, and why.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) status: u16,
    pub(crate) validations: Vec<Validation>,
    /// The row as it would have been, when only warnings stand against it.
    pub(crate) item: Option<Vec<u8>>,
}

impl Rejected {
    /// Whether only warnings stand against it.
    pub(crate) fn is_warned(&self) -> bool {
        !self.validations.iter().any(|found| found.severity == "error")
    }
}

/// Why there are no rows.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The request says something that cannot be meant.
    Invalid(Vec<Validation>),
    /// No such app or object, or none that the caller may know of.
    Unknown { near: Option<String> },
    /// The object is not open to everybody, and nobody says who asks.
    Closed,
    /// What says who asks is not good: unknown, expired, revoked, or none that can be read.
    NotGood,
    /// Too much that was not good came from this address.
    Failing { wait: Duration },
    /// The caller is known, and may not do this.
    Forbidden,
    /// The caller asks more often than the app lets him.
    Limited { wait: Duration },
    /// Nobody can say who asks: the keys of an issuer, or our own, cannot be read.
    Unidentified(Box<dyn Explain>),
    /// No item has this key.
    NoItem,
    /// The object does not take the method; those that it takes.
    Method { allow: String },
    /// What was to be written may not be, in this status.
    Rejected(Box<Rejected>),
    /// A key that comes with the request was used for another one.
    KeyReused,
    /// The same request is under way.
    InFlight,
    /// The body is of a type that is not read.
    MediaType,
    /// The item is another one by now; its tag, if there is one.
    Precondition { tag: Option<String> },
    /// The part of a value that was asked for is not in it.
    Range { length: usize },
    /// A change must say which version it changes.
    NoPrecondition,
    /// A change would touch more items than it may.
    TooMany { items_max: u64 },
    /// The table is not there, or was never written.
    NotLanded(Box<dyn Explain>),
    /// The database behind the object does not answer, or has no connection left.
    Unavailable(SourceError),
    /// Others were changing the same rows.
    Contended(SourceError),
    /// The relation changed while it was read.
    Changed(SourceError),
    /// The answer is larger than its bound.
    TooLarge { bytes_max: usize },
    /// The query took longer than the bound.
    Slow { seconds: u64 },
    /// A call to another api that belongs to the event failed.
    Called(Box<dyn Explain>),
    /// The app does not fit its table.
    Unfit { reason: String },
    /// A fault of ours.
    Broken(Box<dyn Explain>),
}

impl Refusal {
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Invalid(_) | Self::TooLarge { .. } => 400,
            Self::Rejected(rejected) => rejected.status,
            Self::KeyReused => 422,
            Self::InFlight | Self::TooMany { .. } => 409,
            Self::MediaType => 415,
            Self::Range { .. } => 416,
            Self::Precondition { .. } => 412,
            Self::NoPrecondition => 428,
            Self::Closed | Self::NotGood => 401,
            Self::Forbidden => 403,
            Self::Failing { .. } | Self::Limited { .. } => 429,
            Self::Unknown { .. } | Self::NoItem => 404,
            Self::Method { .. } => 405,
            Self::Unfit { .. } | Self::Broken(_) | Self::Changed(_) => 500,
            Self::NotLanded(_)
            | Self::Unavailable(_)
            | Self::Contended(_)
            | Self::Unidentified(_) => 503,
            Self::Called(error) if error.code() == Code::WebhookTimeout => 504,
            Self::Called(_) => 502,
            Self::Slow { .. } => 504,
        }
    }

    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Invalid(_)
            | Self::TooLarge { .. }
            | Self::Rejected(_)
            | Self::KeyReused
            | Self::InFlight
            | Self::MediaType
            | Self::Range { .. }
            | Self::Precondition { .. }
            | Self::NoPrecondition
            | Self::TooMany { .. } => Code::RequestInvalid,
            Self::Closed | Self::NotGood | Self::Forbidden => Code::AccessDenied,
            Self::Failing { .. } | Self::Limited { .. } => Code::TooManyRequests,
            Self::Unidentified(_) => Code::IdentityUnknown,
            Self::Unknown { .. } | Self::NoItem => Code::ObjectMissing,
            Self::Method { .. } => Code::MethodNotAllowed,
            Self::NotLanded(_) => Code::TableMissing,
            Self::Slow { .. } => Code::QueryFailed,
            Self::Unfit { .. } => Code::DefinitionInvalid,
            Self::Broken(error) | Self::Called(error) => error.code(),
            Self::Unavailable(error) | Self::Contended(error) | Self::Changed(error) => {
                error.code()
            }
        }
    }

    pub(crate) fn title(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "The request is not valid",
            Self::Rejected(rejected) if rejected.is_warned() => "Warnings were not answered",
            Self::Rejected(rejected) if rejected.status == 409 => "In conflict with other items",
            Self::Rejected(_) => "Validation failed",
            Self::KeyReused => "The idempotency key was used before",
            Self::InFlight => "The same request is under way",
            Self::MediaType => "The body is of another type",
            Self::Range { .. } => "No such part",
            Self::Precondition { .. } => "The item has changed",
            Self::NoPrecondition => "A version must be named",
            Self::TooMany { .. } => "Too many items",
            Self::Closed => "Not open to everybody",
            Self::NotGood => "The credentials are not good",
            Self::Forbidden => "Not allowed",
            Self::Failing { .. } | Self::Limited { .. } => "Too many requests",
            Self::Unidentified(_) => "The credentials cannot be looked at",
            Self::Unknown { .. } => "No such resource",
            Self::NoItem => "No such item",
            Self::Method { .. } => "Method not allowed",
            Self::NotLanded(_) => "No rows yet",
            Self::Unavailable(_) => "The database is not available",
            Self::Contended(_) => "Others change the same items",
            Self::TooLarge { .. } => "The answer is too large",
            Self::Called(_) => "A call that belongs to this failed",
            Self::Slow { .. } => "The query took too long",
            Self::Unfit { .. } | Self::Broken(_) | Self::Changed(_) => {
                "The answer could not be made"
            }
        }
    }

    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Invalid(validations) => match validations.as_slice() {
                [one] => one.message.clone(),
                many => format!("{} problems in the request", many.len()),
            },
            Self::Closed => {
                "this object is not open to `anonymous`: send a key in `X-API-Key`, or a token in \
                 `Authorization: Bearer`"
                    .to_owned()
            }
            Self::NotGood => {
                "no such key or token is good here: it may be unknown, expired or revoked"
                    .to_owned()
            }
            Self::Forbidden => "none of your groups may do this".to_owned(),
            Self::Failing { wait } => {
                let wait = seconds(*wait);
                format!("too many credentials that are not good: wait {wait} s")
            }
            Self::Limited { wait } => {
                format!("you ask more often than you may: wait {} s", seconds(*wait))
            }
            Self::Unidentified(_) => {
                "nobody can say now whether your credentials are good: ask again in a moment"
                    .to_owned()
            }
            Self::Unknown { near: Some(near) } => {
                format!("nothing is published here: did you mean `{near}`?")
            }
            Self::Unknown { near: None } => "nothing is published here".to_owned(),
            Self::NoItem => "no item has this key".to_owned(),
            Self::Method { allow } if allow == READS => {
                "this is read with GET or HEAD; nothing here can be written".to_owned()
            }
            Self::Method { allow } => format!("this takes {allow}"),
            Self::Rejected(rejected) => match rejected.validations.as_slice() {
                [one] => one.message.clone(),
                many => format!("{} findings about what was to be written", many.len()),
            },
            Self::KeyReused => {
                "this `Idempotency-Key` came with another request: use a new one".to_owned()
            }
            Self::InFlight => {
                "a request with this `Idempotency-Key` is under way: ask again in a moment"
                    .to_owned()
            }
            Self::MediaType => "the body is `application/json`, for lists also \
                 `application/x-ndjson` or `text/csv`, in UTF-8"
                .to_owned(),
            Self::Range { length } => format!("the value has {length} bytes"),
            Self::Precondition { .. } => {
                "the item is not what the request's condition says: read it again".to_owned()
            }
            Self::NoPrecondition => {
                "say with `If-Match` which version is changed: its `ETag`, or `*`".to_owned()
            }
            Self::TooMany { items_max } => {
                format!("more than {items_max} items, so nothing was changed: filter more")
            }
            Self::NotLanded(_) => "the table behind this object is still missing".to_owned(),
            Self::Unavailable(_) => {
                "the database behind this object does not answer: try again later".to_owned()
            }
            Self::Contended(_) => {
                "others were changing the same items, so nothing was changed: send it again"
                    .to_owned()
            }
            Self::TooLarge { bytes_max } => {
                let size = bytes_max >> 20;
                format!("the answer is larger than {size} MiB: ask for fewer items or fields")
            }
            Self::Slow { seconds } => {
                format!("no answer within {seconds} s: ask for less, or filter more")
            }
            Self::Called(_) => {
                "nothing was written here; the server's log says why, and its runs what the call \
                 did: it may have been done"
                    .to_owned()
            }
            Self::Unfit { .. } | Self::Broken(_) | Self::Changed(_) => {
                "the answer could not be made; the server's log says why".to_owned()
            }
        }
    }

    /// Headers that belong to the status.
    pub(crate) fn header(&self) -> Option<(&'static str, String)> {
        let (name, value) = match self {
            Self::Closed => ("www-authenticate", CHALLENGE),
            // RFC 6750, 3.1.
            Self::NotGood => ("www-authenticate", CHALLENGE_AGAIN),
            Self::Failing { wait } | Self::Limited { wait } => {
                return Some(("retry-after", seconds(*wait).to_string()));
            }
            Self::Method { allow } => ("allow", allow.as_str()),
            // RFC 9110, 15.5.17.
            Self::Range { length } => return Some(("content-range", format!("bytes */{length}"))),
            Self::Precondition { tag: Some(tag) } => ("etag", tag.as_str()),
            Self::InFlight | Self::Contended(_) => ("retry-after", "1"),
            Self::NotLanded(_) => ("retry-after", "30"),
            Self::Unidentified(_) => ("retry-after", "5"),
            Self::Unavailable(_) => ("retry-after", "2"),
            _ => return None,
        };
        Some((name, value.to_owned()))
    }

    /// What only the observer reads.
    pub(crate) fn inside(&self) -> Option<String> {
        match self {
            Self::NotLanded(error)
            | Self::Broken(error)
            | Self::Called(error)
            | Self::Unidentified(error) => {
                let mut texts = vec![error.to_string()];
                texts.extend(restway_model::chain(&**error));
                Some(texts.join(": "))
            }
            Self::Unavailable(error) | Self::Contended(error) | Self::Changed(error) => {
                Some(error.to_string())
            }
            Self::Unfit { reason } => Some(reason.clone()),
            Self::Slow { seconds } => Some(format!("the query was stopped after {seconds} s")),
            _ => None,
        }
    }

    /// The findings, for the envelope.
    pub(crate) fn validations(&self) -> &[Validation] {
        match self {
            Self::Invalid(validations) => validations,
            Self::Rejected(rejected) => &rejected.validations,
            _ => &[],
        }
    }
}
