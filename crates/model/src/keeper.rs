//! The seam for tokens that outlive the process: refresh tokens that rotate.
//!
//! A server that answers a refresh with the next refresh token may refuse the old one from then
//! on. So the next one is kept, durably, before the new access token is used, and only one process
//! at a time refreshes: the others read what it kept. The store fills this seam.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use chrono::{DateTime, Utc};

use crate::Secret;

/// What is kept for one login.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptToken {
    /// What the login was made from; another basis makes this token worthless.
    pub basis: String,
    /// The refresh token that counts.
    pub refresh: Option<Secret>,
    /// The `Authorization` header of the access token.
    pub access: Option<Secret>,
    /// When the access token ends, if the server said.
    pub expires_at: Option<DateTime<Utc>>,
    /// Who logged in, if the server said.
    pub who: Option<String>,
}

impl fmt::Debug for KeptToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeptToken").field("basis", &self.basis).finish_non_exhaustive()
    }
}

/// What a keeper is doing.
pub type Keeping<'a, T> = Pin<Box<dyn Future<Output = Result<T, KeeperFailed>> + Send + 'a>>;

/// The right to refresh; given back when it is dropped, also by a process that dies.
pub type Lease = Box<dyn Send + Sync>;

/// Where tokens are kept. A slot is the name of a login: letters, digits, `_` and `.`.
pub trait TokenKeeper: Send + Sync {
    /// What was kept last.
    fn kept<'a>(&'a self, slot: &'a str) -> Keeping<'a, Option<KeptToken>>;

    /// Keeps a token in place of the one before. When it returns, a crash loses nothing.
    fn keep<'a>(&'a self, slot: &'a str, token: &'a KeptToken) -> Keeping<'a, ()>;

    /// Forgets what was kept. When it returns, no crash brings it back.
    fn forget<'a>(&'a self, slot: &'a str) -> Keeping<'a, ()>;

    /// Takes the right to refresh, or answers None when another process or task has it.
    ///
    /// # Errors
    /// The right can be neither taken nor seen with anybody.
    fn lease(&self, slot: &str) -> Result<Option<Lease>, KeeperFailed>;
}

/// A token that could not be kept or read, in words without its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeeperFailed(pub String);
