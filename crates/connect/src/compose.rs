//! Compose: from a call of a webhook, or a row of an export, and its values to a request.
//!
//! In: the definition of a call, the parameters and the answers so far. Out: a [`Request`] with
//! everything in it but the api's credentials. Values go into a path and a query percent-encoded,
//! into JSON as JSON, into XML and HTML escaped: none can become part of the structure around it.
//! Nothing is sent here.

use std::borrow::Cow;

use bytes::Bytes;
use restway_model::definition::{ApiFile, CallPart, CallRequest, Idempotency, WebhookCall};
use restway_model::{Name, SafeUrl, Template, Values};
use serde_json::Value;
use url::Url;

use crate::error::CallError;
use crate::multipart::{self, FormPart};
use crate::plan::{append_query, form_pairs, homes, json_text, query_texts, resource_url};
use crate::request::{Body, Expected, Request};
use crate::values::{Marks, NoValues, WithEnv};
use crate::{Connector, authorize, curl, plan_failure};

/// The most bytes of one answer: it is kept whole for the calls and outputs after it.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// A call and what it is made from.
pub struct CallParts<'a> {
    /// What it sends.
    pub call: &'a CallRequest,
    /// What keeps the api from doing it twice.
    pub idempotency: Option<&'a Idempotency>,
    /// When it is sent again.
    pub again: Again,
    /// What `${param.…}`, `${calls.…}` and `${row.…}` are.
    pub values: &'a dyn Values,
    /// The attachment that a parameter is, if it was given.
    pub attachment: &'a dyn Fn(&Name) -> Option<Attachment>,
    /// Whether a parameter was not given and has no default.
    pub absent: &'a dyn Fn(&str) -> bool,
    /// The idempotency key, when the definition has none of its own.
    pub key: String,
}

/// When a call that brought no good answer is sent again, as `retry` of its api says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Never: it may have been done, and doing it twice does more than once.
    Never,
    /// After a rate limit, which says that it was not done (RFC 6585, section 4).
    WhenLimited,
    /// Whenever that may help.
    Always,
}

impl Again {
    /// When a webhook's call is.
    pub const fn of(call: &WebhookCall) -> Self {
        if call.is_repeatable() { Self::Always } else { Self::Never }
    }
}

/// A file that goes out with a call.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Its name, without folders.
    pub name: String,
    /// Its content.
    pub bytes: Bytes,
}

impl Connector {
    /// The request of a call, for [`Connector::call`].
    ///
    /// # Errors
    /// A `${…}` without a value, or a definition that makes no request.
    pub fn compose(&self, api: &ApiFile, parts: &CallParts<'_>) -> Result<Request, CallError> {
        let homes = homes(api, &self.lookup(&NoValues, false))?;
        let in_url = self.lookup(parts.values, false);
        // A variable in a query, a header or a body may well be a credential.
        let elsewhere = self.lookup(parts.values, true);
        compose(&homes, parts, &in_url, &elsewhere)
    }

    /// The request of a call as a curl line. Nothing is sent and no secret is looked up:
    /// what has no value yet stands as it is written.
    ///
    /// # Errors
    /// When the definition makes no request.
    pub fn compose_line(&self, api: &ApiFile, parts: &CallParts<'_>) -> Result<String, CallError> {
        let marks = Marks::new(parts.values);
        let homes = homes(api, &WithEnv(&marks))?;
        let mut request = compose(&homes, parts, &marks, &marks)?.with_defaults();
        let auths = std::iter::once(&api.auth).chain(api.domains.iter().map(|one| &one.auth));
        let mut url = request.url.expose().clone();
        let login = homes.iter().zip(auths).find(|(home, _)| home.origin() == url.origin());
        let credential = match login {
            Some((_, auth)) => authorize::planned(auth, &marks).map_err(plan_failure)?,
            None => authorize::Credential::None,
        };
        credential.apply(&mut url, &mut request.headers);
        request.url = SafeUrl::new(url);
        Ok(marks.unmark(&self.redacted(&curl::planned_line(&request))))
    }
}

fn compose(
    homes: &[Url],
    parts: &CallParts<'_>,
    in_url: &dyn Values,
    elsewhere: &dyn Values,
) -> Result<Request, CallError> {
    let call = parts.call;
    let mut url = resource_url(homes, &call.path, in_url)?;
    for (name, value) in &call.query {
        append_query(&mut url, name, value, elsewhere)?;
    }
    let mut request = Request::new(call.method, SafeUrl::new(url));
    for (name, value) in &call.headers {
        request.headers.push((name.clone(), value.text(elsewhere)?));
    }
    if let Some(idempotency) = parts.idempotency {
        let key = match &idempotency.key {
            Some(key) => key.text(in_url)?,
            None => parts.key.clone(),
        };
        if key.is_empty() {
            return Err(CallError::invalid("the idempotency key", "is empty"));
        }
        request.headers.push((idempotency.header.clone(), key));
    }
    let (body, content_type) = body(parts, elsewhere)?;
    request.body = body;
    if let Some(content_type) = content_type.filter(|_| !request.has_header("content-type")) {
        request.headers.push(("content-type".into(), content_type));
    }
    request.repeatable = parts.again == Again::Always;
    request.waits_for_limits = parts.again != Again::Never;
    request.expected = Expected::SuccessOr(call.expect.clone());
    request.body_bytes_max = ANSWER_BYTES_MAX;
    Ok(request)
}

type BodyAndType = (Option<Body>, Option<String>);

fn body(parts: &CallParts<'_>, values: &dyn Values) -> Result<BodyAndType, CallError> {
    let call = parts.call;
    if let Some(json) = &call.json {
        let mut text = String::new();
        json_text(&present(json, parts.absent), values, &mut text)?;
        return Ok((Some(Body::JsonText(text)), None));
    }
    if let Some(fields) = &call.urlencoded {
        return Ok((Some(Body::Form(form_pairs(fields, values)?)), None));
    }
    if let Some(form) = &call.multipart {
        let mut all = Vec::new();
        for part in form {
            form_parts(part, parts, values, &mut all)?;
        }
        let (content_type, upload) = multipart::form(all);
        return Ok((Some(Body::Upload(upload)), Some(content_type)));
    }
    let escaped = |template: &Template| template.text_with(values, &|value| escaped(value));
    let (text, content_type) = if let Some(text) = &call.text {
        (text.text(values)?, multipart::PLAIN)
    } else if let Some(xml) = &call.xml {
        (escaped(xml)?, "application/xml")
    } else if let Some(html) = &call.html {
        (escaped(html)?, "text/html; charset=utf-8")
    } else {
        let file = call.file.as_ref().and_then(parts.attachment);
        let content_type = file.as_ref().map(|_| "application/octet-stream".to_owned());
        return Ok((file.map(|file| Body::Bytes(file.bytes)), content_type));
    };
    Ok((Some(Body::Text(text)), Some(content_type.to_owned())))
}

/// The body without the members that are parameters which were not given: a field that somebody
/// does not speak of must not be sent as null, which at many apis empties it.
fn present(json: &Value, absent: &dyn Fn(&str) -> bool) -> Value {
    let is_absent = |value: &Value| {
        let lone = value.as_str().and_then(|text| text.strip_prefix("${param.")?.strip_suffix('}'));
        lone.is_some_and(absent)
    };
    match json {
        Value::Array(items) => items.iter().map(|item| present(item, absent)).collect(),
        Value::Object(members) => {
            let there = members.iter().filter(|(_, value)| !is_absent(value));
            there.map(|(name, value)| (name.clone(), present(value, absent))).collect()
        }
        other => other.clone(),
    }
}

/// A part of a form, as often as its value says.
fn form_parts(
    part: &CallPart,
    parts: &CallParts<'_>,
    values: &dyn Values,
    all: &mut Vec<FormPart>,
) -> Result<(), CallError> {
    let (name, content_type) = (part.name.clone(), part.content_type.clone());
    if let Some(value) = &part.value {
        all.extend(query_texts(value, values)?.into_iter().map(|text| FormPart {
            name: name.clone(),
            filename: None,
            content_type: content_type.clone(),
            bytes: text.into(),
        }));
    }
    let Some(file) = part.file.as_ref().and_then(parts.attachment) else { return Ok(()) };
    let filename = match &part.filename {
        Some(filename) => filename.text(values)?,
        None => file.name,
    };
    all.push(FormPart { name, filename: Some(filename), content_type, bytes: file.bytes });
    Ok(())
}

/// The five characters of XML that end or begin something (XML 1.0, section 2.4).
fn escaped(value: &str) -> Cow<'_, str> {
    if !value.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len() + 8);
    for letter in value.chars() {
        match letter {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#39;"),
            other => text.push(other),
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use restway_model::Scope;
    use serde_json::json;

    use super::*;

    struct Given(Value);

    impl Values for Given {
        fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
            let found = self.0.get(scope.as_str()).and_then(|values| values.get(name));
            found.cloned().ok_or_else(|| "is not given".into())
        }
    }

    /// The URL, the body and the headers.
    type Composed = (String, String, Vec<(String, String)>);

    fn composed(call: Value) -> Result<Composed, String> {
        let mut call = call;
        call["id"] = json!("c");
        let call: WebhookCall = serde_json::from_value(call).expect("a call");
        let nasty = "O'Neil \"<&>\"\n{\"a\": 1}/?#é";
        let values = Given(json!({
            "param": {"nasty": nasty, "n": 9_007_199_254_740_993_i64, "list": ["a b", 2],
                "none": null, "empty": ""},
        }));
        let key = "run-c".to_owned();
        let attachment = |name: &Name| {
            let bytes = Bytes::from_static(b"%PDF\r\n--");
            (name.as_str() == "doc").then(|| Attachment { name: "a\"b.pdf".into(), bytes })
        };
        let parts = CallParts {
            call: &call.request,
            idempotency: call.idempotency.as_ref(),
            again: Again::of(&call),
            values: &values,
            attachment: &attachment,
            absent: &|name| name == "gone",
            key,
        };
        let base = Url::parse("https://h/v1").expect("a URL");
        let request = compose(std::slice::from_ref(&base), &parts, &values, &values)
            .map_err(|error| error.to_string())?;
        let body = request.body.as_ref().map(|body| body.upload().shown()).unwrap_or_default();
        Ok((request.url.to_string(), body, request.headers))
    }

    #[test]
    fn no_value_becomes_part_of_what_is_around_it() {
        let post = |key: &str, value: Value| json!({"method": "POST", "path": "/x", key: value});
        let json = json!({"name": "${param.nasty}", "n": "${param.n}", "t": "n=${param.n}"});
        let (_, body, _) = composed(post("json", json)).expect("a request");
        let read: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(read["name"], json!("O'Neil \"<&>\"\n{\"a\": 1}/?#é"));
        assert!(body.contains("\"n\":9007199254740993"), "{body}");
        assert_eq!(read["t"], json!("n=9007199254740993"));
        let json = json!({"a": "${param.gone}", "b": {"c": "${param.gone}", "d": "${param.none}"}});
        let (_, body, _) = composed(post("json", json)).expect("a request");
        assert_eq!(body, "{\"b\":{\"d\":null}}");
        let fields = json!({"a": "${param.nasty}", "l": "${param.list}", "z": "${param.none}"});
        let (_, body, _) = composed(post("urlencoded", fields)).expect("a request");
        let pairs: Vec<_> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        assert_eq!(pairs.len(), 3);
        assert_eq!(pairs[0].1, "O'Neil \"<&>\"\n{\"a\": 1}/?#é");
        let (_, body, headers) =
            composed(post("xml", json!("<a b=\"${param.nasty}\"/>"))).expect("a request");
        assert!(body.starts_with("<a b=\"O&#39;Neil &quot;&lt;&amp;&gt;&quot;\n"), "{body}");
        assert_eq!(headers, [("content-type".to_owned(), "application/xml".to_owned())]);
        let get = json!({"method": "GET", "path": "/a/${param.nasty}/b",
            "query": {"q": "${param.nasty}"}});
        let (url, _, _) = composed(get).expect("a request");
        assert_eq!(Url::parse(&url).expect("a URL").path_segments().map(Iterator::count), Some(4));
        assert_eq!(Url::parse(&url).expect("a URL").query_pairs().count(), 1);
    }

    #[test]
    fn a_form_has_a_part_for_each_value_and_attachment() {
        let (_, body, headers) = composed(json!({"method": "POST", "path": "/x", "multipart": [
            {"name": "a\"b", "value": "${param.nasty}"},
            {"name": "l", "value": "${param.list}", "content-type": "text/x"},
            {"name": "gone", "value": "${param.none}"},
            {"name": "doc", "file": "doc"},
            {"name": "doc", "file": "doc", "filename": "${param.n}.bin"},
            {"name": "other", "file": "not_given"},
        ]}))
        .expect("a request");
        let boundary = headers[0].1.strip_prefix("multipart/form-data; boundary=").expect("a form");
        let dash = format!("--{boundary}\r\nContent-Disposition: form-data; name=");
        let expected = format!(
            "{dash}\"a%22b\"\r\n\r\nO'Neil \"<&>\"\n{{\"a\": 1}}/?#é\r\n\
             {dash}\"l\"\r\nContent-Type: text/x\r\n\r\na b\r\n\
             {dash}\"l\"\r\nContent-Type: text/x\r\n\r\n2\r\n\
             {dash}\"doc\"; filename=\"a%22b.pdf\"\r\nContent-Type: application/pdf\r\n\r\n\
             %PDF\r\n--\r\n\
             {dash}\"doc\"; filename=\"9007199254740993.bin\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n%PDF\r\n--\r\n--{boundary}--\r\n"
        );
        assert_eq!(body, expected);
    }

    #[test]
    fn a_path_does_not_vanish_and_a_key_is_sent() {
        let empty = composed(json!({"method": "DELETE", "path": "/a/${param.empty}"}));
        assert!(empty.expect_err("no path").contains("has nothing for"));
        let call = json!({"method": "POST", "path": "/a", "idempotency": {"header": "I-Key"}});
        let (_, _, headers) = composed(call).expect("a request");
        assert_eq!(headers, [("I-Key".to_owned(), "run-c".to_owned())]);
    }
}
