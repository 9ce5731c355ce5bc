//! `webhooks:` of an api: named, typed calls, one after the other.
//!
//! In: the file. Out: what the engine runs. A webhook has typed parameters, calls that may read
//! them and the answers of the calls before (`${calls.id.path}`), and outputs taken from answers.
//! What it may not mean is refused in `webhook_meaning`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{CallRequest, Idempotency, Method, Param, ValueType};
use crate::{CallPath, Name, Rate, Timespan};

/// The most calls of one webhook.
pub const CALLS_MAX: usize = 20;
/// The longest `timeout`: Palantir's bound for webhooks.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(180);
const TIMEOUT: Duration = Duration::from_secs(20);
const KEEP: Duration = Duration::from_secs(183 * 24 * 3600);

/// A named call, or chain of calls, with typed parameters and outputs.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// What people call it.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What a run is given, by name: `${param.NAME}`.
    #[serde(default)]
    pub params: BTreeMap<Name, Param>,
    /// The calls, in order; at most 20. With more than one that changes something, each of those
    /// must be safe to repeat: PUT, DELETE, or with `idempotency`.
    pub calls: Vec<WebhookCall>,
    /// What a run answers, by name, from the answers of the calls.
    #[serde(default)]
    pub outputs: BTreeMap<String, OutputEntry>,
    /// How long a run may take in all, waiting for its turn included; 20s without it, at most 3m.
    pub timeout: Option<Timespan>,
    /// How many runs may be under way at once; 64 without it.
    pub concurrency: Option<u16>,
    /// Rates of runs that must all hold.
    #[serde(default)]
    pub rate: Vec<Rate>,
    /// What the history keeps beside user, time and outcome.
    #[serde(default)]
    pub history: History,
    /// How long inputs and answers are kept, with `history: full`; 183d without it.
    pub keep: Option<Timespan>,
}

impl Webhook {
    /// How long a run may take.
    pub fn timeout(&self) -> Duration {
        self.timeout.map_or(TIMEOUT, |span| span.0)
    }

    /// How long inputs and answers are kept.
    pub fn keep(&self) -> Duration {
        self.keep.map_or(KEEP, |span| span.0)
    }
}

/// What the history keeps of a webhook's runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// Who, when, success or failure, and each call's status: no input, no text of an answer.
    #[default]
    Outcome,
    /// Inputs and answers too, secrets masked, 64 KiB of each at most, for as long as `keep` says.
    Full,
}

/// One call of a webhook.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookCall {
    /// The name that outputs and later calls know its answer by: `${calls.ID.path}`.
    pub id: Name,
    /// What is sent.
    #[serde(flatten)]
    pub request: CallRequest,
    /// How the api is kept from doing the call twice; a call that has it is sent again as `retry`
    /// says, while others that change something are sent once.
    pub idempotency: Option<Idempotency>,
    /// Whether the history may keep the answer, and the answer be shown. Values that later calls
    /// take from an answer that is not kept are masked like secrets.
    #[serde(default = "yes")]
    pub store: bool,
}

const fn yes() -> bool {
    true
}

impl WebhookCall {
    /// Whether the call changes something at the api: safe methods do not (RFC 9110, 9.2.1).
    pub const fn writes(&self) -> bool {
        let request = &self.request;
        !request.safe && !matches!(request.method, Method::Get | Method::Head | Method::Options)
    }

    /// Whether it may be sent again without a person's word.
    pub const fn is_repeatable(&self) -> bool {
        !self.writes() || self.idempotency.is_some()
    }
}

/// Where an output is: the place alone, or the place and a type.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OutputEntry {
    /// `call_id.path`; the id alone is the whole answer as text.
    Path(CallPath),
    /// All keys.
    Full(Output),
}

/// An output with its type.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// `call_id.path`; the id alone is the whole answer.
    pub from: CallPath,
    /// The type that it must have, or is made to: a string of another value is its JSON text, a
    /// record of a text is the text parsed, a double takes whole numbers.
    #[serde(rename = "type")]
    pub kind: Option<ValueType>,
    /// Whether a run fails without it; otherwise it is null.
    #[serde(default = "yes")]
    pub required: bool,
}

impl OutputEntry {
    /// The place, with the keys of the long form.
    pub fn resolve(&self) -> Output {
        match self {
            Self::Path(from) => Output { from: from.clone(), kind: None, required: true },
            Self::Full(output) => output.clone(),
        }
    }
}
