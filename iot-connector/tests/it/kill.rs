//! kill -9 while messages come in: every 202 is an Observation, once.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::{Fhir, get_json, settings, until};

/// Messages of each round; the process is killed in the middle of them.
const MESSAGES: u32 = 120;

pub struct Process {
    child: Child,
    pub messages: String,
    pub management: String,
}

impl Process {
    pub fn start(settings: &std::path::Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_iot-connector"))
            .args(["run", "--log-format", "json", "--settings"])
            .arg(settings)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines
            .find_map(|line| line.ok().filter(|line| line.contains("messages are accepted")))
            .unwrap();
        // Whoever reads nothing lets the process block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let line: Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| line[name].as_str().unwrap().to_owned();
        Self {
            child,
            messages: format!("http://{}/messages", address("address")),
            management: format!("http://{}", address("management")),
        }
    }

    /// SIGSTOP: it does nothing, and knows nothing of it.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .arg(signal)
            .arg(self.child.id().to_string())
            .status();
        assert!(sent.unwrap().success());
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Also where a test fails: whoever is left holds the output of the tests open, and those who read it wait.
impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_message_is_an_observation_once() {
    daemon::tls::install_provider();
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let mut settings = settings(folder.path(), &url);
    settings.window.max_events = 10;
    let path = folder.path().join("settings.json");
    std::fs::write(&path, settings.minimal().to_string()).unwrap();

    let mut accepted = Vec::new();
    for round in 0..3 {
        let mut process = Process::start(&path);
        let client = reqwest::Client::new();
        for number in 0..MESSAGES {
            if number == MESSAGES / 2 {
                process.kill();
            }
            let second = number % 60;
            let message = json!({
                "device": format!("d{}", number / 60), "patient": "p", "heartrate": number,
                "time": format!("2026-01-01T{round:02}:{:02}:{second:02}Z", number / 60)
            });
            let sent = client.post(&process.messages).body(message.to_string()).send().await;
            if sent.is_ok_and(|response| response.status() == 202) {
                accepted.push((message["time"].as_str().unwrap().to_owned(), number));
            }
        }
    }
    let mut process = Process::start(&path);
    let status = format!("{}/status", process.management);
    let page = until(async || Some(get_json(&status).await).filter(|page| page["backlog"] == 0)).await;
    assert_eq!(page["deadLetters"], 0, "{page}");
    process.kill();

    assert!(accepted.len() >= 100, "{} were accepted", accepted.len());
    let observations = fhir.all("Observation");
    for (time, heartrate) in &accepted {
        let of = observations
            .iter()
            .filter(|observation| observation["effectivePeriod"]["start"] == time.as_str());
        let values: Vec<&Value> = of.map(|observation| &observation["valueQuantity"]["value"]).collect();
        assert_eq!(values, [&json!(heartrate)], "{time}");
    }
}
