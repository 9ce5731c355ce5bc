//! A line of `egress.allow`, read.
//!
//! In: a text. Out: the names or addresses and the port that it stands for, or why it stands for
//! none. `check` and the policy of the connections read lines here, so that they agree.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use url::Host;

/// A line of the `allow` list that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{entry}` {problem}; write a host, `*.` and a domain, an address or a network, as in \
     `api.acme.example`, `*.acme.example:8443`, `127.0.0.1:8081` or `10.1.0.0/16`"
)]
pub struct InvalidEgress {
    /// The line.
    pub entry: String,
    /// What stopped the reading of it.
    pub problem: &'static str,
}

/// What a line of the `allow` list opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressEntry {
    target: Target,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Name(String),
    /// With the dot: `.acme.example`.
    Suffix(String),
    Network(IpAddr, u32),
}

impl FromStr for EgressEntry {
    type Err = InvalidEgress;

    fn from_str(text: &str) -> Result<Self, InvalidEgress> {
        Self::read(text.trim()).map_err(|problem| InvalidEgress { entry: text.to_owned(), problem })
    }
}

impl EgressEntry {
    /// Every address of both kinds.
    pub fn all() -> [Self; 2] {
        let all = |address: IpAddr| Self { target: Target::Network(address, 0), port: None };
        [all(Ipv4Addr::UNSPECIFIED.into()), all(Ipv6Addr::UNSPECIFIED.into())]
    }

    /// Whether it is an address or a network at any port.
    pub fn is_network(&self) -> bool {
        matches!(self.target, Target::Network(..)) && self.port.is_none()
    }

    /// Whether it opens a name, at whatever address it has.
    pub fn names(&self, host: &str, port: u16) -> bool {
        let host = plain_name(host);
        self.port.is_none_or(|allowed| allowed == port)
            && match &self.target {
                Target::Name(name) => *name == host,
                Target::Suffix(suffix) => host.ends_with(suffix),
                Target::Network(..) => false,
            }
    }

    /// Whether it opens an address.
    pub fn covers(&self, address: IpAddr, port: u16) -> bool {
        let Target::Network(network, bits) = self.target else {
            return false;
        };
        let same = match (network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                network.to_bits().checked_shr(u32::BITS - bits)
                    == address.to_bits().checked_shr(u32::BITS - bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                network.to_bits().checked_shr(u128::BITS - bits)
                    == address.to_bits().checked_shr(u128::BITS - bits)
            }
            _ => false,
        };
        same && self.port.is_none_or(|allowed| allowed == port)
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        if text.contains("//") {
            return Err("is a URL");
        }
        if let Some((address, bits)) = text.split_once('/') {
            return network(address, bits);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::address(address, None));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => {
                let port = port.parse::<u16>().map_err(|_| "has no port after its `:`")?;
                (host, Some(port))
            }
            None => (text, None),
        };
        if let Some(domain) = host.strip_prefix("*.") {
            return Ok(Self { target: Target::Suffix(format!(".{}", name(domain)?)), port });
        }
        match Host::parse(host) {
            Ok(Host::Ipv4(address)) => Ok(Self::address(address.into(), port)),
            Ok(Host::Ipv6(address)) => Ok(Self::address(address.into(), port)),
            _ => Ok(Self { target: Target::Name(name(host)?), port }),
        }
    }

    fn address(address: IpAddr, port: Option<u16>) -> Self {
        let address = address.to_canonical();
        Self { target: Target::Network(address, bits_of(address)), port }
    }
}

/// A name without the dot of the root, which means the same host.
fn plain_name(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn name(text: &str) -> Result<String, &'static str> {
    match Host::parse(text) {
        Ok(Host::Domain(domain)) if !domain.contains('*') => Ok(plain_name(&domain)),
        _ => Err("is not a host name"),
    }
}

fn network(address: &str, bits: &str) -> Result<EgressEntry, &'static str> {
    let address: IpAddr = address.parse().map_err(|_| "has no address before its `/`")?;
    let bits: u32 = bits.parse().map_err(|_| "has no number after its `/`")?;
    if bits > bits_of(address) {
        return Err("has more bits after its `/` than an address has");
    }
    Ok(EgressEntry { target: Target::Network(address, bits), port: None })
}

const fn bits_of(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => u32::BITS,
        IpAddr::V6(_) => u128::BITS,
    }
}
