//! A workspace in a folder of its own, the binary run in it, and the demo API beside it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use demo_api::DemoApi;
use serde_json::Value;

/// A workspace for one test.
pub(crate) struct Workspace {
    folder: tempfile::TempDir,
}

/// What a run of the binary said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Workspace {
    pub(crate) fn new() -> Self {
        let workspace = Self { folder: tempfile::tempdir().expect("a folder") };
        workspace.write("restway.yaml", "workspace: test\n");
        workspace
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let file = self.path().join(file);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("it can be made");
        std::fs::write(file, text).expect("it can be written");
    }

    /// The binary, in this workspace, with no environment but a path.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_restway"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments).output().expect("the binary runs"))
    }

    /// Runs, and expects exit code 0.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}\n{}\n{}", said.out, said.err);
        said
    }

    /// Runs with `--json`, expects exit code 0, and reads the answer.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let said = self.ok(&[&["--json"], arguments].concat());
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.out))
    }

    /// The rows of a query, each an object.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Value> {
        let said = self.ok(&["query", "--format", "json", sql]);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.out))
    }

    /// The one value of a query with one row and one column.
    pub(crate) fn value(&self, sql: &str) -> Value {
        let rows = self.rows(sql);
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows[0].as_object().and_then(|row| row.values().next()).cloned().expect("a column")
    }

    /// Feeds a text to the binary's standard input.
    pub(crate) fn feed(&self, arguments: &[&str], input: &str) -> Said {
        use std::io::Write;
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input.as_bytes()).expect("it is read");
        drop(stdin);
        said(child.wait_with_output().expect("it ends"))
    }

    /// Every file below the folder, to compare before and after.
    pub(crate) fn files(&self, below: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.path().join(below)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    true => folders.push(entry.path()),
                    false => files.push(entry.path()),
                }
            }
        }
        files.sort();
        files
    }
}

pub(crate) fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The demo API, on a runtime of its own that lives as long as this does.
pub(crate) struct Api {
    pub(crate) server: Option<DemoApi>,
    runtime: tokio::runtime::Runtime,
}

impl Api {
    pub(crate) fn start() -> Self {
        Self::with(demo_api::Settings::default())
    }

    pub(crate) fn with(settings: demo_api::Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let server = runtime.block_on(DemoApi::start(settings)).expect("a free port");
        Self { server: Some(server), runtime }
    }

    pub(crate) fn get(&self) -> &DemoApi {
        self.server.as_ref().expect("it runs until it is dropped")
    }

    pub(crate) fn url(&self) -> String {
        self.get().url()
    }

    /// An api file for the demo API with OAuth2 and token pages, and these resources.
    pub(crate) fn file(&self, resources: &str) -> String {
        let url = self.url();
        format!(
            "\
api: demo
base_url: {url}/v1
auth:
  type: oauth2
  token_url: {url}/oauth/token
  client_id: {}
  client_secret: ${{env.DEMO_SECRET}}
defaults:
  query: {{ pageSize: 100 }}
  records: data
  paginate: {{ type: token, next: nextPageToken, param: pageToken }}
  key: id
resources:
{resources}
",
            self.get().client_id()
        )
    }

    /// An api file for the parts of the demo API that need no login.
    pub(crate) fn open_file(&self, resources: &str) -> String {
        format!("api: open\nbase_url: {}\nresources:\n{resources}\n", self.url())
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }
}
