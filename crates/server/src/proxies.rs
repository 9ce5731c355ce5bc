//! Who asks, when a proxy stands between.
//!
//! In: the address of the connection, and the header in which proxies write for whom they ask. Out:
//! the address of the caller, by which rates and failures are counted. The header is read from its
//! end, as far as each address is that of a trusted proxy: whoever is beyond them could have written
//! what stands before. Only one header is read, because a proxy that writes the one passes on what
//! its caller wrote in the other.
//!
//! What never happens here: a word of somebody who is not trusted.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use axum::http::request::Parts;
use restway_model::EgressEntry;
use restway_model::definition::Forwarding;

use crate::routes::Peer;

/// Hops that are looked at.
const HOPS_MAX: usize = 32;

/// Proxies that are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    trusted: Vec<EgressEntry>,
    header: Forwarding,
}

impl TrustedProxies {
    /// Proxies in these networks, which write this header.
    pub fn new(trusted: Vec<EgressEntry>, header: Forwarding) -> Self {
        Self { trusted, header }
    }

    /// The address of who asks.
    pub(crate) fn caller(&self, head: &Parts) -> Option<IpAddr> {
        let peer = head.extensions.get::<Peer>()?.0;
        Some(self.behind(peer, &head.headers))
    }

    fn behind(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let is_trusted = |address| self.trusted.iter().any(|entry| entry.covers(address, 0));
        let lines: Vec<&str> = headers
            .get_all(self.header.as_str())
            .iter()
            .map(|line| line.to_str().unwrap_or_default())
            .collect();
        let mut caller = peer;
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')).take(HOPS_MAX) {
            if !is_trusted(caller) {
                break;
            }
            match self.header.address(hop) {
                Some(address) => caller = address,
                // A hop that hides itself ends what is known.
                None => break,
            }
        }
        caller
    }
}

/// How a header is read.
trait Reads {
    fn address(self, hop: &str) -> Option<IpAddr>;
}

impl Reads for Forwarding {
    fn address(self, hop: &str) -> Option<IpAddr> {
        let text = match self {
            Self::XForwardedFor => hop.trim(),
            // RFC 7239, 4: `for=192.0.2.60;proto=http`, `for="[2001:db8::1]:4711"`.
            Self::Forwarded => {
                let pairs = hop.split(';').filter_map(|pair| pair.trim().split_once('='));
                let mut named = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for"));
                named.next()?.1.trim().trim_matches('"')
            }
        };
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        let address = bare.parse::<IpAddr>().ok();
        let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
        address.or_else(with_port).map(|address| address.to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = ["10.0.0.0/8", "127.0.0.1", "2001:db8::/32"];
        let trusted: Vec<EgressEntry> = trusted.map(|entry| entry.parse().expect("one")).to_vec();
        for (header, peer, line, caller) in [
            (Forwarding::XForwardedFor, "10.0.0.1", "203.0.113.7", "203.0.113.7"),
            (Forwarding::XForwardedFor, "10.0.0.1", "1.1.1.1, 203.0.113.7", "203.0.113.7"),
            (Forwarding::XForwardedFor, "10.0.0.1", "203.0.113.7, 10.2.3.4", "203.0.113.7"),
            (Forwarding::XForwardedFor, "10.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
            (Forwarding::XForwardedFor, "10.0.0.1", "1.1.1.1, nonsense", "10.0.0.1"),
            (Forwarding::XForwardedFor, "10.0.0.1", "", "10.0.0.1"),
            (Forwarding::XForwardedFor, "198.51.100.1", "203.0.113.7", "198.51.100.1"),
            (Forwarding::Forwarded, "127.0.0.1", "for=203.0.113.7;proto=https", "203.0.113.7"),
            (Forwarding::Forwarded, "127.0.0.1", "For=\"[2001:db9::1]:4711\"", "2001:db9::1"),
            (Forwarding::Forwarded, "127.0.0.1", "for=1.1.1.1, for=unknown", "127.0.0.1"),
        ] {
            let proxies = TrustedProxies::new(trusted.clone(), header);
            let mut headers = HeaderMap::new();
            for name in ["x-forwarded-for", "forwarded"] {
                let line = if name == header.as_str() { line } else { "for=9.9.9.9" };
                headers.append(name, line.parse().expect("a value"));
            }
            let found = proxies.behind(peer.parse().expect("an address"), &headers);
            assert_eq!(found.to_string(), caller, "{peer} {line}");
        }
    }
}
