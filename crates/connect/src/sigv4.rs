//! AWS Signature Version 4: each request signed with the caller's key
//! (docs.aws.amazon.com, "Create a signed AWS API request").
//!
//! In: a hop, the keys, the time. Out: the headers to add. Signed are the host, the content type
//! and every `x-amz-` header; the path is encoded once more, but not for S3, which also wants the
//! body's hash as a header. What never happens here: the secret key in a header.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};
use restway_model::Secret;
use url::Url;

use crate::plan::encoded;
use crate::redirect::Hop;

/// Who signs, and for what.
pub(crate) struct Signing {
    pub(crate) access_key: String,
    pub(crate) secret_key: Secret,
    pub(crate) session_token: Option<Secret>,
    pub(crate) region: String,
    pub(crate) service: String,
}

/// The headers that sign a hop.
pub(crate) fn signed(hop: &Hop, signing: &Signing, now: DateTime<Utc>) -> Vec<(String, Secret)> {
    let stamp = now.format("%Y%m%dT%H%M%SZ").to_string();
    let date = stamp.split('T').next().unwrap_or_default();
    let is_s3 = signing.service == "s3";
    let body = match &hop.body {
        None => hash(b""),
        // A body that is streamed is read once, when it is sent; S3 takes it unsigned, over TLS.
        Some(body) => {
            body.in_memory().map_or_else(|| "UNSIGNED-PAYLOAD".into(), |body| hash(&body))
        }
    };
    let mut added = vec![("x-amz-date".to_owned(), Secret::new(stamp.as_str()))];
    if is_s3 {
        added.push(("x-amz-content-sha256".into(), Secret::new(body.as_str())));
    }
    if let Some(token) = &signing.session_token {
        added.push(("x-amz-security-token".into(), token.clone()));
    }
    let mut headers = signed_headers(hop, &added);
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let request = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{body}",
        hop.method.as_str(),
        path(hop.url.expose(), is_s3),
        query(hop.url.expose()),
    );
    let scope = format!("{date}/{}/{}/aws4_request", signing.region, signing.service);
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hash(request.as_bytes()));
    let first = Secret::new(format!("AWS4{}", signing.secret_key.expose()));
    let mut key = mac(first.expose().as_bytes(), date.as_bytes());
    for part in [signing.region.as_str(), signing.service.as_str(), "aws4_request"] {
        key = mac(key.as_ref(), part.as_bytes());
    }
    let signature = hex(mac(key.as_ref(), text.as_bytes()).as_ref());
    let value = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        signing.access_key
    );
    added.push(("authorization".into(), Secret::new(value)));
    added
}

/// Names in lower case and values without needless spaces; several of one name become one.
fn signed_headers(hop: &Hop, added: &[(String, Secret)]) -> Vec<(String, String)> {
    let is_signed = |name: &str| {
        let is_added = added.iter().any(|(known, _)| known == name);
        name == "content-type" || name == "range" || (name.starts_with("x-amz-") && !is_added)
    };
    let tidy = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut all = vec![("host".to_owned(), host(hop.url.expose()))];
    for (name, value) in &hop.headers {
        let name = name.to_ascii_lowercase();
        if !is_signed(&name) {
            continue;
        }
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = format!("{known},{}", tidy(value)),
            None => all.push((name, tidy(value))),
        }
    }
    all.extend(added.iter().map(|(name, value)| (name.clone(), tidy(value.expose()))));
    all
}

pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn path(url: &Url, is_s3: bool) -> String {
    let part = |part: &str| {
        if is_s3 { encoded_bytes(&decoded(part)) } else { encoded(part).into_owned() }
    };
    url.path().split('/').map(part).collect::<Vec<_>>().join("/")
}

fn query(url: &Url) -> String {
    let mut pairs: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| (encoded(&name).into_owned(), encoded(&value).into_owned()))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn decoded(part: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).filter(|_| *first == b'%');
        let byte = code
            .and_then(|code| std::str::from_utf8(code).ok())
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    bytes
}

fn encoded_bytes(bytes: &[u8]) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: &u8| match is_plain(*byte) {
        true => char::from(*byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    bytes.iter().map(one).collect()
}

fn mac(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

fn hash(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use restway_model::definition::Method;

    use super::*;

    fn signature(url: &str, headers: &[(&str, &str)], service: &str, at: &str) -> String {
        let is_s3 = service == "s3";
        let (id, key) = if is_s3 {
            ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        } else {
            ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
        };
        let signing = Signing {
            access_key: id.into(),
            secret_key: Secret::new(key),
            session_token: None,
            region: "us-east-1".into(),
            service: service.into(),
        };
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let hop = Hop {
            method: Method::Get,
            url: restway_model::SafeUrl::new(Url::parse(url).expect(url)),
            headers: headers.iter().map(owned).collect(),
            body: None,
            is_home: true,
        };
        let added = signed(&hop, &signing, at.parse().expect(at));
        let (_, value) = added.last().expect("a signature");
        assert!(!value.expose().contains("EXAMPLEKEY"));
        value.expose().rsplit('=').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn the_published_examples_come_out() {
        let form = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")];
        let range = [("Range", "bytes=0-9"), ("accept", "*/*")];
        let (suite, s3) = ("2015-08-30T12:36:00Z", "2013-05-24T00:00:00Z");
        type Headers<'a> = &'a [(&'a str, &'a str)];
        let table: [(&str, Headers<'_>, &str, &str, &str); 3] = [
            (
                "https://iam.amazonaws.com/?Version=2010-05-08&Action=ListUsers",
                &form,
                "iam",
                suite,
                "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            ),
            (
                "https://example.amazonaws.com/",
                &[],
                "service",
                suite,
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "https://examplebucket.s3.amazonaws.com/test.txt",
                &range,
                "s3",
                s3,
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
        ];
        for (url, headers, service, at, expected) in table {
            assert_eq!(signature(url, headers, service, at), expected, "{url}");
        }
    }

    #[test]
    fn paths_are_encoded_as_the_service_reads_them() {
        let url = Url::parse("https://h/a%20b/c+d(1)").expect("a URL");
        assert_eq!(path(&url, false), "/a%2520b/c%2Bd%281%29");
        assert_eq!(path(&url, true), "/a%20b/c%2Bd%281%29");
    }
}
