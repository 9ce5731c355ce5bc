//! What an app says about writing, made ready; and what its rules find.
//!
//! In: the definition of an object, and which rules a row breaks. Out: findings with messages, and
//! whether they stand against the write. What never happens here: a question to a database.

use std::borrow::Cow;
use std::collections::BTreeMap;

use restway_model::definition::{AppEvent, Object, Piece, Rule, Severity, pieces};

use super::binding::Bound;
use super::row::{Versions, digest};
use super::values::Place;
use super::wishes::Wishes;
use crate::refusal::{Refusal, Rejected, Validation};

/// What an object says about writing.
#[derive(Debug, Default)]
pub(crate) struct Writing {
    rules: Vec<Ready>,
    events: BTreeMap<String, Vec<Piece>>,
    bindings: Vec<(AppEvent, Vec<Bound>)>,
    pub(crate) versions: Versions,
    pub(crate) requires_match: bool,
    pub(crate) remembers: bool,
}

/// What stands in a message for a value that the caller may not see.
const HIDDEN: &str = "…";

/// What a caller may know of a row that breaks a rule.
pub(super) trait Told {
    /// The text of a column, empty for null; none when it is hidden.
    fn value(&self, column: &str) -> Option<String>;

    /// Whether a field may be named.
    fn names(&self, field: &str) -> bool;
}

/// A rule with its message cut at its references.
#[derive(Debug)]
pub(crate) struct Ready {
    id: String,
    on: Vec<AppEvent>,
    pub(crate) sql: String,
    severity: Severity,
    field: Option<String>,
    message: Vec<Piece>,
}

impl Ready {
    fn of(rule: &Rule) -> Self {
        let message = pieces(&rule.message);
        let own = || digest(format!("{}\0{}", rule.rule, rule.message).as_bytes());
        Self {
            id: rule.id.clone().unwrap_or_else(own),
            on: rule.on.iter().map(AppEvent::of).collect(),
            sql: rule.rule.clone(),
            severity: rule.severity,
            field: rule.field.clone(),
            message: message.unwrap_or_else(|_| vec![Piece::Text(rule.message.clone())]),
        }
    }

    /// What is told of a row that breaks the rule, with what the caller may know of it.
    pub(super) fn finding(&self, told: &impl Told, place: &Place) -> Validation {
        let message = self.message.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Row(name) | Piece::Item(name) | Piece::Caller(name) => {
                told.value(name).unwrap_or_else(|| HIDDEN.to_owned())
            }
        });
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Information => "information",
        };
        let id = Cow::Owned(self.id.clone());
        let mut found = Validation::new(id, message.collect(), severity);
        found.index = place.index;
        if let Some(field) = self.field.as_ref().filter(|field| told.names(field)) {
            let placed = place.finding("", field, String::new());
            (found.field, found.pointer) = (placed.field, placed.pointer);
        }
        found
    }
}

impl Writing {
    /// What the file says.
    pub(crate) fn of(object: &Object) -> Self {
        let events = object
            .events
            .iter()
            .filter_map(|(name, event)| Some((name.to_string(), pieces(&event.sql).ok()?)));
        Self {
            rules: object.validate.iter().map(Ready::of).collect(),
            events: events.collect(),
            bindings: object
                .on
                .iter()
                .map(|(event, all)| (AppEvent::of(event), all.iter().map(Bound::of).collect()))
                .collect(),
            versions: Versions { column: object.version.clone(), ..Versions::default() },
            requires_match: object.require_match,
            remembers: object.idempotency,
        }
    }

    /// All events but for reading.
    pub(crate) fn events(&self) -> Vec<AppEvent> {
        let own = self.events.keys().filter_map(|name| name.parse().ok()).map(AppEvent::Own);
        [AppEvent::Insert, AppEvent::Update, AppEvent::Delete].into_iter().chain(own).collect()
    }

    /// The rules that are asked at an event.
    pub(crate) fn rules(&self, event: &AppEvent) -> Vec<&Ready> {
        self.rules.iter().filter(|rule| rule.on.contains(event)).collect()
    }

    /// The webhooks that an event runs.
    pub(crate) fn bindings(&self, event: &AppEvent) -> &[Bound] {
        let found = self.bindings.iter().find(|(other, _)| other == event);
        found.map_or(&[], |(_, all)| all)
    }

    /// An event of the object's own.
    pub(crate) fn event(&self, name: &str) -> Option<&[Piece]> {
        self.events.get(name).map(Vec::as_slice)
    }
}

/// Findings that do not stand against the write; the rest refuse it. Errors always do, warnings
/// until they are accepted.
pub(super) fn settled(
    found: Vec<Validation>,
    wishes: &Wishes,
    item: Option<&[u8]>,
) -> Result<Vec<Validation>, Refusal> {
    let has_error = found.iter().any(|one| one.severity == "error");
    let has_open =
        found.iter().any(|one| one.severity == "warning" && !wishes.accepts(&one.validation_id));
    if !has_error && !has_open {
        return Ok(found);
    }
    let item = if has_error { None } else { item.map(<[u8]>::to_vec) };
    Err(rejected(400, found, item))
}

/// A refusal of what was to be written.
pub(super) fn rejected(status: u16, found: Vec<Validation>, item: Option<Vec<u8>>) -> Refusal {
    Refusal::Rejected(Box::new(Rejected { status, validations: found, item }))
}
