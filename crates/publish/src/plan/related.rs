//! Objects that belong to an object, by the references that their database declares.
//!
//! In: an object's description and the other objects of its app. Out: [`Related`], each under the
//! other object's name: those that refer to this one, and those that it refers to. Two references
//! between the same two are none, because a name must mean one thing.
//!
//! What never happens here: an object that the caller may not read.

use std::fmt;
use std::sync::Arc;

use restway_model::definition::AppEvent;

use super::{Condition, Objects, Published, column};
use crate::access::{Allowed, Caller};
use crate::refusal::Refusal;
use crate::source::{Column, Description, Foreign, Relation};

/// An object that belongs to another one.
pub(crate) struct Related<'a> {
    pub(crate) name: &'a str,
    pub(crate) object: &'a Published,
    pub(crate) description: &'a Description,
    /// Whether many of its items belong to one of the other object, and not one to many.
    pub(crate) is_many: bool,
    /// Columns that are equal: of the one, and of the other.
    pub(crate) pairs: Vec<(&'a Column, &'a Column)>,
    /// Which of its rows the caller may see.
    pub(crate) only: Option<Condition<'a>>,
}

impl fmt::Debug for Related<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// A related object whose columns are not known yet.
pub(crate) struct Reference<'a> {
    pub(crate) name: &'a str,
    pub(crate) object: &'a Published,
    pub(crate) allowed: Allowed<'a>,
    foreign: &'a Foreign,
    is_many: bool,
}

/// The related objects whose names stand in one of the texts.
pub(crate) fn references<'a>(
    objects: &'a Objects,
    object: &'a Published,
    description: &'a Description,
    caller: &Caller,
    texts: &[&str],
) -> Vec<Reference<'a>> {
    let mut found: Vec<Reference<'a>> = Vec::new();
    let mut twice: Vec<&str> = Vec::new();
    let referred = description.referred.iter().map(|foreign| (foreign, true));
    let refers = description.refers.iter().map(|foreign| (foreign, false));
    for (foreign, is_many) in referred.chain(refers) {
        let other = objects.iter().find(|(name, other)| {
            Arc::ptr_eq(&other.source, &object.source)
                && is_same(&other.relation, &foreign.other)
                && texts.iter().any(|text| text.contains(name.as_str()))
        });
        let Some((name, object)) = other else { continue };
        let Some(allowed) = object.grants.allowed(caller, &AppEvent::Filter) else { continue };
        if found.iter().any(|earlier| earlier.name == name) {
            twice.push(name);
        } else {
            found.push(Reference { name, object, allowed, foreign, is_many });
        }
    }
    found.retain(|reference| !twice.contains(&reference.name));
    found
}

impl<'a> Reference<'a> {
    /// The related object, now that both sides are described: the one as the caller sees it, the
    /// other as it is and as he sees it. None when one of the columns is gone or hidden.
    ///
    /// # Errors
    /// A rule about its rows that does not fit.
    pub(crate) fn described<'d>(
        &'d self,
        own: &'d Description,
        whole: &'d Description,
        other: &'d Description,
        caller: &Caller,
    ) -> Result<Option<Related<'d>>, Refusal> {
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
        let pairs: Option<Vec<_>> = mine.iter().zip(others).map(pair).collect();
        let only = self.allowed.condition(&whole.columns, caller)?;
        let Self { name, object, is_many, .. } = *self;
        Ok(pairs.map(|pairs| Related { name, object, description: other, is_many, pairs, only }))
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
