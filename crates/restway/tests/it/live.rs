//! Queries that ask the api itself, as a person at the terminal asks them.

use std::process::Stdio;
use std::time::Duration;

use demo_api::{Effect, Fault, Settings};
use serde_json::{Value, json};

use crate::support::{Api, Workspace};

fn workspace(api: &Api, resources: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("apis/open.yaml", &api.open_file(resources));
    workspace
}

/// The feed, asked by `above`, in pages of 10, with further keys.
fn feed(live: &str) -> String {
    format!(
        "  feed:\n    path: /feed\n    records: rows\n    query: {{ size: 10 }}\n    paginate: \
         {{ type: token, next: next, param: after }}\n    live: {{ {live} }}\n"
    )
}

fn fill(api: &Api, rows: u64) {
    (1..=rows).for_each(|id| api.get().add_to_feed(id, Some("2025-01-31T00:00:00Z")));
}

/// What the api was asked, without what came before the query.
fn asked(api: &Api, workspace: &Workspace, sql: &str) -> (Vec<Value>, Vec<String>) {
    api.get().forget_requests();
    let rows = workspace.rows(sql);
    (rows, api.get().requests().into_iter().map(|seen| seen.path_and_query).collect())
}

#[test]
fn what_a_query_says_is_sent_and_one_call_answers() {
    let api = Api::start();
    let workspace = workspace(&api, &feed("params: [above, since]"));
    fill(&api, 95);
    let (rows, requests) = asked(
        &api,
        &workspace,
        "select id, above from live.open.feed where above = 93 order by id",
    );
    assert_eq!(requests, ["/feed?above=93&size=10"]);
    let row = |id: u64| json!({"id": id, "above": 93});
    assert_eq!(rows, [row(93), row(94), row(95)]);
    // Qualified, turned round, given as a parameter, and a text that is not a reference.
    let sql = "select count(*) as n from live.open.feed f where (id > 94 and $from = f.above)";
    let said = workspace.ok(&["query", "--format", "csv", sql, "--param", "from=94"]);
    assert_eq!(said.out, "n\n1\n");
    // What does not hold for every row of the answer is not sent.
    for condition in ["above = 93 or id = 1", "above > 93", "not above = 93"] {
        api.get().forget_requests();
        workspace.run(&["query", &format!("select id from live.open.feed where {condition}")]);
        let requests = api.get().requests();
        assert!(requests.iter().all(|seen| !seen.path_and_query.contains("above")), "{condition}");
    }
    // One read answers both mentions, so it sends nothing that only one of them says.
    let sql = "select (select count(*) from live.open.feed where id = 95) + count(*) as n \
               from live.open.feed where id > 90";
    let (rows, requests) = asked(&api, &workspace, sql);
    assert_eq!((rows, requests.len()), (vec![json!({"n": 6})], 10));
}

#[test]
fn the_query_filters_again_and_values_are_sent_as_they_are() {
    let api = Api::start();
    let echo = "  echo: { path: /fault/echo, records: $, live: { params: [method, q] } }";
    let workspace = workspace(&api, echo);
    let sql = "select method from live.open.echo where method = ";
    assert_eq!(workspace.rows(&format!("{sql}'GET'")), [json!({"method": "GET"})]);
    // The api was asked for it, answered something else, and that is not in the answer.
    assert_eq!(asked(&api, &workspace, &format!("{sql}'POST'")).0, Vec::<Value>::new());
    assert_eq!(api.get().requests()[0].path_and_query, "/fault/echo?method=POST");
    let sql = "select query, q from live.open.echo where q = '${secret.X}&a=b'";
    let row = json!({"query": [["q", "${secret.X}&a=b"]], "q": "${secret.X}&a=b"});
    assert_eq!(workspace.rows(sql), [row]);
}

#[test]
fn a_bound_that_is_reached_fails_the_query() {
    let stuck = Fault {
        path: "/open/none".into(),
        after: 0,
        times: 1,
        effect: Effect::Wait(Duration::from_secs(60)),
    };
    let api = Api::with(Settings { faults: vec![stuck], ..Settings::default() });
    let pages = feed("max_pages: 2");
    let rows = feed("max_rows: 25").replace("feed:", "rows:");
    let slow = "  slow: { path: /open/none, live: { timeout: 100ms } }\n";
    let workspace = workspace(&api, &format!("{pages}{rows}{slow}"));
    fill(&api, 95);
    let cases =
        [("feed", "has more than 2 pages"), ("rows", "25 rows"), ("slow", "longer than 100ms")];
    for (resource, text) in cases {
        let sql = format!("select count(*) from live.open.{resource}");
        let said = workspace.run(&["query", &sql]);
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{}", said.err);
        assert!(said.err.contains("query.live_bound") && said.err.contains(text), "{}", said.err);
        assert!(said.err.contains(&format!("restway sync open.{resource}")), "{}", said.err);
    }
    api.get().forget_requests();
    workspace.run(&["query", "select count(*) from live.open.feed"]);
    assert_eq!(api.get().count("/feed"), 2, "no page beyond the bound is asked for");
    // Any rows will do, so no more are read.
    let (rows, requests) =
        asked(&api, &workspace, "select id from live.open.feed limit 3 offset 9");
    assert_eq!((rows.len(), requests.len()), (3, 2));
    for sql in [
        "select id from live.open.feed order by id limit 3",
        "select max(id) from live.open.feed limit 1",
    ] {
        assert_eq!(workspace.run(&["query", sql]).code, 1, "{sql}");
    }
}

#[test]
fn a_live_table_is_what_a_sync_lands() {
    let api = Api::start();
    let resources = "  \
        types: { path: /fault/types, records: data, paginate: { type: token, next: nextPageToken, \
        param: pageToken } }
  customers: { path: /open/none }";
    let workspace = workspace(&api, resources);
    let columns = |table: &str, sql: &str| {
        let said = workspace.ok(&["query", "--format", "csv", &sql.replace("TABLE", table)]);
        said.out
    };
    // A list is a table of its own when it lands, and JSON when it does not.
    let drift = "select id, int_then_text, int_then_decimal, null_then_typed, \
                 object_then_scalar, object_then_scalar__a, int_then_huge, late from TABLE \
                 order by id";
    let fresh = columns("live.open.types", drift);
    let names = columns("live.open.customers", "select * except (tags) from TABLE order by id");
    assert!(workspace.files(".restway/tables").is_empty(), "nothing was landed");
    workspace.ok(&["sync"]);
    assert_eq!(fresh, columns("open.types", drift));
    assert_eq!(fresh, columns("live.open.types", drift), "over the landed columns too");
    let sql = "select * except (_row_id, _run_id, _fetched_at) from TABLE order by id";
    assert_eq!(names, columns("open.customers", sql));
    let typed = |table: &str| {
        columns(
            table,
            "select arrow_typeof(int_then_huge) as huge, \
        arrow_typeof(late) as late, arrow_typeof(id) as id from TABLE limit 1",
        )
    };
    assert_eq!(typed("live.open.types"), typed("open.types"));
}

#[test]
fn live_and_landed_tables_are_joined() {
    let api = Api::start();
    let resources = format!("{}  customers: {{ path: /open/none }}\n", feed("params: [above]"));
    let workspace = workspace(&api, &resources);
    fill(&api, 95);
    workspace.ok(&["sync", "open.customers"]);
    let sql = "select c.id, l.name = c.name as same from open.customers c \
               join live.open.feed f on f.id = c.id join live.open.customers l on l.id = f.id \
               where f.above = 94 order by c.id";
    let (rows, requests) = asked(&api, &workspace, sql);
    assert_eq!(rows, [json!({"id": 94, "same": true}), json!({"id": 95, "same": true})]);
    assert_eq!(requests.len(), 2, "{requests:?}");
}

#[test]
fn what_cannot_be_asked_live_is_refused_before_any_call() {
    let api = Api::start();
    let resources = "  customers: { path: /open/none }
  details: { path: '/open/${parent.id}', for_each: customers }
  made: { path: /fault/echo, method: POST, json: {} }";
    let workspace = workspace(&api, resources);
    let cases: [(&[&str], &str, &str); 6] = [
        (&["select * from live.open.custommers"], "definition.missing", "open.customers"),
        (&["select * from live.opem.customers"], "definition.missing", "did you mean `open`"),
        (&["select * from live.open.details"], "query.live_refused", "`customers`"),
        (&["select * from live.open.made"], "query.live_refused", "POST"),
        (&["select * from live.open.customers", "--as-of", "1"], "query.invalid", "as of another"),
        (&["delete from live.open.customers"], "query.invalid", "SELECT"),
    ];
    for (arguments, code, text) in cases {
        let said = workspace.run(&[&["query"], arguments].concat());
        assert_eq!(said.code, 2, "{arguments:?} {}", said.err);
        assert!(said.err.contains(code) && said.err.contains(text), "{arguments:?} {}", said.err);
    }
    assert_eq!(api.get().requests().len(), 0);
    let shown = workspace.ok(&["query", "show tables"]).out;
    assert!(!shown.contains("live"), "{shown}");
    workspace.write("apis/open.yaml", &api.open_file(&feed("params: [api_key, since, Since]")));
    let said = workspace.run(&["check"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("credential") && said.err.contains("column `since`"), "{}", said.err);
}

#[test]
fn a_query_that_waits_for_an_api_ends_when_it_is_asked_to() {
    let stuck = Fault {
        path: "/open/none".into(),
        after: 0,
        times: 1,
        effect: Effect::Wait(Duration::from_secs(60)),
    };
    let api = Api::with(Settings { faults: vec![stuck], ..Settings::default() });
    let workspace = workspace(&api, "  customers: { path: /open/none }");
    let sql = "select count(*) from live.open.customers";
    let mut child = workspace
        .command(&["query", sql])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    while api.get().count("/open/none") < 1 {
        std::thread::yield_now();
    }
    let killed =
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("kill runs").success());
    assert!(!child.wait().expect("it ends").success());
    assert_eq!(workspace.value(sql), json!(200), "nothing is in the way of the next");
}
