//! The one path language: names and indexes out of RFC 9535 JSONPath, with `data.items` for
//! `$.data.items`.
//!
//! This subset names exactly one place, so that an answer can be read as a stream: `$`, `.name`,
//! `['any name']`, `[0]`. Filters, slices, wildcards and descendants select many places and are
//! refused, by name, where the definition is checked.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into an object, by member name.
    Name(String),
    /// Into a list, by position from 0.
    Index(usize),
}

/// A path to one value; no steps is the whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPath {
    source: String,
    steps: Vec<Step>,
}

/// A text that is not a path of this subset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{path}` is not a path to one place ({problem}); write names and indexes, as in `data.items` or `$.result['my list'][0]`"
)]
pub struct InvalidPath {
    /// The text.
    pub path: String,
    /// What stopped the reading of it.
    pub problem: String,
}

impl RecordPath {
    /// The whole answer.
    pub fn root() -> Self {
        Self { source: "$".into(), steps: Vec::new() }
    }

    /// The steps from the top.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The value at the path, if the path is there.
    pub fn find<'value>(&self, value: &'value Value) -> Option<&'value Value> {
        self.steps.iter().try_fold(value, |value, step| match step {
            Step::Name(name) => value.get(name.as_str()),
            Step::Index(index) => value.get(index),
        })
    }
}

impl FromStr for RecordPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let invalid = |problem: &str| InvalidPath { path: text.into(), problem: problem.into() };
        let mut steps = Vec::new();
        let mut rest = match text.strip_prefix('$') {
            Some(rest) => Cow::Borrowed(rest),
            None if text.is_empty() => return Err(invalid("it is empty")),
            None if text.starts_with('[') => Cow::Borrowed(text),
            None => Cow::Owned(format!(".{text}")),
        };
        while !rest.is_empty() {
            let (step, after) = if let Some(inside) = rest.strip_prefix('[') {
                bracket(inside).map_err(&invalid)?
            } else if let Some(name) = rest.strip_prefix('.') {
                member(name).map_err(&invalid)?
            } else {
                return Err(invalid("a `.` or `[` is missing"));
            };
            steps.push(step);
            rest = Cow::Owned(after.to_owned());
        }
        Ok(Self { source: text.to_owned(), steps })
    }
}

fn member(text: &str) -> Result<(Step, &str), &'static str> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let name = &text[..end];
    if name.is_empty() {
        return Err("a name is missing; `..` selects many places");
    }
    if name.contains(['*', '?', '(', ')', ']', '\'', '"', ' ']) {
        return Err("a name with other characters is written `['so']`");
    }
    Ok((Step::Name(name.to_owned()), &text[end..]))
}

fn bracket(text: &str) -> Result<(Step, &str), &'static str> {
    if let Some(quote) = text.chars().next().filter(|first| matches!(first, '\'' | '"')) {
        let inside = &text[1..];
        let end = inside.find(quote).ok_or("a quote is not closed")?;
        let after = inside[end + 1..].strip_prefix(']').ok_or("a `]` is missing")?;
        return Ok((Step::Name(inside[..end].to_owned()), after));
    }
    let end = text.find(']').ok_or("a `]` is missing")?;
    let index = text[..end].parse().map_err(|_| "between `[` and `]` stands no index or name")?;
    Ok((Step::Index(index), &text[end + 1..]))
}

impl fmt::Display for RecordPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.source)
    }
}

impl Serialize for RecordPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for RecordPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for RecordPath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RecordPath".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "path" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_bare_and_full_paths() {
        let steps = |text: &str| text.parse::<RecordPath>().map(|path| path.steps);
        let name = |text: &str| Step::Name(text.into());
        assert_eq!(steps("data.items"), Ok(vec![name("data"), name("items")]));
        assert_eq!(steps("$"), Ok(vec![]));
        assert_eq!(steps("$.a['b c'][0]"), Ok(vec![name("a"), name("b c"), Step::Index(0)]));
        for bad in ["", "a..b", "a[*]", "a[?(@.x)]", "$x", "a[", "a['b", "a.", "a b"] {
            assert!(bad.parse::<RecordPath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn finds_one_place() {
        let value = serde_json::json!({"a": [{"b": 1}]});
        let find = |text: &str| text.parse::<RecordPath>().expect("a path").find(&value).cloned();
        assert_eq!(find("a[0].b"), Some(Value::from(1)));
        assert_eq!(find("a.b"), None);
    }
}
