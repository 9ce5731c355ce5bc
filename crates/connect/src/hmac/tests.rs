//! Signing rules of real services, their results computed apart from this code (by Python's
//! `hmac`), and what cannot be signed.

use restway_model::definition::Method;
use serde_json::json;
use url::Url;

use super::*;
use crate::upload::Upload;

/// The key of an example in Binance's documentation.
const BINANCE_EXAMPLE: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";

struct Outside;

impl Values for Outside {
    fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
        match (scope, name) {
            (Scope::Secret, "text") => Ok(BINANCE_EXAMPLE.into()),
            (Scope::Secret, "base64") => Ok("c2VjcmV0LWtleS1vZi1hY21l".into()),
            (Scope::Secret, "id") => Ok("key-id".into()),
            _ => Err("is not set".into()),
        }
    }
}

fn auth(value: Value) -> Auth {
    serde_json::from_value(value).expect("an auth")
}

fn hop(method: Method, url: &str, body: Option<&'static str>) -> Hop {
    Hop {
        method,
        url: SafeUrl::new(Url::parse(url).expect(url)),
        headers: vec![("Content-Type".into(), "application/json".into())],
        body: body.map(|text| Upload::from(bytes::Bytes::from_static(text.as_bytes()))),
        is_home: true,
    }
}

fn applied(auth: &Auth, hop: &Hop) -> Result<(String, Vec<(String, String)>), Failure> {
    let now = DateTime::from_timestamp_millis(1_499_827_319_559).expect("a moment");
    let redactor = Redactor::default();
    let credential = signed(auth, hop, &Outside, now, &redactor)?.expect("a signature");
    let (mut url, mut headers) = (hop.url.expose().clone(), Vec::new());
    credential.apply(&mut url, &mut headers);
    Ok((url.to_string(), headers))
}

#[test]
fn a_signature_in_the_query_is_over_the_other_parameters() {
    let auth = auth(json!({"type": "hmac", "key": "${secret.text}",
        "string": "${request.query}${request.body}", "headers": {"X-MBX-APIKEY": "${secret.id}"},
        "query": {"timestamp": "${request.time.millis}", "recvWindow": "5000",
            "signature": "${request.signature}"}}));
    let url = "https://h/api/v3/order?symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1\
               &price=0.1";
    let (url, headers) = applied(&auth, &hop(Method::Post, url, None)).expect("signed");
    let expected = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71";
    assert_eq!(url.rsplit("signature=").next(), Some(expected), "{url}");
    assert!(url.contains("&recvWindow=5000&timestamp=1499827319559&signature="), "{url}");
    assert_eq!(headers, [("X-MBX-APIKEY".to_owned(), "key-id".to_owned())]);
}

#[test]
fn headers_carry_the_moment_that_was_signed() {
    let rule = |string: &str, algorithm: &str| {
        auth(json!({"type": "hmac", "key": "${secret.base64}", "key_encoding": "base64",
            "algorithm": algorithm, "encoding": "base64", "string": string,
            "headers": {"X-Sign": "HMAC ${secret.id}:${request.signature}",
                "X-Time": "${request.time.iso} ${request.time.http} ${request.time.iso_millis}"}}))
    };
    let table = [
        (
            "${request.time.seconds}${request.method}${request.target}${request.body}",
            "sha256",
            "G022baKrWGuyqrD/vxbOqYoJlSX0DVyj/MVSNFrHsKo=",
        ),
        (
            "${request.method}\n${request.target}\n${request.time.http};${request.host};\
          ${request.body.sha256.base64}",
            "sha256",
            "GBxWjlcztCyn8GQ5KZ88FX9l5QW6rfQQLJpnKbZNPf4=",
        ),
        (
            "${request.method_lower}\n${request.header.content-type}\n${request.body.md5.base64}\n\
          ${request.body_length}",
            "sha1",
            "k+cJl1b42gVFYNK4Qpxpa9n+vcM=",
        ),
        (
            "${request.path}|${request.query}|${request.body.sha512.hex}|${request.body.sha1.hex}|\
          ${request.body.sha384.hex}",
            "sha512",
            "NcwMleZLoRE3Mw3SUMprMsRWz+SsIJThIy0p3nyDfdRvtHUIVNlvd42icgxEamm2\
             uOAn3qsZkE/qHOU/9HBKIQ==",
        ),
        (
            "${request.time.iso_millis}${request.path}",
            "sha384",
            "NjUKYXYii087i0GLPM/2RqodfTsym4FugQzhytqHFaASf1J4/ZTYwKdkiMyt/a8i",
        ),
    ];
    let sent = hop(Method::Put, "https://h:8443/a%20b/c?x=1&y=%C3%BC", Some("{\"n\": \"ü\"}"));
    for (string, algorithm, expected) in table {
        let (_, headers) = applied(&rule(string, algorithm), &sent).expect(string);
        assert_eq!(headers[0].1, format!("HMAC key-id:{expected}"), "{string}");
        let times = "2017-07-12T02:41:59Z Wed, 12 Jul 2017 02:41:59 GMT 2017-07-12T02:41:59.559Z";
        assert_eq!(headers[1].1, times);
    }
}

#[test]
fn a_nonce_is_the_same_within_a_request_and_new_in_the_next() {
    let auth = auth(json!({"type": "hmac", "key": "${secret.text}", "string": "${request.nonce}",
        "headers": {"a": "${request.nonce}", "b": "${request.nonce}",
            "c": "${request.signature}"}}));
    let sent = hop(Method::Get, "https://h/", None);
    let (_, first) = applied(&auth, &sent).expect("signed");
    let (_, second) = applied(&auth, &sent).expect("signed");
    assert_eq!(first[0].1, first[1].1);
    assert_ne!((&first[0].1, &first[2].1), (&second[0].1, &second[2].1));
}

#[test]
fn what_cannot_be_signed_says_why_without_the_key() {
    let rule = |string: &str, key: &str, encoding: &str| {
        auth(json!({"type": "hmac", "key": key, "key_encoding": encoding, "string": string,
            "headers": {"x": "${request.signature}"}}))
    };
    let table = [
        (rule("${request.header.date}", "${secret.text}", "text"), "not a header of it"),
        (rule("${request.path}", "${secret.id}", "base64"), "key_encoding"),
        (rule("${request.path}", "${secret.text}", "hex"), "key_encoding"),
        (rule("${request.path}", "${secret.none}", "text"), "is not set"),
    ];
    for (auth, problem) in table {
        let said = applied(&auth, &hop(Method::Get, "https://h/", None)).expect_err(problem);
        let said = said.to_string();
        assert!(said.contains(problem) && !said.contains("NhqPtmd"), "{said}");
    }
    let mut binary = hop(Method::Post, "https://h/", None);
    binary.body = Some(Upload::from(bytes::Bytes::from_static(b"\xff")));
    let said = applied(&rule("${request.body}", "${secret.text}", "text"), &binary);
    assert!(said.expect_err("no text").to_string().contains("body.sha256.hex"));
}

#[test]
fn signatures_take_the_place_of_no_credential() {
    let auth = auth(json!({"type": "hmac", "key": "${secret.text}", "string": "${request.nonce}",
        "headers": {"X-Signature": "${request.signature}"}}));
    let hop = hop(Method::Get, "https://h/x", None);
    let redactor = Redactor::default();
    redactor.learn(&Secret::new("the-token-of-another-api"));
    let mut last = None;
    for _ in 0..5_000 {
        let now = DateTime::from_timestamp_millis(1_499_827_319_559).expect("a moment");
        last = signed(&auth, &hop, &Outside, now, &redactor).expect("a signature");
    }
    assert_eq!(redactor.redact("the-token-of-another-api"), "***");
    let Some(Credential::Several(added)) = last else { panic!("no signature") };
    let [Credential::Header(_, signature)] = added.as_slice() else { panic!("no header") };
    assert_eq!(redactor.redact(signature.expose()), "***");
}
