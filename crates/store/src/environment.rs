//! The environment as a seam: the two places that read a variable read it through here.
//!
//! In: the name of a variable. Out: its value, as a [`Secret`], because whatever this room asks
//! the environment for is one. It is a seam because a process has only one environment: tests, and
//! a server that was given its settings otherwise, bring their own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use restway_model::Secret;

/// Where environment variables are read.
#[derive(Clone)]
pub struct Environment(Arc<Lookup>);

type Lookup = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// A variable that is set to something unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Set, and empty.
    Empty,
    /// Not text.
    NotText,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self(Arc::new(|name| std::env::var_os(name)))
    }

    /// An environment with exactly these variables.
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables: BTreeMap<String, Secret> =
            variables.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        Self(Arc::new(move |name| variables.get(name).map(|value| value.expose().into())))
    }

    /// The variable's value. An empty one is not an absent one: it comes from a slip in a compose
    /// file or a pipeline, and falling back silently would use another value than was meant.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Secret>, Unusable> {
        let Some(value) = (self.0)(name) else {
            return Ok(None);
        };
        let value = value.into_string().map_err(|_| Unusable::NotText)?;
        if value.is_empty() {
            return Err(Unusable::Empty);
        }
        Ok(Some(Secret::new(value)))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Environment")
    }
}
