//! Deliver: the rows of an outbox, as many at once as the export and its api allow.
//!
//! In: a filled outbox. Out: each row settled, or left where something ended the run. What was
//! answered is written down in one transaction that also hands out the next rows, some of them
//! ahead; while the disk is waited for, rows are under way, and what they come to goes into the
//! next transaction. A row that must not be sent twice asks at the last moment, after every wait
//! and login, to be written down as going out; so after a crash no row is in doubt that did not go.
//! Others wait for no disk. What is held in memory is those rows.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use restway_model::definition::OnError;
use restway_model::{Code, Counts, Explain, RowState};
use restway_store::{OutboxRow, SettledRow, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};

use super::send::{Leaving, Sender, Sent};
use super::{Chosen, ExportError};
use crate::{Stop, WorkError, Workspace};

/// Rows that are handed out before there is a place for them.
const AHEAD: usize = 256;
/// Rows that may wait to be written down as going out, before others wait for that.
const LEAVING_MAX: usize = 64;
/// How long the rows under way may still take when the run is asked to stop.
const GRACE: Duration = Duration::from_secs(5);
/// So many rows without an answer, with none between them, and the api is taken to be out.
const UNANSWERED_MAX: u32 = 10;
const CUT_OFF: &str = "the run was asked to stop before the answer came";

/// What a delivery came to; how the rows stand is in the outbox.
pub(super) struct Delivered {
    pub(super) counts: Counts,
    pub(super) error: Option<WorkError>,
}

/// The rows so far.
struct Tally<'a> {
    chosen: &'a Chosen,
    rows: u64,
    counts: Counts,
    failed: u64,
    unanswered: u32,
    error: Option<WorkError>,
}

/// A transaction of the outbox on its way.
type Turning = Pin<Box<dyn Future<Output = Result<Vec<OutboxRow>, StoreError>> + Send>>;

/// A delivery under way.
struct Delivery<'a> {
    workspace: &'a Workspace,
    tally: Tally<'a>,
    outbox: i64,
    sender: Sender,
    places: usize,
    /// Rows that go out when there is a place.
    ready: VecDeque<OutboxRow>,
    sending: JoinSet<Sent>,
    /// Rows that the next transaction writes down.
    settled: Vec<SettledRow>,
    asking: mpsc::Receiver<Leaving>,
    /// Rows that the next transaction writes down as going out.
    leaving: Vec<Leaving>,
    turning: Option<Turning>,
    /// Who goes out when it is done.
    departing: Vec<oneshot::Sender<()>>,
    /// How many rows it was asked for at most.
    asked: usize,
    /// The last row that was handed out, and whether there are more.
    after: u64,
    has_more: bool,
    /// When the rows under way are waited for no longer.
    grace_ends: Option<Duration>,
}

impl Workspace {
    /// Sends the rows that wait, `rows` of them.
    pub(super) async fn deliver(
        &self,
        chosen: &Chosen,
        outbox: i64,
        rows: u64,
        stop: &Stop,
    ) -> Delivered {
        let (counts, error) = (Counts::default(), None);
        let (leaving, asking) = mpsc::channel(LEAVING_MAX);
        let mut delivery = Delivery {
            workspace: self,
            tally: Tally { chosen, rows, counts, failed: 0, unanswered: 0, error },
            outbox,
            sender: Sender {
                chosen: chosen.clone(),
                connector: self.connector.clone(),
                redactor: self.redactor.clone(),
                clock: self.clock.clone(),
                observer: self.observer.clone(),
                leaving: Some(leaving).filter(|_| !chosen.export.is_repeatable()),
            },
            places: chosen.export.concurrency().min(self.connector.places(&chosen.api)),
            ready: VecDeque::new(),
            sending: JoinSet::new(),
            settled: Vec::new(),
            asking,
            leaving: Vec::new(),
            turning: None,
            departing: Vec::new(),
            asked: 0,
            after: 0,
            has_more: true,
            grace_ends: None,
        };
        let ended = delivery.run(stop.clone()).await;
        let mut tally = delivery.tally;
        let cut_off = match ended {
            Ok(true) => Ok(()),
            Ok(false) => {
                let code = Code::Interrupted.as_str();
                self.store.cut_off_rows(outbox, code, CUT_OFF).await.map_err(WorkError::from)
            }
            Err(error) => {
                // What cannot be written now the next export finds as it is.
                let (code, said) = (error.code().as_str(), error.to_string());
                let _ = self.store.cut_off_rows(outbox, code, &said).await;
                Err(error)
            }
        };
        if let Err(error) = cut_off {
            tally.error.get_or_insert(error);
        }
        Delivered { counts: tally.counts, error: tally.error }
    }
}

impl Delivery<'_> {
    /// Sends until nothing is left to send or to wait for; says whether all rows that went out were
    /// waited for.
    async fn run(&mut self, mut stop: Stop) -> Result<bool, WorkError> {
        let clock = self.workspace.clock.clone();
        let mut is_whole = true;
        loop {
            self.start();
            self.turn();
            if self.sending.is_empty() && self.turning.is_none() {
                return Ok(is_whole);
            }
            let now = clock.monotonic();
            let grace = self.grace_ends.filter(|_| is_whole).map(|end| end.saturating_sub(now));
            tokio::select! {
                Some(ended) = self.sending.join_next() => {
                    self.settled.push(self.tally.take(ended)?);
                }
                rows = turned(&mut self.turning) => {
                    let rows = rows?;
                    self.has_more &= rows.len() >= self.asked;
                    self.after = rows.last().map_or(self.after, |row| row.position);
                    self.ready.extend(rows);
                    for may_go in self.departing.drain(..) {
                        // Who is gone meanwhile was stopped.
                        let _ = may_go.send(());
                    }
                }
                Some(leaving) = self.asking.recv() => self.leaving.push(leaving),
                () = stop.raised(), if self.grace_ends.is_none() => {
                    self.grace_ends = Some(now + GRACE);
                    self.tally.error.get_or_insert(WorkError::Stopped);
                }
                () = clock.sleep(grace.unwrap_or_default()), if grace.is_some() => {
                    self.sending.shutdown().await;
                    is_whole = false;
                }
            }
            while let Some(ended) = self.sending.try_join_next() {
                self.settled.push(self.tally.take(ended)?);
            }
            while let Ok(leaving) = self.asking.try_recv() {
                self.leaving.push(leaving);
            }
        }
    }

    /// Sends rows while there are places; when the run is to end, no further one goes out.
    fn start(&mut self) {
        if self.tally.error.is_some() {
            self.ready.clear();
            self.leaving.clear();
        }
        while self.sending.len() < self.places
            && let Some(row) = self.ready.pop_front()
        {
            self.sending.spawn(self.sender.clone().send(row));
        }
    }

    /// Begins a transaction, if none is on its way and there is something for it to do.
    fn turn(&mut self) {
        let is_low = self.ready.len() <= AHEAD / 2;
        let goes_on = self.has_more && is_low && self.tally.error.is_none();
        let most = if goes_on { AHEAD - self.ready.len() } else { 0 };
        let has_nothing = self.settled.is_empty() && self.leaving.is_empty() && most == 0;
        if self.turning.is_some() || has_nothing {
            return;
        }
        let (store, outbox, after) = (self.workspace.store.clone(), self.outbox, self.after);
        let settled = std::mem::take(&mut self.settled);
        let (leaving, departing): (Vec<u64>, Vec<_>) =
            self.leaving.drain(..).map(|one| (one.position, one.may_go)).unzip();
        self.departing = departing;
        self.turning = Some(Box::pin(async move {
            store.turn_outbox(outbox, &settled, &leaving, (after, most)).await
        }));
        self.asked = most;
    }
}

/// The rows that a transaction hands out, once it is done; never when there is none.
async fn turned(turning: &mut Option<Turning>) -> Result<Vec<OutboxRow>, StoreError> {
    match turning {
        Some(future) => {
            let rows = future.await;
            *turning = None;
            rows
        }
        None => std::future::pending().await,
    }
}

impl Tally<'_> {
    /// Counts a row, and sees whether it is the last one that may go out.
    fn take(&mut self, ended: Result<Sent, JoinError>) -> Result<SettledRow, WorkError> {
        let Sent { key, settled, is_answered, bytes, error } = ended?;
        self.counts.records += 1;
        self.counts.requests += settled.attempts;
        self.counts.retries += settled.attempts.saturating_sub(1);
        self.counts.bytes += bytes;
        self.unanswered = if is_answered { 0 } else { self.unanswered + 1 };
        let is_failed = matches!(settled.state, RowState::Refused | RowState::Ambiguous);
        self.failed += u64::from(is_failed);
        if self.error.is_none() {
            self.error = error.or_else(|| self.ends(&key, &settled).map(WorkError::from));
        }
        Ok(settled)
    }

    fn ends(&self, key: &str, settled: &SettledRow) -> Option<ExportError> {
        let export = &self.chosen.export;
        let why = || match &settled.error {
            Some((_, message)) => message.clone(),
            None => settled.state.as_str().to_owned(),
        };
        if export.on_error == OnError::Fail && settled.state != RowState::Done {
            let (export, key) = (self.chosen.table.clone(), key.to_owned());
            return Some(ExportError::Refused { export, key, why: why() });
        }
        if let Some(bound) = export.max_errors.filter(|most| !most.allows(self.failed, self.rows)) {
            return Some(ExportError::TooMany {
                export: self.chosen.table.clone(),
                failed: self.failed,
                rows: self.rows,
                bound: bound.to_string(),
            });
        }
        (self.unanswered >= UNANSWERED_MAX).then(|| ExportError::Unanswered {
            export: self.chosen.table.clone(),
            rows: self.unanswered,
            why: why(),
        })
    }
}
