//! Send: one row, by the engine that every call goes through, and what its answer means.
//!
//! In: a row of the outbox. Out: how it stands now, and an error if no other row should be sent.
//! Statuses that say success, and those of `expect`, are done; others are refused, but for those
//! that leave open whether the api did it: a gateway's, or none at all. Those rows wait where they
//! may be sent again, and are ambiguous where they may not.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use restway_connect::{Answer, CallError, Connector, Expected, Leave};
use restway_model::{
    Clock, Code, Event, Explain, Observer, Redactor, RowState, Scope, Values, exact_json,
};
use restway_store::{OutboxRow, SettledRow};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use super::{Chosen, ExportError};
use crate::WorkError;

/// An answer's text is kept up to here.
const RESPONSE_BYTES_MAX: usize = 16 << 10;
/// What is redacted of it, so that no secret is cut in two before it is known for one.
const REDACTED_BYTES_MAX: usize = 64 << 10;
/// What was sent is logged up to here.
const PAYLOAD_BYTES_MAX: usize = 2 << 10;

/// The values of a row, each as it stands in the row.
#[derive(Debug, Default)]
pub(super) struct RowValues(HashMap<String, Box<RawValue>>);

impl RowValues {
    pub(super) fn of(chosen: &Chosen, content: &str) -> Result<Self, ExportError> {
        let row = serde_json::from_str(content).map(Self);
        row.map_err(|source| ExportError::Row { export: chosen.table.clone(), source })
    }
}

impl Values for RowValues {
    fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
        exact_json(self.json(scope, name)?.as_bytes()).map_err(|error| error.to_string())
    }

    fn json(&self, scope: Scope, name: &str) -> Result<String, String> {
        let value = self.0.get(name).filter(|_| scope == Scope::Row);
        value.map(|value| value.get().to_owned()).ok_or_else(|| "is no column of the row".into())
    }
}

/// Sends rows of one export.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) chosen: Chosen,
    pub(super) connector: Connector,
    pub(super) redactor: Redactor,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
    /// Where rows ask to be written down as going out; none where they may be sent again anyway.
    pub(super) leaving: Option<mpsc::Sender<Leaving>>,
}

/// A row that is about to go out, and who waits until that is on the disk.
pub(super) struct Leaving {
    pub(super) position: u64,
    pub(super) may_go: oneshot::Sender<()>,
}

/// A row that was sent.
pub(super) struct Sent {
    pub(super) key: String,
    pub(super) settled: SettledRow,
    /// Whether the api answered this row.
    pub(super) is_answered: bool,
    pub(super) bytes: u64,
    /// Why no other row should be sent.
    pub(super) error: Option<WorkError>,
}

/// What an attempt to send a row came to.
struct Outcome {
    state: RowState,
    attempts: u64,
    status: Option<u16>,
    response: Option<String>,
    error: Option<(String, String)>,
    fatal: Option<WorkError>,
    bytes: u64,
}

impl Outcome {
    fn unsent(error: WorkError) -> Self {
        Self {
            state: RowState::Waiting,
            attempts: 0,
            status: None,
            response: None,
            error: Some(said(&error)),
            fatal: Some(error),
            bytes: 0,
        }
    }
}

impl Sender {
    /// Sends a row, tells of it, and says how it stands.
    pub(super) async fn send(self, row: OutboxRow) -> Sent {
        let (sent_at, begun) = (self.clock.now(), self.clock.monotonic());
        let (outcome, payload) = self.outcome(&row).await;
        let duration = self.clock.monotonic().saturating_sub(begun);
        let key = self.redactor.redact(&shown(&row.key)).into_owned();
        self.tell(&row, &key, &outcome, payload, duration);
        Sent {
            key,
            settled: SettledRow {
                position: row.position,
                state: outcome.state,
                attempts: outcome.attempts,
                status: outcome.status,
                response: outcome.response,
                error: outcome.error,
                sent_at,
            },
            is_answered: outcome.status.is_some() || outcome.attempts == 0,
            bytes: outcome.bytes,
            error: outcome.fatal,
        }
    }

    async fn outcome(&self, row: &OutboxRow) -> (Outcome, String) {
        let mut request = {
            let values = match RowValues::of(&self.chosen, &row.content) {
                Ok(values) => values,
                Err(error) => return (Outcome::unsent(error.into()), String::new()),
            };
            let parts = self.chosen.parts(&values, row.idempotency_key.clone());
            match self.connector.compose(&self.chosen.api, &parts) {
                Ok(request) => request,
                Err(error) => return (self.failed(error), String::new()),
            }
        };
        let payload = cut(&self.redactor.redact(&request.payload()), PAYLOAD_BYTES_MAX);
        let expect = &self.chosen.export.request.expect;
        request.leave = self.leaving.clone().map(|leaving| leave(leaving, row.position));
        request.expected = match expect.is_empty() {
            true => Expected::Any,
            false => Expected::Listed((200..300).chain(expect.iter().copied()).collect()),
        };
        let outcome = match self.connector.call(&self.chosen.api, request).await {
            Ok(answer) => self.answered(&answer),
            Err(error) => self.failed(error),
        };
        (outcome, payload)
    }

    /// What an answer means for its row.
    fn answered(&self, answer: &Answer) -> Outcome {
        let status = answer.status;
        let is_done =
            (200..300).contains(&status) || self.chosen.export.request.expect.contains(&status);
        let may_repeat = self.chosen.export.is_repeatable();
        let (state, error, fatal) = if is_done {
            (RowState::Done, None, None)
        } else if status == 429 {
            let limited = ExportError::Limited { export: self.chosen.table.clone() };
            (RowState::Waiting, Some(said(&limited)), Some(limited.into()))
        } else {
            let is_open = matches!(status, 408 | 502 | 504) && !may_repeat;
            let state = if is_open { RowState::Ambiguous } else { RowState::Refused };
            let text = if is_open {
                format!("status {status}: whether the api did it is not known")
            } else {
                format!("status {status}")
            };
            (state, Some((Code::CallStatus.as_str().to_owned(), text)), None)
        };
        let bytes = &answer.body[..answer.body.len().min(REDACTED_BYTES_MAX)];
        let text = String::from_utf8_lossy(bytes);
        Outcome {
            state,
            attempts: answer.attempts.len() as u64,
            status: Some(status),
            response: Some(cut(&self.redactor.redact(&text), RESPONSE_BYTES_MAX)),
            error,
            fatal,
            bytes: answer.body.len() as u64,
        }
    }

    /// What it means for a row that no answer came.
    fn failed(&self, error: CallError) -> Outcome {
        let mut noted = said(&error);
        noted.1 = self.redactor.redact(&noted.1).into_owned();
        let attempts = error.attempts();
        let (state, fatal) = if error.may_be_done() {
            match self.chosen.export.is_repeatable() {
                true => (RowState::Waiting, None),
                false => (RowState::Ambiguous, None),
            }
        } else if error.code() == Code::DefinitionInvalid {
            // A value that makes no request: another row may well make one.
            (RowState::Refused, None)
        } else {
            (RowState::Waiting, Some(error.into()))
        };
        let (status, response) = (None, None);
        Outcome { state, attempts, status, response, error: Some(noted), fatal, bytes: 0 }
    }

    fn tell(
        &self,
        row: &OutboxRow,
        key: &str,
        outcome: &Outcome,
        payload: String,
        duration: Duration,
    ) {
        self.observer.observe(&Event::RowSettled {
            export: self.chosen.table.clone(),
            row: row.position,
            key: key.to_owned(),
            payload,
            outcome: outcome.state,
            status: outcome.status,
            attempts: outcome.attempts,
            duration,
        });
    }
}

/// Has a row written down as going out, once, and lets it go then; never when nobody writes any
/// more, which is when the run ends.
fn leave(leaving: mpsc::Sender<Leaving>, position: u64) -> Leave {
    let is_written = Arc::new(AtomicBool::new(false));
    Arc::new(move || {
        let (leaving, is_written) = (leaving.clone(), Arc::clone(&is_written));
        Box::pin(async move {
            if is_written.load(Ordering::Relaxed) {
                return true;
            }
            let (may_go, goes) = oneshot::channel();
            let has_left =
                leaving.send(Leaving { position, may_go }).await.is_ok() && goes.await.is_ok();
            is_written.store(has_left, Ordering::Relaxed);
            has_left
        })
    })
}

/// A key for people: the value alone where there is one.
fn shown(key: &str) -> String {
    match serde_json::from_str::<Vec<&RawValue>>(key).as_deref() {
        Ok([only]) => serde_json::from_str(only.get()).unwrap_or_else(|_| only.get().to_owned()),
        _ => key.to_owned(),
    }
}

fn said(error: &dyn Explain) -> (String, String) {
    (error.code().as_str().to_owned(), error.to_string())
}

fn cut(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}
