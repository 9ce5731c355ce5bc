//! Requests that somebody sent: of a Postman collection, a HAR archive, a curl line.
//!
//! In: requests as they were sent, credentials and all, and answers where there are some. Out: a
//! draft. Requests of one origin only, the most used one or the one asked for; those that read
//! become resources (`reads`), one for each path, the others webhooks (`calls`). The credentials of
//! all are forgotten: the login becomes an `auth` with names of secrets, and what still holds one
//! of their values when all is done is left out.

mod address;
mod calls;
mod reads;

use restway_model::definition::Auth;
use restway_model::{Name, Template};
use serde_json::Value;
use url::Url;

use super::names::{Names, api_name};
use super::oauth::Flow;
use super::{Format, ImportError, Wishes, base_text, given_base_url, veil};
use crate::draft::{Draft, LeftOut, Shared, one_line, secret};
use crate::probe::shape;
use address::Address;

/// Requests of one text that are looked at.
const REQUESTS_MAX: usize = 20_000;
/// Shorter texts are found in any file, and are no secrets.
const HIDDEN_MIN: usize = 6;

/// A request as it was sent.
#[derive(Debug, Default, Clone)]
pub(super) struct Sent {
    /// What all the requests are called together.
    pub(super) title: Option<String>,
    pub(super) name: Option<String>,
    pub(super) method: String,
    pub(super) url: String,
    /// All but cookies.
    pub(super) headers: Vec<(String, String)>,
    pub(super) cookies: Vec<(String, String)>,
    pub(super) body: Body,
    pub(super) login: Option<Login>,
    /// Values that must not be written down, beside those that names and looks tell.
    pub(super) hidden: Vec<String>,
    pub(super) answered: Option<Answered>,
    pub(super) notes: Vec<String>,
}

/// A body as it was sent.
#[derive(Debug, Default, Clone)]
pub(super) enum Body {
    #[default]
    None,
    Json(Value),
    Form(Vec<(String, String)>),
    Multipart(Vec<Part>),
    /// The bytes of a file.
    File,
    Text(String),
    /// What cannot be said in a webhook.
    Other(String),
}

/// A part of a multipart form.
#[derive(Debug, Default, Clone)]
pub(super) struct Part {
    pub(super) name: String,
    /// The text; of a file there is none.
    pub(super) value: Option<String>,
    pub(super) content_type: Option<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Value,
}

/// How a request proved who sent it, without the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Login {
    Basic,
    Digest,
    Bearer { scheme: String },
    Header(String),
    Query(String),
    Cookie(String),
    Oauth2(Flow),
}

impl Body {
    /// The media type of a form (WHATWG URL, section 5).
    pub(super) const FORM: &'static str = "application/x-www-form-urlencoded";

    /// A body by its media type, or by its looks.
    pub(super) fn read(kind: &str, text: &str) -> Self {
        if let Ok(json) = serde_json::from_str::<Value>(text)
            && (kind.contains("json") || json.is_object() || json.is_array())
        {
            return Self::Json(json);
        }
        if kind.starts_with(Self::FORM) {
            let pairs = url::form_urlencoded::parse(text.as_bytes());
            return Self::Form(pairs.into_owned().collect());
        }
        if kind.starts_with("multipart/") {
            return Self::Other("a multipart form".into());
        }
        Self::Text(text.to_owned())
    }
}

impl Sent {
    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Takes the pairs of a `Cookie` header (RFC 6265, section 4.2).
    pub(super) fn add_cookies(&mut self, header: &str) {
        for pair in header.split(';') {
            if let Some((name, value)) = pair.trim().split_once('=') {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// How it proved who sent it, as far as can be told.
    fn proof(&self, address: &Address) -> Option<Login> {
        if self.login.is_some() {
            return self.login.clone();
        }
        if let Some(value) = self.header("authorization") {
            let Some((scheme, _)) = value.split_once(' ') else {
                return Some(Login::Header("Authorization".into()));
            };
            return Some(match scheme.to_ascii_lowercase().as_str() {
                "basic" => Login::Basic,
                "digest" => Login::Digest,
                "bearer" => Login::Bearer { scheme: "Bearer".into() },
                _ if scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => {
                    Login::Bearer { scheme: scheme.to_owned() }
                }
                _ => Login::Header("Authorization".into()),
            });
        }
        let is_key = |name: &str, value: &str| {
            let lower = name.to_ascii_lowercase();
            veil::is_secret(name, value) && !lower.contains("csrf") && !lower.contains("xsrf")
        };
        let header = self.headers.iter().find(|(name, value)| is_key(name, value));
        let query = address.query.iter().find(|(name, _)| veil::is_secret_name(name));
        let cookie = self.cookies.iter().find(|(name, value)| is_key(name, value));
        header
            .map(|(name, _)| Login::Header(name.clone()))
            .or_else(|| query.map(|(name, _)| Login::Query(name.clone())))
            .or_else(|| {
                cookie.or(self.cookies.first()).map(|(name, _)| Login::Cookie(name.clone()))
            })
    }

    /// The values that must not be written down.
    fn secrets(&self, address: &Address) -> Vec<String> {
        let mut all = self.hidden.clone();
        for (_, value) in &self.cookies {
            all.push(value.clone());
        }
        for (name, value) in self.headers.iter().chain(&address.query) {
            if veil::is_secret(name, value) {
                let word = value.rsplit(' ').next().unwrap_or_default();
                all.extend([value.clone(), word.to_owned()]);
            }
        }
        calls::hidden(&self.body, &mut all);
        all.extend(address.path.split('/').filter(|one| veil::is_token(one)).map(str::to_owned));
        all.retain(|value| value.len() >= HIDDEN_MIN && !value.contains("{{"));
        all
    }
}

/// The draft of all requests to one origin.
pub(super) fn draft(
    format: Format,
    mut sent: Vec<Sent>,
    wishes: &Wishes,
) -> Result<Draft, ImportError> {
    sent.truncate(REQUESTS_MAX);
    let given = given_base_url(wishes, format)?;
    let title = sent.first().and_then(|first| first.title.clone());
    let mut left_out = LeftOut::default();
    let mut all: Vec<(Address, Sent)> = Vec::new();
    for one in sent {
        match Address::read(&one.url, given.as_ref()) {
            Some(address) => all.push((address, one)),
            None => {
                let shown = one.name.as_deref().unwrap_or("a request without a name");
                left_out.because("of which nothing says where they are (say `--base-url`)", shown);
            }
        }
    }
    let home =
        given.clone().or_else(|| most_used(&all)).ok_or(ImportError::NoBaseUrl { format })?;
    let mut secrets: Vec<String> = Vec::new();
    for (address, one) in &all {
        secrets.extend(one.secrets(address));
    }
    let count = all.len();
    all.retain(|(address, _)| address.origin.origin() == home.origin());
    let elsewhere = count - all.len();
    let base = given.unwrap_or_else(|| common_base(&home, &all));
    let prefix = base.path().trim_end_matches('/').to_owned();
    all.retain_mut(|(address, _)| address.below(&prefix, &wishes.only));
    let api = wishes.name.clone().unwrap_or_else(|| api_name(title.as_deref(), &base));
    let mut notes: Vec<String> = all.iter().flat_map(|(_, one)| one.notes.clone()).collect();
    notes.dedup();
    if elsewhere > 0 {
        notes.push(format!(
            "{elsewhere} requests to other origins are left out: import them with `--base-url`."
        ));
    }
    let proof = chosen(&all);
    let mut auth_notes = cookies_left_out(&all, proof.as_ref());
    if let Some(Login::Oauth2(flow)) = &proof {
        auth_notes.extend(flow.note(&api));
    }
    let auth = proof.as_ref().map_or(Auth::None, |proof| auth(proof, &api));
    let mut names = Names::default();
    let resources = reads::resources(&all, &api, proof.as_ref(), &mut names, &mut left_out);
    let webhooks = calls::webhooks(&all, proof.as_ref(), &mut left_out);
    let mut draft = Draft {
        by: match format {
            Format::Postman => "import postman",
            Format::Har => "import har",
            _ => "import curl",
        },
        notes,
        api,
        base_url: base_text(&base),
        auth,
        auth_notes,
        defaults: Shared::default(),
        resources,
        webhooks,
        left_out,
    };
    forget(&mut draft, &secrets);
    Ok(draft)
}

/// Leaves out all that holds the value of a secret.
fn forget(draft: &mut Draft, secrets: &[String]) {
    let is_clean = |shown: &str| !secrets.iter().any(|secret| shown.contains(secret.as_str()));
    let count = draft.resources.len() + draft.webhooks.len();
    draft.resources.retain(|resource| is_clean(&format!("{resource:?}")));
    draft.webhooks.retain(|webhook| is_clean(&format!("{webhook:?}")));
    draft.notes.retain(|line| is_clean(line));
    draft.auth_notes.retain(|line| is_clean(line));
    draft.left_out.retain(is_clean);
    let lost = count - draft.resources.len() - draft.webhooks.len();
    if lost > 0 {
        draft.notes.push(format!(
            "{lost} requests are left out because the value of a secret stands elsewhere in them."
        ));
    }
}

/// The origin that most requests went to; the first of them where that is not one.
fn most_used(all: &[(Address, Sent)]) -> Option<Url> {
    let mut counts: Vec<(&Url, usize)> = Vec::new();
    for (address, _) in all {
        match counts.iter_mut().find(|(url, _)| url.origin() == address.origin.origin()) {
            Some((_, count)) => *count += 1,
            None => counts.push((&address.origin, 1)),
        }
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(url, _)| url.clone())
}

/// The origin with the version that all paths begin with.
fn common_base(home: &Url, all: &[(Address, Sent)]) -> Url {
    let bases = all.iter().map(|(address, _)| {
        let plain = address.path.split(['{', '$']).next().unwrap_or_default();
        let mut url = home.clone();
        url.set_path(plain);
        shape::split(&url).0
    });
    let mut bases: Vec<String> = bases.collect();
    bases.dedup();
    match bases.as_slice() {
        [only] => Url::parse(only).unwrap_or_else(|_| home.clone()),
        _ => home.clone(),
    }
}

/// The login that most requests have.
fn chosen(all: &[(Address, Sent)]) -> Option<Login> {
    let mut counts: Vec<(Login, usize)> = Vec::new();
    for proof in all.iter().filter_map(|(address, one)| one.proof(address)) {
        match counts.iter_mut().find(|(known, _)| *known == proof) {
            Some((_, count)) => *count += 1,
            None => counts.push((proof, 1)),
        }
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(proof, _)| proof)
}

fn cookies_left_out(all: &[(Address, Sent)], proof: Option<&Login>) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in all.iter().flat_map(|(_, one)| &one.cookies) {
        let is_proof = proof == Some(&Login::Cookie(name.clone()));
        if !is_proof && !names.contains(&name.as_str()) && !veil::is_token(name) {
            names.push(name);
        }
    }
    names.truncate(20);
    let shown = names.iter().map(|name| format!("`{}`", one_line(name, 60)));
    let shown = shown.collect::<Vec<_>>().join(", ");
    (!names.is_empty())
        .then(|| format!("Cookies that are left out: {shown}."))
        .into_iter()
        .collect()
}

fn auth(proof: &Login, api: &Name) -> Auth {
    let secret = |what: &str| -> Template { secret(api, what) };
    let key = |header: Option<&String>, query: Option<&String>, cookie: Option<&String>| {
        let (header, query, cookie) = (header.cloned(), query.cloned(), cookie.cloned());
        Auth::ApiKey { key: secret("key"), header, query, cookie }
    };
    match proof {
        Login::Basic => Auth::Basic { username: secret("username"), password: secret("password") },
        Login::Digest => {
            Auth::Digest { username: secret("username"), password: secret("password") }
        }
        Login::Bearer { scheme } => Auth::Bearer { token: secret("token"), scheme: scheme.clone() },
        Login::Header(name) => key(Some(name), None, None),
        Login::Query(name) => key(None, Some(name), None),
        Login::Cookie(name) => key(None, None, Some(name)),
        Login::Oauth2(flow) => flow.auth(api),
    }
}
