//! Which items a write is about.
//!
//! In: the parts of a key, or the filters of a list. Out: a condition over the columns that the
//! caller may know. What never happens here: a list without a filter that means all of it; the
//! caller of this refuses that.

use super::{Condition, Reader, value_of};
use crate::refusal::Refusal;
use crate::source::{Column, Description};

/// What names the items of a list that are changed, besides its fields.
const CHANGE_PARAMETERS: [&str; 2] = ["$filter", "$q"];

/// The rows of a list's filters; nothing else of a list has a meaning to who changes rows.
pub(crate) fn filter<'a>(
    description: &'a Description,
    parameters: &[(String, String)],
) -> Result<Condition<'a>, Refusal> {
    let mut reader = Reader::new(&description.columns, &CHANGE_PARAMETERS);
    let given = reader.once_each(parameters);
    let condition = reader.condition(&given, &[]);
    reader.findings.refuse()?;
    Ok(condition)
}

/// What the parts of a key in a path mean: no item has one that the table cannot hold.
pub(crate) fn key_condition<'a>(
    key: &[&'a Column],
    parts: &[String],
) -> Result<Condition<'a>, Refusal> {
    if parts.len() != key.len() {
        return Err(Refusal::NoItem);
    }
    let mut all = Vec::with_capacity(key.len());
    for (column, part) in key.iter().zip(parts) {
        let value = value_of(column, part).ok_or(Refusal::NoItem)?;
        all.push(Condition::equals(column, value));
    }
    Ok(Condition::All(all))
}
