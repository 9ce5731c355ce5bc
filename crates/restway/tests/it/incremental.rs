//! Syncs that read only what is new, and syncs that end in their middle: every row lands once.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use demo_api::{Effect, Fault, Settings};
use serde_json::{Value, json};

use crate::support::{Api, Said, Workspace};

pub(crate) fn feed(incremental: &str, more: &str) -> String {
    format!(
        "  feed:
    path: /feed
    query: {{ size: 10{more} }}
    records: rows
    paginate: {{ type: token, next: next, param: after }}
    key: id
    load: append
    checkpoint: {{ pages: 2 }}
{incremental}"
    )
}

const SINCE: &str = "    incremental: { cursor: at, send: { query: since } }\n";

/// Rows 1 to `count`, one a minute, in an order that is not that of time.
fn fill(api: &Api, from: u64, to: u64) {
    for id in from..=to {
        let id = if id % 2 == 0 { id - 1 } else { (id + 1).min(to) };
        api.get().add_to_feed(id, Some(&minute(id)));
    }
}

fn minute(id: u64) -> String {
    format!("2020-01-{:02}T{:02}:{:02}:00Z", 1 + id / 1440, id / 60 % 24, id % 60)
}

pub(crate) fn workspace(api: &Api, resources: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("apis/open.yaml", &api.open_file(resources));
    workspace
}

pub(crate) fn count(workspace: &Workspace) -> (Value, Value) {
    let rows = workspace.value("select count(*) from open.feed");
    (rows, workspace.value("select count(distinct id) from open.feed"))
}

pub(crate) fn sync(workspace: &Workspace) -> Value {
    workspace.json(&["sync"])
}

fn requests(api: &Api) -> u64 {
    let requests = api.get().count("/feed");
    api.get().forget_requests();
    requests
}

#[test]
fn what_is_new_lands_once_also_where_cursors_are_equal() {
    let api = Api::start();
    let workspace = workspace(&api, &feed(SINCE, ""));
    fill(&api, 1, 45);
    assert_eq!(sync(&workspace)["resources"][0]["tables"]["open.feed"], json!(45));
    assert_eq!(requests(&api), 5);

    // Nothing is new: one request, no row, no version.
    let nothing = sync(&workspace);
    assert_eq!(requests(&api), 1);
    assert_eq!(nothing["counts"]["rows"], json!(0));
    assert_eq!(nothing["resources"][0]["detail"]["landed_before"], json!(1));
    assert_eq!(nothing["resources"][0]["detail"]["batches"], json!(0));

    // Of the same minute as the last row, and later.
    api.get().add_to_feed(100, Some(&minute(45)));
    api.get().add_to_feed(101, Some(&minute(46)));
    assert_eq!(sync(&workspace)["counts"]["rows"], json!(2));
    api.get().add_to_feed(102, Some(&minute(46)));
    let last = sync(&workspace);
    assert_eq!(last["counts"]["rows"], json!(1));
    assert_eq!(last["resources"][0]["detail"]["cursor_after"], json!("2020-01-01T00:46:00Z"));
    assert_eq!(count(&workspace), (json!(48), json!(48)));
    let shown = workspace.ok(&["runs", "show", last["run"].as_str().expect("an id")]);
    assert!(shown.out.contains("from 2020-01-01T00:46:00Z to"), "{}", shown.out);
}

#[test]
fn numbers_are_cursors_too_and_records_without_one_are_told() {
    let api = Api::start();
    let by_id = "    incremental: { cursor: id, send: { query: above, as: int }, start: 10 }\n";
    let workspace = workspace(&api, &feed(by_id, ""));
    fill(&api, 1, 30);
    sync(&workspace);
    assert_eq!(count(&workspace), (json!(21), json!(21)));
    fill(&api, 31, 40);
    assert_eq!(sync(&workspace)["counts"]["rows"], json!(10));

    let by_time = feed(SINCE, "");
    workspace.write("apis/open.yaml", &api.open_file(&by_time.replace("feed:", "timed:")));
    api.get().add_to_feed(99, None);
    let said = sync(&workspace);
    let warning = said["warnings"][0]["message"].as_str().expect("a warning");
    assert!(warning.contains("1 records have no `at`"), "{warning}");
}

#[test]
fn windows_follow_each_other_and_a_failed_one_is_not_passed() {
    let fault = Fault {
        path: "/feed".into(),
        after: 12,
        times: 1,
        effect: Effect::Answer { status: 404, retry_after: None },
    };
    let api = Api::with(Settings { faults: vec![fault], ..Settings::default() });
    let windows = "    incremental: { cursor: at, send: { query: since }, settle: 1m, window: 500d,
      start: 2020-01-01T00:00:00Z }\n";
    let file = api.open_file(&feed(windows, ", until: \"${window.end}\""));
    let workspace = Workspace::new();
    let one = file.replace("resources:", "limits: { concurrency: 1 }\nresources:");
    workspace.write("apis/open.yaml", &one);
    // Ten pages in the first window; its last instant is the second's first. Three in the second.
    fill(&api, 1, 95);
    let second = ["2021-05-14T23:59:59Z", "2021-05-15T00:00:00Z", "2022-01-01T00:00:00Z"];
    for id in 1_000..1_030 {
        api.get().add_to_feed(id, Some(second[id as usize % 3]));
    }
    let failed = workspace.run(&["--json", "sync"]);
    assert_eq!(failed.code, 3, "{}\n{}", failed.out, failed.err);
    let first = "select count(*) from open.feed where at < timestamp '2021-05-15T00:00:00Z'";
    assert_eq!(workspace.value(first), json!(105), "the first window is whole");
    let said: Said = workspace.ok(&["--json", "sync"]);
    let said: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(count(&workspace), (json!(125), json!(125)));
    assert!(said["resources"][0]["detail"]["windows"].as_u64().is_some_and(|count| count > 1));
    let bounds: Vec<(String, String)> =
        api.get().requests().iter().map(|seen| bounds(&seen.path_and_query)).collect();
    let mut windows: Vec<&(String, String)> = Vec::new();
    for window in &bounds {
        if windows.last().is_none_or(|last| *last != window) {
            windows.push(window);
        }
    }
    assert_eq!(windows[0].0, "2020-01-01T00%3A00%3A00Z");
    assert!(windows.windows(2).all(|pair| pair[0].1 == pair[1].0), "{windows:?}");
    assert_eq!(sync(&workspace)["counts"]["rows"], json!(0));
}

/// What was asked for: since and until.
fn bounds(path_and_query: &str) -> (String, String) {
    let value = |name: &str| {
        let mut pairs = path_and_query.split(['?', '&']).filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    (value("since"), value("until"))
}

#[test]
fn full_reads_everything_anew_and_replaces() {
    let api = Api::start();
    let workspace = workspace(&api, &feed(SINCE, ""));
    fill(&api, 1, 20);
    sync(&workspace);
    // Late: before where the sync came to, so it is not seen.
    api.get().add_to_feed(50, Some(&minute(1)));
    assert_eq!(sync(&workspace)["counts"]["rows"], json!(0));
    assert_eq!(workspace.json(&["sync", "--full"])["counts"]["rows"], json!(21));
    assert_eq!(count(&workspace), (json!(21), json!(21)));
    assert_eq!(sync(&workspace)["counts"]["rows"], json!(0), "the cursor is that of the full sync");
}

#[test]
fn a_walk_that_breaks_goes_on_behind_its_last_page() {
    let fault = Fault {
        path: "/feed".into(),
        after: 5,
        times: 1,
        effect: Effect::Answer { status: 400, retry_after: None },
    };
    let api = Api::with(Settings { faults: vec![fault], ..Settings::default() });
    let workspace = workspace(&api, &feed("", ""));
    fill(&api, 1, 95);
    let failed = workspace.run(&["sync"]);
    assert_eq!(failed.code, 3, "{}", failed.err);
    assert!(failed.err.contains("`restway sync open.feed` goes on from there"), "{}", failed.err);
    assert_eq!(count(&workspace).0, json!(50));
    requests(&api);
    sync(&workspace);
    assert_eq!(requests(&api), 5, "pages 6 to 10 and none again");
    assert_eq!(count(&workspace), (json!(95), json!(95)));
    // What is not incremental is added again by the next sync: that is what `append` says.
    sync(&workspace);
    assert_eq!(count(&workspace), (json!(190), json!(95)));
}

/// Runs a sync and kills it when its log names an event for the nth time; says whether it did.
pub(crate) fn killed_at(workspace: &Workspace, event: &str, nth: usize) -> bool {
    let mut child = workspace
        .command(&["--log", "debug", "sync"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let stderr = child.stderr.take().expect("a pipe");
    let lines = BufReader::new(stderr).lines().map_while(Result::ok);
    let mark = format!(" {event} ");
    let was_seen = lines.filter(|line| line.contains(&mark)).nth(nth).is_some();
    child.kill().expect("it is killed, or gone");
    child.wait().expect("it is gone");
    was_seen
}

#[test]
fn killed_at_any_stage_every_row_lands_once() {
    let stages = ["page_read", "files_staged", "batch_recorded", "table_committed"];
    for incremental in ["", SINCE] {
        for stage in stages {
            let api = Api::start();
            let workspace = workspace(&api, &feed(incremental, ""));
            fill(&api, 1, 195);
            for nth in [0, 1, 2] {
                killed_at(&workspace, stage, nth);
            }
            sync(&workspace);
            assert_eq!(count(&workspace), (json!(195), json!(195)), "{stage} {incremental}");
            // 20 pages, and at each death those under way: a batch of two, and those that were
            // read while it was committed.
            let asked = requests(&api);
            assert!(asked <= 20 + 3 * 8, "{stage}: {asked} requests");
        }
    }
}

#[test]
fn a_sync_that_is_stopped_keeps_what_it_has_and_says_what_to_do() {
    let fault = Fault {
        path: "/feed".into(),
        after: 6,
        times: 1,
        effect: Effect::Wait(Duration::from_secs(60)),
    };
    let api = Api::with(Settings { faults: vec![fault], ..Settings::default() });
    let workspace = workspace(&api, &feed("", ""));
    fill(&api, 1, 95);
    let child = workspace
        .command(&["sync"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    while api.get().count("/feed") < 7 {
        std::thread::yield_now();
    }
    let asked =
        std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(asked.expect("kill runs").success());
    let output = child.wait_with_output().expect("it ends");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(err.contains("what was committed stays"), "{err}");
    assert_eq!(count(&workspace).0, json!(60), "all whole pages");
    let said: Said = workspace.ok(&["sync"]);
    assert!(said.err.contains("resuming after page 6"), "{}", said.err);
    assert_eq!(count(&workspace), (json!(95), json!(95)));
}

fn issues(api: &Api, incremental: &str) -> String {
    api.file(&format!(
        "  projects: /projects
  issues:
    for_each: projects
    path: /projects/${{parent.id}}/issues
    carry: {{ project_id: id }}
    key: [project_id, id]
    load: append
{incremental}"
    ))
}

fn demo(api: &Api, workspace: &Workspace) -> (i32, Value) {
    let command = workspace
        .command(&["--json", "sync"])
        .env("DEMO_SECRET", api.get().client_secret())
        .output()
        .expect("the binary runs");
    let out = String::from_utf8_lossy(&command.stdout);
    let said = serde_json::from_str(&out);
    (command.status.code().unwrap_or(-1), said.unwrap_or_else(|error| panic!("{error}: {out}")))
}

#[test]
fn a_parent_that_fails_is_read_again_alone() {
    let fault = |project: u64| Fault {
        path: format!("/v1/projects/{project}/issues"),
        after: 0,
        times: 1,
        effect: Effect::Answer { status: 404, retry_after: None },
    };
    let api = Api::with(Settings { faults: vec![fault(5), fault(9)], ..Settings::default() });
    let workspace = Workspace::new();
    workspace.write("apis/demo.yaml", &issues(&api, ""));
    let (code, said) = demo(&api, &workspace);
    assert_eq!(code, 3, "{said}");
    let issues = &said["resources"][0];
    assert_eq!(issues["detail"]["failed_parents"].as_array().map(Vec::len), Some(2), "{said}");
    assert_eq!(
        issues["error"]["message"].as_str().map(|text| text.contains("2 of 40")),
        Some(true)
    );
    let before = workspace.value("select count(*) from demo.issues");
    assert!(before.as_u64().is_some_and(|rows| rows > 500 && rows < 762), "{before}");

    api.get().forget_requests();
    let (code, _) = demo(&api, &workspace);
    assert_eq!(code, 0);
    let children = api.get().requests();
    let asked = children.iter().filter(|seen| seen.path_and_query.contains("/issues")).count();
    assert_eq!(asked, 2, "the two that failed, and no other");
    let unique = "select count(*) from (select distinct project_id, id from demo.issues)";
    assert_eq!(workspace.value("select count(*) from demo.issues"), json!(762));
    assert_eq!(workspace.value(unique), json!(762));
}

#[test]
fn each_parent_has_a_cursor_of_its_own() {
    let fault = Fault {
        path: "/v1/projects/5/issues".into(),
        after: 0,
        times: 1,
        effect: Effect::Answer { status: 404, retry_after: None },
    };
    let api = Api::with(Settings { faults: vec![fault], ..Settings::default() });
    let workspace = Workspace::new();
    let incremental = "    incremental: { cursor: updated_at, send: { query: updated_since } }\n";
    workspace.write("apis/demo.yaml", &issues(&api, incremental));
    assert_eq!(demo(&api, &workspace).0, 3);
    api.get().forget_requests();
    assert_eq!(demo(&api, &workspace).0, 0);
    let asked = |path: &str| {
        let seen = api.get().requests().into_iter();
        let mut found = seen.filter(|seen| seen.path_and_query.starts_with(path));
        found.next().map(|seen| seen.path_and_query).unwrap_or_default()
    };
    assert!(asked("/v1/projects/1/issues").contains("updated_since=2"));
    assert!(!asked("/v1/projects/5/issues").contains("updated_since"), "it has landed nothing yet");
    let unique = "select count(*) from (select distinct project_id, id from demo.issues)";
    assert_eq!(workspace.value("select count(*) from demo.issues"), json!(762));
    assert_eq!(workspace.value(unique), json!(762));
    assert_eq!(demo(&api, &workspace).1["resources"][0]["counts"]["rows"], json!(0));
}

#[test]
fn a_table_that_is_gone_is_read_anew() {
    let api = Api::start();
    let workspace = workspace(&api, &feed(SINCE, ""));
    fill(&api, 1, 20);
    sync(&workspace);
    std::fs::remove_dir_all(workspace.path().join(".restway/tables/open")).expect("it is there");
    let said = sync(&workspace);
    assert!(said["warnings"][0]["message"].as_str().is_some_and(|text| text.contains("gone")));
    assert_eq!(count(&workspace), (json!(20), json!(20)));
}

#[test]
fn a_table_that_somebody_put_back_loses_no_row_in_silence() {
    let api = Api::start();
    let workspace = workspace(&api, &feed(SINCE, ""));
    fill(&api, 1, 10);
    sync(&workspace);
    let log = workspace.path().join(".restway/tables/open/feed/_delta_log");
    let versions = || std::fs::read_dir(&log).expect("a log").flatten().map(|entry| entry.path());
    let before: Vec<_> = versions().collect();
    fill(&api, 11, 20);
    sync(&workspace);
    let newer = versions().filter(|path| !before.contains(path));
    newer.for_each(|path| std::fs::remove_file(path).expect("it is there"));
    fill(&api, 21, 30);
    let said = workspace.run(&["sync"]);
    assert_eq!(said.code, 1, "{}\n{}", said.out, said.err);
    let all = said.out + &said.err;
    assert!(all.contains("[table.conflict]") && all.contains("open.feed --full"), "{all}");
    assert_eq!(count(&workspace), (json!(10), json!(10)), "nothing was added to it");
    workspace.ok(&["sync", "--full"]);
    assert_eq!(count(&workspace), (json!(30), json!(30)));
    fill(&api, 31, 35);
    sync(&workspace);
    assert_eq!(count(&workspace), (json!(35), json!(35)));
}
