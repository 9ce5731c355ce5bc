//! `restway export` against servers that answer as each test says: every row is done once, or
//! somebody is told.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::desk::{Came, Desk, Reply};
use crate::support::{Said, Workspace, said};

const POST: &str = "request: { method: POST, path: /orders, json: { n: '${row.n}' } }";
const KEYED: &str = "request: { method: POST, path: /orders, json: { n: '${row.n}' } }
    idempotency: { header: Idempotency-Key }";
const PUT: &str = "request: { method: PUT, path: '/orders/${row.n}', json: { n: '${row.n}' } }";

fn ok(_: &Came, _: usize) -> Reply {
    Reply::Say(200, "{}".to_owned())
}

/// A workspace whose export `api.rows` sends the numbers from 1 up to `most`.
fn numbers(url: &str, most: u64, keys: &str) -> Workspace {
    let workspace = Workspace::new();
    define(&workspace, url, most, keys);
    workspace
}

fn define(workspace: &Workspace, url: &str, most: u64, keys: &str) {
    let end = most + 1;
    workspace.write(
        "apis/api.yaml",
        &format!(
            "api: api\nbase_url: {url}\nretry: {{ initial: 1ms, deadline: 1s }}\nexports:\n  \
             rows:\n    from: select value as n from range(1, {end})\n    key: n\n    {keys}\n"
        ),
    );
}

fn json_of(said: &Said) -> Value {
    serde_json::from_str(&said.out)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", said.out, said.err))
}

fn export(workspace: &Workspace, more: &[&str]) -> (i32, Value) {
    let said = workspace.run(&[&["--json", "export", "api.rows"], more].concat());
    (said.code, json_of(&said))
}

fn counts(rows: &Value) -> [u64; 4] {
    ["done", "refused", "ambiguous", "waiting"].map(|name| rows[name].as_u64().expect(name))
}

/// The numbers that came, as often as they came.
fn numbers_of(came: &[Came]) -> BTreeMap<u64, usize> {
    let mut all = BTreeMap::new();
    for one in came {
        let body: Value = serde_json::from_str(&one.body).expect("JSON");
        *all.entry(body["n"].as_u64().expect("a number")).or_default() += 1;
    }
    all
}

/// The numbers whose outcome in the table is this, in any run.
fn with_status(workspace: &Workspace, status: &str) -> BTreeSet<u64> {
    let sql = format!("select n from api.rows where status = '{status}'");
    workspace.rows(&sql).iter().map(|row| row["n"].as_u64().expect("a number")).collect()
}

#[test]
fn the_netsuite_way_one_token_and_a_patch_for_each_row() {
    let desk = Desk::start(|came, _| match came.path.as_str() {
        path if path.ends_with("/token") => {
            let token = json!({"access_token": "token-of-the-run", "expires_in": 3600});
            Reply::Say(200, token.to_string())
        }
        path if path.ends_with("/locked") => Reply::Say(409, "{\"title\": \"locked\"}".to_owned()),
        _ => Reply::Say(204, String::new()),
    });
    let workspace = Workspace::new();
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
        .output()
        .expect("openssl runs");
    let key = String::from_utf8(made.stdout).expect("a key");
    workspace.write(
        "apis/netsuite.yaml",
        &format!(
            "api: netsuite
base_url: {}
auth:
  type: oauth2
  token_url: /services/rest/auth/oauth2/v1/token
  client_id: the-client
  client_auth: private_key_jwt
  scopes: [rest_webservices]
  assertion: {{ preset: netsuite, key: '${{env.KEY}}', key_id: cert-1 }}
exports:
  accounts:
    from: select account_id, account_name from lake.updates order by account_id
    key: account_id
    request:
      method: PATCH
      path: /services/rest/record/v1/account/${{row.account_id}}
      json: {{ acctName: '${{row.account_name}}', balance: '${{row.balance}}' }}
",
            desk.url()
        )
        .replace("select account_id, account_name", "select account_id, account_name, balance"),
    );
    let nasty = "O'Neil \"<&>\" \\ \n{\"a\": 1} é";
    let rows = [
        json!({"account_id": "a/b ?#é", "account_name": nasty}).to_string(),
        json!({"account_id": "locked", "account_name": "x"}).to_string(),
        json!({"account_id": "7", "account_name": null}).to_string(),
    ];
    let with =
        |row: &str, balance: &str| row.replacen('{', &format!("{{\"balance\":{balance},"), 1);
    let lines =
        [with(&rows[0], "90071992547409931.10"), with(&rows[1], "1"), with(&rows[2], "null")];
    workspace.write("updates.ndjson", &lines.join("\n"));
    let types = ["--types", "balance=decimal(30,2)"];
    workspace
        .ok(&[&["import", "ndjson", "updates.ndjson", "--table", "lake.updates"], &types[..]]
            .concat());

    let arguments = ["--log", "debug", "export", "netsuite.accounts"];
    let output = workspace.command(&arguments).env("KEY", &key).output().expect("it runs");
    let said = said(output);
    assert_eq!(said.code, 3, "{}", said.err);
    let came = desk.came();
    let tokens = came.iter().filter(|one| one.path.ends_with("/token")).count();
    assert_eq!((tokens, came.len()), (1, 4), "{came:?}");
    let sent = came.iter().find(|one| one.path.contains("a%2Fb%20%3F%23%C3%A9")).expect("encoded");
    assert_eq!(sent.method, "PATCH");
    assert_eq!(sent.header("content-type"), "application/json");
    assert_eq!(sent.header("authorization"), "Bearer token-of-the-run");
    let body: Value = serde_json::from_str(&sent.body).expect("JSON");
    assert_eq!(body["acctName"], json!(nasty));
    assert!(sent.body.contains("\"balance\":90071992547409931.10"), "{}", sent.body);
    assert!(came.iter().any(|one| one.body.contains("\"acctName\":null,\"balance\":null")));

    let sql = "select account_id, response_status, response, status from netsuite.accounts \
               order by account_id";
    let done = |id: &str| json!({"account_id": id, "response_status": 204, "response": "", "status": "done"});
    let locked = json!({"account_id": "locked", "response_status": 409,
        "response": "{\"title\": \"locked\"}", "status": "refused"});
    assert_eq!(workspace.rows(sql), [done("7"), done("a/b ?#é"), locked]);
    let lines: Vec<&str> = said.err.lines().filter(|line| line.contains(" row_settled ")).collect();
    assert_eq!(lines.len(), 3, "{}", said.err);
    assert!(lines.iter().any(|line| line.contains("key=7") && line.contains("acctName")));
    assert!(!said.err.contains("token-of-the-run"), "{}", said.err);
}

#[test]
fn rows_that_are_refused_are_recorded_and_sent_again_by_a_resume() {
    let is_mended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mended = is_mended.clone();
    let desk = Desk::start(move |came, _| {
        let is_odd = came.path.ends_with(['3', '5']);
        match is_odd && !mended.load(std::sync::atomic::Ordering::SeqCst) {
            true => Reply::Say(422, "{\"error\": \"no\"}".to_owned()),
            false => Reply::Say(200, "{}".to_owned()),
        }
    });
    let workspace = numbers(&desk.url(), 9, PUT);
    let (code, first) = export(&workspace, &[]);
    assert_eq!((code, counts(&first["rows"])), (3, [7, 2, 0, 0]), "{first}");
    assert_eq!(with_status(&workspace, "refused"), BTreeSet::from([3, 5]));
    let run = first["run"].as_str().expect("a run");
    let runs = workspace.json(&["runs", "show", run]);
    assert_eq!((&runs["kind"], &runs["status"]), (&json!("export"), &json!("partly")));
    assert_eq!(runs["export"]["rows"]["refused"], json!(2));
    let shown = workspace.ok(&["runs", "show", run]).out;
    assert!(shown.contains(&format!("restway export api.rows --resume {run}")), "{shown}");

    is_mended.store(true, std::sync::atomic::Ordering::SeqCst);
    let again = first["resume"].as_str().expect("a command").split(' ').skip(1);
    let again: Vec<&str> = again.collect();
    let second = workspace.json(&again);
    assert_eq!(counts(&second["rows"]), [2, 0, 0, 0], "{second}");
    let sent = numbers_of(&desk.came());
    assert!(sent.iter().all(|(n, often)| *often == if [3, 5].contains(n) { 2 } else { 1 }));
    let sql = "select count(*) as n, count(distinct _run_id) as runs from api.rows";
    assert_eq!(workspace.rows(sql), [json!({"n": 11, "runs": 2})], "an outcome for each try");
    // Nothing is left: asking again is no error, and does nothing.
    let third = workspace.json(&again);
    assert_eq!(counts(&third["rows"]), [0, 0, 0, 0], "{third}");
    let wrong = workspace.run(&["export", "api.rows", "--resume", "00000000"]);
    assert_eq!(wrong.code, 2, "{}", wrong.err);
    assert!(wrong.err.contains("is none of the export `api.rows`"), "{}", wrong.err);
}

#[test]
fn limits_are_waited_for_and_only_what_may_be_repeated_is() {
    for (keys, often) in [(PUT, 2), (POST, 1), (KEYED, 2)] {
        let desk = Desk::start(|came, before| match (before, came.body.as_str()) {
            (0, _) => Reply::With(429, "retry-after: 0\r\n", String::new()),
            (_, "{\"n\":3}") => Reply::Say(503, String::new()),
            _ => Reply::Say(200, "{}".to_owned()),
        });
        let workspace = numbers(&desk.url(), 4, &format!("{keys}\n    concurrency: 1"));
        let (code, report) = export(&workspace, &[]);
        assert_eq!((code, counts(&report["rows"])), (3, [3, 1, 0, 0]), "{keys}: {report}");
        let sent = numbers_of(&desk.came());
        assert_eq!(sent[&1], 2, "{keys}: a limit says that nothing was done");
        assert!(sent[&3] >= often && (often > 1 || sent[&3] == 1), "{keys}: {sent:?}");
        assert_eq!(with_status(&workspace, "refused"), BTreeSet::from([3]), "{keys}");
    }
}

/// Begins an export, waits until the server has so many requests, and kills it.
fn killed_after(workspace: &Workspace, desk: &Desk, requests: usize) {
    let mut child = workspace
        .command(&["export", "api.rows"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    desk.wait_for(requests);
    child.kill().expect("it is killed");
    child.wait().expect("it is gone");
}

/// The id of the newest run.
fn newest(workspace: &Workspace) -> String {
    workspace.json(&["runs"])["runs"][0]["run"].as_str().expect("a run").to_owned()
}

#[test]
fn killed_while_rows_are_under_way_none_is_done_twice() {
    // The server has done what it holds; it only does not say so.
    let held = |came: &Came, before: usize| match before {
        4..7 => Reply::Hold,
        _ => ok(came, before),
    };
    for keys in [POST, KEYED, PUT] {
        let desk = Desk::start(held);
        let workspace = numbers(&desk.url(), 30, &format!("{keys}\n    concurrency: 3"));
        killed_after(&workspace, &desk, 7);
        let may_repeat = keys != POST;
        let in_doubt: BTreeSet<u64> = numbers_of(&desk.came()[4..]).into_keys().collect();
        let run = newest(&workspace);
        let shown = workspace.json(&["runs", "show", &run]);
        assert_eq!(shown["error"]["code"], json!("run.interrupted"), "{shown}");
        desk.release();
        let (code, report) = export(&workspace, &["--resume", &run]);
        assert_eq!(code, 0, "{report}");
        let came = desk.came();
        let sent = numbers_of(&came);
        assert_eq!(sent.len(), 30, "{keys}: every row went out");
        let doubled: BTreeSet<u64> =
            sent.iter().filter(|(_, often)| **often > 1).map(|(n, _)| *n).collect();
        if may_repeat {
            assert!(in_doubt.is_subset(&doubled), "{keys}: {doubled:?}");
            assert!(doubled.iter().all(|n| *n <= 7), "{keys}: {doubled:?}");
            assert_eq!(with_status(&workspace, "done").len(), 30, "{keys}");
        } else {
            assert_eq!(doubled, BTreeSet::new(), "nothing is sent twice in silence");
            assert_eq!(with_status(&workspace, "ambiguous"), in_doubt, "and somebody is told");
            assert_eq!(with_status(&workspace, "done").len(), 27);
            assert_eq!(report["left_alone"], json!(3), "{report}");
            let only = workspace.run(&["export", "api.rows", "--resume", &run]);
            assert_eq!(only.code, 2, "{}", only.err);
            assert!(only.err.contains("--ambiguous"), "{}", only.err);
            let (code, again) = export(&workspace, &["--resume", &run, "--ambiguous"]);
            assert_eq!((code, counts(&again["rows"])), (0, [3, 0, 0, 0]), "{again}");
        }
        if keys == KEYED {
            let mut keys: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
            for one in &came {
                let n = numbers_of(std::slice::from_ref(one)).into_keys().next().expect("one");
                keys.entry(n).or_default().insert(one.header("idempotency-key").to_owned());
            }
            assert!(keys.values().all(|keys| keys.len() == 1 && !keys.contains("")), "{keys:?}");
            assert_eq!(keys.values().flatten().collect::<BTreeSet<_>>().len(), 30);
        }
        let sql = "select _run_id, n from api.rows group by _run_id, n having count(*) > 1";
        assert_eq!(workspace.rows(sql), Vec::<Value>::new(), "outcomes land once");
    }
}

#[test]
fn killed_at_any_stage_every_row_is_done_once_and_told_once() {
    for (event, nth) in [
        ("export_started", 0),
        ("row_settled", 0),
        ("row_settled", 10),
        ("export_ended", 0),
        ("files_staged", 0),
        ("batch_recorded", 0),
        ("table_committed", 0),
    ] {
        let desk = Desk::start(ok);
        let workspace = numbers(&desk.url(), 40, POST);
        let mut child = workspace
            .command(&["--log", "debug", "export", "api.rows"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mark = format!(" {event} ");
        let mut lines = lines.map_while(Result::ok).filter(|line| line.contains(&mark));
        let was_seen = lines.nth(nth).is_some();
        child.kill().expect("it is killed, or gone");
        child.wait().expect("it is gone");
        assert!(was_seen, "{event}");
        let run = newest(&workspace);
        let said = workspace.run(&["--json", "export", "api.rows", "--resume", &run]);
        assert!(
            said.code == 0 || said.err.contains("--ambiguous") || said.code == 2,
            "{}",
            said.err
        );
        let sent = numbers_of(&desk.came());
        assert_eq!(sent.len() + never_sent(&workspace, &sent), 40, "{event}");
        assert!(sent.values().all(|often| *often == 1), "{event}: {sent:?}");
        let sql = "select n from api.rows group by n having count(*) > 1";
        assert_eq!(workspace.rows(sql), Vec::<Value>::new(), "{event}: told once");
        assert_eq!(workspace.value("select count(*) from api.rows"), json!(40), "{event}");
    }
}

/// Rows that were about to go out, and did not: they are told of as ambiguous.
fn never_sent(workspace: &Workspace, sent: &BTreeMap<u64, usize>) -> usize {
    let ambiguous = with_status(workspace, "ambiguous");
    ambiguous.iter().filter(|n| !sent.contains_key(n)).count()
}

#[test]
fn an_export_that_is_stopped_waits_for_what_is_under_way_and_can_be_gone_on_with() {
    let desk = Desk::start(|came, before| match before {
        2 => Reply::Hold,
        _ => ok(came, before),
    });
    let workspace = numbers(&desk.url(), 9, &format!("{POST}\n    concurrency: 1"));
    let mut child = workspace
        .command(&["export", "api.rows"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    desk.wait_for(3);
    let asked = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(asked.expect("kill runs").success());
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let is_stopping = lines.any(|line| line.is_ok_and(|line| line.contains("stopping")));
    assert!(is_stopping);
    desk.release();
    let err: String = lines.map_while(Result::ok).collect::<Vec<_>>().join("\n");
    assert_eq!(child.wait().expect("it ends").code(), Some(3), "{err}");
    let run = newest(&workspace);
    assert!(err.contains(&format!("restway export api.rows --resume {run}")), "{err}");
    assert_eq!(with_status(&workspace, "done").len(), 3, "the one under way was waited for");
    let (code, report) = export(&workspace, &["--resume", &run]);
    assert_eq!((code, counts(&report["rows"])), (0, [6, 0, 0, 0]), "{report}");
    assert!(numbers_of(&desk.came()).values().all(|often| *often == 1));
}

#[test]
fn an_api_that_is_down_leaves_all_rows_to_be_sent_later() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let gone = format!("http://{}", closed.local_addr().expect("an address"));
    drop(closed);
    let workspace = numbers("${env.ADDRESS}", 5, POST);
    let run = |address: &str, more: &[&str]| {
        let arguments = [&["--json", "export", "api.rows"], more].concat();
        let output = workspace.command(&arguments).env("ADDRESS", address).output();
        let said = said(output.expect("it runs"));
        (said.code, json_of(&said))
    };
    let (code, report) = run(&gone, &[]);
    assert_eq!((code, counts(&report["rows"])), (3, [0, 0, 0, 5]), "{report}");
    assert_eq!(report["error"]["code"], json!("call.connect"), "{report}");
    let desk = Desk::start(ok);
    // The rows of the first run go out, whatever the query would give by now.
    define(&workspace, "${env.ADDRESS}", 50, POST);
    let first = report["run"].as_str().expect("a run");
    let (code, report) = run(&desk.url(), &["--resume", first]);
    assert_eq!((code, counts(&report["rows"])), (0, [5, 0, 0, 0]), "{report}");
    assert_eq!(numbers_of(&desk.came()).len(), 5);
}

#[test]
fn an_answer_that_never_came_makes_a_row_ambiguous_or_leaves_it() {
    for (keys, expected) in [(POST, [3, 0, 1, 0]), (PUT, [3, 0, 0, 1])] {
        let desk = Desk::start(|came, before| match came.body.as_str() {
            "{\"n\":2}" => Reply::HangUp,
            _ => ok(came, before),
        });
        let workspace = numbers(&desk.url(), 4, keys);
        let (code, report) = export(&workspace, &[]);
        assert_eq!((code, counts(&report["rows"])), (3, expected), "{keys}: {report}");
        let sent = numbers_of(&desk.came());
        assert!(if keys == POST { sent[&2] == 1 } else { sent[&2] > 1 }, "{sent:?}");
    }
    let desk = Desk::start(|_, _| Reply::Say(504, String::new()));
    let workspace = numbers(&desk.url(), 1, POST);
    assert_eq!(counts(&export(&workspace, &[]).1["rows"]), [0, 0, 1, 0], "a gateway does not know");
}

#[test]
fn many_rows_go_out_once_each() {
    const ROWS: u64 = 10_000;
    let desk = Desk::start(ok);
    let workspace = numbers(&desk.url(), ROWS, &format!("{PUT}\n    concurrency: 16"));
    let report = workspace.json(&["export", "api.rows"]);
    assert_eq!(counts(&report["rows"]), [ROWS, 0, 0, 0], "{report}");
    let sent = numbers_of(&desk.came());
    assert_eq!(sent.len() as u64, ROWS);
    assert!(sent.values().all(|often| *often == 1));
    let sql = "select count(distinct n) from api.rows where status = 'done'";
    assert_eq!(workspace.value(sql), json!(ROWS));
}

#[test]
fn errors_end_a_run_where_the_export_says_so() {
    let refusing = |came: &Came, before: usize| match came.body.contains('2') {
        true => Reply::Say(400, "no".to_owned()),
        false => ok(came, before),
    };
    let desk = Desk::start(refusing);
    let keys = format!("{PUT}\n    concurrency: 1\n    on_error: fail");
    let workspace = numbers(&desk.url(), 9, &keys);
    let (code, report) = export(&workspace, &[]);
    assert_eq!((code, counts(&report["rows"])), (1, [1, 1, 0, 7]), "{report}");
    assert_eq!(report["error"]["code"], json!("export.refused"));
    assert!(report["resume"].as_str().is_some_and(|text| text.contains("--resume")), "{report}");
    let keys = format!("{PUT}\n    concurrency: 1\n    max_errors: 1");
    let workspace = numbers(&desk.url(), 40, &keys);
    let (code, report) = export(&workspace, &[]);
    assert_eq!((code, counts(&report["rows"])), (1, [10, 2, 0, 28]), "{report}");
    let keys = format!("{PUT}\n    on_error: dead_letter");
    let workspace = numbers(&desk.url(), 9, &keys);
    let (code, report) = export(&workspace, &[]);
    assert_eq!((code, counts(&report["rows"])), (3, [8, 1, 0, 0]), "{report}");
    let dead = "select n, response_status, content from api.rows_dead_letters";
    let expected = json!({"n": 2, "response_status": 400, "content": {"n": 2}});
    assert_eq!(workspace.rows(dead), [expected]);
    // A value that makes no request is a row's own fault, and holds nobody up.
    let workspace = numbers(&desk.url(), 3, PUT);
    let file = std::fs::read_to_string(workspace.path().join("apis/api.yaml")).expect("a file");
    let none = "select value as n, nullif(value, 3) as at from range(1, 5) where value <> 2";
    let file =
        file.replace("select value as n from range(1, 4)", none).replace("/${row.n}", "/${row.at}");
    workspace.write("apis/api.yaml", &file);
    let (code, report) = export(&workspace, &[]);
    assert_eq!((code, counts(&report["rows"])), (3, [2, 1, 0, 0]), "{report}");
    let sql = "select n, error from api.rows where status = 'refused'";
    assert!(
        workspace.rows(sql)[0]["error"].as_str().is_some_and(|e| e.contains("has nothing for"))
    );
}

#[test]
fn what_the_rows_lack_is_said_before_anything_is_sent() {
    let desk = Desk::start(ok);
    let workspace = numbers(&desk.url(), 3, &PUT.replace("row.n}'", "row.m}'"));
    let said = workspace.run(&["export", "api.rows"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("no column `m`") && said.err.contains("did you mean `n`?"));
    let workspace = numbers(&desk.url(), 3, PUT);
    let file = std::fs::read_to_string(workspace.path().join("apis/api.yaml")).expect("a file");
    workspace.write("apis/api.yaml", &file.replace("select value as n", "select value % 2 as n"));
    let said = workspace.run(&["export", "api.rows"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("two rows of `api.rows` have the key [1]"), "{}", said.err);
    workspace.write("apis/api.yaml", &file.replace("select value as n from range(1, 4)", "late"));
    let said = workspace.run(&["check"]);
    assert!(said.err.contains("no saved query `late`"), "{}", said.err);
    workspace.write("queries/late.sql", "---\ntitle: Late\n---\nselect 8 as n;\n");
    let planned = workspace.json(&["export", "api.rows", "--dry-run"]);
    assert_eq!(planned["rows"], json!(1));
    assert!(planned["requests"][0].as_str().is_some_and(|line| line.contains("/orders/8'")));
    let plan = workspace.ok(&["plan", "api.rows"]).out;
    assert!(plan.contains("/orders/${row.n}'"), "{plan}");
    assert_eq!(desk.came().len(), 0);
    assert_eq!(counts(&workspace.json(&["export", "api.rows"])["rows"]), [1, 0, 0, 0]);
}

#[test]
fn no_secret_is_in_any_output_or_table() {
    const MARKER: &str = "marker-\"7f3a9c\"-never-to-be-seen";
    let desk = Desk::start(|came, before| {
        let status = if before % 2 == 0 { 200 } else { 422 };
        Reply::Say(
            status,
            json!({"you": came.header("authorization"), "body": came.body}).to_string(),
        )
    });
    let workspace = Workspace::new();
    workspace.write(
        "apis/api.yaml",
        &format!(
            "api: api\nbase_url: {}\nauth: {{ type: bearer, token: '${{secret.token}}' }}\n\
             exports:\n  rows:\n    from: select value as n from range(1, 5)\n    request: {{ \
             method: PUT, path: '/x/${{row.n}}', json: {{ n: '${{row.n}}', key: '${{secret.token}}' }} }}\n",
            desk.url()
        ),
    );
    assert_eq!(workspace.feed(&["secret", "set", "token", "-"], MARKER).code, 0);
    let mut all = String::new();
    for arguments in [
        &["--log", "trace", "export", "api.rows"][..],
        &["--json", "export", "api.rows"],
        &["export", "api.rows", "--dry-run"],
        &["runs"],
        &["query", "select * from api.rows"],
    ] {
        let said = workspace.run(arguments);
        all.push_str(&said.out);
        all.push_str(&said.err);
    }
    assert!(desk.came().iter().all(|one| one.body.contains("never-to-be-seen")), "it was sent");
    assert!(all.contains("***"), "{all}");
    for part in ["7f3a9c", "never-to-be-seen"] {
        assert!(!all.contains(part), "{part}: {all}");
        for file in workspace.files(".restway") {
            let bytes = std::fs::read(&file).expect("a file");
            assert!(!bytes.windows(part.len()).any(|w| w == part.as_bytes()), "{}", file.display());
        }
    }
}

#[test]
fn a_definition_that_cannot_be_meant_is_refused() {
    let bad = "api: api
base_url: http://127.0.0.1:1
resources: { taken: /x }
exports:
  taken: { from: select 1 as n, key: n, request: { method: PUT, path: '/x/${row.n}' } }
  scopes:
    from: select 1 as n
    request: { method: POST, path: '/x/${secret.a}', json: { a: '${param.a}', b: '${rows}', c: '${row.n}' } }
  same: { from: select 1 as n, request: { method: POST, path: /x } }
  key: { from: select 1 as status, key: status, request: { method: PUT, path: '/x/${row.status}' } }
  from: { from: '*', request: { method: DELETE, path: '/x/${row.n}' } }
  body: { from: select 1 as n, request: { method: GET, path: '/x/${row.n}', json: {} } }
  file: { from: select 1 as n, request: { method: POST, path: '/x/${row.n}', file: a } }
  keys: { from: select 1 as n, batch: 3, request: { method: PUT, path: '/x/${row.n}' } }
  error: { from: select 1 as n, on_error: ignore, request: { method: PUT, path: '/x/${row.n}' } }
";
    let workspace = Workspace::new();
    let problems = |text: &str| {
        workspace.write("apis/api.yaml", text);
        let said = workspace.run(&["check"]);
        assert_eq!(said.code, 2, "{}", said.err);
        said.err
    };
    let grammar = problems(bad);
    for expected in ["unknown key `batch`", "`ignore` is none of the words"] {
        assert!(grammar.contains(expected), "{expected}: {grammar}");
    }
    let kept = bad.lines().filter(|line| !line.contains("batch: 3") && !line.contains("ignore"));
    let meaning = problems(&kept.collect::<Vec<_>>().join("\n"));
    for expected in [
        "`taken` is a resource's table",
        "`${rows}` is not",
        "`${secret.a}` has no meaning here",
        "`${param.a}` has no meaning here",
        "the request is the same for every row",
        "has a column `status` of its own",
        "`*` is neither a SELECT",
        "a body needs POST, PUT or PATCH",
        "a row has no attachments",
    ] {
        assert!(meaning.contains(expected), "{expected}: {meaning}");
    }
}
