//! Who shows a credential: the keys of this workspace, and the tokens of the issuers it trusts.
//!
//! In: a credential. Out: a principal, or nobody. What never happens here: a decision about what
//! somebody may do.

use std::sync::Arc;

use restway_connect::Issuers;
use restway_model::Explain;
use restway_publish::{Credential, Identifying, Identities, Principal};
use restway_store::Store;
use tokio::sync::Mutex;

use crate::Workspace;

/// The keys and issuers of a workspace.
pub struct WorkspaceIdentities {
    store: Store,
    issuers: Issuers,
    /// Held by whoever writes down that a key was used.
    writing: Arc<Mutex<()>>,
}

impl Workspace {
    /// Those whom this workspace knows.
    pub fn identities(&self) -> WorkspaceIdentities {
        let trusted = &self.definitions.workspace.serve.issuers;
        let issuers = Issuers::new(self.connector.clone(), trusted);
        WorkspaceIdentities { store: self.store.clone(), issuers, writing: Arc::default() }
    }
}

impl WorkspaceIdentities {
    /// Nobody waits for it: a sync may hold the database for a while. One at a time; what is passed
    /// over is written down by a later request, and so is what the database refused.
    fn write_down(&self, key: String) {
        let Ok(turn) = Arc::clone(&self.writing).try_lock_owned() else { return };
        let store = self.store.clone();
        tokio::spawn(async move {
            // Refused or not: the next request of this key tries again.
            drop(store.key_used(&key).await);
            drop(turn);
        });
    }
}

impl Identities for WorkspaceIdentities {
    fn identify<'a>(&'a self, credential: &'a Credential) -> Identifying<'a> {
        Box::pin(async move {
            let explained = |error: Box<dyn Explain>| error;
            match credential {
                Credential::Key(key) => {
                    let holder = self.store.key_holder(key.expose()).await;
                    let holder = holder.map_err(|error| explained(Box::new(error)))?;
                    let Some(holder) = holder else { return Ok(None) };
                    if holder.is_use_new {
                        self.write_down(holder.key.clone());
                    }
                    Ok(Some(Principal {
                        id: format!("key {}", holder.key),
                        user: holder.user,
                        groups: holder.groups,
                        claims: holder.claims,
                    }))
                }
                Credential::Token(token) => {
                    let known = self.issuers.known(token).await;
                    let known = known.map_err(|error| explained(Box::new(error)))?;
                    Ok(known.map(|known| Principal {
                        id: format!("{} of {}", known.user, known.issuer),
                        user: known.user,
                        groups: known.groups,
                        claims: known.claims.into_iter().collect(),
                    }))
                }
            }
        })
    }
}
