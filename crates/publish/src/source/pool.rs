//! Connections to one database: a bounded number, kept open, and never given to the next while the
//! last one's statement runs.
//!
//! In: a [`Driver`] that opens them. Out: a [`Lease`]. A lease that was not given back belongs to
//! a statement that nobody waits for any more: its connection is cancelled and closed, and its
//! place stays taken until that is done. What never happens here: an unbounded wait. A database
//! that could not be reached is left alone for a moment, and who comes in that moment is told at
//! once, so that one that is down takes no time from the others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{Either, select};
use restway_model::Clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::description::Description;
use super::{Relation, Sink, SourceError};
use crate::statement::{Dialect, Statement};

/// How long a connection may take to open.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a request waits for a connection that another one has.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a database that could not be reached is left alone.
const DOWN_FOR: Duration = Duration::from_secs(2);
/// How long stopping a statement may take.
const CANCEL_MAX: Duration = Duration::from_secs(5);

/// A kind of database: how it is reached, asked and stopped.
pub(super) trait Driver: Send + Sync + 'static {
    /// An open connection.
    type Connection: Send + 'static;
    /// The SQL that it understands.
    const DIALECT: Dialect;

    /// Opens a connection; one that only reads can do nothing else.
    fn connect(
        &self,
        writes: bool,
    ) -> impl Future<Output = Result<Self::Connection, SourceError>> + Send;

    /// What a relation has.
    fn describe(
        connection: &mut Self::Connection,
        relation: &Relation,
    ) -> impl Future<Output = Result<Description, SourceError>> + Send;

    /// Runs a statement and says how many rows it touched.
    fn run(
        connection: &mut Self::Connection,
        statement: &Statement<'_>,
        sink: &mut dyn Sink,
    ) -> impl Future<Output = Result<u64, SourceError>> + Send;

    /// Runs a statement of this room's own that answers nothing.
    fn command(
        connection: &mut Self::Connection,
        sql: &'static str,
    ) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// Stops what the connection is doing, and closes it.
    fn cancel(&self, connection: Self::Connection) -> impl Future<Output = ()> + Send;
}

/// Connections of one kind to one database.
pub(super) struct Pool<D: Driver> {
    driver: Arc<D>,
    writes: bool,
    connections: usize,
    clock: Arc<dyn Clock>,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<D::Connection>>,
    /// How often the waiting connections were forgotten: one that was out then is not taken back.
    age: AtomicU64,
    /// Until when nothing is opened, in milliseconds of the clock; zero for never.
    down_until: AtomicU64,
}

impl<D: Driver> Pool<D> {
    pub(super) fn new(
        driver: Arc<D>,
        writes: bool,
        connections: usize,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            driver,
            writes,
            connections,
            clock,
            permits: Arc::new(Semaphore::new(connections)),
            idle: Mutex::default(),
            age: AtomicU64::new(0),
            down_until: AtomicU64::new(0),
        })
    }

    /// A connection, for as long as the lease lives.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Lease<D>, SourceError> {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait().await?,
        };
        let age = self.age.load(Ordering::Acquire);
        let kept = self.idle().pop();
        let is_kept = kept.is_some();
        let connection = match kept {
            Some(connection) => connection,
            None => self.open().await?,
        };
        Ok(Lease {
            connection: Some(connection),
            permit: Some(permit),
            pool: Arc::clone(self),
            is_kept,
            age,
        })
    }

    /// Forgets all connections: one of them turned out to be dead, or has statements of a table
    /// that is another one now.
    pub(super) fn drop_idle(&self) {
        self.age.fetch_add(1, Ordering::AcqRel);
        self.idle().clear();
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit, SourceError> {
        let busy = || SourceError::Busy { connections: self.connections };
        let permit = Box::pin(Arc::clone(&self.permits).acquire_owned());
        match select(permit, self.clock.sleep(WAIT_MAX)).await {
            Either::Left((permit, _)) => permit.map_err(|_| busy()),
            Either::Right(_) => Err(busy()),
        }
    }

    async fn open(&self) -> Result<D::Connection, SourceError> {
        let is_down = self.now() < self.down_until.load(Ordering::Relaxed);
        if is_down {
            let reason = "it could not be reached a moment ago".to_owned();
            return Err(SourceError::Unavailable { reason });
        }
        let opening = Box::pin(self.driver.connect(self.writes));
        let opened = match select(opening, self.clock.sleep(CONNECT_MAX)).await {
            Either::Left((opened, _)) => opened,
            Either::Right(_) => {
                let reason = format!("no connection within {} s", CONNECT_MAX.as_secs());
                Err(SourceError::Unavailable { reason })
            }
        };
        if matches!(opened, Err(SourceError::Unavailable { .. })) {
            let until = self.now() + millis(DOWN_FOR);
            self.down_until.store(until, Ordering::Relaxed);
        }
        opened
    }

    fn now(&self) -> u64 {
        millis(self.clock.monotonic())
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<D::Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A connection on loan.
pub(super) struct Lease<D: Driver> {
    connection: Option<D::Connection>,
    permit: Option<OwnedSemaphorePermit>,
    pool: Arc<Pool<D>>,
    /// Whether it was open before, and so may be dead by now.
    pub(super) is_kept: bool,
    age: u64,
}

impl<D: Driver> Lease<D> {
    pub(super) fn connection(&mut self) -> &mut D::Connection {
        self.connection.as_mut().expect("a lease has its connection until it is given back")
    }

    /// The connection is free again: its statement has ended.
    pub(super) fn give_back(mut self) {
        if let Some(connection) = self.connection.take() {
            let mut idle = self.pool.idle();
            if self.pool.age.load(Ordering::Acquire) == self.age {
                idle.push(connection);
            }
        }
    }

    /// Gives it back after what leaves a connection as it was. After all else it is closed, and
    /// its statement is stopped before, where it may still run: whoever was to take its rows does
    /// not, or could not read them.
    pub(super) fn end<T>(mut self, outcome: &Result<T, SourceError>) {
        match outcome {
            Ok(_) | Err(SourceError::Constraint { .. } | SourceError::Missing { .. }) => {
                self.give_back();
            }
            Err(SourceError::Changed { .. } | SourceError::TooLarge { .. } | SourceError::Left) => {
                drop(self)
            }
            Err(_) => drop(self.connection.take()),
        }
    }
}

impl<D: Driver> Drop for Lease<D> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (pool, permit) = (Arc::clone(&self.pool), self.permit.take());
        runtime.spawn(async move {
            let cancelled = Box::pin(pool.driver.cancel(connection));
            select(cancelled, pool.clock.sleep(CANCEL_MAX)).await;
            drop(permit);
        });
    }
}
