//! `live`: how a resource may be asked by a query without being synced.
//!
//! In: the settings as they are written. Out: the same, with what makes no sense refused. Every
//! bound has a value without the key, so a resource without `live` can be asked too: all of its
//! pages are read then, up to the bounds.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::ResourceSettings;
use crate::{Timespan, names_credential, snake};

/// How a query reads a resource that it names as `live.api.resource`. Reaching a bound fails the
/// query.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Live {
    /// Query parameters that are sent when the query says what they equal: `where status = 'open'`
    /// sends `status=open`. A parameter that records do not have is a column all the same.
    pub params: Vec<String>,
    /// The most pages that one query reads; 10 without it.
    pub max_pages: u64,
    /// The most records that one query reads; 10000 without it.
    pub max_rows: u64,
    /// How long the reading may take; 20s without it.
    pub timeout: Timespan,
}

impl Default for Live {
    fn default() -> Self {
        let timeout = Timespan(Duration::from_secs(20));
        Self { params: Vec::new(), max_pages: 10, max_rows: 10_000, timeout }
    }
}

impl Live {
    /// The column that a query compares to fill a parameter.
    pub fn column(param: &str) -> String {
        snake(param)
    }
}

/// What makes no sense, each at its key below `live`, with what to do.
pub(super) fn problems(
    resource: &ResourceSettings,
) -> Vec<(&'static [&'static str], String, Option<&'static str>)> {
    let live = &resource.live;
    let mut problems: Vec<(&'static [&'static str], String, Option<&'static str>)> = Vec::new();
    if resource.for_each.is_some() && *live != Live::default() {
        let message = "a resource that is read for each row of another cannot be asked live";
        problems.push((&["live"], message.to_owned(), Some("sync it and ask its table")));
    }
    if live.max_pages == 0 || live.max_rows == 0 || live.timeout.0.is_zero() {
        problems.push((&["live"], "a bound must be at least 1".to_owned(), None));
    }
    for (index, param) in live.params.iter().enumerate() {
        let column = Live::column(param);
        if live.params[..index].iter().any(|before| Live::column(before) == column) {
            let message = format!("two parameters are the column `{column}`");
            problems.push((&["live", "params"], message, None));
        }
        if names_credential(param) {
            let message = format!("`{param}` looks like a credential, which no query should hold");
            problems.push((&["live", "params"], message, Some("use `auth`")));
        }
    }
    problems
}
