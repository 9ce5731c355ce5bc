//! How a caller wants a write to be done and answered.
//!
//! In: `Prefer` (RFC 7240), the header of warnings that are accepted, and the parameters of
//! writes. Out: [`Wishes`], and the parameters that are none of these: filters. What never happens
//! here: a wish that changes who may do what.

use crate::headers::Headers;
use crate::refusal::{Findings, Refusal};

/// Headers that name accepted warnings: the one of App Builder's servers, and its documentation's.
const ACCEPTED: [&str; 2] = ["x-vinyl-ignore-warnings", "x-app-builder-ignore-warnings"];
/// Items that a filter may touch, unless `$maxAffected` says otherwise.
const AFFECTED_MAX: u64 = 1_000;

/// What is answered about what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// The whole item.
    Item,
    /// Its key.
    Key,
    /// Nothing of it.
    Nothing,
}

/// What happens to a new item that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// It is refused.
    Refuse,
    /// Its values are written over those that are there.
    Merge,
    /// What is there stays.
    Ignore,
}

/// What a caller wants.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// As it was said, if it was.
    pub(crate) shows: Option<Shows>,
    pub(crate) resolution: Resolution,
    /// Each item for itself, instead of all or none.
    pub(crate) per_item: bool,
    /// Everything is looked at and nothing is written.
    pub(crate) only_validates: bool,
    /// All warnings are accepted.
    pub(crate) accepts_all: bool,
    accepted: Vec<String>,
    /// The columns by which an item is known that is there already.
    pub(crate) key: Option<Vec<String>>,
    pub(crate) affected_max: u64,
    /// What of `Prefer` was done: RFC 7240, section 3.
    pub(crate) applied: Vec<String>,
}

impl Wishes {
    /// Reads wishes; what is no wish stays for the filters.
    pub(crate) fn read(
        headers: &Headers,
        parameters: Vec<(String, String)>,
    ) -> Result<(Self, Vec<(String, String)>), Refusal> {
        let mut wishes = Self {
            shows: None,
            resolution: Resolution::Refuse,
            per_item: false,
            only_validates: false,
            accepts_all: false,
            accepted: accepted(headers),
            key: None,
            affected_max: AFFECTED_MAX,
            applied: Vec::new(),
        };
        let preferences = headers.all("prefer").flat_map(|value| value.split(','));
        for preference in preferences.map(str::trim) {
            if wishes.prefer(&preference.to_ascii_lowercase().replace(' ', "")) {
                wishes.applied.push(preference.to_owned());
            }
        }
        let mut findings = Findings::default();
        let mut rest = Vec::new();
        for (name, value) in parameters {
            match wishes.parameter(&name, &value) {
                Some(true) => {}
                Some(false) => {
                    findings.add("invalid_parameter", format!("`{name}` cannot be this"));
                }
                None => rest.push((name, value)),
            }
        }
        findings.refuse()?;
        Ok((wishes, rest))
    }

    fn prefer(&mut self, preference: &str) -> bool {
        match preference {
            "return=representation" => self.shows = Some(Shows::Item),
            "return=minimal" => self.shows = Some(Shows::Nothing),
            "return=keys" => self.shows = Some(Shows::Key),
            "resolution=merge-duplicates" => self.resolution = Resolution::Merge,
            "resolution=ignore-duplicates" => self.resolution = Resolution::Ignore,
            "transaction=per-item" => self.per_item = true,
            "validate-only" => self.only_validates = true,
            "ignore-warnings" => self.accepts_all = true,
            // RFC 7240, section 2: what is not known is not done.
            _ => return false,
        }
        true
    }

    /// Whether a parameter is a wish, and one that can be.
    fn parameter(&mut self, name: &str, value: &str) -> Option<bool> {
        match name {
            "$validate" => match value {
                "true" => self.only_validates = true,
                "false" => {}
                _ => return Some(false),
            },
            "$key" => self.key = Some(value.split(',').map(str::to_owned).collect()),
            "$maxAffected" => match value.parse() {
                Ok(number) => self.affected_max = number,
                Err(_) => return Some(false),
            },
            "$onError" => match value {
                "continue" => self.per_item = true,
                "stop" => self.per_item = false,
                _ => return Some(false),
            },
            _ => return None,
        }
        Some(true)
    }

    /// Whether a warning was accepted.
    pub(crate) fn accepts(&self, id: &str) -> bool {
        self.accepts_all || self.accepted.iter().any(|accepted| accepted == id)
    }
}

/// The ids of accepted warnings, with or without quotes.
fn accepted(headers: &Headers) -> Vec<String> {
    let values = ACCEPTED.iter().flat_map(|name| headers.all(name));
    let ids = values.flat_map(|value| value.split(','));
    let ids = ids.map(|id| id.trim().trim_matches('"').to_owned());
    ids.filter(|id| !id.is_empty()).collect()
}
