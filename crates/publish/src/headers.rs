//! The headers of a request, as publishing sees them.
//!
//! In: names and values, in the order in which they came. Out: the values of a name, whatever the
//! case in which it is asked for or was sent. What never happens here: a value in a text for
//! people, because some of them are credentials: `Debug` tells the names alone.

use std::fmt;

/// Header names and values. A name may come more than once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Adds a header. Bytes beyond ASCII become the characters of Latin-1 (RFC 9110, 5.5), so
    /// that a strange value stays a value and is not taken for an absent one.
    pub fn add(&mut self, name: &str, value: &[u8]) {
        let value = value.iter().copied().map(char::from).collect();
        self.0.push((name.to_ascii_lowercase(), value));
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let is_named = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.0.iter().find(is_named).map(|(_, value)| value.as_str())
    }

    /// All values of a name, in their order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let is_named = move |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.0.iter().filter(is_named).map(|(_, value)| value.as_str())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Headers {
    fn from(pairs: [(&str, &str); N]) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            headers.add(name, value.as_bytes());
        }
        headers
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_and_values_are_not_shown() {
        let headers = Headers::from([("X-API-Key", "marker"), ("accept", "a"), ("Accept", "b")]);
        assert_eq!(headers.get("x-api-key"), Some("marker"));
        assert_eq!(headers.all("ACCEPT").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(headers.get("host"), None);
        assert_eq!(format!("{headers:?}"), r#"["x-api-key", "accept", "accept"]"#);
    }

    #[test]
    fn a_value_of_strange_bytes_is_still_there() {
        let mut headers = Headers::default();
        headers.add("x-api-key", b"\xff");
        assert_eq!(headers.get("x-api-key"), Some("\u{ff}"));
    }
}
