//! The program itself, as a process that can be killed.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::Value;

/// A running `fhir-server`, on a database in a folder.
pub struct Program {
    pub child: Child,
    pub base: String,
    pub client: Client,
}

/// The database in `folder`.
pub fn database(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("fhir.db").display())
}

/// Fails unless `fhir-server check` finds the database whole.
pub fn check(database: &str) {
    let checked = Command::new(env!("CARGO_BIN_EXE_fhir-server"))
        .args(["check", "--fhir-version", "R4", "--database", database])
        .output()
        .expect("the program starts");
    assert!(
        checked.status.success(),
        "{}{}",
        String::from_utf8_lossy(&checked.stdout),
        String::from_utf8_lossy(&checked.stderr)
    );
}

impl Program {
    /// Starts it and waits until it is ready.
    pub async fn start(folder: &Path) -> Self {
        Self::ready(&database(folder)).await
    }

    /// Starts it on a database and waits until it is ready.
    pub async fn ready(database: &str) -> Self {
        let program = Self::begin(database);
        let ready = async {
            while program.status("health/ready").await != Some(StatusCode::OK) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), ready)
            .await
            .expect("ready");
        program
    }

    /// Starts it.
    pub fn begin(database: &str) -> Self {
        daemon::tls::install_provider();
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a port");
        let child = Command::new(env!("CARGO_BIN_EXE_fhir-server"))
            .args(["serve", "--fhir-version", "R4", "--anonymous"])
            .args(["--listen", &address.to_string(), "--database", database])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        Self {
            child,
            base: format!("http://{address}"),
            client: Client::new(),
        }
    }

    /// The status that a GET is answered with, if it is.
    pub async fn status(&self, path: &str) -> Option<StatusCode> {
        let answer = self.client.get(format!("{}/{path}", self.base)).send().await;
        answer.ok().map(|answer| answer.status())
    }

    /// The body that a GET is answered with.
    pub async fn json(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}/{path}", self.base)).send().await;
        answer.expect("an answer").json().await.expect("JSON")
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("its end");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
