//! The Delta log of one table: opened, read and understood.
//!
//! In: a folder. Out: a snapshot, and the table's columns as our own types. The mapping from JSON
//! to columns lives in the log itself, in the metadata of each field (`restway.path`,
//! `restway.type`) and in the table's configuration, so that a table can be copied or restored
//! alone. Tables use protocol 1/2 and no table feature, so every Delta reader reads them; tables
//! of other writers whose features would be read wrongly are refused. Nothing is written here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deltalake_core::kernel::{
    DataType, EagerSnapshot, MetadataValue, PrimitiveType, StructField, StructType,
};
use deltalake_core::logstore::LogStoreRef;
use restway_model::{ColumnType, TableName};

use crate::build::system_columns;
use crate::error::TableError;
use crate::history::versions;
use crate::log;
use crate::naming::path_text;
use crate::shape::{CONTENT, ColumnDef, SYSTEM_COLUMNS, TableDef};

const PATH_KEY: &str = "restway.path";
const TYPE_KEY: &str = "restway.type";
const WIDE_KEY: &str = "restway.wide";
const MAP_KEY: &str = "restway.map";
/// In the configuration of a child table: the table and the list that it comes from.
const PARENT_KEY: &str = "restway.parent";
const LIST_KEY: &str = "restway.list";

/// Reader features of which a table may make use without being read wrongly. Deletion vectors
/// are looked for file by file.
const FEATURES_READ: [&str; 4] =
    ["timestampNtz", "v2Checkpoint", "vacuumProtocolCheck", "deletionVectors"];

/// A table's state at one version.
pub(crate) struct Opened {
    pub(crate) store: LogStoreRef,
    pub(crate) snapshot: EagerSnapshot,
}

/// A data file of a snapshot.
pub(crate) struct ActiveFile {
    /// Within the table's folder.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) rows: Option<u64>,
    /// Bounds of its columns, as Delta writes them.
    pub(crate) stats: Option<String>,
}

/// The folder of a table.
pub(crate) fn folder(root: &Path, name: &TableName) -> PathBuf {
    root.join(name.api.as_str()).join(name.table.as_str())
}

/// Whether a folder holds a Delta table.
pub(crate) fn is_table(folder: &Path) -> bool {
    let Ok(entries) = fs_err::read_dir(folder.join("_delta_log")) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let extension = Path::new(&name).extension();
        extension.is_some_and(|extension| extension == "json" || extension == "parquet")
    })
}

/// Opens a table's newest version; none where there is no table.
pub(crate) async fn open(root: &Path, name: &TableName) -> Result<Option<Opened>, TableError> {
    open_any(root, name, None).await
}

/// Opens a version of a table; none where there is no table.
pub(crate) async fn open_version(
    root: &Path,
    name: &TableName,
    version: u64,
) -> Result<Option<Opened>, TableError> {
    open_any(root, name, Some(version)).await
}

async fn open_any(
    root: &Path,
    name: &TableName,
    version: Option<u64>,
) -> Result<Option<Opened>, TableError> {
    let folder = folder(root, name);
    if !is_table(&folder) {
        return Ok(None);
    }
    let store = log::store(&folder)?;
    let snapshot = EagerSnapshot::try_new(store.as_ref(), version)
        .await
        .map_err(|error| TableError::damaged(name, error));
    let read = match (&snapshot, version) {
        (Ok(snapshot), _) => Some(snapshot.version()),
        // Where nothing can be read, an entry that is torn is why.
        (Err(_), None) => versions(&folder)?.last().copied(),
        (Err(_), asked) => asked,
    };
    read.map_or(Ok(()), |version| log::check_entry(&folder, name, version))?;
    let snapshot = snapshot?;
    check_readable(name, &snapshot)?;
    Ok(Some(Opened { store, snapshot }))
}

/// Refuses what would be read wrongly.
fn check_readable(name: &TableName, snapshot: &EagerSnapshot) -> Result<(), TableError> {
    let refuse = |feature: &str| {
        Err(TableError::Foreign { table: name.to_string(), feature: feature.to_owned() })
    };
    let metadata = snapshot.metadata();
    let mapping = metadata.configuration().get("delta.columnMapping.mode");
    if mapping.is_some_and(|mode| mode != "none") {
        return refuse("column mapping");
    }
    if !metadata.partition_columns().is_empty() {
        return refuse("partitions");
    }
    for feature in snapshot.protocol().reader_features().unwrap_or_default() {
        let feature = feature.to_string();
        if !FEATURES_READ.contains(&feature.as_str()) {
            return refuse(&format!("the feature `{feature}`"));
        }
    }
    if snapshot.log_data().iter().any(|file| file.deletion_vector_descriptor().is_some()) {
        return refuse("deletion vectors");
    }
    Ok(())
}

impl Opened {
    pub(crate) fn version(&self) -> u64 {
        self.snapshot.version()
    }

    /// The files that hold the table's rows at this version.
    pub(crate) fn files(&self) -> Vec<ActiveFile> {
        let files = self.snapshot.log_data();
        files
            .iter()
            .map(|file| ActiveFile {
                path: file.path().into_owned(),
                bytes: u64::try_from(file.size()).unwrap_or(0),
                rows: file.num_records().and_then(|rows| u64::try_from(rows).ok()),
                stats: file.stats(),
            })
            .collect()
    }

    /// The table as the shaper knows it.
    pub(crate) fn def(&self, name: &TableName) -> TableDef {
        let list = self.snapshot.metadata().configuration().get(LIST_KEY).cloned();
        let schema = self.snapshot.schema();
        let data = schema.fields().filter(|field| !SYSTEM_COLUMNS.contains(&field.name.as_str()));
        let columns = data.map(column_def).collect();
        let history = schema.fields().any(|field| field.name == CONTENT);
        TableDef { name: name.clone(), parent: self.parent().zip(list), history, columns }
    }

    /// The table whose records have the list that this table is.
    pub(crate) fn parent(&self) -> Option<TableName> {
        let configuration = self.snapshot.metadata().configuration();
        configuration.get(PARENT_KEY).and_then(|parent| parent.parse().ok())
    }

    /// All columns in order, system columns included, for reading and for people.
    pub(crate) fn columns(&self) -> Vec<ColumnDef> {
        self.snapshot.schema().fields().map(column_def).collect()
    }
}

/// A Delta field as a column; fields of other writers are known by their names.
fn column_def(field: &StructField) -> ColumnDef {
    let text = |key: &str| match field.metadata.get(key) {
        Some(MetadataValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let is_system = SYSTEM_COLUMNS.contains(&field.name.as_str());
    let default_path =
        if is_system { String::new() } else { path_text(std::slice::from_ref(&field.name)) };
    let kind = text(TYPE_KEY).and_then(|text| match text.as_str() {
        "null" => Some(ColumnType::Null),
        text => text.parse().ok(),
    });
    let is_set = |key: &str| matches!(field.metadata.get(key), Some(MetadataValue::Boolean(true)));
    ColumnDef {
        name: field.name.clone(),
        path: text(PATH_KEY).unwrap_or(default_path),
        kind: kind.unwrap_or_else(|| column_type(&field.data_type)),
        wide: is_set(WIDE_KEY),
        map: is_set(MAP_KEY),
    }
}

fn column_type(kind: &DataType) -> ColumnType {
    let DataType::Primitive(primitive) = kind else { return ColumnType::Json };
    match primitive {
        PrimitiveType::Boolean => ColumnType::Bool,
        PrimitiveType::Long | PrimitiveType::Integer => ColumnType::Int64,
        PrimitiveType::Short | PrimitiveType::Byte => ColumnType::Int64,
        PrimitiveType::Float | PrimitiveType::Double => ColumnType::Float64,
        PrimitiveType::Date => ColumnType::Date,
        PrimitiveType::Timestamp | PrimitiveType::TimestampNtz => ColumnType::Timestamp,
        PrimitiveType::Decimal(decimal) => {
            ColumnType::Decimal { precision: decimal.precision(), scale: decimal.scale() }
        }
        _ => ColumnType::Text,
    }
}

/// The Delta schema of a table.
pub(crate) fn schema(def: &TableDef) -> Result<StructType, TableError> {
    let (first, last) = system_columns(def.role());
    let mut fields = Vec::new();
    for (name, kind) in first {
        fields.push(system_field(name, kind)?);
    }
    for column in &def.columns {
        let mut metadata = vec![
            (PATH_KEY, MetadataValue::from(column.path.clone())),
            (TYPE_KEY, MetadataValue::from(column.kind.to_string())),
        ];
        if column.wide {
            metadata.push((WIDE_KEY, MetadataValue::Boolean(true)));
        }
        if column.map {
            metadata.push((MAP_KEY, MetadataValue::Boolean(true)));
        }
        let field = StructField::nullable(column.name.clone(), delta_type(column.kind)?);
        fields.push(field.with_metadata(metadata));
    }
    for (name, kind) in last {
        fields.push(system_field(name, kind)?);
    }
    StructType::try_new(fields).map_err(TableError::internal)
}

fn system_field(name: &str, kind: ColumnType) -> Result<StructField, TableError> {
    let metadata = [(TYPE_KEY, MetadataValue::from(kind.to_string()))];
    Ok(StructField::nullable(name, delta_type(kind)?).with_metadata(metadata))
}

fn delta_type(kind: ColumnType) -> Result<DataType, TableError> {
    Ok(match kind {
        ColumnType::Bool => DataType::BOOLEAN,
        ColumnType::Int64 => DataType::LONG,
        ColumnType::Decimal { precision, scale } => {
            DataType::decimal(precision, scale).map_err(TableError::internal)?
        }
        ColumnType::Float64 => DataType::DOUBLE,
        ColumnType::Date => DataType::DATE,
        ColumnType::Timestamp => DataType::TIMESTAMP,
        ColumnType::Null | ColumnType::Text | ColumnType::Json => DataType::STRING,
    })
}

/// The configuration that links a child table to its parent.
pub(crate) fn configuration(def: &TableDef) -> Vec<(String, String)> {
    let Some((parent, list)) = &def.parent else { return Vec::new() };
    vec![(PARENT_KEY.into(), parent.to_string()), (LIST_KEY.into(), list.clone())]
}

/// The schema with which the files of a snapshot are read.
pub(crate) fn arrow_schema(opened: &Opened) -> Arc<arrow::datatypes::Schema> {
    opened.snapshot.arrow_schema()
}
