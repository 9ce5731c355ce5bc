//! What `proxy:` of an api must mean: an address without a credential in it, and a password that
//! comes from outside the file.

use super::Finder;
use crate::Scope;
use crate::definition::ApiFile;

/// Checks `proxy`.
pub(super) fn check(api: &ApiFile, finder: &mut Finder<'_>) {
    let Some(proxy) = &api.proxy else { return };
    finder.only(&["proxy", "url"], &proxy.url, &[Scope::Env]);
    if proxy.url.references().next().is_none() {
        let address = url::Url::parse(proxy.url.source()).ok();
        let is_known =
            |url: &url::Url| matches!(url.scheme(), "http" | "https" | "socks5") && url.has_host();
        match address.filter(is_known) {
            None => {
                let hint = "write `http://host:port`, `https://host:port` or `socks5://host:port`";
                finder.report(&["proxy", "url"], "not a proxy's address", Some(hint.to_owned()));
            }
            Some(url) if !url.username().is_empty() || url.password().is_some() => {
                let hint = "write `username` and `password` beside `url`";
                finder.report_hidden(&["proxy", "url"], "a credential stands in the address", hint);
            }
            Some(_) => {}
        }
    }
    if let Some(username) = &proxy.username {
        finder.only(&["proxy", "username"], username, &[Scope::Secret, Scope::Env]);
    }
    if let Some(password) = &proxy.password {
        finder.credential(&["proxy", "password"], password);
        if proxy.username.is_none() {
            finder.report(&["proxy", "password"], "`password` needs a `username`", None);
        }
    }
}
