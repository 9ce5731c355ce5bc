//! `restway import`: an api file out of what somebody else wrote about an api, or a table out of a
//! file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use restway_connect::import::{Format, Imported, Wishes, import};
use restway_model::{ColumnType, Name, TableName};
use restway_work::{FileContent, FileImport, WorkError};
use serde_json::json;

use super::{pair, read_text, sync, write_api};
use crate::arguments::{FileArguments, Import, ImportArguments, ImportWhat};
use crate::context::Context;
use crate::report::{BadArgument, Exit, Failure};

/// The largest text that is read.
const BYTES_MAX: u64 = 128 << 20;

pub(super) async fn run(context: &Context, arguments: &Import) -> Result<Exit, Failure> {
    let mut wishes = Wishes::default();
    let (format, common) = match &arguments.what {
        ImportWhat::Openapi { common, webhooks, set } => {
            wishes.webhooks = *webhooks;
            let pairs = set.iter().map(|one| pair(one, "parameter"));
            wishes.set = pairs.collect::<Result<BTreeMap<_, _>, _>>()?;
            (Format::Openapi, common)
        }
        ImportWhat::Postman { common } => (Format::Postman, common),
        ImportWhat::Har { common } => (Format::Har, common),
        ImportWhat::Curl { common } => (Format::Curl, common),
        ImportWhat::Csv { common } => {
            let content = FileContent::Csv(source(&common.file)?);
            return land(context, common, content).await;
        }
        ImportWhat::Ndjson { common } => {
            let content = FileContent::Ndjson(source(&common.file)?);
            return land(context, common, content).await;
        }
        ImportWhat::Parquet { common } if common.file == "-" => {
            let problem = "Parquet cannot be read from standard input: it begins at its end";
            return Err(BadArgument::new(problem).with_hint("write it to a file first").into());
        }
        ImportWhat::Parquet { common } => {
            let content = FileContent::Parquet(PathBuf::from(&common.file));
            return land(context, common, content).await;
        }
    };
    let name = common.name.as_deref().map(str::parse::<Name>).transpose();
    wishes.name = name.map_err(|error| BadArgument::new(error.to_string()))?;
    wishes.base_url.clone_from(&common.base_url);
    wishes.only.clone_from(&common.only);
    let imported = import(format, &text(common)?, &wishes)?;
    let file = if common.dry_run {
        None
    } else {
        // Read first: a file of ours goes only into a folder that is a workspace.
        let folder = context.folder()?;
        Some(write_api(&folder, &imported.api, &imported.yaml)?)
    };
    print(context, &imported, file.as_deref());
    Ok(Exit::Done)
}

/// Lands the records of a file in its table.
async fn land(
    context: &Context,
    arguments: &FileArguments,
    content: FileContent,
) -> Result<Exit, Failure> {
    let table = arguments.table.parse::<TableName>().map_err(|error| {
        BadArgument::new(error.to_string()).with_hint("name the table `lake.NAME`")
    })?;
    let mut types = BTreeMap::new();
    for one in &arguments.types {
        let (column, kind) = pair(one, "type of a column")?;
        let kind = kind.parse::<ColumnType>();
        types.insert(column, kind.map_err(|error| BadArgument::new(error.to_string()))?);
    }
    let workspace = context.workspace().await?;
    let stop = context.stop_on_signal();
    let name = match arguments.file.as_str() {
        "-" => "standard input".to_owned(),
        file => format!("`{file}`"),
    };
    let import = FileImport { name, content, table, appends: arguments.append, types };
    let report = workspace.import_file(import, &stop).await?;
    context.progress.finish();
    sync::print(context, &report);
    Ok(sync::exit(&report))
}

/// The file, or standard input.
fn source(file: &str) -> Result<Box<dyn std::io::Read + Send>, Failure> {
    if file == "-" {
        return Ok(Box::new(std::io::stdin()));
    }
    let file = fs_err::File::open(file).map_err(WorkError::File)?;
    Ok(Box::new(file))
}

fn text(arguments: &ImportArguments) -> Result<String, Failure> {
    if arguments.file == "-" {
        return Ok(read_text(std::io::stdin().lock(), "standard input", BYTES_MAX)?);
    }
    let file = fs_err::File::open(&arguments.file).map_err(WorkError::File)?;
    Ok(read_text(file, &format!("`{}`", arguments.file), BYTES_MAX)?)
}

fn print(context: &Context, imported: &Imported, file: Option<&std::path::Path>) {
    let printer = &context.printer;
    let Imported { api, resources, paged, keyed, webhooks, secrets, notes, yaml } = imported;
    let secrets: Vec<&str> = secrets.iter().map(Name::as_str).collect();
    printer.json(&json!({
        "api": api.as_str(),
        "resources": resources,
        "paged": paged,
        "keyed": keyed,
        "webhooks": webhooks,
        "secrets": secrets,
        "notes": notes,
        "yaml": yaml,
        "file": file,
    }));
    for note in notes {
        printer.aside(&format!("- {note}"));
    }
    let Some(file) = file else {
        printer.line(yaml);
        return;
    };
    printer.line(&format!("wrote {}", file.display()));
    printer.line(&format!(
        "{resources} resources, {paged} of them with pages, {keyed} with a key; {webhooks} webhooks"
    ));
    for secret in secrets {
        printer.line(&format!("next: restway secret set {secret}"));
    }
    let then = if *resources > 0 { format!("restway sync {api}") } else { "restway check".into() };
    printer.aside(&format!("next: read the file, then `{then}`"));
}
