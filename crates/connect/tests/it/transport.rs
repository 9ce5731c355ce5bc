//! Connections that misbehave: silent, cut, stale, endless, and those of HTTP/2 that are given up
//! in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use h2::Reason;
use restway_connect::Request;
use restway_model::Limits;
use restway_model::definition::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::{Rig, api, canned, code, get, json_answer};
use crate::tls::{acceptor, certificates, text};

/// A server on a free port that does this with each connection, which it numbers from 0.
async fn each<F, A>(scheme: &str, answer: F) -> (String, Arc<AtomicUsize>)
where
    F: Fn(TcpStream, usize) -> A + Send + 'static,
    A: Future<Output = Option<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer(socket, counter.fetch_add(1, Ordering::SeqCst)));
        }
    });
    (format!("{scheme}://localhost:{port}/"), count)
}

async fn head(socket: &mut TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    Some(())
}

const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]";

#[tokio::test]
async fn a_host_that_takes_no_connection_is_a_timeout() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = socket.listen(1).expect("it listens");
    let address = listener.local_addr().expect("an address");
    // The queue takes a few connections; those after them get no answer, as behind a firewall.
    let waiting: Vec<_> = (0..8).map(|_| tokio::spawn(TcpStream::connect(address))).collect();
    let mut open = Vec::new();
    for task in waiting {
        let soon = tokio::time::timeout(Duration::from_millis(50), task).await;
        open.extend(soon.ok().map(|joined| joined.expect("it ran")));
    }
    let limits = Limits { connect_timeout: Duration::from_millis(100), ..Limits::default() };
    let rig = Rig::with(limits, &[], true);
    let url = format!("http://{address}/");
    let parts = json!({"retry": {"deadline": "0s"}});
    let error = rig.connector.call(&api(&url, parts), get(&url)).await.expect_err("no answer");
    assert_eq!(code(&error), "call.timeout", "{error}");
    assert!(error.to_string().contains("no connection within 100ms"), "{error}");
}

#[tokio::test]
async fn a_body_that_falls_silent_is_a_timeout() {
    let (url, _) = each("http", |mut socket, _| async move {
        head(&mut socket).await?;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[").await.ok()?;
        std::future::pending().await
    })
    .await;
    let limits = Limits { read_timeout: Duration::from_millis(50), ..Limits::default() };
    let rig = Rig::with(limits, &[], true);
    let parts = json!({"retry": {"deadline": "0s"}});
    let error = rig.connector.call(&api(&url, parts), get(&url)).await.expect_err("silence");
    assert_eq!(code(&error), "call.timeout", "{error}");
    assert!(error.to_string().contains("no further byte"), "{error}");
}

#[tokio::test]
async fn the_timeout_of_a_definition_is_for_the_whole_answer() {
    let (url, _) = each("http", |mut socket, _| async move {
        head(&mut socket).await?;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[").await.ok()?;
        std::future::pending().await
    })
    .await;
    let rig = Rig::with(Limits::default(), &[], true);
    let parts = json!({"retry": {"deadline": "0s"}, "limits": {"timeout": "300ms"}});
    let error = rig.connector.call(&api(&url, parts), get(&url)).await.expect_err("no end");
    assert!(error.to_string().contains("the answer has not ended within 300ms"), "{error}");
}

#[tokio::test]
async fn a_write_is_not_done_by_a_redirect_that_makes_it_a_get() {
    let (url, count) = each("http", |mut socket, _| async move {
        head(&mut socket).await?;
        let answer = b"HTTP/1.1 301 Moved\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n";
        socket.write_all(answer).await.ok()
    })
    .await;
    let mut request = get(&url);
    request.method = Method::Post;
    let error = Rig::new().connector.call(&api(&url, json!({})), request).await;
    let error = error.expect_err("the POST is not done");
    assert_eq!((code(&error), count.load(Ordering::SeqCst)), ("call.redirect", 1), "{error}");
}

#[tokio::test]
async fn a_head_without_end_is_refused_and_not_tried_again() {
    let many: String = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(1 << 20));
    for headers in [many, long] {
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}content-length: 2\r\n\r\n[]");
        let url = canned(answer).await;
        let error = Rig::new().connector.call(&api(&url, json!({})), get(&url)).await;
        let error = error.expect_err("a head without end");
        assert_eq!(code(&error), "call.body_too_large", "{error}");
        assert!(error.to_string().contains("the head of the answer"), "{error}");
    }
}

#[tokio::test]
async fn a_body_cut_by_its_length_or_its_chunks_is_no_body() {
    let parts = json!({"retry": {"deadline": "0s"}});
    for rest in [
        "content-length: 9\r\n\r\n[1,2]",
        "transfer-encoding: chunked\r\n\r\n5\r\n[1,2]\r\n",
        "transfer-encoding: chunked\r\n\r\n9\r\n[1,2]",
        "transfer-encoding: chunked\r\n\r\nfive\r\n[1,2]\r\n0\r\n\r\n",
    ] {
        let url = canned(format!("HTTP/1.1 200 OK\r\n{rest}")).await;
        let error = Rig::new().connector.call(&api(&url, parts.clone()), get(&url)).await;
        assert_eq!(code(&error.expect_err(rest)), "call.interrupted", "{rest}");
    }
}

#[tokio::test]
async fn a_stale_connection_is_passed_over_for_what_may_be_sent_again() {
    for (method, is_answered) in [(Method::Get, true), (Method::Post, false)] {
        let (url, connections) = each("http", |mut socket, number| async move {
            head(&mut socket).await?;
            socket.write_all(WHOLE).await.ok()?;
            if number == 0 {
                // The second request on the first connection is read and never answered.
                return head(&mut socket).await;
            }
            head(&mut socket).await?;
            socket.write_all(WHOLE).await.ok()
        })
        .await;
        let rig = Rig::new();
        let file = api(&url, json!({}));
        let request = |method| Request { method, repeatable: method == Method::Get, ..get(&url) };
        rig.connector.call(&file, request(method)).await.expect("the first");
        let second = rig.connector.call(&file, request(method)).await;
        assert_eq!(second.is_ok(), is_answered, "{method:?}: {second:?}");
        assert_eq!(connections.load(Ordering::SeqCst), if is_answered { 2 } else { 1 });
    }
}

#[tokio::test]
async fn answers_without_bodies_and_heads_before_heads_are_understood() {
    let table = [
        (Method::Get, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", "200 OK", "[]"),
        (Method::Get, "HTTP/1.1 100 Continue\r\n\r\n", "200 OK", "[]"),
        (Method::Get, "", "204 No Content", ""),
        (Method::Head, "", "200 OK", ""),
    ];
    for (method, before, status, body) in table {
        // To HEAD comes the length of what GET would bring, and a 204 with a body has none.
        let rest = if status.starts_with("204") { "stray" } else { "[]" };
        let length = rest.len();
        let url = canned(format!(
            "{before}HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{}",
            if method == Method::Head { "" } else { rest }
        ))
        .await;
        let request = Request { method, ..get(&url) };
        let answer = Rig::new().connector.call(&api(&url, json!({})), request).await;
        let answer = answer.unwrap_or_else(|error| panic!("{status}: {error}"));
        assert_eq!(
            (answer.status, &answer.body[..]),
            (status[..3].parse().expect("a status"), body.as_bytes())
        );
    }
}

#[tokio::test]
async fn what_http_2_gives_up_is_sent_again_on_another_connection() {
    let folder = certificates();
    for (reason, is_whole) in
        [(Reason::REFUSED_STREAM, false), (Reason::INTERNAL_ERROR, true), (Reason::NO_ERROR, true)]
    {
        let acceptor = acceptor(folder.path(), "srv", None, &[b"h2"]);
        let (url, connections) = each("https", move |socket, number| {
            let acceptor = acceptor.clone();
            async move {
                let stream = acceptor.accept(socket).await.ok()?;
                let mut connection = h2::server::handshake(stream).await.ok()?;
                let mut asked = 0;
                while let Some(request) = connection.accept().await {
                    let (_, mut respond) = request.ok()?;
                    asked += 1;
                    if number == 0 && asked == 1 && is_whole {
                        connection.abrupt_shutdown(reason);
                        continue;
                    }
                    if number == 0 && asked == 1 {
                        respond.send_reset(reason);
                        continue;
                    }
                    let head = http::Response::builder().status(200).body(()).expect("a head");
                    let mut body = respond.send_response(head, false).ok()?;
                    body.send_data("[2]".into(), true).ok()?;
                }
                Some(())
            }
        })
        .await;
        let rig = Rig::new();
        rig.secret("ca", text(folder.path(), "ca.crt"));
        let file = api(&url, json!({"tls": {"ca": "${secret.ca}"}}));
        let answer = rig.connector.call(&file, get(&url)).await;
        let answer = answer.unwrap_or_else(|error| panic!("{reason:?}: {error}"));
        assert_eq!(&answer.body[..], b"[2]", "{reason:?}");
        let expected = if is_whole { 2 } else { 1 };
        assert_eq!(connections.load(Ordering::SeqCst), expected, "{reason:?}");
    }
}

/// Ends a connection with a reset: what was not read is thrown away.
fn reset(socket: TcpStream) {
    socket.set_zero_linger().expect("it can be reset");
    drop(socket);
}

#[tokio::test]
async fn a_connection_that_is_reset_is_opened_again() {
    let folder = certificates();
    let tls = acceptor(folder.path(), "srv", None, &[]);
    for scheme in ["http", "https"] {
        let tls = tls.clone();
        let (url, count) = each(scheme, move |mut socket, number| {
            let tls = tls.clone();
            async move {
                match number {
                    // At once, before a byte.
                    0 => reset(socket),
                    // After the first bytes of the request, or of the handshake.
                    1 => {
                        socket.read_u8().await.ok()?;
                        reset(socket);
                    }
                    _ if scheme == "http" => {
                        head(&mut socket).await?;
                        socket.write_all(WHOLE).await.ok()?;
                    }
                    _ => {
                        let mut stream = tls.accept(socket).await.ok()?;
                        let _ = stream.read(&mut [0; 4096]).await.ok()?;
                        stream.write_all(WHOLE).await.ok()?;
                        stream.shutdown().await.ok()?;
                    }
                }
                Some(())
            }
        })
        .await;
        let rig = Rig::in_folder(folder.path());
        let file = match scheme {
            "https" => api(&url, json!({"tls": {"ca": "ca.crt"}})),
            _ => api(&url, json!({})),
        };
        let answer = rig.connector.call(&file, get(&url)).await.expect(scheme);
        assert_eq!(&answer.body[..], b"[]");
        assert!(count.load(Ordering::SeqCst) >= 3, "{scheme}");
        let errors: Vec<_> = answer.attempts.iter().filter_map(|one| one.error.clone()).collect();
        assert!(!errors.is_empty(), "{scheme}");
    }
    // A write may have been done, so it is sent once; before a connection is open, it was not.
    for (at, expected) in [("handshake", "call.tls"), ("request", "call.interrupted")] {
        let scheme = if at == "handshake" { "https" } else { "http" };
        let (url, _) = each(scheme, |mut socket, _| async move {
            socket.read_u8().await.ok()?;
            reset(socket);
            Some(())
        })
        .await;
        let file = api(&url, json!({"retry": {"deadline": "0s"}}));
        let error = Rig::new().connector.call(&file, get(&url)).await.expect_err(at);
        assert!(
            [expected, "call.interrupted", "call.connect"].contains(&code(&error)),
            "{at}: {error}"
        );
        let request = Request { method: Method::Post, repeatable: false, ..get(&url) };
        let error = Rig::new().connector.call(&api(&url, json!({})), request).await.expect_err(at);
        assert!(error.to_string().contains("reset"), "{at}: {error}");
    }
}

#[tokio::test]
async fn what_is_gone_is_not_asked_again_and_may_be_skipped() {
    let gone = "HTTP/1.1 410 Gone\r\ncontent-length: 4\r\nconnection: close\r\n\r\ngone";
    let (url, count) = each("http", move |mut socket, _| async move {
        head(&mut socket).await?;
        socket.write_all(gone.as_bytes()).await.ok()
    })
    .await;
    let resources = json!({"r": "/x", "skipped": {"path": "/x", "on_status": {"410": "skip"}}});
    let file = api(&url, json!({"resources": resources}));
    let rig = Rig::new();
    let error = rig.walk(&file, "r").await.expect_err("it is gone");
    assert_eq!(code(&error), "call.status", "{error}");
    assert!(error.to_string().contains("status 410"), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let walked = rig.walk(&file, "skipped").await.expect("it is skipped");
    assert!(walked.records.is_empty());
}

#[tokio::test]
async fn a_slow_or_limited_api_does_not_hold_another() {
    let (slow, _) = each("http", |mut socket, _| async move {
        head(&mut socket).await?;
        std::future::pending::<()>().await;
        Some(())
    })
    .await;
    let limited = "HTTP/1.1 429 Slow\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n";
    let (limited, _) = each("http", move |mut socket, _| async move {
        head(&mut socket).await?;
        socket.write_all(limited.as_bytes()).await.ok()?;
        std::future::pending::<()>().await;
        Some(())
    })
    .await;
    let well = canned(json_answer("[1]")).await;
    let rig = Rig::new();
    let file = |name: &str, url: &str| {
        api(url, json!({"api": name, "limits": {"concurrency": 1, "rate": ["1000/s"]}}))
    };
    let (slow_file, limited_file) = (file("slow", &slow), file("limited", &limited));
    let well_file = file("well", &well);
    let well_calls = async {
        for _ in 0..20 {
            let answer = rig.connector.call(&well_file, get(&well)).await.expect("an answer");
            assert_eq!(&answer.body[..], b"[1]");
        }
    };
    // Each of the others has as many calls as it may have, and as many that wait for a place.
    let others = async {
        let slow_calls = (0..4).map(|_| rig.connector.call(&slow_file, get(&slow)));
        let limited_calls = (0..4).map(|_| rig.connector.call(&limited_file, get(&limited)));
        tokio::join!(
            futures::future::join_all(slow_calls),
            futures::future::join_all(limited_calls)
        )
    };
    tokio::select! {
        biased;
        _ = others => panic!("nothing of the others ends"),
        () = well_calls => {}
    }
}

#[tokio::test]
async fn an_answer_has_an_end_also_where_no_definition_says_when() {
    let (url, count) = each("http", |mut socket, _| async move {
        head(&mut socket).await?;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[1").await.ok()?;
        // The connection stays open, and nothing more comes.
        std::future::pending().await
    })
    .await;
    let limits = Limits { page_timeout: Duration::from_millis(300), ..Limits::default() };
    let rig = Rig::with(limits, &[], true);
    let file = api(&url, json!({"retry": {"deadline": "0s"}}));
    let error = rig.connector.call(&file, get(&url)).await.expect_err("it has no end");
    assert_eq!(code(&error), "call.timeout", "{error}");
    assert!(error.to_string().contains("the answer has not ended within 300ms"), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}
