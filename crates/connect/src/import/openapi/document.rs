//! An OpenAPI or Swagger document: its operations, its references, the shape of its answers.
//!
//! In: the document as a value. Out: views of it. References are followed inside the document
//! only, a bounded number of times, and a schema is walked to a bounded depth and size, so that
//! one that contains itself ends (OpenAPI 3.1.1, section 4.8.23; Swagger 2.0, "Reference Object").

use std::collections::HashSet;

use restway_model::RecordPath;
use restway_model::definition::Method;
use serde_json::{Map, Value};

use crate::import::names::plain;

/// References that lead to references.
const HOPS_MAX: usize = 16;
/// What a member costs of the depth; a part of a schema costs 1, so that a loop of parts ends, too.
const MEMBER_COST: usize = 4;
/// Schemas inside schemas, down to the records.
const DEPTH_MAX: usize = 5 * MEMBER_COST;
/// Schemas inside a record.
const RECORD_DEPTH_MAX: usize = 2 * MEMBER_COST;
/// Schemas that are looked at for one answer.
const SCHEMAS_MAX: usize = 4_000;
/// Operations of one document.
const OPERATIONS_MAX: usize = 50_000;

/// The methods that a path may have, in the order of the standard.
const METHODS: [(&str, Method); 5] = [
    ("get", Method::Get),
    ("put", Method::Put),
    ("post", Method::Post),
    ("delete", Method::Delete),
    ("patch", Method::Patch),
];

/// What a schema is put together from (JSON Schema 2020-12, section 10.2.1).
const PARTS: [&str; 3] = ["allOf", "oneOf", "anyOf"];

/// A document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'a> {
    pub(super) root: &'a Value,
}

/// What can be done with a path.
#[derive(Debug)]
pub(super) struct Operation<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) value: &'a Value,
    pub(super) parameters: Vec<Parameter<'a>>,
    /// Whether it or its path names servers of its own.
    pub(super) has_server: bool,
}

/// A parameter of an operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter<'a> {
    pub(super) name: &'a str,
    /// `path`, `query`, `header`, `cookie`; in Swagger also `body` and `formData`.
    pub(super) place: &'a str,
    pub(super) is_required: bool,
    /// Its type, bounds, default and words; in Swagger it says them itself.
    pub(super) schema: &'a Value,
    pub(super) value: &'a Value,
}

impl<'a> Document<'a> {
    /// The value, or what its reference leads to; null where that leads nowhere.
    pub(super) fn at(&self, mut value: &'a Value) -> &'a Value {
        for _ in 0..HOPS_MAX {
            let Some(reference) = value["$ref"].as_str() else { return value };
            let pointer = reference.strip_prefix('#').map(decoded);
            match pointer.and_then(|pointer| self.root.pointer(&pointer)) {
                Some(next) => value = next,
                None => return &Value::Null,
            }
        }
        &Value::Null
    }

    /// All operations, in the order of the document.
    pub(super) fn operations(&self) -> Vec<Operation<'a>> {
        let mut operations = Vec::new();
        for (path, item) in self.root["paths"].as_object().into_iter().flatten() {
            let item = self.at(item);
            for (word, method) in METHODS {
                let value = &item[word];
                if value.is_object() && operations.len() < OPERATIONS_MAX {
                    let parameters = self.parameters(&item["parameters"], &value["parameters"]);
                    let has_server = value["servers"].is_array() || item["servers"].is_array();
                    operations.push(Operation { method, path, value, parameters, has_server });
                }
            }
        }
        operations
    }

    /// The parameters of an operation, over those of its path.
    fn parameters(&self, shared: &'a Value, own: &'a Value) -> Vec<Parameter<'a>> {
        let mut all: Vec<Parameter<'a>> = Vec::new();
        let list = |value: &'a Value| value.as_array().into_iter().flatten();
        for value in list(shared).chain(list(own)) {
            let value = self.at(value);
            let (Some(name), Some(place)) = (value["name"].as_str(), value["in"].as_str()) else {
                continue;
            };
            let content = value["content"].as_object().and_then(|content| content.values().next());
            let schema = value.get("schema").or_else(|| content.and_then(|one| one.get("schema")));
            let is_required = value["required"] == true;
            let schema = schema.map_or(value, |schema| self.at(schema));
            all.retain(|other| other.name != name || other.place != place);
            all.push(Parameter { name, place, is_required, schema, value });
        }
        all
    }

    /// The answer that means success: its headers and schema.
    pub(super) fn success(&self, operation: &Operation<'a>) -> Option<&'a Value> {
        let answers = operation.value["responses"].as_object()?;
        let named = ["200", "2XX", "2xx", "206", "default"].into_iter();
        named.filter_map(|status| answers.get(status)).map(|answer| self.at(answer)).next()
    }

    /// The schema of an answer or body that is JSON.
    pub(super) fn json_schema(&self, holder: &'a Value) -> Option<&'a Value> {
        let is_json = |kind: &str| kind.contains("json") || kind == "*/*";
        let content = holder["content"].as_object();
        let media = content.and_then(|content| content.iter().find(|(kind, _)| is_json(kind)));
        let schema = media.map(|(_, media)| &media["schema"]);
        schema.or_else(|| holder.get("schema")).map(|schema| self.at(schema))
    }

    /// A value that the schema admits: as much of it as names and types need.
    pub(super) fn sample(&self, schema: &'a Value) -> Value {
        self.sample_at(schema, DEPTH_MAX, false, &mut { SCHEMAS_MAX })
    }

    fn sample_at(
        &self,
        schema: &'a Value,
        depth: usize,
        in_record: bool,
        budget: &mut usize,
    ) -> Value {
        let schema = self.at(schema);
        let Some(left) = budget.checked_sub(1).filter(|_| depth > 0) else {
            return Value::Null;
        };
        let part_depth = depth - 1;
        let depth = depth.saturating_sub(MEMBER_COST);
        *budget = left;
        if let Some(items) = schema.get("items") {
            let depth = if in_record { depth } else { RECORD_DEPTH_MAX };
            return Value::Array(vec![self.sample_at(items, depth, true, budget)]);
        }
        let mut members = Map::new();
        for part in list(&schema["allOf"]) {
            if let Value::Object(others) = self.sample_at(part, part_depth, in_record, budget) {
                members.extend(others);
            }
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            members.insert(name.clone(), self.sample_at(property, depth, in_record, budget));
        }
        let choices = list(&schema["oneOf"]).chain(list(&schema["anyOf"]));
        if members.is_empty() {
            let mut samples = choices.map(|one| self.sample_at(one, part_depth, in_record, budget));
            if let Some(sample) = samples.find(|sample| !sample.is_null()) {
                return sample;
            }
        }
        match kind(schema) {
            _ if !members.is_empty() => Value::Object(members),
            "object" => Value::Object(members),
            "array" => Value::Array(Vec::new()),
            "integer" => 1.into(),
            "number" => 1.5.into(),
            "boolean" => true.into(),
            "string" => match schema["format"].as_str() {
                Some("uri" | "url" | "uri-reference") => "https://h/".into(),
                Some("date-time" | "date") => "2000-01-01T00:00:00Z".into(),
                _ => "x".into(),
            },
            _ => Value::Null,
        }
    }

    /// The schema of a member.
    pub(super) fn member(&self, schema: &'a Value, name: &str) -> Option<&'a Value> {
        self.parts(schema, &PARTS).into_iter().find_map(|part| part["properties"].get(name))
    }

    /// The schema of one record, below the path to them.
    pub(super) fn record(&self, schema: &'a Value, path: Option<&RecordPath>) -> &'a Value {
        let mut schema = self.at(schema);
        for step in path.iter().flat_map(|path| path.steps()) {
            let restway_model::Step::Name(name) = step else { return &Value::Null };
            schema = self.member(schema, name).map_or(&Value::Null, |member| self.at(member));
        }
        let items = self.parts(schema, &PARTS).into_iter().find_map(|part| part.get("items"));
        items.map_or(&Value::Null, |items| self.at(items))
    }

    /// The names that a record must have.
    pub(super) fn required(&self, schema: &'a Value) -> HashSet<&'a str> {
        let parts = self.parts(schema, &PARTS);
        parts
            .into_iter()
            .flat_map(|part| list(&part["required"]))
            .filter_map(Value::as_str)
            .collect()
    }

    /// The names that a body must have, whichever choice of it is taken.
    pub(super) fn demanded(&self, schema: &'a Value) -> HashSet<&'a str> {
        let parts = self.parts(schema, &["allOf"]).into_iter();
        parts.flat_map(|part| list(&part["required"])).filter_map(Value::as_str).collect()
    }

    /// Whether a body is one of several with fields of their own.
    pub(super) fn has_choice(&self, schema: &'a Value) -> bool {
        self.parts(schema, &["allOf"]).into_iter().any(|part| {
            let choices = list(&part["oneOf"]).chain(list(&part["anyOf"]));
            let mut choices = choices.flat_map(|one| self.parts(one, &["allOf"]));
            choices.any(|one| one["properties"].is_object())
        })
    }

    /// The schema and the schemas that it is put together from.
    fn parts(&self, schema: &'a Value, keys: &[&str]) -> Vec<&'a Value> {
        const PARTS_MAX: usize = 64;
        let mut parts = vec![self.at(schema)];
        let mut next = 0;
        while let Some(&part) = parts.get(next) {
            for key in keys {
                parts.extend(list(&part[*key]).map(|part| self.at(part)));
            }
            parts.truncate(PARTS_MAX);
            next += 1;
        }
        parts
    }
}

impl<'a> Operation<'a> {
    /// The parameters of a place.
    pub(super) fn in_place(&self, place: &'a str) -> impl Iterator<Item = &Parameter<'a>> {
        self.parameters.iter().filter(move |one| one.place == place)
    }

    /// The query parameter whose plain name is one of these; the first of the names first.
    pub(super) fn query(&self, names: &[&str]) -> Option<&Parameter<'a>> {
        names.iter().find_map(|name| self.in_place("query").find(|one| plain(one.name) == *name))
    }

    /// What people call it.
    pub(super) fn summary(&self) -> Option<&'a str> {
        let texts = [&self.value["summary"], &self.value["description"]];
        texts.into_iter().filter_map(Value::as_str).find(|text| !text.trim().is_empty())
    }
}

impl<'a> Parameter<'a> {
    /// The value that it has without being given, or the only one that it may have.
    pub(super) fn fixed(&self) -> Option<&'a Value> {
        let only = self.schema["enum"].as_array().filter(|all| all.len() == 1);
        let only = only.and_then(|all| all.first());
        let found = [self.schema.get("default"), self.schema.get("const"), only];
        let is_one = |value: &&Value| value.is_string() || value.is_i64() || value.is_boolean();
        found.into_iter().flatten().find(is_one)
    }
}

/// The type of a schema; of several the first that is not null (OpenAPI 3.1).
pub(super) fn kind(schema: &Value) -> &str {
    let first = list(&schema["type"]).filter_map(Value::as_str).find(|one| *one != "null");
    let named = schema["type"].as_str().or(first);
    named.unwrap_or(if schema["properties"].is_object() { "object" } else { "" })
}

/// The items of a list; none of anything else.
pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A fragment without its `%XX` (RFC 3986, section 2.1).
fn decoded(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        let ahead = rest.clone().take(2).collect::<Vec<u8>>();
        let code = std::str::from_utf8(&ahead).ok().filter(|_| byte == b'%');
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) => {
                bytes.push(code);
                rest.next();
                rest.next();
            }
            None => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
