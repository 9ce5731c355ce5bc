//! Database servers of the tests' own: on a free port, with data in a folder that goes with them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take until it answers.
const START_MAX: Duration = Duration::from_secs(120);

/// A server that is running, and ends with this.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// A program of a database, wherever Debian put it.
fn program(name: &str, folders: &[&str]) -> PathBuf {
    let found = folders.iter().map(|folder| Path::new(folder).join(name)).find(|it| it.exists());
    found.unwrap_or_else(|| {
        panic!("`{name}` is not installed: `make peers` installs PostgreSQL and MariaDB")
    })
}

/// PostgreSQL's versions stand in folders of their own.
fn postgres_folder() -> String {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<String> = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin").display().to_string()))
        .collect();
    folders.sort();
    folders.pop().unwrap_or_default()
}

/// A command that is not run as root, which PostgreSQL refuses.
fn as_postgres(program: &Path, folder: &Path) -> Command {
    let is_root = Command::new("id").arg("-u").output().expect("an id").stdout == b"0\n";
    if !is_root {
        return Command::new(program);
    }
    let owned = Command::new("chown").args(["-R", "postgres"]).arg(folder).status();
    assert!(owned.expect("chown runs").success());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

fn done(command: &mut Command) {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn started(mut command: Command, url: String, folder: TempDir, mut is_up: Command) -> Server {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut server = Server { child: child.expect("it starts"), url, _folder: folder };
    let began = Instant::now();
    is_up.stdout(Stdio::null()).stderr(Stdio::null());
    while !is_up.status().expect("it runs").success() {
        assert!(began.elapsed() < START_MAX, "the server does not answer");
        assert!(server.child.try_wait().expect("a state").is_none(), "the server ended");
        std::thread::yield_now();
    }
    server
}

pub(crate) fn postgres() -> Server {
    let folder = TempDir::new().expect("a folder");
    let bin = postgres_folder();
    let data = folder.path().join("data");
    let initdb = program("initdb", &[&bin]);
    let mut init = as_postgres(&initdb, folder.path());
    init.args(["--auth=trust", "--username=tester", "--encoding=UTF8", "--locale=C", "--no-sync"]);
    done(init.arg("--pgdata").arg(&data));
    let port = free_port().to_string();
    let mut command = as_postgres(&program("postgres", &[&bin]), folder.path());
    command.arg("-D").arg(&data).args(["-p", &port, "-c", "listen_addresses=127.0.0.1"]);
    command.args(["-c", "unix_socket_directories=", "-c", "fsync=off"]);
    let mut is_up = Command::new(program("pg_isready", &[&bin]));
    is_up.args(["-h", "127.0.0.1", "-p", &port]);
    let url = format!("postgres://tester:a-password@127.0.0.1:{port}/postgres");
    started(command, url, folder, is_up)
}

pub(crate) fn mariadb() -> Server {
    const FOLDERS: [&str; 3] = ["/usr/bin", "/usr/sbin", "/usr/local/bin"];
    let folder = TempDir::new().expect("a folder");
    let (data, socket) = (folder.path().join("data"), folder.path().join("socket"));
    let user = String::from_utf8(Command::new("id").arg("-un").output().expect("an id").stdout);
    let user = user.expect("a name").trim().to_owned();
    let mut init = Command::new(program("mariadb-install-db", &FOLDERS));
    init.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
    // One that starts clears the folder of temporary files, also of those of another one.
    init.env("TMPDIR", folder.path());
    done(init.arg(format!("--datadir={}", data.display())).arg(format!("--user={user}")));
    let port = free_port();
    let mut command = Command::new(program("mariadbd", &FOLDERS));
    command.env("TMPDIR", folder.path());
    command.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
    command.arg(format!("--socket={}", socket.display())).arg(format!("--port={port}"));
    command.arg(format!("--user={user}")).args(["--bind-address=127.0.0.1"]);
    command.args(["--character-set-server=utf8mb4", "--collation-server=utf8mb4_bin"]);
    let mut is_up = Command::new(program("mariadb-admin", &FOLDERS));
    is_up.args(["--no-defaults", "--user=root", "ping"]);
    is_up.arg(format!("--socket={}", socket.display()));
    started(command, format!("mysql://root@127.0.0.1:{port}/test"), folder, is_up)
}
