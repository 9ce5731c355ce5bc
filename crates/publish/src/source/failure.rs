//! What sqlx reports, as this room's errors.
//!
//! In: an error of the library, and codes of the databases. Out: a [`SourceError`]. What never
//! happens here: a text that has the address in it; the library's own errors do not tell it.

use sqlx::error::{DatabaseError, ErrorKind};

use super::{SourceError, Violation};

/// What a database's own code says, where it is not a constraint.
pub(super) enum Meaning {
    /// The statement ran out of time, or was stopped.
    Slow,
    /// A name in the statement is no longer there, or a type is another.
    Changed,
    /// The relation is not there.
    Missing,
    /// The database is not to be reached with this address, or takes nobody now.
    Unavailable,
    /// A value that its type cannot hold, or that is none of it.
    Invalid,
    /// Two transactions waited for each other, or one waited too long.
    Contended,
    /// Anything else.
    Other,
}

/// An error while connecting.
pub(super) fn connecting(error: sqlx::Error) -> SourceError {
    SourceError::Unavailable { reason: reason(&error) }
}

/// An error of a statement; `meaning` reads the database's code.
pub(super) fn running(
    error: sqlx::Error,
    meaning: impl Fn(&dyn DatabaseError) -> Meaning,
) -> SourceError {
    let reason = reason(&error);
    match &error {
        sqlx::Error::Database(database) => {
            let database = database.as_ref();
            if let Some(violation) = violation(database.kind()) {
                let name = database.constraint().map(str::to_owned);
                return SourceError::Constraint { violation, name, reason };
            }
            match meaning(database) {
                Meaning::Slow => SourceError::Slow,
                Meaning::Changed => SourceError::Changed { reason },
                Meaning::Missing => SourceError::Missing { relation: reason },
                Meaning::Unavailable => SourceError::Broken { reason },
                Meaning::Invalid => SourceError::Invalid { reason },
                Meaning::Contended => SourceError::Contended { reason },
                Meaning::Other => SourceError::Failed { reason },
            }
        }
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => {
            SourceError::Broken { reason }
        }
        sqlx::Error::WorkerCrashed => SourceError::Broken { reason },
        // A column that the statement has no longer the place or type of.
        sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_) => SourceError::Changed { reason },
        _ => SourceError::Failed { reason },
    }
}

fn violation(kind: ErrorKind) -> Option<Violation> {
    match kind {
        ErrorKind::UniqueViolation | ErrorKind::ExclusionViolation => Some(Violation::Unique),
        ErrorKind::ForeignKeyViolation => Some(Violation::Foreign),
        ErrorKind::NotNullViolation => Some(Violation::NotNull),
        ErrorKind::CheckViolation => Some(Violation::Check),
        _ => None,
    }
}

fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => database.message().to_owned(),
        other => other.to_string(),
    }
}
