//! What one call sends: the part that webhooks and exports share.
//!
//! In: the file. Out: what the engine makes a request of. Which `${…}` have a meaning in it depends
//! on who sends it; `request_meaning` is told.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Method, QueryValue};
use crate::{InvalidTemplate, Name, Template};

/// What a call sends: method, path, headers, query and at most one body.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallRequest {
    /// The method.
    pub method: Method,
    /// The path below `base_url`, or a whole URL on the same origin.
    pub path: Template,
    /// Headers. `authorization` only with a token of an earlier call, at an api without `auth`.
    #[serde(default)]
    pub headers: BTreeMap<String, Template>,
    /// Query parameters; a lone null leaves one out, a lone list repeats it.
    #[serde(default)]
    pub query: BTreeMap<String, QueryValue>,
    /// A JSON body; texts in it may hold `${…}`, and a lone `${…}` keeps its type.
    pub json: Option<Value>,
    /// A body of form fields, `application/x-www-form-urlencoded`.
    pub urlencoded: Option<BTreeMap<String, QueryValue>>,
    /// A `multipart/form-data` body (RFC 7578), part by part in this order.
    pub multipart: Option<Vec<CallPart>>,
    /// A plain text body; values go in as they are.
    pub text: Option<Template>,
    /// An XML body; values go in with `&`, `<`, `>` and quotes escaped.
    pub xml: Option<Template>,
    /// An HTML body; values go in with `&`, `<`, `>` and quotes escaped.
    pub html: Option<Template>,
    /// The parameter of type attachment whose bytes are the body.
    pub file: Option<Name>,
    /// Says that a POST, PUT, PATCH or DELETE changes nothing at the api; in an export, that doing
    /// it twice changes no more than doing it once.
    #[serde(default)]
    pub safe: bool,
    /// Further statuses than 2xx that are an answer.
    #[serde(default)]
    pub expect: Vec<u16>,
}

impl CallRequest {
    /// Every text that may refer to something.
    ///
    /// # Errors
    /// A text of the JSON that begins a `${…}` and does not end it.
    pub fn templates(&self) -> Result<Vec<Template>, InvalidTemplate> {
        let parts = || self.multipart.iter().flatten();
        let fields = self.urlencoded.iter().flat_map(|own| own.values());
        let values = self.query.values().chain(fields);
        let values = values.chain(parts().filter_map(|part| part.value.as_ref()));
        let mut templates: Vec<Template> = values.filter_map(text).cloned().collect();
        templates.push(self.path.clone());
        templates.extend(self.headers.values().cloned());
        templates.extend(parts().filter_map(|part| part.filename.clone()));
        templates.extend([&self.text, &self.xml, &self.html].into_iter().flatten().cloned());
        for text in self.json.as_ref().map(super::body::texts).unwrap_or_default() {
            templates.push(text.parse()?);
        }
        Ok(templates)
    }
}

const fn text(value: &QueryValue) -> Option<&Template> {
    match value {
        QueryValue::Text(template) => Some(template),
        _ => None,
    }
}

/// A part of a form: a text, or an attachment.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallPart {
    /// The field's name.
    pub name: String,
    /// The text; a lone null leaves the part out, a lone list repeats it.
    pub value: Option<QueryValue>,
    /// The parameter of type attachment whose bytes are sent; one that is not given leaves the part
    /// out.
    pub file: Option<Name>,
    /// The file's name for the api; the attachment's own without it.
    pub filename: Option<Template>,
    /// The part's content type; by the ending of the file's name without it, none for a text.
    #[serde(rename = "content-type")]
    pub content_type: Option<String>,
}

/// A key by which the api knows a call that it has done already.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Idempotency {
    /// The header that carries the key, such as `Idempotency-Key`.
    pub header: String,
    /// The key. Without it a webhook sends the run's id and the call's, so that each run counts anew;
    /// an export what its name, the row's key and content make, so that a row counts once.
    pub key: Option<Template>,
}
