//! `restway.yaml`: the workspace.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Name, Timespan};

/// A workspace: where its tables lie and what it may reach.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceFile {
    /// The workspace's name.
    pub workspace: Name,
    /// The folder of the tables: `{tables}/{api}/{resource}` is a plain Delta table.
    #[serde(default = "tables")]
    pub tables: String,
    /// Where runs, secrets and state are kept.
    #[serde(default)]
    pub metadata: Metadata,
    /// How long the requests of syncs stay in the tables `{api}._requests`; `0d` keeps none.
    #[serde(default = "keep_requests")]
    pub keep_requests: Timespan,
    /// What may be reached beyond public addresses.
    #[serde(default)]
    pub egress: Egress,
}

/// The name of the table with the requests of an api's syncs.
pub const REQUESTS: &str = "_requests";

fn keep_requests() -> Timespan {
    Timespan(std::time::Duration::from_hours(30 * 24))
}

fn tables() -> String {
    ".restway/tables".into()
}

/// Where runs, secrets and state are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metadata {
    /// In `.restway/restway.db`.
    #[default]
    Sqlite,
}

/// What may be reached beyond public addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Egress {
    /// Hosts, with a port or without: `api.acme.example`, `*.acme.example:8443`, `127.0.0.1:8081`,
    /// `10.1.0.0/16`. Public addresses need no entry.
    pub allow: Vec<String>,
}
