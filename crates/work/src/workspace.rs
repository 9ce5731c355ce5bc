//! An open workspace: its definitions and the rooms, wired.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use restway_connect::{Connector, ConnectorSettings, EgressPolicy, Extras, Proxies, Tape};
use restway_model::{Clock, Event, Limits, Observer, Redactor, Scope, TableName, Values};
use restway_store::Store;
use restway_tables::{Lake, LakeSettings};
use serde_json::Value;

use crate::requests::RequestLog;
use crate::sync::said;
use crate::webhook::Gates;
use crate::{Definitions, Selection, WorkError};

/// The folder of state inside a workspace.
pub(crate) const STATE: &str = ".restway";

/// Shows a reference as it is written, where there is no row to take its value from.
struct Placeholders;

impl Values for Placeholders {
    fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
        match scope {
            // The connector shows these as they are written, in a query too.
            Scope::Window | Scope::State | Scope::Job => Err("is not known before the sync".into()),
            _ => Ok(Value::String(format!("${{{}.{name}}}", scope.as_str()))),
        }
    }
}

/// What a workspace is opened with.
#[derive(Clone)]
pub struct Settings {
    /// The bounds.
    pub limits: Limits,
    /// Who is told what happens.
    pub observer: Arc<dyn Observer>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Learns every secret that is looked up.
    pub redactor: Redactor,
    /// Whether the person at the command line asks, who may reach their own loopback.
    pub may_reach_loopback: bool,
    /// The proxies of the person's environment.
    pub proxies: Proxies,
    /// Where calls are recorded, or what is played instead of calling.
    pub tape: Option<Arc<Tape>>,
    /// The apis that are needed, as a person names them and their resources; all without it. The
    /// files of others may be broken.
    pub apis: Option<Vec<String>>,
}

/// An open workspace.
#[derive(Clone)]
pub struct Workspace {
    /// Its folder.
    pub folder: PathBuf,
    /// What its files define.
    pub definitions: Arc<Definitions>,
    pub(crate) limits: Limits,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) redactor: Redactor,
    pub(crate) store: Store,
    pub(crate) lake: Lake,
    pub(crate) connector: Connector,
    pub(crate) gates: Arc<Gates>,
    pub(crate) requests: Arc<RequestLog>,
}

impl Workspace {
    /// Reads the definitions and opens store and tables. Batches that an earlier process left
    /// half done are finished first and its runs closed, unless another process is at work here,
    /// which does it; webhooks that an earlier process left under way are closed.
    ///
    /// A batch that its tables do not take is a warning, and keeps only its resource from going on.
    ///
    /// # Errors
    /// Problems in the files, or a store or tables that cannot be opened.
    pub async fn open(folder: &Path, settings: Settings) -> Result<Self, WorkError> {
        let definitions = match &settings.apis {
            None => Definitions::read(folder)?,
            Some(named) => {
                let (definitions, left_out) = Definitions::read_for(folder, named)?;
                for about in left_out {
                    let message = "is left out: `restway check` says what is wrong".to_owned();
                    settings.observer.observe(&Event::Warned { about, message });
                }
                definitions
            }
        };
        let state = folder.join(STATE);
        let store = Store::open(&state, Arc::clone(&settings.clock)).await?;
        let secrets = store.secrets().load(settings.redactor.clone()).await?;
        let lake = Lake::open(LakeSettings {
            root: folder.join(&definitions.workspace.tables),
            limits: settings.limits.clone(),
            observer: Arc::clone(&settings.observer),
            spill: state.join("spill"),
        })?;
        let egress =
            EgressPolicy::new(&definitions.workspace.egress.allow, settings.may_reach_loopback)
                .map_err(WorkError::Egress)?;
        let requests = Arc::new(RequestLog::before(Arc::clone(&settings.observer)));
        let connector_settings = ConnectorSettings {
            limits: settings.limits.clone(),
            egress,
            secrets: Arc::new(secrets),
            tokens: Some(Arc::new(store.secrets().clone())),
            clock: Arc::clone(&settings.clock),
            observer: requests.clone(),
            redactor: settings.redactor.clone(),
            folder: Some(folder.to_path_buf()),
        };
        let extras = Extras {
            rates: Some(Arc::new(store.rates())),
            tape: settings.tape,
            proxies: settings.proxies,
            answers: Some(state.join("answers")),
            names: None,
        };
        let connector = Connector::with(connector_settings, extras);
        let workspace = Self {
            folder: folder.to_path_buf(),
            definitions: Arc::new(definitions),
            limits: settings.limits,
            observer: settings.observer,
            clock: settings.clock,
            redactor: settings.redactor,
            store,
            lake,
            connector,
            gates: Arc::default(),
            requests,
        };
        workspace.store.close_abandoned_webhooks().await?;
        let is_left = !workspace.store.pending_batches().await?.is_empty()
            || workspace.store.has_open_runs().await?;
        if is_left && let Ok(lock) = workspace.store.lock() {
            for (resource, error) in workspace.recover().await?.iter() {
                let (about, message) = (resource.to_string(), said(error));
                workspace.observer.observe(&Event::Warned { about, message });
            }
            workspace.store.close_abandoned_runs(&lock).await?;
        }
        Ok(workspace)
    }

    /// The first requests of what is chosen, as curl lines without secrets; nothing is sent.
    ///
    /// # Errors
    /// A wrong name, or a definition that makes no request.
    pub fn plan(&self, selection: &Selection) -> Result<Vec<(TableName, String)>, WorkError> {
        let mut plans = Vec::new();
        for chosen in self.choose(selection)? {
            let curl = self.connector.plan(&chosen.api, &chosen.settings, &Placeholders)?;
            plans.push((chosen.table, curl));
        }
        Ok(plans)
    }

    /// The tables.
    pub fn lake(&self) -> &Lake {
        &self.lake
    }

    /// Runs and secrets.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Calls.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }
}
