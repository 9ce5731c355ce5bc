//! Names of columns and child tables, from the keys of JSON objects.
//!
//! In: any JSON key. Out: a name that SQL takes without quotes wherever the key allows it, and the
//! JSON path that tells later batches which column a key belongs to. The same key always gives the
//! same name; two keys that give one name are told apart by `_2`, `_3` in the order in which they
//! first came, and the path kept in the table's schema makes that order stick.

pub(crate) use restway_model::snake;
use restway_model::{Name, TableName};

/// Between the parts of a flattened name: `owner__name`.
pub(crate) const SEPARATOR: &str = "__";

/// The longest table name, which is also a folder's.
const TABLE_NAME_BYTES_MAX: usize = 63;

/// What is kept of a longer name, with room for a digest and a number behind it.
const TABLE_NAME_BYTES_KEPT: usize = TABLE_NAME_BYTES_MAX - 14;

/// `name`, or `name_2`, `name_3`… : the first that is not taken.
pub(crate) fn unique(name: &str, taken: impl Fn(&str) -> bool) -> String {
    if !taken(name) {
        return name.to_owned();
    }
    let mut number = 2u64;
    loop {
        let candidate = format!("{name}_{number}");
        if !taken(&candidate) {
            return candidate;
        }
        number += 1;
    }
}

/// The name of the table for a list: `parent__list`. A name that is too long for a folder is cut
/// and ends in a digest of the whole.
pub(crate) fn child_table(
    parent: &TableName,
    keys: &[String],
    taken: impl Fn(&str) -> bool,
) -> TableName {
    let mut text = parent.table.as_str().to_owned();
    let parts: Vec<&str> = match keys {
        [] => vec!["value"],
        keys => keys.iter().map(String::as_str).collect(),
    };
    for part in parts {
        text.push_str(SEPARATOR);
        let plain =
            snake(part).chars().map(|c| if c.is_ascii() { c } else { '_' }).collect::<String>();
        text.push_str(&plain);
    }
    if text.len() > TABLE_NAME_BYTES_MAX - 4 {
        let digest = digest(&text);
        text.truncate(TABLE_NAME_BYTES_KEPT);
        text = format!("{text}_{digest:08x}");
    }
    let name = unique(&text, taken);
    let table = name.parse().unwrap_or_else(|_| Name::slug(&name));
    TableName::new(parent.api.clone(), table)
}

/// The name of the table of a resource's rejects; no list's table gets it.
pub(crate) fn rejects_table(resource: &TableName) -> TableName {
    let text = format!("{}{SEPARATOR}rejects", resource.table);
    let table = text.parse().unwrap_or_else(|_| Name::slug(&text));
    TableName::new(resource.api.clone(), table)
}

/// The resource that a table is of, by its name: no resource has the separator in its own.
pub(crate) fn resource_of(table: &TableName) -> TableName {
    let name = table.table.as_str().split(SEPARATOR).next();
    let name = name.and_then(|name| name.parse().ok()).unwrap_or_else(|| table.table.clone());
    TableName::new(table.api.clone(), name)
}

/// Whether a table's name begins as those of the child tables of `parent` do.
pub(crate) fn may_be_child(parent: &TableName, name: &TableName) -> bool {
    let mut start = format!("{}{SEPARATOR}", parent.table);
    start.truncate(TABLE_NAME_BYTES_KEPT);
    name.api == parent.api && name.table.as_str().starts_with(&start)
}

/// FNV-1a: stable across versions of this program, which the standard hasher is not.
fn digest(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The JSONPath of nested keys: `$.owner['first name']`.
pub(crate) fn path_text(keys: &[String]) -> String {
    let mut text = String::from("$");
    for key in keys {
        let plain = !key.is_empty()
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !key.starts_with(|c: char| c.is_ascii_digit());
        if plain {
            text.push('.');
            text.push_str(key);
        } else {
            text.push_str("['");
            for character in key.chars() {
                if matches!(character, '\'' | '\\') {
                    text.push('\\');
                }
                text.push(character);
            }
            text.push_str("']");
        }
    }
    text
}

/// The keys of a path that [`path_text`] wrote; none when it did not.
pub(crate) fn path_keys(text: &str) -> Option<Vec<String>> {
    let mut keys = Vec::new();
    let mut rest = text.strip_prefix('$')?;
    while !rest.is_empty() {
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            keys.push(name[..end].to_owned());
            rest = &name[end..];
        } else {
            let inside = rest.strip_prefix("['")?;
            let mut key = String::new();
            let mut characters = inside.char_indices();
            let end = loop {
                match characters.next()? {
                    (_, '\\') => key.push(characters.next()?.1),
                    (index, '\'') => break index,
                    (_, character) => key.push(character),
                }
            };
            keys.push(key);
            rest = inside[end + 1..].strip_prefix(']')?;
        }
    }
    Some(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_snake_case() {
        for (key, name) in [
            ("id", "id"),
            ("userId", "user_id"),
            ("HTTPServer", "http_server"),
            ("userID", "user_id"),
            ("address2Line", "address2_line"),
            ("First Name", "first_name"),
            ("a -- b", "a_b"),
            ("a__b", "a__b"),
            ("$type", "_type"),
            ("Größe", "größe"),
            ("2024", "n2024"),
            ("", "unnamed"),
            ("日本", "日本"),
        ] {
            assert_eq!(snake(key), name, "{key}");
        }
    }

    #[test]
    fn paths_are_read_as_they_are_written() {
        for keys in [vec![], vec!["a", "b"], vec!["it's", "a.b", "", "x\\'y", "['z']", "1"]] {
            let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
            assert_eq!(path_keys(&path_text(&keys)), Some(keys));
        }
        assert_eq!(path_text(&["a".into(), "b c".into()]), "$.a['b c']");
        assert_eq!(path_keys("a"), None);
    }

    #[test]
    fn long_table_names_stay_names_and_stay_apart() {
        let parent: TableName = "acme.orders".parse().expect("a name");
        let long = "x".repeat(80);
        let one = child_table(&parent, &[format!("{long}a")], |_| false);
        let two = child_table(&parent, &[format!("{long}b")], |_| false);
        assert_ne!(one, two);
        assert!(one.table.as_str().len() <= 63);
        assert_eq!(child_table(&parent, &["öl".into()], |_| false).to_string(), "acme.orders___l");
        let third = child_table(&parent, &["l".into()], |name| name == "orders__l");
        assert_eq!(third.to_string(), "acme.orders__l_2");
    }
}
