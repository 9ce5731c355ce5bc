//! The words of a shell line.
//!
//! In: a line as a browser copies it for a POSIX shell, or as documentation has it, with
//! continued lines. Out: its words (POSIX.1-2024, XCU 2.2, and `$'…'` of 2.2.4). Nothing is
//! expanded, no file is read, and a second command is an error.

/// The longest line, in bytes.
const LENGTH_MAX: usize = 16 << 20;

/// The words, up to the end of the first command.
pub(super) fn words(line: &str) -> Result<Vec<String>, String> {
    if line.len() > LENGTH_MAX {
        return Err("it is longer than 16 MiB".into());
    }
    if line.contains("^\"") || line.contains("^\r\n") || line.contains("^\n") {
        return Err("it is a line for the Windows prompt: copy it as cURL (bash)".into());
    }
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.trim().chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\\' => match rest.next() {
                Some('\n') | None => {}
                Some('\r') => drop(rest.next_if_eq(&'\n')),
                Some(other) => word.get_or_insert_default().push(other),
            },
            '$' if rest.next_if_eq(&'\'').is_some() => {
                ansi(&mut rest, word.get_or_insert_default())?;
            }
            '\'' => quoted(&mut rest, '\'', word.get_or_insert_default())?,
            '"' => quoted(&mut rest, '"', word.get_or_insert_default())?,
            '#' if word.is_none() => while rest.next_if(|c| *c != '\n').is_some() {},
            '\n' | ';' | '|' if !words.is_empty() || word.is_some() => {
                words.extend(word.take());
                let begins = |c: char| !c.is_whitespace() && c != ';';
                if next == '|' || rest.by_ref().any(begins) {
                    return Err("it has more than one command: import them one by one".into());
                }
            }
            blank if blank.is_whitespace() => words.extend(word.take()),
            '>' | '<' => return Err("it redirects input or output: leave that out".into()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn quoted(rest: &mut Rest<'_>, quote: char, word: &mut String) -> Result<(), String> {
    while let Some(next) = rest.next() {
        match next {
            end if end == quote => return Ok(()),
            '\\' if quote == '"' => match rest.next() {
                Some('\n') | None => {}
                Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
    Err(format!("a {quote} is not closed"))
}

/// `$'…'`, with its escapes.
fn ansi(rest: &mut Rest<'_>, word: &mut String) -> Result<(), String> {
    while let Some(next) = rest.next() {
        match next {
            '\'' => return Ok(()),
            '\\' => {
                let Some(escape) = rest.next() else { break };
                let (length, radix) = match escape {
                    'x' => (2, 16),
                    'u' => (4, 16),
                    'U' => (8, 16),
                    'n' => {
                        word.push('\n');
                        continue;
                    }
                    'r' => {
                        word.push('\r');
                        continue;
                    }
                    't' => {
                        word.push('\t');
                        continue;
                    }
                    other => {
                        word.push(other);
                        continue;
                    }
                };
                let mut code = 0u32;
                for _ in 0..length {
                    let Some(digit) = rest.peek().and_then(|c| c.to_digit(radix)) else { break };
                    code = code.saturating_mul(radix).saturating_add(digit);
                    rest.next();
                }
                word.push(char::from_u32(code).unwrap_or('\u{fffd}'));
            }
            other => word.push(other),
        }
    }
    Err("a $' is not closed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_shell() {
        let table: [(&str, &[&str]); 7] = [
            ("curl  'a b'\\\n  \"c\\\"d\\e\" f\\ g", &["curl", "a b", "c\"d\\e", "f g"]),
            ("curl $'a\\'b\\u0021\\x41\\n'", &["curl", "a'b!A\n"]),
            ("curl ''", &["curl", ""]),
            ("\n  curl x \\\r\n -k\n", &["curl", "x", "-k"]),
            ("curl a'b'\"c\"", &["curl", "abc"]),
            ("curl '${secret.x} $HOME'", &["curl", "${secret.x} $HOME"]),
            ("# comment\ncurl x ;", &["curl", "x"]),
        ];
        for (line, expected) in table {
            assert_eq!(words(line).as_deref(), Ok(&expected.map_words()[..]), "{line}");
        }
        for line in ["curl 'a", "curl a\ncurl b", "curl a | jq", "curl a > f", "curl ^\"a^\""] {
            assert!(words(line).is_err(), "{line}");
        }
    }

    trait Words {
        fn map_words(&self) -> Vec<String>;
    }

    impl Words for &[&str] {
        fn map_words(&self) -> Vec<String> {
            self.iter().map(|word| (*word).to_owned()).collect()
        }
    }
}
