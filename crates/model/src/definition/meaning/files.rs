//! What `files` and the keys beside it mean together.
//!
//! In: a resource whose answers are files. Out: problems: a name that could leave the folder, keys
//! that speak of records, and columns that the table of files has itself.

use super::super::files::of_records;
use super::super::{ApiFile, Files, Load, ResourceEntry, ResourceSettings};
use super::Finder;
use crate::{Name, Scope};

pub(super) fn check(
    finder: &mut Finder<'_>,
    api: &ApiFile,
    name: &Name,
    resource: &ResourceSettings,
) {
    let Some(files) = &resource.files else { return };
    let at = |key| ["resources", name.as_str(), key];
    let within = |key| ["resources", name.as_str(), "files", key];
    let scopes: &[Scope] = if resource.for_each.is_some() { &[Scope::Parent] } else { &[] };
    finder.only(&within("name"), &files.name, scopes);
    if let Some(version) = &files.version {
        finder.only(&within("version"), version, scopes);
    }
    if let Some(problem) = name_problem(files.name.source()) {
        let hint = "write it as in `name: ${parent.id}.pdf`".to_owned();
        finder.report(&within("name"), problem, Some(hint));
    }
    if resource.for_each.is_some() && !files.name.references().any(|_| true) {
        let hint = "write what tells the files apart, as in `name: ${parent.id}.pdf`".to_owned();
        finder.report(&within("name"), "each row's file would have the same name", Some(hint));
    }
    if let Some(ResourceEntry::Full(own)) = api.resources.get(name) {
        for key in of_records(own) {
            let message = format!("`{key}` is about records, and each answer here is a file");
            finder.report(&at(key), message, Some("leave it out".to_owned()));
        }
        for (key, columns) in
            [("carry", own.carry.keys().collect::<Vec<_>>()), ("types", own.types.keys().collect())]
        {
            let is_own = |column: &&&String| Files::COLUMNS.iter().any(|(name, _)| name == *column);
            if let Some(column) = columns.iter().find(is_own) {
                let message = format!("`{column}` is a column that every table of files has");
                finder.report(&at(key), message, None);
            }
        }
    }
    if resource.load != Load::Merge {
        let hint = "leave it out: a file takes the place of the one with its name".to_owned();
        finder.report(&at("load"), "files are loaded by `merge` only", Some(hint));
    }
}

/// What is wrong with the text around the references.
fn name_problem(source: &str) -> Option<&'static str> {
    if source.is_empty() {
        return Some("the name is empty");
    }
    if source.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        return Some("a part of the name is empty or begins with a dot");
    }
    if source.contains(['\\', '\0', '\n', '\r']) {
        return Some("a name has no backslash and no line end");
    }
    None
}
