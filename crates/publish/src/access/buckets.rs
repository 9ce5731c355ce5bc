//! Rates: how often somebody may.
//!
//! In: who, a rate, and the time. Out: what is left, or how long to wait. This is the generic cell
//! rate algorithm (ITU-T I.371): of each it is kept only when all of the rate will be free again,
//! so a burst up to the whole rate is fine and one number is enough. How many are remembered is
//! bounded; whoever has all of the rate free need not be.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use restway_model::Rate;

/// How many are remembered at once.
const KEPT_MAX: usize = 20_000;

/// When each has all of its rate free again.
#[derive(Debug)]
pub(crate) struct Buckets<K>(Mutex<HashMap<K, Duration>>);

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// What is left of a rate after one was taken, or none was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) rate: Rate,
    pub(crate) left: u32,
    /// Until all of it is free again.
    pub(crate) full_in: Duration,
    /// Until one more may be taken, when this one may not.
    pub(crate) wait: Option<Duration>,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    /// Takes one.
    pub(crate) fn take(&self, who: K, rate: Rate, now: Duration) -> Standing {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = kept.get(&who).copied().unwrap_or(now).max(now);
        let standing = Standing::at(free, rate, now);
        if standing.wait.is_some() {
            return standing;
        }
        if kept.len() >= KEPT_MAX && !kept.contains_key(&who) {
            make_room(&mut kept, now);
        }
        let free = free + rate.per / rate.count.max(1);
        kept.insert(who, free);
        Standing { wait: None, ..Standing::at(free, rate, now) }
    }

    /// Looks, and takes none.
    pub(crate) fn look(&self, who: &K, rate: Rate, now: Duration) -> Standing {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Standing::at(kept.get(who).copied().unwrap_or(now).max(now), rate, now)
    }
}

impl Standing {
    fn at(free: Duration, rate: Rate, now: Duration) -> Self {
        let each = (rate.per / rate.count.max(1)).max(Duration::from_nanos(1));
        let taken = free - now;
        let left = rate.per.saturating_sub(taken).as_nanos() / each.as_nanos();
        let left = u32::try_from(left).unwrap_or(u32::MAX).min(rate.count);
        let wait = (taken + each).checked_sub(rate.per).filter(|_| left == 0);
        Self { rate, left, full_in: taken, wait }
    }
}

/// Forgets those who have all of their rate free; if nobody has, the one who comes nearest.
fn make_room<K: Eq + Hash + Clone>(kept: &mut HashMap<K, Duration>, now: Duration) {
    kept.retain(|_, free| *free > now);
    if kept.len() >= KEPT_MAX {
        let nearest = kept.iter().min_by_key(|(_, free)| **free).map(|(who, _)| who.clone());
        nearest.map(|who| kept.remove(&who));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { count: 3, per: Duration::from_secs(3) };

    #[test]
    fn a_rate_may_be_taken_at_once_and_comes_back_evenly() {
        let buckets = Buckets::default();
        let at = |millis: u64| Duration::from_millis(10_000 + millis);
        let left: Vec<u32> = (0..3).map(|_| buckets.take("jo", RATE, at(0)).left).collect();
        assert_eq!(left, [2, 1, 0]);
        let refused = buckets.take("jo", RATE, at(100));
        assert_eq!(refused.wait, Some(Duration::from_millis(900)));
        assert_eq!(buckets.take("ann", RATE, at(100)).left, 2, "each has their own");
        assert_eq!(buckets.take("jo", RATE, at(1_000)).wait, None);
        assert!(buckets.take("jo", RATE, at(1_001)).wait.is_some());
        let rested = buckets.take("jo", RATE, at(60_000));
        assert_eq!((rested.left, rested.full_in), (2, Duration::from_secs(1)));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let buckets = Buckets::default();
        for who in 0..KEPT_MAX + 10 {
            buckets.take(who, RATE, Duration::from_millis(who as u64 / 100));
        }
        assert!(buckets.0.lock().unwrap().len() <= KEPT_MAX);
    }
}
