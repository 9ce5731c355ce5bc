//! The documented inputs, from their text to what a server sees and what comes back.

use std::path::Path;
use std::sync::{Arc, Mutex};

use demo_api::DemoApi;
use restway_connect::{Answer, CallError, Payload};
use restway_model::Name;
use restway_model::definition::{ApiFile, CallInputs, read};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Rig, canned, code, demo, json_answer};

/// Reads the inputs as a person would have written them, and sends.
async fn call(rig: &Rig, inputs: Value) -> Result<Answer, CallError> {
    let inputs = read::<CallInputs>("inputs", &inputs.to_string()).expect("inputs");
    let prepared = rig.connector.prepare(&inputs, None)?;
    let api = ApiFile::bare(Name::slug("call"), prepared.request.url.expose());
    match &prepared.dst {
        Some(file) => rig.connector.call_to(&api, prepared.request, file).await,
        None => rig.connector.call(&api, prepared.request).await,
    }
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

async fn echo(rig: &Rig, demo: &DemoApi, mut inputs: Value) -> Value {
    inputs["url"] = format!("{}/fault/echo", demo.url()).into();
    body(&call(rig, inputs).await.expect("an answer"))
}

#[tokio::test]
async fn the_parts_of_a_url_are_put_together_as_documented() {
    let rig = Rig::new();
    let prepared = |inputs: Value| {
        let inputs = read::<CallInputs>("inputs", &inputs.to_string()).expect("inputs");
        let prepared = rig.connector.prepare(&inputs, None).map_err(|error| error.to_string())?;
        let request = prepared.request;
        Ok::<_, String>(format!("{} {}", request.method.as_str(), request.url.expose()))
    };
    let table = [
        (
            json!({"hostname": "httpbin.org", "base_path": "anything", "path": "some/path",
                   "params": {"query": "parameter"}}),
            "GET https://httpbin.org/anything/some/path?query=parameter",
        ),
        (json!({"url": "https://api.jokes.one/jod"}), "GET https://api.jokes.one/jod"),
        (
            json!({"url": "https://a/x?y=1", "hostname": "b", "params": {"q": "a b&c", "n": null,
                   "l": [1, true]}}),
            "GET https://a/x?y=1&q=a%20b%26c&l=1&l=true",
        ),
        (
            json!({"scheme": "http", "hostname": "h", "port": 8080, "base_path": "/a/",
                   "path": "/b c?d", "method": "delete"}),
            "DELETE http://h:8080/a/b%20c%3Fd",
        ),
        (json!({"hostname": "[::1]", "port": 443}), "GET https://[::1]/"),
    ];
    for (inputs, expected) in table {
        assert_eq!(prepared(inputs).as_deref(), Ok(expected));
    }
    for bad in [
        json!({"hostname": "h/../x"}),
        json!({"hostname": "u@h"}),
        json!({"hostname": "h:80"}),
        json!({"hostname": "h", "path": "a/../b"}),
        json!({"url": "ftp://h/"}),
        json!({"url": "https://u:p@h/"}),
        json!({"url": "https://h", "cookies": {"a": "b; c"}}),
    ] {
        assert!(prepared(bad.clone()).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn every_kind_of_body_goes_out_as_documented() {
    let (rig, demo) = (Rig::new(), demo().await);
    let sent = async |inputs: Value| {
        let seen = echo(&rig, &demo, inputs).await;
        (seen["headers"]["content-type"].clone(), seen["body"].clone())
    };
    let post = |name: &str, value: Value| json!({"method": "post", name: value});
    assert_eq!(sent(post("json", Value::Null)).await, (json!("application/json"), json!("null")));
    assert_eq!(sent(json!({"method": "post"})).await, (Value::Null, json!("")));
    assert_eq!(
        sent(post("data", json!({"a": [1]}))).await,
        (json!("application/json"), json!("{\"a\":[1]}"))
    );
    assert_eq!(
        sent(post("text", json!("ü"))).await,
        (json!("text/plain; charset=utf-8"), json!("ü"))
    );
    assert_eq!(
        sent(post("urlencoded", json!({"z": "a b", "a": [1, 2], "n": null}))).await,
        (json!("application/x-www-form-urlencoded"), json!("z=a+b&a=1&a=2"))
    );
    let multipart = json!({"boundary": "b", "parts": [{"name": "x", "value": "1"}]});
    let (kind, text) = sent(post("multipart", multipart)).await;
    assert_eq!(kind, "multipart/mixed; boundary=b");
    assert!(text.as_str().expect("a text").ends_with("\r\n\r\n1\r\n--b--\r\n"), "{text}");
    let seen = echo(
        &rig,
        &demo,
        json!({"cookies": {"a": "1", "b": "2"}, "headers": {"X-L": ["1", "2"]},
               "username": "u", "password": "pass-word-x"}),
    )
    .await;
    assert_eq!(seen["headers"]["cookie"], "a=1; b=2");
    assert_eq!(seen["headers"]["x-l"], "1, 2");
    assert_eq!(seen["headers"]["authorization"], "Basic");
    assert_eq!(rig.redactor.redact("dTpwYXNzLXdvcmQteA== pass-word-x"), "*** ***");
}

#[tokio::test]
async fn the_documented_schedule_is_kept_and_the_last_answer_counts() {
    let demo = demo().await;
    let url = format!("{}/fault/status/503", demo.url());
    let run = async |inputs: Value| {
        let rig = Rig::new();
        let mut all = json!({"url": url});
        for (name, value) in inputs.as_object().expect("an object") {
            all[name] = value.clone();
        }
        let answer = call(&rig, all).await.expect("the last answer");
        let waits: Vec<u64> =
            answer.attempts.iter().filter_map(|one| Some(one.wait?.as_secs())).collect();
        (answer.status, answer.attempts.len(), waits)
    };
    let mut waits = vec![1, 2, 4, 8, 16, 32];
    waits.extend([60; 8]);
    assert_eq!(run(json!({})).await, (503, 15, waits.clone()));
    // A post is sent once, unless the statuses are written down.
    assert_eq!(run(json!({"method": "post"})).await, (503, 1, vec![]));
    let listed = json!({"method": "post", "retry_status_code": [502, 503]});
    assert_eq!(run(listed).await, (503, 15, waits));
    let short = json!({"initial": 0.2, "maximum": 0.5, "deadline": 3.0});
    assert_eq!(run(json!({"retry_backoff": short})).await, (503, 4, vec![1, 1, 1]));
    assert_eq!(run(json!({"expected_status_code": [503]})).await, (503, 1, vec![]));
    assert_eq!(run(json!({"retry_status_code": []})).await, (503, 1, vec![]));
    // Nothing but the listed statuses: no broken connection either.
    let rig = Rig::new();
    let gone = call(&rig, json!({"url": "http://127.0.0.1:1/"})).await.expect_err("nobody listens");
    assert_eq!((code(&gone), gone.to_string().contains("attempts")), ("call.connect", false));
}

#[tokio::test]
async fn redirects_are_followed_returned_or_too_many() {
    let (rig, demo) = (Rig::new(), demo().await);
    let url = format!("{}/fault/redirect/3", demo.url());
    let followed = call(&rig, json!({"url": url, "max_redirects": 3})).await.expect("an answer");
    assert_eq!(followed.status, 200);
    assert!(followed.attempts[0].redirected_to.is_some());
    let error = call(&rig, json!({"url": url, "max_redirects": 2})).await.expect_err("too many");
    assert_eq!(code(&error), "call.redirect");
    let first = call(&rig, json!({"url": url, "allow_redirects": false})).await.expect("the first");
    assert!((300..400).contains(&first.status) && first.attempts.len() == 1);
}

#[tokio::test]
async fn a_slow_answer_ends_at_its_own_timeout() {
    let rig = Rig::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let held = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn({
        let held = Arc::clone(&held);
        async move {
            while let Ok((socket, _)) = listener.accept().await {
                held.lock().expect("sockets").push(socket);
            }
        }
    });
    for name in ["read_timeout", "total_timeout"] {
        let error = call(&rig, json!({"url": url, name: 0.05})).await.expect_err("silence");
        assert_eq!(code(&error), "call.timeout", "{name}");
    }
}

#[tokio::test]
async fn cookies_of_redirects_are_kept_and_sent() {
    let rig = Rig::new();
    let to = "HTTP/1.1 302 Found\r\nlocation: /next\r\nset-cookie: a=1; Path=/\r\n\
              set-cookie: own=new\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let (url, seen) = scripted(vec![to.to_owned(), json_answer("{}")]).await;
    let answer = call(&rig, json!({"url": url, "cookies": {"own": "old", "b": "2"}})).await;
    let answer = answer.expect("an answer");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(answer.cookies, [pair("a", "1"), pair("own", "new")]);
    let seen = seen.lock().expect("requests").clone();
    assert!(seen[0].contains("cookie: own=old; b=2\r\n"), "{}", seen[0]);
    assert!(seen[1].contains("cookie: b=2; a=1; own=new\r\n"), "{}", seen[1]);
}

#[tokio::test]
async fn files_go_out_and_come_in_whole_and_inside_the_workspace() {
    let folder = tempfile::tempdir().expect("a folder");
    let rig = Rig::in_folder(folder.path());
    let (text, demo) = ("line\n".repeat(40_000), demo().await);
    fs_err::write(folder.path().join("report.txt"), &text).expect("a file");
    let parts = json!([{"name": "f", "file": "report.txt"}]);
    let multipart = json!({"boundary": "b", "parts": parts});
    let seen = echo(&rig, &demo, json!({"method": "put", "multipart": multipart})).await;
    let sent = seen["body"].as_str().expect("a text");
    assert!(sent.contains(&text) && sent.ends_with("\r\n--b--\r\n"));
    assert_eq!(seen["headers"]["content-length"], sent.len().to_string());

    let url = canned("HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\n\u{1}\u{2}\u{3}").await;
    fs_err::write(folder.path().join("out.bin"), "old").expect("a file");
    let answer = call(&rig, json!({"url": url, "dst": "out.bin"})).await.expect("an answer");
    assert_eq!((answer.status, Payload::of(&answer)), (404, Payload::None));
    assert_eq!(names(folder.path()), ["out.bin", "report.txt"]);
    let written = fs_err::read(folder.path().join("out.bin")).expect("the file");
    assert_eq!(written, [1, 2, 3]);
    // A body that breaks off leaves what was there.
    let cut = canned("HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\nabc").await;
    let error = call(&rig, json!({"url": cut, "dst": "out.bin"})).await.expect_err("cut");
    assert_eq!(code(&error), "call.interrupted");
    assert_eq!(names(folder.path()), ["out.bin", "report.txt"]);
    assert_eq!(fs_err::read(folder.path().join("out.bin")).expect("the file"), [1, 2, 3]);
    for folder_name in ["apis", "apps", "queries", "Transforms"] {
        fs_err::create_dir_all(folder.path().join(folder_name)).expect("a folder");
    }
    for dst in [
        "../x",
        "/tmp/x",
        ".restway/x",
        "missing/x",
        "",
        "restway.yaml",
        "./Restway.yaml",
        "apis/x.yaml",
        "apps/x.yaml",
        "queries/x.sql",
        "Transforms/x.sql",
    ] {
        let error = call(&rig, json!({"url": url, "dst": dst})).await.expect_err(dst);
        assert_eq!(code(&error), "definition.invalid", "{dst}");
    }
    let outside = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).expect("a link");
    let error = call(&rig, json!({"url": url, "dst": "link/x"})).await.expect_err("outside");
    assert_eq!(code(&error), "definition.invalid");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A server that gives one answer after the other, and the heads of the requests it saw.
async fn scripted(answers: Vec<String>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let heads = Arc::clone(&seen);
    tokio::spawn(async move {
        for answer in answers {
            let Ok((mut socket, _)) = listener.accept().await else { return };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match socket.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            heads.lock().expect("heads").push(String::from_utf8_lossy(&head).into_owned());
            drop(socket.write_all(answer.as_bytes()).await);
            drop(socket.shutdown().await);
        }
    });
    (url, seen)
}

#[tokio::test]
async fn credentials_among_the_inputs_are_masked_where_a_server_repeats_them() {
    let demo = demo().await;
    let table = [
        (json!({"headers": {"Authorization": "Bearer the-bearer-value"}}), "the-bearer-value"),
        (json!({"headers": {"X-Partner-Key": "the-partner-key"}}), "the-partner-key"),
        (json!({"headers": {"X-Jwt": ["other-one", "the-jwt-value"]}}), "the-jwt-value"),
        (json!({"cookies": {"sid": "the-cookie-value"}}), "the-cookie-value"),
        (json!({"params": {"pwd": "the-pwd-value"}}), "the-pwd-value"),
        (json!({"username": "u", "password": "the-password-value"}), "the-password-value"),
    ];
    for (inputs, secret) in table {
        let rig = Rig::new();
        let seen = echo(&rig, &demo, inputs).await;
        assert_eq!(rig.redactor.redact(secret), "***", "{seen}");
    }
    let rig = Rig::new();
    echo(
        &rig,
        &demo,
        json!({"headers": {"X-Monkey": "chimpanzee"}, "params": {"sort_key": "name-of-it"}}),
    )
    .await;
    assert_eq!(rig.redactor.redact("chimpanzee name-of-it"), "chimpanzee name-of-it");
}

#[tokio::test]
async fn a_write_without_a_body_says_that_it_has_none() {
    let (rig, demo) = (Rig::new(), demo().await);
    for (method, expected) in [
        ("post", json!("0")),
        ("put", json!("0")),
        ("patch", json!("0")),
        ("get", Value::Null),
        ("delete", Value::Null),
    ] {
        let seen = echo(&rig, &demo, json!({"method": method})).await;
        assert_eq!(seen["headers"]["content-length"], expected, "{method}: {seen}");
    }
}
