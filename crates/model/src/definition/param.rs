//! Typed parameters: what a webhook may be given, and whether a value is that.
//!
//! In: a value of JSON, or a text that a person typed. Out: the value with defaults filled in, or
//! every problem of it with its place. The types are Palantir's for webhook inputs. Nothing is
//! converted in silence: `"7"` is no integer unless it was typed on a command line, which has
//! only texts.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::nearest;

/// The type of a parameter or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// true or false.
    Boolean,
    /// A whole number of 32 bits.
    Integer,
    /// A whole number of 64 bits.
    Long,
    /// Any number.
    Double,
    /// A text.
    String,
    /// A day: `2026-03-01`.
    Date,
    /// A moment with its offset (RFC 3339): `2026-03-01T10:00:00Z`.
    Timestamp,
    /// A list.
    List,
    /// An object.
    Record,
    /// A file of the workspace, by its path; `${param.…}` is its content as base64.
    Attachment,
}

impl ValueType {
    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Long => "long",
            Self::Double => "double",
            Self::String => "string",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::List => "list",
            Self::Record => "record",
            Self::Attachment => "attachment",
        }
    }

    /// Whether a value is of the type, elements and keys aside.
    pub fn admits(self, value: &Value) -> bool {
        let is_text = |check: fn(&str) -> bool| value.as_str().is_some_and(check);
        match self {
            Self::Boolean => value.is_boolean(),
            Self::Integer => value.as_i64().is_some_and(|whole| i32::try_from(whole).is_ok()),
            Self::Long => value.is_i64(),
            Self::Double => value.is_number(),
            Self::String => value.is_string(),
            Self::Date => is_text(|text| {
                text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
            }),
            Self::Timestamp => is_text(|text| DateTime::parse_from_rfc3339(text).is_ok()),
            Self::List => value.is_array(),
            Self::Record => value.is_object(),
            Self::Attachment => is_text(|text| !text.is_empty()),
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Boolean => "true or false",
            Self::Integer => "a whole number of 32 bits",
            Self::Long => "a whole number of 64 bits",
            Self::Double => "a number",
            Self::String => "a text",
            Self::Date => "a date such as 2026-03-01",
            Self::Timestamp => "a moment such as 2026-03-01T10:00:00Z",
            Self::List => "a list",
            Self::Record => "an object",
            Self::Attachment => "the path of a file",
        }
    }
}

/// A parameter of a webhook, the elements of a list, or a key of a record.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// The type.
    #[serde(rename = "type")]
    pub kind: ValueType,
    /// What people call it.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it must be given; true unless there is a `default`. One that need not be and is not
    /// given is null, and a member of `json` or key of a record that is it is left out.
    pub required: Option<bool>,
    /// The value when none is given.
    pub default: Option<Value>,
    /// The only texts that a string may be.
    #[serde(default)]
    pub one_of: Vec<String>,
    /// What the elements of a list are; any without it.
    pub of: Option<Box<Param>>,
    /// The keys of a record; any without them.
    #[serde(default)]
    pub keys: BTreeMap<String, Param>,
    /// Whether its value is masked everywhere, and never taken from an argument.
    #[serde(default)]
    pub secret: bool,
}

/// What is wrong with a value, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueProblem {
    /// The parameter, and the place in its value: `lines[0].amount`.
    pub path: String,
    /// What is wrong, after the path.
    pub problem: String,
    /// What helps.
    pub hint: Option<String>,
}

impl Param {
    /// Whether it must be given.
    pub fn is_required(&self) -> bool {
        self.required.unwrap_or(self.default.is_none())
    }

    /// What it is when it is not given, if it need not be.
    pub fn absent(&self) -> Option<Value> {
        match &self.default {
            Some(value) => Some(value.clone()),
            None if self.is_required() => None,
            None => Some(Value::Null),
        }
    }

    /// A text of a command line as a value: texts as they are, all else as JSON.
    ///
    /// # Errors
    /// What the text should have been.
    pub fn read(&self, text: &str) -> Result<Value, String> {
        use ValueType::{Attachment, Date, String, Timestamp};
        if matches!(self.kind, String | Date | Timestamp | Attachment) {
            return Ok(Value::from(text));
        }
        // The text is not repeated: it may be a secret in the wrong place.
        serde_json::from_str(text).map_err(|_| format!("must be {}", self.kind.expected()))
    }

    /// The value with the defaults of records' keys filled in; problems are added to the list.
    pub fn take(&self, value: Value, path: &str, problems: &mut Vec<ValueProblem>) -> Value {
        if value.is_null() && !self.is_required() {
            return value;
        }
        let mut report = |problem: String, hint: Option<String>| {
            problems.push(ValueProblem { path: path.to_owned(), problem, hint });
        };
        if !self.kind.admits(&value) {
            report(format!("must be {}, and is {}", self.kind.expected(), kind(&value)), None);
            return value;
        }
        match value {
            Value::String(text) if !self.one_of.is_empty() && !self.one_of.contains(&text) => {
                let words = self.one_of.join(", ");
                let near = nearest(&text, self.one_of.iter().map(String::as_str));
                let hint = near.map(|near| format!("did you mean `{near}`?"));
                report(format!("must be one of {words}"), hint);
                Value::String(text)
            }
            Value::Array(items) => match &self.of {
                Some(of) => {
                    let each = items.into_iter().enumerate();
                    let taken =
                        each.map(|(at, item)| of.take(item, &format!("{path}[{at}]"), problems));
                    Value::Array(taken.collect())
                }
                None => Value::Array(items),
            },
            Value::Object(members) if !self.keys.is_empty() => {
                take_all(&self.keys, members, &format!("{path}."), problems)
            }
            value => value,
        }
    }
}

/// A record by the parameters that its keys are.
fn take_all(
    keys: &BTreeMap<String, Param>,
    mut given: Map<String, Value>,
    prefix: &str,
    problems: &mut Vec<ValueProblem>,
) -> Value {
    let mut taken = Map::new();
    for (name, param) in keys {
        let path = format!("{prefix}{name}");
        match (given.remove(name), param.absent()) {
            (Some(value), _) => {
                taken.insert(name.clone(), param.take(value, &path, problems));
            }
            (None, Some(Value::Null)) => {}
            (None, Some(value)) => {
                taken.insert(name.clone(), value);
            }
            (None, None) => {
                let problem = "is missing".to_owned();
                problems.push(ValueProblem { path, problem, hint: None });
            }
        }
    }
    for name in given.keys() {
        let near = nearest(name, keys.keys().map(String::as_str));
        problems.push(ValueProblem {
            path: format!("{prefix}{name}"),
            problem: "is not known".into(),
            hint: near.map(|near| format!("did you mean `{near}`?")),
        });
    }
    Value::Object(taken)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "another number",
        Value::String(_) => "another text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn take(param: Value, value: Value) -> Result<Value, Vec<String>> {
        let param: Param = serde_json::from_value(param).expect("a parameter");
        let mut problems = Vec::new();
        let taken = param.take(value, "p", &mut problems);
        let said = problems.into_iter().map(|one| format!("{} {}", one.path, one.problem));
        let said: Vec<String> = said.collect();
        if said.is_empty() { Ok(taken) } else { Err(said) }
    }

    #[test]
    fn each_type_takes_its_own_and_nothing_else() {
        let good = [
            ("boolean", json!(true)),
            ("integer", json!(-2_147_483_648)),
            ("long", json!(i64::MAX)),
            ("double", json!(7)),
            ("double", json!(1.5)),
            ("string", json!("")),
            ("date", json!("2024-02-29")),
            ("timestamp", json!("2026-03-01T10:00:00+02:00")),
            ("list", json!([1, "a"])),
            ("record", json!({"any": 1})),
        ];
        for (kind, value) in &good {
            assert_eq!(take(json!({"type": kind}), value.clone()).as_ref(), Ok(value), "{kind}");
        }
        let bad = [
            ("boolean", json!("true")),
            ("integer", json!(2_147_483_648_i64)),
            ("integer", json!(7.0)),
            ("long", json!(9_223_372_036_854_775_808_u64)),
            ("double", json!("7")),
            ("string", json!(7)),
            ("string", json!(null)),
            ("date", json!("2023-02-29")),
            ("date", json!("2023-2-1")),
            ("timestamp", json!("2026-03-01T10:00:00")),
            ("list", json!({})),
            ("record", json!([])),
            ("attachment", json!("")),
        ];
        for (kind, value) in bad {
            assert!(take(json!({"type": kind}), value.clone()).is_err(), "{kind} {value}");
        }
        assert_eq!(take(json!({"type": "long", "required": false}), json!(null)), Ok(json!(null)));
    }

    #[test]
    fn lists_and_records_say_every_problem_with_its_place() {
        let line = json!({"type": "record", "keys": {
            "sku": {"type": "string", "one_of": ["a", "bee"]},
            "count": {"type": "integer", "default": 1},
            "note": {"type": "string", "required": false},
        }});
        let lines = json!({"type": "list", "of": line});
        let filled = take(lines.clone(), json!([{"sku": "a"}]));
        assert_eq!(filled, Ok(json!([{"count": 1, "sku": "a"}])));
        let said = take(lines, json!([{"sku": "b", "count": "1"}, {"cuont": 2}, 7]));
        let expected = [
            "p[0].count must be a whole number of 32 bits, and is another text",
            "p[0].sku must be one of a, bee",
            "p[1].sku is missing",
            "p[1].cuont is not known",
            "p[2] must be an object, and is another number",
        ];
        assert_eq!(said, Err(expected.map(str::to_owned).to_vec()));
    }
}
