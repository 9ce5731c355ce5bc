//! An export that the api makes before it hands it out: created, waited for, handed on.
//!
//! In: the request that creates the job, and how the definition asks for it. Out: the request whose
//! answer is the resource's page, or that page itself. This is the stage before a walk's first
//! page; from there on what a job made is a page like any other, read again if it breaks.
//!
//! What an answer about a job says counts only when it comes from a domain that the api declares.
//! Where the download lies is the api's to say; the rules for going there are those of redirects:
//! to another origin goes no header of the definition's, and credentials only if it is declared.
//! What never happens here: a wait that is not the clock's; a job asked for without end; a job
//! created twice, unless its request may be repeated.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use restway_model::definition::{ApiFile, Job, Method, ResourceSettings};
use restway_model::{
    Code, Event, RecordPath, SafeUrl, Scope, TableName, Timespan, Values, exact_json,
};
use serde_json::Value;
use url::Url;

use crate::Connector;
use crate::error::{CallError, Excerpt, Failure};
use crate::excerpt::{excerpt, title};
use crate::exchange::{Exchange, Opened};
use crate::open_page::{OpenPage, PageShape};
use crate::plan;
use crate::redirect::{Hop, is_led};
use crate::request::{Request, header};
use crate::retry::{declared_wait, http_date};
use crate::sent::Tally;

/// What an answer about a job may hold, its records included.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Longer texts are no ids.
const ID_BYTES_MAX: usize = 1_000;

/// What became of a job.
#[derive(Debug, thiserror::Error)]
pub enum JobFailure {
    /// The answer about it lacks what the definition says is there.
    #[error("{what} at `{path}` {problem}{excerpt}")]
    Answer {
        /// What should be there.
        what: &'static str,
        /// Where.
        path: String,
        /// What is there instead.
        problem: String,
        /// The answer.
        excerpt: Excerpt,
    },
    /// The api says that it failed.
    #[error("the job `{job}` failed, by `failed: {condition}`{excerpt}")]
    Failed {
        /// The job's id.
        job: String,
        /// The condition that holds.
        condition: String,
        /// The answer.
        excerpt: Excerpt,
    },
    /// It took too long.
    #[error("the job `{job}` is not done after {}{excerpt}", Timespan(*.after))]
    Timeout {
        /// The job's id.
        job: String,
        /// How long it was waited for.
        after: Duration,
        /// The last answer.
        excerpt: Excerpt,
    },
}

impl JobFailure {
    pub(crate) const fn code(&self) -> Code {
        match self {
            Self::Answer { .. } => Code::JobAnswer,
            Self::Failed { .. } => Code::JobFailed,
            Self::Timeout { .. } => Code::JobTimeout,
        }
    }

    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::Answer { .. } => "check the paths of `job` against the answer",
            Self::Failed { .. } => {
                "the api says why, if anybody does; the next sync makes a new job"
            }
            Self::Timeout { .. } => {
                "allow more with `job.poll.timeout`, ask for less, or check `job.done`"
            }
        }
    }
}

/// Where the page of a job is.
pub(crate) enum Found {
    /// The request for the job was answered with a status that means no records.
    Nothing,
    /// The answer to this request.
    Download(Box<Request>),
    /// The answer about the job.
    Page(Box<OpenPage>),
}

/// A job from its creation to its end.
pub(crate) struct Export<'a> {
    pub(crate) connector: &'a Connector,
    pub(crate) api: &'a ApiFile,
    pub(crate) table: &'a TableName,
    pub(crate) resource: &'a ResourceSettings,
    pub(crate) job: &'a Job,
    pub(crate) values: &'a (dyn Values + Send + Sync),
    pub(crate) tally: &'a Arc<Tally>,
    pub(crate) shape: PageShape,
}

/// The job's id, over the values of its resource.
struct WithJob<'a> {
    id: &'a str,
    others: &'a dyn Values,
}

impl Values for WithJob<'_> {
    fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
        match (scope, name) {
            (Scope::Job, "id") => Ok(self.id.into()),
            _ => self.others.value(scope, name),
        }
    }
}

/// An answer about the job.
struct Told {
    exchange: Exchange,
    opened: Opened,
    body: Bytes,
    answer: Value,
}

impl Export<'_> {
    /// Creates the job and waits for its end; says also what time it was at the api when it began.
    pub(crate) async fn made(
        self,
        create: Request,
    ) -> Result<(Found, Option<DateTime<Utc>>), CallError> {
        let mut headers = create.headers.clone();
        headers.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("content-"));
        let begun = self.connector.clock().monotonic();
        let Some(told) = self.ask(create).await? else { return Ok((Found::Nothing, None)) };
        let time = header(&told.opened.incoming.headers, "date").and_then(http_date);
        let id = self.id(&told)?;
        let homes = plan::homes(self.api, &self.connector.lookup(self.values, false))?;
        let url = {
            let others = self.connector.lookup(self.values, false);
            let values = WithJob { id: &id, others: &others };
            plan::resource_url(&homes, &self.job.poll.path, &values)?
        };
        if told.exchange.request().url.expose().origin() != url.origin() {
            headers.clear();
        }
        let mut poll = Request::new(Method::Get, SafeUrl::new(url));
        poll.headers = headers;
        let told = self.done(&id, poll, begun).await?;
        let found = match &self.job.download {
            Some(path) => Found::Download(Box::new(self.download(&told, path)?)),
            None => Found::Page(Box::new(self.page(told).await?)),
        };
        Ok((found, time))
    }

    /// Asks for the job until it is done.
    async fn done(&self, id: &str, poll: Request, begun: Duration) -> Result<Told, CallError> {
        let (clock, settings) = (self.connector.clock(), &self.job.poll);
        let mut wait = settings.every.0;
        loop {
            let Some(told) = self.ask(poll.clone()).await? else {
                return Err(CallError::invalid("the job", "was answered with nothing"));
            };
            let excerpt = || excerpt(&told.body, self.connector.redactor());
            let job = || self.connector.redacted(id);
            if let Some(failed) = self.job.failed.as_ref().filter(|one| one.holds(&told.answer)) {
                let condition = failed.to_string();
                let failure = JobFailure::Failed { job: job(), condition, excerpt: excerpt() };
                return Err(told.exchange.error(Failure::Job(failure)));
            }
            if self.job.done.holds(&told.answer) {
                return Ok(told);
            }
            let after = settings.timeout.0;
            let left = after.saturating_sub(clock.monotonic().saturating_sub(begun));
            if left.is_zero() {
                let failure = JobFailure::Timeout { job: job(), after, excerpt: excerpt() };
                return Err(told.exchange.error(Failure::Job(failure)));
            }
            let asked = declared_wait(&told.opened.incoming.headers, clock.now());
            self.pause(id, asked.map_or(wait, |asked| asked.max(wait)).min(left)).await;
            wait = wait.saturating_mul(2).min(settings.maximum.0);
        }
    }

    async fn pause(&self, id: &str, wait: Duration) {
        // A tape answers without delay, also to who was to wait.
        if self.connector.extras().tape.as_ref().is_some_and(|tape| tape.plays()) {
            return;
        }
        let (resource, job) = (self.table.clone(), self.connector.redacted(id));
        self.connector.observe(&Event::JobWaited { resource, job, wait });
        self.connector.clock().sleep(wait).await;
    }

    /// One answer, whole; none when its status means no records.
    async fn ask(&self, request: Request) -> Result<Option<Told>, CallError> {
        let target = self.connector.target(self.api)?;
        let exchange = Exchange::new(self.connector.clone(), Arc::clone(&target), request);
        let mut exchange = exchange.tallied(self.tally, None);
        loop {
            let (mut opened, body) = exchange.whole(ANSWER_BYTES_MAX).await?;
            opened.release();
            if !(200..300).contains(&opened.incoming.status) {
                return Ok(None);
            }
            if !target.is_home(opened.url.expose()) {
                let problem = "an answer about a job counts only from the api's own domains".into();
                let target = opened.url.to_string();
                return Err(exchange.error(Failure::Redirect { target, problem }));
            }
            match exact_json(&body) {
                Ok(answer) => return Ok(Some(Told { exchange, opened, body, answer })),
                // A page for people is asked for again, as everywhere.
                Err(_) if body.trim_ascii_start().starts_with(b"<") => {
                    let title = title(&String::from_utf8_lossy(&body));
                    let title = title.map(|title| self.connector.redacted(&title));
                    exchange.broke(Failure::Page { format: "JSON", title }).await?;
                }
                Err(error) => {
                    let excerpt = excerpt(&body, self.connector.redactor());
                    let problem = self.connector.redacted(&error.to_string());
                    return Err(exchange.error(Failure::NotJson { problem, excerpt }));
                }
            }
        }
    }

    fn id(&self, told: &Told) -> Result<String, CallError> {
        let found = self.job.id.find(&told.answer);
        match found {
            Some(Value::String(id)) if (1..=ID_BYTES_MAX).contains(&id.len()) => Ok(id.clone()),
            Some(Value::Number(id)) => Ok(id.to_string()),
            _ => Err(self.lacks(told, "the job's id", &self.job.id, found)),
        }
    }

    /// The request for what the job made, with the headers that may go there.
    fn download(&self, told: &Told, path: &RecordPath) -> Result<Request, CallError> {
        let found = path.find(&told.answer);
        let Some(location) = found.and_then(Value::as_str).filter(|text| !text.is_empty()) else {
            return Err(self.lacks(told, "the URL of what the job made", path, found));
        };
        let asked = told.exchange.request();
        let stays = asked.url.expose().origin() == told.opened.url.expose().origin();
        let hop = Hop {
            method: Method::Get,
            url: told.opened.url.clone(),
            headers: if stays { asked.headers.clone() } else { Vec::new() },
            body: None,
            is_home: true,
        };
        let refused = |problem: String| {
            let excerpt = Excerpt::default();
            let (what, path) = ("the URL of what the job made", path.to_string());
            let problem = format!("is not followed: {problem}");
            told.exchange.error(Failure::Job(JobFailure::Answer { what, path, problem, excerpt }))
        };
        let next = match hop.after(303, &[("location".to_owned(), location.to_owned())]) {
            Ok(Some(next)) => next,
            Ok(None) => return Err(refused("it leads nowhere".into())),
            Err(Failure::Redirect { problem, .. }) => return Err(refused(problem)),
            Err(other) => return Err(told.exchange.error(other)),
        };
        let target = self.connector.target(self.api)?;
        let (from, to) = (told.opened.url.expose(), next.url.expose());
        let is_led = is_led(asked.manner.is_led, from, to, target.is_home(to));
        let mut request = Request::new(Method::Get, next.url);
        request.manner.is_led = is_led;
        request.headers = next.headers;
        request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("accept"));
        if let Some(accepted) = plan::accepted(self.resource) {
            request.headers.push(("accept".to_owned(), accepted.to_owned()));
        }
        Ok(request)
    }

    /// The answer about the job as the page.
    async fn page(&self, told: Told) -> Result<OpenPage, CallError> {
        let Told { exchange, opened, body, .. } = told;
        OpenPage::of(self.connector.clone(), exchange, opened, &body, self.shape.clone()).await
    }

    fn lacks(
        &self,
        told: &Told,
        what: &'static str,
        path: &RecordPath,
        found: Option<&Value>,
    ) -> CallError {
        let problem = match found {
            None | Some(Value::Null) => "is not there".to_owned(),
            Some(_) => "is not a text that can be one".to_owned(),
        };
        let excerpt = excerpt(&told.body, self.connector.redactor());
        let path = path.to_string();
        told.exchange.error(Failure::Job(JobFailure::Answer { what, path, problem, excerpt }))
    }
}

/// Where a plan shows that a job is asked for.
pub(crate) fn planned(homes: &[Url], job: &Job, values: &dyn Values) -> Result<Request, CallError> {
    let url = plan::resource_url(homes, &job.poll.path, values)?;
    Ok(Request::new(Method::Get, SafeUrl::new(url)).with_defaults())
}
