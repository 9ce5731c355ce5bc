//! Stage 2: what will be read, decided before anything is read.
//!
//! In: what was asked, the published apps, and what the one relation concerned has. Out: a
//! [`ListPlan`] or an [`ItemPlan`] whose every column is one of the table's own and whose every
//! value has its column's type; or a refusal that tells all problems of the request at once.
//!
//! What never happens here: a look at rows, a statement's text. So each rule about parameters is
//! tested with text alone.
//!
//! The rules follow the query conventions of Jitterbit App Builder: `$offset`, `$limit` (10, at
//! most 100), `$sort`, `$fields`, `$q`, `$count`, and `<field>=<value>` for equality. Beyond them:
//! operators (`filter`), trees (`tree`), pages by place (`seek`); whatever has no meaning is
//! refused, because a misspelt filter that is ignored answers too much, unless the caller prefers
//! lenient handling, and then is told what was ignored.

mod change;
mod condition;
mod filter;
mod order;
mod reader;
mod related;
mod seek;
mod tree;
mod value;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use restway_model::Seal;
use restway_model::definition::{AppEvent, Param};
use restway_tables::SYSTEM_COLUMNS;

pub use condition::{Comparison, Condition, Place, Quantity};
pub(crate) use filter::OPERATORS;
pub(crate) use order::Order;
pub(crate) use related::{Reference, Related, references};
pub(crate) use seek::{Seek, Way, token};
pub use value::Value;

use crate::access::{Allowed, Caller, Grants};
use crate::form::Form;
use crate::refusal::{Findings, Refusal, Validation};
use crate::request::{Asked, Target};
use crate::source::{Column, Description, Relation, Source};
use crate::statement::Dialect;
use crate::write::Writing;
pub(crate) use change::{filter, key_condition};
use reader::{Given, Reader};
pub(crate) use value::wanted;

/// Items of a list that did not ask for a number of them.
pub(crate) const LIMIT_DEFAULT: u64 = 10;
/// How much a caller may ask for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Items of one list.
    pub(crate) limit_max: u64,
    /// Items that can be skipped: a page behind them costs as much as all pages before it.
    pub(crate) offset_max: u64,
}

/// What a list understands besides its fields.
pub(crate) const LIST_PARAMETERS: [&str; 11] = [
    "$offset", "$limit", "$sort", "$fields", "$expand", "$q", "$count", "$filter", "$after",
    "$before", "$format",
];
/// The same where rows stream: all of them, so that there are no pages.
const EXPORT_PARAMETERS: [&str; 7] =
    ["$offset", "$limit", "$sort", "$fields", "$q", "$filter", "$format"];
/// The same where only their number is asked for.
const COUNT_PARAMETERS: [&str; 3] = ["$q", "$filter", "$count"];
/// What others call the same, and what we do.
const ALIASES: [(&str, &str); 5] = [
    ("$top", "$limit"),
    ("$skip", "$offset"),
    ("$orderby", "$sort"),
    ("$select", "$fields"),
    ("$search", "$q"),
];
const ITEM_PARAMETERS: [&str; 2] = ["$fields", "$expand"];

/// A published object, made ready when the apps were read.
pub(crate) struct Published {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) relation: Relation,
    /// The title of a saved query.
    pub(crate) title: Option<String>,
    /// The parameters of a saved query.
    pub(crate) params: BTreeMap<String, Param>,
    /// What the file says; the relation's own primary key without it.
    pub(crate) key: Vec<String>,
    pub(crate) default_fields: Vec<String>,
    pub(crate) grants: Grants,
    pub(crate) writing: Writing,
    /// What its answers say about its end.
    pub(crate) deprecation: Option<Vec<(&'static str, String)>>,
}

/// The published objects of an app, by name.
pub(crate) type Objects = BTreeMap<String, Published>;
/// The values of a saved query's parameters.
pub(crate) type Arguments = Vec<(String, serde_json::Value)>;
/// The apps, by name.
pub(crate) type Apps = BTreeMap<String, Objects>;

/// What a caller was let in to.
pub(crate) enum Admitted<'a> {
    /// The description of an app.
    Document { app: &'a str, objects: &'a Objects },
    /// Items.
    Rows { object: &'a Published, allowed: Allowed<'a>, objects: &'a Objects, wanted: Wanted<'a> },
}

/// What is wanted of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// A list.
    List,
    /// The number of its items.
    Count,
    /// An item, by the parts of its key.
    Item(&'a [String]),
    /// The value of one of its columns.
    Value(&'a [String], &'a str),
}

/// Items to read.
#[derive(Debug)]
pub(crate) struct ListPlan<'a> {
    pub(crate) relation: &'a Relation,
    pub(crate) arguments: &'a [(String, serde_json::Value)],
    pub(crate) fields: Vec<&'a Column>,
    pub(crate) condition: Condition<'a>,
    pub(crate) order: Vec<Order<'a>>,
    pub(crate) offset: u64,
    pub(crate) limit: u64,
    pub(crate) seek: Seek,
    /// What tokens of its pages are bound to.
    pub(crate) belongs: String,
    pub(crate) counts: Option<Counts>,
    /// Whether each item comes with the tag of its version.
    pub(crate) tags: bool,
    /// The related objects whose items come with each item.
    pub(crate) expands: Vec<&'a Related<'a>>,
    /// What the caller should know about the answer.
    pub(crate) message: Option<String>,
    pub(crate) notes: Vec<Validation>,
}

/// How the items of all pages are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// Exactly, and the envelope need not say so.
    Plainly,
    /// Exactly.
    Exactly,
    /// As the database guesses, where that is cheap.
    Roughly,
    /// Up to a bound.
    UpTo(u64),
}

/// Items that a bounded count counts.
pub(crate) const COUNT_MAX: u64 = 10_000;

/// What stands around the parameters of a list.
pub(crate) struct Circumstances<'a> {
    pub(crate) bounds: Bounds,
    pub(crate) seal: Option<&'a dyn Seal>,
    /// Whether what has no meaning is passed over.
    pub(crate) is_lenient: bool,
    pub(crate) related: &'a [Related<'a>],
    pub(crate) form: Form,
    /// Whether only the number of items is asked for.
    pub(crate) only_counts: bool,
}

/// One item to read.
#[derive(Debug)]
pub(crate) struct ItemPlan<'a> {
    pub(crate) relation: &'a Relation,
    pub(crate) arguments: &'a [(String, serde_json::Value)],
    pub(crate) fields: Vec<&'a Column>,
    pub(crate) key: Condition<'a>,
    /// The related objects whose items come with it.
    pub(crate) expands: Vec<&'a Related<'a>>,
}

/// Whether the caller may come in, and to what.
///
/// An app in which nothing is given to the caller answers like one that does not exist, and so does
/// an object, but for two cases: whoever may do something else with it is told that he may not do
/// this (403), and whoever did not say who he is, is asked to (401), in an app that has something
/// for him: its document and its names are in his hands already.
pub(crate) fn admit<'a>(
    apps: &'a Apps,
    asked: &'a Asked,
    caller: &Caller,
    event: &AppEvent,
) -> Result<Admitted<'a>, Refusal> {
    let app = asked.target.app().ok_or(Refusal::Unknown { near: None })?;
    let (app, objects) = open_app(apps, app, caller)?;
    let Some((_, name)) = asked.target.object() else {
        return Ok(Admitted::Document { app, objects });
    };
    let object = open_object(app, objects, name, caller)?;
    let Some(allowed) = object.grants.allowed(caller, event) else {
        return Err(Refusal::Forbidden);
    };
    let wanted = match &asked.target {
        Target::Count { .. } => Wanted::Count,
        Target::Item { key, .. } => Wanted::Item(key),
        Target::Value { key, column, .. } => Wanted::Value(key, column),
        _ => Wanted::List,
    };
    Ok(Admitted::Rows { object, allowed, objects, wanted })
}

pub(crate) fn open_app<'a>(
    apps: &'a Apps,
    name: &str,
    caller: &Caller,
) -> Result<(&'a str, &'a Objects), Refusal> {
    let is_open = |objects: &Objects| objects.values().any(|one| one.grants.has_any(caller));
    match apps.get_key_value(name).filter(|(_, objects)| is_open(objects)) {
        Some((name, objects)) => Ok((name, objects)),
        None => {
            let open = apps.iter().filter(|(_, objects)| is_open(objects));
            let near = restway_model::nearest(name, open.map(|(name, _)| name.as_str()));
            Err(Refusal::Unknown { near: near.map(str::to_owned) })
        }
    }
}

pub(crate) fn open_object<'a>(
    app: &str,
    objects: &'a Objects,
    name: &str,
    caller: &Caller,
) -> Result<&'a Published, Refusal> {
    match objects.get(name) {
        Some(object) if object.grants.has_any(caller) => Ok(object),
        Some(_) if !caller.is_known() => Err(Refusal::Closed),
        _ => {
            let open = objects.iter().filter(|(_, object)| object.grants.has_any(caller));
            let near = restway_model::nearest(name, open.map(|(name, _)| name.as_str()));
            Err(Refusal::Unknown { near: near.map(|near| format!("{app}/{near}")) })
        }
    }
}

/// The description of an app takes no parameters.
pub(crate) fn document(parameters: &[(String, String)]) -> Result<(), Refusal> {
    let mut reader = Reader::new(&[], &[]);
    reader.once_each(parameters);
    reader.findings.refuse()
}

/// The parameters of the saved query behind an object, taken out of those of the request, and what
/// is left.
pub(crate) fn arguments(
    object: &Published,
    parameters: Vec<(String, String)>,
) -> Result<(Arguments, Vec<(String, String)>), Refusal> {
    let mut findings = Findings::default();
    let mut arguments = Arguments::new();
    let (own, rest): (Vec<_>, Vec<_>) =
        parameters.into_iter().partition(|(name, _)| object.params.contains_key(name));
    for (name, param) in &object.params {
        let mut given = own.iter().filter(|(own, _)| own == name).map(|(_, text)| text);
        let value = match given.next() {
            Some(text) => typed(param, text),
            None => param.absent().ok_or_else(|| "must be given".to_owned()),
        };
        if given.next().is_some() {
            findings.add("repeated_parameter", format!("`{name}` is given more than once"));
        }
        match value {
            Ok(value) => arguments.push((name.clone(), value)),
            Err(problem) => findings.add("invalid_parameter", format!("`{name}` {problem}")),
        }
    }
    findings.refuse()?;
    Ok((arguments, rest))
}

/// A text of a query string as a parameter's value.
fn typed(param: &Param, text: &str) -> Result<serde_json::Value, String> {
    let mut problems = Vec::new();
    let value = param.take(param.read(text)?, "", &mut problems);
    match problems.into_iter().next() {
        Some(problem) => Err(problem.problem),
        None => Ok(value),
    }
}

/// The plan of a list.
pub(crate) fn list<'a>(
    object: &'a Published,
    description: &'a Description,
    arguments: &'a Arguments,
    parameters: &[(String, String)],
    around: &Circumstances<'a>,
) -> Result<ListPlan<'a>, Refusal> {
    let columns = &description.columns;
    let key = key_columns(object, description)?;
    let streams = around.form != Form::Envelope;
    let known: &[&str] = match (around.only_counts, streams) {
        (true, _) => &COUNT_PARAMETERS,
        (false, true) => &EXPORT_PARAMETERS,
        (false, false) => &LIST_PARAMETERS,
    };
    let mut reader = Reader::new(columns, known);
    reader.findings.is_lenient = around.is_lenient;
    let given = reader.once_each(parameters);
    let is_has = |name: &&str| matches!(filter::split(name), Some((_, "has")));
    if object.source.dialect() == Dialect::Lake && given.keys().any(is_has) {
        let message = "`has` looks into the JSON of databases, and this is no database".to_owned();
        reader.findings.add("unknown_operator", message);
    }
    reader.format(&given);
    let (limit, message) = match streams && !given.contains_key("$limit") {
        _ if around.only_counts => (0, None),
        true => (u64::MAX, None),
        false => reader.limit(&given, if streams { u64::MAX } else { around.bounds.limit_max }),
    };
    reader.can_tag = has_versions(object, description) && !streams;
    let fields = reader.fields(&given).unwrap_or_else(|| default_fields(object, columns, &key));
    let condition = reader.condition(&given, around.related);
    let mut order = reader.order(&given, &key);
    let belongs = seek::belongs(&object.relation, arguments, &condition, &order);
    let seek = reader.seek(&given, object, around.seal, &belongs, &order);
    if seek.is_before() {
        order = order.into_iter().map(Order::turned).collect();
    }
    let plan = ListPlan {
        relation: &object.relation,
        arguments,
        fields,
        condition,
        order,
        offset: reader.offset(&given, around.bounds.offset_max),
        limit,
        seek,
        belongs,
        counts: reader.counts(&given, around.only_counts),
        tags: reader.tags,
        expands: reader.expands(&given, around.related),
        message,
        notes: reader.findings.take_notes(),
    };
    reader.findings.refuse()?;
    Ok(plan)
}

/// The plan of an item. A key that the table cannot hold is the key of no item.
pub(crate) fn item<'a>(
    object: &'a Published,
    description: &'a Description,
    arguments: &'a Arguments,
    parts: &[String],
    parameters: &[(String, String)],
    related: &'a [Related<'a>],
) -> Result<ItemPlan<'a>, Refusal> {
    let columns = &description.columns;
    let key = key_columns(object, description)?;
    let mut reader = Reader::new(columns, &ITEM_PARAMETERS);
    let given = reader.once_each(parameters);
    let fields = reader.fields(&given).unwrap_or_else(|| or_key(plain(columns), &key));
    let expands = reader.expands(&given, related);
    reader.findings.refuse()?;
    let key = key_condition(&key, parts)?;
    Ok(ItemPlan { relation: &object.relation, arguments, fields, key, expands })
}

/// The items of a related object that belong to items with these values, in the order of its key.
pub(crate) fn belonging<'a>(
    related: &'a Related<'a>,
    condition: Condition<'a>,
    limit: u64,
) -> Result<ListPlan<'a>, Refusal> {
    let columns = &related.description.columns;
    let key = key_columns(related.object, related.description)?;
    let mut fields = default_fields(related.object, columns, &key);
    fields.extend(related.pairs.iter().map(|(_, theirs)| *theirs));
    let order = Reader::new(columns, &[]).order(&Given::new(), &key);
    Ok(ListPlan {
        relation: &related.object.relation,
        arguments: &[],
        fields: or_key(fields, &key),
        condition: condition.and(related.only.clone()),
        order,
        offset: 0,
        limit,
        seek: Seek::Offset { tells: false },
        belongs: String::new(),
        counts: None,
        tags: false,
        expands: Vec::new(),
        message: None,
        notes: Vec::new(),
    })
}

/// The fields of a related item that are shown.
pub(crate) fn shown_of<'a>(related: &'a Related<'a>) -> Result<Vec<&'a Column>, Refusal> {
    let key = key_columns(related.object, related.description)?;
    Ok(default_fields(related.object, &related.description.columns, &key))
}

/// Whether the rows of an object have versions that a change can name.
pub(crate) fn has_versions(object: &Published, description: &Description) -> bool {
    description.is_table && object.source.dialect() != Dialect::Lake
}

/// The names of the key: those of the file, or the relation's own.
pub(crate) fn key_names<'a>(object: &'a Published, description: &'a Description) -> &'a [String] {
    if object.key.is_empty() { &description.key } else { &object.key }
}

pub(crate) fn key_columns<'a>(
    object: &Published,
    description: &'a Description,
) -> Result<Vec<&'a Column>, Refusal> {
    let relation = &object.relation;
    let names = key_names(object, description);
    if names.is_empty() {
        let reason = format!("`{relation}` has no primary key, and the object names no `key`");
        return Err(Refusal::Unfit { reason });
    }
    let find = |name: &String| {
        column(&description.columns, name).ok_or_else(|| Refusal::Unfit {
            reason: format!("the key column `{name}` is not in the table `{relation}`"),
        })
    };
    names.iter().map(find).collect()
}

/// A text as a value of a column: of its kind, and one that it may have.
pub(crate) fn value_of(column: &Column, text: &str) -> Option<Value> {
    let may_have = column.choices.is_empty() || column.choices.iter().any(|choice| choice == text);
    Value::of(column.kind, text).filter(|_| may_have)
}

/// The fields of an answer that did not ask for any. A default field that no record has had yet
/// is left out: the table learns of a column from the first record that has it.
fn default_fields<'a>(
    object: &Published,
    columns: &'a [Column],
    key: &[&'a Column],
) -> Vec<&'a Column> {
    if object.default_fields.is_empty() {
        return or_key(plain(columns), key);
    }
    or_key(object.default_fields.iter().filter_map(|name| column(columns, name)).collect(), key)
}

/// An item without any field could not be told from another. No field is answered twice.
fn or_key<'a>(fields: Vec<&'a Column>, key: &[&'a Column]) -> Vec<&'a Column> {
    let mut fields = if fields.is_empty() { key.to_vec() } else { fields };
    let mut seen = HashSet::new();
    fields.retain(|field| seen.insert(&field.name));
    fields
}

/// The columns that the api's records have, without those that Restway adds.
fn plain(columns: &[Column]) -> Vec<&Column> {
    columns.iter().filter(|column| !SYSTEM_COLUMNS.contains(&column.name.as_str())).collect()
}

pub(crate) fn column<'a>(columns: &'a [Column], name: &str) -> Option<&'a Column> {
    columns.iter().find(|column| column.name == name)
}
