//! Filters of one field: `field=value`, and `field[operator]=value`.
//!
//! In: a column, an operator's name and a caller's text. Out: a [`Condition`], or what is wrong in
//! a sentence. A plain value is never parsed: it is what the field equals, whatever stands in it.
//! Lists are separated by commas, with `"…"` around what has one itself, or are JSON.
//!
//! What never happens here: a comparison of a text where the column has another type.

use serde_json::value::RawValue;

use super::value::wanted;
use super::{Comparison, Condition, Place, Value, value_of};
use crate::refusal::shown;
use crate::source::{Column, Kind};

/// Values of one list.
pub(super) const VALUES_MAX: usize = 1_000;

/// What may stand in the brackets.
pub(crate) const OPERATORS: [&str; 16] = [
    "eq",
    "ne",
    "gt",
    "gte",
    "lt",
    "lte",
    "in",
    "nin",
    "between",
    "like",
    "ilike",
    "contains",
    "startswith",
    "endswith",
    "null",
    "has",
];

/// `field[operator]` as its two parts.
pub(super) fn split(name: &str) -> Option<(&str, &str)> {
    name.strip_suffix(']')?.rsplit_once('[')
}

/// What a row must be; `operator` is one of [`OPERATORS`].
pub(super) fn condition<'a>(
    column: &'a Column,
    operator: &str,
    text: &str,
) -> Result<Condition<'a>, String> {
    let comparison = match operator {
        "eq" => Comparison::Equal,
        "ne" => Comparison::Different,
        "gt" => Comparison::Greater,
        "gte" => Comparison::AtLeast,
        "lt" => Comparison::Less,
        "lte" => Comparison::AtMost,
        "in" => return Ok(Condition::In { column, values: values(column, text)? }),
        "nin" => {
            let within = Condition::In { column, values: values(column, text)? };
            return Ok(Condition::Not(Box::new(within)));
        }
        "between" => return between(column, text),
        "like" | "ilike" => {
            let (column, text) = (textual(column, operator)?, free_of_nul(text)?);
            return Ok(Condition::Like { column, folds: operator == "ilike", pattern: text });
        }
        "contains" => return has_text(column, Place::Within, text),
        "startswith" => return has_text(column, Place::Start, text),
        "endswith" => return has_text(column, Place::End, text),
        "null" => return null(column, text),
        _ => return element(column, text),
    };
    compare(column, comparison, text)
}

/// A column compared with a value.
pub(super) fn compare<'a>(
    column: &'a Column,
    comparison: Comparison,
    text: &str,
) -> Result<Condition<'a>, String> {
    let is_equality = matches!(comparison, Comparison::Equal | Comparison::Different);
    if column.kind == Kind::Json && !is_equality {
        return Err(format!("`{}` has JSON values, which have no order", column.name));
    }
    Ok(Condition::Compare { column, comparison, value: value(column, text)? })
}

/// A text in the text of a column.
pub(super) fn has_text<'a>(
    column: &'a Column,
    place: Place,
    text: &str,
) -> Result<Condition<'a>, String> {
    let word = match place {
        Place::Within => "contains",
        Place::Start => "startswith",
        Place::End => "endswith",
    };
    let (column, text) = (textual(column, word)?, free_of_nul(text)?);
    Ok(Condition::Text { column, place, folds: false, text })
}

/// A text as a value of a column, or what to write instead.
pub(super) fn value(column: &Column, text: &str) -> Result<Value, String> {
    value_of(column, text).ok_or_else(|| {
        let wanted = match column.choices.as_slice() {
            [] => wanted(column.kind),
            choices => format!("one of `{}`", choices.join("`, `")),
        };
        format!("`{}` cannot be `{}`: write {wanted}", column.name, shown(text))
    })
}

fn between<'a>(column: &'a Column, text: &str) -> Result<Condition<'a>, String> {
    let bounds = list(text)?;
    let [first, last] = bounds.as_slice() else {
        return Err(format!("`{}[between]` takes two values, as in `1,9`", column.name));
    };
    Ok(Condition::All(vec![
        compare(column, Comparison::AtLeast, first)?,
        compare(column, Comparison::AtMost, last)?,
    ]))
}

fn null<'a>(column: &'a Column, text: &str) -> Result<Condition<'a>, String> {
    match text {
        "true" => Ok(Condition::Null(column)),
        "false" => Ok(Condition::Not(Box::new(Condition::Null(column)))),
        _ => Err(format!("`{}[null]` is `true` or `false`", column.name)),
    }
}

/// An element of a JSON list: a number, `true`, `false`, a text in quotes, or any other text.
fn element<'a>(column: &'a Column, text: &str) -> Result<Condition<'a>, String> {
    if column.kind != Kind::Json {
        return Err(format!("`{}` has no lists: `has` looks into JSON", column.name));
    }
    let text = free_of_nul(text)?;
    let element = match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(element) if !element.is_object() && !element.is_array() => element,
        _ => serde_json::Value::from(text),
    };
    Ok(Condition::Has { column, element })
}

fn textual<'a>(column: &'a Column, operator: &str) -> Result<&'a Column, String> {
    match column.kind {
        Kind::Text | Kind::Other | Kind::Uuid | Kind::Null => Ok(column),
        _ => Err(format!("`{operator}` needs a field of text, and `{}` is none", column.name)),
    }
}

/// No database's text has the character NUL.
fn free_of_nul(text: &str) -> Result<String, String> {
    if text.contains('\0') {
        Err("no text has the character NUL".to_owned())
    } else {
        Ok(text.into())
    }
}

fn values(column: &Column, text: &str) -> Result<Vec<Value>, String> {
    list(text)?.iter().map(|text| value(column, text)).collect()
}

/// The texts of a list.
fn list(text: &str) -> Result<Vec<String>, String> {
    let texts = if text.starts_with('[') { json_list(text) } else { comma_list(text) };
    let texts = texts.ok_or_else(|| {
        format!("`{}` is no list: write `a,b`, `\"a,b\",c` or `[\"a\",1]`", shown(text))
    })?;
    if texts.len() > VALUES_MAX {
        return Err(format!("a list has at most {VALUES_MAX} values"));
    }
    Ok(texts)
}

/// Numbers stay the text that they are.
fn json_list(text: &str) -> Option<Vec<String>> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    let text_of = |element: &&RawValue| match element.get() {
        quoted if quoted.starts_with('"') => serde_json::from_str(quoted).ok(),
        structure if structure.starts_with(['[', '{']) || structure == "null" => None,
        bare => Some(bare.to_owned()),
    };
    elements.iter().map(text_of).collect()
}

fn comma_list(text: &str) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    let mut rest = text;
    loop {
        let Some(mut quoted) = rest.strip_prefix('"') else {
            let (one, after) =
                rest.split_once(',').map_or((rest, None), |(one, after)| (one, Some(after)));
            texts.push(one.to_owned());
            match after {
                Some(after) => rest = after,
                None => return Some(texts),
            }
            continue;
        };
        let mut one = String::new();
        loop {
            let (part, after) = quoted.split_once('"')?;
            one.push_str(part);
            // A quote is written twice.
            match after.strip_prefix('"') {
                Some(more) => {
                    one.push('"');
                    quoted = more;
                }
                None => {
                    quoted = after;
                    break;
                }
            }
        }
        texts.push(one);
        match quoted.strip_prefix(',') {
            Some(after) => rest = after,
            None => return quoted.is_empty().then_some(texts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_two_forms() {
        for (text, expected) in [
            ("a,b", Some(vec!["a", "b"])),
            ("", Some(vec![""])),
            ("\"a,b\",c", Some(vec!["a,b", "c"])),
            ("\"a \"\"b\"\"\",", Some(vec!["a \"b\"", ""])),
            ("[1.10,\"a,b\",true]", Some(vec!["1.10", "a,b", "true"])),
            ("[]", Some(vec![])),
            ("[1,", None),
            ("[null]", None),
            ("[[1]]", None),
            ("\"a", None),
            ("\"a\"b", None),
        ] {
            let found = list(text).ok();
            let expected: Option<Vec<String>> =
                expected.map(|texts| texts.into_iter().map(str::to_owned).collect());
            assert_eq!(found, expected, "{text}");
        }
        assert!(list(&",".repeat(VALUES_MAX)).is_err());
    }
}
