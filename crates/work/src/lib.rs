//! The room "do": syncs and calls, by wiring the rooms for calling, landing and remembering.
//!
//! In: a workspace's folder and what a person or a program asks for. Out: runs, each with its
//! counts and its outcome, and tables that changed whole or not at all, batch by batch.
//!
//! What never happens here: HTTP, SQL, files of tables. Each is another room's; this one decides
//! the order in which they act, which is what makes a crash at any instruction harmless.

mod definitions;
mod error;
mod export;
mod folder;
mod identities;
mod import;
mod keep;
mod landing;
mod live;
mod publish;
mod recover;
mod requests;
mod stop;
mod sync;
mod webhook;
mod workspace;

pub use definitions::{ApiDefinition, AppDefinition, Definitions};
pub use error::WorkError;
pub use export::{ExportAsked, ExportError, ExportPlan, ExportReport};
pub use folder::{find_folder, init};
pub use identities::WorkspaceIdentities;
pub use import::{FileContent, FileImport};
pub use stop::{Stop, Stopper};
pub use sync::{Extent, ResourceReport, Selection, SyncReport};
pub use webhook::{
    Absent, Asked, CallReport, Done, Given, GivenValue, ParamProblem, Suggestion, Wanted,
    WebhookError, WebhookReport,
};
pub use workspace::{Settings, Workspace};
