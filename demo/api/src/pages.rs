//! Token pages: the pagination style of `/v1`, `/auth` and most faults.
//!
//! In go a collection and a query string; out comes `{"data": […], "nextPageToken": …, "total": n}`
//! where the last page has no `nextPageToken`. A token is base64url text holding the collection,
//! the filter, the position and a check sum over them; it is refused for another collection or
//! filter. The check sum catches mistakes, not attackers: nothing here is worth an attack.

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::answer::{self, Problem};
use crate::data::Collection;
use crate::params::Params;
use crate::state::Api;

/// The page size when none is asked for.
pub(crate) const SIZE_DEFAULT: u64 = 50;
/// The largest page size that may be asked for.
pub(crate) const SIZE_MAX: u64 = 200;

/// One page, as a response. Parameters named in `ignored` are allowed and have no meaning here.
pub(crate) fn token_page(
    api: &Api,
    collection: Collection,
    query: Option<&str>,
    ignored: &[&str],
) -> Result<Response, Problem> {
    page_text(api, collection, query, ignored).map(answer::ok)
}

/// One page, as JSON text.
pub(crate) fn page_text(
    api: &Api,
    collection: Collection,
    query: Option<&str>,
    ignored: &[&str],
) -> Result<String, Problem> {
    let mut allowed = vec!["pageSize", "pageToken"];
    if collection.has_updates() {
        allowed.push("updated_since");
    }
    allowed.extend(ignored);
    let params = Params::read(query, &allowed)?;
    let size = params.number("pageSize", SIZE_DEFAULT, 1..=SIZE_MAX)?;
    let since = params.instant("updated_since")?;
    let (position, since) = match params.text("pageToken") {
        Some(token) => {
            let mark = Mark::read(token, collection).ok_or_else(wrong_token)?;
            if since.is_some() && since != mark.since {
                return Err(wrong_token());
            }
            (mark.position, mark.since)
        }
        None => (0, since),
    };
    let slice = api.slice(collection, position, size, since);
    let next = slice.next.map(|position| Mark { position, since }.write(collection));
    Ok(text(&slice.records, next.as_deref(), slice.total))
}

/// The envelope of a page.
pub(crate) fn text(records: &[String], next: Option<&str>, total: u64) -> String {
    let next = next.map(|token| format!(",\"nextPageToken\":\"{token}\"")).unwrap_or_default();
    format!("{{\"data\":[{}]{next},\"total\":{total}}}", records.join(","))
}

fn wrong_token() -> Problem {
    let message = "`pageToken` must be a `nextPageToken` that this collection answered with, \
                   sent with the same filter";
    Problem::parameter("pageToken", message)
}

/// A place in a walk.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    position: u64,
    since: Option<i64>,
}

impl Mark {
    fn write(&self, collection: Collection) -> String {
        let since = self.since.map(|since| since.to_string()).unwrap_or_default();
        let content = format!("1|{}|{since}|{}", collection.path(), self.position);
        let check = check_sum(&content);
        URL_SAFE_NO_PAD.encode(format!("{content}|{check:016x}"))
    }

    fn read(token: &str, collection: Collection) -> Option<Mark> {
        let content = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let mut parts = content.split('|').skip(2);
        let since = match parts.next()? {
            "" => None,
            since => Some(since.parse().ok()?),
        };
        let mark = Mark { since, position: parts.next()?.parse().ok()? };
        // Written again, it must be the same: that checks the collection, the sum and every byte.
        (mark.write(collection) == token).then_some(mark)
    }
}

/// FNV-1a with a start of its own.
fn check_sum(text: &str) -> u64 {
    text.bytes().fold(0x6465_6d6f_2061_7069, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_only_where_it_belongs() {
        let mark = Mark { position: 50, since: Some(-7) };
        let token = mark.write(Collection::Issues(7));
        assert_eq!(Mark::read(&token, Collection::Issues(7)), Some(mark));
        assert_eq!(Mark::read(&token, Collection::Issues(8)), None);
        assert_eq!(Mark::read(&token[1..], Collection::Issues(7)), None);
        assert_eq!(Mark::read("", Collection::Issues(7)), None);
        let forged = URL_SAFE_NO_PAD.encode("1|customers||50|0000000000000000");
        assert_eq!(Mark::read(&forged, Collection::Customers), None);
    }
}
