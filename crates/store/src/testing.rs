//! What the tests of this room share: a state folder that vanishes, and a clock turned by hand.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use restway_model::{Clock, Pause, Secret};

use crate::{Environment, Store, StoreError};

pub(crate) struct Hands(Mutex<DateTime<Utc>>);

impl Hands {
    pub(crate) fn turn(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }
}

impl Clock for Hands {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _duration: Duration) -> Pause<'_> {
        Box::pin(std::future::ready(()))
    }

    fn jitter(&self) -> f64 {
        0.0
    }
}

pub(crate) struct Bench {
    folder: tempfile::TempDir,
    state: PathBuf,
    pub(crate) clock: Arc<Hands>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join(".restway");
        let start = "2026-03-01T10:00:00.250Z".parse().unwrap();
        Self { folder, state, clock: Arc::new(Hands(Mutex::new(start))) }
    }

    pub(crate) fn state(&self) -> &Path {
        assert!(self.folder.path().exists());
        &self.state
    }

    pub(crate) async fn open(&self) -> Store {
        self.try_open().await.unwrap()
    }

    pub(crate) async fn try_open(&self) -> Result<Store, StoreError> {
        self.open_with(&[]).await
    }

    pub(crate) async fn open_with(&self, variables: &[(&str, &str)]) -> Result<Store, StoreError> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let environment = Environment::of(variables.iter().map(owned));
        Store::open_in(&self.state, self.clock.clone(), environment).await
    }

    pub(crate) async fn set(&self, store: &Store, name: &str, value: &str) {
        store.secrets().set(&name.parse().unwrap(), &Secret::new(value)).await.unwrap();
    }

    /// Every byte of every file in the state folder.
    pub(crate) fn bytes_on_disk(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in fs_err::read_dir(&self.state).unwrap() {
            bytes.extend(fs_err::read(entry.unwrap().path()).unwrap());
        }
        bytes
    }
}

/// Runs a task on a thread of its own kind, for tests that stand in for several processes.
pub(crate) fn block_on<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(task)
}
