//! One table of cases, the same for each database.

use serde_json::{Value, json};

use crate::databases::{self, Database, get};

/// What is asked, its status, and the items, the item or the problem's first word.
fn cases() -> Vec<(&'static str, u16, Value)> {
    let names = |names: &[&str]| {
        json!(names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>())
    };
    let bo = "Bo \"the\" 50% o'Neil_";
    vec![
        ("customers?$fields=name", 200, names(&["Dora", "Anna", bo, "Cara"])),
        ("customers?$fields=name&$limit=2&$offset=1", 200, names(&["Anna", bo])),
        ("customers?$fields=name&$offset=3&$count=true", 200, names(&["Cara"])),
        ("customers?$fields=name&$limit=0&$count=true", 200, names(&[])),
        ("customers?$fields=name&$sort=-name", 200, names(&["Dora", "Cara", bo, "Anna"])),
        // Nulls come last in both directions.
        ("customers?$fields=name&$sort=credit", 200, names(&[bo, "Anna", "Dora", "Cara"])),
        ("customers?$fields=name&$sort=-credit", 200, names(&["Dora", "Anna", bo, "Cara"])),
        ("customers?$fields=name&credit=1.1", 200, names(&["Anna"])),
        ("customers?$fields=name&credit=-0.50", 200, names(&[bo])),
        ("customers?$fields=name&ratio=0.1", 200, names(&["Anna"])),
        ("customers?$fields=name&is_open=true", 200, names(&["Dora", "Anna"])),
        ("customers?$fields=name&id=9007199254740993", 200, names(&["Dora"])),
        ("customers?$fields=name&since=2024-02-29T12:00:00Z", 200, names(&["Anna"])),
        ("customers?$fields=name&note=", 200, names(&["Cara"])),
        ("customers?$fields=name&note=said:+%C3%A4", 200, names(&[bo])),
        ("customers?$fields=name&code=AP8h", 200, names(&["Anna"])),
        ("customers?$fields=name&name=ANNA", 200, names(&[])),
        // A pattern is only a text.
        ("customers?$fields=name&$q=50%25", 200, names(&[bo])),
        ("customers?$fields=name&$q=NEIL_", 200, names(&[bo])),
        ("customers?$fields=name&$q=_ra", 200, names(&[])),
        ("customers?$fields=name&$q=!", 200, names(&[])),
        ("customers?$fields=name&$q=ANN&region=north", 200, names(&["Anna"])),
        (
            "customers?$limit=1",
            200,
            json!([{"region": "a,b", "id": 9_007_199_254_740_993_u64, "name": "Dora"}]),
        ),
        (
            "customers/north,1",
            200,
            json!({"region": "north", "id": 1, "name": "Anna", "credit": 1.1, "ratio": 0.1,
                "since": "2024-02-29T12:00:00Z", "is_open": true, "extra": {"a": [1, 2]},
                "code": "AP8h", "note": null}),
        ),
        (
            "customers/a%2Cb,9007199254740993?$fields=ratio,extra",
            200,
            json!({"ratio": 1e300, "extra": null}),
        ),
        (
            "customers/south,1?$fields=is_open,credit,note",
            200,
            json!({"is_open": null, "credit": null, "note": ""}),
        ),
        ("customers/north,7", 404, json!("no item")),
        ("customers/north", 404, json!("no item")),
        ("customers/north,x", 404, json!("no item")),
        ("customers?id=x", 400, json!("`id` cannot")),
        ("customers?nmae=x", 400, json!("there is no parameter `nmae`: did you mean `name`?")),
        ("customers?name=%00", 400, json!("`name` cannot")),
        ("open?$fields=name&$sort=-id", 200, names(&["Dora", "Anna"])),
        ("open/north,1", 200, json!({"region": "north", "id": 1, "name": "Anna"})),
        ("orders", 200, json!([{"id": 1, "region": "north", "customer": 1, "amount": 5.25}])),
        ("orders/1?$fields=amount", 200, json!({"amount": 5.25})),
        (
            "regions",
            200,
            json!([{"region": "a,b", "n": 1}, {"region": "north", "n": 2}, {"region": "south", "n": 1}]),
        ),
        ("regions/north", 200, json!({"region": "north", "n": 2})),
        ("regions?n=2&$count=true&$limit=1", 200, json!([{"region": "north", "n": 2}])),
        // What is counted is a number, also where a query's columns have no type.
        ("regions?n[lt]=10&n[gt]=1", 200, json!([{"region": "north", "n": 2}])),
        ("regions?n[gte]=10", 200, json!([])),
        (
            "orders?$expand=customers",
            200,
            json!([{"id": 1, "region": "north", "customer": 1, "amount": 5.25,
                "customers": {"region": "north", "id": 1, "name": "Anna"}}]),
        ),
        (
            "orders/1?$fields=amount&$expand=customers",
            200,
            json!({"amount": 5.25, "customers": {"region": "north", "id": 1, "name": "Anna"}}),
        ),
        (
            "customers?$fields=name&$expand=orders&region=north",
            200,
            json!([
                {"name": "Anna", "orders": [{"id": 1, "region": "north", "customer": 1, "amount": 5.25}]},
                {"name": bo, "orders": []},
            ]),
        ),
        ("customers?$expand=ordrs", 400, json!("there is no related object `ordrs`")),
        ("customers?$expand=keyless", 400, json!("there is no related object `keyless`")),
        ("customers?$expand=orders,orders", 400, json!("`$expand` names `orders` more")),
        ("customers?$expand=orders&$format=csv", 400, json!("there is no parameter `$expand`")),
        ("gone", 503, json!("the table behind")),
        ("keyless", 500, json!("the answer could not")),
    ]
}

async fn check(database: Database) {
    let publisher = database.publisher();
    for (target, status, expected) in cases() {
        let (response, body) = get(&publisher, target).await;
        assert_eq!(response.status, status, "{target}: {body}");
        if let Some(words) = expected.as_str() {
            let said = body["message"].as_str().expect("a message");
            assert!(said.starts_with(words), "{target}: {said}");
            continue;
        }
        let found = if body.get("items").is_some() { &body["items"] } else { &body["item"] };
        assert_eq!(*found, expected, "{target}");
    }
    let (_, counted) = get(&publisher, "customers?$limit=1&$count=true&region=north").await;
    assert_eq!(counted["count"], json!(2));
    let (_, beyond) = get(&publisher, "customers?$offset=9&$count=true").await;
    assert_eq!((&beyond["count"], &beyond["items"]), (&json!(4), &json!([])));
    let (response, _) = get(&publisher, "openapi.json").await;
    assert_eq!(response.status, 200);

    let rows: Vec<String> = (10..=1_010).map(|id| format!("({id}, 'north', 1, {id})")).collect();
    let rows = rows.join(", ");
    database.run(&format!("INSERT INTO orders (id, region, customer, amount) VALUES {rows}")).await;
    let (response, body) = get(&publisher, "customers?$expand=orders").await;
    let found = &body["validations"][0]["validationId"];
    assert_eq!((response.status, found), (400, &json!("too_many_related")), "never cut: {body}");

    // A column that has another name now is found under it at once.
    database.run("ALTER TABLE customers RENAME COLUMN note TO remark").await;
    let (response, body) = get(&publisher, "customers/south,1").await;
    assert_eq!((response.status, &body["item"]["remark"]), (200, &json!("")), "{body}");
}

#[tokio::test]
async fn sqlite_answers_the_cases() {
    check(databases::sqlite().await).await;
}

#[tokio::test]
async fn postgres_answers_the_cases() {
    let database = databases::postgres().await;
    let (response, _) = get(&database.publisher(), "customers/north,1?$fields=credit").await;
    let text = String::from_utf8(response.body).expect("text");
    assert!(text.contains("\"credit\":1.10}"), "a decimal is answered as it is written: {text}");
    check(database).await;
}

#[tokio::test]
async fn mariadb_answers_the_cases() {
    let database = databases::mariadb().await;
    let (response, _) = get(&database.publisher(), "customers/north,1?$fields=credit").await;
    let text = String::from_utf8(response.body).expect("text");
    assert!(text.contains("\"credit\":1.10}"), "a decimal is answered as it is written: {text}");
    check(database).await;
}
