//! PKCS#12 files (RFC 7292): a client's certificate, its chain and its key behind one password.
//!
//! In: the file in base64 and the password. Out: PEM texts as if they had been given so, the
//! certificates in the order in which a server wants them. Files of both generations open: those
//! with PBES2 and the older ones with RC2 and 3DES. What never happens here: a second key taken
//! where the first does not fit; a cause quoted that could hold a part of the file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p12_keystore::error::Error;
use p12_keystore::{Certificate, Pkcs12Archive};
use restway_model::Secret;
use zeroize::Zeroizing;

const KEY: &str = "-----BEGIN PRIVATE KEY-----";

/// Whether bytes may be such a file: it is one SEQUENCE of ASN.1, and never a text.
pub(crate) fn is_one(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x30)
}

/// Opens a file: its certificates and its key as one PEM text. The error is to be read after the
/// name of the file.
pub(crate) fn opened(base64: &str, password: &str) -> Result<Secret, String> {
    let bytes = STANDARD.decode(base64).map(Zeroizing::new).map_err(|_| "is not base64")?;
    let archive = Pkcs12Archive::from_pkcs12(&bytes, password).map_err(problem)?;
    let key = archive.keys.into_iter().next().ok_or("holds no private key")?;
    let id = key.local_key_id.as_ref().map(AsRef::as_ref);
    let leaf =
        archive.certs.iter().position(|one| id.is_some() && one.local_key_id.as_deref() == id);
    let mut others: Vec<Certificate> = archive.certs.into_iter().map(|one| one.cert).collect();
    if others.is_empty() {
        return Err("holds no certificate".into());
    }
    let mut chain = vec![others.remove(leaf.unwrap_or(0))];
    while let Some(issuer) = issuer(&chain, &others) {
        chain.push(others.remove(issuer));
    }
    let certificates = chain.iter().map(|one| section("CERTIFICATE", one.as_der()));
    let certificates: String = certificates.map(|text| text.to_string()).collect();
    let key = section("PRIVATE KEY", key.key.as_der());
    Ok(Secret::new(format!("{certificates}{}", key.as_str())))
}

/// The certificates and the key of an open file.
pub(crate) fn parts(open: &Secret) -> (String, Secret) {
    let text = open.expose();
    let (certificates, key) = text.split_at(text.find(KEY).unwrap_or(text.len()));
    (certificates.to_owned(), Secret::new(key))
}

/// Where the certificate is that signed the last of the chain.
fn issuer(chain: &[Certificate], others: &[Certificate]) -> Option<usize> {
    let last = chain.last().filter(|last| last.issuer() != last.subject())?;
    others.iter().position(|one| one.subject() == last.issuer())
}

/// A section of PEM (RFC 7468).
fn section(label: &str, der: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(STANDARD.encode(der));
    Zeroizing::new(format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", text.as_str()))
}

fn problem(error: Error) -> String {
    let problem = match error {
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) => {
            "does not open: the password is wrong"
        }
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm => {
            "has a cipher that is not known here: `openssl pkcs12 -export` writes one that is"
        }
        _ => "is not a whole PKCS#12 file",
    };
    problem.to_owned()
}
