//! The signs of further pages on a first page.
//!
//! In: the URL, the headers, the answer without its records, and the rows. Out: guesses, the
//! likeliest first, each with the evidence for it. Pure; whether one is right is found out by
//! following it.

use restway_model::RecordPath;
use restway_model::definition::Paginate;
use serde_json::Value;
use url::Url;

use super::shape::path_of;
use crate::link::next_link;

/// How deep signs are looked for.
const DEPTH_MAX: usize = 3;
/// Names, in lower case without `_` and `-`, of fields that hold a token or URL.
pub(crate) const NEXTS: [&str; 16] = [
    "next",
    "nextpagetoken",
    "nextcursor",
    "nexttoken",
    "nexturl",
    "nextlink",
    "odata.nextlink",
    "nextpage",
    "nextpageurl",
    "nextmarker",
    "nextoffset",
    "endcursor",
    "after",
    "continuation",
    "continuationtoken",
    "bookmark",
];
pub(crate) const PAGE_COUNTS: [&str; 6] =
    ["totalpages", "pagecount", "lastpage", "pages", "numpages", "pagestotal"];
pub(crate) const COUNTS: [&str; 6] =
    ["total", "totalcount", "count", "totalresults", "totalrecords", "totalitems"];
pub(crate) const MORE: [&str; 4] = ["hasmore", "hasnext", "hasnextpage", "more"];
/// A first page of exactly so many rows may well be one of several.
const SIZES: [usize; 11] = [10, 15, 20, 25, 30, 40, 50, 100, 200, 250, 500];

/// A guess at the pagination.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sign {
    pub(crate) paginate: Paginate,
    /// What it was guessed from, as a part of a sentence.
    pub(crate) evidence: String,
    /// Whether nothing on the page names it.
    pub(crate) is_guess: bool,
    /// The query parameters that it sets itself.
    pub(crate) parameters: Vec<String>,
}

/// A field of the envelope: its path, its name made plain, its value.
pub(crate) struct Field<'a> {
    pub(crate) path: String,
    pub(crate) name: &'a str,
    pub(crate) plain: String,
    pub(crate) value: &'a Value,
}

/// All signs of a page, the likeliest first.
pub(crate) fn collect(
    url: &Url,
    headers: &[(String, String)],
    envelope: &Value,
    rows: &[&Value],
) -> Vec<Sign> {
    let mut signs = Vec::new();
    if next_link(headers).is_some() {
        let evidence = "the `Link` header has a `rel=\"next\"`";
        signs.push(sign(Paginate::link(), evidence.into(), &[]));
    }
    let fields = fields(envelope);
    signs.extend(nexts(&fields));
    signs.extend(numbers(url, &fields, rows));
    signs.extend(guesses(url, &fields, rows));
    signs
}

fn sign(paginate: Paginate, evidence: String, parameters: &[&str]) -> Sign {
    let parameters = parameters.iter().map(|&name| name.to_owned()).collect();
    Sign { paginate, evidence, is_guess: false, parameters }
}

/// The fields of an answer around its records.
pub(crate) fn fields(envelope: &Value) -> Vec<Field<'_>> {
    let mut fields = Vec::new();
    flatten(envelope, &mut Vec::new(), &mut fields);
    fields
}

fn flatten<'a>(value: &'a Value, steps: &mut Vec<String>, fields: &mut Vec<Field<'a>>) {
    let Some(members) = value.as_object().filter(|_| steps.len() < DEPTH_MAX) else {
        return;
    };
    for (name, value) in members {
        steps.push(name.clone());
        let plain = name.to_ascii_lowercase().replace(['_', '-', '@'], "");
        fields.push(Field { path: path_of(steps), name, plain, value });
        flatten(value, steps, fields);
        steps.pop();
    }
}

/// Fields that hold the next page's URL or token.
fn nexts(fields: &[Field<'_>]) -> Vec<Sign> {
    let mut signs = Vec::new();
    for field in fields {
        let is_href = field.plain == "href" && field.path.ends_with("next.href");
        if !is_href && !NEXTS.contains(&field.plain.as_str()) {
            continue;
        }
        let Ok(path) = field.path.parse::<RecordPath>() else {
            continue;
        };
        let is_url = |text: &str| {
            ["http://", "https://", "/", "?"].iter().any(|start| text.starts_with(start))
        };
        match field.value {
            Value::String(text) if is_url(text) => {
                let evidence = format!("`{path}` holds the URL of the next page");
                signs.push(sign(Paginate::url(path), evidence, &[]));
            }
            Value::String(text) if text.is_empty() => {}
            Value::String(_) | Value::Number(_) => {
                for param in parameters(field) {
                    let evidence = format!("`{path}` holds a token, which `{param}` takes");
                    let parameters = [param.as_str()];
                    let paginate = Paginate::token(path.clone(), &param);
                    signs.push(sign(paginate, evidence, &parameters));
                }
            }
            _ => {}
        }
    }
    signs
}

/// Parameters that may take a token: its field's name without `next`, as it is, and usual ones.
fn parameters(field: &Field<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let rest = field.name.strip_prefix("next").or_else(|| field.name.strip_prefix("end"));
    if let Some(rest) = rest.map(|rest| rest.trim_start_matches(['_', '-'])) {
        let mut letters = rest.chars();
        if let Some(first) = letters.next() {
            names.push(first.to_ascii_lowercase().to_string() + letters.as_str());
        }
    }
    let usual: &[&str] = match field.value {
        Value::Number(_) => &["page", "offset", "cursor", "start"],
        _ => &["cursor", "after", "page_token", "pageToken", "token"],
    };
    names.extend(usual.iter().map(|&name| name.to_owned()));
    if field.plain != "next" {
        names.insert(names.len().min(1), field.name.to_owned());
    }
    let mut unique: Vec<String> = Vec::new();
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique.truncate(5);
    unique
}

/// Fields that count pages or records.
fn numbers(url: &Url, fields: &[Field<'_>], rows: &[&Value]) -> Vec<Sign> {
    let mut signs = Vec::new();
    let find = |names: &[&str]| {
        let mut found = fields.iter();
        found.find(|field| names.contains(&field.plain.as_str()) && field.value.is_u64())
    };
    if let Some(count) = find(&PAGE_COUNTS).filter(|count| count.value.as_u64() > Some(1))
        && let Ok(path) = count.path.parse::<RecordPath>()
    {
        let start = find(&["page", "currentpage", "pagenumber", "number"]);
        let start = start.and_then(|field| field.value.as_u64()).map_or(1, |page| page.min(1));
        let param = known(url, &["page", "page_number", "pageNumber", "p"]).unwrap_or("page");
        let paginate = Paginate::page(param, start, Some(path.clone()));
        let evidence = format!("`{path}` counts the pages");
        signs.push(sign(paginate, evidence, &[param]));
    }
    let rows_count = rows.len() as u64;
    if let Some(count) = find(&COUNTS).filter(|count| count.value.as_u64() > Some(rows_count))
        && let Ok(path) = count.path.parse::<RecordPath>()
    {
        let evidence = format!("`{path}` is more than the page holds");
        let limit = find(&["limit", "perpage", "pagesize", "size"]);
        let limit = limit.and_then(|field| field.value.as_u64()).unwrap_or(rows_count);
        for (param, limit_param) in [("offset", "limit"), ("skip", "limit"), ("start", "limit")] {
            let paginate = Paginate::offset(param, limit_param, limit, Some(path.clone()));
            signs.push(sign(paginate, evidence.clone(), &[param, limit_param]));
        }
        let paginate = Paginate::page("page", 1, None);
        signs.push(sign(paginate, evidence, &["page"]));
    }
    signs
}

/// Usual parameters, when the page looks like one of several and nothing on it says how to go on.
fn guesses(url: &Url, fields: &[Field<'_>], rows: &[&Value]) -> Vec<Sign> {
    let has_more = fields
        .iter()
        .any(|field| MORE.contains(&field.plain.as_str()) && field.value == &Value::Bool(true));
    let is_usual_size = SIZES.contains(&rows.len());
    let named = known(url, &["page", "offset", "after", "starting_after", "per_page", "limit"]);
    if rows.is_empty() || !(has_more || is_usual_size || named.is_some()) {
        return Vec::new();
    }
    let evidence = if has_more {
        "the answer says that there is more"
    } else {
        "the page has a usual number of rows"
    };
    let count = rows.len() as u64;
    let guess = |paginate, parameters: &[&str]| Sign {
        is_guess: true,
        ..sign(paginate, evidence.to_owned(), parameters)
    };
    let mut signs = Vec::new();
    let page = Paginate::page("page", 1, None);
    signs.push(guess(page, &["page"]));
    let offset = Paginate::offset("offset", "limit", count, None);
    signs.push(guess(offset, &["offset", "limit"]));
    if let (true, Ok(field)) = (has_id(rows), "id".parse::<RecordPath>()) {
        for param in ["after", "starting_after", "since_id"] {
            let paginate = Paginate::keyset(field.clone(), param);
            signs.push(guess(paginate, &[param]));
        }
    }
    signs
}

fn has_id(rows: &[&Value]) -> bool {
    rows.iter().all(|row| row.get("id").is_some_and(|id| id.is_number() || id.is_string()))
}

/// The first of the parameters that the URL already has.
fn known<'a>(url: &Url, names: &[&'a str]) -> Option<&'a str> {
    names.iter().copied().find(|name| url.query_pairs().any(|(known, _)| known == *name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(envelope: Value, rows: usize) -> Vec<String> {
        let url = Url::parse("https://h/x").expect("a URL");
        let row = json!({"id": 1});
        let rows = vec![&row; rows];
        let signs = collect(&url, &[], &envelope, &rows);
        let shown = |sign: &Sign| match &sign.paginate {
            Paginate::Url { next, .. } => format!("url {next}"),
            Paginate::Token { next: Some(next), param: Some(param), .. } => {
                format!("token {next} {param}")
            }
            Paginate::Page { param: Some(param), start, .. } => format!("page {param} {start}"),
            Paginate::Offset { param: Some(param), limit, .. } => format!("offset {param} {limit}"),
            Paginate::Keyset { param: Some(param), .. } => format!("keyset {param}"),
            other => format!("{other:?}"),
        };
        signs.iter().map(shown).collect()
    }

    #[test]
    fn the_likeliest_sign_comes_first() {
        let table = [
            (json!({"nextPageToken": "x"}), 3, "token nextPageToken pageToken"),
            (json!({"next_page_token": "x"}), 3, "token next_page_token page_token"),
            (json!({"meta": {"next_cursor": "x"}}), 3, "token meta.next_cursor cursor"),
            (json!({"next": "https://h/x?p=2"}), 3, "url next"),
            (json!({"@odata.nextLink": "https://h/x"}), 3, "url ['@odata.nextLink']"),
            (json!({"_links": {"next": {"href": "/x"}}}), 3, "url _links.next.href"),
            (json!({"next": "abc"}), 3, "token next cursor"),
            (json!({"next": 2}), 3, "token next page"),
            (json!({"page": 1, "total_pages": 4}), 3, "page page 1"),
            (json!({"page": 0, "totalPages": 4}), 3, "page page 0"),
            (json!({"count": 200}), 50, "offset offset 50"),
            (json!({"has_more": true}), 7, "page page 1"),
            (json!([]), 50, "page page 1"),
        ];
        for (envelope, rows, expected) in table {
            let signs = shown(envelope.clone(), rows);
            assert_eq!(signs.first().map(String::as_str), Some(expected), "{envelope}");
        }
        for envelope in [json!({"next": null}), json!({"count": 3}), json!({"next": ""})] {
            assert_eq!(shown(envelope.clone(), 3), Vec::<String>::new(), "{envelope}");
        }
    }
}
