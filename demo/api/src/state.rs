//! What one demo API holds between requests.
//!
//! In go [`Settings`]; out come records by collection and id, whether computed ([`Data`]) or
//! created by a caller, and slices of collections for every pagination style. All that grows has
//! a bound: created customers here, tokens, the log and fault counters in their own modules. Locks
//! are held for moments and never across an await.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::data::{Collection, Customer, Data, created_stamp, customer_text};
use crate::faults::Memory;
use crate::feed::FeedRow;
use crate::planned::Plan;
use crate::seen::SeenLog;
use crate::settings::Settings;
use crate::tokens::Tokens;

/// The most customers a caller may create.
pub(crate) const CREATED_MAX: usize = 1_000;

/// Everything the handlers share.
pub(crate) struct Api {
    pub(crate) data: Data,
    pub(crate) tokens: Tokens,
    pub(crate) seen: SeenLog,
    pub(crate) plan: Plan,
    pub(crate) faults: Memory,
    pub(crate) feed: Mutex<Vec<FeedRow>>,
    created: Mutex<Created>,
}

#[derive(Default)]
struct Created {
    records: Vec<String>,
    /// By idempotency key: a hash of the body and the id it led to.
    keys: HashMap<String, (u64, u64)>,
}

/// What came of creating a customer.
pub(crate) enum Creation {
    Created {
        id: u64,
        text: String,
    },
    /// The same key and the same body as before.
    Replayed {
        id: u64,
        text: String,
    },
    /// The same key with another body.
    KeyReused,
    Full,
}

/// Part of a collection.
pub(crate) struct Slice {
    pub(crate) records: Vec<String>,
    /// How many records there are in all, after the filter.
    pub(crate) total: u64,
    /// The position from which to go on, if anything is left.
    pub(crate) next: Option<u64>,
}

impl Api {
    pub(crate) fn new(settings: Settings) -> Api {
        let data = Data {
            seed: settings.seed,
            projects: u64::from(settings.projects),
            issues_per_project: u64::from(settings.issues_per_project),
            customers: u64::from(settings.customers),
            orders: u64::from(settings.orders),
        };
        Api {
            data,
            tokens: Tokens::new(settings.token_lifetime),
            seen: SeenLog::default(),
            plan: Plan::new(settings.faults),
            faults: Memory::default(),
            feed: Mutex::default(),
            created: Mutex::default(),
        }
    }

    pub(crate) fn total(&self, collection: Collection) -> u64 {
        let created = match collection {
            Collection::Customers => locked(&self.created).records.len() as u64,
            _ => 0,
        };
        self.data.total(collection) + created
    }

    /// The record with this id, if there is one.
    pub(crate) fn record(&self, collection: Collection, id: u64) -> Option<String> {
        let computed = self.data.total(collection);
        if id == 0 {
            return None;
        }
        if id <= computed {
            return Some(self.data.record(collection, id));
        }
        if collection != Collection::Customers {
            return None;
        }
        let index = usize::try_from(id - computed - 1).ok()?;
        locked(&self.created).records.get(index).cloned()
    }

    /// Up to `size` records after the first `position`, of those updated at `since` or later.
    pub(crate) fn slice(
        &self,
        collection: Collection,
        position: u64,
        size: u64,
        since: Option<i64>,
    ) -> Slice {
        let count = self.total(collection);
        let wanted = |id: &u64| match since {
            Some(since) => self.data.updated_at(collection, *id) >= since,
            None => true,
        };
        let total = match since {
            Some(_) => (1..=count).filter(wanted).count() as u64,
            None => count,
        };
        let mut ids = (position.saturating_add(1)..=count).filter(wanted);
        let mut records = Vec::new();
        let mut last = position;
        for id in ids.by_ref().take(usize::try_from(size).unwrap_or(usize::MAX)) {
            records.extend(self.record(collection, id));
            last = id;
        }
        let next = ids.next().map(|_| last);
        Slice { records, total, next }
    }

    /// Adds a customer, once for each idempotency key.
    pub(crate) fn create(
        &self,
        mut customer: Customer,
        body: &[u8],
        key: Option<&str>,
    ) -> Creation {
        let mut created = locked(&self.created);
        let first = self.data.total(Collection::Customers) + 1;
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let hash = hasher.finish();
        if let Some((known, id)) = key.and_then(|key| created.keys.get(key)).copied() {
            if known != hash {
                return Creation::KeyReused;
            }
            let text = created.records[(id - first) as usize].clone();
            return Creation::Replayed { id, text };
        }
        if created.records.len() >= CREATED_MAX {
            return Creation::Full;
        }
        let nth = created.records.len() as u64;
        let id = first + nth;
        customer.created_at = created_stamp(nth);
        customer.updated_at.clone_from(&customer.created_at);
        let text = customer_text(id, &customer);
        created.records.push(text.clone());
        if let Some(key) = key {
            created.keys.insert(key.to_owned(), (hash, id));
        }
        Creation::Created { id, text }
    }
}

/// A handler that panicked has not left anything half done here, so a poisoned lock still serves.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
