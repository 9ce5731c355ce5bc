//! What a request shows of who asks.
//!
//! In: headers. Out: a key or a token, none, or that what is there cannot be meant. What never
//! happens here: a look at whether it is good.
//!
//! `X-API-Key` is what callers of Jitterbit App Builder send; `Authorization: Bearer` (RFC 6750,
//! 2.1) takes a key too, because many clients know nothing else. Credentials in the address are
//! not looked at: addresses are written down by everybody they pass.

use restway_model::Secret;

use crate::headers::Headers;

/// The header of a key.
const KEY: &str = "x-api-key";
/// The header of a token, or of a key.
const AUTHORIZATION: &str = "authorization";
/// Longer ones are not looked at.
const LENGTH_MAX: usize = 8 << 10;

/// What somebody shows to say who they are.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A key that Restway made.
    Key(Secret),
    /// A token that an issuer signed (RFC 7519).
    Token(Secret),
}

impl Credential {
    /// The text that was shown.
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Key(secret) | Self::Token(secret) => secret,
        }
    }
}

/// A credential that cannot be one: repeated, of an unknown scheme, empty or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

/// The credential of a request, if it shows one.
pub(super) fn read(headers: &Headers) -> Result<Option<Credential>, Unreadable> {
    let keys = headers.all(KEY).map(|key| Some((key.trim(), false)));
    let tokens = headers.all(AUTHORIZATION).map(|value| {
        let (scheme, token) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| (token.trim(), is_token(token.trim())))
    });
    let mut shown = keys.chain(tokens);
    let Some(first) = shown.next() else { return Ok(None) };
    let (text, is_token) = first.ok_or(Unreadable)?;
    let is_readable = (1..=LENGTH_MAX).contains(&text.len()) && shown.next().is_none();
    if !is_readable {
        return Err(Unreadable);
    }
    let secret = Secret::new(text);
    Ok(Some(if is_token { Credential::Token(secret) } else { Credential::Key(secret) }))
}

/// Three parts with dots between them, as no key has.
fn is_token(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_credential_is_read_and_two_are_none() {
        let kind = |headers: Headers| match read(&headers) {
            Ok(Some(Credential::Key(key))) => format!("key {}", key.expose()),
            Ok(Some(Credential::Token(token))) => format!("token {}", token.expose()),
            Ok(None) => "none".to_owned(),
            Err(Unreadable) => "unreadable".to_owned(),
        };
        let long = "x".repeat(LENGTH_MAX + 1);
        let table: [(Headers, &str); 10] = [
            ([("accept", "a")].into(), "none"),
            ([("X-API-Key", " k ")].into(), "key k"),
            ([("authorization", "bearer k")].into(), "key k"),
            ([("authorization", "Bearer a.b.c")].into(), "token a.b.c"),
            ([("authorization", "Basic am86eA==")].into(), "unreadable"),
            ([("authorization", "Bearer")].into(), "unreadable"),
            ([("x-api-key", "")].into(), "unreadable"),
            ([("x-api-key", &*long)].into(), "unreadable"),
            ([("x-api-key", "k"), ("authorization", "Bearer k")].into(), "unreadable"),
            ([("x-api-key", "a"), ("x-api-key", "b")].into(), "unreadable"),
        ];
        for (headers, expected) in table {
            assert_eq!(kind(headers.clone()), expected, "{headers:?}");
        }
    }
}
