//! PostgreSQL's binary values as JSON.
//!
//! In: the bytes of a value, as its type's send function makes them
//! (https://www.postgresql.org/docs/current/protocol-overview.html), and its kind. Out: JSON. What
//! never happens here: a number that passes through a float which it is not.

use sqlx::postgres::PgTypeInfo;
use sqlx::postgres::types::Oid;

use super::postgres_describe::is_list;
use super::{Column, Kind, json};

/// From 1970-01-01 to 2000-01-01, from which PostgreSQL counts.
const EPOCH_DAYS: i64 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS * 86_400_000_000;
/// Lists in lists at most.
const DIMENSIONS_MAX: usize = 6;

/// Bytes that are no value of their type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a value of PostgreSQL could not be read")]
pub(super) struct Unread;

/// Writes a value of a kind.
pub(super) fn value(out: &mut Vec<u8>, kind: Kind, bytes: &[u8]) -> Result<(), Unread> {
    match kind {
        Kind::Bool => json::boolean(out, bytes.first() == Some(&1)),
        Kind::Int64 => json::digits(out, whole(bytes)?),
        Kind::UInt64 => json::digits(out, u64::from_be_bytes(fixed(bytes)?)),
        Kind::Float32 => json::short_fraction(out, f32::from_be_bytes(fixed(bytes)?)),
        Kind::Float64 => json::fraction(out, f64::from_be_bytes(fixed(bytes)?)),
        Kind::Decimal { .. } | Kind::Number => number(out, bytes)?,
        Kind::Date => day(out, i32::from_be_bytes(fixed(bytes)?)),
        Kind::Time => json::time(out, i64::from_be_bytes(fixed(bytes)?)),
        Kind::DateTime => moment(out, i64::from_be_bytes(fixed(bytes)?), ""),
        Kind::Instant => moment(out, i64::from_be_bytes(fixed(bytes)?), "Z"),
        Kind::Uuid => uuid(out, bytes)?,
        Kind::Json => document(out, bytes),
        Kind::Bytes => json::bytes(out, bytes),
        Kind::List => list(out, bytes)?,
        Kind::Text | Kind::Other | Kind::Null => json::text_bytes(out, bytes),
    }
    Ok(())
}

/// Whether values of a type are what is known of a column.
pub(super) fn fits(column: &Column, found: &PgTypeInfo) -> bool {
    let Some(Oid(number)) = found.oid() else { return false };
    let kind = of_element(number);
    match column.kind {
        Kind::Null => true,
        Kind::Decimal { .. } | Kind::Number => kind == Kind::Number,
        Kind::List => is_list(number),
        // An enumeration, or what is read as its text.
        Kind::Text if !column.choices.is_empty() => matches!(kind, Kind::Text | Kind::Other),
        Kind::Other => matches!(kind, Kind::Text | Kind::Other),
        known => kind == known,
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Unread> {
    bytes.try_into().map_err(|_| Unread)
}

/// `int2`, `int4` or `int8`, by its length.
fn whole(bytes: &[u8]) -> Result<i64, Unread> {
    Ok(match bytes.len() {
        2 => i16::from_be_bytes(fixed(bytes)?).into(),
        4 => i32::from_be_bytes(fixed(bytes)?).into(),
        _ => i64::from_be_bytes(fixed(bytes)?),
    })
}

fn day(out: &mut Vec<u8>, days: i32) {
    match days {
        i32::MAX => json::text(out, "infinity"),
        i32::MIN => json::text(out, "-infinity"),
        days => json::day(out, i64::from(days) + EPOCH_DAYS),
    }
}

fn moment(out: &mut Vec<u8>, micros: i64, ending: &str) {
    match micros {
        i64::MAX => json::text(out, "infinity"),
        i64::MIN => json::text(out, "-infinity"),
        micros => json::moment(out, micros.saturating_add(EPOCH_MICROS), ending),
    }
}

fn uuid(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Unread> {
    let bytes: [u8; 16] = fixed(bytes)?;
    out.push(b'"');
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        for digit in [byte >> 4, byte & 15] {
            out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        }
    }
    out.push(b'"');
    Ok(())
}

/// `json` as it stands, `jsonb` behind its version; both are valid, the database saw to it.
fn document(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes.strip_prefix(&[1]).unwrap_or(bytes));
}

/// `numeric`: groups of four digits, the weight of the first, and how many digits are shown behind
/// the point.
fn number(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Unread> {
    let field = |at: usize| -> Result<[u8; 2], Unread> {
        bytes.get(at..at + 2).ok_or(Unread).and_then(fixed)
    };
    let groups = usize::from(u16::from_be_bytes(field(0)?));
    let weight = i32::from(i16::from_be_bytes(field(2)?));
    let sign = u16::from_be_bytes(field(4)?);
    let shown = usize::from(u16::from_be_bytes(field(6)?));
    match sign {
        0x0000 => {}
        0x4000 => out.push(b'-'),
        0xd000 => return special(out, "Infinity"),
        0xf000 => return special(out, "-Infinity"),
        _ => return special(out, "NaN"),
    }
    let group = |position: i32| -> Result<u16, Unread> {
        match usize::try_from(weight - position) {
            Ok(at) if at < groups => Ok(u16::from_be_bytes(field(8 + at * 2)?)),
            _ => Ok(0),
        }
    };
    if weight < 0 {
        out.push(b'0');
    } else {
        json::digits(out, group(weight)?);
        for position in (0..weight).rev() {
            json::digits(out, format_args!("{:04}", group(position)?));
        }
    }
    if shown > 0 {
        out.push(b'.');
        let end = out.len() + shown;
        let mut position = -1;
        while out.len() < end {
            json::digits(out, format_args!("{:04}", group(position)?));
            position -= 1;
        }
        out.truncate(end);
    }
    Ok(())
}

fn special(out: &mut Vec<u8>, word: &str) -> Result<(), Unread> {
    json::text(out, word);
    Ok(())
}

/// An array: its dimensions, the type of its elements, and the elements in order.
fn list(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Unread> {
    let mut rest = bytes;
    let dimensions = usize::try_from(take(&mut rest)?).map_err(|_| Unread)?;
    let _has_nulls = take(&mut rest)?;
    let element = u32::from_be_bytes(take(&mut rest)?.to_be_bytes());
    if dimensions > DIMENSIONS_MAX {
        return Err(Unread);
    }
    let mut lengths = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        lengths.push(take(&mut rest)?);
        let _lower_bound = take(&mut rest)?;
    }
    if lengths.is_empty() {
        out.extend_from_slice(b"[]");
        return Ok(());
    }
    elements(out, of_element(element), &lengths, &mut rest)
}

fn elements(
    out: &mut Vec<u8>,
    kind: Kind,
    lengths: &[i32],
    rest: &mut &[u8],
) -> Result<(), Unread> {
    let Some((&length, inner)) = lengths.split_first() else {
        let length = take(rest)?;
        let Ok(length) = usize::try_from(length) else {
            json::null(out);
            return Ok(());
        };
        let (bytes, after) = rest.split_at_checked(length).ok_or(Unread)?;
        *rest = after;
        return value(out, kind, bytes);
    };
    out.push(b'[');
    for at in 0..length {
        if at > 0 {
            out.push(b',');
        }
        elements(out, kind, inner, rest)?;
    }
    out.push(b']');
    Ok(())
}

fn take(rest: &mut &[u8]) -> Result<i32, Unread> {
    let (bytes, after) = rest.split_at_checked(4).ok_or(Unread)?;
    *rest = after;
    Ok(i32::from_be_bytes(fixed(bytes)?))
}

/// The kind of a built-in type by its number in `pg_type`; lists of other types are read as text.
pub(super) const fn of_element(oid: u32) -> Kind {
    match oid {
        16 => Kind::Bool,
        17 => Kind::Bytes,
        20 | 21 | 23 => Kind::Int64,
        114 | 3802 => Kind::Json,
        700 => Kind::Float32,
        701 => Kind::Float64,
        1082 => Kind::Date,
        1083 => Kind::Time,
        1114 => Kind::DateTime,
        1184 => Kind::Instant,
        1700 => Kind::Number,
        2950 => Kind::Uuid,
        19 | 25 | 1042 | 1043 => Kind::Text,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(weight: i16, sign: u16, shown: u16, groups: &[u16]) -> String {
        let mut bytes = (groups.len() as u16).to_be_bytes().to_vec();
        bytes.extend(weight.to_be_bytes());
        bytes.extend(sign.to_be_bytes());
        bytes.extend(shown.to_be_bytes());
        bytes.extend(groups.iter().flat_map(|group| group.to_be_bytes()));
        let mut out = Vec::new();
        number(&mut out, &bytes).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_as_they_were() {
        assert_eq!(numeric(0, 0, 2, &[1, 1000]), "1.10");
        assert_eq!(numeric(1, 0x4000, 0, &[12, 3456]), "-123456");
        assert_eq!(numeric(-1, 0, 5, &[12]), "0.00120");
        assert_eq!(numeric(-2, 0, 8, &[1]), "0.00000001");
        assert_eq!(numeric(2, 0, 1, &[1]), "100000000.0");
        assert_eq!(numeric(0, 0, 0, &[]), "0");
        assert_eq!(numeric(0, 0xc000, 0, &[]), "\"NaN\"");
    }

    #[test]
    fn bytes_that_are_no_value_are_an_error() {
        for kind in [Kind::Int64, Kind::Number, Kind::Uuid, Kind::List, Kind::Instant] {
            assert_eq!(value(&mut Vec::new(), kind, &[1, 2, 3]), Err(Unread), "{kind:?}");
        }
    }
}
