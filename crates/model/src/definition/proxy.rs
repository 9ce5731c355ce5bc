//! `proxy:` of an api.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::Template;

/// The proxy that all requests of the api go through, token requests and redirects included.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// Its address: `http://host:port`, `https://host:port` or `socks5://host:port`. It resolves
    /// the names of hosts; which of them may be reached is checked here first.
    pub url: Template,
    /// The user that the proxy asks for.
    pub username: Option<Template>,
    /// The user's password: a `${secret.…}` or `${env.…}`.
    pub password: Option<Template>,
    /// What is reached without the proxy: a host with all below it, an address, a network as in
    /// `10.0.0.0/8`, each with a port or without; `*` is everything.
    #[serde(default)]
    pub no_proxy: Vec<String>,
}
