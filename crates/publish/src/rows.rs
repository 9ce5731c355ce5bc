//! The seam to whatever holds the rows.
//!
//! In: a table's name, or a statement with its values. Out: columns, or rows as JSON texts. The
//! lake is the one implementation that ships; tests bring their own, so that each rule of this
//! room is tested without files. Nothing but `query` calls it.

use std::future::Future;
use std::pin::Pin;

use restway_model::{ColumnType, Explain, TableName};
use serde_json::Value;

/// An answer that takes its time.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, Box<dyn Explain>>> + Send + 'a>>;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name: any text that an api used for a field.
    pub name: String,
    /// What it holds.
    pub kind: ColumnType,
}

/// Tables that answer SQL, in DataFusion's dialect with `$name` for values.
pub trait Rows: Send + Sync {
    /// The columns of a table, in its order. A table that was never written is an error with
    /// [`restway_model::Code::TableMissing`].
    fn columns<'a>(&'a self, table: &'a TableName) -> Answering<'a, Vec<Column>>;

    /// The rows that a statement answers, each the text of a JSON object whose members stand in
    /// the order of the statement; at most `rows_max`.
    fn rows<'a>(
        &'a self,
        sql: &'a str,
        values: &'a [(String, Value)],
        rows_max: usize,
    ) -> Answering<'a, Vec<String>>;
}
