//! What can be done with a target, by whom.
//!
//! In: a target, its object, and a caller. Out: the methods that the caller may use there, for
//! `Allow` (RFC 9110, 10.2.1), and for `OPTIONS` also the media types of what may be sent
//! (`Accept-Patch` of RFC 5789, `Accept-Post` of the Linked Data Platform). What never happens
//! here: a method that the caller would be refused.

use restway_model::Name;
use restway_model::definition::AppEvent;

use crate::access::Caller;
use crate::plan::{self, Apps, Published};
use crate::query::Reading;
use crate::refusal::{READS, Refusal};
use crate::request::Target;
use crate::respond::{self, Response};
use crate::source::Relation;
use crate::statement::Dialect;

/// What a list takes to be added or changed.
const LISTS: &str = "application/json, application/x-ndjson, text/csv";
/// What changes an item.
const PATCHES: &str = "application/merge-patch+json, application/json, application/json-patch+json";

/// Whether an object can be written to.
pub(crate) async fn is_table(reading: &Reading<'_>, object: &Published) -> Result<bool, Refusal> {
    let may_be =
        object.source.dialect() != Dialect::Lake && matches!(object.relation, Relation::Table(_));
    Ok(may_be && reading.describe(object).await?.is_table)
}

/// The methods that a caller may use.
pub(crate) fn allowed(
    target: &Target,
    object: &Published,
    caller: &Caller,
    is_table: bool,
) -> String {
    let may = |event: &AppEvent| object.grants.allowed(caller, event).is_some();
    let writes = |event: AppEvent| is_table && may(&event);
    let reads = may(&AppEvent::Filter);
    let is_event = |event: &str| {
        event.parse::<Name>().is_ok_and(|name| writes(AppEvent::Own(name)))
            && object.writing.event(event).is_some()
    };
    let reads_list = reads || may(&AppEvent::Export);
    let (inserts, updates, deletes) =
        (writes(AppEvent::Insert), writes(AppEvent::Update), writes(AppEvent::Delete));
    let methods: Vec<(&str, bool)> = match target {
        Target::Document { .. } | Target::Nothing => vec![("GET", true), ("HEAD", true)],
        Target::List { .. } => vec![
            ("GET", reads_list),
            ("HEAD", reads_list),
            ("POST", inserts),
            ("PATCH", updates),
            ("DELETE", deletes),
        ],
        Target::Query { .. } => vec![("POST", reads_list)],
        Target::Count { .. } | Target::Value { .. } => vec![("GET", reads), ("HEAD", reads)],
        Target::Item { .. } => vec![
            ("GET", reads),
            ("HEAD", reads),
            ("POST", updates),
            ("PUT", updates),
            ("PATCH", updates),
            ("DELETE", deletes),
        ],
        Target::Event { event, .. } => vec![("POST", is_event(event))],
    };
    let open = methods.into_iter().filter(|(_, is_open)| *is_open).map(|(method, _)| method);
    open.chain(["OPTIONS"]).collect::<Vec<_>>().join(", ")
}

/// Answers `OPTIONS`.
pub(crate) async fn told(
    apps: &Apps,
    reading: &Reading<'_>,
    target: &Target,
    caller: &Caller,
) -> Result<Response, Refusal> {
    let Some((app, name)) = target.object() else {
        let app = target.app().ok_or(Refusal::Unknown { near: None })?;
        plan::open_app(apps, app, caller)?;
        return Ok(respond::bare(204, vec![("allow", READS.to_owned())]));
    };
    let (app, objects) = plan::open_app(apps, app, caller)?;
    let object = plan::open_object(app, objects, name, caller)?;
    if let Target::Event { event, .. } = target
        && object.writing.event(event).is_none()
    {
        return Err(Refusal::Unknown { near: None });
    }
    if let Target::Value { column, .. } = target {
        let whole = reading.describe(object).await?;
        let seen = object.grants.allowed(caller, &AppEvent::Filter);
        let seen = seen.map(|allowed| allowed.visible(whole, &object.key));
        if seen.is_none_or(|seen| plan::column(&seen.columns, column).is_none()) {
            return Err(Refusal::Unknown { near: None });
        }
    }
    let is_table = is_table(reading, object).await?;
    let allow = allowed(target, object, caller, is_table);
    let takes = |method: &str| allow.split(", ").any(|one| one == method);
    let is_list = matches!(target, Target::List { .. });
    let mut headers = Vec::new();
    if takes("PATCH") {
        headers.push(("accept-patch", if is_list { LISTS } else { PATCHES }.to_owned()));
    }
    if takes("POST") {
        let types = if is_list { LISTS } else { "application/json" };
        headers.push(("accept-post", types.to_owned()));
    }
    headers.push(("allow", allow));
    Ok(respond::bare(204, headers))
}
