//! The types of columns, and how they widen.
//!
//! A type only ever widens, so that no value that was landed changes: null < bool; int64 <
//! decimal and float64; date < timestamp; and whatever does not meet below becomes text, or JSON
//! when one side is a list or an object. Text is never turned into a number.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Digits that every decimal column has room for.
pub(crate) const DECIMAL_PRECISION_MAX: u8 = 38;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// Only nulls so far: kept in the table's schema, typed by the first value that comes.
    Null,
    /// `true` and `false`.
    Bool,
    /// Whole numbers that fit 64 bits.
    Int64,
    /// Exact numbers: `precision` digits, `scale` of them after the point.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// Numbers of at most 15 significant digits, which come back as they were written.
    Float64,
    /// A day without a time.
    Date,
    /// An instant, UTC, in microseconds.
    Timestamp,
    /// Any text.
    Text,
    /// The JSON text of a value that has no better column.
    Json,
}

impl ColumnType {
    /// The narrowest type that holds every value of both.
    pub fn widen(self, other: Self) -> Self {
        use ColumnType::{Date, Decimal, Float64, Int64, Json, Null, Text, Timestamp};
        match (self, other) {
            (same, again) if same == again => same,
            (Null, known) | (known, Null) => known,
            (Int64, Decimal { precision, scale }) | (Decimal { precision, scale }, Int64) => {
                decimal(precision.saturating_sub(scale).max(19), scale)
            }
            (Decimal { precision: p, scale: s }, Decimal { precision: q, scale: t }) => {
                decimal((p.saturating_sub(s)).max(q.saturating_sub(t)), s.max(t))
            }
            (Int64, Float64) | (Float64, Int64) => Float64,
            (Date, Timestamp) | (Timestamp, Date) => Timestamp,
            (Json, _) | (_, Json) => Json,
            _ => Text,
        }
    }

    /// Whether every value of `narrower` is also a value of this type.
    pub fn holds(self, narrower: Self) -> bool {
        self.widen(narrower) == self
    }
}

/// A decimal with room for `whole` digits before and `scale` after the point, or text when no
/// decimal is wide enough.
fn decimal(whole: u8, scale: u8) -> ColumnType {
    let precision = whole.saturating_add(scale);
    if precision > DECIMAL_PRECISION_MAX {
        ColumnType::Text
    } else {
        ColumnType::Decimal { precision, scale }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Bool => formatter.write_str("bool"),
            Self::Int64 => formatter.write_str("int64"),
            Self::Decimal { precision, scale } => write!(formatter, "decimal({precision},{scale})"),
            Self::Float64 => formatter.write_str("float64"),
            Self::Date => formatter.write_str("date"),
            Self::Timestamp => formatter.write_str("timestamp"),
            Self::Text => formatter.write_str("text"),
            Self::Json => formatter.write_str("json"),
        }
    }
}

/// A text that names no column type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a column type: use bool, int64, float64, decimal(p,s) with s <= p <= 38, date, \
     timestamp, text or json"
)]
pub struct InvalidColumnType(pub String);

impl FromStr for ColumnType {
    type Err = InvalidColumnType;

    fn from_str(text: &str) -> Result<Self, InvalidColumnType> {
        let invalid = || InvalidColumnType(text.to_owned());
        Ok(match text {
            "bool" => Self::Bool,
            "int64" => Self::Int64,
            "float64" => Self::Float64,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            "text" => Self::Text,
            "json" => Self::Json,
            _ => {
                let inside = text.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')'));
                let (precision, scale) =
                    inside.and_then(|pair| pair.split_once(',')).ok_or_else(invalid)?;
                let precision: u8 = precision.trim().parse().map_err(|_| invalid())?;
                let scale: u8 = scale.trim().parse().map_err(|_| invalid())?;
                if precision == 0 || precision > DECIMAL_PRECISION_MAX || scale > precision {
                    return Err(invalid());
                }
                Self::Decimal { precision, scale }
            }
        })
    }
}

impl Serialize for ColumnType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "null" { Ok(Self::Null) } else { text.parse().map_err(serde::de::Error::custom) }
    }
}

impl schemars::JsonSchema for ColumnType {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ColumnType".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "column_type" })
    }
}

#[cfg(test)]
mod tests {
    use super::ColumnType::{self, *};

    const ALL: [ColumnType; 9] = [
        Null,
        Bool,
        Int64,
        Decimal { precision: 20, scale: 2 },
        Float64,
        Date,
        Timestamp,
        Text,
        Json,
    ];

    #[test]
    fn widening_is_a_join() {
        for a in ALL {
            assert_eq!(a.widen(a), a);
            for b in ALL {
                assert_eq!(a.widen(b), b.widen(a), "{a} {b}");
                assert!(a.widen(b).holds(a), "{a} {b}");
                for c in ALL {
                    assert_eq!(a.widen(b).widen(c), a.widen(b.widen(c)), "{a} {b} {c}");
                }
            }
        }
    }

    #[test]
    fn types_are_written_as_they_are_read() {
        for kind in ALL.into_iter().filter(|kind| *kind != Null) {
            assert_eq!(kind.to_string().parse::<ColumnType>().ok(), Some(kind));
        }
        for bad in ["int", "decimal(39,0)", "decimal(2,3)", "decimal(0,0)", "decimal(1)", ""] {
            assert!(bad.parse::<ColumnType>().is_err(), "{bad}");
        }
    }
}
