//! Writes of many items: all of them or none, unless the caller wants each for itself.
//!
//! In: items, or a filter and what happens to the items that it names. Out: a list of what is
//! stored now, or what became of each item (207). Every item has a part of the transaction of its
//! own, so that all that is wrong with all of them is told at once.
//!
//! What never happens here: an answer that is cut, or a filter that touches more items than the
//! caller said.

use restway_model::definition::AppEvent;

use super::body::{Body, Item};
use super::row::Row;
use super::session::{Done, Session, What};
use super::values::{self, Known, Place, Taken};
use super::wishes::{Resolution, Shows};
use super::{Verb, Write, malformed, patch};
use crate::plan::Condition;
use crate::refusal::{Findings, Refusal, Validation};
use crate::respond::{self, Response};
use crate::source::Column;

/// What became of an item.
enum Became {
    Done(Done),
    Refused { status: u16, found: Vec<Validation> },
}

/// What happens to a list.
pub(super) async fn effect<'s>(
    write: &'s Write<'_>,
    session: &mut Session<'s, '_>,
) -> Result<Response, Refusal> {
    let became = match (&write.verb, &write.body) {
        (Verb::Insert, Body::Many(items)) => {
            write.no_filters()?;
            each(write, session, items, false).await?
        }
        (Verb::UpdateMany, Body::Many(items)) => {
            write.no_filters()?;
            each(write, session, items, true).await?
        }
        (Verb::UpdateMany, Body::One(item)) => filtered(write, session, Some(item)).await?,
        (Verb::DeleteMany, Body::Empty) => filtered(write, session, None).await?,
        (Verb::DeleteMany, _) => return Err(malformed("a list is deleted by a filter alone")),
        _ => return Err(malformed("the body is `{\"items\": […]}`, or `{\"item\": {…}}`")),
    };
    answered(write, session, &became)
}

/// Each of the items that were sent.
async fn each<'s>(
    write: &'s Write<'_>,
    session: &mut Session<'s, '_>,
    items: &'s [Item],
    updates: bool,
) -> Result<Vec<Became>, Refusal> {
    let mut became = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let place = Place::of(Some(index));
        begin(session).await?;
        let outcome = if updates {
            changed(write, session, item, &place).await
        } else {
            placed(write, session, item, &place).await
        };
        became.push(end(session, outcome, &place).await?);
    }
    Ok(became)
}

/// Each of the items that a filter names.
async fn filtered<'s>(
    write: &'s Write<'_>,
    session: &mut Session<'s, '_>,
    item: Option<&'s Item>,
) -> Result<Vec<Became>, Refusal> {
    let visible = session.readable();
    let condition = write.condition(&visible)?;
    let affected_max = write.wishes.affected_max;
    let rows_max = usize::try_from(affected_max).unwrap_or(usize::MAX).saturating_add(1);
    let condition = condition.and(session.rights.rows(&write.verb.event(), session.description)?);
    // What is changed tells which rows the filters name: these are rows that the caller can read.
    let condition = condition.and(session.rights.seen(session.description)?);
    let rows = session.rows(&condition, rows_max.min(super::body::ITEMS_MAX + 1), true).await?;
    let bound = affected_max.min(super::body::ITEMS_MAX as u64);
    if rows.len() as u64 > bound {
        return Err(Refusal::TooMany { items_max: bound });
    }
    // Values that no item can have are refused where there is no item, too.
    if let Some(item) = item.filter(|_| rows.is_empty()) {
        let known = session.known(&AppEvent::Update);
        let found = values::take(item, &known, &Place::of(None)).found;
        if !found.is_empty() {
            return Err(super::rules::rejected(400, found, None));
        }
    }
    let mut became = Vec::with_capacity(rows.len());
    for (index, old) in rows.into_iter().enumerate() {
        let place = Place::of(Some(index));
        begin(session).await?;
        let outcome = match (session.allow(&write.preconditions, Some(&old)).await, item) {
            (Err(refusal), _) => Err(refusal),
            (Ok(()), None) => session.delete(old, &place).await,
            (Ok(()), Some(item)) => {
                let mut taken = values::take(item, &session.known(&AppEvent::Update), &place);
                patch::merge(&write.request.method, &mut taken, &old, &place);
                session.update(&old, taken, &place).await
            }
        };
        became.push(end(session, outcome, &place).await?);
    }
    Ok(became)
}

/// Other values for the item whose key is among them.
async fn changed<'s>(
    write: &'s Write<'_>,
    session: &mut Session<'s, '_>,
    item: &'s Item,
    place: &Place,
) -> Result<Done, Refusal> {
    let mut taken = values::take(item, &session.known(&AppEvent::Update), place);
    let named = named(&taken, session.key).ok_or(Refusal::NoItem)?;
    let old = session.locked(named, &AppEvent::Update).await?.ok_or(Refusal::NoItem)?;
    session.allow(&write.preconditions, Some(&old)).await?;
    patch::merge(&write.request.method, &mut taken, &old, place);
    session.update(&old, taken, place).await
}

/// A new item, or what a caller wants when it is there already.
pub(super) async fn placed<'s>(
    write: &'s Write<'_>,
    session: &mut Session<'s, '_>,
    item: &'s Item,
    place: &Place,
) -> Result<Done, Refusal> {
    let taken = values::take(item, &session.known(&AppEvent::Insert), place);
    if write.wishes.resolution == Resolution::Refuse {
        return session.insert(taken, place).await;
    }
    if !session.rights.may(&AppEvent::Update) {
        return Err(Refusal::Forbidden);
    }
    let columns = conflict_columns(write, session)?;
    let named = named(&taken, &columns);
    if let Some(named) = &named
        && let Some(old) = session.locked(named.clone(), &AppEvent::Update).await?
    {
        return met(write, session, item, &columns, old, place).await;
    }
    write.preconditions.allow(None)?;
    begin(session).await?;
    match session.insert(taken, place).await {
        Ok(done) => keep(session).await.map(|()| done),
        Err(refusal) if is_of_the_item(&refusal) => {
            undo(session).await?;
            // Somebody else may have made it since.
            let old = match named.filter(|_| is_taken(&refusal)) {
                Some(named) => session.locked(named, &AppEvent::Update).await?,
                None => None,
            };
            match old {
                Some(old) => met(write, session, item, &columns, old, place).await,
                None => Err(refusal),
            }
        }
        Err(refusal) => Err(refusal),
    }
}

/// Whether another item has the values that must be one item's alone.
fn is_taken(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Rejected(rejected)
        if rejected.validations.iter().any(|found| found.validation_id == "unique"))
}

/// What a caller wants of an item that is there already: its values are laid over it by the rights
/// of who changes items, or it stays as it is.
async fn met<'s>(
    write: &'s Write<'_>,
    session: &mut Session<'s, '_>,
    item: &'s Item,
    columns: &[&'s Column],
    old: Row,
    place: &Place,
) -> Result<Done, Refusal> {
    if write.wishes.resolution == Resolution::Ignore {
        return session.kept(old).await;
    }
    if write.object.writing.requires_match && !write.preconditions.names_a_version(false) {
        return Err(Refusal::NoPrecondition);
    }
    session.allow(&write.preconditions, Some(&old)).await?;
    let event = AppEvent::Update;
    let known = Known { names: columns, ..session.known(&event) };
    let mut taken = values::take(item, &known, place);
    let is_name = |column: &Column| columns.iter().any(|one| one.name == column.name);
    // What only names the item is what it has.
    let rights = session.rights;
    taken.assigned.retain(|one| !is_name(one.column) || rights.writes(&event, one.column));
    session.update(&old, taken, place).await
}

/// The columns by which an item is found again: the key, or others that are unique.
fn conflict_columns<'s>(
    write: &Write<'_>,
    session: &Session<'s, '_>,
) -> Result<Vec<&'s Column>, Refusal> {
    let Some(names) = &write.wishes.key else { return Ok(session.key.to_vec()) };
    let description = session.description;
    let is_same = |columns: &[String]| {
        columns.len() == names.len() && names.iter().all(|name| columns.contains(name))
    };
    let is_unique = is_same(&description.key)
        || description.uniques.iter().any(|unique| is_same(&unique.columns));
    let columns: Option<Vec<&Column>> =
        names.iter().map(|name| crate::plan::column(&description.columns, name)).collect();
    let is_known = |columns: &Vec<&Column>| {
        columns.iter().all(|column| session.rights.knows(column, session.key))
    };
    match columns.filter(|columns| is_unique && is_known(columns)) {
        Some(columns) => Ok(columns),
        None => {
            let mut findings = Findings::default();
            let message = "`$key` names columns that are unique together".to_owned();
            findings.add("invalid_parameter", message);
            Err(Refusal::Invalid(findings.into_vec()))
        }
    }
}

/// The item with the same values in the columns; none when one of them has no value.
fn named<'s>(taken: &Taken<'s>, columns: &[&'s Column]) -> Option<Condition<'s>> {
    let equals = |column: &&'s Column| {
        let value = taken.value(column)?.value.clone()?;
        Some(Condition::equals(column, value))
    };
    columns.iter().map(equals).collect::<Option<Vec<_>>>().map(Condition::All)
}

async fn begin(session: &mut Session<'_, '_>) -> Result<(), Refusal> {
    let begun = session.transaction.save().await;
    begun.map_err(|error| session.reading.refusal(error))
}

async fn keep(session: &mut Session<'_, '_>) -> Result<(), Refusal> {
    let kept = session.transaction.keep().await;
    kept.map_err(|error| session.reading.refusal(error))
}

async fn undo(session: &mut Session<'_, '_>) -> Result<(), Refusal> {
    let undone = session.transaction.undo().await;
    undone.map_err(|error| session.reading.refusal(error))
}

/// Keeps the part of an item, or undoes it and tells why.
async fn end(
    session: &mut Session<'_, '_>,
    outcome: Result<Done, Refusal>,
    place: &Place,
) -> Result<Became, Refusal> {
    match &outcome {
        Ok(_) => keep(session).await?,
        Err(refusal) if is_of_the_item(refusal) => undo(session).await?,
        Err(_) => {}
    }
    match outcome {
        Ok(done) => Ok(Became::Done(done)),
        Err(Refusal::Rejected(rejected)) => {
            Ok(Became::Refused { status: rejected.status, found: rejected.validations })
        }
        Err(refusal) if is_of_the_item(&refusal) => {
            let id = match refusal {
                Refusal::NoItem => "not_found",
                Refusal::Forbidden => "forbidden",
                _ => "version",
            };
            let mut found = Validation::error(id, refusal.detail());
            found.pointer = Some(place.pointer.clone());
            found.index = place.index;
            Ok(Became::Refused { status: refusal.status(), found: vec![found] })
        }
        Err(refusal) => Err(refusal),
    }
}

/// Whether it is about this item, and others may still be written.
fn is_of_the_item(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Rejected(_) | Refusal::NoItem | Refusal::Precondition { .. } => true,
        refusal => matches!(refusal, Refusal::Forbidden),
    }
}

fn answered(
    write: &Write<'_>,
    session: &Session<'_, '_>,
    became: &[Became],
) -> Result<Response, Refusal> {
    if write.wishes.per_item {
        let items = became.iter().enumerate().map(|(index, became)| match became {
            Became::Done(done) => {
                let status = if done.what == What::Inserted { 201 } else { 200 };
                let shown = write.shown(session, done);
                respond::outcome(index, status, Some(&shown), &done.found)
            }
            Became::Refused { status, found } => respond::outcome(index, *status, None, found),
        });
        let items: Vec<Vec<u8>> = items.collect();
        let items: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
        return Ok(respond::written_list(&items, None, &[], 207));
    }
    let (mut findings, mut status) = (Findings::default(), None);
    for became in became {
        let found = match became {
            Became::Done(done) => &done.found,
            Became::Refused { status: own, found } => {
                // The list is there, whatever one of its items is.
                status.get_or_insert(if *own == 404 { 400 } else { *own });
                found
            }
        };
        found.iter().cloned().for_each(|found| findings.push(found));
    }
    let found = findings.into_vec();
    if let Some(status) = status {
        return Err(super::rules::rejected(status, found, None));
    }
    let done = || {
        became.iter().filter_map(|became| match became {
            Became::Done(done) => Some(done),
            Became::Refused { .. } => None,
        })
    };
    let counted = |what: What| done().filter(|done| done.what == what).count();
    let parts = [
        (counted(What::Inserted), "inserted"),
        (counted(What::Updated), "updated"),
        (counted(What::Deleted), "deleted"),
        (counted(What::Kept), "kept"),
    ];
    let told = parts.iter().filter(|(count, _)| *count > 0);
    let would = if write.wishes.only_validates { "would be " } else { "" };
    let told: Vec<String> = told.map(|(count, what)| format!("{count} {would}{what}")).collect();
    let message = if told.is_empty() { "no items".to_owned() } else { told.join(", ") };
    let rows: Vec<Vec<u8>> = match write.shows() {
        _ if !session.rights.reads() => Vec::new(),
        Shows::Nothing => Vec::new(),
        _ => done().map(|done| write.shown(session, done)).collect(),
    };
    let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
    Ok(respond::written_list(&rows, Some(&message), &found, 200))
}
