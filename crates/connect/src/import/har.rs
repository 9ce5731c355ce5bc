//! An HTTP archive, version 1.2, as browsers save it.
//!
//! In: the archive as a value. Out: the requests that were answered with JSON, each with its
//! answer. Pages, pictures, scripts and preflights are passed over.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::sent::{Answered, Body, Part, Sent};

/// The requests, in the order in which they were sent.
pub(super) fn requests(archive: &Value) -> Result<Vec<Sent>, String> {
    let entries = archive["log"]["entries"].as_array().ok_or("it has no `log.entries`")?;
    Ok(entries.iter().filter_map(request).collect())
}

fn request(entry: &Value) -> Option<Sent> {
    let (request, response) = (&entry["request"], &entry["response"]);
    let status = response["status"].as_u64().unwrap_or(0);
    let content = &response["content"];
    let kind = content["mimeType"].as_str().unwrap_or_default();
    let is_json = kind.contains("json") && (200..300).contains(&status);
    let method = request["method"].as_str().unwrap_or("GET").to_uppercase();
    if !is_json || method == "OPTIONS" {
        return None;
    }
    let mut sent = Sent { method, url: request["url"].as_str()?.to_owned(), ..Sent::default() };
    for (name, value) in pairs(&request["headers"]) {
        if name.eq_ignore_ascii_case("cookie") {
            sent.add_cookies(&value);
        } else if !name.starts_with(':') {
            sent.headers.push((name, value));
        }
    }
    for (name, value) in pairs(&request["cookies"]) {
        if sent.cookies.iter().all(|(known, _)| *known != name) {
            sent.cookies.push((name, value));
        }
    }
    let body = &request["postData"];
    let params = pairs(&body["params"]);
    let body_kind = body["mimeType"].as_str().unwrap_or_default();
    sent.body = match body["text"].as_str().filter(|text| !text.is_empty()) {
        _ if body_kind.starts_with("multipart/form-data") && !params.is_empty() => {
            let all = body["params"].as_array().into_iter().flatten();
            Body::Multipart(all.filter_map(part).collect())
        }
        Some(text) => Body::read(body_kind, text),
        None if !params.is_empty() => Body::Form(params),
        None => Body::None,
    };
    let text = content["text"].as_str().unwrap_or_default();
    let decoded = match content["encoding"].as_str() {
        Some("base64") => STANDARD.decode(text).unwrap_or_default(),
        _ => text.as_bytes().to_vec(),
    };
    let body = serde_json::from_slice(&decoded).unwrap_or(Value::Null);
    sent.answered = Some(Answered { headers: pairs(&response["headers"]), body });
    Some(sent)
}

/// A part of a form (HAR 1.2, "params").
fn part(param: &Value) -> Option<Part> {
    let value = param["value"].as_str().unwrap_or_default().to_owned();
    Some(Part {
        name: param["name"].as_str()?.to_owned(),
        value: (!param["fileName"].is_string()).then_some(value),
        content_type: None,
    })
}

fn pairs(list: &Value) -> Vec<(String, String)> {
    let pair = |one: &Value| {
        Some((one["name"].as_str()?.to_owned(), one["value"].as_str().unwrap_or("").to_owned()))
    };
    list.as_array().into_iter().flatten().filter_map(pair).collect()
}
