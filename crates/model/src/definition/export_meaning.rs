//! What an export must mean beyond its grammar.
//!
//! In: an api with its exports. Out: problems, each at its place. Which columns the rows have is
//! known only when the query runs, so nothing is said here about those that a request names.

use super::meaning::Finder;
use super::request_meaning::RequestPlace;
use super::{ApiFile, Export, OnError};
use crate::{Name, Scope, snake};

/// A URL is seen by every server on the way and stands in logs: no secret goes into it.
const IN_URLS: &[Scope] = &[Scope::Env, Scope::Row];
const ELSEWHERE: &[Scope] = &[Scope::Secret, Scope::Env, Scope::Row];
const IN_KEYS: &[Scope] = &[Scope::Row];

/// The columns of the table of outcomes beside the key's.
pub const OUTCOME_COLUMNS: [&str; 9] = [
    "row",
    "response_status",
    "response",
    "status",
    "attempts",
    "error",
    "error_code",
    "sent_at",
    "content",
];
/// What follows an export's name in that of its table of rows that were not taken.
pub const DEAD_LETTERS: &str = "_dead_letters";

impl ApiFile {
    pub(super) fn check_exports(&self, finder: &mut Finder<'_>) {
        for (name, export) in &self.exports {
            self.check_names(finder, name, export);
            check_settings(finder, name, export);
            let place = RequestPlace {
                path: vec!["exports", name.as_str(), "request"],
                of_webhook: None,
                in_urls: IN_URLS,
                elsewhere: ELSEWHERE,
            };
            place.check(finder, &export.request, &self.auth);
            self.check_path(finder, &place.at("path"), &export.request.path);
            if let Some(idempotency) = &export.idempotency {
                let at = ["exports", name.as_str(), "idempotency"];
                place.idempotency(finder, &at, idempotency, IN_KEYS);
            }
        }
    }

    /// The tables of outcomes must be nobody else's.
    fn check_names(&self, finder: &mut Finder<'_>, name: &Name, export: &Export) {
        let at = ["exports", name.as_str()];
        if name.as_str().contains("__") || name.as_str() == super::REQUESTS {
            let message = format!("`{name}` cannot be the name of a table of outcomes");
            finder.report(&at, message, Some("take another, without `__` in it".into()));
        }
        let mut tables = vec![name.to_string()];
        if export.on_error == OnError::DeadLetter {
            tables.push(format!("{name}{DEAD_LETTERS}"));
        }
        for table in tables {
            let is_resource = self.resources.keys().any(|known| known.as_str() == table);
            let is_export = self.exports.keys().any(|known| known.as_str() == table);
            if is_resource || (is_export && table != name.as_str()) {
                let message = format!("`{table}` is a resource's table or another export's");
                finder.report(&at, message, Some("give the export another name".into()));
            }
        }
    }
}

fn check_settings(finder: &mut Finder<'_>, name: &Name, export: &Export) {
    let at = |key| ["exports", name.as_str(), key];
    if export.source().is_none() {
        let message = "is neither a SELECT nor the name of a file in `queries/` nor a table";
        finder.report(&at("from"), format!("`{}` {message}", export.from), None);
    }
    if export.concurrency == Some(0) {
        finder.report(&at("concurrency"), "must be at least 1", None);
    }
    if export.key.is_some() && export.key().is_empty() {
        finder.report(&at("key"), "a key needs a column", None);
    }
    for (index, column) in export.key().iter().enumerate() {
        if OUTCOME_COLUMNS.contains(&snake(column).as_str()) || column.starts_with('_') {
            let message = format!("the table of outcomes has a column `{column}` of its own");
            let hint = "give it another name in the query: `status as order_status`".to_owned();
            finder.report(&at("key"), message, Some(hint));
        }
        if export.key()[..index].contains(column) {
            finder.report(&at("key"), format!("`{column}` is named twice"), None);
        }
    }
    if export.on_error == OnError::Fail && export.max_errors.is_some() {
        let hint = "leave one of the two out".to_owned();
        finder.report(&at("max_errors"), "`on_error: fail` stops at the first", Some(hint));
    }
    let request = &export.request;
    if request.method.is_idempotent() && request.safe {
        let place = ["exports", name.as_str(), "request", "safe"];
        let message = format!("{} may be sent again in any case", request.method.as_str());
        finder.report(&place, message, Some("leave `safe` out".into()));
    }
    let is_same = request.templates().is_ok_and(|all| {
        all.iter().all(|one| one.references().all(|(scope, _)| scope != Scope::Row))
    });
    if is_same {
        let place = ["exports", name.as_str(), "request"];
        let message = "the request is the same for every row";
        finder.report(&place, message, Some("write `${row.COLUMN}` where values go".into()));
    }
}
