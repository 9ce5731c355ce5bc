//! The inputs of one call, by the names that Cloudomation documents for its REST connector
//! (version 7), for `restway call --input`.
//!
//! In: one YAML or JSON object. Out: a [`CallInputs`] whose defaults are the documented ones. What
//! the inputs come to is decided in the connector's room; which of them exclude each other is
//! checked here, with the place of each. A text is taken as it stands: `${…}` means nothing in it,
//! because a body may well contain one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::Method;
use crate::{Name, Secret};

/// The inputs of one call.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CallInputs {
    /// Whether redirects are followed; true without it. False: the first answer is the answer.
    pub allow_redirects: bool,
    /// `basic`, or nothing.
    pub authentication_method: Option<String>,
    /// What stands before `path`, with `hostname`.
    pub base_path: Option<String>,
    /// PEM certificates that are trusted beside the system's.
    pub cacert: Option<String>,
    /// Whether the server's certificate must name the host; true without it.
    pub check_hostname: bool,
    /// PEM certificate, and its chain, that the client shows, with `client_key`; or a PKCS#12 file
    /// in base64, with `client_key_password`.
    pub client_cert: Option<String>,
    /// PEM private key of `client_cert`.
    #[serde(deserialize_with = "secret")]
    #[schemars(with = "Option<String>")]
    pub client_key: Option<Secret>,
    /// Opens `client_key` if that is encrypted (PKCS#8), or the PKCS#12 file.
    #[serde(deserialize_with = "secret")]
    #[schemars(with = "Option<String>")]
    pub client_key_password: Option<Secret>,
    /// Seconds for a connection to open; 0 or nothing: no bound.
    pub connect_timeout: Option<f64>,
    /// Cookies to send, names to values.
    pub cookies: Option<Map<String, Value>>,
    /// Deprecated: a JSON body; write `json`.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Value")]
    pub data: Option<Value>,
    /// A file of the workspace that takes the answer's body as it came, whatever the status.
    pub dst: Option<String>,
    /// The statuses that are a success; 200, 201, 202 and 204 without it.
    pub expected_status_code: Vec<u16>,
    /// The api of the workspace whose login is used, on its own origin only.
    pub grant: Option<Name>,
    /// Headers, names to texts; a list sends the header several times.
    pub headers: Option<Map<String, Value>>,
    /// The host; this or `url`, and `url` wins.
    pub hostname: Option<String>,
    /// A JSON body; null is sent as `null`.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Value")]
    pub json: Option<Value>,
    /// Redirects that are followed at most; 10 without it.
    pub max_redirects: u16,
    /// The method, in any case; `get` without it. A body needs post, put, patch or delete.
    pub method: Option<String>,
    /// A body of parts.
    pub multipart: Option<Multipart>,
    /// The query, names to values; a list repeats the name, null leaves it out.
    pub params: Option<Map<String, Value>>,
    /// The password of basic authentication.
    #[serde(deserialize_with = "secret")]
    #[schemars(with = "Option<String>")]
    pub password: Option<Secret>,
    /// The path, with `hostname`.
    pub path: Option<String>,
    /// The port, with `hostname`; 443 for https and 80 for http without it.
    pub port: Option<u16>,
    /// Seconds without a byte of the answer; 0 or nothing: no bound.
    pub read_timeout: Option<f64>,
    /// The waits between tries.
    pub retry_backoff: RetryBackoff,
    /// The statuses that are worth another try; 502, 503 and 504 without it. Written here, they
    /// count for post and patch too, which otherwise are sent once.
    pub retry_status_code: Option<Vec<u16>>,
    /// `https` or `http`, with `hostname`; `https` without it.
    pub scheme: Option<String>,
    /// PEM certificates that are trusted beside the system's: another name of `cacert`.
    pub server_ca: Option<String>,
    /// A text body.
    pub text: Option<String>,
    /// Seconds for one try in all, with redirects and body; 0 or nothing: no bound.
    pub total_timeout: Option<f64>,
    /// The whole URL; this or `hostname`.
    pub url: Option<String>,
    /// A form body (`application/x-www-form-urlencoded`), names to values.
    pub urlencoded: Option<Map<String, Value>>,
    /// The user name of basic authentication.
    pub username: Option<String>,
    /// Whether the server's certificate is verified; true without it.
    pub verify_ssl: bool,
}

impl Default for CallInputs {
    fn default() -> Self {
        Self {
            allow_redirects: true,
            authentication_method: None,
            base_path: None,
            cacert: None,
            check_hostname: true,
            client_cert: None,
            client_key: None,
            client_key_password: None,
            connect_timeout: None,
            cookies: None,
            data: None,
            dst: None,
            expected_status_code: vec![200, 201, 202, 204],
            grant: None,
            headers: None,
            hostname: None,
            json: None,
            max_redirects: 10,
            method: None,
            multipart: None,
            params: None,
            password: None,
            path: None,
            port: None,
            read_timeout: None,
            retry_backoff: RetryBackoff::default(),
            retry_status_code: None,
            scheme: None,
            server_ca: None,
            text: None,
            total_timeout: None,
            url: None,
            urlencoded: None,
            username: None,
            verify_ssl: true,
        }
    }
}

impl CallInputs {
    /// The method that `method` names; `None` for a word that is none.
    pub fn method(&self) -> Option<Method> {
        use Method::{Delete, Get, Head, Options, Patch, Post, Put};
        let Some(word) = &self.method else { return Some(Get) };
        let all = [Get, Head, Post, Put, Patch, Delete, Options];
        all.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(word))
    }

    /// The names of the body inputs that are given.
    pub fn bodies(&self) -> Vec<&'static str> {
        let all = [
            ("json", self.json.is_some()),
            ("text", self.text.is_some()),
            ("urlencoded", self.urlencoded.is_some()),
            ("multipart", self.multipart.is_some()),
            ("data", self.data.is_some()),
        ];
        all.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect()
    }
}

/// The waits between tries, in seconds. No wait is shorter than one second.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryBackoff {
    /// The first wait; 1 without it.
    pub initial: f64,
    /// The longest wait; 60 without it.
    pub maximum: f64,
    /// How much longer each wait is than the one before; 2 without it.
    pub multiplier: f64,
    /// How long tries may go on in all, counted from the first that failed; 600 without it.
    pub deadline: f64,
}

impl Default for RetryBackoff {
    fn default() -> Self {
        Self { initial: 1.0, maximum: 60.0, multiplier: 2.0, deadline: 600.0 }
    }
}

/// A body of parts.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Multipart {
    /// The parts, in order.
    pub parts: Vec<Part>,
    /// The content type before `; boundary=…`; `multipart/mixed` without it.
    pub content_type: Option<String>,
    /// What stands between the parts; 32 hexadecimal digits, new for each request, without it.
    pub boundary: Option<String>,
    /// `form-data`: `multipart/form-data` with the headers of RFC 7578, as browsers send them.
    pub preset: Option<Preset>,
}

/// A common form of multipart bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// As browsers send forms (RFC 7578).
    FormData,
}

/// One part: a text or a file.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Part {
    /// The name of the field.
    pub name: String,
    /// The text; this or `file`.
    pub value: Option<String>,
    /// A file of the workspace; this or `value`.
    pub file: Option<String>,
    /// The part's `Content-Type`; false leaves it out.
    pub content_type: Option<PartHeader>,
    /// The part's `Content-Disposition`; false leaves it out.
    pub content_disposition: Option<PartHeader>,
    /// The part's `Content-Length`; false leaves it out.
    pub content_length: Option<PartHeader>,
}

/// A header of a part: a text of its own, or false for none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PartHeader {
    /// The header's value.
    Text(String),
    /// A number, for a length.
    Whole(u64),
    /// False: no such header.
    Omitted(bool),
}

/// What is listed is given, also when it is null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
}

/// The words for the query, form and cookie values that can be sent.
pub(super) fn is_plain(value: &Value) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(items) => items.iter().all(|item| !item.is_object() && !item.is_array()),
        _ => true,
    }
}

/// Everything named `*_timeout`, to check them alike.
pub(super) fn timeouts(inputs: &CallInputs) -> BTreeMap<&'static str, Option<f64>> {
    BTreeMap::from([
        ("connect_timeout", inputs.connect_timeout),
        ("read_timeout", inputs.read_timeout),
        ("total_timeout", inputs.total_timeout),
    ])
}
