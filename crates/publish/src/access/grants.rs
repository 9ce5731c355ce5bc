//! What the groups of a caller give on an object, added up.
//!
//! In: an app's `access`, and a caller. Out: whether an event is allowed, and with which rows and
//! columns. The sum over the grants that give the event: its rows are those of any of them, its
//! columns those of all of them together. A grant without a rule gives all rows, one without a
//! list all columns. The columns of the key can always be read, because they address items.
//!
//! What never happens here: a grant for one event that widens another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use restway_model::definition::{ANONYMOUS, AppEvent, AppFile, GrantEntry};
use restway_model::{Name, RowRule};

use super::{Caller, rows};
use crate::plan::Condition;
use crate::refusal::Refusal;
use crate::source::{Column, Description};

/// The grants of an object, by group.
#[derive(Debug, Default)]
pub(crate) struct Grants(BTreeMap<String, GrantEntry>);

/// What a caller may do in an event.
#[derive(Debug)]
pub(crate) struct Allowed<'a> {
    /// One of them must hold; without them all rows are given.
    rows: Option<Vec<&'a RowRule>>,
    read: Option<BTreeSet<&'a str>>,
    write: Option<BTreeSet<&'a str>>,
}

impl Grants {
    /// Those of an object.
    pub(crate) fn of(app: &AppFile, object: &Name) -> Self {
        let given = |group: &String| Some((group.clone(), app.grant(group, object)?));
        Self(app.access.keys().filter_map(given).collect())
    }

    /// All columns that are named, by rules and by lists.
    pub(crate) fn columns(&self) -> BTreeSet<&str> {
        let mut columns = BTreeSet::new();
        for grant in self.0.values() {
            columns.extend(grant.rows().into_iter().flat_map(RowRule::columns));
            let lists = grant.read().into_iter().chain(grant.write());
            columns.extend(lists.flatten().map(String::as_str));
        }
        columns
    }

    /// Whether everybody may read some of it.
    pub(crate) fn is_open(&self) -> bool {
        self.0.get(ANONYMOUS).is_some_and(|grant| grant.gives(&AppEvent::Filter))
    }

    /// Whether anything is given to the caller.
    pub(crate) fn has_any(&self, caller: &Caller) -> bool {
        caller.groups().filter_map(|group| self.0.get(group)).any(|grant| !grant.is_empty())
    }

    /// What is given for an event; `None` when nothing is.
    pub(crate) fn allowed(&self, caller: &Caller, event: &AppEvent) -> Option<Allowed<'_>> {
        let groups = caller.groups().filter_map(|group| self.0.get(group));
        let giving: Vec<&GrantEntry> = groups.filter(|grant| grant.gives(event)).collect();
        if giving.is_empty() {
            return None;
        }
        Some(Allowed {
            rows: giving.iter().map(|grant| grant.rows()).collect(),
            read: united(giving.iter().map(|grant| grant.read())),
            write: united(giving.iter().map(|grant| grant.write())),
        })
    }
}

/// All names of all lists; everything as soon as one is not bounded.
fn united<'a>(lists: impl Iterator<Item = Option<&'a [String]>>) -> Option<BTreeSet<&'a str>> {
    let lists: Option<Vec<&[String]>> = lists.collect();
    Some(lists?.into_iter().flatten().map(String::as_str).collect())
}

impl<'a> Allowed<'a> {
    /// What rows must be; nothing when all may be seen. The columns are all of the relation's, for
    /// a rule may go by columns that cannot be read. Whoever writes reads what he wrote back with
    /// this condition before he commits: a row outside of it is not his to make.
    pub(crate) fn condition<'c>(
        &self,
        columns: &'c [Column],
        caller: &Caller,
    ) -> Result<Option<Condition<'c>>, Refusal> {
        self.rows.as_ref().map(|rules| rows::condition(rules, columns, caller)).transpose()
    }

    /// The relation as the caller may know it: without the columns that he may not read, and what
    /// goes by them.
    pub(crate) fn visible(
        &self,
        description: Arc<Description>,
        key: &[String],
    ) -> Arc<Description> {
        if self.read.is_none() {
            return description;
        }
        let mut visible = (*description).clone();
        let key = if key.is_empty() { description.key.as_slice() } else { key };
        let may_see = |name: &String| self.reads(name, key);
        visible.columns.retain(|column| may_see(&column.name));
        visible.uniques.retain(|unique| unique.columns.iter().all(may_see));
        visible.refers.retain(|foreign| foreign.columns.iter().all(may_see));
        visible.referred.retain(|foreign| foreign.columns.iter().all(may_see));
        Arc::new(visible)
    }

    /// Whether a column may be read.
    pub(crate) fn reads(&self, column: &str, key: &[String]) -> bool {
        let Some(read) = &self.read else { return true };
        read.contains(column) || key.iter().any(|name| name == column)
    }

    /// Whether a column may be written.
    pub(crate) fn writes(&self, column: &str) -> bool {
        self.write.as_ref().is_none_or(|write| write.contains(column))
    }
}
