//! What a definition asks for and never uses.
//!
//! In: an api. Out: sentences for whoever checks it. These are no errors: a caller may still send
//! a parameter that a call needed once.

use super::{ApiFile, QueryValue, WebhookCall};
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
    let parts = || call.multipart.iter().flatten();
    let is_file = call.file.iter().chain(parts().filter_map(|part| part.file.as_ref()));
    let queries = call.query.values().chain(call.urlencoded.iter().flat_map(|own| own.values()));
    let queries = queries.chain(parts().filter_map(|part| part.value.as_ref()));
    let mut templates: Vec<Template> = queries.filter_map(text).cloned().collect();
    templates.push(call.path.clone());
    templates.extend(call.headers.values().cloned());
    templates.extend(parts().filter_map(|part| part.filename.clone()));
    templates.extend([&call.text, &call.xml, &call.html].into_iter().flatten().cloned());
    templates.extend(call.idempotency.iter().filter_map(|own| own.key.clone()));
    let json = call.json.as_ref().map(super::body::texts).unwrap_or_default();
    templates.extend(json.into_iter().filter_map(|text| text.parse().ok()));
    let refers = |template: &Template| {
        template.references().any(|(scope, name)| scope == Scope::Param && name == param.as_str())
    };
    is_file.into_iter().any(|file| file == param) || templates.iter().any(refers)
}

const fn text(value: &QueryValue) -> Option<&Template> {
    match value {
        QueryValue::Text(template) => Some(template),
        _ => None,
    }
}
