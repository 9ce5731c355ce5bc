//! `/v1`: walks that find every record once, strict parameters, single records, creation.

use demo_api::{DemoApi, Settings};
use serde_json::{Value, json};

use crate::client::{Reply, bearer, get, send, walk};

async fn start() -> (DemoApi, String) {
    let api = DemoApi::start(Settings::default()).await.expect("the demo API starts");
    let token = bearer(&api).await;
    (api, token)
}

#[tokio::test]
async fn a_walk_collects_every_record_exactly_once() {
    let (api, token) = start().await;
    let headers = [("authorization", token.as_str())];
    let cases = [
        ("/v1/projects", 40, 1),
        ("/v1/projects?pageSize=7", 40, 6),
        ("/v1/customers", 200, 4),
        ("/v1/customers?pageSize=200", 200, 1),
        ("/v1/orders?pageSize=93", 1_000, 11),
        ("/v1/projects/1/issues?pageSize=20", 40, 2),
        ("/v1/projects/2/issues", 0, 1),
    ];
    for (target, count, pages) in cases {
        api.forget_requests();
        let ids = walk(&api, target, &headers).await;
        assert_eq!(ids, (1..=count).collect::<Vec<u64>>(), "{target}");
        assert_eq!(api.count("/v1/"), pages, "{target}");
    }
}

#[tokio::test]
async fn numbers_keep_their_digits_on_the_wire() {
    let (api, token) = start().await;
    let headers = [("authorization", token.as_str())];
    let order = get(&api, "/v1/orders/7", &headers).await;
    assert!(order.text().contains("\"tracking_number\":18446744073709551623,"));
    assert!(order.text().contains("\"ledger_amount\":12345678901234574.89,"));
    let customer = get(&api, "/v1/customers/7", &headers).await;
    assert!(customer.text().contains("\"serial\":9007199254741000,"));
}

#[tokio::test]
async fn updated_since_filters_and_its_tokens_belong_to_it() {
    let (api, token) = start().await;
    let headers = [("authorization", token.as_str())];
    let target = "/v1/orders?updated_since=2026-01-01T00:00:00Z&pageSize=50";
    let some = walk(&api, target, &headers).await;
    assert!(some.len() > 50 && some.len() < 1_000, "{}", some.len());
    assert!(some.is_sorted_by(|left, right| left < right));
    let none = walk(&api, "/v1/orders?updated_since=2030-01-01T00:00:00Z", &headers).await;
    assert_eq!(none, Vec::<u64>::new());
    let issues = "/v1/projects/1/issues?updated_since=2020-01-01T01:00:00%2B01:00";
    assert_eq!(walk(&api, issues, &headers).await.len(), 40);

    let page = get(&api, target, &headers).await.json();
    let page_token = page["nextPageToken"].as_str().expect("there are more");
    let other = "updated_since=2026-02-01T00:00:00Z";
    let reply = get(&api, &format!("/v1/orders?{other}&pageToken={page_token}"), &headers).await;
    assert_eq!(reply.error(400), "invalid_parameter");
}

#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let (api, token) = start().await;
    let headers = [("authorization", token.as_str())];
    let page = get(&api, "/v1/projects?pageSize=1", &headers).await.json();
    let of_projects = page["nextPageToken"].as_str().expect("there are more").to_owned();
    let cases = [
        ("/v1/orders?pageSize=0", 400, "invalid_parameter"),
        ("/v1/orders?pageSize=201", 400, "invalid_parameter"),
        ("/v1/orders?pageSize=+5", 400, "invalid_parameter"),
        ("/v1/orders?pageSize=", 400, "invalid_parameter"),
        ("/v1/orders?pageSize=5&pageSize=5", 400, "invalid_parameter"),
        ("/v1/orders?pagesize=5", 400, "unknown_parameter"),
        ("/v1/orders?pageToken=x", 400, "invalid_parameter"),
        (&format!("/v1/orders?pageToken={of_projects}"), 400, "invalid_parameter"),
        ("/v1/orders?updated_since=yesterday", 400, "invalid_parameter"),
        ("/v1/orders?updated_since=2026-01-01T00:00:00+01:00", 400, "invalid_parameter"),
        ("/v1/customers?updated_since=2026-01-01T00:00:00Z", 400, "unknown_parameter"),
        ("/v1/customers/1?x=1", 400, "unknown_parameter"),
        ("/v1/customers/0", 404, "not_found"),
        ("/v1/customers/201", 404, "not_found"),
        ("/v1/customers/007", 404, "not_found"),
        ("/v1/customers/me", 404, "not_found"),
        ("/v1/projects/41/issues", 404, "not_found"),
        ("/v1/projects/1/issues/41", 404, "not_found"),
        ("/v1/nothing", 404, "not_found"),
    ];
    for (target, status, code) in cases {
        assert_eq!(get(&api, target, &headers).await.error(status), code, "{target}");
    }
    let reply = send(&api, "DELETE", "/v1/orders", &headers, "").await;
    assert_eq!(reply.error(405), "method_not_allowed");
    assert_eq!(reply.header("allow"), Some("GET,HEAD"));
}

async fn create(api: &DemoApi, token: &str, key: Option<&str>, body: &str) -> Reply {
    let mut headers = vec![("authorization", token), ("content-type", "application/json")];
    headers.extend(key.map(|key| ("idempotency-key", key)));
    send(api, "POST", "/v1/customers", &headers, body).await
}

#[tokio::test]
async fn a_created_customer_is_there() {
    let (api, token) = start().await;
    let body = json!({
        "name": "新しい \"Kunde\"", "email": "new@example.com", "tags": ["a", "b"],
        "address": { "city": "Köln", "zip": "00123" },
    });
    let reply = create(&api, &token, None, &body.to_string()).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(reply.header("location"), Some("/v1/customers/201"));
    let created = reply.json();
    assert_eq!(created["id"], 201);
    assert_eq!(created["name"], body["name"]);
    assert_eq!(created["address"]["zip"], "00123");
    assert_eq!(created["address"]["street"], Value::Null);
    assert_eq!(created["created_at"], "2026-06-30T00:00:00Z");
    let headers = [("authorization", token.as_str())];
    assert_eq!(get(&api, "/v1/customers/201", &headers).await.json(), created);
    assert_eq!(walk(&api, "/v1/customers", &headers).await.len(), 201);
    let generated = get(&api, "/v1/customers/1", &headers).await.json();
    let fields = |record: &Value| -> Vec<String> {
        record.as_object().expect("an object").keys().cloned().collect()
    };
    assert_eq!(fields(&created), fields(&generated));
}

#[tokio::test]
async fn an_idempotency_key_creates_once() {
    let (api, token) = start().await;
    let (one, other) = ("{\"name\":\"One\"}", "{\"name\":\"Other\"}");
    let first = create(&api, &token, Some("k-1"), one).await;
    let again = create(&api, &token, Some("k-1"), one).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body, again.body);
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let reused = create(&api, &token, Some("k-1"), other).await;
    assert_eq!(reused.error(422), "idempotency_key_reused");
    assert_eq!(create(&api, &token, Some("k-2"), one).await.json()["id"], 202);
    assert_eq!(api.requests()[1].idempotency_key.as_deref(), Some("k-1"));
}

#[tokio::test]
async fn a_bad_customer_is_refused_field_by_field() {
    let (api, token) = start().await;
    let body = r#"{"email":"x","tags":[1],"address":{"planet":"Mars"},"id":7}"#;
    let reply = create(&api, &token, None, body).await;
    assert_eq!(reply.error(422), "invalid_record");
    let named: Vec<String> = reply.json()["fields"]
        .as_array()
        .expect("fields are a list")
        .iter()
        .map(|fault| fault["field"].as_str().expect("text").to_owned())
        .collect();
    assert_eq!(named, ["name", "email", "tags", "address", "id"]);

    assert_eq!(create(&api, &token, None, "{\"name\":\" \"}").await.error(422), "invalid_record");
    assert_eq!(create(&api, &token, None, "[]").await.error(400), "invalid_json");
    assert_eq!(create(&api, &token, None, "{").await.error(400), "invalid_json");
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(70_000));
    assert_eq!(create(&api, &token, None, &long).await.error(413), "body_too_large");
    let headers = [("authorization", token.as_str()), ("content-type", "text/plain")];
    let reply = send(&api, "POST", "/v1/customers", &headers, "{}").await;
    assert_eq!(reply.error(415), "unsupported_media_type");
    let long_key = "k".repeat(256);
    let reply = create(&api, &token, Some(&long_key), "{\"name\":\"x\"}").await;
    assert_eq!(reply.error(400), "invalid_header");
}

#[tokio::test]
async fn no_more_than_a_thousand_customers_can_be_created() {
    let (api, token) = start().await;
    for _ in 0..1_000 {
        assert_eq!(create(&api, &token, None, "{\"name\":\"x\"}").await.status, 201);
    }
    let reply = create(&api, &token, None, "{\"name\":\"x\"}").await;
    assert_eq!(reply.error(403), "limit_reached");
}
