//! Tables that become others while they are published, and connections that end.

use std::sync::Arc;

use futures::future::join_all;
use restway_model::Limits;
use restway_model::definition::{self, AppFile, SourceKind};
use restway_publish::{App, Dialect, Publisher};
use serde_json::{Value, json};

use crate::databases::{self, Database, Nobody, Real, get};

const APP: &str = "
app: shop
sources: { shop: { type: KIND, url: '${secret.shop}' } }
access: { anonymous: all }
objects:
  turned: { from: shop.turned, key: [id] }
  asked: { from: { source: shop, sql: select * from turned }, key: [id] }
";

async fn made(database: &Database) {
    let sql = "CREATE TABLE turned (id bigint NOT NULL PRIMARY KEY, n int, word varchar(9));
               INSERT INTO turned VALUES (1, 7, '8'), (2, NULL, NULL);";
    database.run(sql).await;
}

async fn item(publisher: &Publisher, target: &str) -> Value {
    let (response, body) = get(publisher, target).await;
    assert_eq!(response.status, 200, "{target}: {body}");
    body["item"].clone()
}

/// What is asked without a table of its own is described anew too.
#[tokio::test]
async fn a_query_has_the_columns_that_its_table_has_now() {
    for database in
        [databases::sqlite().await, databases::postgres().await, databases::mariadb().await]
    {
        made(&database).await;
        let publisher = database.publisher_of(APP, 1);
        assert_eq!(item(&publisher, "asked/1").await, json!({"id": 1, "n": 7, "word": "8"}));
        database.run("ALTER TABLE turned RENAME COLUMN word TO text").await;
        assert_eq!(item(&publisher, "asked/1").await, json!({"id": 1, "n": 7, "text": "8"}));
    }
}

/// Connections that have prepared what is no longer so are not asked again.
#[tokio::test]
async fn no_connection_answers_for_a_table_that_was() {
    for database in [databases::postgres().await, databases::mariadb().await] {
        made(&database).await;
        let publisher = database.publisher_of(APP, 6);
        for target in ["turned/1", "asked/1"] {
            for answer in join_all((0..6).map(|_| item(&publisher, target))).await {
                assert_eq!(answer["n"], json!(7));
            }
        }
        database.run(&altered(&database, "n", "varchar(9)")).await;
        for target in ["turned/1", "asked/1"] {
            assert_eq!(item(&publisher, target).await["n"], json!("7"), "{target}");
        }
    }
}

fn altered(database: &Database, column: &str, kind: &str) -> String {
    match database.kind() {
        SourceKind::Postgres => format!(
            "ALTER TABLE turned ALTER COLUMN {column} TYPE {kind} USING CAST({column} AS {kind})"
        ),
        _ => format!("ALTER TABLE turned MODIFY {column} {kind}"),
    }
}

/// No value is read as what its column was: each of these has bytes that could be of the type
/// before it.
#[tokio::test]
async fn a_column_of_another_type_is_read_as_that() {
    for (database, types) in [
        (
            databases::postgres().await,
            [("real", json!(7.0)), ("int", json!(7)), ("text", json!("7"))],
        ),
        (
            databases::mariadb().await,
            [("float", json!(7.0)), ("int", json!(7)), ("text", json!("7"))],
        ),
    ] {
        made(&database).await;
        let publisher = database.publisher_of(APP, 1);
        assert_eq!(item(&publisher, "turned/1").await["n"], json!(7));
        for (at, (kind, expected)) in types.into_iter().enumerate() {
            database.run(&altered(&database, "n", kind)).await;
            // Shapes that no connection has prepared.
            let target = format!("turned/1?$fields={}", ["n", "n,word", "id,n"][at]);
            let found = item(&publisher, &target).await["n"].clone();
            assert_eq!(found.as_f64(), expected.as_f64(), "{kind}: {found}");
            assert_eq!(found.as_str(), expected.as_str(), "{kind}: {found}");
            // Filters of the type that it is now.
            let (response, body) = get(&publisher, "turned?n=7&$fields=id").await;
            assert_eq!((response.status, &body["items"]), (200, &json!([{"id": 1}])), "{body}");
        }
        database.run(&altered(&database, "word", "int")).await;
        let (response, body) = get(&publisher, "turned?word=8&$fields=id").await;
        assert_eq!((response.status, &body["items"]), (200, &json!([{"id": 1}])), "{body}");
    }
}

/// A connection that ended while nobody used it is no reason to refuse a write.
#[tokio::test]
async fn a_write_begins_on_a_connection_that_lives() {
    let database = databases::postgres().await;
    let source = database.source(2);
    for _ in 0..3 {
        let transaction = source.begin().await.expect("a transaction");
        transaction.commit().await.expect("it holds");
        database
            .run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE application_name = 'restway'",
            )
            .await;
    }
    assert_eq!(source.dialect(), Dialect::Postgres);
}

/// An app is described though one of its databases is down, and says what it does not know.
#[tokio::test]
async fn a_database_that_is_down_takes_no_description_with_it() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = closed.local_addr().expect("an address").port();
    drop(closed);
    let url = format!("postgres://me@127.0.0.1:{port}/shop");
    let address = restway_publish::Address::Url(restway_model::Secret::new(url));
    let down = databases::source(SourceKind::Postgres, address, 1);
    let database = databases::sqlite().await;
    let up = database.source(1);
    let text = "
app: shop
sources:
  up: { type: sqlite, path: shop.db }
  down: { type: postgres, url: '${secret.shop}' }
access: { anonymous: all }
objects:
  customers: { from: up.customers }
  far: { from: down.customers, key: [id] }
  wrong: { from: { source: up, sql: select nothing }, key: [id] }
";
    let file: AppFile = definition::read("apps/shop.yaml", text).expect("an app");
    let sources = [("up", Arc::clone(&up)), ("down", down)];
    let sources = sources.map(|(name, source)| (name.parse().expect("a name"), source)).into();
    let app = App { sources, ..App::from(file) };
    let publisher =
        Publisher::new(vec![app], &up, &Limits::default(), Arc::new(Nobody), Arc::new(Real::new()));
    let publisher = publisher.expect("an app");
    let (response, body) = get(&publisher, "openapi.json").await;
    assert_eq!(response.status, 200, "{body}");
    assert!(body["components"]["schemas"]["customers"]["properties"]["name"].is_object());
    for (object, is_known) in [("customers", true), ("far", false), ("wrong", false)] {
        let path = &body["paths"][&format!("/rest/v1/shop/{object}")]["get"];
        let said = path["description"].as_str().expect("a description");
        assert_eq!(!said.contains("not known now"), is_known, "{said}");
    }
}
