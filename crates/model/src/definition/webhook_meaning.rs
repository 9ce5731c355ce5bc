//! What a webhook must mean beyond its grammar.
//!
//! In: an api with its webhooks. Out: problems, each at its place: references to parameters and
//! calls that are not there (or not yet), bodies that exclude each other, credentials where they
//! would be seen, and more than one call that changes something when a run that stops between
//! them could not be repeated.

use serde_json::Value;

use super::meaning::{Finder, check_header};
use super::webhook::{CALLS_MAX, TIMEOUT_MAX};
use super::{
    ApiFile, Auth, Method, Param, QueryValue, ValueType, Webhook, WebhookCall, WebhookPart,
};
use crate::{CallPath, Name, Scope, Template, Timespan, nearest};

/// A URL is seen by every server on the way and stands in logs: no secret goes into it.
const IN_URLS: &[Scope] = &[Scope::Env, Scope::Param, Scope::Calls];
const ELSEWHERE: &[Scope] = &[Scope::Secret, Scope::Env, Scope::Param, Scope::Calls];

/// What a call may refer to, and where it stands.
struct Place<'a> {
    webhook: &'a Webhook,
    path: Vec<&'a str>,
    earlier: &'a [WebhookCall],
}

impl ApiFile {
    pub(super) fn check_webhooks(&self, finder: &mut Finder<'_>) {
        for (name, webhook) in &self.webhooks {
            check_settings(finder, name, webhook);
            for (param_name, param) in &webhook.params {
                let path = ["webhooks", name.as_str(), "params", param_name.as_str()];
                check_param(finder, &path, param);
            }
            for (at, call) in webhook.calls.iter().enumerate() {
                let number = at.to_string();
                let place = Place {
                    webhook,
                    path: vec!["webhooks", name.as_str(), "calls", &number],
                    earlier: &webhook.calls[..at],
                };
                place.check(finder, call, &self.auth);
            }
            check_writes(finder, name, webhook);
            check_outputs(finder, name, webhook);
        }
    }
}

fn check_settings(finder: &mut Finder<'_>, name: &Name, webhook: &Webhook) {
    let at = |key| ["webhooks", name.as_str(), key];
    if webhook.calls.is_empty() {
        finder.report(&at("calls"), "a webhook needs a call", None);
    }
    if webhook.calls.len() > CALLS_MAX {
        finder.report(&at("calls"), format!("more than {CALLS_MAX} calls"), None);
    }
    if webhook.timeout().is_zero() || webhook.timeout() > TIMEOUT_MAX {
        let message = format!("a webhook may take from 1ms to {}", Timespan(TIMEOUT_MAX));
        finder.report(&at("timeout"), message, None);
    }
    if webhook.concurrency == Some(0) {
        finder.report(&at("concurrency"), "must be at least 1", None);
    }
}

fn check_param(finder: &mut Finder<'_>, path: &[&str], param: &Param) {
    let kind = param.kind;
    let is = |wanted| kind == wanted;
    for (is_set, key, wanted) in [
        (!param.one_of.is_empty(), "one_of", ValueType::String),
        (param.of.is_some(), "of", ValueType::List),
        (!param.keys.is_empty(), "keys", ValueType::Record),
    ] {
        if is_set && !is(wanted) {
            let message = format!("`{key}` is for a {}", wanted.as_str());
            finder.report(&[path, &[key]].concat(), message, None);
        }
    }
    if let Some(default) = &param.default {
        let at = [path, &["default"]].concat();
        if param.required == Some(true) {
            finder.report(&at, "a parameter that is required needs no default", None);
        }
        if param.secret {
            finder.report_hidden(&at, "a secret stands in the file", None);
        }
        let mut problems = Vec::new();
        param.take(default.clone(), "the default", &mut problems);
        for problem in problems {
            finder.report(&at, format!("{} {}", problem.path, problem.problem), problem.hint);
        }
    }
    let inner = param.of.iter().map(|of| (vec!["of"], of.as_ref()));
    let keys = param.keys.iter().map(|(key, inner)| (vec!["keys", key.as_str()], inner));
    for (step, inner) in inner.chain(keys) {
        let path = [path, &step].concat();
        if inner.kind == ValueType::Attachment || inner.secret {
            let message = "only a parameter itself can be an attachment or a secret";
            finder.report(&path, message, None);
        }
        check_param(finder, &path, inner);
    }
}

fn check_writes(finder: &mut Finder<'_>, name: &Name, webhook: &Webhook) {
    let is_repeatable =
        |call: &WebhookCall| call.idempotency.is_some() || call.method.is_idempotent();
    let writes = webhook.calls.iter().enumerate().filter(|(_, call)| call.writes());
    if writes.clone().count() < 2 {
        return;
    }
    for (at, call) in writes.filter(|(_, call)| !is_repeatable(call)) {
        let message = format!(
            "`{}` is not the only call here that changes something, and cannot be repeated",
            call.id
        );
        let hint = "write `safe: true` if it changes nothing, or `idempotency: { header: … }` if \
                    the api knows such a key";
        let path = ["webhooks", name.as_str(), "calls", &at.to_string(), "method"];
        finder.report(&path, message, Some(hint.into()));
    }
}

fn check_outputs(finder: &mut Finder<'_>, name: &Name, webhook: &Webhook) {
    for (output_name, output) in &webhook.outputs {
        let path = ["webhooks", name.as_str(), "outputs", output_name.as_str()];
        let output = output.resolve();
        check_call(finder, &path, &output.from.call, &webhook.calls);
        if webhook.calls.iter().any(|call| call.id == output.from.call && !call.store) {
            let message = format!("the answer of `{}` is not shown", output.from.call);
            let hint = "take `store: false` from the call, or leave the output out".to_owned();
            finder.report(&path, message, Some(hint));
        }
        if output.kind == Some(ValueType::Attachment) {
            finder.report(&path, "an output cannot be an attachment", None);
        }
    }
}

fn check_call(finder: &mut Finder<'_>, path: &[&str], id: &Name, calls: &[WebhookCall]) {
    if calls.iter().all(|call| call.id != *id) {
        let near = nearest(id.as_str(), calls.iter().map(|call| call.id.as_str()));
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        finder.report(path, format!("there is no call `{id}` before this"), hint);
    }
}

impl Place<'_> {
    fn check(&self, finder: &mut Finder<'_>, call: &WebhookCall, auth: &Auth) {
        if self.earlier.iter().any(|earlier| earlier.id == call.id) {
            finder.report(&self.at("id"), format!("there are two calls `{}`", call.id), None);
        }
        self.template(finder, "path", &call.path, IN_URLS);
        for (name, template) in &call.headers {
            self.header(finder, name, template, auth);
        }
        for value in call.query.values() {
            self.query_value(finder, "query", value, IN_URLS);
        }
        for value in call.urlencoded.iter().flat_map(|fields| fields.values()) {
            self.query_value(finder, "urlencoded", value, ELSEWHERE);
        }
        if let Some(json) = &call.json {
            self.json(finder, &mut self.at("json"), json);
        }
        for (key, text) in [("text", &call.text), ("xml", &call.xml), ("html", &call.html)] {
            if let Some(text) = text {
                self.template(finder, key, text, ELSEWHERE);
            }
        }
        for (at, part) in call.multipart.iter().flatten().enumerate() {
            self.part(finder, at, part);
        }
        self.body(finder, call);
        self.idempotency(finder, call);
        for status in call.expect.iter().filter(|status| !(100..600).contains(*status)) {
            finder.report(&self.at("expect"), format!("`{status}` is not a status"), None);
        }
    }

    fn body(&self, finder: &mut Finder<'_>, call: &WebhookCall) {
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

    fn part(&self, finder: &mut Finder<'_>, at: usize, part: &WebhookPart) {
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
            self.template_at(finder, &place("value"), value, ELSEWHERE);
        }
        if let Some(filename) = &part.filename {
            self.template_at(finder, &place("filename"), filename, IN_URLS);
        }
        let is_line = |text: &String| !text.is_empty() && !text.contains(char::is_control);
        if part.content_type.as_ref().is_some_and(|text| !is_line(text)) {
            finder.report(&place("content-type"), "must be one line of text", None);
        }
    }

    fn attachment(&self, finder: &mut Finder<'_>, path: &[&str], file: &Name) {
        let params = &self.webhook.params;
        if params.get(file).is_none_or(|param| param.kind != ValueType::Attachment) {
            let message = format!("there is no parameter `{file}` of type attachment");
            finder.report(path, message, None);
        }
    }

    fn idempotency(&self, finder: &mut Finder<'_>, call: &WebhookCall) {
        let Some(idempotency) = &call.idempotency else { return };
        let at = self.at("idempotency");
        if !call.writes() {
            finder.report(&at, "a call that changes nothing needs no `idempotency`", None);
        }
        let key = idempotency.key.clone().unwrap_or_else(|| Template::literal(""));
        check_header(finder, &at, &idempotency.header, &key);
        self.template(finder, "idempotency", &key, &[Scope::Param, Scope::Calls]);
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
        self.template(finder, "headers", template, ELSEWHERE);
    }

    fn query_value(&self, finder: &mut Finder<'_>, key: &str, value: &QueryValue, may: &[Scope]) {
        if let QueryValue::Text(template) = value {
            self.template(finder, key, template, may);
        }
    }

    fn json<'a>(&self, finder: &mut Finder<'_>, path: &mut Vec<&'a str>, json: &'a Value) {
        match json {
            Value::String(text) => match text.parse::<Template>() {
                Ok(template) => self.template_at(finder, path, &template, ELSEWHERE),
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
                    if let Ok(place) = name.parse::<CallPath>() {
                        check_call(finder, path, &place.call, self.earlier);
                    }
                }
                _ => {}
            }
        }
    }

    fn param(&self, finder: &mut Finder<'_>, path: &[&str], name: &str, may_be_secret: bool) {
        let params = &self.webhook.params;
        let is_secret = params.iter().any(|(known, param)| known.as_str() == name && param.secret);
        if is_secret && !may_be_secret {
            finder.report(path, format!("`{name}` is a secret and has no place here"), None);
        } else if params.keys().all(|known| known.as_str() != name) {
            let near = nearest(name, params.keys().map(Name::as_str));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            finder.report(path, format!("there is no parameter `{name}`"), hint);
        }
    }

    fn at<'b>(&'b self, key: &'b str) -> Vec<&'b str> {
        [&self.path, &[key][..]].concat()
    }
}
