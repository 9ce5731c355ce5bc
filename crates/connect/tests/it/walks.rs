//! Walks: every style of pages, retries of pages, and the guards against walks without an end.

use std::sync::Arc;
use std::time::Duration;

use demo_api::{Effect, Fault, Settings};
use restway_model::definition::ApiFile;
use restway_model::{Event, Limits, Secret};
use serde_json::{Value, json};

use crate::support::{Given, Rig, api, canned, code, demo, demo_with, json_answer, oauth};

fn all(count: u64) -> Vec<u64> {
    (1..=count).collect()
}

/// One resource for each style of `/open`.
fn open(base_url: &str) -> ApiFile {
    api(
        base_url,
        json!({"resources": {
            "by_page": {"path": "/open/page", "records": "items",
                "paginate": {"type": "page", "total_pages": "total_pages"}},
            "by_number": {"path": "/open/page", "records": "items", "query": {"per_page": 30},
                "paginate": {"type": "page"}},
            "by_offset": {"path": "/open/offset", "records": "results",
                "paginate": {"type": "offset", "limit": 70, "total": "count"}},
            "by_short_page": {"path": "/open/offset", "records": "results",
                "paginate": {"type": "offset", "limit": 70}},
            "by_link": {"path": "/open/link", "paginate": "link", "query": {"per_page": 199}},
            "by_url": {"path": "/open/next", "records": "records",
                "paginate": {"type": "url", "next": "next"}},
            "by_key": {"path": "/open/keyset?limit=100", "records": "rows",
                "paginate": {"type": "keyset", "field": "id", "param": "after"}},
            "at_once": "/open/none",
        }}),
    )
}

#[tokio::test]
async fn every_style_reads_every_record_once() {
    let (demo, rig) = (demo().await, Rig::new());
    let file = open(&demo.url());
    let table = [
        ("by_page", 4),
        ("by_number", 8),
        ("by_offset", 3),
        ("by_short_page", 3),
        ("by_link", 2),
        ("by_url", 4),
        ("by_key", 3),
        ("at_once", 1),
    ];
    for (resource, pages) in table {
        let walked = rig.walk(&file, resource).await.expect(resource);
        assert_eq!(walked.ids(), all(200), "{resource}");
        assert_eq!((walked.pages, walked.counts.pages), (pages, pages), "{resource}");
        assert_eq!((walked.counts.requests, walked.counts.retries), (pages, 0), "{resource}");
        assert_eq!(walked.counts.records, 200);
    }
    assert_eq!(rig.warnings(), Vec::<String>::new());
}

#[tokio::test]
async fn tokens_lead_through_a_walk_that_outlives_its_login() {
    let (demo, rig) = (demo().await, Rig::new());
    let file = oauth(
        &demo,
        json!({"resources": {"customers": {
            "path": "/v1/customers", "query": {"pageSize": 40}, "records": "data",
            "paginate": {"type": "token", "next": "nextPageToken", "param": "pageToken"},
        }}}),
    );
    let mut walk = rig.start(&file, "customers", json!({}));
    let mut ids: Vec<u64> = Vec::new();
    while let Some(part) = walk.next().await.expect("a page") {
        let read = |text| serde_json::from_slice::<Value>(text).expect("JSON")["id"].as_u64();
        ids.extend(part.records.iter().filter_map(read));
        match part.page {
            // The api forgets the token: a 401 in the middle of the walk.
            2 => demo.revoke_tokens(),
            // The token grows old: no 401 is needed to notice.
            4 => rig.clock.turn(Duration::from_secs(3_600)),
            _ => {}
        }
        assert_eq!(part.total, Some(200));
    }
    assert_eq!(ids, all(200));
    assert_eq!(demo.tokens_issued(), 3);
    let refused = demo.requests().iter().filter(|seen| seen.status == Some(401)).count();
    assert_eq!(refused, 1);
    assert_eq!((walk.counts().pages, walk.counts().requests), (5, 6));
    let lifetimes = rig.events().into_iter().filter_map(|event| match event {
        Event::TokenReceived { lifetime, .. } => lifetime,
        _ => None,
    });
    assert_eq!(lifetimes.collect::<Vec<_>>(), [Duration::from_secs(60); 3]);
}

#[tokio::test]
async fn a_401_is_answered_with_one_new_token_and_no_more() {
    let (demo, rig) = (demo().await, Rig::new());
    let file = oauth(
        &demo,
        json!({
            "defaults": {"records": "data",
                "paginate": {"type": "token", "next": "nextPageToken", "param": "pageToken"}},
            "resources": {
                "twice": "/fault/unauthorized-after/2/twice",
                "never": "/fault/unauthorized-after/0/never",
            },
        }),
    );
    let walked = rig.walk(&file, "twice").await.expect("each token works twice");
    assert_eq!((walked.ids(), demo.tokens_issued()), (all(200), 2));
    demo.forget_requests();
    let error = rig.walk(&file, "never").await.expect_err("no token works");
    assert_eq!((code(&error), demo.count("/fault")), ("call.unauthorized", 2));
    assert!(error.to_string().contains("(page 1 of `demo.never`)"), "{error}");
    // Not even where a 401 is declared to be worth another try.
    let stubborn = oauth(
        &demo,
        json!({
            "retry": {"status": [401], "deadline": "10s"},
            "resources": {"never": {"path": "/fault/unauthorized-after/0/again", "records": "data"}},
        }),
    );
    demo.forget_requests();
    let error = rig.walk(&stubborn, "never").await.expect_err("no token works");
    assert_eq!((code(&error), demo.count("/fault")), ("call.unauthorized", 5));
    assert_eq!(demo.count("/oauth"), 2);
}

#[tokio::test]
async fn a_broken_page_is_read_again_from_its_start_and_nothing_comes_twice() {
    let truncate =
        |after| Fault { path: "/open/page".into(), after, times: 1, effect: Effect::Truncate };
    let faults = vec![truncate(0), truncate(2), truncate(3)];
    let demo = demo_with(Settings { faults, ..Settings::default() }).await;
    // Several batches of each page are ready when it breaks.
    let rig = Rig::with(Limits { batch_records_max: 7, ..Limits::default() }, &[], true);
    let walked = rig.walk(&open(&demo.url()), "by_page").await.expect("it recovers");
    assert_eq!((walked.ids(), walked.pages, walked.parts), (all(200), 4, 4 * 8));
    assert_eq!((walked.counts.requests, walked.counts.retries), (7, 3));
}

#[tokio::test]
async fn pages_that_fail_a_few_times_are_read_in_the_end() {
    let (demo, rig) = (demo().await, Rig::new());
    let file = api(
        &demo.url(),
        json!({
            "defaults": {"records": "data",
                "paginate": {"type": "token", "next": "nextPageToken", "param": "pageToken"}},
            "resources": {"flaky": "/fault/flaky/6/walk", "limited": "/fault/rate/walk"},
        }),
    );
    let walked = rig.walk(&file, "flaky").await.expect("the seventh works");
    assert_eq!((walked.ids(), walked.counts.retries), (all(200), 6));
    let before = restway_model::Clock::monotonic(rig.clock.as_ref());
    let walked = rig.walk(&file, "limited").await.expect("the second works");
    assert_eq!((walked.ids(), walked.counts.retries), (all(200), 1));
    let after = restway_model::Clock::monotonic(rig.clock.as_ref());
    assert_eq!(after - before, Duration::from_secs(1));
}

#[tokio::test]
async fn a_large_page_waits_in_a_file_and_is_read_again_when_it_breaks() {
    let limits = Limits { batch_bytes_max: 64 << 10, channel_batches_max: 2, ..Limits::default() };
    let rig = Rig::with(limits.clone(), &[], true);
    let whole = demo().await;
    let file = |base: &str| {
        api(base, json!({"resources": {"huge": {"path": "/fault/huge/8", "records": "data"}}}))
    };
    let walked = rig.walk(&file(&whole.url()), "huge").await.expect("a page");
    assert_eq!((walked.ids(), walked.pages), (all(8 << 10), 1));
    assert!(walked.parts > 100, "{} parts", walked.parts);
    assert_eq!(walked.total, Some(8 << 10));
    let fault = Fault { path: "/fault".into(), after: 0, times: 1, effect: Effect::Truncate };
    let broken = demo_with(Settings { faults: vec![fault], ..Settings::default() }).await;
    let walked = rig.walk(&file(&broken.url()), "huge").await.expect("a page");
    assert_eq!((walked.ids(), broken.count("/fault")), (all(8 << 10), 2));
    assert_eq!((walked.counts.records, walked.counts.retries), (8 << 10, 1));
    let small = Limits { spool_bytes_max: 2 << 20, ..limits.clone() };
    let error = Rig::with(small, &[], true).walk(&file(&whole.url()), "huge").await;
    assert_eq!(code(&error.expect_err("too large")), "call.body_too_large");
    // The bound on decoded bytes holds for streams too.
    let small = Rig::with(Limits { body_bytes_max: 2 << 20, ..limits }, &[], true);
    let error = small.walk(&file(&whole.url()), "huge").await.expect_err("too large");
    assert_eq!(code(&error), "call.body_too_large");
}

#[tokio::test]
async fn walks_in_a_circle_end() {
    let (demo, rig) = (demo().await, Rig::new());
    let token = json!({"type": "token", "next": "nextPageToken", "param": "pageToken"});
    let file = api(
        &demo.url(),
        json!({"resources": {
            "same": {"path": "/fault/loop", "records": "data", "paginate": token},
        }}),
    );
    let error = rig.walk(&file, "same").await.expect_err("a circle");
    assert_eq!((code(&error), demo.count("/fault/loop")), ("page.loop", 2));
    // A server that answers every page with the same records, and one that ignores the offset.
    let clamped = canned(json_answer("{\"items\":[{\"id\":1},{\"id\":2}]}")).await;
    let file = api(
        &clamped,
        json!({"defaults": {"records": "items"}, "resources": {
            "pages": {"path": "/", "paginate": {"type": "page"}},
            "offsets": {"path": "/", "paginate": {"type": "offset", "limit": 2}},
            "keys": {"path": "/", "paginate": {"type": "keyset", "field": "id", "param": "after"}},
        }}),
    );
    for resource in ["pages", "offsets", "keys"] {
        let mut walk = rig.start(&file, resource, json!({}));
        let mut pages = 0;
        let error = loop {
            match walk.next().await {
                Ok(Some(_)) => pages += 1,
                Ok(None) => panic!("{resource} ends well"),
                Err(error) => break error,
            }
        };
        assert_eq!(code(&error), "page.loop", "{resource}");
        assert_eq!(pages, if resource == "keys" { 2 } else { 1 }, "{resource}");
    }
}

#[tokio::test]
async fn pages_are_bounded_and_stay_on_their_origin() {
    let (demo, rig) = (demo().await, Rig::new());
    let bounded = api(
        &demo.url(),
        json!({"resources": {"few": {
            "path": "/open/link", "paginate": "link", "max_pages": 3,
        }}}),
    );
    let error = rig.walk(&bounded, "few").await.expect_err("four pages");
    assert_eq!((code(&error), demo.count("/open")), ("page.bound", 3));
    let body = format!("{{\"data\":[{{}}],\"next\":\"{}/open/none\"}}", demo.url());
    let elsewhere = canned(json_answer(&body)).await;
    let file = api(
        &elsewhere,
        json!({"resources": {"away": {
            "path": "/", "records": "data", "paginate": {"type": "url", "next": "next"},
        }}}),
    );
    let error = rig.walk(&file, "away").await.expect_err("another origin");
    assert_eq!((code(&error), demo.count("/open/none")), ("page.target", 0));
}

#[tokio::test]
async fn a_walk_that_ends_early_is_warned_of() {
    let (demo, rig) = (demo().await, Rig::new());
    let file = api(
        &demo.url(),
        json!({"resources": {"short": {
            "path": "/fault/slow/0", "records": "data",
            "paginate": {"type": "token", "next": "next_page_token", "param": "pageToken"},
        }}}),
    );
    let walked = rig.walk(&file, "short").await.expect("one page");
    assert_eq!((walked.pages, walked.total), (1, Some(200)));
    assert!(rig.warnings()[0].contains("200 records, and 50 were read"), "{:?}", rig.warnings());
}

#[tokio::test]
async fn statuses_mean_what_the_resource_says() {
    let (demo, rig) = (demo().await, Rig::new());
    let file = oauth(
        &demo,
        json!({"defaults": {"records": "data"}, "resources": {
            "issues": {"path": "/v1/projects/${parent.id}/issues", "query": {"pageSize": 200},
                "on_status": {"404": "skip"}},
            "strict": "/v1/projects/${parent.id}/issues",
            "nothing": {"path": "/fault/status/204"},
            "skipped": {"path": "/fault/status/403", "on_status": {"403": "skip"}},
        }}),
    );
    let walk = async |resource: &str, id: Value| {
        rig.walk_with(&file, resource, json!({"parent": {"id": id}})).await
    };
    assert_eq!(walk("issues", json!(1)).await.expect("issues").records.len(), 40);
    assert_eq!(walk("issues", json!(2)).await.expect("no issues").records.len(), 0);
    let skipped = walk("issues", json!("9999")).await.expect("skipped");
    assert_eq!((skipped.records.len(), skipped.pages), (0, 1));
    assert_eq!(code(&walk("strict", json!(9999)).await.expect_err("404")), "call.status");
    assert_eq!(walk("nothing", json!(1)).await.expect("204").records.len(), 0);
    assert_eq!(walk("skipped", json!(1)).await.expect("403").records.len(), 0);
    let error = walk("issues", json!("../../oauth")).await.expect("it is one segment");
    assert_eq!(error.records.len(), 0);
    for id in [json!(".."), json!(""), json!(null)] {
        let error = walk("issues", id.clone()).await.expect_err("no path");
        assert_eq!(code(&error), "definition.invalid", "{id}: {error}");
    }
}

#[tokio::test]
async fn rates_hold_over_parallel_walks() {
    let (demo, rig) = (demo().await, Rig::new());
    let file = api(
        &demo.url(),
        json!({
            "limits": {"rate": ["4/s", "6/m"], "concurrency": 2},
            "resources": {"by_url": {"path": "/open/next", "records": "records",
                "paginate": {"type": "url", "next": "next"}}},
        }),
    );
    let walks = (0..3).map(|_| rig.walk(&file, "by_url"));
    for walked in futures::future::join_all(walks).await {
        assert_eq!(walked.expect("a walk").ids(), all(200));
    }
    // Twelve requests, six a minute; a minute counts as 61 seconds, and a second as 1.02.
    let took = restway_model::Clock::monotonic(rig.clock.as_ref());
    assert_eq!(took, Duration::from_millis(62_020));
}

#[tokio::test]
async fn a_walk_that_was_dropped_in_the_middle_does_not_pretend_to_end() {
    let (demo, rig) = (demo().await, Rig::new());
    let mut walk = rig.start(&open(&demo.url()), "by_page", json!({}));
    drop(futures::FutureExt::now_or_never(walk.next()));
    assert_eq!(code(&walk.next().await.expect_err("its place is lost")), "definition.invalid");
}

#[tokio::test]
async fn a_plan_shows_names_and_sends_nothing() {
    let (demo, rig) = (demo().await, Rig::new());
    let auth = json!({
        "type": "oauth2", "token_url": "/oauth/token", "client_id": "me",
        "client_secret": "${secret.nobody_set_it}", "scopes": ["read", "write"],
    });
    let file = api(
        &demo.url(),
        json!({"auth": auth, "resources": {"issues": {
            "path": "/v1/projects/${parent.id}/issues", "method": "POST", "safe": true,
            "headers": {"X-Key": "${secret.other}"}, "query": {"q": "${param.q}", "size": 5},
            "json": {"since": "${param.since}", "n": "${param.n}"},
            "paginate": {"type": "offset", "limit": 10},
        }}}),
    );
    let name = "issues".parse().expect("a name");
    let resource = file.resource(&name).expect("a resource");
    let given = Given(json!({"param": {"q": "a b", "n": 7}}));
    let plan = rig.connector.plan(&file, &resource, &given).expect("a plan");
    let url = demo.url();
    let expected = format!(
        "curl -H 'accept: application/json' -H 'user-agent: restway/0.1.0' \
         -H 'content-type: application/x-www-form-urlencoded' --data-raw \
         'grant_type=client_credentials&client_id=me&client_secret=${{secret.nobody_set_it}}\
         &scope=read+write' '{url}/oauth/token'\n\
         curl -H 'X-Key: ${{secret.other}}' -H 'accept: application/json' \
         -H 'user-agent: restway/0.1.0' -H 'content-type: application/json' \
         -H 'authorization: Bearer ${{token}}' \
         --data-raw '{{\"since\":\"${{param.since}}\",\"n\":7}}' \
         '{url}/v1/projects/${{parent.id}}/issues?q=a%20b&size=5&limit=10&offset=0'"
    );
    assert_eq!(plan, expected);
    assert_eq!(demo.count("/"), 0);
    // A secret that was looked up earlier is masked in a plan like everywhere else.
    rig.redactor.learn(&Secret::new("a-learned-secret"));
    let given = Given(json!({"param": {"q": "a-learned-secret"}}));
    let plan = rig.connector.plan(&file, &resource, &given).expect("a plan");
    assert!(!plan.contains("a-learned-secret"), "{plan}");
}

#[tokio::test]
async fn walks_can_be_moved_to_tasks() {
    let (demo, rig) = (demo().await, Rig::new());
    let file = Arc::new(open(&demo.url()));
    let mut walk = rig.start(&file, "by_link", json!({}));
    let task = tokio::spawn(async move {
        let mut records = 0;
        while let Some(part) = walk.next().await.expect("a page") {
            records += part.records.len();
        }
        records
    });
    assert_eq!(task.await.expect("a task"), 200);
}
