//! Tables read by programs that are not ours: deltalake, Polars and DuckDB.
//!
//! Data that is awkward to land is synced from a server of the test, and each table is compared,
//! value for value, with what Restway answers. `make test` installs the readers.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::support::Workspace;

/// Bodies by path, and the server that answers with them until the test ends.
#[derive(Clone, Default)]
struct Bodies(Arc<Mutex<BTreeMap<String, String>>>);

impl Bodies {
    fn set(&self, path: &str, body: &str) {
        self.0.lock().expect("no panic").insert(path.to_owned(), body.to_owned());
    }

    /// Serves on a free port, from a thread that ends with the process.
    fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let bodies = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
                let Some(Ok(head)) = lines.next() else { continue };
                lines.find(|line| line.as_ref().map_or(true, String::is_empty));
                let path = head.split(' ').nth(1).unwrap_or_default();
                let body = bodies.0.lock().expect("no panic").get(path).cloned();
                let body = body.unwrap_or_default();
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                     content-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
            }
        });
        format!("http://{address}")
    }
}

fn python() -> PathBuf {
    let folder = std::env::var_os("RESTWAY_TEST_PEERS").expect(
        "RESTWAY_TEST_PEERS names the folder of the test servers; `make test` sets it, \
         `make peers` fills it",
    );
    PathBuf::from(folder).join("readers/venv/bin/python")
}

/// Compares every table of the workspace with what the readers see.
fn compare(workspace: &Workspace, tables: &[&str]) {
    let script = workspace.path().join("readers.py");
    std::fs::write(&script, include_str!("readers.py")).expect("it can be written");
    for table in tables {
        let rows = workspace.path().join("rows.json");
        let sql = format!("select * from {table} order by _row_id");
        let rows_text = rows.to_str().expect("a text");
        workspace.ok(&["query", &sql, "--format", "json", "-o", rows_text]);
        let shown = workspace.ok(&["--json", "tables", "show", table]);
        std::fs::write(workspace.path().join("shown.json"), shown.out).expect("written");
        let folder = workspace.path().join(".restway/tables").join(table.replace('.', "/"));
        let output = Command::new(python())
            .arg(&script)
            .args([folder, rows, workspace.path().join("shown.json")])
            .output()
            .expect("python runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{table}: {said}");
    }
}

const FIRST: &str = r#"[
  {"id": 1, "name": "Zoë \ud83d\ude00", "n": 1, "big": 9007199254740993, "money": 0.1,
   "at": "2024-01-02T03:04:05.123456+02:00", "day": "2024-02-29", "ok": true, "none": null,
   "owner": {"id": 7, "tags": ["a", null, "b"]},
   "lines": [{"sku": "x", "price": 12345678901234567890.12, "parts": [{"p": 1}, {"p": null}]}]},
  {"id": 2, "name": "", "n": null, "big": -9223372036854775808, "money": 1e-7,
   "at": null, "day": "1582-10-15", "ok": false, "none": null, "owner": null, "lines": []}
]"#;

const WIDER: &str = r#"[
  {"id": 3, "name": "a\u0000b\"\n", "n": 2.5, "big": 123456789012345678901234567890,
   "money": 0.12345678901234567890123, "at": "0001-01-01T00:00:00Z", "day": "9999-12-31T00:00:00Z",
   "ok": null, "none": null, "late": {"x": [1, {"y": 1e400}]},
   "lines": [{"sku": "y", "price": 1, "parts": []}, {"sku": 5, "extra": true}]},
  {"id": 4, "name": "9", "n": -0.0, "big": 1, "mixed": [1, "a", {"b": null}]}
]"#;

#[test]
fn awkward_tables_are_the_same_to_other_readers() {
    let bodies = Bodies::default();
    let workspace = Workspace::new();
    let url = bodies.serve();
    workspace.write(
        "apis/odd.yaml",
        &format!(
            "api: odd\nbase_url: {url}\nresources:\n  \
             grown: {{ path: /grown, load: append, nest: {{ json: [late] }} }}\n  \
             replaced: {{ path: /replaced, load: replace }}\n"
        ),
    );
    for (grown, replaced) in [(FIRST, WIDER), (WIDER, FIRST)] {
        bodies.set("/grown", grown);
        bodies.set("/replaced", replaced);
        workspace.ok(&["sync"]);
    }
    let listed = workspace.json(&["tables"]);
    let tables = listed["tables"].as_array().expect("a list").iter();
    let names: Vec<&str> = tables.filter_map(|table| table["table"].as_str()).collect();
    assert!(names.contains(&"odd.grown__lines__parts"), "{names:?}");
    compare(&workspace, &names);
    workspace.ok(&["tables", "optimize"]);
    compare(&workspace, &names);
    workspace.ok(&["tables", "restore", "odd.grown", "--to", "1"]);
    compare(&workspace, &names);
}
