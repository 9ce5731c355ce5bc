//! Redaction by value: whatever way a secret's text found into a message, it does not leave.
//!
//! The types ([`Secret`], [`crate::SafeUrl`]) keep secrets out of messages. This is the second
//! fence: every line that Restway prints, logs or stores passes here first, and every secret that
//! was looked up during the process is replaced, also where a server repeats it back to us.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use crate::Secret;

use serde_json::Value;

/// Values shorter than this are not searched for: they would black out ordinary words. Whoever
/// takes a secret from a person says so.
pub const REDACTED_LENGTH_MIN: usize = 6;
/// How many forms of values are remembered; beyond it the one goes that was not used for longest.
const FORMS_MAX: usize = 4096;
/// JSON inside a text inside JSON is as deep as servers repeat what they were sent.
const ESCAPED_MAX: usize = 3;
const MASK: &str = "***";

/// The secrets seen so far, shared by everything that prints.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Arc<RwLock<Known>>,
}

#[derive(Default)]
struct Known {
    /// Longest first, so that a form is found before another that is a part of it; each with the
    /// number of the call that used it last.
    forms: Vec<(Secret, u64)>,
    calls: u64,
}

impl Redactor {
    /// Remembers a value that must never be shown, in every form in which servers and URLs write
    /// it: as it is, percent-encoded (with `+` and with `%20` for a space, as a query and as a
    /// path), and escaped as JSON, also as JSON inside a text inside JSON.
    pub fn learn(&self, secret: &Secret) {
        let value = secret.expose();
        let form: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let mut forms = vec![form.replace('+', "%20"), form];
        if let Ok(mut url) = url::Url::parse("http://h/") {
            if let Ok(mut segments) = url.path_segments_mut() {
                segments.push(value);
            }
            forms.push(url.path().trim_start_matches('/').to_owned());
            url.set_query(Some(value));
            forms.extend(url.query().map(str::to_owned));
        }
        let mut text = value.to_owned();
        for _ in 0..ESCAPED_MAX {
            let escaped = Value::from(text.as_str()).to_string();
            text = escaped.get(1..escaped.len().saturating_sub(1)).unwrap_or_default().to_owned();
            forms.push(text.clone());
        }
        for form in forms {
            self.keep(Secret::new(form));
        }
        self.keep(secret.clone());
    }

    fn keep(&self, form: Secret) {
        let length = form.expose().len();
        if length < REDACTED_LENGTH_MIN {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.calls += 1;
        let call = known.calls;
        if let Some((_, used)) = known.forms.iter_mut().find(|(other, _)| *other == form) {
            *used = call;
            return;
        }
        if known.forms.len() >= FORMS_MAX {
            let oldest = known.forms.iter().enumerate().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(index, _)| index) {
                known.forms.remove(oldest);
            }
        }
        let at = known.forms.partition_point(|(other, _)| other.expose().len() >= length);
        known.forms.insert(at, (form, call));
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

    /// The text with every remembered value replaced by `***`.
    pub fn redact<'text>(&self, text: &'text str) -> Cow<'text, str> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut clean = Cow::Borrowed(text);
        for (value, _) in &known.forms {
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
}
