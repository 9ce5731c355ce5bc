//! Files of a table written again: with wider types, without rows that go, with rows closed.
//!
//! In: names of files and a [`Plan`]. Out: new files with the rows that stay, in their order. The
//! old files stay where they are: the log forgets them when the batch is committed, and an older
//! version of the table keeps them. Small files flow together, so that a table that is merged into
//! again and again does not fall to pieces.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::build::file_schema;
use crate::convert::convert;
use crate::error::TableError;
use crate::merge::{Plan, READ_ROWS};
use crate::shape::{ColumnDef, IS_CURRENT, ROOT_ID, ROW_ID, Role, TableDef, VALID_FROM, VALID_TO};
use crate::write::{OpenFile, StagedFile, Trail};

/// How files of one table are written again.
pub(crate) struct Rewriter<'a> {
    pub(crate) folder: &'a Path,
    /// The table as it will be.
    pub(crate) def: &'a TableDef,
    pub(crate) plan: &'a Plan,
    /// The time at which rows close.
    pub(crate) closing_micros: i64,
    pub(crate) rows_max: usize,
    pub(crate) trail: &'a Trail,
    /// Whether the rows are the batch's own.
    pub(crate) fresh: bool,
}

impl Rewriter<'_> {
    /// Writes the files again whose columns were `columns`.
    pub(crate) fn run<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
        columns: &[ColumnDef],
    ) -> Result<Vec<StagedFile>, TableError> {
        let mut open: Option<OpenFile> = None;
        let mut done = Vec::new();
        for name in names {
            let path = self.folder.join(name);
            let source =
                fs_err::File::open(&path).map_err(|error| TableError::file(&path, error))?;
            let (source, _) = source.into_parts();
            let builder = ParquetRecordBatchReaderBuilder::try_new(source)
                .map_err(|error| TableError::encode(&path, error))?;
            let has = |column: &&ColumnDef| builder.schema().index_of(&column.name).is_ok();
            let present: Vec<ColumnDef> = self.def.columns.iter().filter(has).cloned().collect();
            let schema = file_schema(self.def.role(), &present);
            if let Some(full) = open.take_if(|file| !file.takes(&schema)) {
                done.push(full.close(self.fresh)?);
            }
            let reader = builder.with_batch_size(READ_ROWS).build();
            for batch in reader.map_err(|error| TableError::encode(&path, error))? {
                let batch = batch.map_err(|error| TableError::encode(&path, error))?;
                let batch = self.convert(&batch, &schema, columns, &present)?;
                let batch = self.close(self.keep(batch)?)?;
                if batch.num_rows() == 0 {
                    continue;
                }
                let file = match &mut open {
                    Some(file) => file,
                    None => open.insert(OpenFile::create(
                        self.folder,
                        schema.clone(),
                        self.rows_max,
                        self.trail,
                    )?),
                };
                file.add(&batch)?;
            }
        }
        if let Some(last) = open {
            done.push(last.close(self.fresh)?);
        }
        Ok(done)
    }

    fn damaged(&self, problem: impl Into<crate::Cause>) -> TableError {
        TableError::damaged(&self.def.name, problem)
    }

    fn convert(
        &self,
        batch: &RecordBatch,
        schema: &SchemaRef,
        columns: &[ColumnDef],
        present: &[ColumnDef],
    ) -> Result<RecordBatch, TableError> {
        let mut arrays = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let array = batch
                .column_by_name(field.name())
                .ok_or_else(|| self.damaged("a column is missing"))?;
            let before = columns.iter().find(|column| column.name == *field.name());
            let after = present.iter().find(|column| column.name == *field.name());
            arrays.push(match (before, after) {
                (Some(before), Some(after)) => convert(array, before.kind, after.kind)?,
                _ => array.clone(),
            });
        }
        RecordBatch::try_new(schema.clone(), arrays).map_err(|error| self.damaged(error))
    }

    /// The rows that stay.
    fn keep(&self, batch: RecordBatch) -> Result<RecordBatch, TableError> {
        if self.plan.gone.is_empty() {
            return Ok(batch);
        }
        let column = if self.def.role() == Role::List { ROOT_ID } else { ROW_ID };
        let Some(ids) = batch.column_by_name(column) else { return Ok(batch) };
        let ids = ids.as_primitive::<Int64Type>();
        let stays = |id: Option<i64>| Some(id.is_none_or(|id| !self.plan.gone.contains(id)));
        let stays: BooleanArray = ids.iter().map(stays).collect();
        filter_record_batch(&batch, &stays).map_err(|error| self.damaged(error))
    }

    /// Closes rows of a history.
    fn close(&self, batch: RecordBatch) -> Result<RecordBatch, TableError> {
        if self.plan.closed.is_empty() || self.def.role() != Role::Version {
            return Ok(batch);
        }
        let column = |name: &str| {
            batch.schema().index_of(name).map_err(|_| self.damaged("a column is missing"))
        };
        let (id, until, current) = (column(ROW_ID)?, column(VALID_TO)?, column(IS_CURRENT)?);
        let since = batch.column(column(VALID_FROM)?).as_primitive::<TimestampMicrosecondType>();
        let ids = batch.column(id).as_primitive::<Int64Type>();
        let closes: Vec<bool> =
            ids.iter().map(|id| id.is_some_and(|id| self.plan.closed.contains(id))).collect();
        let ends = batch.column(until).as_primitive::<TimestampMicrosecondType>();
        // A clock that was set back ends nothing before it began.
        let end = |((end, since), closes): ((Option<i64>, Option<i64>), &bool)| match closes {
            true => since.max(Some(self.closing_micros)),
            false => end,
        };
        let ends: TimestampMicrosecondArray =
            ends.iter().zip(since.iter()).zip(&closes).map(end).collect();
        let holds = batch.column(current).as_boolean();
        let hold = |(holds, closes): (Option<bool>, &bool)| holds.map(|holds| holds && !*closes);
        let holds: BooleanArray = holds.iter().zip(&closes).map(hold).collect();
        let mut arrays: Vec<ArrayRef> = batch.columns().to_vec();
        arrays[until] = Arc::new(ends.with_timezone("UTC"));
        arrays[current] = Arc::new(holds);
        RecordBatch::try_new(batch.schema(), arrays).map_err(|error| self.damaged(error))
    }
}
