//! What can go wrong with an export as a whole; what becomes of a row is an outcome, not an error.

use restway_model::{Code, Explain, RunId, TableName};

/// Why an export did not begin, or ended before all its rows were sent.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The request or the key names a column that the query does not give.
    #[error("the rows of `{export}` have no column `{column}`, which {place} names")]
    NoColumn {
        /// The export.
        export: TableName,
        /// The column.
        column: String,
        /// Where it is named.
        place: &'static str,
        /// The nearest column that there is.
        suggestion: Option<String>,
    },
    /// Two rows have one key; nothing was sent.
    #[error("two rows of `{export}` have the key {key}; nothing was sent")]
    KeyTwice {
        /// The export.
        export: TableName,
        /// The key.
        key: String,
    },
    /// A row that cannot be read back.
    #[error("a row of `{export}` cannot be read")]
    Row {
        /// The export.
        export: TableName,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A saved query that wants parameters.
    #[error("the query of `{export}` has parameters, and an export gives none")]
    Params {
        /// The export.
        export: TableName,
    },
    /// The first row that was not taken, where one is too many.
    #[error("the row {key} of `{export}` was not taken: {why}")]
    Refused {
        /// The export.
        export: TableName,
        /// The row's key.
        key: String,
        /// The status or the error.
        why: String,
    },
    /// More rows were not taken than allowed.
    #[error("{failed} of {rows} rows of `{export}` were not taken, and `max_errors` is {bound}")]
    TooMany {
        /// The export.
        export: TableName,
        /// How many were refused or are ambiguous.
        failed: u64,
        /// How many this run was to send.
        rows: u64,
        /// The bound.
        bound: String,
    },
    /// The api wants longer waits than allowed.
    #[error("the api's rate limit outlasts the time that `{export}` may wait (status 429)")]
    Limited {
        /// The export.
        export: TableName,
    },
    /// Row after row had no answer.
    #[error("{rows} rows of `{export}` in a row had no answer: {why}")]
    Unanswered {
        /// The export.
        export: TableName,
        /// How many.
        rows: u32,
        /// What the last of them came to.
        why: String,
    },
    /// The run is of another export, or of something else.
    #[error("the run {run} is none of the export `{export}`")]
    NotItsRun {
        /// The run as it was asked for.
        run: String,
        /// The export.
        export: TableName,
    },
    /// The process died before all rows of the query were in, so none was sent.
    #[error("the run {run} ended before it had all its rows, and nothing was sent")]
    NeverBegan {
        /// The run.
        run: RunId,
    },
    /// Nobody went on with the run for so long that its rows were forgotten.
    #[error("the rows of the run {run} that were left were kept for 30 days, and are forgotten")]
    Forgotten {
        /// The run.
        run: RunId,
    },
    /// Only rows are left of which nobody knows.
    #[error("{rows} rows of the run {run} are left, and whether the api did them is not known")]
    OnlyAmbiguous {
        /// The run.
        run: RunId,
        /// The export.
        export: TableName,
        /// How many.
        rows: u64,
    },
}

impl Explain for ExportError {
    fn code(&self) -> Code {
        match self {
            Self::NoColumn { .. } | Self::KeyTwice { .. } => Code::ExportRows,
            Self::Row { .. } => Code::Internal,
            Self::Params { .. } => Code::DefinitionInvalid,
            Self::Refused { .. } | Self::TooMany { .. } => Code::ExportRefused,
            Self::Limited { .. } => Code::CallRateLimited,
            Self::Unanswered { .. } => Code::CallTimeout,
            Self::NotItsRun { .. } => Code::ArgumentInvalid,
            Self::NeverBegan { .. } | Self::Forgotten { .. } | Self::OnlyAmbiguous { .. } => {
                Code::ExportOver
            }
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoColumn { suggestion: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::NoColumn { .. } => "name it in the query, in lower case or in quotes".into(),
            Self::KeyTwice { .. } => {
                "name more columns in `key`, or leave it out: then the row's place is its key"
                    .into()
            }
            Self::Params { .. } => "write the statement with its values under `from`".into(),
            Self::TooMany { export, .. } | Self::Refused { export, .. } => {
                format!("`restway query 'select * from {export}'` shows what the api said")
            }
            Self::Limited { .. } => {
                "go on later, or allow longer waits with `limits.max_wait`".into()
            }
            Self::Unanswered { .. } => "see whether the api is up, and go on then".into(),
            Self::NotItsRun { .. } => "`restway runs` lists the runs with their exports".into(),
            Self::NeverBegan { .. } | Self::Forgotten { .. } => {
                "run the export anew, without `--resume`".into()
            }
            Self::OnlyAmbiguous { run, export, .. } => format!(
                "look at the api, and if they were not done: `restway export {export} --resume \
                 {run} --ambiguous` sends them again"
            ),
            Self::Row { .. } => return Vec::new(),
        };
        vec![hint]
    }
}
