//! How a resource's records become rows: what is done to the rows that are there, which rows go,
//! what may change about the table, and how many records may be refused.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Key;
use crate::{Condition, Name};

/// What a sync does to the rows that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// The new rows take the place of the old when the walk is whole.
    #[default]
    Replace,
    /// The new rows are added.
    Append,
    /// A new row takes the place of the one with the same `key`; the others stay.
    Merge,
    /// As `merge`, but a row that changed or went is kept, with the time in which it held.
    History,
}

impl Load {
    /// Whether rows are told apart by `key`.
    pub fn needs_key(self) -> bool {
        matches!(self, Self::Merge | Self::History)
    }
}

/// Which rows go. With `load: history` they are closed and stay.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Deletes {
    /// A condition over the record: the row with its key goes, and the record does not land.
    pub when: Option<Condition>,
    /// Rows go whose key a whole walk did not meet.
    pub absent: bool,
    /// The largest part of the table that may go because it is absent, from 0 to 1; 0.2 without
    /// it. Where more is absent the resource fails, and nothing goes.
    pub max_fraction: Option<f64>,
    /// A resource of the same api that lists keys: the rows that have them go. It is synced first,
    /// and each of its rows counts once.
    pub resource: Option<Name>,
    /// The fields of that resource that hold the key, in its order; those of the same names
    /// without it.
    pub key: Option<Key>,
}

/// What may change about a table that has rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Contract {
    /// What a field does that is no column yet.
    pub columns: ColumnRule,
    /// What a value does that does not fit its column.
    pub types: TypeRule,
}

/// What a field does that is no column yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnRule {
    /// It becomes one.
    #[default]
    Evolve,
    /// The resource fails, and nothing of it lands.
    Freeze,
    /// Its record is put among the rejects.
    Reject,
}

/// What a value does that does not fit its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TypeRule {
    /// The column widens.
    #[default]
    Widen,
    /// The resource fails, and nothing of it lands.
    Freeze,
    /// Its record is put among the rejects.
    Reject,
}

/// How many records may be put among the rejects before the resource fails.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum MaxRejects {
    /// So many.
    Count(u64),
    /// Such a part of all records.
    Share(Percent),
}

impl Default for MaxRejects {
    fn default() -> Self {
        Self::Share(Percent(10.0))
    }
}

impl MaxRejects {
    /// Whether so many of all `records` are allowed.
    pub fn allows(self, rejected: u64, records: u64) -> bool {
        match self {
            Self::Count(most) => rejected <= most,
            Self::Share(Percent(most)) => rejected as f64 * 100.0 <= records as f64 * most,
        }
    }
}

impl fmt::Display for MaxRejects {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(most) => most.fmt(formatter),
            Self::Share(most) => most.fmt(formatter),
        }
    }
}

/// A part of a hundred: `0.5%`, `10%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percent(pub f64);

/// A text that is not a percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a percentage: write a number from 0 to 100 and `%`, as in `1%`")]
pub struct InvalidPercent(pub String);

impl FromStr for Percent {
    type Err = InvalidPercent;

    fn from_str(text: &str) -> Result<Self, InvalidPercent> {
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
        let fits = |number: &f64| (0.0..=100.0).contains(number);
        number.filter(fits).map(Self).ok_or_else(|| InvalidPercent(text.to_owned()))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}%", self.0)
    }
}

impl Serialize for Percent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Percent {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "percent" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_are_allowed_up_to_a_count_or_a_part() {
        let share = MaxRejects::Share("1%".parse().expect("a percentage"));
        assert!(share.allows(1, 100) && !share.allows(2, 100) && share.allows(0, 0));
        assert!(MaxRejects::Count(2).allows(2, 2) && !MaxRejects::Count(0).allows(1, 100));
        for text in ["1", "%", "-1%", "101%", "x%"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }
}
