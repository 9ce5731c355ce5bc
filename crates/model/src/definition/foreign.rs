//! Documents that others wrote: any JSON or YAML, as a value.
//!
//! In: a text. Out: its value. Where our own files are read strictly, these are taken as they are:
//! tags are passed over, anchors and `<<` are resolved, of a key that stands twice the last one
//! holds, and a bracket may end as far left as the key that it belongs to, which YAML 1.2 forbids
//! and libyaml and its kin allow. What never happens here: more values than a bound, which aliases
//! of aliases would otherwise make of a few lines.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Value};

use super::yaml;

/// Containers inside containers.
const DEPTH_MAX: usize = 100;
/// Brackets that end too far left; each has the text read once more.
const BRACKETS_MAX: usize = 64;
/// Values of one document, those that aliases repeat counted each time.
const VALUES_MAX: usize = 20_000_000;

/// Reads the first document of a text.
///
/// # Errors
/// Why it is neither JSON nor YAML.
pub fn foreign_value(text: &str) -> Result<Value, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with(['{', '[']) {
        match serde_json::from_str(text) {
            Ok(value) => return Ok(value),
            // YAML has lists and mappings in brackets, too; only JSON can be this large.
            Err(error) if text.len() > (1 << 20) => return Err(error.to_string()),
            Err(error) => return read(text).map_err(|_| error.to_string()),
        }
    }
    read(text)
}

fn read(text: &str) -> Result<Value, String> {
    let mut text = Cow::Borrowed(text);
    let mut mended = 0;
    for _ in 0..BRACKETS_MAX {
        let mut reader = Reader {
            events: Parser::new_from_str(&text),
            anchors: HashMap::new(),
            values_left: VALUES_MAX,
            failed_line: 0,
        };
        let problem = match reader.document() {
            Ok(value) => return Ok(value),
            Err(problem) => problem,
        };
        let line = reader.failed_line;
        let moved = (line > mended).then(|| with_bracket_moved(&text, line)).flatten();
        text = Cow::Owned(moved.ok_or(problem)?);
        mended = line;
    }
    Err(format!("more than {BRACKETS_MAX} brackets end too far left, the last in line {mended}"))
}

/// The text with the bracket at the beginning of the line moved to the right, if there is one.
fn with_bracket_moved(text: &str, line: usize) -> Option<String> {
    let start = match line.checked_sub(2)? {
        0 => text.find('\n')? + 1,
        ends => text.match_indices('\n').nth(ends)?.0 + 1,
    };
    let (before, rest) = text.split_at(start);
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let above = before.lines().next_back().map_or(0, indent);
    let is_bracket = rest.trim_start_matches(' ').starts_with(['}', ']']);
    is_bracket.then(|| format!("{before}{:above$} {rest}", ""))
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    /// What each anchor stands for, and how many values that is.
    anchors: HashMap<usize, (Value, usize)>,
    values_left: usize,
    /// The line where it is no YAML; 0 before that.
    failed_line: usize,
}

impl<'a> Reader<'a> {
    /// The first document.
    fn document(&mut self) -> Result<Value, String> {
        loop {
            match self.next()? {
                Event::StreamStart | Event::DocumentStart(_) => {}
                Event::StreamEnd | Event::DocumentEnd => return Ok(Value::Null),
                event => return self.value(event, 0),
            }
        }
    }

    fn next(&mut self) -> Result<Event<'a>, String> {
        match self.events.next() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => {
                self.failed_line = error.marker().line();
                Err(format!("line {}: {}", error.marker().line(), error.info()))
            }
            None => Err("the text ends too early".into()),
        }
    }

    fn spend(&mut self, count: usize) -> Result<(), String> {
        let left = self.values_left.checked_sub(count);
        self.values_left = left.ok_or_else(|| format!("more than {VALUES_MAX} values"))?;
        Ok(())
    }

    fn value(&mut self, event: Event<'a>, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            return Err(format!("nested more than {DEPTH_MAX} levels deep"));
        }
        self.spend(1)?;
        let before = self.values_left;
        let (value, anchor) = match event {
            Event::Scalar(text, ScalarStyle::Plain, anchor, _) => (plain(&text), anchor),
            Event::Scalar(text, _, anchor, _) => (Value::from(text.into_owned()), anchor),
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => break,
                        event => items.push(self.value(event, depth + 1)?),
                    }
                }
                (Value::Array(items), anchor)
            }
            Event::MappingStart(anchor, _) => (Value::Object(self.members(depth)?), anchor),
            Event::Alias(anchor) => {
                let (value, count) = self.anchors.get(&anchor).cloned().unwrap_or_default();
                self.spend(count)?;
                return Ok(value);
            }
            _ => return Err("a value is missing".into()),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), 1 + before - self.values_left));
        }
        Ok(value)
    }

    fn members(&mut self, depth: usize) -> Result<Map<String, Value>, String> {
        let mut members = Map::new();
        let mut merged = Vec::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => text.into_owned(),
                event => self.value(event, depth + 1)?.to_string(),
            };
            let event = self.next()?;
            let value = self.value(event, depth + 1)?;
            match value {
                Value::Object(others) if key == "<<" => merged.extend(others),
                value => {
                    members.insert(key, value);
                }
            }
        }
        for (key, value) in merged {
            members.entry(key).or_insert(value);
        }
        Ok(members)
    }
}

fn plain(text: &str) -> Value {
    match yaml::plain(text) {
        yaml::Value::Null => Value::Null,
        yaml::Value::Bool(value) => value.into(),
        yaml::Value::Whole(value) => value.into(),
        yaml::Value::Number(value) => value.into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn takes_what_our_own_files_may_not_have() {
        let text = "a: &x { n: 1.10, s: '1' }\nb: *x\nc:\n  <<: *x\n  n: !!int 2\na2: [no, 0x10]\n";
        let x = json!({"n": 1.1, "s": "1"});
        let read = json!({"a": x, "b": x, "c": {"n": 2, "s": "1"}, "a2": ["no", 16]});
        assert_eq!(foreign_value(text), Ok(read));
        assert_eq!(foreign_value("\u{feff}{\"a\": 1}"), Ok(json!({"a": 1})));
        assert_eq!(foreign_value("{a: 1}"), Ok(json!({"a": 1})));
    }

    #[test]
    fn a_bracket_may_end_as_far_left_as_its_key() {
        let text = "a:\n  b: {\n    c: [\n      1\n  ]\n  }\n  d: {\n    e: 2\n  }\nf: {\n}\n";
        let read = json!({"a": {"b": {"c": [1]}, "d": {"e": 2}}, "f": {}});
        assert_eq!(foreign_value(text), Ok(read));
        let problem = foreign_value("a:\n  b: {\n    c\n}\nd: ]\n").expect_err("no YAML");
        assert!(problem.starts_with("line 5: "), "{problem}");
        let many = "a: {\n}\n".repeat(BRACKETS_MAX + 9);
        assert!(foreign_value(&many).is_err());
    }

    #[test]
    fn a_few_lines_do_not_become_a_billion_values() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        assert!(foreign_value(&text).is_err_and(|problem| problem.contains("values")));
        let deep = "[".repeat(5_000);
        assert!(foreign_value(&deep).is_err());
        assert!(foreign_value(&format!("a: {deep}")).is_err());
    }
}
