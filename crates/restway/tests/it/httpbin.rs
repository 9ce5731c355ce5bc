//! What httpbin answers, which none of us wrote: logins, redirects, cookies, codings, waits,
//! conditions, statuses and echoes of what was sent.
//!
//! One test starts one server; each subject is a function.

use serde_json::{Value, json};

use crate::peers::{Peer, peers};
use crate::support::Workspace;

struct Httpbin {
    peer: Peer,
    workspace: Workspace,
}

impl Httpbin {
    fn start() -> Self {
        let gunicorn = peers().join("httpbin/venv/bin/gunicorn");
        let peer = Peer::begin(&gunicorn, |port| {
            let bind = format!("127.0.0.1:{port}");
            let words = ["--bind", &bind, "--threads", "8", "--log-level", "error", "httpbin:app"];
            words.map(str::to_owned).to_vec()
        });
        Self { peer, workspace: Workspace::new() }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer.port)
    }

    /// Calls a path with more inputs; the exit code, and what was printed.
    fn call(&self, path: &str, more: Value) -> (i32, Value) {
        let mut inputs = json!({ "url": format!("{}{path}", self.url()) });
        for (name, value) in more.as_object().expect("inputs") {
            inputs[name] = value.clone();
        }
        let said = self.workspace.feed(&["call", "--input", "-"], &inputs.to_string());
        (said.code, serde_json::from_str(&said.out).unwrap_or(Value::String(said.err)))
    }

    /// The same, to go well.
    fn got(&self, path: &str, more: Value) -> Value {
        let (code, answer) = self.call(path, more);
        assert_eq!(code, 0, "{path}: {answer}");
        answer
    }

    fn api(&self, auth: &str, resources: &str) {
        let text = format!(
            "api: bin\nbase_url: {}\nauth: {auth}\nretry: {{ initial: 10ms, deadline: 1s }}\n\
             limits: {{ timeout: 5s }}\nresources:\n{resources}",
            self.url()
        );
        self.workspace.write("apis/bin.yaml", &text);
    }

    fn sync(&self) -> (i32, Value) {
        let mut command = self.workspace.command(&["--json", "sync"]);
        let output = command.env("PASSWORD", "secret-word").output().expect("the binary runs");
        let said = crate::support::said(output);
        (said.code, serde_json::from_str(&said.out).expect("a report"))
    }
}

#[test]
fn what_httpbin_answers() {
    let bin = Httpbin::start();
    logins(&bin);
    redirects_and_cookies(&bin);
    codings_and_charsets(&bin);
    waits(&bin);
    conditions(&bin);
    statuses(&bin);
    echoes(&bin);
}

fn logins(bin: &Httpbin) {
    let user = "username: ann, password: \"${env.PASSWORD}\"";
    for (auth, path) in [
        (format!("{{ type: basic, {user} }}"), "/basic-auth/ann/secret-word"),
        (format!("{{ type: basic, {user} }}"), "/hidden-basic-auth/ann/secret-word"),
        ("{ type: bearer, token: \"${env.PASSWORD}\" }".to_owned(), "/bearer"),
        (format!("{{ type: digest, {user} }}"), "/digest-auth/auth/ann/secret-word/MD5"),
        (format!("{{ type: digest, {user} }}"), "/digest-auth/auth/ann/secret-word/SHA-256"),
    ] {
        bin.api(&auth, &format!("  me: {{ path: {path} }}\n"));
        let (code, report) = bin.sync();
        assert_eq!((code, &report["counts"]["records"]), (0, &json!(1)), "{path}: {report}");
        bin.api(
            &auth,
            &format!("  me: {{ path: {} }}\n", path.replace("secret-word", "other-word")),
        );
        let (code, report) = bin.sync();
        assert_eq!(code == 0, path == "/bearer", "{path}: {report}");
    }
}

fn redirects_and_cookies(bin: &Httpbin) {
    for path in ["/redirect/3", "/relative-redirect/3", "/absolute-redirect/3"] {
        let answer = bin.got(path, json!({}));
        assert_eq!(answer["json"]["url"], json!(format!("{}/get", bin.url())), "{path}");
        let (code, _) = bin.call(path, json!({"max_redirects": 2}));
        assert_eq!(code, 1, "{path}");
    }
    let returned =
        bin.got("/redirect/1", json!({"allow_redirects": false, "expected_status_code": [302]}));
    assert_eq!(returned["status_code"], json!(302));
    let set = bin.got("/cookies/set?lang=de&team=red", json!({"cookies": {"own": "1"}}));
    assert_eq!(set["json"]["cookies"], json!({"lang": "de", "team": "red", "own": "1"}));
    let gone = bin.got("/cookies/delete?own=", json!({"cookies": {"own": "1", "lang": "de"}}));
    assert_eq!(gone["status_code"], json!(200));
}

fn codings_and_charsets(bin: &Httpbin) {
    for (path, word) in [("/gzip", "gzipped"), ("/deflate", "deflated"), ("/brotli", "brotli")] {
        assert_eq!(bin.got(path, json!({}))["json"][word], json!(true), "{path}");
    }
    let text = bin.got("/encoding/utf8", json!({}));
    assert_eq!(text["encoding"], json!("utf-8"));
    assert!(text["text"].as_str().expect("a text").contains("∮ E⋅da = Q"), "{text}");
    let lines = bin.got("/stream/5", json!({}))["text"].as_str().expect("lines").to_owned();
    assert_eq!(lines.lines().count(), 5);
    bin.api("{ type: none }", "  lines: { path: /stream/7, format: ndjson }\n");
    let (code, report) = bin.sync();
    assert_eq!((code, &report["counts"]["records"]), (0, &json!(7)), "{report}");
}

fn waits(bin: &Httpbin) {
    let drip = "/drip?numbytes=4&duration=0&delay=0";
    assert_eq!(bin.got(drip, json!({}))["text"], json!("****"));
    let (code, silent) = bin.call("/delay/5", json!({"read_timeout": 0.2}));
    assert_eq!(code, 1);
    assert!(silent.to_string().contains("no answer within 200ms"), "{silent}");
    let (code, slow) =
        bin.call("/drip?numbytes=5&duration=5&delay=0", json!({"total_timeout": 0.4}));
    assert_eq!(code, 1);
    assert!(slow.to_string().contains("the answer has not ended within 400ms"), "{slow}");
}

fn conditions(bin: &Httpbin) {
    let asked = json!({"headers": {"If-None-Match": "\"v1\""}, "expected_status_code": [304]});
    assert_eq!(bin.got("/etag/v1", asked)["status_code"], json!(304));
    bin.api("{ type: none }", "  tagged: { path: /etag/v1, cache: true }\n");
    for unchanged in [0, 1, 1] {
        let (code, report) = bin.sync();
        assert_eq!(code, 0, "{report}");
        let counts = &report["counts"];
        assert_eq!((&counts["unchanged"], &counts["records"]), (&json!(unchanged), &json!(1)));
    }
}

fn statuses(bin: &Httpbin) {
    for (status, code, requests) in [
        (404, "call.status", false),
        (418, "call.status", false),
        (401, "call.unauthorized", false),
        (500, "call.status", false),
        (503, "call.status", true),
    ] {
        bin.api("{ type: none }", &format!("  one: {{ path: /status/{status} }}\n"));
        let (exit, report) = bin.sync();
        let error = &report["resources"][0]["error"];
        assert_ne!(exit, 0);
        assert_eq!(error["code"], json!(code), "{status}: {report}");
        let was_tried = report["counts"]["requests"].as_u64().expect("a count") > 1;
        assert_eq!(was_tried, requests, "{status}: {report}");
    }
}

fn echoes(bin: &Httpbin) {
    let pairs = json!({"name": "spam & eggs", "empty": "", "letter": "ü"});
    let form = bin.got("/post", json!({"method": "post", "urlencoded": pairs}));
    assert_eq!(form["json"]["form"], pairs);
    bin.workspace.write("report.txt", "line one\nline two\n");
    let parts = json!([{"name": "comment", "value": "spam & eggs"},
        {"name": "report", "file": "report.txt"}]);
    let multipart = json!({"preset": "form-data", "parts": parts});
    let sent = bin.got("/post", json!({"method": "post", "multipart": multipart}));
    assert_eq!(sent["json"]["form"]["comment"], json!("spam & eggs"));
    assert_eq!(sent["json"]["files"]["report"], json!("line one\nline two\n"));
    let body = json!({"n": 9_007_199_254_740_993_u64, "t": "ü"});
    let echoed = bin.got("/anything/x?q=1", json!({"method": "put", "json": body}));
    assert_eq!(echoed["json"]["json"], body);
    assert_eq!(
        echoed["json"]["headers"]["User-Agent"].as_str().map(|text| &text[..8]),
        Some("restway/")
    );
}
