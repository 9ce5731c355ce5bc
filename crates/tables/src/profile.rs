//! What the columns of a table hold: nulls, different values, bounds, the most frequent.
//!
//! In: a table. Out: a profile of each column, from one pass over its rows, in memory that depends
//! on the number of columns and not on the rows. Few values are counted exactly; many are
//! estimated, and the profile says which. Nothing is written.

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::Accumulator;
use futures::StreamExt;
use restway_model::{ColumnType, TableName};
use serde::{Deserialize, Serialize};

use crate::delta::Opened;
use crate::error::TableError;
use crate::lake::Shared;
use crate::query::{failed, provider, session};
use crate::sketch::{Distinct, Frequent};
use crate::text::write_plain;

/// Most frequent values that are kept of a column.
const FREQUENT_MAX: usize = 5;
/// The most characters of a value that a profile shows.
const VALUE_CHARACTERS_MAX: usize = 80;

/// What a table's columns hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Rows that were read.
    pub rows: u64,
    /// Each column, in order.
    pub columns: Vec<ColumnProfile>,
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnProfile {
    /// The column.
    pub name: String,
    /// Rows without a value.
    pub nulls: u64,
    /// Different values.
    pub distinct: u64,
    /// Whether they were counted, not estimated.
    pub is_distinct_exact: bool,
    /// The least value; none without values, and for JSON, which has no order.
    pub min: Option<String>,
    /// The greatest value.
    pub max: Option<String>,
    /// The most frequent values, the most frequent first; values that all come once are none.
    pub frequent: Vec<FrequentValue>,
}

/// A value and how often it comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrequentValue {
    /// Its beginning, as text.
    pub value: String,
    /// Rows that have it; when not exact, at least so many.
    pub rows: u64,
    /// Whether the rows were counted to the last.
    pub is_exact: bool,
}

struct Column {
    name: String,
    nulls: u64,
    distinct: Distinct,
    frequent: Frequent,
    bounds: Option<(MinAccumulator, MaxAccumulator)>,
}

impl Column {
    fn new(name: &str, kind: ColumnType, data_type: &DataType) -> Result<Self, TableError> {
        let bounds = match kind {
            ColumnType::Json => None,
            _ => Some((
                MinAccumulator::try_new(data_type).map_err(TableError::internal)?,
                MaxAccumulator::try_new(data_type).map_err(TableError::internal)?,
            )),
        };
        Ok(Self {
            name: name.to_owned(),
            nulls: 0,
            distinct: Distinct::new(),
            frequent: Frequent::default(),
            bounds,
        })
    }

    fn add(&mut self, array: &ArrayRef, hashes: &mut Vec<u64>) -> Result<(), TableError> {
        self.nulls += array.null_count() as u64;
        hashes.clear();
        hashes.resize(array.len(), 0);
        create_hashes([array], &RandomState::default(), hashes).map_err(TableError::internal)?;
        for (row, hash) in hashes.iter().enumerate() {
            if array.is_valid(row) {
                self.distinct.add(*hash);
                self.frequent.add(*hash, row);
            }
        }
        self.frequent.name(|row| value_text(array.as_ref(), row))?;
        if let Some((min, max)) = &mut self.bounds {
            let arrays = std::slice::from_ref(array);
            min.update_batch(arrays).map_err(TableError::internal)?;
            max.update_batch(arrays).map_err(TableError::internal)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<ColumnProfile, TableError> {
        let (distinct, is_distinct_exact) = self.distinct.count();
        let (min, max) = match self.bounds {
            None => (None, None),
            Some((mut min, mut max)) => (bound(&mut min)?, bound(&mut max)?),
        };
        let (top, is_exact) = self.frequent.top(FREQUENT_MAX);
        let frequent = top
            .into_iter()
            .filter(|value| value.rows > 1)
            .map(|value| FrequentValue { value: value.text, rows: value.rows, is_exact })
            .collect();
        let (name, nulls) = (self.name, self.nulls);
        Ok(ColumnProfile { name, nulls, distinct, is_distinct_exact, min, max, frequent })
    }
}

/// Reads a table once, from its first row to its last.
pub(crate) async fn profile(
    shared: &Shared,
    name: &TableName,
    opened: &Opened,
) -> Result<Profile, TableError> {
    let context = session(shared)?;
    let table = provider(shared, name, opened)?;
    let frame = context.read_table(table).map_err(failed)?;
    let mut stream = frame.execute_stream().await.map_err(failed)?;
    let schema = stream.schema();
    let kinds = opened.columns();
    let columns = schema.fields().iter().zip(&kinds);
    let columns = columns.map(|(field, def)| Column::new(&def.name, def.kind, field.data_type()));
    let mut columns = columns.collect::<Result<Vec<_>, _>>()?;
    let (mut rows, mut hashes) = (0, Vec::new());
    while let Some(batch) = stream.next().await {
        let batch: RecordBatch = batch.map_err(failed)?;
        rows += batch.num_rows() as u64;
        for (column, array) in columns.iter_mut().zip(batch.columns()) {
            column.add(array, &mut hashes)?;
        }
    }
    let columns = columns.into_iter().map(Column::finish).collect::<Result<_, _>>()?;
    Ok(Profile { rows, columns })
}

fn bound(accumulator: &mut dyn Accumulator) -> Result<Option<String>, TableError> {
    let value = accumulator.evaluate().map_err(TableError::internal)?;
    if value.is_null() {
        return Ok(None);
    }
    let array = value.to_array().map_err(TableError::internal)?;
    value_text(array.as_ref(), 0).map(Some)
}

fn value_text(array: &dyn Array, row: usize) -> Result<String, TableError> {
    let mut text = String::new();
    write_plain(array, row, &mut text)?;
    if let Some((end, _)) = text.char_indices().nth(VALUE_CHARACTERS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    Ok(text)
}
