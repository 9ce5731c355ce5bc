//! `apps/NAME.yaml`: a published application.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::origin::{AppSource, From};
use super::writing::{OwnEvent, Rule};
use crate::Name;

/// A published application: data objects under `/rest/v1/{app}/{object}`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppFile {
    /// The name of the app: the first part of its URLs.
    pub app: Name,
    /// The databases that its objects come from, by a name that holds in this file. Tables of the
    /// workspace itself need none.
    #[serde(default)]
    pub sources: BTreeMap<Name, AppSource>,
    /// Who may read which objects; without it nobody may.
    #[serde(default)]
    pub access: BTreeMap<Group, Access>,
    /// The data objects, by the name in their URL.
    pub objects: BTreeMap<Name, Object>,
}

/// A group of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Everybody who can reach the server.
    Anonymous,
}

/// What a group may do with an app.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Access {
    /// Everything that the objects offer.
    All(All),
    /// The events of the objects that are named.
    Objects(BTreeMap<Name, Vec<AppEvent>>),
}

/// The word `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum All {
    /// Everything.
    All,
}

/// What may be done with a data object: `filter`, `insert`, `update`, `delete`, or an event that
/// the object defines.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "Name")]
#[schemars(with = "Name")]
pub enum AppEvent {
    /// Read a list or an item.
    Filter,
    /// Add an item.
    Insert,
    /// Change an item.
    Update,
    /// Remove an item.
    Delete,
    /// An event that the object defines.
    Own(Name),
}

impl std::convert::From<Name> for AppEvent {
    fn from(name: Name) -> Self {
        match name.as_str() {
            "filter" => Self::Filter,
            "insert" => Self::Insert,
            "update" => Self::Update,
            "delete" => Self::Delete,
            _ => Self::Own(name),
        }
    }
}

/// A data object: a table, and how it looks from outside.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// The table or view, a live resource, a saved query, or a query of its own.
    pub from: From,
    /// The columns that tell items apart, in the order of the URL. A table of a database has its
    /// primary key without it.
    #[serde(default)]
    pub key: Vec<String>,
    /// The columns of a list that did not ask for any; all without it. An item has all.
    #[serde(default)]
    pub default_fields: Vec<String>,
    /// What must hold for what is written.
    #[serde(default)]
    pub validate: Vec<Rule>,
    /// Events of its own, each a statement.
    #[serde(default)]
    pub events: BTreeMap<Name, OwnEvent>,
    /// The column that every change of a row changes; without it the row itself tells its version.
    pub version: Option<String>,
    /// Whether a change must say with `If-Match` which version it changes.
    #[serde(default)]
    pub require_match: bool,
    /// Whether `Idempotency-Key` is remembered, in a table `_restway_idempotency` of the database.
    #[serde(default)]
    pub idempotency: bool,
}

impl AppFile {
    /// Whether everybody may read the object.
    pub fn is_readable_by_all(&self, object: &Name) -> bool {
        self.is_open_to_all(object, &AppEvent::Filter)
    }

    /// Whether an event of the object is open to everybody.
    pub fn is_open_to_all(&self, object: &Name, event: &AppEvent) -> bool {
        match self.access.get(&Group::Anonymous) {
            Some(Access::All(All::All)) => true,
            Some(Access::Objects(objects)) => {
                objects.get(object).is_some_and(|events| events.contains(event))
            }
            None => false,
        }
    }
}
