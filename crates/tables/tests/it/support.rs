//! What every test needs: a lake in a folder that goes away, and short ways in and out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chrono::DateTime;
use restway_model::definition::{Contract, Deletes, MaxRejects};
use restway_model::{
    ColumnType, Event, Explain, Limits, Observer, RecordPath, Records, RunId, TableName,
};
use restway_tables::{
    Intake, Lake, LakeSettings, Landing, ListedTable, LoadMode, StagedBatch, TableError,
};
use serde_json::Value;
use serde_json::value::RawValue;

/// An observer that keeps everything.
#[derive(Default)]
pub(crate) struct Seen(pub(crate) Mutex<Vec<Event>>);

impl Observer for Seen {
    fn observe(&self, event: &Event) {
        self.0.lock().expect("no test panics while it observes").push(event.clone());
    }
}

/// A lake and its folder.
pub(crate) struct Fixture {
    pub(crate) lake: Lake,
    pub(crate) seen: Arc<Seen>,
    folder: tempfile::TempDir,
}

pub(crate) fn name(text: &str) -> TableName {
    text.parse().expect("a table name")
}

/// Records of one body: JSON values, one a line.
pub(crate) fn records(lines: &str) -> Records {
    let mut spans = Vec::new();
    let mut start = 0;
    for line in lines.split_inclusive('\n') {
        let text = line.trim_end_matches('\n');
        if !text.trim().is_empty() {
            spans.push(start..start + text.len());
        }
        start += line.len();
    }
    Records::new(lines.to_owned().into(), spans)
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let seen = Arc::new(Seen::default());
        let lake = open(folder.path(), limits, seen.clone());
        Self { lake, seen, folder }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("tables")
    }

    /// Another process on the same folder.
    pub(crate) fn reopened(&self) -> Lake {
        open(self.folder.path(), Limits::default(), Arc::new(Seen::default()))
    }

    pub(crate) async fn stage(
        &self,
        mut landing: Landing,
        lines: &str,
    ) -> Result<StagedBatch, TableError> {
        loop {
            let mut intake = self.lake.begin(landing.clone()).await?;
            match (intake.push(&records(lines), &[]), &mut landing.maps) {
                (Err(TableError::MapFound { path, .. }), Some(maps)) => maps.push(path),
                (pushed, _) => return pushed.and_then(|()| intake.finish()),
            }
        }
    }

    /// Lands and commits a batch of `acme.items`.
    pub(crate) async fn land(&self, sequence: u64, mode: LoadMode, lines: &str) -> StagedBatch {
        let batch = self.stage(landing(sequence, mode), lines).await.expect("staged");
        self.lake.commit(&batch).await.expect("committed");
        batch
    }

    pub(crate) async fn begin(&self, landing: Landing) -> Intake {
        self.lake.begin(landing).await.expect("begun")
    }

    /// All rows of a query as JSON objects.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        let answer =
            self.lake.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        answer.json_rows(usize::MAX).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Name and type of the columns that came with the data.
    pub(crate) async fn columns(&self, table: &str) -> Vec<String> {
        let detail = self.lake.table(&name(table)).await.expect("a table");
        let data = detail.columns.iter().filter(|column| column.path.is_some());
        data.map(|column| format!("{} {}", column.name, column.kind)).collect()
    }

    pub(crate) async fn tables(&self) -> Vec<String> {
        let tables = self.lake.tables().await.expect("tables");
        let text = |(name, table): &ListedTable| match table {
            Ok(table) => format!("{name} {}", table.rows.unwrap_or(0)),
            Err(error) => format!("{name} {}", error.code()),
        };
        tables.iter().map(text).collect()
    }

    /// Every file below the root.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.root()];
        while let Some(folder) = folders.pop() {
            for entry in fs_err::read_dir(folder).expect("a folder").flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    files.push(entry.path());
                }
            }
        }
        files
    }
}

fn open(folder: &Path, limits: Limits, observer: Arc<Seen>) -> Lake {
    let (root, spill) = (folder.join("tables"), folder.join("spill"));
    Lake::open(LakeSettings { root, limits, observer, spill }).expect("a lake")
}

pub(crate) fn landing(sequence: u64, mode: LoadMode) -> Landing {
    Landing {
        resource: name("acme.items"),
        stream: "acme.items".into(),
        sequence,
        run: RunId("run-1".into()),
        fetched_at: DateTime::from_timestamp(1_700_000_000, 0).expect("an instant"),
        mode,
        key: vec!["id".into()],
        deletes: Deletes::default(),
        gone: None,
        contract: Contract::default(),
        max_rejects: MaxRejects::Count(0),
        types: BTreeMap::new(),
        nest_depth: 8,
        json: Vec::new(),
        columns: Vec::new(),
        maps: Some(Vec::new()),
    }
}

pub(crate) fn typed(sequence: u64, types: &[(&str, &str)]) -> Landing {
    let kind = |text: &str| text.parse::<ColumnType>().expect("a type");
    let types = types.iter().map(|(name, text)| ((*name).to_owned(), kind(text))).collect();
    Landing { types, ..landing(sequence, LoadMode::Append) }
}

pub(crate) fn json_at(sequence: u64, paths: &[&str]) -> Landing {
    let json = paths.iter().map(|path| path.parse::<RecordPath>().expect("a path")).collect();
    Landing { json, ..landing(sequence, LoadMode::Append) }
}

pub(crate) fn carried(name: &str, json: &str) -> (String, Box<RawValue>) {
    (name.to_owned(), RawValue::from_string(json.to_owned()).expect("JSON"))
}

pub(crate) fn param(name: &str, value: impl Into<Value>) -> (String, Value) {
    (name.to_owned(), value.into())
}
