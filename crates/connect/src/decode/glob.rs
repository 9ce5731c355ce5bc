//! Whether a member of an archive is one that is wanted.
//!
//! In: a pattern and a name. `*` stands for any run within one part of a path, `**` for any run,
//! `?` for one character; a pattern without `/` is held against the last part alone. The work is
//! the pattern's length times the name's, whatever they are.

/// Whether the pattern stands for the name.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let name = match pattern.contains('/') {
        true => name,
        false => name.rsplit('/').next().unwrap_or(name),
    };
    let name: Vec<char> = name.chars().collect();
    // Which beginnings of the name the pattern so far stands for.
    let mut fits = vec![false; name.len() + 1];
    fits[0] = true;
    let mut rest = pattern;
    while let Some(sign) = rest.chars().next() {
        let (width, runs_over) = match sign {
            '*' if rest.starts_with("**") => (2, true),
            _ => (sign.len_utf8(), false),
        };
        rest = &rest[width..];
        if sign == '*' {
            for end in 1..fits.len() {
                fits[end] |= fits[end - 1] && (runs_over || name[end - 1] != '/');
            }
            continue;
        }
        for end in (1..fits.len()).rev() {
            let is_it = if sign == '?' { name[end - 1] != '/' } else { name[end - 1] == sign };
            fits[end] = fits[end - 1] && is_it;
        }
        fits[0] = false;
    }
    fits[name.len()]
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_pattern_stands_for_what_it_says() {
        for (pattern, name, is_it) in [
            ("*.csv", "a.csv", true),
            ("*.csv", "x/y/a.csv", true),
            ("*.csv", "a.csv.txt", false),
            ("x/*.csv", "x/a.csv", true),
            ("x/*.csv", "x/y/a.csv", false),
            ("x/**.csv", "x/y/a.csv", true),
            ("**/a?.json", "p/q/aü.json", true),
            ("a?", "a", false),
            ("", "", true),
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
        ] {
            assert_eq!(matches(pattern, name), is_it, "{pattern} {name}");
        }
        let long = "a".repeat(2_000);
        assert!(!matches(&"*a".repeat(200), &format!("{long}b")));
    }
}
