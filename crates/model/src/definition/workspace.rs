//! `restway.yaml`: the workspace.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Name, Timespan};

/// A workspace: where its tables lie and what it may reach.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceFile {
    /// The workspace's name.
    pub workspace: Name,
    /// The folder of the tables: `{tables}/{api}/{resource}` is a plain Delta table.
    #[serde(default = "tables")]
    pub tables: String,
    /// Where runs, secrets and state are kept.
    #[serde(default)]
    pub metadata: Metadata,
    /// How long the requests of syncs stay in the tables `{api}._requests`; `0d` keeps none.
    #[serde(default = "keep_requests")]
    pub keep_requests: Timespan,
    /// What may be reached beyond public addresses.
    #[serde(default)]
    pub egress: Egress,
    /// How `restway serve` meets its callers.
    #[serde(default)]
    pub serve: Serve,
}

/// How `restway serve` meets its callers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Serve {
    /// Whether it may listen beyond this machine although it speaks plain HTTP, because something
    /// in front of it speaks TLS. The same as `--insecure-listen`.
    pub insecure: bool,
    /// Proxies that are believed when they say for whom they ask: addresses and networks, as in
    /// `10.1.0.0/16`. Rates and bad keys are counted by the address that they tell.
    pub trusted_proxies: Vec<String>,
    /// The header in which they say it.
    pub forwarded: Forwarding,
    /// Whose tokens are taken, beside the keys that `restway auth key add` makes.
    pub issuers: Vec<Issuer>,
}

/// A header in which proxies say for whom they ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Forwarding {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl Forwarding {
    /// The name of the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

/// An issuer of tokens (JWT, RFC 7519), such as an OpenID Connect provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Its name, which is `iss` in its tokens: an address.
    pub issuer: String,
    /// What `aud` must be or contain: this api's name at the issuer.
    pub audience: String,
    /// Where its keys are (RFC 7517). Without it the issuer's own description says it (OpenID
    /// Connect Discovery 1.0, section 4).
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// The claim with the groups: a list of texts, or one text with spaces between them. A path
    /// such as `realm_access.roles` leads into objects.
    #[serde(default = "groups_claim")]
    pub groups: String,
    /// The claim that says who it is.
    #[serde(default = "user_claim")]
    pub user: String,
}

impl Issuer {
    /// Whether keys may be read there: by TLS, or from this machine. Whoever can change keys on
    /// their way can be anybody.
    pub fn is_safe(&self, url: &url::Url) -> bool {
        let is_here = match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => return false,
        };
        url.scheme() == "https" || (url.scheme() == "http" && is_here)
    }
}

fn groups_claim() -> String {
    "groups".into()
}

fn user_claim() -> String {
    "sub".into()
}

/// The name of the table with the requests of an api's syncs.
pub const REQUESTS: &str = "_requests";

fn keep_requests() -> Timespan {
    Timespan(std::time::Duration::from_hours(30 * 24))
}

fn tables() -> String {
    ".restway/tables".into()
}

/// Where runs, secrets and state are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metadata {
    /// In `.restway/restway.db`.
    #[default]
    Sqlite,
}

/// What may be reached beyond public addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Egress {
    /// Hosts, with a port or without: `api.acme.example`, `*.acme.example:8443`, `127.0.0.1:8081`,
    /// `10.1.0.0/16`. Public addresses need no entry.
    pub allow: Vec<String>,
}
