//! Who may write which rows and columns, on each database.

use serde_json::{Value, json};

use crate::changes::ask;
use crate::databases::{self, Database};

const APP: &str = "
app: shop
sources: { shop: { type: KIND, url: '${secret.shop}' } }
access:
  anonymous:
    customers:
      events: [filter, insert, update, delete]
      rows: region = 'north'
      read: [name, note]
      write: [region, id, name, note, ratio]
    orders: [filter, delete]
objects:
  customers: { from: shop.customers }
  orders: { from: shop.orders }
";

/// A request, its status, and its first finding.
const CASES: &[(&str, &str, u16, &str)] = &[
    ("POST customers", r#"{"region":"south","id":5,"name":"S"}"#, 403, ""),
    ("POST customers", r#"{"region":"north","id":5,"name":"N","ratio":2}"#, 200, ""),
    ("POST customers/north,5", r#"{"note":"x"}"#, 200, ""),
    ("POST customers/north,5", r#"{"note":"x","region":"south"}"#, 400, "key_changed"),
    ("POST customers/south,1", r#"{"note":"x"}"#, 404, ""),
    ("PUT customers/south,9", r#"{"name":"S"}"#, 403, ""),
    ("DELETE customers/south,1", "", 404, ""),
    // What can neither be read nor written is not there.
    ("POST customers/north,5", r#"{"credit":1}"#, 400, "unknown_field"),
    ("DELETE customers?credit=1.1", "", 400, "unknown_parameter"),
    ("DELETE customers?$q=1.1", "", 200, ""),
    ("PATCH customers?name=Cara", r#"{"note":"taken"}"#, 200, ""),
    ("POST orders", r#"{"amount":1}"#, 401, ""),
];

async fn check(database: Database) {
    let publisher = database.publisher_of(APP, 2);
    for (line, sent, status, finding) in CASES {
        let (response, body) = ask(&publisher, line, "", sent).await;
        assert_eq!(response.status, *status, "{line} {sent}: {body}");
        let found = body["validations"][0]["validationId"].as_str().unwrap_or_default();
        assert_eq!(found, *finding, "{line} {sent}: {body}");
        assert!(!body.to_string().contains("credit\":"), "{line} {sent}: {body}");
    }
    let (_, body) = ask(&publisher, "GET customers/north,5", "", "").await;
    let expected = json!({"region": "north", "id": 5, "name": "N", "note": "x"});
    assert_eq!(body["item"], expected);
    // What belongs to an item is seen by the rights of its own object.
    let (_, body) = ask(&publisher, "GET orders/1?$expand=customers", "", "").await;
    let seen = json!({"region": "north", "id": 1, "name": "Anna", "note": null});
    assert_eq!(body["item"]["customers"], seen, "{body}");
    let south = database.publisher_of(&APP.replace("'north'", "'south'"), 2);
    let (_, body) = ask(&south, "GET orders/1?$expand=customers", "", "").await;
    assert_eq!(body["item"]["customers"], Value::Null, "{body}");
    let closed =
        database.publisher_of(&APP.replace("[filter, insert, update, delete]", "[insert]"), 2);
    let (response, body) = ask(&closed, "GET orders/1?$expand=customers", "", "").await;
    assert_eq!(response.status, 400, "{body}");
    let all = APP.replace("rows: region = 'north'", "").replace("read: [name, note]", "");
    let everything = database.publisher_of(&all, 2);
    let (_, body) = ask(&everything, "GET customers/south,1", "", "").await;
    assert_eq!(body["item"]["note"], json!(""), "another's row was left alone");
    let (_, body) = ask(&everything, "GET customers?region=south&$count=true", "", "").await;
    assert_eq!(body["count"], Value::from(1));
}

#[tokio::test]
async fn sqlite_is_written_by_rights() {
    check(databases::sqlite().await).await;
}

#[tokio::test]
async fn postgres_is_written_by_rights() {
    check(databases::postgres().await).await;
}

#[tokio::test]
async fn mariadb_is_written_by_rights() {
    check(databases::mariadb().await).await;
}
