//! What webhooks did: who ran them, and each call's outcome.
//!
//! In: a run, its person, and texts that the caller has redacted. Out: the same, until their time
//! is over. Person and outcomes are always kept; inputs and answers only when they are handed in,
//! cut to 64 KiB each, and forgotten after `kept_until`: what is over its time is never read, and
//! is wiped when the next run begins. Each definition that was run is kept as a version, so that an
//! old run still says what it ran.

use chrono::{DateTime, Utc};
use restway_model::RunId;

use crate::rows::{Columns, number, written};
use crate::{Store, StoreError, schema, sql};

/// Inputs and each answer are kept up to here.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// The most calls of one run.
const CALLS_MAX: i64 = 1_000;

/// A run of a webhook that begins.
#[derive(Debug, Clone, Copy)]
pub struct WebhookStart<'a> {
    /// `api.webhook`, the run's subject.
    pub webhook: &'a str,
    /// The definition as JSON: a run of another one than the last begins a new version.
    pub definition: &'a str,
    /// Who runs it.
    pub person: &'a str,
    /// The parameters as JSON, if they are to be kept.
    pub inputs: Option<&'a str>,
    /// Until when inputs and answers are kept.
    pub kept_until: Option<DateTime<Utc>>,
}

/// A run of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRecord {
    /// Who ran it.
    pub person: String,
    /// Which version of the webhook it ran, from 1; none for runs from before there were versions.
    pub version: Option<u32>,
    /// That version as JSON.
    pub definition: Option<String>,
    /// The parameters as JSON, when they are kept.
    pub inputs: Option<String>,
    /// Until when inputs and answers are kept.
    pub kept_until: Option<DateTime<Utc>>,
    /// Its calls, in order.
    pub calls: Vec<WebhookCallRecord>,
}

/// A call of a webhook's run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookCallRecord {
    /// The call's id.
    pub id: String,
    /// The method.
    pub method: String,
    /// The path as the definition has it, without values.
    pub path: String,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// How often it was sent.
    pub attempts: u64,
    /// How long it took.
    pub milliseconds: u64,
    /// The code of the error it ended in.
    pub error_code: Option<String>,
    /// The answer's text, when it is kept.
    pub answer: Option<String>,
}

impl Store {
    /// Writes down who runs which version of a webhook, with the inputs if they are to be kept, and
    /// forgets texts of earlier runs whose time is over.
    ///
    /// # Errors
    /// The database refused.
    pub async fn begin_webhook(
        &self,
        run: &RunId,
        start: WebhookStart<'_>,
    ) -> Result<(), StoreError> {
        self.forget_webhooks().await?;
        let failed = StoreError::during("start a webhook");
        let mut transaction = self.pool().begin_with(schema::BEGIN).await.map_err(&failed)?;
        let newest = sqlx::query(sql::WEBHOOK_VERSION_NEWEST)
            .bind(start.webhook)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(&failed)?;
        let (newest, is_same) = match &newest {
            Some(row) => {
                let definition: String = Columns(row).get("definition")?;
                (Columns(row).get("version")?, definition == start.definition)
            }
            None => (0_u32, false),
        };
        let version = if is_same { newest } else { newest + 1 };
        if !is_same {
            sqlx::query(sql::WEBHOOK_VERSION_ADD)
                .bind(start.webhook)
                .bind(version)
                .bind(start.definition)
                .bind(written(self.now()))
                .execute(&mut *transaction)
                .await
                .map_err(&failed)?;
        }
        sqlx::query(sql::WEBHOOK_BEGIN)
            .bind(&run.0)
            .bind(start.person)
            .bind(start.inputs.map(cut))
            .bind(start.kept_until.map(written))
            .bind(version)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)
    }

    /// Writes down a call that is over.
    ///
    /// # Errors
    /// The database refused.
    pub async fn save_webhook_call(
        &self,
        run: &RunId,
        position: u64,
        call: &WebhookCallRecord,
    ) -> Result<(), StoreError> {
        sqlx::query(sql::WEBHOOK_CALL)
            .bind(&run.0)
            .bind(number(position))
            .bind(&call.id)
            .bind(&call.method)
            .bind(&call.path)
            .bind(call.status)
            .bind(number(call.attempts))
            .bind(number(call.milliseconds))
            .bind(&call.error_code)
            .bind(call.answer.as_deref().map(cut))
            .execute(self.pool())
            .await
            .map_err(StoreError::during("save a webhook's call"))?;
        Ok(())
    }

    /// What a run of a webhook did; `None` for a run of anything else.
    ///
    /// # Errors
    /// The database refused.
    pub async fn webhook(&self, run: &RunId) -> Result<Option<WebhookRecord>, StoreError> {
        let failed = StoreError::during("read a webhook's run");
        let now = written(self.now());
        let row = sqlx::query(sql::WEBHOOK_FIND)
            .bind(&run.0)
            .bind(&now)
            .fetch_optional(self.pool())
            .await
            .map_err(&failed)?;
        let Some(row) = row else { return Ok(None) };
        let rows = sqlx::query(sql::WEBHOOK_CALLS)
            .bind(&run.0)
            .bind(&now)
            .bind(CALLS_MAX)
            .fetch_all(self.pool())
            .await
            .map_err(&failed)?;
        let calls = rows.iter().map(|row| call_of(&Columns(row)));
        let columns = Columns(&row);
        Ok(Some(WebhookRecord {
            person: columns.get("person")?,
            version: columns.get("version")?,
            definition: columns.get("definition")?,
            inputs: columns.get("inputs")?,
            kept_until: columns.instant_if_any("kept_until")?,
            calls: calls.collect::<Result<_, _>>()?,
        }))
    }

    async fn forget_webhooks(&self) -> Result<(), StoreError> {
        let now = written(self.now());
        // Answers first: they are found by the time that the second statement takes away.
        for statement in [sql::WEBHOOK_FORGET_ANSWERS, sql::WEBHOOK_FORGET_INPUTS] {
            sqlx::query(statement)
                .bind(&now)
                .execute(self.pool())
                .await
                .map_err(StoreError::during("forget old webhooks"))?;
        }
        Ok(())
    }
}

fn call_of(columns: &Columns<'_>) -> Result<WebhookCallRecord, StoreError> {
    Ok(WebhookCallRecord {
        id: columns.get("call_id")?,
        method: columns.get("method")?,
        path: columns.get("path")?,
        status: columns.get("status")?,
        attempts: columns.get("attempts")?,
        milliseconds: columns.get("milliseconds")?,
        error_code: columns.get("error_code")?,
        answer: columns.get("answer")?,
    })
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use restway_model::{Clock, RunKind};

    use super::*;
    use crate::testing::Bench;

    #[tokio::test]
    async fn texts_are_cut_and_forgotten_and_the_outcome_stays() {
        let bench = Bench::new();
        let store = bench.open().await;
        let run = store.start_run(RunKind::Webhook, "acme.create").await.unwrap();
        let until = bench.clock.now() + Duration::from_secs(60);
        let start = WebhookStart {
            webhook: "acme.create",
            definition: "{\"calls\":[]}",
            person: "jo",
            inputs: Some("{\"name\":\"forget-me\"}"),
            kept_until: Some(until),
        };
        store.begin_webhook(&run, start).await.unwrap();
        let call = WebhookCallRecord {
            id: "created".into(),
            method: "POST".into(),
            path: "/accounts/${param.id}".into(),
            status: Some(201),
            attempts: 1,
            milliseconds: 7,
            error_code: None,
            answer: Some("ü".repeat(TEXT_BYTES_MAX)),
        };
        store.save_webhook_call(&run, 0, &call).await.unwrap();
        let kept = store.webhook(&run).await.unwrap().unwrap();
        assert_eq!(kept.calls[0].answer.as_ref().map(String::len), Some(TEXT_BYTES_MAX));
        assert!(kept.inputs.is_some());

        bench.clock.turn(Duration::from_secs(60));
        let gone = store.webhook(&run).await.unwrap().unwrap();
        assert_eq!((gone.inputs, gone.calls[0].answer.clone()), (None, None));
        assert_eq!((gone.person.as_str(), gone.calls[0].status), ("jo", Some(201)));
        let next = store.start_run(RunKind::Webhook, "acme.create").await.unwrap();
        let plain = WebhookStart { inputs: None, kept_until: None, ..start };
        store.begin_webhook(&next, plain).await.unwrap();
        let left = sqlx::query("select inputs from webhook_run where inputs is not null");
        assert!(left.fetch_all(store.pool()).await.unwrap().is_empty());
        assert!(store.webhook(&RunId("none".into())).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_definition_that_changed_begins_a_version() {
        let bench = Bench::new();
        let store = bench.open().await;
        let mut versions = Vec::new();
        for (webhook, definition) in [("a.x", "1"), ("a.x", "1"), ("a.x", "2"), ("a.y", "2")] {
            let run = store.start_run(RunKind::Webhook, webhook).await.unwrap();
            let start =
                WebhookStart { webhook, definition, person: "jo", inputs: None, kept_until: None };
            store.begin_webhook(&run, start).await.unwrap();
            let found = store.webhook(&run).await.unwrap().unwrap();
            versions.push((found.version, found.definition));
        }
        let expected = [(1, "1"), (1, "1"), (2, "2"), (1, "2")];
        assert_eq!(versions, expected.map(|(n, text)| (Some(n), Some(text.to_owned()))));
    }
}
