//! The tape: exchanges with apis as files, recorded and played.
//!
//! In: requests as they go out and answers as they come. Out: a folder of files that a person can
//! read, `0001.json` with the request and the answer's head and `0001.body` with its decoded body;
//! or, playing, the answers to the same requests in the same order, without any network.
//!
//! What never happens here: a secret in a file. Header values are masked by name, texts pass the
//! redactor, and the tokens of a token endpoint's answer are masked by their names and by the path
//! of the login; that answer is written when they were learned. A request is known again by its
//! method, URL and body, all redacted and without what the login adds, so that a tape plays with
//! other secrets or none. What was not recorded is an error, never a guess.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use restway_model::{Name, RecordPath, Redactor, Secret, Step, exact_json};
use serde_json::{Map, Value, json};

use crate::curl::masked;
use crate::request::header;
use crate::wire::Outgoing;

/// Exchanges of one tape: their files have numbers of so many digits at most.
const EXCHANGES_MAX: usize = 99_999;
/// Bytes of a body that is recorded, and of one that is played.
pub(crate) const BODY_BYTES_MAX: u64 = 256 << 20;
/// Members of an answer whose values are credentials.
const TOKENS: [&str; 4] = ["access_token", "refresh_token", "id_token", "client_secret"];
const MASK: &str = "***";
/// Stands for the delimiter of a body of parts.
const DELIMITER: &str = "delimiter-of-parts";

/// A recorder or a player.
#[derive(Debug)]
pub struct Tape {
    folder: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Records { next: Mutex<usize> },
    Plays { answers: Mutex<HashMap<String, VecDeque<usize>>> },
}

/// An answer from a tape.
pub(crate) struct Played {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

/// The recording of one exchange whose answer is still coming.
pub(crate) struct Recording {
    folder: PathBuf,
    number: usize,
    head: Value,
    body: Vec<u8>,
    redactor: Redactor,
    /// What a login's own answer calls its token.
    token: Option<RecordPath>,
    is_written: bool,
}

impl Tape {
    /// Records into a folder that is empty or not there yet.
    ///
    /// # Errors
    /// When it cannot be made, or holds something.
    pub fn record(folder: &Path) -> io::Result<Self> {
        fs_err::create_dir_all(folder)?;
        if fs_err::read_dir(folder)?.next().is_some() {
            let problem = format!("`{}` is not empty", folder.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
        }
        let kind = Kind::Records { next: Mutex::new(1) };
        Ok(Self { folder: folder.to_owned(), kind })
    }

    /// Plays what was recorded into a folder.
    ///
    /// # Errors
    /// When a file of it cannot be read.
    pub fn replay(folder: &Path) -> io::Result<Self> {
        let mut answers: HashMap<String, VecDeque<usize>> = HashMap::new();
        let mut numbers: Vec<usize> = Vec::new();
        for entry in fs_err::read_dir(folder)?.take(2 * EXCHANGES_MAX) {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".json"));
            numbers.extend(number.and_then(|number| number.parse::<usize>().ok()));
        }
        if numbers.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it holds no recording"));
        }
        numbers.sort_unstable();
        for number in numbers {
            let head: Value = serde_json::from_slice(&fs_err::read(head_file(folder, number))?)?;
            answers.entry(key_of(&head["request"])).or_default().push_back(number);
        }
        let kind = Kind::Plays { answers: Mutex::new(answers) };
        Ok(Self { folder: folder.to_owned(), kind })
    }

    /// Whether it stands in for the network.
    pub(crate) const fn plays(&self) -> bool {
        matches!(self.kind, Kind::Plays { .. })
    }

    /// The next answer to that request, or what is wrong.
    pub(crate) fn play(&self, outgoing: &Outgoing, redactor: &Redactor) -> Result<Played, String> {
        let Kind::Plays { answers } = &self.kind else {
            return Err("the tape records".into());
        };
        let key = key_of(&request(outgoing, redactor));
        let number = {
            let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            let left = answers.get_mut(&key).ok_or("it was not recorded")?;
            left.pop_front().ok_or("it was recorded, and not as often as it is sent now")?
        };
        self.read(number).map_err(|error| format!("its file cannot be read: {error}"))
    }

    fn read(&self, number: usize) -> io::Result<Played> {
        let head: Value = serde_json::from_slice(&fs_err::read(head_file(&self.folder, number))?)?;
        let answer = &head["answer"];
        let status = answer["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        let status = status.ok_or_else(|| io::Error::other("it has no status"))?;
        let headers =
            answer["headers"].as_array().into_iter().flatten().filter_map(|pair| {
                Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned()))
            });
        let file = body_file(&self.folder, number);
        if fs_err::metadata(&file)?.len() > BODY_BYTES_MAX {
            return Err(io::Error::other("its body is larger than 256 MiB"));
        }
        Ok(Played { status, headers: headers.collect(), body: fs_err::read(file)?.into() })
    }

    /// Begins to record an exchange, if this records and there is room.
    pub(crate) fn begin(&self, outgoing: &Outgoing, redactor: &Redactor) -> Option<Recording> {
        let Kind::Records { next } = &self.kind else { return None };
        let number = {
            let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
            let number = *next;
            *next += 1;
            number
        };
        (number <= EXCHANGES_MAX).then(|| Recording {
            folder: self.folder.clone(),
            number,
            head: json!({ "request": request(outgoing, redactor) }),
            body: Vec::new(),
            redactor: redactor.clone(),
            token: None,
            is_written: false,
        })
    }
}

impl Recording {
    pub(crate) fn answered(&mut self, status: u16, headers: &[(String, String)]) {
        // The body is kept decoded and whole: what tells of its form on the way is not kept.
        const ON_THE_WAY: [&str; 3] = ["content-encoding", "content-length", "transfer-encoding"];
        let kept = headers.iter().filter(|(name, _)| !ON_THE_WAY.contains(&name.as_str()));
        self.head["answer"] = json!({ "status": status, "headers": pairs(kept, &self.redactor) });
    }

    pub(crate) fn chunk(&mut self, chunk: &[u8]) {
        self.body.extend_from_slice(chunk);
    }

    pub(crate) fn is_too_large(&self) -> bool {
        self.body.len() as u64 > BODY_BYTES_MAX
    }

    /// Says where the answer has a token that only the definition knows for one.
    pub(crate) fn hide(&mut self, token: RecordPath) {
        self.token = Some(token);
    }

    /// Writes the files, once.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.is_written = true;
        let body = std::mem::take(&mut self.body);
        let body = match &self.token {
            Some(path) => without(path, body),
            None => body,
        };
        let body = masked_body(body, &self.redactor);
        let head = format!("{:#}\n", self.head);
        write_private(&body_file(&self.folder, self.number), &body)?;
        write_private(&head_file(&self.folder, self.number), head.as_bytes())
    }
}

impl Drop for Recording {
    /// An answer that nobody reads to its end (a redirect, a refusal) is kept as far as it came;
    /// a request without any answer is not. A file that cannot be written is missed when the tape
    /// is played.
    fn drop(&mut self) {
        if !self.is_written && self.head.get("answer").is_some() {
            let _ = self.finish();
        }
    }
}

/// A secret where a tape is played and the real one is not there.
pub(crate) fn stand_in(name: &Name) -> Secret {
    Secret::new(format!("played-secret-{name}"))
}

/// A body without the secrets that are known; one that is no text stays as it is.
pub(crate) fn masked_body(body: Vec<u8>, redactor: &Redactor) -> Vec<u8> {
    match std::str::from_utf8(&body) {
        Ok(text) => without_tokens(&redactor.redact(text)).into_bytes(),
        Err(_) => body,
    }
}

/// A request without what its login adds, which is another each time where it signs, and with one
/// text for the delimiter between parts, which is left to chance.
fn request(outgoing: &Outgoing, redactor: &Redactor) -> Value {
    let url = outgoing.shown.url.to_string();
    let kind = header(&outgoing.shown.headers, "content-type").unwrap_or_default();
    let delimiter = kind.split_once("boundary=").map(|(_, text)| text.trim_matches('"'));
    let shown = |text: &str| match delimiter.filter(|delimiter| !delimiter.is_empty()) {
        Some(delimiter) => redactor.redact(&text.replace(delimiter, DELIMITER)).into_owned(),
        None => redactor.redact(text).into_owned(),
    };
    let headers: Vec<Value> = outgoing
        .shown
        .headers
        .iter()
        .map(|(name, value)| json!([name, shown(masked(name, value))]))
        .collect();
    let body = outgoing.body.as_ref().map(|body| shown(&body.shown()));
    json!({
        "method": outgoing.method.as_str(),
        "url": redactor.redact(&url),
        "headers": headers,
        "body": body,
    })
}

fn pairs<'a>(
    headers: impl Iterator<Item = &'a (String, String)>,
    redactor: &Redactor,
) -> Vec<Value> {
    let shown =
        |(name, value): &(String, String)| json!([name, redactor.redact(masked(name, value))]);
    headers.map(shown).collect()
}

fn key_of(request: &Value) -> String {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    format!("{} {}\n{}", text("method"), text("url"), text("body"))
}

/// The text with the tokens of a token endpoint's answer masked; other texts stay byte for byte.
fn without_tokens(text: &str) -> String {
    let Ok(members) = serde_json::from_str::<Map<String, Value>>(text) else {
        return text.to_owned();
    };
    let mut tokens = Vec::new();
    members.iter().for_each(|(name, value)| find_tokens(name, value, &mut tokens));
    tokens.into_iter().fold(text.to_owned(), |text, token| {
        let written = Value::from(token).to_string();
        text.replace(&written, &Value::from(MASK).to_string())
    })
}

/// The tokens at any depth: the reader of the JSON has bounded that.
fn find_tokens<'a>(name: &str, value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(token) if !token.is_empty() && TOKENS.contains(&name) => found.push(token),
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| find_tokens(name, value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| find_tokens("", item, found)),
        _ => {}
    }
}

/// The JSON with a mask at that path; a body that has no such path as it is.
fn without(path: &RecordPath, body: Vec<u8>) -> Vec<u8> {
    let Ok(mut answer) = exact_json(&body) else { return body };
    let mut place = &mut answer;
    for step in path.steps() {
        let next = match step {
            Step::Name(name) => place.get_mut(name.as_str()),
            Step::Index(index) => place.get_mut(index),
        };
        let Some(next) = next else { return body };
        place = next;
    }
    *place = Value::from(MASK);
    answer.to_string().into_bytes()
}

fn head_file(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number:04}.json"))
}

fn body_file(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number:04}.body"))
}

/// Answers may hold what is nobody else's business.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options.options_mut(), 0o600);
    options.open(path)?.write_all(bytes)
}
