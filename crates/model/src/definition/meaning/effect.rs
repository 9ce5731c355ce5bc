//! Options that would do nothing where they stand. Whoever writes one expects something of it, so
//! each is refused.

use super::Finder;
use crate::definition::{ApiFile, History, Load, Method, ResourceEntry, Tls};
use crate::{Name, Template};

/// Checks what the rest of an api leaves without effect.
pub(super) fn check(api: &ApiFile, finder: &mut Finder<'_>) {
    if api.tls != Tls::default() && !may_use_tls(api) {
        let hint = "write `https://` in `base_url`, or leave `tls` out".to_owned();
        finder.report(&["tls"], "no address of this api is https", Some(hint));
    }
    for status in api.retry.status.iter().filter(|status| (200..300).contains(*status)) {
        let message = format!("`{status}` is success, which is not sent again");
        let hint = "write `fail_when` for an error that comes as success".to_owned();
        finder.report(&["retry", "status"], message, Some(hint));
    }
    for name in api.resources.keys() {
        check_resource(api, name, finder);
    }
    for (name, webhook) in &api.webhooks {
        if webhook.keep.is_some() && webhook.history != History::Full {
            let path = ["webhooks", name.as_str(), "keep"];
            let hint = "write `history: full`, or leave `keep` out".to_owned();
            finder.report(&path, "nothing is kept that could be removed", Some(hint));
        }
        for (at, call) in webhook.calls.iter().enumerate() {
            let method = call.request.method;
            if call.request.safe && matches!(method, Method::Get | Method::Head | Method::Options) {
                let path = ["webhooks", name.as_str(), "calls", &at.to_string(), "safe"];
                let message = format!("{} changes nothing in any case", method.as_str());
                finder.report(&path, message, Some("leave `safe` out".to_owned()));
            }
        }
    }
}

fn check_resource(api: &ApiFile, name: &Name, finder: &mut Finder<'_>) {
    let Some(ResourceEntry::Full(own)) = api.resources.get(name) else { return };
    let at = |key| ["resources", name.as_str(), key];
    if own.safe && !matches!(own.method, Method::Post | Method::Patch) {
        let message = format!("{} may be sent again in any case", own.method.as_str());
        finder.report(&at("safe"), message, Some("leave `safe` out".to_owned()));
    }
    let load = own.load.or(api.defaults.load).unwrap_or_default();
    if own.checkpoint.is_some() && own.files.is_none() && load == Load::Replace {
        let message = "a sync that replaces commits once, at its end";
        let hint = "write another `load`, or leave `checkpoint` out".to_owned();
        finder.report(&at("checkpoint"), message, Some(hint));
    }
}

/// Whether an address may be https: that of the api, or one that its login names.
fn may_use_tls(api: &ApiFile) -> bool {
    let may_be = |address: &Template| {
        let source = address.source();
        address.references().next().is_some() || !source.to_ascii_lowercase().starts_with("http://")
    };
    let login = serde_json::to_string(&api.auth).unwrap_or_default();
    may_be(&api.base_url) || login.contains("https://") || login.contains("${env.")
}
