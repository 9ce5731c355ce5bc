//! An api file that is being written: what a probe or an import found out, and its text.
//!
//! In: addresses, logins, resources and webhooks, with a sentence for each guess. Out: YAML in the
//! grammar of `apis/NAME.yaml`. What never happens here: a secret in the text. A credential of a
//! login that was given as it is, and not as a `${…}`, is replaced by the name of a secret that is
//! still to be set.

mod left_out;

use std::fmt::Write;

use restway_model::definition::{Auth, Method, Paginate};
use restway_model::{Name, RecordPath, Template};
use serde_json::{Map, Value};

pub(crate) use left_out::LeftOut;

/// The keys of a login that hold a credential.
const CREDENTIALS: [&str; 7] =
    ["password", "token", "key", "client_secret", "refresh_token", "passphrase", "secret_key"];
/// The longest comment, in characters.
const COMMENT_MAX: usize = 300;

/// An api file on its way.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// The command that writes it.
    pub(crate) by: &'static str,
    /// Sentences at the top.
    pub(crate) notes: Vec<String>,
    pub(crate) api: Name,
    /// The address as it is, without references.
    pub(crate) base_url: String,
    pub(crate) auth: Auth,
    /// Sentences above `auth`.
    pub(crate) auth_notes: Vec<String>,
    pub(crate) defaults: Shared,
    pub(crate) resources: Vec<ResourceDraft>,
    pub(crate) webhooks: Vec<WebhookDraft>,
    /// What is not in it, at the end.
    pub(crate) left_out: LeftOut,
}

/// What most resources have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared {
    pub(crate) records: Option<String>,
    pub(crate) paginate: Option<String>,
}

/// A resource on its way. Texts are templates; a text of others is made one by [`literal`].
#[derive(Debug, Clone)]
pub(crate) struct ResourceDraft {
    pub(crate) name: Name,
    pub(crate) comments: Vec<String>,
    pub(crate) path: String,
    pub(crate) headers: Map<String, Value>,
    pub(crate) query: Map<String, Value>,
    /// `None` when the answer itself is the list or the record.
    pub(crate) records: Option<RecordPath>,
    pub(crate) paginate: Paginate,
    /// Why the pages are thought to follow each other so; said where `defaults` do not say it.
    pub(crate) evidence: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) for_each: Option<Name>,
    pub(crate) carry: Map<String, Value>,
    /// Sentences below it.
    pub(crate) after: Vec<String>,
}

impl ResourceDraft {
    /// A resource of which only the path is known.
    pub(crate) fn at(name: Name, path: String) -> Self {
        Self {
            name,
            comments: Vec::new(),
            path,
            headers: Map::new(),
            query: Map::new(),
            records: None,
            paginate: Paginate::None {},
            evidence: None,
            key: None,
            for_each: None,
            carry: Map::new(),
            after: Vec::new(),
        }
    }
}

/// A webhook of one call on its way.
#[derive(Debug, Clone)]
pub(crate) struct WebhookDraft {
    pub(crate) name: Name,
    pub(crate) title: Option<String>,
    pub(crate) comments: Vec<String>,
    /// By name, each an object as the grammar has it.
    pub(crate) params: Map<String, Value>,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: Map<String, Value>,
    pub(crate) query: Map<String, Value>,
    /// The key of the body (`json`, `urlencoded`, `multipart`, `text`, `file`) and the body.
    pub(crate) body: Option<(&'static str, Value)>,
}

impl Draft {
    /// The text of the file.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let by = self.by;
        line(&mut text, 0, &format!("# Written by `restway {by}`. Change what it got wrong."));
        comments(&mut text, 0, &self.notes);
        line(&mut text, 0, &format!("api: {}", self.api));
        line(&mut text, 0, &format!("base_url: {}", scalar(&literal(&self.base_url))));
        self.write_auth(&mut text);
        self.write_defaults(&mut text);
        if !self.resources.is_empty() {
            line(&mut text, 0, "resources:");
        }
        for resource in &self.resources {
            self.write_resource(&mut text, resource);
        }
        if !self.webhooks.is_empty() {
            line(&mut text, 0, "webhooks:");
        }
        for webhook in &self.webhooks {
            write_webhook(&mut text, webhook);
        }
        comments(&mut text, 0, &self.left_out.lines());
        text
    }

    /// The login as the grammar has it; what is not written there is not written here.
    fn write_auth(&self, text: &mut String) {
        comments(text, 0, &self.auth_notes);
        if matches!(self.auth, Auth::None | Auth::Mtls) {
            return;
        }
        line(text, 0, "auth:");
        let Ok(mut login) = serde_json::to_value(&self.auth) else { return };
        name_credentials(&mut login, self.api.as_str());
        prune(&mut login);
        for (key, value) in login.as_object().into_iter().flatten() {
            line(text, 1, &format!("{key}: {}", flow(value)));
        }
    }

    fn write_defaults(&self, text: &mut String) {
        let Shared { records, paginate } = &self.defaults;
        if records.is_some() || paginate.is_some() {
            line(text, 0, "defaults:");
        }
        if let Some(records) = records {
            line(text, 1, &format!("records: {}", scalar(records)));
        }
        if let Some(paginate) = paginate {
            line(text, 1, &format!("paginate: {paginate}"));
        }
    }

    fn write_resource(&self, text: &mut String, resource: &ResourceDraft) {
        comments(text, 1, &resource.comments);
        let paginate = paginate(&resource.paginate);
        let is_shared = paginate.is_some() && paginate == self.defaults.paginate;
        if let Some(evidence) = resource.evidence.as_ref().filter(|_| !is_shared) {
            comments(text, 1, &[format!("Pages: {evidence}.")]);
        }
        line(text, 1, &format!("{}:", resource.name));
        line(text, 2, &format!("path: {}", scalar(&resource.path)));
        if let Some(parent) = &resource.for_each {
            line(text, 2, &format!("for_each: {parent}"));
        }
        let maps = [
            ("carry", &resource.carry),
            ("headers", &resource.headers),
            ("query", &resource.query),
        ];
        for (key, members) in maps.into_iter().filter(|(_, members)| !members.is_empty()) {
            line(text, 2, &format!("{key}: {}", flow(&Value::Object(members.clone()))));
        }
        let records = records_text(resource);
        if self.defaults.records.as_ref().map_or(resource.records.is_some(), |all| *all != records)
        {
            line(text, 2, &format!("records: {}", scalar(&records)));
        }
        let is_none = paginate.is_none() && self.defaults.paginate.is_none();
        if !is_shared && !is_none {
            line(text, 2, &format!("paginate: {}", paginate.as_deref().unwrap_or("none")));
        }
        if let Some(key) = &resource.key {
            line(text, 2, &format!("key: {}", scalar(key)));
        }
        comments(text, 2, &resource.after);
    }

    /// Puts what more than half of many resources have into `defaults`.
    pub(crate) fn share(&mut self) {
        const RESOURCES_MIN: usize = 4;
        if self.resources.len() < RESOURCES_MIN {
            return;
        }
        let records = self.resources.iter().map(records_text);
        let paginates = self.resources.iter().map(|one| paginate(&one.paginate));
        let records = common(records.collect(), self.resources.len()).filter(|all| all != "$");
        let paginate = common(paginates.flatten().collect(), self.resources.len());
        self.defaults = Shared { records, paginate };
    }
}

fn records_text(resource: &ResourceDraft) -> String {
    resource.records.as_ref().map_or_else(|| "$".to_owned(), ToString::to_string)
}

/// The text that more than half of `all` have.
fn common(mut texts: Vec<String>, all: usize) -> Option<String> {
    texts.sort_unstable();
    let runs = texts.chunk_by(|one, other| one == other);
    let longest = runs.max_by_key(|run| run.len())?;
    (longest.len() * 2 > all).then(|| longest[0].clone())
}

fn write_webhook(text: &mut String, webhook: &WebhookDraft) {
    comments(text, 1, &webhook.comments);
    line(text, 1, &format!("{}:", webhook.name));
    if let Some(title) = &webhook.title {
        line(text, 2, &format!("title: {}", prose(title)));
    }
    if !webhook.params.is_empty() {
        line(text, 2, "params:");
    }
    for (name, param) in &webhook.params {
        line(text, 3, &format!("{name}: {}", flow(param)));
    }
    line(text, 2, "calls:");
    line(text, 3, "- id: answer");
    line(text, 4, &format!("method: {}", webhook.method.as_str()));
    line(text, 4, &format!("path: {}", scalar(&webhook.path)));
    for (key, members) in [("headers", &webhook.headers), ("query", &webhook.query)] {
        if !members.is_empty() {
            line(text, 4, &format!("{key}: {}", flow(&Value::Object(members.clone()))));
        }
    }
    match &webhook.body {
        Some((key, Value::Array(parts))) if *key == "multipart" => {
            line(text, 4, "multipart:");
            parts.iter().for_each(|part| line(text, 5, &format!("- {}", flow(part))));
        }
        Some((key, body)) => line(text, 4, &format!("{key}: {}", flow(body))),
        None => {}
    }
}

/// A text of somebody else's as a template that means the text itself.
pub(crate) fn literal(text: &str) -> String {
    Template::literal(text).source().to_owned()
}

/// The reference to a secret of the api.
pub(crate) fn secret(api: &Name, what: &str) -> Template {
    let text = format!("${{secret.{}}}", Name::slug(&format!("{api}_{what}")));
    text.parse().unwrap_or_else(|_| Template::literal(""))
}

fn line(text: &mut String, depth: usize, content: &str) {
    // Writing to a text cannot fail.
    let _ = writeln!(text, "{:indent$}{content}", "", indent = depth * 2);
}

fn comments(text: &mut String, depth: usize, all: &[String]) {
    for comment in all {
        line(text, depth, &format!("# {}", one_line(comment, COMMENT_MAX)));
    }
}

/// A text on one line, without what YAML forbids in a comment, cut where it is too long.
pub(crate) fn one_line(text: &str, length_max: usize) -> String {
    let words: Vec<&str> = text.split(is_unprintable).filter(|word| !word.is_empty()).collect();
    let text = words.join(" ");
    match text.char_indices().nth(length_max) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text,
    }
}

/// What YAML does not print (YAML 1.2.2, section 5.1), and what ends a line for some readers.
fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
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

/// Takes away what a login does not set.
fn prune(value: &mut Value) {
    let Some(members) = value.as_object_mut() else { return };
    members.values_mut().for_each(prune);
    members.retain(|_, value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    });
}

/// A value on one line.
pub(crate) fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) if members.is_empty() => "{}".into(),
        Value::Object(members) => {
            let pairs =
                members.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value)));
            format!("{{ {} }}", pairs.collect::<Vec<String>>().join(", "))
        }
        Value::Number(number) if !number.is_i64() => {
            // The one form in which our reader takes a number back as it stands.
            number.as_f64().map_or_else(|| number.to_string(), |number| format!("{number:?}"))
        }
        other => other.to_string(),
    }
}

fn paginate(paginate: &Paginate) -> Option<String> {
    let path = |path: &RecordPath| scalar(&path.to_string());
    let name = |name: &Option<String>, usual: &str| scalar(name.as_deref().unwrap_or(usual));
    let stop = paginate.stop().map(|stop| format!(", stop: {}", scalar(&stop.to_string())));
    let stop = stop.unwrap_or_default();
    Some(match paginate {
        Paginate::None {} => return None,
        Paginate::Link { .. } => "link".into(),
        Paginate::Url { next, .. } => format!("{{ type: url, next: {}{stop} }}", path(next)),
        Paginate::Token { next, param, .. } => {
            let next = next.as_ref().map(path).unwrap_or_default();
            format!("{{ type: token, next: {next}, param: {}{stop} }}", name(param, ""))
        }
        Paginate::Offset { param, limit_param, limit, start, total, .. } => {
            let names = (name(param, "offset"), name(limit_param, "limit"));
            let names = format!("param: {}, limit_param: {}", names.0, names.1);
            let start = if *start == 0 { String::new() } else { format!(", start: {start}") };
            let total = total.as_ref().map(|total| format!(", total: {}", path(total)));
            let total = total.unwrap_or_default();
            format!("{{ type: offset, {names}, limit: {limit}{start}{total}{stop} }}")
        }
        Paginate::Page { param, start, total_pages, .. } => {
            let total = total_pages.as_ref().map(|total| format!(", total_pages: {}", path(total)));
            let total = total.unwrap_or_default();
            let param = name(param, "page");
            format!("{{ type: page, param: {param}, start: {start}{total}{stop} }}")
        }
        Paginate::Keyset { field, param, .. } => {
            let param = name(param, "");
            format!("{{ type: keyset, field: {}, param: {param}{stop} }}", path(field))
        }
    })
}

/// A text as a YAML scalar: plain where that is safe everywhere, else quoted as JSON quotes.
pub(crate) fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '-');
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_'));
    let is_word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .contains(&text.to_ascii_lowercase().as_str());
    let is_url = (text.starts_with("https://") || text.starts_with("http://"))
        && text.chars().all(|c| is_plain(c) || c == ':');
    if is_url || (starts_well && !is_word && text.chars().all(is_plain)) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    for c in Value::from(text).to_string().chars() {
        match c {
            c if is_unprintable(c) => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted
}

/// Words for people: plain where that is safe outside of brackets, else quoted.
fn prose(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || " ,.()'/-_".contains(c);
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let has_space = text.contains(' ') && !text.ends_with(' ');
    if starts_well && has_space && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        scalar(text)
    }
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
            ("a\u{85}b\u{feff}", "\"a\\u0085b\\ufeff\""),
        ];
        for (text, expected) in table {
            assert_eq!(scalar(text), expected);
        }
    }
}
