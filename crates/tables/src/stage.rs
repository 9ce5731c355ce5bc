//! A batch of one resource, from its first record to closed files.
//!
//! In: records, in the order in which they came. Out: a [`StagedBatch`]: the files of all tables
//! of the resource and the schema that each table has afterwards, all that a commit needs,
//! so that the commit only writes logs and can be done by another process after a crash. The order
//! of the stages is parse → append → encode, the last on its own thread. Until the batch is
//! finished nothing stays: dropping an intake removes its files.

use std::path::Path;

use restway_model::definition::{Contract, Deletes, MaxRejects};
use restway_model::{ColumnType, Event, Records, exact_json};
use serde_json::value::RawValue;

use crate::build::{ROW_BYTES, Rows, Stamp};
use crate::contract;
use crate::encode::{Encoded, Encoder, Job};
use crate::error::TableError;
use crate::gone::GoneRows;
use crate::keys::{self, KeyColumn};
use crate::lake::Shared;
use crate::merge::{self, Plan, Question, RowSet};
use crate::naming::rejects_table;
use crate::parse::{Carried, Cell, Tape, TapeCell, read_record};
use crate::rejects::Rejects;
use crate::rewrite::Rewriter;
use crate::shape::{ColumnDef, Shape, TableDef};
use crate::staged::{Removed, StagedBatch, StagedTable, changes};
use crate::write::{StagedFile, Trail, part_prefix, sync_folder};
use crate::{LoadMode, Tally};

/// Bytes of rows in memory after which the largest table is handed to the encoder.
const ROWS_BYTES_MAX: usize = 16 << 20;
/// Where the number of the batch stands in a row id; below it the rows of the batch count.
pub(crate) const SEQUENCE_SHIFT: u32 = 40;
/// Batches that a row id has room for.
const SEQUENCE_MAX: u64 = 1 << (63 - SEQUENCE_SHIFT);

/// Records of which a share of rejects is taken at least, where rows are added to others: one bad
/// record of three is no sign that a definition is wrong. A batch that replaces a table is all of
/// it, and judged by what it has.
const SHARE_OF_MIN: u64 = 100;

/// A table of the lake as it was when the intake began.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) def: TableDef,
    pub(crate) files: Vec<BaseFile>,
}

/// A data file of a table as it was when the intake began.
#[derive(Debug)]
pub(crate) struct BaseFile {
    /// Within the table's folder.
    pub(crate) path: String,
    pub(crate) stats: Option<String>,
}

/// What the definition of the resource says about its records as a whole.
pub(crate) struct Settings {
    pub(crate) key: Vec<String>,
    pub(crate) deletes: Deletes,
    pub(crate) gone: Option<GoneRows>,
    pub(crate) contract: Contract,
    pub(crate) max_rejects: MaxRejects,
}

/// The way of records into a batch. It computes and writes files, so it belongs on a thread that
/// may block.
pub struct Intake {
    shared: Shared,
    header: StagedBatch,
    stamp: Stamp,
    bases: Vec<Base>,
    shape: Shape,
    settings: Settings,
    rejects: Rejects,
    /// The key's columns, as far as they were met.
    keys: Vec<Option<usize>>,
    /// Rows of the batch that say that the row with their key is gone.
    tombstones: RowSet,
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
        (bases, rejects): (Vec<Base>, Option<TableDef>),
        mut shape: Shape,
        settings: Settings,
    ) -> Result<Self, TableError> {
        if header.sequence >= SEQUENCE_MAX {
            let table = header.resource.clone();
            return Err(TableError::RowIdsUsedUp { table, sequence: header.sequence });
        }
        shape.declare(header.mode == LoadMode::Replace)?;
        let folder = shared.folder(&rejects_table(&header.resource));
        let rejects = Rejects::new(
            &header.resource,
            rejects,
            folder,
            header.sequence,
            settings.max_rejects,
            settings.contract,
        );
        let trail = Trail::new(part_prefix(&header.stream, header.sequence));
        let encoder = Encoder::start(shared.limits.row_group_rows_max, trail.clone())?;
        Ok(Self {
            shared,
            header,
            stamp,
            bases,
            shape,
            settings,
            rejects,
            keys: Vec::new(),
            tombstones: RowSet::default(),
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
    /// cannot be landed is put among the rejects, or is an error where that is not allowed; nothing
    /// of it is kept in the other tables.
    ///
    /// # Errors
    /// [`TableError::MapFound`] where the whole batch is to be landed again, with that map known.
    pub fn push(
        &mut self,
        records: &Records,
        carried: &[(String, Box<RawValue>)],
    ) -> Result<(), TableError> {
        let values = carried;
        let carried = Carried::read(&mut self.shape, values)?;
        for refused in records.refused() {
            self.records += 1;
            let error = TableError::refused(self.header.resource.clone(), refused);
            let text = serde_json::to_vec(&refused.text).map_err(TableError::internal)?;
            self.refuse(&text, error)?;
        }
        for record in records.iter() {
            self.records += 1;
            let read = self.read(record, &carried);
            if let Some(path) = self.shape.map.take() {
                return Err(TableError::MapFound { table: self.header.resource.clone(), path });
            }
            if let Err(error) = read {
                self.refuse(record, error)?;
                self.shape.refuse(&self.tape);
                continue;
            }
            self.append(record, &carried)?;
            self.note(record, values)?;
            self.hand_over_full()?;
        }
        Ok(())
    }

    /// Puts what cannot be landed among the rejects.
    fn refuse(&mut self, record: &[u8], error: TableError) -> Result<(), TableError> {
        let rows_max = self.shared.limits.row_group_rows_max;
        self.rejects.take(record, error, &self.stamp, rows_max, &self.trail)
    }

    /// Reads a record onto the tape, and holds it against the contract and the key.
    fn read(&mut self, record: &[u8], carried: &Carried) -> Result<(), TableError> {
        let depth_max = self.shared.limits.json_depth_max;
        let (tape, shape) = (&mut self.tape, &mut self.shape);
        read_record(tape, shape, record, carried, self.records, depth_max, &mut self.stamps)?;
        contract::check(self.settings.contract, tape, shape, self.records)?;
        if !self.header.mode.is_keyed() {
            return Ok(());
        }
        self.keys.resize(self.settings.key.len(), None);
        for (slot, field) in self.keys.iter_mut().zip(&self.settings.key) {
            if slot.is_none_or(|column| shape.tables[0].columns[column].dropped) {
                *slot = shape.key_column(field);
            }
            let is_it = |entry: &&TapeCell| entry.row == 0 && Some(entry.column) == *slot;
            let cell = tape.cells.iter().find(is_it).map(|entry| entry.cell);
            if matches!(cell, None | Some(Cell::Null | Cell::Json(_))) {
                let (table, field) = (self.header.resource.clone(), field.clone());
                return Err(TableError::KeyMissing { table, field, record: self.records });
            }
        }
        Ok(())
    }

    /// Notes of a record that was appended what its columns do not say.
    fn note(
        &mut self,
        record: &[u8],
        carried: &[(String, Box<RawValue>)],
    ) -> Result<(), TableError> {
        let is_history = self.header.mode == LoadMode::History;
        let gone = self.settings.deletes.when.as_ref().filter(|_| self.header.mode.is_keyed());
        if !is_history && gone.is_none() {
            return Ok(());
        }
        let value = exact_json(record).map_err(TableError::internal)?;
        if is_history {
            self.rows[0].contents.push(keys::content(&value, carried));
        }
        if gone.is_some_and(|gone| gone.holds(&value)) {
            self.tombstones.insert(self.ids[0]);
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
            // A key among texts has one form, as the rows have that landed as doubles.
            let is_plain = matches!(cell.cell, Cell::Float(..))
                && cell.row == 0
                && !column.declared
                && column.def.kind == ColumnType::Text
                && self.keys.contains(&Some(cell.column));
            let text = |span| match is_plain {
                true => "",
                false => self.tape.text(span, record, &carried.text),
            };
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

    /// Closes the batch: all rows are in files of the tables' final types, those that give way are
    /// out of theirs, and the disk has them.
    pub fn finish(mut self) -> Result<StagedBatch, TableError> {
        let replaces = self.header.mode == LoadMode::Replace;
        self.rejects.check(self.records, if replaces { 0 } else { SHARE_OF_MIN })?;
        for table in 0..self.rows.len() {
            self.hand_over(table)?;
        }
        let files = self.fresh_files()?;
        let plan = self.plan(&files)?;
        self.header.tally = Tally { rejected: self.rejects.count, ..plan.tally };
        for (table, files) in files.into_iter().enumerate() {
            if let Some(staged) = self.stage(table, files, &plan)? {
                self.header.tables.push(staged);
            }
        }
        let rows_max = self.shared.limits.row_group_rows_max;
        let rejects = self.rejects.finish(&self.stamp, rows_max, &self.trail)?;
        self.header.tables.extend(rejects);
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
        let about = || self.header.resource.to_string();
        if self.settings.deletes.absent && self.rejects.count > 0 {
            let message = "records were refused, so no row is taken for absent".to_owned();
            self.shared.observer.observe(&Event::Warned { about: about(), message });
        }
        let repeated = self.header.tally.repeated;
        if repeated > 0 {
            let message =
                format!("{repeated} records came again with the same key; the last counts");
            self.shared.observer.observe(&Event::Warned { about: about(), message });
        }
    }

    /// The batch's files, all with the tables' final types.
    fn fresh_files(&mut self) -> Result<Vec<Vec<StagedFile>>, TableError> {
        let mut files: Vec<Vec<StagedFile>> = Vec::new();
        files.resize_with(self.shape.tables.len(), Vec::new);
        let nothing = Plan::default();
        for Encoded { table, file, columns } in self.encoder.finish()? {
            let def = self.shape.def(table);
            if fits(&columns, &def) {
                files[table].push(file);
                continue;
            }
            let folder = self.shared.folder(&def.name);
            let rewriter = self.rewriter(&folder, &def, &nothing, true);
            files[table].extend(rewriter.run(std::iter::once(file.name.as_str()), &columns)?);
            self.trail.remove_file(&folder.join(&file.name))?;
        }
        Ok(files)
    }

    /// What the batch does to the rows that are there.
    fn plan(&self, files: &[Vec<StagedFile>]) -> Result<Plan, TableError> {
        let def = self.shape.def(0);
        let column = |field: &String| {
            let column = &self.shape.tables[0].columns[self.shape.key_column(field)?];
            let is_text = column.declared && column.def.kind == ColumnType::Text;
            Some(KeyColumn { name: column.def.name.clone(), is_text })
        };
        let keys: Option<Vec<KeyColumn>> = self.settings.key.iter().map(column).collect();
        let Some(keys) = keys.filter(|_| self.header.mode.is_keyed()) else {
            return Ok(Plan::default());
        };
        let deletes = &self.settings.deletes;
        merge::plan(&Question {
            folder: &self.shared.folder(&def.name),
            base: self.bases.iter().find(|base| base.def.name == def.name),
            def: &def,
            fresh: files.first().map_or(&[], Vec::as_slice),
            keys: &keys,
            tombstones: self.tombstones.clone(),
            gone: self.settings.gone.as_ref(),
            // A record that was refused may be any of the rows: then none is proved absent.
            absent: (deletes.absent && self.rejects.count == 0).then_some(deletes.max_fraction),
            keys_max: self.shared.limits.merge_keys_max,
        })
    }

    /// One table's part of the batch; none when the batch leaves it as it is.
    fn stage(
        &mut self,
        table: usize,
        fresh: Vec<StagedFile>,
        plan: &Plan,
    ) -> Result<Option<StagedTable>, TableError> {
        let def = self.shape.def(table);
        let folder = self.shared.folder(&def.name);
        let base = self.bases.iter().position(|base| base.def.name == def.name);
        let base = base.map(|index| self.bases.swap_remove(index));
        let mut files = self.without_gone(&folder, &def, fresh, plan)?;
        let mut removed = Removed::Nothing;
        let mut looked_at = None;
        if self.header.mode == LoadMode::Replace {
            removed = Removed::All;
        } else if let Some(base) = &base {
            let is_narrow = !fits(&base.def.columns, &def);
            let mut again = Vec::new();
            for file in &base.files {
                let stats = file.stats.as_deref();
                if is_narrow || plan.touches(&folder, &base.def, &file.path, stats)? {
                    again.push(file.path.clone());
                }
            }
            if !again.is_empty() {
                let rewriter = self.rewriter(&folder, &def, plan, false);
                let names = again.iter().map(String::as_str);
                files.extend(rewriter.run(names, &base.def.columns)?);
                again.sort_unstable();
                removed = Removed::Files(again);
            }
        }
        if self.header.mode.is_keyed() || matches!(removed, Removed::Files(_)) {
            let there = base.iter().flat_map(|base| &base.files);
            looked_at = Some(keys::names(there.map(|file| file.path.as_str())));
        }
        let is_changed = base.as_ref().is_none_or(|base| base.def != def);
        let is_wanted = match &base {
            Some(_) => is_changed || !files.is_empty() || removed != Removed::Nothing,
            // A list that was met only in a record that was refused makes no table.
            None => !files.is_empty(),
        };
        if table != 0 && !is_wanted {
            return Ok(None);
        }
        let changes = changes(base.as_ref().map(|base| &base.def), &def);
        let base = base.map(|base| base.def);
        Ok(Some(StagedTable { def, base, files, removed, looked_at, changes }))
    }

    /// The batch's files of a table without the rows that gave way within the batch.
    fn without_gone(
        &self,
        folder: &Path,
        def: &TableDef,
        fresh: Vec<StagedFile>,
        plan: &Plan,
    ) -> Result<Vec<StagedFile>, TableError> {
        let mut kept = Vec::new();
        for file in fresh {
            if !plan.touches(folder, def, &file.name, Some(&file.stats))? {
                kept.push(file);
                continue;
            }
            let rewriter = self.rewriter(folder, def, plan, true);
            kept.extend(rewriter.run(std::iter::once(file.name.as_str()), &def.columns)?);
            self.trail.remove_file(&folder.join(&file.name))?;
        }
        Ok(kept)
    }

    fn rewriter<'a>(
        &'a self,
        folder: &'a Path,
        def: &'a TableDef,
        plan: &'a Plan,
        fresh: bool,
    ) -> Rewriter<'a> {
        Rewriter {
            folder,
            def,
            plan,
            closing_micros: self.stamp.fetched_micros,
            rows_max: self.shared.limits.row_group_rows_max,
            trail: &self.trail,
            fresh,
        }
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

/// Whether files with `columns` can stand in a table of `def`: their types are the table's, and
/// columns that are missing or hold only nulls read as null.
fn fits(columns: &[ColumnDef], def: &TableDef) -> bool {
    columns.iter().all(|column| {
        let now = def.columns.iter().find(|now| now.name == column.name);
        column.kind == ColumnType::Null || now.is_some_and(|now| now.kind == column.kind)
    })
}
