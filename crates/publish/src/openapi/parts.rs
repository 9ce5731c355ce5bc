//! The paths beside a list and its items: `$query`, `$count`, `$value`.
//!
//! In: an object that is open. Out: operations that read it in other ways. What never happens
//! here: an operation that this caller would be refused.

use serde_json::{Map, Value, json};

use super::{
    arguments, collection_parameter, envelope, filters, key_parameter, responses, security, summary,
};
use crate::plan::Bounds;
use crate::query::Described;

/// Says of all operations of an object that they should not be used any more.
pub(super) fn deprecate(described: &Described<'_>, item: &mut Value) {
    let operations = item.as_object_mut().into_iter().flat_map(|item| item.iter_mut());
    for (_, operation) in operations.filter(|_| described.object.deprecation.is_some()) {
        operation["deprecated"] = json!(true);
    }
}

/// Adds the paths.
pub(super) fn add(
    described: &Described<'_>,
    bounds: Bounds,
    path: &str,
    paths: &mut Map<String, Value>,
) {
    paths.insert(format!("{path}/$query"), json!({ "post": query(described, bounds) }));
    paths.insert(format!("{path}/$count"), json!({ "get": count(described, bounds) }));
    paths.insert(
        format!("{path}/{{key}}/{{column}}/$value"),
        json!({ "get": one_value(described) }),
    );
}

/// The list, its parameters in the body.
fn query(described: &Described<'_>, bounds: Bounds) -> Value {
    let named = super::named().map(|name| collection_parameter(name, described, bounds));
    let all = named.chain(arguments(described)).chain(filters(described));
    let properties: Map<String, Value> = all
        .filter_map(|parameter| {
            let name = parameter["name"].as_str()?.to_owned();
            Some((name, parameter["schema"].clone()))
        })
        .collect();
    json!({
        "operationId": format!("query_{}", described.name),
        "summary": summary(described, "By a body: items of"),
        "description": "The parameters of the list as members of an object; lists of values \
            (`\"id[in]\": [1, 2]`) and of names are JSON lists. It can be repeated safely.",
        "security": security(described),
        "requestBody": {
            "required": true,
            "content": { "application/json": {
                "schema": { "type": "object", "properties": properties },
            } },
        },
        "responses": responses(&envelope(described.name, bounds)),
    })
}

/// How many items there are.
fn count(described: &Described<'_>, bounds: Bounds) -> Value {
    let mut of_count = collection_parameter("$count", described, bounds);
    of_count["schema"] =
        json!({ "enum": ["true", "exact", "estimated", "capped"], "default": "true" });
    let named = ["$q", "$filter"].map(|name| collection_parameter(name, described, bounds));
    let parameters: Vec<Value> = std::iter::once(of_count)
        .chain(named)
        .chain(arguments(described))
        .chain(filters(described))
        .collect();
    json!({
        "operationId": format!("count_{}", described.name),
        "summary": summary(described, "How many items there are of"),
        "security": security(described),
        "parameters": parameters,
        "responses": responses(&envelope(described.name, bounds)),
    })
}

/// One value of an item, as it is.
fn one_value(described: &Described<'_>) -> Value {
    let names: Vec<&str> =
        described.description.columns.iter().map(|column| column.name.as_str()).collect();
    let mut parameters = vec![
        key_parameter(described),
        json!({
            "name": "column",
            "in": "path",
            "required": true,
            "schema": { "enum": names },
        }),
    ];
    parameters.extend(arguments(described));
    let mut answers = responses(&json!({}));
    answers["200"] = json!({ "description": "The value.", "content": { "*/*": {} } });
    answers["204"] = json!({ "description": "The value is null." });
    answers["206"] = json!({ "description": "A part of it.", "content": { "*/*": {} } });
    json!({
        "operationId": format!("value_{}", described.name),
        "summary": summary(described, "A value, without JSON around it, of an item of"),
        "security": security(described),
        "parameters": parameters,
        "responses": answers,
    })
}
