//! A connector with a clock that is turned by its own pauses, an observer that remembers, and a
//! server that answers every request with the same bytes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use demo_api::{API_KEY, BASIC_PASSWORD, CLIENT_SECRET, DemoApi, Settings};
use restway_connect::{
    CallError, Connector, ConnectorSettings, EgressPolicy, Extras, Names, Request, Tape, Walk,
};
use restway_model::definition::{ApiFile, Method};
use restway_model::{
    Clock, Counts, Event, Explain, Limits, MissingSecret, Name, Observer, Pause, Redactor, SafeUrl,
    Scope, Secret, SecretSource, TableName, TokenKeeper, Values,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

/// A clock that stands still but for the pauses it is asked for.
#[derive(Default)]
pub(crate) struct HandClock(Mutex<Duration>);

impl HandClock {
    pub(crate) fn turn(&self, by: Duration) {
        *self.0.lock().expect("a clock") += by;
    }
}

impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).expect("a moment") + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().expect("a clock")
    }

    fn sleep(&self, duration: Duration) -> Pause<'_> {
        self.turn(duration);
        Box::pin(tokio::task::yield_now())
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}

#[derive(Default)]
pub(crate) struct Remembered(Mutex<Vec<Event>>);

impl Observer for Remembered {
    fn observe(&self, event: &Event) {
        self.0.lock().expect("events").push(event.clone());
    }
}

struct Secrets(Mutex<HashMap<String, String>>);

impl SecretSource for Secrets {
    fn secret(&self, name: &Name) -> Result<Secret, MissingSecret> {
        match self.0.lock().expect("secrets").get(name.as_str()) {
            Some(value) => Ok(Secret::new(value)),
            None => Err(MissingSecret { name: name.clone(), problem: "is not set".into() }),
        }
    }
}

/// Parameters and a parent row.
pub(crate) struct Given(pub(crate) Value);

impl Values for Given {
    fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
        let found = self.0.get(scope.as_str()).and_then(|values| values.get(name));
        found.cloned().ok_or_else(|| "it is not given".to_owned())
    }
}

pub(crate) struct Rig {
    pub(crate) connector: Connector,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) redactor: Redactor,
    events: Arc<Remembered>,
    secrets: Arc<Secrets>,
}

/// What a connector may be given besides.
#[derive(Default)]
struct Besides {
    folder: Option<PathBuf>,
    tape: Option<Tape>,
    tokens: Option<Arc<dyn TokenKeeper>>,
    names: Option<Arc<dyn Names>>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default(), &[], true)
    }

    pub(crate) fn in_folder(folder: &Path) -> Self {
        let given = Besides { folder: Some(folder.to_path_buf()), ..Besides::default() };
        Self::made(Limits::default(), &[], true, given)
    }

    pub(crate) fn with(limits: Limits, allow: &[String], loopback: bool) -> Self {
        Self::made(limits, allow, loopback, Besides::default())
    }

    pub(crate) fn with_tape(
        limits: Limits,
        allow: &[String],
        loopback: bool,
        tape: Option<Tape>,
    ) -> Self {
        Self::made(limits, allow, loopback, Besides { tape, ..Besides::default() })
    }

    /// With a keeper of tokens that rotate.
    pub(crate) fn kept(keeper: Arc<dyn TokenKeeper>) -> Self {
        let given = Besides { tokens: Some(keeper), ..Besides::default() };
        Self::made(Limits::default(), &[], true, given)
    }

    /// Where names lead to the addresses that are given.
    pub(crate) fn named(names: Arc<dyn Names>, allow: &[String]) -> Self {
        Self::named_with(names, allow, Limits::default())
    }

    pub(crate) fn named_with(names: Arc<dyn Names>, allow: &[String], limits: Limits) -> Self {
        let given = Besides { names: Some(names), ..Besides::default() };
        Self::made(limits, allow, true, given)
    }

    fn made(
        limits: Limits,
        allow: &[String],
        loopback: bool,
        Besides { folder, tape, tokens, names }: Besides,
    ) -> Self {
        let clock = Arc::new(HandClock::default());
        let events = Arc::new(Remembered::default());
        let redactor = Redactor::default();
        let secrets = HashMap::from([
            ("client", CLIENT_SECRET),
            ("password", BASIC_PASSWORD),
            ("key", API_KEY),
            ("refresh", "first-refresh"),
            ("wrong", "wrong-secret-value"),
            ("split", "two\r\nlines-of-it"),
        ]);
        let secrets = secrets.into_iter().map(|(name, value)| (name.into(), value.into()));
        let secrets = Arc::new(Secrets(Mutex::new(secrets.collect())));
        let settings = ConnectorSettings {
            limits,
            egress: EgressPolicy::new(allow, loopback).expect("a policy"),
            secrets: Arc::clone(&secrets) as Arc<dyn SecretSource>,
            tokens,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            observer: Arc::clone(&events) as Arc<dyn Observer>,
            redactor: redactor.clone(),
            folder,
        };
        let extras = Extras { tape: tape.map(Arc::new), names, ..Extras::default() };
        let connector = Connector::with(settings, extras);
        Self { connector, clock, redactor, events, secrets }
    }

    pub(crate) fn secret(&self, name: &str, value: String) {
        self.secrets.0.lock().expect("secrets").insert(name.to_owned(), value);
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.0.lock().expect("events").clone()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let warning = |event| match event {
            Event::Warned { message, .. } => Some(message),
            _ => None,
        };
        self.events().into_iter().filter_map(warning).collect()
    }

    /// Walks a resource of the api to its end.
    pub(crate) async fn walk(&self, api: &ApiFile, resource: &str) -> Result<Walked, CallError> {
        self.walk_with(api, resource, json!({})).await
    }

    pub(crate) async fn walk_with(
        &self,
        api: &ApiFile,
        resource: &str,
        values: Value,
    ) -> Result<Walked, CallError> {
        let mut walk = self.start(api, resource, values);
        let mut walked = Walked::default();
        while let Some(part) = walk.next().await? {
            walked.parts += 1;
            walked.pages += u64::from(part.last_of_page);
            walked.total = part.total.or(walked.total);
            let read = |text| serde_json::from_slice(text).expect("a record is JSON");
            walked.records.extend(part.records.iter().map(read));
        }
        walked.counts = walk.counts();
        Ok(walked)
    }

    pub(crate) fn start(&self, api: &ApiFile, resource: &str, values: Value) -> Walk {
        let name: Name = resource.parse().expect("a name");
        let settings = api.resource(&name).expect("a resource");
        let table = TableName::new(api.api.clone(), name);
        let values = Arc::new(Given(values));
        self.connector.walk(Arc::new(api.clone()), table, Arc::new(settings), values)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub(crate) records: Vec<Value>,
    pub(crate) parts: u64,
    pub(crate) pages: u64,
    pub(crate) total: Option<u64>,
    pub(crate) counts: Counts,
}

impl Walked {
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.records.iter().map(|record| record["id"].as_u64().expect("an id")).collect()
    }
}

pub(crate) async fn demo() -> DemoApi {
    demo_with(Settings::default()).await
}

pub(crate) async fn demo_with(settings: Settings) -> DemoApi {
    DemoApi::start(settings).await.expect("a free port")
}

/// An api file from its parts; `base_url` and `api` are filled in.
pub(crate) fn api(base_url: &str, parts: Value) -> ApiFile {
    let mut file = json!({"api": "demo", "base_url": base_url});
    for (name, value) in parts.as_object().expect("an object") {
        file[name] = value.clone();
    }
    serde_json::from_value(file).expect("an api file")
}

pub(crate) fn oauth(demo: &DemoApi, parts: Value) -> ApiFile {
    let mut parts = parts;
    parts["auth"] = json!({
        "type": "oauth2", "token_url": "/oauth/token",
        "client_id": demo.client_id(), "client_secret": "${secret.client}",
    });
    api(&demo.url(), parts)
}

pub(crate) fn get(url: &str) -> Request {
    Request::new(Method::Get, SafeUrl::new(Url::parse(url).expect("a URL")))
}

pub(crate) fn code(error: &CallError) -> &'static str {
    error.code().as_str()
}

/// A server that answers every request with the same bytes and closes. Returns its URL.
pub(crate) async fn canned(answer: impl Into<Vec<u8>>) -> String {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 64 << 10];
            let mut length = 0;
            while !request[..length].windows(4).any(|end| end == b"\r\n\r\n") {
                match socket.read(&mut request[length..]).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => length += read,
                }
            }
            drop(socket.write_all(&answer).await);
            drop(socket.shutdown().await);
        }
    });
    url
}

/// A 200 answer with JSON in it.
pub(crate) fn json_answer(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK
content-type: application/json
content-length: {length}
\
         connection: close

{body}"
    )
}

/// A request as a scripted server sees it.
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn url(&self) -> Url {
        let target = self.head.split(' ').nth(1).expect("a request line");
        Url::parse("http://h").and_then(|base| base.join(target)).expect("a target")
    }

    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let url = self.url();
        let mut pairs = url.query_pairs();
        pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned())
    }
}

/// A server whose answers, whole and with `connection: close`, a function makes. Returns its URL.
pub(crate) async fn scripted<F, A>(answer: F) -> String
where
    F: Fn(Seen) -> A + Send + Sync + 'static,
    A: Future<Output = String> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut text = String::new();
                let mut buffer = vec![0; 64 << 10];
                let seen = loop {
                    let Ok(read @ 1..) = socket.read(&mut buffer).await else { return };
                    text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let seen = Seen { head: head.to_owned(), body: body.to_owned() };
                    let length = seen
                        .header("content-length")
                        .map_or(0, |length| length.parse().expect("a length"));
                    if body.len() >= length {
                        break seen;
                    }
                };
                let answer = answer(seen).await;
                drop(socket.write_all(answer.as_bytes()).await);
                drop(socket.shutdown().await);
            });
        }
    });
    url
}
