//! From the documented inputs of one call to a request.
//!
//! In: [`CallInputs`] that were checked, the workspace's folder, and the base URL of the api whose
//! login is used. Out: a [`Request`] with the manner it is sent in, and where its answer goes. The
//! flags of `restway call` and `--input` both come through here, so there is one engine. What
//! stands where the documents are silent is written down in `docs/guides/calling.md`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use restway_model::definition::{CallInputs, Retry, RetryBackoff};
use restway_model::{Name, Redactor, SafeUrl, Secret, Timespan, is_credential, is_telling};
use serde_json::{Map, Value};
use url::Url;

use crate::authorize::basic;
use crate::error::{CallError, Failure};
use crate::plan::{append, plain_text, web_url};
use crate::request::{Body, Expected, Manner, Redirects, Request, Timeouts};
use crate::tls::{Identity, Tls};
use crate::{files, multipart, tls};

/// A timeout that is off still ends: nothing waits for ever.
const OFF: Duration = Duration::from_secs(24 * 60 * 60);
/// No wait between two tries is shorter.
const WAIT_MIN: f64 = 1.0;
/// The body that goes into a file at most.
const FILE_BYTES_MAX: u64 = 1 << 40;

/// A call that is ready to be sent.
#[derive(Debug)]
pub struct Prepared {
    /// The request.
    pub request: Request,
    /// The file that takes the answer's body.
    pub dst: Option<PathBuf>,
    /// The api whose login is used.
    pub grant: Option<Name>,
    /// What the person should know, for the outputs' `log`.
    pub notes: Vec<&'static str>,
}

/// Makes the request. The inputs have passed their check.
pub(crate) fn prepare(
    inputs: &CallInputs,
    folder: Option<&Path>,
    base: Option<&Url>,
    redactor: &Redactor,
) -> Result<Prepared, CallError> {
    let method = inputs.method().unwrap_or_default();
    let mut request = Request::new(method, SafeUrl::new(url(inputs, base)?));
    for (name, value) in inputs.headers.iter().flatten() {
        match value {
            Value::Array(items) => {
                let lines = items.iter().map(|item| (name.clone(), plain_text(item)));
                request.headers.extend(lines);
            }
            value => request.headers.push((name.clone(), plain_text(value))),
        }
    }
    let mut notes = Vec::new();
    if inputs.data.is_some() {
        notes.push("`data` is deprecated: write `json`");
    }
    add_body(&mut request, inputs, folder)?;
    add_cookies(&mut request, inputs)?;
    add_login(&mut request, inputs, redactor)?;
    learn(&request, redactor);
    let is_keyed = request.has_header("idempotency-key");
    request.repeatable = method.is_idempotent() || inputs.retry_status_code.is_some() || is_keyed;
    request.expected = Expected::Listed(inputs.expected_status_code.clone());
    request.manner = manner(inputs)?;
    let dst = inputs.dst.as_deref().map(|name| files::writable(folder, name)).transpose()?;
    if dst.is_some() {
        request.body_bytes_max = FILE_BYTES_MAX;
    }
    Ok(Prepared { request, dst, grant: inputs.grant.clone(), notes })
}

fn url(inputs: &CallInputs, base: Option<&Url>) -> Result<Url, CallError> {
    let mut url = match (&inputs.url, &inputs.hostname) {
        (Some(text), _) => whole_url(text, base)?,
        (None, Some(hostname)) => built_url(inputs, hostname)?,
        (None, None) => {
            return Err(CallError::invalid("the call", "has no `url` and no `hostname`"));
        }
    };
    for (name, value) in inputs.params.iter().flatten() {
        match value {
            Value::Null => {}
            Value::Array(items) => {
                items.iter().for_each(|item| append(&mut url, name, &plain_text(item)));
            }
            value => append(&mut url, name, &plain_text(value)),
        }
    }
    Ok(url)
}

/// A whole URL, or a path below that of the api.
fn whole_url(text: &str, base: Option<&Url>) -> Result<Url, CallError> {
    let mut url = match (base, Url::parse(text)) {
        (Some(base), Err(_)) => {
            let base = base.as_str().trim_end_matches('/');
            web_url(&format!("{base}/{}", text.trim_start_matches('/')), "`url`")?
        }
        _ => web_url(text, "`url`")?,
    };
    url.set_fragment(None);
    Ok(url)
}

/// `[scheme]://[hostname]:[port]/[base_path]/[path]`.
fn built_url(inputs: &CallInputs, hostname: &str) -> Result<Url, CallError> {
    let scheme = inputs.scheme.as_deref().unwrap_or("https");
    let is_host = !hostname.is_empty() && !hostname.contains(['/', '?', '#', '@', '\\', ' ']);
    let has_port = hostname.rsplit_once(':').is_some_and(|(host, _)| !host.starts_with('['))
        || hostname.rsplit_once("]:").is_some();
    if !is_host || has_port {
        let problem = "is the host's name or address alone; the rest has inputs of its own";
        return Err(CallError::invalid("`hostname`", problem));
    }
    let mut url = web_url(&format!("{scheme}://{hostname}/"), "`hostname`")?;
    if url.set_port(inputs.port).is_err() {
        return Err(CallError::invalid("`port`", "cannot be used"));
    }
    let parts = [&inputs.base_path, &inputs.path];
    let parts = parts.into_iter().flatten().map(|part| part.trim_start_matches('/'));
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    let last = parts.len().saturating_sub(1);
    let joined = parts.iter().enumerate().map(|(at, part)| match at == last {
        true => (*part).to_owned(),
        false => format!("{}/", part.trim_end_matches('/')),
    });
    let path: String = joined.collect();
    let is_dots =
        |part: &str| matches!(part.replace("%2e", ".").replace("%2E", ".").as_str(), "." | "..");
    if path.split('/').any(is_dots) {
        return Err(CallError::invalid("`path`", "has a segment `.` or `..`"));
    }
    url.set_path(&path);
    Ok(url)
}

fn add_body(
    request: &mut Request,
    inputs: &CallInputs,
    folder: Option<&Path>,
) -> Result<(), CallError> {
    let body = if let Some(multipart) = &inputs.multipart {
        let (content_type, upload) = multipart::compose(multipart, folder)?;
        // Another content type would name another boundary.
        request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        request.headers.push(("content-type".into(), content_type));
        Body::Upload(upload)
    } else if let Some(json) = inputs.json.as_ref().or(inputs.data.as_ref()) {
        Body::Json(json.clone())
    } else if let Some(text) = &inputs.text {
        if !request.has_header("content-type") {
            request.headers.push(("content-type".into(), multipart::PLAIN.into()));
        }
        Body::Text(text.clone())
    } else if let Some(fields) = &inputs.urlencoded {
        Body::Form(form(fields))
    } else {
        return Ok(());
    };
    request.body = Some(body);
    Ok(())
}

fn form(fields: &Map<String, Value>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (name, value) in fields {
        match value {
            Value::Null => {}
            Value::Array(items) => {
                pairs.extend(items.iter().map(|item| (name.clone(), plain_text(item))));
            }
            value => pairs.push((name.clone(), plain_text(value))),
        }
    }
    pairs
}

/// One `Cookie` header (RFC 6265, section 4.2.1).
fn add_cookies(request: &mut Request, inputs: &CallInputs) -> Result<(), CallError> {
    let mut pairs = Vec::new();
    for (name, value) in inputs.cookies.iter().flatten() {
        let value = plain_text(value);
        let is_bad = |c: char| c == ';' || c.is_control();
        if name.is_empty() || name.contains(['=', ' ', ',']) || name.contains(is_bad) {
            return Err(CallError::invalid(format!("`{name}`"), "cannot be a cookie's name"));
        }
        if value.contains(is_bad) {
            let subject = format!("the cookie `{name}`");
            return Err(CallError::invalid(subject, "has a value that would end it"));
        }
        pairs.push(format!("{name}={value}"));
    }
    if !pairs.is_empty() {
        request.headers.push(("cookie".into(), pairs.join("; ")));
    }
    Ok(())
}

fn add_login(
    request: &mut Request,
    inputs: &CallInputs,
    redactor: &Redactor,
) -> Result<(), CallError> {
    let Some(username) = &inputs.username else { return Ok(()) };
    let password = inputs.password.clone().unwrap_or_else(|| Secret::new(""));
    redactor.learn_given(&password);
    let pair = basic(username, password.expose()).map_err(crate::plan_failure)?;
    redactor.learn_given(&pair);
    request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
    request.headers.push(("authorization".into(), format!("Basic {}", pair.expose())));
    Ok(())
}

/// Teaches what may be a credential in the inputs: cookies, and what a name tells of. A server that
/// repeats it would else bring it into a recording, or an error.
fn learn(request: &Request, redactor: &Redactor) {
    let url = request.url.expose();
    for (_, value) in url.query_pairs().filter(|(name, value)| is_credential(name, value)) {
        redactor.learn_given(&Secret::new(value));
    }
    for (name, value) in &request.headers {
        if name.eq_ignore_ascii_case("cookie") {
            let values = value.split(';').filter_map(|pair| pair.split_once('='));
            values.for_each(|(_, value)| redactor.learn_given(&Secret::new(value.trim())));
        } else if is_telling(name) {
            redactor.learn_given(&Secret::new(value));
            // What follows the scheme is the credential (RFC 9110, section 11.4).
            if let Some((_, credential)) = value.split_once(' ') {
                redactor.learn_given(&Secret::new(credential.trim()));
            }
        }
    }
}

fn manner(inputs: &CallInputs) -> Result<Manner, CallError> {
    let redirects = match inputs.allow_redirects {
        true => Redirects::Followed(inputs.max_redirects),
        false => Redirects::Returned,
    };
    let after = |seconds: Option<f64>| match seconds.filter(|seconds| *seconds > 0.0) {
        Some(seconds) => span(seconds),
        None => OFF,
    };
    let timeouts = Timeouts {
        connect: after(inputs.connect_timeout),
        read: after(inputs.read_timeout),
        total: after(inputs.total_timeout),
    };
    let status = inputs.retry_status_code.clone().unwrap_or_else(|| vec![502, 503, 504]);
    let retry = Some(retry(&inputs.retry_backoff, status));
    let tls = wanted_tls(inputs)?.map(Arc::new);
    let (redirects, timeouts) = (Some(redirects), Some(timeouts));
    Ok(Manner { redirects, timeouts, retry, tls, is_led: false })
}

fn retry(backoff: &RetryBackoff, status: Vec<u16>) -> Retry {
    Retry {
        status,
        initial: Timespan(span(backoff.initial.max(WAIT_MIN))),
        maximum: Timespan(span(backoff.maximum.max(WAIT_MIN))),
        multiplier: backoff.multiplier,
        deadline: Timespan(span(backoff.deadline)),
    }
}

fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(OFF).min(OFF)
}

/// The client's certificate with its key. A key that is locked is opened here and now: this is a
/// call of its own, and nothing waits beside it.
fn identity(inputs: &CallInputs, text: &str) -> Result<Identity, Failure> {
    let certificate = tls::written(text).unwrap_or_else(|| text.as_bytes().to_vec());
    let identity = Identity::of(certificate, inputs.client_key.clone())?;
    let Some(password) = &inputs.client_key_password else { return Ok(identity) };
    let (locked, opener) = identity.locked();
    let open = opener(locked.expose(), password.expose());
    let open = open.map_err(|problem| Failure::invalid(identity.subject(), problem))?;
    Ok(identity.opened(open))
}

fn wanted_tls(inputs: &CallInputs) -> Result<Option<Tls>, CallError> {
    let mut ca = String::new();
    for text in [&inputs.cacert, &inputs.server_ca].into_iter().flatten() {
        ca.push_str(text);
        ca.push('\n');
    }
    let mut tls =
        Tls { verify: inputs.verify_ssl, check_hostname: inputs.check_hostname, ..Tls::default() };
    if !ca.is_empty() {
        tls.ca = Some(ca);
    }
    if let Some(text) = &inputs.client_cert {
        let identity = identity(inputs, text).map_err(crate::plan_failure)?;
        tls.identity = Some(identity);
    }
    if tls == Tls::default() {
        return Ok(None);
    }
    tls.check().map_err(crate::plan_failure)?;
    Ok(Some(tls))
}
