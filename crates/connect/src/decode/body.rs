//! A body in any format: what is done to its bytes, one stage after the other.
//!
//! ```text
//! gzip ──▶ charset ──▶ page? ──▶ json | ndjson | csv | xml ──▶ batches
//! ```
//!
//! In: the decoded body in chunks, cut anywhere, and how the definition says that it is written.
//! Out: batches of records as JSON text, and at the end what else there was. Each stage holds a
//! bounded part of the body. What never happens here: a format guessed from the body. An archive of several members
//! (`unzip.rs`) has such a reader for each of them. The one thing that the answer's own media type decides is NDJSON, which says so.

use std::collections::{BTreeMap, VecDeque};

use encoding_rs::{Encoding, ISO_8859_15, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use restway_model::definition::{Archive, Charset as Named, Format, ResourceSettings};
use restway_model::{ColumnType, Condition, Limits, RecordPath, Records};
use serde_json::Value;

use super::batches::{Batches, Bounds};
use super::charset::Charset;
use super::csv::CsvReader;
use super::envelope::PageEnd;
use super::gunzip::Gunzip;
use super::lines::LineReader;
use super::reader::PageReader;
use super::xml::XmlReader;
use crate::error::Failure;
use crate::excerpt::title;

/// How much of a web page is looked at for its title.
const PAGE_BYTES_MAX: usize = 16 << 10;
/// How much of a body tells whether it is a web page.
const SIGN_BYTES: usize = 64;
/// Media types of NDJSON.
const LINES: [&str; 6] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonl",
    "application/jsonlines",
    "application/x-jsonlines",
];
/// Bytes of a compressed body that are taken at once: they become a thousand times as many.
const PIECE_BYTES: usize = 4 << 10;

/// How records are written in a body.
#[derive(Debug, Clone)]
pub(crate) struct BodyShape {
    pub(crate) records: Option<RecordPath>,
    /// Whether a path that finds nothing is an empty page.
    pub(crate) records_optional: bool,
    pub(crate) format: Format,
    pub(crate) archive: Option<Archive>,
    /// Types of columns, which say what fields of CSV are besides texts.
    pub(crate) types: BTreeMap<String, ColumnType>,
    pub(crate) fail_when: Option<Condition>,
    pub(crate) bounds: Bounds,
    /// Bytes that an archive may hold.
    pub(crate) unpacked_bytes: u64,
}

impl BodyShape {
    /// How the bodies of a resource are written.
    pub(crate) fn of(resource: &ResourceSettings, limits: &Limits) -> Self {
        Self {
            records: resource.records.clone(),
            records_optional: resource.records_optional,
            format: resource.format.clone(),
            archive: resource.archive.clone(),
            types: resource.types.clone(),
            fail_when: resource.fail_when.clone(),
            bounds: Bounds::new(limits),
            unpacked_bytes: limits.body_bytes_max,
        }
    }
}

/// The reader of one body; see the module.
pub(crate) struct BodyReader {
    gunzip: Option<Gunzip>,
    charset: Charset,
    text: TextReader,
}

/// The stages after the charset.
struct TextReader {
    page: Page,
    reader: Reader,
    fail_when: Option<Condition>,
    records_optional: bool,
}

/// Whether the body is a web page: a login or an error, and not what was asked for.
enum Page {
    Unknown(Vec<u8>),
    Yes(Vec<u8>),
    No,
}

enum Reader {
    Json(PageReader),
    Lines(LineReader),
    Csv(Box<CsvReader>),
    Xml(XmlReader),
}

impl BodyReader {
    /// `content_type` is the answer's, where it speaks of the body itself and not of an archive.
    pub(crate) fn new(shape: &BodyShape, content_type: Option<&str>) -> Result<Self, Failure> {
        let bounds = shape.bounds.clone();
        let path = shape.records.as_ref();
        let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
        let media = content_type.split(';').next().unwrap_or_default().trim();
        let declared = crate::outputs::charset(&content_type);
        let (named, declared) = match &shape.format {
            // JSON is UTF-8 (RFC 8259, section 8.1), and servers that say otherwise of it are
            // mostly wrong: only what is no superset of ASCII is believed.
            Format::Json { encoding } | Format::Ndjson { encoding } => {
                (*encoding, declared.filter(|encoding| !encoding.is_ascii_compatible()))
            }
            Format::Csv(format) => (format.encoding, declared),
            Format::Xml { encoding, .. } => (*encoding, declared),
        };
        let reader = match &shape.format {
            Format::Json { .. } if LINES.contains(&media) => Reader::Lines(LineReader::new(bounds)),
            Format::Json { .. } => Reader::Json(PageReader::new(path, bounds)),
            Format::Ndjson { .. } => Reader::Lines(LineReader::new(bounds)),
            Format::Csv(_) if media == "application/json" || media.ends_with("+json") => {
                let problem = format!("the answer itself says that it is `{media}`");
                return Err(Failure::malformed("CSV", problem));
            }
            Format::Csv(format) => {
                Reader::Csv(Box::new(CsvReader::new(format, &shape.types, bounds)?))
            }
            Format::Xml { lists, .. } => Reader::Xml(XmlReader::new(path, lists, bounds)),
        };
        let page = match reader {
            Reader::Json(_) => Page::No,
            _ => Page::Unknown(Vec::new()),
        };
        let is_gzip = matches!(shape.archive, Some(Archive::Gzip {}));
        let charset =
            Charset::new(named.map(encoding).or(declared), matches!(reader, Reader::Xml(_)));
        Ok(Self {
            gunzip: is_gzip.then(|| Gunzip::new(shape.unpacked_bytes)),
            charset,
            text: TextReader {
                page,
                reader,
                fail_when: shape.fail_when.clone(),
                records_optional: shape.records_optional,
            },
        })
    }

    /// How much to feed at once, so that what comes of it stays small.
    pub(crate) const fn piece_bytes(&self) -> usize {
        if self.gunzip.is_some() { PIECE_BYTES } else { usize::MAX }
    }

    /// Reads one chunk.
    pub(crate) fn feed(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let Self { gunzip, charset, text } = self;
        let unpacked = match gunzip {
            Some(gunzip) => &gunzip.feed(chunk)?,
            None => chunk,
        };
        charset.feed(Some(unpacked), |bytes| text.feed(bytes))
    }

    /// The next full batch.
    pub(crate) fn batch(&mut self) -> Option<Records> {
        self.text.batches().next()
    }

    /// Whether a body that is cut at a record's end looks whole: lines and rows say nothing of
    /// their end, where no packing does.
    pub(crate) fn may_be_cut(&self) -> bool {
        self.gunzip.is_none() && matches!(self.text.reader, Reader::Lines(_) | Reader::Csv(_))
    }

    /// Whether there are more records than so many, of a format in which one after the other
    /// comes and nothing after them: such a body need not be read to its end, if it has one.
    pub(crate) fn has_more_than(&self, most: u64) -> bool {
        match &self.text.reader {
            Reader::Lines(reader) => reader.batches.count() > most,
            Reader::Csv(reader) => reader.batches.count() > most,
            Reader::Json(_) | Reader::Xml(_) => false,
        }
    }

    /// The records so far as those of the page.
    pub(crate) fn cut(mut self) -> (PageEnd, VecDeque<Records>) {
        let batches = self.text.batches();
        let bounds = batches.bounds.clone();
        std::mem::replace(batches, Batches::new(bounds)).finish(Value::Null, false)
    }

    /// The end of the body.
    pub(crate) fn finish(self) -> Result<(PageEnd, VecDeque<Records>), Failure> {
        let Self { gunzip, mut charset, mut text } = self;
        if let Some(gunzip) = gunzip {
            let rest = gunzip.finish()?;
            charset.feed(Some(&rest), |bytes| text.feed(bytes))?;
        }
        charset.feed(None, |bytes| text.feed(bytes))?;
        text.finish()
    }
}

impl TextReader {
    fn batches(&mut self) -> &mut Batches {
        match &mut self.reader {
            Reader::Json(reader) => &mut reader.batches,
            Reader::Lines(reader) => &mut reader.batches,
            Reader::Csv(reader) => &mut reader.batches,
            Reader::Xml(reader) => &mut reader.batches,
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.page {
            Page::No => self.reader.feed(bytes),
            Page::Unknown(head) => {
                head.extend_from_slice(bytes);
                if head.len() < SIGN_BYTES { Ok(()) } else { self.tell() }
            }
            Page::Yes(head) => {
                let room = PAGE_BYTES_MAX.saturating_sub(head.len());
                head.extend_from_slice(&bytes[..bytes.len().min(room)]);
                if room > 0 { Ok(()) } else { Err(self.page_failure()) }
            }
        }
    }

    /// The first bytes are there.
    fn tell(&mut self) -> Result<(), Failure> {
        let Page::Unknown(head) = &mut self.page else { return Ok(()) };
        let head = std::mem::take(head);
        let start = head.trim_ascii_start();
        let begins = |sign: &str| {
            start.get(..sign.len()).is_some_and(|found| found.eq_ignore_ascii_case(sign.as_bytes()))
        };
        if begins("<!doctype html") || begins("<html") {
            self.page = Page::Yes(head);
            return Ok(());
        }
        self.page = Page::No;
        self.reader.feed(&head)
    }

    fn page_failure(&self) -> Failure {
        let head = match &self.page {
            Page::Yes(head) => String::from_utf8_lossy(head),
            _ => "".into(),
        };
        Failure::Page { format: self.reader.format(), title: title(&head) }
    }

    fn finish(mut self) -> Result<(PageEnd, VecDeque<Records>), Failure> {
        self.tell()?;
        if matches!(self.page, Page::Yes(_)) {
            return Err(self.page_failure());
        }
        match self.reader {
            Reader::Json(reader) => reader.finish(self.fail_when.as_ref(), self.records_optional),
            Reader::Lines(reader) => reader.finish(),
            Reader::Csv(reader) => reader.finish(),
            Reader::Xml(reader) => reader.finish(self.fail_when.as_ref(), self.records_optional),
        }
    }
}

impl Reader {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Json(reader) => reader.feed(bytes),
            Self::Lines(reader) => reader.feed(bytes),
            Self::Csv(reader) => reader.feed(bytes),
            Self::Xml(reader) => reader.feed(bytes),
        }
    }

    const fn format(&self) -> &'static str {
        match self {
            Self::Json(_) => "JSON",
            Self::Lines(_) => "NDJSON",
            Self::Csv(_) => "CSV",
            Self::Xml(_) => "XML",
        }
    }
}

fn encoding(named: Named) -> &'static Encoding {
    match named {
        Named::Utf8 => UTF_8,
        Named::Utf16Le => UTF_16LE,
        Named::Utf16Be => UTF_16BE,
        Named::Latin1 | Named::Windows1252 => WINDOWS_1252,
        Named::Latin9 => ISO_8859_15,
    }
}

#[cfg(test)]
mod tests;
