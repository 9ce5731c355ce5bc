//! What a sync shows after it: the log of its requests as a table, and the stages of its report.

use demo_api::{Effect, Fault, Settings};
use serde_json::{Value, json};

use crate::support::{Api, Said, Workspace, said};

const RESOURCES: &str = "  customers: /customers\n  orders: /orders";

fn sync(workspace: &Workspace, api: &Api, arguments: &[&str]) -> Said {
    let mut command = workspace.command(arguments);
    said(command.env("DEMO_SECRET", api.get().client_secret()).output().expect("the binary runs"))
}

/// The report of a sync that did well.
fn report(workspace: &Workspace, api: &Api) -> Value {
    let said = sync(workspace, api, &["sync", "--json"]);
    assert_eq!(said.code, 0, "{}\n{}", said.out, said.err);
    serde_json::from_str(&said.out).expect("a report")
}

#[test]
fn every_request_of_a_sync_is_a_row_and_leads_to_the_rows_it_brought() {
    let effect = Effect::Answer { status: 503, retry_after: None };
    let refuses = Fault { path: "/v1/orders".into(), after: 2, times: 1, effect };
    let breaks =
        Fault { path: "/v1/customers".into(), after: 1, times: 1, effect: Effect::Truncate };
    let api = Api::with(Settings { faults: vec![refuses, breaks], ..Settings::default() });
    let workspace = Workspace::new();
    workspace.write("apis/demo.yaml", &api.file(RESOURCES));
    let first = report(&workspace, &api);
    let run = first["run"].as_str().expect("an id");
    for resource in first["resources"].as_array().expect("resources") {
        let name = resource["resource"].as_str().expect("a name").trim_start_matches("demo.");
        let of = format!("from demo._requests where run_id = '{run}' and resource = '{name}'");
        let counted = |what: &str| workspace.value(&format!("select {what} {of}"));
        assert_eq!(counted("count(*)"), resource["counts"]["requests"], "{name}");
        assert_eq!(counted("count(distinct page)"), resource["counts"]["pages"], "{name}");
        assert_eq!(counted("count(*) filter (where attempt > 1)"), json!(1), "{name}");
        let asked = api.get().count(&format!("/v1/{name}"));
        assert_eq!(counted("count(*)"), json!(asked), "{name}");
    }
    let failed = "select resource, status, error_code from demo._requests \
                  where error_code is not null order by resource";
    assert_eq!(
        workspace.rows(failed),
        [
            json!({ "resource": "customers", "status": 200, "error_code": "call.interrupted" }),
            json!({ "resource": "orders", "status": 503, "error_code": "call.status" }),
        ]
    );
    let bytes = "select cast(sum(bytes) as bigint) from demo._requests where error_code is null";
    assert_eq!(workspace.value(bytes), first["counts"]["bytes"]);
    let lineage = "select count(distinct c.id) from demo.customers c \
                   join demo._requests r on r.run_id = c._run_id and r.resource = 'customers'";
    assert_eq!(workspace.value(lineage), json!(200));

    let second = report(&workspace, &api);
    let all = first["counts"]["requests"].as_u64().zip(second["counts"]["requests"].as_u64());
    let all = all.map(|(first, second)| first + second);
    assert_eq!(workspace.value("select count(*) from demo._requests").as_u64(), all);
}

#[test]
fn the_log_stays_a_few_files_and_forgets_what_is_old() {
    let api = Api::start();
    let workspace = Workspace::new();
    workspace.write("apis/open.yaml", &api.open_file("  echo: /fault/echo"));
    for _ in 0..17 {
        workspace.ok(&["sync"]);
    }
    assert_eq!(workspace.value("select count(*) from open._requests"), json!(17));
    assert_eq!(workspace.value("select count(distinct run_id) from open._requests"), json!(17));
    let table = workspace.json(&["tables", "show", "open._requests"]);
    assert_eq!(table["files"], json!(2), "{table}");

    workspace.write("restway.yaml", "workspace: test\nkeep_requests: 0d\n");
    workspace.ok(&["sync"]);
    assert_eq!(workspace.value("select count(*) from open._requests"), json!(17), "none is kept");
}

#[test]
fn the_report_says_where_the_time_went_and_which_columns_came() {
    let api = Api::start();
    let workspace = Workspace::new();
    let echo = |headers: &str| {
        let resource = format!("  echo: {{ path: /fault/echo, headers: {{ {headers} }} }}");
        workspace.write("apis/open.yaml", &api.open_file(&resource));
    };
    echo("X-First: a");
    let first = report(&workspace, &api);
    let detail = &first["resources"][0]["detail"];
    for stage in ["total", "requests", "rate_waits", "retry_waits", "shape", "write", "commit"] {
        assert!(detail["timings"][stage].is_f64(), "{stage}: {detail}");
    }
    assert_eq!(detail["schema_changes"], json!(0), "a new table's columns are no changes");
    echo("X-First: a, X-Second: b");
    let second = report(&workspace, &api);
    let detail = &second["resources"][0]["detail"];
    assert_eq!(detail["schema_changes"], json!(1), "{detail}");
    let changed = &detail["schema_changed"][0];
    assert_eq!(changed["column"], json!("headers__x_second"), "{changed}");
    let id = second["run"].as_str().expect("an id");
    let shown = workspace.json(&["runs", "show", id]);
    assert_eq!(shown["resources"][0]["detail"], *detail, "the run keeps what the sync said");
    let text = workspace.ok(&["runs", "show", id]).out;
    for head in ["requests", "rate waits", "retry waits", "batches", "rejects", "headers__x_second"]
    {
        assert!(text.contains(head), "{head}: {text}");
    }
}

#[test]
fn a_wait_is_counted_where_it_was() {
    let effect = Effect::Answer { status: 429, retry_after: Some(1) };
    let fault = Fault { path: "/v1/customers".into(), after: 1, times: 1, effect };
    let api = Api::with(Settings { faults: vec![fault], ..Settings::default() });
    let workspace = Workspace::new();
    workspace.write("apis/demo.yaml", &api.file("  customers: /customers"));
    let report = report(&workspace, &api);
    let timings = &report["resources"][0]["detail"]["timings"];
    let waited = |stage: &str| timings[stage].as_f64().expect("seconds");
    assert!(waited("rate_waits") + waited("retry_waits") >= 0.9, "{timings}");
    let rows = "select attempt, status from demo._requests where page = 2 order by attempt";
    let expected = [json!({ "attempt": 1, "status": 429 }), json!({ "attempt": 2, "status": 200 })];
    assert_eq!(workspace.rows(rows), expected);
}

#[test]
fn the_log_holds_no_secret() {
    const MARKER: &str = "marker-51d0-never-in-a-log";
    let api = Api::start();
    let workspace = Workspace::new();
    assert_eq!(workspace.feed(&["secret", "set", "marker"], MARKER).code, 0);
    workspace.write(
        "apis/open.yaml",
        &format!(
            "api: open\nbase_url: {}\nauth: {{ type: api_key, query: k, key: \
             \"${{secret.marker}}\" }}\nresources:\n  plain: /fault/echo\n  \
             named: {{ path: /fault/echo, query: {{ x: \"${{secret.marker}}\" }} }}\n",
            api.url()
        ),
    );
    workspace.run(&["sync"]);
    let log = workspace.ok(&["query", "-f", "json", "select * from open._requests"]);
    assert!(log.out.contains("/fault/echo"), "{}", log.out);
    assert!(!log.out.contains(MARKER), "{}", log.out);
}

#[test]
fn no_resource_takes_the_place_of_the_log() {
    let workspace = Workspace::new();
    workspace
        .write("apis/a.yaml", "api: a\nbase_url: https://a.example\nresources:\n  _requests: /x\n");
    let said = workspace.run(&["check"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("kept for the log of requests"), "{}", said.err);
}
