//! The room as a whole, over rows that are not there: what a request becomes, and what a refusal
//! tells. The columns are those of a table of customers; what is asked of them is a table below.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use expect_test::{Expect, expect};
use restway_model::definition::{self, AppFile};
use restway_model::{Clock, Code, ColumnType, Event, Explain, Limits, Observer, Pause, TableName};
use serde_json::Value;

use crate::{Answering, Column, Publisher, Request, Response, Rows};

const SALES: &str = "
app: sales
access: { anonymous: { customers: [filter], absent: [filter], unfit: [filter] } }
objects:
  customers:
    from: shop.customers
    key: [region, id]
    default_fields: [id, name, not_landed_yet]
  staff: { from: shop.staff, key: [id] }
  absent: { from: shop.absent, key: [id] }
  unfit: { from: shop.customers, key: [nothing] }
";
const CLOSED: &str = "
app: closed
objects: { customers: { from: shop.customers, key: [id] } }
";

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Inside(&'static str, Code);

impl Explain for Inside {
    fn code(&self) -> Code {
        self.1
    }
}

/// What the rows do.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    Answer(&'static [&'static str]),
    Fail,
    Hang,
}

struct Fake {
    does: Does,
    asked: Mutex<Vec<(String, Vec<(String, Value)>)>>,
}

impl Rows for Fake {
    fn columns<'a>(&'a self, table: &'a TableName) -> Answering<'a, Vec<Column>> {
        Box::pin(async move {
            if table.table.as_str() == "absent" {
                let error: Box<dyn Explain> = Box::new(Inside("not there", Code::TableMissing));
                return Err(error);
            }
            let decimal = ColumnType::Decimal { precision: 6, scale: 2 };
            let columns = [
                ("id", ColumnType::Int64),
                ("region", ColumnType::Text),
                ("name", ColumnType::Text),
                ("odd \"name\"", ColumnType::Text),
                ("credit", decimal),
                ("since", ColumnType::Timestamp),
                ("is_open", ColumnType::Bool),
                ("nothing_yet", ColumnType::Null),
                ("extra", ColumnType::Json),
                ("_row_id", ColumnType::Int64),
            ];
            Ok(columns.map(|(name, kind)| Column { name: name.to_owned(), kind }).to_vec())
        })
    }

    fn rows<'a>(
        &'a self,
        sql: &'a str,
        values: &'a [(String, Value)],
        rows_max: usize,
    ) -> Answering<'a, Vec<String>> {
        self.asked.lock().unwrap().push((sql.to_owned(), values.to_vec()));
        Box::pin(async move {
            match self.does {
                Does::Answer(_) if sql.contains("count(*)") => {
                    Ok(vec!["{\"count\":42}".to_owned()])
                }
                Does::Answer(rows) => {
                    Ok(rows.iter().take(rows_max).map(|row| (*row).to_owned()).collect())
                }
                Does::Fail => {
                    let error: Box<dyn Explain> =
                        Box::new(Inside("/var/secret/part-0 is gone", Code::TableDamaged));
                    Err(error)
                }
                Does::Hang => pending().await,
            }
        })
    }
}

/// A clock on which all waiting is over at once.
struct Still;

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> Pause<'_> {
        Box::pin(async {})
    }

    fn jitter(&self) -> f64 {
        0.0
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn observe(&self, event: &Event) {
        if let Event::Warned { about, message } = event {
            self.0.lock().unwrap().push(format!("{about}: {message}"));
        }
    }
}

struct Room {
    publisher: Publisher,
    rows: Arc<Fake>,
    heard: Arc<Heard>,
}

fn room(does: Does) -> Room {
    let read = |text| definition::read::<AppFile>("apps/a.yaml", text).unwrap();
    let rows = Arc::new(Fake { does, asked: Mutex::default() });
    let heard = Arc::new(Heard::default());
    let publisher = Publisher::new(
        vec![read(SALES), read(CLOSED)],
        rows.clone(),
        &Limits::default(),
        heard.clone(),
        Arc::new(Still),
    );
    Room { publisher: publisher.unwrap(), rows, heard }
}

impl Room {
    fn answer(&self, method: &str, target: &str) -> Response {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let request = Request { method: method.to_owned(), path, query };
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(self.publisher.answer(&request))
    }

    fn asked(&self) -> String {
        let asked = self.rows.asked.lock().unwrap();
        let statements = asked.iter().map(|(sql, values)| {
            let values = values.iter().map(|(name, value)| format!("\n  ${name} = {value}"));
            format!("{}{}\n", broken(sql), values.collect::<String>())
        });
        statements.collect()
    }
}

/// A statement, a line for each clause and term.
fn broken(sql: &str) -> String {
    [" FROM ", " WHERE ", " AND ", " OR ", " ORDER BY ", " LIMIT "]
        .iter()
        .fold(sql.to_owned(), |text, word| text.replace(word, &format!("\n {word}")))
        .replace("\", \"", "\",\n    \"")
}

/// What the request asks of the rows.
fn asks(target: &str, expected: Expect) {
    let room = room(Does::Answer(&["{}"]));
    let response = room.answer("GET", target);
    assert_eq!(response.status, 200, "{}", response.body);
    expected.assert_eq(&room.asked());
}

/// What the request is told, one line for each finding.
fn refuses(target: &str, expected: Expect) {
    let room = room(Does::Answer(&["{}"]));
    let response = room.answer("GET", target);
    let body: Value = serde_json::from_str(&response.body).unwrap();
    let mut text = format!("{} {}\n", response.status, body["detail"].as_str().unwrap());
    for validation in body["validations"].as_array().unwrap() {
        assert_eq!(validation["severity"], "error");
        let member = |name: &str| validation[name].as_str().unwrap().to_owned();
        text.push_str(&format!("{}: {}\n", member("validationId"), member("message")));
    }
    assert_eq!(room.asked(), "", "nothing is read for a request that is refused");
    expected.assert_eq(&text);
}

#[test]
fn requests_become_statements() {
    asks(
        "sales/customers",
        expect![[r#"
            SELECT "id",
                "name"
              FROM "shop"."customers"
              ORDER BY "region" ASC NULLS LAST, "id" ASC NULLS LAST
              LIMIT 10 OFFSET 0
        "#]],
    );
    asks("sales/customers?$limit=0", expect![[""]]);
    asks(
        "sales/customers?$limit=0&$count=true",
        expect![[r#"
            SELECT count(*) AS "count"
              FROM "shop"."customers"
        "#]],
    );
    asks(
        "sales/customers?$limit=101&$offset=20&$count=false",
        expect![[r#"
            SELECT "id",
                "name"
              FROM "shop"."customers"
              ORDER BY "region" ASC NULLS LAST, "id" ASC NULLS LAST
              LIMIT 100 OFFSET 20
        "#]],
    );
    asks(
        "sales/customers?$limit=99999999999999999999999",
        expect![[r#"
            SELECT "id",
                "name"
              FROM "shop"."customers"
              ORDER BY "region" ASC NULLS LAST, "id" ASC NULLS LAST
              LIMIT 100 OFFSET 0
        "#]],
    );
    asks(
        "sales/customers?$sort=-name,region&$fields=*",
        expect![[r#"
            SELECT "id",
                "region",
                "name",
                "odd ""name""",
                "credit",
                "since",
                "is_open",
                "nothing_yet",
                "extra",
                "_row_id"
              FROM "shop"."customers"
              ORDER BY "name" DESC NULLS LAST, "region" ASC NULLS LAST, "id" ASC NULLS LAST
              LIMIT 10 OFFSET 0
        "#]],
    );
    asks(
        "sales/customers?$fields=_row_id,odd%20%22name%22&odd+%22name%22=x",
        expect![[r#"
            SELECT "_row_id",
                "odd ""name"""
              FROM "shop"."customers"
              WHERE "odd ""name""" = $f0
              ORDER BY "region" ASC NULLS LAST, "id" ASC NULLS LAST
              LIMIT 10 OFFSET 0
              $f0 = "x"
        "#]],
    );
    asks(
        "sales/customers?credit=1.5&since=2024-02-29&is_open=true&extra={}",
        expect![[r#"
            SELECT "id",
                "name"
              FROM "shop"."customers"
              WHERE "credit" = CAST($f0 AS DECIMAL(6,2))
              AND "extra" = $f1
              AND "is_open" = CAST($f2 AS BOOLEAN)
              AND "since" = arrow_cast(CAST($f3 AS VARCHAR), 'Timestamp(Microsecond, Some("UTC"))')
              ORDER BY "region" ASC NULLS LAST, "id" ASC NULLS LAST
              LIMIT 10 OFFSET 0
              $f0 = "1.50"
              $f1 = "{}"
              $f2 = "true"
              $f3 = "2024-02-29T00:00:00.000000Z"
        "#]],
    );
    asks(
        "sales/customers?nothing_yet=1&name=",
        expect![[r#"
            SELECT "id",
                "name"
              FROM "shop"."customers"
              WHERE "name" = $f0
              AND FALSE
              ORDER BY "region" ASC NULLS LAST, "id" ASC NULLS LAST
              LIMIT 10 OFFSET 0
              $f0 = ""
        "#]],
    );
    asks(
        "sales/customers?$q=M%C3%BCller+%26+co&$fields=name%2Cid&$count=true",
        expect![[r#"
            SELECT "name",
                "id"
              FROM "shop"."customers"
              WHERE (contains(lower(CAST("id" AS VARCHAR)), lower(CAST($q AS VARCHAR)))
              OR contains(lower(CAST("region" AS VARCHAR)), lower(CAST($q AS VARCHAR)))
              OR contains(lower(CAST("name" AS VARCHAR)), lower(CAST($q AS VARCHAR)))
              OR contains(lower(CAST("odd ""name""" AS VARCHAR)), lower(CAST($q AS VARCHAR)))
              OR contains(lower(CAST("credit" AS VARCHAR)), lower(CAST($q AS VARCHAR)))
              OR contains(lower(CAST("since" AS VARCHAR)), lower(CAST($q AS VARCHAR)))
              OR contains(lower(CAST("is_open" AS VARCHAR)), lower(CAST($q AS VARCHAR)))
              OR contains(lower(CAST("extra" AS VARCHAR)), lower(CAST($q AS VARCHAR))))
              ORDER BY "region" ASC NULLS LAST, "id" ASC NULLS LAST
              LIMIT 10 OFFSET 0
              $q = "Müller & co"
        "#]],
    );
    asks(
        "sales/customers?$q=",
        expect![[r#"
            SELECT "id",
                "name"
              FROM "shop"."customers"
              ORDER BY "region" ASC NULLS LAST, "id" ASC NULLS LAST
              LIMIT 10 OFFSET 0
        "#]],
    );
    asks(
        "sales/customers/north,7",
        expect![[r#"
            SELECT "id",
                "region",
                "name",
                "odd ""name""",
                "credit",
                "since",
                "is_open",
                "nothing_yet",
                "extra"
              FROM "shop"."customers"
              WHERE "region" = $f0
              AND "id" = CAST($f1 AS BIGINT)
              LIMIT 2
              $f0 = "north"
              $f1 = "7"
        "#]],
    );
    asks(
        "sales/customers/a%2Cb%2Fc,7?$fields=name",
        expect![[r#"
            SELECT "name"
              FROM "shop"."customers"
              WHERE "region" = $f0
              AND "id" = CAST($f1 AS BIGINT)
              LIMIT 2
              $f0 = "a,b/c"
              $f1 = "7"
        "#]],
    );
}

#[test]
fn what_has_no_meaning_is_refused_by_name() {
    refuses(
        "sales/customers?limit=5",
        expect![[r#"
        400 there is no parameter `limit`: did you mean `$limit`?
        unknown_parameter: there is no parameter `limit`: did you mean `$limit`?
    "#]],
    );
    refuses(
        "sales/customers?nmae=5&$sort=-regoin&$fields=idd,id,id",
        expect![[r#"
        400 4 problems in the request
        unknown_parameter: there is no parameter `nmae`: did you mean `name`?
        unknown_field: there is no field `idd`: did you mean `id`?
        repeated_field: `$fields` names `id` more than once
        unknown_field: there is no field `regoin`: did you mean `region`?
    "#]],
    );
    refuses(
        "sales/customers?$limit=5&$limit=6&name=a&name=b",
        expect![[r#"
        400 2 problems in the request
        repeated_parameter: `$limit` is given more than once
        repeated_parameter: `name` is given more than once
    "#]],
    );
    refuses(
        "sales/customers?$limit=-1&$offset=1e3",
        expect![[r#"
        400 2 problems in the request
        invalid_number: `$limit` cannot be `-1`: write a number from 0
        invalid_number: `$offset` cannot be `1e3`: write a number from 0 to 1000000
    "#]],
    );
    refuses(
        "sales/customers?$limit=&$offset=1000001&$count=yes",
        expect![[r#"
        400 3 problems in the request
        invalid_number: `$limit` cannot be ``: write a number from 0
        invalid_number: `$offset` cannot be `1000001`: write a number from 0 to 1000000
        invalid_value: `$count` cannot be `yes`: write `true` or `false`
    "#]],
    );
    refuses(
        "sales/customers?id=x&credit=1.005&since=yesterday&is_open=1",
        expect![[r#"
        400 4 problems in the request
        invalid_value: `credit` cannot be `1.005`: write a number of at most 6 digits, 2 of them after the point
        invalid_value: `id` cannot be `x`: write a whole number of 64 bits
        invalid_value: `is_open` cannot be `1`: write `true` or `false`
        invalid_value: `since` cannot be `yesterday`: write an instant with its offset, as in `2024-02-29T12:00:00Z` (`+` is written `%2B`)
    "#]],
    );
    refuses(
        "sales/customers?$sort=&$fields=",
        expect![[r#"
        400 2 problems in the request
        unknown_field: there is no field ``
        unknown_field: there is no field ``
    "#]],
    );
    refuses(
        "sales/customers?$sort=name,-name&$fields=*,id",
        expect![[r#"
        400 2 problems in the request
        unknown_field: there is no field `*`
        repeated_field: `$sort` names `name` more than once
    "#]],
    );
    refuses(
        "sales/customers?name=%zz&%ff=1",
        expect![[r#"
        400 2 problems in the request
        malformed: the parameter `name=%zz` is not percent-encoded UTF-8
        malformed: the parameter `%ff=1` is not percent-encoded UTF-8
    "#]],
    );
    refuses(
        "sales/customers?$filter=id%20eq%201",
        expect![[r#"
        400 there is no parameter `$filter`
        unknown_parameter: there is no parameter `$filter`
    "#]],
    );
    refuses(
        "sales/customers/north,7?name=x&$limit=1&$fields=nme",
        expect![[r#"
        400 3 problems in the request
        unknown_parameter: there is no parameter `name`
        unknown_parameter: there is no parameter `$limit`
        unknown_field: there is no field `nme`: did you mean `name`?
    "#]],
    );
    refuses(
        "sales/customers/%ff,7",
        expect![[r#"
        400 the path segment `%ff` is not percent-encoded UTF-8
        malformed: the path segment `%ff` is not percent-encoded UTF-8
    "#]],
    );
    refuses(
        "sales/openapi.json?pretty=1",
        expect![[r#"
        400 there is no parameter `pretty`
        unknown_parameter: there is no parameter `pretty`
    "#]],
    );
    refuses(
        &format!("sales/customers?{}=1", "x".repeat(500)),
        expect![[r#"
        400 there is no parameter `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…`
        unknown_parameter: there is no parameter `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…`
    "#]],
    );
}

#[test]
fn what_is_not_there_or_not_open_is_refused() {
    for target in [
        "",
        "sales",
        "sales/",
        "sales/customers/",
        "nothing/customers",
        "closed/customers",
        "closed/nothing",
        "closed/openapi.json",
        "sales/customers/north",
        "sales/customers/a,b,c",
        "sales/customers/north,x",
        "sales/customers/north,7/more",
        "sales//north,7",
        "SALES/customers",
        "sales/customers%00",
    ] {
        let response = room(Does::Answer(&["{}"])).answer("GET", target);
        assert_eq!(response.status, 404, "{target}: {}", response.body);
    }
    refuses(
        "sale/customers",
        expect![[r#"
        404 nothing is published here: did you mean `sales`?
    "#]],
    );
    refuses(
        "sales/custmers",
        expect![[r#"
        404 nothing is published here: did you mean `sales/customers`?
    "#]],
    );
    refuses(
        "sales/staf",
        expect![[r#"
        404 nothing is published here
    "#]],
    );
    refuses(
        "sales/staff",
        expect![[r#"
        401 this object is not open to `anonymous`, and no other caller is known yet: the app's `access` decides
    "#]],
    );
    refuses(
        "sales/staff/1?$nonsense=1",
        expect![[r#"
        401 this object is not open to `anonymous`, and no other caller is known yet: the app's `access` decides
    "#]],
    );
    refuses(
        "sales/absent",
        expect![[r#"
        503 the table behind this object was not synced yet
    "#]],
    );
    refuses(
        "sales/unfit",
        expect![[r#"
        500 the answer could not be made; the server's log says why
    "#]],
    );
}

/// An app that nobody may read cannot be told from one that does not exist.
#[test]
fn a_closed_app_answers_like_none() {
    for rest in ["customers", "customers/1", "nothing", "openapi.json", "customers?$limit=x"] {
        for method in ["GET", "HEAD", "POST", "DELETE"] {
            let room = room(Does::Answer(&[]));
            let closed = room.answer(method, &format!("closed/{rest}"));
            assert_eq!(closed, room.answer(method, &format!("zzzzzz/{rest}")), "{method} {rest}");
            assert_eq!(closed.status, 404);
        }
    }
}

/// Whatever a caller writes is a value: the statement's text is the one of a harmless value, or
/// nothing is read at all.
#[test]
fn no_text_of_a_caller_becomes_part_of_a_statement() {
    let hostile = [
        "' OR '1'='1",
        "\" OR \"1\"=\"1",
        "x'; DROP TABLE shop.customers; --",
        "*/ OR 1=1 /*",
        "$f0",
        "$q",
        "\\",
        "\u{0}",
        "name",
        "1) OR (1=1",
        "customers\" --",
        "%",
        "_",
        "x\n--",
        "(SELECT 1)",
        "1; SELECT 2",
        "NULL",
    ];
    let places = [
        ("sales/customers?name=", ""),
        ("sales/customers?odd+%22name%22=", ""),
        ("sales/customers?id=", ""),
        ("sales/customers?credit=", ""),
        ("sales/customers?since=", ""),
        ("sales/customers?is_open=", ""),
        ("sales/customers?extra=", ""),
        ("sales/customers?$q=", ""),
        ("sales/customers?$limit=", ""),
        ("sales/customers?$offset=", ""),
        ("sales/customers?$count=", ""),
        ("sales/customers?$sort=", ""),
        ("sales/customers?$sort=-", ""),
        ("sales/customers?$fields=", ""),
        ("sales/customers?", "=1"),
        ("sales/customers?$", "=1"),
        ("sales/customers/", ",7"),
        ("sales/customers/north,", ""),
        ("sales/", ""),
        ("", "/customers"),
    ];
    let statements = |target: &str| -> Option<Vec<String>> {
        let room = room(Does::Answer(&["{}"]));
        let response = room.answer("GET", target);
        let asked = room.rows.asked.lock().unwrap();
        (response.status == 200).then(|| asked.iter().map(|(sql, _)| sql.clone()).collect())
    };
    let mut read = 0;
    for (before, after) in places {
        let harmless = statements(&format!("{before}harmless{after}"));
        for text in hostile {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            match statements(&format!("{before}{encoded}{after}")) {
                None => {}
                // A column's own name, and a parameter's, are no attack where one is expected.
                Some(_) if text == "name" && harmless.is_none() => {}
                Some(_) if text == "$q" && before.ends_with('?') => {}
                found => {
                    read += 1;
                    assert_eq!(found, harmless, "{before}{text}{after}");
                }
            }
        }
    }
    assert!(read >= 50, "the places for text take any text: {read}");
}

#[test]
fn envelopes_are_what_callers_know() {
    let rows = Does::Answer(&[
        "{\"id\":1,\"credit\":1.10}",
        "{\"id\":12345678901234567890,\"credit\":null}",
    ]);
    let check = |method, target, expected: Expect| {
        let response = room(rows).answer(method, target);
        let headers: String =
            response.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        // A line for each member; no value contains what is broken at.
        let body = response.body.replace(",\"", ",\n\"");
        expected.assert_eq(&format!("{}\n{headers}\n{body}\n", response.status));
    };
    check(
        "GET",
        "sales/customers",
        expect![[r#"
            200
            content-type: application/json; charset=utf-8
            server-timing: request;dur=0.000, plan;dur=0.000, query;dur=0.000, respond;dur=0.000

            {"count":null,
            "items":[{"id":1,
            "credit":1.10},{"id":12345678901234567890,
            "credit":null}],
            "message":null,
            "validations":[],
            "status":200}
        "#]],
    );
    check(
        "GET",
        "sales/customers?$limit=500&$count=true",
        expect![[r#"
            200
            content-type: application/json; charset=utf-8
            server-timing: request;dur=0.000, plan;dur=0.000, query;dur=0.000, respond;dur=0.000

            {"count":2,
            "items":[{"id":1,
            "credit":1.10},{"id":12345678901234567890,
            "credit":null}],
            "message":"`$limit` is at most 100, and that was used",
            "validations":[],
            "status":200}
        "#]],
    );
    check(
        "GET",
        "sales/customers?$limit=2&$count=true",
        expect![[r#"
            200
            content-type: application/json; charset=utf-8
            server-timing: request;dur=0.000, plan;dur=0.000, query;dur=0.000, respond;dur=0.000

            {"count":42,
            "items":[{"id":1,
            "credit":1.10},{"id":12345678901234567890,
            "credit":null}],
            "message":null,
            "validations":[],
            "status":200}
        "#]],
    );
    check(
        "HEAD",
        "sales/customers",
        expect![[r#"
        200
        content-type: application/json; charset=utf-8
        server-timing: request;dur=0.000, plan;dur=0.000, query;dur=0.000, respond;dur=0.000
        content-length: 134


    "#]],
    );
    check(
        "GET",
        "sales/customers?nmae=x",
        expect![[r#"
            400
            content-type: application/json; charset=utf-8
            server-timing: request;dur=0.000, plan;dur=0.000, query;dur=0.000, respond;dur=0.000

            {"count":null,
            "items":[],
            "message":"there is no parameter `nmae`: did you mean `name`?",
            "validations":[{"validationId":"unknown_parameter",
            "message":"there is no parameter `nmae`: did you mean `name`?",
            "severity":"error"}],
            "status":400,
            "type":"urn:restway:error:request.invalid",
            "title":"The request cannot be meant",
            "detail":"there is no parameter `nmae`: did you mean `name`?",
            "code":"request.invalid"}
        "#]],
    );
    check(
        "GET",
        "sales/customers/north,x",
        expect![[r#"
            404
            content-type: application/json; charset=utf-8
            server-timing: request;dur=0.000, plan;dur=0.000, query;dur=0.000, respond;dur=0.000

            {"item":null,
            "message":"no item has this key",
            "validations":[],
            "status":404,
            "type":"urn:restway:error:object.missing",
            "title":"No such item",
            "detail":"no item has this key",
            "code":"object.missing"}
        "#]],
    );
    check(
        "POST",
        "sales/customers",
        expect![[r#"
            405
            content-type: application/json; charset=utf-8
            allow: GET, HEAD
            server-timing: request;dur=0.000, plan;dur=0.000, query;dur=0.000, respond;dur=0.000

            {"count":null,
            "items":[],
            "message":"this is read with GET or HEAD; nothing here can be written",
            "validations":[],
            "status":405,
            "type":"urn:restway:error:request.method_not_allowed",
            "title":"Method not allowed",
            "detail":"this is read with GET or HEAD; nothing here can be written",
            "code":"request.method_not_allowed"}
        "#]],
    );
    check(
        "GET",
        "sales/staff",
        expect![[r#"
            401
            content-type: application/json; charset=utf-8
            www-authenticate: ApiKey realm="restway"
            server-timing: request;dur=0.000, plan;dur=0.000, query;dur=0.000, respond;dur=0.000

            {"count":null,
            "items":[],
            "message":"this object is not open to `anonymous`, and no other caller is known yet: the app's `access` decides",
            "validations":[],
            "status":401,
            "type":"urn:restway:error:object.missing",
            "title":"Not open to everybody",
            "detail":"this object is not open to `anonymous`, and no other caller is known yet: the app's `access` decides",
            "code":"object.missing"}
        "#]],
    );
    let item = room(Does::Answer(&["{\"id\":1}"])).answer("GET", "sales/customers/north,1");
    let expected = r#"{"item":{"id":1},"message":null,"validations":[],"status":200}"#;
    assert_eq!(item.body, expected);
    let nobody = room(Does::Answer(&[])).answer("GET", "sales/customers/north,1");
    assert_eq!(nobody.status, 404);
}

#[test]
fn faults_of_ours_are_told_to_the_observer_and_not_to_the_caller() {
    for (does, target, status, heard) in [
        (Does::Fail, "sales/customers", 500, "sales/customers: /var/secret/part-0 is gone"),
        (Does::Hang, "sales/customers", 504, "sales/customers: the query was stopped after 30 s"),
        (Does::Fail, "sales/absent", 503, "sales/absent: not there"),
        (
            Does::Fail,
            "sales/unfit",
            500,
            "sales/unfit: the key column `nothing` is not in the table `shop.customers`",
        ),
        (
            Does::Answer(&["{}", "{}"]),
            "sales/customers/north,1",
            500,
            "sales/customers: the key of `shop.customers` names more than one row",
        ),
    ] {
        let room = room(does);
        let response = room.answer("GET", target);
        assert_eq!(response.status, status, "{target}: {}", response.body);
        assert_eq!(*room.heard.0.lock().unwrap(), [heard]);
        for inside in ["/var", "shop.", "part-0", "not there", "nothing"] {
            assert!(!response.body.contains(inside), "{}", response.body);
        }
    }
}

#[test]
fn an_app_describes_what_is_open_and_nothing_else() {
    let response = room(Does::Answer(&[])).answer("GET", "sales/openapi.json");
    assert_eq!(response.status, 200);
    assert!(!response.body.contains("staff"), "{}", response.body);
    let document: Value = serde_json::from_str(&response.body).unwrap();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    let expected = [
        "/rest/v1/sales/absent",
        "/rest/v1/sales/absent/{key}",
        "/rest/v1/sales/customers",
        "/rest/v1/sales/customers/{key}",
        "/rest/v1/sales/unfit",
        "/rest/v1/sales/unfit/{key}",
    ];
    assert_eq!(paths, expected);
    let list = &document["paths"]["/rest/v1/sales/customers"]["get"];
    let named: Vec<&str> = list["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    // Each parameter that the document names is one that the plan takes.
    for name in named {
        let value = match name {
            "$offset" | "$limit" | "id" | "_row_id" | "credit" => "1",
            "$sort" | "$fields" => "id",
            "$count" | "is_open" => "true",
            "since" => "2024-02-29T00:00:00Z",
            _ => "{}",
        };
        let name: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let target = format!("sales/customers?{name}={value}");
        assert_eq!(room(Does::Answer(&[])).answer("GET", &target).status, 200, "{target}");
    }
}
