//! Values to search for, all at once.
//!
//! In: values one by one, and texts. Out: where in a text each of them is. A text is read once,
//! however many values there are: the last bytes before each place are a key, and a table of bits
//! says of most keys that no value ends with them. The ends are looked at because many values of
//! one kind begin alike, and few end so.
//!
//! The number of values is bounded. They stand in two generations: a value that is added, or added
//! again, is of the younger; when that is full the older one goes and it becomes the older one. So
//! at least half of the bound is kept of what was used last.

use std::collections::HashMap;
use std::ops::Range;

use crate::Secret;

/// Shorter values are not kept.
pub(crate) const SHORTEST: usize = 6;
/// Bits of the table that tells most places apart from ends of values.
const TABLE_BITS: u32 = 16;
const WORD_BITS: u64 = 64;

/// The last bytes of a value, as a number.
type End = u64;

/// Values; see the module.
pub(crate) struct Learned {
    young: Generation,
    old: Generation,
    half: usize,
}

#[derive(Default)]
struct Generation {
    by_end: HashMap<End, Vec<Secret>>,
    /// For each value the bit of its end; empty as long as there are no values.
    ends: Vec<u64>,
    count: usize,
}

impl Learned {
    /// At most so many values.
    pub(crate) fn new(most: usize) -> Self {
        Self { young: Generation::default(), old: Generation::default(), half: (most / 2).max(1) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.young.count + self.old.count == 0
    }

    /// Adds a value, or says that it was used again; one that is too short is not kept.
    pub(crate) fn add(&mut self, value: &Secret) {
        let Some(end) = end(value.expose().as_bytes()) else { return };
        if self.young.has(end, value) {
            return;
        }
        if self.young.count >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.add(end, value.clone());
    }

    /// Adds the place of each value in the text.
    pub(crate) fn find(&self, text: &[u8], found: &mut Vec<Range<usize>>) {
        for generation in [&self.young, &self.old] {
            if generation.count > 0 {
                generation.find(text, found);
            }
        }
    }
}

impl Generation {
    fn has(&self, end: End, value: &Secret) -> bool {
        self.by_end.get(&end).is_some_and(|values| values.contains(value))
    }

    fn add(&mut self, end: End, value: Secret) {
        let (word, bit) = place(end);
        if self.ends.is_empty() {
            self.ends = vec![0; 1 << (TABLE_BITS - WORD_BITS.ilog2())];
        }
        if let Some(bits) = self.ends.get_mut(word) {
            *bits |= bit;
        }
        self.by_end.entry(end).or_default().push(value);
        self.count += 1;
    }

    fn find(&self, text: &[u8], found: &mut Vec<Range<usize>>) {
        let mut key: End = 0;
        for (at, byte) in text.iter().enumerate() {
            key = next(key, *byte);
            let (word, bit) = place(key);
            if self.ends.get(word).is_none_or(|bits| bits & bit == 0) || at + 1 < SHORTEST {
                continue;
            }
            let before = text.get(..=at).unwrap_or_default();
            let values = self.by_end.get(&key).map(Vec::as_slice).unwrap_or_default();
            let ends = values.iter().map(|value| value.expose().as_bytes());
            let ends = ends.filter(|value| before.ends_with(value));
            found.extend(ends.map(|value| at + 1 - value.len()..at + 1));
        }
    }
}

/// The key of the last bytes with one more byte.
fn next(key: End, byte: u8) -> End {
    key >> 8 | End::from(byte) << (8 * (SHORTEST - 1))
}

fn end(value: &[u8]) -> Option<End> {
    let start = value.len().checked_sub(SHORTEST)?;
    Some(value.get(start..)?.iter().fold(0, |key, byte| next(key, *byte)))
}

/// Where a key's bit is: the word, and the bit in it. The factor spreads keys that differ little
/// (2^64 divided by the golden ratio).
fn place(key: End) -> (usize, u64) {
    let spread = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - TABLE_BITS);
    (usize::try_from(spread / WORD_BITS).unwrap_or(0), 1 << (spread % WORD_BITS))
}
