//! Logins: further domains, cookies, tokens that rotate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use restway_connect::Connector;
use restway_model::{KeeperFailed, Keeping, KeptToken, Lease, TokenKeeper};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Rig, api, code, demo, get};

/// A request as it came.
#[derive(Clone, Default)]
pub(crate) struct Came {
    pub(crate) line: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Came {
    pub(crate) fn field(&self, name: &str) -> String {
        let pairs = url::form_urlencoded::parse(self.body.as_bytes());
        let found = pairs.into_iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What a server answers: status, further headers, body.
pub(crate) type Said = (u16, String, Value);

/// A server that answers by a rule. Returns its URL and what came.
pub(crate) async fn scripted(
    rule: impl Fn(&Came) -> Said + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<Came>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (rule, all) = (Arc::new(rule), Arc::clone(&seen));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (rule, all) = (Arc::clone(&rule), Arc::clone(&all));
            tokio::spawn(async move {
                let came = read(&mut socket).await;
                all.lock().expect("requests").push(came.clone());
                let (status, headers, body) = rule(&came);
                let body = body.to_string();
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n\
                     content-length: {length}\r\n{headers}connection: close\r\n\r\n{body}"
                );
                drop(socket.write_all(answer.as_bytes()).await);
                drop(socket.shutdown().await);
            });
        }
    });
    (url, seen)
}

async fn read(socket: &mut tokio::net::TcpStream) -> Came {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 16 << 10];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut lines = head.lines();
            let line = lines.next().unwrap_or_default().to_owned();
            let headers: HashMap<String, String> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let length: usize =
                headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return Came { line, headers, body: body.to_owned() };
            }
        }
        match socket.read(&mut chunk).await {
            Ok(0) | Err(_) => return Came::default(),
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}

/// A keeper in memory that outlives a connector, as the store outlives a process.
#[derive(Default)]
pub(crate) struct Memory {
    kept: Mutex<HashMap<String, KeptToken>>,
    leases: Arc<Mutex<Vec<String>>>,
    fails: bool,
}

struct Held(String, Arc<Mutex<Vec<String>>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.1.lock().expect("leases").retain(|slot| *slot != self.0);
    }
}

impl TokenKeeper for Memory {
    fn kept<'a>(&'a self, slot: &'a str) -> Keeping<'a, Option<KeptToken>> {
        let kept = self.kept.lock().expect("tokens").get(slot).cloned();
        Box::pin(async move { Ok(kept) })
    }

    fn keep<'a>(&'a self, slot: &'a str, token: &'a KeptToken) -> Keeping<'a, ()> {
        let kept = if self.fails {
            Err(KeeperFailed("the disk is full".into()))
        } else {
            self.kept.lock().expect("tokens").insert(slot.to_owned(), token.clone());
            Ok(())
        };
        Box::pin(async move { kept })
    }

    fn forget<'a>(&'a self, slot: &'a str) -> Keeping<'a, ()> {
        self.kept.lock().expect("tokens").remove(slot);
        Box::pin(async { Ok(()) })
    }

    fn lease(&self, slot: &str) -> Result<Option<Lease>, KeeperFailed> {
        let mut leases = self.leases.lock().expect("leases");
        if leases.iter().any(|held| held == slot) {
            return Ok(None);
        }
        leases.push(slot.to_owned());
        Ok(Some(Box::new(Held(slot.to_owned(), Arc::clone(&self.leases)))))
    }
}

/// A server that rotates: each refresh token is good once, each access token until the next.
async fn rotating() -> (String, Arc<Mutex<Vec<Came>>>) {
    let issued = Mutex::new(0);
    scripted(move |came| {
        let mut issued = issued.lock().expect("a number");
        if came.line.starts_with("POST /token") {
            let expected = match *issued {
                0 => "first-refresh".to_owned(),
                number => format!("refresh-{number}"),
            };
            if came.field("refresh_token") != expected {
                let body = json!({"error": "invalid_grant", "error_description": "used before"});
                return (400, String::new(), body);
            }
            *issued += 1;
            let body = json!({
                "access_token": format!("access-{issued}"), "token_type": "bearer",
                "expires_in": 1000, "refresh_token": format!("refresh-{issued}"),
            });
            return (200, String::new(), body);
        }
        let is_good = came.header("authorization") == format!("Bearer access-{issued}");
        let status = if is_good { 200 } else { 401 };
        (status, String::new(), json!({"who": came.header("authorization")}))
    })
    .await
}

fn refreshing(url: &str) -> restway_model::definition::ApiFile {
    let auth = json!({
        "type": "oauth2", "grant": "refresh_token", "client_id": "me", "token_url": "/token",
        "refresh_token": "${secret.refresh}",
    });
    api(url, json!({"auth": auth}))
}

fn tokens_asked(came: &Mutex<Vec<Came>>) -> usize {
    let all = came.lock().expect("requests");
    all.iter().filter(|came| came.line.starts_with("POST /token")).count()
}

fn rig(keeper: &Arc<Memory>) -> (Rig, Connector) {
    let rig = Rig::kept(Arc::clone(keeper) as Arc<dyn TokenKeeper>);
    let connector = rig.connector.clone();
    (rig, connector)
}

#[tokio::test]
async fn each_domain_has_its_own_login_and_no_other_gets_any() {
    let (base, base_came) = scripted(|_| (200, String::new(), json!([]))).await;
    let (files, files_came) = scripted(|_| (200, String::new(), json!([]))).await;
    let (other, other_came) = scripted(|_| (200, String::new(), json!([]))).await;
    let rig = Rig::new();
    let port: u16 = files.rsplit(':').next().expect("a port").parse().expect("a number");
    let api = api(
        &base,
        json!({
            "auth": {"type": "api_key", "key": "${secret.key}", "cookie": "sid"},
            "domains": [{"url": "http://127.0.0.1", "port": port,
                "auth": {"type": "bearer", "token": "${secret.password}"}}],
            "resources": {"far": {"path": format!("{files}/far"), "headers": {"X-A": "b"}}},
        }),
    );
    rig.walk(&api, "far").await.expect("a walk of a declared domain");
    for url in [&base, &files, &other] {
        rig.connector.call(&api, get(&format!("{url}/x"))).await.expect("an answer");
    }
    let seen = |came: &Mutex<Vec<Came>>| {
        let all = came.lock().expect("requests");
        all.iter()
            .map(|one| (one.header("cookie").to_owned(), one.header("authorization").to_owned()))
            .collect::<Vec<_>>()
    };
    let bearer = format!("Bearer {}", demo_api::BASIC_PASSWORD);
    assert_eq!(seen(&base_came), [(format!("sid={}", demo_api::API_KEY), String::new())]);
    assert_eq!(seen(&files_came), [(String::new(), bearer.clone()), (String::new(), bearer)]);
    assert_eq!(seen(&other_came), [(String::new(), String::new())]);
}

#[tokio::test]
async fn a_redirect_to_a_declared_domain_brings_no_credentials_along() {
    let (files, files_came) = scripted(|_| (200, String::new(), json!([]))).await;
    let demo = demo().await;
    let rig = Rig::new();
    let login = json!({"type": "bearer", "token": "${secret.password}"});
    let api = api(&demo.url(), json!({"auth": login, "domains": [{"url": files, "auth": login}]}));
    let target: String = url::form_urlencoded::byte_serialize(files.as_bytes()).collect();
    let request = get(&format!("{}/fault/redirect-to?url={target}", demo.url()));
    rig.connector.call(&api, request).await.expect("an answer");
    assert_eq!(files_came.lock().expect("requests")[0].header("authorization"), "");
}

#[tokio::test]
async fn a_rotated_token_is_kept_before_it_is_used_and_serves_the_next_process() {
    let (url, came) = rotating().await;
    let keeper = Arc::new(Memory::default());
    let api = refreshing(&url);
    for _ in 0..2 {
        // A new rig is a new process: what it knows, it knows from the keeper.
        let (rig, connector) = rig(&keeper);
        let answer = connector.call(&api, get(&format!("{url}/x"))).await.expect("an answer");
        assert_eq!(&answer.body[..], br#"{"who":"Bearer access-1"}"#);
        assert_eq!(rig.redactor.redact("refresh-1 access-1"), "*** ***");
    }
    assert_eq!(tokens_asked(&came), 1);
    let (rig, connector) = rig(&keeper);
    rig.clock.turn(std::time::Duration::from_secs(1_000));
    let answer = connector.call(&api, get(&format!("{url}/x"))).await.expect("an answer");
    assert_eq!(&answer.body[..], br#"{"who":"Bearer access-2"}"#);
    let kept = keeper.kept.lock().expect("tokens")["demo.0"].clone();
    assert_eq!(kept.refresh.expect("a token").expose(), "refresh-2");
}

#[tokio::test]
async fn processes_that_find_the_token_old_refresh_once() {
    let (url, came) = rotating().await;
    let keeper = Arc::new(Memory::default());
    let api = refreshing(&url);
    let rigs: Vec<_> = (0..6).map(|_| rig(&keeper)).collect();
    let calls = rigs.iter().map(|(_, connector)| {
        let request = get(&format!("{url}/x"));
        connector.call(&api, request)
    });
    for answer in futures::future::join_all(calls).await {
        assert_eq!(&answer.expect("an answer").body[..], br#"{"who":"Bearer access-1"}"#);
    }
    assert_eq!(tokens_asked(&came), 1);
}

#[tokio::test]
async fn a_token_that_cannot_be_kept_is_not_used() {
    let (url, came) = rotating().await;
    let keeper = Arc::new(Memory { fails: true, ..Memory::default() });
    let (_rig, connector) = rig(&keeper);
    let api = refreshing(&url);
    let error = connector.call(&api, get(&format!("{url}/x"))).await.expect_err("no token");
    assert_eq!(code(&error), "store.failed");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(came.lock().expect("requests").len(), 1, "only the token endpoint was asked");
    let without = Rig::new().connector.call(&api, get(&url)).await.expect_err("no keeper");
    assert_eq!(code(&without), "definition.invalid");
}

#[tokio::test]
async fn a_new_first_token_takes_the_place_of_what_was_kept() {
    let (url, _) = rotating().await;
    let keeper = Arc::new(Memory::default());
    let old = KeptToken {
        basis: "another login".into(),
        refresh: Some(restway_model::Secret::new("refresh-of-another")),
        access: Some(restway_model::Secret::new("Bearer of-another")),
        expires_at: None,
        who: None,
    };
    keeper.kept.lock().expect("tokens").insert("demo.0".into(), old);
    let (_rig, connector) = rig(&keeper);
    let answer = connector.call(&refreshing(&url), get(&format!("{url}/x"))).await;
    assert_eq!(&answer.expect("an answer").body[..], br#"{"who":"Bearer access-1"}"#);
}

#[tokio::test]
async fn a_password_is_traded_for_a_token() {
    let (url, came) = scripted(|came| {
        let is_right = came.field("grant_type") == "password"
            && came.field("username") == "u"
            && came.field("password") == demo_api::BASIC_PASSWORD;
        let body = json!({"access_token": "token-of-a-person"});
        (if is_right || came.line.starts_with("GET") { 200 } else { 400 }, String::new(), body)
    })
    .await;
    let auth = json!({"type": "oauth2", "grant": "password", "token_url": "/token",
        "client_id": "me", "username": "u", "password": "${secret.password}"});
    let api = api(&url, json!({"auth": auth}));
    Rig::new().connector.call(&api, get(&format!("{url}/x"))).await.expect("an answer");
    let came = came.lock().expect("requests");
    assert_eq!(came[0].field("client_id"), "me");
    assert_eq!(came[1].header("authorization"), "Bearer token-of-a-person");
}

#[tokio::test]
async fn a_login_of_two_steps_is_made_once_and_again_when_its_token_ends() {
    let (url, came) = scripted(|came| {
        let is_login = came.line.starts_with("POST /login");
        let is_right = came.body.contains(demo_api::BASIC_PASSWORD);
        let status = if !is_login || is_right { 200 } else { 400 };
        (status, String::new(), json!({"data": {"token": "session-token", "left": 100}}))
    })
    .await;
    let auth = json!({"type": "login", "url": "/login", "token": "data.token",
        "json": {"user": "u", "password": "${secret.password}"}, "scheme": "",
        "expires": "data.left"});
    let api = api(&url, json!({"auth": auth}));
    let rig = Rig::new();
    let call = async || rig.connector.call(&api, get(&format!("{url}/x"))).await;
    call().await.expect("an answer");
    call().await.expect("an answer");
    rig.clock.turn(std::time::Duration::from_secs(101));
    call().await.expect("an answer");
    let came = came.lock().expect("requests");
    let lines: Vec<&str> = came.iter().map(|came| &came.line[..6]).collect();
    assert_eq!(lines, ["POST /", "GET /x", "GET /x", "POST /", "GET /x"]);
    assert_eq!(came[1].header("authorization"), "session-token");
    assert_eq!(rig.redactor.redact("a session-token"), "a ***");
}

#[tokio::test]
async fn a_challenge_is_answered_once_and_its_nonce_used_again() {
    let (url, came) = scripted(|came| {
        let answer = came.header("authorization");
        if answer.contains("nonce=\"n1\"") && !answer.contains("nc=00000003") {
            return (200, String::new(), json!([]));
        }
        let nonce = if answer.is_empty() { "n1" } else { "n2" };
        if answer.contains("nonce=\"n2\"") {
            return (200, String::new(), json!([]));
        }
        let challenge = format!(
            "WWW-Authenticate: Digest realm=\"r\", qop=\"auth\", nonce=\"{nonce}\", stale=true\r\n"
        );
        (401, challenge, json!({}))
    })
    .await;
    let auth = json!({"type": "digest", "username": "u", "password": "${secret.password}"});
    let api = api(&url, json!({"auth": auth}));
    let rig = Rig::new();
    for _ in 0..3 {
        rig.connector.call(&api, get(&format!("{url}/x?a=1"))).await.expect("an answer");
    }
    let came = came.lock().expect("requests").clone();
    assert_eq!(came.len(), 1 + 1 + 1 + 2, "one challenge, then one for the stale nonce");
    assert!(came[1].header("authorization").contains("uri=\"/x?a=1\""));
    assert!(came[2].header("authorization").contains("nc=00000002"));
    let wrong = scripted(|_| {
        let header = "WWW-Authenticate: Digest realm=\"r\", nonce=\"same\"\r\n";
        (401, header.to_owned(), json!({}))
    })
    .await;
    let error = rig
        .connector
        .call(
            &crate::support::api(
                &wrong.0,
                json!({"auth": {"type": "digest",
        "username": "u", "password": "${secret.password}"}}),
            ),
            get(&wrong.0),
        )
        .await;
    assert_eq!(code(&error.expect_err("refused")), "call.unauthorized");
    assert_eq!(wrong.1.lock().expect("requests").len(), 2);
}

#[tokio::test]
async fn requests_side_by_side_are_challenged_with_one_nonce_and_all_answer_it() {
    const SIDE_BY_SIDE: usize = 3;
    let first = Arc::new(tokio::sync::Barrier::new(SIDE_BY_SIDE));
    let url = crate::support::scripted(move |seen| {
        let first = Arc::clone(&first);
        async move {
            if seen.header("authorization").is_some() {
                return crate::support::json_answer("[1]");
            }
            first.wait().await;
            "HTTP/1.1 401 X\r\nWWW-Authenticate: Digest realm=\"r\", qop=\"auth\", \
             nonce=\"always-the-same\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                .to_owned()
        }
    })
    .await;
    let auth = json!({"type": "digest", "username": "u", "password": "${secret.password}"});
    let (api, rig) = (api(&url, json!({"auth": auth})), Rig::new());
    let calls = (0..SIDE_BY_SIDE).map(|_| rig.connector.call(&api, get(&url)));
    for answer in futures::future::join_all(calls).await {
        answer.expect("each answers the challenge");
    }
}
