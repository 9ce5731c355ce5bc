//! Removing what no version needs any more.
//!
//! In: a table and an age. Out: fewer files. A file goes when the log says that it was replaced
//! longer ago than the age, or when the log does not name it and it is older than that: a process
//! that died before its commit left it. What never happens here: a change of what any query answers, except one
//! of versions older than the age.

use std::path::Path;
use std::time::Duration;

use deltalake_core::DeltaTable;
use deltalake_core::operations::vacuum::VacuumMode;
use restway_model::TableName;

use crate::error::TableError;
use crate::log;

/// Removes the files of one table; answers with how many.
pub(crate) async fn vacuum(
    folder: &Path,
    name: &TableName,
    age: Duration,
) -> Result<u64, TableError> {
    let damaged = |error| TableError::damaged(name, error);
    let mut table = DeltaTable::new(log::store(folder)?);
    table.load().await.map_err(damaged)?;
    let age = chrono::Duration::from_std(age).unwrap_or(chrono::Duration::MAX);
    let vacuum = table
        .vacuum()
        .with_mode(VacuumMode::Full)
        .with_retention_period(age)
        .with_enforce_retention_duration(false);
    let (_, metrics) = vacuum.await.map_err(damaged)?;
    Ok(metrics.files_deleted.len() as u64)
}
