//! Mapping files that are missing, appear, change, and are wrong.

use serde_json::json;

use crate::support::{Fhir, Running, device_mapping, fhir_mapping, settings, until};

#[tokio::test]
async fn messages_are_kept_until_there_is_a_mapping_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let settings = settings(folder.path(), &url);
    let (device, target) = (
        settings.device_mapping.clone().unwrap(),
        settings.fhir_mapping.clone().unwrap(),
    );
    std::fs::remove_file(&device).unwrap();
    std::fs::remove_file(&target).unwrap();
    let connector = Running::start(settings).await;
    let message = |minute: u32| json!({"device": "d", "patient": "p", "time": format!("2026-01-01T10:{minute:02}:00Z"), "heartrate": 60});

    assert_eq!(connector.send(message(0)).await, 202);
    let page = connector.status().await;
    assert_eq!((&page["mappings"], &page["backlog"]), (&json!("Missing"), &json!(1)));
    assert_eq!(
        reqwest::get(format!("{}/health/ready", connector.management))
            .await
            .unwrap()
            .status(),
        200
    );

    std::fs::write(&target, fhir_mapping().to_string()).unwrap();
    std::fs::write(&device, device_mapping().to_string()).unwrap();
    connector.idle().await;
    assert_eq!(fhir.all("Observation").len(), 1);

    std::fs::write(&device, r#"{"templateType": "CollectionContent", "template": {}}"#).unwrap();
    let page = until(async || Some(connector.status().await).filter(|page| page["mappings"] == "Invalid")).await;
    assert!(
        page["mappingMessage"].as_str().unwrap().contains("Expected an array"),
        "{page}"
    );
    connector.send(message(1)).await;
    connector.idle().await;
    assert_eq!(fhir.all("Observation").len(), 2);
    connector.stop().await;
}

#[test]
fn dry_run_shows_what_mappings_make_and_fails_on_errors() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let device = write("device.json", device_mapping().to_string());
    let fhir = write("fhir.json", fhir_mapping().to_string());
    let run = |messages: &std::path::Path| {
        std::process::Command::new(env!("CARGO_BIN_EXE_iot-connector"))
            .args(["dry-run", "--json", "--device-mapping"])
            .arg(&device)
            .arg("--fhir-mapping")
            .arg(&fhir)
            .arg("--messages")
            .arg(messages)
            .output()
            .unwrap()
    };
    let good = write(
        "good.json",
        json!({"device": "d", "time": "2026-01-01T10:00:00Z", "heartrate": 60}).to_string(),
    );
    let output = run(&good);
    assert_eq!(output.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["messages"][0]["observations"][0]["valueQuantity"]["value"], 60);
    assert_eq!(report["messages"][0]["templates"][0]["matched"], 1);
    let bad = write(
        "bad.json",
        json!({"time": "2026-01-01T10:00:00Z", "heartrate": 60}).to_string(),
    );
    let output = run(&bad);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("[DeviceIdExpression] using $.device"));
}
