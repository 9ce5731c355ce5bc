//! One answer that is a file, from the request to its place on the disk.
//!
//! In: a resource whose answers are files, the values of one row, and what is known of the file
//! that is there. Out: what the file is now. It is streamed to a folder beside the others, flushed,
//! and takes its name when it is whole; the folder that names it is flushed too, so that a row
//! which speaks of the file is never on the disk without it. What never happens here: a file under
//! its name that is not whole; one replaced by the same bytes; one held in memory; a row written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use restway_model::definition::{ApiFile, ResourceSettings};
use restway_model::{Counts, TableName, Values};

use crate::Connector;
use crate::error::{CallError, Failure};
use crate::exchange::{Exchange, Opened};
use crate::files::Arriving;
use crate::plan::{self, RequestValues};
use crate::request::{Expected, Request, header};
use crate::sent::Tally;
use crate::sigv4::hex;

/// What is known of a file that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownFile {
    /// The answer's `ETag`.
    pub etag: Option<String>,
    /// The answer's `Last-Modified`.
    pub last_modified: Option<String>,
    /// The hash of its bytes.
    pub sha256: String,
}

/// What the answer came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Downloaded {
    /// The api says that the file is still the one that is known (RFC 9110, section 15.4.5).
    Unchanged,
    /// No file, by a status that the definition skips, or by one that has no body.
    None {
        /// The status.
        status: u16,
        /// What was asked, without credentials.
        url: String,
    },
    /// The file is in its place.
    File(FetchedFile),
}

/// A file that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedFile {
    /// The status.
    pub status: u16,
    /// What was asked, without credentials.
    pub url: String,
    /// Its bytes.
    pub size: u64,
    /// The hash of its bytes, in hexadecimal.
    pub sha256: String,
    /// The answer's `Content-Type`.
    pub content_type: Option<String>,
    /// The answer's `ETag`.
    pub etag: Option<String>,
    /// The answer's `Last-Modified`.
    pub last_modified: Option<String>,
}

/// A download, and what it cost so far.
pub struct Download {
    connector: Connector,
    api: Arc<ApiFile>,
    resource: Arc<ResourceSettings>,
    values: Arc<dyn Values + Send + Sync>,
    tally: Arc<Tally>,
    counts: Counts,
}

impl Download {
    pub(crate) fn new(
        connector: Connector,
        api: Arc<ApiFile>,
        name: TableName,
        resource: Arc<ResourceSettings>,
        values: Arc<dyn Values + Send + Sync>,
    ) -> Self {
        let (tally, counts) = (Arc::new(Tally::of(name)), Counts::default());
        Self { connector, api, resource, values, tally, counts }
    }

    /// Requests, bytes, and answers that came.
    pub fn counts(&self) -> Counts {
        let (requests, retries) = (self.tally.requests(), self.tally.retries());
        Counts { requests, retries, ..self.counts }
    }

    /// Fetches the file to `target`, by way of the folder `parts` of the same file system, unless
    /// it is still the one that is `known`.
    ///
    /// # Errors
    /// What the last attempt came to, and a file that cannot be written. What is there stays.
    pub async fn fetch(
        &mut self,
        target: &Path,
        parts: &Path,
        known: Option<&KnownFile>,
    ) -> Result<Downloaded, CallError> {
        let request = self.request(known)?;
        let home = self.connector.target(&self.api)?;
        let exchange = Exchange::new(self.connector.clone(), home, request);
        let mut exchange = exchange.tallied(&self.tally, None);
        let url = exchange.request().url.to_string();
        loop {
            let mut opened = exchange.open().await?;
            let status = opened.incoming.status;
            if status == 304 {
                self.counts.unchanged += 1;
                return Ok(Downloaded::Unchanged);
            }
            if matches!(status, 204 | 205) || !(200..300).contains(&status) {
                return Ok(Downloaded::None { status, url });
            }
            match self.receive(&mut opened, target, parts, known).await {
                Ok((size, sha256)) => {
                    if !opened.incoming.has_end() && !self.resource.is_open_ended {
                        exchange.warn_of_no_end();
                    }
                    let text = |name| header(&opened.incoming.headers, name).map(str::to_owned);
                    let (etag, last_modified) = (text("etag"), text("last-modified"));
                    let content_type = text("content-type");
                    self.counts.pages += 1;
                    self.counts.bytes += size;
                    return Ok(Downloaded::File(FetchedFile {
                        status,
                        url,
                        size,
                        sha256,
                        content_type,
                        etag,
                        last_modified,
                    }));
                }
                Err(failure) => {
                    drop(opened);
                    exchange.broke(failure).await?;
                }
            }
        }
    }

    /// The resource's request, under the conditions that the known file makes.
    fn request(&self, known: Option<&KnownFile>) -> Result<Request, CallError> {
        let in_path = self.connector.lookup(self.values.as_ref(), false);
        let elsewhere = self.connector.lookup(self.values.as_ref(), true);
        let homes = plan::homes(&self.api, &in_path)?;
        let folder = self.connector.folder();
        let values = RequestValues { in_path: &in_path, elsewhere: &elsewhere, folder };
        let mut request = plan::resource_request(&homes, &self.resource, &values)?;
        let Some(known) = known else { return Ok(request) };
        let conditions =
            [("if-none-match", &known.etag), ("if-modified-since", &known.last_modified)];
        let mut is_asked = false;
        for (name, validator) in conditions {
            if let Some(value) = validator {
                request.headers.push((name.to_owned(), value.clone()));
                is_asked = true;
            }
        }
        if let Expected::SuccessOr(others) = &mut request.expected
            && is_asked
        {
            others.push(304);
        }
        Ok(request)
    }

    /// The body into its place; answers with its length and hash.
    async fn receive(
        &self,
        opened: &mut Opened,
        target: &Path,
        parts: &Path,
        known: Option<&KnownFile>,
    ) -> Result<(u64, String), Failure> {
        let bound = self.connector.limits().body_bytes_max;
        let mut arriving = Arriving::by_way_of(parts, target.to_path_buf()).await?;
        let mut hash = Context::new(&SHA256);
        while let Some(chunk) = opened.incoming.chunk(self.connector.clock()).await? {
            if opened.incoming.bytes() > bound {
                let bound = format!("{bound} bytes");
                return Err(Failure::TooLarge { what: "the file", bound, hint: None });
            }
            hash.update(&chunk);
            arriving.write(&chunk).await?;
        }
        let sha256 = hex(hash.finish().as_ref());
        // The same bytes are in their place already; what came goes with `arriving`.
        if known.is_none_or(|known| known.sha256 != sha256) {
            arriving.finish().await?;
            sync_folder(target.parent().map(Path::to_path_buf)).await?;
        }
        Ok((opened.incoming.bytes(), sha256))
    }
}

/// The disk has the folder's names after this.
async fn sync_folder(folder: Option<PathBuf>) -> Result<(), Failure> {
    let Some(folder) = folder else { return Ok(()) };
    let opened = fs_err::tokio::File::open(folder).await;
    let synced = match opened {
        Ok(folder) => folder.sync_all().await,
        Err(error) => Err(error),
    };
    synced.map_err(|error| Failure::File { problem: error.to_string() })
}
