//! Whether a request that failed may have been done all the same.
//!
//! In: an error. Out: what is sure about the api: an answer that did not come may stand for something
//! that was done, a connection that did not open cannot. Whoever must not do a thing twice asks here
//! before it does it again.

use crate::error::{CallError, Failure};
use crate::wire::NO_CONNECTION;

impl CallError {
    /// Whether the api may have got the request and done what it asks, though no answer says so.
    pub fn may_be_done(&self) -> bool {
        match self {
            Self::Exchange { failure, .. } => failure.may_be_done(),
            Self::Page { cause, .. } => cause.may_be_done(),
            Self::Value(_) | Self::Invalid { .. } | Self::Login { .. } | Self::Kept { .. } => false,
        }
    }

    /// How often the request was sent.
    pub fn attempts(&self) -> u64 {
        match self {
            Self::Exchange { attempts, .. } => u64::from(*attempts),
            Self::Page { cause, .. } => cause.attempts(),
            Self::Value(_) | Self::Invalid { .. } | Self::Login { .. } | Self::Kept { .. } => 0,
        }
    }
}

impl Failure {
    /// Whether the api may have got the request and done what it asks, though no answer says so.
    /// What goes wrong before a connection is open, or with a login, never reached it.
    fn may_be_done(&self) -> bool {
        match self {
            Self::ViaProxy { failure, .. } => failure.may_be_done(),
            Self::Timeout { what, .. } => *what != NO_CONNECTION,
            Self::Interrupted { .. }
            | Self::Unfinished { .. }
            | Self::TooLarge { .. }
            | Self::Packed { .. }
            | Self::Page { .. }
            | Self::NotJson { .. }
            | Self::Malformed { .. }
            | Self::Status { .. } => true,
            _ => false,
        }
    }
}
