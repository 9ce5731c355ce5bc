//! One page while it is read.
//!
//! In: an exchange and the shape of the page. Out: its records in batches, held back until the
//! page is whole or more than a bound, so that a body which breaks is read again from its start
//! and nobody notices. Once some of it was handed out it cannot be read again, and says so.

use std::collections::VecDeque;

use restway_model::{RecordPath, Records};

use crate::Connector;
use crate::decode::{Bounds, PageReader};
use crate::error::{CallError, Excerpt, Failure};
use crate::exchange::{Exchange, Opened};

/// Where the records of a page are, and how they are read.
#[derive(Debug, Clone)]
pub(crate) struct PageShape {
    pub(crate) records: Option<RecordPath>,
    pub(crate) bounds: Bounds,
}

/// A page that is being read.
pub(crate) struct OpenPage {
    connector: Connector,
    shape: PageShape,
    pub(crate) exchange: Exchange,
    pub(crate) opened: Opened,
    pub(crate) reader: PageReader,
    pub(crate) held: VecDeque<Records>,
    held_bytes: usize,
    is_whole: bool,
    /// Whether a part of it was handed out, so that it cannot be read again.
    is_out: bool,
}

/// How far a page was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// To its end.
    Whole,
    /// Up to the bound on what is held back.
    Full,
}

impl OpenPage {
    /// Sends until the answer begins.
    pub(crate) async fn open(
        connector: Connector,
        mut exchange: Exchange,
        shape: PageShape,
    ) -> Result<Self, CallError> {
        let opened = exchange.open().await?;
        Ok(Self {
            connector,
            reader: PageReader::new(shape.records.as_ref(), shape.bounds.clone()),
            shape,
            exchange,
            opened,
            held: VecDeque::new(),
            held_bytes: 0,
            is_whole: false,
            is_out: false,
        })
    }

    /// Whether there is no page: 204 and 205 have no body by definition, and other statuses that
    /// come here are to be skipped.
    pub(crate) fn is_empty_answer(&self) -> bool {
        let status = self.opened.incoming.status;
        matches!(status, 204 | 205) || !(200..300).contains(&status)
    }

    /// Reads until the page is whole, or more of it is held than allowed.
    pub(crate) async fn read(&mut self, held_max: usize) -> Result<Progress, CallError> {
        while !self.is_whole {
            let failure = match self.read_some().await {
                Ok(is_whole) => {
                    self.is_whole = is_whole;
                    if !is_whole && self.held_bytes > held_max {
                        return Ok(Progress::Full);
                    }
                    continue;
                }
                Err(failure) => self.redacted(failure),
            };
            if self.is_out {
                return Err(self.exchange.error(failure));
            }
            self.reopen(failure).await?;
        }
        // A whole page may wait for those before it; others can have its place meanwhile.
        self.opened.release();
        Ok(Progress::Whole)
    }

    /// Hands out what is held.
    pub(crate) fn hand_out(&mut self) -> VecDeque<Records> {
        self.is_out = true;
        self.held_bytes = 0;
        std::mem::take(&mut self.held)
    }

    /// Reads one chunk; true at the end of the body.
    async fn read_some(&mut self) -> Result<bool, Failure> {
        let Some(chunk) = self.opened.incoming.chunk(self.connector.clock()).await? else {
            // What is missing at the end is found here, while the page can still be read again.
            return self.reader.is_complete(self.opened.incoming.bytes()).map(|()| true);
        };
        let bound = self.connector.limits().body_bytes_max;
        if self.opened.incoming.bytes() > bound {
            let bound = format!("{bound} bytes");
            return Err(Failure::TooLarge { what: "the answer", bound, hint: None });
        }
        self.reader.feed(&chunk)?;
        while let Some(batch) = self.reader.batch() {
            self.held_bytes += batch.bytes();
            self.held.push_back(batch);
        }
        Ok(false)
    }

    /// The page broke before any of it was handed out: waits and begins it again.
    async fn reopen(&mut self, failure: Failure) -> Result<(), CallError> {
        self.held.clear();
        self.held_bytes = 0;
        self.reader = PageReader::new(self.shape.records.as_ref(), self.shape.bounds.clone());
        // The place at the gate is free while this waits.
        self.opened.release();
        self.exchange.broke(failure).await?;
        self.opened = self.exchange.open().await?;
        Ok(())
    }

    /// Pieces of the answer in an error pass the redactor like everything else.
    pub(crate) fn redacted(&self, failure: Failure) -> Failure {
        redacted(&self.connector, failure)
    }
}

/// The failure with the pieces of the answer in it redacted.
pub(crate) fn redacted(connector: &Connector, failure: Failure) -> Failure {
    match failure {
        Failure::NotJson { problem, excerpt: Excerpt(text) } => Failure::NotJson {
            problem: connector.redacted(&problem),
            excerpt: Excerpt(connector.redacted(&text)),
        },
        Failure::Page { title } => {
            Failure::Page { title: title.map(|title| connector.redacted(&title)) }
        }
        Failure::Declared { condition, excerpt: Excerpt(text) } => {
            let excerpt = crate::excerpt::excerpt(text.as_bytes(), connector.redactor());
            Failure::Declared { condition, excerpt }
        }
        other => other,
    }
}
