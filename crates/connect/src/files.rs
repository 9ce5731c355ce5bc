//! Files of the workspace that a call reads or writes.
//!
//! In: the workspace's folder and a name that somebody wrote. Out: a path inside the folder, or an
//! error before anything is sent. Links are followed first and judged by where they end. What lies
//! in `.restway/` (the key of the secrets, the tables) is neither sent nor overwritten.

use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use crate::error::{CallError, Failure};

/// The folder of state inside a workspace.
pub(crate) const STATE: &str = ".restway";
/// Names of files on their way that are tried before giving up.
const NAMES_MAX: u32 = 100;

/// A file to send, and its length.
pub(crate) fn readable(folder: Option<&Path>, name: &str) -> Result<(PathBuf, u64), CallError> {
    let invalid = |problem: String| CallError::invalid(subject(name), problem);
    let path = inside(folder, name)?;
    let found = fs_err::canonicalize(&path)
        .and_then(|path| Ok((fs_err::metadata(&path)?, path)))
        .map_err(|error| invalid(format!("cannot be read: {}", cause(&error))))?;
    let (metadata, path) = found;
    within(folder, &path, name)?;
    if !metadata.is_file() {
        return Err(invalid("is not a file".into()));
    }
    Ok((path, metadata.len()))
}

/// A file to write. Its folder must be there.
pub(crate) fn writable(folder: Option<&Path>, name: &str) -> Result<PathBuf, CallError> {
    let invalid = |problem: String| CallError::invalid(subject(name), problem);
    let path = inside(folder, name)?;
    let file = path.file_name().ok_or_else(|| invalid("names no file".into()))?;
    let parent = path.parent().unwrap_or(&path);
    let parent = fs_err::canonicalize(parent)
        .map_err(|error| invalid(format!("has no folder: {}", cause(&error))))?;
    within(folder, &parent, name)?;
    let path = parent.join(file);
    if path.is_dir() {
        return Err(invalid("is a folder".into()));
    }
    Ok(path)
}

fn subject(name: &str) -> String {
    format!("the file `{name}`")
}

fn cause(error: &std::io::Error) -> String {
    error.kind().to_string()
}

fn inside(folder: Option<&Path>, name: &str) -> Result<PathBuf, CallError> {
    let invalid = |problem: &str| CallError::invalid(subject(name), problem);
    let folder = folder.ok_or_else(|| invalid("needs a workspace to be in: run `restway init`"))?;
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    let path = Path::new(name);
    if name.is_empty() || !path.components().all(is_plain) {
        return Err(invalid("must be a name below the workspace's folder"));
    }
    Ok(folder.join(path))
}

fn within(folder: Option<&Path>, path: &Path, name: &str) -> Result<(), CallError> {
    let root = folder.and_then(|folder| fs_err::canonicalize(folder).ok()).unwrap_or_default();
    match path.strip_prefix(&root) {
        Ok(below) if !below.starts_with(STATE) => Ok(()),
        _ => Err(CallError::invalid(subject(name), "lies outside of what calls may touch")),
    }
}

/// A file on its way: written beside its target, which appears when it is whole.
pub(crate) struct Arriving {
    file: fs_err::tokio::File,
    path: PathBuf,
    target: PathBuf,
    is_whole: bool,
}

impl Arriving {
    pub(crate) async fn at(target: PathBuf) -> Result<Self, Failure> {
        let folder = target.parent().unwrap_or(Path::new("")).to_path_buf();
        Self::by_way_of(&folder, target).await
    }

    /// The same, written in another folder of the same file system.
    pub(crate) async fn by_way_of(folder: &Path, target: PathBuf) -> Result<Self, Failure> {
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for number in 0..NAMES_MAX {
            let id = std::process::id();
            let path = folder.join(format!(".{name}.{id}-{number}.part"));
            let mut options = fs_err::tokio::OpenOptions::new();
            match options.write(true).create_new(true).open(&path).await {
                Ok(file) => return Ok(Self { file, path, target, is_whole: false }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Failure::File { problem: error.to_string() }),
            }
        }
        Err(Failure::File { problem: "too many files of that name are on their way".into() })
    }

    pub(crate) async fn write(&mut self, chunk: &Bytes) -> Result<(), Failure> {
        self.file.write_all(chunk).await.map_err(failure)
    }

    /// From the start again.
    pub(crate) async fn clear(&mut self) -> Result<(), Failure> {
        use tokio::io::AsyncSeekExt;
        self.file.flush().await.map_err(failure)?;
        self.file.set_len(0).await.map_err(failure)?;
        self.file.rewind().await.map_err(failure).map(drop)
    }

    /// The file takes its place.
    pub(crate) async fn finish(mut self) -> Result<(), Failure> {
        self.file.flush().await.map_err(failure)?;
        self.file.sync_all().await.map_err(failure)?;
        fs_err::tokio::rename(&self.path, &self.target).await.map_err(failure)?;
        self.is_whole = true;
        Ok(())
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if !self.is_whole {
            // What is left of a call that failed; nothing more can be done about it here.
            drop(fs_err::remove_file(&self.path));
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
fn failure(error: std::io::Error) -> Failure {
    Failure::File { problem: error.to_string() }
}
