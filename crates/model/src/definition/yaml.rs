//! YAML text to a tree that knows where each of its values stands.
//!
//! YAML 1.2 core schema only: `true` and `false` are the only booleans, `no` is a text. Duplicate
//! keys, anchors, tags and further documents are errors: each makes a file mean something else
//! than it seems to.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::problem::{At, Problem, Source};

/// Containers inside containers.
const DEPTH_MAX: usize = 64;
/// Characters of one file.
const LENGTH_MAX: usize = 4 << 20;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) value: Value,
}

/// What YAML's core schema can hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Whole(i64),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a mapping, where it stands, and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: At,
    pub(super) node: Node,
}

impl Value {
    /// The kind of value in the words of the error messages.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Whole(_) => "a whole number",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Reads one document, as far as it can be read, with what is wrong in it.
///
/// # Errors
/// The one problem that stopped the reading.
pub(super) fn parse(source: &Source<'_>) -> Result<(Node, Vec<Problem>), Problem> {
    if source.text.len() > LENGTH_MAX {
        return Err(source.problem(At::START, "the file is larger than 4 MiB"));
    }
    let events = Parser::new_from_str(source.text);
    let mut reader = Reader { source, events, problems: Vec::new() };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_), _) => {}
            (Event::StreamEnd | Event::DocumentEnd, _) => {
                let empty = Node { at: At::START, value: Value::Map(Vec::new()) };
                return Ok((empty, reader.problems));
            }
            (event, span) => {
                let node = reader.node(event, span, 0)?;
                reader.expect_end()?;
                return Ok((node, reader.problems));
            }
        }
    }
}

/// Where the first key of a mapping stands whose value is the text.
pub(super) fn first_text(node: &Node, text: &str) -> At {
    let Value::Map(entries) = &node.value else { return node.at };
    let is_it = |entry: &&Entry| matches!(&entry.node.value, Value::Text(own) if own == text);
    entries.iter().find(is_it).map_or(node.at, |entry| entry.node.at)
}

struct Reader<'a> {
    source: &'a Source<'a>,
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    /// What is wrong and does not stop the reading.
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        match self.events.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let mark = error.marker();
                let at = At { line: mark.line(), column: mark.col() + 1, width: 1 };
                Err(self.source.problem(at, format!("this is not YAML: {}", error.info())))
            }
            None => Err(self.source.problem(At::START, "the file ends too early")),
        }
    }

    fn expect_end(&mut self) -> Result<(), Problem> {
        loop {
            match self.next()? {
                (Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => return Ok(()),
                (_, span) => {
                    return Err(self.source.problem(at(span), "a file holds one document only"));
                }
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Problem> {
        let mut at = at(span);
        if depth > DEPTH_MAX {
            return Err(self.source.problem(at, "nested more than 64 levels deep"));
        }
        let place = at;
        let refuse_tag = |tagged: bool, anchored: bool| match (tagged, anchored) {
            (true, _) => {
                Err(self.source.problem(place, "tags (`!…`) are not part of this grammar"))
            }
            (_, true) => {
                Err(self.source.problem(place, "anchors (`&…`) are not part of this grammar"))
            }
            _ => Ok(()),
        };
        let value = match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), anchor != 0)?;
                match style {
                    ScalarStyle::Plain => self.plain(&text, at),
                    _ => Value::Text(text.into_owned()),
                }
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.is_some(), anchor != 0)?;
                at.width = 1;
                Value::List(self.list(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.is_some(), anchor != 0)?;
                at.width = 1;
                Value::Map(self.map(depth)?)
            }
            Event::Alias(_) => {
                return Err(self.source.problem(at, "aliases (`*…`) are not part of this grammar"));
            }
            _ => return Err(self.source.problem(at, "a value is missing")),
        };
        Ok(Node { at, value })
    }

    /// A plain scalar. A number that would be sent otherwise than it stands here is a problem: an
    /// api version of `1.10` must not become `1.1`.
    fn plain(&mut self, text: &str, at: At) -> Value {
        let value = plain(text);
        let printed = match &value {
            Value::Whole(whole) if !text.contains(['x', 'o']) => whole.to_string(),
            Value::Number(number) => format!("{number:?}"),
            _ => return value,
        };
        if printed != text {
            let message = format!("the number `{text}` is not kept as it is written");
            let hint = match &value {
                Value::Number(number) if !number.is_finite() => "put it in quotes".to_owned(),
                _ => format!("write `{printed}` for the number, or put it in quotes for the text"),
            };
            self.problems.push(self.source.problem(at, message).with_hint(hint));
        }
        value
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (key, key_at) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (Event::Scalar(text, ..), span) => (text.into_owned(), at(span)),
                (_, span) => return Err(self.source.problem(at(span), "a key must be a text")),
            };
            let first =
                entries.iter().find(|entry| entry.key == key).map(|entry| entry.key_at.line);
            if let Some(line) = first {
                let message = format!("`{key}` stands here twice; first in line {line}");
                self.problems.push(self.source.problem(key_at, message));
            }
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            if first.is_none() {
                entries.push(Entry { key, key_at, node });
            }
        }
    }
}

fn at(span: Span) -> At {
    let is_one_line = span.start.line() == span.end.line();
    let width = if is_one_line { span.len().max(1) } else { 1 };
    At { line: span.start.line(), column: span.start.col() + 1, width }
}

/// A plain scalar by the core schema (YAML 1.2.2, section 10.3.2).
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_whole && let Ok(whole) = text.parse() {
        return Value::Whole(whole);
    }
    let based = |prefix, radix| {
        digits.strip_prefix(prefix).and_then(|rest| i64::from_str_radix(rest, radix).ok())
    };
    if let Some(whole) = based("0x", 16).or_else(|| based("0o", 8)) {
        return Value::Whole(whole);
    }
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    match text.parse() {
        Ok(number) if is_number => Value::Number(number),
        _ => Value::Text(text.to_owned()),
    }
}
