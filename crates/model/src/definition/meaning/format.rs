//! What `format`, `archive` and the keys beside them mean together.

use super::Finder;
use crate::definition::{Archive, CsvFormat, Format, Header, Paginate, ResourceSettings};
use crate::{Name, Step};

pub(super) fn check(finder: &mut Finder<'_>, name: &Name, resource: &ResourceSettings) {
    let at = |key| ["resources", name.as_str(), key];
    let is_name = |step: &Step| matches!(step, Step::Name(_));
    let (has_path, reads_around) = match &resource.format {
        Format::Json { .. } => (true, true),
        Format::Ndjson { .. } => (false, false),
        Format::Csv(format) => {
            check_csv(finder, &at("format"), format);
            (false, false)
        }
        Format::Xml { .. } => {
            let steps = resource.records.as_ref().map(|path| path.steps()).unwrap_or_default();
            if steps.is_empty() || !steps.iter().all(is_name) {
                let hint = "write the elements from the root on, as in `records: orders.order`";
                let message = "XML needs the path to the elements that are records";
                finder.report(&at("records"), message, Some(hint.to_owned()));
            }
            (true, true)
        }
    };
    let is_zip = matches!(resource.archive, Some(Archive::Zip { .. }));
    let reads_around = reads_around && !is_zip;
    if let Some(Archive::Zip { members: Some(members) }) = &resource.archive
        && members.is_empty()
    {
        let hint = Some("write a pattern, as in `members: \"*.csv\"`".to_owned());
        let path = ["resources", name.as_str(), "archive", "members"];
        finder.report(&path, "no member has an empty name", hint);
    }
    if is_zip && resource.fail_when.is_some() {
        let message = "`fail_when` reads one answer, and an archive holds several";
        finder.report(&at("fail_when"), message, None);
    }
    if !has_path && resource.records.is_some() {
        let hint = "leave it out: every line or row is a record".to_owned();
        finder.report(&at("records"), "this format has no path to its records", Some(hint));
    }
    if !has_path && resource.records_optional {
        let message = "`records_optional` is for answers with a path to their records";
        finder.report(&at("records_optional"), message, None);
    } else if resource.records_optional
        && resource.records.as_ref().is_none_or(|path| path.steps().is_empty())
    {
        let hint = Some("write the path as `records`".to_owned());
        let message = "`records_optional` needs a path that may find nothing";
        finder.report(&at("records_optional"), message, hint);
    }
    if !has_path && resource.fail_when.is_some() {
        let message = "`fail_when` reads the answer around its records, and there is nothing";
        finder.report(&at("fail_when"), message, None);
    }
    let is_around = match &resource.paginate {
        Paginate::Url { .. } | Paginate::Token { next: Some(_), .. } => true,
        Paginate::Offset { total, .. } => total.is_some(),
        Paginate::Page { total_pages, .. } => total_pages.is_some(),
        _ => false,
    };
    if !reads_around && (is_around || resource.paginate.stop().is_some()) {
        let hint = "what stays is `none`, `link`, `next_header`, and counting records".to_owned();
        let message = "this pagination reads the answer around its records, and there is nothing";
        finder.report(&at("paginate"), message, Some(hint));
    }
}

fn check_csv(finder: &mut Finder<'_>, place: &[&str; 3], format: &CsvFormat) {
    let is_fine = |c: char| c.is_ascii() && !matches!(c, '\n' | '\r' | '\0');
    let [first, name, key] = place;
    for (option, character) in [("delimiter", format.delimiter), ("quote", format.quote)] {
        if !is_fine(character) {
            let path = [*first, *name, *key, option];
            finder.report(&path, "must be one ASCII character within a line", None);
        }
    }
    if format.delimiter == format.quote {
        finder.report(place, "`delimiter` and `quote` are the same", None);
    }
    if format.header == Header::Names(Vec::new()) {
        finder.report(&[*first, *name, *key, "header"], "names no fields", None);
    }
}
