//! `restway tables`: what has landed, and keeping it.

use restway_model::{Explain, TableName};
use restway_tables::{ColumnDetail, ColumnProfile, Lake, TableVersion};
use restway_work::Workspace;
use serde_json::{Value, json};

use crate::arguments::{Tables, TablesCommand};
use crate::context::Context;
use crate::report::{BadArgument, Exit, Failure, as_json, as_text};
use crate::text_table::{Head, bytes, count, render};

pub(super) async fn run(context: &Context, arguments: &Tables) -> Result<Exit, Failure> {
    let workspace = context.workspace().await?;
    match &arguments.command {
        None => list(context, workspace.lake()).await,
        Some(TablesCommand::Show { table, profile, versions }) => {
            show(context, workspace.lake(), &table_name(table)?, *profile, *versions).await
        }
        Some(TablesCommand::Optimize { tables }) => {
            optimize(context, &workspace, names(tables)?).await
        }
        Some(TablesCommand::Restore { table, to }) => {
            let moment = super::query::moment(to)?;
            let tables = workspace.restore(&table_name(table)?, moment).await?;
            told(context, "restored", &tables);
            Ok(Exit::Done)
        }
        Some(TablesCommand::Drop { table, yes }) => {
            drop_tables(context, &workspace, &table_name(table)?, *yes).await
        }
        Some(TablesCommand::Vacuum { tables, older_than }) => {
            let removed = workspace.vacuum(names(tables)?, older_than.0).await?;
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

pub(super) fn table_name(text: &str) -> Result<TableName, BadArgument> {
    text.parse().map_err(|_| {
        BadArgument::new(format!("`{text}` is not a table")).with_hint("write api.table")
    })
}

fn names(texts: &[String]) -> Result<Vec<TableName>, BadArgument> {
    texts.iter().map(|text| table_name(text)).collect()
}

/// Prints all tables with their sizes, and below what is wrong with those that cannot be read.
pub(super) async fn list(context: &Context, lake: &Lake) -> Result<Exit, Failure> {
    let tables = lake.tables().await?;
    let json: Vec<_> = tables
        .iter()
        .map(|(name, table)| match table {
            Ok(table) => json!({
                "table": name.to_string(),
                "rows": table.rows,
                "bytes": table.bytes,
                "files": table.files,
                "columns": table.columns,
                "version": table.version,
            }),
            Err(error) => json!({ "table": name.to_string(), "error": as_json(error) }),
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
    let rows = tables.iter().map(|(name, table)| match table {
        Ok(table) => vec![
            name.to_string(),
            rows_of(table.rows),
            table.columns.to_string(),
            bytes(table.bytes),
            table.version.to_string(),
        ],
        Err(error) => vec![name.to_string(), format!("[{}]", error.code())],
    });
    context.printer.line(&render(&heads, rows));
    for (_, table) in &tables {
        if let Err(error) = table
            && !context.printer.json
        {
            context.printer.note(&as_text(error, &context.printer));
        }
    }
    Ok(Exit::Done)
}

/// A count of rows; another writer may have left it out of the table's log.
fn rows_of(rows: Option<u64>) -> String {
    rows.map_or_else(|| "?".to_owned(), count)
}

async fn show(
    context: &Context,
    lake: &Lake,
    name: &TableName,
    wants_profile: bool,
    versions_max: usize,
) -> Result<Exit, Failure> {
    let table = lake.table(name).await?;
    let versions = lake.history(name, versions_max).await?;
    let profile = match wants_profile {
        true => Some(lake.profile(name).await?),
        false => None,
    };
    let profiles = profile.as_ref().map(|profile| profile.columns.as_slice()).unwrap_or_default();
    let columns: Vec<Value> = table
        .columns
        .iter()
        .map(|column| {
            let mut json = json!({ "name": column.name, "type": column.kind, "path": column.path });
            if let Some(profile) = profile_of(profiles, column) {
                json["profile"] = profile_json(profile);
            }
            json
        })
        .collect();
    let summary = &table.summary;
    context.printer.json(&json!({
        "table": name.to_string(),
        "rows": summary.rows,
        "bytes": summary.bytes,
        "files": summary.files,
        "version": summary.version,
        "list": summary.list,
        "columns": columns,
        "versions": versions,
    }));
    let mut line = format!(
        "{name}: {} rows, {} files, {}, version {}",
        rows_of(summary.rows),
        summary.files,
        bytes(summary.bytes),
        summary.version
    );
    if let Some(list) = &summary.list {
        line.push_str(&format!("; the list `{}` of {}", list.path, list.table));
    }
    context.printer.line(&line);
    context.printer.line(&columns_text(&table.columns, profiles));
    context.printer.line(&format!("\n{}", versions_text(&versions)));
    Ok(Exit::Done)
}

fn profile_of<'a>(
    profiles: &'a [ColumnProfile],
    column: &ColumnDetail,
) -> Option<&'a ColumnProfile> {
    profiles.iter().find(|profile| profile.name == column.name)
}

fn profile_json(profile: &ColumnProfile) -> Value {
    json!({
        "nulls": profile.nulls,
        "distinct": profile.distinct,
        "is_distinct_exact": profile.is_distinct_exact,
        "min": profile.min,
        "max": profile.max,
        "frequent": profile.frequent,
    })
}

fn columns_text(columns: &[ColumnDetail], profiles: &[ColumnProfile]) -> String {
    if profiles.is_empty() {
        let rows = columns.iter().map(|column| {
            let path = column.path.clone().unwrap_or_default();
            vec![column.name.clone(), column.kind.to_string(), path]
        });
        return render(&["column", "type", "from"].map(Head::text), rows);
    }
    let heads = [
        Head::text("column"),
        Head::text("type"),
        Head::number("nulls"),
        Head::number("distinct"),
        Head::text("min"),
        Head::text("max"),
        Head::text("most frequent"),
    ];
    let rows = columns.iter().map(|column| {
        let mut row = vec![column.name.clone(), column.kind.to_string()];
        let Some(profile) = profile_of(profiles, column) else { return row };
        let about = if profile.is_distinct_exact { "" } else { "~" };
        let frequent = profile.frequent.iter().map(|value| {
            let least = if value.is_exact { "" } else { "≥" };
            format!("{} ({least}{})", value.value, count(value.rows))
        });
        row.extend([
            count(profile.nulls),
            format!("{about}{}", count(profile.distinct)),
            profile.min.clone().unwrap_or_default(),
            profile.max.clone().unwrap_or_default(),
            frequent.collect::<Vec<_>>().join(", "),
        ]);
        row
    });
    render(&heads, rows)
}

fn versions_text(versions: &[TableVersion]) -> String {
    let heads = [
        Head::number("version"),
        Head::text("committed"),
        Head::text("by"),
        Head::number("rows"),
        Head::number("files"),
        Head::number("size"),
        Head::text("run"),
    ];
    let rows = versions.iter().map(|version| {
        let at = version.committed_at.map(|at| at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
        vec![
            version.version.to_string(),
            at.unwrap_or_else(|| "?".into()),
            version.operation.as_deref().unwrap_or("?").to_lowercase(),
            rows_of(version.rows),
            rows_of(version.files),
            version.bytes.map_or_else(|| "?".into(), bytes),
            version.run.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]
    });
    render(&heads, rows)
}

async fn optimize(
    context: &Context,
    workspace: &Workspace,
    tables: Vec<TableName>,
) -> Result<Exit, Failure> {
    let done = workspace.optimize(tables).await?;
    context.printer.json(&json!({ "optimized": done }));
    let heads = [
        Head::text("table"),
        Head::number("files before"),
        Head::number("files"),
        Head::number("size before"),
        Head::number("size"),
        Head::number("version"),
    ];
    let rows = done.iter().map(|table| {
        vec![
            table.table.to_string(),
            count(table.files_before),
            count(table.files),
            bytes(table.bytes_before),
            bytes(table.bytes),
            table.version.to_string(),
        ]
    });
    context.printer.line(&render(&heads, rows));
    Ok(Exit::Done)
}

async fn drop_tables(
    context: &Context,
    workspace: &Workspace,
    name: &TableName,
    is_sure: bool,
) -> Result<Exit, Failure> {
    if !is_sure {
        let tables = workspace.lake().family_of(name).await?;
        let tables: Vec<String> = tables.iter().map(ToString::to_string).collect();
        let would = format!("this would remove {} with all versions", tables.join(", "));
        return Err(BadArgument::new(would).with_hint("say `--yes` to do it").into());
    }
    let tables = workspace.drop_tables(name).await?;
    told(context, "dropped", &tables);
    Ok(Exit::Done)
}

fn told(context: &Context, what: &str, tables: &[TableName]) {
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    context.printer.json(&json!({ what: names }));
    for name in names {
        context.printer.line(&format!("{what} {name}"));
    }
}
