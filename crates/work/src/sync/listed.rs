//! What another resource lists as gone: which of its rows are new, and up to where they count.
//!
//! In: the table of that resource, and the row of it that the sync before came to. Out: what the
//! first batch takes out of the tables, and the state that is recorded with that batch, in the same
//! transaction. So each row of the list counts once, whenever the process dies.

use restway_tables::Gone;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Chosen;
use super::lander::Way;
use super::parents::quoted;
use crate::{WorkError, Workspace};

/// The name under which the state lies; no part of a resource is called so.
pub(super) const STATE: &str = "deletes.resource";

/// What is taken out with the first batch, and what is recorded with every one.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) gone: Option<Gone>,
    pub(super) state: Option<(String, Option<Value>)>,
}

/// Up to where the list counts.
#[derive(Debug, Serialize, Deserialize)]
struct Upto {
    table: String,
    row: i64,
}

impl Workspace {
    /// What is new in the list, if the resource has one.
    pub(super) async fn listed(&self, chosen: &Chosen, way: Way) -> Result<Listed, WorkError> {
        let Some(table) = chosen.list() else { return Ok(Listed::default()) };
        let stream = chosen.table.to_string();
        let kept = self.store.stream_state(&stream, STATE).await?;
        let unreadable =
            |source| WorkError::Journal { stream: stream.clone(), sequence: 0, source };
        let kept: Option<Upto> =
            kept.map(serde_json::from_value).transpose().map_err(unreadable)?;
        // One that reads everything anew takes the whole list too; what it reads comes after.
        let kept = kept.filter(|kept| way.is_stepwise && kept.table == table.to_string());
        let after = kept.as_ref().map_or(i64::MIN, |kept| kept.row);
        let last = match self.lake.has(&table).await? {
            true => self.last_row(&table).await?,
            false => None,
        };
        let upto = Upto { table: table.to_string(), row: last.unwrap_or(after).max(after) };
        let state = serde_json::to_value(&upto).map_err(unreadable)?;
        let is_new = last.is_some_and(|last| last > after);
        let settings = &chosen.settings;
        let key = settings.deletes.key.as_ref().or(settings.key.as_ref());
        let key = key.map(|key| key.columns().to_vec()).unwrap_or_default();
        let gone = is_new.then_some(Gone { table, key, after });
        Ok(Listed { gone, state: Some((STATE.to_owned(), Some(state))) })
    }

    /// The newest row of a table.
    async fn last_row(&self, table: &restway_model::TableName) -> Result<Option<i64>, WorkError> {
        let sql = format!(
            "select max(_row_id) as last from {}.{}",
            quoted(table.api.as_str()),
            quoted(table.table.as_str())
        );
        let rows = self.lake.query(&sql, &[]).await?.json_rows(1).await?;
        let row = rows.first().and_then(|row| serde_json::from_str::<Value>(row).ok());
        Ok(row.and_then(|row| row["last"].as_i64()))
    }
}
