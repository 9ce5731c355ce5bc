//! What a partial or a whole item does to the one that is stored.
//!
//! In: a body, and the stored row. Out: the values that change. `PATCH` merges (RFC 7396): an
//! object sent for a column of JSON is laid over the one that is there. Steps (RFC 6902) are done
//! on the item as it is answered to the caller, and what they change is what is written: what is
//! hidden from him is not in it. `POST` sets values as they are sent. `PUT` replaces: a column that
//! is not sent becomes null, and one that cannot be null has to be sent unless it has a default,
//! which then stays what it is.
//!
//! What never happens here: a question to a database.

use std::borrow::Cow;

use restway_model::definition::AppEvent;
use serde_json::value::RawValue;

use super::body::{Body, Item};
use super::exact::{Opener, Raw, Unworkable, is_object};
use super::malformed;
use super::rights::Rights;
use super::row::Row;
use super::rules::rejected;
use super::steps::{Misstep, Step, stepped};
use super::values::{Known, Place, Taken};
use crate::plan::{Value, value_of};
use crate::refusal::{Refusal, Validation};
use crate::source::{Column, Kind};
use crate::statement::change::Assigned;

/// The members that a body changes in an item; `seen` is the item as its reader knows it.
pub(super) fn applied<'b>(
    method: &str,
    body: &'b Body,
    seen: Option<&[u8]>,
) -> Result<Cow<'b, Item>, Refusal> {
    match body {
        Body::One(item) => Ok(Cow::Borrowed(item)),
        Body::Steps(steps) if method == "PATCH" => {
            // Whether a step can be done tells of the item.
            done(steps, seen.ok_or(Refusal::Forbidden)?).map(Cow::Owned)
        }
        Body::Steps(_) => Err(Refusal::MediaType),
        _ => Err(malformed("the body is one item, `{\"item\": {…}}` or the object itself")),
    }
}

fn done(steps: &[Step], item: &[u8]) -> Result<Item, Refusal> {
    let item: Raw = serde_json::from_slice(item)
        .map_err(|error| Refusal::Unfit { reason: format!("a row is no JSON: {error}") })?;
    stepped(steps, &item).map_err(|(at, why)| {
        let found = Validation::error("patch", format!("step {at} cannot be done: {why}"));
        rejected(if why == Misstep::Other { 409 } else { 400 }, vec![found], None)
    })
}

/// Lays objects over those that are stored.
pub(super) fn merge(method: &str, taken: &mut Taken<'_>, old: &Row, place: &Place) {
    let Taken { assigned, found } = taken;
    let is_json = |one: &&mut Assigned<'_>| one.column.kind == Kind::Json;
    if method != "PATCH" {
        return;
    }
    for one in assigned.iter_mut().filter(is_json) {
        let Some(sent) = &one.value else { continue };
        match merged(old.raw(&one.column.name), sent.text()) {
            Ok(text) => one.value = Value::of(Kind::Json, text.get()),
            Err(why) => {
                let name = &one.column.name;
                let message = format!("`{name}` cannot be merged: {why}");
                found.push(place.finding("patch", name, message));
            }
        }
    }
}

fn merged(stored: Option<&str>, sent: &str) -> Result<Raw, Unworkable> {
    let read = |text| serde_json::from_str::<Raw>(text).map_err(|_| Unworkable::Text);
    let sent = read(sent)?;
    let stored = stored.map(read).transpose()?;
    let stored = stored.as_deref().unwrap_or(RawValue::NULL);
    if is_object(&sent) { Opener::default().merged(stored, &sent) } else { Ok(sent) }
}

/// Gives every column of a replaced item its value.
pub(super) fn complete<'a>(taken: &mut Taken<'a>, known: &Known<'a, '_>, place: &Place) {
    for column in &known.description.columns {
        let is_key = known.key.iter().any(|one| one.name == column.name);
        let is_told = taken.found.iter().any(|found| found.field.as_ref() == Some(&column.name));
        let is_writable = known.rights.writes(known.event, column) && !column.is_generated;
        if !is_writable || is_key || is_told || taken.value(column).is_some() {
            continue;
        }
        if column.is_nullable {
            taken.assigned.push(Assigned { column, value: None });
        } else if !column.has_default {
            let message = format!("`{}` must be given", column.name);
            taken.found.push(place.finding("required", &column.name, message));
        }
    }
}

/// Gives a new item the key of its path.
pub(super) fn address<'a>(
    taken: &mut Taken<'a>,
    key: &[&'a Column],
    parts: &[String],
    rights: &Rights<'_>,
    place: &Place,
) {
    for (column, part) in key.iter().copied().zip(parts) {
        let value = value_of(column, part);
        match taken.value(column) {
            // Whoever may not give a new item its key may not give it by the path either.
            None if !rights.writes(&AppEvent::Insert, column) => {
                let message = format!("`{}` can be read only: post to the list", column.name);
                taken.found.push(place.finding("read_only", &column.name, message));
            }
            None => taken.assigned.push(Assigned { column, value }),
            Some(one) if one.value == value => {}
            Some(_) => {
                let message = format!("`{}` is not the one in the path", column.name);
                taken.found.push(place.finding("key_changed", &column.name, message));
            }
        }
    }
}
