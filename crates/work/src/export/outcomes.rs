//! Outcomes: what became of the rows of a run, as a batch of the export's table.
//!
//! In: the settled rows of an outbox. Out: rows in the table `api.export`, by the way of every
//! landing, and those that were not taken in `api.export_dead_letters` if the export wants that.
//! The batch carries the run, so that a run lands once: whoever finds a run whose outcomes are not
//! marked as landed looks for its batch first. Runs that died are landed by the next one.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use restway_model::definition::{Contract, DEAD_LETTERS, Deletes, MaxRejects, OnError};
use restway_model::{Code, ColumnType, Records, RowCounts, RowState, RunId, TableName, snake};
use restway_store::{RowOutcome, StateChanges};
use restway_tables::{Landing, LoadMode};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Chosen, ExportError};
use crate::landing::Batch;
use crate::{WorkError, Workspace};

/// Outcomes that are read and written at once.
const ROWS_AT_ONCE: u32 = 1_000;
const DIED: &str = "the process ended before the answer came";

/// The columns behind those of the key.
const COLUMNS: [(&str, ColumnType); 7] = [
    ("response_status", ColumnType::Int64),
    ("response", ColumnType::Text),
    ("status", ColumnType::Text),
    ("attempts", ColumnType::Int64),
    ("error_code", ColumnType::Text),
    ("error", ColumnType::Text),
    ("sent_at", ColumnType::Timestamp),
];
/// What names a row without a key.
const PLACE: (&str, ColumnType) = ("row", ColumnType::Int64);
/// The whole row, of one that was not taken.
const CONTENT: (&str, ColumnType) = ("content", ColumnType::Json);

/// A table of outcomes.
struct Target {
    table: TableName,
    outbox: i64,
    /// The key's columns, and their types where tables have them.
    key: Vec<(String, Option<ColumnType>)>,
    /// Whether it is for the rows that were not taken, with their content.
    is_of_dead: bool,
}

impl Workspace {
    /// Lands the outcomes of runs that died, so that nothing of theirs is lost or mixed with another
    /// run's.
    pub(super) async fn land_open_exports(&self, chosen: &Chosen) -> Result<(), WorkError> {
        for run in self.store.open_exports(&chosen.table.to_string()).await? {
            let Some(record) = self.store.export(&run).await? else { continue };
            if record.key_types.is_none() {
                self.store.drop_rows(record.outbox).await?;
            }
            let code = Code::Interrupted.as_str();
            self.store.cut_off_rows(record.outbox, code, DIED).await?;
            self.land_outcomes(chosen, &run).await?;
        }
        Ok(())
    }

    /// Lands the outcomes of a run; answers how its rows stand, and what each table got.
    pub(super) async fn land_outcomes(
        &self,
        chosen: &Chosen,
        run: &RunId,
    ) -> Result<(RowCounts, Vec<(TableName, u64)>), WorkError> {
        let Some(record) = self.store.export(run).await? else { return Ok(Default::default()) };
        let mut target = Target {
            table: chosen.table.clone(),
            outbox: record.outbox,
            key: record.key_types.as_deref().map(key_of).unwrap_or_default(),
            is_of_dead: false,
        };
        let counts = self.store.count_rows(record.outbox, false).await?;
        let mut tables = Vec::new();
        if counts.done + counts.refused + counts.ambiguous > 0 {
            tables.extend(self.land_target(run, &target).await?);
        }
        let name = format!("{}{DEAD_LETTERS}", chosen.table.table);
        if chosen.export.on_error == OnError::DeadLetter
            && counts.refused + counts.ambiguous > 0
            && let Ok(name) = name.parse()
        {
            target.table = TableName::new(chosen.table.api.clone(), name);
            target.is_of_dead = true;
            tables.extend(self.land_target(run, &target).await?);
        }
        Ok((self.store.land_export(run, record.outbox).await?, tables))
    }

    async fn land_target(
        &self,
        run: &RunId,
        target: &Target,
    ) -> Result<Option<(TableName, u64)>, WorkError> {
        let stream = target.table.to_string();
        if self.store.has_batch_of(&stream, run).await? {
            return Ok(None);
        }
        let sequence = self.store.next_sequence(&stream).await?;
        let mut intake = self.lake.begin(self.landing(run, target, sequence)).await?;
        let mut after = 0;
        loop {
            let outcomes = self.store.outcomes_after(target.outbox, after, ROWS_AT_ONCE).await?;
            let Some(last) = outcomes.last() else { break };
            after = last.settled.position;
            let rows: Vec<String> = outcomes
                .iter()
                .filter(|one| !target.is_of_dead || one.settled.state != RowState::Done)
                .map(|one| row(target, one))
                .collect::<Result<_, _>>()?;
            let filled = tokio::task::spawn_blocking(move || {
                intake.push(&Records::of_texts(&rows), &[])?;
                Ok::<_, WorkError>(intake)
            });
            intake = filled.await??;
        }
        let staged = tokio::task::spawn_blocking(move || intake.finish()).await??;
        let table = &target.table;
        let batch = Batch { run, table, stream: &stream, sequence, staged: &staged };
        self.record(&batch, &StateChanges::default()).await?;
        self.make_visible(&batch).await?;
        Ok(Some((table.clone(), staged.rows())))
    }

    fn landing(&self, run: &RunId, target: &Target, sequence: u64) -> Landing {
        let mut types: BTreeMap<String, ColumnType> = BTreeMap::new();
        let known = target.key.iter().filter_map(|(name, kind)| Some((snake(name), (*kind)?)));
        types.extend(known);
        let own = COLUMNS.iter().chain([&PLACE, &CONTENT]);
        types.extend(own.map(|(name, kind)| ((*name).to_owned(), *kind)));
        Landing {
            resource: target.table.clone(),
            stream: target.table.to_string(),
            sequence,
            run: run.clone(),
            fetched_at: self.clock.now(),
            mode: LoadMode::Append,
            key: Vec::new(),
            deletes: Deletes::default(),
            gone: None,
            contract: Contract::default(),
            max_rejects: MaxRejects::Count(0),
            types,
            nest_depth: 0,
            json: Vec::new(),
            columns: Vec::new(),
            maps: None,
        }
    }
}

/// The key's columns as the outbox has them.
fn key_of(text: &str) -> Vec<(String, Option<ColumnType>)> {
    let columns: Vec<(String, Option<String>)> = serde_json::from_str(text).unwrap_or_default();
    let kind = |text: Option<String>| text.and_then(|text| text.parse().ok());
    columns.into_iter().map(|(name, text)| (name, kind(text))).collect()
}

/// An outcome as the text of a JSON object.
fn row(target: &Target, outcome: &RowOutcome) -> Result<String, WorkError> {
    let key: Vec<&RawValue> = serde_json::from_str(&outcome.key)
        .map_err(|source| ExportError::Row { export: target.table.clone(), source })?;
    let settled = &outcome.settled;
    let (code, message) = settled.error.as_ref().map(|(code, text)| (code, text)).unzip();
    let sent_at = settled.sent_at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let values = [
        Value::from(settled.status),
        Value::from(settled.response.as_deref()),
        Value::from(settled.state.as_str()),
        Value::from(settled.attempts),
        Value::from(code.map(String::as_str)),
        Value::from(message.map(String::as_str)),
        Value::from(sent_at),
    ];
    let place = [(PLACE.0.to_owned(), None)];
    let names = if target.key.is_empty() { &place[..] } else { &target.key[..] };
    let named = names.iter().zip(key).map(|((name, _), value)| (name.as_str(), value.to_string()));
    let own = COLUMNS.iter().zip(values).map(|((name, _), value)| (*name, value.to_string()));
    let content = outcome.content.as_deref().filter(|_| target.is_of_dead);
    let content = content.map(|content| (CONTENT.0, content.to_owned()));
    let members: Vec<String> = named
        .chain(own)
        .chain(content)
        .map(|(name, value)| format!("{}:{value}", Value::from(name)))
        .collect();
    Ok(format!("{{{}}}", members.join(",")))
}
