//! How the pages of an operation follow each other, as its parameters and its answer say.
//!
//! In: an operation, a sample of its answer without the records, and a sample of a record. Out: the
//! pagination with the words that it was told from, and the query that asks for large pages. A
//! pagination needs both halves: a parameter that moves, and what ends the walk. Pure.

use restway_model::RecordPath;
use restway_model::definition::Paginate;
use serde_json::{Map, Value};

use super::document::{Operation, Parameter};
use crate::import::names::plain;
use crate::probe::signs::{self, Field};

/// Parameters, made plain, that take a token, the likeliest first.
const TOKENS: [&str; 17] = [
    "cursor",
    "pagetoken",
    "nexttoken",
    "nextpagetoken",
    "continuationtoken",
    "continue",
    "continuation",
    "nextcursor",
    "pagecursor",
    "marker",
    "nextmarker",
    "after",
    "token",
    "bookmark",
    "endcursor",
    "next",
    "offset",
];
/// Parameters that take the last record's id.
const KEYSETS: [&str; 4] = ["startingafter", "sinceid", "afterid", "after"];
const OFFSETS: [&str; 8] =
    ["offset", "skip", "startat", "startindex", "start", "from", "pageoffset", "first"];
const PAGES: [&str; 8] =
    ["page", "pagenumber", "pageindex", "currentpage", "pagenum", "pageno", "p", "pagenr"];
const LIMITS: [&str; 16] = [
    "limit",
    "perpage",
    "pagesize",
    "pagelimit",
    "maxresults",
    "top",
    "size",
    "count",
    "take",
    "maxitems",
    "maxrecords",
    "itemsperpage",
    "resultsperpage",
    "results",
    "rows",
    "maxkeys",
];
/// Records of a page where the document does not say.
const LIMIT_DEFAULT: u64 = 50;
/// The most that is asked for, whatever the document allows.
const LIMIT_MAX: u64 = 1_000;

/// A pagination, and why.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) paginate: Paginate,
    pub(super) query: Map<String, Value>,
    pub(super) evidence: String,
}

/// The pagination of an operation.
pub(super) fn find(
    operation: &Operation<'_>,
    headers: &Value,
    envelope: &Value,
    record: &Value,
) -> Option<Found> {
    let fields = signs::fields(envelope);
    let size = operation.query(&LIMITS);
    let has_link = headers
        .as_object()
        .is_some_and(|headers| headers.keys().any(|name| name.eq_ignore_ascii_case("link")));
    if has_link {
        let evidence = "the answer has a `Link` header".to_owned();
        return Some(Found { paginate: Paginate::link(), query: large(size), evidence });
    }
    let found = next(operation, &fields).or_else(|| keyset(operation, &fields, record));
    if let Some((paginate, evidence)) = found {
        return Some(Found { paginate, query: large(size), evidence });
    }
    page(operation, &fields)
        .map(|(paginate, evidence)| Found { paginate, query: large(size), evidence })
        .or_else(|| offset(operation, &fields, size))
}

/// A field with the next page's URL, or with a token that a parameter takes.
fn next(operation: &Operation<'_>, fields: &[Field<'_>]) -> Option<(Paginate, String)> {
    for field in fields {
        let name = plain(&field.plain);
        let is_href = name == "href" && field.path.ends_with("next.href");
        let is_next = is_href || signs::NEXTS.contains(&field.plain.as_str());
        let takes = operation.query(&[&name]).filter(|_| TOKENS.contains(&name.as_str()));
        if (!is_next && takes.is_none()) || !(field.value.is_string() || field.value.is_null()) {
            continue;
        }
        let Ok(path) = field.path.parse::<RecordPath>() else { continue };
        let is_url = field.value.as_str().is_some_and(|text| text.starts_with("https://"));
        if is_href || is_url || name.ends_with("url") || name.ends_with("link") {
            let evidence = format!("`{path}` holds the next page's URL");
            return Some((Paginate::url(path), evidence));
        }
        let rest = name.strip_prefix("next").unwrap_or(&name).to_owned();
        let param = takes
            .or_else(|| operation.query(&[&rest]).filter(|_| !rest.is_empty()))
            .or_else(|| operation.query(&TOKENS));
        if let Some(param) = param {
            let evidence = format!("`{path}` holds a token, which `{}` takes", param.name);
            return Some((Paginate::token(path, param.name), evidence));
        }
        if is_next && (operation.query(&PAGES).is_some() || operation.query(&OFFSETS).is_some()) {
            // `next` beside numbered pages is their link more often than not.
            let is_likely = name == "next" || name.contains("page");
            if is_likely && fields.iter().any(|other| plain(other.name).starts_with("prev")) {
                let evidence = format!("`{path}` is likely the next page's URL");
                return Some((Paginate::url(path), evidence));
            }
        }
    }
    None
}

/// A parameter that takes the last record's id, with a field that says whether there is more.
fn keyset(
    operation: &Operation<'_>,
    fields: &[Field<'_>],
    record: &Value,
) -> Option<(Paginate, String)> {
    let param = operation.query(&KEYSETS)?;
    let id = record.get("id").filter(|id| id.is_string() || id.is_i64())?;
    let more = fields.iter().find(|field| signs::MORE.contains(&field.plain.as_str()));
    if more.is_none() && plain(param.name) == "after" || id.is_null() {
        return None;
    }
    let mut paginate = Paginate::keyset("id".parse().ok()?, param.name);
    if let (Paginate::Keyset { stop, .. }, Some(more)) = (&mut paginate, more) {
        *stop = format!("{} = false", more.path).parse().ok();
    }
    Some((paginate, format!("`{}` takes the last record's `id`", param.name)))
}

/// A parameter that takes a page's number.
fn page(operation: &Operation<'_>, fields: &[Field<'_>]) -> Option<(Paginate, String)> {
    let param = operation.query(&PAGES)?;
    if super::document::kind(param.schema) == "object" {
        return None;
    }
    let whole = |key: &str| param.schema[key].as_u64().filter(|number| *number <= 1);
    let start = whole("default").or_else(|| whole("minimum")).unwrap_or(1);
    let total = number(fields, &signs::PAGE_COUNTS);
    let evidence = format!("`{}` takes a page's number", param.name);
    Some((Paginate::page(param.name, start, total), evidence))
}

/// A parameter that takes how many records to pass over, and one that says how many to send.
fn offset(
    operation: &Operation<'_>,
    fields: &[Field<'_>],
    size: Option<&Parameter<'_>>,
) -> Option<Found> {
    let (param, size) = (operation.query(&OFFSETS)?, size?);
    let limit = largest(size);
    let total = number(fields, &signs::COUNTS);
    let mut paginate =
        Paginate::offset(param.name, size.name, limit.unwrap_or(LIMIT_DEFAULT), total);
    let is_one = |key: &str| param.schema[key].as_u64() == Some(1);
    if let Paginate::Offset { start, .. } = &mut paginate {
        *start = u64::from(is_one("default") || is_one("minimum"));
    }
    let mut evidence = format!("`{}` and `{}` are parameters", param.name, size.name);
    if limit.is_none() {
        evidence.push_str(", and nothing says how large a page may be");
    }
    Some(Found { paginate, query: Map::new(), evidence })
}

/// The first field that counts.
fn number(fields: &[Field<'_>], names: &[&str]) -> Option<RecordPath> {
    let mut found = fields.iter().filter(|field| field.value.is_u64());
    found.find(|field| names.contains(&field.plain.as_str()))?.path.parse().ok()
}

/// The largest page that the document allows, or else the usual one.
fn largest(size: &Parameter<'_>) -> Option<u64> {
    let number = |key: &str| size.schema[key].as_u64().filter(|number| *number > 0);
    number("maximum").filter(|most| *most <= LIMIT_MAX).or_else(|| number("default"))
}

/// The query that asks for the largest page, where the document says how large it may be.
fn large(size: Option<&Parameter<'_>>) -> Map<String, Value> {
    let most = size.and_then(|size| {
        let most = size.schema["maximum"].as_u64()?;
        (1..=LIMIT_MAX).contains(&most).then(|| (size.name.to_owned(), Value::from(most)))
    });
    most.into_iter().collect()
}
