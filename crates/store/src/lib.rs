//! The room "remember": runs, the journal of batches, secrets and users, in one SQLite file.
//!
//! In: facts that must outlive the process, from the room `work`. Out: the same facts, and a
//! [`model::SecretSource`](restway_model::SecretSource) for `${secret.name}`. Everything lies in
//! the state folder (`.restway`): `restway.db`, the key file, and the lock file.
//!
//! What never happens here: a call, a table, a decision about either. The journal's bodies are
//! JSON that this room does not read; a run's error is text that its caller has redacted. A secret
//! never leaves except as [`Secret`](restway_model::Secret), and never reaches the disk unsealed.
//!
//! Nothing outside this room names SQL. The statements lie in `sql`, written so that PostgreSQL
//! takes them too; what only SQLite has (settings, types, the migrations) lies in `open` and
//! `schema`, so that a second database is a second pair of those.

mod accounts;
mod batches;
mod environment;
mod error;
mod files;
mod lock;
mod open;
mod outbox;
mod rates;
mod rows;
mod runs;
mod schema;
mod secrets;
mod sql;
mod webhooks;

#[cfg(test)]
mod testing;

pub use accounts::{ApiKey, KeyHolder, NewKey, User, UserChange};
pub use batches::{BatchIntent, StateChanges};
pub use environment::Environment;
pub use error::{KeyOrigin, StoreError};
pub use lock::{Presence, WorkspaceLock};
pub use open::Store;
pub use outbox::{ExportRecord, NewRow, OutboxRow, RowOutcome, SettledRow};
pub use rates::FileRates;
pub use runs::{ResourceOutcome, RunDetail, RunError, RunRecord};
pub use secrets::{LoadedSecrets, Rotated, SecretInfo, Secrets};
pub use webhooks::{WebhookCallRecord, WebhookRecord, WebhookStart};
