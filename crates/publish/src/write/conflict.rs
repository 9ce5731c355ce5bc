//! What a database's own constraint says, in the words of the object.
//!
//! In: the constraint that would not have held, or the value that it did not take. Out: a finding
//! by field. What never happens here:
//! the database's text or the name of a constraint in an answer: they may tell of columns and rows
//! that the caller does not see.

use super::values::Place;
use crate::refusal::{Refusal, Validation};
use crate::source::{Column, Description, SourceError, Violation};

/// The refusal of a write that broke a constraint; other errors stay what they are.
pub(super) fn refusal(
    error: SourceError,
    description: &Description,
    place: &Place,
    knows: &dyn Fn(&Column) -> bool,
) -> Result<Refusal, SourceError> {
    let (violation, name, reason) = match &error {
        SourceError::Constraint { violation, name, reason } => (violation, name, reason),
        SourceError::Invalid { .. } => {
            let message = "a value is too large, too long or too deep for its column, or has \
                           characters that the database does not take";
            let mut found = Validation::error("value", message.to_owned());
            found.pointer = Some(place.pointer.clone());
            found.index = place.index;
            return Ok(super::rules::rejected(400, vec![found], None));
        }
        _ => return Err(error),
    };
    let mut fields = fields(*violation, name.as_deref(), reason, description);
    let is_known = |name: &String| {
        let mut columns = description.columns.iter();
        columns.any(|column| column.name == *name && knows(column))
    };
    // One that is hidden would be told by what is left.
    if !fields.iter().all(is_known) {
        fields.clear();
    }
    let (id, status) = match violation {
        Violation::Unique => ("unique", 409),
        Violation::Foreign => ("reference", 409),
        Violation::NotNull => ("required", 400),
        Violation::Check => ("check", 400),
    };
    let named = fields.join("`, `");
    let message = match (violation, fields.is_empty()) {
        (Violation::Unique, true) => "another item has one of these values".to_owned(),
        (Violation::Unique, false) => format!("another item has this `{named}`"),
        (Violation::Foreign, true) => {
            "an item that this one refers to is not there, or others refer to this one".to_owned()
        }
        (Violation::Foreign, false) => format!("no item is there for this `{named}`"),
        (Violation::NotNull, true) => "a value is missing".to_owned(),
        (Violation::NotNull, false) => format!("`{named}` must be given"),
        (Violation::Check, _) => "the values do not fit each other or their bounds".to_owned(),
    };
    let mut found = match fields.as_slice() {
        [] => Validation::error(id, message),
        [first, ..] => place.finding(id, first, message),
    };
    found.index = place.index;
    Ok(super::rules::rejected(status, vec![found], None))
}

/// The columns that it is about, as far as the database tells. A column is only taken from its
/// text when it is one of the table's.
fn fields(
    violation: Violation,
    name: Option<&str>,
    reason: &str,
    description: &Description,
) -> Vec<String> {
    let ends_with =
        |constraint: &str| name == Some(constraint) || reason.ends_with(&format!("{constraint}'"));
    if violation == Violation::Unique {
        let unique = description.uniques.iter().find(|unique| ends_with(&unique.name));
        if let Some(unique) = unique {
            return unique.columns.clone();
        }
        if reason.ends_with("PRIMARY'") || name.is_some_and(|name| name.ends_with("_pkey")) {
            return description.key.clone();
        }
    }
    if violation == Violation::Foreign {
        let foreign = description.refers.iter().find(|foreign| {
            name == Some(foreign.name.as_str()) || reason.contains(&format!("`{}`", foreign.name))
        });
        return foreign.map(|foreign| foreign.columns.clone()).unwrap_or_default();
    }
    // SQLite tells `table.column` behind a colon, MySQL the column between quotes.
    let behind = reason.rsplit_once(": ").map_or("", |(_, behind)| behind);
    let named = behind.split(", ").map(|one| one.rsplit_once('.').map_or(one, |(_, own)| own));
    let quoted = reason.split('\'').skip(1).step_by(2).chain(reason.split('"').skip(1).step_by(2));
    let quoted = quoted.filter(|_| violation == Violation::NotNull);
    let is_column = |one: &&str| description.columns.iter().any(|column| column.name == **one);
    let mut fields: Vec<String> = Vec::new();
    for field in named.chain(quoted).filter(is_column) {
        if !fields.iter().any(|other| other == field) {
            fields.push(field.to_owned());
        }
    }
    fields
}
