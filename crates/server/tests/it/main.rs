//! The server as its callers meet it: records landed in a real lake, published by an app, read
//! over a socket in plain HTTP. Every answer passes [`Reply::check`], which knows the headers that
//! may leave this server and the shape that every JSON answer has.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod pace;
mod stopping;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use restway_model::definition::{self, AppFile};
use restway_model::{Clock, Code, Event, Explain, Limits, Observer, Pause, Records, RunId};
use restway_publish::{Engined, Publisher, Source};
use restway_server::{Server, ServerError, ServerSettings};
use restway_tables::{Lake, LakeSettings, Landing, LoadMode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const APP: &str = "
app: sales
access: { anonymous: { customers: [filter, export], orders: [filter], later: [filter] } }
objects:
  customers:
    from: shop.customers
    key: [region, id]
    default_fields: [region, id, name]
  orders: { from: shop.customers__orders, key: [_row_id] }
  staff: { from: shop.customers, key: [id] }
  later: { from: shop.later, key: [id] }
";

const CUSTOMERS: [&str; 5] = [
    r#"{"region":"north","id":1,"name":"Ärzte & Co","credit":1.10,"score":0.5,"open":true,
        "born":"2024-02-29","seen":"2024-02-29T12:00:00+02:00","big":12345678901234567890,
        "nothing":null,"mixed":{"a":1},"orders":[{"no":1},{"no":2}]}"#,
    r#"{"region":"north","id":2,"name":"O'Brien","credit":250.00,"score":1e-7,"open":false,
        "born":"2023-01-01","seen":"2024-03-01T00:00:00Z","big":1,"nothing":null,"mixed":[1]}"#,
    r#"{"region":"a,b/c","id":1,"name":"100% <b>","credit":null,"score":null,"open":null,
        "born":null,"seen":null,"big":2,"nothing":null,"mixed":null}"#,
    r#"{"region":"south","id":1,"name":"Miami Ltd","credit":7,"score":2,"open":true,
        "born":"2024-02-29","seen":"2024-02-29T10:00:00.000001Z","big":3,"nothing":null,
        "mixed":"text"}"#,
    r#"{"region":"south","id":2,"name":null,"credit":7.00,"score":2,"open":true,
        "born":"2024-03-01","seen":"2024-02-29T10:00:00Z","big":4,"nothing":null,"mixed":5}"#,
];

/// Headers that an answer may have.
const HEADERS: [&str; 13] = [
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "transfer-encoding",
    "vary",
    "retry-after",
    "server-timing",
    "www-authenticate",
    "x-content-type-options",
];

struct Real(Instant);

impl Clock for Real {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pause<'_> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl Observer for Heard {
    fn observe(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// A lake with customers.
async fn landed(observer: Arc<Heard>) -> (TempDir, Lake) {
    let folder = TempDir::new().unwrap();
    let lake = Lake::open(LakeSettings {
        root: folder.path().join("tables"),
        limits: Limits::default(),
        observer,
        spill: folder.path().join("spill"),
    })
    .unwrap();
    let landing = Landing {
        resource: "shop.customers".parse().unwrap(),
        stream: "shop.customers".to_owned(),
        sequence: 1,
        run: RunId("run".to_owned()),
        fetched_at: DateTime::UNIX_EPOCH,
        mode: LoadMode::Append,
        key: Vec::new(),
        deletes: Default::default(),
        contract: Default::default(),
        max_rejects: Default::default(),
        types: BTreeMap::from([("credit".to_owned(), "decimal(18,2)".parse().unwrap())]),
        nest_depth: 3,
        json: vec!["mixed".parse().unwrap()],
        columns: Vec::new(),
        gone: None,
        maps: None,
    };
    let mut intake = lake.begin(landing).await.unwrap();
    let batch = tokio::task::spawn_blocking(move || {
        let mut body = String::new();
        let mut spans = Vec::new();
        for customer in CUSTOMERS {
            spans.push(body.len()..body.len() + customer.len());
            body.push_str(customer);
        }
        intake.push(&Records::new(body.into(), spans), &[]).unwrap();
        intake.finish().unwrap()
    });
    lake.commit(&batch.await.unwrap()).await.unwrap();
    (folder, lake)
}

/// A running server.
struct Running {
    address: SocketAddr,
    heard: Arc<Heard>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), ServerError>>,
    _folder: TempDir,
}

async fn settings(listen: &str) -> (ServerSettings, Arc<Heard>, TempDir) {
    let heard = Arc::new(Heard::default());
    let (folder, lake) = landed(heard.clone()).await;
    let clock = Arc::new(Real(Instant::now()));
    let app = definition::read::<AppFile>("apps/sales.yaml", APP).unwrap();
    let lake: Arc<dyn Source> = Arc::new(Engined::new(Arc::new(lake)));
    let publisher =
        Publisher::new(vec![app.into()], &lake, &Limits::default(), heard.clone(), clock.clone());
    let publisher = Arc::new(publisher.unwrap());
    let settings = ServerSettings::new(listen.parse().unwrap(), publisher, heard.clone(), clock);
    (settings, heard, folder)
}

async fn running(adjust: impl FnOnce(&mut ServerSettings)) -> Running {
    let (mut settings, heard, folder) = settings("127.0.0.1:0").await;
    adjust(&mut settings);
    let server = Server::bind(settings).await.unwrap();
    let address = server.url().strip_prefix("http://").unwrap().parse().unwrap();
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    Running { address, heard, stop, running, _folder: folder }
}

/// An answer.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The values of a field over the items.
    fn column(&self, field: &str) -> String {
        assert_eq!(self.status, 200, "{}", self.body);
        let json = self.json();
        let items = json["items"].as_array().unwrap();
        items.iter().map(|item| item[field].to_string()).collect::<Vec<_>>().join(" ")
    }

    fn check(self) -> Self {
        for (name, _) in &self.headers {
            let is_known = HEADERS.contains(&name.as_str()) || name == "x-request-id";
            assert!(is_known, "an unexpected header {name}");
        }
        let is_json = self.header("content-type") == Some("application/json; charset=utf-8");
        if is_json && !self.body.is_empty() {
            let json = self.json();
            if json.get("openapi").is_none() {
                assert_eq!(json["status"], self.status);
                assert!(json["validations"].is_array() && json.get("message").is_some());
                assert!(json.get("item").is_some() != json.get("items").is_some());
                if self.status >= 400 {
                    assert!(
                        ["type", "title", "detail", "code"].iter().all(|m| json[m].is_string())
                    );
                }
            }
        } else if !is_json {
            assert!([200, 204, 503].contains(&self.status), "{self:?}");
        }
        self
    }
}

impl Running {
    async fn raw(&self, request: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        });
        Reply { status, headers: headers.collect(), body: body.to_owned() }
    }

    async fn ask(&self, method: &str, target: &str, headers: &str) -> Reply {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n"
        );
        self.raw(&request).await.check()
    }

    async fn get(&self, target: &str) -> Reply {
        self.ask("GET", target, "").await
    }

    async fn customers(&self, query: &str) -> Reply {
        self.get(&format!("/rest/v1/sales/customers?{query}")).await
    }

    fn warnings(&self) -> Vec<Event> {
        let heard = self.heard.0.lock().unwrap();
        heard.iter().filter(|event| matches!(event, Event::Warned { .. })).cloned().collect()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_list_is_paged_sorted_filtered_and_searched() {
    let server = running(|_| {}).await;
    let all = server.get("/rest/v1/sales/customers").await;
    let expected = [
        r#"{"count":null,"items":[{"region":"a,b/c","id":1,"name":"100% <b>"},"#,
        r#"{"region":"north","id":1,"name":"Ärzte & Co"},"#,
        r#"{"region":"north","id":2,"name":"O'Brien"},"#,
        r#"{"region":"south","id":1,"name":"Miami Ltd"},"#,
        r#"{"region":"south","id":2,"name":null}],"#,
        r#""message":null,"validations":[],"status":200}"#,
    ];
    assert_eq!(all.body, expected.concat());
    for (query, field, values) in [
        ("$sort=-id,-region", "region", r#""south" "north" "south" "north" "a,b/c""#),
        ("$sort=credit&$fields=credit", "credit", "1.1 7.0 7.0 250.0 null"),
        ("$sort=-name", "name", r#""Ärzte & Co" "O'Brien" "Miami Ltd" "100% <b>" null"#),
        ("$limit=2&$offset=1", "region", r#""north" "north""#),
        ("$offset=5", "id", ""),
        ("$limit=0", "id", ""),
        ("id=2", "region", r#""north" "south""#),
        ("name=O%27Brien", "id", "2"),
        ("name=O'Brien", "id", "2"),
        ("name=%C3%84rzte+%26+Co", "id", "1"),
        ("name=o'brien", "id", ""),
        ("credit=7", "id", "1 2"),
        ("credit=1.1", "region", r#""north""#),
        ("score=0.0000001", "id", "2"),
        ("score=2", "region", r#""south" "south""#),
        ("open=false", "id", "2"),
        ("born=2024-02-29", "region", r#""north" "south""#),
        ("seen=2024-02-29T10:00:00Z", "region", r#""north" "south""#),
        ("seen=2024-02-29T12:00:00.000001%2B02:00", "region", r#""south""#),
        ("seen=2024-03-01", "region", r#""north""#),
        ("big=12345678901234567890", "id", "1"),
        ("nothing=x", "id", ""),
        ("mixed=%22text%22", "region", r#""south""#),
        ("$q=miami", "region", r#""south""#),
        ("$q=%C3%A4RZTE", "id", "1"),
        ("$q=100%25", "region", r#""a,b/c""#),
        ("$q=_", "id", ""),
        ("$q=250.00", "id", "2"),
        ("$q=2024-02-29&$sort=-id", "region", r#""south" "north" "south""#),
        ("$q=o%27b&region=south", "id", ""),
        ("$q='%20OR%201=1%20--", "id", ""),
    ] {
        assert_eq!(server.customers(query).await.column(field), values, "{query}");
    }
    server.stop().await;
}

#[tokio::test]
async fn counts_fields_and_exact_values() {
    let server = running(|_| {}).await;
    for (query, count) in [
        ("$count=true", "5"),
        ("$count=true&$limit=2", "5"),
        ("$count=true&$limit=0&region=north", "2"),
        ("$count=true&$offset=4", "5"),
        ("$count=true&$offset=50", "5"),
        ("$count=true&$q=zzz", "0"),
        ("$count=false", "null"),
    ] {
        let reply = server.customers(query).await;
        assert_eq!(reply.json()["count"].to_string(), count, "{query}");
    }
    let clamped = server.customers("$limit=101").await.json();
    assert_eq!(clamped["message"], "`$limit` is at most 100, and that was used");

    let item = server.get("/rest/v1/sales/customers/north,1").await;
    let fields = [
        r#"{"item":{"region":"north","id":1,"name":"Ärzte & Co","credit":1.10,"score":0.5,"#,
        r#""open":true,"born":"2024-02-29","seen":"2024-02-29T10:00:00Z","#,
        r#""big":12345678901234567890,"nothing":null,"mixed":{"a":1}}"#,
    ];
    assert!(item.body.starts_with(&fields.concat()), "{}", item.body);
    let every = server.customers("$fields=*&$limit=1").await.json();
    assert!(every["items"][0].get("_row_id").is_some(), "{every}");
    let named = server.customers("$fields=_run_id,id&$limit=1").await.json();
    assert_eq!(named["items"][0].to_string(), r#"{"_run_id":"run","id":1}"#);
    let orders = server.get("/rest/v1/sales/orders?$sort=-no&$count=true").await;
    assert_eq!(orders.column("no"), "2 1");
    server.stop().await;
}

#[tokio::test]
async fn an_item_is_found_by_its_whole_key_and_nothing_else() {
    let server = running(|_| {}).await;
    for (key, status) in [
        ("a%2Cb%2Fc,1", 200),
        ("a%2cb%2fc,1?$fields=name", 200),
        ("north,1", 200),
        ("north,9", 404),
        ("north", 404),
        ("north,1,1", 404),
        ("a,b%2Fc,1", 404),
        ("north,one", 404),
        ("north,", 404),
        ("north,1?$fields=nmae", 400),
        ("north,1?id=1", 400),
        ("north%FF,1", 400),
        ("'%20OR%201=1%20--,1", 404),
    ] {
        let reply = server.get(&format!("/rest/v1/sales/customers/{key}")).await;
        assert_eq!(reply.status, status, "{key}: {}", reply.body);
        assert_eq!(reply.json()["item"].is_null(), status != 200, "{key}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let server = running(|_| {}).await;
    for (method, target, status) in [
        ("GET", "/rest/v1/sales/nothing", 404),
        ("GET", "/rest/v1/nothing/customers", 404),
        ("GET", "/rest/v1/sales", 404),
        ("GET", "/rest/v1/", 404),
        ("GET", "/rest/v2/sales/customers", 404),
        ("GET", "/rest/v1/sales/staff", 401),
        ("GET", "/rest/v1/sales/later", 503),
        ("GET", "/rest/v1/sales/customers?nmae=x", 400),
        ("GET", "/rest/v1/sales/customers?$filter=x", 400),
        ("POST", "/rest/v1/sales/customers", 405),
        ("PUT", "/rest/v1/sales/customers/north,1", 405),
        ("DELETE", "/rest/v1/sales/customers/north,1", 405),
        ("POST", "/live", 405),
    ] {
        let reply = server.ask(method, target, "").await;
        assert_eq!(reply.status, status, "{method} {target}: {}", reply.body);
        if status == 405 {
            let allow: Vec<&str> =
                reply.header("allow").unwrap().split(',').map(str::trim).collect();
            let expected: &[&str] = match target {
                "/live" => &["GET", "HEAD"],
                _ => &["GET", "HEAD", "OPTIONS"],
            };
            assert_eq!(allow, expected, "{target}");
        }
        assert!(!reply.body.contains("shop."), "{}", reply.body);
    }
    let told = server.ask("OPTIONS", "/rest/v1/sales/customers", "").await;
    assert_eq!((told.status, told.header("allow")), (204, Some("GET, HEAD, OPTIONS")));
    let without = "accept: text/csv\r\n";
    assert_eq!(server.ask("GET", "/rest/v1/sales/orders", without).await.status, 403);
    server.stop().await;
}

#[tokio::test]
async fn head_tells_what_get_would() {
    let server = running(|_| {}).await;
    for target in
        ["/rest/v1/sales/customers", "/rest/v1/sales/customers/north,9", "/live", "/openapi.json"]
    {
        let (get, head) = (server.get(target).await, server.ask("HEAD", target, "").await);
        assert_eq!(head.status, get.status, "{target}");
        assert_eq!(head.body, "", "{target}");
        for name in ["content-length", "content-type"] {
            assert_eq!(head.header(name), get.header(name), "{target}");
        }
        assert_eq!(get.header("content-length"), Some(get.body.len().to_string().as_str()));
    }
    server.stop().await;
}

#[tokio::test]
async fn only_requests_for_this_machine_and_of_bounded_size_are_served() {
    let server = running(|_| {}).await;
    let get = "GET /live HTTP/1.1\r\nconnection: close\r\n";
    for (head, status) in [
        (format!("{get}host: 127.0.0.1:7878\r\n\r\n"), 200),
        (format!("{get}host: [::1]\r\n\r\n"), 200),
        (format!("{get}host: evil.example\r\n\r\n"), 421),
        (format!("{get}host: localhost.evil.example\r\n\r\n"), 421),
        (format!("{get}\r\n"), 421),
        (format!("{get}host: localhost\r\nhost: evil.example\r\n\r\n"), 421),
        (
            "GET http://evil.example/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
                .to_owned(),
            421,
        ),
        (format!("{get}host: localhost\r\ncontent-length: 1048577\r\n\r\n"), 413),
    ] {
        assert_eq!(server.raw(&head).await.check().status, status, "{head}");
    }
    let long = format!("{get}host: localhost\r\nx-long: {}\r\n\r\n", "x".repeat(100_000));
    assert_eq!(server.raw(&long).await.status, 431);
    server.stop().await;
}

#[tokio::test]
async fn every_answer_has_an_id_and_is_told_once_without_its_query() {
    let server = running(|_| {}).await;
    let echoed = server.ask("GET", "/live", "x-request-id: abc-1\r\n").await;
    assert_eq!(echoed.header("x-request-id"), Some("abc-1"));
    for bad in
        ["x-request-id: a b\r\n".to_owned(), format!("x-request-id: {}\r\n", "a".repeat(129))]
    {
        let reply = server.ask("GET", "/rest/v1/sales/customers?name=secret", &bad).await;
        assert_eq!(reply.header("x-request-id").unwrap().len(), 36);
    }
    let timing = server.customers("").await;
    let stages: Vec<&str> = timing
        .header("server-timing")
        .unwrap()
        .split(", ")
        .map(|s| s.split_once(';').unwrap().0)
        .collect();
    assert_eq!(stages, ["access", "request", "plan", "query", "respond"]);
    let metrics = server.get("/metrics").await.body;
    for line in [
        "restway_requests_total{object=\"sales/customers\",status=\"2xx\"} 3",
        "restway_requests_total{object=\"other\",status=\"2xx\"} 1",
        "restway_request_duration_seconds_count 4",
    ] {
        assert!(metrics.lines().any(|other| other == line), "{line}\n{metrics}");
    }
    let told: Vec<String> = server
        .heard
        .0
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match event {
            Event::RequestAnswered { method, path, status, .. } => {
                Some(format!("{method} {path} {status}"))
            }
            _ => None,
        })
        .collect();
    let customers = "GET /rest/v1/sales/customers 200";
    assert_eq!(told, ["GET /live 200", customers, customers, customers, "GET /metrics 200"]);
    server.stop().await;
}

#[tokio::test]
async fn people_and_programs_find_what_there_is() {
    let server = running(|_| {}).await;
    let page = server.get("/").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(!page.body.contains("staff"), "{}", page.body);
    // Each link of the page leads somewhere.
    let links: Vec<String> = page
        .body
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split_once('"').unwrap().0.replace("&amp;", "&"))
        .collect();
    assert_eq!(links.len(), 1 + 3 * 2 + 4, "{links:?}");
    for link in links {
        let expected = if link.contains("/later") { 503 } else { 200 };
        let reply = server.get(&link).await;
        assert_eq!(reply.status, expected, "{link}: {}", reply.body);
    }
    let document = server.get("/openapi.json").await.json();
    for path in document["paths"].as_object().unwrap().keys() {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    assert_eq!(server.get("/ready").await.body, "ready\n");
    server.stop().await;
}

#[tokio::test]
async fn a_lake_that_cannot_be_read_is_not_ready_and_says_nothing_outside() {
    let server = running(|_| {}).await;
    let log = server._folder.path().join("tables/shop/customers/_delta_log");
    for entry in fs_err::read_dir(log).unwrap() {
        fs_err::write(entry.unwrap().path(), "damaged").unwrap();
    }
    assert_eq!(server.get("/ready").await.status, 503);
    let reply = server.get("/rest/v1/sales/customers").await;
    assert_eq!(reply.status, 500);
    for inside in ["shop", "_delta_log", "tables"] {
        assert!(!reply.body.contains(inside), "{}", reply.body);
    }
    assert!(server.warnings().len() >= 2, "{:?}", server.warnings());
    server.stop().await;
}

#[tokio::test]
async fn an_address_that_cannot_or_may_not_be_used_is_explained() {
    let (settings, _, _folder) = settings("0.0.0.0:0").await;
    let publisher = settings.publisher.clone();
    let (observer, clock) = (settings.observer.clone(), settings.clock.clone());
    let error = Server::bind(settings).await.err().unwrap();
    assert!(matches!(error, ServerError::BeyondLoopback { .. }), "{error}");
    assert_eq!(error.code(), Code::ListenFailed);

    let new = |listen: SocketAddr| {
        ServerSettings::new(listen, publisher.clone(), observer.clone(), clock.clone())
    };
    let allowed = ServerSettings { beyond_loopback: true, ..new("0.0.0.0:0".parse().unwrap()) };
    assert!(Server::bind(allowed).await.is_ok());

    let first = Server::bind(new("127.0.0.1:0".parse().unwrap())).await.unwrap();
    let taken = first.url().strip_prefix("http://").unwrap().parse().unwrap();
    let error = Server::bind(new(taken)).await.err().unwrap();
    assert!(matches!(error, ServerError::Listen { .. }) && !error.hints().is_empty(), "{error}");
}

#[tokio::test]
async fn rows_stream_over_the_socket() {
    let server = running(|_| {}).await;
    let target = "/rest/v1/sales/customers?$fields=id";
    let rows = server.ask("GET", target, "accept: application/x-ndjson\r\n").await;
    assert_eq!(rows.header("content-type"), Some("application/x-ndjson; charset=utf-8"));
    let count = server.get(&format!("{target}&$count=true")).await.json()["count"].clone();
    assert!(rows.body.contains(&format!("{{\"$end\":true,\"count\":{count}}}\n")), "{}", rows.body);
    let refused = server.ask("GET", &format!("{target}&$limit=x"), "accept: text/csv\r\n").await;
    assert_eq!((refused.status, refused.json()["status"].clone()), (400, 400.into()));
    let head = server.ask("HEAD", target, "accept: text/csv\r\n").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    server.stop().await;
}
