//! `/v1`: the API proper, for bearer tokens.
//!
//! In go requests with a token of `/oauth/token` (scope `read` for GET, `write` for the rest); out
//! come token pages, single records, and created customers. Whatever is not understood is refused:
//! unknown parameters and fields, numbers that are not, ids that are not there.

use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

use crate::answer::{self, Answer, Problem};
use crate::data::{Collection, Customer, Object};
use crate::pages::token_page;
use crate::params::Params;
use crate::state::{Api, CREATED_MAX, Creation};

const BODY_BYTES_MAX: usize = 64 * 1024;
const KEY_BYTES_MAX: usize = 255;
const TEXT_CHARS_MAX: usize = 200;
const TAGS_MAX: usize = 20;

type Shared = State<Arc<Api>>;

pub(crate) fn routes(api: &Arc<Api>) -> Router<Arc<Api>> {
    Router::new()
        .route("/v1/projects", get(projects))
        .route("/v1/projects/{id}", get(project))
        .route("/v1/projects/{id}/issues", get(issues))
        .route("/v1/projects/{id}/issues/{issue}", get(issue))
        .route("/v1/customers", get(customers).post(create_customer))
        .route("/v1/customers/{id}", get(customer))
        .route("/v1/orders", get(orders))
        .route("/v1/orders/{id}", get(order))
        .route_layer(from_fn_with_state(Arc::clone(api), require_token))
}

async fn require_token(State(api): Shared, request: Request, next: Next) -> Response {
    let grant = match api.tokens.check(request.headers()) {
        Ok(grant) => grant,
        Err(problem) => return problem.into_response(),
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let needed = if reads { "read" } else { "write" };
    if !grant.scope.split(' ').any(|scope| scope == needed) {
        let message = format!("this needs a token with scope `{needed}`");
        let challenge = "Bearer realm=\"demo\", error=\"insufficient_scope\"";
        return Problem::new(StatusCode::FORBIDDEN, "insufficient_scope", message)
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
            .into_response();
    }
    next.run(request).await
}

async fn projects(State(api): Shared, RawQuery(query): RawQuery) -> Answer {
    token_page(&api, Collection::Projects, query.as_deref(), &[])
}

async fn project(State(api): Shared, Path(id): Path<String>, RawQuery(query): RawQuery) -> Answer {
    item(&api, Collection::Projects, &id, query)
}

async fn issues(State(api): Shared, Path(id): Path<String>, RawQuery(query): RawQuery) -> Answer {
    let project = existing(&api, Collection::Projects, &id)?;
    token_page(&api, Collection::Issues(project), query.as_deref(), &[])
}

async fn issue(
    State(api): Shared,
    Path((id, issue)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let project = existing(&api, Collection::Projects, &id)?;
    item(&api, Collection::Issues(project), &issue, query)
}

async fn customers(State(api): Shared, RawQuery(query): RawQuery) -> Answer {
    token_page(&api, Collection::Customers, query.as_deref(), &[])
}

async fn customer(State(api): Shared, Path(id): Path<String>, RawQuery(query): RawQuery) -> Answer {
    item(&api, Collection::Customers, &id, query)
}

async fn orders(State(api): Shared, RawQuery(query): RawQuery) -> Answer {
    token_page(&api, Collection::Orders, query.as_deref(), &[])
}

async fn order(State(api): Shared, Path(id): Path<String>, RawQuery(query): RawQuery) -> Answer {
    item(&api, Collection::Orders, &id, query)
}

fn item(api: &Api, collection: Collection, id: &str, query: Option<String>) -> Answer {
    Params::read(query.as_deref(), &[])?;
    let id = existing(api, collection, id)?;
    let record = api.record(collection, id).ok_or_else(|| missing(collection, &id.to_string()))?;
    Ok(answer::ok(record))
}

/// The id as a number, if there is such a record.
fn existing(api: &Api, collection: Collection, id: &str) -> Result<u64, Problem> {
    match id.parse() {
        // `+7` and `007` parse, but are not what the record is called.
        Ok(number) if (1..=api.total(collection)).contains(&number) && number.to_string() == id => {
            Ok(number)
        }
        _ => Err(missing(collection, id)),
    }
}

fn missing(collection: Collection, id: &str) -> Problem {
    Problem::not_found(format!("there is no `{id}` in {}", collection.path()))
}

async fn create_customer(
    State(api): Shared,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    Params::read(query.as_deref(), &[])?;
    let (parts, body) = request.into_parts();
    let key = idempotency_key(&parts.headers)?;
    require_json(&parts.headers)?;
    let body = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
        let message = "the body broke off or is longer than 64 KiB";
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    })?;
    let value: Value = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request("invalid_json", error.to_string()))?;
    let Value::Object(fields) = value else {
        return Err(Problem::bad_request("invalid_json", "the body must be a JSON object"));
    };
    let customer = customer_of(&fields)?;
    let (id, text, is_replay) = match api.create(customer, &body, key.as_deref()) {
        Creation::Created { id, text } => (id, text, false),
        Creation::Replayed { id, text } => (id, text, true),
        Creation::KeyReused => {
            let message = "this Idempotency-Key was used for another body";
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Err(Problem::new(status, "idempotency_key_reused", message));
        }
        Creation::Full => {
            let message = format!("no more than {CREATED_MAX} customers can be created");
            return Err(Problem::new(StatusCode::FORBIDDEN, "limit_reached", message));
        }
    };
    let mut response = answer::json(StatusCode::CREATED, text);
    let location = HeaderValue::from_str(&format!("/v1/customers/{id}"));
    let location = location.expect("digits and slashes may stand in a header");
    response.headers_mut().insert(header::LOCATION, location);
    if is_replay {
        response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= KEY_BYTES_MAX => Ok(Some(key.to_owned())),
        _ => {
            let message = "Idempotency-Key must be 1 to 255 visible ASCII characters";
            Err(Problem::bad_request("invalid_header", message))
        }
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    if kind.trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = "send the record as application/json";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
}

/// Reads all fields before it complains, so that every mistake is named at once.
fn customer_of(fields: &Map<String, Value>) -> Result<Customer, Problem> {
    let mut faults: Vec<(String, &'static str)> = Vec::new();
    let mut customer = Customer::default();
    if !fields.contains_key("name") {
        faults.push(("name".to_owned(), "is missing"));
    }
    for (field, value) in fields {
        let fault = match (field.as_str(), value) {
            ("name", Value::String(name)) if is_short(name) && !name.trim().is_empty() => {
                customer.name.clone_from(name);
                None
            }
            ("name", _) => Some("must be text of 1 to 200 characters"),
            ("email" | "phone" | "address", Value::Null) => None,
            ("email", Value::String(email)) if is_short(email) && email.contains('@') => {
                customer.email = Some(email.clone());
                None
            }
            ("email", _) => Some("must be an email address or null"),
            ("phone", Value::String(phone)) if is_short(phone) => {
                customer.phone = Some(phone.clone());
                None
            }
            ("phone", _) => Some("must be text of at most 200 characters or null"),
            ("is_business", Value::Bool(is_business)) => {
                customer.is_business = *is_business;
                None
            }
            ("is_business", _) => Some("must be true or false"),
            ("tags", value) => take_tags(value, &mut customer.tags),
            ("address", value) => take_address(value, &mut customer.address),
            _ => Some("is not a field that can be set"),
        };
        faults.extend(fault.map(|fault| (field.clone(), fault)));
    }
    if faults.is_empty() {
        return Ok(customer);
    }
    let fields: Vec<Value> = faults
        .into_iter()
        .map(|(field, message)| json!({ "field": field, "message": message }))
        .collect();
    let message = "some fields are missing or wrong";
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_record", message)
        .with("fields", Value::Array(fields)))
}

fn is_short(text: &str) -> bool {
    text.chars().count() <= TEXT_CHARS_MAX
}

fn take_tags(value: &Value, tags: &mut Vec<String>) -> Option<&'static str> {
    const FAULT: &str = "must be a list of at most 20 texts";
    let Some(list) = value.as_array().filter(|list| list.len() <= TAGS_MAX) else {
        return Some(FAULT);
    };
    for tag in list {
        match tag {
            Value::String(tag) if is_short(tag) => tags.push(tag.clone()),
            _ => return Some(FAULT),
        }
    }
    None
}

fn take_address(value: &Value, address: &mut Option<String>) -> Option<&'static str> {
    const PARTS: [&str; 4] = ["street", "city", "zip", "country"];
    let Some(fields) = value.as_object() else {
        return Some("must be an object with street, city, zip, country, or null");
    };
    if fields.keys().any(|field| !PARTS.contains(&field.as_str())) {
        return Some("may only have street, city, zip, country");
    }
    let mut object = Object::new();
    for part in PARTS {
        match fields.get(part) {
            None | Some(Value::Null) => object = object.optional_text(part, None),
            Some(Value::String(text)) if is_short(text) => object = object.text(part, text),
            Some(_) => return Some("must have texts of at most 200 characters"),
        }
    }
    *address = Some(object.raw("geo", "null").finish());
    None
}
