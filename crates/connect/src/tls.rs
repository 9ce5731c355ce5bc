//! TLS as a definition or a call wants it.
//!
//! In: PEM texts, PKCS#12 files and switches; `sources` reads those of an api. Out: a rustls
//! configuration: the system's authorities and those given beside them, a client certificate, the
//! least version. A server's certificate that is given itself is trusted as it stands, because
//! self-signed certificates often say that they are authorities and then could not be a server's;
//! its dates and its name count all the same. Turning off `verify` leaves the proof that the server
//! has its key.

mod sources;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use restway_model::Secret;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme,
};
use rustls_platform_verifier::Verifier;

pub(crate) use sources::{MadeTls, Sources};

use crate::error::Failure;
use crate::keys::Opener;
use crate::x509::Facts;
use crate::{key, pkcs12};

/// Certificates in one text at most.
const CERTIFICATES_MAX: usize = 1_000;

/// What TLS should be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    /// PEM certificates that are trusted beside the system's.
    pub(crate) ca: Option<String>,
    pub(crate) identity: Option<Identity>,
    pub(crate) verify: bool,
    pub(crate) check_hostname: bool,
    pub(crate) sni: bool,
    /// TLS 1.3 only.
    pub(crate) only_1_3: bool,
}

/// What a client shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A PEM certificate with its chain, and its PEM key.
    Pem(String, Secret),
    /// A PKCS#12 file in base64, to be opened before it is shown.
    Packed(Secret),
}

impl Identity {
    /// What a password opens, and how.
    pub(crate) fn locked(&self) -> (Secret, Opener) {
        match self {
            Self::Pem(_, key) => (key.clone(), key::opened),
            Self::Packed(file) => (file.clone(), pkcs12::opened),
        }
    }

    /// The same with what was opened.
    pub(crate) fn opened(self, open: Secret) -> Self {
        match self {
            Self::Pem(chain, _) => Self::Pem(chain, open),
            Self::Packed(_) => {
                let (chain, key) = pkcs12::parts(&open);
                Self::Pem(chain, key)
            }
        }
    }

    /// The input that a password opens.
    pub(crate) const fn subject(&self) -> &'static str {
        match self {
            Self::Pem(..) => "`client_key`",
            Self::Packed(_) => "`client_cert`",
        }
    }

    /// What is shown by a certificate, as text or PKCS#12, and a key.
    pub(crate) fn of(certificate: Vec<u8>, key: Option<Secret>) -> Result<Self, Failure> {
        let invalid = |problem: &str| Err(Failure::invalid("`client_cert`", problem));
        match (pkcs12::is_one(&certificate), key) {
            (true, None) => Ok(Self::Packed(Secret::new(STANDARD.encode(certificate)))),
            (true, Some(_)) => {
                invalid("is a PKCS#12 file and brings its key: leave out `client_key`")
            }
            (false, Some(key)) => match String::from_utf8(certificate) {
                Ok(chain) => Ok(Self::Pem(chain, key)),
                Err(_) => invalid("is neither a PEM text nor a PKCS#12 file"),
            },
            (false, None) => invalid("is not a PKCS#12 file: write its `client_key`"),
        }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            ca: None,
            identity: None,
            verify: true,
            check_hostname: true,
            sni: true,
            only_1_3: false,
        }
    }
}

impl Tls {
    /// What the client's certificate says of itself.
    pub(crate) fn client_facts(&self) -> Option<Facts> {
        let Some(Identity::Pem(chain, _)) = &self.identity else { return None };
        Facts::of(CertificateDer::from_pem_slice(chain.as_bytes()).ok()?.as_ref())
    }

    /// Whether a configuration can be made of it.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.configuration().map(drop)
    }

    /// The configuration of a client.
    pub(crate) fn configuration(&self) -> Result<ClientConfig, Failure> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let given = match &self.ca {
            Some(text) => certificates(text, "the authority's certificate")?,
            None => Vec::new(),
        };
        let system = Verifier::new_with_extra_roots(given.iter().cloned(), Arc::clone(&provider))
            .map_err(|error| unusable("the authority's certificate", &error))?;
        let verifier =
            Judge { system, given, verify: self.verify, check_hostname: self.check_hostname };
        let versions: &[&rustls::SupportedProtocolVersion] = match self.only_1_3 {
            true => &[&rustls::version::TLS13],
            false => &[&rustls::version::TLS13, &rustls::version::TLS12],
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| unusable("the version of TLS", &error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut configuration = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(Identity::Packed(_)) => {
                let problem = "is a PKCS#12 file, and `client_key_password` is not given";
                return Err(Failure::invalid("`client_cert`", problem));
            }
            Some(Identity::Pem(chain, key)) => {
                let chain = certificates(chain, "the client's certificate")?;
                builder
                    .with_client_auth_cert(chain, private_key(key)?)
                    .map_err(|error| unusable("the client's certificate", &error))?
            }
        };
        configuration.enable_sni = self.sni;
        configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(configuration)
    }
}

/// A certificate that stands in a text: PEM, or PKCS#12 in base64.
pub(crate) fn written(text: &str) -> Option<Vec<u8>> {
    if text.contains("-----BEGIN") {
        return Some(text.as_bytes().to_vec());
    }
    let bare: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(bare).ok().filter(|bytes| pkcs12::is_one(bytes))
}

fn unusable(subject: &str, error: &Error) -> Failure {
    Failure::invalid(subject, format!("cannot be used: {error}"))
}

/// The certificates of a PEM text (RFC 7468).
fn certificates(text: &str, subject: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(text.as_bytes()).take(CERTIFICATES_MAX).collect();
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Failure::invalid(subject, "holds no `-----BEGIN CERTIFICATE-----`")),
        Err(error) => Err(Failure::invalid(subject, format!("is no PEM text: {error}"))),
    }
}

/// The first private key of a PEM text. The cause of a failure is not shown: it could quote it.
fn private_key(key: &Secret) -> Result<PrivateKeyDer<'static>, Failure> {
    let subject = "the client's private key";
    let text = key.expose();
    if text.contains("ENCRYPTED") {
        let problem = "is encrypted, and `client_key_password` is not given";
        return Err(Failure::invalid(subject, problem));
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| Failure::invalid(subject, "is not a PEM text with a private key"))
}

/// Judges a server's certificate.
#[derive(Debug)]
struct Judge {
    system: Verifier,
    given: Vec<CertificateDer<'static>>,
    verify: bool,
    check_hostname: bool,
}

impl Judge {
    /// What the error of the chain's check comes to. Dates come first in that check, so that a
    /// given certificate which fails later is within them; the name comes last.
    fn appeal(
        &self,
        error: Error,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
    ) -> Result<(), Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext, Other, UnknownIssuer};
        let Error::InvalidCertificate(problem) = &error else { return Err(error) };
        match problem {
            NotValidForName | NotValidForNameContext { .. } if !self.check_hostname => Ok(()),
            Other(_) | UnknownIssuer
                if is_about_the_issuer(problem)
                    && self.given.iter().any(|given| given == certificate) =>
            {
                if self.check_hostname {
                    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                }
                Ok(())
            }
            _ => Err(error),
        }
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.verify
            && let Err(error) = self.system.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            )
        {
            self.appeal(error, end_entity, server_name)
                .map_err(|error| with_facts(error, end_entity))?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.system.supported_verify_schemes()
    }
}

/// The error with what the certificate says about itself.
fn with_facts(error: Error, certificate: &CertificateDer<'_>) -> Error {
    match (&error, Facts::of(certificate)) {
        (Error::InvalidCertificate(problem), Some(facts)) => {
            let problem = Judged { problem: problem.to_string(), facts };
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(problem))))
        }
        _ => error,
    }
}

/// A certificate that is not accepted.
#[derive(Debug, thiserror::Error)]
#[error("{problem}; {facts}")]
struct Judged {
    problem: String,
    facts: Facts,
}

/// Whether nothing speaks against the certificate but who signed it.
fn is_about_the_issuer(problem: &CertificateError) -> bool {
    match problem {
        CertificateError::UnknownIssuer => true,
        CertificateError::Other(other) => {
            let problem = other.0.downcast_ref::<webpki::Error>();
            problem == Some(&webpki::Error::CaUsedAsEndEntity)
        }
        _ => false,
    }
}
