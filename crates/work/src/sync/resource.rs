//! One resource: its parts read side by side, their pages landed.
//!
//! A part is what is read by itself: the resource, or what one row of its parent leads to. A part
//! that fails where the fault is its own is put aside, and the others go on; a fault that all would
//! meet ends the resource. Either way what is covered is committed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use restway_connect::{RawKeeper, Spent};
use restway_model::definition::Load;
use restway_model::{Code, Counts, Event, Explain, RunId, TableName};
use restway_store::StateChanges;
use restway_tables::{LoadMode, MapPath, TableError};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::lander::{Landed, Lander, Page, Way};
use super::listed;
use super::parents::{Parent, request_columns};
use super::reader::{Part, ReadPart, Reader};
use super::sieve::Sifted;
use super::spent::timings;
use super::state::PartState;
use super::{Chosen, ResourceReport, said};
use crate::stop::Stop;
use crate::{WorkError, Workspace};

/// How many parts are walked side by side when the api does not say.
const PARTS_AT_ONCE: usize = 4;
/// Syncs in which a part that fails is read before the others are read anew.
const FAILED_ALONE_MAX: u32 = 2;
/// Parts that may fail before the resource does.
const FAILED_PARTS_MAX: usize = 100;

/// Maps that one sync of a resource may find.
const MAPS_MAX: usize = 32;

/// What one reading of a resource begins with.
struct Attempt<'a> {
    run: &'a RunId,
    chosen: &'a Chosen,
    is_full: bool,
    maps: &'a [MapPath],
    /// Where pages are kept as they came.
    raw: Option<Arc<RawKeeper>>,
}

/// What a sync of one resource came to, as it goes on.
#[derive(Default)]
struct Progress {
    counts: Counts,
    spent: Spent,
    sifted: Sifted,
    windows: u64,
    parts: usize,
    /// The parts that failed, as the run keeps them.
    failed: Vec<Value>,
    first_failure: Option<WorkError>,
    /// The cursor before and after, where the resource has one.
    cursor: Option<(Option<String>, Option<String>)>,
}

impl Workspace {
    /// Syncs one resource; an error is part of the report.
    pub(super) async fn sync_one(
        &self,
        run: &RunId,
        chosen: &Chosen,
        is_full: bool,
        stop: Stop,
    ) -> ResourceReport {
        let started = self.clock.monotonic();
        let resource = chosen.table.clone();
        self.observer.observe(&Event::ResourceStarted { resource: resource.clone() });
        let mut progress = Progress::default();
        let mut landed = Landed::default();
        let error = self.land(run, chosen, is_full, stop, &mut progress, &mut landed).await;
        let mut counts = progress.counts;
        counts.rows = landed.tables.values().sum();
        (counts.rejected, counts.deleted) = (landed.rejected, landed.deleted);
        self.warn_of_sifted(chosen, &progress.sifted);
        let took = self.clock.monotonic().saturating_sub(started);
        let report = ResourceReport {
            resource,
            counts,
            detail: detail(&progress, &landed, took),
            tables: landed.tables.into_iter().collect(),
            is_kept: landed.is_kept,
            error,
        };
        self.observer.observe(&Event::ResourceEnded {
            resource: report.resource.clone(),
            status: report.status(),
            counts,
            duration: took,
        });
        report
    }

    /// Lands the resource, and says what stopped the rest. Where a batch shows an object whose
    /// keys are data, it is read again from where the batch began, so that all of it is landed
    /// alike.
    async fn land(
        &self,
        run: &RunId,
        chosen: &Chosen,
        is_full: bool,
        stop: Stop,
        progress: &mut Progress,
        landed: &mut Landed,
    ) -> Option<WorkError> {
        let mut maps = Vec::new();
        let mut raw = self.raw_keeper(run, chosen);
        loop {
            let raw_now = raw.clone();
            let attempt = Attempt { run, chosen, is_full, maps: &maps, raw: raw_now };
            let landing = self.attempt(&attempt, stop.clone(), progress, landed);
            match landing.await {
                Err(WorkError::Table(TableError::MapFound { path, .. }))
                    if maps.len() < MAPS_MAX =>
                {
                    let message = format!(
                        "the keys of `{path}` are data: it becomes one JSON column, and the batch \
                         is read again; `nest: {{ columns: [\"{path}\"] }}` keeps a column for each"
                    );
                    self.warn_about(&chosen.table, message);
                    maps.push(path);
                    // What earlier batches were read from stays: they landed.
                    if landed.batches == 0 {
                        self.forget_raw(run, chosen);
                        raw = self.raw_keeper(run, chosen);
                    }
                    progress.failed.clear();
                    progress.first_failure = None;
                }
                ended => return ended.err().or_else(|| some_failed(chosen, progress)),
            }
        }
    }

    async fn attempt(
        &self,
        attempt: &Attempt<'_>,
        stop: Stop,
        progress: &mut Progress,
        landed: &mut Landed,
    ) -> Result<(), WorkError> {
        let &Attempt { run, chosen, is_full, maps, .. } = attempt;
        let raw = attempt.raw.clone();
        let way = self.way(chosen, is_full).await?;
        let (parts, done) = self.unfinished(chosen, way, maps.is_empty()).await?;
        progress.parts = parts.len();
        let mut lander = Lander::begin(self, run, chosen, way, maps).await?;
        lander.goes_on_after(std::mem::take(landed));
        let (sender, receiver) = mpsc::channel(self.limits.channel_batches_max);
        let (walked, taken) = tokio::join!(
            self.read_all(chosen, way, parts, (sender, raw), stop, progress),
            lander.take_all(receiver)
        );
        let is_whole = walked.is_ok() && progress.failed.is_empty();
        // The tables' own error says why nobody takes pages any more.
        let ended = match taken {
            Ok(()) => lander.finish(is_whole).await,
            Err(error) => Err(error),
        };
        *landed = lander.landed();
        ended?;
        landed.is_kept |= done > 0;
        if is_whole {
            self.check_key(chosen).await;
        }
        walked
    }

    /// How the resource is landed. A sync that must see everything at once is whole: one that
    /// replaces, one that removes what it did not meet, one that starts over. A merge or a history
    /// that starts over reads everything and keeps the rows that are there.
    async fn way(&self, chosen: &Chosen, is_full: bool) -> Result<Way, WorkError> {
        let settings = &chosen.settings;
        let is_one_batch = settings.load == Load::Replace || settings.deletes.absent;
        let goes_on = !is_one_batch && !is_full;
        let is_gone = goes_on
            && !self.is_landed(&chosen.table).await?
            && self.store.count_states(&chosen.table.to_string()).await? > 0;
        if is_gone {
            let message = "its table is gone; everything is read anew".to_owned();
            self.warn_about(&chosen.table, message);
        }
        let is_whole = is_one_batch || is_full || is_gone;
        let mode = match settings.load {
            Load::Append if !is_whole => LoadMode::Append,
            Load::Append | Load::Replace => LoadMode::Replace,
            Load::Merge => LoadMode::Merge,
            Load::History => LoadMode::History,
        };
        let is_one_walk = settings.for_each.is_none() && !is_whole;
        let keeps_states = !is_one_batch && (settings.incremental.is_some() || is_one_walk);
        Ok(Way { mode, is_stepwise: !is_whole, keeps_states })
    }

    /// Whether there is a table, with every batch that was recorded for it.
    ///
    /// # Errors
    /// [`WorkError::TableBehind`] where it lacks some, because somebody put it back: what adds to it
    /// would go on behind rows that are not there.
    pub(crate) async fn is_landed(&self, table: &TableName) -> Result<bool, WorkError> {
        let stream = table.to_string();
        let Some(landed) = self.lake.landed(table, &stream).await? else { return Ok(false) };
        let recorded = self.store.next_sequence(&stream).await?.saturating_sub(1);
        if landed < recorded {
            return Err(WorkError::TableBehind { table: table.clone(), landed, recorded });
        }
        Ok(true)
    }

    /// The parts that are to be read, each with its state, and how many were read before; says
    /// where the sync goes on. Only a sync's first attempt begins anew: what a later one finds done
    /// may have been done by the first.
    async fn unfinished(
        &self,
        chosen: &Chosen,
        way: Way,
        is_first: bool,
    ) -> Result<(Vec<(Part, PartState)>, usize), WorkError> {
        let stream = chosen.table.to_string();
        let all = self.with_files(chosen, way, self.parts(chosen).await?).await?;
        let count = all.len();
        let mut parts = Vec::with_capacity(count);
        for part in all {
            let kept = match way.is_stepwise {
                true => self.store.stream_state(&stream, &part.name).await?,
                false => None,
            };
            let state: PartState = match kept {
                Some(kept) => serde_json::from_value(kept).map_err(|source| {
                    WorkError::Journal { stream: stream.clone(), sequence: 0, source }
                })?,
                None => PartState::default(),
            };
            parts.push((part, state));
        }
        let left = parts.iter().filter(|(_, state)| !state.is_done);
        let is_stuck = left.clone().count() < count && left.clone().all(|it| is_given_up(&it.1));
        if is_stuck && is_first {
            self.begin_anew(&stream, &mut parts).await?;
        }
        parts.retain(|(_, state)| !state.is_done);
        if let Some(plan) = plan(&parts, count) {
            let resource = chosen.table.clone();
            self.observer.observe(&Event::ResourceGoesOn { resource, plan });
        }
        let done = count - parts.len();
        Ok((parts, done))
    }

    /// Reads all parts again, because those that are left failed again and again.
    async fn begin_anew(
        &self,
        stream: &str,
        parts: &mut [(Part, PartState)],
    ) -> Result<(), WorkError> {
        let mut changes = StateChanges { resets: true, ..StateChanges::default() };
        // What is listed as gone is none of the parts: its rows count once.
        let listed = self.store.stream_state(stream, listed::STATE).await?;
        changes.parts.extend(listed.map(|kept| (listed::STATE.to_owned(), Some(kept))));
        for (part, state) in parts {
            if std::mem::take(&mut state.is_done) {
                continue;
            }
            let kept = serde_json::to_value(&*state).map_err(|source| WorkError::Journal {
                stream: stream.to_owned(),
                sequence: 0,
                source,
            })?;
            changes.parts.insert(part.name.to_string(), Some(kept));
        }
        Ok(self.store.change_states(stream, &changes).await?)
    }

    async fn parts(&self, chosen: &Chosen) -> Result<Vec<Part>, WorkError> {
        let Some(parent) = chosen.parent() else {
            let parent = Arc::new(Parent::none());
            let (name, carried) = ("".into(), Arc::default());
            return Ok(vec![Part { name, parent, carried, file: None }]);
        };
        let columns = request_columns(&chosen.settings);
        let mut parts = BTreeMap::new();
        let rows = self.parents(chosen, &parent).await?;
        let replaces = chosen.settings.load == Load::Replace;
        for (index, row) in rows.into_iter().enumerate() {
            // Rows that lead to the same request are read for once, where states are kept by it.
            let name: Arc<str> = match replaces {
                true => format!("{index:09}").into(),
                false => row.name(&columns).into(),
            };
            let carried = Arc::new(carried(&chosen.settings.carry, &row));
            let (name, parent) = (Arc::clone(&name), Arc::new(row));
            let part = Part { name: Arc::clone(&name), parent, carried, file: None };
            parts.insert(name, part);
        }
        Ok(parts.into_values().collect())
    }

    async fn read_all(
        &self,
        chosen: &Chosen,
        way: Way,
        parts: Vec<(Part, PartState)>,
        (sender, raw): (mpsc::Sender<Page>, Option<Arc<RawKeeper>>),
        stop: Stop,
        progress: &mut Progress,
    ) -> Result<(), WorkError> {
        let at_once = chosen.api.limits.concurrency.map_or(PARTS_AT_ONCE, usize::from);
        let has_one = chosen.settings.for_each.is_none();
        let mut parts = parts.into_iter();
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < at_once
                && let Some((part, state)) = parts.next()
            {
                let name = Arc::clone(&part.name);
                let (stop, sender) = (stop.clone(), &sender);
                let done = ReadPart::default();
                // Parts beside each other read their windows one after the other.
                let at_once = if has_one { at_once } else { 1 };
                let mut reader = Reader {
                    workspace: self,
                    chosen,
                    way,
                    part,
                    sender,
                    stop,
                    at_once,
                    window: None,
                    done,
                    raw: raw.clone(),
                };
                under_way.push(async move {
                    let before = state.clone();
                    let read = reader.read(state).await;
                    if let Err(error) = &read
                        && !has_one
                        && way.is_stepwise
                        && !(way.adds() && reader.done.is_open)
                        && is_of_one_part(error.code())
                    {
                        // Who does not take it any more says why itself.
                        let _ = reader.failed(before).await;
                    }
                    (name, read, reader.done)
                });
            }
            let Some((name, read, done)) = under_way.next().await else { return Ok(()) };
            progress.counts.add(&done.counts);
            progress.spent.add(done.spent);
            progress.sifted.add(done.sifted);
            progress.windows += done.windows;
            if has_one && chosen.settings.incremental.is_some() {
                progress.cursor = Some((done.before, done.after));
            }
            if let Err(error) = read {
                let is_own = !has_one
                    && way.is_stepwise
                    && !(way.adds() && done.is_open)
                    && is_of_one_part(error.code())
                    && progress.failed.len() < FAILED_PARTS_MAX;
                if !is_own {
                    return Err(error);
                }
                let message = self.redactor.redact(&said(&error)).into_owned();
                let code = error.code().as_str();
                progress.failed.push(json!({ "parent": name, "code": code, "message": message }));
                progress.first_failure.get_or_insert(error);
            }
        }
    }

    fn warn_of_sifted(&self, chosen: &Chosen, sifted: &Sifted) {
        let Some(incremental) = &chosen.settings.incremental else { return };
        let cursor = &incremental.cursor;
        if sifted.without > 0 {
            let count = sifted.without;
            let message = format!(
                "{count} records have no `{cursor}`: they landed, and will again when they come \
                 again"
            );
            self.warn_about(&chosen.table, message);
        }
        if let Some(farthest) = &sifted.farthest {
            let count = sifted.ahead;
            let message = format!(
                "{count} records have a `{cursor}` in the future, up to {farthest}: they landed, \
                 and did not move the cursor; `future: true` under `incremental` lets them"
            );
            self.warn_about(&chosen.table, message);
        }
        if sifted.unreadable > 0 {
            let (count, format) = (sifted.unreadable, &incremental.send.format);
            let message = format!(
                "{count} records have a `{cursor}` that is no `{format}`: they landed, and did \
                 not move the cursor; `send.as` says what it is"
            );
            self.warn_about(&chosen.table, message);
        }
    }

    pub(super) fn warn_about(&self, about: &TableName, message: String) {
        self.observer.observe(&Event::Warned { about: about.to_string(), message });
    }
}

/// What the run keeps of it beside the counts.
fn detail(progress: &Progress, landed: &Landed, took: Duration) -> Value {
    let (before, after) = progress.cursor.clone().unwrap_or_default();
    let sifted = &progress.sifted;
    json!({
        "batches": landed.batches,
        "timings": timings(took, progress.spent, landed.spent),
        "schema_changes": landed.changes,
        "schema_changed": landed.changed,
        "windows": progress.windows,
        "cursor_before": before,
        "cursor_after": after,
        "landed_before": sifted.known,
        "before_cursor": sifted.before,
        "ahead": sifted.ahead,
        "left_for_later": sifted.later,
        "without_cursor": sifted.without + sifted.unreadable,
        "failed_parents": progress.failed,
    })
}

/// Where a sync goes on, in words; nothing for one that begins at the beginning.
fn plan(parts: &[(Part, PartState)], all: usize) -> Option<String> {
    if parts.len() < all {
        let done = all - parts.len();
        return Some(format!("{} of {all} parents are left; {done} are done", parts.len()));
    }
    let half = |(_, state): &&(Part, PartState)| state.walk.is_some();
    match parts {
        [(_, state)] => match (&state.walk, &state.reached.cursor) {
            (Some(half), _) => Some(format!("resuming after page {}", half.mark.page)),
            (None, Some(cursor)) if !state.ahead.is_empty() => {
                let count = state.ahead.len();
                Some(format!("from {cursor} on; {count} windows beyond it are begun or done"))
            }
            (None, Some(cursor)) => Some(format!("from {cursor} on")),
            (None, None) => None,
        },
        _ => match parts.iter().filter(half).count() {
            0 => None,
            count => Some(format!("resuming in the middle of {count} parents")),
        },
    }
}

/// Whether a part may not hold up the others any more.
const fn is_given_up(state: &PartState) -> bool {
    state.failed >= FAILED_ALONE_MAX
}

/// The error that stands for those of single parts; the detail lists them all.
fn some_failed(chosen: &Chosen, progress: &mut Progress) -> Option<WorkError> {
    let source = Box::new(progress.first_failure.take()?);
    let (resource, failed) = (chosen.table.clone(), progress.failed.len());
    Some(WorkError::ParentsFailed { resource, failed, of: progress.parts, source })
}

/// Whether what failed for one part may well go on for the others.
const fn is_of_one_part(code: Code) -> bool {
    matches!(
        code,
        Code::CallStatus
            | Code::CallUnauthorized
            | Code::CallTimeout
            | Code::CallInterrupted
            | Code::CallRedirect
            | Code::BodyTooLarge
            | Code::BodyNotJson
            | Code::RecordsMissing
            | Code::PageLoop
            | Code::PageBound
            | Code::PageTarget
    )
}

fn carried(carry: &BTreeMap<String, String>, row: &Parent) -> Vec<(String, Box<RawValue>)> {
    carry.iter().map(|(name, column)| (name.clone(), row.column(column))).collect()
}
