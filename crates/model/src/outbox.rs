//! The states of a row on its way to an api, and how many rows are in each.

use serde::{Deserialize, Serialize};

/// How a row of an export stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// It is to be sent.
    Waiting,
    /// It goes out, or went out when the process died.
    Sending,
    /// The api took it.
    Done,
    /// The api answered, and did not take it; or it makes no request.
    Refused,
    /// It went out and no answer tells whether the api did it; sending it again may do it twice.
    Ambiguous,
}

impl RowState {
    /// Every state.
    pub const ALL: [RowState; 5] =
        [Self::Waiting, Self::Sending, Self::Done, Self::Refused, Self::Ambiguous];

    /// The word that is stored and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// What became of the rows of an export.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// The api took them.
    pub done: u64,
    /// It did not.
    pub refused: u64,
    /// Nobody knows.
    pub ambiguous: u64,
    /// They are still to be sent.
    pub waiting: u64,
}
