//! Load for `bench/call.sh`: the same requests through the connector and through the bare HTTP
//! library below it, and one large body each way.
//!
//! In: `restway|bare URL COUNT AT_ONCE`, `download URL FILE` or `upload URL FILE`. Out: seconds,
//! requests per second, microseconds of this process's processor per request and the most memory
//! it held, as one line.

#![expect(clippy::print_stdout, reason = "this program is its output")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use restway_connect::{Connector, ConnectorSettings, EgressPolicy, Request, SystemClock};
use restway_model::definition::{ApiFile, CallInputs, Method, read};
use restway_model::{
    Clock, Event, Limits, MissingSecret, Name, Observer, Redactor, SafeUrl, Secret, SecretSource,
};
use url::Url;

/// What one large body may be.
const BODY_BYTES_MAX: u64 = 8 << 30;

struct Nothing;

impl Observer for Nothing {
    fn observe(&self, _: &Event) {}
}

impl SecretSource for Nothing {
    fn secret(&self, name: &Name) -> Result<Secret, MissingSecret> {
        Err(MissingSecret { name: name.clone(), problem: "is not needed".into() })
    }
}

fn connector(folder: Option<PathBuf>) -> Connector {
    Connector::new(ConnectorSettings {
        limits: Limits::default(),
        egress: EgressPolicy::new(&[], true).expect("an empty list"),
        secrets: Arc::new(Nothing),
        tokens: None,
        clock: Arc::new(SystemClock::default()),
        observer: Arc::new(Nothing),
        redactor: Redactor::default(),
        folder,
    })
}

fn api(url: &Url, at_once: &str) -> ApiFile {
    let base = url.origin().ascii_serialization();
    let text = format!("api: load\nbase_url: {base}\nlimits: {{ concurrency: {at_once} }}\n");
    read("load.yaml", &text).expect("an api")
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let clock = SystemClock::default();
    let begun = clock.monotonic();
    let count = match arguments.as_slice() {
        ["restway", url, count, at_once] => through_restway(url, count, at_once).await,
        ["bare", url, count, at_once] => bare(url, count, at_once).await,
        ["download", url, file] => download(url, Path::new(file)).await,
        ["upload", url, file] => upload(url, Path::new(file)).await,
        _ => panic!("see the head of this file"),
    };
    let seconds = (clock.monotonic() - begun).as_secs_f64();
    let (processor, memory) = used();
    println!(
        "{seconds:.3} s {:.0} requests/s {:.1} us/request {memory} MiB",
        count as f64 / seconds,
        processor * 1e6 / count as f64
    );
}

/// Runs so many requests at once until all are done.
async fn all<F, A>(count: &str, at_once: &str, one: F) -> u64
where
    F: Fn() -> A,
    A: Future<Output = ()> + Send + 'static,
{
    let count: u64 = count.parse().expect("a number");
    let left = Arc::new(AtomicU64::new(count));
    let at_once: usize = at_once.parse().expect("a number");
    let one = &one;
    let workers = (0..at_once).map(|_| {
        let left = Arc::clone(&left);
        async move {
            let take = |left: u64| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                one().await;
            }
        }
    });
    futures::future::join_all(workers).await;
    count
}

async fn through_restway(url: &str, count: &str, at_once: &str) -> u64 {
    let url = Url::parse(url).expect("a URL");
    let (connector, api) = (connector(None), Arc::new(api(&url, at_once)));
    all(count, at_once, || {
        let request = Request::new(Method::Get, SafeUrl::new(url.clone()));
        let (connector, api) = (connector.clone(), Arc::clone(&api));
        async move {
            let answer = connector.call(&api, request).await.expect("an answer");
            assert!(answer.status == 200 && !answer.body.is_empty());
        }
    })
    .await
}

async fn bare(url: &str, count: &str, at_once: &str) -> u64 {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = Url::parse(url).expect("a URL");
    all(count, at_once, || {
        let request = client.get(url.clone());
        async move {
            let answer = request.send().await.expect("an answer");
            assert!(answer.status() == 200);
            assert!(!answer.bytes().await.expect("a body").is_empty());
        }
    })
    .await
}

async fn download(url: &str, file: &Path) -> u64 {
    let url = Url::parse(url).expect("a URL");
    let mut request = Request::new(Method::Get, SafeUrl::new(url.clone()));
    request.body_bytes_max = BODY_BYTES_MAX;
    connector(None).call_to(&api(&url, "1"), request, file).await.expect("an answer");
    1
}

async fn upload(url: &str, file: &Path) -> u64 {
    let name = file.file_name().expect("a file").to_string_lossy();
    let inputs = format!(
        "{{url: '{url}', method: put, total_timeout: 0, read_timeout: 0, \
         multipart: {{parts: [{{name: f, file: '{name}'}}]}}}}"
    );
    let inputs: CallInputs = read("inputs", &inputs).expect("inputs");
    let connector = connector(file.parent().map(Path::to_path_buf));
    let prepared = connector.prepare(&inputs, None).expect("a request");
    let url = Url::parse(url).expect("a URL");
    connector.call(&api(&url, "1"), prepared.request).await.expect("an answer");
    1
}

/// Seconds of the processor and mebibytes of memory at most, as Linux counts them.
fn used() -> (f64, u64) {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs_err::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let memory = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    (ticks / TICKS_PER_SECOND, memory.unwrap_or_default() / 1024)
}
