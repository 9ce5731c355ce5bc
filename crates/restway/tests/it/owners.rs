//! Whose account an api answers for, asked before anything lands or is sent.

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
