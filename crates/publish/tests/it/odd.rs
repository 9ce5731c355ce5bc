//! Values that are rare, in the places where they hurt: behind which a page ends, in a list of
//! many, in a line of its own.

use std::collections::BTreeSet;

use restway_publish::{Headers, Publisher, Request};
use serde_json::{Value, json};

use crate::databases::{self, Database, get};

/// Pages of a walk at most: one that repeats itself ends here.
const PAGES_MAX: usize = 60;

/// All values of a field, in pages of two from token to token.
async fn walked(publisher: &Publisher, object: &str, sort: &str, field: &str) -> Vec<Value> {
    let (mut found, mut token) = (Vec::new(), String::new());
    for _ in 0..PAGES_MAX {
        let target = format!("{object}?$sort={sort}&$fields={field}&$limit=2&$after={token}");
        let (response, body) = get(publisher, &target).await;
        assert_eq!(response.status, 200, "{target}: {body}");
        let items = body["items"].as_array().expect("items");
        found.extend(items.iter().map(|item| item[field].clone()));
        match body["next"].as_str() {
            Some(next) => token = next.to_owned(),
            None => return found,
        }
    }
    panic!("{object} by {sort} has no end: {found:?}");
}

/// Each of `rows` rows, numbered in `n`, is met once, whichever way the columns are sorted.
async fn meets_all(publisher: &Publisher, object: &str, columns: &[&str], rows: u64) {
    for column in columns {
        for sort in [(*column).to_owned(), format!("-{column}"), format!("{column}:nullsfirst")] {
            let found = walked(publisher, object, &sort, "n").await;
            let numbers: BTreeSet<u64> = found.iter().filter_map(Value::as_u64).collect();
            assert_eq!((found.len() as u64, numbers.len() as u64), (rows, rows), "{object} {sort}");
        }
    }
}

const ODD: &str = "
app: shop
sources: { shop: { type: KIND, url: '${secret.shop}' } }
access: { anonymous: all }
objects:
  odd: { from: shop.odd, key: [n] }
  asked: { from: { source: shop, sql: select * from odd }, key: [n] }
  named: { from: shop.odd, key: [code, n] }
  asked_named: { from: { source: shop, sql: 'select n, code from odd' }, key: [code, n] }
";

#[tokio::test]
async fn sqlite_goes_on_behind_what_its_columns_were_not_declared_for() {
    let database = databases::sqlite().await;
    database
        .run(
            "CREATE TABLE odd (n INTEGER PRIMARY KEY, code TEXT, any_kind, flag BOOLEAN, \
               document JSON, bytes BLOB, amount REAL);
             INSERT INTO odd VALUES
               (1, X'00FF', X'0102', X'01', '\"x\"', 'text', 9e999),
               (2, X'00FE', 'true', 0, 'true', X'00', -9e999),
               (3, 'AP8=', 'null', 1, 'null', X'01', 0.1),
               (4, NULL, NULL, NULL, NULL, NULL, NULL),
               (5, 'b41', 5, 'yes', '{\"a\":\n1}', 'b41', 1e300),
               (6, 't', 5.5, 7, '[1, 2]', 7, 'much'),
               (7, 'Infinity', X'', 2.5, '[1,2]', X'FF00', X'05'),
               (8, 't', '', 1, '5', 't', 5),
               (9, NULL, 1, NULL, NULL, '', 1e300);",
        )
        .await;
    let publisher = database.publisher_of(ODD, 2);
    let columns = ["code", "any_kind", "flag", "document", "bytes", "amount"];
    meets_all(&publisher, "odd", &columns, 9).await;
    meets_all(&publisher, "asked", &columns, 9).await;
    meets_all(&publisher, "named", &columns, 9).await;
    meets_all(&publisher, "asked_named", &["n", "code"], 9).await;
}

/// A key that is a key only by what the app says may have nulls, as may a text key of SQLite.
#[tokio::test]
async fn items_without_a_whole_key_are_met_too() {
    for database in
        [databases::sqlite().await, databases::postgres().await, databases::mariadb().await]
    {
        database
            .run(
                "CREATE TABLE odd (n bigint, code varchar(10));
                 INSERT INTO odd VALUES (1, 'a'), (2, NULL), (3, 'b'), (4, NULL), (5, 'a'), \
                   (6, NULL), (7, 'c');
                 CREATE VIEW seen AS SELECT * FROM odd;",
            )
            .await;
        let app = ODD.replace("shop.odd, key: [n]", "shop.seen, key: [code, n]");
        let publisher = database.publisher_of(&app, 2);
        for object in ["odd", "named", "asked"] {
            meets_all(&publisher, object, &["code", "n"], 7).await;
        }
    }
    let database = databases::sqlite().await;
    database
        .run(
            "CREATE TABLE odd (code text primary key, n bigint);
             INSERT INTO odd VALUES ('a', 1), (NULL, 2), ('b', 3), (NULL, 4), (NULL, 5);",
        )
        .await;
    let app = "
app: shop
sources: { shop: { type: KIND, url: '${secret.shop}' } }
access: { anonymous: all }
objects: { odd: { from: shop.odd } }
";
    let publisher = database.publisher_of(app, 2);
    let found = walked(&publisher, "odd", "code,n", "n").await;
    assert_eq!(found, [1, 3, 2, 4, 5].map(Value::from));
    // Items without a key are the same to an order without more, so no page can begin between
    // two of them, and no list that goes on seems to end.
    for (limit, status) in [(2, 200), (3, 500), (4, 500), (5, 200)] {
        let (response, body) = get(&publisher, &format!("odd?$limit={limit}&$after=")).await;
        assert_eq!(response.status, status, "{limit}: {body}");
    }
}

#[tokio::test]
async fn postgres_goes_on_behind_what_has_no_end() {
    let database = databases::postgres().await;
    database
        .run(
            "CREATE TABLE odd (n bigint PRIMARY KEY, code text, day date, at timestamp, \
               since timestamptz, ratio float8, short real, amount numeric, price numeric(8,2));
             INSERT INTO odd VALUES
               (1, 'a', 'infinity', 'infinity', 'infinity', 'NaN', 'NaN', 'NaN', 'NaN'),
               (2, 'b', 'infinity', 'infinity', 'infinity', 'NaN', 'NaN', 'NaN', 'NaN'),
               (3, 'c', '-infinity', '-infinity', '-infinity', 'Infinity', '-Infinity', \
                 'Infinity', 1),
               (4, 'c', '-infinity', '-infinity', '-infinity', '-Infinity', 'Infinity', \
                 '-Infinity', 2),
               (5, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
               (6, 'd', '2024-02-29', '2024-02-29 12:00', '2024-02-29 12:00Z', 0.1, 0.1, 0.1, 0.1),
               (7, 'd', '0001-01-01', '0001-01-01', '0001-01-01Z', 1e-300, 1e-38, 1e-30, 0);",
        )
        .await;
    let publisher = database.publisher_of(ODD, 2);
    let columns = ["code", "day", "at", "since", "ratio", "short", "amount", "price"];
    meets_all(&publisher, "odd", &columns, 7).await;
    meets_all(&publisher, "asked", &columns, 7).await;
}

#[tokio::test]
async fn mariadb_goes_on_behind_enumerations_and_long_times() {
    let database = databases::mariadb().await;
    database
        .run(
            "SET sql_mode = '';
             CREATE TABLE odd (n bigint PRIMARY KEY, code enum('z', 'm', 'a', '') NOT NULL, \
               maybe enum('zz', 'aa'), exact enum('b', 'A', 'C') COLLATE utf8mb4_bin, \
               some set('y', 'x', 'b'), took time(3), fixed char(4));
             INSERT INTO odd VALUES
               (1, 'z', 'zz', 'b', 'y', '26:00:00', 'b'), (2, 'm', NULL, 'A', 'x,b', '-26:03:04', 'a'),
               (3, 'a', 'aa', NULL, '', '00:00:00.5', NULL), (4, '', 'zz', 'b', NULL, NULL, ''),
               (5, 'a', 'aa', 'C', 'y,x', '838:59:59', 'B'), (6, 'z', NULL, 'A', 'b', '12:00', 'a'),
               (7, 'm', 'aa', 'C', 'b', '-838:59:59', 'c');",
        )
        .await;
    let publisher = database.publisher_of(ODD, 2);
    let columns = ["code", "maybe", "exact", "some", "took", "fixed"];
    meets_all(&publisher, "odd", &columns, 7).await;
    meets_all(&publisher, "asked", &columns, 7).await;
    meets_all(&publisher, "named", &["n", "code"], 7).await;
    let found = walked(&publisher, "odd", "code", "code").await;
    assert_eq!(found, ["", "a", "a", "m", "m", "z", "z"].map(Value::from));
    let (_, body) = get(&publisher, "odd?maybe=aa&code[gt]=a&$fields=n").await;
    assert_eq!(body["items"], json!([{"n": 7}]), "{body}");
}

/// Where a page ends behind a value that nothing can be compared with, who goes from token to
/// token is told, and who skips items goes on.
#[tokio::test]
async fn a_list_that_goes_on_never_looks_like_one_that_ends() {
    let postgres = databases::postgres().await;
    postgres
        .run(
            "CREATE TABLE odd (n bigint PRIMARY KEY, day date);
             INSERT INTO odd VALUES (1, '0044-03-15 BC'), (2, '0043-03-15 BC'), (3, '2024-01-01');",
        )
        .await;
    let mariadb = databases::mariadb().await;
    mariadb
        .run(
            "SET sql_mode = '';
             CREATE TABLE odd (n bigint PRIMARY KEY, day datetime);
             INSERT INTO odd VALUES (1, '0000-00-00'), (2, '2024-00-00 12:00'), (3, '2024-01-01');",
        )
        .await;
    let app = ODD.lines().filter(|line| !line.contains("named")).collect::<Vec<_>>().join("\n");
    for database in [postgres, mariadb] {
        let publisher = database.publisher_of(&app, 2);
        let (response, body) = get(&publisher, "odd?$sort=day&$limit=1&$after=").await;
        assert_eq!((response.status, &body["code"]), (500, &json!("definition.invalid")), "{body}");
        let mut target = "odd?$sort=day&$limit=1".to_owned();
        let mut numbers = Vec::new();
        loop {
            let (response, body) = get(&publisher, &target).await;
            assert_eq!(response.status, 200, "{body}");
            numbers.push(body["items"][0]["n"].clone());
            let Some((_, link)) = response.headers.iter().find(|(name, _)| *name == "link") else {
                break;
            };
            let link = link.split("shop/").nth(1).and_then(|rest| rest.split('>').next());
            target = link.expect("an address").to_owned();
        }
        assert_eq!(numbers, [1, 2, 3].map(Value::from));
    }
}

/// Lines in JSON that is stored are none of an answer.
#[tokio::test]
async fn a_row_streams_in_one_line_whatever_is_stored() {
    let stored = "{\"a\":1,\n\"b\":\r\n[1,\n2]}";
    for (database, json) in [
        (databases::sqlite().await, "JSON"),
        (databases::postgres().await, "json"),
        (databases::mariadb().await, "json"),
    ] {
        let stored = match database.name() {
            "mysql" => stored.replace('\n', "\\n").replace('\r', "\\r"),
            _ => stored.to_owned(),
        };
        let sql = format!(
            "CREATE TABLE odd (n bigint NOT NULL PRIMARY KEY, code {json});
             INSERT INTO odd VALUES (1, '{stored}'), (2, NULL);"
        );
        database.run(&sql).await;
        let publisher = database.publisher_of(ODD, 2);
        let request = Request {
            method: "GET".to_owned(),
            path: "shop/odd".to_owned(),
            headers: Headers::from([("accept", "application/x-ndjson")]),
            ..Request::default()
        };
        let response = publisher.answer(&request).await;
        let text = String::from_utf8(response.body).expect("text");
        let lines: Vec<Value> =
            text.lines().map(|line| line.parse().expect("a line of JSON")).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[0], json!({"n": 1, "code": {"a": 1, "b": [1, 2]}}));
    }
}

/// A value that a column cannot have is a mistake of the caller's, or finds nothing; it is no
/// fault of ours.
#[tokio::test]
async fn values_beyond_a_columns_range_find_nothing() {
    let database = databases::postgres().await;
    database
        .run(
            "CREATE DOMAIN positive AS int CHECK (VALUE > 0);
             CREATE DOMAIN address AS varchar(20) CHECK (VALUE LIKE '%@%');
             CREATE TABLE odd (n smallint PRIMARY KEY, code int, day date, at timestamp, \
               since timestamptz, short real, amount numeric(6,2), count positive, mail address);
             INSERT INTO odd VALUES (1, 7, '2024-02-29', now(), now(), 0.1, 1, 1, 'a@b');",
        )
        .await;
    let publisher = database.publisher_of(ODD, 2);
    for (query, status) in [
        ("n[in]=1,99999", 200),
        ("code[in]=7,9999999999", 200),
        ("code[nin]=9999999999", 200),
        ("count[in]=1,-1", 200),
        ("count[gt]=-1", 200),
        ("count=99999999999", 200),
        ("mail=nobody", 200),
        ("mail[in]=nobody,a@b", 200),
        ("short=1e-60", 200),
        ("short=1e39", 400),
        ("day=0000-01-01", 400),
        ("day[in]=0000-01-01", 400),
        ("at[gt]=0000-12-31T00:00:00", 400),
        ("since=0001-01-01T00:00:00%2B01:00", 400),
        ("since[lt]=9999-12-31T23:59:59-01:00", 400),
        ("at=2024-02-29T23:59:60", 400),
        ("$filter=code+in+(7,9999999999)", 200),
    ] {
        let (response, body) = get(&publisher, &format!("odd?{query}")).await;
        assert_eq!(response.status, status, "{query}: {body}");
    }
    let (_, body) = get(&publisher, "odd?code[in]=7,9999999999&mail[in]=nobody,a@b").await;
    assert_eq!(body["items"].as_array().map(Vec::len), Some(1), "{body}");
}

impl Database {
    fn name(&self) -> &'static str {
        match self.kind() {
            restway_model::definition::SourceKind::Sqlite => "sqlite",
            restway_model::definition::SourceKind::Postgres => "postgres",
            restway_model::definition::SourceKind::Mysql => "mysql",
        }
    }
}
