//! The stages in their order, and what surrounds them: who may come in, who is told of faults.
//!
//! In: the apps and the seams, once; then requests. Out: responses, always. What never
//! happens here: a rule about parameters, statements or envelopes; each has its stage.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use restway_model::definition::AppEvent;
use restway_model::{Clock, Event, Limits, Observer, Seal};

use crate::access::{Allowed, Caller, Door, Gate, Identities, Nobody};
use crate::apps::{App, PublishError, objects};
use crate::beside::{self, Beside};
use crate::export::Export;
use crate::form::Form;
use crate::methods;
use crate::openapi;
use crate::outlet::{Answered, Outlet, Whole};
use crate::plan::{
    self, Admitted, Apps, Arguments, Bounds, Circumstances, Condition, ListPlan, Objects,
    Published, Reference, Related, Wanted,
};
use crate::query::Reading;
use crate::refusal::Refusal;
use crate::request::{self, Intent, Request, Target};
use crate::respond::{self, Response};
use crate::source::{Description, PAGE_BYTES_MAX, Relation, Source, SourceError};
use crate::statement::Dialect;
use crate::timing::Timing;
use crate::value;
use crate::webhooks::Webhooks;
use crate::write::{self, Marks, Preconditions, Row, UnderWay};

/// Tables that are looked at to find out whether the lake can be read.
const READY_TABLES_MAX: usize = 16;

/// An object that everybody may read, for those who show what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenObject {
    /// The app.
    pub app: String,
    /// The object.
    pub object: String,
    /// What it is published from.
    pub from: String,
    /// The columns of its key, in the order of the URL; none where the database tells them.
    pub key: Vec<String>,
}

/// Answers for the published apps.
pub struct Publisher {
    apps: Apps,
    door: Door,
    gate: Gate,
    bounds: Bounds,
    time_max: Duration,
    observer: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
    under_way: UnderWay,
    seal: Option<Arc<dyn Seal>>,
    webhooks: Option<Arc<dyn Webhooks>>,
}

impl Publisher {
    /// Makes the apps ready. `lake` has the workspace's own tables.
    ///
    /// # Errors
    /// When the apps contradict each other or name what is not there.
    pub fn new(
        apps: Vec<App>,
        lake: &Arc<dyn Source>,
        limits: &Limits,
        observer: Arc<dyn Observer>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PublishError> {
        let mut ready = Apps::new();
        let mut gate = Gate::default();
        for app in apps {
            let objects = objects(&app, lake)?;
            gate.add(&app.file);
            let app = app.file.app.to_string();
            if ready.contains_key(&app) {
                return Err(PublishError::AppTwice { app });
            }
            ready.insert(app, objects);
        }
        let bounds =
            Bounds { limit_max: limits.list_rows_max as u64, offset_max: limits.list_offset_max };
        let door = Door::new(Arc::new(Nobody), Arc::clone(&clock));
        let (time_max, under_way) = (limits.list_timeout, UnderWay::default());
        let (apps, seal, webhooks) = (ready, None, None);
        Ok(Self { apps, door, gate, bounds, time_max, observer, clock, under_way, seal, webhooks })
    }

    /// Who runs the webhooks of events; without one, events that have any are refused.
    #[must_use]
    pub fn calling(mut self, webhooks: Arc<dyn Webhooks>) -> Self {
        self.webhooks = Some(webhooks);
        self
    }

    /// What seals the tokens of pages and marks the versions of rows. Without one, pages are found
    /// with `$offset` alone, and versions are told apart until the process ends.
    #[must_use]
    pub fn with_seal(mut self, seal: Arc<dyn Seal>) -> Self {
        for object in self.apps.values_mut().flat_map(|objects| objects.values_mut()) {
            object.writing.versions.marks = Marks::Sealed(Arc::clone(&seal));
        }
        self.seal = Some(seal);
        self
    }

    /// The same, knowing callers. Without it everybody is `anonymous`.
    #[must_use]
    pub fn knowing(mut self, identities: Arc<dyn Identities>) -> Self {
        self.door = Door::new(identities, Arc::clone(&self.clock));
        self
    }

    /// Answers a request as a whole, whatever its form, up to the bound of a page's bytes.
    pub async fn answer(&self, request: &Request) -> Response {
        let mut outlet = Whole::default();
        match (self.answer_to(request, &mut outlet).await, outlet.0) {
            (Answered::Whole(response), _) | (Answered::Sent, Some(response)) => response,
            _ => {
                let refusal = Refusal::TooLarge { bytes_max: PAGE_BYTES_MAX };
                respond::refusal(&refusal, request::is_item(&request.path))
            }
        }
    }

    /// Answers a request: request, plan, query, respond. Rows that stream go to the outlet.
    pub async fn answer_to(&self, request: &Request, outlet: &mut dyn Outlet) -> Answered {
        let mut timing = Timing::new(&*self.clock);
        let mut standing = Vec::new();
        let mut response = match self.stages(request, &mut timing, &mut standing, outlet).await {
            Ok(Reply::Whole(response)) => response,
            Ok(Reply::Head(response)) => return Answered::Whole(response),
            Ok(Reply::Sent) => return Answered::Sent,
            Ok(Reply::Cut(error)) => {
                let about = self.label(&request.path).unwrap_or_else(|| "publish".to_owned());
                let message = format!("the rows were cut: {error}");
                self.observer.observe(&Event::Warned { about, message });
                return Answered::Cut;
            }
            Err(refusal) => {
                self.tell(request, &refusal);
                respond::refusal(&refusal, request::is_item(&request.path))
            }
        };
        timing.lap("respond", ());
        response.headers.append(&mut standing);
        response.headers.push(("server-timing", timing.header()));
        response.object = self.label(&request.path);
        let is_head = request.method == "HEAD";
        Answered::Whole(if is_head { response.without_body() } else { response })
    }

    /// The objects that everybody may read, in the order of their names.
    pub fn open_objects(&self) -> Vec<OpenObject> {
        let mut open = Vec::new();
        for (app, objects) in &self.apps {
            for (name, object) in objects.iter().filter(|(_, object)| object.grants.is_open()) {
                open.push(OpenObject {
                    app: app.clone(),
                    object: name.clone(),
                    from: object.relation.to_string(),
                    key: object.key.clone(),
                });
            }
        }
        open
    }

    /// Tells the observer of columns that `access` names and that are not there: a slip in a rule
    /// closes an object, and one in a list hides a column. What does not answer now is passed over.
    pub async fn tell_of_misnamed(&self) {
        for (app, objects) in &self.apps {
            for (name, object) in objects {
                let named = object.grants.columns();
                if named.is_empty() {
                    continue;
                }
                let Ok(description) = self.reading().describe(object).await else { continue };
                let columns = &description.columns;
                for missing in named {
                    if !columns.iter().any(|column| column.name == missing) {
                        let about = format!("{app}/{name}");
                        let message =
                            format!("`access` names the column `{missing}`, which is not there");
                        self.observer.observe(&Event::Warned { about, message });
                    }
                }
            }
        }
    }

    /// Whether the workspace's own tables behind the open objects can be read. One that was never
    /// synced is no reason to wait: it will be there when it is there. A database that is down
    /// takes its own objects with it and no others, so it is none either.
    ///
    /// # Errors
    /// The observer was told why; the caller is only told that it is so.
    pub async fn ready(&self) -> Result<(), NotReady> {
        let objects = self.apps.values().flat_map(|objects| objects.values());
        let own = objects.filter(|object| {
            let is_table = matches!(&object.relation, Relation::Table(path) if path.len() == 2);
            object.grants.is_open() && is_table && object.source.dialect() == Dialect::Lake
        });
        let tables: BTreeMap<String, &Published> =
            own.map(|object| (object.relation.to_string(), object)).collect();
        for (table, object) in tables.into_iter().take(READY_TABLES_MAX) {
            match self.reading().describe(object).await {
                Ok(_) | Err(Refusal::NotLanded(_)) => {}
                Err(refusal) => {
                    let message = refusal.inside().unwrap_or_default();
                    self.observer.observe(&Event::Warned { about: table, message });
                    return Err(NotReady);
                }
            }
        }
        Ok(())
    }

    async fn stages(
        &self,
        request: &Request,
        timing: &mut Timing<'_>,
        standing: &mut Vec<(&'static str, String)>,
        outlet: &mut dyn Outlet,
    ) -> Result<Reply, Refusal> {
        let caller = self.door.enter(&request.headers, request.peer).await;
        let caller = timing.lap("access", caller)?;
        let mut asked = timing.lap("request", request::parse(request))?;
        let passed = self.passed(&asked, &caller, request, standing);
        timing.lap("plan", passed)?;
        if asked.intent != Intent::Read {
            let told = self.unread(request, &asked, &caller).await;
            return timing.lap("query", told).map(Reply::Whole);
        }
        let parameters = std::mem::take(&mut asked.parameters);
        let form = form(request, &asked.target, &parameters);
        let event = if form == Form::Envelope { AppEvent::Filter } else { AppEvent::Export };
        let admitted = timing.lap("plan", plan::admit(&self.apps, &asked, &caller, &event))?;
        let (object, allowed, objects, wanted) = match admitted {
            Admitted::Rows { object, allowed, objects, wanted } => {
                (object, allowed, objects, wanted)
            }
            Admitted::Document { app, objects } => {
                plan::document(&parameters)?;
                let tables = self.reading().described(objects, &caller).await;
                for untold in tables.iter().filter_map(|table| table.untold.as_ref()) {
                    self.tell(request, untold);
                }
                timing.lap("query", ());
                let document = openapi::document(app, &tables, self.bounds);
                return Ok(Reply::Whole(respond::document(&document)));
            }
        };
        let (arguments, parameters) = plan::arguments(object, parameters)?;
        let standing = standing.clone();
        let preconditions = Preconditions::read(&request.headers);
        let asked = Read {
            request,
            standing,
            object,
            objects,
            allowed,
            caller,
            form,
            wanted,
            arguments,
            parameters,
            preconditions,
        };
        match self.rows(&asked, timing, outlet).await {
            // The relation is another one than was known: once more, with what it is now.
            Err(Refusal::Changed(_)) => {
                object.source.forget(&object.relation);
                self.rows(&asked, timing, outlet).await
            }
            outcome => outcome,
        }
    }

    /// A request that does not read: one that changes something, or wants to know what it could.
    async fn unread(
        &self,
        request: &Request,
        asked: &request::Asked,
        caller: &Caller,
    ) -> Result<Response, Refusal> {
        let (apps, reading) = (&self.apps, self.reading());
        if asked.intent == Intent::Know {
            return methods::told(apps, &reading, &asked.target, caller).await;
        }
        let (under_way, webhooks) = (&self.under_way, self.webhooks.as_deref());
        let writer = write::Writer { apps, reading, under_way, caller, webhooks };
        writer.answer(request, asked).await
    }

    /// Whether a caller who knows of the app may ask it now.
    fn passed(
        &self,
        asked: &request::Asked,
        caller: &Caller,
        request: &Request,
        standing: &mut Vec<(&'static str, String)>,
    ) -> Result<(), Refusal> {
        let Some(app) = asked.target.app() else { return Ok(()) };
        let (_, objects) = plan::open_app(&self.apps, app, caller)?;
        let object = asked.target.object().and_then(|(_, name)| objects.get(name));
        if let Some(object) = object.filter(|object| object.grants.has_any(caller)) {
            standing.extend(object.deprecation.iter().flatten().cloned());
        }
        self.gate.pass(app, caller, request.peer, self.clock.monotonic(), standing)
    }

    /// A list or an item, by what is known of its relation.
    async fn rows(
        &self,
        asked: &Read<'_>,
        timing: &mut Timing<'_>,
        outlet: &mut dyn Outlet,
    ) -> Result<Reply, Refusal> {
        let Read { object, allowed, caller, .. } = asked;
        let whole = timing.lap("query", self.reading().describe(object).await)?;
        let rows = allowed.condition(&whole.columns, caller)?;
        let visible = allowed.visible(Arc::clone(&whole), &object.key);
        match asked.wanted {
            Wanted::List | Wanted::Count => {
                self.list(asked, &whole, &visible, rows, timing, outlet).await
            }
            Wanted::Item(key) => {
                self.item(asked, &whole, &visible, rows, key, timing).await.map(Reply::Whole)
            }
            Wanted::Value(key, column) => {
                let at = (key, column);
                self.value(asked, &whole, &visible, rows, at, timing).await.map(Reply::Whole)
            }
        }
    }

    async fn list<'a>(
        &self,
        asked: &Read<'_>,
        whole: &'a Description,
        visible: &'a Description,
        rows: Option<Condition<'a>>,
        timing: &mut Timing<'_>,
        outlet: &mut dyn Outlet,
    ) -> Result<Reply, Refusal> {
        let (object, reading) = (asked.object, self.reading());
        let others = self.others(asked, visible).await;
        let others = timing.lap("query", others)?;
        let related = self.related(asked, visible, &others)?;
        let around = self.around(asked, &related);
        let plan = plan::list(object, visible, &asked.arguments, &asked.parameters, &around);
        let mut plan = timing.lap("plan", plan)?;
        plan.condition = plan.condition.and(rows);
        if asked.form != Form::Envelope {
            return self.export(asked, &plan, asked.form, outlet).await;
        }
        let expands = std::mem::take(&mut plan.expands);
        let beside = (plan.tags || !expands.is_empty()).then(|| {
            // All columns: those of the references may be among what is not shown.
            let shown = std::mem::replace(&mut plan.fields, whole.columns.iter().collect());
            let versions = plan.tags.then_some(&object.writing.versions);
            Beside { shown, versions, expands, members: whole.columns.len() }
        });
        let page = reading.page(object, &plan, beside.as_ref(), around.seal).await;
        let page = timing.lap("query", page)?;
        Ok(Reply::Whole(respond::list(page, &plan, asked.request)))
    }

    async fn item<'a>(
        &self,
        asked: &Read<'_>,
        whole: &'a Description,
        visible: &'a Description,
        rows: Option<Condition<'a>>,
        key: &[String],
        timing: &mut Timing<'_>,
    ) -> Result<Response, Refusal> {
        let (object, reading) = (asked.object, self.reading());
        let others = self.others(asked, visible).await;
        let others = timing.lap("query", others)?;
        let related = self.related(asked, visible, &others)?;
        let (arguments, parameters) = (&asked.arguments, &asked.parameters);
        let plan = plan::item(object, visible, arguments, key, parameters, &related);
        let mut plan = timing.lap("plan", plan)?;
        plan.key = plan.key.and(rows);
        if plan::has_versions(object, whole) {
            let fields = std::mem::replace(&mut plan.fields, whole.columns.iter().collect());
            let item = timing.lap("query", reading.item(object, &plan, Vec::new()).await)?;
            let row = Row::read(item)?;
            let mut shown = row.only(&fields);
            let beside = beside::related(&reading, &plan.expands, std::slice::from_ref(&row));
            for one in timing.lap("query", beside.await)? {
                one.add_to(&mut shown, &row);
            }
            return tagged(asked, &row, &shown);
        }
        let item = reading.item(object, &plan, respond::item_head()).await;
        Ok(respond::item(timing.lap("query", item)?))
    }

    /// One value of an item; its version is the item's, or itself where items have none.
    async fn value<'a>(
        &self,
        asked: &Read<'_>,
        whole: &'a Description,
        visible: &'a Description,
        rows: Option<Condition<'a>>,
        (key, name): (&[String], &str),
        timing: &mut Timing<'_>,
    ) -> Result<Response, Refusal> {
        let object = asked.object;
        plan::document(&asked.parameters)?;
        let near = || restway_model::nearest(name, visible.columns.iter().map(|one| &*one.name));
        let Some(column) = plan::column(&visible.columns, name) else {
            return Err(Refusal::Unknown { near: near().map(str::to_owned) });
        };
        let mut plan = plan::item(object, visible, &asked.arguments, key, &[], &[])?;
        plan.key = plan.key.and(rows);
        let has_versions = plan::has_versions(object, whole);
        plan.fields = if has_versions { whole.columns.iter().collect() } else { vec![column] };
        let item = self.reading().item(object, &plan, Vec::new()).await;
        let row = Row::read(timing.lap("query", item)?)?;
        let version = row.version(&object.writing.versions);
        let raw = row.raw(name).unwrap_or("null");
        value::answered(column, raw, &version, &asked.request.headers, &asked.preconditions)
    }

    /// The rows of a list without an envelope.
    async fn export(
        &self,
        asked: &Read<'_>,
        plan: &ListPlan<'_>,
        form: Form,
        outlet: &mut dyn Outlet,
    ) -> Result<Reply, Refusal> {
        let mut head = respond::rows(form);
        head.headers.extend(asked.standing.iter().cloned());
        head.object = self.label(&asked.request.path);
        if asked.request.method == "HEAD" {
            return Ok(Reply::Head(head));
        }
        let clock = &*self.clock;
        let export = Export::new(outlet, clock, form, head, &plan.fields, plan.limit);
        let mut export = export.map_err(|error| self.reading().refusal(error))?;
        let cut = self.reading().export(asked.object, plan, &mut export).await?;
        Ok(cut.map_or(Reply::Sent, Reply::Cut))
    }

    /// The objects that the request names beside its own, each with its columns.
    async fn others<'a>(
        &self,
        asked: &'a Read<'_>,
        description: &'a Description,
    ) -> Result<Vec<(Reference<'a>, Arc<Description>, Arc<Description>)>, Refusal> {
        let is_naming =
            |(name, _): &&(String, String)| matches!(name.as_str(), "$filter" | "$expand");
        let texts: Vec<&str> =
            asked.parameters.iter().filter(is_naming).map(|(_, text)| text.as_str()).collect();
        let mut others = Vec::new();
        if texts.is_empty() {
            return Ok(others);
        }
        let (object, caller) = (asked.object, &asked.caller);
        for reference in plan::references(asked.objects, object, description, caller, &texts) {
            let whole = self.reading().describe(reference.object).await?;
            let visible = reference.allowed.visible(Arc::clone(&whole), &reference.object.key);
            others.push((reference, whole, visible));
        }
        Ok(others)
    }

    /// The same, by the columns that they share with it and that the caller sees.
    fn related<'a>(
        &self,
        asked: &Read<'_>,
        visible: &'a Description,
        others: &'a [(Reference<'a>, Arc<Description>, Arc<Description>)],
    ) -> Result<Vec<Related<'a>>, Refusal> {
        let mut related = Vec::new();
        for (reference, whole, seen) in others {
            related.extend(reference.described(visible, whole, seen, &asked.caller)?);
        }
        Ok(related)
    }

    fn around<'a>(&'a self, asked: &Read<'_>, related: &'a [Related<'a>]) -> Circumstances<'a> {
        let request = asked.request;
        let form = asked.form;
        let only_counts = matches!(asked.wanted, Wanted::Count);
        let preferences = request.headers.all("prefer").flat_map(|line| line.split([',', ';']));
        let is_lenient =
            preferences.map(str::trim).any(|word| word.eq_ignore_ascii_case("handling=lenient"));
        let seal = self.seal.as_deref();
        Circumstances { bounds: self.bounds, seal, is_lenient, related, form, only_counts }
    }

    fn reading(&self) -> Reading<'_> {
        Reading { clock: &*self.clock, time_max: self.time_max }
    }

    /// Faults of ours go to the observer; a caller's mistakes are the caller's.
    fn tell(&self, request: &Request, refusal: &Refusal) {
        if let Some(message) = refusal.inside() {
            let named = self.named(&request.path);
            let about = named.map_or_else(|| "publish".to_owned(), |(name, _)| name);
            self.observer.observe(&Event::Warned { about, message });
        }
    }

    /// The label of an object under which its answers are counted: everybody may read the counters,
    /// so an object that is not open to everybody has none.
    fn label(&self, path: &str) -> Option<String> {
        let (name, object) = self.named(path)?;
        object.grants.is_open().then_some(name)
    }

    fn named(&self, path: &str) -> Option<(String, &Published)> {
        let mut segments = path.split('/');
        let (app, name) = (segments.next()?, segments.next()?);
        Some((format!("{app}/{name}"), self.apps.get(app)?.get(name)?))
    }
}

/// The form that is asked for; lists alone have others than the envelope.
fn form(request: &Request, target: &Target, parameters: &[(String, String)]) -> Form {
    if !matches!(target, Target::List { .. } | Target::Query { .. }) {
        return Form::Envelope;
    }
    let named = parameters.iter().find(|(name, _)| name == "$format");
    let form = named.and_then(|(_, name)| Form::named(name));
    form.unwrap_or_else(|| Form::accepted(&request.headers))
}

/// What the stages made of a request.
enum Reply {
    /// An answer as a whole.
    Whole(Response),
    /// The head of an answer that would stream.
    Head(Response),
    /// The outlet has had it all.
    Sent,
    /// The outlet has had a part.
    Cut(SourceError),
}

/// An item with the tag of its version, by which it is read again only when it has changed.
fn tagged(asked: &Read<'_>, row: &Row, shown: &[u8]) -> Result<Response, Refusal> {
    let version = row.version(&asked.object.writing.versions);
    let tag = write::tag(&version, shown);
    if asked.preconditions.wants_another(&version) {
        return Err(Refusal::Precondition { tag: Some(tag) });
    }
    if let Some(known) = asked.preconditions.known(&tag) {
        return Ok(respond::bare(304, vec![("etag", known)]));
    }
    let mut body = respond::item_head();
    body.extend_from_slice(shown);
    let mut response = respond::item(body);
    response.headers.push(("etag", tag));
    Ok(response)
}

/// The lake cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tables cannot be read")]
pub struct NotReady;

/// What is read for a request that was let in.
struct Read<'a> {
    request: &'a Request,
    /// Headers that belong to every answer to this caller.
    standing: Vec<(&'static str, String)>,
    object: &'a Published,
    /// The other objects of the app, which a list may name.
    objects: &'a Objects,
    allowed: Allowed<'a>,
    caller: Caller,
    form: Form,
    wanted: Wanted<'a>,
    arguments: Arguments,
    parameters: Vec<(String, String)>,
    preconditions: Preconditions,
}
