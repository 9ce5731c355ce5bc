//! A tiny HTTP/1.1 client that shows what is on the wire.
//!
//! In goes one request, out comes one reply and whether its body was complete. One connection for
//! each request, no redirects followed, nothing retried: a client that forgives would hide faults.

use std::fmt::Write;
use std::net::SocketAddr;

use demo_api::DemoApi;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body was as long as its framing promised.
    pub(crate) is_complete: bool,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("bodies are UTF-8")
    }

    /// The body as JSON; it must be declared as such.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// Checks that this is an error of the one shape, and gives its code.
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        let body = self.json();
        assert!(body["message"].is_string(), "{body}");
        body["error"].as_str().expect("an error has a code").to_owned()
    }
}

pub(crate) async fn get(api: &DemoApi, target: &str, headers: &[(&str, &str)]) -> Reply {
    send(api, "GET", target, headers, "").await
}

pub(crate) async fn send(
    api: &DemoApi,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    send_to(api.address(), method, target, headers, body).await
}

pub(crate) async fn send_to(
    host: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").expect("a string takes any text");
    }
    write!(head, "content-length: {}\r\n\r\n{body}", body.len()).expect("a string takes any text");
    let mut stream = TcpStream::connect(host).await.expect("the server listens");
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("the server closes in order");
    reply(&bytes)
}

fn reply(bytes: &[u8]) -> Reply {
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").expect("a head has an end");
    let head = std::str::from_utf8(&bytes[..end]).expect("a head is text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let status = status.parse().expect("a status is a number");
    let mut reply = Reply { status, headers, body: Vec::new(), is_complete: true };
    let rest = &bytes[end + 4..];
    if reply.header("transfer-encoding") == Some("chunked") {
        (reply.body, reply.is_complete) = unchunk(rest);
    } else {
        let promised = reply.header("content-length").map(|text| text.parse());
        reply.is_complete = promised.is_none_or(|length| length == Ok(rest.len()));
        reply.body = rest.to_vec();
    }
    reply
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|part| part == b"\r\n") else {
            return (body, false);
        };
        let size = std::str::from_utf8(&rest[..end]).expect("a chunk size is text");
        let size = usize::from_str_radix(size, 16).expect("a chunk size is hexadecimal");
        if size == 0 {
            return (body, true);
        }
        if rest.len() < end + 2 + size + 2 {
            return (body, false);
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

/// A new token with both scopes, as an `Authorization` value.
pub(crate) async fn bearer(api: &DemoApi) -> String {
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        api.client_id(),
        api.client_secret()
    );
    let reply = token(api, &[], &form).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    format!("Bearer {}", reply.json()["access_token"].as_str().expect("a token is text"))
}

/// Asks for a token with this form.
pub(crate) async fn token(api: &DemoApi, headers: &[(&str, &str)], form: &str) -> Reply {
    let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
    all.extend(headers);
    send(api, "POST", "/oauth/token", &all, form).await
}

/// The ids of a list of records.
pub(crate) fn ids(records: &Value) -> Vec<u64> {
    let records = records.as_array().expect("records are a list");
    records.iter().map(|record| record["id"].as_u64().expect("an id is a number")).collect()
}

/// Follows token pages to their end and collects the ids.
pub(crate) async fn walk(api: &DemoApi, target: &str, headers: &[(&str, &str)]) -> Vec<u64> {
    let mut all = Vec::new();
    let joint = if target.contains('?') { '&' } else { '?' };
    let mut next = target.to_owned();
    for _ in 0..1_000 {
        let reply = get(api, &next, headers).await;
        assert_eq!(reply.status, 200, "{next}: {}", reply.text());
        let page = reply.json();
        all.extend(ids(&page["data"]));
        match page["nextPageToken"].as_str() {
            Some(token) => next = format!("{target}{joint}pageToken={token}"),
            None => {
                assert_eq!(page["total"], all.len(), "the total is what the pages hold");
                assert!(page.get("nextPageToken").is_none(), "absent, not null");
                return all;
            }
        }
    }
    panic!("{target} has no last page");
}
