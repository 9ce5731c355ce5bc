//! The one place that writes to standard output and standard error.
//!
//! Standard output carries what was asked for and nothing else; progress, notes, logs and errors
//! go to standard error, each line past the redactor. A reader that goes away ends the program
//! quietly, as it does every well-behaved tool.

use std::io::{self, IsTerminal, Write};

use restway_model::Redactor;
use serde_json::Value;

use crate::arguments::Global;

/// The colours, by what they mean.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Color {
    Red,
    Green,
    Yellow,
    Cyan,
    Dim,
    Bold,
}

/// Writes for people, or one JSON object for programs.
#[derive(Clone)]
pub(crate) struct Printer {
    /// Whether a program reads.
    pub(crate) json: bool,
    /// Whether notes are unwanted.
    pub(crate) quiet: bool,
    /// What must never be shown.
    pub(crate) redactor: Redactor,
    color: bool,
}

impl Printer {
    pub(crate) fn new(global: &Global) -> Self {
        let wants_color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            json: global.json,
            quiet: global.quiet,
            redactor: Redactor::default(),
            color: wants_color && io::stderr().is_terminal() && io::stdout().is_terminal(),
        }
    }

    /// A text in a colour, where colours are wanted.
    pub(crate) fn paint(&self, color: Color, text: &str) -> String {
        let code = match color {
            Color::Red => "1;31",
            Color::Green => "32",
            Color::Yellow => "33",
            Color::Cyan => "36",
            Color::Dim => "2",
            Color::Bold => "1",
        };
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A line of what was asked for.
    pub(crate) fn line(&self, text: &str) {
        if !self.json {
            self.raw(&format!("{}\n", self.redactor.redact(text)));
        }
    }

    /// The one JSON object that a program asked for, its texts redacted.
    pub(crate) fn json(&self, value: &Value) {
        if self.json {
            self.raw(&format!("{:#}\n", self.redactor.redact_json(value)));
        }
    }

    /// What was asked for, byte for byte, for people and programs alike.
    pub(crate) fn data(&self, text: &str) {
        self.raw(text);
    }

    fn raw(&self, text: &str) {
        // A reader that has gone away has read what it wanted.
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }

    /// A line beside what was asked for: kept on `--quiet`, because it is an error or a warning.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", self.redactor.redact(text));
    }

    /// An address that a person has to open: as it is, because a
    /// masked one leads nowhere, and it holds nothing that the person's browser may not know.
    pub(crate) fn address(&self, url: &str) {
        let _ = writeln!(io::stderr().lock(), "\n  {url}\n");
    }

    /// A line that is only for people who look on.
    pub(crate) fn aside(&self, text: &str) {
        if !self.quiet && !self.json {
            self.note(text);
        }
    }
}
