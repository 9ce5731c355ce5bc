//! The login of a document.
//!
//! In: `securitySchemes` (OpenAPI 3.1.1, section 4.8.27) or `securityDefinitions` (Swagger 2.0),
//! and which of them the operations ask for. Out: the `auth` of an api file, with names of secrets,
//! and sentences about what else there is. Pure.

use std::collections::BTreeMap;

use restway_model::definition::{Auth, Grant};
use restway_model::{Name, Template};
use serde_json::Value;
use url::Url;

use super::document::{Document, Operation, list};
use crate::draft::secret;
use crate::import::oauth::Flow;

/// The login, and what a person should know of it.
pub(super) fn auth(
    document: Document<'_>,
    operations: &[Operation<'_>],
    api: &Name,
    base: &Url,
) -> (Auth, Vec<String>) {
    let root = document.root;
    let schemes = root["components"]["securitySchemes"].as_object();
    let Some(schemes) = schemes.or_else(|| root["securityDefinitions"].as_object()) else {
        return (Auth::None, Vec::new());
    };
    // What most operations ask for comes first; where they say nothing, the whole document does.
    let mut asked: BTreeMap<&str, usize> = BTreeMap::new();
    let own = operations.iter().map(|operation| operation.value.get("security"));
    for security in own.map(|own| own.unwrap_or(&root["security"])) {
        for name in list(security).filter_map(Value::as_object).flat_map(|one| one.keys()) {
            *asked.entry(name).or_default() += 1;
        }
    }
    let mut order: Vec<(&str, &Value)> =
        schemes.iter().map(|(name, scheme)| (name.as_str(), document.at(scheme))).collect();
    // Of two that are asked for as often, the one of a single secret.
    order.sort_by_key(|(name, scheme)| {
        let is_basic = scheme["type"] == "basic" || scheme["scheme"] == "basic";
        (std::cmp::Reverse(asked.get(name).copied().unwrap_or(0)), is_basic)
    });
    let mut notes = Vec::new();
    let mut chosen = None;
    for (name, scheme) in order {
        match login(scheme, api, base) {
            Ok((auth, note)) if chosen.is_none() => {
                notes.extend(note);
                chosen = Some(auth);
            }
            Ok(_) => notes.push(format!("The api also knows the login `{name}`.")),
            Err(problem) => notes.push(format!("The login `{name}` {problem}.")),
        }
    }
    (chosen.unwrap_or_default(), notes)
}

/// One scheme as a login, with a sentence about it; or why it cannot be one.
fn login(scheme: &Value, api: &Name, base: &Url) -> Result<(Auth, Option<String>), String> {
    let plain = |auth| Ok((auth, None));
    let secret = |what| secret(api, what);
    let basic = || Auth::Basic { username: secret("username"), password: secret("password") };
    let http = scheme["scheme"].as_str().unwrap_or_default().to_ascii_lowercase();
    match (scheme["type"].as_str().unwrap_or_default(), http.as_str()) {
        ("basic", _) | ("http", "basic") => plain(basic()),
        ("http", "digest") => {
            plain(Auth::Digest { username: secret("username"), password: secret("password") })
        }
        ("http", "bearer") => {
            plain(Auth::Bearer { token: secret("token"), scheme: "Bearer".into() })
        }
        ("http", other) => Err(format!("is of the HTTP scheme `{other}`, which is not known")),
        ("apiKey", _) => api_key(scheme, secret("key")),
        ("oauth2", _) => oauth2(scheme, api, base),
        ("openIdConnect", _) => {
            let url = scheme["openIdConnectUrl"].as_str().unwrap_or_default();
            Err(format!(
                "is OpenID Connect ({url}): write `type: oauth2` with the `token_endpoint` that \
                 stands there as `token_url`"
            ))
        }
        ("mutualTLS", _) => {
            Err("is a client certificate: write `auth: { type: mtls }`, and under \
                                 `tls` `client_cert` with `client_key`, or with \
                                 `client_key_password` for a PKCS#12 file"
                .into())
        }
        (other, _) => Err(format!("is of the type `{other}`, which is not known")),
    }
}

fn api_key(scheme: &Value, key: Template) -> Result<(Auth, Option<String>), String> {
    let name = scheme["name"].as_str().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| "does not say its name".to_owned())?;
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let (mut header, mut query, mut cookie) = (None, None, None);
    match scheme["in"].as_str() {
        Some("query") => query = Some(name.to_owned()),
        _ if !name.chars().all(is_token) => {
            return Err(format!("has the name `{name}`, which no header or cookie can have"));
        }
        Some("header") => header = Some(name.to_owned()),
        Some("cookie") => cookie = Some(name.to_owned()),
        _ => return Err("does not say where its key goes".into()),
    }
    let is_whole = name.eq_ignore_ascii_case("authorization");
    let note = is_whole.then(|| {
        "The key is the whole value of `Authorization`, such as `Bearer` and a token.".to_owned()
    });
    Ok((Auth::ApiKey { key, header, query, cookie }, note))
}

/// The flow that needs no person at a browser, if there is one; else the one that does.
fn oauth2(scheme: &Value, api: &Name, base: &Url) -> Result<(Auth, Option<String>), String> {
    let flows = &scheme["flows"];
    // Swagger 2.0 has one flow, under other names.
    let flow = |new: &str, old: &str| {
        let own = (scheme["flow"] == old).then_some(scheme);
        flows.get(new).or(own)
    };
    let machine =
        flow("clientCredentials", "application").map(|flow| (flow, Grant::ClientCredentials));
    let user = flow("password", "password").map(|flow| (flow, Grant::Password));
    let code = flow("authorizationCode", "accessCode").map(|flow| (flow, Grant::AuthorizationCode));
    let Some((flow, grant)) = machine.or(user).or(code) else {
        let note = "The document knows only a login at a browser: the token is one got there.";
        let auth = Auth::Bearer { token: secret(api, "token"), scheme: "Bearer".into() };
        return Ok((auth, Some(note.to_owned())));
    };
    // Addresses may be relative (RFC 3986, section 5).
    let address = |key: &str, what: &str| {
        let url = flow[key].as_str().filter(|url| !url.is_empty());
        let url = url.ok_or_else(|| format!("does not say its {what} URL"))?;
        Ok::<_, String>(base.join(url).map_or_else(|_| url.to_owned(), String::from))
    };
    let authorize_url = match grant {
        Grant::AuthorizationCode => Some(address("authorizationUrl", "authorization")?),
        _ => None,
    };
    let scopes = flow["scopes"].as_object().into_iter().flatten();
    let scopes = scopes.map(|(name, _)| name.clone()).collect();
    let flow = Flow { grant, token_url: address("tokenUrl", "token")?, authorize_url, scopes };
    Ok((flow.auth(api), flow.note(api)))
}
