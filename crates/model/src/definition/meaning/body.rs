//! What the body of a resource must mean: one of them, by a method that takes one, with texts that
//! refer to what is there, and JSON where something is put into it.

use super::Finder;
use crate::definition::{ApiFile, QueryValue, ResourceBody, ResourceEntry, ResourceSettings, Slot};
use crate::{Name, Scope};

/// Checks `json`, `urlencoded`, `text` and `file`.
pub(super) fn check(
    api: &ApiFile,
    finder: &mut Finder<'_>,
    name: &Name,
    resource: &ResourceSettings,
    scopes: &[Scope],
) {
    let at = |key| ["resources", name.as_str(), key];
    let Some(ResourceEntry::Full(own)) = api.resources.get(name) else { return };
    let keys = ResourceBody::keys(own);
    let mut given = keys.iter().filter(|(_, is_given)| *is_given).map(|(key, _)| *key);
    let (Some(key), Some(body)) = (given.next(), &resource.body) else { return };
    if let Some(second) = given.next() {
        let message = format!("a request has one body: `{key}` or `{second}`");
        finder.report(&at(second), message, None);
    }
    if !matches!(resource.method.as_str(), "POST" | "PUT" | "PATCH") {
        let hint = "write `method: POST`".to_owned();
        finder.report(&at(key), "a body needs POST, PUT or PATCH", Some(hint));
    }
    match body.templates() {
        Ok(templates) => templates.iter().for_each(|one| finder.only(&at(key), one, scopes)),
        Err(error) => finder.report(&at(key), error.to_string(), None),
    }
    if let ResourceBody::Form(fields) = body {
        for (field, value) in fields {
            if let QueryValue::Text(template) = value {
                let place = ["resources", name.as_str(), key, field];
                finder.named_credential(&place, field, template);
            }
        }
    }
    let incremental = resource.incremental.as_ref().and_then(|own| own.send.slot());
    let slots = [resource.paginate.slot(), resource.paginate.limit_slot(), incremental];
    let is_changed = slots.into_iter().flatten().any(|slot| matches!(slot, Slot::Body(_)));
    if is_changed && !matches!(body, ResourceBody::Json(_)) {
        let message = format!("pages and cursors go into a body of `json`, not of `{key}`");
        let hint = "write `json`, or a `param` in place of the path into the body".to_owned();
        finder.report(&at(key), message, Some(hint));
    }
}
