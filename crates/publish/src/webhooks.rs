//! Webhooks as this room knows them: somebody runs one and gives its outputs.
//!
//! In: the name of a webhook, values of a row, and who asks. Out: its outputs as exact JSON. What
//! never happens here: a call; the room above has the engine for that.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use restway_model::{Explain, Name};
use serde_json::Value;
use serde_json::value::RawValue;

/// What a webhook is to be run with.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The webhook, `api.webhook`.
    pub webhook: String,
    /// Its parameters; what is null in the row is left out.
    pub arguments: BTreeMap<Name, Argument>,
    /// Who asks.
    pub person: String,
    /// What tells the same order when it comes again; none when it is the only one of its kind.
    pub key: Option<String>,
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// The text of a value, which is read by the parameter's type.
    Text(String),
    /// A value of the app's author, which has the type.
    Json(Value),
}

/// The outputs of a webhook by name, or why there are none.
pub type Running<'a> = Pin<
    Box<dyn Future<Output = Result<Vec<(String, Box<RawValue>)>, Box<dyn Explain>>> + Send + 'a>,
>;

/// Somebody who runs webhooks.
pub trait Webhooks: Send + Sync {
    /// How long a webhook may take.
    fn time_max(&self, webhook: &str) -> Duration;

    /// Runs it to its end, also when nobody waits any more.
    fn run(&self, order: Order) -> Running<'_>;
}
