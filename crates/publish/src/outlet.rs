//! Where a long answer goes, piece by piece.
//!
//! In: the head of an answer, then its body in pieces. Out: whatever carries them to the caller.
//! What never happens here: a body in memory as a whole, but in [`Whole`], which has a bound and
//! serves those who want it so.

use std::future::Future;
use std::pin::Pin;

use crate::respond::Response;
use crate::source::PAGE_BYTES_MAX;

/// A piece on its way: whether somebody took it.
pub type Sending<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// Takes an answer whose body is not made yet.
pub trait Outlet: Send {
    /// The head; its body follows.
    fn begin(&mut self, head: Response);

    /// The next piece of the body. Waits while the caller is slow; false when nobody takes it.
    fn send(&mut self, piece: Vec<u8>) -> Sending<'_>;
}

/// What became of a request.
#[derive(Debug)]
pub enum Answered {
    /// The answer as a whole.
    Whole(Response),
    /// The outlet has had all of it.
    Sent,
    /// The outlet has had a part, and there will be no more: the caller must be able to tell.
    Cut,
}

/// An outlet that keeps the answer, up to a bound.
#[derive(Default)]
pub(crate) struct Whole(pub(crate) Option<Response>);

impl Outlet for Whole {
    fn begin(&mut self, head: Response) {
        self.0 = Some(head);
    }

    fn send(&mut self, piece: Vec<u8>) -> Sending<'_> {
        let taken = self.0.as_mut().is_some_and(|response| {
            response.body.extend_from_slice(&piece);
            response.body.len() <= PAGE_BYTES_MAX
        });
        Box::pin(async move { taken })
    }
}
