//! The commands beside sync, at their edges: what they print, write and answer.

use serde_json::json;

use crate::support::{Api, Workspace};

#[test]
fn init_makes_a_workspace_once() {
    let workspace = Workspace::new();
    let folder = workspace.path().join("my shop");
    let folder = folder.to_str().expect("a text");
    workspace.ok(&["init", folder]);
    let checked = workspace.json(&["-C", folder, "check"]);
    assert_eq!(checked["workspace"], "my_shop");
    let again = workspace.run(&["init", folder]);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("[workspace.exists]"), "{}", again.err);
}

#[test]
fn a_folder_without_a_workspace_is_said_to_be_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let workspace = Workspace::new();
    let said = workspace.run(&["-C", folder.path().to_str().expect("a text"), "sync"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("restway init"), "{}", said.err);
}

#[test]
fn check_prints_every_problem_of_every_file() {
    let workspace = Workspace::new();
    workspace.write("apis/a.yaml", "api: same\nbase_url: https://a.example\nresourcs: {}\n");
    workspace.write("apis/b.yaml", "api: b\nbase_url: nope\n");
    workspace.write("apps/c.yaml", "app: c\n");
    let said = workspace.run(&["check"]);
    assert_eq!(said.code, 2);
    for expected in
        ["apis/a.yaml:3:1", "did you mean `resources`?", "apis/b.yaml:2:11", "apps/c.yaml:1:1"]
    {
        assert!(said.err.contains(expected), "{expected} is missing:\n{}", said.err);
    }
    let json = workspace.run(&["check", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(report["errors"].as_array().map(Vec::len), Some(3));
    assert_eq!(report["errors"][0]["place"]["line"], json!(3));
}

#[test]
fn two_files_must_not_define_the_same_api() {
    let workspace = Workspace::new();
    for file in ["apis/a.yaml", "apis/b.yaml"] {
        workspace.write(file, "api: same\nbase_url: https://a.example\n");
    }
    let said = workspace.run(&["check"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("apis/b.yaml:1:6"), "{}", said.err);
}

#[test]
fn call_prints_one_object_with_exactly_one_body() {
    let api = Api::start();
    let folder = tempfile::tempdir().expect("a folder");
    let workspace = Workspace::new();
    let call = |arguments: &[&str]| {
        let said = workspace
            .run(&[&["-C", folder.path().to_str().expect("text"), "call"], arguments].concat());
        let output: serde_json::Value = serde_json::from_str(&said.out)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", said.out, said.err));
        (said.code, output)
    };
    let url = format!("{}/fault/echo", api.url());
    let (code, echoed) = call(&[
        "--url",
        &url,
        "--method",
        "post",
        "--query",
        "a=b c",
        "--header",
        "X-One: 1",
        "--body",
        "{\"n\": 9007199254740993}",
    ]);
    assert_eq!(code, 0);
    assert_eq!(echoed["status_code"], json!(200));
    let text = echoed["json"].to_string();
    assert!(text.contains("9007199254740993") && text.contains("POST"), "{text}");
    assert!(text.to_lowercase().contains("x-one"), "{text}");
    assert!(echoed.get("text").is_none() && echoed.get("bytes").is_none());
    assert_eq!(echoed["log"].as_array().map(Vec::len), Some(1));
    let (code, html) = call(&["--url", &format!("{}/fault/html", api.url())]);
    assert_eq!(code, 0);
    assert!(html["text"].is_string() && html.get("json").is_none());
    let (code, teapot) = call(&["--url", &format!("{}/fault/status/404", api.url())]);
    assert_eq!((code, &teapot["status_code"]), (1, &json!(404)));
    let (code, _) = call(&["--url", &format!("{}/fault/status/404", api.url()), "--expect", "404"]);
    assert_eq!(code, 0);
}

#[test]
fn what_is_a_webhooks_alone_never_sends_a_plain_call() {
    let api = Api::start();
    let workspace = Workspace::new();
    let url = format!("{}/fault/echo", api.url());
    workspace.write("call.yaml", &format!("url: {url}\n"));
    for call in [["--url", &url], ["--input", "call.yaml"]] {
        for more in [&["--dry-run"][..], &["--suggest"], &["--param", "a=b"], &["--params", "-"]] {
            let said = workspace.run(&[&["call"], &call[..], more].concat());
            assert_eq!(said.code, 2, "{call:?} {more:?}: {}", said.out);
        }
    }
}

#[test]
fn a_plain_call_keeps_to_what_its_workspace_allows() {
    let workspace = Workspace::new();
    let private = ["call", "--url", "http://0.0.0.0:1/"];
    let said = workspace.run(&private);
    assert!(said.err.contains("call.egress_denied"), "{}", said.err);
    workspace.write("restway.yaml", "workspace: it\negress: { allow: ['0.0.0.0:1'] }\n");
    let said = workspace.run(&private);
    assert!(said.err.contains("call.connect"), "{}", said.err);
}

#[test]
fn call_takes_every_documented_input_from_a_file() {
    let api = Api::start();
    let workspace = Workspace::new();
    let url = api.url();
    workspace.write("body.txt", "spam & eggs");
    workspace.write(
        "call.yaml",
        &format!(
            "url: {url}/fault/echo\nmethod: PUT\nmultipart: {{ boundary: b, parts: \
             [{{ name: f, file: body.txt }}] }}\n"
        ),
    );
    let said = workspace.ok(&["call", "--input", "call.yaml"]);
    let outputs: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let body = outputs["json"]["body"].as_str().expect("a text");
    assert!(body.contains("filename=\"body.txt\"") && body.contains("spam & eggs"), "{body}");
    assert_eq!(outputs["log"][0]["attempt"], json!(1));
    let fed = workspace.feed(
        &["call", "--input", "-"],
        &json!({"url": format!("{url}/fault/status/204")}).to_string(),
    );
    let outputs: serde_json::Value = serde_json::from_str(&fed.out).expect("JSON");
    assert_eq!((fed.code, &outputs["status_code"]), (0, &json!(204)));
    for body in ["json", "text", "bytes"] {
        assert!(outputs.get(body).is_none(), "{body}");
    }
    let data = json!({"url": format!("{url}/fault/echo"), "method": "post", "data": {"a": 1}});
    let fed = workspace.feed(&["call", "--input", "-"], &data.to_string());
    let outputs: serde_json::Value = serde_json::from_str(&fed.out).expect("JSON");
    assert!(outputs["log"][0]["warning"].as_str().is_some_and(|text| text.contains("`json`")));
    let dst = json!({"url": format!("{url}/fault/html"), "dst": "page.html"});
    let fed = workspace.feed(&["call", "--input", "-"], &dst.to_string());
    assert_eq!(fed.code, 0, "{}{}", fed.out, fed.err);
    let outputs: serde_json::Value = serde_json::from_str(&fed.out).expect("JSON");
    assert!(outputs.get("text").is_none() && outputs["status_code"].is_number());
    assert!(workspace.files("").iter().any(|file| file.ends_with("page.html")));
    let wrong = workspace.feed(&["call", "--input", "-"], "url: https://h\nmehtod: get\n");
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("standard input:2:1"), "{}", wrong.err);
    assert!(wrong.err.contains("did you mean `method`?"), "{}", wrong.err);
}

#[test]
fn plan_shows_the_request_without_sending_it() {
    let api = Api::start();
    let workspace = Workspace::new();
    workspace.write(
        "apis/demo.yaml",
        &api.file("  customers: { path: /customers, query: { lang: en } }"),
    );
    let said = workspace.ok(&["plan", "demo"]);
    assert!(said.out.contains("curl"), "{}", said.out);
    assert!(said.out.contains("/v1/customers?"), "{}", said.out);
    assert!(said.out.contains("lang=en"), "{}", said.out);
    assert!(said.out.contains("${env.DEMO_SECRET}") || !said.out.contains("client_secret"));
    assert_eq!(api.get().count("/"), 0);
    let wrong = workspace.run(&["plan", "demo.custmers"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("did you mean `demo.customers`?"), "{}", wrong.err);
}

#[test]
fn probe_writes_a_file_that_syncs() {
    let api = Api::start();
    let workspace = Workspace::new();
    for (name, path) in [
        ("page", "/open/page"),
        ("link", "/open/link"),
        ("next", "/open/next"),
        ("none", "/open/none"),
    ] {
        let url = format!("{}{path}", api.url());
        workspace.ok(&["probe", &url, "--name", name]);
        let said = workspace.ok(&["sync", name, "--json"]);
        let report: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
        assert_eq!(report["counts"]["records"], json!(200), "{name}: {}", said.out);
    }
    let again = workspace.run(&["probe", &format!("{}/open/page", api.url()), "--name", "page"]);
    assert_eq!(again.code, 2, "a file that is there is not overwritten");
}

#[test]
fn queries_write_every_format_and_refuse_to_change_anything() {
    let api = Api::start();
    let workspace = Workspace::new();
    workspace.write("apis/open.yaml", &api.open_file("  customers: /open/none"));
    workspace.ok(&["sync"]);
    let sql = "select id, name, address__city from open.customers order by id limit 3";
    let csv = workspace.ok(&["query", "--format", "csv", sql]);
    assert_eq!(csv.out.lines().count(), 4);
    assert!(csv.out.starts_with("id,name,address__city"), "{}", csv.out);
    let table = workspace.ok(&["query", "--format", "table", sql]);
    assert!(table.out.contains("address__city"), "{}", table.out);
    let ndjson = workspace.ok(&["query", "--format", "ndjson", sql]);
    assert_eq!(ndjson.out.lines().count(), 3);
    for (file, magic) in [("a.parquet", &b"PAR1"[..]), ("a.arrow", &b"\xff\xff\xff\xff"[..])] {
        workspace.ok(&["query", sql, "-o", file]);
        let bytes = std::fs::read(workspace.path().join(file)).expect("the file");
        assert!(bytes.starts_with(magic), "{file}");
    }
    let one = workspace.ok(&[
        "query",
        "--format",
        "csv",
        "select count(*) as n from open.customers where id = $id",
        "--param",
        "id=7",
    ]);
    assert_eq!(one.out, "n\n1\n");
    for sql in [
        "drop table open.customers",
        "insert into open.customers (id) values (1)",
        "create table x as select 1",
        "copy open.customers to 'x.csv'",
        "set datafusion.execution.batch_size = 1",
        "select * from '/etc/passwd'",
    ] {
        let said = workspace.run(&["query", sql]);
        assert_eq!(said.code, 2, "{sql}: {}\n{}", said.out, said.err);
    }
    let typo = workspace.run(&["query", "select nmae from open.customers"]);
    assert_eq!(typo.code, 2);
    assert!(typo.err.contains("name"), "{}", typo.err);
    assert_eq!(workspace.value("select count(*) from open.customers"), json!(200));
}

#[test]
fn completions_and_version_need_no_workspace() {
    let workspace = Workspace::new();
    assert!(workspace.ok(&["completions", "bash"]).out.contains("restway"));
    assert!(workspace.ok(&["--version"]).out.starts_with("restway "));
}

#[test]
fn an_answer_goes_where_its_file_leads() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let workspace = Workspace::new();
    let at = |name: &str| workspace.path().join(name);
    std::fs::write(at("target.csv"), "old").expect("a file");
    std::fs::set_permissions(at("target.csv"), std::fs::Permissions::from_mode(0o640))
        .expect("mode");
    symlink("target.csv", at("link.csv")).expect("a link");
    workspace.ok(&["query", "select 1 as n", "-o", "link.csv"]);
    assert!(at("link.csv").is_symlink());
    assert_eq!(std::fs::read_to_string(at("target.csv")).expect("a file"), "n\n1\n");
    let mode = std::fs::metadata(at("target.csv")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);

    let made = std::process::Command::new("mkfifo").arg(at("pipe")).status();
    assert!(made.expect("mkfifo runs").success());
    let reader = std::process::Command::new("cat")
        .arg(at("pipe"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("cat runs");
    workspace.ok(&["query", "select 2 as n", "-o", "pipe"]);
    assert_eq!(reader.wait_with_output().expect("it ends").stdout, b"n\n2\n");
}

#[test]
fn a_broken_file_of_another_api_stops_no_command_that_names_one() {
    let api = Api::start();
    let workspace = Workspace::new();
    workspace.write("apis/open.yaml", &api.open_file("  items: { path: /open/none }"));
    workspace.write("apis/broken.yaml", "api: broken\nbase_url: nope\n");
    workspace.write("apps/broken.yaml", "app: x\n");
    for arguments in [
        &["sync", "open.items"][..],
        &["sync", "open"],
        &["plan", "open"],
        &["call", "--api", "open", "--url", "/open/none"],
    ] {
        let said = workspace.ok(arguments);
        for file in ["apis/broken.yaml", "apps/broken.yaml"] {
            assert!(said.err.contains(file), "{arguments:?}: {}", said.err);
        }
    }
    for arguments in [
        &["sync"][..],
        &["sync", "broken"],
        &["sync", "open", "other"],
        &["plan", "no"],
        &["check"],
    ] {
        let said = workspace.run(arguments);
        assert_eq!(said.code, 2, "{arguments:?}: {}", said.err);
        assert!(said.err.contains("apis/broken.yaml:2:11"), "{arguments:?}: {}", said.err);
    }
}

#[test]
fn check_warns_of_a_parameter_that_no_call_uses() {
    let workspace = Workspace::new();
    let hooks = "webhooks:\n  hook:\n    params: { gone: { type: string } }\n    \
                 calls: [{ id: a, method: GET, path: /x }]\n";
    let text = format!("api: a\nbase_url: https://a.example\n{hooks}");
    workspace.write("apis/a.yaml", &text);
    let warning = "apis/a.yaml: `gone` of the webhook `hook` is asked for, and no call uses it";
    assert!(workspace.ok(&["check"]).err.contains(warning));
    assert_eq!(workspace.json(&["check"])["warnings"], json!([warning]));
}
