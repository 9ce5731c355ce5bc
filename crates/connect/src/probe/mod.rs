//! Probe: a first definition of an api that nobody has described yet.
//!
//! In: one URL that answers with records. Out: what Restway would have to be told to read all of
//! them, as values and as the text of an api file. Detection happens here, when a definition is
//! written, and never in a run: a run does what the file says.
//!
//! The stages: fetch the page → find the records in it (`shape`) → collect the signs of further
//! pages (`signs`) → follow each sign to the second page until one really leads to other records →
//! look for a key and a cursor → write (`draft`). A pagination is never claimed from a field's name
//! alone. What never happens here: more than [`TRIES_MAX`] requests for second pages, or a secret
//! in the text that comes out.

pub(crate) mod shape;
pub(crate) mod signs;

use std::collections::HashSet;

use restway_model::definition::{ApiFile, Auth, Method, Paginate};
use restway_model::{Name, RecordPath, SafeUrl};
use serde_json::Value;
use url::Url;

use crate::Connector;
use crate::decode::PageEnd;
use crate::draft::{Draft, LeftOut, ResourceDraft, Shared};
use crate::error::{CallError, Excerpt, Failure};
use crate::excerpt::excerpt;
use crate::page::{Pager, Seen};
use crate::plan::web_url;
use crate::request::{Answer, Expected, Request};

use signs::Sign;

/// The most that is read of a page.
const PAGE_BYTES_MAX: u64 = 8 << 20;
/// The most second pages that are asked for.
pub const TRIES_MAX: usize = 10;
/// The rows that are shown.
const PREVIEW_ROWS_MAX: usize = 10;

/// What a probe found out.
#[derive(Debug, Clone)]
pub struct Probed {
    /// A name for the api, made from its host.
    pub api_name: Name,
    /// Where the api is.
    pub base_url: String,
    /// A name for the resource, made from its path.
    pub resource: Name,
    /// The path below `base_url`, with what is left of the query.
    pub path: String,
    /// The authentication to write: what was given, or what the api asked for.
    pub auth: Auth,
    /// Whether the api refused to answer without (other) credentials; then nothing else is known.
    pub needs_auth: bool,
    /// The path to the records; `None` when the answer itself is the list or the record.
    pub records: Option<RecordPath>,
    /// How the next page is found; verified by reading one.
    pub paginate: Paginate,
    /// A field that tells the rows of both pages apart.
    pub key: Option<String>,
    /// A field that tells when a row changed.
    pub cursor: Option<String>,
    /// The first rows, at most 10.
    pub rows_preview: Vec<Value>,
    /// What a person should know, each a sentence.
    pub notes: Vec<String>,
    /// The api file, with comments.
    pub yaml: String,
}

/// Calls `url` and guesses the definition that reads it whole. Without a `name` the api is named
/// after its host.
///
/// # Errors
/// When the URL cannot be called, or does not answer with JSON.
pub async fn probe(
    connector: &Connector,
    url: &str,
    auth: Auth,
    name: Option<Name>,
) -> Result<Probed, CallError> {
    let (url, given) = shape::take_credential(web_url(url, "the URL")?);
    let has_credential = given.is_some();
    let api = bare_api(&url, given.unwrap_or(auth), name);
    let answer = connector.call(&api, page_request(url.clone())).await?;
    let mut probed = Probed::named(&url, &api);
    if has_credential {
        probed.notes.push(
            "The credential in the URL is not in the file: set the secret that `auth` names."
                .into(),
        );
    }
    if answer.status == 401 {
        return Ok(challenged(probed, &api, &answer));
    }
    let body = json(connector, &answer)?;
    probed.records = shape::records_path(&body);
    let rows = shape::rows(&body, probed.records.as_ref());
    if rows.is_empty() {
        probed.notes.push("The answer holds no rows, so little can be told from it.".into());
    }
    let page = FirstPage { url: &url, answer: &answer, body: &body, rows: &rows };
    let second = find_pages(connector, &api, &page, &mut probed).await;
    let all: Vec<&Value> = rows.iter().copied().chain(&second).collect();
    probed.key = shape::key(&all, &probed.resource);
    probed.cursor = shape::cursor(&all);
    if probed.key.is_none() && !rows.is_empty() {
        probed.notes.push("No field tells the rows apart; `key` is left out.".into());
    }
    probed.rows_preview = rows.iter().take(PREVIEW_ROWS_MAX).map(|&row| row.clone()).collect();
    probed.yaml = probed.draft().text();
    Ok(probed)
}

/// The api of which only the URL is known; its credentials are for the URL's origin.
fn bare_api(url: &Url, auth: Auth, name: Option<Name>) -> ApiFile {
    let mut origin = url.clone();
    origin.set_path("");
    origin.set_query(None);
    origin.set_fragment(None);
    let name = name.unwrap_or_else(|| shape::api_name(url));
    ApiFile { auth, ..ApiFile::bare(name, &origin) }
}

struct FirstPage<'a> {
    url: &'a Url,
    answer: &'a Answer,
    body: &'a Value,
    rows: &'a [&'a Value],
}

impl Probed {
    fn named(url: &Url, api: &ApiFile) -> Self {
        let (base_url, path) = shape::split(url);
        Self {
            api_name: api.api.clone(),
            base_url,
            resource: shape::resource_name(url),
            path,
            auth: api.auth.clone(),
            needs_auth: false,
            records: None,
            paginate: Paginate::None {},
            key: None,
            cursor: None,
            rows_preview: Vec::new(),
            notes: Vec::new(),
            yaml: String::new(),
        }
    }
}

impl Probed {
    fn draft(&self) -> Draft {
        let cursor = self.cursor.iter();
        let (path, secrets) = shape::veiled(&self.path, &self.api_name);
        let mut notes = self.notes.clone();
        notes.extend(secrets.iter().map(|secret| {
            format!(
                "A value of the URL may be a credential: set the secret, or write it for {secret}."
            )
        }));
        let resource = ResourceDraft {
            records: self.records.clone(),
            paginate: self.paginate.clone(),
            key: self.key.clone(),
            after: cursor.map(|field| format!("`{field}` tells when a row changed.")).collect(),
            ..ResourceDraft::at(self.resource.clone(), path)
        };
        Draft {
            by: "probe",
            notes,
            api: self.api_name.clone(),
            base_url: self.base_url.clone(),
            auth: self.auth.clone(),
            auth_notes: Vec::new(),
            defaults: Shared::default(),
            resources: vec![resource],
            webhooks: Vec::new(),
            left_out: LeftOut::default(),
        }
    }
}

fn page_request(url: Url) -> Request {
    Request {
        expected: Expected::SuccessOr(vec![401]),
        body_bytes_max: PAGE_BYTES_MAX,
        ..Request::new(Method::Get, SafeUrl::new(url))
    }
}

fn json(connector: &Connector, answer: &Answer) -> Result<Value, CallError> {
    let body = answer.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&answer.body);
    let failed = |problem: String, excerpt: Excerpt| CallError::Exchange {
        method: Method::Get,
        url: answer.url.clone(),
        attempts: 1,
        failure: Box::new(Failure::NotJson { problem, excerpt }),
    };
    if body.is_empty() {
        return Err(failed("it is empty".into(), Excerpt::default()));
    }
    serde_json::from_slice(body)
        .map_err(|error| failed(error.to_string(), excerpt(body, connector.redactor())))
}

/// 401: says which `auth` to write (RFC 9110, section 11.6.1).
fn challenged(mut probed: Probed, api: &ApiFile, answer: &Answer) -> Probed {
    probed.needs_auth = true;
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    let scheme = challenge.split([' ', ',']).next().unwrap_or_default();
    if api.auth != Auth::None {
        probed.notes.push("The api refused the credentials (401).".into());
    } else {
        probed.auth = shape::auth_for(scheme, &probed.api_name);
        let asked = if scheme.is_empty() {
            "The api asks for credentials and does not say which (401); a bearer token is a guess."
                .to_owned()
        } else {
            format!("The api asks for `{scheme}` credentials (401).")
        };
        probed.notes.push(asked);
    }
    probed.notes.push("Set the secrets that `auth` names, and probe again.".into());
    probed.yaml = probed.draft().text();
    probed
}

/// Follows the signs to a second page; fills in the first that leads to one, and returns its rows.
async fn find_pages(
    connector: &Connector,
    api: &ApiFile,
    page: &FirstPage<'_>,
    probed: &mut Probed,
) -> Vec<Value> {
    let envelope = shape::envelope(page.body, probed.records.as_ref());
    let found = signs::collect(page.url, &page.answer.headers, &envelope, page.rows);
    let mut failed: Vec<String> = Vec::new();
    for sign in found.iter().take(TRIES_MAX) {
        match follow(connector, api, page, &envelope, sign, probed.records.as_ref()).await {
            Ok(second) => {
                probed.paginate = sign.paginate.clone();
                let count = second.len();
                probed.notes.push(format!(
                    "Pages: {}. The second page was read and has {count} other rows.",
                    sign.evidence
                ));
                probed.path = shape::path_without(page.url, &sign.parameters);
                return second;
            }
            Err(_) if sign.is_guess => {}
            Err(problem) => {
                if !failed.iter().any(|known| known.starts_with(&sign.evidence)) {
                    failed.push(format!("{}, but {problem}.", sign.evidence));
                }
            }
        }
    }
    if failed.is_empty() {
        let note = "No sign of further pages: the walk reads one page.";
        probed.notes.push(note.into());
    } else {
        failed.truncate(3);
        let start = "A sign of further pages that leads nowhere: ";
        probed.notes.extend(failed.iter().map(|problem| format!("{start}{problem}")));
    }
    Vec::new()
}

/// The rows of the second page, if the sign leads to one with none of the rows of the first.
async fn follow(
    connector: &Connector,
    api: &ApiFile,
    page: &FirstPage<'_>,
    envelope: &Value,
    sign: &Sign,
    records: Option<&RecordPath>,
) -> Result<Vec<Value>, String> {
    let mut pager = Pager::new(&sign.paginate);
    let first = pager.first(page_request(page.url.clone()));
    let first = first.map_err(|failure| failure.to_string())?;
    let end = PageEnd {
        envelope: envelope.clone(),
        records: page.rows.len() as u64,
        bytes: 0,
        last: page.rows.last().map(|row| row.to_string().into()),
        hashes: Vec::new(),
        is_root_record: false,
    };
    let url = page.answer.url.expose();
    let seen = Seen { url, headers: &page.answer.headers, end: &end };
    let next = pager.next(&first, &seen).map_err(|failure| failure.to_string())?;
    let next = next.ok_or("it says that this is the last page")?;
    let answer = connector.call(api, Request { repeatable: false, ..next }).await;
    let answer = answer.map_err(|error| format!("the second page failed: {error}"))?;
    let body = json(connector, &answer).map_err(|error| error.to_string())?;
    let second = shape::rows(&body, records);
    let known: HashSet<String> = page.rows.iter().map(|row| row.to_string()).collect();
    if second.is_empty() {
        return Err("the second page is empty".into());
    }
    if second.iter().any(|row| known.contains(&row.to_string())) {
        return Err("the second page has rows of the first".into());
    }
    Ok(second.into_iter().cloned().collect())
}
