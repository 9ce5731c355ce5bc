//! JSON that keeps every digit: objects and lists, opened one level at a time.
//!
//! In: texts of JSON. Out: their members, one laid over another (RFC 7396), and whether two mean
//! the same. What nobody touches stays the text that it was, however long a number or deep a list
//! in it is.
//!
//! What never happens here: a number that becomes a float; work without a bound: whatever is
//! opened is counted, and so are the levels that are gone down.

use std::collections::HashMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON value as its text.
pub(crate) type Raw = Box<RawValue>;

/// Levels that are gone down.
const DEPTH_MAX: usize = 128;
/// Bytes of JSON that are opened for one item.
const OPENED_BYTES_MAX: usize = 64 << 20;

/// Why a value cannot be worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unworkable {
    #[error("it goes down more than {DEPTH_MAX} levels: send the value whole, with POST")]
    Deep,
    #[error("it reads too much of the stored value: send the value whole, with POST")]
    Long,
    #[error("a name in the value is no text of Unicode")]
    Text,
}

/// Opens values, up to a bound.
#[derive(Debug)]
pub(super) struct Opener {
    left: usize,
}

impl Default for Opener {
    fn default() -> Self {
        Self { left: OPENED_BYTES_MAX }
    }
}

impl Opener {
    /// Counts what is opened or copied.
    pub(super) fn count(&mut self, raw: &RawValue) -> Result<(), Unworkable> {
        self.left = self.left.checked_sub(raw.get().len()).ok_or(Unworkable::Long)?;
        Ok(())
    }

    fn open<'r, T: Deserialize<'r>>(&mut self, raw: &'r RawValue) -> Result<T, Unworkable> {
        self.count(raw)?;
        serde_json::from_str(raw.get()).map_err(|_| Unworkable::Text)
    }

    /// The members of an object.
    pub(super) fn members(&mut self, raw: &RawValue) -> Result<Members, Unworkable> {
        self.open(raw)
    }

    /// The elements of a list.
    pub(super) fn elements(&mut self, raw: &RawValue) -> Result<Vec<Raw>, Unworkable> {
        self.open(raw)
    }

    /// What is stored with what is sent laid over it: members that are sent as null go, objects
    /// are laid over each other, all else is what is sent.
    pub(super) fn merged(&mut self, stored: &RawValue, sent: &RawValue) -> Result<Raw, Unworkable> {
        self.merged_below(stored, sent, DEPTH_MAX)
    }

    fn merged_below(
        &mut self,
        stored: &RawValue,
        sent: &RawValue,
        levels: usize,
    ) -> Result<Raw, Unworkable> {
        if !is_object(sent) {
            return Ok(sent.to_owned());
        }
        let levels = levels.checked_sub(1).ok_or(Unworkable::Deep)?;
        let mut members =
            if is_object(stored) { self.members(stored)? } else { Members::default() };
        for (name, value) in self.members(sent)?.into_pairs() {
            if value.get() == "null" {
                members.remove(&name);
                continue;
            }
            let below = members.get(&name).unwrap_or(RawValue::NULL);
            let value = self.merged_below(below, &value, levels)?;
            members.set(name, value);
        }
        Ok(members.to_raw())
    }

    /// Whether two values are equal: RFC 6902, 4.6.
    pub(super) fn is_same(&mut self, one: &RawValue, other: &RawValue) -> Result<bool, Unworkable> {
        self.is_same_below(one, other, DEPTH_MAX)
    }

    fn is_same_below(
        &mut self,
        one: &RawValue,
        other: &RawValue,
        levels: usize,
    ) -> Result<bool, Unworkable> {
        if one.get() == other.get() {
            return Ok(true);
        }
        let levels = levels.checked_sub(1).ok_or(Unworkable::Deep)?;
        match (first(one), first(other)) {
            (b'{', b'{') => {
                let (one, other) = (self.members(one)?, self.members(other)?);
                if one.index.len() != other.index.len() {
                    return Ok(false);
                }
                for (name, value) in one.into_pairs() {
                    match other.get(&name) {
                        Some(own) if self.is_same_below(&value, own, levels)? => {}
                        _ => return Ok(false),
                    }
                }
                Ok(true)
            }
            (b'[', b'[') => {
                let (one, other) = (self.elements(one)?, self.elements(other)?);
                if one.len() != other.len() {
                    return Ok(false);
                }
                for (one, other) in one.iter().zip(&other) {
                    if !self.is_same_below(one, other, levels)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (b'"', b'"') => {
                let (one, other): (String, String) = (self.open(one)?, self.open(other)?);
                Ok(one == other)
            }
            (b'-' | b'0'..=b'9', b'-' | b'0'..=b'9') => {
                Ok(number(one.get()).is_some_and(|one| number(other.get()) == Some(one)))
            }
            _ => Ok(false),
        }
    }
}

/// What a value begins with.
pub(super) fn first(raw: &RawValue) -> u8 {
    raw.get().bytes().next().unwrap_or_default()
}

pub(super) fn is_object(raw: &RawValue) -> bool {
    first(raw) == b'{'
}

/// Sign, digits and the power of ten behind them; none when the power is beyond all measure.
fn number(text: &str) -> Option<(bool, String, i64)> {
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (digits, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = format!("{whole}{part}");
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    let moved = i64::try_from(digits.len() - significant.len()).ok()?;
    let part = i64::try_from(part.len()).ok()?;
    let power = power.parse::<i64>().ok()?.checked_sub(part)?.checked_add(moved)?;
    Some((is_negative, significant.trim_start_matches('0').to_owned(), power))
}

/// The members of an object in their order; of several with one name the last counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Members {
    pairs: Vec<Option<(String, Raw)>>,
    index: HashMap<String, usize>,
}

impl Members {
    pub(super) fn get(&self, name: &str) -> Option<&RawValue> {
        let at = *self.index.get(name)?;
        self.pairs[at].as_ref().map(|(_, value)| &**value)
    }

    /// Puts a value where the last one of its name was, or at the end.
    pub(super) fn set(&mut self, name: String, value: Raw) {
        match self.index.get(&name) {
            Some(&at) => self.pairs[at] = Some((name, value)),
            None => {
                self.index.insert(name.clone(), self.pairs.len());
                self.pairs.push(Some((name, value)));
            }
        }
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Raw> {
        let at = self.index.remove(name)?;
        self.pairs[at].take().map(|(_, value)| value)
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&String, &Raw)> {
        self.pairs.iter().flatten().map(|(name, value)| (name, value))
    }

    pub(super) fn into_pairs(self) -> impl Iterator<Item = (String, Raw)> {
        self.pairs.into_iter().flatten()
    }

    pub(super) fn to_raw(&self) -> Raw {
        raw(self)
    }
}

/// Names and texts of JSON put together.
pub(super) fn raw<T: Serialize>(value: &T) -> Raw {
    serde_json::value::to_raw_value(value).expect("what is put together from JSON is JSON")
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.pairs())
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Members::default();
                while let Some((name, value)) = map.next_entry()? {
                    members.set(name, value);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Raw {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    /// The cases of RFC 7396, appendix A, and what a float could not hold.
    #[test]
    fn what_is_sent_is_laid_over_what_is_stored() {
        for (stored, sent, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
            (
                r#"{"n": 12345678901234567890.123456789,"m":1e400}"#,
                r#"{"a":0.10}"#,
                r#"{"n":12345678901234567890.123456789,"m":1e400,"a":0.10}"#,
            ),
        ] {
            let merged = Opener::default().merged(&of(stored), &of(sent)).unwrap();
            assert_eq!(merged.get(), expected, "{stored} {sent}");
        }
    }

    #[test]
    fn depth_is_no_matter_where_nobody_goes() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let stored = of(&format!("{{\"deep\":{deep}}}"));
        let merged = Opener::default().merged(&stored, &of(r#"{"a":1}"#)).unwrap();
        assert_eq!(merged.get(), format!("{{\"deep\":{deep},\"a\":1}}"));
        let sent = of(&format!("{}1{}", "{\"a\":".repeat(1_000), "}".repeat(1_000)));
        assert_eq!(Opener::default().merged(&stored, &sent).unwrap_err(), Unworkable::Deep);
        let other = of(&deep.replacen("[]", "[1]", 1));
        assert_eq!(Opener::default().is_same(&of(&deep), &other), Err(Unworkable::Deep));
    }

    #[test]
    fn values_are_the_same_by_what_they_mean() {
        for (one, other, expected) in [
            ("1.10", "11e-1", true),
            ("0", "-0.0e5", true),
            ("100", "1e2", true),
            ("12345678901234567890.123456789", "12345678901234567890.123456788", false),
            ("1e400", "10e399", true),
            ("-1", "1", false),
            (r#""\u0061""#, r#""a""#, true),
            (r#"{"a":1,"b":[1,{}]}"#, r#"{"b":[1.0,{}],"a":1}"#, true),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#, false),
            ("[1,2]", "[2,1]", false),
            ("null", "false", false),
        ] {
            let found = Opener::default().is_same(&of(one), &of(other));
            assert_eq!(found, Ok(expected), "{one} {other}");
        }
    }
}
