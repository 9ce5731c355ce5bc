//! `files`: answers that are files, kept as they come.
//!
//! In: the setting as it is written. Out: what each file is called, and what tells that it need not
//! be asked for. A resource with it has one request for each row of its parent (or one alone), and
//! its table has a row for each file. What never happens here: a file opened.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Defaults, Key, Load, Resource};
use crate::{ColumnType, Template};

/// Answers that are files: each is kept below `files/API/RESOURCE/`, and the table has a row for
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// What the file is called; `/` in it makes folders, and what `${parent.…}` brings stays within
    /// one name.
    pub name: Template,
    /// Says which version of the file the parent's row speaks of: a file that is there in this
    /// version is not asked for again.
    pub version: Option<Template>,
}

impl Files {
    /// The columns of a table of files, with their types.
    pub const COLUMNS: [(&'static str, ColumnType); 9] = [
        ("path", ColumnType::Text),
        ("url", ColumnType::Text),
        ("status", ColumnType::Int64),
        ("size", ColumnType::Int64),
        ("sha256", ColumnType::Text),
        ("content_type", ColumnType::Text),
        ("etag", ColumnType::Text),
        ("last_modified", ColumnType::Text),
        ("version", ColumnType::Text),
    ];

    /// What an api's `defaults` mean for files: headers and query alone, and a row for each path.
    pub(super) fn defaults(of_api: &Defaults) -> Defaults {
        Defaults {
            headers: of_api.headers.clone(),
            query: of_api.query.clone(),
            key: Some(Key::One("path".to_owned())),
            load: Some(Load::Merge),
            schema: of_api.schema,
            max_rejects: of_api.max_rejects,
            checkpoint: of_api.checkpoint,
            ..Defaults::default()
        }
    }

    /// The declared types of the table, its own columns among them.
    pub(super) fn types(mut own: BTreeMap<String, ColumnType>) -> BTreeMap<String, ColumnType> {
        own.extend(Self::COLUMNS.map(|(name, kind)| (name.to_owned(), kind)));
        own
    }
}

/// The keys of a resource that say how records are read or told apart, which a file has not.
pub(super) fn of_records(own: &Resource) -> impl Iterator<Item = &'static str> {
    let keys = [
        ("records", own.records.is_some()),
        ("records_optional", own.records_optional.is_some()),
        ("format", own.format.is_some()),
        ("archive", own.archive.is_some()),
        ("job", own.job.is_some()),
        ("paginate", own.paginate.is_some()),
        ("key", own.key.is_some()),
        ("deletes", own.deletes != super::Deletes::default()),
        ("incremental", own.incremental.is_some()),
        ("live", own.live != super::Live::default()),
        ("nest", own.nest != super::Nest::default()),
        ("cache", own.cache.is_some()),
        ("keep_raw", own.keep_raw.is_some()),
        ("max_pages", own.max_pages.is_some()),
        ("max_records", own.max_records.is_some()),
        ("fail_when", own.fail_when.is_some()),
    ];
    keys.into_iter().filter(|(_, is_given)| *is_given).map(|(key, _)| key)
}
