//! The forms of an answer: an envelope, or rows that stream.
//!
//! In: what a caller accepts, and rows as JSON text. Out: a [`Form`], and the rows in it. Rows of
//! NDJSON are the source's own text, each in one line, and behind the last comes a line
//! `{"$end":true,"count":n}`, by which a caller tells a whole answer from one that was cut. In CSV
//! (RFC 4180) null is an empty field and the empty text `""`; JSON within is JSON. Arrow and
//! Parquet are written by the room that knows them, from the same text, each value in its column's
//! own type.
//!
//! What never happens here: a value that is parsed and printed again.

use crate::headers::Headers;
use crate::source::{Column, values};

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One page as an envelope.
    Envelope,
    /// An object a line.
    Ndjson,
    /// A table with a header.
    Csv,
    /// A stream of Arrow's batches.
    Arrow,
    /// A Parquet file.
    Parquet,
}

/// What `$format` may be.
pub(crate) const FORMATS: [&str; 5] = ["json", "ndjson", "csv", "arrow", "parquet"];

impl Form {
    /// Those without an envelope.
    pub(crate) const STREAMS: [Self; 4] = [Self::Ndjson, Self::Csv, Self::Arrow, Self::Parquet];

    /// By the word of `$format`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Envelope),
            "ndjson" => Some(Self::Ndjson),
            "csv" => Some(Self::Csv),
            "arrow" => Some(Self::Arrow),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// What the caller likes best of what there is (RFC 9110, 12.5.1); the envelope for callers who
    /// like nothing of it, because those of App Builder say anything.
    pub(crate) fn accepted(headers: &Headers) -> Self {
        let mut best = (Self::Envelope, 0);
        for range in headers.all("accept").flat_map(|line| line.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let form = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/json" | "application/*" | "*/*" => Self::Envelope,
                "application/x-ndjson" | "application/jsonl" => Self::Ndjson,
                "text/csv" => Self::Csv,
                "application/vnd.apache.arrow.stream" => Self::Arrow,
                "application/vnd.apache.parquet" => Self::Parquet,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(1_000, thousandths);
            if quality > best.1 {
                best = (form, quality);
            }
        }
        best.0
    }

    /// The media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Envelope => "application/json; charset=utf-8",
            Self::Ndjson => "application/x-ndjson; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// What stands before the rows.
    pub(crate) fn head(self, columns: &[&Column]) -> Vec<u8> {
        let mut out = Vec::new();
        if self == Self::Csv {
            for (at, column) in columns.iter().enumerate() {
                out.extend_from_slice(if at > 0 { b"," } else { b"" });
                field(&mut out, &column.name);
            }
            out.extend_from_slice(b"\r\n");
        }
        out
    }

    /// Turns the row that begins at `start` of the buffer, a JSON object, into one of this form.
    pub(crate) fn row(self, buffer: &mut Vec<u8>, start: usize) {
        if self != Self::Csv {
            // JSON that was stored may have lines, between its tokens alone: texts have none.
            let row = buffer.get_mut(start..).unwrap_or_default();
            row.iter_mut()
                .filter(|byte| matches!(byte, b'\n' | b'\r'))
                .for_each(|byte| *byte = b' ');
            buffer.push(b'\n');
            return;
        }
        let row = buffer.split_off(start);
        let row = String::from_utf8_lossy(&row);
        for (at, value) in values(&row).enumerate() {
            buffer.extend_from_slice(if at > 0 { b"," } else { b"" });
            cell(buffer, value);
        }
        buffer.extend_from_slice(b"\r\n");
    }

    /// What stands behind so many rows.
    pub(crate) fn end(self, rows: u64) -> Vec<u8> {
        match self {
            Self::Ndjson => format!("{{\"$end\":true,\"count\":{rows}}}\n").into_bytes(),
            Self::Envelope | Self::Csv | Self::Arrow | Self::Parquet => Vec::new(),
        }
    }
}

/// A quality as a whole number; one that cannot be read is none.
fn thousandths(text: &str) -> u32 {
    let quality = text.trim().parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1,000")]
    let thousandths = (quality * 1_000.0).round() as u32;
    thousandths
}

fn cell(out: &mut Vec<u8>, value: &str) {
    if value == "null" {
        return;
    }
    if !value.starts_with('"') {
        return field(out, value);
    }
    match serde_json::from_str::<String>(value) {
        Ok(text) => field(out, &text),
        Err(_) => field(out, value),
    }
}

fn field(out: &mut Vec<u8>, text: &str) {
    let needs_quotes = text.is_empty() || text.contains(['"', ',', '\r', '\n']);
    if !needs_quotes {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_the_caller_likes_best() {
        for (accept, expected) in [
            ("", Form::Envelope),
            ("*/*", Form::Envelope),
            ("text/html, application/xml;q=0.9", Form::Envelope),
            ("text/csv", Form::Csv),
            ("application/json;q=0.5, Text/CSV;q=0.8", Form::Csv),
            ("application/x-ndjson, */*;q=0.1", Form::Ndjson),
            ("text/csv;q=0", Form::Envelope),
            ("application/vnd.apache.arrow.stream", Form::Arrow),
            ("application/vnd.apache.parquet, text/csv;q=0.9", Form::Parquet),
        ] {
            assert_eq!(Form::accepted(&Headers::from([("accept", accept)])), expected, "{accept}");
        }
    }

    #[test]
    fn a_row_is_one_line() {
        let mut buffer = b"{\"a\":1}\n{\"b\":{\r\n\"$end\":\ntrue}}".to_vec();
        Form::Ndjson.row(&mut buffer, 8);
        assert_eq!(buffer, b"{\"a\":1}\n{\"b\":{  \"$end\": true}}\n");
    }

    #[test]
    fn rows_become_fields() {
        let row = r#"{"a":1.10,"b":null,"c":"","d":"x, \"y\"","e":{"f":[1,2]},"g":true}"#;
        let mut buffer = row.as_bytes().to_vec();
        Form::Csv.row(&mut buffer, 0);
        let text = String::from_utf8(buffer).unwrap();
        assert_eq!(text, "1.10,,\"\",\"x, \"\"y\"\"\",\"{\"\"f\"\":[1,2]}\",true\r\n");
    }
}
