//! Multipart bodies, byte for byte as Cloudomation documents them.
//!
//! In: the `multipart` input and the folder of its files. Out: the content type and the body. For
//! each part `Content-Type`, `Content-Disposition` and `Content-Length`, in this order; each may
//! be replaced, or left out with `false`. Lines end with CRLF (RFC 2046, section 5.1.1). The
//! preset `form-data` writes what browsers write (RFC 7578) instead: `Content-Disposition` first,
//! a `Content-Type` for files only, and no lengths. No file is read here, only its length.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;

use bytes::Bytes;
use restway_model::definition::{Multipart, Part, PartHeader, Preset};

use crate::error::CallError;
use crate::files;
use crate::upload::{Segment, Upload};

pub(crate) const PLAIN: &str = "text/plain; charset=utf-8";
const FORM_DATA: &str = "multipart/form-data";

/// A part of a form that is composed in memory.
pub(crate) struct FormPart {
    pub(crate) name: String,
    /// The name of the file that it is.
    pub(crate) filename: Option<String>,
    /// Its type; by the ending of the file's name without it, none for a text.
    pub(crate) content_type: Option<String>,
    pub(crate) bytes: Bytes,
}

/// The content type of the whole, and the body.
pub(crate) fn compose(
    multipart: &Multipart,
    folder: Option<&Path>,
) -> Result<(String, Upload), CallError> {
    let boundary = multipart.boundary.clone().unwrap_or_else(fresh_boundary);
    let is_form = multipart.preset == Some(Preset::FormData);
    let kind = match &multipart.content_type {
        Some(own) => own.as_str(),
        None if is_form => FORM_DATA,
        None => "multipart/mixed",
    };
    let mut parts = Vec::new();
    for part in &multipart.parts {
        let (segment, length) = content(part, folder)?;
        let headers = if is_form { form_headers(part) } else { mixed_headers(part, length) };
        parts.push((headers, segment));
    }
    Ok(framed(kind, &boundary, parts))
}

/// The same for a form (RFC 7578).
pub(crate) fn form(parts: Vec<FormPart>) -> (String, Upload) {
    let parts = parts.into_iter().map(|part| {
        let filename = part.filename.as_deref();
        let by_name = || filename.map(|name| type_of(name).to_owned());
        let mut headers = vec![("Content-Disposition", disposition(&part.name, filename))];
        headers.extend(part.content_type.or_else(by_name).map(|kind| ("Content-Type", kind)));
        (headers, Segment::Bytes(part.bytes))
    });
    framed(FORM_DATA, &fresh_boundary(), parts.collect())
}

/// Parts between delimiters (RFC 2046, section 5.1.1).
fn framed(
    kind: &str,
    boundary: &str,
    parts: Vec<(Vec<(&'static str, String)>, Segment)>,
) -> (String, Upload) {
    let mut segments = Vec::new();
    let mut text = String::new();
    for (headers, segment) in parts {
        text.push_str(&format!("--{boundary}\r\n"));
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        segments.push(Segment::Bytes(std::mem::take(&mut text).into()));
        segments.push(segment);
        text.push_str("\r\n");
    }
    text.push_str(&format!("--{boundary}--\r\n"));
    segments.push(Segment::Bytes(text.into()));
    (format!("{kind}; boundary={}", parameter(boundary)), segments.into())
}

/// A part's content and its length.
fn content(part: &Part, folder: Option<&Path>) -> Result<(Segment, u64), CallError> {
    match &part.file {
        Some(file) => {
            let (path, length) = files::readable(folder, file)?;
            Ok((Segment::File { path, length }, length))
        }
        None => {
            let bytes = Bytes::from(part.value.clone().unwrap_or_default());
            let length = bytes.len() as u64;
            Ok((Segment::Bytes(bytes), length))
        }
    }
}

/// The headers of a part as Cloudomation writes them.
fn mixed_headers(part: &Part, length: u64) -> Vec<(&'static str, String)> {
    let all = [
        ("Content-Type", &part.content_type, content_type(part).to_owned()),
        ("Content-Disposition", &part.content_disposition, own_disposition(part)),
        ("Content-Length", &part.content_length, length.to_string()),
    ];
    all.into_iter().filter_map(|(name, own, usual)| Some((name, chosen(own, usual)?))).collect()
}

/// The headers of a part as browsers write them.
fn form_headers(part: &Part) -> Vec<(&'static str, String)> {
    let usual_type = part.file.is_some().then(|| content_type(part).to_owned());
    let own_type = match (&part.content_type, usual_type) {
        (None, None) => None,
        (own, usual) => chosen(own, usual.unwrap_or_default()),
    };
    let own_length =
        part.content_length.as_ref().and_then(|own| chosen(&Some(own.clone()), String::new()));
    let all = [
        ("Content-Disposition", chosen(&part.content_disposition, own_disposition(part))),
        ("Content-Type", own_type),
        ("Content-Length", own_length),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn chosen(own: &Option<PartHeader>, usual: String) -> Option<String> {
    match own {
        None => Some(usual),
        Some(PartHeader::Text(text)) => Some(text.clone()),
        Some(PartHeader::Whole(number)) => Some(number.to_string()),
        Some(PartHeader::Omitted(_)) => None,
    }
}

fn own_disposition(part: &Part) -> String {
    let file = part.file.as_ref().map(|file| file.rsplit('/').next().unwrap_or(file));
    disposition(&part.name, file)
}

fn disposition(name: &str, filename: Option<&str>) -> String {
    let mut text = format!("form-data; name=\"{}\"", quotable(name));
    if let Some(filename) = filename {
        text.push_str(&format!("; filename=\"{}\"", quotable(filename)));
    }
    text
}

/// A text between double quotes, as the HTML standard has it ("multipart/form-data", 4.10.22.7).
fn quotable(text: &str) -> String {
    text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// A boundary with characters of no token stands in quotes (RFC 2045, section 5.1).
fn parameter(boundary: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "'+_-.".contains(c);
    if boundary.chars().all(is_token) { boundary.to_owned() } else { format!("\"{boundary}\"") }
}

fn content_type(part: &Part) -> &'static str {
    part.file.as_deref().map_or(PLAIN, type_of)
}

/// The type of a file by its ending; of any other, bytes.
pub(crate) fn type_of(file: &str) -> &'static str {
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    match ending.as_str() {
        "txt" | "log" => PLAIN,
        "csv" => "text/csv; charset=utf-8",
        "html" | "htm" => "text/html; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "json" => "application/json",
        "ndjson" => "application/x-ndjson",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "parquet" => "application/vnd.apache.parquet",
        _ => "application/octet-stream",
    }
}

/// 32 lower-case hexadecimal digits. The standard library gives every hasher keys of its own,
/// which is chance enough for a text that must only not occur in the parts.
fn fresh_boundary() -> String {
    let bits = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", bits(), bits())
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use serde_json::{Value, json};

    use super::*;

    async fn body(multipart: Value, report: &[u8]) -> (String, Vec<u8>, u64) {
        let folder = tempfile::tempdir().expect("a folder");
        fs_err::write(folder.path().join("report.txt"), report).expect("a file");
        let multipart: Multipart = serde_json::from_value(multipart).expect("a multipart");
        let (kind, upload) = compose(&multipart, Some(folder.path())).expect("a body");
        let chunks: Vec<Bytes> = upload.chunks().try_collect().await.expect("it is read");
        (kind, chunks.concat(), upload.length())
    }

    #[tokio::test]
    async fn the_documented_full_example_has_848_bytes() {
        let report = "x".repeat(608);
        let (kind, body, length) = body(
            json!({
                "content-type": "application/my-custom-content-type",
                "boundary": "my-custom-boundary",
                "parts": [
                    {"name": "string-field", "value": "<pre>spam & eggs</pre>",
                     "content-type": "text/html", "content-disposition": false,
                     "content-length": false},
                    {"name": "file", "file": "report.txt",
                     "content-disposition": "form-data; filename=\"report.txt\""},
                ],
            }),
            report.as_bytes(),
        )
        .await;
        assert_eq!(kind, "application/my-custom-content-type; boundary=my-custom-boundary");
        let expected = format!(
            "--my-custom-boundary\r\nContent-Type: text/html\r\n\r\n<pre>spam & eggs</pre>\r\n\
             --my-custom-boundary\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Disposition: form-data; filename=\"report.txt\"\r\nContent-Length: 608\r\n\r\n\
             {report}\r\n--my-custom-boundary--\r\n"
        );
        assert_eq!(String::from_utf8_lossy(&body), expected);
        assert_eq!((body.len(), length), (848, 848));
    }

    #[tokio::test]
    async fn the_documented_basic_example_is_mixed_with_a_fresh_boundary() {
        let parts = json!({"parts": [
            {"name": "string-field", "value": "spam & eggs"},
            {"name": "file", "file": "report.txt"},
        ]});
        let (kind, first, length) = body(parts.clone(), &[b'r'; 608]).await;
        let boundary = kind.strip_prefix("multipart/mixed; boundary=").expect(&kind);
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        assert!(boundary.len() == 32 && boundary.chars().all(is_hex), "{boundary}");
        let text = String::from_utf8_lossy(&first).into_owned();
        let head = format!(
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Disposition: form-data; name=\"string-field\"\r\nContent-Length: 11\r\n\r\n\
             spam & eggs\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"report.txt\"\r\n\
             Content-Length: 608\r\n\r\nrrr"
        );
        assert!(text.starts_with(&head), "{text}");
        assert_eq!((first.len(), length), (981, 981));
        let (again, _, _) = body(parts, b"").await;
        assert_ne!(kind, again);
    }

    #[tokio::test]
    async fn the_preset_writes_what_browsers_write() {
        let (kind, body, _) = body(
            json!({"preset": "form-data", "boundary": "b", "parts": [
                {"name": "a\"b\r\n", "value": "1"},
                {"name": "f", "file": "report.txt"},
            ]}),
            b"r",
        )
        .await;
        assert_eq!(kind, "multipart/form-data; boundary=b");
        assert_eq!(
            String::from_utf8_lossy(&body),
            "--b\r\nContent-Disposition: form-data; name=\"a%22b%0D%0A\"\r\n\r\n1\r\n--b\r\n\
             Content-Disposition: form-data; name=\"f\"; filename=\"report.txt\"\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\nr\r\n--b--\r\n"
        );
    }

    #[test]
    fn a_file_outside_of_the_workspace_is_no_part() {
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["../x", "/etc/passwd", "missing.txt", ".restway/key", ""] {
            let parts = json!({"parts": [{"name": "f", "file": file}]});
            let multipart: Multipart = serde_json::from_value(parts).expect("a multipart");
            assert!(compose(&multipart, Some(folder.path())).is_err(), "{file}");
            assert!(compose(&multipart, None).is_err(), "{file}");
        }
    }
}
