//! `restway sync`: resources into tables.

use restway_model::{Code, Counts, Explain, RunStatus, TableName};
use restway_work::{Extent, ResourceReport, Selection, SyncReport, WorkError};
use serde_json::{Value, json};

use crate::arguments::Sync;
use crate::context::Context;
use crate::report::{BadArgument, Exit, Failure, as_json, as_text};
use crate::text_table::{Head, bytes, count, render};

pub(super) async fn run(context: &Context, arguments: &Sync) -> Result<Exit, Failure> {
    let selection = Selection(arguments.what.clone());
    let report = match kept_run(arguments) {
        Some(_) if arguments.full => {
            return Err(
                BadArgument::new("`--full` and the replay of a run exclude each other").into()
            );
        }
        Some(run) => {
            let workspace = context.workspace().await?;
            workspace.replay(run, &selection, &context.stop_on_signal()).await?
        }
        None => {
            let workspace = context.workspace_with(&arguments.tape).await?;
            let stop = context.stop_on_signal();
            let extent = if arguments.full { Extent::Full } else { Extent::New };
            workspace.sync(&selection, extent, &stop).await?
        }
    };
    context.progress.finish();
    print(context, &report);
    Ok(exit(&report))
}

/// The run whose kept pages are landed again: what `--replay` names where it is no folder.
fn kept_run(arguments: &Sync) -> Option<&str> {
    let replay = arguments.tape.replay.as_ref().filter(|replay| !replay.is_dir())?;
    let is_of_ids = |letter: char| letter.is_ascii_hexdigit() || letter == '-';
    replay.to_str().filter(|text| text.chars().all(is_of_ids))
}

/// Prints the tables that were written, and each resource's error.
pub(super) fn print(context: &Context, report: &SyncReport) {
    let printer = &context.printer;
    printer.json(&json!({
        "run": report.run.0,
        "status": report.status.as_str(),
        "seconds": report.duration.as_secs_f64(),
        "counts": report.counts,
        "resources": report.resources.iter().map(resource_json).collect::<Vec<_>>(),
        "warnings": context.warnings.json(),
    }));
    let tables: Vec<&(TableName, u64)> =
        report.resources.iter().flat_map(|resource| &resource.tables).collect();
    if !tables.is_empty() {
        let rows = tables.iter().map(|(table, rows)| vec![table.to_string(), count(*rows)]);
        printer.line(&render(&[Head::text("table"), Head::number("rows")], rows));
    }
    printer.line(&format!(
        "run {}: {}, {} rows from {} records in {} requests, {}, {:.2} s{}",
        report.run,
        report.status.as_str(),
        count(report.counts.rows),
        count(report.counts.records),
        count(report.counts.requests),
        bytes(report.counts.bytes),
        report.duration.as_secs_f64(),
        aside(&report.counts),
    ));
    for resource in &report.resources {
        if resource.counts.rejected > 0 && resource.error.is_none() && !printer.json {
            let (name, rejected) = (&resource.resource, count(resource.counts.rejected));
            printer.note(&format!("{name}: {rejected} records went to `{name}__rejects`"));
        }
        if let Some(error) = resource.error.as_ref().filter(|_| !printer.json) {
            printer.note(&format!("{}: {}", resource.resource, as_text(error, printer)));
        }
        if resource.status() == RunStatus::Partly {
            let name = &resource.resource;
            printer.aside(&format!(
                "{name}: what was committed stays; `restway sync {name}` goes on from there"
            ));
        }
    }
}

/// What did not land, what went, and what need not be sent.
fn aside(counts: &Counts) -> String {
    let parts = [
        ("rejected", counts.rejected),
        ("deleted", counts.deleted),
        ("answers unchanged", counts.unchanged),
    ];
    let met = parts.iter().filter(|(_, met)| *met > 0);
    met.map(|(word, met)| format!(", {} {word}", count(*met))).collect()
}

fn resource_json(resource: &ResourceReport) -> Value {
    let tables: serde_json::Map<String, Value> =
        resource.tables.iter().map(|(table, rows)| (table.to_string(), json!(rows))).collect();
    json!({
        "resource": resource.resource.to_string(),
        "status": resource.status().as_str(),
        "counts": resource.counts,
        "tables": tables,
        "detail": resource.detail,
        "error": resource.error.as_ref().map(|error| as_json(error)),
    })
}

/// Wrongly asked counts only when nothing else went wrong; partly when something was done, or
/// can be done by asking again.
pub(super) fn exit(report: &SyncReport) -> Exit {
    if report.status == RunStatus::Succeeded {
        return Exit::Done;
    }
    let errors: Vec<&WorkError> =
        report.resources.iter().filter_map(|resource| resource.error.as_ref()).collect();
    let all = |exit: Exit| errors.iter().all(|error| Exit::from(error.code().fault()) == exit);
    let was_stopped = errors.iter().any(|error| error.code() == Code::Interrupted);
    if report.status == RunStatus::Partly || was_stopped || all(Exit::Partly) {
        Exit::Partly
    } else if all(Exit::Asked) {
        Exit::Asked
    } else {
        Exit::Failed
    }
}
