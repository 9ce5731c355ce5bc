//! The outbox: the rows of an export on their way to an api.
//!
//! In: the rows of a query, each with its key and content, before anything is sent. Out: the rows
//! to be sent next, and what became of those that were. A row that must not be sent twice is
//! `sending` on the disk before its request goes out, so that a process that dies leaves no row that
//! may have been sent and is not known for one. Whatever is settled and let go at the same time goes
//! into one transaction ([`Store::turn_outbox`]): the disk is waited for once for as many rows as
//! are under way, not once for each.
//!
//! An outbox outlives its run: a run that goes on with another one takes over its outbox. The
//! content of a row is forgotten when the row is done, the row itself when its outcome is in the
//! tables; rows that were not taken stay, to be sent again, until nobody asked for them for 30 days.

use std::time::Duration;

use chrono::{DateTime, Utc};
use restway_model::{RowCounts, RowState, RunId};
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::rows::{Columns, number, written};
use crate::{Store, StoreError, schema, sql};

/// Rows that were not taken are kept for so long after the last run that had them.
const KEPT: Duration = Duration::from_hours(30 * 24);
/// Runs whose outcomes have not landed, of one export, that are found at once.
const OPEN_MAX: i64 = 1_000;
/// Bytes of the hash that a row's key for the api is made of.
const KEY_BYTES: usize = 16;

/// A row that comes into an outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRow {
    /// What names it: a JSON list of the key's values.
    pub key: String,
    /// The row as a JSON object.
    pub content: String,
}

impl NewRow {
    /// The same for the same row of the same export with the same content, in whatever run.
    pub fn idempotency_key(&self, export: &str) -> String {
        let mut hash = Sha256::new();
        for part in [export, &self.key, &self.content] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().iter().take(KEY_BYTES).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A row that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its place in the answer of the query, from 1.
    pub position: u64,
    /// What names it.
    pub key: String,
    /// By which the api may know that it has done this row with this content before.
    pub idempotency_key: String,
    /// The row.
    pub content: String,
}

/// What became of a row that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledRow {
    /// Which row.
    pub position: u64,
    /// How it stands now.
    pub state: RowState,
    /// How often it was sent this time.
    pub attempts: u64,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// The answer's text; cut and redacted by the caller.
    pub response: Option<String>,
    /// The code and the text of an error; redacted by the caller.
    pub error: Option<(String, String)>,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
}

/// The outcome of a row, for the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowOutcome {
    /// What names it.
    pub key: String,
    /// The row, if the api did not take it.
    pub content: Option<String>,
    /// What became of it.
    pub settled: SettledRow,
}

/// A run of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRecord {
    /// The export, as `api.export`.
    pub export: String,
    /// Its outbox.
    pub outbox: i64,
    /// The types of the key's columns as JSON; none when the process died before all rows were in.
    pub key_types: Option<String>,
    /// Whether its rows were kept for their time and are forgotten.
    pub is_forgotten: bool,
    /// How many rows the query gave.
    pub rows: u64,
    /// What became of them in this run.
    pub counts: RowCounts,
    /// Whether the outcomes are in the tables.
    pub has_landed: bool,
}

impl Store {
    /// Begins to send the rows of an outbox in a run, or of a new one.
    ///
    /// # Errors
    /// The database refused.
    pub async fn begin_export(
        &self,
        run: &RunId,
        export: &str,
        outbox: Option<i64>,
    ) -> Result<i64, StoreError> {
        let failed = StoreError::during("start an export");
        let mut transaction = self.pool().begin_with(schema::BEGIN).await.map_err(&failed)?;
        let outbox: i64 = match outbox {
            Some(outbox) => outbox,
            None => sqlx::query_scalar(sql::OUTBOX_ADD)
                .bind(export)
                .fetch_one(&mut *transaction)
                .await
                .map_err(&failed)?,
        };
        sqlx::query(sql::EXPORT_BEGIN)
            .bind(&run.0)
            .bind(outbox)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        Ok(outbox)
    }

    /// Takes rows in, behind those that are there; `first` is the place of the first.
    ///
    /// # Errors
    /// The database refused.
    pub async fn add_rows(
        &self,
        export: &str,
        outbox: i64,
        first: u64,
        rows: &[NewRow],
    ) -> Result<(), StoreError> {
        let failed = StoreError::during("keep the rows of an export");
        let mut transaction = self.pool().begin_with(schema::BEGIN).await.map_err(&failed)?;
        for (position, row) in (first..).zip(rows) {
            sqlx::query(sql::ROW_ADD)
                .bind(outbox)
                .bind(number(position))
                .bind(&row.key)
                .bind(row.idempotency_key(export))
                .bind(&row.content)
                .execute(&mut *transaction)
                .await
                .map_err(&failed)?;
        }
        transaction.commit().await.map_err(&failed)
    }

    /// A key that two rows have.
    ///
    /// # Errors
    /// The database refused.
    pub async fn key_twice(&self, outbox: i64) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar(sql::ROW_TWICE)
            .bind(outbox)
            .fetch_optional(self.pool())
            .await
            .map_err(StoreError::during("compare the keys of an export"))
    }

    /// Says that all rows are in: from now on a run that dies can be gone on with.
    ///
    /// # Errors
    /// The database refused.
    pub async fn fill_outbox(
        &self,
        outbox: i64,
        key_types: &str,
        rows: u64,
    ) -> Result<(), StoreError> {
        sqlx::query(sql::OUTBOX_FILLED)
            .bind(outbox)
            .bind(key_types)
            .bind(number(rows))
            .execute(self.pool())
            .await
            .map_err(StoreError::during("fill an outbox"))?;
        Ok(())
    }

    /// Writes down what became of rows and that others go out now, and hands out the next ones
    /// behind `after`, at most `most` of them. All in one transaction: the rows that go out are
    /// `sending` when this returns.
    ///
    /// # Errors
    /// The database refused; then nothing is written and nothing handed out.
    pub async fn turn_outbox(
        &self,
        outbox: i64,
        settled: &[SettledRow],
        leaving: &[u64],
        (after, most): (u64, usize),
    ) -> Result<Vec<OutboxRow>, StoreError> {
        let failed = StoreError::during("turn an outbox");
        let mut transaction = self.pool().begin_with(schema::BEGIN).await.map_err(&failed)?;
        for row in settled {
            settle(&mut transaction, outbox, row).await?;
        }
        let rows = sqlx::query(sql::ROW_NEXT)
            .bind(outbox)
            .bind(number(after))
            .bind(number(most as u64))
            .fetch_all(&mut *transaction)
            .await
            .map_err(&failed)?;
        let rows = rows.iter().map(row_of).collect::<Result<Vec<_>, _>>()?;
        for position in leaving {
            sqlx::query(sql::ROW_SENDING)
                .bind(outbox)
                .bind(number(*position))
                .execute(&mut *transaction)
                .await
                .map_err(&failed)?;
        }
        transaction.commit().await.map_err(&failed)?;
        Ok(rows)
    }

    /// Rows that went out when their process died, or that were waited for no longer, are ambiguous
    /// from now on: nobody knows.
    ///
    /// # Errors
    /// The database refused.
    pub async fn cut_off_rows(
        &self,
        outbox: i64,
        code: &str,
        error: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(sql::ROW_CUT_OFF)
            .bind(outbox)
            .bind(code)
            .bind(error)
            .bind(written(self.now()))
            .execute(self.pool())
            .await
            .map_err(StoreError::during("settle an outbox"))?;
        Ok(())
    }

    /// Lets rows wait again that were refused, and on a person's word those of which nobody knows.
    ///
    /// # Errors
    /// The database refused.
    pub async fn send_again(&self, outbox: i64, with_ambiguous: bool) -> Result<(), StoreError> {
        sqlx::query(sql::ROW_AGAIN)
            .bind(outbox)
            .bind(with_ambiguous)
            .execute(self.pool())
            .await
            .map_err(StoreError::during("open an outbox again"))?;
        Ok(())
    }

    /// How many rows of an outbox are in each state: those whose outcome is not in the tables, or
    /// those whose outcome an earlier run has landed.
    ///
    /// # Errors
    /// The database refused.
    pub async fn count_rows(
        &self,
        outbox: i64,
        have_landed: bool,
    ) -> Result<RowCounts, StoreError> {
        let rows = sqlx::query(sql::ROW_COUNTS)
            .bind(outbox)
            .bind(have_landed)
            .fetch_all(self.pool())
            .await
            .map_err(StoreError::during("count the rows of an outbox"))?;
        let mut counts = RowCounts::default();
        for row in &rows {
            let columns = Columns(row);
            let many: u64 = columns.get("row_count")?;
            match state_of(&columns)? {
                RowState::Done => counts.done = many,
                RowState::Refused => counts.refused = many,
                RowState::Ambiguous => counts.ambiguous = many,
                RowState::Waiting | RowState::Sending => counts.waiting += many,
            }
        }
        Ok(counts)
    }

    /// The next outcomes that are not in the tables, in the order of the rows.
    ///
    /// # Errors
    /// The database refused.
    pub async fn outcomes_after(
        &self,
        outbox: i64,
        after: u64,
        most: u32,
    ) -> Result<Vec<RowOutcome>, StoreError> {
        let rows = sqlx::query(sql::ROW_OUTCOMES)
            .bind(outbox)
            .bind(number(after))
            .bind(most)
            .fetch_all(self.pool())
            .await
            .map_err(StoreError::during("read the outcomes of an export"))?;
        rows.iter().map(outcome_of).collect()
    }

    /// Says that a run's outcomes are in the tables, and forgets the rows that are done.
    ///
    /// # Errors
    /// The database refused.
    pub async fn land_export(&self, run: &RunId, outbox: i64) -> Result<RowCounts, StoreError> {
        let counts = self.count_rows(outbox, false).await?;
        let failed = StoreError::during("end an export");
        let mut transaction = self.pool().begin_with(schema::BEGIN).await.map_err(&failed)?;
        sqlx::query(sql::EXPORT_LANDED)
            .bind(&run.0)
            .bind(written(self.now()))
            .bind(number(counts.done))
            .bind(number(counts.refused))
            .bind(number(counts.ambiguous))
            .bind(number(counts.waiting))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        for statement in [sql::ROW_FORGET_DONE, sql::ROW_LANDED] {
            let done = sqlx::query(statement).bind(outbox).execute(&mut *transaction).await;
            done.map_err(&failed)?;
        }
        transaction.commit().await.map_err(&failed)?;
        Ok(counts)
    }

    /// A run of an export; `None` for a run of anything else.
    ///
    /// # Errors
    /// The database refused.
    pub async fn export(&self, run: &RunId) -> Result<Option<ExportRecord>, StoreError> {
        let row = sqlx::query(sql::EXPORT_FIND)
            .bind(&run.0)
            .fetch_optional(self.pool())
            .await
            .map_err(StoreError::during("read an export's run"))?;
        let Some(row) = row else { return Ok(None) };
        let columns = Columns(&row);
        let outbox = columns.get("outbox_id")?;
        let has_landed = columns.instant_if_any("landed_at")?.is_some();
        let counts = match has_landed {
            true => RowCounts {
                done: columns.get("done")?,
                refused: columns.get("refused")?,
                ambiguous: columns.get("ambiguous")?,
                waiting: columns.get("waiting")?,
            },
            false => self.count_rows(outbox, false).await?,
        };
        Ok(Some(ExportRecord {
            export: columns.get("export")?,
            outbox,
            key_types: columns.get("key_types")?,
            is_forgotten: columns.instant_if_any("forgotten_at")?.is_some(),
            rows: columns.get("row_total")?,
            counts,
            has_landed,
        }))
    }

    /// The runs of an export whose outcomes are not in the tables, oldest first.
    ///
    /// # Errors
    /// The database refused.
    pub async fn open_exports(&self, export: &str) -> Result<Vec<RunId>, StoreError> {
        let found: Vec<String> = sqlx::query_scalar(sql::EXPORT_OPEN)
            .bind(export)
            .bind(OPEN_MAX)
            .fetch_all(self.pool())
            .await
            .map_err(StoreError::during("find open exports"))?;
        Ok(found.into_iter().map(RunId).collect())
    }

    /// Forgets the rows of an outbox of which none was sent.
    ///
    /// # Errors
    /// The database refused.
    pub async fn drop_rows(&self, outbox: i64) -> Result<(), StoreError> {
        sqlx::query(sql::ROW_DROP)
            .bind(outbox)
            .execute(self.pool())
            .await
            .map_err(StoreError::during("forget the rows of an export"))?;
        Ok(())
    }

    /// Forgets the rows of outboxes that nobody has gone on with for 30 days.
    ///
    /// # Errors
    /// The database refused.
    pub async fn forget_old_rows(&self) -> Result<(), StoreError> {
        let failed = StoreError::during("forget old rows");
        let mut transaction = self.pool().begin_with(schema::BEGIN).await.map_err(&failed)?;
        sqlx::query(sql::OUTBOX_FORGET)
            .bind(written(self.now() - KEPT))
            .bind(written(self.now()))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        let gone = sqlx::query(sql::ROW_FORGET_OLD).execute(&mut *transaction).await;
        gone.map_err(&failed)?;
        transaction.commit().await.map_err(&failed)
    }
}

async fn settle(
    connection: &mut SqliteConnection,
    outbox: i64,
    row: &SettledRow,
) -> Result<(), StoreError> {
    let (code, message) = row.error.as_ref().map(|(code, message)| (code, message)).unzip();
    sqlx::query(sql::ROW_SETTLE)
        .bind(outbox)
        .bind(number(row.position))
        .bind(row.state.as_str())
        .bind(number(row.attempts))
        .bind(row.status)
        .bind(&row.response)
        .bind(code)
        .bind(message)
        .bind(written(row.sent_at))
        .execute(connection)
        .await
        .map_err(StoreError::during("settle a row"))?;
    Ok(())
}

fn row_of(row: &SqliteRow) -> Result<OutboxRow, StoreError> {
    let columns = Columns(row);
    Ok(OutboxRow {
        position: columns.get("position")?,
        key: columns.get("row_key")?,
        idempotency_key: columns.get("idempotency_key")?,
        content: columns.get("content")?,
    })
}

fn outcome_of(row: &SqliteRow) -> Result<RowOutcome, StoreError> {
    let columns = Columns(row);
    let code: Option<String> = columns.get("error_code")?;
    let message: Option<String> = columns.get("error")?;
    Ok(RowOutcome {
        key: columns.get("row_key")?,
        content: columns.get("content")?,
        settled: SettledRow {
            position: columns.get("position")?,
            state: state_of(&columns)?,
            attempts: columns.get("attempts")?,
            status: columns.get("status")?,
            response: columns.get("response")?,
            error: code.map(|code| (code, message.unwrap_or_default())),
            sent_at: columns.instant("sent_at")?,
        },
    })
}

fn state_of(columns: &Columns<'_>) -> Result<RowState, StoreError> {
    let text: String = columns.get("state")?;
    let known = RowState::ALL.into_iter().find(|state| state.as_str() == text);
    known.ok_or(StoreError::Unreadable { what: "state", value: text })
}

#[cfg(test)]
mod tests {
    use restway_model::{Clock, RunKind};

    use super::*;
    use crate::testing::Bench;

    fn row(key: &str) -> NewRow {
        NewRow { key: format!("[\"{key}\"]"), content: format!("{{\"id\":\"{key}\"}}") }
    }

    async fn begun(store: &Store, outbox: Option<i64>) -> (RunId, i64) {
        let run = store.start_run(RunKind::Export, "a.x").await.unwrap();
        let outbox = store.begin_export(&run, "a.x", outbox).await.unwrap();
        (run, outbox)
    }

    fn settled(bench: &Bench, position: u64, state: RowState) -> SettledRow {
        SettledRow {
            position,
            state,
            attempts: 1,
            status: Some(200),
            response: None,
            error: None,
            sent_at: bench.clock.now(),
        }
    }

    #[tokio::test]
    async fn rows_go_out_once_and_what_is_not_done_goes_out_again() {
        let bench = Bench::new();
        let store = bench.open().await;
        let (run, outbox) = begun(&store, None).await;
        let rows = [row("a"), row("b"), row("c"), row("d")];
        store.add_rows("a.x", outbox, 1, &rows[..2]).await.unwrap();
        store.add_rows("a.x", outbox, 3, &rows[2..]).await.unwrap();
        assert_eq!(store.key_twice(outbox).await.unwrap(), None);
        store.fill_outbox(outbox, "{}", 4).await.unwrap();

        let first = store.turn_outbox(outbox, &[], &[], (0, 3)).await.unwrap();
        assert_eq!(first.iter().map(|row| row.position).collect::<Vec<_>>(), [1, 2, 3]);
        store.turn_outbox(outbox, &[], &[1, 2, 3], (3, 0)).await.unwrap();
        let done = [settled(&bench, 1, RowState::Done), settled(&bench, 2, RowState::Refused)];
        let second = store.turn_outbox(outbox, &done, &[4], (3, 1)).await.unwrap();
        assert_eq!(second[0].content, rows[3].content);
        store.cut_off_rows(outbox, "call.timeout", "it is not known").await.unwrap();
        let counts = RowCounts { done: 1, refused: 1, ambiguous: 2, waiting: 0 };
        assert_eq!(store.export(&run).await.unwrap().unwrap().counts, counts);
        let outcomes = store.outcomes_after(outbox, 0, 10).await.unwrap();
        assert_eq!((outcomes.len(), outcomes[0].content.as_ref()), (4, None), "done is forgotten");
        assert_eq!(outcomes[1].content.as_deref(), Some(rows[1].content.as_str()));
        assert_eq!(store.open_exports("a.x").await.unwrap(), std::slice::from_ref(&run));
        assert_eq!(store.land_export(&run, outbox).await.unwrap(), counts);
        assert!(store.open_exports("a.x").await.unwrap().is_empty());

        let (next, same) = begun(&store, Some(outbox)).await;
        store.send_again(same, false).await.unwrap();
        let again = store.turn_outbox(same, &[], &[], (0, 9)).await.unwrap();
        assert_eq!(again.len(), 1, "the refused one, and not those of which nobody knows");
        assert_eq!(again[0].idempotency_key, first[1].idempotency_key);
        let done = [settled(&bench, 2, RowState::Done)];
        store.turn_outbox(same, &done, &[], (2, 0)).await.unwrap();
        store.land_export(&next, same).await.unwrap();
        let left = RowCounts { ambiguous: 2, ..RowCounts::default() };
        assert_eq!(store.count_rows(same, true).await.unwrap(), left);
        bench.clock.turn(KEPT + Duration::from_secs(1));
        store.forget_old_rows().await.unwrap();
        assert_eq!(store.count_rows(same, true).await.unwrap(), RowCounts::default());
    }

    #[tokio::test]
    async fn two_rows_of_one_key_are_found_and_contents_tell_keys_apart() {
        let bench = Bench::new();
        let store = bench.open().await;
        let (_, outbox) = begun(&store, None).await;
        let other = NewRow { content: "{\"id\":\"a\",\"n\":2}".into(), ..row("a") };
        assert_ne!(row("a").idempotency_key("a.x"), other.idempotency_key("a.x"));
        assert_ne!(row("a").idempotency_key("a.x"), row("a").idempotency_key("a.y"));
        store.add_rows("a.x", outbox, 1, &[row("a"), row("b"), other]).await.unwrap();
        assert_eq!(store.key_twice(outbox).await.unwrap().as_deref(), Some("[\"a\"]"));
    }
}
