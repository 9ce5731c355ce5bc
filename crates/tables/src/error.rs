//! What can go wrong between a record and an answer.
//!
//! In: failures of files, of the Delta log, of SQL, and records that do not fit. Out: one enum
//! whose variants are facts, each with a stable code and hints. No variant names a type of Arrow,
//! DataFusion or Delta: their errors are kept only as boxed causes, so that no other room ever
//! depends on them.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use restway_model::definition::MaxRejects;
use restway_model::{Code, ColumnType, Explain, Refused, TableName};

use crate::maps::MapPath;
use crate::naming::resource_of;

/// A cause from an engine underneath.
pub type Cause = Box<dyn Error + Send + Sync + 'static>;

/// Why tables could not be landed, looked at or queried.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A value does not fit the type that the definition declares for its column.
    #[error(
        "record {record} of `{table}`: column `{column}` is declared {expected}, found `{found}`"
    )]
    TypeMismatch {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// The record's number within the batch, from 1.
        record: u64,
        /// The declared type.
        expected: ColumnType,
        /// The beginning of the value.
        found: String,
    },
    /// A record has no value for a field of its key.
    #[error("record {record} of `{table}` has no `{field}`, which is its key")]
    KeyMissing {
        /// The table.
        table: TableName,
        /// The field.
        field: String,
        /// The record's number within the batch, from 1.
        record: u64,
    },
    /// A record has a field that is no column, and the definition says that none may be added.
    #[error("record {record} of `{table}` has `{path}`, which is no column")]
    NewColumn {
        /// The table.
        table: TableName,
        /// The place in the record, or the table of a list.
        path: String,
        /// The record's number within the batch, from 1.
        record: u64,
    },
    /// A value would widen its column, and the definition says that none may widen.
    #[error("record {record} of `{table}`: `{path}` is {kind}, found {found}")]
    NewType {
        /// The table.
        table: TableName,
        /// The place in the record.
        path: String,
        /// The record's number within the batch, from 1.
        record: u64,
        /// The column's type.
        kind: ColumnType,
        /// The value's type.
        found: ColumnType,
    },
    /// More records were refused than the definition allows.
    #[error(
        "{rejected} of {records} records would go to `{resource}`, and `max_rejects` is {max}; the \
         first: {first}"
    )]
    TooManyRejects {
        /// The table of rejects.
        resource: TableName,
        /// Records that were refused.
        rejected: u64,
        /// Records that were read.
        records: u64,
        /// What is allowed.
        max: MaxRejects,
        /// Why the first was refused.
        first: String,
    },
    /// More rows are absent than may go.
    #[error(
        "{absent} of {rows} rows of `{table}` are absent from the api, and `max_fraction` is \
         {max_fraction}"
    )]
    TooManyAbsent {
        /// The table.
        table: TableName,
        /// Rows whose key the walk did not meet.
        absent: u64,
        /// Rows that the table has.
        rows: u64,
        /// What is allowed.
        max_fraction: f64,
    },
    /// A table with a history is to be landed without, or the other way round.
    #[error("`{table}` was landed {}", if *.history { "with `load: history`" } else { "without a history" })]
    LoadChanged {
        /// The table.
        table: TableName,
        /// Whether it has a history.
        history: bool,
    },
    /// A record is not JSON.
    #[error("record {record} of `{table}` is not JSON: {problem}")]
    NotJson {
        /// The table.
        table: TableName,
        /// The record's number within the batch, from 1.
        record: u64,
        /// What the parser said.
        problem: String,
    },
    /// A line of an answer stands in the place of a record and is none.
    #[error("an answer for `{table}` has a row that fits no columns: {problem}")]
    Refused {
        /// The table.
        table: TableName,
        /// The line in the answer.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// A record nests deeper than the bound.
    #[error("record {record} of `{table}` nests deeper than {depth_max} levels")]
    TooDeep {
        /// The table.
        table: TableName,
        /// The record's number within the batch, from 1.
        record: u64,
        /// The bound.
        depth_max: usize,
    },
    /// A table would get more columns than the bound.
    #[error("`{table}` would have more than {columns_max} columns")]
    TooManyColumns {
        /// The table.
        table: TableName,
        /// The bound.
        columns_max: usize,
    },
    /// An object's keys are data; the batch is to be landed again with that known.
    #[error("the objects of `{table}` at `{path}` have more keys than an object with fields")]
    MapFound {
        /// The resource's table.
        table: TableName,
        /// Where.
        path: MapPath,
    },
    /// A table that lists what is gone has not the field that says which row.
    #[error("`{table}` lists what is gone, and has no field `{field}`")]
    GoneKey {
        /// The table that lists it.
        table: TableName,
        /// The field.
        field: String,
    },
    /// A resource would get more child tables than the bound.
    #[error("`{table}` would have more than {tables_max} child tables")]
    TooManyTables {
        /// The resource's table.
        table: TableName,
        /// The bound.
        tables_max: usize,
    },
    /// A batch has more rows, or a resource more batches, than a row id has room for.
    #[error("the row ids of `{table}` are used up at batch {sequence}")]
    RowIdsUsedUp {
        /// The table.
        table: TableName,
        /// The batch.
        sequence: u64,
    },
    /// A definition declares a type that does not hold what was already landed.
    #[error(
        "column `{column}` of `{table}` holds {landed}, which does not fit the declared {declared}"
    )]
    DeclaredNarrower {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// What the definition says.
        declared: ColumnType,
        /// What the table holds.
        landed: ColumnType,
    },
    /// No such table.
    #[error("there is no table `{name}`")]
    TableMissing {
        /// The name that was asked for.
        name: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },
    /// A table's log or one of its files cannot be read.
    #[error("table `{table}` cannot be read")]
    Damaged {
        /// The table.
        table: String,
        /// What the reader said.
        #[source]
        source: Cause,
    },
    /// The entry of a version in a table's log is empty, or ends before its last line.
    #[error("the log of `{table}` is torn: `{}` is not whole", .entry.display())]
    Torn {
        /// The table.
        table: TableName,
        /// The entry.
        entry: PathBuf,
    },
    /// Another engine wrote the table in a way that would be read wrongly.
    #[error("table `{table}` uses {feature}, which Restway does not read")]
    Foreign {
        /// The table.
        table: String,
        /// The feature.
        feature: String,
    },
    /// The table is not the one that the batch was staged for.
    #[error("table `{table}` changed since batch {sequence} was staged: {problem}")]
    Conflict {
        /// The table.
        table: TableName,
        /// The batch.
        sequence: u64,
        /// What differs.
        problem: String,
    },
    /// The journal numbers a batch that the table has already.
    #[error("table `{table}` has batch {landed} already, and the journal is only at {sequence}")]
    JournalBehind {
        /// The table.
        table: TableName,
        /// The newest batch that the table has.
        landed: u64,
        /// The batch that was to begin.
        sequence: u64,
    },
    /// A moment at which the table was not there, or of which its log no longer tells.
    #[error("there is no `{table}` as of {asked}: its log tells of versions {first} to {last}")]
    VersionMissing {
        /// The table.
        table: TableName,
        /// The moment that was asked for.
        asked: String,
        /// The oldest version that the log tells of.
        first: u64,
        /// The newest.
        last: u64,
    },
    /// A version whose files were removed.
    #[error("version {version} of `{table}` is gone: its files were removed")]
    VersionGone {
        /// The table.
        table: TableName,
        /// The version.
        version: u64,
    },
    /// A version's number for a query of several tables, each of which has numbers of its own.
    #[error("a version is of one table, and the query reads {tables}")]
    VersionOfMany {
        /// How many tables the query reads.
        tables: usize,
    },
    /// What is done to a resource's tables was asked of a child table alone.
    #[error("`{table}` is a list inside the records of `{parent}`, and stays with it")]
    ChildTable {
        /// The child table.
        table: TableName,
        /// The table that it is a list of.
        parent: TableName,
    },
    /// Another writer committed to the table while it was being compacted or restored.
    #[error("another writer changed `{table}` in the meantime")]
    Overtaken {
        /// The table.
        table: TableName,
        /// What the log said.
        #[source]
        source: Cause,
    },
    /// A file or folder could not be read or written.
    #[error("cannot read or write `{}`", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Cause,
    },
    /// A column of a file of somebody else's that no table can hold.
    #[error("the column `{column}` of {} {problem}", .path.display())]
    ForeignColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The SQL is wrong, or not a query.
    #[error("the query cannot be run: {problem}")]
    QueryInvalid {
        /// What the planner said.
        problem: String,
        /// What to write instead.
        hint: Option<String>,
    },
    /// A value does not fit the type of its column.
    #[error("`{column}` has a value that its type, {kind}, cannot hold")]
    ValueUnfit {
        /// The column.
        column: String,
        /// Its type.
        kind: String,
    },
    /// A query needs more memory than it may have, and cannot put more of it on the disk.
    #[error("the query needs more memory than it may have")]
    QueryMemory {
        /// What the engine said.
        #[source]
        source: Cause,
    },
    /// A query stopped.
    #[error("the query stopped: {problem}")]
    QueryFailed {
        /// What the engine said, in its first line.
        problem: String,
        /// The error itself.
        #[source]
        source: Cause,
    },
    /// A fault in this room.
    #[error("internal fault: {0}")]
    Internal(String),
}

impl TableError {
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source: Box::new(source) }
    }

    pub(crate) fn encode(path: &Path, source: impl Into<Cause>) -> Self {
        Self::File { path: path.to_owned(), source: source.into() }
    }

    pub(crate) fn damaged(table: impl ToString, source: impl Into<Cause>) -> Self {
        Self::Damaged { table: table.to_string(), source: source.into() }
    }

    /// What an answer had in the place of a record.
    pub(crate) fn refused(table: TableName, refused: &Refused) -> Self {
        Self::Refused { table, line: refused.line, problem: refused.problem.clone() }
    }

    /// A failure that only a mistake in this room can bring about.
    pub(crate) fn internal(source: impl ToString) -> Self {
        Self::Internal(source.to_string())
    }
}

impl Explain for TableError {
    fn code(&self) -> Code {
        match self {
            Self::TypeMismatch { .. } | Self::NotJson { .. } | Self::TooDeep { .. } => {
                Code::RecordInvalid
            }
            Self::KeyMissing { .. } | Self::NewColumn { .. } | Self::NewType { .. } => {
                Code::RecordInvalid
            }
            Self::Refused { .. } => Code::RecordInvalid,
            Self::TooManyColumns { .. } | Self::TooManyTables { .. } | Self::MapFound { .. } => {
                Code::RecordInvalid
            }
            Self::TooManyRejects { .. } => Code::TooManyRejects,
            Self::TooManyAbsent { .. } => Code::TooManyAbsent,
            Self::DeclaredNarrower { .. } | Self::LoadChanged { .. } | Self::GoneKey { .. } => {
                Code::DefinitionInvalid
            }
            Self::TableMissing { .. } => Code::TableMissing,
            Self::Foreign { .. } | Self::Torn { .. } => Code::TableDamaged,
            Self::Conflict { .. } | Self::JournalBehind { .. } | Self::Overtaken { .. } => {
                Code::TableConflict
            }
            Self::VersionMissing { .. } | Self::VersionGone { .. } => Code::VersionMissing,
            Self::VersionOfMany { .. } | Self::ChildTable { .. } => Code::ArgumentInvalid,
            Self::Damaged { source, .. } | Self::File { source, .. }
                if is_disk_full(source.as_ref()) =>
            {
                Code::DiskFull
            }
            Self::Damaged { .. } => Code::TableDamaged,
            Self::ForeignColumn { .. } => Code::ImportInvalid,
            Self::File { .. } => Code::FileFailed,
            Self::QueryInvalid { .. } => Code::QueryInvalid,
            Self::QueryMemory { .. } => Code::QueryMemory,
            Self::QueryFailed { source, .. } if is_disk_full(source.as_ref()) => Code::DiskFull,
            Self::QueryFailed { .. } | Self::ValueUnfit { .. } => Code::QueryFailed,
            Self::RowIdsUsedUp { .. } | Self::Internal(_) => Code::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::TypeMismatch { column, expected, .. } => vec![format!(
                "declare a wider type than {expected} for `{column}` under `types`, or drop the \
                 declaration"
            )],
            Self::Refused { .. } => vec![
                "see whether `delimiter` and `quote` under `format` are those of the answer".into(),
            ],
            Self::KeyMissing { .. } => {
                vec!["name fields under `key` that every record has".into()]
            }
            Self::NewColumn { .. } => vec![
                "let it become a column: `schema: { columns: evolve }`".into(),
                "or put such records aside: `schema: { columns: reject }`".into(),
            ],
            Self::NewType { .. } => vec![
                "let the column widen: `schema: { types: widen }`".into(),
                "or put such records aside: `schema: { types: reject }`".into(),
            ],
            Self::ValueUnfit { .. } => {
                vec!["leave the field out, or take JSON, which has no types".into()]
            }
            Self::TooManyRejects { .. } => {
                vec!["mend the definition, or allow more: `max_rejects: 50%`".into()]
            }
            Self::TooManyAbsent { .. } => vec![
                "look whether the api sends all that it should; nothing was deleted".into(),
                "if it does, allow more for one sync: `deletes: { absent: true, max_fraction: 1 }`"
                    .into(),
            ],
            Self::LoadChanged { .. } => vec![
                "give `load` its old value, or land under another resource's name".into(),
                "or remove the table's folder, and those of its lists, to land it anew".into(),
            ],
            Self::TooDeep { .. } | Self::TooManyColumns { .. } | Self::TooManyTables { .. } => {
                vec!["keep the deep or varying part as JSON: `nest: { json: [path] }`".into()]
            }
            Self::GoneKey { .. } => vec![
                "say which fields hold the key, in its order: `deletes: { key: [field] }`".into(),
            ],
            Self::MapFound { path, .. } => vec![
                format!("write `nest: {{ json: [\"{path}\"] }}` to keep it as JSON"),
                format!("or `nest: {{ columns: [\"{path}\"] }}` to have a column for each key"),
            ],
            Self::DeclaredNarrower { column, landed, .. } => vec![
                format!("declare {landed} or a wider type for `{column}`"),
                "sync with `--full` and `load: replace` to land everything again".into(),
            ],
            Self::TableMissing { nearest: Some(name), .. } => {
                vec![format!("did you mean `{name}`?")]
            }
            Self::TableMissing { nearest: None, .. } => {
                vec!["`restway tables` lists what there is".into()]
            }
            Self::Torn { table, .. } => vec![
                "bring back that file, or the folder of the table, from a copy".into(),
                format!(
                    "or `restway tables drop {}`, and sync it anew: the rows of that version are \
                     not known here",
                    resource_of(table)
                ),
            ],
            Self::Foreign { .. } => vec!["rewrite the table as plain Delta, protocol 1/2".into()],
            Self::JournalBehind { .. } => vec![
                "bring back the `.restway/restway.db` that belongs to these tables".into(),
                "or `restway tables drop` it, to land it anew".into(),
            ],
            Self::VersionMissing { table, .. } | Self::VersionGone { table, .. } => {
                vec![format!("`restway tables show {table}` lists its versions")]
            }
            Self::VersionOfMany { .. } => {
                vec!["name the table, as in `--as-of acme.orders@12`, or give an instant".into()]
            }
            Self::ChildTable { parent, .. } => {
                vec![format!("name `{parent}`; its child tables go along")]
            }
            Self::QueryMemory { .. } => vec![
                "select fewer columns, filter earlier, or group by fewer keys".into(),
                "raise the bound with `--memory`, as in `--memory 4GiB`".into(),
            ],
            Self::Conflict { .. } => {
                vec!["let Restway be the only writer of its tables, and sync again".into()]
            }
            Self::QueryInvalid { hint: Some(hint), .. } => vec![hint.clone()],
            _ if self.code() == Code::DiskFull => {
                vec!["free some space and run it again; the tables are as they were".into()]
            }
            _ => Vec::new(),
        }
    }
}

/// Whether somewhere below lies "no space left" or "quota exceeded".
fn is_disk_full(error: &(dyn Error + 'static)) -> bool {
    const DEPTH_MAX: usize = 16;
    let full = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    };
    let mut next = Some(error);
    for _ in 0..DEPTH_MAX {
        let Some(error) = next else { return false };
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(full) {
            return true;
        }
        // The source of an `io::Error` is not what it wraps but that one's own source.
        next = match io.and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        let code = |kind: io::ErrorKind| {
            let inner = io::Error::from(kind);
            TableError::file(Path::new("x"), io::Error::other(inner)).code()
        };
        assert_eq!(code(io::ErrorKind::StorageFull), Code::DiskFull);
        assert_eq!(code(io::ErrorKind::PermissionDenied), Code::FileFailed);
    }
}
