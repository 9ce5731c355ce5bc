//! What assertions say, and what the forms around them hold.

use std::sync::OnceLock;

use restway_model::Scope;
use restway_model::definition::{ApiFile, Auth};
use serde_json::json;
use url::Url;

use super::*;
use crate::grant::{Moment, Proof, TokenRequest, token_request};
use crate::testing::MadeKey;

/// One key for all tests here.
fn key() -> &'static MadeKey {
    static KEY: OnceLock<MadeKey> = OnceLock::new();
    KEY.get_or_init(MadeKey::new)
}

struct Given;

impl Values for Given {
    fn value(&self, _: Scope, name: &str) -> Result<Value, String> {
        Ok(match name {
            "key" => key().text("plain.pem").into(),
            "encrypted" => key().text("encrypted-pbkdf2.pem").into(),
            "passphrase" => "open-it".into(),
            "certificate" => key().text("certificate.pem").into(),
            "number" => 7.into(),
            _ => return Err("is not set".into()),
        })
    }
}

fn made(auth: Value) -> Result<TokenRequest, Failure> {
    let file = json!({"api": "a", "base_url": "https://ns.example/services/v1", "auth": auth});
    let api: ApiFile = serde_json::from_value(file).unwrap();
    assert!(matches!(api.auth, Auth::Oauth2 { .. }));
    let base = Url::parse("https://ns.example/services/v1").unwrap();
    let now = DateTime::from_timestamp(1_700_000_000, 999_000_000);
    let passphrase = match &api.auth {
        Auth::Oauth2 { assertion: Some(assertion), .. } => assertion.passphrase.clone(),
        _ => None,
    };
    let open = |_| crate::key::opened(&key().text("encrypted-pbkdf2.pem"), "open-it").unwrap();
    let opened = passphrase.map(open);
    let (proof, key) = (Proof::Definition, opened.as_ref());
    let moment = Moment { values: &Given, url_values: &Given, now, proof, key };
    token_request(&api.auth, &base, &moment)
}

fn field<'a>(request: &'a TokenRequest, name: &str) -> &'a str {
    let found = request.form.iter().find(|(known, _)| known == name);
    found.map_or("", |(_, value)| value.as_str())
}

fn parts(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    let mut next = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
    (next(), next())
}

#[test]
fn netsuite_gets_exactly_what_it_documents() {
    let auth = json!({
        "type": "oauth2", "client_id": "cl\"ient", "scopes": ["rest_webservices"],
        "token_url": "/services/rest/auth/oauth2/v1/token", "client_auth": "private_key_jwt",
        "assertion": {"preset": "netsuite", "key": "${secret.encrypted}",
            "passphrase": "${secret.passphrase}", "key_id": "cert-1"},
    });
    let request = made(auth.clone()).unwrap();
    let names: Vec<&str> = request.form.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["grant_type", "client_assertion_type", "client_assertion"]);
    let url = "https://ns.example/services/rest/auth/oauth2/v1/token";
    assert_eq!(request.url.as_str(), url);
    let (head, mut claims) = parts(field(&request, "client_assertion"));
    assert_eq!(head, json!({"alg": "ES256", "typ": "JWT", "kid": "cert-1"}));
    let id = claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(
        claims,
        json!({"iss": "cl\"ient", "scope": "rest_webservices", "aud": url,
            "iat": 1_700_000_000, "exp": 1_700_000_000 + 59 * 60})
    );
    let again = made(auth).unwrap();
    assert_ne!(parts(field(&again, "client_assertion")).1["jti"], id);
    assert!(request.made.iter().any(|one| one.expose() == field(&request, "client_assertion")));
}

#[test]
fn the_standard_form_and_everything_that_can_be_chosen() {
    let mut auth = json!({
        "type": "oauth2", "client_id": "me", "token_url": "https://as.example/token",
        "scopes": ["a", "b"], "client_auth": "private_key_jwt",
        "assertion": {"key": "${secret.key}", "algorithm": "ES256",
            "certificate": "${secret.certificate}", "lifetime": "30s",
            "claims": {"tenant": "t", "n": "${env.number}"}},
    });
    let request = made(auth.clone()).unwrap();
    assert_eq!((field(&request, "client_id"), field(&request, "scope")), ("me", "a b"));
    let (head, claims) = parts(field(&request, "client_assertion"));
    assert_eq!(head["x5t"], key().thumbprint("sha1"));
    assert_eq!(head["x5t#S256"], key().thumbprint("sha256"));
    assert_eq!(
        (&claims["sub"], &claims["aud"]),
        (&json!("me"), &json!("https://as.example/token"))
    );
    assert_eq!((&claims["tenant"], &claims["n"]), (&json!("t"), &json!(7)));
    assert_eq!(claims["exp"], 1_700_000_030);
    auth["assertion"]["algorithm"] = "RS256".into();
    let error = made(auth).err().unwrap().to_string();
    assert_eq!(error, "`key` of `assertion` is not a key for RS256");
}

#[test]
fn a_bearer_assertion_stands_in_for_a_login() {
    let auth = json!({
        "type": "oauth2", "grant": "jwt_bearer", "client_id": "svc@x",
        "token_url": "https://as.example/token", "scopes": ["s"],
        "assertion": {"key": "${secret.key}", "algorithm": "ES256", "scope_in": "claim",
            "subject": "person@x", "audience": "https://as.example"},
    });
    let request = made(auth).unwrap();
    let names: Vec<&str> = request.form.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["grant_type", "assertion"]);
    assert_eq!(field(&request, "grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (_, claims) = parts(field(&request, "assertion"));
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("svc@x"), &json!("person@x")));
    assert_eq!((&claims["scope"], &claims["aud"]), (&json!("s"), &json!("https://as.example")));
}

#[test]
fn a_thumbprint_stands_in_for_the_certificate() {
    let hex = "84:E0:5C:1D 98bc2e3f6A7b8c9d0e1f2a3b4c5d6e7f";
    let expected = "hOBcHZi8Lj9qe4ydDh8qO0xdbn8";
    for thumbprint in [hex, expected, "hOBcHZi8Lj9qe4ydDh8qO0xdbn8="] {
        let request = made(json!({
            "type": "oauth2", "client_id": "me", "client_auth": "private_key_jwt",
            "token_url": "https://login.example/tenant/oauth2/v2.0/token",
            "assertion": {"key": "${secret.encrypted}", "passphrase": "${secret.passphrase}",
                "algorithm": "ES256", "thumbprint": thumbprint},
        }))
        .unwrap();
        let (head, _) = parts(field(&request, "client_assertion"));
        assert_eq!(head, json!({"alg": "ES256", "typ": "JWT", "x5t": expected}), "{thumbprint}");
    }
    for wrong in ["84E0", "no thumbprint at all, in any form", ""] {
        let request = made(json!({
            "type": "oauth2", "client_id": "me", "client_auth": "private_key_jwt",
            "token_url": "https://login.example/token",
            "assertion": {"key": "${secret.key}", "algorithm": "ES256", "thumbprint": wrong},
        }));
        let error = request.err().unwrap().to_string();
        assert!(error.starts_with("`thumbprint` of `assertion` is no SHA-1"), "{error}");
    }
}
