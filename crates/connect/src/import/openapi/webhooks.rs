//! Operations that change something, as webhooks.
//!
//! In: an operation. Out: a webhook of one call with typed parameters, one for each parameter of
//! the path, the query and each field of the body; or the reason why it cannot be
//! one. A field that need not be given has no default here, whatever the document says: what is not
//! given is not sent, and the api knows its own. Pure.

use restway_model::definition::{Method, Param};
use restway_model::{Name, names_credential};
use serde_json::{Map, Value, json};

use super::document::{Document, Operation, Parameter, kind, list};
use super::leave;
use crate::draft::{LeftOut, WebhookDraft, literal, one_line, secret};
use crate::import::names::{Names, plain, slug, words};
use crate::probe::shape::singular;

/// The longest description of a parameter.
const DESCRIPTION_MAX: usize = 80;
/// The longest title.
const TITLE_MAX: usize = 100;
/// Words that a string may be, at most.
const WORDS_MAX: usize = 100;
/// Fields of a body that become a parameter each.
const FIELDS_MAX: usize = 60;
/// Names of fields in a comment.
const SHOWN_MAX: usize = 30;
/// Fields, made plain, that are secrets.
const SECRETS: [&str; 9] = [
    "password",
    "passphrase",
    "secret",
    "clientsecret",
    "token",
    "accesstoken",
    "refreshtoken",
    "apikey",
    "privatekey",
];

/// The webhooks of the operations that can be one.
pub(super) fn all<'a, 'b: 'a>(
    document: Document<'b>,
    operations: impl Iterator<Item = &'a Operation<'b>>,
    api: &Name,
    left_out: &mut LeftOut,
) -> Vec<WebhookDraft> {
    let mut names = Names::default();
    let mut hooks = Vec::new();
    for operation in operations {
        match webhook(document, operation, api) {
            Ok(mut hook) => {
                hook.name = names.numbered(&name(operation));
                hooks.push(hook);
            }
            Err(reason) => leave(left_out, reason, operation),
        }
    }
    hooks.sort_by(|one, other| one.name.cmp(&other.name));
    hooks
}

/// The operation's own name, or its verb and what it is about.
fn name(operation: &Operation<'_>) -> String {
    const LENGTH_MAX: usize = 40;
    if let Some(id) = operation.value["operationId"].as_str()
        && id.len() <= LENGTH_MAX
        && id.starts_with(|c: char| c.is_ascii_alphabetic())
    {
        return id.to_owned();
    }
    let verb = match operation.method {
        Method::Put => "replace",
        Method::Patch => "update",
        Method::Delete => "delete",
        _ => "create",
    };
    let word = words(operation.path).last().copied().unwrap_or("record").to_owned();
    let is_action = operation.method == Method::Post && operation.path.contains('}');
    if is_action { word } else { format!("{verb}_{}", singular(slug(&word).as_str())) }
}

fn webhook(
    document: Document<'_>,
    operation: &Operation<'_>,
    api: &Name,
) -> Result<WebhookDraft, &'static str> {
    let mut params = Params::default();
    let title = operation.summary().map(|text| text.split('\n').next().unwrap_or_default());
    let mut hook = WebhookDraft {
        name: Name::slug(""),
        title: title.map(|title| one_line(title.trim(), TITLE_MAX)).filter(|one| !one.is_empty()),
        comments: vec![format!("{} {}", operation.method.as_str(), operation.path)],
        params: Map::new(),
        method: operation.method,
        path: literal(operation.path),
        headers: Map::new(),
        query: Map::new(),
        body: None,
    };
    for name in super::collection::braces(operation.path) {
        let parameter = operation.in_place("path").find(|one| one.name == name);
        let reference = match parameter {
            Some(parameter) => params.add(name, parameter.schema, parameter.value, true),
            None => params.add(name, &Value::Null, &Value::Null, true),
        };
        hook.path = hook.path.replace(&format!("{{{name}}}"), &reference);
    }
    for parameter in operation.in_place("query") {
        let reference =
            params.add(parameter.name, parameter.schema, parameter.value, parameter.is_required);
        hook.query.insert(parameter.name.to_owned(), reference.into());
    }
    for parameter in operation.in_place("header").filter(|one| one.is_required) {
        header(&mut hook, &mut params, parameter, api);
    }
    body(document, operation, &mut hook, &mut params)?;
    hook.params = params.all;
    Ok(hook)
}

/// Headers that a webhook does not set.
fn header(hook: &mut WebhookDraft, params: &mut Params, parameter: &Parameter<'_>, api: &Name) {
    const RESERVED: [&str; 8] = [
        "accept",
        "authorization",
        "content-type",
        "proxy-authorization",
        "host",
        "content-length",
        "connection",
        "cookie",
    ];
    let name = parameter.name;
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let is_odd = name.is_empty() || !name.chars().all(is_token);
    if is_odd || RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        return;
    }
    let value = match names_credential(name) {
        true => secret(api, name).source().to_owned(),
        false => params.add(name, parameter.schema, parameter.value, true),
    };
    hook.headers.insert(name.to_owned(), value.into());
}

/// The body by its media type.
fn body<'a>(
    document: Document<'a>,
    operation: &Operation<'a>,
    hook: &mut WebhookDraft,
    params: &mut Params,
) -> Result<(), &'static str> {
    let holder = document.at(&operation.value["requestBody"]);
    let old = operation.in_place("body").next();
    let fields: Vec<&Parameter<'a>> = operation.in_place("formData").collect();
    if operation.method == Method::Delete {
        let schema = document.json_schema(holder).or_else(|| old.map(|old| old.schema));
        if schema.is_some_and(|schema| !document.demanded(schema).is_empty()) {
            hook.comments.push("Its body is left out: a DELETE has none here.".into());
        }
        return Ok(());
    }
    if !fields.is_empty() {
        let named = fields.iter().map(|one| (one.name, one.schema, one.value, one.is_required));
        let has_file = fields.iter().any(|field| field.schema["type"] == "file");
        hook.body = Some(form(named, has_file, params));
        return Ok(());
    }
    if let Some(old) = old {
        json_body(document, old.schema, hook, params);
        return Ok(());
    }
    let Some(content) = holder["content"].as_object().filter(|content| !content.is_empty()) else {
        return Ok(());
    };
    if let Some(schema) = document.json_schema(holder) {
        json_body(document, schema, hook, params);
        return Ok(());
    }
    let of = |kind: &str| content.iter().find(|(name, _)| name.starts_with(kind));
    let encoded = of("application/x-www-form-urlencoded").map(|(_, media)| (media, false));
    let parted = of("multipart/form-data").map(|(_, media)| (media, true));
    if let Some((media, is_parted)) = encoded.or(parted) {
        let schema = document.at(&media["schema"]);
        let required = document.demanded(schema);
        let fields = schema["properties"].as_object().into_iter().flatten().map(|(name, field)| {
            let field = document.at(field);
            (name.as_str(), field, field, required.contains(name.as_str()))
        });
        let body = form(fields, is_parted, params);
        let is_empty = body.1.as_array().is_some_and(Vec::is_empty) || body.1 == json!({});
        hook.body = Some(body).filter(|_| !is_empty);
    } else if of("text/plain").is_some() {
        let reference = params.add("text", &json!({"type": "string"}), &Value::Null, true);
        hook.body = Some(("text", reference.into()));
    } else if of("application/octet-stream").is_some() || of("image/").is_some() {
        let name = params.free("file");
        params.all.insert(name.to_string(), json!({"type": "attachment"}));
        hook.body = Some(("file", name.as_str().into()));
    } else {
        return Err("whose bodies are neither JSON, nor a form, a text or a file");
    }
    Ok(())
}

/// A form of fields, each by its name, schema, description and whether it must be given.
fn form<'a>(
    fields: impl Iterator<Item = (&'a str, &'a Value, &'a Value, bool)>,
    is_parted: bool,
    params: &mut Params,
) -> (&'static str, Value) {
    let (mut members, mut parts) = (Map::new(), Vec::new());
    for (name, schema, described, is_required) in fields {
        let is_file = is_parted && is_file(schema);
        if is_file {
            let file = params.file(name, described, is_required);
            parts.push(json!({"name": name, "file": file}));
            continue;
        }
        let value = params.field(name, schema, described, is_required);
        match is_parted {
            true => parts.push(json!({"name": name, "value": value})),
            false => drop(members.insert(name.to_owned(), value.into())),
        }
    }
    match is_parted {
        true => ("multipart", parts.into()),
        false => ("urlencoded", members.into()),
    }
}

/// Whether a field of a form is a file (OpenAPI 3.0.4, 4.8.14.4; 3.1.1, 4.8.14.2; Swagger 2.0).
fn is_file(schema: &Value) -> bool {
    let one = if schema["type"] == "array" { &schema["items"] } else { schema };
    one["type"] == "file"
        || one["format"] == "binary"
        || one["contentMediaType"] == "application/octet-stream"
}

/// A JSON body: a parameter for each field, or one for the whole where its fields are not known,
/// are too many, or depend on each other.
fn json_body<'a>(
    document: Document<'a>,
    schema: &'a Value,
    hook: &mut WebhookDraft,
    params: &mut Params,
) {
    let sample = document.sample(schema);
    let required = document.demanded(schema);
    let mut fields = Vec::new();
    for (name, value) in sample.as_object().into_iter().flatten() {
        let field = document.member(schema, name).map_or(&Value::Null, |one| document.at(one));
        if field["readOnly"] != true {
            fields.push((name.as_str(), field, value));
        }
    }
    let is_known =
        fields.iter().all(|(_, field, value)| !kind(field).is_empty() || !value.is_null());
    let has_choice = document.has_choice(schema);
    if is_known && !has_choice && (1..=FIELDS_MAX).contains(&fields.len()) {
        let mut body = Map::new();
        for (name, field, value) in fields {
            // A schema put together from others has no type of its own; the sample has.
            let typed = json!({"type": kind_of(value)});
            let schema = if kind(field).is_empty() { &typed } else { field };
            let value = params.field(name, schema, field, required.contains(name));
            body.insert(name.to_owned(), value.into());
        }
        hook.body = Some(("json", Value::Object(body)));
        return;
    }
    let word = match sample {
        Value::Array(_) => "list",
        _ => "record",
    };
    let name = params.free("body");
    params.all.insert(name.to_string(), json!({"type": word}));
    hook.body = Some(("json", format!("${{param.{name}}}").into()));
    if !fields.is_empty() {
        let shown = fields.iter().take(SHOWN_MAX).map(|(name, ..)| {
            let mark = if required.contains(name) { " (required)" } else { "" };
            format!("{}{mark}", one_line(name, 40))
        });
        hook.comments.push(format!("`{name}`: {}.", shown.collect::<Vec<_>>().join(", ")));
    }
}

/// The type of a sample, as a schema names it.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() => "integer",
        Value::Number(_) => "number",
        _ => "string",
    }
}

/// The parameters of a webhook so far, by name.
#[derive(Default)]
struct Params {
    all: Map<String, Value>,
}

impl Params {
    /// A name that no other parameter has.
    fn free(&self, word: &str) -> Name {
        let name = slug(word);
        let mut numbers = 2..;
        let mut free = name.clone();
        while self.all.contains_key(free.as_str()) {
            let number: u64 = numbers.next().unwrap_or_default();
            let stem: String = name.as_str().chars().take(50).collect();
            free = slug(&format!("{stem}_{number}"));
        }
        free
    }

    /// Adds a parameter by its schema, and gives the reference to it.
    fn add(&mut self, name: &str, schema: &Value, described: &Value, is_required: bool) -> String {
        let free = self.free(name);
        let mut param = param(schema);
        let default = schema.get("default").filter(|default| is_admitted(&param, default));
        if let Some(default) = default.filter(|_| is_required && !names_credential(name)) {
            param.insert("default".into(), default.clone());
        } else if !is_required {
            param.insert("required".into(), false.into());
        }
        if let Some(text) = described["description"].as_str() {
            let first = text.split(['\n', '<']).next().unwrap_or_default().trim();
            if !first.is_empty() {
                param.insert("description".into(), one_line(first, DESCRIPTION_MAX).into());
            }
        }
        let reference = format!("${{param.{free}}}");
        self.all.insert(free.to_string(), Value::Object(param));
        reference
    }

    /// Adds a parameter that goes into a body, where it may be a secret.
    fn field(
        &mut self,
        name: &str,
        schema: &Value,
        described: &Value,
        is_required: bool,
    ) -> String {
        let reference = self.add(name, schema, described, is_required);
        let own = reference.trim_start_matches("${param.").trim_end_matches('}');
        if let Some(Value::Object(param)) = self.all.get_mut(own)
            && SECRETS.contains(&plain(name).as_str())
            && param["type"] == "string"
        {
            param.remove("default");
            param.insert("secret".into(), true.into());
        }
        reference
    }

    /// Adds an attachment, and gives its name.
    fn file(&mut self, name: &str, described: &Value, is_required: bool) -> String {
        let schema = json!({"type": "string"});
        let reference = self.add(name, &schema, described, is_required);
        let own = reference.trim_start_matches("${param.").trim_end_matches('}').to_owned();
        if let Some(param) = self.all.get_mut(&own) {
            param["type"] = "attachment".into();
        }
        own
    }
}

/// A schema as the keys of a parameter.
fn param(schema: &Value) -> Map<String, Value> {
    let format = schema["format"].as_str().unwrap_or_default();
    let words: Option<Vec<&str>> = schema["enum"].as_array().map_or(Some(Vec::new()), |all| {
        all.iter().filter(|word| !word.is_null()).map(Value::as_str).collect()
    });
    let word = match (kind(schema), format) {
        ("integer", "int32") => "integer",
        ("integer", _) => "long",
        ("number", _) => "double",
        ("boolean", _) => "boolean",
        ("string", "date") => "date",
        ("string", "date-time") => "timestamp",
        ("array", _) => "list",
        ("object", _) => "record",
        _ => "string",
    };
    let mut param = Map::from_iter([("type".to_owned(), Value::from(word))]);
    let words = words.unwrap_or_default();
    if word == "string" && !words.is_empty() && words.len() <= WORDS_MAX {
        param.insert("one_of".into(), words.into());
    }
    if word == "list" {
        let inner = self::list(&schema["items"]["enum"]).next().is_none();
        let of = match kind(&schema["items"]) {
            "integer" => Some("long"),
            "number" => Some("double"),
            "string" => Some("string"),
            _ => None,
        };
        if let Some(of) = of.filter(|_| inner) {
            param.insert("of".into(), json!({ "type": of }));
        }
    }
    param
}

/// Whether a parameter may have the default, by its own check.
fn is_admitted(param: &Map<String, Value>, default: &Value) -> bool {
    let param: Result<Param, _> = serde_json::from_value(Value::Object(param.clone()));
    let mut problems = Vec::new();
    match param {
        Ok(param) if !default.is_null() => {
            param.take(default.clone(), "", &mut problems);
            problems.is_empty()
        }
        _ => false,
    }
}
