//! `restway secret`: credentials, in only.

use std::io::IsTerminal;

use restway_model::{Name, REDACTED_LENGTH_MIN, Secret};
use restway_store::Rotated;
use serde_json::json;

use crate::arguments::{Secret as Arguments, SecretCommand};
use crate::context::Context;
use crate::report::{BadArgument, Exit, Failure};
use crate::text_table::{Head, render};

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    match &arguments.command {
        SecretCommand::Set { name, source } => set(context, name, source.is_some()).await,
        SecretCommand::List => list(context).await,
        SecretCommand::Rm { name } => remove(context, name).await,
        SecretCommand::Rotate => rotate(context).await,
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

async fn remove(context: &Context, name: &str) -> Result<Exit, Failure> {
    let name: Name = name.parse().map_err(|error| BadArgument::new(format!("{error}")))?;
    let workspace = context.workspace().await?;
    if !workspace.store().secrets().remove(&name).await? {
        let bad = BadArgument::new(format!("there is no secret `{name}`"));
        return Err(bad.with_hint("`restway secret list` shows those there are").into());
    }
    context.printer.json(&json!({ "removed": name.as_str() }));
    context.printer.line(&format!("removed; ${{secret.{name}}} has no value any more"));
    Ok(Exit::Done)
}

async fn rotate(context: &Context) -> Result<Exit, Failure> {
    let workspace = context.workspace().await?;
    let (outcome, old, new, said) = match workspace.store().secrets().rotate().await? {
        Rotated::Replaced { old, new } => {
            let said = format!("key {new} is in force; key {old} opens nothing any more");
            ("replaced", Some(old), new, said)
        }
        Rotated::Added { old, new } => {
            let said = format!(
                "keys {old} and {new} both open the secrets; set RESTWAY_KEY to what \
                 RESTWAY_KEY_NEXT is, unset that, and rotate once more"
            );
            ("added", Some(old), new, said)
        }
        Rotated::Dropped { kept, others: 0 } => {
            let said = format!(
                "key {kept} is the only one; to replace it, set RESTWAY_KEY_NEXT to its successor"
            );
            ("kept", None, kept, said)
        }
        Rotated::Dropped { kept, .. } => {
            let said = format!("only key {kept} opens the secrets now");
            ("dropped", None, kept, said)
        }
    };
    context.printer.json(&json!({ "outcome": outcome, "old_key": old, "key": new }));
    context.printer.line(&said);
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
