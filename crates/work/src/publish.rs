//! Apps made ready to be published: their databases opened, their saved queries read.
//!
//! In: the app files of a workspace. Out: [`App`]s, and the source of the workspace's own tables,
//! which also calls live resources. The address of a database is looked up here and nowhere else;
//! it and the password in it are taught to the redactor before anything is opened. What never
//! happens here: a connection: the first request makes it.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use restway_model::definition::{AppFile, AppSource, Origin, Param, SourceKind};
use restway_model::{
    ColumnType, Explain, Name, Scope, Seal, Secret, SecretSource, TableName, Values, nearest,
};
use restway_publish::{
    Address, Answering, App, Argument, DatabaseSettings, Engine, Engined, Order, Running, Saved,
    Source, SourceError, Webhooks, open,
};
use restway_tables::{Answer, AsOf};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::webhook::{Asked, Given, GivenValue, Wanted};
use crate::{Stopper, WorkError, Workspace};

/// The line before and behind the header of a saved query.
const FENCE: &str = "---";
/// Bytes of a saved query.
const QUERY_BYTES_MAX: usize = 1 << 20;

/// The header of a saved query, in YAML.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    /// What people call it.
    title: Option<String>,
    /// The parameters, `$name` in the statement.
    #[serde(default)]
    params: BTreeMap<String, Param>,
}

/// Secrets and variables for an address.
struct Outside<'a>(&'a dyn SecretSource);

impl Values for Outside<'_> {
    fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
        match scope {
            Scope::Secret => {
                let name: Name = name.parse().map_err(|error| format!("{error}"))?;
                let secret = self.0.secret(&name).map_err(|missing| missing.problem)?;
                Ok(Value::String(secret.expose().to_owned()))
            }
            Scope::Env => {
                std::env::var(name).map(Value::String).map_err(|_| "is not set".to_owned())
            }
            _ => Err("has no meaning in an address".to_owned()),
        }
    }
}

impl Engine for Workspace {
    fn columns<'a>(&'a self, table: &'a TableName) -> Answering<'a, Vec<(String, ColumnType)>> {
        Engine::columns(&self.lake, table)
    }

    fn query<'a>(&'a self, sql: &'a str, values: &'a [(String, Value)]) -> Answering<'a, Answer> {
        Box::pin(async move {
            let answer = Workspace::query(self, sql, values, &AsOf::default()).await;
            answer.map_err(|error| SourceError::Engine(Box::new(error) as Box<dyn Explain>))
        })
    }
}

impl Webhooks for Workspace {
    fn time_max(&self, webhook: &str) -> Duration {
        self.webhook(webhook).map_or(Duration::ZERO, |(_, webhook)| webhook.timeout())
    }

    fn run(&self, order: Order) -> Running<'_> {
        // In a task of its own: what is sent has its end written down, whoever waits for it.
        let workspace = self.clone();
        let task = tokio::spawn(async move { workspace.run_order(order).await });
        Box::pin(async move {
            let ended = task.await.map_err(WorkError::from).and_then(|outputs| outputs);
            ended.map_err(|error| Box::new(error) as Box<dyn Explain>)
        })
    }
}

impl Workspace {
    /// Runs a webhook for an event of an app.
    async fn run_order(&self, order: Order) -> Result<Vec<(String, Box<RawValue>)>, WorkError> {
        let Order { webhook: name, arguments, person, key } = order;
        let (_, webhook) = self.webhook(&name)?;
        let is_secret = |param: &Name| webhook.params.get(param).is_some_and(|one| one.secret);
        let given = arguments.into_iter().map(|(param, argument)| {
            let value = match argument {
                Argument::Text(text) if is_secret(&param) => GivenValue::Json(Value::String(text)),
                Argument::Text(text) => GivenValue::Text(text),
                Argument::Json(value) => GivenValue::Json(value),
            };
            (param.to_string(), value)
        });
        let given = Given(given.collect());
        let (_stopper, stop) = Stopper::new();
        let key = key.as_deref();
        let asked = Asked { person: &person, wanted: Wanted::Outputs, key, stop: &stop };
        Ok(self.run_webhook(&name, given, asked).await?.outputs)
    }

    /// The workspace's own tables, saved queries and live resources as a source.
    pub fn source(&self) -> Arc<dyn Source> {
        Arc::new(Engined::new(Arc::new(self.clone())))
    }

    /// What seals the tokens of pages, with the workspace's key.
    ///
    /// # Errors
    /// The key is missing or wrong.
    pub async fn page_seal(&self) -> Result<Arc<dyn Seal>, WorkError> {
        Ok(self.store.secrets().page_seal().await?)
    }

    /// The apps, with their databases and saved queries.
    ///
    /// # Errors
    /// A secret that is not set, an address that cannot be read, or a saved query that is not
    /// there or has a wrong header.
    pub async fn apps(&self) -> Result<Vec<App>, WorkError> {
        let secrets = self.store.secrets().load(self.redactor.clone()).await?;
        let files = self.definitions.apps.iter().map(|definition| &definition.app);
        files.map(|file| self.app(file, &secrets)).collect()
    }

    fn app(&self, file: &AppFile, secrets: &dyn SecretSource) -> Result<App, WorkError> {
        let mut sources = BTreeMap::new();
        for (name, source) in &file.sources {
            let failed = |problem: String| WorkError::Source {
                app: file.app.to_string(),
                name: name.to_string(),
                problem,
            };
            let address = self.address(source, secrets).map_err(failed)?;
            let settings = DatabaseSettings {
                kind: source.kind,
                address,
                connections: source.connections,
                timeout: self.limits.list_timeout,
                clock: Arc::clone(&self.clock),
            };
            let opened = open(&settings).map_err(|error| failed(error.to_string()))?;
            sources.insert(name.clone(), opened);
        }
        let queries = saved_queries(&self.folder, file)?;
        Ok(App { file: file.clone(), sources, queries })
    }

    fn address(&self, source: &AppSource, secrets: &dyn SecretSource) -> Result<Address, String> {
        let Some(template) = &source.url else {
            let path = source.path.as_deref().unwrap_or_default();
            return Ok(Address::File(self.folder.join(path)));
        };
        let url = template.text(&Outside(secrets)).map_err(|error| error.to_string())?;
        if source.kind == SourceKind::Sqlite {
            return Ok(Address::File(self.folder.join(source.file(&url)?)));
        }
        passwords(&url).iter().for_each(|password| self.redactor.learn(password));
        let url = Secret::new(url);
        self.redactor.learn(&url);
        Ok(Address::Url(url))
    }
}

/// The passwords in an address, as they stand there and as they are: an error of a database may
/// have either.
fn passwords(url: &str) -> Vec<Secret> {
    let Ok(url) = url::Url::parse(url) else { return Vec::new() };
    let mut found = Vec::new();
    if let Some(written) = url.password() {
        found.push(Secret::new(written));
        // A plus is one here, and would be a space in a form.
        let pair = format!("p={}", written.replace('+', "%2B").replace('&', "%26"));
        let decoded = url::form_urlencoded::parse(pair.as_bytes()).next();
        found.extend(decoded.map(|(_, password)| Secret::new(password.into_owned())));
    }
    let parameters = url.query_pairs().filter(|(name, _)| name == "password");
    found.extend(parameters.map(|(_, password)| Secret::new(password.into_owned())));
    found
}

/// The saved queries that an app's objects are published from.
///
/// # Errors
/// One that is not there or has a wrong header.
pub(crate) fn saved_queries(
    folder: &Path,
    file: &AppFile,
) -> Result<BTreeMap<Name, Saved>, WorkError> {
    let mut queries = BTreeMap::new();
    for object in file.objects.values() {
        if let Ok(Origin::Saved(name)) = object.from.origin(&file.sources) {
            let saved = saved(folder, &name)?;
            queries.insert(name, saved);
        }
    }
    Ok(queries)
}

/// A saved query, `queries/NAME.sql`.
pub(crate) fn saved(folder: &Path, name: &Name) -> Result<Saved, WorkError> {
    let file = format!("queries/{name}.sql");
    let opened = match fs_err::File::open(folder.join(&file)) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(unknown_query(folder, name));
        }
        Err(error) => return Err(error.into()),
    };
    let failed = |problem: String| WorkError::SavedQuery { file: file.clone(), problem };
    let mut bytes = Vec::new();
    // One byte beyond the bound tells that there are more.
    opened.take(QUERY_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > QUERY_BYTES_MAX {
        return Err(failed(format!("is larger than {} KiB", QUERY_BYTES_MAX >> 10)));
    }
    let text = String::from_utf8(bytes).map_err(|_| failed("is no text in UTF-8".to_owned()))?;
    let (header, sql) = split(&text).map_err(|problem| failed(problem.to_owned()))?;
    let header = match header {
        None => Header::default(),
        Some(yaml) => {
            let value = restway_model::definition::yaml_value(&file, yaml);
            let value = value.map_err(|problem| WorkError::Definitions(vec![problem]))?;
            serde_json::from_value(value).map_err(|error| failed(error.to_string()))?
        }
    };
    let sql = sql.trim().trim_end_matches(';').to_owned();
    Ok(Saved { sql, title: header.title, params: header.params })
}

fn unknown_query(folder: &Path, name: &Name) -> WorkError {
    let entries = fs_err::read_dir(folder.join("queries")).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".sql").map(str::to_owned)).collect();
    let suggestion = nearest(name.as_str(), names.iter().map(String::as_str));
    let suggestion = suggestion.map(str::to_owned);
    WorkError::Unknown { what: "saved query", name: name.to_string(), suggestion }
}

/// The header between two fences, if the text begins with one, and the statement.
fn split(text: &str) -> Result<(Option<&str>, &str), &'static str> {
    let Some(rest) = text.strip_prefix(FENCE).and_then(|rest| rest.strip_prefix('\n')) else {
        return Ok((None, text));
    };
    let (header, sql) = rest.split_once("\n---\n").ok_or("the header has no end: write `---`")?;
    Ok((Some(header), sql))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_learnt_as_written_and_as_they_are() {
        for (url, expected) in [
            ("postgres://me:a%2Bb+c%26d@db/shop", vec!["a%2Bb+c%26d", "a+b+c&d"]),
            ("postgres://me:a&b=c@db/shop", vec!["a&b%3Dc", "a&b=c"]),
            ("postgres://db/shop?user=me&password=p%40ss", vec!["p@ss"]),
            ("mysql://me@db/shop", vec![]),
            ("nonsense", vec![]),
        ] {
            let found = passwords(url);
            let found: Vec<&str> = found.iter().map(Secret::expose).collect();
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn a_saved_query_has_a_bound() {
        let folder = tempfile::TempDir::new().unwrap();
        fs_err::create_dir(folder.path().join("queries")).unwrap();
        let file = folder.path().join("queries/long.sql");
        let name: Name = "long".parse().unwrap();
        let sparse = fs_err::File::create(&file).unwrap();
        sparse.set_len(1 << 40).unwrap();
        let error = saved(folder.path(), &name).unwrap_err();
        assert!(error.to_string().contains("is larger than 1024 KiB"), "{error}");
        fs_err::write(&file, "---\ntitle: Long\n---\nselect 1;\n").unwrap();
        let found = saved(folder.path(), &name).unwrap();
        assert_eq!((found.sql.as_str(), found.title.as_deref()), ("select 1", Some("Long")));
    }
}
