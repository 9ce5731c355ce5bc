//! Values as JSON text, written straight into a buffer.
//!
//! In: numbers, texts, bytes and moments as the databases' drivers give them. Out: the JSON of
//! each, behind what the buffer has. What never happens here: a value that is not exact, or an
//! allocation for a value.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const DAY_MICROS: i64 = 86_400_000_000;

/// A text, quoted and escaped as RFC 8259 wants it.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(out, text);
    out.push(b'"');
}

fn escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[start..at]);
        start = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => written(out, format_args!("\\u{byte:04x}")),
        }
    }
    out.extend_from_slice(&bytes[start..]);
}

/// A text as a database sent it; bytes that are no UTF-8 become the replacement character.
pub(crate) fn text_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(found) => text(out, found),
        Err(_) => text(out, &String::from_utf8_lossy(bytes)),
    }
}

/// Text that is JSON already, as it stands; quoted when it is not.
pub(crate) fn verbatim(out: &mut Vec<u8>, found: &str) {
    if serde_json::from_str::<serde::de::IgnoredAny>(found).is_ok() {
        out.extend_from_slice(found.as_bytes());
    } else {
        text(out, found);
    }
}

pub(crate) fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

pub(crate) fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"null");
}

/// A whole number or another thing that writes itself in digits.
pub(crate) fn digits(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    written(out, format_args!("{value}"));
}

/// A fraction, with as few digits as give it back; what JSON has no number for is a text.
pub(crate) fn fraction(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        let done = serde_json::to_writer(&mut *out, &value);
        done.expect("a vector takes all that is written");
    } else {
        infinite(out, value);
    }
}

/// The same of 32 bits.
pub(crate) fn short_fraction(out: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        let done = serde_json::to_writer(&mut *out, &value);
        done.expect("a vector takes all that is written");
    } else {
        infinite(out, value.into());
    }
}

fn infinite(out: &mut Vec<u8>, value: f64) {
    let word = if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    text(out, word);
}

/// Bytes in base64 (RFC 4648), quoted.
pub(crate) fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + value.len().div_ceil(3) * 4, 0);
    let length = STANDARD.encode_slice(value, &mut out[start..]).expect("there is room for it");
    out.truncate(start + length);
    out.push(b'"');
}

/// A day, by its number from 1970-01-01.
pub(crate) fn day(out: &mut Vec<u8>, days: i64) {
    out.push(b'"');
    bare_day(out, days);
    out.push(b'"');
}

/// A day and a time, by microseconds from 1970-01-01; `ending` is `Z` for an instant.
pub(crate) fn moment(out: &mut Vec<u8>, micros: i64, ending: &str) {
    out.push(b'"');
    bare_day(out, micros.div_euclid(DAY_MICROS));
    out.push(b'T');
    bare_time(out, micros.rem_euclid(DAY_MICROS));
    out.extend_from_slice(ending.as_bytes());
    out.push(b'"');
}

/// A time of a day, by its microseconds.
pub(crate) fn time(out: &mut Vec<u8>, micros: i64) {
    out.push(b'"');
    if micros < 0 {
        out.push(b'-');
    }
    bare_time(out, micros.saturating_abs());
    out.push(b'"');
}

fn bare_time(out: &mut Vec<u8>, micros: i64) {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    written(out, format_args!("{hours:02}:{minutes:02}:{seconds:02}"));
    if fraction > 0 {
        written(out, format_args!(".{fraction:06}"));
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// The proleptic Gregorian day, by the algorithm of years that begin in March.
fn bare_day(out: &mut Vec<u8>, days: i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    written(out, format_args!("{year:04}-{month:02}-{day:02}"));
}

fn written(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("a vector takes all that is written");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_exact_and_valid() {
        assert_eq!(of(|out| text(out, "a\"b\\\n\u{1}é")), r#""a\"b\\\n\u0001é""#);
        assert_eq!(of(|out| fraction(out, 1e300)), "1e+300");
        assert_eq!(of(|out| fraction(out, 0.1)), "0.1");
        assert_eq!(of(|out| short_fraction(out, 0.1)), "0.1");
        assert_eq!(of(|out| fraction(out, f64::NAN)), "\"NaN\"");
        assert_eq!(of(|out| bytes(out, b"\x00\xff!")), "\"AP8h\"");
        assert_eq!(of(|out| verbatim(out, "{\"a\": 1.10}")), "{\"a\": 1.10}");
        assert_eq!(of(|out| verbatim(out, "{a}")), "\"{a}\"");
        assert_eq!(of(|out| moment(out, 0, "Z")), "\"1970-01-01T00:00:00Z\"");
        assert_eq!(of(|out| moment(out, -1, "")), "\"1969-12-31T23:59:59.999999\"");
        assert_eq!(of(|out| time(out, 3_661_500_000)), "\"01:01:01.5\"");
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for number in (-800_000..800_000).step_by(97) {
            let day = chrono::DateTime::from_timestamp(i64::from(number) * 86_400, 0).unwrap();
            if (0..=9999).contains(&chrono::Datelike::year(&day)) {
                let expected = day.format("\"%Y-%m-%d\"").to_string();
                assert_eq!(of(|out| super::day(out, number.into())), expected);
            }
        }
    }
}
