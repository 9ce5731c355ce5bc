//! Stage 3: the reading, and the only stage that touches the lake.
//!
//! In: a plan. Out: rows as JSON texts, within the time and the number of rows that are allowed.
//! What never happens here: a decision about what may be read.
//!
//! A query that outlasts its time is dropped, which stops it. The total of a list is only counted
//! when it was asked for and the page does not already tell it.

use std::time::Duration;

use futures::future::{Either, select};
use restway_model::{Clock, Code, Explain, TableName};

use crate::plan::{ItemPlan, ListPlan, Objects, Published};
use crate::refusal::Refusal;
use crate::rows::{Answering, Column, Rows};
use crate::sql::{self, Statement};

/// Items of a page, and how many there are in all, where that was asked for.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<String>,
    pub(crate) count: Option<u64>,
}

/// An object and what its table has.
#[derive(Debug)]
pub(crate) struct Described<'a> {
    pub(crate) name: &'a str,
    pub(crate) object: &'a Published,
    pub(crate) columns: Vec<Column>,
}

/// The lake, with the time that a caller may take of it.
pub(crate) struct Reading<'a> {
    pub(crate) rows: &'a dyn Rows,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) time_max: Duration,
}

impl Reading<'_> {
    /// The columns of a table.
    pub(crate) async fn columns(&self, table: &TableName) -> Result<Vec<Column>, Refusal> {
        self.within_time(self.rows.columns(table)).await
    }

    /// The open objects of an app, each with its columns; with none while its table is not there.
    pub(crate) async fn described<'a>(
        &self,
        objects: &'a Objects,
    ) -> Result<Vec<Described<'a>>, Refusal> {
        let mut described = Vec::new();
        for (name, object) in objects.iter().filter(|(_, object)| object.is_open) {
            let columns = match self.columns(&object.table).await {
                Ok(columns) => columns,
                Err(Refusal::NotLanded(_)) => Vec::new(),
                Err(refusal) => return Err(refusal),
            };
            described.push(Described { name, object, columns });
        }
        Ok(described)
    }

    /// A page of a list.
    pub(crate) async fn page(&self, plan: &ListPlan<'_>) -> Result<Page, Refusal> {
        let items = if plan.limit == 0 {
            Vec::new()
        } else {
            self.rows(&sql::page(plan), plan.limit).await?
        };
        let count = if plan.counts { Some(self.count(plan, items.len()).await?) } else { None };
        Ok(Page { items, count })
    }

    /// An item, if there is one.
    pub(crate) async fn item(&self, plan: &ItemPlan<'_>) -> Result<String, Refusal> {
        let mut items = self.rows(&sql::item(plan), 2).await?;
        if items.len() > 1 {
            let reason = format!("the key of `{}` names more than one row", plan.table);
            return Err(Refusal::Unfit { reason });
        }
        items.pop().ok_or(Refusal::NoItem)
    }

    /// A page that is not full, and not beyond the end, is the last one: it tells the total.
    async fn count(&self, plan: &ListPlan<'_>, items: usize) -> Result<u64, Refusal> {
        let items = items as u64;
        let is_last = items < plan.limit && (items > 0 || plan.offset == 0);
        if is_last {
            return Ok(plan.offset + items);
        }
        let rows = self.rows(&sql::count(plan), 1).await?;
        let row: Option<serde_json::Value> =
            rows.first().and_then(|row| serde_json::from_str(row).ok());
        row.as_ref()
            .and_then(|row| row.get("count")?.as_u64())
            .ok_or_else(|| Refusal::Unfit { reason: format!("no count in {rows:?}") })
    }

    async fn rows(&self, statement: &Statement, rows_max: u64) -> Result<Vec<String>, Refusal> {
        let rows_max = usize::try_from(rows_max).unwrap_or(usize::MAX);
        self.within_time(self.rows.rows(&statement.text, &statement.values, rows_max)).await
    }

    async fn within_time<T>(&self, answering: Answering<'_, T>) -> Result<T, Refusal> {
        match select(answering, self.clock.sleep(self.time_max)).await {
            Either::Left((answer, _)) => answer.map_err(refusal),
            Either::Right(_) => Err(Refusal::Slow { seconds: self.time_max.as_secs() }),
        }
    }
}

fn refusal(error: Box<dyn Explain>) -> Refusal {
    match error.code() {
        Code::TableMissing => Refusal::NotLanded(error),
        _ => Refusal::Broken(error),
    }
}
