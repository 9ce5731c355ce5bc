//! What the description of an app promises, asked for by Schemathesis, which none of us wrote, and
//! what only the whole server does: packed answers, the word of a trusted proxy.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::peers::peers;
use crate::published::{Serving, in_sqlite};
use crate::support::Workspace;

const APP: &str = "app: shop
sources: { till: { type: sqlite, path: till.db } }
access: { anonymous: all }
limits: { rate: RATE }
deprecated: { since: 2026-06-01, until: 2027-01-01, more: 'https://shop.example/news' }
objects:
  customers: { from: till.customers, default_fields: [id, name] }
  orders:
    from: till.orders
    idempotency: true
    events: { close: { sql: 'update orders set closed = 1 where id = ${row.id}' } }
  open: { from: till.open_orders, key: [id] }
";

fn serving(rate: &str, more: &str) -> (Workspace, Serving) {
    let workspace = Workspace::new();
    in_sqlite(
        &workspace.path().join("till.db"),
        "create table customers (id integer primary key, name varchar(40) not null, note text, \
           credit decimal(12,2), photo blob, extra json, is_open boolean); \
         create table orders (id integer primary key, customer integer references customers(id), \
           total decimal(10,2) not null default 0, closed integer not null default 0); \
         create view open_orders as select id, total from orders where closed = 0; \
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 60) \
           insert into customers select i, 'customer ' || i, null, i / 4.0, x'00ff21', \
           '{\"a\": [1]}', i % 2 from n; \
         insert into orders (customer, total) select id, credit from customers",
    );
    workspace.write("restway.yaml", &format!("workspace: test\n{more}"));
    workspace.write("apps/shop.yaml", &APP.replace("RATE", rate));
    let serving = Serving::start(&workspace);
    (workspace, serving)
}

/// The head of an answer, in lower case, and its body.
fn asked(serving: &Serving, method: &str, path: &str, headers: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(&serving.address).expect("it listens");
    let request = format!(
        "{method} /rest/v1/shop/{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n",
        serving.address
    );
    stream.write_all(request.as_bytes()).expect("it is read");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it ends");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    (head, answer[end + 4..].to_vec())
}

/// A header's value.
fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(other, _)| *other == name).map(|(_, value)| value).next_back().unwrap_or("")
}

#[test]
fn answers_are_packed_for_those_who_can_unpack_them() {
    let (_workspace, serving) = serving("1000/s", "");
    let list = "customers?$limit=100&$fields=*";
    for coding in ["gzip", "br", "zstd"] {
        let accept = format!("Accept-Encoding: {coding}\r\n");
        let (head, body) = asked(&serving, "GET", list, &accept);
        assert_eq!(header(&head, "content-encoding"), coding, "{head}");
        assert_eq!(header(&head, "vary"), "accept, accept-encoding");
        let (_, bare) = asked(&serving, "GET", list, "");
        assert!(body.len() * 2 < bare.len(), "{coding}: {} of {}", body.len(), bare.len());
        let (of_head, nothing) = asked(&serving, "HEAD", list, &accept);
        assert_eq!(header(&of_head, "content-encoding"), coding, "{of_head}");
        assert!(nothing.is_empty() && header(&of_head, "content-length").is_empty(), "{of_head}");
        let (head, _) = asked(&serving, "HEAD", "customers?$format=csv", "");
        assert_eq!(header(&head, "content-length"), "", "{head}");
        let (head, _) = asked(&serving, "GET", "customers?$format=csv", &accept);
        assert_eq!(header(&head, "content-encoding"), coding, "{head}");
        let (head, _) = asked(&serving, "GET", "customers?$format=parquet", &accept);
        assert_eq!(header(&head, "content-encoding"), "", "{head}");
    }
    let (head, _) = asked(&serving, "GET", "customers/1", "Accept-Encoding: gzip\r\n");
    assert_eq!(header(&head, "content-encoding"), "", "what is small is sent as it is");
    assert_eq!(header(&head, "deprecation"), "@1780272000");
    assert_eq!(header(&head, "sunset"), "fri, 01 jan 2027 00:00:00 gmt");
    let tag = header(&head, "etag").trim_matches('"').to_owned();
    let known = format!("If-None-Match: \"{tag}-gzip\"\r\n");
    let (head, _) = asked(&serving, "GET", "customers/1", &known);
    assert!(head.starts_with("http/1.1 304"), "{head}");
}

#[test]
fn a_trusted_proxy_is_believed_about_its_callers() {
    let status = |serving: &Serving, from: &str| {
        let from = format!("X-Forwarded-For: {from}\r\n");
        let (head, _) = asked(serving, "GET", "orders/1", &from);
        head.split(' ').nth(1).expect("a status").to_owned()
    };
    let (_workspace, alone) = serving("1/h", "");
    assert_eq!(status(&alone, "203.0.113.1"), "200");
    assert_eq!(status(&alone, "203.0.113.2"), "429", "who is not trusted is one caller");
    let (_workspace, behind) = serving("1/h", "serve: { trusted_proxies: [127.0.0.1] }\n");
    assert_eq!(status(&behind, "203.0.113.1"), "200");
    assert_eq!(status(&behind, "203.0.113.2"), "200");
    assert_eq!(status(&behind, "9.9.9.9, 203.0.113.2"), "429");
    let workspace = Workspace::new();
    workspace.write("restway.yaml", "workspace: t\nserve: { trusted_proxies: [proxy.example] }\n");
    let refused = workspace.run(&["check"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("`proxy.example` is no address or network"), "{}", refused.err);
}

/// Reads and writes at random, by the description and beside it, a few of each kind.
#[test]
fn an_app_keeps_what_its_description_promises() {
    let (workspace, serving) = serving("100000/s", "");
    let program = peers().join("schemathesis/venv/bin/schemathesis");
    let settings = workspace.path().join("schemathesis.toml");
    std::fs::write(&settings, SETTINGS).expect("written");
    let output = Command::new(program)
        .arg("--config-file")
        .arg(&settings)
        .args(["run", "--max-examples", "10", "--seed", "1", "--no-color", "--workers", "1"])
        .arg(format!("http://{}/rest/v1/shop/openapi.json", serving.address))
        .current_dir(workspace.path())
        .output()
        .expect("schemathesis runs: `make peers` installs it");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

/// The texts of `$filter`, `$sort` and tokens are languages that a schema does not know, and no
/// schema says that one of several parameters must be there.
const SETTINGS: &str = r#"[[operations]]
include-operation-id-regex = "^(list|count|query|update_many|delete_many)_"
checks.positive_data_acceptance.enabled = false
"#;
