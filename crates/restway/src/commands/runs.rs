//! `restway runs`: what was done.

use restway_store::{ExportRecord, RunDetail, RunError, RunRecord, WebhookRecord};
use serde_json::{Value, json};

use crate::arguments::{Runs, RunsCommand};
use crate::context::Context;
use crate::report::{BadArgument, Exit, Failure};
use crate::text_table::{Head, bytes, count, render};

pub(super) async fn run(context: &Context, arguments: &Runs) -> Result<Exit, Failure> {
    let workspace = context.workspace().await?;
    let store = workspace.store();
    if let Some(RunsCommand::Show { run }) = &arguments.command {
        let found = store.run(run).await?;
        let detail = found.ok_or_else(|| {
            BadArgument::new(format!("there is no run `{run}`"))
                .with_hint("`restway runs` lists them")
        })?;
        let webhook = store.webhook(&detail.run.id).await?;
        let export = store.export(&detail.run.id).await?;
        show(context, &detail, webhook.as_ref(), export.as_ref());
        return Ok(Exit::Done);
    }
    let runs = store.runs(arguments.limit, None).await?;
    context.printer.json(&json!({ "runs": runs.iter().map(record_json).collect::<Vec<_>>() }));
    if runs.is_empty() {
        context.printer.aside("no runs yet; `restway sync` makes one");
        return Ok(Exit::Done);
    }
    let heads = [
        Head::text("run"),
        Head::text("what"),
        Head::text("status"),
        Head::text("started"),
        Head::number("seconds"),
        Head::number("requests"),
        Head::number("rows"),
    ];
    let rows = runs.iter().map(|run| {
        vec![
            run.id.to_string(),
            format!("{} {}", run.kind.as_str(), run.subject),
            run.status.as_str().to_owned(),
            run.started_at.format("%Y-%m-%d %H:%M:%S").to_string(),
            seconds(run),
            count(run.counts.requests),
            count(run.counts.rows),
        ]
    });
    context.printer.line(&render(&heads, rows));
    Ok(Exit::Done)
}

fn seconds(run: &RunRecord) -> String {
    let took = run.ended_at.map(|ended| ended - run.started_at);
    #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
    took.map_or(String::new(), |took| format!("{:.2}", took.num_milliseconds() as f64 / 1e3))
}

fn show(
    context: &Context,
    detail: &RunDetail,
    webhook: Option<&WebhookRecord>,
    export: Option<&ExportRecord>,
) {
    let run = &detail.run;
    let mut json = record_json(run);
    json["resources"] = detail
        .resources
        .iter()
        .map(|outcome| {
            json!({
                "resource": outcome.resource.to_string(),
                "status": outcome.status.as_str(),
                "started_at": outcome.started_at,
                "ended_at": outcome.ended_at,
                "counts": outcome.counts,
                "detail": outcome.detail,
                "error": error_json(outcome.error.as_ref()),
            })
        })
        .collect();
    if let Some(webhook) = webhook {
        json["webhook"] = super::webhook::record_json(webhook);
    }
    if let Some(export) = export {
        json["export"] = super::export::record_json(export);
    }
    context.printer.json(&json);
    context.printer.line(&format!(
        "run {}: {} {}, {}",
        run.id,
        run.kind.as_str(),
        run.subject,
        run.status.as_str()
    ));
    if let Some(error) = &run.error {
        context.printer.line(&format!("{} [{}]", error.message, error.code));
    }
    if let Some(webhook) = webhook {
        super::webhook::show(context, webhook);
        return;
    }
    if let Some(export) = export {
        super::export::show(context, &run.id, export);
        return;
    }
    let heads = [
        Head::text("resource"),
        Head::text("status"),
        Head::number("requests"),
        Head::number("retries"),
        Head::number("pages"),
        Head::number("records"),
        Head::number("rows"),
        Head::number("rejects"),
        Head::number("read"),
        Head::text("error"),
    ];
    let rows = detail.resources.iter().map(|outcome| {
        let error = outcome.error.as_ref().map(|error| error.message.clone());
        vec![
            outcome.resource.to_string(),
            outcome.status.as_str().to_owned(),
            count(outcome.counts.requests),
            count(outcome.counts.retries),
            count(outcome.counts.pages),
            count(outcome.counts.records),
            count(outcome.counts.rows),
            count(outcome.counts.rejected),
            bytes(outcome.counts.bytes),
            error.unwrap_or_default(),
        ]
    });
    context.printer.line(&render(&heads, rows));
    if let Some(stages) = stages(detail) {
        context
            .printer
            .line("\nwhere the time went, in seconds; what went side by side is added up:");
        context.printer.line(&stages);
    }
    for outcome in &detail.resources {
        for line in outcome.detail.iter().flat_map(detail_lines) {
            context.printer.line(&format!("{}: {line}", outcome.resource));
        }
    }
}

/// The stages of a sync: their names in the report, and as heads of a table. Each is added up by
/// itself, also where it went side by side with others.
const STAGES: [(&str, &str); 7] = [
    ("total", "seconds"),
    ("requests", "requests"),
    ("rate_waits", "rate waits"),
    ("retry_waits", "retry waits"),
    ("shape", "shape"),
    ("write", "write"),
    ("commit", "commit"),
];

/// Where the time went, and in how many batches; nothing for runs that did not tell.
fn stages(detail: &RunDetail) -> Option<String> {
    let rows: Vec<Vec<String>> = detail
        .resources
        .iter()
        .filter_map(|outcome| {
            let told = outcome.detail.as_ref()?;
            let timings = told["timings"].as_object()?;
            let of = |name| timings.get(name).and_then(Value::as_f64).unwrap_or(0.0);
            let mut row = vec![outcome.resource.to_string()];
            row.extend(STAGES.iter().map(|(name, _)| format!("{:.2}", of(*name))));
            row.push(count(told["batches"].as_u64().unwrap_or(0)));
            Some(row)
        })
        .collect();
    let mut heads = vec![Head::text("resource")];
    heads.extend(STAGES.iter().map(|(_, head)| Head::number(head)));
    heads.push(Head::number("batches"));
    (!rows.is_empty()).then(|| render(&heads, rows))
}

/// What a run did to a resource beside what is counted, where there is something to say.
fn detail_lines(detail: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let count = |name: &str| detail[name].as_u64().unwrap_or(0);
    if let Some(after) = detail["cursor_after"].as_str() {
        let before = detail["cursor_before"].as_str().unwrap_or("the beginning");
        let (windows, batches) = (count("windows"), count("batches"));
        lines.push(format!("from {before} to {after}, {windows} windows, {batches} batches"));
    }
    for (name, text) in [
        ("landed_before", "records had landed before"),
        ("before_cursor", "records lie before the cursor and were left out"),
        ("ahead", "records lie in the future and did not move the cursor"),
        ("left_for_later", "records lie beyond the bound and wait for the next sync"),
        ("without_cursor", "records have no cursor that could be read"),
    ] {
        if count(name) > 0 {
            lines.push(format!("{} {text}", count(name)));
        }
    }
    for changed in detail["schema_changed"].as_array().into_iter().flatten() {
        let text = |name: &str| changed[name].as_str().unwrap_or_default();
        let (table, column, to) = (text("table"), text("column"), text("to"));
        lines.push(match changed["from"].as_str() {
            Some(from) => format!("{table}: column {column} was {from} and is {to}"),
            None => format!("{table}: column {column} ({to}) is new"),
        });
    }
    for failed in detail["failed_parents"].as_array().into_iter().flatten() {
        let text = |name: &str| failed[name].as_str().unwrap_or_default();
        let (parent, message, code) = (text("parent"), text("message"), text("code"));
        lines.push(format!("parent {parent}: {message} [{code}]"));
    }
    lines
}

fn record_json(run: &RunRecord) -> Value {
    json!({
        "run": run.id.0,
        "kind": run.kind.as_str(),
        "subject": run.subject,
        "status": run.status.as_str(),
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "counts": run.counts,
        "error": error_json(run.error.as_ref()),
    })
}

fn error_json(error: Option<&RunError>) -> Value {
    error.map_or(Value::Null, |error| json!({ "code": error.code, "message": error.message }))
}
