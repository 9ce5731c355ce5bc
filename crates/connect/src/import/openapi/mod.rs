//! OpenAPI 3.0 and 3.1, and Swagger 2.0: a document that says what an api can do.
//!
//! In: the document as a value. Out: a draft. Operations that read a list become resources
//! (`collection`), with the pages that their parameters and answers show (`paging`); lists below a
//! record of another list are read for each of its rows (`parents`); operations that change
//! something become webhooks where that is wished (`webhooks`). What cannot be told is left out
//! and named, with the reason: never half guessed.

mod collection;
mod document;
mod paging;
mod parents;
mod security;
mod webhooks;

use restway_model::definition::Method;
use serde_json::Value;
use url::Url;

use super::names::api_name;
use super::{Format, ImportError, Wishes, base_text, base_url, given_base_url};
use crate::draft::{Draft, LeftOut, Shared, one_line};
use document::{Document, Operation};

/// The longest title in a note.
const TITLE_MAX: usize = 100;

/// The draft of a document.
pub(super) fn draft(root: &Value, wishes: &Wishes) -> Result<Draft, ImportError> {
    let format = Format::Openapi;
    let unreadable = |problem: &str| ImportError::Unreadable { format, problem: problem.into() };
    if !root["openapi"].is_string() && root["swagger"] != "2.0" && root["swagger"] != 2.0 {
        return Err(unreadable("neither `openapi` nor `swagger: \"2.0\"` stands at its top"));
    }
    if !root["paths"].is_object() {
        return Err(unreadable("it has no `paths`"));
    }
    let document = Document { root };
    let url = given_base_url(wishes, format)?.or_else(|| server(root));
    let url = url.ok_or(ImportError::NoBaseUrl { format })?;
    let title = root["info"]["title"].as_str();
    let api = wishes.name.clone().unwrap_or_else(|| api_name(title, &url));
    let all = document.operations();
    let mut left_out = LeftOut::default();
    let operations = chosen(all, wishes, &mut left_out);
    let (auth, auth_notes) = security::auth(document, &operations, &api, &url);
    let mut notes: Vec<String> = Vec::new();
    if let Some(title) = title {
        let version = root["info"]["version"].as_str().unwrap_or_default();
        notes.push(format!("From: {} {version}", one_line(title, TITLE_MAX)).trim().to_owned());
    }
    let found = collection::all(document, &operations, wishes, &api, &mut left_out);
    let resources = parents::resources(found, &mut left_out);
    let changing = operations.iter().filter(|one| one.method != Method::Get);
    let mut hooks = Vec::new();
    if wishes.webhooks {
        hooks = webhooks::all(document, changing, &api, &mut left_out);
    } else {
        let count = changing.count();
        if count > 0 {
            notes.push(format!(
                "{count} operations change something: `--webhooks` writes them, too."
            ));
        }
    }
    Ok(Draft {
        by: "import openapi",
        notes,
        api,
        base_url: base_text(&url),
        auth,
        auth_notes,
        defaults: Shared::default(),
        resources,
        webhooks: hooks,
        left_out,
    })
}

/// The operations that are imported.
fn chosen<'a>(
    all: Vec<Operation<'a>>,
    wishes: &Wishes,
    left_out: &mut LeftOut,
) -> Vec<Operation<'a>> {
    let mut chosen = Vec::new();
    for operation in all {
        let path = operation.path;
        let is_wished = wishes.only.is_empty()
            || wishes.only.iter().any(|start| path.starts_with(start.as_str()));
        let problem = if operation.value["deprecated"] == true {
            "that are deprecated"
        } else if operation.has_server {
            "on servers of their own"
        } else if !path.starts_with('/') || has_dots(path) || path.contains(['?', '#']) {
            "whose paths are none"
        } else {
            ""
        };
        let is_asked = wishes.webhooks || operation.method == Method::Get;
        match (is_wished, problem) {
            (false, _) => {}
            (true, "") => chosen.push(operation),
            (true, _) if !is_asked => {}
            (true, problem) => leave(left_out, problem, &operation),
        }
    }
    chosen
}

fn leave(left_out: &mut LeftOut, reason: &str, operation: &Operation<'_>) {
    left_out.because(reason, &format!("{} {}", operation.method.as_str(), operation.path));
}

/// Whether a path leads out of the api.
fn has_dots(path: &str) -> bool {
    let path = path.to_ascii_lowercase().replace("%2e", ".");
    path.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// The address of the first server that is one.
fn server(root: &Value) -> Option<Url> {
    if let Some(host) = root["host"].as_str() {
        let schemes = document::list(&root["schemes"]).filter_map(Value::as_str);
        let is_web = |scheme: &&str| matches!(*scheme, "https" | "http");
        let scheme = schemes.filter(is_web).max().unwrap_or("https");
        let path = root["basePath"].as_str().unwrap_or_default();
        let slash = if path.starts_with('/') || path.is_empty() { "" } else { "/" };
        return base_url(&format!("{scheme}://{host}{slash}{path}"));
    }
    document::list(&root["servers"]).find_map(|server| {
        let mut url = server["url"].as_str()?.to_owned();
        for (name, variable) in server["variables"].as_object().into_iter().flatten() {
            let first = document::list(&variable["enum"]).next();
            let value = variable.get("default").or(first)?;
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            url = url.replace(&format!("{{{name}}}"), &text);
        }
        base_url(&url).filter(|_| !url.contains(['{', '}']))
    })
}
