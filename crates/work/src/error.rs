//! What can go wrong when something is done: the other rooms' errors, and a few of its own.

use std::io;
use std::path::PathBuf;

use restway_connect::{CallError, InvalidEgress};
use restway_model::definition::Problem;
use restway_model::{Code, Explain, Name, Place, RunId, TableName};
use restway_store::StoreError;
use restway_tables::TableError;

use crate::{ExportError, WebhookError};

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A table could not be written or read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The metadata store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A webhook brought no outputs.
    #[error(transparent)]
    Webhook(Box<WebhookError>),
    /// An export did not begin, or ended before all its rows were sent.
    #[error(transparent)]
    Export(Box<ExportError>),
    /// No workspace here.
    #[error("no `restway.yaml` in {} or above it", .start.display())]
    NoWorkspace {
        /// Where the search began.
        start: PathBuf,
    },
    /// There is a file that must not be overwritten.
    #[error("{} is there already", .file.display())]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// Definition files with problems; never empty.
    #[error("{}", problems_line(.0))]
    Definitions(Vec<Problem>),
    /// A name that no definition has.
    #[error("there is no {what} `{name}`")]
    Unknown {
        /// `api`, `resource`.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// The nearest name that there is.
        suggestion: Option<String>,
    },
    /// A source of an app that cannot be opened.
    #[error("the source `{name}` of the app `{app}`: {problem}")]
    Source {
        /// The app.
        app: String,
        /// The source.
        name: String,
        /// What is wrong; never the address.
        problem: String,
    },
    /// A saved query that cannot be used.
    #[error("`{file}` {problem}")]
    SavedQuery {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A live table is larger than a query may read.
    #[error("`live.{resource}` {bound}; a query reads no more of it")]
    LiveBound {
        /// The resource.
        resource: TableName,
        /// `has more than 10 pages`.
        bound: String,
    },
    /// A resource that no query may call.
    #[error("`{resource}` cannot be asked live: {why}")]
    LiveRefused {
        /// The resource.
        resource: TableName,
        /// What it is.
        why: String,
    },
    /// Nothing to sync.
    #[error("the workspace defines no resources")]
    NoResources,
    /// The parent of a `for_each` failed in this run.
    #[error("`{parent}` failed, and `{resource}` is read for each of its rows")]
    ParentFailed {
        /// The resource that was to be read.
        resource: TableName,
        /// The one that it needs.
        parent: TableName,
    },
    /// More parents than the bound.
    #[error("`{parent}` has more than {limit} rows, the bound of a `for_each`")]
    TooManyParents {
        /// The parent's table.
        parent: TableName,
        /// The bound.
        limit: usize,
    },
    /// A parent's row without a column that the child needs.
    #[error("`{parent}` has no column `{column}`, which `{resource}` asks for")]
    NoParentColumn {
        /// The child.
        resource: Name,
        /// The parent's table.
        parent: TableName,
        /// The column.
        column: String,
    },
    /// A parent's row that cannot be read back.
    #[error("a row of `{parent}` cannot be read")]
    ParentRow {
        /// The parent's table.
        parent: TableName,
        /// Why.
        source: serde_json::Error,
    },
    /// Some of the parents' rows could not be read for; the others were.
    #[error("{failed} of {of} parents of `{resource}` failed; the others are committed")]
    ParentsFailed {
        /// The child.
        resource: TableName,
        /// How many failed.
        failed: usize,
        /// How many there are to read for.
        of: usize,
        /// What the first of them came to.
        source: Box<WorkError>,
    },
    /// A cursor of an earlier sync that its definition does not fit any more.
    #[error("`{resource}` came to `{cursor}`, which is no `{format}`")]
    CursorUnreadable {
        /// The resource.
        resource: TableName,
        /// What was kept.
        cursor: String,
        /// What `send.as` says.
        format: String,
    },
    /// What the cursor is has changed since the sync before.
    #[error(
        "the cursor of `{resource}` was `{before}` and is `{now}` now: how far it came is not known"
    )]
    CursorChanged {
        /// The resource.
        resource: TableName,
        /// The field and format that the sync before went by.
        before: String,
        /// What the definition says.
        now: String,
    },
    /// Rows that cannot be told apart from those of the next sync.
    #[error("more than {limit} records of `{resource}` have its highest cursor, `{cursor}`")]
    BorderFull {
        /// The resource.
        resource: TableName,
        /// The cursor.
        cursor: String,
        /// How many can be told apart.
        limit: usize,
    },
    /// A table lacks batches that the journal knows as landed.
    #[error(
        "`{table}` has the batches up to {landed}, and {recorded} landed: somebody put back an \
         older state of it"
    )]
    TableBehind {
        /// The table.
        table: TableName,
        /// The newest batch that the table has.
        landed: u64,
        /// The newest batch that landed.
        recorded: u64,
    },
    /// More windows than the bound; those that were walked are committed.
    #[error("`{resource}` has more than {limit} windows to walk; those are committed")]
    TooManyWindows {
        /// The resource.
        resource: TableName,
        /// The bound.
        limit: usize,
    },
    /// A page that an earlier sync was to go on after, and that the api does not know any more.
    #[error("`{resource}` cannot go on after page {page}, where an earlier sync ended")]
    ResumeRefused {
        /// The resource.
        resource: TableName,
        /// The last page that landed.
        page: u64,
        /// What the api answered.
        source: Box<WorkError>,
    },
    /// A file that has no name of its own.
    #[error("the name `{name}` of the files of `{resource}` {problem}")]
    FileName {
        /// The resource.
        resource: TableName,
        /// The name as it is written.
        name: String,
        /// What is wrong with what it makes.
        problem: String,
    },
    /// A run of which no pages are kept.
    #[error("no pages of the run {run} are kept")]
    NothingKept {
        /// The run.
        run: RunId,
    },
    /// A resource whose kept pages cannot be landed again.
    #[error("`{resource}` cannot be replayed: {why}")]
    NotReplayed {
        /// The resource.
        resource: TableName,
        /// What stands against it.
        why: String,
    },
    /// A batch that is recorded, and that its tables do not take.
    #[error("batch {sequence} of `{resource}` is recorded, and cannot be brought into its tables")]
    Unfinished {
        /// The resource.
        resource: TableName,
        /// The batch.
        sequence: u64,
        /// What stands against it.
        source: Box<WorkError>,
    },
    /// A batch of the journal that this version cannot read.
    #[error("batch {sequence} of `{stream}` in the journal cannot be read or written")]
    Journal {
        /// The stream.
        stream: String,
        /// The batch.
        sequence: u64,
        /// Why.
        source: serde_json::Error,
    },
    /// A file that is not what it was said to be.
    #[error("{file} cannot be landed: {problem}")]
    Unreadable {
        /// The file.
        file: String,
        /// What is wrong, and where.
        problem: String,
    },
    /// A file was to be landed where an api's resources are.
    #[error("a file lands in a table of the lake, and `{table}` is none")]
    NotOfTheLake {
        /// What was asked for.
        table: TableName,
    },
    /// An entry of `egress.allow` that is none.
    #[error(transparent)]
    Egress(InvalidEgress),
    /// The thread that shapes records ended before the pages did; its own error says why.
    #[error("the tables stopped taking records")]
    ShaperEnded,
    /// Somebody asked the run to stop.
    #[error("the run was asked to stop; what was committed stays")]
    Stopped,
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] io::Error),
    /// A thread of ours ended in a panic.
    #[error("a task of this run ended unexpectedly")]
    Task(#[from] tokio::task::JoinError),
}

fn problems_line(problems: &[Problem]) -> String {
    match problems {
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
        [] => "no problem".into(),
    }
}

impl From<ExportError> for WorkError {
    fn from(error: ExportError) -> Self {
        Self::Export(Box::new(error))
    }
}

impl WorkError {
    /// Whether an api was out, so that asking again later may well do.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Call(error) => error.is_outage(),
            Self::ParentsFailed { source, .. } | Self::ResumeRefused { source, .. } => {
                source.is_outage()
            }
            Self::ParentFailed { .. } => true,
            _ => false,
        }
    }
}

impl Explain for WorkError {
    fn code(&self) -> Code {
        match self {
            Self::Call(error) => error.code(),
            Self::Table(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Webhook(error) => error.code(),
            Self::Export(error) => error.code(),
            Self::NoWorkspace { .. } => Code::WorkspaceMissing,
            Self::Exists { .. } => Code::WorkspaceExists,
            Self::Definitions(_) => Code::DefinitionInvalid,
            Self::Unknown { .. } | Self::NoResources | Self::NoParentColumn { .. } => {
                Code::DefinitionMissing
            }
            Self::Unreadable { .. } => Code::ImportInvalid,
            Self::NotOfTheLake { .. } => Code::ArgumentInvalid,
            Self::LiveBound { .. } => Code::LiveBound,
            Self::LiveRefused { .. } => Code::LiveRefused,
            Self::ParentFailed { .. } | Self::TooManyParents { .. } => Code::RunFailed,
            Self::ParentsFailed { source, .. }
            | Self::ResumeRefused { source, .. }
            | Self::Unfinished { source, .. } => source.code(),
            Self::CursorUnreadable { .. }
            | Self::CursorChanged { .. }
            | Self::BorderFull { .. }
            | Self::TooManyWindows { .. } => Code::RunFailed,
            Self::TableBehind { .. } => Code::TableConflict,
            Self::FileName { .. } => Code::FileName,
            Self::NothingKept { .. } | Self::NotReplayed { .. } => Code::ReplayRefused,
            Self::Stopped => Code::Interrupted,
            Self::File(error) if error.kind() == io::ErrorKind::StorageFull => Code::DiskFull,
            Self::File(_) => Code::FileFailed,
            Self::Egress(_) | Self::Source { .. } | Self::SavedQuery { .. } => {
                Code::DefinitionInvalid
            }
            Self::Journal { .. } => Code::StoreFailed,
            Self::ParentRow { .. } => Code::TableDamaged,
            Self::ShaperEnded | Self::Task(_) => Code::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Call(error) => error.hints(),
            Self::Table(error) => error.hints(),
            Self::Store(error) => error.hints(),
            Self::Webhook(error) => error.hints(),
            Self::Export(error) => error.hints(),
            Self::NoWorkspace { .. } => {
                vec!["make one with `restway init`, or name its folder with `-C DIR`".into()]
            }
            Self::Source { .. } => {
                vec![
                    "write its `url` as `postgres://user@host/database`, or as `${secret.NAME}`"
                        .into(),
                ]
            }
            Self::SavedQuery { .. } => {
                vec!["a header knows `title` and `params`, between two lines `---`".into()]
            }
            Self::Exists { .. } => vec!["move it away first, or choose another name".into()],
            Self::Definitions(problems) => problems.first().map_or(vec![], Explain::hints),
            Self::Unknown { suggestion: Some(near), .. } => vec![format!("did you mean `{near}`?")],
            Self::Unknown { .. } => vec!["`restway check` lists what is defined".into()],
            Self::LiveBound { resource, .. } => vec![
                "narrow it by `where PARAM = VALUE`, for a parameter under `live.params`".into(),
                format!("or `restway sync {resource}` and ask `{resource}`"),
                "or raise the bound under `live` of the resource".into(),
            ],
            Self::LiveRefused { resource, .. } => {
                vec![format!("`restway sync {resource}`, and ask the table `{resource}`")]
            }
            Self::NoResources => {
                vec!["write `apis/NAME.yaml`, or let `restway probe URL` write it".into()]
            }
            Self::ParentsFailed { source, .. } => source.hints(),
            Self::CursorUnreadable { resource, .. }
            | Self::CursorChanged { resource, .. }
            | Self::ResumeRefused { resource, .. } => {
                vec![format!("`restway sync {resource} --full` reads everything anew")]
            }
            Self::TooManyWindows { .. } => {
                vec!["a longer `window` needs fewer; the same command walks the next".into()]
            }
            Self::TableBehind { table, .. } => vec![
                "bring back the tables that belong to this `.restway/restway.db`".into(),
                format!("or read everything anew: `restway sync {table} --full`"),
            ],
            Self::BorderFull { .. } => vec![
                "`settle: 1m` under `incremental` leaves open what is still being written, and \
                 needs no border"
                    .into(),
            ],
            Self::Unfinished { resource, source, .. } => {
                let give_up = format!(
                    "or `restway tables drop {resource}` gives it up; the sync that follows lands \
                     everything anew"
                );
                [source.hints(), vec![give_up]].concat()
            }
            Self::NothingKept { .. } => {
                vec!["`keep_raw: true` keeps the pages of the syncs that follow".into()]
            }
            Self::NotReplayed { resource, .. } => {
                vec![format!("`restway sync {resource} --full` reads everything anew")]
            }
            Self::FileName { .. } => {
                vec![
                    "put what tells the rows apart into `files.name`, as in `${parent.id}.pdf`"
                        .into(),
                ]
            }
            Self::NotOfTheLake { .. } => {
                vec!["name it `lake.NAME`, without `__` in it".into()]
            }
            Self::Stopped => vec!["run the same command again to do the rest".into()],
            _ => Vec::new(),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::Call(error) => error.place(),
            Self::Definitions(problems) => problems.first().and_then(Explain::place),
            _ => None,
        }
    }
}
