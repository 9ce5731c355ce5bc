//! `/auth`: customers in token pages, behind the two simplest ways to authorize.
//!
//! `/auth/basic/customers` takes HTTP Basic with `BASIC_USER` and `BASIC_PASSWORD`;
//! `/auth/key/customers` takes `API_KEY` in the header `X-API-Key` or in the query parameter
//! `api_key`. Anything else is answered with 401 and a challenge.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::routing::get;
use url::form_urlencoded;

use crate::answer::{Answer, Problem};
use crate::data::Collection;
use crate::pages::token_page;
use crate::state::Api;
use crate::tokens::basic;
use crate::{API_KEY, API_KEY_HEADER, API_KEY_PARAMETER, BASIC_PASSWORD, BASIC_USER};

type Shared = State<Arc<Api>>;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/auth/basic/customers", get(basic_customers))
        .route("/auth/key/customers", get(key_customers))
}

async fn basic_customers(
    State(api): Shared,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    match basic(&headers) {
        Some((user, password)) if user == BASIC_USER && password == BASIC_PASSWORD => {
            token_page(&api, Collection::Customers, query.as_deref(), &[])
        }
        _ => {
            let challenge = "Basic realm=\"demo\", charset=\"UTF-8\"";
            Err(Problem::unauthorized(challenge, "user or password is wrong or missing"))
        }
    }
}

async fn key_customers(
    State(api): Shared,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let in_header = headers.get(API_KEY_HEADER).is_some_and(|key| key == API_KEY);
    let in_query = form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes())
        .any(|(name, value)| name == API_KEY_PARAMETER && value == API_KEY);
    if in_header || in_query {
        return token_page(&api, Collection::Customers, query.as_deref(), &[API_KEY_PARAMETER]);
    }
    Err(Problem::unauthorized("ApiKey realm=\"demo\"", "the API key is wrong or missing"))
}
