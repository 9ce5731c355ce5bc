//! The wire: the only place that opens sockets.
//!
//! In: one request, complete, for one hop. Out: the head of an answer, and its body in chunks as
//! they come, unpacked. What never happens here: a redirect followed,
//! a proxy chosen, a retry, a credential added or a decision about any of them.
//!
//! Each origin has a client of its own, because the check of addresses after DNS must know the
//! port that the connection is for, and a client's resolver is told the name only.

use std::collections::HashMap;
use std::error::Error;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::poll;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, RANGE};
use restway_model::definition::Method;
use restway_model::{Clock, Redactor};
use tokio::time::timeout;
use url::{Position, Url};

use crate::egress::{
    CheckedResolver, Denial, EgressPolicy, Names, check_behind_proxy, check_proxy,
};
use crate::error::Failure;
use crate::kept::{Keeping, KeptBody, Met};
use crate::proxy::{self, Proxy};
use crate::request::DEFAULTS;
use crate::sent::Sent;
use crate::tape::{Played, Recording, Tape};
use crate::tls::Tls;
use crate::unpack::{ACCEPTED, Coding, Unpacking, Unreadable};
use crate::upload::Upload;

/// More origins than this at once are not remembered: their connections are opened anew.
const CLIENTS_MAX: usize = 256;
/// More ways to one origin than this are not remembered; the oldest goes first.
const ROUTES_MAX: usize = 8;
/// A body that brings less than this for as long as an answer may take is as good as silent.
const BYTES_PER_SECOND_MIN: u64 = 1024;

/// What did not happen where no connection came about in time.
pub(crate) const NO_CONNECTION: &str = "no connection";
/// What did not happen when a try reached its end.
pub(crate) const TOTAL: &str = "the answer has not ended";

/// Headers that are added here at most.
const ADDED_MAX: usize = DEFAULTS.len() + 2;

/// What the client says of an answer whose head has no end, or more than its bounds.
const HEAD_TOO_LARGE: &str = "message head is too large";

/// The clients, one for each origin.
pub(crate) struct Wire {
    egress: Arc<EgressPolicy>,
    /// The same without what is open to a person alone.
    egress_led: Arc<EgressPolicy>,
    names: Arc<dyn Names>,
    connect_timeout: Duration,
    read_timeout: Duration,
    clients: Mutex<HashMap<String, Vec<(Route, reqwest::Client)>>>,
    tape: Option<(Arc<Tape>, Redactor)>,
}

/// How a host is reached, where that is not as usual.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Route {
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) proxy: Option<Arc<Proxy>>,
    /// Whether an api's answer chose the host.
    pub(crate) is_led: bool,
}

/// One hop's request, with credentials.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Upload>,
    /// Time until the head of the answer, and the measure for a body that trickles.
    pub(crate) answer_timeout: Duration,
    pub(crate) route: Route,
    /// Silence in the answer's body; the process's own without it.
    pub(crate) read_timeout: Option<Duration>,
    /// When the answer must have ended.
    pub(crate) end: Option<End>,
}

/// When all of a try must have ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    /// How long the try may take.
    pub(crate) total: Duration,
    /// The moment, on the clock.
    pub(crate) at: Duration,
    /// What was left of it when the request went out.
    pub(crate) left: Duration,
}

impl End {
    fn reached(self) -> Failure {
        Failure::Timeout { what: TOTAL, after: self.total }
    }
}

/// An answer whose body is still to be read.
pub(crate) struct Incoming {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    source: Source,
    recording: Option<Box<Recording>>,
    keeping: Option<Box<Keeping>>,
    /// Told of when it is clear how it ended.
    pub(crate) sent: Option<Box<Sent>>,
    read_timeout: Duration,
    end: Option<End>,
    /// None where the request brought bounds of its own.
    pace: Option<Pace>,
    bytes: u64,
}

/// Where the body comes from.
enum Source {
    Network(Box<reqwest::Response>),
    Packed(Box<Unpacking>),
    Kept(KeptBody),
    Tape(Option<Bytes>),
}

/// How fast a body must come, measured over the time spent waiting for it.
struct Pace {
    window: Duration,
    waited: Duration,
    bytes: u64,
}

impl Wire {
    pub(crate) fn new(
        egress: EgressPolicy,
        names: Arc<dyn Names>,
        (connect_timeout, read_timeout): (Duration, Duration),
        tape: Option<(Arc<Tape>, Redactor)>,
    ) -> Self {
        let (egress, egress_led) = (Arc::new(egress.clone()), Arc::new(egress.listed()));
        let clients = Mutex::default();
        Self { egress, egress_led, names, connect_timeout, read_timeout, clients, tape }
    }

    /// Sends and waits for the head of the answer.
    pub(crate) async fn send(&self, outgoing: Outgoing) -> Result<Incoming, Failure> {
        let Some((tape, redactor)) = &self.tape else {
            return self.open(outgoing).await;
        };
        if tape.plays() {
            let played = tape.play(&outgoing, redactor);
            let played = played.map_err(|problem| Failure::NotRecorded { problem })?;
            return Ok(self.played(played));
        }
        let recording = tape.begin(&outgoing, redactor);
        let mut incoming = self.open(outgoing).await?;
        if let Some(mut recording) = recording {
            recording.answered(incoming.status, &incoming.headers);
            incoming.recording = Some(Box::new(recording));
        }
        Ok(incoming)
    }

    fn played(&self, played: Played) -> Incoming {
        Incoming {
            status: played.status,
            headers: played.headers,
            source: Source::Tape(Some(played.body).filter(|body| !body.is_empty())),
            recording: None,
            keeping: None,
            sent: None,
            read_timeout: self.read_timeout,
            end: None,
            pace: None,
            bytes: 0,
        }
    }

    async fn open(&self, outgoing: Outgoing) -> Result<Incoming, Failure> {
        let egress = self.egress(&outgoing.route);
        egress.check_url(&outgoing.url).map_err(Failure::Egress)?;
        let Some(proxy) = outgoing.route.proxy.clone() else {
            return self.ask(outgoing).await;
        };
        self.check_way(&proxy, egress, &outgoing.url).await.map_err(Failure::Egress)?;
        let url = outgoing.url.clone();
        let asked = match self.ask(outgoing).await {
            Ok(incoming) => proxy.judge(&url, incoming.status).map(|()| incoming),
            Err(failure) => Err(failure),
        };
        asked.map_err(|failure| failure.through(&proxy))
    }

    fn egress(&self, route: &Route) -> &Arc<EgressPolicy> {
        if route.is_led { &self.egress_led } else { &self.egress }
    }

    /// Checks the proxy, and what it is to be asked for.
    async fn check_way(
        &self,
        proxy: &Proxy,
        egress: &EgressPolicy,
        url: &Url,
    ) -> Result<(), Denial> {
        if let Some(host) = proxy.url.host().filter(|_| !proxy.is_own) {
            check_proxy(self.names.as_ref(), &self.egress, &host, proxy.port()).await?;
        }
        check_behind_proxy(self.names.as_ref(), egress, url, proxy.is_own).await
    }

    async fn ask(&self, outgoing: Outgoing) -> Result<Incoming, Failure> {
        let client = self.client(&outgoing.url, &outgoing.route)?;
        let connect_timeout = outgoing.route.connect_timeout.unwrap_or(self.connect_timeout);
        let after = outgoing.answer_timeout;
        let method = reqwest_method(outgoing.method);
        let headers = completed(headers(outgoing.headers)?);
        let mut request = reqwest::Request::new(method, outgoing.url);
        *request.headers_mut() = headers;
        // RFC 9110, section 8.6: servers refuse or await a body that is not announced as empty.
        let is_awaited = matches!(outgoing.method, Method::Post | Method::Put | Method::Patch);
        if outgoing.body.is_none() && is_awaited {
            request.headers_mut().insert(CONTENT_LENGTH, 0.into());
        }
        if let Some(body) = outgoing.body {
            *request.body_mut() = Some(match body.in_memory() {
                Some(bytes) => bytes.into(),
                None => {
                    request.headers_mut().insert(CONTENT_LENGTH, body.length().into());
                    reqwest::Body::wrap_stream(body.chunks())
                }
            });
        }
        let end = outgoing.end.filter(|end| end.left <= after);
        let too_slow = || end.map_or(Failure::Timeout { what: "no answer", after }, End::reached);
        let response = timeout(end.map_or(after, |end| end.left), client.execute(request))
            .await
            .map_err(|_| too_slow())?
            .map_err(|error| send_failure(error, connect_timeout))?;
        let status = response.status().as_u16();
        let headers = response.headers().iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let has_own_bounds = outgoing.read_timeout.is_some();
        let pace = Pace { window: after, waited: Duration::ZERO, bytes: 0 };
        let mut headers: Vec<(String, String)> = headers.collect();
        let source = source(response, &mut headers)?;
        Ok(Incoming {
            status,
            headers,
            source,
            recording: None,
            keeping: None,
            sent: None,
            read_timeout: outgoing.read_timeout.unwrap_or(self.read_timeout),
            end: outgoing.end,
            pace: Some(pace).filter(|_| !has_own_bounds),
            bytes: 0,
        })
    }

    fn client(&self, url: &Url, route: &Route) -> Result<reqwest::Client, Failure> {
        // No URL with a user name comes here, so this is its origin.
        let origin = &url[..Position::BeforePath];
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let of_origin = clients.get(origin).map(Vec::as_slice).unwrap_or_default();
        if let Some((_, client)) = of_origin.iter().find(|(known, _)| known == route) {
            return Ok(client.clone());
        }
        let (policy, port) = match &route.proxy {
            None => {
                (Arc::clone(self.egress(route)), url.port_or_known_default().unwrap_or_default())
            }
            Some(proxy) if proxy.is_own => (Arc::new(EgressPolicy::anywhere()), proxy.port()),
            Some(proxy) => (Arc::clone(&self.egress), proxy.port()),
        };
        let resolver = CheckedResolver::new(Arc::clone(&self.names), policy, port);
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(route.connect_timeout.unwrap_or(self.connect_timeout))
            .dns_resolver(resolver);
        if let Some(proxy) = &route.proxy {
            builder = builder.proxy(proxy.setting()?);
        }
        let tls = match &route.tls {
            Some(tls) => tls.configuration()?,
            None => Tls::default().configuration()?,
        };
        builder = builder.tls_backend_preconfigured(tls);
        let client = builder.build().map_err(|error| Failure::Tls { problem: causes(&error) })?;
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        let of_origin = clients.entry(origin.to_owned()).or_default();
        if of_origin.len() >= ROUTES_MAX {
            of_origin.remove(0);
        }
        of_origin.push((route.clone(), client.clone()));
        Ok(client)
    }
}

impl Incoming {
    /// The next chunk of the decoded body; `None` at its proper end.
    pub(crate) async fn chunk(&mut self, clock: &dyn Clock) -> Result<Option<Bytes>, Failure> {
        let arrived = self.arrived(clock).await;
        let (chunk, waited) = arrived.inspect_err(|failure| self.blame(failure))?;
        if let Some(sent) = &mut self.sent {
            match &chunk {
                Some(chunk) => sent.bytes += chunk.len() as u64,
                None => sent.ended(),
            }
        }
        self.record(chunk.as_deref())?;
        self.keep(chunk.as_ref()).await?;
        let length = chunk.as_ref().map_or(0, Bytes::len) as u64;
        self.bytes += length;
        if let Some(pace) = self.pace.as_mut().filter(|_| chunk.is_some())
            && pace.is_too_slow(waited, length)
        {
            let what = "less than 1 KiB per second of the answer";
            return Err(Failure::Timeout { what, after: pace.window });
        }
        Ok(chunk)
    }

    /// The next chunk, and how long it was waited for. One that is there already costs no look at
    /// the clock, unless all of the answer has an end.
    async fn arrived(&mut self, clock: &dyn Clock) -> Result<(Option<Bytes>, Duration), Failure> {
        let left = |end: End| (end.at.saturating_sub(clock.monotonic()), end);
        let left = self.end.map(left);
        if let Some((_, end)) = left.filter(|(left, _)| left.is_zero()) {
            return Err(end.reached());
        }
        let mut coming = pin!(self.source.chunk(self.bytes));
        if let Poll::Ready(chunk) = poll!(coming.as_mut()) {
            return Ok((chunk?, Duration::ZERO));
        }
        let begun = clock.monotonic();
        let (after, failure) = match left {
            Some((left, end)) if left <= self.read_timeout => (left, end.reached()),
            _ => {
                let (what, after) = ("no further byte of the answer", self.read_timeout);
                (after, Failure::Timeout { what, after })
            }
        };
        let chunk = timeout(after, coming).await.map_err(|_| failure)??;
        Ok((chunk, clock.monotonic().saturating_sub(begun)))
    }

    /// Takes over what the kept answers know of it.
    pub(crate) fn met(&mut self, met: Met) {
        match met {
            Met::Unchanged(headers, body) => {
                self.status = 200;
                self.headers = headers;
                self.source = Source::Kept(body);
            }
            Met::Keeping(keeping) => self.keeping = Some(keeping),
            Met::Passing => {}
        }
    }

    async fn keep(&mut self, chunk: Option<&Bytes>) -> Result<(), Failure> {
        let Some(mut keeping) = self.keeping.take() else { return Ok(()) };
        let Some(chunk) = chunk else { return keeping.finish().await };
        if keeping.chunk(chunk).await? {
            self.keeping = Some(keeping);
        }
        Ok(())
    }

    fn record(&mut self, chunk: Option<&[u8]>) -> Result<(), Failure> {
        let Some(recording) = &mut self.recording else { return Ok(()) };
        match chunk {
            Some(chunk) => recording.chunk(chunk),
            None => return self.finish_recording(),
        }
        if recording.is_too_large() {
            let (bound, hint) = ("256 MiB".to_owned(), None);
            return Err(Failure::TooLarge { what: "an answer to record", bound, hint });
        }
        Ok(())
    }

    fn finish_recording(&mut self) -> Result<(), Failure> {
        let finished = self.recording.take().map_or(Ok(()), |mut recording| recording.finish());
        finished.map_err(|error| Failure::invalid("the recording", error.to_string()))
    }

    /// Decoded bytes so far.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Source {
    /// The next chunk, after so many bytes of the body.
    async fn chunk(&mut self, offset: u64) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Tape(body) => Ok(body.take()),
            Self::Kept(body) => body.chunk().await,
            Self::Network(response) => {
                response.chunk().await.map_err(|error| body_failure(&error, offset))
            }
            Self::Packed(unpacking) => {
                let chunk = unpacking.chunk().await;
                chunk.map_err(|unreadable| unpack_failure(unreadable, unpacking, offset))
            }
        }
    }
}

impl Pace {
    fn is_too_slow(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        self.bytes += bytes;
        if self.waited < self.window {
            return false;
        }
        let is_too_slow = self.bytes < BYTES_PER_SECOND_MIN * self.window.as_secs().max(1);
        self.waited = Duration::ZERO;
        self.bytes = 0;
        is_too_slow
    }
}

fn reqwest_method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
        Method::Options => reqwest::Method::OPTIONS,
    }
}

fn headers(pairs: Vec<(String, String)>) -> Result<HeaderMap, Failure> {
    let mut map = HeaderMap::with_capacity(pairs.len() + ADDED_MAX);
    for (name, value) in pairs {
        let subject = || format!("the header `{name}`");
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Failure::invalid(subject(), "has a name that cannot be sent"))?;
        let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
            Failure::invalid(subject(), "has a value with a line break or control character")
        })?;
        value.set_sensitive(true);
        map.append(header, value);
    }
    Ok(map)
}

/// The headers with what every request has, and with what the wire can unpack, unless the request
/// says itself what it takes. A part of a body is asked for as it is: its bytes are counted packed.
fn completed(mut headers: HeaderMap) -> HeaderMap {
    for (name, value) in DEFAULTS {
        if !headers.contains_key(name) {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
    }
    if !headers.contains_key(ACCEPT_ENCODING) && !headers.contains_key(RANGE) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
    }
    headers
}

/// The body, which will be unpacked; its headers then say what it is after that.
fn source(
    response: reqwest::Response,
    headers: &mut Vec<(String, String)>,
) -> Result<Source, Failure> {
    let labels = headers.iter().filter(|(name, _)| name == "content-encoding");
    let Some(coding) = Coding::named(labels.map(|(_, value)| value.as_str()))? else {
        return Ok(Source::Network(Box::new(response)));
    };
    headers.retain(|(name, _)| name != "content-encoding" && name != "content-length");
    Ok(Source::Packed(Box::new(Unpacking::new(coding, response.bytes_stream()))))
}

fn unpack_failure(unreadable: Unreadable, unpacking: &Unpacking, offset: u64) -> Failure {
    match &unreadable {
        Unreadable::Error(error) => match find::<reqwest::Error>(error) {
            Some(network) => body_failure(network, offset),
            None => unpacking.failure(&unreadable),
        },
        _ => unpacking.failure(&unreadable),
    }
}

fn send_failure(error: reqwest::Error, connect_timeout: Duration) -> Failure {
    let error = error.without_url();
    if let Some(denial) = find::<Denial>(&error) {
        return Failure::Egress(denial.clone());
    }
    if let Some(tls) = find::<rustls::Error>(&error) {
        return tls_failure(tls);
    }
    if let Some(refusal) = proxy::refusal(&restway_model::chain(&error)) {
        return refusal;
    }
    let problem = causes(&error);
    if problem == HEAD_TOO_LARGE {
        let bound = "400 KiB or 100 headers".to_owned();
        return Failure::TooLarge { what: "the head of the answer", bound, hint: None };
    }
    if error.is_dns() {
        Failure::Dns { problem }
    } else if error.is_timeout() && error.is_connect() {
        Failure::Timeout { what: NO_CONNECTION, after: connect_timeout }
    } else if error.is_connect() {
        Failure::Connect { problem }
    } else if error.is_builder() {
        Failure::invalid("the request", format!("cannot be sent: {problem}"))
    } else {
        Failure::Interrupted { problem, offset: 0 }
    }
}

fn tls_failure(error: &rustls::Error) -> Failure {
    let problem = match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
            other.0.to_string()
        }
        other => other.to_string(),
    };
    Failure::Tls { problem }
}

fn body_failure(error: &reqwest::Error, offset: u64) -> Failure {
    Failure::Interrupted { problem: causes(error), offset }
}

/// An error of that type among the causes. An `io::Error` hides what it wraps from `source`.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    const DEPTH_MAX: usize = 16;
    let mut next = Some(error);
    for _ in 0..DEPTH_MAX {
        let current = next?;
        if let Some(found) = current.downcast_ref::<T>() {
            return Some(found);
        }
        let wrapped = current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => current.source(),
        };
    }
    None
}

/// The innermost cause: the others say in many words that something failed.
fn causes(error: &dyn Error) -> String {
    restway_model::chain(error).pop().unwrap_or_else(|| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_told_from_a_stream() {
        let second = Duration::from_secs(1);
        let mut trickle = Pace { window: 10 * second, waited: Duration::ZERO, bytes: 0 };
        assert!((0..9).all(|_| !trickle.is_too_slow(second, 1_000)));
        assert!(trickle.is_too_slow(second, 1_000));
        let mut stream = Pace { window: 10 * second, waited: Duration::ZERO, bytes: 0 };
        assert!((0..100).all(|_| !stream.is_too_slow(second, 1_100)));
    }

    #[test]
    fn headers_that_would_split_a_request_are_refused() {
        for (name, value) in [("x", "a\r\nb: c"), ("x y", "a"), ("", "a"), ("x", "a\0")] {
            assert!(headers(vec![(name.into(), value.into())]).is_err(), "{name:?} {value:?}");
        }
        let twice = headers(vec![("x".into(), "ü".into()), ("X".into(), "b".into())]);
        assert_eq!(twice.map(|map| map.len()).ok(), Some(2));
    }
}
