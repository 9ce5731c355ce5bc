//! What a definition asks for and never uses.
//!
//! In: an api. Out: sentences for whoever checks it. These are no errors: a caller may still send
//! a parameter that a call needed once.

use super::{ApiFile, WebhookCall};
use crate::{Name, Scope, Template};

impl ApiFile {
    /// What a person should know of a file that is valid.
    pub fn warnings(&self) -> Vec<String> {
        let unused = self.webhooks.iter().flat_map(|(hook, webhook)| {
            let params = webhook.params.keys();
            params.filter(|param| !webhook.calls.iter().any(|call| uses(call, param))).map(
                move |param| {
                    format!("`{param}` of the webhook `{hook}` is asked for, and no call uses it")
                },
            )
        });
        unused.collect()
    }
}

/// Whether a call has a parameter anywhere.
fn uses(call: &WebhookCall, param: &Name) -> bool {
    let request = &call.request;
    let parts = request.multipart.iter().flatten();
    let mut files = request.file.iter().chain(parts.filter_map(|part| part.file.as_ref()));
    let mut templates = request.templates().unwrap_or_default();
    templates.extend(call.idempotency.iter().filter_map(|own| own.key.clone()));
    let refers = |template: &Template| {
        template.references().any(|(scope, name)| scope == Scope::Param && name == param.as_str())
    };
    files.any(|file| file == param) || templates.iter().any(refers)
}
