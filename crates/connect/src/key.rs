//! Private keys: from the text of a secret to something that signs, and certificates to their
//! thumbprints.
//!
//! In: PEM text (RFC 7468), the algorithm that the definition names. Out: a [`Signer`]. Plain keys
//! may be PKCS#8, PKCS#1 or SEC1; encrypted ones are PKCS#8 (RFC 5958) with PBES2, and are opened
//! beforehand, by `keys`. What never happens here: a key written, printed or guessed at; a key that does not fit
//! the algorithm is an error that says so.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pkcs8::EncryptedPrivateKeyInfo;
use restway_model::Secret;
use restway_model::definition::JwtAlgorithm;
use zeroize::Zeroizing;

use JwtAlgorithm::{ES256, ES384, ES512, EdDsa, PS256, PS384, PS512, RS256, RS384, RS512};

const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// A private key that fits its algorithm.
pub(crate) enum Signer {
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// One section of a PEM text.
struct Section {
    label: String,
    der: Zeroizing<Vec<u8>>,
}

impl Signer {
    /// Reads a key for an algorithm. The error is to be read after the name of the key.
    pub(crate) fn read(pem: &str, algorithm: JwtAlgorithm) -> Result<Self, String> {
        let section = private_key(pem)?;
        if section.label == ENCRYPTED {
            return Err("is encrypted, and `passphrase` is missing".into());
        }
        let der = section.der;
        let misfit = || format!("is not a key for {}", algorithm.as_str());
        Ok(match algorithm {
            RS256 | RS384 | RS512 | PS256 | PS384 | PS512 => {
                let pair = RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der));
                Self::Rsa(Box::new(pair.map_err(|_| misfit())?), rsa_encoding(algorithm))
            }
            EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der);
                Self::Ed25519(Box::new(pair.map_err(|_| misfit())?))
            }
            ES256 | ES384 | ES512 => {
                let curve = curve(algorithm);
                let pair = EcdsaKeyPair::from_pkcs8(curve, &der)
                    .or_else(|_| EcdsaKeyPair::from_private_key_der(curve, &der));
                Self::Ecdsa(Box::new(pair.map_err(|_| misfit())?))
            }
        })
    }

    /// The signature as RFC 7518 wants it: for ECDSA the two numbers side by side.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let failed = |_| "does not sign".to_owned();
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Self::Ecdsa(pair) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

fn rsa_encoding(algorithm: JwtAlgorithm) -> &'static dyn RsaEncoding {
    match algorithm {
        RS384 => &signature::RSA_PKCS1_SHA384,
        RS512 => &signature::RSA_PKCS1_SHA512,
        PS256 => &signature::RSA_PSS_SHA256,
        PS384 => &signature::RSA_PSS_SHA384,
        PS512 => &signature::RSA_PSS_SHA512,
        _ => &signature::RSA_PKCS1_SHA256,
    }
}

fn curve(algorithm: JwtAlgorithm) -> &'static EcdsaSigningAlgorithm {
    match algorithm {
        ES384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        ES512 => &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        _ => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
    }
}

fn private_key(pem: &str) -> Result<Section, String> {
    let found = sections(pem)?.into_iter().find(|one| one.label.ends_with("PRIVATE KEY"));
    found.ok_or_else(|| "holds no private key as PEM".to_owned())
}

/// An encrypted key as a plain one; a plain one as it is. This takes as long as the key's maker
/// wanted guessing to take. The error is to be read after the name of the key.
pub(crate) fn opened(pem: &str, passphrase: &str) -> Result<Secret, String> {
    let section = private_key(pem)?;
    if section.label != ENCRYPTED {
        return Ok(Secret::new(pem));
    }
    let info = EncryptedPrivateKeyInfo::try_from(section.der.as_slice())
        .map_err(|_| "is not encrypted as PKCS#8 with PBES2 is".to_owned())?;
    let opened = info
        .decrypt(passphrase)
        .map_err(|_| "does not open: the passphrase is wrong, or its cipher is unknown")?;
    let text = Zeroizing::new(STANDARD.encode(opened.as_bytes()));
    Ok(Secret::new(format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        text.as_str()
    )))
}

/// The thumbprints of the first certificate of a PEM text: `x5t` (SHA-1) and `x5t#S256`
/// (RFC 7515, sections 4.1.7 and 4.1.8).
pub(crate) fn thumbprints(pem: &str) -> Result<(String, String), String> {
    let found = sections(pem)?.into_iter().find(|section| section.label == "CERTIFICATE");
    let section = found.ok_or("holds no certificate as PEM")?;
    let of = |algorithm| URL_SAFE_NO_PAD.encode(digest(algorithm, &section.der));
    Ok((of(&SHA1_FOR_LEGACY_USE_ONLY), of(&SHA256)))
}

/// A SHA-1 thumbprint as `x5t` has it, of one in hexadecimal, as portals show it, or base64.
pub(crate) fn thumbprint_of(text: &str) -> Result<String, String> {
    let is_between = |c: char| c.is_whitespace() || c == ':';
    let bare: String = text.chars().filter(|c| !is_between(*c)).collect();
    let bytes = match bare.len() == 2 * SHA1_FOR_LEGACY_USE_ONLY.output_len {
        true => crate::hmac::from_hex(&bare),
        false => {
            let plain = bare.trim_end_matches('=').replace('+', "-").replace('/', "_");
            URL_SAFE_NO_PAD.decode(plain).ok()
        }
    };
    let bytes = bytes.filter(|bytes| bytes.len() == SHA1_FOR_LEGACY_USE_ONLY.output_len);
    let bytes = bytes.ok_or("is no SHA-1 in hexadecimal or base64url")?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The sections of a PEM text. Secrets that came through one line have `\n` for their line ends.
fn sections(pem: &str) -> Result<Vec<Section>, String> {
    const SECTIONS_MAX: usize = 16;
    let pem = Zeroizing::new(pem.replace("\\n", "\n"));
    let mut sections = Vec::new();
    let mut rest = pem.as_str();
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        if sections.len() >= SECTIONS_MAX {
            return Err("holds too many parts".into());
        }
        let broken = || "is broken PEM".to_owned();
        let (label, body) = begun.split_once("-----").ok_or_else(broken)?;
        let end = format!("-----END {label}-----");
        let (body, after) = body.split_once(end.as_str()).ok_or_else(broken)?;
        if body.contains("Proc-Type:") {
            let problem = "is encrypted in an old form; `openssl pkcs8 -topk8` makes it PKCS#8";
            return Err(problem.into());
        }
        let text: Zeroizing<String> =
            Zeroizing::new(body.chars().filter(|c| !c.is_ascii_whitespace()).collect());
        let der = STANDARD.decode(text.as_bytes()).map(Zeroizing::new).map_err(|_| broken())?;
        sections.push(Section { label: label.to_owned(), der });
        rest = after;
    }
    Ok(sections)
}

#[cfg(test)]
mod tests;
