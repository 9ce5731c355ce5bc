//! A caller's text as a value of a column's type.
//!
//! In: a text and a [`Kind`]. Out: a [`Value`] that this column can hold, or nothing. The
//! value stays text, is bound as text, and is cast by the statement to the column's own type, so
//! that a comparison is exact: `1.10` finds the decimal 1.1, and no float comes between.
//!
//! What never happens here: a guess. A text that the type cannot hold exactly (a decimal with too
//! many digits, an instant without an offset) is no value of the type.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{
    DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Timelike, Utc,
};

use crate::source::Kind;

/// A value in the form that the column's cast reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    pub(crate) text: String,
    pub(crate) kind: Kind,
}

impl Value {
    /// The value that the text means in a column of this kind.
    pub fn of(kind: Kind, text: &str) -> Option<Self> {
        let text = match kind {
            // No database's text has the character NUL.
            Kind::Null | Kind::Text | Kind::Other if text.contains('\0') => return None,
            Kind::Null | Kind::Text | Kind::Other => text.to_owned(),
            Kind::Bool => text.parse::<bool>().ok()?.to_string(),
            Kind::Int64 => whole::<i64>(text)?.to_string(),
            Kind::UInt64 => whole::<u64>(text)?.to_string(),
            Kind::Decimal { precision, scale } => decimal(text, precision.into(), scale.into())?,
            Kind::Number => number(text)?,
            Kind::Float32 => short_float(text)?,
            Kind::Float64 => float(text)?.to_string(),
            Kind::Date => day(text)?.format("%Y-%m-%d").to_string(),
            Kind::Time => time(text)?,
            Kind::DateTime => datetime(text)?,
            Kind::Instant => instant(text)?,
            Kind::Uuid => uuid(text)?,
            Kind::Json => {
                serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
                text.to_owned()
            }
            Kind::Bytes => STANDARD.encode(STANDARD.decode(text).ok()?),
            Kind::List => return None,
        };
        Some(Self { text, kind })
    }

    /// The text of the value.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// How to write a value of the kind, for a caller who did not.
pub(crate) fn wanted(kind: Kind) -> String {
    match kind {
        Kind::Null | Kind::Text | Kind::Other => "any text without the character NUL".to_owned(),
        Kind::Bool => "`true` or `false`".to_owned(),
        Kind::Int64 => "a whole number of 64 bits".to_owned(),
        Kind::UInt64 => "a whole number from 0 of 64 bits".to_owned(),
        Kind::Decimal { precision, scale } => {
            format!("at most {precision} digits, {scale} after the point")
        }
        Kind::Number => "a number in digits".to_owned(),
        Kind::Float32 | Kind::Float64 => "a number".to_owned(),
        Kind::Date => "a day, as in `2024-02-29`".to_owned(),
        Kind::Time => "a time, as in `12:00:00`".to_owned(),
        Kind::DateTime => "a day and a time, as in `2024-02-29T12:00:00`".to_owned(),
        Kind::Instant => "an instant, as in `2024-02-29T12:00:00Z`".to_owned(),
        Kind::Uuid => "an identifier, as in `b603b276-a9bf-4328-88ff-8994176c38d1`".to_owned(),
        Kind::Json => "the text of a JSON value".to_owned(),
        Kind::Bytes => "bytes in base64".to_owned(),
        Kind::List => "another field: a list equals no value".to_owned(),
    }
}

/// `i64::from_str` would take a leading `+`, which in a query string was meant as something else.
fn whole<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text.starts_with('+') { None } else { text.parse().ok() }
}

fn float(text: &str) -> Option<f64> {
    let is_written_in_digits =
        text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E'));
    let number: f64 = text.parse().ok().filter(|_| is_written_in_digits)?;
    number.is_finite().then_some(number)
}

/// The nearest of 32 bits.
fn short_float(text: &str) -> Option<String> {
    float(text)?;
    let number: f32 = text.parse().ok()?;
    number.is_finite().then(|| number.to_string())
}

/// Digits with at most `scale` after the point, written with all of them.
fn decimal(text: &str, precision: usize, scale: usize) -> Option<String> {
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
    if part.len() > scale || whole.len() > precision.saturating_sub(scale) {
        return None;
    }
    let point = if scale == 0 { "" } else { "." };
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(format!("{sign}{whole}{point}{part:0<scale$}"))
}

/// Digits as they are, with at most one point among them.
fn number(text: &str) -> Option<String> {
    let point = text.find('.').map_or(0, |at| text.len() - at - 1);
    decimal(text, text.len(), point)
}

/// Hours, minutes and seconds of a day, with a fraction down to microseconds.
fn time(text: &str) -> Option<String> {
    let time = NaiveTime::parse_from_str(text, "%H:%M:%S%.f").ok()?;
    let is_exact = text.as_bytes().get(2) == Some(&b':') && is_micros(&time);
    is_exact.then(|| time.format("%H:%M:%S%.6f").to_string())
}

/// A day and a time without an offset; a day is its midnight.
fn datetime(text: &str) -> Option<String> {
    let moment = match day(text) {
        Some(day) => day.and_hms_opt(0, 0, 0)?,
        None => {
            day(text.get(..10)?)?;
            NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?
        }
    };
    is_micros(&moment).then(|| moment.format("%Y-%m-%dT%H:%M:%S%.6f").to_string())
}

/// Down to microseconds, and no leap second, which each database takes for something else.
fn is_micros(moment: &impl Timelike) -> bool {
    moment.nanosecond() < 1_000_000_000 && moment.nanosecond().is_multiple_of(1_000)
}

/// The form of RFC 9562, in any case.
fn uuid(text: &str) -> Option<String> {
    let is_fit = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let is_uuid = text.len() == 36 && text.bytes().enumerate().all(is_fit);
    is_uuid.then(|| text.to_ascii_lowercase())
}

/// chrono alone would take `2024-2-9`, which no answer of ours contains, and the year 0, which no
/// calendar has.
fn day(text: &str) -> Option<NaiveDate> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (text.len() == 10 && is_of_calendar(&day)).then_some(day)
}

fn is_of_calendar(day: &impl Datelike) -> bool {
    (1..=9_999).contains(&day.year())
}

/// An instant in microseconds. A day is its midnight: a column of days becomes one of instants
/// when the first instant comes, and a caller's day goes on meaning the same.
fn instant(text: &str) -> Option<String> {
    let instant = match day(text) {
        Some(day) => day.and_hms_opt(0, 0, 0)?.and_utc(),
        None => DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc),
    };
    let is_exact = is_micros(&instant) && is_of_calendar(&instant);
    is_exact.then(|| instant.to_rfc3339_opts(SecondsFormat::Micros, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Kind = Kind::Decimal { precision: 6, scale: 2 };

    #[test]
    fn each_type_takes_what_it_can_hold_exactly() {
        for (kind, text, value) in [
            (Kind::Bool, "true", "true"),
            (Kind::Int64, "-9223372036854775808", "-9223372036854775808"),
            (Kind::Int64, "007", "7"),
            (PRICE, "1.1", "1.10"),
            (PRICE, "-0012.500", "-12.50"),
            (PRICE, "9999.99", "9999.99"),
            (PRICE, "0", "0.00"),
            (Kind::Decimal { precision: 20, scale: 0 }, "5.0", "5"),
            (Kind::Float64, "1e3", "1000"),
            (Kind::Float32, "0.1", "0.1"),
            (Kind::Float32, "1e-60", "0"),
            (Kind::Date, "2024-02-29", "2024-02-29"),
            (Kind::Instant, "2024-02-29T12:00:00+02:00", "2024-02-29T10:00:00.000000Z"),
            (Kind::Instant, "2024-02-29", "2024-02-29T00:00:00.000000Z"),
            (Kind::UInt64, "18446744073709551615", "18446744073709551615"),
            (Kind::Number, "001.500", "1.500"),
            (Kind::Time, "12:00:00.5", "12:00:00.500000"),
            (Kind::DateTime, "2024-02-29T12:00:00", "2024-02-29T12:00:00.000000"),
            (
                Kind::Uuid,
                "B603B276-A9BF-4328-88FF-8994176C38D1",
                "b603b276-a9bf-4328-88ff-8994176c38d1",
            ),
            (Kind::Bytes, "AP8h", "AP8h"),
            (Kind::Text, "' or 1=1 --", "' or 1=1 --"),
            (Kind::Json, "{\"a\": 1}", "{\"a\": 1}"),
        ] {
            let found = Value::of(kind, text).map(|value| value.text);
            assert_eq!(found.as_deref(), Some(value), "{kind:?} {text}");
        }
    }

    #[test]
    fn what_a_type_cannot_hold_is_no_value_of_it() {
        for (kind, text) in [
            (Kind::Bool, "1"),
            (Kind::Bool, "TRUE"),
            (Kind::Int64, "9223372036854775808"),
            (Kind::Int64, "1.0"),
            (Kind::Int64, "+1"),
            (Kind::Int64, ""),
            (Kind::Int64, "1 or 1=1"),
            (PRICE, "1.005"),
            (PRICE, "10000"),
            (PRICE, "."),
            (PRICE, "1e2"),
            (PRICE, "--1"),
            (Kind::Float64, "inf"),
            (Kind::Float64, "NaN"),
            (Kind::Float64, "1e999"),
            (Kind::Float32, "1e39"),
            (Kind::Date, "0000-01-01"),
            (Kind::DateTime, "0000-01-01T00:00:00"),
            (Kind::Instant, "0001-01-01T00:00:00+01:00"),
            (Kind::Instant, "9999-12-31T23:59:59-01:00"),
            (Kind::Time, "23:59:60"),
            (Kind::Date, "2023-02-29"),
            (Kind::Date, "2024-2-9"),
            (Kind::Instant, "2024-02-29T12:00:00"),
            (Kind::Instant, "2024-02-29T12:00:00.0000001Z"),
            (Kind::UInt64, "-1"),
            (Kind::Number, "1e5"),
            (Kind::Time, "12:00"),
            (Kind::Time, "24:00:00"),
            (Kind::DateTime, "2024-02-29T12:00:00Z"),
            (Kind::DateTime, "2024-2-29T12:00:00"),
            (Kind::Uuid, "b603b276a9bf432888ff8994176c38d1"),
            (Kind::Bytes, "AP8"),
            (Kind::List, "[]"),
            (Kind::Text, "a\0b"),
            (Kind::Json, "{"),
        ] {
            assert_eq!(Value::of(kind, text), None, "{kind:?} {text}");
        }
    }
}
