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

use crate::query::Page;
use crate::refusal::{Refusal, Validation};

/// The only media type of this room, and the encoding that goes with it.
const JSON: &str = "application/json; charset=utf-8";

/// An answer, complete but for what the transport adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status; the envelope repeats it.
    pub status: u16,
    /// Header names in lower case, and values of visible ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// JSON; empty for HEAD.
    pub body: String,
    /// `app/object`, when the request came as far as one that exists and is open: a label from a
    /// closed set, for counting.
    pub object: Option<String>,
}

impl Response {
    fn json(status: u16, body: String) -> Self {
        let headers = vec![("content-type", JSON.to_owned())];
        Self { status, headers, body, object: None }
    }

    /// What HEAD answers: everything but the body, whose length is told.
    pub(crate) fn without_body(mut self) -> Self {
        self.headers.push(("content-length", self.body.len().to_string()));
        self.body.clear();
        self
    }
}

/// What follows the rows of an answer, whatever its shape.
const ANSWERED: &str = r#""validations":[],"status":200}"#;

/// A page of a list.
pub(crate) fn list(page: &Page, message: Option<&str>) -> Response {
    let count = page.count.map_or_else(|| "null".to_owned(), |count| count.to_string());
    let items = page.items.join(",");
    let message = text(&message);
    let head = format!(r#"{{"count":{count},"items":[{items}],"message":{message},"#);
    Response::json(200, head + ANSWERED)
}

/// An item.
pub(crate) fn item(row: &str) -> Response {
    Response::json(200, format!(r#"{{"item":{row},"message":null,{ANSWERED}"#))
}

/// A description.
pub(crate) fn document(document: &serde_json::Value) -> Response {
    Response::json(200, document.to_string())
}

/// A refusal, in the shape of what was asked for.
pub(crate) fn refusal(refusal: &Refusal, is_item: bool) -> Response {
    let status = refusal.status();
    let empty = if is_item { r#""item":null"# } else { r#""count":null,"items":[]"# };
    let problem = Problem {
        message: &refusal.detail(),
        validations: refusal.validations(),
        status,
        problem: format!("urn:restway:error:{}", refusal.code()),
        title: refusal.title(),
        detail: &refusal.detail(),
        code: refusal.code().as_str(),
    };
    let rest = text(&problem);
    let rest = rest.strip_prefix('{').unwrap_or(&rest);
    let mut response = Response::json(status, format!("{{{empty},{rest}"));
    if let Some((name, value)) = refusal.header() {
        response.headers.push((name, value.to_owned()));
    }
    response
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
