//! A local file into a table of the lake, whole or not at all.
//!
//! In: CSV, NDJSON or Parquet, and the table `lake.NAME`. Out: rows, by the way that records of an api
//! take: shaped into columns, encoded, recorded in the journal, committed. The file is read as a
//! stream, in bounded memory, on a thread that may block. Its run is written down as a sync's is.
//! What never happens here: a line that is no JSON passed over, or part of a file landed.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use restway_connect::{CsvFile, Failure};
use restway_model::definition::{Contract, Deletes, LAKE, MaxRejects};
use restway_model::{ColumnType, Counts, Event, Limits, Records, RunId, RunKind, TableName};
use restway_store::StateChanges;
use restway_tables::{Intake, Landing, LoadMode, ParquetFile};
use serde::de::IgnoredAny;
use serde_json::json;

use crate::landing::Batch;
use crate::stop::Stop;
use crate::{ResourceReport, SyncReport, WorkError, Workspace};

/// Lists within lists that become child tables, as a resource has them without `nest`.
const NEST_DEPTH: usize = 3;
/// Bytes that are read at once.
const READ_BYTES: usize = 256 << 10;

/// What is landed.
pub struct FileImport {
    /// What the file is called in the report and in errors.
    pub name: String,
    /// The records.
    pub content: FileContent,
    /// The table, of the lake.
    pub table: TableName,
    /// Whether the rows that are there stay.
    pub appends: bool,
    /// Types of columns, over what the file says.
    pub types: BTreeMap<String, ColumnType>,
}

/// The records of a file.
pub enum FileContent {
    /// Rows of fields (RFC 4180), the first of which names them.
    Csv(Box<dyn Read + Send>),
    /// A JSON object on each line.
    Ndjson(Box<dyn Read + Send>),
    /// A Parquet file, by its path: it is not read from its beginning to its end.
    Parquet(PathBuf),
}

impl Workspace {
    /// Lands a file. An error of the file is part of the report, and its table is as it was.
    ///
    /// # Errors
    /// Only what keeps the run from starting or from being written down.
    pub async fn import_file(
        &self,
        import: FileImport,
        stop: &Stop,
    ) -> Result<SyncReport, WorkError> {
        let name = import.table.table.as_str();
        if import.table.api.as_str() != LAKE || name.contains("__") {
            return Err(WorkError::NotOfTheLake { table: import.table });
        }
        let lock = self.store.lock()?;
        self.recover().await?.refuse(&import.table)?;
        self.store.close_abandoned_runs(&lock).await?;
        let subject = import.table.to_string();
        self.in_run(RunKind::Import, subject, async |run| {
            Ok(vec![self.written_down(run, self.land_file(run, import, stop)).await?])
        })
        .await
    }

    async fn land_file(&self, run: &RunId, import: FileImport, stop: &Stop) -> ResourceReport {
        let started = self.clock.monotonic();
        let resource = import.table.clone();
        let detail = json!({ "file": import.name, "appends": import.appends });
        self.observer.observe(&Event::ResourceStarted { resource: resource.clone() });
        let (counts, tables, error) = match self.file_rows(run, import, stop).await {
            Ok((counts, tables)) => (counts, tables, None),
            Err(error) => (Counts::default(), Vec::new(), Some(error)),
        };
        let report = ResourceReport { resource, counts, tables, detail, is_kept: false, error };
        self.observer.observe(&Event::ResourceEnded {
            resource: report.resource.clone(),
            status: report.status(),
            counts,
            duration: self.clock.monotonic().saturating_sub(started),
        });
        report
    }

    async fn file_rows(
        &self,
        run: &RunId,
        import: FileImport,
        stop: &Stop,
    ) -> Result<(Counts, Vec<(TableName, u64)>), WorkError> {
        let FileImport { name, content, table, appends, types } = import;
        let mut rows = FileRows::open(name, content, &types, &self.limits)?;
        let stream = table.to_string();
        if appends {
            self.is_landed(&table).await?;
        }
        let sequence = self.store.next_sequence(&stream).await?;
        let mut all_types = rows.types();
        all_types.extend(types);
        let landing = Landing {
            resource: table.clone(),
            stream: stream.clone(),
            sequence,
            run: run.clone(),
            fetched_at: self.clock.now(),
            mode: if appends { LoadMode::Append } else { LoadMode::Replace },
            key: Vec::new(),
            deletes: Deletes::default(),
            gone: None,
            contract: Contract::default(),
            max_rejects: MaxRejects::Count(0),
            types: all_types,
            nest_depth: NEST_DEPTH,
            json: Vec::new(),
            columns: Vec::new(),
            // A file that is read once cannot be landed again.
            maps: None,
        };
        let intake = self.lake.begin(landing).await?;
        let stop = stop.clone();
        let filled = tokio::task::spawn_blocking(move || {
            let mut counts = Counts::default();
            let intake = fill(intake, &mut rows, &stop, &mut counts)?;
            Ok::<_, WorkError>((intake.finish()?, counts))
        });
        let (staged, mut counts) = filled.await??;
        let batch = Batch { run, table: &table, stream: &stream, sequence, staged: &staged };
        self.record(&batch, &StateChanges::default()).await?;
        let committed = self.make_visible(&batch).await?;
        let tables: Vec<_> = committed.into_iter().map(|one| (one.table, one.rows)).collect();
        counts.rows = tables.iter().map(|(_, rows)| rows).sum();
        Ok((counts, tables))
    }
}

/// Takes all records in. An error drops the intake, and its files go with it.
fn fill(
    mut intake: Intake,
    rows: &mut FileRows,
    stop: &Stop,
    counts: &mut Counts,
) -> Result<Intake, WorkError> {
    while let Some(records) = rows.read()? {
        if stop.is_raised() {
            return Err(WorkError::Stopped);
        }
        counts.records += records.len() as u64;
        counts.bytes += records.bytes() as u64;
        intake.push(&records, &[])?;
    }
    Ok(intake)
}

/// A file on its way, some records at a time.
enum FileRows {
    Csv(Box<Fields>),
    Lines(Lines),
    Parquet(Box<ParquetFile>),
}

impl FileRows {
    fn open(
        name: String,
        content: FileContent,
        types: &BTreeMap<String, ColumnType>,
        limits: &Limits,
    ) -> Result<Self, WorkError> {
        Ok(match content {
            FileContent::Csv(source) => {
                let csv = CsvFile::new(types.clone(), limits)
                    .map_err(|failure| unreadable(&name, &failure))?;
                let buffer = vec![0; READ_BYTES];
                let ready = VecDeque::new();
                Self::Csv(Box::new(Fields { name, source, csv: Some(csv), ready, buffer }))
            }
            FileContent::Ndjson(source) => Self::Lines(Lines {
                name,
                source: BufReader::with_capacity(READ_BYTES, source),
                number: 0,
                line_bytes_max: limits.record_bytes_max,
                records_max: limits.batch_records_max,
                bytes_max: limits.batch_bytes_max,
            }),
            FileContent::Parquet(path) => Self::Parquet(Box::new(ParquetFile::open(&path)?)),
        })
    }

    fn types(&self) -> BTreeMap<String, ColumnType> {
        match self {
            Self::Csv(_) | Self::Lines(_) => BTreeMap::new(),
            Self::Parquet(file) => file.types(),
        }
    }

    fn read(&mut self) -> Result<Option<Records>, WorkError> {
        match self {
            Self::Csv(fields) => fields.read(),
            Self::Lines(lines) => lines.read(),
            Self::Parquet(file) => Ok(file.read()?),
        }
    }
}

/// Rows of CSV.
struct Fields {
    name: String,
    source: Box<dyn Read + Send>,
    /// None when the file has ended.
    csv: Option<CsvFile>,
    /// What came with the end.
    ready: VecDeque<Records>,
    buffer: Vec<u8>,
}

impl Fields {
    /// The next rows; none at the end.
    fn read(&mut self) -> Result<Option<Records>, WorkError> {
        while let Some(csv) = &mut self.csv {
            if let Some(records) = csv.batch() {
                return self.whole(records).map(Some);
            }
            let length = self.source.read(&mut self.buffer)?;
            let fed = match self.buffer.get(..length) {
                Some(chunk) if length > 0 => csv.feed(chunk),
                _ => match self.csv.take().map(CsvFile::finish) {
                    Some(ended) => ended.map(|ready| self.ready = ready),
                    None => Ok(()),
                },
            };
            fed.map_err(|failure| unreadable(&self.name, &failure))?;
        }
        self.ready.pop_front().map(|records| self.whole(records)).transpose()
    }

    /// A file is imported with each of its rows or not at all: who has it can mend it.
    fn whole(&self, records: Records) -> Result<Records, WorkError> {
        let Some(refused) = records.refused().first() else { return Ok(records) };
        let (file, problem) = (self.name.clone(), refused.problem.clone());
        Err(WorkError::Unreadable { file, problem })
    }
}

fn unreadable(name: &str, failure: &Failure) -> WorkError {
    WorkError::Unreadable { file: name.to_owned(), problem: failure.to_string() }
}

/// Lines of JSON. Empty ones count for nothing.
struct Lines {
    name: String,
    source: BufReader<Box<dyn Read + Send>>,
    number: u64,
    line_bytes_max: usize,
    records_max: usize,
    bytes_max: usize,
}

impl Lines {
    /// The next lines; none at the end.
    fn read(&mut self) -> Result<Option<Records>, WorkError> {
        let mut bytes = Vec::new();
        let mut spans = Vec::new();
        while spans.len() < self.records_max && bytes.len() < self.bytes_max {
            let start = bytes.len();
            let most = self.line_bytes_max as u64 + 1;
            let length = self.source.by_ref().take(most).read_until(b'\n', &mut bytes)?;
            self.number += 1;
            if length == 0 {
                break;
            }
            if length as u64 == most && bytes.last() != Some(&b'\n') {
                return Err(self.wrong(format!("is longer than {} bytes", self.line_bytes_max)));
            }
            let line = &bytes[start..];
            let line = if self.number == 1 { without_mark(line) } else { line };
            let from = bytes.len() - line.len();
            let line = line.trim_ascii_end();
            let end = from + line.len();
            if line.trim_ascii_start().is_empty() {
                bytes.truncate(start);
                continue;
            }
            if let Err(error) = serde_json::from_slice::<IgnoredAny>(line) {
                return Err(self.wrong(format!("is no JSON at its byte {}", error.column())));
            }
            if !line.trim_ascii_start().starts_with(b"{") {
                return Err(self.wrong("is no object".into()));
            }
            spans.push(from..end);
        }
        Ok((!spans.is_empty()).then(|| Records::new(bytes.into(), spans)))
    }

    fn wrong(&self, problem: String) -> WorkError {
        let problem = format!("line {} {problem}", self.number);
        WorkError::Unreadable { file: self.name.clone(), problem }
    }
}

/// The line without the mark that some editors write before a file (Unicode 15, section 23.8).
fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
}
