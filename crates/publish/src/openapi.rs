//! The description of an app in OpenAPI 3.1.
//!
//! In: the open objects with their columns. Out: a document that says what the stages do and
//! nothing else: the parameters that `plan` takes, the envelope that `respond` writes, the
//! statuses that `refusal` knows. What never happens here: a closed object, a promise that a row
//! keeps a type which its table does not have yet, or silence about columns that nobody tells.

mod parts;
mod schema;
mod writes;

use serde_json::{Map, Value, json};

use crate::form::{FORMATS, Form};
use crate::plan::{self, Bounds, LIMIT_DEFAULT, LIST_PARAMETERS};
use crate::query::Described;
use crate::source::{Column, Kind};
use schema::{refusal, row, validation, value};

/// The document of an app.
pub(crate) fn document(app: &str, objects: &[Described<'_>], bounds: Bounds) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for described in objects {
        let name = described.name;
        let path = format!("/rest/v1/{app}/{name}");
        let (mut of_list, mut of_item) = (list(described, bounds), item(described));
        writes::add(described, &path, &mut paths, (&mut of_list, &mut of_item));
        paths.insert(path.clone(), of_list);
        paths.insert(format!("{path}/{{key}}"), of_item);
        parts::add(described, bounds, &path, &mut paths);
        let own = paths.iter_mut().filter(|(other, _)| {
            let rest = other.strip_prefix(path.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        own.for_each(|(_, item)| parts::deprecate(described, item));
        schemas.insert(name.to_owned(), row(&described.description.columns));
        schemas.extend(writes::schemas(described));
    }
    // Objects are named in lower case, so this cannot be one of them.
    schemas.insert("Refusal".to_owned(), refusal());
    schemas.insert("Validation".to_owned(), validation());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": app,
            "version": "1",
            "description": "Each path answers `OPTIONS` with what can be done there.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
                "token": { "type": "http", "scheme": "bearer" },
            },
        },
    })
}

/// What brings related items along.
const EXPAND: &str = "$expand";
/// Members of an envelope that are there only for those who asked.
const SOMETIMES: [&str; 4] = ["next", "nextOffset", "prev", "countKind"];

/// The parameters that have a schema: which objects there are to expand is told by no list of
/// columns.
fn named() -> impl Iterator<Item = &'static str> {
    LIST_PARAMETERS.into_iter().filter(|name| *name != EXPAND)
}

fn list(described: &Described<'_>, bounds: Bounds) -> Value {
    let mut parameters: Vec<Value> = named()
        .filter(|name| described.exports || *name != "$format")
        .map(|name| collection_parameter(name, described, bounds))
        .collect();
    parameters.extend(arguments(described));
    parameters.extend(filters(described));
    let mut answers = responses(&envelope(described.name, bounds));
    for form in Form::STREAMS.into_iter().filter(|_| described.exports) {
        let essence = form.media_type().split(';').next().unwrap_or_default();
        answers["200"]["content"][essence] = json!({});
    }
    json!({
        "get": {
            "operationId": format!("list_{}", described.name),
            "summary": summary(described, "Items of"),
            "description": format!(
                "Beside `field=value`, `field[operator]=value` filters, with the operators `{}`; \
                 `{EXPAND}` names objects of this app whose items belong to an item by foreign \
                 keys, and stand in it under the object's name.{}",
                plan::OPERATORS.join("`, `"),
                if described.untold.is_some() { UNTOLD } else { "" },
            ),
            "security": security(described),
            "parameters": parameters,
            "responses": answers,
        }
    })
}

/// Each field as a filter; what JSON equals is seldom asked for, and can be.
fn filters<'a>(described: &'a Described<'_>) -> impl Iterator<Item = Value> + 'a {
    let can_filter = |column: &&Column| {
        !column.name.starts_with('$') && !matches!(column.kind, Kind::List | Kind::Json)
    };
    described.description.columns.iter().filter(can_filter).map(|column| {
        json!({
            "name": column.name,
            "in": "query",
            "description": "Only items whose field equals this.",
            "schema": value(column.kind),
        })
    })
}

/// A page.
fn envelope(name: &str, bounds: Bounds) -> Value {
    json!({
        "count": { "type": ["integer", "null"], "minimum": 0 },
        "items": { "type": "array", "maxItems": bounds.limit_max, "items": reference(name) },
        "next": { "type": ["string", "null"] },
        "nextOffset": { "type": "integer", "minimum": 1 },
        "prev": { "type": ["string", "null"] },
        "countKind": { "enum": ["exact", "estimated", "atLeast"] },
        "message": { "type": ["string", "null"] },
        "validations": { "type": "array", "items": reference("Validation") },
        "status": { "const": 200 },
    })
}

/// Said of an object whose columns are not known.
const UNTOLD: &str = " What columns it has is not known now: its table is not there, \
    or its database does not answer.";

/// What an operation answers; under the title that the query behind it has.
fn summary(described: &Described<'_>, what: &str) -> String {
    match &described.object.title {
        Some(title) => format!("{what} {}: {title}", described.name),
        None => format!("{what} {}", described.name),
    }
}

fn key_parameter(described: &Described<'_>) -> Value {
    let key = plan::key_names(described.object, &described.description).join(",");
    json!({
        "name": "key",
        "in": "path",
        "required": true,
        "description": format!("`{key}`; a comma inside a part is written `%2C`."),
        "schema": { "type": "string" },
    })
}

fn item(described: &Described<'_>) -> Value {
    let mut parameters = vec![key_parameter(described), fields_parameter(described)];
    parameters.extend(arguments(described));
    let envelope = json!({
        "item": reference(described.name),
        "message": { "type": "null" },
        "validations": { "type": "array", "maxItems": 0 },
        "status": { "const": 200 },
    });
    json!({
        "get": {
            "operationId": format!("get_{}", described.name),
            "summary": summary(described, "One item of"),
            "security": security(described),
            "parameters": parameters,
            "responses": responses(&envelope),
        }
    })
}

/// A key or a token; where everybody may, also none.
fn security(described: &Described<'_>) -> Value {
    let known = [json!({ "key": [] }), json!({ "token": [] })];
    let anonymous = described.object.grants.is_open().then(|| json!({}));
    anonymous.into_iter().chain(known).collect()
}

/// The parameters of a saved query.
fn arguments<'a>(described: &'a Described<'_>) -> impl Iterator<Item = Value> + 'a {
    described.object.params.iter().map(|(name, param)| {
        let text = param.description.as_deref().or(param.title.as_deref());
        json!({
            "name": name,
            "in": "query",
            "required": param.is_required(),
            "description": text.unwrap_or("A value that the query behind this object takes."),
            "schema": value(param.kind.into()),
        })
    })
}

fn collection_parameter(name: &str, described: &Described<'_>, bounds: Bounds) -> Value {
    let limit_max = bounds.limit_max;
    let (description, schema) = match name {
        "$offset" => (
            "Items to skip.".to_owned(),
            json!({ "type": "integer", "minimum": 0, "maximum": bounds.offset_max, "default": 0 }),
        ),
        "$limit" => (
            format!("Items to answer; above {limit_max} means {limit_max}."),
            json!({ "type": "integer", "minimum": 0, "default": LIMIT_DEFAULT.min(limit_max) }),
        ),
        "$sort" => (
            "Fields to sort by, separated by commas; `-` before one means descending.".to_owned(),
            json!({ "type": "string" }),
        ),
        "$q" => (
            "Only items with a field whose text contains this, in any case.".to_owned(),
            json!({ "type": "string" }),
        ),
        "$count" => (
            "Whether `count` tells how many items there are in all, and how it is found; beyond \
             `true`, `countKind` says how exact it is."
                .to_owned(),
            json!({
                "enum": ["true", "false", "exact", "estimated", "capped", "none"],
                "default": "false",
            }),
        ),
        "$format" => (
            "The form of the answer, which else is what `Accept` likes best. All forms but \
             `json` stream all rows."
                .to_owned(),
            json!({ "enum": FORMATS, "default": "json" }),
        ),
        "$filter" => (
            "Only items for which this holds, in a part of OData 4: `eq ne gt ge lt le in`, `and or \
             not`, `contains startswith endswith`, `other/any(x: x/field eq 1)`."
                .to_owned(),
            json!({ "type": "string" }),
        ),
        "$after" => (
            "The items behind a place: empty for the first page, then `next` of the page before."
                .to_owned(),
            json!({ "type": "string" }),
        ),
        "$before" => (
            "The items before a place: `prev` of the page behind.".to_owned(),
            json!({ "type": "string" }),
        ),
        _ => return fields_parameter(described),
    };
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

/// The fields as a list of names. `*` stands alone, and so for itself in no schema.
fn fields_parameter(described: &Described<'_>) -> Value {
    let names = described.description.columns.iter().map(|column| column.name.as_str());
    let names: Vec<&str> = names.filter(|name| !name.contains(',')).collect();
    json!({
        "name": "$fields",
        "in": "query",
        "description": "Fields to answer, separated by commas; `*` means all. In lists of a \
            table `$etag` is among them: the tag of each item's version.",
        "style": "form",
        "explode": false,
        "schema": {
            "type": "array",
            "items": { "enum": names },
            "minItems": 1,
            "uniqueItems": true,
        },
    })
}

fn responses(envelope: &Value) -> Value {
    let is_always = |name: &&String| !SOMETIMES.contains(&name.as_str());
    let names = envelope.as_object().into_iter().flat_map(Map::keys);
    let names: Vec<&String> = names.filter(is_always).collect();
    let answered = json!({ "type": "object", "properties": envelope, "required": names });
    let refused = |description: &str| {
        json!({
            "description": description,
            "content": { "application/json": { "schema": reference("Refusal") } },
        })
    };
    json!({
        "200": {
            "description": "Answered.",
            "content": { "application/json": { "schema": answered } },
        },
        "400": refused("A parameter has no meaning, or a value that it cannot have."),
        "404": refused("No such item."),
        "default": refused("Not answered."),
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}
