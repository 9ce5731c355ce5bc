//! What an app offers beside lists and items: what can be done, counts, parameters in a body,
//! single values, tags in lists, and columns of Arrow and Parquet.

use std::io::Write;

use restway_publish::{Headers, Publisher, Request, Response};
use restway_tables::ParquetFile;
use serde_json::{Value, json};

use crate::changes::ask;
use crate::databases::{self, Database};

const APP: &str = "
app: shop
sources: { shop: { type: KIND, url: '${secret.shop}' } }
access:
  anonymous:
    customers: [filter, update, export]
    seen: { events: [filter], read: [name] }
    open: all
    orders: [filter, insert, delete]
objects:
  customers: { from: shop.customers }
  seen: { from: shop.customers }
  open: { from: shop.open_customers, key: [region, id] }
  orders: { from: shop.orders, require_match: true }
";

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let found = response.headers.iter().find(|(other, _)| *other == name);
    found.map_or("", |(_, value)| value.as_str())
}

async fn asked(publisher: &Publisher, line: &str, headers: &[(&str, &str)]) -> Response {
    let (method, target) = line.split_once(' ').expect("a method and a target");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut given = Headers::default();
    headers.iter().for_each(|(name, value)| given.add(name, value.as_bytes()));
    let request = Request {
        method: method.to_owned(),
        path: format!("shop/{path}"),
        query: query.to_owned(),
        headers: given,
        ..Request::default()
    };
    publisher.answer(&request).await
}

async fn raw(publisher: &Publisher, target: &str, headers: &[(&str, &str)]) -> Response {
    asked(publisher, &format!("GET {target}"), headers).await
}

/// Each target, and what `Allow` tells of it.
const ALLOWED: [(&str, &str); 9] = [
    ("openapi.json", "GET, HEAD, OPTIONS"),
    ("customers", "GET, HEAD, PATCH, OPTIONS"),
    ("customers/north,1", "GET, HEAD, POST, PUT, PATCH, OPTIONS"),
    ("customers/$query", "POST, OPTIONS"),
    ("customers/$count", "GET, HEAD, OPTIONS"),
    ("customers/north,1/name/$value", "GET, HEAD, OPTIONS"),
    ("open", "GET, HEAD, OPTIONS"),
    ("orders", "GET, HEAD, POST, DELETE, OPTIONS"),
    ("orders/1", "GET, HEAD, DELETE, OPTIONS"),
];

async fn methods(publisher: &Publisher) {
    for (target, allow) in ALLOWED {
        let (response, _) = ask(publisher, &format!("OPTIONS {target}"), "", "").await;
        assert_eq!((response.status, header(&response, "allow")), (204, allow), "{target}");
        assert!(response.body.is_empty(), "{target}");
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "COPY"] {
            let takes = allow.split(", ").any(|one| one == method);
            let response = asked(publisher, &format!("{method} {target}"), &[]).await;
            let body = String::from_utf8_lossy(&response.body).into_owned();
            // Who may do something else there is told that he may not do this.
            if takes || [401, 403].contains(&response.status) {
                assert_ne!(response.status, 405, "{method} {target}: {body}");
                continue;
            }
            assert_eq!(response.status, 405, "{method} {target}: {body}");
            assert_eq!(header(&response, "allow"), allow, "{method} {target}");
        }
    }
    let nobody = "PATCH customers?region=nowhere";
    let (response, body) = ask(publisher, nobody, "", r#"{"nothing": 1}"#).await;
    assert_eq!(
        (response.status, &body["validations"][0]["validationId"]),
        (400, &json!("unknown_field"))
    );
    let (response, _) = ask(publisher, nobody, "", r#"{"credit": 1.50e1}"#).await;
    assert_eq!(response.status, 200);
    let (response, _) = ask(publisher, "OPTIONS customers/north,1/nothing/$value", "", "").await;
    assert_eq!(response.status, 404);
    let (response, _) = ask(publisher, "OPTIONS customers/north,1", "", "").await;
    assert!(header(&response, "accept-patch").starts_with("application/merge-patch+json"));
    let (response, _) = ask(publisher, "OPTIONS orders", "", "").await;
    assert!(header(&response, "accept-post").contains("text/csv"));
    for missing in ["nothing", "customers/north,1/$events/close", "a/b/c/d"] {
        let (response, _) = ask(publisher, &format!("OPTIONS {missing}"), "", "").await;
        assert_eq!(response.status, 404, "{missing}");
    }
}

async fn bodies(publisher: &Publisher) {
    let in_body = |text: &'static str| ask(publisher, "POST customers/$query", "", text);
    let (response, body) = in_body(
        r#"{"region": "north", "id[in]": [1, 2], "$fields": ["name", "id"], "$sort": "-id",
            "$limit": 1, "$count": true}"#,
    )
    .await;
    assert_eq!(response.status, 200, "{body}");
    assert_eq!(body["items"], json!([{"name": "Bo \"the\" 50% o'Neil_", "id": 2}]));
    assert_eq!(body["count"], json!(2));
    assert_eq!(header(&response, "link"), "", "what was asked in a body has no address");
    let next = body["next"].as_str().expect("so the token is there");
    let more = json!({"region": "north", "id[in]": [1, 2], "$fields": "name", "$sort": "-id",
        "$limit": 1, "$after": next});
    let (_, body) = ask(publisher, "POST customers/$query", "", &more.to_string()).await;
    assert_eq!((&body["items"][0]["name"], &body["next"]), (&json!("Anna"), &Value::Null));
    let filters = vec!["id eq 1"; 90].join(" or ");
    let long = json!({"$filter": filters, "$count": "exact"}).to_string();
    let (_, body) = ask(publisher, "POST customers/$query", "", &long).await;
    assert_eq!(body["count"], json!(2), "{body}");
    for (text, problem) in [
        (r#"{"regoin": "north"}"#, "there is no parameter `regoin`: did you mean `region`?"),
        (r#"{"filter": "id eq 1"}"#, "there is no parameter `filter`: did you mean `$filter`?"),
        (r#"{"region": "a", "region": "b"}"#, "`region` is given more than once"),
        (r#"{"region": null}"#, "`region` is a text, a number or a list"),
        (r#"{"id": {"gt": 1}}"#, "`id` is a text, a number or a list"),
        ("[1]", "the body cannot be read: invalid type: sequence"),
        ("{", "the body cannot be read: EOF while parsing"),
    ] {
        let (response, body) = in_body(text).await;
        let said = body["message"].as_str().unwrap_or_default();
        assert!(response.status == 400 && said.starts_with(problem), "{text}: {body}");
    }
    let (response, _) =
        ask(publisher, "POST customers/$query", "content-type: text/csv", "a,b").await;
    assert_eq!(response.status, 415);
    let (response, body) = ask(publisher, "POST customers/$query?$limit=1", "", "{}").await;
    assert_eq!((response.status, body["items"].as_array().map(Vec::len)), (200, Some(1)));
}

async fn counts(publisher: &Publisher) {
    for (target, count, kind) in [
        ("customers/$count", 4, Value::Null),
        ("customers/$count?region=north", 2, Value::Null),
        ("customers/$count?$filter=id+eq+1&$count=capped", 2, json!("exact")),
        ("seen/$count?$q=anna", 1, Value::Null),
    ] {
        let (response, body) = ask(publisher, &format!("GET {target}"), "", "").await;
        assert_eq!(response.status, 200, "{target}: {body}");
        assert_eq!((&body["count"], &body["countKind"]), (&json!(count), &kind), "{target}");
        assert_eq!(body["items"], json!([]));
    }
    for refused in ["$limit=1", "$sort=id", "$count=none", "credit[gt]=x"] {
        let (response, body) =
            ask(publisher, &format!("GET customers/$count?{refused}"), "", "").await;
        assert_eq!(response.status, 400, "{refused}: {body}");
    }
}

async fn single_values(publisher: &Publisher) {
    let code = "customers/north,1/code/$value";
    let response = raw(publisher, code, &[]).await;
    assert_eq!((response.status, response.body.as_slice()), (200, [0, 255, 33].as_slice()));
    assert_eq!(header(&response, "content-type"), "application/octet-stream");
    let tag = header(&response, "etag").to_owned();
    let known = raw(publisher, code, &[("if-none-match", &tag)]).await;
    assert_eq!((known.status, header(&known, "etag")), (304, tag.as_str()));
    let packed = format!("{}-gzip\"", tag.trim_end_matches('"'));
    let known = raw(publisher, code, &[("if-none-match", &packed)]).await;
    assert_eq!((known.status, header(&known, "etag")), (304, packed.as_str()));
    let part = raw(publisher, code, &[("range", "bytes=1-")]).await;
    assert_eq!((part.status, part.body.as_slice()), (206, [255, 33].as_slice()));
    assert_eq!(header(&part, "content-range"), "bytes 1-2/3");
    let other = raw(publisher, code, &[("range", "bytes=1-"), ("if-range", "\"x\"")]).await;
    assert_eq!((other.status, other.body.len()), (200, 3));
    let beyond = raw(publisher, code, &[("range", "bytes=3-")]).await;
    assert_eq!((beyond.status, header(&beyond, "content-range")), (416, "bytes */3"));
    for (target, media_type, value) in [
        ("customers/north,1/name/$value", "text/plain; charset=utf-8", "Anna"),
        ("customers/north,1/is_open/$value", "text/plain; charset=utf-8", "true"),
        (
            "customers/a%2Cb,9007199254740993/id/$value",
            "text/plain; charset=utf-8",
            "9007199254740993",
        ),
        ("customers/north,1/extra/$value", "application/json", "{\"a\": [1, 2]}"),
        ("seen/north,1/name/$value", "text/plain; charset=utf-8", "Anna"),
        ("open/north,1/name/$value", "text/plain; charset=utf-8", "Anna"),
    ] {
        let response = raw(publisher, target, &[]).await;
        let text = String::from_utf8_lossy(&response.body).into_owned();
        assert_eq!(header(&response, "content-type"), media_type, "{target}: {text}");
        assert_eq!(text, value, "{target}");
    }
    for (target, status) in [
        ("customers/south,1/code/$value", 204),
        ("customers/south,9/code/$value", 404),
        ("customers/north,1/nothing/$value", 404),
        ("seen/north,1/code/$value", 404),
        ("customers/north,1/code/$value?$fields=id", 400),
    ] {
        assert_eq!(raw(publisher, target, &[]).await.status, status, "{target}");
    }
    let set = r#"{"code": "iVBORw0KGgoAAA=="}"#;
    let (response, body) = ask(publisher, "PATCH customers/north,2", "", set).await;
    assert_eq!(response.status, 200, "{body}");
    let image = raw(publisher, "customers/north,2/code/$value", &[]).await;
    assert_eq!((header(&image, "content-type"), image.body.len()), ("image/png", 10));
}

async fn tags(publisher: &Publisher) {
    for target in
        ["customers?$fields=name,$etag&$sort=-name", "seen?$fields=*,$etag", "seen?$fields=$etag"]
    {
        let (response, body) = ask(publisher, &format!("GET {target}"), "", "").await;
        assert_eq!(response.status, 200, "{target}: {body}");
        let items = body["items"].as_array().expect("items");
        assert_eq!(items.len(), 4);
        assert!(
            items.iter().all(|item| item
                .as_object()
                .is_some_and(|one| { one.contains_key("$etag") && !one.contains_key("code") })),
            "{body}"
        );
    }
    let target = "GET customers?$fields=region,id,$etag&region=north&$sort=-id&$after=";
    let (_, body) = ask(publisher, target, "", "").await;
    let tag = body["items"][0]["$etag"].as_str().expect("a tag").to_owned();
    let (item, _) = ask(publisher, "GET customers/north,2?$fields=region,id", "", "").await;
    assert_eq!(header(&item, "etag"), tag);
    let note = r#"{"note": "by a list"}"#;
    let matched = format!("if-match: {tag}");
    let (response, body) = ask(publisher, "PATCH customers/north,2", &matched, note).await;
    assert_eq!(response.status, 200, "{body}");
    let (response, _) = ask(publisher, "PATCH customers/north,2", &matched, note).await;
    assert_eq!(response.status, 412);
    for refused in [
        "open?$fields=$etag",
        "customers?$fields=$etag,$etag",
        "customers?$fields=id,$etag&$format=csv",
    ] {
        let (response, body) = ask(publisher, &format!("GET {refused}"), "", "").await;
        assert_eq!(response.status, 400, "{refused}: {body}");
    }
}

async fn columns(publisher: &Publisher) {
    let target = "customers?$sort=region,id&$fields=region,id,credit,ratio,is_open,extra,code,note";
    let stream = raw(publisher, target, &[("accept", "application/vnd.apache.arrow.stream")]).await;
    assert_eq!(stream.status, 200, "{}", String::from_utf8_lossy(&stream.body));
    assert_eq!(header(&stream, "content-type"), "application/vnd.apache.arrow.stream");
    assert!(stream.body.ends_with(&[255, 255, 255, 255, 0, 0, 0, 0]), "the mark of the end");
    // Tables of our own have no bytes, so our reader of files has none.
    let target = target.replace("code,", "");
    let file = raw(publisher, &format!("{target}&$format=parquet"), &[]).await;
    assert_eq!(header(&file, "content-type"), "application/vnd.apache.parquet");
    assert!(file.body.ends_with(b"PAR1"), "{}", String::from_utf8_lossy(&file.body));
    let mut kept = tempfile::NamedTempFile::new().expect("a file");
    kept.write_all(&file.body).expect("written");
    drop(ParquetFile::open(kept.path()).expect("a file of Parquet"));
    // Who may read, and not take everything.
    for target in ["orders?$format=csv", "orders?$format=arrow", "seen?$format=ndjson"] {
        let (response, body) = ask(publisher, &format!("GET {target}"), "", "").await;
        assert_eq!(response.status, 403, "{target}: {body}");
    }
}

async fn check(database: Database) {
    let publisher = database.publisher_of(APP, 2);
    methods(&publisher).await;
    bodies(&publisher).await;
    counts(&publisher).await;
    columns(&publisher).await;
    single_values(&publisher).await;
    tags(&publisher).await;
}

#[tokio::test]
async fn sqlite_offers_all_of_it() {
    check(databases::sqlite().await).await;
}

#[tokio::test]
async fn postgres_offers_all_of_it() {
    check(databases::postgres().await).await;
}

#[tokio::test]
async fn mariadb_offers_all_of_it() {
    check(databases::mariadb().await).await;
}
