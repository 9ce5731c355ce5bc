//! The files of a workspace: their grammar, and the reading of them.
//!
//! The Rust types of this module are the grammar. From them come the JSON Schemas for editors, the
//! reference pages, and the check that finds every unknown key, missing key and wrong type of a
//! file at once, each with its line and column.

mod access;
mod api;
mod app;
mod auth;
mod binding;
mod body;
mod decode;
mod deprecated;
mod export;
mod export_meaning;
mod files;
mod foreign;
mod format;
mod grammar;
mod identity;
mod incremental;
mod inputs;
mod job;
mod landing;
mod live;
mod meaning;
mod origin;
mod paging;
mod param;
mod problem;
mod proxy;
mod request;
mod request_meaning;
mod shown;
mod tls;
mod unused;
mod webhook;
mod webhook_meaning;
mod workspace;
mod writing;
mod yaml;

pub use access::{
    ANONYMOUS, AUTHENTICATED, Access, All, AppEvent, AppLimits, GrantEntry, ObjectGrant,
};
pub use api::{
    ApiFile, ApiLimits, Defaults, Key, Method, Nest, OnStatus, QueryValue, Resource, ResourceEntry,
    ResourceSettings, Retry,
};
pub use app::{AppFile, Object};
pub use auth::{
    Assertion, AssertionPreset, Auth, ClientAuth, Domain, Grant, HmacAlgorithm, JwtAlgorithm,
    KeyEncoding, ScopeIn, SignatureEncoding,
};
pub use binding::{Binding, CallerOutput, misbound};
pub use body::ResourceBody;
pub use deprecated::Deprecated;
pub use export::{Export, ExportFrom, OnError};
pub use export_meaning::{DEAD_LETTERS, OUTCOME_COLUMNS};
pub use files::Files;
pub use foreign::foreign_value;
pub use format::{
    Archive, ArchiveEntry, ArchiveKind, Charset, CsvFormat, Format, FormatEntry, FormatKind, Header,
};
pub use identity::Identity;
pub use incremental::{Checkpoint, CursorScope, Incremental, SendCursor, StartValue};
pub use inputs::{CallInputs, Multipart, Part, PartHeader, Preset, RetryBackoff};
pub use job::{Job, Poll};
pub use landing::{
    ColumnRule, Contract, Deletes, InvalidPercent, Load, MaxRejects, Percent, TypeRule,
};
pub use live::Live;
pub use origin::{AppSource, From, FromQuery, LIVE, Origin, SourceKind};
pub use paging::{Paginate, PaginateEntry, PaginateKind, Slot};
pub use param::{Param, ValueProblem, ValueType};
pub use problem::Problem;
pub use proxy::Proxy;
pub use request::{CallPart, CallRequest, Idempotency};
pub use tls::{Tls, TlsVersion};
pub use webhook::{CALLS_MAX, History, Output, OutputEntry, TIMEOUT_MAX, Webhook, WebhookCall};
pub use workspace::{Egress, Forwarding, Issuer, Metadata, REQUESTS, Serve, WorkspaceFile};
pub use writing::{OwnEvent, Piece, Rule, Severity, pieces};

pub use meaning::LAKE;
use meaning::Meaning;
use problem::Source;

/// A kind of definition file.
pub trait Definition: serde::de::DeserializeOwned + schemars::JsonSchema + Meaning {}

impl<T: serde::de::DeserializeOwned + schemars::JsonSchema + Meaning> Definition for T {}

/// The JSON Schema of a kind of file, for editors.
pub fn schema<T: Definition>() -> serde_json::Value {
    schemars::schema_for!(T).to_value()
}

/// Reads a definition file. `file` is its name as the person knows it.
///
/// # Errors
/// Every problem of the file, in the order of its lines.
pub fn read<T: Definition>(file: &str, text: &str) -> Result<T, Vec<Problem>> {
    let source = Source { file, text };
    let (node, mut problems) = yaml::parse(&source).map_err(|problem| vec![problem])?;
    problems.extend(grammar::check(&source, &schema::<T>(), &node));
    let read = if problems.is_empty() {
        match decode::decode::<T>(&node) {
            Ok(definition) => {
                definition.check(&mut meaning::Finder::new(&source, &node, &mut problems));
                Some(definition)
            }
            Err(refusal) => {
                problems.push(source.problem(refusal.at, refusal.message));
                None
            }
        }
    } else {
        None
    };
    problems.sort_by_key(|problem| (problem.place.line, problem.place.column));
    match read {
        Some(definition) if problems.is_empty() => Ok(definition),
        _ => Err(problems),
    }
}

/// The check of inputs that were made in code and have no file.
///
/// # Errors
/// Every problem; their places mean nothing.
pub fn check_inputs(inputs: &CallInputs) -> Result<(), Vec<Problem>> {
    let source = Source { file: "", text: "" };
    let node = yaml::Node { at: problem::At::START, value: yaml::Value::Null };
    let mut problems = Vec::new();
    inputs.check(&mut meaning::Finder::new(&source, &node, &mut problems));
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Any YAML or JSON text as a value, by the same strict rules as definition files.
///
/// # Errors
/// What is no YAML.
pub fn yaml_value(file: &str, text: &str) -> Result<serde_json::Value, Problem> {
    let source = Source { file, text };
    let (node, problems) = yaml::parse(&source)?;
    if let Some(first) = problems.into_iter().next() {
        return Err(first);
    }
    decode::decode(&node).map_err(|refusal| source.problem(refusal.at, refusal.message))
}

/// The problem of two files that define the same name, at the name in the second of them.
pub fn duplicate(file: &str, text: &str, name: &str, first_file: &str) -> Problem {
    let source = Source { file, text };
    let at =
        yaml::parse(&source).map_or(problem::At::START, |(node, _)| yaml::first_text(&node, name));
    source
        .problem(at, format!("`{name}` is defined twice; first in {first_file}"))
        .with_hint("give one of the two another name".to_owned())
}

#[cfg(test)]
mod tests;
