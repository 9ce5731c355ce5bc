//! The four stages in their order, and what surrounds them: which apps there are, who is told of
//! faults, how long each stage took.
//!
//! In: the app files and the seams, once; then requests. Out: responses, always. What never
//! happens here: a rule about parameters, statements or envelopes; each has its stage.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use restway_model::definition::{self, AppFile, Object, Origin, Param};
use restway_model::{Clock, Code, Event, Explain, Limits, Name, Observer, Seal};

use crate::access::{Allowed, Caller, Door, Gate, Grants, Identities, Nobody};
use crate::openapi;
use crate::plan::{
    self, Admitted, Apps, Arguments, Bounds, Circumstances, Objects, Published, Reference, Related,
};
use crate::query::Reading;
use crate::refusal::Refusal;
use crate::request::{self, Request};
use crate::respond::{self, Response};
use crate::source::{Description, Relation, Source};
use crate::statement::Dialect;

/// Tables that are looked at to find out whether the lake can be read.
const READY_TABLES_MAX: usize = 16;

/// An app, with what its file only names.
#[derive(Clone)]
pub struct App {
    /// The file.
    pub file: AppFile,
    /// Its sources.
    pub sources: BTreeMap<Name, Arc<dyn Source>>,
    /// The saved queries that its objects are published from.
    pub queries: BTreeMap<Name, Saved>,
}

/// A saved query.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// The statement, with `$name` for its parameters.
    pub sql: String,
    /// Its parameters.
    pub params: BTreeMap<String, Param>,
}

impl From<AppFile> for App {
    /// An app of the workspace's own tables.
    fn from(file: AppFile) -> Self {
        Self { file, sources: BTreeMap::new(), queries: BTreeMap::new() }
    }
}

/// Apps that cannot be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Two files describe the same app.
    #[error("the app `{app}` is defined twice")]
    AppTwice {
        /// The app.
        app: String,
    },
    /// An object's `from` names nothing that is there.
    #[error("`{app}/{object}` is published from `{from}`, which is not there")]
    NotThere {
        /// The app.
        app: String,
        /// The object.
        object: String,
        /// What stands in the file.
        from: String,
    },
    /// An object without a key has no items that could be addressed, and no stable order.
    #[error("`{app}/{object}` has no key")]
    NoKey {
        /// The app.
        app: String,
        /// The object.
        object: String,
    },
}

impl Explain for PublishError {
    fn code(&self) -> Code {
        Code::DefinitionInvalid
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::AppTwice { .. } => "rename one of the two files' `app`",
            Self::NotThere { .. } => "name a source of the app, a table or a saved query",
            Self::NoKey { .. } => "name the columns that tell items apart in `key`",
        };
        vec![hint.to_owned()]
    }
}

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
    seal: Option<Arc<dyn Seal>>,
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
        let time_max = limits.list_timeout;
        Ok(Self { apps: ready, door, gate, bounds, time_max, observer, clock, seal: None })
    }

    /// What seals the tokens of pages; without one, pages are found with `$offset` alone.
    #[must_use]
    pub fn with_seal(mut self, seal: Arc<dyn Seal>) -> Self {
        self.seal = Some(seal);
        self
    }

    /// The same, knowing callers. Without it everybody is `anonymous`.
    #[must_use]
    pub fn knowing(mut self, identities: Arc<dyn Identities>) -> Self {
        self.door = Door::new(identities, Arc::clone(&self.clock));
        self
    }

    /// Answers a request: request, plan, query, respond.
    pub async fn answer(&self, request: &Request) -> Response {
        let mut timing = Timing::new(&*self.clock);
        let mut standing = Vec::new();
        let mut response = match self.stages(request, &mut timing, &mut standing).await {
            Ok(response) => response,
            Err(refusal) => {
                self.tell(request, &refusal);
                respond::refusal(&refusal, request::is_item(&request.path))
            }
        };
        timing.lap("respond", ());
        response.headers.append(&mut standing);
        response.headers.push(("server-timing", timing.header()));
        response.object = self.label(&request.path);
        if request.method == "HEAD" { response.without_body() } else { response }
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
    ) -> Result<Response, Refusal> {
        let caller = self.door.enter(&request.headers, request.peer).await;
        let caller = timing.lap("access", caller)?;
        let mut asked = timing.lap("request", request::parse(request))?;
        let parameters = std::mem::take(&mut asked.parameters);
        let admitted = timing.lap("plan", plan::admit(&self.apps, &asked, &caller))?;
        if let Some(app) = asked.target.app() {
            self.gate.pass(app, &caller, request.peer, self.clock.monotonic(), standing)?;
        }
        let (object, allowed, objects, key) = match admitted {
            Admitted::List { object, allowed, objects } => (object, allowed, Some(objects), None),
            Admitted::Item { object, allowed, key } => (object, allowed, None, Some(key)),
            Admitted::Document { app, objects } => {
                plan::document(&parameters)?;
                let tables = self.reading().described(objects, &caller).await;
                let tables = timing.lap("query", tables)?;
                return Ok(respond::document(&openapi::document(app, &tables, self.bounds)));
            }
        };
        let (arguments, parameters) = plan::arguments(object, parameters)?;
        let asked = Read { request, object, objects, allowed, caller, key, arguments, parameters };
        match self.rows(&asked, timing).await {
            // The relation is another one than was known: once more, with what it is now.
            Err(Refusal::Changed(_)) => {
                object.source.forget(&object.relation);
                self.rows(&asked, timing).await
            }
            outcome => outcome,
        }
    }

    /// A list or an item, by what is known of its relation.
    async fn rows(&self, asked: &Read<'_>, timing: &mut Timing<'_>) -> Result<Response, Refusal> {
        let Read { object, allowed, caller, key, arguments, parameters, .. } = asked;
        let reading = self.reading();
        let whole = timing.lap("query", reading.describe(object).await)?;
        let rows = allowed.condition(&whole.columns, caller)?;
        let description = allowed.visible(Arc::clone(&whole), &object.key);
        match key {
            None => {
                let others = self.others(asked, &description).await;
                let others = timing.lap("query", others)?;
                let mut related = Vec::new();
                for (reference, whole, visible) in &others {
                    related.extend(reference.described(&description, whole, visible, caller)?);
                }
                let around = self.around(asked.request, &related);
                let plan = plan::list(object, &description, arguments, parameters, &around);
                let mut plan = timing.lap("plan", plan)?;
                plan.condition = plan.condition.and(rows);
                let page = reading.page(object, &plan, around.seal, respond::list_head()).await;
                Ok(respond::list(timing.lap("query", page)?, &plan, asked.request))
            }
            Some(key) => {
                let plan = plan::item(object, &description, arguments, key, parameters);
                let mut plan = timing.lap("plan", plan)?;
                plan.key = plan.key.and(rows);
                let item = reading.item(object, &plan, respond::item_head()).await;
                Ok(respond::item(timing.lap("query", item)?))
            }
        }
    }

    /// The objects that the request names beside its own, each with its columns.
    async fn others<'a>(
        &self,
        asked: &'a Read<'_>,
        description: &'a Description,
    ) -> Result<Vec<(Reference<'a>, Arc<Description>, Arc<Description>)>, Refusal> {
        let is_naming = |(name, _): &&(String, String)| name == "$filter";
        let texts: Vec<&str> =
            asked.parameters.iter().filter(is_naming).map(|(_, text)| text.as_str()).collect();
        let mut others = Vec::new();
        let Some(objects) = asked.objects.filter(|_| !texts.is_empty()) else { return Ok(others) };
        let (object, caller) = (asked.object, &asked.caller);
        for reference in plan::references(objects, object, description, caller, &texts) {
            let whole = self.reading().describe(reference.object).await?;
            let visible = reference.allowed.visible(Arc::clone(&whole), &reference.object.key);
            others.push((reference, whole, visible));
        }
        Ok(others)
    }

    fn around<'a>(&'a self, request: &Request, related: &'a [Related<'a>]) -> Circumstances<'a> {
        let preferences = request.headers.all("prefer").flat_map(|line| line.split([',', ';']));
        let is_lenient =
            preferences.map(str::trim).any(|word| word.eq_ignore_ascii_case("handling=lenient"));
        Circumstances { bounds: self.bounds, seal: self.seal.as_deref(), is_lenient, related }
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

/// The lake cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tables cannot be read")]
pub struct NotReady;

/// What is read for a request that was let in.
struct Read<'a> {
    request: &'a Request,
    object: &'a Published,
    /// The other objects of the app, which a list may name.
    objects: Option<&'a Objects>,
    allowed: Allowed<'a>,
    caller: Caller,
    /// The parts of an item's key; none for a list.
    key: Option<&'a [String]>,
    arguments: Arguments,
    parameters: Vec<(String, String)>,
}

fn objects(app: &App, lake: &Arc<dyn Source>) -> Result<Objects, PublishError> {
    let mut objects = Objects::new();
    for (name, object) in &app.file.objects {
        let (app_name, object_name) = (app.file.app.to_string(), name.to_string());
        let Some((source, relation, params)) = origin(app, object, lake) else {
            let from = object.from.to_string();
            return Err(PublishError::NotThere { app: app_name, object: object_name, from });
        };
        let has_its_own = source.dialect() != Dialect::Lake;
        if object.key.is_empty() && !has_its_own {
            return Err(PublishError::NoKey { app: app_name, object: object_name });
        }
        let published = Published {
            source,
            relation,
            params,
            key: object.key.clone(),
            default_fields: object.default_fields.clone(),
            grants: Grants::of(&app.file, name),
        };
        objects.insert(object_name, published);
    }
    Ok(objects)
}

type Behind = (Arc<dyn Source>, Relation, BTreeMap<String, Param>);

/// What an object is published from.
fn origin(app: &App, object: &Object, lake: &Arc<dyn Source>) -> Option<Behind> {
    let path =
        |names: &[&str]| Relation::Table(names.iter().map(|&name| name.to_owned()).collect());
    let query = |sql: &str, params: &BTreeMap<String, Param>| Relation::Query {
        sql: sql.to_owned(),
        params: params.keys().cloned().collect(),
    };
    let (source, relation, params) = match object.from.origin(&app.file.sources).ok()? {
        Origin::Lake(name) => (lake, path(&[name.api.as_str(), name.table.as_str()]), None),
        Origin::Live(name) => {
            (lake, path(&[definition::LIVE, name.api.as_str(), name.table.as_str()]), None)
        }
        Origin::Saved(name) => {
            let saved = app.queries.get(&name)?;
            (lake, query(&saved.sql, &saved.params), Some(saved.params.clone()))
        }
        Origin::Table { source, schema: None, table } => {
            (app.sources.get(source)?, path(&[table]), None)
        }
        Origin::Table { source, schema: Some(schema), table } => {
            (app.sources.get(source)?, path(&[schema, table]), None)
        }
        Origin::Sql { source, sql } => {
            let source = match source {
                Some(source) => app.sources.get(source)?,
                None => lake,
            };
            (source, query(sql, &BTreeMap::new()), None)
        }
    };
    Some((Arc::clone(source), relation, params.unwrap_or_default()))
}

/// How long each stage took, for the `Server-Timing` header. A stage may be entered twice.
struct Timing<'a> {
    clock: &'a dyn Clock,
    last: Duration,
    spent: [(&'static str, Duration); 5],
}

impl<'a> Timing<'a> {
    fn new(clock: &'a dyn Clock) -> Self {
        let stages = ["access", "request", "plan", "query", "respond"];
        let spent = stages.map(|stage| (stage, Duration::ZERO));
        Self { clock, last: clock.monotonic(), spent }
    }

    /// Adds the time since the last lap to the stage that it was spent in.
    fn lap<T>(&mut self, stage: &'static str, outcome: T) -> T {
        let now = self.clock.monotonic();
        for (name, spent) in &mut self.spent {
            if *name == stage {
                *spent += now.saturating_sub(self.last);
            }
        }
        self.last = now;
        outcome
    }

    fn header(&self) -> String {
        let written = |(stage, spent): &(&str, Duration)| {
            format!("{stage};dur={:.3}", spent.as_secs_f64() * 1_000.0)
        };
        self.spent.iter().map(written).collect::<Vec<_>>().join(", ")
    }
}
