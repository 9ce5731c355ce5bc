//! What a resource's way of landing must mean: a key where rows are told apart, and deletions only
//! where a walk can prove them.

use super::Finder;
use crate::Name;
use crate::definition::{OnStatus, ResourceSettings};

pub(super) fn check(finder: &mut Finder<'_>, name: &Name, resource: &ResourceSettings) {
    let at = |key| ["resources", name.as_str(), key];
    let keyed = resource.load.needs_key();
    if keyed && resource.key.as_ref().is_none_or(|key| key.columns().is_empty()) {
        let hint = "name the fields that tell its records apart, as in `key: id`".to_owned();
        finder.report(&at("load"), "`merge` and `history` need a `key`", Some(hint));
    }
    let deletes = &resource.deletes;
    if !keyed && (deletes.when.is_some() || deletes.absent) {
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
    let skips = resource.on_status.values().any(|what| *what == OnStatus::Skip);
    if deletes.absent && (resource.records_max.is_some() || skips) {
        let place = ["resources", name.as_str(), "deletes", "absent"];
        let message = "a walk that `max_records` or `skip` may cut short proves nothing absent";
        finder.report(&place, message, None);
    }
}
