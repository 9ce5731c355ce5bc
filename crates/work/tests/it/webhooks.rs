//! The time of a webhook, on a clock that is turned by hand.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use restway_model::{Clock, Explain, Pause};
use restway_work::{Asked, Given, Settings, Stop, Stopper, Wanted, WorkError, Workspace, init};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::recover::settings;

/// Stands still until it is turned; its pauses wait for that.
struct Turned(watch::Sender<Duration>);

impl Clock for Turned {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        *self.0.borrow()
    }

    fn sleep(&self, duration: Duration) -> Pause<'_> {
        let until = self.monotonic() + duration;
        let mut turned = self.0.subscribe();
        Box::pin(async move {
            turned.wait_for(|now| *now >= until).await.expect("the clock outlives its pauses");
        })
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}

async fn open(folder: &Path, clock: &Arc<Turned>, webhook: &str, base_url: &str) -> Workspace {
    init(folder, None).expect("a workspace");
    let file = format!("api: acme\nbase_url: {base_url}\nwebhooks:\n  hook: {webhook}\n");
    fs_err::write(folder.join("apis/acme.yaml"), file).expect("a file");
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    Workspace::open(folder, Settings { clock, ..settings() }).await.expect("it opens")
}

fn spawn(workspace: &Workspace) -> tokio::task::JoinHandle<Result<(), WorkError>> {
    let (_, stop) = Stopper::new();
    spawn_until(workspace, stop)
}

fn spawn_until(
    workspace: &Workspace,
    stop: Stop,
) -> tokio::task::JoinHandle<Result<(), WorkError>> {
    let workspace = workspace.clone();
    tokio::spawn(async move {
        let asked = Asked { person: "jo", wanted: Wanted::Outputs, key: None, stop: &stop };
        workspace.run_webhook("acme.hook", Given::default(), asked).await.map(drop)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_not_answered_in_time_is_not_known_to_be_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(Turned(watch::Sender::new(Duration::ZERO)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let webhook = "{ calls: [{ id: made, method: POST, path: /a, json: {} }], timeout: 30s }";
    let workspace = open(folder.path(), &clock, webhook, &url).await;
    let ran = spawn(&workspace);
    let (mut socket, _) = listener.accept().await.expect("a call");
    socket.read_u8().await.expect("a request");
    clock.0.send_modify(|now| *now += Duration::from_secs(30));
    let error = ran.await.expect("it ends").expect_err("it takes too long");
    assert_eq!(error.code().as_str(), "webhook.timeout");
    assert!(error.to_string().contains("30s; whether the api did the call `made`"), "{error}");
    let runs = workspace.store().runs(10, None).await.expect("runs");
    let record = workspace.store().webhook(&runs[0].id).await.expect("a read").expect("a run");
    assert_eq!(record.calls[0].error_code.as_deref(), Some("webhook.timeout"));
    assert_eq!((record.person.as_str(), runs[0].status.as_str()), ("jo", "failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_of_a_webhook_holds_within_its_timeout() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(Turned(watch::Sender::new(Duration::ZERO)));
    let demo = demo_api::DemoApi::start(demo_api::Settings::default()).await.expect("a port");
    let webhook = "{ calls: [{ id: e, method: GET, path: /fault/echo }], rate: [1/m] }";
    let workspace = open(folder.path(), &clock, webhook, &demo.url()).await;
    spawn(&workspace).await.expect("it ends").expect("the first goes through");
    let second = spawn(&workspace);
    // It waits for two things: its turn, and its time.
    while clock.0.receiver_count() < 2 {
        tokio::task::yield_now().await;
    }
    clock.0.send_modify(|now| *now += Duration::from_secs(20));
    let error = second.await.expect("it ends").expect_err("its time is over first");
    assert!(error.to_string().contains("waiting for its turn"), "{error}");
    assert_eq!(demo.count("/fault/echo"), 1);
    clock.0.send_modify(|now| *now += Duration::from_secs(60));
    spawn(&workspace).await.expect("it ends").expect("a minute later it goes through");
    assert_eq!(demo.count("/fault/echo"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_a_webhook_is_told_what_is_not_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(Turned(watch::Sender::new(Duration::ZERO)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let webhook = "{ calls: [{ id: made, method: POST, path: /a, json: {} }] }";
    let workspace = open(folder.path(), &clock, webhook, &url).await;
    let (stopper, stop) = Stopper::new();
    let ran = spawn_until(&workspace, stop);
    let (mut socket, _) = listener.accept().await.expect("a call");
    socket.read_u8().await.expect("a request");
    let same = open_again(folder.path()).await;
    let under_way = same.store().runs(10, None).await.expect("runs");
    assert_eq!(under_way[0].status.as_str(), "running", "its process is alive");
    stopper.stop();
    let error = ran.await.expect("it ends").expect_err("it was stopped");
    assert_eq!(error.code().as_str(), "webhook.interrupted");
    assert!(error.to_string().contains("whether the api did the call `made` is not known"));
    let runs = workspace.store().runs(10, None).await.expect("runs");
    assert_eq!(runs[0].status.as_str(), "failed");
    assert_eq!(
        runs[0].error.as_ref().map(|error| error.code.as_str()),
        Some("webhook.interrupted")
    );
    let record = workspace.store().webhook(&runs[0].id).await.expect("a read").expect("a run");
    assert_eq!(record.calls[0].error_code.as_deref(), Some("webhook.interrupted"));
}

async fn open_again(folder: &Path) -> Workspace {
    Workspace::open(folder, settings()).await.expect("it opens")
}
