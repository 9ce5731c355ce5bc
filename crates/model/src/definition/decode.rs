//! A checked tree to the Rust types, through serde.
//!
//! What the grammar can say was checked before; what is left for serde to find (a map's key that
//! is no name, say) is reported at the innermost value that it was reading.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::problem::At;
use super::yaml::{Entry, Node, Value};

/// What serde did not take, and where it was reading.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) at: At,
    pub(super) message: String,
}

/// Builds a `T`.
pub(super) fn decode<T: de::DeserializeOwned>(node: &Node) -> Result<T, Refusal> {
    let reading = Cell::new(node.at);
    T::deserialize(Decoder { node, reading: &reading })
        .map_err(|Message(message)| Refusal { at: reading.get(), message })
}

#[derive(Debug)]
struct Message(String);

impl fmt::Display for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Message {}

impl de::Error for Message {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

#[derive(Clone, Copy)]
struct Decoder<'de> {
    node: &'de Node,
    reading: &'de Cell<At>,
}

impl<'de> de::Deserializer<'de> for Decoder<'de> {
    type Error = Message;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Message> {
        self.reading.set(self.node.at);
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Whole(value) => visitor.visit_i64(*value),
            Value::Number(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_borrowed_str(value),
            Value::List(items) => visitor.visit_seq(Items { items, reading: self.reading }),
            Value::Map(entries) => {
                visitor.visit_map(Entries { entries, value: None, reading: self.reading })
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Message> {
        match &self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Message> {
        self.reading.set(self.node.at);
        match &self.node.value {
            Value::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => {
                let _ = (name, variants);
                Err(Message(format!("expected a word, found {}", self.node.value.kind())))
            }
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Message> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'de> {
    items: &'de [Node],
    reading: &'de Cell<At>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Message;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Message> {
        let Some((node, rest)) = self.items.split_first() else { return Ok(None) };
        self.items = rest;
        seed.deserialize(Decoder { node, reading: self.reading }).map(Some)
    }
}

struct Entries<'de> {
    entries: &'de [Entry],
    value: Option<&'de Node>,
    reading: &'de Cell<At>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Message;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Message> {
        let Some((entry, rest)) = self.entries.split_first() else { return Ok(None) };
        self.entries = rest;
        self.value = Some(&entry.node);
        self.reading.set(entry.key_at);
        seed.deserialize(entry.key.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Message> {
        let node = self.value.take().ok_or_else(|| Message("a value without a key".into()))?;
        seed.deserialize(Decoder { node, reading: self.reading })
    }
}
