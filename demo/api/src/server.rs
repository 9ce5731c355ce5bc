//! The listener around the router.
//!
//! In go [`Settings`]; out comes a [`DemoApi`], which serves until it is shut down or dropped. It
//! listens on 127.0.0.1 only. Shutting down lets answers under way finish, but not for longer than
//! two seconds; dropping does not wait at all.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::feed::{FEED_MAX, FeedRow};
use crate::seen::Seen;
use crate::settings::Settings;
use crate::state::{Api, locked};
use crate::{CLIENT_ID, CLIENT_SECRET, routes};

const SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// A running demo API.
pub struct DemoApi {
    api: Arc<Api>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<io::Result<()>>,
}

impl DemoApi {
    /// Starts serving on 127.0.0.1, within the current tokio runtime.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub async fn start(settings: Settings) -> io::Result<DemoApi> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port)).await?;
        let address = listener.local_addr()?;
        let api = Arc::new(Api::new(settings));
        let (stop, stopped) = oneshot::channel::<()>();
        let service = axum::serve(listener, routes(Arc::clone(&api)))
            .with_graceful_shutdown(async move { drop(stopped.await) });
        let server = tokio::spawn(service.into_future());
        Ok(DemoApi { api, address, stop: Some(stop), server })
    }

    /// Where it is: `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The client id that `/oauth/token` knows.
    pub fn client_id(&self) -> &'static str {
        CLIENT_ID
    }

    /// The secret of that client.
    pub fn client_secret(&self) -> &'static str {
        CLIENT_SECRET
    }

    /// The latest requests, at most 10,000, the oldest first.
    pub fn requests(&self) -> Vec<Seen> {
        self.api.seen.entries()
    }

    /// How many requests there were to paths that start with this, of all and not only the latest.
    pub fn count(&self, path_prefix: &str) -> u64 {
        self.api.seen.count(path_prefix)
    }

    /// Forgets the requests and the counts so far.
    pub fn forget_requests(&self) {
        self.api.seen.clear();
    }

    /// Adds a row to `/feed`, at its end; beyond 100,000 rows nothing is added.
    pub fn add_to_feed(&self, id: u64, at: Option<&str>) {
        let mut feed = locked(&self.api.feed);
        if feed.len() < FEED_MAX {
            feed.push(FeedRow::new(id, at));
        }
    }

    /// How many tokens `/oauth/token` has issued.
    pub fn tokens_issued(&self) -> u64 {
        self.api.tokens.count()
    }

    /// Makes every token issued so far invalid, as if it had expired.
    pub fn revoke_tokens(&self) {
        self.api.tokens.revoke();
    }

    /// Stops serving: no new connection, answers under way get up to two seconds.
    pub async fn shutdown(mut self) {
        if let Some(stop) = self.stop.take() {
            // Fails only when the server has ended already, which is what is wanted.
            let _ended_already = stop.send(()).is_err();
        }
        drop(timeout(SHUTDOWN_MAX, &mut self.server).await);
    }
}

impl Drop for DemoApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}
