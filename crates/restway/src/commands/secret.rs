//! `restway secret`: credentials, in only.

use std::io::IsTerminal;

use restway_model::{Name, REDACTED_LENGTH_MIN, Secret};
use serde_json::json;

use crate::arguments::{Secret as Arguments, SecretCommand};
use crate::context::Context;
use crate::report::{BadArgument, Exit, Failure};
use crate::text_table::{Head, render};

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    match &arguments.command {
        SecretCommand::Set { name, source } => set(context, name, source.is_some()).await,
        SecretCommand::List => list(context).await,
    }
}

async fn set(context: &Context, name: &str, from_input: bool) -> Result<Exit, Failure> {
    let name: Name = name.parse().map_err(|error| BadArgument::new(format!("{error}")))?;
    // The workspace is opened first: nobody should type a secret that cannot be kept.
    let workspace = context.workspace().await?;
    let value = read(&name, from_input)?;
    if value.expose().is_empty() {
        return Err(BadArgument::new("an empty secret is not kept").into());
    }
    context.printer.redactor.learn(&value);
    if value.expose().len() < REDACTED_LENGTH_MIN {
        context.printer.note(&format!(
            "warning: a secret of fewer than {REDACTED_LENGTH_MIN} characters is not masked where \
             a server repeats it"
        ));
    }
    workspace.store().secrets().set(&name, &value).await?;
    context.printer.json(&json!({ "secret": name.as_str() }));
    context.printer.line(&format!("kept; definitions read it as ${{secret.{name}}}"));
    Ok(Exit::Done)
}

/// Asks on a terminal; reads standard input elsewhere, or when told to. One line end at the end
/// of the input is not part of the secret: `echo` and editors add it.
fn read(name: &Name, from_input: bool) -> Result<Secret, BadArgument> {
    if !from_input && std::io::stdin().is_terminal() {
        let typed = rpassword::prompt_password(format!("{name}: "));
        return typed
            .map(Secret::new)
            .map_err(|error| BadArgument::new(format!("nothing could be read: {error}")));
    }
    let mut text = super::standard_input()?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(Secret::new(text))
}

async fn list(context: &Context) -> Result<Exit, Failure> {
    let workspace = context.workspace().await?;
    let secrets = workspace.store().secrets().list().await?;
    let json: Vec<_> = secrets
        .iter()
        .map(|secret| json!({ "name": secret.name.as_str(), "updated_at": secret.updated_at }))
        .collect();
    context.printer.json(&json!({ "secrets": json }));
    if secrets.is_empty() {
        context.printer.aside("no secrets yet; `restway secret set NAME` keeps one");
        return Ok(Exit::Done);
    }
    let rows = secrets.iter().map(|secret| {
        vec![secret.name.to_string(), secret.updated_at.format("%Y-%m-%d %H:%M:%S").to_string()]
    });
    context.printer.line(&render(&[Head::text("secret"), Head::text("kept")], rows));
    Ok(Exit::Done)
}
