//! What `cache` cannot work with.
//!
//! In: a resource and what it says itself. Out: problems. Only an answer to GET can be asked for
//! under a condition that its validators make, and only when the request has no condition already.

use super::super::{ApiFile, Method, ResourceEntry, ResourceSettings};
use super::Finder;
use crate::Name;

/// Headers that make the answer another than the one that is kept.
const CONDITIONS: [&str; 6] =
    ["if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"];

pub(super) fn check(
    finder: &mut Finder<'_>,
    api: &ApiFile,
    name: &Name,
    resource: &ResourceSettings,
) {
    let is_own = match api.resources.get(name) {
        Some(ResourceEntry::Full(own)) => own.cache == Some(true),
        _ => false,
    };
    let at = |key| ["resources", name.as_str(), key];
    if is_own && resource.method != Method::Get {
        let message = format!("answers to {} cannot be kept", resource.method.as_str());
        finder.report(&at("cache"), message, Some("leave `cache` out, or use GET".into()));
    }
    let is_condition = |header: &&String| {
        CONDITIONS.iter().any(|condition| header.eq_ignore_ascii_case(condition))
    };
    if resource.cache
        && let Some(header) = resource.headers.keys().find(is_condition)
    {
        let message = format!("the header `{header}` and `cache` exclude each other");
        finder.report(&at("headers"), message, Some("`cache` sends conditions itself".into()));
    }
}
