//! What writing to an object means: its rules, its own events, and how writers are kept apart.
//!
//! In: the words of an app file. Out: rules and events whose texts are cut at their references,
//! `${row.name}` and `${item.name}`. What never happens here: a value in the text of a statement;
//! a reference becomes a placeholder wherever it stands, and one between quotes is refused,
//! because a placeholder there would be a text.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::meaning::Finder;
use super::{AppEvent, Object};
use crate::Name;

/// Rules of one object.
const RULES_MAX: usize = 64;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is written.
    #[default]
    Error,
    /// Nothing is written until the caller says that it may be.
    Warning,
    /// It is written, and said.
    Information,
}

/// What must hold for a row as it is after an event, or before it is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What callers name it by; made from the rule without it.
    pub id: Option<String>,
    /// The events that it is asked at; `insert` and `update` without it.
    #[serde(default = "insert_and_update")]
    pub on: Vec<Name>,
    /// A condition in the database's own SQL, over the columns of the table. One that is null
    /// holds, as in a check of the database.
    pub rule: String,
    /// How much it weighs.
    #[serde(default)]
    pub severity: Severity,
    /// The column that it is about.
    pub field: Option<String>,
    /// What the caller reads; `${row.name}` is the value of a column.
    pub message: String,
}

fn insert_and_update() -> Vec<Name> {
    ["insert", "update"].into_iter().filter_map(|event| event.parse().ok()).collect()
}

/// An event of the object's own, `POST …/{key}/$events/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnEvent {
    /// One statement in the database's own SQL. `${row.name}` is a value of the stored row,
    /// `${item.name}` one that the caller sends for that column.
    pub sql: String,
}

/// A piece of a text with references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// A value of the stored row.
    Row(String),
    /// A value that the caller sends.
    Item(String),
    /// An output of the webhook that was called.
    Caller(String),
}

/// Cuts a text at its references.
///
/// # Errors
/// A reference that is not closed or names neither `row`, `item` nor `caller`.
pub fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((reference, behind)) = after.split_once('}') else {
            return Err("`${` is not closed".to_owned());
        };
        let piece = match reference.split_once('.') {
            Some(("row", name)) if !name.is_empty() => Piece::Row(name.to_owned()),
            Some(("item", name)) if !name.is_empty() => Piece::Item(name.to_owned()),
            Some(("caller", name)) if !name.is_empty() => Piece::Caller(name.to_owned()),
            _ => {
                let known = "`${row.…}`, `${item.…}` or `${caller.…}`";
                return Err(format!("`${{{reference}}}` is not {known}"));
            }
        };
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        pieces.push(piece);
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// Whether a reference stands between quotes.
pub(super) fn quotes_a_reference(pieces: &[Piece]) -> bool {
    let mut open = None;
    pieces.iter().any(|piece| {
        let Piece::Text(text) = piece else { return open.is_some() };
        for character in text.chars().filter(|character| "'\"`".contains(*character)) {
            match open {
                None => open = Some(character),
                Some(quote) if quote == character => open = None,
                Some(_) => {}
            }
        }
        false
    })
}

/// Problems of what an object says about writing.
pub(super) fn check(finder: &mut Finder<'_>, name: &Name, object: &Object, is_table: bool) {
    let at = |key| ["objects", name.as_str(), key];
    let said = [
        ("validate", !object.validate.is_empty()),
        ("events", !object.events.is_empty()),
        ("on", !object.on.is_empty()),
        ("version", object.version.is_some()),
        ("require_match", object.require_match),
        ("idempotency", object.idempotency),
    ];
    for (key, _) in said.iter().filter(|(_, is_said)| *is_said && !is_table) {
        let hint = "only tables of databases in `sources` are written to".to_owned();
        finder.report(&at(key), format!("`{name}` can only be read"), Some(hint));
    }
    if object.validate.len() > RULES_MAX {
        finder.report(&at("validate"), format!("at most {RULES_MAX} rules"), None);
    }
    for (number, rule) in object.validate.iter().enumerate() {
        check_rule(finder, name, number, rule, &object.events);
    }
    for (event, own) in &object.events {
        let path = ["objects", name.as_str(), "events", event.as_str()];
        if AppEvent::of(event) != AppEvent::Own(event.clone()) {
            finder.report(&path, format!("`{event}` has a meaning of its own"), None);
        }
        match pieces(&own.sql) {
            Err(problem) => finder.report(&path, problem, None),
            Ok(pieces) if pieces.iter().any(|piece| matches!(piece, Piece::Caller(_))) => {
                finder.report(&path, "an event knows `${row.…}` and `${item.…}`", None);
            }
            Ok(pieces) if quotes_a_reference(&pieces) => {
                let hint = Some("leave the quotes out: the value is bound".to_owned());
                finder.report(&path, "a reference stands between quotes", hint);
            }
            Ok(_) => {}
        }
    }
    super::binding::check(finder, name, object);
}

fn check_rule(
    finder: &mut Finder<'_>,
    name: &Name,
    number: usize,
    rule: &Rule,
    events: &BTreeMap<Name, OwnEvent>,
) {
    let number = number.to_string();
    let path = |key| ["objects", name.as_str(), "validate", number.as_str(), key];
    let is_plain = |id: &str| id.chars().all(|c| c.is_ascii_graphic() && !"\",".contains(c));
    if rule.id.as_deref().is_some_and(|id| id.is_empty() || !is_plain(id)) {
        let hint = Some("write letters, digits and hyphens: it stands in a header".to_owned());
        finder.report(&path("id"), "not an id", hint);
    }
    for event in &rule.on {
        let problem = match AppEvent::of(event) {
            AppEvent::Filter | AppEvent::Export => Some("reading has no rules".to_owned()),
            AppEvent::Own(own) if !events.contains_key(&own) => {
                Some(format!("there is no event `{own}`"))
            }
            _ => None,
        };
        problem.into_iter().for_each(|problem| finder.report(&path("on"), problem, None));
    }
    match pieces(&rule.message) {
        Err(problem) => finder.report(&path("message"), problem, None),
        Ok(pieces)
            if pieces.iter().any(|piece| matches!(piece, Piece::Item(_) | Piece::Caller(_))) =>
        {
            finder.report(&path("message"), "a message knows `${row.…}` only", None);
        }
        Ok(_) => {}
    }
}
