//! `restway call`: one request, its outputs as one JSON object.
//!
//! The outputs have the names that Cloudomation documents for its REST connector: `status_code`,
//! `headers`, `cookies`, `encoding`, `log`, and exactly one of `json`, `text` and `bytes`, none for
//! an empty answer.

use std::sync::Arc;

use base64::Engine;
use restway_connect::{
    Answer, Attempt, Body, Connector, ConnectorSettings, EgressPolicy, Expected, Request,
};
use restway_model::definition::{ApiFile, Method};
use restway_model::{Limits, MissingSecret, Name, SafeUrl, Secret, SecretSource};
use restway_work::{WorkError, Workspace};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use url::Url;

use crate::arguments::Call;
use crate::context::Context;
use crate::report::{BadArgument, Exit, Failure};

/// The statuses that count as success when nobody says otherwise; Cloudomation's default.
const EXPECTED: [u16; 4] = [200, 201, 202, 204];

pub(super) async fn run(context: &Context, arguments: &Call) -> Result<Exit, Failure> {
    if let Some(webhook) = &arguments.webhook.name {
        return super::webhook::run(context, webhook, &arguments.webhook).await;
    }
    let answer = match &arguments.api {
        Some(name) => {
            let workspace = context.workspace().await?;
            let api = Arc::clone(workspace.definitions.api(name)?);
            let request = request(arguments, Some(&base_url(&workspace, &api)?))?;
            workspace.connector().call(&api, request).await?
        }
        None => {
            let request = request(arguments, None)?;
            let api = ApiFile::bare(Name::slug("call"), request.url.expose());
            alone(context)?.call(&api, request).await?
        }
    };
    let expected: &[u16] =
        if arguments.expected.is_empty() { &EXPECTED } else { &arguments.expected };
    print(context, &answer)?;
    Ok(if expected.contains(&answer.status) { Exit::Done } else { Exit::Failed })
}

/// A connector outside of any workspace: no secrets, public addresses and the person's own
/// loopback.
pub(super) fn alone(context: &Context) -> Result<Connector, Failure> {
    struct NoSecrets;
    impl SecretSource for NoSecrets {
        fn secret(&self, name: &Name) -> Result<Secret, MissingSecret> {
            Err(MissingSecret { name: name.clone(), problem: "has no workspace to be in".into() })
        }
    }
    Ok(Connector::new(ConnectorSettings {
        limits: Limits::default(),
        egress: EgressPolicy::new(&[], true).map_err(WorkError::Egress)?,
        secrets: Arc::new(NoSecrets),
        clock: Arc::clone(&context.clock),
        observer: Arc::clone(&context.observer),
        redactor: context.printer.redactor.clone(),
    }))
}

fn base_url(workspace: &Workspace, api: &ApiFile) -> Result<Url, Failure> {
    Ok(workspace.connector().base_url(api)?.expose().clone())
}

/// The request that the arguments describe. `base` is what a path is put below.
fn request(arguments: &Call, base: Option<&Url>) -> Result<Request, Failure> {
    let method = method(&arguments.method)?;
    let mut request = Request::new(method, SafeUrl::new(url(arguments, base)?));
    for header in &arguments.headers {
        let (name, value) = header.split_once(':').ok_or_else(|| {
            BadArgument::new(format!("`{header}` is not a header")).with_hint("write `NAME: VALUE`")
        })?;
        request.headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    if let Some(body) = &arguments.body {
        let text = if body == "-" { super::standard_input()? } else { body.clone() };
        // The text goes out as it was written: a number must not pass through a float.
        let checked: Result<&RawValue, _> = serde_json::from_str(&text);
        checked.map_err(|error| BadArgument::new(format!("the body is not JSON: {error}")))?;
        request.headers.push(("content-type".into(), "application/json".into()));
        request.body = Some(Body::Text(text));
    }
    // Whatever the status, the person wants to see the answer.
    request.expected = Expected::Any;
    Ok(request)
}

fn method(word: &str) -> Result<Method, BadArgument> {
    use Method::{Delete, Get, Head, Options, Patch, Post, Put};
    let word = word.to_uppercase();
    let all = [Get, Head, Post, Put, Patch, Delete, Options];
    let found = all.into_iter().find(|method| method.as_str() == word);
    found.ok_or_else(|| {
        BadArgument::new(format!("`{word}` is not a method"))
            .with_hint("use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS")
    })
}

fn url(arguments: &Call, base: Option<&Url>) -> Result<Url, Failure> {
    let text = arguments.url.as_deref().unwrap_or_default();
    let parsed = match (Url::parse(text), base) {
        (Ok(url), _) => Ok(url),
        (Err(_), Some(base)) => {
            let base = base.as_str().trim_end_matches('/');
            Url::parse(&format!("{base}/{}", text.trim_start_matches('/')))
        }
        (Err(error), None) => Err(error),
    };
    let mut url = parsed.map_err(|error| {
        BadArgument::new(format!("`{text}` is not a URL: {error}"))
            .with_hint("write the scheme too, as in `https://api.acme.example/teams`")
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(BadArgument::new("only http and https URLs can be called").into());
    }
    for text in &arguments.query {
        let (name, value) = super::pair(text, "query parameter")?;
        url.query_pairs_mut().append_pair(&name, &value);
    }
    Ok(url)
}

/// Prints the outputs. A JSON body is printed as it came, so that no digit of it changes.
fn print(context: &Context, answer: &Answer) -> Result<(), Failure> {
    let mut outputs: Map<String, Value> = Map::new();
    outputs.insert("status_code".into(), json!(answer.status));
    outputs.insert("headers".into(), headers(context, &answer.headers));
    outputs.insert("cookies".into(), cookies(&answer.headers));
    let log: Vec<Value> = answer.attempts.iter().map(attempt).collect();
    let mut body = None;
    match Payload::of(answer) {
        Payload::None => {}
        Payload::Json(text) => {
            outputs.insert("encoding".into(), json!("utf-8"));
            body = Some(text);
        }
        Payload::Text(text) => {
            outputs.insert("encoding".into(), json!("utf-8"));
            outputs.insert("text".into(), json!(text));
        }
        Payload::Bytes(base64) => {
            outputs.insert("bytes".into(), json!(base64));
        }
    }
    outputs.insert("log".into(), Value::Array(log));
    let mut text = format!("{:#}", Value::Object(outputs));
    if let Some(body) = body {
        let end = text.len() - "\n}".len();
        text.truncate(end);
        text.push_str(&format!(",\n  \"json\": {body}\n}}"));
    }
    context.printer.data(&format!("{text}\n"));
    Ok(())
}

/// What the body is: exactly one form.
enum Payload<'a> {
    None,
    Json(&'a str),
    Text(&'a str),
    Bytes(String),
}

impl<'a> Payload<'a> {
    fn of(answer: &'a Answer) -> Self {
        if answer.body.is_empty() {
            return Self::None;
        }
        let Ok(text) = std::str::from_utf8(&answer.body) else {
            return Self::Bytes(base64::engine::general_purpose::STANDARD.encode(&answer.body));
        };
        match serde_json::from_str::<&RawValue>(text) {
            Ok(raw) => Self::Json(raw.get()),
            Err(_) => Self::Text(text),
        }
    }
}

/// Names to values; a name that came several times has a list.
fn headers(context: &Context, headers: &[(String, String)]) -> Value {
    let mut all: Map<String, Value> = Map::new();
    for (name, value) in headers {
        let value = Value::String(context.printer.redactor.redact(value).into_owned());
        match all.get_mut(name) {
            None => {
                all.insert(name.clone(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Value::Object(all)
}

/// The cookies that the answer sets (RFC 6265), names to values.
fn cookies(headers: &[(String, String)]) -> Value {
    let set = headers.iter().filter(|(name, _)| name == "set-cookie");
    let pairs = set.filter_map(|(_, cookie)| cookie.split(';').next()?.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_owned(), json!(value.trim()))).collect()
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "method": attempt.method.as_str(),
        "url": attempt.url.to_string(),
        "status_code": attempt.status,
        "error": attempt.error,
        "duration_ms": attempt.duration.as_millis(),
        "retry_in_ms": attempt.wait.map(|wait| wait.as_millis()),
    })
}
