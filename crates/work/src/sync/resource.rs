//! One resource: walk its pages, shape its records, record the batch, roll it forward.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use restway_connect::Walk;
use restway_model::definition::Load;
use restway_model::{Counts, Event, Records, RunId, TableName, Values};
use restway_store::BatchIntent;
use restway_tables::{Intake, Landing, LoadMode, StagedBatch, TableError};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::parents::Parent;
use super::{Chosen, ResourceReport};
use crate::stop::Stop;
use crate::{WorkError, Workspace};

/// How many parents are walked side by side when the api does not say.
const PARENTS_AT_ONCE: usize = 4;

/// Columns that a record gets from its parent.
type Carried = Arc<Vec<(String, Box<RawValue>)>>;

impl Workspace {
    /// Syncs one resource; an error is part of the report.
    pub(super) async fn sync_one(
        &self,
        run: &RunId,
        chosen: &Chosen,
        stop: Stop,
    ) -> ResourceReport {
        let started = self.clock.monotonic();
        let resource = chosen.table.clone();
        self.observer.observe(&Event::ResourceStarted { resource: resource.clone() });
        let mut counts = Counts::default();
        let done = self.land(run, chosen, stop, &mut counts).await;
        let (tables, error) = match done {
            Ok(tables) => (tables, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        counts.rows = tables.iter().map(|(_, rows)| rows).sum();
        let report = ResourceReport { resource, counts, tables, error };
        self.observer.observe(&Event::ResourceEnded {
            resource: report.resource.clone(),
            status: report.status(),
            counts,
            duration: self.clock.monotonic().saturating_sub(started),
        });
        report
    }

    async fn land(
        &self,
        run: &RunId,
        chosen: &Chosen,
        stop: Stop,
        counts: &mut Counts,
    ) -> Result<Vec<(TableName, u64)>, WorkError> {
        let stream = chosen.table.to_string();
        let sequence = self.store.next_sequence(&stream).await?;
        let intake = self.lake.begin(self.landing(run, chosen, &stream, sequence)).await?;
        let staged = self.fill(chosen, intake, stop, counts).await?;

        let tally = staged.tally();
        (counts.rejected, counts.deleted) = (tally.rejected, tally.deleted);
        let rows = staged.rows();
        let intent = BatchIntent {
            stream: stream.clone(),
            sequence,
            run: run.clone(),
            resource: chosen.table.clone(),
            body: serde_json::to_value(&staged).map_err(|source| WorkError::Journal {
                stream: stream.clone(),
                sequence,
                source,
            })?,
            state: None,
            rows,
        };
        if let Err(error) = self.store.record_batch(&intent).await {
            // The journal's own error is the one to report; orphans are swept later.
            let _ = self.lake.discard(&staged).await;
            return Err(error.into());
        }
        let committed = self.lake.commit(&staged).await?;
        self.store.finish_batch(&stream, sequence).await?;
        self.check_key(chosen).await;
        Ok(committed.into_iter().map(|table| (table.table, table.rows)).collect())
    }

    fn landing(&self, run: &RunId, chosen: &Chosen, stream: &str, sequence: u64) -> Landing {
        let settings = &chosen.settings;
        Landing {
            resource: chosen.table.clone(),
            stream: stream.to_owned(),
            sequence,
            run: run.clone(),
            fetched_at: self.clock.now(),
            mode: match settings.load {
                Load::Append => LoadMode::Append,
                Load::Replace => LoadMode::Replace,
                Load::Merge => LoadMode::Merge,
                Load::History => LoadMode::History,
            },
            key: settings.key.iter().flat_map(|key| key.columns()).cloned().collect(),
            deletes: settings.deletes.clone(),
            contract: settings.contract,
            max_rejects: settings.max_rejects,
            types: settings.types.clone(),
            nest_depth: usize::from(settings.nest.depth),
            json: settings.nest.json.clone(),
        }
    }

    /// Reads and shapes side by side. Whichever fails first ends the other, and what was staged
    /// is removed.
    async fn fill(
        &self,
        chosen: &Chosen,
        intake: Intake,
        stop: Stop,
        counts: &mut Counts,
    ) -> Result<StagedBatch, WorkError> {
        let (sender, receiver) = mpsc::channel(self.limits.channel_batches_max);
        let shaping = tokio::task::spawn_blocking(move || shape(intake, receiver));
        let walked = self.walk_all(chosen, &sender, stop, counts).await;
        drop(sender);
        let shaped = shaping.await?;
        match (walked, shaped) {
            (Ok(()) | Err(WorkError::ShaperEnded), Err(error)) => Err(error.into()),
            (Err(error), Ok(intake)) => {
                intake.abandon();
                Err(error)
            }
            (Err(error), Err(_)) => Err(error),
            (Ok(()), Ok(intake)) => {
                Ok(tokio::task::spawn_blocking(move || intake.finish()).await??)
            }
        }
    }

    async fn walk_all(
        &self,
        chosen: &Chosen,
        sender: &mpsc::Sender<(Records, Carried)>,
        stop: Stop,
        counts: &mut Counts,
    ) -> Result<(), WorkError> {
        let Some(parent) = chosen.parent() else {
            let values = Arc::new(Parent::none());
            return self.walk(chosen, values, Carried::default(), sender, stop, counts).await;
        };
        let mut parents = self.parents(chosen, &parent).await?.into_iter();
        let at_once = chosen.api.limits.concurrency.map_or(PARENTS_AT_ONCE, usize::from);
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < at_once
                && let Some(row) = parents.next()
            {
                let stop = stop.clone();
                under_way.push(async move {
                    let carried = Arc::new(carried(&chosen.settings.carry, &row));
                    let mut counts = Counts::default();
                    let values = Arc::new(row);
                    let walked =
                        self.walk(chosen, values, carried, sender, stop, &mut counts).await;
                    (walked, counts)
                });
            }
            let Some((walked, own)) = under_way.next().await else { return Ok(()) };
            counts.add(&own);
            walked?;
        }
    }

    async fn walk(
        &self,
        chosen: &Chosen,
        values: Arc<dyn Values + Send + Sync>,
        carried: Carried,
        sender: &mpsc::Sender<(Records, Carried)>,
        mut stop: Stop,
        counts: &mut Counts,
    ) -> Result<(), WorkError> {
        let mut walk = self.connector.walk(
            Arc::clone(&chosen.api),
            chosen.table.clone(),
            Arc::clone(&chosen.settings),
            values,
        );
        let ended = read(&mut walk, &carried, sender, &mut stop).await;
        counts.add(&walk.counts());
        ended
    }
}

async fn read(
    walk: &mut Walk,
    carried: &Carried,
    sender: &mpsc::Sender<(Records, Carried)>,
    stop: &mut Stop,
) -> Result<(), WorkError> {
    loop {
        let part = tokio::select! {
            biased;
            () = stop.raised() => return Err(WorkError::Stopped),
            part = walk.next() => part?,
        };
        let Some(part) = part else { return Ok(()) };
        if !part.records.is_empty()
            && sender.send((part.records, Arc::clone(carried))).await.is_err()
        {
            return Err(WorkError::ShaperEnded);
        }
    }
}

/// Takes records until the readers are done; runs on a thread of its own.
fn shape(
    mut intake: Intake,
    mut receiver: mpsc::Receiver<(Records, Carried)>,
) -> Result<Intake, TableError> {
    while let Some((records, carried)) = receiver.blocking_recv() {
        intake.push(&records, &carried)?;
    }
    Ok(intake)
}

fn carried(carry: &BTreeMap<String, String>, row: &Parent) -> Vec<(String, Box<RawValue>)> {
    carry.iter().map(|(name, column)| (name.clone(), row.column(column))).collect()
}
