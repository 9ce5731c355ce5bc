//! From where a part of a resource goes on: what the journal keeps of it.
//!
//! A resource is one part, or one for each parent's row in a `for_each`. A part's state says up to
//! where everything has landed, and, of a walk that did not end, after which page. It is recorded
//! with the batch that holds the rows, in one transaction, so neither is ever without the other.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use restway_connect::PageMark;
use restway_model::definition::{Incremental, ResourceSettings};
use restway_model::{Cursor, CursorFormat};
use serde::{Deserialize, Serialize};

use super::sieve::{Hash, Highest};
use super::windows::Ahead;

/// From where a part goes on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct PartState {
    /// Everything before has landed.
    pub(super) reached: Kept,
    /// What the cursor is: the field and its format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) of: Option<String>,
    /// The walk that did not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) walk: Option<HalfWalk>,
    /// Windows beyond `reached`, by where they begin.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) ahead: BTreeMap<DateTime<Utc>, Ahead>,
    /// Whether it needs no walk before all other parts are done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_done: bool,
    /// How many syncs in a row it failed in by a fault of its own.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) failed: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A walk in its middle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct HalfWalk {
    /// What the requests were made from; a walk of another definition cannot be gone on with.
    pub(super) definition: String,
    pub(super) mark: PageMark,
    /// Its bounds, which must not move while it is walked.
    pub(super) leg: Leg,
    pub(super) highest: Kept,
}

/// A cursor and the records that have it, as they are kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<String>,
    /// Hashes in hexadecimal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    at: Vec<String>,
    /// The same of records beyond the present.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ahead: Vec<String>,
    /// Whether more records have it than are kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_full: bool,
}

impl Kept {
    pub(super) fn of(highest: &Highest) -> Self {
        let written = |hashes: &BTreeSet<u128>| {
            hashes.iter().map(|hash| format!("{hash:032x}")).collect::<Vec<_>>()
        };
        let cursor = highest.cursor.as_ref().map(Cursor::to_string);
        let is_full = highest.is_full();
        let at = if is_full { Vec::new() } else { written(&highest.at) };
        Self { cursor, at, ahead: written(&highest.ahead), is_full }
    }

    /// What was kept; none when it does not fit the format any more.
    pub(super) fn read(&self, format: &CursorFormat) -> Option<Highest> {
        let cursor = match &self.cursor {
            Some(text) => Some(format.read(text)?),
            None => None,
        };
        let read = |hashes: &[String]| {
            hashes.iter().filter_map(|hash| u128::from_str_radix(hash, 16).ok()).collect()
        };
        Some(Highest { cursor, at: read(&self.at), ahead: read(&self.ahead), is_cut: self.is_full })
    }
}

/// The bounds of one walk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Leg {
    /// What the api is asked for from here on: before the cursor by the lookback.
    pub(super) from: Option<String>,
    /// What `${window.end}` is.
    pub(super) to: Option<DateTime<Utc>>,
    /// Whether what is not before `to` waits for the next walk.
    pub(super) is_bounded: bool,
    /// Whether no leg follows.
    pub(super) is_last: bool,
}

impl Leg {
    /// The walk of everything.
    pub(super) fn whole() -> Self {
        Self { is_last: true, ..Self::default() }
    }

    /// The next walk from where everything has landed; none when there is nothing to read yet.
    /// Only the first of a sync looks back.
    pub(super) fn next(
        incremental: &Incremental,
        reached: Option<&Cursor>,
        is_first: bool,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let format = &incremental.send.format;
        let lookback = incremental.lookback.filter(|_| is_first);
        let from = reached.map(|reached| match lookback {
            Some(span) => reached.clone().earlier(span.0).to_string(),
            None => reached.to_string(),
        });
        if !format.is_time() {
            return Some(Self { from, ..Self::whole() });
        }
        let ago = |settle: std::time::Duration| {
            now - TimeDelta::from_std(settle).unwrap_or(TimeDelta::zero())
        };
        let latest = format.cut(ago(incremental.settle.map_or_else(Default::default, |it| it.0)));
        let start = reached.and_then(Cursor::instant);
        let end = start.zip(incremental.window).and_then(|(start, window)| {
            let window = TimeDelta::from_std(window.0).ok()?;
            start.checked_add_signed(window).map(|end| format.cut(end))
        });
        let is_ahead =
            |end: &DateTime<Utc>| *end < latest && start.is_none_or(|start| *end > start);
        if let Some(end) = end.filter(is_ahead) {
            return Some(Self { from, to: Some(end), is_bounded: true, is_last: false });
        }
        let is_bounded = incremental.settle.is_some();
        if is_bounded && start.is_some_and(|start| start >= latest) {
            return None;
        }
        Some(Self { from, to: Some(latest), is_bounded, is_last: true })
    }

    /// The leg that ends where the api's own time does, if that is earlier: what the api will
    /// write down between its time and ours must not be passed.
    pub(super) fn until(self, incremental: &Incremental, api_time: DateTime<Utc>) -> Self {
        let settle = incremental.settle.map_or_else(Default::default, |settle| settle.0);
        let settle = TimeDelta::from_std(settle).unwrap_or(TimeDelta::zero());
        let latest = incremental.send.format.cut(api_time - settle);
        match self.to {
            Some(to) if self.is_bounded && latest < to => {
                Self { to: Some(latest), is_last: true, ..self }
            }
            _ => self,
        }
    }

    pub(super) fn bound(&self) -> Option<Cursor> {
        self.to.filter(|_| self.is_bounded).map(Cursor::Instant)
    }
}

/// What makes the requests of a resource, as a short text.
pub(super) fn fingerprint(settings: &ResourceSettings) -> String {
    let mut hash = Hash::default();
    let mut add = |part: &dyn std::fmt::Debug| hash.add(format!("{part:?}").as_bytes());
    add(&settings.path);
    add(&settings.method);
    add(&settings.query);
    add(&settings.headers);
    add(&settings.body);
    add(&settings.records);
    add(&settings.paginate);
    add(&settings.job);
    add(&settings.incremental.as_ref().map(|own| (&own.cursor, &own.send)));
    format!("{:032x}", hash.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use restway_model::Timespan;
    use restway_model::definition::{SendCursor, StartValue};

    use super::*;

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    fn days(days: u64) -> Option<Timespan> {
        Some(Timespan(Duration::from_secs(days * 86_400)))
    }

    fn monthly(format: &str) -> Incremental {
        Incremental {
            cursor: "at".parse().expect("a path"),
            send: SendCursor { format: format.parse().expect("a format"), ..Default::default() },
            start: Some(StartValue::Text("2026-01-01".into())),
            lookback: days(1),
            settle: None,
            window: days(30),
            future: false,
            scope: None,
        }
    }

    fn legs(incremental: &Incremental, now: &str) -> Vec<String> {
        let mut reached = incremental.first();
        let mut said = Vec::new();
        while let Some(leg) =
            Leg::next(incremental, reached.as_ref(), said.is_empty(), instant(now))
        {
            let to = leg.to.map(|to| to.to_string()).unwrap_or_default();
            let mark = if leg.is_bounded { "[)" } else { "[]" };
            said.push(format!("{mark} {} {to}", leg.from.clone().unwrap_or_default()));
            if leg.is_last {
                break;
            }
            reached = leg.bound();
        }
        said
    }

    #[test]
    fn windows_follow_each_other_and_the_last_ends_now_or_where_it_has_settled() {
        let mut incremental = monthly("rfc3339");
        let expected = [
            "[) 2025-12-31 2026-01-31 00:00:00 UTC",
            "[) 2026-01-31T00:00:00Z 2026-03-02 00:00:00 UTC",
            "[] 2026-03-02T00:00:00Z 2026-03-05 10:00:00 UTC",
        ];
        assert_eq!(legs(&incremental, "2026-03-05T10:00:00.7Z"), expected);
        incremental.settle = days(1);
        let settled = legs(&incremental, "2026-03-05T10:00:00Z");
        assert_eq!(settled[2], "[) 2026-03-02T00:00:00Z 2026-03-04 10:00:00 UTC");
        assert!(legs(&incremental, "2026-01-01T20:00:00Z").is_empty(), "nothing has settled");
        let by_day =
            legs(&Incremental { settle: days(0), ..monthly("date") }, "2026-01-05T10:00:00Z");
        assert_eq!(by_day, ["[) 2025-12-31 2026-01-05 00:00:00 UTC"]);
    }

    #[test]
    fn an_api_whose_clock_is_behind_ends_the_leg() {
        let incremental = Incremental { settle: days(0), ..monthly("rfc3339") };
        let now = instant("2026-01-05T10:00:00Z");
        let leg = Leg::next(&incremental, None, true, now).expect("a leg");
        let behind = leg.clone().until(&incremental, instant("2026-01-05T09:00:00Z"));
        assert_eq!(behind.bound(), Some(Cursor::Instant(instant("2026-01-05T09:00:00Z"))));
        assert_eq!(leg.clone().until(&incremental, instant("2026-01-05T11:00:00Z")), leg);
    }
}
