//! Records on their way from an answer's bytes to a table's columns.

use std::ops::Range;

use bytes::Bytes;

/// Some records of one answer: the bytes as they came, and where each record lies in them.
///
/// The reader of answers finds the bounds without building values; the shaper of tables parses
/// each record once, straight into columns. Cloning shares the bytes.
#[derive(Debug, Clone, Default)]
pub struct Records {
    body: Bytes,
    spans: Vec<Range<usize>>,
}

impl Records {
    /// Bytes and the spans of complete JSON values in them, in order, not overlapping.
    pub fn new(body: Bytes, spans: Vec<Range<usize>>) -> Self {
        debug_assert!(spans.iter().all(|span| span.start <= span.end && span.end <= body.len()));
        Self { body, spans }
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of the records themselves.
    pub fn bytes(&self) -> usize {
        self.spans.iter().map(Range::len).sum()
    }

    /// The first `count` of them.
    #[must_use]
    pub fn first(mut self, count: usize) -> Self {
        self.spans.truncate(count);
        self
    }

    /// Leaves out the records for which `keep` says no.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        let body = &self.body;
        self.spans.retain(|span| keep(&body[span.clone()]));
    }

    /// The JSON text of each record, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.spans.iter().map(|span| &self.body[span.clone()])
    }
}
