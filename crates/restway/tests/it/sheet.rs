//! An api whose answers each test writes itself.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::support::Workspace;

/// An api with an answer for each path, that changes between syncs.
pub(crate) struct Sheet {
    address: SocketAddr,
    bodies: Bodies,
    thread: Option<JoinHandle<()>>,
}

/// Answers by path; none when the test is over.
type Bodies = Arc<Mutex<Option<BTreeMap<String, String>>>>;

impl Sheet {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let bodies: Bodies = Arc::new(Mutex::new(Some(BTreeMap::new())));
        let shown = bodies.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let bodies = shown.lock().expect("bodies").clone();
                let (Some(bodies), Ok(stream)) = (bodies, stream) else { return };
                let _ = answer(stream, &bodies);
            }
        });
        Self { address, bodies, thread: Some(thread) }
    }

    /// What `/rows` answers from now on.
    pub(crate) fn shows(&self, records: &str) {
        self.shows_at("/rows", records);
    }

    /// What a path answers from now on.
    pub(crate) fn shows_at(&self, path: &str, records: &str) {
        let mut bodies = self.bodies.lock().expect("bodies");
        bodies.as_mut().expect("the test goes on").insert(path.to_owned(), records.to_owned());
    }

    /// A workspace that syncs it with these keys of a resource.
    pub(crate) fn workspace(&self, keys: &str) -> Workspace {
        let workspace = Workspace::new();
        self.define(&workspace, keys);
        workspace
    }

    pub(crate) fn define(&self, workspace: &Workspace, keys: &str) {
        self.define_all(workspace, &format!("  rows: {{ path: /rows, {keys} }}\n"));
    }

    /// An api file with these resources.
    pub(crate) fn define_all(&self, workspace: &Workspace, resources: &str) {
        let file = format!("api: shop\nbase_url: http://{}\nresources:\n{resources}", self.address);
        workspace.write("apis/shop.yaml", &file);
    }
}

fn answer(stream: TcpStream, bodies: &BTreeMap<String, String>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = first.split(' ').nth(1).and_then(|target| target.split('?').next());
    let body = path.and_then(|path| bodies.get(path)).map_or("[]", String::as_str);
    let length = body.len();
    let kind = if body.starts_with(['[', '{']) { "application/json" } else { "text/plain" };
    write!(
        &stream,
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}

impl Drop for Sheet {
    fn drop(&mut self) {
        *self.bodies.lock().expect("a body") = None;
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
