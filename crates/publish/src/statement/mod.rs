//! The statements of a plan, in the dialect of its source.
//!
//! In: a plan. Out: a text, its values, and the columns that it answers. The text is a function of
//! the plan's shape alone (the columns, how many conditions of which form, which order), so that a
//! database prepares each shape once. A caller's text is only ever a value; the one number that
//! stands in the text, the limit, was read as a number and has at most as many values as a page
//! has items.
//!
//! What never happens here: a name that is not a column of the relation, or a value in the text.

pub(crate) mod change;
mod condition;
mod dialect;

use std::sync::LazyLock;

pub use dialect::{Bound, Dialect};

use crate::plan::{ItemPlan, ListPlan, Order};
use crate::source::{Column, Kind, Relation};
use dialect::Writer;

/// What a relation is called in its statement.
const OUTER: &str = "t";

/// The one column of a count.
static COUNT: LazyLock<Column> = LazyLock::new(|| Column::new("count", Kind::Int64));

/// A statement, what its placeholders stand for, and what its rows are.
#[derive(Debug, PartialEq)]
pub struct Statement<'a> {
    /// The text, in the dialect of the source.
    pub text: String,
    /// The values of the numbered placeholders.
    pub values: Vec<Bound>,
    /// The values of `$name` in a saved query.
    pub arguments: &'a [(String, serde_json::Value)],
    /// The columns of a row, in the order of the text.
    pub columns: Vec<&'a Column>,
}

/// The items of a page.
pub(crate) fn page<'a>(dialect: Dialect, plan: &'a ListPlan<'a>) -> Statement<'a> {
    let mut writer = Writer::new(dialect);
    select(&mut writer, plan.relation, &plan.fields);
    condition::filter(&mut writer, &plan.condition);
    writer.push(" ORDER BY ");
    for (at, order) in plan.order.iter().enumerate() {
        writer.push(if at > 0 { ", " } else { "" });
        sorted(&mut writer, order);
    }
    writer.push(&format!(" LIMIT {}", plan.limit));
    if plan.offset > 0 {
        writer.push(" OFFSET ");
        writer.number(plan.offset);
    }
    writer.statement(plan.fields.clone(), plan.arguments)
}

/// How many items all pages together have.
pub(crate) fn count<'a>(dialect: Dialect, plan: &'a ListPlan<'a>) -> Statement<'a> {
    let mut writer = Writer::new(dialect);
    writer.push("SELECT count(*) AS ");
    writer.name("count");
    from(&mut writer, plan.relation);
    condition::filter(&mut writer, &plan.condition);
    writer.statement(vec![&*COUNT], plan.arguments)
}

/// The item, and a second row if the key is none after all.
pub(crate) fn item<'a>(dialect: Dialect, plan: &'a ItemPlan<'a>) -> Statement<'a> {
    let mut writer = Writer::new(dialect);
    select(&mut writer, plan.relation, &plan.fields);
    condition::filter(&mut writer, &plan.key);
    writer.push(" LIMIT 2");
    writer.statement(plan.fields.clone(), plan.arguments)
}

fn select(writer: &mut Writer, relation: &Relation, fields: &[&Column]) {
    for (at, column) in fields.iter().enumerate() {
        writer.push(if at > 0 { ", " } else { "SELECT " });
        writer.selected(OUTER, column);
    }
    from(writer, relation);
}

fn from(writer: &mut Writer, relation: &Relation) {
    writer.push(" FROM ");
    writer.relation(relation, OUTER);
}

/// Nulls come last either way: whoever sorts wants to see values first. A column without nulls
/// does not say so, because an index has them in one place only.
fn sorted(writer: &mut Writer, order: &Order<'_>) {
    let direction = if order.descends { "DESC" } else { "ASC" };
    let has_nulls = order.column.is_nullable && !order.is_key;
    if has_nulls && writer.dialect == Dialect::Mysql {
        writer.column(OUTER, order.column);
        writer.push(" IS NULL, ");
    }
    writer.sortable(OUTER, order.column);
    writer.push(&format!(" {direction}"));
    if has_nulls && writer.dialect != Dialect::Mysql {
        writer.push(" NULLS LAST");
    }
}

#[cfg(test)]
mod tests;
