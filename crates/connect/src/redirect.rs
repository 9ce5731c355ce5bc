//! Where a redirect leads, and whether it is followed.
//!
//! In: the hop that was sent and the answer to it. Out: the next hop, nothing, or a refusal. Pure.
//! On the same origin everything goes along. To another origin goes only what says nothing about
//! anybody: no credentials, no header of a definition's but the harmless ones, no body. From https
//! to http nothing goes at all. A write keeps its method, and so its origin; only 303 says that it
//! is done and that a GET tells how, and 301 and 302 make a GET of a POST, as every client does.

use restway_model::SafeUrl;
use restway_model::definition::Method;
use url::Url;

use crate::error::Failure;
use crate::request::header;
use crate::target::{is_loopback, is_same_origin};
use crate::upload::Upload;

/// Headers that may go to another origin. A list of what to keep cannot forget a secret one.
const HARMLESS: [&str; 3] = ["accept", "accept-language", "user-agent"];

/// One request of a chain of redirects.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hop {
    pub(crate) method: Method,
    pub(crate) url: SafeUrl,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Upload>,
    /// Whether the chain never left the origin it began on; credentials go along only then.
    pub(crate) is_home: bool,
}

impl Hop {
    /// The hop after this one, if the answer is a redirect (RFC 9110, section 15.4).
    pub(crate) fn after(
        &self,
        status: u16,
        headers: &[(String, String)],
    ) -> Result<Option<Self>, Failure> {
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let location = header(headers, "location").unwrap_or_default();
        let refused = |problem: &str| Failure::Redirect {
            target: if location.is_empty() { "nowhere".into() } else { self.shown(location) },
            problem: problem.to_owned(),
        };
        if location.is_empty() {
            return Err(refused("the answer has no Location"));
        }
        let mut url =
            self.url.expose().join(location).map_err(|_| refused("its Location is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("it is not http or https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("it holds a user name or password"));
        }
        if self.url.expose().scheme() == "https" && url.scheme() == "http" {
            return Err(refused("it leads from https to http"));
        }
        url.set_fragment(None);
        let stays = is_same_origin(&url, self.url.expose());
        let url = SafeUrl::new(url);
        let mut next = Self { url, is_home: self.is_home && stays, ..self.clone() };
        let becomes_get = match status {
            303 => self.method != Method::Head,
            301 | 302 => self.method == Method::Post,
            _ => false,
        };
        if becomes_get {
            next.method = Method::Get;
            next.body = None;
            next.headers.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("content-"));
        }
        if !stays {
            let is_read = matches!(next.method, Method::Get | Method::Head | Method::Options);
            if next.body.is_some() || !is_read {
                let method = next.method.as_str();
                return Err(refused(&format!("it would send a {method} to another origin")));
            }
            next.headers.retain(|(name, _)| {
                HARMLESS.iter().any(|harmless| name.eq_ignore_ascii_case(harmless))
            });
        }
        Ok(Some(next))
    }

    /// Whether the hop after this one, which the status led to, leaves the write of this one
    /// undone: 301 and 302 say that it belongs elsewhere, and a GET there writes nothing.
    pub(crate) fn loses_write(&self, status: u16, next: &Self) -> bool {
        matches!(status, 301 | 302) && self.method != next.method
    }

    /// The target as it may be shown.
    fn shown(&self, location: &str) -> String {
        match self.url.expose().join(location) {
            Ok(url) => SafeUrl::new(url).to_string(),
            Err(_) => "an unreadable Location".into(),
        }
    }
}

/// Whether a redirect leads to where the person at the command line did not point: to another
/// origin than one that is written down, from a machine that is not their own. Their loopback is
/// open to them alone.
pub(crate) fn is_led(was_led: bool, from: &Url, to: &Url, is_written: bool) -> bool {
    was_led || !(is_written || from.origin() == to.origin() || is_loopback(from))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn hop(method: Method, url: &str, body: bool) -> Hop {
        let headers = ["Accept", "Content-Type", "X-Api-Key", "Cookie", "X-Team"];
        Hop {
            method,
            url: SafeUrl::new(Url::parse(url).expect(url)),
            headers: headers.iter().map(|&name| (name.to_owned(), "value".to_owned())).collect(),
            body: body.then(|| bytes::Bytes::from_static(b"{}").into()),
            is_home: true,
        }
    }

    fn follow(hop: &Hop, status: u16, location: &str) -> Result<Hop, String> {
        let headers = [("location".to_owned(), location.to_owned())];
        match hop.after(status, &headers) {
            Ok(next) => Ok(next.expect("a redirect")),
            Err(failure) => Err(failure.to_string()),
        }
    }

    #[test]
    fn methods_and_bodies_follow_the_status() {
        use Method::{Get, Head, Post};
        let table = [
            (Post, 301, Get, false),
            (Post, 302, Get, false),
            (Post, 303, Get, false),
            (Post, 307, Post, true),
            (Post, 308, Post, true),
            (Head, 302, Head, false),
            (Get, 302, Get, false),
            (Method::Put, 303, Get, false),
            (Method::Put, 301, Method::Put, true),
            (Method::Patch, 302, Method::Patch, true),
            (Method::Delete, 302, Method::Delete, false),
            (Method::Delete, 303, Get, false),
        ];
        for (method, status, then, has_body) in table {
            let sent =
                hop(method, "https://h/a", matches!(method, Post | Method::Put | Method::Patch));
            let next = follow(&sent, status, "/b").expect("it is followed");
            assert_eq!((next.method, next.body.is_some()), (then, has_body), "{status}");
            assert!(next.is_home && next.url.expose().as_str() == "https://h/b");
        }
        let plain = hop(Get, "https://h/a", false);
        for status in [200, 300, 304, 305, 404] {
            assert_eq!(plain.after(status, &[]).ok(), Some(None), "{status}");
        }
    }

    #[test]
    fn nothing_that_tells_leaves_the_origin_and_leaving_is_for_good() {
        let sent = hop(Method::Get, "https://h/a", false);
        for target in ["https://other/x", "https://h:444/x", "//other/x"] {
            let away = follow(&sent, 302, target).expect(target);
            let names: Vec<&str> = away.headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!((names, away.is_home), (vec!["Accept"], false), "{target}");
            let stays_away = follow(&away, 302, "/y").expect("it is followed");
            assert!(!stays_away.is_home);
            let back = follow(&away, 302, "https://h/b").expect("it is followed");
            assert!(!back.is_home && !follow(&back, 302, "/c").expect("it is followed").is_home);
        }
        let to_https = follow(&hop(Method::Get, "http://h/a", false), 301, "https://h/a");
        assert!(!to_https.expect("it is followed").is_home);
    }

    #[test]
    fn what_must_not_be_followed_is_refused() {
        let post = hop(Method::Post, "https://h/a", true);
        let get = hop(Method::Get, "https://h/a", false);
        let delete = hop(Method::Delete, "https://h/a", false);
        let table = [
            (&post, 307, "https://other/x", "a POST to another origin"),
            (&delete, 302, "https://other/x", "a DELETE to another origin"),
            (&get, 302, "http://h/a", "https to http"),
            (&get, 302, "ftp://h/a", "not http"),
            (&get, 302, "", "no Location"),
            (&get, 302, "https://u:p@h/", "user name"),
            (&get, 302, "https://", "not a URL"),
        ];
        for (sent, status, target, problem) in table {
            let error = follow(sent, status, target).expect_err(target);
            assert!(error.contains(problem), "{target}: {error}");
            assert!(!error.contains("u:p"), "{error}");
        }
    }

    #[test]
    fn only_ones_own_machine_leads_to_ones_own_machine() {
        let led = |was_led, from: &str, to: &str, is_written| {
            let url = |text: &str| Url::parse(text).expect("a URL");
            is_led(was_led, &url(from), &url(to), is_written)
        };
        assert!(led(false, "https://api.acme.example/", "http://127.0.0.1:9200/", false));
        assert!(led(true, "http://127.0.0.1:1/", "http://127.0.0.1:2/", false));
        assert!(!led(false, "http://127.0.0.1:1/", "http://127.0.0.1:2/", false));
        assert!(!led(false, "https://api.acme.example/", "http://127.0.0.1:2/", true));
        assert!(!led(false, "http://own.example:1/", "http://own.example:1/b", false));
    }
}
