//! What `auth` of type hmac must mean: a signature that goes somewhere, over values that a request
//! has.

use super::{OUTSIDE, Under};
use crate::definition::Auth;
use crate::definition::meaning::{Finder, check_header_name};
use crate::{Scope, Template};

/// The values of a request beside `header.NAME` and `body.HASH.ENCODING`.
const VALUES: [&str; 14] = [
    "method",
    "method_lower",
    "host",
    "path",
    "query",
    "target",
    "body",
    "body_length",
    "time.seconds",
    "time.millis",
    "time.iso",
    "time.iso_millis",
    "time.http",
    "nonce",
];
const SIGNATURE: &str = "signature";

pub(super) fn check(auth: &Auth, under: &Under<'_>, finder: &mut Finder<'_>) {
    let Auth::Hmac { key, string, headers, query, .. } = auth else { return };
    finder.credential(&under.with(&["key"]), key);
    check_values(string, &under.with(&["string"]), finder);
    if signs(string) {
        let message = "the signature cannot be a part of what is signed";
        finder.report(&under.with(&["string"]), message, None);
    }
    if !string.references().any(|(scope, _)| scope == Scope::Request) {
        let message = "nothing of the request is signed";
        let hint = "write `${request.method}`, `${request.target}` and what else the api wants";
        finder.report(&under.with(&["string"]), message, Some(hint.to_owned()));
    }
    for (key, all) in [("headers", headers), ("query", query)] {
        for (name, template) in all {
            let place = [key, name.as_str()];
            check_values(template, &under.with(&place), finder);
            finder.named_credential(&under.with(&place), name, template);
        }
    }
    for name in headers.keys() {
        check_header_name(finder, &under.with(&["headers", name.as_str()]), name);
    }
    if !headers.values().chain(query.values()).any(signs) {
        let hint = "write `${request.signature}` into a header or a query parameter".to_owned();
        finder.report(under.0, "the signature goes nowhere", Some(hint));
    }
}

fn signs(template: &Template) -> bool {
    template.references().any(|one| one == (Scope::Request, SIGNATURE))
}

fn check_values(template: &Template, path: &[&str], finder: &mut Finder<'_>) {
    finder.only(path, template, &[&[Scope::Request], OUTSIDE].concat());
    for (scope, name) in template.references() {
        if scope == Scope::Request && name != SIGNATURE && !is_known(name) {
            let hint = format!(
                "there are {}, header.NAME and body.HASH.ENCODING (sha256.hex, md5.base64, …)",
                VALUES.join(", ")
            );
            finder.report(path, format!("a request has no `{name}`"), Some(hint));
        }
    }
}

fn is_known(name: &str) -> bool {
    let parts: Vec<&str> = name.splitn(3, '.').collect();
    match parts.as_slice() {
        ["header", ..] => name.len() > "header.".len(),
        ["body", hash, encoding] => {
            ["md5", "sha1", "sha256", "sha384", "sha512"].contains(hash)
                && ["hex", "base64"].contains(encoding)
        }
        _ => VALUES.contains(&name),
    }
}
