//! Tokens that are good and tokens that are not. The keys are made here; a real issuer is asked in
//! the tests of the binary.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use restway_model::definition::{Issuer, WorkspaceFile, read};
use serde_json::{Value, json};

use super::key_set::KeySet;
use super::known;
use super::token::Unproven;

const NOW: i64 = 1_800_000_000;

fn issuer() -> Issuer {
    let text = "workspace: w\nserve:\n  issuers:\n    - { issuer: 'https://id.example', \
                audience: shop, groups: realm.roles }\n";
    let file: WorkspaceFile = read("restway.yaml", text).unwrap();
    file.serve.issuers[0].clone()
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Keys of three kinds, and the set that shows them.
struct Keys {
    curve: EcdsaKeyPair,
    edwards: Ed25519KeyPair,
    rsa: RsaKeyPair,
}

impl Keys {
    fn new() -> Self {
        Self {
            curve: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            edwards: Ed25519KeyPair::generate().unwrap(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        }
    }

    fn set(&self) -> Value {
        let point = self.curve.public_key().as_ref();
        // RSAPublicKey of 2048 bits (RFC 8017, A.1.1): a sequence of two numbers.
        let public = self.rsa.public_key().as_ref();
        let (n, e) = (&public[9..265], &public[267..]);
        json!({ "keys": [
            { "kty": "oct", "kid": "shared", "alg": "HS256", "k": encoded(point) },
            { "kty": "EC", "kid": "c", "crv": "P-256", "use": "sig",
              "x": encoded(&point[1..33]), "y": encoded(&point[33..]) },
            { "kty": "OKP", "kid": "e", "crv": "Ed25519", "x": encoded(self.edwards.public_key()) },
            { "kty": "RSA", "kid": "r", "alg": "PS256", "n": encoded(n),
              "e": encoded(e) },
            { "kty": "EC", "kid": "seals", "crv": "P-256", "use": "enc",
              "x": encoded(&point[1..33]), "y": encoded(&point[33..]) },
        ] })
    }

    fn signed(&self, head: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(head.to_string()), encoded(claims.to_string()));
        let (bytes, random) = (message.as_bytes(), SystemRandom::new());
        let rsa = |encoding| {
            let mut made = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(encoding, &random, bytes, &mut made).unwrap();
            made
        };
        let signature = match head["alg"].as_str().unwrap() {
            "ES256" => self.curve.sign(&random, bytes).unwrap().as_ref().to_vec(),
            "EdDSA" => self.edwards.sign(bytes).as_ref().to_vec(),
            "PS256" => rsa(&signature::RSA_PSS_SHA256),
            "RS256" => rsa(&signature::RSA_PKCS1_SHA256),
            "HS256" => {
                let public = self.curve.public_key().as_ref();
                let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, public);
                aws_lc_rs::hmac::sign(&key, bytes).as_ref().to_vec()
            }
            _ => Vec::new(),
        };
        format!("{message}.{}", encoded(signature))
    }

    fn is_good(&self, token: &str) -> bool {
        let set = KeySet::read(self.set().to_string().as_bytes()).unwrap();
        let now = DateTime::from_timestamp(NOW, 0).unwrap();
        Unproven::read(token).and_then(|it| it.proven(&set, &issuer(), now)).is_some()
    }
}

fn claims() -> Value {
    json!({ "iss": "https://id.example", "aud": "shop", "sub": "jo", "exp": NOW + 300 })
}

/// The usual claims, with some that are others, or are not there when they are null.
fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

#[test]
fn a_token_is_good_by_its_signature_and_nothing_else() {
    let keys = Keys::new();
    let heads = [
        (json!({ "alg": "ES256", "kid": "c" }), true),
        (json!({ "alg": "ES256" }), true),
        (json!({ "alg": "EdDSA", "kid": "e", "typ": "at+jwt" }), true),
        (json!({ "alg": "PS256", "kid": "r", "typ": "application/JWT" }), true),
        // The key says that it signs otherwise; is another one; is for something else.
        (json!({ "alg": "RS256", "kid": "r" }), false),
        (json!({ "alg": "ES256", "kid": "e" }), false),
        (json!({ "alg": "ES256", "kid": "nobody" }), false),
        (json!({ "alg": "ES256", "kid": "seals" }), false),
        // What a public key would sign if it were a shared one, and no signature at all.
        (json!({ "alg": "HS256", "kid": "c" }), false),
        (json!({ "alg": "HS256", "kid": "shared" }), false),
        (json!({ "alg": "none" }), false),
        (json!({ "alg": "none", "kid": "c" }), false),
        // A token for something else, and one that wants to be understood.
        (json!({ "alg": "ES256", "kid": "c", "typ": "logout+jwt" }), false),
        (json!({ "alg": "ES256", "kid": "c", "crit": ["exp"] }), false),
    ];
    for (head, expected) in heads {
        assert_eq!(keys.is_good(&keys.signed(&head, &claims())), expected, "{head}");
    }
    let good = keys.signed(&json!({ "alg": "ES256", "kid": "c" }), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let other = encoded(with(json!({ "sub": "root" })).to_string());
    for bad in [
        format!("{}.{other}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], encoded([0; 64])),
        format!("{good}A"),
        "a.b.c".to_owned(),
        "..".to_owned(),
        String::new(),
    ] {
        assert!(!keys.is_good(&bad), "{bad}");
    }
    let own = json!({ "alg": "ES256", "jwk": keys.set()["keys"][1], "kid": "c" });
    let stranger = Keys::new();
    assert!(!keys.is_good(&stranger.signed(&own, &claims())), "a key that the token brings");
}

#[test]
fn a_token_is_good_for_its_audience_and_its_time() {
    let keys = Keys::new();
    let head = json!({ "alg": "EdDSA", "kid": "e" });
    let table = [
        (json!({ "aud": ["other", "shop"] }), true),
        (json!({ "aud": "other" }), false),
        (json!({ "aud": null }), false),
        (json!({ "aud": { "shop": 1 } }), false),
        (json!({ "iss": "https://id.example/" }), false),
        (json!({ "iss": null }), false),
        (json!({ "exp": NOW - 59 }), true),
        (json!({ "exp": NOW - 60 }), false),
        (json!({ "exp": null }), false),
        (json!({ "exp": format!("{}", NOW + 300) }), false),
        (json!({ "nbf": NOW + 60, "exp": 1e300 }), true),
        (json!({ "nbf": NOW + 61 }), false),
        (json!({ "nbf": "soon" }), false),
    ];
    for (changes, expected) in table {
        let token = keys.signed(&head, &with(changes.clone()));
        assert_eq!(keys.is_good(&token), expected, "{changes}");
    }
}

#[test]
fn groups_are_a_list_or_words_and_may_lie_deeper() {
    let of = |changes: Value| known(&issuer(), with(changes).as_object().unwrap().clone());
    let groups = |changes| of(changes).unwrap().groups.into_iter().collect::<Vec<_>>();
    assert_eq!(groups(json!({ "realm": { "roles": ["b", "a", 7] } })), ["a", "b"]);
    assert_eq!(groups(json!({ "realm.roles": "a b" })), ["a", "b"]);
    assert_eq!(groups(json!({})), [""; 0]);
    assert!(of(json!({ "sub": null })).is_none() && of(json!({ "sub": "" })).is_none());
}
