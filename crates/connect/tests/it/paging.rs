//! Deep walks: what changes in headers and bodies, conditions that end a walk, pages read side by
//! side, rows that move, and bounds of the definition.

use std::sync::Arc;
use std::time::Duration;

use restway_model::{Clock, Event, Limits};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::support::{Rig, Seen, api, code, json_answer, scripted};

/// Records with the ids `from..to`, beside more of the envelope.
fn page(from: u64, to: u64, mut envelope: Value) -> String {
    envelope["data"] = (from..to).map(|id| json!({"id": id})).collect();
    json_answer(&envelope.to_string())
}

fn resource(base_url: &str, parts: Value) -> restway_model::definition::ApiFile {
    let mut parts = parts;
    parts["path"] = json!("/rows");
    if parts.get("records").is_none() {
        parts["records"] = json!("data");
    }
    api(base_url, json!({"resources": {"rows": parts}}))
}

fn ids(from: u64, to: u64) -> Vec<u64> {
    (from..to).collect()
}

#[tokio::test]
async fn a_graphql_walk_changes_only_the_body_and_a_token_in_it_twice_is_a_circle() {
    let server = scripted(|seen: Seen| async move {
        let sent: Value = serde_json::from_str(&seen.body).expect("a JSON body");
        assert_eq!(
            (sent["query"].as_str(), sent["variables"]["first"].as_u64()),
            (Some("{x}"), Some(2))
        );
        let (from, more) = match sent["variables"]["after"].as_str() {
            None => (0, "a"),
            Some("a") => (2, "b"),
            // The server goes round in circles from here.
            _ => (4, "a"),
        };
        let rows: Vec<Value> = (from..from + 2).map(|id| json!({"id": id})).collect();
        let info = json!({"hasNextPage": true, "endCursor": more});
        json_answer(&json!({"data": {"x": {"nodes": rows, "pageInfo": info}}}).to_string())
    })
    .await;
    let rig = Rig::new();
    let parts = json!({
        "method": "POST", "safe": true, "records": "data.x.nodes",
        "json": {"query": "{x}", "variables": {"first": 2, "after": null}},
        "paginate": {"type": "token", "next": "data.x.pageInfo.endCursor",
            "body": "variables.after", "stop": "data.x.pageInfo.hasNextPage = false"},
    });
    let file = resource(&server, parts);
    let mut walk = rig.start(&file, "rows", json!({}));
    let mut records = 0;
    let error = loop {
        match walk.next().await {
            Ok(part) => records += part.expect("the walk ends with an error").records.len(),
            Err(error) => break error,
        }
    };
    assert_eq!((code(&error), records), ("page.loop", 6), "{error}");
}

#[tokio::test]
async fn a_condition_ends_a_walk_whose_token_never_ends() {
    let server = scripted(|seen: Seen| async move {
        match seen.header("x-after").as_deref() {
            None => page(0, 2, json!({"meta": {"next": "t2", "has_more": true}})),
            Some("t2") => page(2, 4, json!({"meta": {"next": "t3", "has_more": false}})),
            other => panic!("nobody asks for {other:?}"),
        }
    })
    .await;
    let paginate = json!({"type": "token", "next": "meta.next", "header": "X-After",
        "stop": "meta.has_more = false"});
    let walked = Rig::new().walk(&resource(&server, json!({"paginate": paginate})), "rows").await;
    assert_eq!(walked.expect("a walk").ids(), ids(0, 4));
}

#[tokio::test]
async fn pages_are_read_side_by_side_and_come_in_order() {
    // Pages 2 to 4 are answered only when all three were asked for.
    let barrier = Arc::new(Barrier::new(3));
    let server = scripted(move |seen: Seen| {
        let barrier = Arc::clone(&barrier);
        async move {
            let number: u64 = seen.query("page").expect("a number").parse().expect("a number");
            if (2..=4).contains(&number) {
                barrier.wait().await;
            }
            page(number * 10, number * 10 + 10, json!({"pages": 7}))
        }
    })
    .await;
    let rig = Rig::new();
    let paginate = json!({"type": "page", "total_pages": "pages"});
    let file = resource(&server, json!({"paginate": paginate}));
    let walk = tokio::time::timeout(Duration::from_secs(30), rig.walk(&file, "rows"));
    let walked = walk.await.expect("they are not read one by one").expect("a walk");
    assert_eq!(walked.ids(), ids(10, 80));
    assert_eq!((walked.pages, walked.counts.requests), (7, 7));
}

#[tokio::test]
async fn a_server_that_gives_less_than_asked_for_loses_nothing() {
    // 25 rows; the server clamps the limit to 10, and to 5 from row 10 on.
    let clamping = |seen: Seen| async move {
        let offset: u64 = seen.query("offset").expect("an offset").parse().expect("a number");
        let size = if offset < 10 { 10 } else { 5 };
        page(offset, (offset + size).min(25), json!({"total": 25}))
    };
    for limits in [Limits::default(), Limits { batch_bytes_max: 30, ..Limits::default() }] {
        let server = scripted(clamping).await;
        let rig = Rig::with(limits, &[], true);
        let paginate = json!({"type": "offset", "limit": 50, "total": "total"});
        let file = resource(&server, json!({"paginate": paginate}));
        let walked = rig.walk(&file, "rows").await.expect("a walk");
        assert_eq!((walked.ids(), walked.pages), (ids(0, 25), 4));
        assert_eq!(rig.warnings(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_error_of_a_page_that_was_read_early_is_told_when_its_turn_comes() {
    let server = scripted(|seen: Seen| async move {
        match seen.query("page").as_deref() {
            Some("4") => json_answer("{\"data\": [{\"id\": 1}, ").replace("200 OK", "418 No"),
            Some(number) => {
                let number: u64 = number.parse().expect("a number");
                page(number, number + 1, json!({"pages": 5}))
            }
            None => panic!("a page without a number"),
        }
    })
    .await;
    let rig = Rig::new();
    let paginate = json!({"type": "page", "total_pages": "pages"});
    let file = resource(&server, json!({"paginate": paginate}));
    let mut walk = rig.start(&file, "rows", json!({}));
    for number in 1..=3 {
        let part = walk.next().await.expect("a page").expect("a part");
        assert_eq!((part.page, part.records.len()), (number, 1));
    }
    let error = walk.next().await.expect_err("the fourth page is an error");
    assert!(error.to_string().contains("(page 4 of `demo.rows`)"), "{error}");
    assert_eq!(code(&error), "call.status");
}

#[tokio::test]
async fn rows_that_move_while_pages_are_read_are_told() {
    // A row was added at the front between the first page and the second.
    let server = scripted(|seen: Seen| async move {
        match seen.query("offset").as_deref() {
            Some("0") => page(0, 3, json!({})),
            Some("3") => page(2, 5, json!({})),
            _ => page(5, 6, json!({})),
        }
    })
    .await;
    let rig = Rig::new();
    let file = resource(&server, json!({"paginate": {"type": "offset", "limit": 3}}));
    let walked = rig.walk(&file, "rows").await.expect("a walk");
    assert_eq!(walked.ids(), [0, 1, 2, 2, 3, 4, 5]);
    let warnings = rig.warnings();
    assert!(warnings.len() == 1 && warnings[0].starts_with("1 records came on two pages"));
}

#[tokio::test]
async fn a_server_that_answers_the_last_page_for_ever_is_found_out() {
    for paginate in [json!({"type": "page"}), json!({"type": "page", "total_pages": "pages"})] {
        let server = scripted(|seen: Seen| async move {
            let number = seen.query("page").expect("a number").parse::<u64>().expect("a number");
            let number = number.min(3);
            page(number * 2, number * 2 + 2, json!({"pages": 9}))
        })
        .await;
        let file = resource(&server, json!({"paginate": paginate}));
        let error = Rig::new().walk(&file, "rows").await.expect_err("a circle");
        assert_eq!(code(&error), "page.loop");
        assert!(error.to_string().contains("(page 4 of"), "{error}");
    }
}

#[tokio::test]
async fn max_records_cuts_to_the_record_and_says_that_there_are_more() {
    let numbered = |seen: Seen| async move {
        let number: u64 = seen.query("page").expect("a number").parse().expect("a number");
        let to = if number > 4 { number * 10 } else { number * 10 + 10 };
        page(number * 10, to, json!({"pages": 4}))
    };
    for (most, read, warnings) in [(25, 25, 1), (20, 20, 1), (40, 40, 0), (99, 40, 0), (3, 3, 1)] {
        for paginate in [json!({"type": "page"}), json!({"type": "page", "total_pages": "pages"})] {
            let server = scripted(numbered).await;
            let rig = Rig::new();
            let parts = json!({"paginate": paginate, "max_records": most});
            let counts_pages = paginate.get("total_pages").is_some();
            let walked = rig.walk(&resource(&server, parts), "rows").await.expect("a walk");
            assert_eq!((walked.ids(), walked.counts.records), (ids(10, 10 + read), read));
            // Without a number of pages nobody knows that the fortieth record is the last.
            if most != 40 || counts_pages {
                assert_eq!(rig.warnings().len(), warnings, "{most} {:?}", rig.warnings());
            }
        }
    }
}

#[tokio::test]
async fn what_changes_needs_one_place() {
    let check = |paginate: &str| {
        let text = format!(
            "api: a\nbase_url: https://h\nresources:\n  r: {{ path: /r, paginate: {paginate} }}\n"
        );
        let read =
            restway_model::definition::read::<restway_model::definition::ApiFile>("f", &text);
        read.map(|_| ()).map_err(|problems| problems[0].to_string())
    };
    let one = "one place is needed, and only one".to_owned();
    assert_eq!(check("{ type: token, next: n }"), Err(one.clone()));
    assert_eq!(check("{ type: token, next: n, param: a, header: b }"), Err(one.clone()));
    assert_eq!(check("{ type: token, param: a }"), Err(one.clone()));
    assert_eq!(check("{ type: page, param: a, body: b }"), Err(one));
    let body = "a body needs POST, PUT or PATCH".to_owned();
    assert_eq!(check("{ type: page, body: b }"), Err(body));
    let stop = check("{ type: link, stop: 'a = ' }").expect_err("no condition");
    assert!(stop.contains("at character 5 a path or a value is expected"), "{stop}");
    assert_eq!(check("{ type: token, next_header: X-Next, header: X-After }"), Ok(()));
}

#[tokio::test]
async fn an_api_that_says_that_nothing_remains_is_not_asked_before_its_reset() {
    let server = scripted(|seen: Seen| async move {
        let number: u64 = seen.query("page").expect("a number").parse().expect("a number");
        let limit = if number == 1 { "RateLimit: \"a\";r=0;t=30\r\n" } else { "" };
        let answer = page(number, number + u64::from(number < 3), json!({}));
        answer.replacen("content-type", &format!("{limit}content-type"), 1)
    })
    .await;
    let rig = Rig::new();
    let file = resource(&server, json!({"paginate": {"type": "page"}}));
    let walked = rig.walk(&file, "rows").await.expect("a walk");
    assert_eq!((walked.counts.requests, walked.counts.retries), (3, 0));
    assert_eq!(rig.clock.monotonic(), Duration::from_secs(30));
    let waits = rig.events().into_iter().filter_map(|event| match event {
        Event::RateWaited { wait, .. } => Some(wait.as_secs()),
        _ => None,
    });
    assert_eq!(waits.collect::<Vec<_>>(), [30]);
}

#[tokio::test]
async fn an_empty_page_before_the_last_ends_no_walk_in_silence() {
    let server = scripted(|seen: Seen| async move {
        let number: u64 = seen.query("page").map_or(1, |number| number.parse().expect("a number"));
        let (from, to) = if number == 2 { (0, 0) } else { (number * 10, number * 10 + 2) };
        page(from, to, json!({"pages": 4}))
    })
    .await;
    let paginate = json!({"type": "page", "total_pages": "pages", "prefetch": false});
    let walk = async |load: &str, deletes: Value| {
        let parts = json!({"paginate": paginate, "load": load, "key": "id", "deletes": deletes});
        Rig::new().walk(&resource(&server, parts), "rows").await
    };
    let walked = walk("merge", json!({})).await.expect("the pages behind it");
    assert_eq!((walked.ids(), walked.pages), (vec![10, 11, 30, 31, 40, 41], 4));
    for (load, deletes) in [("replace", json!({})), ("merge", json!({"absent": true}))] {
        let error = walk(load, deletes).await.expect_err("rows would go");
        assert_eq!(code(&error), "page.missing", "{error}");
        assert!(error.to_string().contains("page 2 is empty, and there are 4"), "{error}");
    }
}

#[tokio::test]
async fn an_empty_page_before_the_total_is_an_error() {
    let server = scripted(|seen: Seen| async move {
        let offset: u64 = seen.query("offset").expect("an offset").parse().expect("a number");
        let to = if offset < 4 { offset + 2 } else { offset };
        page(offset, to, json!({"n": 9}))
    })
    .await;
    let paginate = json!({"type": "offset", "limit": 2, "total": "n", "prefetch": false});
    let file = resource(&server, json!({"paginate": paginate, "load": "append"}));
    let error = Rig::new().walk(&file, "rows").await.expect_err("five are missing");
    assert_eq!(code(&error), "page.missing", "{error}");
    assert!(error.to_string().contains("4 of 9 records"), "{error}");
}

#[tokio::test]
async fn a_token_leads_on_from_a_page_whose_list_was_left_out() {
    let server = scripted(|seen: Seen| async move {
        match seen.query("t").as_deref() {
            None => page(0, 2, json!({"next": "a"})),
            Some("a") => json_answer("{\"next\":\"b\"}"),
            _ => page(4, 6, json!({})),
        }
    })
    .await;
    let paginate = json!({"type": "token", "next": "next", "param": "t"});
    let walk = async |optional: bool| {
        let parts = json!({"paginate": paginate, "records_optional": optional});
        Rig::new().walk(&resource(&server, parts), "rows").await
    };
    let walked = walk(true).await.expect("three pages");
    assert_eq!((walked.ids(), walked.pages), (vec![0, 1, 4, 5], 3));
    assert_eq!(code(&walk(false).await.expect_err("no list")), "page.records_missing");
}
