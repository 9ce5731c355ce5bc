//! An export: the rows of a query, sent to an api, one outcome for each row.
//!
//! In: the name `api.export`, or a run to go on with. Out: a run, and a table with what became of
//! each row. The order is the promise: all rows of the query are in the outbox before the first is
//! sent (`fill`); a row that must not be sent twice is written down as going out before it does,
//! and what was answered is written down as it comes (`deliver`, `send`); at the end all outcomes
//! land as one batch that carries the run (`outcomes`). So a process that dies at any instant
//! leaves an outbox that says of each row whether it is done, was never sent, or may have been: the
//! first is never sent again, the second is by `--resume`, and the third only if doing it twice
//! does no more than doing it once. A run that goes on sends the rows that the first run's query
//! gave, not a new answer.
//!
//! What never happens here: a row sent twice in silence, a row that was not sent and is called
//! done, all rows in memory.

mod deliver;
mod error;
mod fill;
mod outcomes;
mod send;

use std::sync::Arc;
use std::time::Duration;

use restway_connect::{Again, CallParts};
use restway_model::definition::{ApiFile, Export};
use restway_model::{
    Code, Counts, Event, Explain, Name, RowCounts, RunId, RunKind, RunStatus, TableName, nearest,
};
use restway_store::NewRow;

use crate::{Stop, WorkError, Workspace};
use deliver::Delivered;
pub use error::ExportError;
use send::RowValues;

/// What a person wants of an export.
#[derive(Debug, Clone, Copy)]
pub struct ExportAsked<'a> {
    /// The run to go on with, by its id or the beginning of it.
    pub resume: Option<&'a str>,
    /// Whether rows of which nobody knows are sent again: a person has looked.
    pub with_ambiguous: bool,
    /// The wish to stop.
    pub stop: &'a Stop,
}

/// What an export did.
#[derive(Debug)]
pub struct ExportReport {
    /// The run.
    pub run: RunId,
    /// The export, which is also the table of outcomes.
    pub export: TableName,
    /// How it ended.
    pub status: RunStatus,
    /// What became of the rows that this run was to send.
    pub rows: RowCounts,
    /// Rows of the runs before of which nobody knows, and that were left alone.
    pub left_alone: u64,
    /// Requests and bytes.
    pub counts: Counts,
    /// How long it took.
    pub duration: Duration,
    /// Rows of each table that was written.
    pub tables: Vec<(TableName, u64)>,
    /// Why it ended before all rows were sent.
    pub error: Option<WorkError>,
}

/// What an export would send.
#[derive(Debug)]
pub struct ExportPlan {
    /// The first requests as curl lines.
    pub lines: Vec<String>,
    /// How many rows the query gives.
    pub rows: u64,
}

/// An export that was found.
#[derive(Clone)]
struct Chosen {
    api: Arc<ApiFile>,
    table: TableName,
    export: Arc<Export>,
}

impl Chosen {
    fn again(&self) -> Again {
        if self.export.is_repeatable() { Again::Always } else { Again::WhenLimited }
    }

    fn parts<'a>(&'a self, values: &'a RowValues, key: String) -> CallParts<'a> {
        CallParts {
            call: &self.export.request,
            idempotency: self.export.idempotency.as_ref(),
            again: self.again(),
            values,
            attachment: &|_| None,
            absent: &|_| false,
            key,
        }
    }
}

impl Workspace {
    fn choose_export(&self, name: &str) -> Result<Chosen, WorkError> {
        let (api, own) = name.split_once('.').unwrap_or((name, ""));
        let api = self.definitions.api(api)?;
        let found = api.exports.iter().find(|(known, _)| known.as_str() == own);
        let (own, export) = found.ok_or_else(|| WorkError::Unknown {
            what: "export",
            name: name.to_owned(),
            suggestion: nearest(own, api.exports.keys().map(Name::as_str))
                .or_else(|| api.exports.keys().next().map(Name::as_str))
                .map(|near| format!("{}.{near}", api.api)),
        })?;
        let table = TableName::new(api.api.clone(), own.clone());
        Ok(Chosen { api: Arc::clone(api), table, export: Arc::new(export.clone()) })
    }

    /// Whether there is an export of that name.
    pub fn has_export(&self, name: &str) -> bool {
        self.choose_export(name).is_ok()
    }

    /// Sends the rows of an export, or those that are left of a run.
    ///
    /// # Errors
    /// Only what keeps the run from starting or from being written down: a wrong name, a workspace
    /// that is held, a run that nothing is left of. What ends it later is part of the report.
    pub async fn export(
        &self,
        name: &str,
        asked: ExportAsked<'_>,
    ) -> Result<ExportReport, WorkError> {
        let chosen = self.choose_export(name)?;
        self.connector.base_url(&chosen.api)?;
        let lock = self.store.lock()?;
        self.recover().await?.refuse(&chosen.table)?;
        self.store.close_abandoned_runs(&lock).await?;
        self.store.forget_old_rows().await?;
        self.land_open_exports(&chosen).await?;
        let account = asked.stop.clone().unless_raised(self.check_account(&chosen.api)).await?;
        account.map_err(WorkError::OtherAccount)?;
        let resumed = match asked.resume {
            Some(run) => Some(self.open_again(&chosen, run, asked.with_ambiguous).await?),
            None => None,
        };
        let started = self.clock.monotonic();
        let subject = chosen.table.to_string();
        let run = self.store.start_run(RunKind::Export, &subject).await?;
        let outbox = self.store.begin_export(&run, &subject, resumed).await?;
        let kind = RunKind::Export;
        self.observer.observe(&Event::RunStarted { run: run.clone(), kind, subject });
        let mut delivered = self.send_rows(&chosen, outbox, resumed.is_none(), asked.stop).await;
        let left_alone = self.store.count_rows(outbox, true).await?.ambiguous;
        let landed = self.land_outcomes(&chosen, &run).await;
        let (rows, tables) = match landed {
            Ok(landed) => landed,
            // The outcomes stay in the outbox, and the next export lands them.
            Err(error) => {
                delivered.error.get_or_insert(error);
                (self.store.count_rows(outbox, false).await?, Vec::new())
            }
        };
        let mut report = ExportReport {
            status: status(&rows, delivered.error.as_ref()),
            run,
            export: chosen.table,
            rows,
            left_alone,
            counts: delivered.counts,
            duration: self.clock.monotonic().saturating_sub(started),
            tables,
            error: delivered.error,
        };
        report.counts.rows = rows.done;
        report.counts.rejected = rows.refused + rows.ambiguous;
        self.end_export(&report).await?;
        Ok(report)
    }

    /// Fills a new outbox, and sends what is in it.
    async fn send_rows(
        &self,
        chosen: &Chosen,
        outbox: i64,
        is_new: bool,
        stop: &Stop,
    ) -> Delivered {
        if is_new && let Err(error) = self.fill_outbox(chosen, outbox, stop).await {
            let _ = self.store.drop_rows(outbox).await;
            return Delivered { counts: Counts::default(), error: Some(error) };
        }
        let begun = self.clock.monotonic();
        let export = chosen.table.clone();
        let rows = match self.store.count_rows(outbox, false).await {
            Ok(counts) => counts.waiting,
            Err(error) => {
                return Delivered { counts: Counts::default(), error: Some(error.into()) };
            }
        };
        self.observer.observe(&Event::ExportStarted { export: export.clone(), rows });
        let delivered = self.deliver(chosen, outbox, rows, stop).await;
        let counted = self.store.count_rows(outbox, false).await.unwrap_or_default();
        self.observer.observe(&Event::ExportEnded {
            export,
            status: status(&counted, delivered.error.as_ref()),
            rows: counted,
            duration: self.clock.monotonic().saturating_sub(begun),
        });
        delivered
    }

    async fn end_export(&self, report: &ExportReport) -> Result<(), WorkError> {
        let error = report.error.as_ref().map(|error| self.run_error(error));
        self.store.end_run(&report.run, report.status, &report.counts, error.as_ref()).await?;
        self.observer.observe(&Event::RunEnded {
            run: report.run.clone(),
            status: report.status,
            counts: report.counts,
            duration: report.duration,
        });
        Ok(())
    }

    /// The first requests of an export as curl lines without secrets, and how many rows there are.
    /// Nothing is sent and nothing is kept.
    ///
    /// # Errors
    /// A wrong name, a query that fails, or a row that makes no request.
    pub async fn plan_export(&self, name: &str, most: usize) -> Result<ExportPlan, WorkError> {
        let chosen = self.choose_export(name)?;
        let mut answer = self.rows_of(&chosen).await?;
        let mut plan = ExportPlan { lines: Vec::new(), rows: 0 };
        while let Some(rows) = answer.next_rows().await? {
            for content in rows {
                plan.rows += 1;
                if plan.lines.len() >= most {
                    continue;
                }
                let row = NewRow { key: fill::key(&chosen, &content, plan.rows)?, content };
                let values = RowValues::of(&chosen, &row.content)?;
                let key = row.idempotency_key(&chosen.table.to_string());
                let parts = chosen.parts(&values, key);
                plan.lines.push(self.connector.compose_line(&chosen.api, &parts)?);
            }
        }
        Ok(plan)
    }

    /// The request of an export as a curl line, with `${row.…}` as it is written.
    ///
    /// # Errors
    /// A wrong name, or a definition that makes no request.
    pub fn plan_export_row(&self, name: &str) -> Result<String, WorkError> {
        let chosen = self.choose_export(name)?;
        let values = RowValues::default();
        let parts = chosen.parts(&values, "${row}".to_owned());
        Ok(self.connector.compose_line(&chosen.api, &parts)?)
    }
}

/// How an export ended. What can be gone on with is partly done.
fn status(rows: &RowCounts, error: Option<&WorkError>) -> RunStatus {
    let is_whole = rows.refused + rows.ambiguous + rows.waiting == 0;
    let has_begun = rows.done + rows.refused + rows.ambiguous > 0;
    match error {
        None if is_whole => RunStatus::Succeeded,
        None => RunStatus::Partly,
        Some(error) if error.code() == Code::ExportRefused => RunStatus::Failed,
        Some(error) if error.code() == Code::Interrupted => RunStatus::Partly,
        Some(_) if has_begun => RunStatus::Partly,
        Some(_) => RunStatus::Failed,
    }
}
