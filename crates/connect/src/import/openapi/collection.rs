//! Operations that read a list: what is known of each before its place among the others is.
//!
//! In: an operation that reads. Out: where its records are, their key, its pages, its query; or the
//! reason why it is no collection. Pure.

use restway_model::definition::{Method, Paginate};
use restway_model::{Name, RecordPath, names_credential, snake};
use serde_json::{Map, Value};

use super::document::{Document, Operation};
use super::{leave, paging};
use crate::draft::{LeftOut, literal, one_line, secret};
use crate::import::Wishes;
use crate::import::names::{plain, words};
use crate::probe::shape;

/// Headers that a definition does not set, or that OpenAPI says are not parameters (4.8.12.1).
const HEADERS: [&str; 9] = [
    "accept",
    "content-type",
    "authorization",
    "host",
    "content-length",
    "connection",
    "cookie",
    "proxy-authorization",
    "user-agent",
];
/// Fields beside the list in the answer of a collection whose list has an unusual name.
const OTHERS_MAX: usize = 4;
/// The longest summary in a comment.
const SUMMARY_MAX: usize = 90;

/// A collection: a resource whose place is not known yet.
#[derive(Debug)]
pub(super) struct Collection<'a> {
    pub(super) path: &'a str,
    /// The path with the values that the person gave.
    pub(super) given_path: String,
    pub(super) summary: String,
    /// The names of the path's parameters that no value was given for, with their types.
    pub(super) parameters: Vec<(String, String)>,
    pub(super) records: Option<RecordPath>,
    pub(super) record: Value,
    pub(super) key: Option<String>,
    pub(super) paginate: Paginate,
    pub(super) evidence: Option<String>,
    pub(super) query: Map<String, Value>,
    pub(super) headers: Map<String, Value>,
    /// What was guessed, each a sentence.
    pub(super) guesses: Vec<String>,
}

/// Why an operation is no collection.
enum Not {
    /// It would be one with values for these.
    Needs(Vec<String>),
    Because(&'static str),
}

/// All collections among the operations.
pub(super) fn all<'a>(
    document: Document<'a>,
    operations: &[Operation<'a>],
    wishes: &Wishes,
    api: &Name,
    left_out: &mut LeftOut,
) -> Vec<Collection<'a>> {
    let mut found = Vec::new();
    for operation in operations.iter().filter(|one| one.method == Method::Get) {
        match collection(document, operation, wishes, api) {
            Ok(collection) => found.push(collection),
            Err(Not::Needs(names)) => left_out.until_set(names, operation.path),
            Err(Not::Because(reason)) => leave(left_out, reason, operation),
        }
    }
    found
}

/// One operation as a collection, or why it is none.
fn collection<'a>(
    document: Document<'a>,
    operation: &Operation<'a>,
    wishes: &Wishes,
    api: &Name,
) -> Result<Collection<'a>, Not> {
    let answer = document.success(operation).unwrap_or(&Value::Null);
    let schema = document.json_schema(answer);
    let sample = schema.map_or(Value::Null, |schema| document.sample(schema));
    let mut guesses = Vec::new();
    let records = records(operation, &sample, &mut guesses).map_err(Not::Because)?;
    let rows = shape::rows(&sample, records.as_ref());
    let record = rows.first().map_or(Value::Null, |row| (*row).clone());
    let envelope = shape::envelope(&sample, records.as_ref());
    let word = words(operation.path).last().copied().unwrap_or("records");
    let key = key(document, schema, records.as_ref(), &record, word, &mut guesses);
    let found = paging::find(operation, &answer["headers"], &envelope, &record);
    let (paginate, mut query, evidence) = match found {
        Some(found) => (found.paginate, found.query, Some(found.evidence)),
        None => (Paginate::None {}, Map::new(), None),
    };
    let headers = required(operation, &paginate, wishes, api, &mut query)?;
    let mut given_path = literal(operation.path);
    let mut parameters = Vec::new();
    for name in braces(operation.path) {
        match wishes.set.get(name) {
            Some(value) => {
                let whole = format!("{{{name}}}");
                given_path = given_path.replace(&whole, &literal(&encoded(value)));
            }
            None => {
                let schema = operation.in_place("path").find(|one| one.name == name);
                let kind = schema.map_or("", |one| super::document::kind(one.schema));
                parameters.push((name.to_owned(), kind.to_owned()));
            }
        }
    }
    let summary = operation.summary().unwrap_or("");
    let summary = summary.split(['\n', '<']).next().unwrap_or("").trim();
    Ok(Collection {
        path: operation.path,
        given_path,
        summary: one_line(summary, SUMMARY_MAX),
        parameters,
        records,
        record,
        key,
        paginate,
        evidence,
        query,
        headers,
        guesses,
    })
}

/// A value as one segment of a path.
fn encoded(value: &str) -> String {
    crate::plan::encoded(value).into_owned()
}

/// The path to the records, if the answer is a list or holds the one list that is meant.
fn records(
    operation: &Operation<'_>,
    sample: &Value,
    guesses: &mut Vec<String>,
) -> Result<Option<RecordPath>, &'static str> {
    let one = "that read one record, or nothing with rows";
    let ends_in_parameter = operation.path.trim_end_matches('/').ends_with('}');
    match sample {
        Value::Array(items) if items.first().is_some_and(Value::is_object) => Ok(None),
        Value::Array(items) if items.first().is_some_and(Value::is_null) => {
            guesses.push("The document does not say what is in the list.".into());
            Ok(None)
        }
        Value::Array(_) => Err("whose lists hold no objects"),
        Value::Object(members) if !members.is_empty() => {
            let path = shape::records_path(sample).ok_or(one)?;
            let last = path.to_string();
            let last = last.rsplit('.').next().unwrap_or_default();
            let segment = words(operation.path).last().copied().unwrap_or_default();
            let is_named = shape::LISTS.contains(&last) || plain(last) == plain(segment);
            let envelope = shape::envelope(sample, Some(&path));
            let has_pages =
                paging::find(operation, &Value::Null, &envelope, &Value::Null).is_some();
            let is_small = members.len() <= OTHERS_MAX && !members.contains_key("id");
            // A record that holds a list is not one: `/account` with `external_accounts.data`.
            let is_record = members.contains_key("id") && plain(last) != plain(segment);
            let is_meant = !is_record && (is_named || has_pages || is_small);
            if is_meant && (!ends_in_parameter || is_named && !members.contains_key("id")) {
                Ok(Some(path))
            } else {
                Err(one)
            }
        }
        // Nothing is said about the answer: the words of the path must say that it is a list.
        Value::Null | Value::Object(_) => {
            let last = operation.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            if !ends_in_parameter
                && last.ends_with('s')
                && !last.ends_with("ss")
                && last != "status"
            {
                guesses.push("The document does not say what it answers: add `records`.".into());
                return Ok(None);
            }
            Err("of which the document does not say what they answer")
        }
        _ => Err(one),
    }
}

/// The field that tells the records apart.
fn key<'a>(
    document: Document<'a>,
    schema: Option<&'a Value>,
    records: Option<&RecordPath>,
    record: &Value,
    word: &str,
    guesses: &mut Vec<String>,
) -> Option<String> {
    let name = shape::key(&[record], &super::super::names::slug(word))?;
    let required = document.required(document.record(schema?, records));
    if !required.contains(name.as_str()) {
        let is_sure = name.eq_ignore_ascii_case("id") || name.to_lowercase().ends_with("id");
        if !is_sure {
            return None;
        }
        guesses.push(format!("Key: `{name}`, which need not be there by the document."));
    }
    Some(snake(&name))
}

/// The headers that must be sent; query parameters that must be are added to the query.
fn required(
    operation: &Operation<'_>,
    paginate: &Paginate,
    wishes: &Wishes,
    api: &Name,
    query: &mut Map<String, Value>,
) -> Result<Map<String, Value>, Not> {
    let moving: Vec<&str> = [paginate.slot(), paginate.limit_slot()]
        .into_iter()
        .flatten()
        .filter_map(|slot| match slot {
            restway_model::definition::Slot::Query(name) => Some(name),
            _ => None,
        })
        .collect();
    let (mut headers, mut needs) = (Map::new(), Vec::new());
    for parameter in &operation.parameters {
        let name = parameter.name;
        let is_header = parameter.place == "header";
        if !is_header && parameter.place != "query" || moving.contains(&name) {
            continue;
        }
        let given = wishes.set.get(name).map(|value| Value::from(literal(value)));
        if !parameter.is_required && (is_header || given.is_none()) {
            continue;
        }
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let is_odd = name.is_empty() || !name.chars().all(is_token);
        if is_header && (is_odd || HEADERS.contains(&name.to_ascii_lowercase().as_str())) {
            continue;
        }
        let fixed = parameter.fixed().map(|value| match value {
            Value::String(text) => Value::from(literal(text)),
            other => other.clone(),
        });
        let value = given.or(fixed).or_else(|| query.get(name).cloned());
        let value = if names_credential(name) {
            Some(Value::from(secret(api, name).source()))
        } else {
            value
        };
        let Some(value) = value else {
            needs.push(name.to_owned());
            continue;
        };
        if is_header {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            headers.insert(name.to_owned(), text.replace(['\n', '\r'], " ").into());
        } else {
            query.insert(name.to_owned(), value);
        }
    }
    if !needs.is_empty() {
        let in_path = operation.in_place("path").map(|one| one.name);
        needs.splice(
            0..0,
            in_path.filter(|name| !wishes.set.contains_key(*name)).map(str::to_owned),
        );
        return Err(Not::Needs(needs));
    }
    Ok(headers)
}

/// The names in braces.
pub(super) fn braces(path: &str) -> Vec<&str> {
    path.split('{').skip(1).filter_map(|piece| Some(piece.split_once('}')?.0)).collect()
}
