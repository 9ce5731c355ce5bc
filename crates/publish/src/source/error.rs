//! Why a source gave no rows.
//!
//! In: facts. Out: the code, and sentences for those who run the server. A caller never reads one
//! of them: `refusal` says what a caller is told.

use restway_model::{Code, Explain};

/// A constraint that would not have held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// Another row has this key.
    Unique,
    /// The row referred to is not there, or rows refer to this one.
    Foreign,
    /// A value is missing.
    NotNull,
    /// A check of the table.
    Check,
}

/// A source that did not answer.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The table or view is not there.
    #[error("there is no {relation}")]
    Missing {
        /// What was asked for.
        relation: String,
    },
    /// No connection to the database.
    #[error("the database does not answer: {reason}")]
    Unavailable {
        /// What the system says.
        reason: String,
    },
    /// All connections are taken.
    #[error("all {connections} connections of this source are taken")]
    Busy {
        /// How many there are.
        connections: usize,
    },
    /// A connection that was open is no longer.
    #[error("the connection broke: {reason}")]
    Broken {
        /// What the system says.
        reason: String,
    },
    /// The database stopped the statement at its time.
    #[error("the statement took longer than it may")]
    Slow,
    /// The relation is no longer what it was when the statement was written.
    #[error("the table has changed: {reason}")]
    Changed {
        /// What the database says.
        reason: String,
    },
    /// A constraint would not hold.
    #[error("a constraint would not hold: {reason}")]
    Constraint {
        /// Its kind.
        violation: Violation,
        /// Its name, where the database tells it.
        name: Option<String>,
        /// What the database says; it may quote the row.
        reason: String,
    },
    /// A value is none that the database takes.
    #[error("a value does not fit: {reason}")]
    Invalid {
        /// What the database says; it may quote the value.
        reason: String,
    },
    /// Another transaction was in the way.
    #[error("another transaction was in the way: {reason}")]
    Contended {
        /// What the database says.
        reason: String,
    },
    /// The source cannot be written to.
    #[error("this source is read only")]
    ReadOnly,
    /// The answer is larger than its bound.
    #[error("the answer is larger than {} MiB", bytes_max >> 20)]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// Nobody takes the rows any more.
    #[error("the caller has left, or is too slow")]
    Left,
    /// Another error of the database.
    #[error("{reason}")]
    Failed {
        /// What the database says.
        reason: String,
    },
    /// An error of the engine behind the lake.
    #[error("{0}")]
    Engine(Box<dyn Explain>),
}

impl Explain for SourceError {
    fn code(&self) -> Code {
        match self {
            Self::Missing { .. } => Code::TableMissing,
            Self::Unavailable { .. }
            | Self::Busy { .. }
            | Self::Broken { .. }
            | Self::Contended { .. } => Code::SourceUnavailable,
            Self::Engine(error) => error.code(),
            Self::Slow
            | Self::Changed { .. }
            | Self::Constraint { .. }
            | Self::Invalid { .. }
            | Self::ReadOnly
            | Self::TooLarge { .. }
            | Self::Left
            | Self::Failed { .. } => Code::QueryFailed,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Missing { .. } => "check `from` of the object",
            Self::Unavailable { .. } | Self::Broken { .. } => {
                "check the source's `url`, and whether the database is up"
            }
            Self::Busy { .. } => "raise `connections` of the source, or ask less at once",
            Self::Slow => "ask for less, or let an index help",
            Self::Engine(error) => return error.hints(),
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}
