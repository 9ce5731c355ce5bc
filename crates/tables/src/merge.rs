//! What a batch does to the rows that are there: which ones go, which ones close.
//!
//! In: the batch's own files, the files of the resource's table, and the key. Out: a [`Plan`] of
//! row ids. Only the columns of the key are read, and only of files whose bounds can hold one of
//! the batch's keys. The last record of a key wins. A batch with more keys than are held at once is
//! gone through in several passes, each for a part of all hashes, so that memory is bounded
//! whatever the batch and the table hold. What never happens here: a file written.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use restway_model::ColumnType;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::TableError;
use crate::gone::GoneRows;
use crate::keys::{KeyColumn, KeyHash, KeyHasher};
use crate::shape::{CONTENT, IS_CURRENT, ROOT_ID, ROW_ID, TableDef};
use crate::stage::{Base, BaseFile, SEQUENCE_SHIFT};
use crate::write::StagedFile;

/// Rows that a reader hands over at once.
pub(crate) const READ_ROWS: usize = 8 * 1024;
/// The part of a table that may be absent when the definition does not say.
const ABSENT_FRACTION: f64 = 0.2;

/// Row ids, a bit each: an id is the number of its batch and its place in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowSet(BTreeMap<i64, Vec<u64>>);

impl RowSet {
    fn place(id: i64) -> (i64, usize, u64) {
        let within = (id & ((1 << SEQUENCE_SHIFT) - 1)) as usize;
        (id >> SEQUENCE_SHIFT, within / 64, 1 << (within % 64))
    }

    pub(crate) fn insert(&mut self, id: i64) {
        let (batch, word, bit) = Self::place(id);
        let words = self.0.entry(batch).or_default();
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        words[word] |= bit;
    }

    pub(crate) fn contains(&self, id: i64) -> bool {
        let (batch, word, bit) = Self::place(id);
        let words = self.0.get(&batch).and_then(|words| words.get(word));
        words.is_some_and(|word| word & bit != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an id of a batch between the batches of these two ids is in it.
    fn meets(&self, low: i64, high: i64) -> bool {
        self.0.range(low >> SEQUENCE_SHIFT..=high >> SEQUENCE_SHIFT).next().is_some()
    }
}

/// What a batch did, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Records that were put among the rejects.
    pub rejected: u64,
    /// Records whose key came again in the same batch.
    pub repeated: u64,
    /// Rows that gave way to a record with their key, or were closed by it.
    pub replaced: u64,
    /// Records that were there already as they are; only a history knows.
    pub unchanged: u64,
    /// Rows that went, or were closed, because the api says that they are gone.
    pub deleted: u64,
}

/// The rows that a batch takes away or closes.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Rows that go, with the rows of all their lists; those of the batch itself are among them.
    pub(crate) gone: RowSet,
    /// Rows of a history that do not hold any more.
    pub(crate) closed: RowSet,
    pub(crate) tally: Tally,
}

impl Plan {
    /// Whether a file of the table has rows that go or close.
    pub(crate) fn touches(
        &self,
        folder: &Path,
        def: &TableDef,
        name: &str,
        stats: Option<&str>,
    ) -> Result<bool, TableError> {
        if self.gone.is_empty() && self.closed.is_empty() {
            return Ok(false);
        }
        let column = if def.parent.is_some() { ROOT_ID } else { ROW_ID };
        let stats = stats.and_then(|stats| serde_json::from_str::<Value>(stats).ok());
        let bound = |which: &str| stats.as_ref()?.get(which)?.get(column)?.as_i64();
        if let (Some(low), Some(high)) = (bound("minValues"), bound("maxValues"))
            && !self.gone.meets(low, high)
            && !self.closed.meets(low, high)
        {
            return Ok(false);
        }
        for batch in scan(&folder.join(name), &[column])? {
            let batch = batch.map_err(|error| TableError::damaged(&def.name, error))?;
            let Some(ids) = batch.column_by_name(column) else { return Ok(false) };
            let mut ids = ids.as_primitive::<Int64Type>().iter().flatten();
            if ids.any(|id| self.gone.contains(id) || self.closed.contains(id)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Reads some columns of a data file.
fn scan(path: &Path, columns: &[&str]) -> Result<ParquetRecordBatchReader, TableError> {
    let file = fs_err::File::open(path).map_err(|error| TableError::file(path, error))?;
    let (file, _) = file.into_parts();
    let failed = |error| TableError::encode(path, error);
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    builder.with_projection(mask).with_batch_size(READ_ROWS).build().map_err(failed)
}

/// What a plan is made from.
pub(crate) struct Question<'a> {
    pub(crate) folder: &'a Path,
    /// The table as it will be.
    pub(crate) def: &'a TableDef,
    pub(crate) base: Option<&'a Base>,
    /// The batch's own files, in the order of their records.
    pub(crate) fresh: &'a [StagedFile],
    pub(crate) keys: &'a [KeyColumn],
    /// Rows of the batch that say that the row with their key is gone.
    pub(crate) tombstones: RowSet,
    /// Rows of another table whose keys are gone, unless the batch has them.
    pub(crate) gone: Option<&'a GoneRows>,
    /// Whether rows go that the batch does not have, and how large a part of the table at most.
    pub(crate) absent: Option<Option<f64>>,
    /// Keys that are held at once.
    pub(crate) keys_max: usize,
}

/// Makes the plan.
pub(crate) fn plan(question: &Question<'_>) -> Result<Plan, TableError> {
    let rows: u64 = question.fresh.iter().map(|file| file.rows).sum();
    let rows = rows + question.gone.map_or(0, |gone| gone.rows);
    let passes = rows.div_ceil(question.keys_max.max(1) as u64).max(1);
    let mut planner = Planner {
        question,
        hasher: KeyHasher::new(),
        passes,
        pass: 0,
        winners: HashMap::default(),
        plan: Plan { gone: question.tombstones.clone(), ..Plan::default() },
        rows: 0,
        absent: 0,
    };
    let candidates = planner.candidates();
    for pass in 0..passes {
        planner.pass = pass;
        planner.winners.clear();
        if let Some(gone) = question.gone {
            planner.read_gone(gone)?;
        }
        for file in question.fresh {
            planner.read_fresh(file)?;
        }
        for file in &candidates {
            planner.read_there(file)?;
        }
    }
    planner.check_absent()?;
    Ok(planner.plan)
}

/// What the batch has of a key: its last record, or that it is gone.
struct Winner {
    row: Option<i64>,
    content: u128,
}

/// Hashes are spread well as they are.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, value: u64) {
        self.0 ^= value;
    }
}

struct Planner<'a> {
    question: &'a Question<'a>,
    hasher: KeyHasher,
    passes: u64,
    pass: u64,
    winners: HashMap<KeyHash, Winner, BuildHasherDefault<Spread>>,
    plan: Plan,
    /// Rows with a key that the table has, and those of them that the batch has not.
    rows: u64,
    absent: u64,
}

impl<'a> Planner<'a> {
    /// The files of the table that can hold one of the batch's keys.
    fn candidates(&self) -> Vec<&'a BaseFile> {
        let question = self.question;
        let Some(base) = question.base else { return Vec::new() };
        if question.absent.is_some() || question.gone.is_some_and(|gone| gone.rows > 0) {
            return base.files.iter().collect();
        }
        if question.fresh.is_empty() {
            return Vec::new();
        }
        let ranges: Vec<(&str, Value, Value)> =
            question.keys.iter().filter_map(|key| self.range(base, key)).collect();
        let meets = |file: &&BaseFile| {
            let Some(stats) = &file.stats else { return true };
            let Ok(stats) = serde_json::from_str::<Value>(stats) else { return true };
            ranges.iter().all(|(name, low, high)| {
                let (least, most) = (&stats["minValues"][name], &stats["maxValues"][name]);
                !(less(most, low) || less(high, least))
            })
        };
        base.files.iter().filter(meets).collect()
    }

    /// The bounds of the batch's keys in one column, where bounds and keys are told apart alike.
    fn range(&self, base: &Base, key: &'a KeyColumn) -> Option<(&'a str, Value, Value)> {
        let kind = |def: &TableDef| {
            def.columns.iter().find(|column| column.name == key.name).map(|column| column.kind)
        };
        let kinds = (kind(&base.def)?, kind(self.question.def)?);
        let same = match kinds {
            (ColumnType::Int64, ColumnType::Int64) | (ColumnType::Date, ColumnType::Date) => true,
            (ColumnType::Text, ColumnType::Text) => key.is_text,
            _ => false,
        };
        let mut range: Option<(Value, Value)> = None;
        for file in self.question.fresh.iter().filter(|_| same) {
            let stats: Value = serde_json::from_str(&file.stats).ok()?;
            let low = stats["minValues"].get(&key.name)?.clone();
            let high = stats["maxValues"].get(&key.name)?.clone();
            range = Some(match range {
                None => (low, high),
                Some((least, most)) => (
                    if less(&low, &least) { low } else { least },
                    if less(&most, &high) { high } else { most },
                ),
            });
        }
        range.map(|(low, high)| (key.name.as_str(), low, high))
    }

    fn is_of_pass(&self, hash: &KeyHash) -> bool {
        hash[1] % self.passes == self.pass
    }

    /// Keys that another table lists; what the batch itself has of them comes after.
    fn read_gone(&mut self, gone: &GoneRows) -> Result<(), TableError> {
        let named = self.question.keys.iter().zip(&gone.key);
        let keys: Vec<KeyColumn> = named
            .map(|(key, name)| KeyColumn { name: name.clone(), is_text: key.is_text })
            .collect();
        let mut columns: Vec<&str> = gone.key.iter().map(String::as_str).collect();
        columns.push(ROW_ID);
        for file in &gone.files {
            for batch in scan(&gone.folder.join(&file.path), &columns)? {
                let batch = batch.map_err(|error| TableError::damaged(&gone.table, error))?;
                let hashes = self.hasher.rows(&batch, &keys, &gone.columns, &gone.columns)?;
                let part = Part::new(&batch);
                for (index, hash) in hashes.into_iter().enumerate() {
                    let (Some(hash), Some(row)) = (hash, part.id(index)) else { continue };
                    if row > gone.after && self.is_of_pass(&hash) {
                        self.winners.insert(hash, Winner { row: None, content: 0 });
                    }
                }
            }
        }
        Ok(())
    }

    fn read_fresh(&mut self, file: &StagedFile) -> Result<(), TableError> {
        let question = self.question;
        for batch in scan(&question.folder.join(&file.name), &self.columns())? {
            let batch = batch.map_err(|error| TableError::damaged(&question.def.name, error))?;
            let columns = &question.def.columns;
            let hashes = self.hasher.rows(&batch, question.keys, columns, columns)?;
            let part = Part::new(&batch);
            for (index, hash) in hashes.into_iter().enumerate() {
                let (Some(hash), Some(row)) = (hash, part.id(index)) else { continue };
                if !self.is_of_pass(&hash) {
                    continue;
                }
                let winner = Winner { row: Some(row), content: part.content(index) };
                let earlier = self.winners.insert(hash, winner);
                if let Some(earlier) = earlier.and_then(|earlier| earlier.row) {
                    self.plan.gone.insert(earlier);
                    self.plan.tally.repeated += 1;
                }
            }
        }
        Ok(())
    }

    fn read_there(&mut self, file: &BaseFile) -> Result<(), TableError> {
        let question = self.question;
        let Some(base) = question.base else { return Ok(()) };
        for batch in scan(&question.folder.join(&file.path), &self.columns())? {
            let batch = batch.map_err(|error| TableError::damaged(&question.def.name, error))?;
            let (then, now) = (&base.def.columns, &question.def.columns);
            let hashes = self.hasher.rows(&batch, question.keys, then, now)?;
            let part = Part::new(&batch);
            for (index, hash) in hashes.into_iter().enumerate() {
                let (Some(hash), Some(row)) = (hash, part.id(index)) else { continue };
                if self.is_of_pass(&hash) && part.is_current(index) {
                    self.rows += 1;
                    self.judge(&hash, row, part.content(index));
                }
            }
        }
        Ok(())
    }

    /// What becomes of one row of the table.
    fn judge(&mut self, hash: &KeyHash, row: i64, content: u128) {
        let is_history = self.question.def.history;
        let plan = &mut self.plan;
        match self.winners.get(hash) {
            Some(Winner { row: None, .. }) => plan.tally.deleted += 1,
            Some(Winner { row: Some(own), .. }) if self.question.tombstones.contains(*own) => {
                plan.tally.deleted += 1;
            }
            Some(Winner { row: Some(own), content: held }) if is_history && *held == content => {
                plan.gone.insert(*own);
                plan.tally.unchanged += 1;
                return;
            }
            Some(_) => plan.tally.replaced += 1,
            None if self.question.absent.is_some() => {
                self.absent += 1;
                plan.tally.deleted += 1;
            }
            None => return,
        }
        if is_history {
            plan.closed.insert(row);
        } else {
            plan.gone.insert(row);
        }
    }

    fn columns(&self) -> Vec<&'a str> {
        let keys = self.question.keys.iter().map(|key| key.name.as_str());
        keys.chain([ROW_ID, IS_CURRENT, CONTENT]).collect()
    }

    fn check_absent(&self) -> Result<(), TableError> {
        let Some(max_fraction) = self.question.absent else { return Ok(()) };
        let max_fraction = max_fraction.unwrap_or(ABSENT_FRACTION);
        if self.absent as f64 > self.rows as f64 * max_fraction {
            return Err(TableError::TooManyAbsent {
                table: self.question.def.name.clone(),
                absent: self.absent,
                rows: self.rows,
                max_fraction,
            });
        }
        Ok(())
    }
}

/// The system columns of some rows.
struct Part<'a> {
    ids: Option<&'a arrow::array::Int64Array>,
    current: Option<&'a arrow::array::BooleanArray>,
    contents: Option<&'a arrow::array::StringArray>,
}

impl<'a> Part<'a> {
    fn new(batch: &'a RecordBatch) -> Self {
        Self {
            ids: batch.column_by_name(ROW_ID).and_then(|array| array.as_primitive_opt()),
            current: batch.column_by_name(IS_CURRENT).and_then(|array| array.as_boolean_opt()),
            contents: batch.column_by_name(CONTENT).and_then(|array| array.as_string_opt()),
        }
    }

    /// None in a row of another writer, which has no id.
    fn id(&self, row: usize) -> Option<i64> {
        self.ids.filter(|ids| ids.is_valid(row)).map(|ids| ids.value(row))
    }

    fn is_current(&self, row: usize) -> bool {
        self.current.is_none_or(|current| current.is_valid(row) && current.value(row))
    }

    fn content(&self, row: usize) -> u128 {
        let text = self.contents.filter(|texts| texts.is_valid(row)).map(|texts| texts.value(row));
        text.and_then(|text| u128::from_str_radix(text, 16).ok()).unwrap_or(0)
    }
}

/// Whether one bound is below another; bounds that are not there are not.
fn less(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left < right,
            _ => false,
        },
        (Value::String(left), Value::String(right)) => left < right,
        _ => false,
    }
}
