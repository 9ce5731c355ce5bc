//! Pages that are read before the walk comes to them.
//!
//! In: requests that the walk will likely make, in their order. Out: their pages, each when the
//! walk asks for that very request. Nothing is decided here: the walk goes on as if every page
//! were read when its turn comes, so the order of pages and all guards are those of a walk without
//! this, and a guess that was wrong (pages of another length than the first) is thrown away, after
//! which nothing is guessed any more.

use std::collections::VecDeque;

use tokio::task::JoinHandle;

use crate::Connector;
use crate::error::CallError;
use crate::exchange::Exchange;
use crate::open_page::{OpenPage, PageShape};

/// Pages under way at once, whatever the concurrency of the api is.
pub(crate) const PAGES_MAX: usize = 16;

/// The pages under way of one walk.
#[derive(Default)]
pub(crate) struct Ahead {
    pages: VecDeque<Guessed>,
    was_wrong: bool,
}

/// What became of a page that was read ahead.
pub(crate) enum Outcome {
    /// It was read to its end.
    Whole(Box<OpenPage>),
    /// It could not be read.
    Failed(CallError),
}

struct Guessed {
    fingerprint: u64,
    task: JoinHandle<Outcome>,
}

impl Drop for Guessed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ahead {
    pub(crate) fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether a guess did not come true.
    pub(crate) const fn was_wrong(&self) -> bool {
        self.was_wrong
    }

    /// Begins to read a page.
    pub(crate) fn begin(
        &mut self,
        fingerprint: u64,
        connector: Connector,
        exchange: Exchange,
        shape: PageShape,
    ) {
        let task = tokio::spawn(whole(connector, exchange, shape));
        self.pages.push_back(Guessed { fingerprint, task });
    }

    /// The page of that request, if it is the one that was guessed to come now.
    pub(crate) async fn take(&mut self, fingerprint: u64) -> Option<Outcome> {
        let mut guessed = self.pages.pop_front()?;
        if guessed.fingerprint != fingerprint {
            self.was_wrong = true;
            self.pages.clear();
            return None;
        }
        // A task that ended otherwise is as if it had never begun: the page is read in its turn.
        (&mut guessed.task).await.ok()
    }
}

async fn whole(connector: Connector, exchange: Exchange, shape: PageShape) -> Outcome {
    let mut open = match OpenPage::open(connector, exchange, shape).await {
        Ok(open) => Box::new(open),
        Err(error) => return Outcome::Failed(error),
    };
    if open.is_empty_answer() {
        open.opened.release();
        return Outcome::Whole(open);
    }
    match open.read().await {
        Ok(()) => Outcome::Whole(open),
        Err(error) => Outcome::Failed(error),
    }
}
