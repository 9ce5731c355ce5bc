//! The body of a resource's request.
//!
//! In: `json`, `urlencoded`, `text` or `file` of a resource, of which the check lets through one.
//! Out: one body, and what its texts refer to, for whoever must know before it is sent. Nothing is
//! read or filled in here.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{QueryValue, Resource};
use crate::{InvalidTemplate, Template};

/// The body of a resource's request.
#[derive(Debug, Clone, PartialEq)]
pub enum ResourceBody {
    /// JSON with templates in its texts.
    Json(Value),
    /// Form fields, `application/x-www-form-urlencoded`.
    Form(BTreeMap<String, QueryValue>),
    /// Any text.
    Text(Template),
    /// A file of the workspace, as it is.
    File(String),
}

impl ResourceBody {
    /// The keys of a resource that are a body, each with whether it is given.
    pub(super) const fn keys(resource: &Resource) -> [(&'static str, bool); 4] {
        [
            ("json", resource.json.is_some()),
            ("urlencoded", resource.urlencoded.is_some()),
            ("text", resource.text.is_some()),
            ("file", resource.file.is_some()),
        ]
    }

    /// The body that a resource has.
    pub(super) fn of(resource: &mut Resource) -> Option<Self> {
        let json = resource.json.take().map(Self::Json);
        let form = resource.urlencoded.take().map(Self::Form);
        let text = resource.text.take().map(Self::Text);
        json.or(form).or(text).or_else(|| resource.file.take().map(Self::File))
    }

    /// The texts in it that may refer to something.
    ///
    /// # Errors
    /// A text of the JSON that begins a `${…}` and does not end it.
    pub fn templates(&self) -> Result<Vec<Template>, InvalidTemplate> {
        match self {
            Self::Json(json) => texts(json).into_iter().map(str::parse).collect(),
            Self::Form(fields) => {
                let templates = fields.values().filter_map(|value| match value {
                    QueryValue::Text(template) => Some(template.clone()),
                    _ => None,
                });
                Ok(templates.collect())
            }
            Self::Text(template) => Ok(vec![template.clone()]),
            Self::File(_) => Ok(Vec::new()),
        }
    }
}

/// The texts in a JSON value; names of members are none.
pub(super) fn texts(json: &Value) -> Vec<&str> {
    let (mut texts, mut left) = (Vec::new(), vec![json]);
    while let Some(value) = left.pop() {
        match value {
            Value::String(text) => texts.push(text.as_str()),
            Value::Array(items) => left.extend(items),
            Value::Object(members) => left.extend(members.values()),
            _ => {}
        }
    }
    texts
}
