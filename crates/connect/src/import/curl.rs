//! A curl command line.
//!
//! In: the line as it is pasted from a browser or from documentation. Out: the request that it
//! sends, as curl's manual describes its options. Options that change nothing about the request
//! are passed over; one that is not known, or that cannot be said in a definition, is named in a
//! comment or is an error, never guessed at. No file is read.

use super::sent::{Body, Login, Part, Sent};
use super::shell;

/// Options without a value that change nothing which a definition says.
const QUIET: [&str; 34] = [
    "-s",
    "--silent",
    "-S",
    "--show-error",
    "-v",
    "--verbose",
    "-i",
    "--include",
    "-L",
    "--location",
    "-f",
    "--fail",
    "--fail-with-body",
    "--compressed",
    "-g",
    "--globoff",
    "-N",
    "--no-buffer",
    "-#",
    "--progress-bar",
    "--http1.1",
    "--http2",
    "--http3",
    "--tlsv1.2",
    "--tlsv1.3",
    "-4",
    "--ipv4",
    "-6",
    "--ipv6",
    "-O",
    "--remote-name",
    "-J",
    "--basic",
    "-q",
];
/// The same with a value.
const QUIET_WITH_VALUE: [&str; 26] = [
    "-o",
    "--output",
    "-m",
    "--max-time",
    "--connect-timeout",
    "--retry",
    "--retry-delay",
    "--retry-max-time",
    "-w",
    "--write-out",
    "-A",
    "--user-agent",
    "-e",
    "--referer",
    "--resolve",
    "--max-redirs",
    "-D",
    "--dump-header",
    "-c",
    "--cookie-jar",
    "--interface",
    "--stderr",
    "--limit-rate",
    "--trace",
    "--trace-ascii",
    "--connect-to",
];
/// What a definition says elsewhere.
const ELSEWHERE: [(&str, bool, &str); 11] = [
    ("-k", false, "the certificate is checked here: write the authority as `tls: { ca }`"),
    ("--insecure", false, "the certificate is checked here: write the authority as `tls: { ca }`"),
    ("--cacert", true, "write the authority as `tls: { ca }`"),
    ("--cert", true, "write `tls: { client_cert, client_key }`"),
    ("-E", true, "write `tls: { client_cert, client_key }`"),
    ("--key", true, "write `tls: { client_cert, client_key }`"),
    ("--pass", true, "write `tls: { client_cert, client_key }`"),
    ("--cert-type", true, "write `tls: { client_cert, client_key_password }` for PKCS#12"),
    ("-x", true, "a proxy is no part of an api file"),
    ("--proxy", true, "a proxy is no part of an api file"),
    ("--noproxy", true, "a proxy is no part of an api file"),
];
/// Short options that take a value, which may be glued to them.
const SHORT_WITH_VALUE: &str = "XHduAbeFomwDcExTKYyzrtQPC";

/// The request of a line.
pub(super) fn requests(line: &str) -> Result<Vec<Sent>, String> {
    let words = shell::words(line)?;
    let mut words = words.into_iter();
    let is_curl = |word: &str| word.rsplit(['/', '\\']).next() == Some("curl");
    if words.next().is_none_or(|first| first != "$" && !is_curl(&first)) {
        return Err("it does not begin with `curl`".into());
    }
    let mut reading = Reading::default();
    let mut options_end = false;
    while let Some(word) = words.next() {
        if word == "curl" && reading.sent.url.is_empty() {
            continue;
        }
        if options_end || !word.starts_with('-') || word == "-" {
            reading.url(word)?;
        } else if word == "--" {
            options_end = true;
        } else {
            reading.option(&word, &mut words)?;
        }
    }
    reading.finish().map(|sent| vec![sent])
}

#[derive(Default)]
struct Reading {
    sent: Sent,
    method: Option<String>,
    data: Vec<String>,
    parts: Vec<Part>,
    is_file: bool,
    query: Vec<String>,
    is_get: bool,
    is_json: bool,
    is_digest: bool,
    has_user: bool,
}

impl Reading {
    fn url(&mut self, url: String) -> Result<(), String> {
        if !self.sent.url.is_empty() {
            return Err("it has more than one URL: import them one by one".into());
        }
        self.sent.url = url;
        Ok(())
    }

    /// Reads one option; of short ones glued together each.
    fn option(
        &mut self,
        word: &str,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        if word.starts_with("--") {
            return self.one(word, None, words);
        }
        let letters: Vec<char> = word.chars().skip(1).collect();
        for (at, letter) in letters.iter().enumerate() {
            let flag = format!("-{letter}");
            if SHORT_WITH_VALUE.contains(*letter) {
                let glued: String = letters[at + 1..].iter().collect();
                return self.one(&flag, Some(glued).filter(|glued| !glued.is_empty()), words);
            }
            self.one(&flag, None, words)?;
        }
        Ok(())
    }

    fn one(
        &mut self,
        flag: &str,
        glued: Option<String>,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        let mut value = || {
            let value = glued.clone().or_else(|| words.next());
            value.ok_or_else(|| format!("`{flag}` has no value"))
        };
        match flag {
            "-X" | "--request" => self.method = Some(value()?.to_uppercase()),
            "-H" | "--header" => self.header(&value()?),
            "-d" | "--data" | "--data-raw" | "--data-binary" | "--data-ascii" => {
                let data = value()?;
                if flag == "--data-binary" && data.starts_with('@') {
                    self.is_file = true;
                    return Ok(());
                }
                if flag != "--data-raw" && data.starts_with('@') {
                    return Err(format!("`{flag} {data}` reads a file: paste its content instead"));
                }
                self.data.push(data);
            }
            "--json" => {
                self.data.push(value()?);
                self.is_json = true;
            }
            "--data-urlencode" => self.data.push(encoded(&value()?)),
            "--url-query" => self.query.push(encoded(&value()?)),
            "-F" | "--form" | "--form-string" => {
                let pair = value()?;
                self.parts.push(part(&pair, flag == "--form-string"));
            }
            "-u" | "--user" => {
                self.sent.hidden.extend(value()?.split_once(':').map(|(_, word)| word.to_owned()));
                self.has_user = true;
            }
            "--digest" => self.is_digest = true,
            "--oauth2-bearer" => {
                self.sent.hidden.push(value()?);
                self.sent.login = Some(Login::Bearer { scheme: "Bearer".into() });
            }
            "-b" | "--cookie" => self.sent.add_cookies(&value()?),
            "-G" | "--get" => self.is_get = true,
            "-I" | "--head" => self.method = Some("HEAD".into()),
            "--url" => {
                let url = value()?;
                self.url(url)?;
            }
            flag if QUIET.contains(&flag) => {}
            flag if QUIET_WITH_VALUE.contains(&flag) => drop(value()?),
            flag => match ELSEWHERE.iter().find(|(name, ..)| *name == flag) {
                Some((_, takes_value, note)) => {
                    if *takes_value {
                        value()?;
                    }
                    self.sent.notes.push(format!("`{flag}` is left out: {note}."));
                }
                None => return Err(format!("the option `{flag}` is not known here: leave it out")),
            },
        }
        Ok(())
    }

    fn header(&mut self, header: &str) {
        let Some((name, value)) = header.split_once(':') else { return };
        let (name, value) = (name.trim(), value.trim());
        if name.eq_ignore_ascii_case("cookie") {
            self.sent.add_cookies(value);
        } else if !value.is_empty() {
            self.sent.headers.push((name.to_owned(), value.to_owned()));
        }
    }

    /// What curl takes from a URL for `-u`, unless that is given (RFC 3986, section 3.2.1).
    fn take_login_of_url(&mut self) {
        let Some((scheme, rest)) = self.sent.url.split_once("://") else { return };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let Some((login, host)) = authority.rsplit_once('@') else { return };
        if let Some((_, password)) = login.split_once(':') {
            let pair = format!("p={}", password.replace('+', "%2B").replace('&', "%26"));
            let plain = url::form_urlencoded::parse(pair.as_bytes()).next();
            self.sent.hidden.extend(plain.map(|(_, plain)| plain.into_owned()));
            self.sent.hidden.push(password.to_owned());
        }
        self.has_user = true;
        self.sent.url = format!("{scheme}://{host}{path}");
    }

    fn finish(mut self) -> Result<Sent, String> {
        if self.sent.url.is_empty() {
            return Err("it has no URL".into());
        }
        if !self.sent.url.contains("://") {
            self.sent.url = format!("http://{}", self.sent.url);
        }
        self.take_login_of_url();
        if self.is_get {
            self.query.append(&mut self.data);
        }
        for pair in &self.query {
            let mark = if self.sent.url.contains('?') { '&' } else { '?' };
            self.sent.url = format!("{}{mark}{pair}", self.sent.url);
        }
        if self.has_user {
            self.sent.login = Some(if self.is_digest { Login::Digest } else { Login::Basic });
        }
        self.sent.body = if !self.parts.is_empty() {
            Body::Multipart(self.parts)
        } else if self.is_file {
            Body::File
        } else if self.data.is_empty() {
            Body::None
        } else if self.is_json {
            Body::read("application/json", &self.data.concat())
        } else {
            let kind = self.sent.header("content-type").unwrap_or_default().to_owned();
            let kind = if kind.is_empty() { Body::FORM.to_owned() } else { kind };
            Body::read(&kind, &self.data.join("&"))
        };
        let usual = if matches!(self.sent.body, Body::None) { "GET" } else { "POST" };
        self.sent.method = self.method.unwrap_or_else(|| usual.into());
        Ok(self.sent)
    }
}

/// `name=value`, `name=@file` or `name=<file`, with `;type=` behind it, as `--form` takes it.
fn part(pair: &str, is_literal: bool) -> Part {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let name = name.to_owned();
    if is_literal {
        return Part { name, value: Some(value.to_owned()), content_type: None };
    }
    let (value, settings) = match value.split_once(';') {
        Some((value, settings)) if settings.contains('=') => (value, settings),
        _ => (value, ""),
    };
    let content_type = settings.split(';').find_map(|one| one.trim().strip_prefix("type="));
    let is_file = value.starts_with(['@', '<']);
    let value = (!is_file).then(|| value.trim_matches('"').to_owned());
    Part { name, value, content_type: content_type.map(str::to_owned) }
}

/// `name=value` with the value encoded, as `--data-urlencode` takes it.
fn encoded(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            format!("{name}={}", crate::plan::encoded(value))
        }
        _ => crate::plan::encoded(pair.trim_start_matches('=')).into_owned(),
    }
}
