//! The log of requests: what a run asked of each api, as the table `api._requests`.
//!
//! In: the events of a sync. Out: one batch for each api at the run's end, through the journal like
//! any other, so that `_run_id` of a row leads to the requests that brought it. Every 16th batch
//! takes the place of all before it with what is young enough of them, so the table stays a few
//! files and forgets by itself; the files that it replaced are removed the time after.
//!
//! What never happens here: a sync that fails or waits because of its log. Rows are kept in memory
//! up to a bound, the newest of them; a log that cannot be written is a warning. Addresses are
//! redacted when they are written, when all secrets of the run are known.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use restway_model::definition::{Contract, Deletes, MaxRejects, Method, REQUESTS};
use restway_model::{Code, ColumnType, Event, Name, Observer, Records, RunId, SafeUrl, TableName};
use restway_store::StateChanges;
use restway_tables::{Landing, LoadMode};
use serde::Serialize;

use crate::landing::Batch;
use crate::{WorkError, Workspace};

/// Requests of one run that are kept, the newest.
const ROWS_MAX: usize = 100_000;
/// Requests of one api that outlive a rewriting of its table, the newest.
const KEPT_MAX: usize = 100_000;
/// Batches after which a table is written anew as one file.
const REWRITTEN_EVERY: u64 = 16;
/// Files of the log that were replaced stay for whoever reads them.
const REPLACED_KEPT: Duration = Duration::from_secs(3_600);
/// An address is kept up to here.
const URL_BYTES_MAX: usize = 2_000;

/// The columns in their order, and what they are.
const COLUMNS: [(&str, ColumnType); 11] = [
    ("run_id", ColumnType::Text),
    ("resource", ColumnType::Text),
    ("sent_at", ColumnType::Timestamp),
    ("method", ColumnType::Text),
    ("url", ColumnType::Text),
    ("status", ColumnType::Int64),
    ("milliseconds", ColumnType::Int64),
    ("bytes", ColumnType::Int64),
    ("attempt", ColumnType::Int64),
    ("page", ColumnType::Int64),
    ("error_code", ColumnType::Text),
];

/// A request as it is noted.
struct Noted {
    resource: TableName,
    sent_at: DateTime<Utc>,
    method: Method,
    url: SafeUrl,
    status: Option<u16>,
    duration: Duration,
    bytes: u64,
    attempt: u32,
    page: Option<u64>,
    error: Option<Code>,
}

/// A request as a row, in the order of [`COLUMNS`].
#[derive(Serialize)]
struct Row<'a> {
    run_id: &'a str,
    resource: &'a str,
    sent_at: String,
    method: &'a str,
    url: &'a str,
    status: Option<u16>,
    milliseconds: u64,
    bytes: u64,
    attempt: u32,
    page: Option<u64>,
    error_code: Option<&'static str>,
}

/// What was noted of the run under way.
#[derive(Default)]
struct Notes {
    rows: VecDeque<Noted>,
    left_out: u64,
}

/// Notes the requests of the run under way, and tells everybody else of all events.
pub(crate) struct RequestLog {
    others: Arc<dyn Observer>,
    notes: Mutex<Option<Notes>>,
}

impl RequestLog {
    pub(crate) fn before(others: Arc<dyn Observer>) -> Self {
        Self { others, notes: Mutex::default() }
    }

    /// Begins with nothing.
    pub(crate) fn begin(&self) {
        *self.notes.lock().unwrap_or_else(PoisonError::into_inner) = Some(Notes::default());
    }

    /// Ends, and hands out what was noted.
    fn end(&self) -> Notes {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}

impl Observer for RequestLog {
    fn observe(&self, event: &Event) {
        if let Event::RequestEnded {
            resource,
            page,
            method,
            url,
            sent_at,
            status,
            duration,
            bytes,
            attempt,
            error,
        } = event
            && let Some(notes) = &mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner)
        {
            if notes.rows.len() >= ROWS_MAX {
                notes.rows.pop_front();
                notes.left_out += 1;
            }
            notes.rows.push_back(Noted {
                resource: resource.clone(),
                sent_at: *sent_at,
                method: *method,
                url: url.clone(),
                status: *status,
                duration: *duration,
                bytes: *bytes,
                attempt: *attempt,
                page: *page,
                error: *error,
            });
        }
        self.others.observe(event);
    }
}

impl Workspace {
    /// Begins to note the requests of a run, unless the workspace keeps none.
    pub(crate) fn begin_request_log(&self) {
        if !self.definitions.workspace.keep_requests.0.is_zero() {
            self.requests.begin();
        }
    }

    /// Lands what was noted. What goes wrong is a warning: the run is what it is without its log.
    pub(crate) async fn land_request_log(&self, run: &RunId) {
        let Notes { rows, left_out } = self.requests.end();
        let mut apis: BTreeMap<Name, Vec<Noted>> = BTreeMap::new();
        for noted in rows {
            apis.entry(noted.resource.api.clone()).or_default().push(noted);
        }
        if left_out > 0 {
            let message = format!("{left_out} older requests of this run are not in the log");
            self.observer.observe(&Event::Warned { about: REQUESTS.to_owned(), message });
        }
        for (api, noted) in apis {
            if let Err(error) = self.land_requests(run, &api, noted).await {
                let about = format!("{api}.{REQUESTS}");
                let message = format!("the run's requests are not in it: {error}");
                self.observer.observe(&Event::Warned { about, message });
            }
        }
    }

    async fn land_requests(
        &self,
        run: &RunId,
        api: &Name,
        noted: Vec<Noted>,
    ) -> Result<(), WorkError> {
        let Ok(name) = REQUESTS.parse() else { return Ok(()) };
        let table = TableName::new(api.clone(), name);
        let stream = table.to_string();
        // A log that cannot go on must not fill the journal.
        self.recover().await?.refuse(&table)?;
        let sequence = self.store.next_sequence(&stream).await?;
        let is_rewritten =
            sequence.is_multiple_of(REWRITTEN_EVERY) && self.lake.has(&table).await?;
        let mut rows = match is_rewritten {
            true => self.young_requests(&table).await?,
            false => Vec::new(),
        };
        rows.extend(noted.iter().map(|noted| self.request_row(run, noted)));
        let landing = Landing {
            resource: table.clone(),
            stream: stream.clone(),
            sequence,
            run: run.clone(),
            fetched_at: self.clock.now(),
            mode: if is_rewritten { LoadMode::Replace } else { LoadMode::Append },
            key: Vec::new(),
            deletes: Deletes::default(),
            gone: None,
            contract: Contract::default(),
            max_rejects: MaxRejects::default(),
            types: COLUMNS.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect(),
            nest_depth: 0,
            json: Vec::new(),
            columns: Vec::new(),
            maps: None,
        };
        let mut intake = self.lake.begin(landing).await?;
        let staged = tokio::task::spawn_blocking(move || {
            intake.push(&Records::of_texts(&rows), &[])?;
            intake.finish()
        });
        let staged = staged.await??;
        let batch = Batch { run, table: &table, stream: &stream, sequence, staged: &staged };
        self.record(&batch, &StateChanges::default()).await?;
        self.make_visible(&batch).await?;
        if is_rewritten {
            let keep = self.definitions.workspace.keep_requests.0;
            self.lake.vacuum(&table, REPLACED_KEPT.min(keep)).await?;
        }
        Ok(())
    }

    /// The requests that a rewriting keeps, oldest first.
    async fn young_requests(&self, table: &TableName) -> Result<Vec<String>, WorkError> {
        let keep = self.definitions.workspace.keep_requests.0;
        let keep = TimeDelta::from_std(keep).unwrap_or(TimeDelta::MAX);
        let from = self.clock.now().checked_sub_signed(keep).unwrap_or(DateTime::UNIX_EPOCH);
        let columns: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
        let (api, columns) = (table.api.as_str(), columns.join(", "));
        let sql = format!(
            "select {columns} from \"{api}\".{REQUESTS} where sent_at >= '{}' \
             order by sent_at desc limit {}",
            from.to_rfc3339_opts(SecondsFormat::Millis, true),
            KEPT_MAX + 1
        );
        let mut rows = self.lake.query(&sql, &[]).await?.json_rows(KEPT_MAX + 1).await?;
        if rows.len() > KEPT_MAX {
            rows.truncate(KEPT_MAX);
            let message = format!(
                "more than {KEPT_MAX} requests are as young as `keep_requests` says: the older of \
                 them are not in the log any more"
            );
            self.observer.observe(&Event::Warned { about: table.to_string(), message });
        }
        rows.reverse();
        Ok(rows)
    }

    fn request_row(&self, run: &RunId, noted: &Noted) -> String {
        let url = noted.url.to_string();
        let url = self.redactor.redact(&url);
        let row = Row {
            run_id: &run.0,
            resource: noted.resource.table.as_str(),
            sent_at: noted.sent_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            method: noted.method.as_str(),
            url: &url[..url.floor_char_boundary(URL_BYTES_MAX)],
            status: noted.status,
            milliseconds: u64::try_from(noted.duration.as_millis()).unwrap_or(u64::MAX),
            bytes: noted.bytes,
            attempt: noted.attempt,
            page: noted.page,
            error_code: noted.error.map(Code::as_str),
        };
        serde_json::to_string(&row).unwrap_or_default()
    }
}
