//! The cookies that answers set, as a browser would keep them for one call (RFC 6265).
//!
//! In: the `Set-Cookie` headers of the answers on the way, each with the URL that answered and the
//! time. Out: the `Cookie` header of the next hop, and what is left at the end. A cookie goes to
//! the paths that it is for, over https only if it says so, and no longer than it lives. Only hops
//! on the origin of the call are asked about, so a `Domain` decides nothing here. Nothing outlives
//! the call.

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

use crate::retry::http_date;

/// Cookies of one call at most.
const COOKIES_MAX: usize = 1_000;

/// The cookies of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Jar(Vec<Cookie>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    path: String,
    is_secure: bool,
}

impl Jar {
    /// Takes over what an answer sets; a cookie whose end is in the past is one that is gone
    /// (RFC 6265, section 5.3).
    pub(crate) fn read(&mut self, headers: &[(String, String)], url: &Url, now: DateTime<Utc>) {
        let lines = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        for (cookie, ends) in lines.filter_map(|(_, line)| cookie(line, url, now)) {
            // What came over http must not take the place of what is for https.
            if cookie.is_secure && url.scheme() != "https" {
                continue;
            }
            self.0.retain(|known| known.name != cookie.name || known.path != cookie.path);
            if ends.is_none_or(|end| end > now) && self.0.len() < COOKIES_MAX {
                self.0.push(cookie);
            }
        }
    }

    /// Writes the `Cookie` header of a hop: the request's `own` cookies, and over them these.
    pub(crate) fn apply(&self, own: &str, url: &Url, headers: &mut Vec<(String, String)>) {
        let sent: Vec<&Cookie> = self.0.iter().filter(|cookie| cookie.is_for(url)).collect();
        let is_kept = |pair: &&str| {
            let name = pair.split_once('=').map_or(*pair, |(name, _)| name).trim();
            !name.is_empty() && !sent.iter().any(|cookie| cookie.name == name)
        };
        let mut pairs: Vec<String> =
            own.split(';').map(str::trim).filter(is_kept).map(str::to_owned).collect();
        pairs.extend(sent.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)));
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("cookie"));
        if !pairs.is_empty() {
            headers.push(("cookie".into(), pairs.join("; ")));
        }
    }

    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.0.into_iter().map(|cookie| (cookie.name, cookie.value)).collect()
    }
}

impl Cookie {
    /// Whether it goes to that URL (RFC 6265, sections 5.1.4 and 5.4).
    fn is_for(&self, url: &Url) -> bool {
        let rest = url.path().strip_prefix(&self.path);
        let is_below = rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/')
        });
        is_below && (!self.is_secure || url.scheme() == "https")
    }
}

/// A cookie of a `Set-Cookie` line, and when it ends, if it does before the call.
fn cookie(line: &str, url: &Url, now: DateTime<Utc>) -> Option<(Cookie, Option<DateTime<Utc>>)> {
    let mut parts = line.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    let name = name.trim();
    let mut cookie = Cookie {
        name: (!name.is_empty()).then(|| name.to_owned())?,
        value: value.trim().to_owned(),
        path: folder(url.path()),
        is_secure: false,
    };
    let (mut expires, mut age) = (None, None);
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "secure" => cookie.is_secure = true,
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "path" => cookie.path = folder(url.path()),
            "expires" => expires = date(value).or(expires),
            "max-age" => age = value.parse::<i64>().ok().or(age),
            _ => {}
        }
    }
    // `Max-Age` counts before `Expires`; one that no date can hold is one that does not end.
    let ends = match age {
        Some(age) if age <= 0 => Some(now),
        Some(age) => TimeDelta::try_seconds(age).and_then(|age| now.checked_add_signed(age)),
        None => expires,
    };
    Some((cookie, ends))
}

/// The path of a cookie that names none: up to the last slash of its URL's (section 5.1.4).
fn folder(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder.to_owned(),
        _ => "/".to_owned(),
    }
}

/// A date as HTTP writes it, or with dashes between day, month and year.
fn date(text: &str) -> Option<DateTime<Utc>> {
    http_date(text).or_else(|| {
        let (day, rest) = text.split_once(' ')?;
        let (date, time) = rest.split_once(' ')?;
        http_date(&format!("{day} {} {time}", date.replace('-', " ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).expect("a moment")
    }

    fn set(jar: &mut Jar, url: &str, lines: &[&str]) {
        let lines: Vec<(String, String)> =
            lines.iter().map(|line| ("Set-Cookie".to_owned(), (*line).to_owned())).collect();
        jar.read(&lines, &Url::parse(url).expect(url), now());
    }

    fn sent(jar: &Jar, own: &str, url: &str) -> String {
        let mut headers = vec![("Cookie".to_owned(), "left=over".to_owned())];
        jar.apply(own, &Url::parse(url).expect(url), &mut headers);
        assert!(headers.len() < 2, "{headers:?}");
        headers.pop().map(|(_, value)| value).unwrap_or_default()
    }

    #[test]
    fn cookies_are_kept_replaced_and_ended() {
        let mut jar = Jar::default();
        set(&mut jar, "https://h/x", &["a=1; Path=/; HttpOnly", "b=x=y", "c=3", "junk", "=1"]);
        set(&mut jar, "https://h/y", &["a=2", "c=; Max-Age=0", "d=4; Max-Age=60"]);
        assert_eq!(sent(&jar, "a=0; own=o", "https://h/"), "own=o; b=x=y; a=2; d=4");
        let pairs = [("b", "x=y"), ("a", "2"), ("d", "4")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(jar.into_pairs(), pairs);
        assert_eq!(sent(&Jar::default(), "", "https://h/"), "");
    }

    #[test]
    fn a_cookie_that_has_ended_is_gone() {
        let mut jar = Jar::default();
        set(
            &mut jar,
            "https://h/",
            &[
                "old=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT",
                "dashes=1; expires=Wed, 21-Oct-2015 07:28:00 GMT",
                "late=1; Expires=Fri, 21 Oct 2095 07:28:00 GMT",
                "age=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Max-Age=5",
                "over=1; Expires=Fri, 21 Oct 2095 07:28:00 GMT; Max-Age=-1",
                "odd=1; Expires=soon; Max-Age=soon",
                "far=1; Max-Age=9223372036854775807",
            ],
        );
        assert_eq!(sent(&jar, "", "https://h/"), "late=1; age=1; odd=1; far=1");
        set(&mut jar, "https://h/", &["late=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]);
        assert_eq!(sent(&jar, "", "https://h/"), "age=1; odd=1; far=1");
    }

    #[test]
    fn a_cookie_goes_where_it_is_for() {
        let mut jar = Jar::default();
        set(
            &mut jar,
            "https://h/login/start",
            &[
                "here=1",
                "all=1; Path=/",
                "api=1; Path=/api",
                "safe=1; Path=/; Secure",
                "bad=1; Path=x",
            ],
        );
        for (url, expected) in [
            ("https://h/login/next", "here=1; all=1; safe=1; bad=1"),
            ("https://h/login", "here=1; all=1; safe=1; bad=1"),
            ("https://h/loginx", "all=1; safe=1"),
            ("https://h/api", "all=1; api=1; safe=1"),
            ("https://h/api/x", "all=1; api=1; safe=1"),
            ("https://h/apix", "all=1; safe=1"),
            ("http://h/api/x", "all=1; api=1"),
        ] {
            assert_eq!(sent(&jar, "", url), expected, "{url}");
        }
        let mut plain = Jar::default();
        set(&mut plain, "http://h/", &["safe=1; Secure", "x=1"]);
        assert_eq!(sent(&plain, "", "https://h/"), "x=1");
    }
}
