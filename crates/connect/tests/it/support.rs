//! A connector with a clock that is turned by its own pauses, an observer that remembers, and a
//! server that answers every request with the same bytes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use demo_api::{API_KEY, BASIC_PASSWORD, CLIENT_SECRET, DemoApi, Settings};
use restway_connect::{CallError, Connector, ConnectorSettings, EgressPolicy, Request, Walk};
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

struct Secrets(HashMap<&'static str, &'static str>);

impl SecretSource for Secrets {
    fn secret(&self, name: &Name) -> Result<Secret, MissingSecret> {
        match self.0.get(name.as_str()) {
            Some(value) => Ok(Secret::new(*value)),
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
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default(), &[], true)
    }

    pub(crate) fn with(limits: Limits, allow: &[String], loopback: bool) -> Self {
        Self::made(limits, allow, loopback, None)
    }

    /// With a keeper of tokens that rotate.
    pub(crate) fn kept(keeper: Arc<dyn TokenKeeper>) -> Self {
        Self::made(Limits::default(), &[], true, Some(keeper))
    }

    fn made(
        limits: Limits,
        allow: &[String],
        loopback: bool,
        tokens: Option<Arc<dyn TokenKeeper>>,
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
        let connector = Connector::new(ConnectorSettings {
            limits,
            egress: EgressPolicy::new(allow, loopback).expect("a policy"),
            secrets: Arc::new(Secrets(secrets)),
            tokens,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            observer: Arc::clone(&events) as Arc<dyn Observer>,
            redactor: redactor.clone(),
        });
        Self { connector, clock, redactor, events }
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
