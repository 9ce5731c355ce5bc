//! OAuth2 client credentials: `POST /oauth/token` and the bearer tokens it issues.
//!
//! In go a form (RFC 6749, 4.4) with the client's credentials in it or in HTTP Basic; out comes a
//! token that lives as long as the settings say, by a monotonic clock. Errors are those of RFC
//! 6749, 5.2; parameters it does not know are ignored, as it demands. Every answer is `no-store`.
//!
//! Tokens are drawn from the random keys of the standard library's hasher, which no other process
//! can guess; they are never logged: the log of requests knows a token by its serial number. Only
//! the latest 10,000 are remembered.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use url::form_urlencoded;

use crate::answer::{self, Problem};
use crate::state::{Api, locked};
use crate::{CLIENT_ID, CLIENT_SECRET};

const REMEMBERED_MAX: usize = 10_000;
const FORM_BYTES_MAX: usize = 16 * 1024;
const SCOPES: [&str; 2] = ["read", "write"];
const BASIC_CHALLENGE: &str = "Basic realm=\"demo\", charset=\"UTF-8\"";
const BEARER_CHALLENGE: &str = "Bearer realm=\"demo\", error=\"invalid_token\"";

/// The tokens issued so far.
pub(crate) struct Tokens {
    lifetime: Duration,
    issued: Mutex<Issued>,
}

#[derive(Default)]
struct Issued {
    count: u64,
    grants: HashMap<String, Grant>,
    order: VecDeque<String>,
}

/// What a token stands for.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    /// The how-manieth token this is, from 1.
    pub(crate) serial: u64,
    pub(crate) scope: String,
    issued_at: Instant,
}

impl Tokens {
    pub(crate) fn new(lifetime: Duration) -> Tokens {
        Tokens { lifetime, issued: Mutex::default() }
    }

    pub(crate) fn count(&self) -> u64 {
        locked(&self.issued).count
    }

    /// Makes every token issued so far invalid.
    pub(crate) fn revoke(&self) {
        let mut issued = locked(&self.issued);
        issued.grants.clear();
        issued.order.clear();
    }

    fn issue(&self, scope: &str) -> String {
        let mut issued = locked(&self.issued);
        issued.count += 1;
        let serial = issued.count;
        let token = random_token(serial);
        if issued.order.len() >= REMEMBERED_MAX
            && let Some(oldest) = issued.order.pop_front()
        {
            issued.grants.remove(&oldest);
        }
        let grant = Grant { serial, scope: scope.to_owned(), issued_at: Instant::now() };
        issued.grants.insert(token.clone(), grant);
        issued.order.push_back(token.clone());
        token
    }

    /// The grant of the bearer token in these headers, whether or not it has expired.
    pub(crate) fn known(&self, headers: &HeaderMap) -> Option<Grant> {
        let token = credentials(headers, "bearer")?;
        locked(&self.issued).grants.get(token).cloned()
    }

    /// The grant of the bearer token in these headers, or the 401 to answer with.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<Grant, Problem> {
        let refuse = |message| Problem::unauthorized(BEARER_CHALLENGE, message);
        if credentials(headers, "bearer").is_none() {
            return Err(refuse("send `Authorization: Bearer …` with a token of /oauth/token"));
        }
        let grant = self.known(headers).ok_or_else(|| refuse("the token is not known here"))?;
        if grant.issued_at.elapsed() >= self.lifetime {
            return Err(refuse("the token has expired"));
        }
        Ok(grant)
    }
}

/// The part of an `Authorization` header after its scheme, if that is `scheme` in any case.
pub(crate) fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (found, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then_some(rest.trim())
}

/// User and password of HTTP Basic.
pub(crate) fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let decoded = STANDARD.decode(credentials(headers, "basic")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

pub(crate) async fn answer(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let outcome = match to_bytes(body, FORM_BYTES_MAX).await {
        Ok(form) => grant(&api.tokens, &parts.headers, &form),
        Err(_) => Err(invalid_request("the body broke off or is longer than 16 KiB")),
    };
    let mut response = outcome.unwrap_or_else(Problem::into_response);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

fn grant(tokens: &Tokens, headers: &HeaderMap, body: &[u8]) -> Result<Response, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    if !content_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(invalid_request("send a form: application/x-www-form-urlencoded"));
    }
    let mut form = HashMap::new();
    for (name, value) in form_urlencoded::parse(body) {
        if form.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(invalid_request("a parameter is given twice"));
        }
    }
    let field = |name: &str| form.get(name).map(String::as_str).filter(|text| !text.is_empty());
    check_client(headers, field("client_id"), field("client_secret"))?;
    match field("grant_type") {
        Some("client_credentials") => {}
        Some(_) => {
            let message = "the only grant_type here is client_credentials";
            return Err(refusal(StatusCode::BAD_REQUEST, "unsupported_grant_type", message));
        }
        None => return Err(invalid_request("grant_type is missing")),
    }
    let scope = field("scope").unwrap_or("read write");
    if !scope.split(' ').all(|word| SCOPES.contains(&word)) {
        let message = "the scopes here are `read` and `write`";
        return Err(refusal(StatusCode::BAD_REQUEST, "invalid_scope", message));
    }
    let token = tokens.issue(scope);
    let body = json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": tokens.lifetime.as_secs(),
        "scope": scope,
    });
    Ok(answer::ok(body.to_string()))
}

fn check_client(
    headers: &HeaderMap,
    id: Option<&str>,
    secret: Option<&str>,
) -> Result<(), Problem> {
    let (given_id, given_secret) = if headers.contains_key(header::AUTHORIZATION) {
        if secret.is_some() {
            return Err(invalid_request("credentials are given both in Basic and in the body"));
        }
        let (user, password) = basic(headers).ok_or_else(invalid_client)?;
        if id.is_some_and(|id| id != user) {
            return Err(invalid_request("client_id differs from the one in Basic"));
        }
        // RFC 6749, 2.3.1: both are form-encoded before they are put into Basic.
        (form_decoded(&user), form_decoded(&password))
    } else {
        (id.unwrap_or_default().to_owned(), secret.unwrap_or_default().to_owned())
    };
    if given_id == CLIENT_ID && given_secret == CLIENT_SECRET {
        return Ok(());
    }
    Err(invalid_client())
}

fn form_decoded(text: &str) -> String {
    let form = format!("x={}", text.replace('&', "%26"));
    form_urlencoded::parse(form.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

fn invalid_request(message: &str) -> Problem {
    refusal(StatusCode::BAD_REQUEST, "invalid_request", message)
}

fn invalid_client() -> Problem {
    let message = "client id or secret is wrong or missing";
    refusal(StatusCode::UNAUTHORIZED, "invalid_client", message)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(BASIC_CHALLENGE))
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Problem {
    Problem::new(status, code, message).with("error_description", json!(message))
}

fn random_token(serial: u64) -> String {
    let mut token = format!("demo-{serial}-");
    for part in 0..3_u64 {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(serial);
        hasher.write_u64(part);
        token += &format!("{:016x}", hasher.finish());
    }
    token
}
