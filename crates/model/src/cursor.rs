//! Cursors: how far a resource was read, as a value that can be compared, kept and sent.
//!
//! In: the value that a record has, or the one that was kept. Out: an instant, a date, a number or
//! a text, and whatever form the api wants it in. What a value is, its format says, and not its
//! looks: `1700000000` is an instant where the definition says `epoch_s`, a number where it says
//! `int`. A value that does not fit the format is none, and whoever asked counts it.
//!
//! Instants are UTC; a date-time without an offset is taken for UTC. A date is before an instant
//! when its day is, so that a day that is not over is never behind.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, DurationRound, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Digits behind the point of a number that is compared.
const FRACTION_DIGITS: u32 = 9;

/// How far a resource was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// An instant.
    Instant(DateTime<Utc>),
    /// A day.
    Date(NaiveDate),
    /// A number in billionths, with at most nine digits behind the point.
    Number(i128),
    /// A text, in the order of its bytes.
    Text(String),
}

/// How a cursor is read from a record and written into a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CursorFormat {
    /// `2026-01-31T12:00:00Z` (RFC 3339).
    #[default]
    Rfc3339,
    /// `2026-01-31`.
    Date,
    /// Seconds since 1970.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
    /// A number that is no time.
    Int,
    /// A text that is no time.
    Text,
    /// A time by a pattern, as `%Y%m%d %H:%M`.
    Pattern(String),
}

/// A text that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no format: write rfc3339, date, epoch_s, epoch_ms, int, text or a pattern as `%Y-%m-%d`"
)]
pub struct InvalidFormat(String);

impl FromStr for CursorFormat {
    type Err = InvalidFormat;

    fn from_str(text: &str) -> Result<Self, InvalidFormat> {
        Ok(match text {
            "rfc3339" => Self::Rfc3339,
            "date" => Self::Date,
            "epoch_s" => Self::EpochSeconds,
            "epoch_ms" => Self::EpochMillis,
            "int" => Self::Int,
            "text" => Self::Text,
            pattern if pattern.contains('%') => {
                if StrftimeItems::new(pattern).any(|item| item == Item::Error) {
                    return Err(InvalidFormat(text.to_owned()));
                }
                Self::Pattern(pattern.to_owned())
            }
            _ => return Err(InvalidFormat(text.to_owned())),
        })
    }
}

impl CursorFormat {
    /// Whether the cursor is a time, which can be moved and cut into windows.
    pub const fn is_time(&self) -> bool {
        !matches!(self, Self::Int | Self::Text)
    }

    /// The cursor in a record's JSON; none for null and for what does not fit.
    pub fn read_json(&self, json: &str) -> Option<Cursor> {
        if !json.starts_with('"') {
            let is_number = json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
            return is_number.then(|| self.read_number(json)).flatten();
        }
        let text: Cow<'_, str> = serde_json::from_str::<String>(json).ok()?.into();
        self.read(&text)
    }

    /// The cursor in a text, also in the one that [`Cursor`] prints.
    pub fn read(&self, text: &str) -> Option<Cursor> {
        match self {
            Self::Text => Some(Cursor::Text(text.to_owned())),
            Self::Int => number(text).map(Cursor::Number),
            Self::EpochSeconds | Self::EpochMillis => self.read_number(text).or_else(|| time(text)),
            Self::Rfc3339 | Self::Date => time(text),
            Self::Pattern(pattern) => by_pattern(text, pattern).or_else(|| time(text)),
        }
    }

    fn read_number(&self, text: &str) -> Option<Cursor> {
        let number = number(text)?;
        let billionths_per_nanosecond = match self {
            Self::Int => return Some(Cursor::Number(number)),
            Self::Text => return Some(Cursor::Text(text.to_owned())),
            Self::EpochSeconds => 1,
            Self::EpochMillis => 1_000,
            _ => return None,
        };
        let nanos = i64::try_from(number / billionths_per_nanosecond).ok()?;
        Some(Cursor::Instant(DateTime::from_timestamp_nanos(nanos)))
    }

    /// The cursor as the api wants it.
    pub fn write(&self, cursor: &Cursor) -> Value {
        let instant = match cursor {
            Cursor::Number(_) => {
                let text = cursor.to_string();
                return serde_json::from_str(&text).unwrap_or(Value::String(text));
            }
            Cursor::Text(text) => return Value::String(text.clone()),
            Cursor::Date(date) => date.and_time(NaiveTime::MIN).and_utc(),
            Cursor::Instant(instant) => *instant,
        };
        match self {
            Self::EpochSeconds => Value::from(instant.timestamp()),
            Self::EpochMillis => Value::from(instant.timestamp_millis()),
            Self::Date => Value::String(instant.date_naive().to_string()),
            Self::Pattern(pattern) => Value::String(instant.format(pattern).to_string()),
            _ => Value::String(rfc3339(instant)),
        }
    }

    /// The instant cut to what the format can say, so that what is sent is what is meant.
    pub fn cut(&self, instant: DateTime<Utc>) -> DateTime<Utc> {
        let grain = match self {
            Self::Date => TimeDelta::days(1),
            Self::EpochMillis => TimeDelta::milliseconds(1),
            Self::Pattern(pattern) => {
                let has = |marks: &[&str]| marks.iter().any(|mark| pattern.contains(mark));
                match () {
                    () if has(&["%S", "%T", "%s", "%X", "%+", "%c", "%r"]) => TimeDelta::seconds(1),
                    () if has(&["%M", "%R"]) => TimeDelta::minutes(1),
                    () if has(&["%H", "%I", "%k", "%l"]) => TimeDelta::hours(1),
                    () => TimeDelta::days(1),
                }
            }
            _ => TimeDelta::seconds(1),
        };
        instant.duration_trunc(grain).unwrap_or(instant)
    }
}

impl Cursor {
    /// Whether it lies before the other; cursors of two kinds do not.
    pub fn is_before(&self, other: &Cursor) -> bool {
        match (self, other) {
            (Self::Instant(one), Self::Instant(two)) => one < two,
            (Self::Number(one), Self::Number(two)) => one < two,
            (Self::Text(one), Self::Text(two)) => one < two,
            _ => self.day().zip(other.day()).is_some_and(|(one, two)| one < two),
        }
    }

    fn day(&self) -> Option<NaiveDate> {
        match self {
            Self::Instant(instant) => Some(instant.date_naive()),
            Self::Date(date) => Some(*date),
            Self::Number(_) | Self::Text(_) => None,
        }
    }

    /// The instant, or the start of the day.
    pub fn instant(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Instant(instant) => Some(*instant),
            _ => self.day().map(|day| day.and_time(NaiveTime::MIN).and_utc()),
        }
    }

    /// The cursor so much earlier; one that is no time stays.
    #[must_use]
    pub fn earlier(self, span: Duration) -> Self {
        let moved = |instant: DateTime<Utc>| {
            let span = TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX);
            instant.checked_sub_signed(span).unwrap_or(DateTime::<Utc>::MIN_UTC)
        };
        match self {
            Self::Instant(instant) => Self::Instant(moved(instant)),
            Self::Date(date) => {
                Self::Date(moved(date.and_time(NaiveTime::MIN).and_utc()).date_naive())
            }
            other => other,
        }
    }
}

/// As it is kept; every format of its kind reads it back.
impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instant(instant) => formatter.write_str(&rfc3339(*instant)),
            Self::Date(date) => date.fmt(formatter),
            Self::Text(text) => formatter.write_str(text),
            Self::Number(number) => {
                let one = 10_u128.pow(FRACTION_DIGITS);
                let sign = if *number < 0 { "-" } else { "" };
                let size = number.unsigned_abs();
                let fraction = format!("{:09}", size % one);
                let fraction = fraction.trim_end_matches('0');
                let point = if fraction.is_empty() { "" } else { "." };
                write!(formatter, "{sign}{}{point}{fraction}", size / one)
            }
        }
    }
}

fn rfc3339(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

fn time(text: &str) -> Option<Cursor> {
    const NAIVE: [&str; 2] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    let text = text.trim();
    let zoned = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"));
    if let Ok(instant) = zoned {
        return Some(Cursor::Instant(instant.to_utc()));
    }
    if let Ok(date) = text.parse() {
        return Some(Cursor::Date(date));
    }
    let naive = |pattern| NaiveDateTime::parse_from_str(text, pattern).ok();
    NAIVE.into_iter().find_map(naive).map(|time| Cursor::Instant(time.and_utc()))
}

fn by_pattern(text: &str, pattern: &str) -> Option<Cursor> {
    if let Ok(instant) = DateTime::parse_from_str(text, pattern) {
        return Some(Cursor::Instant(instant.to_utc()));
    }
    if let Ok(time) = NaiveDateTime::parse_from_str(text, pattern) {
        return Some(Cursor::Instant(time.and_utc()));
    }
    NaiveDate::parse_from_str(text, pattern).ok().map(Cursor::Date)
}

/// A decimal number in billionths; none with an exponent or with more digits behind the point.
fn number(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    if digits.is_empty() || !is_plain(digits) || !is_plain(fraction) {
        return None;
    }
    let fraction_digits = u32::try_from(fraction.len()).ok()?;
    let missing = FRACTION_DIGITS.checked_sub(fraction_digits)?;
    let written: i128 = format!("{whole}{fraction}").parse().ok()?;
    written.checked_mul(10_i128.pow(missing))
}

impl fmt::Display for CursorFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Rfc3339 => "rfc3339",
            Self::Date => "date",
            Self::EpochSeconds => "epoch_s",
            Self::EpochMillis => "epoch_ms",
            Self::Int => "int",
            Self::Text => "text",
            Self::Pattern(pattern) => pattern,
        })
    }
}

impl Serialize for CursorFormat {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CursorFormat {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for CursorFormat {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CursorFormat".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "cursor_format" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(text: &str) -> CursorFormat {
        text.parse().expect(text)
    }

    #[test]
    fn values_are_read_as_the_format_says_and_written_as_the_api_wants_them() {
        let table = [
            ("rfc3339", "\"2026-01-31T12:00:00.5+02:00\"", "\"2026-01-31T10:00:00.500Z\""),
            ("rfc3339", "\"2026-01-31 12:00:00\"", "\"2026-01-31T12:00:00Z\""),
            ("rfc3339", "\"2026-01-31T12:00:00.000+0200\"", "\"2026-01-31T10:00:00Z\""),
            ("rfc3339", "\"2026-01-31\"", "\"2026-01-31T00:00:00Z\""),
            ("date", "\"2026-01-31T23:59:59Z\"", "\"2026-01-31\""),
            ("epoch_s", "1700000000.25", "1700000000"),
            ("epoch_ms", "\"1700000000250\"", "1700000000250"),
            ("epoch_s", "\"2023-11-14T22:13:20Z\"", "1700000000"),
            ("%d/%m/%Y", "\"31/01/2026\"", "\"31/01/2026\""),
            ("int", "9007199254740993", "9007199254740993"),
            ("int", "\"10\"", "10"),
            ("text", "\"a\\\"b\"", "\"a\\\"b\""),
        ];
        for (name, json, sent) in table {
            let format = format(name);
            let cursor = format.read_json(json).unwrap_or_else(|| panic!("{name} {json}"));
            assert_eq!(format.write(&cursor).to_string(), sent, "{name} {json}");
            assert_eq!(format.read(&cursor.to_string()), Some(cursor), "{name} {json}");
        }
        for (name, json) in [
            ("rfc3339", "1700000000"),
            ("rfc3339", "\"soon\""),
            ("rfc3339", "null"),
            ("int", "\"ten\""),
            ("int", "1e9"),
            ("date", "{}"),
        ] {
            assert_eq!(format(name).read_json(json), None, "{name} {json}");
        }
    }

    #[test]
    fn order_is_that_of_the_kind() {
        let before = |name: &str, one: &str, two: &str| {
            let read = |text| format(name).read(text).expect(text);
            read(one).is_before(&read(two))
        };
        assert!(before("int", "9", "10") && !before("text", "9", "10"));
        assert!(before("rfc3339", "2026-01-01T01:00:00+02:00", "2026-01-01T00:00:00Z"));
        // A day that is not over is not behind.
        assert!(!before("rfc3339", "2026-01-01", "2026-01-01T10:00:00Z"));
        assert!(before("rfc3339", "2026-01-01", "2026-01-02T10:00:00Z"));
    }

    #[test]
    fn bounds_are_cut_to_what_can_be_sent() {
        let instant: DateTime<Utc> = "2026-01-31T12:34:56.789Z".parse().expect("an instant");
        let cut = |name: &str| rfc3339(format(name).cut(instant));
        assert_eq!(cut("rfc3339"), "2026-01-31T12:34:56Z");
        assert_eq!(cut("date"), "2026-01-31T00:00:00Z");
        assert_eq!(cut("epoch_ms"), "2026-01-31T12:34:56.789Z");
        assert_eq!(cut("%Y%m%d%H%M"), "2026-01-31T12:34:00Z");
        assert!("%Q".parse::<CursorFormat>().is_err() && "iso".parse::<CursorFormat>().is_err());
    }
}
