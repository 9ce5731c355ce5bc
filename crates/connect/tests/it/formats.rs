//! Answers that are not one JSON document: NDJSON, CSV, XML and gzip files.

use demo_api::{Effect, Fault, Settings};
use restway_model::Limits;
use restway_model::definition::ApiFile;
use serde_json::{Value, json};

use crate::support::{Rig, api, canned, code, demo_with};

fn answer(head: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\n{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

async fn file(head: &str, body: &str, resource: Value) -> ApiFile {
    let mut resource = resource;
    resource["path"] = "/".into();
    let url = canned(answer(head, body)).await;
    api(&url, json!({"defaults": {"records": "data"}, "resources": {"rows": resource}}))
}

async fn read(head: &str, body: &str, resource: Value) -> Result<Vec<u64>, String> {
    let walked = Rig::new().walk(&file(head, body, resource).await, "rows").await;
    walked.map(|walked| walked.ids()).map_err(|error| format!("{}: {error}", code(&error)))
}

#[tokio::test]
async fn every_format_is_read_as_records() {
    let lines = "{\"id\":1}\n{\"id\":2}\n";
    let ndjson = "content-type: application/x-ndjson\r\n";
    assert_eq!(read(ndjson, lines, json!({})).await, Ok(vec![1, 2]));
    assert_eq!(read("", lines, json!({"format": "ndjson"})).await, Ok(vec![1, 2]));
    let rows = Rig::new()
        .walk(
            &file(
                "",
                "id;n\n1;x\n2;\n",
                json!({"format":
        {"type": "csv", "delimiter": ";"}}),
            )
            .await,
            "rows",
        )
        .await
        .expect("rows");
    assert_eq!(rows.records, [json!({"id": "1", "n": "x"}), json!({"id": "2", "n": null})]);
    let xml = json!({"format": "xml", "records": "list.row"});
    let walked = Rig::new().walk(&file("", "<list><row id='1'/></list>", xml).await, "rows").await;
    assert_eq!(walked.expect("a row").records, [json!({"@id": "1"})]);
}

#[tokio::test]
async fn what_is_in_another_format_is_an_error() {
    let page = "<!doctype html><html><head><title>Sign in</title></head><body></body></html>";
    let html = "content-type: text/html\r\n";
    for resource in [
        json!({"format": "csv"}),
        json!({"format": "ndjson"}),
        json!({"format": "xml", "records": "l.r"}),
    ] {
        let error = read(html, page, resource.clone()).await.expect_err("a page");
        assert!(error.starts_with("page.malformed") && error.contains("`Sign in`"), "{error}");
    }
    let error =
        read("content-type: application/json\r\n", "{\"error\":\"x\"}", json!({"format": "csv"}));
    assert!(error.await.expect_err("JSON").contains("`application/json`"));
    let error =
        read("", "id,name\n1,first\n2,second\n", json!({"format": "csv", "archive": "gzip"})).await;
    assert!(error.expect_err("no gzip").contains("leave out `archive`"));
}

/// The end of HTTP's body is there, and that of what it holds is not: asked again, then an error.
#[tokio::test]
async fn a_cut_body_is_an_error_in_every_format() {
    let table = [
        ("{\"id\":1}\n{\"id\":", json!({"format": "ndjson"})),
        ("id,n\n1,2\n3", json!({"format": "csv"})),
        ("id,n\n1,2,3\n4", json!({"format": "csv"})),
        ("id,n\n1,\"2\n", json!({"format": "csv"})),
        ("<l><r>1</r><r>", json!({"format": "xml", "records": "l.r"})),
        ("\u{1f}", json!({"format": "csv", "archive": "gzip"})),
    ];
    for (body, resource) in table {
        let error = read("", body, resource).await.expect_err(body);
        assert!(error.starts_with("call.interrupted"), "{body}: {error}");
    }
}

#[tokio::test]
async fn a_page_that_breaks_beyond_memory_comes_once() {
    let fault = |after| Fault { path: "/fault".into(), after, times: 1, effect: Effect::Truncate };
    let settings = Settings { faults: vec![fault(0), fault(1)], ..Settings::default() };
    let demo = demo_with(settings).await;
    let limits = Limits { batch_bytes_max: 16 << 10, channel_batches_max: 1, ..Limits::default() };
    let rig = Rig::with(limits, &[], true);
    let file = api(
        &demo.url(),
        json!({"resources": {"huge": {"path": "/fault/huge/2", "records": "data"}}}),
    );
    let walked = rig.walk(&file, "huge").await.expect("the third is whole");
    assert_eq!((walked.ids().len(), walked.counts.retries, demo.count("/fault")), (2 << 10, 2, 3));
}
