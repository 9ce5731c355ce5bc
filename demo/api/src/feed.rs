//! `/feed`: a list that its owner adds to while it is served, for syncs that read what is new.
//!
//! | parameter | meaning |
//! | --- | --- |
//! | `since` | rows with `at` at this RFC 3339 instant or later |
//! | `until` | rows with `at` before this instant |
//! | `above` | rows with an `id` of this number or more |
//! | `size` | rows of a page; 50 unless asked for, at most 200 |
//! | `after` | the position that the page before ended at: its `next` |
//!
//! Rows come in the order in which they were added, which need not be that of `at`; a row without
//! `at` passes every filter. The answer is `{"rows", "next"}`; `next` is null at the end.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::routing::get;
use chrono::DateTime;

use crate::answer::{self, Answer};
use crate::data::Object;
use crate::pages::{SIZE_DEFAULT, SIZE_MAX};
use crate::params::Params;
use crate::state::{Api, locked};

/// The most rows of a feed.
pub(crate) const FEED_MAX: usize = 100_000;

/// A row of the feed.
pub(crate) struct FeedRow {
    id: u64,
    at: Option<String>,
}

impl FeedRow {
    pub(crate) fn new(id: u64, at: Option<&str>) -> Self {
        Self { id, at: at.map(str::to_owned) }
    }

    /// Microseconds since 1970.
    fn instant(&self) -> Option<i64> {
        let at = DateTime::parse_from_rfc3339(self.at.as_deref()?);
        at.ok().map(|at| at.timestamp_micros())
    }

    fn json(&self) -> String {
        let row = Object::new().raw("id", self.id).optional_text("at", self.at.as_deref());
        row.finish()
    }
}

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/feed", get(feed))
}

async fn feed(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Answer {
    let allowed = ["since", "until", "above", "size", "after"];
    let params = Params::read(query.as_deref(), &allowed)?;
    let (since, until) = (params.instant("since")?, params.instant("until")?);
    let above = params.number("above", 0, 0..=u64::MAX)?;
    let size = params.number("size", SIZE_DEFAULT, 1..=SIZE_MAX)?;
    let after = params.number("after", 0, 0..=u64::from(u32::MAX))?;
    let rows = locked(&api.feed);
    let wanted = |row: &FeedRow| {
        let fits =
            |at| since.is_none_or(|since| at >= since) && until.is_none_or(|until| at < until);
        row.id >= above && row.instant().is_none_or(fits)
    };
    let places = rows.iter().enumerate().skip(usize::try_from(after).unwrap_or(usize::MAX));
    let mut found = places.filter(|(_, row)| wanted(row));
    let mut page = Vec::new();
    let mut last = 0;
    for (place, row) in found.by_ref().take(usize::try_from(size).unwrap_or(usize::MAX)) {
        page.push(row.json());
        last = place + 1;
    }
    let next = found.next().map(|_| last.to_string());
    let rows = format!("[{}]", page.join(","));
    Ok(answer::ok(Object::new().raw("rows", rows).optional_text("next", next.as_deref()).finish()))
}
