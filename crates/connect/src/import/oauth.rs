//! The OAuth2 login of an import.
//!
//! In: the grant that a document or a collection names, and its addresses. Out: the `auth` of an
//! api file, with names of secrets, and a sentence about what there is to do. A token that a person
//! gets at a browser becomes the grant `authorization_code`, for which `restway auth login` is
//! there. Pure.

use std::collections::BTreeMap;

use restway_model::definition::{Auth, Grant};
use restway_model::{Name, Template};

use crate::draft::{literal, secret};

/// What is known of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) grant: Grant,
    pub(super) token_url: String,
    /// Where a person logs in, for the grant that has them do it.
    pub(super) authorize_url: Option<String>,
    pub(super) scopes: Vec<String>,
}

impl Flow {
    /// The login.
    pub(super) fn auth(&self, api: &Name) -> Auth {
        let secret = |what| secret(api, what);
        let address = |url: &String| -> Template {
            literal(url).parse().unwrap_or_else(|_| Template::literal(url))
        };
        let is_user = self.grant == Grant::Password;
        Auth::Oauth2 {
            grant: self.grant,
            token_url: address(&self.token_url),
            client_id: secret("client_id"),
            client_secret: Some(secret("client_secret")),
            client_auth: None,
            assertion: None,
            refresh_token: None,
            username: is_user.then(|| secret("username")),
            password: is_user.then(|| secret("password")),
            scopes: self.scopes.clone(),
            params: BTreeMap::new(),
            authorize_url: self.authorize_url.as_ref().map(address),
            authorize_params: BTreeMap::new(),
            redirect_port: None,
            issuer: None,
            device_url: None,
            revoke_url: None,
        }
    }

    /// What there is to do before the first call.
    pub(super) fn note(&self, api: &Name) -> Option<String> {
        (self.grant == Grant::AuthorizationCode).then(|| {
            format!(
                "A person logs in once, with `restway auth login {api}`; without a client secret, \
                 take that line away. Where the client must name its redirect, set \
                 `redirect_port`."
            )
        })
    }
}
