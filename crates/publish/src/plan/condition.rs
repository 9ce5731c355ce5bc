//! What rows must be, as a tree.
//!
//! In: columns of the relation and values of their types, put together by whatever reads a request
//! or a rule. Out: a tree that `statement` writes in each dialect. Nulls are as in SQL: a
//! comparison with one is neither true nor false, and its negation neither.
//!
//! What never happens here: a text that becomes part of a statement.

use super::Value;
use crate::source::{Column, Relation};

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Different.
    Different,
    /// Less.
    Less,
    /// Less or equal.
    AtMost,
    /// Greater.
    Greater,
    /// Greater or equal.
    AtLeast,
}

/// Where in a text another one stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Anywhere.
    Within,
    /// At its start.
    Start,
    /// At its end.
    End,
}

/// For how many of the related rows something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// For one at least.
    Any,
    /// For each; also when there is none.
    All,
}

/// What a row must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition<'a> {
    /// All of these; true without any.
    All(Vec<Condition<'a>>),
    /// One of these; false without any.
    Any(Vec<Condition<'a>>),
    /// Not this.
    Not(Box<Condition<'a>>),
    /// This is false, or neither true nor false.
    Untrue(Box<Condition<'a>>),
    /// A column compares so with a value.
    Compare {
        /// The column.
        column: &'a Column,
        /// How.
        comparison: Comparison,
        /// The value, of the column's type.
        value: Value,
    },
    /// A column equals one of the values.
    In {
        /// The column.
        column: &'a Column,
        /// The values, of the column's type.
        values: Vec<Value>,
    },
    /// A column has no value.
    Null(&'a Column),
    /// A column's text has another one in it.
    Text {
        /// The column.
        column: &'a Column,
        /// Where.
        place: Place,
        /// Whether upper and lower case are the same.
        folds: bool,
        /// The text.
        text: String,
    },
    /// A column's text is like a pattern: `%` stands for any text, `_` for one character, and
    /// what follows a `\\` for itself.
    Like {
        /// The column.
        column: &'a Column,
        /// Whether upper and lower case are the same.
        folds: bool,
        /// The pattern.
        pattern: String,
    },
    /// A column's JSON is a list with this element.
    Has {
        /// The column.
        column: &'a Column,
        /// A number, a text, `true`, `false` or null.
        element: serde_json::Value,
    },
    /// One of the columns has the text in it, in any case.
    Search {
        /// The columns.
        columns: Vec<&'a Column>,
        /// The text.
        text: String,
    },
    /// Rows of another relation that belong to this one.
    Related {
        /// The other relation.
        relation: &'a Relation,
        /// Columns that are equal: of this relation, and of the other.
        pairs: Vec<(&'a Column, &'a Column)>,
        /// For how many of them it must hold.
        quantity: Quantity,
        /// What must hold, over columns of the other relation.
        condition: Box<Condition<'a>>,
    },
}

impl<'a> Condition<'a> {
    /// Both of two conditions, of which the second may be none. The first is the caller's and the
    /// second what he may see: each is whole by itself, so neither can widen the other.
    pub fn and(self, other: Option<Self>) -> Self {
        match (self, other) {
            (condition, None) => condition,
            (Self::All(mut all), Some(other)) => {
                all.push(other);
                Self::All(all)
            }
            (condition, Some(other)) => Self::All(vec![condition, other]),
        }
    }

    /// A column equals a value.
    pub fn equals(column: &'a Column, value: Value) -> Self {
        Self::Compare { column, comparison: Comparison::Equal, value }
    }
}
