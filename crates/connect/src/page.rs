//! Page: from one page to the next.
//!
//! In: the request of a page and what its answer held. Out: the next request, or the end. A state
//! machine without input or output. What never happens here: a next page on another origin, or an
//! end because a field holds something that was not understood; only what the definition names as
//! the end (no token, no link, a short or empty page, the last number) is one.

use restway_model::definition::Paginate;
use restway_model::{RecordPath, SafeUrl, exact_json};
use serde_json::Value;
use url::Url;

use crate::decode::PageEnd;
use crate::error::Failure;
use crate::link::next_link;
use crate::plan::{plain_text, set_query};
use crate::request::Request;

/// How the next page is found, and how far the walk is.
#[derive(Debug, Clone)]
pub(crate) struct Pager {
    paginate: Paginate,
    /// Records read so far.
    records: u64,
    /// The number of the page at hand.
    number: u64,
}

/// What the answer to a page held beside its records.
pub(crate) struct Seen<'a> {
    /// The URL that answered: what a relative link is relative to.
    pub(crate) url: &'a Url,
    pub(crate) headers: &'a [(String, String)],
    pub(crate) end: &'a PageEnd,
}

impl Pager {
    pub(crate) fn new(paginate: &Paginate) -> Self {
        let number = match paginate {
            Paginate::Page { start, .. } => *start,
            _ => 1,
        };
        Self { paginate: paginate.clone(), records: 0, number }
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
        !matches!(self.paginate, Paginate::None {} | Paginate::Link {} | Paginate::Keyset { .. })
    }

    /// The number of all records, where the definition says where it stands.
    pub(crate) fn total(&self, envelope: &Value) -> Option<u64> {
        match &self.paginate {
            Paginate::Offset { total: Some(path), .. } => number(path, envelope),
            _ => None,
        }
    }

    /// The first page's request.
    pub(crate) fn first(&self, request: Request) -> Request {
        match &self.paginate {
            Paginate::Offset { param, limit_param, limit, .. } => {
                let request = with(request, limit_param, &limit.to_string());
                with(request, param, "0")
            }
            Paginate::Page { param, .. } => with(request, param, &self.number.to_string()),
            _ => request,
        }
    }

    /// The request after `request`, whose answer was `seen`; `None` at the end.
    pub(crate) fn next(
        &mut self,
        request: &Request,
        seen: &Seen<'_>,
    ) -> Result<Option<Request>, Failure> {
        self.records += seen.end.records;
        let envelope = &seen.end.envelope;
        let next = match &self.paginate {
            Paginate::None {} => None,
            Paginate::Link {} => match next_link(seen.headers) {
                Some(target) => Some(linked(request, seen.url, &target)?),
                None => None,
            },
            Paginate::Url { next } => match text(next, envelope)? {
                Some(target) => Some(linked(request, seen.url, &target)?),
                None => None,
            },
            Paginate::Token { next, param } => {
                text(next, envelope)?.map(|token| with(request.clone(), param, &token))
            }
            Paginate::Offset { param, limit, total, .. } => {
                let total = total.as_ref().and_then(|path| number(path, envelope));
                let is_last = match total {
                    // A total beats a short page: some apis give less than was asked for.
                    Some(total) => seen.end.records == 0 || self.records >= total,
                    None => seen.end.records < *limit || seen.end.records == 0,
                };
                let offset = self.records.to_string();
                (!is_last).then(|| with(request.clone(), param, &offset))
            }
            Paginate::Page { param, start, total_pages } => {
                let total = total_pages.as_ref().and_then(|path| number(path, envelope));
                let read = self.number - start + 1;
                let is_last = seen.end.records == 0 || total.is_some_and(|total| read >= total);
                self.number += 1;
                let number = self.number.to_string();
                (!is_last).then(|| with(request.clone(), param, &number))
            }
            Paginate::Keyset { field, param } => match &seen.end.last {
                Some(last) => Some(with(request.clone(), param, &key(field, last)?)),
                None => None,
            },
        };
        Ok(next)
    }
}

fn with(mut request: Request, name: &str, value: &str) -> Request {
    request.url = SafeUrl::new(set_query(request.url.expose(), name, value));
    request
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
fn text(path: &RecordPath, envelope: &Value) -> Result<Option<String>, Failure> {
    match path.find(envelope) {
        None | Some(Value::Null | Value::Bool(false)) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(value @ (Value::String(_) | Value::Number(_))) => Ok(Some(plain_text(value))),
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
fn key(field: &RecordPath, last: &[u8]) -> Result<String, Failure> {
    let subject = || format!("`paginate.field: {field}`");
    let record: Value = exact_json(last).map_err(|error| {
        Failure::invalid(subject(), format!("cannot be read from the last record: {error}"))
    })?;
    match field.find(&record) {
        Some(value @ (Value::String(_) | Value::Number(_))) => Ok(plain_text(value)),
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
            Self { pager, request }
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
            let end = PageEnd { envelope, records, bytes: 0, last, hash: 0, is_root_record: false };
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
        assert_eq!(lying.step(0, json!({"n": 12}), None), "end");
    }

    #[test]
    fn numbers_go_up_to_the_last_or_an_empty_page() {
        let paginate = json!({"type": "page", "start": 0, "param": "p", "total_pages": "pages"});
        let mut walker = Walker::start(paginate);
        assert_eq!(walker.url(), "https://h/x?q=1&p=0");
        assert_eq!(walker.step(5, json!({"pages": 2}), None), "https://h/x?q=1&p=1");
        assert_eq!(walker.step(5, json!({"pages": 2}), None), "end");
        let mut open = Walker::start(json!({"type": "page"}));
        assert_eq!(open.step(5, json!({}), None), "https://h/x?q=1&page=2");
        assert_eq!(open.step(0, json!({}), None), "end");
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
