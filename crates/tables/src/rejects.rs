//! Records that could not be landed, kept where they can be asked for.
//!
//! In: the bytes of a record and the error that refused it. Out: rows of the table
//! `api.resource__rejects` in the same batch: the reason as a word, the place, the error's text and
//! the record itself. They are added and never taken away by a load: `_run_id` and `_fetched_at`
//! say which sync refused them. What never happens here: a record that disappears uncounted.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use restway_model::definition::{ColumnRule, Contract, MaxRejects, TypeRule};
use restway_model::{ColumnType, TableName};

use crate::build::{Stamp, file_schema};
use crate::error::TableError;
use crate::naming::rejects_table;
use crate::shape::{ColumnDef, Role, TableDef};
use crate::stage::SEQUENCE_SHIFT;
use crate::staged::{Removed, StagedTable};
use crate::write::{OpenFile, StagedFile, Trail};

/// Bytes of records in memory after which they are written.
const BUFFER_BYTES_MAX: usize = 8 << 20;

/// The columns of a table of rejects.
const COLUMNS: [(&str, ColumnType); 4] = [
    ("reason", ColumnType::Text),
    ("path", ColumnType::Text),
    ("message", ColumnType::Text),
    ("record", ColumnType::Json),
];

/// The table of a resource's rejects.
fn def(resource: &TableName) -> TableDef {
    let column = |(name, kind): &(&str, ColumnType)| ColumnDef {
        name: (*name).to_owned(),
        path: String::new(),
        kind: *kind,
        wide: false,
        map: false,
    };
    let columns = COLUMNS.iter().map(column).collect();
    TableDef { name: rejects_table(resource), parent: None, history: false, columns }
}

/// The rejects of one batch.
pub(crate) struct Rejects {
    def: TableDef,
    base: Option<TableDef>,
    folder: PathBuf,
    sequence: u64,
    max: MaxRejects,
    contract: Contract,
    pub(crate) count: u64,
    first: Option<String>,
    texts: [Vec<String>; COLUMNS.len()],
    bytes: usize,
    file: Option<OpenFile>,
}

impl Rejects {
    pub(crate) fn new(
        resource: &TableName,
        base: Option<TableDef>,
        folder: PathBuf,
        sequence: u64,
        max: MaxRejects,
        contract: Contract,
    ) -> Self {
        Self {
            def: def(resource),
            base,
            folder,
            sequence,
            max,
            contract,
            count: 0,
            first: None,
            texts: Default::default(),
            bytes: 0,
            file: None,
        }
    }

    /// Takes a record that was refused, or gives the error back where it must stop the batch.
    pub(crate) fn take(
        &mut self,
        record: &[u8],
        error: TableError,
        stamp: &Stamp,
        rows_max: usize,
        trail: &Trail,
    ) -> Result<(), TableError> {
        let Some((reason, path)) = self.reason(&error) else { return Err(error) };
        if self.max == MaxRejects::Count(0) {
            return Err(error);
        }
        self.count += 1;
        let message = error.to_string();
        let text = String::from_utf8_lossy(record).into_owned();
        self.bytes += text.len() + message.len() + path.len();
        let (first, row) = (message.clone(), [reason.to_owned(), path, message, text]);
        self.first.get_or_insert(first);
        for (texts, text) in self.texts.iter_mut().zip(row) {
            texts.push(text);
        }
        if let MaxRejects::Count(_) = self.max {
            self.check(self.count, 0)?;
        }
        if self.bytes >= BUFFER_BYTES_MAX {
            self.write(stamp, rows_max, trail)?;
        }
        Ok(())
    }

    /// Why a record may be put aside, and where in it; none for an error that is not about one
    /// record, or that the definition wants to stop the batch.
    fn reason(&self, error: &TableError) -> Option<(&'static str, String)> {
        match error {
            TableError::KeyMissing { field, .. } => Some(("key_missing", field.clone())),
            TableError::TypeMismatch { column, .. } => Some(("type_mismatch", column.clone())),
            TableError::Refused { line, .. } => Some(("malformed", format!("line {line}"))),
            TableError::TooDeep { .. } => Some(("too_deep", "$".into())),
            TableError::NewColumn { path, .. } if self.contract.columns == ColumnRule::Reject => {
                Some(("new_column", path.clone()))
            }
            TableError::NewType { path, .. } if self.contract.types == TypeRule::Reject => {
                Some(("new_type", path.clone()))
            }
            _ => None,
        }
    }

    /// Whether so few of all records, or of `least` if they are fewer, were refused as the
    /// definition allows.
    pub(crate) fn check(&self, records: u64, least: u64) -> Result<(), TableError> {
        if self.max.allows(self.count, records.max(least)) {
            return Ok(());
        }
        Err(TableError::TooManyRejects {
            resource: self.def.name.clone(),
            rejected: self.count,
            records,
            max: self.max,
            first: self.first.clone().unwrap_or_default(),
        })
    }

    fn write(&mut self, stamp: &Stamp, rows_max: usize, trail: &Trail) -> Result<(), TableError> {
        let rows = self.texts[0].len() as u64;
        let first = self.sequence << SEQUENCE_SHIFT | (self.count - rows);
        let ids = (first..first + rows).map(|id| id as i64);
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(ids))];
        for texts in &mut self.texts {
            arrays.push(Arc::new(StringArray::from(std::mem::take(texts))));
        }
        let runs: StringArray = (0..rows).map(|_| Some(stamp.run.as_str())).collect();
        arrays.push(Arc::new(runs));
        let fetched = TimestampMicrosecondArray::from(vec![stamp.fetched_micros; rows as usize]);
        arrays.push(Arc::new(fetched.with_timezone("UTC")));
        let schema = file_schema(Role::Record, &self.def.columns);
        let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(TableError::internal)?;
        self.bytes = 0;
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(OpenFile::create(&self.folder, schema, rows_max, trail)?),
        };
        file.add(&batch)
    }

    /// The rejects' part of the batch; none when nothing was refused.
    pub(crate) fn finish(
        &mut self,
        stamp: &Stamp,
        rows_max: usize,
        trail: &Trail,
    ) -> Result<Option<StagedTable>, TableError> {
        if self.count == 0 {
            return Ok(None);
        }
        if self.base.as_ref().is_some_and(|base| *base != self.def) {
            return Err(TableError::Conflict {
                table: self.def.name.clone(),
                sequence: self.sequence,
                problem: "it is no table of rejects".into(),
            });
        }
        if !self.texts[0].is_empty() {
            self.write(stamp, rows_max, trail)?;
        }
        let files: Vec<StagedFile> =
            self.file.take().map(|file| file.close(true)).transpose()?.into_iter().collect();
        Ok(Some(StagedTable {
            def: self.def.clone(),
            base: self.base.take(),
            files,
            removed: Removed::Nothing,
            looked_at: None,
            changes: Vec::new(),
        }))
    }
}
