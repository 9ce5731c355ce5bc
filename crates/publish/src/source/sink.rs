//! Where rows go.
//!
//! In: rows, each written by a source into the buffer. Out: a page in memory ([`Page`]), or
//! whatever else implements [`Sink`]: one that is full is emptied before the next row, so that an
//! answer of any length passes through a bounded buffer.

use super::{Answering, SourceError};

/// A page's bytes at most.
const PAGE_BYTES_MAX: usize = 64 << 20;

/// What a source does after a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Writes the next one.
    More,
    /// Waits for [`Sink::flush`], then writes the next one.
    Full,
    /// Ends: no more rows are wanted.
    Enough,
}

/// Takes rows.
pub trait Sink: Send {
    /// Where the next row is written, behind what is there.
    fn buffer(&mut self) -> &mut Vec<u8>;

    /// A row is written.
    fn row(&mut self) -> Flow;

    /// Makes room.
    fn flush(&mut self) -> Answering<'_, ()>;

    /// Whether a row was written.
    fn has_rows(&self) -> bool;
}

/// Rows of a page, separated by commas, behind what the buffer had before.
#[derive(Debug)]
pub struct Page {
    buffer: Vec<u8>,
    rows: usize,
    rows_max: usize,
}

impl Page {
    /// A page of at most so many rows, behind `head`.
    pub fn new(head: Vec<u8>, rows_max: usize) -> Self {
        Self { buffer: head, rows: 0, rows_max }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The head and the rows.
    pub fn into_bytes(mut self) -> Vec<u8> {
        if self.rows > 0 {
            self.buffer.pop();
        }
        self.buffer
    }
}

impl Sink for Page {
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    fn row(&mut self) -> Flow {
        self.rows += 1;
        self.buffer.push(b',');
        if self.rows >= self.rows_max {
            Flow::Enough
        } else if self.buffer.len() > PAGE_BYTES_MAX {
            Flow::Full
        } else {
            Flow::More
        }
    }

    fn flush(&mut self) -> Answering<'_, ()> {
        Box::pin(async { Err(SourceError::TooLarge { bytes_max: PAGE_BYTES_MAX }) })
    }

    fn has_rows(&self) -> bool {
        self.rows > 0
    }
}
