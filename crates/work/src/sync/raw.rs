//! Raw pages of a sync: kept while it runs, and read again without a call.
//!
//! In: resources that say `keep_raw`. Out: below `.restway/raw/API.RESOURCE/RUN/` the pages of each
//! run; of these, on demand, one batch that lands them anew, as the definition says now. The batch
//! replaces or merges, whatever the resource's own loads do, and is committed like any other; the
//! places from which the next sync goes on stay as they are.
//!
//! What never happens here: a call; rows that stand there twice; a table that goes back behind a
//! later run, because every kept run from the one that is named on is read, and a gap is an error.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use fs_err as fs;
use restway_connect::RawKeeper;
use restway_model::definition::Load;
use restway_model::{Counts, Event, Records, RunId, RunKind, TableName};
use restway_tables::{Intake, LoadMode};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::lander::{Carried, landing};
use super::{Chosen, ResourceReport, Selection, SyncReport, subject};
use crate::landing::Batch;
use crate::stop::Stop;
use crate::workspace::STATE;
use crate::{WorkError, Workspace};

/// Runs that are kept of one resource, and their bytes; the oldest go first.
const RUNS_MAX: usize = 100;
const BYTES_MAX: u64 = 4 << 30;
/// Files of one run that are looked through for their sizes.
const FILES_MAX: usize = 2_000_000;

/// Rows that a replay lands, of one table each.
type Landed = (Counts, Vec<(TableName, u64)>);

impl Workspace {
    fn raw_folder(&self, resource: &TableName) -> PathBuf {
        self.folder.join(STATE).join("raw").join(resource.to_string())
    }

    /// Where the pages of this run go, if they are kept.
    pub(super) fn raw_keeper(&self, run: &RunId, chosen: &Chosen) -> Option<Arc<RawKeeper>> {
        let folder = self.raw_folder(&chosen.table).join(&run.0);
        let keeper = || Arc::new(RawKeeper::new(folder, self.redactor.clone()));
        chosen.settings.keeps_raw.then(keeper)
    }

    /// Removes what this run has kept, because all of it is read again.
    pub(super) fn forget_raw(&self, run: &RunId, chosen: &Chosen) {
        let folder = self.raw_folder(&chosen.table).join(&run.0);
        if folder.is_dir()
            && let Err(error) = fs::remove_dir_all(&folder)
        {
            self.warn_about(&chosen.table, format!("raw pages could not be removed: {error}"));
        }
    }

    /// Removes what is kept beyond the bounds. What cannot be removed is a warning.
    pub(super) fn prune_raw(&self, chosen: &Chosen) {
        if !chosen.settings.keeps_raw {
            return;
        }
        if let Err(error) = self.prune(&chosen.table) {
            self.warn_about(&chosen.table, format!("old raw pages could not be removed: {error}"));
        }
    }

    fn prune(&self, resource: &TableName) -> std::io::Result<()> {
        let mut bytes = 0;
        for (kept, run) in self.raw_runs(resource)?.into_iter().rev().enumerate() {
            let folder = self.raw_folder(resource).join(&run.0);
            for entry in fs::read_dir(&folder)?.take(FILES_MAX) {
                bytes += entry?.metadata()?.len();
            }
            // The newest stays, whatever it is.
            if kept > 0 && (kept >= RUNS_MAX || bytes > BYTES_MAX) {
                fs::remove_dir_all(&folder)?;
            }
        }
        Ok(())
    }

    /// The runs that are kept of a resource, the oldest first.
    fn raw_runs(&self, resource: &TableName) -> std::io::Result<Vec<RunId>> {
        let folder = self.raw_folder(resource);
        let mut runs = Vec::new();
        if folder.is_dir() {
            for entry in fs::read_dir(&folder)? {
                runs.extend(entry?.file_name().into_string().map(RunId));
            }
        }
        runs.sort_unstable();
        Ok(runs)
    }

    /// Lands the kept pages of a run, and of those after it, as the definitions say now. Nothing
    /// is called.
    ///
    /// # Errors
    /// As [`Workspace::sync`], and a run that does not exist or of which nothing is kept.
    pub async fn replay(
        &self,
        run: &str,
        selection: &Selection,
        stop: &Stop,
    ) -> Result<SyncReport, WorkError> {
        let unknown = || WorkError::Unknown { what: "run", name: run.to_owned(), suggestion: None };
        let from = self.store.run(run).await?.ok_or_else(unknown)?.run.id;
        let mut chosen = self.choose(selection)?;
        if selection.0.is_empty() {
            chosen.retain(|one| self.raw_folder(&one.table).join(&from.0).is_dir());
        }
        if chosen.is_empty() {
            return Err(WorkError::NothingKept { run: from });
        }
        let lock = self.store.lock()?;
        let mut unfinished = self.recover().await?;
        self.store.close_abandoned_runs(&lock).await?;
        let subject = format!("{} from {from}", subject(selection));
        self.in_run(RunKind::Sync, subject, async |run| {
            let mut reports = Vec::with_capacity(chosen.len());
            for one in &chosen {
                let waits = unfinished.take(&one.table);
                let replayed = async {
                    match waits {
                        Some(error) => one.refused(error),
                        None => self.replay_one(run, one, &from, stop).await,
                    }
                };
                reports.push(self.written_down(run, replayed).await?);
            }
            Ok(reports)
        })
        .await
    }

    async fn replay_one(
        &self,
        run: &RunId,
        chosen: &Chosen,
        from: &RunId,
        stop: &Stop,
    ) -> ResourceReport {
        let started = self.clock.monotonic();
        let resource = chosen.table.clone();
        self.observer.observe(&Event::ResourceStarted { resource: resource.clone() });
        let landed = self.replay_rows(run, chosen, from, stop).await;
        let (counts, tables, error) = match landed {
            Ok((counts, tables)) => (counts, tables, None),
            Err(error) => (Counts::default(), Vec::new(), Some(error)),
        };
        let detail = json!({ "replayed": from });
        let report = ResourceReport { resource, counts, tables, detail, is_kept: false, error };
        self.observer.observe(&Event::ResourceEnded {
            resource: report.resource.clone(),
            status: report.status(),
            counts,
            duration: self.clock.monotonic().saturating_sub(started),
        });
        report
    }

    async fn replay_rows(
        &self,
        run: &RunId,
        chosen: &Chosen,
        from: &RunId,
        stop: &Stop,
    ) -> Result<Landed, WorkError> {
        let mode = match chosen.settings.load {
            Load::Replace => LoadMode::Replace,
            Load::Merge => LoadMode::Merge,
            Load::Append | Load::History => {
                let why = "its `load` adds rows, and would add them twice".to_owned();
                return Err(WorkError::NotReplayed { resource: chosen.table.clone(), why });
            }
        };
        if let Some(list) = chosen.list() {
            let why = format!("rows that `{list}` lists as gone would be back");
            return Err(WorkError::NotReplayed { resource: chosen.table.clone(), why });
        }
        let runs = self.to_replay(chosen, from).await?;
        let stream = chosen.table.to_string();
        if mode == LoadMode::Merge {
            self.is_landed(&chosen.table).await?;
        }
        let sequence = self.store.next_sequence(&stream).await?;
        let intake = self.lake.begin(landing(self, run, chosen, mode, sequence)).await?;
        let (workspace, one, stop) = (self.clone(), chosen.clone(), stop.clone());
        let filled = tokio::task::spawn_blocking(move || {
            let (intake, counts) = workspace.refill(intake, &one, &runs, &stop)?;
            Ok::<_, WorkError>((intake.finish()?, counts))
        });
        let (staged, mut counts) = filled.await??;
        if staged.changes_nothing() {
            self.lake.discard(&staged).await?;
            return Ok((counts, Vec::new()));
        }
        let (table, stream) = (&chosen.table, stream.as_str());
        let batch = Batch { run, table, stream, sequence, staged: &staged };
        self.record(&batch, &restway_store::StateChanges::default()).await?;
        let committed = self.make_visible(&batch).await?;
        let tables: Vec<_> = committed.into_iter().map(|one| (one.table, one.rows)).collect();
        counts.rows = tables.iter().map(|(_, rows)| rows).sum();
        let tally = staged.tally();
        (counts.rejected, counts.deleted) = (tally.rejected, tally.deleted);
        Ok((counts, tables))
    }

    /// The runs whose pages make the table what it is, from one on: of a resource that each run
    /// reads whole, the last.
    async fn to_replay(&self, chosen: &Chosen, from: &RunId) -> Result<Vec<RunId>, WorkError> {
        let refused = |why| WorkError::NotReplayed { resource: chosen.table.clone(), why };
        let mut kept = self.raw_runs(&chosen.table)?;
        if !kept.contains(from) {
            return Err(WorkError::NothingKept { run: from.clone() });
        }
        kept.retain(|run| run >= from);
        let is_whole = chosen.settings.load == Load::Replace || chosen.settings.deletes.absent;
        let mut last = None;
        for run in self.runs_since(from).await? {
            let Some(found) = self.store.run(&run.0).await? else { continue };
            let own = found.resources.iter().find(|one| one.resource == chosen.table);
            let Some(own) = own else { continue };
            let is_replay = own.detail.as_ref().is_some_and(|it| it.get("replayed").is_some());
            if is_replay || (is_whole && own.error.is_some()) {
                kept.retain(|one| *one != run);
                continue;
            }
            if own.counts.rows > 0 && !kept.contains(&run) {
                return Err(refused(format!("the run {run} came later, and its pages are gone")));
            }
            last = last.max(Some(run));
        }
        if is_whole {
            kept.retain(|run| Some(run) == last.as_ref());
        }
        if kept.is_empty() {
            return Err(refused("no run from there on read all of it".to_owned()));
        }
        Ok(kept)
    }

    /// The runs from one on, the newest first; a journal of more is not looked through.
    async fn runs_since(&self, from: &RunId) -> Result<Vec<RunId>, WorkError> {
        let mut runs: Vec<RunId> = Vec::new();
        for _ in 0..RUNS_MAX {
            let page = self.store.runs(u32::MAX, runs.last()).await?;
            let count = page.len();
            let syncs = page.into_iter().map(|run| run.id).filter(|run| run >= from);
            let before = runs.len();
            runs.extend(syncs);
            if runs.len() - before < count || count == 0 {
                break;
            }
        }
        Ok(runs)
    }

    /// Reads the kept pages into a batch.
    fn refill(
        &self,
        mut intake: Intake,
        chosen: &Chosen,
        runs: &[RunId],
        stop: &Stop,
    ) -> Result<(Intake, Counts), WorkError> {
        let mut counts = Counts::default();
        for run in runs {
            let folder = self.raw_folder(&chosen.table).join(&run.0);
            // What each walk handed out, where it may not hand out all.
            let mut taken: HashMap<String, u64> = HashMap::new();
            let mut take = |about: &str, records: Records| {
                if stop.is_raised() {
                    return Err(WorkError::Stopped);
                }
                let mut records = records;
                if let Some(most) = chosen.settings.records_max {
                    let taken = taken.entry(about.to_owned()).or_default();
                    let left = usize::try_from(most - *taken).unwrap_or(usize::MAX);
                    records = records.first(left);
                    *taken += records.len() as u64;
                }
                let carried = carried(about).map_err(std::io::Error::other)?;
                Ok(intake.push(&records, &carried)?)
            };
            let read =
                self.connector.read_raw(&chosen.table, &chosen.settings, &folder, &mut take)?;
            counts.add(&read);
        }
        Ok((intake, counts))
    }
}

/// What is kept with a page: the columns that its records get from their parent.
pub(super) fn about(carried: &Carried) -> String {
    let texts = carried.iter().map(|(name, value)| json!([name, value.get()]));
    Value::from(texts.collect::<Vec<_>>()).to_string()
}

fn carried(about: &str) -> serde_json::Result<Vec<(String, Box<RawValue>)>> {
    let texts: Vec<(String, String)> = serde_json::from_str(about)?;
    texts.into_iter().map(|(name, text)| Ok((name, RawValue::from_string(text)?))).collect()
}
