//! PATCH over HTTP: formats, versions, criteria, bundles, and others who write at the same time.

use fhir_server_settings::FhirVersion;
use futures::future::join_all;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::Service;
use crate::service::Answer;

const JSON_PATCH: (&str, &str) = ("content-type", "application/json-patch+json");

async fn patched(service: &Service, path: &str, headers: &[(&str, &str)], patch: &Value) -> Answer {
    service
        .send(Method::PATCH, path, headers, Some(&patch.to_string()))
        .await
}

async fn with_patient(version: FhirVersion) -> Service {
    let service = Service::anonymous(version).await;
    let patient = json!({"resourceType": "Patient", "id": "p", "gender": "male", "identifier": [{"value": "one"}]});
    assert_eq!(service.put("Patient/p", &patient.to_string()).await.status, 201);
    service
}

#[tokio::test]
async fn a_patch_is_a_version_unless_it_changes_nothing() {
    let service = with_patient(FhirVersion::R4).await;
    let patch = json!([{"op": "replace", "path": "/gender", "value": "female"}]);
    for _ in 0..2 {
        let answer = patched(&service, "Patient/p", &[JSON_PATCH], &patch).await;
        assert_eq!((answer.status.as_u16(), answer.text("/gender")), (200, "female"));
        assert_eq!(answer.text("/meta/versionId"), "2");
        assert_eq!(answer.header("etag"), "W/\"2\"");
    }
    assert_eq!(service.get("Patient/p/_history/1").await.text("/gender"), "male");
    // the index follows
    assert_eq!(
        service.get("Patient?gender=female&_summary=count").await.body["total"],
        1
    );
}

#[rstest]
#[case::not_there("Patient/q", &[JSON_PATCH], json!([]), 404)]
#[case::gone("Patient/gone", &[JSON_PATCH], json!([]), 410)]
#[case::another_version("Patient/p", &[JSON_PATCH, ("if-match", "W/\"7\"")], json!([]), 412)]
#[case::this_version("Patient/p", &[JSON_PATCH, ("if-match", "W/\"1\"")], json!([]), 200)]
#[case::merge_patch("Patient/p", &[("content-type", "application/merge-patch+json")], json!({}), 415)]
#[case::the_other_format("Patient/p", &[], json!([]), 400)]
#[case::the_other_format_again("Patient/p", &[JSON_PATCH], json!({"resourceType": "Parameters"}), 400)]
#[case::what_is_left_is_no_patient("Patient/p", &[JSON_PATCH], json!([{"op": "add", "path": "/colour", "value": "red"}]), 400)]
#[case::several("Patient?gender=male", &[JSON_PATCH], json!([]), 412)]
#[case::none("Patient?identifier=none", &[JSON_PATCH], json!([]), 404)]
#[case::criteria_that_say_nothing("Patient?_count=1", &[JSON_PATCH], json!([]), 412)]
#[case::unknown_criteria("Patient?colour=red", &[JSON_PATCH], json!([]), 412)]
#[tokio::test]
async fn answers(
    #[case] path: &str,
    #[case] headers: &[(&str, &str)],
    #[case] patch: Value,
    #[case] status: u16,
    #[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion,
) {
    let service = with_patient(version).await;
    service
        .post("Patient", r#"{"resourceType":"Patient","gender":"male"}"#)
        .await;
    service
        .put("Patient/gone", r#"{"resourceType":"Patient","id":"gone"}"#)
        .await;
    service.delete("Patient/gone").await;
    let answer = patched(&service, path, headers, &patch).await;
    assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
    assert_eq!(service.get("Patient/p").await.text("/meta/versionId"), "1");
}

#[tokio::test]
async fn patches_at_the_same_time_are_all_carried_out() {
    let service = with_patient(FhirVersion::R4).await;
    let patches =
        (0..4).map(|number| json!([{"op": "add", "path": "/identifier/-", "value": {"value": format!("n{number}")}}]));
    let patches: Vec<Value> = patches.collect();
    let answers = join_all(
        patches
            .iter()
            .map(|patch| patched(&service, "Patient/p", &[JSON_PATCH], patch)),
    )
    .await;
    let carried_out = answers.iter().filter(|answer| answer.status == 200).count();
    let found = service.get("Patient/p").await;
    assert_eq!(found.body["identifier"].as_array().map(Vec::len), Some(1 + carried_out));
    assert_eq!(found.text("/meta/versionId"), (1 + carried_out).to_string());
    assert_eq!(carried_out, 4);
}

fn parameters(path: &str, value: &Value) -> Value {
    let (name, value) = value
        .as_object()
        .and_then(|value| value.iter().next())
        .expect("a value");
    json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "upsert"}, {"name": "path", "valueString": path}, {"name": "value", name: value}]}]})
}

#[tokio::test]
async fn a_transaction_patches_with_everything_else_or_not_at_all() {
    let service = with_patient(FhirVersion::R4).await;
    let organization = "urn:uuid:8a0d4d0f-5f3c-4a1c-9c55-6f6f0f0f0f0f";
    let reference = json!({"valueReference": {"reference": organization}});
    let entry = |method: &str, url: &str, resource: Value| json!({"resource": resource, "request": {"method": method, "url": url}});
    let mut create = entry(
        "POST",
        "Organization",
        json!({"resourceType": "Organization", "name": "o"}),
    );
    create["fullUrl"] = json!(organization);
    let patch = entry(
        "PATCH",
        "Patient?identifier=one",
        parameters("Patient.managingOrganization", &reference),
    );
    let bundle =
        |entries: &[&Value]| json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}).to_string();

    let unlucky = entry(
        "PATCH",
        "Patient?identifier=none",
        parameters("Patient.gender", &json!({"valueCode": "female"})),
    );
    let failed = service.post("", &bundle(&[&patch, &create, &unlucky])).await;
    assert_eq!(failed.status, 404, "{}", failed.body);
    assert_eq!(service.get("Organization?_summary=count").await.body["total"], 0);

    let done = service.post("", &bundle(&[&patch, &create])).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(done.text("/entry/0/response/status"), "200");
    let target = service
        .get("Patient/p")
        .await
        .text("/managingOrganization/reference")
        .to_owned();
    assert_eq!(service.get(&target).await.text("/name"), "o");

    let twice = service
        .post("", &bundle(&[&patch, &entry("DELETE", "Patient/p", Value::Null)]))
        .await;
    assert_eq!(twice.status, 400, "{}", twice.body);
}
