//! `restway plan`: the requests of a sync, as curl lines without secrets.

use restway_work::Selection;
use serde_json::json;

use crate::arguments::Plan;
use crate::context::Context;
use crate::report::{Exit, Failure};

pub(super) async fn run(context: &Context, arguments: &Plan) -> Result<Exit, Failure> {
    let workspace = context.workspace().await?;
    let plans = workspace.plan(&Selection(arguments.what.clone()))?;
    let json: Vec<_> = plans
        .iter()
        .map(|(resource, curl)| json!({ "resource": resource.to_string(), "curl": curl }))
        .collect();
    context.printer.json(&json!({ "requests": json }));
    for (resource, curl) in &plans {
        context.printer.line(&format!("# {resource}\n{curl}\n"));
    }
    Ok(Exit::Done)
}
