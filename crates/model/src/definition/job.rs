//! `job`: an export that the api makes before it hands it out.
//!
//! In: the setting as it is written. Out: where the job's id is, how it is asked for, and when it
//! is over. The resource's own request creates the job.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Condition, RecordPath, Template, Timespan};

/// An export that the api makes before it hands it out: the resource's own request creates the
/// job, then it is asked for until it is over, and what it made is the resource's one page.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The path to the job's id in the answer that created it.
    pub id: RecordPath,
    /// How the job is asked for.
    pub poll: Poll,
    /// Over the answer about the job: when it holds, the job is done.
    pub done: Condition,
    /// Over the answer about the job: when it holds, the job failed, and the resource with it.
    pub failed: Option<Condition>,
    /// The path to the URL of what the job made, in the answer that says that it is done; without
    /// it that answer itself holds the records.
    pub download: Option<RecordPath>,
}

/// How a job is asked for.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// The path below `base_url` that tells about the job `${job.id}`.
    pub path: Template,
    /// The first wait; each further one is twice as long as the one before.
    #[serde(default = "every")]
    pub every: Timespan,
    /// The longest wait, unless the api itself asks for a longer one.
    #[serde(default = "maximum")]
    pub maximum: Timespan,
    /// How long the job may take.
    #[serde(default = "timeout")]
    pub timeout: Timespan,
}

const fn every() -> Timespan {
    Timespan(Duration::from_secs(5))
}

const fn maximum() -> Timespan {
    Timespan(Duration::from_secs(60))
}

const fn timeout() -> Timespan {
    Timespan(Duration::from_secs(30 * 60))
}
