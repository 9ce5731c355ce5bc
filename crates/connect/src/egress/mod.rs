//! Where this workspace may connect to.
//!
//! In: the `egress.allow` list and whether a person at their own command line asks. Out: a yes or
//! a [`Denial`] for each address. By default only public addresses are reached, so that neither a
//! definition nor an api's redirect can point Restway at the machines around it.
//!
//! The check happens where the socket opens: after DNS, on the very addresses that are then
//! connected to, for each request and each hop of a redirect. An address written in the URL passes
//! no resolver, so it is checked here before sending. A name that answers with a public address
//! now and a private one later gains nothing, because there is no second look-up. A proxy does the
//! look-up itself, behind this check; so before it is asked, every address that this machine knows
//! for the name must be allowed, and a name that it does not know must be listed. A proxy's own
//! address is checked like any other, unless the person at the command line named the proxy.

mod classify;
mod resolver;

use std::net::{IpAddr, Ipv6Addr};

use restway_model::{EgressEntry, InvalidEgress};
use url::{Host, Url};

use classify::{LOOPBACK, special};
pub(crate) use resolver::{CheckedResolver, SystemNames, check_behind_proxy, check_proxy};
pub use resolver::{Found, Names};

/// What may be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressPolicy {
    allowed: Vec<EgressEntry>,
    loopback: bool,
}

/// A connection that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{host}` is {class}{}, which this workspace may not reach", resolved(.address, .host))]
pub struct Denial {
    /// The host as the URL names it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The address that was refused, when there is one.
    pub address: Option<IpAddr>,
    /// What kind of address it is.
    pub class: &'static str,
}

fn resolved(address: &Option<IpAddr>, host: &str) -> String {
    match address {
        Some(address) if address.to_string() != host => format!(" ({address})"),
        _ => String::new(),
    }
}

impl Denial {
    pub(crate) fn hints(&self) -> Vec<String> {
        let host = match self.host.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => self.host.clone(),
        };
        vec![format!(
            "to allow it, write `egress: {{ allow: [\"{host}:{}\"] }}` in restway.yaml",
            self.port
        )]
    }
}

impl EgressPolicy {
    /// Reads the `allow` list. `loopback` is for a person at the command line, who may reach their
    /// own machine; a server that acts for others does not set it.
    ///
    /// # Errors
    /// The first line that cannot be read.
    pub fn new(allow: &[String], loopback: bool) -> Result<Self, InvalidEgress> {
        let allowed = allow.iter().map(|entry| entry.parse()).collect::<Result<_, _>>()?;
        Ok(Self { allowed, loopback })
    }

    /// The `allow` list alone.
    pub(crate) fn listed(&self) -> Self {
        Self { loopback: false, ..self.clone() }
    }

    /// For a proxy that the person at the command line named.
    pub(crate) fn anywhere() -> Self {
        Self { allowed: EgressEntry::all().to_vec(), loopback: true }
    }

    /// Whether a line of the list names the host of a URL.
    pub(crate) fn lists(&self, url: &Url) -> bool {
        let port = url.port_or_known_default().unwrap_or_default();
        let covers = |address| self.allowed.iter().any(|entry| entry.covers(address, port));
        match url.host() {
            Some(Host::Domain(name)) => self.allows_name(name, port),
            Some(Host::Ipv4(address)) => covers(address.into()),
            Some(Host::Ipv6(address)) => covers(address.into()),
            None => false,
        }
    }

    /// Checks what a URL alone tells: its scheme, and its host when that is an address.
    ///
    /// # Errors
    /// The denial, for an address; a name is decided by what it resolves to.
    pub(crate) fn check_url(&self, url: &Url) -> Result<(), Denial> {
        let port = url.port_or_known_default().unwrap_or_default();
        let denied = |class| Denial {
            host: url.host_str().unwrap_or_default().to_owned(),
            port,
            address: None,
            class,
        };
        match url.host() {
            None => Err(denied("no host")),
            Some(_) if !matches!(url.scheme(), "http" | "https") => {
                Err(denied("not reached by http or https"))
            }
            Some(Host::Domain(_)) => Ok(()),
            Some(Host::Ipv4(address)) => self.check_address("", port, address.into()),
            Some(Host::Ipv6(address)) => self.check_address("", port, address.into()),
        }
    }

    /// Whether a name may be connected to at whatever address it has.
    pub(crate) fn allows_name(&self, host: &str, port: u16) -> bool {
        self.allowed.iter().any(|entry| entry.names(host, port))
    }

    /// Checks one address of `host`; an empty `host` says that the URL names the address itself.
    ///
    /// # Errors
    /// The denial.
    pub(crate) fn check_address(
        &self,
        host: &str,
        port: u16,
        address: IpAddr,
    ) -> Result<(), Denial> {
        let Some(class) = special(address) else {
            return Ok(());
        };
        let is_allowed = self.allowed.iter().any(|entry| entry.covers(address, port));
        if is_allowed || (self.loopback && class == LOOPBACK) {
            return Ok(());
        }
        let host = if host.is_empty() { address.to_string() } else { host.to_owned() };
        Err(Denial { host, port, address: Some(address), class })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], loopback: bool) -> EgressPolicy {
        let allow: Vec<String> = allow.iter().map(|&entry| entry.to_owned()).collect();
        EgressPolicy::new(&allow, loopback).expect("a policy")
    }

    fn reaches(policy: &EgressPolicy, url: &str) -> bool {
        policy.check_url(&Url::parse(url).expect(url)).is_ok()
    }

    #[test]
    fn no_spelling_of_an_address_gets_past() {
        let strict = policy(&[], false);
        let evasions = [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://0x7f000001/",
            "http://127.1/",
            "http://127.0.0.1./",
            "http://0/",
            "http://good.example@127.0.0.1/",
            "http://good.example:80@127.0.0.1/",
            "http://127.0.0.1#@good.example/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[0:0:0:0:0:ffff:169.254.169.254]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://169.254.169.254/",
            "http://[fd00:ec2::254]/",
            "http://\u{ff11}27.0.0.1/",
            "http://0.0.0.0:22/",
        ];
        for url in evasions {
            assert!(!reaches(&strict, url), "{url}");
        }
        for url in ["ftp://1.1.1.1/", "file:///etc/passwd", "gopher://1.1.1.1/"] {
            assert!(!reaches(&strict, url), "{url}");
        }
        for url in ["https://1.1.1.1/", "http://api.acme.example/", "http://[2606:4700::1]/"] {
            assert!(reaches(&strict, url), "{url}");
        }
    }

    #[test]
    fn a_person_reaches_their_own_machine_and_nothing_else() {
        let own = policy(&[], true);
        for url in ["http://127.0.0.1:8081/", "http://[::1]/", "http://[::ffff:127.0.0.2]/"] {
            assert!(reaches(&own, url), "{url}");
        }
        let led = own.listed();
        assert!(!reaches(&led, "http://127.0.0.1:8081/") && reaches(&led, "http://1.1.1.1/"));
        for url in ["http://10.0.0.1/", "http://169.254.169.254/", "http://0.0.0.0/"] {
            assert!(!reaches(&own, url), "{url}");
        }
    }

    #[test]
    fn entries_allow_exactly_what_they_say() {
        let some = policy(&["10.1.0.0/16", "127.0.0.1:8081", "[::1]:9000", "fd00::/8"], false);
        let table = [
            ("http://10.1.255.1/", true),
            ("http://10.2.0.1/", false),
            ("http://127.0.0.1:8081/", true),
            ("http://127.0.0.1:8082/", false),
            ("http://[::ffff:127.0.0.1]:8081/", true),
            ("http://[::1]:9000/", true),
            ("http://[::1]/", false),
            ("http://[fd12::1]/", true),
            ("http://[fe80::1]/", false),
        ];
        for (url, allowed) in table {
            assert_eq!(reaches(&some, url), allowed, "{url}");
        }
        let all = policy(&["0.0.0.0/0"], false);
        assert!(reaches(&all, "http://127.0.0.1/") && !reaches(&all, "http://[::1]/"));
    }

    #[test]
    fn names_match_whole_or_by_suffix() {
        let named = policy(&["API.acme.example", "*.internal.example:8443", "localhost"], false);
        let table = [
            ("api.acme.example", 80, true),
            ("api.acme.example.", 80, true),
            ("API.ACME.EXAMPLE", 443, true),
            ("x.api.acme.example", 80, false),
            ("api.acme.example.evil.example", 80, false),
            ("a.internal.example", 8443, true),
            ("a.b.internal.example", 8443, true),
            ("a.internal.example", 443, false),
            ("internal.example", 8443, false),
            ("evilinternal.example", 8443, false),
            ("localhost.", 1, true),
        ];
        for (host, port, allowed) in table {
            assert_eq!(named.allows_name(host, port), allowed, "{host}:{port}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_read_says_why() {
        let bad = [
            ("https://x.example", "URL"),
            ("10.0.0.0/33", "more bits"),
            ("10.0.0/8", "no address"),
            ("10.0.0.0/x", "no number"),
            ("x.example:port", "no port"),
            ("*", "not a host"),
            ("a.*.example", "not a host"),
            ("", "not a host"),
            ("*.1.2.3.4", "not a host"),
        ];
        for (entry, problem) in bad {
            let error = EgressPolicy::new(&[entry.to_owned()], false).expect_err(entry);
            assert!(error.problem.contains(problem), "{entry}: {error}");
        }
    }
}
