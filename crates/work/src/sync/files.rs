//! Files: for each row of the parent, one answer kept on the disk and one row that tells of it.
//!
//! In: the parts of a resource whose answers are files. Out: the files below `files/`, and records
//! of what they are. A file is whole, flushed and under its name before its record is handed to the
//! lander, so a row never lands without its file; a process that dies between the two leaves a file
//! that the next sync fetches again or finds unchanged. What is on its way lies in `.parts` of the
//! resource's folder, which every sync empties first.
//!
//! What never happens here: a name that leaves the folder; two rows that share a file; a file that
//! is removed because the api no longer has it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use fs_err::tokio as fs;
use restway_connect::{Downloaded, KnownFile};
use restway_model::definition::{Files, ResourceSettings};
use restway_model::{Event, Records, Scope, TableName, Template, Values};
use serde_json::{Map, Value, json};

use super::Chosen;
use super::lander::Way;
use super::parents::{Parent, quoted};
use super::reader::{Part, Reader};
use super::state::PartState;
use crate::{WorkError, Workspace};

/// The folder of all files, in the workspace.
const FOLDER: &str = "files";
/// Where files lie while they come, in the folder of their resource.
const PARTS: &str = ".parts";
/// Bytes of one name. Most file systems have room for 255, and a file on its way has a longer name.
const NAME_BYTES_MAX: usize = 200;

/// What is to be fetched for one part.
pub(super) struct FileTask {
    /// Where it goes, from the workspace's folder on, with `/` between names.
    path: String,
    version: Option<String>,
    /// The row that tells of the file which is there.
    known: Option<Box<str>>,
}

impl Workspace {
    /// The parts that have a file, each with what it is called and what is known of it.
    pub(super) async fn with_files(
        &self,
        chosen: &Chosen,
        way: Way,
        parts: Vec<Part>,
    ) -> Result<Vec<Part>, WorkError> {
        let Some(files) = &chosen.settings.files else { return Ok(parts) };
        // A sync that starts over asks for every file.
        let mut known = match way.is_stepwise {
            true => self.known_files(chosen).await?,
            false => HashMap::new(),
        };
        let mut names = HashSet::new();
        let mut with_files = Vec::with_capacity(parts.len());
        for mut part in parts.into_iter().filter(|part| has_file(&chosen.settings, &part.parent)) {
            let refused = |problem| WorkError::FileName {
                resource: chosen.table.clone(),
                name: files.name.to_string(),
                problem,
            };
            let name = file_name(&files.name, part.parent.as_ref()).map_err(refused)?;
            if !names.insert(name.clone()) {
                return Err(refused(format!("names two rows' files `{name}`")));
            }
            let version = files.version.as_ref().map(|version| version.text(&*part.parent));
            let version = version.transpose().map_err(|error| refused(error.to_string()))?;
            let path = format!("{}/{name}", folder(&chosen.table));
            let known = known.remove(&path);
            part.file = Some(FileTask { path, version, known });
            with_files.push(part);
        }
        let arriving = self.folder.join(folder(&chosen.table)).join(PARTS);
        if fs::try_exists(&arriving).await? {
            fs::remove_dir_all(&arriving).await?;
        }
        fs::create_dir_all(&arriving).await?;
        Ok(with_files)
    }

    /// The rows of files that came, by their paths.
    async fn known_files(&self, chosen: &Chosen) -> Result<HashMap<String, Box<str>>, WorkError> {
        if !self.lake.has(&chosen.table).await? {
            return Ok(HashMap::new());
        }
        let table = self.lake.table(&chosen.table).await?;
        let is_wanted = |name: &str| {
            let is_own = Files::COLUMNS.iter().any(|(own, _)| *own == name);
            is_own || chosen.settings.carry.contains_key(name)
        };
        let columns = table.columns.iter().filter(|column| is_wanted(&column.name));
        let columns: Vec<String> = columns.map(|column| quoted(&column.name)).collect();
        if ["path", "size", "sha256"].iter().any(|name| !columns.contains(&quoted(name))) {
            return Ok(HashMap::new());
        }
        let (api, name) = (chosen.table.api.as_str(), chosen.table.table.as_str());
        let limit = self.limits.parents_max;
        let sql = format!(
            "select {} from {}.{} where \"sha256\" is not null limit {limit}",
            columns.join(", "),
            quoted(api),
            quoted(name)
        );
        let rows = self.lake.query(&sql, &[]).await?.json_rows(limit).await?;
        let with_path = rows.into_iter().filter_map(|row| {
            let fields: Map<String, Value> = serde_json::from_str(&row).ok()?;
            Some((fields.get("path")?.as_str()?.to_owned(), row.into()))
        });
        Ok(with_path.collect())
    }
}

impl Reader<'_> {
    /// Fetches one file, if it is to be, and hands out the row that tells of it.
    pub(super) async fn file(&mut self, task: FileTask) -> Result<(), WorkError> {
        let known = self.known(&task).await;
        let row = match &known {
            // The parent says that it is the one that is there.
            Some(row) if task.version.is_some() && is_version(row, &task) => Some(row.clone()),
            _ => self.fetched(&task, known.as_ref()).await?,
        };
        let is_new = row.as_ref() != known.as_ref() || !self.has_carried(known.as_ref());
        let records = row.filter(|_| is_new).map(|row| record(&row));
        self.done.counts.records += records.iter().map(Records::len).sum::<usize>() as u64;
        let is_done = self.chosen.settings.for_each.is_some();
        let state = PartState { is_done, ..PartState::default() };
        self.send(records.into_iter().collect(), Some(state)).await
    }

    /// The row of the file that is there, without what it got from its parent.
    async fn known(&self, task: &FileTask) -> Option<Map<String, Value>> {
        let row: Map<String, Value> = serde_json::from_str(task.known.as_deref()?).ok()?;
        let there = fs::metadata(self.workspace.folder.join(&task.path)).await.ok()?;
        (there.is_file() && row.get("size")?.as_u64()? == there.len()).then_some(row)
    }

    fn has_carried(&self, known: Option<&Map<String, Value>>) -> bool {
        self.part.carried.iter().all(|(name, value)| {
            let now = serde_json::from_str::<Value>(value.get()).unwrap_or_default();
            known.and_then(|row| row.get(name)).unwrap_or(&Value::Null) == &now
        })
    }

    async fn fetched(
        &mut self,
        task: &FileTask,
        known: Option<&Map<String, Value>>,
    ) -> Result<Option<Map<String, Value>>, WorkError> {
        let chosen = self.chosen;
        let parent: Arc<dyn Values + Send + Sync> = self.part.parent.clone();
        let settings = Arc::clone(&chosen.settings);
        let (api, name) = (Arc::clone(&chosen.api), chosen.table.clone());
        let mut download = self.workspace.connector.download(api, name, settings, parent);
        let target = self.workspace.folder.join(&task.path);
        if let Some(above) = target.parent() {
            fs::create_dir_all(above).await?;
        }
        let parts: PathBuf = self.workspace.folder.join(folder(&chosen.table)).join(PARTS);
        let validators = known.map(validators);
        let mut stop = self.stop.clone();
        let fetched = tokio::select! {
            biased;
            () = stop.raised() => Err(WorkError::Stopped),
            fetched = download.fetch(&target, &parts, validators.as_ref()) => Ok(fetched),
        };
        let counts = download.counts();
        self.done.counts.add(&counts);
        let downloaded = fetched??;
        let (resource, bytes) = (chosen.table.clone(), counts.bytes);
        let read = Event::PageRead { resource, page: 1, records: 1, bytes, total: None };
        self.workspace.observer.observe(&read);
        let (path, version) = (&task.path, &task.version);
        let shown = |url: &str| self.workspace.redactor.redact(url).into_owned();
        let row = match downloaded {
            Downloaded::Unchanged => {
                let mut row = known.cloned().unwrap_or_default();
                row.insert("version".to_owned(), json!(version));
                return Ok(Some(row));
            }
            Downloaded::None { status, url } => {
                json!({ "path": path, "url": shown(&url), "status": status, "version": version })
            }
            Downloaded::File(file) => json!({
                "path": path,
                "url": shown(&file.url),
                "status": file.status,
                "size": file.size,
                "sha256": file.sha256,
                "content_type": file.content_type,
                "etag": file.etag,
                "last_modified": file.last_modified,
                "version": version,
            }),
        };
        Ok(row.as_object().cloned())
    }
}

/// The folder of a resource's files, from the workspace's on.
fn folder(resource: &TableName) -> String {
    format!("{FOLDER}/{}/{}", resource.api, resource.table)
}

fn validators(row: &Map<String, Value>) -> KnownFile {
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    KnownFile {
        etag: text("etag"),
        last_modified: text("last_modified"),
        sha256: text("sha256").unwrap_or_default(),
    }
}

fn is_version(row: &Map<String, Value>, task: &FileTask) -> bool {
    row.get("version").and_then(Value::as_str) == task.version.as_deref()
}

/// The row as a record, with no field that the parent gives.
fn record(row: &Map<String, Value>) -> Records {
    let own = Files::COLUMNS.iter().filter_map(|(name, _)| Some((*name, row.get(*name)?)));
    let own: Map<String, Value> = own.map(|(name, it)| (name.to_owned(), it.clone())).collect();
    let text = Value::Object(own).to_string();
    let span = 0..text.len();
    Records::new(text.into(), vec![span])
}

/// Whether the parent's row says where a file is: many have none.
fn has_file(settings: &ResourceSettings, parent: &Parent) -> bool {
    let mut columns = settings.path.references().filter(|(scope, _)| *scope == Scope::Parent);
    columns.all(|(scope, name)| !is_nothing(&parent.value(scope, name)))
}

fn is_nothing(value: &Result<Value, String>) -> bool {
    matches!(value, Ok(Value::Null)) || matches!(value, Ok(Value::String(text)) if text.is_empty())
}

/// The name of a file, below its resource's folder.
fn file_name(name: &Template, values: &dyn Values) -> Result<String, String> {
    for (scope, column) in name.references() {
        if is_nothing(&values.value(scope, column)) {
            return Err(format!("has nothing for `${{{}.{column}}}`", scope.as_str()));
        }
    }
    let text = name.text_with(values, &escaped).map_err(|error| error.to_string())?;
    if text.split('/').any(|part| part.len() > NAME_BYTES_MAX) {
        return Err(format!("makes a name of more than {NAME_BYTES_MAX} bytes"));
    }
    Ok(text)
}

/// A value within one name: what could lead elsewhere, or is no part of a name on some system, is
/// percent-encoded, and `%` with it, so that two values never have the same name.
fn escaped(value: &str) -> Cow<'_, str> {
    let is_plain = |c: char| !c.is_control() && !"/\\:*?\"<>|%".contains(c);
    if value.chars().all(is_plain) && !value.starts_with('.') {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len() + 8);
    for (at, character) in value.char_indices() {
        if is_plain(character) && (at > 0 || character != '.') {
            text.push(character);
            continue;
        }
        let mut bytes = [0; 4];
        for byte in character.encode_utf8(&mut bytes).bytes() {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Id(&'static str);

    impl Values for Id {
        fn value(&self, _: Scope, _: &str) -> Result<Value, String> {
            Ok(self.0.into())
        }
    }

    #[test]
    fn no_value_leaves_its_name_and_no_two_share_one() {
        let name: Template = "a/${parent.id}.pdf".parse().expect("a template");
        let named = |id| file_name(&name, &Id(id));
        for (id, wanted) in [
            ("7", "a/7.pdf"),
            ("..", "a/%2E..pdf"),
            ("../../x", "a/%2E.%2F..%2Fx.pdf"),
            ("%2F", "a/%252F.pdf"),
            ("a\\b\n", "a/a%5Cb%0A.pdf"),
            ("Übersicht 1", "a/Übersicht 1.pdf"),
        ] {
            assert_eq!(named(id).as_deref(), Ok(wanted), "{id}");
        }
        assert!(named("").expect_err("no name").contains("has nothing for"));
        let long: Template = "x".repeat(201).parse().expect("a template");
        assert!(file_name(&long, &Id("")).expect_err("too long").contains("200 bytes"));
    }
}
