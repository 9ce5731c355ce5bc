//! Assertions: JSON Web Tokens that a client signs to prove who it is (RFC 7519, RFC 7523).
//!
//! In: the definition's `assertion`, its values, the time. Out: one token, good for one request:
//! its `jti` is fresh each time, because servers refuse one that they have seen. Times are whole
//! seconds of UTC. What never happens here: a token kept, or a claim made of text put together by
//! hand; the encoder of JSON writes all of it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use restway_model::definition::{
    Assertion, AssertionPreset, ClientAuth, Grant, JwtAlgorithm, ScopeIn,
};
use restway_model::{Secret, Template, Values};
use serde_json::{Map, Value, json};

use crate::error::Failure;
use crate::grant::Moment;
use crate::key::{Signer, thumbprint_of, thumbprints};

const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// As NetSuite's documentation has it: at most 60 minutes, and 59 in its example.
const LIFETIME_NETSUITE: Duration = Duration::from_secs(59 * 60);
const ID_BYTES: usize = 16;

/// What an assertion is about.
pub(crate) struct Claimant<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) token_url: &'a str,
    pub(crate) scopes: &'a [String],
    pub(crate) purpose: Purpose,
}

/// What an assertion stands in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The client's secret (RFC 7523, section 2.2).
    Client,
    /// A login (RFC 7523, section 2.1).
    Grant,
}

/// Where the scopes go: the choice of the definition, or its preset's.
pub(crate) fn scope_in(assertion: Option<&Assertion>) -> ScopeIn {
    let Some(assertion) = assertion else { return ScopeIn::Form };
    assertion.scope_in.unwrap_or(match assertion.preset {
        AssertionPreset::Standard => ScopeIn::Form,
        AssertionPreset::Netsuite => ScopeIn::Claim,
    })
}

/// Whether the form names the client beside the assertion.
pub(crate) fn names_client(
    assertion: Option<&Assertion>,
    client_auth: ClientAuth,
    grant: Grant,
) -> bool {
    let is_netsuite =
        assertion.is_some_and(|assertion| assertion.preset == AssertionPreset::Netsuite);
    match client_auth {
        ClientAuth::PrivateKeyJwt => !is_netsuite,
        ClientAuth::None => grant != Grant::JwtBearer,
        ClientAuth::Post | ClientAuth::Basic => false,
    }
}

/// A signed assertion.
pub(crate) fn signed(
    assertion: &Assertion,
    claimant: &Claimant<'_>,
    moment: &Moment<'_>,
    now: DateTime<Utc>,
) -> Result<Secret, Failure> {
    let values = moment.values;
    let text = |template: &Template| template.text(values).map_err(Failure::Value);
    let optional = |template: &Option<Template>| template.as_ref().map(text).transpose();
    let is_netsuite = assertion.preset == AssertionPreset::Netsuite;
    let default = if is_netsuite { JwtAlgorithm::ES256 } else { JwtAlgorithm::RS256 };
    let algorithm = assertion.algorithm.unwrap_or(default);
    let key = match moment.key {
        Some(opened) => opened.clone(),
        None => Secret::new(text(&assertion.key)?),
    };
    let signer = Signer::read(key.expose(), algorithm)
        .map_err(|problem| Failure::invalid("`key` of `assertion`", problem))?;
    let mut head = Map::new();
    head.insert("alg".into(), algorithm.as_str().into());
    head.insert("typ".into(), "JWT".into());
    if let Some(id) = optional(&assertion.key_id)? {
        head.insert("kid".into(), id.into());
    }
    if let Some(certificate) = optional(&assertion.certificate)? {
        let (sha1, sha256) = thumbprints(&certificate)
            .map_err(|problem| Failure::invalid("`certificate` of `assertion`", problem))?;
        head.insert("x5t".into(), sha1.into());
        head.insert("x5t#S256".into(), sha256.into());
    }
    if let Some(thumbprint) = optional(&assertion.thumbprint)? {
        let sha1 = thumbprint_of(&thumbprint)
            .map_err(|problem| Failure::invalid("`thumbprint` of `assertion`", problem))?;
        head.insert("x5t".into(), sha1.into());
    }
    let claims = claims(assertion, claimant, values, now)?;
    let encoded = |part: Map<String, Value>| {
        URL_SAFE_NO_PAD.encode(Value::Object(part).to_string().as_bytes())
    };
    let message = format!("{}.{}", encoded(head), encoded(claims));
    let signature = signer
        .sign(message.as_bytes())
        .map_err(|problem| Failure::invalid("`key` of `assertion`", problem))?;
    Ok(Secret::new(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

fn claims(
    assertion: &Assertion,
    claimant: &Claimant<'_>,
    values: &dyn Values,
    now: DateTime<Utc>,
) -> Result<Map<String, Value>, Failure> {
    let or = |template: &Option<Template>, other: &str| match template {
        Some(template) => template.text(values).map_err(Failure::Value),
        None => Ok(other.to_owned()),
    };
    let is_netsuite = assertion.preset == AssertionPreset::Netsuite;
    let default = if is_netsuite { LIFETIME_NETSUITE } else { LIFETIME };
    let life = assertion.lifetime.map_or(default, |span| span.0).as_secs();
    let issued = now.timestamp();
    let mut claims = Map::new();
    claims.insert("iss".into(), or(&assertion.issuer, claimant.client_id)?.into());
    let has_subject = claimant.purpose == Purpose::Client && !is_netsuite;
    if has_subject || assertion.subject.is_some() {
        claims.insert("sub".into(), or(&assertion.subject, claimant.client_id)?.into());
    }
    if scope_in(Some(assertion)) == ScopeIn::Claim && !claimant.scopes.is_empty() {
        claims.insert("scope".into(), claimant.scopes.join(" ").into());
    }
    claims.insert("aud".into(), or(&assertion.audience, claimant.token_url)?.into());
    claims.insert("iat".into(), issued.into());
    let end = issued.saturating_add(i64::try_from(life).unwrap_or(i64::MAX));
    claims.insert("exp".into(), json!(end));
    let mut id = [0; ID_BYTES];
    aws_lc_rs::rand::fill(&mut id)
        .map_err(|_| Failure::invalid("`assertion`", "needs random bytes, and there are none"))?;
    claims.insert("jti".into(), URL_SAFE_NO_PAD.encode(id).into());
    for (name, template) in &assertion.claims {
        claims.insert(name.clone(), template.value(values).map_err(Failure::Value)?);
    }
    Ok(claims)
}

#[cfg(test)]
mod tests;
