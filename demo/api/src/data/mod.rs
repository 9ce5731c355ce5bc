//! The records: a project tracker and a web shop, as JSON text.
//!
//! In go the sizes, the seed, a collection and a position; out comes one record's JSON text. Each
//! record is a pure function of these, so nothing is stored, any page of any size costs the same,
//! and every machine computes the same bytes. No number passes through a float: decimals are
//! integers with a point put in (`json::Decimal`).
//!
//! The records are deliberately awkward where real ones are:
//!
//! | what | where |
//! | --- | --- |
//! | nested objects, two deep | `customers.address.geo`, `orders.shipping.address` |
//! | lists of objects | `orders.lines`, `issues.comments` |
//! | lists of scalars, often empty | `tags`, `labels` |
//! | a list that is always empty | `orders.discounts` |
//! | an object that is always empty | `customers.preferences`, `projects.settings` |
//! | null in every record | `archived_at`, `orders.cancelled_at` |
//! | null in some | `email`, `phone`, `geo`, `credit_limit`, `assignee`, `priority`, … |
//! | integers beyond 2^53 | `customers.serial` |
//! | integers beyond 64 bits | `orders.tracking_number` |
//! | more than 15 significant digits | `orders.ledger_amount` |
//! | RFC 3339 with Z and other offsets in one column | `created_at`, `updated_at`, `placed_at` |
//! | leading zeros that are not a number | `address.zip` |
//! | ids that are unique only below their parent | `issues.id` |

mod json;
mod random;
mod shop;
mod tracker;
mod words;

pub(crate) use json::Object;
pub(crate) use random::Random;
pub(crate) use shop::{Customer, created_stamp, customer_text};

use random::{Times, times};

/// A list of records, in the order of their ids, which count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collection {
    Projects,
    /// The issues of the project with this id.
    Issues(u64),
    Customers,
    Orders,
}

impl Collection {
    /// Its path below `/v1`.
    pub(crate) fn path(self) -> String {
        match self {
            Collection::Projects => "projects".to_owned(),
            Collection::Issues(project) => format!("projects/{project}/issues"),
            Collection::Customers => "customers".to_owned(),
            Collection::Orders => "orders".to_owned(),
        }
    }

    /// Whether it can be filtered by `updated_since`.
    pub(crate) fn has_updates(self) -> bool {
        matches!(self, Collection::Issues(_) | Collection::Orders)
    }

    /// Tells the collections' random numbers apart.
    fn salt(self) -> u64 {
        match self {
            Collection::Projects => 1,
            Collection::Customers => 2,
            Collection::Orders => 3,
            Collection::Issues(project) => 1_000 + project,
        }
    }
}

/// All records there are at the start.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) seed: u64,
    pub(crate) projects: u64,
    pub(crate) issues_per_project: u64,
    pub(crate) customers: u64,
    pub(crate) orders: u64,
}

impl Data {
    /// How many records a collection has; a project that is not there has no issues.
    pub(crate) fn total(&self, collection: Collection) -> u64 {
        match collection {
            Collection::Projects => self.projects,
            Collection::Issues(project) => self.issues_of(project),
            Collection::Customers => self.customers,
            Collection::Orders => self.orders,
        }
    }

    /// The record with this id, which must be from 1 to the total.
    pub(crate) fn record(&self, collection: Collection, id: u64) -> String {
        let mut random = self.random(collection, id);
        let times = self.times(collection, id);
        match collection {
            Collection::Projects => tracker::project(&mut random, times, id, self.issues_of(id)),
            Collection::Issues(_) => tracker::issue(&mut random, times, id),
            Collection::Customers => shop::customer(&mut random, times, id),
            Collection::Orders => shop::order(&mut random, times, id, self.customers),
        }
    }

    /// When the record with this id was last updated, in microseconds since 1970.
    pub(crate) fn updated_at(&self, collection: Collection, id: u64) -> i64 {
        self.times(collection, id).updated
    }

    fn issues_of(&self, project: u64) -> u64 {
        match project {
            1 if self.projects > 0 => self.issues_per_project,
            3.. if project <= self.projects => {
                let mut random = Random::new(self.seed, 9, project);
                random.below(self.issues_per_project + 1)
            }
            _ => 0,
        }
    }

    fn random(&self, collection: Collection, id: u64) -> Random {
        Random::new(self.seed, collection.salt(), id)
    }

    /// Times come from numbers of their own, so that a filter need not make whole records.
    fn times(&self, collection: Collection, id: u64) -> Times {
        times(&mut Random::new(!self.seed, collection.salt(), id))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const DATA: Data = Data {
        seed: 20_240_229,
        projects: 40,
        issues_per_project: 40,
        customers: 200,
        orders: 1000,
    };

    /// FNV-1a over every byte of every record.
    const EXPECTED: u64 = 0x51cf_340c_c064_2891;

    fn all(collection: Collection) -> Vec<String> {
        (1..=DATA.total(collection)).map(|id| DATA.record(collection, id)).collect()
    }

    fn everything() -> String {
        let mut text = all(Collection::Customers).join("\n");
        text += &all(Collection::Orders).join("\n");
        text += &all(Collection::Projects).join("\n");
        for project in 1..=DATA.projects {
            text += &all(Collection::Issues(project)).join("\n");
        }
        text
    }

    #[test]
    fn the_data_are_the_same_everywhere() {
        let check = everything().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        assert_eq!(check, EXPECTED, "the records changed; if that was meant, write {check:#x}");
    }

    #[test]
    fn every_record_is_json_with_its_id() {
        for collection in [Collection::Customers, Collection::Orders, Collection::Projects] {
            for (index, text) in all(collection).iter().enumerate() {
                let record: Value = serde_json::from_str(text).expect("a record is JSON");
                assert_eq!(record["id"], index as u64 + 1);
            }
        }
    }

    #[test]
    fn the_awkward_values_are_there() {
        let text = everything();
        for part in [
            "\"archived_at\":null",
            "\"cancelled_at\":null",
            "\"discounts\":[]",
            "\"preferences\":{}",
            ":9007199254740994,",
            ":18446744073709551617,",
            ":12345678901234568.89,",
            ":19.99",
            ":0.1,",
            ":1234567.89",
            "\"email\":null",
            "\"geo\":null",
            "\"assignee\":null",
            "\\n",
            "\\\"",
            "日本",
            "مرحبا",
            "👩‍💻",
            "e\u{301}",
            "Z\"",
            "+09:00\"",
            "+05:30\"",
            "-05:00\"",
        ] {
            assert!(text.contains(part), "no record has {part}");
        }
    }

    #[test]
    fn an_order_adds_up() {
        for text in all(Collection::Orders) {
            let order: Value = serde_json::from_str(&text).expect("a record is JSON");
            let cents = |value: &Value| (value.as_f64().expect("a number") * 100.0).round() as i64;
            let lines = order["lines"].as_array().expect("a list");
            let sum: i64 = lines
                .iter()
                .map(|line| line["quantity"].as_i64().expect("whole") * cents(&line["unit_price"]))
                .sum();
            assert_eq!(sum, cents(&order["total"]), "{text}");
        }
    }

    #[test]
    fn the_tracker_has_full_and_empty_projects() {
        assert_eq!(DATA.total(Collection::Issues(1)), 40);
        assert_eq!(DATA.total(Collection::Issues(2)), 0);
        assert_eq!(DATA.total(Collection::Issues(41)), 0);
        assert_eq!(DATA.total(Collection::Issues(0)), 0);
    }
}
