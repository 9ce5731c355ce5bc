//! What stands beside the columns of an item: the tag of its version, and items of other objects.
//!
//! In: rows with all columns that this needs, whatever is shown of them: the whole row tells the
//! version, and the columns of a reference tell what belongs to it. Out: the rows as they are
//! shown, with `$etag`, which is the `ETag` of the item by itself with the same fields, and with a
//! member for each related object: a list of its items, or the one item, or null. All related
//! items of a page are read by one statement for each object.
//!
//! What never happens here: a column in the answer that was not asked for, a related item that the
//! caller could not read by itself, a list of them that is cut.

use std::collections::{BTreeSet, HashMap};

use crate::plan::{self, Condition, Related, Value};
use crate::query::Reading;
use crate::refusal::{Refusal, Validation};
use crate::respond;
use crate::source::{Column, Page, first, json};
use crate::write::{Row, Versions, tag};

/// Related items of one object in one answer.
const RELATED_MAX: usize = 1_000;

/// What is shown of rows, and what stands beside it.
pub(crate) struct Beside<'a> {
    pub(crate) shown: Vec<&'a Column>,
    /// What tells the versions, where items come with their tags.
    pub(crate) versions: Option<&'a Versions>,
    pub(crate) expands: Vec<&'a Related<'a>>,
    /// The members of a row that are its table's columns; a page has its place behind them.
    pub(crate) members: usize,
}

impl Beside<'_> {
    /// The first rows of a page behind the head of a list; the last first when they are turned.
    pub(crate) async fn list(
        &self,
        reading: &Reading<'_>,
        page: &Page,
        rows: usize,
        turned: bool,
    ) -> Result<Vec<u8>, Refusal> {
        let row = |at: usize| {
            let text = page.text(if turned { rows - 1 - at } else { at });
            Row::read(first(text, self.members).collect::<String>().into_bytes())
        };
        let rows: Vec<Row> = (0..rows).map(row).collect::<Result<_, _>>()?;
        let related = related(reading, &self.expands, &rows).await?;
        let mut body = respond::list_head();
        for (at, row) in rows.iter().enumerate() {
            let mut shown = row.only(&self.shown);
            if let Some(versions) = self.versions {
                let tag = tag(&row.version(versions), &shown);
                let mut text = Vec::new();
                json::text(&mut text, &tag);
                add(&mut shown, "$etag", &text);
            }
            for one in &related {
                one.add_to(&mut shown, row);
            }
            body.extend_from_slice(if at > 0 { b"," } else { b"" });
            body.append(&mut shown);
        }
        Ok(body)
    }
}

/// The items of a related object, by the values that they share with what they belong to.
pub(crate) struct Belonging<'a> {
    related: &'a Related<'a>,
    items: HashMap<Vec<String>, Vec<Vec<u8>>>,
}

/// What belongs to some rows, of each of the related objects.
///
/// # Errors
/// More items than an answer may have, which is never told by leaving some out.
pub(crate) async fn related<'a>(
    reading: &Reading<'_>,
    expands: &[&'a Related<'a>],
    rows: &[Row],
) -> Result<Vec<Belonging<'a>>, Refusal> {
    let mut all = Vec::with_capacity(expands.len());
    for related in expands {
        let wanted: BTreeSet<Vec<String>> =
            rows.iter().filter_map(|row| own(related, row)).collect();
        let mut items: HashMap<Vec<String>, Vec<Vec<u8>>> = HashMap::new();
        if let Some(condition) = among(related, &wanted) {
            let found = reading.belonging(related, condition, RELATED_MAX).await?;
            let Some(found) = found else { return Err(too_many(related)) };
            let shown = plan::shown_of(related)?;
            for item in found {
                if let Some(key) = theirs(related, &item) {
                    items.entry(key).or_default().push(item.only(&shown));
                }
            }
        }
        all.push(Belonging { related, items });
    }
    Ok(all)
}

impl Belonging<'_> {
    /// Writes the member of a row behind those that it has.
    pub(crate) fn add_to(&self, shown: &mut Vec<u8>, row: &Row) {
        let items = own(self.related, row).and_then(|key| self.items.get(&key));
        let items = items.map(Vec::as_slice).unwrap_or_default();
        let text = match (self.related.is_many, items) {
            (true, items) => [b"[".as_slice(), &items.join(&b','), b"]"].concat(),
            (false, [item, ..]) => item.clone(),
            (false, []) => b"null".to_vec(),
        };
        add(shown, self.related.name, &text);
    }
}

/// A further member of an object's text.
fn add(object: &mut Vec<u8>, name: &str, value: &[u8]) {
    object.pop();
    object.extend_from_slice(if object.len() > 1 { b"," } else { b"" });
    json::text(object, name);
    object.push(b':');
    object.extend_from_slice(value);
    object.push(b'}');
}

/// The values of a row that what belongs to it shares; none when one is null.
fn own(related: &Related<'_>, row: &Row) -> Option<Vec<String>> {
    related.pairs.iter().map(|(mine, _)| Some(row.value(mine)?.text().to_owned())).collect()
}

/// The same of an item that belongs to it, in the form of the other side.
fn theirs(related: &Related<'_>, item: &Row) -> Option<Vec<String>> {
    let value = |(mine, theirs): &(&Column, &Column)| {
        Some(Value::of(mine.kind, &item.text_of(&theirs.name)?)?.text().to_owned())
    };
    related.pairs.iter().map(value).collect()
}

/// What items must be to belong to one of the rows; none when there is nothing to belong to.
fn among<'a>(related: &'a Related<'a>, wanted: &BTreeSet<Vec<String>>) -> Option<Condition<'a>> {
    if let [(_, column)] = related.pairs.as_slice() {
        let values = wanted.iter().flatten();
        let values: Vec<Value> = values.filter_map(|text| Value::of(column.kind, text)).collect();
        return (!values.is_empty()).then_some(Condition::In { column, values });
    }
    let any = wanted.iter().filter_map(|texts| {
        let all = related.pairs.iter().zip(texts).map(|((_, column), text)| {
            Some(Condition::equals(column, Value::of(column.kind, text)?))
        });
        all.collect::<Option<Vec<_>>>().map(Condition::All)
    });
    let any: Vec<Condition<'_>> = any.collect();
    (!any.is_empty()).then_some(Condition::Any(any))
}

fn too_many(related: &Related<'_>) -> Refusal {
    let message = format!(
        "`$expand={name}` would bring more than {RELATED_MAX} items: ask for fewer items, or for \
         those of `{name}` by a filter",
        name = related.name
    );
    Refusal::Invalid(vec![Validation::error("too_many_related", message)])
}
