//! Tokens that rotate, between processes of one workspace.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use crate::support::{Workspace, said};

/// What the server was asked for: how often a token was renewed, and how often with a token that
/// had been used before.
#[derive(Default)]
struct Asked {
    renewed: usize,
    refused: usize,
}

/// A server whose refresh tokens are good once, and whose access tokens end at once.
fn rotating() -> (u16, Arc<Mutex<Asked>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(Mutex::new(Asked::default()));
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || answer(socket, &seen));
        }
    });
    (port, asked)
}

fn answer(mut socket: TcpStream, asked: &Mutex<Asked>) -> Option<()> {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    // A token request ends with the last field of its form.
    while !request.contains("\r\n\r\n")
        || (request.starts_with("POST") && !request.contains("refresh_token=refresh-"))
    {
        let read = socket.read(&mut buffer).ok().filter(|read| *read > 0)?;
        request.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    let (status, body) = if request.starts_with("POST") {
        let mut asked = asked.lock().ok()?;
        let last = format!("refresh_token=refresh-{}", asked.renewed);
        let is_last = request.split(['&', '\n']).any(|field| field.trim() == last);
        if is_last {
            asked.renewed += 1;
            let number = asked.renewed;
            let tokens = format!(
                "{{\"access_token\":\"access-{number}\",\"token_type\":\"bearer\",\
                 \"expires_in\":1,\"refresh_token\":\"refresh-{number}\"}}"
            );
            (200, tokens)
        } else {
            asked.refused += 1;
            (400, "{\"error\":\"invalid_grant\"}".to_owned())
        }
    } else {
        (if request.contains("Bearer access-") { 200 } else { 401 }, "[]".to_owned())
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    socket.write_all(format!("{head}{body}").as_bytes()).ok()
}

#[test]
fn two_processes_never_use_one_refresh_token_twice() {
    const ROUNDS: usize = 4;
    let (port, asked) = rotating();
    let workspace = Workspace::new();
    let text = format!(
        "api: r\nbase_url: http://127.0.0.1:{port}\nauth:\n  type: oauth2\n  grant: refresh_token\n  \
         client_id: me\n  token_url: /token\n  refresh_token: ${{env.FIRST}}\n"
    );
    workspace.write("apis/r.yaml", &text);
    for round in 0..ROUNDS {
        let started: Vec<_> = (0..2)
            .map(|_| {
                let mut command = workspace.command(&["call", "--api", "r", "--url", "/x"]);
                command.env("FIRST", "refresh-0").stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().expect("the binary runs")
            })
            .collect();
        for child in started {
            let said = said(child.wait_with_output().expect("it ends"));
            assert_eq!(said.code, 0, "round {round}: {}{}", said.out, said.err);
        }
    }
    let asked = asked.lock().expect("what was asked");
    assert_eq!(asked.refused, 0);
    assert!((ROUNDS..=2 * ROUNDS).contains(&asked.renewed), "{}", asked.renewed);
}
