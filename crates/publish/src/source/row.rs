//! The members of a row that is JSON text, without reading their values.
//!
//! In: an object as a source wrote it, or any other valid one. Out: the texts of its values in
//! their order. What never happens here: a check: a source's rows are valid JSON.

/// The value texts of an object's members.
pub(crate) fn values(row: &str) -> impl Iterator<Item = &str> {
    let mut rest = row.trim_start().strip_prefix('{').unwrap_or_default();
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([',', ' ', '\n', '\t', '\r']);
        if !rest.starts_with('"') {
            return None;
        }
        rest = rest[end(rest)..].trim_start().strip_prefix(':')?.trim_start();
        let (value, after) = rest.split_at(end(rest));
        rest = after;
        Some(value)
    })
}

/// As much of an object as its first members are, closed again.
pub(crate) fn first(row: &str, members: usize) -> impl Iterator<Item = &str> {
    let last = values(row).take(members).last();
    let length = last.map_or(0, |last| last.as_ptr() as usize - row.as_ptr() as usize + last.len());
    let (open, close) = if length == 0 { ("{", "}") } else { (&row[..length], "}") };
    [open, close].into_iter()
}

/// Where the value that a text begins with ends.
fn end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            b',' | b' ' | b':' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
        if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
            return at.min(bytes.len());
        }
    }
    bytes.len()
}

/// Where the quote is that closes the string which opens at `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_whatever_stands_in_them() {
        let row = r#"{"a":1.10,"b\"":"x\",\\","c": [1,{"d":"]"}] ,"e":null,"f":{},"g":-0.5}"#;
        let found: Vec<&str> = values(row).collect();
        assert_eq!(found, ["1.10", r#""x\",\\""#, r#"[1,{"d":"]"}]"#, "null", "{}", "-0.5"]);
        assert_eq!(values("{}").count(), 0);
        assert_eq!(first(row, 1).collect::<String>(), "{\"a\":1.10}");
        assert_eq!(first("{}", 1).collect::<String>(), "{}");
        assert_eq!(values("").count(), 0);
    }
}
