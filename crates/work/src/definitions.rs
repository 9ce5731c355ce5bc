//! The definition files of a workspace, read and checked together.

use std::path::Path;
use std::sync::Arc;

use restway_model::definition::{
    self, ApiFile, AppFile, Definition, ExportFrom, Problem, WorkspaceFile,
};
use restway_model::{Name, nearest};

use crate::WorkError;
use crate::folder::WORKSPACE_FILE;

/// The most files of one kind.
const FILES_MAX: usize = 10_000;

/// An api, and the file that defines it.
#[derive(Debug, Clone)]
pub struct ApiDefinition {
    /// The file, relative to the workspace.
    pub file: String,
    /// What it says.
    pub api: Arc<ApiFile>,
    /// Its `webhooks:` as they are written, to tell versions of them apart.
    webhooks: serde_json::Value,
}

/// An app, and the file that defines it.
#[derive(Debug, Clone)]
pub struct AppDefinition {
    /// The file, relative to the workspace.
    pub file: String,
    /// What it says.
    pub app: AppFile,
}

/// Everything that the files of a workspace define, in the order of the file names.
#[derive(Debug, Clone)]
pub struct Definitions {
    /// `restway.yaml`.
    pub workspace: WorkspaceFile,
    /// `apis/*.yaml`.
    pub apis: Vec<ApiDefinition>,
    /// `apps/*.yaml`.
    pub apps: Vec<AppDefinition>,
}

impl Definitions {
    /// Reads all files below `folder`.
    ///
    /// # Errors
    /// [`WorkError::Definitions`] with every problem of every file, or [`WorkError::File`].
    pub fn read(folder: &Path) -> Result<Self, WorkError> {
        Self::gathered(folder, None).map(|(definitions, _)| definitions)
    }

    /// Reads what the `named` apis need, by their names, aliases or resources: the files of others
    /// may be broken, and are left out then. Answers with those that are.
    ///
    /// # Errors
    /// As [`Definitions::read`]; also when an api is not found and a broken file may define it.
    pub fn read_for(folder: &Path, named: &[String]) -> Result<(Self, Vec<String>), WorkError> {
        Self::gathered(folder, Some(named))
    }

    fn gathered(folder: &Path, named: Option<&[String]>) -> Result<(Self, Vec<String>), WorkError> {
        let (mut problems, mut of_files) = (Vec::new(), Vec::new());
        let text = fs_err::read_to_string(folder.join(WORKSPACE_FILE))?;
        let workspace = match definition::read::<WorkspaceFile>(WORKSPACE_FILE, &text) {
            Ok(workspace) => Some(workspace),
            Err(found) => {
                problems.extend(found);
                None
            }
        };
        let apis: Vec<(String, String, ApiFile)> = read_all(folder, "apis", &mut of_files)?;
        let apps: Vec<(String, String, AppFile)> = read_all(folder, "apps", &mut of_files)?;
        check_unique(apis.iter().map(|(file, text, api)| (file, text, &api.api)), &mut problems);
        check_unique(apps.iter().map(|(file, text, app)| (file, text, &app.app)), &mut problems);
        check_aliases(&apis, &mut problems);
        if named.is_none() {
            for (file, text, app) in &apps {
                crate::publish::saved_queries(folder, app)?;
                let api = |name: &Name| {
                    let mut all = apis.iter().map(|(_, _, api)| api);
                    all.find(|api| api.api == *name)
                };
                // An api whose file is broken is not one that is missing.
                if of_files.is_empty() {
                    problems.extend(definition::misbound(file, text, app, api));
                }
            }
            for export in apis.iter().flat_map(|(_, _, api)| api.exports.values()) {
                if let Some(ExportFrom::Saved(name)) = export.source() {
                    crate::publish::saved(folder, &name)?;
                }
            }
        }
        let is_here = |word: &String| {
            let name = word.split('.').next().unwrap_or(word);
            let is_it =
                |api: &ApiFile| api.api.as_str() == name || api.aliases.iter().any(|a| a == name);
            apis.iter().any(|(_, _, api)| is_it(api))
        };
        let mut left_out: Vec<String> = Vec::new();
        match named.filter(|named| named.iter().all(is_here)) {
            None => problems.append(&mut of_files),
            Some(_) => left_out.extend(of_files.into_iter().map(|problem| problem.place.file)),
        }
        left_out.dedup();
        let definitions = match workspace {
            Some(workspace) if problems.is_empty() => Self {
                workspace,
                apis: apis
                    .into_iter()
                    .map(|(file, text, api)| {
                        let webhooks = written_webhooks(&file, &text);
                        ApiDefinition { file, api: Arc::new(api), webhooks }
                    })
                    .collect(),
                apps: apps.into_iter().map(|(file, _, app)| AppDefinition { file, app }).collect(),
            },
            _ => return Err(WorkError::Definitions(problems)),
        };
        Ok((definitions, left_out))
    }

    /// The definition of the webhook `api.webhook` as it is written, as JSON.
    pub(crate) fn webhook_text(&self, name: &str) -> String {
        let (api, own) = name.split_once('.').unwrap_or((name, ""));
        let api = self.api(api).ok();
        let found = self.apis.iter().find(|one| api.is_some_and(|api| Arc::ptr_eq(api, &one.api)));
        found.and_then(|one| one.webhooks.get(own)).map(ToString::to_string).unwrap_or_default()
    }

    /// The api with a name or an alias.
    ///
    /// # Errors
    /// [`WorkError::Unknown`] with the nearest name.
    pub fn api(&self, name: &str) -> Result<&Arc<ApiFile>, WorkError> {
        let by_name = self.apis.iter().find(|definition| definition.api.api.as_str() == name);
        let is_alias =
            |definition: &&ApiDefinition| definition.api.aliases.iter().any(|a| a == name);
        let found = by_name.or_else(|| self.apis.iter().find(is_alias));
        found.map(|definition| &definition.api).ok_or_else(|| WorkError::Unknown {
            what: "api",
            name: name.to_owned(),
            suggestion: nearest(name, self.apis.iter().map(|one| one.api.api.as_str()))
                .map(str::to_owned),
        })
    }
}

/// What stands below `webhooks:`; null when nothing does.
fn written_webhooks(file: &str, text: &str) -> serde_json::Value {
    let mut written = definition::yaml_value(file, text).unwrap_or_default();
    written.get_mut("webhooks").map(serde_json::Value::take).unwrap_or_default()
}

fn read_all<T: Definition>(
    folder: &Path,
    kind: &str,
    problems: &mut Vec<Problem>,
) -> Result<Vec<(String, String, T)>, WorkError> {
    let mut files: Vec<String> = match fs_err::read_dir(folder.join(kind)) {
        Ok(entries) => entries
            .take(FILES_MAX)
            .filter_map(Result::ok)
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"))
            .map(|name| format!("{kind}/{name}"))
            .collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    files.sort();
    let mut read = Vec::new();
    for file in files {
        let text = fs_err::read_to_string(folder.join(&file))?;
        match definition::read(&file, &text) {
            Ok(found) => read.push((file, text, found)),
            Err(found) => problems.extend(found),
        }
    }
    Ok(read)
}

/// Two files must not define the same name: which of them holds would depend on their order.
fn check_unique<'a>(
    definitions: impl Iterator<Item = (&'a String, &'a String, &'a Name)>,
    problems: &mut Vec<Problem>,
) {
    let mut seen: Vec<(&Name, &String)> = Vec::new();
    for (file, text, name) in definitions {
        match seen.iter().find(|(other, _)| *other == name) {
            Some((_, first)) => {
                problems.push(definition::duplicate(file, text, name.as_str(), first));
            }
            None => seen.push((name, file)),
        }
    }
}

/// An alias must lead to one api.
fn check_aliases(apis: &[(String, String, ApiFile)], problems: &mut Vec<Problem>) {
    let mut seen: Vec<(&str, &String)> =
        apis.iter().map(|(file, _, api)| (api.api.as_str(), file)).collect();
    for (file, text, api) in apis {
        for alias in &api.aliases {
            match seen.iter().find(|(other, first)| other == alias && *first != file) {
                Some((_, first)) => {
                    problems.push(definition::duplicate(file, text, alias, first));
                }
                None => seen.push((alias, file)),
            }
        }
    }
}
