//! How each database writes names, values and types.
//!
//! In: columns and values of a plan. Out: pieces of a statement. What never happens here: a name
//! without quotes, or a value anywhere but behind a placeholder.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Statement;
use crate::plan::Value;
use crate::source::{Column, ENUMERATION, Kind, Relation};

/// The SQL of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// DataFusion's, over the workspace's own tables.
    Lake,
    /// SQLite's.
    Sqlite,
    /// PostgreSQL's.
    Postgres,
    /// MySQL's and MariaDB's.
    Mysql,
}

/// A value behind a placeholder.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A fraction.
    Float(f64),
    /// A text; often the text of another type, which the statement casts.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Texts of a list; PostgreSQL alone takes one.
    Texts(Vec<String>),
}

/// The type of a column of instants, in the lake engine's words; its SQL has none for it.
const LAKE_INSTANT: &str = "Timestamp(Microsecond, Some(\"UTC\"))";

/// A statement that is being written.
pub(super) struct Writer {
    pub(super) dialect: Dialect,
    text: String,
    values: Vec<Bound>,
}

impl Writer {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, text: String::with_capacity(256), values: Vec::new() }
    }

    pub(super) fn statement<'a>(
        self,
        columns: Vec<&'a Column>,
        arguments: &'a [(String, serde_json::Value)],
    ) -> Statement<'a> {
        Statement { text: self.text, values: self.values, arguments, columns }
    }

    /// A text of this room's own.
    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// A name in the dialect's quotes.
    pub(super) fn name(&mut self, name: &str) {
        let quote = if self.dialect == Dialect::Mysql { '`' } else { '"' };
        self.text.push(quote);
        for character in name.chars() {
            if character == quote {
                self.text.push(quote);
            }
            self.text.push(character);
        }
        self.text.push(quote);
    }

    /// A column of the relation that is called `alias`.
    pub(super) fn column(&mut self, alias: &str, column: &Column) {
        self.text.push_str(alias);
        self.text.push('.');
        self.name(&column.name);
    }

    /// A column as the source reads its values.
    pub(super) fn selected(&mut self, alias: &str, column: &Column) {
        let has_no_form = matches!(self.dialect, Dialect::Postgres | Dialect::Mysql);
        if column.kind == Kind::Other && has_no_form {
            self.as_text(alias, column);
            self.push(" AS ");
            self.name(&column.name);
        } else {
            self.column(alias, column);
        }
    }

    /// A column as rows are sorted by it. SQLite sorts what has no type by what it is. An
    /// enumeration of MySQL would be sorted by its list and compared by its text; as a part of a
    /// text it is both by its text, in its own collation.
    pub(super) fn sortable(&mut self, alias: &str, column: &Column) {
        match self.dialect {
            Dialect::Sqlite => self.column(alias, column),
            Dialect::Mysql if column.native.starts_with(ENUMERATION) => {
                self.push("CONCAT(");
                self.column(alias, column);
                self.push(")");
            }
            _ => self.comparable(alias, column),
        }
    }

    /// What tells the value of a column apart where its JSON does not: a text and bytes. SQLite
    /// keeps either in any column.
    pub(super) fn told_apart(&mut self, alias: &str, column: &Column) {
        self.push("CASE typeof(");
        self.column(alias, column);
        self.push(") WHEN 'text' THEN 't' || ");
        self.column(alias, column);
        self.push(" WHEN 'blob' THEN 'b' || hex(");
        self.column(alias, column);
        self.push(") END");
    }

    /// A column as values are compared with it.
    pub(super) fn comparable(&mut self, alias: &str, column: &Column) {
        match (self.dialect, column.kind) {
            (Dialect::Lake, _) => self.column(alias, column),
            (Dialect::Postgres, Kind::Json) => {
                self.push("CAST(");
                self.column(alias, column);
                self.push(" AS jsonb)");
            }
            (_, Kind::Json | Kind::Other) => self.as_text(alias, column),
            _ => self.column(alias, column),
        }
    }

    /// A column as text.
    pub(super) fn as_text(&mut self, alias: &str, column: &Column) {
        self.push("CAST(");
        self.column(alias, column);
        self.push(match self.dialect {
            Dialect::Lake => " AS VARCHAR)",
            Dialect::Sqlite | Dialect::Postgres => " AS text)",
            Dialect::Mysql => " AS CHAR CHARACTER SET utf8mb4)",
        });
    }

    /// A relation and what it is called.
    pub(super) fn relation(&mut self, relation: &Relation, alias: &str) {
        self.table(relation);
        self.push(&format!(" AS {alias}"));
    }

    /// A relation by its own name.
    pub(super) fn table(&mut self, relation: &Relation) {
        match relation {
            Relation::Table(path) => self.path(path),
            Relation::Query { sql, .. } => {
                // The end of the line ends a comment that the query may end with.
                self.push(&format!("({sql}\n)"));
            }
        }
    }

    /// A table's name behind those of its schemas.
    pub(super) fn path(&mut self, path: &[String]) {
        for (at, name) in path.iter().enumerate() {
            self.push(if at > 0 { "." } else { "" });
            self.name(name);
        }
    }

    /// A placeholder; its number, by which a dialect that can names it again.
    pub(super) fn bind(&mut self, value: Bound) -> usize {
        self.values.push(value);
        let number = self.values.len();
        self.placeholder(number);
        number
    }

    /// The value behind an earlier placeholder once more.
    pub(super) fn again(&mut self, number: usize) {
        if self.dialect == Dialect::Mysql {
            let value = self.values.get(number - 1).cloned().unwrap_or(Bound::Null);
            self.bind(value);
        } else {
            self.placeholder(number);
        }
    }

    fn placeholder(&mut self, number: usize) {
        match self.dialect {
            Dialect::Lake => self.push(&format!("$v{number}")),
            Dialect::Sqlite => self.push(&format!("?{number}")),
            Dialect::Postgres => self.push(&format!("${number}")),
            Dialect::Mysql => self.push("?"),
        }
    }

    /// A number that changes from page to page; the lake prepares nothing and takes no value here.
    pub(super) fn number(&mut self, number: u64) {
        if self.dialect == Dialect::Lake {
            self.push(&number.to_string());
        } else {
            self.bind(Bound::Int(i64::try_from(number).unwrap_or(i64::MAX)));
        }
    }

    /// A value in the column's type.
    pub(super) fn value(&mut self, column: &Column, value: &Value) {
        let bound = bound(self.dialect, value);
        let kind = value.kind;
        let cast = match self.dialect {
            Dialect::Lake => lake_cast(kind),
            Dialect::Sqlite => sqlite_cast(kind),
            Dialect::Postgres => postgres_cast(column),
            Dialect::Mysql => mysql_cast(kind),
        };
        let (before, after) = cast;
        self.push(before);
        self.bind(bound);
        self.push(&after);
    }

    /// A value that a column gets, in the column's own type.
    pub(super) fn assigned(&mut self, column: &Column, value: Option<&Value>) {
        match value {
            None => self.push("NULL"),
            Some(value) if self.is_cast_to_its_own(column) => {
                self.push("CAST(");
                self.bind(Bound::Text(value.text.clone()));
                self.push(&format!(" AS {})", column.native));
            }
            Some(value) => self.value(column, value),
        }
    }

    /// A value of a row that is only thought of: nothing tells its type but itself.
    pub(super) fn imagined(&mut self, column: &Column, value: Option<&Value>) {
        let has_type = self.dialect == Dialect::Postgres && !column.native.is_empty();
        if has_type {
            self.push("CAST(");
        }
        self.assigned(column, value);
        if has_type {
            self.push(&format!(" AS {})", column.native));
        }
    }

    /// A type of PostgreSQL that is compared as text has to be written as itself.
    fn is_cast_to_its_own(&self, column: &Column) -> bool {
        let is_text = matches!(column.kind, Kind::Other | Kind::List);
        self.dialect == Dialect::Postgres && is_text && !column.native.is_empty()
    }

    /// A list of values in the column's type, behind `IN`; as a whole with one text for any length
    /// where the dialect can.
    pub(super) fn values(&mut self, column: &Column, values: &[Value]) {
        let texts = || values.iter().map(list_text).collect::<Vec<_>>();
        match self.dialect {
            Dialect::Postgres => {
                self.push("= ANY(CAST(");
                self.bind(Bound::Texts(texts()));
                // Whole numbers of any length compare with each other, and a long one has no place
                // in a short one's list.
                let of_list = match column.kind {
                    Kind::Int64 => "bigint",
                    _ => postgres_type(column),
                };
                self.push(&format!(" AS {of_list}[]))"));
            }
            Dialect::Sqlite if column.kind != Kind::Bytes => {
                self.push("IN (SELECT value FROM json_each(");
                self.bind(Bound::Text(json_list(values)));
                self.push("))");
            }
            _ => {
                self.push("IN (");
                // As many placeholders as the next power of two, so that shapes are few.
                let length = values.len().next_power_of_two();
                for (at, value) in padded(values, length).enumerate() {
                    self.push(if at > 0 { ", " } else { "" });
                    self.value(column, value);
                }
                self.push(")");
            }
        }
    }
}

fn padded(values: &[Value], length: usize) -> impl Iterator<Item = &Value> {
    values.iter().chain(values.last().into_iter().cycle()).take(length)
}

/// What goes to the database for a value.
fn bound(dialect: Dialect, value: &Value) -> Bound {
    let text = || Bound::Text(value.text.clone());
    if dialect == Dialect::Lake {
        return text();
    }
    match value.kind {
        Kind::Int64 | Kind::UInt64 => value.text.parse().map_or_else(|_| text(), Bound::Int),
        Kind::Float64 if dialect != Dialect::Postgres => {
            value.text.parse().map_or_else(|_| text(), Bound::Float)
        }
        Kind::Bool if dialect == Dialect::Postgres => Bound::Bool(value.text == "true"),
        Kind::Bool => Bound::Int(i64::from(value.text == "true")),
        Kind::Bytes => STANDARD.decode(&value.text).map_or_else(|_| text(), Bound::Bytes),
        Kind::DateTime | Kind::Instant if dialect == Dialect::Mysql => {
            Bound::Text(value.text.trim_end_matches('Z').replace('T', " "))
        }
        _ => text(),
    }
}

/// An element of a list that PostgreSQL casts.
fn list_text(value: &Value) -> String {
    match value.kind {
        Kind::Bytes => {
            let bytes = STANDARD.decode(&value.text).unwrap_or_default();
            let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
            format!("\\x{}", digits.collect::<String>())
        }
        _ => value.text.clone(),
    }
}

/// A list for SQLite's `json_each`: numbers as numbers, because it compares them with numbers.
fn json_list(values: &[Value]) -> String {
    let mut list = String::from("[");
    for (at, value) in values.iter().enumerate() {
        list.push_str(if at > 0 { "," } else { "" });
        match value.kind {
            Kind::Int64
            | Kind::UInt64
            | Kind::Decimal { .. }
            | Kind::Number
            | Kind::Float32
            | Kind::Float64 => list.push_str(&value.text),
            Kind::Bool => list.push_str(if value.text == "true" { "1" } else { "0" }),
            _ => list.push_str(&serde_json::Value::from(value.text.as_str()).to_string()),
        }
    }
    list.push(']');
    list
}

type Cast = (&'static str, std::borrow::Cow<'static, str>);

fn lake_cast(kind: Kind) -> Cast {
    match kind {
        Kind::Instant => ("arrow_cast(CAST(", format!(" AS VARCHAR), '{LAKE_INSTANT}')").into()),
        Kind::Bool => ("CAST(", " AS BOOLEAN)".into()),
        Kind::Int64 => ("CAST(", " AS BIGINT)".into()),
        Kind::Float64 => ("CAST(", " AS DOUBLE)".into()),
        Kind::Date => ("CAST(", " AS DATE)".into()),
        Kind::Decimal { precision, scale } => {
            ("CAST(", format!(" AS DECIMAL({precision},{scale}))").into())
        }
        _ => ("", "".into()),
    }
}

/// A value takes the affinity of the column that it is compared with; a column of a query has none.
fn sqlite_cast(kind: Kind) -> Cast {
    match kind {
        Kind::Decimal { .. } | Kind::Number => ("CAST(", " AS NUMERIC)".into()),
        _ => ("", "".into()),
    }
}

fn postgres_cast(column: &Column) -> Cast {
    match column.kind {
        // These are bound in their own type.
        Kind::Int64 | Kind::Bool | Kind::Bytes => ("", "".into()),
        _ => ("CAST(", format!(" AS {})", postgres_type(column)).into()),
    }
}

fn postgres_type(column: &Column) -> &str {
    match column.kind {
        Kind::Json => "jsonb",
        Kind::Other => "text",
        _ if column.native.is_empty() => "text",
        _ => &column.native,
    }
}

fn mysql_cast(kind: Kind) -> Cast {
    match kind {
        Kind::UInt64 => ("CAST(", " AS UNSIGNED)".into()),
        Kind::Decimal { precision, scale } => {
            ("CAST(", format!(" AS DECIMAL({precision},{scale}))").into())
        }
        Kind::Float32 => ("CAST(", " AS FLOAT)".into()),
        Kind::Date => ("CAST(", " AS DATE)".into()),
        Kind::DateTime | Kind::Instant => ("CAST(", " AS DATETIME(6))".into()),
        Kind::Time => ("CAST(", " AS TIME(6))".into()),
        _ => ("", "".into()),
    }
}
