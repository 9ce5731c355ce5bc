//! `restway init`: a new workspace.

use restway_model::Name;
use serde_json::json;

use crate::arguments::Init;
use crate::context::Context;
use crate::report::{BadArgument, Exit, Failure};

pub(super) fn run(context: &Context, arguments: &Init) -> Result<Exit, Failure> {
    let name = arguments.name.as_deref().map(str::parse::<Name>).transpose();
    let name = name.map_err(|error| BadArgument::new(error.to_string()))?;
    let written = restway_work::init(&arguments.folder, name)?;
    let files: Vec<String> = written.iter().map(|file| file.display().to_string()).collect();
    context.printer.json(&json!({ "written": files }));
    for file in &files {
        context.printer.line(&format!("wrote {file}"));
    }
    context.printer.aside("next: `restway probe URL` writes an api file, `restway sync` reads it");
    Ok(Exit::Done)
}
