//! The statements of a plan, in the dialect of its source.
//!
//! In: a plan. Out: a text, its values, and the columns that it answers. The text is a function of
//! the plan's shape alone (the columns, how many conditions of which form, which order), so that a
//! database prepares each shape once. A caller's text is only ever a value; the one number that
//! stands in the text, the limit, was read as a number and has at most as many values as a page
//! has items.
//!
//! What never happens here: a name that is not a column of the relation, or a value in the text.

mod condition;
mod dialect;
mod pattern;
mod seek;

use std::sync::LazyLock;

pub use dialect::{Bound, Dialect};

use crate::plan::{ItemPlan, ListPlan, Order, Published, Seek};
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

/// The items of a page, and one more where there is one: so a page knows whether another follows.
/// Behind the fields come the other columns of the order, which say where it begins.
pub(crate) fn page<'a>(dialect: Dialect, plan: &'a ListPlan<'a>) -> Statement<'a> {
    let mut writer = Writer::new(dialect);
    let columns = columns(plan);
    match plan.seek.place() {
        Some(place) => seek::page(&mut writer, plan, place, &columns),
        None => {
            select(&mut writer, plan.relation, &columns);
            condition::filter(&mut writer, &plan.condition);
            ordered(&mut writer, &plan.order);
        }
    }
    writer.push(&format!(" LIMIT {}", plan.limit + 1));
    if plan.offset > 0 && matches!(plan.seek, Seek::Offset { .. }) {
        writer.push(" OFFSET ");
        writer.number(plan.offset);
    }
    writer.statement(columns, plan.arguments)
}

/// The fields of a list, and what else of a row is needed.
fn columns<'a>(plan: &ListPlan<'a>) -> Vec<&'a Column> {
    let mut columns = plan.fields.clone();
    for order in &plan.order {
        if !columns.iter().any(|column| column.name == order.column.name) {
            columns.push(order.column);
        }
    }
    columns
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

/// How many items there are at most so many of, which costs no more than reading them.
pub(crate) fn count_up_to<'a>(
    dialect: Dialect,
    plan: &'a ListPlan<'a>,
    count_max: u64,
) -> Statement<'a> {
    let mut writer = Writer::new(dialect);
    writer.push("SELECT count(*) AS ");
    writer.name("count");
    writer.push(" FROM (SELECT 1 AS one");
    from(&mut writer, plan.relation);
    condition::filter(&mut writer, &plan.condition);
    writer.push(&format!(" LIMIT {}) AS {OUTER}", count_max + 1));
    writer.statement(vec![&*COUNT], plan.arguments)
}

/// How many rows the database believes a whole table to have; none where it does not say.
pub(crate) fn estimate(object: &Published) -> Option<Statement<'static>> {
    let Relation::Table(path) = &object.relation else { return None };
    let dialect = object.source.dialect();
    let mut writer = Writer::new(dialect);
    writer.push("SELECT ");
    match dialect {
        // https://www.postgresql.org/docs/current/catalog-pg-class.html
        Dialect::Postgres => {
            let mut quoted = Writer::new(dialect);
            quoted.path(path);
            let name = quoted.statement(Vec::new(), &[]).text;
            writer.push("CAST(GREATEST(reltuples, 0) AS bigint) AS ");
            writer.name("count");
            writer.push(" FROM pg_class WHERE relkind = 'r' AND oid = CAST(");
            writer.bind(Bound::Text(name));
            writer.push(" AS regclass)");
        }
        // https://mariadb.com/kb/en/information-schema-tables-table/
        Dialect::Mysql => {
            writer.push("CAST(COALESCE(table_rows, 0) AS SIGNED) AS ");
            writer.name("count");
            writer.push(" FROM information_schema.tables WHERE table_name = ");
            writer.bind(Bound::Text(path.last()?.clone()));
            writer.push(" AND table_schema = ");
            match path.as_slice() {
                [schema, _] => {
                    writer.bind(Bound::Text(schema.clone()));
                }
                _ => writer.push("DATABASE()"),
            }
        }
        Dialect::Lake | Dialect::Sqlite => return None,
    }
    Some(writer.statement(vec![&*COUNT], &[]))
}

fn ordered(writer: &mut Writer, order: &[Order<'_>]) {
    writer.push(" ORDER BY ");
    for (at, order) in order.iter().enumerate() {
        writer.push(if at > 0 { ", " } else { "" });
        sorted(writer, order);
    }
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

/// A column without nulls does not say where they go, because an index has them in one place only.
fn sorted(writer: &mut Writer, order: &Order<'_>) {
    let direction = if order.descends { "DESC" } else { "ASC" };
    let has_nulls = order.has_nulls();
    if has_nulls && writer.dialect == Dialect::Mysql {
        writer.column(OUTER, order.column);
        writer.push(if order.nulls_first { " IS NOT NULL, " } else { " IS NULL, " });
    }
    writer.sortable(OUTER, order.column);
    writer.push(&format!(" {direction}"));
    if has_nulls && writer.dialect != Dialect::Mysql {
        writer.push(if order.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
    }
}

#[cfg(test)]
mod tests;
