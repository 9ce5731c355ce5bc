//! Tables over time, as a person at the terminal asks for them.

use serde_json::json;

use crate::support::{Api, Workspace};

fn synced(api: &Api, times: usize) -> Workspace {
    let workspace = Workspace::new();
    let resource = "  customers: { path: /open/none, load: append }";
    workspace.write("apis/open.yaml", &api.open_file(resource));
    (0..times).for_each(|_| drop(workspace.ok(&["sync"])));
    workspace
}

#[test]
fn a_table_is_shown_with_its_versions_and_what_it_holds() {
    let api = Api::start();
    let workspace = synced(&api, 2);
    let shown = workspace.json(&["tables", "show", "open.customers", "--profile"]);
    let versions = shown["versions"].as_array().expect("versions");
    assert_eq!(versions.len(), 3);
    assert_eq!((&versions[0]["version"], &versions[0]["rows"]), (&json!(2), &json!(400)));
    assert!(versions[0]["run"].is_string() && versions[0]["committed_at"].is_string());
    let columns = shown["columns"].as_array().expect("columns");
    let id = columns.iter().find(|column| column["name"] == "id").expect("a column");
    assert_eq!(id["profile"]["distinct"], json!(200));
    assert_eq!(id["profile"]["nulls"], json!(0));
    let text = workspace.ok(&["tables", "show", "open.customers", "--profile"]);
    assert!(text.out.contains("most frequent") && text.out.contains("committed"), "{}", text.out);

    let sql = "select count(*) as n from open.customers";
    let at = versions[1]["committed_at"].as_str().expect("a text");
    for moment in ["1", "open.customers@1", at] {
        let said = workspace.ok(&["query", "--format", "csv", sql, "--as-of", moment]);
        assert_eq!(said.out, "n\n200\n", "{moment}");
    }
    for (moment, code) in [("9", "table.version_missing"), ("soon", "argument.invalid")] {
        let said = workspace.run(&["query", sql, "--as-of", moment]);
        assert_eq!(said.code, 2, "{}", said.err);
        assert!(said.err.contains(code), "{}", said.err);
    }
}

#[test]
fn tables_are_compacted_restored_and_dropped() {
    let api = Api::start();
    let workspace = synced(&api, 3);
    let optimized = workspace.json(&["tables", "optimize", "open.customers"]);
    assert_eq!(optimized["optimized"][0]["files"], json!(1));
    assert_eq!(workspace.value("select count(*) from open.customers"), json!(600));
    workspace.ok(&["tables", "restore", "open.customers", "--to", "1"]);
    assert_eq!(workspace.value("select count(*) from open.customers"), json!(200));
    workspace.ok(&["sync"]);
    assert_eq!(workspace.value("select count(*) from open.customers"), json!(400));
    let asked = workspace.run(&["tables", "drop", "open.customers"]);
    assert_eq!(asked.code, 2);
    assert!(asked.err.contains("--yes"), "{}", asked.err);
    workspace.ok(&["tables", "drop", "open.customers", "--yes"]);
    workspace.ok(&["sync"]);
    assert_eq!(workspace.value("select count(*) from open.customers"), json!(200));
    let runs = workspace.json(&["runs"]).to_string();
    assert!(runs.contains("drop open.customers"), "{runs}");
}

#[test]
fn one_damaged_table_is_listed_and_the_others_go_on() {
    let api = Api::start();
    let workspace = synced(&api, 1);
    workspace.write(".restway/tables/open/bad/_delta_log/00000000000000000000.json", "{}");
    let listed = workspace.json(&["tables"]);
    let tables = listed["tables"].as_array().expect("tables");
    let bad = tables.iter().find(|table| table["table"] == "open.bad").expect("listed");
    assert_eq!(bad["error"]["code"], json!("table.damaged"));
    let text = workspace.ok(&["tables"]);
    assert!(text.out.contains("open.customers") && text.err.contains("open.bad"), "{}", text.err);
    assert_eq!(workspace.value("select count(*) from open.customers"), json!(200));
    let shown = workspace.ok(&["query", "show tables"]);
    assert!(shown.out.contains("bad") && shown.err.contains("open.bad"), "{}", shown.err);
    assert_eq!(workspace.run(&["query", "select * from open.bad"]).code, 1);
    workspace.ok(&["tables", "drop", "open.bad", "--yes"]);
}

#[test]
fn a_query_over_its_memory_fails_and_leaves_no_file() {
    let workspace = Workspace::new();
    let sql = "select array_agg(a.value || repeat('x', 200)) as a from range(1, 500000) a";
    let said = workspace.run(&["query", sql, "--memory", "8MiB", "-o", "out.parquet"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("query.memory"), "{}", said.err);
    let left = workspace.files("");
    assert!(left.iter().all(|file| file.ends_with("restway.yaml") || is_state(file)), "{left:?}");
    assert_eq!(workspace.run(&["query", "select 1", "--memory", "lots"]).code, 2);
}

fn is_state(file: &std::path::Path) -> bool {
    file.components().any(|part| part.as_os_str() == ".restway")
}
