//! Rows that go because another table lists their keys.
//!
//! In: the table of what an api has deleted, and after which of its rows nothing was looked at yet.
//! Out: the files that hold the later ones, and the columns that hold the keys. A batch takes them
//! before its own records, so a key that was deleted and came again is there. What never happens
//! here: a value of that table put into another one.

use std::path::PathBuf;

use restway_model::TableName;
use serde_json::Value;

use crate::error::TableError;
use crate::lake::Shared;
use crate::shape::{ColumnDef, ROW_ID, field_column};
use crate::stage::BaseFile;

/// What a batch is to take out, by the rows of another table.
#[derive(Debug, Clone)]
pub struct Gone {
    /// The table that lists the keys.
    pub table: TableName,
    /// Its fields that hold the key, in the order of the key.
    pub key: Vec<String>,
    /// The `_row_id` up to which it was looked at before.
    pub after: i64,
}

/// The rows of the other table, as they were when the batch began.
#[derive(Debug)]
pub(crate) struct GoneRows {
    pub(crate) table: TableName,
    pub(crate) folder: PathBuf,
    pub(crate) files: Vec<BaseFile>,
    /// All columns of the table, and the names of those that hold the key.
    pub(crate) columns: Vec<ColumnDef>,
    pub(crate) key: Vec<String>,
    pub(crate) after: i64,
    /// How many rows the files hold, at most.
    pub(crate) rows: u64,
}

/// Finds the rows that were not looked at before; none where there is no such table.
pub(crate) async fn find(shared: &Shared, gone: Gone) -> Result<Option<GoneRows>, TableError> {
    let Gone { table, key, after } = gone;
    let Some(opened) = crate::delta::open(&shared.root, &table).await? else { return Ok(None) };
    let columns = opened.def(&table).columns;
    let mut names = Vec::with_capacity(key.len());
    for field in key {
        let column = field_column(columns.iter().enumerate(), &field);
        let Some(column) = column else { return Err(TableError::GoneKey { table, field }) };
        names.push(columns[column].name.clone());
    }
    let is_later = |stats: &Option<String>| {
        let stats = stats.as_ref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let last = stats.as_ref().and_then(|stats| stats["maxValues"][ROW_ID].as_i64());
        last.is_none_or(|last| last > after)
    };
    let (mut files, mut rows) = (Vec::new(), 0);
    for file in opened.files().into_iter().filter(|file| is_later(&file.stats)) {
        rows += file.rows.unwrap_or(shared.limits.row_group_rows_max as u64);
        files.push(BaseFile { path: file.path, stats: file.stats });
    }
    let folder = shared.folder(&table);
    Ok(Some(GoneRows { table, folder, files, columns, key: names, after, rows }))
}
