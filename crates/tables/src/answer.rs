//! The rows of an answer, written out as they come.
//!
//! In: a running query. Out: CSV, JSON, NDJSON, Arrow or Parquet, one batch in memory at a time, or
//! the first rows as text. Every text format goes through `text`, so a value has the same form
//! everywhere: integers and decimals exact, instants RFC 3339 in UTC, JSON columns as JSON. In CSV
//! null is an empty field and the empty text is `""`.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::writer::StreamWriter;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

use crate::error::TableError;
use crate::query::{TYPE_KEY, failed};
use crate::text::{quoted, write_json, write_plain};

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// RFC 4180 with a header, lines ended as Unix does; null is an empty field, the empty text `""`.
    Csv,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
    /// An Arrow IPC stream.
    Arrow,
    /// A Parquet file.
    Parquet,
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerColumn {
    /// Its name.
    pub name: String,
    /// Its type in the words of column types; types that tables do not have in DataFusion's.
    pub kind: String,
}

/// A running query: its columns are known, its rows come as they are asked for.
pub struct Answer {
    columns: Vec<AnswerColumn>,
    is_json: Vec<bool>,
    stream: SendableRecordBatchStream,
}

impl Answer {
    pub(crate) fn new(stream: SendableRecordBatchStream) -> Self {
        let schema = stream.schema();
        let is_json: Vec<bool> = schema.fields().iter().map(|field| is_json(field)).collect();
        let columns = schema
            .fields()
            .iter()
            .zip(&is_json)
            .map(|(field, is_json)| AnswerColumn {
                name: field.name().clone(),
                kind: if *is_json { "json".into() } else { kind(field.data_type()) },
            })
            .collect();
        Self { columns, is_json, stream }
    }

    /// The columns, in order.
    pub fn columns(&self) -> &[AnswerColumn] {
        &self.columns
    }

    /// Whether each column has a name of its own: everywhere but in CSV a second one is lost.
    fn check_names(&self) -> Result<(), TableError> {
        let mut names = std::collections::HashSet::new();
        match self.columns.iter().find(|column| !names.insert(column.name.as_str())) {
            None => Ok(()),
            Some(column) => Err(TableError::QueryInvalid {
                problem: format!("two columns of the answer are named `{}`", column.name),
                hint: Some(format!("give one of them another name: `{} as …`", column.name)),
            }),
        }
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>, TableError> {
        self.stream.next().await.transpose().map_err(failed)
    }

    /// The first rows as text, null as none, and whether there are more.
    pub async fn cells(
        mut self,
        rows_max: usize,
    ) -> Result<(Vec<Vec<Option<String>>>, bool), TableError> {
        let mut rows = Vec::new();
        while let Some(batch) = self.next().await? {
            for row in 0..batch.num_rows() {
                if rows.len() >= rows_max {
                    return Ok((rows, true));
                }
                let mut cells = Vec::with_capacity(batch.num_columns());
                for column in batch.columns() {
                    cells.push(cell(column, row)?);
                }
                rows.push(cells);
            }
        }
        Ok((rows, false))
    }

    /// The first rows, each as the text of one JSON object: numbers stay exact in it, which they
    /// would not as parsed values.
    ///
    /// # Errors
    /// Also when two columns have one name: an object would lose one of them.
    pub async fn json_rows(mut self, rows_max: usize) -> Result<Vec<String>, TableError> {
        self.check_names()?;
        let mut rows = Vec::new();
        while let Some(batch) = self.next().await? {
            for row in 0..batch.num_rows() {
                if rows.len() >= rows_max {
                    return Ok(rows);
                }
                rows.push(self.row(&batch, row)?);
            }
        }
        Ok(rows)
    }

    /// The next rows, each as the text of one JSON object; none after the last. As many as the
    /// engine makes at once, so that an answer of any length needs bounded memory.
    ///
    /// # Errors
    /// Also when two columns have one name: an object would lose one of them.
    pub async fn next_rows(&mut self) -> Result<Option<Vec<String>>, TableError> {
        self.check_names()?;
        let Some(batch) = self.next().await? else { return Ok(None) };
        let mut rows = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            rows.push(self.row(&batch, row)?);
        }
        Ok(Some(rows))
    }

    fn row(&self, batch: &RecordBatch, row: usize) -> Result<String, TableError> {
        let mut text = String::new();
        self.object(batch, row, &mut text)?;
        Ok(text)
    }

    /// Writes all rows and gives their number.
    pub async fn write(
        self,
        format: Format,
        out: &mut (dyn Write + Send),
    ) -> Result<u64, TableError> {
        if format != Format::Csv {
            self.check_names()?;
        }
        match format {
            Format::Csv => self.write_csv(out).await,
            Format::Json => self.write_json(out, ["[", ",\n", "]\n"]).await,
            Format::Ndjson => self.write_json(out, ["", "\n", "\n"]).await,
            Format::Arrow => self.write_arrow(out).await,
            Format::Parquet => self.write_parquet(out).await,
        }
    }

    fn object(&self, batch: &RecordBatch, row: usize, out: &mut String) -> Result<(), TableError> {
        out.push('{');
        for (index, column) in batch.columns().iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            quoted(&self.columns[index].name, out);
            out.push(':');
            write_json(column.as_ref(), row, self.is_json[index], out)?;
        }
        out.push('}');
        Ok(())
    }

    /// Objects between an opening, separators and an end; the end of NDJSON ends its last line,
    /// so without rows there is none.
    async fn write_json(
        mut self,
        out: &mut (dyn Write + Send),
        [open, separator, end]: [&str; 3],
    ) -> Result<u64, TableError> {
        let mut rows = 0;
        let mut text = String::from(open);
        while let Some(batch) = self.next().await? {
            for row in 0..batch.num_rows() {
                if rows > 0 {
                    text.push_str(separator);
                }
                self.object(&batch, row, &mut text)?;
                rows += 1;
            }
            out.write_all(text.as_bytes()).map_err(output)?;
            text.clear();
        }
        if rows > 0 || !open.is_empty() {
            text.push_str(end);
        }
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(output)?;
        Ok(rows)
    }

    async fn write_csv(mut self, out: &mut (dyn Write + Send)) -> Result<u64, TableError> {
        let mut rows = 0;
        let mut text = String::new();
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            field(&column.name, &mut text);
        }
        text.push('\n');
        while let Some(batch) = self.next().await? {
            for row in 0..batch.num_rows() {
                for (index, column) in batch.columns().iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    if let Some(value) = cell(column, row)? {
                        field(&value, &mut text);
                    }
                }
                text.push('\n');
                rows += 1;
            }
            out.write_all(text.as_bytes()).map_err(output)?;
            text.clear();
        }
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(output)?;
        Ok(rows)
    }

    async fn write_arrow(mut self, out: &mut (dyn Write + Send)) -> Result<u64, TableError> {
        let schema = plain_schema(&self.stream.schema());
        let encoded = |error| TableError::encode(Path::new("the output"), error);
        let mut writer = StreamWriter::try_new(out, &schema).map_err(encoded)?;
        let mut rows = 0;
        while let Some(batch) = self.next().await? {
            let batch = plain_batch(&batch, &schema)?;
            writer.write(&batch).map_err(encoded)?;
            rows += batch.num_rows() as u64;
        }
        writer.finish().map_err(encoded)?;
        Ok(rows)
    }

    async fn write_parquet(mut self, out: &mut (dyn Write + Send)) -> Result<u64, TableError> {
        let schema = plain_schema(&self.stream.schema());
        let encoded = |error| TableError::encode(Path::new("the output"), error);
        let level = ZstdLevel::try_new(1).map_err(TableError::internal)?;
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
        let mut writer =
            ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(encoded)?;
        let mut rows = 0;
        while let Some(batch) = self.next().await? {
            let batch = plain_batch(&batch, &schema)?;
            writer.write(&batch).map_err(encoded)?;
            rows += batch.num_rows() as u64;
        }
        writer.close().map_err(encoded)?;
        Ok(rows)
    }
}

fn output(error: std::io::Error) -> TableError {
    TableError::file(Path::new("the output"), error)
}

fn cell(column: &ArrayRef, row: usize) -> Result<Option<String>, TableError> {
    if column.is_null(row) || column.data_type().is_null() {
        return Ok(None);
    }
    let mut text = String::new();
    write_plain(column.as_ref(), row, &mut text)?;
    Ok(Some(text))
}

/// A CSV field, quoted where it must be.
fn field(value: &str, out: &mut String) {
    if !value.is_empty() && !value.contains(['"', ',', '\n', '\r']) {
        return out.push_str(value);
    }
    out.push('"');
    out.push_str(&value.replace('"', "\"\""));
    out.push('"');
}

fn is_json(field: &Field) -> bool {
    let is_text =
        matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    is_text && field.metadata().get(TYPE_KEY).is_some_and(|kind| kind == "json")
}

fn kind(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "null".into(),
        DataType::Boolean => "bool".into(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => "int64".into(),
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => "int64".into(),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => "float64".into(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Timestamp(..) => "timestamp".into(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".into(),
        DataType::List(_) | DataType::LargeList(_) | DataType::Struct(_) => "json".into(),
        DataType::Dictionary(_, values) => kind(values),
        other => other.to_string().to_lowercase(),
    }
}

/// The schema that every reader of Arrow and Parquet knows: no views, no dictionaries.
fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let plain = match field.data_type() {
            DataType::Utf8View => DataType::Utf8,
            DataType::BinaryView => DataType::Binary,
            DataType::Dictionary(_, values) => values.as_ref().clone(),
            other => other.clone(),
        };
        field.as_ref().clone().with_data_type(plain)
    });
    Arc::new(Schema::new(fields.collect::<Vec<Field>>()))
}

fn plain_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, TableError> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            Ok(column.clone())
        } else {
            cast(column, field.data_type())
        }
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>, _>>().map_err(TableError::internal)?;
    RecordBatch::try_new(schema.clone(), columns).map_err(TableError::internal)
}
