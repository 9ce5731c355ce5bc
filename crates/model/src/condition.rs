//! A condition over an answer: the comparisons of SQL, and nothing else of it.
//!
//! In: a text such as `meta.has_more = false or page >= total_pages`, once, when the definition is
//! checked. Out: a tree that says for each answer whether it holds. Operands are the paths of the
//! one path language and literals; `and`, `or`, `not`, parentheses, `=`, `<>`, `<`, `<=`, `>`,
//! `>=`, `is null` and `is not null` are what SQL makes of them (ISO/IEC 9075-2, 8.2 and 6.39):
//! what is missing is null, and a comparison with null, or of unlike kinds, is unknown, which does
//! not hold. What never happens here: arithmetic, functions, or a text read as a number. So that
//! calling needs no query engine.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::RecordPath;
use crate::row_rule::CallerValue;

/// Longer texts are no conditions that anybody reads.
const LENGTH_MAX: usize = 2_000;
/// Parentheses and `not` inside each other.
const DEPTH_MAX: usize = 32;

/// A condition over an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    source: String,
    root: Node,
}

/// A text that is not a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a condition: at character {at} {problem}")]
pub struct InvalidCondition {
    /// The text.
    pub text: String,
    /// The character, from 1, that stopped the reading of it.
    pub at: usize,
    /// What is wrong there.
    pub problem: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Or(Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Compare(Operand, Comparison, Operand),
    IsNull(Operand),
    /// A path or literal that stands alone.
    Truth(Operand),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand {
    Path(RecordPath),
    Literal(Value),
    /// Only in rules for rows (`row_rule`).
    Caller(CallerValue),
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Different.
    Unequal,
    /// Less.
    Less,
    /// Less or equal.
    LessOrEqual,
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
}

impl Condition {
    /// Whether it holds for an answer; unknown does not.
    pub fn holds(&self, answer: &Value) -> bool {
        self.root.truth(answer) == Some(true)
    }
}

impl Node {
    /// SQL's three values; `None` is unknown.
    fn truth(&self, answer: &Value) -> Option<bool> {
        match self {
            Self::Or(left, right) => match (left.truth(answer), right.truth(answer)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Self::And(left, right) => match (left.truth(answer), right.truth(answer)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Not(inner) => inner.truth(answer).map(|truth| !truth),
            Self::Compare(left, comparison, right) => {
                comparison.of(left.value(answer), right.value(answer))
            }
            Self::IsNull(operand) => Some(operand.value(answer).is_null()),
            Self::Truth(operand) => operand.value(answer).as_bool(),
        }
    }
}

impl Operand {
    fn value<'a>(&'a self, answer: &'a Value) -> &'a Value {
        match self {
            Self::Path(path) => path.find(answer).unwrap_or(&Value::Null),
            Self::Literal(value) => value,
            Self::Caller(_) => &Value::Null,
        }
    }
}

impl Comparison {
    /// The same with the sides exchanged.
    pub(crate) fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Equal | Self::Unequal => self,
        }
    }

    fn of(self, left: &Value, right: &Value) -> Option<bool> {
        let ordering = match (left, right) {
            (Value::Number(left), Value::Number(right)) => ordering(left, right)?,
            (Value::String(left), Value::String(right)) => left.cmp(right),
            (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
            _ => return None,
        };
        Some(match self {
            Self::Equal => ordering.is_eq(),
            Self::Unequal => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        })
    }
}

/// Whole numbers are compared exactly.
fn ordering(left: &Number, right: &Number) -> Option<Ordering> {
    let whole = |number: &Number| {
        number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
    };
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    Compare(Comparison),
    /// A word that SQL keeps, in lower case: `and`, `or`, `not`, `is`, `null`.
    Word(&'static str),
    Operand(Operand),
    End,
}

/// A problem and the byte where it is.
type Problem = (usize, String);

struct Parser<'a> {
    text: &'a str,
    at: usize,
    token: Token,
    /// Where `token` begins.
    from: usize,
    /// Whether `${…}` stands for what is known of a caller.
    knows_caller: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, knows_caller: bool) -> Result<Self, Problem> {
        let mut parser = Self { text, at: 0, token: Token::End, from: 0, knows_caller };
        parser.advance()?;
        Ok(parser)
    }

    fn expected<T>(&self, what: &str) -> Result<T, Problem> {
        Err((self.from, format!("{what} is expected")))
    }

    fn advance(&mut self) -> Result<Token, Problem> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.from = self.at;
        let rest = &self.text[self.at..];
        let (token, length) = match rest.as_bytes() {
            [] => (Token::End, 0),
            [b'(', ..] => (Token::Open, 1),
            [b')', ..] => (Token::Close, 1),
            [b'<', b'>', ..] | [b'!', b'=', ..] => (Token::Compare(Comparison::Unequal), 2),
            [b'<', b'=', ..] => (Token::Compare(Comparison::LessOrEqual), 2),
            [b'>', b'=', ..] => (Token::Compare(Comparison::GreaterOrEqual), 2),
            [b'=', b'=', ..] => return Err((self.at, "`==` is written `=`".into())),
            [b'=', ..] => (Token::Compare(Comparison::Equal), 1),
            [b'<', ..] => (Token::Compare(Comparison::Less), 1),
            [b'>', ..] => (Token::Compare(Comparison::Greater), 1),
            [b'\'', ..] => literal_text(rest).ok_or((self.at, "a quote is not closed".into()))?,
            [b'$', b'{', ..] if self.knows_caller => self.caller(rest)?,
            [first, ..] if first.is_ascii_digit() || *first == b'-' => self.number(rest)?,
            _ => self.word(rest)?,
        };
        self.at += length;
        Ok(std::mem::replace(&mut self.token, token))
    }

    /// `${user}` or `${claim.name}`.
    fn caller(&self, rest: &str) -> Result<(Token, usize), Problem> {
        let end = rest.find('}').ok_or((self.at, "a `${` is not closed".to_owned()))?;
        let value = CallerValue::parse(&rest[2..end]).ok_or_else(|| {
            let written = &rest[..=end];
            let hint = "write `${user}` or `${claim.NAME}`";
            (self.at, format!("`{written}` has no meaning here: {hint}"))
        })?;
        Ok((Token::Operand(Operand::Caller(value)), end + 1))
    }

    fn number(&self, rest: &str) -> Result<(Token, usize), Problem> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        match serde_json::from_str::<Number>(&rest[..length]) {
            Ok(number) => Ok((Token::Operand(Operand::Literal(Value::Number(number))), length)),
            Err(_) => Err((self.at, format!("`{}` is no number", &rest[..length]))),
        }
    }

    /// A kept word or a path.
    fn word(&self, rest: &str) -> Result<(Token, usize), Problem> {
        let mut path = String::new();
        let mut length = 0;
        while let Some(next) = rest[length..].chars().next() {
            match next {
                '[' | '"' => {
                    let (step, read) = quoted(&rest[length..])
                        .ok_or((self.at + length, format!("a `{next}` is not closed")))?;
                    path = path.strip_suffix('.').map(str::to_owned).unwrap_or(path);
                    path.push_str(&step);
                    length += read;
                }
                '$' | '.' | '_' | '-' | '@' => {
                    path.push(next);
                    length += 1;
                }
                letter if letter.is_alphanumeric() => {
                    path.push(letter);
                    length += letter.len_utf8();
                }
                _ => break,
            }
        }
        if length == 0 {
            let first = rest.chars().next().unwrap_or_default();
            return Err((self.at, format!("`{first}` has no meaning in a condition")));
        }
        let token = match path.to_ascii_lowercase().as_str() {
            "and" => Token::Word("and"),
            "or" => Token::Word("or"),
            "not" => Token::Word("not"),
            "is" => Token::Word("is"),
            "null" => Token::Word("null"),
            "true" => Token::Operand(Operand::Literal(Value::Bool(true))),
            "false" => Token::Operand(Operand::Literal(Value::Bool(false))),
            _ => {
                let path = path.parse();
                Token::Operand(Operand::Path(
                    path.map_err(|error: crate::InvalidPath| (self.at, error.to_string()))?,
                ))
            }
        };
        Ok((token, length))
    }

    fn accept(&mut self, word: &str) -> Result<bool, Problem> {
        let is_it = matches!(self.token, Token::Word(known) if known == word);
        if is_it {
            self.advance()?;
        }
        Ok(is_it)
    }

    fn or(&mut self, depth: usize) -> Result<Node, Problem> {
        let mut node = self.and(depth)?;
        while self.accept("or")? {
            node = Node::Or(Box::new(node), Box::new(self.and(depth)?));
        }
        Ok(node)
    }

    fn and(&mut self, depth: usize) -> Result<Node, Problem> {
        let mut node = self.not(depth)?;
        while self.accept("and")? {
            node = Node::And(Box::new(node), Box::new(self.not(depth)?));
        }
        Ok(node)
    }

    fn not(&mut self, depth: usize) -> Result<Node, Problem> {
        if depth > DEPTH_MAX {
            return Err((self.from, format!("are more than {DEPTH_MAX} levels")));
        }
        if self.accept("not")? {
            return Ok(Node::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.token == Token::Open {
            self.advance()?;
            let node = self.or(depth + 1)?;
            if self.token != Token::Close {
                return self.expected("`)`");
            }
            self.advance()?;
            return Ok(node);
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Node, Problem> {
        let left = self.operand()?;
        if self.accept("is")? {
            let is_not = self.accept("not")?;
            if !self.accept("null")? {
                return self.expected("`null`");
            }
            let node = Node::IsNull(left);
            return Ok(if is_not { Node::Not(Box::new(node)) } else { node });
        }
        let Token::Compare(comparison) = self.token else {
            return Ok(Node::Truth(left));
        };
        self.advance()?;
        Ok(Node::Compare(left, comparison, self.operand()?))
    }

    fn operand(&mut self) -> Result<Operand, Problem> {
        match self.token {
            Token::Operand(_) => match self.advance()? {
                Token::Operand(operand) => Ok(operand),
                _ => self.expected("a path or a value"),
            },
            Token::Word("null") => {
                Err((self.from, "nothing is equal to null: write `is null`".into()))
            }
            _ => self.expected("a path or a value"),
        }
    }
}

/// `'it''s'` and its length.
fn literal_text(rest: &str) -> Option<(Token, usize)> {
    let mut text = String::new();
    let mut at = 1;
    loop {
        let end = at + rest[at..].find('\'')?;
        text.push_str(&rest[at..end]);
        at = end + 1;
        if !rest[at..].starts_with('\'') {
            return Some((Token::Operand(Operand::Literal(Value::String(text))), at));
        }
        text.push('\'');
        at += 1;
    }
}

/// `[0]`, `['any name']` or SQL's `"any name"` as a step, and the length.
fn quoted(rest: &str) -> Option<(String, usize)> {
    if let Some(inside) = rest.strip_prefix('"') {
        let end = inside.find('"')?;
        return Some((format!("[\"{}\"]", &inside[..end]), end + 2));
    }
    let quote = rest[1..].chars().next().filter(|first| matches!(first, '\'' | '"'));
    let end = match quote {
        Some(quote) => 2 + rest[2..].find(quote)? + 1,
        None => rest.find(']')?,
    };
    let length = rest[end..].starts_with(']').then_some(end + 1)?;
    Some((rest[..length].to_owned(), length))
}

impl FromStr for Condition {
    type Err = InvalidCondition;

    fn from_str(text: &str) -> Result<Self, InvalidCondition> {
        Ok(Self { source: text.to_owned(), root: read(text, false)? })
    }
}

/// The tree of a text; with `knows_caller` one that may have `${…}` for values.
pub(crate) fn read(text: &str, knows_caller: bool) -> Result<Node, InvalidCondition> {
    let root = || {
        if text.len() > LENGTH_MAX {
            return Err((LENGTH_MAX, "it is too long".to_owned()));
        }
        let mut parser = Parser::new(text, knows_caller)?;
        let root = parser.or(0)?;
        match parser.token {
            Token::End => Ok(root),
            _ => parser.expected("`and`, `or` or the end"),
        }
    };
    root().map_err(|(at, problem)| {
        let before = text.bytes().take(at).filter(|byte| byte & 0xc0 != 0x80).count();
        InvalidCondition { text: text.to_owned(), at: before + 1, problem }
    })
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.source)
    }
}

impl Serialize for Condition {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Condition {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Condition".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "condition" })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_hold_as_in_sql() {
        let answer = json!({
            "meta": {"has_more": false, "page": 3, "pages": 3, "next": null, "big": u64::MAX},
            "status": "done", "it's": "x'y", "list": [{"n": 1.5}], "numeric": "3",
        });
        let table = [
            ("meta.has_more = false", true),
            ("not meta.has_more", true),
            ("meta.has_more", false),
            ("meta.page >= meta.pages", true),
            ("META.page >= 3", false),
            ("meta.page <> 3 OR status = 'done'", true),
            ("meta.page != 3", false),
            ("status = 'done' and not (meta.page < 3)", true),
            ("status='done'and(meta.page=3)", true),
            ("meta.next is null and absent is null", true),
            ("meta.page IS NOT NULL", true),
            ("absent = 1 or absent <> 1 or not (absent = 1)", false),
            ("absent = 1 or true", true),
            ("numeric = 3", false),
            ("numeric = '3'", true),
            ("status", false),
            ("\"it's\" = 'x''y'", true),
            ("list[0].n > 1 and list[0].n < 2", true),
            ("meta.\"page\" = 3 and $.meta['page'] = 3", true),
            ("meta.big = 18446744073709551615", true),
            ("meta.big = 18446744073709551614", false),
            ("meta.page > -1", true),
            ("false or false and true", false),
            ("true or false and false", true),
        ];
        for (text, expected) in table {
            let condition: Condition = text.parse().expect(text);
            assert_eq!(condition.holds(&answer), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused_with_its_place() {
        let table = [
            ("", 1, "a path or a value is expected"),
            ("a = ", 5, "a path or a value is expected"),
            ("a == 1", 3, "`==` is written `=`"),
            ("a = null", 5, "nothing is equal to null: write `is null`"),
            ("a is 1", 6, "`null` is expected"),
            ("ü = 1 b", 7, "`and`, `or` or the end is expected"),
            ("(a = 1", 7, "`)` is expected"),
            ("a = 'x", 5, "a quote is not closed"),
            ("a + 1", 3, "`+` has no meaning in a condition"),
            ("a = 1x", 5, "`1x` is no number"),
            ("a[0 = 1", 2, "a `[` is not closed"),
            ("and", 1, "a path or a value is expected"),
        ];
        for (text, at, problem) in table {
            let error = text.parse::<Condition>().expect_err(text);
            assert_eq!((error.at, error.problem.as_str()), (at, problem), "{text}");
        }
        let deep = "(".repeat(40) + "a" + &")".repeat(40);
        assert!(deep.parse::<Condition>().is_err());
        assert!(format!("a = '{}'", "x".repeat(3_000)).parse::<Condition>().is_err());
    }
}
