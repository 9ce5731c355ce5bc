//! What a partial or a whole item does to the one that is stored.
//!
//! In: a body, and the stored row. Out: the values that change. `PATCH` merges (RFC 7396): an
//! object sent for a column of JSON is laid over the one that is there. Steps (RFC 6902) are done
//! on the item as it is answered, and what they change is what is written. `POST` sets values as
//! they are sent. `PUT` replaces: a column that is not sent becomes null, and one that cannot be
//! null has to be sent unless it has a default, which then stays what it is.
//!
//! What never happens here: a question to a database.

use std::borrow::Cow;

use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::body::{Body, Given, Item};
use super::malformed;
use super::row::Row;
use super::values::{Known, Place, Taken};
use crate::plan::{Value, value_of};
use crate::refusal::{Refusal, Validation};
use crate::source::{Column, Kind};
use crate::statement::change::Assigned;

/// The members that a body changes in a row.
pub(super) fn applied<'b>(
    method: &str,
    body: &'b Body,
    old: &Row,
) -> Result<Cow<'b, Item>, Refusal> {
    match body {
        Body::One(item) => Ok(Cow::Borrowed(item)),
        Body::Steps(steps) if method == "PATCH" => stepped(steps, old).map(Cow::Owned),
        Body::Steps(_) => Err(Refusal::MediaType),
        _ => Err(malformed("the body is one item, `{\"item\": {…}}` or the object itself")),
    }
}

fn stepped(steps: &json_patch::Patch, old: &Row) -> Result<Item, Refusal> {
    let unread = |_| Refusal::Unfit { reason: "a row is no JSON".to_owned() };
    let before: Json = serde_json::from_slice(&old.text).map_err(unread)?;
    let mut after = before.clone();
    json_patch::patch(&mut after, steps).map_err(|error| {
        let is_test = matches!(error.kind, json_patch::PatchErrorKind::TestFailed);
        let message = format!("step {} cannot be done: {}", error.operation + 1, error.kind);
        let found = Validation::error("patch", message);
        super::rules::rejected(if is_test { 409 } else { 400 }, vec![found], None)
    })?;
    let (Json::Object(before), Json::Object(after)) = (before, after) else {
        return Err(malformed("the steps leave no item"));
    };
    let mut members = Vec::new();
    for (name, value) in &after {
        if before.get(name) != Some(value) {
            members.push((name.clone(), Given::Json(raw(value)?)));
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        members.push((name.clone(), Given::Json(raw(&Json::Null)?)));
    }
    Ok(Item(members))
}

fn raw(value: &Json) -> Result<Box<RawValue>, Refusal> {
    let broken = |_| Refusal::Unfit { reason: "a value is no JSON".to_owned() };
    serde_json::value::to_raw_value(value).map_err(broken)
}

/// Lays objects over those that are stored.
pub(super) fn merge(method: &str, taken: &mut Taken<'_>, old: &Row) {
    let is_json = |one: &&mut Assigned<'_>| one.column.kind == Kind::Json;
    if method != "PATCH" {
        return;
    }
    for one in taken.assigned.iter_mut().filter(is_json) {
        let Some(Ok(sent)) = one.value.as_ref().map(|value| read(value.text())) else { continue };
        let stored = old.raw(&one.column.name).map(read);
        if let (true, Some(Ok(mut stored))) = (sent.is_object(), stored) {
            json_patch::merge(&mut stored, &sent);
            one.value = Value::of(Kind::Json, &stored.to_string());
        }
    }
}

fn read(text: &str) -> Result<Json, serde_json::Error> {
    serde_json::from_str(text)
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
    place: &Place,
) {
    for (column, part) in key.iter().copied().zip(parts) {
        let value = value_of(column, part);
        match taken.value(column) {
            None => taken.assigned.push(Assigned { column, value }),
            Some(one) if one.value == value => {}
            Some(_) => {
                let message = format!("`{}` is not the one in the path", column.name);
                taken.found.push(place.finding("key_changed", &column.name, message));
            }
        }
    }
}
