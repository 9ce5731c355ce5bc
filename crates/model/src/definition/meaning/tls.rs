//! What `tls:` of an api must mean: a certificate and its key go together, or come in one file that
//! a password opens, and a key is no text in the file.

use super::Finder;
use crate::definition::{ApiFile, Auth};
use crate::{Scope, Template};

/// Checks `tls`, and that `auth: { type: mtls }` has a certificate to show.
pub(super) fn check(api: &ApiFile, finder: &mut Finder<'_>) {
    let tls = &api.tls;
    for (key, template) in [("ca", &tls.ca), ("client_cert", &tls.client_cert)] {
        let path = ["tls", key];
        let Some(template) = template else { continue };
        finder.only(&path, template, &[Scope::Secret, Scope::Env]);
        if template.source().contains("-----BEGIN") {
            let hint = "write the name of a file, or `${secret.NAME}`".to_owned();
            finder.report(&path, "a certificate stands in the file", Some(hint));
        } else if is_mixed(template) {
            finder.report(&path, "a file's name, or one `${…}` and nothing else", None);
        }
    }
    if let Some(key) = &tls.client_key {
        finder.credential(&["tls", "client_key"], key);
    }
    if let Some(password) = &tls.client_key_password {
        finder.credential(&["tls", "client_key_password"], password);
        if tls.client_cert.is_none() && tls.client_key.is_none() {
            let message = "`client_key_password` needs a `client_cert`";
            finder.report(&["tls", "client_key_password"], message, None);
        }
    }
    match (&tls.client_cert, &tls.client_key) {
        (Some(_), None) if tls.client_key_password.is_none() => {
            let hint = "a PKCS#12 file, which brings its key, needs `client_key_password`".into();
            let message = "`client_cert` needs a `client_key`";
            finder.report(&["tls", "client_cert"], message, Some(hint));
        }
        (None, Some(_)) => {
            finder.report(&["tls", "client_key"], "`client_key` needs a `client_cert`", None);
        }
        _ => {}
    }
    if matches!(api.auth, Auth::Mtls) && tls.client_cert.is_none() {
        let hint = "write `client_cert` with `client_key` or `client_key_password` under `tls`";
        let hint = hint.to_owned();
        finder.report(&["auth"], "mtls shows a client certificate, and there is none", Some(hint));
    }
}

/// Whether text stands beside a reference.
fn is_mixed(template: &Template) -> bool {
    let source = template.source();
    let is_lone = source.starts_with("${") && source.find('}') == Some(source.len() - 1);
    template.references().next().is_some() && !is_lone
}
