//! Requests that read, as resources.
//!
//! In: requests of one origin. Out: one resource for each path, with the query of its first
//! request. Where answers came along, they show where the records are and what their key is, and
//! requests of the same path show how the pages follow each other: a parameter that moved. Pure.

use restway_model::definition::Paginate;
use restway_model::{Name, RecordPath, snake};
use serde_json::{Map, Value};

use super::address::{Address, template, variable};
use super::{Login, Sent};
use crate::draft::{LeftOut, ResourceDraft, literal, one_line, secret};
use crate::import::names::{Names, plain, words};
use crate::import::veil;
use crate::probe::{shape, signs};

/// Headers that say nothing about what is asked for.
const DROPPED: [&str; 24] = [
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "dnt",
    "host",
    "if-modified-since",
    "if-none-match",
    "keep-alive",
    "origin",
    "postman-token",
    "pragma",
    "priority",
    "proxy-authorization",
    "referer",
    "te",
    "transfer-encoding",
    "upgrade-insecure-requests",
    "user-agent",
    "x-requested-with",
];
const PAGES: [&str; 6] = ["page", "pagenumber", "pageindex", "p", "pageno", "pagenum"];
const OFFSETS: [&str; 6] = ["offset", "skip", "start", "startat", "startindex", "from"];
const TOKENS: [&str; 9] = [
    "cursor",
    "pagetoken",
    "nextpagetoken",
    "nexttoken",
    "continuationtoken",
    "startingafter",
    "nextcursor",
    "pagecursor",
    "marker",
];
const LIMITS: [&str; 7] = ["limit", "count", "size", "pagesize", "perpage", "maxresults", "top"];

/// The resources of all requests that read.
pub(super) fn resources(
    all: &[(Address, Sent)],
    api: &Name,
    proof: Option<&Login>,
    names: &mut Names,
    left_out: &mut LeftOut,
) -> Vec<ResourceDraft> {
    let mut groups: Vec<(&str, Vec<(&Address, &Sent)>)> = Vec::new();
    for (address, sent) in all.iter().filter(|(_, sent)| sent.method == "GET") {
        match groups.iter_mut().find(|(path, _)| *path == address.path) {
            Some((_, group)) => group.push((address, sent)),
            None => groups.push((&address.path, vec![(address, sent)])),
        }
    }
    groups.sort_by_key(|(path, _)| (path.matches('/').count(), path.to_owned()));
    let mut resources = Vec::new();
    for (path, group) in groups {
        let shown: Vec<&str> =
            path.split('/').map(|one| if veil::is_token(one) { "…" } else { one }).collect();
        let mut leave = |reason: &str| {
            left_out.because(reason, &format!("GET {}", shown.join("/")));
        };
        if path.contains("{{") {
            leave("whose paths have variables");
        } else if group.iter().any(|(_, sent)| sent.answered.is_some()) && !has_rows(&group) {
            leave("whose answers hold no list of records");
        } else {
            resources.push(resource(path, &group, api, proof, names));
        }
    }
    resources.sort_by(|one, other| one.name.cmp(&other.name));
    resources
}

fn has_rows(group: &[(&Address, &Sent)]) -> bool {
    group.iter().filter_map(|(_, sent)| sent.answered.as_ref()).any(|answered| {
        let body = &answered.body;
        let is_list = |list: &Vec<Value>| list.is_empty() || list.iter().any(Value::is_object);
        body.as_array().is_some_and(is_list)
            || shape::records_path(body).is_some_and(|path| !is_part(body, &path))
    })
}

/// Whether the list is a part of one record: the answer has an id of its own.
fn is_part(body: &Value, path: &RecordPath) -> bool {
    let name = path.to_string();
    let is_known = shape::LISTS.contains(&name.rsplit('.').next().unwrap_or_default());
    body.get("id").is_some() && !is_known
}

fn resource(
    path: &str,
    group: &[(&Address, &Sent)],
    api: &Name,
    proof: Option<&Login>,
    names: &mut Names,
) -> ResourceDraft {
    let said = words(path);
    let (address, sent) = group[0];
    let named = sent.name.as_deref().filter(|_| said.is_empty());
    let name = names.take(if said.is_empty() { &["records"] } else { &said });
    let name = named.map_or(name, |named| names.numbered(named));
    let hide = |one: &str| match veil::is_token(one) {
        true => secret(api, "path").source().to_owned(),
        false => literal(one),
    };
    let segments: Vec<String> = path.split('/').map(hide).collect();
    let mut resource = ResourceDraft::at(name, segments.join("/"));
    resource.comments.extend(sent.name.as_deref().map(|name| one_line(name, 100)));
    let mut moving = Vec::new();
    if let Some(page) = Page::first(group) {
        resource.records = page.records.clone();
        resource.key = shape::key(&page.rows, &resource.name).map(|key| snake(&key));
        if let Some((paginate, evidence, parameters)) = page.pages(group) {
            resource.evidence = Some(evidence);
            (resource.paginate, moving) = (paginate, parameters);
        }
    } else {
        resource.comments.push("What it answers is not known: add `records`, `key`.".into());
        if let Some((paginate, evidence, parameters)) = asked(address) {
            resource.evidence = Some(evidence);
            (resource.paginate, moving) = (paginate, parameters);
        }
    }
    if let (Paginate::None {}, Some(token)) = (&resource.paginate, token(address)) {
        resource.comments.push(format!(
            "`{token}` is left out, a place between pages: write `paginate` for those behind."
        ));
        moving.push(token.clone());
    }
    for (name, value) in &address.query {
        if !moving.contains(name) && proof != Some(&Login::Query(name.clone())) {
            resource.query.insert(name.clone(), value_of(name, value, api));
        }
    }
    resource.headers = headers(sent, api, proof);
    resource
}

/// The pagination that a query asks for, where no answer came along.
fn asked(address: &Address) -> Option<(Paginate, String, Vec<String>)> {
    let number = |names: &[&str]| {
        address.query.iter().find_map(|(name, value)| {
            let number =
                value.parse::<u64>().ok().filter(|_| names.contains(&plain(name).as_str()));
            Some((name, number?))
        })
    };
    if let Some((name, at)) = number(&PAGES) {
        let paginate = Paginate::page(name, at.min(1), None);
        let evidence = format!("`{name}` was sent, a page's number by its name");
        return Some((paginate, evidence, vec![name.clone()]));
    }
    let ((offset, _), (limit, size)) = (number(&OFFSETS)?, number(&LIMITS)?);
    let paginate = Paginate::offset(offset, limit, size.max(1), None);
    let evidence = format!("`{offset}` and `{limit}` were sent");
    Some((paginate, evidence, vec![offset.clone(), limit.clone()]))
}

/// The parameter of a query that says from which page on, in words of the api.
fn token(address: &Address) -> Option<&String> {
    let is_token = |name: &&String| TOKENS.contains(&plain(name).as_str());
    address.query.iter().map(|(name, _)| name).find(is_token)
}

/// A value as a template; secrets as references.
fn value_of(name: &str, value: &str, api: &Name) -> Value {
    let hidden = |what: &str| secret(api, what).source().to_owned();
    if veil::is_secret(name, value) {
        return hidden(name).into();
    }
    let reference = |what: &str| match veil::is_secret_name(what) {
        true => hidden(what),
        false => variable(what),
    };
    template(&value.replace(['\n', '\r'], " "), reference).into()
}

/// The first page that was answered.
struct Page<'a> {
    address: &'a Address,
    headers: &'a [(String, String)],
    records: Option<RecordPath>,
    rows: Vec<&'a Value>,
    envelope: Value,
}

impl<'a> Page<'a> {
    fn first(group: &[(&'a Address, &'a Sent)]) -> Option<Self> {
        group.iter().find_map(|&(address, sent)| {
            let answered = sent.answered.as_ref()?;
            let body = &answered.body;
            let records = shape::records_path(body);
            let rows = shape::rows(body, records.as_ref());
            let envelope = shape::envelope(body, records.as_ref());
            let headers = &answered.headers;
            (!rows.is_empty()).then_some(Page { address, headers, records, rows, envelope })
        })
    }

    /// The pagination that the requests show, why, and the parameters that it sets itself.
    fn pages(&self, group: &[(&Address, &Sent)]) -> Option<(Paginate, String, Vec<String>)> {
        let mut url = self.address.origin.clone();
        url.query_pairs_mut().extend_pairs(&self.address.query);
        let headers: Vec<(String, String)> = self.headers.to_vec();
        let found = signs::collect(&url, &headers, &self.envelope, &self.rows);
        for sign in found.into_iter().filter(|sign| !sign.is_guess) {
            let moved = |name: &String| {
                group.iter().any(|(address, _)| address.query.iter().any(|(one, _)| one == name))
            };
            let is_shown = match &sign.paginate {
                Paginate::Link { .. } | Paginate::Url { .. } => true,
                _ => sign.parameters.iter().all(moved),
            };
            if is_shown {
                return Some((sign.paginate, sign.evidence, sign.parameters));
            }
        }
        self.moved(group)
    }

    /// A number in the query that differs from request to request.
    fn moved(&self, group: &[(&Address, &Sent)]) -> Option<(Paginate, String, Vec<String>)> {
        let values = |name: &str| -> Vec<u64> {
            let all = group.iter().flat_map(|(address, _)| &address.query);
            all.filter(|(one, _)| one == name).filter_map(|(_, value)| value.parse().ok()).collect()
        };
        let mut parameters: Vec<&String> =
            group.iter().flat_map(|(address, _)| &address.query).map(|(name, _)| name).collect();
        parameters.dedup();
        for name in parameters {
            let numbers = values(name);
            let (Some(least), Some(most)) = (numbers.iter().min(), numbers.iter().max()) else {
                continue;
            };
            if least == most {
                continue;
            }
            let evidence = format!("`{name}` went from {least} to {most}");
            if PAGES.contains(&plain(name).as_str()) {
                let paginate = Paginate::page(name, (*least).min(1), None);
                return Some((paginate, evidence, vec![name.clone()]));
            }
            let size = self.address.query.iter().find(|(one, value)| {
                LIMITS.contains(&plain(one).as_str()) && value.parse::<u64>().is_ok_and(|n| n > 0)
            });
            if let (true, Some((limit, value))) = (OFFSETS.contains(&plain(name).as_str()), size) {
                let count = value.parse().unwrap_or(1);
                let paginate = Paginate::offset(name, limit, count, None);
                return Some((paginate, evidence, vec![name.clone(), limit.clone()]));
            }
        }
        None
    }
}

/// The headers that say what is asked for.
pub(super) fn headers(sent: &Sent, api: &Name, proof: Option<&Login>) -> Map<String, Value> {
    let mut headers = Map::new();
    for (name, value) in &sent.headers {
        let lower = name.to_ascii_lowercase();
        let is_proof = matches!(proof, Some(Login::Header(own)) if own.eq_ignore_ascii_case(name));
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let is_noise = DROPPED.contains(&lower.as_str()) || lower.starts_with("sec-");
        let is_any = lower == "accept" && value.starts_with("*/*");
        if !is_proof && !is_noise && !is_any && !name.is_empty() && name.chars().all(is_token) {
            headers.insert(lower, value_of(name, value, api));
        }
    }
    headers
}
