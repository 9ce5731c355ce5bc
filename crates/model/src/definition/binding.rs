//! `on:` of an object: webhooks that an event runs, and what becomes of their outputs.
//!
//! In: the words of an app file. Out: what is called, with which values of the row, and where each
//! output goes: into columns of the row, or into statements of the author's own. What is refused
//! here is what no row could make right; whether the webhook is there and takes the parameters is
//! asked where all files of a workspace are known.
//!
//! The behaviour follows Jitterbit App Builder's CRUD rules, whose response is read with
//! `caller()`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::meaning::Finder;
use super::problem::Source;
use super::writing::{Piece, pieces, quotes_a_reference};
use super::{ApiFile, AppEvent, AppFile, Object, Problem, ValueType, yaml};
use crate::{Name, nearest};

/// Webhooks of one event.
const BINDINGS_MAX: usize = 8;

/// A webhook that an event runs, after the row is written and before that is final.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The webhook, as `api.webhook`.
    pub call: String,
    /// What it is given, by parameter. In a text, `${row.name}` is a value of the row as it is now;
    /// a lone one is read by the parameter's type, and leaves the parameter out when it is null.
    #[serde(default)]
    pub with: BTreeMap<Name, Value>,
    /// Columns of the row, each with the output that it gets, as `caller.OUTPUT`.
    #[serde(default)]
    pub set: BTreeMap<String, CallerOutput>,
    /// Statements in the database's own SQL, in order. `${row.name}` is a value of the row,
    /// `${caller.output}` an output; lists and records are JSON text.
    #[serde(default)]
    pub sql: Vec<String>,
}

/// An output of the webhook that was called: `caller.account_id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerOutput(pub String);

impl FromStr for CallerOutput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("caller.") {
            Some(name) if !name.is_empty() => Ok(Self(name.to_owned())),
            _ => Err(format!("`{text}` is no output of the call: write `caller.OUTPUT`")),
        }
    }
}

impl fmt::Display for CallerOutput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "caller.{}", self.0)
    }
}

impl<'de> Deserialize<'de> for CallerOutput {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for CallerOutput {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CallerOutput".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^caller\\..+" })
    }
}

impl Binding {
    /// The api and the webhook.
    pub fn names(&self) -> Option<(Name, Name)> {
        let (api, webhook) = self.call.split_once('.')?;
        Some((api.parse().ok()?, webhook.parse().ok()?))
    }

    /// The outputs that it reads, in no order.
    pub fn outputs(&self) -> Vec<String> {
        let in_sql = self.sql.iter().filter_map(|text| pieces(text).ok()).flatten();
        let in_sql = in_sql.filter_map(|piece| match piece {
            Piece::Caller(name) => Some(name),
            _ => None,
        });
        self.set.values().map(|output| output.0.clone()).chain(in_sql).collect()
    }
}

/// Problems of an object's bindings.
pub(super) fn check(finder: &mut Finder<'_>, name: &Name, object: &Object) {
    for (event, bindings) in &object.on {
        let at = ["objects", name.as_str(), "on", event.as_str()];
        let problem = match AppEvent::of(event) {
            AppEvent::Filter | AppEvent::Export => Some("reading calls nothing".to_owned()),
            AppEvent::Own(own) if !object.events.contains_key(&own) => {
                Some(format!("there is no event `{own}`"))
            }
            _ => None,
        };
        problem.into_iter().for_each(|problem| finder.report(&at, problem, None));
        if bindings.len() > BINDINGS_MAX {
            finder.report(&at, format!("at most {BINDINGS_MAX} calls"), None);
        }
        for (number, binding) in bindings.iter().enumerate() {
            let number = number.to_string();
            let at = [&at[..], &[number.as_str()]].concat();
            check_one(finder, &at, event, binding);
        }
    }
}

fn check_one(finder: &mut Finder<'_>, at: &[&str], event: &Name, binding: &Binding) {
    if binding.names().is_none() {
        let problem = format!("`{}` is no webhook", binding.call);
        finder.report(&[at, &["call"]].concat(), problem, Some("write `api.webhook`".to_owned()));
    }
    if AppEvent::of(event) == AppEvent::Delete && !binding.set.is_empty() {
        finder.report(&[at, &["set"]].concat(), "the row is gone by then", None);
    }
    for (param, value) in &binding.with {
        let problem = match value {
            Value::String(text) => match pieces(text) {
                Err(problem) => Some(problem),
                Ok(all) => all.iter().find_map(|piece| match piece {
                    Piece::Text(_) | Piece::Row(_) => None,
                    Piece::Item(_) | Piece::Caller(_) => Some("it knows `${row.…}` only".into()),
                }),
            },
            Value::Array(_) | Value::Object(_) if value.to_string().contains("${") => {
                Some("references stand in a text of their own, not inside a list or record".into())
            }
            _ => None,
        };
        let path = [at, &["with", param.as_str()]].concat();
        problem.into_iter().for_each(|problem: String| finder.report(&path, problem, None));
    }
    for (number, text) in binding.sql.iter().enumerate() {
        let number = number.to_string();
        let path = [at, &["sql", number.as_str()]].concat();
        match pieces(text) {
            Err(problem) => finder.report(&path, problem, None),
            Ok(all) if all.iter().any(|piece| matches!(piece, Piece::Item(_))) => {
                finder.report(&path, "it knows `${row.…}` and `${caller.…}`", None);
            }
            Ok(all) if quotes_a_reference(&all) => {
                let hint = Some("leave the quotes out: the value is bound".to_owned());
                finder.report(&path, "a reference stands between quotes", hint);
            }
            Ok(_) => {}
        }
    }
}

/// What the bindings of an app ask of webhooks that are not there or take something else; `apis`
/// finds an api by its name.
pub fn misbound<'a>(
    file: &str,
    text: &str,
    app: &AppFile,
    apis: impl Fn(&Name) -> Option<&'a ApiFile>,
) -> Vec<Problem> {
    let source = Source { file, text };
    let mut problems = Vec::new();
    let Ok((node, _)) = yaml::parse(&source) else { return problems };
    let mut finder = Finder::new(&source, &node, &mut problems);
    for (name, object) in &app.objects {
        for (event, bindings) in &object.on {
            for (number, binding) in bindings.iter().enumerate() {
                let number = number.to_string();
                let at = ["objects", name.as_str(), "on", event.as_str(), number.as_str()];
                misbound_one(&mut finder, &at, binding, &apis);
            }
        }
    }
    problems
}

fn misbound_one<'a>(
    finder: &mut Finder<'_>,
    at: &[&str],
    binding: &Binding,
    apis: &impl Fn(&Name) -> Option<&'a ApiFile>,
) {
    let Some((api, name)) = binding.names() else { return };
    let call = [at, &["call"]].concat();
    let Some(file) = apis(&api) else {
        return finder.report(&call, format!("there is no api `{api}`"), None);
    };
    let did_you_mean = |near: Option<&str>| near.map(|near| format!("did you mean `{near}`?"));
    let Some(webhook) = file.webhooks.get(&name) else {
        let near = nearest(name.as_str(), file.webhooks.keys().map(Name::as_str));
        let problem = format!("`{api}` has no webhook `{name}`");
        return finder.report(&call, problem, did_you_mean(near));
    };
    for param in binding.with.keys() {
        let path = [at, &["with", param.as_str()]].concat();
        match webhook.params.get(param) {
            None => {
                let near = nearest(param.as_str(), webhook.params.keys().map(Name::as_str));
                let problem = format!("`{}` has no parameter `{param}`", binding.call);
                finder.report(&path, problem, did_you_mean(near));
            }
            Some(known) if known.kind == ValueType::Attachment => {
                let problem = "a row does not say which file of the workspace is sent";
                finder.report(&path, problem, None);
            }
            Some(_) => {}
        }
    }
    for (param, known) in &webhook.params {
        if known.is_required() && !binding.with.contains_key(param) {
            let problem = format!("`{}` needs the parameter `{param}`", binding.call);
            finder.report(&call, problem, Some("give it in `with`".to_owned()));
        }
    }
    for output in binding.outputs() {
        if !webhook.outputs.contains_key(&output) {
            let near = nearest(&output, webhook.outputs.keys().map(String::as_str));
            let problem = format!("`{}` has no output `{output}`", binding.call);
            finder.report(&call, problem, did_you_mean(near));
        }
    }
}
