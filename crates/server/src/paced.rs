//! A stream whose other end must take what is written.
//!
//! In: a stream, a clock and a time. Out: the same stream, whose writes fail when nothing could be
//! written for so long: a client that asks and does not read would hold its connection for ever.
//! What never happens here: a bound on reading; hyper has that for heads, and `routes` for bodies.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use restway_model::Clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A stream with a time for each write.
pub(crate) struct Paced<S> {
    stream: S,
    clock: Arc<dyn Clock>,
    time_max: Duration,
    /// Until when the write under way may wait.
    waiting: Option<Waiting>,
}

impl<S> Paced<S> {
    pub(crate) fn new(stream: S, clock: Arc<dyn Clock>, time_max: Duration) -> Self {
        Self { stream, clock, time_max, waiting: None }
    }

    /// What a write came to; one that waits fails at its time.
    fn paced<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let (clock, time_max) = (&self.clock, self.time_max);
        let waiting = self.waiting.get_or_insert_with(|| {
            let clock = Arc::clone(clock);
            Box::pin(async move { clock.sleep(time_max).await })
        });
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.paced(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.paced(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.paced(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(context);
        self.paced(context, ended)
    }
}
