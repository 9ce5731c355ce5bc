//! Requests that change something, as webhooks.
//!
//! In: requests of one origin. Out: one webhook for each method and path. What was sent in the
//! query, in the fields of a form or in the members of a JSON body becomes a parameter, with what
//! was sent as its default; a value that is or holds a secret has no default, and is masked. Pure.

use restway_model::Name;
use restway_model::definition::Method;
use serde_json::{Map, Value, json};

use super::address::{Address, template};
use super::{Body, Login, Part, Sent, reads};
use crate::draft::{LeftOut, WebhookDraft, one_line};
use crate::import::names::{Names, slug, words};
use crate::import::veil;
use crate::probe::shape::singular;

/// Values inside values that are looked at for secrets, and written.
const DEPTH_MAX: usize = 24;

/// The webhooks of all requests that change something.
pub(super) fn webhooks(
    all: &[(Address, Sent)],
    proof: Option<&Login>,
    left_out: &mut LeftOut,
) -> Vec<WebhookDraft> {
    let mut names = Names::default();
    let mut known: Vec<(Method, &str)> = Vec::new();
    let mut hooks = Vec::new();
    for (address, sent) in all.iter().filter(|(_, sent)| sent.method != "GET") {
        let method = match sent.method.as_str() {
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            _ => continue,
        };
        if sent.name.is_none() && known.contains(&(method, &address.path)) {
            continue;
        }
        known.push((method, &address.path));
        match webhook(address, sent, method, proof) {
            Ok(mut hook) => {
                hook.name = names.numbered(&name(address, sent, method));
                hooks.push(hook);
            }
            Err(reason) => {
                let shown = sent.name.as_deref().unwrap_or("a request");
                left_out.because(&reason, shown);
            }
        }
    }
    hooks.sort_by(|one, other| one.name.cmp(&other.name));
    hooks
}

fn name(address: &Address, sent: &Sent, method: Method) -> String {
    if let Some(name) = &sent.name {
        return name.clone();
    }
    let verb = match method {
        Method::Put => "replace",
        Method::Patch => "update",
        Method::Delete => "delete",
        _ => "create",
    };
    let said = words(&address.path);
    let word = said.iter().rev().find(|word| !veil::is_token(word)).copied().unwrap_or("record");
    format!("{verb}_{}", singular(slug(word).as_str()))
}

fn webhook(
    address: &Address,
    sent: &Sent,
    method: Method,
    proof: Option<&Login>,
) -> Result<WebhookDraft, String> {
    let mut params = Params::default();
    let mut hook = WebhookDraft {
        name: Name::slug(""),
        title: sent.name.as_deref().map(|name| one_line(name, 100)),
        comments: Vec::new(),
        params: Map::new(),
        method,
        path: String::new(),
        headers: Map::new(),
        query: Map::new(),
        body: None,
    };
    let segments: Vec<String> = address.path.split('/').map(|one| params.segment(one)).collect();
    hook.path = segments.join("/");
    for (name, value) in &address.query {
        if proof != Some(&Login::Query(name.clone())) {
            let reference = params.text(name, value, false);
            hook.query.insert(name.clone(), reference.into());
        }
    }
    // A header's value is a template of the api: its secrets are the workspace's.
    let mut api_headers = reads::headers(sent, &Name::slug("webhook"), proof);
    api_headers.retain(|name, _| !veil::is_secret_name(name) && name != "accept");
    for (name, value) in api_headers {
        let is_plain = value.as_str().is_some_and(|text| !text.contains("${"));
        let reference = if is_plain { value } else { params.text(&name, "", true).into() };
        hook.headers.insert(name, reference);
    }
    hook.body = match &sent.body {
        _ if method == Method::Delete => None,
        Body::None => None,
        Body::Json(Value::Object(members)) => {
            let mut body = Map::new();
            for (name, value) in members {
                body.insert(name.clone(), params.value(name, value)?);
            }
            Some(("json", Value::Object(body)))
        }
        Body::Json(value) => Some(("json", params.value("body", value)?)),
        Body::Form(pairs) => {
            let mut form = Map::new();
            for (name, value) in pairs {
                form.insert(name.clone(), params.text(name, value, true).into());
            }
            Some(("urlencoded", Value::Object(form)))
        }
        Body::Multipart(parts) => {
            let parts: Vec<Value> = parts.iter().map(|part| params.part(part)).collect();
            Some(("multipart", parts.into()))
        }
        Body::File => Some(("file", params.file("file").into())),
        Body::Text(text) => Some(("text", params.text("text", text, true).into())),
        Body::Other(what) => return Err(format!("that send {what}")),
    };
    hook.params = params.all;
    Ok(hook)
}

#[derive(Default)]
struct Params {
    all: Map<String, Value>,
}

impl Params {
    /// Adds a parameter, and gives the reference to it.
    fn add(&mut self, name: &str, param: Value) -> String {
        let mut free = slug(name);
        let stem: String = free.as_str().chars().take(50).collect();
        let mut number = 2u64;
        while self.all.get(free.as_str()).is_some_and(|known| *known != param) {
            free = slug(&format!("{stem}_{number}"));
            number += 1;
        }
        self.all.insert(free.to_string(), param);
        format!("${{param.{free}}}")
    }

    /// Adds an attachment, and gives its name.
    fn file(&mut self, name: &str) -> String {
        let reference = self.add(name, json!({"type": "attachment"}));
        reference.trim_start_matches("${param.").trim_end_matches('}').to_owned()
    }

    /// A part of a form, as the grammar has it.
    fn part(&mut self, part: &Part) -> Value {
        let mut all = match &part.value {
            Some(value) => json!({"name": part.name, "value": self.text(&part.name, value, true)}),
            None => json!({"name": part.name, "file": self.file(&part.name)}),
        };
        if let Some(kind) =
            part.content_type.as_ref().filter(|kind| !kind.contains(char::is_control))
        {
            all["content-type"] = one_line(kind, 100).into();
        }
        all
    }

    /// A segment of the path: a number, a token or a variable is a parameter.
    fn segment(&mut self, segment: &str) -> String {
        let is_id = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
        if is_id || veil::is_token(segment) {
            return self.add("id", json!({"type": "string"}));
        }
        template(segment, |name| self.add(name, json!({"type": "string"})))
    }

    /// A text that was sent. In a URL no parameter can be a secret.
    fn text(&mut self, name: &str, value: &str, may_be_secret: bool) -> String {
        let is_secret = veil::is_secret(name, value) || holds_token(value);
        if is_secret && may_be_secret {
            return self.add(name, json!({"type": "string", "secret": true}));
        }
        if is_secret || value.is_empty() {
            return self.add(name, json!({"type": "string"}));
        }
        if value.contains("{{") {
            return template(value, |name| {
                let is_secret = veil::is_secret_name(name) && may_be_secret;
                let mut param = json!({"type": "string"});
                if is_secret {
                    param["secret"] = true.into();
                }
                self.add(name, param)
            });
        }
        self.add(name, json!({"type": "string", "default": value}))
    }

    /// A value of a JSON body.
    fn value(&mut self, name: &str, value: &Value) -> Result<Value, String> {
        let kind = match value {
            Value::String(text) => return Ok(self.text(name, text, true).into()),
            Value::Null => return Ok(Value::Null),
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_i64() => "long",
            Value::Number(_) => "double",
            Value::Array(_) => "list",
            Value::Object(_) => "record",
        };
        if depth(value) > DEPTH_MAX {
            return Err(format!("whose bodies are more than {DEPTH_MAX} levels deep"));
        }
        let mut secrets = Vec::new();
        hidden_in(name, value, &mut secrets, 0);
        let param = match secrets.is_empty() {
            true => json!({"type": kind, "default": value}),
            false => json!({"type": kind}),
        };
        Ok(self.add(name, param).into())
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Whether one of the words of a text looks like a token.
fn holds_token(text: &str) -> bool {
    text.split(|c: char| c.is_whitespace() || "\"'<>,;:&()[]{}".contains(c)).any(veil::is_token)
}

/// The secrets of a body.
pub(super) fn hidden(body: &Body, all: &mut Vec<String>) {
    match body {
        Body::Json(value) => hidden_in("", value, all, 0),
        Body::Form(pairs) => {
            let secret = pairs.iter().filter(|(name, value)| veil::is_secret(name, value));
            all.extend(secret.map(|(_, value)| value.clone()));
        }
        Body::Multipart(parts) => {
            let values = parts.iter().filter_map(|part| Some((&part.name, part.value.as_ref()?)));
            let secret =
                values.filter(|(name, value)| veil::is_secret(name, value) || holds_token(value));
            all.extend(secret.map(|(_, value)| value.clone()));
        }
        Body::Text(text) if holds_token(text) => all.push(text.clone()),
        _ => {}
    }
}

fn hidden_in(name: &str, value: &Value, all: &mut Vec<String>, depth: usize) {
    match value {
        _ if depth > 128 => {}
        Value::String(text) if veil::is_secret(name, text) || holds_token(text) => {
            all.push(text.clone());
        }
        Value::Number(number) if veil::is_secret_name(name) => all.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|one| hidden_in(name, one, all, depth + 1)),
        Value::Object(members) => {
            members.iter().for_each(|(name, one)| hidden_in(name, one, all, depth + 1));
        }
        _ => {}
    }
}
