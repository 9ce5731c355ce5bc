//! Packed answers: each coding whole, cut, spoiled, without end, and under a wrong name.

use async_compression::Level;
use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use restway_connect::CallError;
use restway_model::{Explain, Limits};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::support::{Rig, Walked, api, canned, code, get};

const CODINGS: [&str; 4] = ["gzip", "br", "zstd", "deflate"];

async fn packed(coding: &str, text: &[u8]) -> Vec<u8> {
    let mut encoder: Box<dyn AsyncRead + Unpin + Send> = match coding {
        "gzip" => Box::new(GzipEncoder::new(text)),
        "br" => Box::new(BrotliEncoder::with_quality(text, Level::Fastest)),
        "zstd" => Box::new(ZstdEncoder::new(text)),
        _ => Box::new(ZlibEncoder::new(text)),
    };
    let mut bytes = Vec::new();
    encoder.read_to_end(&mut bytes).await.expect("it is packed");
    bytes
}

fn answer(coding: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Walks a page with that body.
async fn walk(coding: &str, body: &[u8]) -> Result<Walked, CallError> {
    let url = canned(answer(coding, body)).await;
    let parts = json!({"retry": {"deadline": "0s"},
        "resources": {"packed": {"path": "/", "records": "data"}}});
    Rig::new().walk(&api(&url, parts), "packed").await
}

/// A page that a coding makes smaller, and not to nothing.
fn page() -> Vec<u8> {
    let data: Vec<_> =
        (0..500).map(|id| json!({"id": id, "name": format!("n{}", id * 7)})).collect();
    json!({ "data": data }).to_string().into_bytes()
}

#[tokio::test]
async fn every_coding_is_read_to_its_end_and_a_cut_one_is_an_error() {
    for coding in CODINGS {
        let whole = packed(coding, &page()).await;
        assert_eq!(walk(coding, &whole).await.expect(coding).records.len(), 500);
        for cut in [whole.len() - 1, whole.len() - 4, whole.len() / 2, 1] {
            let error = walk(coding, &whole[..cut]).await.expect_err(coding);
            assert_eq!(code(&error), "call.interrupted", "{coding} cut at {cut}: {error}");
        }
        let followed = [whole.as_slice(), b"<!-- served by -->"].concat();
        let error = walk(coding, &followed).await.expect_err("something follows");
        assert_eq!(code(&error), "call.interrupted", "{coding}: {error}");
    }
}

#[tokio::test]
async fn deflate_without_its_head_is_read_as_well() {
    for (level, text) in [(0, page()), (6, page()), (6, b"{\"data\":[{\"id\":1}]}".to_vec())] {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(level));
        std::io::Write::write_all(&mut encoder, &text).expect("it is packed");
        let bare = encoder.finish().expect("it is packed");
        let expected = serde_json::from_slice::<serde_json::Value>(&text).expect("JSON");
        let walked = walk("deflate", &bare).await.expect("bare deflate");
        assert_eq!(json!(walked.records), expected["data"]);
        for cut in [bare.len() - 1, bare.len() / 2] {
            let error = walk("deflate", &bare[..cut]).await.expect_err("it is cut");
            assert_eq!(code(&error), "call.interrupted", "cut at {cut}: {error}");
        }
        let followed = [bare.as_slice(), b"<!-- served by -->"].concat();
        let error = walk("deflate", &followed).await.expect_err("something follows");
        assert_eq!(code(&error), "call.interrupted", "{error}");
    }
}

#[tokio::test]
async fn members_and_frames_are_one_body() {
    let page = page();
    let (first, second) = page.split_at(page.len() / 3);
    for coding in ["gzip", "zstd"] {
        let members = [packed(coding, first).await, packed(coding, second).await].concat();
        assert_eq!(walk(coding, &members).await.expect(coding).records.len(), 500);
    }
}

#[tokio::test]
async fn a_wrong_check_sum_is_an_error() {
    for coding in ["gzip", "deflate"] {
        let mut wrong = packed(coding, &page()).await;
        let at = wrong.len() - if coding == "gzip" { 6 } else { 2 };
        wrong[at] ^= 0x55;
        let error = walk(coding, &wrong).await.expect_err("a wrong check sum");
        assert_eq!(code(&error), "call.interrupted", "{coding}: {error}");
    }
}

#[tokio::test]
async fn a_wrong_name_is_said_and_not_tried_again() {
    for (coding, body) in [
        ("gzip", page()),
        ("zstd", page()),
        ("deflate", packed("gzip", &page()).await),
        ("deflate", page()),
        ("deflate", b"<html><body>Sign in</body></html>".to_vec()),
        ("gzip, br", packed("gzip", &page()).await),
    ] {
        let error = walk(coding, &body).await.expect_err(coding);
        assert_eq!(code(&error), "call.body_packed", "{coding}: {error}");
        assert!(error.hints()[0].contains("Accept-Encoding: identity"), "{:?}", error.hints());
    }
    let twice = packed("gzip", &packed("gzip", &page()).await).await;
    let error = walk("gzip", &twice).await.expect_err("it is packed twice");
    assert_eq!(code(&error), "page.not_json", "{error}");
    assert!(error.to_string().contains("it is gzip"), "{error}");
    // A charset is no coding.
    assert_eq!(walk("UTF-8", &page()).await.expect("it is plain").records.len(), 500);
}

#[tokio::test]
async fn a_body_that_unpacks_without_end_is_stopped() {
    let spaces = vec![b' '; 20 << 20];
    for coding in CODINGS {
        let bomb = packed(coding, &spaces).await;
        let url = canned(answer(coding, &bomb)).await;
        let file = api(&url, json!({}));
        let small = Rig::with(Limits { body_bytes_max: 1 << 20, ..Limits::default() }, &[], true);
        let error = small.connector.call(&file, get(&url)).await.expect_err("a bound");
        assert_eq!(code(&error), "call.body_too_large", "{coding}: {error}");
        assert!(error.to_string().contains("1048576 bytes"), "{coding}: {error}");
        let answer = Rig::new().connector.call(&file, get(&url)).await;
        let error = answer.expect_err("a bomb");
        assert_eq!(code(&error), "call.body_too_large", "{coding}: {error}");
        assert!(error.to_string().contains("500 times what was sent"), "{coding}: {error}");
    }
}

#[tokio::test]
async fn a_zstd_window_larger_than_http_allows_is_refused() {
    // RFC 8878, section 3.1.1: the magic number, no options, a window of 2^27 bytes; then one last
    // raw block of one byte.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, (27 - 10) << 3, 0x09, 0, 0, b'1'];
    let error = walk("zstd", &frame).await.expect_err("a window of 128 MiB");
    assert_eq!(code(&error), "call.body_packed", "{error}");
}

#[tokio::test]
async fn no_body_has_no_coding() {
    let head = "HTTP/1.1 204 No Content\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n";
    let url = canned(head).await;
    let answer = Rig::new().connector.call(&api(&url, json!({})), get(&url)).await;
    assert!(answer.expect("an answer").body.is_empty());
}
