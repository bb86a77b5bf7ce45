//! What waits: a FHIR server that is away, refuses, or asks for patience; conflicts; a device that was linked anew.

use serde_json::json;

use crate::support::{Fhir, Running, Scripted, settings, until};

fn message(device: &str, minute: u32) -> serde_json::Value {
    json!({"device": device, "patient": "p", "time": format!("2026-01-01T10:{minute:02}:00Z"), "heartrate": 60})
}

#[tokio::test]
async fn messages_wait_for_the_fhir_server_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let connector = Running::start(settings(folder.path(), &url)).await;
    for status in [503, 401, 429, 404] {
        fhir.always(Some(Scripted {
            status,
            retry_after: Some("0"),
        }));
        assert_eq!(connector.send(message("d", u32::from(status % 60))).await, 202);
        let page = until(async || Some(connector.status().await).filter(|page| page["fhir"] == "Waiting")).await;
        assert_eq!(page["backlog"], 1);
        assert!(
            page["fhirMessage"].as_str().unwrap().contains(&status.to_string()),
            "{page}"
        );
        fhir.always(None);
        connector.idle().await;
    }
    assert_eq!(fhir.all("Observation").len(), 4);
    assert_eq!(connector.dead_letters().await.len(), 0);
    connector.assert_balance().await;
    connector.stop().await;
}

#[tokio::test]
async fn a_conflict_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let connector = Running::start(settings(folder.path(), &url)).await;
    connector.send(message("d", 0)).await;
    connector.idle().await;
    fhir.next_puts([
        Some(Scripted {
            status: 412,
            retry_after: None,
        }),
        Some(Scripted {
            status: 409,
            retry_after: None,
        }),
        None,
    ]);
    connector.send(message("d", 1)).await;
    connector.idle().await;
    assert_eq!(fhir.all("Observation").len(), 2);
    connector.stop().await;
}

#[tokio::test]
async fn one_device_that_fails_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let connector = Running::start(settings(folder.path(), &url)).await;
    for device in ["a", "b"] {
        connector.send(message(device, 0)).await;
    }
    connector.idle().await;
    let failure = Scripted {
        status: 500,
        retry_after: None,
    };
    fhir.next_puts(std::iter::repeat_n(Some(failure), 3));
    connector.send(message("a", 1)).await;
    connector.send(message("b", 1)).await;
    connector.idle().await;
    assert_eq!(fhir.all("Observation").len(), 4);
    connector.stop().await;
}

#[tokio::test]
async fn a_device_of_another_patient_is_refused_and_a_new_link_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    for id in ["p1", "p2"] {
        fhir.insert(json!({"resourceType": "Patient", "id": id, "identifier": [{"value": id}]}));
    }
    let device = |patient: &str| json!({"resourceType": "Device", "id": "dev", "identifier": [{"value": "d"}], "patient": {"reference": format!("Patient/{patient}")}});
    fhir.insert(device("p1"));
    let connector = Running::start(settings(folder.path(), &url)).await;
    let of = |patient: &str, minute: u32| json!({"device": "d", "patient": patient, "time": format!("2026-01-01T10:{minute:02}:00Z"), "heartrate": 60});
    connector.send(of("p1", 0)).await;
    connector.send(of("p2", 1)).await;
    connector.idle().await;
    let [letter] = &connector.dead_letters().await[..] else {
        panic!("one dead letter")
    };
    assert_eq!(letter["reason"], "PatientDeviceMismatch");

    fhir.insert(device("p2"));
    connector.send(of("p2", 2)).await;
    connector.idle().await;
    let subjects: Vec<_> = fhir
        .all("Observation")
        .iter()
        .map(|o| o["subject"]["reference"].clone())
        .collect();
    assert!(
        subjects.contains(&json!("Patient/p1")) && subjects.contains(&json!("Patient/p2")),
        "{subjects:?}"
    );
    connector.stop().await;
}
