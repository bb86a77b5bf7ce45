//! The program itself: killed in the middle of writes, and ended as Kubernetes does it.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::begun::Begun;

struct Program {
    child: Child,
    base: String,
    client: Client,
}

impl Program {
    async fn start(folder: &Path) -> Self {
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a port");
        let child = Command::new(env!("CARGO_BIN_EXE_fhir-server"))
            .args([
                "serve",
                "--fhir-version",
                "R4",
                "--anonymous",
                "--listen",
                &address.to_string(),
            ])
            .arg("--database")
            .arg(format!("sqlite:{}", folder.join("fhir.db").display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let program = Self {
            child,
            base: format!("http://{address}"),
            client: Client::new(),
        };
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

    async fn status(&self, path: &str) -> Option<StatusCode> {
        let answer = self.client.get(format!("{}/{path}", self.base)).send().await;
        answer.ok().map(|answer| answer.status())
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}/{path}", self.base)).send().await;
        answer.expect("an answer").json().await.expect("JSON")
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(sent.expect("kill runs").success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes until it can't, and remembers what was acknowledged.
async fn write(base: String, writer: usize, acknowledged: Arc<Mutex<Vec<String>>>, enough: Arc<AtomicUsize>) {
    let client = Client::new();
    for n in 0.. {
        let id = format!("w{writer}-{n}");
        let body = format!(r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"F{n}"}}]}}"#);
        let sent = client
            .put(format!("{base}/Patient/{id}"))
            .header("content-type", "application/fhir+json");
        match sent.body(body).send().await {
            Ok(answer) if answer.status() == StatusCode::CREATED => {
                acknowledged.lock().expect("no panic").push(id);
                enough.fetch_add(1, Ordering::Relaxed);
            }
            _ => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_has_every_acknowledged_resource() {
    let folder = TempDir::new().expect("folder");
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    for round in 0..3 {
        let mut program = Program::start(folder.path()).await;
        let count = Arc::new(AtomicUsize::new(0));
        let writers: Vec<_> = (0..8)
            .map(|n| {
                write(
                    program.base.clone(),
                    round * 8 + n,
                    Arc::clone(&acknowledged),
                    Arc::clone(&count),
                )
            })
            .map(tokio::spawn)
            .collect();
        while count.load(Ordering::Relaxed) < 200 {
            tokio::task::yield_now().await;
        }
        program.child.kill().expect("killed");
        for writer in writers {
            writer.await.expect("no panic");
        }
    }
    let program = Program::start(folder.path()).await;
    let ids = acknowledged.lock().expect("no panic").clone();
    for id in &ids {
        assert_eq!(
            program.status(&format!("Patient/{id}")).await,
            Some(StatusCode::OK),
            "{id}"
        );
        let found = program.json(&format!("Patient?_id={id}&family=F&_summary=count")).await;
        assert_eq!(found["total"], 1, "{id} isn't indexed");
    }
    drop(program);
    let database = format!("sqlite:{}", folder.path().join("fhir.db").display());
    let checked = Command::new(env!("CARGO_BIN_EXE_fhir-server"))
        .args(["check", "--fhir-version", "R4", "--database", &database])
        .output()
        .expect("the program starts");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[tokio::test]
async fn whoever_asked_before_the_end_is_answered() {
    let folder = TempDir::new().expect("folder");
    let mut program = Program::start(folder.path()).await;
    let address = program.base.trim_start_matches("http://").to_owned();
    let body = r#"{"resourceType":"Patient","id":"late"}"#;
    let mut begun = Begun::put(&address, "Patient/late", body.len()).await;

    program.signal("TERM");
    let closed = async { while TcpStream::connect(&address).await.is_ok() {} };
    tokio::time::timeout(Duration::from_mins(1), closed)
        .await
        .expect("nobody new gets in");
    let answer = begun.end(body).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(program.child.wait().expect("its end").success());
    // everything is in the file itself: there is no log to replay
    assert!(!folder.path().join("fhir.db-wal").exists());
    let program = Program::start(folder.path()).await;
    assert_eq!(program.status("Patient/late").await, Some(StatusCode::OK));
}
