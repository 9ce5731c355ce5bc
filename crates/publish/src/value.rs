//! A caller's text as a value of a column's type.
//!
//! In: a text and a [`ColumnType`]. Out: a [`Value`] that this column can hold, or nothing. The
//! value stays text, is bound as text, and is cast by the statement to the column's own type, so
//! that a comparison is exact: `1.10` finds the decimal 1.1, and no float comes between.
//!
//! What never happens here: a guess. A text that the type cannot hold exactly (a decimal with too
//! many digits, an instant without an offset) is no value of the type.

use chrono::{DateTime, NaiveDate, SecondsFormat, Timelike, Utc};
use restway_model::ColumnType;

/// A value in the form that the column's cast reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) kind: ColumnType,
}

impl Value {
    /// The value that the text means in a column of this type.
    pub(crate) fn of(kind: ColumnType, text: &str) -> Option<Self> {
        let text = match kind {
            ColumnType::Null | ColumnType::Text => text.to_owned(),
            ColumnType::Bool => text.parse::<bool>().ok()?.to_string(),
            ColumnType::Int64 => whole(text)?.to_string(),
            ColumnType::Decimal { precision, scale } => decimal(text, precision, scale)?,
            ColumnType::Float64 => float(text)?,
            ColumnType::Date => day(text)?.format("%Y-%m-%d").to_string(),
            ColumnType::Timestamp => instant(text)?,
            ColumnType::Json => {
                serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
                text.to_owned()
            }
        };
        Some(Self { text, kind })
    }
}

/// How to write a value of the type, for a caller who did not.
pub(crate) fn wanted(kind: ColumnType) -> String {
    match kind {
        ColumnType::Null | ColumnType::Text => "any text".to_owned(),
        ColumnType::Bool => "`true` or `false`".to_owned(),
        ColumnType::Int64 => "a whole number of 64 bits".to_owned(),
        ColumnType::Decimal { precision, scale } => {
            format!("at most {precision} digits, {scale} after the point")
        }
        ColumnType::Float64 => "a number".to_owned(),
        ColumnType::Date => "a day, as in `2024-02-29`".to_owned(),
        ColumnType::Timestamp => "an instant, as in `2024-02-29T12:00:00Z`".to_owned(),
        ColumnType::Json => "the text of a JSON value".to_owned(),
    }
}

/// `i64::from_str` would take a leading `+`, which in a query string was meant as something else.
fn whole(text: &str) -> Option<i64> {
    if text.starts_with('+') { None } else { text.parse().ok() }
}

fn float(text: &str) -> Option<String> {
    let is_written_in_digits =
        text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E'));
    let number: f64 = text.parse().ok().filter(|_| is_written_in_digits)?;
    number.is_finite().then(|| number.to_string())
}

/// Digits with at most `scale` after the point, written with all of them.
fn decimal(text: &str, precision: u8, scale: u8) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(part) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let part = part.trim_end_matches('0');
    let (precision, scale) = (usize::from(precision), usize::from(scale));
    if part.len() > scale || whole.len() > precision.saturating_sub(scale) {
        return None;
    }
    let point = if scale == 0 { "" } else { "." };
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(format!("{sign}{whole}{point}{part:0<scale$}"))
}

/// chrono alone would take `2024-2-9`, which no answer of ours contains.
fn day(text: &str) -> Option<NaiveDate> {
    (text.len() == 10).then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten()
}

/// An instant in microseconds. A day is its midnight: a column of days becomes one of instants
/// when the first instant comes, and a caller's day goes on meaning the same.
fn instant(text: &str) -> Option<String> {
    let instant = match day(text) {
        Some(day) => day.and_hms_opt(0, 0, 0)?.and_utc(),
        None => DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc),
    };
    let is_whole_microseconds = instant.nanosecond().is_multiple_of(1_000);
    is_whole_microseconds.then(|| instant.to_rfc3339_opts(SecondsFormat::Micros, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: ColumnType = ColumnType::Decimal { precision: 6, scale: 2 };

    #[test]
    fn each_type_takes_what_it_can_hold_exactly() {
        for (kind, text, value) in [
            (ColumnType::Bool, "true", "true"),
            (ColumnType::Int64, "-9223372036854775808", "-9223372036854775808"),
            (ColumnType::Int64, "007", "7"),
            (PRICE, "1.1", "1.10"),
            (PRICE, "-0012.500", "-12.50"),
            (PRICE, "9999.99", "9999.99"),
            (PRICE, "0", "0.00"),
            (ColumnType::Decimal { precision: 20, scale: 0 }, "5.0", "5"),
            (ColumnType::Float64, "1e3", "1000"),
            (ColumnType::Date, "2024-02-29", "2024-02-29"),
            (ColumnType::Timestamp, "2024-02-29T12:00:00+02:00", "2024-02-29T10:00:00.000000Z"),
            (ColumnType::Timestamp, "2024-02-29", "2024-02-29T00:00:00.000000Z"),
            (ColumnType::Text, "' or 1=1 --", "' or 1=1 --"),
            (ColumnType::Json, "{\"a\": 1}", "{\"a\": 1}"),
        ] {
            let found = Value::of(kind, text).map(|value| value.text);
            assert_eq!(found.as_deref(), Some(value), "{kind} {text}");
        }
    }

    #[test]
    fn what_a_type_cannot_hold_is_no_value_of_it() {
        for (kind, text) in [
            (ColumnType::Bool, "1"),
            (ColumnType::Bool, "TRUE"),
            (ColumnType::Int64, "9223372036854775808"),
            (ColumnType::Int64, "1.0"),
            (ColumnType::Int64, "+1"),
            (ColumnType::Int64, ""),
            (ColumnType::Int64, "1 or 1=1"),
            (PRICE, "1.005"),
            (PRICE, "10000"),
            (PRICE, "."),
            (PRICE, "1e2"),
            (PRICE, "--1"),
            (ColumnType::Float64, "inf"),
            (ColumnType::Float64, "NaN"),
            (ColumnType::Float64, "1e999"),
            (ColumnType::Date, "2023-02-29"),
            (ColumnType::Date, "2024-2-9"),
            (ColumnType::Timestamp, "2024-02-29T12:00:00"),
            (ColumnType::Timestamp, "2024-02-29T12:00:00.0000001Z"),
            (ColumnType::Json, "{"),
        ] {
            assert_eq!(Value::of(kind, text), None, "{kind} {text}");
        }
    }
}
