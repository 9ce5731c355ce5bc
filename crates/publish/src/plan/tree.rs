//! `$filter`: conditions as a tree, in a part of OData 4 (its URL conventions, 5.1.1).
//!
//! In: a text such as `(a eq 1 or b in ('x','y')) and not contains(c,'z')`. Out: a [`Condition`],
//! or the first thing that cannot be meant. Rows of another object that belong to this one are
//! asked for with `orders/any(o: o/amount gt 5)` and `orders/all(…)`.
//!
//! What never happens here: a literal of another type than its field, or an unbounded tree: depth
//! and number of conditions are limited before they are built.

use restway_model::nearest;

use super::filter::{self, VALUES_MAX};
use super::related::Related;
use super::{Comparison, Condition, Place, Quantity};
use crate::refusal::shown;
use crate::source::{Column, Kind};

/// Brackets and `not`s in each other.
const DEPTH_MAX: usize = 16;
/// Conditions of one filter.
const CONDITIONS_MAX: usize = 200;

/// A piece of the text.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    /// A name, number or keyword.
    Word(String),
    /// `'…'`, in which a quote is written twice.
    Text(String),
    /// `"…"`: a field whose name is no word.
    Name(String),
}

/// Reads a filter over the columns of an object and of those that belong to it.
pub(super) fn condition<'a>(
    text: &str,
    columns: &'a [Column],
    related: &'a [Related<'a>],
) -> Result<Condition<'a>, String> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        conditions: 0,
        scope: Scope { columns, alias: None },
        related,
    };
    let condition = parser.any(0)?;
    match parser.peek() {
        None => Ok(condition),
        Some(token) => Err(format!("{} is too much", told(Some(token)))),
    }
}

/// Whose fields are meant.
#[derive(Clone)]
struct Scope<'a> {
    columns: &'a [Column],
    /// The word before the `:`, which stands before each field.
    alias: Option<String>,
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    conditions: usize,
    scope: Scope<'a>,
    related: &'a [Related<'a>],
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    /// Whether the next word is this one, which is then taken.
    fn takes(&mut self, word: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Word(next)) if next == word);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, wanted: &Token) -> Result<(), String> {
        match self.next() {
            Some(token) if token == *wanted => Ok(()),
            token => Err(format!("{} where {} must be", told(token.as_ref()), told(Some(wanted)))),
        }
    }

    fn any(&mut self, depth: usize) -> Result<Condition<'a>, String> {
        let mut all = vec![self.all(depth)?];
        while self.takes("or") {
            all.push(self.all(depth)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::Any(all) })
    }

    fn all(&mut self, depth: usize) -> Result<Condition<'a>, String> {
        let mut all = vec![self.one(depth)?];
        while self.takes("and") {
            all.push(self.one(depth)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::All(all) })
    }

    fn one(&mut self, depth: usize) -> Result<Condition<'a>, String> {
        self.conditions += 1;
        if depth >= DEPTH_MAX {
            return Err(format!("brackets lie at most {DEPTH_MAX} deep in each other"));
        }
        if self.conditions > CONDITIONS_MAX {
            return Err(format!("a filter has at most {CONDITIONS_MAX} conditions"));
        }
        if self.takes("not") {
            return Ok(Condition::Not(Box::new(self.one(depth + 1)?)));
        }
        match self.next() {
            Some(Token::Open) => {
                let inner = self.any(depth + 1)?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Some(Token::Word(word)) if self.peek() == Some(&Token::Open) => {
                self.at += 1;
                self.call(&word, depth)
            }
            Some(Token::Word(name) | Token::Name(name)) => {
                let column = self.field(&name)?;
                self.comparison(column)
            }
            token => Err(format!("{} where a field must be", told(token.as_ref()))),
        }
    }

    /// What stands behind a word and its bracket.
    fn call(&mut self, word: &str, depth: usize) -> Result<Condition<'a>, String> {
        let place = match word {
            "contains" => Place::Within,
            "startswith" => Place::Start,
            "endswith" => Place::End,
            _ => match word.rsplit_once('/') {
                Some((name, "any")) => return self.related(name, Quantity::Any, depth),
                Some((name, "all")) => return self.related(name, Quantity::All, depth),
                _ => {
                    let known = ["contains", "startswith", "endswith"];
                    return Err(unknown("function", word, known.into_iter()));
                }
            },
        };
        let column = match self.next() {
            Some(Token::Word(name) | Token::Name(name)) => self.field(&name)?,
            token => return Err(format!("{} where a field must be", told(token.as_ref()))),
        };
        self.expect(&Token::Comma)?;
        let Some(Token::Text(text)) = self.next() else {
            return Err(format!("`{word}` takes a text in quotes, as in `'a'`"));
        };
        self.expect(&Token::Close)?;
        filter::has_text(column, place, &text)
    }

    /// `name/any(x: …)`, behind its bracket.
    fn related(
        &mut self,
        name: &str,
        quantity: Quantity,
        depth: usize,
    ) -> Result<Condition<'a>, String> {
        if self.scope.alias.is_some() {
            return Err("`any` and `all` do not lie in each other".to_owned());
        }
        let names = || self.related.iter().map(|related| related.name);
        let found = self.related.iter().find(|related| related.name == name);
        let related = found.ok_or_else(|| unknown("related object", name, names()))?;
        let inner = if quantity == Quantity::Any && self.peek() == Some(&Token::Close) {
            Condition::All(Vec::new())
        } else {
            let alias = self.alias()?;
            let scope = Scope { columns: &related.description.columns, alias: Some(alias) };
            let outer = std::mem::replace(&mut self.scope, scope);
            let inner = self.any(depth + 1);
            self.scope = outer;
            inner?
        };
        self.expect(&Token::Close)?;
        // A row that the caller may not see counts neither for `any` nor against `all`.
        let (seen, holds) = match (&related.only, quantity) {
            (None, _) => (quantity, inner),
            (Some(only), Quantity::Any) => {
                (Quantity::Any, Condition::All(vec![only.clone(), inner]))
            }
            (Some(only), Quantity::All) => {
                let untrue = Condition::Untrue(Box::new(inner));
                (Quantity::Any, Condition::All(vec![only.clone(), untrue]))
            }
        };
        let found = Condition::Related {
            relation: &related.object.relation,
            pairs: related.pairs.clone(),
            quantity: seen,
            condition: Box::new(holds),
        };
        Ok(if seen == quantity { found } else { Condition::Not(Box::new(found)) })
    }

    /// `x:`, whose colon may touch what follows.
    fn alias(&mut self) -> Result<String, String> {
        let wanted = "write a name and `:` first, as in `any(x: x/id eq 1)`";
        let Some(Token::Word(word)) = self.next() else { return Err(wanted.to_owned()) };
        let (alias, rest) = match word.split_once(':') {
            Some(parts) => parts,
            None if self.takes(":") => (word.as_str(), ""),
            None => return Err(wanted.to_owned()),
        };
        if !rest.is_empty() {
            self.at -= 1;
            self.tokens[self.at] = Token::Word(rest.to_owned());
        }
        Ok(alias.to_owned())
    }

    fn field(&self, name: &str) -> Result<&'a Column, String> {
        let bare = match &self.scope.alias {
            None => name,
            Some(alias) => {
                let rest =
                    name.strip_prefix(alias.as_str()).and_then(|rest| rest.strip_prefix('/'));
                rest.ok_or_else(|| format!("write `{alias}/` before the field `{}`", shown(name)))?
            }
        };
        super::column(self.scope.columns, bare).ok_or_else(|| {
            unknown("field", bare, self.scope.columns.iter().map(|column| column.name.as_str()))
        })
    }

    fn comparison(&mut self, column: &'a Column) -> Result<Condition<'a>, String> {
        let word = match self.next() {
            Some(Token::Word(word)) => word,
            token => return Err(format!("{} where `eq` must be", told(token.as_ref()))),
        };
        let comparison = match word.as_str() {
            "eq" => Comparison::Equal,
            "ne" => Comparison::Different,
            "gt" => Comparison::Greater,
            "ge" => Comparison::AtLeast,
            "lt" => Comparison::Less,
            "le" => Comparison::AtMost,
            "in" => return self.list(column),
            _ => {
                let known = ["eq", "ne", "gt", "ge", "lt", "le", "in"];
                return Err(unknown("operator", &word, known.into_iter()));
            }
        };
        if self.takes("null") {
            return match comparison {
                Comparison::Equal => Ok(Condition::Null(column)),
                Comparison::Different => Ok(Condition::Not(Box::new(Condition::Null(column)))),
                _ => Err(format!("nothing is {word} null: write `eq null` or `ne null`")),
            };
        }
        let text = self.literal(column)?;
        filter::compare(column, comparison, &text)
    }

    fn list(&mut self, column: &'a Column) -> Result<Condition<'a>, String> {
        self.expect(&Token::Open)?;
        let mut values = Vec::new();
        loop {
            let text = self.literal(column)?;
            values.push(filter::value(column, &text)?);
            if values.len() > VALUES_MAX {
                return Err(format!("a list has at most {VALUES_MAX} values"));
            }
            match self.next() {
                Some(Token::Comma) => {}
                Some(Token::Close) => return Ok(Condition::In { column, values }),
                token => return Err(format!("{} where `)` must be", told(token.as_ref()))),
            }
        }
    }

    /// Words are in quotes; what else there is may be.
    fn literal(&mut self, column: &Column) -> Result<String, String> {
        match self.next() {
            Some(Token::Text(text)) => Ok(text),
            // A day or a number may be a text; a word without quotes is rather a field.
            Some(Token::Word(word))
                if matches!(column.kind, Kind::Text | Kind::Other)
                    && word.starts_with(char::is_alphabetic) =>
            {
                Err(format!("`{}` is a text: write it in quotes, as in `'a'`", shown(&word)))
            }
            Some(Token::Word(word)) => Ok(word),
            token => Err(format!("{} where a value must be", told(token.as_ref()))),
        }
    }
}

fn unknown<'n>(what: &str, name: &str, known: impl Iterator<Item = &'n str>) -> String {
    match nearest(name, known) {
        Some(near) => format!("there is no {what} `{}`: did you mean `{near}`?", shown(name)),
        None => format!("there is no {what} `{}`", shown(name)),
    }
}

fn told(token: Option<&Token>) -> String {
    match token {
        None => "the filter ends".to_owned(),
        Some(Token::Open) => "`(`".to_owned(),
        Some(Token::Close) => "`)`".to_owned(),
        Some(Token::Comma) => "`,`".to_owned(),
        Some(Token::Word(word)) => format!("`{}`", shown(word)),
        Some(Token::Text(text)) => format!("`'{}'`", shown(text)),
        Some(Token::Name(name)) => format!("`\"{}\"`", shown(name)),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' | ',' => {
                tokens.push(match first {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    _ => Token::Comma,
                });
                1
            }
            '\'' | '"' => {
                let (inner, length) = quoted(rest, first)
                    .ok_or_else(|| format!("{first} is opened and not closed"))?;
                tokens.push(if first == '"' { Token::Name(inner) } else { Token::Text(inner) });
                length
            }
            _ => {
                let is_end =
                    |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '\'' | '"');
                let length = rest.find(is_end).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..length].to_owned()));
                length
            }
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// What stands between quotes at the start of a text, and how many bytes both take.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut inner = String::new();
    let mut at = 1;
    loop {
        let end = at + text[at..].find(quote)?;
        inner.push_str(&text[at..end]);
        at = end + 1;
        if !text[at..].starts_with(quote) {
            return Some((inner, at));
        }
        inner.push(quote);
        at += 1;
    }
}
