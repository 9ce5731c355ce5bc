//! What nobody would write by hand: filters that are made by chance, held against the three values
//! of logic; names that mean something to SQL; and values that would like to.

use restway_model::definition::SourceKind;
use restway_publish::Publisher;
use serde_json::{Value, json};

use crate::databases::{self, Database, get};

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Numbers by chance, the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// A row of the table: a number, cents, a word, a flag and a day, each but the first perhaps null.
#[derive(Clone, Copy)]
struct Row {
    id: i64,
    cents: Option<i64>,
    word: Option<&'static str>,
    is_open: Option<bool>,
    day: Option<&'static str>,
}

const WORDS: [&str; 7] = ["", "a", "ab", "b%", "b_c", "o'neil", "w!x\\y"];
const DAYS: [&str; 4] = ["0001-01-01", "1999-12-31", "2024-02-29", "9999-12-31"];

fn rows(chance: &mut Chance) -> Vec<Row> {
    let row = |id| Row {
        id,
        cents: (chance.below(4) > 0).then(|| chance.of(&[-250, -50, 0, 50, 110, 999_999])),
        word: (chance.below(4) > 0).then(|| chance.of(&WORDS)),
        is_open: (chance.below(3) > 0).then(|| chance.below(2) == 0),
        day: (chance.below(4) > 0).then(|| chance.of(&DAYS)),
    };
    (1..=50).map(row).collect()
}

fn table(database: &Database, rows: &[Row]) -> String {
    let quoted = |text: Option<&str>| match (text, database.kind()) {
        (None, _) => "NULL".to_owned(),
        (Some(text), SourceKind::Mysql) => {
            format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
        }
        (Some(text), _) => format!("'{}'", text.replace('\'', "''")),
    };
    let values = rows.iter().map(|row| {
        let cents = row.cents.map_or("NULL".to_owned(), |cents| format!("{cents} / 100.0"));
        let is_open = row.is_open.map_or("NULL".to_owned(), |is_open| is_open.to_string());
        format!("({}, {cents}, {}, {is_open}, {})", row.id, quoted(row.word), quoted(row.day))
    });
    let values: Vec<String> = values.collect();
    let day = if database.kind() == SourceKind::Sqlite { "text" } else { "date" };
    format!(
        "CREATE TABLE chance (id bigint NOT NULL PRIMARY KEY, amount decimal(12,2), \
           word varchar(20), is_open boolean, day {day});
         INSERT INTO chance VALUES {};",
        values.join(", ")
    )
}

/// A condition: its text, and what it is for each row: true, false or neither.
struct Made {
    text: String,
    holds: Vec<Option<bool>>,
}

fn compared<T: PartialOrd + Copy>(
    rows: &[Row],
    of: impl Fn(&Row) -> Option<T>,
    word: &str,
    value: T,
) -> Vec<Option<bool>> {
    let holds = |found: T| match word {
        "eq" => found == value,
        "ne" => found != value,
        "gt" => found > value,
        "ge" => found >= value,
        "lt" => found < value,
        _ => found <= value,
    };
    rows.iter().map(|row| of(row).map(holds)).collect()
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// One comparison.
fn leaf(chance: &mut Chance, rows: &[Row]) -> Made {
    let word = chance.of(&["eq", "ne", "gt", "ge", "lt", "le"]);
    match chance.below(8) {
        0 => {
            let value = chance.of(&[0, 7, 25, 50, -1]);
            let holds = compared(rows, |row| Some(row.id), word, value);
            Made { text: format!("id {word} {value}"), holds }
        }
        1 => {
            let value: i64 = chance.of(&[-250, 0, 50, 110, 111]);
            let sign = if value < 0 { "-" } else { "" };
            let text =
                format!("amount {word} {sign}{}.{:02}", value.abs() / 100, value.abs() % 100);
            Made { text, holds: compared(rows, |row| row.cents, word, value) }
        }
        2 => {
            let word = chance.of(&["eq", "ne"]);
            let value = chance.of(&WORDS);
            let holds = compared(rows, |row| row.word, word, value);
            Made { text: format!("word {word} {}", literal(value)), holds }
        }
        3 => {
            let value = chance.of(&DAYS);
            let holds = compared(rows, |row| row.day, word, value);
            let text = format!("day {word} {}", literal(value));
            Made { text, holds }
        }
        4 => {
            let word = chance.of(&["eq", "ne"]);
            let value = chance.below(2) == 0;
            let holds = compared(rows, |row| row.is_open, word, value);
            Made { text: format!("is_open {word} {value}"), holds }
        }
        5 => {
            let (field, null): (_, fn(&Row) -> bool) = chance.of(&[
                ("word", (|row| row.word.is_none()) as fn(&Row) -> bool),
                ("amount", |row| row.cents.is_none()),
                ("day", |row| row.day.is_none()),
                ("is_open", |row| row.is_open.is_none()),
            ]);
            let is_null = chance.below(2) == 0;
            let text = format!("{field} {} null", if is_null { "eq" } else { "ne" });
            Made { text, holds: rows.iter().map(|row| Some(null(row) == is_null)).collect() }
        }
        6 => {
            let (a, b) = (chance.of(&WORDS), chance.of(&WORDS));
            let text = format!("word in ({},{})", literal(a), literal(b));
            let holds = |row: &Row| row.word.map(|word| word == a || word == b);
            Made { text, holds: rows.iter().map(holds).collect() }
        }
        _ => {
            let value = chance.of(&["a", "b", "%", "_", "!", "\\", "'", "x", "neil"]);
            let (name, has): (_, fn(&str, &str) -> bool) = chance.of(&[
                ("contains", (|word, part| word.contains(part)) as fn(&str, &str) -> bool),
                ("startswith", |word, part| word.starts_with(part)),
                ("endswith", |word, part| word.ends_with(part)),
            ]);
            let text = format!("{name}(word,{})", literal(value));
            let holds = |row: &Row| row.word.map(|word| has(word, value));
            Made { text, holds: rows.iter().map(holds).collect() }
        }
    }
}

fn tree(chance: &mut Chance, rows: &[Row], depth: u32) -> Made {
    let both = |chance: &mut Chance| (tree(chance, rows, depth + 1), tree(chance, rows, depth + 1));
    match chance.below(if depth > 3 { 1 } else { 5 }) {
        0 | 1 => leaf(chance, rows),
        2 => {
            let inner = tree(chance, rows, depth + 1);
            let holds = inner.holds.into_iter().map(|holds| holds.map(|holds| !holds)).collect();
            Made { text: format!("not ({})", inner.text), holds }
        }
        3 => {
            let (left, right) = both(chance);
            let and = |(left, right)| match (left, right) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            };
            let holds = left.holds.into_iter().zip(right.holds).map(and).collect();
            Made { text: format!("({} and {})", left.text, right.text), holds }
        }
        _ => {
            let (left, right) = both(chance);
            let or = |(left, right)| match (left, right) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
            let holds = left.holds.into_iter().zip(right.holds).map(or).collect();
            Made { text: format!("({} or {})", left.text, right.text), holds }
        }
    }
}

const APP: &str = "
app: shop
sources: { shop: { type: KIND, url: '${secret.shop}' } }
access: { anonymous: all }
objects:
  chance: { from: shop.chance }
  asked: { from: { source: shop, sql: select * from chance }, key: [id] }
";

async fn counted(publisher: &Publisher, object: &str, filter: &str) -> (u64, Vec<i64>) {
    let filter = encoded(filter);
    let target = format!("{object}?$fields=id&$limit=100&$count=exact&$filter={filter}");
    let (response, body) = get(publisher, &target).await;
    assert_eq!(response.status, 200, "{filter}: {body}");
    let items = body["items"].as_array().expect("items");
    let ids = items.iter().map(|item| item["id"].as_i64().expect("a number")).collect();
    (body["count"].as_u64().expect("a count"), ids)
}

/// What a condition holds for, what its opposite holds for, and what neither does, are all rows;
/// and they are those that the rules of null say.
#[tokio::test]
async fn conditions_by_chance_divide_all_rows_in_three() {
    for database in
        [databases::sqlite().await, databases::postgres().await, databases::mariadb().await]
    {
        let mut chance = Chance(20_241);
        let rows = rows(&mut chance);
        database.run(&table(&database, &rows)).await;
        let publisher = database.publisher_of(APP, 1);
        for round in 0..250 {
            let made = tree(&mut chance, &rows, 0);
            let object = if round % 2 == 0 { "chance" } else { "asked" };
            let expected = |wanted| -> Vec<i64> {
                let all = rows.iter().zip(&made.holds);
                all.filter(|(_, holds)| **holds == wanted).map(|(row, _)| row.id).collect()
            };
            let (holds, found) = counted(&publisher, object, &made.text).await;
            assert_eq!(found, expected(Some(true)), "{:?}: {}", database.kind(), made.text);
            let (holds_not, found) =
                counted(&publisher, object, &format!("not ({})", made.text)).await;
            assert_eq!(found, expected(Some(false)), "{:?}: not {}", database.kind(), made.text);
            let neither = expected(None).len() as u64;
            assert_eq!(holds + holds_not + neither, rows.len() as u64, "{}", made.text);
        }
    }
}

/// Tables and columns that SQL would take for something else.
const NAMES: [&str; 16] = [
    "select",
    "a\"b",
    "a`b",
    "a'b",
    "a b",
    "a;--",
    "t\u{e4}\u{20ac}",
    "a]b",
    "a/b",
    "a\\b",
    "?1",
    ":x",
    "a%",
    "a.b",
    "--",
    "id[eq]",
];

/// Values that want to be statements, and are texts.
const VALUES: [&str; 14] = [
    "' or 1=1 --",
    "'; drop table chance; --",
    "\"; drop table chance; --",
    "\\'; drop table chance; --",
    "1) or (1=1",
    "') or ('1'='1",
    "`",
    "$1",
    "?",
    "%",
    "_",
    "\\",
    "{\"$ne\":null}",
    "/* */ union select 1 --",
];

fn named(database: &Database, name: &str) -> String {
    match database.kind() {
        SourceKind::Mysql => format!("`{}`", name.replace('`', "``")),
        _ => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

fn quoted(database: &Database, text: &str) -> String {
    let text = text.replace('\'', "''");
    match database.kind() {
        SourceKind::Mysql => format!("'{}'", text.replace('\\', "\\\\")),
        _ => format!("'{text}'"),
    }
}

/// A table of such names, with a row for each value; its key is of such names too.
fn strange(database: &Database, table: &str) -> String {
    let mut columns: Vec<String> =
        NAMES.iter().map(|name| format!("{} varchar(60)", named(database, name))).collect();
    columns[0].push_str(" NOT NULL");
    columns[1].push_str(" NOT NULL");
    let rows = VALUES.iter().map(|value| {
        let value = quoted(database, value);
        format!("({})", vec![value; NAMES.len()].join(", "))
    });
    let rows: Vec<String> = rows.collect();
    let table = named(database, table);
    let charset = if database.kind() == SourceKind::Mysql { " CHARACTER SET utf8mb4" } else { "" };
    format!(
        "CREATE TABLE {table} ({}, PRIMARY KEY ({}, {})){charset};
         INSERT INTO {table} VALUES {};",
        columns.join(", "),
        named(database, NAMES[0]),
        named(database, NAMES[1]),
        rows.join(", ")
    )
}

async fn status(publisher: &Publisher, target: &str) -> (u16, Value) {
    let (response, body) = get(publisher, target).await;
    (response.status, body)
}

/// Each value is found where it stands, and nowhere more; what it would do does not happen.
async fn values_are_texts(publisher: &Publisher, object: &str) {
    for value in VALUES {
        let text = encoded(value);
        for name in NAMES {
            let in_quotes = encoded(&name.replace('"', "\"\""));
            let name = encoded(name);
            for query in [
                format!("{name}={text}"),
                format!("{name}[in]={}", encoded(&json!([value]).to_string())),
                format!("$fields={name}&$sort=-{name}&{name}[eq]={text}"),
                format!("$filter=%22{in_quotes}%22+eq+{}", encoded(&literal(value))),
            ] {
                let (status, body) = status(publisher, &format!("{object}?{query}")).await;
                assert_eq!(status, 200, "{query}: {body}");
                let items = body["items"].as_array().expect("items");
                assert_eq!(items.len(), 1, "{query}: {body}");
                assert!(items[0].as_object().expect("an item").values().all(|one| one == value));
            }
        }
        let (found, body) = status(publisher, &format!("{object}/{text},{text}")).await;
        assert_eq!((found, &body["item"]["select"]), (200, &json!(value)), "{body}");
        for parameter in [
            "$filter",
            "$sort",
            "$fields",
            "$limit",
            "$offset",
            "$count",
            "$after",
            "$before",
            "$format",
            "$top",
            "$orderby",
            "select[like]",
            "select[between]",
            "select[has]",
            "select[null]",
            "select[gt]",
            "nothing",
            "select[nothing]",
            "$q",
        ] {
            let target = format!("{object}?{parameter}={text}");
            let (status, body) = status(publisher, &target).await;
            assert!(matches!(status, 200 | 400), "{target}: {body}");
        }
        for target in [format!("{object}?{text}=1"), format!("{object}?{text}[eq]=1")] {
            let (status, body) = status(publisher, &target).await;
            assert!(matches!(status, 200 | 400), "{target}: {body}");
        }
    }
    let (_, body) = status(publisher, &format!("{object}?$count=true&$limit=1")).await;
    assert_eq!(body["count"], json!(VALUES.len()));
}

#[tokio::test]
async fn names_and_values_of_any_kind_are_only_that() {
    for database in
        [databases::sqlite().await, databases::postgres().await, databases::mariadb().await]
    {
        database.run("CREATE TABLE chance (id bigint NOT NULL PRIMARY KEY)").await;
        let tables = ["order", "a\"b", "a`b", "a b;--", "t\u{e4}'\u{20ac}"];
        let mut app = APP.replace("  asked:", "  # asked:");
        for (at, table) in tables.iter().enumerate() {
            database.run(&strange(&database, table)).await;
            let from = json!(format!("shop.{table}"));
            app.push_str(&format!("  odd{at}: {{ from: {from} }}\n"));
        }
        let publisher = database.publisher_of(&app, 1);
        for at in 0..tables.len() {
            let (status, body) = status(&publisher, &format!("odd{at}?$count=true")).await;
            assert_eq!((status, &body["count"]), (200, &json!(VALUES.len())), "{body}");
        }
        values_are_texts(&publisher, "odd1").await;
        let (status, body) = status(&publisher, "chance").await;
        assert_eq!(status, 200, "nothing dropped it: {body}");
        let (_, document) = get(&publisher, "openapi.json").await;
        assert!(document["components"]["schemas"]["odd4"]["properties"]["a`b"].is_object());
    }
}
