//! Tokens of other issuers: who somebody is, as an identity provider says it.
//!
//! In: tokens that callers show, and the issuers that the workspace trusts. Out: the claims of
//! those that are good. The issuer's keys come by the connector, so its rules of egress hold for
//! them: from `jwks_url`, or from where the issuer's own description says (OpenID Connect
//! Discovery 1.0, section 4). They are kept for a quarter of an hour, or a day while the issuer
//! does not answer; a token that names a key which is not among them has them asked for once more,
//! but not more than once a minute, so that nobody can have the issuer asked at will. Meanwhile
//! tokens whose keys are known are judged by those: one question at a time, and only who needs its
//! answer waits for it.
//!
//! What never happens here: a key or an address taken from a token; two questions at once for the
//! keys of one issuer; the reason why a token is not good, told to whoever shows it.

mod key_set;
mod token;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use restway_model::definition::{ApiFile, Issuer, Method, Retry};
use restway_model::{Code, Event, Explain, Name, SafeUrl, Secret, Timespan};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use url::Url;

use crate::request::{Manner, Redirects, Request, Timeouts};
use crate::{CallError, Connector};
use key_set::KeySet;
use token::Unproven;

/// How long keys are good without asking again.
const KEYS_LAST: Duration = Duration::from_secs(15 * 60);
/// How long they go on to be good while the issuer does not answer. Longer, and a key that the
/// issuer has taken back would open for whoever can keep it from answering.
const KEYS_LAST_ALONE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long at least lies between two questions for keys.
const ASKED_AGAIN: Duration = Duration::from_secs(60);
/// The same while there are none.
const ASKED_AGAIN_WITHOUT: Duration = Duration::from_secs(5);
/// How long a question may take: somebody waits for it.
const ASKING_MAX: Duration = Duration::from_secs(10);
/// How many wait for the answer; whoever cannot be judged without it and comes later is told that
/// nobody can say now.
const WAITING_MAX: usize = 16;
/// The largest description or set of keys.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Redirects on the way to a description or a set.
const REDIRECTS_MAX: u16 = 3;

/// The issuers that a workspace trusts.
pub struct Issuers {
    connector: Connector,
    issuers: Vec<Trusted>,
}

struct Trusted {
    issuer: Issuer,
    keys: Mutex<Keys>,
    /// Held by whoever asks for the keys.
    asking: tokio::sync::Mutex<()>,
    /// Places for those who wait for that.
    waiting: Semaphore,
}

impl Trusted {
    fn kept(&self) -> Keys {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A question that began at `came` has ended, with a set or without.
    fn asked(&self, now: Duration, came: Duration, set: Option<&Arc<KeySet>>) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.asked = Some(now);
        if let Some(set) = set {
            (keys.set, keys.came) = (Some(Arc::clone(set)), Some(came));
        }
    }
}

#[derive(Clone, Default)]
struct Keys {
    set: Option<Arc<KeySet>>,
    /// When they were last asked for, whatever came of it.
    asked: Option<Duration>,
    /// When they came.
    came: Option<Duration>,
}

impl Keys {
    /// The set, if it came so lately.
    fn set_within(&self, now: Duration, span: Duration) -> Option<Arc<KeySet>> {
        self.set.clone().filter(|_| is_within(self.came, span, now))
    }
}

fn is_within(since: Option<Duration>, span: Duration, now: Duration) -> bool {
    since.is_some_and(|since| now < since + span)
}

/// Somebody whom an issuer knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The issuer.
    pub issuer: String,
    /// The user.
    pub user: String,
    /// The user's groups.
    pub groups: BTreeSet<String>,
    /// All that the token says.
    pub claims: Map<String, Value>,
}

/// The keys of an issuer cannot be had, so nobody can say whether a token is good.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The call failed.
    #[error("the keys of the issuer `{issuer}` cannot be read")]
    Call {
        /// The issuer.
        issuer: String,
        /// Why.
        #[source]
        source: Box<CallError>,
    },
    /// What came is not what it should be.
    #[error("the issuer `{issuer}` {problem}")]
    Answer {
        /// The issuer.
        issuer: String,
        /// What is wrong.
        problem: &'static str,
    },
}

impl Explain for IssuerError {
    fn code(&self) -> Code {
        match self {
            Self::Call { source, .. } => source.code(),
            Self::Answer { .. } => Code::BodyMalformed,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Call { source, .. } => source.hints(),
            Self::Answer { .. } => {
                vec!["compare `issuer` and `jwks_url` in `restway.yaml` with its pages".to_owned()]
            }
        }
    }
}

impl Issuers {
    /// The issuers of a workspace, whose keys are asked for when they are first needed.
    pub fn new(connector: Connector, issuers: &[Issuer]) -> Self {
        let trusted = |issuer: &Issuer| Trusted {
            issuer: issuer.clone(),
            keys: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            waiting: Semaphore::new(WAITING_MAX),
        };
        Self { connector, issuers: issuers.iter().map(trusted).collect() }
    }

    /// Whom the token is about; `None` when it is not good.
    ///
    /// # Errors
    /// The issuer is trusted, and its keys cannot be had.
    pub async fn known(&self, token: &Secret) -> Result<Option<Known>, IssuerError> {
        let Some(unproven) = Unproven::read(token.expose()) else { return Ok(None) };
        let is_it = |trusted: &&Trusted| Some(&*trusted.issuer.issuer) == unproven.issuer();
        let Some(trusted) = self.issuers.iter().find(is_it) else { return Ok(None) };
        let keys = self.keys(trusted, unproven.key_id()).await?;
        let now = self.connector.clock().now();
        let proven = unproven.proven(&keys, &trusted.issuer, now);
        Ok(proven.and_then(|claims| known(&trusted.issuer, claims)))
    }

    /// The keys, asked for anew when they are old or the one that is meant is not there. Who can
    /// be judged by what is kept waits for nobody.
    async fn keys(&self, trusted: &Trusted, id: Option<&str>) -> Result<Arc<KeySet>, IssuerError> {
        let failed =
            |problem| IssuerError::Answer { issuer: trusted.issuer.issuer.clone(), problem };
        let clock = self.connector.clock();
        let kept = trusted.kept();
        if let Some(set) = kept.set_within(clock.monotonic(), KEYS_LAST).filter(|set| set.has(id)) {
            return Ok(set);
        }
        let turn = match trusted.asking.try_lock() {
            Ok(turn) => turn,
            // Somebody is asking already.
            Err(_) => match kept.set_within(clock.monotonic(), KEYS_LAST_ALONE) {
                Some(set) if set.has(id) => return Ok(set),
                _ => {
                    let waits = trusted.waiting.try_acquire();
                    let _place = waits.map_err(|_| failed("is being asked for its keys"))?;
                    trusted.asking.lock().await
                }
            },
        };
        // What somebody else may have brought meanwhile.
        let kept = trusted.kept();
        let now = clock.monotonic();
        let young = kept.set_within(now, KEYS_LAST).filter(|set| set.has(id));
        let again = if kept.set.is_some() { ASKED_AGAIN } else { ASKED_AGAIN_WITHOUT };
        if young.is_none() && !is_within(kept.asked, again, now) {
            let fetched = self.fetched(&trusted.issuer).await;
            // From its end on: those who waited for this question do not ask one more each.
            trusted.asked(clock.monotonic(), now, fetched.as_ref().ok());
            if let Err(error) = fetched {
                // An issuer that is away for a while locks nobody out whose key is known.
                if kept.set_within(now, KEYS_LAST_ALONE).is_none() {
                    return Err(error);
                }
                let (about, message) = ("serve".to_owned(), error.to_string());
                self.connector.observe(&Event::Warned { about, message });
            }
        }
        drop(turn);
        let kept = trusted.kept().set_within(now, KEYS_LAST_ALONE);
        kept.ok_or_else(|| failed("gave no keys a moment ago"))
    }

    async fn fetched(&self, issuer: &Issuer) -> Result<Arc<KeySet>, IssuerError> {
        let failed = |problem| IssuerError::Answer { issuer: issuer.issuer.clone(), problem };
        let place = match &issuer.jwks_url {
            Some(place) => place.clone(),
            None => {
                let base = issuer.issuer.trim_end_matches('/');
                let described =
                    self.read(issuer, &format!("{base}/.well-known/openid-configuration")).await?;
                let described: Value = serde_json::from_slice(&described)
                    .map_err(|_| failed("describes itself in no JSON"))?;
                // Discovery 1.0, 4.3: a description of somebody else is none.
                if described["issuer"].as_str() != Some(&issuer.issuer) {
                    return Err(failed("describes itself by another name"));
                }
                let place = described["jwks_uri"].as_str();
                place.ok_or_else(|| failed("does not say where its keys are"))?.to_owned()
            }
        };
        let set = self.read(issuer, &place).await?;
        KeySet::read(&set).map(Arc::new).ok_or_else(|| failed("has no set of keys where it should"))
    }

    async fn read(&self, issuer: &Issuer, address: &str) -> Result<Vec<u8>, IssuerError> {
        let problem = "names an address that is none";
        let none = || IssuerError::Answer { issuer: issuer.issuer.clone(), problem };
        let url = Url::parse(address).map_err(|_| none())?;
        if !issuer.is_safe(&url) {
            return Err(none());
        }
        let api = ApiFile::bare(Name::slug("issuer"), &url);
        let mut request = Request::new(Method::Get, SafeUrl::new(url));
        request.body_bytes_max = ANSWER_BYTES_MAX;
        let once = Timespan(Duration::ZERO);
        request.manner = Manner {
            redirects: Some(Redirects::Followed(REDIRECTS_MAX)),
            timeouts: Some(Timeouts { connect: ASKING_MAX, read: ASKING_MAX, total: ASKING_MAX }),
            retry: Some(Retry { status: Vec::new(), deadline: once, ..Retry::default() }),
            ..Manner::default()
        };
        let answer = self.connector.call(&api, request).await.map_err(|source| {
            IssuerError::Call { issuer: issuer.issuer.clone(), source: Box::new(source) }
        })?;
        Ok(answer.body.to_vec())
    }
}

/// What the claims say, by the names that the issuer has for it. A token without a user is about
/// nobody.
fn known(issuer: &Issuer, claims: Map<String, Value>) -> Option<Known> {
    let user = match at(&claims, &issuer.user)? {
        Value::String(user) if !user.is_empty() => user.clone(),
        Value::Number(user) => user.to_string(),
        _ => return None,
    };
    let groups = match at(&claims, &issuer.groups) {
        Some(Value::Array(groups)) => {
            groups.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Some(Value::String(groups)) => groups.split(' ').map(str::to_owned).collect(),
        _ => BTreeSet::new(),
    };
    Some(Known { issuer: issuer.issuer.clone(), user, groups, claims })
}

/// A claim by its name, which may be an address with dots in it, or by a path into objects.
fn at<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let mut steps = name.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    })
}
