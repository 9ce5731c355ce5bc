//! The sieve of an incremental sync: which records are new, and how far they reach.
//!
//! In: the records of a walk, and what landed before. Out: a yes or no for each, and the highest
//! cursor among them. An api that is asked for what changed since a value answers with that value
//! too, so rows at the border would land twice when they are added. What landed there is remembered
//! by hash, up to a bound; beyond it the sync says what to do instead of guessing. Where rows are
//! merged by their key, or the upper bound lies in the past, nothing needs to be remembered.
//!
//! What never happens here: a record dropped because its cursor is missing or unreadable. It is
//! landed and counted, and does not move the cursor.

use std::collections::BTreeSet;

use restway_model::definition::Incremental;
use restway_model::{Cursor, RecordPath};

use super::field::find;

/// Records with the highest cursor that are told apart by hash.
pub(super) const BORDER_MAX: usize = 10_000;

/// What the records of a walk were, beside new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sifted {
    /// Landed without a cursor.
    pub(super) without: u64,
    /// Landed with one that does not fit its format.
    pub(super) unreadable: u64,
    /// Left out: landed before.
    pub(super) known: u64,
    /// Left out: beyond the bound, for the next sync.
    pub(super) later: u64,
}

impl Sifted {
    pub(super) fn add(&mut self, other: Self) {
        self.without += other.without;
        self.unreadable += other.unreadable;
        self.known += other.known;
        self.later += other.later;
    }
}

/// The highest cursor so far, and the records that have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Highest {
    pub(super) cursor: Option<Cursor>,
    pub(super) at: BTreeSet<u128>,
    /// Whether more records have it than are remembered.
    pub(super) is_full: bool,
}

/// Sifts the records of one walk.
pub(super) struct Sieve<'a> {
    incremental: &'a Incremental,
    /// Where the parts of the key stand in a record.
    key: Vec<RecordPath>,
    /// Whether what landed before must not land again.
    is_exact: bool,
    /// What lies before has landed; and of what lies here, these.
    pub(super) low: Highest,
    /// What does not lie before this waits for the next walk.
    pub(super) bound: Option<Cursor>,
    pub(super) highest: Highest,
    pub(super) sifted: Sifted,
}

impl<'a> Sieve<'a> {
    pub(super) fn new(
        incremental: &'a Incremental,
        key: Vec<RecordPath>,
        is_exact: bool,
        low: Highest,
        bound: Option<Cursor>,
    ) -> Self {
        let (highest, sifted) = (Highest::default(), Sifted::default());
        Self { incremental, key, is_exact, low, bound, highest, sifted }
    }

    pub(super) const fn incremental(&self) -> &'a Incremental {
        self.incremental
    }

    /// Whether the record is to be landed.
    pub(super) fn takes(&mut self, record: &[u8]) -> bool {
        let json = find(record, self.incremental.cursor.steps());
        let Some(json) = json.filter(|json| *json != "null") else {
            self.sifted.without += 1;
            return true;
        };
        let Some(cursor) = self.incremental.send.format.read_json(json) else {
            self.sifted.unreadable += 1;
            return true;
        };
        if self.bound.as_ref().is_some_and(|bound| !cursor.is_before(bound)) {
            self.sifted.later += 1;
            return false;
        }
        if self.is_exact && self.is_known(&cursor, record) {
            self.sifted.known += 1;
            return false;
        }
        self.rise(cursor, record);
        true
    }

    fn is_known(&self, cursor: &Cursor, record: &[u8]) -> bool {
        let Some(low) = &self.low.cursor else { return false };
        if cursor.is_before(low) {
            return true;
        }
        let is_border = !low.is_before(cursor) && !self.low.at.is_empty();
        is_border && self.low.at.contains(&self.identity(record))
    }

    fn rise(&mut self, cursor: Cursor, record: &[u8]) {
        match &self.highest.cursor {
            Some(highest) if cursor.is_before(highest) => return,
            Some(highest) if !highest.is_before(&cursor) => {}
            _ => self.highest = Highest { cursor: Some(cursor), ..Highest::default() },
        }
        if self.is_exact && self.bound.is_none() && !self.highest.is_full {
            let identity = self.identity(record);
            self.highest.at.insert(identity);
            self.highest.is_full = self.highest.at.len() > BORDER_MAX;
        }
    }

    /// The key's values; the whole record where one of them is missing or null.
    fn identity(&self, record: &[u8]) -> u128 {
        let mut hash = Hash::default();
        for field in &self.key {
            match find(record, field.steps()).filter(|value| *value != "null") {
                Some(value) => hash.add(value.as_bytes()),
                None => return Hash::of(record),
            }
        }
        if self.key.is_empty() { Hash::of(record) } else { hash.0 }
    }

    /// How far everything has landed once the walk is whole.
    pub(super) fn reached(self) -> Highest {
        if let Some(bound) = self.bound {
            let is_behind = self.low.cursor.as_ref().is_some_and(|low| bound.is_before(low));
            return match is_behind {
                true => self.low,
                false => Highest { cursor: Some(bound), ..Highest::default() },
            };
        }
        match (&self.low.cursor, &self.highest.cursor) {
            (Some(low), Some(highest)) if !low.is_before(highest) => {
                let mut low = self.low;
                low.at.extend(self.highest.at);
                low.is_full = low.at.len() > BORDER_MAX;
                low
            }
            (Some(_), None) => self.low,
            _ => self.highest,
        }
    }
}

/// FNV-1a with 128 bits: the same in every version, because it is kept.
pub(super) struct Hash(pub(super) u128);

impl Default for Hash {
    fn default() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }
}

impl Hash {
    fn of(record: &[u8]) -> u128 {
        let mut hash = Self::default();
        hash.add(record);
        hash.0
    }

    /// Adds bytes, and their end.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        for byte in bytes.iter().copied().chain([0xff]) {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(PRIME);
        }
    }
}

#[cfg(test)]
mod tests {
    use restway_model::definition::SendCursor;

    use super::*;

    fn incremental() -> Incremental {
        let send = SendCursor { format: "int".parse().expect("a format"), ..Default::default() };
        let cursor = "v".parse().expect("a path");
        let (lookback, settle, window, scope) = (None, None, None, None);
        Incremental { cursor, send, start: None, lookback, settle, window, scope }
    }

    fn sift(low: Highest, bound: Option<&str>, records: &[&str]) -> (Vec<bool>, Highest, Sifted) {
        let incremental = incremental();
        let bound = bound.and_then(|bound| incremental.send.format.read(bound));
        let key = vec!["id".parse().expect("a path")];
        let mut sieve = Sieve::new(&incremental, key, true, low, bound);
        let taken = records.iter().map(|record| sieve.takes(record.as_bytes())).collect();
        let sifted = sieve.sifted;
        (taken, sieve.reached(), sifted)
    }

    #[test]
    fn a_key_is_every_part_of_it_or_the_whole_record() {
        let incremental = incremental();
        let known = |key: &[&str], first: &str, second: &str| {
            let key = || key.iter().map(|field| field.parse().expect("a path")).collect();
            let mut sieve = Sieve::new(&incremental, key(), true, Highest::default(), None);
            assert!(sieve.takes(first.as_bytes()));
            let low = sieve.reached();
            !Sieve::new(&incremental, key(), true, low, None).takes(second.as_bytes())
        };
        let nested = ["owner.id", "kind"];
        let of = |owner: &str| format!(r#"{{"owner":{{"id":{owner}}},"kind":"a","v":7}}"#);
        assert!(!known(&nested, &of("1"), &of("2")));
        assert!(known(&nested, &of("1"), &of("1")));
        assert!(!known(&["id"], r#"{"id":null,"v":7,"w":1}"#, r#"{"id":null,"v":7,"w":2}"#));
        assert!(known(&["id"], r#"{"id":1,"v":7,"w":1}"#, r#"{"id":1,"v":7,"w":2}"#));
    }

    #[test]
    fn rows_at_the_border_land_once_and_their_equals_later() {
        let first = [r#"{"id":1,"v":5}"#, r#"{"id":2,"v":7}"#, r#"{"id":3,"v":7}"#];
        let (taken, reached, _) = sift(Highest::default(), None, &first);
        assert_eq!(taken, [true; 3]);
        assert_eq!((reached.cursor.clone(), reached.at.len()), (Some(cursor("7")), 2));
        let second = [r#"{"id":2,"v":7,"x":1}"#, r#"{"id":4,"v":7}"#, r#"{"id":1,"v":5}"#];
        let (taken, reached, sifted) = sift(reached, None, &second);
        assert_eq!(taken, [false, true, false]);
        assert_eq!((reached.at.len(), sifted.known), (3, 2));
        let (_, reached, _) = sift(reached, None, &[r#"{"id":4,"v":8}"#]);
        assert_eq!((reached.cursor, reached.at.len()), (Some(cursor("8")), 1));
    }

    #[test]
    fn what_has_no_cursor_lands_and_what_lies_beyond_the_bound_waits() {
        let records = [
            r#"{"id":1}"#,
            r#"{"id":2,"v":null}"#,
            r#"{"id":3,"v":"x"}"#,
            r#"{"id":4,"v":9}"#,
            r#"{"id":5,"v":10}"#,
        ];
        let (taken, reached, sifted) = sift(Highest::default(), Some("10"), &records);
        assert_eq!(taken, [true, true, true, true, false]);
        assert_eq!(sifted, Sifted { without: 2, unreadable: 1, known: 0, later: 1 });
        assert_eq!(reached, Highest { cursor: Some(cursor("10")), ..Highest::default() });
    }

    #[test]
    fn more_rows_at_the_border_than_are_remembered_are_told() {
        let records: Vec<String> =
            (0..=BORDER_MAX).map(|id| format!(r#"{{"id":{id},"v":1}}"#)).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        let (_, reached, _) = sift(Highest::default(), None, &records);
        assert!(reached.is_full);
        let (_, reached, _) =
            sift(Highest::default(), None, &[&records[..], &[r#"{"v":2}"#]].concat());
        assert!(!reached.is_full && reached.at.len() == 1);
    }

    fn cursor(text: &str) -> Cursor {
        incremental().send.format.read(text).expect(text)
    }
}
