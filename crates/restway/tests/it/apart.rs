//! What goes wrong with one part, batch or attempt of a resource, and what the rest keeps.

use serde_json::{Value, json};

use crate::shelf::{Item, Shelf};
use crate::support::Workspace;

const CHILD: &str = "  docs: { path: /docs }
  child:
    for_each: docs
    path: /c/${parent.id}
    carry: { doc: id }
";

fn docs(shelf: &Shelf) {
    shelf.put("/docs", Item::new(r#"[{"id": 1}, {"id": 2}]"#));
}

fn report(workspace: &Workspace, code: i32, resource: &str) -> Value {
    let said = workspace.run(&["--json", "sync"]);
    assert_eq!(said.code, code, "{}\n{}", said.out, said.err);
    let said: Value = serde_json::from_str(&said.out).expect("JSON");
    let all = said["resources"].as_array().expect("resources").clone();
    all.into_iter().find(|one| one["resource"] == json!(resource)).expect("it is there")
}

fn wide(keys: usize) -> String {
    let keys: Vec<String> = (0..keys).map(|key| format!("\"k{key}\": {key}")).collect();
    format!("{{{}}}", keys.join(", "))
}

#[test]
fn a_part_that_breaks_after_a_page_behind_which_nobody_can_go_on_leaves_the_others() {
    const MARKER: &str = "hunter2hunter2";
    let shelf = Shelf::start();
    shelf.put("/docs", Item::new(r#"[{"id": 1}, {"id": 2}]"#));
    let text = "x".repeat(1000);
    let rows: Vec<String> =
        (10..6_000).map(|id| format!("{{\"id\": {id}, \"text\": \"{text}\"}}")).collect();
    // An address with a secret in it is kept nowhere, so no other walk goes on from there.
    let first = format!("{{\"rows\": [{}], \"next\": \"/n?note={MARKER}\"}}", rows.join(","));
    shelf.put(&format!("/c/1?note={MARKER}"), Item::new(r#"{"rows": [{"id": 1}], "next": null}"#));
    shelf.put(&format!("/c/2?note={MARKER}"), Item::new(first));
    let workspace = shelf.workspace(&format!(
        "{CHILD}    query: {{ note: '${{env.NOTE}}' }}\n    records: rows\n    paginate: \
         {{ type: url, next: next }}\n    load: merge\n    key: id"
    ));
    let sync = || workspace.command(&["sync"]).env("NOTE", MARKER).output().expect("it runs");
    let failed = sync();
    assert_eq!(failed.status.code(), Some(3), "{}", String::from_utf8_lossy(&failed.stderr));
    assert_eq!(workspace.value("select count(*) from shop.child where doc = 1"), json!(1));
    shelf.put(&format!("/n?note={MARKER}"), Item::new(r#"{"rows": [{"id": 2}], "next": null}"#));
    assert!(sync().status.success());
    let distinct = workspace.value("select count(distinct id) from shop.child");
    let rows = workspace.value("select count(*) from shop.child");
    assert_eq!((rows, distinct), (json!(5992), json!(5992)));
}

#[test]
fn what_landed_is_told_when_the_last_batch_is_refused() {
    let shelf = Shelf::start();
    for page in 1..=2 {
        let next = page + 1;
        let body = format!("{{\"rows\": [{{\"id\": {page}}}], \"next\": \"/p{next}\"}}");
        shelf.put(&format!("/p{page}"), Item::new(body));
    }
    let refused: Vec<String> = (3..15).map(|id| format!("{{\"id\": {id}, \"new\": 1}}")).collect();
    let last = format!("{{\"rows\": [{}], \"next\": null}}", refused.join(","));
    shelf.put("/p3", Item::new(last));
    let workspace = shelf.workspace(
        "  rows: { path: /p1, records: rows, paginate: { type: url, next: next }, load: append,
    checkpoint: { pages: 2 }, schema: { columns: reject }, max_rejects: 1% }",
    );
    let said = report(&workspace, 3, "shop.rows");
    assert_eq!(said["counts"]["rows"], json!(2), "{said}");
    assert_eq!(said["detail"]["batches"], json!(1), "{said}");
    assert_eq!(workspace.value("select count(*) from shop.rows"), json!(2));
}

#[test]
fn a_map_that_is_found_after_all_began_anew_begins_nothing_anew_again() {
    let shelf = Shelf::start();
    docs(&shelf);
    shelf.put("/c/1", Item::new(r#"[{"id": 1}]"#));
    let resources = format!(
        "{CHILD}    load: append\n    checkpoint: {{ pages: 1 }}\nlimits: {{ concurrency: 1 }}"
    );
    let workspace = shelf.workspace(&resources);
    let count = || workspace.value("select count(*) from shop.child where doc = 1");
    for _ in 0..2 {
        report(&workspace, 3, "shop.child");
        assert_eq!(count(), json!(1), "the other part is read alone");
    }
    shelf.put("/c/2", Item::new(format!("[{{\"id\": 2, \"m\": {}}}]", wide(400))));
    report(&workspace, 0, "shop.child");
    assert_eq!(count(), json!(2), "once more, and not twice");
    assert_eq!(workspace.value("select count(*) from shop.child where doc = 2"), json!(1));
}

#[test]
fn what_another_resource_lists_as_gone_counts_once_when_all_begins_anew() {
    let shelf = Shelf::start();
    docs(&shelf);
    shelf.put("/dead", Item::new(r#"[{"id": 10}]"#));
    shelf.put("/c/1", Item::new(r#"[{"id": 10}]"#));
    let workspace = shelf.workspace(&format!(
        "  dead: {{ path: /dead, load: append }}\n{CHILD}    load: merge\n    key: id
    deletes: {{ resource: dead }}"
    ));
    report(&workspace, 3, "shop.child");
    // From here on the list says nothing new.
    shelf.put("/dead", Item::new("[]"));
    shelf.put("/c/1", Item::new(r#"[{"id": 11}]"#));
    for _ in 0..3 {
        report(&workspace, 3, "shop.child");
    }
    assert_eq!(workspace.value("select count(*) from shop.child"), json!(2), "one came after it");
}

#[test]
fn the_pages_of_an_attempt_that_landed_nothing_are_not_kept() {
    let shelf = Shelf::start();
    shelf.put("/p1", Item::new(r#"{"rows": [{"id": 1}], "next": "/p2"}"#));
    let page = format!("{{\"rows\": [{{\"id\": 2, \"m\": {}}}], \"next\": null}}", wide(400));
    shelf.put("/p2", Item::new(page));
    let workspace = shelf.workspace(
        "  rows: { path: /p1, records: rows, paginate: { type: url, next: next }, load: merge,
    key: id, keep_raw: true, schema: { columns: evolve } }",
    );
    let run = workspace.json(&["sync"])["run"].as_str().expect("a run").to_owned();
    assert_eq!(shelf.log().len(), 4, "it is read twice");
    let said = workspace.json(&["sync", "--replay", &run]);
    assert_eq!(said["counts"]["records"], json!(2), "{said}");
}
