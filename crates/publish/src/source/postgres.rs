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
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgValueRef};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection, Executor, ValueRef};

use super::database::{Address, InvalidAddress};
use super::failure::{self, Meaning};
use super::pool::Driver;
use super::{
    Description, Kind, Relation, Sink, SourceError, json, postgres_describe, postgres_values, run,
};
use crate::statement::{Dialect, Statement};

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
        let values: PgArguments = run::arguments(&statement.values, texts)?;
        let query = sqlx::query_with(sql, values);
        let rows = connection.connection.fetch_many(query);
        let rows = rows.map_ok(|next| next.map_left(|done| done.rows_affected()));
        let values = run::Values { cell, fits: postgres_values::fits, failed };
        run::rows(rows, &statement.columns, sink, values).await
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
        // An undefined column or table, no operator for a type that is another now, or a prepared
        // statement whose result is another.
        Some("42703" | "42P01" | "42883" | "42804" | "42846" | "0A000" | "26000") => {
            Meaning::Changed
        }
        Some("3F000") => Meaning::Missing,
        // Values that are too long, out of range, or no text of their type, and JSON that is too
        // deep. A rule that divides by zero (22012) is no value of a caller's.
        Some(
            "22001" | "22003" | "22007" | "22008" | "22021" | "22030" | "22032" | "22P02" | "22P03"
            | "22P05" | "54001",
        ) => Meaning::Invalid,
        Some("40001" | "40P01") => Meaning::Contended,
        Some(code) if code.starts_with("08") || code.starts_with("57P") => Meaning::Unavailable,
        _ => Meaning::Other,
    })
}

fn texts(arguments: &mut PgArguments, values: &[String]) -> Result<(), BoxDynError> {
    arguments.add(values)
}

fn cell(out: &mut Vec<u8>, kind: Kind, value: PgValueRef<'_>) -> Result<(), BoxDynError> {
    if value.is_null() {
        json::null(out);
        return Ok(());
    }
    Ok(postgres_values::value(out, kind, value.as_bytes()?)?)
}
