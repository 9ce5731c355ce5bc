//! Names for apis, resources and parameters, out of titles, paths and operations.
//!
//! In: words of somebody else's. Out: names of our grammar, each once. Pure.

use std::collections::{HashMap, HashSet};

use restway_model::{Name, snake};
use url::Url;

use crate::probe::shape;

/// Words of titles that say nothing about the api.
const NOISE: [&str; 17] = [
    "api",
    "apis",
    "rest",
    "restful",
    "http",
    "openapi",
    "swagger",
    "the",
    "specification",
    "spec",
    "documentation",
    "reference",
    "public",
    "official",
    "definition",
    "server",
    "web",
];
/// Words of an api's name at most.
const WORDS_MAX: usize = 3;

/// A name for the api: the words of its title that tell, or its host.
pub(super) fn api_name(title: Option<&str>, url: &Url) -> Name {
    let words = title.unwrap_or_default().split(|c: char| !c.is_alphanumeric());
    let is_version = |word: &str| {
        let digits = word.strip_prefix(['v', 'V']).unwrap_or(word);
        digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut said: Vec<String> = Vec::new();
    for word in words {
        let word = word.to_ascii_lowercase();
        if word.len() > 1
            && !is_version(&word)
            && !NOISE.contains(&word.as_str())
            && !said.contains(&word)
        {
            said.push(word);
        }
    }
    said.truncate(WORDS_MAX);
    match Name::slug(&said.join("_")) {
        name if !said.is_empty() && name.as_str() != "unnamed" => name,
        _ => shape::api_name(url),
    }
}

/// Names that are given once each.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashSet<Name>,
    /// The last number behind each stem, so that many names alike do not take forever.
    numbers: HashMap<String, u64>,
}

impl Names {
    /// A name from the last word, or as many words before it as make it a new one.
    pub(super) fn take<T: AsRef<str>>(&mut self, words: &[T]) -> Name {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        for count in 1..=words.len() {
            let name = slug(&words[words.len() - count..].join("_"));
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
        self.numbered(words.last().copied().unwrap_or("records"))
    }

    /// The first name, or where it is taken the second.
    pub(super) fn either(&mut self, first: &str, second: &str) -> Name {
        match self.taken.insert(slug(first)) {
            true => slug(first),
            false => self.numbered(second),
        }
    }

    /// The name, with a number behind it where it is taken.
    pub(super) fn numbered(&mut self, word: &str) -> Name {
        let name = slug(word);
        if self.taken.insert(name.clone()) {
            return name;
        }
        let stem: String = name.as_str().chars().take(50).collect();
        loop {
            let number = self.numbers.entry(stem.clone()).or_insert(1);
            *number += 1;
            let name = slug(&format!("{stem}_{number}"));
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// A name of our grammar, its words parted by one `_`.
pub(super) fn slug(text: &str) -> Name {
    let name = Name::slug(&snake(text));
    if !name.as_str().contains("__") {
        return name;
    }
    let words: Vec<&str> = name.as_str().split('_').filter(|word| !word.is_empty()).collect();
    Name::slug(&words.join("_"))
}

/// The segments of a path that say what it is about: no parameters, versions, or `api`.
pub(super) fn words(path: &str) -> Vec<&str> {
    let is_version = |segment: &str| {
        let digits = segment.strip_prefix('v').unwrap_or_default();
        digits.starts_with(|c: char| c.is_ascii_digit()) && digits.len() <= 8
    };
    let says = |segment: &&str| {
        !segment.contains(['{', '$'])
            && segment.chars().any(char::is_alphabetic)
            && !matches!(*segment, "api" | "apis" | "rest" | "json")
            && !is_version(segment)
    };
    let plain = |segment: &'_ str| segment.len() - segment.strip_suffix(".json").map_or(0, |_| 5);
    path.split('/').filter(says).map(|segment| &segment[..plain(segment)]).collect()
}

/// A name without case and signs, to compare by.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
