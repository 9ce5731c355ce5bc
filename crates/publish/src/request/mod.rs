//! Stage 1: the text of a request, read.
//!
//! In: method, path and query string as they came, still percent-encoded; for `$query` also the
//! body, which has parameters in place of the query string (`body`). Out: [`Asked`], or the
//! findings about an encoding that cannot be read. What never happens here: a look at what is
//! published, so that nothing can be learned from how far reading came.
//!
//! The path is split at `/`, and the key at `,`, before anything is decoded: so `%2F` and `%2C`
//! are data. The query string follows the habit of forms, where `+` is a space. Decoding is
//! strict: `%` without two hexadecimal digits and bytes that are not UTF-8 are refused, because a
//! replacement character would silently ask for something else.

mod body;

use std::net::IpAddr;

use crate::headers::Headers;
use crate::refusal::{Findings, Refusal, shown};

/// A request, as much of it as publishing needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, or another method.
    pub method: String,
    /// The path below `/rest/v1/`, still percent-encoded: `sales/customers/a%2Cb,c`.
    pub path: String,
    /// The query string without its `?`, still percent-encoded; empty without one.
    pub query: String,
    /// The headers, some of which say who asks.
    pub headers: Headers,
    /// Where the request comes from, as far as the transport knows.
    pub peer: Option<IpAddr>,
    /// What is to be written; empty for a request that reads.
    pub body: Vec<u8>,
}

impl Request {
    /// Whether nothing happens by it, so that it can end when nobody waits for it any more.
    pub fn only_reads(&self) -> bool {
        let is_query = || self.path.split('/').nth(2) == Some(QUERY);
        matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
            || self.method == "POST" && is_query()
    }
}

/// What a request is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The description of an app.
    Document { app: String },
    /// All items of an object.
    List { app: String, object: String },
    /// The same, whose parameters are in the body.
    Query { app: String, object: String },
    /// How many items a list has.
    Count { app: String, object: String },
    /// One item, by the parts of its key.
    Item { app: String, object: String, key: Vec<String> },
    /// One value of an item, as it is.
    Value { app: String, object: String, key: Vec<String>, column: String },
    /// An event of an item.
    Event { app: String, object: String, key: Vec<String>, event: String },
    /// A path that has no meaning.
    Nothing,
}

impl Target {
    /// The app that is asked for.
    pub(crate) fn app(&self) -> Option<&str> {
        match self {
            Self::Document { app } => Some(app),
            _ => self.object().map(|(app, _)| app),
        }
    }

    /// The app and its object.
    pub(crate) fn object(&self) -> Option<(&str, &str)> {
        match self {
            Self::List { app, object }
            | Self::Query { app, object }
            | Self::Count { app, object }
            | Self::Item { app, object, .. }
            | Self::Value { app, object, .. }
            | Self::Event { app, object, .. } => Some((app, object)),
            Self::Document { .. } | Self::Nothing => None,
        }
    }
}

/// What a method means for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// To read it.
    Read,
    /// To know what can be done with it.
    Know,
    /// To change it, or something that has no meaning there.
    Change,
}

impl Intent {
    fn of(method: &str, target: &Target) -> Self {
        match (method, target) {
            ("OPTIONS", _) => Self::Know,
            ("GET" | "HEAD", Target::Query { .. } | Target::Event { .. }) => Self::Change,
            ("GET" | "HEAD", _) | ("POST", Target::Query { .. }) => Self::Read,
            _ => Self::Change,
        }
    }
}

/// A request that could be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) intent: Intent,
    pub(crate) target: Target,
    /// Names and values in the order of the query string; names may repeat.
    pub(crate) parameters: Vec<(String, String)>,
}

/// Whether the path is that of an item, which decides the shape of an envelope without rows.
pub(crate) fn is_item(path: &str) -> bool {
    let third = path.split('/').nth(2);
    third.is_some_and(|segment| ![QUERY, COUNT].contains(&segment))
}

/// The segments behind an object that stand for its list.
const QUERY: &str = "$query";
const COUNT: &str = "$count";
/// The segment behind a column that stands for its value.
const VALUE: &str = "$value";

/// The segment before the name of an event.
const EVENTS: &str = "$events";

/// Reads a request.
pub(crate) fn parse(request: &Request) -> Result<Asked, Refusal> {
    let mut findings = Findings::default();
    let target = target(&request.path, &mut findings);
    let mut parameters = parameters(&request.query, &mut findings);
    let intent = Intent::of(&request.method, &target);
    if intent == Intent::Read && matches!(target, Target::Query { .. }) {
        parameters.extend(body::parameters(request, &mut findings)?);
    }
    findings.refuse()?;
    Ok(Asked { intent, target, parameters })
}

fn target(path: &str, findings: &mut Findings) -> Target {
    let mut decoded = |segment: &str| match decode(segment) {
        Some(text) => text,
        None => {
            findings.add("malformed", unreadable("path segment", segment));
            String::new()
        }
    };
    let segments: Vec<&str> = path.splitn(6, '/').collect();
    match segments.as_slice() {
        [app, "openapi.json"] => Target::Document { app: decoded(app) },
        [app, object] => Target::List { app: decoded(app), object: decoded(object) },
        [app, object, QUERY] => Target::Query { app: decoded(app), object: decoded(object) },
        [app, object, COUNT] => Target::Count { app: decoded(app), object: decoded(object) },
        [app, object, key] => Target::Item {
            app: decoded(app),
            object: decoded(object),
            key: key.split(',').map(decoded).collect(),
        },
        [app, object, key, column, VALUE] => Target::Value {
            app: decoded(app),
            object: decoded(object),
            key: key.split(',').map(&mut decoded).collect(),
            column: decoded(column),
        },
        [app, object, key, EVENTS, event] => Target::Event {
            app: decoded(app),
            object: decoded(object),
            key: key.split(',').map(&mut decoded).collect(),
            event: decoded(event),
        },
        _ => Target::Nothing,
    }
}

fn parameters(query: &str, findings: &mut Findings) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let form = |text: &str| decode(&text.replace('+', " "));
        match (form(name), form(value)) {
            (Some(name), Some(value)) => parameters.push((name, value)),
            _ => findings.add("malformed", unreadable("parameter", pair)),
        }
    }
    parameters
}

fn unreadable(what: &str, text: &str) -> String {
    format!("the {what} `{}` is not percent-encoded UTF-8", shown(text))
}

/// Percent-decoding, strictly.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = after;
            continue;
        }
        let (&[high, low], after) = after.split_first_chunk::<2>()?;
        bytes.push(digit(high)? << 4 | digit(low)?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
