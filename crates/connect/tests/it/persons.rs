//! Logins that a person makes, on a device; and tokens in every state that servers and crashes
//! leave them in.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use restway_connect::{LoggedOut, PersonTask};
use restway_model::definition::ApiFile;
use restway_model::{Clock, Explain, TokenKeeper};
use serde_json::{Value, json};

use crate::logins::{Came, Memory, scripted};
use crate::support::{Rig, api, code, get};

/// A server whose token endpoint gives one answer after the other, and then the last again.
async fn answering(answers: Vec<(u16, Value)>) -> (String, Arc<Mutex<Vec<Came>>>) {
    let left = Mutex::new(answers.into_iter());
    let last = Mutex::new((500, json!({})));
    scripted(move |came| {
        if came.line.starts_with("POST /token") {
            let mut last = last.lock().expect("an answer");
            if let Some(next) = left.lock().expect("answers").next() {
                *last = next;
            }
            return (last.0, String::new(), last.1.clone());
        }
        if came.line.starts_with("POST /device") {
            let body = json!({"device_code": "the-device-code", "user_code": "AB-CD",
                "verification_uri": "https://h/d", "expires_in": 900, "interval": 7});
            return (200, String::new(), body);
        }
        if came.line.starts_with("POST /revoke") {
            return (200, String::new(), json!({}));
        }
        let is_known = came.header("authorization").starts_with("Bearer good");
        (if is_known { 200 } else { 401 }, String::new(), json!({}))
    })
    .await
}

fn device(url: &str) -> ApiFile {
    let auth = json!({"type": "oauth2", "grant": "device", "client_id": "me",
        "token_url": "/token", "device_url": "/device", "revoke_url": "/revoke",
        "scopes": ["read"]});
    api(url, json!({"auth": auth}))
}

fn good(number: u32, life: Value) -> (u16, Value) {
    let body = json!({"access_token": format!("good-token-{number}"), "token_type": "bearer",
        "expires_in": life, "refresh_token": format!("refresh-token-{number}")});
    (200, body)
}

fn error(name: &str) -> (u16, Value) {
    (400, json!({"error": name}))
}

fn lines(came: &Mutex<Vec<Came>>) -> Vec<String> {
    let all = came.lock().expect("requests");
    all.iter().map(|came| came.line.split(' ').nth(1).unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_device_is_polled_as_slowly_as_the_server_wants_and_its_tokens_are_kept() {
    let (url, came) = answering(vec![
        error("authorization_pending"),
        error("slow_down"),
        (503, json!({})),
        good(1, json!(100)),
        good(2, json!(100)),
    ])
    .await;
    let keeper = Arc::new(Memory::default());
    let (rig, api) = (Rig::kept(Arc::clone(&keeper) as Arc<dyn TokenKeeper>), device(&url));
    let asked = Mutex::new(Vec::new());
    let ask = |task: &PersonTask| asked.lock().expect("tasks").push(task.clone());
    let logins = rig.connector.log_in(&api, &ask).await.expect("a login");
    // 7 s, 7 s, then 5 more, then twice that after an answer of 503.
    let waited = rig.clock.monotonic();
    assert_eq!(waited, Duration::from_secs(7 + 7 + 12 + 24));
    let task = PersonTask::Enter { url: "https://h/d".into(), code: "AB-CD".into(), whole: None };
    assert_eq!(*asked.lock().expect("tasks"), [task]);
    assert!(logins[0].is_in && logins[0].renews);
    assert_eq!(rig.redactor.redact("the-device-code refresh-token-1"), "*** ***");
    // Another process reads what was kept, and refreshes it once it is old.
    let next = Rig::kept(Arc::clone(&keeper) as Arc<dyn TokenKeeper>);
    next.clock.turn(waited);
    let call = async || next.connector.call(&api, get(&format!("{url}/x"))).await;
    call().await.expect("an answer");
    next.clock.turn(Duration::from_secs(101));
    call().await.expect("an answer");
    let form = came.lock().expect("requests").iter().rev().nth(1).expect("a form").clone();
    assert_eq!(form.field("refresh_token"), "refresh-token-1");
    assert_eq!(next.connector.log_out(&api).await.expect("an end"), [LoggedOut::Revoked]);
    let form = came.lock().expect("requests").last().expect("a form").clone();
    assert_eq!(form.field("token"), "refresh-token-2");
    assert_eq!(next.connector.log_out(&api).await.expect("an end"), [LoggedOut::Nobody]);
    let after = Rig::kept(Arc::clone(&keeper) as Arc<dyn TokenKeeper>);
    let refused = after.connector.call(&api, get(&format!("{url}/x"))).await;
    assert_eq!(code(&refused.expect_err("nobody is logged in")), "call.login_missing");
}

#[tokio::test]
async fn a_person_who_refuses_or_does_not_come_ends_the_wait() {
    let table = [
        (vec![error("access_denied")], "access_denied"),
        (vec![error("authorization_pending"), error("expired_token")], "expired_token"),
        (vec![error("authorization_pending")], "nobody logged in within 15m"),
    ];
    for (answers, problem) in table {
        let (url, _) = answering(answers).await;
        let rig = Rig::kept(Arc::new(Memory::default()));
        let refused = rig.connector.log_in(&device(&url), &|_| {}).await;
        let refused = refused.expect_err(problem);
        assert!(refused.to_string().contains(problem), "{refused}");
        let logins = rig.connector.logins(&device(&url)).await.expect("a state");
        assert!(!logins[0].is_in);
    }
}

#[tokio::test]
async fn without_a_login_the_command_that_makes_one_is_named() {
    let (url, came) = answering(vec![good(1, json!(100)), error("invalid_grant")]).await;
    let rig = Rig::kept(Arc::new(Memory::default()));
    let api = device(&url);
    let call = async || rig.connector.call(&api, get(&format!("{url}/x"))).await;
    let refused = call().await.expect_err("nobody is logged in");
    assert_eq!(code(&refused), "call.login_missing");
    assert_eq!(refused.hints(), ["run `restway auth login demo`"]);
    assert!(lines(&came).is_empty(), "nothing is sent");
    rig.connector.log_in(&api, &|_| {}).await.expect("a login");
    rig.clock.turn(Duration::from_secs(1_000));
    // The answer of an earlier refresh was lost: only a person can help now.
    let refused = call().await.expect_err("the login is over");
    assert_eq!(code(&refused), "call.login_missing");
    assert_eq!(refused.hints(), ["run `restway auth login demo`"]);
    assert!(refused.to_string().contains("invalid_grant"), "{refused}");
    let other = self::api(&url, json!({"auth": {"type": "none"}}));
    let refused = rig.connector.log_in(&other, &|_| {}).await.expect_err("no such login");
    assert_eq!(code(&refused), "definition.invalid");
}

#[tokio::test]
async fn a_refresh_token_that_is_used_up_says_which_secret_to_set() {
    let (url, came) = answering(vec![error("invalid_grant")]).await;
    let auth = json!({"type": "oauth2", "grant": "refresh_token", "client_id": "me",
        "token_url": "/token", "refresh_token": "${secret.refresh}"});
    let api = api(&url, json!({"auth": auth}));
    let rig = Rig::kept(Arc::new(Memory::default()));
    let refused = rig.connector.call(&api, get(&format!("{url}/x"))).await.expect_err("over");
    assert_eq!(code(&refused), "call.login_missing");
    assert!(refused.hints()[0].contains("refresh"), "{:?}", refused.hints());
    assert_eq!(lines(&came), ["/token"], "it is asked for once");
}

#[tokio::test]
async fn a_token_endpoint_that_is_down_is_no_error_while_the_token_lives() {
    let (url, came) = answering(vec![good(1, json!(100)), (503, json!({}))]).await;
    let auth = json!({"type": "oauth2", "client_id": "me", "token_url": "/token",
        "client_secret": "${secret.client}"});
    let api = api(&url, json!({"auth": auth, "retry": {"deadline": "5s"}}));
    let rig = Rig::new();
    let call = async || rig.connector.call(&api, get(&format!("{url}/x"))).await;
    call().await.expect("an answer");
    rig.clock.turn(Duration::from_secs(85));
    call().await.expect("the old token lives");
    assert_eq!(lines(&came), ["/token", "/x", "/token", "/x"]);
    assert!(rig.warnings()[0].contains("renewed early"), "{:?}", rig.warnings());
    rig.clock.turn(Duration::from_secs(20));
    let refused = call().await.expect_err("the old token is over");
    assert_eq!(code(&refused), "call.token_refused");
}

#[tokio::test]
async fn every_form_of_a_life_and_a_type_is_understood() {
    // How often two calls that are ten minutes apart ask for a token.
    let table = [
        (json!({}), 1),
        (json!({"expires_in": null}), 1),
        (json!({"expires_in": "3600"}), 1),
        (json!({"expires_in": " 60 ", "token_type": "BEARER"}), 2),
        (json!({"expires_in": 59.5, "token_type": "Bearer"}), 2),
        (json!({"expires_in": 0, "token_type": "bearer"}), 1),
        (json!({"expires_in": "0"}), 1),
        (json!({"expires_in": -5}), 1),
        (json!({"expires_in": "soon", "token_type": ""}), 1),
    ];
    for (more, asked) in table {
        let mut body = json!({"access_token": "good-token"});
        let members = more.as_object().expect("members").clone();
        body.as_object_mut().expect("an object").extend(members);
        let (url, came) = answering(vec![(200, body)]).await;
        let auth = json!({"type": "oauth2", "client_id": "me", "token_url": "/token",
            "client_secret": "${secret.client}"});
        let (api, rig) = (api(&url, json!({"auth": auth})), Rig::new());
        for _ in 0..2 {
            let answer = rig.connector.call(&api, get(&format!("{url}/x"))).await;
            answer.unwrap_or_else(|error| panic!("{more}: {error}"));
            rig.clock.turn(Duration::from_secs(600));
        }
        let tokens = lines(&came).iter().filter(|line| *line == "/token").count();
        assert_eq!(tokens, asked, "{more}");
    }
}
