//! A stored row, and the tag that tells its version.
//!
//! In: the JSON text of all columns. Out: the values of some of them, and the tag. The tag is made
//! from the whole stored row, or from the column that the app says is its version, whatever a
//! caller may see or has asked for: so the tag of an answer is the one that a write compares. It is
//! made with a key, the workspace's, so that nobody finds what is hidden from him by trying values
//! until their tag is the same, and all servers of a workspace make the same one.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use restway_model::Seal;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::body::{Given, Item};
use crate::plan::{Condition, Value};
use crate::refusal::Refusal;
use crate::source::Column;

/// Bytes of a digest that a tag shows.
const TAG_BYTES: usize = 8;
/// What the marks of versions are for.
const FOR_VERSION: &str = "version of a row";

/// A row as its JSON text.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) text: Vec<u8>,
    members: Vec<(String, Box<RawValue>)>,
}

impl Row {
    /// Reads the text of a row.
    pub(crate) fn read(text: Vec<u8>) -> Result<Self, Refusal> {
        let item: Item = serde_json::from_slice(&text)
            .map_err(|error| Refusal::Unfit { reason: format!("a row is no JSON: {error}") })?;
        let members = item.0.into_iter().filter_map(|(name, given)| match given {
            Given::Json(raw) => Some((name, raw)),
            Given::Text(_) => None,
        });
        Ok(Self { members: members.collect(), text })
    }

    /// The JSON text of a column.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        self.members.iter().find(|(other, _)| other == name).map(|(_, raw)| raw.get())
    }

    /// A column as text: a string without its quotes; none for null.
    pub(crate) fn text_of(&self, name: &str) -> Option<String> {
        let raw = self.raw(name)?;
        match raw.bytes().next() {
            Some(b'n') => None,
            Some(b'"') => serde_json::from_str(raw).ok(),
            _ => Some(raw.to_owned()),
        }
    }

    /// A value of a column, as statements take it.
    pub(crate) fn value(&self, column: &Column) -> Option<Value> {
        Value::of(column.kind, &self.text_of(&column.name)?)
    }

    /// What tells this row from all others.
    pub(crate) fn key<'a>(&self, key: &[&'a Column]) -> Result<Condition<'a>, Refusal> {
        let mut all = Vec::with_capacity(key.len());
        for column in key {
            let reason = || format!("a row has no value in its key `{}`", column.name);
            let value = self.value(column).ok_or_else(|| Refusal::Unfit { reason: reason() })?;
            all.push(Condition::equals(column, value));
        }
        Ok(Condition::All(all))
    }

    /// The parts of the key as a path writes them.
    pub(crate) fn path(&self, key: &[&Column]) -> String {
        let parts = key.iter().map(|column| {
            let text = self.text_of(&column.name).unwrap_or_default();
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
            let encoded = text.bytes().map(|byte| match byte {
                byte if is_plain(byte) => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            });
            encoded.collect::<String>()
        });
        parts.collect::<Vec<_>>().join(",")
    }

    /// Some of the columns.
    pub(crate) fn only(&self, columns: &[&Column]) -> Vec<u8> {
        let mut out = vec![b'{'];
        for (at, column) in columns.iter().enumerate() {
            out.extend_from_slice(if at > 0 { b"," } else { b"" });
            crate::source::json::text(&mut out, &column.name);
            out.push(b':');
            out.extend_from_slice(self.raw(&column.name).unwrap_or("null").as_bytes());
        }
        out.push(b'}');
        out
    }

    /// The version of the row.
    pub(crate) fn version(&self, versions: &Versions) -> String {
        let raw = versions.column.as_ref().and_then(|name| self.raw(name));
        versions.marks.of(raw.map_or(&*self.text, str::as_bytes))
    }
}

/// How versions of an object's rows are told apart.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    /// The column that tells them; without it the whole row does.
    pub(crate) column: Option<String>,
    pub(crate) marks: Marks,
}

/// Digests that only who has the key can make.
pub(crate) enum Marks {
    /// With a key of this process, which nobody knows.
    Own(RandomState),
    /// With the workspace's.
    Sealed(Arc<dyn Seal>),
}

impl Default for Marks {
    fn default() -> Self {
        Self::Own(RandomState::new())
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Marks")
    }
}

impl Marks {
    fn of(&self, bytes: &[u8]) -> String {
        match self {
            Self::Own(state) => digits(&state.hash_one(bytes).to_be_bytes()),
            Self::Sealed(seal) => digits(&seal.mark(bytes, FOR_VERSION)),
        }
    }
}

/// The start of a digest, in digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    digits(&Sha256::digest(bytes))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().take(TAG_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// The tag of an answer: the version of the row, and what the answer shows of it.
pub(crate) fn tag(version: &str, shown: &[u8]) -> String {
    format!("\"{version}.{}\"", digest(shown))
}

/// What a request says about versions.
#[derive(Debug, Default)]
pub(crate) struct Preconditions {
    matches: Option<Vec<String>>,
    none_match: Option<Vec<String>>,
}

impl Preconditions {
    /// Reads the tags of a request.
    pub(crate) fn read(headers: &crate::Headers) -> Self {
        let tags = |name: &str| {
            let all: Vec<String> = headers
                .all(name)
                .flat_map(|value| value.split(','))
                .map(|tag| tag.trim().to_owned())
                .collect();
            (!all.is_empty()).then_some(all)
        };
        Self { matches: tags("if-match"), none_match: tags("if-none-match") }
    }

    /// Whether the request says which version it changes; where an item may be made, that there
    /// is none says so too.
    pub(crate) fn names_a_version(&self, may_make: bool) -> bool {
        let is_none = |tags: &Vec<String>| tags.iter().any(|tag| tag == "*");
        self.matches.is_some() || (may_make && self.none_match.as_ref().is_some_and(is_none))
    }

    /// Whether a write may change the row that there is. Only the version counts, not what the
    /// caller's answer showed of it; a weak tag names none: RFC 9110, 13.1.1.
    pub(crate) fn allow(&self, version: Option<&str>) -> Result<(), Refusal> {
        let names = |tags: &[String], version: &str| {
            tags.iter().any(|tag| {
                let bare = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
                let own = bare.map(|tag| tag.split_once('.').map_or(tag, |(own, _)| own));
                tag == "*" || own == Some(version)
            })
        };
        let is_matched = match (&self.matches, version) {
            (None, _) => true,
            (Some(tags), Some(version)) => names(tags, version),
            (Some(_), None) => false,
        };
        let is_excluded = match (&self.none_match, version) {
            (Some(tags), Some(version)) => names(tags, version),
            _ => false,
        };
        if is_matched && !is_excluded {
            return Ok(());
        }
        let tag = version.map(|version| format!("\"{version}\""));
        Err(Refusal::Precondition { tag })
    }

    /// The tag, when a reader has this answer already (RFC 9110, 13.1.2), as he knows it: an
    /// answer that was sent compressed has the name of its coding in the tag.
    pub(crate) fn known(&self, tag: &str) -> Option<String> {
        let bare = tag.trim_matches('"');
        let is_it = |known: &&String| {
            let own = known.trim_start_matches("W/").trim_matches('"');
            own == bare || own.strip_prefix(bare).is_some_and(|coding| coding.starts_with('-'))
        };
        let mut tags = self.none_match.iter().flatten();
        if self.none_match.iter().flatten().any(|known| known == "*") {
            return Some(tag.to_owned());
        }
        tags.find(is_it).map(|known| known.trim_start_matches("W/").to_owned())
    }

    /// Whether a reader's condition fails: the version that it wants is gone.
    pub(crate) fn wants_another(&self, version: &str) -> bool {
        let only = Self { matches: self.matches.clone(), none_match: None };
        only.allow(Some(version)).is_err()
    }
}
