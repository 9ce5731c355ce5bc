//! The check of a tree against the grammar, finding every problem at once.
//!
//! The grammar is the JSON Schema that is derived from the Rust types, so that check, editors and
//! reference pages cannot disagree. Only what the derivation uses is understood: `$ref`, `type`,
//! `properties`, `required`, `additionalProperties`, `items`, `enum`, `const`, `oneOf`, `anyOf`,
//! `minimum`, `maximum`, and our own `format`s.

use serde_json::{Map, Value as Json};

use super::problem::{At, Problem, Source};
use super::yaml::{Entry, Node, Value};
use crate::{
    CallPath, ColumnType, Condition, CursorFormat, Name, Rate, RecordPath, RowRule, Template,
    Timespan, nearest,
};

/// Everything in the tree that the schema does not allow. `root` is the whole schema document.
pub(super) fn check(source: &Source<'_>, root: &Json, node: &Node) -> Vec<Problem> {
    let mut checker = Checker { source, root, problems: Vec::new() };
    checker.node(root, node);
    checker.problems
}

struct Checker<'a> {
    source: &'a Source<'a>,
    root: &'a Json,
    problems: Vec<Problem>,
}

impl<'a> Checker<'a> {
    fn report(&mut self, at: At, message: String, hint: Option<String>) {
        let problem = self.source.problem(at, message);
        self.problems.push(match hint {
            Some(hint) => problem.with_hint(hint),
            None => problem,
        });
    }

    fn node(&mut self, schema: &'a Json, node: &Node) {
        let schema = self.resolve(schema);
        let Some(rules) = schema.as_object() else { return };
        if let Some(choices) = choices(rules) {
            self.choice(choices, node);
            return;
        }
        if !admits(schema, node) {
            let expected = self.expected(schema);
            let hint = match node.value {
                Value::Whole(_) | Value::Number(_) | Value::Bool(_) if expected == "a text" => {
                    Some("put it in quotes to make it a text".to_owned())
                }
                _ => None,
            };
            let message = format!("expected {expected}, found {}", node.value.kind());
            self.report(node.at, message, hint);
            return;
        }
        match &node.value {
            Value::Map(entries) => self.map(rules, node.at, entries),
            Value::List(items) => {
                if let Some(inner) = rules.get("items") {
                    items.iter().for_each(|item| self.node(inner, item));
                }
            }
            Value::Text(text) => self.text(rules, node.at, text),
            Value::Whole(whole) => self.whole(rules, node.at, *whole),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn map(&mut self, rules: &'a Map<String, Json>, at: At, entries: &[Entry]) {
        let none = Map::new();
        let properties = rules.get("properties").and_then(Json::as_object);
        for entry in entries {
            if let Some(inner) = properties.and_then(|all| all.get(&entry.key)) {
                self.node(inner, &entry.node);
            } else if let Some(inner) = rules.get("additionalProperties").filter(|s| s.is_object())
            {
                self.node(inner, &entry.node);
            } else if rules.get("additionalProperties") == Some(&Json::Bool(false)) {
                let known = properties.unwrap_or(&none);
                self.unknown_key(entry, known);
            }
        }
        let required = rules.get("required").and_then(Json::as_array);
        for key in required.into_iter().flatten().filter_map(Json::as_str) {
            if !entries.iter().any(|entry| entry.key == key) {
                self.report(at, format!("the key `{key}` is missing"), None);
            }
        }
    }

    fn unknown_key(&mut self, entry: &Entry, known: &Map<String, Json>) {
        let near = nearest(&entry.key, known.keys().map(String::as_str));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let keys: Vec<&str> = known.keys().map(String::as_str).collect();
                format!("the keys here are {}", keys.join(", "))
            }
        };
        self.report(entry.key_at, format!("unknown key `{}`", entry.key), Some(hint));
    }

    fn text(&mut self, rules: &Map<String, Json>, at: At, text: &str) {
        if let Some(only) = rules.get("const").and_then(Json::as_str) {
            if text != only {
                self.report(at, format!("expected `{only}`, found `{text}`"), None);
            }
        } else if let Some(words) = rules.get("enum").and_then(Json::as_array) {
            let words: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
            self.word(at, text, &words);
        } else if let Some(format) = rules.get("format").and_then(Json::as_str)
            && let Err(message) = check_format(format, text)
        {
            self.report(at, message, None);
        }
    }

    fn word(&mut self, at: At, text: &str, words: &[&str]) {
        if words.contains(&text) {
            return;
        }
        let hint = match nearest(text, words.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the words here are {}", words.join(", ")),
        };
        self.report(at, format!("`{text}` is none of the words that can stand here"), Some(hint));
    }

    fn whole(&mut self, rules: &Map<String, Json>, at: At, whole: i64) {
        let bound = |key| rules.get(key).and_then(Json::as_f64);
        #[expect(clippy::cast_precision_loss, reason = "bounds are small numbers")]
        let number = whole as f64;
        if bound("minimum").is_some_and(|least| number < least) {
            self.report(at, format!("{whole} is too small"), None);
        } else if bound("maximum").is_some_and(|most| number > most) {
            self.report(at, format!("{whole} is too large"), None);
        }
    }

    /// One of several: a word, a mapping told apart by its `type`, or whatever fits by kind.
    fn choice(&mut self, choices: &'a [Json], node: &Node) {
        let choices: Vec<&'a Json> = choices.iter().flat_map(|one| self.flatten(one)).collect();
        let fitting: Vec<&Json> = choices.iter().copied().filter(|one| admits(one, node)).collect();
        let words: Vec<&str> = fitting.iter().filter_map(|one| one["const"].as_str()).collect();
        match (&node.value, fitting.as_slice()) {
            (_, []) => {
                let mut expected: Vec<String> =
                    choices.iter().map(|one| self.expected(one)).collect();
                expected.dedup();
                let expected = expected.join(" or ");
                self.report(
                    node.at,
                    format!("expected {expected}, found {}", node.value.kind()),
                    None,
                );
            }
            (_, [only]) => self.node(only, node),
            (Value::Text(text), _) if words.len() == fitting.len() => {
                self.word(node.at, text, &words);
            }
            (Value::Map(entries), _) => self.tagged(&fitting, node, entries),
            // Several kinds of text, or of numbers: the first one says what is wrong with it.
            (_, [first, ..]) => self.node(first, node),
        }
    }

    fn tagged(&mut self, fitting: &[&'a Json], node: &Node, entries: &[Entry]) {
        let tag = |one: &'a Json| one.pointer("/properties/type/const").and_then(Json::as_str);
        let tags: Vec<&str> = fitting.iter().copied().filter_map(tag).collect();
        let Some(entry) = entries.iter().find(|entry| entry.key == "type") else {
            let hint = format!("it is one of {}", tags.join(", "));
            self.report(node.at, "the key `type` is missing".to_owned(), Some(hint));
            return;
        };
        let Value::Text(word) = &entry.node.value else {
            self.report(entry.node.at, "expected a text".to_owned(), None);
            return;
        };
        match fitting.iter().copied().find(|one| tag(one) == Some(word.as_str())) {
            Some(found) => self.node(found, node),
            None => self.word(entry.node.at, word, &tags),
        }
    }

    /// A schema's own choices, choices inside choices included.
    fn flatten(&self, schema: &'a Json) -> Vec<&'a Json> {
        let schema = self.resolve(schema);
        match schema.as_object().and_then(choices) {
            Some(inner) => inner.iter().flat_map(|one| self.flatten(one)).collect(),
            None => vec![schema],
        }
    }

    fn resolve(&self, schema: &'a Json) -> &'a Json {
        let Some(reference) = schema.get("$ref").and_then(Json::as_str) else { return schema };
        let pointer = reference.strip_prefix('#').unwrap_or(reference);
        self.root.pointer(pointer).map_or(schema, |found| self.resolve(found))
    }

    fn expected(&self, schema: &'a Json) -> String {
        let schema = self.resolve(schema);
        let kinds: Vec<&str> = types(schema).filter(|kind| *kind != "null").collect();
        match kinds.first().copied() {
            Some("object") => "a mapping".into(),
            Some("array") => "a list".into(),
            Some("string") => match schema["const"].as_str() {
                Some(word) => format!("`{word}`"),
                None => "a text".into(),
            },
            Some("integer") => "a whole number".into(),
            Some("number") => "a number".into(),
            Some("boolean") => "true or false".into(),
            _ => "something else".into(),
        }
    }
}

fn choices(rules: &Map<String, Json>) -> Option<&Vec<Json>> {
    rules.get("oneOf").or_else(|| rules.get("anyOf")).and_then(Json::as_array)
}

fn types(schema: &Json) -> impl Iterator<Item = &str> {
    let (one, many) = match schema.get("type") {
        Some(Json::String(one)) => (Some(one.as_str()), None),
        Some(Json::Array(many)) => (None, Some(many)),
        _ => (None, None),
    };
    one.into_iter().chain(many.into_iter().flatten().filter_map(Json::as_str))
}

/// Whether the kind of value may stand where the schema does. No `type` admits everything.
fn admits(schema: &Json, node: &Node) -> bool {
    let fits = |kind: &str| match &node.value {
        Value::Null => kind == "null",
        Value::Bool(_) => kind == "boolean",
        Value::Whole(_) => matches!(kind, "integer" | "number"),
        Value::Number(_) => kind == "number",
        Value::Text(_) => kind == "string",
        Value::List(_) => kind == "array",
        Value::Map(_) => kind == "object",
    };
    types(schema).next().is_none() || types(schema).any(fits)
}

fn check_format(format: &str, text: &str) -> Result<(), String> {
    fn parses<T: std::str::FromStr>(text: &str) -> Result<(), String>
    where
        T::Err: std::fmt::Display,
    {
        text.parse::<T>().map(drop).map_err(|error| error.to_string())
    }
    match format {
        "name" => parses::<Name>(text),
        "template" => parses::<Template>(text),
        "percent" => parses::<super::Percent>(text),
        "timespan" => parses::<Timespan>(text),
        "rate" => parses::<Rate>(text),
        "path" => parses::<RecordPath>(text),
        "condition" => parses::<Condition>(text),
        "row_rule" => parses::<RowRule>(text),
        "call_path" => parses::<CallPath>(text),
        "column_type" => parses::<ColumnType>(text),
        "cursor_format" => parses::<CursorFormat>(text),
        _ => Ok(()),
    }
}
