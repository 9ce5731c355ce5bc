//! `restway export api.export`: the rows of a query to an api, and what became of each.

use restway_model::{Code, Explain, Fault, RowCounts, RunId, RunStatus};
use restway_store::ExportRecord;
use restway_work::{ExportAsked, ExportReport, WorkError};
use serde_json::{Value, json};

use crate::arguments::Export;
use crate::context::{Context, Wanted};
use crate::report::{Exit, Failure, as_json, as_text};
use crate::text_table::{bytes, count};

/// Requests that a dry run prints.
const LINES_MAX: usize = 5;

pub(super) async fn run(context: &Context, arguments: &Export) -> Result<Exit, Failure> {
    let name = arguments.name.as_str();
    let workspace = context
        .workspace_with(Wanted {
            tape: Some(&arguments.tape),
            apis: Some(vec![name.to_owned()]),
            ..Wanted::default()
        })
        .await?;
    if arguments.dry_run {
        let plan = workspace.plan_export(name, LINES_MAX).await?;
        let report = json!({ "export": name, "rows": plan.rows, "requests": plan.lines });
        context.printer.json(&report);
        plan.lines.iter().for_each(|line| context.printer.line(line));
        let more = plan.rows.saturating_sub(plan.lines.len() as u64);
        if more > 0 {
            context.printer.line(&format!("and {} more", count(more)));
        }
        context.printer.aside(&format!("{} rows; nothing was sent", count(plan.rows)));
        return Ok(Exit::Done);
    }
    let stop = context.stop_on_signal();
    let asked = ExportAsked {
        resume: arguments.resume.as_deref(),
        with_ambiguous: arguments.ambiguous,
        stop: &stop,
    };
    let report = workspace.export(name, asked).await?;
    context.progress.finish();
    print(context, &report);
    Ok(exit(&report))
}

fn print(context: &Context, report: &ExportReport) {
    let printer = &context.printer;
    let (run, export, rows) = (&report.run, &report.export, &report.rows);
    printer.json(&json!({
        "run": run.0,
        "export": export.to_string(),
        "status": report.status.as_str(),
        "seconds": report.duration.as_secs_f64(),
        "rows": rows,
        "left_alone": report.left_alone,
        "counts": report.counts,
        "tables": report.tables.iter()
            .map(|(table, rows)| (table.to_string(), json!(rows)))
            .collect::<serde_json::Map<_, _>>(),
        "error": report.error.as_ref().map(|error| as_json(error)),
        "resume": can_go_on(report).then(|| again(report)),
        "warnings": context.warnings.json(),
    }));
    printer.line(&format!(
        "run {run}: {}, {} in {} requests, {}, {:.2} s",
        report.status.as_str(),
        said(rows),
        count(report.counts.requests),
        bytes(report.counts.bytes),
        report.duration.as_secs_f64(),
    ));
    if let Some(error) = report.error.as_ref().filter(|_| !printer.json) {
        printer.note(&format!("{export}: {}", as_text(error, printer)));
    }
    if rows.refused + rows.ambiguous > 0 {
        printer.aside(&format!(
            "{export}: `restway query \"select * from {export} where _run_id = '{run}' and status \
             <> 'done'\"` shows what was not taken"
        ));
    }
    if can_go_on(report) {
        printer.aside(&format!("{export}: `{}` sends what is left", again(report)));
    }
    let unknown = rows.ambiguous + report.left_alone;
    if unknown > 0 {
        printer.aside(&format!(
            "{export}: {} rows may have been done, and are not sent again before you have looked; \
             `--ambiguous` beside `--resume` sends them",
            count(unknown)
        ));
    }
}

/// The rows by what became of them.
fn said(rows: &RowCounts) -> String {
    let mut text = format!("{} rows done", count(rows.done));
    for (word, many) in
        [("refused", rows.refused), ("ambiguous", rows.ambiguous), ("left", rows.waiting)]
    {
        if many > 0 {
            text.push_str(&format!(", {} {word}", count(many)));
        }
    }
    text
}

fn can_go_on(report: &ExportReport) -> bool {
    report.rows.refused + report.rows.waiting > 0
}

fn again(report: &ExportReport) -> String {
    format!("restway export {} --resume {}", report.export, report.run)
}

/// What can be gone on with is partly done, also when an outage kept all of it from being done.
fn exit(report: &ExportReport) -> Exit {
    let is_out = |error: &WorkError| {
        can_go_on(report) && (error.is_outage() || error.code().fault() == Fault::Partly)
    };
    match (report.status, &report.error) {
        (RunStatus::Succeeded, _) => Exit::Done,
        (RunStatus::Failed, Some(error)) if error.code() == Code::ExportRefused => Exit::Failed,
        (RunStatus::Failed, Some(error)) if !is_out(error) => error.code().fault().into(),
        _ => Exit::Partly,
    }
}

/// What the history has of a run, as JSON.
pub(super) fn record_json(export: &ExportRecord) -> Value {
    json!({
        "export": export.export,
        "query_rows": export.rows,
        "rows": export.counts,
        "has_landed": export.has_landed,
    })
}

/// The same for people.
pub(super) fn show(context: &Context, run: &RunId, export: &ExportRecord) {
    let printer = &context.printer;
    let all = count(export.rows);
    printer.line(&format!("{}; the query gave {all} rows", said(&export.counts)));
    let name = &export.export;
    if export.has_landed {
        printer.line(&format!(
            "`restway query \"select * from {name} where _run_id = '{run}'\"` shows each"
        ));
    } else {
        printer.line("the outcomes land in the table when the next run of the export begins");
    }
    if export.counts.refused + export.counts.waiting > 0 {
        printer.line(&format!("`restway export {name} --resume {run}` sends what is left"));
    }
}
