//! The operations that change items.
//!
//! In: an object that can be written to, and what of it is open. Out: operations beside those that
//! read. What never happens here: an operation that this caller would be refused.

use restway_model::Name;
use restway_model::definition::{AppEvent, Piece};
use serde_json::{Map, Value, json};

use super::{filters, key_parameter, reference, schema, security};
use crate::plan::Published;
use crate::query::Described;
use crate::source::Column;
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
    let schema = |word: &str| format!("{word}_{name}");
    let is_open = |event: AppEvent| described.writes.contains(&event);
    if is_open(AppEvent::Insert) {
        list["post"] = operation(
            described,
            &format!("insert_{name}"),
            Some(many(&schema("New"), &schema("New"))),
            false,
        );
    }
    if is_open(AppEvent::Update) {
        let body = many(&schema("Change"), &schema("Keyed"));
        list["patch"] = operation(described, &format!("update_many_{name}"), Some(body), false);
        for (method, word, what) in [
            ("post", "update", "Change"),
            ("patch", "merge", "Change"),
            ("put", "replace", "Whole"),
        ] {
            let body = one(&schema(what));
            item[method] = operation(described, &format!("{word}_{name}"), Some(body), true);
        }
    }
    if is_open(AppEvent::Delete) {
        list["delete"] = operation(described, &format!("delete_many_{name}"), None, false);
        item["delete"] = operation(described, &format!("delete_{name}"), None, true);
    }
    for event in &described.writes {
        let AppEvent::Own(event) = event else { continue };
        let body = one(&schema(&format!("Event_{event}")));
        let mut of_event = operation(described, &format!("{event}_{name}"), Some(body), true);
        of_event["requestBody"]["required"] = json!(!needed_by(described, event).is_empty());
        paths.insert(format!("{path}/{{key}}/$events/{event}"), json!({ "post": of_event }));
    }
}

/// The schemas of what may be written, by name: a new item, what changes in one, a whole item in
/// the place of another, and a change that names its item.
pub(super) fn schemas(described: &Described<'_>) -> Vec<(String, Value)> {
    let name = described.name;
    let needed = |column: &Column| !column.is_nullable && !column.has_default;
    let mut schemas = Vec::new();
    if described.writes.contains(&AppEvent::Insert) {
        let columns = described.writable(&AppEvent::Insert);
        schemas.push((format!("New_{name}"), schema::written(&columns, needed)));
    }
    if described.writes.contains(&AppEvent::Update) {
        let is_key = |column: &Column| described.key().contains(&column.name);
        let all = described.writable(&AppEvent::Update);
        let rest: Vec<Column> = all.iter().filter(|column| !is_key(column)).cloned().collect();
        schemas.push((format!("Keyed_{name}"), schema::written(&all, is_key)));
        schemas.push((format!("Change_{name}"), schema::written(&rest, |_| false)));
        schemas.push((format!("Whole_{name}"), schema::written(&rest, needed)));
    }
    for event in &described.writes {
        let AppEvent::Own(own) = event else { continue };
        let needed = needed_by(described, own);
        let columns = described.writable(event);
        let must_be = |column: &Column| needed.contains(&column.name.as_str());
        schemas.push((format!("Event_{own}_{name}"), schema::written(&columns, must_be)));
    }
    schemas
}

/// The members that an event needs: those that its statement names.
fn needed_by<'a>(described: &'a Described<'_>, event: &Name) -> Vec<&'a str> {
    let pieces = described.object.writing.event(event.as_str()).unwrap_or_default();
    let named = pieces.iter().filter_map(|piece| match piece {
        Piece::Item(name) => Some(name.as_str()),
        Piece::Text(_) | Piece::Row(_) | Piece::Caller(_) => None,
    });
    named.collect()
}

/// An item, bare or in its envelope.
fn one(name: &str) -> Value {
    json!({ "anyOf": [enveloped("item", &reference(name)), reference(name)] })
}

/// An item, or items.
fn many(one_of: &str, each_of: &str) -> Value {
    let items = json!({ "type": "array", "items": reference(each_of) });
    json!({ "anyOf": [enveloped("items", &items), one(one_of)] })
}

/// The envelope of an answer may be sent back as it came.
fn enveloped(member: &str, of: &Value) -> Value {
    let mut properties = json!({ "count": {}, "message": {}, "validations": {}, "status": {} });
    properties[member] = of.clone();
    json!({
        "type": "object",
        "properties": properties,
        "required": [member],
        "additionalProperties": false,
    })
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
    } else if !id.starts_with("insert_") {
        parameters.extend(filters(described));
    }
    let refused = json!({
        "description": "Not written; `validations` tells what stands against it.",
        "content": { "application/json": { "schema": reference("Refusal") } },
    });
    let mut operation = json!({
        "operationId": id,
        "security": security(described),
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
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    operation
}
