//! Between Rust's types and the columns: times, numbers and the words of the model.
//!
//! Reading is strict: a value that this version cannot read is an error that names it, never a
//! default. Writing cannot fail.

use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use restway_model::{Counts, RunKind, RunStatus};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::StoreError;

/// An instant as it is stored.
pub(crate) fn written(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A number as it is stored: the databases have no unsigned ones. Nothing that is counted here
/// reaches the bound of 2^63.
pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// One row, read by the names of its columns.
pub(crate) struct Columns<'row>(pub(crate) &'row SqliteRow);

impl Columns<'_> {
    pub(crate) fn get<'row, T>(&'row self, column: &'static str) -> Result<T, StoreError>
    where
        T: sqlx::Decode<'row, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    {
        self.0.try_get(column).map_err(StoreError::during("read a row"))
    }

    pub(crate) fn parsed<T: FromStr>(&self, column: &'static str) -> Result<T, StoreError> {
        parse(column, self.get(column)?)
    }

    pub(crate) fn instant(&self, column: &'static str) -> Result<DateTime<Utc>, StoreError> {
        self.parsed::<DateTime<Utc>>(column)
    }

    pub(crate) fn instant_if_any(
        &self,
        column: &'static str,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let text: Option<String> = self.get(column)?;
        text.map(|text| parse(column, text)).transpose()
    }

    pub(crate) fn kind(&self) -> Result<RunKind, StoreError> {
        let text: String = self.get("kind")?;
        use RunKind::{Call, Export, Import, Sync, Tables, Webhook};
        let known = [Call, Sync, Webhook, Tables, Import, Export];
        let known = known.into_iter().find(|kind| kind.as_str() == text);
        known.ok_or(StoreError::Unreadable { what: "kind", value: text })
    }

    pub(crate) fn status(&self) -> Result<RunStatus, StoreError> {
        use RunStatus::{Failed, Partly, Running, Succeeded};
        let text: String = self.get("status")?;
        let all = [Running, Succeeded, Partly, Failed];
        let known = all.into_iter().find(|status| status.as_str() == text);
        known.ok_or(StoreError::Unreadable { what: "status", value: text })
    }

    pub(crate) fn counts(&self) -> Result<Counts, StoreError> {
        Ok(Counts {
            requests: self.get("requests")?,
            retries: self.get("retries")?,
            pages: self.get("pages")?,
            records: self.get("records")?,
            rows: self.get("row_count")?,
            bytes: self.get("bytes")?,
            rejected: self.get("rejected")?,
            deleted: self.get("deleted")?,
            unchanged: self.get("unchanged")?,
        })
    }
}

fn parse<T: FromStr>(what: &'static str, text: String) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Unreadable { what, value: text })
}
