//! Who may ask at all, before anybody looks at what is asked.
//!
//! In: the head of a request. Out: nothing, or the refusal. The rules: on a loopback address only
//! names of this machine are served (421 otherwise), whatever the form in which the name is given;
//! a body beyond the bound is refused before it is read (413). What never happens here: a look at
//! the path.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{CONTENT_LENGTH, HOST};
use axum::http::request::Parts;

/// Names under which a browser on this machine may know us.
const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What is asked of every request.
#[derive(Debug)]
pub(crate) struct Guard {
    /// The names that are served; any without.
    names: Option<Vec<String>>,
    body_bytes_max: u64,
}

/// Why a request goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unwelcome {
    /// It was meant for another server.
    Name,
    /// It brings too much.
    Body,
    /// It brings it too slowly.
    Pace,
}

impl Guard {
    /// The rules of a server that listens there.
    pub(crate) fn new(listen: SocketAddr, body_bytes_max: u64) -> Self {
        let names = is_loopback(listen).then(|| {
            let own = match listen.ip() {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            };
            let mut names: Vec<String> = LOOPBACK_NAMES.map(str::to_owned).to_vec();
            names.push(own);
            names
        });
        Self { names, body_bytes_max }
    }

    /// As much of a body as is read.
    pub(crate) fn body_bytes_max(&self) -> usize {
        usize::try_from(self.body_bytes_max).unwrap_or(usize::MAX)
    }

    /// Looks at a head.
    pub(crate) fn check(&self, head: &Parts) -> Result<(), Unwelcome> {
        if !self.is_for_us(head) {
            return Err(Unwelcome::Name);
        }
        let length = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        match length.and_then(|length| length.parse::<u64>().ok()) {
            Some(length) if length > self.body_bytes_max => Err(Unwelcome::Body),
            _ => Ok(()),
        }
    }

    /// Both places that can name a server must name this one: `Host`, and the request line of a
    /// client that takes us for a proxy.
    fn is_for_us(&self, head: &Parts) -> bool {
        let Some(names) = &self.names else { return true };
        let is_ours = |host: &str| names.iter().any(|name| name.eq_ignore_ascii_case(host));
        let mut hosts = head.headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        host.to_str().is_ok_and(|host| without_port(host).is_some_and(is_ours))
            && head.uri.host().is_none_or(is_ours)
    }
}

/// Whether only this machine can reach the address.
pub(crate) fn is_loopback(listen: SocketAddr) -> bool {
    listen.ip().to_canonical().is_loopback()
}

/// The name in `name:port`, whose port, if there is one, is a number.
fn without_port(host: &str) -> Option<&str> {
    let name_end = match host.find(']') {
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(name_end);
    let is_port = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    is_port.then_some(name)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn check(listen: &str, target: &str, headers: &[(&str, &str)]) -> Result<(), Unwelcome> {
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        Guard::new(listen.parse().unwrap(), 100).check(&head)
    }

    #[test]
    fn a_loopback_server_serves_only_names_of_this_machine() {
        for host in ["localhost", "LOCALHOST:7878", "127.0.0.1:1", "[::1]:7878", "[::1]"] {
            assert_eq!(check("127.0.0.1:1", "/", &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "",
            "[::1",
            "localhost:80@evil.example",
            "127.0.0.2",
            "[::1]evil.example",
        ] {
            let found = check("127.0.0.1:1", "/", &[("host", host)]);
            assert_eq!(found, Err(Unwelcome::Name), "{host}");
        }
        assert_eq!(check("127.0.0.2:1", "/", &[("host", "127.0.0.2:1")]), Ok(()));
        assert_eq!(check("127.0.0.1:1", "/", &[]), Err(Unwelcome::Name));
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(check("127.0.0.1:1", "/", &twice), Err(Unwelcome::Name));
        let proxied = check("127.0.0.1:1", "http://evil.example/", &[("host", "localhost")]);
        assert_eq!(proxied, Err(Unwelcome::Name));
    }

    #[test]
    fn beyond_this_machine_any_name_is_good() {
        assert_eq!(check("0.0.0.0:1", "/", &[("host", "shop.example")]), Ok(()));
        assert_eq!(check("0.0.0.0:1", "/", &[]), Ok(()));
    }

    #[test]
    fn a_body_beyond_the_bound_is_refused_by_its_length() {
        let of_length = |length| [("host", "localhost"), ("content-length", length)];
        assert_eq!(check("127.0.0.1:1", "/", &of_length("100")), Ok(()));
        assert_eq!(check("127.0.0.1:1", "/", &of_length("101")), Err(Unwelcome::Body));
    }
}
