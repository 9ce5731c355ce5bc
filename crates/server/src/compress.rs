//! Answers packed for their way, for callers who can unpack them (RFC 9110, 12.5.3).
//!
//! In: an answer about published objects, and what its caller takes. Out: the same answer, or its
//! body in zstd, Brotli or gzip, packed as it passes, so that an answer of any length needs the
//! memory of one window. A body that breaks breaks packed, too, before the end of its coding. The
//! tag of what is packed has the coding's name in it, because a strong tag names bytes (RFC 9110,
//! 8.8.3); conditions of a caller are compared without it.
//!
//! What never happens here: a small answer that is packed, or one that is packed already.

use std::io;

use async_compression::Level;
use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use futures::{TryStreamExt, stream};
use tokio_util::io::{ReaderStream, StreamReader};

/// Smaller bodies are sent as they are: packing them costs more than it saves.
const BYTES_MIN: u64 = 1_024;
/// Levels at which packing is faster than most networks.
const BROTLI: Level = Level::Precise(4);
const ZSTD: Level = Level::Precise(3);
const GZIP: Level = Level::Precise(5);
/// What is worth packing.
const TEXTS: [&str; 4] =
    ["application/json", "application/x-ndjson", "text/", "application/vnd.apache.arrow.stream"];

/// A way to pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    /// In the order in which we like them.
    const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The one that a caller likes best; none when he likes the bare body better, or says nothing.
    fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut wishes = Vec::new();
        for line in headers.get_all(ACCEPT_ENCODING) {
            for wish in line.to_str().unwrap_or_default().split(',') {
                let (name, rest) = wish.split_once(';').unwrap_or((wish, ""));
                let quality = rest.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.parse().ok());
                let quality: f32 = quality.unwrap_or(0.0);
                wishes.push((name.trim().to_ascii_lowercase(), quality));
            }
        }
        let quality = |name: &str| {
            let own = wishes.iter().find(|(other, _)| other == name);
            own.or_else(|| wishes.iter().find(|(other, _)| other == "*"))
                .map(|(_, quality)| *quality)
        };
        let bare = wishes.iter().find(|(name, _)| name == "identity").map_or(0.0, |(_, q)| *q);
        let mut best = None;
        for coding in Self::ALL {
            let liked = quality(coding.name()).unwrap_or(0.0);
            if liked > 0.0 && liked >= bare && best.is_none_or(|(_, most)| liked > most) {
                best = Some((coding, liked));
            }
        }
        best.map(|(coding, _)| coding)
    }

    /// A body that packs another one as it is read.
    fn pack(self, body: Body) -> Body {
        let pieces = body.into_data_stream().map_err(io::Error::other);
        let reader = StreamReader::new(pieces);
        match self {
            Self::Zstd => {
                Body::from_stream(ReaderStream::new(ZstdEncoder::with_quality(reader, ZSTD)))
            }
            Self::Brotli => {
                Body::from_stream(ReaderStream::new(BrotliEncoder::with_quality(reader, BROTLI)))
            }
            Self::Gzip => {
                Body::from_stream(ReaderStream::new(GzipEncoder::with_quality(reader, GZIP)))
            }
        }
    }
}

/// The answer to a caller with these headers. HEAD tells what GET would.
pub(crate) fn packed(asked: &HeaderMap, is_head: bool, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("accept, accept-encoding"));
    let is_measured = headers.contains_key(CONTENT_LENGTH);
    if is_head && !is_measured {
        *response.body_mut() = unmeasured();
    }
    let Some(coding) = Coding::accepted(asked) else { return response };
    let told = response
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let length: Option<u64> = if is_head { told } else { response.body().size_hint().exact() };
    let headers = response.headers();
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_text = media_type.is_some_and(|of| TEXTS.iter().any(|text| of.starts_with(text)));
    // A part of a value is a part of its bytes.
    let is_whole = response.status() != StatusCode::PARTIAL_CONTENT;
    if !is_text || !is_whole || length.is_some_and(|length| length < BYTES_MIN) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    head.headers.remove(CONTENT_LENGTH);
    head.headers.remove(ACCEPT_RANGES);
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    if let Some(tag) = head.headers.get(ETAG).and_then(|tag| of_coding(tag, coding)) {
        head.headers.insert(ETAG, tag);
    }
    Response::from_parts(head, if is_head { unmeasured() } else { coding.pack(body) })
}

/// Nothing, whose length is not told: HEAD says nothing of a length that only the body would tell.
fn unmeasured() -> Body {
    Body::from_stream(stream::empty::<Result<Bytes, io::Error>>())
}

/// The tag of a body as it is packed.
fn of_coding(tag: &HeaderValue, coding: Coding) -> Option<HeaderValue> {
    let bare = tag.to_str().ok()?.strip_suffix('"')?;
    HeaderValue::try_from(format!("{bare}-{}\"", coding.name())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coding_is_what_the_caller_likes_best() {
        for (accept, expected) in [
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip, br", Some(Coding::Brotli)),
            ("GZIP", Some(Coding::Gzip)),
            ("gzip;q=1.0, br;q=0.5", Some(Coding::Gzip)),
            ("*", Some(Coding::Zstd)),
            ("zstd;q=0, *;q=0.5", Some(Coding::Brotli)),
            ("identity", None),
            ("identity, gzip;q=0.5", None),
            ("gzip;q=0", None),
            ("gzip;q=x", None),
            ("deflate", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::try_from(accept).expect("a value"));
            assert_eq!(Coding::accepted(&headers), expected, "{accept}");
        }
        assert_eq!(Coding::accepted(&HeaderMap::new()), None);
    }

    fn answer(pieces: Vec<Result<String, io::Error>>) -> Response {
        let mut response = Response::new(Body::from_stream(stream::iter(pieces)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/csv"));
        response.headers_mut().insert(ETAG, HeaderValue::from_static("\"1.2\""));
        response
    }

    #[tokio::test]
    async fn a_body_that_breaks_breaks_packed() {
        for coding in Coding::ALL {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(coding.name()));
            let line = "a,b\r\n".repeat(1_000);
            let whole = packed(&headers, false, answer(vec![Ok(line.clone()), Ok(line.clone())]));
            assert_eq!(whole.headers()[CONTENT_ENCODING], coding.name());
            assert_eq!(whole.headers()[ETAG], format!("\"1.2-{}\"", coding.name()));
            let bytes = axum::body::to_bytes(whole.into_body(), usize::MAX).await.expect("all");
            assert!(!bytes.is_empty() && bytes.len() < line.len(), "{coding:?}");
            let broken = vec![Ok(line.clone()), Err(io::Error::other("cut"))];
            let cut = packed(&headers, false, answer(broken)).into_body();
            assert!(axum::body::to_bytes(cut, usize::MAX).await.is_err(), "{coding:?}");
        }
    }

    #[test]
    fn what_is_small_or_packed_already_is_left_alone() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let json = |body: String, media_type: &'static str| {
            let mut response = Response::new(Body::from(body));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            packed(&headers, false, response).headers().contains_key(CONTENT_ENCODING)
        };
        assert!(json("x".repeat(1_024), "application/json; charset=utf-8"));
        assert!(!json("x".repeat(1_023), "application/json; charset=utf-8"));
        assert!(!json("x".repeat(9_999), "application/vnd.apache.parquet"));
        assert!(!json("x".repeat(9_999), "image/png"));
    }
}
