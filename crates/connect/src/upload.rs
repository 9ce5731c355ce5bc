//! A body on its way out: bytes in memory and files on disk, one after the other.
//!
//! In: segments. Out: their length, known before the first byte, and a stream of small chunks, so
//! that a body of any size needs the memory of one chunk. A file is opened when its turn comes and
//! anew for each attempt; one that changed its length meanwhile breaks the request off, because
//! the announced length would be a lie.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::{Stream, stream};
use tokio::io::AsyncReadExt;

/// What is read of a file at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A piece of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// In memory.
    Bytes(Bytes),
    /// On disk, with the length that it had when the request was made.
    File {
        /// Where.
        path: PathBuf,
        /// How long.
        length: u64,
    },
}

/// A body of segments. A clone is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload(Arc<[Segment]>);

impl From<Bytes> for Upload {
    fn from(bytes: Bytes) -> Self {
        Self(Arc::new([Segment::Bytes(bytes)]))
    }
}

impl From<Vec<Segment>> for Upload {
    fn from(segments: Vec<Segment>) -> Self {
        Self(segments.into())
    }
}

impl Upload {
    /// The length of all segments together.
    pub fn length(&self) -> u64 {
        let lengths = self.0.iter().map(|segment| match segment {
            Segment::Bytes(bytes) => bytes.len() as u64,
            Segment::File { length, .. } => *length,
        });
        lengths.sum()
    }

    /// The whole body, when it is one piece in memory.
    pub(crate) fn in_memory(&self) -> Option<Bytes> {
        match self.0.as_ref() {
            [Segment::Bytes(bytes)] => Some(bytes.clone()),
            _ => None,
        }
    }

    /// The body as text for a person: a file by its name.
    pub(crate) fn shown(&self) -> String {
        let shown = self.0.iter().map(|segment| match segment {
            Segment::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Segment::File { path, length } => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                format!("[{length} bytes of the file {name}]")
            }
        });
        shown.collect()
    }

    /// The body in chunks.
    pub(crate) fn chunks(&self) -> impl Stream<Item = std::io::Result<Bytes>> + Send + use<> {
        let reader = Reader { upload: self.clone(), at: 0, open: None };
        stream::try_unfold(reader, |mut reader| async move {
            Ok(reader.next().await?.map(|chunk| (chunk, reader)))
        })
    }
}

struct Reader {
    upload: Upload,
    at: usize,
    /// The file whose turn it is, and what is left of it.
    open: Option<(fs_err::tokio::File, u64)>,
}

impl Reader {
    async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        while let Some(segment) = self.upload.0.get(self.at) {
            let (path, length) = match segment {
                Segment::Bytes(bytes) => {
                    self.at += 1;
                    return Ok(Some(bytes.clone()));
                }
                Segment::File { path, length } => (path, *length),
            };
            let (file, left) = match &mut self.open {
                Some((file, left)) => (file, left),
                None => {
                    let file = fs_err::tokio::File::open(path).await?;
                    if file.metadata().await?.len() != length {
                        return Err(changed());
                    }
                    let (file, left) = self.open.insert((file, length));
                    (file, left)
                }
            };
            if *left == 0 {
                self.open = None;
                self.at += 1;
                continue;
            }
            let wanted = usize::try_from(*left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let mut chunk = BytesMut::zeroed(wanted);
            let read = file.read(&mut chunk).await?;
            if read == 0 {
                return Err(changed());
            }
            chunk.truncate(read);
            *left -= read as u64;
            return Ok(Some(chunk.freeze()));
        }
        Ok(None)
    }
}

fn changed() -> std::io::Error {
    std::io::Error::other("the file changed while it was sent")
}
