//! A batch of one resource, from its first record to closed files.
//!
//! In: records, in the order in which they came. Out: a [`StagedBatch`]: the files of all tables
//! of the resource and the schema that each table has afterwards, all that a commit needs,
//! so that the commit only writes logs and can be done by another process after a crash. The order
//! of the stages is parse → append → encode, the last on its own thread. Until the batch is
//! finished nothing stays: dropping an intake removes its files.

use arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use restway_model::{ColumnType, Event, Records, RunId, TableName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::LoadMode;
use crate::build::{ROW_BYTES, Rows, Stamp, file_schema};
use crate::convert::convert;
use crate::encode::{Encoded, Encoder, Job};
use crate::error::TableError;
use crate::lake::Shared;
use crate::parse::{Carried, Tape, read_record};
use crate::shape::{ColumnDef, Shape, TableDef};
use crate::write::{OpenFile, StagedFile, Trail, sync_folder};

/// Bytes of rows in memory after which the largest table is handed to the encoder.
const ROWS_BYTES_MAX: usize = 16 << 20;
/// Where the number of the batch stands in a row id; below it the rows of the batch count.
const SEQUENCE_SHIFT: u32 = 40;
/// Batches that a row id has room for.
const SEQUENCE_MAX: u64 = 1 << (63 - SEQUENCE_SHIFT);

/// A table of the lake as it was when the intake began.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) def: TableDef,
    /// Its files, within its folder.
    pub(crate) files: Vec<String>,
}

/// A column whose type changed with a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) column: String,
    pub(crate) from: Option<ColumnType>,
    pub(crate) to: ColumnType,
}

/// One table's part of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StagedTable {
    pub(crate) def: TableDef,
    /// What the table was; none where the batch makes it.
    pub(crate) base: Option<TableDef>,
    pub(crate) files: Vec<StagedFile>,
    /// Files of the table that are written again in `files` with wider types.
    pub(crate) rewritten: Vec<String>,
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
}

impl StagedBatch {
    /// New rows of all tables.
    pub fn rows(&self) -> u64 {
        self.fresh().map(|file| file.rows).sum()
    }

    /// Bytes of the files with new rows.
    pub fn bytes(&self) -> u64 {
        self.fresh().map(|file| file.bytes).sum()
    }

    /// The tables that the batch changes, the resource's own first.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.tables.iter().map(|table| &table.def.name)
    }

    /// The resource.
    pub fn resource(&self) -> &TableName {
        &self.resource
    }

    /// The number of the batch.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    fn fresh(&self) -> impl Iterator<Item = &StagedFile> {
        self.tables.iter().flat_map(|table| &table.files).filter(|file| file.fresh)
    }
}

/// The way of records into a batch. It computes and writes files, so it belongs on a thread that
/// may block.
pub struct Intake {
    shared: Shared,
    header: StagedBatch,
    stamp: Stamp,
    bases: Vec<Base>,
    shape: Shape,
    rows: Vec<Rows>,
    tape: Tape,
    ids: Vec<i64>,
    records: u64,
    stamps: u64,
    /// Bytes that the rows of all tables hold, roughly.
    bytes: usize,
    encoder: Encoder,
    trail: Trail,
}

impl Intake {
    pub(crate) fn new(
        shared: Shared,
        header: StagedBatch,
        stamp: Stamp,
        bases: Vec<Base>,
        mut shape: Shape,
    ) -> Result<Self, TableError> {
        if header.sequence >= SEQUENCE_MAX {
            let table = header.resource.clone();
            return Err(TableError::RowIdsUsedUp { table, sequence: header.sequence });
        }
        shape.declare(header.mode == LoadMode::Replace)?;
        let trail = Trail::default();
        let encoder =
            Encoder::start(header.sequence, shared.limits.row_group_rows_max, trail.clone())?;
        Ok(Self {
            shared,
            header,
            stamp,
            bases,
            shape,
            rows: Vec::new(),
            tape: Tape::default(),
            ids: Vec::new(),
            records: 0,
            stamps: 0,
            bytes: 0,
            encoder,
            trail,
        })
    }

    /// Takes records in; `carried` are further columns that every one of them gets. A record that
    /// cannot be landed is an error, and nothing of it is kept; those before it are.
    pub fn push(
        &mut self,
        records: &Records,
        carried: &[(String, Box<RawValue>)],
    ) -> Result<(), TableError> {
        let carried = Carried::read(&mut self.shape, carried)?;
        for record in records.iter() {
            self.records += 1;
            let depth_max = self.shared.limits.json_depth_max;
            read_record(
                &mut self.tape,
                &mut self.shape,
                record,
                &carried,
                self.records,
                depth_max,
                &mut self.stamps,
            )?;
            self.append(record, &carried)?;
            self.hand_over_full()?;
        }
        Ok(())
    }

    /// Records that were taken in so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Appends what lies on the tape to the columns.
    fn append(&mut self, record: &[u8], carried: &Carried) -> Result<(), TableError> {
        self.rows.resize_with(self.shape.tables.len(), Rows::default);
        self.ids.clear();
        for (position, row) in self.tape.rows.iter().enumerate() {
            let rows = &mut self.rows[row.table];
            if rows.total >= 1 << SEQUENCE_SHIFT {
                let table = self.shape.tables[row.table].name.clone();
                return Err(TableError::RowIdsUsedUp { table, sequence: self.header.sequence });
            }
            let id = (self.header.sequence << SEQUENCE_SHIFT | rows.total) as i64;
            self.ids.push(id);
            let parent = if position == 0 { id } else { self.ids[row.parent] };
            rows.begin(id, parent, self.ids[0], row.index);
            self.bytes += ROW_BYTES;
        }
        for cell in &self.tape.cells {
            let table = self.tape.rows[cell.row].table;
            let rows = &mut self.rows[table];
            // The rows of one table follow each other, so its place follows from its id.
            let row = rows.place(self.ids[cell.row]);
            let column = &mut self.shape.tables[table].columns[cell.column];
            let text = |span| self.tape.text(span, record, &carried.text);
            self.bytes += rows.put(row, cell.column, column, &cell.cell, text)?;
        }
        Ok(())
    }

    /// Hands over what is full after a record; only its own tables can be.
    fn hand_over_full(&mut self) -> Result<(), TableError> {
        let rows_max = self.shared.limits.row_group_rows_max.max(1);
        for index in 0..self.tape.rows.len() {
            let table = self.tape.rows[index].table;
            if self.rows[table].len() >= rows_max {
                self.hand_over(table)?;
            }
        }
        while self.bytes >= ROWS_BYTES_MAX {
            let largest = (0..self.rows.len()).max_by_key(|table| self.rows[*table].bytes);
            match largest {
                Some(table) if self.rows[table].len() > 0 => self.hand_over(table)?,
                _ => break,
            }
        }
        Ok(())
    }

    fn hand_over(&mut self, table: usize) -> Result<(), TableError> {
        if self.rows[table].len() == 0 {
            return Ok(());
        }
        self.bytes = self.bytes.saturating_sub(self.rows[table].bytes);
        let batch = self.rows[table].take(&self.shape.tables[table], &self.stamp)?;
        let def = self.shape.def(table);
        let folder = self.shared.folder(&def.name);
        self.encoder.send(Job { table, folder, batch, columns: def.columns })
    }

    /// Closes the batch: all rows are in files of the tables' final types, and the disk has them.
    pub fn finish(mut self) -> Result<StagedBatch, TableError> {
        for table in 0..self.rows.len() {
            self.hand_over(table)?;
        }
        let encoded = self.encoder.finish()?;
        let mut files: Vec<Vec<StagedFile>> = Vec::new();
        files.resize_with(self.shape.tables.len(), Vec::new);
        for Encoded { table, file, columns } in encoded {
            let def = self.shape.def(table);
            if fits(&columns, &def) {
                files[table].push(file);
                continue;
            }
            let again = self.rewrite(&def, &columns, &file.name, true)?;
            let path = self.shared.folder(&def.name).join(&file.name);
            fs_err::remove_file(&path).map_err(|error| TableError::file(&path, error))?;
            self.trail.forget(&path);
            files[table].push(again);
        }
        for (table, files) in files.into_iter().enumerate() {
            if let Some(staged) = self.stage(table, files)? {
                self.header.tables.push(staged);
            }
        }
        for table in self.header.tables.iter().filter(|table| !table.files.is_empty()) {
            sync_folder(&self.shared.folder(&table.def.name))?;
        }
        self.trail.keep();
        self.report();
        let empty = StagedBatch { tables: Vec::new(), ..self.header.clone() };
        Ok(std::mem::replace(&mut self.header, empty))
    }

    fn report(&self) {
        for table in &self.header.tables {
            let fresh = table.files.iter().filter(|file| file.fresh);
            let (rows, bytes) =
                fresh.fold((0, 0), |sum, file| (sum.0 + file.rows, sum.1 + file.bytes));
            self.shared.observer.observe(&Event::FilesStaged {
                table: table.def.name.clone(),
                files: table.files.len() as u64,
                rows,
                bytes,
            });
        }
    }

    /// One table's part of the batch; none when the batch leaves it as it is.
    fn stage(
        &mut self,
        table: usize,
        mut files: Vec<StagedFile>,
    ) -> Result<Option<StagedTable>, TableError> {
        let def = self.shape.def(table);
        let base = self.bases.iter().position(|base| base.def.name == def.name);
        let base = base.map(|index| self.bases.swap_remove(index));
        let is_replaced = self.header.mode == LoadMode::Replace;
        let mut rewritten = Vec::new();
        if let Some(base) = &base
            && !is_replaced
            && !fits(&base.def.columns, &def)
        {
            for name in &base.files {
                files.push(self.rewrite(&def, &base.def.columns, name, false)?);
                rewritten.push(name.clone());
            }
        }
        let is_changed = base.as_ref().is_none_or(|base| base.def != def);
        let is_wanted = match &base {
            Some(_) => is_changed || !files.is_empty() || is_replaced,
            // A list that was met only in a record that was refused makes no table.
            None => !files.is_empty(),
        };
        if table != 0 && !is_wanted {
            return Ok(None);
        }
        let changes = changes(base.as_ref().map(|base| &base.def), &def);
        let base = base.map(|base| base.def);
        Ok(Some(StagedTable { def, base, files, rewritten, changes }))
    }

    /// Writes a file again with the table's types.
    fn rewrite(
        &self,
        def: &TableDef,
        columns: &[ColumnDef],
        name: &str,
        fresh: bool,
    ) -> Result<StagedFile, TableError> {
        let folder = self.shared.folder(&def.name);
        let path = folder.join(name);
        let source = fs_err::File::open(&path).map_err(|error| TableError::file(&path, error))?;
        let (source, _) = source.into_parts();
        let reader = ParquetRecordBatchReaderBuilder::try_new(source)
            .and_then(|builder| builder.build())
            .map_err(|error| TableError::encode(&path, error))?;
        let present: Vec<ColumnDef> = def
            .columns
            .iter()
            .filter(|column| reader_has(&reader, &column.name))
            .cloned()
            .collect();
        let schema = file_schema(def.parent.is_some(), &present);
        let rows_max = self.shared.limits.row_group_rows_max;
        let sequence = self.header.sequence;
        let mut target =
            OpenFile::create(&folder, sequence, schema.clone(), rows_max, &self.trail)?;
        for batch in reader {
            let batch = batch.map_err(|error| TableError::encode(&path, error))?;
            let mut arrays = Vec::with_capacity(schema.fields().len());
            for field in schema.fields() {
                let array = batch
                    .column_by_name(field.name())
                    .ok_or_else(|| TableError::damaged(&def.name, "a column is missing"))?;
                let before = columns.iter().find(|column| column.name == *field.name());
                let after = present.iter().find(|column| column.name == *field.name());
                arrays.push(match (before, after) {
                    (Some(before), Some(after)) => convert(array, before.kind, after.kind)?,
                    _ => array.clone(),
                });
            }
            let batch = RecordBatch::try_new(schema.clone(), arrays);
            target.write(&batch.map_err(|error| TableError::damaged(&def.name, error))?)?;
        }
        target.close(fresh)
    }

    /// Removes whatever the intake wrote.
    pub fn abandon(self) {
        drop(self);
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.encoder.stop();
        self.trail.remove();
    }
}

fn reader_has(reader: &parquet::arrow::arrow_reader::ParquetRecordBatchReader, name: &str) -> bool {
    use arrow::array::RecordBatchReader;
    reader.schema().column_with_name(name).is_some()
}

/// Whether files with `columns` can stand in a table of `def`: their types are the table's, and
/// columns that are missing or hold only nulls read as null.
fn fits(columns: &[ColumnDef], def: &TableDef) -> bool {
    columns.iter().all(|column| {
        let now = def.columns.iter().find(|now| now.name == column.name);
        column.kind == ColumnType::Null || now.is_some_and(|now| now.kind == column.kind)
    })
}

fn changes(base: Option<&TableDef>, def: &TableDef) -> Vec<Change> {
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
