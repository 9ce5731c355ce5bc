//! What a webhook must mean beyond its grammar.
//!
//! In: an api with its webhooks. Out: problems, each at its place: references to parameters and
//! calls that are not there (or not yet), bodies that exclude each other, credentials where they
//! would be seen, and more than one call that changes something when a run that stops between
//! them could not be repeated.

use super::meaning::Finder;
use super::request_meaning::{RequestPlace, check_call};
use super::webhook::{CALLS_MAX, TIMEOUT_MAX};
use super::{ApiFile, Param, ValueType, Webhook, WebhookCall};
use crate::{Name, Scope, Timespan};

/// A URL is seen by every server on the way and stands in logs: no secret goes into it.
const IN_URLS: &[Scope] = &[Scope::Env, Scope::Param, Scope::Calls];
const ELSEWHERE: &[Scope] = &[Scope::Secret, Scope::Env, Scope::Param, Scope::Calls];
const IN_KEYS: &[Scope] = &[Scope::Param, Scope::Calls];

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
                let earlier = &webhook.calls[..at];
                let place = RequestPlace {
                    path: vec!["webhooks", name.as_str(), "calls", &number],
                    of_webhook: Some((webhook, earlier)),
                    in_urls: IN_URLS,
                    elsewhere: ELSEWHERE,
                };
                if earlier.iter().any(|earlier| earlier.id == call.id) {
                    let message = format!("there are two calls `{}`", call.id);
                    finder.report(&place.at("id"), message, None);
                }
                place.check(finder, &call.request, &self.auth);
                if let Some(idempotency) = &call.idempotency {
                    if !call.writes() {
                        let message = "a call that changes nothing needs no `idempotency`";
                        finder.report(&place.at("idempotency"), message, None);
                    }
                    place.idempotency(finder, &place.at("idempotency"), idempotency, IN_KEYS);
                }
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
        |call: &WebhookCall| call.idempotency.is_some() || call.request.method.is_idempotent();
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
