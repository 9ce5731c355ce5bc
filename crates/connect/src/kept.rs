//! Kept answers: what a server need not send again (RFC 9111, revalidation only).
//!
//! In: a GET whose resource says `cache: true`, and its answer. Out: the conditions that ask
//! whether the kept answer still holds, and its body in place of a 304. What never happens here:
//! an answer used without asking the server; one used for another URL, with other headers or
//! for somebody else than it came for; one kept that is marked `no-store` or has no validator; a
//! half of one. Nothing of a credential is written, but a hash of it is part of a file's name.
//!
//! What cannot be kept is not, and the page is read all the same.
//!
//! A file is the body, its headers as JSON, and the length of those in eight bytes. It appears
//! when it is whole. The files that were not used for longest go when all are too large together.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};
use fs_err::tokio::{self as fs, File};
use restway_model::definition::Auth;
use restway_model::{Clock, Scope, Values};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::authorize::Credential;
use crate::error::{CallError, Failure};
use crate::files::Arriving;
use crate::redirect::Hop;
use crate::request::header;
use crate::sigv4::hex;
use crate::target::Target;

/// The largest body that is kept.
const BODY_BYTES_MAX: u64 = 64 << 20;
/// All that is kept.
const BYTES_MAX: u64 = 1 << 30;
/// Files that are looked through for what may go.
const FILES_MAX: usize = 1_000_000;
/// The headers of one answer.
const HEAD_BYTES_MAX: u64 = 1 << 20;
const TRAILER_BYTES: u64 = 8;
const CHUNK_BYTES: usize = 64 << 10;

/// Headers that are about one transfer and not about the answer.
const OF_ONE_TRANSFER: [&str; 8] = [
    "age",
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "retry-after",
    "set-cookie",
    "transfer-encoding",
];

/// The answers that are kept in one folder.
pub(crate) struct Answers {
    folder: PathBuf,
    bytes_max: u64,
    /// Bytes of all files, once somebody counted them.
    held: Mutex<Option<u64>>,
}

/// An answer that is asked for: where it is kept, if it is.
pub(crate) struct Sought {
    answers: Arc<Answers>,
    path: PathBuf,
    kept: Option<Kept>,
}

/// A kept answer, open.
struct Kept {
    headers: Vec<(String, String)>,
    file: File,
    length: u64,
}

/// What becomes of an answer that came.
pub(crate) enum Met {
    /// It is the kept one: these headers, and this body.
    Unchanged(Vec<(String, String)>, KeptBody),
    /// It is another, which is kept as it is read.
    Keeping(Box<Keeping>),
    /// It is another, which is not kept.
    Passing,
}

/// The body of a kept answer.
pub(crate) struct KeptBody(Box<tokio::io::Take<File>>);

/// An answer on its way to being kept.
pub(crate) struct Keeping {
    answers: Arc<Answers>,
    arriving: Arriving,
    headers: Vec<(String, String)>,
    bytes: u64,
}

impl Answers {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, bytes_max: BYTES_MAX, held: Mutex::default() }
    }

    /// Looks for the answer to a hop.
    pub(crate) async fn seek(self: &Arc<Self>, hop: &Hop, identity: &[u8]) -> Sought {
        let path = self.folder.join(key(hop, identity));
        let kept = Kept::open(&path).await.ok().flatten();
        Sought { answers: Arc::clone(self), path, kept }
    }

    /// Counts a new file; removes those that were not used for longest if all are too many.
    async fn added(&self, bytes: u64) -> std::io::Result<()> {
        let known = *self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = match known {
            Some(held) => held + bytes,
            None => self.files().await?.iter().map(|(_, length, _)| length).sum(),
        };
        if held > self.bytes_max {
            let mut files = self.files().await?;
            files.sort();
            held = files.iter().map(|(_, length, _)| length).sum();
            for (_, length, path) in files {
                // Half of it, so that not each new answer looks through them all.
                if held <= self.bytes_max / 2 {
                    break;
                }
                // Another process may have removed it since.
                if let Err(error) = fs::remove_file(path).await
                    && error.kind() != std::io::ErrorKind::NotFound
                {
                    return Err(error);
                }
                held -= length;
            }
        }
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(())
    }

    async fn files(&self) -> std::io::Result<Vec<(SystemTime, u64, PathBuf)>> {
        let mut entries = fs::read_dir(&self.folder).await?;
        let mut files = Vec::new();
        while files.len() < FILES_MAX
            && let Some(entry) = entries.next_entry().await?
        {
            // Another process may have removed it since.
            if let Ok(metadata) = entry.metadata().await {
                files.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        Ok(files)
    }
}

impl Sought {
    /// The conditions (RFC 9110, sections 13.1.2 and 13.1.3).
    pub(crate) fn ask(&self, headers: &mut Vec<(String, String)>) {
        let Some(kept) = &self.kept else { return };
        let conditions = [("etag", "if-none-match"), ("last-modified", "if-modified-since")];
        for (validator, condition) in conditions {
            if let Some(value) = header(&kept.headers, validator) {
                headers.push((condition.to_owned(), value.to_owned()));
            }
        }
    }

    /// Says what an answer means for the kept one.
    pub(crate) async fn meet(
        self,
        status: u16,
        headers: &[(String, String)],
        clock: &dyn Clock,
    ) -> Met {
        match (status, self.kept) {
            (304, Some(kept)) => {
                let used = SystemTime::from(clock.now());
                if let Ok(file) = kept.file.try_clone().await {
                    // It only goes sooner than others if this fails.
                    let _ = file.into_std().await.set_modified(used);
                }
                let headers = refreshed(kept.headers, headers);
                Met::Unchanged(headers, KeptBody(Box::new(kept.file.take(kept.length))))
            }
            (200, _) if may_be_kept(headers) => {
                let arriving = match private_folder(&self.answers.folder) {
                    Ok(()) => Arriving::at(self.path).await.ok(),
                    Err(_) => None,
                };
                let Some(arriving) = arriving else { return Met::Passing };
                let (headers, answers) = (lasting(headers).collect(), self.answers);
                Met::Keeping(Box::new(Keeping { answers, arriving, headers, bytes: 0 }))
            }
            (200, Some(_)) => {
                // The server is asked about it again, if it stays.
                let _ = fs::remove_file(&self.path).await;
                Met::Passing
            }
            _ => Met::Passing,
        }
    }
}

impl Kept {
    /// Opens a file; nothing for one that is not there or not one of ours.
    async fn open(path: &Path) -> std::io::Result<Option<Self>> {
        let mut file = File::open(path).await?;
        let whole = file.metadata().await?.len();
        let Some(trailer) = whole.checked_sub(TRAILER_BYTES) else { return Ok(None) };
        file.seek(std::io::SeekFrom::Start(trailer)).await?;
        let head = file.read_u64().await?;
        let Some(length) = trailer.checked_sub(head).filter(|_| head <= HEAD_BYTES_MAX) else {
            return Ok(None);
        };
        file.seek(std::io::SeekFrom::Start(length)).await?;
        let mut text = Vec::new();
        (&mut file).take(head).read_to_end(&mut text).await?;
        file.rewind().await?;
        let headers = serde_json::from_slice(&text).ok();
        Ok(headers.map(|headers| Self { headers, file, length }))
    }
}

impl KeptBody {
    /// The next chunk; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        let read = self.0.read_buf(&mut chunk).await.map_err(failure)?;
        Ok((read > 0).then(|| chunk.freeze()))
    }
}

impl Keeping {
    /// Takes over a chunk; says whether there is room for it.
    pub(crate) async fn chunk(&mut self, chunk: &Bytes) -> bool {
        self.bytes += chunk.len() as u64;
        self.bytes <= BODY_BYTES_MAX && self.arriving.write(chunk).await.is_ok()
    }

    /// The body is whole.
    pub(crate) async fn finish(mut self) -> Result<(), Failure> {
        let head = Bytes::from(serde_json::json!(self.headers).to_string());
        let length = head.len() as u64;
        self.arriving.write(&head).await?;
        self.arriving.write(&Bytes::copy_from_slice(&length.to_be_bytes())).await?;
        self.arriving.finish().await?;
        self.answers.added(self.bytes + length + TRAILER_BYTES).await.map_err(failure)
    }
}

/// Who asks: the login with its secrets, as far as they tell one from another. A person's login
/// says nothing of the person; there the token does.
pub(crate) fn identity(
    target: &Target,
    auth: &Auth,
    credential: &Credential,
    values: &dyn Values,
) -> Result<Vec<u8>, Failure> {
    struct Filled<'a>(&'a dyn Values);
    impl Values for Filled<'_> {
        fn value(&self, scope: Scope, name: &str) -> Result<Value, String> {
            match scope {
                Scope::Secret | Scope::Env => self.0.value(scope, name),
                // What a signature is made of is another for each request.
                _ => Ok(name.into()),
            }
        }
    }
    let invalid = |error: CallError| match error {
        CallError::Value(error) => Failure::Value(error),
        other => Failure::invalid("`auth`", other.to_string()),
    };
    let login = serde_json::json!([auth, target.tls.client_cert]);
    let mut text = crate::plan::filled(&login, &Filled(values)).map_err(invalid)?.to_string();
    if let Auth::Oauth2 { grant, .. } = auth
        && grant.is_of_a_person()
        && let Credential::Header(_, token) = credential
    {
        text.push_str(token.expose());
    }
    Ok(text.into_bytes())
}

/// The name of a file: a hash of all that makes the request another.
fn key(hop: &Hop, identity: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    let mut part = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(bytes);
    };
    part(hop.url.expose().as_str().as_bytes());
    for (name, value) in &hop.headers {
        part(name.to_ascii_lowercase().as_bytes());
        part(value.as_bytes());
    }
    part(identity);
    hex(context.finish().as_ref())
}

fn may_be_kept(headers: &[(String, String)]) -> bool {
    let all = |name: &'static str| {
        let values = headers.iter().filter(move |(known, _)| known == name);
        values.flat_map(|(_, value)| value.split(',').map(str::trim))
    };
    let has_validator = header(headers, "etag").or(header(headers, "last-modified")).is_some();
    has_validator
        && !all("cache-control").any(|word| word.eq_ignore_ascii_case("no-store"))
        && !all("vary").any(|name| name == "*")
}

fn lasting(headers: &[(String, String)]) -> impl Iterator<Item = (String, String)> + '_ {
    let is_lasting = |(name, _): &&(String, String)| {
        !OF_ONE_TRANSFER.contains(&name.as_str())
            && !name.contains("ratelimit")
            && !name.contains("rate-limit")
    };
    headers.iter().filter(is_lasting).cloned()
}

/// The kept headers with those of the 304 in their place (RFC 9111, section 3.2).
fn refreshed(mut kept: Vec<(String, String)>, came: &[(String, String)]) -> Vec<(String, String)> {
    kept.retain(|(name, _)| header(came, name).is_none());
    let is_about_body = |name: &str| name.starts_with("content-") || name == "transfer-encoding";
    kept.extend(came.iter().filter(|(name, _)| !is_about_body(name)).cloned());
    kept
}

/// Answers may hold what is nobody else's business.
fn private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
fn failure(error: std::io::Error) -> Failure {
    Failure::File { problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use restway_model::SafeUrl;
    use restway_model::definition::Method;
    use url::Url;

    use super::*;
    use crate::testing::HandClock;

    fn hop() -> Hop {
        let url = SafeUrl::new(Url::parse("https://h/x").expect("a URL"));
        Hop { method: Method::Get, url, headers: Vec::new(), body: None, is_home: true }
    }

    fn tagged(cache: &str) -> Vec<(String, String)> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![pair("etag", "\"1\""), pair("cache-control", cache)]
    }

    async fn keep(answers: &Arc<Answers>, body: &'static [u8]) -> Result<(), Failure> {
        let sought = answers.seek(&hop(), b"me").await;
        let Met::Keeping(mut keeping) = sought.meet(200, &tagged(""), &HandClock::default()).await
        else {
            panic!("it is not kept");
        };
        assert!(keeping.chunk(&Bytes::from_static(body)).await);
        keeping.finish().await
    }

    #[tokio::test]
    async fn what_another_process_removed_is_nothing_that_fails() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("answers");
        let answers = Arc::new(Answers::new(place.clone()));
        keep(&answers, b"one").await.expect("it is kept");
        let sought = answers.seek(&hop(), b"me").await;
        assert!(sought.kept.is_some());
        fs_err::remove_dir_all(&place).expect("it is removed");
        let met = sought.meet(200, &tagged("no-store"), &HandClock::default()).await;
        assert!(matches!(met, Met::Passing));
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_passed_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("answers");
        fs_err::write(&place, "a file where the folder would be").expect("a file");
        let answers = Arc::new(Answers::new(place));
        let sought = answers.seek(&hop(), b"me").await;
        let met = sought.meet(200, &tagged(""), &HandClock::default()).await;
        assert!(matches!(met, Met::Passing));
    }
}
