//! The four stages in their order, and what surrounds them: which apps there are, who is told of
//! faults, how long each stage took.
//!
//! In: the app files and the seams, once; then requests. Out: responses, always. What never
//! happens here: a rule about parameters, statements or envelopes; each has its stage.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use restway_model::definition::AppFile;
use restway_model::{Clock, Code, Event, Explain, Limits, Observer, TableName};

use crate::openapi;
use crate::plan::{self, Admitted, Apps, Bounds, Objects, Published};
use crate::query::Reading;
use crate::refusal::Refusal;
use crate::request::{self, Request};
use crate::respond::{self, Response};
use crate::rows::Rows;

/// Tables that are looked at to find out whether the lake can be read.
const READY_TABLES_MAX: usize = 16;

/// Apps that cannot be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Two files describe the same app.
    #[error("the app `{app}` is defined twice")]
    AppTwice {
        /// The app.
        app: String,
    },
    /// An object's `from` names no table.
    #[error("`{app}/{object}` is published from `{from}`, which is not a table's name")]
    NotATable {
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
            Self::NotATable { .. } => "write `from: api.resource`",
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
    /// The table behind it.
    pub table: TableName,
    /// The columns of its key, in the order of the URL.
    pub key: Vec<String>,
}

/// Answers for the published apps.
pub struct Publisher {
    apps: Apps,
    rows: Arc<dyn Rows>,
    bounds: Bounds,
    time_max: Duration,
    observer: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
}

impl Publisher {
    /// Makes the apps ready. `rows` is usually the lake.
    ///
    /// # Errors
    /// When the apps contradict each other or name what cannot be a table.
    pub fn new(
        apps: Vec<AppFile>,
        rows: Arc<dyn Rows>,
        limits: &Limits,
        observer: Arc<dyn Observer>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PublishError> {
        let mut ready = Apps::new();
        for app in apps {
            let objects = objects(&app)?;
            let app = app.app.to_string();
            if ready.contains_key(&app) {
                return Err(PublishError::AppTwice { app });
            }
            ready.insert(app, objects);
        }
        let bounds =
            Bounds { limit_max: limits.list_rows_max as u64, offset_max: limits.list_offset_max };
        Ok(Self { apps: ready, rows, bounds, time_max: limits.list_timeout, observer, clock })
    }

    /// Answers a request: request, plan, query, respond.
    pub async fn answer(&self, request: &Request) -> Response {
        let mut timing = Timing::new(&*self.clock);
        let mut response = match self.stages(request, &mut timing).await {
            Ok(response) => response,
            Err(refusal) => {
                self.tell(request, &refusal);
                respond::refusal(&refusal, request::is_item(&request.path))
            }
        };
        timing.lap("respond", ());
        response.headers.push(("server-timing", timing.header()));
        response.object = self.label(&request.path);
        if request.method == "HEAD" { response.without_body() } else { response }
    }

    /// The objects that everybody may read, in the order of their names.
    pub fn open_objects(&self) -> Vec<OpenObject> {
        let mut open = Vec::new();
        for (app, objects) in &self.apps {
            for (name, object) in objects.iter().filter(|(_, object)| object.is_open) {
                open.push(OpenObject {
                    app: app.clone(),
                    object: name.clone(),
                    table: object.table.clone(),
                    key: object.key.clone(),
                });
            }
        }
        open
    }

    /// Whether the tables behind the open objects can be read. One that was never synced is no
    /// reason to wait: it will be there when it is there.
    ///
    /// # Errors
    /// The observer was told why; the caller is only told that it is so.
    pub async fn ready(&self) -> Result<(), NotReady> {
        let tables: BTreeSet<TableName> =
            self.open_objects().into_iter().map(|object| object.table).collect();
        for table in tables.iter().take(READY_TABLES_MAX) {
            match self.reading().columns(table).await {
                Ok(_) | Err(Refusal::NotLanded(_)) => {}
                Err(refusal) => {
                    let message = refusal.inside().unwrap_or_default();
                    self.observer.observe(&Event::Warned { about: table.to_string(), message });
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
    ) -> Result<Response, Refusal> {
        let reading = self.reading();
        let asked = timing.lap("request", request::parse(request))?;
        let admitted = timing.lap("plan", plan::admit(&self.apps, &asked))?;
        match admitted {
            Admitted::List { object } => {
                let columns = timing.lap("query", reading.columns(&object.table).await)?;
                let plan = plan::list(object, &columns, &asked.parameters, self.bounds);
                let plan = timing.lap("plan", plan)?;
                let page = timing.lap("query", reading.page(&plan).await)?;
                Ok(respond::list(&page, plan.message.as_deref()))
            }
            Admitted::Item { object, key } => {
                let columns = timing.lap("query", reading.columns(&object.table).await)?;
                let plan = plan::item(object, &columns, key, &asked.parameters);
                let plan = timing.lap("plan", plan)?;
                let row = timing.lap("query", reading.item(&plan).await)?;
                Ok(respond::item(&row))
            }
            Admitted::Document { app, objects } => {
                plan::document(&asked.parameters)?;
                let tables = reading.described(objects).await;
                let tables = timing.lap("query", tables)?;
                Ok(respond::document(&openapi::document(app, &tables, self.bounds)))
            }
        }
    }

    fn reading(&self) -> Reading<'_> {
        Reading { rows: &*self.rows, clock: &*self.clock, time_max: self.time_max }
    }

    /// Faults of ours go to the observer; a caller's mistakes are the caller's.
    fn tell(&self, request: &Request, refusal: &Refusal) {
        if let Some(message) = refusal.inside() {
            let about = self.label(&request.path).unwrap_or_else(|| "publish".to_owned());
            self.observer.observe(&Event::Warned { about, message });
        }
    }

    fn label(&self, path: &str) -> Option<String> {
        let mut segments = path.split('/');
        let (app, name) = (segments.next()?, segments.next()?);
        let object = self.apps.get(app)?.get(name)?;
        object.is_open.then(|| format!("{app}/{name}"))
    }
}

/// The lake cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tables cannot be read")]
pub struct NotReady;

fn objects(app: &AppFile) -> Result<Objects, PublishError> {
    let mut objects = Objects::new();
    for (name, object) in &app.objects {
        let (app_name, object_name) = (app.app.to_string(), name.to_string());
        let Ok(table) = object.from.parse() else {
            let from = object.from.clone();
            return Err(PublishError::NotATable { app: app_name, object: object_name, from });
        };
        if object.key.is_empty() {
            return Err(PublishError::NoKey { app: app_name, object: object_name });
        }
        let published = Published {
            table,
            key: object.key.clone(),
            default_fields: object.default_fields.clone(),
            is_open: app.is_readable_by_all(name),
        };
        objects.insert(object_name, published);
    }
    Ok(objects)
}

/// How long each stage took, for the `Server-Timing` header. A stage may be entered twice.
struct Timing<'a> {
    clock: &'a dyn Clock,
    last: Duration,
    spent: [(&'static str, Duration); 4],
}

impl<'a> Timing<'a> {
    fn new(clock: &'a dyn Clock) -> Self {
        let spent = ["request", "plan", "query", "respond"].map(|stage| (stage, Duration::ZERO));
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
