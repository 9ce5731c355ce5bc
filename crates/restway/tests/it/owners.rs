//! Whose account an api answers for, asked before anything lands or is sent.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use demo_api::DemoApi;
use serde_json::json;

use crate::support::{Api, Workspace};

fn workspace(api: &Api, is: &str) -> Workspace {
    let workspace = Workspace::new();
    let file = api.open_file("  customers: /open/none\n  again: /open/none");
    let identity = format!("identity: {{ path: /open/page, is: \"{is}\" }}\n");
    let exports = "exports:\n  back: { from: open.customers, key: id, request: { method: PUT, \
                   path: '/open/none/${row.id}' } }\n";
    workspace.write("apis/open.yaml", &format!("{file}{identity}{exports}"));
    workspace
}

#[test]
fn rows_land_from_the_account_that_the_file_names() {
    let api = Api::start();
    let workspace = workspace(&api, "total = 200 and page = 1");
    workspace.ok(&["sync"]);
    assert_eq!(api.get().count("/open/page"), 1, "one question for all resources");
    assert_eq!(workspace.value("select count(*) from open.customers"), json!(200));
}

#[test]
fn nothing_lands_from_another_account_and_nothing_is_sent_to_it() {
    let api = Api::start();
    let before = workspace(&api, "total = 200");
    before.ok(&["sync"]);
    for is in ["total = 7", "nobody = 'there'"] {
        let file = std::fs::read_to_string(before.path().join("apis/open.yaml")).expect("a file");
        let start = file.find("is: \"").expect("a condition") + 5;
        let end = start + file[start..].find('"').expect("its end");
        before.write("apis/open.yaml", &format!("{}{is}{}", &file[..start], &file[end..]));
        api.get().forget_requests();
        let said = before.run(&["sync"]);
        assert_eq!(said.code, 1, "{}", said.err);
        assert!(said.err.contains("[api.other_account]"), "{}", said.err);
        assert!(said.err.contains(is), "{}", said.err);
        let said = before.run(&["export", "open.back"]);
        assert_eq!(said.code, 1, "{}", said.err);
        assert_eq!(api.get().count("/open/none"), 0);
    }
    assert_eq!(before.value("select count(*) from open.customers"), json!(200));
}

/// Answers who asks only when another api was called; the bound ends it where that never comes.
fn answer_after(listener: &TcpListener, other: &DemoApi) {
    let (mut stream, _) = listener.accept().expect("a caller");
    let began = Instant::now();
    while other.count("/open/none") == 0 && began.elapsed() < Duration::from_secs(60) {
        std::thread::yield_now();
    }
    let _ = stream.read(&mut [0; 4096]);
    let status = if other.count("/open/none") == 0 { "200 OK" } else { "404 Not Found" };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 8\r\n\r\n{{\"id\":1}}");
    let _ = stream.write_all(answer.as_bytes());
}

#[test]
fn an_api_that_is_slow_to_say_holds_up_no_other() {
    let api = Api::start();
    let workspace = Workspace::new();
    workspace.write("apis/open.yaml", &api.open_file("  customers: /open/none"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let slow = format!(
        "api: aaa\nbase_url: {url}\nidentity: {{ path: /me, is: id = 1 }}\nresources: {{ x: /x }}\n"
    );
    workspace.write("apis/aaa.yaml", &slow);
    let other = api.get();
    let said = std::thread::scope(|scope| {
        scope.spawn(|| answer_after(&listener, other));
        workspace.run(&["sync"])
    });
    // Its own question was answered last, and with a refusal.
    assert!(said.err.contains("status 404"), "{}", said.err);
    assert_eq!(workspace.value("select count(*) from open.customers"), json!(200));
}

#[test]
fn an_api_that_does_not_say_is_as_good_as_another() {
    let api = Api::start();
    let workspace = workspace(&api, "total = 200");
    let file = std::fs::read_to_string(workspace.path().join("apis/open.yaml")).expect("a file");
    let file = file.replace("path: /open/page", "path: /fault/status/404");
    workspace.write("apis/open.yaml", &file);
    let said = workspace.run(&["sync"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("status 404"), "{}", said.err);
    assert_eq!(api.get().count("/open/none"), 0);
}
