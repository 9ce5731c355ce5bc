//! Raw pages: kept by a sync, and landed again as the definition says by then, without a call.

use serde_json::json;

use crate::shelf::{Item, Shelf};

fn run_of(said: &serde_json::Value) -> String {
    said["run"].as_str().expect("a run").to_owned()
}

#[test]
fn a_replay_types_a_table_anew_without_a_call() {
    let shelf = Shelf::start();
    let page = r#"[{"id": 1, "price": 12.50, "secret": "hunter2hunter2", "tags": ["a", "b"]}]"#;
    shelf.put("/rows", Item::new(page));
    let workspace = shelf.workspace("  rows: { path: /rows, key: id, keep_raw: true }");
    shelf.put("/child/1", Item::new(r#"{"n": 900719925474099301}"#));
    let child = "\n  child: { for_each: rows, path: '/child/${parent.id}', carry: { row: id }, keep_raw: true }";
    shelf.define(&workspace, &format!("  rows: {{ path: /rows, key: id, keep_raw: true }}{child}"));
    let run = run_of(&workspace.json(&["sync"]));
    assert_eq!(shelf.log().len(), 2);
    assert_eq!(workspace.value("select count(*) from shop.rows__tags"), json!(2));

    let typed = "  rows: { path: /rows, key: id, keep_raw: true, types: { price: 'decimal(18,2)' }, nest: { json: [tags] } }";
    shelf.define(&workspace, &format!("{typed}{child}"));
    for _ in 0..2 {
        let said = workspace.json(&["sync", "--replay", &run]);
        assert_eq!(said["counts"]["requests"], json!(0), "{said}");
        assert_eq!(said["resources"][1]["detail"]["replayed"], json!(run));
    }
    assert_eq!(shelf.log(), [], "nothing was called");
    assert_eq!(workspace.value("select sum(price) * 2 from shop.rows"), json!(25.00));
    assert_eq!(
        workspace.rows("select \"row\", n from shop.child"),
        [json!({"row": 1, "n": 900719925474099301_u64})]
    );
    assert_eq!(workspace.value("select tags from shop.rows"), json!(["a", "b"]));
}

#[test]
fn a_replay_merges_all_kept_runs_and_never_goes_back() {
    let shelf = Shelf::start();
    let keys = "path: /rows, key: id, load: merge, keep_raw: true";
    let workspace = shelf.workspace(&format!("  rows: {{ {keys} }}"));
    shelf.put("/rows", Item::new(r#"[{"id": 1, "v": "1"}, {"id": 2, "v": "2"}]"#));
    let first = run_of(&workspace.json(&["sync"]));
    shelf.put("/rows", Item::new(r#"[{"id": 2, "v": "3"}]"#));
    let second = run_of(&workspace.json(&["sync"]));
    shelf.define(&workspace, &format!("  rows: {{ {keys}, types: {{ v: text }} }}"));
    workspace.ok(&["sync", "shop.rows", "--replay", &first]);
    let rows = workspace.rows("select id, v from shop.rows order by id");
    assert_eq!(rows, [json!({"id": 1, "v": "1"}), json!({"id": 2, "v": "3"})]);

    let kept = workspace.path().join(".restway/raw/shop.rows").join(&second);
    std::fs::remove_dir_all(kept).expect("it goes");
    let said = workspace.run(&["sync", "--replay", &first]);
    assert!(said.err.contains("replay.refused") && said.err.contains("came later"), "{}", said.err);
    shelf.define(&workspace, "  rows: { path: /rows, load: append, keep_raw: true }");
    let said = workspace.run(&["sync", "--replay", &first]);
    assert!(said.err.contains("would add them twice"), "{}", said.err);
    let said = workspace.run(&["sync", "--replay", "0123456789"]);
    assert!(said.code == 2 && said.err.contains("there is no run"), "{}", said.err);
}

#[test]
fn what_is_kept_holds_no_secret_and_a_page_that_does_not_fit_leaves_the_table() {
    let shelf = Shelf::start();
    shelf.put("/rows", Item::new(r#"[{"id": 1, "echo": "hunter2hunter2"}]"#));
    let keys = "path: /rows, keep_raw: true, headers: { x-note: '${env.NOTE}' }";
    let workspace = shelf.workspace(&format!("  rows: {{ {keys} }}"));
    let mut command = workspace.command(&["--json", "sync"]);
    let output = command.env("NOTE", "hunter2hunter2").output().expect("the binary runs");
    assert!(output.status.success());
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let run = run_of(&said);
    shelf.define(&workspace, "  rows: { path: /rows, keep_raw: true }");
    workspace.ok(&["sync", "--replay", &run]);
    assert_eq!(workspace.value("select echo from shop.rows"), json!("***"));
    shelf.define(&workspace, "  rows: { path: /rows, records: data, keep_raw: true }");
    let failed = workspace.run(&["sync", "--replay", &run]);
    assert!(failed.code == 1 && failed.err.contains("page 1 that was kept"), "{}", failed.err);
    assert_eq!(workspace.value("select count(*) from shop.rows"), json!(1));
}

#[test]
fn pages_that_are_kept_are_whole_also_where_fewer_records_land() {
    let shelf = Shelf::start();
    let lines: String = (0..5_000).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    shelf.put("/rows", Item::new(lines));
    let keys = "path: /rows, key: id, load: merge, format: ndjson, keep_raw: true";
    let workspace = shelf.workspace(&format!("  rows: {{ {keys}, max_records: 10 }}"));
    let run = run_of(&workspace.json(&["sync"]));
    assert_eq!(workspace.value("select count(*) from shop.rows"), json!(10));
    shelf.define(&workspace, &format!("  rows: {{ {keys} }}"));
    workspace.json(&["sync", "--replay", &run]);
    assert_eq!(workspace.value("select count(*) from shop.rows"), json!(5_000));
}
