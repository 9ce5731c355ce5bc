//! The outputs of one call, by the names that Cloudomation documents.
//!
//! In: an answer. Out: what its body is, in exactly one form: JSON, text in some charset, or
//! bytes; none for an empty one. Nothing is guessed from the content type but the charset: JSON is
//! JSON whatever it is called. A byte that the charset does not know makes the body bytes, never a
//! text with question marks in it.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use serde_json::value::RawValue;

use crate::request::{Answer, header};

/// What an answer's body is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload<'a> {
    /// There is none.
    None,
    /// JSON, as it was written.
    Json {
        /// The text.
        text: Cow<'a, str>,
        /// The charset that it was in, in lower case.
        encoding: String,
    },
    /// Text that is not JSON.
    Text {
        /// The text.
        text: Cow<'a, str>,
        /// The charset that it was in, in lower case.
        encoding: String,
    },
    /// Neither.
    Bytes(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// The body of an answer in its one form.
    pub fn of(answer: &'a Answer) -> Self {
        let body: &[u8] = &answer.body;
        if body.is_empty() {
            return Self::None;
        }
        let Some((text, encoding)) = decoded(body, header(&answer.headers, "content-type")) else {
            return Self::Bytes(body);
        };
        let encoding = encoding.name().to_ascii_lowercase();
        match serde_json::from_str::<&RawValue>(&text) {
            Ok(_) => Self::Json { text, encoding },
            Err(_) => Self::Text { text, encoding },
        }
    }
}

/// A byte order mark, else the declared charset, else UTF-8.
fn decoded<'a>(
    body: &'a [u8],
    content_type: Option<&str>,
) -> Option<(Cow<'a, str>, &'static Encoding)> {
    let (encoding, mark) = match Encoding::for_bom(body) {
        Some(found) => found,
        None => (content_type.and_then(charset).unwrap_or(UTF_8), 0),
    };
    let text = encoding.decode_without_bom_handling_and_without_replacement(&body[mark..])?;
    Some((text, encoding))
}

/// The `charset` of a content type, if there is a decoder for it (RFC 9110, section 8.3.2).
pub(crate) fn charset(content_type: &str) -> Option<&'static Encoding> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        Encoding::for_label(value.trim().trim_matches('"').as_bytes()).filter(|_| is_charset)
    })
}

/// The cookies that answers set, as a person's browser would keep them for this one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Jar(Vec<(String, String)>);

impl Jar {
    /// Takes over what an answer sets; a cookie with an end in the past is one that is gone
    /// (RFC 6265, section 5.3). Dates are not compared: `Max-Age`, or an empty value, ends one.
    pub(crate) fn read(&mut self, headers: &[(String, String)]) {
        /// Cookies of one call at most.
        const COOKIES_MAX: usize = 1_000;
        for (_, line) in headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        {
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let name = name.trim().to_owned();
            self.0.retain(|(known, _)| *known != name);
            let is_over = parts.any(|part| {
                part.split_once('=').is_some_and(|(key, seconds)| {
                    key.trim().eq_ignore_ascii_case("max-age")
                        && seconds.trim().parse::<i64>().is_ok_and(|seconds| seconds <= 0)
                })
            });
            if !is_over && !name.is_empty() && self.0.len() < COOKIES_MAX {
                self.0.push((name, value.trim().to_owned()));
            }
        }
    }

    /// The `Cookie` header of the next hop: the request's own cookies, and over them these.
    pub(crate) fn apply(&self, headers: &mut Vec<(String, String)>) {
        if self.0.is_empty() {
            return;
        }
        let own = header(headers, "cookie").unwrap_or_default().to_owned();
        let is_kept = |pair: &&str| {
            let name = pair.split_once('=').map_or(*pair, |(name, _)| name).trim();
            !name.is_empty() && !self.0.iter().any(|(known, _)| known == name)
        };
        let mut pairs: Vec<String> =
            own.split(';').map(str::trim).filter(is_kept).map(str::to_owned).collect();
        pairs.extend(self.0.iter().map(|(name, value)| format!("{name}={value}")));
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("cookie"));
        headers.push(("cookie".into(), pairs.join("; ")));
    }

    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: &str, body: &[u8]) -> String {
        let headers = [("content-type".to_owned(), content_type.to_owned())];
        let answer = Answer::of_body(&headers, body);
        match Payload::of(&answer) {
            Payload::None => "none".into(),
            Payload::Json { text, encoding } => format!("json {encoding} {text}"),
            Payload::Text { text, encoding } => format!("text {encoding} {text}"),
            Payload::Bytes(bytes) => format!("bytes {}", bytes.len()),
        }
    }

    #[test]
    fn every_body_has_exactly_one_form() {
        let table: [(&str, &[u8], &str); 16] = [
            ("", b"", "none"),
            ("application/json", b"{\"n\":1.10}", "json utf-8 {\"n\":1.10}"),
            ("text/plain", b"42", "json utf-8 42"),
            ("text/plain", b"null", "json utf-8 null"),
            ("text/html", b"<p>x</p>", "text utf-8 <p>x</p>"),
            ("application/json", b"{oops", "text utf-8 {oops"),
            ("application/json", b"NaN", "text utf-8 NaN"),
            ("image/png", b"\x89PNG\r\n\x1a\n", "bytes 8"),
            ("text/plain; charset=utf-8", b"\xff\xfe\xfd", "bytes 3"),
            ("text/plain", b"caf\xe9", "bytes 4"),
            ("text/plain; charset=ISO-8859-1", b"caf\xe9", "text windows-1252 café"),
            ("text/plain; Charset=\"windows-1251\"", b"\xcf\xf0", "text windows-1251 Пр"),
            ("text/plain; charset=shift_jis", b"\x93\xfa", "text shift_jis 日"),
            ("application/json", b"\xef\xbb\xbf[1]", "json utf-8 [1]"),
            ("application/json", b"\xff\xfe[\x001\x00]\x00", "json utf-16le [1]"),
            ("text/plain; charset=klingon", "ü".as_bytes(), "text utf-8 ü"),
        ];
        for (content_type, body, expected) in table {
            assert_eq!(read(content_type, body), expected, "{content_type} {body:?}");
        }
    }

    #[test]
    fn cookies_are_kept_replaced_and_ended() {
        let set = |lines: &[&str]| -> Vec<(String, String)> {
            lines.iter().map(|line| ("set-cookie".to_owned(), (*line).to_owned())).collect()
        };
        let mut jar = Jar::default();
        jar.read(&set(&["a=1; Path=/; HttpOnly", "b=x=y", "c=3", "junk"]));
        jar.read(&set(&["a=2", "c=; Max-Age=0"]));
        let mut headers = vec![("Cookie".to_owned(), "a=0; own=o".to_owned())];
        jar.apply(&mut headers);
        assert_eq!(headers, [("cookie".into(), "own=o; b=x=y; a=2".into())]);
        assert_eq!(jar.into_pairs(), [("b".into(), "x=y".into()), ("a".into(), "2".into())]);
    }
}
