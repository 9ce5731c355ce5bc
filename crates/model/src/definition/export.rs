//! `exports:` of an api: queries whose rows are sent to it, one request for each row.
//!
//! In: the file. Out: what the engine runs: where the rows come from, what names one, what is sent
//! for it, and what a row that the api does not take means for the rest. What it may not mean is
//! refused in `export_meaning`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{CallRequest, Idempotency, Key, MaxRejects};
use crate::{Name, TableName};

/// Rows under way at once, when an export says nothing.
const CONCURRENCY: u16 = 8;
/// The folder of saved queries, which may stand before the name of one.
const QUERIES: &str = "queries/";

/// A query whose rows are sent to the api, with one outcome for each row.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// What people call it.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The rows: a SELECT, the name of a file in `queries/`, or a table as `api.resource`.
    pub from: String,
    /// The columns that name a row, in the table of outcomes and in the log; no two rows may have
    /// the same. The row's place in the answer, from 1, without it.
    pub key: Option<Key>,
    /// What is sent for each row: `${row.COLUMN}` is a value of it.
    pub request: CallRequest,
    /// How many rows may be under way at once; 8 without it. The api's own `limits` hold as well.
    pub concurrency: Option<u16>,
    /// How the api is kept from doing a row twice. A request that has it, and PUT, DELETE and
    /// whatever is `safe`, is sent again as `retry` says, and by a run that goes on after a crash;
    /// others are sent once, and one whose answer did not come is `ambiguous`.
    pub idempotency: Option<Idempotency>,
    /// What a row means that the api did not take.
    #[serde(default)]
    pub on_error: OnError,
    /// How many rows may be refused or ambiguous before the run stops: a number, or a part of all
    /// rows as in `1%`. No bound without it.
    pub max_errors: Option<MaxRejects>,
}

/// What a row means that the api did not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It is recorded, and the other rows are sent; the run is partly done.
    #[default]
    Record,
    /// The run ends with it: no further row is sent, and the run failed.
    Fail,
    /// As `record`, and the row lands with all its columns in the table `NAME_dead_letters`.
    DeadLetter,
}

/// Where the rows of an export come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportFrom {
    /// A statement.
    Sql(String),
    /// `queries/NAME.sql`.
    Saved(Name),
}

impl Export {
    /// Where the rows come from; `None` for a text that is none of what `from` may be.
    pub fn source(&self) -> Option<ExportFrom> {
        let text = self.from.trim().trim_end_matches(';').trim_end();
        if text.contains(char::is_whitespace) {
            return Some(ExportFrom::Sql(text.to_owned()));
        }
        if let Ok(table) = text.parse::<TableName>() {
            let (api, table) = (table.api.as_str(), table.table.as_str());
            return Some(ExportFrom::Sql(format!("select * from \"{api}\".\"{table}\"")));
        }
        let name = text.strip_prefix(QUERIES).unwrap_or(text);
        name.strip_suffix(".sql").unwrap_or(name).parse().ok().map(ExportFrom::Saved)
    }

    /// The columns that name a row; none when its place does.
    pub fn key(&self) -> &[String] {
        self.key.as_ref().map_or(&[], Key::columns)
    }

    /// How many rows may be under way at once.
    pub fn concurrency(&self) -> usize {
        self.concurrency.unwrap_or(CONCURRENCY).max(1).into()
    }

    /// Whether a row may be sent again without a person's word (RFC 9110, 9.2.2).
    pub const fn is_repeatable(&self) -> bool {
        self.request.safe || self.request.method.is_idempotent() || self.idempotency.is_some()
    }
}
