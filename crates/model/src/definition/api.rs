//! `apis/NAME.yaml`: a REST API that we call.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::files::Files;
use super::format::{Archive, ArchiveEntry, Format, FormatEntry};
use super::landing::{Contract, Deletes, Load, MaxRejects};
use super::paging::{Paginate, PaginateEntry};
use super::{
    Auth, Checkpoint, Domain, Export, Identity, Incremental, Job, Live, Proxy, ResourceBody, Tls,
    Webhook,
};
use crate::{ColumnType, Condition, Name, Rate, RecordPath, Template, Timespan};

/// A REST API: where it is, how to log in, and its resources.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiFile {
    /// The name of the api: the schema that its tables land in.
    pub api: Name,
    /// Where the api is: scheme, host, port and the path before every resource's own.
    pub base_url: Template,
    /// How requests prove who sends them.
    #[serde(default)]
    pub auth: Auth,
    /// How the api's certificate is judged, and which one is shown to it.
    #[serde(default)]
    pub tls: Tls,
    /// The proxy that all requests of the api go through; without it, a person's own requests go
    /// through the one that their environment names.
    pub proxy: Option<Proxy>,
    /// Whose account the credentials must lead to, which is asked before a sync or an export begins.
    pub identity: Option<Identity>,
    /// Further domains of the same api, each with a login of its own. Requests to a declared domain
    /// carry that domain's credentials; requests to any other carry none.
    #[serde(default)]
    pub domains: Vec<Domain>,
    /// Further names by which programs find this api.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// How fast and how parallel the api may be called.
    #[serde(default)]
    pub limits: ApiLimits,
    /// When and how a request is sent again.
    #[serde(default)]
    pub retry: Retry,
    /// What every resource does unless it says otherwise.
    #[serde(default)]
    pub defaults: Defaults,
    /// The collections that are synced, by the name of the table they land in.
    #[serde(default)]
    pub resources: BTreeMap<Name, ResourceEntry>,
    /// Named, typed calls that a person or a program runs: `restway call api.webhook`.
    #[serde(default)]
    pub webhooks: BTreeMap<Name, Webhook>,
    /// Queries whose rows are sent to the api: `restway export api.export`. What became of each row
    /// is in the table of that name.
    #[serde(default)]
    pub exports: BTreeMap<Name, Export>,
}

/// How fast and how parallel an api may be called.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiLimits {
    /// Rates that must all hold, over all requests to the api.
    pub rate: Vec<Rate>,
    /// How many requests may be under way at once; 4 without it.
    pub concurrency: Option<u16>,
    /// The longest wait that the api may ask for before the run stops; 15m without it.
    pub max_wait: Option<Timespan>,
    /// How long the api may take to answer one request, body and all; without it 5m to begin and 2h
    /// in all.
    pub timeout: Option<Timespan>,
}

/// When and how a request is sent again. Only requests that are safe to repeat are.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// The statuses that are worth another try; 429 always is.
    pub status: Vec<u16>,
    /// The first wait.
    pub initial: Timespan,
    /// The longest wait between two tries.
    pub maximum: Timespan,
    /// How much longer each wait is than the one before.
    pub multiplier: f64,
    /// How long tries may go on in all.
    pub deadline: Timespan,
}

impl Default for Retry {
    fn default() -> Self {
        let seconds = |count| Timespan(std::time::Duration::from_secs(count));
        Self {
            status: vec![502, 503, 504],
            initial: seconds(1),
            maximum: seconds(60),
            multiplier: 2.0,
            deadline: seconds(600),
        }
    }
}

/// What every resource of an api does unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// Headers of every request.
    pub headers: BTreeMap<String, Template>,
    /// Query parameters of every request.
    pub query: BTreeMap<String, QueryValue>,
    /// The path to the list of records in an answer; `$` when the answer is the list.
    pub records: Option<RecordPath>,
    /// Whether an answer without the list at `records` is an empty page: for apis that leave out a
    /// list that is empty, or write null in its place.
    pub records_optional: Option<bool>,
    /// Takes CSV and NDJSON for whole whose end only the end of the connection tells.
    pub open_ended: Option<bool>,
    /// How the next page is found.
    pub paginate: Option<PaginateEntry>,
    /// The fields that tell records apart: what `merge` and `history` go by. A sync that replaces
    /// warns when they do not.
    pub key: Option<Key>,
    /// What a sync does to the rows that are there.
    pub load: Option<Load>,
    /// What may change about a table that has rows.
    pub schema: Option<Contract>,
    /// How many records may be rejected before the resource fails: a number, or a part of all
    /// records as in `1%`; 10% without it.
    pub max_rejects: Option<MaxRejects>,
    /// When a sync that adds or merges commits what it has read so far.
    pub checkpoint: Option<Checkpoint>,
    /// Keeps the answers of GET requests that have an `ETag` or a `Last-Modified`, and asks whether
    /// they still hold before they are sent again.
    pub cache: Option<bool>,
    /// Keeps the bodies of a sync's pages as they came, so that `restway sync --replay RUN` can read
    /// them again.
    pub keep_raw: Option<bool>,
    /// The most pages of one walk; 100000 without it.
    pub max_pages: Option<u64>,
    /// Reads so many records at most, and warns when there are more.
    pub max_records: Option<u64>,
    /// Over an answer: when it holds, the answer is an error, whatever its status is.
    pub fail_when: Option<Condition>,
}

/// A resource: its path alone, or all that is special about it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ResourceEntry {
    /// The path below `base_url`; the rest comes from `defaults`.
    Path(Template),
    /// All keys.
    Full(Box<Resource>),
}

/// A collection of an api that is synced into tables.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// The path below `base_url`, or a whole URL on its origin or on one of `domains`.
    pub path: Template,
    /// The method; a body needs POST, PUT or PATCH.
    #[serde(default)]
    pub method: Method,
    /// Says that a POST or PATCH changes nothing at the api, so that it may be sent again.
    #[serde(default)]
    pub safe: bool,
    /// Headers, over those of `defaults`.
    #[serde(default)]
    pub headers: BTreeMap<String, Template>,
    /// Query parameters, over those of `defaults`.
    #[serde(default)]
    pub query: BTreeMap<String, QueryValue>,
    /// The JSON body; texts in it may hold `${…}`.
    pub json: Option<Value>,
    /// A body of form fields, `application/x-www-form-urlencoded`; a lone null leaves one out, a
    /// lone list repeats it.
    pub urlencoded: Option<BTreeMap<String, QueryValue>>,
    /// A text body, `text/plain` unless `headers` say otherwise; values go in as they are.
    pub text: Option<Template>,
    /// A file of the workspace that is the body, streamed; its content type is that of its ending
    /// unless `headers` say otherwise.
    pub file: Option<String>,
    /// The path to the list of records in an answer; `$` when the answer is the list.
    pub records: Option<RecordPath>,
    /// Whether an answer without the list at `records` is an empty page: for apis that leave out a
    /// list that is empty, or write null in its place.
    pub records_optional: Option<bool>,
    /// Takes CSV and NDJSON for whole whose end only the end of the connection tells.
    pub open_ended: Option<bool>,
    /// How records are written in an answer: `json` without it, `ndjson`, `csv` or `xml`.
    pub format: Option<FormatEntry>,
    /// What the answer is packed in: `gzip`, or `zip`.
    pub archive: Option<ArchiveEntry>,
    /// An export that the api makes first: this request creates it.
    pub job: Option<Job>,
    /// Keeps each answer as a file, and a table of them.
    pub files: Option<Files>,
    /// How the next page is found.
    pub paginate: Option<PaginateEntry>,
    /// The fields that tell records apart: what `merge` and `history` go by. A sync that replaces
    /// warns when they do not.
    pub key: Option<Key>,
    /// What a sync does to the rows that are there.
    pub load: Option<Load>,
    /// Which rows go.
    #[serde(default)]
    pub deletes: Deletes,
    /// What may change about a table that has rows.
    pub schema: Option<Contract>,
    /// How many records may be rejected before the resource fails: a number, or a part of all
    /// records as in `1%`; 10% without it.
    pub max_rejects: Option<MaxRejects>,
    /// Reads only what changed since the sync before.
    pub incremental: Option<Incremental>,
    /// When a sync that adds or merges commits what it has read so far.
    pub checkpoint: Option<Checkpoint>,
    /// How a query may ask the api itself, as `live.api.resource`.
    #[serde(default)]
    pub live: Live,
    /// Types of columns, where they should not come from the data.
    #[serde(default)]
    pub types: BTreeMap<String, ColumnType>,
    /// How lists and objects inside records become tables and columns.
    #[serde(default)]
    pub nest: Nest,
    /// Walks this resource once for each row of that one's table; `${parent.column}` reads the row.
    pub for_each: Option<Name>,
    /// Columns of the parent's row to keep with each record: new name to parent's column.
    #[serde(default)]
    pub carry: BTreeMap<String, String>,
    /// What other statuses than 2xx mean: `skip` reads the answer as no records.
    #[serde(default)]
    pub on_status: BTreeMap<String, OnStatus>,
    /// Keeps the answers of GET requests that have an `ETag` or a `Last-Modified`, and asks whether
    /// they still hold before they are sent again.
    pub cache: Option<bool>,
    /// Keeps the bodies of a sync's pages as they came, so that `restway sync --replay RUN` can read
    /// them again.
    pub keep_raw: Option<bool>,
    /// The most pages of one walk; 100000 without it.
    pub max_pages: Option<u64>,
    /// Reads so many records at most, and warns when there are more.
    pub max_records: Option<u64>,
    /// Over an answer: when it holds, the answer is an error, whatever its status is.
    pub fail_when: Option<Condition>,
}

/// A request's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    /// The method as it is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }

    /// Whether sending it twice does what sending it once does (RFC 9110, section 9.2.2).
    pub const fn is_idempotent(self) -> bool {
        !matches!(self, Self::Post | Self::Patch)
    }
}

/// A query parameter's value: a text with `${…}`, a number, or true and false.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the names say it")]
pub enum QueryValue {
    Text(Template),
    Whole(i64),
    Number(f64),
    Bool(bool),
}

/// The fields that tell records apart: one name or a list of names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Key {
    /// One column.
    One(String),
    /// Columns that tell records apart together.
    Many(Vec<String>),
}

impl Key {
    /// The columns.
    pub fn columns(&self) -> &[String] {
        match self {
            Self::One(column) => std::slice::from_ref(column),
            Self::Many(columns) => columns,
        }
    }
}

/// What a status means for a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnStatus {
    /// No records: the walk ends here, well.
    Skip,
    /// The resource fails; what every other status does.
    Fail,
}

/// How lists and objects inside records become tables and columns.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Nest {
    /// How many levels of lists become child tables; deeper lists stay JSON.
    pub depth: u8,
    /// Paths inside a record that stay JSON.
    pub json: Vec<RecordPath>,
    /// Paths of objects that become columns however many keys they show; any other that shows
    /// more than 256, or more than 64 that lead to objects or lists, stays JSON.
    pub columns: Vec<RecordPath>,
}

impl Default for Nest {
    fn default() -> Self {
        Self { depth: 3, json: Vec::new(), columns: Vec::new() }
    }
}

impl ApiFile {
    /// An api of which only the address is known: no login, no resources.
    pub fn bare(api: Name, base_url: &url::Url) -> Self {
        Self {
            api,
            base_url: Template::literal(base_url.as_str()),
            auth: Auth::None,
            tls: Tls::default(),
            proxy: None,
            identity: None,
            domains: Vec::new(),
            aliases: Vec::new(),
            limits: ApiLimits::default(),
            retry: Retry::default(),
            defaults: Defaults::default(),
            resources: BTreeMap::new(),
            webhooks: BTreeMap::new(),
            exports: BTreeMap::new(),
        }
    }

    /// The resources with the defaults filled in, in name order.
    pub fn resources(&self) -> impl Iterator<Item = (&Name, ResourceSettings)> {
        self.resources.iter().map(|(name, entry)| (name, self.settings(entry)))
    }

    /// One resource with the defaults filled in.
    pub fn resource(&self, name: &Name) -> Option<ResourceSettings> {
        self.resources.get(name).map(|entry| self.settings(entry))
    }

    fn settings(&self, entry: &ResourceEntry) -> ResourceSettings {
        let mut own = match entry {
            ResourceEntry::Path(path) => Resource::at(path.clone()),
            ResourceEntry::Full(resource) => resource.as_ref().clone(),
        };
        let body = ResourceBody::of(&mut own);
        let of_files = own.files.as_ref().map(|_| Files::defaults(&self.defaults));
        let defaults = of_files.as_ref().unwrap_or(&self.defaults);
        let types = if of_files.is_some() { Files::types(own.types) } else { own.types };
        let format = own.format.as_ref().map(FormatEntry::resolve).unwrap_or_default();
        // Rows and lines have no path; one for the api's JSON is not theirs.
        let has_path = matches!(format, Format::Json { .. } | Format::Xml { .. });
        let optional = defaults.records_optional.filter(|_| has_path);
        let records = own.records.or_else(|| defaults.records.clone().filter(|_| has_path));
        let is_zip =
            matches!(own.archive.as_ref().map(ArchiveEntry::resolve), Some(Archive::Zip { .. }));
        let is_one = has_path && !is_zip;
        let fail_when = own.fail_when.or_else(|| defaults.fail_when.clone().filter(|_| is_one));
        // What a job made is one page.
        let usual = defaults.paginate.as_ref().filter(|_| own.job.is_none());
        let paginate = own.paginate.as_ref().or(usual);
        ResourceSettings {
            path: own.path,
            method: own.method,
            repeatable: own.safe || own.method.is_idempotent(),
            headers: {
                // Names of headers have no case (RFC 9110, section 5.1).
                let mut headers = defaults.headers.clone();
                headers.retain(|name, _| {
                    !own.headers.keys().any(|other| other.eq_ignore_ascii_case(name))
                });
                headers.extend(own.headers);
                headers
            },
            query: {
                let mut query = defaults.query.clone();
                query.extend(own.query);
                query
            },
            body,
            records_optional: own.records_optional.or(optional).unwrap_or_default(),
            records,
            is_open_ended: own.open_ended.or(defaults.open_ended).unwrap_or_default(),
            format,
            archive: own.archive.as_ref().map(ArchiveEntry::resolve),
            job: own.job,
            files: own.files,
            paginate: paginate.map_or(Paginate::None {}, PaginateEntry::resolve),
            key: own.key.or_else(|| defaults.key.clone()),
            load: own.load.or(defaults.load).unwrap_or_default(),
            deletes: own.deletes,
            contract: own.schema.or(defaults.schema).unwrap_or_default(),
            max_rejects: own.max_rejects.or(defaults.max_rejects).unwrap_or_default(),
            incremental: own.incremental,
            checkpoint: own.checkpoint.or(defaults.checkpoint).unwrap_or_default(),
            live: own.live,
            types,
            nest: own.nest,
            for_each: own.for_each,
            carry: own.carry,
            on_status: own.on_status,
            cache: own.cache.or(defaults.cache).unwrap_or_default() && own.method == Method::Get,
            keeps_raw: own.keep_raw.or(defaults.keep_raw).unwrap_or_default(),
            pages_max: own.max_pages.or(defaults.max_pages),
            records_max: own.max_records.or(defaults.max_records),
            fail_when,
        }
    }
}

impl ResourceSettings {
    /// Whether rows go that a sync does not meet.
    pub fn drops_absent(&self) -> bool {
        self.load == Load::Replace || self.deletes.absent
    }
}

impl Resource {
    /// A resource of which only the path is known.
    fn at(path: Template) -> Self {
        Self {
            path,
            method: Method::Get,
            safe: false,
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
            json: None,
            urlencoded: None,
            text: None,
            file: None,
            records: None,
            records_optional: None,
            open_ended: None,
            format: None,
            archive: None,
            job: None,
            files: None,
            paginate: None,
            key: None,
            load: None,
            deletes: Deletes::default(),
            schema: None,
            max_rejects: None,
            incremental: None,
            checkpoint: None,
            live: Live::default(),
            types: BTreeMap::new(),
            nest: Nest::default(),
            for_each: None,
            carry: BTreeMap::new(),
            on_status: BTreeMap::new(),
            cache: None,
            keep_raw: None,
            max_pages: None,
            max_records: None,
            fail_when: None,
        }
    }
}

/// A resource with the api's defaults filled in: what the engines work from.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceSettings {
    /// The path below `base_url`, or a whole URL on its origin or on one of `domains`.
    pub path: Template,
    /// The method.
    pub method: Method,
    /// Whether sending the request twice does what sending it once does.
    pub repeatable: bool,
    /// Headers.
    pub headers: BTreeMap<String, Template>,
    /// Query parameters, in name order.
    pub query: BTreeMap<String, QueryValue>,
    /// The body with its templates.
    pub body: Option<ResourceBody>,
    /// The path to the list of records; without one the answer itself is the list or the record.
    pub records: Option<RecordPath>,
    /// Whether an answer without that list is an empty page.
    pub records_optional: bool,
    /// Whether rows are taken for whole whose end only the end of the connection tells.
    pub is_open_ended: bool,
    /// How records are written in an answer.
    pub format: Format,
    /// What the answer is packed in.
    pub archive: Option<Archive>,
    /// The export that the request creates.
    pub job: Option<Job>,
    /// What the files are called that the answers are.
    pub files: Option<Files>,
    /// How the next page is found.
    pub paginate: Paginate,
    /// The fields that tell records apart: what `merge` and `history` go by. A sync that replaces
    /// warns when they do not.
    pub key: Option<Key>,
    /// What a sync does to the rows that are there.
    pub load: Load,
    /// Which rows go.
    pub deletes: Deletes,
    /// What may change about a table that has rows.
    pub contract: Contract,
    /// How many records may be rejected before the resource fails.
    pub max_rejects: MaxRejects,
    /// How a sync reads only what changed since the one before.
    pub incremental: Option<Incremental>,
    /// When a sync that adds or merges commits what it has read so far.
    pub checkpoint: Checkpoint,
    /// How a query may ask the api itself.
    pub live: Live,
    /// Declared types of columns.
    pub types: BTreeMap<String, ColumnType>,
    /// How lists and objects become tables and columns.
    pub nest: Nest,
    /// The parent resource, when this one is walked for each of its rows.
    pub for_each: Option<Name>,
    /// Parent's columns kept with each record: new name to parent's column.
    pub carry: BTreeMap<String, String>,
    /// What other statuses than 2xx mean.
    pub on_status: BTreeMap<String, OnStatus>,
    /// Whether answers are kept, and asked whether they still hold.
    pub cache: bool,
    /// Whether the bodies of pages are kept as they came.
    pub keeps_raw: bool,
    /// The definition's own bound on pages.
    pub pages_max: Option<u64>,
    /// The definition's own bound on records.
    pub records_max: Option<u64>,
    /// When it holds over an answer, the answer is an error.
    pub fail_when: Option<Condition>,
}
