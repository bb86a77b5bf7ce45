//! `X-Provenance`: written with the resource or not at all.

use fhir_server_settings::FhirVersion;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::Service;

const PROVENANCE: &str = r#"{"resourceType":"Provenance","recorded":"2015-06-27T08:39:24+10:00","agent":[{"who":{"reference":"Practitioner/x"}}]}"#;

/// The targets of all that there are, in order of creation.
async fn targets(service: &Service) -> Vec<String> {
    let found = service.get("Provenance").await;
    let entries = found.body["entry"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .map(|entry| entry["resource"]["target"][0]["reference"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn names_the_version_that_is_written() {
    let service = Service::anonymous(FhirVersion::R4).await;
    let header = [("x-provenance", PROVENANCE)];
    let send = async |method: Method, path: &str, body: &str| service.send(method, path, &header, Some(body)).await;
    let created = send(Method::POST, "Patient", r#"{"resourceType":"Patient","gender":"male"}"#).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let id = created.text("/id");
    let female = json!({"resourceType": "Patient", "id": "p", "gender": "female"}).to_string();
    for status in [201, 200] {
        assert_eq!(send(Method::PUT, "Patient/p", &female).await.status, status);
    }
    let male = female.replace("female", "male");
    assert_eq!(send(Method::PUT, "Patient/p", &male).await.status, 200);
    assert_eq!(service.delete("Patient/p").await.status, 204);
    assert_eq!(send(Method::PUT, "Patient/p", &male).await.status, 201);
    let criteria = r#"{"resourceType":"Patient","gender":"unknown"}"#;
    assert_eq!(send(Method::PUT, "Patient?gender=unknown", criteria).await.status, 201);
    let found = targets(&service).await;
    let expected = [1, 1, 2, 4].map(|version| format!("Patient/p/_history/{version}"));
    assert_eq!(found[0], format!("Patient/{id}/_history/1"));
    assert_eq!(found[1..5], expected);
    assert!(found[5].ends_with("/_history/1"), "{}", found[5]);
}

#[rstest]
#[case::not_json("Jibberish", "X-Provenance header is malformed and can't be parsed")]
#[case::another_type(
    r#"{"resourceType":"Patient"}"#,
    "X-Provenance header is malformed and can't be parsed"
)]
#[case::not_valid(r#"{"resourceType":"Provenance","recorded":"2015-06-27T08:39:24+10:00"}"#, "")]
#[tokio::test]
async fn a_bad_one_refuses_the_whole(#[case] header: &str, #[case] text: &str) {
    let service = Service::anonymous(FhirVersion::R4).await;
    for (method, path) in [(Method::POST, "Patient"), (Method::PUT, "Patient/p")] {
        let body = r#"{"resourceType":"Patient","id":"p"}"#;
        let answer = service
            .send(method, path, &[("x-provenance", header)], Some(body))
            .await;
        assert_eq!(answer.status, 400);
        assert!(answer.text("/issue/0/diagnostics").contains(text), "{}", answer.body);
    }
    assert_eq!(service.get("Patient?_summary=count").await.body["total"], 0);
}

#[tokio::test]
async fn nothing_written_nothing_proved() {
    let service = Service::anonymous(FhirVersion::R4).await;
    let patient = r#"{"resourceType":"Patient","identifier":[{"value":"one"}]}"#;
    let headers = [("x-provenance", PROVENANCE), ("if-none-exist", "identifier=one")];
    for (status, proved) in [(201, 1), (200, 1)] {
        let answer = service.send(Method::POST, "Patient", &headers, Some(patient)).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(targets(&service).await.len(), proved);
    }
    let headers = [("x-provenance", PROVENANCE), ("if-match", "W/\"9\"")];
    let answer = service
        .send(
            Method::PUT,
            "Patient/p",
            &headers,
            Some(r#"{"resourceType":"Patient","id":"p"}"#),
        )
        .await;
    assert_eq!(answer.status, 412);
    assert_eq!(targets(&service).await.len(), 1);
}
