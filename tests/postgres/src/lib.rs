//! A real PostgreSQL for tests: Debian's programs, a temporary directory, a free port, writes that reach the disk. It ends
//! when the test's process ends, however it ends, and leaves nothing.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Where Debian has PostgreSQL's programs, by version.
const PROGRAMS: &str = "/usr/lib/postgresql";
/// The oldest version that is supported.
const OLDEST: u32 = 15;
/// The user that PostgreSQL runs as where the tests are root, whom it refuses.
const USER: &str = "postgres";

/// A server of one's own.
#[derive(Debug)]
pub struct PostgresServer {
    port: u16,
    directory: PathBuf,
    input: Mutex<ChildStdin>,
    /// What it says, a line each.
    lines: Mutex<Receiver<String>>,
    databases: AtomicU32,
    programs: PathBuf,
    _guard: Child,
}

impl PostgresServer {
    /// The one that all tests of a program share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts a server.
    ///
    /// # Panics
    /// Without PostgreSQL's programs, or where they don't run: a test that can't run fails.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with these settings (`name=value`).
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn start_with(settings: &[&str]) -> Self {
        Self::start_on(settings, &[])
    }

    /// Starts a server with these settings, whose data has these files, too: its own `pg_hba.conf`, a certificate. Whoever
    /// is on the machine gets in by the socket, if that says so.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn start_on(settings: &[&str], files: &[(&str, &str)]) -> Self {
        let programs = programs();
        let directory = directory();
        let own = directory.join("files");
        std::fs::create_dir(&own).expect("a folder for files");
        for (name, text) in files {
            std::fs::write(own.join(name), text).expect("a file");
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .expect("a free port")
            .port();
        let mut command = Command::new("sh");
        command.args(["-c", include_str!("server.sh"), "server.sh"]);
        command.arg(&programs).arg(&directory).arg(port.to_string());
        command.arg(settings.join(" "));
        if rustix::process::geteuid().is_root() {
            let owner = format!("{USER}:");
            let done = Command::new("chown").arg("-R").arg(&owner).arg(&directory).status();
            assert!(done.is_ok_and(|status| status.success()), "there is no user `{USER}`");
            command.args(["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "--"]);
        } else {
            command.arg("env");
        }
        // its own group: what interrupts the test lets the script clean up
        let mut guard = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .current_dir("/")
            .process_group(0)
            .spawn()
            .expect("sh runs");
        let (input, output) = (guard.stdin.take(), guard.stdout.take());
        let (said, lines) = channel();
        let output = BufReader::new(output.expect("it was piped"));
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // nobody listens any more when the test ends
                let _ = said.send(line);
            }
        });
        let server = Self {
            port,
            directory,
            input: Mutex::new(input.expect("it was piped")),
            lines: Mutex::new(lines),
            databases: AtomicU32::new(0),
            programs,
            _guard: guard,
        };
        server.wait_for("ready to accept connections");
        server
    }

    /// The process whose children serve connections.
    ///
    /// # Panics
    /// Where it has ended.
    pub fn pid(&self) -> u32 {
        let file = std::fs::read_to_string(self.directory.join("data/postmaster.pid"));
        let first = file.ok().and_then(|text| text.lines().next()?.parse().ok());
        first.expect("PostgreSQL writes its process down")
    }

    /// The URL of a new database.
    ///
    /// # Panics
    /// Where it can't be made.
    pub fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// Runs SQL in a database, by its name.
    ///
    /// # Panics
    /// Where it fails.
    pub fn sql(&self, database: &str, sql: &str) {
        assert!(self.try_sql(database, sql), "`{sql}` failed");
    }

    /// Runs SQL in a database, by its name and over the socket; whether it succeeds.
    pub fn try_sql(&self, database: &str, sql: &str) -> bool {
        let Self { port, directory, .. } = self;
        let status = Command::new(self.programs.join("psql"))
            .args(["--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--dbname"])
            .arg(format!(
                "host={} port={port} user=postgres dbname={database}",
                directory.display()
            ))
            .args(["--command", sql])
            .stdout(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as a power cut does; connections break, and what wasn't synced is lost.
    pub fn crash(&self) {
        self.tell("crash");
        self.wait_for("crashed");
    }

    /// Starts it again after a crash.
    pub fn restart(&self) {
        self.tell("start");
        self.wait_for("ready to accept connections");
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn tell(&self, command: &str) {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(input, "{command}").expect("the script listens");
    }

    fn wait_for(&self, text: &str) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut said = String::new();
        for line in lines.iter() {
            if line.contains(text) {
                return;
            }
            said.push_str(&line);
            said.push('\n');
        }
        panic!("PostgreSQL never said `{text}`:\n{said}");
    }
}

/// The programs of the newest version that is installed.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir(PROGRAMS).into_iter().flatten().flatten();
    let version = |name: std::ffi::OsString| name.to_str().and_then(|name| name.parse::<u32>().ok());
    let newest = versions.filter_map(|entry| version(entry.file_name())).max();
    let newest = newest.filter(|newest| *newest >= OLDEST);
    let newest =
        newest.expect("PostgreSQL 15 or newer is installed: `cargo xtask test` does it, or apt-get install postgresql");
    Path::new(PROGRAMS).join(newest.to_string()).join("bin")
}

/// A new directory; short, since it has a socket.
fn directory() -> PathBuf {
    let process = std::process::id();
    let mut names = (0..).map(|n| std::env::temp_dir().join(format!("pg-{process}-{n}")));
    let made = names.find(|path| std::fs::create_dir(path).is_ok());
    made.expect("numbers without end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_crashes_and_starts_again() {
        let server = PostgresServer::start();
        let url = server.database();
        let name = url.rsplit('/').next().unwrap();
        server.sql(name, "CREATE TABLE t AS SELECT 1 AS one");
        server.crash();
        server.restart();
        server.sql(name, "SELECT one FROM t");
    }
}
