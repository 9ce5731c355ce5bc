//! The reader of XML.
//!
//! In: chunks of UTF-8, the path to the elements that are records, as `orders.order`, and the names
//! of elements that are lists even where there is one. Out: each record as JSON: an element without
//! attributes and children is its text, or null when it is empty; any other is an object, in which
//! `@name` is an attribute, `#text` the text between children, and a child that comes again a list.
//! Names lose their prefix, all values are texts. Everything around the records is the envelope,
//! by the same rules.
//!
//! The splitting into tags and texts is done here, because the body comes in pieces; what is in
//! them is quick-xml's to read. What never happens here: a document type, and so no entity but the
//! five that XML has; a level, attribute or text without a bound.

use std::collections::VecDeque;

use memchr::{memchr, memmem};
use quick_xml::escape::unescape;
use quick_xml::events::BytesStart;
use restway_model::{Condition, RecordPath, Records, Step};
use serde_json::{Map, Value};

use super::batches::{Batches, Bounds};
use super::envelope::{self, PageEnd};
use crate::error::Failure;

/// Attributes of one element.
const ATTRIBUTES_MAX: usize = 256;

pub(super) struct XmlReader {
    pub(super) batches: Batches,
    path: RecordPath,
    lists: Vec<String>,
    /// What came and is not read yet: less than a tag or text.
    pending: Vec<u8>,
    /// How much of it was looked at for its end.
    scanned: usize,
    /// The quote that is open there, in a tag.
    quote: Option<u8>,
    open: Vec<Element>,
    /// How many elements were open when the record at hand began.
    record: Option<usize>,
    /// Bytes of the record at hand, and of everything outside of records.
    record_bytes: usize,
    envelope_bytes: usize,
    /// Whether the element was there that the records lie in.
    is_found: bool,
    envelope: Option<Value>,
    offset: u64,
}

/// An element that is open.
struct Element {
    /// As it is written, to compare with its end.
    name: String,
    members: Map<String, Value>,
    text: String,
}

/// A piece of the document.
enum Piece {
    Text,
    Verbatim,
    Ignored,
    Tag,
}

impl XmlReader {
    pub(super) fn new(path: Option<&RecordPath>, lists: &[String], bounds: Bounds) -> Self {
        Self {
            batches: Batches::new(bounds),
            path: path.cloned().unwrap_or_else(RecordPath::root),
            lists: lists.to_vec(),
            pending: Vec::new(),
            scanned: 0,
            quote: None,
            open: Vec::new(),
            record: None,
            record_bytes: 0,
            envelope_bytes: 0,
            is_found: false,
            envelope: None,
            offset: 0,
        }
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        self.pending.extend_from_slice(chunk);
        let pending = std::mem::take(&mut self.pending);
        let mut start = 0;
        while let Some((piece, end)) = self.piece(&pending[start..])? {
            self.read(piece, &pending[start..start + end])?;
            self.offset += end as u64;
            start += end;
            (self.scanned, self.quote) = (0, None);
        }
        self.pending = pending;
        self.pending.drain(..start);
        if self.pending.len() > self.batches.bounds.record_bytes {
            return Err(self.batches.bounds.record_too_large());
        }
        Ok(())
    }

    /// The piece that the text begins with, and its length; `None` when its end is not there.
    fn piece(&mut self, text: &[u8]) -> Result<Option<(Piece, usize)>, Failure> {
        let until = |from: usize, end: &[u8], scanned: usize| {
            let from = from.max(scanned.saturating_sub(end.len())).min(text.len());
            memmem::find(&text[from..], end).map(|at| from + at + end.len())
        };
        let scanned = std::mem::replace(&mut self.scanned, text.len());
        if text.is_empty() {
            return Ok(None);
        }
        if text[0] != b'<' {
            let end = memchr(b'<', &text[scanned.min(text.len())..]).map(|at| scanned + at);
            return Ok(end.map(|end| (Piece::Text, end)));
        }
        if text.starts_with(b"<!--") {
            return Ok(until(4, b"-->", scanned).map(|end| (Piece::Ignored, end)));
        }
        if text.starts_with(b"<![CDATA[") {
            return Ok(until(9, b"]]>", scanned).map(|end| (Piece::Verbatim, end)));
        }
        if text.starts_with(b"<?") {
            return Ok(until(2, b"?>", scanned).map(|end| (Piece::Ignored, end)));
        }
        if b"<![CDATA[".starts_with(text) || b"<!--".starts_with(text) {
            return Ok(None);
        }
        if text.starts_with(b"<!") {
            return Err(self.malformed("it has a document type, which is not read"));
        }
        for (at, byte) in text.iter().enumerate().skip(scanned.max(1)) {
            match (self.quote, byte) {
                (None, b'>') => return Ok(Some((Piece::Tag, at + 1))),
                (None, b'"' | b'\'') => self.quote = Some(*byte),
                (Some(quote), byte) if quote == *byte => self.quote = None,
                _ => {}
            }
        }
        Ok(None)
    }

    fn read(&mut self, piece: Piece, bytes: &[u8]) -> Result<(), Failure> {
        self.count(bytes.len())?;
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|_| self.malformed("it is not in the charset that it says"))?;
        match piece {
            Piece::Ignored => Ok(()),
            Piece::Verbatim => self.text(&text[9..text.len() - 3]),
            Piece::Text => {
                let text = unescape(text).map_err(|error| self.malformed(&error.to_string()))?;
                self.text(&text)
            }
            Piece::Tag => {
                let inside = &text[1..text.len() - 1];
                if let Some(name) = inside.strip_prefix('/') {
                    return self.close(name.trim_end());
                }
                let (inside, is_empty) = match inside.strip_suffix('/') {
                    Some(inside) => (inside, true),
                    None => (inside, false),
                };
                let length = inside.find(|c: char| c.is_ascii_whitespace()).unwrap_or(inside.len());
                let name = &inside[..length];
                self.begin(name, &BytesStart::from_content(inside, length))?;
                if is_empty { self.close(name) } else { Ok(()) }
            }
        }
    }

    /// Counts against the bound of the record, or of what is outside.
    fn count(&mut self, bytes: usize) -> Result<(), Failure> {
        let bounds = &self.batches.bounds;
        if self.record.is_some() {
            self.record_bytes += bytes;
            if self.record_bytes > bounds.record_bytes {
                return Err(bounds.record_too_large());
            }
            return Ok(());
        }
        self.envelope_bytes += bytes;
        // What stands between two records is counted, so there is room for that of many.
        let most = bounds.envelope_bytes as u64 + 64 * self.batches.count();
        if self.envelope_bytes as u64 > most {
            return Err(envelope::too_large(&self.path, bounds.envelope_bytes));
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        match self.open.last_mut() {
            Some(element) => {
                element.text.push_str(text);
                Ok(())
            }
            None if text.trim().is_empty() => Ok(()),
            None => Err(self.malformed("it has text outside of its root element")),
        }
    }

    fn begin(&mut self, name: &str, start: &BytesStart<'_>) -> Result<(), Failure> {
        if self.open.is_empty() && self.envelope.is_some() {
            return Err(self.malformed("it has two root elements"));
        }
        if local(name).is_empty() {
            return Err(self.malformed("a tag has no name"));
        }
        if self.open.len() >= self.batches.bounds.depth {
            return Err(self.batches.bounds.too_deep("the nesting of elements"));
        }
        let mut members = Map::new();
        for (number, attribute) in start.attributes().enumerate() {
            let attribute = attribute.map_err(|error| self.malformed(&error.to_string()))?;
            if number >= ATTRIBUTES_MAX {
                let bound = format!("{ATTRIBUTES_MAX} attributes");
                return Err(Failure::TooLarge { what: "an element", bound, hint: None });
            }
            let name = String::from_utf8_lossy(attribute.key.as_ref());
            if name == "xmlns" || name.starts_with("xmlns:") {
                continue;
            }
            let value = String::from_utf8_lossy(&attribute.value);
            let value = unescape(&value).map_err(|error| self.malformed(&error.to_string()))?;
            if members.insert(format!("@{}", local(&name)), value.into()).is_some() {
                let problem = format!("an element has the attribute `{}` twice", local(&name));
                return Err(self.malformed(&problem));
            }
        }
        self.open.push(Element { name: name.to_owned(), members, text: String::new() });
        if self.record.is_none() {
            let steps = self.path.steps().len();
            self.is_found |= self.open.len() + 1 >= steps.max(1) && self.lies_on_path(steps - 1);
            if self.open.len() == steps && self.lies_on_path(steps) {
                self.is_found = true;
                self.record = Some(steps);
                self.record_bytes = 0;
            }
        }
        Ok(())
    }

    /// Whether the open elements are the first so many steps of the path.
    fn lies_on_path(&self, steps: usize) -> bool {
        self.open.len() >= steps
            && self.open.iter().zip(&self.path.steps()[..steps]).all(
                |(element, step)| matches!(step, Step::Name(step) if step == local(&element.name)),
            )
    }

    fn close(&mut self, name: &str) -> Result<(), Failure> {
        let element = self.open.pop().filter(|element| element.name == name);
        let Some(element) = element else {
            return Err(self.malformed(&format!("`</{name}>` ends what did not begin")));
        };
        let value = element.value();
        if self.record == Some(self.open.len() + 1) {
            self.record = None;
            let record = serde_json::to_vec(&value);
            let record = record.map_err(|error| self.malformed(&error.to_string()))?;
            return self.batches.push(&record);
        }
        let name = local(name);
        let Some(parent) = self.open.last_mut() else {
            self.envelope = Some(Value::Object(Map::from_iter([(name.to_owned(), value)])));
            return Ok(());
        };
        let is_list = self.lists.iter().any(|list| list == name);
        match parent.members.get_mut(name) {
            Some(Value::Array(items)) => items.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None if is_list => drop(parent.members.insert(name.to_owned(), vec![value].into())),
            None => drop(parent.members.insert(name.to_owned(), value)),
        }
        Ok(())
    }

    fn malformed(&self, problem: &str) -> Failure {
        Failure::malformed("XML", format!("at byte {} {problem}", self.offset))
    }

    pub(super) fn finish(
        self,
        fail_when: Option<&Condition>,
        is_optional: bool,
    ) -> Result<(PageEnd, VecDeque<Records>), Failure> {
        let offset = self.offset + self.pending.len() as u64;
        let cut = |problem: String| Err(Failure::Unfinished { problem, offset });
        if let Some(element) = self.open.last() {
            return cut(format!("the element `{}` has no end", element.name));
        }
        if !self.pending.trim_ascii().is_empty() {
            return match self.pending[0] {
                b'<' => cut("a tag has no end".to_owned()),
                _ => Err(self.malformed("it has text outside of its root element")),
            };
        }
        if let (Some(condition), Some(answer)) = (fail_when, &self.envelope) {
            envelope::declared(condition, answer)?;
        }
        let is_root_record = self.path.steps().len() == 1;
        match self.envelope {
            _ if is_root_record && self.is_found => {
                Ok(self.batches.finish(Value::Object(Map::new()), true))
            }
            Some(envelope) if self.is_found => Ok(self.batches.finish(envelope, false)),
            Some(envelope) if is_optional && envelope::absent(&self.path, &envelope) => {
                Ok(self.batches.finish(envelope, false))
            }
            Some(envelope) => Err(envelope::missing(&self.path, &envelope)),
            None => Err(Failure::malformed("XML", "it has no root element".to_owned())),
        }
    }
}

impl Element {
    fn value(mut self) -> Value {
        let text = if self.text.contains('\r') {
            self.text.replace("\r\n", "\n").replace('\r', "\n")
        } else {
            self.text
        };
        let has_text = !text.trim().is_empty();
        match (self.members.is_empty(), has_text) {
            (true, true) => Value::String(text),
            (true, false) => Value::Null,
            (false, true) => {
                self.members.insert("#text".to_owned(), text.trim().into());
                Value::Object(self.members)
            }
            (false, false) => Value::Object(self.members),
        }
    }
}

/// A name without its prefix.
fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}
