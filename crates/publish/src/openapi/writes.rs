//! The operations that change items.
//!
//! In: an object that can be written to, and what of it is open. Out: operations beside those that
//! read. What never happens here: an operation that this caller would be refused.

use restway_model::definition::AppEvent;
use serde_json::{Map, Value, json};

use super::{key_parameter, reference};
use crate::plan::Published;
use crate::query::Described;
use crate::statement::Dialect;

/// Adds what is open to the operations of a list and of an item, and the paths of own events.
pub(super) fn add(
    described: &Described<'_>,
    path: &str,
    paths: &mut Map<String, Value>,
    (list, item): (&mut Value, &mut Value),
) {
    let object: &Published = described.object;
    if !described.description.is_table || object.source.dialect() == Dialect::Lake {
        return;
    }
    let name = described.name;
    let is_open = |event: AppEvent| described.writes.contains(&event);
    if is_open(AppEvent::Insert) {
        list["post"] = operation(described, &format!("insert_{name}"), Some(many(name)), false);
    }
    if is_open(AppEvent::Update) {
        list["patch"] =
            operation(described, &format!("update_many_{name}"), Some(many(name)), false);
        for (method, word) in [("post", "update"), ("patch", "merge"), ("put", "replace")] {
            item[method] = operation(described, &format!("{word}_{name}"), Some(one(name)), true);
        }
    }
    if is_open(AppEvent::Delete) {
        list["delete"] = operation(described, &format!("delete_many_{name}"), None, false);
        item["delete"] = operation(described, &format!("delete_{name}"), None, true);
    }
    for event in &described.writes {
        let AppEvent::Own(event) = event else { continue };
        let of_event = operation(described, &format!("{event}_{name}"), Some(one(name)), true);
        paths.insert(format!("{path}/{{key}}/$events/{event}"), json!({ "post": of_event }));
    }
}

/// An item, bare or in its envelope.
fn one(name: &str) -> Value {
    let enveloped = json!({
        "type": "object",
        "properties": { "item": reference(name) },
        "required": ["item"],
    });
    json!({ "anyOf": [enveloped, reference(name)] })
}

/// An item, or items.
fn many(name: &str) -> Value {
    let items = json!({
        "type": "object",
        "properties": { "items": { "type": "array", "items": reference(name) } },
        "required": ["items"],
    });
    json!({ "anyOf": [items, one(name)] })
}

fn operation(described: &Described<'_>, id: &str, body: Option<Value>, of_item: bool) -> Value {
    let mut parameters = vec![json!({
        "name": "$validate",
        "in": "query",
        "description": "Whether it is only tried.",
        "schema": { "type": "boolean", "default": false },
    })];
    if of_item {
        parameters.push(key_parameter(described));
    }
    let refused = json!({
        "description": "Not written; `validations` tells what stands against it.",
        "content": { "application/json": { "schema": reference("Refusal") } },
    });
    let mut operation = json!({
        "operationId": id,
        "parameters": parameters,
        "responses": {
            "2XX": {
                "description": "Written, or tried.",
                "content": { "application/json": { "schema": {
                    "type": "object",
                    "properties": {
                        "item": { "anyOf": [reference(described.name), { "type": "null" }] },
                        "items": { "type": "array" },
                        "message": { "type": ["string", "null"] },
                        "validations": { "type": "array" },
                        "status": { "type": "integer", "minimum": 200, "maximum": 299 },
                    },
                    "required": ["message", "validations", "status"],
                } } },
            },
            "4XX": refused,
            "default": refused,
        },
    });
    if let Some(schema) = body {
        operation["requestBody"] =
            json!({ "content": { "application/json": { "schema": schema } } });
    }
    operation
}
