//! Events of an app that run webhooks: what another api says becomes part of the row, or there is
//! no row.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::published::{Serving, in_sqlite};
use crate::support::{Api, Workspace};

const TILL: &str = "
create table accounts (id integer primary key, company_name text not null, plan text,
    remote_id integer unique, first_tag text, remote text);
create table tags (account integer not null, tag text not null);
";

const HOOKS: &str = "webhooks:
  create:
    params:
      name: { type: string }
      tags: { type: list, of: { type: string }, default: [] }
      plan: { type: string, one_of: [free, pro], required: false }
    calls:
      - id: made
        method: POST
        path: /v1/customers
        json: { name: '${param.name}', tags: '${param.tags}' }
        idempotency: { header: Idempotency-Key }
    outputs:
      id: made.id
      tags: { from: made.tags, type: list }
      first_tag: { from: 'made.tags[0]', required: false }
      whole: { from: made, type: record }
  broken:
    calls: [{ id: gone, method: GET, path: /fault/status/404 }]
";

const APP: &str = "app: shop
sources: { till: { type: sqlite, path: till.db } }
access: { anonymous: all }
objects:
  accounts:
    from: till.accounts
    idempotency: true
    validate:
      - { id: named, rule: \"company_name <> 'nobody'\", message: Name it, field: company_name }
      - { id: low, on: [update], rule: 'remote_id is null or remote_id < 5000', message: too high }
    on:
      insert:
        - call: demo.create
          with: { name: 'Company ${row.company_name}', plan: '${row.plan}', tags: [a, 'b\"c'] }
          set: { remote_id: caller.id, first_tag: caller.first_tag, remote: caller.whole }
          sql:
            - insert into tags select ${row.id}, value from json_each(${caller.tags})
      update:
        - { call: demo.broken }
  tags: { from: till.tags, key: [account, tag] }
";

struct Shop {
    api: Api,
    serving: Serving,
    workspace: Workspace,
}

impl Shop {
    fn open() -> Self {
        let api = Api::start();
        let workspace = Workspace::new();
        in_sqlite(&workspace.path().join("till.db"), TILL);
        let (url, client) = (api.url(), api.get().client_id());
        let auth = format!(
            "{{ type: oauth2, token_url: {url}/oauth/token, client_id: {client}, \
             client_secret: '${{env.DEMO_SECRET}}' }}"
        );
        let file = format!("api: demo\nbase_url: {url}\nauth: {auth}\n{HOOKS}");
        workspace.write("apis/demo.yaml", &file);
        workspace.write("apps/shop.yaml", APP);
        let egress =
            format!("workspace: test\negress: {{ allow: [\"{}\"] }}\n", api.get().address());
        workspace.write("restway.yaml", &egress);
        workspace.ok(&["check"]);
        let variables = [("DEMO_SECRET", api.get().client_secret())];
        let serving = Serving::start_with(&workspace, &variables);
        Self { api, serving, workspace }
    }

    fn send(&self, method: &str, path: &str, headers: &str, body: &Value) -> (u16, Value) {
        let address = &self.serving.address;
        let body = body.to_string();
        let mut stream = TcpStream::connect(address).expect("it listens");
        write!(
            stream,
            "{method} /rest/v1/shop/{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             {headers}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("it is read");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it ends");
        let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn get(&self, path: &str) -> Value {
        self.send("GET", path, "", &Value::Null).1
    }

    fn made(&self) -> u64 {
        self.api.get().count("/v1/customers")
    }
}

#[test]
fn what_another_api_answers_is_in_the_row_and_its_list_in_rows_of_their_own() {
    let shop = Shop::open();
    let item = json!({"item": {"id": 1, "company_name": "O'Neil \"<&>\"", "plan": "pro"}});
    let (status, answer) = shop.send("POST", "accounts", "", &item);
    assert_eq!(status, 200, "{answer}");
    let row = &answer["item"];
    assert!(row["remote_id"].as_u64().is_some_and(|id| id > 0), "{row}");
    assert_eq!((&row["first_tag"], &row["plan"]), (&json!("a"), &json!("pro")));
    let remote: Value =
        serde_json::from_str(row["remote"].as_str().expect("a text")).expect("JSON");
    assert_eq!(remote["name"], json!("Company O'Neil \"<&>\""));
    assert_eq!(&shop.get("accounts/1")["item"], row);
    let tags = shop.get("tags?$sort=tag");
    assert_eq!(tags["items"], json!([{"account": 1, "tag": "a"}, {"account": 1, "tag": "b\"c"}]));
    let runs = shop.workspace.json(&["runs"]);
    assert_eq!(runs["runs"][0]["subject"], json!("demo.create"), "{runs}");
    let id = runs["runs"][0]["run"].as_str().expect("an id").to_owned();
    let run = shop.workspace.json(&["runs", "show", &id]);
    assert_eq!(run["webhook"]["person"], json!("anonymous"), "{run}");
}

#[test]
fn a_row_that_may_not_be_calls_nobody_and_a_call_that_fails_leaves_no_row() {
    let shop = Shop::open();
    let refused = json!({"item": {"id": 1, "company_name": "nobody"}});
    assert_eq!(shop.send("POST", "accounts", "", &refused).0, 400);
    let good = json!({"item": {"id": 1, "company_name": "one"}});
    let (status, _) = shop.send("POST", "accounts?$validate=true", "", &good);
    assert_eq!((status, shop.made()), (200, 0), "what only validates calls nobody");
    // The parameter's choices are the webhook's own, and are looked at before anything is sent.
    let unfit = json!({"item": {"id": 1, "company_name": "one", "plan": "gold"}});
    let (status, answer) = shop.send("POST", "accounts", "", &unfit);
    assert_eq!((status, shop.made()), (502, 0), "{answer}");
    let long = json!({"item": {"id": 1, "company_name": "x".repeat(300)}});
    let (status, answer) = shop.send("POST", "accounts", "", &long);
    assert_eq!((status, shop.made()), (502, 1), "{answer}");
    assert!(!answer.to_string().contains("demo.create"), "{answer}");
    let many = json!({"items": [{"company_name": "a"}, {"company_name": "b"}]});
    let (status, answer) = shop.send("POST", "accounts", "", &many);
    assert_eq!((status, shop.made()), (400, 1), "{answer}");
    assert_eq!(shop.get("accounts?$count=true")["count"], json!(0));

    assert_eq!(shop.send("POST", "accounts", "", &good).0, 200);
    let before = shop.get("accounts/1");
    let change = json!({"item": {"company_name": "two"}});
    let (status, answer) = shop.send("PATCH", "accounts/1", "", &change);
    assert_eq!(status, 502, "{answer}");
    assert_eq!(shop.get("accounts/1"), before);
}

#[test]
fn a_request_that_comes_again_calls_by_the_same_key() {
    let shop = Shop::open();
    in_sqlite(
        &shop.workspace.path().join("till.db"),
        "create trigger stop before insert on tags begin select raise(abort, 'full'); end;",
    );
    let item = json!({"item": {"id": 1, "company_name": "one"}});
    let key = "Idempotency-Key: again\r\n";
    let (status, answer) = shop.send("POST", "accounts", key, &item);
    assert!(status >= 400, "{answer}");
    in_sqlite(&shop.workspace.path().join("till.db"), "drop trigger stop;");
    let (status, answer) = shop.send("POST", "accounts", key, &item);
    assert_eq!(status, 200, "{answer}");
    let (status, replayed) = shop.send("POST", "accounts", key, &item);
    assert_eq!((status, &replayed["item"]), (200, &answer["item"]));
    let seen = shop.api.get().requests();
    let keys: Vec<String> =
        seen.into_iter().filter_map(|request| request.idempotency_key).collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn a_binding_that_names_what_is_not_there_is_refused_by_check() {
    let workspace = Workspace::new();
    in_sqlite(&workspace.path().join("till.db"), TILL);
    let file = format!("api: demo\nbase_url: https://h.example\n{HOOKS}");
    workspace.write("apis/demo.yaml", &file);
    let wrong = APP
        .replace("demo.broken", "demo.brokn")
        .replace("plan: '${row.plan}'", "plann: '${row.plan}'")
        .replace("caller.first_tag", "caller.frist_tag");
    workspace.write("apps/shop.yaml", &wrong);
    let said = workspace.run(&["check"]);
    assert_eq!(said.code, 2, "{}", said.err);
    for expected in [
        "`demo` has no webhook `brokn`",
        "did you mean `broken`?",
        "`demo.create` has no parameter `plann`",
        "`demo.create` has no output `frist_tag`",
    ] {
        assert!(said.err.contains(expected), "{}", said.err);
    }
    let wrong = APP
        .replace("caller.first_tag", "created.first_tag")
        .replace("json_each(${caller.tags})", "json_each('${caller.tags}')")
        .replace("update:\n        -", "filter:\n        -");
    workspace.write("apps/shop.yaml", &wrong);
    let said = workspace.run(&["check"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("write `caller.OUTPUT`"), "{}", said.err);
}
