//! Each condition in each dialect.

use expect_test::{Expect, expect};

use super::*;
use crate::plan::{Comparison, Condition, Place, Quantity, Value};

fn column(name: &str, kind: Kind, native: &str) -> Column {
    let mut column = Column::new(name, kind);
    column.native = native.to_owned();
    column
}

fn of(column: &Column, text: &str) -> Value {
    Value::of(column.kind, text).unwrap()
}

/// The condition in all four, and how many values each has.
fn check(condition: &Condition<'_>, expected: Expect) {
    let dialects = [Dialect::Lake, Dialect::Sqlite, Dialect::Postgres, Dialect::Mysql];
    let lines = dialects.map(|dialect| {
        let mut writer = Writer::new(dialect);
        condition::filter(&mut writer, condition);
        let statement = writer.statement(Vec::new(), &[]);
        format!("{}  -- {}\n", statement.text.trim_start(), statement.values.len())
    });
    expected.assert_eq(&lines.concat());
}

#[test]
fn comparisons_are_in_the_columns_type() {
    let id = column("id", Kind::Int64, "bigint");
    let price = column("price", Kind::Decimal { precision: 6, scale: 2 }, "numeric");
    let since = column("since", Kind::Instant, "timestamp with time zone");
    let compare = |column, comparison, text| Condition::Compare {
        column,
        comparison,
        value: of(column, text),
    };
    check(
        &Condition::All(vec![
            compare(&id, Comparison::AtLeast, "7"),
            Condition::Not(Box::new(Condition::Any(vec![
                compare(&price, Comparison::Less, "1.5"),
                Condition::Null(&since),
            ]))),
        ]),
        expect![[r#"
            WHERE t."id" >= CAST($v1 AS BIGINT) AND NOT ((t."price" < CAST($v2 AS DECIMAL(6,2)) OR t."since" IS NULL))  -- 2
            WHERE t."id" >= ?1 AND NOT ((t."price" < CAST(?2 AS NUMERIC) OR t."since" IS NULL))  -- 2
            WHERE t."id" >= $1 AND NOT ((t."price" < CAST($2 AS numeric) OR t."since" IS NULL))  -- 2
            WHERE t.`id` >= ? AND NOT ((t.`price` < CAST(? AS DECIMAL(6,2)) OR t.`since` IS NULL))  -- 2
        "#]],
    );
    check(
        &compare(&since, Comparison::Different, "2024-02-29"),
        expect![[r#"
        WHERE t."since" <> arrow_cast(CAST($v1 AS VARCHAR), 'Timestamp(Microsecond, Some("UTC"))')  -- 1
        WHERE t."since" <> ?1  -- 1
        WHERE t."since" <> CAST($1 AS timestamp with time zone)  -- 1
        WHERE t.`since` <> CAST(? AS DATETIME(6))  -- 1
    "#]],
    );
}

#[test]
fn lists_have_few_shapes() {
    let id = column("id", Kind::Int64, "bigint");
    let values = ["1", "2", "3"].map(|text| of(&id, text)).to_vec();
    check(
        &Condition::In { column: &id, values },
        expect![[r#"
        WHERE t."id" IN (CAST($v1 AS BIGINT), CAST($v2 AS BIGINT), CAST($v3 AS BIGINT), CAST($v4 AS BIGINT))  -- 4
        WHERE t."id" IN (SELECT value FROM json_each(?1))  -- 1
        WHERE t."id" = ANY(CAST($1 AS bigint[]))  -- 1
        WHERE t.`id` IN (?, ?, ?, ?)  -- 4
    "#]],
    );
    check(
        &Condition::In { column: &id, values: Vec::new() },
        expect![[r#"
        WHERE FALSE  -- 0
        WHERE FALSE  -- 0
        WHERE FALSE  -- 0
        WHERE FALSE  -- 0
    "#]],
    );
    check(
        &Condition::Any(Vec::new()),
        expect![[r#"
        WHERE FALSE  -- 0
        WHERE FALSE  -- 0
        WHERE FALSE  -- 0
        WHERE FALSE  -- 0
    "#]],
    );
}

#[test]
fn texts_are_found_where_they_stand() {
    let name = column("na\"me`", Kind::Text, "text");
    let id = column("id", Kind::Int64, "bigint");
    for (place, folds) in [(Place::Within, true), (Place::Start, false), (Place::End, false)] {
        let condition = Condition::Text { column: &name, place, folds, text: "a%".to_owned() };
        let expected = match place {
            Place::Within => expect![[r#"
                WHERE contains(lower(CAST(t."na""me`" AS VARCHAR)), lower(CAST($v1 AS VARCHAR)))  -- 1
                WHERE CAST(t."na""me`" AS text) LIKE ?1 ESCAPE '!'  -- 1
                WHERE CAST(t."na""me`" AS text) ILIKE $1 ESCAPE '!'  -- 1
                WHERE LOWER(CAST(t.`na"me``` AS CHAR CHARACTER SET utf8mb4)) LIKE LOWER(?) COLLATE utf8mb4_bin ESCAPE '!'  -- 1
            "#]],
            Place::Start => expect![[r#"
                WHERE starts_with(CAST(t."na""me`" AS VARCHAR), CAST($v1 AS VARCHAR))  -- 1
                WHERE substr(CAST(t."na""me`" AS text), 1, length(?1)) = ?1  -- 1
                WHERE CAST(t."na""me`" AS text) LIKE $1 ESCAPE '!'  -- 1
                WHERE CAST(t.`na"me``` AS CHAR CHARACTER SET utf8mb4) LIKE ? COLLATE utf8mb4_bin ESCAPE '!'  -- 1
            "#]],
            Place::End => expect![[r#"
                WHERE ends_with(CAST(t."na""me`" AS VARCHAR), CAST($v1 AS VARCHAR))  -- 1
                WHERE substr(CAST(t."na""me`" AS text), -length(?1)) = ?1  -- 1
                WHERE CAST(t."na""me`" AS text) LIKE $1 ESCAPE '!'  -- 1
                WHERE CAST(t.`na"me``` AS CHAR CHARACTER SET utf8mb4) LIKE ? COLLATE utf8mb4_bin ESCAPE '!'  -- 1
            "#]],
        };
        check(&condition, expected);
    }
    check(
        &Condition::Search { columns: vec![&name, &id], text: "a".to_owned() },
        expect![[r#"
        WHERE (contains(lower(CAST(t."na""me`" AS VARCHAR)), lower(CAST($v1 AS VARCHAR))) OR contains(lower(CAST(t."id" AS VARCHAR)), lower(CAST($v1 AS VARCHAR))))  -- 1
        WHERE (CAST(t."na""me`" AS text) LIKE ?1 ESCAPE '!' OR CAST(t."id" AS text) LIKE ?1 ESCAPE '!')  -- 1
        WHERE (CAST(t."na""me`" AS text) ILIKE $1 ESCAPE '!' OR CAST(t."id" AS text) ILIKE $1 ESCAPE '!')  -- 1
        WHERE (LOWER(CAST(t.`na"me``` AS CHAR CHARACTER SET utf8mb4)) LIKE LOWER(?) COLLATE utf8mb4_bin ESCAPE '!' OR LOWER(CAST(t.`id` AS CHAR CHARACTER SET utf8mb4)) LIKE LOWER(?) COLLATE utf8mb4_bin ESCAPE '!')  -- 2
    "#]],
    );
}

#[test]
fn related_rows_are_looked_for_and_not_joined() {
    let id = column("id", Kind::Int64, "bigint");
    let owner = column("owner", Kind::Int64, "bigint");
    let relation = Relation::Table(vec!["shop".to_owned(), "orders".to_owned()]);
    let related = |quantity| Condition::Related {
        relation: &relation,
        pairs: vec![(&id, &owner)],
        quantity,
        condition: Box::new(Condition::equals(&id, of(&id, "1"))),
    };
    check(
        &related(Quantity::Any),
        expect![[r#"
        WHERE EXISTS (SELECT 1 FROM "shop"."orders" AS tr WHERE tr."owner" = t."id" AND (tr."id" = CAST($v1 AS BIGINT)))  -- 1
        WHERE EXISTS (SELECT 1 FROM "shop"."orders" AS tr WHERE tr."owner" = t."id" AND (tr."id" = ?1))  -- 1
        WHERE EXISTS (SELECT 1 FROM "shop"."orders" AS tr WHERE tr."owner" = t."id" AND (tr."id" = $1))  -- 1
        WHERE EXISTS (SELECT 1 FROM `shop`.`orders` AS tr WHERE tr.`owner` = t.`id` AND (tr.`id` = ?))  -- 1
    "#]],
    );
    check(
        &related(Quantity::All),
        expect![[r#"
        WHERE NOT EXISTS (SELECT 1 FROM "shop"."orders" AS tr WHERE tr."owner" = t."id" AND (tr."id" = CAST($v1 AS BIGINT)) IS NOT TRUE)  -- 1
        WHERE NOT EXISTS (SELECT 1 FROM "shop"."orders" AS tr WHERE tr."owner" = t."id" AND (tr."id" = ?1) IS NOT TRUE)  -- 1
        WHERE NOT EXISTS (SELECT 1 FROM "shop"."orders" AS tr WHERE tr."owner" = t."id" AND (tr."id" = $1) IS NOT TRUE)  -- 1
        WHERE NOT EXISTS (SELECT 1 FROM `shop`.`orders` AS tr WHERE tr.`owner` = t.`id` AND (tr.`id` = ?) IS NOT TRUE)  -- 1
    "#]],
    );
}

/// How many rows are asked for changes a value and not the text.
#[test]
fn an_export_has_one_text_for_any_number_of_rows() {
    let relation = Relation::Table(vec!["t".to_owned()]);
    let id = column("id", Kind::Int64, "bigint");
    let text = |dialect, limit, offset| {
        let plan = ListPlan {
            relation: &relation,
            arguments: &[],
            fields: vec![&id],
            condition: Condition::All(Vec::new()),
            order: vec![Order { column: &id, descends: false, nulls_first: false }],
            offset,
            limit,
            seek: Seek::Offset { tells: false },
            belongs: String::new(),
            counts: None,
            tags: false,
            expands: Vec::new(),
            message: None,
            notes: Vec::new(),
        };
        export(dialect, &plan).text
    };
    for dialect in [Dialect::Sqlite, Dialect::Postgres, Dialect::Mysql] {
        assert_eq!(text(dialect, 3, 0), text(dialect, u64::MAX - 1, 0));
        assert_eq!(text(dialect, 3, 7), text(dialect, u64::MAX, 9));
        assert!(!text(dialect, u64::MAX, 0).contains("LIMIT"));
    }
}
