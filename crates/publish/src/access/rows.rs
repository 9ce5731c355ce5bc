//! The rules of grants as a condition of bound values.
//!
//! In: rules, the columns of a relation, all of them, and a caller. Out: a [`Condition`] that a
//! statement carries along. What never happens here: a value of a caller in a text; a negation in
//! the condition. Negations are carried inwards to the comparisons, where SQL's three values leave
//! no choice: with a null nothing holds, neither a comparison nor its opposite. So a claim that the
//! caller lacks, or that the column cannot hold, simply makes its comparison false, and never true
//! by way of a `not` around it.

use restway_model::{Comparison, RowRule, RowTree, RowValue};
use serde_json::Value as Json;

use super::Caller;
use crate::plan::{self, Condition, Value, value_of};
use crate::refusal::Refusal;
use crate::source::Column;

/// What rows must be by one of the rules.
pub(super) fn condition<'a>(
    rules: &[&RowRule],
    columns: &'a [Column],
    caller: &Caller,
) -> Result<Condition<'a>, Refusal> {
    let reader = Reader { columns, caller };
    let conditions: Result<Vec<_>, _> =
        rules.iter().map(|rule| reader.read(rule.tree(), true)).collect();
    Ok(Condition::Any(conditions?))
}

struct Reader<'a, 'c> {
    columns: &'a [Column],
    caller: &'c Caller,
}

impl<'a> Reader<'a, '_> {
    /// What must be for the rule to hold, or not to hold.
    fn read(&self, tree: &RowTree, holds: bool) -> Result<Condition<'a>, Refusal> {
        let both = |left, right| Ok(vec![self.read(left, holds)?, self.read(right, holds)?]);
        match (tree, holds) {
            (RowTree::And(left, right), true) | (RowTree::Or(left, right), false) => {
                both(left, right).map(Condition::All)
            }
            (RowTree::Or(left, right), true) | (RowTree::And(left, right), false) => {
                both(left, right).map(Condition::Any)
            }
            (RowTree::Not(inner), _) => self.read(inner, !holds),
            (RowTree::IsNull(name), true) => Ok(Condition::Null(self.column(name)?)),
            (RowTree::IsNull(name), false) => {
                Ok(Condition::Not(Box::new(Condition::Null(self.column(name)?))))
            }
            (RowTree::Compare { column, comparison, value }, _) => {
                let comparison = if holds { *comparison } else { opposite(*comparison) };
                let column = self.column(column)?;
                Ok(compared(column, comparison, self.values(column, value)?))
            }
        }
    }

    fn column(&self, name: &str) -> Result<&'a Column, Refusal> {
        let found = self.columns.iter().find(|column| column.name == name);
        found.ok_or_else(|| Refusal::Unfit {
            reason: format!("`rows` of `access` names `{name}`, which is no column"),
        })
    }

    /// The values that a column is compared with, of its type.
    fn values(&self, column: &Column, value: &RowValue) -> Result<Vec<Value>, Refusal> {
        match value {
            RowValue::Literal(literal) => {
                let text = match literal {
                    Json::String(text) => text.clone(),
                    other => other.to_string(),
                };
                let unfit = || Refusal::Unfit {
                    reason: format!(
                        "`rows` of `access` compares `{}` with `{text}`, which it cannot be",
                        column.name
                    ),
                };
                Ok(vec![value_of(column, &text).ok_or_else(unfit)?])
            }
            RowValue::Caller(asked) => {
                let texts = self.caller.texts(asked).unwrap_or_default();
                Ok(texts.iter().filter_map(|text| value_of(column, text)).collect())
            }
        }
    }
}

/// Equal to one of the values; different from each of them; in order with the only one.
fn compared(column: &Column, comparison: Comparison, mut values: Vec<Value>) -> Condition<'_> {
    let never = Condition::Any(Vec::new());
    let one = |comparison, value| Condition::Compare { column, comparison, value };
    match (comparison, values.len()) {
        (_, 0) => never,
        (Comparison::Equal, 2..) => Condition::In { column, values },
        (Comparison::Unequal, 2..) => {
            let different = |value| one(plan::Comparison::Different, value);
            Condition::All(values.into_iter().map(different).collect())
        }
        (_, 2..) => never,
        (comparison, _) => values.pop().map_or(never, |value| one(planned(comparison), value)),
    }
}

fn opposite(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Equal => Comparison::Unequal,
        Comparison::Unequal => Comparison::Equal,
        Comparison::Less => Comparison::GreaterOrEqual,
        Comparison::LessOrEqual => Comparison::Greater,
        Comparison::Greater => Comparison::LessOrEqual,
        Comparison::GreaterOrEqual => Comparison::Less,
    }
}

fn planned(comparison: Comparison) -> plan::Comparison {
    match comparison {
        Comparison::Equal => plan::Comparison::Equal,
        Comparison::Unequal => plan::Comparison::Different,
        Comparison::Less => plan::Comparison::Less,
        Comparison::LessOrEqual => plan::Comparison::AtMost,
        Comparison::Greater => plan::Comparison::Greater,
        Comparison::GreaterOrEqual => plan::Comparison::AtLeast,
    }
}
