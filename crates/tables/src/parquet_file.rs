//! A Parquet file of somebody else's, as records.
//!
//! In: a file. Out: its rows as JSON objects, some at a time, and the type of each of its columns,
//! so that what was typed there is typed here. The values take the one way of all records, through
//! an [`Intake`](crate::Intake). What never happens here: a value that is not exactly the one in
//! the file. A column that no column of ours can hold is an error, as are instants finer than a
//! microsecond.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit, TimestampNanosecondType};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use restway_model::{ColumnType, Records, snake};

use crate::error::TableError;
use crate::text::{quoted, write_json};

/// Rows that are decoded at once.
const READ_ROWS: usize = 1024;
/// Nanoseconds of a microsecond.
const NANOS: i64 = 1000;

/// An open Parquet file.
pub struct ParquetFile {
    path: PathBuf,
    columns: Vec<Column>,
    reader: ParquetRecordBatchReader,
}

struct Column {
    /// What stands before its values: `"name":`.
    prefix: String,
    name: String,
    /// What its values are made before they are written.
    cast: DataType,
    /// None for one whose values say it: a list, an object, only nulls.
    kind: Option<ColumnType>,
}

impl ParquetFile {
    /// Opens the file and reads its schema.
    ///
    /// # Errors
    /// A file that cannot be read, is no Parquet, or has a column that no table can hold.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        let file = fs_err::File::open(path).map_err(|error| TableError::file(path, error))?;
        let (file, _) = file.into_parts();
        let failed = |error| TableError::encode(path, error);
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
        let mut columns = Vec::new();
        for field in builder.schema().fields() {
            let Some((cast, kind)) = landed(field.data_type()) else {
                let problem = format!("is of the type {}, which no table has", field.data_type());
                return Err(TableError::ForeignColumn {
                    path: path.to_owned(),
                    column: field.name().clone(),
                    problem,
                });
            };
            let mut prefix = String::new();
            quoted(field.name(), &mut prefix);
            prefix.push(':');
            columns.push(Column { prefix, name: field.name().clone(), cast, kind });
        }
        let reader = builder.with_batch_size(READ_ROWS).build().map_err(failed)?;
        Ok(Self { path: path.to_owned(), columns, reader })
    }

    /// The types of its columns, by the names that they have in a table.
    pub fn types(&self) -> BTreeMap<String, ColumnType> {
        let typed = self.columns.iter();
        typed.filter_map(|column| Some((snake(&column.name), column.kind?))).collect()
    }

    /// The next rows; none at the end.
    ///
    /// # Errors
    /// A part of the file that cannot be read, or a value that no column can hold.
    pub fn read(&mut self) -> Result<Option<Records>, TableError> {
        let Some(batch) = self.reader.next() else { return Ok(None) };
        let batch = batch.map_err(|error| TableError::encode(&self.path, error))?;
        self.records(&batch).map(Some)
    }

    fn records(&self, batch: &RecordBatch) -> Result<Records, TableError> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (column, array) in self.columns.iter().zip(batch.columns()) {
            arrays.push(self.exact(column, array)?);
        }
        let mut text = String::new();
        let mut spans = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let start = text.len();
            text.push('{');
            for (index, (column, array)) in self.columns.iter().zip(&arrays).enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&column.prefix);
                write_json(array, row, false, &mut text)?;
            }
            text.push('}');
            spans.push(start..text.len());
        }
        Ok(Records::new(text.into(), spans))
    }

    /// The values in the type that they are written from.
    fn exact(&self, column: &Column, array: &ArrayRef) -> Result<ArrayRef, TableError> {
        if let DataType::Timestamp(TimeUnit::Nanosecond, _) = array.data_type() {
            let values = array.as_primitive::<TimestampNanosecondType>();
            if values.iter().flatten().any(|nanos| nanos % NANOS != 0) {
                return Err(TableError::ForeignColumn {
                    path: self.path.clone(),
                    column: column.name.clone(),
                    problem: "has instants finer than a microsecond".into(),
                });
            }
        }
        if *array.data_type() == column.cast {
            return Ok(ArrayRef::clone(array));
        }
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(array, &column.cast, &strict)
            .map_err(|error| TableError::encode(&self.path, error))
    }
}

/// What values of a type are made, and the type of their column; none where there is no such.
fn landed(data_type: &DataType) -> Option<(DataType, Option<ColumnType>)> {
    use DataType::{
        Boolean, Date32, Date64, Decimal32, Decimal64, Decimal128, Dictionary, Float16, Float32,
        Float64, Int8, Int16, Int32, Int64, LargeList, LargeUtf8, List, Null, Struct, Time32,
        Time64, Timestamp, UInt8, UInt16, UInt32, UInt64, Utf8, Utf8View,
    };
    let (cast, kind) = match data_type {
        Boolean => (Boolean, ColumnType::Bool),
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 => (Int64, ColumnType::Int64),
        UInt64 => (Decimal128(20, 0), ColumnType::Decimal { precision: 20, scale: 0 }),
        Float16 | Float32 | Float64 => (Float64, ColumnType::Float64),
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale) => {
            let places = u8::try_from(*scale).ok()?;
            let kind = ColumnType::Decimal { precision: *precision, scale: places };
            (Decimal128(*precision, *scale), kind)
        }
        Date32 | Date64 => (Date32, ColumnType::Date),
        Timestamp(..) => {
            (Timestamp(TimeUnit::Microsecond, Some("UTC".into())), ColumnType::Timestamp)
        }
        Utf8 | LargeUtf8 | Utf8View | Time32(_) | Time64(_) => (Utf8, ColumnType::Text),
        Dictionary(_, values) => return landed(values),
        Null | List(_) | LargeList(_) | Struct(_) => return Some((data_type.clone(), None)),
        _ => return None,
    };
    Some((cast, Some(kind)))
}
