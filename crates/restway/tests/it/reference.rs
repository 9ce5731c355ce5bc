//! The reference pages are what the code says. `make docs` writes them anew.

use std::path::Path;

use expect_test::expect_file;

#[test]
fn reference_pages_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    for (file, text) in restway::reference::pages() {
        expect_file![folder.join(file)].assert_eq(&text);
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let page = restway::reference::pages()
        .into_iter()
        .find_map(|(file, text)| (file == "commands.md").then_some(text))
        .expect("the page of commands");
    let sections: Vec<&str> = page.split("\n## ").skip(1).collect();
    assert!(sections.len() > 12, "{}", sections.len());
    for section in sections {
        let name = section.lines().next().unwrap_or("");
        // The commands below `tables`, `runs` and `secret` are shown by the examples of those.
        if name.matches(' ').count() == 1 {
            assert!(section.contains("Example"), "{name} shows no example");
        }
    }
}
