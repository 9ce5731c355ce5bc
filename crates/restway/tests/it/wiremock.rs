//! Faults of a server that none of us wrote: WireMock breaks connections and answers as networks
//! do, and its journal says how often it was really called.
//!
//! One test starts one server, because a Java machine takes seconds to start; each fault has a path
//! of its own.

use std::process::Command;

use serde_json::{Value, json};

use crate::peers::{Peer, free_port, peers};
use crate::support::Workspace;

struct WireMock {
    peer: Peer,
    https_port: u16,
    workspace: Workspace,
}

impl WireMock {
    fn start() -> Self {
        let workspace = Workspace::new();
        let keys = workspace.path().join("keys.p12");
        let keytool = |arguments: &[&str]| {
            let run = Command::new("keytool")
                .args(arguments)
                .args(["-alias", "own", "-storepass", "password", "-keystore"])
                .arg(&keys)
                .output()
                .expect("keytool runs");
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
            String::from_utf8(run.stdout).expect("a text")
        };
        keytool(&[
            "-genkeypair",
            "-keyalg",
            "RSA",
            "-dname",
            "CN=localhost",
            "-storetype",
            "PKCS12",
            "-ext",
            "SAN=ip:127.0.0.1",
        ]);
        workspace.write("own.pem", &keytool(&["-exportcert", "-rfc"]));
        let https_port = free_port();
        let peer = Peer::begin("java".as_ref(), |port| {
            let jar = peers().join("wiremock/wiremock.jar").to_string_lossy().into_owned();
            let keys = keys.to_string_lossy().into_owned();
            let (port, https) = (port.to_string(), https_port.to_string());
            let words = [
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-jar",
                &jar,
                "--port",
                &port,
                "--https-port",
                &https,
                "--https-keystore",
                &keys,
                "--keystore-type",
                "PKCS12",
                "--keystore-password",
                "password",
                "--key-manager-password",
                "password",
                "--bind-address",
                "127.0.0.1",
                "--disable-banner",
            ];
            words.map(str::to_owned).to_vec()
        });
        Self { peer, https_port, workspace }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer.port)
    }

    fn admin(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}/__admin{path}", self.url());
        let body = body.to_string();
        let said = self.workspace.ok(&["call", "--url", &url, "--method", "POST", "--body", &body]);
        serde_json::from_str::<Value>(&said.out).expect("JSON")["json"].clone()
    }

    /// Answers to a path, in turn; the last for ever.
    fn answers(&self, path: &str, answers: &[Value]) {
        for (at, answer) in answers.iter().enumerate() {
            let state = |number: usize| match number {
                0 => "Started".to_owned(),
                number => number.to_string(),
            };
            self.admin(
                "/mappings",
                &json!({
                    "scenarioName": path,
                    "requiredScenarioState": state(at),
                    "newScenarioState": state((at + 1).min(answers.len() - 1)),
                    "request": {"method": "ANY", "urlPath": path},
                    "response": answer,
                }),
            );
        }
    }

    /// The requests that the journal has for a path.
    fn journal(&self, path: &str) -> Vec<Value> {
        let found = self.admin("/requests/find", &json!({"urlPath": path}));
        found["requests"].as_array().expect("a list").clone()
    }

    fn api(&self, url: &str, rest: &str) {
        self.workspace.write("apis/mock.yaml", &format!("api: mock\nbase_url: {url}\n{rest}"));
    }

    /// Syncs one path into a table, trying for so long, and says what became of it.
    fn sync(&self, path: &str, deadline: &str) -> (i32, Value) {
        self.api(
            &self.url(),
            &format!(
                "retry: {{ initial: 200ms, multiplier: 1, deadline: {deadline} }}\n\
                 resources: {{ items: {{ path: {path}, records: data }} }}\n"
            ),
        );
        let said = self.workspace.run(&["--json", "sync", "mock.items"]);
        (said.code, serde_json::from_str(&said.out).expect("a report"))
    }
}

fn well() -> Value {
    json!({"status": 200, "jsonBody": {"data": [{"id": 1}, {"id": 2}]}})
}

fn error_code(report: &Value) -> &str {
    report["resources"][0]["error"]["code"].as_str().unwrap_or("none")
}

#[test]
fn broken_answers_and_refusals_of_a_real_server() {
    let mock = WireMock::start();
    let limited = |after: &str| json!({"status": 429, "headers": {"Retry-After": after}});
    mock.answers("/turns", &[json!({"status": 503}), limited("1"), well()]);
    mock.answers("/reset", &[json!({"fault": "CONNECTION_RESET_BY_PEER"}), well()]);
    mock.answers("/garbage", &[json!({"fault": "MALFORMED_RESPONSE_CHUNK"}), well()]);
    mock.answers("/empty", &[json!({"fault": "EMPTY_RESPONSE"}), well()]);
    let mut dribbled = well();
    dribbled["chunkedDribbleDelay"] = json!({"numberOfChunks": 7, "totalDuration": 70});
    mock.answers("/dribble", &[dribbled]);
    for (path, calls) in
        [("/turns", 3), ("/reset", 2), ("/garbage", 2), ("/empty", 2), ("/dribble", 1)]
    {
        let (exit, report) = mock.sync(path, "2m");
        assert_eq!((exit, &report["counts"]["records"]), (0, &json!(2)), "{path}: {report}");
        assert_eq!(report["counts"]["requests"], json!(calls), "{path}");
        assert_eq!(mock.journal(path).len(), calls, "{path}");
    }
    for (path, answer, exit, code) in [
        ("/late", limited("864000"), 3, "call.rate_limited"),
        ("/always", json!({"fault": "RANDOM_DATA_THEN_CLOSE"}), 1, "call.interrupted"),
    ] {
        mock.answers(path, &[answer]);
        let (said, report) = mock.sync(path, "2s");
        assert_eq!((said, error_code(&report)), (exit, code), "{path}: {report}");
        let calls = mock.journal(path).len();
        assert_eq!(report["counts"]["requests"], json!(calls), "{path}");
        assert_eq!(calls > 1, path == "/always", "{path}");
    }
    writes_are_sent_again_only_with_a_key(&mock);
    its_own_certificate_is_trusted_when_the_file_says_so(&mock);
}

fn writes_are_sent_again_only_with_a_key(mock: &WireMock) {
    let reset = || json!({"fault": "CONNECTION_RESET_BY_PEER"});
    mock.answers("/plain", &[reset(), json!({"status": 201, "jsonBody": {"id": 7}})]);
    mock.answers("/keyed", &[reset(), json!({"status": 201, "jsonBody": {"id": 7}})]);
    let hook = |path: &str, rest: &str| {
        format!(
            "  {path}:\n    calls: [{{ id: a, method: POST, path: /{path}, json: {{}}{rest} }}]\n    outputs: {{ id: a.id }}\n"
        )
    };
    let keyed = hook("keyed", ", idempotency: { header: Idempotency-Key }");
    mock.api(
        &mock.url(),
        &format!("retry: {{ initial: 10ms }}\nwebhooks:\n{}{keyed}", hook("plain", "")),
    );
    let plain = mock.workspace.run(&["call", "mock.plain"]);
    assert_eq!((plain.code, mock.journal("/plain").len()), (1, 1), "{}", plain.err);
    let outputs: Value =
        serde_json::from_str(&mock.workspace.ok(&["call", "mock.keyed"]).out).expect("JSON");
    assert_eq!(outputs, json!({"id": 7}));
    let seen = mock.journal("/keyed");
    let keys: Vec<&Value> = seen.iter().map(|one| &one["headers"]["idempotency-key"]).collect();
    assert!(keys.len() == 2 && keys[0] == keys[1] && keys[0].is_string(), "{keys:?}");
}

fn its_own_certificate_is_trusted_when_the_file_says_so(mock: &WireMock) {
    mock.answers("/tls", &[well()]);
    let url = format!("https://127.0.0.1:{}", mock.https_port);
    let resource = "retry: { deadline: 0s }\nresources: { items: { path: /tls, records: data } }\n";
    mock.api(&url, resource);
    let refused = mock.workspace.run(&["--json", "sync"]);
    let report: Value = serde_json::from_str(&refused.out).expect("a report");
    assert_eq!((error_code(&report), mock.journal("/tls").len()), ("call.tls", 0), "{report}");
    mock.api(&url, &format!("tls: {{ ca: own.pem }}\n{resource}"));
    let synced = mock.workspace.json(&["sync"]);
    assert_eq!((&synced["counts"]["records"], mock.journal("/tls").len()), (&json!(2), 1));
}
