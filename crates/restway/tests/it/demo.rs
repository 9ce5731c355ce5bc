//! `restway demo --once`: the first thing that anybody runs.

use crate::support::Workspace;

#[test]
fn demo_shows_the_whole_way_and_ends() {
    let elsewhere = Workspace::new();
    let said = elsewhere.ok(&["demo", "--once"]);
    for expected in [
        "demo.customers__tags",
        "demo.issues__comments",
        "demo.orders__lines",
        "revenue",
        "/rest/v1/demo/orders/7",
        "\"status\":200",
        "\"count\":",
    ] {
        assert!(said.out.contains(expected), "{expected} is missing in\n{}", said.out);
    }
    assert!(!said.err.contains("error"), "{}", said.err);
    assert!(elsewhere.files(".restway").is_empty(), "the demo leaves the folder as it was");
}
