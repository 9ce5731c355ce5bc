//! The state folder's files: private from their first byte, and durable when they are said to be.
//!
//! A file is created with its mode, never created and then narrowed: in between, others could
//! open it. On systems without modes the folder's own access rules apply.

use std::io::{self, Write};
use std::path::Path;

/// The database.
pub(crate) const DATABASE: &str = "restway.db";
/// The master key, unless the environment holds it.
pub(crate) const KEY: &str = "key";
/// Held by the process that syncs.
pub(crate) const LOCK: &str = "lock";
/// Held, shared, by each process while it runs a webhook.
pub(crate) const PRESENT: &str = "present";
/// Keeps the whole folder, and the key with it, out of version control.
const IGNORE: &str = ".gitignore";

/// Makes the folder and an empty database in it, where there are none.
pub(crate) async fn prepare(state: &Path) -> io::Result<()> {
    let mut builder = fs_err::tokio::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(state).await?;
    match create_private(&state.join(DATABASE)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    let ignore = state.join(IGNORE);
    if !ignore.exists() {
        fs_err::write(&ignore, "*\n")?;
    }
    sync_folder(state)
}

/// Writes a file that only its owner may read, which must not be there yet. When this returns, it
/// is on the disk under its name with all of its bytes; a crash leaves all of it or nothing.
///
/// The caller makes sure that no other process does the same at the same time.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.exists() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("`{}` is there already", path.display()),
        ));
    }
    let staged = path.with_extension("new");
    match fs_err::remove_file(&staged) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = create_private(&staged)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs_err::rename(&staged, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Puts a staged file in the place of another; after a crash one of the two is there, whole.
pub(crate) fn take_place(staged: &Path, path: &Path) -> io::Result<()> {
    fs_err::rename(staged, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Takes an advisory lock on a file of the state folder, or answers None when it is held. The
/// system drops it when the process ends, however it ends.
pub(crate) fn try_lock(path: &Path) -> io::Result<Option<fs_err::File>> {
    let mut options = private_options();
    let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// A new file that only its owner may read.
fn create_private(path: &Path) -> io::Result<fs_err::File> {
    private_options().write(true).create_new(true).open(path)
}

/// Options under which a file that is created belongs to its owner alone.
pub(crate) fn private_options() -> fs_err::OpenOptions {
    let mut options = fs_err::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options.options_mut(), 0o600);
    options
}

/// Makes the names in a folder durable, not only the bytes behind them.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { fs_err::File::open(folder)?.sync_all() } else { Ok(()) }
}
