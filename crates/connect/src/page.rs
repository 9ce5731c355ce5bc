//! Page: from one page to the next.
//!
//! In: the request of a page and what its answer held. Out: the next request, or the end. A state
//! machine without input or output. What never happens here: a next page on another origin, or an
//! end because a field holds something that was not understood; only what the definition names as
//! the end (no token, no link, a short or empty page, the last number) is one. Where the answer
//! tells how much there is, an empty page before that is a gap and no end.

use restway_model::definition::Paginate;
use restway_model::{RecordPath, Redactor, SafeUrl, exact_json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::decode::PageEnd;
use crate::error::Failure;
use crate::link::next_link;
use crate::place::put;
use crate::plan::plain_text;
use crate::request::{Request, header};

/// What asks for a page is kept up to here.
const MARK_BYTES_MAX: usize = 16 * 1024;

/// A place between two pages of a walk, from which another process can go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageMark {
    /// The pages that were read, from the first one on.
    pub page: u64,
    /// Their records.
    records: u64,
    next: NextPage,
}

/// What asks for the page after a mark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NextPage {
    /// The token, offset, number or key that changes from page to page.
    Value(Value),
    /// The whole address, without credentials.
    Url(String),
}

/// How the next page is found, and how far the walk is.
#[derive(Debug, Clone)]
pub(crate) struct Pager {
    paginate: Paginate,
    /// Records read so far.
    records: u64,
    /// The number of the page at hand.
    number: u64,
    /// Records of the first page: what the others hold too, but for the last.
    stride: Option<u64>,
    /// Where pages end: the number of all records, or of the last page.
    last: Option<u64>,
    /// What asks for the next page, where it is a value.
    value: Option<Value>,
    /// What an empty page lacks, where the answer says that more follows.
    gap: Option<String>,
}

/// What the answer to a page held beside its records.
pub(crate) struct Seen<'a> {
    /// The URL that answered: what a relative link is relative to.
    pub(crate) url: &'a Url,
    pub(crate) headers: &'a [(String, String)],
    pub(crate) end: &'a PageEnd,
}

impl PageMark {
    /// Records up to here.
    pub(crate) const fn records(&self) -> u64 {
        self.records
    }
}

impl Pager {
    pub(crate) fn new(paginate: &Paginate) -> Self {
        let number = match paginate {
            Paginate::Page { start, .. } => *start,
            _ => 1,
        };
        Self {
            paginate: paginate.clone(),
            records: 0,
            number,
            stride: None,
            last: None,
            value: None,
            gap: None,
        }
    }

    /// What is missing where the page at hand is empty and others follow it: their rows may have
    /// been in it, too.
    pub(crate) fn gap(&self) -> Option<Failure> {
        self.gap.clone().map(|problem| Failure::PageMissing { problem })
    }

    /// Whether the last record of a page is needed.
    pub(crate) const fn reads_last(&self) -> bool {
        matches!(self.paginate, Paginate::Keyset { .. })
    }

    /// Whether a server may clamp: answer a page past the end with the last one again.
    pub(crate) const fn may_clamp(&self) -> bool {
        matches!(self.paginate, Paginate::Page { .. } | Paginate::Offset { .. })
    }

    /// Whether the answer's own fields are needed.
    pub(crate) const fn reads_envelope(&self) -> bool {
        let is_silent = matches!(
            self.paginate,
            Paginate::None {} | Paginate::Link { .. } | Paginate::Keyset { .. }
        );
        !is_silent || self.paginate.stop().is_some()
    }

    /// The number of all records, where the definition says where it stands.
    pub(crate) fn total(&self, envelope: &Value) -> Option<u64> {
        match &self.paginate {
            Paginate::Offset { total: Some(path), .. } => number(path, envelope),
            _ => None,
        }
    }

    /// The first page's request.
    pub(crate) fn first(&self, request: Request) -> Result<Request, Failure> {
        match &self.paginate {
            Paginate::Offset { limit, .. } => {
                let request = match self.paginate.limit_slot() {
                    Some(slot) => put(request, slot, &Value::from(*limit))?,
                    None => request,
                };
                self.with(&request, &Value::from(self.offset(0)))
            }
            Paginate::Page { .. } => self.with(&request, &Value::from(self.number)),
            _ => Ok(request),
        }
    }

    /// The request after `request`, whose answer was `seen`; `None` at the end.
    pub(crate) fn next(
        &mut self,
        request: &Request,
        seen: &Seen<'_>,
    ) -> Result<Option<Request>, Failure> {
        self.records += seen.end.records;
        self.stride = self.stride.or(Some(seen.end.records));
        let envelope = &seen.end.envelope;
        if self.paginate.stop().is_some_and(|stop| stop.holds(envelope)) {
            return Ok(None);
        }
        let value = match &self.paginate {
            Paginate::None {} => None,
            Paginate::Link { .. } => {
                return next_link(seen.headers)
                    .map(|target| linked(request, seen.url, &target))
                    .transpose();
            }
            Paginate::Url { next, .. } => {
                return token(next, envelope)?
                    .map(|target| linked(request, seen.url, &plain_text(&target)))
                    .transpose();
            }
            Paginate::Token { next: Some(next), .. } => token(next, envelope)?,
            Paginate::Token { next_header, .. } => {
                let name = next_header.as_deref().unwrap_or_default();
                let found = header(seen.headers, name).map(str::trim);
                found.filter(|text| !text.is_empty()).map(Value::from)
            }
            Paginate::Offset { limit, total, .. } => {
                self.last = total.as_ref().and_then(|path| number(path, envelope));
                let is_last = match self.last {
                    // A total beats a short page: some apis give less than was asked for.
                    Some(total) => self.records >= total,
                    None => seen.end.records < *limit || seen.end.records == 0,
                };
                if let Some(total) = self.last.filter(|_| !is_last && seen.end.records == 0) {
                    let read = self.records;
                    let problem = format!("a page is empty after {read} of {total} records");
                    return Err(Failure::PageMissing { problem });
                }
                (!is_last).then(|| Value::from(self.offset(self.records)))
            }
            Paginate::Page { start, total_pages, .. } => {
                let total = total_pages.as_ref().and_then(|path| number(path, envelope));
                let last = total.map(|total| start.saturating_add(total).saturating_sub(1));
                self.last = last.or(self.last);
                let is_empty = seen.end.records == 0;
                let is_last = self.last.map_or(is_empty, |last| self.number >= last);
                let number = self.number;
                self.gap = self.last.filter(|_| is_empty && !is_last).map(|last| {
                    let pages = last.saturating_add(1).saturating_sub(*start);
                    format!("page {number} is empty, and there are {pages} by `total_pages`")
                });
                self.number += 1;
                (!is_last).then(|| Value::from(self.number))
            }
            Paginate::Keyset { field, .. } => match &seen.end.last {
                Some(last) => Some(key(field, last)?),
                None => None,
            },
        };
        self.value = value;
        self.value.as_ref().map(|value| self.with(request, value)).transpose()
    }

    /// The place before `next`, the page after the one at hand. There is none where what asks for
    /// that page holds a credential: it must not be kept.
    pub(crate) fn mark(&self, page: u64, next: &Request, redactor: &Redactor) -> Option<PageMark> {
        let (next, text) = match &self.value {
            Some(value) => (NextPage::Value(value.clone()), plain_text(value)),
            // The form that is shown has its credentials masked, and then is another.
            None => {
                let url = next.url.expose().to_string();
                let shown = next.url.to_string();
                (NextPage::Url(url), shown)
            }
        };
        let is_masked = matches!(&next, NextPage::Url(url) if *url != text);
        let is_clean = !is_masked && redactor.redact(&text) == text && text.len() <= MARK_BYTES_MAX;
        is_clean.then_some(PageMark { page, records: self.records, next })
    }

    /// The request after a mark; `first` is the walk's first request.
    pub(crate) fn resume(&mut self, first: Request, mark: &PageMark) -> Result<Request, Failure> {
        self.records = mark.records;
        match &mark.next {
            NextPage::Value(value) => {
                self.number = value.as_u64().unwrap_or(self.number);
                self.with(&first, value)
            }
            NextPage::Url(url) => {
                let home = first.url.expose().clone();
                linked(&first, &home, url)
            }
        }
    }

    /// The request of the page that lies `ahead` pages after the next one, as far as the answers
    /// so far tell that there is one. It is a guess about the length of pages: the walk compares
    /// it with what [`Pager::next`] says when it comes there.
    pub(crate) fn guess(&self, request: &Request, ahead: u64) -> Option<Request> {
        let last = self.last?;
        let value = match &self.paginate {
            Paginate::Offset { prefetch: true, stop: None, .. } => {
                let stride = self.stride.filter(|stride| *stride > 0)?;
                let records = self.records.checked_add(stride.checked_mul(ahead)?)?;
                (records < last).then(|| self.offset(records))
            }
            Paginate::Page { prefetch: true, stop: None, .. } => {
                self.number.checked_add(ahead).filter(|number| *number <= last)
            }
            _ => None,
        };
        self.with(request, &Value::from(value?)).ok()
    }

    fn offset(&self, records: u64) -> u64 {
        match &self.paginate {
            Paginate::Offset { start, .. } => start.saturating_add(records),
            _ => records,
        }
    }

    fn with(&self, request: &Request, value: &Value) -> Result<Request, Failure> {
        match self.paginate.slot() {
            Some(slot) => put(request.clone(), slot, value),
            None => Ok(request.clone()),
        }
    }
}

/// The request for a link's target, on the same origin.
fn linked(request: &Request, answered: &Url, target: &str) -> Result<Request, Failure> {
    let subject = "the link to the next page";
    let mut url = answered
        .join(target)
        .map_err(|error| Failure::invalid(subject, format!("is not a URL: {error}")))?;
    url.set_fragment(None);
    let home = request.url.expose();
    if url.origin() != home.origin() && is_downgrade(home, &url) {
        // An api behind a proxy that ends TLS often takes its own scheme for http.
        let is_set = url.set_scheme("https").is_ok() && url.set_port(None).is_ok();
        debug_assert!(is_set, "both are always possible between http and https");
    }
    if url.origin() != home.origin() {
        return Err(Failure::PageTarget { next: SafeUrl::new(url) });
    }
    Ok(Request { url: SafeUrl::new(url), ..request.clone() })
}

fn is_downgrade(home: &Url, next: &Url) -> bool {
    home.scheme() == "https"
        && home.port().is_none()
        && next.scheme() == "http"
        && next.port().is_none()
        && home.host() == next.host()
}

/// A token or URL in the answer; absent, null, false and empty all mean that there is none.
fn token(path: &RecordPath, envelope: &Value) -> Result<Option<Value>, Failure> {
    match path.find(envelope) {
        None | Some(Value::Null | Value::Bool(false)) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(value @ (Value::String(_) | Value::Number(_))) => Ok(Some(value.clone())),
        Some(_) => {
            let subject = format!("`paginate.next: {path}`");
            Err(Failure::invalid(subject, "leads to neither a text nor a number"))
        }
    }
}

/// A count in the answer; some apis write it as a text.
fn number(path: &RecordPath, envelope: &Value) -> Option<u64> {
    match path.find(envelope)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// The field of the last record that the next page starts after.
fn key(field: &RecordPath, last: &[u8]) -> Result<Value, Failure> {
    let subject = || format!("`paginate.field: {field}`");
    let record: Value = exact_json(last).map_err(|error| {
        Failure::invalid(subject(), format!("cannot be read from the last record: {error}"))
    })?;
    match field.find(&record) {
        Some(value @ (Value::String(_) | Value::Number(_))) => Ok(value.clone()),
        _ => Err(Failure::invalid(subject(), "is no text or number in a page's last record")),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use restway_model::definition::Method;
    use serde_json::json;

    use super::*;

    struct Walker {
        pager: Pager,
        request: Request,
    }

    impl Walker {
        fn start(paginate: Value) -> Self {
            let paginate: Paginate = serde_json::from_value(paginate).expect("a paginate");
            let pager = Pager::new(&paginate);
            let url = Url::parse("https://h/x?q=1").expect("a URL");
            let request = pager.first(Request::new(Method::Get, SafeUrl::new(url)));
            Self { pager, request: request.expect("a request") }
        }

        fn url(&self) -> &str {
            self.request.url.expose().as_str()
        }

        /// Goes on; says the next URL, or `end`, or the error.
        fn step(&mut self, records: u64, envelope: Value, last: Option<&'static str>) -> String {
            self.step_with(&[], records, envelope, last)
        }

        fn step_with(
            &mut self,
            headers: &[(String, String)],
            records: u64,
            envelope: Value,
            last: Option<&'static str>,
        ) -> String {
            let last = last.map(|text| Bytes::from_static(text.as_bytes()));
            let end = PageEnd {
                envelope,
                records,
                bytes: 0,
                last,
                hashes: Vec::new(),
                is_root_record: false,
            };
            let url = self.request.url.expose().clone();
            match self.pager.next(&self.request, &Seen { url: &url, headers, end: &end }) {
                Ok(None) => "end".into(),
                Ok(Some(next)) => {
                    self.request = next;
                    self.url().to_owned()
                }
                Err(failure) => failure.to_string(),
            }
        }
    }

    #[test]
    fn tokens_of_every_kind_go_on_and_their_absence_ends() {
        let paginate = json!({"type": "token", "next": "meta.next", "param": "t"});
        let mut walker = Walker::start(paginate);
        assert_eq!(walker.url(), "https://h/x?q=1");
        let next = |token: Value| json!({"meta": {"next": token}});
        assert_eq!(walker.step(1, next(json!("a&b")), None), "https://h/x?q=1&t=a%26b");
        assert_eq!(walker.step(0, next(json!(7)), None), "https://h/x?q=1&t=7");
        for token in [json!(null), json!(""), json!(false)] {
            assert_eq!(walker.step(1, next(token.clone()), None), "end", "{token}");
        }
        assert_eq!(walker.step(1, json!({}), None), "end");
        for token in [json!({"a": 1}), json!(["a"]), json!(true)] {
            assert!(walker.step(1, next(token.clone()), None).contains("neither"), "{token}");
        }
    }

    #[test]
    fn links_stay_on_their_origin() {
        let paginate = json!({"type": "url", "next": "next"});
        let table = [
            ("/y?page=2", "https://h/y?page=2"),
            ("?page=2#top", "https://h/x?page=2"),
            ("https://h/z", "https://h/z"),
            ("https://h:443/z", "https://h/z"),
            ("http://h/z", "https://h/z"),
            ("//h/z", "https://h/z"),
            ("https://evil/z", "the next page lies on another origin: https://evil/z"),
            ("http://h:81/z", "the next page lies on another origin: http://h:81/z"),
            ("https://h.evil/z", "the next page lies on another origin: https://h.evil/z"),
        ];
        for (next, expected) in table {
            let mut walker = Walker::start(paginate.clone());
            assert_eq!(walker.step(1, json!({"next": next}), None), expected, "{next}");
        }
        let mut walker = Walker::start(json!({"type": "link"}));
        let link = [("link".to_owned(), "</x?page=2>; rel=next".to_owned())];
        assert_eq!(walker.step_with(&link, 1, json!([]), None), "https://h/x?page=2");
        assert_eq!(walker.step_with(&[], 1, json!([]), None), "end");
    }

    #[test]
    fn offsets_count_records_and_a_total_beats_a_short_page() {
        let mut plain = Walker::start(json!({"type": "offset", "limit": 10}));
        assert_eq!(plain.url(), "https://h/x?q=1&limit=10&offset=0");
        assert_eq!(plain.step(10, json!({}), None), "https://h/x?q=1&limit=10&offset=10");
        assert_eq!(plain.step(9, json!({}), None), "end");
        let paginate = json!({"type": "offset", "limit": 10, "total": "n"});
        let mut counted = Walker::start(paginate);
        assert_eq!(counted.step(7, json!({"n": 12}), None), "https://h/x?q=1&limit=10&offset=7");
        assert_eq!(counted.step(5, json!({"n": "12"}), None), "end");
        let mut lying = Walker::start(json!({"type": "offset", "limit": 10, "total": "n"}));
        assert!(lying.step(0, json!({"n": 12}), None).contains("after 0 of 12 records"));
        let mut empty = Walker::start(json!({"type": "offset", "limit": 10, "total": "n"}));
        assert_eq!(empty.step(0, json!({"n": 0}), None), "end");
    }

    #[test]
    fn numbers_go_up_to_the_last_or_an_empty_page() {
        let paginate = json!({"type": "page", "start": 0, "param": "p", "total_pages": "pages"});
        let mut walker = Walker::start(paginate);
        assert_eq!(walker.url(), "https://h/x?q=1&p=0");
        assert_eq!(walker.step(5, json!({"pages": 2}), None), "https://h/x?q=1&p=1");
        assert_eq!(walker.step(5, json!({"pages": 2}), None), "end");
        let mut holed = Walker::start(json!({"type": "page", "total_pages": "pages"}));
        assert_eq!(holed.step(0, json!({"pages": 3}), None), "https://h/x?q=1&page=2");
        assert!(holed.pager.gap().is_some());
        assert_eq!(holed.step(5, json!({}), None), "https://h/x?q=1&page=3");
        assert!(holed.pager.gap().is_none());
        assert_eq!(holed.step(0, json!({"pages": 3}), None), "end");
        assert!(holed.pager.gap().is_none());
        let mut none = Walker::start(json!({"type": "page", "total_pages": "pages"}));
        assert_eq!(none.step(0, json!({"pages": 0}), None), "end");
        let mut open = Walker::start(json!({"type": "page"}));
        assert_eq!(open.step(5, json!({}), None), "https://h/x?q=1&page=2");
        assert_eq!(open.step(0, json!({}), None), "end");
    }

    #[test]
    fn a_condition_over_the_answer_ends_a_walk_and_never_begins_one_again() {
        let more = |more: bool| json!({"has_more": more});
        let paginate = json!({"type": "keyset", "field": "id", "param": "starting_after",
            "stop": "has_more = false"});
        let mut walker = Walker::start(paginate);
        assert_eq!(
            walker.step(1, more(true), Some("{\"id\":1}")),
            "https://h/x?q=1&starting_after=1"
        );
        assert_eq!(walker.step(1, more(false), Some("{\"id\":2}")), "end");
        let mut empty = Walker::start(json!({"type": "page", "stop": "not has_more"}));
        assert_eq!(empty.step(0, more(true), None), "end");
    }

    #[test]
    fn what_changes_may_stand_in_a_header_or_in_the_body() {
        let mut walker = Walker::start(json!({"type": "token", "next_header": "X-Next",
            "header": "X-Token"}));
        let next = |text: &str| [("x-next".to_owned(), text.to_owned())];
        assert_eq!(walker.step_with(&next("a"), 1, json!([]), None), "https://h/x?q=1");
        assert_eq!(walker.step_with(&next("b"), 1, json!([]), None), "https://h/x?q=1");
        assert_eq!(walker.request.headers, [("X-Token".to_owned(), "b".to_owned())]);
        assert_eq!(walker.step_with(&next(" "), 1, json!([]), None), "end");
        let mut walker = Walker::start(json!({"type": "offset", "limit": 2, "start": 1,
            "body": "page.from", "limit_body": "page.size", "total": "n"}));
        let sent = |walker: &Walker| match &walker.request.body {
            Some(crate::Body::Json(json)) => json.clone(),
            _ => Value::Null,
        };
        assert_eq!(sent(&walker), json!({"page": {"size": 2, "from": 1}}));
        assert_eq!(walker.step(2, json!({"n": 5}), None), "https://h/x?q=1");
        assert_eq!(sent(&walker), json!({"page": {"size": 2, "from": 3}}));
        let ahead = walker.pager.guess(&walker.request, 1).and_then(|request| request.body);
        let expected = json!({"page": {"size": 2, "from": 5}});
        assert!(ahead == Some(crate::Body::Json(expected)));
        assert!(walker.pager.guess(&walker.request, 2).is_none());
    }

    #[test]
    fn keysets_go_on_after_the_last_record() {
        let mut walker =
            Walker::start(json!({"type": "keyset", "field": "a.id", "param": "after"}));
        let next = walker.step(2, json!({}), Some("{\"a\":{\"id\":9007199254740993}}"));
        assert_eq!(next, "https://h/x?q=1&after=9007199254740993");
        assert_eq!(walker.step(0, json!({}), None), "end");
        assert!(walker.step(1, json!({}), Some("{\"a\":{\"id\":null}}")).contains("no text"));
        assert!(walker.step(1, json!({}), Some("{\"a\":")).contains("cannot be read"));
    }
}
