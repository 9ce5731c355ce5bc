//! Rows as Arrow or Parquet.
//!
//! In: rows as JSON text, and their columns. Out: pieces of a stream or file. The room of tables
//! writes both; here each kind of column gets its type there. Numbers without a bound on their
//! digits stay text, and so does what has no type of its own. What never happens here: a value.

use restway_tables::{ExactKind, Format, RowsWriter, TableError};

use crate::form::Form;
use crate::source::{Column, Kind, SourceError, values};

/// Writes rows in columns, if the form has them so.
pub(crate) struct Columnar(RowsWriter);

impl Columnar {
    pub(crate) fn new(form: Form, columns: &[&Column]) -> Result<Option<Self>, SourceError> {
        let format = match form {
            Form::Arrow => Format::Arrow,
            Form::Parquet => Format::Parquet,
            Form::Envelope | Form::Ndjson | Form::Csv => return Ok(None),
        };
        let columns = columns.iter().map(|column| (column.name.clone(), exact(column.kind)));
        RowsWriter::new(format, columns).map(|writer| Some(Self(writer))).map_err(failed)
    }

    /// Takes the row that begins at `start` of the buffer, and leaves there what is ready.
    pub(crate) fn row(&mut self, buffer: &mut Vec<u8>, start: usize) -> Result<(), SourceError> {
        let row = buffer.split_off(start);
        let row = std::str::from_utf8(&row).unwrap_or_default();
        self.0.row(values(row)).map_err(failed)?;
        buffer.extend(self.0.take());
        Ok(())
    }

    /// What is left, and the end.
    pub(crate) fn end(&mut self) -> Result<Vec<u8>, SourceError> {
        self.0.finish().map_err(failed)
    }
}

fn exact(kind: Kind) -> ExactKind {
    match kind {
        Kind::Bool => ExactKind::Bool,
        Kind::Int64 => ExactKind::Int64,
        Kind::UInt64 => ExactKind::UInt64,
        Kind::Decimal { precision, scale } => ExactKind::Decimal { precision, scale },
        Kind::Float32 => ExactKind::Float32,
        Kind::Float64 => ExactKind::Float64,
        Kind::Date => ExactKind::Date,
        Kind::Time => ExactKind::Time,
        Kind::DateTime => ExactKind::DateTime,
        Kind::Instant => ExactKind::Instant,
        Kind::Bytes => ExactKind::Bytes,
        Kind::Json | Kind::List => ExactKind::Json,
        Kind::Null | Kind::Number | Kind::Uuid | Kind::Text | Kind::Other => ExactKind::Text,
    }
}

fn failed(error: TableError) -> SourceError {
    SourceError::Engine(Box::new(error))
}
