//! Digest access authentication (RFC 7616): the password is proven and never sent.
//!
//! In: the challenge of a 401 answer, user name and password, and the hop. Out: the header. A
//! server's nonce is used again, with a growing count, until it sends another; so only the first
//! request goes out twice. MD5 and SHA-256, also as `-sess`, with `qop=auth` or the older form
//! without it; where a server offers both hashes, SHA-256 is taken.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use md5::{Digest as _, Md5};
use restway_model::Secret;

use crate::authorize::Credential;
use crate::error::Failure;
use crate::redirect::Hop;

const CNONCE_BYTES: usize = 16;
/// Parameters of one challenge that are read.
const PARAMETERS_MAX: usize = 32;

/// What a server challenged us with, and how often it was answered.
#[derive(Default)]
pub(crate) struct Digests(Mutex<Option<(Challenge, u32)>>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    hash: Hash,
    /// The algorithm as the server wrote it.
    algorithm: Option<String>,
    is_session: bool,
    has_qop: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hash {
    Md5,
    Sha256,
}

impl Hash {
    fn of(self, text: &str) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Md5 => hex(&Md5::digest(text.as_bytes())),
            Self::Sha256 => hex(digest(&SHA256, text.as_bytes()).as_ref()),
        }
    }
}

impl Digests {
    /// Takes the challenge of a 401; answers whether another try makes sense, which it does not
    /// when the server refuses the nonce that it gave: the one that this request `used`, since
    /// others may have been given the same meanwhile.
    pub(crate) fn challenged(&self, headers: &[(String, String)], used: Option<&str>) -> bool {
        let values = headers.iter().filter(|(name, _)| name == "www-authenticate");
        let best = values.flat_map(|(_, value)| challenges(value)).max_by_key(|one| one.hash);
        let Some(challenge) = best else { return false };
        if used == Some(challenge.nonce.as_str()) {
            return false;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is known already keeps its count, which must not begin again.
        if known.as_ref().is_none_or(|(known, _)| known.nonce != challenge.nonce) {
            *known = Some((challenge, 0));
        }
        true
    }

    /// The header for a hop; None before the first challenge.
    pub(crate) fn header(
        &self,
        hop: &Hop,
        username: &str,
        password: &Secret,
    ) -> Result<Option<Secret>, Failure> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((challenge, count)) = known.as_mut() else { return Ok(None) };
        *count = count.saturating_add(1);
        let mut random = [0; CNONCE_BYTES];
        aws_lc_rs::rand::fill(&mut random)
            .map_err(|_| Failure::invalid("`auth`", "needs random bytes, and there are none"))?;
        let cnonce: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let target = match hop.url.expose().query() {
            Some(query) => format!("{}?{query}", hop.url.expose().path()),
            None => hop.url.expose().path().to_owned(),
        };
        let method = hop.method.as_str();
        let who = (username, password);
        Ok(Some(answer(challenge, *count, &cnonce, who, method, &target)))
    }
}

/// The nonce that a header of ours answers.
pub(crate) fn nonce(credential: &Credential) -> Option<String> {
    let Credential::Header(_, header) = credential else { return None };
    let parameters = parameters(header.expose().strip_prefix("Digest ")?);
    parameters.into_iter().find(|(name, _)| name == "nonce").map(|(_, nonce)| nonce)
}

/// The `Digest` challenges of one header, which may hold those of other schemes too.
fn challenges(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let lower = header.to_ascii_lowercase();
    for (at, _) in lower.match_indices("digest ") {
        if at == 0 || lower[..at].trim_end().ends_with(',') {
            found.extend(challenge(&header[at + "digest ".len()..]));
        }
    }
    found
}

fn challenge(text: &str) -> Option<Challenge> {
    let parameters = parameters(text);
    let get = |name: &str| {
        let found = parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    let algorithm = get("algorithm");
    let upper = algorithm.as_deref().unwrap_or("MD5").to_ascii_uppercase();
    let hash = match upper.trim_end_matches("-SESS") {
        "MD5" => Hash::Md5,
        "SHA-256" => Hash::Sha256,
        _ => return None,
    };
    let qop = get("qop");
    let has_qop = qop.is_some();
    let is_known = |qop: &String| qop.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth"));
    qop.as_ref().is_none_or(is_known).then_some(())?;
    Some(Challenge {
        realm: get("realm").unwrap_or_default(),
        nonce: get("nonce")?,
        opaque: get("opaque"),
        hash,
        is_session: upper.ends_with("-SESS"),
        algorithm,
        has_qop,
    })
}

/// `name=value` and `name="value"`, up to the name of another scheme.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while found.len() < PARAMETERS_MAX {
        let Some((name, after)) = rest.split_once('=') else { break };
        let name = name.trim_matches([' ', ',', '\t']);
        if name.is_empty() || name.contains(' ') {
            break;
        }
        let after = after.trim_start();
        let mut value = String::new();
        let mut used = 0;
        if after.starts_with('"') {
            let mut is_escaped = false;
            for (at, c) in after.char_indices().skip(1) {
                used = at + c.len_utf8();
                match c {
                    '\\' if !is_escaped => is_escaped = true,
                    '"' if !is_escaped => break,
                    _ => {
                        value.push(c);
                        is_escaped = false;
                    }
                }
            }
        } else {
            used = after.find([',', ' ']).unwrap_or(after.len());
            value.push_str(&after[..used]);
        }
        found.push((name.to_owned(), value));
        rest = &after[used..];
    }
    found
}

fn answer(
    challenge: &Challenge,
    count: u32,
    cnonce: &str,
    (username, password): (&str, &Secret),
    method: &str,
    target: &str,
) -> Secret {
    let Challenge { realm, nonce, hash, .. } = challenge;
    let mut first = hash.of(&format!("{username}:{realm}:{}", password.expose()));
    if challenge.is_session {
        first = hash.of(&format!("{first}:{nonce}:{cnonce}"));
    }
    let second = hash.of(&format!("{method}:{target}"));
    let response = match challenge.has_qop {
        true => hash.of(&format!("{first}:{nonce}:{count:08x}:{cnonce}:auth:{second}")),
        false => hash.of(&format!("{first}:{nonce}:{second}")),
    };
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut header = format!(
        "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{target}\", \
         response=\"{response}\"",
        quoted(username),
        quoted(realm),
        quoted(nonce),
    );
    if let Some(algorithm) = &challenge.algorithm {
        header.push_str(&format!(", algorithm={algorithm}"));
    }
    if challenge.has_qop {
        header.push_str(&format!(", qop=auth, nc={count:08x}, cnonce=\"{cnonce}\""));
    } else if challenge.is_session {
        header.push_str(&format!(", cnonce=\"{cnonce}\""));
    }
    if let Some(opaque) = &challenge.opaque {
        header.push_str(&format!(", opaque=\"{}\"", quoted(opaque)));
    }
    Secret::new(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_7616_come_out() {
        let header = |algorithm: &str| {
            format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
                 algorithm={algorithm}, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            )
        };
        let table = [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ];
        for (algorithm, expected) in table {
            let challenge = challenges(&header(algorithm)).remove(0);
            let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
            let who = ("Mufasa", &Secret::new("Circle of Life"));
            let header = answer(&challenge, 1, cnonce, who, "GET", "/dir/index.html");
            let response = format!("response=\"{expected}\"");
            assert!(header.expose().contains(&response), "{}", header.expose());
            assert!(header.expose().contains("nc=00000001") && !header.expose().contains("Circle"));
        }
    }

    #[test]
    fn the_best_of_several_challenges_is_taken_and_a_refusal_is_not_repeated() {
        let one = |value: &str| vec![("www-authenticate".to_owned(), value.to_owned())];
        let both =
            one("Basic realm=\"a, b\", Digest realm=\"x\\\"y\", nonce=n1, Digest realm=\"r\", \
             algorithm=SHA-256, qop=\"auth\", nonce=\"n2\"");
        let digests = Digests::default();
        assert!(digests.challenged(&both, None));
        let known = digests.0.lock().unwrap().clone().unwrap().0;
        assert_eq!((known.nonce.as_str(), known.hash), ("n2", Hash::Sha256));
        assert!(!digests.challenged(&both, Some("n2")), "the same nonce was refused");
        assert!(digests.challenged(&both, None), "another request was given the same");
        assert!(digests.challenged(&one("Digest realm=r, nonce=n3, stale=true"), Some("n2")));
        for other in ["Basic realm=x", "Digest nonce=n4, qop=\"auth-int\"", "Digest realm=r"] {
            assert!(!digests.challenged(&one(other), None), "{other}");
        }
        assert!(!digests.challenged(&one("Digest nonce=n5, algorithm=SHA-512-256"), None));
    }
}
