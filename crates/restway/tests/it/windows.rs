//! Windows of time that are read side by side.

use demo_api::{Effect, Fault, Settings};
use serde_json::{Value, json};

use crate::incremental::{count, feed, killed_at, sync, workspace};
use crate::support::Api;

const YEARS: &str = "    incremental: { cursor: at, send: { query: since }, settle: 1m,
      window: 400d, start: 2020-01-01T00:00:00Z }\n";
const UNTIL: &str = ", until: \"${window.end}\"";

fn cursor(said: &Value) -> String {
    said["resources"][0]["detail"]["cursor_after"].as_str().unwrap_or_default().to_owned()
}

/// Rows of each of six years, thirty a year.
fn years(api: &Api) {
    for id in 0..180 {
        let (year, day, minute) = (2020 + id % 6, 1 + id % 28, id % 60);
        api.get().add_to_feed(id, Some(&format!("{year}-03-{day:02}T00:{minute:02}:00Z")));
    }
}

#[test]
fn windows_are_read_side_by_side_and_the_cursor_ends_where_all_are_whole() {
    let fault = Fault {
        path: "/feed".into(),
        after: 8,
        times: 1,
        effect: Effect::Answer { status: 404, retry_after: None },
    };
    // One window fails: those beside it go on to their ends, and the cursor waits.
    let api = Api::with(Settings { faults: vec![fault], ..Settings::default() });
    let workspace = workspace(&api, &feed(YEARS, UNTIL));
    years(&api);
    let failed = workspace.run(&["--json", "sync"]);
    assert_eq!(failed.code, 3, "{}\n{}", failed.out, failed.err);
    let (rows, distinct) = count(&workspace);
    assert_eq!(rows, distinct);
    let landed = rows.as_u64().expect("a count");
    assert!((1..180).contains(&landed), "{landed}");
    api.get().forget_requests();
    let said = sync(&workspace);
    assert_eq!(said["counts"]["rows"], json!(180 - landed), "{said}");
    assert_eq!(count(&workspace), (json!(180), json!(180)));
    assert!(cursor(&said).as_str() > "2026", "{said}");
    assert_eq!(sync(&workspace)["counts"]["rows"], json!(0));
}

#[test]
fn killed_between_windows_every_row_lands_once() {
    for stage in ["page_read", "files_staged", "batch_recorded", "table_committed"] {
        let api = Api::start();
        let workspace = workspace(&api, &feed(YEARS, UNTIL));
        years(&api);
        for nth in [0, 2, 5, 9] {
            killed_at(&workspace, stage, nth);
            if workspace.path().join(".restway/tables/open/feed/_delta_log").exists() {
                let (rows, distinct) = count(&workspace);
                assert_eq!(rows, distinct, "{stage} {nth}");
            }
        }
        sync(&workspace);
        assert_eq!(count(&workspace), (json!(180), json!(180)), "{stage}");
    }
}

#[test]
fn another_length_of_windows_leaves_those_that_were_begun() {
    let wait = Fault {
        path: "/feed".into(),
        after: 0,
        times: 1,
        effect: Effect::Answer { status: 404, retry_after: None },
    };
    let api = Api::with(Settings { faults: vec![wait], ..Settings::default() });
    let workspace = workspace(&api, &feed(YEARS, UNTIL));
    years(&api);
    assert_eq!(workspace.run(&["sync"]).code, 3);
    let other = api.open_file(&feed(&YEARS.replace("400d", "1000d"), UNTIL));
    workspace.write("apis/open.yaml", &other);
    sync(&workspace);
    assert_eq!(count(&workspace), (json!(180), json!(180)));
}
