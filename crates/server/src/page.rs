//! The page at `/` for a person who looks what is here, and the description of the server's own
//! paths for a program.
//!
//! In: the open objects. Out: HTML and OpenAPI. What never happens here: a text in the HTML that
//! was not escaped, a script, a closed object.

use std::fmt::Write;

use restway_publish::OpenObject;
use serde_json::{Map, Value, json};

/// What the page may load and run: nothing but its own style.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
                                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const START: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Restway</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif }
  body { margin: 2rem auto; max-width: 46rem; padding: 0 1rem }
  code, a { font-family: ui-monospace, monospace; overflow-wrap: anywhere }
  :root { color-scheme: light dark }
</style>
<h1>Restway</h1>
";

/// The page.
pub(crate) fn page(objects: &[OpenObject]) -> String {
    let mut html = START.to_owned();
    if objects.is_empty() {
        html.push_str(
            "<p>Nothing is published to everybody. An app file (<code>apps/NAME.yaml</code>) with \
             <code>access: { anonymous: all }</code> would be listed here.</p>\n",
        );
    }
    let mut app = None;
    for object in objects {
        if app != Some(&object.app) {
            let name = escaped(&object.app);
            let document = link(&format!("/rest/v1/{}/openapi.json", object.app));
            html.push_str(&format!("<h2>{name}</h2>\n<p>{document}</p>\n"));
            app = Some(&object.app);
        }
        html.push_str(&section(object));
    }
    html.push_str(
        "<p><a href=\"/openapi.json\">/openapi.json</a> <a href=\"/live\">/live</a> \
         <a href=\"/ready\">/ready</a> <a href=\"/metrics\">/metrics</a></p>\n</html>\n",
    );
    html
}

fn section(object: &OpenObject) -> String {
    let list = format!("/rest/v1/{}/{}", object.app, object.object);
    // A key that the database tells is not known before it is asked.
    let key: Vec<String> = match object.key.as_slice() {
        [] => vec!["{key}".to_owned()],
        key => key.iter().map(|part| format!("{{{part}}}")).collect(),
    };
    let item = escaped(&format!("{list}/{}", key.join(",")));
    let last: Vec<String> = object.key.iter().map(|part| format!("-{}", encoded(part))).collect();
    let sort = if last.is_empty() { String::new() } else { format!("$sort={}&", last.join(",")) };
    let some = format!("{list}?{sort}$limit=5&$count=true");
    format!(
        "<h3>{}</h3>\n<p>from <code>{}</code></p>\n<ul>\n<li>{}\n<li>{}\n<li><code>{item}</code>\n\
         </ul>\n",
        escaped(&object.object),
        escaped(&object.from),
        link(&list),
        link(&some),
    )
}

fn link(target: &str) -> String {
    let target = escaped(target);
    format!("<a href=\"{target}\">{target}</a>")
}

/// A text that is only text, inside an element or a quoted attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// A text inside a query string.
fn encoded(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                safe.push(char::from(byte));
            }
            other => write!(safe, "%{other:02X}").expect("a String takes any text"),
        }
    }
    safe
}

/// The server's own paths; each app describes itself.
pub(crate) fn openapi(objects: &[OpenObject]) -> Value {
    let mut paths = Map::new();
    let mut add = |path: &str, summary: &str, media_type: &str, statuses: &[(&str, &str)]| {
        let responses: Map<String, Value> = statuses
            .iter()
            .map(|(status, description)| {
                let content = json!({ media_type: {} });
                let response = json!({ "description": description, "content": content });
                ((*status).to_owned(), response)
            })
            .collect();
        paths.insert(
            path.to_owned(),
            json!({ "get": { "summary": summary, "responses": responses } }),
        );
    };
    let text = "text/plain";
    add("/", "A page for people", "text/html", &[("200", "What is published.")]);
    add("/live", "Whether the process answers", text, &[("200", "It does.")]);
    add(
        "/ready",
        "Whether the tables can be read",
        text,
        &[("200", "They can."), ("503", "They cannot, or too many requests are under way.")],
    );
    add("/metrics", "Counters for Prometheus", text, &[("200", "The counters.")]);
    add("/openapi.json", "This", "application/json", &[("200", "This document.")]);
    let mut app = None;
    for object in objects.iter() {
        if app != Some(&object.app) {
            let path = format!("/rest/v1/{}/openapi.json", object.app);
            let summary = format!("The description of the app {}", object.app);
            add(&path, &summary, "application/json", &[("200", "An OpenAPI document.")]);
            app = Some(&object.app);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Restway", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_definition_names_stays_text() {
        let object = OpenObject {
            app: "sales".into(),
            object: "customers".into(),
            from: "shop.customers".to_owned(),
            key: vec!["<script>alert('1')</script>".into(), "a\"b&c".into()],
        };
        let html = page(&[object]);
        assert!(!html.contains("<script"), "{html}");
        assert!(
            html.contains("{&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;},{a&quot;b&amp;c}")
        );
        assert!(
            html.contains("$sort=-%3Cscript%3Ealert%28%271%27%29%3C%2Fscript%3E,-a%22b%26c&amp;")
        );
    }
}
