//! What kind of address an address is.
//!
//! In: an IP address, wherever it came from. Out: `None` for a public one, else the word for what
//! it is instead. The tables are the IANA special-purpose registries (RFC 6890 and its updates).
//! An IPv6 address that carries an IPv4 address is refused, whatever that one is: such a path leads
//! through a translator, and nobody here knows what lies behind it. Only the mapped form
//! (`::ffff:a.b.c.d`) is taken for the IPv4 address that the operating system would connect to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The words for a loopback address, which a person at the command line may reach.
pub(super) const LOOPBACK: &str = "a loopback address";

/// `None` for a public address.
pub(super) fn special(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

/// Network, bits of the prefix, what it is; the narrower before the wider.
const V4: [(Ipv4Addr, u32, &str); 17] = [
    (Ipv4Addr::new(169, 254, 169, 254), 32, "a cloud metadata address"),
    (Ipv4Addr::new(255, 255, 255, 255), 32, "the broadcast address"),
    (Ipv4Addr::new(0, 0, 0, 0), 8, "an unspecified address"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "a private address"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "an address behind a carrier's NAT"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, LOOPBACK),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "a link-local address"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "a private address"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "a protocol address"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "a documentation address"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a 6to4 relay address"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "a private address"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "a benchmark address"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "a documentation address"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "a documentation address"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "a multicast address"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "a reserved address"),
];

/// Leading segments, bits of the prefix, what it is; the narrower before the wider.
const V6: [([u16; 4], u32, &str); 14] = [
    ([0x64, 0xff9b, 0, 0], 96, "an address that carries an IPv4 address (NAT64)"),
    ([0x64, 0xff9b, 1, 0], 48, "an address that carries an IPv4 address (NAT64)"),
    ([0x100, 0, 0, 0], 64, "a discard address"),
    ([0x2001, 0, 0, 0], 32, "an address that carries an IPv4 address (Teredo)"),
    ([0x2001, 2, 0, 0], 48, "a benchmark address"),
    ([0x2001, 0, 0, 0], 23, "a protocol address"),
    ([0x2001, 0xdb8, 0, 0], 32, "a documentation address"),
    ([0x2002, 0, 0, 0], 16, "an address that carries an IPv4 address (6to4)"),
    ([0x3fff, 0, 0, 0], 20, "a documentation address"),
    ([0x5f00, 0, 0, 0], 16, "a segment-routing address"),
    ([0xfc00, 0, 0, 0], 7, "a private address"),
    ([0xfe80, 0, 0, 0], 10, "a link-local address"),
    ([0xfec0, 0, 0, 0], 10, "a site-local address"),
    ([0xff00, 0, 0, 0], 8, "a multicast address"),
];

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let found = V4.iter().find(|(network, bits, _)| {
        let shift = u32::BITS - bits;
        address.to_bits() >> shift == network.to_bits() >> shift
    });
    found.map(|(_, _, name)| *name)
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_loopback() {
        return Some(LOOPBACK);
    }
    if address.is_unspecified() {
        return Some("an unspecified address");
    }
    if address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254) {
        return Some("a cloud metadata address");
    }
    let found = V6.iter().find(|([a, b, c, d], bits, _)| {
        let network = Ipv6Addr::new(*a, *b, *c, *d, 0, 0, 0, 0);
        let shift = u128::BITS - bits;
        address.to_bits() >> shift == network.to_bits() >> shift
    });
    // Global unicast is what IANA hands out of 2000::/3; the rest is not public by anyone's rule.
    let is_global_unicast = address.segments()[0] & 0xe000 == 0x2000;
    match found {
        Some((_, _, name)) => Some(name),
        None if is_global_unicast => None,
        None => Some("not a global unicast address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_have_no_class() {
        let public = [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.1.1",
            "192.169.0.0",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::200e",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
        ];
        for text in public {
            assert_eq!(special(text.parse().expect(text)), None, "{text}");
        }
    }

    #[test]
    fn every_special_class_is_seen() {
        let table = [
            ("127.0.0.1", LOOPBACK),
            ("127.255.255.254", LOOPBACK),
            ("::1", LOOPBACK),
            ("::ffff:127.0.0.1", LOOPBACK),
            ("::ffff:7f00:1", LOOPBACK),
            ("10.0.0.1", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("::ffff:192.168.1.1", "private"),
            ("fc00::1", "private"),
            ("fd12:3456::1", "private"),
            ("100.64.0.1", "NAT"),
            ("100.100.100.200", "NAT"),
            ("169.254.169.254", "metadata"),
            ("::ffff:169.254.169.254", "metadata"),
            ("fd00:ec2::254", "metadata"),
            ("169.254.0.1", "link-local"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("224.0.0.1", "multicast"),
            ("239.1.1.1", "multicast"),
            ("ff02::1", "multicast"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("::", "unspecified"),
            ("192.0.2.1", "documentation"),
            ("198.51.100.7", "documentation"),
            ("203.0.113.9", "documentation"),
            ("2001:db8::1", "documentation"),
            ("3fff::1", "documentation"),
            ("198.18.0.1", "benchmark"),
            ("198.19.255.255", "benchmark"),
            ("2001:2::1", "benchmark"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("192.0.0.170", "protocol"),
            ("192.88.99.1", "6to4"),
            ("2002:7f00:1::", "6to4"),
            ("64:ff9b::7f00:1", "NAT64"),
            ("64:ff9b::8.8.8.8", "NAT64"),
            ("64:ff9b:1::a00:1", "NAT64"),
            ("2001:0:4136:e378::1", "Teredo"),
            ("100::1", "discard"),
            ("5f00::1", "segment"),
            ("::7f00:1", "not a global"),
            ("4000::1", "not a global"),
        ];
        for (text, class) in table {
            let found = special(text.parse().expect(text)).unwrap_or("public");
            assert!(found.contains(class), "{text} is {found}, not {class}");
        }
    }
}
