//! `restway tables`: what has landed.

use restway_model::TableName;
use serde_json::json;

use crate::arguments::{Tables, TablesCommand};
use crate::context::Context;
use crate::report::{BadArgument, Exit, Failure};
use crate::text_table::{Head, bytes, count, render};

pub(super) async fn run(context: &Context, arguments: &Tables) -> Result<Exit, Failure> {
    let workspace = context.workspace().await?;
    match &arguments.command {
        None => list(context, workspace.lake()).await,
        Some(TablesCommand::Show { table }) => {
            let name = table_name(table)?;
            show(context, workspace.lake(), &name).await
        }
        Some(TablesCommand::Vacuum { tables, older_than }) => {
            let tables = tables.iter().map(|table| table_name(table)).collect::<Result<_, _>>()?;
            let removed = workspace.vacuum(tables, older_than.0).await?;
            let json: Vec<_> = removed
                .iter()
                .map(|(table, files)| json!({ "table": table.to_string(), "files": files }))
                .collect();
            context.printer.json(&json!({ "removed": json }));
            let rows = removed.iter().map(|(table, files)| vec![table.to_string(), count(*files)]);
            let heads = [Head::text("table"), Head::number("files removed")];
            context.printer.line(&render(&heads, rows));
            Ok(Exit::Done)
        }
    }
}

fn table_name(text: &str) -> Result<TableName, BadArgument> {
    text.parse().map_err(|_| {
        BadArgument::new(format!("`{text}` is not a table")).with_hint("write api.table")
    })
}

/// Prints all tables with their sizes.
pub(super) async fn list(context: &Context, lake: &restway_tables::Lake) -> Result<Exit, Failure> {
    let tables = lake.tables().await?;
    let json: Vec<_> = tables
        .iter()
        .map(|table| {
            json!({
                "table": table.name.to_string(),
                "rows": table.rows,
                "bytes": table.bytes,
                "files": table.files,
                "columns": table.columns,
                "version": table.version,
            })
        })
        .collect();
    context.printer.json(&json!({ "tables": json }));
    if tables.is_empty() {
        context.printer.aside("no tables yet; `restway sync` makes them");
        return Ok(Exit::Done);
    }
    let heads = [
        Head::text("table"),
        Head::number("rows"),
        Head::number("columns"),
        Head::number("size"),
        Head::number("version"),
    ];
    let rows = tables.iter().map(|table| {
        vec![
            table.name.to_string(),
            rows_of(table.rows),
            table.columns.to_string(),
            bytes(table.bytes),
            table.version.to_string(),
        ]
    });
    context.printer.line(&render(&heads, rows));
    Ok(Exit::Done)
}

/// A count of rows; another writer may have left it out of the table's log.
fn rows_of(rows: Option<u64>) -> String {
    rows.map_or_else(|| "?".to_owned(), count)
}

async fn show(
    context: &Context,
    lake: &restway_tables::Lake,
    name: &TableName,
) -> Result<Exit, Failure> {
    let table = lake.table(name).await?;
    let json: Vec<_> = table
        .columns
        .iter()
        .map(|column| json!({ "name": column.name, "type": column.kind, "path": column.path }))
        .collect();
    let summary = &table.summary;
    context.printer.json(&json!({
        "table": name.to_string(),
        "rows": summary.rows,
        "bytes": summary.bytes,
        "files": summary.files,
        "version": summary.version,
        "columns": json,
    }));
    context.printer.line(&format!(
        "{name}: {} rows, {} files, {}, version {}",
        rows_of(summary.rows),
        summary.files,
        bytes(summary.bytes),
        summary.version
    ));
    let rows = table.columns.iter().map(|column| {
        let path = column.path.clone().unwrap_or_default();
        vec![column.name.clone(), column.kind.to_string(), path]
    });
    let heads = [Head::text("column"), Head::text("type"), Head::text("from")];
    context.printer.line(&render(&heads, rows));
    Ok(Exit::Done)
}
