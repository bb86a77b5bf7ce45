//! Single resources: created, changed, deleted, read again.

use fhir_server_settings::FhirVersion;
use reqwest::Method;
use rstest::rstest;
use serde_json::Value;

use crate::Service;

const PATIENT: &str = r#"{"resourceType":"Patient","active":true,"multipleBirthInteger":2}"#;

#[rstest]
#[case(FhirVersion::R4)]
#[case(FhirVersion::Stu3)]
#[tokio::test]
async fn a_resource_lives_and_dies(#[case] version: FhirVersion) {
    let service = Service::anonymous(version).await;
    let created = service.post("Patient", PATIENT).await;
    assert_eq!((created.status.as_u16(), created.header("etag")), (201, "W/\"1\""));
    let id = created.text("/id").to_owned();
    assert_eq!(
        created.header("location"),
        format!("{}/Patient/{id}/_history/1", service.base)
    );

    let same = service
        .put(
            &format!("Patient/{id}"),
            &PATIENT.replace("true,", &format!("true,\"id\":\"{id}\",")),
        )
        .await;
    assert_eq!((same.status.as_u16(), same.text("/meta/versionId")), (200, "1"));
    let changed = format!(r#"{{"resourceType":"Patient","id":"{id}","active":false}}"#);
    let stale = service
        .send(
            Method::PUT,
            &format!("Patient/{id}"),
            &[("if-match", "W/\"7\"")],
            Some(&changed),
        )
        .await;
    let conflict = if version == FhirVersion::R4 { 412 } else { 409 };
    assert_eq!(stale.status, conflict);
    assert_eq!(
        stale.text("/issue/0/diagnostics"),
        "The supplied version '7' did not match."
    );
    let changed = service
        .send(
            Method::PUT,
            &format!("Patient/{id}"),
            &[("if-match", "W/\"1\"")],
            Some(&changed),
        )
        .await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, "W/\"2\""));

    let known = service
        .send(
            Method::GET,
            &format!("Patient/{id}"),
            &[("if-none-match", "W/\"2\"")],
            None,
        )
        .await;
    assert_eq!(known.status, 304);
    assert_eq!(
        service.get(&format!("Patient/{id}/_history/1")).await.body["active"],
        true
    );
    assert_eq!(service.get(&format!("Patient/{id}/_history/3")).await.status, 404);

    assert_eq!(service.delete(&format!("Patient/{id}")).await.status, 204);
    assert_eq!(service.delete(&format!("Patient/{id}")).await.status, 204);
    let gone = service.get(&format!("Patient/{id}")).await;
    assert_eq!(
        (gone.status.as_u16(), gone.header("etag"), gone.text("/issue/0/code")),
        (410, "W/\"3\"", "deleted")
    );
    let history = service.get(&format!("Patient/{id}/_history")).await;
    let statuses: Vec<&Value> = (0..3)
        .map(|index| &history.body["entry"][index]["request"]["method"])
        .collect();
    assert_eq!(statuses, ["DELETE", "PUT", "POST"]);
    let back = service
        .put(
            &format!("Patient/{id}"),
            &format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#),
        )
        .await;
    assert_eq!((back.status.as_u16(), back.text("/meta/versionId")), (201, "4"));
    assert_eq!(
        service.delete(&format!("Patient/{id}?_hardDelete=true")).await.status,
        204
    );
    assert_eq!(service.get(&format!("Patient/{id}")).await.status, 404);
}

#[rstest]
#[case("Patient", r#"{"resourceType":"Patient","nme":1}"#, 400, "structure", "Patient.nme")]
#[case("Patient", r#"{"resourceType":"Observation"}"#, 400, "invalid", "")]
#[case("Patient", r#"{"resourceType":"Patient","#, 400, "structure", "")]
#[case("Clinic", r#"{"resourceType":"Clinic"}"#, 404, "not-found", "")]
#[case("patient", PATIENT, 404, "not-found", "")]
#[tokio::test]
async fn refusals_are_outcomes(
    #[case] path: &str,
    #[case] body: &str,
    #[case] status: u16,
    #[case] code: &str,
    #[case] expression: &str,
) {
    let service = Service::anonymous(FhirVersion::R4).await;
    let refused = service.post(path, body).await;
    assert_eq!(refused.status, status, "{}", refused.body);
    assert_eq!(refused.text("/resourceType"), "OperationOutcome");
    assert_eq!(
        (refused.text("/issue/0/code"), refused.text("/issue/0/expression/0")),
        (code, expression)
    );
    assert_eq!(service.get("Patient?_summary=count").await.body["total"], 0);
}

#[tokio::test]
async fn what_is_stored_comes_back_as_it_was_sent() {
    let service = Service::anonymous(FhirVersion::R4).await;
    let sent =
        r#"{"resourceType":"Basic","code":{"text":"\u00e9\/x"},"extension":[{"url":"http://e","valueDecimal":1.10}]}"#;
    let created = service.post("Basic", sent).await;
    let id = created.text("/id");
    let text = service
        .client
        .get(format!("{}/Basic/{id}", service.base))
        .send()
        .await
        .expect("answer");
    let text = text.text().await.expect("text");
    let without_server_parts = text.replace(
        &text[r#"{"resourceType":"Basic""#.len()..text.find(",\"code\"").expect("code")],
        "",
    );
    assert_eq!(without_server_parts, sent);
}

#[tokio::test]
async fn without_a_token_only_what_is_open_answers() {
    let service = Service::closed(FhirVersion::R4).await;
    assert_eq!(service.get("metadata").await.status, 200);
    let refused = service.get("Patient/1").await;
    assert_eq!(
        (refused.status.as_u16(), refused.text("/issue/0/diagnostics")),
        (401, "Authentication failed.")
    );
    assert!(refused.header("www-authenticate").starts_with("Bearer"));
    let health = service
        .client
        .get(format!("{}/health/live", service.base))
        .send()
        .await
        .expect("answer");
    assert_eq!(health.status(), 200);
}

#[tokio::test]
async fn conditional_creates_race_to_one() {
    let service = Service::anonymous(FhirVersion::R4).await;
    let body = r#"{"resourceType":"Patient","identifier":[{"system":"http://s","value":"1"}]}"#;
    let header = [("if-none-exist", "identifier=http://s|1")];
    let sent = (0..20).map(|_| service.send(Method::POST, "Patient", &header, Some(body)));
    let answers = futures::future::join_all(sent).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 19);
    assert_eq!(service.get("Patient?_summary=count").await.body["total"], 1);
}
