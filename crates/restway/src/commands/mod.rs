//! The commands, one module each: a few calls of the rooms below, and the printing.

mod accounts;
mod auth;
mod call;
mod check;
mod demo;
mod export;
mod import;
mod init;
mod plan;
mod probe;
mod query;
mod runs;
mod secret;
mod serve;
mod sync;
mod tables;
mod webhook;

use clap::CommandFactory;

use crate::arguments::{Arguments, Command};
use crate::context::Context;
use crate::report::{Exit, Failure};

/// Does what a command says.
pub(crate) async fn run(context: &Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Demo(arguments) => demo::run(context, &arguments).await,
        Command::Init(arguments) => init::run(context, &arguments),
        Command::Probe(arguments) => probe::run(context, &arguments).await,
        Command::Import(arguments) => import::run(context, &arguments).await,
        Command::Call(arguments) => call::run(context, &arguments).await,
        Command::Sync(arguments) => sync::run(context, &arguments).await,
        Command::Export(arguments) => export::run(context, &arguments).await,
        Command::Query(arguments) => query::run(context, &arguments).await,
        Command::Tables(arguments) => tables::run(context, &arguments).await,
        Command::Runs(arguments) => runs::run(context, &arguments).await,
        Command::Serve(arguments) => serve::run(context, &arguments).await,
        Command::Check => check::run(context).await,
        Command::Plan(arguments) => plan::run(context, &arguments).await,
        Command::Auth(arguments) => auth::run(context, &arguments).await,
        Command::Secret(arguments) => secret::run(context, &arguments).await,
        Command::Completions { shell } => {
            let mut command = Arguments::command();
            clap_complete::generate(shell, &mut command, "restway", &mut std::io::stdout());
            Ok(Exit::Done)
        }
    }
}

/// `NAME=VALUE`, split at the first `=`.
fn pair(text: &str, what: &str) -> Result<(String, String), crate::report::BadArgument> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(crate::report::BadArgument::new(format!("`{text}` is not a {what}"))
            .with_hint("write NAME=VALUE")),
    }
}

/// All of standard input, as text, up to a bound.
fn standard_input() -> Result<String, crate::report::BadArgument> {
    const BYTES_MAX: u64 = 16 << 20;
    read_text(std::io::stdin().lock(), "standard input", BYTES_MAX)
}

/// A text, up to a bound.
fn read_text(
    source: impl std::io::Read,
    name: &str,
    bytes_max: u64,
) -> Result<String, crate::report::BadArgument> {
    use std::io::Read;
    let bad = |problem: String| {
        crate::report::BadArgument::new(format!("{name} cannot be used: {problem}"))
    };
    let mut text = String::new();
    let read = source.take(bytes_max + 1).read_to_string(&mut text);
    let length = read.map_err(|error| bad(error.to_string()))?;
    if length as u64 > bytes_max {
        return Err(bad(format!("it is longer than {} MiB", bytes_max >> 20)));
    }
    Ok(text)
}

/// Writes an api file, which must not be there yet, and must be one that `check` accepts.
fn write_api(
    workspace: &std::path::Path,
    api: &restway_model::Name,
    yaml: &str,
) -> Result<std::path::PathBuf, crate::report::Failure> {
    use restway_model::definition::{self, ApiFile};
    use restway_work::WorkError;
    let relative = format!("apis/{api}.yaml");
    definition::read::<ApiFile>(&relative, yaml).map_err(WorkError::Definitions)?;
    let file = workspace.join(&relative);
    if file.exists() {
        return Err(WorkError::Exists { file }.into());
    }
    fs_err::create_dir_all(workspace.join("apis")).map_err(WorkError::File)?;
    fs_err::write(&file, yaml).map_err(WorkError::File)?;
    Ok(file)
}
