//! `restway import`: an api file out of what somebody else wrote about an api.

use std::collections::BTreeMap;

use restway_connect::import::{Format, Imported, Wishes, import};
use restway_model::Name;
use restway_work::WorkError;
use serde_json::json;

use super::{pair, read_text, write_api};
use crate::arguments::{Import, ImportArguments, ImportWhat};
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
