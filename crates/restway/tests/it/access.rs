//! Who may what, tried from outside: every border of an app is walked up to with every credential
//! that should not open it, over a database and the lake.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::peers::Peer;
use crate::published::{Serving, in_sqlite};
use crate::support::Workspace;

const TILL: &str = "
create table menu (id integer primary key, dish text);
insert into menu values (1, 'soup');
create table orders (id integer primary key, tenant integer, owner text, note text, total integer,
    margin integer);
insert into orders values (1, 1, 'jo', 'red', 10, 777), (2, 1, 'ann', 'blue', 20, 888),
    (3, 2, 'jo', 'green', 30, 999), (4, null, 'nix', 'grey', 40, 111);
create table staff (id integer primary key, pay integer);
insert into staff values (1, 5000);
";

const SHOP: &str = "app: shop
sources: { till: { type: sqlite, path: till.db } }
access:
  anonymous: { menu: [filter] }
  clerks:
    orders: { events: [filter], rows: 'tenant = ${claim.tenant}', read: [note, total] }
    stock: { events: [filter], rows: 'not (shop <> ${claim.tenant}) or shared', read: [sku] }
  owners: { orders: { events: [filter], rows: 'owner = ${user} and not tenant is null' } }
  sellers: { orders: [insert] }
  admins: all
objects:
  menu: { from: till.menu }
  orders: { from: till.orders }
  stock: { from: lake.stock, key: [sku] }
  staff: { from: till.staff }
";

const BACK: &str = "app: back
access: { admins: all }
objects: { stock: { from: lake.stock, key: [sku] } }
";

struct Shop {
    workspace: Workspace,
    serving: Serving,
    keys: BTreeMap<&'static str, String>,
}

struct Said {
    status: u16,
    head: String,
    body: Value,
}

impl Shop {
    fn open() -> Self {
        let workspace = Workspace::new();
        in_sqlite(&workspace.path().join("till.db"), TILL);
        workspace
            .write("stock.csv", "sku,shop,shared,cost\na,1,false,7\nb,2,false,8\nc,2,true,9\n");
        workspace.ok(&["import", "csv", "stock.csv", "--table", "lake.stock"]);
        workspace.write("apps/shop.yaml", SHOP);
        workspace.write("apps/back.yaml", BACK);
        workspace.ok(&["check"]);
        let users: [(&str, &[&str]); 6] = [
            ("jo", &["--group", "clerks", "--claim", "tenant=1"]),
            ("ann", &["--group", "clerks", "--claim", "tenant=2"]),
            ("nix", &["--group", "clerks"]),
            ("both", &["--group", "clerks", "--group", "owners", "--claim", "tenant=[1,2]"]),
            ("seller", &["--group", "sellers"]),
            ("ada", &["--group", "admins"]),
        ];
        let key = |(user, profile): (&'static str, &[&str])| {
            let made = workspace.json(&[&["auth", "key", "add", user], profile].concat());
            (user, made["key"].as_str().expect("a key").to_owned())
        };
        let keys = users.into_iter().map(key).collect();
        let serving = Serving::start(&workspace);
        Self { workspace, serving, keys }
    }

    /// What a user is answered; `anonymous` shows nothing.
    fn ask(&self, user: &str, path: &str) -> Said {
        match self.keys.get(user) {
            Some(key) => ask(&self.serving, &format!("X-API-Key: {key}"), path),
            None => ask(&self.serving, "Accept: */*", path),
        }
    }

    fn ids(&self, user: &str, path: &str) -> Vec<Value> {
        let said = self.ask(user, path);
        assert_eq!(said.status, 200, "{user} {path}: {}", said.body);
        let items = said.body["items"].as_array().expect("items").iter();
        items.map(|item| item.get("id").or(item.get("sku")).expect("a key").clone()).collect()
    }
}

fn ask(serving: &Serving, header: &str, path: &str) -> Said {
    let address = &serving.address;
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!(
        "GET /rest/v1/{path} HTTP/1.1\r\nHost: {address}\r\n{header}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it is read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it ends");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    let body = serde_json::from_str(body).expect("JSON");
    Said { status, head: head.to_ascii_lowercase(), body }
}

#[test]
fn rows_are_those_of_the_callers_groups_wherever_they_are_asked_for() {
    let shop = Shop::open();
    let table: [(&str, &str, &[i64]); 10] = [
        ("jo", "shop/orders", &[1, 2]),
        ("ann", "shop/orders", &[3]),
        ("nix", "shop/orders", &[]),
        ("both", "shop/orders", &[1, 2, 3]),
        ("ada", "shop/orders", &[1, 2, 3, 4]),
        ("jo", "shop/orders?id=3", &[]),
        ("jo", "shop/orders?$q=green", &[]),
        ("jo", "shop/orders?$q=e&$sort=-total", &[2, 1]),
        ("jo", "shop/orders?$offset=1&$sort=-id", &[1]),
        ("ann", "shop/orders?note=red", &[]),
    ];
    for (user, path, expected) in table {
        let expected: Vec<Value> = expected.iter().map(|id| json!(id)).collect();
        assert_eq!(shop.ids(user, path), expected, "{user} {path}");
    }
    for (user, path, count) in [
        ("jo", "shop/orders?$count=true&$limit=1", 2),
        ("ann", "shop/orders?$count=true&$limit=0", 1),
        ("nix", "shop/orders?$count=true&$limit=0", 0),
        ("jo", "shop/orders?$count=true&$limit=0&$q=green", 0),
        ("both", "shop/orders?$count=true&$limit=0", 3),
    ] {
        assert_eq!(shop.ask(user, path).body["count"], json!(count), "{user} {path}");
    }
    // In the lake, too; what is not known of a caller makes nothing true, nor its opposite.
    assert_eq!(shop.ids("jo", "shop/stock"), [json!("a"), json!("c")]);
    assert_eq!(shop.ids("ann", "shop/stock"), [json!("b"), json!("c")]);
    assert_eq!(shop.ids("nix", "shop/stock"), [json!("c")]);
    // An item of somebody else's is as one that is not there.
    let (theirs, nobodys) = (shop.ask("jo", "shop/orders/3"), shop.ask("jo", "shop/orders/99"));
    assert_eq!((theirs.status, &theirs.body), (404, &nobodys.body));
    assert_eq!(shop.ask("ann", "shop/orders/3").status, 200);
    assert_eq!(shop.ask("jo", "shop/stock/b").status, 404);
}

#[test]
fn a_column_that_may_not_be_read_is_as_one_that_is_not_there() {
    let shop = Shop::open();
    let item = shop.ask("jo", "shop/orders/1").body["item"].clone();
    assert_eq!(item, json!({ "id": 1, "note": "red", "total": 10 }), "the key and what is given");
    assert_eq!(shop.ask("jo", "shop/orders?$fields=*").body["items"][0], item);
    assert_eq!(shop.ids("jo", "shop/orders?$q=777"), [json!(null); 0], "a search in it");
    assert_eq!(shop.ids("ada", "shop/orders?$q=777"), [json!(1)]);
    for query in
        ["$fields=id,NAME", "$sort=NAME", "$sort=-NAME", "NAME=777", "NAME=x", "$q=a&NAME="]
    {
        for path in ["shop/orders", "shop/orders/1"] {
            let tried = |name: &str| {
                let said = shop.ask("jo", &format!("{path}?{}", query.replace("NAME", name)));
                (said.status, said.body.to_string().replace(name, "NAME"))
            };
            let (status, hidden) = tried("margin");
            assert_eq!(status, 400, "{path} {query}: {hidden}");
            assert_eq!((status, hidden), tried("mxrqzn"), "{path} {query}");
            assert_eq!(tried("tenant").0, 400, "what the rule goes by is hidden, too");
        }
    }
    let near = shop.ask("jo", "shop/orders?margi=1").body.to_string();
    assert!(!near.contains("margin"), "{near}");

    let names = |user: &str| {
        let document = shop.ask(user, "shop/openapi.json").body;
        let schemas = document["components"]["schemas"].as_object().expect("schemas").clone();
        let text = document.to_string();
        (schemas.keys().cloned().collect::<Vec<_>>(), text)
    };
    let (schemas, text) = names("jo");
    assert_eq!(schemas, ["menu", "orders", "stock", "Refusal", "Validation"]);
    assert!(
        text.contains("total")
            && !["margin", "tenant", "cost", "staff"].iter().any(|name| text.contains(name))
    );
    assert_eq!(names("anonymous").0, ["menu", "Refusal", "Validation"]);
    assert!(names("ada").1.contains("margin"));
}

#[test]
fn whoever_may_not_is_told_no_more_than_that() {
    let shop = Shop::open();
    for (user, path, status) in [
        ("anonymous", "shop/menu", 200),
        ("jo", "shop/menu", 200),
        ("anonymous", "shop/orders", 401),
        ("anonymous", "shop/orders/1", 401),
        ("anonymous", "shop/nothing", 404),
        ("anonymous", "back/stock", 404),
        ("jo", "back/stock", 404),
        ("jo", "shop/staff", 404),
        ("jo", "shop/staff/1", 404),
        ("seller", "shop/orders", 403),
        ("seller", "shop/stock", 404),
        ("ada", "back/stock", 200),
        ("ada", "shop/staff/1", 200),
    ] {
        assert_eq!(shop.ask(user, path).status, status, "{user} {path}");
    }
    let closed = shop.ask("jo", "shop/staff").body;
    assert_eq!(closed, shop.ask("jo", "shop/xyzzy").body, "as if it were not there");
    assert_eq!(shop.ask("jo", "back/stock").body, shop.ask("jo", "xyzzy/stock").body);
    let asked = shop.ask("anonymous", "shop/orders").head;
    assert!(asked.contains("www-authenticate: bearer realm=\"restway\""), "{asked}");
}

#[test]
fn a_credential_is_good_or_it_is_not() {
    let shop = Shop::open();
    let key = &shop.keys["jo"];
    let with = |header: &str| ask(&shop.serving, header, "shop/orders");
    for good in [format!("x-api-key: {key}"), format!("Authorization: bearer {key}")] {
        assert_eq!(with(&good).status, 200, "{good}");
    }
    let unknown = with("X-API-Key: rwk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    for bad in [
        format!("X-API-Key: {key}x"),
        format!("X-API-Key: {}", &key[..key.len() - 1]),
        "X-API-Key:".to_owned(),
        format!("X-API-Key: {key}\r\nX-API-Key: {key}"),
        format!("X-API-Key: {key}\r\nAuthorization: Bearer {key}"),
        format!("Authorization: Basic {key}"),
        "Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJqbyJ9.".to_owned(),
    ] {
        let said = with(&bad);
        assert_eq!((said.status, &said.body), (401, &unknown.body), "{bad}");
        assert!(said.head.contains("error=\"invalid_token\""), "{}", said.head);
    }
    // Also where nothing is needed, so that a client learns of it.
    assert_eq!(ask(&shop.serving, "X-API-Key: rwk_no", "shop/menu").status, 401);

    let listed = shop.workspace.json(&["auth", "key", "list"]);
    let listed = listed["keys"].as_array().expect("keys").clone();
    let id = |user: &str| {
        let found = listed.iter().find(|key| key["user"] == user).expect("a key");
        found["id"].as_str().expect("an id").to_owned()
    };
    let is_used = || {
        let listed = shop.workspace.json(&["auth", "key", "list"]);
        let keys = listed["keys"].as_array().expect("keys").clone();
        keys.iter().any(|key| key["user"] == "jo" && !key["last_used_at"].is_null())
    };
    assert!((0..100).any(|_| is_used()), "it is written down when nobody waits");
    let rotate = |user: &str, overlap: &str| {
        let made = shop.workspace.json(&["auth", "key", "rotate", &id(user), "--overlap", overlap]);
        format!("X-API-Key: {}", made["key"].as_str().expect("a key"))
    };
    let status = |header: &str| ask(&shop.serving, header, "shop/menu").status;
    assert_eq!(status(&rotate("jo", "1h")), 200);
    assert_eq!(shop.ask("jo", "shop/menu").status, 200, "both are good for a while");
    assert_eq!(status(&rotate("ann", "0s")), 200);
    assert_eq!(shop.ask("ann", "shop/menu").status, 401);
    shop.workspace.ok(&["auth", "key", "rm", &id("nix")]);
    assert_eq!(shop.ask("nix", "shop/menu").status, 401);
    let ended = shop.workspace.json(&["auth", "key", "add", "ada", "--expires", "0s"]);
    assert_eq!(status(&format!("X-API-Key: {}", ended["key"].as_str().expect("a key"))), 401);
    assert_eq!(shop.ask("ada", "shop/staff").status, 200);
    shop.workspace.ok(&["auth", "user", "set", "ada", "--leave", "admins"]);
    assert_eq!(shop.ask("ada", "shop/staff").status, 404, "what is changed holds at once");
    shop.workspace.ok(&["auth", "user", "rm", "ada"]);
    assert_eq!(shop.ask("ada", "shop/menu").status, 401);
    let warnings = shop.workspace.json(&["check"])["warnings"].to_string();
    assert!(warnings.contains("nobody is in the group `admins`"), "{warnings}");
    assert!(!warnings.contains("`clerks`"), "{warnings}");
}

#[test]
fn failures_are_bounded_and_good_keys_go_on() {
    let shop = Shop::open();
    assert_eq!(shop.ask("jo", "shop/orders").status, 200);
    let guess = || ask(&shop.serving, "X-API-Key: rwk_guess", "shop/orders");
    let statuses: Vec<u16> = (0..22).map(|_| guess().status).collect();
    assert_eq!(statuses[..20], [401; 20]);
    let last = guess();
    assert_eq!(last.status, 429, "{statuses:?}");
    assert!(last.head.contains("retry-after: "), "{}", last.head);
    assert_eq!(shop.ask("jo", "shop/orders").status, 200);
    assert_eq!(shop.ask("ann", "shop/menu").status, 200, "a key that nobody has shown before");
    assert_eq!(shop.ask("anonymous", "shop/menu").status, 200);
}

#[test]
fn a_caller_has_a_rate_of_their_own() {
    let shop = Shop::open();
    drop(shop.serving);
    let limits = "limits: { rate: 3/h, groups: { admins: 4/h } }\n";
    shop.workspace.write("apps/shop.yaml", &format!("{SHOP}{limits}"));
    let shop = Shop { serving: Serving::start(&shop.workspace), ..shop };
    for (user, rate) in [("jo", 3), ("ann", 3), ("anonymous", 3), ("ada", 4)] {
        for left in (0..rate).rev() {
            let said = shop.ask(user, "shop/menu");
            assert_eq!(said.status, 200, "{user}");
            assert!(
                said.head.contains(&format!("ratelimit: \"app\";r={left};t=")),
                "{}",
                said.head
            );
            let policy = format!("ratelimit-policy: \"app\";q={rate};w=3600");
            assert!(said.head.contains(&policy), "{}", said.head);
        }
        let said = shop.ask(user, "shop/menu");
        assert_eq!(said.status, 429, "{user}");
        assert!(said.head.contains("ratelimit: \"app\";r=0;t="), "{}", said.head);
        assert!(said.head.contains("retry-after: "), "{}", said.head);
    }
    assert_eq!(shop.ask("jo", "back/stock").status, 404, "another app counts for itself");
}

#[test]
fn no_key_is_in_any_file_or_log() {
    let shop = Shop::open();
    let key = shop.keys["jo"].strip_prefix("rwk_").expect("its prefix").to_owned();
    assert_eq!(shop.ask("jo", "shop/orders").status, 200);
    let log = shop.workspace.run(&["--log", "trace", "auth", "key", "list"]);
    assert!(!log.err.contains(&key) && !log.out.contains(&key));
    for file in shop.workspace.files(".") {
        let bytes = std::fs::read(&file).expect("it can be read");
        let has = bytes.windows(key.len()).any(|window| window == key.as_bytes());
        assert!(!has, "{}", file.display());
    }
}

#[test]
fn tokens_of_a_real_issuer_say_who_asks() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/issuer.mjs");
    let issuer = Peer::begin(Path::new("node"), |port| {
        vec![script.to_string_lossy().into_owned(), port.to_string()]
    });
    let base = format!("http://127.0.0.1:{}", issuer.port);
    let workspace = Workspace::new();
    let trusted = |egress: &str| {
        workspace.write(
            "restway.yaml",
            &format!(
                "workspace: test\negress: {{ allow: [{egress}] }}\n\
                 serve: {{ issuers: [{{ issuer: '{base}', audience: shop }}] }}\n"
            ),
        );
    };
    in_sqlite(&workspace.path().join("till.db"), TILL);
    workspace.write("apps/shop.yaml", &SHOP.replace("  stock: { from: lake.stock, key: [sku] }\n", "").replace(
        "    stock: { events: [filter], rows: 'not (shop <> ${claim.tenant}) or shared', read: [sku] }\n", "",
    ));
    let token = |client: &str| {
        let form = format!(
            "grant_type=client_credentials&client_id={client}&client_secret=a+secret+of+the+test&scope=read"
        );
        let out = std::process::Command::new("curl")
            .args(["-sS", "--max-time", "60", "-d", &form, &format!("{base}/token")])
            .output()
            .expect("curl runs");
        let answer: Value = serde_json::from_slice(&out.stdout).expect("JSON");
        let token = answer["access_token"].as_str();
        format!("Authorization: Bearer {}", token.unwrap_or_else(|| panic!("{answer}")))
    };
    let asked = || {
        let out =
            std::process::Command::new("curl").args(["-sS", &format!("{base}/asked")]).output();
        String::from_utf8(out.expect("curl runs").stdout).expect("a text")
    };
    // An address of this machine is not asked for keys unless the workspace says so.
    trusted("");
    let serving = Serving::start(&workspace);
    assert_eq!(ask(&serving, &token("clerk"), "shop/orders").status, 503);
    assert_eq!(asked(), "0");
    drop(serving);

    trusted(&format!("'127.0.0.1:{}'", issuer.port));
    let serving = Serving::start(&workspace);
    let clerk = token("clerk");
    let said = ask(&serving, &clerk, "shop/orders?$count=true&$limit=1");
    assert_eq!((said.status, &said.body["count"]), (200, &json!(2)), "{}", said.body);
    assert_eq!(ask(&serving, &token("guest"), "shop/orders").status, 404, "PS256, in no group");
    assert_eq!(ask(&serving, &token("guest"), "shop/menu").status, 200);
    assert_eq!(ask(&serving, &token("stray"), "shop/menu").status, 401, "for somebody else");
    let mut forged = clerk.clone();
    forged.truncate(clerk.len() - 4);
    assert_eq!(ask(&serving, &format!("{forged}AAAA"), "shop/menu").status, 401);
    assert_eq!(asked(), "1", "keys are kept");
    // A key that is new at the issuer has its keys asked for again, once in a while.
    let portal = token("portal");
    assert_eq!(ask(&serving, &portal, "shop/menu").status, 401, "asked a moment ago");
    assert_eq!(asked(), "1", "nobody can have the issuer asked at will");
    drop(serving);
    let serving = Serving::start(&workspace);
    assert_eq!(ask(&serving, &portal, "shop/orders").status, 200, "EdDSA");
    assert_eq!(asked(), "2");
}
