//! The reader of CSV (RFC 4180).
//!
//! In: chunks of UTF-8. Out: each row as an object, every field a text or null: what looks like a
//! number stays a text unless `types:` declares its column one, and is then written as it came. The
//! first row names the fields unless the definition does. A row with more or fewer fields than
//! names is handed on as refused, with its line and its text; two fields of one name are an error.
//! What never happens here: a field under a name that may not be its own. A last row that has too
//! few fields and no line end is the end of a body that was cut, not a row.

use std::collections::{BTreeMap, HashSet, VecDeque};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use restway_model::definition::{CsvFormat, Header};
use restway_model::{ColumnType, Name, Records, Refused};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::batches::{Batches, Bounds};
use super::envelope::PageEnd;
use crate::error::Failure;

/// Fields of one row.
const FIELDS_MAX: usize = 65_536;
/// Room for a row at first.
const ROW_BYTES: usize = 4 << 10;

/// What is known of a field before its value.
struct Column {
    /// What stands before the value in the object: `{"name":`.
    prefix: Vec<u8>,
    /// Whether it is declared to be a number, or true and false.
    is_plain: bool,
}

pub(super) struct CsvReader {
    pub(super) batches: Batches,
    core: Reader,
    names: Option<Vec<Column>>,
    types: BTreeMap<String, ColumnType>,
    /// Whether the first row is still to name the fields.
    has_header: bool,
    nulls: Vec<String>,
    fields: Vec<u8>,
    fields_length: usize,
    ends: Vec<usize>,
    ends_length: usize,
    record: Vec<u8>,
    /// The text of the row at hand in earlier chunks.
    begun: Vec<u8>,
    /// Whether the row at hand is the last, and has no line end.
    is_open_end: bool,
    offset: u64,
}

impl CsvReader {
    pub(super) fn new(
        format: &CsvFormat,
        types: &BTreeMap<String, ColumnType>,
        bounds: Bounds,
    ) -> Result<Self, Failure> {
        let byte = |character: char| u8::try_from(character).unwrap_or(b',');
        let core = ReaderBuilder::new()
            .delimiter(byte(format.delimiter))
            .quote(byte(format.quote))
            .build();
        let mut reader = Self {
            batches: Batches::new(bounds),
            core,
            names: None,
            types: types.clone(),
            has_header: format.header == Header::Row(true),
            nulls: format.null.clone(),
            fields: vec![0; ROW_BYTES],
            fields_length: 0,
            ends: vec![0; 64],
            ends_length: 0,
            record: Vec::new(),
            begun: Vec::new(),
            is_open_end: false,
            offset: 0,
        };
        if let Header::Names(names) = &format.header {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            reader.names = Some(columns(&names, types)?);
        }
        Ok(reader)
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        self.offset += chunk.len() as u64;
        self.read(chunk).map(drop)
    }

    /// Reads rows; the bytes of a row at the end that has none stay in the reader. Whether the
    /// last byte ended a row is answered.
    fn read(&mut self, chunk: &[u8]) -> Result<bool, Failure> {
        let mut rest = chunk;
        let mut row_from = 0;
        let mut is_row = false;
        while !rest.is_empty() {
            let (result, read, written, ended) = self.core.read_record(
                rest,
                &mut self.fields[self.fields_length..],
                &mut self.ends[self.ends_length..],
            );
            rest = &rest[read..];
            self.fields_length += written;
            self.ends_length += ended;
            is_row = matches!(result, ReadRecordResult::Record);
            match result {
                ReadRecordResult::Record => {
                    let end = chunk.len() - rest.len();
                    self.row(&chunk[row_from..end])?;
                    self.begun.clear();
                    row_from = end;
                }
                ReadRecordResult::OutputFull => {
                    if self.fields.len() > self.batches.bounds.record_bytes {
                        return Err(self.batches.bounds.record_too_large());
                    }
                    self.fields.resize(self.fields.len() * 2, 0);
                }
                ReadRecordResult::OutputEndsFull => {
                    if self.ends.len() >= FIELDS_MAX {
                        let bound = format!("{FIELDS_MAX} fields");
                        return Err(Failure::TooLarge { what: "a row", bound, hint: None });
                    }
                    self.ends.resize(self.ends.len() * 2, 0);
                }
                ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
            }
        }
        // Empty lines before a row are not of it, so that they cannot grow without end.
        let blank = |byte: &&u8| self.begun.is_empty() && matches!(byte, b'\r' | b'\n');
        let blanks = chunk[row_from..].iter().take_while(blank).count();
        self.begun.extend_from_slice(&chunk[row_from + blanks..]);
        Ok(is_row)
    }

    /// A row is whole; `raw` is what the last chunk has of it.
    fn row(&mut self, raw: &[u8]) -> Result<(), Failure> {
        let not_text = || {
            let line = self.whole(raw).0;
            let problem = format!("line {line} is not UTF-8; `encoding:` names another charset");
            Failure::malformed("CSV", problem)
        };
        let text = std::str::from_utf8(&self.fields[..self.fields_length]);
        let text = text.map_err(|_| not_text())?;
        let mut start = 0;
        // The end of one field and the start of the next may look like a character.
        let fields = self.ends[..self.ends_length].iter().map(|end| {
            let field = text.get(start..*end).ok_or_else(not_text);
            start = *end;
            field
        });
        let fields: Vec<&str> = fields.collect::<Result<_, _>>()?;
        (self.fields_length, self.ends_length) = (0, 0);
        let names = match &self.names {
            Some(names) => names,
            None if self.has_header => {
                self.names = Some(columns(&fields, &self.types)?);
                return Ok(());
            }
            None => {
                let names: Vec<String> = (1..=fields.len()).map(numbered).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                self.names.insert(columns(&names, &self.types)?)
            }
        };
        if fields.len() != names.len() {
            let (found, wanted) = (fields.len(), names.len());
            let (line, text) = self.whole(raw);
            let problem = format!("line {line} has {found} fields, and there are {wanted} names");
            if self.is_open_end && found < wanted {
                return Err(Failure::malformed("CSV", problem));
            }
            return self.batches.refuse(Refused { line, problem, text });
        }
        self.record.clear();
        for (name, field) in names.iter().zip(fields) {
            self.record.extend_from_slice(&name.prefix);
            if self.nulls.iter().any(|null| null == field) {
                self.record.extend_from_slice(b"null");
            } else if name.is_plain && is_plain(field) {
                self.record.extend_from_slice(field.as_bytes());
            } else {
                put_text(&mut self.record, field)?;
            }
        }
        self.record.push(b'}');
        self.batches.push(&self.record)
    }

    /// The row at hand, whose end is `raw`: the line that it begins on, and its text.
    fn whole(&self, raw: &[u8]) -> (u64, String) {
        let row = [&self.begun, raw].concat();
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let blanks = row.iter().take_while(|byte| is_end(byte)).count();
        let ends = row[blanks..].iter().filter(|byte| **byte == b'\n').count();
        let text = String::from_utf8_lossy(&row[blanks..]);
        (self.core.line() - ends as u64, text.trim_end_matches(['\r', '\n']).to_owned())
    }

    pub(super) fn finish(mut self) -> Result<(PageEnd, VecDeque<Records>), Failure> {
        let offset = self.offset;
        let cut = |problem: String| Failure::Unfinished { problem, offset };
        let line = self.whole(b"").0;
        let is_open = self.fields_length > 0 || self.ends_length > 0;
        self.is_open_end = true;
        // A line feed ends the last row, unless a quote is open.
        match self.read(b"\n") {
            Err(Failure::Malformed { problem, .. }) => return Err(cut(problem)),
            Ok(false) if is_open || self.fields_length > 0 => {
                return Err(cut(format!("the quote that opens on line {line} is not closed")));
            }
            read => drop(read?),
        }
        if self.has_header && self.names.is_none() {
            return Err(Failure::malformed("CSV", "it is empty, and a header was expected".into()));
        }
        Ok(self.batches.finish(Value::Null, false))
    }
}

fn numbered(position: usize) -> String {
    format!("column_{position}")
}

/// Whether a field is a number as JSON writes it, or true or false.
fn is_plain(field: &str) -> bool {
    let begins = field.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    matches!(field, "true" | "false")
        || (begins && serde_json::from_str::<IgnoredAny>(field).is_ok() && !field.ends_with(' '))
}

fn columns(names: &[&str], types: &BTreeMap<String, ColumnType>) -> Result<Vec<Column>, Failure> {
    let mut known = HashSet::new();
    let mut columns = Vec::with_capacity(names.len());
    for (position, name) in names.iter().enumerate() {
        let name = match name.trim() {
            "" => numbered(position + 1),
            name => name.to_owned(),
        };
        let mut prefix = vec![if position == 0 { b'{' } else { b',' }];
        put_text(&mut prefix, &name)?;
        prefix.push(b':');
        let slug = Name::slug(&name);
        let declared = types.get(&name).or_else(|| types.get(slug.as_str()));
        let is_plain = declared.is_some_and(|kind| {
            matches!(
                kind,
                ColumnType::Bool
                    | ColumnType::Int64
                    | ColumnType::Float64
                    | ColumnType::Decimal { .. }
            )
        });
        columns.push(Column { prefix, is_plain });
        if let Some(name) = known.replace(name) {
            let problem = format!("its header names `{name}` twice");
            return Err(Failure::malformed("CSV", problem));
        }
    }
    Ok(columns)
}

fn put_text(into: &mut Vec<u8>, text: &str) -> Result<(), Failure> {
    serde_json::to_writer(into, text)
        .map_err(|error| Failure::malformed("CSV", format!("a field cannot be written: {error}")))
}
