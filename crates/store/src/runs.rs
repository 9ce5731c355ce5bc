//! Runs: what was executed, how it stands, and what it did to each resource.
//!
//! A run is written when it starts, so that one whose process died is still there to be seen; the
//! next process that takes the workspace closes it. Ids are UUIDs of version 7 whose order is the
//! order of starting, also within one millisecond and when the machine's clock is set back during
//! a process; so the newest-first list needs no other key.
//!
//! What never happens here: judging an error. Its code and text come redacted from the caller.

use std::time::Duration;

use chrono::{DateTime, Utc};
use restway_model::{Code, Counts, RunId, RunKind, RunStatus, TableName};
use serde_json::Value;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Sqlite, query::Query};
use uuid::{Timestamp, Uuid};

use crate::rows::{Columns, number, written};
use crate::{Store, StoreError, WorkspaceLock, files, sql};

/// The most runs of one list.
const LIST_MAX: u32 = 1_000;
/// The most resources of one run.
const RESOURCES_MAX: i64 = 10_000;
/// How many runs an ambiguous prefix is answered with.
const CANDIDATES_MAX: i64 = 5;
/// An error's text is kept up to here.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// A call runs without the workspace's lock; one that is open for longer than any deadline allows
/// has lost its process.
const CALL_ABANDONED_AFTER: Duration = Duration::from_hours(24);
const ABANDONED: &str = "its process ended without closing the run";

/// An error as a run keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunError {
    /// The text of a [`Code`], which may be one of another version of Restway.
    pub code: String,
    /// What happened; redacted by whoever made it.
    pub message: String,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// Its id.
    pub id: RunId,
    /// What was executed.
    pub kind: RunKind,
    /// On what: an api, a resource, or what else the command was given.
    pub subject: String,
    /// How it stands.
    pub status: RunStatus,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// What it did.
    pub counts: Counts,
    /// Why it failed.
    pub error: Option<RunError>,
}

/// A run with what it did to each resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDetail {
    /// The run.
    pub run: RunRecord,
    /// Its resources, by name.
    pub resources: Vec<ResourceOutcome>,
}

/// What a run did to one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceOutcome {
    /// The resource's own table.
    pub resource: TableName,
    /// How it ended.
    pub status: RunStatus,
    /// What was done.
    pub counts: Counts,
    /// When the resource's turn came.
    pub started_at: DateTime<Utc>,
    /// When it was over.
    pub ended_at: DateTime<Utc>,
    /// Why it failed.
    pub error: Option<RunError>,
    /// What it did beside what is counted; the caller's JSON.
    pub detail: Option<Value>,
}

impl Store {
    /// Writes down that a run starts now.
    ///
    /// # Errors
    /// The database refused.
    pub async fn start_run(&self, kind: RunKind, subject: &str) -> Result<RunId, StoreError> {
        let now = self.now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        let stamp = Timestamp::from_unix(self.run_ids(), seconds, now.timestamp_subsec_nanos());
        let run = RunId(Uuid::new_v7(stamp).to_string());
        sqlx::query(sql::RUN_START)
            .bind(&run.0)
            .bind(kind.as_str())
            .bind(subject)
            .bind(written(now))
            .execute(self.pool())
            .await
            .map_err(StoreError::during("start a run"))?;
        Ok(run)
    }

    /// Writes down that the run is over.
    ///
    /// # Errors
    /// [`StoreError::RunNotRunning`] when it was over already, or never started.
    pub async fn end_run(
        &self,
        run: &RunId,
        status: RunStatus,
        counts: &Counts,
        error: Option<&RunError>,
    ) -> Result<(), StoreError> {
        let ended =
            sqlx::query(sql::RUN_END).bind(&run.0).bind(status.as_str()).bind(written(self.now()));
        let ended = bind_counts(bind_error(ended, error), counts)
            .execute(self.pool())
            .await
            .map_err(StoreError::during("end a run"))?;
        if ended.rows_affected() == 0 {
            return Err(StoreError::RunNotRunning { run: run.clone() });
        }
        Ok(())
    }

    /// Writes down what the run did to one resource, in place of what was written before.
    ///
    /// # Errors
    /// The database refused, also because there is no such run.
    pub async fn save_resource_outcome(
        &self,
        run: &RunId,
        outcome: &ResourceOutcome,
    ) -> Result<(), StoreError> {
        let saved = sqlx::query(sql::OUTCOME_SAVE)
            .bind(&run.0)
            .bind(outcome.resource.to_string())
            .bind(outcome.status.as_str())
            .bind(written(outcome.started_at))
            .bind(written(outcome.ended_at));
        bind_counts(bind_error(saved, outcome.error.as_ref()), &outcome.counts)
            .bind(outcome.detail.as_ref().map(Value::to_string))
            .execute(self.pool())
            .await
            .map_err(StoreError::during("save a resource's outcome"))?;
        Ok(())
    }

    /// The newest runs, or the newest of those that started before `before`; at most `limit` and
    /// at most 1000.
    ///
    /// # Errors
    /// The database refused.
    pub async fn runs(
        &self,
        limit: u32,
        before: Option<&RunId>,
    ) -> Result<Vec<RunRecord>, StoreError> {
        let limit = limit.min(LIST_MAX);
        let query = match before {
            None => sqlx::query(sql::RUN_LIST).bind(limit),
            Some(before) => sqlx::query(sql::RUN_LIST_BEFORE).bind(limit).bind(&before.0),
        };
        let rows =
            query.fetch_all(self.pool()).await.map_err(StoreError::during("list the runs"))?;
        rows.iter().map(run_of).collect()
    }

    /// The run with this id, or whose id begins with this text.
    ///
    /// # Errors
    /// [`StoreError::RunAmbiguous`] when several begin with it.
    pub async fn run(&self, id_or_prefix: &str) -> Result<Option<RunDetail>, StoreError> {
        let prefix = id_or_prefix.to_ascii_lowercase();
        let is_of_ids = |letter: char| letter.is_ascii_hexdigit() || letter == '-';
        if prefix.is_empty() || !prefix.chars().all(is_of_ids) {
            return Ok(None);
        }
        // `g` follows every letter that an id can hold.
        let rows = sqlx::query(sql::RUN_FIND)
            .bind(&prefix)
            .bind(format!("{prefix}g"))
            .bind(CANDIDATES_MAX)
            .fetch_all(self.pool())
            .await
            .map_err(StoreError::during("find a run"))?;
        let mut runs = rows.iter().map(run_of).collect::<Result<Vec<_>, _>>()?;
        if runs.len() > 1 {
            let candidates = runs.into_iter().map(|run| run.id).collect();
            return Err(StoreError::RunAmbiguous { prefix, candidates });
        }
        let Some(run) = runs.pop() else {
            return Ok(None);
        };
        let resources = self.outcomes(&run.id).await?;
        Ok(Some(RunDetail { run, resources }))
    }

    /// Closes, as failed, the runs whose process died; answers how many. Whoever holds the
    /// workspace knows that no other process is syncing, and calls this before its own first run.
    ///
    /// # Errors
    /// The database refused.
    pub async fn close_abandoned_runs(&self, _held: &WorkspaceLock) -> Result<u64, StoreError> {
        let now = self.now();
        let syncs = self.abandon(RunKind::Sync, Code::Interrupted, now).await?
            + self.abandon(RunKind::Import, Code::Interrupted, now).await?
            + self.abandon(RunKind::Export, Code::Interrupted, now).await?;
        let kept = self.abandon(RunKind::Tables, Code::Interrupted, now).await?;
        let calls = self.abandon(RunKind::Call, Code::Interrupted, now - CALL_ABANDONED_AFTER);
        Ok(syncs + kept + calls.await?)
    }

    /// Whether runs stand open that only the holder of the workspace begins: one of theirs is
    /// under way, or its process died.
    ///
    /// # Errors
    /// The database refused.
    pub async fn has_open_runs(&self) -> Result<bool, StoreError> {
        let found = sqlx::query_scalar(sql::RUN_LEFT).fetch_one(self.pool()).await;
        found.map_err(StoreError::during("find abandoned runs"))
    }

    /// The same for webhooks, which need no lock of the workspace: nothing is closed while any of
    /// them is under way, in this process or in another.
    ///
    /// # Errors
    /// The database refused.
    pub async fn close_abandoned_webhooks(&self) -> Result<u64, StoreError> {
        // A look first: opening a workspace should not write.
        let open: i64 = sqlx::query_scalar(sql::RUN_UNDER_WAY)
            .bind(RunKind::Webhook.as_str())
            .fetch_one(self.pool())
            .await
            .map_err(StoreError::during("find abandoned webhooks"))?;
        if open == 0 {
            return Ok(0);
        }
        let Some(_alone) = files::try_lock(&self.state().join(files::PRESENT))? else {
            return Ok(0);
        };
        self.abandon(RunKind::Webhook, Code::WebhookInterrupted, self.now()).await
    }

    async fn abandon(
        &self,
        kind: RunKind,
        code: Code,
        last: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        // The instant itself counts as before: a run may have died in this very millisecond.
        let before = last + Duration::from_millis(1);
        let closed = sqlx::query(sql::RUN_ABANDON)
            .bind(kind.as_str())
            .bind(written(before))
            .bind(written(self.now()))
            .bind(code.as_str())
            .bind(ABANDONED)
            .execute(self.pool())
            .await
            .map_err(StoreError::during("close abandoned runs"))?;
        Ok(closed.rows_affected())
    }

    async fn outcomes(&self, run: &RunId) -> Result<Vec<ResourceOutcome>, StoreError> {
        let rows = sqlx::query(sql::OUTCOME_LIST)
            .bind(&run.0)
            .bind(RESOURCES_MAX)
            .fetch_all(self.pool())
            .await
            .map_err(StoreError::during("read a run's resources"))?;
        rows.iter().map(outcome_of).collect()
    }
}

type Statement<'query> = Query<'query, Sqlite, SqliteArguments>;

fn bind_error<'query>(query: Statement<'query>, error: Option<&RunError>) -> Statement<'query> {
    let message = error.map(|error| {
        let message = &error.message;
        message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned()
    });
    query.bind(error.map(|error| error.code.clone())).bind(message)
}

fn bind_counts<'query>(query: Statement<'query>, counts: &Counts) -> Statement<'query> {
    query
        .bind(number(counts.requests))
        .bind(number(counts.retries))
        .bind(number(counts.pages))
        .bind(number(counts.records))
        .bind(number(counts.rows))
        .bind(number(counts.bytes))
        .bind(number(counts.rejected))
        .bind(number(counts.deleted))
        .bind(number(counts.unchanged))
}

fn run_of(row: &SqliteRow) -> Result<RunRecord, StoreError> {
    let columns = Columns(row);
    Ok(RunRecord {
        id: RunId(columns.get("run_id")?),
        kind: columns.kind()?,
        subject: columns.get("subject")?,
        status: columns.status()?,
        started_at: columns.instant("started_at")?,
        ended_at: columns.instant_if_any("ended_at")?,
        counts: columns.counts()?,
        error: error_of(&columns)?,
    })
}

fn outcome_of(row: &SqliteRow) -> Result<ResourceOutcome, StoreError> {
    let columns = Columns(row);
    let detail: Option<String> = columns.get("detail")?;
    Ok(ResourceOutcome {
        resource: columns.parsed("resource")?,
        status: columns.status()?,
        counts: columns.counts()?,
        started_at: columns.instant("started_at")?,
        ended_at: columns.instant("ended_at")?,
        error: error_of(&columns)?,
        detail: detail.and_then(|text| serde_json::from_str(&text).ok()),
    })
}

fn error_of(columns: &Columns<'_>) -> Result<Option<RunError>, StoreError> {
    let code: Option<String> = columns.get("error_code")?;
    let message: Option<String> = columns.get("error_message")?;
    Ok(code.map(|code| RunError { code, message: message.unwrap_or_default() }))
}

#[cfg(test)]
mod tests;
