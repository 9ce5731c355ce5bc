//! Which rows a caller may see: SQL's comparisons over a row's columns and what is known of the
//! caller.
//!
//! In: a text such as `tenant = ${claim.tenant} and (owner = ${user} or shared)`, once, when the
//! definition is checked. Out: a tree that whoever knows the columns' types turns into a condition
//! with bound values. The reading is that of conditions over answers (`condition`), with columns in
//! the place of paths, and `${…}` for the caller.
//!
//! What never happens here: a value of a caller put into a text. A `${…}` stands for a whole value
//! and stays a name in the tree, so that nothing a caller's claims contain can be read as SQL.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::condition::{self, InvalidCondition, Node, Operand};
use crate::{Comparison, Step};

/// A rule for rows.
#[derive(Debug, Clone, PartialEq)]
pub struct RowRule {
    source: String,
    tree: RowTree,
}

/// What a row must be.
#[derive(Debug, Clone, PartialEq)]
pub enum RowTree {
    /// Both hold.
    And(Box<RowTree>, Box<RowTree>),
    /// One holds.
    Or(Box<RowTree>, Box<RowTree>),
    /// It does not hold; nor is it unknown.
    Not(Box<RowTree>),
    /// A column compares so with a value.
    Compare {
        /// The column.
        column: String,
        /// How.
        comparison: Comparison,
        /// The value.
        value: RowValue,
    },
    /// A column has no value.
    IsNull(String),
}

/// What a column is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum RowValue {
    /// A text, a number, or a truth, as it stands in the rule.
    Literal(Value),
    /// What is known of the caller.
    Caller(CallerValue),
}

/// Something that is known of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerValue {
    /// `${user}`: who it is.
    User,
    /// `${claim.name}`: what the user's record or the issuer of the token says.
    Claim(String),
}

impl CallerValue {
    /// What stands between the braces.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_name = |name: &str| !name.is_empty() && !name.contains(char::is_whitespace);
        match text.split_once('.') {
            None if text == "user" => Some(Self::User),
            Some(("claim", name)) if is_name(name) => Some(Self::Claim(name.to_owned())),
            _ => None,
        }
    }
}

impl RowRule {
    /// The rule as a tree.
    pub fn tree(&self) -> &RowTree {
        &self.tree
    }

    /// The names of all columns, in the order of the text; a name may come twice.
    pub fn columns(&self) -> Vec<&str> {
        let mut columns = Vec::new();
        self.tree.visit(&mut |tree| match tree {
            RowTree::Compare { column, .. } | RowTree::IsNull(column) => columns.push(&**column),
            _ => {}
        });
        columns
    }

    /// Whether it asks who the caller is, which nobody knows of `anonymous`.
    pub fn needs_caller(&self) -> bool {
        let mut needs = false;
        self.tree.visit(&mut |tree| {
            let is_caller = matches!(tree, RowTree::Compare { value: RowValue::Caller(_), .. });
            needs |= is_caller;
        });
        needs
    }
}

impl RowTree {
    fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Self)) {
        see(self);
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.visit(see);
                right.visit(see);
            }
            Self::Not(inner) => inner.visit(see),
            Self::Compare { .. } | Self::IsNull(_) => {}
        }
    }

    fn of(node: &Node) -> Result<Self, String> {
        let both = |left: &Node, right: &Node| {
            Ok::<_, String>((Box::new(Self::of(left)?), Box::new(Self::of(right)?)))
        };
        Ok(match node {
            Node::And(left, right) => both(left, right).map(|(l, r)| Self::And(l, r))?,
            Node::Or(left, right) => both(left, right).map(|(l, r)| Self::Or(l, r))?,
            Node::Not(inner) => Self::Not(Box::new(Self::of(inner)?)),
            Node::IsNull(operand) => Self::IsNull(column(operand)?),
            Node::Truth(operand) => Self::Compare {
                column: column(operand)?,
                comparison: Comparison::Equal,
                value: RowValue::Literal(Value::Bool(true)),
            },
            Node::Compare(left, comparison, right) => match (left, right) {
                (Operand::Path(_), _) => Self::Compare {
                    column: column(left)?,
                    comparison: *comparison,
                    value: value(right)?,
                },
                _ => Self::Compare {
                    column: column(right)?,
                    comparison: comparison.turned(),
                    value: value(left)?,
                },
            },
        })
    }
}

fn column(operand: &Operand) -> Result<String, String> {
    match operand {
        Operand::Path(path) => match path.steps() {
            [Step::Name(name)] => Ok(name.clone()),
            _ => Err("a path is no column: write the name of one".to_owned()),
        },
        _ => Err("a comparison needs a column on one side".to_owned()),
    }
}

fn value(operand: &Operand) -> Result<RowValue, String> {
    match operand {
        Operand::Literal(value) => Ok(RowValue::Literal(value.clone())),
        Operand::Caller(value) => Ok(RowValue::Caller(value.clone())),
        Operand::Path(_) => {
            Err("two columns are compared: write a value or `${…}` on one side".to_owned())
        }
    }
}

impl FromStr for RowRule {
    type Err = InvalidCondition;

    fn from_str(text: &str) -> Result<Self, InvalidCondition> {
        let root = condition::read(text, true)?;
        match RowTree::of(&root) {
            Ok(tree) => Ok(Self { source: text.to_owned(), tree }),
            Err(problem) => Err(InvalidCondition { text: text.to_owned(), at: 1, problem }),
        }
    }
}

impl fmt::Display for RowRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.source)
    }
}

impl Serialize for RowRule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for RowRule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for RowRule {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RowRule".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "row_rule" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_knows_its_columns_and_whether_it_asks_for_the_caller() {
        let rule: RowRule =
            "tenant = ${claim.tenant} and (not \"Is hidden\" or ${user} = owner)".parse().unwrap();
        assert_eq!(rule.columns(), ["tenant", "Is hidden", "owner"]);
        assert!(rule.needs_caller());
        let open: RowRule = "3 < level and name is not null".parse().unwrap();
        assert!(!open.needs_caller());
        let RowTree::And(left, _) = open.tree() else { panic!("{open:?}") };
        let turned = RowTree::Compare {
            column: "level".to_owned(),
            comparison: Comparison::Greater,
            value: RowValue::Literal(3.into()),
        };
        assert_eq!(**left, turned);
    }

    #[test]
    fn what_is_no_rule_says_why() {
        let table = [
            ("a = b", "two columns are compared: write a value or `${…}` on one side"),
            ("1 = 1", "a comparison needs a column on one side"),
            ("${user} = 'jo'", "a comparison needs a column on one side"),
            ("a.b = 1", "a path is no column: write the name of one"),
            (
                "a = ${claim.}",
                "`${claim.}` has no meaning here: write `${user}` or `${claim.NAME}`",
            ),
            (
                "a = ${secret.x}",
                "`${secret.x}` has no meaning here: write `${user}` or `${claim.NAME}`",
            ),
            ("a = ${user", "a `${` is not closed"),
        ];
        for (text, problem) in table {
            let error = text.parse::<RowRule>().expect_err(text);
            assert_eq!(error.problem, problem, "{text}");
        }
        assert!("a = ${user}".parse::<crate::Condition>().is_err());
    }
}
