//! How lists are asked for, the same for each database: filters, trees, pages by place, counts.

use std::collections::BTreeSet;

use restway_publish::Publisher;
use serde_json::{Value, json};

use crate::databases::{self, Database, get};

/// A table whose columns of the order have nulls, equal values and both signs.
const MANY: usize = 60;

fn many() -> String {
    let rows = (0..MANY).map(|at| {
        let amount = match at % 7 {
            0 => "NULL".to_owned(),
            rest => format!("{}.5", (rest as i64 - 3) * 2),
        };
        let word = match at % 5 {
            0 => "NULL".to_owned(),
            rest => format!("'w{}'", rest % 3),
        };
        format!("({at}, {}, {amount}, {word})", at % 4)
    });
    let rows: Vec<String> = rows.collect();
    format!(
        "CREATE TABLE many (id bigint NOT NULL PRIMARY KEY, part bigint NOT NULL, \
           amount decimal(12,2), word varchar(20));
         CREATE INDEX by_part ON many (part, id);
         INSERT INTO many VALUES {};",
        rows.join(", ")
    )
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn names(publisher: &Publisher, query: &str) -> Vec<String> {
    let target = format!("customers?$fields=name&$limit=100&{query}");
    let (response, body) = get(publisher, &target).await;
    assert_eq!(response.status, 200, "{query}: {body}");
    let items = body["items"].as_array().expect("items");
    items.iter().map(|item| item["name"].as_str().expect("a name")[..2].to_owned()).collect()
}

/// Filters and the first two letters of whom they find.
const FILTERS: [(&str, &str); 33] = [
    ("id[ne]=1", "Do Bo"),
    ("id[gt]=1", "Do Bo"),
    ("id[gte]=1&id[lt]=3", "An Bo Ca"),
    ("credit[lte]=1.1", "An Bo"),
    ("credit[between]=-0.5,1.10", "An Bo"),
    ("id%5Bin%5D=2,9007199254740993", "Do Bo"),
    ("id[nin]=[1,2]", "Do"),
    ("region[in]=\"a,b\",south", "Do Ca"),
    ("note[null]=true", "An"),
    ("note[null]=false&note[ne]=x", "Bo Ca"),
    ("name[like]=_o%25", "Do Bo"),
    ("name[like]=%25A", ""),
    ("name[ilike]=%25A", "Do An Ca"),
    ("name[like]=%2550%5C%25%25", "Bo"),
    ("name[contains]=%25+o", "Bo"),
    ("name[contains]=ANNA", ""),
    ("name[startswith]=An", "An"),
    ("name[endswith]=ra", "Do Ca"),
    ("extra[has]=2", ""),
    ("since[gte]=2024-01-01", "An"),
    ("$filter=id+eq+1", "An Ca"),
    ("$filter=id+eq+1+and+not+(region+eq+'south')", "An"),
    ("$filter=region+eq+'south'+or+id+gt+1+and+credit+lt+0", "Bo Ca"),
    ("$filter=note+eq+null+or+note+in+('x','')", "Do An Ca"),
    ("$filter=note+ne+null+and+contains(name,'''Neil')", "Bo"),
    ("$filter=startswith(name,'An')+or+endswith(name,'ra')", "Do An Ca"),
    ("$filter=since+ge+2024-02-29T12:00:00Z", "An"),
    ("$filter=is_open+eq+true", "Do An"),
    ("$filter=\"is_open\"+eq+false", "Bo"),
    ("$filter=orders/any()", "An"),
    ("$filter=orders/any(o:o/amount+gt+5)", "An"),
    ("$filter=not+orders/any(o:+o/amount+gt+6)+and+id+eq+1", "An Ca"),
    ("$filter=orders/all(o:o/amount+gt+6)", "Do Bo Ca"),
];

/// Requests that mean nothing, and what is said.
const REFUSED: [(&str, &str); 17] = [
    ("id[gtt]=1", "there is no operator `gtt`: did you mean `gt`?"),
    ("idd[gt]=1", "there is no field `idd`: did you mean `id`?"),
    ("id[gt]=x", "`id` cannot be `x`"),
    ("id[in]=1,x", "`id` cannot be `x`"),
    ("id[contains]=1", "`contains` needs a field of text"),
    ("extra[lt]=1", "`extra` has JSON values, which have no order"),
    ("id[between]=1", "`id[between]` takes two values"),
    ("note[null]=yes", "`note[null]` is `true` or `false`"),
    ("name[has]=1", "`name` has no lists"),
    ("$filter=", "`$filter` cannot be read: the filter ends where a field"),
    ("$filter=id+eq+1)", "`$filter` cannot be read: `)` is too much"),
    ("$filter=name+eq+Anna", "`$filter` cannot be read: `Anna` is a text"),
    ("$filter=nme+eq+1", "`$filter` cannot be read: there is no field `nme`"),
    ("$filter=ordrs/any()", "`$filter` cannot be read: there is no related object `ordrs`"),
    ("$filter=orders/any(o:amount+gt+5)", "`$filter` cannot be read: write `o/` before"),
    ("$after=abc", "`$after` is no token of this list"),
    ("$after=&$offset=1", "`$after` says where the page is"),
];

async fn filters(publisher: &Publisher) {
    for (query, expected) in FILTERS {
        assert_eq!(names(publisher, query).await.join(" "), expected, "{query}");
    }
    for (query, expected) in REFUSED {
        let (response, body) = get(publisher, &format!("customers?{query}")).await;
        let said = body["message"].as_str().expect("a message");
        assert_eq!(response.status, 400, "{query}: {said}");
        assert!(said.starts_with(expected), "{query}: {said}");
    }
    let deep = format!("customers?$filter={}id+eq+1", "(".repeat(40));
    assert_eq!(get(publisher, &deep).await.0.status, 400);
    let wide = format!("customers?$filter={}", ["id+eq+1"; 300].join("+or+"));
    assert_eq!(get(publisher, &wide).await.0.status, 400);
}

/// Every page of every order, forwards and backwards, tells the same as the whole list.
async fn pages(publisher: &Publisher) {
    for sort in [
        "",
        "part",
        "-part",
        "amount",
        "-amount",
        "amount:nullsfirst",
        "word,-amount",
        "-word:nullsfirst,part",
        "part,-id",
        "-part,-id",
    ] {
        let sort = format!("$sort={sort}");
        let sort = if sort == "$sort=" { String::new() } else { format!("{sort}&") };
        let (_, whole) = get(publisher, &format!("many?{sort}$limit=100&$fields=id")).await;
        let whole = whole["items"].as_array().expect("items").clone();
        assert_eq!(whole.len(), MANY, "{sort}");
        let (mut found, mut token, mut last) = (Vec::new(), String::new(), Value::Null);
        while last.is_null() {
            let target = format!("many?{sort}$limit=7&$fields=id&$after={token}");
            let (response, body) = get(publisher, &target).await;
            assert_eq!(response.status, 200, "{target}: {body}");
            found.extend(body["items"].as_array().expect("items").clone());
            let link = response.headers.iter().find(|(name, _)| *name == "link");
            let Some(next) = body["next"].as_str() else {
                assert!(!link.is_some_and(|(_, link)| link.contains("rel=\"next\"")));
                last = body["prev"].clone();
                assert!(last.is_string(), "the last page knows the one before");
                continue;
            };
            let (_, link) = link.expect("a link to the next page");
            assert!(link.contains(&format!("$after={next}>; rel=\"next\"")), "{link}");
            token = next.to_owned();
        }
        assert_eq!(found, whole, "{sort}");
        let mut before = Vec::new();
        while let Some(token) = last.as_str() {
            let target = format!("many?{sort}$limit=7&$fields=id&$before={token}");
            let (response, body) = get(publisher, &target).await;
            assert_eq!(response.status, 200, "{target}: {body}");
            before.splice(0..0, body["items"].as_array().expect("items").clone());
            last = body["prev"].clone();
        }
        assert_eq!(before, whole[..MANY - MANY % 7], "{sort}");
    }
    // A token is for its list alone.
    let (_, body) = get(publisher, "many?$limit=7&$after=").await;
    let token = body["next"].as_str().expect("a token");
    for other in ["$sort=part&", "part=1&", "$filter=id+gt+0&"] {
        let (response, _) = get(publisher, &format!("many?{other}$after={token}")).await;
        assert_eq!(response.status, 400, "{other}");
    }
    let (response, _) = get(publisher, &format!("many?$before={token}")).await;
    assert_eq!(response.status, 400);
    let (response, body) = get(publisher, "many?$top=3&$skip=2&$orderby=id desc&$select=id").await;
    assert_eq!(body["items"], json!([{"id": 57}, {"id": 56}, {"id": 55}]));
    assert!(body.get("next").is_none(), "who does not page by tokens has the usual envelope");
    assert!(response.headers.iter().any(|(name, _)| *name == "link"));
}

async fn counts(publisher: &Publisher) {
    for (query, count, kind) in [
        ("$count=true&$limit=1", json!(60), Value::Null),
        ("$count=exact&$limit=1", json!(60), json!("exact")),
        ("$count=capped&$limit=1", json!(60), json!("exact")),
        ("$count=estimated&$limit=1", json!(60), json!("exact")),
        ("$count=exact&part=1", json!(15), json!("exact")),
        ("$count=exact&$after=&part=1&$limit=2", json!(15), json!("exact")),
        ("$count=none", Value::Null, Value::Null),
    ] {
        let (_, body) = get(publisher, &format!("many?{query}")).await;
        assert_eq!((&body["count"], &body["countKind"]), (&count, &kind), "{query}: {body}");
    }
}

/// For any condition each row is in it, or in its opposite, or some field of it is null; and each
/// database finds the same rows.
async fn equivalence(publisher: &Publisher) -> Vec<Vec<u64>> {
    let mut seed = 7_u64;
    let mut draw = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut found = Vec::new();
    for _ in 0..60 {
        let tree = tree(&mut draw, 0);
        let mut sets = Vec::new();
        for filter in [tree.clone(), format!("not ({tree})")] {
            let filter = encoded(&filter);
            let target = format!("many?$fields=id&$limit=100&$count=exact&$filter={filter}");
            let (response, body) = get(publisher, &target).await;
            assert_eq!(response.status, 200, "{tree}: {body}");
            let items = body["items"].as_array().expect("items");
            let ids: BTreeSet<u64> =
                items.iter().map(|item| item["id"].as_u64().expect("a number")).collect();
            assert_eq!(body["count"], json!(ids.len()), "{tree}");
            sets.push(ids);
        }
        assert!(sets[0].is_disjoint(&sets[1]), "{tree}");
        for id in 0..MANY as u64 {
            let has_null =
                (id % 7 == 0 && tree.contains("amount")) || (id % 5 == 0 && tree.contains("word"));
            assert!(has_null || sets.iter().any(|set| set.contains(&id)), "{tree}: {id}");
        }
        found.extend(sets.into_iter().map(|set| set.into_iter().collect()));
    }
    found
}

/// A generated condition.
fn tree(draw: &mut impl FnMut(u64) -> u64, depth: u32) -> String {
    match draw(if depth > 3 { 6 } else { 9 }) {
        0 => format!("id {} {}", ["lt", "ge", "ne"][draw(3) as usize], draw(60)),
        1 => format!("part {} {}", ["eq", "ne", "le"][draw(3) as usize], draw(4)),
        2 => format!("amount {} {}.5", ["eq", "gt", "ne"][draw(3) as usize], draw(8) as i64 - 4),
        3 => format!("word {} 'w{}'", ["eq", "ne", "gt"][draw(3) as usize], draw(3)),
        4 => format!("word in ('w{}','w{}')", draw(3), draw(3)),
        5 => format!("contains(word,'{}')", draw(3)),
        6 => format!("not ({})", tree(draw, depth + 1)),
        7 => format!("({} and {})", tree(draw, depth + 1), tree(draw, depth + 1)),
        _ => format!("({} or {})", tree(draw, depth + 1), tree(draw, depth + 1)),
    }
}

async fn check(database: &Database) -> Vec<Vec<u64>> {
    database.run(&many()).await;
    let publisher = database.publisher();
    filters(&publisher).await;
    pages(&publisher).await;
    counts(&publisher).await;
    equivalence(&publisher).await
}

#[tokio::test]
async fn lists_are_asked_for_in_one_way() {
    let found = check(&databases::sqlite().await).await;
    assert_eq!(found, check(&databases::postgres().await).await);
    assert_eq!(found, check(&databases::mariadb().await).await);
}

/// Elements of lists are found where the column is JSON, whatever else is in it.
#[tokio::test]
async fn elements_are_found_in_lists() {
    for database in
        [databases::sqlite().await, databases::postgres().await, databases::mariadb().await]
    {
        let sql = "INSERT INTO customers (region, id, name, extra) VALUES \
            ('has', 1, 'One', '[1, \"b\", null]'), ('has', 2, 'Two', '[2, true]'), \
            ('has', 3, 'Three', '\"b\"');";
        database.run(sql).await;
        let publisher = database.publisher();
        for (query, expected) in [
            ("extra[has]=1", vec!["On"]),
            ("extra[has]=b", vec!["On"]),
            ("extra[has]=true", vec!["Tw"]),
            ("extra[has]=null", vec!["On"]),
            ("extra[has]=3", vec![]),
        ] {
            assert_eq!(names(&publisher, query).await, expected, "{query}");
        }
    }
}
