//! Answers that are kept: what the server sends again, and to whom it is not shown.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Said, Workspace, said};

/// What one request was answered with.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    path: String,
    condition: Option<String>,
    status: u16,
    /// Bytes of the body that was sent.
    bytes: usize,
}

/// A server that counts what it sends. `/open` has two pages with an `ETag` each, `/dated` a
/// `Last-Modified`, and `/secret` must not be kept.
struct Counting {
    url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    version: u32,
    asked: Vec<Asked>,
}

impl Counting {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                answer(socket, &mut shared.lock().expect("the state"));
            }
        });
        Self { url, state }
    }

    fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.lock().expect("the state").asked)
    }

    fn change(&self) {
        self.state.lock().expect("the state").version += 1;
    }
}

fn answer(mut socket: TcpStream, state: &mut State) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let of = |wanted: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.to_owned())
    };
    let (date, version) = ("Tue, 14 Nov 2023 22:14:20 GMT", state.version);
    let (validator, current) = match path.as_str() {
        "/dated" => ("last-modified", date.to_owned()),
        // The second page never changes.
        "/open?page=2" => ("etag", "\"second\"".to_owned()),
        _ => ("etag", format!("W/\"{version}\"")),
    };
    let condition = of("if-none-match").or_else(|| of("if-modified-since"));
    let page: u32 = if path.contains("page=2") { 2 } else { 1 };
    let rows: Vec<Value> =
        (0..50).map(|id| json!({"id": id + 50 * page, "version": version})).collect();
    let more = path.starts_with("/open") && page == 1;
    let body = json!({"data": rows, "next": more.then_some("/open?page=2")}).to_string();
    let private = if path == "/secret" { "cache-control: private, no-store\r\n" } else { "" };
    let (status, body) = match condition.as_ref() == Some(&current) {
        true => (304, String::new()),
        false => (200, body),
    };
    let text = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{validator}: {current}\r\n\
         {private}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    drop(socket.write_all(text.as_bytes()));
    state.asked.push(Asked { path, condition, status, bytes: body.len() });
}

fn api(server: &Counting, resources: &str) -> String {
    format!(
        "api: shop\nbase_url: {}\nauth: {{ type: bearer, token: \"${{env.TOKEN}}\" }}\n\
         defaults: {{ cache: true, records: data, paginate: {{ type: url, next: next }} }}\n\
         resources:\n{resources}",
        server.url
    )
}

fn sync(workspace: &Workspace, token: &str) -> (Said, Value) {
    let mut command = workspace.command(&["sync", "--json"]);
    let done = said(command.env("TOKEN", token).output().expect("the binary runs"));
    assert_eq!(done.code, 0, "{}\n{}", done.out, done.err);
    let report = serde_json::from_str(&done.out).expect("a report");
    (done, report)
}

#[test]
fn what_did_not_change_is_not_sent_again_and_lands_all_the_same() {
    let (server, workspace) = (Counting::start(), Workspace::new());
    workspace.write("apis/shop.yaml", &api(&server, "  open: /open\n  dated: /dated\n"));
    let (_, first) = sync(&workspace, "token-of-ann");
    assert_eq!(first["counts"]["unchanged"], json!(0));
    assert!(server.take().iter().all(|asked| asked.status == 200 && asked.condition.is_none()));

    let (_, second) = sync(&workspace, "token-of-ann");
    let asked = server.take();
    assert_eq!(asked.iter().map(|asked| asked.bytes).sum::<usize>(), 0, "{asked:?}");
    assert_eq!((asked.len(), &second["counts"]["unchanged"]), (3, &json!(3)));
    assert_eq!(second["counts"]["records"], first["counts"]["records"]);
    assert_eq!(workspace.value("select count(distinct id) from shop.open"), json!(100));
    let run = workspace.json(&["runs", "show", second["run"].as_str().expect("an id")]);
    assert_eq!(run["counts"]["unchanged"], json!(3), "{run}");

    server.change();
    let (_, third) = sync(&workspace, "token-of-ann");
    let statuses: Vec<u16> = server.take().iter().map(|asked| asked.status).collect();
    assert_eq!((statuses.iter().filter(|status| **status == 200).count(), statuses.len()), (1, 3));
    assert_eq!(third["counts"]["unchanged"], json!(2));
    let newest = "select count(*) from shop.open where version = 1";
    assert_eq!(workspace.value(newest), json!(50));
}

#[test]
fn nobody_gets_what_came_for_another_and_no_store_is_not_kept() {
    let (server, workspace) = (Counting::start(), Workspace::new());
    workspace.write("apis/shop.yaml", &api(&server, "  open: /open\n  secret: /secret\n"));
    sync(&workspace, "token-of-ann");
    server.take();
    sync(&workspace, "token-of-bob");
    assert!(server.take().iter().all(|asked| asked.condition.is_none()), "for somebody else");
    sync(&workspace, "token-of-ann");
    let asked = server.take();
    let open = asked.iter().filter(|asked| asked.path.starts_with("/open"));
    assert!(open.clone().count() == 2 && open.clone().all(|asked| asked.status == 304));
    assert!(asked.iter().all(|asked| asked.path != "/secret" || asked.condition.is_none()));
    let kept = workspace.files(".restway/answers");
    assert_eq!(kept.len(), 4, "two pages for two of them, and nothing half: {kept:?}");
    for file in &kept {
        let bytes = std::fs::read(file).expect("a file");
        assert!(!String::from_utf8_lossy(&bytes).contains("token-of"));
    }
    // A file that was cut is as none.
    for file in &kept {
        std::fs::write(file, b"{\"data\"").expect("it is cut");
    }
    sync(&workspace, "token-of-ann");
    assert!(server.take().iter().all(|asked| asked.condition.is_none()));
    assert_eq!(workspace.value("select count(*) from shop.open"), json!(100));
}

#[test]
fn check_says_where_nothing_can_be_kept() {
    let (server, workspace) = (Counting::start(), Workspace::new());
    let wrong = "  found:\n    path: /x\n    method: POST\n    json: {}\n    cache: true\n  \
                 part:\n    path: /y\n    headers: { If-None-Match: '\"a\"' }\n";
    workspace.write("apis/shop.yaml", &api(&server, wrong));
    let done = workspace.run(&["check"]);
    assert_ne!(done.code, 0);
    let said = done.out + &done.err;
    assert!(said.contains("answers to POST cannot be kept"), "{said}");
    assert!(said.contains("`If-None-Match` and `cache` exclude each other"), "{said}");
}
