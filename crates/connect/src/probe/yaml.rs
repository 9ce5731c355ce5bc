//! The api file that a probe writes.
//!
//! In: what was found out. Out: YAML in the grammar of `apis/NAME.yaml`, with a comment for each
//! guess. What never happens here: a secret in the text. A credential that was given as it is, and
//! not as a `${…}`, is replaced by the name of a secret that is still to be set.

use std::fmt::Write;

use restway_model::definition::{Auth, Paginate};
use serde_json::Value;

use super::Probed;

/// The keys of a login that hold a credential.
const CREDENTIALS: [&str; 7] =
    ["password", "token", "key", "client_secret", "refresh_token", "passphrase", "secret_key"];

/// The text of the file.
pub(super) fn api_file(probed: &Probed) -> String {
    let mut text = String::from("# Written by `restway probe`. Change what it got wrong.\n");
    for note in &probed.notes {
        line(&mut text, 0, &format!("# {}", note.replace(['\n', '\r'], " ")));
    }
    line(&mut text, 0, &format!("api: {}", probed.api_name));
    line(&mut text, 0, &format!("base_url: {}", scalar(&probed.base_url.replace("${", "$${"))));
    auth(&mut text, probed);
    line(&mut text, 0, "resources:");
    line(&mut text, 1, &format!("{}:", probed.resource));
    line(&mut text, 2, &format!("path: {}", scalar(&probed.path.replace("${", "$${"))));
    if let Some(records) = &probed.records {
        line(&mut text, 2, &format!("records: {}", scalar(&records.to_string())));
    }
    if let Some(paginate) = paginate(&probed.paginate) {
        line(&mut text, 2, &format!("paginate: {paginate}"));
    }
    if let Some(key) = &probed.key {
        line(&mut text, 2, &format!("key: {}", scalar(key)));
    }
    if let Some(cursor) = &probed.cursor {
        line(&mut text, 2, &format!("# `{cursor}` tells when a row changed."));
    }
    text
}

fn line(text: &mut String, depth: usize, content: &str) {
    // Writing to a text cannot fail.
    let _ = writeln!(text, "{:indent$}{content}", "", indent = depth * 2);
}

/// The login as the grammar has it; what is not written there is not written here.
fn auth(text: &mut String, probed: &Probed) {
    if matches!(probed.auth, Auth::None | Auth::Mtls) {
        return;
    }
    line(text, 0, "auth:");
    let Ok(mut login) = serde_json::to_value(&probed.auth) else { return };
    name_credentials(&mut login, probed.api_name.as_str());
    for (key, value) in login.as_object().into_iter().flatten().filter(|(_, one)| is_written(one)) {
        line(text, 1, &format!("{key}: {}", flow(value)));
    }
}

/// Puts the name of a secret in the place of a credential that is no reference.
fn name_credentials(login: &mut Value, api: &str) {
    for (key, value) in login.as_object_mut().into_iter().flatten() {
        let is_credential = CREDENTIALS.contains(&key.as_str());
        if is_credential && value.as_str().is_some_and(|text| !text.contains("${")) {
            *value = format!("${{secret.{api}_{key}}}").into();
        }
        name_credentials(value, api);
    }
}

fn is_written(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    }
}

/// A value on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let written = members.iter().filter(|(_, value)| is_written(value));
            let pairs: Vec<String> =
                written.map(|(key, value)| format!("{}: {}", scalar(key), flow(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

fn paginate(paginate: &Paginate) -> Option<String> {
    let path = |path: &restway_model::RecordPath| scalar(&path.to_string());
    let name = |name: &Option<String>, usual: &str| scalar(name.as_deref().unwrap_or(usual));
    Some(match paginate {
        Paginate::None {} => return None,
        Paginate::Link { .. } => "link".into(),
        Paginate::Url { next, .. } => format!("{{ type: url, next: {} }}", path(next)),
        Paginate::Token { next, param, .. } => {
            let next = next.as_ref().map(path).unwrap_or_default();
            format!("{{ type: token, next: {next}, param: {} }}", name(param, ""))
        }
        Paginate::Offset { param, limit_param, limit, total, .. } => {
            let names = (name(param, "offset"), name(limit_param, "limit"));
            let names = format!("param: {}, limit_param: {}", names.0, names.1);
            let total = total.as_ref().map(|total| format!(", total: {}", path(total)));
            let total = total.unwrap_or_default();
            format!("{{ type: offset, {names}, limit: {limit}{total} }}")
        }
        Paginate::Page { param, start, total_pages, .. } => {
            let total = total_pages.as_ref().map(|total| format!(", total_pages: {}", path(total)));
            let total = total.unwrap_or_default();
            format!("{{ type: page, param: {}, start: {start}{total} }}", name(param, "page"))
        }
        Paginate::Keyset { field, param, .. } => {
            format!("{{ type: keyset, field: {}, param: {} }}", path(field), name(param, ""))
        }
    })
}

/// A text as a YAML scalar: plain where that is safe everywhere, else quoted as JSON quotes.
fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '-');
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_'));
    let is_word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .contains(&text.to_ascii_lowercase().as_str());
    let is_url = (text.starts_with("https://") || text.starts_with("http://"))
        && text.chars().all(|c| is_plain(c) || c == ':');
    if is_url || (starts_well && !is_word && text.chars().all(is_plain)) {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_quoted_where_yaml_would_read_something_else() {
        let table = [
            ("data.items", "data.items"),
            ("/x", "/x"),
            ("https://h:80/x", "https://h:80/x"),
            ("true", "\"true\""),
            ("12", "\"12\""),
            ("", "\"\""),
            ("a: b", "\"a: b\""),
            ("/x?a=1#b", "\"/x?a=1#b\""),
            ("['@odata.next']", "\"['@odata.next']\""),
            ("${secret.x}", "\"${secret.x}\""),
            ("No", "\"No\""),
            ("a\nb", "\"a\\nb\""),
        ];
        for (text, expected) in table {
            assert_eq!(scalar(text), expected);
        }
    }
}
