//! The coding `deflate`, in both of its forms.
//!
//! In: a body that is called so. Out: what it unpacks to. RFC 9110 (section 8.4.1.2) means the zlib
//! format by that name (RFC 1950), and many servers send the bare data (RFC 1951) that it is around.
//! The first two bytes tell: they are a number that 31 divides, and name the method 8. What never
//! happens here: a bare body believed to be whole that has no last block.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use flate2::{Decompress, FlushDecompress, Status};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use super::Source;

/// A body that is being unpacked.
pub(super) struct Inflate {
    source: Source,
    /// None until the first bytes have told the form.
    state: Option<Decompress>,
    is_bare: bool,
    is_over: bool,
}

impl Inflate {
    pub(super) const fn new(source: Source) -> Self {
        Self { source, state: None, is_bare: false, is_over: false }
    }

    pub(super) const fn source(&mut self) -> &mut Source {
        &mut self.source
    }

    /// Whether the body has no head, and so no check sum.
    pub(super) const fn is_bare(&self) -> bool {
        self.is_bare
    }

    /// Whether bytes begin the zlib format (RFC 1950, section 2.2). Of one byte alone its method
    /// tells.
    fn has_head(start: &[u8]) -> bool {
        match start {
            [first, second, ..] => {
                first & 15 == 8 && u16::from_be_bytes([*first, *second]) % 31 == 0
            }
            [first] => first & 15 == 8,
            [] => true,
        }
    }
}

impl AsyncRead for Inflate {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Each turn takes from a body that ends, or gives something back.
        while !this.is_over && buffer.remaining() > 0 {
            let input = ready!(Pin::new(&mut this.source).poll_fill_buf(context))?;
            let state = this.state.get_or_insert_with(|| {
                this.is_bare = !Self::has_head(input);
                Decompress::new(!this.is_bare)
            });
            let (taken, given) = (state.total_in(), state.total_out());
            let status = state
                .decompress(input, buffer.initialize_unfilled(), FlushDecompress::None)
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            let is_cut = input.is_empty();
            let taken = usize::try_from(state.total_in() - taken).unwrap_or(usize::MAX);
            let given = usize::try_from(state.total_out() - given).unwrap_or(usize::MAX);
            Pin::new(&mut this.source).consume(taken);
            buffer.advance(given);
            this.is_over = status == Status::StreamEnd;
            if this.is_over || given > 0 {
                break;
            }
            if is_cut || taken == 0 {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}
