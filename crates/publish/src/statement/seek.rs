//! A page behind a place, in the form that each database finds by an index.
//!
//! In: a plan whose order has values. Out: the statement of its page. SQLite and PostgreSQL
//! compare rows of values, `(a, b) > (1, 2)`, where all columns go the same way and have no nulls.
//! Otherwise the items behind a place are a few ranges, one for each column of the order: those
//! equal in `a` and behind in `b`, those behind in `a`, and those whose nulls come after. Each is a
//! range of one index, so each is read by itself up to the page's length, and the page is the
//! first items of them all: MySQL and MariaDB use no index for the form with `OR`, nor for rows
//! of values. The lake has no index, and reads once with `OR`.
//!
//! What never happens here: reading what lies before the place.

use super::dialect::Writer;
use super::{Dialect, OUTER, chosen, condition, from, ordered};
use crate::plan::{ListPlan, Order, Value};
use crate::source::Column;

type Place<'p> = &'p [Option<Value>];

/// Items that equal the place in the first columns of the order and lie behind it in the next.
struct Range {
    equals: usize,
    then: Then,
}

enum Then {
    /// Values behind the place's.
    Behind,
    /// Nulls, which come after its value.
    Nulls,
    /// Values, which come after its null.
    Values,
}

/// The items of a page behind a place.
pub(super) fn page(
    writer: &mut Writer,
    plan: &ListPlan<'_>,
    place: Place<'_>,
    columns: &[&Column],
) {
    let order = plan.order.as_slice();
    let ranges = ranges(order, place);
    if is_row(writer.dialect, order) {
        chosen(writer, columns, order);
        from(writer, plan.relation);
        filtered(writer, plan);
        row(writer, order, place);
    } else if ranges.len() == 1 || writer.dialect == Dialect::Lake {
        chosen(writer, columns, order);
        from(writer, plan.relation);
        filtered(writer, plan);
        any(writer, &ranges, order, place);
    } else {
        chosen(writer, columns, order);
        writer.push(" FROM (");
        for (at, one) in ranges.iter().enumerate() {
            writer.push(if at > 0 { " UNION ALL SELECT * FROM (" } else { "SELECT * FROM (" });
            part(writer, plan, one, place, columns);
            writer.push(&format!(") AS r{at}"));
        }
        writer.push(&format!(") AS {OUTER}"));
    }
    ordered(writer, order);
}

fn is_row(dialect: Dialect, order: &[Order<'_>]) -> bool {
    let is_one_way = order.windows(2).all(|two| two[0].descends == two[1].descends);
    let has_rows = matches!(dialect, Dialect::Sqlite | Dialect::Postgres);
    has_rows && is_one_way && order.len() > 1 && !order.iter().any(Order::has_nulls)
}

/// The plan's own condition, and the word before what else must hold.
fn filtered(writer: &mut Writer, plan: &ListPlan<'_>) {
    let has_condition = condition::filter(writer, &plan.condition);
    writer.push(if has_condition { " AND " } else { " WHERE " });
}

/// `(a, b) > (1, 2)`
fn row(writer: &mut Writer, order: &[Order<'_>], place: Place<'_>) {
    writer.push("(");
    for (at, one) in order.iter().enumerate() {
        writer.push(if at > 0 { ", " } else { "" });
        writer.sortable(OUTER, one.column);
    }
    let descends = order.first().is_some_and(|one| one.descends);
    writer.push(if descends { ") < (" } else { ") > (" });
    for (at, (one, value)) in order.iter().zip(place.iter().flatten()).enumerate() {
        writer.push(if at > 0 { ", " } else { "" });
        writer.value(one.column, value);
    }
    writer.push(")");
}

/// The ranges behind a place, the nearest first.
fn ranges(order: &[Order<'_>], place: Place<'_>) -> Vec<Range> {
    let mut ranges = Vec::new();
    for (equals, (one, value)) in order.iter().zip(place).enumerate().rev() {
        match (value, one.nulls_first) {
            (Some(_), nulls_first) => {
                ranges.push(Range { equals, then: Then::Behind });
                if one.has_nulls() && !nulls_first {
                    ranges.push(Range { equals, then: Then::Nulls });
                }
            }
            (None, true) => ranges.push(Range { equals, then: Then::Values }),
            (None, false) => {}
        }
    }
    ranges
}

fn any(writer: &mut Writer, ranges: &[Range], order: &[Order<'_>], place: Place<'_>) {
    writer.push(if ranges.is_empty() { "FALSE" } else { "" });
    writer.push(if ranges.len() > 1 { "(" } else { "" });
    for (at, one) in ranges.iter().enumerate() {
        writer.push(if at > 0 { " OR " } else { "" });
        range(writer, one, order, place);
    }
    writer.push(if ranges.len() > 1 { ")" } else { "" });
}

/// As many items of one range as a page has.
fn part(
    writer: &mut Writer,
    plan: &ListPlan<'_>,
    one: &Range,
    place: Place<'_>,
    columns: &[&Column],
) {
    for (at, column) in columns.iter().enumerate() {
        writer.push(if at > 0 { ", " } else { "SELECT " });
        writer.column(OUTER, column);
    }
    from(writer, plan.relation);
    filtered(writer, plan);
    range(writer, one, &plan.order, place);
    ordered(writer, &plan.order);
    writer.push(&format!(" LIMIT {}", plan.limit + 1));
}

fn range(writer: &mut Writer, range: &Range, order: &[Order<'_>], place: Place<'_>) {
    writer.push("(");
    for (one, value) in order.iter().zip(place).take(range.equals) {
        writer.sortable(OUTER, one.column);
        match value {
            Some(value) => {
                writer.push(" = ");
                writer.value(one.column, value);
            }
            None => writer.push(" IS NULL"),
        }
        writer.push(" AND ");
    }
    let (one, value) = (&order[range.equals], &place[range.equals]);
    writer.sortable(OUTER, one.column);
    match (&range.then, value) {
        (Then::Behind, Some(value)) => {
            writer.push(if one.descends { " < " } else { " > " });
            writer.value(one.column, value);
        }
        (Then::Nulls, _) => writer.push(" IS NULL"),
        (Then::Values | Then::Behind, _) => writer.push(" IS NOT NULL"),
    }
    writer.push(")");
}
