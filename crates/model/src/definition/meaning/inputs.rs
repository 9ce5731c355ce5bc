//! What the inputs of one call must mean: which exclude each other, and which need another.

use serde_json::Value;

use super::{Finder, Meaning, check_header_name};
use crate::definition::inputs::{CallInputs, Multipart, PartHeader, is_plain, timeouts};

/// A boundary's length at most (RFC 2046, section 5.1.1).
const BOUNDARY_MAX: usize = 70;
/// No timeout, wait or deadline is longer than a day.
const SECONDS_MAX: f64 = 86_400.0;
/// Headers that say where a body ends; one that is wrong has the server wait, or read a part.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];
/// Redirects of one request at most, whatever `max_redirects` says.
const REDIRECTS_MAX: u16 = 100;

impl Meaning for CallInputs {
    #[expect(private_interfaces, reason = "only this module's files are definitions")]
    fn check(&self, finder: &mut Finder<'_>) {
        if self.url.is_none() && self.hostname.is_none() {
            finder.report(&[], "either `url` or `hostname` must be given", None);
        }
        if let Some(scheme) = self.scheme.as_deref()
            && !matches!(scheme, "http" | "https")
        {
            finder.report(&["scheme"], "`scheme` is `https` or `http`", None);
        }
        self.check_body(finder);
        self.check_login(finder);
        self.check_numbers(finder);
        self.check_pairs(finder);
        if let Some(multipart) = &self.multipart {
            check_multipart(finder, multipart);
        }
    }
}

impl CallInputs {
    fn check_body(&self, finder: &mut Finder<'_>) {
        let bodies = self.bodies();
        if let [first, second, ..] = bodies.as_slice() {
            let message = format!("`{first}` and `{second}` are both a body; only one can be sent");
            finder.report(&[second], message, None);
        }
        match self.method() {
            None => finder.report(
                &["method"],
                "not a method",
                Some("use get, head, options, post, put, patch or delete".into()),
            ),
            Some(method) => {
                let takes = matches!(method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE");
                if let Some(body) = bodies.first().filter(|_| !takes) {
                    let message =
                        format!("a body needs post, put, patch or delete, not {}", method.as_str());
                    finder.report(&[body], message, Some("write `method: post`".into()));
                }
            }
        }
    }

    fn check_login(&self, finder: &mut Finder<'_>) {
        if let Some(method) = self.authentication_method.as_deref() {
            if method != "basic" {
                let hint = "other logins belong into an api file; name it with `grant`".to_owned();
                let message = "the only authentication method here is `basic`";
                finder.report(&["authentication_method"], message, Some(hint));
            } else if self.username.is_none() {
                finder.report(&["authentication_method"], "`basic` needs a `username`", None);
            }
        }
        if self.password.is_some() && self.username.is_none() {
            finder.report(&["password"], "a `password` needs a `username`", None);
        }
        if self.grant.is_some() && self.username.is_some() {
            finder.report(&["grant"], "`grant` and `username` are two logins", None);
        }
        if self.client_cert.is_none() {
            let keys = [
                ("client_key", self.client_key.is_some()),
                ("client_key_password", self.client_key_password.is_some()),
            ];
            for (at, _) in keys.into_iter().filter(|(_, is_given)| *is_given) {
                finder.report(&[at], format!("`{at}` needs a `client_cert`"), None);
            }
        } else if self.client_key.is_none() && self.client_key_password.is_none() {
            let hint = "a PKCS#12 file, which brings its key, needs `client_key_password`".into();
            finder.report(&["client_cert"], "`client_cert` needs a `client_key`", Some(hint));
        }
    }

    fn check_numbers(&self, finder: &mut Finder<'_>) {
        let fits = |number: f64| (0.0..=SECONDS_MAX).contains(&number);
        for (name, seconds) in timeouts(self) {
            if seconds.is_some_and(|seconds| !fits(seconds)) {
                finder.report(&[name], "a number of seconds, from 0 to 86400", None);
            }
        }
        let backoff = &self.retry_backoff;
        for (name, seconds) in [
            ("initial", backoff.initial),
            ("maximum", backoff.maximum),
            ("deadline", backoff.deadline),
        ] {
            if !fits(seconds) {
                let path = ["retry_backoff", name];
                finder.report(&path, "a number of seconds, from 0 to 86400", None);
            }
        }
        if !(1.0..=1_000.0).contains(&backoff.multiplier) {
            finder.report(&["retry_backoff", "multiplier"], "a number from 1 to 1000", None);
        }
        let statuses = [
            ("expected_status_code", self.expected_status_code.as_slice()),
            ("retry_status_code", self.retry_status_code.as_deref().unwrap_or_default()),
        ];
        for (name, codes) in statuses {
            for code in codes.iter().filter(|code| !(100..600).contains(*code)) {
                finder.report(&[name], format!("`{code}` is not a status"), None);
            }
        }
        if self.max_redirects > REDIRECTS_MAX {
            finder.report(&["max_redirects"], "at most 100", None);
        }
        if self.port == Some(0) {
            finder.report(&["port"], "a port from 1 to 65535", None);
        }
    }

    fn check_pairs(&self, finder: &mut Finder<'_>) {
        for (name, pairs) in [("params", &self.params), ("urlencoded", &self.urlencoded)] {
            for (key, value) in pairs.iter().flatten() {
                if !is_plain(value) {
                    let message = "a text, a number, true, false, null or a list of these";
                    finder.report(&[name, key], message, None);
                }
            }
        }
        for (key, value) in self.cookies.iter().flatten() {
            if !value.is_string() {
                finder.report(&["cookies", key], "a cookie's value is a text", None);
            }
        }
        for (key, value) in self.headers.iter().flatten() {
            let path = ["headers", key.as_str()];
            let lower = key.to_ascii_lowercase();
            if check_header_name(finder, &path, key) && FRAMING.contains(&lower.as_str()) {
                let hint = "leave it out: it follows from the body".to_owned();
                finder.report(&path, format!("the header `{key}` is not yours to set"), Some(hint));
            }
            let is_text = match value {
                Value::Array(items) => items.iter().all(Value::is_string),
                value => value.is_string(),
            };
            if !is_text {
                let hint = "put it in quotes to make it a text".to_owned();
                finder.report(&path, "a header is a text or a list of texts", Some(hint));
            }
        }
    }
}

fn check_multipart(finder: &mut Finder<'_>, multipart: &Multipart) {
    if multipart.preset.is_some() && multipart.content_type.is_some() {
        let message = "`preset` and `content-type` exclude each other";
        finder.report(&["multipart", "preset"], message, None);
    }
    if let Some(boundary) = &multipart.boundary {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || "'()+_,-./:=? ".contains(c);
        let is_bad = boundary.is_empty()
            || boundary.len() > BOUNDARY_MAX
            || boundary.ends_with(' ')
            || !boundary.chars().all(is_fine);
        if is_bad {
            let message = "a boundary is 1 to 70 letters, digits and `'()+_,-./:=?`";
            finder.report(&["multipart", "boundary"], message, None);
        }
    }
    if multipart.parts.is_empty() {
        finder.report(&["multipart", "parts"], "a multipart body needs a part", None);
    }
    for (at, part) in multipart.parts.iter().enumerate() {
        let at = at.to_string();
        let path = ["multipart", "parts", at.as_str()];
        if part.value.is_some() == part.file.is_some() {
            finder.report(&path, "a part has one of `value` and `file`", None);
        }
        let headers = [&part.content_type, &part.content_disposition, &part.content_length];
        let texts = headers.iter().filter_map(|header| header.as_ref());
        for header in texts {
            match header {
                PartHeader::Omitted(true) => {
                    finder.report(&path, "a part's header is a text, or false for none", None);
                }
                PartHeader::Text(text) if text.contains(['\r', '\n']) => {
                    finder.report(&path, "a header's value is one line", None);
                }
                _ => {}
            }
        }
    }
}
