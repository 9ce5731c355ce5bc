//! Each fault does what its table says, on the wire.

use std::time::{Duration, Instant};

use demo_api::{DemoApi, Effect, Fault, Settings};
use serde_json::json;

use crate::client::{bearer, get, ids, send, walk};

async fn start() -> DemoApi {
    DemoApi::start(Settings::default()).await.expect("the demo API starts")
}

#[tokio::test]
async fn statuses() {
    let api = start().await;
    for status in [200, 404, 418, 500, 599] {
        assert_eq!(get(&api, &format!("/fault/status/{status}"), &[]).await.error(status), "fault");
    }
    let reply = send(&api, "POST", "/fault/status/409", &[], "{}").await;
    assert_eq!(reply.error(409), "fault");
    let reply = get(&api, "/fault/status/204", &[]).await;
    assert_eq!((reply.status, reply.body.len(), reply.is_complete), (204, 0, true));
    for bad in ["100", "600", "99", "x"] {
        let reply = get(&api, &format!("/fault/status/{bad}"), &[]).await;
        assert_eq!(reply.error(400), "invalid_path", "{bad}");
    }
}

#[tokio::test]
async fn flaky_and_rate_recover_for_each_name() {
    let api = start().await;
    for name in ["one", "two"] {
        for _ in 0..2 {
            let reply = get(&api, &format!("/fault/flaky/2/{name}"), &[]).await;
            assert_eq!(reply.error(503), "flaky");
            assert_eq!(reply.header("retry-after"), Some("0"));
        }
        assert_eq!(walk(&api, &format!("/fault/flaky/2/{name}"), &[]).await.len(), 200);
        let reply = get(&api, &format!("/fault/rate/{name}"), &[]).await;
        assert_eq!(reply.error(429), "rate_limited");
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert_eq!(walk(&api, &format!("/fault/rate/{name}"), &[]).await.len(), 200);
    }
}

#[tokio::test]
async fn a_used_up_token_gives_way_to_a_new_one() {
    let api = start().await;
    let target = "/fault/unauthorized-after/2/x";
    assert_eq!(get(&api, target, &[]).await.error(401), "unauthorized");
    let old = bearer(&api).await;
    let newer = bearer(&api).await;
    for (token, statuses) in [(&old, [200, 200, 401]), (&newer, [200, 200, 401])] {
        for status in statuses {
            assert_eq!(get(&api, target, &[("authorization", token)]).await.status, status);
        }
    }
    assert_eq!(get(&api, target, &[("authorization", &old)]).await.status, 401);
}

#[tokio::test]
async fn a_loop_never_ends() {
    let api = start().await;
    let first = get(&api, "/fault/loop", &[]).await;
    let token = first.json()["nextPageToken"].as_str().expect("there is a token").to_owned();
    let second = get(&api, &format!("/fault/loop?pageToken={token}"), &[]).await;
    assert_eq!(first.body, second.body);
}

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be() {
    let api = start().await;
    let html = get(&api, "/fault/html", &[]).await;
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(html.text().starts_with("<!DOCTYPE html>"));

    let empty = get(&api, "/fault/empty", &[]).await;
    assert_eq!((empty.status, empty.body.len(), empty.is_complete), (200, 0, true));

    let broken = get(&api, "/fault/not-json", &[]).await;
    assert_eq!(broken.header("content-type"), Some("application/json"));
    assert!(broken.is_complete && broken.text().contains("\"id\":10,"));
    assert!(serde_json::from_str::<serde_json::Value>(broken.text()).is_err());

    let none = get(&api, "/fault/no-records", &[]).await;
    assert_eq!((none.status, none.json()), (200, json!({ "error": "nope" })));

    let deep = get(&api, "/fault/deep/1000", &[]).await;
    assert_eq!(deep.text().matches('[').count(), 1_001);
    assert_eq!(get(&api, "/fault/deep/100001", &[]).await.error(400), "invalid_path");
}

#[tokio::test]
async fn types_drift_from_page_to_page() {
    let api = start().await;
    assert_eq!(walk(&api, "/fault/types", &[]).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(api.count("/fault/types"), 3);
    let all = get(&api, "/fault/types?pageSize=6", &[]).await;
    assert!(all.text().contains(":9223372036854775808"));
    let all = all.json();
    let column = |name: &str| -> Vec<serde_json::Value> {
        let records = all["data"].as_array().expect("a list");
        records.iter().map(|record| record[name].clone()).collect()
    };
    assert_eq!(json!(column("int_then_text")), json!([1, 2, 3, 4, "five", "6"]));
    assert_eq!(json!(column("int_then_decimal")), json!([1, 2, 3.5, 4.25, 5, 6]));
    let typed = json!([null, null, null, null, "late", "later"]);
    assert_eq!(json!(column("null_then_typed")), typed);
    let objects = json!([{ "a": 1 }, { "a": 2 }, "three", 4, null, { "a": 6 }]);
    assert_eq!(json!(column("object_then_scalar")), objects);
    let reply = get(&api, "/fault/types?pageToken=drift-6", &[]).await;
    assert_eq!(reply.error(400), "invalid_parameter");
}

#[tokio::test]
async fn a_truncated_body_breaks_off() {
    let api = start().await;
    let reply = get(&api, "/fault/truncated", &[]).await;
    assert_eq!(reply.status, 200);
    let promised: usize =
        reply.header("content-length").expect("a length").parse().expect("digits");
    assert!(!reply.is_complete);
    assert_eq!(reply.body.len(), promised / 2, "the first half arrives");
}

#[tokio::test]
async fn slow_waits_and_drip_drips() {
    let api = start().await;
    let start = Instant::now();
    let reply = get(&api, "/fault/slow/60?pageSize=3", &[]).await;
    assert!(start.elapsed() >= Duration::from_millis(60));
    assert_eq!(ids(&reply.json()["data"]), [1, 2, 3]);
    assert_eq!(get(&api, "/fault/slow/60001", &[]).await.error(400), "invalid_path");

    let start = Instant::now();
    let reply = get(&api, "/fault/drip?pageSize=2", &[]).await;
    assert!(reply.is_complete && reply.header("content-length").is_none());
    let pieces = reply.body.len() / 61;
    assert!(pieces > 5 && start.elapsed() >= Duration::from_millis(pieces as u64));
    assert_eq!(ids(&reply.json()["data"]), [1, 2]);
    assert_eq!(walk(&api, "/fault/drip?ms=0", &[]).await.len(), 200);
}

#[tokio::test]
async fn huge_is_as_large_as_asked_for() {
    let api = start().await;
    let reply = get(&api, "/fault/huge/2", &[]).await;
    let mib = reply.body.len() as f64 / 1_048_576.0;
    assert!((1.9..2.1).contains(&mib), "{mib} MiB");
    let records = ids(&reply.json()["data"]);
    assert_eq!(records, (1..=2_048).collect::<Vec<u64>>());
    assert_eq!(get(&api, "/fault/huge/0", &[]).await.json(), json!({ "data": [], "total": 0 }));
    assert_eq!(get(&api, "/fault/huge/4097", &[]).await.error(400), "invalid_path");
}

#[tokio::test]
async fn redirects() {
    let api = start().await;
    let reply = get(&api, "/fault/redirect/2", &[]).await;
    assert_eq!((reply.status, reply.header("location")), (302, Some("/fault/redirect/1")));
    let reply = get(&api, "/fault/redirect/1", &[]).await;
    assert_eq!(reply.header("location"), Some("/fault/redirect/0"));
    assert_eq!(walk(&api, "/fault/redirect/0", &[]).await.len(), 200);
    assert_eq!(get(&api, "/fault/redirect/101", &[]).await.error(400), "invalid_path");
    let target = "/fault/redirect-to?url=http%3A%2F%2F169.254.169.254%2Flatest";
    let reply = get(&api, target, &[]).await;
    assert_eq!(reply.status, 302);
    assert_eq!(reply.header("location"), Some("http://169.254.169.254/latest"));
    for bad in ["/fault/redirect-to", "/fault/redirect-to?url=a%0D%0Ab"] {
        assert_eq!(get(&api, bad, &[]).await.error(400), "invalid_parameter");
    }
}

#[tokio::test]
async fn echo_answers_the_request_without_its_credentials() {
    let api = start().await;
    let headers = [("authorization", "Bearer very-secret"), ("x-trace", "7")];
    let reply = send(&api, "PUT", "/fault/echo?a=1&a=2&b=%C3%A9", &headers, "{\"x\":1}").await;
    let echo = reply.json();
    assert_eq!(echo["method"], "PUT");
    assert_eq!(echo["path"], "/fault/echo");
    assert_eq!(echo["query"], json!([["a", "1"], ["a", "2"], ["b", "é"]]));
    assert_eq!(echo["headers"]["authorization"], "Bearer");
    assert_eq!(echo["headers"]["x-trace"], "7");
    assert_eq!(echo["body"], "{\"x\":1}");
    assert!(!reply.text().contains("very-secret"));
}

#[tokio::test]
async fn planned_faults_hit_the_requests_they_are_planned_for() {
    let effect = Effect::Answer { status: 502, retry_after: Some(3) };
    let wait = Effect::Wait(Duration::from_millis(40));
    let plan = |path: &str, effect| Fault { path: path.to_owned(), after: 1, times: 1, effect };
    let faults = vec![
        plan("/open/page", effect),
        plan("/open/none", Effect::Truncate),
        plan("/open/next", wait),
    ];
    let api = DemoApi::start(Settings { faults, ..Settings::default() }).await.expect("it starts");
    for status in [200, 502, 200] {
        let reply = get(&api, "/open/page", &[]).await;
        assert_eq!(reply.status, status);
        let retry_after = (status == 502).then_some("3");
        assert_eq!(reply.header("retry-after"), retry_after);
    }
    for is_complete in [true, false, true] {
        assert_eq!(get(&api, "/open/none", &[]).await.is_complete, is_complete);
    }
    get(&api, "/open/next", &[]).await;
    let start = Instant::now();
    assert_eq!(get(&api, "/open/next", &[]).await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(40));
    assert_eq!(api.requests()[1].status, Some(502), "planned faults are in the log");
}
