//! What leaves the room: envelopes, refusals, descriptions, and nothing that should stay inside.

use expect_test::{Expect, expect};
use serde_json::Value;

use super::{Does, room, text};

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
        let body = text(&response).replace(",\"", ",\n\"");
        expected.assert_eq(&format!("{}\n{headers}\n{body}\n", response.status));
    };
    check(
        "GET",
        "sales/customers",
        expect![[r#"
            200
            content-type: application/json; charset=utf-8
            server-timing: access;dur=0.000, request;dur=0.000, plan;dur=0.000, query;dur=0.000, respond;dur=0.000

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
            server-timing: access;dur=0.000, request;dur=0.000, plan;dur=0.000, query;dur=0.000, respond;dur=0.000

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
            server-timing: access;dur=0.000, request;dur=0.000, plan;dur=0.000, query;dur=0.000, respond;dur=0.000

            {"count":2,
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
            server-timing: access;dur=0.000, request;dur=0.000, plan;dur=0.000, query;dur=0.000, respond;dur=0.000
            content-length: 134


        "#]],
    );
    check(
        "GET",
        "sales/customers?nmae=x",
        expect![[r#"
            400
            content-type: application/json; charset=utf-8
            server-timing: access;dur=0.000, request;dur=0.000, plan;dur=0.000, query;dur=0.000, respond;dur=0.000

            {"count":null,
            "items":[],
            "message":"there is no parameter `nmae`: did you mean `name`?",
            "validations":[{"validationId":"unknown_parameter",
            "message":"there is no parameter `nmae`: did you mean `name`?",
            "severity":"error"}],
            "status":400,
            "type":"urn:restway:error:request.invalid",
            "title":"The request is not valid",
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
            server-timing: access;dur=0.000, request;dur=0.000, plan;dur=0.000, query;dur=0.000, respond;dur=0.000

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
            allow: GET, HEAD, OPTIONS
            server-timing: access;dur=0.000, request;dur=0.000, plan;dur=0.000, query;dur=0.000, respond;dur=0.000

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
            www-authenticate: Bearer realm="restway", ApiKey realm="restway"
            server-timing: access;dur=0.000, request;dur=0.000, plan;dur=0.000, query;dur=0.000, respond;dur=0.000

            {"count":null,
            "items":[],
            "message":"this object is not open to `anonymous`: send a key in `X-API-Key`, or a token in `Authorization: Bearer`",
            "validations":[],
            "status":401,
            "type":"urn:restway:error:request.denied",
            "title":"Not open to everybody",
            "detail":"this object is not open to `anonymous`: send a key in `X-API-Key`, or a token in `Authorization: Bearer`",
            "code":"request.denied"}
        "#]],
    );
    let item = room(Does::Answer(&["{\"id\":1}"])).answer("GET", "sales/customers/north,1");
    let expected = r#"{"item":{"id":1},"message":null,"validations":[],"status":200}"#;
    assert_eq!(text(&item), expected);
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
        assert_eq!(response.status, status, "{target}: {}", text(&response));
        assert_eq!(*room.heard.0.lock().unwrap(), [heard]);
        for inside in ["/var", "shop.", "part-0", "not there", "nothing"] {
            assert!(!text(&response).contains(inside), "{}", text(&response));
        }
    }
}

#[test]
fn an_app_describes_what_is_open_and_nothing_else() {
    let response = room(Does::Answer(&[])).answer("GET", "sales/openapi.json");
    assert_eq!(response.status, 200);
    assert!(!text(&response).contains("staff"), "{}", text(&response));
    let document: Value = serde_json::from_slice(&response.body).unwrap();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    let parts = ["", "/{key}", "/$query", "/$count", "/{key}/{column}/$value"];
    let expected: Vec<String> = ["absent", "customers", "unfit"]
        .iter()
        .flat_map(|name| parts.map(|part| format!("/rest/v1/sales/{name}{part}")))
        .collect();
    assert_eq!(paths, expected.iter().collect::<Vec<_>>());
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
            "$filter" => "id%20eq%201",
            "$after" => "",
            "$format" => "json",
            // Its value is a token that only an answer has.
            "$before" => continue,
            _ => "{}",
        };
        let name: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let target = format!("sales/customers?{name}={value}");
        assert_eq!(room(Does::Answer(&[])).answer("GET", &target).status, 200, "{target}");
    }
}
