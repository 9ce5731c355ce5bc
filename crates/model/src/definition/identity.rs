//! `identity:` of an api: whose account its credentials must lead to.
//!
//! In: the file. Out: a question to the api, and what must hold for the answer. Credentials that
//! were exchanged for somebody else's work as well as the right ones; only the api can tell.

use schemars::JsonSchema;
use serde::Deserialize;

use super::ApiFile;
use super::meaning::Finder;
use crate::{Condition, Scope, Template};

/// Whose account the credentials must lead to.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Where the api says who asks, read with GET: `/me`.
    pub path: Template,
    /// What must hold for its answer: `account.id = 42`.
    pub is: Condition,
}

pub(super) fn check(api: &ApiFile, finder: &mut Finder<'_>) {
    if let Some(identity) = &api.identity {
        finder.only(&["identity", "path"], &identity.path, &[Scope::Env]);
    }
}
