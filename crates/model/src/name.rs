//! Names of apis, resources, secrets, tables and columns.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest name, in bytes: PostgreSQL's bound for identifiers.
const LENGTH_MAX: usize = 63;

/// A name that is safe as an identifier in SQL, as a folder and in a URL: lower-case letters,
/// digits and `_`, not starting with a digit, at most 63 characters. A clone is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(Arc<str>);

/// A text that is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a name: use lower-case letters, digits and `_`, not starting with a digit, at \
     most 63 characters"
)]
pub struct InvalidName(pub String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The nearest valid name to any text: used where a person's word becomes a file or a table.
    pub fn slug(text: &str) -> Name {
        let mut slug = String::with_capacity(text.len());
        for character in text.chars().take(LENGTH_MAX) {
            match character.to_ascii_lowercase() {
                letter @ ('a'..='z' | '0'..='9') => slug.push(letter),
                _ if slug.ends_with('_') || slug.is_empty() => {}
                _ => slug.push('_'),
            }
        }
        let slug = slug.trim_end_matches('_');
        match slug.chars().next() {
            None => Name("unnamed".into()),
            Some('0'..='9') => {
                Name(format!("n{slug}").chars().take(LENGTH_MAX).collect::<String>().into())
            }
            Some(_) => Name(slug.into()),
        }
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let starts_well =
            text.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if starts_well && text.len() <= LENGTH_MAX && text.chars().all(is_plain) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName(text.to_owned()))
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Name {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "name" })
    }
}

/// A table: `api.resource`, or `api.resource__list` for a list inside its records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    /// The api: the SQL schema, and the folder.
    pub api: Name,
    /// The resource, or the resource and the list; a folder below the api's.
    pub table: Name,
}

impl TableName {
    /// Puts the two halves together.
    pub fn new(api: Name, table: Name) -> Self {
        Self { api, table }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.api, self.table)
    }
}

impl FromStr for TableName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (api, table) = text.split_once('.').ok_or_else(|| InvalidName(text.to_owned()))?;
        Ok(Self { api: api.parse()?, table: table.parse()? })
    }
}

/// A JSON key as snake_case: the name of its column.
pub fn snake(key: &str) -> String {
    let characters: Vec<char> = key.chars().collect();
    let mut name = String::with_capacity(key.len() + 4);
    for (index, &character) in characters.iter().enumerate() {
        if character == '_' {
            name.push('_');
            continue;
        }
        if !character.is_alphanumeric() {
            if !name.ends_with('_') {
                name.push('_');
            }
            continue;
        }
        if is_hump(&characters, index) && !name.ends_with('_') {
            name.push('_');
        }
        name.extend(character.to_lowercase().filter(|lower| lower.is_alphanumeric()));
    }
    match name.chars().next() {
        None => "unnamed".into(),
        Some(first) if first.is_numeric() => format!("n{name}"),
        Some(_) => name,
    }
}

/// Whether a new word begins here: `userId`, `HTTPServer`.
fn is_hump(characters: &[char], index: usize) -> bool {
    let Some(before) = index.checked_sub(1).map(|before| characters[before]) else {
        return false;
    };
    let after = characters.get(index + 1);
    characters[index].is_uppercase()
        && (before.is_lowercase()
            || before.is_numeric()
            || (before.is_uppercase() && after.is_some_and(|next| next.is_lowercase())))
}

/// A column: any field name of any api, made deterministic by the shaping of tables.
pub type ColumnName = String;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_narrow_and_slugs_always_names() {
        assert!("orders_2".parse::<Name>().is_ok());
        for bad in ["", "2x", "Orders", "a-b", "a.b", "é", &"x".repeat(64)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
        for (text, slug) in [("Order Items", "order_items"), ("2024", "n2024"), ("—", "unnamed")]
        {
            assert_eq!(Name::slug(text).as_str(), slug);
            assert!(Name::slug(text).as_str().parse::<Name>().is_ok());
        }
    }
}
