//! The nouns of Restway, the grammar of its files, its limits and its seams.
//!
//! In: the text of definition files. Out: typed definitions, and the vocabulary in which the other
//! rooms talk to each other: [`Secret`], [`SafeUrl`], [`Explain`], [`Event`], [`Records`],
//! [`ColumnType`].
//!
//! What never happens here: input or output. No file is opened, no socket, no clock is read; what
//! needs one asks through a seam ([`Clock`], [`Observer`], [`SecretSource`]) that a room above
//! fills. So every rule in this room can be tested with text alone.

pub mod definition;

mod call_path;
mod clock;
mod column;
mod condition;
mod cursor;
mod egress;
mod event;
mod exact;
mod explain;
mod keeper;
mod limits;
mod manners;
mod name;
mod outbox;
mod path;
mod record;
mod redact;
mod row_rule;
mod run;
mod safe_url;
mod seal;
mod secret;
mod suggest;
mod telling;
mod template;
mod unescape;
mod units;

pub use call_path::{CallPath, InvalidCallPath};
pub use clock::{Clock, Pause};
pub use column::ColumnType;
pub use condition::{Comparison, Condition, InvalidCondition};
pub use cursor::{Cursor, CursorFormat, InvalidFormat};
pub use egress::{EgressEntry, InvalidEgress};
pub use event::{Event, Level, Observer};
pub use exact::exact_json;
pub use explain::{Code, Explain, Fault, Place, chain};
pub use keeper::{KeeperFailed, Keeping, KeptToken, Lease, TokenKeeper};
pub use limits::Limits;
pub use manners::SharedRates;
pub use name::{ColumnName, InvalidName, Name, TableName, snake};
pub use outbox::{RowCounts, RowState};
pub use path::{InvalidPath, RecordPath, Step};
pub use record::{Records, Refused};
pub use redact::{REDACTED_LENGTH_MIN, Redactor};
pub use row_rule::{CallerValue, RowRule, RowTree, RowValue};
pub use run::{Counts, RunId, RunKind, RunStatus};
pub use safe_url::SafeUrl;
pub use seal::Seal;
pub use secret::{MissingSecret, Secret, SecretSource};
pub use suggest::nearest;
pub use telling::{is_credential, is_telling, is_token_like, names_credential};
pub use template::{InvalidTemplate, Scope, Template, TemplateError, Values};
pub use units::{InvalidUnit, Rate, Timespan};
