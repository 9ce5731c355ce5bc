//! Answers that stream: from the task that makes them to the body that axum sends.
//!
//! In: an [`Outlet`]'s head and pieces. Out: a body. Few pieces wait, so that the task waits while
//! the caller is slow. A caller who leaves, before the head or after it, drops what waits for the
//! task, which ends it and with it the statement, unless it writes; a task that ends before its answer does ends the body with an error, so that the
//! connection breaks and the caller cannot take a part for the whole.

use axum::body::{Body, Bytes};
use futures::stream;
use restway_publish::{Answered, Outlet, Response, Sending};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Pieces that wait for the caller.
const PIECES_MAX: usize = 2;

/// Where the task puts its answer.
pub(crate) struct Pipe {
    head: Option<oneshot::Sender<Response>>,
    pieces: mpsc::Sender<Vec<u8>>,
}

/// The other end.
pub(crate) struct Ends {
    /// The head; an error when the answer does not stream.
    pub(crate) head: oneshot::Receiver<Response>,
    pieces: mpsc::Receiver<Vec<u8>>,
}

/// Both ends of a pipe.
pub(crate) fn pipe() -> (Pipe, Ends) {
    let (head, head_end) = oneshot::channel();
    let (pieces, pieces_end) = mpsc::channel(PIECES_MAX);
    (Pipe { head: Some(head), pieces }, Ends { head: head_end, pieces: pieces_end })
}

impl Outlet for Pipe {
    fn begin(&mut self, head: Response) {
        if let Some(sender) = self.head.take() {
            // Who has left needs no head; the first piece finds that out.
            let _ = sender.send(head);
        }
    }

    fn send(&mut self, piece: Vec<u8>) -> Sending<'_> {
        Box::pin(async move { self.pieces.send(piece).await.is_ok() })
    }
}

/// The task behind an answer.
pub(crate) struct Task {
    pub(crate) answered: JoinHandle<Answered>,
    /// Whether it ends with its caller: what is written goes to its end.
    pub(crate) reads: bool,
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.reads {
            self.answered.abort();
        }
    }
}

/// The answer was cut.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut")]
struct Cut;

/// The pieces as a body.
pub(crate) fn body(ends: Ends, task: Task) -> Body {
    let state = Some((ends.pieces, task));
    Body::from_stream(stream::unfold(state, |state| async move {
        let (mut pieces, mut task) = state?;
        if let Some(piece) = pieces.recv().await {
            return Some((Ok(Bytes::from(piece)), Some((pieces, task))));
        }
        match (&mut task.answered).await {
            Ok(Answered::Sent) => None,
            _ => Some((Err(Cut), None)),
        }
    }))
}
