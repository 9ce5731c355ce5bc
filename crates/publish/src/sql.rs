//! The statements of a plan, in DataFusion's dialect.
//!
//! In: a plan. Out: a text and its values. The text is a function of the plan's shape alone: the
//! columns, how many filters, which order. A caller's text is only ever a value; the two numbers
//! that stand in the text, limit and offset, were read as numbers and are bounded.
//!
//! What never happens here: a name that is not a column of the table, or a value in the text.

use restway_model::{ColumnType, TableName};

use crate::plan::{Filter, ItemPlan, ListPlan, Search};
use crate::rows::Column;
use crate::value::Value;

/// The type of a column of instants, in the engine's words; its SQL has none for it.
const INSTANT: &str = "Timestamp(Microsecond, Some(\"UTC\"))";

/// A statement and what its placeholders stand for.
#[derive(Debug, PartialEq)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) values: Vec<(String, serde_json::Value)>,
}

/// The items of a page.
pub(crate) fn page(plan: &ListPlan<'_>) -> Statement {
    let fields: Vec<String> = plan.fields.iter().map(|column| quoted(&column.name)).collect();
    let order: Vec<String> = plan
        .order
        .iter()
        .map(|order| {
            let direction = if order.descends { "DESC" } else { "ASC" };
            // Nulls come last either way: whoever sorts wants to see values first.
            format!("{} {direction} NULLS LAST", quoted(&order.column.name))
        })
        .collect();
    let (condition, values) = condition(&plan.filters, plan.search.as_ref());
    let text = format!(
        "SELECT {} FROM {}{condition} ORDER BY {} LIMIT {} OFFSET {}",
        fields.join(", "),
        table(plan.table),
        order.join(", "),
        plan.limit,
        plan.offset,
    );
    Statement { text, values }
}

/// How many items all pages together have.
pub(crate) fn count(plan: &ListPlan<'_>) -> Statement {
    let (condition, values) = condition(&plan.filters, plan.search.as_ref());
    let text = format!("SELECT count(*) AS \"count\" FROM {}{condition}", table(plan.table));
    Statement { text, values }
}

/// The item, and a second row if the key is none after all.
pub(crate) fn item(plan: &ItemPlan<'_>) -> Statement {
    let fields: Vec<String> = plan.fields.iter().map(|column| quoted(&column.name)).collect();
    let (condition, values) = condition(&plan.key, None);
    let text =
        format!("SELECT {} FROM {}{condition} LIMIT 2", fields.join(", "), table(plan.table));
    Statement { text, values }
}

fn condition(
    filters: &[Filter<'_>],
    search: Option<&Search<'_>>,
) -> (String, Vec<(String, serde_json::Value)>) {
    let mut terms = Vec::new();
    let mut values = Vec::new();
    for (index, filter) in filters.iter().enumerate() {
        let name = format!("f{index}");
        terms.push(equals(&filter.column.name, &filter.value, &name));
        if filter.value.kind != ColumnType::Null {
            values.push((name, filter.value.text.clone().into()));
        }
    }
    if let Some(search) = search {
        let found = contains(search);
        if !found.is_empty() {
            values.push(("q".to_owned(), search.text.clone().into()));
        }
        terms.push(if found.is_empty() { "FALSE".to_owned() } else { format!("({found})") });
    }
    let all = terms.join(" AND ");
    let text = if terms.is_empty() { String::new() } else { format!(" WHERE {all}") };
    (text, values)
}

/// A column without a type has no value that anything could equal.
fn equals(column: &str, value: &Value, placeholder: &str) -> String {
    let column = quoted(column);
    match value.kind {
        ColumnType::Null => "FALSE".to_owned(),
        ColumnType::Text | ColumnType::Json => format!("{column} = ${placeholder}"),
        ColumnType::Timestamp => {
            format!("{column} = arrow_cast(CAST(${placeholder} AS VARCHAR), '{INSTANT}')")
        }
        ColumnType::Bool => format!("{column} = CAST(${placeholder} AS BOOLEAN)"),
        ColumnType::Int64 => format!("{column} = CAST(${placeholder} AS BIGINT)"),
        ColumnType::Float64 => format!("{column} = CAST(${placeholder} AS DOUBLE)"),
        ColumnType::Date => format!("{column} = CAST(${placeholder} AS DATE)"),
        ColumnType::Decimal { precision, scale } => {
            format!("{column} = CAST(${placeholder} AS DECIMAL({precision},{scale}))")
        }
    }
}

/// Case is folded on both sides by the same function, so that both agree on every alphabet.
fn contains(search: &Search<'_>) -> String {
    let can_hold = |column: &&&Column| column.kind != ColumnType::Null;
    let terms: Vec<String> = search
        .columns
        .iter()
        .filter(can_hold)
        .map(|column| {
            let name = quoted(&column.name);
            format!("contains(lower(CAST({name} AS VARCHAR)), lower(CAST($q AS VARCHAR)))")
        })
        .collect();
    terms.join(" OR ")
}

fn table(name: &TableName) -> String {
    format!("{}.{}", quoted(name.api.as_str()), quoted(name.table.as_str()))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
