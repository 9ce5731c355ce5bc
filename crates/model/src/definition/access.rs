//! Who may do what with an app: its `access` and `limits`.
//!
//! In: groups, the objects that they may use, and what of each. Out: the grants that hold for a
//! caller with certain groups. What never happens here: a caller's name or claims; who is in which
//! group is known elsewhere.
//!
//! A caller has the groups that his user or his token names; everybody is in `anonymous`, and
//! whoever is known in `authenticated`. What several of his groups give is added up: he may do what
//! one of them gives, with the rows and the columns of all that give it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::meaning::Finder;
use super::{AppFile, Object};
use crate::{Name, Rate, RowRule, nearest};

/// The group of everybody who can reach the server.
pub const ANONYMOUS: &str = "anonymous";
/// The group of everybody who is known.
pub const AUTHENTICATED: &str = "authenticated";

/// What a group may do with an app.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Access {
    /// Everything that the objects offer.
    All(All),
    /// What may be done with the objects that are named.
    Objects(BTreeMap<Name, GrantEntry>),
}

/// The word `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum All {
    /// Everything.
    All,
}

/// What may be done with an object: everything, a list of events, or a grant with its bounds.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum GrantEntry {
    /// Everything that the object offers.
    All(All),
    /// The events, with all rows and columns.
    Events(Vec<Name>),
    /// The events, with some rows or columns.
    Grant(ObjectGrant),
}

/// What a group may do with an object, and with which of its rows and columns.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectGrant {
    /// `filter` (lists and items), `insert`, `update`, `delete`, `export`, and the events that the
    /// object defines.
    pub events: Vec<Name>,
    /// The rows: `tenant = ${claim.tenant} and not archived`. Comparisons of columns with values,
    /// with `${user}`, and with `${claim.NAME}`; all rows without it. A claim that the caller lacks
    /// is null, and with null no comparison holds, nor does its opposite. A claim that is a list
    /// equals each of its values.
    #[serde(default)]
    pub rows: Option<RowRule>,
    /// The columns that can be read; all without it. The key can be read always: it is in the
    /// address of an item.
    #[serde(default)]
    pub read: Option<Vec<String>>,
    /// The columns that can be written; all without it.
    #[serde(default)]
    pub write: Option<Vec<String>>,
}

/// How often a caller may ask an app.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppLimits {
    /// Requests of one caller, as in `10/s`: of each key or user, and of each address from which
    /// nobody known asks. Without it there is no bound.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// Rates of groups, in place of `rate`; of several the highest holds.
    #[serde(default)]
    pub groups: BTreeMap<String, Rate>,
}

/// What can be done with an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum AppEvent {
    /// Read a list or an item.
    Filter,
    /// Add an item.
    Insert,
    /// Change an item.
    Update,
    /// Remove an item.
    Delete,
    /// Read beyond the bounds of a list, in the forms for programs.
    Export,
    /// An event that the object defines.
    Own(Name),
}

impl AppEvent {
    const WORDS: [&'static str; 5] = ["filter", "insert", "update", "delete", "export"];

    /// The event of a name.
    pub fn of(name: &Name) -> Self {
        match name.as_str() {
            "filter" => Self::Filter,
            "insert" => Self::Insert,
            "update" => Self::Update,
            "delete" => Self::Delete,
            "export" => Self::Export,
            _ => Self::Own(name.clone()),
        }
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Filter => "filter",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Export => "export",
            Self::Own(name) => name.as_str(),
        }
    }
}

impl GrantEntry {
    fn events(&self) -> Option<&[Name]> {
        match self {
            Self::All(_) => None,
            Self::Events(events) => Some(events),
            Self::Grant(grant) => Some(&grant.events),
        }
    }

    /// Whether it gives nothing.
    pub fn is_empty(&self) -> bool {
        self.events().is_some_and(<[Name]>::is_empty)
    }

    /// Whether it gives an event.
    pub fn gives(&self, event: &AppEvent) -> bool {
        let Some(events) = self.events() else { return true };
        events.iter().any(|name| name.as_str() == event.as_str())
    }

    /// Which rows; all without.
    pub fn rows(&self) -> Option<&RowRule> {
        self.grant()?.rows.as_ref()
    }

    /// Which columns can be read; all without.
    pub fn read(&self) -> Option<&[String]> {
        self.grant()?.read.as_deref()
    }

    /// Which columns can be written; all without.
    pub fn write(&self) -> Option<&[String]> {
        self.grant()?.write.as_deref()
    }

    fn grant(&self) -> Option<&ObjectGrant> {
        match self {
            Self::Grant(grant) => Some(grant),
            _ => None,
        }
    }
}

impl AppFile {
    /// What a group gives on an object.
    pub fn grant(&self, group: &str, object: &Name) -> Option<GrantEntry> {
        match self.access.get(group)? {
            Access::All(All::All) => Some(GrantEntry::All(All::All)),
            Access::Objects(objects) => objects.get(object).cloned(),
        }
    }

    /// The groups that are named, but for those that everybody or everybody known is in.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        let is_own = |name: &&str| ![ANONYMOUS, AUTHENTICATED].contains(name);
        self.access.keys().chain(self.limits.groups.keys()).map(String::as_str).filter(is_own)
    }
}

/// Reports what `access` names and is not there.
pub(super) fn check(app: &AppFile, finder: &mut Finder<'_>) {
    for (group, access) in &app.access {
        if group.trim().is_empty() {
            finder.report(&["access", group], "a group needs a name", None);
        }
        let Access::Objects(objects) = access else { continue };
        for (name, entry) in objects {
            let place = ["access", group, name.as_str()];
            if let Some(object) = app.objects.get(name) {
                check_grant(object, finder, group, &place, entry);
            } else {
                let near = nearest(name.as_str(), app.objects.keys().map(Name::as_str));
                let hint = near.map(|near| format!("did you mean `{near}`?"));
                finder.report(&place, format!("there is no object `{name}`"), hint);
            }
        }
    }
}

fn check_grant(
    object: &Object,
    finder: &mut Finder<'_>,
    group: &str,
    place: &[&str; 3],
    entry: &GrantEntry,
) {
    let at = |key: &'static str| [place[0], place[1], place[2], key];
    for event in entry.events().unwrap_or_default() {
        if let AppEvent::Own(name) = AppEvent::of(event) {
            if object.events.contains_key(&name) {
                continue;
            }
            let own = object.events.keys().map(Name::as_str);
            let near = nearest(name.as_str(), AppEvent::WORDS.into_iter().chain(own));
            let hint = near.map_or_else(
                || format!("write {}", AppEvent::WORDS.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            finder.report(&at("events"), format!("there is no event `{name}`"), Some(hint));
        }
    }
    let GrantEntry::Grant(grant) = entry else { return };
    if grant.events.is_empty() {
        finder.report(&at("events"), "a grant without events gives nothing", None);
    }
    if group == ANONYMOUS && grant.rows.as_ref().is_some_and(RowRule::needs_caller) {
        let hint = "give the grant to `authenticated` or to a group".to_owned();
        finder.report(&at("rows"), "nobody knows who `anonymous` is", Some(hint));
    }
    for (key, columns) in [("read", &grant.read), ("write", &grant.write)] {
        let Some(columns) = columns else { continue };
        if columns.is_empty() {
            let hint = "leave it out for all columns, or leave out the event".to_owned();
            finder.report(&at(key), "no column is named", Some(hint));
        }
    }
    let writes = |name: &Name| !matches!(name.as_str(), "filter" | "export" | "delete");
    if grant.write.is_some() && !grant.events.iter().any(writes) {
        let hint = "add `insert` or `update` to `events`, or leave it out".to_owned();
        finder.report(&at("write"), "the grant has no event that writes", Some(hint));
    }
    let reads = |name: &Name| matches!(name.as_str(), "filter" | "export");
    let defaults = &object.default_fields;
    if let Some(read) = grant.read.as_ref().filter(|_| grant.events.iter().any(reads)) {
        let is_hidden = |name: &&String| !read.contains(name);
        if !defaults.is_empty() && defaults.iter().filter(is_hidden).count() == defaults.len() {
            let hint = "a list shows the key alone then; add one of them to `read`".to_owned();
            finder.report(&at("read"), "none of `default_fields` can be read", Some(hint));
        }
    }
}
