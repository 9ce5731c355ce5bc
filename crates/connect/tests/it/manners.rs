//! Manners towards an api that asks to wait, refuses everybody, or is out: how often it is called,
//! and how long nobody calls it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use restway_model::Clock;
use serde_json::{Value, json};

use crate::support::{Rig, api, code, json_answer, scripted};

/// An answer with a status, a header line or none, and a body.
fn answer(status: &str, header: &str, body: &str) -> String {
    let length = body.len();
    let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
    format!(
        "HTTP/1.1 {status}\r\n{header}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// A server that gives these answers in turn, the last for ever, and counts its calls.
async fn in_turn(answers: Vec<String>) -> (String, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let url = scripted(move |_| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        let answer = answers.get(call).or(answers.last()).cloned().unwrap_or_default();
        async move { answer }
    });
    (url.await, calls)
}

fn resource(settings: Value) -> Value {
    let mut resource = json!({"path": "/"});
    for (name, value) in settings.as_object().expect("an object") {
        resource[name] = value.clone();
    }
    json!({ "resources": { "r": resource } })
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_kept_to() {
    // The clock of the rig begins at 2023-11-14T22:13:20Z.
    let table = [
        ("retry-after: 120", 120.0),
        ("Retry-After: 1.5", 1.5),
        ("retry-after: Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("retry-after: 0", 0.0),
        // Our own first step, half of it fixed and half by chance.
        ("retry-after: -5", 0.75),
        ("retry-after: soon", 0.75),
        ("", 0.75),
    ];
    for (header, seconds) in table {
        let answers =
            vec![answer("429 Too Many Requests", header, ""), json_answer("[{\"id\":1}]")];
        let ((url, calls), rig) = (in_turn(answers).await, Rig::new());
        let walked = rig.walk(&api(&url, resource(json!({}))), "r").await.expect(header);
        assert_eq!((walked.ids(), calls.load(Ordering::SeqCst)), (vec![1], 2), "{header}");
        assert_eq!(rig.clock.monotonic(), Duration::from_secs_f64(seconds), "{header}");
        assert_eq!((walked.counts.requests, walked.counts.retries), (2, 1), "{header}");
    }
    let late = vec![answer("429 Too Many Requests", "retry-after: 864000", "")];
    let ((url, calls), rig) = (in_turn(late).await, Rig::new());
    let error = rig.walk(&api(&url, resource(json!({}))), "r").await.expect_err("ten days");
    assert_eq!(code(&error), "call.rate_limited");
    assert!(error.to_string().contains("asks to wait 10d, and 15m are allowed"), "{error}");
    assert_eq!((rig.clock.monotonic(), calls.load(Ordering::SeqCst)), (Duration::ZERO, 1));
}

#[tokio::test]
async fn errors_of_proxies_are_tried_again_and_say_what_they_are() {
    let page = "<html><head><title>Down for repair</title></head></html>";
    for (status, tries) in [("503 Unavailable", 4), ("502 Bad Gateway", 4), ("520 Unknown", 1)] {
        let (url, calls) = in_turn(vec![answer(status, "content-type: text/html", page)]).await;
        let mut parts = resource(json!({}));
        parts["retry"] = json!({"deadline": "6s"});
        let error = Rig::new().walk(&api(&url, parts), "r").await.expect_err(status);
        assert_eq!(code(&error), "call.status");
        assert!(error.to_string().contains("Down for repair"), "{error}");
        assert_eq!(calls.load(Ordering::SeqCst), tries, "{status}");
    }
}

#[tokio::test]
async fn what_is_an_error_can_be_declared() {
    let table = [
        ("{\"error\":{\"code\":7},\"data\":[]}", json!({"records": "data"}), true),
        ("{\"data\":[],\"error\":{\"code\":7}}", json!({"records": "data"}), true),
        ("{\"error\":{\"code\":7}}", json!({"records": "data"}), true),
        ("{\"error\":{\"code\":7}}", json!({}), true),
        ("{\"error\":null,\"data\":[]}", json!({"records": "data"}), false),
        ("{\"data\":[{\"error\":{\"code\":7}}]}", json!({"records": "data"}), false),
    ];
    for (body, mut settings, is_error) in table {
        settings["fail_when"] = json!("error.code is not null");
        let (url, calls) = in_turn(vec![json_answer(body)]).await;
        let walked = Rig::new().walk(&api(&url, resource(settings)), "r").await;
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(walked.is_err(), is_error, "{body}");
        if let Err(error) = walked {
            assert_eq!(code(&error), "page.declared_error", "{body}: {error}");
            assert!(error.to_string().contains("by `fail_when: error.code is not null`: {"));
        }
    }
}

#[tokio::test]
async fn an_api_that_is_out_is_not_asked_thousands_of_times() {
    let (url, calls) = in_turn(vec![answer("503 Unavailable", "", "")]).await;
    let names: Vec<String> = (0..50).map(|number| format!("r{number}")).collect();
    let resources: serde_json::Map<String, Value> =
        names.iter().map(|name| (name.clone(), json!(format!("/{name}")))).collect();
    let file = api(&url, json!({ "resources": resources }));
    let rig = Rig::new();
    for name in &names {
        let error = rig.walk(&file, name).await.expect_err("it is out");
        assert_eq!(code(&error), "call.status");
    }
    let first = calls.load(Ordering::SeqCst) - 49;
    assert!(
        (10..20).contains(&first),
        "ten minutes of tries, and one for each of the rest: {first}"
    );
    assert_eq!(rig.warnings().len(), 1, "{:?}", rig.warnings());
}

#[tokio::test]
async fn one_answer_that_goes_well_brings_patience_back() {
    let out = || answer("503 Unavailable", "", "");
    let well = || json_answer("[]");
    let (url, calls) = in_turn(vec![out(), out(), out(), out(), well(), out(), well()]).await;
    let mut parts = resource(json!({}));
    parts["retry"] = json!({"deadline": "2s", "multiplier": 1});
    let (file, rig) = (api(&url, parts), Rig::new());
    rig.walk(&file, "r").await.expect_err("three tries");
    rig.walk(&file, "r").await.expect_err("one try");
    assert_eq!(calls.load(Ordering::SeqCst), 4);
    rig.walk(&file, "r").await.expect("it is back");
    rig.walk(&file, "r").await.expect("and worth two tries");
    assert_eq!(calls.load(Ordering::SeqCst), 7);
}

#[tokio::test]
async fn a_storm_of_refusals_halves_what_is_under_way() {
    const STREAMS: usize = 50;
    const CEILING: u64 = 32;
    let under_way = Arc::new(AtomicU64::new(0));
    let seen = Arc::new(AtomicU64::new(0));
    let most_after = Arc::new(AtomicU64::new(0));
    let shared = (Arc::clone(&under_way), Arc::clone(&seen), Arc::clone(&most_after));
    let url = scripted(move |_| {
        let (under_way, seen, most_after) =
            (Arc::clone(&shared.0), Arc::clone(&shared.1), Arc::clone(&shared.2));
        async move {
            let number = seen.fetch_add(1, Ordering::SeqCst);
            let now = under_way.fetch_add(1, Ordering::SeqCst) + 1;
            let is_storm = number < CEILING;
            if is_storm {
                while seen.load(Ordering::SeqCst) < CEILING {
                    tokio::task::yield_now().await;
                }
            } else {
                most_after.fetch_max(now, Ordering::SeqCst);
                // Whoever may come has time to.
                for _ in 0..2_000 {
                    tokio::task::yield_now().await;
                }
            }
            under_way.fetch_sub(1, Ordering::SeqCst);
            if is_storm {
                answer("429 Too Many Requests", "retry-after: 1", "")
            } else {
                json_answer("[]")
            }
        }
    })
    .await;
    let mut parts = resource(json!({}));
    parts["limits"] = json!({"concurrency": CEILING});
    let (file, rig) = (api(&url, parts), Rig::new());
    let walks = (0..STREAMS).map(|_| rig.walk(&file, "r"));
    for walked in futures::future::join_all(walks).await {
        walked.expect("it is answered in the end");
    }
    let most = most_after.load(Ordering::SeqCst);
    assert!((2..=CEILING / 2).contains(&most), "{most} at once after the storm");
    assert_eq!(
        seen.load(Ordering::SeqCst),
        CEILING + STREAMS as u64,
        "nobody asked twice too often"
    );
}

#[tokio::test]
async fn pages_that_were_read_ahead_in_vain_are_counted() {
    let seen = Arc::new(AtomicUsize::new(0));
    let shared = Arc::clone(&seen);
    let url = scripted(move |request| {
        let seen = Arc::clone(&shared);
        async move {
            seen.fetch_add(1, Ordering::SeqCst);
            let offset: u64 =
                request.query("offset").expect("an offset").parse().expect("a number");
            let length = if offset == 10 { 5 } else { 10.min(40 - offset) };
            while offset == 10 && seen.load(Ordering::SeqCst) < 3 {
                tokio::task::yield_now().await;
            }
            let records: Vec<Value> =
                (offset..offset + length).map(|id| json!({ "id": id })).collect();
            json_answer(&json!({"total": 40, "data": records}).to_string())
        }
    })
    .await;
    let settings = json!({"records": "data",
        "paginate": {"type": "offset", "limit": 10, "total": "total"}});
    let walked = Rig::new().walk(&api(&url, resource(settings)), "r").await.expect("all pages");
    assert_eq!(walked.ids(), (0..40).collect::<Vec<u64>>());
    assert_eq!(walked.pages, 5, "the second page is shorter than was guessed");
    let sent = usize::try_from(walked.counts.requests).expect("a small number");
    assert!(seen.load(Ordering::SeqCst) > 5 && sent >= seen.load(Ordering::SeqCst), "{sent}");
}
