//! Redaction by value: whatever way a secret's text found into a message, it does not leave.
//!
//! The types ([`Secret`], [`crate::SafeUrl`]) keep secrets out of messages. This is the second
//! fence: every line that Restway prints, logs or stores passes here first, and every secret that
//! was looked up during the process is replaced, also where a server repeats it back to us.

use std::borrow::Cow;
use std::sync::{Arc, RwLock};

use crate::Secret;

/// Values shorter than this are not searched for: they would black out ordinary words.
const LENGTH_MIN: usize = 6;
/// How many values are remembered; the oldest of rotated tokens go first.
const VALUES_MAX: usize = 512;
/// JSON inside a text inside JSON is as deep as servers repeat what they were sent.
const ESCAPED_MAX: usize = 3;
const MASK: &str = "***";

/// The secrets seen so far, shared by everything that prints.
#[derive(Clone, Default)]
pub struct Redactor {
    values: Arc<RwLock<Vec<Secret>>>,
}

impl Redactor {
    /// Remembers a value that must never be shown, and its percent-encoded and JSON-escaped forms.
    pub fn learn(&self, secret: &Secret) {
        let encoded: String =
            url::form_urlencoded::byte_serialize(secret.expose().as_bytes()).collect();
        self.keep(Secret::new(encoded));
        // Inside a JSON text a quote or a line break stands escaped, and again in a text in that.
        let mut text = secret.clone();
        for _ in 0..ESCAPED_MAX {
            let escaped = serde_json::Value::from(text.expose()).to_string();
            let inside = escaped.get(1..escaped.len().saturating_sub(1)).unwrap_or_default();
            if inside == text.expose() {
                break;
            }
            text = Secret::new(inside);
            self.keep(text.clone());
        }
        self.keep(secret.clone());
    }

    fn keep(&self, secret: Secret) {
        if secret.expose().len() < LENGTH_MIN {
            return;
        }
        let mut values = self.values.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if values.contains(&secret) {
            return;
        }
        if values.len() >= VALUES_MAX {
            values.remove(0);
        }
        values.push(secret);
    }

    /// The text with every remembered value replaced by `***`.
    pub fn redact<'text>(&self, text: &'text str) -> Cow<'text, str> {
        let values = self.values.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut clean = Cow::Borrowed(text);
        for value in values.iter() {
            if clean.contains(value.expose()) {
                clean = Cow::Owned(clean.replace(value.expose(), MASK));
            }
        }
        clean
    }
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
}
