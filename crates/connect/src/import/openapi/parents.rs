//! Collections below the records of another: `/projects/{id}/issues` is read for each project.
//!
//! In: the collections of a document. Out: resources, each with a name; those with parameters in
//! their paths only where another collection's path is the one before the parameter and its records
//! hold what the parameter takes. The rest is left out, with what it needs. Pure.

use std::collections::HashMap;

use restway_model::{Name, snake};
use serde_json::Value;

use super::collection::Collection;
use crate::draft::{LeftOut, ResourceDraft, one_line};
use crate::import::names::{Names, plain, words};
use crate::probe::shape::singular;

/// Parents of parents.
const DEPTH_MAX: usize = 3;
/// Fields that a parameter named after the record may take instead of its key.
const NAMES: [&str; 7] = ["name", "slug", "login", "code", "key", "number", "uuid"];

/// A collection that is a resource now.
struct Placed {
    name: Name,
    depth: usize,
    record: Value,
    key: Option<String>,
    /// The columns that carry the values of the path's parameters, by the parameter.
    carried: HashMap<String, String>,
    /// The parameters that need a value before it is a resource.
    needs: Vec<String>,
}

/// The resources, in the order of their paths.
pub(super) fn resources(
    mut collections: Vec<Collection<'_>>,
    left_out: &mut LeftOut,
) -> Vec<ResourceDraft> {
    // Parents come before their children, and short paths get the short names.
    let rank = |path: &str| (path.matches('{').count(), path.matches('/').count());
    collections.sort_by_key(|one| rank(one.path));
    let mut names = Names::default();
    let mut placed: HashMap<String, Placed> = HashMap::new();
    let mut resources: Vec<(String, ResourceDraft)> = Vec::new();
    for collection in collections {
        let (link, needs) = parent(&collection, &placed);
        let path = collection.path.to_owned();
        let depth = link.as_ref().map_or(0, |link| link.depth);
        let place = if depth > DEPTH_MAX {
            let reason = format!("more than {DEPTH_MAX} lists deep");
            left_out.because(&reason, &format!("GET {path}"));
            continue;
        } else if needs.is_empty() {
            let (resource, place) = placed_resource(collection, link, &mut names);
            resources.push((path.clone(), resource));
            place
        } else {
            // With the values it would be a resource, and so would what lies below its records.
            left_out.until_set(needs.clone(), &path);
            let (record, key) = (collection.record, collection.key);
            let name = Name::slug("");
            Placed { name, depth, record, key, carried: HashMap::new(), needs }
        };
        placed.insert(path.trim_end_matches('/').to_owned(), place);
    }
    resources.sort_by(|one, other| one.0.cmp(&other.0));
    resources.into_iter().map(|(_, resource)| resource).collect()
}

/// The parent of a collection, and the column for each parameter.
struct Link {
    parent: Name,
    depth: usize,
    /// The parent's key, when its records are told apart by it.
    columns: Vec<(String, String)>,
}

/// What a collection is read for each row of, if anything, and the parameters that need a value.
fn parent(
    collection: &Collection<'_>,
    placed: &HashMap<String, Placed>,
) -> (Option<Link>, Vec<String>) {
    let Some(((last, kind), earlier)) = collection.parameters.split_last() else {
        return (None, Vec::new());
    };
    let hole = format!("{{{last}}}");
    let is_segment = collection.path.split('/').any(|segment| segment == hole);
    let before = collection.path.split(&format!("/{hole}")).next().unwrap_or_default();
    let found = placed.get(before).filter(|_| is_segment);
    let found = found.and_then(|one| Some((one, column(last, kind, before, one)?)));
    let Some((parent, column)) = found else {
        return (None, collection.parameters.iter().map(|(name, _)| name.clone()).collect());
    };
    let mut needs = parent.needs.clone();
    let mut columns = Vec::new();
    for (name, _) in earlier {
        match parent.carried.get(name) {
            Some(carried) => columns.push((name.clone(), carried.clone())),
            None if needs.contains(name) => {}
            None => needs.push(name.clone()),
        }
    }
    columns.push((last.clone(), column));
    let (parent, depth) = (parent.name.clone(), parent.depth + 1);
    (Some(Link { parent, depth, columns }), needs)
}

/// The column of the parent that a parameter takes, where it can be told.
fn column(parameter: &str, kind: &str, path: &str, parent: &Placed) -> Option<String> {
    let members = parent.record.as_object()?;
    let fits = |value: &Value| match kind {
        "integer" => value.is_i64(),
        "string" => value.is_string(),
        _ => value.is_string() || value.is_i64(),
    };
    let find = |wanted: &str| {
        let mut all = members.iter().filter(|(_, value)| fits(value));
        all.find(|(name, _)| plain(name) == wanted).map(|(name, _)| snake(name))
    };
    let wanted = plain(parameter);
    let word = words(path).last().copied().unwrap_or_default();
    let one = plain(&singular(&snake(word)));
    let key = parent
        .key
        .clone()
        .filter(|key| members.iter().any(|(name, value)| snake(name) == *key && fits(value)));
    let of_key =
        wanted.strip_suffix("id").is_some_and(|rest| rest.is_empty() || one.ends_with(rest))
            || wanted == one;
    if let Some(exact) = find(&wanted) {
        return Some(exact);
    }
    if let Some(key) = key.filter(|_| of_key) {
        return Some(key);
    }
    let rest = wanted.strip_prefix(one.as_str())?;
    if rest.is_empty() {
        return NAMES.iter().find_map(|name| find(name));
    }
    let rest = if one == "user" && rest == "name" { "login" } else { rest };
    NAMES.contains(&rest).then(|| find(rest)).flatten()
}

/// The words that a collection is named after. One that is no plural says too little alone:
/// `gists_public`; a path without words is named after all of it: `api_v1`.
fn spoken(path: &str, said: &[&str]) -> Vec<String> {
    let Some((last, before)) = said.split_last() else {
        let whole: Vec<&str> = path.split(['/', '{', '}']).filter(|one| !one.is_empty()).collect();
        return vec![if whole.is_empty() { "records".into() } else { whole.join("_") }];
    };
    let mut words: Vec<String> = before.iter().map(|&word| word.to_owned()).collect();
    match words.last_mut() {
        Some(word) if !last.ends_with('s') => *word = format!("{word}_{last}"),
        _ => words.push((*last).to_owned()),
    }
    words
}

fn placed_resource(
    collection: Collection<'_>,
    link: Option<Link>,
    names: &mut Names,
) -> (ResourceDraft, Placed) {
    let said = words(collection.path);
    // A nested list is named after both: `project_issues`.
    let nested = link.as_ref().and_then(|link| {
        let last = said.last()?;
        Some((format!("{}_{last}", singular(link.parent.as_str())), link.parent.clone()))
    });
    let name = match &nested {
        Some((nested, parent)) => {
            let last = said.last().copied().unwrap_or_default();
            names.either(nested, &format!("{parent}_{last}"))
        }
        None => names.take(&spoken(collection.path, &said)),
    };
    let mut resource = ResourceDraft::at(name.clone(), collection.given_path);
    let mut comment = format!("GET {}", one_line(collection.path, 120));
    if !collection.summary.is_empty() {
        comment = format!("{} ({comment})", collection.summary);
    }
    resource.comments.push(comment);
    resource
        .comments
        .extend((!collection.guesses.is_empty()).then(|| collection.guesses.join(" ")));
    let mut carried = HashMap::new();
    let depth = link.as_ref().map_or(0, |link| link.depth);
    if let Some(link) = link {
        let one = singular(link.parent.as_str());
        for (parameter, column) in &link.columns {
            resource.path = resource
                .path
                .replace(&format!("{{{parameter}}}"), &format!("${{parent.{column}}}"));
            let own = snake(parameter);
            let is_taken = collection
                .record
                .as_object()
                .is_some_and(|record| record.keys().any(|name| snake(name) == own));
            let new = match is_taken || own == "id" {
                true if own == one => format!("{one}_id"),
                true => format!("{one}_{own}"),
                false => own,
            };
            resource.carry.insert(new.clone(), column.clone().into());
            carried.insert(parameter.clone(), new);
        }
        resource.for_each = Some(link.parent);
    }
    resource.headers = collection.headers;
    resource.query = collection.query;
    resource.records = collection.records;
    resource.paginate = collection.paginate;
    resource.evidence = collection.evidence;
    resource.key = collection.key.clone();
    let needs = Vec::new();
    let place =
        Placed { name, depth, record: collection.record, key: collection.key, carried, needs };
    (resource, place)
}
