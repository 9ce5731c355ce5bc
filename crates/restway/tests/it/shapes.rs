//! Objects whose keys are data, and rows that go because another resource lists them.

use serde_json::{Value, json};

use crate::incremental::killed_at;
use crate::sheet::Sheet;
use crate::support::Workspace;

/// Records with one price each, for a day that no other has.
fn prices(ids: std::ops::Range<u32>) -> String {
    let record = |id: u32| {
        let day = format!("20{:02}-{:02}-{:02}", id / 336, id / 28 % 12 + 1, id % 28 + 1);
        json!({"id": id, "prices": {(day): id}, "tags": {format!("k{id}"): [id]}})
    };
    Value::Array(ids.map(record).collect()).to_string()
}

fn columns(workspace: &Workspace) -> Vec<String> {
    let shown = workspace.json(&["tables", "show", "shop.rows"]);
    let all = shown["columns"].as_array().expect("columns").iter();
    let names = all.filter_map(|column| column["name"].as_str());
    names.filter(|name| !name.starts_with('_')).map(str::to_owned).collect()
}

#[test]
fn objects_whose_keys_are_data_become_one_column_and_the_batch_is_read_again() {
    let sheet = Sheet::start();
    let workspace = sheet.workspace("key: id");
    sheet.shows(&prices(0..300));
    let said = workspace.json(&["sync"]);
    let warnings: Vec<&str> = said["warnings"]
        .as_array()
        .expect("warnings")
        .iter()
        .filter_map(|warning| warning["message"].as_str())
        .collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings.iter().any(|text| text.contains("the keys of `$.prices` are data")));
    assert_eq!(columns(&workspace), ["id", "prices", "tags"]);
    assert_eq!(workspace.value("select count(*) from shop.rows"), json!(300));
    let row = workspace.rows("select prices, tags from shop.rows where id = 299");
    assert_eq!(row, [json!({"prices": {"2000-11-20": 299}, "tags": {"k299": [299]}})]);
    // The next sync knows it, and reads once.
    let said = workspace.json(&["sync"]);
    assert_eq!(said["warnings"], json!([]));
    assert_eq!(said["counts"]["records"], json!(300));
}

#[test]
fn pages_that_were_kept_are_those_of_the_last_reading() {
    let sheet = Sheet::start();
    let workspace = sheet.workspace("key: id, keep_raw: true");
    sheet.shows(&prices(0..300));
    let said = workspace.json(&["sync"]);
    workspace.ok(&["sync", "--replay", said["run"].as_str().expect("a run")]);
    assert_eq!(workspace.value("select count(*) from shop.rows"), json!(300));
    assert_eq!(columns(&workspace), ["id", "prices", "tags"]);
}

#[test]
fn a_map_that_grows_from_sync_to_sync_keeps_the_columns_that_it_had() {
    let sheet = Sheet::start();
    let workspace = sheet.workspace("key: id, load: merge, nest: { json: [tags] }");
    sheet.shows(&prices(0..200));
    workspace.ok(&["sync"]);
    assert_eq!(columns(&workspace).len(), 202);
    sheet.shows(&prices(200..300));
    workspace.ok(&["sync"]);
    assert_eq!(columns(&workspace).len(), 203);
    let there = "select count(*) from shop.rows where prices__n2000_01_01 = 0";
    assert_eq!(workspace.value(there), json!(1), "what landed before is where it was");
    assert_eq!(workspace.value("select count(prices) from shop.rows"), json!(100));
    // A column for each, if the file says so.
    let other = sheet.workspace("nest: { json: [tags], columns: [prices] }");
    sheet.shows(&prices(0..300));
    other.ok(&["sync"]);
    assert_eq!(columns(&other).len(), 302);
}

const LISTED: &str = "  \"rows\": { path: /rows, key: id, load: merge, deletes: { resource: gone, \
                      key: order } }
  gone: { path: /gone, load: append, incremental: { cursor: n, send: { query: n, as: int } } }
";

fn ids(workspace: &Workspace) -> Vec<Value> {
    let rows = workspace.rows("select id from shop.rows order by id");
    rows.iter().map(|row| row["id"].clone()).collect()
}

#[test]
fn rows_that_another_resource_lists_go_once() {
    let sheet = Sheet::start();
    let workspace = Workspace::new();
    sheet.define_all(&workspace, LISTED);
    sheet.shows(r#"[{"id": 1}, {"id": 2, "l": [1, 2]}, {"id": 3}]"#);
    workspace.ok(&["sync"]);
    assert_eq!(ids(&workspace), [1, 2, 3]);
    // Texts and numbers are the same key. The list is synced with its resource, before it.
    sheet.shows("[]");
    sheet.shows_at("/gone", r#"[{"order": "2", "n": 1}, {"order": 9, "n": 2}]"#);
    let said = workspace.json(&["sync", "shop.rows"]);
    assert_eq!(said["counts"]["deleted"], json!(1), "{said}");
    assert_eq!(ids(&workspace), [1, 3]);
    assert_eq!(workspace.value("select count(*) from shop.rows__l"), json!(0));
    // What comes again is there, and the old line of the list does not count again.
    sheet.shows(r#"[{"id": 2, "v": "again"}]"#);
    workspace.ok(&["sync"]);
    sheet.shows("[]");
    let said = workspace.json(&["sync"]);
    assert_eq!((&said["counts"]["rows"], &said["counts"]["deleted"]), (&json!(0), &json!(0)));
    assert_eq!(ids(&workspace), [1, 2, 3]);
    // Gone and there in one sync: the list comes first.
    sheet.shows(r#"[{"id": 3, "v": "new"}]"#);
    sheet.shows_at("/gone", r#"[{"order": 1, "n": 3}, {"order": 3, "n": 4}]"#);
    workspace.ok(&["sync"]);
    assert_eq!(ids(&workspace), [2, 3]);
}

#[test]
fn a_list_of_what_is_gone_closes_rows_of_a_history_and_names_a_wrong_field() {
    let sheet = Sheet::start();
    let workspace = Workspace::new();
    sheet.define_all(&workspace, &LISTED.replace("merge", "history"));
    sheet.shows(r#"[{"id": 1}, {"id": 2}]"#);
    workspace.ok(&["sync"]);
    sheet.shows_at("/gone", r#"[{"order": 2, "n": 1}]"#);
    sheet.shows("[]");
    workspace.ok(&["sync"]);
    let rows = workspace.rows("select id, _is_current as now from shop.rows order by id");
    assert_eq!(rows, [json!({"id": 1, "now": true}), json!({"id": 2, "now": false})]);
    sheet.define_all(&workspace, &LISTED.replace("merge", "history").replace("order", "nr"));
    sheet.shows_at("/gone", r#"[{"order": 1, "n": 2}]"#);
    let said = workspace.run(&["sync"]);
    assert!(said.err.contains("has no field `nr`"), "{}", said.err);
    assert_eq!(workspace.value("select count(*) from shop.rows where _is_current"), json!(1));
}

#[test]
fn killed_while_rows_go_they_go_once() {
    for stage in ["batch_recorded", "table_committed"] {
        for nth in [0, 1] {
            let sheet = Sheet::start();
            let workspace = Workspace::new();
            sheet.define_all(&workspace, LISTED);
            sheet.shows(r#"[{"id": 1}, {"id": 2}]"#);
            workspace.ok(&["sync"]);
            sheet.shows("[]");
            sheet.shows_at("/gone", r#"[{"order": 2, "n": 1}]"#);
            killed_at(&workspace, stage, nth);
            workspace.ok(&["sync"]);
            assert_eq!(ids(&workspace), [1], "{stage} {nth}");
            sheet.shows(r#"[{"id": 2}]"#);
            workspace.ok(&["sync"]);
            sheet.shows("[]");
            workspace.ok(&["sync"]);
            assert_eq!(ids(&workspace), [1, 2], "{stage} {nth}");
        }
    }
}
