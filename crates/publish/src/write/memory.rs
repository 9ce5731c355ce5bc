//! Answers that are remembered with their effect, so that a request that is sent again is done
//! once.
//!
//! In: a request with an `Idempotency-Key`. Out: the answer that it had, or what it must be
//! remembered as. The record is a row of the user's database, written in the transaction of the
//! effect: there is never one without the other. Two requests with one key at the same time meet
//! at the record's primary key, where one of them fails and its effect with it.
//!
//! What never happens here: a key or a body in clear; only digests are kept, and the answer.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use restway_model::Clock;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::row::Row;
use crate::query::Reading;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::respond::{self, Response};
use crate::source::{Column, Kind, Page, Source, SourceError, Transaction};
use crate::statement::{Bound, Dialect, change};

/// How long an answer is remembered, in seconds.
const KEPT_FOR: i64 = 24 * 60 * 60;
/// Characters of a caller's key.
const KEY_LENGTH_MAX: usize = 255;
/// Of so many first digits of an id, one also removes what has become too old.
const PRUNES: &str = "0";

/// Keys of requests that are under way here.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Mutex<HashSet<String>>);

/// A key while its request is under way.
pub(crate) struct Held<'a> {
    under_way: &'a UnderWay,
    /// What the record is found by.
    id: String,
    /// What the request was.
    print: String,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.under_way.keys().remove(&self.id);
    }
}

impl UnderWay {
    fn keys(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the key of a request, if nobody has it.
    pub(crate) fn hold(
        &self,
        request: &Request,
        caller: &str,
        key: &str,
    ) -> Result<Held<'_>, Refusal> {
        if key.is_empty() || key.len() > KEY_LENGTH_MAX {
            let mut findings = crate::refusal::Findings::default();
            let message = format!("`Idempotency-Key` has 1 to {KEY_LENGTH_MAX} characters");
            findings.add("idempotency_key", message);
            findings.refuse()?;
        }
        let id = print(&[&request.path, caller, key]);
        let media_type = request.headers.get("content-type").unwrap_or_default();
        let body = String::from_utf8_lossy(&request.body);
        let print = print(&[&request.method, &request.path, &request.query, media_type, &body]);
        if !self.keys().insert(id.clone()) {
            return Err(Refusal::InFlight);
        }
        Ok(Held { under_way: self, id, print })
    }
}

/// A digest of texts and where each ends.
fn print(texts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update(text.len().to_le_bytes());
        digest.update(text.as_bytes());
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The statements that make the table.
fn tables(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Mysql => &["CREATE TABLE IF NOT EXISTS _restway_idempotency (\
            id varchar(64) PRIMARY KEY, print varchar(64) NOT NULL, answer longtext NOT NULL, \
            made bigint NOT NULL, INDEX _restway_made (made)) CHARACTER SET utf8mb4"],
        _ => &[
            "CREATE TABLE IF NOT EXISTS _restway_idempotency (id varchar(64) PRIMARY KEY, \
             print varchar(64) NOT NULL, answer text NOT NULL, made bigint NOT NULL)",
            "CREATE INDEX IF NOT EXISTS _restway_made ON _restway_idempotency (made)",
        ],
    }
}

impl Held<'_> {
    /// A digest of the key, of who sent it and of what it is for.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The answer that the request had.
    pub(crate) async fn earlier(
        &self,
        reading: &Reading<'_>,
        source: &dyn Source,
    ) -> Result<Option<Response>, Refusal> {
        let row = match self.record(reading, source).await {
            Err(SourceError::Changed { .. } | SourceError::Missing { .. }) => {
                let made = make(source).await;
                // Whatever became of that: somebody else may have made it at the same time.
                self.record(reading, source).await.map_err(|error| made.err().unwrap_or(error))
            }
            found => found,
        };
        let Some(row) = row.map_err(|error| reading.refusal(error))? else { return Ok(None) };
        let row = Row::read(row)?;
        if row.text_of("print").as_deref() != Some(&self.print) {
            return Err(Refusal::KeyReused);
        }
        Ok(row.text_of("answer").as_deref().and_then(replayed))
    }

    /// The record of the request, if there is one.
    async fn record(
        &self,
        reading: &Reading<'_>,
        source: &dyn Source,
    ) -> Result<Option<Vec<u8>>, SourceError> {
        let columns = [Column::new("print", Kind::Text), Column::new("answer", Kind::Text)];
        let text = "SELECT print, answer FROM _restway_idempotency WHERE id = ? AND made > ?";
        let values = vec![Bound::Text(self.id.clone()), Bound::Int(oldest(reading.clock))];
        let found = change::own(source.dialect(), text, values, columns.iter().collect());
        let mut page = Page::new(Vec::new(), 2);
        source.read(&found, &mut page).await?;
        Ok((page.rows() > 0).then(|| page.into_bytes()))
    }

    /// Remembers an answer in the transaction of its effect.
    pub(crate) async fn remember(
        &self,
        reading: &Reading<'_>,
        dialect: Dialect,
        transaction: &mut dyn Transaction,
        response: &Response,
    ) -> Result<(), Refusal> {
        let headers: Vec<(&str, &str)> =
            response.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = String::from_utf8_lossy(&response.body);
        let answer = json!([response.status, headers, body]).to_string();
        let now = reading.clock.now().timestamp();
        let mut page = Page::new(Vec::new(), 1);
        // The old record of this key, which may be used again, goes in any case.
        let text = "DELETE FROM _restway_idempotency WHERE made <= ? AND (id = ? OR ? = 1)";
        let prunes = i64::from(self.id.starts_with(PRUNES));
        let values = vec![
            Bound::Int(oldest(reading.clock)),
            Bound::Text(self.id.clone()),
            Bound::Int(prunes),
        ];
        let statement = change::own(dialect, text, values, Vec::new());
        let removed = transaction.execute(&statement, &mut page).await;
        removed.map_err(|error| reading.refusal(error))?;
        let text = "INSERT INTO _restway_idempotency (id, print, answer, made) VALUES (?, ?, ?, ?)";
        let values = vec![
            Bound::Text(self.id.clone()),
            Bound::Text(self.print.clone()),
            Bound::Text(answer),
            Bound::Int(now),
        ];
        let statement = change::own(dialect, text, values, Vec::new());
        match transaction.execute(&statement, &mut page).await {
            Ok(_) => Ok(()),
            Err(SourceError::Constraint { .. }) => Err(Refusal::InFlight),
            Err(error) => Err(reading.refusal(error)),
        }
    }
}

fn oldest(clock: &dyn Clock) -> i64 {
    clock.now().timestamp() - KEPT_FOR
}

async fn make(source: &dyn Source) -> Result<(), SourceError> {
    let mut transaction = source.begin().await?;
    let mut page = Page::new(Vec::new(), 1);
    for text in tables(source.dialect()) {
        let statement = change::own(source.dialect(), text, Vec::new(), Vec::new());
        if let Err(error) = transaction.execute(&statement, &mut page).await {
            transaction.rollback().await;
            return Err(error);
        }
    }
    transaction.commit().await
}

/// An answer as it was, and that it is not the first time.
fn replayed(answer: &str) -> Option<Response> {
    let (status, headers, body): (u16, Vec<(String, String)>, String) =
        serde_json::from_str(answer).ok()?;
    const NAMES: [&str; 4] = ["content-type", "location", "etag", "preference-applied"];
    let kept = NAMES.into_iter().filter_map(|name| {
        let (_, value) = headers.iter().find(|(other, _)| other == name)?;
        Some((name, value.clone()))
    });
    let mut response = respond::bare(status, kept.collect());
    response.headers.push(("idempotency-replayed", "true".to_owned()));
    response.body = body.into_bytes();
    Some(response)
}
