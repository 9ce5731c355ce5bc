//! Redaction by value: whatever way a secret's text found into a message, it does not leave.
//!
//! The types ([`Secret`], [`crate::SafeUrl`]) keep secrets out of messages. This is the second
//! fence: every line that Restway prints, logs or stores passes here first, and every secret that
//! was looked up during the process is replaced, also where a server repeats it back to us.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use crate::Secret;
use crate::learned::{Learned, SHORTEST};
use crate::unescape::{View, WAYS};

/// Values shorter than this are not searched for: they would black out ordinary words. Whoever
/// takes a secret from a person says so.
pub const REDACTED_LENGTH_MIN: usize = SHORTEST;
/// Forms of credentials that are remembered: those of the definitions, the secrets, the
/// environment and the tokens. Requests add none, and each use of one counts.
const CREDENTIALS_MAX: usize = 16_384;
/// Forms of what is given with a request, or comes with an answer, and is not to be seen.
const GIVEN_MAX: usize = 4_096;
/// Forms of what is made for one request: signatures.
const SIGNATURES_MAX: usize = 256;
/// Escapes inside escapes inside escapes are as deep as servers repeat what they were sent.
const ESCAPED_MAX: usize = 3;
const MASK: &str = "***";

/// The secrets seen so far, shared by everything that prints.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Arc<RwLock<Known>>,
}

/// What was learned, apart by how long it matters: what comes with each request never takes the
/// place of what many requests are sent with.
struct Known {
    credentials: Learned,
    given: Learned,
    signatures: Learned,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            credentials: Learned::new(CREDENTIALS_MAX),
            given: Learned::new(GIVEN_MAX),
            signatures: Learned::new(SIGNATURES_MAX),
        }
    }
}

impl Redactor {
    /// Remembers a value that must never be shown, however servers and URLs escape it. A form
    /// writes `+` for a space, which no escape tells from a plus.
    pub fn learn(&self, secret: &Secret) {
        self.keep(secret, |known| &mut known.credentials);
    }

    /// The same for a value that came with one request or answer, and is needed no longer than
    /// that takes.
    pub fn learn_given(&self, secret: &Secret) {
        self.keep(secret, |known| &mut known.given);
    }

    /// The same for what was made for one request and is good for no other.
    pub fn learn_signature(&self, secret: &Secret) {
        self.keep(secret, |known| &mut known.signatures);
    }

    fn keep(&self, secret: &Secret, of: fn(&mut Known) -> &mut Learned) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let learned = of(&mut known);
        learned.add(secret);
        if secret.expose().contains(' ') {
            learned.add(&Secret::new(secret.expose().replace(' ', "+")));
        }
    }

    /// The value with every text in it redacted, names of members too.
    pub fn redact_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.redact(text).into_owned()),
            Value::Array(items) => items.iter().map(|item| self.redact_json(item)).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| (self.redact(name).into_owned(), self.redact_json(value)))
                .collect(),
            plain => plain.clone(),
        }
    }

    /// The text with every remembered value replaced by `***`, also where it is written with
    /// escapes of URLs, HTML or JSON, or of one inside the other.
    pub fn redact<'text>(&self, text: &'text str) -> Cow<'text, str> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        known.find(text.as_bytes(), &mut found);
        if text.contains(['%', '&', '\\']) && !known.is_empty() {
            known.find_below(&View::of(text), 0, &mut found);
        }
        masked(text, found)
    }
}

impl Known {
    fn all(&self) -> [&Learned; 3] {
        [&self.credentials, &self.given, &self.signatures]
    }

    fn is_empty(&self) -> bool {
        self.all().into_iter().all(Learned::is_empty)
    }

    fn find(&self, text: &[u8], found: &mut Vec<Range<usize>>) {
        for learned in self.all() {
            learned.find(text, found);
        }
    }

    /// Finds the values in what the text reads as without escapes.
    fn find_below(&self, view: &View, depth: usize, found: &mut Vec<Range<usize>>) {
        if depth >= ESCAPED_MAX {
            return;
        }
        for below in WAYS.into_iter().filter_map(|way| view.without(way)) {
            let mut inside = Vec::new();
            self.find(&below.bytes, &mut inside);
            found.extend(inside.into_iter().filter_map(|range| {
                Some(*below.starts.get(range.start)?..*below.starts.get(range.end)?)
            }));
            self.find_below(&below, depth + 1, found);
        }
    }
}

/// The text with a mask over each range; those that overlap have one.
fn masked(text: &str, mut found: Vec<Range<usize>>) -> Cow<'_, str> {
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    found.sort_unstable_by_key(|range| (range.start, Reverse(range.end)));
    let mut clean = String::with_capacity(text.len());
    let mut end = 0;
    for range in found {
        if range.start >= end {
            clean.push_str(text.get(end..range.start).unwrap_or_default());
            clean.push_str(MASK);
        }
        end = end.max(range.end);
    }
    clean.push_str(text.get(end..).unwrap_or_default());
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_a_secret_and_its_encoded_form_and_leaves_short_ones() {
        let redactor = Redactor::default();
        redactor.learn(&Secret::new("hunter2 &co"));
        redactor.learn(&Secret::new("abc"));
        assert_eq!(redactor.redact("pw=hunter2 &co q=hunter2+%26co abc"), "pw=*** q=*** abc");
        redactor.learn(&Secret::new("say \"hush\"\nnow"));
        assert_eq!(redactor.redact("{\"a\":\"say \\\"hush\\\"\\nnow\"}"), "{\"a\":\"***\"}");
        assert!(matches!(redactor.redact("nothing here"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_comes_with_requests_takes_the_place_of_no_credential() {
        let redactor = Redactor::default();
        redactor.learn(&Secret::new("the-proxy-password"));
        redactor.learn_given(&Secret::new("given-with-a-run"));
        for number in 0..20_000 {
            redactor.learn_signature(&Secret::new(format!("signature-{number}")));
        }
        let text = "the-proxy-password given-with-a-run signature-19999 signature-1";
        assert_eq!(redactor.redact(text), "*** *** *** signature-1");
        for number in 0..20_000 {
            redactor.learn_given(&Secret::new(format!("given-{number}")));
        }
        assert_eq!(redactor.redact(text), "*** given-with-a-run *** signature-1");
    }

    #[test]
    fn a_credential_in_use_outlasts_all_that_came_since() {
        let redactor = Redactor::default();
        for number in 0..40_000 {
            redactor.learn(&Secret::new(format!("token-{number}")));
            redactor.learn(&Secret::new("in-use-all-along"));
        }
        assert_eq!(redactor.redact("in-use-all-along token-39999 token-0"), "*** *** token-0");
    }

    #[test]
    fn values_that_lie_over_one_another_are_all_masked() {
        let redactor = Redactor::default();
        for value in ["abcdef", "cdefghij", "xabcdefy", "ééüüöö"] {
            redactor.learn(&Secret::new(value));
        }
        assert_eq!(redactor.redact("-abcdefghij-xabcdefy-abcdefabcdef-"), "-***-***-******-");
        assert_eq!(redactor.redact("é ééüüöö abcde"), "é *** abcde");
    }

    #[test]
    fn masks_what_urls_and_json_make_of_a_secret() {
        let redactor = Redactor::default();
        let secret = "aa\"b\\c d/e-é";
        redactor.learn(&Secret::new(secret));
        let mut url = url::Url::parse("https://h/x").expect("a URL");
        url.path_segments_mut().expect("a path").push(secret);
        let path = url.to_string();
        url.query_pairs_mut().append_pair("k", secret);
        let json = serde_json::json!({ "echo": [secret] });
        for text in [path, url.to_string(), json.to_string(), "aa%22b%5Cc%20d%2Fe-%C3%A9".into()] {
            let clean = redactor.redact(&text);
            assert!(clean.contains("***") && !clean.contains("e-"), "{clean}");
        }
        assert_eq!(redactor.redact_json(&json), serde_json::json!({ "echo": ["***"] }));
    }

    #[test]
    fn masks_a_secret_however_it_is_escaped() {
        let redactor = Redactor::default();
        redactor.learn(&Secret::new("aB3/x+y=&<z>é"));
        let forms = [
            "aB3/x%2By%3D%26%3Cz%3E%C3%A9",
            "aB3%2fx%2by%3d%26%3cz%3e%c3%a9",
            "aB3%252Fx%252By%253D%2526%253Cz%253E%25C3%25A9",
            "aB3/x+y=&amp;&lt;z&gt;é",
            "aB3&#x2F;x&#43;y=&amp;&lt;z&gt;&#233;",
            "aB3\\/x+y=\\u0026\\u003cz\\u003e\\u00e9",
            "aB3\\\\/x+y=\\\\u0026\\\\u003cz\\\\u003e\\\\u00e9",
            "aB3/x%2By%3D&amp;%3Cz%3E%C3%A9",
        ];
        for form in forms {
            assert_eq!(redactor.redact(&format!("<{form}>%zz&;\\")), "<***>%zz&;\\", "{form}");
        }
        redactor.learn(&Secret::new("100%41&amp;"));
        assert_eq!(redactor.redact("100%41&amp; 100%2541%26amp; é%"), "*** *** é%");
        assert!(matches!(redactor.redact("50% & \\u00e9 %41"), Cow::Borrowed(_)));
    }
}
