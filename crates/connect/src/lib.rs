//! Call: the room in which Restway talks to REST APIs.
//!
//! In: definitions, values and secrets, through the seams of the model. Out: answers and streams of
//! records, as bytes. The stages, each a module:
//!
//! ```text
//! plan ──▶ authorize ──▶ send ─────────────▶ retry ──▶ decode ──▶ page
//! plan.rs  authorize.rs  exchange/           retry.rs  decode/    page.rs
//!          token.rs      gate.rs redirect.rs                      walk.rs
//!          grant.rs      wire.rs proxy.rs sent.rs egress/                job.rs
//!          jwt.rs key.rs keys.rs login.rs renew.rs person/
//!          digest.rs sigv4.rs hmac.rs
//! ```
//!
//! All but `exchange`, `token`, `wire`, `job` and `walk` are pure and tested with text and a clock
//! that is turned by hand. Nobody outside this room names the HTTP library, and nothing of it is
//! in the room's public face.
//!
//! What never happens here: a record turned into a value (the tables' room parses them, once); an
//! address reached that the workspace does not allow; a credential on another origin than the
//! api's; a wait, page walk, body or buffer without a bound; an answer that was not understood
//! taken for an empty one.

mod compose;
mod csv_file;
mod curl;
mod draft;
mod files;
mod inputs;
mod multipart;
mod plan;
mod request;
mod values;

mod authorize;
mod digest;
mod grant;
mod hmac;
mod jwt;
mod key;
mod keys;
mod login;
mod person;
mod renew;
mod sigv4;
mod token;

mod cookies;
mod egress;
mod exchange;
mod gate;
mod kept;
mod patience;
mod pkcs12;
mod places;
mod proxy;
mod redirect;
mod sent;
mod tape;
mod target;
mod tls;
mod unpack;
mod upload;
mod wire;
mod x509;

mod clock;
mod ratelimit;
mod retry;

mod decode;
mod excerpt;
mod outputs;

mod ahead;
mod doubt;
mod download;
mod held;
mod issuer;
mod job;
mod link;
mod open_page;
mod page;
mod place;
mod raw;
mod walk;

mod error;

#[cfg(fuzzing)]
pub mod fuzzing;
pub mod import;
pub mod probe;

#[cfg(test)]
mod testing;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use restway_model::definition::{self, ApiFile, CallInputs, ResourceSettings};
use restway_model::{
    Clock, Event, Limits, Observer, Redactor, SafeUrl, Secret, SecretSource, SharedRates,
    TableName, TokenKeeper, Values,
};

pub use clock::SystemClock;
pub use compose::{Again, Attachment, CallParts};
pub use csv_file::CsvFile;
pub use curl::curl_line;
pub use download::{Download, Downloaded, FetchedFile, KnownFile};
pub use egress::{Denial, EgressPolicy, Found, Names};
pub use error::{CallError, Excerpt, Failure};
pub use gate::{Turn, Turns};
pub use inputs::Prepared;
pub use issuer::{IssuerError, Issuers, Known};
pub use job::JobFailure;
pub use outputs::Payload;
pub use page::PageMark;
pub use person::{LoggedOut, PersonLogin, PersonTask};
pub use proxy::Proxies;
pub use raw::{RawKeeper, TakeRecords};
pub use request::{Answer, Attempt, Body, Expected, Leave, Manner, Redirects, Request, Timeouts};
pub use restway_model::InvalidEgress;
pub use sent::Spent;
pub use tape::Tape;
pub use upload::Upload;
pub use walk::{PagePart, Walk};

use url::Url;

use exchange::{Exchange, Opened};
use files::Arriving;
use held::Room;
use kept::Answers;
use keys::Keys;
use target::{Target, Targets};
use values::{Lookup, Marks, NoValues, WithEnv};
use wire::{Incoming, Wire};

/// What a connector is made from.
pub struct ConnectorSettings {
    /// The bounds.
    pub limits: Limits,
    /// Where it may connect to.
    pub egress: EgressPolicy,
    /// Where `${secret.…}` is looked up.
    pub secrets: Arc<dyn SecretSource>,
    /// Where tokens that rotate are kept; without it, logins that need it are refused.
    pub tokens: Option<Arc<dyn TokenKeeper>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who is told what happens.
    pub observer: Arc<dyn Observer>,
    /// Who is told each secret.
    pub redactor: Redactor,
    /// The workspace's folder, whose files a call may send and write; without one it may not.
    pub folder: Option<PathBuf>,
}

/// What a connector may be given besides, for a workspace or a test.
#[derive(Default)]
pub struct Extras {
    /// Rates that all processes of a workspace hold together.
    pub rates: Option<Arc<dyn SharedRates>>,
    /// Where exchanges are recorded, or what is played instead of sending.
    pub tape: Option<Arc<Tape>>,
    /// The proxies of the person's environment, for apis that have none of their own.
    pub proxies: Proxies,
    /// The folder in which answers are kept that need not be sent again; none are without one.
    pub answers: Option<PathBuf>,
    /// Where the addresses of names come from; from the system without it.
    pub names: Option<Arc<dyn Names>>,
}

/// The way to every api. A clone shares connections, tokens, rates and concurrency.
#[derive(Clone)]
pub struct Connector {
    shared: Arc<Shared>,
}

struct Shared {
    settings: ConnectorSettings,
    extras: Extras,
    wire: Wire,
    targets: Targets,
    kept: Option<Arc<Answers>>,
    keys: Keys,
}

impl fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector without connections.
    pub fn new(settings: ConnectorSettings) -> Self {
        Self::with(settings, Extras::default())
    }

    /// The same with more.
    pub fn with(settings: ConnectorSettings, extras: Extras) -> Self {
        extras.proxies.teach(&settings.redactor);
        let limits = &settings.limits;
        let policy = settings.egress.clone();
        let tape = extras.tape.clone().map(|tape| (tape, settings.redactor.clone()));
        let names = extras.names.clone().unwrap_or_else(|| Arc::new(egress::SystemNames));
        let waits = (limits.connect_timeout, limits.read_timeout);
        let wire = Wire::new(policy, names, waits, tape);
        let (targets, keys) = (Targets::default(), Keys::default());
        let kept = extras.answers.clone().map(|folder| Arc::new(Answers::new(folder)));
        Self { shared: Arc::new(Shared { settings, extras, wire, targets, keys, kept }) }
    }

    /// Sends one request and reads its answer whole. The api's credentials go along if the request
    /// is for its origin.
    ///
    /// # Errors
    /// What the last attempt came to; [`CallError`] says how many there were.
    pub async fn call(&self, api: &ApiFile, request: Request) -> Result<Answer, CallError> {
        let target = self.target(api)?;
        let bound = request.body_bytes_max.min(self.limits().body_bytes_max);
        let mut exchange = Exchange::new(self.clone(), target, request);
        let (opened, body) = exchange.whole(bound).await?;
        Ok(answer(opened, body, exchange))
    }

    /// The same, with the body written to a file as it comes. The file appears, or is replaced,
    /// when the body is whole; the [`Answer`] has none.
    ///
    /// # Errors
    /// As [`Connector::call`], and a file that cannot be written.
    pub async fn call_to(
        &self,
        api: &ApiFile,
        request: Request,
        file: &Path,
    ) -> Result<Answer, CallError> {
        let target = self.target(api)?;
        let bound = request.body_bytes_max;
        let mut exchange = Exchange::new(self.clone(), target, request);
        let arriving = Arriving::at(file.to_path_buf()).await;
        let mut arriving = arriving.map_err(|failure| exchange.error(failure))?;
        loop {
            let mut opened = exchange.open().await?;
            match write_all(&mut opened.incoming, bound, self.clock(), &mut arriving).await {
                Ok(()) => {
                    arriving.finish().await.map_err(|failure| exchange.error(failure))?;
                    return Ok(answer(opened, Bytes::new(), exchange));
                }
                Err(failure) => {
                    drop(opened);
                    exchange.broke(failure).await?;
                    arriving.clear().await.map_err(|failure| exchange.error(failure))?;
                }
            }
        }
    }

    /// Makes a request of the documented inputs. `base` is what a `url` without a host is put
    /// below.
    ///
    /// # Errors
    /// Inputs that make no request; files of theirs that are not there.
    pub fn prepare(&self, inputs: &CallInputs, base: Option<&Url>) -> Result<Prepared, CallError> {
        inputs::prepare(inputs, self.folder(), base, self.redactor())
    }

    /// Begins to read all pages of a resource. Nothing is sent before the first
    /// [`Walk::next`]. `values` gives `${param.…}` and `${parent.…}`; secrets and the environment
    /// are looked up here.
    pub fn walk(
        &self,
        api: Arc<ApiFile>,
        name: TableName,
        resource: Arc<ResourceSettings>,
        values: Arc<dyn Values + Send + Sync>,
    ) -> Walk {
        Walk::new(self.clone(), api, name, resource, values)
    }

    /// Begins to fetch the file that is a resource's answer. Nothing is sent before
    /// [`Download::fetch`]; `values` are as for [`Connector::walk`].
    pub fn download(
        &self,
        api: Arc<ApiFile>,
        name: TableName,
        resource: Arc<ResourceSettings>,
        values: Arc<dyn Values + Send + Sync>,
    ) -> Download {
        Download::new(self.clone(), api, name, resource, values)
    }

    /// The requests that a walk begins with, as curl lines, one a line: the token request, if
    /// there is one, and the first page; for an export job, its creation and how it is asked for.
    /// Nothing is sent and no secret is looked up: `${secret.…}`
    /// stands where it would be.
    ///
    /// # Errors
    /// When the definition makes no request.
    pub fn plan(
        &self,
        api: &ApiFile,
        resource: &ResourceSettings,
        values: &dyn Values,
    ) -> Result<String, CallError> {
        let marks = Marks::new(values);
        let homes = plan::homes(api, &WithEnv(&marks))?;
        let folder = self.folder();
        let values = plan::RequestValues { in_path: &marks, elsewhere: &marks, folder };
        let request = plan::resource_request(&homes, resource, &values)?;
        let first = page::Pager::new(&resource.paginate).first(request).map_err(plan_failure)?;
        let mut requests = vec![first.with_defaults()];
        if let Some(job) = &resource.job {
            requests.push(job::planned(&homes, job, &marks)?);
        }
        let auths = std::iter::once(&api.auth).chain(api.domains.iter().map(|one| &one.auth));
        let sites: Vec<_> = homes.iter().zip(auths).collect();
        let mut lines = Vec::new();
        for mut request in requests {
            let origin = request.url.expose().origin();
            if let Some((home, auth)) = sites.iter().find(|(home, _)| home.origin() == origin) {
                let token = grant::planned(auth, home, &marks)?;
                let token = token.map(|asked| curl::planned_line(&asked));
                lines.extend(token.filter(|line| !lines.contains(line)));
                let credential = authorize::planned(auth, &marks).map_err(plan_failure)?;
                let mut url = request.url.expose().clone();
                credential.apply(&mut url, &mut request.headers);
                request.url = SafeUrl::new(url);
            }
            lines.push(curl::planned_line(&request));
        }
        Ok(marks.unmark(&self.redacted(&lines.join("\n"))))
    }

    /// The api's base URL, with its variables filled in.
    ///
    /// # Errors
    /// A variable that is not set, or a URL that cannot be called.
    pub fn base_url(&self, api: &ApiFile) -> Result<SafeUrl, CallError> {
        plan::base_url(api, &self.lookup(&NoValues, false)).map(SafeUrl::new)
    }

    /// How many requests to the api may be under way at once; more would wait for each other.
    pub fn places(&self, api: &ApiFile) -> usize {
        gate::places(&api.limits)
    }

    pub(crate) fn target(&self, api: &ApiFile) -> Result<Arc<Target>, CallError> {
        self.shared.targets.of(api, &self.lookup(&NoValues, false), self.limits())
    }

    pub(crate) fn lookup<'a>(&'a self, others: &'a dyn Values, learns_env: bool) -> Lookup<'a> {
        let settings = &self.shared.settings;
        let secrets = settings.secrets.as_ref();
        let is_played = self.extras().tape.as_ref().is_some_and(|tape| tape.plays());
        Lookup { secrets, redactor: &settings.redactor, learns_env, is_played, others }
    }

    /// The api's TLS with its files read and its secrets looked up; `None` when it is as usual.
    pub(crate) async fn tls(
        &self,
        tls: &definition::Tls,
    ) -> Result<Option<Arc<tls::Tls>>, Failure> {
        let (made, password) = {
            let lookup = self.lookup(&NoValues, true);
            let made = tls::Tls::of(tls, &lookup, self.folder())?;
            let password = tls.client_key_password.as_ref();
            let password = password.map(|one| one.text(&lookup)).transpose();
            (made, password.map_err(Failure::Value)?.map(Secret::new))
        };
        let Some(mut made) = made else { return Ok(None) };
        if let (Some(identity), Some(password)) = (&made.identity, password) {
            let (locked, opener) = identity.locked();
            let open = self.keys().opened(locked, password, opener).await;
            let subject = format!("{} of `tls`", identity.subject());
            let open = open.map_err(|problem| Failure::invalid(subject, problem))?;
            made.identity = made.identity.map(|identity| identity.opened(open));
        }
        Ok(Some(Arc::new(made)))
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    /// The proxy on the way to a URL: the one named for everything, the api's, or the
    /// environment's.
    pub(crate) fn proxy(
        &self,
        proxy: Option<&definition::Proxy>,
        url: &Url,
    ) -> Result<Option<Arc<proxy::Proxy>>, Failure> {
        let proxies = &self.extras().proxies;
        let given = proxies.given();
        match given.or(proxy) {
            None => proxies.on_the_way(url),
            Some(proxy) => {
                let lookup = self.lookup(&NoValues, false);
                proxy::Proxy::of(proxy, given.is_some(), url, &lookup, self.redactor())
            }
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.settings.limits
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.shared.settings.clock.as_ref()
    }

    pub(crate) fn kept(&self) -> Option<&Arc<Answers>> {
        self.shared.kept.as_ref()
    }

    pub(crate) fn extras(&self) -> &Extras {
        &self.shared.extras
    }

    /// The workspace's folder.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.shared.settings.folder.as_deref()
    }

    /// Where pages wait that are too large for memory.
    pub(crate) fn spool_folder(&self) -> PathBuf {
        match self.folder() {
            Some(folder) => folder.join(files::STATE).join("spill"),
            None => std::env::temp_dir(),
        }
    }

    /// How much of a page's records may wait, when so many bytes of it may in memory.
    pub(crate) fn room(&self, memory: usize) -> Room {
        Room { memory, file: self.limits().spool_bytes_max, folder: self.spool_folder() }
    }

    pub(crate) fn keeper(&self) -> Option<&dyn TokenKeeper> {
        self.shared.settings.tokens.as_deref()
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.shared.wire
    }

    pub(crate) fn redactor(&self) -> &Redactor {
        &self.shared.settings.redactor
    }

    pub(crate) fn redacted(&self, text: &str) -> String {
        self.redactor().redact(text).into_owned()
    }

    pub(crate) fn learn(&self, secret: &Secret) {
        self.redactor().learn(secret);
    }

    pub(crate) fn observe(&self, event: &Event) {
        self.shared.settings.observer.observe(event);
    }
}

pub(crate) fn plan_failure(failure: Failure) -> CallError {
    match failure {
        Failure::Value(error) => CallError::Value(error),
        other => CallError::invalid("the plan", format!("ends here: {other}")),
    }
}

/// The whole decoded body, up to a bound that is an error.
pub(crate) async fn read_all(
    incoming: &mut Incoming,
    bytes_max: u64,
    clock: &dyn Clock,
) -> Result<Bytes, Failure> {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(chunk) = incoming.chunk(clock).await? {
        if incoming.bytes() > bytes_max {
            let bound = format!("{bytes_max} bytes");
            return Err(Failure::TooLarge { what: "the answer", bound, hint: None });
        }
        // Most bodies are one chunk, which is handed on as it came.
        if first.is_empty() {
            first = chunk;
            continue;
        }
        if more.is_empty() {
            more.extend_from_slice(&first);
        }
        more.extend_from_slice(&chunk);
    }
    Ok(if more.is_empty() { first } else { more.freeze() })
}

/// The body to its end, into a file.
async fn write_all(
    incoming: &mut Incoming,
    bytes_max: u64,
    clock: &dyn Clock,
    file: &mut Arriving,
) -> Result<(), Failure> {
    while let Some(chunk) = incoming.chunk(clock).await? {
        if incoming.bytes() > bytes_max {
            let bound = format!("{bytes_max} bytes");
            return Err(Failure::TooLarge { what: "the answer", bound, hint: None });
        }
        file.write(&chunk).await?;
    }
    Ok(())
}

fn answer(opened: Opened, body: Bytes, exchange: Exchange) -> Answer {
    Answer {
        status: opened.incoming.status,
        url: opened.url,
        headers: opened.incoming.headers,
        body,
        attempts: exchange.finished(),
        cookies: opened.cookies.into_pairs(),
    }
}
