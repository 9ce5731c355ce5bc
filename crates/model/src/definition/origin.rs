//! What a data object is published from: `sources:` of an app, and `from:` of its objects.
//!
//! In: the words of an app file. Out: an [`Origin`] that says which of them is meant, or why none
//! is. What never happens here: a look at a database.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::meaning::{Finder, LAKE};
use crate::{InvalidName, Name, Scope, TableName, Template, nearest};

/// The first word of `from` for a resource that is called when it is asked for.
pub const LIVE: &str = "live";
/// The folder of saved queries, before the slash of `from`.
const QUERIES: &str = "queries/";
/// How an address of SQLite begins.
const SQLITE: &str = "sqlite:";
/// What to write for a file that is meant to lie elsewhere.
const OUTSIDE: &str = "say `outside: true` if that is meant";
/// Connections to one database, unless its source says otherwise.
const CONNECTIONS: u32 = 8;
/// Connections that one source may have.
const CONNECTIONS_MAX: u32 = 1_000;

/// The kind of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A file of SQLite.
    Sqlite,
    /// PostgreSQL, or what speaks its protocol.
    Postgres,
    /// MySQL or MariaDB.
    Mysql,
}

/// A database that objects come from.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppSource {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: SourceKind,
    /// Its address, as in `postgres://user@host/database`; of SQLite as in `sqlite:shop.db`, a
    /// file relative to the workspace.
    pub url: Option<Template>,
    /// The file of SQLite, relative to the workspace.
    pub path: Option<String>,
    /// Whether the file of SQLite may lie outside of the workspace.
    #[serde(default)]
    pub outside: bool,
    /// Connections that are open at once at most.
    #[serde(default = "connections")]
    pub connections: u32,
}

const fn connections() -> u32 {
    CONNECTIONS
}

impl AppSource {
    /// The file that an address of SQLite names, relative to the workspace: a path behind
    /// `sqlite:` or `sqlite://`, as it stands.
    ///
    /// # Errors
    /// Why the address is none of a file that this source may open. It is not repeated: what it
    /// was made from may be a secret.
    pub fn file<'a>(&self, address: &'a str) -> Result<&'a str, &'static str> {
        let path = address.strip_prefix(SQLITE).ok_or("not an address of SQLite")?;
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.contains(['?', '#', '%']) {
            return Err("an address of SQLite is `sqlite:` and a path without `?`, `#` and `%`");
        }
        if leads_out(path) && !self.outside {
            return Err("the file lies outside of the workspace");
        }
        Ok(path)
    }
}

/// What an object is published from, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum From {
    /// `source.table`, `source.schema.table`, `api.resource`, `live.api.resource` or
    /// `queries/NAME.sql`.
    Text(String),
    /// A query of its own.
    Query(FromQuery),
}

/// A query that answers an object's rows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FromQuery {
    /// The source that it is asked of; the workspace's own tables without it.
    pub source: Option<Name>,
    /// The statement, in the database's own SQL.
    pub sql: String,
}

/// What an object is published from, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin<'a> {
    /// A table of the workspace.
    Lake(TableName),
    /// A resource, called when it is asked for.
    Live(TableName),
    /// A saved query, by its name.
    Saved(Name),
    /// A table or view of a source.
    Table {
        /// The source.
        source: &'a Name,
        /// The schema, where one is said.
        schema: Option<&'a str>,
        /// The table.
        table: &'a str,
    },
    /// A query of its own.
    Sql {
        /// The source; none for the workspace's own tables.
        source: Option<&'a Name>,
        /// The statement.
        sql: &'a str,
    },
}

impl From {
    /// What is meant, in an app with these sources.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn origin<'a>(
        &'a self,
        sources: &'a BTreeMap<Name, AppSource>,
    ) -> Result<Origin<'a>, (String, String)> {
        match self {
            Self::Text(text) => of_text(text, sources),
            Self::Query(query) => {
                let source = match &query.source {
                    None => None,
                    Some(name) => match sources.get_key_value(name) {
                        Some((name, _)) => Some(name),
                        None => return Err(unknown(name.as_str(), sources)),
                    },
                };
                if query.sql.trim().is_empty() {
                    return Err(("a query needs its SQL".into(), "write `sql: select …`".into()));
                }
                Ok(Origin::Sql { source, sql: &query.sql })
            }
        }
    }
}

impl std::fmt::Display for From {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Query(_) => formatter.write_str("a query"),
        }
    }
}

fn of_text<'a>(
    text: &'a str,
    sources: &'a BTreeMap<Name, AppSource>,
) -> Result<Origin<'a>, (String, String)> {
    let wrong = || {
        let message = format!("`{text}` is not a table");
        let hint = "write `source.table`, `api.resource`, `live.api.resource` or \
                    `queries/NAME.sql`";
        (message, hint.to_owned())
    };
    if let Some(name) = text.strip_prefix(QUERIES) {
        let name = name.strip_suffix(".sql").and_then(|name| name.parse().ok());
        return name.map(Origin::Saved).ok_or_else(wrong);
    }
    let words: Vec<&str> = text.split('.').collect();
    if words.iter().any(|word| word.is_empty()) {
        return Err(wrong());
    }
    let source =
        words.first().and_then(|first| sources.keys().find(|name| name.as_str() == *first));
    match (source, words.as_slice()) {
        (Some(source), [_, table]) => Ok(Origin::Table { source, schema: None, table }),
        (Some(source), [_, schema, table]) => {
            Ok(Origin::Table { source, schema: Some(schema), table })
        }
        (None, [LIVE, api, resource]) => {
            table_name(api, resource).map(Origin::Live).map_err(|_| wrong())
        }
        (None, [api, resource]) => table_name(api, resource).map(Origin::Lake).map_err(|_| wrong()),
        (None, [first, _, _]) => Err(unknown(first, sources)),
        _ => Err(wrong()),
    }
}

fn table_name(api: &str, resource: &str) -> Result<TableName, InvalidName> {
    Ok(TableName { api: api.parse()?, table: resource.parse()? })
}

fn unknown(name: &str, sources: &BTreeMap<Name, AppSource>) -> (String, String) {
    let hint = match nearest(name, sources.keys().map(Name::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "name it in `sources` of this file".to_owned(),
    };
    (format!("there is no source `{name}`"), hint)
}

/// What is wrong with a source.
pub(super) fn check_source(finder: &mut Finder<'_>, name: &Name, source: &AppSource) {
    let at = |key| ["sources", name.as_str(), key];
    if matches!(name.as_str(), LIVE | LAKE) {
        let hint = Some("call the source something else".to_owned());
        finder.report(
            &["sources", name.as_str()],
            format!("`{name}` has a meaning of its own"),
            hint,
        );
    }
    match (&source.url, &source.path) {
        (None, None) if source.kind == SourceKind::Sqlite => {
            finder.report(&at("type"), "either `path` or `url` must be given", None);
        }
        (None, _) if source.kind != SourceKind::Sqlite => {
            finder.report(&at("type"), "the key `url` is missing", None);
        }
        (Some(_), Some(_)) => {
            finder.report(&at("path"), "`url` and `path` both say where it is", None);
        }
        _ => {}
    }
    if source.path.is_some() && source.kind != SourceKind::Sqlite {
        finder.report(&at("path"), "only SQLite is a file", Some("write its `url`".into()));
    }
    if let Some(path) = source.path.as_deref().filter(|path| leads_out(path) && !source.outside) {
        let hint = Some(OUTSIDE.to_owned());
        finder.report(&at("path"), format!("`{path}` leads out of the workspace"), hint);
    }
    if source.outside && source.kind != SourceKind::Sqlite {
        finder.report(&at("outside"), "only SQLite is a file", None);
    }
    if let Some(url) = &source.url {
        finder.only(&at("url"), url, &[Scope::Secret, Scope::Env]);
        check_address(finder, &at("url"), source, url);
    }
    if source.connections == 0 || source.connections > CONNECTIONS_MAX {
        let message = format!("from 1 to {CONNECTIONS_MAX}");
        finder.report(&at("connections"), message, None);
    }
}

fn check_address(finder: &mut Finder<'_>, at: &[&str], of: &AppSource, url: &Template) {
    let is_plain = url.references().next().is_none();
    let source = url.source();
    let schemes: &[&str] = match of.kind {
        SourceKind::Sqlite => &[SQLITE],
        SourceKind::Postgres => &["postgres://", "postgresql://"],
        SourceKind::Mysql => &["mysql://", "mariadb://"],
    };
    let has_scheme = schemes.iter().any(|scheme| source.starts_with(scheme));
    if !has_scheme && !source.starts_with("${") {
        let hint = format!("write `{}…`", schemes.first().unwrap_or(&""));
        finder.report_hidden(at, format!("not an address of this kind of database: {hint}"), None);
    }
    if of.kind == SourceKind::Sqlite
        && has_scheme
        && is_plain
        && let Err(problem) = of.file(source)
    {
        finder.report_hidden(at, problem.to_owned(), OUTSIDE);
    }
    let password = url::Url::parse(source).ok().filter(|_| is_plain);
    if password.is_some_and(|url| url.password().is_some()) {
        let hint = "store the address with `restway secret set NAME` and write `${secret.NAME}`";
        finder.report_hidden(at, "a credential stands in the address", hint);
    }
}

/// Whether a path can end outside of the folder that it begins in.
fn leads_out(path: &str) -> bool {
    let path = std::path::Path::new(path);
    let is_inside = |part: std::path::Component<'_>| {
        matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir)
    };
    !path.components().all(is_inside)
}
