//! Rows of any source as an Arrow stream or a Parquet file, written as they come.
//!
//! In: the JSON texts of a row's values, and the types of their columns. Out: bytes, as soon as
//! there are some, with one batch or one row group in memory. Values become what they are: whole
//! numbers, decimals, days and instants of Arrow; what has no type there is text. A value that its
//! column's type cannot hold ends the rows with an error, because rounded or left out it would be
//! another one. The end is written by [`RowsWriter::finish`] alone: a stream without its mark and
//! a file without its footer were cut.
//!
//! What never happens here: a float between a text and a decimal.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, RecordBatch, StringArray, StringBuilder};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::ipc::writer::StreamWriter;
use arrow::util::display::FormatOptions;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::answer::Format;
use crate::error::TableError;
use crate::query::TYPE_KEY;

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;
/// Bytes of JSON of a batch; one row may make it longer.
const BATCH_BYTES: usize = 1 << 20;
/// Bytes of a row group in memory.
const GROUP_BYTES: usize = 8 << 20;
/// Digits that Arrow's decimals of 128 and of 256 bits hold.
const DIGITS: [u8; 2] = [38, 76];

/// What a column of rows holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExactKind {
    /// `true` and `false`.
    Bool,
    /// Whole numbers of 64 bits.
    Int64,
    /// Whole numbers of 64 bits from zero.
    UInt64,
    /// Numbers with so many digits, `scale` of them after the point; text beyond 76 digits.
    Decimal {
        /// Digits in all.
        precision: u16,
        /// Digits after the point.
        scale: u16,
    },
    /// Binary fractions of 32 bits.
    Float32,
    /// Binary fractions of 64 bits.
    Float64,
    /// Days.
    Date,
    /// Times of a day, in microseconds.
    Time,
    /// Days with times in no place of the world, in microseconds.
    DateTime,
    /// Instants, in microseconds of UTC.
    Instant,
    /// Bytes, in base64.
    Bytes,
    /// JSON values, as their text.
    Json,
    /// Everything else, as its text.
    Text,
}

impl ExactKind {
    fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int64 => DataType::Int64,
            Self::UInt64 => DataType::UInt64,
            Self::Decimal { precision, scale } => decimal(precision, scale),
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::DateTime => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Bytes => DataType::Binary,
            Self::Json | Self::Text => DataType::Utf8,
        }
    }

    /// The text that a value is read from; none when it is no value of the kind.
    fn text(self, raw: &str) -> Option<Cow<'_, str>> {
        let is_text = raw.starts_with('"');
        let unquoted = || serde_json::from_str::<String>(raw).ok().map(Cow::Owned);
        match self {
            Self::Json => Some(Cow::Borrowed(raw)),
            Self::Text if is_text => unquoted(),
            Self::Text => Some(Cow::Borrowed(raw)),
            Self::Bool => matches!(raw, "true" | "false").then_some(Cow::Borrowed(raw)),
            Self::Int64 | Self::UInt64 => is_whole(raw).then_some(Cow::Borrowed(raw)),
            Self::Decimal { scale, .. } => fits(raw, scale).then_some(Cow::Borrowed(raw)),
            // What JSON has no number for came as a text.
            Self::Float32 | Self::Float64 if is_text => {
                unquoted().filter(|text| ["NaN", "Infinity", "-Infinity"].contains(&&**text))
            }
            Self::Float32 | Self::Float64 => Some(Cow::Borrowed(raw)),
            Self::Date | Self::Time | Self::DateTime | Self::Instant | Self::Bytes => {
                unquoted().filter(|_| is_text)
            }
        }
    }
}

fn decimal(precision: u16, scale: u16) -> DataType {
    let digits = u8::try_from(precision).ok().filter(|_| scale <= precision);
    match (digits, i8::try_from(scale)) {
        (Some(digits @ 1..), Ok(scale)) if digits <= DIGITS[0] => {
            DataType::Decimal128(digits, scale)
        }
        (Some(digits @ 1..), Ok(scale)) if digits <= DIGITS[1] => {
            DataType::Decimal256(digits, scale)
        }
        _ => DataType::Utf8,
    }
}

fn is_whole(raw: &str) -> bool {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a number in digits has no more of them behind the point, but for zeros.
fn fits(raw: &str, scale: u16) -> bool {
    let (whole, part) = raw.split_once('.').unwrap_or((raw, ""));
    let is_digits = part.bytes().all(|byte| byte.is_ascii_digit());
    is_whole(whole) && is_digits && part.trim_end_matches('0').len() <= usize::from(scale)
}

/// One column's values of a batch, as texts.
struct Values {
    name: String,
    kind: ExactKind,
    texts: StringBuilder,
}

impl Values {
    fn add(&mut self, raw: Option<&str>) -> Result<(), TableError> {
        match raw {
            None | Some("null") => self.texts.append_null(),
            Some(raw) => match self.kind.text(raw) {
                Some(text) => self.texts.append_value(text),
                None => return Err(self.unfit()),
            },
        }
        Ok(())
    }

    /// The values of the batch in their type.
    fn array(&mut self) -> Result<ArrayRef, TableError> {
        let texts = self.texts.finish();
        if self.kind == ExactKind::Bytes {
            return self.bytes(&texts);
        }
        let strictly = CastOptions { safe: false, format_options: FormatOptions::default() };
        cast_with_options(&texts, &self.kind.data_type(), &strictly).map_err(|_| self.unfit())
    }

    fn bytes(&self, texts: &StringArray) -> Result<ArrayRef, TableError> {
        let mut bytes = BinaryBuilder::new();
        for text in texts {
            match text.map(|text| STANDARD.decode(text)) {
                None => bytes.append_null(),
                Some(Ok(value)) => bytes.append_value(value),
                Some(Err(_)) => return Err(self.unfit()),
            }
        }
        Ok(Arc::new(bytes.finish()))
    }

    fn unfit(&self) -> TableError {
        let (column, kind) = (self.name.clone(), self.kind.data_type().to_string());
        TableError::ValueUnfit { column, kind }
    }
}

/// The two ways to write batches.
enum Writer {
    Arrow(Box<StreamWriter<Vec<u8>>>),
    Parquet(Box<ArrowWriter<Vec<u8>>>),
}

/// Writes rows.
pub struct RowsWriter {
    columns: Vec<Values>,
    schema: SchemaRef,
    writer: Writer,
    rows: usize,
    bytes: usize,
}

impl RowsWriter {
    /// A writer of rows with these columns, as [`Format::Arrow`] or as Parquet.
    ///
    /// # Errors
    /// When there is no such schema.
    pub fn new(
        format: Format,
        columns: impl IntoIterator<Item = (String, ExactKind)>,
    ) -> Result<Self, TableError> {
        let columns: Vec<Values> = columns
            .into_iter()
            .map(|(name, kind)| Values { name, kind, texts: StringBuilder::new() })
            .collect();
        let fields = columns.iter().map(|column| {
            let field = Field::new(&column.name, column.kind.data_type(), true);
            let is_json = column.kind == ExactKind::Json;
            let metadata = is_json.then(|| (TYPE_KEY.to_owned(), "json".to_owned()));
            field.with_metadata(metadata.into_iter().collect())
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let writer = match format {
            Format::Arrow => {
                let writer = StreamWriter::try_new(Vec::new(), &schema).map_err(unwritten)?;
                Writer::Arrow(Box::new(writer))
            }
            _ => {
                let level = ZstdLevel::try_new(1).map_err(TableError::internal)?;
                let properties =
                    WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
                let writer =
                    ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties));
                Writer::Parquet(Box::new(writer.map_err(unwritten)?))
            }
        };
        Ok(Self { columns, schema, writer, rows: 0, bytes: 0 })
    }

    /// A row, by the JSON texts of its values in the order of the columns.
    ///
    /// # Errors
    /// When a value is none of its column's type.
    pub fn row<'a>(&mut self, mut values: impl Iterator<Item = &'a str>) -> Result<(), TableError> {
        for column in &mut self.columns {
            let raw = values.next();
            self.bytes += raw.map_or(0, str::len);
            column.add(raw)?;
        }
        self.rows += 1;
        if self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
            self.batch()?;
        }
        Ok(())
    }

    fn batch(&mut self) -> Result<(), TableError> {
        if self.rows == 0 {
            return Ok(());
        }
        let arrays: Result<Vec<ArrayRef>, _> = self.columns.iter_mut().map(Values::array).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays?);
        let batch = batch.map_err(TableError::internal)?;
        (self.rows, self.bytes) = (0, 0);
        match &mut self.writer {
            Writer::Arrow(writer) => writer.write(&batch).map_err(unwritten),
            Writer::Parquet(writer) => {
                writer.write(&batch).map_err(unwritten)?;
                if writer.memory_size() >= GROUP_BYTES {
                    writer.flush().map_err(unwritten)?;
                }
                Ok(())
            }
        }
    }

    /// The bytes that are ready.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(match &mut self.writer {
            Writer::Arrow(writer) => writer.get_mut(),
            Writer::Parquet(writer) => writer.inner_mut(),
        })
    }

    /// The rest and the end.
    ///
    /// # Errors
    /// When a value of the last rows is none of its column's type.
    pub fn finish(&mut self) -> Result<Vec<u8>, TableError> {
        self.batch()?;
        match &mut self.writer {
            Writer::Arrow(writer) => writer.finish().map_err(unwritten)?,
            Writer::Parquet(writer) => {
                writer.finish().map_err(unwritten)?;
            }
        }
        Ok(self.take())
    }
}

fn unwritten(error: impl Into<crate::error::Cause>) -> TableError {
    TableError::encode(Path::new("the output"), error)
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Decimal128Type, Decimal256Type, TimestampMicrosecondType};
    use arrow::ipc::reader::StreamReader;

    use super::*;

    fn writer(format: Format, kinds: &[ExactKind]) -> RowsWriter {
        let columns = kinds.iter().enumerate().map(|(at, kind)| (format!("c{at}"), *kind));
        RowsWriter::new(format, columns).expect("a writer")
    }

    #[test]
    fn values_keep_their_digits_and_bytes_come_as_they_are_ready() {
        let wide = ExactKind::Decimal { precision: 60, scale: 1 };
        let kinds = [
            ExactKind::Decimal { precision: 12, scale: 2 },
            wide,
            ExactKind::Instant,
            ExactKind::Bytes,
            ExactKind::Text,
        ];
        let mut writer = writer(Format::Arrow, &kinds);
        let digits = "123456789012345678901234567890123456789012345678.5";
        let row = ["9999999999.99", digits, "\"2024-02-29T12:00:00.000001Z\"", "\"AP8h\"", "1.50"];
        let mut bytes = Vec::new();
        for _ in 0..BATCH_ROWS + 1 {
            writer.row(row.into_iter()).expect("a row");
            bytes.extend(writer.take());
        }
        let before_the_end = bytes.len();
        bytes.extend(writer.finish().expect("an end"));
        assert!(before_the_end > BATCH_ROWS * 8, "the first batch was ready");
        let batches: Vec<RecordBatch> = StreamReader::try_new(bytes.as_slice(), None)
            .expect("a stream")
            .collect::<Result<_, _>>()
            .expect("batches");
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, BATCH_ROWS + 1);
        let first = &batches[0];
        assert_eq!(first.column(0).as_primitive::<Decimal128Type>().value(0), 999_999_999_999);
        let wide = first.column(1).as_primitive::<Decimal256Type>().value(0).to_string();
        assert_eq!(wide, digits.replace('.', ""));
        let instant = first.column(2).as_primitive::<TimestampMicrosecondType>().value(0);
        assert_eq!(instant, 1_709_208_000_000_001);
        assert_eq!(first.column(3).as_binary::<i32>().value(0), [0, 255, 33]);
        assert_eq!(first.column(4).as_string::<i32>().value(0), "1.50");
    }

    #[test]
    fn a_value_that_its_type_cannot_hold_ends_the_rows() {
        let price = ExactKind::Decimal { precision: 6, scale: 2 };
        for (kind, raw) in [
            (price, "1.005"),
            (price, "12345.00"),
            (price, "1e2"),
            (price, "\"1\""),
            (ExactKind::Int64, "1.5"),
            (ExactKind::Int64, "9223372036854775808"),
            (ExactKind::UInt64, "-1"),
            (ExactKind::Bool, "1"),
            (ExactKind::Float64, "\"x\""),
            (ExactKind::Date, "\"infinity\""),
            (ExactKind::Time, "\"25:00:00\""),
            (ExactKind::Instant, "5"),
            (ExactKind::Bytes, "\"AP8\""),
        ] {
            let mut writer = writer(Format::Parquet, &[kind]);
            let outcome = writer.row([raw].into_iter()).and_then(|()| writer.finish());
            assert!(outcome.is_err(), "{kind:?} {raw}");
        }
    }
}
