//! The apps as they are published: files, with what they only name put in its place.
//!
//! In: app files, their sources and saved queries. Out: the objects of each, ready to be asked, or
//! what is wrong with them. What never happens here: a look at a database; what an object's
//! relation has is read when somebody asks for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use restway_model::definition::{self, AppFile, Object, Origin, Param};
use restway_model::{Code, Explain, Name};

use crate::access::Grants;
use crate::deprecation;
use crate::plan::{Objects, Published};
use crate::source::{Relation, Source};
use crate::statement::Dialect;
use crate::write::Writing;

/// An app, with what its file only names.
#[derive(Clone)]
pub struct App {
    /// The file.
    pub file: AppFile,
    /// Its sources.
    pub sources: BTreeMap<Name, Arc<dyn Source>>,
    /// The saved queries that its objects are published from.
    pub queries: BTreeMap<Name, Saved>,
}

/// A saved query.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Saved {
    /// The statement, with `$name` for its parameters.
    pub sql: String,
    /// What people call it.
    pub title: Option<String>,
    /// Its parameters.
    pub params: BTreeMap<String, Param>,
}

impl From<AppFile> for App {
    /// An app of the workspace's own tables.
    fn from(file: AppFile) -> Self {
        Self { file, sources: BTreeMap::new(), queries: BTreeMap::new() }
    }
}

/// Apps that cannot be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Two files describe the same app.
    #[error("the app `{app}` is defined twice")]
    AppTwice {
        /// The app.
        app: String,
    },
    /// An object's `from` names nothing that is there.
    #[error("`{app}/{object}` is published from `{from}`, which is not there")]
    NotThere {
        /// The app.
        app: String,
        /// The object.
        object: String,
        /// What stands in the file.
        from: String,
    },
    /// An object without a key has no items that could be addressed, and no stable order.
    #[error("`{app}/{object}` has no key")]
    NoKey {
        /// The app.
        app: String,
        /// The object.
        object: String,
    },
}

impl Explain for PublishError {
    fn code(&self) -> Code {
        Code::DefinitionInvalid
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::AppTwice { .. } => "rename one of the two files' `app`",
            Self::NotThere { .. } => "name a source of the app, a table or a saved query",
            Self::NoKey { .. } => "name the columns that tell items apart in `key`",
        };
        vec![hint.to_owned()]
    }
}

/// The objects of an app.
pub(crate) fn objects(app: &App, lake: &Arc<dyn Source>) -> Result<Objects, PublishError> {
    let mut objects = Objects::new();
    for (name, object) in &app.file.objects {
        let (app_name, object_name) = (app.file.app.to_string(), name.to_string());
        let Some(Behind { source, relation, saved }) = origin(app, object, lake) else {
            let from = object.from.to_string();
            return Err(PublishError::NotThere { app: app_name, object: object_name, from });
        };
        let has_its_own = source.dialect() != Dialect::Lake;
        if object.key.is_empty() && !has_its_own {
            return Err(PublishError::NoKey { app: app_name, object: object_name });
        }
        let deprecated = object.deprecated.as_ref().or(app.file.deprecated.as_ref());
        let published = Published {
            source,
            relation,
            title: saved.title,
            params: saved.params,
            key: object.key.clone(),
            default_fields: object.default_fields.clone(),
            grants: Grants::of(&app.file, name),
            writing: Writing::of(object),
            deprecation: deprecated.map(deprecation::headers),
        };
        objects.insert(object_name, published);
    }
    Ok(objects)
}

/// What an object is published from.
struct Behind {
    source: Arc<dyn Source>,
    relation: Relation,
    /// The saved query; none of its members without one.
    saved: Saved,
}

/// What an object's `from` means.
fn origin(app: &App, object: &Object, lake: &Arc<dyn Source>) -> Option<Behind> {
    let path =
        |names: &[&str]| Relation::Table(names.iter().map(|&name| name.to_owned()).collect());
    let query = |sql: &str, params: &BTreeMap<String, Param>| Relation::Query {
        sql: sql.to_owned(),
        params: params.keys().cloned().collect(),
    };
    let (source, relation, saved) = match object.from.origin(&app.file.sources).ok()? {
        Origin::Lake(name) => (lake, path(&[name.api.as_str(), name.table.as_str()]), None),
        Origin::Live(name) => {
            (lake, path(&[definition::LIVE, name.api.as_str(), name.table.as_str()]), None)
        }
        Origin::Saved(name) => {
            let saved = app.queries.get(&name)?;
            (lake, query(&saved.sql, &saved.params), Some(saved.clone()))
        }
        Origin::Table { source, schema: None, table } => {
            (app.sources.get(source)?, path(&[table]), None)
        }
        Origin::Table { source, schema: Some(schema), table } => {
            (app.sources.get(source)?, path(&[schema, table]), None)
        }
        Origin::Sql { source, sql } => {
            let source = match source {
                Some(source) => app.sources.get(source)?,
                None => lake,
            };
            (source, query(sql, &BTreeMap::new()), None)
        }
    };
    Some(Behind { source: Arc::clone(source), relation, saved: saved.unwrap_or_default() })
}
