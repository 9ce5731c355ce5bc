//! Durations and rates as people write them: `10m`, `5000/h`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Unit names and their length in milliseconds, largest first.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// What part of a rate's time its calls may drift on their way.
const JITTER_PART: u32 = 50;
/// The longest drift that is reckoned with.
const JITTER_MAX: Duration = Duration::from_secs(1);

/// A length of time with its unit: `500ms`, `1s`, `10m`, `2h`, `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timespan(pub Duration);

/// So many times per length of time: `10/s`, `5000/h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub count: u32,
    /// In which time.
    pub per: Duration,
}

impl Rate {
    /// How long a call counts: a little longer than `per`, because the api counts calls when they
    /// arrive, and not all are equally long on their way.
    pub fn window(&self) -> Duration {
        self.per + (self.per / JITTER_PART).min(JITTER_MAX)
    }
}

/// A text without a usable number and unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUnit {
    /// Not a length of time.
    #[error(
        "`{0}` is not a length of time: write a whole number and ms, s, m, h or d, as in `10m`"
    )]
    Timespan(String),
    /// Not a rate.
    #[error("`{0}` is not a rate: write a whole number, `/` and s, m, h or d, as in `5000/h`")]
    Rate(String),
}

impl FromStr for Timespan {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let invalid = || InvalidUnit::Timespan(text.to_owned());
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
        let count: u64 = text[..digits].parse().map_err(|_| invalid())?;
        let unit = unit_millis(&text[digits..]).ok_or_else(invalid)?;
        count
            .checked_mul(unit)
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(invalid)
    }
}

impl FromStr for Rate {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let invalid = || InvalidUnit::Rate(text.to_owned());
        let (count, unit) = text.split_once('/').ok_or_else(invalid)?;
        let count: u32 = count.trim().parse().map_err(|_| invalid())?;
        let unit = unit_millis(unit.trim()).filter(|_| count > 0).ok_or_else(invalid)?;
        Ok(Self { count, per: Duration::from_millis(unit) })
    }
}

fn unit_millis(unit: &str) -> Option<u64> {
    UNITS.iter().find(|(name, _)| *name == unit).map(|(_, millis)| *millis)
}

impl fmt::Display for Timespan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let fits = |(_, length): &&(&str, u64)| millis != 0 && millis % length == 0;
        match UNITS.iter().find(fits) {
            Some((unit, length)) => write!(formatter, "{}{unit}", millis / length),
            None => formatter.write_str("0s"),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.per.as_millis();
        let unit = UNITS.iter().find(|(_, length)| u128::from(*length) == millis);
        write!(formatter, "{}/{}", self.count, unit.map_or("?", |(name, _)| name))
    }
}

impl Serialize for Timespan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timespan {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Timespan {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timespan".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "timespan" })
    }
}

impl schemars::JsonSchema for Rate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "rate" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timespans_and_rates_carry_units() {
        for text in ["500ms", "1s", "10m", "2h", "30d"] {
            assert_eq!(text.parse::<Timespan>().map(|span| span.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("60s".parse::<Timespan>().map(|span| span.to_string()), Ok("1m".to_owned()));
        for bad in ["10", "m", "1.5s", "-1s", "1 s", "99999999999999999999d", ""] {
            assert!(bad.parse::<Timespan>().is_err(), "{bad}");
        }
        assert_eq!("5000/h".parse::<Rate>().map(|rate| rate.to_string()), Ok("5000/h".to_owned()));
        for bad in ["0/s", "5", "5/x", "/s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }
}
