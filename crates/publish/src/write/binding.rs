//! The webhooks of an event: what other apis do with the row before it is final.
//!
//! In: a row that was written in an open transaction and that no rule stands against. Out: the row
//! with the outputs in it. Each call is made while the row is kept from other writers: a row that
//! breaks a rule calls nobody, and a call that fails leaves no row. What a call did stays done when
//! the end of the transaction fails; with an `Idempotency-Key` the api is asked by the same key
//! when the request comes again.
//!
//! What never happens here: a call for a request that only validates.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use restway_model::definition::{AppEvent, Binding, Piece, pieces};
use restway_model::{Code, Explain, Name};
use serde_json::value::RawValue;

use super::row::Row;
use super::session::{Done, Session, What};
use super::values::{self, Place};
use crate::plan::{self, Value};
use crate::refusal::Refusal;
use crate::source::{Column, Kind};
use crate::statement::change::{self, Assigned};
use crate::webhooks::{Argument, Order, Webhooks};

/// A binding with its texts cut at their references.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) webhook: String,
    with: Vec<(Name, With)>,
    /// Columns, and the output that each gets.
    set: Vec<(String, String)>,
    sql: Vec<Vec<Piece>>,
}

/// What a parameter gets.
#[derive(Debug)]
enum With {
    Text(Vec<Piece>),
    Json(serde_json::Value),
}

impl Bound {
    /// What the file says.
    pub(super) fn of(binding: &Binding) -> Self {
        let with = binding.with.iter().map(|(name, value)| {
            let text = value.as_str().and_then(|text| pieces(text).ok());
            (name.clone(), text.map_or_else(|| With::Json(value.clone()), With::Text))
        });
        let set = binding.set.iter().map(|(column, output)| (column.clone(), output.0.clone()));
        Self {
            webhook: binding.call.clone(),
            with: with.collect(),
            set: set.collect(),
            sql: binding.sql.iter().filter_map(|text| pieces(text).ok()).collect(),
        }
    }

    /// The parameters, from a row.
    fn arguments(&self, row: &Row) -> Result<BTreeMap<Name, Argument>, Refusal> {
        let known = |name: &String| {
            let raw = row.raw(name).ok_or_else(|| missing(name))?;
            Ok::<_, Refusal>((raw != "null").then(|| row.text_of(name).unwrap_or_default()))
        };
        let mut arguments = BTreeMap::new();
        for (param, with) in &self.with {
            let argument = match with {
                With::Json(value) => Some(Argument::Json(value.clone())),
                With::Text(all) => match all.as_slice() {
                    [Piece::Row(name)] => known(name)?.map(Argument::Text),
                    all => {
                        let mut text = String::new();
                        for piece in all {
                            match piece {
                                Piece::Text(piece) => text.push_str(piece),
                                Piece::Row(name) | Piece::Item(name) | Piece::Caller(name) => {
                                    text.push_str(&known(name)?.unwrap_or_default());
                                }
                            }
                        }
                        Some(Argument::Text(text))
                    }
                },
            };
            arguments.extend(argument.map(|argument| (param.clone(), argument)));
        }
        Ok(arguments)
    }
}

/// Who calls, and how the same call is known again.
pub(super) struct Calls<'a> {
    pub(super) webhooks: Option<&'a dyn Webhooks>,
    pub(super) person: &'a str,
    pub(super) key: Option<&'a str>,
    /// Whether there was any call.
    pub(super) made: &'a AtomicBool,
}

/// An output that does not fit where it should go.
#[derive(Debug, thiserror::Error)]
#[error("the output `{output}` of `{webhook}` {problem}")]
struct Misfit {
    webhook: String,
    output: String,
    problem: String,
}

impl Explain for Misfit {
    fn code(&self) -> Code {
        Code::WebhookAnswer
    }

    fn hints(&self) -> Vec<String> {
        vec!["look at what it answers with `restway call`".to_owned()]
    }
}

type Outputs = Vec<(String, Box<RawValue>)>;

/// Runs the webhooks of an event, one after the other, and puts their outputs into their places.
pub(super) async fn run(
    session: &mut Session<'_, '_>,
    mut done: Done,
    event: &AppEvent,
    place: &Place,
) -> Result<Done, Refusal> {
    let bindings = session.object.writing.bindings(event);
    if bindings.is_empty() || session.wishes.only_validates {
        return Ok(done);
    }
    let Some(webhooks) = session.calls.webhooks else {
        return Err(Refusal::Unfit { reason: "nobody here runs webhooks".to_owned() });
    };
    for (at, binding) in bindings.iter().enumerate() {
        let order = Order {
            webhook: binding.webhook.clone(),
            arguments: binding.arguments(&done.row)?,
            person: session.calls.person.to_owned(),
            key: session.calls.key.map(|key| format!("{key}-{at}")),
        };
        session.calls.made.store(true, Ordering::Relaxed);
        let outputs = webhooks.run(order).await.map_err(Refusal::Called)?;
        done = set(session, done, event, binding, &outputs, place).await?;
        for pieces in &binding.sql {
            execute(session, &done.row, binding, pieces, &outputs, place).await?;
        }
    }
    match done.what {
        What::Deleted => Ok(done),
        // Statements may have changed it once more.
        _ => {
            let key = done.row.key(session.key)?;
            let row = session.stored(&key, false).await?.ok_or(Refusal::NoItem)?;
            session.judge(row, event, done.what, place).await
        }
    }
}

/// Writes outputs into columns of the row.
async fn set(
    session: &mut Session<'_, '_>,
    done: Done,
    event: &AppEvent,
    binding: &Bound,
    outputs: &Outputs,
    place: &Place,
) -> Result<Done, Refusal> {
    if binding.set.is_empty() {
        return Ok(done);
    }
    let mut assigned = Vec::with_capacity(binding.set.len());
    for (name, output) in &binding.set {
        let description = session.description;
        let column = plan::column(&description.columns, name).ok_or_else(|| missing(name))?;
        let raw = found(binding, output, outputs)?;
        let value =
            values::of_json(column, raw).map_err(|problem| misfit(binding, output, problem))?;
        assigned.push(Assigned { column, value });
    }
    let key = done.row.key(session.key)?;
    let (dialect, relation) = (session.object.source.dialect(), &session.object.relation);
    session.run(&change::update(dialect, relation, &assigned, &key), place).await?;
    let row = session.stored(&key, false).await?.ok_or(Refusal::NoItem)?;
    session.judge(row, event, done.what, place).await
}

/// Runs a statement with values of the row and outputs.
async fn execute(
    session: &mut Session<'_, '_>,
    row: &Row,
    binding: &Bound,
    pieces: &[Piece],
    outputs: &Outputs,
    place: &Place,
) -> Result<(), Refusal> {
    let mut columns = Vec::new();
    for piece in pieces {
        columns.push(match piece {
            Piece::Text(_) => continue,
            Piece::Row(name) | Piece::Item(name) => {
                let column = plan::column(&session.description.columns, name);
                let column = column.ok_or_else(|| missing(name))?;
                (column.clone(), row.value(column))
            }
            Piece::Caller(name) => typed(name, found(binding, name, outputs)?),
        });
    }
    let bound: Vec<Assigned<'_>> =
        columns.iter().map(|(column, value)| Assigned { column, value: value.clone() }).collect();
    let statement = change::event(session.object.source.dialect(), pieces, &bound);
    session.run(&statement, place).await.map(|_| ())
}

fn found<'o>(binding: &Bound, output: &str, outputs: &'o Outputs) -> Result<&'o RawValue, Refusal> {
    let found = outputs.iter().find(|(name, _)| name == output);
    found.map(|(_, raw)| &**raw).ok_or_else(|| misfit(binding, output, "is not there".to_owned()))
}

/// An output as a value of the type that its JSON shows.
fn typed(name: &str, raw: &RawValue) -> (Column, Option<Value>) {
    let text = raw.get();
    let kinds: &[Kind] = match text.bytes().next() {
        Some(b'n') | None => return (Column::new(name, Kind::Null), None),
        Some(b't' | b'f') => &[Kind::Bool],
        Some(b'"') => &[Kind::Text],
        Some(b'{' | b'[') => &[Kind::Json],
        Some(_) => &[Kind::Int64, Kind::Number, Kind::Float64],
    };
    let text = match kinds {
        [Kind::Text] => serde_json::from_str(text).unwrap_or_default(),
        _ => text.to_owned(),
    };
    let read = kinds.iter().find_map(|kind| Some((*kind, Value::of(*kind, &text)?)));
    match read {
        Some((kind, value)) => (Column::new(name, kind), Some(value)),
        None => (Column::new(name, Kind::Text), Value::of(Kind::Text, &text)),
    }
}

fn missing(column: &str) -> Refusal {
    Refusal::Unfit { reason: format!("a call names the column `{column}`, which is not there") }
}

fn misfit(binding: &Bound, output: &str, problem: String) -> Refusal {
    let (webhook, output) = (binding.webhook.clone(), output.to_owned());
    Refusal::Called(Box::new(Misfit { webhook, output, problem }))
}
