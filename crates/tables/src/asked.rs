//! What a statement asks of live tables, read from its text before anything is planned.
//!
//! In: a statement. Out: each `live.api.resource` that it names, with what every row that it uses
//! must equal, and how many rows suffice. Nothing is decided here about calls: who fills the tables
//! may use an equality or not, because the query filters again.
//!
//! An equality counts when it is a conjunct of the `WHERE` beside the table: rows without it cannot
//! be in the answer, whatever the join is. A statement that names a table several times reads it
//! once, so only what all its mentions have in common counts.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, LimitClause, ObjectName, Query, Select, SelectItem,
    SetExpr, Statement, TableFactor, Value as Literal, Visit, Visitor,
};
use restway_model::TableName;
use serde_json::Value;

/// The catalog of live tables.
pub(crate) const LIVE: &str = "live";

/// A live table that a statement reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The resource, as the statement names it.
    pub name: TableName,
    /// What rows must equal, by column; texts, whole numbers, true and false.
    pub equalities: Vec<(String, Value)>,
    /// Rows that are enough, whichever they are.
    pub rows_enough: Option<u64>,
}

/// The live tables of a statement, in name order; `params` are the values of `$name` in it.
pub(crate) fn asked(statement: &Parsed, params: &[(String, Value)]) -> Vec<Asked> {
    let statement = match statement {
        Parsed::Explain(explain) => return asked(&explain.statement, params),
        Parsed::Statement(statement) => statement,
        _ => return Vec::new(),
    };
    let mut reader = Reader { params, mentions: BTreeMap::new() };
    // Nothing in the reader breaks off.
    let _ = statement.visit(&mut reader);
    let rows_enough = enough(statement);
    let asked = reader.mentions.into_iter().map(|(name, mentions)| Asked {
        name,
        equalities: mentions.common(),
        rows_enough,
    });
    asked.collect()
}

/// How often a table is named, and what rows must equal where that is known.
#[derive(Default)]
struct Mentions {
    count: usize,
    filtered: Vec<Vec<(String, Value)>>,
}

impl Mentions {
    fn common(mut self) -> Vec<(String, Value)> {
        let is_all = self.filtered.len() == self.count;
        let Some(mut common) = self.filtered.pop().filter(|_| is_all) else { return Vec::new() };
        common.retain(|one| self.filtered.iter().all(|others| others.contains(one)));
        common
    }
}

struct Reader<'a> {
    params: &'a [(String, Value)],
    mentions: BTreeMap<TableName, Mentions>,
}

impl Visitor for Reader<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.mention(relation);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let joined = select.from.iter().flat_map(|from| &from.joins).map(|join| &join.relation);
        let factors: Vec<&TableFactor> =
            select.from.iter().map(|from| &from.relation).chain(joined).collect();
        for factor in &factors {
            let TableFactor::Table { name, alias, .. } = factor else { continue };
            let Some(table) = live_name(name) else { continue };
            // Columns that were given other names are not told apart here.
            if alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()) {
                continue;
            }
            let full = [LIVE, table.api.as_str(), table.table.as_str()].map(str::to_owned);
            let scope = Scope {
                path: alias.as_ref().map_or(full.to_vec(), |alias| vec![normal(&alias.name)]),
                is_alone: factors.len() == 1,
                params: self.params,
            };
            let mut found = Vec::new();
            if let Some(condition) = &select.selection {
                scope.collect(condition, &mut found);
            }
            self.mentions.entry(table).or_default().filtered.push(found);
        }
        ControlFlow::Continue(())
    }
}

impl Reader<'_> {
    fn mention(&mut self, relation: &ObjectName) {
        if let Some(name) = live_name(relation) {
            self.mentions.entry(name).or_default().count += 1;
        }
    }
}

/// A name in the statement as the planner reads it: in lower case unless it is quoted.
fn normal(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

fn live_name(name: &ObjectName) -> Option<TableName> {
    let [catalog, api, table] = name.0.as_slice() else { return None };
    let part = |part: &datafusion::sql::sqlparser::ast::ObjectNamePart| part.as_ident().map(normal);
    if part(catalog)? != LIVE {
        return None;
    }
    Some(TableName::new(part(api)?.parse().ok()?, part(table)?.parse().ok()?))
}

/// One table among those of a `SELECT`.
struct Scope<'a> {
    /// How its columns are qualified; an unaliased table by any ending of its name.
    path: Vec<String>,
    /// Whether a column without a qualifier is this table's.
    is_alone: bool,
    params: &'a [(String, Value)],
}

impl Scope<'_> {
    /// The equalities among the conjuncts of a condition; of two for a column the first.
    fn collect(&self, condition: &Expr, found: &mut Vec<(String, Value)>) {
        // The parser bounds how deep a statement is.
        match condition {
            Expr::Nested(inner) => self.collect(inner, found),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.collect(left, found);
                self.collect(right, found);
            }
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                let sides = [(left, right), (right, left)];
                let pair = sides
                    .into_iter()
                    .find_map(|(column, value)| Some((self.column(column)?, self.value(value)?)));
                let is_new = |pair: &(String, Value)| found.iter().all(|(name, _)| *name != pair.0);
                found.extend(pair.filter(is_new));
            }
            _ => {}
        }
    }

    fn column(&self, side: &Expr) -> Option<String> {
        match side {
            Expr::Identifier(column) if self.is_alone => Some(normal(column)),
            Expr::CompoundIdentifier(parts) => {
                let (column, qualifier) = parts.split_last()?;
                let qualifier: Vec<String> = qualifier.iter().map(normal).collect();
                self.path.ends_with(&qualifier).then(|| normal(column))
            }
            _ => None,
        }
    }

    /// A value that is the same however an api writes it.
    fn value(&self, side: &Expr) -> Option<Value> {
        let Expr::Value(literal) = side else { return None };
        match &literal.value {
            Literal::SingleQuotedString(text) => Some(Value::String(text.clone())),
            Literal::Boolean(value) => Some(Value::Bool(*value)),
            Literal::Number(digits, _) => digits.parse::<i64>().ok().map(Value::from),
            Literal::Placeholder(name) => {
                let name = name.strip_prefix('$')?;
                let (_, value) = self.params.iter().find(|(known, _)| known == name)?;
                let is_plain = value.is_string() || value.is_boolean() || value.is_i64();
                is_plain.then(|| value.clone())
            }
            _ => None,
        }
    }
}

/// How many rows of its only table a statement needs, where any will do: it takes them as they
/// come, all of them up to a `LIMIT`.
fn enough(statement: &Statement) -> Option<u64> {
    let query = match statement {
        Statement::Query(query) => query,
        Statement::Explain { statement, .. } => return enough(statement),
        _ => return None,
    };
    let Query { with: None, order_by: None, fetch: None, body, limit_clause, .. } = query.as_ref()
    else {
        return None;
    };
    let SetExpr::Select(select) = body.as_ref() else { return None };
    if !query.pipe_operators.is_empty() || !takes_all(select) {
        return None;
    }
    let number = |expr: &Expr| match expr {
        Expr::Value(literal) => match &literal.value {
            Literal::Number(digits, _) => digits.parse::<u64>().ok(),
            _ => None,
        },
        _ => None,
    };
    match limit_clause.as_ref()? {
        LimitClause::LimitOffset { limit: Some(limit), offset, limit_by }
            if limit_by.is_empty() =>
        {
            let skipped = offset.as_ref().map_or(Some(0), |offset| number(&offset.value))?;
            number(limit)?.checked_add(skipped)
        }
        _ => None,
    }
}

/// Whether a `SELECT` gives one row for each row of one table, and looks at no other row for it.
fn takes_all(select: &Select) -> bool {
    let [from] = select.from.as_slice() else { return false };
    let is_table = matches!(&from.relation, TableFactor::Table { args: None, sample: None, .. });
    let is_column = |expr: &Expr| matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    let is_plain = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => is_column(expr),
        SelectItem::Wildcard(_) => true,
        _ => false,
    };
    let no_groups = matches!(&select.group_by, GroupByExpr::Expressions(by, with)
        if by.is_empty() && with.is_empty());
    let no_rest = select.distinct.is_none()
        && select.top.is_none()
        && select.having.is_none()
        && select.qualify.is_none()
        && select.prewhere.is_none()
        && select.selection.is_none()
        && select.lateral_views.is_empty()
        && select.connect_by.is_empty();
    is_table
        && from.joins.is_empty()
        && no_groups
        && no_rest
        && select.projection.iter().all(is_plain)
}
