//! A Postman collection, format 2.0 or 2.1 (schema.getpostman.com).
//!
//! In: the collection as a value. Out: its requests, those in folders too, with the collection's
//! variables put in and the login of the request, else of its folder, else of the collection.
//! Variables without a value stay `{{name}}`: they live in environments, which are not part of a
//! collection.

use restway_model::definition::Grant;
use serde_json::Value;

use super::oauth::Flow;
use super::sent::{Body, Login, Part, Sent};

/// Folders in folders.
const DEPTH_MAX: usize = 32;
/// Variables whose values hold variables.
const ROUNDS_MAX: usize = 4;

/// All requests, in the order of the collection.
pub(super) fn requests(collection: &Value) -> Result<Vec<Sent>, String> {
    // Exported by the API, a collection is wrapped in an object.
    let collection = collection.get("collection").unwrap_or(collection);
    let items = collection["item"].as_array().ok_or("it has no `item`")?;
    let mut variables = Vec::new();
    for variable in collection["variable"].as_array().into_iter().flatten() {
        let name = variable["key"].as_str().or_else(|| variable["id"].as_str());
        if let (Some(name), Some(value)) = (name, text(&variable["value"]))
            && !value.is_empty()
        {
            variables.push((format!("{{{{{name}}}}}"), value));
        }
    }
    let mut walk = Walk { variables, sent: Vec::new() };
    walk.items(items, &collection["auth"], 0);
    let mut sent = walk.sent;
    if let Some(first) = sent.first_mut() {
        first.title = collection["info"]["name"].as_str().map(str::to_owned);
    }
    Ok(sent)
}

struct Walk {
    variables: Vec<(String, String)>,
    sent: Vec<Sent>,
}

impl Walk {
    fn items(&mut self, items: &[Value], auth: &Value, depth: usize) {
        for item in items.iter().filter(|_| depth < DEPTH_MAX) {
            let own = [&item["request"]["auth"], &item["auth"]];
            let auth = own.into_iter().find(|own| own.is_object()).unwrap_or(auth);
            match item["item"].as_array() {
                Some(inner) => self.items(inner, auth, depth + 1),
                None => self.sent.extend(self.request(item, auth)),
            }
        }
    }

    fn request(&self, item: &Value, auth: &Value) -> Option<Sent> {
        let request = &item["request"];
        let url = if request.is_string() { request } else { &request["url"] };
        let mut sent = Sent {
            name: item["name"].as_str().map(str::to_owned),
            method: request["method"].as_str().unwrap_or("GET").to_uppercase(),
            url: self.url(url)?,
            ..Sent::default()
        };
        for (name, value) in self.pairs(&request["header"]) {
            if name.eq_ignore_ascii_case("cookie") {
                sent.add_cookies(&value);
            } else {
                sent.headers.push((name, value));
            }
        }
        self.login(auth, &mut sent);
        sent.body = self.body(&request["body"], &sent);
        Some(sent)
    }

    /// The URL, with path variables (`:id`) as variables.
    fn url(&self, url: &Value) -> Option<String> {
        let raw = url.as_str().or_else(|| url["raw"].as_str())?;
        let (path, query) =
            raw.split_once('?').map_or((raw, None), |(path, rest)| (path, Some(rest)));
        let segments = path.split('/').map(|segment| match segment.strip_prefix(':') {
            Some(name) if !name.is_empty() => {
                let mut all = url["variable"].as_array().into_iter().flatten();
                let known = all.find(|one| one["key"] == name).and_then(|one| text(&one["value"]));
                known.filter(|value| !value.is_empty()).unwrap_or_else(|| format!("{{{{{name}}}}}"))
            }
            _ => segment.to_owned(),
        });
        let path = segments.collect::<Vec<_>>().join("/");
        let listed = url["query"].as_array().map(|_| self.pairs(&url["query"]));
        let mut whole = self.filled(&path);
        if let Some(pairs) = listed {
            for (at, (name, value)) in pairs.iter().enumerate() {
                let mark = if at == 0 { '?' } else { '&' };
                whole.push_str(&format!("{mark}{name}={}", value.replace('&', "%26")));
            }
        } else if let Some(query) = query {
            whole.push_str(&format!("?{}", self.filled(query)));
        }
        let has_scheme = whole.contains("://") || whole.starts_with("{{");
        Some(if has_scheme { whole } else { format!("http://{whole}") })
    }

    fn body(&self, body: &Value, sent: &Sent) -> Body {
        if body["disabled"] == true {
            return Body::None;
        }
        let pairs = |key: &str| self.pairs(&body[key]);
        match body["mode"].as_str() {
            Some("raw") => {
                let raw = self.filled(body["raw"].as_str().unwrap_or_default());
                let language = body["options"]["raw"]["language"].as_str();
                let kind = sent.header("content-type").unwrap_or(match language {
                    Some("json") => "application/json",
                    _ => "",
                });
                if raw.is_empty() { Body::None } else { Body::read(kind, &raw) }
            }
            Some("urlencoded") => Body::Form(pairs("urlencoded")),
            Some("formdata") => {
                let all = body["formdata"].as_array().into_iter().flatten();
                let parts = all.filter(|one| one["disabled"] != true).filter_map(|one| {
                    let name = one["key"].as_str().filter(|name| !name.is_empty())?;
                    let value = self.filled(&text(&one["value"]).unwrap_or_default());
                    Some(Part {
                        name: self.filled(name),
                        value: (one["type"] != "file").then_some(value),
                        content_type: one["contentType"].as_str().map(str::to_owned),
                    })
                });
                Body::Multipart(parts.collect())
            }
            Some("file") => Body::File,
            Some("graphql") => {
                let graphql = &body["graphql"];
                let variables = graphql["variables"].as_str().unwrap_or("{}");
                let variables = serde_json::from_str(variables).unwrap_or(Value::Null);
                Body::Json(serde_json::json!({ "query": graphql["query"], "variables": variables }))
            }
            Some(other) => Body::Other(format!("a body of the kind `{other}`")),
            None => Body::None,
        }
    }

    /// `{key, value}` pairs that are switched on; in format 2.0 headers may be one text.
    fn pairs(&self, list: &Value) -> Vec<(String, String)> {
        if let Some(lines) = list.as_str() {
            let pairs = lines.lines().filter_map(|line| line.split_once(':'));
            return pairs
                .map(|(name, value)| (name.trim().into(), self.filled(value.trim())))
                .collect();
        }
        let mut pairs = Vec::new();
        for one in list.as_array().into_iter().flatten().filter(|one| one["disabled"] != true) {
            if let Some(name) = one["key"].as_str().filter(|name| !name.is_empty()) {
                let value = text(&one["value"]).unwrap_or_default();
                pairs.push((self.filled(name), self.filled(&value)));
            }
        }
        pairs
    }

    fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for _ in 0..ROUNDS_MAX {
            if !text.contains("{{") {
                break;
            }
            for (name, value) in &self.variables {
                text = text.replace(name, value);
            }
        }
        text
    }

    /// The login by its type; its values are secrets, whatever they are.
    fn login(&self, auth: &Value, sent: &mut Sent) {
        let kind = auth["type"].as_str().unwrap_or_default();
        // A list of pairs in format 2.1, an object in 2.0.
        let settings = &auth[kind];
        let setting = |name: &str| {
            let mut listed = settings.as_array().into_iter().flatten();
            let listed = listed.find(|one| one["key"] == name).map(|one| &one["value"]);
            listed.or_else(|| settings.get(name)).and_then(text).map(|text| self.filled(&text))
        };
        for name in ["password", "token", "value", "accessToken", "clientSecret", "secretKey"] {
            sent.hidden.extend(setting(name));
        }
        sent.login = match kind {
            "basic" => Some(Login::Basic),
            "digest" => Some(Login::Digest),
            "bearer" => Some(Login::Bearer { scheme: "Bearer".into() }),
            "apikey" => setting("key").map(|name| match setting("in").as_deref() {
                Some("query") => Login::Query(name),
                _ => Login::Header(name),
            }),
            "oauth2" => Some(match flow(&setting) {
                Some(flow) => Login::Oauth2(flow),
                None => Login::Bearer { scheme: "Bearer".into() },
            }),
            "" | "noauth" => None,
            other => {
                sent.notes.push(format!("The login `{other}` is left out: write `auth`."));
                None
            }
        };
    }
}

/// The way to a token. Without a word about it, the browser's is Postman's own.
fn flow(setting: &dyn Fn(&str) -> Option<String>) -> Option<Flow> {
    let address = |name| setting(name).filter(|url: &String| url.starts_with("https://"));
    let (token_url, authorize_url) = (address("accessTokenUrl")?, address("authUrl"));
    let grant = match setting("grant_type").as_deref() {
        Some("client_credentials") => Grant::ClientCredentials,
        Some("password_credentials") => Grant::Password,
        Some("implicit") => return None,
        _ if authorize_url.is_some() => Grant::AuthorizationCode,
        _ => Grant::ClientCredentials,
    };
    let scopes = setting("scope").unwrap_or_default();
    Some(Flow {
        grant,
        token_url,
        authorize_url: authorize_url.filter(|_| grant == Grant::AuthorizationCode),
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}
