//! The versions of a table, as its log tells them.
//!
//! In: a table's folder. Out: which versions there are, when each was committed, by which run, and
//! what it held. The log is read entry by entry, each only as far as its first line that says what
//! the commit was. Nothing is written here, and no data file is opened.

use std::io::{BufRead, BufReader};
use std::path::Path;

use chrono::{DateTime, Utc};
use restway_model::{RunId, TableName};
use serde::{Deserialize, Serialize};

use crate::delta::open_version;
use crate::error::TableError;
use crate::lake::Shared;

/// The longest line of a log entry that is read for what the commit was.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// Lines of a log entry that are looked at; the commit's own is the first, or the last.
const LINES_MAX: usize = 1_000_000;

/// A version of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableVersion {
    /// Its number.
    pub version: u64,
    /// When it was committed.
    pub committed_at: Option<DateTime<Utc>>,
    /// What the commit was, in Delta's words: `WRITE`, `CREATE TABLE`, `OPTIMIZE`, `RESTORE`.
    pub operation: Option<String>,
    /// The run that committed it.
    pub run: Option<RunId>,
    /// Rows that the table had; none where the log does not count them.
    pub rows: Option<u64>,
    /// Data files that it had.
    pub files: Option<u64>,
    /// Bytes of those files.
    pub bytes: Option<u64>,
}

/// What a log entry says of its commit; other writers leave much of it out.
#[derive(Debug, Default, Deserialize)]
struct CommitInfo {
    timestamp: Option<i64>,
    operation: Option<String>,
    #[serde(rename = "restway.run")]
    run: Option<RunId>,
    #[serde(rename = "restway.sequence")]
    sequence: Option<u64>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "commitInfo")]
    commit_info: Option<CommitInfo>,
}

/// The versions that have an entry in the log, in order.
pub(crate) fn versions(folder: &Path) -> Result<Vec<u64>, TableError> {
    let log = folder.join("_delta_log");
    let entries = fs_err::read_dir(&log).map_err(|error| TableError::file(&log, error))?;
    let mut versions = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| TableError::file(&log, error))?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".json"));
        versions.extend(
            number
                .filter(|digits| digits.len() == 20)
                .and_then(|digits| digits.parse::<u64>().ok()),
        );
    }
    versions.sort_unstable();
    Ok(versions)
}

/// When a version was committed: what its log entry says, and without that the entry's own time.
pub(crate) fn commit_time(
    folder: &Path,
    version: u64,
) -> Result<Option<DateTime<Utc>>, TableError> {
    Ok(commit_info(folder, version)?.timestamp.and_then(DateTime::from_timestamp_millis))
}

/// The number of the batch that a version brought; none where it brought none of ours.
pub(crate) fn batch_number(folder: &Path, version: u64) -> Result<Option<u64>, TableError> {
    Ok(commit_info(folder, version)?.sequence)
}

fn commit_info(folder: &Path, version: u64) -> Result<CommitInfo, TableError> {
    let path = folder.join("_delta_log").join(format!("{version:020}.json"));
    let failed = |error| TableError::file(&path, error);
    let file = fs_err::File::open(&path).map_err(failed)?;
    let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    for _ in 0..LINES_MAX {
        line.clear();
        let mut bounded = std::io::Read::take(&mut reader, LINE_BYTES_MAX);
        if bounded.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        if !line.starts_with(b"{\"commitInfo\"") {
            continue;
        }
        if let Ok(Line { commit_info: Some(info) }) = serde_json::from_slice(&line) {
            return Ok(info);
        }
    }
    let timestamp = modified.map(|at| DateTime::<Utc>::from(at).timestamp_millis());
    Ok(CommitInfo { timestamp, ..CommitInfo::default() })
}

/// The newest versions of a table, newest first.
pub(crate) async fn history(
    shared: &Shared,
    name: &TableName,
    versions_max: usize,
) -> Result<Vec<TableVersion>, TableError> {
    let folder = shared.folder(name);
    let mut all = Vec::new();
    for version in versions(&folder)?.into_iter().rev().take(versions_max) {
        let info = commit_info(&folder, version)?;
        // A version whose earlier entries were cleaned up can still be named, not opened.
        let opened = open_version(&shared.root, name, version).await.ok().flatten();
        let files = opened.map(|opened| opened.files());
        all.push(TableVersion {
            version,
            committed_at: info.timestamp.and_then(DateTime::from_timestamp_millis),
            operation: info.operation,
            run: info.run,
            rows: files.as_ref().and_then(|files| files.iter().map(|file| file.rows).sum()),
            files: files.as_ref().map(|files| files.len() as u64),
            bytes: files.as_ref().map(|files| files.iter().map(|file| file.bytes).sum()),
        });
    }
    Ok(all)
}
