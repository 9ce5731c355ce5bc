//! What an import leaves out, and the comments that say so at the end of the file.
//!
//! In: one line for each operation or request that is not in the file, with the reason. Out:
//! comments: first what a value would bring in, by the values that it takes, the most first; then
//! the other reasons, with a few examples each. A long list helps nobody who looks for one path, so
//! lines are filled and their number is bounded; all are counted. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::one_line;

/// The longest line.
const LINE_MAX: usize = 96;
/// The longest entry.
const ENTRY_MAX: usize = 100;
/// Entries of one group whose paths a value would bring in.
const NEEDING_MAX: usize = 120;
/// Entries of any other group.
const OTHERS_MAX: usize = 12;
/// Groups of values.
const GROUPS_MAX: usize = 60;

/// What is left out so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// By the parameters that need a value.
    needing: BTreeMap<Vec<String>, Vec<String>>,
    /// By the reason.
    others: BTreeMap<String, Vec<String>>,
}

impl LeftOut {
    /// Leaves a path out that could be read if these parameters had values.
    pub(crate) fn until_set(&mut self, names: Vec<String>, path: &str) {
        self.needing.entry(names).or_default().push(one_line(path, ENTRY_MAX));
    }

    /// Leaves something out; the reason goes on from "left out, ".
    pub(crate) fn because(&mut self, reason: &str, what: &str) {
        self.others.entry(reason.to_owned()).or_default().push(one_line(what, ENTRY_MAX));
    }

    /// Forgets the entries that are not clean.
    pub(crate) fn retain(&mut self, is_clean: impl Fn(&str) -> bool) {
        for entries in self.needing.values_mut().chain(self.others.values_mut()) {
            entries.retain(|entry| is_clean(entry));
        }
        self.needing.retain(|names, entries| {
            !entries.is_empty() && names.iter().all(|name| is_clean(name))
        });
        self.others.retain(|reason, entries| !entries.is_empty() && is_clean(reason));
    }

    /// The comments.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut needing: Vec<_> = self.needing.iter().collect();
        needing.sort_by_key(|(names, entries)| (Reverse(entries.len()), names.len()));
        if !needing.is_empty() {
            let count: usize = needing.iter().map(|(_, entries)| entries.len()).sum();
            lines.push(format!("Left out, {count} that need values. To import some, say"));
        }
        for (names, entries) in needing.iter().take(GROUPS_MAX) {
            let sets = names.iter().map(|name| format!("--set {}=…", one_line(name, 60)));
            lines.push(format!("  `{}`:", sets.collect::<Vec<_>>().join(" ")));
            fill(entries, NEEDING_MAX, &mut lines);
        }
        let rest = needing.len().saturating_sub(GROUPS_MAX);
        if rest > 0 {
            lines.push(format!("  and {rest} other sets of values"));
        }
        let mut others: Vec<_> = self.others.iter().collect();
        others.sort_by_key(|(_, entries)| entries.len());
        for (reason, entries) in others {
            lines.push(format!("Left out, {} {reason}:", entries.len()));
            fill(entries, OTHERS_MAX, &mut lines);
        }
        lines
    }
}

/// Adds the entries, as many to a line as have room.
fn fill(entries: &[String], most: usize, lines: &mut Vec<String>) {
    const INDENT: &str = "    ";
    let mut line = String::new();
    for entry in entries.iter().take(most) {
        let is_full = line.chars().count() + entry.chars().count() + INDENT.len() > LINE_MAX;
        if is_full && !line.is_empty() {
            lines.push(format!("{INDENT}{line}"));
            line.clear();
        }
        if !line.is_empty() {
            line.push_str(", ");
        }
        line.push_str(entry);
    }
    if !line.is_empty() {
        lines.push(format!("{INDENT}{line}"));
    }
    if entries.len() > most {
        lines.push(format!("{INDENT}and {} more", entries.len() - most));
    }
}
