//! Faults in the exchange: statuses, calls that fail before they succeed, redirects, the echo.
//!
//! In go requests and, for the named ones, what happened to earlier requests of that name; out
//! come refusals or customers. Counters live as long as the server and are never reset.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::to_bytes;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::number;
use crate::answer::{self, Answer, Problem};
use crate::data::Collection;
use crate::pages::token_page;
use crate::params::Params;
use crate::state::{Api, locked};

const NAMES_MAX: usize = 10_000;
const ECHO_BYTES_MAX: usize = 1024 * 1024;

type Shared = State<Arc<Api>>;

/// What happened so far, by path.
#[derive(Default)]
pub(crate) struct Memory {
    uses: Mutex<HashMap<String, Uses>>,
}

#[derive(Default)]
struct Uses {
    count: u64,
    /// The newest token that came.
    serial: u64,
}

impl Memory {
    /// Counts a call of `name` with the token `serial` (0 where there is none) and says how many
    /// there were before it. A newer token starts again at 0; an older one is out for good.
    fn earlier(&self, name: String, serial: u64) -> Result<u64, Problem> {
        let mut uses = locked(&self.uses);
        if uses.len() >= NAMES_MAX && !uses.contains_key(&name) {
            return Err(Problem::bad_request("too_many_names", "there are 10,000 names already"));
        }
        let uses = uses.entry(name).or_default();
        if serial < uses.serial {
            return Ok(u64::MAX);
        }
        if serial > uses.serial {
            *uses = Uses { count: 0, serial };
        }
        uses.count += 1;
        Ok(uses.count - 1)
    }
}

pub(super) async fn status(Path(code): Path<String>) -> Answer {
    let code = number(&code, 599)?;
    let status = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    let Some(status) = status.filter(|status| !status.is_informational()) else {
        return Err(Problem::bad_request("invalid_path", "a status is from 200 to 599"));
    };
    if matches!(code, 204 | 205 | 304) {
        // These have no body, and 204 not even its length.
        let mut response = Response::default();
        *response.status_mut() = status;
        return Ok(response);
    }
    Err(Problem::new(status, "fault", format!("this path always answers {status}")))
}

pub(super) async fn flaky(
    State(api): Shared,
    Path((n, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let failures = number(&n, u64::from(u32::MAX))?;
    if api.faults.earlier(format!("flaky/{n}/{name}"), 0)? < failures {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "flaky", "call again");
        return Err(problem.header(header::RETRY_AFTER, HeaderValue::from(0)));
    }
    customers(&api, query)
}

pub(super) async fn rate(
    State(api): Shared,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    if api.faults.earlier(format!("rate/{name}"), 0)? < 1 {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "slow down");
        return Err(problem.header(header::RETRY_AFTER, HeaderValue::from(1)));
    }
    customers(&api, query)
}

pub(super) async fn unauthorized_after(
    State(api): Shared,
    Path((n, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let uses = number(&n, u64::from(u32::MAX))?;
    let serial = api.tokens.check(&headers)?.serial;
    if api.faults.earlier(format!("unauthorized-after/{n}/{name}"), serial)? >= uses {
        let challenge = "Bearer realm=\"demo\", error=\"invalid_token\"";
        return Err(Problem::unauthorized(challenge, "the token was used up; get a new one"));
    }
    customers(&api, query)
}

pub(super) async fn redirect(
    State(api): Shared,
    Path(n): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    match number(&n, 100)? {
        0 => customers(&api, query),
        n => Ok(found(
            HeaderValue::from_str(&format!("/fault/redirect/{}", n - 1))
                .expect("digits and slashes may stand in a header"),
        )),
    }
}

pub(super) async fn redirect_to(RawQuery(query): RawQuery) -> Answer {
    let params = Params::read(query.as_deref(), &["url"])?;
    match HeaderValue::from_str(params.text("url").unwrap_or_default()) {
        Ok(url) if !url.is_empty() => Ok(found(url)),
        _ => Err(Problem::parameter("url", "`url` must say where to, in ASCII")),
    }
}

fn found(location: HeaderValue) -> Response {
    let mut response = answer::json(StatusCode::FOUND, "{\"error\":\"moved\"}");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// Query and headers are lists of pairs in the answer, since a name may come twice.
pub(super) async fn echo(request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, ECHO_BYTES_MAX).await.map_err(|_| {
        let message = "the body broke off or is longer than 1 MiB";
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    })?;
    let query = parts.uri.query().unwrap_or_default();
    let query: Vec<Value> =
        form_urlencoded::parse(query.as_bytes()).map(|pair| json!([pair.0, pair.1])).collect();
    let mut headers = Map::new();
    for name in parts.headers.keys() {
        let values: Vec<String> =
            parts.headers.get_all(name).iter().map(|value| shown(name.as_str(), value)).collect();
        headers.insert(name.to_string(), json!(values.join(", ")));
    }
    let echo = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": query,
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    Ok(answer::ok(echo.to_string()))
}

fn shown(name: &str, value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    match name {
        "authorization" | "proxy-authorization" => {
            text.split(' ').next().unwrap_or_default().to_owned()
        }
        _ => text,
    }
}

fn customers(api: &Api, query: Option<String>) -> Answer {
    token_page(api, Collection::Customers, query.as_deref(), &[])
}
