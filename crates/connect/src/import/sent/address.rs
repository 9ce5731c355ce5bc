//! The URL of a request, with its variables.
//!
//! In: a URL that may hold `{{name}}`. Out: its origin, its path as it was sent, its query as
//! pairs. A URL parser would encode the braces. Pure.

use url::Url;

use crate::import::names::slug;

/// A URL in parts.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// Scheme, host and port.
    pub(super) origin: Url,
    /// The path, encoded; below the base once that is known.
    pub(super) path: String,
    /// The query, decoded.
    pub(super) query: Vec<(String, String)>,
}

impl Address {
    /// Takes a URL apart. A variable at its beginning stands for the base that was given.
    pub(super) fn read(url: &str, given: Option<&Url>) -> Option<Self> {
        let url = url.trim().split('#').next().unwrap_or_default();
        let (whole, query) = url.split_once('?').unwrap_or((url, ""));
        let (origin, path) = match whole.split_once("://") {
            Some((scheme, rest)) => {
                let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                let host = host.rsplit('@').next().unwrap_or_default();
                match Url::parse(&format!("{scheme}://{host}/")) {
                    Ok(origin) if !host.contains("{{") => (origin, path.to_owned()),
                    _ => (given?.clone(), base_and(given?, path)),
                }
            }
            None => {
                let (_, path) = whole.strip_prefix("{{")?.split_once("}}")?;
                (given?.clone(), base_and(given?, path))
            }
        };
        if !matches!(origin.scheme(), "http" | "https") {
            return None;
        }
        let path = format!("/{}", path.trim_start_matches('/'));
        let dots = |segment: &str| {
            matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
        };
        if path.split('/').any(dots) || path.chars().any(|c| c.is_control() || c == ' ') {
            return None;
        }
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned();
        Some(Self { origin, path, query: query.collect() })
    }

    /// Cuts the base's path off; whether there was one, and the rest is wished for.
    pub(super) fn below(&mut self, prefix: &str, only: &[String]) -> bool {
        let Some(rest) = self.path.strip_prefix(prefix) else { return false };
        if !(rest.is_empty() || rest.starts_with('/')) {
            return false;
        }
        let rest = if rest.is_empty() { "/" } else { rest };
        let is_wished =
            only.is_empty() || only.iter().any(|start| rest.starts_with(start.as_str()));
        self.path = rest.to_owned();
        is_wished
    }
}

fn base_and(base: &Url, path: &str) -> String {
    format!("{}/{}", base.path().trim_end_matches('/'), path.trim_start_matches('/'))
}

/// A text with `{{name}}` in it as a template: each is replaced by what `reference` says for it,
/// the rest stands for itself.
pub(super) fn template(text: &str, mut reference: impl FnMut(&str) -> String) -> String {
    let literal = crate::draft::literal;
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("{{") {
        let Some((name, after)) = from.split_once("}}") else { break };
        whole.push_str(&literal(before));
        whole.push_str(&reference(name.trim()));
        rest = after;
    }
    whole.push_str(&literal(rest));
    whole
}

/// The environment variable that a variable without a value becomes.
pub(super) fn variable(name: &str) -> String {
    format!("${{env.{}}}", slug(name).as_str().to_ascii_uppercase())
}
