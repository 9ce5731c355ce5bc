//! Stage 4: the envelope.
//!
//! In: rows, or a refusal. Out: a [`Response`]. A list is `{count, items, message, validations,
//! status}` and an item `{item, message, validations, status}`, as Jitterbit App Builder's callers
//! know them; `count` is null unless it was asked for. A refusal has the same members and those of
//! RFC 9457 (`type`, `title`, `status`, `detail`) and the stable `code` beside them, so that a
//! caller written for either finds what it looks for. The media type stays `application/json` for
//! refusals too: the callers of the envelope look at nothing else.
//!
//! What never happens here: a change to a row. Rows are texts already, with exact numbers, and are
//! copied; nothing is parsed and printed again.

use serde::Serialize;

use crate::form::Form;
use crate::plan::ListPlan;
use crate::refusal::{Refusal, Validation};
use crate::request::Request;

/// The media type of envelopes, and the encoding that goes with it.
const JSON: &str = "application/json; charset=utf-8";

/// An answer, complete but for what the transport adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status; the envelope repeats it.
    pub status: u16,
    /// Header names in lower case, and values of visible ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// JSON; empty for HEAD.
    pub body: Vec<u8>,
    /// `app/object`, when the request came as far as one that exists and is open: a label from a
    /// closed set, for counting.
    pub object: Option<String>,
}

impl Response {
    fn json(status: u16, body: Vec<u8>) -> Self {
        let headers = vec![("content-type", JSON.to_owned())];
        Self { status, headers, body, object: None }
    }

    /// What HEAD answers: everything but the body, whose length is told.
    pub(crate) fn without_body(mut self) -> Self {
        if ![204, 304].contains(&self.status) {
            self.headers.push(("content-length", self.body.len().to_string()));
        }
        self.body.clear();
        self
    }
}

/// What follows an item.
const ANSWERED: &[u8] = br#","message":null,"validations":[],"status":200}"#;
/// What stands before the rows of a list; its `null` gives way to the count.
const LIST: &[u8] = br#"{"count":null,"items":["#;
const NO_COUNT: std::ops::Range<usize> = 9..13;
const ITEM: &[u8] = br#"{"item":"#;
/// Bytes that the buffer of an answer begins with.
const BUFFER: usize = 8 << 10;

/// What rows of a list are written behind.
pub(crate) fn list_head() -> Vec<u8> {
    head(LIST)
}

/// What an item is written behind.
pub(crate) fn item_head() -> Vec<u8> {
    head(ITEM)
}

fn head(head: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(BUFFER);
    body.extend_from_slice(head);
    body
}

/// A page of a list.
pub(crate) struct Listed {
    /// The head and the rows.
    pub(crate) body: Vec<u8>,
    /// What was counted.
    pub(crate) total: Option<Count>,
    /// The token of the page behind this one.
    pub(crate) next: Option<String>,
    /// How many items to skip to the page behind this one, where there is no token for it.
    pub(crate) skips: Option<u64>,
    /// The token of the page before it.
    pub(crate) prev: Option<String>,
}

/// How many items there are in all.
pub(crate) struct Count {
    pub(crate) items: u64,
    /// How exact that is, for those who asked for one way of counting.
    pub(crate) kind: Option<&'static str>,
}

/// A page of a list, as an envelope and its headers. The tokens of other pages are members where
/// the caller pages by them; their addresses are headers always, so that a cut is never silent. A
/// list that was asked for in a body has no address, and its tokens are members always.
pub(crate) fn list(listed: Listed, plan: &ListPlan<'_>, request: &Request) -> Response {
    let Listed { mut body, total, next, skips, prev } = listed;
    let has_address = request.body.is_empty();
    body.push(b']');
    if let Some(items) = skips.filter(|_| !has_address) {
        body.extend_from_slice(format!(",\"nextOffset\":{items}").as_bytes());
    }
    if plan.seek.tells() || !has_address {
        let members = format!(",\"next\":{},\"prev\":{}", text(&next), text(&prev));
        body.extend_from_slice(members.as_bytes());
    }
    if let Some(kind) = total.as_ref().and_then(|total| total.kind) {
        body.extend_from_slice(format!(",\"countKind\":\"{kind}\"").as_bytes());
    }
    let rest = format!(
        ",\"message\":{},\"validations\":{},\"status\":200}}",
        text(&plan.message),
        text(&plan.notes)
    );
    body.extend_from_slice(rest.as_bytes());
    if let Some(total) = total {
        body.splice(NO_COUNT, total.items.to_string().into_bytes());
    }
    let mut response = Response::json(200, body);
    let skips = skips.map(|items| items.to_string());
    let pages = [("next", "$after", next), ("next", "$offset", skips), ("prev", "$before", prev)];
    let links: Vec<String> = pages
        .into_iter()
        .filter(|_| has_address)
        .filter_map(|(relation, name, token)| {
            Some(format!("<{}>; rel=\"{relation}\"", address(request, name, &token?)))
        })
        .collect();
    if !links.is_empty() {
        response.headers.push(("link", links.join(", ")));
    }
    response
}

/// The address of another page of the same list (RFC 8288): the caller's own words but for the
/// place.
fn address(request: &Request, name: &str, token: &str) -> String {
    let places = ["$after", "$before", "$offset", "$skip"];
    let is_place = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default().replace("%24", "$");
        places.contains(&name.as_str())
    };
    let mut address = String::from("/rest/v1/");
    visible(&mut address, &request.path);
    address.push('?');
    for pair in request.query.split('&').filter(|pair| !pair.is_empty() && !is_place(pair)) {
        visible(&mut address, pair);
        address.push('&');
    }
    address.push_str(name);
    address.push('=');
    address.push_str(token);
    address
}

/// What a caller wrote, with nothing in it that a header cannot have.
fn visible(address: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'<' | b'>' | b'"' | b'\\' => address.push_str(&format!("%{byte:02X}")),
            b'!'..=b'~' => address.push(char::from(byte)),
            _ => address.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// An item, from its head and row.
pub(crate) fn item(mut body: Vec<u8>) -> Response {
    body.extend_from_slice(ANSWERED);
    Response::json(200, body)
}

/// The head of rows that stream.
pub(crate) fn rows(form: Form) -> Response {
    let headers = vec![("content-type", form.media_type().to_owned())];
    Response { status: 200, headers, body: Vec::new(), object: None }
}

/// A description.
pub(crate) fn document(document: &serde_json::Value) -> Response {
    Response::json(200, document.to_string().into_bytes())
}

/// A refusal, in the shape of what was asked for.
pub(crate) fn refusal(refusal: &Refusal, is_item: bool) -> Response {
    let status = refusal.status();
    let stored = match refusal {
        Refusal::Rejected(rejected) => rejected.item.as_deref(),
        _ => None,
    };
    let stored = stored.and_then(|row| std::str::from_utf8(row).ok());
    let empty = match stored {
        Some(row) => format!("\"item\":{row}"),
        None if is_item => r#""item":null"#.to_owned(),
        None => r#""count":null,"items":[]"#.to_owned(),
    };
    let problem = Problem {
        message: &refusal.detail(),
        validations: refusal.validations(),
        status,
        problem: problem_type(refusal),
        title: refusal.title(),
        detail: &refusal.detail(),
        code: refusal.code().as_str(),
    };
    let rest = text(&problem);
    let rest = rest.strip_prefix('{').unwrap_or(&rest);
    let mut response = Response::json(status, format!("{{{empty},{rest}").into_bytes());
    if let Some((name, value)) = refusal.header() {
        response.headers.push((name, value));
    }
    response
}

/// What a program tells problems apart by.
fn problem_type(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Rejected(rejected) if rejected.is_warned() => {
            "urn:restway:error:request.warned".to_owned()
        }
        _ => format!("urn:restway:error:{}", refusal.code()),
    }
}

/// What was written, as one item.
pub(crate) fn written(row: &[u8], validations: &[Validation], status: u16) -> Response {
    let mut body = item_head();
    body.extend_from_slice(row);
    end(&mut body, None, validations, status);
    Response::json(status, body)
}

/// What was written, as a list.
pub(crate) fn written_list(
    rows: &[&[u8]],
    message: Option<&str>,
    validations: &[Validation],
    status: u16,
) -> Response {
    let mut body = list_head();
    for (at, row) in rows.iter().enumerate() {
        body.extend_from_slice(if at > 0 { b"," } else { b"" });
        body.extend_from_slice(row);
    }
    body.push(b']');
    end(&mut body, message, validations, status);
    Response::json(status, body)
}

/// What became of an item of many.
pub(crate) fn outcome(
    index: usize,
    status: u16,
    row: Option<&[u8]>,
    found: &[Validation],
) -> Vec<u8> {
    let mut body = format!("{{\"index\":{index},\"status\":{status},\"item\":").into_bytes();
    body.extend_from_slice(row.unwrap_or(b"null"));
    body.extend_from_slice(format!(",\"validations\":{}}}", text(&found)).as_bytes());
    body
}

fn end(body: &mut Vec<u8>, message: Option<&str>, validations: &[Validation], status: u16) {
    let (message, validations) = (text(&message), text(&validations));
    let end = format!(",\"message\":{message},\"validations\":{validations},\"status\":{status}}}");
    body.extend_from_slice(end.as_bytes());
}

/// An answer without a body.
pub(crate) fn bare(status: u16, headers: Vec<(&'static str, String)>) -> Response {
    Response { status, headers, body: Vec::new(), object: None }
}

/// The members of a refusal behind those of its shape.
#[derive(Serialize)]
struct Problem<'a> {
    message: &'a str,
    validations: &'a [Validation],
    status: u16,
    #[serde(rename = "type")]
    problem: String,
    title: &'static str,
    detail: &'a str,
    code: &'static str,
}

/// The JSON text of a value whose serializing cannot fail: its keys are names of fields.
fn text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("texts and numbers are always JSON")
}
