//! Requests signed with a key that both sides know (RFC 2104), as the api's own rules have it.
//!
//! In: a hop, the definition's texts, the time. Out: headers and query parameters to add. The text
//! that is signed is the definition's: apis agree on HMAC and on little else. Query parameters
//! that do not hold the signature are added before it is made, and so are signed with the rest.
//! What never happens here: the key in a header; a body signed that is not the one sent.

use aws_lc_rs::digest::{self, digest};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use md5::{Digest as _, Md5};
use restway_model::definition::{Auth, HmacAlgorithm, KeyEncoding, SignatureEncoding};
use restway_model::{Redactor, SafeUrl, Scope, Secret, Template, Values};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::authorize::Credential;
use crate::error::Failure;
use crate::redirect::Hop;
use crate::sigv4::{hex, host};

const NONCE_BYTES: usize = 16;

/// What signs a hop, if the login is of this kind.
pub(crate) fn signed(
    auth: &Auth,
    hop: &Hop,
    outside: &dyn Values,
    now: DateTime<Utc>,
    redactor: &Redactor,
) -> Result<Option<Credential>, Failure> {
    let Auth::Hmac { key, key_encoding, algorithm, string, encoding, headers, query } = auth else {
        return Ok(None);
    };
    let key = key_bytes(&Secret::new(key.text(outside).map_err(Failure::Value)?), *key_encoding)?;
    let mut nonce = [0; NONCE_BYTES];
    aws_lc_rs::rand::fill(&mut nonce)
        .map_err(|_| Failure::invalid("`auth`", "needs random bytes, and there are none"))?;
    let mut request =
        Signing { hop: hop.clone(), outside, now, nonce: hex(&nonce), signature: None };
    let mut added = Vec::new();
    for (name, template) in query.iter().filter(|(_, template)| !holds_signature(template)) {
        let value = template.text(&request).map_err(Failure::Value)?;
        let url = crate::plan::set_query(request.hop.url.expose(), name, &value);
        request.hop.url = SafeUrl::new(url);
        added.push(Credential::Query(name.clone(), Secret::new(value)));
    }
    let text = Secret::new(string.text(&request).map_err(Failure::Value)?);
    let key = hmac::Key::new(algorithm_of(*algorithm), &key);
    let signature = written(hmac::sign(&key, text.expose().as_bytes()).as_ref(), *encoding);
    redactor.learn_signature(&Secret::new(signature.as_str()));
    request.signature = Some(signature);
    for (name, template) in headers {
        let value = template.text(&request).map_err(Failure::Value)?;
        added.push(Credential::Header(name.clone(), Secret::new(value)));
    }
    for (name, template) in query.iter().filter(|(_, template)| holds_signature(template)) {
        let value = template.text(&request).map_err(Failure::Value)?;
        added.push(Credential::Query(name.clone(), Secret::new(value)));
    }
    Ok(Some(Credential::Several(added)))
}

/// What is added, as a plan shows it.
pub(crate) fn planned(auth: &Auth, marks: &dyn Values) -> Result<Credential, Failure> {
    let Auth::Hmac { headers, query, .. } = auth else { return Ok(Credential::None) };
    let text = |template: &Template| template.text(marks).map(Secret::new).map_err(Failure::Value);
    let mut added = Vec::new();
    for (name, template) in headers {
        added.push(Credential::Header(name.clone(), text(template)?));
    }
    for (name, template) in query {
        added.push(Credential::Query(name.clone(), text(template)?));
    }
    Ok(Credential::Several(added))
}

fn holds_signature(template: &Template) -> bool {
    template.references().any(|one| one == (Scope::Request, "signature"))
}

fn algorithm_of(algorithm: HmacAlgorithm) -> hmac::Algorithm {
    match algorithm {
        HmacAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        HmacAlgorithm::Sha256 => hmac::HMAC_SHA256,
        HmacAlgorithm::Sha384 => hmac::HMAC_SHA384,
        HmacAlgorithm::Sha512 => hmac::HMAC_SHA512,
    }
}

/// The key itself. What is wrong with it is said without showing any of it.
fn key_bytes(key: &Secret, encoding: KeyEncoding) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let text = key.expose();
    let bytes = match encoding {
        KeyEncoding::Text => Some(text.as_bytes().to_vec()),
        KeyEncoding::Base64 => STANDARD.decode(text.trim()).ok(),
        KeyEncoding::Hex => from_hex(text.trim()),
    };
    let bytes = bytes.filter(|bytes| !bytes.is_empty()).map(Zeroizing::new);
    bytes.ok_or_else(|| {
        Failure::invalid("`key` of `auth`", "is empty, or not as `key_encoding` says")
    })
}

/// Bytes written with two digits each.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| text.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let is_hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| (0..text.len()).step_by(2).map(pair).collect()).flatten()
}

fn written(bytes: &[u8], encoding: SignatureEncoding) -> String {
    match encoding {
        SignatureEncoding::Hex => hex(bytes),
        SignatureEncoding::Base64 => STANDARD.encode(bytes),
    }
}

/// The values of one request: the same moment and nonce wherever they are named.
struct Signing<'a> {
    hop: Hop,
    outside: &'a dyn Values,
    now: DateTime<Utc>,
    nonce: String,
    signature: Option<String>,
}

impl Values for Signing<'_> {
    fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
        if scope != Scope::Request {
            return self.outside.value(scope, name);
        }
        let url = self.hop.url.expose();
        let query = url.query().unwrap_or_default();
        let text = match name {
            "method" => self.hop.method.as_str().to_owned(),
            "method_lower" => self.hop.method.as_str().to_ascii_lowercase(),
            "host" => host(url),
            "path" => url.path().to_owned(),
            "query" => query.to_owned(),
            "target" if query.is_empty() => url.path().to_owned(),
            "target" => format!("{}?{query}", url.path()),
            "body" => String::from_utf8(self.body()?.to_vec())
                .map_err(|_| "is not text; sign a hash such as `body.sha256.hex`".to_owned())?,
            "body_length" => {
                self.hop.body.as_ref().map_or(0, crate::upload::Upload::length).to_string()
            }
            "time.seconds" => self.now.timestamp().to_string(),
            "time.millis" => self.now.timestamp_millis().to_string(),
            "time.iso" => self.now.to_rfc3339_opts(SecondsFormat::Secs, true),
            "time.iso_millis" => self.now.to_rfc3339_opts(SecondsFormat::Millis, true),
            "time.http" => self.now.format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
            "nonce" => self.nonce.clone(),
            "signature" => self.signature.clone().ok_or("is not made yet")?,
            other => match other.split_once('.') {
                Some(("header", header)) => self.header(header)?,
                Some(("body", form)) => self.body_hash(form)?,
                _ => return Err("is nothing that a request has".into()),
            },
        };
        Ok(Value::String(text))
    }
}

impl Signing<'_> {
    fn body(&self) -> Result<bytes::Bytes, String> {
        match &self.hop.body {
            None => Ok(bytes::Bytes::new()),
            Some(body) => body.in_memory().ok_or_else(|| {
                "cannot be had: the body is streamed from files, and is read once".to_owned()
            }),
        }
    }

    fn header(&self, wanted: &str) -> Result<String, String> {
        let mut all = self.hop.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        all.next().map(|(_, value)| value.clone()).ok_or_else(|| "is not a header of it".to_owned())
    }

    /// `sha256.hex` and its like.
    fn body_hash(&self, form: &str) -> Result<String, String> {
        let body = self.body()?;
        let unknown = || "is nothing that a request has".to_owned();
        let (hash, encoding) = form.split_once('.').ok_or_else(unknown)?;
        let encoding = match encoding {
            "hex" => SignatureEncoding::Hex,
            "base64" => SignatureEncoding::Base64,
            _ => return Err(unknown()),
        };
        let algorithm = match hash {
            "md5" => return Ok(written(&Md5::digest(&body), encoding)),
            "sha1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            "sha256" => &digest::SHA256,
            "sha384" => &digest::SHA384,
            "sha512" => &digest::SHA512,
            _ => return Err(unknown()),
        };
        Ok(written(digest(algorithm, &body).as_ref(), encoding))
    }
}

#[cfg(test)]
mod tests;
