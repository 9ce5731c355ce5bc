//! Loads that keep rows: merged by a key, deleted, kept as a history, and what is refused on the
//! way, against an api whose answer each test writes itself.

use serde_json::json;

use crate::sheet::Sheet;

#[test]
fn a_merge_keeps_what_the_api_did_not_send() {
    let sheet = Sheet::start();
    let workspace = sheet.workspace("key: id, load: merge, deletes: { when: state = 'gone' }");
    sheet.shows(r#"[{"id": 1, "v": "a", "l": [1]}, {"id": 2, "v": "b", "l": [2]}]"#);
    workspace.ok(&["sync"]);
    sheet.shows(r#"[{"id": 2, "v": "c", "l": [3, 4]}, {"id": 1, "state": "gone"}, {"id": 3}]"#);
    let said = workspace.json(&["sync"]);
    assert_eq!((&said["counts"]["deleted"], &said["status"]), (&json!(1), &json!("succeeded")));
    let rows = workspace.rows("select id, v from shop.rows order by id");
    assert_eq!(rows, [json!({"id": 2, "v": "c"}), json!({"id": 3, "v": null})]);
    assert_eq!(workspace.value("select sum(value) from shop.rows__l"), json!(7));
    let run = workspace.json(&["runs", "show", said["run"].as_str().expect("a run")]);
    assert_eq!(run["resources"][0]["counts"]["deleted"], json!(1));
}

#[test]
fn what_a_whole_walk_does_not_meet_goes_up_to_a_part() {
    let sheet = Sheet::start();
    let workspace = sheet.workspace("key: id, load: merge, deletes: { absent: true }");
    sheet.shows(r#"[{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}, {"id": 5}]"#);
    workspace.ok(&["sync"]);
    sheet.shows(r#"[{"id": 1}, {"id": 2}, {"id": 3}]"#);
    let said = workspace.run(&["sync", "--json"]);
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.out.contains("table.too_many_absent"), "{}", said.out);
    assert_eq!(workspace.value("select count(*) from shop.rows"), json!(5));
    sheet.shows(r#"[{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}]"#);
    workspace.ok(&["sync"]);
    assert_eq!(workspace.value("select count(*) from shop.rows"), json!(4));
}

#[test]
fn a_history_says_what_held_when() {
    let sheet = Sheet::start();
    let workspace =
        sheet.workspace("key: id, load: history, deletes: { absent: true, max_fraction: 1 }");
    sheet.shows(r#"[{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]"#);
    workspace.ok(&["sync"]);
    let said = workspace.json(&["sync"]);
    assert_eq!(said["counts"]["rows"], json!(0), "nothing changed");
    sheet.shows(r#"[{"v": "x", "id": 1}]"#);
    workspace.ok(&["sync"]);
    let rows = workspace.rows(
        "select id, v, _is_current as now, _valid_to is null as open from shop.rows order by id, v",
    );
    let row = |id, v, now: bool| json!({"id": id, "v": v, "now": now, "open": now});
    assert_eq!(rows, [row(1, "a", false), row(1, "x", true), row(2, "b", false)]);
    let gaps = "select count(*) from shop.rows a join shop.rows b on a.id = b.id \
                and a._valid_to = b._valid_from";
    assert_eq!(workspace.value(gaps), json!(1), "one ends where the next begins");
    sheet.define(&workspace, "key: id, load: merge");
    let said = workspace.run(&["sync"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("`load: history`"), "{}", said.err);
}

#[test]
fn refused_records_are_counted_and_can_be_asked_for() {
    let sheet = Sheet::start();
    let keys = "key: id, load: merge, types: { n: int64 }, max_rejects: 2";
    let workspace = sheet.workspace(keys);
    sheet.shows(r#"[{"id": 1, "n": 1}, {"n": 2}, {"id": 3, "n": "x"}]"#);
    let said = workspace.run(&["sync"]);
    assert_eq!(said.code, 3, "{}\n{}", said.out, said.err);
    assert!(said.err.contains("shop.rows: 2 records went to `shop.rows__rejects`"), "{}", said.err);
    assert_eq!(workspace.value("select count(*) from shop.rows"), json!(1));
    let reasons = workspace.rows("select reason from shop.rows__rejects order by 1");
    assert_eq!(reasons, [json!({"reason": "key_missing"}), json!({"reason": "type_mismatch"})]);
    sheet.define(&workspace, &keys.replace("max_rejects: 2", "max_rejects: 1%"));
    let said = workspace.run(&["sync", "--json"]);
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.out.contains("table.too_many_rejects"), "{}", said.out);
    assert_eq!(workspace.value("select count(*) from shop.rows__rejects"), json!(2));
}

#[test]
fn rows_of_csv_that_fit_no_names_are_refused_one_by_one() {
    let sheet = Sheet::start();
    let keys = "format: csv, types: { id: int64 }, key: id, load: merge, max_rejects: 2";
    let workspace = sheet.workspace(keys);
    sheet.shows("id,v\n1,a\n2\n3,\"b,\"\"c\",d\n4,e\n");
    let said = workspace.run(&["sync"]);
    assert_eq!(said.code, 3, "{}\n{}", said.out, said.err);
    assert!(said.err.contains("shop.rows: 2 records went to `shop.rows__rejects`"), "{}", said.err);
    assert_eq!(workspace.value("select sum(id) from shop.rows"), json!(5));
    let rows = workspace
        .rows("select reason, path, message, record from shop.rows__rejects order by path");
    assert_eq!(rows[0]["reason"], json!("malformed"));
    assert_eq!((&rows[0]["path"], &rows[0]["record"]), (&json!("line 3"), &json!("2")));
    let message = rows[1]["message"].as_str().expect("a text");
    assert!(message.contains("line 4 has 3 fields, and there are 2 names"), "{message}");
    assert_eq!(rows[1]["record"], json!("3,\"b,\"\"c\",d"));
    let said = workspace.run(&["query", "select v from live.shop.rows"]);
    assert!(said.code == 1 && said.err.contains("line 3 has 1 fields"), "{}", said.err);
    sheet.define(&workspace, &keys.replace("max_rejects: 2", "max_rejects: 0"));
    let said = workspace.run(&["sync"]);
    assert!(said.code == 1 && said.err.contains("line 3 has 1 fields"), "{}", said.err);
    sheet.define(&workspace, keys);
    sheet.shows("id,v\n5,a\n6");
    let said = workspace.run(&["sync"]);
    assert!(said.code == 1 && said.err.contains("call.interrupted"), "{}", said.err);
    assert_eq!(workspace.value("select max(id) from shop.rows"), json!(4));
}

#[test]
fn loads_that_cannot_work_are_refused_before_anything_is_called() {
    let sheet = Sheet::start();
    for (keys, message) in [
        ("load: merge", "`merge` and `history` need a `key`"),
        ("deletes: { when: gone }", "`deletes` needs a `key`"),
        ("key: id, load: merge, deletes: { absent: true, max_fraction: 2 }", "from 0 to 1"),
        (
            "key: id, load: merge, max_records: 5, deletes: { absent: true }",
            "proves nothing absent",
        ),
        ("deletes: { resource: rows }", "`deletes` needs a `key`"),
        ("key: id, load: merge, deletes: { resource: rose }", "there is no resource `rose`"),
        ("key: id, load: merge, deletes: { resource: rows }", "leads back to this resource"),
        ("key: id, load: merge, deletes: { key: id }", "`key` needs `resource`"),
        ("nest: { json: [a.b], columns: [a.b] }", "stands under `json` too"),
        ("max_rejects: 1 percent", "is not a percentage"),
        ("schema: { columns: widen }", "none of the words"),
    ] {
        let said = sheet.workspace(keys).run(&["check"]);
        assert_eq!(said.code, 2, "{keys}\n{}", said.err);
        assert!(said.err.contains(message), "{keys}\n{}", said.err);
    }
}
