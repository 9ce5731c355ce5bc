//! Faults in the answer: well-sent bodies that are not what was asked for.
//!
//! In goes next to nothing; out come fixed bodies. `/fault/types` has six records of two each on
//! three pages; from one page to the next its columns change as follows.
//!
//! | column | page 1 | page 2 | page 3 |
//! | --- | --- | --- | --- |
//! | `int_then_text` | 1, 2 | 3, 4 | "five", "6" |
//! | `int_then_decimal` | 1, 2 | 3.5, 4.25 | 5, 6 |
//! | `null_then_typed` | null, null | null, null | "late", "later" |
//! | `object_then_scalar` | {"a": 1}, {"a": 2} | "three", 4 | null, {"a": 6} |
//! | `list_then_scalar` | `[1]`, `[]` | 3, "four" | null, `[6]` |
//! | `int_then_huge` | 1, 2 | 9223372036854775807, 9223372036854775808 | 3, -1 |
//! | `late` | absent | absent | true, false |

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::number;
use crate::answer::{self, Answer, Problem};
use crate::data::{Collection, Object};
use crate::pages::{page_text, text};
use crate::params::Params;
use crate::state::Api;

const LOOP_TOKEN: &str = "YWdhaW4";

const LOGIN_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>\
<form method=\"post\" action=\"/login\"><label>User <input name=\"user\"></label>\
<label>Password <input name=\"password\" type=\"password\"></label>\
<button>Sign in</button></form></body></html>\n";

const DRIFT_COLUMNS: [&str; 7] = [
    "int_then_text",
    "int_then_decimal",
    "null_then_typed",
    "object_then_scalar",
    "list_then_scalar",
    "int_then_huge",
    "late",
];

/// JSON text by column; a field whose text is empty is absent.
const DRIFT: [[&str; 7]; 6] = [
    ["1", "1", "null", r#"{"a":1}"#, "[1]", "1", ""],
    ["2", "2", "null", r#"{"a":2}"#, "[]", "2", ""],
    ["3", "3.5", "null", r#""three""#, "3", "9223372036854775807", ""],
    ["4", "4.25", "null", "4", r#""four""#, "9223372036854775808", ""],
    [r#""five""#, "5", r#""late""#, "null", "null", "3", "true"],
    [r#""6""#, "6", r#""later""#, r#"{"a":6}"#, "[6]", "-1", "false"],
];

pub(super) async fn endless(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Answer {
    Params::read(query.as_deref(), &["pageSize", "pageToken"])?;
    let slice = api.slice(Collection::Customers, 0, 5, None);
    Ok(answer::ok(text(&slice.records, Some(LOOP_TOKEN), slice.total)))
}

pub(super) async fn html() -> Response {
    let mut response = answer::ok(LOGIN_PAGE);
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}

pub(super) async fn empty() -> Response {
    answer::ok("")
}

pub(super) async fn not_json(State(api): State<Arc<Api>>) -> Answer {
    let whole = page_text(&api, Collection::Customers, Some("pageSize=10"), &[])?;
    // The sixth record opens and then has no field name: the data before it are fine.
    let broken = whole.replacen("{\"id\":6,", "{:6,", 1);
    Ok(answer::ok(broken))
}

pub(super) async fn no_records() -> Response {
    answer::ok("{\"error\":\"nope\"}")
}

pub(super) async fn types(RawQuery(query): RawQuery) -> Answer {
    let params = Params::read(query.as_deref(), &["pageSize", "pageToken"])?;
    let size = params.number("pageSize", 2, 1..=200)?;
    let position = match params.text("pageToken") {
        None => 0,
        Some(token) => token
            .strip_prefix("drift-")
            .and_then(|position| position.parse().ok())
            .filter(|position| *position < DRIFT.len() as u64)
            .ok_or_else(|| Problem::parameter("pageToken", "this is not a token of this path"))?,
    };
    let total = DRIFT.len() as u64;
    let end = (position + size).min(total);
    let records: Vec<String> = (position..end).map(drifting).collect();
    let next = (end < total).then(|| format!("drift-{end}"));
    Ok(answer::ok(text(&records, next.as_deref(), total)))
}

fn drifting(position: u64) -> String {
    let mut record = Object::new().raw("id", position + 1);
    for (name, value) in DRIFT_COLUMNS.iter().zip(DRIFT[position as usize]) {
        if !value.is_empty() {
            record = record.raw(name, value);
        }
    }
    record.finish()
}

pub(super) async fn deep(Path(n): Path<String>) -> Answer {
    let depth = usize::try_from(number(&n, 100_000)?).unwrap_or_default();
    let record = format!("{{\"id\":1,\"deep\":{}0{}}}", "[".repeat(depth), "]".repeat(depth));
    Ok(answer::ok(text(&[record], None, 1)))
}
