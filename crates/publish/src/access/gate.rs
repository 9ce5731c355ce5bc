//! How often a caller may ask an app.
//!
//! In: the apps' `limits`, and who asks. Out: how the caller stands, for the headers of the answer
//! (draft-ietf-httpapi-ratelimit-headers), or a refusal. What never happens here: a look at what is
//! asked.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use restway_model::Rate;
use restway_model::definition::{AppFile, AppLimits};

use super::{Buckets, Caller, Standing, place};
use crate::refusal::{Refusal, seconds};

/// The rates of the apps.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    limits: BTreeMap<String, AppLimits>,
    buckets: Buckets<(String, Who)>,
}

/// By what requests are counted: a key or a user, or the address of somebody unknown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Known(String),
    Unknown(Option<IpAddr>),
}

impl Gate {
    /// Counts by the limits of an app.
    pub(crate) fn add(&mut self, app: &AppFile) {
        self.limits.insert(app.app.to_string(), app.limits.clone());
    }

    /// Counts a request; the standing is for the answer, whatever that is. Nothing without a rate.
    pub(crate) fn pass(
        &self,
        app: &str,
        caller: &Caller,
        peer: Option<IpAddr>,
        now: Duration,
        headers: &mut Vec<(&'static str, String)>,
    ) -> Result<(), Refusal> {
        let Some(rate) = self.limits.get(app).and_then(|limits| rate(limits, caller)) else {
            return Ok(());
        };
        let who = match caller.id() {
            Some(id) => Who::Known(id.to_owned()),
            None => Who::Unknown(place(peer)),
        };
        let standing = self.buckets.take((app.to_owned(), who), rate, now);
        headers.extend(told(&standing));
        standing.wait.map_or(Ok(()), |wait| Err(Refusal::Limited { wait }))
    }
}

/// The highest of the rates of the caller's groups, or the one of everybody.
fn rate(limits: &AppLimits, caller: &Caller) -> Option<Rate> {
    let of_groups = caller.groups().filter_map(|group| limits.groups.get(group).copied());
    let highest = of_groups.max_by(|one, other| {
        let each = |rate: &Rate| rate.per.as_nanos() / u128::from(rate.count.max(1));
        each(other).cmp(&each(one))
    });
    highest.or(limits.rate)
}

fn told(standing: &Standing) -> [(&'static str, String); 2] {
    let Standing { rate, left, full_in, .. } = standing;
    let policy = format!("\"app\";q={};w={}", rate.count, seconds(rate.per));
    let now = format!("\"app\";r={left};t={}", seconds(*full_in));
    [("ratelimit-policy", policy), ("ratelimit", now)]
}
