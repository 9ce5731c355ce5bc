//! Whether a resource's `key` keeps its promise: to tell the landed records apart.
//!
//! Asked of the table after a whole walk took its place. What comes out is a warning and never a
//! failure: the rows are what the api sent, and they are committed.

use restway_model::Event;
use restway_model::definition::{Key, Load};

use super::Chosen;
use super::parents::quoted;
use crate::{WorkError, Workspace};

impl Workspace {
    /// Warns when rows share a key, or when the key names no column. Appended rows may repeat.
    pub(super) async fn check_key(&self, chosen: &Chosen) {
        let Some(key) = chosen.settings.key.as_ref() else { return };
        if chosen.settings.load != Load::Replace {
            return;
        }
        let problem = match self.key_problem(chosen, key).await {
            Ok(problem) => problem,
            Err(error) => Some(format!("whether its `key` holds could not be asked: {error}")),
        };
        if let Some(message) = problem {
            self.observer.observe(&Event::Warned { about: chosen.table.to_string(), message });
        }
    }

    async fn key_problem(&self, chosen: &Chosen, key: &Key) -> Result<Option<String>, WorkError> {
        let table = self.lake.table(&chosen.table).await?;
        if table.summary.rows == Some(0) {
            return Ok(None);
        }
        let mut columns = Vec::new();
        for field in key.columns() {
            let path = format!("$.{field}");
            let found = table.columns.iter().find(|column| {
                column.name == *field || column.path.as_deref() == Some(path.as_str())
            });
            match found {
                Some(column) => columns.push(quoted(&column.name)),
                None => return Ok(Some(format!("its `key` names `{field}`, which is no column"))),
            }
        }
        let columns = columns.join(", ");
        let (api, name) = (chosen.table.api.as_str(), chosen.table.table.as_str());
        let sql = format!(
            "select 1 as shared from {}.{} group by {columns} having count(*) > 1 limit 1",
            quoted(api),
            quoted(name)
        );
        let shared = self.lake.query(&sql, &[]).await?.json_rows(1).await?;
        let message = format!("rows share their `key` ({})", key.columns().join(", "));
        Ok((!shared.is_empty()).then_some(message))
    }
}
