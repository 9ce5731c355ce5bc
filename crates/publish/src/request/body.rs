//! The parameters of a list in a body, for those too long for an address.
//!
//! In: a request whose body is a JSON object: `{"$limit": 5, "region": "north", "id[in]": [1, 2]}`.
//! Out: the same names and texts that a query string has, so that everything behind this is one. A
//! list is written as the query string would have it: separated by commas where names are listed,
//! as JSON where values are.
//!
//! What never happens here: a name that means something else than in the address.

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Request;
use crate::refusal::{Findings, Refusal, shown};

/// Parameters whose lists are names.
const LISTS_OF_NAMES: [&str; 5] = ["$fields", "$select", "$expand", "$sort", "$orderby"];

/// Members in their order; a name may come twice, which is found where all parameters are.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object of parameters")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// The parameters of a body.
pub(super) fn parameters(
    request: &Request,
    findings: &mut Findings,
) -> Result<Vec<(String, String)>, Refusal> {
    let media_type = request.headers.get("content-type").unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Refusal::MediaType);
    }
    let members: Members = match serde_json::from_slice(&request.body) {
        Ok(members) => members,
        Err(error) => {
            let message = format!("the body cannot be read: {}", shown(&error.to_string()));
            findings.add("malformed_body", message);
            return Ok(Vec::new());
        }
    };
    let mut parameters = Vec::with_capacity(members.0.len());
    for (name, value) in members.0 {
        match text(&name, &value) {
            Some(text) => parameters.push((name, text)),
            None => {
                let message = format!("`{}` is a text, a number or a list", shown(&name));
                findings.add("invalid_value", message);
            }
        }
    }
    Ok(parameters)
}

/// A value as the query string would write it.
fn text(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Array(all) if LISTS_OF_NAMES.contains(&name) => {
            let names: Option<Vec<&str>> = all.iter().map(Value::as_str).collect();
            Some(names?.join(","))
        }
        Value::Array(_) => Some(value.to_string()),
        Value::Null | Value::Object(_) => None,
    }
}
