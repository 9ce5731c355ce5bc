//! `auth:` and `domains:` of an api file: how requests prove who sends them, and to whom.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Method;
use crate::{RecordPath, Template, Timespan};

/// A further domain of an api.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Scheme, host and port of the domain; a path after them means nothing.
    pub url: Template,
    /// The port, where `url` does not say it; without both, that of the scheme (443 for https).
    pub port: Option<u16>,
    /// How requests to this domain prove who sends them.
    #[serde(default)]
    pub auth: Auth,
}

/// How requests prove who sends them.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// Requests go out as they are.
    #[default]
    None,
    /// The client certificate of `tls` and nothing else (RFC 8446, section 4.4.2).
    Mtls,
    /// User name and password in the `Authorization` header (RFC 7617).
    Basic {
        /// The user name; may be empty.
        username: Template,
        /// The password: a `${secret.…}` or `${env.…}`.
        password: Template,
    },
    /// A fixed token in the `Authorization` header (RFC 6750).
    Bearer {
        /// The token: a `${secret.…}` or `${env.…}`.
        token: Template,
        /// The word before the token.
        #[serde(default = "bearer", skip_serializing_if = "is_bearer")]
        scheme: String,
    },
    /// A key in a header, in the query or in a cookie.
    ApiKey {
        /// The key: a `${secret.…}` or `${env.…}`.
        key: Template,
        /// The header that carries the key; this, `query` or `cookie`.
        header: Option<String>,
        /// The query parameter that carries the key; this, `header` or `cookie`.
        query: Option<String>,
        /// The cookie that carries the key (RFC 6265); this, `header` or `query`.
        cookie: Option<String>,
    },
    /// A token from a login that is a request of its own, renewed like an OAuth2 token.
    Login {
        /// The login: a whole URL, or a path on the domain's origin.
        url: Template,
        /// Its method.
        #[serde(default = "post")]
        method: Method,
        /// Its JSON body; texts in it may hold `${secret.…}` and `${env.…}`.
        json: Option<serde_json::Value>,
        /// Its form fields, instead of `json`.
        #[serde(default)]
        form: BTreeMap<String, Template>,
        /// The path to the token in the answer.
        token: RecordPath,
        /// The header that carries the token; `Authorization` without it, `query` and `cookie`.
        header: Option<String>,
        /// The query parameter that carries the token.
        query: Option<String>,
        /// The cookie that carries the token.
        cookie: Option<String>,
        /// The word before the token in `header`; an empty one sends the token alone.
        #[serde(default = "bearer", skip_serializing_if = "is_bearer")]
        scheme: String,
        /// How long the token is good, where the answer does not say.
        lifetime: Option<Timespan>,
        /// The path to its end in the answer: seconds from now, seconds since 1970, or RFC 3339.
        expires: Option<RecordPath>,
    },
    /// User name and password, never sent: an answer to the server's challenge (RFC 7616, with MD5
    /// or SHA-256).
    Digest {
        /// The user name.
        username: Template,
        /// The password: a `${secret.…}` or `${env.…}`.
        password: Template,
    },
    /// Requests signed as services of AWS want it (Signature Version 4).
    AwsSigv4 {
        /// The id of the access key.
        access_key: Template,
        /// The secret access key: a `${secret.…}` or `${env.…}`.
        secret_key: Template,
        /// The token of temporary credentials: a `${secret.…}` or `${env.…}`.
        session_token: Option<Template>,
        /// The region, such as `eu-central-1`.
        region: Template,
        /// The service's name in signatures, such as `s3` or `execute-api`.
        service: Template,
    },
    /// A token from a token endpoint (RFC 6749), renewed before it ends and once after a 401.
    Oauth2 {
        /// How the token is got.
        #[serde(default)]
        grant: Grant,
        /// The token endpoint: a whole URL, or a path below the domain's origin.
        token_url: Template,
        /// The client's id.
        client_id: Template,
        /// The client's secret: a `${secret.…}` or `${env.…}`.
        client_secret: Option<Template>,
        /// How the client proves who it is; `post` if it has a secret, `none` if it has none.
        client_auth: Option<ClientAuth>,
        /// The signed assertion of `client_auth: private_key_jwt` and of the grant `jwt_bearer`.
        assertion: Option<Box<Assertion>>,
        /// The first refresh token, for the grant `refresh_token`: a `${secret.…}` or `${env.…}`.
        /// Its successors are kept, sealed, in the workspace's store.
        refresh_token: Option<Template>,
        /// The user's name, for the grant `password`.
        username: Option<Template>,
        /// The user's password, for the grant `password`: a `${secret.…}` or `${env.…}`.
        password: Option<Template>,
        /// What the token should allow.
        #[serde(default)]
        scopes: Vec<String>,
        /// Further form fields of the token request, such as `audience`.
        #[serde(default)]
        params: BTreeMap<String, Template>,
    },
}

fn bearer() -> String {
    "Bearer".into()
}

const fn post() -> Method {
    Method::Post
}

fn is_bearer(scheme: &String) -> bool {
    scheme == "Bearer"
}

/// The OAuth2 grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// The client acts for itself (RFC 6749, section 4.4).
    #[default]
    ClientCredentials,
    /// A refresh token got elsewhere (RFC 6749, section 6); each answer may bring the next one.
    RefreshToken,
    /// A user's name and password, for apis that know no better (RFC 6749, section 4.3).
    Password,
    /// A signed assertion in place of a login (RFC 7523, section 2.1).
    JwtBearer,
}

/// How the client proves who it is in a token request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// Id and secret in the form body.
    Post,
    /// Id and secret in the `Authorization` header.
    Basic,
    /// An assertion signed with the client's private key (RFC 7523, section 2.2).
    PrivateKeyJwt,
    /// Its id alone, in the form body: a public client.
    None,
}

/// A JSON Web Token that the client signs (RFC 7519), fresh for each request.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// What is not written here is as this service wants it.
    #[serde(default)]
    pub preset: AssertionPreset,
    /// The private key as PEM (PKCS#8, PKCS#1 or SEC1): a `${secret.…}` or `${env.…}`.
    pub key: Template,
    /// Opens `key` if that is encrypted (PKCS#8): a `${secret.…}` or `${env.…}`.
    pub passphrase: Option<Template>,
    /// How it is signed (RFC 7518, section 3.1); RS256 without it.
    pub algorithm: Option<JwtAlgorithm>,
    /// The header `kid`: the id under which the service knows the key or the certificate.
    pub key_id: Option<Template>,
    /// The certificate as PEM; its thumbprints become the headers `x5t` and `x5t#S256`.
    pub certificate: Option<Template>,
    /// The claim `iss`; `client_id` without it.
    pub issuer: Option<Template>,
    /// The claim `sub`; without it `client_id` for `private_key_jwt`, and none for `jwt_bearer`.
    pub subject: Option<Template>,
    /// The claim `aud`; `token_url` without it.
    pub audience: Option<Template>,
    /// How long it is valid; 5m without it.
    pub lifetime: Option<Timespan>,
    /// Where `scopes` go; into the form without it.
    pub scope_in: Option<ScopeIn>,
    /// Further claims. A text that is one `${…}` keeps the type of its value.
    #[serde(default)]
    pub claims: BTreeMap<String, Template>,
}

/// What a service wants of an assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssertionPreset {
    /// As RFC 7523 has it.
    #[default]
    Standard,
    /// NetSuite's client credentials: ES256, 59m, the scopes as a claim, no `sub`, and neither id
    /// nor scopes in the form.
    Netsuite,
}

/// Where the scopes of a token request go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScopeIn {
    /// Into the form field `scope`.
    Form,
    /// Into the assertion's claim `scope`.
    Claim,
}

/// A signature algorithm (RFC 7518, section 3.1, and RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum JwtAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl JwtAlgorithm {
    /// The name as it stands in the header `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl ClientAuth {
    /// What holds where nothing is written.
    pub const fn or_default(written: Option<Self>, has_secret: bool) -> Self {
        match (written, has_secret) {
            (Some(written), _) => written,
            (None, true) => Self::Post,
            (None, false) => Self::None,
        }
    }
}
