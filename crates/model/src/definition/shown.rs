//! A line of a person's file as it may be shown: its keys, and the place that is meant.
//!
//! In: a line, and the stretch of it that a message is about. Out: the line with `***` for every
//! other value, and for the meant one too where a key says that it is a credential. A misspelled
//! key tells nothing about its value, so no list of keys decides what stays. What stands before
//! the stretch keeps its length, because carets point below it.

use std::ops::Range;

use crate::names_credential;

const MASK: &str = "***";

/// The line with its values masked; `hides` says that the stretch is one that must not be shown.
pub(super) fn shown(line: &str, meant: Range<usize>, hides: bool) -> String {
    let chars: Vec<char> = line.chars().collect();
    let mut reader =
        Reader { chars, at: 0, depth: 0, out: String::new(), meant, hides, named: false };
    while let Some(next) = reader.chars.get(reader.at).copied() {
        reader.step(next);
    }
    reader.out
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    /// How many `{` and `[` are open.
    depth: usize,
    out: String,
    meant: Range<usize>,
    hides: bool,
    /// Whether a key or a list's dash came before: a line without is the rest of something.
    named: bool,
}

impl Reader {
    fn step(&mut self, next: char) {
        let is_dash = next == '-' && self.is_blank(self.at + 1);
        match next {
            '{' | '[' => self.depth += 1,
            '}' | ']' => self.depth = self.depth.saturating_sub(1),
            '#' => {
                self.out.push_str("# ");
                self.out.push_str(MASK);
                self.at = self.chars.len();
                return;
            }
            _ => {}
        }
        let is_mark = is_dash || next.is_whitespace() || "{}[],".contains(next);
        if is_mark {
            self.named |= is_dash || "{[".contains(next);
            self.out.push(next);
            self.at += 1;
            return;
        }
        let scalar = self.at..self.end(next);
        self.at = scalar.end;
        let gap = self.chars.iter().skip(scalar.end).take_while(|one| one.is_whitespace()).count();
        let colon = scalar.end + gap;
        let is_quoted = matches!(next, '"' | '\'');
        let key: String = self.chars[scalar.clone()].iter().collect();
        let is_key = is_quoted || (self.is_blank(colon + 1) && !key.contains(' '));
        if self.chars.get(colon) == Some(&':') && is_key {
            self.hides |= names_credential(key.trim_matches(['"', '\'']));
            self.named = true;
            self.out.push_str(&key);
            self.out.extend(&self.chars[scalar.end..=colon]);
            self.at = colon + 1;
            return;
        }
        self.value(scalar);
    }

    fn value(&mut self, scalar: Range<usize>) {
        let text: String = self.chars[scalar.clone()].iter().collect();
        let has_user = text.contains("://") && text.contains('@');
        if scalar.contains(&self.meant.start) && self.named && !self.hides && !has_user {
            let end = self.meant.end.clamp(self.meant.start, scalar.end);
            self.mask(scalar.start..self.meant.start);
            self.out.extend(&self.chars[self.meant.start..end]);
            self.mask(end..scalar.end);
        } else {
            self.mask(scalar);
        }
    }

    fn mask(&mut self, hidden: Range<usize>) {
        let length = hidden.len();
        match hidden.end <= self.meant.start {
            true => self.out.push_str(&format!("{:length$}", &MASK[..length.min(MASK.len())])),
            false if length > 0 => self.out.push_str(MASK),
            false => {}
        }
    }

    fn is_blank(&self, at: usize) -> bool {
        self.chars.get(at).is_none_or(|next| next.is_whitespace())
    }

    /// Where the scalar that begins here ends.
    fn end(&self, first: char) -> usize {
        let mut at = self.at + 1;
        if matches!(first, '"' | '\'') {
            while let Some(&next) = self.chars.get(at) {
                at += 1;
                match next {
                    '\\' if first == '"' => at += 1,
                    next if next == first => break,
                    _ => {}
                }
            }
            return at.min(self.chars.len());
        }
        while let Some(&next) = self.chars.get(at) {
            let ends_key = next == ':' && self.is_blank(at + 1);
            // A list or mapping may be open since a line before.
            let ends_item = next == ',' && self.is_blank(at + 1);
            let ends_flow = ends_item || (self.depth > 0 && ",]}".contains(next));
            let ends_line = next == '#' && self.chars.get(at - 1).is_some_and(|c| *c == ' ');
            if ends_key || ends_flow || ends_line {
                break;
            }
            at += 1;
        }
        let blanks = self.chars[self.at..at].iter().rev().take_while(|one| one.is_whitespace());
        at - blanks.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_line_only_keys_and_what_is_meant_are_shown() {
        let table = [
            ("password: hunter2-x", "hunter2-x", "password: ***"),
            ("passwrd: hunter2-x # hunter2", "passwrd", "passwrd: *** # ***"),
            ("method: GTE", "GTE", "method: GTE"),
            ("a: { token: abcdef, kind: wrogn }", "wrogn", "a: { token: ***   , kind: *** }"),
            ("a: { name: abcdef, kind: wrogn }", "wrogn", "a: { name: ***   , kind: wrogn }"),
            ("  kind: wrogn, token: abc }", "wrogn", "  kind: wrogn, token: ***"),
            ("  'client_key': \"a: \\\"b\", x: 1", "x", "  'client_key': ***     , x: ***"),
            ("  hunter2-goes-on", "hunter2-goes-on", "  ***"),
            ("  - '*.acme'", "'*.acme'", "  - '*.acme'"),
            ("url: htp://u:p@h", "htp://u:p@h", "url: ***"),
            ("x: \"hunter2", "\"hunter2", "x: \"hunter2"),
        ];
        for (line, meant, expected) in table {
            let start = line.find(meant).expect(meant);
            let shown = shown(line, start..start + meant.len(), false);
            assert_eq!(shown, expected, "{line}");
        }
        assert_eq!(shown("base_url: https://u:p@h/", 10..24, true), "base_url: ***");
    }
}
