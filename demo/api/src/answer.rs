//! What every module answers with: JSON text, or a [`Problem`].
//!
//! In goes finished JSON text (records are text from the start, so that no number is ever parsed
//! and printed again); out comes a response with its content type. All errors outside
//! `/oauth/token` have one shape, `{"error": code, "message": sentence}`, with `parameter` or
//! `fields` where one is to blame; `/oauth/token` has the shape that RFC 6749 gives it.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A handler's outcome.
pub(crate) type Answer = Result<Response, Problem>;

/// An error answer.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    body: Value,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Problem {
        let body = json!({ "error": code, "message": message.into() });
        Problem { status, body, headers: Vec::new() }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn bad_request(code: &str, message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A query parameter is to blame.
    pub(crate) fn parameter(name: &str, message: impl Into<String>) -> Problem {
        Problem::bad_request("invalid_parameter", message).with("parameter", json!(name))
    }

    /// 401 with the challenge that RFC 9110 asks for.
    pub(crate) fn unauthorized(challenge: &'static str, message: &str) -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    pub(crate) fn with(mut self, name: &str, value: Value) -> Problem {
        self.body[name] = value;
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = json(self.status, self.body.to_string());
        response.headers_mut().extend(self.headers);
        response
    }
}

/// JSON text as a response.
pub(crate) fn json(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// JSON text as a 200 response.
pub(crate) fn ok(text: impl Into<Body>) -> Response {
    json(StatusCode::OK, text)
}
