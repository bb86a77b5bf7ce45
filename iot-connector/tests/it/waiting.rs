//! What waits: a FHIR server that is away, refuses, or asks for patience; conflicts; a device that was linked anew.

use rstest::rstest;
use serde_json::json;

use crate::support::{Fhir, Running, Scripted, device_mapping, settings, until};

fn message(device: &str, minute: u32) -> serde_json::Value {
    json!({"device": device, "patient": "p", "time": format!("2026-01-01T10:{minute:02}:00Z"), "heartrate": 60})
}

#[tokio::test]
async fn messages_wait_for_the_fhir_server_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let connector = Running::start(settings(folder.path(), &url)).await;
    for status in [503, 401, 429, 404, 500] {
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
    assert_eq!(fhir.all("Observation").len(), 5);
    assert_eq!(connector.dead_letters().await.len(), 0);
    connector.assert_balance().await;
    connector.stop().await;
}

/// Something that isn't a FHIR server, whatever it is asked.
async fn stranger(status: u16, headers: &'static [(&'static str, &'static str)], body: &'static str) -> String {
    let answer = move || async move {
        let mut response = axum::http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(axum::body::Body::from(body)).unwrap()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    format!("http://{address}")
}

#[rstest]
#[case::a_page(200, &[("content-type", "text/html")], "<html>sign in</html>", "isn't FHIR")]
#[case::other_json(200, &[], "{\"access_token\": \"x\"}", "isn't FHIR")]
#[case::nothing(200, &[], "", "something else than a Bundle")]
#[case::an_outcome(200, &[], "{\"resourceType\": \"OperationOutcome\"}", "something else than a Bundle")]
#[case::elsewhere(301, &[("location", "https://fhir.example/r4/")], "", "names `https://fhir.example/r4/`")]
#[case::another_method(405, &[], "", "answers 405")]
#[tokio::test]
async fn what_is_no_fhir_server_is_waited_for(
    #[case] status: u16,
    #[case] headers: &'static [(&'static str, &'static str)],
    #[case] body: &'static str,
    #[case] told: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    let url = stranger(status, headers, body).await;
    let connector = Running::start(settings(folder.path(), &url)).await;
    assert_eq!(connector.send(message("d", 0)).await, 202);
    let page = until(async || Some(connector.status().await).filter(|page| page["fhir"] == "Waiting")).await;
    assert!(page["fhirMessage"].as_str().unwrap().contains(told), "{page}");
    assert_eq!(
        (&page["backlog"], &page["deadLetters"]),
        (&json!(1), &json!(0)),
        "{page}"
    );
    connector.stop().await;
}

#[tokio::test]
async fn a_name_that_fits_into_no_request_delays_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let connector = Running::start(settings(folder.path(), &url)).await;
    assert_eq!(connector.send(message(&"d".repeat(70_000), 0)).await, 202);
    let letter = until(async || connector.dead_letters().await.pop()).await;
    assert_eq!(
        (&letter["stage"], &letter["reason"]),
        (&json!("identity"), &json!("FhirRefused")),
        "{letter}"
    );
    assert_eq!(connector.send(message("d", 1)).await, 202);
    connector.idle().await;
    assert_eq!(fhir.all("Observation").len(), 1);
    connector.assert_balance().await;
    connector.stop().await;
}

#[tokio::test]
async fn whose_device_or_encounter_it_is_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let linked = json!({"identifier": {"system": "urn:mrn", "value": "77"}, "display": "Ms Seven"});
    let mut device = json!({"resourceType": "Device", "id": "d1", "identifier": [{"value": "d"}], "patient": linked});
    fhir.insert(device.clone());
    let connector = Running::start(settings(folder.path(), &url)).await;
    assert_eq!(connector.send(message("d", 0)).await, 202);
    let letter = until(async || connector.dead_letters().await.pop()).await;
    assert_eq!(letter["reason"], "PatientDeviceMismatch", "{letter}");
    assert_eq!(fhir.all("Device")[0]["patient"], linked);
    assert!(fhir.all("Patient").is_empty(), "nobody is made for nothing");
    connector.stop().await;

    // An encounter of somebody else.
    let folder = tempfile::tempdir().unwrap();
    device["patient"] = json!({"reference": "Patient/pa"});
    fhir.insert(device);
    fhir.insert(json!({"resourceType": "Patient", "id": "pa", "identifier": [{"value": "p"}]}));
    for (id, patient) in [("e1", "pb"), ("e2", "pa")] {
        fhir.insert(
            json!({"resourceType": "Encounter", "id": id, "identifier": [{"value": id}],
            "subject": {"reference": format!("Patient/{patient}")}}),
        );
    }
    let settings = settings(folder.path(), &url);
    let mut mapping = device_mapping();
    mapping["template"][0]["template"]["encounterIdExpression"] = json!("$.encounter");
    std::fs::write(settings.device_mapping.as_ref().unwrap(), mapping.to_string()).unwrap();
    let connector = Running::start(settings).await;
    for (minute, encounter) in [(0, "e1"), (1, "e2")] {
        let mut message = message("d", minute);
        message["encounter"] = json!(encounter);
        assert_eq!(connector.send(message).await, 202);
    }
    connector.idle().await;
    let letter = connector.dead_letters().await.pop().unwrap();
    assert_eq!(letter["reason"], "PatientEncounterMismatch", "{letter}");
    let written = fhir.all("Observation");
    assert_eq!(written.len(), 1);
    assert_eq!(written[0]["encounter"]["reference"], "Encounter/e2");
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
