//! The keys of an issuer, and signatures checked with them.
//!
//! In: a JSON Web Key Set (RFC 7517). Out: whether one of its keys made a signature. Which
//! algorithm that may be is decided by the key and never by the token alone: a key of a curve
//! signs with that curve's algorithm (RFC 7518, 3.4), an RSA key with those of RSA, and when the
//! set says `alg`, with that one. A key that is not there for signatures, or of a kind that is not
//! known, is passed over; so symmetric keys and `none` have no way in.
//!
//! What never happens here: a key taken from a token (`jwk`, `jku`, `x5u`), or an RSA key of fewer
//! than 2048 bits used.

use aws_lc_rs::signature::{
    self, EcdsaVerificationAlgorithm, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// The most keys of a set that are read.
const KEYS_MAX: usize = 100;

/// The keys of a set that check signatures.
#[derive(Debug, Default)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Curve { algorithm: &'static str, point: Vec<u8> },
    Ed25519(Vec<u8>),
}

/// A key as it is written; members that mean nothing here are passed over (RFC 7517, section 4).
#[derive(Deserialize)]
struct Written {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

#[derive(Deserialize)]
struct WrittenSet {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Reads a set; nothing when it is none.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        let set: WrittenSet = serde_json::from_slice(json).ok()?;
        let keys = set.keys.into_iter().take(KEYS_MAX);
        Some(Self(keys.filter_map(|key| Key::of(serde_json::from_value(key).ok()?)).collect()))
    }

    /// Whether a key of this id is in the set; without an id, whether any is.
    pub(super) fn has(&self, id: Option<&str>) -> bool {
        self.0.iter().any(|key| key.is_meant(id))
    }

    /// Whether a key that is meant made the signature with the algorithm.
    pub(super) fn verifies(
        &self,
        id: Option<&str>,
        algorithm: &str,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let mut meant = self.0.iter().filter(|key| key.is_meant(id));
        meant.any(|key| key.verifies(algorithm, message, signature))
    }
}

impl Key {
    fn of(written: Written) -> Option<Self> {
        let signs = written.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        let verifies =
            written.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let bytes = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
        let material = match (written.kty.as_str(), written.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { n: bytes(written.n)?, e: bytes(written.e)? },
            ("EC", Some(curve)) => {
                let (algorithm, length) = match curve {
                    "P-256" => ("ES256", 32),
                    "P-384" => ("ES384", 48),
                    "P-521" => ("ES512", 66),
                    _ => return None,
                };
                let (x, y) = (bytes(written.x)?, bytes(written.y)?);
                if x.len() != length || y.len() != length {
                    return None;
                }
                // The uncompressed form of a point (SEC 1, 2.3.3).
                Material::Curve { algorithm, point: [&[4], &*x, &*y].concat() }
            }
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(written.x)?),
            _ => return None,
        };
        let key = Self { id: written.kid, algorithm: written.alg, material };
        (signs && verifies).then_some(key)
    }

    /// A token that names no key means any.
    fn is_meant(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.id.as_deref() == Some(id))
    }

    fn verifies(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        if self.algorithm.as_deref().is_some_and(|own| own != algorithm) {
            return false;
        }
        match &self.material {
            Material::Rsa { n, e } => rsa(algorithm).is_some_and(|parameters| {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(parameters, message, signature).is_ok()
            }),
            Material::Curve { algorithm: own, point } => {
                let key = UnparsedPublicKey::new(curve(own), point);
                *own == algorithm && key.verify(message, signature).is_ok()
            }
            Material::Ed25519(point) => {
                let key = UnparsedPublicKey::new(&signature::ED25519, point);
                matches!(algorithm, "EdDSA" | "Ed25519") && key.verify(message, signature).is_ok()
            }
        }
    }
}

fn rsa(algorithm: &str) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
        "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
        "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn curve(algorithm: &str) -> &'static EcdsaVerificationAlgorithm {
    match algorithm {
        "ES384" => &signature::ECDSA_P384_SHA384_FIXED,
        "ES512" => &signature::ECDSA_P521_SHA512_FIXED,
        _ => &signature::ECDSA_P256_SHA256_FIXED,
    }
}
