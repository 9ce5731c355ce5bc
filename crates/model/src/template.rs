//! The one template form: `${scope.name}` inside any text of a definition.
//!
//! A text that is exactly one `${…}` keeps the type of its value (a number stays a number in a
//! JSON body); anything around it makes the whole a text. `$${` writes a literal `${`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::CallPath;
use crate::suggest::nearest;

/// Where the value of a reference comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// The workspace's secret store.
    Secret,
    /// The environment of the process.
    Env,
    /// A parameter of the call.
    Param,
    /// The row of the parent resource, in a `for_each`.
    Parent,
    /// The answer of an earlier call of the same webhook: `${calls.id.path}`.
    Calls,
    /// The row that an export sends: `${row.column}`.
    Row,
    /// The bounds of what is asked for now: `${window.start}`, `${window.end}`.
    Window,
    /// How far the syncs before came: `${state.cursor}`.
    State,
    /// The export job that a resource waits for: `${job.id}`.
    Job,
    /// The request that is being signed.
    Request,
}

impl Scope {
    const ALL: [Scope; 10] = [
        Scope::Secret,
        Scope::Env,
        Scope::Param,
        Scope::Parent,
        Scope::Calls,
        Scope::Row,
        Scope::Window,
        Scope::State,
        Scope::Job,
        Scope::Request,
    ];

    /// The word before the dot.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Env => "env",
            Self::Param => "param",
            Self::Parent => "parent",
            Self::Calls => "calls",
            Self::Row => "row",
            Self::Window => "window",
            Self::State => "state",
            Self::Job => "job",
            Self::Request => "request",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Reference { scope: Scope, name: String },
}

/// A text with references in it, parsed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    source: String,
    pieces: Vec<Piece>,
}

/// A text whose `${…}` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// `${` without `}`.
    #[error("`${{` without a closing `}}`; write `$${{` for the two characters themselves")]
    Unclosed,
    /// Not `scope.name`.
    #[error("`${{{0}}}` is not `${{scope.name}}`")]
    Shape(String),
    /// A scope that does not exist.
    #[error("there is no scope `{scope}`; there are secret, env, param, parent, calls, row, window, state, job and request{}",
        .suggestion.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default())]
    Scope {
        /// The word before the dot.
        scope: String,
        /// The nearest scope.
        suggestion: Option<&'static str>,
    },
}

/// A reference that has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`${{{scope}.{name}}}` {problem}")]
pub struct TemplateError {
    /// The word before the dot.
    pub scope: &'static str,
    /// The word after it.
    pub name: String,
    /// Why there is no value, after the name: `is not set`.
    pub problem: String,
}

/// Whatever can give a reference its value.
pub trait Values {
    /// The value of `${scope.name}`.
    ///
    /// # Errors
    /// Why there is none, to be read after the name (`is not set`), without the value of anything.
    fn value(&self, scope: Scope, name: &str) -> Result<Value, String>;

    /// The same as JSON text, in which a number has every digit that it has where it comes from.
    ///
    /// # Errors
    /// As [`Values::value`].
    fn json(&self, scope: Scope, name: &str) -> Result<String, String> {
        self.value(scope, name).map(|value| value.to_string())
    }
}

impl FromStr for Template {
    type Err = InvalidTemplate;

    fn from_str(source: &str) -> Result<Self, InvalidTemplate> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some(start) = rest.find("${") {
            let (before, from) = rest.split_at(start);
            if let Some(before) = before.strip_suffix('$') {
                text.push_str(before);
                text.push_str("${");
                rest = &from[2..];
                continue;
            }
            text.push_str(before);
            let end = from.find('}').ok_or(InvalidTemplate::Unclosed)?;
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(reference(&from[2..end])?);
            rest = &from[end + 1..];
        }
        text.push_str(rest);
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Self { source: source.to_owned(), pieces })
    }
}

fn reference(inside: &str) -> Result<Piece, InvalidTemplate> {
    let shape = || InvalidTemplate::Shape(inside.to_owned());
    let (scope, name) = inside.trim().split_once('.').ok_or_else(shape)?;
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_name = match scope {
        // A path into an answer has brackets, and in them names with any letter.
        "calls" => name.parse::<CallPath>().is_ok(),
        _ => !name.is_empty() && name.chars().all(is_plain),
    };
    if !is_name {
        return Err(shape());
    }
    let known = Scope::ALL.into_iter().find(|known| known.as_str() == scope);
    let scope = known.ok_or_else(|| InvalidTemplate::Scope {
        scope: scope.to_owned(),
        suggestion: nearest(scope, Scope::ALL.map(Scope::as_str)).and_then(|near| {
            Scope::ALL.into_iter().map(Scope::as_str).find(|known| *known == near)
        }),
    })?;
    Ok(Piece::Reference { scope, name: name.to_owned() })
}

impl Template {
    /// A text without references, taken as it is.
    pub fn literal(text: &str) -> Self {
        let pieces = if text.is_empty() { Vec::new() } else { vec![Piece::Text(text.to_owned())] };
        Self { source: text.replace("${", "$${"), pieces }
    }

    /// The text as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The references, in order.
    pub fn references(&self) -> impl Iterator<Item = (Scope, &str)> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Reference { scope, name } => Some((*scope, name.as_str())),
            Piece::Text(_) => None,
        })
    }

    /// The value, typed when the text is exactly one reference.
    ///
    /// # Errors
    /// The first reference without a value.
    pub fn value(&self, values: &dyn Values) -> Result<Value, TemplateError> {
        match self.pieces.as_slice() {
            [Piece::Reference { scope, name }] => look_up(values, *scope, name),
            _ => self.text(values).map(Value::String),
        }
    }

    /// The same as [`Template::value`], as JSON text with every digit.
    ///
    /// # Errors
    /// The first reference without a value.
    pub fn json(&self, values: &dyn Values) -> Result<String, TemplateError> {
        match self.pieces.as_slice() {
            [Piece::Reference { scope, name }] => {
                values.json(*scope, name).map_err(|problem| missing(*scope, name, problem))
            }
            _ => Ok(Value::String(self.text(values)?).to_string()),
        }
    }

    /// The text with every reference replaced.
    ///
    /// # Errors
    /// The first reference without a value.
    pub fn text(&self, values: &dyn Values) -> Result<String, TemplateError> {
        self.text_with(values, &|value| Cow::Borrowed(value))
    }

    /// The text with every reference replaced and each value passed through `encode` first: how a
    /// value goes into a URL path without becoming part of its structure.
    ///
    /// # Errors
    /// The first reference without a value.
    pub fn text_with(
        &self,
        values: &dyn Values,
        encode: &dyn for<'v> Fn(&'v str) -> Cow<'v, str>,
    ) -> Result<String, TemplateError> {
        let mut text = String::with_capacity(self.source.len());
        for piece in &self.pieces {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Reference { scope, name } => match look_up(values, *scope, name)? {
                    Value::String(value) => text.push_str(&encode(&value)),
                    Value::Null => {}
                    other => text.push_str(&encode(&other.to_string())),
                },
            }
        }
        Ok(text)
    }
}

fn look_up(values: &dyn Values, scope: Scope, name: &str) -> Result<Value, TemplateError> {
    values.value(scope, name).map_err(|problem| missing(scope, name, problem))
}

fn missing(scope: Scope, name: &str, problem: String) -> TemplateError {
    TemplateError { scope: scope.as_str(), name: name.to_owned(), problem }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.source)
    }
}

impl Serialize for Template {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Template {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "template" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Values for Fixed {
        fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
            match (scope, name) {
                (Scope::Param, "n") => Ok(Value::from(7)),
                (Scope::Parent, "id") => Ok(Value::from("a/b")),
                _ => Err("is not set".into()),
            }
        }
    }

    #[test]
    fn keeps_the_type_of_a_lone_reference_and_text_otherwise() {
        let value = |text: &str| text.parse::<Template>().map(|found| found.value(&Fixed));
        assert_eq!(value("${param.n}"), Ok(Ok(Value::from(7))));
        assert_eq!(value("n=${param.n}!"), Ok(Ok(Value::from("n=7!"))));
        assert_eq!(value("$${param.n}"), Ok(Ok(Value::from("${param.n}"))));
        assert_eq!(value("costs $5 {x}"), Ok(Ok(Value::from("costs $5 {x}"))));
        let missing = value("${env.X}").expect("it parses").expect_err("it has no value");
        assert_eq!(missing.to_string(), "`${env.X}` is not set");
    }

    #[test]
    fn encodes_values_but_not_the_text_around_them() {
        let path: Template = "/p/${parent.id}/x".parse().expect("a template");
        let encoded = path.text_with(&Fixed, &|value| Cow::Owned(value.replace('/', "%2F")));
        assert_eq!(encoded.as_deref(), Ok("/p/a%2Fb/x"));
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| text.parse::<Template>().expect_err("invalid").to_string();
        assert!(error("${secrets.x}").contains("did you mean `secret`?"));
        assert!(error("${secret}").contains("not `${scope.name}`"));
        assert!(error("a ${b").contains("closing"));
        assert!(error("${calls.a[x]}").contains("not `${scope.name}`"));
        assert!("${calls.a['b c'][0].d}".parse::<Template>().is_ok());
    }
}
