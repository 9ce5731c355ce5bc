//! The order of a list.
//!
//! In: `$sort`, as in `country,-name:nullsfirst`, or as OData writes it, `country,name desc`. Out:
//! columns, each once, completed by those of the key, so that pages neither repeat nor miss an
//! item. Nulls come last unless it is said otherwise, because whoever sorts wants to see values.

use super::reader::{Given, Reader};
use crate::source::{Column, Kind};

/// A column to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order<'a> {
    pub(crate) column: &'a Column,
    pub(crate) descends: bool,
    pub(crate) nulls_first: bool,
}

impl Order<'_> {
    /// Whether some of its values may be null: also of a key that the file names, or that SQLite
    /// lets have them.
    pub(crate) fn has_nulls(&self) -> bool {
        self.column.is_nullable
    }

    /// The other way round.
    pub(super) fn turned(self) -> Self {
        Self { descends: !self.descends, nulls_first: !self.nulls_first, ..self }
    }
}

/// A word of `$sort` as its name, whether it descends, and where its nulls go.
fn read(word: &str) -> (&str, bool, bool) {
    let word = word.trim();
    let (word, nulls_first) = match word.strip_suffix(":nullsfirst") {
        Some(word) => (word, true),
        None => (word.strip_suffix(":nullslast").unwrap_or(word), false),
    };
    match (word.strip_prefix('-'), word.strip_suffix(" desc"), word.strip_suffix(" asc")) {
        (Some(name), _, _) | (None, Some(name), _) => (name, true, nulls_first),
        (None, None, name) => (name.unwrap_or(word), false, nulls_first),
    }
}

impl<'a> Reader<'a> {
    /// The order that was asked for, completed by the key.
    pub(super) fn order(&mut self, given: &Given<'_>, key: &[&'a Column]) -> Vec<Order<'a>> {
        let mut order: Vec<Order<'a>> = Vec::new();
        for word in given.get("$sort").map(|words| words.split(',')).into_iter().flatten() {
            // A name may be what would otherwise mean something.
            let (name, descends, nulls_first) = match super::column(self.columns, word) {
                Some(_) => (word, false, false),
                None => read(word),
            };
            let Some(column) = self.field(name) else { continue };
            if column.kind == Kind::List {
                let message = format!("`{name}` is a list, which has no order");
                self.findings.add("invalid_value", message);
            } else if order.iter().any(|order| order.column.name == name) {
                self.repeated("$sort", name);
            } else {
                order.push(Order { column, descends, nulls_first });
            }
        }
        for column in key {
            if !order.iter().any(|order| order.column.name == column.name) {
                order.push(Order { column, descends: false, nulls_first: false });
            }
        }
        order
    }
}
