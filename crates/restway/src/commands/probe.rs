//! `restway probe`: a first look at an API, and the file that syncs it.

use std::path::PathBuf;

use restway_connect::Connector;
use restway_connect::probe::{Probed, probe};
use restway_model::Name;
use restway_model::definition::Auth;
use serde_json::{Value, json};

use super::call::alone;
use crate::arguments::Probe;
use crate::context::{Context, Wanted};
use crate::report::{BadArgument, Exit, Failure};
use crate::text_table::{Head, render};

/// Columns of the rows that are shown: more do not fit a terminal.
const COLUMNS_MAX: usize = 8;

pub(super) async fn run(context: &Context, arguments: &Probe) -> Result<Exit, Failure> {
    let name = arguments.name.as_deref().map(str::parse::<Name>).transpose();
    let name = name.map_err(|error| BadArgument::new(error.to_string()))?;
    let wanted = Wanted {
        tape: Some(&arguments.tape),
        apis: Some(arguments.auth_of.iter().cloned().collect()),
        ..Wanted::default()
    };
    let workspace = match context.workspace_with(wanted).await {
        Ok(workspace) => Some(workspace),
        // Without a workspace there is nowhere to write to, and still something to look at.
        Err(_) if arguments.dry_run && arguments.auth_of.is_none() => None,
        Err(failure) => return Err(failure),
    };
    let auth = match (&workspace, &arguments.auth_of) {
        (Some(workspace), Some(api)) => workspace.definitions.api(api)?.auth.clone(),
        _ => Auth::None,
    };
    let connector: Connector = match &workspace {
        Some(workspace) => workspace.connector().clone(),
        None => alone(context, &arguments.tape, None)?,
    };
    let probed = probe(&connector, &arguments.url, auth, name).await?;
    let file = match &workspace {
        Some(workspace) if !arguments.dry_run => {
            Some(super::write_api(&workspace.folder, &probed.api_name, &probed.yaml)?)
        }
        _ => None,
    };
    print(context, &probed, file.as_ref());
    Ok(if probed.needs_auth { Exit::Failed } else { Exit::Done })
}

fn print(context: &Context, probed: &Probed, file: Option<&PathBuf>) {
    let printer = &context.printer;
    printer.json(&json!({
        "api": probed.api_name.as_str(),
        "resource": probed.resource.as_str(),
        "needs_auth": probed.needs_auth,
        "records": probed.records.as_ref().map(ToString::to_string),
        "key": probed.key,
        "cursor": probed.cursor,
        "notes": probed.notes,
        "rows": probed.rows_preview,
        "yaml": probed.yaml,
        "file": file,
    }));
    if !probed.rows_preview.is_empty() {
        printer.line(&preview(&probed.rows_preview));
    }
    for note in &probed.notes {
        printer.aside(&format!("- {note}"));
    }
    match file {
        None => printer.line(&probed.yaml),
        Some(file) => {
            printer.line(&format!("wrote {}", file.display()));
            printer.aside(&format!("next: read it, then `restway sync {}`", probed.api_name));
        }
    }
}

/// The rows' first fields as a table; what is inside a field stays JSON.
fn preview(rows: &[Value]) -> String {
    let mut names: Vec<&String> = Vec::new();
    for name in rows.iter().filter_map(Value::as_object).flat_map(|row| row.keys()) {
        if names.len() < COLUMNS_MAX && !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        let values = rows.iter().map(|row| vec![row.to_string()]);
        return render(&[Head::text("value")], values);
    }
    let heads: Vec<Head<'_>> = names.iter().map(|name| Head::text(name)).collect();
    let cells = rows.iter().map(|row| {
        names
            .iter()
            .map(|name| match &row[name.as_str()] {
                Value::String(text) => text.clone(),
                Value::Null => "∅".to_owned(),
                other => other.to_string(),
            })
            .collect()
    });
    render(&heads, cells)
}
