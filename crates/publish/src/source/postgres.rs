//! PostgreSQL behind the seam.
//!
//! In: an address, statements with `$1`. Out: rows from the binary form of values. A read is one
//! statement in its own transaction, so one round trip; what surrounds it, its time and that it
//! only reads, is set once when the connection opens. What never happens here: a write on a
//! connection for reading, or a statement that runs on after nobody waits for it: the backend is
//! told to stop.

use std::str::FromStr;
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection, Either, Executor, Row, ValueRef};

use super::database::{Address, InvalidAddress};
use super::failure::{self, Meaning};
use super::pool::Driver;
use super::{
    Column, Description, Flow, Relation, Sink, SourceError, json, postgres_describe,
    postgres_values,
};
use crate::statement::{Bound, Dialect, Statement};

/// Statements that a connection keeps prepared.
const PREPARED_MAX: usize = 256;

/// A database of PostgreSQL.
pub(super) struct Postgres {
    options: PgConnectOptions,
    timeout: Duration,
}

/// A connection, and the backend at its other end.
pub(super) struct Opened {
    connection: PgConnection,
    backend: i32,
}

impl Postgres {
    pub(super) fn new(address: &Address, timeout: Duration) -> Result<Self, InvalidAddress> {
        let Address::Url(url) = address else { return Err(InvalidAddress) };
        let options = PgConnectOptions::from_str(url.expose()).map_err(|_| InvalidAddress)?;
        let options = options
            .application_name("restway")
            .statement_cache_capacity(PREPARED_MAX)
            .disable_statement_logging();
        Ok(Self { options, timeout })
    }
}

impl Driver for Postgres {
    type Connection = Opened;
    const DIALECT: Dialect = Dialect::Postgres;

    async fn connect(&self, writes: bool) -> Result<Opened, SourceError> {
        let mut connection = self.options.connect().await.map_err(failure::connecting)?;
        let read_only = if writes { "off" } else { "on" };
        let settings = format!(
            "SET statement_timeout = {}; SET default_transaction_read_only = {read_only}; \
             SET client_encoding = 'UTF8'",
            self.timeout.as_millis()
        );
        connection.execute(AssertSqlSafe(settings)).await.map_err(failure::connecting)?;
        let backend = sqlx::query_scalar("SELECT pg_backend_pid()");
        let backend = backend.fetch_one(&mut connection).await.map_err(failure::connecting)?;
        Ok(Opened { connection, backend })
    }

    async fn describe(
        connection: &mut Opened,
        relation: &Relation,
    ) -> Result<Description, SourceError> {
        let connection = &mut connection.connection;
        match relation {
            Relation::Table(path) => postgres_describe::table(connection, path).await,
            Relation::Query { sql, .. } => postgres_describe::query(connection, sql).await,
        }
    }

    async fn run(
        connection: &mut Opened,
        statement: &Statement<'_>,
        sink: &mut dyn Sink,
    ) -> Result<u64, SourceError> {
        let sql = AssertSqlSafe(statement.text.clone());
        let query = sqlx::query_with(sql, arguments(&statement.values)?);
        let mut rows = connection.connection.fetch_many(query);
        let mut touched = 0;
        let mut is_enough = false;
        while let Some(next) = rows.try_next().await.map_err(failed)? {
            let row = match next {
                Either::Left(done) => {
                    touched += done.rows_affected();
                    continue;
                }
                Either::Right(row) => row,
            };
            // The rest of a page, a row at most, is read so that the connection is free again.
            if is_enough {
                continue;
            }
            write(sink.buffer(), &row, &statement.columns).map_err(failed)?;
            match sink.row() {
                Flow::More => {}
                Flow::Full => sink.flush().await?,
                Flow::Enough => is_enough = true,
            }
        }
        Ok(touched)
    }

    async fn command(connection: &mut Opened, sql: &'static str) -> Result<(), SourceError> {
        connection.connection.execute(sql).await.map(|_| ()).map_err(failed)
    }

    async fn cancel(&self, connection: Opened) {
        let Opened { connection, backend } = connection;
        if let Ok(mut other) = self.options.connect().await {
            // A backend that ended by itself has nothing to stop.
            let stop = sqlx::query("SELECT pg_cancel_backend($1)").bind(backend);
            let _ = stop.execute(&mut other).await;
            let _ = other.close().await;
        }
        let _ = connection.close_hard().await;
    }
}

/// By the codes of https://www.postgresql.org/docs/current/errcodes-appendix.html
pub(super) fn failed(error: sqlx::Error) -> SourceError {
    failure::running(error, |error| match error.code().as_deref() {
        Some("57014" | "55P03") => Meaning::Slow,
        // An undefined column or table, or a prepared statement whose result is another now.
        Some("42703" | "42P01" | "0A000" | "26000") => Meaning::Changed,
        Some("3F000") => Meaning::Missing,
        Some(code) if code.starts_with("08") || code.starts_with("57P") => Meaning::Unavailable,
        _ => Meaning::Other,
    })
}

fn arguments(values: &[Bound]) -> Result<PgArguments, SourceError> {
    let mut arguments = PgArguments::default();
    for value in values {
        let added = match value {
            Bound::Null => arguments.add(None::<&str>),
            Bound::Bool(value) => arguments.add(*value),
            Bound::Int(value) => arguments.add(*value),
            Bound::Float(value) => arguments.add(*value),
            Bound::Text(value) => arguments.add(value.as_str()),
            Bound::Bytes(value) => arguments.add(value.as_slice()),
            Bound::Texts(values) => arguments.add(values.as_slice()),
        };
        added.map_err(|error| SourceError::Failed { reason: error.to_string() })?;
    }
    Ok(arguments)
}

fn write(out: &mut Vec<u8>, row: &PgRow, columns: &[&Column]) -> Result<(), sqlx::Error> {
    out.push(b'{');
    for (at, column) in columns.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&column.label);
        let value = row.try_get_raw(at)?;
        if value.is_null() {
            json::null(out);
        } else {
            let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
            let written = postgres_values::value(out, column.kind, bytes);
            written.map_err(|unread| sqlx::Error::Decode(Box::new(unread)))?;
        }
    }
    out.push(b'}');
    Ok(())
}
