//! The reference pages, made from the code: commands, error codes, the grammar of the files.
//!
//! A test compares them with `docs/reference/`; `make docs` writes them anew.

use std::fmt::Write;

use clap::CommandFactory;
use restway_model::definition::{ApiFile, AppFile, CallInputs, WorkspaceFile, schema};
use restway_model::{Code, Fault};
use serde_json::Value;

use crate::arguments::Arguments;

/// Every page: its file below `docs/reference/`, and its text.
pub fn pages() -> Vec<(&'static str, String)> {
    vec![
        ("commands.md", commands()),
        ("errors.md", errors()),
        ("files.md", files()),
        ("schema/restway.json", pretty(&schema::<WorkspaceFile>())),
        ("schema/api.json", pretty(&schema::<ApiFile>())),
        ("schema/app.json", pretty(&schema::<AppFile>())),
        ("schema/call.json", pretty(&schema::<CallInputs>())),
    ]
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn commands() -> String {
    let mut page = String::from("# Commands\n\nMade from the code by `make docs`.\n");
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let mut stack = vec![command];
    while let Some(mut command) = stack.pop() {
        if command.get_name() == "help" || command.is_hide_set() {
            continue;
        }
        let name = command.get_bin_name().unwrap_or("restway").to_owned();
        let help = command.render_long_help().to_string();
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        let _ = write!(page, "\n## `{name}`\n\n```text\n{}\n```\n", help.join("\n").trim_end());
        let inner: Vec<_> = command.get_subcommands().cloned().collect();
        stack.extend(inner.into_iter().rev());
    }
    page
}

fn errors() -> String {
    let mut page = String::from(
        "# Error codes\n\nMade from the code by `make docs`. A code never changes its meaning.\n\n\
         | code | exit | meaning |\n| --- | --- | --- |\n",
    );
    for code in Code::ALL {
        let exit = match code.fault() {
            Fault::Failed => 1,
            Fault::Asked => 2,
            Fault::Partly => 3,
        };
        let _ = writeln!(page, "| `{code}` | {exit} | {} |", code.meaning());
    }
    page
}

fn files() -> String {
    let mut page = String::from(
        "# Files\n\nMade from the code by `make docs`. YAML 1.2, strict: an unknown key, a \
         duplicate key or a wrong type is an error.\nFor completion and checks in an editor, begin \
         a file with `# yaml-language-server: $schema=PATH` and the schema of its\nkind from \
         [schema/](schema/).\n",
    );
    for (title, root) in [
        ("`restway.yaml`", schema::<WorkspaceFile>()),
        ("`apis/NAME.yaml`", schema::<ApiFile>()),
        ("`apps/NAME.yaml`", schema::<AppFile>()),
        ("`restway call --input`", schema::<CallInputs>()),
    ] {
        let about = root["description"].as_str().unwrap_or("");
        let _ = write!(page, "\n## {title}\n\n{about}\n");
        keys(&mut page, &root);
        for (name, part) in root["$defs"].as_object().into_iter().flatten() {
            definition(&mut page, name, part);
        }
    }
    page
}

/// A named part of a file: a mapping's keys, or the choices there are.
fn definition(page: &mut String, name: &str, part: &Value) {
    let about = part["description"].as_str().unwrap_or("");
    let _ = write!(page, "\n### {name}\n\n{about}\n");
    keys(page, part);
    let choices = part["oneOf"].as_array().or_else(|| part["anyOf"].as_array());
    for choice in choices.into_iter().flatten() {
        let about = choice["description"].as_str().unwrap_or("");
        let word = choice["const"].as_str().map(|word| format!("`{word}`"));
        let kind = choice.pointer("/properties/type/const").and_then(Value::as_str);
        let kind = kind.map(|kind| format!("`type: {kind}`"));
        let _ = write!(page, "\n- {}: {about}\n", word.or(kind).unwrap_or_else(|| shape(choice)));
        keys(page, choice);
    }
    for word in part["enum"].as_array().into_iter().flatten() {
        let _ = write!(page, "\n- `{}`\n", word.as_str().unwrap_or(""));
    }
}

/// A table of a mapping's keys.
fn keys(page: &mut String, part: &Value) {
    let Some(properties) = part["properties"].as_object() else { return };
    let required: Vec<&str> =
        part["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let rows = properties.iter().filter(|(_, rules)| rules["const"].is_null());
    let mut head = "\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n";
    for (key, rules) in rows {
        let default = match &rules["default"] {
            Value::Null if required.contains(&key.as_str()) => "required".to_owned(),
            Value::Null => String::new(),
            value => format!("`{value}`"),
        };
        let about =
            rules["description"].as_str().unwrap_or("").replace('|', "\\|").replace('\n', " ");
        let _ = writeln!(page, "{head}| `{key}` | {} | {default} | {about} |", shape(rules));
        head = "";
    }
}

/// What kind of value it is, in a word or two.
fn shape(rules: &Value) -> String {
    if let Some(reference) = rules["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(choices) = rules["anyOf"].as_array() {
        let shapes: Vec<String> =
            choices.iter().filter(|one| one["type"] != "null").map(shape).collect();
        return shapes.join(" or ");
    }
    let kind = match &rules["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match (kind, rules["format"].as_str()) {
        (Some("string"), Some("template")) => "text with `${…}`".into(),
        (Some("string"), Some(format)) => format.replace('_', " "),
        (Some("string"), None) => "text".into(),
        (Some("integer"), _) => "whole number".into(),
        (Some("number"), _) => "number".into(),
        (Some("boolean"), _) => "true or false".into(),
        (Some("array"), _) => format!("list of {}", shape(&rules["items"])),
        (Some("object"), _) => match &rules["additionalProperties"] {
            inner @ Value::Object(_) => format!("mapping to {}", shape(inner)),
            _ => "mapping".into(),
        },
        _ => "anything".into(),
    }
}
