//! The workspace's own tables behind the seam.
//!
//! In: an [`Engine`], which is the lake, or the workspace that also calls live resources. Out: a
//! [`Source`] in DataFusion's dialect. What never happens here: a write, or a description that is
//! kept: a table learns of a column whenever it is synced.

use std::sync::Arc;

use restway_model::{ColumnType, TableName};
use restway_tables::{Answer, Lake, TableError};
use serde_json::Value;

use super::{
    Answering, Column, Description, Flow, Kind, Relation, Sink, Source, SourceError, Transaction,
};
use crate::statement::{Bound, Dialect, Statement};

/// Tables that answer SQL, in DataFusion's dialect with `$name` for values.
pub trait Engine: Send + Sync + 'static {
    /// The columns of a table.
    fn columns<'a>(&'a self, table: &'a TableName) -> Answering<'a, Vec<(String, ColumnType)>>;

    /// The rows that a statement answers.
    fn query<'a>(&'a self, sql: &'a str, values: &'a [(String, Value)]) -> Answering<'a, Answer>;
}

impl Engine for Lake {
    fn columns<'a>(&'a self, table: &'a TableName) -> Answering<'a, Vec<(String, ColumnType)>> {
        Box::pin(async move {
            let detail = self.table(table).await.map_err(explained)?;
            Ok(detail.columns.into_iter().map(|column| (column.name, column.kind)).collect())
        })
    }

    fn query<'a>(&'a self, sql: &'a str, values: &'a [(String, Value)]) -> Answering<'a, Answer> {
        Box::pin(async move { self.query(sql, values).await.map_err(explained) })
    }
}

/// An engine as a source.
pub struct Engined(Arc<dyn Engine>);

impl Engined {
    /// The source of an engine.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self(engine)
    }

    /// The columns of a query, as its answer without rows tells them.
    async fn columns_of(&self, from: &str, params: &[String]) -> Result<Vec<Column>, SourceError> {
        let sql = format!("SELECT * FROM {from} LIMIT 0");
        let nulls: Vec<(String, Value)> =
            params.iter().map(|name| (name.clone(), Value::Null)).collect();
        let answer = self.0.query(&sql, &nulls).await?;
        let columns = answer.columns().iter().map(|column| {
            let kind = column.kind.parse::<ColumnType>().map_or(Kind::Other, Kind::from);
            Column::new(&column.name, kind)
        });
        Ok(columns.collect())
    }
}

impl Source for Engined {
    fn dialect(&self) -> Dialect {
        Dialect::Lake
    }

    fn describe<'a>(&'a self, relation: &'a Relation) -> Answering<'a, Arc<Description>> {
        Box::pin(async move {
            let columns = match relation {
                Relation::Table(path) => match table_name(path) {
                    Some(name) => {
                        let columns = self.0.columns(&name).await?.into_iter();
                        columns.map(|(name, kind)| Column::new(&name, kind.into())).collect()
                    }
                    None => self.columns_of(&path.join("."), &[]).await?,
                },
                Relation::Query { sql, params } => {
                    self.columns_of(&format!("({sql}\n) AS t"), params).await?
                }
            };
            Ok(Arc::new(Description::of_columns(columns)))
        })
    }

    fn forget(&self, _: &Relation) {}

    fn read<'a>(
        &'a self,
        statement: &'a Statement<'a>,
        sink: &'a mut dyn Sink,
    ) -> Answering<'a, ()> {
        Box::pin(async move {
            let mut values = statement.arguments.to_vec();
            values.extend(
                statement
                    .values
                    .iter()
                    .enumerate()
                    .map(|(at, bound)| (format!("v{}", at + 1), json(bound))),
            );
            let mut answer = self.0.query(&statement.text, &values).await?;
            while let Some(rows) = answer.next_rows().await.map_err(explained)? {
                for row in rows {
                    sink.buffer().extend_from_slice(row.as_bytes());
                    match sink.row() {
                        Flow::More => {}
                        Flow::Full => sink.flush().await?,
                        Flow::Enough => return Ok(()),
                    }
                }
            }
            Ok(())
        })
    }

    fn begin(&self) -> Answering<'_, Box<dyn Transaction>> {
        Box::pin(async { Err(SourceError::ReadOnly) })
    }
}

/// A table of the lake by its path; a live one has three names.
fn table_name(path: &[String]) -> Option<TableName> {
    match path {
        [api, table] => Some(TableName { api: api.parse().ok()?, table: table.parse().ok()? }),
        _ => None,
    }
}

/// Values go to the engine as texts, which the statement casts.
fn json(bound: &Bound) -> Value {
    match bound {
        Bound::Text(text) => Value::from(text.as_str()),
        Bound::Bool(value) => Value::from(*value),
        Bound::Int(value) => Value::from(*value),
        Bound::Float(value) => Value::from(*value),
        Bound::Texts(texts) => Value::from(texts.as_slice()),
        Bound::Null | Bound::Bytes(_) => Value::Null,
    }
}

fn explained(error: TableError) -> SourceError {
    SourceError::Engine(Box::new(error))
}
