//! `restway check`: every problem of every definition file.

use restway_model::definition::ApiFile;
use restway_work::Definitions;
use serde_json::{Value, json};

use super::accounts;
use crate::context::Context;
use crate::printer::Color;
use crate::report::{Exit, Failure};

pub(super) async fn run(context: &Context) -> Result<Exit, Failure> {
    let folder = context.folder()?;
    let definitions = Definitions::read(&folder)?;
    let resources: usize =
        definitions.apis.iter().map(|definition| definition.api.resources.len()).sum();
    let objects: usize = definitions.apps.iter().map(|one| one.app.objects.len()).sum();
    let mut warnings: Vec<String> = definitions
        .apis
        .iter()
        .flat_map(|one| one.api.warnings().into_iter().map(|text| format!("{}: {text}", one.file)))
        .collect();
    // Users are in no file. A folder that was only checked out has none, and gets none by a check.
    if folder.join(".restway/restway.db").exists() {
        let workspace = context.workspace().await?;
        warnings.extend(accounts::empty_groups(&definitions, workspace.store()).await?);
    }
    context.printer.json(&json!({
        "workspace": definitions.workspace.workspace.as_str(),
        "apis": definitions.apis.len(),
        "resources": resources,
        "webhooks": definitions.apis.iter().flat_map(|one| webhooks(&one.api)).collect::<Vec<_>>(),
        "exports": definitions.apis.iter().flat_map(|one| exports(&one.api)).collect::<Vec<_>>(),
        "apps": definitions.apps.len(),
        "objects": objects,
        "warnings": warnings,
    }));
    warnings.iter().for_each(|warning| context.printer.aside(&format!("warning: {warning}")));
    let hooks: usize = definitions.apis.iter().map(|one| one.api.webhooks.len()).sum();
    let sent: usize = definitions.apis.iter().map(|one| one.api.exports.len()).sum();
    let mut others = String::new();
    for (many, what) in [(hooks, "webhooks"), (sent, "exports")] {
        if many > 0 {
            others.push_str(&format!(" and {many} {what}"));
        }
    }
    context.printer.line(&format!(
        "{} {} apis with {resources} resources{others}, {} apps with {objects} objects",
        context.printer.paint(Color::Green, "ok:"),
        definitions.apis.len(),
        definitions.apps.len(),
    ));
    Ok(Exit::Done)
}

/// The exports of an api.
fn exports(api: &ApiFile) -> Vec<Value> {
    let one = |(name, export): (&restway_model::Name, &restway_model::definition::Export)| {
        json!({
            "name": format!("{}.{name}", api.api),
            "title": export.title,
            "description": export.description,
            "key": export.key(),
            "method": export.request.method.as_str(),
            "is_repeatable": export.is_repeatable(),
        })
    };
    api.exports.iter().map(one).collect()
}

/// The webhooks of an api: what a program must know to run one.
fn webhooks(api: &ApiFile) -> Vec<Value> {
    let one = |(name, webhook): (&restway_model::Name, &restway_model::definition::Webhook)| {
        let params = webhook.params.iter().map(|(name, param)| {
            json!({
                "name": name.as_str(),
                "type": param.kind.as_str(),
                "required": param.is_required(),
                "secret": param.secret,
            })
        });
        json!({
            "name": format!("{}.{name}", api.api),
            "title": webhook.title,
            "description": webhook.description,
            "params": params.collect::<Vec<_>>(),
            "calls": webhook.calls.iter().map(|call| call.id.as_str()).collect::<Vec<_>>(),
            "outputs": webhook.outputs.keys().collect::<Vec<_>>(),
        })
    };
    api.webhooks.iter().map(one).collect()
}
