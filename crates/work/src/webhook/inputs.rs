//! What a webhook is given, checked against its parameters.
//!
//! In: texts of a command line and JSON of a file. Out: typed values, the bytes of attachments, or
//! every problem at once. Values of secret parameters are told to the redactor before anything
//! else can see them. An attachment is a file below the workspace, never one of its state.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use restway_connect::Attachment;
use restway_model::definition::{Param, ValueProblem, ValueType, Webhook};
use restway_model::{Name, Redactor, Scope, Secret, Values, nearest};
use serde_json::{Map, Value};

use super::{ParamProblem, WebhookError};
use crate::WorkError;
use crate::workspace::STATE;

/// The largest attachment.
const ATTACHMENT_BYTES_MAX: u64 = 16 << 20;

/// Parameters by name.
#[derive(Debug, Clone, Default)]
pub struct Given(pub BTreeMap<String, GivenValue>);

/// What becomes of a parameter that must be given and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// It is a problem.
    Refused,
    /// Its name stands for it, in a plan.
    Shown,
}

/// What the parameters are taken with.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// The workspace, whose files attachments are.
    pub(super) folder: &'a Path,
    /// Learns what is secret.
    pub(super) redactor: &'a Redactor,
}

/// A parameter's value as it came.
#[derive(Debug, Clone)]
pub enum GivenValue {
    /// An argument: a text, which is read by the parameter's type.
    Text(String),
    /// JSON, which must be of the type.
    Json(Value),
}

/// The parameters of a run.
pub(super) struct Inputs {
    values: Map<String, Value>,
    files: BTreeMap<Name, (String, Bytes)>,
    secret: Vec<Name>,
    /// Those that were not given and have no default.
    absent: Vec<Name>,
}

impl Inputs {
    pub(super) fn take(
        webhook: &Webhook,
        name: &str,
        given: Given,
        absent: Absent,
        known: Known<'_>,
    ) -> Result<Self, WorkError> {
        let Given(mut given) = given;
        let mut inputs = Self {
            values: Map::new(),
            files: BTreeMap::new(),
            secret: webhook
                .params
                .iter()
                .filter(|(_, param)| param.secret)
                .map(|(name, _)| name.clone())
                .collect(),
            absent: Vec::new(),
        };
        let mut problems = Vec::new();
        for (param_name, param) in &webhook.params {
            let value = given.remove(param_name.as_str());
            if value.is_none() && param.is_required() && absent == Absent::Shown {
                continue;
            }
            if value.is_none() && param.default.is_none() {
                inputs.absent.push(param_name.clone());
            }
            if param.secret {
                value.iter().for_each(|value| learn(value, known.redactor));
            }
            let taken = take_one(param_name, param, value, &mut problems);
            if param.kind == ValueType::Attachment
                && let Value::String(path) = &taken
            {
                match read_file(known.folder, path) {
                    Ok(bytes) => {
                        inputs.files.insert(param_name.clone(), (path.clone(), bytes));
                    }
                    Err(problem) => problems.push(said(param_name, problem, None)),
                }
            }
            inputs.values.insert(param_name.to_string(), taken);
        }
        for unknown in given.keys() {
            let near = nearest(unknown, webhook.params.keys().map(Name::as_str));
            let names: Vec<&str> = webhook.params.keys().map(Name::as_str).collect();
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the parameters are {}", names.join(", ")),
            };
            problems.push(said(unknown, "is not known".into(), Some(hint)));
        }
        if problems.is_empty() {
            return Ok(inputs);
        }
        let problems = problems.into_iter().map(|ValueProblem { path, problem, hint }| {
            ParamProblem { webhook: name.to_owned(), path, problem, hint }
        });
        Err(WorkError::Webhook(Box::new(WebhookError::Params(problems.collect()))))
    }

    /// The value of `${param.name}`; an attachment's is its content as base64.
    pub(super) fn value(&self, name: &str) -> Result<Value, String> {
        let file = self.files.iter().find(|(known, _)| known.as_str() == name);
        match file {
            Some((_, (_, bytes))) => Ok(Value::String(STANDARD.encode(bytes))),
            None => self.values.get(name).cloned().ok_or_else(|| "is not given".into()),
        }
    }

    /// Whether a parameter was not given and has no default.
    pub(super) fn is_absent(&self, name: &str) -> bool {
        self.absent.iter().any(|absent| absent.as_str() == name)
    }

    /// The attachment that a parameter is.
    pub(super) fn attachment(&self, name: &Name) -> Option<Attachment> {
        let (path, bytes) = self.files.get(name)?;
        let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
        Some(Attachment { name, bytes: bytes.clone() })
    }

    /// The same for a plan: a name for the content.
    pub(super) fn planned_attachment(&self, name: &Name) -> Option<Attachment> {
        if self.values.get(name.as_str()).is_some_and(Value::is_null) {
            return None;
        }
        let shown = format!("${{param.{name}}}");
        let known = self.attachment(name).map_or_else(|| shown.clone(), |file| file.name);
        Some(Attachment { name: known, bytes: shown.into() })
    }

    /// The parameters as JSON for the history: secrets masked, attachments by their paths.
    pub(super) fn shown(&self) -> String {
        let mut values = self.values.clone();
        for name in &self.secret {
            if let Some(value) = values.get_mut(name.as_str()) {
                *value = Value::from("***");
            }
        }
        Value::Object(values).to_string()
    }

    /// The values for a plan: no secret, and no content of a file.
    pub(super) fn planned(&self) -> Planned<'_> {
        Planned(self)
    }
}

/// What a plan knows.
pub(super) struct Planned<'a>(&'a Inputs);

impl Values for Planned<'_> {
    fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
        let Self(inputs) = self;
        let is_hidden = inputs.secret.iter().any(|secret| secret.as_str() == name)
            || inputs.files.keys().any(|file| file.as_str() == name);
        match scope {
            Scope::Param if !is_hidden => inputs.value(name),
            _ => Err("has no value yet".into()),
        }
    }
}

fn said(path: impl ToString, problem: String, hint: Option<String>) -> ValueProblem {
    ValueProblem { path: path.to_string(), problem, hint }
}

fn learn(value: &GivenValue, redactor: &Redactor) {
    match value {
        GivenValue::Text(text) | GivenValue::Json(Value::String(text)) => {
            redactor.learn_given(&Secret::new(text.clone()));
        }
        GivenValue::Json(other) => redactor.learn_given(&Secret::new(other.to_string())),
    }
}

fn take_one(
    name: &Name,
    param: &Param,
    value: Option<GivenValue>,
    problems: &mut Vec<ValueProblem>,
) -> Value {
    let value = match value {
        None => param.absent().ok_or_else(|| said(name, "is missing".into(), None)),
        Some(GivenValue::Text(_)) if param.secret => {
            let hint = "give it in a file or on standard input, with `--params FILE|-`";
            Err(said(name, "is a secret, and others see arguments".into(), Some(hint.into())))
        }
        Some(GivenValue::Text(text)) => {
            param.read(&text).map_err(|problem| said(name, problem, None))
        }
        Some(GivenValue::Json(value)) => Ok(value),
    };
    match value {
        Ok(value) => param.take(value, name.as_str(), problems),
        Err(problem) => {
            problems.push(problem);
            Value::Null
        }
    }
}

/// A file below the workspace's folder, links followed, and not below its state.
fn read_file(folder: &Path, path: &str) -> Result<Bytes, String> {
    let failed = |error: std::io::Error| format!("cannot be read: {error}");
    let folder = fs_err::canonicalize(folder).map_err(failed)?;
    let file = fs_err::canonicalize(folder.join(path)).map_err(failed)?;
    if !file.starts_with(&folder) || file.starts_with(folder.join(STATE)) {
        return Err("must be a file of the workspace, outside of its state".into());
    }
    let size = fs_err::metadata(&file).map_err(failed)?.len();
    if size > ATTACHMENT_BYTES_MAX {
        return Err(format!("is {size} bytes long, and {ATTACHMENT_BYTES_MAX} are allowed"));
    }
    fs_err::read(&file).map(Bytes::from).map_err(failed)
}
