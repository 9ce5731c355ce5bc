//! The seam to whatever holds the rows, and the databases behind it.
//!
//! In: a [`Relation`], or a [`Statement`] with its values. Out: a [`Description`], or rows as JSON
//! text written into the answer's own buffer ([`Sink`]). Four kinds of source ship: the lake
//! (`lake`), and on one frame (`database`: pool, descriptions, transactions) SQLite, PostgreSQL
//! and MySQL or MariaDB; tests bring their own.
//!
//! What never happens here: a decision about what may be read, or a text of a caller in a
//! statement. A future that is dropped stops its statement at the database, not only here.

mod catalog;
mod database;
mod description;
mod error;
mod failure;
pub(crate) mod json;
mod lake;
mod mysql;
mod mysql_describe;
mod pool;
mod postgres;
mod postgres_describe;
mod postgres_values;
mod row;
mod run;
mod sink;
mod sqlite;

use std::sync::Arc;

use futures::future::BoxFuture;

pub use database::{Address, DatabaseSettings, InvalidAddress, open};
pub use description::{Column, Description, Foreign, Kind, Relation, Unique};
pub use error::{SourceError, Violation};
pub use lake::{Engine, Engined};
pub(crate) use mysql_describe::ENUMERATION;
pub(crate) use row::{first, values};
pub(crate) use sink::PAGE_BYTES_MAX;
pub use sink::{Flow, Page, Sink};

use crate::statement::{Dialect, Statement};

/// An answer that takes its time; dropping it stops what was asked.
pub type Answering<'a, T> = BoxFuture<'a, Result<T, SourceError>>;

/// What holds rows and answers statements of its dialect.
pub trait Source: Send + Sync {
    /// The SQL that it understands.
    fn dialect(&self) -> Dialect;

    /// What a relation has: kept, and read again when it may have changed.
    fn describe<'a>(&'a self, relation: &'a Relation) -> Answering<'a, Arc<Description>>;

    /// A statement showed that the description is no longer true: the next one is read anew.
    fn forget(&self, relation: &Relation);

    /// Writes the rows that a statement answers, until it ends or the sink has enough.
    fn read<'a>(
        &'a self,
        statement: &'a Statement<'a>,
        sink: &'a mut dyn Sink,
    ) -> Answering<'a, ()>;

    /// Begins a transaction that may write. One that is dropped did not happen.
    fn begin(&self) -> Answering<'_, Box<dyn Transaction>>;
}

/// Statements that happen together or not at all.
pub trait Transaction: Send {
    /// Runs a statement and says how many rows it touched; what it returns goes to the sink.
    fn execute<'a>(
        &'a mut self,
        statement: &'a Statement<'a>,
        sink: &'a mut dyn Sink,
    ) -> Answering<'a, u64>;

    /// Opens a part that can be undone by itself. Parts lie in each other like brackets.
    fn save(&mut self) -> Answering<'_, ()>;

    /// Undoes the innermost open part, and closes it.
    fn undo(&mut self) -> Answering<'_, ()>;

    /// Closes the innermost open part and keeps what it did.
    fn keep(&mut self) -> Answering<'_, ()>;

    /// Makes everything true.
    fn commit(self: Box<Self>) -> Answering<'static, ()>;

    /// Undoes everything, and leaves the connection to the next. One that cannot any more is
    /// closed, which undoes it too.
    fn rollback(self: Box<Self>) -> BoxFuture<'static, ()>;
}
