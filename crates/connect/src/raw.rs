//! Raw pages: the bodies of a walk, kept beside what was made of them, and read again.
//!
//! In: each page that was handed out, with what the caller knows of it. Out: a folder with two files
//! for a page, `000001.json` and the packed body `000001.body.gz`; or, later, the records of those
//! bodies as the definition reads them by then, without any call. The second file of a page is the
//! `.json`, so a page that a crash cut short is none.
//!
//! What never happens here: a secret in a file (bodies are masked as on a tape, see `tape.rs`); a
//! page kept that was not handed out; a body in memory that is larger than a tape's may be.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use restway_model::definition::{Archive, ResourceSettings};
use restway_model::{Counts, Records, Redactor, TableName};
use serde::{Deserialize, Serialize};

use crate::Connector;
use crate::decode::{BodyReader, BodyShape, unzip};
use crate::error::{CallError, Failure};
use crate::tape::{BODY_BYTES_MAX, masked_body, write_private};

/// Pages of one walk that are looked for: their files have numbers of so many digits.
const PAGES_MAX: usize = 999_999;
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A page as it is kept, but for its body.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    /// What the caller knows of it.
    about: String,
    content_type: Option<String>,
}

/// Where the pages of a resource go, from walks side by side.
pub struct RawKeeper {
    folder: PathBuf,
    pages: AtomicU64,
    redactor: Redactor,
}

impl RawKeeper {
    /// Keeps pages in a folder of their own, which is made with the first.
    pub fn new(folder: PathBuf, redactor: Redactor) -> Self {
        Self { folder, pages: AtomicU64::new(0), redactor }
    }

    /// Keeps a page.
    pub(crate) async fn keep(
        self: &Arc<Self>,
        about: String,
        content_type: Option<String>,
        body: Vec<u8>,
    ) -> Result<(), Failure> {
        let keeper = Arc::clone(self);
        let kept = tokio::task::spawn_blocking(move || {
            let number = keeper.pages.fetch_add(1, Ordering::Relaxed) + 1;
            keeper.write(number, &Head { about, content_type }, body)
        });
        let kept = kept.await.map_err(|error| Failure::Spool(io::Error::other(error)))?;
        kept.map_err(Failure::Spool)
    }

    fn write(&self, number: u64, head: &Head, body: Vec<u8>) -> io::Result<()> {
        fs_err::create_dir_all(&self.folder)?;
        let body = masked_body(body, &self.redactor);
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&body)?;
        let head = serde_json::to_vec(head).map_err(io::Error::other)?;
        write_private(&self.folder.join(format!("{number:06}.body.gz")), &packed.finish()?)?;
        write_private(&self.folder.join(format!("{number:06}.json")), &head)
    }
}

/// The bound of a body that is kept.
pub(crate) fn check_bytes(bytes: usize) -> Result<(), Failure> {
    if bytes as u64 <= BODY_BYTES_MAX {
        return Ok(());
    }
    let hint = Some("leave `keep_raw` out for this resource, or ask for smaller pages".to_owned());
    Err(Failure::TooLarge { what: "an answer to keep", bound: "256 MiB".to_owned(), hint })
}

/// Takes the records of a page, with what its keeper knew of it.
pub type TakeRecords<'a, E> = &'a mut dyn FnMut(&str, Records) -> Result<(), E>;

impl Connector {
    /// Reads the pages of a folder again, in their order, as the resource's definition reads them
    /// now. Blocks; nothing is sent.
    ///
    /// # Errors
    /// A page that is not what the definition says, and what `take` refuses.
    pub fn read_raw<E: From<CallError>>(
        &self,
        name: &TableName,
        resource: &ResourceSettings,
        folder: &Path,
        take: TakeRecords<'_, E>,
    ) -> Result<Counts, E> {
        let mut counts = Counts::default();
        let failed = |page: u64, failure: Failure| {
            let failure = Box::new(crate::open_page::redacted(self, failure));
            CallError::Kept { resource: name.clone(), page, failure }
        };
        let pages = pages(folder).map_err(|error| failed(0, Failure::Spool(error)))?;
        for page in pages {
            let head = head(folder, page).map_err(|error| failed(page, Failure::Spool(error)))?;
            let mut refused = None;
            let read = self.read_page(folder, page, &head, resource, &mut |records| {
                counts.records += records.len() as u64;
                take(&head.about, records).map_err(|error| {
                    refused = Some(error);
                    Failure::File { problem: "its records were refused".to_owned() }
                })
            });
            match (read, refused) {
                (_, Some(error)) => return Err(error),
                (Err(failure), None) => return Err(failed(page, failure).into()),
                (Ok(bytes), None) => counts.bytes += bytes,
            }
            counts.pages += 1;
        }
        Ok(counts)
    }

    fn read_page(
        &self,
        folder: &Path,
        page: u64,
        head: &Head,
        resource: &ResourceSettings,
        take: &mut dyn FnMut(Records) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let shape = BodyShape::of(resource, self.limits());
        let packed = fs_err::File::open(folder.join(format!("{page:06}.body.gz")));
        let mut body = GzDecoder::new(packed.map_err(Failure::Spool)?).take(BODY_BYTES_MAX);
        if let Some(Archive::Zip { members }) = &shape.archive {
            let mut file = self.room(0).unnamed()?;
            let bytes = io::copy(&mut body, &mut file).map_err(Failure::Spool)?;
            unzip(file, &shape, members.as_deref(), take)?;
            return Ok(bytes);
        }
        let content_type = head.content_type.as_deref().filter(|_| shape.archive.is_none());
        let mut reader = BodyReader::new(&shape, content_type)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut bytes = 0;
        loop {
            let read = body.read(&mut chunk).map_err(Failure::Spool)?;
            if read == 0 {
                break;
            }
            bytes += read as u64;
            for piece in chunk[..read].chunks(reader.piece_bytes()) {
                reader.feed(piece)?;
                while let Some(batch) = reader.batch() {
                    take(batch)?;
                }
            }
        }
        reader.finish()?.1.into_iter().try_for_each(take)?;
        Ok(bytes)
    }
}

/// The numbers of the pages that are whole, in order.
fn pages(folder: &Path) -> io::Result<Vec<u64>> {
    let mut pages = Vec::new();
    for entry in fs_err::read_dir(folder)?.take(2 * PAGES_MAX) {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".json"));
        pages.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    pages.sort_unstable();
    Ok(pages)
}

fn head(folder: &Path, page: u64) -> io::Result<Head> {
    let text = fs_err::read(folder.join(format!("{page:06}.json")))?;
    serde_json::from_slice(&text).map_err(io::Error::other)
}
