//! Spoiled definitions: whatever stands in a file, it is read or refused, without a panic, and each
//! problem lies inside the file.
//!
//! The examples of the guides are changed at random, by a seed that does not change: characters
//! turned, cut, doubled, moved and put in.

use super::*;

/// Pages whose examples are definitions.
const GUIDES: [&str; 5] = [
    include_str!("../../../../../docs/guides/calling.md"),
    include_str!("../../../../../docs/guides/syncing.md"),
    include_str!("../../../../../docs/guides/publishing.md"),
    include_str!("../../../../../docs/guides/landing.md"),
    include_str!("../../../../../docs/guides/webhooks.md"),
];
/// Spoiled texts of each example.
const ROUNDS: usize = 6;
/// What means something in YAML, in a template or in a condition.
const SIGNS: &[char] = &[
    '{', '}', '[', ']', ':', ',', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`', '$',
    '\n', '\r', '\t', ' ', '-', '?', '\\', '0', '~', 'ü', '\u{feff}', '\u{2028}', '\u{0}', '🦀',
];

/// Numbers that look random and are the same in every run (xorshift, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).expect("it is below")
    }

    fn spoil(&mut self, text: &str) -> String {
        let mut text: Vec<char> = text.chars().collect();
        for _ in 0..=self.below(4) {
            let at = self.below(text.len());
            let end = (at + self.below(12)).min(text.len());
            match self.below(5) {
                0 => text.truncate(at),
                1 => drop(text.drain(at..end)),
                2 => {
                    let part = text[at..end].to_vec();
                    let to = self.below(text.len());
                    text.splice(to..to, part);
                }
                3 if !text.is_empty() => text[at] = SIGNS[self.below(SIGNS.len())],
                _ => text.insert(at, SIGNS[self.below(SIGNS.len())]),
            }
        }
        text.into_iter().collect()
    }
}

/// The examples of a page, fences left out.
fn examples(page: &str) -> impl Iterator<Item = &str> {
    let blocks = page.split("```yaml\n").skip(1);
    blocks.filter_map(|block| block.split("```").next())
}

fn places_are_inside<T: Definition>(text: &str) {
    let Err(problems) = read::<T>("apis/acme.yaml", text) else { return };
    assert!(!problems.is_empty(), "{text:?}");
    for problem in problems {
        let place = &problem.place;
        // YAML's lines end with a carriage return too: YAML 1.2, 5.4.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let line = text.lines().nth(place.line - 1).map(|line| line.chars().count());
        // The end of a text that ends with its line is the line behind it.
        let is_end = line.is_none() && place.line == text.lines().count() + 1;
        let is_inside = line.is_some_and(|line| (1..=line + 1).contains(&place.column));
        assert!(is_end || is_inside, "{problem} at {place} of {text:?}");
        assert!(place.width > 0, "{problem} at {place} of {text:?}");
    }
}

#[test]
fn spoiled_definitions_are_refused_with_places_inside_them() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut count = 0;
    for example in GUIDES.iter().copied().flat_map(examples) {
        count += 1;
        let whole = format!("api: acme\nbase_url: https://a.example\n{example}");
        for _ in 0..ROUNDS {
            places_are_inside::<ApiFile>(&dice.spoil(&whole));
            places_are_inside::<AppFile>(&dice.spoil(example));
            places_are_inside::<WorkspaceFile>(&dice.spoil(example));
        }
    }
    assert!(count > 20, "the guides have examples, found {count}");
}
