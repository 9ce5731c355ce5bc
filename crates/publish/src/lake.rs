//! The lake behind the seam.
//!
//! In and out: what [`Rows`] says. What never happens here: anything but passing on.

use restway_model::{Explain, TableName};
use restway_tables::{Lake, TableError};
use serde_json::Value;

use crate::rows::{Answering, Column, Rows};

impl Rows for Lake {
    fn columns<'a>(&'a self, table: &'a TableName) -> Answering<'a, Vec<Column>> {
        Box::pin(async move {
            let detail = self.table(table).await.map_err(explained)?;
            let columns = detail.columns.into_iter();
            Ok(columns.map(|column| Column { name: column.name, kind: column.kind }).collect())
        })
    }

    fn rows<'a>(
        &'a self,
        sql: &'a str,
        values: &'a [(String, Value)],
        rows_max: usize,
    ) -> Answering<'a, Vec<String>> {
        Box::pin(async move {
            let answer = self.query(sql, values).await.map_err(explained)?;
            answer.json_rows(rows_max).await.map_err(explained)
        })
    }
}

fn explained(error: TableError) -> Box<dyn Explain> {
    Box::new(error)
}
