//! What is left of a page beside its records, and what to say when there are none.
//!
//! In: the envelope's text, complete. Out: its value, or an error that names the fields that are
//! there and the path that was likely meant. Pure.

use bytes::Bytes;
use restway_model::{Condition, RecordPath, Step, exact_json, nearest};
use serde_json::Value;

use crate::error::{Excerpt, Failure};

/// How many field names an error shows.
const FIELDS_SHOWN_MAX: usize = 20;
/// How deep a list of records is looked for, to suggest its path.
const SUGGESTION_DEPTH_MAX: usize = 3;

/// What is known of a page when it is read to its end.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PageEnd {
    /// The answer without its records: an empty list or object stands in their place.
    pub(crate) envelope: Value,
    pub(crate) records: u64,
    /// Bytes of the records.
    pub(crate) bytes: u64,
    /// The last record, if the reader was told to keep it.
    pub(crate) last: Option<Bytes>,
    /// Of each record in order, if the reader was told to.
    pub(crate) hashes: Vec<u64>,
    /// Whether the whole answer is one record.
    pub(crate) is_root_record: bool,
}

pub(super) fn read(text: &[u8]) -> Result<Value, Failure> {
    exact_json(text).map_err(|error| Failure::NotJson {
        problem: format!("outside its records {error}"),
        excerpt: Excerpt::default(),
    })
}

/// An answer that the definition calls an error.
pub(super) fn declared(condition: &Condition, answer: &Value) -> Result<(), Failure> {
    if condition.holds(answer) {
        let (condition, excerpt) = (condition.to_string(), Excerpt(answer.to_string()));
        return Err(Failure::Declared { condition, excerpt });
    }
    Ok(())
}

pub(super) fn too_large(path: &RecordPath, bound: usize) -> Failure {
    Failure::TooLarge {
        what: "the part of the answer outside its records",
        bound: format!("{bound} bytes"),
        hint: Some(format!("check `records`: the list may lie elsewhere than at `{path}`")),
    }
}

/// `near` is the text around the place, which lies `before` bytes into it.
pub(super) fn unexpected(expected: &str, offset: u64, near: &[u8], before: usize) -> Failure {
    let shown = |bytes: &[u8]| -> String {
        let text = String::from_utf8_lossy(bytes);
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    };
    let (left, right) = near.split_at(before);
    let right = &right[..right.len().min(40)];
    Failure::NotJson {
        problem: format!("at byte {offset} {expected} was expected"),
        excerpt: Excerpt(format!("…{}▸{}…", shown(left), shown(right))),
    }
}

/// Whether the path ends at what is not there, or at null, and not at something else.
pub(super) fn absent(path: &RecordPath, envelope: &Value) -> bool {
    let mut value = envelope;
    for step in path.steps() {
        let next = match (step, value) {
            (Step::Name(name), Value::Object(members)) => members.get(name.as_str()),
            (Step::Index(index), Value::Array(items)) => items.get(*index),
            (_, other) => return other.is_null(),
        };
        match next {
            Some(next) => value = next,
            None => return true,
        }
    }
    value.is_null()
}

/// The path found nothing: says what is there, as far as the path leads.
pub(super) fn missing(path: &RecordPath, envelope: &Value) -> Failure {
    let mut value = envelope;
    let mut problem = None;
    let mut wanted = None;
    for step in path.steps() {
        let next = match step {
            Step::Name(name) => value.get(name.as_str()),
            Step::Index(index) => value.get(index),
        };
        match next {
            Some(next) => value = next,
            None => {
                let shown = match step {
                    Step::Name(name) => format!("`{name}`"),
                    Step::Index(index) => format!("`[{index}]`"),
                };
                problem = Some(format!("there is no {shown} in {}", kind(value)));
                wanted = Some(step);
                break;
            }
        }
    }
    let problem = problem.unwrap_or_else(|| format!("there is {}", kind(value)));
    let names = value.as_object().map(|members| members.keys().map(String::as_str));
    let names: Vec<&str> = names.into_iter().flatten().collect();
    let slip = match wanted {
        Some(Step::Name(name)) => nearest(name, names.iter().copied()).map(str::to_owned),
        _ => None,
    };
    Failure::RecordsMissing {
        path: path.to_string(),
        problem,
        fields: names.iter().take(FIELDS_SHOWN_MAX).map(|&name| name.to_owned()).collect(),
        suggestion: slip.or_else(|| list_path(envelope, SUGGESTION_DEPTH_MAX)),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The path to the first list with objects in it.
fn list_path(value: &Value, depth: usize) -> Option<String> {
    let members = value.as_object().filter(|_| depth > 0)?;
    let has_objects = |value: &Value| {
        value.as_array().is_some_and(|items| items.first().is_some_and(Value::is_object))
    };
    let plain = |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    for (name, value) in members.iter().filter(|(name, _)| plain(name)) {
        if has_objects(value) {
            return Some(name.clone());
        }
    }
    members.iter().filter(|(name, _)| plain(name)).find_map(|(name, value)| {
        list_path(value, depth - 1).map(|below| format!("{name}.{below}"))
    })
}
