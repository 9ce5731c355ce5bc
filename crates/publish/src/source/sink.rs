//! Where rows go.
//!
//! In: rows, each written by a source into the buffer. Out: a page in memory ([`Page`]), or
//! whatever else implements [`Sink`]: one that is full is emptied before the next row, so that an
//! answer of any length passes through a bounded buffer.

use super::{Answering, SourceError, row};

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
    head: usize,
    /// Where each row ends.
    ends: Vec<usize>,
    rows_max: usize,
}

impl Page {
    /// A page of at most so many rows, behind `head`.
    pub fn new(head: Vec<u8>, rows_max: usize) -> Self {
        Self { head: head.len(), buffer: head, ends: Vec::new(), rows_max }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.ends.len()
    }

    /// A row's text; empty when there is none.
    pub(crate) fn text(&self, at: usize) -> &str {
        let start = match at.checked_sub(1) {
            None => self.head,
            Some(before) => self.ends.get(before).map_or(0, |end| end + 1),
        };
        let end = self.ends.get(at).copied().unwrap_or(start);
        self.buffer.get(start..end).and_then(|row| std::str::from_utf8(row).ok()).unwrap_or("")
    }

    /// The head and the rows.
    pub fn into_bytes(mut self) -> Vec<u8> {
        if let Some(&end) = self.ends.last() {
            self.buffer.truncate(end);
        }
        self.buffer
    }

    /// The head and the first rows, of each as many members as are to be seen; the last row first
    /// when they are turned.
    pub(crate) fn into_list(
        mut self,
        rows: usize,
        members: Option<usize>,
        turned: bool,
    ) -> Vec<u8> {
        self.ends.truncate(rows);
        if members.is_none() && !turned {
            return self.into_bytes();
        }
        let mut bytes = Vec::with_capacity(self.buffer.len());
        bytes.extend_from_slice(&self.buffer[..self.head]);
        for at in 0..self.ends.len() {
            let text = self.text(if turned { self.ends.len() - 1 - at } else { at });
            bytes.extend_from_slice(if at > 0 { b"," } else { b"" });
            match members {
                None => bytes.extend_from_slice(text.as_bytes()),
                Some(members) => {
                    row::first(text, members)
                        .for_each(|part| bytes.extend_from_slice(part.as_bytes()));
                }
            }
        }
        bytes
    }
}

impl Sink for Page {
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    fn row(&mut self) -> Flow {
        self.ends.push(self.buffer.len());
        self.buffer.push(b',');
        if self.ends.len() >= self.rows_max {
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
        !self.ends.is_empty()
    }
}
