//! What a request brings, read.
//!
//! In: the bytes of a body and their media type. Out: items whose values are still the texts that
//! they came as, so that a number keeps its digits; or what is wrong, with its place. Every form
//! needs its `Content-Type`: a browser sends none of them to a foreign origin unasked.
//!
//! What never happens here: a look at what is published.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::steps::Step;
use crate::refusal::{Findings, Refusal, Validation, shown};

/// Items of one request.
pub(crate) const ITEMS_MAX: usize = 10_000;
/// What may stand beside an item that is sent back as it was answered.
const ENVELOPE: [&str; 4] = ["count", "message", "validations", "status"];

/// A value as it came.
#[derive(Debug, Clone)]
pub(crate) enum Given {
    /// A JSON value.
    Json(Box<RawValue>),
    /// A text that stands for a value of any type.
    Text(String),
}

/// The members of an item, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Item(pub(crate) Vec<(String, Given)>);

/// A body.
#[derive(Debug)]
pub(crate) enum Body {
    /// Nothing.
    Empty,
    /// An item.
    One(Item),
    /// Items.
    Many(Vec<Item>),
    /// Steps that change an item: RFC 6902.
    Steps(Vec<Step>),
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Item;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    members.push((name, Given::Json(value)));
                }
                Ok(Item(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Reads a body.
pub(crate) fn read(content_type: Option<&str>, body: &[u8]) -> Result<Body, Refusal> {
    let (essence, parameters) = match content_type {
        Some(text) => text.split_once(';').unwrap_or((text, "")),
        None if body.is_empty() => return Ok(Body::Empty),
        None => return Err(Refusal::MediaType),
    };
    let is_utf8 = parameters.split(';').all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    if !is_utf8 {
        return Err(Refusal::MediaType);
    }
    let Ok(text) = std::str::from_utf8(body) else {
        return Err(malformed("", "the body is not UTF-8".to_owned()));
    };
    match essence.trim().to_ascii_lowercase().as_str() {
        "application/json" | "application/merge-patch+json" if text.trim().is_empty() => {
            Ok(Body::Empty)
        }
        "application/json" | "application/merge-patch+json" => json(text),
        "application/json-patch+json" => {
            let steps = serde_json::from_str(text);
            steps.map(Body::Steps).map_err(|error| malformed("", unreadable(&error)))
        }
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => lines(text),
        "text/csv" => table(text),
        _ => Err(Refusal::MediaType),
    }
}

/// An item, bare or in its envelope, or items in theirs.
fn json(text: &str) -> Result<Body, Refusal> {
    let item: Item =
        serde_json::from_str(text).map_err(|error| malformed("", unreadable(&error)))?;
    let inside = |name: &str, opens: char| {
        let is_alone =
            item.0.iter().all(|(other, _)| other == name || ENVELOPE.contains(&other.as_str()));
        let found = item.0.iter().find(|(other, _)| other == name).map(|(_, given)| given);
        match found {
            Some(Given::Json(raw)) if is_alone && raw.get().starts_with(opens) => Some(raw.get()),
            _ => None,
        }
    };
    if let Some(one) = inside("item", '{') {
        let one = serde_json::from_str(one);
        return one.map(Body::One).map_err(|error| malformed("/item", unreadable(&error)));
    }
    if let Some(many) = inside("items", '[') {
        let many: Vec<Box<RawValue>> =
            serde_json::from_str(many).map_err(|error| malformed("/items", unreadable(&error)))?;
        return gathered(many.iter().enumerate().map(|(at, one)| {
            let item = serde_json::from_str(one.get());
            item.map_err(|error| malformed(&format!("/items/{at}"), unreadable(&error)))
        }));
    }
    Ok(Body::One(item))
}

fn lines(text: &str) -> Result<Body, Refusal> {
    // Lines are counted as an editor shows them, items without the empty ones.
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    gathered(lines.enumerate().map(|(at, (line, number))| {
        let item = serde_json::from_str(line);
        item.map_err(|error| {
            let (column, problem) = (error.column(), error.to_string());
            let problem =
                problem.rsplit_once(" at line ").map_or(&*problem, |(problem, _)| problem);
            let message = format!("line {number}, column {column}: {}", shown(problem));
            malformed(&format!("/items/{at}"), message)
        })
    }))
}

/// Rows under a line of names. An empty cell is a member that is not there.
fn table(text: &str) -> Result<Body, Refusal> {
    let mut rows = Rows { reader: csv_core::Reader::new(), rest: text.as_bytes() };
    let Some(names) = rows.next() else {
        return Err(malformed("", "the table has no line of names".to_owned()));
    };
    let names = names?;
    gathered(rows.enumerate().map(|(at, cells)| {
        let cells = cells?;
        if cells.len() != names.len() {
            let message = format!("row {} has {} cells, not {}", at + 1, cells.len(), names.len());
            return Err(malformed(&format!("/items/{at}"), message));
        }
        let members = names.iter().cloned().zip(cells).filter(|(_, cell)| !cell.is_empty());
        Ok(Item(members.map(|(name, cell)| (name, Given::Text(cell))).collect()))
    }))
}

fn gathered(items: impl Iterator<Item = Result<Item, Refusal>>) -> Result<Body, Refusal> {
    let mut many = Vec::new();
    for item in items {
        if many.len() == ITEMS_MAX {
            return Err(Refusal::TooMany { items_max: ITEMS_MAX as u64 });
        }
        many.push(item?);
    }
    Ok(Body::Many(many))
}

/// The rows of a table in text.
struct Rows<'a> {
    reader: csv_core::Reader,
    rest: &'a [u8],
}

impl Iterator for Rows<'_> {
    type Item = Result<Vec<String>, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        use csv_core::ReadRecordResult as Read;
        // A row is never longer than what is left, nor has more ends of cells than bytes.
        let mut bytes = vec![0; self.rest.len().min(1 << 10) + 1];
        let mut ends = vec![0; 64];
        let (mut length, mut cells) = (0, 0);
        loop {
            let (read, used, wrote, ended) =
                self.reader.read_record(self.rest, &mut bytes[length..], &mut ends[cells..]);
            self.rest = &self.rest[used..];
            (length, cells) = (length + wrote, cells + ended);
            match read {
                Read::OutputFull => bytes.resize(bytes.len() * 2, 0),
                Read::OutputEndsFull => ends.resize(ends.len() * 2, 0),
                Read::InputEmpty => {}
                Read::Record => break,
                Read::End => return None,
            }
        }
        let mut start = 0;
        let row = ends[..cells].iter().map(|&end| {
            let cell = String::from_utf8(bytes[start..end].to_vec());
            start = end;
            cell.map_err(|_| malformed("", "a cell is not UTF-8".to_owned()))
        });
        Some(row.collect())
    }
}

fn unreadable(error: &serde_json::Error) -> String {
    format!("the body cannot be read: {}", shown(&error.to_string()))
}

fn malformed(pointer: &str, message: String) -> Refusal {
    let mut findings = Findings::default();
    let mut found = Validation::error("malformed_body", message);
    found.pointer = Some(pointer.to_owned());
    findings.push(found);
    Refusal::Invalid(findings.into_vec())
}
