//! Objects whose keys are data: one for each day, for each id.
//!
//! In: how many keys an object's place has shown. Out: whether it is a map. A map would be columns
//! and child tables without end, so it is one JSON column instead. The decision is made once: it
//! ends the batch under way, which is landed again with it, so that every record of the batch is
//! kept alike, whatever order they came in; and the column says it in the table's schema from then
//! on. Columns that were made of earlier batches keep their values, and get no more.
//!
//! Never a map is the record itself, or an item of a list.

use std::fmt;

use restway_model::{Limits, RecordPath, Step};

use crate::naming::path_text;
use crate::shape::{At, Shape};

/// The place of a map within a resource's records; positions in lists are not told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapPath(pub(crate) Vec<String>);

impl fmt::Display for MapPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&path_text(&self.0))
    }
}

/// Which objects stay JSON, and which may become it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nesting {
    /// Places that stay JSON whatever they hold, by the definition.
    pub(crate) json: Vec<RecordPath>,
    /// Places that are never taken for a map, by the definition.
    pub(crate) columns: Vec<RecordPath>,
    /// Places that were found to be maps since the tables were last written.
    pub(crate) maps: Vec<MapPath>,
    /// Keys that an object may show, and those of them that lead to objects or lists; without
    /// them no map is looked for.
    pub(crate) keys_max: Option<(usize, usize)>,
}

impl Nesting {
    /// What a resource says, under the bounds of the process.
    pub(crate) fn new(json: Vec<RecordPath>, columns: Vec<RecordPath>, limits: &Limits) -> Self {
        let keys_max = Some((limits.map_keys_max, limits.map_nested_keys_max));
        Self { json, columns, maps: Vec::new(), keys_max }
    }

    pub(crate) fn is_json(&self, keys: &[String]) -> bool {
        names(&self.json, keys)
    }

    pub(crate) fn is_map(&self, keys: &[String]) -> bool {
        self.maps.iter().any(|map| map.0 == keys) && self.may_be_map(keys)
    }

    pub(crate) fn may_be_map(&self, keys: &[String]) -> bool {
        !names(&self.columns, keys)
    }

    /// Whether so many keys are more than those of an object with fields.
    pub(crate) fn is_over(&self, keys: usize, nested: usize) -> bool {
        self.keys_max.is_some_and(|(most, nested_most)| keys > most || nested > nested_most)
    }
}

/// Whether one of the paths names these keys; positions in lists are not told apart.
fn names(paths: &[RecordPath], keys: &[String]) -> bool {
    paths.iter().any(|path| {
        let names = path.steps().iter().filter_map(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            Step::Index(_) => None,
        });
        names.eq(keys.iter().map(String::as_str))
    })
}

impl Shape {
    /// Keys from the resource's record to a place, through all lists.
    pub(crate) fn keys_at(&self, at: At) -> Vec<String> {
        let (table, below, _) = self.below(at);
        let mut keys = self.tables[table].keys.clone();
        keys.extend(below);
        keys
    }

    /// Notes an object that has more keys than one with fields.
    pub(crate) fn look_for_map(&mut self, group: usize) {
        let found = &self.groups[group];
        if self.map.is_some()
            || found.keys.is_empty()
            || !self.policy.nesting.is_over(found.members.len(), found.nested)
        {
            return;
        }
        let mut keys = self.tables[found.table].keys.clone();
        keys.extend(found.keys.iter().cloned());
        if self.policy.nesting.may_be_map(&keys) {
            self.map = Some(MapPath(keys));
        }
    }

    /// Counts a key that leads to an object or list for the first time.
    pub(crate) fn count_nested(&mut self, at: At) {
        let member = self.member_at(at);
        if member.group.is_none() && member.list.is_none() {
            self.groups[at.group].nested += 1;
            self.look_for_map(at.group);
        }
    }
}
