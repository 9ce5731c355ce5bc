//! What is wrong with a definition, and where.

use std::fmt;

use super::shown::shown;
use crate::{Code, Explain, Place};

/// A stretch of one line of a file. Lines and columns count from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) width: usize,
}

impl At {
    pub(super) const START: At = At { line: 1, column: 1, width: 1 };
}

/// A file's name and text, to show the line that a problem lies in.
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    pub(super) fn problem(&self, at: At, message: impl Into<String>) -> Problem {
        self.problem_at(at, message.into(), false)
    }

    /// A problem with a value that must not be shown.
    pub(super) fn hidden_problem(&self, at: At, message: impl Into<String>) -> Problem {
        self.problem_at(at, message.into(), true)
    }

    fn problem_at(&self, at: At, message: String, hides: bool) -> Problem {
        let line = self.text.lines().nth(at.line.saturating_sub(1)).unwrap_or("");
        let start = at.column.saturating_sub(1);
        Problem {
            place: Place {
                file: self.file.to_owned(),
                line: at.line,
                column: at.column,
                text: shown(line, start..start + at.width, hides),
                width: at.width,
            },
            message,
            hint: None,
        }
    }
}

/// One thing that is wrong in a definition file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What.
    pub message: String,
    /// What to write instead, where that can be told.
    pub hint: Option<String>,
}

impl Problem {
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Explain for Problem {
    fn code(&self) -> Code {
        Code::DefinitionInvalid
    }

    fn hints(&self) -> Vec<String> {
        self.hint.iter().cloned().collect()
    }

    fn place(&self) -> Option<Place> {
        Some(self.place.clone())
    }
}
