//! The values of an item, column by column.
//!
//! In: an item as it came, and the columns. Out: what each column gets, and everything that is
//! wrong with it at once: members that are no columns, types, lengths, choices, values that are
//! missing. What never happens here: a value that is bent until it fits.

use std::collections::HashSet;

use restway_model::definition::AppEvent;
use serde_json::value::RawValue;

use super::body::{Given, Item};
use super::rights::Rights;
use crate::plan::{Value, value_of, wanted};
use crate::refusal::{Validation, shown};
use crate::source::{Column, Description, Kind};
use crate::statement::change::Assigned;

/// Digits before or behind the point that an exponent may make.
const DIGITS_MAX: u64 = 1_000;

/// Where an item stands in the body.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Before the name of a member.
    pub(super) pointer: String,
    pub(super) index: Option<usize>,
}

impl Place {
    /// The item of a body, or one of many.
    pub(super) fn of(index: Option<usize>) -> Self {
        let pointer = index.map_or_else(|| "/item".to_owned(), |at| format!("/items/{at}"));
        Self { pointer, index }
    }

    /// A finding about a member.
    pub(super) fn finding(&self, id: &'static str, field: &str, message: String) -> Validation {
        let mut found = Validation::error(id, message);
        found.field = Some(field.to_owned());
        let name = field.replace('~', "~0").replace('/', "~1");
        found.pointer = Some(format!("{}/{name}", self.pointer));
        found.index = self.index;
        found
    }
}

/// What an item's columns get.
#[derive(Debug, Default)]
pub(super) struct Taken<'a> {
    pub(super) assigned: Vec<Assigned<'a>>,
    pub(super) found: Vec<Validation>,
}

impl<'a> Taken<'a> {
    /// The value of a column, if it gets one.
    pub(super) fn value(&self, column: &Column) -> Option<&Assigned<'a>> {
        self.assigned.iter().find(|one| one.column.name == column.name)
    }
}

/// What is known of the columns by who writes.
pub(super) struct Known<'a, 'r> {
    pub(super) description: &'a Description,
    pub(super) key: &'r [&'a Column],
    pub(super) rights: &'r Rights<'r>,
    pub(super) event: &'r AppEvent,
    /// The columns by which an item that is there is found, besides its key.
    pub(super) names: &'r [&'a Column],
}

impl Known<'_, '_> {
    /// A column that can neither be read nor written is as if it were not there.
    fn knows(&self, column: &Column) -> bool {
        self.may_write(column) || self.rights.sees(column, self.key)
    }

    /// The key of an item that is there names it, whoever may write it.
    fn may_write(&self, column: &Column) -> bool {
        let is_name = || {
            let mut names = self.key.iter().chain(self.names);
            *self.event != AppEvent::Insert && names.any(|one| one.name == column.name)
        };
        self.rights.writes(self.event, column) || is_name()
    }
}

/// Reads the members of an item.
pub(super) fn take<'a>(item: &Item, known: &Known<'a, '_>, place: &Place) -> Taken<'a> {
    let mut taken = Taken::default();
    let mut seen = HashSet::new();
    let columns = || known.description.columns.iter().filter(|column| known.knows(column));
    for (name, given) in &item.0 {
        let Some(column) = columns().find(|column| column.name == *name) else {
            let known = columns().map(|column| column.name.as_str());
            let near = restway_model::nearest(name, known);
            let near = near.map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
            let message = format!("there is no field `{}`{near}", shown(name));
            taken.found.push(place.finding("unknown_field", name, message));
            continue;
        };
        if !seen.insert(name) {
            let message = format!("`{name}` is given more than once");
            taken.found.push(place.finding("repeated_field", name, message));
        } else if column.is_generated {
            let message = format!("`{name}` is written by the database alone");
            taken.found.push(place.finding("read_only", name, message));
        } else if !known.may_write(column) {
            let message = format!("`{name}` can be read only");
            taken.found.push(place.finding("read_only", name, message));
        } else {
            match read(column, given) {
                Ok(value) => taken.assigned.push(Assigned { column, value }),
                Err((id, message)) => taken.found.push(place.finding(id, name, message)),
            }
        }
    }
    taken
}

/// What a new row needs and does not have.
pub(super) fn missing(taken: &mut Taken<'_>, known: &Known<'_, '_>, place: &Place) {
    for column in known.description.columns.iter().filter(|column| known.knows(column)) {
        let is_needed = !column.is_nullable && !column.has_default && !column.is_generated;
        let is_told = taken.found.iter().any(|found| found.field.as_ref() == Some(&column.name));
        if is_needed && !is_told && taken.value(column).is_none() {
            let message = format!("`{}` must be given", column.name);
            taken.found.push(place.finding("required", &column.name, message));
        }
    }
}

/// A value of JSON in a column, or what keeps it from that.
pub(super) fn of_json(column: &Column, raw: &RawValue) -> Result<Option<Value>, String> {
    // A text column takes whatever has a text.
    let text = match (column.kind, raw.get().bytes().next()) {
        (Kind::Text, Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'{' | b'[')) => {
            Given::Text(raw.get().to_owned())
        }
        _ => Given::Json(raw.to_owned()),
    };
    read(column, &text).map_err(|(_, message)| format!("does not fit: {message}"))
}

/// A value of a column, or which rule it breaks and how.
fn read(column: &Column, given: &Given) -> Result<Option<Value>, (&'static str, String)> {
    let name = &column.name;
    if column.kind == Kind::List {
        let message = format!("`{name}` is an array, which cannot be written here: leave it out");
        return Err(("read_only", message));
    }
    let text = match given {
        Given::Text(text) => Some(text.clone()),
        Given::Json(raw) => text_of(column.kind, raw).map_err(|()| match column.kind {
            Kind::Text => ("type", format!("`{name}` is a text: write it in quotes")),
            _ => of_type(column),
        })?,
    };
    let Some(text) = text else {
        let message = format!("`{name}` cannot be null");
        return if column.is_nullable { Ok(None) } else { Err(("required", message)) };
    };
    let length = text.chars().count() as u64;
    if let Some(length_max) = column.length_max.filter(|&length_max| length > length_max) {
        let message = format!("`{name}` has at most {length_max} characters, not {length}");
        return Err(("max_length", message));
    }
    if let Some(value) = value_of(column, &text) {
        return Ok(Some(value));
    }
    if !column.choices.is_empty() {
        let choices = column.choices.join("`, `");
        return Err(("choice", format!("`{name}` is one of `{choices}`")));
    }
    Err(of_type(column))
}

fn of_type(column: &Column) -> (&'static str, String) {
    ("type", format!("`{}` cannot be this: write {}", column.name, wanted(column.kind)))
}

/// The text of a JSON value in the form that its column's type is written in; null is none.
fn text_of(kind: Kind, raw: &RawValue) -> Result<Option<String>, ()> {
    let raw = raw.get();
    let first = raw.bytes().next().unwrap_or(b'n');
    let is_number = first == b'-' || first.is_ascii_digit();
    match kind {
        _ if first == b'n' => Ok(None),
        Kind::Json => Ok(Some(raw.to_owned())),
        // A number may be written as a text, by those whose numbers are floats.
        Kind::Int64 | Kind::UInt64 | Kind::Decimal { .. } | Kind::Number if first == b'"' => {
            string(raw)
        }
        Kind::Int64 | Kind::UInt64 | Kind::Decimal { .. } | Kind::Number if is_number => {
            digits(raw).map(Some).ok_or(())
        }
        Kind::Float32 | Kind::Float64 if is_number => Ok(Some(raw.to_owned())),
        Kind::Bool if matches!(first, b't' | b'f') => Ok(Some(raw.to_owned())),
        Kind::Null | Kind::Other if is_number => Ok(Some(raw.to_owned())),
        Kind::Null
        | Kind::Other
        | Kind::Text
        | Kind::Date
        | Kind::Time
        | Kind::DateTime
        | Kind::Instant
        | Kind::Uuid
        | Kind::Bytes
            if first == b'"' =>
        {
            string(raw)
        }
        _ => Err(()),
    }
}

/// A JSON number in plain digits, exactly: `1.50e2` is `150`, and `7.0` is `7`, which is whole to
/// JSON Schema, and what many languages write for it.
fn digits(raw: &str) -> Option<String> {
    let (number, exponent) = raw.split_once(['e', 'E']).unwrap_or((raw, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let mut all = format!("{whole}{part}");
    let point = i64::try_from(whole.len()).ok()? + exponent;
    if point.unsigned_abs() > DIGITS_MAX {
        return None;
    }
    if point <= 0 {
        all.insert_str(0, &"0".repeat(usize::try_from(1 - point).ok()?));
    }
    let point = usize::try_from(point.max(1)).ok()?;
    all.push_str(&"0".repeat(point.saturating_sub(all.len())));
    let (whole, part) = all.split_at(point);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let part = part.trim_end_matches('0');
    let point = if part.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{part}"))
}

fn string(raw: &str) -> Result<Option<String>, ()> {
    serde_json::from_str(raw).map(Some).map_err(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_digits_exactly() {
        for (raw, expected) in [
            ("7.0", "7"),
            ("-7", "-7"),
            ("1.50e2", "150"),
            ("1.5E+3", "1500"),
            ("15e-1", "1.5"),
            ("-15e-4", "-0.0015"),
            ("0.10", "0.1"),
            ("0e5", "0"),
            ("9007199254740993", "9007199254740993"),
            ("9999999999.99", "9999999999.99"),
        ] {
            assert_eq!(digits(raw).as_deref(), Some(expected), "{raw}");
        }
        for raw in ["1e1001", "1e-2000", "1e99999999999999999999"] {
            assert_eq!(digits(raw), None, "{raw}");
        }
    }
}
