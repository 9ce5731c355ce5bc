//! Probes: what is written is a valid file, and the file reads everything.

use restway_connect::probe::{TRIES_MAX, probe};
use restway_model::definition::{ApiFile, Auth, Paginate, read};
use serde_json::json;

use crate::support::{Rig, canned, code, demo, json_answer};

fn read_back(yaml: &str) -> ApiFile {
    read("apis/probed.yaml", yaml).unwrap_or_else(|problems| {
        panic!("the probe wrote a file that cannot be read: {problems:?}\n{yaml}")
    })
}

#[tokio::test]
async fn every_style_is_found_and_reads_everything() {
    let (demo, rig) = (demo().await, Rig::new());
    let table = [
        ("/open/page", "page", Some("items")),
        ("/open/offset", "offset", Some("results")),
        ("/open/link", "link", None),
        ("/open/next", "url", Some("records")),
        ("/open/keyset", "keyset", Some("rows")),
        ("/open/none", "none", None),
        ("/fault/slow/0", "token", Some("data")),
        ("/open/page?page=1&per_page=20", "page", Some("items")),
    ];
    for (path, kind, records) in table {
        demo.forget_requests();
        let url = format!("{}{path}", demo.url());
        let probed = probe(&rig.connector, &url, Auth::None, None).await.expect(path);
        let found = match &probed.paginate {
            Paginate::None {} => "none",
            Paginate::Link { .. } => "link",
            Paginate::Url { .. } => "url",
            Paginate::Token { .. } => "token",
            Paginate::Offset { .. } => "offset",
            Paginate::Page { .. } => "page",
            Paginate::Keyset { .. } => "keyset",
        };
        assert_eq!(found, kind, "{path}: {:?}", probed.notes);
        let at = probed.records.as_ref().map(ToString::to_string);
        assert_eq!(at.as_deref(), records, "{path}");
        assert_eq!(probed.key.as_deref(), Some("id"), "{path}");
        assert_eq!(probed.cursor.as_deref(), Some("updated_at"), "{path}");
        assert_eq!(probed.rows_preview.len(), 10, "{path}");
        assert!(demo.count("/") <= 1 + TRIES_MAX as u64, "{path}");
        let file = read_back(&probed.yaml);
        let walked = rig.walk(&file, probed.resource.as_str()).await.expect(&probed.yaml);
        assert_eq!(walked.ids(), (1..=200).collect::<Vec<_>>(), "{path}:\n{}", probed.yaml);
    }
}

#[tokio::test]
async fn a_challenge_becomes_an_auth_to_fill_in() {
    let (demo, rig) = (demo().await, Rig::new());
    let table = [
        ("/v1/customers", "type: bearer", "${secret.local_token}"),
        ("/auth/basic/customers", "type: basic", "${secret.local_password}"),
        ("/auth/key/customers", "header: X-API-Key", "${secret.local_key}"),
    ];
    for (path, line, secret) in table {
        let url = format!("{}{path}", demo.url());
        let probed = probe(&rig.connector, &url, Auth::None, None).await.expect(path);
        assert!(probed.needs_auth, "{path}");
        assert!(probed.yaml.contains(line) && probed.yaml.contains(secret), "{}", probed.yaml);
        read_back(&probed.yaml);
    }
}

#[tokio::test]
async fn a_credential_that_was_given_is_used_and_not_written_down() {
    let (demo, rig) = (demo().await, Rig::new());
    let key = demo_api::API_KEY.parse().expect("a template");
    let auth = Auth::ApiKey { key, header: Some("X-API-Key".into()), query: None, cookie: None };
    let url = format!("{}/auth/key/customers?pageSize=20", demo.url());
    let probed = probe(&rig.connector, &url, auth, None).await.expect("an answer");
    assert!(!probed.yaml.contains(demo_api::API_KEY), "{}", probed.yaml);
    assert!(probed.yaml.contains("key: \"${secret.local_key}\""), "{}", probed.yaml);
    assert!(matches!(probed.paginate, Paginate::Token { .. }));
    read_back(&probed.yaml);
}

#[tokio::test]
async fn a_sign_that_leads_nowhere_is_said_and_not_believed() {
    let rig = Rig::new();
    let url = canned(json_answer("{\"rows\":[{\"id\":1}],\"next_cursor\":\"x\"}")).await;
    let probed = probe(&rig.connector, &url, Auth::None, None).await.expect("an answer");
    assert_eq!(probed.paginate, Paginate::None {});
    let note = probed.notes.iter().find(|note| note.contains("leads nowhere"));
    assert!(note.is_some_and(|note| note.contains("`next_cursor`")), "{:?}", probed.notes);
    let file = read_back(&probed.yaml);
    assert_eq!(rig.walk(&file, probed.resource.as_str()).await.expect("a page").ids(), [1]);
}

#[tokio::test]
async fn odd_names_survive_the_way_through_the_file() {
    let rig = Rig::new();
    let body = json!({"the: rows #1": [{"Id": "a"}], "@odata.nextLink": null}).to_string();
    let url = canned(json_answer(&body)).await;
    let url = format!("{url}/a%20b/x?q=${{y}}&z=%23");
    let probed = probe(&rig.connector, &url, Auth::None, None).await.expect("an answer");
    let file = read_back(&probed.yaml);
    let walked = rig.walk(&file, probed.resource.as_str()).await.expect(&probed.yaml);
    assert_eq!(walked.records, [json!({"Id": "a"})]);
}

#[tokio::test]
async fn what_is_no_api_is_an_error() {
    let (demo, rig) = (demo().await, Rig::new());
    for (path, expected) in [
        ("/fault/html", "page.not_json"),
        ("/fault/empty", "page.not_json"),
        ("/fault/status/500", "call.status"),
        ("/fault/huge/16", "call.body_too_large"),
    ] {
        let url = format!("{}{path}", demo.url());
        let error = probe(&rig.connector, &url, Auth::None, None).await.expect_err(path);
        assert_eq!(code(&error), expected, "{path}: {error}");
    }
    for url in ["ftp://x.example/", "nonsense", "https://u:p@x.example/"] {
        let error = probe(&rig.connector, url, Auth::None, None).await.expect_err(url);
        assert_eq!(code(&error), "definition.invalid", "{url}: {error}");
    }
}

#[tokio::test]
async fn no_credential_of_the_url_is_written_down() {
    let (url, rig) = (canned(json_answer("[{\"id\":1}]")).await, Rig::new());
    let given =
        "key=not-in-the-file&pwd=nor-this-one&jwt=nor-that-one&sort_key=id&session=nor-here-x";
    let url = format!("{url}/all?{given}");
    let probed = probe(&rig.connector, &url, Auth::None, None).await.expect("an answer");
    for secret in ["not-in-the-file", "nor-this-one", "nor-that-one", "nor-here-x"] {
        assert!(!probed.yaml.contains(secret), "{secret}: {}", probed.yaml);
    }
    for kept in ["sort_key=id", "jwt=${secret.local_jwt}", "session=${secret.local_session}"] {
        assert!(probed.yaml.contains(kept), "{kept}: {}", probed.yaml);
    }
    assert!(probed.yaml.contains("may be a credential"), "{}", probed.yaml);
    let api = read_back(&probed.yaml);
    for (name, value) in [("pwd", "1"), ("jwt", "2"), ("session", "3"), ("key", "4")] {
        rig.secret(&format!("local_{name}"), value.into());
    }
    let walked = rig.walk(&api, probed.resource.as_str()).await.expect(&probed.yaml);
    assert_eq!(walked.ids(), [1]);
}
