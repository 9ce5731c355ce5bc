//! SQLite behind the seam.
//!
//! In: a file, statements with `?1`. Out: rows, each value by the class that it is stored in, since
//! a column may hold any: a text in a column of numbers is a text in the answer. Readers open the
//! file for reading only; the one writer turns it to write-ahead logging, under which neither
//! waits for the other.
//!
//! SQLite has no type for moments: a text is answered and compared as it stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow,
    SqliteValueRef,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Decode, Executor, Row, TypeInfo, ValueRef};

use super::database::{Address, InvalidAddress};
use super::failure::{self, Meaning};
use super::pool::Driver;
use super::{Column, Description, Foreign, Kind, Relation, Sink, SourceError, Unique, json, run};
use crate::statement::{Dialect, Statement};

/// How long the writer waits for another process's.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// Steps of SQLite's machine between two looks at whether anybody still waits.
const STEPS: i32 = 4_000;
/// Statements that a connection keeps prepared.
const PREPARED_MAX: usize = 256;

/// What a query is called while its columns are asked for.
const VIEW: &str = "_restway_described";

/// How SQLite says that a name is not, or no longer, there.
const NAMES_NOTHING: [&str; 2] = ["no such column", "no such table"];

/// A file of SQLite.
pub(super) struct Sqlite {
    options: SqliteConnectOptions,
}

/// An open file.
pub(super) struct Opened {
    connection: SqliteConnection,
    /// Whether its statement is to stop.
    stops: Arc<AtomicBool>,
}

impl Sqlite {
    pub(super) fn new(address: &Address) -> Result<Self, InvalidAddress> {
        let Address::File(path) = address else { return Err(InvalidAddress) };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .busy_timeout(BUSY_MAX)
            .statement_cache_capacity(PREPARED_MAX)
            .disable_statement_logging();
        Ok(Self { options })
    }
}

impl Driver for Sqlite {
    type Connection = Opened;
    const DIALECT: Dialect = Dialect::Sqlite;

    async fn connect(&self, writes: bool) -> Result<Opened, SourceError> {
        let options = self.options.clone();
        let options = if writes {
            options.journal_mode(SqliteJournalMode::Wal)
        } else {
            options.read_only(true)
        };
        let mut connection = options.connect().await.map_err(failure::connecting)?;
        let stops = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stops);
        let mut handle = connection.lock_handle().await.map_err(failure::connecting)?;
        handle.set_progress_handler(STEPS, move || !asked.load(Ordering::Relaxed));
        drop(handle);
        Ok(Opened { connection, stops })
    }

    async fn describe(
        connection: &mut Opened,
        relation: &Relation,
    ) -> Result<Description, SourceError> {
        match relation {
            Relation::Table(path) => table(&mut connection.connection, path).await,
            Relation::Query { sql, .. } => query(&mut connection.connection, sql).await,
        }
    }

    async fn run(
        connection: &mut Opened,
        statement: &Statement<'_>,
        sink: &mut dyn Sink,
    ) -> Result<u64, SourceError> {
        let sql = AssertSqlSafe(statement.text.clone());
        let values: SqliteArguments = run::arguments(&statement.values, run::json_texts)?;
        let query = sqlx::query_with(sql, values);
        let rows = connection.connection.fetch_many(query);
        let rows = rows.map_ok(|next| next.map_left(|done| done.rows_affected()));
        // A column holds what was put in: each value tells its class.
        let values = run::Values { cell, fits: |_, _| true, failed };
        run::rows(rows, &statement.columns, sink, values).await
    }

    async fn command(connection: &mut Opened, sql: &'static str) -> Result<(), SourceError> {
        connection.connection.execute(sql).await.map(|_| ()).map_err(failed)
    }

    async fn cancel(&self, connection: Opened) {
        connection.stops.store(true, Ordering::Relaxed);
        // One that could not be closed well is closed all the same.
        let _ = connection.connection.close().await;
    }
}

fn failed(error: sqlx::Error) -> SourceError {
    failure::running(error, |error| {
        // The primary code is the last byte: https://www.sqlite.org/rescode.html
        let code = error.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or_default();
        let message = error.message();
        match code & 0xff {
            9 => Meaning::Slow,
            5 | 6 => Meaning::Contended,
            // A text that is too long, and no number where one must be.
            18 | 20 => Meaning::Invalid,
            1 if NAMES_NOTHING.iter().any(|start| message.starts_with(start)) => Meaning::Changed,
            14 | 26 => Meaning::Unavailable,
            _ => Meaning::Other,
        }
    })
}

/// A value by its storage class: https://www.sqlite.org/datatype3.html
fn cell(out: &mut Vec<u8>, kind: Kind, value: SqliteValueRef<'_>) -> Result<(), BoxDynError> {
    if value.is_null() {
        json::null(out);
        return Ok(());
    }
    let class = value.type_info().name().as_bytes().first().copied();
    match class {
        Some(b'I') => {
            let number = <i64 as Decode<sqlx::Sqlite>>::decode(value)?;
            match (kind, number) {
                (Kind::Bool, 0 | 1) => json::boolean(out, number == 1),
                _ => json::digits(out, number),
            }
        }
        Some(b'R') => json::fraction(out, <f64 as Decode<sqlx::Sqlite>>::decode(value)?),
        Some(b'B') => json::bytes(out, <&[u8] as Decode<sqlx::Sqlite>>::decode(value)?),
        _ => {
            let bytes = <&[u8] as Decode<sqlx::Sqlite>>::decode(value)?;
            match std::str::from_utf8(bytes) {
                Ok(text) if kind == Kind::Json => json::verbatim(out, text),
                _ => json::text_bytes(out, bytes),
            }
        }
    }
    Ok(())
}

/// What is in a table or view; a schema is a database that is attached, usually `main`.
async fn table(
    connection: &mut SqliteConnection,
    path: &[String],
) -> Result<Description, SourceError> {
    let (schema, name) = match path {
        [schema, name] => (schema.as_str(), name.as_str()),
        [name] => ("main", name.as_str()),
        _ => return Err(SourceError::Missing { relation: path.join(".") }),
    };
    let mut described = Description::default();
    let mut keyed: Vec<(i64, String)> = Vec::new();
    let text = "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden \
                FROM pragma_table_xinfo(?1, ?2) WHERE hidden <> 1";
    for row in all(connection, text, name, schema).await? {
        let (name, declared): (String, String) = (get(&row, 0)?, get(&row, 1)?);
        let mut column = of_declared(&name, &declared);
        let (not_null, position): (bool, i64) = (get(&row, 2)?, get(&row, 4)?);
        column.is_nullable = !not_null;
        column.has_default = get(&row, 3)?;
        column.is_generated = get::<i64>(&row, 5)? > 1;
        if position > 0 {
            keyed.push((position, name));
        }
        described.columns.push(column);
    }
    if described.columns.is_empty() {
        return Err(SourceError::Missing { relation: path.join(".") });
    }
    keyed.sort_unstable();
    described.key = keyed.into_iter().map(|(_, name)| name).collect();
    let text = "SELECT type = 'table' FROM pragma_table_list WHERE name = ?1 AND schema = ?2";
    let kinds = all(connection, text, name, schema).await?;
    described.is_table = kinds.first().map_or(Ok(false), |row| get(row, 0))?;
    number_by_itself(&mut described);
    described.uniques = uniques(connection, schema, name).await?;
    described.refers = references(connection, schema, name, false).await?;
    described.referred = references(connection, schema, name, true).await?;
    Ok(described)
}

/// A single key column of type INTEGER is the row's number, which SQLite gives and is never null.
fn number_by_itself(described: &mut Description) {
    let [key] = described.key.as_slice() else { return };
    let key = described.columns.iter_mut().find(|column| column.name == *key);
    if let Some(column) = key.filter(|column| column.native.eq_ignore_ascii_case("integer")) {
        column.is_nullable = false;
        column.has_default = true;
    }
}

async fn uniques(
    connection: &mut SqliteConnection,
    schema: &str,
    table: &str,
) -> Result<Vec<Unique>, SourceError> {
    let text = "SELECT list.name, part.name \
                FROM pragma_index_list(?1, ?2) AS list, pragma_index_info(list.name, ?2) AS part \
                WHERE list.\"unique\" AND NOT list.partial AND list.origin <> 'pk' \
                ORDER BY list.seq, part.seqno";
    let mut found: Vec<Unique> = Vec::new();
    for row in all(connection, text, table, schema).await? {
        let name: String = get(&row, 0)?;
        // A part that is no column is an expression: the index tells nothing about columns then.
        let Some(column) = get::<Option<String>>(&row, 1)? else { continue };
        match found.last_mut() {
            Some(last) if last.name == name => last.columns.push(column),
            _ => found.push(Unique { name, columns: vec![column] }),
        }
    }
    Ok(found)
}

/// The tables that a table refers to, or those that refer to it.
async fn references(
    connection: &mut SqliteConnection,
    schema: &str,
    table: &str,
    backwards: bool,
) -> Result<Vec<Foreign>, SourceError> {
    let text = if backwards {
        "SELECT owner.name || '_' || part.id, owner.name, part.\"to\", part.\"from\" \
         FROM pragma_table_list AS owner, pragma_foreign_key_list(owner.name, ?2) AS part \
         WHERE owner.schema = ?2 AND owner.type = 'table' AND part.\"table\" = ?1 COLLATE NOCASE \
         ORDER BY owner.name, part.id, part.seq"
    } else {
        "SELECT ?1 || '_' || part.id, part.\"table\", part.\"from\", part.\"to\" \
         FROM pragma_foreign_key_list(?1, ?2) AS part ORDER BY part.id, part.seq"
    };
    let mut found: Vec<Foreign> = Vec::new();
    for row in all(connection, text, table, schema).await? {
        let (name, other): (String, String) = (get(&row, 0)?, get(&row, 1)?);
        let own: Option<String> = get(&row, 2)?;
        let theirs: Option<String> = get(&row, 3)?;
        if found.last().is_none_or(|last| last.name != name) {
            let other = Relation::Table(vec![schema.to_owned(), other]);
            found.push(Foreign { name, columns: Vec::new(), other, other_columns: Vec::new() });
        }
        if let Some(last) = found.last_mut() {
            last.columns.extend(own);
            last.other_columns.extend(theirs);
        }
    }
    Ok(found)
}

/// The columns of a query, with the types of those that they come from, as a view of it has them;
/// it is this connection's own and goes at once.
async fn query(connection: &mut SqliteConnection, sql: &str) -> Result<Description, SourceError> {
    let view = format!("CREATE TEMP VIEW {VIEW} AS SELECT * FROM ({sql}\n) AS t");
    sqlx::raw_sql(AssertSqlSafe(view)).execute(&mut *connection).await.map_err(failed)?;
    let text = "SELECT name, type FROM pragma_table_xinfo(?1, ?2)";
    let rows = all(connection, text, VIEW, "temp").await;
    let gone = AssertSqlSafe(format!("DROP VIEW temp.{VIEW}"));
    sqlx::raw_sql(gone).execute(&mut *connection).await.map_err(failed)?;
    let column =
        |row: &SqliteRow| Ok(of_declared(&get::<String>(row, 0)?, &get::<String>(row, 1)?));
    let columns: Result<Vec<Column>, SourceError> = rows?.iter().map(column).collect();
    Ok(Description::of_columns(columns?))
}

/// The kind of a declared type, by the rules of affinity and the names in use.
fn of_declared(name: &str, declared: &str) -> Column {
    let upper = declared.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| upper.contains(word));
    let (length, scale) = in_brackets(&upper);
    let kind = if has(&["BOOL"]) {
        Kind::Bool
    } else if has(&["INT"]) {
        Kind::Int64
    } else if has(&["JSON"]) {
        Kind::Json
    } else if has(&["CHAR", "CLOB", "TEXT", "UUID", "DATE", "TIME"]) {
        Kind::Text
    } else if has(&["BLOB", "BINARY"]) {
        Kind::Bytes
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        Kind::Float64
    } else if has(&["DEC", "NUM"]) {
        match (length, scale) {
            (Some(precision), scale) => {
                let scale = scale.unwrap_or(0);
                Kind::Decimal { precision: precision.min(1_000), scale }
            }
            _ => Kind::Number,
        }
    } else {
        Kind::Other
    };
    let mut column = Column::new(name, kind);
    column.native = declared.to_owned();
    if kind == Kind::Text {
        column.length_max = length.map(u64::from);
    }
    column
}

/// The numbers in a type's brackets.
fn in_brackets(declared: &str) -> (Option<u16>, Option<u16>) {
    let inside = declared.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    let Some((inside, _)) = inside else { return (None, None) };
    let mut numbers = inside.split(',').map(|number| number.trim().parse().ok());
    (numbers.next().flatten(), numbers.next().flatten())
}

async fn all(
    connection: &mut SqliteConnection,
    text: &'static str,
    table: &str,
    schema: &str,
) -> Result<Vec<SqliteRow>, SourceError> {
    sqlx::query(text).bind(table).bind(schema).fetch_all(connection).await.map_err(failed)
}

fn get<'r, T>(row: &'r SqliteRow, at: usize) -> Result<T, SourceError>
where
    T: Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(at).map_err(failed)
}
