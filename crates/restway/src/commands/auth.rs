//! `restway auth`: logins that a person makes, and the users of what is published.

use std::sync::Arc;

use restway_connect::{LoggedOut, PersonLogin, PersonTask};
use restway_model::definition::ApiFile;
use restway_work::Workspace;
use serde_json::{Value, json};

use super::accounts;
use crate::arguments::{Auth as Arguments, AuthCommand};
use crate::context::{Context, Wanted};
use crate::report::{Exit, Failure};
use crate::text_table::{Head, render};

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    match &arguments.command {
        AuthCommand::Login { api } => {
            let workspace = of_apis(context, Some(api)).await?;
            let api = Arc::clone(workspace.definitions.api(api)?);
            login(context, &workspace, &api).await
        }
        AuthCommand::Status { api } => {
            let workspace = of_apis(context, api.as_ref()).await?;
            status(context, &workspace, api.as_deref()).await
        }
        AuthCommand::Logout { api } => {
            let workspace = of_apis(context, Some(api)).await?;
            let api = Arc::clone(workspace.definitions.api(api)?);
            logout(context, &workspace, &api).await
        }
        AuthCommand::Key(command) => accounts::keys(context, command).await,
        AuthCommand::User(command) => accounts::users(context, command).await,
    }
}

/// The workspace for the logins of one api, or of all.
async fn of_apis(context: &Context, api: Option<&String>) -> Result<Workspace, Failure> {
    let apis = api.map(|api| vec![api.clone()]);
    context.workspace_with(Wanted { apis, ..Wanted::default() }).await
}

async fn login(context: &Context, workspace: &Workspace, api: &ApiFile) -> Result<Exit, Failure> {
    let printer = context.printer.clone();
    // What the person has to do is no decoration: it is said with `--quiet` and `--json`, too.
    let ask = move |task: &PersonTask| match task {
        PersonTask::Open { url } => {
            printer.note("Open this address in a browser on this machine, and log in there:");
            printer.address(url);
        }
        PersonTask::Enter { url, code, whole } => {
            printer.note(&format!("Open {url} on any device, and enter the code {code}"));
            if let Some(whole) = whole {
                printer.note(&format!("or open {whole}"));
            }
        }
    };
    let logins = workspace.connector().log_in(api, &ask).await?;
    let rows: Vec<Value> = logins.iter().map(|login| as_json(api, login)).collect();
    context.printer.json(&json!({ "logins": rows }));
    for login in &logins {
        let who = login.who.as_deref().map(|who| format!(" as {who}")).unwrap_or_default();
        let lasts = if login.renews { "; it is renewed from now on" } else { "" };
        context.printer.line(&format!("logged in to {}{who}{lasts}", api.api));
    }
    Ok(Exit::Done)
}

async fn status(
    context: &Context,
    workspace: &Workspace,
    api: Option<&str>,
) -> Result<Exit, Failure> {
    let apis: Vec<Arc<ApiFile>> = match api {
        Some(name) => vec![Arc::clone(workspace.definitions.api(name)?)],
        None => workspace.definitions.apis.iter().map(|one| Arc::clone(&one.api)).collect(),
    };
    let (mut objects, mut rows) = (Vec::new(), Vec::new());
    for api in &apis {
        for login in workspace.connector().logins(api).await? {
            objects.push(as_json(api, &login));
            rows.push(row(api, &login));
        }
    }
    context.printer.json(&json!({ "logins": objects }));
    if rows.is_empty() {
        context.printer.aside("no api has a login that a person makes");
        return Ok(Exit::Done);
    }
    let heads = ["api", "domain", "logged in", "who", "token ends", "renewed"].map(Head::text);
    context.printer.line(&render(&heads, rows));
    Ok(Exit::Done)
}

fn row(api: &ApiFile, login: &PersonLogin) -> Vec<String> {
    let word = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    vec![
        api.api.to_string(),
        login.url.to_string(),
        word(login.is_in),
        login.who.clone().unwrap_or_default(),
        login.ends_at.map(|end| end.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default(),
        word(login.renews),
    ]
}

fn as_json(api: &ApiFile, login: &PersonLogin) -> Value {
    json!({
        "api": api.api.as_str(),
        "domain": login.url.to_string(),
        "logged_in": login.is_in,
        "who": login.who,
        "token_ends_at": login.ends_at,
        "is_renewed": login.renews,
    })
}

async fn logout(context: &Context, workspace: &Workspace, api: &ApiFile) -> Result<Exit, Failure> {
    let mut outcomes = Vec::new();
    let mut exit = Exit::Done;
    for ended in workspace.connector().log_out(api).await? {
        let (word, said) = match ended {
            LoggedOut::Nobody => ("nobody", "nobody was logged in".to_owned()),
            LoggedOut::Forgotten => (
                "forgotten",
                "logged out here; without a `revoke_url` the server was not told".to_owned(),
            ),
            LoggedOut::Revoked => ("revoked", "logged out, here and at the server".to_owned()),
            LoggedOut::NotRevoked { problem } => {
                exit = Exit::Failed;
                let said = format!("logged out here, and the server did not revoke: {problem}");
                context.printer.note(&format!("warning: {said}"));
                ("not_revoked", said)
            }
        };
        outcomes.push(json!({ "api": api.api.as_str(), "outcome": word }));
        context.printer.line(&said);
    }
    context.printer.json(&json!({ "logouts": outcomes }));
    Ok(exit)
}
