//! The folder of a table's log: what is written there lasts, and an entry that is torn is found.
//!
//! In: a table's folder. Out: the store that the Delta log is kept in, and whether a version's
//! entry is whole. The usual store of local files gives an entry its name before the disk has its
//! bytes: when the power goes in between, the log has a version that is empty, or ends in its
//! middle. A reader takes that for a version without the rows that it should have brought. So an
//! entry is flushed here before it has its name, and the name before anybody is told.
//!
//! Other programs, and disks that lie, still tear entries. What we commit says how many actions it
//! has, so that one that ends early is never read as if it were whole. Nothing is mended here: what
//! the lost lines said is known to nobody.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::runtime::SpawnedTask;
use deltalake_core::DeltaTableBuilder;
use deltalake_core::logstore::LogStoreRef;
use deltalake_core::logstore::object_store::local::LocalFileSystem;
use deltalake_core::logstore::object_store::path::Path as Location;
use deltalake_core::logstore::object_store::{
    self, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use futures::stream::BoxStream;
use restway_model::TableName;
use serde::Deserialize;
use url::Url;
use uuid::Uuid;

use crate::error::TableError;

/// The longest line of an entry.
const LINE_BYTES_MAX: u64 = 256 << 20;
/// Lines of an entry.
const LINES_MAX: usize = 10_000_000;

/// In what a commit says of itself: how many lines follow the one that says it.
pub(crate) const ACTIONS_KEY: &str = "restway.actions";

/// The store of a table's log.
pub(crate) fn store(folder: &Path) -> Result<LogStoreRef, TableError> {
    let url = Url::from_directory_path(folder)
        .map_err(|()| TableError::internal(format!("`{}` is not absolute", folder.display())))?;
    let builder = DeltaTableBuilder::from_url(url.clone()).map_err(TableError::internal)?;
    let builder = builder.with_storage_backend(Arc::new(Flushed(LocalFileSystem::new())), url);
    builder.build_storage().map_err(|error| TableError::damaged(folder.display(), error))
}

/// Local files, each on the disk before it has its name.
#[derive(Debug)]
struct Flushed(LocalFileSystem);

impl fmt::Display for Flushed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[async_trait]
impl ObjectStore for Flushed {
    async fn put_opts(
        &self,
        location: &Location,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let path = self.0.path_to_filesystem(location)?;
        let is_new = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => return self.0.put_opts(location, payload, options).await,
        };
        // Waiting for the disk keeps no other task waiting.
        let written =
            SpawnedTask::spawn_blocking(move || put(&path, &payload, is_new)).join().await;
        written.map_err(|source| object_store::Error::JoinError { source })?.map_err(|source| {
            let (path, source) = (location.to_string(), Box::new(source));
            match is_new && source.kind() == io::ErrorKind::AlreadyExists {
                true => object_store::Error::AlreadyExists { path, source },
                false => object_store::Error::Generic { store: "local files", source },
            }
        })?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Location,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, options).await
    }

    async fn get_opts(
        &self,
        location: &Location,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Location>>,
    ) -> BoxStream<'static, object_store::Result<Location>> {
        self.0.delete_stream(locations)
    }

    fn list(
        &self,
        prefix: Option<&Location>,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Location>,
        offset: &Location,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.0.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(
        &self,
        prefix: Option<&Location>,
    ) -> object_store::Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Location,
        to: &Location,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

/// Writes a file beside its place, flushes it, gives it its name, and flushes that. A file that is
/// new fails where there is one of its name.
fn put(path: &Path, payload: &PutPayload, is_new: bool) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let arriving = folder.join(format!(".{}.tmp", Uuid::new_v4()));
    let written = fs_err::File::create_new(&arriving).and_then(|mut file| {
        payload.iter().try_for_each(|bytes| file.write_all(bytes))?;
        file.sync_all()?;
        match is_new {
            true => fs_err::hard_link(&arriving, path),
            false => fs_err::rename(&arriving, path),
        }
    });
    if is_new || written.is_err() {
        // What cannot be removed has a name that nobody reads.
        let _ = fs_err::remove_file(&arriving);
    }
    written?;
    fs_err::File::open(folder)?.sync_all()
}

/// What of a line of an entry says whether the entry is whole.
#[derive(Default, Deserialize)]
struct Line {
    #[serde(rename = "commitInfo")]
    commit: Option<Commit>,
    txn: Option<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct Commit {
    #[serde(rename = "restway.actions")]
    actions: Option<usize>,
    #[serde(rename = "restway.sequence")]
    sequence: Option<u64>,
}

/// Whether a version's entry is whole, as far as it can tell; one that a checkpoint stands for may
/// be gone.
///
/// # Errors
/// [`TableError::Torn`] where it is empty, or ends before its last line.
pub(crate) fn check_entry(folder: &Path, name: &TableName, version: u64) -> Result<(), TableError> {
    let path = folder.join("_delta_log").join(format!("{version:020}.json"));
    let file = match fs_err::File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(|error| TableError::file(&path, error))?,
    };
    match is_whole(BufReader::new(file), version) {
        Ok(true) => Ok(()),
        Ok(false) => Err(TableError::Torn { table: name.clone(), entry: path }),
        Err(error) => Err(TableError::file(&path, error)),
    }
}

fn is_whole(mut entry: impl BufRead, version: u64) -> io::Result<bool> {
    let (mut text, mut lines) = (Vec::new(), 0);
    let (mut commit, mut last) = (Commit::default(), Line::default());
    for _ in 0..LINES_MAX {
        text.clear();
        if io::Read::take(&mut entry, LINE_BYTES_MAX).read_until(b'\n', &mut text)? == 0 {
            break;
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let Ok(mut line) = serde_json::from_slice::<Line>(&text) else { return Ok(false) };
        commit = line.commit.take().unwrap_or(commit);
        lines += 1;
        last = line;
    }
    Ok(match commit.actions {
        Some(actions) => lines == actions + 1,
        // What an earlier version committed of a batch ends with the batch's number.
        None => lines > 0 && (commit.sequence.is_none() || version == 0 || last.txn.is_some()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_whether_it_is_whole() {
        let ours = "{\"commitInfo\":{\"restway.sequence\":2,\"restway.actions\":2}}";
        let before = "{\"commitInfo\":{\"restway.sequence\":2}}";
        let (add, txn) =
            ("{\"add\":{\"path\":\"a\"}}", "{\"txn\":{\"appId\":\"a\",\"version\":2}}");
        for (lines, version, whole) in [
            (vec![], 1, false),
            (vec![ours, add, txn], 1, true),
            (vec![ours, add], 1, false),
            (vec![ours, add, &txn[..9]], 1, false),
            (vec![ours, add, "\0\0\0"], 1, false),
            // What was committed before the number of actions was said.
            (vec![before, add, txn], 1, true),
            (vec![before, add], 1, false),
            (vec![before, "{\"protocol\":{}}", "{\"metaData\":{}}"], 0, true),
            // Others say nothing of it, and may end with an empty line.
            (vec![add, "{\"commitInfo\":{\"timestamp\":1}}", ""], 1, true),
        ] {
            let text = lines.join("\n");
            assert_eq!(is_whole(text.as_bytes(), version).expect("read"), whole, "{text}");
        }
    }
}
