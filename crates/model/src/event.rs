//! Everything that can happen, as one closed set.
//!
//! The rooms report what they do only through [`Observer::observe`]; the log, the progress bars,
//! the counters of a run and the console are readers of the same stream. So no room formats a log
//! line, and nothing can be logged that is not a variant here, whose fields are safe to show.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::definition::Method;
use crate::{
    Code, ColumnType, Counts, Name, RowCounts, RowState, RunId, RunKind, RunStatus, SafeUrl,
    TableName,
};

/// Who needs to read of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Somebody must act, or asked for something that failed.
    Error,
    /// It went on, and somebody should know.
    Warn,
    /// The course of a run.
    Info,
    /// Each request, page and batch.
    Debug,
    /// Everything.
    Trace,
}

/// Something that happened. Durations serialize as `{secs, nanos}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names of the fields say it")]
pub enum Event {
    /// A run began.
    RunStarted { run: RunId, kind: RunKind, subject: String },
    /// A run ended.
    RunEnded { run: RunId, status: RunStatus, counts: Counts, duration: Duration },
    /// A resource's sync began.
    ResourceStarted { resource: TableName },
    /// A resource's sync goes on from where an earlier one came to; `plan` says from where.
    ResourceGoesOn { resource: TableName, plan: String },
    /// What was read so far is recorded, and will be in its tables whatever happens.
    BatchRecorded { resource: TableName, sequence: u64, rows: u64 },
    /// A resource's sync ended.
    ResourceEnded { resource: TableName, status: RunStatus, counts: Counts, duration: Duration },
    /// A request goes out.
    RequestSent { api: Name, method: Method, url: SafeUrl, attempt: u32 },
    /// The head of an answer came.
    AnswerReceived { api: Name, url: SafeUrl, status: u16, duration: Duration },
    /// A request is over: its answer was read, was not wanted to its end, or did not come. What
    /// ended it otherwise than well stands in `error`.
    RequestEnded {
        resource: TableName,
        page: Option<u64>,
        method: Method,
        url: SafeUrl,
        sent_at: DateTime<Utc>,
        status: Option<u16>,
        duration: Duration,
        bytes: u64,
        attempt: u32,
        error: Option<Code>,
    },
    /// A request will be sent again.
    RetryScheduled { api: Name, url: SafeUrl, reason: String, wait: Duration, attempt: u32 },
    /// A request waits, because the api's rate or the api itself says so.
    RateWaited { api: Name, wait: Duration },
    /// An export job is under way at the api, and is asked for again after the wait.
    JobWaited { resource: TableName, job: String, wait: Duration },
    /// A token endpoint gave a token.
    TokenReceived { api: Name, lifetime: Option<Duration> },
    /// A page was read to its end; `total` is what the api says all pages hold.
    PageRead { resource: TableName, page: u64, records: u64, bytes: u64, total: Option<u64> },
    /// A column appeared or widened.
    ColumnChanged { table: TableName, column: String, from: Option<ColumnType>, to: ColumnType },
    /// Data files were written and nobody sees them yet.
    FilesStaged { table: TableName, files: u64, rows: u64, bytes: u64 },
    /// A table has a new version.
    TableCommitted { table: TableName, version: u64, rows: u64 },
    /// A batch that an earlier process had recorded and not finished was finished.
    BatchRecovered { resource: TableName, sequence: u64 },
    /// The server accepts connections.
    ServerListening { url: String },
    /// The server answered.
    RequestAnswered { method: String, path: String, status: u16, duration: Duration },
    /// The rows of an export are all known, and those that are left are sent.
    ExportStarted { export: TableName, rows: u64 },
    /// A row of an export was answered or not: which, what was sent for it, redacted and cut, and
    /// what became of it.
    RowSettled {
        export: TableName,
        row: u64,
        key: String,
        payload: String,
        outcome: RowState,
        status: Option<u16>,
        attempts: u64,
        duration: Duration,
    },
    /// An export's rows were sent, or as many as could be.
    ExportEnded { export: TableName, status: RunStatus, rows: RowCounts, duration: Duration },
    /// Something that a person should know and that stops nothing.
    Warned { about: String, message: String },
}

impl Event {
    /// Who needs to read of it.
    pub fn level(&self) -> Level {
        match self {
            Self::Warned { .. } | Self::RetryScheduled { .. } | Self::BatchRecovered { .. } => {
                Level::Warn
            }
            Self::RunEnded { status: RunStatus::Failed | RunStatus::Partly, .. }
            | Self::ExportEnded { status: RunStatus::Failed | RunStatus::Partly, .. }
            | Self::ResourceEnded { status: RunStatus::Failed | RunStatus::Partly, .. } => {
                Level::Warn
            }
            Self::RunStarted { .. }
            | Self::RunEnded { .. }
            | Self::ResourceStarted { .. }
            | Self::ResourceGoesOn { .. }
            | Self::ResourceEnded { .. }
            | Self::ColumnChanged { .. }
            | Self::TableCommitted { .. }
            | Self::RateWaited { .. }
            | Self::JobWaited { .. }
            | Self::ExportStarted { .. }
            | Self::ExportEnded { .. }
            | Self::ServerListening { .. } => Level::Info,
            Self::RowSettled { outcome, .. } if *outcome != RowState::Done => Level::Info,
            Self::TokenReceived { .. }
            | Self::RowSettled { .. }
            | Self::PageRead { .. }
            | Self::FilesStaged { .. }
            | Self::BatchRecorded { .. } => Level::Debug,
            Self::RequestAnswered { .. } => Level::Debug,
            Self::RequestSent { .. } | Self::AnswerReceived { .. } | Self::RequestEnded { .. } => {
                Level::Trace
            }
        }
    }
}

/// A reader of events. It must return at once: what takes time is handed to a thread.
pub trait Observer: Send + Sync {
    /// Takes note of an event.
    fn observe(&self, event: &Event);
}
