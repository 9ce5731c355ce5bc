//! Stage 1: the text of a request, read.
//!
//! In: method, path and query string as they came, still percent-encoded. Out: [`Asked`], or the
//! findings about an encoding that cannot be read. What never happens here: a look at what is
//! published, so that nothing can be learned from how far reading came.
//!
//! The path is split at `/`, and the key at `,`, before anything is decoded: so `%2F` and `%2C`
//! are data. The query string follows the habit of forms, where `+` is a space. Decoding is
//! strict: `%` without two hexadecimal digits and bytes that are not UTF-8 are refused, because a
//! replacement character would silently ask for something else.

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

/// What a request is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The description of an app.
    Document { app: String },
    /// All items of an object.
    List { app: String, object: String },
    /// One item, by the parts of its key.
    Item { app: String, object: String, key: Vec<String> },
    /// An event of an item.
    Event { app: String, object: String, key: Vec<String>, event: String },
    /// A path that has no meaning.
    Nothing,
}

impl Target {
    /// The app that is asked for.
    pub(crate) fn app(&self) -> Option<&str> {
        match self {
            Self::Document { app }
            | Self::List { app, .. }
            | Self::Item { app, .. }
            | Self::Event { app, .. } => Some(app),
            Self::Nothing => None,
        }
    }
}

/// A request that could be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) reads: bool,
    pub(crate) target: Target,
    /// Names and values in the order of the query string; names may repeat.
    pub(crate) parameters: Vec<(String, String)>,
}

/// Whether the path is that of an item, which decides the shape of an envelope without rows.
pub(crate) fn is_item(path: &str) -> bool {
    path.splitn(3, '/').count() == 3
}

/// The segment before the name of an event.
const EVENTS: &str = "$events";

/// Reads a request.
pub(crate) fn parse(request: &Request) -> Result<Asked, Refusal> {
    let mut findings = Findings::default();
    let target = target(&request.path, &mut findings);
    let parameters = parameters(&request.query, &mut findings);
    findings.refuse()?;
    let reads = matches!(request.method.as_str(), "GET" | "HEAD");
    Ok(Asked { reads, target, parameters })
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
        [app, object, key] => Target::Item {
            app: decoded(app),
            object: decoded(object),
            key: key.split(',').map(decoded).collect(),
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
