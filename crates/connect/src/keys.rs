//! Encrypted keys, each opened once.
//!
//! In: a key and its passphrase. Out: the plain key. Opening takes as long as the key's maker
//! wanted guessing to take, so it happens on a thread for work and not among the waiting ones, and
//! the plain key stays in memory, which is wiped when it goes. What never happens here: a plain
//! key written anywhere.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use restway_model::Secret;

/// Opens a key, or a file that holds one, by its passphrase.
pub(crate) type Opener = fn(&str, &str) -> Result<Secret, String>;

/// More keys than this at once are not remembered.
const KEYS_MAX: usize = 64;

/// The keys that are open, by the digest of what opened them.
#[derive(Default)]
pub(crate) struct Keys(Mutex<HashMap<Vec<u8>, Secret>>);

impl Keys {
    /// What `open` makes of a key, or a file with one, and its passphrase. The error is to be read
    /// after its name.
    pub(crate) async fn opened(
        &self,
        key: Secret,
        passphrase: Secret,
        open: Opener,
    ) -> Result<Secret, String> {
        let both = Secret::new(format!("{}\0{}", key.expose(), passphrase.expose()));
        let name = digest(&SHA256, both.expose().as_bytes()).as_ref().to_vec();
        if let Some(open) = self.known().get(&name) {
            return Ok(open.clone());
        }
        let opening = tokio::task::spawn_blocking(move || open(key.expose(), passphrase.expose()));
        let open = opening.await.map_err(|_| "could not be opened".to_owned())??;
        let mut known = self.known();
        if known.len() >= KEYS_MAX {
            known.clear();
        }
        known.insert(name, open.clone());
        Ok(open)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, Secret>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
