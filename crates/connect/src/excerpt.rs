//! A glimpse of an answer, fit for a message.
//!
//! In: the first bytes of a body. Out: one line of at most 500 bytes, without control characters,
//! redacted; of an HTML page its title, which says more than its first 500 bytes.

use restway_model::Redactor;

use crate::error::Excerpt;

const BYTES_MAX: usize = 500;

/// The first bytes of a body, as text.
pub(crate) fn excerpt(body: &[u8], redactor: &Redactor) -> Excerpt {
    let text = String::from_utf8_lossy(body);
    let text = match title(&text) {
        Some(title) => format!("an HTML page titled `{title}`"),
        None => text.into_owned(),
    };
    // Redacted before it is cut: half a secret would no longer be found.
    let line = redactor.redact(&text).split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|character| !character.is_control()).collect();
    if line.len() <= BYTES_MAX {
        return Excerpt(line);
    }
    let end = (0..=BYTES_MAX - '…'.len_utf8()).rev().find(|end| line.is_char_boundary(*end));
    Excerpt(format!("{}…", &line[..end.unwrap_or_default()]))
}

/// The title of an HTML page.
pub(crate) fn title(text: &str) -> Option<String> {
    if !text.trim_start().starts_with('<') {
        return None;
    }
    // ASCII lower case keeps every byte in its place.
    let lower = text.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    let title = text[start..end].split_whitespace().collect::<Vec<_>>().join(" ");
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use restway_model::Secret;

    use super::*;

    #[test]
    fn one_redacted_line_of_bounded_length() {
        let redactor = Redactor::default();
        redactor.learn(&Secret::new("hunter2hunter2"));
        let shown = |body: &[u8]| excerpt(body, &redactor).0;
        assert_eq!(shown(b" {\"a\":\n\t1} \x1b[31m hunter2hunter2"), "{\"a\": 1} [31m ***");
        let long = shown("ü".repeat(400).as_bytes());
        assert!(long.len() <= BYTES_MAX && long.ends_with('…'), "{}", long.len());
        assert_eq!(shown(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn pages_show_their_title() {
        let page = "<!DOCTYPE html>\n<HTML><head><Title lang=en>\n Sign  in </TITLE>";
        assert_eq!(title(page).as_deref(), Some("Sign in"));
        for none in ["{\"a\": \"<title>x</title>\"}", "<title>", "<p>", "<title></title>", ""] {
            assert_eq!(title(none), None, "{none}");
        }
    }
}
