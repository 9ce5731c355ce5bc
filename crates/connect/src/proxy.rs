//! The proxy that stands between us and a host.
//!
//! In: the `proxy` of an api, or what a person's environment names; and the URL of one hop. Out:
//! the proxy that the hop goes through, if any, and what its refusals mean. What never happens
//! here: a socket. A proxy resolves names itself, so what it may be asked for is checked before
//! (see `egress`), and its own address like any other, unless the person at the command line named
//! it. Its password is in no text: the address is kept without it.
//!
//! The environment is read as curl reads it: `https_proxy`, `http_proxy`, `all_proxy` and
//! `no_proxy`, each in lower case first. A person's own machine is never reached through the
//! environment's proxy, because the proxy's own machine is another one.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use restway_model::{Redactor, SafeUrl, Secret, Template, Values, definition};
use url::Url;

use crate::egress::EgressPolicy;
use crate::error::Failure;
use crate::target::is_loopback;

/// A proxy and how we log in there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Proxy {
    /// Scheme, host and port.
    pub(crate) url: Url,
    login: Option<Login>,
    /// Whether the person at the command line named it, and so trusts it.
    pub(crate) is_own: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Login {
    username: String,
    password: Secret,
    /// Both as HTTP sends them (RFC 7617).
    basic: Secret,
}

impl Login {
    fn new(username: String, password: String) -> Self {
        let basic = Secret::new(STANDARD.encode(format!("{username}:{password}")));
        Self { username, password: Secret::new(password), basic }
    }

    fn teach(&self, redactor: &Redactor) {
        redactor.learn(&self.password);
        redactor.learn(&self.basic);
    }
}

/// The proxies that the environment of a person names; none by default. What cannot be read is an
/// error of the first request that it would be for.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// The one that was named for everything, whatever an api says.
    given: Option<Arc<definition::Proxy>>,
    https: Named,
    http: Named,
    direct: Direct,
}

/// What a variable names.
#[derive(Debug, Clone, Default)]
enum Named {
    #[default]
    Nothing,
    Proxy(Arc<Proxy>),
    Nonsense(&'static str),
}

/// The variables in the order in which they are looked at.
const HTTPS: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const HTTP: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
const DIRECT: [&str; 2] = ["no_proxy", "NO_PROXY"];

impl Proxies {
    /// Reads the variables.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            let found = names.iter().map(|name| (*name, variable(name).unwrap_or_default()));
            found.into_iter().find(|(_, value)| !value.trim().is_empty())
        };
        let named = |names: &[&'static str]| match first(names) {
            None => Named::Nothing,
            Some((name, value)) => match own(value.trim()) {
                Some(proxy) => Named::Proxy(Arc::new(proxy)),
                None => Named::Nonsense(name),
            },
        };
        let direct = first(&DIRECT).map(|(_, list)| Direct::lenient(&list)).unwrap_or_default();
        Self { given: None, https: named(&HTTPS), http: named(&HTTP), direct }
    }

    /// The same, but everything goes through one proxy: also what an api or the environment would
    /// send another way. Its address may have a login, `http://user:${secret.NAME}@host:port`;
    /// a password that stands there itself is refused, because everybody on the machine reads the
    /// arguments of a process.
    ///
    /// # Errors
    /// What is wrong with the address, without the address.
    pub fn through(self, address: &str) -> Result<Self, &'static str> {
        let given = given(address)?;
        Ok(Self { given: Some(Arc::new(given)), ..self })
    }

    /// The proxy that was named for everything.
    pub(crate) fn given(&self) -> Option<&definition::Proxy> {
        self.given.as_deref()
    }

    /// Teaches the passwords to the redactor.
    pub(crate) fn teach(&self, redactor: &Redactor) {
        for named in [&self.https, &self.http] {
            if let Named::Proxy(proxy) = named {
                proxy.login.iter().for_each(|login| login.teach(redactor));
            }
        }
    }

    /// The proxy on the way to a URL.
    pub(crate) fn on_the_way(&self, url: &Url) -> Result<Option<Arc<Proxy>>, Failure> {
        if is_loopback(url) || self.direct.names(url) {
            return Ok(None);
        }
        match if url.scheme() == "https" { &self.https } else { &self.http } {
            Named::Nothing => Ok(None),
            Named::Proxy(proxy) => Ok(Some(Arc::clone(proxy))),
            Named::Nonsense(name) => Err(Failure::invalid(
                format!("the environment variable {name}"),
                "is not the address of a proxy",
            )),
        }
    }
}

/// The address of a proxy as a person gives it, with references in the place of secrets.
fn given(address: &str) -> Result<definition::Proxy, &'static str> {
    const NONSENSE: &str = "is not the address of a proxy";
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    let scheme = if scheme == "socks5h" { "socks5" } else { scheme };
    let (login, host) = match rest.rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, rest),
    };
    let url = format!("{scheme}://{host}");
    Url::parse(&url).ok().filter(is_proxy).ok_or(NONSENSE)?;
    let (username, password) = match login.map(|login| login.split_once(':').unwrap_or((login, "")))
    {
        None => (None, None),
        Some((username, password)) => {
            (Some(username), Some(password).filter(|one| !one.is_empty()))
        }
    };
    let template = |text: &str| text.parse::<Template>().map_err(|_| NONSENSE);
    let password = password.map(template).transpose()?;
    if password.as_ref().is_some_and(|password| password.references().next().is_none()) {
        return Err("holds a password, which everybody on this machine can read");
    }
    Ok(definition::Proxy {
        url: Template::literal(&url),
        username: username.map(template).transpose()?,
        password,
        no_proxy: Vec::new(),
    })
}

/// A proxy of the environment: `host:port` is an HTTP proxy, and a login stands in the address.
fn own(text: &str) -> Option<Proxy> {
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let mut url = Url::parse(&text.replacen("socks5h://", "socks5://", 1)).ok()?;
    let plain = |text: &str| {
        let pairs = format!("x={}", text.replace('+', "%2B"));
        let value = url::form_urlencoded::parse(pairs.as_bytes()).next();
        value.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let username = plain(url.username());
    let password = plain(url.password().unwrap_or_default());
    let login = (!username.is_empty()).then(|| Login::new(username, password));
    is_proxy(&url).then_some(())?;
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(Proxy { url, login, is_own: true })
}

fn is_proxy(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https" | "socks5") && url.has_host()
}

impl Proxy {
    /// The `proxy` of an api on the way to a URL; `None` when `no_proxy` names it. `is_own`: the
    /// person at the command line named it.
    pub(crate) fn of(
        proxy: &definition::Proxy,
        is_own: bool,
        url: &Url,
        values: &dyn Values,
        redactor: &Redactor,
    ) -> Result<Option<Arc<Self>>, Failure> {
        if Direct::of(&proxy.no_proxy)?.names(url) {
            return Ok(None);
        }
        let text = proxy.url.text(values).map_err(Failure::Value)?;
        let address = Url::parse(&text).ok().filter(is_proxy);
        let Some(address) = address.filter(|url| url.username().is_empty()) else {
            return Err(Failure::invalid("`proxy.url`", "is not the address of a proxy"));
        };
        let login = match &proxy.username {
            None => None,
            Some(username) => {
                let text = |template: &Template| template.text(values);
                let username = text(username).map_err(Failure::Value)?;
                let password = proxy.password.as_ref().map_or(Ok(String::new()), text);
                let login = Login::new(username, password.map_err(Failure::Value)?);
                login.teach(redactor);
                Some(login)
            }
        };
        Ok(Some(Arc::new(Self { url: address, login, is_own })))
    }

    /// The address for people.
    pub(crate) fn shown(&self) -> SafeUrl {
        SafeUrl::new(self.url.clone())
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(1080)
    }

    /// As the client takes it. Names of hosts go to the proxy as they are.
    pub(crate) fn setting(&self) -> Result<reqwest::Proxy, Failure> {
        let unusable = || Failure::invalid("`proxy.url`", "is not the address of a proxy");
        let mut url = self.url.clone();
        if let Some(login) = self.login.as_ref().filter(|_| self.is_socks()) {
            url.set_username(&login.username).map_err(|()| unusable())?;
            url.set_password(Some(login.password.expose())).map_err(|()| unusable())?;
        }
        let proxy = reqwest::Proxy::all(remote(&url)).map_err(|_| unusable())?;
        let Some(login) = self.login.as_ref().filter(|_| !self.is_socks()) else {
            return Ok(proxy);
        };
        let header = format!("Basic {}", login.basic.expose());
        let mut header = HeaderValue::from_str(&header).map_err(|_| unusable())?;
        header.set_sensitive(true);
        Ok(proxy.custom_http_auth(header))
    }

    fn is_socks(&self) -> bool {
        self.url.scheme() == "socks5"
    }

    /// What an answer says about the proxy that passed it on, or made it: without a tunnel its own
    /// answers look like the host's (RFC 9110, section 15.5.8).
    pub(crate) fn judge(&self, url: &Url, status: u16) -> Result<(), Failure> {
        if status != 407 || self.is_socks() || url.scheme() == "https" {
            return Ok(());
        }
        Err(Failure::ProxyRefused { problem: UNKNOWN_LOGIN.to_owned(), is_final: true })
    }
}

/// The address by which the client leaves names to a SOCKS proxy (RFC 1928, address type 3).
fn remote(url: &Url) -> String {
    url.as_str().replacen("socks5://", "socks5h://", 1)
}

/// What is reached without a proxy.
#[derive(Debug, Clone, Default, PartialEq)]
struct Direct {
    all: bool,
    listed: Option<EgressPolicy>,
}

impl Direct {
    fn of(list: &[String]) -> Result<Self, Failure> {
        let all = list.iter().any(|entry| entry.trim() == "*");
        let entries: Vec<String> = list
            .iter()
            .filter(|entry| entry.trim() != "*")
            .flat_map(|entry| entries(entry))
            .collect();
        let listed = EgressPolicy::new(&entries, false)
            .map_err(|error| Failure::invalid("`proxy.no_proxy`", error.to_string()))?;
        Ok(Self { all, listed: Some(listed) })
    }

    /// Of the environment's list what can be read: other programs write it too.
    fn lenient(list: &str) -> Self {
        let list = list.split([',', ' ']).map(str::to_owned);
        let readable: Vec<String> =
            list.filter(|entry| Self::of(std::slice::from_ref(entry)).is_ok()).collect();
        Self::of(&readable).unwrap_or_default()
    }

    fn names(&self, url: &Url) -> bool {
        self.all || self.listed.as_ref().is_some_and(|listed| listed.lists(url))
    }
}

/// A name stands for itself and for all below it, however it is written.
fn entries(entry: &str) -> impl Iterator<Item = String> + use<> {
    let plain = entry.trim().trim_start_matches("*.").trim_start_matches('.').to_owned();
    let below = format!("*.{plain}");
    let is_name = EgressPolicy::new(std::slice::from_ref(&below), false).is_ok();
    std::iter::once(plain).chain(is_name.then_some(below))
}

/// What a connection that the proxy did not open means, by the words of the client, which has no
/// types for it. `None`: the proxy is not to blame.
pub(crate) fn refusal(chain: &[String]) -> Option<Failure> {
    let said = |words: &str| chain.iter().any(|text| text.contains(words));
    let refused = |problem: &str, is_final: bool| {
        Some(Failure::ProxyRefused { problem: problem.to_owned(), is_final })
    };
    if said("proxy authorization required") {
        return refused(UNKNOWN_LOGIN, true);
    }
    if said("credentials not accepted") || said("does not support user/pass") {
        return refused("refused the user or the password", true);
    }
    if said("tunnel error: unsuccessful") {
        return refused("refused to open a tunnel to the host", false);
    }
    if said("tunnel error: unexpected end of file") {
        return refused("closed the connection instead of opening a tunnel", false);
    }
    let socks = chain.iter().find_map(|text| text.split("SOCKS error: ").nth(1))?;
    match socks {
        "failed to create underlying connection" => None,
        other => refused(&format!("said `{other}`"), other.contains("not allowed")),
    }
}

/// What a proxy that wants a login is said to do.
pub(crate) const UNKNOWN_LOGIN: &str = "wants a user and password that it knows (status 407)";

#[cfg(test)]
mod tests {
    use super::*;

    type Variables = &'static [(&'static str, &'static str)];

    /// The proxy on the way to `url` with these variables: its address and its user.
    fn way(variables: Variables, url: &str) -> Result<String, String> {
        let proxies = Proxies::of(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        let url = Url::parse(url).expect("a URL");
        match proxies.on_the_way(&url).map_err(|failure| failure.to_string())? {
            None => Ok("direct".to_owned()),
            Some(proxy) => {
                assert!(proxy.setting().is_ok() && proxy.is_own);
                let user = proxy.login.as_ref().map_or("", |login| login.username.as_str());
                Ok(format!("{user}@{}", proxy.shown().to_string().trim_end_matches('/')))
            }
        }
    }

    #[test]
    fn the_environment_is_read_as_other_programs_read_it() {
        const BOTH: Variables = &[("HTTP_PROXY", "plain:1"), ("HTTPS_PROXY", "https://secure:2")];
        const NO: Variables =
            &[("ALL_PROXY", "socks5h://all:3"), ("NO_PROXY", ".acme.example, 10.0.0.0/8,?,x:81")];
        const LOGIN: Variables =
            &[("https_proxy", "http://me%40acme:a+b%2F@p:4"), ("HTTPS_PROXY", "http://not")];
        let table: [(Variables, &str, &str); 14] = [
            (&[], "https://api.acme.example/", "direct"),
            (&[("https_proxy", " ")], "https://api.acme.example/", "direct"),
            (BOTH, "https://api.acme.example/", "@https://secure:2"),
            (BOTH, "http://api.acme.example/", "@http://plain:1"),
            (BOTH, "http://localhost/", "direct"),
            (BOTH, "https://127.0.0.1:8443/", "direct"),
            (NO, "https://other.example/", "@socks5://all:3"),
            (NO, "https://api.acme.example/", "direct"),
            (NO, "https://acme.example/", "direct"),
            (NO, "https://notacme.example/", "@socks5://all:3"),
            (NO, "https://10.1.2.3/", "direct"),
            (NO, "http://x:81/", "direct"),
            (NO, "http://x:82/", "@socks5://all:3"),
            (LOGIN, "https://api.acme.example/", "me@acme@http://p:4"),
        ];
        for (variables, url, expected) in table {
            assert_eq!(way(variables, url).as_deref(), Ok(expected), "{variables:?} {url}");
        }
        for nonsense in ["ftp://p:1", "http://", "://x"] {
            let proxies = Proxies::of(|name| (name == "HTTPS_PROXY").then(|| nonsense.to_owned()));
            let url = Url::parse("https://h.example/").expect("a URL");
            let error = proxies.on_the_way(&url).map_err(|failure| failure.to_string());
            assert!(error.expect_err(nonsense).contains("variable HTTPS_PROXY is not"));
        }
    }

    #[test]
    fn passwords_of_the_environment_are_learnt_in_every_form() {
        let proxies =
            Proxies::of(|name| (name == "all_proxy").then(|| "http://u:top%20secret@p:1".into()));
        let redactor = Redactor::default();
        proxies.teach(&redactor);
        for text in ["top secret", "dTp0b3Agc2VjcmV0"] {
            assert!(!redactor.redact(text).contains(text), "{text}");
        }
        assert!(!format!("{proxies:?}").contains("top"), "{proxies:?}");
    }
}
