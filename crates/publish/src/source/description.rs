//! What a source says about a relation.
//!
//! In: what the databases' own catalogs tell. Out: columns, keys and references in one form. What
//! never happens here: a question to a database.

use std::fmt;

use restway_model::ColumnType;
use restway_model::definition::ValueType;

use super::json;

/// Something that has rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Relation {
    /// A table or view: its name with the schemas before it, outermost first.
    Table(Vec<String>),
    /// A query in the source's own SQL.
    Query {
        /// The statement.
        sql: String,
        /// The names of `$name` in it, which have values when it is read.
        params: Vec<String>,
    },
}

impl fmt::Display for Relation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(path) => formatter.write_str(&path.join(".")),
            Self::Query { .. } => formatter.write_str("a query"),
        }
    }
}

/// What a column holds, and so how its values are written and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only nulls so far.
    Null,
    /// `true` and `false`.
    Bool,
    /// Whole numbers of 64 bits or fewer.
    Int64,
    /// Whole numbers of 64 bits from zero.
    UInt64,
    /// Exact numbers with so many digits, `scale` of them after the point.
    Decimal {
        /// Digits in all.
        precision: u16,
        /// Digits after the point.
        scale: u16,
    },
    /// Exact numbers of any length.
    Number,
    /// Binary fractions of 32 bits.
    Float32,
    /// Binary fractions of 64 bits.
    Float64,
    /// A day without a time.
    Date,
    /// A time without a day.
    Time,
    /// A day and a time in no place of the world.
    DateTime,
    /// An instant, written in UTC.
    Instant,
    /// An identifier of 128 bits.
    Uuid,
    /// Any text.
    Text,
    /// A JSON value.
    Json,
    /// Bytes, written in base64.
    Bytes,
    /// A list of values.
    List,
    /// A type without a form of its own here: its text as the database writes it.
    Other,
}

impl From<ColumnType> for Kind {
    fn from(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Null => Self::Null,
            ColumnType::Bool => Self::Bool,
            ColumnType::Int64 => Self::Int64,
            ColumnType::Decimal { precision, scale } => {
                Self::Decimal { precision: precision.into(), scale: scale.into() }
            }
            ColumnType::Float64 => Self::Float64,
            ColumnType::Date => Self::Date,
            ColumnType::Timestamp => Self::Instant,
            ColumnType::Text => Self::Text,
            ColumnType::Json => Self::Json,
        }
    }
}

impl From<ValueType> for Kind {
    fn from(kind: ValueType) -> Self {
        match kind {
            ValueType::Boolean => Self::Bool,
            ValueType::Integer | ValueType::Long => Self::Int64,
            ValueType::Double => Self::Float64,
            ValueType::Date => Self::Date,
            ValueType::Timestamp => Self::Instant,
            ValueType::String | ValueType::Attachment => Self::Text,
            ValueType::List | ValueType::Record => Self::Json,
        }
    }
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name: any text.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// The type in the database's own words, as a cast takes them; empty where casts need none.
    pub native: String,
    /// Whether it can be null.
    pub is_nullable: bool,
    /// Whether an insert may leave it out.
    pub has_default: bool,
    /// Whether the database alone writes it.
    pub is_generated: bool,
    /// The most characters of a text.
    pub length_max: Option<u64>,
    /// The only texts that it takes; any when there are none.
    pub choices: Vec<String>,
    /// The member's name in JSON with its colon.
    pub(super) label: Vec<u8>,
}

impl Column {
    /// A column that can be null and has nothing special.
    pub fn new(name: &str, kind: Kind) -> Self {
        let mut label = Vec::with_capacity(name.len() + 3);
        json::text(&mut label, name);
        label.push(b':');
        Self {
            name: name.to_owned(),
            kind,
            native: String::new(),
            is_nullable: true,
            has_default: false,
            is_generated: false,
            length_max: None,
            choices: Vec::new(),
            label,
        }
    }
}

/// Columns whose values together belong to one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unique {
    /// The constraint or index.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
}

/// A reference between two tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The constraint.
    pub name: String,
    /// The columns on this side.
    pub columns: Vec<String>,
    /// The table on the other side.
    pub other: Relation,
    /// The columns there, one for each of this side; its primary key when there are none.
    pub other_columns: Vec<String>,
}

/// What a relation has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description {
    /// Its columns, in its order.
    pub columns: Vec<Column>,
    /// The columns of the primary key, in its order; none without one.
    pub key: Vec<String>,
    /// What else is unique.
    pub uniques: Vec<Unique>,
    /// The tables that it refers to.
    pub refers: Vec<Foreign>,
    /// The tables that refer to it.
    pub referred: Vec<Foreign>,
    /// Whether it is a table, which can be written to.
    pub is_table: bool,
}

impl Description {
    /// Columns without anything else, as of a query.
    pub fn of_columns(columns: Vec<Column>) -> Self {
        Self { columns, ..Self::default() }
    }
}
