//! One value of an item, as it is: no JSON around it, bytes as bytes.
//!
//! In: the JSON text of a value, as a source wrote it. Out: an answer with the value's own media
//! type and the tag of its version; a part of it when that was asked for (RFC 9110, 14). Null is
//! 204: there is nothing to answer. Bytes whose first ones tell an image or a document are of its
//! type, because a browser is told not to look by itself; types that can run in a page are never
//! guessed.
//!
//! What never happens here: a value that is changed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::headers::Headers;
use crate::refusal::Refusal;
use crate::respond::{self, Response};
use crate::source::{Column, Kind};
use crate::write::{Preconditions, tag};

/// What bytes begin with, and what they are then.
const KNOWN: [(&[u8], &str); 7] = [
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"PAR1", "application/vnd.apache.parquet"),
];

/// The answer with the value of a column of a row of a version.
pub(crate) fn answered(
    column: &Column,
    raw: &str,
    version: &str,
    headers: &Headers,
    preconditions: &Preconditions,
) -> Result<Response, Refusal> {
    let value = read(column, raw)?;
    let shown = value.as_ref().map(|(bytes, _)| bytes.as_slice()).unwrap_or_default();
    let tag = tag(version, shown);
    if preconditions.wants_another(version) {
        return Err(Refusal::Precondition { tag: Some(tag) });
    }
    if let Some(known) = preconditions.known(&tag) {
        return Ok(respond::bare(304, vec![("etag", known)]));
    }
    let Some((bytes, media_type)) = value else {
        return Ok(respond::bare(204, vec![("etag", tag)]));
    };
    let part = match headers.get("if-range") {
        Some(wanted) if wanted != tag => None,
        _ => headers.get("range").and_then(|range| Part::read(range, bytes.len())),
    };
    let mut answered = vec![
        ("content-type", media_type.to_owned()),
        ("accept-ranges", "bytes".to_owned()),
        ("etag", tag),
    ];
    match part {
        None => Ok(Response { status: 200, headers: answered, body: bytes, object: None }),
        Some(Part::None) => Err(Refusal::Range { length: bytes.len() }),
        Some(Part::Of(first, last)) => {
            let range = format!("bytes {first}-{last}/{}", bytes.len());
            answered.push(("content-range", range));
            let body = bytes[first..=last].to_vec();
            Ok(Response { status: 206, headers: answered, body, object: None })
        }
    }
}

/// The bytes of a value and their type; none for null.
fn read(column: &Column, raw: &str) -> Result<Option<(Vec<u8>, &'static str)>, Refusal> {
    const TEXT: &str = "text/plain; charset=utf-8";
    if raw == "null" {
        return Ok(None);
    }
    if matches!(column.kind, Kind::Json | Kind::List) {
        return Ok(Some((raw.as_bytes().to_vec(), "application/json")));
    }
    if !raw.starts_with('"') {
        return Ok(Some((raw.as_bytes().to_vec(), TEXT)));
    }
    let unfit = || Refusal::Unfit { reason: format!("a value of `{}` is no JSON", column.name) };
    let text: String = serde_json::from_str(raw).map_err(|_| unfit())?;
    if column.kind != Kind::Bytes {
        return Ok(Some((text.into_bytes(), TEXT)));
    }
    let bytes = STANDARD.decode(text).map_err(|_| unfit())?;
    let known = KNOWN.iter().find(|(start, _)| bytes.starts_with(start));
    let media_type = known.map_or("application/octet-stream", |(_, media_type)| media_type);
    Ok(Some((bytes, media_type)))
}

/// A part of the bytes.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// From one to another, both included.
    Of(usize, usize),
    /// Nothing is there.
    None,
}

impl Part {
    /// Reads one range; of what is more or cannot be read the whole is answered, as RFC 9110, 14.2
    /// has it.
    fn read(range: &str, length: usize) -> Option<Self> {
        let (unit, range) = range.split_once('=')?;
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse().unwrap_or(usize::MAX))
        };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = (first.trim(), last.trim());
        let (first, last) = match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => (first, last),
            (Some(first), None) if last.is_empty() => (first, usize::MAX),
            (None, Some(0)) if first.is_empty() => return Some(Self::None),
            (None, Some(last)) if first.is_empty() => (length.saturating_sub(last), usize::MAX),
            _ => return None,
        };
        Some(match length.checked_sub(1) {
            Some(end) if first <= end => Self::Of(first, last.min(end)),
            _ => Self::None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_rfc() {
        for (range, expected) in [
            ("bytes=0-2", Some(Part::Of(0, 2))),
            ("Bytes= 3- ", Some(Part::Of(3, 9))),
            ("bytes=8-100", Some(Part::Of(8, 9))),
            ("bytes=-3", Some(Part::Of(7, 9))),
            ("bytes=-30", Some(Part::Of(0, 9))),
            ("bytes=10-", Some(Part::None)),
            ("bytes=-0", Some(Part::None)),
            ("bytes=99999999999999999999999-", Some(Part::None)),
            ("bytes=3-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=-", None),
            ("lines=0-1", None),
            ("bytes", None),
        ] {
            assert_eq!(Part::read(range, 10), expected, "{range}");
        }
        assert_eq!(Part::read("bytes=0-", 0), Some(Part::None));
    }
}
