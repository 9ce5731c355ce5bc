//! `incremental` and `checkpoint`: how a sync reads only what changed, and how often it commits.
//!
//! In: the settings as they are written. Out: the same, with what makes no sense refused. What
//! never happens here: a look at a record; a format says what a cursor is, and the record's value
//! must fit it.

use chrono::DateTime;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Load, ResourceSettings, Slot};
use crate::{Cursor, CursorFormat, RecordPath, Scope, Timespan};

/// How a sync reads only what changed since the one before.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Incremental {
    /// The path, in a record, to the value that grows with every change.
    pub cursor: RecordPath,
    /// How the api is asked for what changed. Without it all is read, and what is new is landed.
    #[serde(default)]
    pub send: SendCursor,
    /// Where the first sync begins, this value included; without it, at the beginning.
    pub start: Option<StartValue>,
    /// Reads so much again before where the last sync ended, for changes that appear late; not
    /// with `load: append`, which would double them.
    pub lookback: Option<Timespan>,
    /// Leaves what is younger than this for the next sync, because it may still change.
    pub settle: Option<Timespan>,
    /// Lets the cursor pass the present, as for plans and appointments. Without it a record whose
    /// cursor lies more than a day ahead lands and does not move it: one wrong value would hide
    /// all that comes before it.
    #[serde(default)]
    pub future: bool,
    /// Walks the time in windows of this length, side by side, each with its own checkpoint;
    /// `${window.start}` and `${window.end}` are its bounds.
    pub window: Option<Timespan>,
    /// Whose the cursor is; it follows from `for_each`, and may be said.
    pub scope: Option<CursorScope>,
}

/// How the api is asked for what changed since the cursor.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SendCursor {
    /// The query parameter that takes the cursor; at most one of this, `header` and `json`.
    pub query: Option<String>,
    /// The header that takes it.
    pub header: Option<String>,
    /// The path in the JSON body that takes it.
    pub json: Option<RecordPath>,
    /// How it is read from a record and written into a request: `rfc3339`, `date`, `epoch_s`,
    /// `epoch_ms`, `int`, `text`, or a pattern as `%Y-%m-%d %H:%M`; `rfc3339` without it.
    #[serde(rename = "as")]
    pub format: CursorFormat,
}

/// A cursor in the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the names say it")]
pub enum StartValue {
    Text(String),
    Whole(i64),
}

/// Whose a cursor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CursorScope {
    /// The resource has one.
    Resource,
    /// Each parent's row has its own, in a `for_each`.
    Parent,
}

/// When a sync that adds or merges commits what it has read so far. The first that is reached
/// counts. A sync that replaces commits once, at its end.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoint {
    /// After so many pages.
    pub pages: u64,
    /// After so many records.
    pub records: u64,
    /// After so much time.
    pub every: Timespan,
}

impl Default for Checkpoint {
    fn default() -> Self {
        let every = Timespan(std::time::Duration::from_secs(60));
        Self { pages: 1_000, records: 250_000, every }
    }
}

impl Incremental {
    /// Where the first sync begins; none when it does not fit the format.
    pub fn first(&self) -> Option<Cursor> {
        match self.start.as_ref()? {
            StartValue::Text(text) => self.send.format.read(text),
            StartValue::Whole(whole) => self.send.format.read_json(&whole.to_string()),
        }
    }
}

impl SendCursor {
    /// The place of the request that takes the cursor.
    pub fn slot(&self) -> Option<Slot<'_>> {
        let query = self.query.as_deref().map(Slot::Query);
        let header = || self.header.as_deref().map(Slot::Header);
        query.or_else(header).or_else(|| self.json.as_ref().map(Slot::Body))
    }
}

/// What makes no sense, each at its key with what to do.
pub(super) fn problems(
    resource: &ResourceSettings,
) -> Vec<(&'static [&'static str], String, &'static str)> {
    let mut problems: Vec<(&'static [&'static str], String, &'static str)> = Vec::new();
    let mut report = |key, problem: &str, hint| problems.push((key, problem.to_owned(), hint));
    let checkpoint = resource.checkpoint;
    if checkpoint.pages == 0 || checkpoint.records == 0 || checkpoint.every.0.is_zero() {
        report(&["checkpoint"], "must be at least 1", "leave out what should not count");
    }
    let Some(incremental) = &resource.incremental else { return problems };
    let send = &incremental.send;
    if resource.load == Load::Replace {
        let hint = "write `load: merge`, or `append`, which adds what is new";
        report(&["incremental"], "`load: replace` would remove what did not change", hint);
    }
    let places = [send.query.is_some(), send.header.is_some(), send.json.is_some()];
    if places.into_iter().filter(|is_given| *is_given).count() > 1 {
        let hint = "write one of `query`, `header` and `json`";
        report(&["incremental", "send"], "the cursor has one place", hint);
    }
    if send.json.is_some() && !matches!(resource.method.as_str(), "POST" | "PUT" | "PATCH") {
        let hint = "write `method: POST`";
        report(&["incremental", "send", "json"], "a body needs POST, PUT or PATCH", hint);
    }
    if incremental.start.is_some() && incremental.first().is_none() {
        let hint = "write it as a record has it, or another `as`";
        report(&["incremental", "start"], "does not fit `send.as`", hint);
    }
    let is_short = |window: Timespan| {
        let end = DateTime::UNIX_EPOCH + window.0;
        send.format.cut(end) == DateTime::UNIX_EPOCH
    };
    if incremental.window.is_some_and(is_short) {
        let hint = "write a longer one, as `30d`";
        report(&["incremental", "window"], "is shorter than what `send.as` tells apart", hint);
    }
    if incremental.window.is_some() && incremental.start.is_none() {
        let hint = "write where the first window begins";
        report(&["incremental", "window"], "`window` needs `start`", hint);
    }
    if incremental.lookback.is_some() && resource.load == Load::Append {
        let problem = "`load: append` would double what `lookback` reads again";
        report(&["incremental", "lookback"], problem, "write `load: merge`, or use `settle`");
    }
    let hint = "write another `send.as`, or leave it out";
    for (key, is_given) in [
        (&["incremental", "lookback"] as &'static [&'static str], incremental.lookback.is_some()),
        (&["incremental", "settle"], incremental.settle.is_some()),
        (&["incremental", "window"], incremental.window.is_some()),
        (&["incremental", "future"], incremental.future),
    ] {
        if is_given && !send.format.is_time() {
            report(key, "needs a cursor that is a time", hint);
        }
    }
    match (incremental.scope, &resource.for_each) {
        (Some(CursorScope::Parent), None) => {
            report(&["incremental", "scope"], "`parent` needs `for_each`", "leave it out");
        }
        (Some(CursorScope::Resource), Some(_)) => {
            let problem = "one cursor for all would miss what a new parent has from before";
            report(&["incremental", "scope"], problem, "leave it out: each parent has its own");
        }
        _ => {}
    }
    if resource.records_max.is_some() {
        let hint = "leave `max_records` out: the cursor would pass what was not read";
        report(&["incremental"], "`max_records` ends a walk in the middle", hint);
    }
    problems
}

/// A name that `${window.…}`, `${state.…}` or `${job.…}` does not have, as a problem.
pub(super) fn unknown_name(scope: Scope, name: &str) -> Option<String> {
    let (known, names): (&[&str], _) = match scope {
        Scope::Window => (&["start", "end"], "`window.start` and `window.end`"),
        Scope::State => (&["cursor"], "`state.cursor`"),
        Scope::Job => (&["id"], "`job.id`"),
        _ => return None,
    };
    let problem = || format!("there is no `{}.{name}`, but {names}", scope.as_str());
    (!known.contains(&name)).then(problem)
}
