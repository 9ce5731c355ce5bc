//! What a resource's way of landing must mean: a key where rows are told apart, and deletions only
//! where a walk can prove them.

use super::Finder;
use crate::definition::{ApiFile, Key, OnStatus, ResourceSettings};
use crate::{Name, nearest};

pub(super) fn check(
    api: &ApiFile,
    finder: &mut Finder<'_>,
    name: &Name,
    resource: &ResourceSettings,
) {
    check_gone(api, finder, name, resource);
    let at = |key| ["resources", name.as_str(), key];
    let keyed = resource.load.needs_key();
    if keyed && resource.key.as_ref().is_none_or(|key| key.columns().is_empty()) {
        let hint = "name the fields that tell its records apart, as in `key: id`".to_owned();
        finder.report(&at("load"), "`merge` and `history` need a `key`", Some(hint));
    }
    let deletes = &resource.deletes;
    if !keyed && (deletes.when.is_some() || deletes.absent || deletes.resource.is_some()) {
        let hint = "write `load: merge`; `replace` keeps nothing that the api does not send";
        finder.report(&at("deletes"), "`deletes` needs a `key`", Some(hint.to_owned()));
    }
    if deletes.max_fraction.is_some_and(|part| !(0.0..=1.0).contains(&part)) {
        let place = ["resources", name.as_str(), "deletes", "max_fraction"];
        finder.report(&place, "a number from 0 to 1", None);
    }
    if deletes.absent && resource.incremental.is_some() {
        let place = ["resources", name.as_str(), "deletes", "absent"];
        let message = "a walk of what is new proves nothing absent";
        finder.report(&place, message, Some("write `deletes: { when: … }`".to_owned()));
    }
    for (index, path) in resource.nest.columns.iter().enumerate() {
        let place = ["resources", name.as_str(), "nest", "columns", &index.to_string()];
        if path.steps().is_empty() {
            finder.report(&place, "a record itself is always columns", None);
        } else if resource.nest.json.contains(path) {
            finder.report(&place, format!("`{path}` stands under `json` too"), None);
        }
    }
    let skips = resource.on_status.values().any(|what| *what == OnStatus::Skip);
    if deletes.absent && (resource.records_max.is_some() || skips) {
        let place = ["resources", name.as_str(), "deletes", "absent"];
        let message = "a walk that `max_records` or `skip` may cut short proves nothing absent";
        finder.report(&place, message, None);
    }
}

/// A resource that lists what is gone: there, and with as many fields as the key has.
fn check_gone(api: &ApiFile, finder: &mut Finder<'_>, name: &Name, resource: &ResourceSettings) {
    let at = |key| ["resources", name.as_str(), "deletes", key];
    let deletes = &resource.deletes;
    let Some(lists) = &deletes.resource else {
        if deletes.key.is_some() {
            finder.report(&at("key"), "`key` needs `resource`", None);
        }
        return;
    };
    if !api.resources.contains_key(lists) {
        let near = nearest(lists.as_str(), api.resources.keys().map(Name::as_str));
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        finder.report(&at("resource"), format!("there is no resource `{lists}`"), hint);
    }
    let count = |key: &Option<Key>| key.as_ref().map(|key| key.columns().len());
    if deletes.key.is_some() && count(&deletes.key) != count(&resource.key) {
        let hint = "name as many fields as `key` has, in its order".to_owned();
        finder.report(&at("key"), "is not as long as the key", Some(hint));
    }
}
