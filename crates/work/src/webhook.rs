//! A webhook: parameters in, a few calls one after the other, outputs out.
//!
//! In: the name `api.webhook`, what it is given, and who asks. Out: its outputs as exact JSON, or
//! the call that failed and what was done before it. The order: all parameters are checked before
//! anything is sent; the run is written down with its person; then each call is composed, sent and
//! written down before the next, so that a process that dies leaves what it did.
//!
//! What never happens here: a call sent again that may change something twice (only those with
//! `idempotency` are), a value of an input or an answer in the history that was not asked for.

mod answers;
mod error;
mod inputs;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use restway_connect::{Again, Answer, CallError, CallParts, Turns};
use restway_model::definition::{ApiFile, ApiLimits, History, Webhook, WebhookCall};
use restway_model::{
    Code, Counts, Event, Explain, Name, RunId, RunKind, RunStatus, SafeUrl, Timespan, nearest,
};
use restway_store::{RunError, WebhookCallRecord, WebhookStart};
use serde_json::value::RawValue;

pub use answers::Suggestion;
pub use error::{Done, ParamProblem, WebhookError};
pub use inputs::{Absent, Given, GivenValue};

use crate::{Stop, WorkError, Workspace};
use inputs::{Inputs, Known};

/// Runs of one webhook under way at once, when it says nothing.
const CONCURRENCY_DEFAULT: u16 = 64;
/// More webhooks than this at once have their gates forgotten.
const GATES_MAX: usize = 4_096;

/// The gates of this process: each webhook's rate and concurrency.
#[derive(Debug, Default)]
pub(crate) struct Gates(Mutex<HashMap<String, (ApiLimits, Arc<Turns>)>>);

/// What a webhook did.
#[derive(Debug)]
pub struct WebhookReport {
    /// The run.
    pub run: RunId,
    /// The outputs by name, each as exact JSON.
    pub outputs: Vec<(String, Box<RawValue>)>,
    /// The calls, in order.
    pub calls: Vec<CallReport>,
    /// How long it took.
    pub duration: Duration,
    /// The places in the answers that an output could take, if they were asked for.
    pub suggestions: Vec<Suggestion>,
}

/// A call that was answered.
#[derive(Debug)]
pub struct CallReport {
    /// Its id.
    pub id: Name,
    /// The URL that answered.
    pub url: SafeUrl,
    /// The status.
    pub status: u16,
    /// How often it was sent.
    pub attempts: u64,
    /// How long it took.
    pub duration: Duration,
}

/// What a person wants of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The outputs.
    Outputs,
    /// The places in the answers that an output could take; the outputs are left out.
    Suggestions,
}

/// Who runs a webhook, and how.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The person.
    pub person: &'a str,
    /// What they want of it.
    pub wanted: Wanted,
    /// What the idempotency keys of its calls are made of, when the same run may come again; the
    /// run's id without it.
    pub key: Option<&'a str>,
    /// Their wish to stop it.
    pub stop: &'a Stop,
}

/// A run under way.
struct Chain<'a> {
    workspace: &'a Workspace,
    api: &'a ApiFile,
    webhook: &'a Webhook,
    name: &'a str,
    run: &'a RunId,
    key: &'a str,
    inputs: &'a Inputs,
    answers: Vec<(&'a WebhookCall, Answer)>,
    calls: Vec<CallReport>,
    counts: Counts,
    under_way: Option<(&'a WebhookCall, Duration)>,
}

impl Workspace {
    /// The api and the webhook that `api.webhook` names.
    ///
    /// # Errors
    /// [`WorkError::Unknown`] with the nearest name.
    pub fn webhook(&self, name: &str) -> Result<(&Arc<ApiFile>, &Webhook), WorkError> {
        let (api, own) = name.split_once('.').unwrap_or((name, ""));
        let api = self.definitions.api(api)?;
        let found = api.webhooks.iter().find(|(known, _)| known.as_str() == own);
        let found = found.ok_or_else(|| WorkError::Unknown {
            what: "webhook",
            name: name.to_owned(),
            suggestion: nearest(own, api.webhooks.keys().map(Name::as_str))
                .or_else(|| api.webhooks.keys().next().map(Name::as_str))
                .map(|near| format!("{}.{near}", api.api)),
        })?;
        Ok((api, found.1))
    }

    /// Runs a webhook.
    ///
    /// # Errors
    /// [`WorkError::Webhook`]: parameters that do not fit, before anything is sent; or the call
    /// that failed or was stopped, with what was done before it.
    pub async fn run_webhook(
        &self,
        name: &str,
        given: Given,
        asked: Asked<'_>,
    ) -> Result<WebhookReport, WorkError> {
        let (api, webhook) = self.webhook(name)?;
        let known = Known { folder: &self.folder, redactor: &self.redactor };
        let inputs = Inputs::take(webhook, name, given, Absent::Refused, known)?;
        let started = self.clock.monotonic();
        let _present = self.store.be_present().await?;
        let run = self.begin_webhook(name, webhook, &inputs, asked.person).await?;
        let mut chain = Chain {
            workspace: self,
            api,
            webhook,
            name,
            run: &run,
            key: asked.key.unwrap_or(&run.0),
            inputs: &inputs,
            answers: Vec::new(),
            calls: Vec::new(),
            counts: Counts::default(),
            under_way: None,
        };
        let wanted = asked.wanted;
        let ended = chain.within_timeout(wanted, asked.stop.clone()).await;
        let duration = self.clock.monotonic().saturating_sub(started);
        let counts = chain.counts;
        let calls = std::mem::take(&mut chain.calls);
        let suggestions = match wanted {
            Wanted::Suggestions => answers::suggest(&chain.answers, &self.redactor),
            Wanted::Outputs => Vec::new(),
        };
        self.end_webhook(&run, ended.as_ref().err(), &counts, duration).await;
        let outputs = ended.map_err(|error| WorkError::Webhook(Box::new(error)))?;
        Ok(WebhookReport { run, outputs, calls, duration, suggestions })
    }

    /// Writes down that it begins: who runs which version, and what they gave if that is kept.
    async fn begin_webhook(
        &self,
        name: &str,
        webhook: &Webhook,
        inputs: &Inputs,
        person: &str,
    ) -> Result<RunId, WorkError> {
        let run = self.store.start_run(RunKind::Webhook, name).await?;
        let is_full = webhook.history == History::Full;
        let kept = is_full.then(|| self.redactor.redact(&inputs.shown()).into_owned());
        let definition = self.definitions.webhook_text(name);
        let start = WebhookStart {
            webhook: name,
            definition: &self.redactor.redact(&definition),
            person,
            inputs: kept.as_deref(),
            kept_until: is_full.then(|| self.clock.now() + webhook.keep()),
        };
        self.store.begin_webhook(&run, start).await?;
        self.observer.observe(&Event::RunStarted {
            run: run.clone(),
            kind: RunKind::Webhook,
            subject: name.to_owned(),
        });
        Ok(run)
    }

    /// The requests of a webhook as curl lines: nothing is sent, and what is secret or not known
    /// before an answer stands as it is written.
    ///
    /// # Errors
    /// Parameters that do not fit, or a definition that makes no request.
    pub fn plan_webhook(
        &self,
        name: &str,
        given: Given,
        absent: Absent,
    ) -> Result<Vec<String>, WorkError> {
        let (api, webhook) = self.webhook(name)?;
        let known = Known { folder: &self.folder, redactor: &self.redactor };
        let inputs = Inputs::take(webhook, name, given, absent, known)?;
        let lines = webhook.calls.iter().map(|call| {
            let parts = CallParts {
                call: &call.request,
                idempotency: call.idempotency.as_ref(),
                again: Again::of(call),
                values: &inputs.planned(),
                attachment: &|name: &Name| inputs.planned_attachment(name),
                absent: &|name: &str| inputs.is_absent(name),
                key: "${run}".to_owned(),
            };
            Ok(self.connector.compose_line(api, &parts)?)
        });
        lines.collect()
    }

    /// Writes down how it ended. A history that cannot be written must not hide what was done.
    async fn end_webhook(
        &self,
        run: &RunId,
        error: Option<&WebhookError>,
        counts: &Counts,
        duration: Duration,
    ) {
        let status = if error.is_none() { RunStatus::Succeeded } else { RunStatus::Failed };
        let error = error.map(|error| RunError {
            code: error.code().as_str().to_owned(),
            message: self.redactor.redact(&error.outcome()).into_owned(),
        });
        if let Err(error) = self.store.end_run(run, status, counts, error.as_ref()).await {
            self.warn(run, &error);
        }
        let (run, counts) = (run.clone(), *counts);
        self.observer.observe(&Event::RunEnded { run, status, counts, duration });
    }

    fn warn(&self, run: &RunId, error: &dyn std::error::Error) {
        self.observer.observe(&Event::Warned {
            about: format!("run {run}"),
            message: self.redactor.redact(&format!("not written down: {error}")).into_owned(),
        });
    }
}

impl Gates {
    fn of(&self, name: &str, webhook: &Webhook) -> Arc<Turns> {
        let limits = ApiLimits {
            rate: webhook.rate.clone(),
            concurrency: Some(webhook.concurrency.unwrap_or(CONCURRENCY_DEFAULT)),
            ..ApiLimits::default()
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(name) {
            Some((same, gate)) if *same == limits => Arc::clone(gate),
            _ => {
                if known.len() >= GATES_MAX {
                    known.clear();
                }
                let gate = Arc::new(Turns::new(&limits));
                known.insert(name.to_owned(), (limits, Arc::clone(&gate)));
                gate
            }
        }
    }
}

type Outputs = Vec<(String, Box<RawValue>)>;

impl<'a> Chain<'a> {
    async fn within_timeout(
        &mut self,
        wanted: Wanted,
        mut stop: Stop,
    ) -> Result<Outputs, WebhookError> {
        let after = self.webhook.timeout();
        let clock = Arc::clone(&self.workspace.clock);
        let cut = tokio::select! {
            biased;
            ended = self.all() => {
                ended?;
                return match wanted {
                    Wanted::Suggestions => Ok(Vec::new()),
                    Wanted::Outputs => self.outputs(),
                };
            }
            () = clock.sleep(after) => Code::WebhookTimeout,
            () = stop.raised() => Code::WebhookInterrupted,
        };
        let under_way = self.under_way.take();
        if let Some((call, begun)) = under_way {
            self.write_down(call, begun, None, Some((cut.as_str(), 1))).await;
        }
        let under_way = under_way.map(|(call, _)| (call.id.clone(), call.writes()));
        let (webhook, done) = (self.name.to_owned(), self.done());
        Err(match cut {
            Code::WebhookTimeout => {
                WebhookError::Timeout { webhook, after: Timespan(after), under_way, done }
            }
            _ => WebhookError::Interrupted { webhook, under_way, done },
        })
    }

    async fn all(&mut self) -> Result<(), WebhookError> {
        let gate = self.workspace.gates.of(self.name, self.webhook);
        let _turn = gate.turn(self.workspace.clock.as_ref()).await;
        for call in &self.webhook.calls {
            let begun = self.workspace.clock.monotonic();
            self.under_way = Some((call, begun));
            let sent = self.send(call).await;
            self.under_way = None;
            match sent {
                Ok(answer) => {
                    self.write_down(call, begun, Some(&answer), None).await;
                    self.answers.push((call, answer));
                }
                Err(cause) => {
                    let failed = (cause.code().as_str(), cause.attempts());
                    self.write_down(call, begun, None, Some(failed)).await;
                    return Err(WebhookError::Failed {
                        webhook: self.name.to_owned(),
                        call: call.id.clone(),
                        cause: Box::new(cause),
                        done: self.done(),
                    });
                }
            }
        }
        Ok(())
    }

    async fn send(&self, call: &WebhookCall) -> Result<Answer, CallError> {
        let request = {
            let redactor = &self.workspace.redactor;
            let values = answers::Known { inputs: self.inputs, answers: &self.answers, redactor };
            let parts = CallParts {
                call: &call.request,
                idempotency: call.idempotency.as_ref(),
                again: Again::of(call),
                values: &values,
                attachment: &|name: &Name| self.inputs.attachment(name),
                absent: &|name: &str| self.inputs.is_absent(name),
                key: format!("{}-{}", self.key, call.id),
            };
            self.workspace.connector.compose(self.api, &parts)?
        };
        self.workspace.connector.call(self.api, request).await
    }

    /// Keeps a call with the run, and counts it.
    async fn write_down(
        &mut self,
        call: &WebhookCall,
        begun: Duration,
        answer: Option<&Answer>,
        failed: Option<(&str, u64)>,
    ) {
        let workspace = self.workspace;
        let duration = workspace.clock.monotonic().saturating_sub(begun);
        let attempts = match (answer, failed) {
            (Some(answer), _) => answer.attempts.len() as u64,
            (None, failed) => failed.map_or(0, |(_, attempts)| attempts),
        };
        let keeps = call.store && self.webhook.history == History::Full;
        let kept = answer.filter(|_| keeps).map(|answer| {
            workspace.redactor.redact(&String::from_utf8_lossy(&answer.body)).into_owned()
        });
        let record = WebhookCallRecord {
            id: call.id.to_string(),
            method: call.request.method.as_str().to_owned(),
            path: workspace.redactor.redact(call.request.path.source()).into_owned(),
            status: answer.map(|answer| answer.status),
            attempts,
            milliseconds: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            error_code: failed.map(|(code, _)| code.to_owned()),
            answer: kept,
        };
        let position = self.calls.len() as u64;
        if let Err(error) = workspace.store.save_webhook_call(self.run, position, &record).await {
            workspace.warn(self.run, &error);
        }
        self.counts.requests += attempts;
        self.counts.retries += attempts.saturating_sub(1);
        if let Some(answer) = answer {
            self.counts.bytes += answer.body.len() as u64;
            let (url, status) = (answer.url.clone(), answer.status);
            self.calls.push(CallReport { id: call.id.clone(), url, status, attempts, duration });
        }
    }

    fn outputs(&self) -> Result<Outputs, WebhookError> {
        let taken = self.webhook.outputs.iter().map(|(name, output)| {
            let output = output.resolve();
            let value = answers::output(&self.answers, &output).map_err(|problem| {
                WebhookError::Output {
                    webhook: self.name.to_owned(),
                    output: name.clone(),
                    from: output.from.to_string(),
                    problem,
                    done: self.done(),
                }
            })?;
            Ok((name.clone(), answers::masked(value, &self.workspace.redactor)))
        });
        taken.collect()
    }

    fn done(&self) -> Vec<Done> {
        let done = self.answers.iter().map(|(call, answer)| Done {
            call: call.id.clone(),
            status: answer.status,
            writes: call.writes(),
            is_repeatable: call.idempotency.is_some() || call.request.method.is_idempotent(),
        });
        done.collect()
    }
}
