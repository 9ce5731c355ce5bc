//! Names become addresses here, and forbidden addresses are taken out on the way.
//!
//! In: the one host and port that a client of the wire connects to. Out: its addresses, those that
//! may be reached. The client connects to exactly these, so there is no second look-up between the
//! check and the socket. Some forbidden and some public addresses: the public ones are used; only
//! forbidden ones: the first one's denial is the error.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::{Denial, EgressPolicy};

/// More addresses of one name than this are not looked at.
const ADDRESSES_MAX: usize = 64;

/// The addresses of a name, or why there are none.
pub type Found<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Where the addresses of names come from.
pub trait Names: Send + Sync {
    /// The addresses of a host, with the port.
    fn look_up<'a>(&'a self, host: &'a str, port: u16) -> Found<'a>;
}

/// The names that the system knows.
#[derive(Debug)]
pub(crate) struct SystemNames;

impl Names for SystemNames {
    fn look_up<'a>(&'a self, host: &'a str, port: u16) -> Found<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// The resolver of one client, which connects to one port only.
pub(crate) struct CheckedResolver {
    names: Arc<dyn Names>,
    policy: Arc<EgressPolicy>,
    port: u16,
}

impl CheckedResolver {
    pub(crate) fn new(names: Arc<dyn Names>, policy: Arc<EgressPolicy>, port: u16) -> Self {
        Self { names, policy, port }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, policy, port) = (Arc::clone(&self.names), Arc::clone(&self.policy), self.port);
        Box::pin(async move {
            let host = name.as_str();
            let found = names.look_up(host, port).await?;
            let found = found.into_iter().take(ADDRESSES_MAX);
            let allowed = allowed(&policy, host, port, found)?;
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

/// Checks the address of a proxy.
pub(crate) async fn check_proxy(
    names: &dyn Names,
    policy: &EgressPolicy,
    host: &Host<&str>,
    port: u16,
) -> Result<(), Denial> {
    match host {
        Host::Ipv4(address) => policy.check_address("", port, (*address).into()),
        Host::Ipv6(address) => policy.check_address("", port, (*address).into()),
        Host::Domain(name) => match look_up(names, name, port).await {
            Some(found) => allowed(policy, name, port, found.into_iter()).map(drop),
            // The connection itself says that there is no such host.
            None => Ok(()),
        },
    }
}

/// Checks a host that a proxy is to be asked for. `is_own`: the person at the command line named
/// the proxy, and may be where only it resolves names.
pub(crate) async fn check_behind_proxy(
    names: &dyn Names,
    policy: &EgressPolicy,
    url: &Url,
    is_own: bool,
) -> Result<(), Denial> {
    let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
    let port = url.port_or_known_default().unwrap_or_default();
    if policy.allows_name(name, port) {
        return Ok(());
    }
    match look_up(names, name, port).await {
        Some(found) => {
            found.into_iter().try_for_each(|address| policy.check_address(name, port, address.ip()))
        }
        None if is_own => Ok(()),
        None => {
            let class = "a name that only the proxy can resolve";
            Err(Denial { host: name.to_owned(), port, address: None, class })
        }
    }
}

async fn look_up(names: &dyn Names, name: &str, port: u16) -> Option<Vec<SocketAddr>> {
    let mut found = names.look_up(name, port).await.ok()?;
    found.truncate(ADDRESSES_MAX);
    (!found.is_empty()).then_some(found)
}

fn allowed(
    policy: &EgressPolicy,
    host: &str,
    port: u16,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, Denial> {
    if policy.allows_name(host, port) {
        return Ok(found.collect());
    }
    let mut allowed = Vec::new();
    let mut first_denial = None;
    for address in found {
        match policy.check_address(host, port, address.ip()) {
            Ok(()) => allowed.push(address),
            Err(denial) => first_denial = first_denial.or(Some(denial)),
        }
    }
    match first_denial {
        Some(denial) if allowed.is_empty() => Err(denial),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(allow: &[&str], found: &[&str]) -> Result<Vec<String>, String> {
        let allow: Vec<String> = allow.iter().map(|&entry| entry.to_owned()).collect();
        let policy = EgressPolicy::new(&allow, false).expect("a policy");
        let found = found.iter().map(|text| SocketAddr::new(text.parse().expect(text), 443));
        let kept = allowed(&policy, "db.acme.example", 443, found);
        kept.map(|kept| kept.iter().map(|address| address.ip().to_string()).collect())
            .map_err(|denial| denial.to_string())
    }

    #[test]
    fn forbidden_addresses_are_taken_out_and_nothing_left_is_a_denial() {
        assert_eq!(filter(&[], &["10.0.0.1", "1.1.1.1"]), Ok(vec!["1.1.1.1".to_owned()]));
        assert_eq!(filter(&["db.acme.example:443"], &["10.0.0.1"]), Ok(vec!["10.0.0.1".into()]));
        assert_eq!(filter(&["10.0.0.0/8"], &["10.0.0.1"]), Ok(vec!["10.0.0.1".into()]));
        let denial = filter(&["db.acme.example:80"], &["::ffff:10.0.0.1", "127.0.0.1"]);
        let denial = denial.expect_err("no address is left");
        assert!(denial.contains("`db.acme.example` is a private address"), "{denial}");
    }
}
