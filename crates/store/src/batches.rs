//! The journal: the one place that says which batches of which stream exist.
//!
//! A stream is one resource's line of batches, numbered from 1 without gaps. Its data files are
//! written first and belong to nobody; then [`Store::record_batch`] records what is to be
//! committed to which tables, together with the stream's new state, in one transaction. That is
//! the commit point: before it the batch never happened, after it the batch is rolled forward into
//! every table, by this process or by the next one, and then finished. So a parent table and its
//! child tables land together or not at all.
//!
//! The numbers are also what each table's log carries, so that rolling forward twice adds nothing
//! twice. Hence the order is enforced here and not hoped for: a batch is recorded only as the next
//! of its stream, and finished only when all before it are.
//!
//! The body is the caller's JSON; this room does not read it, and drops it once the batch is in
//! its tables. The state (a cursor, a page token) stays, for the next batch to start from.

use restway_model::{RunId, TableName};
use serde_json::Value;
use sqlx::sqlite::SqliteRow;

use crate::rows::{Columns, number, written};
use crate::{Store, StoreError, schema, sql};

/// The most batches that are handed out at once: their bodies are held in memory.
const PENDING_MAX: i64 = 256;
/// The largest body or state, as JSON text.
const JSON_BYTES_MAX: usize = 16 * 1024 * 1024;

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
    /// From where the stream goes on after this batch; kept. None leaves the stream without a
    /// state: the next batch starts from the beginning.
    pub state: Option<Value>,
    /// How many rows it lands, child tables included.
    pub rows: u64,
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

    /// From where the stream goes on: the state that its last recorded batch left.
    ///
    /// # Errors
    /// The database refused.
    pub async fn stream_state(&self, stream: &str) -> Result<Option<Value>, StoreError> {
        let state: Option<Option<String>> = sqlx::query_scalar(sql::BATCH_STATE)
            .bind(stream)
            .fetch_optional(self.pool())
            .await
            .map_err(StoreError::during("read a stream's state"))?;
        state.flatten().map(|text| json_of("state", &text)).transpose()
    }

    /// The state that a batch of the stream left; none when the stream has no such batch.
    ///
    /// # Errors
    /// The database refused.
    pub async fn state_after(
        &self,
        stream: &str,
        sequence: u64,
    ) -> Result<Option<Value>, StoreError> {
        let state: Option<Option<String>> = sqlx::query_scalar(sql::BATCH_STATE_AFTER)
            .bind(stream)
            .bind(number(sequence))
            .fetch_optional(self.pool())
            .await
            .map_err(StoreError::during("read a stream's state"))?;
        state.flatten().map(|text| json_of("state", &text)).transpose()
    }

    /// The commit point: when this returns, the batch has happened, and survives a power failure.
    ///
    /// # Errors
    /// [`StoreError::BatchOrder`] when it is not the stream's next batch: another process has
    /// recorded one in between, and nothing of this one is kept.
    pub async fn record_batch(&self, batch: &BatchIntent) -> Result<(), StoreError> {
        let body = text_of("body", &batch.body)?;
        let state = batch.state.as_ref();
        let state = state.map(|state| text_of("state", state)).transpose()?;
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
            .bind(state)
            .bind(body)
            .bind(written(self.now()))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
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
    let state: Option<String> = columns.get("state")?;
    Ok(BatchIntent {
        stream: columns.get("stream")?,
        sequence: columns.get("sequence")?,
        run: RunId(columns.get("run_id")?),
        resource: columns.parsed("resource")?,
        body: json_of("body", columns.get("body")?)?,
        state: state.map(|text| json_of("state", &text)).transpose()?,
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
