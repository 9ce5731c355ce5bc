//! MySQL and MariaDB behind the seam.
//!
//! In: an address, statements with `?`. Out: rows from the binary form of values. Sessions are in
//! UTC, so a TIMESTAMP is an instant and a DATETIME a moment in no place. What never happens here:
//! a write on a connection for reading, or a statement that runs on after nobody waits for it: the
//! server is told to kill it.

use std::str::FromStr;
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::error::BoxDynError;
use sqlx::mysql::{
    MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlTypeInfo, MySqlValueRef,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Decode, Executor, TypeInfo};

use super::database::{Address, InvalidAddress};
use super::failure::{self, Meaning};
use super::pool::Driver;
use super::{Column, Description, Kind, Relation, Sink, SourceError, json, mysql_describe, run};
use crate::statement::{Dialect, Statement};

/// Statements that a connection keeps prepared.
const PREPARED_MAX: usize = 256;
const DAY_MICROS: i64 = 86_400_000_000;

/// A database of MySQL or MariaDB.
pub(super) struct Mysql {
    options: MySqlConnectOptions,
    timeout: Duration,
}

/// A connection, and its number at the server.
pub(super) struct Opened {
    connection: MySqlConnection,
    number: u64,
}

impl Mysql {
    pub(super) fn new(address: &Address, timeout: Duration) -> Result<Self, InvalidAddress> {
        let Address::Url(url) = address else { return Err(InvalidAddress) };
        let options = MySqlConnectOptions::from_str(url.expose()).map_err(|_| InvalidAddress)?;
        let options = options.statement_cache_capacity(PREPARED_MAX).disable_statement_logging();
        Ok(Self { options, timeout })
    }
}

impl Driver for Mysql {
    type Connection = Opened;
    const DIALECT: Dialect = Dialect::Mysql;

    async fn connect(&self, writes: bool) -> Result<Opened, SourceError> {
        let mut connection = self.options.connect().await.map_err(failure::connecting)?;
        let who = sqlx::query_as("SELECT CONNECTION_ID(), VERSION()");
        let (number, version): (u64, String) =
            who.fetch_one(&mut connection).await.map_err(failure::connecting)?;
        // The two have the same bound under two names, in seconds and in milliseconds.
        let bound = if version.contains("MariaDB") {
            format!("max_statement_time = {}", self.timeout.as_secs_f64())
        } else {
            format!("max_execution_time = {}", self.timeout.as_millis())
        };
        let bound = format!("SET SESSION {bound}");
        connection.execute(AssertSqlSafe(bound)).await.map_err(failure::connecting)?;
        if !writes {
            let reads = connection.execute("SET SESSION TRANSACTION READ ONLY");
            reads.await.map_err(failure::connecting)?;
        }
        Ok(Opened { connection, number })
    }

    async fn describe(
        connection: &mut Opened,
        relation: &Relation,
    ) -> Result<Description, SourceError> {
        let connection = &mut connection.connection;
        match relation {
            Relation::Table(path) => mysql_describe::table(connection, path).await,
            Relation::Query { sql, .. } => mysql_describe::query(connection, sql).await,
        }
    }

    async fn run(
        connection: &mut Opened,
        statement: &Statement<'_>,
        sink: &mut dyn Sink,
    ) -> Result<u64, SourceError> {
        let sql = AssertSqlSafe(statement.text.clone());
        let values: MySqlArguments = run::arguments(&statement.values, run::json_texts)?;
        let query = sqlx::query_with(sql, values);
        let rows = connection.connection.fetch_many(query);
        let rows = rows.map_ok(|next| next.map_left(|done| done.rows_affected()));
        let values = run::Values { cell, fits, failed };
        run::rows(rows, &statement.columns, sink, values).await
    }

    async fn command(connection: &mut Opened, sql: &'static str) -> Result<(), SourceError> {
        connection.connection.execute(sql).await.map(|_| ()).map_err(failed)
    }

    async fn cancel(&self, connection: Opened) {
        let Opened { connection, number } = connection;
        if let Ok(mut other) = self.options.connect().await {
            // A connection that ended by itself has nothing to kill.
            let _ = other.execute(AssertSqlSafe(format!("KILL {number}"))).await;
            let _ = other.close().await;
        }
        let _ = connection.close_hard().await;
    }
}

/// By the numbers of https://mariadb.com/kb/en/mariadb-error-codes/
pub(super) fn failed(error: sqlx::Error) -> SourceError {
    failure::running(error, |error| {
        let number = error
            .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
            .map_or(0, sqlx::mysql::MySqlDatabaseError::number);
        match number {
            // The bound of a statement in both.
            1969 | 3024 => Meaning::Slow,
            // A lock that was waited for, a deadlock, a row that another one changed.
            1020 | 1205 | 1213 => Meaning::Contended,
            // Out of range, no value of the type, too long, no JSON, JSON too deep.
            1264 | 1292 | 1366 | 1367 | 1406 | 3140 | 3141 | 3157 => Meaning::Invalid,
            // An unknown column, or a table that is no longer there or is another now.
            1054 | 1146 | 1412 | 1615 => Meaning::Changed,
            1049 => Meaning::Missing,
            1040 | 1053 | 1077 | 1317 | 1927 => Meaning::Unavailable,
            _ => Meaning::Other,
        }
    })
}

/// Whether values of a type are what is known of a column.
fn fits(column: &Column, found: &MySqlTypeInfo) -> bool {
    let name = found.name();
    let word = name.strip_suffix(" UNSIGNED").unwrap_or(name);
    let is_whole =
        matches!(word, "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT");
    let is_from_zero = word != name || word == "YEAR";
    let has_bytes = matches!(
        word,
        "BINARY"
            | "VARBINARY"
            | "TINYBLOB"
            | "BLOB"
            | "MEDIUMBLOB"
            | "LONGBLOB"
            | "GEOMETRY"
            | "BIT"
    );
    // Texts whose collation compares bytes are named like bytes.
    let is_text = <str as sqlx::Type<sqlx::MySql>>::compatible(found)
        || matches!(word, "JSON" | "SET" | "NULL");
    match column.kind {
        Kind::Null => true,
        // What is computed has no type of its own for this.
        Kind::Bool if column.native.is_empty() => is_whole,
        Kind::Bool => matches!(word, "BOOLEAN" | "TINYINT" | "BIT"),
        Kind::Int64 => is_whole && !is_from_zero,
        Kind::UInt64 => (is_whole || word == "YEAR") && is_from_zero,
        Kind::Decimal { .. } | Kind::Number => word == "DECIMAL",
        Kind::Float32 => word == "FLOAT",
        Kind::Float64 => word == "DOUBLE",
        Kind::Date => word == "DATE",
        Kind::Time => word == "TIME",
        Kind::DateTime => word == "DATETIME",
        Kind::Instant => word == "TIMESTAMP",
        Kind::Bytes => has_bytes && !is_text,
        Kind::Text => is_text,
        Kind::Json | Kind::Uuid | Kind::Other | Kind::List => is_text || has_bytes,
    }
}

fn cell(out: &mut Vec<u8>, kind: Kind, cell: MySqlValueRef<'_>) -> Result<(), BoxDynError> {
    match <&[u8] as Decode<sqlx::MySql>>::decode(cell) {
        Ok(bytes) => value(out, kind, bytes)?,
        // Without bytes it is null. The library says the same of days that are all zero, which
        // the database neither sorts nor compares so.
        Err(_) => json::null(out),
    }
    Ok(())
}

/// Bytes that are no value of their type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a value of MySQL could not be read")]
struct Unread;

/// A value in the binary form of results:
/// https://mariadb.com/kb/en/resultset-row/#binary-resultset-row
fn value(out: &mut Vec<u8>, kind: Kind, bytes: &[u8]) -> Result<(), Unread> {
    match kind {
        // `tinyint(1)` is a number, `bit(1)` a byte; both are zero or not.
        Kind::Bool => json::boolean(out, bytes.iter().any(|&byte| byte != 0)),
        Kind::Int64 => json::digits(out, whole(bytes)?),
        Kind::UInt64 => json::digits(out, whole_from_zero(bytes)?),
        Kind::Float32 => json::short_fraction(out, f32::from_le_bytes(fixed(bytes)?)),
        Kind::Float64 => json::fraction(out, f64::from_le_bytes(fixed(bytes)?)),
        // Decimals come as their digits.
        Kind::Decimal { .. } | Kind::Number => out.extend_from_slice(bytes),
        Kind::Date => match days(bytes)? {
            Some(days) => json::day(out, days),
            None => undated(out, bytes, None)?,
        },
        Kind::DateTime | Kind::Instant => {
            let ending = if kind == Kind::Instant { "Z" } else { "" };
            let clock = clock(bytes.get(5..).unwrap_or_default())?;
            match days(bytes)? {
                Some(days) => json::moment(out, days * DAY_MICROS + clock, ending),
                None => undated(out, bytes, Some((clock, ending)))?,
            }
        }
        Kind::Time => json::time(out, time(bytes)?),
        Kind::Json => match std::str::from_utf8(bytes) {
            Ok(text) => json::verbatim(out, text),
            Err(_) => json::text_bytes(out, bytes),
        },
        Kind::Bytes => json::bytes(out, bytes),
        Kind::Text | Kind::Uuid | Kind::Other | Kind::Null | Kind::List => {
            json::text_bytes(out, bytes);
        }
    }
    Ok(())
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Unread> {
    bytes.try_into().map_err(|_| Unread)
}

fn whole(bytes: &[u8]) -> Result<i64, Unread> {
    Ok(match bytes.len() {
        1 => i8::from_le_bytes(fixed(bytes)?).into(),
        2 => i16::from_le_bytes(fixed(bytes)?).into(),
        4 => i32::from_le_bytes(fixed(bytes)?).into(),
        _ => i64::from_le_bytes(fixed(bytes)?),
    })
}

fn whole_from_zero(bytes: &[u8]) -> Result<u64, Unread> {
    Ok(match bytes.len() {
        1 => u8::from_le_bytes(fixed(bytes)?).into(),
        2 => u16::from_le_bytes(fixed(bytes)?).into(),
        4 => u32::from_le_bytes(fixed(bytes)?).into(),
        _ => u64::from_le_bytes(fixed(bytes)?),
    })
}

/// Year, month and day of a moment: behind a length, the year in two bytes. Without them all is
/// zero.
fn date(bytes: &[u8]) -> Result<(u16, u8, u8), Unread> {
    match *bytes {
        [0] => Ok((0, 0, 0)),
        [_, low, high, month, day, ..] => Ok((u16::from_le_bytes([low, high]), month, day)),
        _ => Err(Unread),
    }
}

/// The day of a moment; none where a part of it is zero, which is no day of the calendar.
fn days(bytes: &[u8]) -> Result<Option<i64>, Unread> {
    let (year, month, day) = date(bytes)?;
    if month == 0 || day == 0 {
        return Ok(None);
    }
    let day = chrono::NaiveDate::from_ymd_opt(year.into(), month.into(), day.into());
    let day = day.ok_or(Unread)?;
    Ok(Some(day.signed_duration_since(chrono::NaiveDate::default()).num_days()))
}

/// A day whose month or day is zero, as it is stored; with the time of the day of a moment.
fn undated(out: &mut Vec<u8>, bytes: &[u8], clock: Option<(i64, &str)>) -> Result<(), Unread> {
    let (year, month, day) = date(bytes)?;
    let mut text = format!("{year:04}-{month:02}-{day:02}");
    if let Some((micros, ending)) = clock {
        let mut time = Vec::new();
        json::time(&mut time, micros);
        let time = String::from_utf8(time).map_err(|_| Unread)?;
        text = format!("{text}T{}{ending}", time.trim_matches('"'));
    }
    json::text(out, &text);
    Ok(())
}

/// A time that may have more than a day: behind a length, whether it is negative, and days.
fn time(bytes: &[u8]) -> Result<i64, Unread> {
    let [_, is_negative, a, b, c, d, rest @ ..] = bytes else { return Ok(0) };
    let days = i64::from(u32::from_le_bytes([*a, *b, *c, *d]));
    let micros = days * DAY_MICROS + clock(rest)?;
    Ok(if *is_negative == 1 { -micros } else { micros })
}

fn clock(bytes: &[u8]) -> Result<i64, Unread> {
    let [hour, minute, second, rest @ ..] = bytes else { return Ok(0) };
    let micros = match rest {
        [] => 0,
        rest => u32::from_le_bytes(fixed(rest)?),
    };
    let seconds = i64::from(*hour) * 3_600 + i64::from(*minute) * 60 + i64::from(*second);
    Ok(seconds * 1_000_000 + i64::from(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind, bytes: &[u8]) -> String {
        let mut out = Vec::new();
        value(&mut out, kind, bytes).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_read_from_their_binary_form() {
        assert_eq!(of(Kind::Int64, &[0xff]), "-1");
        assert_eq!(of(Kind::UInt64, &[0xff]), "255");
        assert_eq!(of(Kind::Decimal { precision: 6, scale: 2 }, b"-1.10"), "-1.10");
        assert_eq!(of(Kind::Date, &[4, 0xe8, 7, 2, 29]), "\"2024-02-29\"");
        assert_eq!(
            of(Kind::Instant, &[11, 0xe8, 7, 2, 29, 12, 0, 5, 0x20, 0xa1, 7, 0]),
            "\"2024-02-29T12:00:05.5Z\""
        );
        assert_eq!(of(Kind::Date, &[0]), "\"0000-00-00\"");
        assert_eq!(of(Kind::Instant, &[0]), "\"0000-00-00T00:00:00Z\"");
        assert_eq!(of(Kind::DateTime, &[7, 0xe8, 7, 0, 0, 12, 0, 5]), "\"2024-00-00T12:00:05\"");
        assert_eq!(of(Kind::Time, &[8, 1, 1, 0, 0, 0, 2, 3, 4]), "\"-26:03:04\"");
    }

    #[test]
    fn bytes_that_are_no_value_are_an_error() {
        for kind in [Kind::Int64, Kind::Float64, Kind::Date, Kind::Instant] {
            assert!(value(&mut Vec::new(), kind, &[1, 2, 3]).is_err(), "{kind:?}");
        }
    }
}
