//! `restway plan`: the requests of a sync, a webhook or an export, as curl lines without secrets.

use restway_work::{Absent, Given, Selection};
use serde_json::json;

use crate::arguments::Plan;
use crate::context::{Context, Wanted};
use crate::report::{Exit, Failure};

pub(super) async fn run(context: &Context, arguments: &Plan) -> Result<Exit, Failure> {
    let apis = Some(arguments.what.clone()).filter(|what| !what.is_empty());
    let workspace = context.workspace_with(Wanted { apis, ..Wanted::default() }).await?;
    let (webhooks, what): (Vec<String>, Vec<String>) =
        arguments.what.iter().cloned().partition(|word| workspace.webhook(word).is_ok());
    let (exports, what): (Vec<String>, Vec<String>) =
        what.into_iter().partition(|word| workspace.has_export(word));
    let mut plans = Vec::new();
    if !what.is_empty() {
        for (resource, curl) in workspace.plan(&Selection(what))? {
            plans.push(("resource", resource.to_string(), curl));
        }
    }
    for webhook in webhooks {
        let lines = workspace.plan_webhook(&webhook, Given::default(), Absent::Shown)?;
        plans.extend(lines.into_iter().map(|line| ("webhook", webhook.clone(), line)));
    }
    for export in exports {
        let line = workspace.plan_export_row(&export)?;
        plans.push(("export", export, line));
    }
    let json: Vec<_> =
        plans.iter().map(|(kind, name, curl)| json!({ *kind: name, "curl": curl })).collect();
    context.printer.json(&json!({ "requests": json }));
    for (_, name, curl) in &plans {
        context.printer.line(&format!("# {name}\n{curl}\n"));
    }
    Ok(Exit::Done)
}
