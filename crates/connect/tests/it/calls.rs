//! One call: auth, redirects, retries, egress, bounds.

use std::time::Duration;

use demo_api::{Effect, Fault, Settings};
use restway_connect::{Body, Expected, Request, curl_line};
use restway_model::definition::Method;
use restway_model::{Clock, Event, Explain, Fault as Move, Limits};
use serde_json::{Value, json};

use crate::support::{Rig, api, canned, code, demo, demo_with, get, oauth};

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

#[tokio::test]
async fn every_fixed_auth_is_accepted() {
    let (demo, rig) = (demo().await, Rig::new());
    let auths = [
        ("basic", json!({"type": "basic", "username": "demo", "password": "${secret.password}"})),
        ("key", json!({"type": "api_key", "header": "X-API-Key", "key": "${secret.key}"})),
        ("key", json!({"type": "api_key", "query": "api_key", "key": "${secret.key}"})),
    ];
    for (path, auth) in auths {
        let api = api(&demo.url(), json!({"auth": auth}));
        let url = format!("{}/auth/{path}/customers?pageSize=2", demo.url());
        let answer = rig.connector.call(&api, get(&url)).await.expect("an answer");
        assert_eq!(answer.status, 200);
        assert!(!format!("{:?} {:?}", rig.events(), answer.attempts).contains("demo-key"));
    }
}

#[tokio::test]
async fn wrong_and_missing_secrets_are_told_apart_and_never_shown() {
    let (demo, rig) = (demo().await, Rig::new());
    let url = format!("{}/auth/key/customers", demo.url());
    let call = async |key: &str| {
        let auth = json!({"type": "api_key", "query": "api_key", "key": key});
        let api = api(&demo.url(), json!({"auth": auth}));
        rig.connector.call(&api, get(&url)).await.expect_err("it is refused")
    };
    let wrong = call("${secret.wrong}").await;
    assert_eq!(code(&wrong), "call.unauthorized");
    assert!(!wrong.to_string().contains("wrong-secret-value"), "{wrong}");
    assert!(wrong.to_string().contains("the API key is wrong or missing"), "{wrong}");
    let missing = call("${secret.nobody}").await;
    assert_eq!((code(&missing), missing.code().fault()), ("secret.missing", Move::Asked));
    let split = json!({"type": "bearer", "token": "${secret.split}"});
    let api = api(&demo.url(), json!({"auth": split}));
    let error = rig.connector.call(&api, get(&url)).await.expect_err("it cannot be sent");
    assert!(error.to_string().contains("line break"), "{error}");
    assert!(!error.to_string().contains("lines-of-it"), "{error}");
    assert_eq!(demo.count("/auth"), 1);
}

#[tokio::test]
async fn a_request_goes_out_as_planned() {
    let (demo, rig) = (demo().await, Rig::new());
    let api = api(&demo.url(), json!({}));
    let mut request = get(&format!("{}/fault/echo?a=1&a=b+c", demo.url()));
    request.method = Method::Post;
    request.headers = vec![("X-Twice".into(), "1".into()), ("x-twice".into(), "2".into())];
    request.body = Some(Body::Json(json!({"n": 9_007_199_254_740_993_i64})));
    assert!(curl_line(&request, &rig.redactor).starts_with("curl -H 'X-Twice: 1'"));
    let echo = parsed(&rig.connector.call(&api, request).await.expect("an answer").body);
    assert_eq!(echo["query"], json!([["a", "1"], ["a", "b c"]]));
    assert_eq!(echo["headers"]["x-twice"], "1, 2");
    assert_eq!(echo["headers"]["accept"], "application/json");
    assert_eq!(echo["headers"]["content-type"], "application/json");
    let version = concat!("restway/", env!("CARGO_PKG_VERSION"));
    assert_eq!(echo["headers"]["user-agent"], version);
    assert_eq!(echo["body"], "{\"n\":9007199254740993}");
}

#[tokio::test]
async fn credentials_stay_on_their_origin() {
    let (home, other, rig) = (demo().await, demo().await, Rig::new());
    let auth = json!({"type": "api_key", "header": "X-API-Key", "key": "${secret.key}"});
    let api = api(&home.url(), json!({"auth": auth}));
    let echo_at = async |target: String| {
        let target: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
        let mut request = get(&format!("{}/fault/redirect-to?url={target}", home.url()));
        request.headers.push(("X-Team".into(), "blue".into()));
        request.headers.push(("Cookie".into(), "a=b".into()));
        let answer = rig.connector.call(&api, request).await.expect("an answer");
        parsed(&answer.body)["headers"].clone()
    };
    let away = echo_at(format!("{}/fault/echo", other.url())).await;
    assert_eq!(away["accept"], "application/json");
    for name in ["x-api-key", "x-team", "cookie", "authorization"] {
        assert_eq!(away[name], Value::Null, "{name} left its origin");
    }
    let here = echo_at("/fault/echo".into()).await;
    assert_eq!((&here["x-api-key"], &here["x-team"]), (&demo_api::API_KEY.into(), &"blue".into()));
    // Leaving is for good: what comes back comes as a stranger.
    let back = format!("{}/fault/redirect-to?url={}/fault/echo", other.url(), home.url());
    assert_eq!(echo_at(back).await["x-api-key"], Value::Null);
    // A request for another origin has no credentials to begin with.
    let stranger = get(&format!("{}/auth/key/customers", other.url()));
    let error = rig.connector.call(&api, stranger).await.expect_err("no credentials");
    assert_eq!(code(&error), "call.unauthorized");
}

#[tokio::test]
async fn redirects_are_followed_to_a_bound() {
    let demo = demo().await;
    let rig = Rig::with(Limits { redirects_max: 3, ..Limits::default() }, &[], true);
    let api = api(&demo.url(), json!({}));
    let call =
        async |path: &str| rig.connector.call(&api, get(&format!("{}{path}", demo.url()))).await;
    let answer = call("/fault/redirect/3").await.expect("an answer");
    assert!(answer.url.to_string().ends_with("/fault/redirect/0"));
    let error = call("/fault/redirect/4").await.expect_err("too many");
    assert_eq!(code(&error), "call.redirect");
    assert!(error.to_string().contains("number 4"), "{error}");
    let error = call("/fault/redirect-to?url=file:///etc/passwd").await.expect_err("no file");
    assert_eq!(code(&error), "call.redirect");
}

#[tokio::test]
async fn only_what_is_safe_to_repeat_is_repeated() {
    let (demo, rig) = (demo().await, Rig::new());
    let api = api(&demo.url(), json!({"retry": {"deadline": "10s", "initial": "1s"}}));
    let request = |method, repeatable| Request {
        method,
        repeatable,
        ..get(&format!("{}/fault/status/503", demo.url()))
    };
    let error = rig.connector.call(&api, request(Method::Post, false)).await.expect_err("503");
    assert_eq!((code(&error), demo.count("/fault/status")), ("call.status", 1));
    let error = rig.connector.call(&api, request(Method::Post, true)).await.expect_err("503");
    // Waits of 0.75, 1.5 and 3 seconds; the next, of 6, would end after the deadline.
    assert_eq!(demo.count("/fault/status"), 1 + 4);
    assert!(error.to_string().ends_with("(after 4 attempts)"), "{error}");
    let well = get(&format!("{}/fault/echo", demo.url()));
    rig.connector.call(&api, well).await.expect("the api is not out");
    let any = Request { expected: Expected::Any, ..request(Method::Get, true) };
    let answer = rig.connector.call(&api, any).await.expect("any status is an answer");
    assert_eq!((answer.status, answer.attempts.len()), (503, 4));
    assert_eq!(answer.attempts[1].wait, Some(Duration::from_millis(1_500)));
    let not_found = get(&format!("{}/fault/status/404", demo.url()));
    let error = rig.connector.call(&api, not_found).await.expect_err("404");
    assert_eq!((code(&error), demo.count("/fault/status/404")), ("call.status", 1));
}

#[tokio::test]
async fn a_declared_wait_is_obeyed_uses_no_step_and_is_bounded() {
    let busy = |after, retry_after| Fault {
        path: "/open".into(),
        after,
        times: 1,
        effect: Effect::Answer { status: 429, retry_after: Some(retry_after) },
    };
    let faults = vec![busy(0, 30), busy(1, 600), busy(3, 864_000)];
    let demo = demo_with(Settings { faults, ..Settings::default() }).await;
    let rig = Rig::new();
    let api = api(&demo.url(), json!({"retry": {"deadline": "1s"}}));
    let url = format!("{}/open/none", demo.url());
    let answer = rig.connector.call(&api, get(&url)).await.expect("an answer");
    let waits: Vec<_> = answer.attempts.iter().map(|attempt| attempt.wait).collect();
    let seconds = |count| Some(Duration::from_secs(count));
    assert_eq!(waits, [seconds(30), seconds(600), None]);
    let error = rig.connector.call(&api, get(&url)).await.expect_err("ten days");
    assert_eq!((code(&error), error.code().fault()), ("call.rate_limited", Move::Partly));
    let retries = rig.events().into_iter().filter(
        |event| matches!(event, Event::RetryScheduled { reason, .. } if reason.contains("429")),
    );
    assert_eq!(retries.count(), 2);
}

#[tokio::test]
async fn a_limit_that_one_call_met_holds_for_all() {
    let (demo, rig) = (demo().await, Rig::new());
    let api = api(&demo.url(), json!({}));
    let limited = format!("{}/fault/rate/all", demo.url());
    let once = Request { repeatable: false, ..get(&limited) };
    let error = rig.connector.call(&api, once).await.expect_err("429, and not repeated");
    assert_eq!(code(&error), "call.rate_limited");
    let before = Clock::monotonic(rig.clock.as_ref());
    let other = get(&format!("{}/open/none", demo.url()));
    rig.connector.call(&api, other).await.expect("an answer, after the limit");
    assert_eq!(Clock::monotonic(rig.clock.as_ref()) - before, Duration::from_secs(1));
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_not_connected_to() {
    let (demo, other) = (demo().await, demo().await);
    let port = demo.address().port();
    let call = async |rig: &Rig, url: String| {
        let api = api(&url, json!({}));
        rig.connector.call(&api, get(&url)).await
    };
    let strict = Rig::with(Limits::default(), &[], false);
    for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{port}/open/none");
        let error = call(&strict, url).await.expect_err(host);
        assert_eq!(code(&error), "call.egress_denied", "{host}: {error}");
        assert!(error.hints()[0].contains("egress"), "{:?}", error.hints());
    }
    // Whether the root's dot resolves is the machine's affair; it must not lead anywhere.
    let error = call(&strict, format!("http://localhost.:{port}/open/none")).await;
    let code_of_dot = code(&error.expect_err("a loopback name"));
    assert!(["call.egress_denied", "call.dns"].contains(&code_of_dot), "{code_of_dot}");
    assert_eq!(demo.count("/"), 0);
    let by_name = Rig::with(Limits::default(), &[format!("localhost:{port}")], false);
    assert!(call(&by_name, format!("http://localhost:{port}/open/none")).await.is_ok());
    let other_port = other.address().port();
    let error = call(&by_name, format!("http://localhost:{other_port}/open/none")).await;
    assert_eq!(code(&error.expect_err("another port")), "call.egress_denied");
    let by_address = Rig::with(Limits::default(), &[format!("127.0.0.1:{port}")], false);
    let away = format!("{}/fault/redirect-to?url={}/open/none", demo.url(), other.url());
    let error = call(&by_address, away).await.expect_err("a redirect is checked too");
    assert_eq!((code(&error), other.count("/")), ("call.egress_denied", 0));
}

#[tokio::test]
async fn what_cannot_be_reached_says_why() {
    let rig = Rig::new();
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("http://{}/", listener.local_addr().expect("an address"))
    };
    let call = async |url: &str, parts: Value| {
        let error = rig.connector.call(&api(url, parts), get(url)).await.expect_err(url);
        (code(&error), error.to_string())
    };
    let (refused, message) = call(&nobody, json!({"retry": {"deadline": "10s"}})).await;
    assert_eq!(refused, "call.connect", "{message}");
    assert!(message.contains("(after 4 attempts)"), "{message}");
    let demo = demo().await;
    let slow = format!("{}/fault/slow/60000", demo.url());
    let parts = json!({"limits": {"timeout": "50ms"}, "retry": {"deadline": "0s"}});
    let (timeout, message) = call(&slow, parts).await;
    assert_eq!(timeout, "call.timeout", "{message}");
    let plain = demo.url().replace("http://", "https://");
    let (tls, message) = call(&plain, json!({})).await;
    assert_eq!(tls, "call.tls", "{message}");
}

#[tokio::test]
async fn a_name_without_address_gets_three_tries() {
    let rig = Rig::new();
    let url = "http://nowhere.restway.invalid/";
    let error = rig.connector.call(&api(url, json!({})), get(url)).await.expect_err(url);
    assert_eq!(code(&error), "call.dns", "{error}");
    assert!(error.to_string().contains("after 3 attempts"), "{error}");
}

#[tokio::test]
async fn bodies_are_bounded_and_never_cut_in_silence() {
    let (demo, rig) = (demo().await, Rig::new());
    let api = api(&demo.url(), json!({"retry": {"deadline": "5s"}}));
    let call = async |path: &str| {
        let url = format!("{}{path}", demo.url());
        let request = Request { body_bytes_max: 1 << 20, ..get(&url) };
        rig.connector.call(&api, request).await.expect_err("a fault")
    };
    assert_eq!(code(&call("/fault/huge/64").await), "call.body_too_large");
    let error = call("/fault/truncated").await;
    assert_eq!((code(&error), demo.count("/fault/truncated")), ("call.interrupted", 3));
}

#[tokio::test]
async fn tokens_are_asked_for_once_and_refusals_are_explained() {
    let (demo, rig) = (demo().await, Rig::new());
    let file = oauth(&demo, json!({}));
    let url = format!("{}/v1/customers?pageSize=1", demo.url());
    let calls = (0..20).map(|_| rig.connector.call(&file, get(&url)));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.expect("an answer").status, 200);
    }
    assert_eq!(demo.tokens_issued(), 1);
    // Early renewal: four fifths of a minute later, no 401 is needed to notice.
    rig.clock.turn(Duration::from_secs(47));
    rig.connector.call(&file, get(&url)).await.expect("an answer");
    assert_eq!(demo.tokens_issued(), 1);
    rig.clock.turn(Duration::from_secs(2));
    rig.connector.call(&file, get(&url)).await.expect("an answer");
    assert_eq!(demo.tokens_issued(), 2);
    assert!(demo.requests().iter().all(|seen| seen.status == Some(200)));
    let mut wrong = file.clone();
    if let restway_model::definition::Auth::Oauth2 { client_secret, .. } = &mut wrong.auth {
        *client_secret = Some("${secret.wrong}".parse().expect("a template"));
    }
    let error = rig.connector.call(&wrong, get(&url)).await.expect_err("a wrong secret");
    assert_eq!(code(&error), "call.token_refused");
    assert!(error.to_string().contains("invalid_client"), "{error}");
    assert!(!error.to_string().contains("wrong-secret-value"), "{error}");
}

#[tokio::test]
async fn the_token_request_takes_every_option() {
    let (demo, rig) = (demo().await, Rig::new());
    let auth = json!({
        "type": "oauth2", "token_url": format!("{}/oauth/token", demo.url()),
        "client_id": demo.client_id(), "client_secret": "${secret.client}",
        "client_auth": "basic", "scopes": ["read"], "params": {"audience": "x"},
    });
    let file = api(&demo.url(), json!({"auth": auth}));
    let url = format!("{}/v1/customers?pageSize=1", demo.url());
    assert_eq!(rig.connector.call(&file, get(&url)).await.expect("an answer").status, 200);
    let post = Request { method: Method::Post, repeatable: false, ..get(&url) };
    let error = rig.connector.call(&file, post).await.expect_err("the scope is read only");
    assert_eq!(code(&error), "call.unauthorized");
}

#[tokio::test]
async fn a_token_endpoint_that_is_down_is_retried_and_an_old_token_serves_meanwhile() {
    let down = |after, times, status| Fault {
        path: "/oauth".into(),
        after,
        times,
        effect: Effect::Answer { status, retry_after: None },
    };
    let faults = vec![down(0, 2, 503), down(3, 1, 503)];
    let demo = demo_with(Settings { faults, ..Settings::default() }).await;
    let rig = Rig::new();
    let file = oauth(&demo, json!({}));
    let url = format!("{}/v1/customers?pageSize=1", demo.url());
    rig.connector.call(&file, get(&url)).await.expect("the third token request works");
    assert_eq!((demo.count("/oauth"), demo.tokens_issued()), (3, 1));
    rig.clock.turn(Duration::from_secs(50));
    rig.connector.call(&file, get(&url)).await.expect("the old token still lives");
    assert_eq!((demo.count("/oauth"), demo.tokens_issued()), (4, 1));
    assert!(rig.warnings().iter().any(|text| text.contains("renewed early")));
}

#[tokio::test]
async fn what_a_server_repeats_of_a_secret_is_masked() {
    let body = "{\"error\":\"bad key demo-key-51c2e7f4a9\"}";
    let head = format!("HTTP/1.1 400 Bad\r\ncontent-length: {}\r\n\r\n", body.len());
    let url = canned(format!("{head}{body}")).await;
    let rig = Rig::new();
    let auth = json!({"type": "bearer", "token": "${secret.key}"});
    let error = rig.connector.call(&api(&url, json!({"auth": auth})), get(&url)).await;
    let message = error.expect_err("400").to_string();
    assert!(message.contains("bad key ***") && !message.contains("51c2"), "{message}");
}

#[tokio::test]
async fn credentials_in_the_clear_are_warned_of_once() {
    let rig = Rig::with(Limits::default(), &["api.restway.invalid".into()], true);
    let auth = json!({"type": "bearer", "token": "${secret.key}"});
    let url = "http://api.restway.invalid/";
    let file = api(url, json!({"auth": auth, "retry": {"deadline": "0s"}}));
    for _ in 0..2 {
        drop(rig.connector.call(&file, get(url)).await);
    }
    assert_eq!(rig.warnings().len(), 1);
    assert!(rig.warnings()[0].contains("over http"));
}
