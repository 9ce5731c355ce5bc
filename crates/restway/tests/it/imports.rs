//! `restway import`: documents and requests of others, through the command, to rows and answers.

use serde_json::{Value, json};

use crate::support::{Api, Said, Workspace, said};

const CURL: &str = "curl 'https://api.acme.example/v2/teams?page=1' -H 'X-Api-Key: CANARY-curl-1'";

/// An archive of one request to an origin, with secrets wherever browsers put them.
fn archive() -> String {
    let url = "https://api.acme.example/v2/teams?page=1&access_token=CANARY-har-1";
    let headers = json!([{"name": "Authorization", "value": "Bearer CANARY-har-2"},
        {"name": "Cookie", "value": "sid=CANARY-har-3"},
        {"name": "X-CSRF", "value": "CANARY-har-4"}]);
    let rows = json!({"data": [{"id": 1}, {"id": 2}]}).to_string();
    let content = json!({"mimeType": "application/json", "text": rows});
    json!({"log": {"entries": [{
        "request": {"method": "GET", "url": url, "headers": headers, "cookies": []},
        "response": {"status": 200, "content": content,
            "headers": [{"name": "Set-Cookie", "value": "sid=CANARY-har-5"}]},
    }]}})
    .to_string()
}

fn collection() -> String {
    let login = json!({"type": "basic", "basic": [{"key": "username", "value": "CANARY-postman-1"},
        {"key": "password", "value": "CANARY-postman-2"}]});
    let body =
        json!({"mode": "raw", "raw": "{\"name\": \"x\", \"password\": \"CANARY-postman-3\"}"});
    let url = "https://api.acme.example/v2/teams";
    json!({"info": {"name": "Acme API"}, "auth": login, "item": [
        {"name": "List teams", "request": {"method": "GET", "url": url}},
        {"name": "Add team", "request": {"method": "POST", "url": url, "body": body}},
    ]})
    .to_string()
}

const DOCUMENT: &str = "
openapi: 3.0.3
info: { title: Acme, version: '1' }
servers: [{ url: https://api.acme.example/v2 }]
paths:
  /teams:
    get:
      responses:
        '200':
          description: teams
          content:
            application/json:
              schema:
                type: array
                items: { type: object, properties: { id: { type: integer } } }
";

#[test]
fn each_format_becomes_a_file_that_passes_the_check_and_keeps_no_secret() {
    let workspace = Workspace::new();
    let all = [
        ("openapi", "acme.yaml", DOCUMENT.to_owned()),
        ("postman", "acme.json", collection()),
        ("har", "acme.har", archive()),
        ("curl", "acme.sh", CURL.to_owned()),
    ];
    for (format, file, text) in &all {
        workspace.write(file, text);
        let name = format!("acme_{format}");
        let said = workspace.ok(&["import", format, file, "--name", &name]);
        assert!(said.out.contains(&format!("apis/{name}.yaml")), "{}", said.out);
        let yaml = std::fs::read_to_string(workspace.path().join(format!("apis/{name}.yaml")))
            .expect("a file");
        for text in [&yaml, &said.out, &said.err] {
            assert!(!text.contains("CANARY"), "{text}");
        }
        assert!(yaml.contains("path: /teams"), "{yaml}");
    }
    let check = workspace.ok(&["check"]);
    assert!(check.out.contains("4 apis with 4 resources"), "{}", check.out);
    assert_eq!(all.len(), workspace.files("apis").len());
}

#[test]
fn a_file_that_is_there_stays_as_it_is() {
    let workspace = Workspace::new();
    workspace.write("acme.sh", CURL);
    workspace.write("apis/acme.yaml", "api: acme\nbase_url: https://own.example\n");
    let refused = workspace.run(&["import", "curl", "acme.sh"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("is there already"), "{}", refused.err);
    let kept = std::fs::read_to_string(workspace.path().join("apis/acme.yaml")).expect("a file");
    assert!(kept.contains("own.example"), "{kept}");
    let shown = workspace.ok(&["import", "curl", "acme.sh", "--dry-run"]);
    assert!(shown.out.contains("api: acme\n"), "{}", shown.out);
}

#[test]
fn standard_input_and_json_go_together() {
    let workspace = Workspace::new();
    let said = workspace.feed(&["--json", "import", "curl", "-"], CURL);
    assert_eq!(said.code, 0, "{}", said.err);
    let report: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(report["api"], json!("acme"));
    assert_eq!((&report["resources"], &report["paged"]), (&json!(1), &json!(1)));
    assert_eq!(report["secrets"], json!(["acme_key"]));
    assert!(report["file"].as_str().is_some_and(|file| file.ends_with("apis/acme.yaml")));
    assert!(report["yaml"].as_str().is_some_and(|yaml| yaml.contains("paginate: { type: page")));
}

#[test]
fn what_cannot_be_imported_is_said_with_what_helps() {
    let workspace = Workspace::new();
    let table = [
        ("openapi", "a: {\nb: [\n", "is not an OpenAPI document: line", "have that write JSON"),
        ("openapi", "swagger: '1.2'\n", "neither `openapi` nor", ""),
        ("openapi", "openapi: 3.0.0\npaths: { /a: {} }\n", "where the api is", "--base-url"),
        ("postman", "[1]", "it has no `item`", ""),
        ("har", "<html>", "is not a HAR archive", ""),
        ("curl", "curl https://h.example/a | jq .", "is not a curl line", ""),
        ("curl", "curl ftp://h.example/a", "does not say where the api is", "--base-url"),
    ];
    for (format, text, message, hint) in table {
        let said = workspace.feed(&["import", format, "-"], text);
        assert_eq!(said.code, 2, "{format} {text}: {}", said.err);
        assert!(said.err.contains(message) && said.err.contains(hint), "{text}: {}", said.err);
        assert!(said.out.is_empty() && workspace.files("apis").is_empty(), "{}", said.out);
    }
    let missing = workspace.run(&["import", "openapi", "no-such.yaml"]);
    assert!(missing.code != 0 && missing.err.contains("no-such.yaml"), "{}", missing.err);
}

#[test]
fn lines_of_json_become_a_table_and_its_lists_child_tables() {
    let workspace = Workspace::new();
    let first = json!({"id": 1, "price": "1.10", "tags": [{"t": "a"}, {"t": "b"}]});
    let lines = format!("\u{feff}{first}\n\n  {{\"id\": 2, \"price\": null}}\r\n");
    let lines = lines.as_str();
    workspace.write("orders.ndjson", lines);
    let import = ["import", "ndjson", "orders.ndjson", "--table", "lake.orders"];
    let report = workspace.json(&import);
    assert_eq!((&report["status"], &report["counts"]["records"]), (&json!("succeeded"), &json!(2)));
    assert_eq!(report["resources"][0]["tables"]["lake.orders__tags"], json!(2));
    assert_eq!(workspace.value("select price from lake.orders where id = 1"), json!("1.10"));
    workspace.json(&import);
    assert_eq!(workspace.value("select count(*) from lake.orders"), json!(2));
    let more = [&import[..], &["--append"]].concat();
    workspace.json(&more);
    assert_eq!(workspace.value("select count(*) from lake.orders"), json!(4));
    let fed = workspace.feed(&["import", "ndjson", "-", "--table", "lake.fed"], lines);
    assert!(fed.code == 0 && fed.out.contains("lake.fed__tags"), "{}{}", fed.out, fed.err);
    let runs = workspace.json(&["runs"]);
    assert_eq!(runs["runs"][0]["kind"], json!("import"), "{runs}");
    assert_eq!(runs["runs"][0]["subject"], json!("lake.fed"));
}

#[test]
fn a_file_that_breaks_changes_nothing_and_says_where() {
    let workspace = Workspace::new();
    workspace.write("good.ndjson", "{\"a\": 1}\n");
    workspace.ok(&["import", "ndjson", "good.ndjson", "--table", "lake.t"]);
    let table = [
        ("{\"a\": 2}\n{\"a\": 3\n", 2, "line 2 is no JSON at its byte"),
        ("{\"a\": 2}\n\n[1]\n", 2, "line 3 is no object"),
    ];
    for (text, code, expected) in table {
        workspace.write("bad.ndjson", text);
        let said = workspace.run(&["import", "ndjson", "bad.ndjson", "--table", "lake.t"]);
        assert_eq!(said.code, code, "{}", said.err);
        assert!(said.err.contains(expected) && said.err.contains("`bad.ndjson`"), "{}", said.err);
        assert_eq!(workspace.value("select sum(a) from lake.t"), json!(1));
    }
    for (arguments, expected) in [
        (&["--table", "acme.t"][..], "lake.NAME"),
        (&["--table", "t"], "lake.NAME"),
        (&["--table", "lake.a__b"], "without `__`"),
        (&["--table", "lake.t", "--types", "a"], "NAME=VALUE"),
        (&["--table", "lake.t", "--types", "a=int"], "int"),
    ] {
        let said = workspace.run(&[&["import", "ndjson", "good.ndjson"], arguments].concat());
        assert!(said.code == 2 && said.err.contains(expected), "{arguments:?}: {}", said.err);
    }
    let failed = workspace.run(&["import", "parquet", "good.ndjson", "--table", "lake.t"]);
    assert!(failed.code == 1 && failed.err.contains("good.ndjson"), "{}", failed.err);
    let typed = ["--table", "lake.t", "--types", "a=bool"];
    let refused = workspace.run(&[&["import", "ndjson", "good.ndjson"], &typed[..]].concat());
    assert!(refused.code == 1 && refused.err.contains("`a`"), "{}", refused.err);
    assert_eq!(workspace.value("select sum(a) from lake.t"), json!(1));
    workspace.write("apis/lake.yaml", "api: lake\nbase_url: https://h.example\n");
    let check = workspace.run(&["check"]);
    assert!(check.code == 2 && check.err.contains("kept for the tables"), "{}", check.err);
}

#[test]
fn fields_of_csv_are_texts_unless_they_are_declared() {
    let workspace = Workspace::new();
    workspace.write("a.csv", "id,zip,price,note\r\n1,007,1.10,\"a, \"\"b\"\"\"\r\n2,8,,\r\n");
    let import = ["import", "csv", "a.csv", "--table", "lake.a"];
    workspace
        .ok(&[&import[..], &["--types", "id=int64", "--types", "price=decimal(9,2)"]].concat());
    let rows = workspace.rows("select id, zip, note from lake.a order by id");
    assert_eq!(rows[0], json!({"id": 1, "zip": "007", "note": "a, \"b\""}));
    assert_eq!(rows[1], json!({"id": 2, "zip": "8", "note": null}));
    assert_eq!(workspace.value("select cast(sum(price) as varchar) from lake.a"), json!("1.10"));
    workspace.write("a.csv", "id,zip\n1,2\n3\n");
    let said = workspace.run(&import);
    assert!(said.code == 2 && said.err.contains("line 3 has 1 fields"), "{}", said.err);
    assert_eq!(workspace.value("select count(*) from lake.a"), json!(2));
}

#[test]
fn a_parquet_file_comes_back_as_it_was_written() {
    let workspace = Workspace::new();
    let line =
        "{\"id\": 1, \"d\": 12345678901234567.89, \"f\": 0.5, \"t\": \"007\", \"b\": true}\n";
    workspace.write("all.ndjson", line);
    let types = ["--types", "d=decimal(19,2)", "--types", "t=text"];
    let import = ["import", "ndjson", "all.ndjson", "--table", "lake.first"];
    let declared = workspace.run(&[&import[..], &types].concat());
    assert_eq!(declared.code, 0, "{}", declared.err);
    let sql = "select id, d, f, t, b, date '2024-02-29' as day, \
        timestamp '2024-02-29T01:02:03.000004Z' as at, 18446744073709551615::bigint unsigned as u, \
        0.1::double + 0.2::double as sum, [1, 2] as list from lake.first";
    workspace.ok(&["query", "--format", "parquet", "-o", "all.parquet", sql]);
    workspace.ok(&["import", "parquet", "all.parquet", "--table", "lake.second"]);
    let rows = workspace.rows("select * from lake.second");
    let row = &rows[0];
    assert_eq!((&row["t"], &row["day"]), (&json!("007"), &json!("2024-02-29")));
    assert_eq!(row["at"], json!("2024-02-29T01:02:03.000004Z"));
    assert_eq!((&row["f"], &row["b"]), (&json!(0.5), &json!(true)));
    let text = workspace.ok(&["query", "--format", "csv", "select d, u, sum from lake.second"]).out;
    assert!(
        text.contains("12345678901234567.89,18446744073709551615,0.30000000000000004"),
        "{text}"
    );
    let typed = "select arrow_typeof(d) || arrow_typeof(at) || arrow_typeof(f) from lake.second";
    let types = workspace.value(typed).to_string();
    assert!(types.contains("Decimal128(19, 2)") && types.contains("Timestamp"), "{types}");
    let piped = workspace.run(&["import", "parquet", "-", "--table", "lake.t"]);
    assert!(piped.code == 2 && piped.err.contains("write it to a file"), "{}", piped.err);
}

/// Runs with two secrets set.
fn with_secrets(workspace: &Workspace, secrets: [(&str, &str); 2], arguments: &[&str]) -> Said {
    for (name, value) in secrets {
        let set = workspace.feed(&["secret", "set", name, "-"], value);
        assert_eq!(set.code, 0, "{}", set.err);
    }
    said(workspace.command(arguments).output().expect("the binary runs"))
}

#[test]
fn the_document_of_a_real_api_is_imported_and_synced() {
    let api = Api::start();
    let workspace = Workspace::new();
    let url = api.url();
    let fetched = workspace.ok(&["--json", "call", "--url", &format!("{url}/openapi.json")]);
    let answer: Value = serde_json::from_str(&fetched.out).expect("JSON");
    workspace.write("openapi.json", &answer["json"].to_string());
    let arguments = [
        "import",
        "openapi",
        "openapi.json",
        "--name",
        "tracker",
        "--base-url",
        &url,
        "--webhooks",
    ];
    let imported = workspace.ok(&arguments);
    assert!(imported.out.contains("restway secret set tracker_client_id"), "{}", imported.out);
    workspace.ok(&["check"]);
    let secrets = [
        ("tracker_client_id", api.get().client_id()),
        ("tracker_client_secret", api.get().client_secret()),
    ];
    let arguments = ["sync", "tracker.projects", "tracker.project_issues"];
    let synced = with_secrets(&workspace, secrets, &arguments);
    assert_eq!(synced.code, 0, "{}\n{}", synced.out, synced.err);
    let orphans = "select count(*) from tracker.project_issues i \
        left join tracker.projects p on p.id = i.project_id where p.id is null";
    assert_eq!(workspace.value(orphans), json!(0));
    assert!(workspace.value("select count(*) from tracker.project_issues").as_u64() > Some(100));
    // A field that is not given is not sent: as null this one would be refused.
    let created = workspace.run(&["call", "tracker.create_customer", "--param", "name=Imported"]);
    assert_eq!(created.code, 0, "{}", created.err);
}

#[test]
fn a_curl_line_runs_as_a_webhook() {
    let api = Api::start();
    let workspace = Workspace::new();
    let line = format!(
        "curl '{}/fault/echo' -H 'Content-Type: application/json' --data-raw \
         '{{\"title\": \"first\", \"token\": \"CANARY-body-1\"}}'",
        api.url()
    );
    workspace.write("line.sh", &line);
    workspace.ok(&["import", "curl", "line.sh", "--name", "echo"]);
    let given = json!({"title": "second", "token": "own"}).to_string();
    let answered = workspace.feed(&["call", "echo.create_echo", "--params", "-"], &given);
    assert_eq!(answered.code, 0, "{}", answered.err);
    let seen = api.get().requests();
    let sent = seen.last().map(|request| format!("{request:?}")).unwrap_or_default();
    assert!(sent.contains("/fault/echo"), "{sent}");
    let missing = workspace.run(&["call", "echo.create_echo"]);
    assert!(missing.code == 2 && missing.err.contains("`token`"), "{}", missing.err);
}
