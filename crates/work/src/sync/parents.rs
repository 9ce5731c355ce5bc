//! The rows of a parent table, for a resource that is read for each of them.

use std::collections::{BTreeMap, BTreeSet};

use restway_model::definition::{QueryValue, ResourceSettings};
use restway_model::{Scope, TableName, Template, Values, exact_json};
use restway_tables::IS_CURRENT;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Chosen;
use crate::{WorkError, Workspace};

/// The columns of one parent's row that the child asks for.
pub(super) struct Parent(BTreeMap<String, Box<RawValue>>);

impl Parent {
    /// No parent: for a resource that is read once.
    pub(super) fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// The name under which what is read for this row is kept: the values that its requests are
    /// made from, as a JSON list.
    pub(super) fn name(&self, columns: &BTreeSet<String>) -> String {
        let values: Vec<Box<RawValue>> = columns.iter().map(|column| self.column(column)).collect();
        serde_json::to_string(&values).unwrap_or_default()
    }

    /// A column's value as JSON, to the last digit.
    pub(super) fn column(&self, name: &str) -> Box<RawValue> {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

impl Values for Parent {
    fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
        match scope {
            Scope::Parent => {
                let raw = self.0.get(name).ok_or("is no column of the parent")?;
                exact_json(raw.get().as_bytes()).map_err(|error| error.to_string())
            }
            _ => Err("has no meaning in a sync".into()),
        }
    }
}

impl Workspace {
    /// The parent's rows, with the columns that the child asks for and no others, each set of
    /// values once, in an order that does not change between runs.
    pub(super) async fn parents(
        &self,
        chosen: &Chosen,
        parent: &TableName,
    ) -> Result<Vec<Parent>, WorkError> {
        let columns = columns(chosen);
        let table = self.lake.table(parent).await?;
        if let Some(missing) =
            columns.iter().find(|column| table.columns.iter().all(|own| own.name != **column))
        {
            return Err(WorkError::NoParentColumn {
                resource: chosen.table.table.clone(),
                parent: parent.clone(),
                column: missing.clone(),
            });
        }
        let list: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        let list = list.join(", ");
        let limit = self.limits.parents_max;
        let is_history = table.columns.iter().any(|column| column.name == IS_CURRENT);
        let holds =
            if is_history { format!(" where {}", quoted(IS_CURRENT)) } else { String::new() };
        let sql = format!(
            "select distinct {list} from {}.{}{holds} order by {list} limit {}",
            quoted(parent.api.as_str()),
            quoted(parent.table.as_str()),
            limit + 1
        );
        let rows = self.lake.query(&sql, &[]).await?.json_rows(limit + 1).await?;
        if rows.len() > limit {
            return Err(WorkError::TooManyParents { parent: parent.clone(), limit });
        }
        rows.iter()
            .map(|row| serde_json::from_str(row).map(Parent))
            .collect::<Result<_, _>>()
            .map_err(|source| WorkError::ParentRow { parent: parent.clone(), source })
    }
}

/// Every column that a template of the child or its `carry` names.
fn columns(chosen: &Chosen) -> BTreeSet<String> {
    let mut columns = request_columns(&chosen.settings);
    columns.extend(chosen.settings.carry.values().cloned());
    columns
}

/// Every column of the parent that a request of the child is made from.
pub(super) fn request_columns(settings: &ResourceSettings) -> BTreeSet<String> {
    let mut columns = BTreeSet::new();
    let mut add = |template: &Template| {
        let parents = template.references().filter(|(scope, _)| *scope == Scope::Parent);
        columns.extend(parents.map(|(_, name)| name.to_owned()));
    };
    add(&settings.path);
    if let Some(files) = &settings.files {
        add(&files.name);
        files.version.iter().for_each(&mut add);
    }
    settings.headers.values().for_each(&mut add);
    for value in settings.query.values() {
        if let QueryValue::Text(template) = value {
            add(template);
        }
    }
    let mut texts: Vec<&Value> = settings.json.iter().collect();
    while let Some(value) = texts.pop() {
        match value {
            Value::String(text) => {
                if let Ok(template) = text.parse::<Template>() {
                    add(&template);
                }
            }
            Value::Array(items) => texts.extend(items),
            Value::Object(members) => texts.extend(members.values()),
            _ => {}
        }
    }
    columns
}

/// An identifier in SQL.
pub(super) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
