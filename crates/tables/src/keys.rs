//! When two records are the same record: keys and contents, compared by what they mean.
//!
//! In: columns of a data file, whatever type they had when it was written, or the JSON of a
//! record. Out: hashes of 128 bits. A key is hashed by its value and not by its type, so that a
//! row is found again after its column widened: numbers by their digits, days and instants by the
//! instant, everything else by its text. Text stays text where the definition declares `text`;
//! elsewhere a text that is written as a day or instant counts as one, because that is what its
//! column may have been. What never happens here: a key compared by a part of it, or a hash of a
//! key kept beyond the process, whose seed it has.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, Float64Type, TimestampMicrosecondType};
use restway_model::ColumnType;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::convert::convert;
use crate::error::TableError;
use crate::infer::{MICROS_PER_DAY, Number, Written, number, written};
use crate::shape::ColumnDef;
use crate::text::{decimal, float, write_plain};

/// Doubles up to here are whole numbers without doubt: 2^53.
const FLOAT_WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A key's hash.
pub(crate) type KeyHash = [u64; 2];

/// A column of the key.
#[derive(Debug, Clone)]
pub(crate) struct KeyColumn {
    pub(crate) name: String,
    /// Whether the definition declares it text.
    pub(crate) is_text: bool,
}

/// Hashes keys with seeds of its own, so that no api can choose keys that meet.
pub(crate) struct KeyHasher {
    seeds: [RandomState; 2],
    buffer: String,
}

impl KeyHasher {
    pub(crate) fn new() -> Self {
        Self { seeds: [RandomState::new(), RandomState::new()], buffer: String::new() }
    }

    /// The hash of each row's key; none where a part of it is null. `columns` are those of the
    /// file, and `now` what they are to be.
    pub(crate) fn rows(
        &mut self,
        batch: &RecordBatch,
        keys: &[KeyColumn],
        columns: &[ColumnDef],
        now: &[ColumnDef],
    ) -> Result<Vec<Option<KeyHash>>, TableError> {
        let kind = |columns: &[ColumnDef], key: &KeyColumn| {
            columns.iter().find(|column| column.name == key.name).map(|column| column.kind)
        };
        let mut parts: Vec<(ArrayRef, ColumnType, bool)> = Vec::with_capacity(keys.len());
        for key in keys {
            match (batch.column_by_name(&key.name), kind(columns, key)) {
                // `2.0` is written so from now on, and not as the number that `2` is too.
                (Some(array), Some(ColumnType::Float64))
                    if kind(now, key) == Some(ColumnType::Text) =>
                {
                    let texts = convert(array, ColumnType::Float64, ColumnType::Text)?;
                    parts.push((texts, ColumnType::Text, key.is_text));
                }
                (Some(array), Some(kind)) => parts.push((Arc::clone(array), kind, key.is_text)),
                // A column of nulls only is in no file.
                _ => return Ok(vec![None; batch.num_rows()]),
            }
        }
        (0..batch.num_rows()).map(|row| self.row(&parts, row)).collect()
    }

    fn row(
        &mut self,
        parts: &[(ArrayRef, ColumnType, bool)],
        row: usize,
    ) -> Result<Option<KeyHash>, TableError> {
        let mut hashers = [self.seeds[0].build_hasher(), self.seeds[1].build_hasher()];
        for (array, kind, is_text) in parts {
            if array.is_null(row) {
                return Ok(None);
            }
            self.buffer.clear();
            plain(array, *kind, *is_text, row, &mut self.buffer)?;
            for hasher in &mut hashers {
                hasher.write(self.buffer.as_bytes());
                hasher.write_usize(self.buffer.len());
            }
        }
        Ok(Some([hashers[0].finish(), hashers[1].finish()]))
    }
}

/// Appends what a value means, the same for every type that its column may have had.
fn plain(
    array: &ArrayRef,
    kind: ColumnType,
    is_text: bool,
    row: usize,
    out: &mut String,
) -> Result<(), TableError> {
    match kind {
        ColumnType::Float64 => double(array.as_primitive::<Float64Type>().value(row), out),
        ColumnType::Decimal { .. } => {
            write_plain(array.as_ref(), row, out)?;
            trim_zeros(out);
        }
        ColumnType::Date => {
            let days = array.as_primitive::<Date32Type>().value(row);
            instant(i64::from(days) * MICROS_PER_DAY, out);
        }
        ColumnType::Timestamp => {
            instant(array.as_primitive::<TimestampMicrosecondType>().value(row), out);
        }
        ColumnType::Text | ColumnType::Null => {
            text(array.as_string::<i32>().value(row), is_text, out);
        }
        ColumnType::Json => json(array.as_string::<i32>().value(row), out),
        ColumnType::Bool | ColumnType::Int64 => write_plain(array.as_ref(), row, out)?,
    }
    Ok(())
}

fn text(text: &str, is_text: bool, out: &mut String) {
    match written(text) {
        Written::Date(days) if !is_text => instant(i64::from(days) * MICROS_PER_DAY, out),
        Written::Timestamp(micros) if !is_text => instant(micros, out),
        _ => out.push_str(text),
    }
}

/// A scalar of a JSON column, by what it would be elsewhere.
fn json(value: &str, out: &mut String) {
    match value.as_bytes().first() {
        Some(b'"') => match serde_json::from_str::<String>(value) {
            Ok(inside) => text(&inside, false, out),
            Err(_) => out.push_str(value),
        },
        Some(b'-' | b'0'..=b'9') => match number(value) {
            Number::Int(int) => out.push_str(&int.to_string()),
            Number::Float(value) => double(value, out),
            Number::Decimal(value) => {
                decimal(value.unscaled, value.scale as i8, out);
                trim_zeros(out);
            }
            Number::Text => out.push_str(value),
        },
        _ => out.push_str(value),
    }
}

fn double(value: f64, out: &mut String) {
    if value.fract() == 0.0 && value.abs() <= FLOAT_WHOLE_MAX {
        out.push_str(&(value as i64).to_string());
    } else {
        float(value, out);
    }
}

fn trim_zeros(out: &mut String) {
    if out.contains('.') {
        out.truncate(out.trim_end_matches('0').trim_end_matches('.').len());
    }
}

fn instant(micros: i64, out: &mut String) {
    out.push('@');
    out.push_str(&micros.to_string());
}

/// The hash of what a record holds, the same in every process: whatever order its keys have, and
/// with or without nulls and empty lists, which land as nothing.
pub(crate) fn content(
    record: &Value,
    carried: &[(String, Box<serde_json::value::RawValue>)],
) -> u128 {
    let mut hasher = Sha256::new();
    let mut bytes = Vec::new();
    canonical(record, &mut bytes);
    hasher.update(&bytes);
    for (name, value) in carried {
        hasher.update([0]);
        hasher.update(name.as_bytes());
        hasher.update([0]);
        hasher.update(value.get().as_bytes());
    }
    first_half(&hasher.finalize())
}

/// The hash of a list of names, in any order.
pub(crate) fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut sorted: Vec<&str> = names.collect();
    sorted.sort_unstable();
    let mut hasher = Sha256::new();
    for name in sorted {
        hasher.update(name.as_bytes());
        hasher.update([0]);
    }
    format!("{:032x}", first_half(&hasher.finalize()))
}

fn first_half(digest: &[u8]) -> u128 {
    digest.iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

/// Appends a value's one form; nothing for what lands as nothing.
fn canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => {}
        Value::Array(items) => {
            let start = out.len();
            out.push(b'[');
            for item in items {
                canonical(item, out);
                out.push(b',');
            }
            if items.is_empty() {
                out.truncate(start);
            }
        }
        Value::Object(members) => {
            let start = out.len();
            out.push(b'{');
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            let empty = out.len();
            for (key, member) in sorted {
                let before = out.len();
                out.extend(Value::from(key.as_str()).to_string().bytes());
                out.push(b':');
                let filled = out.len();
                canonical(member, out);
                if out.len() == filled {
                    out.truncate(before);
                }
            }
            if out.len() == empty {
                out.truncate(start);
            }
        }
        scalar => out.extend(scalar.to_string().bytes()),
    }
}

#[cfg(test)]
mod tests {
    use ColumnType::*;
    use arrow::array::{Float64Array, Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};
    use serde_json::json;

    use super::*;

    fn hash(hasher: &mut KeyHasher, array: ArrayRef, kind: ColumnType) -> Option<KeyHash> {
        let field = Field::new("id", array.data_type().clone(), true);
        let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array]);
        let def =
            ColumnDef { name: "id".into(), path: String::new(), kind, wide: false, map: false };
        let keys = [KeyColumn { name: "id".into(), is_text: false }];
        let batch = batch.expect("a batch");
        hasher
            .rows(&batch, &keys, std::slice::from_ref(&def), std::slice::from_ref(&def))
            .expect("hashes")[0]
    }

    #[test]
    fn a_key_is_found_again_after_its_column_widened() {
        let hasher = &mut KeyHasher::new();
        let one: ArrayRef = Arc::new(Int64Array::from(vec![7]));
        let day: ArrayRef = Arc::new(arrow::array::Date32Array::from(vec![19_782]));
        let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
        for (array, from, to) in [
            (&one, Int64, Float64),
            (&one, Int64, Decimal { precision: 21, scale: 2 }),
            (&one, Int64, Text),
            (&one, Int64, Json),
            (&day, Date, Timestamp),
            (&day, Date, Text),
        ] {
            let wider = convert(array, from, to).expect("wider");
            let before = hash(hasher, array.clone(), from);
            assert!(before.is_some());
            assert_eq!(before, hash(hasher, wider, to), "{from} to {to}");
        }
        let double: ArrayRef = Arc::new(Float64Array::from(vec![7.5]));
        assert_ne!(hash(hasher, double, Float64), hash(hasher, one, Int64));
        assert_ne!(hash(hasher, text("007"), Text), hash(hasher, text("7"), Text));
        assert_eq!(hash(hasher, Arc::new(Int64Array::from(vec![None::<i64>])), Int64), None);
    }

    #[test]
    fn contents_are_the_same_whatever_their_order() {
        let one = content(&json!({"a": 1, "b": {"c": [1, {}], "d": null}}), &[]);
        assert_eq!(one, content(&json!({"b": {"c": [1, null]}, "a": 1, "e": []}), &[]));
        assert_ne!(one, content(&json!({"b": {"c": [1]}, "a": 1}), &[]));
        assert_ne!(one, content(&json!({"a": 1, "b": {"c": [null, 1]}}), &[]));
    }
}
