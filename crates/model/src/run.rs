//! A run: one execution of anything.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of a run: sortable by its start (UUID version 7, RFC 9562, lower-case text).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// One call to an api.
    Call,
    /// A sync of one or more resources.
    Sync,
    /// A webhook: a named call or chain of calls.
    Webhook,
    /// Tables restored or dropped.
    Tables,
    /// A local file that became a table.
    Import,
    /// Rows of a query that were sent to an api.
    Export,
}

impl RunKind {
    /// The word that is stored and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Sync => "sync",
            Self::Webhook => "webhook",
            Self::Tables => "tables",
            Self::Import => "import",
            Self::Export => "export",
        }
    }
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Under way, or its process died; the next start of the workspace decides.
    Running,
    /// Everything that was asked was done.
    Succeeded,
    /// Some of it was done; asking again does the rest.
    Partly,
    /// Nothing of it was done.
    Failed,
}

impl RunStatus {
    /// The word that is stored and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Partly => "partly",
            Self::Failed => "failed",
        }
    }
}

/// What a run did, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests that were sent, retries included.
    pub requests: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Pages that were read.
    pub pages: u64,
    /// Records that were read.
    pub records: u64,
    /// Rows that were committed, child tables included.
    pub rows: u64,
    /// Bytes of answers, decoded.
    pub bytes: u64,
    /// Records that were put among the rejects.
    #[serde(default)]
    pub rejected: u64,
    /// Rows that went, or were closed, because the api says that they are gone.
    #[serde(default)]
    pub deleted: u64,
    /// Answers that the server did not send again, because the kept ones still hold.
    #[serde(default)]
    pub unchanged: u64,
}

impl Counts {
    /// Adds another part's counts.
    pub fn add(&mut self, other: &Counts) {
        self.requests += other.requests;
        self.retries += other.retries;
        self.pages += other.pages;
        self.records += other.records;
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.rejected += other.rejected;
        self.deleted += other.deleted;
        self.unchanged += other.unchanged;
    }
}
