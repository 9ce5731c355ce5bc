//! The browser's way back: a port of loopback that takes one request (RFC 8252, section 7.3).
//!
//! In: connections. Out: the code, or the refusal that the server sent instead. Whatever else
//! comes (a browser's idle connections, requests for icons, answers with another `state`) is
//! answered and passed over, so that nobody on this machine can end the login by guessing. What
//! never happens here: more read than a request line with its headers, or anything of it shown.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use restway_model::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::Connector;
use crate::error::{Excerpt, Failure};
use crate::excerpt::excerpt;

pub(super) const PATH: &str = "/callback";
const HEAD_BYTES_MAX: usize = 16 << 10;
const CONNECTIONS_MAX: usize = 32;
/// How long one connection may take to say what it wants.
const CONNECTION_MAX: Duration = Duration::from_secs(30);

const GOT: &str = "Restway has the answer. You can close this page and go back to the terminal.\n";
const REFUSED: &str = "The login was refused. The terminal says why; you can close this page.\n";
const NOT_OURS: &str = "This answer does not belong to the login that waits here.\n";
const ELSEWHERE: &str = "There is nothing here.\n";

/// What the answer must say.
pub(super) struct Expected {
    pub(super) state: Secret,
    /// Who must have sent it (RFC 9207, section 2.4).
    pub(super) issuer: Option<String>,
}

/// What a request came to.
enum Verdict {
    Code(Secret),
    Refused(Failure),
    NotOurs,
    Elsewhere,
}

/// Waits for the code.
pub(super) async fn received(
    listener: &TcpListener,
    expected: &Expected,
    connector: &Connector,
) -> Result<Secret, Failure> {
    let mut open = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if open.len() < CONNECTIONS_MAX => {
                if let Ok((socket, _)) = accepted {
                    open.push(served(socket, expected, connector));
                }
            }
            Some(verdict) = open.next() => match verdict {
                Some(Verdict::Code(code)) => return Ok(code),
                Some(Verdict::Refused(failure)) => return Err(failure),
                _ => {}
            },
        }
    }
}

async fn served(
    mut socket: TcpStream,
    expected: &Expected,
    connector: &Connector,
) -> Option<Verdict> {
    let target = tokio::select! {
        target = target(&mut socket) => target?,
        () = connector.clock().sleep(CONNECTION_MAX) => return None,
    };
    let verdict = judged(&target, expected, connector);
    let (status, text) = match &verdict {
        Verdict::Code(_) => ("200 OK", GOT),
        Verdict::Refused(_) => ("200 OK", REFUSED),
        Verdict::NotOurs => ("400 Bad Request", NOT_OURS),
        Verdict::Elsewhere => ("404 Not Found", ELSEWHERE),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
         Connection: close\r\n\r\n{text}",
        text.len()
    );
    // A browser that is gone has sent what was needed.
    let _ = socket.write_all(answer.as_bytes()).await;
    let _ = socket.shutdown().await;
    Some(verdict)
}

/// The target of a GET request; None when it is none.
async fn target(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut chunk = [0; 4096];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let read = socket.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
        head.extend_from_slice(&chunk[..read]);
        if head.len() > HEAD_BYTES_MAX {
            return None;
        }
    }
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let mut words = line.split(' ');
    let is_get = words.next() == Some("GET");
    words.next().filter(|_| is_get).map(str::to_owned)
}

fn judged(target: &str, expected: &Expected, connector: &Connector) -> Verdict {
    let url = Url::parse("http://127.0.0.1").and_then(|base| base.join(target));
    let Some(url) = url.ok().filter(|url| url.path() == PATH) else { return Verdict::Elsewhere };
    let get = |wanted: &str| {
        let found = url.query_pairs().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
    };
    if get("state").as_deref() != Some(expected.state.expose()) {
        return Verdict::NotOurs;
    }
    let issuer = get("iss");
    if expected.issuer.is_some() && issuer != expected.issuer {
        let from = issuer.as_deref().unwrap_or("nobody by name");
        let Excerpt(from) = excerpt(from.as_bytes(), connector.redactor());
        let problem = format!("the answer is from {from} and not from `issuer`");
        return Verdict::Refused(Failure::token_refused(problem));
    }
    match (get("code"), get("error")) {
        (Some(code), None) => Verdict::Code(Secret::new(code)),
        (_, error) => {
            let error = error.unwrap_or_else(|| "the answer has no code".into());
            let text = match get("error_description") {
                Some(description) => format!("{error}: {description}"),
                None => error.clone(),
            };
            let Excerpt(problem) = excerpt(text.as_bytes(), connector.redactor());
            Verdict::Refused(Failure::TokenRefused { problem, error: Some(error) })
        }
    }
}
