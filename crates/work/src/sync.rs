//! A sync: every chosen resource from its pages into its tables.
//!
//! Each resource is one pipeline: requests are sent and pages read on the runtime (`reader`), what
//! landed before is left out (`sieve`), records are shaped into columns on a thread of its own
//! (`lander`), and files are encoded on a third; bounded channels lie between them, so memory is
//! flat however long the feed is. Resources run side by side; one that is read for each row of
//! another waits for that one.
//!
//! A resource that replaces its rows is whole or did not happen. One that adds rows commits at
//! checkpoints, each batch together with the state from which the next process goes on (`state`),
//! so a sync that is killed, stopped or refused loses nothing and doubles nothing.

mod field;
mod files;
mod key;
mod lander;
mod listed;
mod parents;
mod raw;
mod reader;
mod resource;
mod sieve;
mod spent;
mod state;
mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use restway_model::definition::{ApiFile, ResourceSettings};
use restway_model::{
    Code, Counts, Event, Explain, Name, RunId, RunKind, RunStatus, TableName, nearest,
};
use restway_store::{ResourceOutcome, RunError};
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore, watch};

use crate::account::OtherAccount;
use crate::recover::Unfinished;
use crate::stop::Stop;
use crate::{WorkError, Workspace};

/// How many resources of one api are read side by side. Each api has places of its own, so that
/// one that waits for its rate does not hold up the others.
const RESOURCES_AT_ONCE: usize = 4;

/// What to sync: everything, an api (`acme`), or a resource (`acme.issues`).
#[derive(Debug, Clone, Default)]
pub struct Selection(pub Vec<String>);

/// From where a sync reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// From where the syncs before came to.
    New,
    /// From the beginning; what is there is replaced when all of it is read.
    Full,
}

/// What a sync did.
#[derive(Debug)]
pub struct SyncReport {
    /// The run.
    pub run: RunId,
    /// How it ended.
    pub status: RunStatus,
    /// What it did in all.
    pub counts: Counts,
    /// How long it took.
    pub duration: Duration,
    /// Each resource, in name order.
    pub resources: Vec<ResourceReport>,
}

/// What a sync did to one resource.
#[derive(Debug)]
pub struct ResourceReport {
    /// The resource's table.
    pub resource: TableName,
    /// What was done; of a failed resource, before it failed.
    pub counts: Counts,
    /// Rows of each table that was written.
    pub tables: Vec<(TableName, u64)>,
    /// Batches, windows, cursors and what was left out, as the run keeps them.
    pub detail: Value,
    /// Whether something was kept that the next sync goes on from.
    pub is_kept: bool,
    /// Why it failed.
    pub error: Option<WorkError>,
}

impl ResourceReport {
    /// How it ended. A record that was put among the rejects is one that did not land.
    pub fn status(&self) -> RunStatus {
        match &self.error {
            None if self.counts.rejected > 0 => RunStatus::Partly,
            None => RunStatus::Succeeded,
            Some(_) if self.is_kept => RunStatus::Partly,
            Some(_) => RunStatus::Failed,
        }
    }
}

/// A resource that was chosen.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub(crate) table: TableName,
    pub(crate) api: Arc<ApiFile>,
    pub(crate) settings: Arc<ResourceSettings>,
}

impl Chosen {
    /// The table of the resource that this one is read for each row of.
    pub(crate) fn parent(&self) -> Option<TableName> {
        let parent = self.settings.for_each.clone()?;
        Some(TableName::new(self.table.api.clone(), parent))
    }

    /// The table of the resource that lists which rows of this one are gone.
    pub(crate) fn list(&self) -> Option<TableName> {
        let list = self.settings.deletes.resource.clone()?;
        Some(TableName::new(self.table.api.clone(), list))
    }
}

impl Workspace {
    /// Syncs what is chosen and reports on each resource. A resource that fails leaves its tables
    /// as they were and does not stop the others.
    ///
    /// # Errors
    /// Only what keeps the run from starting or from being written down: a wrong name, a
    /// workspace that is held by another process, a store that fails.
    pub async fn sync(
        &self,
        selection: &Selection,
        extent: Extent,
        stop: &Stop,
    ) -> Result<SyncReport, WorkError> {
        let chosen = self.with_lists(self.choose(selection)?)?;
        let lock = self.store.lock()?;
        let unfinished = self.recover().await?;
        self.store.close_abandoned_runs(&lock).await?;
        let subject = subject(selection);
        self.in_run(RunKind::Sync, subject, async |run| {
            self.sync_all(run, &chosen, unfinished, extent, stop).await
        })
        .await
    }

    /// Does something in a run of its own, and writes down how it ended.
    pub(crate) async fn in_run(
        &self,
        kind: RunKind,
        subject: String,
        work: impl AsyncFnOnce(&RunId) -> Result<Vec<ResourceReport>, WorkError>,
    ) -> Result<SyncReport, WorkError> {
        let started = self.clock.monotonic();
        let run = self.store.start_run(kind, &subject).await?;
        self.observer.observe(&Event::RunStarted { run: run.clone(), kind, subject });
        self.begin_request_log();
        let resources = work(&run).await;
        self.land_request_log(&run).await;
        let resources = resources?;
        let report = SyncReport {
            status: status(&resources),
            counts: total(&resources),
            duration: self.clock.monotonic().saturating_sub(started),
            resources,
            run: run.clone(),
        };
        let error = report.resources.iter().find_map(|resource| resource.error.as_ref());
        let error = error.map(|error| self.run_error(error));
        self.store.end_run(&run, report.status, &report.counts, error.as_ref()).await?;
        self.observer.observe(&Event::RunEnded {
            run,
            status: report.status,
            counts: report.counts,
            duration: report.duration,
        });
        Ok(report)
    }

    /// The chosen resources, in name order, each once.
    pub(crate) fn choose(&self, selection: &Selection) -> Result<Vec<Chosen>, WorkError> {
        let mut chosen = BTreeMap::new();
        let mut add = |api: &Arc<ApiFile>, name: &Name, settings: ResourceSettings| {
            let table = TableName::new(api.api.clone(), name.clone());
            let api = Arc::clone(api);
            chosen.insert(table.clone(), Chosen { table, api, settings: Arc::new(settings) });
        };
        for word in &selection.0 {
            let (api, resource) = match word.split_once('.') {
                Some((api, resource)) => (self.definitions.api(api)?, Some(resource)),
                None => (self.definitions.api(word)?, None),
            };
            let Some(resource) = resource else {
                api.resources().for_each(|(name, settings)| add(api, name, settings));
                continue;
            };
            let found = api.resources().find(|(name, _)| name.as_str() == resource);
            let (name, settings) = found.ok_or_else(|| WorkError::Unknown {
                what: "resource",
                name: word.clone(),
                suggestion: nearest(resource, api.resources.keys().map(Name::as_str))
                    .map(|near| format!("{}.{near}", api.api)),
            })?;
            add(api, name, settings);
        }
        if selection.0.is_empty() {
            for definition in &self.definitions.apis {
                let api = &definition.api;
                api.resources().for_each(|(name, settings)| add(api, name, settings));
            }
        }
        if chosen.is_empty() {
            return Err(WorkError::NoResources);
        }
        Ok(chosen.into_values().collect())
    }

    /// The resources, with those that list which of their rows are gone.
    fn with_lists(&self, mut chosen: Vec<Chosen>) -> Result<Vec<Chosen>, WorkError> {
        let lists: Vec<String> =
            chosen.iter().filter_map(|one| Some(one.list()?.to_string())).collect();
        if !lists.is_empty() {
            let is_new = |one: &Chosen| chosen.iter().all(|there| there.table != one.table);
            let lists = self.choose(&Selection(lists))?;
            let mut added: Vec<Chosen> = lists.into_iter().filter(is_new).collect();
            chosen.append(&mut added);
            chosen.sort_by(|one, other| one.table.cmp(&other.table));
        }
        Ok(chosen)
    }

    /// Reads all chosen resources side by side; a child starts when its parent has ended, and one
    /// whose rows another lists as gone when that one has.
    async fn sync_all(
        &self,
        run: &RunId,
        chosen: &[Chosen],
        mut unfinished: Unfinished,
        extent: Extent,
        stop: &Stop,
    ) -> Result<Vec<ResourceReport>, WorkError> {
        let places: BTreeMap<&Name, Semaphore> =
            chosen.iter().map(|one| (&one.table.api, Semaphore::new(RESOURCES_AT_ONCE))).collect();
        let ended: BTreeMap<&TableName, watch::Sender<Option<RunStatus>>> =
            chosen.iter().map(|one| (&one.table, watch::Sender::new(None))).collect();
        let refused: Vec<Option<WorkError>> =
            chosen.iter().map(|one| unfinished.take(&one.table)).collect();
        // Each api is asked once, by whichever of its resources comes first.
        let accounts: BTreeMap<&Name, OnceCell<Result<(), OtherAccount>>> =
            chosen.iter().map(|one| (&one.table.api, OnceCell::new())).collect();
        let (places, ended, accounts) = (&places, &ended, &accounts);
        let syncs = chosen.iter().zip(refused).map(|(one, refused)| async move {
            let parent = one.parent();
            let waits = parent.as_ref().and_then(|parent| ended.get(parent));
            if let Some(list) = one.list().and_then(|list| ended.get(&list)) {
                // If it failed, what it has listed so far counts.
                has_rows(list).await;
            }
            let report = match (refused, waits) {
                (Some(error), _) => one.refused(error),
                (_, Some(ended)) if !has_rows(ended).await => one.refused(one.parent_failed()),
                _ => {
                    let _place = match places.get(&one.table.api) {
                        Some(places) => places.acquire().await.ok(),
                        None => None,
                    };
                    match self.account_of(one, accounts, stop.clone()).await {
                        Err(error) => one.refused(error),
                        Ok(()) => {
                            let is_full = extent == Extent::Full;
                            let report = self.sync_one(run, one, is_full, stop.clone()).await;
                            self.prune_raw(one);
                            report
                        }
                    }
                }
            };
            if let Some(own) = ended.get(&one.table) {
                own.send_replace(Some(report.status()));
            }
            report
        });
        let reports = join_all(syncs.map(|sync| self.written_down(run, sync))).await;
        reports.into_iter().collect()
    }

    /// Whether the resource's api answers for the right account. Nobody but its own resources waits
    /// for the answer.
    async fn account_of(
        &self,
        one: &Chosen,
        accounts: &BTreeMap<&Name, OnceCell<Result<(), OtherAccount>>>,
        stop: Stop,
    ) -> Result<(), WorkError> {
        let Some(account) = accounts.get(&one.table.api) else { return Ok(()) };
        let asked = account.get_or_init(|| self.check_account(&one.api));
        let checked = stop.unless_raised(asked).await?;
        checked.clone().map_err(WorkError::OtherAccount)
    }

    /// Runs one resource's sync and keeps its outcome with the run.
    pub(crate) async fn written_down(
        &self,
        run: &RunId,
        sync: impl Future<Output = ResourceReport>,
    ) -> Result<ResourceReport, WorkError> {
        let started_at = self.clock.now();
        let report = sync.await;
        let outcome = ResourceOutcome {
            resource: report.resource.clone(),
            status: report.status(),
            counts: report.counts,
            started_at,
            ended_at: self.clock.now(),
            error: report.error.as_ref().map(|error| self.run_error(error)),
            detail: Some(report.detail.clone()),
        };
        self.store.save_resource_outcome(run, &outcome).await?;
        Ok(report)
    }

    pub(crate) fn run_error(&self, error: &WorkError) -> RunError {
        RunError {
            code: error.code().as_str().to_owned(),
            message: self.redactor.redact(&said(error)).into_owned(),
        }
    }
}

impl Chosen {
    fn parent_failed(&self) -> WorkError {
        let parent = self.parent().unwrap_or_else(|| self.table.clone());
        WorkError::ParentFailed { resource: self.table.clone(), parent }
    }

    /// Nothing was read of it, and why.
    pub(crate) fn refused(&self, error: WorkError) -> ResourceReport {
        ResourceReport {
            resource: self.table.clone(),
            counts: Counts::default(),
            tables: Vec::new(),
            detail: Value::Null,
            is_kept: false,
            error: Some(error),
        }
    }
}

/// Waits until a parent has ended; one that was read in part has rows to go on with.
async fn has_rows(ended: &watch::Sender<Option<RunStatus>>) -> bool {
    let mut receiver = ended.subscribe();
    let status = receiver.wait_for(Option::is_some).await;
    status.is_ok_and(|status| *status != Some(RunStatus::Failed))
}

/// An error with its causes, on one line.
pub(crate) fn said(error: &WorkError) -> String {
    let mut message = error.to_string();
    for cause in restway_model::chain(error) {
        message.push_str(": ");
        message.push_str(&cause);
    }
    message
}

fn subject(selection: &Selection) -> String {
    if selection.0.is_empty() { "everything".into() } else { selection.0.join(" ") }
}

fn status(resources: &[ResourceReport]) -> RunStatus {
    let failed = resources.iter().filter(|resource| resource.error.is_some()).count();
    match failed {
        0 if resources.iter().all(|one| one.status() == RunStatus::Succeeded) => {
            RunStatus::Succeeded
        }
        0 => RunStatus::Partly,
        _ if resources.iter().any(|resource| resource.is_kept) => RunStatus::Partly,
        all if all == resources.len() && !resources.iter().any(was_stopped) => RunStatus::Failed,
        _ => RunStatus::Partly,
    }
}

/// A run that was asked to stop can go on; it did not fail.
fn was_stopped(resource: &ResourceReport) -> bool {
    resource.error.as_ref().is_some_and(|error| error.code() == Code::Interrupted)
}

fn total(resources: &[ResourceReport]) -> Counts {
    let mut counts = Counts::default();
    resources.iter().for_each(|resource| counts.add(&resource.counts));
    counts
}
