//! The reader of one page.
//!
//! In: chunks. Out: batches, and a [`PageEnd`]. Each byte goes to one of three places: the
//! envelope, the batch of records, or nowhere (what separates records). Runs of bytes for the same
//! place are copied at once; strings, the bulk of most answers, are skipped by `memchr`.

use std::collections::VecDeque;

use memchr::memchr2;
use restway_model::{Condition, RecordPath, Records, Step};

use super::batches::{Batches, Bounds};
use super::envelope::{self, PageEnd};
use super::grammar::{Expect, MARK, begins_scalar, is_scalar, is_space};
use crate::error::{Excerpt, Failure};
use crate::excerpt::title;

/// What a gzip file begins with (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// How much of a page that is not JSON is looked at for its title.
const PAGE_BYTES_MAX: usize = 16 << 10;

/// Where bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sink {
    Envelope,
    Record,
    Nowhere,
}

/// What the path has found so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    List,
    One,
}

/// The reader of one page; see the module.
pub(super) struct PageReader {
    path: RecordPath,
    pub(super) batches: Batches,
    expect: Expect,
    sink: Sink,
    /// Open containers, outermost first: `{` or `[`.
    open: Vec<u8>,
    /// For each leading container that lies on the path, the position in it.
    on_path: Vec<usize>,
    /// Whether the member or item at hand is the path's next step.
    is_step: bool,
    found: Found,
    /// Open containers while directly inside the list of records.
    list_depth: Option<usize>,
    /// Open containers before the record at hand began.
    record_depth: Option<usize>,
    name_start: usize,
    envelope: Vec<u8>,
    /// Bytes before the current chunk.
    offset: u64,
}

impl PageReader {
    pub(super) fn new(path: Option<&RecordPath>, bounds: Bounds) -> Self {
        Self {
            path: path.cloned().unwrap_or_else(RecordPath::root),
            batches: Batches::new(bounds),
            expect: Expect::Start,
            sink: Sink::Envelope,
            open: Vec::new(),
            on_path: Vec::new(),
            is_step: true,
            found: Found::Nothing,
            list_depth: None,
            record_depth: None,
            name_start: 0,
            envelope: Vec::new(),
            offset: 0,
        }
    }

    /// Reads one chunk.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        // `from` is where the run of bytes for the current sink begins.
        let mut from = 0;
        let mut at = 0;
        while at < chunk.len() {
            match self.expect {
                Expect::Text { is_name } => {
                    let Some(found) = memchr2(b'"', b'\\', &chunk[at..]) else {
                        break;
                    };
                    at += found + 1;
                    if chunk[at - 1] == b'\\' {
                        self.expect = Expect::Escape { is_name };
                    } else if is_name {
                        from = self.end_name(chunk, from, at)?;
                    } else {
                        from = self.end_value(chunk, from, at)?;
                    }
                }
                Expect::Escape { is_name } => {
                    at += 1;
                    self.expect = Expect::Text { is_name };
                }
                Expect::Scalar => {
                    while at < chunk.len() && is_scalar(chunk[at]) {
                        at += 1;
                    }
                    if at < chunk.len() {
                        from = self.end_value(chunk, from, at)?;
                    }
                }
                Expect::Page => return self.page(&chunk[at..]),
                _ => {
                    from = self.structure(chunk, from, at)?;
                    at += 1;
                }
            }
        }
        self.copy(&chunk[from..])?;
        self.offset += chunk.len() as u64;
        Ok(())
    }

    /// One byte outside of strings and scalars. Returns where the current run begins.
    fn structure(&mut self, chunk: &[u8], from: usize, at: usize) -> Result<usize, Failure> {
        let byte = chunk[at];
        match (byte, self.expect) {
            (_, Expect::Mark(read)) => {
                if byte != MARK[read] {
                    return Err(self.unexpected(chunk, at));
                }
                self.expect = if read == 2 { Expect::Value } else { Expect::Mark(read + 1) };
                return Ok(at + 1);
            }
            (0xef, Expect::Start) if self.offset == 0 && at == 0 => {
                self.expect = Expect::Mark(1);
                return Ok(at + 1);
            }
            (space, _) if is_space(space) => return Ok(from),
            (b'<', Expect::Start | Expect::Value) if self.open.is_empty() => {
                self.expect = Expect::Page;
                self.envelope.push(b'<');
                return Ok(at + 1);
            }
            (b'"', Expect::Name | Expect::NameOrEnd) => {
                self.expect = Expect::Text { is_name: true };
                if self.record_depth.is_none() {
                    self.copy(&chunk[from..at])?;
                    self.name_start = self.envelope.len();
                    return Ok(at);
                }
            }
            (b':', Expect::Colon) => self.expect = Expect::Value,
            (b',', Expect::CommaOrEnd) => self.comma(),
            (b'}', Expect::NameOrEnd | Expect::CommaOrEnd) if self.inside(b'{') => {
                return self.close(chunk, from, at);
            }
            (b']', Expect::ValueOrEnd | Expect::CommaOrEnd) if self.inside(b'[') => {
                return self.close(chunk, from, at);
            }
            (b'{' | b'[', expect) if expect.takes_value() => {
                return self.open(chunk, from, at);
            }
            (b'"', expect) if expect.takes_value() => {
                let from = self.begin_value(chunk, from, at)?;
                self.expect = Expect::Text { is_name: false };
                return Ok(from);
            }
            (scalar, expect) if expect.takes_value() && begins_scalar(scalar) => {
                let from = self.begin_value(chunk, from, at)?;
                self.expect = Expect::Scalar;
                return Ok(from);
            }
            _ => return Err(self.unexpected(chunk, at)),
        }
        Ok(from)
    }

    fn inside(&self, container: u8) -> bool {
        self.open.last() == Some(&container)
    }

    fn comma(&mut self) {
        if self.inside(b'{') {
            self.expect = Expect::Name;
            return;
        }
        self.expect = Expect::Value;
        if self.open.len() == self.on_path.len()
            && let Some(position) = self.on_path.last_mut()
        {
            *position += 1;
        }
    }

    /// A name has ended before `end`; on the path it is compared with the next step. Returns
    /// where the current run begins.
    fn end_name(&mut self, chunk: &[u8], from: usize, end: usize) -> Result<usize, Failure> {
        self.expect = Expect::Colon;
        if self.open.len() != self.on_path.len() {
            return Ok(from);
        }
        self.copy(&chunk[from..end])?;
        self.is_step = match self.path.steps().get(self.on_path.len() - 1) {
            Some(Step::Name(step)) => {
                let name = &self.envelope[self.name_start..];
                let is_plain = !name.contains(&b'\\');
                if is_plain {
                    name.get(1..name.len() - 1) == Some(step.as_bytes())
                } else {
                    serde_json::from_slice(name).is_ok_and(|name: String| name == *step)
                }
            }
            _ => false,
        };
        Ok(end)
    }

    /// Whether the value that begins is the path's end, or leads on to it.
    fn lies_on_path(&self) -> bool {
        if self.open.len() != self.on_path.len() {
            return false;
        }
        match (self.open.last(), self.on_path.last()) {
            (Some(b'['), Some(position)) => {
                let step = self.path.steps().get(self.on_path.len() - 1);
                matches!(step, Some(Step::Index(index)) if index == position)
            }
            _ => self.is_step,
        }
    }

    /// A string or scalar begins: it may be a record. Returns where the current run begins.
    fn begin_value(&mut self, chunk: &[u8], from: usize, at: usize) -> Result<usize, Failure> {
        if self.list_depth != Some(self.open.len()) {
            return Ok(from);
        }
        self.begin_record(chunk, from, at)
    }

    fn begin_record(&mut self, chunk: &[u8], from: usize, at: usize) -> Result<usize, Failure> {
        self.copy(&chunk[from..at])?;
        self.sink = Sink::Record;
        self.record_depth = Some(self.open.len());
        self.batches.begin();
        Ok(at)
    }

    /// A container begins. Returns where the current run begins.
    fn open(&mut self, chunk: &[u8], from: usize, at: usize) -> Result<usize, Failure> {
        let depth = self.open.len();
        let (byte, mut from) = (chunk[at], from);
        self.expect = if byte == b'{' { Expect::NameOrEnd } else { Expect::ValueOrEnd };
        if self.list_depth == Some(depth) {
            from = self.begin_record(chunk, from, at)?;
        } else if self.record_depth.is_none() && self.lies_on_path() {
            if depth < self.path.steps().len() {
                self.on_path.push(0);
            } else {
                from = self.find(chunk, from, at)?;
            }
        }
        self.open.push(byte);
        let outside = self.record_depth.unwrap_or_default();
        if self.open.len() - outside > self.batches.bounds.depth {
            return Err(self.batches.bounds.too_deep("the nesting of lists and objects"));
        }
        Ok(from)
    }

    /// The path's end begins here: a list of records or one record.
    fn find(&mut self, chunk: &[u8], from: usize, at: usize) -> Result<usize, Failure> {
        if self.found != Found::Nothing {
            let problem = format!("`{}` is there twice", self.path);
            return Err(Failure::NotJson { problem, excerpt: Excerpt::default() });
        }
        if chunk[at] == b'[' {
            self.found = Found::List;
            self.list_depth = Some(self.open.len() + 1);
            self.copy(&chunk[from..=at])?;
            self.sink = Sink::Nowhere;
            return Ok(at + 1);
        }
        self.found = Found::One;
        let from = self.begin_record(chunk, from, at)?;
        self.envelope.extend_from_slice(b"{}");
        Ok(from)
    }

    /// A container ends. Returns where the current run begins.
    fn close(&mut self, chunk: &[u8], from: usize, at: usize) -> Result<usize, Failure> {
        let mut from = from;
        if self.list_depth == Some(self.open.len()) {
            self.list_depth = None;
            self.sink = Sink::Envelope;
            from = at;
        }
        self.open.pop();
        self.on_path.truncate(self.open.len());
        self.end_value(chunk, from, at + 1)
    }

    /// A value has ended before `end`. Returns where the current run begins.
    fn end_value(&mut self, chunk: &[u8], from: usize, end: usize) -> Result<usize, Failure> {
        self.expect = if self.open.is_empty() { Expect::End } else { Expect::CommaOrEnd };
        if self.record_depth != Some(self.open.len()) {
            return Ok(from);
        }
        self.copy(&chunk[from..end])?;
        self.record_depth = None;
        self.sink = if self.found == Found::List { Sink::Nowhere } else { Sink::Envelope };
        self.batches.end();
        Ok(end)
    }

    /// Copies a run of bytes to where it belongs, within the bounds.
    fn copy(&mut self, run: &[u8]) -> Result<(), Failure> {
        match self.sink {
            Sink::Nowhere => {}
            Sink::Record => {
                self.batches.extend(run)?;
            }
            Sink::Envelope => {
                self.envelope.extend_from_slice(run);
                let bound = self.batches.bounds.envelope_bytes;
                if self.envelope.len() > bound {
                    return Err(envelope::too_large(&self.path, bound));
                }
            }
        }
        Ok(())
    }

    fn page(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let room = PAGE_BYTES_MAX.saturating_sub(self.envelope.len());
        self.envelope.extend_from_slice(&chunk[..chunk.len().min(room)]);
        self.offset += chunk.len() as u64;
        if self.envelope.len() < PAGE_BYTES_MAX { Ok(()) } else { Err(self.not_json_page()) }
    }

    fn not_json_page(&self) -> Failure {
        let text = String::from_utf8_lossy(&self.envelope);
        Failure::Page { format: "JSON", title: title(&text) }
    }

    fn unexpected(&self, chunk: &[u8], at: usize) -> Failure {
        let offset = self.offset + at as u64;
        if offset < 2 && matches!(chunk[at], 0 | 0xfe | 0xff) {
            let problem = "it is UTF-16 or UTF-32, and JSON is UTF-8".to_owned();
            return Failure::NotJson { problem, excerpt: Excerpt::default() };
        }
        if offset == 0 && chunk[at..].starts_with(&GZIP) {
            let problem = "it is gzip, and no `Content-Encoding` says so".to_owned();
            return Failure::NotJson { problem, excerpt: Excerpt::default() };
        }
        let expected = self.expect.words();
        envelope::unexpected(expected, offset, &chunk[at.saturating_sub(40)..], at.min(40))
    }

    /// Whether the document is whole.
    fn is_complete(&self) -> Result<(), Failure> {
        let ends_here = self.expect == Expect::Scalar && self.open.is_empty();
        match self.expect {
            Expect::End => Ok(()),
            Expect::Page => Err(self.not_json_page()),
            Expect::Start => {
                let problem = "it is empty".to_owned();
                Err(Failure::NotJson { problem, excerpt: Excerpt::default() })
            }
            _ if ends_here => Ok(()),
            expect => {
                let problem = format!("the JSON is not complete: {} is missing", expect.words());
                Err(Failure::Unfinished { problem, offset: self.offset })
            }
        }
    }

    /// The end of the body; an answer for which `fail_when` holds is an error. `is_optional`: a
    /// path that leads nowhere is one to no records.
    pub(super) fn finish(
        mut self,
        fail_when: Option<&Condition>,
        is_optional: bool,
    ) -> Result<(PageEnd, VecDeque<Records>), Failure> {
        self.is_complete()?;
        let envelope = envelope::read(&self.envelope)?;
        let is_root_record = self.found == Found::One && self.path.steps().is_empty();
        if let Some(condition) = fail_when {
            let record = self.batches.last().filter(|_| is_root_record);
            let record = record.map(|record| envelope::read(&record)).transpose()?;
            envelope::declared(condition, record.as_ref().unwrap_or(&envelope))?;
        }
        if self.found == Found::Nothing && !(is_optional && envelope::absent(&self.path, &envelope))
        {
            return Err(envelope::missing(&self.path, &envelope));
        }
        Ok(self.batches.finish(envelope, is_root_record))
    }
}

#[cfg(test)]
mod tests;
