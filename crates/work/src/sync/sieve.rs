//! The sieve of an incremental sync: which records are new, and how far they reach.
//!
//! In: the records of a walk, and what landed before. Out: a yes or no for each, and the highest
//! cursor among them. An api that is asked for what changed since a value answers with that value
//! too, so rows at the border would land twice when they are added. What landed there is remembered
//! by hash, up to a bound; beyond it the sync says what to do instead of guessing. Where rows are
//! merged by their key, or the upper bound lies in the past, nothing needs to be remembered. A
//! cursor beyond the present moves nothing: one wrong date would hide all that comes before it.
//!
//! What never happens here: a record dropped because its cursor is missing or unreadable. It is
//! landed and counted, and does not move the cursor.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use restway_model::definition::Incremental;
use restway_model::{Cursor, RecordPath};

use super::field::find;

/// Records with the highest cursor that are told apart by hash.
pub(super) const BORDER_MAX: usize = 10_000;

/// Hashes of them: two for each, of its key and of all of it.
const HASHES_MAX: usize = 2 * BORDER_MAX;

/// What the records of a walk were, beside new.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sifted {
    /// Landed without a cursor.
    pub(super) without: u64,
    /// Landed with one that does not fit its format.
    pub(super) unreadable: u64,
    /// With one beyond the present.
    pub(super) ahead: u64,
    /// The farthest of them.
    pub(super) farthest: Option<Cursor>,
    /// Left out: landed before.
    pub(super) known: u64,
    /// Left out: before the cursor, whether they landed once or came late.
    pub(super) before: u64,
    /// Left out: beyond the bound, for the next sync.
    pub(super) later: u64,
}

impl Sifted {
    pub(super) fn add(&mut self, other: Self) {
        self.without += other.without;
        self.unreadable += other.unreadable;
        self.ahead += other.ahead;
        self.known += other.known;
        self.before += other.before;
        self.later += other.later;
        if let Some(farthest) = other.farthest {
            self.meets(farthest);
        }
    }

    fn meets(&mut self, ahead: Cursor) {
        if self.farthest.as_ref().is_none_or(|farthest| farthest.is_before(&ahead)) {
            self.farthest = Some(ahead);
        }
    }
}

/// The highest cursor so far, and the records that have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Highest {
    pub(super) cursor: Option<Cursor>,
    pub(super) at: BTreeSet<u128>,
    /// Records beyond the present that landed and moved no cursor.
    pub(super) ahead: BTreeSet<u128>,
    /// Whether some that have it are forgotten.
    pub(super) is_cut: bool,
}

impl Highest {
    /// Whether there are more records than are remembered.
    pub(super) fn is_full(&self) -> bool {
        self.is_cut || self.at.len() > HASHES_MAX || self.ahead.len() > BORDER_MAX
    }
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
    /// What lies beyond this does not move the cursor.
    pub(super) present: Option<DateTime<Utc>>,
    pub(super) highest: Highest,
    /// The last record with the highest cursor, whose hashes are made when they are asked for.
    edge: Vec<u8>,
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
        let (highest, edge, sifted) = (Highest::default(), Vec::new(), Sifted::default());
        let present = None;
        Self { incremental, key, is_exact, low, bound, present, highest, edge, sifted }
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
        if self.is_ahead(&cursor) {
            return self.takes_ahead(cursor, record);
        }
        if !self.is_exact {
            self.rise(cursor, record);
            return true;
        }
        if self.low.cursor.as_ref().is_some_and(|low| cursor.is_before(low)) {
            self.sifted.before += 1;
            return false;
        }
        // One that landed when it lay beyond the present moves the cursor now.
        let was_ahead = !self.low.ahead.is_empty() && self.low.ahead.contains(&Hash::of(record));
        let is_known = was_ahead || self.is_at_border(&cursor, record);
        self.sifted.known += u64::from(is_known);
        if was_ahead || !is_known {
            self.rise(cursor, record);
        }
        !is_known
    }

    fn is_ahead(&self, cursor: &Cursor) -> bool {
        self.present.zip(cursor.instant()).is_some_and(|(present, at)| at > present)
    }

    fn takes_ahead(&mut self, cursor: Cursor, record: &[u8]) -> bool {
        self.sifted.ahead += 1;
        self.sifted.meets(cursor);
        if !self.is_exact {
            return true;
        }
        let hash = Hash::of(record);
        if self.highest.ahead.len() <= BORDER_MAX {
            self.highest.ahead.insert(hash);
        }
        let is_known = self.low.ahead.contains(&hash);
        self.sifted.known += u64::from(is_known);
        !is_known
    }

    fn is_at_border(&self, cursor: &Cursor, record: &[u8]) -> bool {
        let is_border = self.low.cursor.as_ref().is_some_and(|low| !low.is_before(cursor));
        if !is_border || self.low.at.is_empty() {
            return false;
        }
        // All of it as well, because the key may have been another when it landed.
        self.low.at.contains(&self.identity(record)) || self.low.at.contains(&Hash::of(record))
    }

    fn rise(&mut self, cursor: Cursor, record: &[u8]) {
        match &self.highest.cursor {
            Some(highest) if cursor.is_before(highest) => return,
            Some(highest) if !highest.is_before(&cursor) => self.hash_edge(),
            _ => {
                self.highest.cursor = Some(cursor);
                self.highest.at.clear();
            }
        }
        self.edge.clear();
        if self.bound.is_none() && self.highest.at.len() <= HASHES_MAX {
            self.edge.extend_from_slice(record);
        }
    }

    /// Remembers the last record with the highest cursor. Also rows that are merged are, because
    /// they may be added one day.
    fn hash_edge(&mut self) {
        if self.edge.is_empty() {
            return;
        }
        let record = std::mem::take(&mut self.edge);
        self.highest.at.extend([self.identity(&record), Hash::of(&record)]);
        self.edge = record;
        self.edge.clear();
    }

    /// The highest cursor and the records that have it.
    pub(super) fn highest(&mut self) -> &Highest {
        self.hash_edge();
        &self.highest
    }

    /// Whether nobody could go on from here: a row would land twice.
    pub(super) fn is_lost(&self) -> bool {
        self.is_exact && self.highest.is_full()
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
    pub(super) fn reached(mut self) -> Highest {
        self.hash_edge();
        if let Some(bound) = self.bound {
            let is_behind = self.low.cursor.as_ref().is_some_and(|low| bound.is_before(low));
            return match is_behind {
                true => self.low,
                false => {
                    let ahead = self.low.ahead;
                    Highest { cursor: Some(bound), ahead, ..Highest::default() }
                }
            };
        }
        let ahead = std::mem::take(&mut self.highest.ahead);
        let reached = match (&self.low.cursor, &self.highest.cursor) {
            (Some(low), Some(highest)) if !low.is_before(highest) => {
                let mut low = self.low;
                low.at.extend(self.highest.at);
                low
            }
            (Some(_), None) => self.low,
            _ => self.highest,
        };
        Highest { ahead, ..reached }
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
        Incremental { cursor, send, start: None, lookback, settle, future: false, window, scope }
    }

    fn sift(low: Highest, bound: Option<&str>, records: &[&str]) -> (Vec<bool>, Highest, Sifted) {
        let incremental = incremental();
        let bound = bound.and_then(|bound| incremental.send.format.read(bound));
        let key = vec!["id".parse().expect("a path")];
        let mut sieve = Sieve::new(&incremental, key, true, low, bound);
        let taken = records.iter().map(|record| sieve.takes(record.as_bytes())).collect();
        let sifted = sieve.sifted.clone();
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
        assert_eq!((reached.cursor.clone(), reached.at.len()), (Some(cursor("7")), 4));
        let second = [r#"{"id":2,"v":7,"x":1}"#, r#"{"id":4,"v":7}"#, r#"{"id":1,"v":5}"#];
        let (taken, reached, sifted) = sift(reached, None, &second);
        assert_eq!(taken, [false, true, false]);
        assert_eq!((reached.at.len(), sifted.known, sifted.before), (6, 1, 1));
        let (_, reached, _) = sift(reached, None, &[r#"{"id":4,"v":8}"#]);
        assert_eq!((reached.cursor, reached.at.len()), (Some(cursor("8")), 2));
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
        assert_eq!(sifted, Sifted { without: 2, unreadable: 1, later: 1, ..Sifted::default() });
        assert_eq!(reached, Highest { cursor: Some(cursor("10")), ..Highest::default() });
    }

    #[test]
    fn more_rows_at_the_border_than_are_remembered_are_told() {
        let records: Vec<String> =
            (0..=BORDER_MAX).map(|id| format!(r#"{{"id":{id},"v":1}}"#)).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        let (_, reached, _) = sift(Highest::default(), None, &records);
        assert!(reached.is_full());
        let (_, reached, _) =
            sift(Highest::default(), None, &[&records[..], &[r#"{"v":2}"#]].concat());
        assert!(!reached.is_full() && reached.at.len() == 1);
    }

    fn cursor(text: &str) -> Cursor {
        incremental().send.format.read(text).expect(text)
    }
}
