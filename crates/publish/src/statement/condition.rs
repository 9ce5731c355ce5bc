//! A condition in each dialect.
//!
//! In: a [`Condition`]. Out: its text, with values behind placeholders. What never happens here: a
//! pattern of a caller: what `LIKE` would read as one is escaped (`pattern` has those that are
//! meant).
//!
//! Upper and lower case are folded as far as the database folds them: SQLite only the letters of
//! ASCII.

use super::dialect::{Bound, Dialect, Writer};
use super::{OUTER, pattern};
use crate::plan::{Comparison, Condition, Place, Quantity};
use crate::source::{Column, Kind};

/// `WHERE` and the condition, if there is one.
pub(super) fn filter(writer: &mut Writer, condition: &Condition<'_>) -> bool {
    if matches!(condition, Condition::All(all) if all.is_empty()) {
        return false;
    }
    writer.push(" WHERE ");
    match condition {
        Condition::All(all) => joined(writer, all, " AND ", OUTER),
        other => write(writer, other, OUTER),
    }
    true
}

fn write(writer: &mut Writer, condition: &Condition<'_>, alias: &str) {
    match condition {
        Condition::All(all) => bracketed(writer, all, " AND ", "TRUE", alias),
        Condition::Any(any) => bracketed(writer, any, " OR ", "FALSE", alias),
        Condition::Not(inner) => {
            writer.push("NOT (");
            write(writer, inner, alias);
            writer.push(")");
        }
        Condition::Untrue(inner) => {
            writer.push("(");
            write(writer, inner, alias);
            writer.push(") IS NOT TRUE");
        }
        // A column without a type has no value that anything could be compared with.
        Condition::Compare { column, .. } | Condition::In { column, .. }
            if column.kind == Kind::Null =>
        {
            writer.push("FALSE");
        }
        Condition::Compare { column, comparison, value } => {
            let is_either = writer.is_number_or_text(column, value);
            match is_either {
                true => writer.column(alias, column),
                false => writer.comparable(alias, column),
            }
            writer.push(match comparison {
                Comparison::Equal => " = ",
                Comparison::Different => " <> ",
                Comparison::Less => " < ",
                Comparison::AtMost => " <= ",
                Comparison::Greater => " > ",
                Comparison::AtLeast => " >= ",
            });
            match is_either {
                true => writer.number_or_text(alias, column, value),
                false => writer.value(column, value),
            }
        }
        Condition::In { values, .. } if values.is_empty() => writer.push("FALSE"),
        Condition::In { column, values } => {
            writer.comparable(alias, column);
            writer.push(" ");
            writer.values(column, values);
        }
        Condition::Null(column) => {
            writer.column(alias, column);
            writer.push(" IS NULL");
        }
        Condition::Text { column, place, folds, text } => {
            has(writer, alias, column, *place, *folds, text);
        }
        Condition::Like { column, folds, pattern } => {
            pattern::like(writer, alias, column, *folds, pattern);
        }
        Condition::Has { column, element } => pattern::has_element(writer, alias, column, element),
        Condition::Search { columns, text } => search(writer, alias, columns, text),
        Condition::Related { .. } => related(writer, condition, alias),
    }
}

fn bracketed(
    writer: &mut Writer,
    conditions: &[Condition<'_>],
    between: &str,
    none: &str,
    alias: &str,
) {
    if conditions.is_empty() {
        return writer.push(none);
    }
    writer.push("(");
    joined(writer, conditions, between, alias);
    writer.push(")");
}

fn joined(writer: &mut Writer, conditions: &[Condition<'_>], between: &str, alias: &str) {
    for (at, condition) in conditions.iter().enumerate() {
        writer.push(if at > 0 { between } else { "" });
        write(writer, condition, alias);
    }
}

/// Rows of the other relation whose columns equal these, and for which it holds or does not.
fn related(writer: &mut Writer, condition: &Condition<'_>, alias: &str) {
    let Condition::Related { relation, pairs, quantity, condition } = condition else { return };
    let inner = format!("{alias}r");
    writer.push(match quantity {
        Quantity::Any => "EXISTS (SELECT 1 FROM ",
        Quantity::All => "NOT EXISTS (SELECT 1 FROM ",
    });
    writer.relation(relation, &inner);
    writer.push(" WHERE ");
    for (outer, other) in pairs {
        writer.column(&inner, other);
        writer.push(" = ");
        writer.column(alias, outer);
        writer.push(" AND ");
    }
    writer.push("(");
    write(writer, condition, &inner);
    // What is neither true nor false does not hold.
    writer.push(if *quantity == Quantity::All { ") IS NOT TRUE)" } else { "))" });
}

/// A text in one of the columns. One value serves them all.
fn search(writer: &mut Writer, alias: &str, columns: &[&Column], text: &str) {
    let holds = |column: &&&Column| !matches!(column.kind, Kind::Null | Kind::Bytes);
    let mut first = None;
    writer.push("(");
    for column in columns.iter().filter(holds) {
        if first.is_some() {
            writer.push(" OR ");
        }
        first = Some(folded(writer, alias, column, Place::Within, text, first));
    }
    writer.push(if first.is_some() { ")" } else { "FALSE)" });
}

fn has(writer: &mut Writer, alias: &str, column: &Column, place: Place, folds: bool, text: &str) {
    if column.kind == Kind::Null {
        writer.push("FALSE");
    } else if text.is_empty() {
        writer.column(alias, column);
        writer.push(" IS NOT NULL");
    } else if folds {
        folded(writer, alias, column, place, text, None);
    } else {
        exact(writer, alias, column, place, text);
    }
}

/// In any case. Gives the number of the placeholder, for the next column.
fn folded(
    writer: &mut Writer,
    alias: &str,
    column: &Column,
    place: Place,
    text: &str,
    earlier: Option<usize>,
) -> usize {
    let dialect = writer.dialect;
    if dialect == Dialect::Lake {
        writer.push(lake_function(place));
        writer.push("lower(");
        writer.as_text(alias, column);
        writer.push("), lower(CAST(");
        let number = once(writer, earlier, || Bound::Text(text.to_owned()));
        writer.push(" AS VARCHAR)))");
        return number;
    }
    if dialect == Dialect::Mysql {
        writer.push("LOWER(");
    }
    writer.as_text(alias, column);
    writer.push(match dialect {
        Dialect::Postgres => " ILIKE ",
        Dialect::Mysql => ") LIKE LOWER(",
        _ => " LIKE ",
    });
    let number = once(writer, earlier, || Bound::Text(pattern(text, place)));
    writer.push(match dialect {
        Dialect::Mysql => ") COLLATE utf8mb4_bin ESCAPE '!'",
        _ => " ESCAPE '!'",
    });
    number
}

/// In this case only.
fn exact(writer: &mut Writer, alias: &str, column: &Column, place: Place, text: &str) {
    match writer.dialect {
        Dialect::Lake => {
            writer.push(lake_function(place));
            writer.as_text(alias, column);
            writer.push(", CAST(");
            writer.bind(Bound::Text(text.to_owned()));
            writer.push(" AS VARCHAR))");
        }
        // Its LIKE folds; its other pattern has no escape.
        Dialect::Sqlite => {
            writer.push(if place == Place::Within { "instr(" } else { "substr(" });
            writer.as_text(alias, column);
            writer.push(match place {
                Place::Within => ", ",
                Place::Start => ", 1, length(",
                Place::End => ", -length(",
            });
            let number = writer.bind(Bound::Text(text.to_owned()));
            if place == Place::Within {
                writer.push(") > 0");
            } else {
                writer.push(")) = ");
                writer.again(number);
            }
        }
        Dialect::Postgres | Dialect::Mysql => {
            writer.as_text(alias, column);
            writer.push(" LIKE ");
            writer.bind(Bound::Text(pattern(text, place)));
            writer.push(match writer.dialect {
                Dialect::Mysql => " COLLATE utf8mb4_bin ESCAPE '!'",
                _ => " ESCAPE '!'",
            });
        }
    }
}

fn once(writer: &mut Writer, earlier: Option<usize>, value: impl Fn() -> Bound) -> usize {
    match earlier {
        Some(number) => {
            writer.again(number);
            number
        }
        None => writer.bind(value()),
    }
}

const fn lake_function(place: Place) -> &'static str {
    match place {
        Place::Within => "contains(",
        Place::Start => "starts_with(",
        Place::End => "ends_with(",
    }
}

/// The text as a pattern that means nothing but itself.
fn pattern(text: &str, place: Place) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    if place != Place::Start {
        pattern.push('%');
    }
    for character in text.chars() {
        if matches!(character, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(character);
    }
    if place != Place::End {
        pattern.push('%');
    }
    pattern
}
