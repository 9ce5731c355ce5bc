//! Patterns that a caller means, and elements of JSON lists, in each dialect.
//!
//! In: a pattern in which `%` is any text, `_` any character and `\` takes both their meaning, or
//! a JSON value. Out: a condition. What never happens here: a pattern that a database reads in
//! another way than the others, or JSON that a damaged value makes an error of.

use serde_json::Value;

use super::dialect::{Bound, Dialect, Writer};
use crate::source::Column;

/// A piece of a pattern.
enum Piece {
    /// `%`
    Any,
    /// `_`
    One,
    /// A character that means itself.
    Itself(char),
}

fn pieces(pattern: &str) -> impl Iterator<Item = Piece> + '_ {
    let mut characters = pattern.chars();
    std::iter::from_fn(move || {
        Some(match characters.next()? {
            '%' => Piece::Any,
            '_' => Piece::One,
            '\\' => Piece::Itself(characters.next().unwrap_or('\\')),
            other => Piece::Itself(other),
        })
    })
}

/// The pattern of `LIKE` with an escape of ours.
fn escaped(pattern: &str, escape: char) -> String {
    let mut text = String::with_capacity(pattern.len() + 2);
    for piece in pieces(pattern) {
        match piece {
            Piece::Any => text.push('%'),
            Piece::One => text.push('_'),
            Piece::Itself(character) => {
                if character == '%' || character == '_' || character == escape {
                    text.push(escape);
                }
                text.push(character);
            }
        }
    }
    text
}

/// The pattern of SQLite's `GLOB`, which tells upper case from lower: <https://sqlite.org/lang_expr.html>
fn glob(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len() + 2);
    for piece in pieces(pattern) {
        match piece {
            Piece::Any => text.push('*'),
            Piece::One => text.push('?'),
            Piece::Itself(character @ ('*' | '?' | '[')) => {
                text.push('[');
                text.push(character);
                text.push(']');
            }
            Piece::Itself(character) => text.push(character),
        }
    }
    text
}

/// A column's text is like a pattern.
pub(super) fn like(writer: &mut Writer, alias: &str, column: &Column, folds: bool, pattern: &str) {
    let dialect = writer.dialect;
    let lowers = folds && matches!(dialect, Dialect::Mysql | Dialect::Lake);
    writer.push(if lowers { "LOWER(" } else { "" });
    writer.as_text(alias, column);
    writer.push(if lowers { ")" } else { "" });
    match dialect {
        // Its own escape is the only one it knows.
        Dialect::Lake => {
            writer.push(if folds { " LIKE LOWER(CAST(" } else { " LIKE CAST(" });
            writer.bind(Bound::Text(escaped(pattern, '\\')));
            writer.push(if folds { " AS VARCHAR))" } else { " AS VARCHAR)" });
        }
        Dialect::Sqlite if !folds => {
            writer.push(" GLOB ");
            writer.bind(Bound::Text(glob(pattern)));
        }
        Dialect::Sqlite => {
            writer.push(" LIKE ");
            writer.bind(Bound::Text(escaped(pattern, '!')));
            writer.push(" ESCAPE '!'");
        }
        Dialect::Postgres => {
            writer.push(if folds { " ILIKE " } else { " LIKE " });
            writer.bind(Bound::Text(escaped(pattern, '!')));
            writer.push(" ESCAPE '!'");
        }
        Dialect::Mysql => {
            writer.push(if folds { " LIKE LOWER(" } else { " LIKE " });
            writer.bind(Bound::Text(escaped(pattern, '!')));
            writer.push(if folds { ")" } else { "" });
            writer.push(" COLLATE utf8mb4_bin ESCAPE '!'");
        }
    }
}

/// A column's JSON is a list with this element. What is no list has none, and what is no JSON
/// neither.
pub(super) fn has_element(writer: &mut Writer, alias: &str, column: &Column, element: &Value) {
    let json = Bound::Text(element.to_string());
    match writer.dialect {
        // Plan lets no request for this come here.
        Dialect::Lake => writer.push("FALSE"),
        Dialect::Sqlite => {
            writer.push("CASE WHEN json_valid(");
            writer.column(alias, column);
            writer.push(") THEN json_type(");
            writer.column(alias, column);
            writer.push(") = 'array' AND EXISTS (SELECT 1 FROM json_each(");
            writer.column(alias, column);
            writer.push(") AS e, json_each(");
            writer.bind(Bound::Text(format!("[{element}]")));
            writer.push(
                ") AS w WHERE e.atom IS w.atom AND (e.type = w.type \
                 OR (e.type IN ('integer', 'real') AND w.type IN ('integer', 'real')))) \
                 ELSE FALSE END",
            );
        }
        Dialect::Postgres => {
            writer.push("(jsonb_typeof(");
            writer.comparable(alias, column);
            writer.push(") = 'array' AND ");
            writer.comparable(alias, column);
            writer.push(" @> CAST(");
            writer.bind(json);
            writer.push(" AS jsonb))");
        }
        Dialect::Mysql => {
            writer.push("(JSON_TYPE(");
            writer.column(alias, column);
            writer.push(") = 'ARRAY' AND JSON_CONTAINS(");
            writer.column(alias, column);
            writer.push(", ");
            writer.bind(json);
            writer.push("))");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_the_same_in_each_form() {
        for (pattern, like, globbed) in [
            ("a%b_c", "a%b_c", "a*b?c"),
            ("50\\%", "50!%", "50%"),
            ("*[x]?!", "*[x]?!!", "[*][[]x][?]!"),
            ("\\\\\\_", "\\!_", "\\_"),
            ("end\\", "end\\", "end\\"),
        ] {
            assert_eq!((escaped(pattern, '!'), glob(pattern)), (like.into(), globbed.into()));
        }
        assert_eq!(escaped("\\%a", '\\'), "\\%a");
    }
}
