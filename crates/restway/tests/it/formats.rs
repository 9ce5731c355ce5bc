//! Answers in every format and exports made by jobs, from the api to a query.

use std::process::Stdio;
use std::time::{Duration, Instant};

use demo_api::Credential;
use serde_json::json;

use crate::support::{Api, Workspace, said};

const JOB: &str = "id: job, poll: { path: '/export/jobs/${job.id}', every: 10ms, timeout: 10s }, \
                   done: status = 'done', failed: status = 'failed', download: result.url";

fn workspace(api: &Api, resources: &str) -> Workspace {
    let workspace = Workspace::new();
    let file = api.open_file(resources).replace(
        "resources:",
        "auth: { type: basic, username: u, password: '${env.PASS}' }\nresources:",
    );
    workspace.write("apis/open.yaml", &file);
    workspace
}

fn run(workspace: &Workspace, arguments: &[&str]) -> crate::support::Said {
    let mut command = workspace.command(arguments);
    said(command.env("PASS", "hunter2hunter2").output().expect("the binary runs"))
}

/// A resource whose request creates this job.
fn made(name: &str, body: &str, keys: &str) -> String {
    let request = format!("path: /export/jobs, method: POST, json: {{ {body} }}, format: csv");
    format!("  {name}: {{ {request}, job: {{ {JOB} }}{keys} }}\n")
}

#[test]
fn every_format_lands_the_same_rows() {
    let api = Api::start();
    let resources = "
  json: /export/customers.json
  ndjson: { path: /export/customers.ndjson, format: ndjson }
  csv: { path: /export/customers.csv, format: csv, types: { id: int64 } }
  gzip: { path: /export/customers.csv.gz, format: csv, archive: gzip, types: { id: int64 } }
  xml: { path: /export/customers.xml, format: xml, records: customers.customer }
";
    let resources = format!(
        "{resources}{}",
        made("job", "download: /export/customers.csv, polls: 2", ", types: { id: int64 }")
    );
    let workspace = workspace(&api, &resources);
    let synced = run(&workspace, &["sync"]);
    assert_eq!(synced.code, 0, "{}\n{}", synced.out, synced.err);
    assert!(synced.err.contains("open.job: waiting 0.0 s for the job `1`"), "{}", synced.err);
    for table in ["ndjson", "csv", "gzip", "xml", "job"] {
        let fields = "cast(id as bigint) as id, name, email";
        let differ = format!(
            "select count(*) from (select {fields} from open.json except \
             select {fields} from open.{table}) as missing"
        );
        assert_eq!(workspace.value(&differ), json!(0), "{table}");
        assert_eq!(workspace.value(&format!("select count(*) from open.{table}")), json!(200));
    }
}

#[test]
fn what_is_cut_or_a_page_lands_nothing() {
    let api = Api::start();
    let formats = [
        ("json", "records: $"),
        ("ndjson", "format: ndjson"),
        ("csv", "format: csv"),
        ("csv.gz", "format: csv, archive: gzip"),
        ("xml", "format: xml, records: customers.customer"),
    ];
    let resources: String = formats
        .iter()
        .enumerate()
        .map(|(at, (file, keys))| {
            format!(
                "  cut{at}: {{ path: /export/cut/customers.{file}, {keys} }}\n  \
                 page{at}: {{ path: /export/page/customers.{file}, {keys} }}\n"
            )
        })
        .collect();
    let workspace = workspace(&api, &format!("{resources}retry: {{ deadline: 1ms }}\n"));
    let synced = run(&workspace, &["sync", "--json"]);
    assert_eq!(synced.code, 1, "{}\n{}", synced.out, synced.err);
    for at in 0..formats.len() {
        for name in [format!("cut{at}"), format!("page{at}")] {
            let asked = workspace.run(&["query", &format!("select * from open.{name}")]);
            assert_eq!(asked.code, 2, "{name}: {}", asked.out);
        }
    }
    let report = synced.out;
    assert_eq!(report.matches("`Sign in`").count(), 4, "all but gzip: {report}");
}

#[test]
fn a_job_that_fails_is_told_and_the_rest_lands() {
    let api = Api::start();
    let resources =
        made("fails", "ends: failed", "") + &made("fine", "download: /export/customers.csv", "");
    let workspace = workspace(&api, &resources);
    let synced = run(&workspace, &["sync"]);
    assert_eq!(synced.code, 3, "{}\n{}", synced.out, synced.err);
    assert!(synced.err.contains("job.failed"), "{}", synced.err);
    assert!(synced.err.contains("out of paper"), "{}", synced.err);
    assert_eq!(workspace.value("select count(*) from open.fine"), json!(200));
}

/// `Ctrl-C` ends the wait for a job that never ends, long before its `timeout`.
#[cfg(unix)]
#[test]
fn a_job_without_end_can_be_left() {
    let api = Api::start();
    let resources = made("endless", "ends: never", "").replace("timeout: 10s", "timeout: 1h");
    let workspace = workspace(&api, &resources);
    let mut command = workspace.command(&["sync"]);
    command.env("PASS", "hunter2hunter2").stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the binary runs");
    let begun = Instant::now();
    while api.get().count("/export/jobs/1") < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never asked");
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    let sent = std::process::Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.expect("kill is there").success());
    let said = said(child.wait_with_output().expect("it ends"));
    assert_eq!(said.code, 3, "{}\n{}", said.out, said.err);
}

#[test]
fn a_download_elsewhere_carries_no_credentials() {
    let (api, other) = (Api::start(), Api::start());
    let there = format!("{}/export/customers.csv", other.url());
    let straight = made("straight", &format!("download: '{there}'"), "");
    let moved = made("moved", &format!("download: '/fault/redirect-to?url={there}'"), "");
    let workspace = workspace(&api, &(straight + &moved));
    let synced = run(&workspace, &["sync"]);
    assert_eq!(synced.code, 0, "{}\n{}", synced.out, synced.err);
    let (asked, own) = (other.get().requests(), api.get().requests());
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|one| one.credential == Credential::None), "{asked:?}");
    assert!(own.iter().all(|one| one.credential == Credential::Basic), "{own:?}");
}

#[test]
fn a_plan_shows_how_a_job_is_asked_for() {
    let api = Api::start();
    let workspace = workspace(&api, &made("rows", "polls: 1", ""));
    let said = run(&workspace, &["plan", "open.rows"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("/export/jobs/${job.id}"), "{}", said.out);
    assert_eq!(api.get().count("/"), 0);
}
