//! What became of a message: told while it waits, when it is done, and after a crash.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    kill::Process,
    support::{Fhir, Running, Scripted, get_json, settings, until},
};

/// Without what differs from run to run.
fn steady(mut page: Value) -> Value {
    for time in ["received", "finished"] {
        assert!(page[time].take().is_string(), "{page}");
    }
    for observation in page["mapping"]["observations"].as_array_mut().unwrap() {
        assert!(observation["issued"].take().is_string(), "{observation}");
    }
    page
}

async fn send(url: &str, body: &str) -> Value {
    let answer = reqwest::Client::new().post(url).body(body.to_owned()).send().await;
    answer.unwrap().json().await.unwrap()
}

fn trace(management: &str, arguments: &[&str]) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_iot-connector"))
        .arg("trace")
        .args(arguments)
        .args(["--management", management.trim_start_matches("http://")])
        .output()
        .unwrap();
    format!(
        "{}{}",
        String::from_utf8(ran.stdout).unwrap(),
        String::from_utf8(ran.stderr).unwrap()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trace_of_a_message_says_what_became_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let connector = Running::start(settings(folder.path(), &url)).await;
    fhir.always(Some(Scripted {
        status: 503,
        retry_after: None,
    }));
    let body = concat!(
        r#"{"device": "d", "patient": "p", "time": "2026-01-01T10:00:00Z", "heartrate": 60}"#,
        "\n",
        r#"{"device": "d", "patient": "p", "time": "2026-01-01T10:00:00Z", "humidity": 40}"#,
        "\n",
        r#"{"device": "d", "patient": "p", "heartrate": 61}"#
    );
    let answer = send(&connector.messages, body).await;
    assert_eq!(answer, json!({"accepted": 3, "ids": {"first": 1, "last": 3}}));
    let page = async |id: u32| get_json(&format!("{}/traces/{id}", connector.management)).await;
    let waiting = until(async || {
        let page = page(1).await;
        let reason = page["waitsFor"].as_str().unwrap_or_default();
        reason.starts_with("the FHIR server: ").then_some(page.clone())
    });
    assert_eq!(waiting.await["state"], "Waiting");
    fhir.always(None);
    connector.idle().await;

    let pages = [page(1).await, page(2).await, page(3).await].map(steady);
    insta::assert_snapshot!(serde_json::to_string_pretty(&pages).unwrap());
    let text = |arguments: &[&str]| {
        let management = connector.management.clone();
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            trace(&management, &arguments)
        })
    };
    let told = [
        text(&["1"]).await.unwrap(),
        text(&["3"]).await.unwrap(),
        text(&["4"]).await.unwrap(),
    ];
    let without_times = |line: &str| line.split(", received").next().unwrap_or_default().to_owned();
    let lines: Vec<String> = told.iter().flat_map(|text| text.lines()).map(without_times).collect();
    let lines = lines
        .join("\n")
        .replace(connector.management.as_str(), "http://MANAGEMENT");
    insta::assert_snapshot!(lines);
    let latest: Value = serde_json::from_str(&text(&["--json"]).await.unwrap()).unwrap();
    let states: Vec<&str> = latest
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|page| page["state"].as_str())
        .collect();
    for state in ["DeadLetter", "Unmatched", "Done"] {
        assert!(states.contains(&state), "{latest}");
    }

    let discarded = reqwest::Client::new()
        .delete(format!("{}/dead-letters?all=true", connector.management))
        .send()
        .await
        .unwrap();
    assert_eq!(discarded.status(), 200);
    assert_eq!(page(3).await["state"], "Discarded");
    connector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_survives_a_crash_and_says_that_the_mappings_changed() {
    daemon::tls::install_provider();
    let folder = tempfile::tempdir().unwrap();
    let (_fhir, url) = Fhir::start().await;
    let settings = settings(folder.path(), &url);
    let path = folder.path().join("settings.json");
    std::fs::write(&path, settings.minimal().to_string()).unwrap();
    let mut process = Process::start(&path);
    let body = r#"{"device": "d", "patient": "p", "time": "2026-01-01T10:00:00Z", "heartrate": 60}"#;
    send(&process.messages, body).await;
    let page = async |process: &Process| {
        let url = format!("{}/traces/1", process.management);
        until(async || Some(get_json(&url).await).filter(|page| page["state"] == "Done")).await
    };
    let before = page(&process).await;
    assert_eq!(before["mapping"]["changedSince"], false);
    process.kill();
    let mapping = settings.device_mapping.unwrap();
    let text = std::fs::read_to_string(&mapping).unwrap();
    std::fs::write(&mapping, text.replace("heartrate", "pulse")).unwrap();
    process = Process::start(&path);
    let after = page(&process).await;
    process.kill();
    assert_eq!(after["observations"], before["observations"]);
    assert_eq!(after["observations"].as_array().map(Vec::len), Some(1));
    assert_eq!(after["mapping"]["changedSince"], true);
    assert_eq!(after["mapping"]["measurements"], json!([]));
}
