//! The code of each error, and what helps against it.
//!
//! In: a failure. Out: its stable code, by which programs tell failures apart, and hints for the
//! person who reads it. Two that are mended in different ways never share a hint.

use restway_model::{Code, Explain, MissingSecret, TemplateError};

use super::{CallError, Failure};
use crate::wire::{NO_CONNECTION, TOTAL};

impl Failure {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Egress(_) => Code::EgressDenied,
            Self::Value(error) => value_code(error),
            Self::Invalid { .. } => Code::DefinitionInvalid,
            Self::Dns { .. } => Code::CallDns,
            Self::Connect { .. } => Code::CallConnect,
            Self::ProxyRefused { .. } => Code::CallProxy,
            Self::ViaProxy { failure, .. } => failure.code(),
            Self::Tls { .. } => Code::CallTls,
            Self::Timeout { .. } => Code::CallTimeout,
            Self::Interrupted { .. } | Self::Unfinished { .. } => Code::CallInterrupted,
            Self::NotRecorded { .. } => Code::CallNotRecorded,
            Self::Redirect { .. } => Code::CallRedirect,
            Self::Unauthorized { .. } => Code::CallUnauthorized,
            Self::RateLimited { .. } => Code::CallRateLimited,
            Self::Status { status: 429, .. } => Code::CallRateLimited,
            Self::Status { .. } => Code::CallStatus,
            Self::Token { failure, .. } => match failure.as_ref() {
                Self::Status { .. } | Self::Unauthorized { .. } => Code::TokenRefused,
                other => other.code(),
            },
            Self::TokenRefused { .. } => Code::TokenRefused,
            Self::LoginMissing { .. } => Code::LoginMissing,
            Self::Keeper(_) => Code::StoreFailed,
            Self::TooLarge { .. } => Code::BodyTooLarge,
            Self::Packed { .. } => Code::BodyPacked,
            Self::NotJson { .. } | Self::Page { format: "JSON", .. } => Code::BodyNotJson,
            Self::Malformed { .. } | Self::Page { .. } => Code::BodyMalformed,
            Self::Declared { .. } => Code::AnswerDeclared,
            Self::RecordsMissing { .. } => Code::RecordsMissing,
            Self::Job(failure) => failure.code(),
            Self::PageLoop { .. } => Code::PageLoop,
            Self::PageBound { .. } => Code::PageBound,
            Self::PageTarget { .. } => Code::PageTarget,
            Self::Stayed => Code::Interrupted,
            Self::Spool(error) if error.kind() == std::io::ErrorKind::StorageFull => Code::DiskFull,
            Self::Spool(_) | Self::File { .. } => Code::FileFailed,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint: &str = match self {
            Self::Egress(denial) => return denial.hints(),
            Self::LoginMissing { hint, .. } => return vec![hint.clone()],
            Self::Value(error) => return value_hints(error),
            Self::RecordsMissing { fields, suggestion, .. } => {
                return records_hints(fields, suggestion.as_deref());
            }
            Self::TooLarge { hint, .. } => return hint.iter().cloned().collect(),
            Self::Token { failure, .. } => return failure.hints(),
            Self::Dns { .. } => "check the host name in `base_url`, and that this machine has DNS",
            Self::ProxyRefused { is_final: true, .. } => {
                "check `username` and `password` of `proxy`, or those in the environment's proxy"
            }
            Self::ProxyRefused { .. } => "ask whoever runs the proxy whether it may reach the host",
            Self::ViaProxy { failure, .. } => match failure.as_ref() {
                Self::Connect { .. } | Self::Timeout { what: NO_CONNECTION, .. } => {
                    "check `proxy.url` or the environment's proxy, and that the proxy is up"
                }
                other => return other.hints(),
            },
            Self::Connect { .. } => "check the port in `base_url`, and that the api is up",
            Self::Tls { .. } => {
                "the certificate must be valid for the host and signed by an authority that this \
                 machine trusts"
            }
            Self::Timeout { what: TOTAL, .. } => {
                "allow the whole answer more: `limits.timeout` in an api file, `total_timeout` of one call"
            }
            Self::Timeout { .. } => "a longer `limits.timeout` or smaller pages may help",
            Self::Unauthorized { status: 401, .. } => "check `auth` and the secrets it names",
            Self::Unauthorized { .. } => "the credentials are known and may not do this",
            Self::RateLimited { .. } | Self::Status { status: 429, .. } => {
                "run it again later, or allow longer waits with `limits.max_wait`"
            }
            Self::TokenRefused { .. } => {
                "check `client_id`, `client_secret`, `scopes` and `client_auth`"
            }
            Self::NotRecorded { .. } => {
                "record it anew with `--record DIR`: the definition asks for something else now"
            }
            Self::Redirect { .. } => "write the address that it leads to as `base_url` or `path`",
            Self::Packed { .. } => {
                "ask for it as it is, with `headers: { Accept-Encoding: identity }`"
            }
            Self::Malformed { .. } => {
                "look at the answer with `restway call`, and check `format` and `archive`"
            }
            Self::NotJson { .. } | Self::Page { .. } => {
                "open the URL in a browser: it may ask for a login"
            }
            Self::Job(failure) => failure.hint(),
            Self::PageLoop { .. } => {
                "check `paginate`: its `next` or `param` may name the wrong field"
            }
            Self::PageBound { .. } => "raise `max_pages` if there really are so many",
            Self::PageTarget { .. } => {
                "credentials are bound to one origin; a walk stays on the one it began on"
            }
            Self::Spool(_) => {
                "it lies in `.restway/spill` of the workspace, which needs room for the largest page"
            }
            Self::Unfinished { .. } => "the api itself may send it cut: look with `restway call`",
            Self::Interrupted { .. }
            | Self::Declared { .. }
            | Self::Status { .. }
            | Self::Invalid { .. }
            | Self::File { .. }
            | Self::Stayed
            | Self::Keeper(_) => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

impl Explain for CallError {
    fn code(&self) -> Code {
        match self {
            Self::Value(error) => value_code(error),
            Self::Invalid { .. } => Code::DefinitionInvalid,
            Self::Exchange { failure, .. }
            | Self::Login { failure, .. }
            | Self::Kept { failure, .. } => failure.code(),
            Self::Page { cause, .. } => cause.code(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Value(error) => value_hints(error),
            Self::Invalid { .. } => Vec::new(),
            Self::Exchange { failure, .. }
            | Self::Login { failure, .. }
            | Self::Kept { failure, .. } => failure.hints(),
            Self::Page { cause, .. } => cause.hints(),
        }
    }
}

fn value_code(error: &TemplateError) -> Code {
    match error.scope {
        "secret" if unreadable(error).is_some() => Code::SecretUnreadable,
        "secret" | "env" => Code::SecretMissing,
        "param" => Code::ArgumentInvalid,
        _ => Code::DefinitionInvalid,
    }
}

/// Why a secret that is there does not open.
fn unreadable(error: &TemplateError) -> Option<&str> {
    error.problem.strip_prefix(MissingSecret::UNREADABLE)
}

fn value_hints(error: &TemplateError) -> Vec<String> {
    match error.scope {
        // Setting it again would lose what the right key opens.
        "secret" if unreadable(error).is_some_and(|problem| problem.starts_with("the key")) => {
            vec![
                "give the key back that the secrets were set with, as `.restway/key` or in \
                 `RESTWAY_KEY`"
                    .to_owned(),
            ]
        }
        "secret" => vec![format!("set it with `restway secret set {}`", error.name)],
        "env" => vec![format!("set the environment variable {}", error.name)],
        "param" => vec![format!("give it with `--param {}=…`", error.name)],
        _ => Vec::new(),
    }
}

fn records_hints(fields: &[String], suggestion: Option<&str>) -> Vec<String> {
    let mut hints = Vec::new();
    hints.extend(suggestion.map(|path| format!("did you mean `records: {path}`?")));
    if !fields.is_empty() {
        hints.push(format!("the fields there are: {}", fields.join(", ")));
    }
    hints
}
