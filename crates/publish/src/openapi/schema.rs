//! The schemas of rows, and of what is told about them.
//!
//! In: columns. Out: JSON Schemas of an item as it is answered, and as it is written. What never
//! happens here: a column that the caller may not know; whoever calls has taken those away.

use serde_json::{Map, Value, json};

use super::reference;
use crate::source::{Column, Kind};

/// The text of bytes.
const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|\
    [A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

/// No field is required: which ones are there is for `$fields` to say.
pub(super) fn row(columns: &[Column]) -> Value {
    let mut properties = Map::new();
    for column in columns {
        properties.insert(column.name.clone(), or_null(value(column.kind)));
    }
    json!({ "type": "object", "properties": properties })
}

/// What may be written of an item: no other member is taken, and some must be there.
pub(super) fn written(columns: &[Column], must_be: impl Fn(&Column) -> bool) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for column in columns {
        properties.insert(column.name.clone(), taken(column));
        if must_be(column) {
            required.push(column.name.clone());
        }
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// A value that a column takes.
fn taken(column: &Column) -> Value {
    let mut schema = value(column.kind);
    match column.kind {
        Kind::Int64 => {
            schema["minimum"] = json!(i64::MIN);
            schema["maximum"] = json!(i64::MAX);
        }
        Kind::UInt64 => schema["maximum"] = json!(u64::MAX),
        Kind::Decimal { precision, scale } if scale <= precision => {
            let bound = 10_f64.powi(i32::from(precision - scale));
            schema["exclusiveMinimum"] = json!(-bound);
            schema["exclusiveMaximum"] = json!(bound);
            schema["multipleOf"] = json!(10_f64.powi(-i32::from(scale)));
        }
        Kind::Text | Kind::Other => {
            schema = json!({ "type": "string", "pattern": "^[^\\u0000]*$" });
            if let Some(length) = column.length_max {
                schema["maxLength"] = json!(length);
            }
        }
        // Base64 whose last letter has no bits that mean nothing: RFC 4648, 3.5.
        Kind::Bytes => schema["pattern"] = json!(BASE64),
        Kind::Null => return json!({ "type": ["string", "number", "null"] }),
        _ => {}
    }
    if !column.choices.is_empty() {
        schema = json!({ "type": "string", "enum": column.choices });
    }
    if column.is_nullable { or_null(schema) } else { schema }
}

fn or_null(mut schema: Value) -> Value {
    if let Some(Value::String(kind)) = schema.get("type").cloned() {
        schema["type"] = json!([kind, "null"]);
        if let Some(Value::Array(choices)) = schema.get_mut("enum") {
            choices.push(Value::Null);
        }
    }
    schema
}

pub(super) fn value(kind: Kind) -> Value {
    match kind {
        Kind::Null | Kind::Json => json!({}),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Int64 => json!({ "type": "integer", "format": "int64" }),
        Kind::UInt64 => json!({ "type": "integer", "format": "uint64", "minimum": 0 }),
        Kind::Decimal { .. } | Kind::Number => json!({ "type": "number" }),
        Kind::Float32 => json!({ "type": "number", "format": "float" }),
        Kind::Float64 => json!({ "type": "number", "format": "double" }),
        Kind::Date => json!({ "type": "string", "format": "date" }),
        Kind::Time | Kind::DateTime | Kind::Text | Kind::Other => json!({ "type": "string" }),
        Kind::Instant => json!({ "type": "string", "format": "date-time" }),
        Kind::Uuid => json!({ "type": "string", "format": "uuid" }),
        Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
        Kind::List => json!({ "type": "array" }),
    }
}

pub(super) fn validation() -> Value {
    json!({
        "type": "object",
        "properties": {
            "validationId": { "type": "string" },
            "message": { "type": "string" },
            "severity": { "enum": ["error", "warning", "information"] },
            "field": { "type": "string" },
            "pointer": { "type": "string" },
            "index": { "type": "integer", "minimum": 0 },
        },
        "required": ["validationId", "message", "severity"],
    })
}

pub(super) fn refusal() -> Value {
    json!({
        "type": "object",
        "description": "The envelope of a list or an item without rows, and RFC 9457 beside it.",
        "properties": {
            "count": { "type": "null" },
            "items": { "type": "array", "maxItems": 0 },
            "item": { "type": "null" },
            "message": { "type": "string" },
            "validations": { "type": "array", "items": reference("Validation") },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "type": { "type": "string", "format": "uri" },
            "title": { "type": "string" },
            "detail": { "type": "string" },
            "code": { "type": "string" },
        },
        "required": ["message", "validations", "status", "type", "title", "detail", "code"],
    })
}
