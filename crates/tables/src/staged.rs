//! A batch that is on the disk and that nobody sees yet.
//!
//! In: what an intake has written. Out: the same as a value that can be kept in a journal and
//! committed by another process: of each table its files, what they take the place of, the schema
//! afterwards and how it changed. Nothing is read or written here.

use restway_model::{ColumnType, RunId, TableName};
use serde::{Deserialize, Serialize};

use crate::shape::TableDef;
use crate::write::StagedFile;
use crate::{LoadMode, Tally};

/// Files of a table that a batch takes out of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Removed {
    Nothing,
    All,
    /// Those whose rows are written again in the batch's files, sorted.
    Files(Vec<String>),
}

/// A column whose type changed with a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) column: String,
    pub(crate) from: Option<ColumnType>,
    pub(crate) to: ColumnType,
}

/// A column that came to a table that was there, or widened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaChange {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// What it was; none for a new one.
    pub from: Option<ColumnType>,
    /// What it is.
    pub to: ColumnType,
}

/// One table's part of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StagedTable {
    pub(crate) def: TableDef,
    /// What the table was; none where the batch makes it.
    pub(crate) base: Option<TableDef>,
    pub(crate) files: Vec<StagedFile>,
    pub(crate) removed: Removed,
    /// A digest of the table's files where the batch is right for those only.
    pub(crate) looked_at: Option<String>,
    pub(crate) changes: Vec<Change>,
}

/// A batch that is on the disk and that nobody sees yet. It can be serialized, kept in a journal,
/// and committed by another process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StagedBatch {
    pub(crate) stream: String,
    pub(crate) sequence: u64,
    pub(crate) resource: TableName,
    pub(crate) mode: LoadMode,
    pub(crate) run: RunId,
    pub(crate) tables: Vec<StagedTable>,
    pub(crate) tally: Tally,
}

impl StagedBatch {
    /// New rows of all tables.
    pub fn rows(&self) -> u64 {
        self.fresh().map(|file| file.rows).sum()
    }

    /// Whether a commit would leave every table as it is.
    pub fn changes_nothing(&self) -> bool {
        self.tables.iter().all(|table| {
            table.files.is_empty()
                && table.removed == Removed::Nothing
                && table.base.as_ref() == Some(&table.def)
        })
    }

    /// Bytes of the files with new rows.
    pub fn bytes(&self) -> u64 {
        self.fresh().map(|file| file.bytes).sum()
    }

    /// What the batch changes about tables that are there.
    pub fn schema_changes(&self) -> impl Iterator<Item = SchemaChange> {
        self.tables.iter().filter(|table| table.base.is_some()).flat_map(|table| {
            table.changes.iter().map(|change| SchemaChange {
                table: table.def.name.to_string(),
                column: change.column.clone(),
                from: change.from,
                to: change.to,
            })
        })
    }

    /// The tables that the batch changes, the resource's own first.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.tables.iter().map(|table| &table.def.name)
    }

    /// The resource.
    pub fn resource(&self) -> &TableName {
        &self.resource
    }

    /// What became of its records and of the rows that were there.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The number of the batch.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    fn fresh(&self) -> impl Iterator<Item = &StagedFile> {
        self.tables.iter().flat_map(|table| &table.files).filter(|file| file.fresh)
    }
}

/// The columns that a batch adds or widens.
pub(crate) fn changes(base: Option<&TableDef>, def: &TableDef) -> Vec<Change> {
    let before = |name: &str| {
        base.and_then(|base| base.columns.iter().find(|column| column.name == name))
            .map(|column| column.kind)
    };
    let all = def.columns.iter().map(|column| Change {
        column: column.name.clone(),
        from: before(&column.name),
        to: column.kind,
    });
    all.filter(|change| change.from != Some(change.to)).collect()
}
