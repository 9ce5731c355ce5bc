//! What must not be written down: credentials that requests of somebody's carry.
//!
//! In: names and values. Out: whether a value is a secret, as far as names and looks tell. Rather
//! too much is veiled than too little: the person sets a secret that was none, or writes the value
//! into the file.

use restway_model::is_telling;
pub(super) use restway_model::is_token_like as is_token;

/// Parts of names, beside those of `is_telling`, whose values open something.
const NAMES: [&str; 8] =
    ["session", "csrf", "xsrf", "cookie", "bearer", "private", "license", "nonce"];

/// Whether the value is a secret, by its name or by its looks.
pub(super) fn is_secret(name: &str, value: &str) -> bool {
    is_secret_name(name) || is_token(value)
}

/// Whether values of that name are secrets.
pub(super) fn is_secret_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_telling(name) || NAMES.iter().any(|part| lower.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_veiled_than_must_be() {
        assert!(is_secret("X-Session-Id", "7") && !is_secret("page", "7"));
    }
}
