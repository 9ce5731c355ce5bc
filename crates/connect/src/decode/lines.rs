//! The reader of NDJSON: a JSON value on each line (RFC 8259 each; `application/x-ndjson`).
//!
//! In: chunks. Out: each line as it came, in batches. Empty lines count for nothing. A last line
//! without its end is a record if it is whole JSON; otherwise the body is cut.

use std::collections::VecDeque;

use memchr::memchr;
use restway_model::Records;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::batches::{Batches, Bounds};
use super::envelope::PageEnd;
use crate::error::Failure;

pub(super) struct LineReader {
    pub(super) batches: Batches,
    /// The line at hand, as far as it came.
    line: Vec<u8>,
    number: u64,
    offset: u64,
}

impl LineReader {
    pub(super) const fn new(bounds: Bounds) -> Self {
        Self { batches: Batches::new(bounds), line: Vec::new(), number: 1, offset: 0 }
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        self.offset += chunk.len() as u64;
        let mut rest = chunk;
        while let Some(end) = memchr(b'\n', rest) {
            if self.line.is_empty() {
                read_line(&mut self.batches, self.number, &rest[..end])?;
            } else {
                self.hold(&rest[..end])?;
                read_line(&mut self.batches, self.number, &self.line)?;
                self.line.clear();
            }
            self.number += 1;
            rest = &rest[end + 1..];
        }
        self.hold(rest)
    }

    fn hold(&mut self, run: &[u8]) -> Result<(), Failure> {
        if self.line.len() + run.len() > self.batches.bounds.record_bytes {
            return Err(self.batches.bounds.record_too_large());
        }
        self.line.extend_from_slice(run);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(PageEnd, VecDeque<Records>), Failure> {
        match read_line(&mut self.batches, self.number, &self.line) {
            Err(Failure::Malformed { problem, .. }) => {
                Err(Failure::Unfinished { problem, offset: self.offset })
            }
            Err(failure) => Err(failure),
            Ok(()) => Ok(self.batches.finish(Value::Null, false)),
        }
    }
}

fn read_line(batches: &mut Batches, number: u64, line: &[u8]) -> Result<(), Failure> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(());
    }
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(line) {
        let problem = format!("line {number} is no JSON at its byte {}", error.column());
        return Err(Failure::malformed("NDJSON", problem));
    }
    batches.push(line)
}
