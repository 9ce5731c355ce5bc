//! `restway call api.webhook` against the bundled API.

use serde_json::{Value, json};

use crate::support::{Api, Said, Workspace};

const MARKER: &str = "marker-\"7f3a9c\"-never-to-be-seen";
const NASTY: &str = "O'Neil \"<&>\"\n${param.x} \\ {\"a\": 1} é";

/// A workspace with one api of the demo server, and these webhooks.
fn workspace(api: &Api, auth: &str, webhooks: &str) -> Workspace {
    let workspace = Workspace::new();
    let url = api.url();
    workspace.write(
        "apis/demo.yaml",
        &format!("api: demo\nbase_url: {url}\nauth: {auth}\nwebhooks:\n{webhooks}"),
    );
    workspace
}

fn oauth(api: &Api) -> String {
    format!(
        "{{ type: oauth2, token_url: {}/oauth/token, client_id: {}, client_secret: \
         '${{env.DEMO_SECRET}}', scopes: [read, write] }}",
        api.url(),
        api.get().client_id()
    )
}

/// Runs with the client's secret, and something on standard input.
fn call(workspace: &Workspace, api: &Api, arguments: &[&str], input: &str) -> Said {
    use std::io::Write;
    use std::process::Stdio;
    let mut child = workspace
        .command(arguments)
        .env("DEMO_SECRET", api.get().client_secret())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A command that reads nothing may have gone away.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn read(said: &Said) -> Value {
    serde_json::from_str(&said.out)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", said.out, said.err))
}

const CREATE: &str = "
  create:
    title: Create a customer
    params:
      name: { type: string }
      tags: { type: list, of: { type: string }, default: [] }
      business: { type: boolean, default: false }
      plan: { type: string, one_of: [free, pro], required: false }
    calls:
      - id: created
        method: POST
        path: /v1/customers
        json: { name: '${param.name}', tags: '${param.tags}', is_business: '${param.business}' }
        idempotency: { header: Idempotency-Key }
      - { id: read, method: GET, path: '/v1/customers/${calls.created.id}' }
    outputs:
      id: created.id
      id_text: { from: created.id, type: string }
      name: read.name
      tags: { from: read.tags, type: list }
      first_tag: { from: 'read.tags[0]', required: false }
      whole: created
      record: { from: created, type: record }
";

#[test]
fn a_webhook_creates_reads_back_and_answers_typed_outputs() {
    let api = Api::start();
    let workspace = workspace(&api, &oauth(&api), CREATE);
    let given = json!({"name": NASTY, "tags": ["a\"b"]}).to_string();
    let arguments = ["call", "demo.create", "--params", "-", "--param", "business=true"];
    let said = call(&workspace, &api, &arguments, &given);
    assert_eq!(said.code, 0, "{}", said.err);
    let outputs = read(&said);
    assert_eq!(outputs["name"], json!(NASTY));
    assert_eq!(outputs["id_text"], json!(outputs["id"].to_string()));
    assert_eq!((&outputs["tags"], &outputs["first_tag"]), (&json!(["a\"b"]), &json!("a\"b")));
    assert_eq!(outputs["record"]["name"], json!(NASTY));
    let whole: Value = serde_json::from_str(outputs["whole"].as_str().expect("a text"))
        .expect("the whole answer is its text");
    assert_eq!(whole, outputs["record"]);
    let seen = api.get().requests();
    let key = seen.iter().find_map(|request| request.idempotency_key.clone());
    assert!(key.is_some_and(|key| key.ends_with("-created")), "{seen:?}");

    let runs = workspace.json(&["runs"]);
    assert_eq!(runs["runs"][0]["kind"], json!("webhook"));
    assert_eq!(runs["runs"][0]["subject"], json!("demo.create"));
    let id = runs["runs"][0]["run"].as_str().expect("an id").to_owned();
    let shown = workspace.json(&["runs", "show", &id]);
    assert_eq!(shown["webhook"]["calls"][0]["status"], json!(201));
    assert_eq!(shown["webhook"]["calls"][1]["path"], json!("/v1/customers/${calls.created.id}"));
    assert_eq!(shown["webhook"]["inputs"], Value::Null);
    assert!(!shown.to_string().contains("Neil"), "{shown}");
    assert!(workspace.ok(&["runs", "show", &id]).out.contains("POST /v1/customers"));
    let check = workspace.json(&["check"]);
    assert_eq!(check["webhooks"][0]["name"], json!("demo.create"));
}

#[test]
fn every_wrong_parameter_is_named_before_anything_is_sent() {
    let api = Api::start();
    let workspace = workspace(&api, &oauth(&api), CREATE);
    let arguments = [
        "--json",
        "call",
        "demo.create",
        "--param",
        "plan=fre",
        "--param",
        "tags=[1]",
        "--param",
        "nmae=x",
    ];
    let said = call(&workspace, &api, &arguments, "");
    assert_eq!(said.code, 2, "{}", said.err);
    let report = read(&said);
    let messages: Vec<&str> = report["errors"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|error| error["message"].as_str())
        .collect();
    assert_eq!(messages.len(), 4, "{messages:?}");
    for expected in [
        "`name` of `demo.create` is missing",
        "must be one of free, pro",
        "`tags[0]`",
        "`nmae` of `demo.create` is not known",
    ] {
        assert!(messages.iter().any(|message| message.contains(expected)), "{messages:?}");
    }
    assert_eq!(api.get().count("/"), 0);
    let wrong = call(&workspace, &api, &["call", "demo.craete"], "");
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("did you mean `demo.create`?"), "{}", wrong.err);
}

#[test]
fn a_call_that_fails_is_named_with_what_was_done_before_it() {
    let api = Api::start();
    let hooks = "
  refused:
    params: { name: { type: string } }
    calls:
      - { id: made, method: POST, path: /v1/customers, json: { name: '${param.name}' } }
  half:
    calls:
      - { id: made, method: POST, path: /v1/customers, json: { name: private-name } }
      - { id: gone, method: GET, path: /fault/status/404 }
  output:
    calls: [{ id: made, method: POST, path: /v1/customers, json: { name: x } }]
    outputs: { id: made.data.id }
";
    let workspace = workspace(&api, &oauth(&api), hooks);
    let refused = call(&workspace, &api, &["call", "demo.refused", "--param", "name="], "");
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("its call `made`"), "{}", refused.err);
    assert!(refused.err.contains("must be text of 1 to 200"), "{}", refused.err);
    assert_eq!(api.get().count("/v1/customers"), 1, "a write is not sent twice");
    let half = call(&workspace, &api, &["call", "demo.half"], "");
    assert_eq!(half.code, 1);
    assert!(half.err.contains("its call `gone`"), "{}", half.err);
    assert!(half.err.contains("`made` was done (status 201)"), "{}", half.err);
    let output = call(&workspace, &api, &["call", "demo.output"], "");
    assert_eq!(output.code, 1);
    assert!(output.err.contains("`data` is none of"), "{}", output.err);
    assert!(output.err.contains("webhook.answer"), "{}", output.err);
    let runs = workspace.json(&["runs"]);
    let failed: Vec<&Value> = runs["runs"].as_array().expect("a list").iter().collect();
    assert!(failed.iter().all(|run| run["status"] == json!("failed")), "{runs}");
    let text = runs.to_string();
    assert!(text.contains("status 422") && !text.contains("must be text"), "{text}");
}

#[test]
fn a_token_of_a_first_call_logs_the_second_in_and_is_seen_nowhere() {
    let api = Api::start();
    let client = api.get().client_id();
    let hooks = format!(
        "
  create:
    history: full
    params:
      name: {{ type: string }}
      key: {{ type: string, secret: true }}
    calls:
      - id: token
        method: POST
        path: /oauth/token
        urlencoded:
          grant_type: client_credentials
          client_id: {client}
          client_secret: '${{env.DEMO_SECRET}}'
          scope: read write
        safe: true
        store: false
      - id: made
        method: POST
        path: /v1/customers
        headers: {{ Authorization: 'Bearer ${{calls.token.access_token}}' }}
        json: {{ name: '${{param.name}}' }}
      - {{ id: echo, method: POST, path: /fault/echo, safe: true, json: {{ k: '${{param.key}}' }} }}
    outputs: {{ id: made.id, sent: echo.body }}
"
    );
    let workspace = workspace(&api, "{ type: none }", &hooks);
    let given = json!({"name": "kept-name", "key": MARKER}).to_string();
    let arguments = ["--log", "trace", "call", "demo.create", "--params", "-"];
    let said = call(&workspace, &api, &arguments, &given);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(read(&said)["id"].is_number());
    assert_eq!(read(&said)["sent"], json!("{\"k\":\"***\"}"));
    let plan =
        call(&workspace, &api, &["call", "demo.create", "--params", "-", "--dry-run"], &given);
    assert_eq!(plan.code, 0, "{}", plan.err);
    assert!(plan.out.contains("Bearer ${calls.token.access_token}"), "{}", plan.out);
    let refused = call(
        &workspace,
        &api,
        &["call", "demo.create", "--param", "name=x", "--param", "key=some-secret-key"],
        "",
    );
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("others see arguments"), "{}", refused.err);
    let runs = workspace.json(&["runs"]);
    let id = runs["runs"][0]["run"].as_str().expect("an id").to_owned();
    let shown = workspace.json(&["runs", "show", &id]);
    assert!(shown["webhook"]["inputs"].as_str().is_some_and(|text| text.contains("kept-name")));
    assert_eq!(shown["webhook"]["calls"][0]["answer"], Value::Null);
    assert!(
        shown["webhook"]["calls"][2]["answer"].as_str().is_some_and(|text| text.contains("***"))
    );
    let secret = api.get().client_secret();
    let inner = "7f3a9c";
    for (what, text) in [("the log", &said.err), ("the plan", &plan.out), ("refusal", &refused.err)]
    {
        assert!(!text.contains(inner) && !text.contains(secret), "{what}:\n{text}");
        assert!(!text.contains("some-secret-key"), "{what}:\n{text}");
    }
    for file in workspace.files(".restway") {
        let bytes = std::fs::read(&file).expect("a file");
        for needle in [inner, secret, "access_token\":"] {
            let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
            assert!(!found, "{} holds {needle}", file.display());
        }
    }
}

#[test]
fn suggestions_show_where_outputs_could_be_and_attachments_are_sent() {
    let api = Api::start();
    let hooks = "
  send:
    params: { doc: { type: attachment } }
    calls: [{ id: echo, method: POST, path: /fault/echo, file: doc }]
    outputs: { wrong: echo.nothing }
";
    let workspace = workspace(&api, "{ type: none }", hooks);
    workspace.write("docs/a.txt", "the text of it");
    let arguments = ["--json", "call", "demo.send", "--param", "doc=docs/a.txt", "--suggest"];
    let said = call(&workspace, &api, &arguments, "");
    assert_eq!(said.code, 0, "{}", said.err);
    let report = read(&said);
    let places = report["outputs"].as_array().expect("a list");
    let body = places.iter().find(|place| place["from"] == json!("echo.body"));
    assert_eq!(body.map(|place| &place["example"]), Some(&json!("\"the text of it\"")));
    assert!(
        places.iter().any(|place| place["from"] == json!("echo.headers['content-type']"))
            || places.iter().any(|place| place["from"] == json!("echo.headers.content-type"))
    );
    for outside in ["../secret.txt", "/etc/passwd", ".restway/restway.db", "missing.txt"] {
        let argument = format!("doc={outside}");
        let refused = call(&workspace, &api, &["call", "demo.send", "--param", &argument], "");
        assert_eq!(refused.code, 2, "{outside}: {}", refused.err);
    }
}

#[test]
fn a_form_carries_texts_and_attachments() {
    let api = Api::start();
    let hooks = "
  send:
    params:
      title: { type: string }
      doc: { type: attachment }
      more: { type: attachment, required: false }
    calls:
      - id: echo
        method: POST
        path: /fault/echo
        multipart:
          - { name: title, value: '${param.title}' }
          - { name: doc, file: doc }
          - { name: more, file: more }
    outputs: { type: 'echo.headers.content-type', body: echo.body }
";
    let workspace = workspace(&api, "{ type: none }", hooks);
    workspace.write("docs/a.csv", "n\n1\n");
    let arguments = ["call", "demo.send", "--param", "title=O'Neil", "--param", "doc=docs/a.csv"];
    let said = call(&workspace, &api, &arguments, "");
    assert_eq!(said.code, 0, "{}", said.err);
    let outputs = read(&said);
    let kind = outputs["type"].as_str().expect("a type");
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").expect("a form");
    let expected = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nO'Neil\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"doc\"; filename=\"a.csv\"\r\n\
         Content-Type: text/csv; charset=utf-8\r\n\r\nn\n1\n\r\n--{boundary}--\r\n"
    );
    assert_eq!(outputs["body"], json!(expected));
    let plan = call(&workspace, &api, &[&arguments[..], &["--dry-run"]].concat(), "");
    assert!(plan.out.contains("filename=\"a.csv\"") && plan.out.contains("${param.doc}"));
    workspace.write(
        "apis/demo.yaml",
        "api: demo\nbase_url: http://127.0.0.1:1\nwebhooks:\n  send:\n    params: { doc: { type: \
         string } }\n    calls:\n      - id: a\n        method: POST\n        path: /\n        \
         multipart:\n          - { name: a, value: x, file: doc }\n          - { name: b }\n",
    );
    let refused = workspace.run(&["check"]);
    assert_eq!(refused.code, 2);
    for problem in ["either a `value` or a `file`", "no parameter `doc` of type attachment"] {
        assert!(refused.err.contains(problem), "{}", refused.err);
    }
}

#[test]
fn each_domain_gets_its_own_login_and_no_other() {
    let (home, other) = (Api::start(), Api::start());
    let workspace = Workspace::new();
    workspace.write(
        "apis/demo.yaml",
        &format!(
            "api: demo\nbase_url: {}\nauth: {{ type: bearer, token: '${{env.DEMO_SECRET}}' }}\n\
             domains:\n  - {{ url: {}, auth: {{ type: basic, username: jo, password: \
             '${{env.DEMO_SECRET}}' }} }}\nwebhooks:\n  both:\n    calls:\n      \
             - {{ id: own, method: GET, path: /fault/echo }}\n      \
             - {{ id: other, method: POST, safe: true, path: '{}/fault/echo', json: {{}} }}\n      \
             - {{ id: led, method: GET, path: '/fault/redirect-to?url={}/fault/echo' }}\n    \
             outputs: {{ own: own.headers, other: other.headers, led: led.headers }}\n",
            home.url(),
            other.url(),
            other.url(),
            other.url(),
        ),
    );
    let said = call(&workspace, &home, &["call", "demo.both"], "");
    assert_eq!(said.code, 0, "{}", said.err);
    let outputs = read(&said);
    let shown = |call: &str| outputs[call]["authorization"].as_str().unwrap_or("none").to_owned();
    assert_eq!(shown("own").split(' ').next(), Some("Bearer"));
    assert_eq!(shown("other").split(' ').next(), Some("Basic"));
    assert_eq!(shown("led"), "none", "a redirect takes no login along");
    let plan = call(&workspace, &home, &["plan", "demo.both"], "");
    assert_eq!(plan.code, 0, "{}", plan.err);
    assert!(!plan.out.contains(home.get().client_secret()), "{}", plan.out);
    workspace.write(
        "apis/demo.yaml",
        &format!(
            "api: demo\nbase_url: {}\nwebhooks:\n  out:\n    calls: [{{ id: a, method: GET, path: \
             '{}/fault/echo' }}]\n",
            home.url(),
            other.url()
        ),
    );
    let refused = call(&workspace, &home, &["call", "demo.out"], "");
    assert_ne!(refused.code, 0, "an address that is not declared is not called");
}

#[test]
fn a_changed_webhook_is_another_version_and_old_runs_keep_theirs() {
    let api = Api::start();
    let hook =
        |path: &str| format!("  look:\n    calls: [{{ id: e, method: GET, path: {path} }}]\n");
    let workspace = workspace(&api, "{ type: none }", &hook("/fault/echo"));
    let run = |path: Option<&str>| {
        if let Some(path) = path {
            let (url, hook) = (api.url(), hook(path));
            workspace.write(
                "apis/demo.yaml",
                &format!("api: demo\nbase_url: {url}\nauth: {{ type: none }}\nwebhooks:\n{hook}"),
            );
        }
        workspace.ok(&["call", "demo.look"]);
        let runs = workspace.json(&["runs"]);
        let id = runs["runs"][0]["run"].as_str().expect("an id").to_owned();
        (workspace.json(&["runs", "show", &id])["webhook"]["version"].clone(), id)
    };
    let first = run(None);
    assert_eq!((&first.0, run(None).0), (&json!(1), json!(1)));
    assert_eq!(run(Some("/fault/echo?a=b")).0, json!(2));
    let shown = workspace.json(&["runs", "show", &first.1]);
    assert_eq!(shown["webhook"]["definition"]["calls"][0]["path"], json!("/fault/echo"));
    assert!(workspace.ok(&["runs", "show", &first.1]).out.contains(", version 1"));
}

#[test]
fn a_webhook_that_is_stopped_or_killed_does_not_stay_under_way() {
    use std::process::Stdio;
    let api = Api::start();
    let hook = "  slow:\n    calls: [{ id: w, method: GET, path: /fault/slow/60000 }]\n    \
                timeout: 3m\n";
    let workspace = workspace(&api, "{ type: none }", hook);
    for (before, signal, code) in [(0, "-TERM", "1"), (1, "-KILL", "killed")] {
        let mut child = workspace
            .command(&["call", "demo.slow"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        while api.get().count("/fault/slow") <= before {
            assert!(child.try_wait().expect("a state").is_none(), "it waits for its answer");
            std::thread::yield_now();
        }
        let under_way = workspace.json(&["runs"]);
        assert_eq!(under_way["runs"][0]["status"], json!("running"), "{under_way}");
        let pid = child.id().to_string();
        let sent = std::process::Command::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("kill runs").success());
        let output = child.wait_with_output().expect("it ends");
        let ended = output.status.code().map_or("killed".to_owned(), |code| code.to_string());
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(ended, code, "{err}");
        let runs = workspace.json(&["runs"]);
        assert_eq!(runs["runs"][0]["status"], json!("failed"), "{signal}: {runs}");
        assert_eq!(runs["runs"][0]["error"]["code"], json!("webhook.interrupted"), "{signal}");
    }
}
