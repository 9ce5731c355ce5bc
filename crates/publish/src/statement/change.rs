//! Statements that change rows, and those that look at what was changed.
//!
//! In: columns with their values, conditions, rules of the app's author. Out: statements. What
//! never happens here: a value in the text. The rules and events are the author's own SQL and
//! stand in the text as they are; values in them are bound.

use restway_model::definition::Piece;

use super::dialect::Writer;
use super::{Bound, Dialect, OUTER, Statement, condition};
use crate::plan::{Condition, Value};
use crate::source::{Column, Kind, Relation};

/// A column and what it gets; nothing is null.
#[derive(Debug, Clone)]
pub(crate) struct Assigned<'a> {
    pub(crate) column: &'a Column,
    pub(crate) value: Option<Value>,
}

/// How a new row tells its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Returns {
    /// By the statement itself.
    Key,
    /// Not at all: it is known, or asked for afterwards.
    Nothing,
}

/// A new row.
pub(crate) fn insert<'a>(
    dialect: Dialect,
    relation: &Relation,
    assigned: &[Assigned<'_>],
    key: &[&'a Column],
    returns: Returns,
) -> Statement<'a> {
    let mut writer = Writer::new(dialect);
    writer.push("INSERT INTO ");
    writer.table(relation);
    if assigned.is_empty() {
        writer.push(if dialect == Dialect::Mysql { " () VALUES ()" } else { " DEFAULT VALUES" });
    } else {
        for (at, one) in assigned.iter().enumerate() {
            writer.push(if at > 0 { ", " } else { " (" });
            writer.name(&one.column.name);
        }
        writer.push(") VALUES (");
        for (at, one) in assigned.iter().enumerate() {
            writer.push(if at > 0 { ", " } else { "" });
            writer.assigned(one.column, one.value.as_ref());
        }
        writer.push(")");
    }
    if returns == Returns::Nothing {
        return writer.statement(Vec::new(), &[]);
    }
    for (at, column) in key.iter().enumerate() {
        writer.push(if at > 0 { ", " } else { " RETURNING " });
        writer.name(&column.name);
    }
    writer.statement(key.to_vec(), &[])
}

/// The number that the database gave the row that was just inserted.
pub(crate) fn given_number(key: &Column) -> Statement<'_> {
    let mut writer = Writer::new(Dialect::Mysql);
    let sign = if key.kind == Kind::UInt64 { "UNSIGNED" } else { "SIGNED" };
    writer.push(&format!("SELECT CAST(LAST_INSERT_ID() AS {sign}) AS "));
    writer.name(&key.name);
    writer.statement(vec![key], &[])
}

/// Other values for the rows of a condition.
pub(crate) fn update<'a>(
    dialect: Dialect,
    relation: &Relation,
    assigned: &[Assigned<'_>],
    condition: &Condition<'_>,
) -> Statement<'a> {
    let mut writer = Writer::new(dialect);
    writer.push("UPDATE ");
    writer.relation(relation, OUTER);
    for (at, one) in assigned.iter().enumerate() {
        writer.push(if at > 0 { ", " } else { " SET " });
        writer.name(&one.column.name);
        writer.push(" = ");
        writer.assigned(one.column, one.value.as_ref());
    }
    condition::filter(&mut writer, condition);
    writer.statement(Vec::new(), &[])
}

/// The rows of a condition no more.
pub(crate) fn delete<'a>(
    dialect: Dialect,
    relation: &Relation,
    condition: &Condition<'_>,
) -> Statement<'a> {
    let mut writer = Writer::new(dialect);
    writer.push(if dialect == Dialect::Mysql { "DELETE t FROM " } else { "DELETE FROM " });
    writer.relation(relation, OUTER);
    condition::filter(&mut writer, condition);
    writer.statement(Vec::new(), &[])
}

/// Whole rows, kept from other writers until the transaction ends when it `locks` them. SQLite
/// has one writer at a time.
pub(crate) fn stored<'a>(
    dialect: Dialect,
    relation: &Relation,
    columns: &[&'a Column],
    condition: &Condition<'_>,
    rows_max: usize,
    locks: bool,
) -> Statement<'a> {
    let mut writer = Writer::new(dialect);
    super::select(&mut writer, relation, columns);
    condition::filter(&mut writer, condition);
    writer.push(&format!(" LIMIT {rows_max}"));
    if locks && dialect != Dialect::Sqlite {
        writer.push(" FOR UPDATE");
    }
    writer.statement(columns.to_vec(), &[])
}

/// Which rules are broken by the row of a condition, each in a column of its own.
pub(crate) fn judged<'a>(
    dialect: Dialect,
    relation: &Relation,
    rules: &[&str],
    columns: &'a [Column],
    condition: &Condition<'_>,
) -> Statement<'a> {
    let mut writer = Writer::new(dialect);
    verdicts(&mut writer, rules, columns);
    writer.push(" FROM ");
    writer.relation(relation, OUTER);
    condition::filter(&mut writer, condition);
    writer.push(" LIMIT 1");
    writer.statement(columns.iter().collect(), &[])
}

/// Which rules would be broken by a row that was not written.
pub(crate) fn imagined<'a>(
    dialect: Dialect,
    row: &[Assigned<'_>],
    rules: &[&str],
    columns: &'a [Column],
) -> Statement<'a> {
    let mut writer = Writer::new(dialect);
    verdicts(&mut writer, rules, columns);
    for (at, one) in row.iter().enumerate() {
        writer.push(if at > 0 { ", " } else { " FROM (SELECT " });
        writer.imagined(one.column, one.value.as_ref());
        writer.push(" AS ");
        writer.name(&one.column.name);
    }
    writer.push(&format!(") AS {OUTER}"));
    writer.statement(columns.iter().collect(), &[])
}

/// A rule that is null holds. The end of the line ends a comment that it may end with.
fn verdicts(writer: &mut Writer, rules: &[&str], columns: &[Column]) {
    for (at, (rule, column)) in rules.iter().zip(columns).enumerate() {
        writer.push(if at > 0 { ", " } else { "SELECT " });
        writer.push(&format!("((NOT ({rule}\n)) IS TRUE) AS "));
        writer.name(&column.name);
    }
}

/// A statement of the app's author, with the values of its references in their order.
pub(crate) fn event<'a>(
    dialect: Dialect,
    pieces: &[Piece],
    values: &[Assigned<'_>],
) -> Statement<'a> {
    let mut writer = Writer::new(dialect);
    let mut values = values.iter();
    for piece in pieces {
        match piece {
            Piece::Text(text) => writer.push(text),
            Piece::Row(_) | Piece::Item(_) | Piece::Caller(_) => {
                if let Some(one) = values.next() {
                    writer.assigned(one.column, one.value.as_ref());
                }
            }
        }
    }
    writer.statement(Vec::new(), &[])
}

/// A statement of this room's own, written with a `?` for each value.
pub(crate) fn own<'a>(
    dialect: Dialect,
    text: &str,
    values: Vec<Bound>,
    columns: Vec<&'a Column>,
) -> Statement<'a> {
    let mut writer = Writer::new(dialect);
    let mut values = values.into_iter();
    let mut pieces = text.split('?');
    writer.push(pieces.next().unwrap_or_default());
    for piece in pieces {
        writer.bind(values.next().unwrap_or(Bound::Null));
        writer.push(piece);
    }
    writer.statement(columns, &[])
}
