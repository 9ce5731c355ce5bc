//! An api as the stages of sending see it: its domains with their logins, and its gate.
//!
//! In: a definition and the values of its `base_url` and `domains`. Out: one shared [`Target`] for all calls to
//! the api, so that its limits hold over all of them; a definition that changed gets a new one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use restway_model::definition::{self, ApiFile, ApiLimits, Auth, Retry};
use restway_model::{Event, Limits, Name, Values};
use url::{Host, Url};

use crate::digest::Digests;
use crate::error::{CallError, Failure};
use crate::gate::Gate;
use crate::patience::Patience;
use crate::plan::{Address, addresses, urls};
use crate::tls::{MadeTls, Tls};
use crate::token::TokenCache;
use crate::x509::ending;

/// More apis than this at once are not remembered.
const TARGETS_MAX: usize = 4_096;

/// What all calls to one api share.
pub(crate) struct Target {
    pub(crate) name: Name,
    /// Where its domains are, as they are written.
    addresses: Vec<Address>,
    /// The domains that have credentials of their own; the first is that of `base_url`.
    sites: Vec<Site>,
    pub(crate) tls: definition::Tls,
    /// The same with its files read.
    pub(crate) made_tls: MadeTls,
    pub(crate) proxy: Option<definition::Proxy>,
    limits: ApiLimits,
    pub(crate) retry: Arc<Retry>,
    pub(crate) wait_max: Duration,
    pub(crate) answer_timeout: Duration,
    /// How long one answer may take whole.
    pub(crate) answer_bound: Duration,
    pub(crate) gate: Gate,
    pub(crate) patience: Patience,
    has_warned: AtomicBool,
    has_warned_alone: AtomicBool,
    has_warned_no_end: AtomicBool,
    /// The last stage of [`ending`] that was told.
    ending: AtomicU8,
}

/// A domain of an api, and who we are there.
pub(crate) struct Site {
    /// The login's name for the keeper of tokens.
    pub(crate) slot: String,
    pub(crate) url: Url,
    pub(crate) auth: Auth,
    pub(crate) tokens: TokenCache,
    pub(crate) digests: Digests,
}

impl Site {
    /// Whether a 401 is a challenge that can be answered now.
    pub(crate) fn is_challenged(&self, headers: &[(String, String)], used: Option<&str>) -> bool {
        matches!(self.auth, Auth::Digest { .. }) && self.digests.challenged(headers, used)
    }
}

impl Target {
    fn new(api: &ApiFile, addresses: Vec<Address>, limits: &Limits) -> Result<Self, CallError> {
        let homes = urls(&addresses)?;
        let own = &api.limits;
        let auths = std::iter::once(&api.auth).chain(api.domains.iter().map(|one| &one.auth));
        let sites = homes.into_iter().zip(auths).enumerate().map(|(index, (url, auth))| Site {
            slot: format!("{}.{index}", api.api),
            url,
            auth: auth.clone(),
            tokens: TokenCache::default(),
            digests: Digests::default(),
        });
        Ok(Self {
            name: api.api.clone(),
            addresses,
            sites: sites.collect(),
            tls: api.tls.clone(),
            proxy: api.proxy.clone(),
            limits: own.clone(),
            retry: Arc::new(api.retry.clone()),
            wait_max: own.max_wait.map_or(limits.wait_max, |span| span.0),
            answer_timeout: own.timeout.map_or(limits.answer_timeout, |span| span.0),
            answer_bound: own.timeout.map_or(limits.page_timeout, |span| span.0),
            gate: Gate::new(own),
            patience: Patience::default(),
            has_warned: AtomicBool::new(false),
            has_warned_alone: AtomicBool::new(false),
            has_warned_no_end: AtomicBool::new(false),
            ending: AtomicU8::new(0),
            made_tls: MadeTls::default(),
        })
    }

    fn is_of(&self, api: &ApiFile, addresses: &[Address]) -> bool {
        let auths = std::iter::once(&api.auth).chain(api.domains.iter().map(|one| &one.auth));
        self.addresses == addresses
            && self.sites.iter().map(|site| &site.auth).eq(auths)
            && self.tls == api.tls
            && self.proxy == api.proxy
            && self.limits == api.limits
            && *self.retry == api.retry
    }

    /// Whether the address belongs to the api.
    pub(crate) fn is_home(&self, url: &Url) -> bool {
        self.site(url).is_some()
    }

    /// Whether the address is on the origin of `base_url`, which `tls` is for.
    pub(crate) fn is_own(&self, url: &Url) -> bool {
        self.sites.first().is_some_and(|site| is_same_origin(&site.url, url))
    }

    /// All declared domains; the first is that of `base_url`.
    pub(crate) fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The declared domain that the address is on; credentials go nowhere else.
    pub(crate) fn site(&self, url: &Url) -> Option<&Site> {
        self.sites.iter().find(|site| is_same_origin(&site.url, url))
    }

    /// A warning, once, when the rates hold for this process alone.
    pub(crate) fn alone_warning(&self, problem: String) -> Option<Event> {
        let is_first = !self.has_warned_alone.swap(true, Ordering::Relaxed);
        is_first.then(|| Event::Warned {
            about: self.name.to_string(),
            message: format!("its rate holds for this process alone: {problem}"),
        })
    }

    /// A warning, once, when bodies come that may be cut without a trace.
    pub(crate) fn no_end_warning(&self) -> Option<Event> {
        let is_first = !self.has_warned_no_end.swap(true, Ordering::Relaxed);
        is_first.then(|| Event::Warned {
            about: self.name.to_string(),
            message: "it sends bodies without an end: one that is cut looks whole; \
                      `open_ended: true` says that this is known"
                .into(),
        })
    }

    /// A warning, once for each stage, when the client certificate ends soon; an error when it has
    /// ended, since the server would only say that something is wrong.
    pub(crate) fn ending_warning(
        &self,
        tls: &Tls,
        now: DateTime<Utc>,
    ) -> Result<Option<Event>, Failure> {
        let Some(until) = tls.client_facts().map(|facts| facts.until) else { return Ok(None) };
        if until <= now {
            return Err(Failure::CertificateEnded { until });
        }
        let Some((stage, message)) = ending(until, now) else { return Ok(None) };
        let is_first = self.ending.fetch_max(stage, Ordering::Relaxed) < stage;
        Ok(is_first.then(|| Event::Warned { about: self.name.to_string(), message }))
    }

    /// A warning, once, when credentials travel in the clear.
    pub(crate) fn plain_warning(&self, url: &Url) -> Option<Event> {
        if url.scheme() == "https" || is_loopback(url) {
            return None;
        }
        let is_first = !self.has_warned.swap(true, Ordering::Relaxed);
        is_first.then(|| Event::Warned {
            about: self.name.to_string(),
            message: "credentials are sent over http, where anybody on the way can read them"
                .into(),
        })
    }
}

/// Whether both have one scheme, host and port (RFC 6454), asked for each hop several times.
pub(crate) fn is_same_origin(one: &Url, other: &Url) -> bool {
    let has_origin = |url: &Url| matches!(url.scheme(), "http" | "https");
    has_origin(one)
        && one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name.trim_end_matches('.') == "localhost",
        None => false,
    }
}

/// The targets of this process.
#[derive(Default)]
pub(crate) struct Targets {
    known: Mutex<HashMap<Name, Arc<Target>>>,
}

impl Targets {
    pub(crate) fn of(
        &self,
        api: &ApiFile,
        values: &dyn Values,
        limits: &Limits,
    ) -> Result<Arc<Target>, CallError> {
        let addresses = addresses(api, values)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = known.get(&api.api).filter(|target| target.is_of(api, &addresses)) {
            return Ok(Arc::clone(target));
        }
        if known.len() >= TARGETS_MAX {
            known.clear();
        }
        let target = Arc::new(Target::new(api, addresses, limits)?);
        known.insert(api.api.clone(), Arc::clone(&target));
        Ok(target)
    }
}
