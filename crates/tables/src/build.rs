//! The columns of one table, filled row by row.
//!
//! In: typed cells. Out: record batches of Arrow. A column takes the type that its cells need;
//! when that widens, the rows it already holds are converted in place. Cells may come in any order
//! of columns and leave columns out: a column that falls behind is filled with nulls. Columns of
//! nulls only have no array at all, and so never a type that would have to be taken back.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, BooleanArray, BooleanBuilder, Date32Builder, Decimal128Builder,
    Float64Builder, Int64Array, Int64Builder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use restway_model::ColumnType;

use crate::convert::convert;
use crate::error::TableError;
use crate::infer::{MICROS_PER_DAY, join};
use crate::parse::{Cell, Span, exact};
use crate::shape::{
    CONTENT, Column, ColumnDef, FETCHED_AT, INDEX, IS_CURRENT, PARENT_ID, ROOT_ID, ROW_ID, RUN_ID,
    Role, Table, VALID_FROM, VALID_TO,
};
use crate::text::{float, quoted};

/// The Arrow type of a column; text for one that only holds nulls.
pub(crate) fn arrow_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, scale as i8),
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Null | ColumnType::Text | ColumnType::Json => DataType::Utf8,
    }
}

type SystemColumns = Vec<(&'static str, ColumnType)>;

/// The columns that every table has: those before the data's, and those after.
pub(crate) fn system_columns(role: Role) -> (SystemColumns, SystemColumns) {
    let mut first = vec![(ROW_ID, ColumnType::Int64)];
    let mut last = Vec::new();
    match role {
        Role::Record => {}
        Role::List => {
            first.extend([PARENT_ID, ROOT_ID, INDEX].map(|name| (name, ColumnType::Int64)));
        }
        Role::Version => {
            last.extend([VALID_FROM, VALID_TO].map(|name| (name, ColumnType::Timestamp)));
            last.extend([(IS_CURRENT, ColumnType::Bool), (CONTENT, ColumnType::Text)]);
        }
    }
    last.extend([(RUN_ID, ColumnType::Text), (FETCHED_AT, ColumnType::Timestamp)]);
    (first, last)
}

/// The schema of a file that holds these columns; columns of nulls are left out.
pub(crate) fn file_schema(role: Role, columns: &[ColumnDef]) -> SchemaRef {
    let (first, last) = system_columns(role);
    let field = |name: &str, kind: ColumnType| Field::new(name, arrow_type(kind), true);
    let typed = columns.iter().filter(|column| column.kind != ColumnType::Null);
    let fields: Vec<Field> = first
        .iter()
        .map(|(name, kind)| field(name, *kind))
        .chain(typed.map(|column| field(&column.name, column.kind)))
        .chain(last.iter().map(|(name, kind)| field(name, *kind)))
        .collect();
    Arc::new(Schema::new(fields))
}

#[derive(Debug)]
enum Cells {
    Bool(BooleanBuilder),
    Int64(Int64Builder),
    Decimal(Decimal128Builder),
    Float64(Float64Builder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Text(StringBuilder),
}

macro_rules! each {
    ($cells:expr, $builder:ident => $body:expr) => {
        match $cells {
            Cells::Bool($builder) => $body,
            Cells::Int64($builder) => $body,
            Cells::Decimal($builder) => $body,
            Cells::Float64($builder) => $body,
            Cells::Date($builder) => $body,
            Cells::Timestamp($builder) => $body,
            Cells::Text($builder) => $body,
        }
    };
}

impl Cells {
    /// A builder that holds what `array` holds; empty without one.
    fn new(kind: ColumnType, array: Option<&dyn Array>) -> Option<Self> {
        let mut cells = match kind {
            ColumnType::Null => return None,
            ColumnType::Bool => Self::Bool(BooleanBuilder::new()),
            ColumnType::Int64 => Self::Int64(Int64Builder::new()),
            ColumnType::Decimal { .. } => {
                Self::Decimal(Decimal128Builder::new().with_data_type(arrow_type(kind)))
            }
            ColumnType::Float64 => Self::Float64(Float64Builder::new()),
            ColumnType::Date => Self::Date(Date32Builder::new()),
            ColumnType::Timestamp => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(arrow_type(kind)))
            }
            ColumnType::Text | ColumnType::Json => Self::Text(StringBuilder::new()),
        };
        if let Some(array) = array {
            cells.append_all(array);
        }
        Some(cells)
    }

    fn append_all(&mut self, array: &dyn Array) {
        use arrow::array::AsArray;
        match self {
            Self::Bool(to) => array.as_boolean().iter().for_each(|value| to.append_option(value)),
            Self::Int64(to) => to.append_array(array.as_primitive()),
            Self::Decimal(to) => to.append_array(array.as_primitive()),
            Self::Float64(to) => to.append_array(array.as_primitive()),
            Self::Date(to) => to.append_array(array.as_primitive()),
            Self::Timestamp(to) => to.append_array(array.as_primitive()),
            Self::Text(to) => {
                array.as_string::<i32>().iter().for_each(|text| to.append_option(text))
            }
        }
    }

    fn fill(&mut self, rows: usize) {
        each!(self, builder => {
            for _ in builder.len()..rows {
                builder.append_null();
            }
        });
    }

    fn finish(&mut self) -> ArrayRef {
        each!(self, builder => Arc::new(builder.finish()))
    }
}

/// The rows of one table that are not handed over yet.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Rows of this table in the whole batch.
    pub(crate) total: u64,
    /// Bytes that these rows hold, roughly.
    pub(crate) bytes: usize,
    ids: Vec<i64>,
    parents: Vec<i64>,
    roots: Vec<i64>,
    indexes: Vec<i64>,
    /// Hashes of the records' contents, in a history.
    pub(crate) contents: Vec<u128>,
    columns: Vec<Option<Cells>>,
    buffer: String,
}

/// Bytes that a row takes without its cells: four integers.
pub(crate) const ROW_BYTES: usize = 32;

/// What the last two columns of every row say.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    pub(crate) run: String,
    pub(crate) fetched_micros: i64,
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The place of a row that was begun, among those that are not handed over.
    pub(crate) fn place(&self, id: i64) -> usize {
        self.ids.first().map_or(0, |first| (id - first) as usize)
    }

    /// Begins a row.
    pub(crate) fn begin(&mut self, id: i64, parent: i64, root: i64, index: i64) {
        self.ids.push(id);
        self.parents.push(parent);
        self.roots.push(root);
        self.indexes.push(index);
        self.total += 1;
        self.bytes += ROW_BYTES;
    }

    /// Puts a cell into a row that was begun, widening its column where it must; gives the bytes
    /// that the rows grew by.
    pub(crate) fn put<'a>(
        &mut self,
        row: usize,
        index: usize,
        column: &mut Column,
        cell: &Cell,
        text: impl Fn(Span) -> &'a str,
    ) -> Result<usize, TableError> {
        column.seen = true;
        if *cell == Cell::Null {
            return Ok(0);
        }
        if self.columns.len() <= index {
            self.columns.resize_with(index + 1, || None);
        }
        column.def.wide |= cell.is_wide();
        let before = column.def.kind;
        let kind =
            if column.declared { before } else { join(before, cell.kind(), column.def.wide) };
        if kind != before {
            self.widen(index, before, kind)?;
            column.def.kind = kind;
        }
        let slot = &mut self.columns[index];
        if slot.is_none() {
            *slot = Cells::new(kind, None);
        }
        let mut grown = 0;
        if let Some(cells) = slot {
            cells.fill(row);
            grown = append(cells, kind, cell, text, &mut self.buffer)?;
        }
        self.bytes += grown;
        Ok(grown)
    }

    fn widen(&mut self, index: usize, from: ColumnType, to: ColumnType) -> Result<(), TableError> {
        if let Some(cells) = &mut self.columns[index] {
            let wider = convert(&cells.finish(), from, to)?;
            self.columns[index] = Cells::new(to, Some(wider.as_ref()));
        }
        Ok(())
    }

    /// Hands the rows over as one batch with all typed columns of the table.
    pub(crate) fn take(&mut self, table: &Table, stamp: &Stamp) -> Result<RecordBatch, TableError> {
        let rows = self.len();
        let mut arrays: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(std::mem::take(&mut self.ids)))];
        let links = [&mut self.parents, &mut self.roots, &mut self.indexes].map(std::mem::take);
        if table.parent.is_some() {
            arrays.extend(links.map(|link| Arc::new(Int64Array::from(link)) as ArrayRef));
        }
        let mut defs = Vec::with_capacity(table.columns.len());
        for (index, column) in table.columns.iter().enumerate() {
            let kind = column.def.kind;
            if kind == ColumnType::Null || column.dropped || !column.seen {
                continue;
            }
            let mut cells = self.columns.get_mut(index).and_then(Option::take);
            if cells.is_none() {
                cells = Cells::new(kind, None);
            }
            if let Some(mut cells) = cells {
                cells.fill(rows);
                arrays.push(cells.finish());
                defs.push(column.def.clone());
            }
        }
        let times = |micros: Option<i64>| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from(vec![micros; rows]).with_timezone("UTC"))
        };
        if table.role() == Role::Version {
            arrays.extend([times(Some(stamp.fetched_micros)), times(None)]);
            arrays.push(Arc::new(BooleanArray::from(vec![true; rows])));
            let contents = std::mem::take(&mut self.contents);
            let texts: StringArray =
                contents.iter().map(|hash| Some(format!("{hash:032x}"))).collect();
            arrays.push(Arc::new(texts));
        }
        let runs: StringArray = (0..rows).map(|_| Some(stamp.run.as_str())).collect();
        arrays.push(Arc::new(runs));
        arrays.push(times(Some(stamp.fetched_micros)));
        self.bytes = 0;
        let schema = file_schema(table.role(), &defs);
        RecordBatch::try_new(schema, arrays).map_err(TableError::internal)
    }
}

/// Appends a cell to a column that has room for it; gives the bytes that it took.
fn append<'a>(
    cells: &mut Cells,
    kind: ColumnType,
    cell: &Cell,
    text: impl Fn(Span) -> &'a str,
    buffer: &mut String,
) -> Result<usize, TableError> {
    match (cells, cell) {
        (Cells::Bool(to), Cell::Bool(value)) => to.append_value(*value),
        (Cells::Int64(to), Cell::Int(value)) => to.append_value(*value),
        (Cells::Float64(to), Cell::Int(value)) => to.append_value(*value as f64),
        (Cells::Float64(to), Cell::Float(value, _)) => to.append_value(*value),
        (Cells::Date(to), Cell::Date(days, _)) => to.append_value(*days),
        (Cells::Timestamp(to), Cell::Timestamp(micros, _)) => to.append_value(*micros),
        (Cells::Timestamp(to), Cell::Date(days, _)) => {
            to.append_value(i64::from(*days) * MICROS_PER_DAY);
        }
        (Cells::Decimal(to), cell) => {
            let ColumnType::Decimal { precision, scale } = kind else {
                return Err(misfit(kind, cell));
            };
            let value = exact(cell, text).and_then(|value| value.rescale(precision, scale));
            to.append_value(value.ok_or_else(|| misfit(kind, cell))?);
        }
        (Cells::Text(to), cell) => {
            buffer.clear();
            let written = write(cell, kind == ColumnType::Json, text, buffer);
            to.append_value(written);
            return Ok(written.len() + 4);
        }
        (_, cell) => return Err(misfit(kind, cell)),
    }
    Ok(8)
}

fn misfit(kind: ColumnType, cell: &Cell) -> TableError {
    TableError::internal(format!("{cell:?} does not fit a column of {kind}"))
}

/// A cell as plain or JSON text, by its own text where it has one.
fn write<'a: 'b, 'b>(
    cell: &Cell,
    is_json: bool,
    text: impl Fn(Span) -> &'a str,
    buffer: &'b mut String,
) -> &'b str {
    match cell {
        Cell::Null => "null",
        Cell::Bool(true) => "true",
        Cell::Bool(false) => "false",
        Cell::Int(value) => {
            buffer.push_str(&value.to_string());
            buffer
        }
        Cell::Float(value, span) => match text(*span) {
            "" => {
                float(*value, buffer);
                buffer
            }
            text => text,
        },
        Cell::Decimal(_, span) | Cell::Number(span) | Cell::Json(span) => text(*span),
        Cell::Date(_, span) | Cell::Timestamp(_, span) | Cell::Text(span) if is_json => {
            quoted(text(*span), buffer);
            buffer
        }
        Cell::Date(_, span) | Cell::Timestamp(_, span) | Cell::Text(span) => text(*span),
    }
}
