//! What can go wrong with a webhook, and what was done before it did.
//!
//! In: the failing call and the calls before. Out: an error for the person who asked, with
//! everything, and one for the history, without a word of an answer or an input.

use restway_connect::CallError;
use restway_model::{Code, Explain, Fault, Name, Timespan};

/// Why a webhook brought no outputs.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Parameters that are missing, unknown, or of another type; never empty.
    #[error("{}", first(.0))]
    Params(Vec<ParamProblem>),
    /// A call failed; those after it were not sent.
    #[error("`{webhook}` failed at its call `{call}`: {cause}")]
    Failed {
        /// `api.webhook`.
        webhook: String,
        /// The call.
        call: Name,
        /// Why.
        #[source]
        cause: Box<CallError>,
        /// What was done before it.
        done: Vec<Done>,
    },
    /// The calls are done, and an output cannot be taken from their answers.
    #[error("the output `{output}` of `{webhook}` cannot be taken: `{from}` {problem}")]
    Output {
        /// `api.webhook`.
        webhook: String,
        /// The output.
        output: String,
        /// Where it should be.
        from: String,
        /// What is there instead.
        problem: String,
        /// What was done.
        done: Vec<Done>,
    },
    /// It took too long.
    #[error("`{webhook}` took longer than {after}{}", waiting(.under_way.as_ref()))]
    Timeout {
        /// `api.webhook`.
        webhook: String,
        /// Its time.
        after: Timespan,
        /// The call that was under way, and whether it may have changed something.
        under_way: Option<(Name, bool)>,
        /// What was done before.
        done: Vec<Done>,
    },
    /// Somebody asked it to stop.
    #[error("`{webhook}` was asked to stop{}", waiting(.under_way.as_ref()))]
    Interrupted {
        /// `api.webhook`.
        webhook: String,
        /// The call that was under way, and whether it may have changed something.
        under_way: Option<(Name, bool)>,
        /// What was done before.
        done: Vec<Done>,
    },
}

/// A call that was answered before something failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Its id.
    pub call: Name,
    /// The status.
    pub status: u16,
    /// Whether it may have changed something.
    pub writes: bool,
    /// Whether doing it again does nothing more.
    pub is_repeatable: bool,
}

/// One thing that is wrong with the parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the parameter `{path}` of `{webhook}` {problem}")]
pub struct ParamProblem {
    /// `api.webhook`.
    pub webhook: String,
    /// The parameter, and the place in its value.
    pub path: String,
    /// What is wrong, after the name.
    pub problem: String,
    /// What helps.
    pub hint: Option<String>,
}

/// Whether the value of a `${calls.…}` was not there: the definition reads, the answer is another.
fn is_of_answers(cause: &CallError) -> bool {
    matches!(cause, CallError::Value(error) if error.scope == "calls")
}

fn first(problems: &[ParamProblem]) -> String {
    match problems {
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
        [] => "no problem".into(),
    }
}

fn waiting(under_way: Option<&(Name, bool)>) -> String {
    match under_way {
        None => ", waiting for its turn".into(),
        Some((call, true)) => {
            format!("; whether the api did the call `{call}` is not known")
        }
        Some((call, false)) => format!(", waiting for the answer to `{call}`"),
    }
}

impl WebhookError {
    /// The error for the history: no value of an input and no text of an answer.
    pub(crate) fn outcome(&self) -> String {
        match self {
            Self::Failed { webhook, call, cause, .. } => {
                let status = match cause.as_ref() {
                    CallError::Exchange { failure, .. } => failure.status(),
                    _ => None,
                };
                let why = match status {
                    Some(status) => format!("status {status}"),
                    None => cause.code().meaning().to_owned(),
                };
                format!("`{webhook}` failed at its call `{call}`: {why}")
            }
            Self::Output { webhook, output, from, .. } => {
                format!("the output `{output}` of `{webhook}` cannot be taken from `{from}`")
            }
            Self::Params(_) | Self::Timeout { .. } | Self::Interrupted { .. } => self.to_string(),
        }
    }

    fn done(&self) -> &[Done] {
        match self {
            Self::Params(_) => &[],
            Self::Failed { done, .. }
            | Self::Output { done, .. }
            | Self::Timeout { done, .. }
            | Self::Interrupted { done, .. } => done,
        }
    }
}

impl Explain for WebhookError {
    fn code(&self) -> Code {
        match self {
            Self::Params(_) => Code::ArgumentInvalid,
            Self::Failed { cause, .. } if is_of_answers(cause) => Code::WebhookAnswer,
            // Asking again would do the calls before this one again, and not only the rest.
            Self::Failed { cause, done, .. }
                if cause.code().fault() == Fault::Partly
                    && done.iter().any(|done| done.writes && !done.is_repeatable) =>
            {
                Code::CallStatus
            }
            Self::Failed { cause, .. } => cause.code(),
            Self::Output { .. } => Code::WebhookAnswer,
            Self::Timeout { .. } => Code::WebhookTimeout,
            Self::Interrupted { .. } => Code::WebhookInterrupted,
        }
    }

    fn hints(&self) -> Vec<String> {
        let mut hints = match self {
            Self::Params(problems) => problems.first().map_or(Vec::new(), Explain::hints),
            Self::Failed { cause, .. } => cause.hints(),
            Self::Output { webhook, .. } => vec![format!(
                "`restway call {webhook} --suggest` shows the places in a real answer; it calls \
                 the api"
            )],
            Self::Interrupted { .. } => Vec::new(),
            Self::Timeout { .. } => {
                vec!["a longer `timeout` in the webhook may help; 3m is the most".into()]
            }
        };
        for done in self.done().iter().filter(|done| done.writes) {
            let again = if done.is_repeatable {
                "doing it again does nothing more"
            } else {
                "running the webhook again does it again"
            };
            hints.push(format!("`{}` was done (status {}): {again}", done.call, done.status));
        }
        hints
    }
}

impl Explain for ParamProblem {
    fn code(&self) -> Code {
        Code::ArgumentInvalid
    }

    fn hints(&self) -> Vec<String> {
        self.hint.iter().cloned().collect()
    }
}
