//! The lander: pages of all walks of a resource into batches, each recorded with where it came to.
//!
//! In: whole pages, from walks side by side, each with the state that its part has after it. Out:
//! committed batches. A batch is closed only where every record in it is covered by such a state,
//! so whatever moment the process dies at, the next one goes on behind the last record that landed.
//! A page that came in pieces, or after which nobody could go on, leaves its part open; where rows
//! that land again would be there twice, nothing is recorded until it is closed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use restway_model::{Records, RunId, TableName};
use restway_store::StateChanges;
use restway_tables::{Intake, Landing, LoadMode, MapPath, SchemaChange, StagedBatch};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::Chosen;
use super::listed::Listed;
use super::spent;
use super::state::PartState;
use crate::landing::Batch;
use crate::{WorkError, Workspace};

/// Changes of columns that a run's report lists.
const CHANGES_MAX: usize = 100;

/// Columns that a record gets from its parent.
pub(super) type Carried = Arc<Vec<(String, Box<RawValue>)>>;

/// Some records of one part, in their order.
pub(super) struct Page {
    pub(super) part: Arc<str>,
    /// The window of it, where several are read side by side.
    pub(super) window: Option<DateTime<Utc>>,
    pub(super) records: Vec<Records>,
    pub(super) carried: Carried,
    /// From where the part goes on after them; none leaves it open.
    pub(super) state: Option<PartState>,
}

/// What one resource's sync does with what it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    /// What becomes of the rows that are there.
    pub(super) mode: LoadMode,
    /// Whether states are kept; otherwise the sync is whole or did not happen.
    pub(super) is_stepwise: bool,
    /// Whether the parts' states mean anything after a whole sync.
    pub(super) keeps_states: bool,
}

impl Way {
    /// Whether a row that lands again is there twice.
    pub(super) const fn adds(self) -> bool {
        matches!(self.mode, LoadMode::Append | LoadMode::Replace)
    }
}

/// What was landed.
#[derive(Debug, Default)]
pub(super) struct Landed {
    /// Rows of each table.
    pub(super) tables: BTreeMap<TableName, u64>,
    /// Recorded batches.
    pub(super) batches: u64,
    /// Records put among the rejects.
    pub(super) rejected: u64,
    /// Rows removed because the api said so, or no longer has them.
    pub(super) deleted: u64,
    /// Whether anything was kept that the next sync goes on from.
    pub(super) is_kept: bool,
    /// Columns that came to tables or widened, the first of them, and how many in all.
    pub(super) changed: Vec<SchemaChange>,
    pub(super) changes: u64,
    /// Where the time went.
    pub(super) spent: spent::Landing,
}

pub(super) struct Lander<'a> {
    workspace: &'a Workspace,
    run: &'a RunId,
    chosen: &'a Chosen,
    way: Way,
    maps: &'a [MapPath],
    listed: Listed,
    stream: String,
    intake: Option<(u64, Intake)>,
    states: BTreeMap<String, Option<PartState>>,
    open: BTreeSet<(Arc<str>, Option<DateTime<Utc>>)>,
    pages: u64,
    records: u64,
    since: Duration,
    landed: Landed,
}

impl<'a> Lander<'a> {
    /// Opens the resource's tables for a first batch; `maps` is what this sync has found to be
    /// maps.
    pub(super) async fn begin(
        workspace: &'a Workspace,
        run: &'a RunId,
        chosen: &'a Chosen,
        way: Way,
        maps: &'a [MapPath],
    ) -> Result<Self, WorkError> {
        let mut lander = Self {
            workspace,
            run,
            chosen,
            way,
            maps,
            listed: workspace.listed(chosen, way).await?,
            stream: chosen.table.to_string(),
            intake: None,
            states: BTreeMap::new(),
            open: BTreeSet::new(),
            pages: 0,
            records: 0,
            since: workspace.clock.monotonic(),
            landed: Landed::default(),
        };
        lander.intake = Some(lander.next_intake().await?);
        Ok(lander)
    }

    /// Counts on from what this sync has landed before.
    pub(super) fn goes_on_after(&mut self, landed: Landed) {
        self.landed = landed;
    }

    /// Takes pages until the walks are over; records a batch at each checkpoint.
    pub(super) async fn take_all(
        &mut self,
        mut pages: mpsc::Receiver<Page>,
    ) -> Result<(), WorkError> {
        while let Some(page) = pages.recv().await {
            self.take(page).await?;
            let limits = self.chosen.settings.checkpoint;
            let took = self.workspace.clock.monotonic().saturating_sub(self.since);
            let is_due = self.pages >= limits.pages
                || self.records >= limits.records
                || took >= limits.every.0;
            if self.way.is_stepwise && is_due && self.open.is_empty() && self.records > 0 {
                self.record(false).await?;
            }
        }
        Ok(())
    }

    async fn take(&mut self, page: Page) -> Result<(), WorkError> {
        let Page { part, window, records, carried, state } = page;
        let count: usize = records.iter().map(Records::len).sum();
        self.records += count as u64;
        if count > 0 {
            let (sequence, mut intake) = match self.intake.take() {
                Some(intake) => intake,
                None => self.next_intake().await?,
            };
            let begun = self.workspace.clock.monotonic();
            let pushed = tokio::task::spawn_blocking(move || {
                records.iter().try_for_each(|records| intake.push(records, &carried))?;
                Ok::<_, WorkError>(intake)
            });
            self.intake = Some((sequence, pushed.await??));
            self.landed.spent.shape += self.took_since(begun);
        }
        match state {
            None => {
                if count > 0 && self.way.adds() {
                    self.open.insert((part, window));
                }
            }
            Some(state) => {
                self.pages += 1;
                let is_nothing = state == PartState::default();
                self.states.insert(part.to_string(), (!is_nothing).then_some(state));
                self.open.remove(&(part, window));
            }
        }
        Ok(())
    }

    /// Records what is covered after the walks have ended, `is_whole` when all of them did well.
    pub(super) async fn finish(&mut self, is_whole: bool) -> Result<(), WorkError> {
        let is_nothing = self.records == 0 && self.states.is_empty();
        let may_record = match self.way.is_stepwise {
            true => self.open.is_empty() && (is_whole || !is_nothing),
            false => is_whole,
        };
        if may_record {
            self.record(is_whole).await?;
        }
        // What is not covered is read again; its files go with the intake.
        Ok(())
    }

    /// What was landed, whatever kept the rest from it.
    pub(super) fn landed(self) -> Landed {
        self.landed
    }

    async fn record(&mut self, is_end: bool) -> Result<(), WorkError> {
        let changes = self.changes(is_end)?;
        if let Some((_, intake)) = self.intake.take() {
            let begun = self.workspace.clock.monotonic();
            let staged = tokio::task::spawn_blocking(move || intake.finish()).await??;
            self.landed.spent.write += self.took_since(begun);
            // What the other table listed is taken out with the first batch.
            self.listed.gone = None;
            if !staged.changes_nothing() {
                return self.commit(staged, &changes).await;
            }
            self.workspace.lake.discard(&staged).await?;
        }
        let goes_on = |state: &Option<PartState>| state.as_ref().is_none_or(|it| it.failed == 0);
        self.landed.is_kept |= self.states.values().any(goes_on);
        self.begin_anew();
        Ok(self.workspace.store.change_states(&self.stream, &changes).await?)
    }

    async fn commit(
        &mut self,
        staged: StagedBatch,
        changes: &StateChanges,
    ) -> Result<(), WorkError> {
        let begun = self.workspace.clock.monotonic();
        let (table, stream) = (&self.chosen.table, self.stream.as_str());
        let sequence = staged.sequence();
        let batch = Batch { run: self.run, table, stream, sequence, staged: &staged };
        self.workspace.record(&batch, changes).await?;
        self.landed.is_kept = true;
        let committed = self.workspace.make_visible(&batch).await?;
        self.landed.spent.commit += self.took_since(begun);
        self.landed.batches += 1;
        self.landed.rejected += staged.tally().rejected;
        self.landed.deleted += staged.tally().deleted;
        for change in staged.schema_changes() {
            self.landed.changes += 1;
            if self.landed.changed.len() < CHANGES_MAX {
                self.landed.changed.push(change);
            }
        }
        for table in committed {
            *self.landed.tables.entry(table.table).or_default() += table.rows;
        }
        self.begin_anew();
        Ok(())
    }

    fn took_since(&self, begun: Duration) -> Duration {
        self.workspace.clock.monotonic().saturating_sub(begun)
    }

    fn begin_anew(&mut self) {
        self.states.clear();
        (self.pages, self.records) = (0, 0);
        self.since = self.workspace.clock.monotonic();
    }

    fn changes(&self, is_end: bool) -> Result<StateChanges, WorkError> {
        let parts = self.listed.state.clone().into_iter().collect();
        if !self.way.keeps_states && is_end {
            return Ok(StateChanges { resets: true, parts });
        }
        let mut changes = StateChanges { resets: !self.way.is_stepwise, parts };
        for (part, state) in &self.states {
            let state = state.as_ref().map(serde_json::to_value).transpose();
            let state = state.map_err(|source| WorkError::Journal {
                stream: self.stream.clone(),
                sequence: 0,
                source,
            })?;
            changes.parts.insert(part.clone(), state);
        }
        Ok(changes)
    }

    async fn next_intake(&self) -> Result<(u64, Intake), WorkError> {
        let sequence = self.workspace.store.next_sequence(&self.stream).await?;
        let landing = Landing {
            gone: self.listed.gone.clone(),
            maps: Some(self.maps.to_vec()),
            ..landing(self.workspace, self.run, self.chosen, self.way.mode, sequence)
        };
        Ok((sequence, self.workspace.lake.begin(landing).await?))
    }
}

/// What the tables are told of a batch that takes out no listed rows and looks for no maps.
pub(super) fn landing(
    workspace: &Workspace,
    run: &RunId,
    chosen: &Chosen,
    mode: LoadMode,
    sequence: u64,
) -> Landing {
    let settings = &chosen.settings;
    Landing {
        resource: chosen.table.clone(),
        stream: chosen.table.to_string(),
        sequence,
        run: run.clone(),
        fetched_at: workspace.clock.now(),
        mode,
        key: settings.key.iter().flat_map(|key| key.columns()).cloned().collect(),
        deletes: settings.deletes.clone(),
        gone: None,
        contract: settings.contract,
        max_rejects: settings.max_rejects,
        types: settings.types.clone(),
        nest_depth: usize::from(settings.nest.depth),
        json: settings.nest.json.clone(),
        columns: settings.nest.columns.clone(),
        maps: None,
    }
}
