//! A signed token, read and judged (RFC 7519, RFC 8725).
//!
//! In: a token, the issuer's keys, what it must say, the time. Out: its claims, or nothing. Why it
//! is not good is told to nobody. What never happens here: a claim believed before the signature
//! was checked, but for `iss`, which chooses whose keys check it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use restway_model::definition::Issuer;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::key_set::KeySet;

/// How far two clocks may be apart, in seconds.
const LEEWAY: f64 = 60.0;

/// A token whose signature has not been looked at.
#[derive(Debug)]
pub(super) struct Unproven<'a> {
    head: Head,
    claims: Map<String, Value>,
    message: &'a str,
    signature: Vec<u8>,
}

#[derive(Debug, Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    /// What must be understood, of which nothing is (RFC 7515, 4.1.11).
    crit: Option<Value>,
}

impl<'a> Unproven<'a> {
    /// Reads the parts of a token in the compact form (RFC 7515, 7.1).
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (message, signature) = text.rsplit_once('.')?;
        let (head, claims) = message.split_once('.')?;
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let head: Head = serde_json::from_slice(&bytes(head)?).ok()?;
        let claims = serde_json::from_slice(&bytes(claims)?).ok()?;
        let kind = head.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
        let kind = kind.strip_prefix("application/").unwrap_or(&kind);
        // RFC 7519, 5.1, and RFC 9068, 2.1; a token of another kind was made for something else.
        let is_ours = matches!(kind, "jwt" | "at+jwt") && head.crit.is_none();
        is_ours.then_some(Self { head, claims, message, signature: bytes(signature)? })
    }

    /// Who says to have made it.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// Which of the issuer's keys it names.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.head.kid.as_deref()
    }

    /// The claims, when the signature and all that is asked of them hold.
    pub(super) fn proven(
        self,
        keys: &KeySet,
        issuer: &Issuer,
        now: DateTime<Utc>,
    ) -> Option<Map<String, Value>> {
        let message = self.message.as_bytes();
        let is_signed = keys.verifies(self.key_id(), &self.head.alg, message, &self.signature);
        let is_meant = self.issuer() == Some(&issuer.issuer) && self.is_for(&issuer.audience);
        (is_signed && is_meant && self.is_good_at(now)).then_some(self.claims)
    }

    fn is_for(&self, audience: &str) -> bool {
        match self.claims.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        }
    }

    /// It must end; and must have begun, when it says so.
    fn is_good_at(&self, now: DateTime<Utc>) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "seconds of this millennium are exact")]
        let now = now.timestamp() as f64;
        let ends = self.claims.get("exp").and_then(Value::as_f64);
        let begins = match self.claims.get("nbf") {
            None => Some(now),
            Some(begins) => begins.as_f64(),
        };
        ends.is_some_and(|end| now < end + LEEWAY)
            && begins.is_some_and(|begin| begin <= now + LEEWAY)
    }
}
