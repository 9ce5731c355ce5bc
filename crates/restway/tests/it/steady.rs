//! Syncs that go on for years: wrong dates, changed definitions, parents that are gone, runs that
//! died, apis that are out. None of it loses a row, doubles one, or holds up the others.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use demo_api::{Effect, Fault, Settings};
use serde_json::{Value, json};

use crate::support::{Api, Workspace};

const SINCE: &str = "    incremental: { cursor: at, send: { query: since } }\n";

fn feed(keys: &str, incremental: &str) -> String {
    format!(
        "  feed:
    path: /feed
    query: {{ size: 10 }}
    records: rows
    paginate: {{ type: token, next: next, param: after }}
    {keys}
    checkpoint: {{ pages: 2 }}
{incremental}"
    )
}

fn define(workspace: &Workspace, api: &Api, keys: &str, incremental: &str) {
    workspace.write("apis/open.yaml", &api.open_file(&feed(keys, incremental)));
}

fn fill(api: &Api, from: u64, to: u64) {
    for id in from..=to {
        api.get().add_to_feed(id, Some(&minute(id)));
    }
}

fn minute(id: u64) -> String {
    format!("2020-01-01T{:02}:{:02}:00Z", id / 60, id % 60)
}

fn count(workspace: &Workspace) -> (Value, Value) {
    let rows = workspace.value("select count(*) from open.feed");
    (rows, workspace.value("select count(distinct id) from open.feed"))
}

fn detail(said: &Value) -> &Value {
    &said["resources"][0]["detail"]
}

#[test]
fn one_date_far_ahead_does_not_stop_a_resource() {
    for keys in ["load: append, key: id", "load: merge, key: id"] {
        let keys = keys.replace(", ", "\n    ");
        let api = Api::start();
        let workspace = Workspace::new();
        define(&workspace, &api, &keys, SINCE);
        fill(&api, 1, 20);
        api.get().add_to_feed(500, Some("2999-12-31T00:00:00Z"));
        let said = workspace.json(&["sync"]);
        assert_eq!(said["counts"]["rows"], json!(21), "{said}");
        let warning = said["warnings"][0]["message"].as_str().expect("a warning");
        assert!(warning.contains("2999-12-31T00:00:00Z"), "it is named: {warning}");
        assert_eq!(detail(&said)["cursor_after"], json!("2020-01-01T00:20:00Z"));
        fill(&api, 21, 25);
        let said = workspace.json(&["sync"]);
        assert_eq!(detail(&said)["cursor_after"], json!("2020-01-01T00:25:00Z"));
        assert_eq!(count(&workspace), (json!(26), json!(26)), "{keys}");
        // Where the definition says so, it moves the cursor, and every sync says where it stands.
        define(&workspace, &api, &keys, &SINCE.replace("at,", "at, future: true,"));
        let said = workspace.json(&["sync"]);
        assert_eq!(detail(&said)["cursor_after"], json!("2999-12-31T00:00:00Z"));
        assert_eq!(count(&workspace), (json!(26), json!(26)), "{keys}");
        define(&workspace, &api, &keys, SINCE);
        let said = workspace.json(&["sync"]);
        let warning = said["warnings"][0]["message"].as_str().expect("a warning");
        assert!(warning.contains("its cursor stands at 2999-12-31T00:00:00Z"), "{warning}");
    }
}

#[test]
fn what_was_left_out_is_counted_by_why() {
    let api = Api::start();
    let workspace = Workspace::new();
    define(&workspace, &api, "load: append\n    key: id", "    incremental: { cursor: at }\n");
    fill(&api, 1, 20);
    workspace.ok(&["sync"]);
    api.get().add_to_feed(99, Some(&minute(3)));
    let said = workspace.json(&["sync"]);
    assert_eq!(detail(&said)["landed_before"], json!(1), "the one at the border");
    assert_eq!(detail(&said)["before_cursor"], json!(20), "19 that landed, and one that is late");
    let shown = workspace.ok(&["runs", "show", said["run"].as_str().expect("an id")]);
    assert!(shown.out.contains("20 records lie before the cursor"), "{}", shown.out);
}

#[test]
fn a_row_that_came_late_with_an_older_time_lands_within_the_lookback() {
    let api = Api::start();
    let workspace = Workspace::new();
    let lookback = SINCE.replace("at,", "at, lookback: 1h,");
    define(&workspace, &api, "load: merge\n    key: id", &lookback);
    fill(&api, 1, 90);
    workspace.ok(&["sync"]);
    api.get().add_to_feed(500, Some(&minute(40)));
    let said = workspace.json(&["sync"]);
    assert_eq!(count(&workspace), (json!(91), json!(91)));
    assert_eq!(detail(&said)["cursor_after"], json!(minute(90)));
}

#[test]
fn another_load_or_key_lands_no_row_at_the_border_twice() {
    let api = Api::start();
    let workspace = Workspace::new();
    fill(&api, 1, 20);
    api.get().add_to_feed(21, Some(&minute(20)));
    for keys in [
        "load: merge\n    key: id",
        "load: append\n    key: id",
        "load: append\n    key: [id, at]",
        "load: append",
        "load: merge\n    key: id",
    ] {
        define(&workspace, &api, keys, SINCE);
        workspace.ok(&["sync"]);
        assert_eq!(count(&workspace), (json!(21), json!(21)), "{keys}");
    }
}

#[test]
fn a_table_restored_to_the_middle_of_a_walk_is_filled_again() {
    for (keys, incremental) in [
        ("load: append\n    key: id", ""),
        ("load: append\n    key: id", SINCE),
        ("load: merge\n    key: id", ""),
    ] {
        let api = Api::start();
        let workspace = Workspace::new();
        define(&workspace, &api, keys, incremental);
        fill(&api, 1, 95);
        workspace.ok(&["sync"]);
        workspace.ok(&["tables", "restore", "open.feed", "--to", "2"]);
        let (rows, _) = count(&workspace);
        assert!(rows.as_u64().is_some_and(|rows| (1..95).contains(&rows)), "{rows}");
        workspace.ok(&["sync"]);
        assert_eq!(count(&workspace), (json!(95), json!(95)), "{keys}{incremental}");
    }
}

#[test]
fn a_parent_that_fails_for_ever_does_not_hold_up_the_others() {
    let fault = Fault {
        path: "/v1/projects/5/issues".into(),
        after: 0,
        times: 1000,
        effect: Effect::Answer { status: 404, retry_after: None },
    };
    let api = Api::with(Settings { faults: vec![fault], ..Settings::default() });
    let workspace = Workspace::new();
    let file = api.file(
        "  projects: /projects
  issues:
    for_each: projects
    path: /projects/${parent.id}/issues
    carry: { project_id: id }
    key: [project_id, id]
    load: merge",
    );
    workspace.write("apis/demo.yaml", &file);
    let sync = || {
        api.get().forget_requests();
        let mut command = workspace.command(&["--json", "sync", "demo.issues"]);
        let secret = api.get().client_secret();
        let said = command.env("DEMO_SECRET", secret).output().expect("the binary runs");
        assert_eq!(said.status.code(), Some(3), "{}", String::from_utf8_lossy(&said.stderr));
        let said: Value = serde_json::from_slice(&said.stdout).expect("JSON");
        let failed = detail(&said)["failed_parents"].to_string();
        assert!(failed.contains('5') && failed.contains("call.status"), "it is named: {failed}");
        let seen = api.get().requests();
        seen.iter().filter(|seen| seen.path_and_query.contains("/issues")).count()
    };
    let mut command = workspace.command(&["sync", "demo.projects"]);
    let projects = command.env("DEMO_SECRET", api.get().client_secret()).output();
    assert!(projects.expect("the binary runs").status.success());
    let all = sync();
    assert!(all >= 40, "{all}");
    assert_eq!(sync(), 1, "alone, because the others are done");
    assert_eq!(sync(), all, "it had its chance");
    assert_eq!(sync(), all);
    let unique = "select count(*) from (select distinct project_id, id from demo.issues)";
    assert_eq!(workspace.value("select count(*) from demo.issues"), workspace.value(unique));
}

#[test]
fn a_run_that_was_killed_is_closed_by_whoever_comes_next() {
    let fault = Fault {
        path: "/feed".into(),
        after: 3,
        times: 1,
        effect: Effect::Wait(Duration::from_secs(60)),
    };
    let api = Api::with(Settings { faults: vec![fault], ..Settings::default() });
    let workspace = Workspace::new();
    define(&workspace, &api, "load: append", "");
    fill(&api, 1, 95);
    let mut command = workspace.command(&["sync"]);
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
    while api.get().count("/feed") < 4 {
        std::thread::yield_now();
    }
    let under_way = workspace.json(&["runs"]);
    assert_eq!(under_way["runs"][0]["status"], json!("running"), "{under_way}");
    child.kill().expect("it is killed");
    child.wait().expect("it is gone");
    let runs = workspace.json(&["runs"]);
    assert_eq!(runs["runs"][0]["status"], json!("failed"), "{runs}");
    assert!(runs["runs"][0].to_string().contains("run.interrupted"), "{runs}");
}

#[test]
fn killed_while_files_are_joined_or_freed_a_table_keeps_its_rows() {
    let api = Api::start();
    let workspace = Workspace::new();
    define(&workspace, &api, "load: append\n    key: id", SINCE);
    for round in 1..=6 {
        fill(&api, round * 10 - 9, round * 10);
        workspace.ok(&["sync"]);
        let arguments: &[&str] = match round % 2 {
            0 => &["tables", "vacuum", "open.feed", "--older-than", "0s"],
            _ => &["tables", "optimize", "open.feed"],
        };
        let files = || workspace.files(".restway/tables/open/feed");
        let before = files();
        let mut command = workspace.command(arguments);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary runs");
        while files() == before && child.try_wait().expect("it is there").is_none() {
            std::thread::yield_now();
        }
        child.kill().expect("it is killed, or gone");
        child.wait().expect("it is gone");
        assert_eq!(count(&workspace), (json!(round * 10), json!(round * 10)), "{arguments:?}");
    }
    workspace.ok(&["tables", "optimize", "open.feed"]);
    workspace.ok(&["tables", "vacuum", "open.feed", "--older-than", "0s"]);
    assert_eq!(count(&workspace), (json!(60), json!(60)));
    let files = workspace.files(".restway/tables/open/feed");
    let data = files.iter().filter(|file| file.extension().is_some_and(|it| it == "parquet"));
    assert_eq!(data.count(), 1, "what was half done is gone: {files:?}");
}

#[test]
fn an_api_that_is_out_is_no_failure_of_what_was_asked() {
    let fault = Fault {
        path: "/feed".into(),
        after: 0,
        times: 1,
        effect: Effect::Answer { status: 503, retry_after: None },
    };
    let api = Api::with(Settings { faults: vec![fault], ..Settings::default() });
    let workspace = Workspace::new();
    let file = api.open_file(&feed("load: append\n    key: id", SINCE));
    workspace.write("apis/open.yaml", &format!("{file}retry: {{ deadline: 0s }}\n"));
    fill(&api, 1, 5);
    let said = workspace.run(&["sync"]);
    assert_eq!(said.code, 3, "{}", said.err);
    let goes_on = "what earlier syncs committed stays; `restway sync open.feed` goes on from there";
    assert!(said.err.contains("[call.status]") && said.err.contains(goes_on), "{}", said.err);
    workspace.ok(&["sync"]);
    assert_eq!(count(&workspace), (json!(5), json!(5)));
}

#[test]
fn a_body_without_end_is_read_to_its_bound() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n";
            let mut sent = stream.write_all(head.as_bytes());
            // Until the other side has enough.
            for id in 0u64.. {
                if sent.is_err() {
                    break;
                }
                sent = stream.write_all(format!("{{\"id\": {id}}}\n").as_bytes());
            }
        }
    });
    let workspace = Workspace::new();
    let file = format!(
        "api: open\nbase_url: http://{address}\nresources:\n  feed: {{ path: /, format: ndjson, \
         max_records: 1000 }}\n"
    );
    workspace.write("apis/open.yaml", &file);
    let said = workspace.json(&["sync"]);
    assert_eq!(said["counts"]["rows"], json!(1000));
    let warning = said["warnings"][0]["message"].as_str().expect("a warning");
    assert!(warning.contains("`max_records` ended it after 1000"), "{warning}");
}
