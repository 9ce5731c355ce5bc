//! Land and query: records of REST APIs as Delta tables, and SQL over them.
//!
//! In: [`Records`](restway_model::Records) by way of an [`Intake`], and SQL. Out: committed tables
//! and [`Answer`]s. Landing is a pipeline of stages, one module each: `parse` (bytes to cells),
//! `infer` (the narrowest exact type), `shape` (which key is which column of which table), `build`
//! and `convert` (columns that widen), `encode` and `write` (Parquet files), `stage` (the batch),
//! `commit` (the Delta logs, on the disk by `log`). Asking is another: `query` (plan and run) over
//! tables as they are or, by `moment` and `history`, were, and over `live` ones, of which `asked`
//! tells what a statement needs; `answer` and `text` (write it out), `columnar` (rows of other
//! sources); `profile` and `sketch` (what columns hold). Keeping is the third: `compact`, `revise`,
//! `vacuum`. `lake` is the door to all.
//!
//! What never happens here: a request over the network, a secret, a decision what to sync. This
//! is the only room that names Arrow, Parquet, DataFusion or Delta, and none of their types is in
//! its public interface: the other rooms see names, JSON values and bytes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use restway_model::definition::{Contract, Deletes, MaxRejects};
use restway_model::{ColumnType, Limits, Observer, RecordPath, RunId, TableName};
use serde::{Deserialize, Serialize};

mod answer;
mod asked;
mod build;
mod columnar;
mod commit;
mod compact;
mod contract;
mod convert;
mod delta;
mod encode;
mod error;
mod gone;
mod history;
mod infer;
mod keys;
mod lake;
mod live;
mod log;
mod maps;
mod merge;
mod moment;
mod naming;
mod parquet_file;
mod parse;
mod profile;
mod query;
mod raw;
mod rejects;
mod revise;
mod rewrite;
mod shape;
mod sketch;
mod stage;
mod staged;
mod text;
mod together;
mod vacuum;
mod write;

pub use answer::{Answer, AnswerColumn, Format};
pub use asked::Asked;
pub use columnar::{ExactKind, RowsWriter};
pub use compact::Compacted;
pub use error::{Cause, TableError};
pub use gone::Gone;
pub use history::TableVersion;
pub use lake::{ColumnDetail, Lake, ListOf, ListedTable, TableDetail, TableSummary};
pub use live::{LiveIntake, LiveTable};
pub use maps::MapPath;
pub use merge::Tally;
pub use moment::{AsOf, InvalidMoment, Moment};
pub use parquet_file::ParquetFile;
pub use profile::{ColumnProfile, FrequentValue, Profile};
pub use revise::{Revision, Turn};
pub use shape::{IS_CURRENT, SYSTEM_COLUMNS};
pub use stage::Intake;
pub use staged::{SchemaChange, StagedBatch};

/// Where the tables are, and who watches.
pub struct LakeSettings {
    /// The folder of tables: `{root}/{api}/{resource}` is a plain Delta table.
    pub root: PathBuf,
    /// The bounds.
    pub limits: Limits,
    /// Who is told of what happens.
    pub observer: Arc<dyn Observer>,
    /// Where a query puts what does not fit in memory.
    pub spill: PathBuf,
}

/// What a batch does with the rows that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadMode {
    /// They stay, and the batch's rows come to them.
    Append,
    /// The batch takes their place, in the resource's table and in all its child tables. Columns
    /// that were there stay, so that a query goes on working.
    Replace,
    /// A row of the batch takes the place of the one with the same key, with the rows of its
    /// lists; the others stay.
    Merge,
    /// As merge, but a row that gives way or goes stays with the rows of its lists, closed at the
    /// time of the batch; a record that is there as it is adds nothing.
    History,
}

impl LoadMode {
    /// Whether rows are told apart by their key.
    pub(crate) fn is_keyed(self) -> bool {
        matches!(self, Self::Merge | Self::History)
    }
}

/// One batch of one resource, before its first record.
#[derive(Debug, Clone)]
pub struct Landing {
    /// The resource, which is also its table.
    pub resource: TableName,
    /// The name under which batches are numbered, the same for all batches of a resource.
    pub stream: String,
    /// The number of the batch: 1, 2, 3…
    pub sequence: u64,
    /// The run that lands it.
    pub run: RunId,
    /// When its records were fetched.
    pub fetched_at: DateTime<Utc>,
    /// What becomes of the rows that are there.
    pub mode: LoadMode,
    /// The fields that tell records apart, for a batch that is merged.
    pub key: Vec<String>,
    /// Which rows go. `absent` is for a batch that holds all records there are.
    pub deletes: Deletes,
    /// Rows that go because another table lists their keys.
    pub gone: Option<Gone>,
    /// What may change about tables that have rows.
    pub contract: Contract,
    /// How many records may be put among the rejects.
    pub max_rejects: MaxRejects,
    /// Declared types by column name; a child table's column is `list__column`.
    pub types: BTreeMap<String, ColumnType>,
    /// Lists within lists that become child tables; deeper ones stay JSON.
    pub nest_depth: usize,
    /// Places of a record that stay JSON whatever they hold; positions in lists are not told
    /// apart.
    pub json: Vec<RecordPath>,
    /// Places whose objects are columns however many keys they show.
    pub columns: Vec<RecordPath>,
    /// Objects that were found to have data for keys, and stay JSON; none where a batch cannot be
    /// landed again when one is found, so that none is looked for.
    pub maps: Option<Vec<MapPath>>,
}

/// What a commit did with one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedTable {
    /// The table.
    pub table: TableName,
    /// Its newest version.
    pub version: u64,
    /// Rows of the batch in it.
    pub rows: u64,
    /// Whether this call made them visible; otherwise they were already.
    pub is_new: bool,
}
