//! Numbers that look random and are the same on every machine: splitmix64.
//!
//! In go the seed, the collection and the id; out comes a stream of numbers for that one record.
//! Integer arithmetic only. Not for anything secret: access tokens are made elsewhere.

use chrono::{DateTime, Days, FixedOffset, NaiveDate, SecondsFormat};

/// The first instant of the data, 2024-01-01T00:00:00Z, in seconds since 1970.
const START: i64 = 1_704_067_200;
/// The last instant of the data, 2026-06-30T00:00:00Z, in seconds since 1970.
pub(crate) const END: i64 = 1_782_777_600;

/// One record's stream of numbers.
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64, salt: u64, id: u64) -> Random {
        let mut random = Random { state: seed };
        random.state = random.next() ^ salt;
        random.state = random.next() ^ id;
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which must not be zero. The bias is far below what anyone can see.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1).unsigned_abs()).cast_signed()
    }

    /// True once in `bound` times.
    pub(crate) fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Like `pick`, but the earlier choices come more often, as in real data.
    pub(crate) fn pick_early<T: Copy>(&mut self, choices: &[T]) -> T {
        let bound = choices.len() as u64;
        choices[self.below(bound).min(self.below(bound)) as usize]
    }

    /// Up to `most` different choices, in their order.
    pub(crate) fn some<T: Copy>(&mut self, choices: &[T], most: u64) -> Vec<T> {
        let mut left = self.below(most + 1);
        let mut chosen = Vec::new();
        for (index, choice) in choices.iter().enumerate() {
            let rest = (choices.len() - index) as u64;
            if self.below(rest) < left {
                chosen.push(*choice);
                left -= 1;
            }
        }
        chosen
    }

    /// A plain date within the data's years.
    pub(crate) fn date(&mut self) -> String {
        date(NaiveDate::from_ymd_opt(2024, 1, 1), self.below(900))
    }

    /// A plain date on which a person may have been born.
    pub(crate) fn birthday(&mut self) -> String {
        date(NaiveDate::from_ymd_opt(1950, 1, 1), self.below(20_000))
    }

    /// An instant as RFC 3339 text, in one of the offsets that the data mix.
    pub(crate) fn stamp(&mut self, micros: i64) -> String {
        let minutes = self.pick_early(&[0, 0, 9 * 60, -5 * 60, 5 * 60 + 30, 2 * 60]);
        let zulu = !self.one_in(4);
        let offset = FixedOffset::east_opt(minutes * 60).expect("offsets are below a day");
        let instant = DateTime::from_timestamp_micros(micros).expect("the data's years exist");
        instant.with_timezone(&offset).to_rfc3339_opts(SecondsFormat::AutoSi, zulu)
    }
}

/// When a record was made and last changed, in microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) created: i64,
    pub(crate) updated: i64,
}

pub(crate) fn times(random: &mut Random) -> Times {
    let created = random.between(START, END);
    let updated = random.between(created, END);
    // Some systems write whole seconds, some milliseconds, some microseconds; ours does all three.
    let fraction = match random.below(4) {
        0 | 1 => 0,
        2 => random.between(1, 999) * 1_000,
        _ => random.between(1, 999_999),
    };
    Times { created: created * 1_000_000, updated: updated * 1_000_000 + fraction }
}

fn date(first: Option<NaiveDate>, days: u64) -> String {
    let first = first.expect("the first of January is in every year");
    (first + Days::new(days)).format("%Y-%m-%d").to_string()
}
