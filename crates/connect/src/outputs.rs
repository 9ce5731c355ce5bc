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
}
