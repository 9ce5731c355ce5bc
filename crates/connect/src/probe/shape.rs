//! Where the records lie in an answer, and what may be their key and cursor.
//!
//! In: one page as a value, or a URL. Out: paths and names. Pure.

use std::collections::HashSet;

use restway_model::definition::Auth;
use restway_model::{Name, RecordPath, Template, is_credential, is_telling};
use serde_json::{Map, Value};
use url::{Host, Url};

use crate::draft::{literal, secret};

/// How deep a list of records is looked for.
const DEPTH_MAX: usize = 3;
/// Names that lists of records often have, the likeliest first.
pub(crate) const LISTS: [&str; 9] =
    ["data", "items", "results", "records", "rows", "value", "entries", "hits", "content"];
/// Names that a key may have, after the resource's own.
const KEYS: [&str; 8] = ["uuid", "guid", "_id", "key", "code", "sku", "slug", "number"];
/// Names, in lower case without `_`, of fields that tell when a row changed; the best first.
const CURSORS: [&str; 12] = [
    "updatedat",
    "modifiedat",
    "lastmodified",
    "updated",
    "modified",
    "lastupdated",
    "updatedon",
    "modifiedon",
    "changedat",
    "datemodified",
    "lastmodifieddate",
    "sysupdatedon",
];

/// The path to the likeliest list of objects; `None` when the answer is the list, or one record.
pub(crate) fn records_path(body: &Value) -> Option<RecordPath> {
    let mut found = Vec::new();
    lists(body, &mut Vec::new(), &mut found);
    let best = found.into_iter().max_by_key(|(steps, count, has_objects)| {
        let name = steps.last().map(String::as_str).unwrap_or_default();
        let rank = LISTS.iter().position(|known| *known == name);
        let rank = rank.map_or(0, |position| LISTS.len() - position);
        (*has_objects, rank, *count, usize::MAX - steps.len())
    });
    best.and_then(|(steps, ..)| path_of(&steps).parse().ok())
}

/// Every list below an object: its steps, its length, whether it holds objects.
fn lists(value: &Value, steps: &mut Vec<String>, found: &mut Vec<(Vec<String>, usize, bool)>) {
    let Some(members) = value.as_object().filter(|_| steps.len() < DEPTH_MAX) else {
        return;
    };
    for (name, value) in members {
        steps.push(name.clone());
        match value {
            Value::Array(items) => {
                let has_objects = items.iter().any(Value::is_object);
                let is_known = LISTS.contains(&name.as_str());
                if has_objects || (items.is_empty() && is_known) {
                    found.push((steps.clone(), items.len(), has_objects));
                }
            }
            other => lists(other, steps, found),
        }
        steps.pop();
    }
}

/// Steps as a path: names that a path cannot hold as they are go into brackets.
pub(crate) fn path_of(steps: &[String]) -> String {
    let mut path = String::new();
    for step in steps {
        let is_plain = step.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
        if !is_plain || step.is_empty() {
            let quote = if step.contains('\'') { '"' } else { '\'' };
            path.push_str(&format!("[{quote}{step}{quote}]"));
        } else {
            path.push_str(if path.is_empty() { "" } else { "." });
            path.push_str(step);
        }
    }
    path
}

/// The rows at the path.
pub(crate) fn rows<'a>(body: &'a Value, path: Option<&RecordPath>) -> Vec<&'a Value> {
    let value = path.map_or(Some(body), |path| path.find(body));
    match value {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(object @ Value::Object(_)) => vec![object],
        _ => Vec::new(),
    }
}

/// The answer without its records.
pub(crate) fn envelope(body: &Value, path: Option<&RecordPath>) -> Value {
    let Some(path) = path else {
        return if body.is_object() { body.clone() } else { Value::Array(Vec::new()) };
    };
    fn without(value: &Value, steps: &[restway_model::Step]) -> Value {
        let (Some((restway_model::Step::Name(name), rest)), Some(members)) =
            (steps.split_first(), value.as_object())
        else {
            return Value::Array(Vec::new());
        };
        let kept = members.iter().map(|(member, value)| {
            let kept = if member == name { without(value, rest) } else { value.clone() };
            (member.clone(), kept)
        });
        Value::Object(kept.collect::<Map<String, Value>>())
    }
    without(body, path.steps())
}

/// The first likely field that every row has and no two rows share.
pub(crate) fn key(rows: &[&Value], resource: &Name) -> Option<String> {
    let one = singular(resource.as_str());
    let mut names = vec!["id".to_owned(), format!("{one}_id"), format!("{one}Id"), "Id".into()];
    names.extend(KEYS.iter().map(|&name| name.to_owned()));
    names.into_iter().find(|name| is_unique(rows, name))
}

fn is_unique(rows: &[&Value], name: &str) -> bool {
    let mut seen = HashSet::new();
    let is_key = |value: &Value| value.is_string() || value.is_i64() || value.is_u64();
    !rows.is_empty()
        && rows.iter().all(|row| {
            row.get(name).is_some_and(|value| is_key(value) && seen.insert(value.to_string()))
        })
}

/// The best field that looks like the time of a row's last change.
pub(crate) fn cursor(rows: &[&Value]) -> Option<String> {
    let first = rows.first()?.as_object()?;
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '-'], "");
    CURSORS.iter().find_map(|wanted| {
        let name = first.keys().find(|name| plain(name) == *wanted)?;
        let is_time = |value: &Value| match value {
            Value::String(text) => {
                text.len() >= 10 && text.as_bytes()[..4].iter().all(u8::is_ascii_digit)
            }
            Value::Number(_) => true,
            _ => false,
        };
        rows.iter().all(|row| row.get(name).is_some_and(is_time)).then(|| name.clone())
    })
}

/// The word for one of them.
pub(crate) fn singular(name: &str) -> String {
    if let Some(stem) = name.strip_suffix("ies") {
        return format!("{stem}y");
    }
    for (ending, kept) in [("sses", "ss"), ("xes", "x"), ("s", "")] {
        if let Some(stem) = name.strip_suffix(ending) {
            return format!("{stem}{kept}");
        }
    }
    name.to_owned()
}

/// A name for the api: the part of its host that people would say.
pub(crate) fn api_name(url: &Url) -> Name {
    const SECOND_LEVEL: [&str; 8] = ["co", "com", "org", "net", "gov", "ac", "edu", "or"];
    let host = match url.host() {
        Some(Host::Domain(host)) => host.trim_end_matches('.').to_owned(),
        _ => return Name::slug("local"),
    };
    let labels: Vec<&str> = host.split('.').collect();
    let said = match labels.as_slice() {
        [.., third, second, _] if SECOND_LEVEL.contains(second) => third,
        [.., second, _] => second,
        [one] => one,
        [] => "api",
    };
    Name::slug(said)
}

/// A name for the resource: the last segment of the path that is a word.
pub(crate) fn resource_name(url: &Url) -> Name {
    let segments = url.path_segments().map(|segments| segments.collect::<Vec<_>>());
    let is_word = |segment: &&&str| segment.chars().any(char::is_alphabetic);
    let segments = segments.unwrap_or_default();
    let last = segments.iter().rev().find(is_word).copied().unwrap_or("records");
    Name::slug(last.strip_suffix(".json").unwrap_or(last))
}

/// `base_url` and the path below it: the base ends with the api's version or the word `api`.
pub(crate) fn split(url: &Url) -> (String, String) {
    let origin = url.origin().ascii_serialization();
    let segments: Vec<&str> = url.path().split('/').skip(1).collect();
    let is_version = |segment: &str| {
        let digits = segment.strip_prefix('v').unwrap_or_default();
        segment == "api"
            || (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
    };
    let mut depth = segments.iter().rposition(|segment| is_version(segment)).map_or(0, |at| at + 1);
    if depth >= segments.len() {
        depth = 0;
    }
    let base: String = segments[..depth].iter().map(|segment| format!("/{segment}")).collect();
    let path = format!("/{}", segments[depth..].join("/"));
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    (format!("{origin}{base}"), format!("{path}{query}"))
}

/// The path below the base, without the parameters that the pagination sets itself.
pub(crate) fn path_without(url: &Url, parameters: &[String]) -> String {
    let mut url = url.clone();
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| !parameters.iter().any(|parameter| name == parameter))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    if kept.is_empty() {
        url.set_query(None);
    } else {
        url.query_pairs_mut().clear().extend_pairs(kept);
    }
    split(&url).1
}

/// The `auth` that a challenge asks for, with names of secrets in it.
pub(crate) fn auth_for(scheme: &str, api: &Name) -> Auth {
    let secret = |what| secret(api, what);
    match scheme.to_ascii_lowercase().as_str() {
        "basic" => Auth::Basic { username: secret("user"), password: secret("password") },
        "" | "bearer" => Auth::Bearer { token: secret("token"), scheme: "Bearer".into() },
        "apikey" | "api-key" | "key" => Auth::ApiKey {
            key: secret("key"),
            header: Some("X-API-Key".into()),
            query: None,
            cookie: None,
        },
        _ => Auth::Bearer { token: secret("token"), scheme: scheme.to_owned() },
    }
}

/// Takes the first parameter that holds a credential, as far as can be told, out of a URL: as the
/// `auth` that sends it again.
pub(crate) fn take_credential(mut url: Url) -> (Url, Option<Auth>) {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let surely = pairs.iter().find(|(name, value)| is_credential(name, value));
    let found = surely.or_else(|| pairs.iter().find(|(name, _)| is_telling(name)));
    let Some((name, value)) = found.cloned() else {
        return (url, None);
    };
    let rest: Vec<_> = pairs.into_iter().filter(|(other, _)| *other != name).collect();
    url.set_query(None);
    if !rest.is_empty() {
        url.query_pairs_mut().extend_pairs(rest);
    }
    let key = Template::literal(&value);
    (url, Some(Auth::ApiKey { key, header: None, query: Some(name), cookie: None }))
}

/// A path with its query as a template, in which secrets of the api stand for the values that may
/// be credentials; and the names of those secrets.
pub(crate) fn veiled(path: &str, api: &Name) -> (String, Vec<String>) {
    let Some((path, query)) = path.split_once('?') else { return (literal(path), Vec::new()) };
    let mut secrets = Vec::new();
    let pairs = query.split('&').map(|pair| {
        let decoded = url::form_urlencoded::parse(pair.as_bytes()).next();
        let name = decoded.map(|(name, _)| name.into_owned()).unwrap_or_default();
        match pair.split_once('=').filter(|(_, value)| !value.is_empty() && is_telling(&name)) {
            None => literal(pair),
            Some((written, _)) => {
                let secret = secret(api, &name).source().to_owned();
                let text = format!("{}={secret}", literal(written));
                secrets.push(secret);
                text
            }
        }
    });
    let query: Vec<String> = pairs.collect();
    (format!("{}?{}", literal(path), query.join("&")), secrets)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_the_list_that_is_meant() {
        let table = [
            (json!({"data": [{"a": 1}], "included": [{"b": 1}, {"b": 2}]}), Some("data")),
            (json!({"links": [{"rel": "x"}], "projects": [{"a": 1}, {"a": 2}]}), Some("projects")),
            (json!({"response": {"list": {"rows": [{"a": 1}]}}}), Some("response.list.rows")),
            (json!({"a b": [{"x": 1}]}), Some("['a b']")),
            (json!({"items": [], "tags": ["x"]}), Some("items")),
            (json!({"d": {"results.x": [{"a": 1}]}}), Some("d['results.x']")),
            (json!([{"a": 1}]), None),
            (json!({"id": 1, "tags": ["x", "y"]}), None),
        ];
        for (body, expected) in table {
            let path = records_path(&body).map(|path| path.to_string());
            assert_eq!(path.as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn keys_are_unique_and_never_null() {
        let name = |text: &str| text.parse::<Name>().expect("a name");
        let table = [
            (json!([{"id": 1}, {"id": 2}]), Some("id")),
            (json!([{"id": 1, "order_id": "a"}, {"id": 1, "order_id": "b"}]), Some("order_id")),
            (json!([{"id": null, "code": "x"}, {"id": 2, "code": "y"}]), Some("code")),
            (json!([{"id": 1.5}]), None),
            (json!([{"a": 1}]), None),
            (json!([]), None),
        ];
        for (rows, expected) in table {
            let rows: Vec<&Value> = rows.as_array().expect("a list").iter().collect();
            assert_eq!(key(&rows, &name("orders")).as_deref(), expected);
        }
        let rows = json!([{"created": "2024-01-01", "updatedAt": "2024-01-01T00:00:00Z"}]);
        let rows: Vec<&Value> = rows.as_array().expect("a list").iter().collect();
        assert_eq!(cursor(&rows).as_deref(), Some("updatedAt"));
    }

    #[test]
    fn urls_become_names() {
        let table = [
            (
                "https://api.acme.example/v2/projects?x=1",
                "acme",
                "projects",
                "https://api.acme.example/v2",
                "/projects?x=1",
            ),
            (
                "https://shop.co.uk/orders.json",
                "shop",
                "orders",
                "https://shop.co.uk",
                "/orders.json",
            ),
            (
                "http://127.0.0.1:8081/open/page",
                "local",
                "page",
                "http://127.0.0.1:8081",
                "/open/page",
            ),
            (
                "https://h.example/api/v1.1/users/7",
                "h",
                "users",
                "https://h.example/api/v1.1",
                "/users/7",
            ),
            ("https://x.example/", "x", "records", "https://x.example", "/"),
            ("https://x.example/api", "x", "api", "https://x.example", "/api"),
        ];
        for (text, api, resource, base, path) in table {
            let url = Url::parse(text).expect(text);
            assert_eq!(api_name(&url).as_str(), api, "{text}");
            assert_eq!(resource_name(&url).as_str(), resource, "{text}");
            assert_eq!(split(&url), (base.to_owned(), path.to_owned()), "{text}");
        }
    }
}
