//! Who asks, as far as it is known.
//!
//! In: what the keeper of keys or an issuer says. Out: a [`Caller`], with the groups that everybody
//! and everybody known has. What never happens here: a decision about what he may do.

use std::collections::{BTreeMap, BTreeSet};

use restway_model::CallerValue;
use restway_model::definition::{ANONYMOUS, AUTHENTICATED};
use serde_json::Value;

/// Somebody who is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Principal {
    /// What rates are counted by: the same for everything that one key or one user of an issuer
    /// sends. It is no secret.
    pub id: String,
    /// The user's name, for `${user}`.
    pub user: String,
    /// The user's groups.
    pub groups: BTreeSet<String>,
    /// What else is known, for `${claim.name}`.
    pub claims: BTreeMap<String, Value>,
}

/// Somebody who asks, known or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller(Option<Principal>);

impl Caller {
    /// Whoever that is, but for the groups that only we give.
    pub(super) fn known(mut principal: Principal) -> Self {
        principal.groups.retain(|group| ![ANONYMOUS, AUTHENTICATED].contains(&group.as_str()));
        Self(Some(principal))
    }

    pub(crate) fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// What rates are counted by.
    pub(crate) fn id(&self) -> Option<&str> {
        self.0.as_ref().map(|principal| principal.id.as_str())
    }

    /// All groups.
    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        let own = self.0.iter().flat_map(|principal| principal.groups.iter().map(String::as_str));
        let known = self.0.iter().map(|_| AUTHENTICATED);
        std::iter::once(ANONYMOUS).chain(known).chain(own)
    }

    /// The texts that a rule's value stands for: one, or those of a list; none when it is not
    /// known. Objects and nulls are no values that a column could have.
    pub(super) fn texts(&self, value: &CallerValue) -> Option<Vec<String>> {
        let principal = self.0.as_ref()?;
        match value {
            CallerValue::User => Some(vec![principal.user.clone()]),
            CallerValue::Claim(name) => match principal.claims.get(name)? {
                Value::Array(values) => values.iter().map(text).collect(),
                value => text(value).map(|text| vec![text]),
            },
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
