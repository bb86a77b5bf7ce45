//! Messages in, Observations out, and who may send.

use std::io::Write;

use iot_connector_settings::{ConnectionKey, ConnectionKeys};
use serde_json::{Value, json};

use crate::support::{Fhir, Running, settings};

fn reading(device: &str, minute: u32, heartrate: u32) -> Value {
    json!({"device": device, "patient": format!("p-{device}"), "time": format!("2026-01-01T10:{minute:02}:00Z"), "heartrate": heartrate})
}

#[tokio::test]
async fn a_message_becomes_an_observation_of_its_device_and_patient() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let connector = Running::start(settings(folder.path(), &url)).await;

    assert_eq!(connector.send(reading("d1", 0, 60)).await, 202);
    assert_eq!(
        connector
            .send(json!([reading("d1", 1, 61), reading("d2", 0, 70)]))
            .await,
        202
    );
    assert_eq!(
        connector
            .send(format!("{}\n{}\n", reading("d1", 2, 62), reading("d1", 2, 63)))
            .await,
        202
    );
    let page = connector.idle().await;

    let observations = fhir.all("Observation");
    assert_eq!(observations.len(), 4, "two readings of one time are one Observation");
    assert_eq!((fhir.all("Device").len(), fhir.all("Patient").len()), (2, 2));
    let last = observations
        .iter()
        .find(|o| o["effectivePeriod"]["start"] == "2026-01-01T10:02:00Z")
        .unwrap();
    assert_eq!(last["valueQuantity"]["value"], 63);
    let subject = last["subject"]["reference"]
        .as_str()
        .unwrap()
        .strip_prefix("Patient/")
        .unwrap();
    assert!(
        fhir.all("Patient")
            .iter()
            .any(|patient| patient["id"] == subject && patient["identifier"][0]["value"] == "p-d1")
    );
    assert_eq!(
        (&page["mappings"], &page["fhir"], &page["deadLetters"]),
        (&json!("Valid"), &json!("Reachable"), &json!(0))
    );
    assert!(page["lastMessageTime"].is_string() && page["rate"].as_f64().unwrap() > 0.0);
    assert_eq!(
        (connector.account("messages").await, connector.account("points").await),
        (5, 5)
    );
    connector.assert_balance().await;
    connector.stop().await;
}

#[tokio::test]
async fn readings_of_an_hour_are_merged_into_one_series() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let connector = Running::start(settings(folder.path(), &url)).await;
    for (minute, steps) in [(0, 5), (2, 7), (2, 7), (1, 6)] {
        let time = format!("2026-01-01T10:{minute:02}:00Z");
        connector
            .send(json!({"device": "d", "patient": "p", "time": time, "steps": steps}))
            .await;
        connector.idle().await;
    }
    let [observation] = &fhir.all("Observation")[..] else {
        panic!("one Observation")
    };
    assert!(
        observation["valueSampledData"]["data"]
            .as_str()
            .unwrap()
            .starts_with("5 6 7 E E")
    );
    assert_eq!(
        (&observation["status"], &observation["meta"]["versionId"]),
        (&json!("amended"), &json!("3"))
    );
    assert_eq!(
        (connector.account("points").await, connector.account("duplicates").await),
        (3, 1)
    );
    connector.assert_balance().await;
    connector.stop().await;
}

#[tokio::test]
async fn compressed_bodies_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let connector = Running::start(settings(folder.path(), &url)).await;
    let text = json!([reading("d", 0, 60), reading("d", 1, 61)]).to_string();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let bodies = [
        ("gzip", gzip.finish().unwrap()),
        ("zstd", zstd::encode_all(text.as_bytes(), 1).unwrap()),
    ];
    for (encoding, body) in bodies {
        let request = reqwest::Client::new()
            .post(&connector.messages)
            .header("content-encoding", encoding)
            .body(body);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 202);
        assert_eq!(response.json::<Value>().await.unwrap()["accepted"], 2);
    }
    connector.idle().await;
    assert_eq!(fhir.all("Observation").len(), 2);
    connector.stop().await;
}

#[tokio::test]
async fn only_a_device_with_a_key_may_send_and_a_new_key_needs_no_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (_fhir, url) = Fhir::start().await;
    let path = folder.path().join("keys.json");
    // SHA-256 of `old` and `new`.
    let hash = |key: &str| sha256(key);
    let write = |keys: &[&str]| {
        let keys = keys.iter().map(|key| ConnectionKey {
            connection: "default".to_owned(),
            sha256: hash(key),
            not_after: None,
        });
        std::fs::write(
            &path,
            serde_json::to_string(&ConnectionKeys { keys: keys.collect() }).unwrap(),
        )
        .unwrap();
    };
    write(&["old"]);
    let mut settings = settings(folder.path(), &url);
    settings.anonymous = false;
    settings.keys = Some(path.clone());
    let connector = Running::start(settings).await;
    let send = async |name: &str, value: &str| {
        let request = reqwest::Client::new()
            .post(&connector.messages)
            .header(name, value)
            .body(reading("d", 0, 1).to_string());
        request.send().await.unwrap().status().as_u16()
    };

    let refused = reqwest::Client::new()
        .post(&connector.messages)
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 401);
    assert!(refused.headers().contains_key("www-authenticate"));
    let text = refused.text().await.unwrap();
    assert!(text.contains("Authorization: Bearer KEY"), "{text}");
    assert_eq!(send("authorization", "Bearer old").await, 202);
    assert_eq!(send("x-connection-key", "old").await, 202);
    assert_eq!(send("authorization", "Bearer wrong").await, 401);
    assert_eq!(send("authorization", "Basic old").await, 401);
    write(&["new"]);
    while send("authorization", "Bearer new").await != 202 {}
    assert_eq!(send("authorization", "Bearer old").await, 401);
    connector.stop().await;
}

#[tokio::test]
async fn the_token_of_the_file_is_presented_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let path = folder.path().join("token");
    std::fs::write(&path, "first\n").unwrap();
    let mut settings = settings(folder.path(), &url);
    settings.fhir_server.token_file = Some(path.clone());
    let connector = Running::start(settings).await;
    connector.send(reading("d", 0, 60)).await;
    connector.idle().await;
    assert_eq!(fhir.authorization().as_deref(), Some("Bearer first"));
    std::fs::write(&path, "second").unwrap();
    let mut minute = 0;
    while fhir.authorization().as_deref() != Some("Bearer second") {
        minute = (minute + 1) % 60;
        connector.send(reading("d", minute, 60)).await;
        connector.idle().await;
    }
    connector.stop().await;
}

pub fn sha256(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text)
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}
