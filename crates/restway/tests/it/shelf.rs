//! A server that answers each path with what a test has put there, and knows an `ETag` again.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::support::Workspace;

/// What lies at a path.
#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
    /// How much of the body is sent before the connection stands still.
    pub(crate) stops_after: Option<usize>,
}

impl Item {
    pub(crate) fn new(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: String::new(), body: body.into(), stops_after: None }
    }

    pub(crate) fn tagged(self, tag: &str) -> Self {
        Self { headers: format!("{}etag: \"{tag}\"\r\n", self.headers), ..self }
    }
}

#[derive(Default)]
struct Shared {
    items: BTreeMap<String, Item>,
    /// Path and status of each answer.
    log: Vec<(String, u16)>,
    is_over: bool,
}

/// The server; it ends with the test.
pub(crate) struct Shelf {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    /// Paths whose body stands still.
    pub(crate) stopped: Receiver<String>,
    thread: Option<JoinHandle<()>>,
}

impl Shelf {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (sender, stopped) = channel();
        let known = shared.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if known.lock().expect("items").is_over {
                    return;
                }
                let (known, sender) = (known.clone(), sender.clone());
                std::thread::spawn(move || drop(answer(stream, &known, &sender)));
            }
        });
        Self { address, shared, stopped, thread: Some(thread) }
    }

    pub(crate) fn put(&self, path: &str, item: Item) {
        self.shared.lock().expect("items").items.insert(path.to_owned(), item);
    }

    /// Path and status of each answer since the last look, in order of the paths.
    pub(crate) fn log(&self) -> Vec<(String, u16)> {
        let mut log = std::mem::take(&mut self.shared.lock().expect("items").log);
        log.sort();
        log
    }

    /// A workspace with these resources of the api `shop`.
    pub(crate) fn workspace(&self, resources: &str) -> Workspace {
        let workspace = Workspace::new();
        self.define(&workspace, resources);
        workspace
    }

    pub(crate) fn define(&self, workspace: &Workspace, resources: &str) {
        let address = self.address;
        let file = format!("api: shop\nbase_url: http://{address}\nresources:\n{resources}\n");
        workspace.write("apis/shop.yaml", &file);
    }
}

fn answer(
    stream: TcpStream,
    shared: &Mutex<Shared>,
    stopped: &Sender<String>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut condition = None;
    while let Some(line) = lines.next().transpose()?.filter(|line| !line.is_empty()) {
        if let Some(tag) = line.to_lowercase().strip_prefix("if-none-match: ") {
            condition = Some(tag.to_owned());
        }
    }
    let item = {
        let mut shared = shared.lock().expect("items");
        let nothing = Item { status: 404, ..Item::new("nothing here") };
        let mut item = shared.items.get(&path).cloned().unwrap_or(nothing);
        if condition.is_some_and(|tag| item.headers.contains(&tag)) {
            item = Item { status: 304, body: Vec::new(), ..item };
        }
        shared.log.push((path.clone(), item.status));
        item
    };
    let (status, length) = (item.status, item.body.len());
    write!(&stream, "HTTP/1.1 {status} x\r\n{}connection: close\r\n", item.headers)?;
    write!(&stream, "content-length: {length}\r\n\r\n")?;
    let Some(part) = item.stops_after else { return (&stream).write_all(&item.body) };
    (&stream).write_all(&item.body[..part])?;
    let _ = stopped.send(path);
    // Until the other side has gone.
    lines.next().transpose().map(drop)
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.shared.lock().expect("items").is_over = true;
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
