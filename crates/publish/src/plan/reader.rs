//! The parameters of a request, read.
//!
//! In: names and values as the caller gave them. Out: what each means for the columns that he may
//! see, and findings about those that mean nothing. All of them are found, not the first only.
//!
//! What never happens here: a name that is not known and is passed over in silence.

use std::collections::{BTreeMap, HashSet};

use restway_model::Seal;

use super::{
    ALIASES, COUNT_MAX, Condition, Counts, ITEM_PARAMETERS, LIMIT_DEFAULT, OPERATORS, Order,
    Published, Related, Seek, Way, column, filter, plain, seek, tree,
};
use crate::form::{FORMATS, Form};
use crate::refusal::{Findings, shown};
use crate::source::Column;

/// What stands for the tag of an item's version among the fields.
const TAG: &str = "$etag";

/// Parameters by name, each given once.
pub(super) type Given<'a> = BTreeMap<&'a str, &'a str>;

/// Reads parameters and keeps what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) columns: &'a [Column],
    known: &'static [&'static str],
    /// Whether fields are parameters.
    filters: bool,
    /// Whether items can come with the tag of their version, and whether they shall.
    pub(super) can_tag: bool,
    pub(super) tags: bool,
    pub(super) findings: Findings,
}

impl<'a> Reader<'a> {
    pub(super) fn new(columns: &'a [Column], known: &'static [&'static str]) -> Self {
        // An item takes no filters.
        let filters = known != ITEM_PARAMETERS.as_slice();
        let (can_tag, tags) = (false, false);
        Self { columns, known, filters, can_tag, tags, findings: Findings::default() }
    }

    /// The parameters that mean something here. An item takes no filters, a list takes fields.
    pub(super) fn once_each<'p>(&mut self, parameters: &'p [(String, String)]) -> Given<'p> {
        let columns = if self.filters { self.columns } else { &[] };
        let mut given = Given::new();
        for (name, value) in parameters {
            let other = ALIASES.iter().find(|(alias, _)| alias == name).map(|(_, ours)| *ours);
            let name = other.unwrap_or(name);
            let is_collection = name.starts_with('$');
            let is_known = if is_collection {
                self.known.contains(&name)
            } else {
                column(columns, name).is_some() || self.filters && filter::split(name).is_some()
            };
            if !is_known {
                let fields = columns.iter().map(|column| column.name.as_str());
                let names = self.known.iter().copied().chain(fields);
                self.findings.unknown("unknown_parameter", "parameter", name, names);
            } else if given.insert(name, value).is_some() {
                let message = format!("`{}` is given more than once", shown(name));
                self.findings.add("repeated_parameter", message);
            }
        }
        given
    }

    /// A field by its name, or a finding.
    pub(super) fn field(&mut self, name: &str) -> Option<&'a Column> {
        let found = column(self.columns, name);
        if found.is_none() {
            let names = self.columns.iter().map(|column| column.name.as_str());
            self.findings.unknown("unknown_field", "field", name, names);
        }
        found
    }

    /// The fields that are asked for; the tag of the version may be among them.
    pub(super) fn fields(&mut self, given: &Given<'_>) -> Option<Vec<&'a Column>> {
        let names = *given.get("$fields")?;
        let is_tag = |name: &&str| *name == TAG && column(self.columns, TAG).is_none();
        let (tags, names): (Vec<&str>, Vec<&str>) = names.split(',').partition(is_tag);
        self.tags = !tags.is_empty();
        if tags.len() > 1 {
            self.repeated("$fields", TAG);
        }
        if self.tags && !self.can_tag {
            let message = "`$etag` is for pages of a database's table".to_owned();
            self.findings.add("unknown_field", message);
        }
        match names.as_slice() {
            [] => return None,
            ["*"] => return Some(self.columns.iter().collect()),
            _ => {}
        }
        let mut seen = HashSet::new();
        let mut fields = Vec::new();
        for name in names {
            if !seen.insert(name) {
                self.repeated("$fields", name);
            } else if let Some(field) = self.field(name) {
                fields.push(field);
            }
        }
        Some(fields)
    }

    /// The related objects whose items shall come with each item.
    pub(super) fn expands(
        &mut self,
        given: &Given<'_>,
        related: &'a [Related<'a>],
    ) -> Vec<&'a Related<'a>> {
        let mut expands: Vec<&Related<'_>> = Vec::new();
        let names = given.get("$expand").filter(|names| !names.is_empty());
        for name in names.iter().flat_map(|names| names.split(',')) {
            let known = || related.iter().map(|one| one.name);
            match related.iter().find(|one| one.name == name) {
                None => self.findings.unknown("unknown_object", "related object", name, known()),
                Some(_) if column(self.columns, name).is_some() => {
                    let message = format!("`{name}` is a field of its own here");
                    self.findings.add("unknown_object", message);
                }
                Some(one) if expands.iter().any(|other| other.name == one.name) => {
                    self.repeated("$expand", name);
                }
                Some(one) => expands.push(one),
            }
        }
        expands
    }

    /// What rows must be: each field as its filter says, the tree of `$filter`, and the text of
    /// `$q` in one of them. An empty `$q` is a search form that nobody filled in.
    pub(super) fn condition(
        &mut self,
        given: &Given<'_>,
        related: &'a [Related<'a>],
    ) -> Condition<'a> {
        let mut all = Vec::new();
        for (name, text) in given.iter().filter(|(name, _)| !name.starts_with('$')) {
            if let Some(condition) = self.filter(name, text) {
                all.push(condition);
            }
        }
        match given.get("$filter").map(|text| tree::condition(text, self.columns, related)) {
            Some(Ok(condition)) => all.push(condition),
            Some(Err(problem)) => {
                self.findings.add("invalid_filter", format!("`$filter` cannot be read: {problem}"));
            }
            None => {}
        }
        match given.get("$q") {
            Some(text) if text.contains('\0') => {
                let message = "`$q` cannot have the character NUL".to_owned();
                self.findings.add("invalid_value", message);
            }
            Some(text) if !text.is_empty() => {
                let columns = plain(self.columns);
                all.push(Condition::Search { columns, text: (*text).to_owned() });
            }
            _ => {}
        }
        Condition::All(all)
    }

    /// One filter: a field's own name first, because a name may have brackets.
    fn filter(&mut self, name: &str, text: &str) -> Option<Condition<'a>> {
        let outcome = match (column(self.columns, name), filter::split(name)) {
            (None, Some((field, operator))) => {
                if !OPERATORS.contains(&operator) {
                    let known = OPERATORS.into_iter();
                    self.findings.unknown("unknown_operator", "operator", operator, known);
                    return None;
                }
                filter::condition(self.field(field)?, operator, text)
            }
            _ => {
                let column = self.field(name)?;
                filter::value(column, text).map(|value| Condition::equals(column, value))
            }
        };
        let add = |problem| self.findings.add("invalid_value", problem);
        outcome.map_err(add).ok()
    }

    /// Where the page lies.
    pub(super) fn seek(
        &mut self,
        given: &Given<'_>,
        object: &Published,
        seal: Option<&dyn Seal>,
        belongs: &str,
        order: &[Order<'_>],
    ) -> Seek {
        let (name, token, way) = match (given.get("$after"), given.get("$before")) {
            (None, None) => return Seek::Offset { tells: false },
            (Some(_), Some(_)) => {
                let message = "`$after` and `$before` exclude each other".to_owned();
                self.findings.add("invalid_value", message);
                return Seek::Offset { tells: true };
            }
            (Some(token), None) => ("$after", *token, Way::After),
            (None, Some(token)) => ("$before", *token, Way::Before),
        };
        if given.contains_key("$offset") {
            let message =
                format!("`{name}` says where the page is, and `$offset` too: leave one out");
            self.findings.add("invalid_value", message);
        }
        if token.is_empty() && way == Way::After {
            return Seek::Offset { tells: true };
        }
        let dialect = object.source.dialect();
        let opened = seal.and_then(|seal| seek::open(seal, belongs, way, dialect, order, token));
        match (opened, way) {
            (Some(place), Way::After) => Seek::After(place),
            (Some(place), Way::Before) => Seek::Before(place),
            (None, _) => {
                let message = format!(
                    "`{name}` is no token of this list with these filters and this order: begin \
                     with an empty `$after`"
                );
                self.findings.add("cursor_mismatch", message);
                Seek::Offset { tells: true }
            }
        }
    }

    pub(super) fn repeated(&mut self, parameter: &str, name: &str) {
        let message = format!("`{parameter}` names `{}` more than once", shown(name));
        self.findings.add("repeated_field", message);
    }

    /// The number of items, and what to say when it is not the one that was asked for.
    pub(super) fn limit(&mut self, given: &Given<'_>, limit_max: u64) -> (u64, Option<String>) {
        match given.get("$limit").map(|text| (text, number(text))) {
            None => (LIMIT_DEFAULT.min(limit_max), None),
            Some((_, Some(limit))) if limit <= limit_max => (limit, None),
            Some((_, Some(_))) => {
                (limit_max, Some(format!("`$limit` is at most {limit_max}, and that was used")))
            }
            Some((text, None)) => {
                let text = shown(text);
                let message = format!("`$limit` cannot be `{text}`: write a number from 0");
                self.findings.add("invalid_number", message);
                (0, None)
            }
        }
    }

    /// The form itself is known already, by this or by what the caller accepts.
    pub(super) fn format(&mut self, given: &Given<'_>) {
        if let Some(text) = given.get("$format").filter(|text| Form::named(text).is_none()) {
            let known = FORMATS.join("`, `");
            let message = format!("`$format` cannot be `{}`: write `{known}`", shown(text));
            self.findings.add("invalid_value", message);
        }
    }

    pub(super) fn offset(&mut self, given: &Given<'_>, offset_max: u64) -> u64 {
        match given.get("$offset").map(|text| (text, number(text))) {
            None => 0,
            Some((_, Some(offset))) if offset <= offset_max => offset,
            Some((text, _)) => {
                let text = shown(text);
                let message = format!(
                    "`$offset` cannot be `{text}`: write a number from 0 to {offset_max}, or page \
                     with `$after`"
                );
                self.findings.add("invalid_number", message);
                0
            }
        }
    }

    /// How the items are counted, if they are; where nothing else is asked for, they must be.
    pub(super) fn counts(&mut self, given: &Given<'_>, only_counts: bool) -> Option<Counts> {
        let Some(text) = given.get("$count") else {
            return only_counts.then_some(Counts::Plainly);
        };
        match *text {
            "false" | "none" if !only_counts => None,
            "true" => Some(Counts::Plainly),
            "exact" => Some(Counts::Exactly),
            "estimated" => Some(Counts::Roughly),
            "capped" => Some(Counts::UpTo(COUNT_MAX)),
            text => {
                let text = shown(text);
                let message = format!(
                    "`$count` cannot be `{text}`: write `true`, `exact`, `estimated`, `capped` or \
                     `none`"
                );
                self.findings.add("invalid_value", message);
                None
            }
        }
    }
}

/// A number written in digits alone; one that is too large for us is still a large number.
fn number(text: &str) -> Option<u64> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().unwrap_or(u64::MAX))
}
