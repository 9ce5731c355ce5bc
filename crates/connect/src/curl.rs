//! A request as a curl line that a person may read, paste and send.
//!
//! In: a request and the redactor. Out: one line of shell text. Headers whose names tell of
//! credentials are masked, and the whole line has passed the redactor; only the line of a plan,
//! which holds names of secrets and never looked one up, shows everything.

use restway_model::definition::Method;
use restway_model::{Redactor, is_telling};

use crate::request::Request;

/// The request as one redacted curl line.
pub fn curl_line(request: &Request, redactor: &Redactor) -> String {
    redactor.redact(&line(request, masked)).into_owned()
}

/// The same for a request of a plan, in which names stand for all values that are secret.
pub(crate) fn planned_line(request: &Request) -> String {
    line(request, |_, value| value)
}

fn line(request: &Request, shown: for<'a> fn(&str, &'a str) -> &'a str) -> String {
    let mut line = String::from("curl");
    match (request.method, request.body.is_some()) {
        (Method::Get, false) | (Method::Post, true) => {}
        (Method::Head, _) => line.push_str(" --head"),
        (method, _) => line.push_str(&format!(" -X {}", method.as_str())),
    }
    for (name, value) in &request.headers {
        line.push_str(&format!(" -H {}", quoted(&format!("{name}: {}", shown(name, value)))));
    }
    if let Some(body) = &request.body {
        if let Some(content_type) = body.content_type()
            && !request.has_header("content-type")
        {
            line.push_str(&format!(" -H {}", quoted(&format!("content-type: {content_type}"))));
        }
        let text = body.upload().shown();
        line.push_str(&format!(" --data-raw {}", quoted(&text)));
    }
    line.push_str(&format!(" {}", quoted(&request.url.to_string())));
    line
}

pub(crate) fn masked<'a>(name: &str, value: &'a str) -> &'a str {
    let is_cookie = name.to_ascii_lowercase().contains("cookie");
    if is_cookie || is_telling(name) { "***" } else { value }
}

/// A text as one word of a POSIX shell. Double quotes would let `${…}` be replaced by the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use restway_model::{SafeUrl, Secret};
    use serde_json::json;
    use url::Url;

    use super::*;
    use crate::request::Body;

    #[test]
    fn lines_can_be_pasted_and_hold_no_secret() {
        let redactor = Redactor::default();
        redactor.learn(&Secret::new("learned-value"));
        let url = |text: &str| SafeUrl::new(Url::parse(text).expect(text));
        let mut request = Request::new(Method::Get, url("https://h/x?a=1&api_key=k"));
        assert_eq!(curl_line(&request, &redactor), "curl 'https://h/x?a=1&api_key=***'");
        request = Request::new(Method::Patch, url("https://h/x?q=learned-value"));
        request.headers = vec![
            ("accept".into(), "text/plain".into()),
            ("X-Api-Key".into(), "raw".into()),
            ("Authorization".into(), "Bearer raw".into()),
        ];
        request.body = Some(Body::Json(json!({"it's": "x"})));
        assert_eq!(
            curl_line(&request, &redactor),
            "curl -X PATCH -H 'accept: text/plain' -H 'X-Api-Key: ***' \
             -H 'Authorization: ***' -H 'content-type: application/json' \
             --data-raw '{\"it'\\''s\":\"x\"}' 'https://h/x?q=***'"
        );
    }
}
