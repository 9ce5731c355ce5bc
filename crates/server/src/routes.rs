//! Which path is answered by whom, and what every answer carries.
//!
//! In: requests. Out: responses, each counted and told to the observer once, with its path and
//! without its query string, whose values may be somebody's. What never happens here: a decision
//! about published objects, or a body beyond its bound.
//!
//! A request for published objects runs in a task of its own: axum drops a handler whose client
//! leaves, and half a handler is a state that nobody tests. How many run at once is bounded; one
//! more is answered 503 at once, because a queue would only make everybody's answer late.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use chrono::{DateTime, Utc};
use restway_model::{Clock, Code, Event, Observer};
use restway_publish::{Answered, Headers, Publisher};
use serde_json::json;
use tokio::sync::Semaphore;
use uuid::{NoContext, Timestamp, Uuid};

use crate::guard::{Guard, Unwelcome};
use crate::metrics::Metrics;
use crate::proxies::TrustedProxies;
use crate::{compress, page, rows};

/// Where published objects begin.
const PUBLISHED: &str = "/rest/v1/";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A longer id of a caller's is replaced by one of ours.
const REQUEST_ID_LENGTH_MAX: usize = 128;
/// As much of a path as is worth writing down.
const PATH_LENGTH_MAX: usize = 256;

/// What the handlers share.
pub(crate) struct Shared {
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) guard: Guard,
    pub(crate) proxies: TrustedProxies,
    pub(crate) metrics: Metrics,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) body_time_max: Duration,
}

/// Where a connection comes from.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The published object that an answer is about, for counting.
#[derive(Clone)]
struct About(String);

/// All paths.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/rest/v1/{*path}", any(published))
        .route("/", get(start))
        .route("/openapi.json", get(openapi))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .fallback(nothing)
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(shared.clone(), attended))
        .with_state(shared)
}

/// Around every request: the guard, the id, the counters, the observer.
async fn attended(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let started = shared.clock.monotonic();
    let method = request.method().to_string();
    let path: String = request.uri().path().chars().take(PATH_LENGTH_MAX).collect();
    let id = request_id(request.headers(), shared.clock.now());
    let (head, body) = request.into_parts();
    let mut response = match shared.guard.check(&head) {
        Ok(()) => next.run(Request::from_parts(head, body)).await,
        Err(unwelcome) => unwelcome_response(unwelcome),
    };
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let status = response.status().as_u16();
    let duration = shared.clock.monotonic().saturating_sub(started);
    let about = response.extensions().get::<About>().map(|about| about.0.as_str());
    shared.metrics.count(about, status, duration);
    shared.observer.observe(&Event::RequestAnswered { method, path, status, duration });
    response
}

/// The caller's id for the request, if it is one, so that both sides' logs can be laid together.
fn request_id(headers: &HeaderMap, now: DateTime<Utc>) -> HeaderValue {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    let is_id = |id: &&HeaderValue| {
        (1..=REQUEST_ID_LENGTH_MAX).contains(&id.len()) && id.as_bytes().iter().all(is_plain)
    };
    headers.get(REQUEST_ID).filter(is_id).cloned().unwrap_or_else(|| {
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        let timestamp = Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos());
        HeaderValue::try_from(Uuid::new_v7(timestamp).to_string())
            .expect("digits and hyphens are a header's value")
    })
}

async fn published(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    // The raw path: axum's own extractor decodes, and a decoded comma no longer tells whether it
    // stood in a key or between two.
    let (head, body) = request.into_parts();
    let body = tokio::select! {
        body = to_bytes(body, shared.guard.body_bytes_max()) => body,
        () = shared.clock.sleep(shared.body_time_max) => {
            return unwelcome_response(Unwelcome::Pace);
        }
    };
    let Ok(body) = body else { return unwelcome_response(Unwelcome::Body) };
    // Only now: whoever sends slowly keeps nobody else from being answered.
    let Ok(permit) = shared.permits.clone().try_acquire_owned() else { return busy() };
    let path = head.uri.path();
    let asked = restway_publish::Request {
        method: head.method.to_string(),
        path: path.strip_prefix(PUBLISHED).unwrap_or(path).to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers(&head.headers),
        peer: shared.proxies.caller(&head),
        body: body.into(),
    };
    let publisher = shared.publisher.clone();
    let (mut pipe, mut ends) = rows::pipe();
    let reads = asked.only_reads();
    let answered = tokio::spawn(async move {
        let answer = publisher.answer_to(&asked, &mut pipe).await;
        drop(permit);
        answer
    });
    let mut task = rows::Task { answered, reads };
    let is_head = head.method == Method::HEAD;
    let packed = |response| compress::packed(&head.headers, is_head, response);
    if let Ok(begun) = (&mut ends.head).await {
        let mut response = sent(begun);
        *response.body_mut() = rows::body(ends, task);
        return packed(response);
    }
    let fault = match (&mut task.answered).await {
        Ok(Answered::Whole(answer)) => return packed(sent(answer)),
        Ok(Answered::Sent | Answered::Cut) => "an answer came without its head".to_owned(),
        Err(error) => format!("a handler stopped: {error}"),
    };
    shared.observer.observe(&Event::Warned { about: "server".to_owned(), message: fault });
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        Code::Internal,
        "a fault in Restway itself; the server's log says more",
    )
}

fn headers(map: &HeaderMap) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in map {
        headers.add(name.as_str(), value.as_bytes());
    }
    headers
}

fn sent(answer: restway_publish::Response) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        let value = HeaderValue::try_from(value).expect("publish writes visible ASCII");
        response.headers_mut().append(HeaderName::from_static(name), value);
    }
    if let Some(object) = answer.object {
        response.extensions_mut().insert(About(object));
    }
    response
}

async fn start(State(shared): State<Arc<Shared>>) -> Response {
    let html = Html(page::page(&shared.publisher.open_objects()));
    ([(CONTENT_SECURITY_POLICY, page::POLICY)], html).into_response()
}

async fn openapi(State(shared): State<Arc<Shared>>) -> Response {
    json_body(page::openapi(&shared.publisher.open_objects()).to_string())
}

async fn live() -> &'static str {
    "live\n"
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let Ok(_permit) = shared.permits.try_acquire() else { return busy() };
    match shared.publisher.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {error}\n")).into_response()
        }
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let media_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, media_type)], shared.metrics.text()).into_response()
}

async fn nothing() -> Response {
    problem(StatusCode::NOT_FOUND, Code::ObjectMissing, "nothing is here; `/` lists what there is")
}

/// axum adds `Allow`.
async fn other_method() -> Response {
    problem(
        StatusCode::METHOD_NOT_ALLOWED,
        Code::MethodNotAllowed,
        "this is read with GET or HEAD; nothing here can be written",
    )
}

fn busy() -> Response {
    let mut response = problem(
        StatusCode::SERVICE_UNAVAILABLE,
        Code::ServerBusy,
        "too many requests are under way: ask again in a moment",
    );
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_WAIT.as_secs()));
    response
}

/// How long a caller should wait when all permits are taken.
const RETRY_AFTER_WAIT: Duration = Duration::from_secs(1);

fn unwelcome_response(unwelcome: Unwelcome) -> Response {
    match unwelcome {
        Unwelcome::Name => problem(
            StatusCode::MISDIRECTED_REQUEST,
            Code::AccessDenied,
            "this server listens on this machine alone and is called localhost, 127.0.0.1 or [::1]",
        ),
        Unwelcome::Body => problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            Code::RequestInvalid,
            "the body is larger than this server takes",
        ),
        Unwelcome::Pace => {
            let mut response = problem(
                StatusCode::REQUEST_TIMEOUT,
                Code::RequestInvalid,
                "the body did not come in the time that it may take",
            );
            // RFC 9110, 15.5.9: what is left of the body is not waited for.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            response
        }
    }
}

/// A refusal in the shape that published objects have too.
fn problem(status: StatusCode, code: Code, detail: &str) -> Response {
    let body = json!({
        "item": null,
        "message": detail,
        "validations": [],
        "status": status.as_u16(),
        "type": format!("urn:restway:error:{code}"),
        "title": status.canonical_reason(),
        "detail": detail,
        "code": code.as_str(),
    });
    let mut response = json_body(body.to_string());
    *response.status_mut() = status;
    response
}

fn json_body(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json; charset=utf-8")], text).into_response()
}
