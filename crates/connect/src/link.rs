//! The `Link` header.
//!
//! In: the headers of an answer. Out: the target of the first link whose relation is `next`.
//! Pure; a header that is not what RFC 8288 says is read as far as it can be.

/// The target of `rel="next"` (RFC 8288, section 3), as it is written.
pub(crate) fn next_link(headers: &[(String, String)]) -> Option<String> {
    let all = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("link"));
    all.flat_map(|(_, value)| links(value)).find_map(|(target, relations)| {
        let is_next =
            relations.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case("next"));
        is_next.then_some(target)
    })
}

/// Targets and relations. A `,` or `;` may stand inside `<…>` and inside quotes.
fn links(value: &str) -> Vec<(String, String)> {
    let mut links = Vec::new();
    let mut rest = value;
    while let Some(start) = rest.find('<') {
        let Some(length) = rest[start + 1..].find('>') else {
            break;
        };
        let target = rest[start + 1..start + 1 + length].trim().to_owned();
        let (parameters, after) = split_at(&rest[start + 2 + length..], b',');
        links.push((target, relation(parameters).unwrap_or_default()));
        rest = after;
    }
    links
}

/// Up to the first separator outside quotes, and what follows it.
fn split_at(text: &str, separator: u8) -> (&str, &str) {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ if byte == separator && !is_quoted => return (&text[..index], &text[index + 1..]),
            _ => {}
        }
    }
    (text, "")
}

/// The first `rel` parameter; later ones are to be ignored (RFC 8288, section 3.3).
fn relation(parameters: &str) -> Option<String> {
    let mut rest = parameters;
    while !rest.is_empty() {
        let (parameter, after) = split_at(rest, b';');
        rest = after;
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("rel")
        {
            return Some(value.trim().trim_matches('"').to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_next_page_among_other_links() {
        let table = [
            ("<https://h/x?page=2>; rel=\"next\"", Some("https://h/x?page=2")),
            ("</x?a=1,2;3>; rel=next; title=\"a, b\", </y>; rel=last", Some("/x?a=1,2;3")),
            ("</p>; rel=\"prev\", </n>; title=\"x\\\"; rel=no, y\"; REL=\"next last\"", Some("/n")),
            ("</n>; title=\"a, <b>\"; rel=\"start NEXT\"", Some("/n")),
            ("</p>; rel=\"prev\"", None),
            ("</p>; rel=prev; rel=next", None),
            ("</n> ;rel = \"next\"", Some("/n")),
            ("<unclosed; rel=next", None),
            ("", None),
        ];
        for (value, expected) in table {
            let headers = [("Link".to_owned(), value.to_owned())];
            assert_eq!(next_link(&headers).as_deref(), expected, "{value}");
        }
        let two =
            [("link".into(), "</p>; rel=prev".into()), ("link".into(), "</n>; rel=next".into())];
        assert_eq!(next_link(&two).as_deref(), Some("/n"));
    }
}
