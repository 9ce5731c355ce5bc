//! What a request must mean beyond its grammar, whoever sends it.
//!
//! In: the request of a webhook's call or of an export, and which `${…}` have a meaning in it. Out:
//! problems, each at its place: references to what is not there, bodies that exclude each other,
//! credentials where they would be seen.

use serde_json::Value;

use super::meaning::{Finder, check_header};
use super::{
    Auth, CallPart, CallRequest, Idempotency, Method, QueryValue, ValueType, Webhook, WebhookCall,
};
use crate::{CallPath, Name, Scope, Template, nearest};

/// What a request may refer to, and where it stands.
pub(super) struct RequestPlace<'a> {
    pub(super) path: Vec<&'a str>,
    /// The webhook and the calls before this one, if it is a webhook's.
    pub(super) of_webhook: Option<(&'a Webhook, &'a [WebhookCall])>,
    /// What may stand in a URL, which every server on the way sees: no secret.
    pub(super) in_urls: &'a [Scope],
    pub(super) elsewhere: &'a [Scope],
}

pub(super) fn check_call(finder: &mut Finder<'_>, path: &[&str], id: &Name, calls: &[WebhookCall]) {
    if calls.iter().all(|call| call.id != *id) {
        let near = nearest(id.as_str(), calls.iter().map(|call| call.id.as_str()));
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        finder.report(path, format!("there is no call `{id}` before this"), hint);
    }
}

impl RequestPlace<'_> {
    /// Checks everything of a request but its `idempotency`.
    pub(super) fn check(&self, finder: &mut Finder<'_>, call: &CallRequest, auth: &Auth) {
        self.template(finder, "path", &call.path, self.in_urls);
        for (name, template) in &call.headers {
            self.header(finder, name, template, auth);
        }
        for value in call.query.values() {
            self.query_value(finder, "query", value, self.in_urls);
        }
        for value in call.urlencoded.iter().flat_map(|fields| fields.values()) {
            self.query_value(finder, "urlencoded", value, self.elsewhere);
        }
        if let Some(json) = &call.json {
            self.json(finder, &mut self.at("json"), json);
        }
        for (key, text) in [("text", &call.text), ("xml", &call.xml), ("html", &call.html)] {
            if let Some(text) = text {
                self.template(finder, key, text, self.elsewhere);
            }
        }
        for (at, part) in call.multipart.iter().flatten().enumerate() {
            self.part(finder, at, part);
        }
        self.body(finder, call);
        for status in call.expect.iter().filter(|status| !(100..600).contains(*status)) {
            finder.report(&self.at("expect"), format!("`{status}` is not a status"), None);
        }
    }

    fn body(&self, finder: &mut Finder<'_>, call: &CallRequest) {
        let bodies = [
            ("json", call.json.is_some()),
            ("urlencoded", call.urlencoded.is_some()),
            ("multipart", call.multipart.is_some()),
            ("text", call.text.is_some()),
            ("xml", call.xml.is_some()),
            ("html", call.html.is_some()),
            ("file", call.file.is_some()),
        ];
        let mut set = bodies.iter().filter(|(_, is_set)| *is_set).map(|(key, _)| *key);
        let Some(first) = set.next() else { return };
        if let Some(second) = set.next() {
            let message = format!("a call has one body: `{first}` or `{second}`");
            finder.report(&self.at(second), message, None);
        }
        if !matches!(call.method, Method::Post | Method::Put | Method::Patch) {
            finder.report(&self.at(first), "a body needs POST, PUT or PATCH", None);
        }
        let has_type = call.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
        if call.multipart.is_some() && has_type {
            let message = "the content type of `multipart` holds its boundary, and is not yours";
            finder.report(&self.at("headers"), message, None);
        }
        if call.multipart.as_ref().is_some_and(Vec::is_empty) {
            finder.report(&self.at("multipart"), "a form needs a part", None);
        }
        if let Some(file) = &call.file {
            self.attachment(finder, &self.at("file"), file);
        }
    }

    fn part(&self, finder: &mut Finder<'_>, at: usize, part: &CallPart) {
        let number = at.to_string();
        let own = self.at("multipart");
        let place = |key| [&own[..], &[number.as_str(), key]].concat();
        if part.value.is_some() == part.file.is_some() {
            finder.report(&place("name"), "a part has either a `value` or a `file`", None);
        }
        if part.filename.is_some() && part.file.is_none() {
            finder.report(&place("filename"), "only a `file` has a `filename`", None);
        }
        if let Some(file) = &part.file {
            self.attachment(finder, &place("file"), file);
        }
        if let Some(QueryValue::Text(value)) = &part.value {
            self.template_at(finder, &place("value"), value, self.elsewhere);
        }
        if let Some(filename) = &part.filename {
            self.template_at(finder, &place("filename"), filename, self.in_urls);
        }
        let is_line = |text: &String| !text.is_empty() && !text.contains(char::is_control);
        if part.content_type.as_ref().is_some_and(|text| !is_line(text)) {
            finder.report(&place("content-type"), "must be one line of text", None);
        }
    }

    fn attachment(&self, finder: &mut Finder<'_>, path: &[&str], file: &Name) {
        let Some((webhook, _)) = self.of_webhook else {
            let message = "a row has no attachments: a webhook sends files";
            return finder.report(path, message, None);
        };
        if webhook.params.get(file).is_none_or(|param| param.kind != ValueType::Attachment) {
            let message = format!("there is no parameter `{file}` of type attachment");
            finder.report(path, message, None);
        }
    }

    /// Checks the key that keeps the api from doing it twice.
    pub(super) fn idempotency(
        &self,
        finder: &mut Finder<'_>,
        at: &[&str],
        idempotency: &Idempotency,
        may: &[Scope],
    ) {
        let key = idempotency.key.clone().unwrap_or_else(|| Template::literal(""));
        check_header(finder, at, &idempotency.header, &key);
        self.template_at(finder, at, &key, may);
    }

    /// `authorization` is for the token of an earlier call; elsewhere credentials lie in `auth`.
    fn header(&self, finder: &mut Finder<'_>, name: &str, template: &Template, auth: &Auth) {
        let at = self.at("headers");
        let is_authorization = name.eq_ignore_ascii_case("authorization");
        let is_token = template.references().any(|(scope, _)| scope == Scope::Calls);
        if is_authorization && is_token && *auth != Auth::None {
            let message = "the api's `auth` writes `authorization` over this";
            finder.report(&at, message, Some("take one of the two away".into()));
        } else if !(is_authorization && is_token) {
            check_header(finder, &at, name, template);
        }
        self.template(finder, "headers", template, self.elsewhere);
    }

    fn query_value(&self, finder: &mut Finder<'_>, key: &str, value: &QueryValue, may: &[Scope]) {
        if let QueryValue::Text(template) = value {
            self.template(finder, key, template, may);
        }
    }

    fn json<'a>(&self, finder: &mut Finder<'_>, path: &mut Vec<&'a str>, json: &'a Value) {
        match json {
            Value::String(text) => match text.parse::<Template>() {
                Ok(template) => self.template_at(finder, path, &template, self.elsewhere),
                Err(error) => finder.report(path, error.to_string(), None),
            },
            Value::Array(items) => items.iter().for_each(|item| self.json(finder, path, item)),
            Value::Object(members) => {
                for (name, value) in members {
                    path.push(name);
                    self.json(finder, path, value);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    fn template(&self, finder: &mut Finder<'_>, key: &str, template: &Template, may: &[Scope]) {
        self.template_at(finder, &self.at(key), template, may);
    }

    fn template_at(
        &self,
        finder: &mut Finder<'_>,
        path: &[&str],
        template: &Template,
        may: &[Scope],
    ) {
        finder.only(path, template, may);
        for (scope, name) in template.references() {
            match scope {
                Scope::Param => self.param(finder, path, name, may.contains(&Scope::Secret)),
                Scope::Calls => {
                    if let (Ok(place), Some((_, earlier))) =
                        (name.parse::<CallPath>(), self.of_webhook)
                    {
                        check_call(finder, path, &place.call, earlier);
                    }
                }
                _ => {}
            }
        }
    }

    fn param(&self, finder: &mut Finder<'_>, path: &[&str], name: &str, may_be_secret: bool) {
        let Some((Webhook { params, .. }, _)) = self.of_webhook else { return };
        let is_secret = params.iter().any(|(known, param)| known.as_str() == name && param.secret);
        if is_secret && !may_be_secret {
            finder.report(path, format!("`{name}` is a secret and has no place here"), None);
        } else if params.keys().all(|known| known.as_str() != name) {
            let near = nearest(name, params.keys().map(Name::as_str));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            finder.report(path, format!("there is no parameter `{name}`"), hint);
        }
    }

    pub(super) fn at<'b>(&'b self, key: &'b str) -> Vec<&'b str> {
        [&self.path, &[key][..]].concat()
    }
}
