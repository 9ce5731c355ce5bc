//! Writes over HTTP's terms: one table of cases for each database, and what several writers at
//! once, and a writer that is stopped, leave behind.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;

use restway_publish::{Headers, Publisher, Request, Response};
use serde_json::{Value, json};

use crate::databases::{self, Database};

const APP: &str = "
app: shop
sources: { shop: { type: KIND, url: '${secret.shop}' } }
access:
  anonymous:
    tickets: [filter, insert, update, delete, close]
    strict: [filter, update]
    customers: [filter, insert, update, delete]
    inbox: [insert]
    orders: [filter]
    stamped: [filter, update]
objects:
  tickets:
    from: shop.tickets
    idempotency: true
    validate:
      - { id: most, rule: 'recipients < 100', field: recipients, message: 'not ${row.recipients}' }
      - { id: sure, rule: 'recipients < 32', severity: warning, field: recipients,
          message: '${row.recipients} emails will be sent, are you sure?' }
      - { id: told, rule: 'note is not null -- always', severity: information, message: No note }
      - { id: kept, on: [delete], rule: \"state <> 'kept'\", message: It is kept }
    events:
      close:
        sql: update tickets set state = 'closed', note = ${item.note} where id = ${row.id}
  strict: { from: shop.tickets, require_match: true }
  stamped: { from: shop.tickets, version: recipients }
  inbox: { from: shop.tickets }
  customers: { from: shop.customers }
  orders: { from: shop.orders }
";

async fn with_tickets(database: &Database) {
    let (number, json) = database.counted();
    let table = format!(
        "CREATE TABLE tickets (id {number}, title varchar(20) NOT NULL, recipients bigint, \
         state varchar(10) DEFAULT 'open' NOT NULL, note varchar(200), extra {json}, \
         price decimal(12,2), code varchar(10), \
         twice bigint GENERATED ALWAYS AS (recipients * 2) STORED, \
         CONSTRAINT one_code UNIQUE (code), CONSTRAINT from_zero CHECK (recipients >= 0))"
    );
    database.run(&table).await;
}

/// Asks, with headers one a line.
pub(crate) async fn ask(
    publisher: &Publisher,
    line: &str,
    headers: &str,
    body: &str,
) -> (Response, Value) {
    let (method, target) = line.split_once(' ').expect("a method and a target");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut given = Headers::default();
    let has_type = headers.contains("content-type");
    if !has_type && !body.is_empty() {
        given.add("content-type", b"application/json");
    }
    for (name, value) in headers.lines().filter_map(|line| line.split_once(": ")) {
        given.add(name, value.as_bytes());
    }
    let request = Request {
        method: method.to_owned(),
        path: format!("shop/{path}"),
        query: query.to_owned(),
        headers: given,
        body: body.as_bytes().to_vec(),
        ..Request::default()
    };
    let response = publisher.answer(&request).await;
    let body = match response.body.as_slice() {
        [] => Value::Null,
        body => serde_json::from_slice(body).expect("JSON"),
    };
    (response, body)
}

pub(crate) fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.headers.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
}

/// A request, its status, and places in the answer with what stands there.
type Case =
    (&'static str, &'static str, &'static str, u16, &'static [(&'static str, &'static str)]);

/// Each on a line of its own, as a reader would want them.
const STEPS: &str = r#"[
    {"op":"test","path":"/note","value":"p"},
    {"op":"replace","path":"/extra/a","value":7},
    {"op":"remove","path":"/note"}
]"#;

const CASES: &[Case] = &[
    // What is stored is answered, with defaults and what the database computes.
    (
        "POST tickets",
        "",
        r#"{"item":{"title":"one","recipients":3,"note":"n","price":1.10,"extra":{"a":1,"b":2}}}"#,
        200,
        &[("/item/id", "1"), ("/item/state", "\"open\""), ("/item/twice", "6"), ("/status", "200")],
    ),
    ("POST tickets", "", r#"{"title":"two","note":"n"}"#, 200, &[("/item/id", "2")]),
    // All that is wrong at once, the rules too.
    (
        "POST tickets",
        "",
        r#"{"item":{"titel":1,"recipients":200,"note":"n","price":"x","twice":3,"state":null}}"#,
        400,
        &[
            ("/validations/0/validationId", "\"unknown_field\""),
            ("/validations/0/message", "\"there is no field `titel`: did you mean `title`?\""),
            ("/validations/0/pointer", "\"/item/titel\""),
            ("/validations/1/validationId", "\"type\""),
            ("/validations/2/validationId", "\"read_only\""),
            ("/validations/3/validationId", "\"required\""),
            ("/validations/4/message", "\"`title` must be given\""),
            ("/validations/5/validationId", "\"most\""),
            ("/validations/5/message", "\"not 200\""),
            ("/validations/6/severity", "\"warning\""),
            ("/item", "null"),
        ],
    ),
    (
        "POST tickets",
        "",
        r#"{"title":"a title that is far too long","recipients":1.5}"#,
        400,
        &[
            ("/validations/0/validationId", "\"max_length\""),
            ("/validations/1/validationId", "\"type\""),
        ],
    ),
    (
        "POST tickets",
        "",
        r#"{"title":"a","title":"b"}"#,
        400,
        &[("/validations/0/validationId", "\"repeated_field\"")],
    ),
    (
        "POST tickets",
        "",
        r#"{"title":"#,
        400,
        &[("/validations/0/validationId", "\"malformed_body\"")],
    ),
    ("POST tickets", "content-type: text/plain", "title=x", 415, &[]),
    ("POST tickets", "content-type: application/json; charset=latin1", "{}", 415, &[]),
    ("POST tickets?colour=red", "", r#"{"title":"x"}"#, 400, &[]),
    // Warnings alone block, until they are accepted; errors always do.
    (
        "POST tickets/1",
        "",
        r#"{"item":{"recipients":32}}"#,
        400,
        &[
            ("/validations/0/validationId", "\"sure\""),
            ("/validations/0/message", "\"32 emails will be sent, are you sure?\""),
            ("/validations/0/field", "\"recipients\""),
            ("/item/recipients", "32"),
            ("/status", "400"),
            ("/type", "\"urn:restway:error:request.warned\""),
        ],
    ),
    ("GET tickets/1", "", "", 200, &[("/item/recipients", "3")]),
    (
        "POST tickets/1",
        "x-vinyl-ignore-warnings: \"other\", \"sure\"",
        r#"{"item":{"recipients":32}}"#,
        200,
        &[
            ("/item/recipients", "32"),
            ("/item/title", "\"one\""),
            ("/validations/0/severity", "\"warning\""),
        ],
    ),
    ("POST tickets/1", "x-app-builder-ignore-warnings: sure", r#"{"recipients":33}"#, 200, &[]),
    ("POST tickets/1", "prefer: ignore-warnings", r#"{"recipients":34}"#, 200, &[]),
    (
        "POST tickets/1",
        "prefer: ignore-warnings",
        r#"{"recipients":100}"#,
        400,
        &[("/item", "null")],
    ),
    (
        "POST tickets/1",
        "",
        r#"{"recipients":4,"note":null}"#,
        200,
        &[("/validations/0/severity", "\"information\""), ("/item/note", "null")],
    ),
    // Constraints of the database, by field.
    ("POST tickets/1", "", r#"{"code":"c","note":"n"}"#, 200, &[]),
    (
        "POST tickets",
        "",
        r#"{"title":"x","code":"c"}"#,
        409,
        &[
            ("/validations/0/field", "\"code\""),
            ("/validations/0/message", "\"another item has this `code`\""),
        ],
    ),
    (
        "POST tickets",
        "",
        r#"{"title":"x","recipients":-1}"#,
        400,
        &[("/validations/0/validationId", "\"check\"")],
    ),
    (
        "POST tickets/1",
        "",
        r#"{"id":9}"#,
        400,
        &[("/validations/0/validationId", "\"key_changed\"")],
    ),
    ("POST tickets/99", "", r#"{"note":"x"}"#, 404, &[]),
    // A try.
    (
        "POST tickets?$validate=true",
        "",
        r#"{"title":"tried"}"#,
        200,
        &[("/item/title", "\"tried\"")],
    ),
    ("POST tickets", "prefer: validate-only", r#"{"title":"tried"}"#, 200, &[]),
    ("GET tickets?title=tried&$count=true", "", "", 200, &[("/count", "0")]),
    // Patches.
    (
        "PATCH tickets/1",
        "content-type: application/merge-patch+json",
        r#"{"extra":{"b":null,"c":3},"note":"p"}"#,
        200,
        &[("/item/extra", r#"{"a":1,"c":3}"#), ("/item/note", "\"p\"")],
    ),
    (
        "PATCH tickets/1",
        "content-type: application/json-patch+json",
        STEPS,
        200,
        &[("/item/extra/a", "7"), ("/item/note", "null")],
    ),
    (
        "PATCH tickets/1",
        "content-type: application/json-patch+json",
        r#"[{"op":"test","path":"/title","value":"other"}]"#,
        409,
        &[],
    ),
    // The whole item.
    (
        "PUT tickets/1",
        "",
        r#"{"title":"new"}"#,
        200,
        &[("/item/extra", "null"), ("/item/state", "\"open\"")],
    ),
    ("PUT tickets/7", "", r#"{"title":"seven"}"#, 201, &[("/item/id", "7")]),
    ("PUT tickets/7", "if-none-match: *", r#"{"title":"again"}"#, 412, &[]),
    ("PUT tickets/8", "if-match: *", r#"{"title":"eight"}"#, 412, &[]),
    (
        "PUT tickets/7",
        "",
        r#"{"note":"x"}"#,
        400,
        &[("/validations/0/message", "\"`title` must be given\"")],
    ),
    // Events of its own.
    (
        "POST tickets/7/$events/close",
        "",
        r#"{"item":{"note":"' or 1=1 --"}}"#,
        200,
        &[("/item/state", "\"closed\""), ("/item/note", r#""' or 1=1 --""#)],
    ),
    ("GET tickets?state=closed&$count=true", "", "", 200, &[("/count", "1")]),
    ("POST tickets/7/$events/close", "", "", 400, &[("/validations/0/field", "\"note\"")]),
    ("POST tickets/7/$events/open", "", "", 404, &[]),
    // Once, then never again; a rule about what is removed.
    ("POST tickets/7", "", r#"{"state":"kept","note":"x"}"#, 200, &[]),
    ("DELETE tickets/7", "", "", 400, &[("/message", "\"It is kept\"")]),
    ("POST tickets/7", "", r#"{"state":"open","note":"x"}"#, 200, &[]),
    ("DELETE tickets/7", "", "", 200, &[("/item", "null"), ("/status", "200")]),
    ("DELETE tickets/7", "", "", 404, &[]),
    // Keys of several parts, with what has to be escaped.
    (
        "POST customers",
        "prefer: return=keys",
        r#"{"region":"x,y/z","id":"9007199254740993","name":"Eve","code":"AP8h","is_open":true}"#,
        200,
        &[("/item", r#"{"id":9007199254740993,"region":"x,y/z"}"#)],
    ),
    (
        "POST customers/x%2Cy%2Fz,9007199254740993",
        "",
        r#"{"credit":"9999999999.99","since":"2024-02-29T12:00:00Z"}"#,
        200,
        &[
            ("/item/code", "\"AP8h\""),
            ("/item/is_open", "true"),
            ("/item/since", "\"2024-02-29T12:00:00Z\""),
        ],
    ),
    (
        "POST customers",
        "prefer: return=minimal",
        r#"{"region":"x","id":1,"name":"F"}"#,
        200,
        &[("/item", "null")],
    ),
    ("DELETE customers/north,1", "", "", 409, &[("/validations/0/validationId", "\"reference\"")]),
    // Lists: all or none, and all that is wrong.
    (
        "POST tickets",
        "",
        r#"{"items":[{"title":"a","note":"l"},{"note":"l"},{"title":"c","recipients":"x"}]}"#,
        400,
        &[
            ("/validations/0/index", "1"),
            ("/validations/0/pointer", "\"/items/1/title\""),
            ("/validations/1/pointer", "\"/items/2/recipients\""),
        ],
    ),
    ("GET tickets?note=l&$count=true", "", "", 200, &[("/count", "0")]),
    (
        "POST tickets",
        "prefer: transaction=per-item",
        r#"{"items":[{"title":"a","note":"l"},{"note":"l"},{"title":"c","note":"l"}]}"#,
        207,
        &[("/items/0/status", "201"), ("/items/1/status", "400"), ("/items/2/item/title", "\"c\"")],
    ),
    (
        "POST tickets",
        "content-type: application/x-ndjson",
        "{\"title\":\"d\",\"note\":\"l\"}\n{\"title\":\"e\",\"note\":\"l\"}\n",
        200,
        &[("/message", "\"2 inserted\""), ("/items/1/title", "\"e\"")],
    ),
    (
        "POST tickets",
        "content-type: text/csv",
        "title,note,price\n\"f, \"\"g\"\"\",l,1.5\nh,l,\n",
        200,
        &[("/items/0/title", r#""f, \"g\"""#), ("/items/1/price", "null")],
    ),
    (
        "POST tickets",
        "content-type: text/csv",
        "title,note\na\n",
        400,
        &[("/validations/0/pointer", "\"/items/0\"")],
    ),
    (
        "POST tickets?$key=code",
        "prefer: resolution=merge-duplicates",
        r#"{"items":[{"title":"first","code":"u","note":"l"},{"title":"second","code":"u"}]}"#,
        200,
        &[("/message", "\"1 inserted, 1 updated\""), ("/items/1/title", "\"second\"")],
    ),
    (
        "POST tickets?$key=code",
        "prefer: resolution=ignore-duplicates",
        r#"{"items":[{"title":"third","code":"u"}]}"#,
        200,
        &[("/message", "\"1 kept\""), ("/items/0/title", "\"second\"")],
    ),
    (
        "POST tickets?$key=title",
        "prefer: resolution=merge-duplicates",
        r#"{"title":"x"}"#,
        400,
        &[],
    ),
    (
        "PATCH tickets",
        "",
        r#"{"items":[{"id":1,"note":"m"},{"id":2,"note":"k"}]}"#,
        200,
        &[("/items/0/note", "\"m\""), ("/items/1/note", "\"k\"")],
    ),
    (
        "PATCH tickets",
        "",
        r#"{"items":[{"id":1,"note":"z"},{"id":999,"note":"z"}]}"#,
        400,
        &[("/validations/0/index", "1")],
    ),
    ("GET tickets/1?$fields=note", "", "", 200, &[("/item/note", "\"m\"")]),
    ("PATCH tickets?note=l&$maxAffected=2", "", r#"{"note":"q"}"#, 409, &[]),
    ("PATCH tickets?note=l", "", r#"{"note":"q"}"#, 200, &[("/items/0/note", "\"q\"")]),
    ("DELETE tickets", "", "", 400, &[]),
    ("DELETE tickets?note=q&$maxAffected=100", "", "", 200, &[("/items", "[]")]),
    ("GET tickets?note=q&$count=true", "", "", 200, &[("/count", "0")]),
    // Who may what.
    ("POST inbox", "", r#"{"title":"in","note":"x"}"#, 200, &[("/item", "null")]),
    ("GET inbox", "", "", 403, &[]),
    ("DELETE orders/1", "", "", 401, &[]),
    ("PUT orders", "", "{}", 405, &[]),
    ("POST strict/1", "", r#"{"note":"x"}"#, 428, &[]),
    ("POST strict/1", "if-match: \"0000\"", r#"{"note":"x"}"#, 412, &[]),
    ("POST strict/1", "if-match: *", r#"{"note":"x"}"#, 200, &[]),
];

async fn check(database: Database) {
    with_tickets(&database).await;
    let publisher = database.publisher_of(APP, 2);
    for (line, headers, sent, status, places) in CASES {
        let (response, body) = ask(&publisher, line, headers, sent).await;
        assert_eq!(response.status, *status, "{line} {sent}: {body}");
        for (place, expected) in *places {
            let expected: Value = serde_json::from_str(expected).expect("JSON");
            let found = body.pointer(place).unwrap_or(&Value::Null);
            assert_eq!(*found, expected, "{line} {sent}: {place} of {body}");
        }
        let text = body.to_string();
        assert!(!text.contains("one_code") && !text.contains("from_zero"), "{line}: {text}");
    }
    tags(&publisher).await;
    remembered(&database, &publisher).await;
    cut(&publisher).await;
    let (response, document) = ask(&publisher, "GET openapi.json", "", "").await;
    assert_eq!(response.status, 200);
    let paths = &document["paths"];
    assert!(paths["/rest/v1/shop/tickets"]["post"].is_object(), "{paths}");
    assert!(paths["/rest/v1/shop/tickets/{key}/$events/close"]["post"].is_object());
    assert!(paths["/rest/v1/shop/orders"]["post"].is_null());
}

/// Tags name versions, whatever a reader asked for.
async fn tags(publisher: &Publisher) {
    let (created, body) = ask(publisher, "POST tickets", "", r#"{"title":"t","note":"n"}"#).await;
    let place = header(&created, "location").expect("a place").to_owned();
    let target = place.trim_start_matches("/rest/v1/shop/").to_owned();
    assert_eq!(place, format!("/rest/v1/shop/tickets/{}", body["item"]["id"]));
    let (read, _) = ask(publisher, &format!("GET {target}?$fields=title"), "", "").await;
    let tag = header(&read, "etag").expect("a tag").to_owned();
    let known = format!("if-none-match: {tag}");
    let (unchanged, _) = ask(publisher, &format!("GET {target}?$fields=title"), &known, "").await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    let (other, _) = ask(publisher, &format!("GET {target}"), &known, "").await;
    assert_eq!(other.status, 200, "another answer of the same version");
    let matches = format!("if-match: {tag}");
    let (first, _) = ask(publisher, &format!("POST {target}"), &matches, r#"{"note":"1"}"#).await;
    assert_eq!(first.status, 200);
    let (second, _) = ask(publisher, &format!("POST {target}"), &matches, r#"{"note":"2"}"#).await;
    assert_eq!(second.status, 412);
    let now = header(&first, "etag").expect("a tag");
    let matches = format!("if-match: {now}");
    let (third, _) = ask(publisher, &format!("DELETE {target}"), &matches, "").await;
    assert_eq!(third.status, 200);

    // A column that the app calls the version is all that counts.
    let (stamped, _) = ask(publisher, "GET stamped/1", "", "").await;
    let matches = format!("if-match: {}", header(&stamped, "etag").expect("a tag"));
    for (sent, status) in [(r#"{"note":"a"}"#, 200), (r#"{"recipients":9}"#, 200)] {
        let (response, body) = ask(publisher, "POST stamped/1", &matches, sent).await;
        assert_eq!(response.status, status, "{body}");
    }
    let (response, _) = ask(publisher, "POST stamped/1", &matches, r#"{"note":"b"}"#).await;
    assert_eq!(response.status, 412);
}

/// A request with a key is done once, also by a server that knows nothing of the first time.
async fn remembered(database: &Database, publisher: &Publisher) {
    let sent = r#"{"title":"once","note":"n"}"#;
    let key = "idempotency-key: k-1";
    let (first, made) = ask(publisher, "POST tickets", key, sent).await;
    assert_eq!(first.status, 200, "{made}");
    let restarted = database.publisher_of(APP, 2);
    let (again, replayed) = ask(&restarted, "POST tickets", key, sent).await;
    assert_eq!((again.status, &replayed), (200, &made));
    assert_eq!(header(&again, "idempotency-replayed"), Some("true"));
    assert_eq!(header(&again, "location"), header(&first, "location"));
    let (other, _) = ask(publisher, "POST tickets", key, r#"{"title":"else"}"#).await;
    assert_eq!(other.status, 422);
    let (off, _) = ask(publisher, "POST customers", key, sent).await;
    assert_eq!(off.status, 400);
    let (_, found) = ask(publisher, "GET tickets?title=once&$count=true", "", "").await;
    assert_eq!(found["count"], json!(1));
}

/// A request that is left alone at some point of its way, and sent again: it is done once.
async fn cut(publisher: &Publisher) {
    for polls in 1..16 {
        let sent = json!({ "title": format!("cut {polls}"), "note": "n" }).to_string();
        let key = format!("idempotency-key: cut-{polls}");
        let mut left = polls;
        let mut first = Box::pin(ask(publisher, "POST tickets", &key, &sent));
        std::future::poll_fn(|context| {
            left -= 1;
            let is_done = first.as_mut().poll(context).is_ready();
            if is_done || left == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        drop(first);
        let (mut again, mut said) = ask(publisher, "POST tickets", &key, &sent).await;
        // The first one's commit may still be under way.
        while again.status == 409 {
            (again, said) = ask(publisher, "POST tickets", &key, &sent).await;
        }
        assert_eq!(again.status, 200, "{polls}: {said}");
        let target = format!("GET tickets?title=cut+{polls}&$count=true");
        let (_, found) = ask(publisher, &target, "", "").await;
        assert_eq!(found["count"], json!(1), "{polls}: {found}");
    }
}

/// Writers on threads of their own, each adding one to what it read: none is lost.
async fn race(database: Database) {
    const WRITERS: usize = 4;
    const TIMES: usize = 10;
    with_tickets(&database).await;
    database.run("INSERT INTO tickets (id, title, recipients) VALUES (1, 'race', 0)").await;
    let app = APP.replace("tickets: [filter", "unruly: [filter, update]\n    tickets: [filter");
    let app = app + "  unruly: { from: shop.tickets, require_match: true }\n";
    let publisher = Arc::new(database.publisher_of(&app, 4));
    let writers = (0..WRITERS).map(|_| {
        let publisher = Arc::clone(&publisher);
        tokio::spawn(async move {
            let mut done = 0;
            while done < TIMES {
                let (read, body) = ask(&publisher, "GET unruly/1", "", "").await;
                let tag = header(&read, "etag").expect("a tag").to_owned();
                let next = body["item"]["recipients"].as_i64().expect("a number") + 1;
                let sent = json!({ "recipients": next }).to_string();
                let matches = format!("if-match: {tag}");
                let (wrote, said) = ask(&publisher, "PATCH unruly/1", &matches, &sent).await;
                assert!(matches!(wrote.status, 200 | 412), "{said}");
                done += usize::from(wrote.status == 200);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer");
    }
    let (_, body) = ask(&publisher, "GET unruly/1", "", "").await;
    assert_eq!(body["item"]["recipients"], json!(WRITERS * TIMES));
}

#[tokio::test]
async fn sqlite_is_written_to() {
    check(databases::sqlite().await).await;
}

#[tokio::test]
async fn postgres_is_written_to() {
    check(databases::postgres().await).await;
}

#[tokio::test]
async fn mariadb_is_written_to() {
    check(databases::mariadb().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_loses_no_update() {
    race(databases::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_loses_no_update() {
    race(databases::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_loses_no_update() {
    race(databases::mariadb().await).await;
}
