//! What `auth`, `domains` and `aliases` must mean: which keys belong together, and that no
//! credential stands in the file.

mod hmac;

use super::Finder;
use crate::definition::{ApiFile, Assertion, Auth, ClientAuth, Domain, Grant};
use serde_json::Value;

use crate::{Scope, Template};

/// What a login itself puts into `authorize_url`.
const AUTHORIZE_OWN: [&str; 7] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
];
const OUTSIDE: &[Scope] = &[Scope::Secret, Scope::Env];

/// Checks the api's logins and names.
pub(super) fn check(api: &ApiFile, finder: &mut Finder<'_>) {
    check_auth(&api.auth, &Under(&["auth"]), finder);
    check_proof(api, &api.auth, &Under(&["auth"]), finder);
    for (index, domain) in api.domains.iter().enumerate() {
        let index = index.to_string();
        check_domain(domain, &index, finder);
        check_proof(api, &domain.auth, &Under(&["domains", &index, "auth"]), finder);
    }
    check_domains_differ(api, finder);
    for (index, alias) in api.aliases.iter().enumerate() {
        let at = ["aliases", &index.to_string()];
        if alias.trim().is_empty() {
            finder.report(&at, "an alias is a name", None);
        } else if *alias == api.api.as_str() || api.aliases[..index].contains(alias) {
            finder.report(&at, format!("`{alias}` is a name of this api already"), None);
        }
    }
}

/// The place of a group of keys.
struct Under<'a>(&'a [&'a str]);

impl Under<'_> {
    fn with<'k>(&'k self, keys: &[&'k str]) -> Vec<&'k str> {
        self.0.iter().chain(keys).copied().collect()
    }
}

fn check_domain(domain: &Domain, index: &str, finder: &mut Finder<'_>) {
    let at = ["domains", index, "url"];
    finder.only(&at, &domain.url, &[Scope::Env]);
    if let Some(url) = plain_url(&domain.url) {
        match url {
            Some(url) if url.port().is_some() && domain.port.is_some() => {
                let hint = "write it in one of `url` and `port`".to_owned();
                finder.report(&["domains", index, "port"], "the port stands twice", Some(hint));
            }
            Some(_) => {}
            None => {
                let hint = "write the scheme and the host, as in `https://auth.acme.example`";
                finder.report(&at, "not a web address", Some(hint.to_owned()));
            }
        }
    }
    if domain.port == Some(0) {
        finder.report(&["domains", index, "port"], "0 is not a port", None);
    }
    check_auth(&domain.auth, &Under(&["domains", index, "auth"]), finder);
}

/// A URL without variables: the address, or None if it is none.
fn plain_url(template: &Template) -> Option<Option<url::Url>> {
    if template.references().next().is_some() {
        return None;
    }
    let url = url::Url::parse(template.source()).ok();
    Some(url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()))
}

/// Two logins for one origin would leave open which holds.
fn check_domains_differ(api: &ApiFile, finder: &mut Finder<'_>) {
    let base = plain_url(&api.base_url).flatten();
    let mut seen: Vec<url::Origin> = base.iter().map(url::Url::origin).collect();
    for (index, domain) in api.domains.iter().enumerate() {
        let Some(mut url) = plain_url(&domain.url).flatten() else { continue };
        // Fails only for URLs without a host, and this one has it.
        let _ = domain.port.map(|port| url.set_port(Some(port)));
        if seen.contains(&url.origin()) {
            let at = ["domains", &index.to_string(), "url"];
            finder.report(&at, "this domain is declared already", None);
        }
        seen.push(url.origin());
    }
}

fn check_auth(auth: &Auth, under: &Under<'_>, finder: &mut Finder<'_>) {
    match auth {
        Auth::None | Auth::Mtls => {}
        Auth::Basic { username, password } => {
            finder.only(&under.with(&["username"]), username, OUTSIDE);
            finder.credential(&under.with(&["password"]), password);
        }
        Auth::Bearer { token, .. } => finder.credential(&under.with(&["token"]), token),
        Auth::ApiKey { key, header, query, cookie } => {
            finder.credential(&under.with(&["key"]), key);
            let places = [header, query, cookie];
            if places.into_iter().flatten().count() != 1 {
                let message = "an api key goes into a header, into the query or into a cookie";
                let hint = "write one of `header: NAME`, `query: NAME` and `cookie: NAME`";
                finder.report(under.0, message, Some(hint.to_owned()));
            }
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if let Some(name) = cookie
                && (name.is_empty() || !name.chars().all(is_token))
            {
                let message = format!("`{name}` cannot be a cookie's name");
                finder.report(&under.with(&["cookie"]), message, None);
            }
        }
        Auth::Digest { username, password } => {
            finder.only(&under.with(&["username"]), username, OUTSIDE);
            finder.credential(&under.with(&["password"]), password);
        }
        Auth::AwsSigv4 { access_key, secret_key, session_token, region, service } => {
            finder.credential(&under.with(&["secret_key"]), secret_key);
            if let Some(token) = session_token {
                finder.credential(&under.with(&["session_token"]), token);
            }
            for (key, template) in
                [("access_key", access_key), ("region", region), ("service", service)]
            {
                finder.only(&under.with(&[key]), template, OUTSIDE);
            }
        }
        Auth::Hmac { .. } => hmac::check(auth, under, finder),
        Auth::Login { .. } => check_login(auth, under, finder),
        Auth::Oauth2 { .. } => check_oauth2(auth, under, finder),
    }
}

fn check_login(auth: &Auth, under: &Under<'_>, finder: &mut Finder<'_>) {
    let Auth::Login { url, json, form, method, header, query, cookie, lifetime, expires, .. } =
        auth
    else {
        return;
    };
    finder.only(&under.with(&["url"]), url, &[Scope::Env]);
    for (name, value) in form {
        let place = ["form", name.as_str()];
        finder.only(&under.with(&place), value, OUTSIDE);
        finder.named_credential(&under.with(&place), name, value);
    }
    if let Some(json) = json {
        check_json(json, &under.with(&["json"]), finder);
    }
    if json.is_some() && !form.is_empty() {
        finder.report(&under.with(&["form"]), "a login has one of `json` and `form`", None);
    }
    let has_body = json.is_some() || !form.is_empty();
    if has_body && !matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
        finder.report(&under.with(&["method"]), "a body needs POST, PUT or PATCH", None);
    }
    if [header, query, cookie].into_iter().flatten().count() > 1 {
        let message = "the token goes to one of `header`, `query` and `cookie`";
        finder.report(under.0, message, None);
    }
    if lifetime.is_some() && expires.is_some() {
        let message = "a token has one of `lifetime` and `expires`";
        finder.report(&under.with(&["expires"]), message, None);
    }
}

/// A literal credential at any depth of a login's body. Depth is bounded by the reader of files.
fn check_json(value: &Value, path: &[&str], finder: &mut Finder<'_>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let path = [path, &[name.as_str()]].concat();
                if let Some(text) = member.as_str()
                    && let Ok(template) = text.parse::<Template>()
                {
                    finder.only(&path, &template, OUTSIDE);
                    finder.named_credential(&path, name, &template);
                } else {
                    check_json(member, &path, finder);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check_json(item, &[path, &[index.to_string().as_str()]].concat(), finder);
            }
        }
        _ => {}
    }
}

fn check_oauth2(auth: &Auth, under: &Under<'_>, finder: &mut Finder<'_>) {
    let Auth::Oauth2 {
        grant,
        token_url,
        client_id,
        client_secret,
        client_auth,
        assertion,
        refresh_token,
        username,
        password,
        params,
        authorize_url,
        authorize_params,
        redirect_port,
        issuer,
        device_url,
        revoke_url,
        scopes: _,
    } = auth
    else {
        return;
    };
    finder.only(&under.with(&["token_url"]), token_url, &[Scope::Env]);
    for (key, address) in [
        ("authorize_url", authorize_url),
        ("device_url", device_url),
        ("revoke_url", revoke_url),
        ("issuer", issuer),
    ] {
        if let Some(address) = address {
            finder.only(&under.with(&[key]), address, &[Scope::Env]);
        }
    }
    for (name, value) in authorize_params {
        let place = ["authorize_params", name.as_str()];
        finder.only(&under.with(&place), value, &[Scope::Env]);
        if AUTHORIZE_OWN.contains(&name.as_str()) {
            let message = format!("the parameter `{name}` is not yours to set here");
            finder.report(&under.with(&place), message, None);
        }
    }
    if *redirect_port == Some(0) {
        let hint = "leave it out for a free port".to_owned();
        finder.report(&under.with(&["redirect_port"]), "0 is not a port", Some(hint));
    }
    finder.only(&under.with(&["client_id"]), client_id, OUTSIDE);
    for (key, credential) in
        [("client_secret", client_secret), ("refresh_token", refresh_token), ("password", password)]
    {
        if let Some(credential) = credential {
            finder.credential(&under.with(&[key]), credential);
        }
    }
    if let Some(username) = username {
        finder.only(&under.with(&["username"]), username, OUTSIDE);
    }
    for (name, value) in params {
        finder.only(&under.with(&["params", name.as_str()]), value, OUTSIDE);
    }
    let client_auth = ClientAuth::or_default(*client_auth, client_secret.is_some());
    let signs = client_auth == ClientAuth::PrivateKeyJwt;
    let with_secret = matches!(client_auth, ClientAuth::Post | ClientAuth::Basic);
    let by_browser = *grant == Grant::AuthorizationCode;
    let needs = [
        ("client_secret", client_secret.is_some(), with_secret),
        ("assertion", assertion.is_some(), signs || *grant == Grant::JwtBearer),
        ("refresh_token", refresh_token.is_some(), *grant == Grant::RefreshToken),
        ("username", username.is_some(), *grant == Grant::Password),
        ("password", password.is_some(), *grant == Grant::Password),
        ("authorize_url", authorize_url.is_some(), by_browser),
        ("device_url", device_url.is_some(), *grant == Grant::Device),
    ];
    let may_have = [
        ("authorize_params", !authorize_params.is_empty(), by_browser),
        ("redirect_port", redirect_port.is_some(), by_browser),
        ("issuer", issuer.is_some(), by_browser),
        ("revoke_url", revoke_url.is_some(), grant.is_of_a_person()),
    ];
    for (key, is_there, has_meaning) in may_have {
        if is_there && !has_meaning {
            let message = format!("`{key}` means nothing with this grant");
            finder.report(&under.with(&[key]), message, None);
        }
    }
    for (key, is_there, is_needed) in needs {
        if is_needed && !is_there {
            let message = format!("the key `{key}` is missing, which this grant and client need");
            finder.report(under.0, message, None);
        } else if is_there && !is_needed {
            let message = format!("`{key}` means nothing with this grant and `client_auth`");
            finder.report(&under.with(&[key]), message, None);
        }
    }
    if let Some(assertion) = assertion {
        check_assertion(assertion, under, finder);
    }
}

/// A client that acts for itself proves who it is: by itself or by its certificate (RFC 8705).
fn check_proof(api: &ApiFile, auth: &Auth, under: &Under<'_>, finder: &mut Finder<'_>) {
    let Auth::Oauth2 { grant: Grant::ClientCredentials, client_secret, client_auth, .. } = auth
    else {
        return;
    };
    let client_auth = ClientAuth::or_default(*client_auth, client_secret.is_some());
    if client_auth == ClientAuth::None && api.tls.client_cert.is_none() {
        let hint = "write `client_secret`, `client_auth: private_key_jwt` and `assertion`, or \
                    `client_cert` under `tls`";
        finder.report(under.0, "this client proves nothing", Some(hint.to_owned()));
    }
}

fn check_assertion(assertion: &Assertion, under: &Under<'_>, finder: &mut Finder<'_>) {
    let at = |key| under.with(&["assertion", key]);
    finder.credential(&at("key"), &assertion.key);
    if let Some(passphrase) = &assertion.passphrase {
        finder.credential(&at("passphrase"), passphrase);
    }
    for (key, template) in [
        ("key_id", &assertion.key_id),
        ("certificate", &assertion.certificate),
        ("thumbprint", &assertion.thumbprint),
        ("issuer", &assertion.issuer),
        ("subject", &assertion.subject),
        ("audience", &assertion.audience),
    ] {
        if let Some(template) = template {
            finder.only(&at(key), template, OUTSIDE);
        }
    }
    for (name, template) in &assertion.claims {
        finder.only(&under.with(&["assertion", "claims", name.as_str()]), template, OUTSIDE);
        if ["iss", "sub", "aud", "iat", "exp", "jti"].contains(&name.as_str()) {
            let hint = "`issuer`, `subject`, `audience` and `lifetime` set these".to_owned();
            let message = format!("the claim `{name}` is not yours to set here");
            finder.report(&at("claims"), message, Some(hint));
        }
    }
    if assertion.certificate.is_some() && assertion.thumbprint.is_some() {
        let hint = Some("leave one of them out".to_owned());
        finder.report(&at("thumbprint"), "the `certificate` has its thumbprint", hint);
    }
    if assertion.lifetime.is_some_and(|span| span.0.as_secs() == 0) {
        finder.report(&at("lifetime"), "must be at least 1s", None);
    }
}
