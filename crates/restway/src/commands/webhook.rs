//! `restway call api.webhook`: a webhook, its outputs as one JSON object.
//!
//! Inputs and answers that the history keeps are shown to the person who ran the webhook, and to
//! nobody else who reads the same workspace.

use restway_model::definition::yaml_value;
use restway_store::{WebhookCallRecord, WebhookRecord};
use restway_work::{Absent, Asked, Given, GivenValue, Wanted, WebhookReport};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::arguments::{Call, WebhookCall};
use crate::context::Context;
use crate::report::{BadArgument, Exit, Failure};
use crate::text_table::{Head, count, render};

pub(super) async fn run(context: &Context, name: &str, arguments: &Call) -> Result<Exit, Failure> {
    let proxy = arguments.proxy.as_deref();
    let apis = Some(vec![name.to_owned()]);
    let opened = crate::context::Wanted { tape: Some(&arguments.tape), proxy, apis };
    let workspace = context.workspace_with(opened).await?;
    let arguments = &arguments.webhook;
    let given = given(arguments)?;
    if arguments.dry_run {
        let lines = workspace.plan_webhook(name, given, Absent::Refused)?;
        context.printer.json(&json!({ "webhook": name, "requests": lines }));
        lines.iter().for_each(|line| context.printer.line(line));
        return Ok(Exit::Done);
    }
    let wanted = if arguments.suggest { Wanted::Suggestions } else { Wanted::Outputs };
    let stop = context.stop_on_signal();
    let asked = Asked { person: &person(), wanted, key: None, stop: &stop };
    let report = workspace.run_webhook(name, given, asked).await?;
    match wanted {
        Wanted::Outputs => outputs(context, &report),
        Wanted::Suggestions => suggestions(context, &report),
    }
    Ok(Exit::Done)
}

/// The parameters of a file, and those of arguments over them.
fn given(arguments: &WebhookCall) -> Result<Given, Failure> {
    let mut given = Given::default();
    if let Some(file) = &arguments.file {
        let text = match file.as_str() {
            "-" => super::standard_input()?,
            file => fs_err::read_to_string(file).map_err(restway_work::WorkError::File)?,
        };
        let value = match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(_) => yaml_value(file, &text).map_err(|problem| {
                // The line itself is not shown: it may hold a secret.
                let place = format!("line {}, column {}", problem.place.line, problem.place.column);
                BadArgument::new(format!("the parameters are neither JSON nor YAML: {place}"))
            })?,
        };
        let Value::Object(members) = value else {
            let bad = BadArgument::new("the parameters are not an object");
            return Err(bad.with_hint("write `{\"name\": value}`").into());
        };
        given.0.extend(members.into_iter().map(|(name, value)| (name, GivenValue::Json(value))));
    }
    for text in &arguments.params {
        let (name, value) = super::pair(text, "parameter")?;
        given.0.insert(name, GivenValue::Text(value));
    }
    Ok(given)
}

/// Prints the outputs. They are printed as they came, so that no digit changes.
fn outputs(context: &Context, report: &WebhookReport) {
    let outputs: Vec<String> = report
        .outputs
        .iter()
        .map(|(name, value)| format!("{}: {}", Value::from(name.as_str()), RawValue::get(value)))
        .collect();
    let outputs = match outputs.as_slice() {
        [] => "{}".to_owned(),
        lines => format!("{{\n  {}\n}}", lines.join(",\n  ")),
    };
    if !context.printer.json {
        context.printer.data(&format!("{outputs}\n"));
        return;
    }
    let calls: Vec<Value> = report
        .calls
        .iter()
        .map(|call| {
            json!({
                "id": call.id.as_str(),
                "url": context.printer.redactor.redact(&call.url.to_string()),
                "status": call.status,
                "attempts": call.attempts,
                "duration_ms": call.duration.as_millis(),
            })
        })
        .collect();
    let calls = Value::Array(calls);
    let run = Value::from(report.run.0.as_str());
    let took = report.duration.as_millis();
    context.printer.data(&format!(
        "{{\"run\": {run}, \"duration_ms\": {took}, \"calls\": {calls}, \"outputs\": {outputs}}}\n"
    ));
}

fn suggestions(context: &Context, report: &WebhookReport) {
    let all = report
        .suggestions
        .iter()
        .map(|one| json!({ "from": one.from, "type": one.kind, "example": one.example }));
    context.printer.json(&json!({ "run": report.run.0, "outputs": all.collect::<Vec<_>>() }));
    let rows = report.suggestions.iter().map(|one| {
        vec![one.from.clone(), one.kind.to_owned(), one.example.clone().unwrap_or_default()]
    });
    let heads = [Head::text("from"), Head::text("type"), Head::text("example")];
    context.printer.line(&render(&heads, rows));
}

/// What the history has of a run, as JSON.
pub(super) fn record_json(webhook: &WebhookRecord) -> Value {
    let is_own = webhook.person == person();
    let shown = |text: &Option<String>| text.clone().filter(|_| is_own);
    let definition = webhook.definition.as_deref();
    let definition = definition.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let call = |call: &WebhookCallRecord| {
        json!({
            "id": call.id,
            "method": call.method,
            "path": call.path,
            "status": call.status,
            "attempts": call.attempts,
            "duration_ms": call.milliseconds,
            "error_code": call.error_code,
            "answer": shown(&call.answer),
        })
    };
    json!({
        "person": webhook.person,
        "version": webhook.version,
        "definition": definition,
        "inputs": shown(&webhook.inputs),
        "kept_until": webhook.kept_until,
        "calls": webhook.calls.iter().map(call).collect::<Vec<_>>(),
    })
}

/// The same for people.
pub(super) fn show(context: &Context, webhook: &WebhookRecord) {
    let record = record_json(webhook);
    let version = webhook.version.map_or(String::new(), |version| format!(", version {version}"));
    context.printer.line(&format!("by {}{version}", webhook.person));
    if let Some(inputs) = record["inputs"].as_str() {
        context.printer.line(&format!("inputs {inputs}"));
    }
    let heads = [
        Head::text("call"),
        Head::text("request"),
        Head::number("status"),
        Head::number("attempts"),
        Head::number("ms"),
        Head::text("error"),
        Head::text("answer"),
    ];
    let rows = webhook.calls.iter().enumerate().map(|(at, call)| {
        vec![
            call.id.clone(),
            format!("{} {}", call.method, call.path),
            call.status.map_or(String::new(), |status| status.to_string()),
            count(call.attempts),
            count(call.milliseconds),
            call.error_code.clone().unwrap_or_default(),
            record["calls"][at]["answer"].as_str().unwrap_or_default().to_owned(),
        ]
    });
    context.printer.line(&render(&heads, rows));
}

/// The name of the operating system's user: by the owner of this process where that can be seen,
/// because variables say whatever they were set to.
fn person() -> String {
    let variable = |name| std::env::var(name).ok().filter(|name| !name.is_empty());
    owner()
        .or_else(|| variable("USER"))
        .or_else(|| variable("LOGNAME"))
        .unwrap_or_else(|| "unknown".into())
}

fn owner() -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let id = fs_err::metadata("/proc/self").ok()?.uid().to_string();
    let accounts = fs_err::read_to_string("/etc/passwd").unwrap_or_default();
    let named = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    Some(named.unwrap_or_else(|| format!("uid {id}")))
}
