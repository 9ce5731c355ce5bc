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
use crate::unescape::{View, WAYS};

/// Values shorter than this are not searched for: they would black out ordinary words. Whoever
/// takes a secret from a person says so.
pub const REDACTED_LENGTH_MIN: usize = 6;
/// How many forms of values are remembered; beyond it the one goes that was not used for longest.
const FORMS_MAX: usize = 4096;
/// Escapes inside escapes inside escapes are as deep as servers repeat what they were sent.
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
    /// Remembers a value that must never be shown, however servers and URLs escape it. A form
    /// writes `+` for a space, which no escape tells from a plus.
    pub fn learn(&self, secret: &Secret) {
        if secret.expose().contains(' ') {
            self.keep(Secret::new(secret.expose().replace(' ', "+")));
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

    /// The text with every remembered value replaced by `***`, also where it is written with
    /// escapes of URLs, HTML or JSON, or of one inside the other.
    pub fn redact<'text>(&self, text: &'text str) -> Cow<'text, str> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.forms.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut found = Vec::new();
        let plain = |(value, _): &(Secret, u64)| {
            let finds = text.match_indices(value.expose());
            finds.map(|(at, value)| at..at + value.len()).collect::<Vec<_>>()
        };
        found.extend(known.forms.iter().flat_map(plain));
        if text.contains(['%', '&', '\\']) {
            known.find_below(&View::of(text), 0, &mut found);
        }
        masked(text, found)
    }
}

impl Known {
    /// Finds the values in what the text reads as without escapes.
    fn find_below(&self, view: &View, depth: usize, found: &mut Vec<Range<usize>>) {
        if depth >= ESCAPED_MAX {
            return;
        }
        for below in WAYS.into_iter().filter_map(|way| view.without(way)) {
            for (value, _) in &self.forms {
                let value = value.expose().as_bytes();
                found.extend(memchr::memmem::find_iter(&below.bytes, value).filter_map(|at| {
                    Some(*below.starts.get(at)?..*below.starts.get(at + value.len())?)
                }));
            }
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
