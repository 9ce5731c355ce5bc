//! JSON text, written field by field.
//!
//! In go names and values, out comes one object's text. It exists so that numbers keep the digits
//! they were given: a value tree would turn 12345678901234567.89 into a float. Strings are escaped
//! by serde_json; field names are this crate's own and need no escaping.

use std::fmt::{self, Display, Formatter, Write};

/// An object under construction.
pub(crate) struct Object {
    text: String,
}

impl Object {
    pub(crate) fn new() -> Object {
        Object { text: String::with_capacity(512) }
    }

    /// A value that is JSON text already: a number, a boolean, an object, `null`.
    pub(crate) fn raw(mut self, name: &str, value: impl Display) -> Object {
        let before = if self.text.is_empty() { '{' } else { ',' };
        write!(self.text, "{before}\"{name}\":{value}").expect("a string takes any text");
        self
    }

    pub(crate) fn text(self, name: &str, value: &str) -> Object {
        self.raw(name, quoted(value))
    }

    /// A value or null.
    pub(crate) fn optional(self, name: &str, value: Option<impl Display>) -> Object {
        match value {
            Some(value) => self.raw(name, value),
            None => self.raw(name, "null"),
        }
    }

    pub(crate) fn optional_text(self, name: &str, value: Option<&str>) -> Object {
        self.optional(name, value.map(quoted))
    }

    pub(crate) fn finish(mut self) -> String {
        self.text.push_str(if self.text.is_empty() { "{}" } else { "}" });
        self.text
    }
}

/// A string as JSON text.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("any string can be written as JSON")
}

/// Values that are JSON text already, as a list.
pub(crate) fn list(values: &[String]) -> String {
    format!("[{}]", values.join(","))
}

/// Strings as a list.
pub(crate) fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    list(&values.into_iter().map(quoted).collect::<Vec<_>>())
}

/// A whole number of units of 10^-`places`, printed exactly and without trailing zeros.
pub(crate) struct Decimal {
    pub(crate) units: i64,
    pub(crate) places: u32,
}

impl Display for Decimal {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let scale = 10_u64.pow(self.places);
        let (whole, rest) = (self.units.unsigned_abs() / scale, self.units.unsigned_abs() % scale);
        let sign = if self.units < 0 { "-" } else { "" };
        let width = self.places as usize;
        let rest = format!("{rest:0width$}");
        match rest.trim_end_matches('0') {
            "" => write!(formatter, "{sign}{whole}.0"),
            digits => write!(formatter, "{sign}{whole}.{digits}"),
        }
    }
}

/// An amount of money, in hundredths.
pub(crate) fn cents(units: i64) -> Decimal {
    Decimal { units, places: 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_digits() {
        let cases = [(1999, 2, "19.99"), (10, 2, "0.1"), (-5, 2, "-0.05"), (300, 2, "3.0")];
        for (units, places, expected) in cases {
            assert_eq!(Decimal { units, places }.to_string(), expected);
        }
    }

    #[test]
    fn objects_are_json() {
        assert_eq!(Object::new().finish(), "{}");
        let object = Object::new().raw("n", 1).text("t", "a\"b").optional_text("o", None);
        assert_eq!(object.finish(), r#"{"n":1,"t":"a\"b","o":null}"#);
    }
}
