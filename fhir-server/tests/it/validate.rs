//! `$validate` over HTTP: what is asked, what is answered, and the profiles that are stored.

use fhir_server_settings::FhirVersion;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::Service;
use crate::service::Answer;

const STRICT: &str = "http://example.org/StructureDefinition/strict";

/// Each issue as `severity code expression`.
fn issues(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.text("/resourceType"), "OperationOutcome", "{}", answer.body);
    let issues = answer.body["issue"].as_array().expect("issues");
    let text = |issue: &Value, name: &str| issue[name].as_str().unwrap_or_default().to_owned();
    issues
        .iter()
        .map(|issue| {
            let expression = issue["expression"][0].as_str().unwrap_or_default();
            format!("{} {} {expression}", text(issue, "severity"), text(issue, "code"))
        })
        .collect()
}

/// A profile of Patient that asks for an identifier and a gender.
fn strict(version: FhirVersion) -> Value {
    json!({
        "resourceType": "StructureDefinition", "id": "strict", "url": STRICT, "version": "1.0.0", "name": "Strict", "status": "active",
        "kind": "resource", "abstract": false, "type": "Patient", "derivation": "constraint",
        "fhirVersion": if version == FhirVersion::R4 { "4.0.1" } else { "3.0.2" },
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "differential": {"element": [
            {"id": "Patient", "path": "Patient"},
            {"id": "Patient.identifier", "path": "Patient.identifier", "min": 1},
            {"id": "Patient.gender", "path": "Patient.gender", "min": 1}
        ]}
    })
}

async fn with_profile(version: FhirVersion) -> Service {
    let service = Service::anonymous(version).await;
    let answer = service
        .put("StructureDefinition/strict", &strict(version).to_string())
        .await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    service
}

async fn validated(service: &Service, path: &str, body: &str) -> Answer {
    service.send(Method::POST, path, &[], Some(body)).await
}

#[rstest]
#[case::fine("Patient/$validate", r#"{"resourceType":"Patient","active":true}"#, &["information informational "])]
#[case::unreadable("Patient/$validate", r#"{"resourceType":"Patient","#, &["error structure "])]
#[case::wrong_structure("Patient/$validate", r#"{"resourceType":"Patient","name":"test, one"}"#, &["error structure Patient.name"])]
#[case::lacks("Observation/$validate", r#"{"resourceType":"Observation","code":{"text":"x"}}"#, &["error required Observation.status"])]
#[case::another_type("Patient/$validate", r#"{"resourceType":"Group"}"#, &["error invalid "])]
#[case::another_id("Patient/1/$validate", r#"{"resourceType":"Patient","id":"2"}"#, &["error invalid "])]
#[case::update_without_id("Patient/$validate?mode=update", r#"{"resourceType":"Patient"}"#, &["error invalid "])]
#[case::invariant("Patient/$validate", r#"{"resourceType":"Patient","contact":[{"gender":"male"}]}"#, &["error invariant Patient.contact[0]"])]
#[case::reference("Patient/$validate", r##"{"resourceType":"Patient","managingOrganization":{"reference":"#a"}}"##, &["error invariant Patient.managingOrganization"])]
#[case::code("Patient/$validate", r#"{"resourceType":"Patient","gender":"x"}"#, &["error code-invalid Patient.gender"])]
#[case::below_the_top("Patient/$validate", r#"{"resourceType":"Patient","link":[{"type":"refer"}]}"#, &["error required Patient.link[0].other"])]
#[case::extensible(
    "Patient/$validate",
    r#"{"resourceType":"Patient","maritalStatus":{"coding":[{"system":"http://example.org","code":"x"}]}}"#,
    &["warning code-invalid Patient.maritalStatus"]
)]
#[case::unknown_claim(
    "Patient/$validate",
    r#"{"resourceType":"Patient","meta":{"profile":["http://example.org/unknown"]}}"#,
    &["warning not-found Patient.meta.profile"]
)]
#[case::unknown_asked("Patient/$validate?profile=http://example.org/unknown", r#"{"resourceType":"Patient"}"#, &["error not-found Patient"])]
#[case::base_profile(
    "Patient/$validate?profile=http://hl7.org/fhir/StructureDefinition/Group",
    r#"{"resourceType":"Patient"}"#,
    &["error structure Patient"]
)]
#[tokio::test]
async fn answers(
    #[case] path: &str,
    #[case] body: &str,
    #[case] expected: &[&str],
    #[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion,
) {
    let service = Service::anonymous(version).await;
    let answer = validated(&service, path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(issues(&answer), expected, "{}", answer.body);
}

#[rstest]
#[case::two_profiles("Patient/$validate?profile=http://example.org/a", json!({"resourceType": "Parameters", "parameter": [
    {"name": "profile", "valueString": "http://example.org/b"}, {"name": "resource", "resource": {"resourceType": "Patient"}}]}), 400)]
#[case::no_url("Patient/$validate?profile=strict", json!({"resourceType": "Patient"}), 400)]
#[case::unknown_mode("Patient/$validate?mode=profile", json!({"resourceType": "Patient"}), 400)]
#[case::create_under_an_id("Patient/1/$validate?mode=create", json!({"resourceType": "Patient", "id": "1"}), 400)]
#[case::delete_without_id("Patient/$validate?mode=delete", json!({"resourceType": "Patient"}), 400)]
#[case::delete_of_nothing("Patient/1/$validate?mode=delete", json!({"resourceType": "Patient"}), 404)]
#[case::no_resource("Patient/$validate", json!({"resourceType": "Parameters", "parameter": [{"name": "mode", "valueCode": "create"}]}), 400)]
#[case::no_type("$validate", json!({"resourceType": "Patient"}), 404)]
#[tokio::test]
async fn refusals(#[case] path: &str, #[case] body: Value, #[case] status: u16) {
    let service = Service::anonymous(FhirVersion::R4).await;
    let answer = validated(&service, path, &body.to_string()).await;
    assert_eq!(answer.status, status, "{}", answer.body);
}

#[rstest]
#[tokio::test]
async fn stored_profiles(#[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion) {
    let service = with_profile(version).await;
    let lacks = ["error required Patient.identifier", "error required Patient.gender"];
    let plain = json!({"resourceType": "Patient", "active": true});
    let claims = json!({"resourceType": "Patient", "meta": {"profile": [STRICT]}, "active": true});
    let full = json!({"resourceType": "Patient", "meta": {"profile": [STRICT]}, "identifier": [{"value": "1"}], "gender": "male"});
    let wrapped = json!({"resourceType": "Parameters", "parameter": [
        {"name": "resource", "resource": plain}, {"name": "profile", "valueUri": STRICT}]});
    let by_query = format!("Patient/$validate?profile={STRICT}");
    let by_version = format!("Patient/$validate?profile={STRICT}%7C1.0.0");
    let by_other_version = format!("Patient/$validate?profile={STRICT}%7C2.0.0");
    let fine = ["information informational "];
    for (path, body, expected) in [
        ("Patient/$validate", &plain, &fine[..]),
        ("Patient/$validate", &claims, &lacks[..]),
        ("Patient/$validate", &full, &fine[..]),
        ("Patient/$validate", &wrapped, &lacks[..]),
        (by_query.as_str(), &plain, &lacks[..]),
        (by_version.as_str(), &plain, &lacks[..]),
        (by_other_version.as_str(), &plain, &["error not-found Patient"][..]),
    ] {
        let answer = validated(&service, path, &body.to_string()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(issues(&answer), expected, "{path} {body} {}", answer.body);
    }
}

#[tokio::test]
async fn stored_resources_are_validated_by_id() {
    let service = with_profile(FhirVersion::R4).await;
    let claims = json!({"resourceType": "Patient", "id": "p", "meta": {"profile": [STRICT]}, "gender": "male"});
    assert_eq!(service.put("Patient/p", &claims.to_string()).await.status, 201);
    let answer = service.get("Patient/p/$validate").await;
    assert_eq!(
        (answer.status.as_u16(), issues(&answer)),
        (200, vec!["error required Patient.identifier".to_owned()])
    );
    let answer = service.get("Patient/q/$validate").await;
    assert_eq!(answer.status, 404);
    assert_eq!(service.get("Patient/$validate").await.status, 400);
}

#[rstest]
#[case::asked("true", 400)]
#[case::not_asked("false", 201)]
#[tokio::test]
async fn writes_are_validated_by_profiles_where_it_is_asked(#[case] header: &str, #[case] status: u16) {
    let service = with_profile(FhirVersion::R4).await;
    let claims = json!({"resourceType": "Patient", "id": "p", "meta": {"profile": [STRICT]}});
    let headers = [("x-ms-profile-validation", header)];
    for (method, path) in [(Method::POST, "Patient"), (Method::PUT, "Patient/p")] {
        let answer = service.send(method, path, &headers, Some(&claims.to_string())).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
}

/// Examples of HL7's with errors: `fhir-server/resource/tests/it/examples.rs` says what is wrong.
const WRONG: &[&str] = &[
    "R4/ActivityDefinition-heart-valve-replacement",
    "R4/EventDefinition-example",
    "R4/Questionnaire-qs1",
    "STU3/ActivityDefinition-heart-valve-replacement",
    "STU3/ImplementationGuide-fhir",
    "STU3/Patient-null",
    "STU3/Questionnaire-qs1",
];

/// With all that the server knows (value sets of the specification, too) HL7's examples are still right.
#[rstest]
#[tokio::test]
async fn examples_of_hl7(#[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion) {
    let name = if version == FhirVersion::R4 { "R4" } else { "STU3" };
    let beside = || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let root = std::env::var_os("SHARED_DATA").map_or_else(beside, std::path::PathBuf::from);
    let folder = root.join("fhir-examples").join(name.to_lowercase());
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!(
            "NOT RUN: `{}` is missing, name its parent by SHARED_DATA",
            folder.display()
        );
        return;
    };
    let service = Service::anonymous(version).await;
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in entries {
        let path = entry.expect("an entry").path();
        let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let body = std::fs::read_to_string(&path).expect("a file");
        let resource: Value = serde_json::from_str(&body).expect("JSON");
        let of = resource["resourceType"].as_str().expect("a type");
        if of == "Parameters" {
            continue;
        }
        let answer = validated(&service, &format!("{of}/$validate"), &body).await;
        assert_eq!(answer.status, 200, "{file}");
        count += 1;
        let file = format!("{name}/{file}");
        let issues = answer.body["issue"].as_array().expect("issues");
        let errors: Vec<&Value> = issues.iter().filter(|issue| issue["severity"] == "error").collect();
        if errors.is_empty() == WRONG.contains(&file.as_str()) {
            wrong.push(format!("{file}: {errors:?}"));
        }
    }
    println!("{count} examples, {:?} kB of memory", memory());
    assert!(count > 300 && wrong.is_empty(), "{count} examples, {wrong:#?}");
}

/// Resident memory of this process in kB.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// HL7's own profiles are there: blood pressure is a vital sign with two components, which STU3 describes (`min` 0, in its
/// snapshot too) and R4 demands.
#[rstest]
#[case::right(FhirVersion::R4, json!({}), &["information informational "])]
#[case::right_in_stu3(FhirVersion::Stu3, json!({}), &["information informational "])]
#[case::no_diastolic(FhirVersion::R4, json!({"component": [component("8480-6", 120)]}),
    &["error required Observation.component", "error required Observation.component"])]
#[case::another_code(FhirVersion::R4, json!({"code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}}),
    &["error required Observation.code.coding"])]
#[case::no_time(FhirVersion::R4, json!({"effectiveDateTime": null}), &["error required Observation.effective"])]
#[case::only_the_upper_in_stu3(FhirVersion::Stu3, json!({"component": [component("8480-6", 120)]}),
    &["information informational "])]
#[case::no_time_in_stu3(FhirVersion::Stu3, json!({"effectiveDateTime": null}), &["error required Observation.effective"])]
#[tokio::test]
async fn profiles_of_the_specification(
    #[case] version: FhirVersion,
    #[case] changes: Value,
    #[case] expected: &[&str],
) {
    let service = Service::anonymous(version).await;
    let mut resource = blood_pressure(version);
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(resource.as_object_mut().expect("an object").remove(name)),
            value => resource[name] = value.clone(),
        }
    }
    let url = "http://hl7.org/fhir/StructureDefinition/bp";
    let asked = validated(
        &service,
        &format!("Observation/$validate?profile={url}"),
        &resource.to_string(),
    )
    .await;
    let found: Vec<String> = issues(&asked)
        .into_iter()
        .filter(|issue| !issue.starts_with("warning"))
        .collect();
    assert_eq!(found, expected, "{}", asked.body);
    // claimed, it holds for a write that asks for it
    resource["meta"] = json!({"profile": [url]});
    let checked = [("x-ms-profile-validation", "true")];
    let written = service
        .send(Method::POST, "Observation", &checked, Some(&resource.to_string()))
        .await;
    let is_right = expected.iter().all(|issue| issue.starts_with("information"));
    assert_eq!(written.status, if is_right { 201 } else { 400 }, "{}", written.body);
}

fn component(code: &str, value: u32) -> Value {
    let unit = json!({"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"});
    json!({"code": {"coding": [{"system": "http://loinc.org", "code": code}]}, "valueQuantity": unit})
}

fn blood_pressure(version: FhirVersion) -> Value {
    let categories = match version {
        FhirVersion::R4 => "http://terminology.hl7.org/CodeSystem/observation-category",
        FhirVersion::Stu3 => "http://hl7.org/fhir/observation-category",
    };
    json!({
        "resourceType": "Observation", "status": "final",
        "category": [{"coding": [{"system": categories, "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
        "subject": {"reference": "Patient/a"}, "effectiveDateTime": "2020-01-01",
        "component": [component("8480-6", 120), component("8462-4", 80)],
    })
}
