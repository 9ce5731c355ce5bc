//! One process at a time syncs a workspace: an advisory lock on a file of the state folder.
//!
//! The operating system drops the lock when the process ends, however it ends, so a crash leaves
//! nothing to clean up. The file itself stays; it holds the id of the process for the message that
//! the next one gets, and means nothing without the lock. Reading, calling and publishing do not
//! take it.
//!
//! Webhooks run side by side, so their processes share a second lock: who can have that one alone
//! knows that no webhook is under way, and that a run which says so has lost its process.

use std::fs::TryLockError;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use crate::files;
use crate::{Store, StoreError};

/// How much of the lock file is read: a process id and room to spare.
const PID_BYTES_MAX: u64 = 32;

/// A webhook is under way, until this is dropped.
#[derive(Debug)]
pub struct Presence {
    _file: fs_err::File,
}

/// The workspace, held until this is dropped.
#[derive(Debug)]
pub struct WorkspaceLock {
    file: fs_err::File,
}

impl Store {
    /// Takes the workspace for this process, or says who has it; never waits.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when it is held, by another process or by this one.
    pub fn lock(&self) -> Result<WorkspaceLock, StoreError> {
        WorkspaceLock::take(&self.state().join(files::LOCK))
    }

    /// Says that a webhook is under way here. Waits only while another process closes runs that
    /// were abandoned.
    ///
    /// # Errors
    /// The lock's file cannot be used.
    pub async fn be_present(&self) -> Result<Presence, StoreError> {
        let path = self.state().join(files::PRESENT);
        let locked = tokio::task::spawn_blocking(move || {
            let mut options = files::private_options();
            let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
            file.lock_shared()?;
            Ok::<_, io::Error>(file)
        });
        let file = locked.await.map_err(io::Error::other)??;
        Ok(Presence { _file: file })
    }
}

impl WorkspaceLock {
    fn take(path: &Path) -> Result<Self, StoreError> {
        let mut options = files::private_options();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Busy { pid: pid_in(&file) }),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())?;
        Ok(Self { file })
    }
}

impl Drop for WorkspaceLock {
    /// Forgets the process id before the lock goes, so that nobody is told of a process that has
    /// let go. Should that fail, the lock still goes, when the file closes.
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
    }
}

/// Who holds the lock. Unknown where the system locks the bytes too, or in the instant before the
/// holder has written it.
fn pid_in(file: &fs_err::File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use restway_model::{Code, Explain};

    use crate::StoreError;
    use crate::testing::Bench;

    #[tokio::test]
    async fn the_second_lock_is_refused_with_the_holder_until_the_first_is_dropped() {
        let bench = Bench::new();
        let (first, second) = (bench.open().await, bench.open().await);
        let held = first.lock().unwrap();

        let refused = second.lock().unwrap_err();
        assert_eq!(refused.code(), Code::WorkspaceBusy);
        assert!(
            matches!(refused, StoreError::Busy { pid: Some(pid) } if pid == std::process::id())
        );
        assert!(refused.to_string().contains(&std::process::id().to_string()));

        drop(held);
        second.lock().unwrap();
    }
}
