//! What can go wrong while remembering, and what helps.
//!
//! One enum for the room; the fields are facts. A database error is classified by SQLite's result
//! code, so that a full disk is a full disk whichever statement met it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use restway_model::{Code, Explain, Name, RunId};

/// SQLite's primary result codes that have a remedy of their own.
const SQLITE_BUSY: i32 = 5;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_READONLY: i32 = 8;
const SQLITE_CANTOPEN: i32 = 14;
/// An extended code: the file of shared memory cannot grow, which a full disk comes to.
const SQLITE_IOERR_SHMSIZE: i32 = 4874;
const SQLITE_NOTADB: i32 = 26;

/// Where a master key was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOrigin {
    /// The environment variable `RESTWAY_KEY`.
    Environment,
    /// The key file in the state folder.
    File(PathBuf),
}

impl fmt::Display for KeyOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => formatter.write_str("`RESTWAY_KEY`"),
            Self::File(path) => write!(formatter, "`{}`", path.display()),
        }
    }
}

/// Every way in which this room fails.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file of the state folder could not be read or written; the source names it.
    #[error("cannot use the state folder")]
    File(#[from] io::Error),
    /// The database refused.
    #[error("cannot {doing} in the metadata store")]
    Database {
        /// What was being done, as an infinitive.
        doing: &'static str,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The database holds a value that this version cannot read.
    #[error("the metadata store holds `{value}` as {what}, which cannot be read")]
    Unreadable {
        /// Which value.
        what: &'static str,
        /// The value itself.
        value: String,
    },
    /// A newer Restway has migrated the database.
    #[error("the metadata store has schema {found}; this version knows schemas up to {known}")]
    Newer {
        /// The schema that was found.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// Another process holds the workspace.
    #[error("the workspace is held by {}", holder(*.pid))]
    Busy {
        /// The process that holds it, where it could be read.
        pid: Option<u32>,
    },
    /// Several runs begin with the text.
    #[error("more than one run begins with `{prefix}`")]
    RunAmbiguous {
        /// The text that was looked for.
        prefix: String,
        /// Some of the runs that begin with it.
        candidates: Vec<RunId>,
    },
    /// A run was ended that is not under way.
    #[error("run `{run}` is not under way")]
    RunNotRunning {
        /// The run.
        run: RunId,
    },
    /// A batch was recorded or finished out of its turn.
    #[error("batch {given} of `{stream}` is out of turn: batch {expected} is next")]
    BatchOrder {
        /// The stream.
        stream: String,
        /// Whose turn it is.
        expected: u64,
        /// Which came.
        given: u64,
    },
    /// A batch was finished that was never recorded.
    #[error("batch {sequence} of `{stream}` is not in the journal")]
    BatchUnknown {
        /// The stream.
        stream: String,
        /// The sequence number.
        sequence: u64,
    },
    /// A batch holds more than one row of the journal.
    #[error("the batch's {part} has {bytes} bytes, the bound is {bytes_max}")]
    BatchTooLarge {
        /// The body or the state.
        part: &'static str,
        /// Its size as JSON.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// Where a stream went on from after a batch is not known any more.
    #[error(
        "where `{stream}` went on from after its batch {sequence} is not kept any more, only from \
         batch {oldest} on"
    )]
    StateForgotten {
        /// The stream.
        stream: String,
        /// The batch.
        sequence: u64,
        /// The oldest batch after which it is known.
        oldest: u64,
    },
    /// There are secrets, and no key to open them with.
    #[error("the key to the secrets is missing: neither `RESTWAY_KEY` nor a key file is there")]
    KeyMissing {
        /// The ids of the keys that would do.
        expected: Vec<String>,
    },
    /// There is a key, and it is not the one.
    #[error(
        "the key from {origin} has the id {given} and does not open the secrets; they open with \
         {}", expected.join(" or ")
    )]
    KeyWrong {
        /// Where the key came from.
        origin: KeyOrigin,
        /// Its id.
        given: String,
        /// The ids of the keys that would do.
        expected: Vec<String>,
    },
    /// What should be a key is not one.
    #[error("the key from {origin} is not the base64 of 32 bytes")]
    KeyMalformed {
        /// Where it came from.
        origin: KeyOrigin,
    },
    /// The key fits, and the secret's row was altered.
    #[error("the secret `{name}` was altered or damaged, and cannot be opened")]
    SecretDamaged {
        /// The secret.
        name: Name,
    },
    /// The master key fits, and the row of the key below it was altered.
    #[error("the key to the secrets was altered or damaged, and cannot be opened")]
    DataKeyDamaged,
    /// A secret's value is not one that can be kept.
    #[error("the secret `{name}` would be empty")]
    SecretEmpty {
        /// The secret.
        name: Name,
    },
    /// A secret's value is larger than what is kept.
    #[error("the secret `{name}` has {bytes} bytes, the bound is {bytes_max}")]
    SecretTooLarge {
        /// The secret.
        name: Name,
        /// Its size.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// There is no room for another secret.
    #[error("there are {count_max} secrets, which is the bound")]
    SecretsFull {
        /// The bound.
        count_max: i64,
    },
    /// The key fits, and the token's row was altered.
    #[error("the token of `{slot}` was altered or damaged, and cannot be opened")]
    TokenDamaged {
        /// The login.
        slot: String,
    },
    /// A token is larger than what is kept.
    #[error("the token of `{slot}` is larger than the bound of {bytes_max} bytes")]
    TokenTooLarge {
        /// The login.
        slot: String,
        /// The bound.
        bytes_max: usize,
    },
    /// Nothing is sealed yet, so there is no key to replace.
    #[error("there is no key to replace: nothing is kept yet")]
    NothingSealed,
    /// Another process replaces the key.
    #[error("another process is replacing the key")]
    RotationBusy,
    /// A name that no user or group can have.
    #[error("`{name}` cannot be the name of a {what}")]
    AccountName {
        /// A user or a group.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// There is no room for more of a user's.
    #[error("more than {count_max} {what} are not kept")]
    AccountFull {
        /// Of what.
        what: &'static str,
        /// The bound.
        count_max: usize,
    },
    /// No key that is good has this id.
    #[error("no key has the id `{id}`, or it has expired")]
    KeyUnknown {
        /// The id.
        id: String,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Randomness(#[source] getrandom::Error),
}

impl StoreError {
    /// Says what was being done when the database failed.
    pub(crate) fn during(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
        move |source| StoreError::Database { doing, source }
    }
}

fn holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) if pid == std::process::id() => format!("this process ({pid})"),
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}

/// Whether another process was writing.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(SQLITE_BUSY)
}

/// Whether the disk is full.
fn is_full(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(SQLITE_FULL) || extended_code(error) == Some(SQLITE_IOERR_SHMSIZE)
}

fn extended_code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// SQLite's primary result code, which is the low byte of the extended one.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    extended_code(error).map(|code| code & 0xff)
}

impl Explain for StoreError {
    fn code(&self) -> Code {
        match self {
            Self::File(source) if source.kind() == io::ErrorKind::StorageFull => Code::DiskFull,
            Self::File(_) => Code::FileFailed,
            Self::Database { source, .. } if is_full(source) => Code::DiskFull,
            Self::Database { .. } => Code::StoreFailed,
            Self::Unreadable { .. } | Self::BatchTooLarge { .. } => Code::StoreFailed,
            Self::Newer { .. } => Code::StoreNewer,
            Self::Busy { .. } => Code::WorkspaceBusy,
            Self::RunAmbiguous { .. }
            | Self::SecretEmpty { .. }
            | Self::SecretTooLarge { .. }
            | Self::SecretsFull { .. }
            | Self::AccountName { .. }
            | Self::AccountFull { .. }
            | Self::KeyUnknown { .. } => Code::ArgumentInvalid,
            Self::RunNotRunning { .. } | Self::BatchUnknown { .. } | Self::Randomness(_) => {
                Code::Internal
            }
            Self::BatchOrder { .. } => Code::TableConflict,
            Self::StateForgotten { .. } => Code::VersionMissing,
            Self::KeyMissing { .. }
            | Self::KeyWrong { .. }
            | Self::KeyMalformed { .. }
            | Self::SecretDamaged { .. }
            | Self::TokenDamaged { .. }
            | Self::DataKeyDamaged => Code::SecretUnreadable,
            Self::TokenTooLarge { .. } => Code::StoreFailed,
            Self::NothingSealed => Code::SecretMissing,
            Self::RotationBusy => Code::WorkspaceBusy,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hints: &[&str] = match self {
            Self::File(_) if self.code() == Code::DiskFull => &["free some space and try again"],
            Self::File(_) => &["check that the state folder is yours to write"],
            Self::Database { source, .. } => database_hints(source),
            Self::Newer { .. } => &["use the version of Restway that last opened this workspace"],
            Self::Busy { .. } => &["wait until it ends, or stop it"],
            Self::RunAmbiguous { candidates, .. } => {
                return candidates.iter().map(|run| format!("did you mean `{run}`")).collect();
            }
            Self::KeyMissing { .. } => &[
                "put the key file back to `.restway/key`, or set `RESTWAY_KEY`",
                "without that key the secrets are lost: delete `.restway` and set them again",
            ],
            Self::KeyWrong { origin: KeyOrigin::Environment, .. } => {
                &["set `RESTWAY_KEY` to the key that the secrets were set with, or unset it"]
            }
            Self::KeyWrong { .. } => {
                &["put the key file back that the secrets were set with, or set `RESTWAY_KEY`"]
            }
            Self::KeyMalformed { .. } => &["`openssl rand -base64 32` makes a key for a new store"],
            Self::SecretDamaged { name } => {
                return vec![format!("set it again with `restway secret set {name}`")];
            }
            Self::AccountName { name, .. } if matches!(&**name, "anonymous" | "authenticated") => {
                &["everybody is in `anonymous`, and everybody known in `authenticated`"]
            }
            Self::AccountName { .. } => &["write up to 200 bytes without control characters"],
            Self::AccountFull { what: "keys", .. } => {
                &["`restway auth key rm ID` takes away those that nobody needs any more"]
            }
            Self::KeyUnknown { .. } => &["`restway auth key list` shows those there are"],
            Self::DataKeyDamaged => &["put a backup of the folder `.restway` back"],
            Self::StateForgotten { .. } => {
                &["restore a newer version, or drop the table and sync it anew"]
            }
            Self::BatchOrder { .. } => {
                &["another process may be syncing this workspace: sync again when it has ended"]
            }
            _ => &[],
        };
        hints.iter().map(|&hint| hint.to_owned()).collect()
    }
}

fn database_hints(source: &sqlx::Error) -> &'static [&'static str] {
    match primary_code(source) {
        _ if is_full(source) => &["free some space on the disk of `.restway` and try again"],
        Some(SQLITE_READONLY | SQLITE_CANTOPEN) => {
            &["the folder `.restway` must be yours to write, also for reading"]
        }
        Some(SQLITE_BUSY) => &["another process is writing: try again"],
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => {
            &["`.restway/restway.db` is damaged: put a backup of the folder `.restway` back"]
        }
        _ => &[],
    }
}
