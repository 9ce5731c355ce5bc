//! `format` and `archive`: how the records of a resource are written in its answers.
//!
//! In: the setting as it is written. Out: one of four formats with its options. What never happens
//! here or later: a format guessed from a body.

use schemars::JsonSchema;
use serde::Deserialize;

/// How records are written: the format alone, or the format with its options.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FormatEntry {
    /// A format without options.
    Kind(FormatKind),
    /// A format and its options.
    Full(Box<Format>),
}

impl FormatEntry {
    /// The format, with the defaults of one that was named alone.
    pub fn resolve(&self) -> Format {
        match self {
            Self::Kind(FormatKind::Json) => Format::default(),
            Self::Kind(FormatKind::Ndjson) => Format::Ndjson { encoding: None },
            Self::Kind(FormatKind::Csv) => Format::Csv(CsvFormat::default()),
            Self::Kind(FormatKind::Xml) => Format::Xml { lists: Vec::new(), encoding: None },
            Self::Full(format) => format.as_ref().clone(),
        }
    }
}

/// The formats by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormatKind {
    /// One JSON document (RFC 8259).
    Json,
    /// One JSON value on each line.
    Ndjson,
    /// Rows of fields (RFC 4180).
    Csv,
    /// One XML document.
    Xml,
}

/// How records are written.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Format {
    /// One JSON document (RFC 8259); an answer whose media type is NDJSON is read as that.
    Json {
        /// The charset, where it is not UTF-8.
        encoding: Option<Charset>,
    },
    /// One JSON value on each line.
    Ndjson {
        /// The charset, where it is not UTF-8.
        encoding: Option<Charset>,
    },
    /// Rows of fields (RFC 4180): texts, but for the columns that `types:` declares otherwise.
    Csv(CsvFormat),
    /// One XML document; `records` leads from the root element to those that are records.
    Xml {
        /// Elements that are lists even where there is only one of them.
        #[serde(default)]
        lists: Vec<String>,
        /// The charset, where it is not the one that the answer or the document names.
        encoding: Option<Charset>,
    },
}

impl Default for Format {
    fn default() -> Self {
        Self::Json { encoding: None }
    }
}

/// How CSV is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CsvFormat {
    /// The character between two fields.
    pub delimiter: char,
    /// The character around a field that holds a delimiter, a quote or a line end.
    pub quote: char,
    /// Whether the first row names the fields, or their names when no row does.
    pub header: Header,
    /// The fields that are null; an empty one without it.
    pub null: Vec<String>,
    /// The charset, where it is not the one that the answer names.
    pub encoding: Option<Charset>,
}

impl Default for CsvFormat {
    fn default() -> Self {
        Self {
            delimiter: ',',
            quote: '"',
            header: Header::default(),
            null: vec![String::new()],
            encoding: None,
        }
    }
}

/// Where the names of fields come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Header {
    /// Whether the first row names them; `column_1`, `column_2` and so on if not.
    Row(bool),
    /// The names, for an answer that has no such row.
    Names(Vec<String>),
}

impl Default for Header {
    fn default() -> Self {
        Self::Row(true)
    }
}

/// The charset of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Charset {
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "utf-16le")]
    Utf16Le,
    #[serde(rename = "utf-16be")]
    Utf16Be,
    #[serde(rename = "latin1")]
    Latin1,
    #[serde(rename = "windows-1252")]
    Windows1252,
    #[serde(rename = "iso-8859-15")]
    Latin9,
}

/// What the answer is packed in: the kind alone, or the kind with its options.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ArchiveEntry {
    /// A kind without options.
    Kind(ArchiveKind),
    /// A kind and its options.
    Full(Archive),
}

impl ArchiveEntry {
    /// The archive, with the defaults of one that was named alone.
    pub fn resolve(&self) -> Archive {
        match self {
            Self::Kind(ArchiveKind::Gzip) => Archive::Gzip {},
            Self::Kind(ArchiveKind::Zip) => Archive::Zip { members: None },
            Self::Full(archive) => archive.clone(),
        }
    }
}

/// The kinds of archive by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveKind {
    /// A gzip file (RFC 1952).
    Gzip,
    /// A zip archive, all of its members.
    Zip,
}

/// What the answer is packed in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Archive {
    /// A gzip file (RFC 1952).
    Gzip {},
    /// A zip archive, stored or deflated; each member is read by itself, in the archive's order.
    Zip {
        /// The members that are read: `*` and `?` stand for characters within one name, `**` for
        /// any, and a pattern without `/` is held against the last part of a name; all without it.
        members: Option<String>,
    },
}
