//! `restway check`: every problem of every definition file.

use restway_work::Definitions;
use serde_json::json;

use crate::context::Context;
use crate::printer::Color;
use crate::report::{Exit, Failure};

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    let definitions = Definitions::read(&context.folder()?)?;
    let resources: usize =
        definitions.apis.iter().map(|definition| definition.api.resources.len()).sum();
    let objects: usize = definitions.apps.iter().map(|one| one.app.objects.len()).sum();
    context.printer.json(&json!({
        "workspace": definitions.workspace.workspace.as_str(),
        "apis": definitions.apis.len(),
        "resources": resources,
        "apps": definitions.apps.len(),
        "objects": objects,
    }));
    context.printer.line(&format!(
        "{} {} apis with {resources} resources, {} apps with {objects} objects",
        context.printer.paint(Color::Green, "ok:"),
        definitions.apis.len(),
        definitions.apps.len(),
    ));
    Ok(Exit::Done)
}
