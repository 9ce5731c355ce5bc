//! JSON values without a number that changed on the way.
//!
//! A parsed JSON number is a double or 64 bits, and some numbers are neither: `1.10` as a version,
//! a token of 23 digits. Here such a number becomes a text of exactly its digits, so that whatever
//! is made of it (a URL, a page token) says what the api said. In: JSON text. Out: a value whose
//! every number prints as it was written. Large lists of records never pass here; envelopes and
//! single records do.

use serde::Deserialize;
use serde::de::Error;
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// Containers inside containers; each level is read once more.
const DEPTH_MAX: usize = 128;

/// Parses JSON text; numbers that do not print as they were written become texts.
///
/// # Errors
/// The text is not JSON, or nests more than 128 levels deep.
pub fn exact_json(text: &[u8]) -> Result<Value, serde_json::Error> {
    let raw: &RawValue = serde_json::from_slice(text)?;
    read(raw, DEPTH_MAX)
}

fn read(raw: &RawValue, depth: usize) -> Result<Value, serde_json::Error> {
    let text = raw.get();
    let Some(inner) = depth.checked_sub(1) else {
        return Err(serde_json::Error::custom("it nests more than 128 levels deep"));
    };
    match text.as_bytes().first() {
        Some(b'{') => {
            let mut members = Map::new();
            for (name, value) in Members::deserialize(raw)?.0 {
                members.insert(name, read(value, inner)?);
            }
            Ok(Value::Object(members))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = Vec::deserialize(raw)?;
            items.into_iter().map(|item| read(item, inner)).collect()
        }
        Some(b'-' | b'0'..=b'9') => Ok(number(text)),
        _ => Value::deserialize(raw),
    }
}

fn number(text: &str) -> Value {
    match text.parse::<Number>() {
        Ok(number) if number.to_string() == text => Value::Number(number),
        _ => Value::String(text.to_owned()),
    }
}

/// An object's members in their order; of a repeated name the last one counts, where it stood
/// first.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Visitor).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_stay_as_they_were_written() {
        let text = br#"{"a": [1, -7, 0.5, 18446744073709551615], "b": 1.10, "c": {"d": 1e400},
            "e": 12345678901234567890123, "f": "x\u00e9", "g": null, "h": true, "i": -0}"#;
        assert_eq!(
            exact_json(text).expect("JSON"),
            json!({"a": [1, -7, 0.5, 18_446_744_073_709_551_615_u64], "b": "1.10",
                "c": {"d": "1e400"}, "e": "12345678901234567890123", "f": "xé", "g": null,
                "h": true, "i": "-0"})
        );
    }

    #[test]
    fn what_is_not_json_or_too_deep_is_refused() {
        assert!(exact_json(b"{\"a\": }").is_err());
        assert!(exact_json(b"[1] 2").is_err());
        let deep = format!("{}{}", "[".repeat(127), "]".repeat(127));
        assert!(exact_json(deep.as_bytes()).is_ok());
        let deeper = format!("{}{}", "[".repeat(129), "]".repeat(129));
        assert!(exact_json(deeper.as_bytes()).is_err());
    }
}
