//! The demo API: a small, strict REST API that runs inside the process that asks for it.
//!
//! `restway demo` starts it to have something to call, the tests start it to have something that
//! misbehaves on demand, the benchmarks start it to have something large. It speaks plain HTTP/1.1
//! on 127.0.0.1 and needs no file, no network and no clock other than a monotonic one.
//!
//! What goes in: [`Settings`] (sizes, seed, token lifetime, planned [`Fault`]s) and HTTP requests.
//! What comes out: answers, and [`DemoApi::requests`], a bounded log of what was asked.
//!
//! | path | what | module |
//! | --- | --- | --- |
//! | `/oauth/token` | OAuth2 client credentials, short-lived tokens | `tokens` |
//! | `/v1/projects`, `/v1/projects/{id}/issues` | a project tracker, token pages | `v1` |
//! | `/v1/customers`, `/v1/orders` | a web shop, token pages; customers can be created | `v1` |
//! | `/open/…` | customers without auth in six pagination styles | `open` |
//! | `/feed` | rows that are added while it is served | `feed` |
//! | `/auth/basic/customers`, `/auth/key/customers` | other ways to authorize | `guarded` |
//! | `/fault/…` | everything that goes wrong in the wild, on demand | `faults` |
//! | `/openapi.json` | OpenAPI 3.1 of `/v1` | `openapi` |
//!
//! What never happens here: a record that differs between two runs or two machines (each is a pure
//! function of seed, collection and position, so that a million orders need no memory); a number
//! that went through a float; a secret in the log; a list, map or body without a bound.

mod answer;
mod data;
mod faults;
mod feed;
mod guarded;
mod open;
mod openapi;
mod pages;
mod params;
mod planned;
mod seen;
mod server;
mod settings;
mod state;
mod tokens;
mod v1;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{get, post};

pub use seen::{Credential, Seen};
pub use server::DemoApi;
pub use settings::{Effect, Fault, Settings};

use answer::Problem;
use state::Api;

/// The client that `/oauth/token` knows.
pub const CLIENT_ID: &str = "demo-client";
/// The secret of [`CLIENT_ID`]. It guards nothing but made-up records.
pub const CLIENT_SECRET: &str = "demo-secret-2f6c1b9e04";
/// The user of `/auth/basic/customers`.
pub const BASIC_USER: &str = "demo";
/// The password of [`BASIC_USER`].
pub const BASIC_PASSWORD: &str = "demo-password-7d30a8";
/// The key of `/auth/key/customers`.
pub const API_KEY: &str = "demo-key-51c2e7f4a9";
/// The header in which `/auth/key/customers` takes [`API_KEY`].
pub const API_KEY_HEADER: &str = "X-API-Key";
/// The query parameter in which `/auth/key/customers` takes [`API_KEY`].
pub const API_KEY_PARAMETER: &str = "api_key";

const WELCOME: &str = "\
The Restway demo API: a project tracker and a web shop with made-up records.

  POST /oauth/token                 client credentials, short-lived bearer tokens
  GET  /v1/projects                 and /v1/projects/{id}/issues
  GET  /v1/customers                POST creates one
  GET  /v1/orders
  GET  /open/{page|offset|link|next|keyset|none}
  GET  /feed
  GET  /auth/{basic|key}/customers
  GET  /fault/...                   misbehaves on demand
  GET  /openapi.json                OpenAPI 3.1 of /v1
";

/// The whole API as an axum router, for mounting without a listener of its own.
pub fn router(settings: Settings) -> Router {
    routes(Arc::new(Api::new(settings)))
}

/// The order of the two outer layers matters: a planned fault is recorded like any other answer.
pub(crate) fn routes(api: Arc<Api>) -> Router {
    Router::new()
        .route("/", get(welcome))
        .route("/openapi.json", get(openapi::answer))
        .route("/oauth/token", post(tokens::answer))
        .merge(v1::routes(&api))
        .merge(open::routes())
        .merge(feed::routes())
        .merge(guarded::routes())
        .merge(faults::routes())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(&api), planned::apply))
        .layer(from_fn_with_state(Arc::clone(&api), seen::record))
        .with_state(api)
}

async fn welcome() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], WELCOME)
}

async fn unknown_path(uri: Uri) -> Problem {
    Problem::not_found(format!("there is no `{}` here; GET / lists what is", uri.path()))
}

async fn wrong_method() -> Problem {
    let message = "this path does not take this method; the Allow header says which it takes";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
