//! The seam through which the processes of one workspace keep an api's rates together.
//!
//! A room below this one remembers the calls of all processes; a connector asks before each call.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{Name, Rate};

/// Rates that all processes of a workspace hold together.
pub trait SharedRates: Send + Sync {
    /// Counts one call to the api, if all rates allow one now; otherwise counts nothing and says
    /// how long to wait before asking again.
    ///
    /// # Errors
    /// Why they cannot be kept together: the caller then keeps them for its own process alone.
    fn take(&self, api: &Name, rates: &[Rate], now: DateTime<Utc>) -> Result<Duration, String>;
}
