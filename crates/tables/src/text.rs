//! Values of columns as text: the one place where a value gets its written form.
//!
//! In: an Arrow array and a row. Out: the plain text (CSV, terminal, a column that widens to text)
//! or the JSON text (JSON answers, a column that widens to JSON). Integers and decimals are written
//! exactly, doubles as the shortest text that gives them back, instants as RFC 3339 in UTC, days
//! as ISO 8601; nothing goes through a double that is not one.

use std::fmt::Write;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, NaiveDate, SecondsFormat};

use crate::error::TableError;

/// How deep an answer may nest lists and objects.
const DEPTH_MAX: usize = 64;

/// Appends the plain text of a value that is not null.
pub(crate) fn write_plain(
    array: &dyn Array,
    row: usize,
    out: &mut String,
) -> Result<(), TableError> {
    match array.data_type() {
        DataType::Utf8 => out.push_str(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => out.push_str(array.as_string::<i64>().value(row)),
        DataType::Utf8View => out.push_str(array.as_string_view().value(row)),
        DataType::Boolean => push(out, format_args!("{}", array.as_boolean().value(row))),
        DataType::Int64 => {
            push(out, format_args!("{}", array.as_primitive::<Int64Type>().value(row)));
        }
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row), out),
        DataType::Float32 => {
            push(out, format_args!("{:?}", array.as_primitive::<Float32Type>().value(row)));
        }
        DataType::Decimal128(_, scale) => {
            decimal(array.as_primitive::<Decimal128Type>().value(row), *scale, out);
        }
        DataType::Date32 => day(array.as_primitive::<Date32Type>().value(row), out)?,
        DataType::Timestamp(unit, _) => instant(array, *unit, row, out)?,
        DataType::List(_) | DataType::LargeList(_) | DataType::Struct(_) => {
            write_json(array, row, false, out)?;
        }
        _ => {
            let options = FormatOptions::default();
            let formatter =
                ArrayFormatter::try_new(array, &options).map_err(TableError::internal)?;
            push(out, format_args!("{}", formatter.value(row)));
        }
    }
    Ok(())
}

/// Appends the JSON text of a value, null included; `is_json` when the text of a string column is
/// JSON already.
pub(crate) fn write_json(
    array: &dyn Array,
    row: usize,
    is_json: bool,
    out: &mut String,
) -> Result<(), TableError> {
    nested_json(array, row, is_json, DEPTH_MAX, out)
}

fn nested_json(
    array: &dyn Array,
    row: usize,
    is_json: bool,
    depth: usize,
    out: &mut String,
) -> Result<(), TableError> {
    if array.is_null(row) || array.data_type().is_null() {
        out.push_str("null");
        return Ok(());
    }
    let below = depth.checked_sub(1).ok_or_else(|| TableError::internal("too deep an answer"))?;
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if is_json => {
            write_plain(array, row, out)?;
        }
        DataType::Utf8 => quoted(array.as_string::<i32>().value(row), out),
        DataType::LargeUtf8 => quoted(array.as_string::<i64>().value(row), out),
        DataType::Utf8View => quoted(array.as_string_view().value(row), out),
        DataType::Float64 if !array.as_primitive::<Float64Type>().value(row).is_finite() => {
            out.push_str("null");
        }
        DataType::Float32 if !array.as_primitive::<Float32Type>().value(row).is_finite() => {
            out.push_str("null");
        }
        DataType::Boolean => write_plain(array, row, out)?,
        kind if kind.is_numeric() => write_plain(array, row, out)?,
        DataType::List(_) => list(&array.as_list::<i32>().value(row), below, out)?,
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row), below, out)?,
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            for (index, (field, column)) in fields.iter().zip(columns).enumerate() {
                out.push(if index == 0 { '{' } else { ',' });
                quoted(field.name(), out);
                out.push(':');
                nested_json(column.as_ref(), row, false, below, out)?;
            }
            out.push_str(if columns.is_empty() { "{}" } else { "}" });
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let key = dictionary.normalized_keys()[row];
            nested_json(dictionary.values().as_ref(), key, is_json, below, out)?;
        }
        _ => {
            let mut text = String::new();
            write_plain(array, row, &mut text)?;
            quoted(&text, out);
        }
    }
    Ok(())
}

fn list(values: &dyn Array, depth: usize, out: &mut String) -> Result<(), TableError> {
    out.push('[');
    for index in 0..values.len() {
        if index > 0 {
            out.push(',');
        }
        nested_json(values, index, false, depth, out)?;
    }
    out.push(']');
    Ok(())
}

/// Appends a JSON string.
pub(crate) fn quoted(text: &str, out: &mut String) {
    out.push('"');
    let mut kept = 0;
    for (index, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[kept..index]);
        kept = index + 1;
        if escape.is_empty() {
            push(out, format_args!("\\u{byte:04x}"));
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[kept..]);
    out.push('"');
}

/// Appends the shortest text that gives the double back.
pub(crate) fn float(value: f64, out: &mut String) {
    push(out, format_args!("{value:?}"));
}

/// Appends an exact decimal with all digits of its scale.
pub(crate) fn decimal(value: i128, scale: i8, out: &mut String) {
    let scale = usize::from(scale.unsigned_abs());
    if scale == 0 {
        return push(out, format_args!("{value}"));
    }
    let digits = format!("{:0width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if value < 0 { "-" } else { "" };
    push(out, format_args!("{sign}{whole}.{fraction}"));
}

/// Appends `YYYY-MM-DD`.
pub(crate) fn day(days: i32, out: &mut String) -> Result<(), TableError> {
    let day = NaiveDate::from_epoch_days(days)
        .ok_or_else(|| TableError::internal(format!("day {days} is out of range")))?;
    push(out, format_args!("{day}"));
    Ok(())
}

/// Appends an instant of microseconds as RFC 3339 in UTC.
pub(crate) fn micros(value: i64, out: &mut String) -> Result<(), TableError> {
    let instant = DateTime::from_timestamp_micros(value)
        .ok_or_else(|| TableError::internal(format!("instant {value} is out of range")))?;
    out.push_str(&instant.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    Ok(())
}

fn instant(
    array: &dyn Array,
    unit: TimeUnit,
    row: usize,
    out: &mut String,
) -> Result<(), TableError> {
    let value = match unit {
        TimeUnit::Second => {
            DateTime::from_timestamp(array.as_primitive::<TimestampSecondType>().value(row), 0)
        }
        TimeUnit::Millisecond => DateTime::from_timestamp_millis(
            array.as_primitive::<TimestampMillisecondType>().value(row),
        ),
        TimeUnit::Microsecond => {
            return micros(array.as_primitive::<TimestampMicrosecondType>().value(row), out);
        }
        TimeUnit::Nanosecond => Some(DateTime::from_timestamp_nanos(
            array.as_primitive::<TimestampNanosecondType>().value(row),
        )),
    };
    let value = value.ok_or_else(|| TableError::internal("an instant is out of range"))?;
    out.push_str(&value.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    Ok(())
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a `String` never fails.
    let _ = out.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_exactly() {
        let written = |write: &dyn Fn(&mut String)| {
            let mut out = String::new();
            write(&mut out);
            out
        };
        assert_eq!(written(&|out| decimal(-5, 2, out)), "-0.05");
        assert_eq!(
            written(&|out| decimal(i128::from(i64::MAX) * 10, 1, out)),
            "9223372036854775807.0"
        );
        assert_eq!(written(&|out| float(1e300, out)), "1e300");
        assert_eq!(written(&|out| float(0.1, out)), "0.1");
        assert_eq!(written(&|out| day(19_782, out).expect("a day")), "2024-02-29");
        assert_eq!(written(&|out| micros(-1, out).expect("micros")), "1969-12-31T23:59:59.999999Z");
        assert_eq!(written(&|out| quoted("a\"\u{1}\nü", out)), "\"a\\\"\\u0001\\nü\"");
    }
}
