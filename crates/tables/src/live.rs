//! The rows of a resource in memory, for one query.
//!
//! In: the records that a call brought. Out: a table of the engine, with the columns and types that
//! landing the same records would give: the same parser, shape and builder, over the columns that
//! the resource's table has already. Lists stay JSON, because a live table has no child tables; a
//! record that could not be landed is an error. Nothing is written to the disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use restway_model::{ColumnType, RecordPath, Records, TableName};
use serde_json::Value;

use crate::build::{Rows, Stamp, arrow_type};
use crate::error::TableError;
use crate::lake::Shared;
use crate::maps::Nesting;
use crate::parse::{Carried, Tape, read_record};
use crate::query::{TYPE_KEY, scalar};
use crate::shape::{Policy, Shape, TableDef};

/// The way of a resource's records into a table that only one query sees.
pub struct LiveIntake {
    shape: Shape,
    rows: Rows,
    tape: Tape,
    depth_max: usize,
    stamps: u64,
}

/// A filled live table.
pub struct LiveTable {
    /// As the statement names it, without `live`.
    pub(crate) name: TableName,
    pub(crate) rows: Arc<dyn TableProvider>,
}

impl LiveIntake {
    /// Begins with the columns of the resource's table, where it was landed.
    pub(crate) fn new(
        shared: &Shared,
        resource: &TableName,
        landed: Option<TableDef>,
        types: BTreeMap<String, ColumnType>,
        json: Vec<RecordPath>,
    ) -> Result<Self, TableError> {
        let policy = Policy {
            types,
            nest_depth: 0,
            nesting: Nesting { json, ..Nesting::default() },
            columns_max: shared.limits.columns_max,
            tables_max: 0,
            foreign: std::collections::HashSet::new(),
            history: false,
        };
        let mut shape = Shape::new(resource, landed.as_slice(), policy)?;
        shape.declare(true)?;
        let depth_max = shared.limits.json_depth_max;
        Ok(Self { shape, rows: Rows::default(), tape: Tape::default(), depth_max, stamps: 0 })
    }

    /// Takes records in.
    ///
    /// # Errors
    /// A record that cannot be a row.
    pub fn push(&mut self, records: &Records) -> Result<(), TableError> {
        if let Some(refused) = records.refused().first() {
            return Err(TableError::refused(self.shape.tables[0].name.clone(), refused));
        }
        let carried = Carried::default();
        for record in records.iter() {
            let Self { shape, rows, tape, depth_max, stamps } = self;
            read_record(tape, shape, record, &carried, rows.total + 1, *depth_max, stamps)?;
            let row = rows.len();
            let id = row as i64;
            rows.begin(id, id, id, 0);
            for entry in &tape.cells {
                let column = &mut shape.tables[0].columns[entry.column];
                let text = |span| tape.text(span, record, &carried.text);
                rows.put(row, entry.column, column, &entry.cell, text)?;
            }
        }
        Ok(())
    }

    /// Records so far.
    pub fn rows(&self) -> u64 {
        self.rows.total
    }

    /// Bytes that they take, roughly.
    pub fn bytes(&self) -> usize {
        self.rows.bytes
    }

    /// Whether no column is known: no record came, and none has landed.
    pub fn is_shapeless(&self) -> bool {
        self.shape.def(0).columns.is_empty()
    }

    /// The table. Each of `asked` that no record has is a column too: what was asked for.
    pub fn finish(
        mut self,
        name: TableName,
        asked: &[(String, Value)],
    ) -> Result<LiveTable, TableError> {
        let rows = self.rows.len();
        let def = self.shape.def(0);
        let stamp = Stamp { run: String::new(), fetched_micros: 0 };
        let built = self.rows.take(&self.shape.tables[0], &stamp)?;
        let mut fields = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for column in &def.columns {
            // A column of nulls only is not built.
            let nulls = || new_null_array(&arrow_type(column.kind), rows);
            arrays.push(built.column_by_name(&column.name).cloned().unwrap_or_else(nulls));
            let metadata = [(TYPE_KEY.to_owned(), column.kind.to_string())];
            let field = Field::new(&column.name, arrow_type(column.kind), true);
            fields.push(field.with_metadata(metadata.into()));
        }
        for (column, value) in asked {
            if def.columns.iter().all(|known| known.name != *column) {
                let values = scalar(value).to_array_of_size(rows).map_err(TableError::internal)?;
                fields.push(Field::new(column, values.data_type().clone(), true));
                arrays.push(values);
            }
        }
        let schema = Arc::new(Schema::new(fields));
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema.clone(), arrays, &options)
            .map_err(TableError::internal)?;
        let table = MemTable::try_new(schema, vec![vec![batch]]).map_err(TableError::internal)?;
        Ok(LiveTable { name, rows: Arc::new(table) })
    }
}
