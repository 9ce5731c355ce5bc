//! The folder of tables: what lands in it, what is in it, and what can be asked of it.
//!
//! In: landings, names, SQL. Out: intakes, summaries, answers. This is the room's only door; each
//! of its functions shows the stages that it runs through in order. `{root}/{api}/{resource}` is a
//! plain Delta table, and nothing but those folders is the state: there is no catalog beside them
//! that could disagree.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use restway_model::definition::ColumnRule;
use restway_model::{ColumnType, Limits, Name, Observer, RecordPath, TableName, nearest};
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::asked::Asked;
use crate::build::Stamp;
use crate::commit;
use crate::compact::{self, Compacted};
use crate::delta::{self, Opened, is_table, open};
use crate::error::TableError;
use crate::gone;
use crate::history::{self, TableVersion};
use crate::live::{LiveIntake, LiveTable};
use crate::maps::Nesting;
use crate::moment::{AsOf, Moment, check_files};
use crate::naming::{SEPARATOR, may_be_child, rejects_table};
use crate::profile::{self, Profile};
use crate::query;
use crate::revise::{self, Revision, Turn};
use crate::shape::{Policy, Shape, TableDef};
use crate::stage::{Base, BaseFile, Intake, Settings};
use crate::staged::StagedBatch;
use crate::vacuum;
use crate::write::part_prefix;
use crate::{CommittedTable, LakeSettings, Landing, LoadMode, Tally};

/// Names that a hint is looked for among.
const CANDIDATES_MAX: usize = 200;

/// What every part of the room needs.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) root: Arc<Path>,
    pub(crate) spill: Arc<Path>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Shared {
    pub(crate) fn folder(&self, name: &TableName) -> PathBuf {
        delta::folder(&self.root, name)
    }

    /// The names of all tables, sorted.
    pub(crate) fn names(&self) -> Result<Vec<TableName>, TableError> {
        let mut names = Vec::new();
        for api in folders(&self.root)? {
            for table in folders(&self.root.join(api.as_str()))? {
                let name = TableName::new(api.clone(), table);
                if is_table(&self.folder(&name)) {
                    names.push(name);
                }
            }
        }
        names.sort();
        Ok(names)
    }

    /// The error for a table that is not there.
    pub(crate) fn missing(&self, name: &str) -> TableError {
        let names = self.names().unwrap_or_default();
        let texts: Vec<String> =
            names.iter().take(CANDIDATES_MAX).map(TableName::to_string).collect();
        let in_any_api = || {
            texts.iter().find(|text| text.split_once('.').is_some_and(|(_, table)| table == name))
        };
        let near = nearest(name, texts.iter().map(String::as_str)).map(str::to_owned);
        let nearest = near.or_else(|| in_any_api().cloned());
        TableError::TableMissing { name: name.to_owned(), nearest }
    }
}

/// The valid names among a folder's folders; none where there is no folder.
pub(crate) fn folders(folder: &Path) -> Result<Vec<Name>, TableError> {
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(TableError::file(folder, error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| TableError::file(folder, error))?;
        if let Some(name) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && entry.path().is_dir()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Where the rows of a child table come from: its `_parent_id` is the `_row_id` of that table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListOf {
    /// The table whose records hold the list.
    pub table: TableName,
    /// The list's place in those records.
    pub path: String,
}

/// A table in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSummary {
    /// The table.
    pub name: TableName,
    /// The list that its rows come from; none for a resource's own table.
    pub list: Option<ListOf>,
    /// Rows, as the log counts them; none when another writer left them out.
    pub rows: Option<u64>,
    /// Bytes of its data files.
    pub bytes: u64,
    /// Its data files.
    pub files: u64,
    /// Its newest version.
    pub version: u64,
    /// Its columns, those that Restway adds included.
    pub columns: u64,
}

/// A table's name, and what is known of it or why nothing is.
pub type ListedTable = (TableName, Result<TableSummary, TableError>);

/// Removes the files of a batch that a process left when it died before recording it. No table
/// has the batch, so no log names them.
fn sweep(shared: &Shared, landing: &Landing) -> Result<(), TableError> {
    let resource = &landing.resource;
    let prefix = part_prefix(&landing.stream, landing.sequence);
    let children = format!("{}{SEPARATOR}", resource.table);
    for table in folders(&shared.root.join(resource.api.as_str()))? {
        let name = TableName::new(resource.api.clone(), table);
        if name != *resource && !name.table.as_str().starts_with(&children) {
            continue;
        }
        let folder = shared.folder(&name);
        let entries =
            fs_err::read_dir(&folder).map_err(|error| TableError::file(&folder, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| TableError::file(&folder, error))?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                let path = entry.path();
                fs_err::remove_file(&path).map_err(|error| TableError::file(&path, error))?;
            }
        }
    }
    Ok(())
}

/// A table by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDetail {
    /// What the list shows of it.
    pub summary: TableSummary,
    /// Its columns in order.
    pub columns: Vec<ColumnDetail>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDetail {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
    /// Where its values stand in a record of the table; none for columns that Restway adds.
    pub path: Option<String>,
}

/// The tables of a resource.
struct Family {
    bases: Vec<Base>,
    /// That of its rejects.
    rejects: Option<TableDef>,
    /// Names of tables that look like its child tables and are another resource's.
    foreign: HashSet<String>,
}

/// A folder of tables. Cloning is cheap.
#[derive(Clone)]
pub struct Lake {
    shared: Shared,
}

impl Lake {
    /// Opens a folder of tables, making it if need be.
    pub fn open(settings: LakeSettings) -> Result<Self, TableError> {
        let LakeSettings { root, limits, observer, spill } = settings;
        let absolute = |path: PathBuf| {
            fs_err::create_dir_all(&path)
                .and_then(|()| std::path::absolute(&path))
                .map_err(|error| TableError::file(&path, error))
        };
        let (root, spill) = (absolute(root)?, std::path::absolute(&spill).unwrap_or(spill));
        let (root, spill, limits) = (root.into(), spill.into(), Arc::new(limits));
        Ok(Self { shared: Shared { root, spill, limits, observer } })
    }

    /// Begins a landing: reads what the resource's tables are, and gives the way into a batch.
    pub async fn begin(&self, landing: Landing) -> Result<Intake, TableError> {
        let shared = &self.shared;
        let resource = &landing.resource;
        let family = self.family(resource, &landing.stream, landing.sequence).await?;
        let history = landing.mode == LoadMode::History;
        let root = family.bases.iter().find(|base| base.def.name == *resource);
        if let Some(root) = root.filter(|base| base.def.history != history) {
            let table = resource.clone();
            return Err(TableError::LoadChanged { table, history: root.def.history });
        }
        sweep(shared, &landing)?;
        let mut nesting = Nesting::new(landing.json, landing.columns, &shared.limits);
        // A contract that is closed refuses what is new before it could become a map.
        let is_open = landing.contract.columns == ColumnRule::Evolve || root.is_none();
        nesting.keys_max = nesting.keys_max.filter(|_| is_open && landing.maps.is_some());
        nesting.maps = landing.maps.unwrap_or_default();
        let policy = Policy {
            types: landing.types,
            nest_depth: landing.nest_depth,
            nesting,
            columns_max: shared.limits.columns_max,
            tables_max: shared.limits.child_tables_max,
            foreign: family.foreign,
            history,
        };
        let known: Vec<TableDef> = family.bases.iter().map(|base| base.def.clone()).collect();
        let shape = Shape::new(resource, &known, policy)?;
        let fetched_micros = landing.fetched_at.timestamp_micros();
        let stamp = Stamp { run: landing.run.0.clone(), fetched_micros };
        let header = StagedBatch {
            stream: landing.stream,
            sequence: landing.sequence,
            resource: landing.resource,
            mode: landing.mode,
            run: landing.run,
            tables: Vec::new(),
            tally: Tally::default(),
        };
        let gone = match landing.gone {
            Some(gone) => gone::find(shared, gone).await?,
            None => None,
        };
        let settings = Settings {
            key: landing.key,
            deletes: landing.deletes,
            gone,
            contract: landing.contract,
            max_rejects: landing.max_rejects,
        };
        let before = (family.bases, family.rejects);
        Intake::new(shared.clone(), header, stamp, before, shape, settings)
    }

    /// The tables of a resource.
    ///
    /// # Errors
    /// [`TableError::JournalBehind`] when one of them has the batch that is to begin: its rows
    /// would be taken for landed, and lost.
    async fn family(
        &self,
        resource: &TableName,
        stream: &str,
        sequence: u64,
    ) -> Result<Family, TableError> {
        let shared = &self.shared;
        let mut bases = Vec::new();
        let mut rejects = None;
        let rejected = rejects_table(resource);
        let mut foreign = HashSet::from([rejected.table.to_string()]);
        let mut candidates = Vec::new();
        for table in folders(&shared.root.join(resource.api.as_str()))? {
            let name = TableName::new(resource.api.clone(), table);
            if name == *resource || may_be_child(resource, &name) {
                if let Some(opened) = open(&shared.root, &name).await? {
                    candidates.push((opened.def(&name), opened));
                }
            } else if is_table(&shared.folder(&name)) {
                foreign.insert(name.table.to_string());
            }
        }
        let mut family = HashSet::from([resource.clone()]);
        // A child's child is found in the round after its parent; nesting bounds the rounds.
        for _ in 0..=candidates.len() {
            let before = family.len();
            for (def, _) in &candidates {
                if def.parent.as_ref().is_some_and(|(parent, _)| family.contains(parent)) {
                    family.insert(def.name.clone());
                }
            }
            if family.len() == before {
                break;
            }
        }
        for (def, opened) in candidates {
            let is_rejects = def.name == rejected;
            if is_rejects || family.contains(&def.name) {
                let landed = commit::landed(&opened, &def.name, stream).await?;
                if let Some(landed) = landed.filter(|landed| *landed >= sequence) {
                    return Err(TableError::JournalBehind { table: def.name, landed, sequence });
                }
                if is_rejects {
                    rejects = Some(def);
                    continue;
                }
                let file =
                    |file: delta::ActiveFile| BaseFile { path: file.path, stats: file.stats };
                let files = opened.files().into_iter().map(file).collect();
                bases.push(Base { def, files });
            } else {
                foreign.insert(def.name.table.to_string());
            }
        }
        Ok(Family { bases, rejects, foreign })
    }

    /// Makes a batch visible in all its tables. A batch that is visible already stays as it is, so
    /// this can be repeated after any failure, by any process.
    pub async fn commit(&self, batch: &StagedBatch) -> Result<Vec<CommittedTable>, TableError> {
        commit::commit(&self.shared, batch).await
    }

    /// Removes the files of a batch that were never committed; tables that have the batch keep
    /// them.
    pub async fn discard(&self, batch: &StagedBatch) -> Result<(), TableError> {
        commit::discard(&self.shared, batch).await
    }

    /// All tables, sorted by name; one that cannot be opened with what is wrong with it.
    pub async fn tables(&self) -> Result<Vec<ListedTable>, TableError> {
        let mut tables = Vec::new();
        for name in self.shared.names()? {
            match open(&self.shared.root, &name).await {
                Ok(None) => {}
                Ok(Some(opened)) => tables.push((name.clone(), Ok(summary(&name, &opened)))),
                Err(error) => tables.push((name, Err(error))),
            }
        }
        Ok(tables)
    }

    /// The newest versions of a table, newest first.
    pub async fn history(
        &self,
        name: &TableName,
        versions_max: usize,
    ) -> Result<Vec<TableVersion>, TableError> {
        self.opened(name).await?;
        history::history(&self.shared, name, versions_max).await
    }

    /// What the columns of a table hold, from one pass over its rows.
    pub async fn profile(&self, name: &TableName) -> Result<Profile, TableError> {
        let opened = self.opened(name).await?;
        check_files(&self.shared, name, &opened, None)?;
        profile::profile(&self.shared, name, &opened).await
    }

    /// Makes few large files of many small ones; the rows stay the same. Must not run beside a
    /// commit to the table.
    pub async fn compact(&self, name: &TableName) -> Result<Compacted, TableError> {
        compact::compact(&self.shared, name).await
    }

    /// The way of a resource's tables back to what they were, for [`Lake::revise`], and the newest
    /// batch that they had then.
    ///
    /// # Errors
    /// A moment whose files are gone, or a table that is a list inside another's records.
    pub async fn restore(
        &self,
        name: &TableName,
        moment: Moment,
        turn: Turn,
    ) -> Result<(Revision, Option<u64>), TableError> {
        revise::restore(&self.shared, name, moment, turn).await
    }

    /// The removal of a resource's tables, for [`Lake::revise`], and of those that batches of it
    /// wait for.
    ///
    /// # Errors
    /// No such table, or one that is a list inside another's records.
    pub async fn dropped(
        &self,
        name: &TableName,
        turn: Turn,
        waiting: Vec<TableName>,
    ) -> Result<Revision, TableError> {
        revise::dropped(&self.shared, name, turn, waiting).await
    }

    /// A table and the tables of the lists in its records, which are restored and dropped with it.
    ///
    /// # Errors
    /// A table that is such a list itself.
    pub async fn family_of(&self, name: &TableName) -> Result<Vec<TableName>, TableError> {
        if !is_table(&self.shared.folder(name)) {
            return Err(self.shared.missing(&name.to_string()));
        }
        Ok(revise::family(&self.shared, name).await?.into_iter().collect())
    }

    /// Carries a revision out. Can be repeated after any failure, by any process; must not run
    /// beside a commit to the tables.
    pub async fn revise(&self, revision: &Revision) -> Result<(), TableError> {
        revise::revise(&self.shared, revision).await
    }

    async fn opened(&self, name: &TableName) -> Result<Opened, TableError> {
        let opened = open(&self.shared.root, name).await?;
        opened.ok_or_else(|| self.shared.missing(&name.to_string()))
    }

    /// Removes the data files that only versions older than `age` need, and says how many. Must
    /// not run beside a commit to the table.
    pub async fn vacuum(&self, name: &TableName, age: Duration) -> Result<u64, TableError> {
        self.opened(name).await?;
        vacuum::vacuum(&self.shared.folder(name), name, age).await
    }

    /// Whether there is such a table.
    pub async fn has(&self, name: &TableName) -> Result<bool, TableError> {
        Ok(open(&self.shared.root, name).await?.is_some())
    }

    /// The newest batch of the stream that the table has, 0 for none; none without the table.
    pub async fn landed(&self, name: &TableName, stream: &str) -> Result<Option<u64>, TableError> {
        let Some(opened) = open(&self.shared.root, name).await? else { return Ok(None) };
        Ok(Some(commit::landed(&opened, name, stream).await?.unwrap_or(0)))
    }

    /// One table and its columns.
    pub async fn table(&self, name: &TableName) -> Result<TableDetail, TableError> {
        let opened = self.opened(name).await?;
        let columns = opened.columns().into_iter().map(|column| ColumnDetail {
            name: column.name,
            kind: column.kind,
            path: Some(column.path).filter(|path| !path.is_empty()),
        });
        Ok(TableDetail { summary: summary(name, &opened), columns: columns.collect() })
    }

    /// Runs a read-only query; `params` are the values of `$name` in it.
    pub async fn query(
        &self,
        sql: &str,
        params: &[(String, serde_json::Value)],
    ) -> Result<Answer, TableError> {
        query::run(&self.shared, sql, params, &AsOf::default(), Vec::new()).await
    }

    /// The live tables that a query names, `live.api.resource`, which [`Lake::query_with`] wants
    /// filled.
    ///
    /// # Errors
    /// No query, or one that asks what live tables were at another time.
    pub fn live_tables(
        &self,
        sql: &str,
        params: &[(String, serde_json::Value)],
        as_of: &AsOf,
    ) -> Result<Vec<Asked>, TableError> {
        query::live(&self.shared, sql, params, as_of)
    }

    /// Begins to fill a live table: `types` and `json` as in a [`Landing`].
    pub async fn begin_live(
        &self,
        resource: &TableName,
        types: BTreeMap<String, ColumnType>,
        json: Vec<RecordPath>,
    ) -> Result<LiveIntake, TableError> {
        let landed = open(&self.shared.root, resource).await?.map(|opened| opened.def(resource));
        LiveIntake::new(&self.shared, resource, landed, types, json)
    }

    /// Runs a read-only query over tables as they were, and live ones.
    pub async fn query_with(
        &self,
        sql: &str,
        params: &[(String, serde_json::Value)],
        as_of: &AsOf,
        live: Vec<LiveTable>,
    ) -> Result<Answer, TableError> {
        query::run(&self.shared, sql, params, as_of, live).await
    }
}

fn summary(name: &TableName, opened: &Opened) -> TableSummary {
    let files = opened.files();
    TableSummary {
        name: name.clone(),
        list: opened.def(name).parent.map(|(table, path)| ListOf { table, path }),
        rows: files.iter().map(|file| file.rows).sum(),
        bytes: files.iter().map(|file| file.bytes).sum(),
        files: files.len() as u64,
        version: opened.version(),
        columns: opened.columns().len() as u64,
    }
}
