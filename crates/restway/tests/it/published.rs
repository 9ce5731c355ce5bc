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

struct Serving {
    child: Child,
    address: String,
}

impl Serving {
    fn start(workspace: &Workspace) -> Self {
        let mut child = workspace
            .command(&["serve", "--listen", "127.0.0.1:0", "--json"])
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
