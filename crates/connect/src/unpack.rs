//! Unpacking: the content coding of an answer's body (RFC 9110, section 8.4).
//!
//! In: the chunks that the network brings, and the coding that the answer names. Out: the body,
//! some kilobytes at a time, so that a body of any size needs the memory of one chunk. A body must
//! end where its coding does: one that is cut, whose check sum is wrong, or that goes on behind its
//! end is an error. Gzip may have several members (RFC 1952, section 2.2), zstd several frames.
//!
//! What never happens here: a body that unpacks without end. What is unpacked may be much larger
//! than what came, but only up to [`RATIO_MAX`] times once it is large at all; the bound on the
//! bytes of a body, which its reader knows, counts unpacked ones. A zstd frame may ask for a window
//! of 8 MiB and no more (RFC 9659).

mod inflate;

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt};
use tokio_util::io::StreamReader;

use crate::error::Failure;
use inflate::Inflate;

/// What is unpacked at once.
const CHUNK_BYTES: usize = 32 << 10;
/// How many times larger than what came a body may be. JSON of nothing but one repeated record
/// comes near 200 with gzip.
const RATIO_MAX: u64 = 500;
/// Bodies up to here may have any ratio.
const RATIO_FREE_BYTES: u64 = 16 << 20;
/// The largest window of a zstd frame, as a power of two.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// What the wire asks for.
pub(crate) const ACCEPTED: &str = "gzip, br, zstd, deflate";

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Brotli,
    Zstd,
    Deflate,
}

type Source = StreamReader<Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>, Bytes>;

enum Decoder {
    Gzip(Box<GzipDecoder<Source>>),
    Brotli(Box<BrotliDecoder<Source>>),
    Zstd(Box<ZstdDecoder<Source>>),
    Deflate(Box<Inflate>),
}

/// A body that is being unpacked.
pub(crate) struct Unpacking {
    coding: Coding,
    decoder: Decoder,
    /// Bytes that came.
    packed: Arc<AtomicU64>,
    /// Bytes that they were.
    unpacked: u64,
}

impl Coding {
    /// The coding that an answer names. A label that is no coding of ours is passed over: some
    /// servers write a charset there.
    pub(crate) fn named<'a>(
        labels: impl Iterator<Item = &'a str>,
    ) -> Result<Option<Self>, Failure> {
        let labels = labels.flat_map(|value| value.split(','));
        let mut codings =
            labels.filter_map(|label| match label.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => Some(Self::Gzip),
                "br" => Some(Self::Brotli),
                "zstd" => Some(Self::Zstd),
                "deflate" => Some(Self::Deflate),
                _ => None,
            });
        match (codings.next(), codings.next()) {
            (coding, None) => Ok(coding),
            (_, Some(_)) => Err(Failure::Packed { problem: "it is packed more than once".into() }),
        }
    }

    /// Whether a body of this coding may begin so; what does not tells a wrong label from a body
    /// that was spoiled on its way.
    fn begins(self, start: &[u8]) -> bool {
        let same = |magic: &[u8]| magic.iter().zip(start).all(|(magic, byte)| magic == byte);
        match self {
            Self::Gzip => same(&[0x1f, 0x8b]),
            // RFC 8878, sections 3.1.1 and 3.1.2.
            Self::Zstd => same(&[0x28, 0xb5, 0x2f, 0xfd]) || (start[0] & 0xf0) == 0x50,
            // JSON as it is. Packed without a head, none begins so.
            Self::Deflate => !matches!(start[0], b'{' | b'['),
            Self::Brotli => true,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
        }
    }
}

impl Unpacking {
    /// Begins to unpack a body.
    pub(crate) fn new<S, E>(coding: Coding, body: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let packed = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&packed);
        let counted = body.map(move |chunk| {
            let chunk = chunk.map_err(io::Error::other)?;
            counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            Ok(chunk)
        });
        let source: Source = StreamReader::new(Box::pin(counted));
        let decoder = match coding {
            Coding::Gzip => {
                let mut decoder = GzipDecoder::new(source);
                decoder.multiple_members(true);
                Decoder::Gzip(Box::new(decoder))
            }
            Coding::Brotli => Decoder::Brotli(Box::new(BrotliDecoder::new(source))),
            Coding::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG_MAX);
                let mut decoder = ZstdDecoder::with_params(source, &[window]);
                decoder.multiple_members(true);
                Decoder::Zstd(Box::new(decoder))
            }
            Coding::Deflate => Decoder::Deflate(Box::new(Inflate::new(source))),
        };
        Self { coding, decoder, packed, unpacked: 0 }
    }

    /// The next chunk; `None` at the proper end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Unreadable> {
        if self.unpacked == 0 {
            let start = self.decoder.source().fill_buf().await?;
            // A body without a byte has no coding: the answer to HEAD, a 204.
            if start.is_empty() {
                return Ok(None);
            }
            if !self.coding.begins(start) {
                return Err(Unreadable::Misnamed);
            }
        }
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        let read = self.decoder.reader().read_buf(&mut chunk).await?;
        if read == 0 {
            if !self.decoder.source().fill_buf().await?.is_empty() {
                let problem = "something follows its end";
                return Err(io::Error::new(ErrorKind::InvalidData, problem).into());
            }
            return Ok(None);
        }
        self.unpacked += read as u64;
        let bound = self.packed.load(Ordering::Relaxed).saturating_mul(RATIO_MAX);
        if self.unpacked > bound.max(RATIO_FREE_BYTES) {
            return Err(Unreadable::Bomb);
        }
        Ok(Some(chunk.freeze()))
    }

    /// Whether nothing but the data itself tells that it is whole.
    fn has_no_sum(&self) -> bool {
        match &self.decoder {
            Decoder::Gzip(_) => false,
            Decoder::Brotli(_) | Decoder::Zstd(_) => true,
            Decoder::Deflate(inflate) => inflate.is_bare(),
        }
    }

    /// What an error comes to that is not the network's. A body without a check sum that is wrong
    /// from its start was not spoiled on its way.
    pub(crate) fn failure(&self, unreadable: &Unreadable) -> Failure {
        let coding = self.coding.as_str();
        let offset = self.unpacked;
        match unreadable {
            Unreadable::Bomb => {
                let bound = format!("{RATIO_MAX} times what was sent");
                Failure::TooLarge { what: "the unpacked answer", bound, hint: None }
            }
            Unreadable::Misnamed => {
                Failure::Packed { problem: format!("it is called {coding} and is not") }
            }
            Unreadable::Error(error) if is_cut(error) => {
                Failure::Interrupted { problem: format!("its {coding} has no end"), offset }
            }
            Unreadable::Error(error) if offset == 0 && self.has_no_sum() => {
                Failure::Packed { problem: format!("it is called {coding}, but: {error}") }
            }
            Unreadable::Error(error) => {
                Failure::Interrupted { problem: format!("its {coding} is wrong: {error}"), offset }
            }
        }
    }
}

/// Whether the body ended too early.
fn is_cut(error: &io::Error) -> bool {
    error.kind() == ErrorKind::UnexpectedEof
}

/// Why there is no next chunk.
pub(crate) enum Unreadable {
    /// The network's error, or the coding's own.
    Error(io::Error),
    /// It is too many times larger than what came.
    Bomb,
    /// It does not begin as its coding does.
    Misnamed,
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Error(error)
    }
}

impl Decoder {
    fn reader(&mut self) -> &mut (dyn AsyncRead + Send + Unpin) {
        match self {
            Self::Gzip(decoder) => decoder,
            Self::Brotli(decoder) => decoder,
            Self::Zstd(decoder) => decoder,
            Self::Deflate(decoder) => decoder,
        }
    }

    fn source(&mut self) -> &mut Source {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.source(),
        }
    }
}
