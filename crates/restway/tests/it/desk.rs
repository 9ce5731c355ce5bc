//! An api that takes what is sent to it, and answers by a rule of the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longer than anything that a test waits for takes: a test that waits so long is wrong.
const WAIT_MAX: Duration = Duration::from_secs(240);

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Came {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// What a request is answered with.
pub(crate) enum Reply {
    /// A status and a body.
    Say(u16, String),
    /// The same with further header lines, each ended.
    With(u16, &'static str, String),
    /// Nothing before [`Desk::release`], then 200.
    Hold,
    /// Nothing, and the connection ends.
    HangUp,
}

#[derive(Default)]
struct Seen {
    came: Vec<Came>,
    is_released: bool,
    is_over: bool,
}

type Shared = Arc<(Mutex<Seen>, Condvar)>;

/// The server; it ends with the test.
pub(crate) struct Desk {
    address: SocketAddr,
    shared: Shared,
    thread: Option<JoinHandle<()>>,
}

impl Desk {
    /// `rule` gets each request, and how many came before it.
    pub(crate) fn start(rule: impl Fn(&Came, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Shared::default();
        let (known, rule) = (Arc::clone(&shared), Arc::new(rule));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if known.0.lock().expect("what came").is_over {
                    return;
                }
                let (known, rule) = (Arc::clone(&known), Arc::clone(&rule));
                std::thread::spawn(move || serve(&stream, &known, rule.as_ref()));
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What came so far.
    pub(crate) fn came(&self) -> Vec<Came> {
        self.seen().came.clone()
    }

    /// Waits until so many requests came.
    pub(crate) fn wait_for(&self, many: usize) {
        let waited =
            self.shared.1.wait_timeout_while(self.seen(), WAIT_MAX, |seen| seen.came.len() < many);
        assert!(!waited.expect("what came").1.timed_out(), "{many} requests never came");
    }

    /// Answers what is held.
    pub(crate) fn release(&self) {
        self.seen().is_released = true;
        self.shared.1.notify_all();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.0.lock().expect("what came")
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.seen().is_over = true;
        self.release();
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One connection, request after request.
fn serve(
    stream: &TcpStream,
    shared: &Shared,
    rule: &(dyn Fn(&Came, usize) -> Reply + Send + Sync),
) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let came = read(&mut reader)?;
        let before = {
            let mut seen = shared.0.lock().ok()?;
            seen.came.push(came.clone());
            shared.1.notify_all();
            seen.came.len() - 1
        };
        let (status, headers, body) = match rule(&came, before) {
            Reply::Say(status, body) => (status, "", body),
            Reply::With(status, headers, body) => (status, headers, body),
            Reply::HangUp => return None,
            Reply::Hold => {
                let seen = shared.0.lock().ok()?;
                let seen = shared.1.wait_while(seen, |seen| !seen.is_released).ok()?;
                drop(seen);
                (200, "", "{}".to_owned())
            }
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} x\r\n{headers}content-length: {length}\r\n\r\n");
        let mut stream = stream;
        stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Came> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Some(Came { method, path, headers, body })
}
