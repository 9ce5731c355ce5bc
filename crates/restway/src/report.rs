//! How a failure is told, on the terminal and as JSON, and the exit code it ends in.

use std::error::Error;
use std::process::ExitCode;

use restway_model::{Code, Explain, Fault, Place, chain};
use restway_work::{WebhookError, WorkError};
use serde_json::{Value, json};

use crate::printer::{Color, Printer};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked is done.
    Done,
    /// It failed.
    Failed,
    /// It was asked wrongly.
    Asked,
    /// Some of it is done; the same command does the rest.
    Partly,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Asked => 2,
            Exit::Partly => 3,
        })
    }
}

impl From<Fault> for Exit {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Failed => Self::Failed,
            Fault::Asked => Self::Asked,
            Fault::Partly => Self::Partly,
        }
    }
}

/// An error on its way to the person.
#[derive(Debug)]
pub(crate) struct Failure(Box<dyn Explain>);

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl Failure {
    /// Prints the error and gives the exit code.
    pub(crate) fn report(&self, printer: &Printer) -> Exit {
        let errors = parts(self.0.as_ref());
        if printer.json {
            let list: Vec<Value> = errors.iter().map(|error| as_json(*error)).collect();
            printer.json(&json!({ "error": list.first(), "errors": list }));
        } else {
            for error in &errors {
                printer.note(&as_text(*error, printer));
            }
        }
        self.0.code().fault().into()
    }
}

/// An error, or the many that it stands for.
fn parts(error: &dyn Explain) -> Vec<&dyn Explain> {
    let plain: &dyn Error = error;
    match plain.downcast_ref::<WorkError>() {
        Some(WorkError::Definitions(problems)) => {
            problems.iter().map(|problem| problem as &dyn Explain).collect()
        }
        Some(WorkError::Webhook(webhook)) => match webhook.as_ref() {
            WebhookError::Params(problems) => {
                problems.iter().map(|problem| problem as &dyn Explain).collect()
            }
            _ => vec![error],
        },
        _ => vec![error],
    }
}

/// An error as a JSON object: code, message, causes, hints, and place or null.
pub(crate) fn as_json(error: &dyn Explain) -> Value {
    let place = error
        .place()
        .map(|place| json!({ "file": place.file, "line": place.line, "column": place.column }));
    json!({
        "code": error.code().as_str(),
        "message": error.to_string(),
        "causes": chain(error),
        "hints": error.hints(),
        "place": place,
    })
}

/// An error as lines: what, where with the person's own line, why, and what helps.
pub(crate) fn as_text(error: &dyn Explain, printer: &Printer) -> String {
    let mut text = format!(
        "{} {error} {}",
        printer.paint(Color::Red, "error:"),
        printer.paint(Color::Dim, &format!("[{}]", error.code())),
    );
    if let Some(place) = error.place() {
        text.push_str(&excerpt(&place, printer));
    }
    for cause in chain(error) {
        text.push_str(&format!("\n  because: {cause}"));
    }
    for hint in error.hints() {
        text.push_str(&format!("\n  {} {hint}", printer.paint(Color::Cyan, "hint:")));
    }
    text
}

fn excerpt(place: &Place, printer: &Printer) -> String {
    const WIDTH_MAX: usize = 160;
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let line: String = place.text.chars().take(WIDTH_MAX).collect();
    let before = place.column.saturating_sub(1).min(WIDTH_MAX);
    let width = place.width.min(line.chars().count().saturating_sub(before)).max(1);
    let carets = printer.paint(Color::Red, &"^".repeat(width));
    format!(
        "\n{margin}--> {place}\n{margin} |\n{number} | {line}\n{margin} | {}{carets}",
        " ".repeat(before)
    )
}

/// An argument that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct BadArgument {
    message: String,
    hint: Option<String>,
}

impl BadArgument {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Explain for BadArgument {
    fn code(&self) -> Code {
        Code::ArgumentInvalid
    }

    fn hints(&self) -> Vec<String> {
        self.hint.iter().cloned().collect()
    }
}
