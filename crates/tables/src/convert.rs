//! Arrays of a narrower type as arrays of a wider one.
//!
//! In: an array and the two types. Out: an array of the wider type with the same values. It is
//! used for rows that were built or written before their column widened. Where the wider type is
//! text, the value's own form is written: the text that it came in is not known any more, so
//! `1.50` reads `1.5`, and an instant is RFC 3339 in UTC. A number or day in a column of text is
//! re-encoded as a JSON string when the column becomes JSON, because text is what it was.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, StringBuilder, new_null_array};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use restway_model::ColumnType;

use crate::build::arrow_type;
use crate::error::TableError;
use crate::infer::MICROS_PER_DAY;
use crate::text::{write_json, write_plain};

/// Converts without losing anything, or fails.
pub(crate) fn convert(
    array: &ArrayRef,
    from: ColumnType,
    to: ColumnType,
) -> Result<ArrayRef, TableError> {
    let impossible = || TableError::internal(format!("{from} does not widen to {to}"));
    match (from, to) {
        (same, again) if same == again => Ok(array.clone()),
        (ColumnType::Null, _) => Ok(new_null_array(&arrow_type(to), array.len())),
        (_, ColumnType::Text | ColumnType::Json) => written(array, from, to),
        (ColumnType::Int64, ColumnType::Float64) => {
            let doubles =
                array.as_primitive::<Int64Type>().unary::<_, Float64Type>(|int| int as f64);
            Ok(Arc::new(doubles))
        }
        (ColumnType::Int64, ColumnType::Decimal { precision, scale }) => {
            let factor = 10i128.pow(u32::from(scale));
            let ints = array.as_primitive::<Int64Type>();
            let wider: Decimal128Array = ints.unary(|int| i128::from(int).wrapping_mul(factor));
            with_type(wider, precision, scale)
        }
        (ColumnType::Decimal { scale: before, .. }, ColumnType::Decimal { precision, scale }) => {
            let added = scale.checked_sub(before).ok_or_else(impossible)?;
            let factor = 10i128.pow(u32::from(added));
            let decimals = array.as_primitive::<Decimal128Type>();
            let wider: Decimal128Array = decimals.unary(|value| value.wrapping_mul(factor));
            with_type(wider, precision, scale)
        }
        (ColumnType::Date, ColumnType::Timestamp) => {
            let days = array.as_primitive::<Date32Type>();
            let instants =
                days.unary::<_, TimestampMicrosecondType>(|day| i64::from(day) * MICROS_PER_DAY);
            Ok(Arc::new(instants.with_timezone("UTC")))
        }
        _ => Err(impossible()),
    }
}

fn with_type(array: Decimal128Array, precision: u8, scale: u8) -> Result<ArrayRef, TableError> {
    let typed = array.with_precision_and_scale(precision, scale as i8);
    Ok(Arc::new(typed.map_err(TableError::internal)?))
}

fn written(array: &ArrayRef, from: ColumnType, to: ColumnType) -> Result<ArrayRef, TableError> {
    let mut texts = StringBuilder::with_capacity(array.len(), array.len() * 8);
    let mut buffer = String::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.append_null();
            continue;
        }
        buffer.clear();
        if to == ColumnType::Json {
            write_json(array.as_ref(), row, from == ColumnType::Json, &mut buffer)?;
        } else {
            write_plain(array.as_ref(), row, &mut buffer)?;
        }
        texts.append_value(&buffer);
    }
    Ok(Arc::new(texts.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ColumnType::*;
    use arrow::array::{BooleanArray, Date32Array, Float64Array, Int64Array, StringArray};

    #[test]
    fn every_widening_keeps_the_values() {
        let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(-7), None]));
        let bools: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None]));
        let doubles: ArrayRef = Arc::new(Float64Array::from(vec![Some(1e-7), None]));
        let days: ArrayRef = Arc::new(Date32Array::from(vec![Some(1), None]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a\"b"), None]));
        let money = Decimal { precision: 21, scale: 2 };
        for (array, from, to, plain) in [
            (&ints, Int64, Float64, "-7.0"),
            (&ints, Int64, money, "-7.00"),
            (&ints, Int64, Text, "-7"),
            (&ints, Int64, Json, "-7"),
            (&bools, Bool, Text, "true"),
            (&doubles, Float64, Text, "1e-7"),
            (&days, Date, Timestamp, "1970-01-02T00:00:00Z"),
            (&days, Date, Text, "1970-01-02"),
            (&days, Date, Json, "\"1970-01-02\""),
            (&texts, Text, Json, "\"a\\\"b\""),
        ] {
            let wider = convert(array, from, to).expect("a wider array");
            let mut text = String::new();
            write_plain(wider.as_ref(), 0, &mut text).expect("a text");
            assert_eq!(text, plain, "{from} to {to}");
            assert!(wider.is_null(1), "{from} to {to}");
            assert_eq!(wider.data_type(), &arrow_type(to));
        }
        assert!(convert(&texts, Text, Int64).is_err());
    }
}
