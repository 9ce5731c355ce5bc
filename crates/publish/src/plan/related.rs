//! Objects that belong to an object, by the references that their database declares.
//!
//! In: an object's description and the other objects of its app. Out: [`Related`], each under the
//! other object's name: those that refer to this one, and those that it refers to. Two references
//! between the same two are none, because a name must mean one thing.
//!
//! What never happens here: an object that the caller may not read.

use std::sync::Arc;

use super::{Condition, Objects, Published, column};
use crate::source::{Column, Description, Foreign, Relation};

/// An object that belongs to another one.
pub(crate) struct Related<'a> {
    pub(crate) name: &'a str,
    pub(crate) object: &'a Published,
    pub(crate) description: &'a Description,
    /// Columns that are equal: of the one, and of the other.
    pub(crate) pairs: Vec<(&'a Column, &'a Column)>,
    /// Which of its rows the caller may see.
    pub(crate) only: Condition<'a>,
}

/// A related object whose columns are not known yet.
pub(crate) struct Reference<'a> {
    pub(crate) name: &'a str,
    pub(crate) object: &'a Published,
    foreign: &'a Foreign,
}

/// The related objects whose names stand in one of the texts.
pub(crate) fn references<'a>(
    objects: &'a Objects,
    object: &'a Published,
    description: &'a Description,
    texts: &[&str],
) -> Vec<Reference<'a>> {
    let mut found: Vec<Reference<'a>> = Vec::new();
    let mut twice: Vec<&str> = Vec::new();
    for foreign in description.referred.iter().chain(&description.refers) {
        let other = objects.iter().find(|(name, other)| {
            other.is_open
                && Arc::ptr_eq(&other.source, &object.source)
                && is_same(&other.relation, &foreign.other)
                && texts.iter().any(|text| text.contains(name.as_str()))
        });
        let Some((name, object)) = other else { continue };
        if found.iter().any(|earlier| earlier.name == name) {
            twice.push(name);
        } else {
            found.push(Reference { name, object, foreign });
        }
    }
    found.retain(|reference| !twice.contains(&reference.name));
    found
}

impl<'a> Reference<'a> {
    /// The related object, now that both sides are described; none when a column is gone.
    pub(crate) fn described(
        &self,
        own: &'a Description,
        other: &'a Description,
    ) -> Option<Related<'a>> {
        let others = match self.foreign.other_columns.as_slice() {
            [] => &other.key,
            _ => &self.foreign.other_columns,
        };
        let pair = |(mine, theirs): (&String, &String)| {
            Some((column(&own.columns, mine)?, column(&other.columns, theirs)?))
        };
        let mine = match self.foreign.columns.as_slice() {
            [] => &own.key,
            _ => &self.foreign.columns,
        };
        let pairs = mine.iter().zip(others).map(pair).collect::<Option<Vec<_>>>()?;
        let only = Condition::All(Vec::new());
        Some(Related { name: self.name, object: self.object, description: other, pairs, only })
    }
}

/// A table of a file may leave out the schema that the database names.
fn is_same(one: &Relation, other: &Relation) -> bool {
    match (one, other) {
        (Relation::Table(one), Relation::Table(other)) => {
            let length = one.len().min(other.len());
            length > 0 && one[one.len() - length..] == other[other.len() - length..]
        }
        _ => false,
    }
}
