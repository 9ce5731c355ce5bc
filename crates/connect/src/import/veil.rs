//! What must not be written down: credentials that requests of somebody's carry.
//!
//! In: names and values. Out: whether a value is a secret, as far as names and looks tell. Rather
//! too much is veiled than too little: the person sets a secret that was none, or writes the value
//! into the file.

use restway_model::is_telling;

/// Parts of names, beside those of `is_telling`, whose values open something.
const NAMES: [&str; 11] = [
    "session",
    "csrf",
    "xsrf",
    "cookie",
    "jwt",
    "bearer",
    "passphrase",
    "private",
    "license",
    "apikey",
    "api-key",
];
/// Names that say the same alone.
const WHOLE_NAMES: [&str; 9] =
    ["key", "sid", "pin", "otp", "pass", "pwd", "code", "x-key", "nonce"];
/// How well known tokens begin.
const BEGINNINGS: [&str; 15] = [
    "eyJ",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "sk_",
    "sk-",
    "pk_",
    "rk_",
    "xox",
    "AKIA",
    "ASIA",
    "Bearer ",
    "Basic ",
];
/// Shorter texts are words.
const LENGTH_MIN: usize = 20;

/// Whether the value is a secret, by its name or by its looks.
pub(super) fn is_secret(name: &str, value: &str) -> bool {
    is_secret_name(name) || is_token(value)
}

/// Whether values of that name are secrets.
pub(super) fn is_secret_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_telling(name)
        || WHOLE_NAMES.contains(&lower.as_str())
        || NAMES.iter().any(|part| lower.contains(part))
}

/// Whether the text looks like a token: long, of one word, and of letters and digits that no
/// language has.
pub(super) fn is_token(text: &str) -> bool {
    if text.len() > 8 && BEGINNINGS.iter().any(|start| text.starts_with(start)) {
        return true;
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+/=_-.~%".contains(c);
    if text.len() < LENGTH_MIN || !text.chars().all(is_part) || text.starts_with('/') {
        return false;
    }
    let count = |is: fn(&char) -> bool| text.chars().filter(is).count();
    let digits = count(char::is_ascii_digit);
    let (upper, lower) = (count(char::is_ascii_uppercase), count(char::is_ascii_lowercase));
    let is_hex = text.len() >= 32 && text.chars().all(|c| c.is_ascii_hexdigit());
    let is_mixed = digits >= 3 && upper >= 3 && lower >= 3;
    let is_long = digits >= 3 && upper + lower >= 8 && !text.contains(['-', '_', '.', '/']);
    is_hex || is_mixed || is_long
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_known_by_their_looks_and_words_are_not() {
        let tokens = [
            "eyJhbGciOiJIUzI1NiJ9.e30.x",
            "sk_test_4eC39HqLyjWDarjt",
            "d41d8cd98f00b204e9800998ecf8427e",
            "Zm9vYmFyMTIzNDU2Nzg5QUJD",
            "a1b2c3d4e5f6g7h8i9j0",
        ];
        for token in tokens {
            assert!(is_token(token), "{token}");
        }
        let words = [
            "",
            "12",
            "open",
            "2024-01-01T00:00:00Z",
            "updated_at_desc_and_then_by_name",
            "a-page-title-of-2024-with-words",
            "123e4567-e89b-12d3-a456-426614174000",
            "00000000000000000000000",
            "/v1/customers/with/a/long/path",
        ];
        for word in words {
            assert!(!is_token(word), "{word}");
        }
        assert!(is_secret("X-Session-Id", "7") && !is_secret("page", "7"));
    }
}
