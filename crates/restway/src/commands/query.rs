//! `restway query`: SQL over the tables.

use std::io::{BufWriter, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use restway_tables::{Answer, AsOf, Moment};
use restway_work::Workspace;
use serde_json::{Value, json};

use crate::arguments::{Format, Query};
use crate::context::Context;
use crate::report::{BadArgument, Exit, Failure};
use crate::text_table::{Head, count, render};

pub(super) async fn run(context: &Context, arguments: &Query) -> Result<Exit, Failure> {
    let sql = match arguments.sql.as_str() {
        "-" => super::standard_input()?,
        sql => sql.to_owned(),
    };
    let params = params(&arguments.params)?;
    let as_of = as_of(&arguments.as_of)?;
    let mut settings = context.settings();
    if let Some(text) = &arguments.memory {
        settings.limits.query_memory_bytes_max = memory(text)?;
    }
    let workspace = Workspace::open(&context.folder()?, settings).await?;
    let answer = workspace.query(&sql, &params, &as_of).await?;
    let format = arguments.format.unwrap_or_else(|| default_format(context, arguments));
    match (&arguments.output, format.file()) {
        (None, None) => table(context, answer, arguments.rows).await?,
        (None, Some(format)) => {
            let mut out = BufWriter::new(std::io::stdout());
            let written = answer.write(format, &mut out).await;
            let flushed = out.flush();
            if is_gone(&written, &flushed) {
                return Ok(Exit::Done);
            }
            written?;
            flushed.map_err(restway_work::WorkError::File)?;
        }
        (Some(file), format) => {
            let format = format.unwrap_or(restway_tables::Format::Csv);
            let rows = to_file(answer, format, file).await?;
            context.printer.json(&json!({ "file": file, "rows": rows }));
            context.printer.aside(&format!("{} rows in {}", count(rows), file.display()));
        }
    }
    Ok(Exit::Done)
}

impl Format {
    /// How the tables write it; a table for the terminal is ours.
    fn file(self) -> Option<restway_tables::Format> {
        Some(match self {
            Self::Table => return None,
            Self::Csv => restway_tables::Format::Csv,
            Self::Json => restway_tables::Format::Json,
            Self::Ndjson => restway_tables::Format::Ndjson,
            Self::Arrow => restway_tables::Format::Arrow,
            Self::Parquet => restway_tables::Format::Parquet,
        })
    }
}

/// The file's ending decides, then who reads: a person, or a program.
fn default_format(context: &Context, arguments: &Query) -> Format {
    let ending = arguments.output.as_deref().and_then(Path::extension);
    match ending.and_then(|ending| ending.to_str()) {
        Some("json") => Format::Json,
        Some("ndjson" | "jsonl") => Format::Ndjson,
        Some("arrow" | "arrows") => Format::Arrow,
        Some("parquet") => Format::Parquet,
        Some(_) => Format::Csv,
        None if context.printer.json => Format::Json,
        None if arguments.output.is_none() && std::io::stdout().is_terminal() => Format::Table,
        None => Format::Csv,
    }
}

/// Whether the reader of standard output has gone away: it has read what it wanted.
fn is_gone<T>(
    written: &Result<T, restway_tables::TableError>,
    flushed: &std::io::Result<()>,
) -> bool {
    let broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    let causes = |error: &restway_tables::TableError| {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(cause) = next {
            if cause.downcast_ref::<std::io::Error>().is_some_and(broken) {
                return true;
            }
            next = cause.source();
        }
        false
    };
    written.as_ref().err().is_some_and(causes) || flushed.as_ref().err().is_some_and(broken)
}

/// A value is a number, true, false or null where it reads as one, and a text otherwise.
fn params(texts: &[String]) -> Result<Vec<(String, Value)>, Failure> {
    let mut params = Vec::new();
    for text in texts {
        let (name, value) = super::pair(text, "parameter")?;
        let value = match serde_json::from_str(&value) {
            Ok(plain @ (Value::Number(_) | Value::Bool(_) | Value::Null)) => plain,
            _ => Value::String(value),
        };
        params.push((name, value));
    }
    Ok(params)
}

/// Moments, each for all tables or, before an `@`, for one.
fn as_of(texts: &[String]) -> Result<AsOf, BadArgument> {
    let mut as_of = AsOf::default();
    for text in texts {
        let twice = || BadArgument::new(format!("`--as-of {text}` is the second of its kind"));
        let (table, moment) = match text.split_once('@') {
            Some((table, moment)) => (Some(super::tables::table_name(table)?), moment),
            None => (None, text.as_str()),
        };
        let moment = self::moment(moment)?;
        let before = match table {
            Some(table) => as_of.tables.insert(table, moment),
            None => as_of.all.replace(moment),
        };
        if before.is_some() {
            return Err(twice());
        }
    }
    Ok(as_of)
}

/// A moment in the past of a table.
pub(super) fn moment(text: &str) -> Result<Moment, BadArgument> {
    text.parse().map_err(|error: restway_tables::InvalidMoment| BadArgument::new(error.to_string()))
}

/// Bytes with a unit: `512MiB`, `4GiB`.
fn memory(text: &str) -> Result<usize, BadArgument> {
    const UNITS: [(&str, usize); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let found = UNITS.iter().find_map(|(unit, bytes)| {
        let count: usize = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        count.checked_mul(*bytes).filter(|bytes| *bytes > 0)
    });
    found.ok_or_else(|| {
        BadArgument::new(format!("`{text}` is no amount of memory"))
            .with_hint("write a whole number and KiB, MiB or GiB, as in `512MiB`")
    })
}

fn is_number(kind: &str) -> bool {
    kind == "int64" || kind == "float64" || kind.starts_with("decimal")
}

/// Prints the answer as columns; says so when it is cut.
pub(super) async fn table(
    context: &Context,
    answer: Answer,
    rows_max: usize,
) -> Result<(), Failure> {
    let columns: Vec<(String, bool)> = answer
        .columns()
        .iter()
        .map(|column| (column.name.clone(), is_number(&column.kind)))
        .collect();
    let heads: Vec<Head<'_>> =
        columns.iter().map(|(name, is_number)| Head { name, is_number: *is_number }).collect();
    let (rows, more) = answer.cells(rows_max).await?;
    let shown = rows.len();
    let cells = rows
        .into_iter()
        .map(|row| row.into_iter().map(|cell| cell.unwrap_or_else(|| "∅".into())).collect());
    context.printer.line(&render(&heads, cells));
    if more {
        let note = format!("only the first {shown} rows; `--rows N` shows more, `-o FILE` all");
        context.printer.note(&note);
    }
    Ok(())
}

/// Writes beside the file and renames, so that the file is whole or not there; its permissions
/// stay. A link is followed, and what is no file (a pipe, a device) is written to as it is.
async fn to_file(
    answer: Answer,
    format: restway_tables::Format,
    file: &Path,
) -> Result<u64, Failure> {
    let named = |error: std::io::Error| {
        let text = format!("{}: {error}", file.display());
        restway_work::WorkError::File(std::io::Error::new(error.kind(), text))
    };
    let found = fs_err::metadata(file).ok();
    if found.as_ref().is_some_and(|found| !found.is_file()) {
        let opened = fs_err::OpenOptions::new().write(true).open(file).map_err(named)?;
        let mut out = BufWriter::new(opened);
        let rows = answer.write(format, &mut out).await?;
        out.flush().map_err(named)?;
        return Ok(rows);
    }
    let target = fs_err::canonicalize(file).unwrap_or_else(|_| file.to_path_buf());
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // A new file is as open as the umask lets it be, as with any other program.
    let open_to_all = std::fs::Permissions::from_mode(0o666);
    let made = tempfile::Builder::new().permissions(open_to_all).tempfile_in(folder);
    let temporary = made.map_err(|error| {
        let error = error.kind();
        named(std::io::Error::from(error))
    })?;
    if let Some(found) = found {
        temporary.as_file().set_permissions(found.permissions()).map_err(named)?;
    }
    let mut out = BufWriter::new(temporary);
    let rows = answer.write(format, &mut out).await?;
    let temporary = out.into_inner().map_err(|error| named(error.into_error()))?;
    temporary.as_file().sync_all().map_err(named)?;
    temporary.persist(&target).map_err(|error| named(error.error))?;
    Ok(rows)
}
