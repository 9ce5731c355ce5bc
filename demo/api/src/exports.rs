//! `/export`: customers as files in every format, and as the result of a job.
//!
//! | path | what happens |
//! | --- | --- |
//! | `/export/{file}` | `customers.csv`, `.ndjson`, `.xml`, `.json` or `.csv.gz`: all customers |
//! | `/export/cut/{file}` | the same, cut in its middle, with the length of what is sent |
//! | `/export/page/{file}` | a login page in its place |
//! | POST `/export/jobs` | a new job: `{"polls", "ends", "download"}`, answered with `{"job"}` |
//! | `/export/jobs/{id}` | `{"status": "running"}` for `polls` times, then how it `ends`: |
//! | | `done` with `result.url` (or all customers as `rows`, without `download`), or `failed` |
//!
//! A job that ends `never` runs for ever. `download` is handed out as it was given, so it may lead
//! anywhere. The records of a file have four fields, `id`, `name`, `email` and `created_at`; a
//! missing email is empty in CSV and XML. There may be 1,000 jobs; another is refused.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::answer::{self, Answer, Problem};
use crate::data::Collection;
use crate::state::{Api, locked};

const JOBS_MAX: usize = 1_000;
const BODY_BYTES_MAX: usize = 64 * 1024;
const FIELDS: [&str; 4] = ["id", "name", "email", "created_at"];
const LOGIN: &str = "<!doctype html><html><head><title>Sign in</title></head></html>";

type Shared = State<Arc<Api>>;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/export/{file}", get(file))
        .route("/export/cut/{file}", get(cut))
        .route("/export/page/{file}", get(page))
        .route("/export/jobs", post(create))
        .route("/export/jobs/{id}", get(job))
}

/// The jobs so far; the id of one is its position from 1.
#[derive(Default)]
pub(crate) struct Jobs(Mutex<Vec<Job>>);

struct Job {
    /// How often it still says that it is running.
    polls: u64,
    ends: Ends,
    download: Option<String>,
}

#[derive(Clone, Copy)]
enum Ends {
    Done,
    Failed,
    Never,
}

async fn file(State(api): Shared, Path(file): Path<String>) -> Answer {
    let (media, bytes) = written(&api, &file)?;
    Ok(typed(media, bytes))
}

async fn cut(State(api): Shared, Path(file): Path<String>) -> Answer {
    let (media, mut bytes) = written(&api, &file)?;
    // Within the last record's name: no format ends there.
    bytes.truncate(bytes.len() - if media == "application/gzip" { 12 } else { 45 });
    Ok(typed(media, bytes))
}

async fn page(State(api): Shared, Path(file): Path<String>) -> Answer {
    written(&api, &file)?;
    Ok(typed("text/html; charset=utf-8", LOGIN.into()))
}

async fn create(State(api): Shared, request: Request) -> Answer {
    let invalid = |message: &str| Problem::bad_request("invalid_body", message);
    let body = to_bytes(request.into_body(), BODY_BYTES_MAX).await;
    let body = body.map_err(|_| invalid("the body broke off or is longer than 64 KiB"))?;
    let body: Value = serde_json::from_slice(&body).map_err(|_| invalid("it is not JSON"))?;
    let ends = match body["ends"].as_str() {
        None | Some("done") => Ends::Done,
        Some("failed") => Ends::Failed,
        Some("never") => Ends::Never,
        Some(_) => return Err(invalid("`ends` is done, failed or never")),
    };
    let polls = body["polls"].as_u64().unwrap_or_default();
    let download = body["download"].as_str().map(str::to_owned);
    let mut jobs = locked(&api.jobs.0);
    if jobs.len() >= JOBS_MAX {
        return Err(Problem::bad_request("too_many_jobs", "there are 1,000 jobs already"));
    }
    jobs.push(Job { polls, ends, download });
    Ok(answer::json(StatusCode::ACCEPTED, json!({ "job": jobs.len() }).to_string()))
}

async fn job(State(api): Shared, Path(id): Path<String>) -> Answer {
    let (ends, download) = {
        let mut jobs = locked(&api.jobs.0);
        let index = id.parse::<usize>().ok().and_then(|id| id.checked_sub(1));
        let job = index.and_then(|index| jobs.get_mut(index));
        let job = job.ok_or_else(|| Problem::not_found(format!("there is no job `{id}`")))?;
        let is_running = job.polls > 0 || matches!(job.ends, Ends::Never);
        job.polls = job.polls.saturating_sub(1);
        if is_running {
            return Ok(answer::ok("{\"status\":\"running\"}"));
        }
        (job.ends, job.download.clone())
    };
    Ok(answer::ok(match (ends, download) {
        (Ends::Failed, _) => "{\"status\":\"failed\",\"reason\":\"out of paper\"}".to_owned(),
        (_, Some(url)) => json!({ "status": "done", "result": { "url": url } }).to_string(),
        (_, None) => format!("{{\"status\":\"done\",\"rows\":{}}}", Value::from(rows(&api))),
    }))
}

/// A file's media type and bytes.
fn written(api: &Api, file: &str) -> Result<(&'static str, Vec<u8>), Problem> {
    let rows = rows(api);
    let csv = || {
        let lines = rows.iter().map(|row| FIELDS.map(|field| quoted(&row[field])).join(","));
        let lines = std::iter::once(FIELDS.join(",")).chain(lines);
        lines.map(|line| line + "\r\n").collect::<String>()
    };
    Ok(match file {
        "customers.json" => ("application/json", Value::from(rows).to_string().into_bytes()),
        "customers.ndjson" => {
            let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
            ("application/x-ndjson", lines.into_bytes())
        }
        "customers.csv" => ("text/csv; charset=utf-8", csv().into_bytes()),
        "customers.csv.gz" => {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(csv().as_bytes()).expect("memory takes all");
            ("application/gzip", packed.finish().expect("memory takes all"))
        }
        "customers.xml" => {
            let rows: String = rows.iter().map(element).collect();
            ("application/xml", format!("<customers>{rows}</customers>").into_bytes())
        }
        _ => return Err(Problem::not_found(format!("there is no file `{file}`"))),
    })
}

/// All customers, in four fields.
fn rows(api: &Api) -> Vec<Value> {
    let slice = api.slice(Collection::Customers, 0, u64::MAX, None);
    let whole = slice.records.iter().map(|record| serde_json::from_str::<Value>(record));
    whole
        .map(|record| {
            let record = record.expect("records are JSON");
            FIELDS.iter().map(|&field| (field.to_owned(), record[field].clone())).collect()
        })
        .collect()
}

fn quoted(value: &Value) -> String {
    format!("\"{}\"", plain(value).replace('"', "\"\""))
}

fn element(row: &Value) -> String {
    let fields = FIELDS.map(|field| {
        let text = plain(&row[field]).replace('&', "&amp;").replace('<', "&lt;");
        format!("<{field}>{text}</{field}>")
    });
    format!("<customer>{}</customer>", fields.concat())
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn typed(media: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = answer::ok(Body::from(bytes));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}
