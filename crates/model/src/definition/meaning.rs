//! What a file must mean beyond its grammar: names that must exist, keys that exclude each other,
//! credentials that must not stand in the file.

mod auth;
mod body;
mod cache;
mod effect;
mod files;
mod format;
mod inputs;
mod job;
mod landing;
mod proxy;
mod tls;

use std::collections::BTreeMap;

use super::problem::{At, Problem, Source};
use super::yaml::{Node, Value};
use super::{ApiFile, AppFile, ResourceSettings, WorkspaceFile};
use super::{access, incremental, live, origin, writing};
use crate::{EgressEntry, Name, Scope, Template, is_credential, nearest};

/// The name before the dot of tables that local files are landed in; no api may have it.
pub const LAKE: &str = "lake";

/// The check of a definition's meaning.
pub trait Meaning {
    /// Reports what makes no sense.
    #[expect(private_interfaces, reason = "only this module's files are definitions")]
    fn check(&self, finder: &mut Finder<'_>);
}

/// Finds the place of a key in the file's tree, to report a problem there.
pub(super) struct Finder<'a> {
    source: &'a Source<'a>,
    root: &'a Node,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(
        source: &'a Source<'a>,
        root: &'a Node,
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        Self { source, root, problems }
    }

    pub(super) fn report(
        &mut self,
        path: &[&str],
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let problem = self.source.problem(self.at(path), message);
        self.problems.push(match hint {
            Some(hint) => problem.with_hint(hint),
            None => problem,
        });
    }

    /// Reports a value that must not be shown.
    pub(super) fn report_hidden(
        &mut self,
        path: &[&str],
        message: impl Into<String>,
        hint: impl Into<Option<&'static str>>,
    ) {
        let problem = self.source.hidden_problem(self.at(path), message);
        let hint = hint.into().map(str::to_owned);
        self.problems.push(Problem { hint, ..problem });
    }

    /// Where the value at the end of the path stands, or as much of the path as there is.
    fn at(&self, path: &[&str]) -> At {
        let mut node = self.root;
        for step in path {
            let next = match &node.value {
                Value::Map(entries) => {
                    entries.iter().find(|entry| entry.key == *step).map(|entry| &entry.node)
                }
                Value::List(items) => step.parse().ok().and_then(|at: usize| items.get(at)),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.at
    }

    pub(super) fn only(&mut self, path: &[&str], template: &Template, allowed: &[Scope]) {
        for (scope, name) in template.references() {
            if !allowed.contains(&scope) {
                let words: Vec<&str> = allowed.iter().map(|scope| scope.as_str()).collect();
                let message = format!("`${{{}.{name}}}` has no meaning here", scope.as_str());
                let hint = format!("this place knows {}", words.join(", "));
                self.report(path, message, Some(hint));
            } else if scope == Scope::Secret && name.parse::<Name>().is_err() {
                self.report(path, format!("`{name}` cannot be a secret's name"), None);
            } else if let Some(problem) = incremental::unknown_name(scope, name) {
                self.report(path, problem, None);
            }
        }
    }

    /// A value whose name says that it is a credential, and that stands in the file.
    fn named_credential(&mut self, path: &[&str], name: &str, template: &Template) {
        if template.references().next().is_none() && is_credential(name, template.source()) {
            let hint = "use `auth`, or store it with `restway secret set NAME` and write \
                        `${secret.NAME}`";
            let message = format!("`{name}` looks like a credential that stands in the file");
            self.report_hidden(path, message, hint);
        }
    }

    /// A credential must come from outside the file: files are committed and shared.
    fn credential(&mut self, path: &[&str], template: &Template) {
        self.only(path, template, &[Scope::Secret, Scope::Env]);
        if template.references().next().is_none() {
            let hint = "store it with `restway secret set NAME` and write `${secret.NAME}`";
            self.report_hidden(path, "a credential stands in the file", hint);
        }
    }
}

impl Meaning for WorkspaceFile {
    #[expect(private_interfaces, reason = "only this module's files are definitions")]
    fn check(&self, finder: &mut Finder<'_>) {
        if self.tables.contains("://") {
            finder.report(
                &["tables"],
                "tables lie in a folder; object stores are not supported yet",
                None,
            );
        }
        self.check_egress(finder);
        self.check_proxies(finder);
        self.check_issuers(finder);
    }
}

impl WorkspaceFile {
    fn check_issuers(&self, finder: &mut Finder<'_>) {
        for (at, issuer) in self.serve.issuers.iter().enumerate() {
            let at = at.to_string();
            let place = |key| ["serve", "issuers", &at, key];
            let addresses =
                [("issuer", Some(&issuer.issuer)), ("jwks_url", issuer.jwks_url.as_ref())];
            for (key, address) in addresses {
                let url = address.map(|address| url::Url::parse(address));
                if url.is_some_and(|url| !url.is_ok_and(|url| issuer.is_safe(&url))) {
                    let hint = "write it with `https://`".to_owned();
                    finder.report(&place(key), "not an address that can be trusted", Some(hint));
                }
            }
            if issuer.audience.is_empty() {
                let hint = "name the api as the issuer's tokens name it in `aud`".to_owned();
                finder.report(&place("audience"), "an audience is missing", Some(hint));
            }
            let same = |other: &&super::Issuer| other.issuer == issuer.issuer;
            if self.serve.issuers.iter().filter(same).count() > 1 {
                finder.report(&place("issuer"), "this issuer is named twice", None);
            }
        }
    }

    fn check_proxies(&self, finder: &mut Finder<'_>) {
        for (at, entry) in self.serve.trusted_proxies.iter().enumerate() {
            if !entry.parse::<EgressEntry>().is_ok_and(|entry| entry.is_network()) {
                let path = ["serve", "trusted_proxies", &at.to_string()];
                let problem = format!("`{entry}` is no address or network, as in `10.1.0.0/16`");
                finder.report(&path, problem, None);
            }
        }
    }

    fn check_egress(&self, finder: &mut Finder<'_>) {
        for (at, entry) in self.egress.allow.iter().enumerate() {
            if let Err(problem) = entry.parse::<EgressEntry>() {
                finder.report(&["egress", "allow", &at.to_string()], problem.to_string(), None);
            }
        }
    }
}

impl Meaning for AppFile {
    #[expect(private_interfaces, reason = "only this module's files are definitions")]
    fn check(&self, finder: &mut Finder<'_>) {
        for (name, source) in &self.sources {
            origin::check_source(finder, name, source);
        }
        for (name, object) in &self.objects {
            let origin = object.from.origin(&self.sources);
            if let Err((message, hint)) = &origin {
                let path = ["objects", name.as_str(), "from"];
                finder.report(&path, message.as_str(), Some(hint.clone()));
            }
            let has_its_own = matches!(origin, Ok(origin::Origin::Table { .. }));
            if object.key.is_empty() && !has_its_own {
                finder.report(&["objects", name.as_str(), "key"], "a key needs a column", None);
            }
            writing::check(finder, name, object, has_its_own);
        }
        access::check(self, finder);
    }
}

impl Meaning for ApiFile {
    #[expect(private_interfaces, reason = "only this module's files are definitions")]
    fn check(&self, finder: &mut Finder<'_>) {
        if self.api.as_str() == LAKE {
            let hint = Some("call the api something else".to_owned());
            finder.report(&["api"], "`lake` is kept for the tables of imported files", hint);
        }
        finder.only(&["base_url"], &self.base_url, &[Scope::Env]);
        let source = self.base_url.source();
        let is_plain = self.base_url.references().next().is_none();
        let is_web = |url: url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        if is_plain && !url::Url::parse(source).is_ok_and(is_web) {
            let hint = Some("write the scheme and the host, as in `https://api.acme.example/v2`");
            finder.report(&["base_url"], "not a web address", hint.map(str::to_owned));
        }
        let address = url::Url::parse(source).ok().filter(|_| is_plain);
        let has_user = |url: &url::Url| !url.username().is_empty() || url.password().is_some();
        let has_key =
            |url: &url::Url| url.query_pairs().any(|(name, value)| is_credential(&name, &value));
        if address.as_ref().is_some_and(|url| has_user(url) || has_key(url)) {
            let hint = "leave it out of the address and use `auth`";
            finder.report_hidden(&["base_url"], "a credential stands in the address", hint);
        }
        auth::check(self, finder);
        effect::check(self, finder);
        tls::check(self, finder);
        proxy::check(self, finder);
        super::identity::check(self, finder);
        if self.limits.concurrency == Some(0) {
            finder.report(&["limits", "concurrency"], "must be at least 1", None);
        }
        if self.limits.timeout.is_some_and(|timeout| timeout.0.is_zero()) {
            let hint = "leave it out for the usual bound".to_owned();
            finder.report(&["limits", "timeout"], "no answer comes in no time", Some(hint));
        }
        if self.retry.multiplier < 1.0 {
            finder.report(&["retry", "multiplier"], "must be at least 1", None);
        }
        for (name, template) in &self.defaults.headers {
            check_header(finder, &["defaults", "headers", name], name, template);
        }
        for (name, value) in &self.defaults.query {
            if let super::QueryValue::Text(template) = value {
                finder.named_credential(&["defaults", "query", name], name, template);
            }
        }
        for (name, resource) in self.resources() {
            self.check_resource(finder, name, &resource);
        }
        self.check_cycles(finder);
        self.check_webhooks(finder);
        self.check_exports(finder);
    }
}

impl ApiFile {
    fn check_resource(&self, finder: &mut Finder<'_>, name: &Name, resource: &ResourceSettings) {
        let at = |key| ["resources", name.as_str(), key];
        if name.as_str().contains("__") {
            let message = "`__` in a name is kept for the lists inside records";
            finder.report(&at(""), message, None);
        }
        if name.as_str() == super::REQUESTS {
            finder.report(&at(""), "`_requests` is kept for the log of requests", None);
        }
        let mut scopes = vec![Scope::Env, Scope::Secret];
        match &resource.for_each {
            Some(parent) if !self.resources.contains_key(parent) => {
                let near = nearest(parent.as_str(), self.resources.keys().map(Name::as_str));
                finder.report(
                    &at("for_each"),
                    format!("there is no resource `{parent}`"),
                    near.map(|near| format!("did you mean `{near}`?")),
                );
                scopes.push(Scope::Parent);
            }
            Some(_) => scopes.push(Scope::Parent),
            None => {}
        }
        if resource.incremental.is_some() {
            scopes.extend([Scope::Window, Scope::State]);
        }
        let scopes = scopes.as_slice();
        finder.only(&at("path"), &resource.path, scopes);
        for (header, template) in &resource.headers {
            let place = ["resources", name.as_str(), "headers", header];
            finder.only(&place, template, scopes);
            if self.defaults.headers.get(header) != Some(template) {
                check_header(finder, &place, header, template);
            }
        }
        for (parameter, value) in &resource.query {
            if let super::QueryValue::Text(template) = value {
                let place = ["resources", name.as_str(), "query", parameter];
                finder.only(&place, template, scopes);
                if self.defaults.query.get(parameter) != Some(value) {
                    finder.named_credential(&place, parameter, template);
                }
            }
        }
        self.check_path(finder, &at("path"), &resource.path);
        body::check(self, finder, name, resource, scopes);
        if !resource.carry.is_empty() && resource.for_each.is_none() {
            finder.report(&at("carry"), "`carry` needs `for_each`", None);
        }
        if resource.pages_max == Some(0) {
            finder.report(&at("max_pages"), "must be at least 1", None);
        }
        if resource.records_max == Some(0) {
            finder.report(&at("max_records"), "must be at least 1", None);
        }
        landing::check(self, finder, name, resource);
        cache::check(finder, self, name, resource);
        files::check(finder, self, name, resource);
        format::check(finder, name, resource);
        job::check(self, finder, name, resource, scopes);
        for (problem, hint) in resource.paginate.problems(resource.method) {
            finder.report(&at("paginate"), problem, Some(hint.to_owned()));
        }
        for (keys, problem, hint) in incremental::problems(resource) {
            let place = [&["resources", name.as_str()], keys].concat();
            finder.report(&place, problem, Some(hint.to_owned()));
        }
        for (keys, problem, hint) in live::problems(resource) {
            let place = [&["resources", name.as_str()], keys].concat();
            finder.report(&place, problem, hint.map(str::to_owned));
        }
        for status in resource.on_status.keys() {
            if let Some(problem) = self.status_problem(status) {
                let place = ["resources", name.as_str(), "on_status", status];
                finder.report(&place, format!("`{status}` {problem}"), None);
            }
        }
    }

    /// Why a status cannot be a key of `on_status`.
    fn status_problem(&self, status: &str) -> Option<&'static str> {
        match status.parse::<u16>() {
            Ok(200..300) => Some("is success; what it brings is records"),
            Ok(401) => Some("asks for a login, and says nothing about records"),
            Ok(429) => Some("asks to wait, and is sent again"),
            Ok(status) if self.retry.status.contains(&status) => {
                Some("is one of `status` of `retry`, and is sent again")
            }
            Ok(100..600) => None,
            _ => Some("is not a status"),
        }
    }

    /// A path that would leave the api, as far as it can be told without values.
    pub(super) fn check_path(&self, finder: &mut Finder<'_>, place: &[&str], path: &Template) {
        let text = path.source().split('?').next().unwrap_or("");
        let dots = |segment: &str| matches!(segment, "." | "..");
        if text.split('/').any(|part| dots(&part.to_ascii_lowercase().replace("%2e", "."))) {
            finder.report(place, "`.` and `..` lead out of the path", None);
        }
        if let Some((_, query)) = path.source().split_once('?') {
            for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
                let value = value.parse().unwrap_or_else(|_| Template::literal(&value));
                finder.named_credential(place, &name, &value);
            }
        }
        let Ok(url) = url::Url::parse(path.source()) else { return };
        let own = std::iter::once(url::Url::parse(self.base_url.source()).ok());
        let others = self.domains.iter().map(|domain| {
            let mut url = url::Url::parse(domain.url.source()).ok()?;
            domain.port.map_or(Ok(()), |port| url.set_port(Some(port))).ok()?;
            Some(url)
        });
        // A domain whose address has variables may be any.
        let fits = |home: Option<url::Url>| home.is_none_or(|home| home.origin() == url.origin());
        if !own.chain(others).any(fits) {
            let hint = "a resource lies on the origin of `base_url` or of one of `domains`";
            finder.report(place, "the path is on another origin", Some(hint.to_owned()));
        }
    }

    /// Resources that wait for each other would wait for ever.
    fn check_cycles(&self, finder: &mut Finder<'_>) {
        let waits: BTreeMap<&Name, Vec<(&str, Name)>> = self
            .resources()
            .map(|(name, resource)| {
                let parent = resource.for_each.map(|parent| ("for_each", parent));
                let lists = resource.deletes.resource.map(|lists| ("deletes", lists));
                (name, parent.into_iter().chain(lists).collect())
            })
            .collect();
        for (name, first) in &waits {
            for (key, next) in first {
                let mut reached = vec![next];
                let mut at = 0;
                while let Some(one) = reached.get(at).copied() {
                    at += 1;
                    for (_, after) in waits.get(one).into_iter().flatten() {
                        if !reached.contains(&after) {
                            reached.push(after);
                        }
                    }
                }
                if reached.contains(name) {
                    let path = ["resources", name.as_str(), key];
                    finder.report(&path, format!("`{key}` leads back to this resource"), None);
                }
            }
        }
    }
}

/// Headers that a person must not write: they carry credentials or belong to the connection.
const RESERVED: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "cookie",
];

pub(super) fn check_header(
    finder: &mut Finder<'_>,
    path: &[&str],
    name: &str,
    template: &Template,
) {
    let lower = name.to_ascii_lowercase();
    if check_header_name(finder, path, name) && RESERVED.contains(&lower.as_str()) {
        let hint = "credentials belong under `auth`; the rest is set by the connection".to_owned();
        finder.report(path, format!("the header `{name}` is not yours to set"), Some(hint));
    } else {
        finder.named_credential(path, name, template);
    }
    if template.source().contains(['\n', '\r']) {
        finder.report(path, "a header's value is one line", None);
    }
}

/// Reports a name that no header can have (RFC 9110, section 5.1).
fn check_header_name(finder: &mut Finder<'_>, path: &[&str], name: &str) -> bool {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let is_fine = !name.is_empty() && name.chars().all(is_token);
    if !is_fine {
        finder.report(path, format!("`{name}` cannot be a header's name"), None);
    }
    is_fine
}
