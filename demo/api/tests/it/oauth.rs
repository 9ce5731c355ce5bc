//! Tokens: issued, refused, expired, revoked.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use demo_api::{CLIENT_ID, CLIENT_SECRET, DemoApi, Settings};

use crate::client::{bearer, get, token};

const START: &str = "the demo API starts";

async fn start(token_lifetime: Duration) -> DemoApi {
    DemoApi::start(Settings { token_lifetime, ..Settings::default() }).await.expect(START)
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn a_token_opens_v1() {
    let api = start(Duration::from_secs(60)).await;
    let form = "grant_type=client_credentials&audience=anything";
    let credentials = basic(CLIENT_ID, CLIENT_SECRET);
    let reply = token(&api, &[("authorization", &credentials)], form).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let body = reply.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 60);
    assert_eq!(body["scope"], "read write");
    let authorization = format!("bearer {}", body["access_token"].as_str().expect("text"));
    let reply = get(&api, "/v1/projects/1", &[("authorization", &authorization)]).await;
    assert_eq!(reply.status, 200, "the scheme may be in any case");
    assert_eq!(api.tokens_issued(), 1);
}

#[tokio::test]
async fn bad_token_requests_are_refused_as_rfc_6749_says() {
    let api = start(Duration::from_secs(60)).await;
    let client = format!("client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}");
    let both = basic(CLIENT_ID, CLIENT_SECRET);
    let wrong = basic(CLIENT_ID, "wrong");
    let grant = "grant_type=client_credentials";
    let cases = [
        (None, format!("{grant}&client_id=x&client_secret=y"), 401, "invalid_client"),
        (None, grant.to_owned(), 401, "invalid_client"),
        (Some(&wrong), grant.to_owned(), 401, "invalid_client"),
        (Some(&both), format!("{grant}&{client}"), 400, "invalid_request"),
        (Some(&both), format!("{grant}&client_id=other"), 400, "invalid_request"),
        (None, client.clone(), 400, "invalid_request"),
        (None, format!("{client}&{grant}&{grant}"), 400, "invalid_request"),
        (None, format!("{client}&grant_type=password"), 400, "unsupported_grant_type"),
        (None, format!("{client}&{grant}&scope=admin"), 400, "invalid_scope"),
        (None, format!("{client}&{grant}&x={}", "y".repeat(20_000)), 400, "invalid_request"),
    ];
    for (authorization, form, status, code) in cases {
        let headers: Vec<_> =
            authorization.map(|value| ("authorization", value.as_str())).into_iter().collect();
        let reply = token(&api, &headers, &form).await;
        assert_eq!(reply.error(status), code);
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("www-authenticate").is_some(), status == 401);
        assert!(reply.json()["error_description"].is_string());
    }
    assert_eq!(api.tokens_issued(), 0);
}

#[tokio::test]
async fn an_expired_unknown_or_revoked_token_is_refused() {
    let api = start(Duration::ZERO).await;
    let expired = bearer(&api).await;
    for authorization in [expired.as_str(), "Bearer made-up", "Basic eDp5", "nonsense"] {
        let reply = get(&api, "/v1/orders", &[("authorization", authorization)]).await;
        assert_eq!(reply.error(401), "unauthorized");
        let challenge = "Bearer realm=\"demo\", error=\"invalid_token\"";
        assert_eq!(reply.header("www-authenticate"), Some(challenge));
    }
    assert_eq!(get(&api, "/v1/orders", &[]).await.error(401), "unauthorized");

    let api = start(Duration::from_secs(60)).await;
    let token = bearer(&api).await;
    let headers = [("authorization", token.as_str())];
    assert_eq!(get(&api, "/v1/orders/1", &headers).await.status, 200);
    api.revoke_tokens();
    assert_eq!(get(&api, "/v1/orders/1", &headers).await.status, 401);
    let token = bearer(&api).await;
    assert_eq!(get(&api, "/v1/orders/1", &[("authorization", &token)]).await.status, 200);
}

#[tokio::test]
async fn a_token_lives_as_long_as_it_is_said_to() {
    let api = start(Duration::from_millis(200)).await;
    let token = bearer(&api).await;
    let headers = [("authorization", token.as_str())];
    assert_eq!(get(&api, "/v1/orders/1", &headers).await.status, 200);
    tokio::time::sleep(Duration::from_millis(210)).await;
    assert_eq!(get(&api, "/v1/orders/1", &headers).await.status, 401);
}

#[tokio::test]
async fn scopes_hold() {
    let api = start(Duration::from_secs(60)).await;
    let credentials = basic(CLIENT_ID, CLIENT_SECRET);
    let headers = [("authorization", credentials.as_str())];
    let reply = token(&api, &headers, "grant_type=client_credentials&scope=write").await;
    let write_only = format!("Bearer {}", reply.json()["access_token"].as_str().expect("text"));
    let reply = get(&api, "/v1/orders", &[("authorization", &write_only)]).await;
    assert_eq!(reply.error(403), "insufficient_scope");
}
