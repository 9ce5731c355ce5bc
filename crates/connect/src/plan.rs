//! Plan: from a definition and its values to a request.
//!
//! In: an api's `base_url`, a resource, and values. Out: a [`Request`] with everything in it but
//! the credentials. Values go into a path percent-encoded, so that none can add a segment, a query
//! or another host; one that would make a segment vanish (empty, `.` or `..`) is an error, because
//! `DELETE /accounts/` is not what `DELETE /accounts/${param.id}` means. Nothing is sent here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use restway_model::definition::{ApiFile, Format, QueryValue, ResourceBody, ResourceSettings};
use restway_model::{SafeUrl, Scope, Template, Values};
use serde_json::{Map, Value};
use url::Url;

use crate::error::CallError;
use crate::place::put;
use crate::request::{Body, Expected, Request};
use crate::target::is_same_origin;
use crate::upload::{Segment, Upload};
use crate::{files, multipart};

pub(crate) const USER_AGENT: &str = concat!("restway/", env!("CARGO_PKG_VERSION"));

/// The api's base URL.
pub(crate) fn base_url(api: &ApiFile, values: &dyn Values) -> Result<Url, CallError> {
    let text = api.base_url.text(values)?;
    web_url(&text, "`base_url`")
}

/// Where one domain of an api is, its variables filled in, and a port in place of the text's.
pub(crate) type Address = (String, Option<u16>);

/// Where the api is: its base URL, and its further domains in their order.
pub(crate) fn addresses(api: &ApiFile, values: &dyn Values) -> Result<Vec<Address>, CallError> {
    let mut addresses = vec![(api.base_url.text(values)?, None)];
    for domain in &api.domains {
        addresses.push((domain.url.text(values)?, domain.port));
    }
    Ok(addresses)
}

/// The same as URLs.
pub(crate) fn homes(api: &ApiFile, values: &dyn Values) -> Result<Vec<Url>, CallError> {
    urls(&addresses(api, values)?)
}

pub(crate) fn urls(addresses: &[Address]) -> Result<Vec<Url>, CallError> {
    let home = |(index, (text, port)): (usize, &Address)| {
        let subject = if index == 0 { "`base_url`" } else { "`url` of `domains`" };
        let mut url = web_url(text, subject)?;
        if let Some(port) = port {
            let set = url.set_port(Some(*port));
            set.map_err(|()| CallError::invalid(subject, "cannot have a port"))?;
        }
        Ok(url)
    };
    addresses.iter().enumerate().map(home).collect()
}

/// A URL of a person's: http or https, with a host, without user info.
pub(crate) fn web_url(text: &str, subject: &str) -> Result<Url, CallError> {
    let invalid = |problem: String| CallError::invalid(subject, problem);
    let url = Url::parse(text).map_err(|error| invalid(format!("is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("must begin with https:// or http://".into()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("holds a user name or password: write them as `auth`".into()));
    }
    Ok(url)
}

/// Where the values of a request come from.
pub(crate) struct RequestValues<'a> {
    /// For the path, which is shown.
    pub(crate) in_path: &'a dyn Values,
    /// For the rest, where a variable of the environment may well be a credential.
    pub(crate) elsewhere: &'a dyn Values,
    /// The workspace, whose files a body may be.
    pub(crate) folder: Option<&'a Path>,
}

/// A resource's first request, before its paginator adds to it.
pub(crate) fn resource_request(
    homes: &[Url],
    resource: &ResourceSettings,
    values: &RequestValues<'_>,
) -> Result<Request, CallError> {
    let mut url = resource_url(homes, &resource.path, values.in_path)?;
    for (name, value) in &resource.query {
        append_query(&mut url, name, value, values.elsewhere)?;
    }
    let mut request = Request::new(resource.method, SafeUrl::new(url));
    for (name, value) in &resource.headers {
        request.headers.push((name.clone(), value.text(values.elsewhere)?));
    }
    if !request.has_header("accept")
        && resource.job.is_none()
        && let Some(accepted) = accepted(resource)
    {
        request.headers.push(("accept".to_owned(), accepted.to_owned()));
    }
    if let Some(body) = &resource.body {
        let (body, content_type) = resource_body(body, values)?;
        request.body = Some(body);
        if let Some(content_type) = content_type.filter(|_| !request.has_header("content-type")) {
            request.headers.push(("content-type".to_owned(), content_type.to_owned()));
        }
    }
    request.repeatable = resource.repeatable;
    request.keeps = resource.cache;
    if let Some(slot) = resource.incremental.as_ref().and_then(|own| own.send.slot()) {
        let start = values.in_path.value(Scope::Window, "start").map_err(|problem| {
            let (scope, name) = (Scope::Window.as_str(), "start".into());
            restway_model::TemplateError { scope, name, problem }
        })?;
        if !start.is_null() {
            request = put(request, slot, &start).map_err(crate::plan_failure)?;
        }
    }
    let skipped = resource.on_status.iter().filter_map(|(status, meaning)| {
        let is_skip = *meaning == restway_model::definition::OnStatus::Skip;
        status.parse().ok().filter(|_| is_skip)
    });
    request.expected = Expected::SuccessOr(skipped.collect());
    Ok(request)
}

/// A resource's body, and its content type where that does not follow from the body.
fn resource_body(
    body: &ResourceBody,
    values: &RequestValues<'_>,
) -> Result<(Body, Option<&'static str>), CallError> {
    Ok(match body {
        ResourceBody::Json(json) => (Body::Json(filled(json, values.elsewhere)?), None),
        ResourceBody::Form(fields) => (Body::Form(form_pairs(fields, values.elsewhere)?), None),
        ResourceBody::Text(text) => {
            (Body::Text(text.text(values.elsewhere)?), Some(multipart::PLAIN))
        }
        ResourceBody::File(name) => {
            let (path, length) = files::readable(values.folder, name)?;
            let upload = Upload::from(vec![Segment::File { path, length }]);
            (Body::Upload(upload), Some(multipart::type_of(name)))
        }
    })
}

/// Form fields with the templates in their values replaced.
pub(crate) fn form_pairs(
    fields: &BTreeMap<String, QueryValue>,
    values: &dyn Values,
) -> Result<Vec<(String, String)>, CallError> {
    let mut pairs = Vec::new();
    for (name, value) in fields {
        let texts = query_texts(value, values)?;
        pairs.extend(texts.into_iter().map(|text| (name.clone(), text)));
    }
    Ok(pairs)
}

/// The media types that a resource's format has; none for plain JSON, which every call accepts.
pub(crate) const fn accepted(resource: &ResourceSettings) -> Option<&'static str> {
    if resource.files.is_some() {
        return Some("*/*");
    }
    match (&resource.format, &resource.archive) {
        (_, Some(_)) => Some("*/*"),
        (Format::Json { .. }, None) => None,
        (Format::Ndjson { .. }, None) => Some("application/x-ndjson, */*;q=0.1"),
        (Format::Csv(_), None) => Some("text/csv, */*;q=0.1"),
        (Format::Xml { .. }, None) => Some("application/xml, text/xml, */*;q=0.1"),
    }
}

/// `path` below the base URL, which is the first home, or a whole URL on the origin of a home.
pub(crate) fn resource_url(
    homes: &[Url],
    path: &Template,
    values: &dyn Values,
) -> Result<Url, CallError> {
    let subject = || format!("the path `{path}`");
    for (scope, name) in path.references() {
        let value = values.value(scope, name).map_err(|problem| restway_model::TemplateError {
            scope: scope.as_str(),
            name: name.into(),
            problem,
        })?;
        if matches!(&value, Value::Null) || value.as_str() == Some("") {
            let problem = format!("has nothing for `${{{}.{name}}}`", scope.as_str());
            return Err(CallError::invalid(subject(), problem));
        }
    }
    let text = path.text_with(values, &|value| encoded(value))?;
    let text = text.split('#').next().unwrap_or_default();
    let (whole, query) = match text.split_once('?') {
        Some((whole, query)) => (whole, Some(query)),
        None => (text, None),
    };
    if whole.split('/').any(is_dots) {
        return Err(CallError::invalid(subject(), "has a segment `.` or `..`"));
    }
    let mut url = if whole.starts_with("https://") || whole.starts_with("http://") {
        let url = web_url(whole, &subject())?;
        if !homes.iter().any(|home| is_same_origin(home, &url)) {
            let problem = "lies on another origin than `base_url` and `domains`";
            return Err(CallError::invalid(subject(), problem));
        }
        url
    } else {
        let mut url = homes
            .first()
            .cloned()
            .ok_or_else(|| CallError::invalid(subject(), "is below no `base_url`"))?;
        let below = whole.trim_start_matches('/');
        if !below.is_empty() {
            url.set_path(&format!("{}/{below}", url.path().trim_end_matches('/')));
        }
        url
    };
    if query.is_some() {
        url.set_query(query);
    }
    url.set_fragment(None);
    Ok(url)
}

/// The URL standard takes `%2e` for a dot here too.
fn is_dots(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

/// Percent-encodes all but the unreserved characters (RFC 3986, section 2.3).
pub(crate) fn encoded(value: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if value.bytes().all(is_plain) {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len() + 8);
    for byte in value.bytes() {
        if is_plain(byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    Cow::Owned(text)
}

/// A parameter's values. A lone reference keeps its type: null leaves the parameter out, a list
/// repeats it.
pub(crate) fn query_texts(
    value: &QueryValue,
    values: &dyn Values,
) -> Result<Vec<String>, CallError> {
    let value = match value {
        QueryValue::Text(template) => template.value(values)?,
        QueryValue::Whole(number) => Value::from(*number),
        QueryValue::Number(number) => Value::from(*number),
        QueryValue::Bool(flag) => Value::from(*flag),
    };
    Ok(match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().map(plain_text).collect(),
        value => vec![plain_text(&value)],
    })
}

/// Appends a parameter to a URL's query.
pub(crate) fn append_query(
    url: &mut Url,
    name: &str,
    value: &QueryValue,
    values: &dyn Values,
) -> Result<(), CallError> {
    query_texts(value, values)?.iter().for_each(|text| append(url, name, text));
    Ok(())
}

/// Appends a pair. A space becomes `%20`, which every server reads, and not `+`, which most do.
pub(crate) fn append(url: &mut Url, name: &str, value: &str) {
    let pair = format!("{}={}", encoded(name), encoded(value));
    let query = match url.query() {
        Some(query) if !query.is_empty() => format!("{query}&{pair}"),
        _ => pair,
    };
    url.set_query(Some(&query));
}

/// A value as it stands in a query.
pub(crate) fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A JSON body with the templates in its texts replaced.
pub(crate) fn filled(json: &Value, values: &dyn Values) -> Result<Value, CallError> {
    match json {
        Value::String(text) => Ok(template_in(text)?.value(values)?),
        Value::Array(items) => {
            let items: Result<Vec<Value>, _> =
                items.iter().map(|item| filled(item, values)).collect();
            items.map(Value::Array)
        }
        Value::Object(members) => {
            let mut all = Map::new();
            for (name, value) in members {
                all.insert(name.clone(), filled(value, values)?);
            }
            Ok(Value::Object(all))
        }
        other => Ok(other.clone()),
    }
}

/// The same as text, in which a number has every digit of where it comes from.
pub(crate) fn json_text(
    json: &Value,
    values: &dyn Values,
    out: &mut String,
) -> Result<(), CallError> {
    match json {
        Value::String(text) => out.push_str(&template_in(text)?.json(values)?),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                json_text(item, values, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                json_text(value, values, out)?;
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
    Ok(())
}

fn template_in(text: &str) -> Result<Template, CallError> {
    text.parse().map_err(|error| {
        CallError::invalid(format!("the text `{text}` in `json`"), format!("has {error}"))
    })
}

/// Sets a query parameter: in place of those of that name. The others stay as they are written.
pub(crate) fn set_query(url: &Url, name: &str, value: &str) -> Url {
    let is_other = |pair: &&str| {
        let mut decoded = url::form_urlencoded::parse(pair.as_bytes());
        decoded.next().is_none_or(|(known, _)| known != name)
    };
    let others: Vec<&str> = url.query().unwrap_or_default().split('&').filter(is_other).collect();
    let others = others.join("&");
    let mut url = url.clone();
    url.set_query((!others.is_empty()).then_some(others.as_str()));
    append(&mut url, name, value);
    url
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Fixed;

    impl Values for Fixed {
        fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
            match (scope, name) {
                (Scope::Param, "text") => Ok("a b/c?d#e&ü".into()),
                (Scope::Param, "dots") => Ok("..".into()),
                (Scope::Param, "encoded_dots") => Ok("%2e%2e".into()),
                (Scope::Param, "empty") => Ok("".into()),
                (Scope::Param, "null") => Ok(Value::Null),
                (Scope::Param, "url") => Ok("https://evil.example/".into()),
                (Scope::Param, "list") => Ok(json!(["x", 2])),
                (Scope::Param, "n") => Ok(7.into()),
                _ => Err("it is not given".into()),
            }
        }
    }

    fn url(base: &str, path: &str) -> Result<String, String> {
        let base = Url::parse(base).expect(base);
        let path: Template = path.parse().expect(path);
        let domain = Url::parse("https://files.h:8443").expect("a URL");
        resource_url(&[base, domain], &path, &Fixed)
            .map(|url| url.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn paths_are_put_below_the_base_and_values_stay_in_their_segment() {
        let table = [
            ("https://h/v2", "/x", "https://h/v2/x"),
            ("https://h/v2/", "x", "https://h/v2/x"),
            ("https://h", "/x?a=1", "https://h/x?a=1"),
            ("https://h/v2", "/", "https://h/v2"),
            ("https://h/v2", "https://h/v3/x?y=1#z", "https://h/v3/x?y=1"),
            ("https://h/v2", "https://files.h:8443/x", "https://files.h:8443/x"),
            ("https://h", "/p/${param.text}/i", "https://h/p/a%20b%2Fc%3Fd%23e%26%C3%BC/i"),
            ("https://h", "/p/${param.n}", "https://h/p/7"),
            ("https://h", "${param.url}", "https://h/https%3A%2F%2Fevil.example%2F"),
            ("https://h", "/p/${param.encoded_dots}", "https://h/p/%252e%252e"),
        ];
        for (base, path, expected) in table {
            assert_eq!(url(base, path).as_deref(), Ok(expected), "{base} {path}");
        }
    }

    #[test]
    fn a_path_that_would_mean_something_else_is_an_error() {
        let table = [
            ("/p/${param.dots}/x", "segment"),
            ("/p/.${param.dots}", ""),
            ("/p/../x", "segment"),
            ("/p/%2e%2E/x", "segment"),
            ("/p/${param.empty}", "nothing for"),
            ("/p/${param.null}/x", "nothing for"),
            ("https://other/x", "another origin"),
            ("http://h/x", "another origin"),
            ("https://h:444/x", "another origin"),
            ("https://files.h/x", "another origin"),
            ("https://u:p@h/x", "user name"),
            ("/p/${param.missing}", "it is not given"),
        ];
        for (path, problem) in table.iter().filter(|(_, problem)| !problem.is_empty()) {
            let error = url("https://h/v2", path).expect_err(path);
            assert!(error.contains(problem), "{path}: {error}");
        }
    }

    #[test]
    fn queries_and_bodies_keep_types() {
        let mut url = Url::parse("https://h/x").expect("a URL");
        for (name, text) in
            [("a", "${param.list}"), ("b", "${param.null}"), ("c", "n=${param.n}&"), ("d", "")]
        {
            let value = QueryValue::Text(text.parse().expect("a template"));
            append_query(&mut url, name, &value, &Fixed).expect("values");
        }
        assert_eq!(url.query(), Some("a=x&a=2&c=n%3D7%26&d="));
        let json = json!({"n": "${param.n}", "t": ["x ${param.n}"], "${param.n}": null});
        let expected = json!({"n": 7, "t": ["x 7"], "${param.n}": null});
        let mut text = String::new();
        json_text(&json, &Fixed, &mut text).expect("values");
        assert_eq!(text, expected.to_string());
        assert_eq!(filled(&json, &Fixed).ok(), Some(expected));
    }

    #[test]
    fn a_parameter_is_set_once() {
        let url = Url::parse("https://h/x?page=1&q=a+b&page=9").expect("a URL");
        assert_eq!(set_query(&url, "page", "2").query(), Some("q=a+b&page=2"));
        assert_eq!(
            set_query(&url, "after", "ü &").query(),
            Some("page=1&q=a+b&page=9&after=%C3%BC%20%26")
        );
        let flag = Url::parse("https://h/x?active&f=a,b").expect("a URL");
        assert_eq!(set_query(&flag, "p", "1").query(), Some("active&f=a,b&p=1"));
    }
}
