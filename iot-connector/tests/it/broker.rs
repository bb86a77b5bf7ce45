//! What tests with real brokers share: who a client is, when a program listens, and that every message arrived once.

use std::{
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    kill::Process,
    support::{Fhir, Running, Scripted, get_json, until},
};

/// The FHIR server says that it can't answer now.
pub const AWAY: Scripted = Scripted {
    status: 503,
    retry_after: Some("1"),
};

pub const USER: &str = "ward";
pub const PASSWORD: &str = "a password";

/// Files with the user's name and the password, and for TLS the server's certificate and key.
pub fn write_secrets(folder: &Path, tls: bool) {
    std::fs::write(folder.join("user"), format!("{USER}\n")).unwrap();
    std::fs::write(folder.join("password"), format!("{PASSWORD}\n")).unwrap();
    if tls {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("certificate.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    }
}

/// Starts a program and waits until it listens on its ports; `None` where somebody else has one of them.
pub fn listening(command: &mut Command, ports: &[u16]) -> Option<Child> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    loop {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        if ports
            .iter()
            .all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
        {
            return Some(child);
        }
        std::thread::yield_now();
    }
}

/// Returns when the connector reads its source.
pub async fn connected(management: &str) {
    let status = format!("{management}/status");
    until(async || Some(get_json(&status).await).filter(|page| page["source"]["state"] == "Connected")).await;
}

/// What the status page says, once it says why there is no connection.
pub async fn refused(connector: &Running) -> String {
    let page =
        until(async || Some(connector.status().await).filter(|page| page["source"]["message"].is_string())).await;
    assert_eq!(page["source"]["state"], "Connecting");
    page["source"]["message"].as_str().unwrap().to_owned()
}

/// Returns when the metrics say that the source has so many messages that weren't taken in.
pub async fn lags(connector: &Running, source: &str, messages: u64) {
    let line = format!("iot_connector_source_lag{{source=\"{source}\"}} {messages}\n");
    until(async || connector.metrics().await.contains(&line).then_some(())).await;
}

/// A heart rate of that second of that minute, told by its value.
pub fn reading(minute: usize, second: usize) -> Value {
    let time = format!("2026-01-01T10:{minute:02}:{second:02}Z");
    json!({"device": "d", "patient": "p", "time": time, "heartrate": second})
}

/// Waits for the readings of so many minutes, each with so many seconds, and ends the connector: each is there once.
pub async fn each_is_there_once(fhir: &Fhir, mut process: Process, minutes: usize, seconds: usize) {
    let of_all = minutes * seconds;
    until(async || Some(()).filter(|()| fhir.all("Observation").len() >= of_all)).await;
    let status = format!("{}/status", process.management);
    let page = until(async || Some(get_json(&status).await).filter(|page| page["backlog"] == 0)).await;
    process.kill();
    assert_eq!(page["deadLetters"], 0, "{page}");
    let mut found: Vec<(String, u64)> = fhir
        .all("Observation")
        .iter()
        .map(|observation| {
            let time = observation["effectivePeriod"]["start"].as_str().unwrap().to_owned();
            (time, observation["valueQuantity"]["value"].as_u64().unwrap())
        })
        .collect();
    found.sort();
    let expected: Vec<(String, u64)> = (0..minutes)
        .flat_map(|minute| (0..seconds).map(move |second| (minute, second)))
        .map(|(minute, second)| (format!("2026-01-01T10:{minute:02}:{second:02}Z"), second as u64))
        .collect();
    assert_eq!(found, expected);
}
