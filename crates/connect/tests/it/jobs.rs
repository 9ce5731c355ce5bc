//! Exports that an api makes before it hands them out: created, waited for, handed on.

use std::sync::Arc;
use std::time::Duration;

use demo_api::{Credential, DemoApi, Effect, Fault, Seen, Settings};
use restway_connect::{Found, Names};
use restway_model::Event;
use restway_model::definition::ApiFile;
use serde_json::{Value, json};

use crate::support::{Rig, api, code, demo, demo_with};

/// A resource whose request creates this job.
fn resource(job: Value) -> Value {
    json!({
        "path": "/export/jobs", "method": "POST", "safe": true, "json": job, "format": "csv",
        "headers": {"X-Team": "blue"},
        "job": {
            "id": "job", "poll": {"path": "/export/jobs/${job.id}"}, "download": "result.url",
            "done": "status = 'done'", "failed": "status = 'failed'",
        },
    })
}

/// The same without a download, or with another change.
fn changed(job: Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut resource = resource(job);
    change(&mut resource);
    resource
}

fn file(demo: &DemoApi, resource: Value) -> ApiFile {
    let auth = json!({"type": "basic", "username": "u", "password": "${secret.password}"});
    api(&demo.url(), json!({"auth": auth, "resources": {"rows": resource}}))
}

async fn read(demo: &DemoApi, resource: Value) -> Result<usize, String> {
    let walked = Rig::new().walk(&file(demo, resource), "rows").await;
    walked.map(|walked| walked.records.len()).map_err(|error| format!("{}: {error}", code(&error)))
}

fn seen(demo: &DemoApi, path: &str) -> Vec<Seen> {
    let seen = demo.requests();
    seen.into_iter().filter(|seen| seen.path_and_query.starts_with(path)).collect()
}

#[tokio::test]
async fn a_job_is_created_once_waited_for_and_handed_on() {
    let demo = demo().await;
    let rig = Rig::new();
    let job = json!({"polls": 5, "download": "/export/customers.csv"});
    let walked = rig.walk(&file(&demo, resource(job)), "rows").await.expect("rows");
    assert_eq!((walked.records.len(), walked.pages, walked.counts.requests), (200, 1, 8));
    assert_eq!(walked.records[0]["id"], json!("1"));
    let waits = rig.events().into_iter().filter_map(|event| match event {
        Event::JobWaited { wait, job, .. } => Some((wait.as_secs(), job)),
        _ => None,
    });
    let expected = [5, 10, 20, 40, 60].map(|seconds| (seconds, "1".to_owned()));
    assert_eq!(waits.collect::<Vec<_>>(), expected);
    let download = seen(&demo, "/export/customers.csv");
    assert_eq!(download[0].credential, Credential::Basic, "the api's own origin");
}

#[tokio::test]
async fn the_answer_that_says_done_may_be_the_page() {
    let demo = demo().await;
    let inline = |records: &str| {
        changed(json!({"polls": 1}), |resource| {
            resource["job"]["download"] = Value::Null;
            resource["format"] = "json".into();
            resource["records"] = records.into();
        })
    };
    assert_eq!(read(&demo, inline("rows")).await, Ok(200));
    let error = read(&demo, inline("row")).await.expect_err("no such field");
    assert!(error.starts_with("page.records_missing"), "{error}");
}

#[tokio::test]
async fn a_job_that_fails_or_never_ends_is_an_error_that_names_it() {
    let demo = demo().await;
    let error = read(&demo, resource(json!({"polls": 1, "ends": "failed"}))).await;
    let error = error.expect_err("it failed");
    assert!(error.starts_with("job.failed") && error.contains("the job `1`"), "{error}");
    assert!(error.contains("out of paper") && error.contains("status = 'failed'"), "{error}");
    let error = read(&demo, resource(json!({"ends": "never"}))).await.expect_err("it never ends");
    assert!(error.starts_with("job.timeout") && error.contains("the job `2`"), "{error}");
    assert!(error.contains("after 30m") && error.contains("running"), "{error}");
    let polls = seen(&demo, "/export/jobs/2").len();
    assert!((30..40).contains(&polls), "{polls}");
}

#[tokio::test]
async fn an_answer_without_what_it_should_say_is_an_error() {
    let demo = demo().await;
    let job = || json!({"download": "/export/customers.csv"});
    for (change, expected) in [
        (("id", json!("number")), "the job's id at `number` is not there: {\"job\":1}"),
        (("id", json!("$")), "is not a text that can be one"),
        (("download", json!("result")), "the URL of what the job made at `result` is not a text"),
        (("download", json!("url")), "at `url` is not there"),
    ] {
        let (key, value) = change;
        let error = read(&demo, changed(job(), |resource| resource["job"][key] = value)).await;
        let error = error.expect_err(expected);
        assert!(error.starts_with("job.answer"), "{error}");
        assert!(error.contains(expected.trim_end_matches("{\"job\":1}")), "{error}");
    }
    for url in ["ftp://h/x", "http://u:p@h/x", "http://"] {
        let error = read(&demo, resource(json!({"download": url}))).await.expect_err(url);
        assert!(error.starts_with("job.answer") && error.contains("not followed"), "{error}");
        assert!(!error.contains("u:p"), "{error}");
    }
}

/// What the api names is asked without credentials and headers, and only where egress allows.
#[tokio::test]
async fn a_download_elsewhere_gets_no_credentials() {
    let (demo, other) = (demo().await, demo().await);
    let there = format!("{}/export/customers.csv", other.url());
    let moved = format!("/fault/redirect-to?url={there}");
    for download in [there.clone(), moved] {
        assert_eq!(read(&demo, resource(json!({"download": download}))).await, Ok(200));
    }
    let asked = seen(&other, "/export/customers.csv");
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|one| one.credential == Credential::None), "{asked:?}");
    let echo = format!("{}/fault/echo", other.url());
    let plain = changed(json!({"download": echo}), |resource| resource["format"] = "json".into());
    let rig = Rig::new();
    let walked = rig.walk(&file(&demo, plain), "rows").await.expect("the echo");
    let headers = &walked.records[0]["headers"];
    assert_eq!((&headers["x-team"], &headers["authorization"]), (&Value::Null, &Value::Null));
    let error = read(&demo, resource(json!({"download": "http://10.1.2.3/x"}))).await;
    assert!(error.expect_err("a private address").starts_with("call.egress_denied"));
}

/// A declared domain is asked with its own login, not with that of `base_url`.
#[tokio::test]
async fn a_download_on_a_declared_domain_gets_its_login() {
    let (demo, other) = (demo().await, demo().await);
    let download = format!("{}/export/customers.csv", other.url());
    let mut file = file(&demo, resource(json!({"download": download})));
    let domains = json!([{"url": other.url(), "auth":
        {"type": "api_key", "header": "X-API-Key", "key": "${secret.key}"}}]);
    file.domains = serde_json::from_value(domains).expect("domains");
    Rig::new().walk(&file, "rows").await.expect("rows");
    let asked = seen(&other, "/export/customers.csv");
    assert_eq!(asked[0].credential, Credential::ApiKey);
}

#[tokio::test]
async fn only_what_may_be_repeated_is_repeated() {
    let broken = |after| Fault {
        path: "/export".into(),
        after,
        times: 1,
        effect: Effect::Answer { status: 503, retry_after: None },
    };
    let settings = || Settings { faults: vec![broken(0), broken(2)], ..Settings::default() };
    let job = || json!({"download": "/export/customers.csv"});
    let demo = demo_with(settings()).await;
    assert_eq!(read(&demo, resource(job())).await, Ok(200), "creation and poll, each once more");
    let demo = demo_with(settings()).await;
    let once = changed(job(), |resource| resource["safe"] = false.into());
    let error = read(&demo, once).await.expect_err("a job may have been made");
    assert!(error.starts_with("call.status"), "{error}");
    assert_eq!(demo.count("/export"), 1);
}

#[tokio::test]
async fn a_job_that_is_waited_for_can_be_left() {
    let demo = demo().await;
    let rig = Rig::new();
    let file = file(&demo, resource(json!({"ends": "never"})));
    let mut walk = rig.start(&file, "rows", json!({}));
    let left = tokio::time::timeout(Duration::ZERO, walk.next()).await;
    assert!(left.is_err());
    let error = walk.next().await.expect_err("its place is lost");
    assert!(error.to_string().contains("stopped in the middle"), "{error}");
}

/// Every name is the machine itself, as a server elsewhere may have its name say.
struct Home;

impl Names for Home {
    fn look_up<'a>(&'a self, _: &'a str, port: u16) -> Found<'a> {
        Box::pin(async move { Ok(vec![([127, 0, 0, 1], port).into()]) })
    }
}

#[tokio::test]
async fn an_api_elsewhere_leads_no_job_to_the_machine_of_the_person() {
    const HOST: &str = "jobs.restway.invalid";
    let demo = demo().await;
    let port = demo.url().rsplit(':').next().map(str::to_owned).expect("a port");
    let rig = Rig::named(Arc::new(Home), &[HOST.to_owned()]);
    let own = format!("http://127.0.0.1:{port}/export/customers.csv");
    let job = resource(json!({"polls": 1, "download": own}));
    let file = api(&format!("http://{HOST}:{port}"), json!({"resources": {"rows": job}}));
    let error = rig.walk(&file, "rows").await.expect_err("an address of the machine");
    assert_eq!(code(&error), "call.egress_denied", "{error}");
    let job = resource(json!({"polls": 1, "download": "/export/customers.csv"}));
    let file = api(&format!("http://{HOST}:{port}"), json!({"resources": {"rows": job}}));
    assert_eq!(rig.walk(&file, "rows").await.expect("its own answer").records.len(), 200);
}
