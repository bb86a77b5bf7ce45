//! More than the server can do: it says so, goes on, and needs no more memory for it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde_json::json;
use tempfile::TempDir;

use crate::begun::Begun;
use crate::program::{Program, database};

/// Connections that each send one request after the other.
const CLIENTS: usize = 64;
const REQUESTS: usize = 40;
/// Requests that the server does at a time.
const PLACES: usize = 4;
/// Accepted requests that may be answered between another one's first byte and its answer, for each client: whoever is
/// accepted has a place at once, and doesn't wait behind what came later. Counted, since times say little on a busy machine.
const OVERTAKING: usize = 4;
/// What the flood may add to the memory in use, in KiB. A connection takes some tens.
const GROWTH: u64 = 64 << 10;

/// Memory in use, in KiB.
fn resident(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process's status");
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("its memory");
    let number = line.split_whitespace().nth(1).expect("a number");
    number.parse().expect("a number")
}

/// A server that serves few requests at a time.
async fn narrow(folder: &Path) -> Program {
    daemon::tls::install_provider();
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let address = address.expect("a port").to_string();
    let settings = folder.join("settings.json");
    let text = json!({
        "fhirVersion": "R4", "anonymous": true, "database": database(folder), "listen": address,
        "limits": {"concurrentRequests": PLACES},
    });
    std::fs::write(&settings, text.to_string()).expect("the settings");
    let child = Command::new(env!("CARGO_BIN_EXE_fhir-server"))
        .args(["serve", "--settings"])
        .arg(&settings)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let program = Program {
        child,
        base: format!("http://{address}"),
        client: Client::new(),
    };
    let ready = async {
        while program.status("health/ready").await.is_none_or(|status| status != 200) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), ready)
        .await
        .expect("ready");
    program
}

/// What became of requests.
#[derive(Debug, Default)]
struct Flood {
    accepted: usize,
    /// Told to come again.
    later: usize,
    /// The most that were accepted and answered while one waited for its answer.
    overtaken: usize,
}

/// Sends requests one after the other; `answered` counts those of all clients that were accepted.
async fn flood(base: String, client: usize, answered: Arc<AtomicUsize>) -> Flood {
    let http = Client::new();
    let mut flood = Flood::default();
    for n in 0..REQUESTS {
        let text = "x".repeat(20_000);
        let body = json!({"resourceType": "Patient", "id": format!("p{client}-{n}"), "name": [{"text": text}]});
        let sent = http
            .put(format!("{base}/Patient/p{client}-{n}"))
            .header("content-type", "application/fhir+json")
            .body(body.to_string());
        let before = answered.load(Ordering::Relaxed);
        let answer = sent.send().await.expect("an answer");
        match answer.status().as_u16() {
            201 => {
                flood.accepted += 1;
                let others = answered.fetch_add(1, Ordering::Relaxed) - before;
                flood.overtaken = flood.overtaken.max(others);
            }
            429 => {
                assert_eq!(answer.headers()["retry-after"], "1");
                flood.later += 1;
            }
            other => panic!("{other}"),
        }
    }
    flood
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_answered_and_takes_no_memory() {
    let folder = TempDir::new().expect("folder");
    let program = narrow(folder.path()).await;
    // what a first round needs stays
    let answered = Arc::new(AtomicUsize::new(0));
    flood(program.base.clone(), CLIENTS, Arc::clone(&answered)).await;
    let before = resident(program.child.id());
    let address = program.base.trim_start_matches("http://").to_owned();
    // somebody who never sends the rest holds a place, and no more than that
    let slow = Begun::put(&address, "Patient/slow", 1 << 20).await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(flood(program.base.clone(), client, Arc::clone(&answered))))
        .collect();
    let (mut accepted, mut later, mut overtaken) = (0, 0, 0);
    for client in clients {
        let own = client.await.expect("no panic");
        accepted += own.accepted;
        later += own.later;
        overtaken = overtaken.max(own.overtaken);
    }
    println!("{accepted} accepted, {later} told to come later, one of them overtaken by {overtaken}");
    let after = resident(program.child.id());
    drop(slow);
    assert!(
        accepted > 0 && later > 0,
        "{accepted} accepted, {later} told to come later"
    );
    assert!(
        overtaken <= OVERTAKING * CLIENTS,
        "{overtaken} were answered before one"
    );
    assert!(after < before + GROWTH, "{before} KiB before, {after} KiB after");
    // every accepted resource is there, and nobody is refused any more
    let total = async || program.json("Patient?_summary=count").await["total"].as_u64();
    let there = async { while total().await.is_none() {} };
    tokio::time::timeout(Duration::from_mins(1), there)
        .await
        .expect("served again");
    assert!(total().await.is_some_and(|total| total >= accepted as u64));
}
