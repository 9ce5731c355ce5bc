//! The `RateLimit` and `RateLimit-Policy` headers.
//!
//! In: their values. Out: how long there is nothing left. Pure. Two forms are in use: lists of
//! quotas, `"hour";r=0;t=1800` with the policy `"hour";q=5000;w=3600` (draft-ietf-httpapi-
//! ratelimit-headers-08 and later), and one quota, `limit=100, remaining=0, reset=50` (before).

use std::time::Duration;

/// The longest wait of the quotas of which nothing remains.
pub(crate) fn wait(limits: &str, policies: Option<&str>) -> Option<Duration> {
    if limits.contains("remaining") {
        let part = |name: &str| number(limits.split(','), name);
        return (part("remaining") == Some(0)).then(|| part("reset"))?.map(Duration::from_secs);
    }
    let quotas = limits.split(',').filter_map(|quota| {
        let (name, parameters) = quota.split_once(';')?;
        let part = |name: &str| number(parameters.split(';'), name);
        if part("r") != Some(0) {
            return None;
        }
        part("t").or_else(|| window(policies?, name.trim()))
    });
    quotas.max().map(Duration::from_secs)
}

/// The window of a policy: where a quota does not say when it is new, then at the latest.
fn window(policies: &str, quota: &str) -> Option<u64> {
    policies.split(',').find_map(|policy| {
        let (name, parameters) = policy.split_once(';')?;
        (name.trim() == quota).then(|| number(parameters.split(';'), "w"))?
    })
}

fn number<'a>(parts: impl Iterator<Item = &'a str>, name: &str) -> Option<u64> {
    let mut pairs = parts.filter_map(|part| part.split_once('='));
    let found = pairs.find(|(known, _)| known.trim() == name);
    found.and_then(|(_, value)| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let table = [
            ("\"hour\";r=0;t=1800", None, Some(1800)),
            ("\"hour\"; r=0; t=1800, \"day\";r=0;t=40000", None, Some(40_000)),
            ("\"hour\";r=3;t=9, \"day\";r=0;t=7", None, Some(7)),
            ("\"hour\";r=0", Some("\"day\";q=9;w=86400, \"hour\";q=5;w=3600"), Some(3600)),
            ("\"hour\";r=0", Some("\"day\";q=9;w=86400"), None),
            ("\"hour\";r=1;t=5", None, None),
            ("limit=100, remaining=0, reset=50", None, Some(50)),
            ("limit=100, remaining=3, reset=50", None, None),
            ("nonsense", None, None),
            ("", None, None),
        ];
        for (limits, policies, expected) in table {
            let read = wait(limits, policies).map(|wait| wait.as_secs());
            assert_eq!(read, expected, "{limits} {policies:?}");
        }
    }
}
