//! `restway call`: one request, its outputs as one JSON object.
//!
//! The outputs have the names that Cloudomation documents for its REST connector: `status_code`,
//! `headers`, `cookies`, `encoding`, `log`, and exactly one of `json`, `text` and `bytes`, none for
//! an empty answer or one that went into a file. The inputs come from flags or, all of them by their
//! documented names, from `--input`; both are the same inputs to what follows.

use std::sync::Arc;

use base64::Engine;
use restway_connect::{
    Answer, Attempt, Connector, ConnectorSettings, EgressPolicy, Extras, Payload,
};
use restway_model::definition::{ApiFile, CallInputs, WorkspaceFile, check_inputs, read};
use restway_model::{Limits, MissingSecret, Name, Secret, SecretSource};
use restway_work::WorkError;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::arguments::{Call, TapeArguments};
use crate::context::{Context, Wanted, proxies, tape};
use crate::report::{BadArgument, Exit, Failure};

pub(super) async fn run(context: &Context, arguments: &Call) -> Result<Exit, Failure> {
    if let Some(webhook) = &arguments.webhook.name {
        return super::webhook::run(context, webhook, arguments).await;
    }
    let inputs = match &arguments.input {
        Some(file) => read_inputs(file)?,
        None => flags(arguments)?,
    };
    let grant = arguments.api.as_deref().or(inputs.grant.as_ref().map(Name::as_str));
    let wants_files = inputs.dst.is_some()
        || inputs.multipart.iter().flat_map(|body| &body.parts).any(|part| part.file.is_some());
    let is_documented = arguments.input.is_some();
    let proxy = arguments.proxy.as_deref();
    let wants_secrets = proxy.is_some_and(|proxy| proxy.contains("${secret."));
    let sent = if grant.is_some() || wants_files || wants_secrets {
        let apis = Some(grant.into_iter().map(str::to_owned).collect());
        let wanted = Wanted { tape: Some(&arguments.tape), proxy, apis };
        let workspace = context.workspace_with(wanted).await?;
        let api = match grant {
            Some(name) => Some(Arc::clone(workspace.definitions.api(name)?)),
            None => None,
        };
        send(workspace.connector(), &inputs, api, is_documented).await?
    } else {
        send(&alone(context, &arguments.tape, proxy)?, &inputs, None, is_documented).await?
    };
    let is_expected = inputs.expected_status_code.contains(&sent.answer.status);
    print(context, &sent, inputs.dst.is_some());
    Ok(if is_expected { Exit::Done } else { Exit::Failed })
}

/// What came back, and what else the person should know.
struct Sent {
    answer: Answer,
    notes: Vec<&'static str>,
}

/// `is_documented`: the inputs have the retries of their documents, and not the api's.
async fn send(
    connector: &Connector,
    inputs: &CallInputs,
    api: Option<Arc<ApiFile>>,
    is_documented: bool,
) -> Result<Sent, Failure> {
    let base = match &api {
        Some(api) => Some(connector.base_url(api)?.expose().clone()),
        None => None,
    };
    let mut prepared = connector.prepare(inputs, base.as_ref())?;
    if api.is_some() && !is_documented {
        prepared.request.manner.retry = None;
    }
    let api = match api {
        Some(api) => api,
        None => Arc::new(ApiFile::bare(Name::slug("call"), prepared.request.url.expose())),
    };
    let answer = match &prepared.dst {
        Some(file) => connector.call_to(&api, prepared.request, file).await?,
        None => connector.call(&api, prepared.request).await?,
    };
    Ok(Sent { answer, notes: prepared.notes })
}

/// The inputs from a file or from standard input.
fn read_inputs(file: &str) -> Result<CallInputs, Failure> {
    let text = match file {
        "-" => super::standard_input()?,
        file => fs_err::read_to_string(file)
            .map_err(|error| BadArgument::new(format!("the inputs cannot be read: {error}")))?,
    };
    let name = if file == "-" { "standard input" } else { file };
    let read = read::<CallInputs>(name, &text);
    Ok(read.map_err(WorkError::Definitions)?)
}

/// The inputs that the flags stand for. A person who waits at a terminal gets the bounds that
/// every call of a workspace has.
fn flags(arguments: &Call) -> Result<CallInputs, Failure> {
    let limits = Limits::default();
    let mut inputs = CallInputs {
        url: arguments.url.clone(),
        method: Some(arguments.method.clone()),
        connect_timeout: Some(limits.connect_timeout.as_secs_f64()),
        read_timeout: Some(limits.answer_timeout.as_secs_f64()),
        ..CallInputs::default()
    };
    let mut headers: Map<String, Value> = Map::new();
    for header in &arguments.headers {
        let (name, value) = header.split_once(':').ok_or_else(|| {
            BadArgument::new(format!("`{header}` is not a header")).with_hint("write `NAME: VALUE`")
        })?;
        add(&mut headers, name.trim(), value.trim());
    }
    let mut params: Map<String, Value> = Map::new();
    for text in &arguments.query {
        let (name, value) = super::pair(text, "query parameter")?;
        add(&mut params, &name, &value);
    }
    if let Some(body) = &arguments.body {
        let text = if body == "-" { super::standard_input()? } else { body.clone() };
        // The text goes out as it was written: a number must not pass through a float.
        let checked: Result<&RawValue, _> = serde_json::from_str(&text);
        checked.map_err(|error| BadArgument::new(format!("the body is not JSON: {error}")))?;
        if !headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
            add(&mut headers, "content-type", "application/json");
        }
        inputs.text = Some(text);
    }
    inputs.headers = Some(headers);
    inputs.params = Some(params);
    if !arguments.expected.is_empty() {
        inputs.expected_status_code.clone_from(&arguments.expected);
    }
    check_inputs(&inputs).map_err(|problems| {
        let problem = problems.into_iter().next();
        let (message, hint) = problem.map(|one| (one.message, one.hint)).unwrap_or_default();
        let bad = BadArgument::new(message);
        match hint {
            Some(hint) => bad.with_hint(hint),
            None => bad,
        }
    })?;
    Ok(inputs)
}

/// Adds a value to those of a name.
fn add(all: &mut Map<String, Value>, name: &str, value: &str) {
    let value = Value::String(value.to_owned());
    match all.get_mut(name) {
        None => {
            all.insert(name.to_owned(), value);
        }
        Some(Value::Array(values)) => values.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

/// A connector without a workspace's store: no secrets, public addresses, the person's own
/// loopback, and what the workspace around, if there is one, allows.
pub(super) fn alone(
    context: &Context,
    arguments: &TapeArguments,
    proxy: Option<&str>,
) -> Result<Connector, Failure> {
    struct NoSecrets;
    impl SecretSource for NoSecrets {
        fn secret(&self, name: &Name) -> Result<Secret, MissingSecret> {
            Err(MissingSecret { name: name.clone(), problem: "has no workspace to be in".into() })
        }
    }
    let settings = ConnectorSettings {
        limits: Limits::default(),
        egress: EgressPolicy::new(&allowed(context)?, true).map_err(WorkError::Egress)?,
        secrets: Arc::new(NoSecrets),
        tokens: None,
        clock: Arc::clone(&context.clock),
        observer: Arc::clone(&context.observer),
        redactor: context.printer.redactor.clone(),
        folder: None,
    };
    let extras = Extras { tape: tape(arguments)?, proxies: proxies(proxy)?, ..Extras::default() };
    Ok(Connector::with(settings, extras))
}

/// What `egress.allow` of the workspace around says; nothing outside of one.
fn allowed(context: &Context) -> Result<Vec<String>, Failure> {
    let Ok(folder) = context.folder() else { return Ok(Vec::new()) };
    let file = "restway.yaml";
    let text = fs_err::read_to_string(folder.join(file)).map_err(WorkError::File)?;
    let workspace = read::<WorkspaceFile>(file, &text).map_err(WorkError::Definitions)?;
    Ok(workspace.egress.allow)
}

/// Prints the outputs. A JSON body is printed as it came, so that no digit of it changes.
fn print(context: &Context, sent: &Sent, is_in_file: bool) {
    let answer = &sent.answer;
    let mut outputs: Map<String, Value> = Map::new();
    outputs.insert("status_code".into(), json!(answer.status));
    outputs.insert("headers".into(), headers(context, &answer.headers));
    let redacted = |text: &str| context.printer.redactor.redact(text).into_owned();
    let cookies = answer.cookies.iter();
    let cookies: Map<String, Value> =
        cookies.map(|(name, value)| (name.clone(), json!(redacted(value)))).collect();
    outputs.insert("cookies".into(), Value::Object(cookies));
    let mut log: Vec<Value> = sent.notes.iter().map(|note| json!({ "warning": note })).collect();
    let attempts = answer.attempts.iter().enumerate();
    log.extend(attempts.map(|(at, one)| attempt(context, at + 1, one)));
    let mut body = None;
    match Payload::of(answer) {
        Payload::None => {
            outputs.insert("encoding".into(), Value::Null);
        }
        Payload::Json { text, encoding } => {
            outputs.insert("encoding".into(), json!(encoding));
            body = Some(text);
        }
        Payload::Text { text, encoding } => {
            outputs.insert("encoding".into(), json!(encoding));
            outputs.insert("text".into(), json!(text));
        }
        Payload::Bytes(bytes) => {
            outputs.insert("encoding".into(), Value::Null);
            let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
            outputs.insert("bytes".into(), json!(base64));
        }
    }
    if is_in_file {
        outputs.remove("encoding");
    }
    outputs.insert("log".into(), Value::Array(log));
    let mut text = format!("{:#}", Value::Object(outputs));
    if let Some(body) = body {
        let end = text.len() - "\n}".len();
        text.truncate(end);
        text.push_str(&format!(",\n  \"json\": {}\n}}", body.trim()));
    }
    context.printer.data(&format!("{text}\n"));
}

/// Names to values; a name that came several times has a list.
fn headers(context: &Context, headers: &[(String, String)]) -> Value {
    let mut all: Map<String, Value> = Map::new();
    for (name, value) in headers {
        add(&mut all, name, &context.printer.redactor.redact(value));
    }
    Value::Object(all)
}

fn attempt(context: &Context, number: usize, attempt: &Attempt) -> Value {
    let log = json!({
        "attempt": number,
        "method": attempt.method.as_str(),
        "url": attempt.url.to_string(),
        "started": attempt.started.to_rfc3339(),
        "status_code": attempt.status,
        "error": attempt.error,
        "redirected_to": attempt.redirected_to.as_ref().map(ToString::to_string),
        "duration_ms": attempt.duration.as_millis(),
        "retry_in_ms": attempt.wait.map(|wait| wait.as_millis()),
    });
    context.printer.redactor.redact_json(&log)
}
