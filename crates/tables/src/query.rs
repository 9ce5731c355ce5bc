//! SQL over the tables: parse → allow → open → plan → bind → run.
//!
//! In: one statement and its parameters. Out: a running [`Answer`]. Only statements that read are
//! let through, by the kind of the statement and once more by the plan; no file, URL or function
//! reaches beyond the lake. Each table that the statement names is opened once, so a query sees one
//! version of it from its first row to its last: the newest, or the one of a moment of the past,
//! and the tables of one resource as of one batch (`together`). A
//! table that cannot be opened stops only the queries that name it. Memory is bounded; what does
//! not fit goes to the spill folder or fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, TableProvider,
};
use datafusion::common::{DataFusionError, ParamValues, ScalarValue, SchemaError, TableReference};
use datafusion::config::Dialect;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::execution::context::{SQLOptions, SessionState};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::Statement;
use restway_model::{Event, TableName, chain, nearest};
use url::Url;

use crate::answer::Answer;
use crate::asked::{Asked, LIVE, asked};
use crate::delta::{Opened, arrow_schema};
use crate::error::TableError;
use crate::lake::Shared;
use crate::live::LiveTable;
use crate::moment::{AsOf, Moment, open_at};
use crate::together::open_together;

/// In an Arrow field: the column type in our words.
pub(crate) const TYPE_KEY: &str = "restway.type";

const CATALOG: &str = "restway";
const NO_SCHEMA: &str = "public";
const INFORMATION_SCHEMA: &str = "information_schema";
/// Names that a hint is looked for among.
const CANDIDATES_MAX: usize = 200;

/// Plans a query and begins to run it.
pub(crate) async fn run(
    shared: &Shared,
    sql: &str,
    params: &[(String, serde_json::Value)],
    as_of: &AsOf,
    live: Vec<LiveTable>,
) -> Result<Answer, TableError> {
    let context = session(shared)?;
    let state = context.state();
    let statement = parsed(&state, sql)?;
    let references = state.resolve_table_references(&statement).map_err(|error| refused(&error))?;
    // A function that makes rows, as `range(1, 10)`, stands where a table could.
    let is_function = |reference: &TableReference| {
        reference.schema().is_none() && state.table_functions().contains_key(reference.table())
    };
    let is_filled = |reference: &TableReference| {
        let name = live.iter().find(|table| {
            reference.schema() == Some(table.name.api.as_str())
                && reference.table() == table.name.table.as_str()
        });
        reference.catalog() == Some(LIVE) && name.is_some()
    };
    let is_landed = |reference: &TableReference| !is_function(reference) && !is_filled(reference);
    let references = references.into_iter().filter(is_landed).collect();
    let tables = wanted(shared, references, &statement, is_filled)?;
    register(shared, &context, tables, as_of).await?;
    if !live.is_empty() {
        let live = live.into_iter().map(|table| (table.name, table.rows));
        context.register_catalog(LIVE, catalog(live.collect())?);
    }
    let plan =
        context.state().statement_to_plan(statement).await.map_err(|error| refused(&error))?;
    let read_only =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    read_only.verify_plan(&plan).map_err(|_| not_a_query())?;
    let values: Vec<(String, ScalarValue)> =
        params.iter().map(|(name, value)| (name.clone(), scalar(value))).collect();
    let plan =
        plan.with_param_values(ParamValues::from(values)).map_err(|error| refused(&error))?;
    let frame = context.execute_logical_plan(plan).await.map_err(failed)?;
    let stream = frame.execute_stream().await.map_err(failed)?;
    Ok(Answer::new(stream))
}

/// The live tables of a statement, which are to be filled before it runs.
pub(crate) fn live(
    shared: &Shared,
    sql: &str,
    params: &[(String, serde_json::Value)],
    as_of: &AsOf,
) -> Result<Vec<Asked>, TableError> {
    let statement = parsed(&session(shared)?.state(), sql)?;
    let asked = asked(&statement, params);
    match asked.first() {
        Some(Asked { name, .. }) if as_of.all.is_some() => Err(TableError::QueryInvalid {
            problem: format!("`{LIVE}.{name}` is as it is now, not as of another time"),
            hint: Some("name the other tables: `--as-of acme.orders@12`, once for each".into()),
        }),
        _ => Ok(asked),
    }
}

/// One statement that only reads.
fn parsed(state: &SessionState, sql: &str) -> Result<Parsed, TableError> {
    let statement = state.sql_to_statement(sql, &Dialect::Generic);
    let statement = statement.map_err(|error| refused(&error))?;
    allow(&statement)?;
    Ok(statement)
}

/// A session of its own for each query: its bound of memory is its own too.
pub(crate) fn session(shared: &Shared) -> Result<SessionContext, TableError> {
    let config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, NO_SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true);
    let pool = FairSpillPool::new(shared.limits.query_memory_bytes_max);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_temp_file_path(shared.spill.to_path_buf())
        .build_arc()
        .map_err(TableError::internal)?;
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

/// Lets statements through that can only read.
fn allow(statement: &Parsed) -> Result<(), TableError> {
    match statement {
        Parsed::Explain(explain) => allow(&explain.statement),
        Parsed::Statement(statement) => match statement.as_ref() {
            Statement::Query(_)
            | Statement::Explain { .. }
            | Statement::ExplainTable { .. }
            | Statement::ShowTables { .. }
            | Statement::ShowColumns { .. } => Ok(()),
            _ => Err(not_a_query()),
        },
        _ => Err(not_a_query()),
    }
}

fn not_a_query() -> TableError {
    TableError::QueryInvalid {
        problem: "only statements that read are run here".into(),
        hint: Some("write SELECT, EXPLAIN, DESCRIBE or SHOW TABLES".into()),
    }
}

/// The tables of a query.
struct Wanted {
    /// Those that the statement names.
    named: BTreeSet<TableName>,
    /// Whether it asks which tables there are.
    is_listing: bool,
}

/// The tables that a statement names.
fn wanted(
    shared: &Shared,
    references: Vec<TableReference>,
    statement: &Parsed,
    is_filled: impl Fn(&TableReference) -> bool,
) -> Result<Wanted, TableError> {
    let mut wanted = Wanted { named: BTreeSet::new(), is_listing: false };
    let described = match statement {
        Parsed::Statement(statement) => match statement.as_ref() {
            Statement::ExplainTable { table_name, .. } => {
                Some(TableReference::parse_str(&table_name.to_string()))
            }
            _ => None,
        },
        _ => None,
    };
    let described = described.filter(|reference| !is_filled(reference));
    for reference in references.into_iter().chain(described) {
        if reference.schema() == Some(INFORMATION_SCHEMA) {
            wanted.is_listing = true;
            continue;
        }
        let text = reference.to_string();
        let is_here = reference.catalog().is_none_or(|catalog| catalog == CATALOG);
        let name = reference.schema().and_then(|schema| {
            Some(TableName::new(schema.parse().ok()?, reference.table().parse().ok()?))
        });
        let name = name.filter(|_| is_here).ok_or_else(|| shared.missing(&text))?;
        wanted.named.insert(name);
    }
    Ok(wanted)
}

/// Opens the tables of a query; all tables when it asks which there are.
async fn register(
    shared: &Shared,
    context: &SessionContext,
    wanted: Wanted,
    as_of: &AsOf,
) -> Result<(), TableError> {
    if matches!(as_of.all, Some(Moment::Version(_))) && wanted.named.len() > 1 {
        return Err(TableError::VersionOfMany { tables: wanted.named.len() });
    }
    if let Some(name) = as_of.tables.keys().find(|name| !wanted.named.contains(name)) {
        return Err(TableError::QueryInvalid {
            problem: format!("it does not read `{name}`, which it is to read as of another time"),
            hint: None,
        });
    }
    let mut tables: Vec<(TableName, Arc<dyn TableProvider>)> = Vec::new();
    for (name, opened) in &open_together(shared, &wanted.named, as_of).await? {
        tables.push((name.clone(), provider(shared, name, opened)?));
    }
    if wanted.is_listing {
        for name in shared.names()?.into_iter().filter(|name| !wanted.named.contains(name)) {
            let listed = listed(shared, &name).await?;
            tables.extend(listed.map(|table| (name, table)));
        }
    }
    context.register_catalog(CATALOG, catalog(tables)?);
    Ok(())
}

/// Tables by the schema that each is in.
fn catalog(
    tables: Vec<(TableName, Arc<dyn TableProvider>)>,
) -> Result<Arc<MemoryCatalogProvider>, TableError> {
    let catalog = MemoryCatalogProvider::new();
    let mut schemas: BTreeMap<String, Arc<MemorySchemaProvider>> = BTreeMap::new();
    for (name, table) in tables {
        let schema = schemas.entry(name.api.to_string()).or_default();
        use datafusion::catalog::SchemaProvider;
        schema.register_table(name.table.to_string(), table).map_err(TableError::internal)?;
    }
    for (name, schema) in schemas {
        catalog.register_schema(&name, schema).map_err(TableError::internal)?;
    }
    Ok(Arc::new(catalog))
}

/// A table for a list of tables. One that cannot be opened is in it without columns, and whoever
/// watches is told why.
async fn listed(
    shared: &Shared,
    name: &TableName,
) -> Result<Option<Arc<dyn TableProvider>>, TableError> {
    match open_at(shared, name, None).await {
        Ok(None) => Ok(None),
        Ok(Some(opened)) => provider(shared, name, &opened).map(Some),
        Err(error) => {
            let message = std::iter::once(error.to_string()).chain(chain(&error));
            let message = message.collect::<Vec<_>>().join(": ");
            shared.observer.observe(&Event::Warned { about: name.to_string(), message });
            Ok(Some(Arc::new(EmptyTable::new(Arc::new(Schema::empty())))))
        }
    }
}

/// The files of a snapshot as a table of the engine.
pub(crate) fn provider(
    shared: &Shared,
    name: &TableName,
    opened: &Opened,
) -> Result<Arc<dyn TableProvider>, TableError> {
    let schema = scan_schema(opened);
    let folder = shared.folder(name);
    let mut urls = Vec::new();
    for file in opened.files() {
        let url = Url::from_file_path(folder.join(&file.path))
            .map_err(|()| TableError::internal("a file's path is not absolute"))?;
        urls.push(ListingTableUrl::parse(url.as_str()).map_err(TableError::internal)?);
    }
    if urls.is_empty() {
        return Ok(Arc::new(EmptyTable::new(schema)));
    }
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension("");
    let config = ListingTableConfig::new_with_multi_paths(urls)
        .with_listing_options(options)
        .with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config).map_err(TableError::internal)?))
}

/// The columns of a table for reading: texts as views, and each with our word for its type.
fn scan_schema(opened: &Opened) -> SchemaRef {
    let kinds = opened.columns();
    let schema = arrow_schema(opened);
    let fields = schema.fields().iter().zip(kinds).map(|(field, column)| {
        let data_type = match field.data_type() {
            DataType::Utf8 => DataType::Utf8View,
            other => other.clone(),
        };
        let metadata = [(TYPE_KEY.to_owned(), column.kind.to_string())];
        Field::new(field.name(), data_type, true).with_metadata(metadata.into())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A parameter's value; lists and objects are their JSON text.
pub(crate) fn scalar(value: &serde_json::Value) -> ScalarValue {
    match value {
        serde_json::Value::Null => ScalarValue::Null,
        serde_json::Value::Bool(value) => ScalarValue::from(*value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => ScalarValue::from(int),
            (None, Some(int)) => ScalarValue::Decimal128(Some(i128::from(int)), 20, 0),
            (None, None) => ScalarValue::Float64(number.as_f64()),
        },
        serde_json::Value::String(text) => ScalarValue::from(text.as_str()),
        other => ScalarValue::from(other.to_string().as_str()),
    }
}

/// An error of planning: what was asked is wrong.
fn refused(error: &DataFusionError) -> TableError {
    let problem = first_line(&error.strip_backtrace());
    let hint = match error.find_root() {
        DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let names: Vec<&str> =
                    valid_fields.iter().take(CANDIDATES_MAX).map(|valid| valid.name()).collect();
                nearest(field.name(), names.iter().copied())
                    .map(|name| format!("did you mean the column `{name}`?"))
            }
            _ => None,
        },
        // The planner looks for the nearest function itself, and says so in another line.
        DataFusionError::Plan(text) => text
            .split_once("Did you mean '")
            .and_then(|(_, rest)| rest.split_once('\''))
            .map(|(name, _)| format!("did you mean `{name}`?")),
        _ => None,
    };
    TableError::QueryInvalid { problem, hint }
}

/// An error of running; some mistakes of the statement are only found here.
pub(crate) fn failed(error: DataFusionError) -> TableError {
    match error.find_root() {
        DataFusionError::Plan(_)
        | DataFusionError::SQL(..)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_) => refused(&error),
        DataFusionError::ResourcesExhausted(_) => {
            TableError::QueryMemory { source: Box::new(error) }
        }
        _ => TableError::QueryFailed {
            problem: first_line(&error.strip_backtrace()),
            source: Box::new(error),
        },
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}
