//! What a request becomes: statements and their values, or findings. One line, one case.

use expect_test::expect;

use super::{Does, asks, refuses, room, text};

#[test]
fn requests_become_statements() {
    asks(
        "sales/customers",
        expect![[r#"
            SELECT t."id",
                t."name",
                t."region"
              FROM "shop"."customers" AS t
              ORDER BY t."region" ASC NULLS LAST, t."id" ASC NULLS LAST
              LIMIT 11
        "#]],
    );
    asks("sales/customers?$limit=0", expect![[""]]);
    asks(
        "sales/customers?$limit=0&$count=true",
        expect![[r#"
            SELECT count(*) AS "count"
              FROM "shop"."customers" AS t
        "#]],
    );
    asks(
        "sales/customers?$limit=101&$offset=20&$count=false",
        expect![[r#"
            SELECT t."id",
                t."name",
                t."region"
              FROM "shop"."customers" AS t
              ORDER BY t."region" ASC NULLS LAST, t."id" ASC NULLS LAST
              LIMIT 101 OFFSET 20
        "#]],
    );
    asks(
        "sales/customers?$limit=99999999999999999999999",
        expect![[r#"
            SELECT t."id",
                t."name",
                t."region"
              FROM "shop"."customers" AS t
              ORDER BY t."region" ASC NULLS LAST, t."id" ASC NULLS LAST
              LIMIT 101
        "#]],
    );
    asks(
        "sales/customers?$sort=-name,region&$fields=*",
        expect![[r#"
            SELECT t."id",
                t."region",
                t."name",
                t."odd ""name""",
                t."credit",
                t."since",
                t."is_open",
                t."nothing_yet",
                t."extra",
                t."_row_id"
              FROM "shop"."customers" AS t
              ORDER BY t."name" DESC NULLS LAST, t."region" ASC NULLS LAST, t."id" ASC NULLS LAST
              LIMIT 11
        "#]],
    );
    asks(
        "sales/customers?$fields=_row_id,odd%20%22name%22&odd+%22name%22=x",
        expect![[r#"
            SELECT t."_row_id",
                t."odd ""name""",
                t."region",
                t."id"
              FROM "shop"."customers" AS t
              WHERE t."odd ""name""" = $v1
              ORDER BY t."region" ASC NULLS LAST, t."id" ASC NULLS LAST
              LIMIT 11
              1 = Text("x")
        "#]],
    );
    asks(
        "sales/customers?credit=1.5&since=2024-02-29&is_open=true&extra={}",
        expect![[r#"
            SELECT t."id",
                t."name",
                t."region"
              FROM "shop"."customers" AS t
              WHERE t."credit" = CAST($v1 AS DECIMAL(6,2))
              AND t."extra" = $v2
              AND t."is_open" = CAST($v3 AS BOOLEAN)
              AND t."since" = arrow_cast(CAST($v4 AS VARCHAR), 'Timestamp(Microsecond, Some("UTC"))')
              ORDER BY t."region" ASC NULLS LAST, t."id" ASC NULLS LAST
              LIMIT 11
              1 = Text("1.50")
              2 = Text("{}")
              3 = Text("true")
              4 = Text("2024-02-29T00:00:00.000000Z")
        "#]],
    );
    asks(
        "sales/customers?nothing_yet=1&name=",
        expect![[r#"
            SELECT t."id",
                t."name",
                t."region"
              FROM "shop"."customers" AS t
              WHERE t."name" = $v1
              AND FALSE
              ORDER BY t."region" ASC NULLS LAST, t."id" ASC NULLS LAST
              LIMIT 11
              1 = Text("")
        "#]],
    );
    asks(
        "sales/customers?$q=M%C3%BCller+%26+co&$fields=name%2Cid&$count=true",
        expect![[r#"
            SELECT t."name",
                t."id",
                t."region"
              FROM "shop"."customers" AS t
              WHERE (contains(lower(CAST(t."id" AS VARCHAR)), lower(CAST($v1 AS VARCHAR)))
              OR contains(lower(CAST(t."region" AS VARCHAR)), lower(CAST($v1 AS VARCHAR)))
              OR contains(lower(CAST(t."name" AS VARCHAR)), lower(CAST($v1 AS VARCHAR)))
              OR contains(lower(CAST(t."odd ""name""" AS VARCHAR)), lower(CAST($v1 AS VARCHAR)))
              OR contains(lower(CAST(t."credit" AS VARCHAR)), lower(CAST($v1 AS VARCHAR)))
              OR contains(lower(CAST(t."since" AS VARCHAR)), lower(CAST($v1 AS VARCHAR)))
              OR contains(lower(CAST(t."is_open" AS VARCHAR)), lower(CAST($v1 AS VARCHAR)))
              OR contains(lower(CAST(t."extra" AS VARCHAR)), lower(CAST($v1 AS VARCHAR))))
              ORDER BY t."region" ASC NULLS LAST, t."id" ASC NULLS LAST
              LIMIT 11
              1 = Text("Müller & co")
        "#]],
    );
    asks(
        "sales/customers?$q=",
        expect![[r#"
            SELECT t."id",
                t."name",
                t."region"
              FROM "shop"."customers" AS t
              ORDER BY t."region" ASC NULLS LAST, t."id" ASC NULLS LAST
              LIMIT 11
        "#]],
    );
    asks(
        "sales/customers/north,7",
        expect![[r#"
            SELECT t."id",
                t."region",
                t."name",
                t."odd ""name""",
                t."credit",
                t."since",
                t."is_open",
                t."nothing_yet",
                t."extra"
              FROM "shop"."customers" AS t
              WHERE t."region" = $v1
              AND t."id" = CAST($v2 AS BIGINT)
              LIMIT 2
              1 = Text("north")
              2 = Text("7")
        "#]],
    );
    asks(
        "sales/customers/a%2Cb%2Fc,7?$fields=name",
        expect![[r#"
            SELECT t."name"
              FROM "shop"."customers" AS t
              WHERE t."region" = $v1
              AND t."id" = CAST($v2 AS BIGINT)
              LIMIT 2
              1 = Text("a,b/c")
              2 = Text("7")
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
            invalid_number: `$offset` cannot be `1e3`: write a number from 0 to 1000000, or page with `$after`
        "#]],
    );
    refuses(
        "sales/customers?$limit=&$offset=1000001&$count=yes",
        expect![[r#"
            400 3 problems in the request
            invalid_number: `$limit` cannot be ``: write a number from 0
            invalid_number: `$offset` cannot be `1000001`: write a number from 0 to 1000000, or page with `$after`
            invalid_value: `$count` cannot be `yes`: write `true`, `exact`, `estimated`, `capped` or `none`
        "#]],
    );
    refuses(
        "sales/customers?id=x&credit=1.005&since=now&is_open=1",
        expect![[r#"
            400 4 problems in the request
            invalid_value: `credit` cannot be `1.005`: write at most 6 digits, 2 after the point
            invalid_value: `id` cannot be `x`: write a whole number of 64 bits
            invalid_value: `is_open` cannot be `1`: write `true` or `false`
            invalid_value: `since` cannot be `now`: write an instant, as in `2024-02-29T12:00:00Z`
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
        "sales/customers?$fliter=id%20eq%201&id[gtt]=1&$filter=id%20eq",
        expect![[r#"
        400 3 problems in the request
        unknown_parameter: there is no parameter `$fliter`: did you mean `$filter`?
        unknown_operator: there is no operator `gtt`: did you mean `gt`?
        invalid_filter: `$filter` cannot be read: the filter ends where a value must be
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
        "sales/customers?extra[has]=1",
        expect![[r#"
            400 `has` looks into the JSON of databases, and this is no database
            unknown_operator: `has` looks into the JSON of databases, and this is no database
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
            400 there is no parameter `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…`
            unknown_parameter: there is no parameter `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…`
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
        assert_eq!(response.status, 404, "{target}: {}", text(&response));
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
            401 this object is not open to `anonymous`: send a key in `X-API-Key`, or a token in `Authorization: Bearer`
        "#]],
    );
    refuses(
        "sales/staff/1?$nonsense=1",
        expect![[r#"
            401 this object is not open to `anonymous`: send a key in `X-API-Key`, or a token in `Authorization: Bearer`
        "#]],
    );
    refuses(
        "sales/absent",
        expect![[r#"
            503 the table behind this object is still missing
        "#]],
    );
    refuses(
        "sales/unfit",
        expect![[r#"
        500 the answer could not be made; the server's log says why
    "#]],
    );
}
