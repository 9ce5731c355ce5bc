//! The bodies that a resource's request may have.

use restway_model::Explain;
use serde_json::{Value, json};

use crate::support::{Rig, api, json_answer, scripted};

/// A server that answers with the body and the content type that it was sent.
async fn echo() -> String {
    scripted(|seen| async move {
        let sent = json!([{"type": seen.header("content-type"), "body": seen.body,
                           "length": seen.header("content-length")}]);
        json_answer(&sent.to_string())
    })
    .await
}

#[tokio::test]
async fn a_resource_sends_a_form_a_text_or_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    fs_err::write(folder.path().join("ask.xml"), "<ask>ä</ask>").expect("a file");
    let (rig, url) = (Rig::in_folder(folder.path()), echo().await);
    rig.secret("pin", "one & two".into());
    let parent = json!({"parent": {"id": 7, "tags": ["a b", "c"]}});
    let table = [
        (
            json!({"urlencoded": {"id": "${parent.id}", "tag": "${parent.tags}", "n": 2}}),
            ("application/x-www-form-urlencoded", "id=7&n=2&tag=a+b&tag=c"),
        ),
        (json!({"text": "select ${parent.id}"}), ("text/plain; charset=utf-8", "select 7")),
        (
            json!({"text": "<p>${secret.pin}</p>", "headers": {"Content-Type": "text/xml"}}),
            ("text/xml", "<p>one & two</p>"),
        ),
        (json!({"file": "ask.xml"}), ("application/xml", "<ask>ä</ask>")),
        (json!({"json": {"id": "${parent.id}"}}), ("application/json", "{\"id\":7}")),
    ];
    for (body, (kind, text)) in table {
        let mut resource = json!({"path": "/x", "method": "POST"});
        resource.as_object_mut().expect("an object").extend(body.as_object().cloned().expect("it"));
        let api = api(&url, json!({"resources": {"r": resource}}));
        let walked = rig.walk_with(&api, "r", parent.clone()).await.expect("records");
        let expected = json!({"type": kind, "body": text, "length": text.len().to_string()});
        assert_eq!(walked.records, [expected]);
    }
}

#[tokio::test]
async fn a_file_is_of_the_workspace_and_no_secret_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    fs_err::create_dir(folder.path().join(".restway")).expect("a folder");
    fs_err::write(folder.path().join(".restway/key"), "k").expect("a file");
    let (rig, url) = (Rig::in_folder(folder.path()), echo().await);
    for file in [".restway/key", "../x", "/etc/hostname", "gone.txt"] {
        let resource = json!({"path": "/x", "method": "PUT", "file": file});
        let api = api(&url, json!({"resources": {"r": resource}}));
        let error = rig.walk(&api, "r").await.expect_err(file);
        assert_eq!(error.code().as_str(), "definition.invalid", "{error}");
    }
}

#[tokio::test]
async fn a_variable_of_the_environment_is_masked_wherever_it_is_sent() {
    let (rig, url) = (Rig::new(), echo().await);
    let path = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    for body in [
        json!({"json": {"x": "${env.CARGO_MANIFEST_DIR}"}}),
        json!({"text": "${env.CARGO_MANIFEST_DIR}"}),
        json!({"urlencoded": {"x": "${env.CARGO_MANIFEST_DIR}"}}),
        json!({"query": {"x": "${env.CARGO_MANIFEST_DIR}"}}),
    ] {
        let rig = Rig::new();
        let mut resource = json!({"path": "/x", "method": "POST"});
        resource.as_object_mut().expect("an object").extend(body.as_object().cloned().expect("it"));
        let api = api(&url, json!({"resources": {"r": resource}}));
        rig.walk(&api, "r").await.expect("records");
        assert_eq!(rig.redactor.redact(&path), "***", "{body}");
    }
    let api = api(&url, json!({"resources": {"r": "/x"}}));
    let walked: Vec<Value> = rig.walk(&api, "r").await.expect("records").records;
    assert_eq!(rig.redactor.redact(&path), path, "{walked:?}");
}
