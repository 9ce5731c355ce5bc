//! Syncs of the demo API: what lands, what it is typed as, and what a failure leaves.

use std::time::Duration;

use demo_api::{Effect, Fault, Settings};
use serde_json::json;

use crate::support::{Api, Workspace};

const ALL: &str = "  customers: /customers
  orders: /orders
  projects: /projects
  issues:
    for_each: projects
    path: /projects/${parent.id}/issues
    carry: { project_id: id }
    key: [project_id, id]";

fn synced(api: &Api, resources: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("apis/demo.yaml", &api.file(resources));
    let said = sync(&workspace, api, &["sync"]);
    assert_eq!(said.code, 0, "{}\n{}", said.out, said.err);
    workspace
}

fn sync(workspace: &Workspace, api: &Api, arguments: &[&str]) -> crate::support::Said {
    let output = workspace
        .command(arguments)
        .env("DEMO_SECRET", api.get().client_secret())
        .output()
        .expect("the binary runs");
    crate::support::Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn every_record_lands_once_with_its_lists_in_child_tables() {
    let api = Api::start();
    let workspace = synced(&api, ALL);
    assert_eq!(workspace.value("select count(*) from demo.customers"), json!(200));
    assert_eq!(workspace.value("select count(distinct id) from demo.orders"), json!(1000));
    assert_eq!(workspace.value("select count(*) from demo.issues"), json!(762));
    let unique = "select count(*) from (select distinct project_id, id from demo.issues)";
    assert_eq!(workspace.value(unique), json!(762));
    let orphans = "select count(*) from demo.orders__lines l \
                   left join demo.orders o on o._row_id = l._parent_id where o.id is null";
    assert_eq!(workspace.value(orphans), json!(0));
    let sums = "select count(*) from (select o.total, sum(l.quantity * l.unit_price) as lines \
                from demo.orders o join demo.orders__lines l on l._parent_id = o._row_id \
                group by o.id, o.total having abs(o.total - lines) > 0.001)";
    assert_eq!(workspace.value(sums), json!(0), "the lines of every order add up to its total");
}

#[test]
fn values_land_exactly() {
    let api = Api::start();
    let workspace = synced(&api, "  customers: /customers\n  orders: /orders");
    let types = |table: &str| {
        let shown = workspace.json(&["tables", "show", table]);
        shown["columns"].as_array().expect("columns").clone()
    };
    let of = |table: &str, name: &str| {
        let found = types(table).into_iter().find(|column| column["name"] == name);
        found.unwrap_or_else(|| panic!("{table} has no {name}"))["type"].clone()
    };
    assert_eq!(of("demo.customers", "serial"), "int64");
    assert_eq!(of("demo.customers", "archived_at"), "null");
    assert_eq!(of("demo.customers", "address__zip"), "text");
    assert_eq!(of("demo.customers", "updated_at"), "timestamp");
    assert_eq!(of("demo.customers", "birthday"), "date");
    assert_eq!(of("demo.orders", "tracking_number"), "decimal(20,0)");
    assert_eq!(of("demo.orders", "is_gift"), "bool");
    let raw = workspace.ok(&[
        "query",
        "--format",
        "ndjson",
        "select serial from demo.customers where id = 1",
    ]);
    assert_eq!(raw.out.trim(), "{\"serial\":9007199254740994}");
    let ledger = workspace.ok(&[
        "query",
        "--format",
        "csv",
        "select ledger_amount from demo.orders order by id limit 1",
    ]);
    assert!(ledger.out.trim().ends_with(".89"), "{}", ledger.out);
    assert!(ledger.out.trim().len() > 17, "no digit is lost: {}", ledger.out);
}

#[test]
fn a_second_sync_replaces_and_never_doubles() {
    let api = Api::start();
    let workspace = synced(&api, "  customers: /customers");
    let said = sync(&workspace, &api, &["sync", "demo.customers", "--json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(workspace.value("select count(*) from demo.customers"), json!(200));
    let runs = workspace.json(&["runs"]);
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(2));
    let id = runs["runs"][0]["run"].as_str().expect("an id").to_owned();
    let run = workspace.json(&["runs", "show", &id[..18]]);
    assert_eq!(run["resources"][0]["counts"]["records"], json!(200));
}

#[test]
fn append_adds_to_what_is_there() {
    let api = Api::start();
    let resources = "  customers: { path: /customers, load: append }";
    let workspace = synced(&api, resources);
    assert_eq!(sync(&workspace, &api, &["sync"]).code, 0);
    assert_eq!(workspace.value("select count(*) from demo.customers"), json!(400));
    let ids = "select count(distinct _row_id) from demo.customers";
    assert_eq!(workspace.value(ids), json!(400));
}

#[test]
fn tokens_that_end_during_the_walk_are_renewed() {
    let settings = Settings { token_lifetime: Duration::from_millis(1500), ..Settings::default() };
    let api = Api::with(settings);
    let workspace = synced(&api, "  orders: { path: /orders, query: { pageSize: 5 } }");
    assert_eq!(workspace.value("select count(*) from demo.orders"), json!(1000));
    api.get().revoke_tokens();
    assert_eq!(sync(&workspace, &api, &["sync"]).code, 0, "a 401 asks for a new token, once");
}

#[test]
fn a_broken_page_is_read_again_and_lands_once() {
    let fault = Fault { path: "/v1/orders".into(), after: 2, times: 1, effect: Effect::Truncate };
    let api = Api::with(Settings { faults: vec![fault], ..Settings::default() });
    let workspace = synced(&api, "  orders: /orders");
    assert_eq!(workspace.value("select count(*) from demo.orders"), json!(1000));
    assert_eq!(workspace.value("select count(distinct id) from demo.orders"), json!(1000));
}

#[test]
fn a_failed_resource_keeps_its_rows_and_does_not_stop_the_others() {
    let api = Api::start();
    let workspace = synced(&api, "  customers: /customers\n  orders: /orders");
    let before = workspace.files(".restway/tables");
    let broken = "  customers: /customers\n  orders: { path: /orders, records: rows }";
    workspace.write("apis/demo.yaml", &api.file(broken));
    let said = sync(&workspace, &api, &["sync", "--json"]);
    assert_eq!(said.code, 3, "{}\n{}", said.out, said.err);
    let report: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let orders = report["resources"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["resource"] == "demo.orders"))
        .expect("the resource is reported");
    assert_eq!(orders["error"]["code"], "page.records_missing");
    assert_eq!(workspace.value("select count(*) from demo.orders"), json!(1000));
    let orders_before = before.iter().filter(|file| file.to_string_lossy().contains("/orders"));
    assert!(orders_before.clone().count() > 0);
    for file in orders_before {
        assert!(file.exists(), "{} is gone", file.display());
    }
}

#[test]
fn every_way_of_paging_reads_all() {
    let api = Api::start();
    let workspace = Workspace::new();
    let resources = "  page: { path: /open/page, query: { per_page: 30 }, records: items, paginate: { type: page, total_pages: total_pages } }
  offset: { path: /open/offset, records: results, paginate: { type: offset, limit: 30, total: count } }
  link: { path: /open/link, paginate: link }
  next: { path: /open/next, records: records, paginate: { type: url, next: next } }
  keyset: { path: /open/keyset, query: { limit: 30 }, records: rows, paginate: { type: keyset, field: id, param: after } }
  none: /open/none";
    workspace.write("apis/open.yaml", &api.open_file(resources));
    workspace.ok(&["sync"]);
    for table in ["page", "offset", "link", "next", "keyset", "none"] {
        let sql = format!("select count(distinct id) from open.{table}");
        assert_eq!(workspace.value(&sql), json!(200), "{table}");
    }
}

#[test]
fn two_syncs_of_one_workspace_do_not_mix() {
    let fault = Fault {
        path: "/v1/customers".into(),
        after: 0,
        times: 1,
        effect: Effect::Wait(Duration::from_secs(3)),
    };
    let api = Api::with(Settings { faults: vec![fault], ..Settings::default() });
    let workspace = Workspace::new();
    workspace.write("apis/demo.yaml", &api.file("  customers: /customers"));
    let mut first = workspace
        .command(&["sync"])
        .env("DEMO_SECRET", api.get().client_secret())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary runs");
    while api.get().count("/v1/customers") == 0 {
        std::thread::yield_now();
    }
    let said = sync(&workspace, &api, &["sync", "--json"]);
    assert!(said.out.contains("workspace.busy"), "{}\n{}", said.out, said.err);
    assert_eq!(said.code, 1);
    assert!(first.wait().expect("it ends").success());
    assert_eq!(workspace.value("select count(*) from demo.customers"), json!(200));
}

#[test]
fn a_killed_sync_leaves_the_old_rows_and_the_next_one_starts_clean() {
    let settings = |faults| Settings { faults, ..Settings::default() };
    let hangs = Fault {
        path: "/v1/orders".into(),
        after: 15,
        times: 1,
        effect: Effect::Wait(Duration::from_secs(60)),
    };
    let api = Api::with(settings(vec![hangs]));
    // Ten pages land; the second sync hangs after six more and is killed there.
    let workspace = synced(&api, "  orders: /orders");
    let before = workspace.files(".restway/tables");
    let mut child = workspace
        .command(&["sync"])
        .env("DEMO_SECRET", api.get().client_secret())
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the binary runs");
    while api.get().count("/v1/orders") < 16 {
        std::thread::yield_now();
    }
    child.kill().expect("it is killed");
    child.wait().expect("it is gone");
    assert_eq!(workspace.value("select count(*) from demo.orders"), json!(1000));
    let runs = |position: usize| {
        workspace.json(&["runs"])["runs"][position]["status"].as_str().map(str::to_owned)
    };
    assert_eq!(runs(0).as_deref(), Some("failed"), "whoever comes next closes the killed run");

    assert_eq!(sync(&workspace, &api, &["sync"]).code, 0);
    assert_eq!(workspace.value("select count(distinct id) from demo.orders"), json!(1000));
    assert_eq!(workspace.value("select count(*) from demo.orders__lines"), json!(3021));
    let parts = |files: &[std::path::PathBuf]| {
        files.iter().filter(|file| file.extension().is_some_and(|end| end == "parquet")).count()
    };
    let after = workspace.files(".restway/tables");
    // The rows of before stay for time travel, beside the new ones; nothing of the killed sync.
    assert_eq!(parts(&after), 2 * parts(&before));
}

#[test]
fn a_sync_that_is_asked_to_stop_says_so_and_changes_nothing() {
    let hangs = Fault {
        path: "/v1/orders".into(),
        after: 3,
        times: 1,
        effect: Effect::Wait(Duration::from_secs(60)),
    };
    let api = Api::with(Settings { faults: vec![hangs], ..Settings::default() });
    let workspace = Workspace::new();
    workspace.write("apis/demo.yaml", &api.file("  orders: /orders"));
    let child = workspace
        .command(&["sync"])
        .env("DEMO_SECRET", api.get().client_secret())
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the binary runs");
    while api.get().count("/v1/orders") < 4 {
        std::thread::yield_now();
    }
    let asked =
        std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(asked.expect("kill runs").success());
    let output = child.wait_with_output().expect("it ends");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(err.contains("[run.interrupted]"), "{err}");
    assert_eq!(workspace.json(&["runs"])["runs"][0]["status"], json!("partly"));
    let tables = workspace.json(&["tables"]);
    let is_log = |table: &serde_json::Value| table["table"] == "demo._requests";
    assert!(tables["tables"].as_array().is_some_and(|all| all.iter().all(is_log)), "{tables}");
}

#[test]
fn numbers_of_a_parent_reach_its_children_to_the_last_digit() {
    let api = Api::start();
    let workspace = synced(
        &api,
        &format!(
            "  orders: /orders
  echoes:
    for_each: orders
    path: {}/fault/echo
    query: {{ t: \"${{parent.tracking_number}}\", l: \"${{parent.ledger_amount}}\" }}
    carry: {{ tracking: tracking_number, ledger: ledger_amount }}
    records: $
    paginate: none",
            api.url()
        ),
    );
    let sql = "select tracking, ledger from demo.echoes";
    let landed = workspace.ok(&["query", "--format", "csv", sql]).out;
    let seen = api.get().requests();
    let asked = |tracking: &str, ledger: &str| {
        let has = |pair: String| move |text: &str| text.split(['?', '&']).any(|part| part == pair);
        let (t, l) = (has(format!("t={tracking}")), has(format!("l={ledger}")));
        seen.iter().any(|seen| t(&seen.path_and_query) && l(&seen.path_and_query))
    };
    assert_eq!(landed.lines().count(), 1001);
    for line in landed.lines().skip(1) {
        let (tracking, ledger) = line.split_once(',').expect("two columns");
        assert!(tracking.len() == 20 && asked(tracking, ledger), "{line}");
    }
}

#[test]
fn a_key_that_does_not_tell_records_apart_is_warned_of() {
    let api = Api::start();
    let resources = |issues: &str, customers: &str| {
        format!(
            "  projects: /projects
  customers: {{ path: /customers, key: {customers} }}
  issues:
    for_each: projects
    path: /projects/${{parent.id}}/issues
    carry: {{ project_id: id }}
    key: {issues}"
        )
    };
    let workspace = synced(&api, &resources("[project_id, id]", "id"));
    let good = sync(&workspace, &api, &["sync"]);
    assert!(!good.err.contains("`key`"), "{}", good.err);
    workspace.write("apis/demo.yaml", &api.file(&resources("id", "nope")));
    let bad = sync(&workspace, &api, &["sync"]);
    assert_eq!(bad.code, 0, "{}", bad.err);
    assert!(bad.err.contains("demo.issues: rows share their `key` (id)"), "{}", bad.err);
    assert!(bad.err.contains("`nope`, which is no column"), "{}", bad.err);
}

#[test]
fn vacuum_removes_what_old_versions_need_and_nothing_else() {
    let api = Api::start();
    let workspace = synced(&api, "  customers: /customers");
    for _ in 0..3 {
        assert_eq!(sync(&workspace, &api, &["sync"]).code, 0);
    }
    let parts = || {
        let files = workspace.files(".restway/tables/demo/customers");
        files.iter().filter(|file| file.extension().is_some_and(|end| end == "parquet")).count()
    };
    assert_eq!(parts(), 4);
    workspace.ok(&["tables", "vacuum"]);
    assert_eq!(parts(), 4, "seven days are kept unless something else is said");
    workspace.ok(&["tables", "vacuum", "demo.customers", "--older-than", "0s"]);
    assert_eq!(parts(), 1);
    assert_eq!(workspace.value("select count(*) from demo.customers"), json!(200));
    assert_eq!(sync(&workspace, &api, &["sync"]).code, 0);
    assert_eq!(workspace.value("select count(*) from demo.customers"), json!(200));
    assert_eq!(workspace.run(&["tables", "vacuum", "demo.nothing"]).code, 2);
}
