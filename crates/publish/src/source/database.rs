//! A database as a source: pools for reading and writing, descriptions, transactions.
//!
//! In: an address and the bounds. Out: a [`Source`]. The frame is the same for SQLite, PostgreSQL
//! and MySQL; what differs is the [`Driver`]. What never happens here: a write outside of a
//! transaction, or a read on a connection that could write.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use restway_model::definition::SourceKind;
use restway_model::{Clock, Secret};

use super::catalog::Catalog;
use super::mysql::Mysql;
use super::pool::{Driver, Lease, Pool};
use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::{Answering, Description, Relation, Sink, Source, SourceError, Transaction};
use crate::statement::{Dialect, Statement};

/// Where a database is.
#[derive(Debug, Clone)]
pub enum Address {
    /// A file of SQLite.
    File(PathBuf),
    /// The address of a server, with everything that is needed to connect.
    Url(Secret),
}

/// A database and its bounds.
#[derive(Clone)]
pub struct DatabaseSettings {
    /// Its kind.
    pub kind: SourceKind,
    /// Where it is.
    pub address: Address,
    /// Connections that read at once; as many again may write, of SQLite one.
    pub connections: u32,
    /// How long a statement may take.
    pub timeout: Duration,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

/// An address that cannot be read. It is not repeated: it may have a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address of the database cannot be read")]
pub struct InvalidAddress;

/// A database as a source. Nothing is connected before the first request.
///
/// # Errors
/// When the address is none of this kind of database.
pub fn open(settings: &DatabaseSettings) -> Result<Arc<dyn Source>, InvalidAddress> {
    let (address, timeout) = (&settings.address, settings.timeout);
    Ok(match settings.kind {
        SourceKind::Sqlite => Database::source(Sqlite::new(address)?, settings, 1),
        SourceKind::Postgres => {
            Database::source(Postgres::new(address, timeout)?, settings, settings.connections)
        }
        SourceKind::Mysql => {
            Database::source(Mysql::new(address, timeout)?, settings, settings.connections)
        }
    })
}

struct Database<D: Driver> {
    reads: Arc<Pool<D>>,
    writes: Arc<Pool<D>>,
    catalog: Catalog,
}

impl<D: Driver> Database<D> {
    fn source(driver: D, settings: &DatabaseSettings, writers: u32) -> Arc<dyn Source> {
        let driver = Arc::new(driver);
        let pool = |writes, connections: u32| {
            let connections = usize::try_from(connections).unwrap_or(usize::MAX);
            Pool::new(Arc::clone(&driver), writes, connections, Arc::clone(&settings.clock))
        };
        Arc::new(Self {
            reads: pool(false, settings.connections),
            writes: pool(true, writers),
            catalog: Catalog::new(Arc::clone(&settings.clock)),
        })
    }

    /// A statement on a connection that only reads; once more when the connection had died while
    /// nobody used it.
    async fn read_rows(
        &self,
        statement: &Statement<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), SourceError> {
        loop {
            let mut lease = self.reads.lease().await?;
            let outcome = D::run(lease.connection(), statement, sink).await;
            let was_kept = lease.is_kept;
            lease.end(&outcome);
            match outcome {
                Err(SourceError::Broken { .. }) if was_kept && !sink.has_rows() => {
                    self.reads.drop_idle();
                }
                outcome => return outcome.map(|_| ()),
            }
        }
    }

    async fn read_description(&self, relation: &Relation) -> Result<Description, SourceError> {
        loop {
            let mut lease = self.reads.lease().await?;
            let outcome = D::describe(lease.connection(), relation).await;
            let was_kept = lease.is_kept;
            lease.end(&outcome);
            match outcome {
                Err(SourceError::Broken { .. }) if was_kept => self.reads.drop_idle(),
                outcome => return outcome,
            }
        }
    }
}

impl<D: Driver> Source for Database<D> {
    fn dialect(&self) -> Dialect {
        D::DIALECT
    }

    fn describe<'a>(&'a self, relation: &'a Relation) -> Answering<'a, Arc<Description>> {
        Box::pin(self.catalog.get(relation, || self.read_description(relation)))
    }

    fn forget(&self, relation: &Relation) {
        self.catalog.forget(relation);
        // What they have prepared is of the relation as it was.
        self.reads.drop_idle();
        self.writes.drop_idle();
    }

    fn read<'a>(
        &'a self,
        statement: &'a Statement<'a>,
        sink: &'a mut dyn Sink,
    ) -> Answering<'a, ()> {
        Box::pin(self.read_rows(statement, sink))
    }

    fn begin(&self) -> Answering<'_, Box<dyn Transaction>> {
        Box::pin(async move {
            loop {
                let mut lease = self.writes.lease().await?;
                let begun = match D::DIALECT {
                    // A transaction that begins by reading could fail at its first write.
                    Dialect::Sqlite => D::command(lease.connection(), "BEGIN IMMEDIATE").await,
                    _ => D::command(lease.connection(), "BEGIN").await,
                };
                if begun.is_ok() {
                    let begun = Begun { lease, depth: 0, is_sound: true };
                    let transaction: Box<dyn Transaction> = Box::new(begun);
                    return Ok(transaction);
                }
                let was_kept = lease.is_kept;
                lease.end(&begun);
                match begun {
                    Err(SourceError::Broken { .. }) if was_kept => self.writes.drop_idle(),
                    begun => begun?,
                }
            }
        })
    }
}

/// Names of open parts, by their depth: the text of a statement is one of a few.
const PARTS: [[&str; 3]; 3] = [
    ["SAVEPOINT part_1", "ROLLBACK TO SAVEPOINT part_1", "RELEASE SAVEPOINT part_1"],
    ["SAVEPOINT part_2", "ROLLBACK TO SAVEPOINT part_2", "RELEASE SAVEPOINT part_2"],
    ["SAVEPOINT part_3", "ROLLBACK TO SAVEPOINT part_3", "RELEASE SAVEPOINT part_3"],
];

/// A transaction under way. Dropped with its lease, whose connection is closed: that undoes it.
struct Begun<D: Driver> {
    lease: Lease<D>,
    depth: usize,
    /// Whether all that went wrong leaves a connection as it was.
    is_sound: bool,
}

impl<D: Driver> Begun<D> {
    async fn part(&mut self, depth: usize, what: usize) -> Result<(), SourceError> {
        let command = depth.checked_sub(1).and_then(|at| PARTS.get(at)).map(|part| part[what]);
        match command {
            Some(command) => D::command(self.lease.connection(), command).await,
            None => {
                let reason = format!("a transaction has 1 to {} parts in each other", PARTS.len());
                Err(SourceError::Failed { reason })
            }
        }
    }
}

impl<D: Driver> Transaction for Begun<D> {
    fn execute<'a>(
        &'a mut self,
        statement: &'a Statement<'a>,
        sink: &'a mut dyn Sink,
    ) -> Answering<'a, u64> {
        Box::pin(async move {
            let outcome = D::run(self.lease.connection(), statement, sink).await;
            let leaves_it = matches!(
                &outcome,
                Ok(_) | Err(SourceError::Constraint { .. } | SourceError::Invalid { .. })
            );
            self.is_sound &= leaves_it;
            outcome
        })
    }

    fn save(&mut self) -> Answering<'_, ()> {
        Box::pin(async move {
            self.part(self.depth + 1, 0).await?;
            self.depth += 1;
            Ok(())
        })
    }

    fn undo(&mut self) -> Answering<'_, ()> {
        Box::pin(async move {
            self.part(self.depth, 1).await?;
            self.part(self.depth, 2).await?;
            self.depth -= 1;
            Ok(())
        })
    }

    fn keep(&mut self) -> Answering<'_, ()> {
        Box::pin(async move {
            self.part(self.depth, 2).await?;
            self.depth -= 1;
            Ok(())
        })
    }

    fn commit(mut self: Box<Self>) -> Answering<'static, ()> {
        Box::pin(async move {
            D::command(self.lease.connection(), "COMMIT").await?;
            self.lease.give_back();
            Ok(())
        })
    }

    fn rollback(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let is_undone = D::command(self.lease.connection(), "ROLLBACK").await.is_ok();
            if is_undone && self.is_sound {
                self.lease.give_back();
            }
        })
    }
}
