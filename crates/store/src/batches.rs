//! The journal: the one place that says which batches of which stream exist.
//!
//! A stream is one resource's line of batches, numbered from 1 without gaps. Its data files are
//! written first and belong to nobody; then [`Store::record_batch`] records what is to be
//! committed to which tables, together with the stream's new states, in one transaction. That is
//! the commit point: before it the batch never happened, after it the batch is rolled forward into
//! every table, by this process or by the next one, and then finished. So a parent table and its
//! child tables land together or not at all.
//!
//! The numbers are also what each table's log carries, so that rolling forward twice adds nothing
//! twice. Hence the order is enforced here and not hoped for: a batch is recorded only as the next
//! of its stream, and finished only when all before it are.
//!
//! The body is the caller's JSON; this room does not read it, and drops it once the batch is in
//! its tables. The states (cursors, page tokens) are the caller's JSON too: one row for each part
//! of the stream that goes on by itself, so that a million parents are a million small rows.

use std::collections::BTreeMap;

use restway_model::{RunId, TableName};
use serde_json::Value;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::rows::{Columns, number, written};
use crate::{Store, StoreError, schema, sql};

/// The most batches that are handed out at once: their bodies are held in memory.
const PENDING_MAX: i64 = 256;
/// The largest body or state, as JSON text.
const JSON_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Batches of a stream after which its states are kept: what a restore can go back to.
const PAST_KEPT: u64 = 1_000;
/// Batches after which older states are forgotten.
const PAST_PRUNED_EVERY: u64 = 100;

/// The oldest batch after which all states of its stream are kept.
const fn past_kept(newest: u64) -> u64 {
    newest.saturating_sub(PAST_KEPT)
}

/// A batch that is to happen.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchIntent {
    /// The line of batches that it belongs to.
    pub stream: String,
    /// Its number in that line.
    pub sequence: u64,
    /// The run that fetched it.
    pub run: RunId,
    /// The resource's own table.
    pub resource: TableName,
    /// What is to be committed to which tables; dropped when that is done.
    pub body: Value,
    /// How many rows it lands, child tables included.
    pub rows: u64,
}

/// From where the parts of a stream go on, as far as that changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateChanges {
    /// Whether all that the stream had is forgotten first.
    pub resets: bool,
    /// The parts' new states; none forgets one.
    pub parts: BTreeMap<String, Option<Value>>,
}

impl StateChanges {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        !self.resets && self.parts.is_empty()
    }
}

impl Store {
    /// The number of the stream's next batch.
    ///
    /// # Errors
    /// The database refused.
    pub async fn next_sequence(&self, stream: &str) -> Result<u64, StoreError> {
        sqlx::query_scalar(sql::BATCH_NEXT)
            .bind(stream)
            .fetch_one(self.pool())
            .await
            .map_err(StoreError::during("number a batch"))
    }

    /// Whether a run has recorded a batch of the stream.
    ///
    /// # Errors
    /// The database refused.
    pub async fn has_batch_of(&self, stream: &str, run: &RunId) -> Result<bool, StoreError> {
        let found: i64 = sqlx::query_scalar(sql::BATCH_OF_RUN)
            .bind(stream)
            .bind(&run.0)
            .fetch_one(self.pool())
            .await
            .map_err(StoreError::during("look for a run's batch"))?;
        Ok(found > 0)
    }

    /// From where a part of the stream goes on.
    ///
    /// # Errors
    /// The database refused.
    pub async fn stream_state(
        &self,
        stream: &str,
        part: &str,
    ) -> Result<Option<Value>, StoreError> {
        let state: Option<String> = sqlx::query_scalar(sql::STATE_GET)
            .bind(stream)
            .bind(part)
            .fetch_optional(self.pool())
            .await
            .map_err(StoreError::during("read a stream's state"))?;
        state.map(|text| json_of("state", &text)).transpose()
    }

    /// How many parts of the stream have a state.
    ///
    /// # Errors
    /// The database refused.
    pub async fn count_states(&self, stream: &str) -> Result<u64, StoreError> {
        sqlx::query_scalar(sql::STATE_COUNT)
            .bind(stream)
            .fetch_one(self.pool())
            .await
            .map_err(StoreError::during("read a stream's state"))
    }

    /// Changes states without a batch: for what was read and brought no row.
    ///
    /// # Errors
    /// The database refused, or a state is too large.
    pub async fn change_states(
        &self,
        stream: &str,
        changes: &StateChanges,
    ) -> Result<(), StoreError> {
        let failed = StoreError::during("change a stream's state");
        let mut transaction = self.pool().begin_with(schema::BEGIN).await.map_err(&failed)?;
        let next: u64 = sqlx::query_scalar(sql::BATCH_NEXT)
            .bind(stream)
            .fetch_one(&mut *transaction)
            .await
            .map_err(&failed)?;
        self.change(&mut transaction, stream, next.saturating_sub(1), changes).await?;
        transaction.commit().await.map_err(&failed)
    }

    /// Changes states, and keeps what they are after the batch of that number.
    async fn change(
        &self,
        connection: &mut SqliteConnection,
        stream: &str,
        sequence: u64,
        changes: &StateChanges,
    ) -> Result<(), StoreError> {
        let failed = StoreError::during("change a stream's state");
        let sequence = number(sequence);
        if changes.resets {
            let past = sqlx::query(sql::STATE_PAST_RESET).bind(stream).bind(sequence);
            past.execute(&mut *connection).await.map_err(&failed)?;
            let query = sqlx::query(sql::STATE_RESET).bind(stream);
            query.execute(&mut *connection).await.map_err(&failed)?;
        }
        let now = written(self.now());
        for (part, state) in &changes.parts {
            let text = state.as_ref().map(|state| text_of("state", state)).transpose()?;
            let past = sqlx::query(sql::STATE_PAST_SET).bind(stream).bind(part);
            let past = past.bind(sequence).bind(text.clone());
            past.execute(&mut *connection).await.map_err(&failed)?;
            let query = match text {
                Some(text) => {
                    sqlx::query(sql::STATE_SET).bind(stream).bind(part).bind(text).bind(&now)
                }
                None => sqlx::query(sql::STATE_FORGET).bind(stream).bind(part),
            };
            query.execute(&mut *connection).await.map_err(&failed)?;
        }
        Ok(())
    }

    /// All states of the stream as they were after the batch of that number.
    ///
    /// # Errors
    /// [`StoreError::StateForgotten`] for a batch of which they are not kept any more.
    pub async fn states_after(
        &self,
        stream: &str,
        sequence: u64,
    ) -> Result<BTreeMap<String, Value>, StoreError> {
        let failed = StoreError::during("read a stream's state");
        let oldest = past_kept(self.next_sequence(stream).await?);
        if sequence < oldest {
            let stream = stream.to_owned();
            return Err(StoreError::StateForgotten { stream, sequence, oldest });
        }
        let rows: Vec<(String, String)> = sqlx::query_as(sql::STATE_AFTER)
            .bind(stream)
            .bind(number(sequence))
            .fetch_all(self.pool())
            .await
            .map_err(&failed)?;
        rows.into_iter().map(|(part, text)| Ok((part, json_of("state", &text)?))).collect()
    }

    /// The commit point: when this returns, the batch has happened, and survives a power failure.
    ///
    /// # Errors
    /// [`StoreError::BatchOrder`] when it is not the stream's next batch: another process has
    /// recorded one in between, and nothing of this one is kept.
    pub async fn record_batch(
        &self,
        batch: &BatchIntent,
        changes: &StateChanges,
    ) -> Result<(), StoreError> {
        let body = text_of("body", &batch.body)?;
        let failed = StoreError::during("record a batch");
        let mut transaction = self.pool().begin_with(schema::BEGIN).await.map_err(&failed)?;
        let expected: u64 = sqlx::query_scalar(sql::BATCH_NEXT)
            .bind(&batch.stream)
            .fetch_one(&mut *transaction)
            .await
            .map_err(&failed)?;
        if batch.sequence != expected {
            let (stream, given) = (batch.stream.clone(), batch.sequence);
            return Err(StoreError::BatchOrder { stream, expected, given });
        }
        sqlx::query(sql::BATCH_RECORD)
            .bind(&batch.stream)
            .bind(number(batch.sequence))
            .bind(&batch.run.0)
            .bind(batch.resource.to_string())
            .bind(number(batch.rows))
            .bind(body)
            .bind(written(self.now()))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        self.change(&mut transaction, &batch.stream, batch.sequence, changes).await?;
        if batch.sequence.is_multiple_of(PAST_PRUNED_EVERY) {
            sqlx::query(sql::STATE_PAST_PRUNE)
                .bind(&batch.stream)
                .bind(number(past_kept(batch.sequence)))
                .execute(&mut *transaction)
                .await
                .map_err(&failed)?;
        }
        transaction.commit().await.map_err(&failed)
    }

    /// The batches that were recorded and not finished, each stream's in order; at most 256 at
    /// once. Whoever rolls forward asks again until there are none.
    ///
    /// # Errors
    /// The database refused.
    pub async fn pending_batches(&self) -> Result<Vec<BatchIntent>, StoreError> {
        let rows = sqlx::query(sql::BATCH_PENDING)
            .bind(PENDING_MAX)
            .fetch_all(self.pool())
            .await
            .map_err(StoreError::during("read the pending batches"))?;
        rows.iter().map(batch_of).collect()
    }

    /// Writes down that the batch is in all of its tables, and drops its body. Finishing a batch
    /// again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::BatchOrder`] when an earlier batch of the stream is not finished.
    pub async fn finish_batch(&self, stream: &str, sequence: u64) -> Result<(), StoreError> {
        let failed = StoreError::during("finish a batch");
        let mut transaction = self.pool().begin_with(schema::BEGIN).await.map_err(&failed)?;
        let first: Option<u64> = sqlx::query_scalar(sql::BATCH_FIRST_PENDING)
            .bind(stream)
            .fetch_one(&mut *transaction)
            .await
            .map_err(&failed)?;
        if first != Some(sequence) {
            let known: i64 = sqlx::query_scalar(sql::BATCH_KNOWN)
                .bind(stream)
                .bind(number(sequence))
                .fetch_one(&mut *transaction)
                .await
                .map_err(&failed)?;
            return finished_or_out_of_turn(stream, sequence, first, known > 0);
        }
        sqlx::query(sql::BATCH_FINISH)
            .bind(stream)
            .bind(number(sequence))
            .bind(written(self.now()))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)
    }
}

/// What it means that a batch is not the first pending one of its stream.
fn finished_or_out_of_turn(
    stream: &str,
    sequence: u64,
    first: Option<u64>,
    known: bool,
) -> Result<(), StoreError> {
    let stream = stream.to_owned();
    match first {
        _ if !known => Err(StoreError::BatchUnknown { stream, sequence }),
        Some(expected) if expected < sequence => {
            Err(StoreError::BatchOrder { stream, expected, given: sequence })
        }
        _ => Ok(()),
    }
}

fn batch_of(row: &SqliteRow) -> Result<BatchIntent, StoreError> {
    let columns = Columns(row);
    Ok(BatchIntent {
        stream: columns.get("stream")?,
        sequence: columns.get("sequence")?,
        run: RunId(columns.get("run_id")?),
        resource: columns.parsed("resource")?,
        body: json_of("body", columns.get("body")?)?,
        rows: columns.get("row_count")?,
    })
}

fn text_of(part: &'static str, value: &Value) -> Result<String, StoreError> {
    let text = value.to_string();
    if text.len() > JSON_BYTES_MAX {
        let bytes = text.len();
        return Err(StoreError::BatchTooLarge { part, bytes, bytes_max: JSON_BYTES_MAX });
    }
    Ok(text)
}

fn json_of(what: &'static str, text: &str) -> Result<Value, StoreError> {
    serde_json::from_str(text).map_err(|_| {
        let value = text.chars().take(80).collect();
        StoreError::Unreadable { what, value }
    })
}

#[cfg(test)]
mod tests;
