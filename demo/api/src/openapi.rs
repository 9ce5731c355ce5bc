//! `/openapi.json`: OpenAPI 3.1 of `/v1` and `/oauth/token`.
//!
//! In goes nothing, out comes one fixed document. It says what the handlers do and no more: every
//! status they answer with, every parameter they take, every field of a record with its type and
//! whether it can be null. `/open`, `/auth` and `/fault` are for tests and not part of it.

use axum::response::Response;
use serde_json::{Value, json};

use crate::answer;
use crate::pages::{SIZE_DEFAULT, SIZE_MAX};

pub(crate) async fn answer() -> Response {
    answer::ok(document().to_string())
}

fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Restway demo API",
            "version": "1.0.0",
            "description": "A project tracker and a web shop with made-up records.",
        },
        "servers": [{ "url": "/" }],
        "security": [{ "oauth2": ["read"] }],
        "paths": {
            "/oauth/token": { "post": token_operation() },
            "/v1/projects": { "get": list("projects", "Project", &[], false) },
            "/v1/projects/{id}": { "get": item("project", "Project", &["id"]) },
            "/v1/projects/{id}/issues": { "get": list("issues", "Issue", &["id"], true) },
            "/v1/projects/{id}/issues/{issue}": {
                "get": item("issue", "Issue", &["id", "issue"]),
            },
            "/v1/customers": {
                "get": list("customers", "Customer", &[], false),
                "post": create_operation(),
            },
            "/v1/customers/{id}": { "get": item("customer", "Customer", &["id"]) },
            "/v1/orders": { "get": list("orders", "Order", &[], true) },
            "/v1/orders/{id}": { "get": item("order", "Order", &["id"]) },
        },
        "components": {
            "securitySchemes": security_schemes(),
            "responses": { "Problem": answers("what went wrong", "Problem") },
            "schemas": schemas(),
        },
    })
}

fn security_schemes() -> Value {
    let scopes = json!({ "read": "read everything", "write": "create customers" });
    json!({
        "oauth2": {
            "type": "oauth2",
            "flows": { "clientCredentials": { "tokenUrl": "/oauth/token", "scopes": scopes } },
        },
        "client": { "type": "http", "scheme": "basic" },
    })
}

fn schemas() -> Value {
    json!({
        "Problem": problem(),
        "Token": token(),
        "Customer": customer(),
        "NewCustomer": new_customer(),
        "Address": address(),
        "Order": order(),
        "Project": project(),
        "Issue": issue(),
        "Person": object(json!({ "id": id(), "name": text(), "email": text() })),
    })
}

fn list(name: &str, schema: &str, path: &[&str], has_updates: bool) -> Value {
    let size = json!({
        "type": "integer", "minimum": 1, "maximum": SIZE_MAX, "default": SIZE_DEFAULT,
    });
    let mut parameters = path_parameters(path);
    parameters.push(query_parameter("pageSize", size));
    parameters.push(query_parameter("pageToken", text()));
    if has_updates {
        parameters.push(query_parameter("updated_since", instant()));
    }
    let page = json!({
        "type": "object",
        "required": ["data", "total"],
        "additionalProperties": false,
        "properties": {
            "data": { "type": "array", "items": reference(schema) },
            "nextPageToken": { "type": "string", "description": "absent on the last page" },
            "total": { "type": "integer", "minimum": 0 },
        },
    });
    let ok = json!({
        "description": "one page",
        "content": { "application/json": { "schema": page } },
    });
    let mut responses = json!({ "200": ok });
    refuse(&mut responses, &["400", "401", "403"]);
    if !path.is_empty() {
        refuse(&mut responses, &["404"]);
    }
    json!({
        "operationId": format!("list_{name}"),
        "parameters": parameters,
        "responses": responses,
    })
}

fn item(name: &str, schema: &str, path: &[&str]) -> Value {
    let mut responses = json!({ "200": answers("the record", schema) });
    refuse(&mut responses, &["400", "401", "403", "404"]);
    json!({
        "operationId": format!("get_{name}"),
        "parameters": path_parameters(path),
        "responses": responses,
    })
}

fn create_operation() -> Value {
    let key = json!({
        "name": "Idempotency-Key",
        "in": "header",
        "description": "the same key with the same body creates nothing again",
        "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
    });
    let mut created = answers("the customer as created", "Customer");
    created["headers"] = json!({
        "Location": { "schema": text() },
        "Idempotent-Replayed": { "schema": { "const": "true" } },
    });
    let mut responses = json!({ "201": created });
    refuse(&mut responses, &["400", "401", "403", "413", "415", "422"]);
    json!({
        "operationId": "create_customer",
        "security": [{ "oauth2": ["write"] }],
        "parameters": [key],
        "requestBody": {
            "required": true,
            "content": { "application/json": { "schema": reference("NewCustomer") } },
        },
        "responses": responses,
    })
}

fn token_operation() -> Value {
    let form = json!({
        "type": "object",
        "required": ["grant_type"],
        "properties": {
            "grant_type": { "const": "client_credentials" },
            "client_id": text(),
            "client_secret": text(),
            "scope": { "type": "string", "examples": ["read write"] },
        },
    });
    let mut responses = json!({ "200": answers("a token", "Token") });
    refuse(&mut responses, &["400", "401"]);
    json!({
        "operationId": "issue_token",
        "description": "client id and secret in the form, or as HTTP Basic",
        "security": [{ "client": [] }, {}],
        "requestBody": {
            "required": true,
            "content": { "application/x-www-form-urlencoded": { "schema": form } },
        },
        "responses": responses,
    })
}

fn path_parameters(names: &[&str]) -> Vec<Value> {
    let parameter =
        |name: &&str| json!({ "name": name, "in": "path", "required": true, "schema": id() });
    names.iter().map(parameter).collect()
}

fn query_parameter(name: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "schema": schema })
}

fn answers(description: &str, schema: &str) -> Value {
    json!({
        "description": description,
        "content": { "application/json": { "schema": reference(schema) } },
    })
}

fn refuse(responses: &mut Value, statuses: &[&str]) {
    for status in statuses {
        responses[*status] = json!({ "$ref": "#/components/responses/Problem" });
    }
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// A closed object all of whose fields are always there.
fn object(properties: Value) -> Value {
    let names: Vec<&String> =
        properties.as_object().into_iter().flat_map(|map| map.keys()).collect();
    let required = json!(names);
    json!({
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": properties,
    })
}

fn id() -> Value {
    json!({ "type": "integer", "minimum": 1 })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn optional_text() -> Value {
    json!({ "type": ["string", "null"] })
}

fn instant() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn always_null() -> Value {
    json!({ "type": "null" })
}

fn empty_object() -> Value {
    json!({ "type": "object", "maxProperties": 0 })
}

fn date() -> Value {
    json!({ "type": "string", "format": "date" })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn decimal() -> Value {
    json!({ "type": "number" })
}

fn texts() -> Value {
    json!({ "type": "array", "items": text() })
}

fn or_null(schema: Value) -> Value {
    json!({ "oneOf": [schema, { "type": "null" }] })
}

fn problem() -> Value {
    let field = object(json!({ "field": text(), "message": text() }));
    json!({
        "type": "object",
        "required": ["error", "message"],
        "additionalProperties": false,
        "properties": {
            "error": { "type": "string", "description": "a code that does not change" },
            "message": { "type": "string", "description": "a sentence that may" },
            "error_description": { "type": "string", "description": "of /oauth/token only" },
            "parameter": { "type": "string", "description": "the query parameter to blame" },
            "fields": { "type": "array", "items": field },
        },
    })
}

fn token() -> Value {
    object(json!({
        "access_token": text(),
        "token_type": { "const": "Bearer" },
        "expires_in": { "type": "integer", "minimum": 0 },
        "scope": text(),
    }))
}

fn address() -> Value {
    let geo = object(json!({ "lat": decimal(), "lng": decimal() }));
    object(json!({
        "street": optional_text(),
        "city": optional_text(),
        "zip": optional_text(),
        "country": optional_text(),
        "geo": or_null(geo),
    }))
}

fn customer() -> Value {
    object(json!({
        "id": id(),
        "name": text(),
        "email": optional_text(),
        "phone": optional_text(),
        "is_business": flag(),
        "serial": { "type": "integer", "minimum": 9_007_199_254_740_994_u64 },
        "credit_limit": { "type": ["number", "null"] },
        "loyalty_points": { "type": "integer", "minimum": 0 },
        "address": or_null(reference("Address")),
        "tags": texts(),
        "preferences": empty_object(),
        "birthday": { "type": ["string", "null"], "format": "date" },
        "archived_at": always_null(),
        "created_at": instant(),
        "updated_at": instant(),
    }))
}

fn new_customer() -> Value {
    let short = json!({ "type": ["string", "null"], "maxLength": 200 });
    let address = json!({
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": { "street": short, "city": short, "zip": short, "country": short },
    });
    let tag = json!({ "type": "string", "maxLength": 200 });
    json!({
        "type": "object",
        "required": ["name"],
        "additionalProperties": false,
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 200, "pattern": "\\S" },
            "email": { "type": ["string", "null"], "maxLength": 200, "pattern": "@" },
            "phone": short,
            "is_business": flag(),
            "tags": { "type": "array", "maxItems": 20, "items": tag },
            "address": address,
        },
    })
}

fn order() -> Value {
    let line = object(json!({
        "sku": text(),
        "title": text(),
        "quantity": { "type": "integer", "minimum": 1 },
        "unit_price": decimal(),
    }));
    let shipping = object(json!({
        "method": text(),
        "cost": decimal(),
        "address": reference("Address"),
    }));
    object(json!({
        "id": id(),
        "number": text(),
        "customer_id": id(),
        "status": {
            "enum": ["delivered", "shipped", "paid", "pending", "cancelled", "returned"],
        },
        "currency": { "enum": ["EUR", "USD", "JPY", "CHF", "BRL"] },
        "total": decimal(),
        "ledger_amount": decimal(),
        "tracking_number": { "type": "integer", "description": "beyond 64 bits" },
        "weight_kg": decimal(),
        "is_gift": flag(),
        "lines": { "type": "array", "minItems": 1, "items": line },
        "discounts": { "type": "array", "maxItems": 0 },
        "shipping": shipping,
        "note": optional_text(),
        "placed_on": date(),
        "placed_at": instant(),
        "cancelled_at": always_null(),
        "updated_at": instant(),
    }))
}

fn project() -> Value {
    object(json!({
        "id": id(),
        "key": text(),
        "name": text(),
        "description": optional_text(),
        "owner": reference("Person"),
        "budget": decimal(),
        "issue_count": { "type": "integer", "minimum": 0 },
        "is_public": flag(),
        "labels": texts(),
        "settings": empty_object(),
        "started_on": date(),
        "archived_at": always_null(),
        "created_at": instant(),
        "updated_at": instant(),
    }))
}

fn issue() -> Value {
    let comment = object(json!({ "author": text(), "body": text(), "at": instant() }));
    object(json!({
        "id": { "type": "integer", "minimum": 1, "description": "unique within its project" },
        "title": text(),
        "body": optional_text(),
        "state": { "enum": ["open", "closed"] },
        "priority": { "type": ["integer", "null"], "minimum": 1, "maximum": 5 },
        "estimate_hours": { "type": ["number", "null"] },
        "labels": texts(),
        "assignee": or_null(reference("Person")),
        "comments": { "type": "array", "items": comment },
        "due_on": { "type": ["string", "null"], "format": "date" },
        "archived_at": always_null(),
        "created_at": instant(),
        "updated_at": instant(),
        "closed_at": { "type": ["string", "null"], "format": "date-time" },
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::data::{Collection, Data};

    /// Every field of every record is in the schema, and the other way round.
    #[test]
    fn the_schemas_name_the_fields_there_are() {
        let data = Data { seed: 1, projects: 3, issues_per_project: 9, customers: 9, orders: 9 };
        let cases = [
            (Collection::Projects, "Project"),
            (Collection::Issues(1), "Issue"),
            (Collection::Customers, "Customer"),
            (Collection::Orders, "Order"),
        ];
        let document = document();
        for (collection, schema) in cases {
            let schema = &document["components"]["schemas"][schema]["properties"];
            for id in 1..=data.total(collection) {
                let record: Value =
                    serde_json::from_str(&data.record(collection, id)).expect("a record is JSON");
                assert_eq!(keys(&record), keys(schema), "{collection:?}");
            }
        }
    }

    fn keys(value: &Value) -> BTreeSet<&String> {
        value.as_object().expect("an object").keys().collect()
    }
}
