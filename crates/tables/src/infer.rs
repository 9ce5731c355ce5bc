//! What a JSON scalar is: the narrowest type that gives it back exactly.
//!
//! In: the text of a number or string. Out: a typed value. Nothing here rounds: a number becomes
//! `float64` only when the shortest text of that double is the same number, otherwise a decimal,
//! otherwise text. Text never becomes a number; it becomes a date or an instant only when it is
//! written exactly as ISO 8601 and RFC 3339 write them.

use std::io::Write;

use restway_model::ColumnType;

/// Digits that a decimal has room for.
const DECIMAL_DIGITS_MAX: i64 = 38;
/// Significant digits that a double always gives back.
const FLOAT_DIGITS_SURE: usize = 15;
/// Significant digits that the shortest text of a double never exceeds.
const FLOAT_DIGITS_MAX: usize = 17;
/// Powers of ten far enough from the ends of a double's range.
const FLOAT_EXPONENT_SURE: i64 = 290;
/// Integers up to here are doubles: 2^53.
pub(crate) const FLOAT_INTEGER_MAX: u64 = 1 << 53;

const MICROS_PER_SECOND: i64 = 1_000_000;
const YEAR_0_MICROS: i64 = -62_167_219_200 * MICROS_PER_SECOND;
const YEAR_10000_MICROS: i64 = 253_402_300_800 * MICROS_PER_SECOND;
pub(crate) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// An exact decimal number: `unscaled` / 10^`scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Decimal {
    pub(crate) unscaled: i128,
    /// Digits in all, at least `scale` and 1.
    pub(crate) precision: u8,
    pub(crate) scale: u8,
}

impl Decimal {
    /// The value for a column of `precision` and `scale`, if it fits without rounding.
    pub(crate) fn rescale(self, precision: u8, scale: u8) -> Option<i128> {
        let added = scale.checked_sub(self.scale)?;
        let fits = self.precision - self.scale <= precision - scale;
        fits.then(|| self.unscaled.checked_mul(10i128.checked_pow(u32::from(added))?)).flatten()
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        let precision = value.unsigned_abs().checked_ilog10().unwrap_or(0) as u8 + 1;
        Self { unscaled: i128::from(value), precision, scale: 0 }
    }
}

/// A JSON number by its exact value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Float(f64),
    Decimal(Decimal),
    /// Exact only as the text it came in.
    Text,
}

/// A JSON string by what is written in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Written {
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    Text,
}

/// Reads a number that the JSON grammar allows.
pub(crate) fn number(text: &str) -> Number {
    let is_whole = !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    if is_whole && let Ok(value) = text.parse::<i64>() {
        return Number::Int(value);
    }
    let digits = Digits::read(text);
    if !is_whole && let Some(value) = exact_float(text, &digits) {
        return Number::Float(value);
    }
    digits.decimal().map_or(Number::Text, Number::Decimal)
}

/// Reads a number as a decimal whatever its narrowest type is; none beyond 38 digits.
pub(crate) fn decimal(text: &str) -> Option<Decimal> {
    Digits::read(text).decimal()
}

/// A number taken apart: ±`significant` · 10^`exponent`, without zeros at either end.
struct Digits<'text> {
    negative: bool,
    /// From the first to the last digit that is not 0, with the point still among them.
    span: &'text str,
    count: usize,
    exponent: i64,
}

impl<'text> Digits<'text> {
    fn read(text: &'text str) -> Self {
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, power) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
        // A power beyond 64 bits is either zero's or out of every range but text's.
        let sign = if power.starts_with('-') { -1 } else { 1 };
        let power = power.trim_start_matches('+').parse::<i64>().unwrap_or(sign * (1 << 40));
        let whole = mantissa.split('.').next().unwrap_or("");
        let span = mantissa.trim_matches(['0', '.']);
        let count = span.bytes().filter(u8::is_ascii_digit).count();
        let end = mantissa.trim_end_matches(['0', '.']).len();
        let behind = end as i64 - whole.len() as i64;
        // Behind the point every digit divides by ten; before it, each zero cut off multiplies.
        let exponent = if behind > 0 { 1 - behind } else { -behind };
        Self { negative, span, count, exponent: exponent + power }
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.span.bytes().filter(u8::is_ascii_digit)
    }

    fn decimal(&self) -> Option<Decimal> {
        if self.count == 0 {
            return Some(Decimal { unscaled: 0, precision: 1, scale: 0 });
        }
        let count = i64::try_from(self.count).ok()?;
        let scale = (-self.exponent).max(0);
        let precision = (count + self.exponent.max(0)).max(scale);
        if precision > DECIMAL_DIGITS_MAX {
            return None;
        }
        let significant = self.digits().fold(0i128, |sum, byte| sum * 10 + i128::from(byte - b'0'));
        let unscaled = significant * 10i128.pow(u32::try_from(self.exponent.max(0)).ok()?);
        Some(Decimal {
            unscaled: if self.negative { -unscaled } else { unscaled },
            precision: u8::try_from(precision).ok()?,
            scale: u8::try_from(scale).ok()?,
        })
    }
}

/// The double, when its shortest text denotes the same number.
fn exact_float(text: &str, digits: &Digits<'_>) -> Option<f64> {
    if digits.count > FLOAT_DIGITS_MAX {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    if digits.count == 0 {
        return Some(value);
    }
    let first = digits.exponent + digits.count as i64;
    if digits.count <= FLOAT_DIGITS_SURE && first.abs() <= FLOAT_EXPONENT_SURE {
        return Some(value);
    }
    let mut buffer = [0u8; 64];
    let mut rest = &mut buffer[..];
    write!(rest, "{value:e}").ok()?;
    let length = 64 - rest.len();
    let shortest = Digits::read(std::str::from_utf8(&buffer[..length]).ok()?);
    let same = shortest.exponent == digits.exponent && shortest.digits().eq(digits.digits());
    (value.is_finite() && same).then_some(value)
}

/// Reads a string; everything that is not exactly a date or an instant is text.
pub(crate) fn written(text: &str) -> Written {
    let bytes = text.as_bytes();
    match bytes.len() {
        10 => date(bytes).map_or(Written::Text, Written::Date),
        20..=32 => timestamp(bytes).map_or(Written::Text, Written::Timestamp),
        _ => Written::Text,
    }
}

fn two(bytes: &[u8], at: usize, max: u32) -> Option<u32> {
    let (tens, ones) = (*bytes.get(at)?, *bytes.get(at + 1)?);
    let both = tens.is_ascii_digit() && ones.is_ascii_digit();
    let value = u32::from(tens.wrapping_sub(b'0')) * 10 + u32::from(ones.wrapping_sub(b'0'));
    (both && value <= max).then_some(value)
}

/// `YYYY-MM-DD` as days since 1970-01-01.
fn date(bytes: &[u8]) -> Option<i32> {
    if *bytes.get(4)? != b'-' || *bytes.get(7)? != b'-' {
        return None;
    }
    let year = two(bytes, 0, 99)? * 100 + two(bytes, 2, 99)?;
    let (month, day) = (two(bytes, 5, 12)?, two(bytes, 8, 31)?);
    let days = [31, 28 + u32::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let days_max = *days.get((month as usize).checked_sub(1)?)?;
    (1..=days_max).contains(&day).then(|| days_since_epoch(year as i32, month as i32, day as i32))
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Days of the proleptic Gregorian calendar; years begin in March so that leap days come last.
fn days_since_epoch(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// `YYYY-MM-DDThh:mm:ss[.f…]Z` or with `±hh:mm`, as microseconds since 1970; more than six digits
/// of a second would be lost and a leap second has no instant, so both stay text.
fn timestamp(bytes: &[u8]) -> Option<i64> {
    let separators = [(10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| bytes.get(*at) != Some(byte)) {
        return None;
    }
    let day = i64::from(date(bytes)?);
    let (hour, minute, second) = (two(bytes, 11, 23)?, two(bytes, 14, 59)?, two(bytes, 17, 59)?);
    let mut at = 19;
    let mut micros = 0i64;
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=6).contains(&digits) {
            return None;
        }
        for byte in &bytes[at..at + digits] {
            micros = micros * 10 + i64::from(byte - b'0');
        }
        micros *= 10i64.pow(6 - digits as u32);
        at += digits;
    }
    let offset_minutes = match bytes.get(at)? {
        b'Z' if bytes.len() == at + 1 => 0,
        sign @ (b'+' | b'-') if bytes.len() == at + 6 && bytes[at + 3] == b':' => {
            let minutes = i64::from(two(bytes, at + 1, 23)? * 60 + two(bytes, at + 4, 59)?);
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    let instant =
        day * MICROS_PER_DAY + (seconds - offset_minutes * 60) * MICROS_PER_SECOND + micros;
    // In UTC it may lie in a year that RFC 3339 has no digits for.
    (YEAR_0_MICROS..YEAR_10000_MICROS).contains(&instant).then_some(instant)
}

/// The type for a column that holds `column` and meets `value`; `wide` when one of its integers
/// is beyond what a double gives back.
pub(crate) fn join(column: ColumnType, value: ColumnType, wide: bool) -> ColumnType {
    use ColumnType::{Float64, Int64, Text};
    match (column, value) {
        (Int64, Float64) | (Float64, Int64) if wide => Text,
        _ => column.widen(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(unscaled: i128, precision: u8, scale: u8) -> Number {
        Number::Decimal(Decimal { unscaled, precision, scale })
    }

    #[test]
    fn numbers_keep_their_exact_value() {
        for (text, expected) in [
            ("0", Number::Int(0)),
            ("-0", Number::Int(0)),
            ("-9223372036854775808", Number::Int(i64::MIN)),
            ("9223372036854775808", exact(9_223_372_036_854_775_808, 19, 0)),
            ("1.5", Number::Float(1.5)),
            ("1.50", Number::Float(1.5)),
            ("100.0", Number::Float(100.0)),
            ("0.0", Number::Float(0.0)),
            ("1e3", Number::Float(1000.0)),
            ("1E+2", Number::Float(100.0)),
            ("3.141592653589793", Number::Float(std::f64::consts::PI)),
            ("3.1415926535897931", exact(31_415_926_535_897_931, 17, 16)),
            (
                "0.1000000000000000055511151231257827",
                exact(1_000_000_000_000_000_055_511_151_231_257_827, 34, 34),
            ),
            ("1e400", Number::Text),
            ("1e-400", Number::Text),
            ("0e999999999999999999999", Number::Float(0.0)),
            ("5e-324", Number::Float(5e-324)),
            ("1.7976931348623157e308", Number::Float(f64::MAX)),
            ("12345678901234567890123456789012345678901", Number::Text),
            ("100000000000000000000", exact(100_000_000_000_000_000_000, 21, 0)),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }

    #[test]
    fn decimals_are_read_without_rounding() {
        for (text, expected) in [
            ("12.340", Some((1234, 4, 2))),
            ("-0.001", Some((-1, 3, 3))),
            ("1200", Some((1200, 4, 0))),
            ("1.2e3", Some((1200, 4, 0))),
            ("1.2e-3", Some((12, 4, 4))),
            ("0", Some((0, 1, 0))),
            ("1e39", None),
        ] {
            let found = decimal(text).map(|d| (d.unscaled, d.precision, d.scale));
            assert_eq!(found, expected, "{text}");
        }
        let money = decimal("12.5").expect("a decimal");
        assert_eq!(money.rescale(4, 2), Some(1250));
        assert_eq!(money.rescale(3, 2), None);
        assert_eq!(decimal("0.125").expect("a decimal").rescale(18, 2), None);
    }

    #[test]
    fn only_strict_dates_and_instants_are_read() {
        for (text, expected) in [
            ("1970-01-01", Written::Date(0)),
            ("2024-02-29", Written::Date(19_782)),
            ("0000-03-01", Written::Date(-719_468)),
            ("2023-02-29", Written::Text),
            ("2023-13-01", Written::Text),
            ("20230101", Written::Text),
            ("1970-01-01T00:00:00Z", Written::Timestamp(0)),
            ("1970-01-01T01:00:00.5+01:00", Written::Timestamp(500_000)),
            ("1969-12-31T23:59:59.999999Z", Written::Timestamp(-1)),
            ("1970-01-01T00:00:00.1234567Z", Written::Text),
            ("1970-01-01T00:00:60Z", Written::Text),
            ("9999-12-31T23:59:59Z", Written::Timestamp(253_402_300_799_000_000)),
            ("9999-12-31T23:59:59-00:01", Written::Text),
            ("1970-01-01T24:00:00Z", Written::Text),
            ("1970-01-01 00:00:00Z", Written::Text),
            ("1970-01-01T00:00:00", Written::Text),
            ("1970-01-01T00:00:00.Z", Written::Text),
            ("1970-01-01T00:00:00+0100", Written::Text),
            ("12", Written::Text),
        ] {
            assert_eq!(written(text), expected, "{text}");
        }
    }

    #[test]
    fn integers_that_a_double_would_round_make_text() {
        use ColumnType::*;
        assert_eq!(join(Int64, Float64, false), Float64);
        assert_eq!(join(Int64, Float64, true), Text);
        assert_eq!(join(Float64, Int64, true), Text);
        assert_eq!(join(Int64, Bool, true), Text);
    }
}
