//! Fill: all rows of the query into the outbox, before the first is sent.
//!
//! In: an export. Out: an outbox that holds every row with its key, on the disk. The answer of the
//! query is read as a stream, and its rows are written some at a time. What the request and the key
//! name must be among the columns, and no two rows may have one key, or nothing is sent at all.
//!
//! The other half: an outbox of an earlier run is opened again.

use std::collections::HashMap;

use restway_model::definition::ExportFrom;
use restway_model::{Scope, nearest};
use restway_store::NewRow;
use restway_tables::{Answer, AsOf};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Chosen, ExportError};
use crate::{Stop, WorkError, Workspace};

/// Rows that are written in one transaction.
const ROWS_AT_ONCE: usize = 1_000;

impl Workspace {
    /// The running query of an export, which has the columns that it needs.
    pub(super) async fn rows_of(&self, chosen: &Chosen) -> Result<Answer, WorkError> {
        let sql = match chosen.export.source() {
            Some(ExportFrom::Sql(sql)) => sql,
            Some(ExportFrom::Saved(name)) => {
                let saved = crate::publish::saved(&self.folder, &name)?;
                if !saved.params.is_empty() {
                    return Err(ExportError::Params { export: chosen.table.clone() }.into());
                }
                saved.sql
            }
            None => chosen.export.from.clone(),
        };
        let answer = self.query(&sql, &[], &AsOf::default()).await?;
        let columns: Vec<&str> = answer.columns().iter().map(|one| one.name.as_str()).collect();
        let missing = |column: &str, place| ExportError::NoColumn {
            export: chosen.table.clone(),
            column: column.to_owned(),
            place,
            suggestion: nearest(column, columns.iter().copied()).map(str::to_owned),
        };
        if let Some(column) = chosen.export.key().iter().find(|key| !columns.contains(&&***key)) {
            return Err(missing(column, "`key`").into());
        }
        let mut templates = chosen.export.request.templates().unwrap_or_default();
        templates.extend(chosen.export.idempotency.iter().filter_map(|own| own.key.clone()));
        for (scope, name) in templates.iter().flat_map(|template| template.references()) {
            if scope == Scope::Row && !columns.contains(&name) {
                return Err(missing(name, "the request").into());
            }
        }
        Ok(answer)
    }

    /// Takes all rows in.
    pub(super) async fn fill_outbox(
        &self,
        chosen: &Chosen,
        outbox: i64,
        stop: &Stop,
    ) -> Result<(), WorkError> {
        let mut answer = self.rows_of(chosen).await?;
        let types = key_types(chosen, &answer).to_string();
        let export = chosen.table.to_string();
        let mut rows = 0;
        while let Some(contents) = answer.next_rows().await? {
            let mut new = Vec::with_capacity(contents.len());
            for (place, content) in (rows + 1..).zip(contents) {
                new.push(NewRow { key: key(chosen, &content, place)?, content });
            }
            for some in new.chunks(ROWS_AT_ONCE) {
                if stop.is_raised() {
                    return Err(WorkError::Stopped);
                }
                self.store.add_rows(&export, outbox, rows + 1, some).await?;
                rows += some.len() as u64;
            }
        }
        if !chosen.export.key().is_empty()
            && let Some(key) = self.store.key_twice(outbox).await?
        {
            let key = self.redactor.redact(&key).into_owned();
            return Err(ExportError::KeyTwice { export: chosen.table.clone(), key }.into());
        }
        Ok(self.store.fill_outbox(outbox, &types, rows).await?)
    }

    /// The outbox of a run, whose rows that were not taken wait again.
    pub(super) async fn open_again(
        &self,
        chosen: &Chosen,
        run: &str,
        with_ambiguous: bool,
    ) -> Result<i64, WorkError> {
        let is_none =
            || ExportError::NotItsRun { run: run.to_owned(), export: chosen.table.clone() };
        let found = self.store.run(run).await?.ok_or_else(is_none)?.run.id;
        let record = self.store.export(&found).await?;
        let record = record.filter(|record| record.export == chosen.table.to_string());
        let record = record.ok_or_else(is_none)?;
        if record.key_types.is_none() {
            return Err(ExportError::NeverBegan { run: found }.into());
        }
        if record.is_forgotten {
            return Err(ExportError::Forgotten { run: found }.into());
        }
        self.store.send_again(record.outbox, with_ambiguous).await?;
        let (waiting, rows) = (
            self.store.count_rows(record.outbox, false).await?.waiting,
            self.store.count_rows(record.outbox, true).await?.ambiguous,
        );
        if waiting == 0 && rows > 0 {
            let export = chosen.table.clone();
            return Err(ExportError::OnlyAmbiguous { run: found, export, rows }.into());
        }
        Ok(record.outbox)
    }
}

/// What names a row, as a JSON list: the values of its key exactly as they stand in it, or its
/// place.
pub(super) fn key(chosen: &Chosen, content: &str, place: u64) -> Result<String, WorkError> {
    let columns = chosen.export.key();
    if columns.is_empty() {
        return Ok(format!("[{place}]"));
    }
    let row: HashMap<String, &RawValue> = serde_json::from_str(content)
        .map_err(|source| ExportError::Row { export: chosen.table.clone(), source })?;
    let values = columns.iter().map(|column| row.get(column).map_or("null", |value| value.get()));
    Ok(format!("[{}]", values.collect::<Vec<_>>().join(",")))
}

/// The columns of the key with their types, in their order.
fn key_types(chosen: &Chosen, answer: &Answer) -> Value {
    let columns = chosen.export.key().iter();
    let kind = |name: &String| answer.columns().iter().find(|column| column.name == *name);
    let types = columns.map(|name| {
        let kind = kind(name).map(|column| column.kind.clone());
        Value::from(vec![Value::from(name.clone()), Value::from(kind)])
    });
    types.collect()
}
