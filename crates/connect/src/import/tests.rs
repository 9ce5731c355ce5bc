//! Documents and requests of ours, imported: what comes out, and that hostile ones end well.

use restway_model::definition::{ApiFile, read};
use serde_json::{Value, json};

use super::*;

fn wishes() -> Wishes {
    Wishes::default()
}

/// Imports, and reads what came out as `restway check` does.
fn imported(format: Format, text: &str, wishes: &Wishes) -> Imported {
    let imported = import(format, text, wishes).unwrap_or_else(|error| panic!("{error}: {text}"));
    read::<ApiFile>("apis/x.yaml", &imported.yaml)
        .unwrap_or_else(|problems| panic!("{problems:?}\n{}", imported.yaml));
    imported
}

fn lines(imported: &Imported, expected: &[&str]) {
    let yaml = &imported.yaml;
    for line in expected {
        assert!(yaml.lines().any(|one| one.trim() == *line), "`{line}` is missing:\n{yaml}");
    }
}

const SHOP: &str = r##"
openapi: 3.1.0
info: { title: The Shop REST API, version: 1.10 }
servers: [{ url: "https://{region}.shop.example/v2/", variables: { region: { default: eu } } }]
security: [{ token: [] }]
components:
  securitySchemes: { token: { type: http, scheme: bearer } }
  schemas:
    Order:
      type: object
      required: [id]
      properties: { id: { type: integer }, lines: { type: array, items: { type: object } } }
    Line:
      allOf: [{ $ref: "#/components/schemas/Order" }, { properties: { sku: { type: string } } }]
paths:
  /orders:
    get:
      summary: List orders
      parameters:
        - { name: offset, in: query, schema: { type: integer } }
        - { name: limit, in: query, schema: { type: integer, maximum: 200 } }
      responses:
        "200":
          content:
            application/json:
              schema:
                properties:
                  total: { type: integer }
                  data: { type: array, items: { $ref: "#/components/schemas/Order" } }
    post:
      operationId: createOrder
      requestBody:
        content:
          application/json:
            schema:
              required: [sku, size]
              properties:
                sku: { type: string }
                size: { enum: [s, l], default: s, type: string }
  /orders/{order_id}/lines:
    get:
      parameters: [{ name: cursor, in: query }]
      responses:
        "200":
          content:
            application/json:
              schema:
                properties:
                  next_cursor: { type: [string, "null"] }
                  lines: { type: array, items: { $ref: "#/components/schemas/Line" } }
  /orders/{order_id}:
    get:
      responses:
        "200":
          content: { application/json: { schema: { $ref: "#/components/schemas/Order" } } }
  /search:
    get:
      parameters: [{ name: q, in: query, required: true }]
      responses:
        "200":
          content: { application/json: { schema: { type: array, items: { type: object } } } }
"##;

#[test]
fn a_document_becomes_an_api_file() {
    let wishes = Wishes { webhooks: true, ..wishes() };
    let imported = imported(Format::Openapi, SHOP, &wishes);
    assert_eq!(
        (imported.resources, imported.paged, imported.keyed, imported.webhooks),
        (2, 2, 2, 1)
    );
    let secrets: Vec<&str> = imported.secrets.iter().map(Name::as_str).collect();
    assert_eq!(secrets, ["shop_token"]);
    lines(
        &imported,
        &[
            "api: shop",
            "base_url: https://eu.shop.example/v2",
            "token: \"${secret.shop_token}\"",
            "orders:",
            "records: data",
            "paginate: { type: offset, param: offset, limit_param: limit, limit: 200, \
             total: total }",
            "order_lines:",
            "path: \"/orders/${parent.id}/lines\"",
            "for_each: orders",
            "carry: { order_id: id }",
            "paginate: { type: token, next: next_cursor, param: cursor }",
            "create_order:",
            "size: { type: string, one_of: [s, l], default: s }",
            "json: { sku: \"${param.sku}\", size: \"${param.size}\" }",
            "# Left out, 1 that need values. To import some, say",
            "#   `--set q=…`:",
            "#     /search",
            "# Left out, 1 that read one record, or nothing with rows:",
            "#     GET /orders/{order_id}",
        ],
    );
}

#[test]
fn a_value_that_is_set_is_put_in() {
    let set = [("q".to_owned(), "a b".to_owned()), ("order_id".to_owned(), "7/8".to_owned())];
    let wishes = Wishes { set: set.into(), ..wishes() };
    let imported = imported(Format::Openapi, SHOP, &wishes);
    lines(&imported, &["query: { q: \"a b\" }", "path: \"/orders/7%2F8/lines\""]);
}

#[test]
fn swagger_2_is_read_too() {
    let text = json!({
        "swagger": "2.0", "host": "h.example", "basePath": "/v1", "schemes": ["http", "https"],
        "info": {"title": "2.0"},
        "securityDefinitions": {"k": {"type": "apiKey", "in": "query", "name": "api_key"}},
        "paths": {"/pets": {
            "get": {"parameters": [{"name": "page", "in": "query", "type": "integer"}],
                "responses": {"200": {"schema": {"type": "array", "items":
                    {"type": "object", "required": ["id"],
                        "properties": {"id": {"type": "string"}}}}}}},
        }},
    });
    let imported = imported(Format::Openapi, &text.to_string(), &wishes());
    lines(
        &imported,
        &[
            "base_url: https://h.example/v1",
            "query: api_key",
            "path: /pets",
            "paginate: { type: page, param: page, start: 1 }",
            "key: id",
        ],
    );
}

fn list_of(schema: &Value) -> Value {
    json!({"get": {"responses": {"200": {"content": {"application/json": {"schema":
        {"type": "array", "items": schema}}}}}}})
}

#[test]
fn hostile_documents_end_and_what_comes_out_can_be_read() {
    let mut deep = json!({"type": "string"});
    for _ in 0..40 {
        deep = json!({"properties": {"a": deep}});
    }
    let reference = json!({"$ref": "#/components/schemas/Loop"});
    let mut paths = serde_json::Map::new();
    for path in [
        "/../etc",
        "/%2e%2E/x",
        "/true",
        "/null",
        "/a__b",
        "/é",
        "/a\nb: c",
        "/${secret.x}",
        "/x?y=1",
        "/{}",
        "/a{b",
        "no-slash",
        "/a/{b}/a",
        "/a/{b}/a/{b}",
        "/items",
        "/v1/items",
        "/api/items",
    ] {
        paths.insert(path.into(), list_of(&reference));
        paths[path]["post"] = json!({"summary": "a: \u{85}#{}\n", "parameters": [
            {"name": "X Y", "in": "header", "required": true}, {"name": "", "in": "query"},
            {"name": "token", "in": "query", "required": true, "schema": {"default": "CANARY"}}]});
    }
    paths.insert("/deep".into(), list_of(&deep));
    let document = json!({"openapi": "3.0.0", "paths": paths, "info": {"title": "# x: {}"},
        "servers": [{"url": "https://u:CANARY@h.example/a?key=CANARY"}],
        "components": {"schemas": {"Loop": {"allOf": [reference, {"properties": {
            "id": {"type": "integer"}, "self": reference,
            "all": {"type": "array", "items": reference}}}],
            "anyOf": [reference]}}}});
    let wishes = Wishes { webhooks: true, ..wishes() };
    let imported = imported(Format::Openapi, &document.to_string(), &wishes);
    assert!(!imported.yaml.contains("CANARY"), "{}", imported.yaml);
    assert!(!imported.yaml.contains("path: /.."), "{}", imported.yaml);
}

#[test]
fn ten_thousand_paths_are_read() {
    let item = json!({"type": "object"});
    let paths = (0..10_000).map(|at| (format!("/things/{at}/parts"), list_of(&item)));
    let paths: serde_json::Map<String, Value> = paths.collect();
    let document =
        json!({"openapi": "3.0.0", "paths": paths, "servers": [{"url": "https://h.example"}]});
    let imported = imported(Format::Openapi, &document.to_string(), &wishes());
    assert_eq!(imported.resources, 10_000);
}

#[test]
fn texts_that_are_something_else_are_refused() {
    let table = [
        (Format::Openapi, "{\"openapi\": ", "is not an OpenAPI document"),
        (Format::Openapi, "a: 1", "neither `openapi` nor"),
        (Format::Openapi, "openapi: 3.0.0\npaths: {}\n", "does not say where the api is"),
        (Format::Postman, "{}", "it has no `item`"),
        (Format::Har, "{}", "it has no `log.entries`"),
        (Format::Curl, "wget x", "it does not begin with `curl`"),
        (Format::Curl, "curl --nope x", "the option `--nope` is not known here"),
        (Format::Curl, "curl 'x", "is not closed"),
    ];
    for (format, text, expected) in table {
        let error = import(format, text, &wishes()).expect_err(text).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_curl_line_becomes_a_resource_or_a_webhook() {
    let line = "curl 'https://api.acme.example/v2/teams?active=1' -H 'X-Api-Key: CANARY-1' \\\n \
                -b 'sid=CANARY-2' --compressed -k";
    let first = imported(Format::Curl, line, &wishes());
    let expected = ["header: X-Api-Key", "path: /teams", "query: { active: \"1\" }"];
    lines(&first, &expected);
    assert!(!first.yaml.contains("CANARY"), "{}", first.yaml);
    let line = "curl -XPOST https://api.acme.example/v2/teams/12/members -u me:CANARY-3 \
                --json '{\"name\": \"x\", \"password\": \"CANARY-4\", \
                \"o\": {\"token\": \"CANARY-5\"}}'";
    let second = imported(Format::Curl, line, &wishes());
    lines(
        &second,
        &[
            "create_member:",
            "path: \"/teams/${param.id}/members\"",
            "name: { type: string, default: x }",
            "password: { type: string, secret: true }",
            "o: { type: record }",
        ],
    );
    assert!(!second.yaml.contains("CANARY"), "{}", second.yaml);
}

#[test]
fn an_archive_shows_its_pages_and_keeps_no_secret() {
    let entry = |url: &str, body: Value| {
        json!({
            "request": {"method": "GET", "url": url,
                "cookies": [{"name": "sid", "value": "CANARY-c"}],
                "headers": [{"name": "Authorization", "value": "Bearer CANARY-t"},
                    {"name": "Cookie", "value": "sid=CANARY-c"}]},
            "response": {"status": 200, "headers": [{"name": "Set-Cookie", "value": "CANARY-s"}],
                "content": {"mimeType": "application/json", "text": body.to_string()}},
        })
    };
    let rows = |from: u64| json!({"data": [{"id": from, "n": "CANARY-r"}, {"id": from + 1}]});
    let archive = json!({"log": {"entries": [
        entry("https://api.acme.example/v2/teams?page=1&q=a", rows(1)),
        entry("https://api.acme.example/v2/teams?page=2&q=a", rows(3)),
        entry("https://api.acme.example/v2/echo/CANARY-t", rows(3)),
        entry("https://ads.example/x?access_token=CANARY-a", rows(1)),
    ]}});
    let imported = imported(Format::Har, &archive.to_string(), &wishes());
    assert!(!imported.yaml.contains("CANARY"), "{}", imported.yaml);
    lines(
        &imported,
        &[
            "path: /teams",
            "query: { q: a }",
            "records: data",
            "paginate: { type: page, param: page, start: 1 }",
            "key: id",
        ],
    );
}

#[test]
fn a_line_that_asks_for_a_page_is_read_page_by_page() {
    let table = [
        ("page=3&per_page=50&q=a", "paginate: { type: page, param: page, start: 1 }", "q: a"),
        (
            "skip=40&limit=20&q=a",
            "paginate: { type: offset, param: skip, limit_param: limit, limit: 20 }",
            "q: a",
        ),
        (
            "cursor=abc&q=a",
            "# `cursor` is left out, a place between pages: write `paginate` \
            for those behind.",
            "q: a",
        ),
    ];
    for (query, paginate, rest) in table {
        let line = format!("curl 'https://api.acme.example/v2/teams?{query}'");
        let imported = imported(Format::Curl, &line, &wishes());
        lines(&imported, &[paginate]);
        assert!(
            imported.yaml.contains(rest) && !imported.yaml.contains("abc"),
            "{}",
            imported.yaml
        );
    }
}

#[test]
fn a_header_and_a_key_in_the_query_are_both_secrets() {
    let get = "curl 'https://api.acme.example/v2/teams?api_key=CANARY-1&q=a' \
               -H 'Authorization: Bearer CANARY-2'";
    let read = imported(Format::Curl, get, &wishes());
    assert!(!read.yaml.contains("CANARY"), "{}", read.yaml);
    let secrets: Vec<&str> = read.secrets.iter().map(Name::as_str).collect();
    assert_eq!(secrets, ["acme_token", "acme_api_key"], "{}", read.yaml);
    let change = imported(Format::Curl, &format!("{get} -d '{{\"n\": 1}}'"), &wishes());
    assert!(!change.yaml.contains("CANARY"), "{}", change.yaml);
    lines(&change, &["type: bearer"]);
}

#[test]
fn forms_with_files_become_multipart() {
    let line = "curl https://api.acme.example/v2/files -F 'note=a; b' -F 'doc=@a.pdf;type=x/y' \
                -F 'api_token=CANARY-1'";
    let curl = imported(Format::Curl, line, &wishes());
    let parts = [
        "doc: { type: attachment }",
        "api_token: { type: string, secret: true }",
        "multipart:",
        "- { name: note, value: \"${param.note}\" }",
        "- { name: doc, file: doc, content-type: x/y }",
    ];
    lines(&curl, &parts);
    let form = json!({"mode": "formdata", "formdata": [
        {"key": "note", "value": "CANARY-1", "disabled": true},
        {"key": "token", "value": "CANARY-2", "type": "text"}, {"key": "doc", "type": "file"}]});
    let url = "https://api.acme.example/v2/files";
    let item = json!({"name": "Send", "request": {"method": "POST", "url": url, "body": form}});
    let text = json!({"info": {}, "item": [item]}).to_string();
    let postman = imported(Format::Postman, &text, &wishes());
    lines(&postman, &["- { name: doc, file: doc }", "token: { type: string, secret: true }"]);
    for imported in [curl, postman] {
        assert!(!imported.yaml.contains("CANARY"), "{}", imported.yaml);
    }
}

#[test]
fn fields_that_need_not_be_given_are_typed_parameters_without_defaults() {
    let schema = json!({"required": ["name"], "allOf": [{"properties": {
        "name": {"type": "string"}, "size": {"type": "integer", "default": 3},
        "id": {"type": "integer", "readOnly": true}, "password": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "owner": {"allOf": [{"properties": {"id": {"type": "integer"}}}]}}}]});
    let choice = json!({"oneOf": [{"properties": {"a": {"type": "string"}}}, {"type": "string"}]});
    let body = |schema: &Value| json!({"content": {"application/json": {"schema": schema}}});
    let form = json!({"content": {"multipart/form-data": {"schema": {"required": ["note"],
        "properties": {"note": {"type": "string"}, "doc": {"format": "binary"}}}}}});
    let document = json!({"openapi": "3.1.0", "servers": [{"url": "https://h.example"}], "paths": {
        "/teams": {"patch": {"operationId": "change", "requestBody": body(&schema)}},
        "/choice": {"post": {"operationId": "choose", "requestBody": body(&choice)}},
        "/files": {"post": {"operationId": "send", "requestBody": form}}}});
    let wishes = Wishes { webhooks: true, ..wishes() };
    let imported = imported(Format::Openapi, &document.to_string(), &wishes);
    lines(
        &imported,
        &[
            "size: { type: long, required: false }",
            "owner: { type: record, required: false }",
            "password: { type: string, required: false, secret: true }",
            "tags: { type: list, of: { type: string }, required: false }",
            "name: { type: string }",
            "body: { type: record }",
            "doc: { type: attachment, required: false }",
            "- { name: doc, file: doc }",
        ],
    );
    assert!(!imported.yaml.contains("${param.id}"), "{}", imported.yaml);
}

#[test]
fn what_a_value_would_bring_in_is_told_by_the_value() {
    let item = json!({"type": "object", "required": ["id"],
        "properties": {"id": {"type": "integer"}, "name": {"type": "string"}}});
    let mut paths = serde_json::Map::new();
    for path in ["/orgs/{org}/hooks", "/orgs/{org}/hooks/{hook_id}/deliveries", "/lists/new"] {
        paths.insert(path.into(), list_of(&item));
    }
    let document =
        json!({"openapi": "3.0.0", "paths": paths, "servers": [{"url": "https://h.example"}]});
    let before = imported(Format::Openapi, &document.to_string(), &wishes());
    let below = "/orgs/{org}/hooks, /orgs/{org}/hooks/{hook_id}/deliveries";
    lines(&before, &["lists_new:", "#   `--set org=…`:", &format!("#     {below}")]);
    let set = [("org".to_owned(), "acme".to_owned())].into();
    let after = imported(Format::Openapi, &document.to_string(), &Wishes { set, ..wishes() });
    lines(
        &after,
        &["hooks:", "hook_deliveries:", "path: \"/orgs/acme/hooks/${parent.id}/deliveries\""],
    );
}

#[test]
fn a_collection_becomes_resources_and_webhooks() {
    let collection = json!({
        "info": {"name": "Acme API"},
        "variable": [{"key": "base", "value": "https://api.acme.example"}],
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "CANARY-token"}]},
        "item": [{"name": "Teams", "item": [
            {"name": "List teams", "request": {"method": "GET", "url": {"raw": "{{base}}/teams"}}},
            {"name": "Add team", "request": {"method": "POST", "url": "{{base}}/teams/:org",
                "body": {"mode": "raw", "raw": "{\"name\": \"{{name}}\"}"}}},
        ]}],
    });
    let imported = imported(Format::Postman, &collection.to_string(), &wishes());
    assert_eq!((imported.resources, imported.webhooks), (1, 1));
    lines(
        &imported,
        &[
            "api: acme",
            "type: bearer",
            "path: /teams",
            "add_team:",
            "path: \"/teams/${param.org}\"",
            "json: { name: \"${param.name}\" }",
        ],
    );
    assert!(!imported.yaml.contains("CANARY"), "{}", imported.yaml);
}

#[test]
fn a_login_at_a_browser_becomes_one_that_a_person_makes() {
    let modern = json!({"type": "oauth2", "flows": {"authorizationCode": {
        "authorizationUrl": "/oauth/start", "tokenUrl": "https://id.acme.example/token",
        "scopes": {"read": "", "write": ""}}}});
    let old = json!({"type": "oauth2", "flow": "accessCode", "scopes": {"read": "", "write": ""},
        "authorizationUrl": "https://api.acme.example/oauth/start",
        "tokenUrl": "https://id.acme.example/token"});
    let paths = json!({"/orders": {"get": {"responses": {"200": {"description": "x"}}}}});
    let documents = [
        json!({"openapi": "3.0.3", "info": {"title": "Acme", "version": "1"}, "paths": paths,
            "servers": [{"url": "https://api.acme.example"}],
            "security": [{"o": []}], "components": {"securitySchemes": {"o": modern}}}),
        json!({"swagger": "2.0", "info": {"title": "Acme", "version": "1"}, "paths": paths,
            "host": "api.acme.example", "schemes": ["https"],
            "security": [{"o": []}], "securityDefinitions": {"o": old}}),
    ];
    let collection = |more: Value| {
        let mut settings = json!({"accessTokenUrl": "https://id.acme.example/token",
            "authUrl": "https://api.acme.example/oauth/start", "scope": "read write",
            "clientSecret": "hidden-in-the-collection"});
        settings.as_object_mut().expect("it is").extend(more.as_object().cloned().expect("it is"));
        json!({"info": {"name": "Acme", "schema": "v2.0.0"},
            "auth": {"type": "oauth2", "oauth2": settings},
            "item": [{"name": "Orders", "request": "https://api.acme.example/orders"}]})
    };
    let mut texts: Vec<(Format, String)> =
        documents.iter().map(|one| (Format::Openapi, one.to_string())).collect();
    for grant in [json!({}), json!({"grant_type": "authorization_code_with_pkce"})] {
        texts.push((Format::Postman, collection(grant).to_string()));
    }
    for (format, text) in &texts {
        let made = imported(*format, text, &wishes());
        lines(
            &made,
            &[
                "type: oauth2",
                "grant: authorization_code",
                "token_url: https://id.acme.example/token",
                "authorize_url: https://api.acme.example/oauth/start",
                "scopes: [read, write]",
                "client_secret: \"${secret.acme_client_secret}\"",
            ],
        );
        assert!(made.yaml.contains("`restway auth login acme`"), "{}", made.yaml);
        assert!(!made.yaml.contains("hidden-in"), "{}", made.yaml);
    }
    for (grant, kept) in
        [("client_credentials", "client_credentials"), ("password_credentials", "password")]
    {
        let text = collection(json!({"grant_type": grant})).to_string();
        let made = imported(Format::Postman, &text, &wishes());
        let is_said = made.yaml.contains(&format!("grant: {kept}"));
        assert!(is_said && !made.yaml.contains("authorize_url"), "{}", made.yaml);
    }
}

#[test]
fn a_login_in_the_url_of_a_curl_line_is_one() {
    let line = "curl 'https://me:CAN%41RY-9@api.acme.example/v2/files?x=1'";
    let imported = imported(Format::Curl, line, &wishes());
    assert!(!imported.yaml.contains("CANARY") && !imported.yaml.contains("CAN%41RY"));
    lines(&imported, &["base_url: https://api.acme.example/v2"]);
    assert!(imported.yaml.contains("type: basic"), "{}", imported.yaml);
    let given = self::imported(Format::Curl, &line.replace("curl", "curl -u a:b"), &wishes());
    assert_eq!(given.yaml, imported.yaml, "what is said with `-u` counts");
}
