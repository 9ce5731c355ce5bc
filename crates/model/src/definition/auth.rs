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
#[expect(clippy::large_enum_variant, reason = "there is one for each domain, and it never moves")]
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
        /// Where a person logs in, for the grant `authorization_code`: a whole URL, or a path on
        /// the domain's origin.
        authorize_url: Option<Template>,
        /// Further parameters of that address, such as `access_type: offline`.
        #[serde(default)]
        authorize_params: BTreeMap<String, Template>,
        /// The port of `http://127.0.0.1:PORT/callback`, where the server knows that address by
        /// its port; a free one without it (RFC 8252, section 7.3).
        redirect_port: Option<u16>,
        /// The server's own name for itself: a login that comes from another, or does not say from
        /// whom, is refused (RFC 9207).
        issuer: Option<Template>,
        /// Where a code for a person is asked for, for the grant `device`: a whole URL, or a path
        /// on the domain's origin.
        device_url: Option<Template>,
        /// Where `restway auth logout` has the tokens revoked (RFC 7009): a whole URL, or a path on
        /// the domain's origin.
        revoke_url: Option<Template>,
    },
    /// Requests signed with a key that both sides know (RFC 2104), over a text of the api's choice.
    /// In `string`, `headers` and `query`, `${request.…}` is of the request: `method`,
    /// `method_lower`, `host`, `path`, `query`, `target` (path and query), `header.NAME`, `body`,
    /// `body_length`, `body.HASH.ENCODING`, `time.seconds`, `time.millis`, `time.iso`,
    /// `time.iso_millis`, `time.http` and `nonce`.
    Hmac {
        /// The key: a `${secret.…}` or `${env.…}`.
        key: Template,
        /// How the key is written.
        #[serde(default)]
        key_encoding: KeyEncoding,
        /// The hash.
        #[serde(default)]
        algorithm: HmacAlgorithm,
        /// The text that is signed.
        string: Template,
        /// How the signature is written.
        #[serde(default)]
        encoding: SignatureEncoding,
        /// Headers to add; `${request.signature}` is the signature.
        #[serde(default)]
        headers: BTreeMap<String, Template>,
        /// Query parameters to add; those without `${request.signature}` are signed with the rest.
        #[serde(default)]
        query: BTreeMap<String, Template>,
    },
}

/// The hash of an HMAC signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum HmacAlgorithm {
    Sha1,
    #[default]
    Sha256,
    Sha384,
    Sha512,
}

/// How the key of an HMAC signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyEncoding {
    /// Its text is the key.
    #[default]
    Text,
    /// Two digits a byte.
    Hex,
    /// RFC 4648, section 4.
    Base64,
}

/// How bytes of a signature or a hash are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignatureEncoding {
    /// Two lower-case digits a byte.
    #[default]
    Hex,
    /// RFC 4648, section 4.
    Base64,
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
    /// A person logs in once, in a browser, by `restway auth login` (RFC 6749, section 4.1, with
    /// PKCE, RFC 7636).
    AuthorizationCode,
    /// A person logs in once, on any device, by `restway auth login` (RFC 8628).
    Device,
}

impl Grant {
    /// Whether a person logs in.
    pub const fn is_of_a_person(self) -> bool {
        matches!(self, Self::AuthorizationCode | Self::Device)
    }
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
    /// The certificate's SHA-1 thumbprint, in hexadecimal or base64url, where the certificate is
    /// not at hand; it becomes the header `x5t`.
    pub thumbprint: Option<Template>,
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
