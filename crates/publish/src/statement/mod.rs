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
mod pattern;
mod seek;

use std::sync::LazyLock;

pub use dialect::{Bound, Dialect};

use crate::plan::{ItemPlan, ListPlan, Order, Published, Seek};
use crate::source::{Column, Kind, Relation};
use dialect::Writer;

/// What a relation is called in its statement.
const OUTER: &str = "t";

/// More rows than any table has: the largest number that all dialects take.
const ROWS_MAX: u64 = i64::MAX as u64;

/// What tells the values of the order apart, behind all that a page has of a row.
static APART: LazyLock<Column> = LazyLock::new(|| Column::new("apart", Kind::Text));

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
            chosen(&mut writer, &columns, &plan.order);
            from(&mut writer, plan.relation);
            condition::filter(&mut writer, &plan.condition);
            ordered(&mut writer, &plan.order);
        }
    }
    writer.push(&format!(" LIMIT {}", plan.limit + 1));
    if plan.offset > 0 && matches!(plan.seek, Seek::Offset { .. }) {
        writer.push(" OFFSET ");
        writer.number(plan.offset);
    }
    let mut columns = columns;
    if dialect == Dialect::Sqlite {
        columns.extend(plan.order.iter().map(|_| &*APART));
    }
    writer.statement(columns, plan.arguments)
}

/// Of the values of a page's row, those that say where it lies.
pub(crate) fn place<'t>(
    dialect: Dialect,
    plan: &ListPlan<'_>,
    columns: &[&Column],
    values: &[&'t str],
) -> Option<Vec<&'t str>> {
    let apart = columns.len().checked_sub(plan.order.len())?;
    let value = |(at, order): (usize, &Order<'_>)| {
        let own = columns.iter().position(|column| column.name == order.column.name)?;
        match values.get(apart + at) {
            Some(told) if dialect == Dialect::Sqlite && *told != "null" => Some(*told),
            _ => values.get(own).copied(),
        }
    };
    plan.order.iter().enumerate().map(value).collect()
}

/// What of a row a page needs.
fn chosen(writer: &mut Writer, columns: &[&Column], order: &[Order<'_>]) {
    for (at, column) in columns.iter().enumerate() {
        writer.push(if at > 0 { ", " } else { "SELECT " });
        writer.selected(OUTER, column);
    }
    if writer.dialect == Dialect::Sqlite {
        for one in order {
            writer.push(", ");
            writer.told_apart(OUTER, one.column);
        }
    }
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

/// All items of a list, or as many as were asked for.
pub(crate) fn export<'a>(dialect: Dialect, plan: &'a ListPlan<'a>) -> Statement<'a> {
    let mut writer = Writer::new(dialect);
    select(&mut writer, plan.relation, &plan.fields);
    condition::filter(&mut writer, &plan.condition);
    ordered(&mut writer, &plan.order);
    if plan.limit < u64::MAX || plan.offset > 0 {
        writer.push(" LIMIT ");
        writer.number(plan.limit.min(ROWS_MAX));
    }
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
    chosen(writer, fields, &[]);
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
