//! Which version of a table is meant by a moment of the past.
//!
//! In: a version's number or an instant. Out: the table as it was then, opened. Every version of a
//! table says in its log when it was committed; the newest that is not later than an instant is
//! the table as of it. A version that the log no longer tells of, or one whose files were removed,
//! is an error that says which versions there are: an answer never comes from another version than
//! the one that was asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use restway_model::TableName;

use crate::delta::{Opened, open, open_version};
use crate::error::TableError;
use crate::history::{commit_time, versions};
use crate::lake::Shared;

/// A moment in a table's past: the number of a version, or an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The version with this number.
    Version(u64),
    /// The newest version that was committed then or before.
    Instant(DateTime<Utc>),
}

/// A text that is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no moment: write a version's number, an instant as `2026-01-31T12:00:00Z`, or a day"
)]
pub struct InvalidMoment(String);

impl FromStr for Moment {
    type Err = InvalidMoment;

    /// A day means its first instant, UTC.
    fn from_str(text: &str) -> Result<Self, InvalidMoment> {
        if let Ok(version) = text.parse() {
            return Ok(Self::Version(version));
        }
        if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Instant(instant.to_utc()));
        }
        let day: Option<NaiveDate> = text.parse().ok();
        let midnight = day.and_then(|day| day.and_hms_opt(0, 0, 0));
        midnight
            .map(|midnight| Self::Instant(midnight.and_utc()))
            .ok_or_else(|| InvalidMoment(text.to_owned()))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(formatter, "version {version}"),
            Self::Instant(instant) => {
                formatter.write_str(&instant.to_rfc3339_opts(SecondsFormat::AutoSi, true))
            }
        }
    }
}

/// As of when a query reads its tables: the newest versions, unless it says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AsOf {
    /// All tables; a version's number is meant for the only table of a query.
    pub all: Option<Moment>,
    /// Tables that are read as of another moment.
    pub tables: BTreeMap<TableName, Moment>,
}

impl AsOf {
    pub(crate) fn of(&self, table: &TableName) -> Option<Moment> {
        self.tables.get(table).copied().or(self.all)
    }
}

/// Opens a table as it was; none where there is no table. Its files may be gone.
pub(crate) async fn open_at(
    shared: &Shared,
    name: &TableName,
    moment: Option<Moment>,
) -> Result<Option<Opened>, TableError> {
    let Some(moment) = moment else { return open(&shared.root, name).await };
    let folder = shared.folder(name);
    let known = versions(&folder)?;
    let (Some(first), Some(last)) = (known.first().copied(), known.last().copied()) else {
        return open(&shared.root, name).await;
    };
    let missing = || TableError::VersionMissing {
        table: name.clone(),
        asked: moment.to_string(),
        first,
        last,
    };
    let version = match moment {
        Moment::Version(version) => version,
        Moment::Instant(instant) => {
            let mut found = None;
            for version in known.iter().rev() {
                if commit_time(&folder, *version)?.is_some_and(|time| time <= instant) {
                    found = Some(*version);
                    break;
                }
            }
            found.ok_or_else(missing)?
        }
    };
    if !(first..=last).contains(&version) {
        return Err(missing());
    }
    match open_version(&shared.root, name, version).await {
        // A log that was cleaned up has entries whose beginnings are gone.
        Err(_) if first > 0 && version < last => Err(missing()),
        opened => opened,
    }
}

/// Whether every file of a version is still there.
pub(crate) fn check_files(
    shared: &Shared,
    name: &TableName,
    opened: &Opened,
    moment: Option<Moment>,
) -> Result<(), TableError> {
    let folder = shared.folder(name);
    let files = opened.files();
    let Some(gone) = files.iter().find(|file| !folder.join(&file.path).exists()) else {
        return Ok(());
    };
    Err(match moment {
        Some(_) => TableError::VersionGone { table: name.clone(), version: opened.version() },
        None => TableError::damaged(name, format!("its file `{}` is gone", gone.path)),
    })
}
