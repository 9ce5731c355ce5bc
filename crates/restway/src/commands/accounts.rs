//! `restway auth key` and `restway auth user`: who may ask what is published.

use std::collections::{BTreeMap, BTreeSet};

use restway_store::{ApiKey, NewKey, Store, User, UserChange};
use restway_work::Definitions;
use serde_json::{Value, json};

use crate::arguments::{KeyCommand, Profile, UserCommand};
use crate::context::Context;
use crate::report::{BadArgument, Exit, Failure};
use crate::text_table::{Head, render};

pub(super) async fn keys(context: &Context, command: &KeyCommand) -> Result<Exit, Failure> {
    let workspace = context.workspace().await?;
    let store = workspace.store();
    match command {
        KeyCommand::Add { user, profile, expires } => {
            let change = change(profile, &[])?;
            let new = store.add_key(user, &change, expires.map(|span| span.0)).await?;
            show(context, &new);
        }
        KeyCommand::List => list_keys(context, &store.keys().await?),
        KeyCommand::Rotate { id, overlap, expires } => {
            let new = store.rotate_key(id, overlap.0, expires.map(|span| span.0)).await?;
            show(context, &new);
        }
        KeyCommand::Rm { id } => {
            if !store.remove_key(id).await? {
                let bad = BadArgument::new(format!("no key has the id `{id}`"));
                return Err(bad.with_hint("`restway auth key list` shows those there are").into());
            }
            context.printer.json(&json!({ "revoked": id }));
            context.printer.line("revoked; it opens nothing any more");
        }
    }
    Ok(Exit::Done)
}

pub(super) async fn users(context: &Context, command: &UserCommand) -> Result<Exit, Failure> {
    let workspace = context.workspace().await?;
    let store = workspace.store();
    match command {
        UserCommand::List => list_users(context, &store.users().await?),
        UserCommand::Set { user, profile, leave } => {
            let user = store.change_user(user, &change(profile, leave)?).await?;
            context.printer.json(&user_json(&user));
            let groups: Vec<&str> = user.groups.iter().map(String::as_str).collect();
            let groups = if groups.is_empty() { "no group".to_owned() } else { groups.join(", ") };
            context.printer.line(&format!("{} is in {groups}", user.name));
        }
        UserCommand::Rm { user } => {
            if !store.remove_user(user).await? {
                let bad = BadArgument::new(format!("there is no user `{user}`"));
                return Err(bad.with_hint("`restway auth user list` shows those there are").into());
            }
            context.printer.json(&json!({ "removed": user }));
            context.printer.line("removed, with all keys");
        }
    }
    Ok(Exit::Done)
}

/// Which groups of the apps nobody can be in: a slip in a name closes an app to its callers, and
/// nothing else tells. Groups of issuers are theirs to name.
pub(super) async fn empty_groups(
    definitions: &Definitions,
    store: &Store,
) -> Result<Vec<String>, Failure> {
    if !definitions.workspace.serve.issuers.is_empty() {
        return Ok(Vec::new());
    }
    let users = store.users().await?;
    let mut warnings = Vec::new();
    for definition in &definitions.apps {
        let groups: BTreeSet<&str> = definition.app.groups().collect();
        let nobody = |group: &&str| !users.iter().any(|user| user.groups.contains(*group));
        warnings.extend(groups.into_iter().filter(nobody).map(|group| {
            format!(
                "{}: nobody is in the group `{group}`; `restway auth user set NAME --group \
                 {group}` adds somebody",
                definition.file
            )
        }));
    }
    Ok(warnings)
}

/// The key goes to standard output, alone, so that it can be piped to where it is kept.
fn show(context: &Context, new: &NewKey) {
    let mut object = key_json(&new.kept);
    object["key"] = new.key.expose().into();
    context.printer.json(&object);
    context.printer.line(new.key.expose());
    let end = new.kept.expires_at.map(|end| format!(" until {}", end.format("%Y-%m-%d %H:%M")));
    context.printer.aside(&format!(
        "key {} of {}, good{}; it is not shown again",
        new.kept.id,
        new.kept.user,
        end.unwrap_or_default(),
    ));
}

fn list_keys(context: &Context, keys: &[ApiKey]) {
    context.printer.json(&json!({ "keys": keys.iter().map(key_json).collect::<Vec<_>>() }));
    if keys.is_empty() {
        return context.printer.aside("no keys yet; `restway auth key add USER` makes one");
    }
    let heads = ["id", "user", "made", "ends", "last used"].map(Head::text);
    let day = |day: chrono::DateTime<chrono::Utc>| day.format("%Y-%m-%d %H:%M").to_string();
    let rows = keys.iter().map(|key| {
        vec![
            key.id.clone(),
            key.user.clone(),
            day(key.created_at),
            key.expires_at.map(day).unwrap_or_default(),
            key.last_used_at.map(day).unwrap_or_default(),
        ]
    });
    context.printer.line(&render(&heads, rows));
}

fn list_users(context: &Context, users: &[User]) {
    context.printer.json(&json!({ "users": users.iter().map(user_json).collect::<Vec<_>>() }));
    if users.is_empty() {
        return context.printer.aside("no users yet; `restway auth key add USER` makes one");
    }
    let rows = users.iter().map(|user| {
        let groups: Vec<&str> = user.groups.iter().map(String::as_str).collect();
        let claims = user.claims.iter().map(|(name, value)| format!("{name}={value}"));
        vec![user.name.clone(), groups.join(", "), claims.collect::<Vec<_>>().join(", ")]
    });
    context.printer.line(&render(&["user", "groups", "claims"].map(Head::text), rows));
}

fn key_json(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "user": key.user,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
    })
}

fn user_json(user: &User) -> Value {
    json!({ "user": user.name, "groups": user.groups, "claims": user.claims })
}

fn change(profile: &Profile, leave: &[String]) -> Result<UserChange, BadArgument> {
    let mut claims = BTreeMap::new();
    for text in &profile.claim {
        let (name, value) = super::pair(text, "claim")?;
        claims.insert(name, claim(&value));
    }
    Ok(UserChange { join: profile.group.clone(), leave: leave.to_vec(), claims })
}

/// A list or a number is JSON; what is not JSON is a text.
fn claim(text: &str) -> Value {
    match text {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}
