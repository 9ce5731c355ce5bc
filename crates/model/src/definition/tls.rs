//! `tls:` of an api.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::Template;

/// How the api's certificate is judged, and which one is shown to it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Certificates that are trusted beside the system's: a PEM file of the workspace, or a
    /// `${secret.…}` with the PEM text. A server's own self-signed certificate will do.
    pub ca: Option<Template>,
    /// The client's certificate with its chain: a PEM file, with `client_key`; or a PKCS#12 file,
    /// which brings its key, with `client_key_password`. A `${secret.…}` holds the PEM text, or the
    /// PKCS#12 file in base64.
    pub client_cert: Option<Template>,
    /// The client's private key as PEM: a `${secret.…}` or `${env.…}`.
    pub client_key: Option<Template>,
    /// Opens `client_key` if that is encrypted (PKCS#8), or the PKCS#12 file: a `${secret.…}` or
    /// `${env.…}`.
    pub client_key_password: Option<Template>,
    /// Whether the server's certificate is verified; true without it.
    pub verify: bool,
    /// Whether the server's certificate must name the host; true without it.
    pub check_hostname: bool,
    /// Whether the host's name is sent in the handshake (RFC 6066); true without it.
    pub sni: bool,
    /// The least version of TLS.
    pub min_version: TlsVersion,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            ca: None,
            client_cert: None,
            client_key: None,
            client_key_password: None,
            verify: true,
            check_hostname: true,
            sni: true,
            min_version: TlsVersion::default(),
        }
    }
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    #[serde(rename = "1.2")]
    V12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V13,
}
