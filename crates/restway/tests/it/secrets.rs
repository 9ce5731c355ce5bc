//! A marker secret is nowhere: not in any output at trace level, not in any file.

use crate::support::{Api, Said, Workspace};

const MARKER: &str = "marker-7f3a9c-never-to-be-seen";

fn assert_clean(what: &str, said: &Said) {
    for (stream, text) in [("stdout", &said.out), ("stderr", &said.err)] {
        assert!(!text.contains(MARKER), "{what} shows the secret on {stream}:\n{text}");
    }
}

#[test]
fn no_command_shows_a_secret_at_trace_level() {
    let api = Api::start();
    let workspace = Workspace::new();
    let url = api.url();
    let file = |auth: &str| {
        format!(
            "api: demo\nbase_url: {url}\nauth: {auth}\nresources:\n  \
         echo: /fault/echo\n  html: /fault/html\n  missing: /fault/status/404\n  \
         list: {{ path: /auth/key/customers, records: data }}\n"
        )
    };
    let set =
        workspace.feed(&["--log", "trace", "secret", "set", "marker"], &format!("{MARKER}\n"));
    assert_eq!(set.code, 0, "{}", set.err);
    assert_clean("secret set", &set);
    for auth in [
        "{ type: bearer, token: \"${secret.marker}\" }",
        "{ type: basic, username: u, password: \"${secret.marker}\" }",
        "{ type: api_key, header: X-API-Key, key: \"${secret.marker}\" }",
        "{ type: api_key, query: api_key, key: \"${secret.marker}\" }",
        "{ type: api_key, cookie: sid, key: \"${secret.marker}\" }",
        &format!(
            "{{ type: oauth2, grant: refresh_token, token_url: {url}/oauth/token, \
             client_id: demo-client, refresh_token: \"${{secret.marker}}\" }}"
        ),
        &format!(
            "{{ type: login, url: {url}/oauth/token, token: access_token, \
             json: {{ password: \"${{secret.marker}}\" }} }}"
        ),
        &format!(
            "{{ type: oauth2, token_url: {url}/oauth/token, client_id: demo-client, \
             client_secret: \"${{secret.marker}}\" }}"
        ),
    ] {
        workspace.write("apis/demo.yaml", &file(auth));
        for arguments in [
            vec!["sync"],
            vec!["--json", "sync"],
            vec!["plan", "demo"],
            vec!["check"],
            vec!["secret", "list"],
            vec!["runs"],
            vec!["call", "--api", "demo", "--url", "/fault/status/404"],
            vec!["call", "--api", "demo", "--url", "/fault/html"],
        ] {
            let said = workspace.run(&[&["--log", "trace"], arguments.as_slice()].concat());
            assert_clean(&format!("{arguments:?} with {auth}"), &said);
            assert!(
                !arguments.contains(&"sync") || said.err.contains("request_sent"),
                "{}",
                said.err
            );
        }
    }
    for file in workspace.files(".restway") {
        if file.to_string_lossy().contains("/tables/") {
            // What an api answers is data: the echo lands in a table as it was sent.
            continue;
        }
        let bytes = std::fs::read(&file).expect("a file");
        let found = bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes());
        assert!(!found, "{} holds the secret", file.display());
    }
}

#[test]
fn a_secret_that_is_not_set_is_named_with_the_remedy() {
    let api = Api::start();
    let workspace = Workspace::new();
    workspace.write(
        "apis/demo.yaml",
        &format!(
            "api: demo\nbase_url: {}\nauth: {{ type: bearer, token: \"${{secret.nope}}\" }}\n\
             resources: {{ a: /v1/customers }}\n",
            api.url()
        ),
    );
    let said = workspace.run(&["sync"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("`${secret.nope}` is not set"), "{}", said.err);
    assert!(said.err.contains("restway secret set nope"), "{}", said.err);
    assert_eq!(api.get().count("/"), 0, "nothing was sent");
}

#[test]
fn a_secret_is_never_taken_from_an_argument() {
    let workspace = Workspace::new();
    let said = workspace.run(&["secret", "set", "name", "value"]);
    assert_eq!(said.code, 2);
    let listed = workspace.json(&["secret", "list"]);
    assert_eq!(listed["secrets"], serde_json::json!([]));
}

#[test]
fn json_reports_mask_secrets_in_the_forms_that_urls_and_servers_write() {
    let api = Api::start();
    let workspace = Workspace::new();
    let secret = "aa\"b c/e-MARKER";
    assert_eq!(workspace.feed(&["secret", "set", "k"], secret).code, 0);
    workspace.write(
        "apis/a.yaml",
        &format!(
            "api: a\nbase_url: {}\nresources:\n  \
             q: {{ path: /fault/status/400, query: {{ token: \"${{secret.k}}\" }} }}\n  \
             p: {{ path: \"/fault/${{secret.k}}\" }}\n  \
             e: {{ path: /fault/echo, query: {{ x: \"${{secret.k}}\" }}, records: nothing }}\n",
            api.url()
        ),
    );
    for arguments in [["sync", "--json"].as_slice(), &["sync"], &["--log", "trace", "sync"]] {
        let said = workspace.run(arguments);
        assert_eq!(said.code, 1, "{}", said.err);
        for (stream, text) in [("stdout", &said.out), ("stderr", &said.err)] {
            assert!(!text.contains("MARKER"), "{arguments:?} on {stream}:\n{text}");
        }
    }
    let database = std::fs::read(workspace.path().join(".restway/restway.db")).expect("a file");
    assert!(!database.windows(6).any(|window| window == b"MARKER"));
}

#[test]
fn a_probe_keeps_the_credential_of_its_url_out_of_the_file() {
    let api = Api::start();
    let workspace = Workspace::new();
    let key = demo_api::API_KEY;
    let url = format!("{}/auth/key/customers?api_key={key}", api.url());
    let said = workspace.ok(&["probe", &url, "--name", "keyed"]);
    let file = std::fs::read_to_string(workspace.path().join("apis/keyed.yaml")).expect("a file");
    for text in [&said.out, &said.err, &file] {
        assert!(!text.contains(key), "{text}");
    }
    assert!(file.contains("${secret.keyed_key}") && file.contains("query: api_key"), "{file}");
    assert_eq!(workspace.feed(&["secret", "set", "keyed_key"], key).code, 0);
    let report = workspace.json(&["sync", "keyed"]);
    assert_eq!(report["counts"]["records"], serde_json::json!(200));
}

#[test]
fn a_key_is_rotated_and_a_secret_removed() {
    let workspace = Workspace::new();
    assert_eq!(workspace.run(&["secret", "rotate"]).code, 2, "nothing is sealed yet");
    assert_eq!(workspace.feed(&["secret", "set", "one"], MARKER).code, 0);
    let rotated = workspace.json(&["secret", "rotate"]);
    assert_eq!(rotated["outcome"], "replaced");
    assert_ne!(rotated["old_key"], rotated["key"]);
    let listed = workspace.json(&["secret", "list"]);
    assert_eq!(listed["secrets"][0]["name"], "one");
    assert_eq!(workspace.json(&["secret", "rm", "one"])["removed"], "one");
    let again = workspace.run(&["secret", "rm", "one"]);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("there is no secret `one`"), "{}", again.err);
}

#[test]
fn a_wrong_key_is_not_taken_for_a_secret_that_is_missing() {
    let workspace = Workspace::new();
    let auth = "auth: { type: bearer, token: \"${secret.tok}\" }\n";
    let text = format!("api: a\nbase_url: http://127.0.0.1:1\n{auth}resources: {{ one: /x }}\n");
    workspace.write("apis/a.yaml", &text);
    assert_eq!(workspace.feed(&["secret", "set", "tok"], "the-secret-value").code, 0);
    // 32 bytes of zero.
    workspace.write(".restway/key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    let wrong = workspace.run(&["sync", "a"]);
    std::fs::remove_file(workspace.path().join(".restway/key")).expect("the key");
    for said in [wrong, workspace.run(&["sync", "a"])] {
        assert_eq!(said.code, 1, "{}", said.err);
        assert!(said.err.contains("[secret.unreadable]"), "{}", said.err);
        assert!(said.err.contains("give the key back"), "{}", said.err);
        assert!(!said.err.contains("secret set"), "{}", said.err);
    }
}
