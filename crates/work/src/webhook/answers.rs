//! Values out of answers: for later calls, for outputs, and for a person who looks for them.
//!
//! In: the bodies of answers. Out: exactly what stands there. Outputs are cut out of the text of
//! the answer, so that no digit of a number changes; a value that a later call takes must fit the
//! numbers of JSON values, or is refused.

use std::borrow::Cow;
use std::collections::BTreeMap;

use restway_connect::Answer;
use restway_model::definition::{Output, ValueType, WebhookCall};
use restway_model::{CallPath, RecordPath, Redactor, Scope, Secret, Step, Values};
use serde_json::Value;
use serde_json::value::RawValue;

use super::inputs::Inputs;

/// The most places that are suggested for one answer.
const SUGGESTIONS_MAX: usize = 200;
/// And how deep they lie.
const SUGGESTION_DEPTH_MAX: usize = 8;
/// An example is cut here.
const EXAMPLE_CHARS_MAX: usize = 60;
/// How many names a missing one is answered with.
const NAMES_MAX: usize = 20;

type Answers<'a> = [(&'a WebhookCall, Answer)];

/// What a call of a running webhook knows.
pub(super) struct Known<'a> {
    pub(super) inputs: &'a Inputs,
    pub(super) answers: &'a Answers<'a>,
    pub(super) redactor: &'a Redactor,
}

impl Values for Known<'_> {
    fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
        match scope {
            Scope::Param => self.inputs.value(name),
            Scope::Calls => {
                let place: CallPath = name.parse().map_err(|error| format!("{error}"))?;
                let (call, answer) = find(self.answers, &place)?;
                let value = match place.is_whole() {
                    true => Value::from(text(answer)?),
                    false => exact(at(raw(text(answer)?)?, &place.path)?)?,
                };
                if !call.store {
                    let secret = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    self.redactor.learn_given(&Secret::new(secret));
                }
                Ok(value)
            }
            _ => Err("has no value in a webhook".into()),
        }
    }
}

/// An output, converted to its type.
pub(super) fn output(answers: &Answers<'_>, output: &Output) -> Result<Box<RawValue>, String> {
    let (_, answer) = find(answers, &output.from)?;
    let text = text(answer)?;
    if output.from.is_whole() && matches!(output.kind, None | Some(ValueType::String)) {
        return boxed(Value::from(text).to_string());
    }
    match at(raw(text)?, &output.from.path) {
        Ok(found) if found.get() != "null" => converted(found, output.kind),
        Ok(_) if output.required && output.kind.is_some() => Err("is null".into()),
        Err(problem) if output.required => Err(problem),
        _ => boxed("null".into()),
    }
}

/// A value as it may be printed: an api that repeats a secret does not have it shown. What would be
/// no JSON with a mask in it, as a number, is the mask alone.
pub(super) fn masked(value: Box<RawValue>, redactor: &Redactor) -> Box<RawValue> {
    const MASK: &str = "\"***\"";
    match redactor.redact(value.get()) {
        Cow::Borrowed(_) => value,
        Cow::Owned(text) => {
            let mask = || RawValue::from_string(MASK.to_owned());
            RawValue::from_string(text).or_else(|_| mask()).unwrap_or(value)
        }
    }
}

/// The value as the type: as it stands, or by one of the two conversions.
fn converted(found: &RawValue, kind: Option<ValueType>) -> Result<Box<RawValue>, String> {
    let Some(kind) = kind else { return Ok(found.to_owned()) };
    let text: Option<String> = serde_json::from_str(found.get()).ok();
    match (kind, text) {
        (ValueType::String, None) => boxed(Value::from(found.get()).to_string()),
        (ValueType::Record, Some(text)) => {
            let inner = raw(&text).map_err(|_| "is a text, and no record in it".to_owned())?;
            let is_record = inner.get().starts_with('{');
            if is_record {
                Ok(inner.to_owned())
            } else {
                Err("is a text, and no record in it".into())
            }
        }
        // Any number is one, also beyond what a float holds: its text goes through.
        (ValueType::Double, _) if is_number(found.get()) => Ok(found.to_owned()),
        (kind, _) => {
            let value: Value = serde_json::from_str(found.get()).unwrap_or_default();
            if kind.admits(&value) {
                return Ok(found.to_owned());
            }
            Err(format!("is no {}", kind.as_str()))
        }
    }
}

fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

fn boxed(json: String) -> Result<Box<RawValue>, String> {
    RawValue::from_string(json).map_err(|error| format!("is no JSON: {error}"))
}

fn find<'a>(
    answers: &'a Answers<'_>,
    place: &CallPath,
) -> Result<(&'a WebhookCall, &'a Answer), String> {
    let found = answers.iter().find(|(call, _)| call.id == place.call);
    found.map(|(call, answer)| (*call, answer)).ok_or_else(|| "was not called yet".into())
}

fn text(answer: &Answer) -> Result<&str, String> {
    std::str::from_utf8(&answer.body).map_err(|_| "is not text".into())
}

fn raw(text: &str) -> Result<&RawValue, String> {
    serde_json::from_str(text).map_err(|_| "is in an answer that is not JSON".into())
}

/// The text at a path. Only the levels on the way are read.
fn at<'a>(whole: &'a RawValue, path: &RecordPath) -> Result<&'a RawValue, String> {
    let mut here = whole;
    for step in path.steps() {
        here = match step {
            Step::Name(name) => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(here.get())
                    .map_err(|_| format!("is not there: there is no object around `{name}`"))?;
                *members.get(name).ok_or_else(|| {
                    let names: Vec<&str> =
                        members.keys().take(NAMES_MAX).map(String::as_str).collect();
                    format!("is not there: `{name}` is none of {}", names.join(", "))
                })?
            }
            Step::Index(index) => {
                let items: Vec<&RawValue> = serde_json::from_str(here.get())
                    .map_err(|_| format!("is not there: there is no list around [{index}]"))?;
                *items
                    .get(*index)
                    .ok_or_else(|| format!("is not there: the list has {}", items.len()))?
            }
        };
    }
    Ok(here)
}

/// The value, if every number in it is the same as a JSON value.
fn exact(found: &RawValue) -> Result<Value, String> {
    let value: Value =
        serde_json::from_str(found.get()).map_err(|_| "is nested too deeply".to_owned())?;
    let mut numbers = Vec::new();
    let (mut number, mut in_text, mut is_escaped) = (String::new(), false, false);
    for letter in found.get().chars().chain([' ']) {
        if in_text {
            in_text = is_escaped || letter != '"';
            is_escaped = letter == '\\' && !is_escaped;
        } else if letter.is_ascii_digit() || matches!(letter, '-' | '+' | '.' | 'e' | 'E') {
            number.push(letter);
        } else {
            // The letter `e` of `true` and `false` ends up here too, and is no number.
            if is_number(&number) {
                numbers.push(number.clone());
            }
            number.clear();
            in_text = letter == '"';
        }
    }
    match numbers.iter().find(|number| !is_kept(number)) {
        Some(number) => Err(format!("is {number}, which has more digits than can be passed on")),
        None => Ok(value),
    }
}

fn is_kept(number: &str) -> bool {
    let is_whole = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    is_whole
        || number
            .parse::<f64>()
            .is_ok_and(|float| float.is_finite() && digits(&format!("{float:e}")) == digits(number))
}

/// The digits of a number without zeros around them, and the power of ten that they stand at.
fn digits(number: &str) -> (String, i64) {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent: i64 = exponent.trim_start_matches('+').parse().unwrap_or(i64::MAX / 2);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{}{fraction}", whole.trim_start_matches('-'));
    let short = all.trim_end_matches('0');
    let power = exponent - fraction.len() as i64 + (all.len() - short.len()) as i64;
    let short = short.trim_start_matches('0');
    if short.is_empty() { (String::new(), 0) } else { (short.to_owned(), power) }
}

/// A place in an answer that an output could take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// What to write: `created.id`.
    pub from: String,
    /// The type that the value has.
    pub kind: &'static str,
    /// The beginning of the value; none for an answer that must not be shown.
    pub example: Option<String>,
}

/// The places in the answers, bounded in number and depth.
pub(super) fn suggest(answers: &Answers<'_>, redactor: &Redactor) -> Vec<Suggestion> {
    let mut all = Vec::new();
    for (call, answer) in answers {
        let value = text(answer).ok().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let mut found = Vec::new();
        let id = call.id.as_str();
        match value {
            Some(value) => places(&value, id.to_owned(), 0, &mut found),
            None => found.push((id.to_owned(), "string", Value::Null)),
        }
        all.extend(found.into_iter().map(|(from, kind, value)| {
            let shown: String = value.to_string().chars().take(EXAMPLE_CHARS_MAX).collect();
            let example = call.store.then(|| redactor.redact(&shown).into_owned());
            Suggestion { from, kind, example: example.filter(|_| !value.is_null()) }
        }));
    }
    all
}

fn places(
    value: &Value,
    path: String,
    depth: usize,
    found: &mut Vec<(String, &'static str, Value)>,
) {
    if found.len() >= SUGGESTIONS_MAX || depth > SUGGESTION_DEPTH_MAX {
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() => "long",
        Value::Number(_) => "double",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "record",
    };
    found.push((path.clone(), kind, value.clone()));
    match value {
        Value::Object(members) => {
            let is_plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            for (name, inner) in members {
                let step = match name.chars().all(is_plain) && !name.is_empty() {
                    true => format!(".{name}"),
                    false if name.contains('\'') => format!("[\"{name}\"]"),
                    false => format!("['{name}']"),
                };
                places(inner, format!("{path}{step}"), depth + 1, found);
            }
        }
        // The first element stands for all.
        Value::Array(items) => {
            if let Some(first) = items.first() {
                places(first, format!("{path}[0]"), depth + 1, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_an_api_repeats_is_no_output() {
        let redactor = Redactor::default();
        redactor.learn(&Secret::new("1234567"));
        redactor.learn(&Secret::new("say \"hush\""));
        for (from, expected) in [
            ("{\"a\": 1.10, \"b\": \"x say \\\"hush\\\"\"}", "{\"a\": 1.10, \"b\": \"x ***\"}"),
            ("[\"1234567\"]", "[\"***\"]"),
            ("1234567", "\"***\""),
            ("[1.0, 12345678]", "\"***\""),
            ("1.230", "1.230"),
        ] {
            let value = raw(from).expect("JSON").to_owned();
            assert_eq!(masked(value, &redactor).get(), expected, "{from}");
        }
    }

    #[test]
    fn conversions_are_those_of_the_table() {
        let table = [
            ("7", None, Ok("7")),
            ("1.10", None, Ok("1.10")),
            ("12345678901234567890123", Some(ValueType::Double), Ok("12345678901234567890123")),
            ("7", Some(ValueType::Double), Ok("7")),
            ("7", Some(ValueType::String), Ok("\"7\"")),
            ("{\"a\":1.0}", Some(ValueType::String), Ok("\"{\\\"a\\\":1.0}\"")),
            ("\"x\"", Some(ValueType::String), Ok("\"x\"")),
            ("\"{\\\"a\\\": 1.00}\"", Some(ValueType::Record), Ok("{\"a\": 1.00}")),
            ("\"[1]\"", Some(ValueType::Record), Err("is a text, and no record in it")),
            ("\"x\"", Some(ValueType::Record), Err("is a text, and no record in it")),
            ("[1]", Some(ValueType::List), Ok("[1]")),
            ("7", Some(ValueType::Integer), Ok("7")),
            ("3000000000", Some(ValueType::Integer), Err("is no integer")),
            ("3000000000", Some(ValueType::Long), Ok("3000000000")),
            ("1.5", Some(ValueType::Long), Err("is no long")),
            ("\"7\"", Some(ValueType::Long), Err("is no long")),
            ("\"true\"", Some(ValueType::Boolean), Err("is no boolean")),
            ("\"2024-02-29\"", Some(ValueType::Date), Ok("\"2024-02-29\"")),
            ("\"today\"", Some(ValueType::Timestamp), Err("is no timestamp")),
        ];
        for (from, kind, expected) in table {
            let said = converted(raw(from).expect("JSON"), kind).map(|raw| raw.get().to_owned());
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(said, expected, "{from} as {kind:?}");
        }
    }

    #[test]
    fn a_path_goes_down_by_key_and_index_and_names_what_is_there() {
        let whole = "{\"a\": {\"b c\": [{\"id\": 9007199254740993}]}, \"d\": 1}";
        let found = |path: &str| {
            let path: RecordPath = path.parse().expect("a path");
            at(raw(whole).expect("JSON"), &path).map(RawValue::get)
        };
        assert_eq!(found("a['b c'][0].id"), Ok("9007199254740993"));
        assert!(found("a.x").is_err_and(|error| error.contains("none of b c")));
        assert!(found("a['b c'][1]").is_err_and(|error| error.contains("the list has 1")));
        assert!(found("d.e").is_err_and(|error| error.contains("no object")));
    }

    #[test]
    fn numbers_that_would_change_are_not_passed_on() {
        let passes = |json: &str| exact(raw(json).expect("JSON")).is_ok();
        for good in ["1", "-7", "1.10", "1e3", "18446744073709551615", "0.1", "-0.0", "true"] {
            assert!(passes(good), "{good}");
        }
        for good in ["{\"12345678901234567890123\": \"\\\"99999999999999999999999\"}", "1.5E-3"] {
            assert!(passes(good), "{good}");
        }
        for bad in ["18446744073709551617", "0.12345678901234567891", "[1, {\"a\": 1e-400}]"] {
            assert!(!passes(bad), "{bad}");
        }
    }
}
