//! How many values a column has and which are the most frequent, in constant memory.
//!
//! In: hashes of values, one after the other. Out: counts that are exact while there are few
//! values, and honest estimates beyond: the number of different ones within about one percent
//! (HyperLogLog: Flajolet, Fusy, Gandouet, Meunier 2007), and the rows of the most frequent as a
//! number that is never too large (Misra, Gries 1982). Nothing of a value is kept but its hash.

use std::collections::{HashMap, HashSet};

/// Different values that are counted one by one.
const EXACT_MAX: usize = 4096;
/// Bits of a hash that choose a register: 16,384 registers of a byte.
const REGISTER_BITS: u32 = 14;
const REGISTERS: usize = 1 << REGISTER_BITS;
/// Values that may be the most frequent.
const CANDIDATES_MAX: usize = 512;

/// How many different values there are.
pub(crate) struct Distinct {
    exact: HashSet<u64>,
    registers: Option<Vec<u8>>,
}

impl Distinct {
    pub(crate) fn new() -> Self {
        Self { exact: HashSet::new(), registers: None }
    }

    pub(crate) fn add(&mut self, hash: u64) {
        if let Some(registers) = &mut self.registers {
            return register(registers, hash);
        }
        self.exact.insert(hash);
        if self.exact.len() > EXACT_MAX {
            let mut registers = vec![0; REGISTERS];
            self.exact.drain().for_each(|hash| register(&mut registers, hash));
            self.registers = Some(registers);
        }
    }

    /// The number, and whether it is exact.
    pub(crate) fn count(&self) -> (u64, bool) {
        let Some(registers) = &self.registers else { return (self.exact.len() as u64, true) };
        let size = REGISTERS as f64;
        let sum: f64 = registers.iter().map(|rank| (-f64::from(*rank)).exp2()).sum();
        let estimate = 0.7213 / (1.0 + 1.079 / size) * size * size / sum;
        let empty = registers.iter().filter(|rank| **rank == 0).count();
        let small = size * (size / empty as f64).ln();
        let chosen = if estimate <= 2.5 * size && empty > 0 { small } else { estimate };
        (chosen.round() as u64, false)
    }
}

fn register(registers: &mut [u8], hash: u64) {
    let mixed = mix(hash);
    let index = (mixed >> (64 - REGISTER_BITS)) as usize;
    let rank = (mixed << REGISTER_BITS).leading_zeros().min(64 - REGISTER_BITS) + 1;
    registers[index] = registers[index].max(rank as u8);
}

/// Spreads a hash over all bits (the finalizer of SplitMix64).
fn mix(hash: u64) -> u64 {
    let mut mixed = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A value that may be among the most frequent.
pub(crate) struct Candidate {
    pub(crate) rows: u64,
    /// The row of the current batch that has it, until its text is taken.
    row: Option<usize>,
    pub(crate) text: String,
}

/// The most frequent values.
#[derive(Default)]
pub(crate) struct Frequent {
    candidates: HashMap<u64, Candidate>,
    /// How much every count may be too small by.
    missed: u64,
}

impl Frequent {
    pub(crate) fn add(&mut self, hash: u64, row: usize) {
        if let Some(candidate) = self.candidates.get_mut(&hash) {
            candidate.rows += 1;
        } else if self.candidates.len() < CANDIDATES_MAX {
            let candidate = Candidate { rows: 1, row: Some(row), text: String::new() };
            self.candidates.insert(hash, candidate);
        } else {
            self.missed += 1;
            self.candidates.retain(|_, candidate| {
                candidate.rows -= 1;
                candidate.rows > 0
            });
        }
    }

    /// Takes the texts of the values that came with this batch and are still candidates.
    pub(crate) fn name<E>(&mut self, text: impl Fn(usize) -> Result<String, E>) -> Result<(), E> {
        for candidate in self.candidates.values_mut() {
            if let Some(row) = candidate.row.take() {
                candidate.text = text(row)?;
            }
        }
        Ok(())
    }

    /// The most frequent values with their rows, and whether the counts are exact. Values that may
    /// have come no oftener than others that are not among them are left out.
    pub(crate) fn top(self, values_max: usize) -> (Vec<Candidate>, bool) {
        let missed = self.missed;
        let mut all: Vec<Candidate> =
            self.candidates.into_values().filter(|candidate| candidate.rows > missed).collect();
        all.sort_by(|left, right| {
            right.rows.cmp(&left.rows).then_with(|| left.text.cmp(&right.text))
        });
        all.truncate(values_max);
        (all, missed == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_are_counted_and_many_estimated() {
        let mut distinct = Distinct::new();
        (0..3000).chain(0..3000).for_each(|value| distinct.add(value));
        assert_eq!(distinct.count(), (3000, true));
        for many in [10_000u64, 100_000, 1_000_000] {
            let mut distinct = Distinct::new();
            (0..many).for_each(|value| distinct.add(value));
            let (count, is_exact) = distinct.count();
            assert!(!is_exact && count.abs_diff(many) < many / 25, "{many}: {count}");
        }
    }

    #[test]
    fn the_most_frequent_survive_any_number_of_others() {
        let mut frequent = Frequent::default();
        for value in 0..100_000u64 {
            frequent.add(value + 10, 1);
            frequent.add(value % 2, 0);
        }
        frequent.name(|row| Ok::<_, ()>(row.to_string())).expect("texts");
        let (top, is_exact) = frequent.top(5);
        assert!(!is_exact);
        assert_eq!(top.len(), 2, "only what is surely more frequent");
        assert!(top.iter().all(|value| value.rows <= 50_000 && value.rows > 45_000));
    }
}
