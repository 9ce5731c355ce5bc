//! Sockets: listening, the bounds of a connection, stopping in good order.
//!
//! In: an address, and a future that ends when it is time to stop. Out: nothing; answers go to
//! their sockets. What never happens here: a look into a request.
//!
//! Bounds: the head of a request has a size and a time (which is also how long an idle connection
//! is kept); what is written must be taken; connections have a number, and whoever comes later
//! waits in the system's queue. When told to stop, the server closes its socket, so that nobody
//! waits in that queue in vain, lets requests under way end, and waits for them only so long.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use restway_model::{Clock, Event, Observer, Pause};
use restway_publish::Publisher;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::ServerError;
use crate::guard::{Guard, is_loopback};
use crate::metrics::Metrics;
use crate::paced::Paced;
use crate::proxies::TrustedProxies;
use crate::routes::{Peer, Shared, router};

/// Accepting may fail so often in a row: the reason is then no passing one.
const ACCEPT_FAILURES_MAX: u32 = 100;
/// The pause after a failure to accept, which is mostly a want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// hyper takes no smaller bound for what it has read and not understood yet.
const HYPER_BUFFER_MIN: usize = 8_192;

/// What a server needs to know. [`ServerSettings::new`] fills in the bounds.
pub struct ServerSettings {
    /// Where to listen; port 0 for any free one.
    pub listen: SocketAddr,
    /// Whether other machines may reach it. Without it such an address is refused.
    pub beyond_loopback: bool,
    /// Who answers for published objects.
    pub publisher: Arc<Publisher>,
    /// Who is told of each answer.
    pub observer: Arc<dyn Observer>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Proxies that are believed when they say who asks.
    pub proxies: TrustedProxies,
    /// Requests under way at once; one more is answered 503.
    pub requests_max: usize,
    /// Open connections; one more waits.
    pub connections_max: usize,
    /// Bytes of a request's head.
    pub head_bytes_max: usize,
    /// Time for a request's head to come, and for an idle connection to stay.
    pub head_time_max: Duration,
    /// Bytes of a request's body.
    pub body_bytes_max: u64,
    /// Time for a request's body to come.
    pub body_time_max: Duration,
    /// Time that a client may take nothing of what is written to it.
    pub write_time_max: Duration,
    /// Time for requests under way to end when the server stops.
    pub stop_time_max: Duration,
}

impl ServerSettings {
    /// Settings for an address, with the usual bounds, for this machine alone.
    pub fn new(
        listen: SocketAddr,
        publisher: Arc<Publisher>,
        observer: Arc<dyn Observer>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            listen,
            beyond_loopback: false,
            proxies: TrustedProxies::default(),
            publisher,
            observer,
            clock,
            requests_max: 256,
            connections_max: 1_024,
            head_bytes_max: 64 << 10,
            head_time_max: Duration::from_secs(10),
            body_bytes_max: 1 << 20,
            body_time_max: Duration::from_secs(30),
            write_time_max: Duration::from_secs(30),
            stop_time_max: Duration::from_secs(10),
        }
    }
}

/// A server that has its address and does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    http: http1::Builder,
    observer: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
    connections_max: usize,
    write_time_max: Duration,
    stop_time_max: Duration,
}

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    /// When the system refuses it, or it lies beyond this machine and may not.
    pub async fn bind(settings: ServerSettings) -> Result<Self, ServerError> {
        let listen = settings.listen;
        if !settings.beyond_loopback && !is_loopback(listen) {
            return Err(ServerError::BeyondLoopback { listen });
        }
        let refused = |source| ServerError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let shared = Shared {
            publisher: settings.publisher,
            observer: settings.observer.clone(),
            clock: settings.clock.clone(),
            guard: Guard::new(address, settings.body_bytes_max),
            metrics: Metrics::default(),
            proxies: settings.proxies,
            permits: Arc::new(Semaphore::new(settings.requests_max)),
            body_time_max: settings.body_time_max,
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(settings.head_time_max)
            .max_header_size(settings.head_bytes_max)
            .max_buf_size(settings.head_bytes_max.max(HYPER_BUFFER_MIN));
        Ok(Self {
            listener,
            address,
            router: router(Arc::new(shared)),
            http,
            observer: settings.observer,
            clock: settings.clock,
            connections_max: settings.connections_max,
            write_time_max: settings.write_time_max,
            stop_time_max: settings.stop_time_max,
        })
    }

    /// Where it listens, with the port that it got.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers until `shutdown` ends.
    ///
    /// # Errors
    /// When the system gives no more connections.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ServerError> {
        self.observer.observe(&Event::ServerListening { url: self.url() });
        let Self { listener, router, http, observer, clock, .. } = self;
        let warn = |message| {
            observer.observe(&Event::Warned { about: "server".to_owned(), message });
        };
        let (stop, stopping) = watch::channel(());
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        let mut failures = 0;
        let outcome = loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break Ok(()),
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept(), if connections.len() < self.connections_max => {
                    accepted
                }
            };
            match accepted {
                Ok((stream, peer)) => {
                    failures = 0;
                    let peer = Peer(peer.ip().to_canonical());
                    let stream = Paced::new(stream, Arc::clone(&clock), self.write_time_max);
                    let (http, router) = (http.clone(), router.clone());
                    connections.spawn(serve(http, stream, peer, router, stopping.clone()));
                }
                Err(source) => {
                    failures += 1;
                    if failures >= ACCEPT_FAILURES_MAX {
                        break Err(ServerError::Accept { times: failures, source });
                    }
                    warn(format!("no connection accepted: {source}"));
                    clock.sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        // Whoever comes now is told at once that nobody listens.
        drop(listener);
        drop(stop);
        let left = drain(connections, clock.sleep(self.stop_time_max)).await;
        if left > 0 {
            warn(format!("stopped with {left} connections still open"));
        }
        outcome
    }
}

/// Waits for the connections to end, and ends those that do not; says how many these were.
async fn drain(mut connections: JoinSet<()>, mut late: Pause<'_>) -> usize {
    while !connections.is_empty() {
        tokio::select! {
            _ = connections.join_next() => {}
            () = &mut late => {
                let left = connections.len();
                connections.shutdown().await;
                return left;
            }
        }
    }
    0
}

/// Answers on one connection until it ends or the server stops. How a connection ends is the
/// client's affair: nothing is to be done about one that broke.
async fn serve(
    http: http1::Builder,
    stream: Paced<TcpStream>,
    peer: Peer,
    router: Router,
    mut stopping: watch::Receiver<()>,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        // The sender is dropped to stop, so this ends with an error, and only then.
        _ = stopping.changed() => connection.as_mut().graceful_shutdown(),
    }
    // An error here is a connection that broke while it was ending.
    drop(connection.await);
}
