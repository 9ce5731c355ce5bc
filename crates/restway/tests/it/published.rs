//! `restway serve`, asked as a stranger's program would.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::support::{Api, Workspace};

const APP: &str = "app: shop
access: { anonymous: { customers: [filter] } }
objects:
  customers: { from: open.customers, key: [id], default_fields: [id, name] }
  hidden: { from: open.customers, key: [id] }
";

pub(crate) struct Serving {
    child: Child,
    pub(crate) address: String,
}

impl Serving {
    pub(crate) fn start(workspace: &Workspace) -> Self {
        Self::start_with(workspace, &[])
    }

    /// With variables of the environment.
    pub(crate) fn start_with(workspace: &Workspace, variables: &[(&str, &str)]) -> Self {
        let mut child = workspace
            .command(&["serve", "--listen", "127.0.0.1:0", "--json"])
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut said = String::new();
        while !said.contains('}') && out.read_line(&mut said).expect("it says its address") > 0 {}
        let said: Value = serde_json::from_str(&said).expect("JSON");
        let url = said["url"].as_str().expect("a URL");
        Self { child, address: url.trim_start_matches("http://").to_owned() }
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).expect("it is read");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it ends");
        let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_table_is_published_as_its_app_says() {
    let api = Api::start();
    let workspace = Workspace::new();
    workspace.write("apis/open.yaml", &api.open_file("  customers: /open/none"));
    workspace.write("apps/shop.yaml", APP);
    workspace.ok(&["sync"]);
    let serving = Serving::start(&workspace);

    let (status, list) = serving.get("/rest/v1/shop/customers");
    assert_eq!(status, 200);
    assert_eq!(list["items"].as_array().map(Vec::len), Some(10));
    assert_eq!((&list["count"], &list["status"]), (&Value::Null, &json!(200)));
    let names: Vec<&String> = list["items"][0].as_object().expect("an object").keys().collect();
    assert_eq!(names, ["id", "name"]);

    let (_, sorted) =
        serving.get("/rest/v1/shop/customers?$sort=-id&$limit=3&$count=true&$fields=id");
    assert_eq!(sorted["items"], json!([{"id": 200}, {"id": 199}, {"id": 198}]));
    assert_eq!(sorted["count"], json!(200));

    let (status, item) = serving.get("/rest/v1/shop/customers/7");
    assert_eq!((status, &item["item"]["id"]), (200, &json!(7)));
    assert_eq!(serving.get("/rest/v1/shop/customers/777").0, 404);
    assert_eq!(serving.get("/rest/v1/shop/customers?colour=red").0, 400);
    assert_eq!(serving.get("/rest/v1/shop/hidden").0, 401);
    assert_eq!(serving.get("/rest/v1/nothing/here").0, 404);
    assert_eq!(serving.get("/live").0, 200);
    assert_eq!(serving.get("/ready").0, 200);

    // What is synced while the server runs is what it answers next.
    workspace.write(
        "apis/open.yaml",
        &api.open_file(
            "  customers: { path: /open/page, query: { per_page: 20 }, records: items }",
        ),
    );
    workspace.ok(&["sync"]);
    let (_, after) = serving.get("/rest/v1/shop/customers?$count=true&$limit=1");
    assert_eq!(after["count"], json!(20));
}

/// Runs a script of SQLite.
pub(crate) fn in_sqlite(file: &std::path::Path, sql: &str) {
    let python = crate::peers::peers().join("venv/bin/python");
    let script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])";
    let done = std::process::Command::new(python).args(["-c", script]).arg(file).arg(sql).status();
    assert!(done.expect("python runs").success());
}

#[test]
fn an_app_mixes_a_database_the_lake_a_saved_query_and_a_live_resource() {
    let api = Api::start();
    let workspace = Workspace::new();
    let file = workspace.path().join("till.db");
    in_sqlite(
        &file,
        "create table sales (id integer primary key, item text, price decimal(8,2)); \
         insert into sales (item, price) values ('a', 1.5), ('b', 2)",
    );
    workspace.write("apis/open.yaml", &api.open_file("  customers: /open/none"));
    workspace.write(
        "apps/mixed.yaml",
        "app: mixed\nobjects: { first: { from: queries/frist.sql, key: [id] } }\n",
    );
    workspace.write("queries/first.sql", "---\ntitle: The first\nselect 1");
    let unknown = workspace.run(&["check"]);
    assert_eq!(unknown.code, 2, "{}", unknown.err);
    assert!(unknown.err.contains("there is no saved query `frist`"), "{}", unknown.err);
    assert!(unknown.err.contains("did you mean `first`?"), "{}", unknown.err);
    workspace.write(
        "queries/first.sql",
        "---\ntitle: The first\nparams: { upto: { type: integer, default: 2 } }\n---\n\
         select id, name from open.customers where id <= $upto;\n",
    );
    workspace.write(
        "apps/mixed.yaml",
        "app: mixed
sources:
  till: { type: sqlite, path: till.db }
  far: { type: postgres, url: 'postgres://me@127.0.0.1:1/${env.FAR}' }
access: { anonymous: all }
objects:
  sales: { from: till.sales }
  far: { from: far.sales }
  customers: { from: open.customers, key: [id] }
  first: { from: queries/first.sql, key: [id] }
  now: { from: live.open.customers, key: [id] }
",
    );
    // A server reaches no address of its own machine that it was not told of.
    let host = api.url().trim_start_matches("http://").trim_end_matches('/').to_owned();
    workspace.write("restway.yaml", &format!("workspace: test\negress: {{ allow: ['{host}'] }}\n"));
    workspace.ok(&["sync"]);
    let refused = workspace.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("the source `far` of the app `mixed`"), "{}", refused.err);

    let serving = Serving::start_with(&workspace, &[("FAR", "shop")]);
    let (status, sales) = serving.get("/rest/v1/mixed/sales?$sort=-price");
    assert_eq!(status, 200, "{sales}");
    let expected =
        json!([{"id": 2, "item": "b", "price": 2}, {"id": 1, "item": "a", "price": 1.5}]);
    assert_eq!(sales["items"], expected);
    assert_eq!(serving.get("/rest/v1/mixed/sales/2").1["item"]["item"], json!("b"));
    assert_eq!(serving.get("/rest/v1/mixed/far").0, 503);
    assert_eq!(serving.get("/ready").0, 200, "one database that is down is no reason to wait");
    assert_eq!(serving.get("/rest/v1/mixed/customers/7").0, 200);
    let (status, now) = serving.get("/rest/v1/mixed/now/7");
    assert_eq!((status, &now["item"]["id"]), (200, &json!(7)), "{now}");
    let (_, document) = serving.get("/rest/v1/mixed/openapi.json");
    let summary = &document["paths"]["/rest/v1/mixed/first"]["get"]["summary"];
    assert_eq!(summary, "Items of first: The first");
    let (status, first) = serving.get("/rest/v1/mixed/first");
    assert_eq!((status, first["items"].as_array().map(Vec::len)), (200, Some(2)), "{first}");
    let (_, three) = serving.get("/rest/v1/mixed/first?upto=3&$count=true&$limit=1");
    assert_eq!(three["count"], json!(3));
    let (status, wrong) = serving.get("/rest/v1/mixed/first?upto=x");
    assert_eq!(status, 400);
    assert_eq!(wrong["message"], json!("`upto` must be a whole number of 32 bits"));
}

/// A file of SQLite is in the workspace, however it is named, unless the app says otherwise.
#[test]
fn a_file_outside_is_published_only_where_the_app_says_so() {
    let workspace = Workspace::new();
    let elsewhere = tempfile::TempDir::new().expect("a folder");
    let file = elsewhere.path().join("till.db");
    let sql = "create table sales (id integer primary key); insert into sales values (1)";
    in_sqlite(&file, sql);
    in_sqlite(&workspace.path().join("own.db"), sql);
    let app = |url: &str, more: &str| {
        format!(
            "app: mixed\nsources: {{ till: {{ type: sqlite, url: '{url}'{more} }} }}\n\
             access: {{ anonymous: all }}\nobjects: {{ sales: {{ from: till.sales }} }}\n"
        )
    };
    let outside = format!("sqlite:{}", file.display());
    workspace.write("apps/mixed.yaml", &app(&outside, ""));
    let refused = workspace.run(&["check"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("outside of the workspace"), "{}", refused.err);
    assert!(refused.err.contains("outside: true"), "{}", refused.err);
    workspace.write("apps/mixed.yaml", &app("${env.TILL}", ""));
    for url in [outside.as_str(), "sqlite://../till.db", "sqlite:own.db?mode=rwc", "postgres://x"] {
        let mut serve = workspace.command(&["serve", "--listen", "127.0.0.1:0"]);
        let refused = serve.env("TILL", url).output().expect("it runs");
        assert_eq!(refused.status.code(), Some(2), "{url}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("the source `till` of the app `mixed`"), "{url}: {said}");
        assert!(!said.contains("till.db"), "{said}");
    }
    for (more, url) in [(", outside: true", outside.as_str()), ("", "sqlite:own.db")] {
        workspace.write("apps/mixed.yaml", &app("${env.TILL}", more));
        let serving = Serving::start_with(&workspace, &[("TILL", url)]);
        let (status, sales) = serving.get("/rest/v1/mixed/sales");
        assert_eq!((status, &sales["items"]), (200, &json!([{"id": 1}])), "{sales}");
    }
}

/// A caller who leaves before there is anything to send ends what was asked for him: the one
/// connection of the source is free for the next.
#[test]
fn a_statement_ends_with_its_caller_before_the_first_byte() {
    let workspace = Workspace::new();
    in_sqlite(
        &workspace.path().join("till.db"),
        "create table sales (id integer primary key); insert into sales values (1)",
    );
    workspace.write(
        "apps/mixed.yaml",
        "app: mixed
sources: { till: { type: sqlite, path: till.db, connections: 1 } }
access: { anonymous: all }
objects:
  sales: { from: till.sales }
  endless:
    from:
      source: till
      sql: >-
        with recursive e(x) as (select 1 union all select x + 1 from e) select max(x) as id from e
    key: [id]
",
    );
    let serving = Serving::start(&workspace);
    for format in ["json", "ndjson"] {
        assert_eq!(serving.get("/rest/v1/mixed/sales").0, 200);
        let mut stream = TcpStream::connect(&serving.address).expect("it listens");
        let request = format!(
            "GET /rest/v1/mixed/endless?$format={format} HTTP/1.1\r\nHost: {}\r\n\r\n",
            serving.address
        );
        stream.write_all(request.as_bytes()).expect("it is read");
        // By now the statement is under way: these go by the same door, one after the other.
        for _ in 0..50 {
            assert_eq!(serving.get("/live").0, 200);
        }
        drop(stream);
        let (status, sales) = serving.get("/rest/v1/mixed/sales");
        assert_eq!(status, 200, "{format}: {sales}");
    }
}
