//! One value of a record, found without building the others.
//!
//! In: a record's JSON text and a path. Out: the text of the value there, as it stands. Whatever
//! lies beside the path is skipped; of a key that comes twice the last counts, as in the tables.

use std::fmt;

use restway_model::Step;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The JSON text at the path; none where there is nothing.
pub(super) fn find<'record>(record: &'record [u8], path: &[Step]) -> Option<&'record str> {
    let mut reader = serde_json::Deserializer::from_slice(record);
    // A record that is no JSON is the tables' to refuse, with its place.
    Find(path).deserialize(&mut reader).ok().flatten().map(RawValue::get)
}

struct Find<'path>(&'path [Step]);

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => <&RawValue>::deserialize(reader).map(Some),
            _ => reader.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let wanted = match self.0.first() {
            Some(Step::Name(name)) => Some(name.as_str()),
            _ => None,
        };
        let mut found = None;
        while let Some(is_wanted) = map.next_key_seed(Is(wanted))? {
            if is_wanted {
                found = map.next_value_seed(Find(&self.0[1..]))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let wanted = match self.0.first() {
            Some(Step::Index(index)) => Some(*index),
            _ => None,
        };
        let mut found = None;
        for at in 0.. {
            if wanted == Some(at) {
                match list.next_element_seed(Find(&self.0[1..]))? {
                    Some(value) => found = value,
                    None => break,
                }
            } else if list.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Whether a key is the one that is looked for.
struct Is<'name>(Option<&'name str>);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(self.0 == Some(key))
    }
}

#[cfg(test)]
mod tests {
    use restway_model::RecordPath;

    use super::*;

    #[test]
    fn finds_a_value_as_it_stands_and_nothing_where_there_is_none() {
        let record = br#"{"a":{"b":[1,{"c":1.10}],"x":"\u0061"},"n":null,"a2":[],"d":1,"d":2}"#;
        let at = |path: &str| {
            let path: RecordPath = path.parse().expect(path);
            find(record, path.steps())
        };
        assert_eq!(at("a.b[1].c"), Some("1.10"));
        assert_eq!(at("a.x"), Some("\"\\u0061\""));
        assert_eq!(at("n"), Some("null"));
        assert_eq!(at("d"), Some("2"), "of a key that comes twice the last counts");
        for none in ["b", "a.b.c", "a.b[2]", "a.x.y", "n.m", "d.e", "a2[0]"] {
            assert_eq!(at(none), None, "{none}");
        }
        assert_eq!(find(b"{", &[Step::Name("a".into())]), None);
    }
}
