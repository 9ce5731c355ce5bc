//! What names and looks tell of a value: whether it opens something.
//!
//! In: the name of a parameter, a header or a member, and sometimes its value. Out: a guess, in two
//! strengths. What is shown or kept is masked where a name may mean a credential ([`is_telling`]):
//! a mask too much does little harm. What is refused, or replaced by a secret, must be one by all
//! that can be told ([`is_credential`]): `sort_key` and `country_code` are what they say. Nothing is
//! remembered here.

/// Parts of names whose values are credentials, compared without what stands between words.
const PARTS: [&str; 16] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "accesskey",
    "authkey",
    "appkey",
    "privatekey",
    "subscriptionkey",
    "signature",
    "authorization",
    "credential",
    "assertion",
    "sessionid",
];
/// Words of names that say it as well.
const WORDS: [&str; 5] = ["auth", "oauth", "jwt", "pwd", "sig"];
/// Words that say it alone, and may say something else beside others.
const WEAK_WORDS: [&str; 7] = ["key", "session", "code", "pass", "pin", "otp", "sid"];
/// Names that hold nothing secret all the same: page tokens are positions in a list, and a person
/// who looks for a loop needs to see them.
const HARMLESS: [&str; 16] = [
    "pagetoken",
    "nextpagetoken",
    "nexttoken",
    "idempotencykey",
    "idempotencytoken",
    "xidempotencykey",
    "sortkey",
    "partitionkey",
    "primarykey",
    "foreignkey",
    "publickey",
    "countrycode",
    "currencycode",
    "languagecode",
    "postalcode",
    "statuscode",
];
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
const TOKEN_LENGTH_MIN: usize = 20;

/// Whether a parameter or header of that name may hold a credential: what is shown of it is masked.
pub fn is_telling(name: &str) -> bool {
    let words = words(name);
    let is_word = words.iter().any(|word| WEAK_WORDS.contains(&word.as_str()));
    names_credential(name) || (is_word && !is_harmless(&words))
}

/// Whether a parameter or header of that name holds a credential, whatever its value is.
pub fn names_credential(name: &str) -> bool {
    let words = words(name);
    let bare = words.concat();
    let is_word = words.iter().any(|word| WORDS.contains(&word.as_str()));
    (is_word || PARTS.iter().any(|part| bare.contains(part))) && !is_harmless(&words)
}

/// Whether a value of that name is a credential, by all that can be told: the name says so, or it
/// may say so and the value looks like it.
pub fn is_credential(name: &str, value: &str) -> bool {
    names_credential(name) || (is_telling(name) && is_token_like(value))
}

/// Whether the text looks like a token: long, of one word, and of letters and digits that no
/// language has.
pub fn is_token_like(text: &str) -> bool {
    if text.len() > 8 && BEGINNINGS.iter().any(|start| text.starts_with(start)) {
        return true;
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+/=_-.~%".contains(c);
    if text.len() < TOKEN_LENGTH_MIN || !text.chars().all(is_part) || text.starts_with('/') {
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

fn is_harmless(words: &[String]) -> bool {
    HARMLESS.contains(&words.concat().as_str())
}

/// The words of a name in lower case: `X-Api-Key`, `apiKey` and `api_key` have the same last one.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (was_lower && letter.is_uppercase()) {
            words.push(String::new());
        }
        was_lower = letter.is_lowercase() || letter.is_numeric();
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_name_tell_and_parts_of_words_do_not() {
        for name in [
            "api_key",
            "X-API-Key",
            "apiKey",
            "key",
            "partner-key",
            "userPwd",
            "jwt",
            "my_jwt",
            "session",
            "PHPSESSION_ID",
            "session_key",
            "passphrase",
            "keyPassphrase",
            "code",
            "auth_code",
            "sig",
            "X-Amz-Signature",
            "oauth_nonce",
            "Authorization",
            "access_token",
        ] {
            assert!(is_telling(name), "{name}");
        }
        for name in [
            "monkey",
            "keyboard",
            "author",
            "authors",
            "decode",
            "codec",
            "sessions",
            "design",
            "page_token",
            "nextPageToken",
            "sort_key",
            "country_code",
            "Idempotency-Key",
            "passage",
            "authority",
            "q",
            "",
        ] {
            assert!(!is_telling(name), "{name}");
        }
    }

    #[test]
    fn what_is_refused_is_a_credential_by_all_that_can_be_told() {
        let token = "AIzaSyD9x3Kk2pQwE7rTyU1iOp";
        for (name, value) in [("api_key", "x"), ("key", token), ("code", token), ("pwd", "x")] {
            assert!(is_credential(name, value), "{name}={value}");
        }
        for (name, value) in [("key", "ACME-1"), ("code", "DE"), ("session", "2024"), ("q", token)]
        {
            assert!(!is_credential(name, value), "{name}={value}");
        }
    }

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
            assert!(is_token_like(token), "{token}");
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
            assert!(!is_token_like(word), "{word}");
        }
    }
}
