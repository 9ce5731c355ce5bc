//! Files: fetched for each row of a parent, kept as they came, and told of by a table.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::shelf::{Item, Shelf};
use crate::support::Workspace;

/// A request that does not come by then never comes.
const PATIENCE: Duration = Duration::from_secs(60);
const ROWS: &str = r#"[{"id": 1, "at": "/f/1"}, {"id": 2, "at": "/f/2"}, {"id": 3, "at": null}]"#;
const RESOURCES: &str = "  docs: { path: /docs, key: id }
  papers:
    for_each: docs
    path: /f/${parent.id}
    carry: { doc: id }
    files: { name: 'of/${parent.id}.bin' }";

fn shelf() -> Shelf {
    let shelf = Shelf::start();
    shelf.put("/docs", Item::new(r#"[{"id": 1}, {"id": 2}]"#));
    shelf.put("/f/1", Item::new("first").tagged("a"));
    shelf.put("/f/2", Item::new("second"));
    shelf
}

fn content(workspace: &Workspace, name: &str) -> String {
    let path = workspace.path().join("files/shop/papers").join(name);
    String::from_utf8(std::fs::read(path).expect("a file")).expect("a text")
}

fn statuses(shelf: &Shelf) -> Vec<(String, u16)> {
    shelf.log().into_iter().filter(|(path, _)| path != "/docs").collect()
}

fn rows(workspace: &Workspace) -> Vec<Value> {
    workspace.rows("select doc, path, status, size, sha256, etag from shop.papers order by doc")
}

#[test]
fn each_row_has_its_file_and_one_that_did_not_change_stays() {
    let shelf = shelf();
    let workspace = shelf.workspace(RESOURCES);
    workspace.ok(&["sync"]);
    let first = "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e";
    let second = "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4";
    let wanted = [
        json!({"doc": 1, "path": "files/shop/papers/of/1.bin", "status": 200, "size": 5,
            "sha256": first, "etag": "\"a\""}),
        json!({"doc": 2, "path": "files/shop/papers/of/2.bin", "status": 200, "size": 6,
            "sha256": second, "etag": null}),
    ];
    assert_eq!(rows(&workspace), wanted);
    assert_eq!(
        (content(&workspace, "of/1.bin"), content(&workspace, "of/2.bin")),
        ("first".into(), "second".into())
    );
    assert_eq!(statuses(&shelf), [("/f/1".to_owned(), 200), ("/f/2".to_owned(), 200)]);

    let inode = |name: &str| {
        use std::os::unix::fs::MetadataExt;
        let path = workspace.path().join("files/shop/papers").join(name);
        std::fs::metadata(path).expect("a file").ino()
    };
    let before = (inode("of/1.bin"), inode("of/2.bin"));
    let said = workspace.json(&["sync", "shop.papers"]);
    assert_eq!(said["counts"]["unchanged"], json!(1), "{said}");
    assert_eq!(statuses(&shelf), [("/f/1".to_owned(), 304), ("/f/2".to_owned(), 200)]);
    assert_eq!((inode("of/1.bin"), inode("of/2.bin")), before, "the same bytes are not replaced");
    assert_eq!(rows(&workspace), wanted);

    shelf.put("/f/1", Item::new("another").tagged("b"));
    std::fs::remove_file(workspace.path().join("files/shop/papers/of/2.bin")).expect("it goes");
    workspace.ok(&["sync"]);
    assert_eq!(
        (content(&workspace, "of/1.bin"), content(&workspace, "of/2.bin")),
        ("another".into(), "second".into())
    );
    assert_eq!(rows(&workspace)[0]["etag"], json!("\"b\""));
    workspace.ok(&["sync", "--full"]);
    let all: Vec<u16> = statuses(&shelf).into_iter().map(|(_, status)| status).collect();
    assert_eq!(all, [200, 200, 200, 200], "a full sync asks without conditions");
}

#[test]
fn a_version_that_is_there_is_not_asked_for_and_a_row_without_a_url_has_no_file() {
    let shelf = Shelf::start();
    let docs = |version: &str| {
        Item::new(ROWS.replace("\"id\": 1,", &format!("\"id\": 1, \"v\": \"{version}\",")))
    };
    shelf.put("/docs", docs("x"));
    shelf.put("/f/1", Item::new("first"));
    shelf.put("/f/2", Item::new("second"));
    let workspace = shelf.workspace(
        "  docs: { path: /docs, key: id, types: { v: text } }
  papers:
    for_each: docs
    path: /f/${parent.id}?at=${parent.at}
    carry: { doc: id }
    files: { name: '${parent.at}', version: '${parent.v}' }",
    );
    for at in ["/f/1?at=%2Ff%2F1", "/f/2?at=%2Ff%2F2"] {
        shelf.put(at, Item::new("it"));
    }
    workspace.ok(&["sync"]);
    assert_eq!(statuses(&shelf).len(), 2, "the third has no URL");
    assert_eq!(content(&workspace, "%2Ff%2F1"), "it");
    workspace.ok(&["sync"]);
    assert_eq!(statuses(&shelf), [], "no version has changed");
    shelf.put("/docs", docs("y"));
    workspace.ok(&["sync"]);
    assert_eq!(statuses(&shelf), [("/f/1?at=%2Ff%2F1".to_owned(), 200)]);
    let versions = workspace.rows("select version from shop.papers order by doc");
    assert_eq!(versions[0], json!({"version": "y"}));
}

#[test]
fn a_file_that_fails_leaves_the_others_and_one_that_is_gone_may_be_a_row() {
    let shelf = shelf();
    shelf.put("/f/2", Item { status: 404, ..Item::new("gone") });
    let workspace = shelf.workspace(RESOURCES);
    let said = workspace.run(&["sync"]);
    assert_eq!(said.code, 3, "{}\n{}", said.out, said.err);
    assert!(said.err.contains("1 of 2 parents"), "{}", said.err);
    assert_eq!(content(&workspace, "of/1.bin"), "first");
    assert_eq!(rows(&workspace).len(), 1);
    shelf.define(&workspace, &format!("{RESOURCES}\n    on_status: {{ 404: skip }}"));
    workspace.ok(&["sync"]);
    let gone = &rows(&workspace)[1];
    assert_eq!((&gone["status"], &gone["size"]), (&json!(404), &Value::Null), "{gone}");
    assert!(!workspace.path().join("files/shop/papers/of/2.bin").exists());
}

#[test]
fn a_process_that_is_killed_leaves_no_half_file_and_no_row_without_its_file() {
    let shelf = shelf();
    let large = vec![7_u8; 300_000];
    shelf.put("/f/2", Item { stops_after: Some(150_000), ..Item::new(large.clone()) });
    let resources = format!("{RESOURCES}\n    checkpoint: {{ pages: 1 }}");
    let workspace = shelf.workspace(&resources);
    let mut child = workspace
        .command(&["sync"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let stopped = shelf.stopped.recv_timeout(PATIENCE).expect("the second file has begun");
    assert_eq!(stopped, "/f/2");
    child.kill().expect("it is killed");
    child.wait().expect("it has ended");

    let named: Vec<_> = workspace.files("files");
    assert!(named.iter().all(|path| !path.ends_with("2.bin")), "{named:?}");
    // Whether the first had landed is not known; if it had, its file is there.
    let tables = workspace.ok(&["tables"]).out;
    if tables.contains("shop.papers") {
        for row in rows(&workspace) {
            let path = workspace.path().join(row["path"].as_str().expect("a path"));
            let length = std::fs::metadata(path).expect("the row's file").len();
            assert_eq!(json!(length), row["size"]);
        }
    }
    shelf.put("/f/2", Item::new(large.clone()));
    workspace.ok(&["sync"]);
    let sizes: Vec<Value> = rows(&workspace).into_iter().map(|row| row["size"].clone()).collect();
    assert_eq!(sizes, [json!(5), json!(300_000)]);
    let path = workspace.path().join("files/shop/papers/of/2.bin");
    assert_eq!(std::fs::read(path).expect("a file"), large);
    let files = workspace.files("files/shop/papers");
    assert_eq!(files.len(), 2, "nothing is left of what was on its way: {files:?}");
}

#[test]
fn names_that_two_rows_share_and_keys_of_records_are_refused() {
    let shelf = shelf();
    shelf.put("/docs", Item::new(r#"[{"id": 1, "n": "x"}, {"id": 2, "n": "x"}]"#));
    let workspace = shelf.workspace(&RESOURCES.replace("of/${parent.id}", "${parent.n}"));
    let said = workspace.run(&["sync"]);
    assert!(said.err.contains("files.name") && said.err.contains("`x.bin`"), "{}", said.err);
    assert_eq!(statuses(&shelf), [], "nothing is asked for before all names are known");
    for (from, to, wanted) in [
        ("of/${parent.id}.bin", "../${parent.id}", "begins with a dot"),
        ("of/${parent.id}.bin", "one.bin", "would have the same name"),
        ("of/${parent.id}.bin", "${secret.x}", "has no meaning here"),
        ("    for_each", "    format: csv\n    for_each", "each answer here is a file"),
        ("    for_each", "    load: append\n    for_each", "`merge` only"),
        ("doc: id", "size: id", "a column that every table of files has"),
    ] {
        shelf.define(&workspace, &RESOURCES.replace(from, to));
        let said = workspace.run(&["check"]);
        assert!(said.code == 2 && said.err.contains(wanted), "{wanted}: {}{}", said.out, said.err);
    }
}

#[test]
fn the_row_of_a_file_holds_no_secret_of_its_address() {
    const MARKER: &str = "hunter2hunter2";
    let shelf = Shelf::start();
    shelf.put("/docs", Item::new(r#"[{"id": 1}, {"id": 2}]"#));
    shelf.put(&format!("/f/1?note={MARKER}"), Item::new("first"));
    shelf.put(&format!("/f/2?note={MARKER}"), Item { status: 204, ..Item::new("") });
    let resources = RESOURCES.replace("carry:", "query: { note: '${env.NOTE}' }\n    carry:");
    let workspace = shelf.workspace(&resources);
    let said = workspace.command(&["sync"]).env("NOTE", MARKER).output().expect("the binary runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let urls = workspace.rows("select url from shop.papers order by doc");
    assert_eq!(urls.len(), 2);
    assert!(urls.iter().all(|row| !row.to_string().contains(MARKER)), "{urls:?}");
    assert!(urls[0].to_string().contains("/f/1"), "{urls:?}");
}
