//! Who may what: from the credential of a request to the rows and columns that it may touch.
//!
//! In: a request, the apps' `access`, and somebody who knows keys and tokens ([`Identities`]). Out:
//! a caller, and for an object and an event what he may do, as a condition on rows and two sets of
//! columns. One module for each step:
//!
//! - `credential` reads what the request shows;
//! - `Door` asks who that is, and refuses what is not good from where too much of it came;
//! - `grants` adds up what the caller's groups give on an object;
//! - `rows` makes a condition of bound values from the rules of those grants;
//! - `gate` counts how often a caller asks, with `buckets`.
//!
//! A column that may not be read is taken away before anything is planned, so a plan cannot tell it
//! from a name that is not there: neither in fields, filters and orders nor in errors. Rows that
//! may not be seen are excluded by the statement itself, so that pages, counts and items agree.
//!
//! What never happens here: a credential in a message; a difference between a key that is unknown,
//! expired or revoked; a grant that is not written in the app's file.

mod buckets;
mod caller;
mod credential;
mod gate;
mod grants;
mod rows;

use std::collections::HashSet;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use restway_model::{Clock, Explain, Rate};

use buckets::{Buckets, Standing};
pub(crate) use caller::Caller;
pub use caller::Principal;
pub use credential::Credential;
pub(crate) use gate::Gate;
pub(crate) use grants::{Allowed, Grants};

use crate::headers::Headers;
use crate::refusal::Refusal;

/// So many credentials that are not good may come from one address; then those that follow wait.
/// Good ones do not: others behind the same address may send what they like.
const FAILURES: Rate = Rate { count: 20, per: Duration::from_secs(60) };
/// So many tokens that were never good are looked at from an address that fails: a signature
/// takes longer to check than a key to look up, which is always done.
const LOOKED_AT: Rate = Rate { count: 600, per: Duration::from_secs(60) };
/// How many good credentials are remembered, which go on to be looked at in any case.
const GOOD_MAX: usize = 10_000;
/// Bits of an address of IPv6 that tell one household from another: it has all the rest.
const PREFIX_BITS: u32 = 64;

/// Who a credential belongs to; `None` when it is not good, whatever the reason.
pub type Identifying<'a> =
    Pin<Box<dyn Future<Output = Result<Option<Principal>, Box<dyn Explain>>> + Send + 'a>>;

/// Somebody who knows keys and tokens.
pub trait Identities: Send + Sync {
    /// Who it is. An error is a fault on our side: a store or an issuer that does not answer.
    fn identify<'a>(&'a self, credential: &'a Credential) -> Identifying<'a>;
}

/// Nobody is known.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Identities for Nobody {
    fn identify<'a>(&'a self, _: &'a Credential) -> Identifying<'a> {
        Box::pin(async { Ok(None) })
    }
}

/// Where callers come in.
pub(crate) struct Door {
    identities: Arc<dyn Identities>,
    failures: Buckets<Option<IpAddr>>,
    looked_at: Buckets<Option<IpAddr>>,
    good: Good,
    clock: Arc<dyn Clock>,
}

impl Door {
    pub(crate) fn new(identities: Arc<dyn Identities>, clock: Arc<dyn Clock>) -> Self {
        let (failures, looked_at, good) = <_>::default();
        Self { identities, failures, looked_at, good, clock }
    }

    /// Who asks. Whoever shows something must show something good, also where nothing is needed:
    /// a client that believes to be known should learn that it is not.
    pub(crate) async fn enter(
        &self,
        headers: &Headers,
        peer: Option<IpAddr>,
    ) -> Result<Caller, Refusal> {
        let (now, from) = (self.clock.monotonic(), place(peer));
        let shown = match credential::read(headers) {
            Ok(None) => return Ok(Caller::default()),
            Ok(Some(shown)) => Some(shown),
            Err(credential::Unreadable) => None,
        };
        let wait = self.failures.look(&from, FAILURES, now).wait;
        let is_costly = matches!(&shown, Some(Credential::Token(_)))
            && !shown.as_ref().is_some_and(|shown| self.good.has(shown));
        if let Some(wait) = wait.filter(|_| is_costly)
            && self.looked_at.take(from, LOOKED_AT, now).wait.is_some()
        {
            return Err(Refusal::Failing { wait });
        }
        let known = match &shown {
            Some(shown) => self.identities.identify(shown).await.map_err(Refusal::Unidentified)?,
            None => None,
        };
        if let (Some(principal), Some(shown)) = (known, &shown) {
            self.good.add(shown);
            return Ok(Caller::known(principal));
        }
        if let Some(shown) = &shown {
            self.good.remove(shown);
        }
        match self.failures.take(from, FAILURES, now).wait {
            Some(wait) => Err(Refusal::Failing { wait }),
            None => Err(Refusal::NotGood),
        }
    }
}

/// By what requests of an address are counted.
fn place(peer: Option<IpAddr>) -> Option<IpAddr> {
    peer.map(|peer| match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & (u128::MAX << (u128::BITS - PREFIX_BITS));
            IpAddr::V6(Ipv6Addr::from_bits(prefix))
        }
    })
}

/// Credentials that were good when they were last looked at, by a hash whose seed is this
/// process's own. Being among them gives nothing but the right to be looked at.
#[derive(Default)]
struct Good {
    seed: RandomState,
    hashes: Mutex<HashSet<u64>>,
}

impl Good {
    fn has(&self, shown: &Credential) -> bool {
        self.with(shown, |hashes, hash| hashes.contains(&hash))
    }

    fn add(&self, shown: &Credential) {
        self.with(shown, |hashes, hash| {
            if hashes.len() >= GOOD_MAX && !hashes.contains(&hash) {
                hashes.clear();
            }
            hashes.insert(hash)
        });
    }

    fn remove(&self, shown: &Credential) {
        self.with(shown, |hashes, hash| hashes.remove(&hash));
    }

    fn with(&self, shown: &Credential, act: impl FnOnce(&mut HashSet<u64>, u64) -> bool) -> bool {
        let hash = self.seed.hash_one(shown.secret().expose());
        act(&mut self.hashes.lock().unwrap_or_else(PoisonError::into_inner), hash)
    }
}
