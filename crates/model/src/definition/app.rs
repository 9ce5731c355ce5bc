//! `apps/NAME.yaml`: a published application.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::access::{Access, AppLimits};
use super::binding::Binding;
use super::deprecated::Deprecated;
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
    /// Who may do what, by group; without it nobody may do anything. `anonymous` is everybody,
    /// `authenticated` everybody who is known; other groups are those of users and tokens.
    #[serde(default)]
    pub access: BTreeMap<String, Access>,
    /// How often callers may ask.
    #[serde(default)]
    pub limits: AppLimits,
    /// Since when and until when; for all objects that say nothing of their own.
    #[serde(default)]
    pub deprecated: Option<Deprecated>,
    /// The data objects, by the name in their URL.
    pub objects: BTreeMap<Name, Object>,
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
    /// Webhooks that events run, by event: `insert`, `update`, `delete`, or one of `events`. The row
    /// is final only when all are done.
    #[serde(default)]
    pub on: BTreeMap<Name, Vec<Binding>>,
    /// The column that every change of a row changes; without it the row itself tells its version.
    pub version: Option<String>,
    /// Whether a change must say with `If-Match` which version it changes.
    #[serde(default)]
    pub require_match: bool,
    /// Whether `Idempotency-Key` is remembered, in a table `_restway_idempotency` of the database.
    #[serde(default)]
    pub idempotency: bool,
    /// Since when it should not be used any more.
    #[serde(default)]
    pub deprecated: Option<Deprecated>,
}
