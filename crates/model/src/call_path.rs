//! A place in the answer of an earlier call of a webhook: `created.id`, `found.items[0].id`.
//!
//! In: the text of an output, or what follows `calls.` in a template. Out: the id of the call and
//! the path in its answer. The id alone is the whole answer, as text.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Name, RecordPath};

/// The id of a call, and a path in its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallPath {
    source: String,
    /// The call's id.
    pub call: Name,
    /// The place in its answer; the root is the whole answer.
    pub path: RecordPath,
}

/// A text that does not begin with the id of a call, or goes on with no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a place in an answer ({problem}); write `call_id` or `call_id.path`")]
pub struct InvalidCallPath {
    /// The text.
    pub text: String,
    /// What stopped the reading of it.
    pub problem: String,
}

impl CallPath {
    /// Whether it is the whole answer.
    pub fn is_whole(&self) -> bool {
        self.path.steps().is_empty()
    }
}

impl FromStr for CallPath {
    type Err = InvalidCallPath;

    fn from_str(text: &str) -> Result<Self, InvalidCallPath> {
        let invalid = |problem: String| InvalidCallPath { text: text.into(), problem };
        let (call, rest) = text.split_at(text.find(['.', '[']).unwrap_or(text.len()));
        let call = call.parse().map_err(|_| invalid("a call's id is missing".into()))?;
        let path = match rest {
            "" => RecordPath::root(),
            rest => format!("${rest}")
                .parse()
                .map_err(|error: crate::InvalidPath| invalid(error.problem))?,
        };
        Ok(Self { source: text.to_owned(), call, path })
    }
}

impl fmt::Display for CallPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.source)
    }
}

impl Serialize for CallPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for CallPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for CallPath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CallPath".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "call_path" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_and_a_path() {
        let read = |text: &str| {
            text.parse::<CallPath>().map(|found| (found.call.to_string(), found.path.to_string()))
        };
        let pair = |call: &str, path: &str| Ok((call.to_owned(), path.to_owned()));
        assert_eq!(read("created"), pair("created", "$"));
        assert_eq!(read("created.id"), pair("created", "$.id"));
        assert_eq!(read("found['my list'][0].id"), pair("found", "$['my list'][0].id"));
        for bad in ["", ".id", "Created.id", "created.", "created..id", "created.a b", "a[x]"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
