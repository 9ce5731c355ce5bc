//! Syncs from real servers that none of us wrote: Datasette's keyset pages and its `Link` headers,
//! PocketBase's login and numbered pages.
//!
//! `make test` installs them; the folder is named by `RESTWAY_TEST_PEERS`. Each test starts its
//! own server on a free port and ends it.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::Workspace;

/// How long a server may take to listen.
const START_MAX: Duration = Duration::from_secs(60);

/// A server that is running.
pub(crate) struct Peer {
    child: Child,
    pub(crate) port: u16,
}

impl Peer {
    fn start(program: &str, arguments: impl Fn(u16) -> Vec<String>) -> Self {
        Self::begin(&installed(program), arguments)
    }

    /// Runs a program on a free port, and waits until it listens.
    pub(crate) fn begin(program: &Path, arguments: impl Fn(u16) -> Vec<String>) -> Self {
        let (port, shown) = (free_port(), program.display());
        let mut child = Command::new(program)
            .args(arguments(port))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{shown} does not start: {error}"));
        let log = child.stderr.take().expect("a pipe");
        std::thread::spawn(move || BufReader::new(log).lines().for_each(drop));
        let mut peer = Self { child, port };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < START_MAX, "{shown} does not listen");
            assert!(peer.child.try_wait().expect("a state").is_none(), "{shown} ended");
            std::thread::yield_now();
        }
        peer
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0");
    listener.and_then(|listener| listener.local_addr()).expect("a free port").port()
}

fn installed(program: &str) -> PathBuf {
    peers().join("venv/bin").join(program)
}

/// The folder of the test servers.
pub(crate) fn peers() -> PathBuf {
    let folder = std::env::var_os("RESTWAY_TEST_PEERS").expect(
        "RESTWAY_TEST_PEERS names the folder of the test servers; `make test` sets it, \
         `make peers` fills it",
    );
    PathBuf::from(folder)
}

#[test]
fn datasette_by_keyset_tokens_and_by_links() {
    let workspace = Workspace::new();
    let database = workspace.path().join("shop.db");
    let script = "import sqlite3, sys\n\
        db = sqlite3.connect(sys.argv[1])\n\
        db.execute('create table orders (id integer primary key, item text, price real)')\n\
        db.executemany('insert into orders values (?, ?, ?)', \
        [(n, f'item {n} \u{1f600}', n / 4) for n in range(1, 2501)])\n\
        db.commit()\n";
    let made = Command::new(installed("python")).args(["-c", script]).arg(&database).status();
    assert!(made.expect("python runs").success());
    let peer = Peer::start("datasette", |port| {
        let port = port.to_string();
        let database = database.to_string_lossy().into_owned();
        ["serve", "-h", "127.0.0.1", "-p", &port, "--setting", "max_returned_rows", "1000"]
            .map(str::to_owned)
            .into_iter()
            .chain([database])
            .collect()
    });
    workspace.write(
        "apis/datasette.yaml",
        &format!(
            "\
api: datasette
base_url: http://127.0.0.1:{}/shop
resources:
  by_token:
    path: /orders.json
    query: {{ _size: 400, _shape: objects }}
    records: rows
    paginate: {{ type: token, next: next, param: _next }}
    key: id
  by_link:
    path: /orders.json
    query: {{ _size: 1000, _shape: array }}
    paginate: link
    key: id
",
            peer.port
        ),
    );
    let report = workspace.json(&["sync"]);
    assert_eq!(report["counts"]["records"], json!(5000));
    assert_eq!(report["counts"]["pages"], json!(10), "7 pages of 400 and 3 of 1000");
    for table in ["by_token", "by_link"] {
        let sql = format!(
            "select count(distinct id) as n, sum(price) as total, max(item) as last \
             from datasette.{table}"
        );
        assert_eq!(
            workspace.rows(&sql),
            [json!({"n": 2500, "total": 781_562.5, "last": "item 999 \u{1f600}"})],
            "{table}"
        );
    }
}

#[test]
fn pocketbase_by_a_login_of_two_steps_and_numbered_pages() {
    let workspace = Workspace::new();
    let folder = workspace.path().join("pb").to_string_lossy().into_owned();
    let made = Command::new(installed("pocketbase"))
        .args(["superuser", "upsert", "admin@example.com", "a-long-password", "--dir", &folder])
        .stdout(Stdio::null())
        .status();
    assert!(made.expect("pocketbase runs").success());
    let peer = Peer::start("pocketbase", |port| {
        vec![
            "serve".into(),
            "--http".into(),
            format!("127.0.0.1:{port}"),
            "--dir".into(),
            folder.clone(),
        ]
    });
    let base = format!("http://127.0.0.1:{}", peer.port);
    let post = |path: &str, token: &str, body: &str| {
        let header = format!("Authorization: {token}");
        workspace.write("apis/pb.yaml", &format!("api: pb\nbase_url: {base}\n"));
        let said = workspace.ok(&[
            "call",
            "--url",
            &format!("{base}{path}"),
            "--method",
            "POST",
            "--header",
            &header,
            "--body",
            body,
        ]);
        serde_json::from_str::<serde_json::Value>(&said.out).expect("JSON")["json"].clone()
    };
    let login = post(
        "/api/collections/_superusers/auth-with-password",
        "none",
        r#"{"identity": "admin@example.com", "password": "a-long-password"}"#,
    );
    let token = login["token"].as_str().expect("a token").to_owned();
    post(
        "/api/collections",
        &token,
        r#"{"name": "orders", "type": "base", "fields": [{"name": "amount", "type": "number"}]}"#,
    );
    for amount in 0..25 {
        post("/api/collections/orders/records", &token, &format!("{{\"amount\": {amount}.5}}"));
    }
    workspace.write(
        "apis/pb.yaml",
        &format!(
            "\
api: pb
base_url: {base}
auth:
  type: login
  url: /api/collections/_superusers/auth-with-password
  json: {{ identity: admin@example.com, password: \"${{env.PB_PASSWORD}}\" }}
  token: token
  scheme: \"\"
  lifetime: 1h
resources:
  orders:
    path: /api/collections/orders/records
    query: {{ perPage: 10, sort: id }}
    records: items
    paginate: {{ type: page, total_pages: totalPages }}
    key: id
"
        ),
    );
    let synced = workspace.command(&["sync"]).env("PB_PASSWORD", "a-long-password").status();
    assert!(synced.expect("the binary runs").success());
    assert_eq!(
        workspace.rows("select count(*) as n, sum(amount) as total from pb.orders"),
        [json!({"n": 25, "total": 312.5})]
    );
}
