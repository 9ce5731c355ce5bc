//! Records on their way from an answer's bytes to a table's columns.

use std::ops::Range;

use bytes::Bytes;

/// Some records of one answer: the bytes as they came, and where each record lies in them.
///
/// The reader of answers finds the bounds without building values; the shaper of tables parses
/// each record once, straight into columns. What stands in the place of a record and is none goes
/// with them, so that it is put among the rejects and counted. Cloning shares the bytes.
#[derive(Debug, Clone, Default)]
pub struct Records {
    body: Bytes,
    spans: Vec<Range<usize>>,
    refused: Vec<Refused>,
}

/// A line of an answer that should be a record and is none, where the others can be told without
/// it: a row of CSV with more or fewer fields than names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Refused {
    /// The line that it begins on, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: String,
    /// The line as it came.
    pub text: String,
}

impl Refused {
    /// Its bytes.
    pub fn bytes(&self) -> usize {
        self.problem.len() + self.text.len()
    }
}

impl Records {
    /// Bytes and the spans of complete JSON values in them, in order, not overlapping.
    pub fn new(body: Bytes, spans: Vec<Range<usize>>) -> Self {
        debug_assert!(spans.iter().all(|span| span.start <= span.end && span.end <= body.len()));
        Self { body, spans, refused: Vec::new() }
    }

    /// Texts that are each one complete JSON value, one behind the other.
    pub fn of_texts(texts: &[String]) -> Self {
        let mut spans = Vec::with_capacity(texts.len());
        let mut start = 0;
        for text in texts {
            spans.push(start..start + text.len());
            start += text.len();
        }
        Self::new(Bytes::from(texts.concat()), spans)
    }

    /// The same records, and what was refused among them.
    #[must_use]
    pub fn with_refused(mut self, refused: Vec<Refused>) -> Self {
        self.refused = refused;
        self
    }

    /// How many records, with those that were refused.
    pub fn len(&self) -> usize {
        self.spans.len() + self.refused.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the records themselves.
    pub fn bytes(&self) -> usize {
        let refused: usize = self.refused.iter().map(Refused::bytes).sum();
        self.spans.iter().map(Range::len).sum::<usize>() + refused
    }

    /// The first `count` of them.
    #[must_use]
    pub fn first(mut self, count: usize) -> Self {
        self.spans.truncate(count);
        self.refused.truncate(count - self.spans.len());
        self
    }

    /// What was refused, in order.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
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
