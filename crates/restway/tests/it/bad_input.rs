//! What is said when something is wrong, the exit code, and that the tables stay as they were.

use std::net::TcpListener;

use serde_json::json;

use crate::support::{Api, Workspace};

/// Syncs a good resource, breaks the file, syncs again: the code, and the rows of before.
fn broken(api: &Api, api_file: &str, exit: i32, code: &str, says: &[&str]) {
    let workspace = Workspace::new();
    workspace.write("apis/open.yaml", &api.open_file("  customers: /open/none"));
    workspace.ok(&["sync"]);
    workspace.write("apis/open.yaml", api_file);
    let said = workspace.run(&["sync"]);
    assert_eq!(said.code, exit, "{}\n{}", said.out, said.err);
    assert!(said.err.contains(&format!("[{code}]")), "{code}\n{}", said.err);
    for words in says {
        assert!(said.err.contains(words), "`{words}` is missing:\n{}", said.err);
    }
    workspace.write("apis/open.yaml", &api.open_file("  customers: /open/none"));
    assert_eq!(workspace.value("select count(*) from open.customers"), json!(200));
    let staged = workspace.files(".restway/tables");
    let shown = workspace.json(&["tables", "show", "open.customers"]);
    let known = shown["files"].as_u64().expect("a count");
    let parts = staged.iter().filter(|file| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or("");
        name.ends_with(".parquet") && file.to_string_lossy().contains("/customers/")
    });
    assert_eq!(parts.count() as u64, known, "no file is left of the failed run: {staged:?}");
}

#[test]
fn a_wrong_key_is_shown_in_its_line() {
    let api = Api::start();
    let file = api.open_file("  customers: { path: /open/none, recrods: data }");
    broken(
        &api,
        &file,
        2,
        "definition.invalid",
        &["apis/open.yaml:4:", "unknown key `recrods`", "^^^^^^^", "did you mean `records`?"],
    );
}

#[test]
fn a_dead_host_is_named() {
    let api = Api::start();
    // The port was free a moment ago, and nobody listens on it.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let file = format!(
        "api: open\nbase_url: http://{address}\nretry: {{ deadline: 0s }}\n\
         resources: {{ customers: /x }}\n"
    );
    let goes_on = "what earlier syncs committed stays; `restway sync open.customers` goes on";
    broken(&api, &file, 3, "call.connect", &[&address.to_string(), goes_on]);
}

#[test]
fn a_name_that_does_not_resolve_is_named() {
    let api = Api::start();
    let file = "api: open\nbase_url: https://no-such-host.invalid\nretry: { deadline: 0s }\n\
                resources: { customers: /x }\n";
    broken(&api, file, 1, "call.dns", &["no-such-host.invalid"]);
}

#[test]
fn refused_credentials_are_named() {
    let api = Api::start();
    let file = api.open_file("  customers: { path: /v1/customers, records: data }");
    broken(&api, &file, 1, "call.unauthorized", &["401", "/v1/customers"]);
}

#[test]
fn what_is_not_json_is_not_read_as_nothing() {
    let api = Api::start();
    let at = |path: &str| api.open_file(&format!("  customers: {{ path: {path}, records: data }}"));
    broken(&api, &at("/fault/html"), 1, "page.not_json", &["/fault/html"]);
    broken(&api, &at("/fault/not-json"), 1, "page.not_json", &["/fault/not-json"]);
    broken(&api, &at("/fault/empty"), 1, "page.not_json", &["/fault/empty"]);
    broken(&api, &at("/fault/no-records"), 1, "page.records_missing", &["`data`"]);
    let misspelt = api.open_file("  customers: { path: /open/page, records: itmes }");
    broken(
        &api,
        &misspelt,
        1,
        "page.records_missing",
        &["`itmes`", "did you mean `records: items`?"],
    );
}

#[test]
fn a_loop_of_pages_ends() {
    let api = Api::start();
    let file = api.open_file(
        "  customers: { path: /fault/loop, records: data, \
         paginate: { type: token, next: nextPageToken, param: pageToken } }",
    );
    broken(&api, &file, 1, "page.loop", &["/fault/loop"]);
    assert!(api.get().count("/fault/loop") < 10);
}

#[test]
fn a_cut_answer_is_an_error() {
    let api = Api::start();
    let file = format!(
        "api: open\nbase_url: {}\nretry: {{ deadline: 0s }}\nresources:\n  \
         customers: {{ path: /fault/truncated, records: data }}\n",
        api.url()
    );
    broken(&api, &file, 1, "call.interrupted", &["/fault/truncated"]);
}

#[test]
fn a_bound_on_pages_is_an_error_and_not_the_end() {
    let api = Api::start();
    let file = api.open_file("  customers: { path: /open/link, paginate: link, max_pages: 2 }");
    broken(&api, &file, 1, "page.bound", &["2 pages"]);
}

#[test]
fn a_declared_type_that_a_value_does_not_fit_is_an_error() {
    let api = Api::start();
    let file = api.open_file("  customers: { path: /open/none, types: { name: int64 } }");
    broken(&api, &file, 1, "table.too_many_rejects", &["200 of 200", "name", "int64"]);
}

#[test]
fn a_full_disk_leaves_the_tables_as_they_were() {
    let api = Api::start();
    let workspace = Workspace::new();
    let disk = workspace.path().join("disk");
    std::fs::create_dir(&disk).expect("a folder");
    let Some(_mounted) = Mounted::tmpfs(&disk, "1m") else {
        panic!("a small tmpfs cannot be mounted: this test needs root");
    };
    workspace.write("restway.yaml", "workspace: test\ntables: disk/tables\n");
    workspace.write("apis/open.yaml", &api.open_file("  customers: /open/none"));
    workspace.ok(&["sync"]);
    workspace.write(
        "apis/open.yaml",
        &api.open_file("  customers: { path: /fault/huge/60, records: data }"),
    );
    let said = workspace.run(&["sync"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("[disk.full]"), "{}", said.err);
    assert_eq!(workspace.value("select count(*) from open.customers"), json!(200));
    workspace.write("apis/open.yaml", &api.open_file("  customers: /open/none"));
    workspace.ok(&["sync"]);
    assert_eq!(workspace.value("select count(*) from open.customers"), json!(200));
}

/// A file system of a size, unmounted at the end.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn tmpfs(folder: &std::path::Path, size: &str) -> Option<Self> {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder);
        mount.status().is_ok_and(|status| status.success()).then(|| Self(folder.to_path_buf()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}
