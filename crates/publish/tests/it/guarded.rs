//! What a change must not tell and must not touch, on each database: columns and rows that the
//! caller does not see, versions, digits; and what it says of what cannot be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use restway_model::Seal;
use restway_model::definition::SourceKind;
use restway_publish::{Credential, Identifying, Identities, Principal, Publisher, Response};
use serde_json::{Value, json};

use crate::changes::{ask, header};
use crate::databases::{self, Database};

/// `anonymous` reads and makes, `writers` change; `credit` is hidden from both.
const APP: &str = "
app: shop
sources: { shop: { type: KIND, url: '${secret.shop}' } }
access:
  anonymous:
    customers:
      events: [filter, insert]
      rows: region <> 'south'
      read: [name, note, extra]
      write: [region, id, name, note, extra]
    named: { events: [filter, insert], read: [name, note], write: [name, note] }
    strict: { events: [filter, insert, update], read: [name, note] }
    ruled:
      events: [filter, insert, update]
      read: [name, note]
      write: [region, id, name, note]
    blind: { events: [update], write: [note] }
  writers:
    customers: { events: [update, delete], write: [note, extra] }
    named: { events: [update], write: [note] }
objects:
  customers: { from: shop.customers }
  named: { from: shop.customers }
  strict: { from: shop.customers, require_match: true }
  blind: { from: shop.customers }
  ruled:
    from: shop.customers
    validate:
      - { id: rich, rule: 'credit is null or credit < 1', field: credit,
          message: '${row.name} has ${row.credit}' }
";

/// Whoever shows a key is a writer.
struct Writers;

impl Identities for Writers {
    fn identify<'a>(&'a self, _: &'a Credential) -> Identifying<'a> {
        let groups = BTreeSet::from(["writers".to_owned()]);
        let (id, user, claims) = ("key 1".to_owned(), "jo".to_owned(), BTreeMap::new());
        Box::pin(async { Ok(Some(Principal { id, user, groups, claims })) })
    }
}

const KEY: &str = "x-api-key: k";
const STEPS: &str = "x-api-key: k\ncontent-type: application/json-patch+json";
const MERGES: &str = "x-api-key: k\nprefer: resolution=merge-duplicates";

/// A request, headers, a body, its status, and words of its answer.
type Case = (&'static str, &'static str, &'static str, u16, &'static str);

const CASES: &[Case] = &[
    // Steps go over what is seen.
    (
        "PATCH customers/north,1",
        STEPS,
        r#"[{"op":"copy","from":"/credit","path":"/note"}]"#,
        400,
        "nothing is at its `from`",
    ),
    (
        "PATCH customers/north,1",
        STEPS,
        r#"[{"op":"test","path":"/credit","value":1.10}]"#,
        400,
        "nothing is at its `path`",
    ),
    (
        "PATCH customers/north,1",
        STEPS,
        r#"[{"op":"test","path":"/name","value":"Anna"},{"op":"add","path":"/note","value":"s"}]"#,
        200,
        r#""note":"s""#,
    ),
    ("PATCH blind/north,1", STEPS, r#"[{"op":"test","path":"/id","value":1}]"#, 403, ""),
    // What is there already is changed by the rights of who changes.
    (
        "POST customers",
        MERGES,
        r#"{"region":"north","id":1,"name":"Taken","note":"t"}"#,
        400,
        "`name` can be read only",
    ),
    ("POST customers", MERGES, r#"{"region":"north","id":1,"note":"u"}"#, 200, r#""note":"u""#),
    (
        "POST customers",
        MERGES,
        r#"{"items":[{"region":"north","id":1,"name":"Taken"},{"region":"north","id":6,"name":"N"}]}"#,
        400,
        "`name` can be read only",
    ),
    // It has a version.
    (
        "POST strict",
        "prefer: resolution=merge-duplicates",
        r#"{"region":"north","id":1,"name":"A"}"#,
        428,
        "",
    ),
    (
        "POST strict",
        "prefer: resolution=merge-duplicates\nif-match: \"00\"",
        r#"{"region":"north","id":1,"name":"A"}"#,
        412,
        "",
    ),
    (
        "POST strict",
        "prefer: resolution=merge-duplicates\nif-match: *",
        r#"{"region":"north","id":1,"name":"Anna"}"#,
        200,
        r#""name":"Anna""#,
    ),
    (
        "POST strict",
        "prefer: resolution=merge-duplicates\nif-match: *",
        r#"{"region":"north","id":77,"name":"Nobody"}"#,
        412,
        "",
    ),
    ("PATCH strict/north,1", "if-none-match: \"junk\"", r#"{"note":"x"}"#, 428, ""),
    ("PUT strict/north,1", "if-none-match: junk", r#"{"name":"x"}"#, 428, ""),
    ("PUT strict/north,1", "if-none-match: *", r#"{"name":"x"}"#, 412, ""),
    // A filter names rows that are seen; another's may be changed by its key.
    ("PATCH customers?name=Cara", KEY, r#"{"note":"found"}"#, 200, "no items"),
    ("DELETE customers?$q=Cara", KEY, "", 200, "no items"),
    ("PATCH blind?$q=Anna", "", r#"{"note":"found"}"#, 200, "no items"),
    ("PATCH customers/south,1", KEY, r#"{"note":"by its key"}"#, 200, r#""item":null"#),
    ("DELETE customers?name=Anna&$validate=true", KEY, "", 409, ""),
    // A rule tells of what is seen.
    ("POST ruled/north,1", "", r#"{"note":"x"}"#, 400, r#""message":"Anna has …""#),
    (
        "POST ruled",
        "",
        r#"{"region":"north","id":9,"name":7}"#,
        400,
        "`name` is a text: write it in quotes",
    ),
    // A key is given by who may give one.
    ("PUT named/north,78", KEY, r#"{"name":"x"}"#, 400, "`region` can be read only"),
    // Lines are counted as they are, items without the empty ones.
    (
        "POST customers",
        "content-type: application/x-ndjson",
        "\n{\"region\":\"north\",\"id\":8,\"name\":\"L\"}\n\n{\"region\": ,}\n",
        400,
        "line 4, column 12: expected value",
    ),
    ("DELETE customers?name=Dora&$validate=true", KEY, "", 200, "1 would be deleted"),
];

fn publisher(database: &Database) -> Publisher {
    database.publisher_of(APP, 2).knowing(Arc::new(Writers))
}

fn text(response: &Response) -> &str {
    std::str::from_utf8(&response.body).expect("text")
}

async fn check(database: &Database) {
    let publisher = publisher(database);
    for (line, headers, sent, status, words) in CASES {
        let (response, body) = ask(&publisher, line, headers, sent).await;
        assert_eq!(response.status, *status, "{line} {sent}: {body}");
        assert!(text(&response).contains(words), "{line} {sent}: {body}");
        assert!(!text(&response).contains("1.10"), "{line} {sent}: {body}");
        assert!(!text(&response).contains(r#""field":"credit""#), "{line} {sent}: {body}");
    }
    let (_, body) = ask(&publisher, "GET strict/south,1", "", "").await;
    assert_eq!(body["item"]["note"], json!("by its key"));
}

/// A seal with another key.
struct Other;

impl Seal for Other {
    fn seal(&self, _: &[u8], _: &str) -> Option<Vec<u8>> {
        None
    }

    fn open(&self, _: &[u8], _: &str) -> Option<Vec<u8>> {
        None
    }

    fn mark(&self, bytes: &[u8], _: &str) -> [u8; 32] {
        [u8::try_from(bytes.len() % 251).unwrap_or_default(); 32]
    }
}

/// A tag cannot be made without the key, and whoever may not see a row gets none of it.
async fn tags(database: &Database) {
    let tag = async |publisher: &Publisher| {
        let (read, _) = ask(publisher, "GET customers/north,1", "", "").await;
        header(&read, "etag").expect("a tag").to_owned()
    };
    let (one, same) = (publisher(database), publisher(database));
    let other = publisher(database).with_seal(Arc::new(Other));
    assert_eq!(tag(&one).await, tag(&same).await);
    assert_ne!(tag(&one).await, tag(&other).await);
    let (told, _) = ask(&one, "PATCH blind/north,1", "", r#"{"note":"b"}"#).await;
    assert_eq!((told.status, header(&told, "etag")), (200, None));
    let (told, _) = ask(&one, "PATCH blind/north,1", "if-match: \"0\"", r#"{"note":"b"}"#).await;
    assert_eq!((told.status, header(&told, "etag")), (412, None));
    let (told, _) = ask(&one, "PATCH strict/north,1", "if-match: \"0\"", r#"{"note":"b"}"#).await;
    assert_eq!(told.status, 412);
    assert!(header(&told, "etag").is_some());
}

/// Digits that nobody sent anew stay what they are, and those that are sent are written.
async fn digits(database: &Database) {
    const LONG: &str = "12345678901234567890.123456789";
    let set = format!(
        "UPDATE customers SET extra = '{{\"a\": 1, \"n\": {LONG}}}' WHERE region = 'north' AND id = 1"
    );
    database.run(&set).await;
    let publisher = publisher(database);
    let (told, body) =
        ask(&publisher, "PATCH customers/north,1", KEY, r#"{"extra":{"b":2}}"#).await;
    assert_eq!(told.status, 200, "{body}");
    assert!(text(&told).contains(LONG) && body["item"]["extra"]["b"] == 2, "{}", text(&told));
    let step = format!(r#"[{{"op":"replace","path":"/extra/a","value":{LONG}1}}]"#);
    let (told, body) = ask(&publisher, "PATCH customers/north,1", STEPS, &step).await;
    assert_eq!(told.status, 200, "{body}");
    assert!(text(&told).contains(&format!("{LONG}1")), "{}", text(&told));
    assert_eq!(text(&told).matches(LONG).count(), 2, "{}", text(&told));
}

/// What lies deep stays where it is; what is sent as deep is not merged, and said so.
async fn depth(database: &Database) {
    let deep = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
    let sent = format!(r#"{{"extra":{deep}}}"#);
    let publisher = publisher(database);
    let keys = "x-api-key: k\nprefer: return=minimal";
    for (line, sent, status) in [
        ("POST customers/north,1", &*sent, 200),
        ("PATCH customers/north,1", r#"{"extra":{"b":2}}"#, 200),
        ("PATCH customers/north,1", &*sent, 400),
    ] {
        let (told, body) = ask(&publisher, line, keys, sent).await;
        assert_eq!(told.status, status, "{line}: {body}");
    }
    let steps = format!("{keys}\ncontent-type: application/json-patch+json");
    let path = "/a".repeat(100);
    let step = format!(r#"[{{"op":"replace","path":"/extra{path}/a/a","value":1}}]"#);
    let (told, body) = ask(&publisher, "PATCH customers/north,1", &steps, &step).await;
    assert_eq!(told.status, 200, "what was deep is there: {body}");
    let (told, body) =
        ask(&publisher, "PATCH customers/north,1", KEY, r#"{"extra":{"a":1}}"#).await;
    assert_eq!((told.status, &body["item"]["extra"]), (200, &json!({"a": 1, "b": 2})));
}

const SMALL: &str = "
app: shop
sources: { shop: { type: KIND, url: '${secret.shop}' } }
access: { anonymous: all }
objects:
  small: { from: shop.small, idempotency: true }
";

/// Values that only the database can refuse are the caller's mistakes.
async fn refused(database: &Database, sent: &[&str]) {
    let (number, json) = database.counted();
    database.run(&format!("CREATE TABLE small (id {number}, n integer, extra {json})")).await;
    let publisher = database.publisher_of(SMALL, 2);
    for sent in sent {
        let (told, body) = ask(&publisher, "POST small", "", sent).await;
        assert_eq!(told.status, 400, "{body}");
        assert_eq!(body["validations"][0]["validationId"], json!("value"), "{body}");
        let (told, body) = ask(&publisher, "POST small", "", r#"{"n":1}"#).await;
        assert_eq!(told.status, 200, "{body}");
    }
}

/// Writers at the same time: of one key that is new, of one item in two orders, and all with keys
/// that are remembered in a table that nobody has made yet.
async fn crowd(database: Database) {
    const WRITERS: usize = 4;
    if database.kind() == SourceKind::Postgres {
        // It looks for deadlocks after a second otherwise.
        database.run("ALTER SYSTEM SET deadlock_timeout = '10ms'").await;
        database.run("SELECT pg_reload_conf()").await;
    }
    database.run("CREATE TABLE small (id bigint PRIMARY KEY, n bigint)").await;
    let publisher = Arc::new(database.publisher_of(SMALL, 6));
    let writers = (0..WRITERS).map(|writer| {
        let publisher = Arc::clone(&publisher);
        tokio::spawn(async move {
            let key = format!("idempotency-key: first-{writer}");
            let sent = json!({ "id": 1_000 + writer, "n": 0 }).to_string();
            written(&publisher, "POST small", &key, &sent).await;
            let (one, two) = (writer % 2, 1 - writer % 2);
            let both = json!({ "items": [{"id": one, "n": 1}, {"id": two, "n": 2}] });
            let new = (0..8).map(|id| ("POST small", json!({ "id": id, "n": writer })));
            for (line, sent) in new.chain((0..8).map(|_| ("PATCH small", both.clone()))) {
                let merges = "prefer: resolution=merge-duplicates";
                written(&publisher, line, merges, &sent.to_string()).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer");
    }
    let (_, body) = ask(&publisher, "GET small?$count=true", "", "").await;
    assert_eq!(body["count"], Value::from(8 + WRITERS));
}

/// Written, if need be when the answer says that it should be sent again.
async fn written(publisher: &Publisher, line: &str, headers: &str, sent: &str) {
    for _ in 0..1_000 {
        let (told, body) = ask(publisher, line, headers, sent).await;
        match told.status {
            503 => assert!(header(&told, "retry-after").is_some(), "{body}"),
            status => return assert_eq!(status, 200, "{body}"),
        }
    }
    panic!("{line} {sent}: never written");
}

async fn all(database: Database, sent: &[&str]) {
    check(&database).await;
    tags(&database).await;
    digits(&database).await;
    refused(&database, sent).await;
}

#[tokio::test]
async fn sqlite_keeps_what_is_not_the_callers() {
    let database = databases::sqlite().await;
    depth(&database).await;
    all(database, &[]).await;
}

#[tokio::test]
async fn postgres_keeps_what_is_not_the_callers() {
    let database = databases::postgres().await;
    let deep = format!("{{\"extra\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    depth(&database).await;
    all(database, &[r#"{"n":3000000000}"#, r#"{"extra":"a\u0000b"}"#, &deep]).await;
}

#[tokio::test]
async fn mariadb_keeps_what_is_not_the_callers() {
    all(databases::mariadb().await, &[r#"{"n":3000000000}"#]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_takes_many_writers() {
    crowd(databases::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_takes_many_writers() {
    crowd(databases::mariadb().await).await;
}

/// A column of another type, and a database that ended all its connections, cost nobody an answer.
#[tokio::test]
async fn postgres_may_change_and_restart() {
    let database = databases::postgres().await;
    let publisher = publisher(&database);
    let changed = async |note: &str| {
        let sent = json!({ "note": note }).to_string();
        let (told, body) = ask(&publisher, "PATCH customers/north,1", KEY, &sent).await;
        assert_eq!((told.status, &body["item"]["note"]), (200, &json!(note)), "{body}");
    };
    changed("before").await;
    database.run("ALTER TABLE customers ALTER COLUMN note TYPE varchar(100)").await;
    changed("after").await;
    changed("again").await;
    let ends = "DO $$ BEGIN PERFORM pg_terminate_backend(pid) FROM pg_stat_activity \
                WHERE application_name = 'restway'; END $$";
    database.run(ends).await;
    changed("ended").await;
}
