//! Writing: a request that changes rows, from its body to its answer.
//!
//! In: a request that does not read. Out: a response, or a refusal after which nothing has
//! happened. The stages, each a module: `body` and `wishes` read the request, `values` gives the
//! columns their values, `session` does the work in a transaction with `rules` and `conflict`
//! for what is wrong with it, `binding` runs the webhooks of an event, `row` tells versions apart,
//! `memory` remembers answers, and `many` does the same for lists.
//!
//! What never happens here: a write outside of a transaction, or one to anything but a table of a
//! database.

mod binding;
mod body;
mod conflict;
mod exact;
mod many;
mod memory;
mod patch;
mod rights;
mod row;
mod rules;
mod session;
mod steps;
mod values;
mod wishes;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{Either, select};
use restway_model::Name;
use restway_model::definition::{ANONYMOUS, AppEvent};

use crate::access::Caller;
use crate::methods::{allowed, is_table};
use crate::plan::{self, Apps, Condition, Published};
use crate::query::Reading;
use crate::refusal::{READS, Refusal, Validation};
use crate::request::{Asked, Request, Target};
use crate::respond::{self, Response};
use crate::source::{Column, Description};
use crate::webhooks::Webhooks;
use binding::Calls;
use body::{Body, Item};
use memory::Held;
use rights::Rights;
use session::{Done, Session, What};
use values::Place;
use wishes::{Shows, Wishes};

pub(crate) use memory::UnderWay;
pub(crate) use row::{Marks, Preconditions, Row, Versions, tag};
pub(crate) use rules::Writing;

/// How long a write waits before it tries again, so that those who met do not meet again.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// What writing needs of the publisher.
pub(crate) struct Writer<'a> {
    pub(crate) apps: &'a Apps,
    pub(crate) reading: Reading<'a>,
    pub(crate) under_way: &'a UnderWay,
    pub(crate) caller: &'a Caller,
    pub(crate) webhooks: Option<&'a dyn Webhooks>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verb {
    /// `POST` to a list.
    Insert,
    /// `POST` or `PATCH` to an item.
    Update,
    /// `PUT` to an item.
    Replace,
    /// `DELETE` of an item.
    Delete,
    /// `PATCH` of a list.
    UpdateMany,
    /// `DELETE` of a list.
    DeleteMany,
    /// An event of the object's own.
    Event(AppEvent),
}

impl Verb {
    fn of(method: &str, target: &Target) -> Option<Self> {
        Some(match (method, target) {
            ("POST", Target::List { .. }) => Self::Insert,
            ("PATCH", Target::List { .. }) => Self::UpdateMany,
            ("DELETE", Target::List { .. }) => Self::DeleteMany,
            ("POST" | "PATCH", Target::Item { .. }) => Self::Update,
            ("PUT", Target::Item { .. }) => Self::Replace,
            ("DELETE", Target::Item { .. }) => Self::Delete,
            ("POST", Target::Event { event, .. }) => {
                Self::Event(AppEvent::Own(event.parse::<Name>().ok()?))
            }
            _ => return None,
        })
    }

    /// The privilege that it takes.
    fn event(&self) -> AppEvent {
        match self {
            Self::Insert => AppEvent::Insert,
            Self::Update | Self::Replace | Self::UpdateMany => AppEvent::Update,
            Self::Delete | Self::DeleteMany => AppEvent::Delete,
            Self::Event(event) => event.clone(),
        }
    }
}

/// A write that was let in.
struct Write<'a> {
    request: &'a Request,
    app: &'a str,
    name: &'a str,
    object: &'a Published,
    parts: &'a [String],
    rights: Rights<'a>,
    verb: Verb,
    wishes: Wishes,
    filters: Vec<(String, String)>,
    body: Body,
    preconditions: Preconditions,
    /// Whether another api was called for it.
    has_called: AtomicBool,
}

impl Writer<'_> {
    /// Answers a request that does not read.
    pub(crate) async fn answer(
        &self,
        request: &Request,
        asked: &Asked,
    ) -> Result<Response, Refusal> {
        let app = asked.target.app().ok_or(Refusal::Unknown { near: None })?;
        let (app, objects) = plan::open_app(self.apps, app, self.caller)?;
        let Some((_, name)) = asked.target.object() else {
            return Err(Refusal::Method { allow: READS.to_owned() });
        };
        let parts = match &asked.target {
            Target::Item { key, .. } | Target::Event { key, .. } => key.as_slice(),
            _ => [].as_slice(),
        };
        let object = plan::open_object(app, objects, name, self.caller)?;
        let verb = self.admitted(request, &asked.target, object).await?;
        let rights = Rights::of(object, self.caller, &verb.event())?;
        let parameters = asked.parameters.clone();
        let (wishes, filters) = Wishes::read(&request.headers, parameters)?;
        let body = body::read(request.headers.get("content-type"), &request.body)?;
        let preconditions = Preconditions::read(&request.headers);
        let write = Write {
            request,
            app,
            name,
            object,
            parts,
            rights,
            verb,
            wishes,
            filters,
            body,
            preconditions,
            has_called: AtomicBool::new(false),
        };
        match self.done(&write).await {
            // The table is another one than was known: nothing happened, so once more.
            Err(Refusal::Changed(error)) => {
                object.source.forget(&object.relation);
                self.again(&write, Refusal::Changed(error)).await
            }
            // Others were in the way: so it is done behind them.
            Err(Refusal::Contended(error)) => {
                let clock = self.reading.clock;
                clock.sleep(PAUSE_MAX.mul_f64(clock.jitter())).await;
                self.again(&write, Refusal::Contended(error)).await
            }
            outcome => outcome,
        }
    }

    /// What is to be done, if it may be.
    async fn admitted(
        &self,
        request: &Request,
        target: &Target,
        object: &Published,
    ) -> Result<Verb, Refusal> {
        if let Target::Event { event, .. } = target
            && object.writing.event(event).is_none()
        {
            return Err(Refusal::Unknown { near: None });
        }
        let is_table = is_table(&self.reading, object).await?;
        match Verb::of(&request.method, target).filter(|_| is_table) {
            Some(verb) => Ok(verb),
            None => Err(Refusal::Method { allow: allowed(target, object, self.caller, is_table) }),
        }
    }

    /// A write that did not happen, once more; but what it has called is not called again.
    async fn again(&self, write: &Write<'_>, refusal: Refusal) -> Result<Response, Refusal> {
        let has_called = write.has_called.load(Ordering::Relaxed);
        if has_called { Err(refusal) } else { self.done(write).await }
    }

    /// The write by what is known of its table, in the time that it may take.
    async fn done(&self, write: &Write<'_>) -> Result<Response, Refusal> {
        let object = write.object;
        let description = self.reading.describe(object).await?;
        write.check_versions()?;
        let key = plan::key_columns(object, &description)?;
        let held = self.held(write)?;
        let time_max = self.reading.time_max + self.calls_max(write);
        let work = Box::pin(self.transacted(write, &description, &key, held.as_ref()));
        match select(work, self.reading.clock.sleep(time_max)).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => Err(Refusal::Slow { seconds: time_max.as_secs() }),
        }
    }

    /// How long the calls of a write may take: it waits for each to its end.
    fn calls_max(&self, write: &Write<'_>) -> Duration {
        let events = write.events();
        let bindings = events.iter().flat_map(|event| write.object.writing.bindings(event));
        let calls = bindings.filter_map(|one| Some(self.webhooks?.time_max(&one.webhook)));
        calls.sum()
    }

    /// The key of a request that is to be done once.
    fn held(&self, write: &Write<'_>) -> Result<Option<Held<'_>>, Refusal> {
        let Some(key) = write.request.headers.get("idempotency-key") else { return Ok(None) };
        if !write.object.writing.remembers {
            let mut findings = crate::refusal::Findings::default();
            let message = "this object remembers no `Idempotency-Key`".to_owned();
            findings.add("idempotency_key", message);
            findings.refuse()?;
        }
        let caller = self.caller.id().unwrap_or_default();
        self.under_way.hold(write.request, caller, key).map(Some)
    }

    /// The transaction of a write: it happens with its answer's record, or not at all.
    async fn transacted(
        &self,
        write: &Write<'_>,
        description: &Description,
        key: &[&Column],
        held: Option<&Held<'_>>,
    ) -> Result<Response, Refusal> {
        let source = &write.object.source;
        if let Some(held) = held
            && let Some(earlier) = held.earlier(&self.reading, &**source).await?
        {
            return Ok(earlier);
        }
        let refused = |error| self.reading.refusal(error);
        let mut transaction = source.begin().await.map_err(refused)?;
        let session = Session {
            transaction: &mut *transaction,
            reading: &self.reading,
            object: write.object,
            description,
            key,
            wishes: &write.wishes,
            rights: &write.rights,
            calls: Calls {
                webhooks: self.webhooks,
                person: self.caller.id().unwrap_or(ANONYMOUS),
                key: held.map(Held::id),
                made: &write.has_called,
            },
        };
        let outcome = self.effect(write, session, held).await;
        if outcome.is_err() || write.wishes.only_validates {
            transaction.rollback().await;
            return outcome;
        }
        match transaction.commit().await {
            Ok(()) => outcome,
            // A constraint that is looked at last.
            Err(error) => match conflict::refusal(error, description, &Place::of(None), &|column| {
                write.rights.knows(column, key)
            }) {
                Ok(refusal) => Err(refusal),
                Err(error) => Err(refused(error)),
            },
        }
    }

    /// What a write does within its transaction: the rows, and the record of the answer.
    async fn effect(
        &self,
        write: &Write<'_>,
        mut session: Session<'_, '_>,
        held: Option<&Held<'_>>,
    ) -> Result<Response, Refusal> {
        let mut response = write.effect(&mut session).await?;
        if !write.wishes.applied.is_empty() {
            response.headers.push(("preference-applied", write.wishes.applied.join(", ")));
        }
        if let Some(held) = held.filter(|_| !write.wishes.only_validates) {
            let dialect = write.object.source.dialect();
            held.remember(&self.reading, dialect, session.transaction, &response).await?;
        }
        Ok(response)
    }
}

impl Write<'_> {
    /// Whether the request says enough about the version that it changes.
    fn check_versions(&self) -> Result<(), Refusal> {
        let changes = !matches!(self.verb, Verb::Insert);
        let is_named = self.preconditions.names_a_version(self.verb == Verb::Replace);
        if changes && self.object.writing.requires_match && !is_named {
            return Err(Refusal::NoPrecondition);
        }
        Ok(())
    }

    /// What happens to the rows.
    async fn effect<'s>(&'s self, session: &mut Session<'s, '_>) -> Result<Response, Refusal> {
        let is_list = match &self.verb {
            Verb::Insert => matches!(self.body, Body::Many(_)),
            Verb::UpdateMany | Verb::DeleteMany => true,
            _ => false,
        };
        if is_list {
            self.no_calls()?;
            return many::effect(self, session).await;
        }
        self.no_filters()?;
        let place = Place::of(None);
        let done = match &self.verb {
            Verb::Insert => many::placed(self, session, self.item()?, &place).await?,
            Verb::Replace => self.replaced(session, &place).await?,
            verb => {
                let key = plan::key_condition(session.key, self.parts)?;
                let old = session.locked(key, &verb.event()).await?.ok_or(Refusal::NoItem)?;
                session.allow(&self.preconditions, Some(&old)).await?;
                match verb {
                    Verb::Delete => session.delete(old, &place).await?,
                    Verb::Event(event @ AppEvent::Own(name)) => {
                        let empty = Item::default();
                        let item = match &self.body {
                            Body::Empty => &empty,
                            _ => self.item()?,
                        };
                        let pieces = self.object.writing.event(name.as_str());
                        session.event(old, event, pieces.unwrap_or_default(), item).await?
                    }
                    _ => {
                        let seen = match &self.body {
                            Body::Steps(_) if session.is_seen(&old).await? => {
                                Some(session.visible(&old))
                            }
                            _ => None,
                        };
                        let (method, body) = (&self.request.method, &self.body);
                        let item = patch::applied(method, body, seen.as_deref())?;
                        let mut taken =
                            values::take(&item, &session.known(&AppEvent::Update), &place);
                        patch::merge(method, &mut taken, &old, &place);
                        session.update(&old, taken, &place).await?
                    }
                }
            }
        };
        let event = match (&self.verb, done.what) {
            (Verb::Event(event), _) => event.clone(),
            (_, What::Inserted) => AppEvent::Insert,
            (_, What::Updated) => AppEvent::Update,
            (_, What::Deleted) => AppEvent::Delete,
            (_, What::Kept) => return Ok(self.answered(session, &done)),
        };
        let done = binding::run(session, done, &event, &place).await?;
        Ok(self.answered(session, &done))
    }

    /// The events that it may come to.
    fn events(&self) -> Vec<AppEvent> {
        match &self.verb {
            Verb::Insert | Verb::Replace => vec![AppEvent::Insert, AppEvent::Update],
            verb => vec![verb.event()],
        }
    }

    /// A list that calls others for each of its items would be all of them or none here, and some
    /// of them there.
    fn no_calls(&self) -> Result<(), Refusal> {
        let calls = |event: &AppEvent| !self.object.writing.bindings(event).is_empty();
        if self.events().iter().any(calls) {
            return Err(malformed("items are written one by one here: each makes calls"));
        }
        Ok(())
    }

    /// The whole item, where it was or where none was.
    async fn replaced<'s>(
        &'s self,
        session: &mut Session<'s, '_>,
        place: &Place,
    ) -> Result<Done, Refusal> {
        let key = plan::key_condition(session.key, self.parts)?;
        let old = session.locked(key, &AppEvent::Update).await?;
        session.allow(&self.preconditions, old.as_ref()).await?;
        let event = if old.is_some() { AppEvent::Update } else { AppEvent::Insert };
        let mut taken = values::take(self.item()?, &session.known(&event), place);
        match old {
            Some(old) => {
                patch::complete(&mut taken, &session.known(&event), place);
                session.update(&old, taken, place).await
            }
            None if !self.rights.may(&AppEvent::Insert) => Err(Refusal::NoItem),
            None => {
                patch::address(&mut taken, session.key, self.parts, session.rights, place);
                session.insert(taken, place).await
            }
        }
    }

    fn item(&self) -> Result<&Item, Refusal> {
        match &self.body {
            Body::One(item) => Ok(item),
            _ => Err(malformed("the body is one item, `{\"item\": {…}}` or the object itself")),
        }
    }

    fn no_filters(&self) -> Result<(), Refusal> {
        let mut findings = crate::refusal::Findings::default();
        for (name, _) in &self.filters {
            let known = ["$validate", "$key", "$maxAffected", "$onError"];
            findings.unknown("unknown_parameter", "parameter", name, known.into_iter());
        }
        findings.refuse()
    }

    /// The rows that the filters of a list name, over the columns that the caller can read:
    /// others would be told by what is changed.
    fn condition<'d>(&self, visible: &'d Description) -> Result<Condition<'d>, Refusal> {
        let condition = plan::filter(visible, &self.filters)?;
        match &condition {
            Condition::All(all) if all.is_empty() => {
                Err(malformed("name the items with a filter: all of them are never meant"))
            }
            _ => Ok(condition),
        }
    }

    /// How much of an item is answered; who may not read sees nothing of it.
    fn shows(&self) -> Shows {
        let usual = match self.verb {
            Verb::Delete | Verb::DeleteMany => Shows::Nothing,
            _ => Shows::Item,
        };
        self.wishes.shows.unwrap_or(usual)
    }

    /// What is shown of a row.
    fn shown(&self, session: &Session<'_, '_>, done: &Done) -> Vec<u8> {
        match self.shows() {
            Shows::Item if done.is_seen => session.visible(&done.row),
            Shows::Key if done.is_seen => done.row.only(session.key),
            _ => b"null".to_vec(),
        }
    }

    /// The answer about one item.
    fn answered(&self, session: &Session<'_, '_>, done: &Done) -> Response {
        let is_new = done.what == What::Inserted;
        let status = if is_new && self.verb == Verb::Replace { 201 } else { 200 };
        let shown = self.shown(session, done);
        let mut response = respond::written(&shown, &done.found, status);
        if done.what != What::Deleted && done.is_seen {
            let version = done.row.version(&self.object.writing.versions);
            response.headers.push(("etag", tag(&version, &session.visible(&done.row))));
        }
        if is_new && done.is_seen {
            let path = done.row.path(session.key);
            let place = format!("/rest/v1/{}/{}/{path}", self.app, self.name);
            response.headers.push(("location", place));
        }
        response
    }
}

/// A refusal of a body that is not what is asked for.
fn malformed(message: &str) -> Refusal {
    Refusal::Invalid(vec![Validation::error("malformed_body", message.to_owned())])
}
