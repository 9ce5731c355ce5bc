//! `paginate`: how the next page is found.
//!
//! In: the setting as it is written. Out: one of eight ways, each with the place of the request
//! that changes from page to page: a query parameter, a header, or a field of the JSON body. What
//! never happens here: a guess; `restway probe` guesses, and writes what it found.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Method;
use crate::{Condition, RecordPath};

/// How the next page is found: the kind alone, or the kind with its settings.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PaginateEntry {
    /// A kind that needs no setting.
    Kind(PaginateKind),
    /// A kind and its settings.
    Full(Box<Paginate>),
}

impl PaginateEntry {
    /// The settings, with the defaults of a kind that was named alone.
    pub fn resolve(&self) -> Paginate {
        match self {
            Self::Kind(PaginateKind::None) => Paginate::None {},
            Self::Kind(PaginateKind::Link) => Paginate::link(),
            Self::Full(paginate) => paginate.as_ref().clone(),
        }
    }
}

/// The kinds that may be named alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaginateKind {
    /// One answer holds everything.
    None,
    /// The `Link` header with `rel="next"` (RFC 8288).
    Link,
}

/// How the next page is found.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Paginate {
    /// One answer holds everything.
    None {},
    /// The `Link` header with `rel="next"` (RFC 8288).
    Link {
        /// Ends the walk when it holds for the answer, as in `meta.has_more = false`.
        stop: Option<Condition>,
    },
    /// The answer holds the next page's URL; null or absent ends the walk.
    Url {
        /// The path to the URL in the answer.
        next: RecordPath,
        /// Ends the walk when it holds for the answer, as in `meta.has_more = false`.
        stop: Option<Condition>,
    },
    /// The answer holds a token that asks for the next page; null, empty or absent ends the walk.
    Token {
        /// The path to the token in the answer; this or `next_header`.
        next: Option<RecordPath>,
        /// The header of the answer that holds the token.
        next_header: Option<String>,
        /// The query parameter that takes it; this, `header` or `body`.
        param: Option<String>,
        /// The header of the request that takes it.
        header: Option<String>,
        /// The path in the JSON body that takes it, as `variables.after` for GraphQL.
        body: Option<RecordPath>,
        /// Ends the walk when it holds for the answer, as in `meta.has_more = false`.
        stop: Option<Condition>,
    },
    /// Each page starts after the records read so far; a page with fewer than `limit` ends it.
    Offset {
        /// The query parameter that takes the offset; `offset` without it.
        param: Option<String>,
        /// The path in the JSON body that takes the offset, instead of `param`.
        body: Option<RecordPath>,
        /// The query parameter that takes the page size; `limit` without it.
        limit_param: Option<String>,
        /// The path in the JSON body that takes the page size, instead of `limit_param`.
        limit_body: Option<RecordPath>,
        /// Records asked for with each page.
        limit: u64,
        /// The offset of the first record.
        #[serde(default)]
        start: u64,
        /// The path to the number of all records in the answer, where the api tells.
        total: Option<RecordPath>,
        /// Whether pages are read side by side once the total is known.
        #[serde(default = "yes")]
        prefetch: bool,
        /// Ends the walk when it holds for the answer, as in `meta.has_more = false`.
        stop: Option<Condition>,
    },
    /// Pages have numbers; an empty page, or the last by `total_pages`, ends the walk.
    Page {
        /// The query parameter that takes the number; `page` without it.
        param: Option<String>,
        /// The path in the JSON body that takes the number, instead of `param`.
        body: Option<RecordPath>,
        /// The number of the first page.
        #[serde(default = "one")]
        start: u64,
        /// The path to the number of pages in the answer, where the api tells.
        total_pages: Option<RecordPath>,
        /// Whether pages are read side by side once `total_pages` is known.
        #[serde(default = "yes")]
        prefetch: bool,
        /// Ends the walk when it holds for the answer, as in `meta.has_more = false`.
        stop: Option<Condition>,
    },
    /// Each page starts after the last record's field; an empty page ends the walk.
    Keyset {
        /// The path to the field in a record.
        field: RecordPath,
        /// The query parameter that takes the last value; this, `header` or `body`.
        param: Option<String>,
        /// The header of the request that takes it.
        header: Option<String>,
        /// The path in the JSON body that takes it.
        body: Option<RecordPath>,
        /// Ends the walk when it holds for the answer, as in `has_more = false`.
        stop: Option<Condition>,
    },
}

const fn yes() -> bool {
    true
}

const fn one() -> u64 {
    1
}

/// The place of a request that takes a token, an offset, a number or a page size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot<'a> {
    /// A query parameter.
    Query(&'a str),
    /// A header.
    Header(&'a str),
    /// A field of the JSON body.
    Body(&'a RecordPath),
}

impl<'a> Slot<'a> {
    fn of(
        param: Option<&'a str>,
        header: Option<&'a str>,
        body: Option<&'a RecordPath>,
    ) -> Option<Self> {
        let param = param.map(Self::Query);
        param.or_else(|| header.map(Self::Header)).or_else(|| body.map(Self::Body))
    }
}

impl Paginate {
    /// The `Link` header.
    pub const fn link() -> Self {
        Self::Link { stop: None }
    }

    /// A URL in the answer.
    pub const fn url(next: RecordPath) -> Self {
        Self::Url { next, stop: None }
    }

    /// A token in the answer, sent as a query parameter.
    pub fn token(next: RecordPath, param: &str) -> Self {
        Self::Token {
            next: Some(next),
            next_header: None,
            param: Some(param.into()),
            header: None,
            body: None,
            stop: None,
        }
    }

    /// An offset in the query.
    pub fn offset(param: &str, limit_param: &str, limit: u64, total: Option<RecordPath>) -> Self {
        Self::Offset {
            param: Some(param.into()),
            body: None,
            limit_param: Some(limit_param.into()),
            limit_body: None,
            limit,
            start: 0,
            total,
            prefetch: true,
            stop: None,
        }
    }

    /// A number in the query.
    pub fn page(param: &str, start: u64, total_pages: Option<RecordPath>) -> Self {
        let param = Some(param.into());
        Self::Page { param, body: None, start, total_pages, prefetch: true, stop: None }
    }

    /// The last record's field, in the query.
    pub fn keyset(field: RecordPath, param: &str) -> Self {
        Self::Keyset { field, param: Some(param.into()), header: None, body: None, stop: None }
    }

    /// What changes in the request from page to page; nothing where whole URLs are followed.
    pub fn slot(&self) -> Option<Slot<'_>> {
        match self {
            Self::None {} | Self::Link { .. } | Self::Url { .. } => None,
            Self::Token { param, header, body, .. } | Self::Keyset { param, header, body, .. } => {
                Slot::of(param.as_deref(), header.as_deref(), body.as_ref())
            }
            Self::Offset { param, body, .. } => {
                Slot::of(param.as_deref(), None, body.as_ref()).or(Some(Slot::Query("offset")))
            }
            Self::Page { param, body, .. } => {
                Slot::of(param.as_deref(), None, body.as_ref()).or(Some(Slot::Query("page")))
            }
        }
    }

    /// What takes the page size. With the offset in the body it is sent only where it is named:
    /// the body likely says it already.
    pub fn limit_slot(&self) -> Option<Slot<'_>> {
        match self {
            Self::Offset { limit_param, limit_body, body, .. } => {
                let named = Slot::of(limit_param.as_deref(), None, limit_body.as_ref());
                named.or_else(|| body.is_none().then_some(Slot::Query("limit")))
            }
            _ => None,
        }
    }

    /// The condition that ends the walk.
    pub const fn stop(&self) -> Option<&Condition> {
        match self {
            Self::None {} => None,
            Self::Link { stop }
            | Self::Url { stop, .. }
            | Self::Token { stop, .. }
            | Self::Offset { stop, .. }
            | Self::Page { stop, .. }
            | Self::Keyset { stop, .. } => stop.as_ref(),
        }
    }

    /// What makes no sense in it, each with what to do.
    pub(super) fn problems(&self, method: Method) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        let mut exactly_one = |given: &[bool], hint: &'static str| {
            if given.iter().filter(|is_given| **is_given).count() != 1 {
                problems.push(("one place is needed, and only one", hint));
            }
        };
        match self {
            Self::Token { next, next_header, param, header, body, .. } => {
                let places = [param.is_some(), header.is_some(), body.is_some()];
                exactly_one(&places, "write one of `param`, `header` and `body`");
                let sources = [next.is_some(), next_header.is_some()];
                exactly_one(&sources, "write one of `next` and `next_header`");
            }
            Self::Keyset { param, header, body, .. } => {
                let places = [param.is_some(), header.is_some(), body.is_some()];
                exactly_one(&places, "write one of `param`, `header` and `body`");
            }
            Self::Offset { param, body, limit_param, limit_body, .. } => {
                if param.is_some() && body.is_some() {
                    exactly_one(&[true, true], "write one of `param` and `body`");
                }
                if limit_param.is_some() && limit_body.is_some() {
                    exactly_one(&[true, true], "write one of `limit_param` and `limit_body`");
                }
            }
            Self::Page { param: Some(_), body: Some(_), .. } => {
                exactly_one(&[true, true], "write one of `param` and `body`");
            }
            _ => {}
        }
        if let Self::Offset { limit: 0, .. } = self {
            problems.push(("`limit` must be at least 1", "write how many records a page holds"));
        }
        let bodies = [self.slot(), self.limit_slot()];
        let mut bodies = bodies.into_iter().flatten().filter_map(|slot| match slot {
            Slot::Body(path) => Some(path),
            _ => None,
        });
        if let Some(path) = bodies.next() {
            if !matches!(method, Method::Post | Method::Put | Method::Patch) {
                problems.push(("a body needs POST, PUT or PATCH", "write `method: POST`"));
            } else if path.steps().is_empty() {
                problems.push(("`$` is the whole body", "write a field, as in `variables.after`"));
            }
        }
        problems
    }
}
