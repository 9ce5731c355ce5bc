//! Place: a value into a request, where the definition says it goes.
//!
//! In: a request and a value. Out: the request with the value in its query, in a header or in its
//! JSON body, in place of what was there. A body keeps the value's type; a query and a header take
//! it as text. What never happens here: a list grown, or anything but an object walked into that
//! is not there yet.

use restway_model::definition::Slot;
use restway_model::{RecordPath, SafeUrl, Step};
use serde_json::{Map, Value};

use crate::error::Failure;
use crate::plan::{plain_text, set_query};
use crate::request::{Body, Request};

/// The request with the value in its place.
pub(crate) fn put(mut request: Request, slot: Slot<'_>, value: &Value) -> Result<Request, Failure> {
    match slot {
        Slot::Query(name) => {
            let url = set_query(request.url.expose(), name, &plain_text(value));
            request.url = SafeUrl::new(url);
        }
        Slot::Header(name) => {
            request.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            request.headers.push((name.to_owned(), plain_text(value)));
        }
        Slot::Body(path) => {
            let mut json = match request.body.take() {
                Some(Body::Json(json)) => json,
                None => Value::Object(Map::new()),
                Some(_) => return Err(no_place(path, "lies in a body that is not JSON")),
            };
            *place(&mut json, path)? = value.clone();
            request.body = Some(Body::Json(json));
        }
    }
    Ok(request)
}

/// The place at the path; objects on the way are made where there is nothing or null.
fn place<'a>(json: &'a mut Value, path: &RecordPath) -> Result<&'a mut Value, Failure> {
    path.steps().iter().try_fold(json, |value, step| match step {
        Step::Name(name) => {
            if value.is_null() {
                *value = Value::Object(Map::new());
            }
            let members = value.as_object_mut();
            let members = members.ok_or_else(|| no_place(path, "leads into what is no object"))?;
            Ok(members.entry(name.clone()).or_insert(Value::Null))
        }
        Step::Index(index) => value
            .get_mut(*index)
            .ok_or_else(|| no_place(path, "leads to an item of a list that is not there")),
    })
}

fn no_place(path: &RecordPath, problem: &str) -> Failure {
    Failure::invalid(format!("`{path}` in the body"), problem)
}

#[cfg(test)]
mod tests {
    use restway_model::definition::Method;
    use serde_json::json;
    use url::Url;

    use super::*;

    fn body(json: Value, path: &str) -> Result<Value, String> {
        let url = SafeUrl::new(Url::parse("https://h/x").expect("a URL"));
        let mut request = Request::new(Method::Post, url);
        request.body = Some(Body::Json(json));
        let path = path.parse().expect(path);
        match put(request, Slot::Body(&path), &json!(7)).map(|request| request.body) {
            Ok(Some(Body::Json(json))) => Ok(json),
            Ok(_) => Err("no JSON".into()),
            Err(failure) => Err(failure.to_string()),
        }
    }

    #[test]
    fn values_keep_their_type_in_a_body_and_nothing_else_changes() {
        let query = json!({"query": "{ a }", "variables": {"n": 1, "after": null}});
        let expected = json!({"query": "{ a }", "variables": {"n": 1, "after": 7}});
        assert_eq!(body(query, "variables.after"), Ok(expected));
        assert_eq!(body(json!({"a": null}), "a.b.c"), Ok(json!({"a": {"b": {"c": 7}}})));
        assert_eq!(body(json!([{"a": 1}]), "$[0].a"), Ok(json!([{"a": 7}])));
        assert!(body(json!({"a": "x"}), "a.b").is_err());
        assert!(body(json!({"a": []}), "a[0]").is_err());
    }
}
