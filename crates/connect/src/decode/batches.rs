//! Records of a page in batches, whatever format they came in.
//!
//! In: the JSON text of one record after the other, in runs of bytes. Out: batches that are full,
//! and in the end what is known of them all. Every record's bytes are copied once, next to those
//! of its neighbours. The bound on a record holds while it grows.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use bytes::Bytes;
use restway_model::{Limits, Records, Refused};
use serde_json::Value;

use super::envelope::PageEnd;
use crate::error::Failure;

/// Records of a page that are known again; more than any api puts on a page.
const HASHES_MAX: usize = 100_000;

/// What a reader holds at most, and what it keeps beyond the records.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    pub(crate) record_bytes: usize,
    pub(crate) envelope_bytes: usize,
    pub(crate) depth: usize,
    pub(crate) batch_records: usize,
    pub(crate) batch_bytes: usize,
    /// Whether to hash the records, to know the page again.
    pub(crate) hashes: bool,
    /// Whether to keep the last record.
    pub(crate) keeps_last: bool,
}

impl Bounds {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            record_bytes: limits.record_bytes_max,
            envelope_bytes: limits.envelope_bytes_max,
            depth: limits.json_depth_max,
            batch_records: limits.batch_records_max.max(1),
            batch_bytes: limits.batch_bytes_max.max(1),
            hashes: false,
            keeps_last: false,
        }
    }

    /// A record is too large.
    pub(super) fn record_too_large(&self) -> Failure {
        let bound = format!("{} bytes", self.record_bytes);
        Failure::TooLarge { what: "a record", bound, hint: None }
    }

    /// Something is nested too deep.
    pub(super) fn too_deep(&self, what: &'static str) -> Failure {
        Failure::TooLarge { what, bound: format!("{} levels", self.depth), hint: None }
    }
}

/// The records of one page; see the module.
pub(super) struct Batches {
    pub(super) bounds: Bounds,
    batch: Vec<u8>,
    /// Where the record at hand begins.
    start: usize,
    spans: Vec<Range<usize>>,
    refused: Vec<Refused>,
    /// Bytes of what was refused.
    refused_bytes: usize,
    ready: VecDeque<Records>,
    records: u64,
    bytes: u64,
    hashes: Vec<u64>,
    last: Option<Bytes>,
}

impl Batches {
    pub(super) const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            batch: Vec::new(),
            start: 0,
            spans: Vec::new(),
            refused: Vec::new(),
            refused_bytes: 0,
            ready: VecDeque::new(),
            records: 0,
            bytes: 0,
            hashes: Vec::new(),
            last: None,
        }
    }

    /// The next full batch.
    pub(super) fn next(&mut self) -> Option<Records> {
        self.ready.pop_front()
    }

    /// How many records there are so far.
    pub(super) const fn count(&self) -> u64 {
        self.records
    }

    /// A record begins.
    pub(super) const fn begin(&mut self) {
        self.start = self.batch.len();
    }

    /// More of the record at hand.
    pub(super) fn extend(&mut self, run: &[u8]) -> Result<(), Failure> {
        self.batch.extend_from_slice(run);
        if self.batch.len() - self.start > self.bounds.record_bytes {
            return Err(self.bounds.record_too_large());
        }
        Ok(())
    }

    /// The record at hand is whole.
    pub(super) fn end(&mut self) {
        let span = self.start..self.batch.len();
        self.note(span.len(), |batches, hasher| hasher.write(&batches.batch[batches.start..]));
        self.spans.push(span);
        self.emit_full();
    }

    /// What stands in the place of a record and is none; it counts as one, because a page is as
    /// full with it.
    pub(super) fn refuse(&mut self, refused: Refused) -> Result<(), Failure> {
        if refused.text.len() > self.bounds.record_bytes {
            return Err(self.bounds.record_too_large());
        }
        self.note(refused.text.len(), |_, hasher| refused.text.hash(hasher));
        self.refused_bytes += refused.bytes();
        self.refused.push(refused);
        self.emit_full();
        Ok(())
    }

    /// Counts a record, and knows it again.
    fn note(&mut self, bytes: usize, hash: impl FnOnce(&Self, &mut DefaultHasher)) {
        self.records += 1;
        self.bytes += bytes as u64;
        if self.bounds.hashes && self.hashes.len() < HASHES_MAX {
            let mut hasher = DefaultHasher::new();
            hash(self, &mut hasher);
            self.hashes.push(hasher.finish());
        }
    }

    fn emit_full(&mut self) {
        if self.spans.len() + self.refused.len() >= self.bounds.batch_records
            || self.batch.len() + self.refused_bytes >= self.bounds.batch_bytes
        {
            self.emit();
        }
    }

    /// A whole record.
    pub(super) fn push(&mut self, record: &[u8]) -> Result<(), Failure> {
        self.begin();
        self.extend(record)?;
        self.end();
        Ok(())
    }

    fn emit(&mut self) {
        if self.spans.is_empty() && self.refused.is_empty() {
            return;
        }
        if self.bounds.keeps_last
            && let Some(last) = self.spans.last()
        {
            self.last = Some(Bytes::copy_from_slice(&self.batch[last.clone()]));
        }
        // The next batch is likely as large; growing to it would copy it several times over.
        let room = self.batch.len() + self.batch.len() / 8;
        let body = std::mem::replace(&mut self.batch, Vec::with_capacity(room));
        let room = self.spans.len();
        let spans = std::mem::replace(&mut self.spans, Vec::with_capacity(room));
        self.refused_bytes = 0;
        let refused = std::mem::take(&mut self.refused);
        self.ready.push_back(Records::new(body.into(), spans).with_refused(refused));
    }

    /// The last record, if the bounds say that it is kept.
    pub(super) fn last(&mut self) -> Option<Bytes> {
        self.emit();
        self.last.clone()
    }

    /// The end of the page.
    pub(super) fn finish(
        mut self,
        envelope: Value,
        is_root_record: bool,
    ) -> (PageEnd, VecDeque<Records>) {
        self.emit();
        let end = PageEnd {
            envelope,
            records: self.records,
            bytes: self.bytes,
            last: self.last,
            hashes: self.hashes,
            is_root_record,
        };
        (end, self.ready)
    }
}
