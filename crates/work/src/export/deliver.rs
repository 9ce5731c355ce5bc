//! Deliver: the rows of an outbox, as many at once as the export and its api allow.
//!
//! In: a filled outbox. Out: each row settled, or left where something ended the run. What was
//! answered is written down in one transaction that also hands out the next rows; while the disk is
//! waited for, rows are under way, and what they come to goes into the next transaction. A row that
//! must not be sent twice is handed out when there is a place for it, so that no more of them are in
//! doubt after a crash than were under way; of others some are handed out ahead, and no row waits
//! for the disk. What is held in memory is those rows.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use restway_model::definition::OnError;
use restway_model::{Code, Counts, Explain, RowState};
use restway_store::{OutboxRow, SettledRow, StoreError};
use tokio::task::{JoinError, JoinSet};

use super::send::{Sender, Sent};
use super::{Chosen, ExportError};
use crate::{Stop, WorkError, Workspace};

/// Rows that are handed out before there is a place for them, where they may be sent again.
const AHEAD: usize = 256;
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
    ahead: usize,
    /// Rows that go out when there is a place.
    ready: VecDeque<OutboxRow>,
    sending: JoinSet<Sent>,
    /// Rows that the next transaction writes down.
    settled: Vec<SettledRow>,
    turning: Option<Turning>,
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
            },
            places: chosen.export.concurrency().min(self.connector.places(&chosen.api)),
            ahead: if chosen.export.is_repeatable() { AHEAD } else { 0 },
            ready: VecDeque::new(),
            sending: JoinSet::new(),
            settled: Vec::new(),
            turning: None,
            asked: 0,
            after: 0,
            has_more: true,
            grace_ends: None,
        };
        let ended = delivery.run(stop.clone()).await;
        let mut tally = delivery.tally;
        let cut_off = match ended {
            Ok(true) => Ok(()),
            Ok(false) => self.cut_off(chosen, outbox, Code::Interrupted.as_str(), CUT_OFF).await,
            Err(error) => {
                // What cannot be written now the next export finds as it is.
                let (code, said) = (error.code().as_str(), error.to_string());
                let _ = self.cut_off(chosen, outbox, code, &said).await;
                Err(error)
            }
        };
        if let Err(error) = cut_off {
            tally.error.get_or_insert(error);
        }
        Delivered { counts: tally.counts, error: tally.error }
    }

    /// The rows that are under way are waited for no longer.
    async fn cut_off(
        &self,
        chosen: &Chosen,
        outbox: i64,
        code: &str,
        said: &str,
    ) -> Result<(), WorkError> {
        let may_repeat = chosen.export.is_repeatable();
        Ok(self.store.cut_off_rows(outbox, may_repeat, code, said).await?)
    }
}

impl Delivery<'_> {
    /// Sends until nothing is left to send or to wait for; says whether every row that was handed
    /// out is settled.
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
                }
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
        }
    }

    /// Lets rows go while there are places; when the run is to end, those that are ready wait again.
    fn start(&mut self) {
        if self.tally.error.is_some() {
            let sent_at = self.workspace.clock.now();
            self.settled.extend(self.ready.drain(..).map(|row| SettledRow {
                position: row.position,
                state: RowState::Waiting,
                attempts: 0,
                status: None,
                response: None,
                error: None,
                sent_at,
            }));
        }
        while self.sending.len() < self.places
            && let Some(row) = self.ready.pop_front()
        {
            self.sending.spawn(self.sender.clone().send(row));
        }
    }

    /// Begins a transaction, if none is on its way and there is something for it to do.
    fn turn(&mut self) {
        let room = (self.places + self.ahead).saturating_sub(self.sending.len() + self.ready.len());
        let most = if self.has_more && self.tally.error.is_none() { room } else { 0 };
        if self.turning.is_some() || (self.settled.is_empty() && most == 0) {
            return;
        }
        let (store, outbox, after) = (self.workspace.store.clone(), self.outbox, self.after);
        let settled = std::mem::take(&mut self.settled);
        self.turning =
            Some(Box::pin(async move { store.turn_outbox(outbox, &settled, after, most).await }));
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
