//! Keys in every form, against signatures checked with their public halves; the encrypted ones and
//! the thumbprints are made by openssl while the tests run.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, UnparsedPublicKey, VerificationAlgorithm};

use super::*;
use crate::testing::MadeKey as Made;

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

#[test]
fn every_algorithm_signs_what_its_public_key_verifies() {
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let rsa_der = AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).unwrap();
    let ed = Ed25519KeyPair::generate().unwrap();
    let of_rsa = (pem("PRIVATE KEY", rsa_der.as_ref()), rsa.public_key().as_ref().to_vec());
    let of_curve = |curve| {
        let pair = EcdsaKeyPair::generate(curve).unwrap();
        let der = pair.to_pkcs8v1().unwrap();
        (pem("PRIVATE KEY", der.as_ref()), pair.public_key().as_ref().to_vec())
    };
    let of_ed =
        (pem("PRIVATE KEY", ed.to_pkcs8v1().unwrap().as_ref()), ed.public_key().as_ref().to_vec());
    type Verification = &'static dyn VerificationAlgorithm;
    let table: [(JwtAlgorithm, _, Verification); 10] = [
        (RS256, of_rsa.clone(), &signature::RSA_PKCS1_2048_8192_SHA256),
        (RS384, of_rsa.clone(), &signature::RSA_PKCS1_2048_8192_SHA384),
        (RS512, of_rsa.clone(), &signature::RSA_PKCS1_2048_8192_SHA512),
        (PS256, of_rsa.clone(), &signature::RSA_PSS_2048_8192_SHA256),
        (PS384, of_rsa.clone(), &signature::RSA_PSS_2048_8192_SHA384),
        (PS512, of_rsa.clone(), &signature::RSA_PSS_2048_8192_SHA512),
        (ES256, of_curve(curve(ES256)), &signature::ECDSA_P256_SHA256_FIXED),
        (ES384, of_curve(curve(ES384)), &signature::ECDSA_P384_SHA384_FIXED),
        (ES512, of_curve(curve(ES512)), &signature::ECDSA_P521_SHA512_FIXED),
        (EdDsa, of_ed, &signature::ED25519),
    ];
    for (algorithm, (pem, public), verification) in &table {
        let signer = Signer::read(pem, *algorithm).unwrap();
        let signature = signer.sign(b"message").unwrap();
        let public = UnparsedPublicKey::new(*verification, public);
        public.verify(b"message", &signature).unwrap_or_else(|_| panic!("{algorithm:?}"));
        assert!(public.verify(b"massage", &signature).is_err(), "{algorithm:?}");
        let other = if matches!(algorithm, ES256) { RS256 } else { ES256 };
        let misfit = Signer::read(pem, other).err().unwrap();
        assert!(misfit.contains(other.as_str()), "{misfit}");
    }
}

#[test]
fn keys_of_openssl_are_read_plain_encrypted_and_in_one_line() {
    let made = Made::new();
    let plain = made.text("plain.pem");
    let table = [
        (plain.replace('\n', "\\n"), ""),
        (plain.replace('\n', "\r\n"), ""),
        (plain, ""),
        (made.text("sec1.pem"), ""),
        (made.text("encrypted-pbkdf2.pem"), "open-it"),
        (made.text("encrypted-scrypt.pem"), "open-it"),
        (made.text("encrypted-3des.pem"), "open-it"),
    ];
    let public = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, made.public());
    for (pem, passphrase) in table {
        let opened = opened(&pem, passphrase).unwrap();
        let signature = Signer::read(opened.expose(), ES256).unwrap().sign(b"m").unwrap();
        assert_eq!(signature.len(), 64, "{pem}");
        assert!(public.verify(b"m", &signature).is_ok(), "{pem}");
    }
}

#[test]
fn what_is_no_key_says_why() {
    let made = Made::new();
    let encrypted = made.text("encrypted-pbkdf2.pem");
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n\
               -----END RSA PRIVATE KEY-----";
    let certificate = made.text("certificate.pem");
    let table = [
        (encrypted.as_str(), "`passphrase` is missing"),
        ("hunter2", "no private key as PEM"),
        (&certificate, "no private key as PEM"),
        ("-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----", "broken PEM"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA", "broken PEM"),
        (old, "openssl pkcs8 -topk8"),
    ];
    for (pem, problem) in table {
        let said = Signer::read(pem, ES256).err().unwrap();
        assert!(said.contains(problem) && !said.contains("hunter2"), "{said}");
    }
    let said = opened(&encrypted, "wrong").err().unwrap();
    assert!(said.contains("passphrase is wrong"), "{said}");
}

#[test]
fn thumbprints_are_those_of_openssl() {
    let made = Made::new();
    let both = thumbprints(&made.text("certificate.pem")).unwrap();
    assert_eq!(both, (made.thumbprint("sha1"), made.thumbprint("sha256")));
    assert!(thumbprints(&made.text("plain.pem")).is_err());
}
