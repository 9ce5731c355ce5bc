//! Secrets as a type: a value that cannot be printed, and the seam through which it is looked up.

use std::fmt;

use zeroize::Zeroizing;

use crate::Name;

/// A value that must not be seen: `Debug` shows `***`, there is no `Display`, it does not
/// serialize, and its memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a value read from a secret store, an environment variable or a prompt.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The value itself, for the one place that sends or encrypts it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Where `${secret.name}` is looked up.
pub trait SecretSource: Send + Sync {
    /// The value of the secret `name`.
    ///
    /// # Errors
    /// [`MissingSecret`] names what was looked for and where.
    fn secret(&self, name: &Name) -> Result<Secret, MissingSecret>;
}

impl MissingSecret {
    /// How the problem of a secret begins that is there and does not open.
    pub const UNREADABLE: &str = "cannot be read: ";
}

/// A secret that a definition names and no store holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret `{name}` {problem}")]
pub struct MissingSecret {
    /// The name after `secret.`.
    pub name: Name,
    /// What is wrong with it: `is not set`, or why the store could not be read.
    pub problem: String,
}
