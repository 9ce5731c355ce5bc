//! Tapes: what is recorded, what is not, and a source that is read again without its api.

use std::path::Path;
use std::time::Duration;

use demo_api::CLIENT_SECRET;
use restway_connect::Tape;
use restway_model::definition::{ApiFile, CallInputs, read};
use restway_model::{Clock, Limits};
use serde_json::json;

use crate::support::{Rig, Seen, api, code, demo, get, json_answer, oauth, scripted};

fn rig(tape: Tape) -> Rig {
    Rig::with_tape(Limits::default(), &[], true, Some(tape))
}

fn texts(folder: &Path) -> String {
    let files = fs_err::read_dir(folder).expect("a folder");
    let read = |file: std::io::Result<fs_err::DirEntry>| {
        fs_err::read_to_string(file.expect("a file").path()).expect("a text")
    };
    files.map(read).collect()
}

fn with_secret(file: &ApiFile, reference: &str) -> ApiFile {
    let mut file = file.clone();
    if let restway_model::definition::Auth::Oauth2 { client_secret, .. } = &mut file.auth {
        *client_secret = Some(reference.parse().expect("a template"));
    }
    file
}

#[tokio::test]
async fn a_source_is_read_again_without_its_api_and_without_its_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("tape");
    let demo = demo().await;
    let file = oauth(
        &demo,
        json!({"resources": {"customers": {
            "path": "/v1/customers", "query": {"pageSize": 70}, "records": "data",
            "paginate": {"type": "token", "next": "nextPageToken", "param": "pageToken"},
        }}}),
    );
    let recording = rig(Tape::record(&folder).expect("a new folder"));
    let recorded = recording.walk(&file, "customers").await.expect("a walk");
    let texts = texts(&folder);
    assert!(texts.contains("\"access_token\":\"***\""), "the token answer is there");
    assert!(!texts.contains(CLIENT_SECRET) && !texts.contains("Bearer "));
    assert!(Tape::record(&folder).is_err(), "what is recorded is not written over");
    drop(demo);
    let file = with_secret(&file, "${secret.nobody_has_it}");
    let playing = rig(Tape::replay(&folder).expect("a tape"));
    let played = playing.walk(&file, "customers").await.expect("a walk without an api");
    assert_eq!((played.records, played.pages), (recorded.records, 3));
    let error = playing.walk(&file, "customers").await.expect_err("it is at its end");
    assert_eq!(code(&error), "call.not_recorded");
    assert!(error.to_string().contains("not as often"), "{error}");
}

#[tokio::test]
async fn what_was_not_recorded_fails_and_reaches_no_network() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = demo().await;
    let bare = |url: &str| ApiFile::bare("demo".parse().expect("a name"), get(url).url.expose());
    let (known, unknown) = (format!("{}/open/none", demo.url()), format!("{}/open/x", demo.url()));
    let recording = rig(Tape::record(folder.path()).expect("a new folder"));
    let answer = recording.connector.call(&bare(&known), get(&known)).await.expect("an answer");
    demo.forget_requests();
    let playing = rig(Tape::replay(folder.path()).expect("a tape"));
    let error = playing.connector.call(&bare(&unknown), get(&unknown)).await;
    let error = error.expect_err("it is not there");
    assert_eq!(code(&error), "call.not_recorded");
    assert!(error.to_string().contains("it was not recorded"), "{error}");
    let played = playing.connector.call(&bare(&known), get(&known)).await.expect("an answer");
    assert_eq!((played.status, played.body), (answer.status, answer.body));
    assert_eq!(demo.count("/"), 0);
    assert!(Tape::replay(&folder.path().join("nothing")).is_err());
}

#[tokio::test]
async fn what_was_waited_for_once_is_not_waited_for_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("tape");
    let demo = demo().await;
    let file = crate::support::api(
        &demo.url(),
        json!({"limits": {"rate": ["1/m"]}, "resources": {"limited": {
            "path": "/fault/rate/tape", "records": "data",
            "paginate": {"type": "token", "next": "nextPageToken", "param": "pageToken"},
        }}}),
    );
    let recording = rig(Tape::record(&folder).expect("a new folder"));
    let recorded = recording.walk(&file, "limited").await.expect("a walk");
    assert!(recording.clock.monotonic() > Duration::from_secs(60), "a 429 and a rate");
    let playing = rig(Tape::replay(&folder).expect("a recording"));
    let played = playing.walk(&file, "limited").await.expect("the same walk");
    assert_eq!((played.ids(), played.counts), (recorded.ids(), recorded.counts));
    assert_eq!(playing.clock.monotonic(), Duration::ZERO);
}

#[tokio::test]
async fn a_login_is_recorded_without_its_token_wherever_that_stands() {
    for (token, length) in [("marker-of-a-token", 17), ("mark", 4)] {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("tape");
        let server = scripted(move |seen: Seen| async move {
            if seen.head.starts_with("POST") {
                let answer = json!({"d": {"session": token, "refresh_token": "second-marker"}});
                return json_answer(&answer.to_string());
            }
            json_answer(&format!("{{\"sid\":{}}}", seen.query("sid").map_or(0, |sid| sid.len())))
        })
        .await;
        let file = api(
            &server,
            json!({"auth": {"type": "login", "url": "/login", "json": {"user": "u"},
                "token": "d.session", "query": "sid"}}),
        );
        let url = format!("{server}/x?a=1");
        let recording = rig(Tape::record(&folder).expect("a new folder"));
        let answer = recording.connector.call(&file, get(&url)).await.expect("an answer");
        assert_eq!(answer.body, format!("{{\"sid\":{length}}}"));
        let texts = texts(&folder);
        assert!(!texts.contains(token), "{texts}");
        assert!(!texts.contains("second-marker"), "{texts}");
        let playing = rig(Tape::replay(&folder).expect("a tape"));
        let played = playing.connector.call(&file, get(&url)).await.expect("the same answer");
        assert_eq!(played.body, answer.body);
    }
}

#[tokio::test]
async fn a_signed_request_and_a_form_of_parts_are_found_on_a_tape_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("tape");
    let server = scripted(|_| async { json_answer("[7]") }).await;
    let file = api(
        &server,
        json!({"auth": {"type": "hmac", "key": "${secret.key}", "string": "${request.nonce}",
            "query": {"nonce": "${request.nonce}", "sign": "${request.signature}"}}}),
    );
    let inputs = json!({"url": format!("{server}/x"), "method": "POST",
        "multipart": {"parts": [{"name": "a", "value": "1"}]}});
    let send = async |rig: &Rig| {
        let inputs = read::<CallInputs>("inputs", &inputs.to_string()).expect("inputs");
        let prepared = rig.connector.prepare(&inputs, None).expect("a request");
        rig.connector.call(&file, prepared.request).await
    };
    let recording = rig(Tape::record(&folder).expect("a new folder"));
    send(&recording).await.expect("an answer");
    let played = send(&rig(Tape::replay(&folder).expect("a tape"))).await;
    assert_eq!(played.expect("the same answer").body, "[7]");
}
