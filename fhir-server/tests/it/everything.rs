//! `$everything` and `$member-match` over HTTP.

use std::collections::BTreeSet;

use fhir_server_settings::FhirVersion;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::Service;

async fn with(resources: &[Value]) -> Service {
    let service = Service::anonymous(FhirVersion::R4).await;
    for resource in resources {
        let path = format!(
            "{}/{}",
            resource["resourceType"].as_str().unwrap(),
            resource["id"].as_str().unwrap()
        );
        let answer = service.put(&path, &resource.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    service
}

/// Ids on all pages; each at most once.
async fn ids(service: &Service, path: &str) -> BTreeSet<String> {
    let (mut path, mut found) = (path.to_owned(), BTreeSet::new());
    loop {
        let page = service.get(&path).await;
        assert_eq!(page.status, 200, "{}", page.body);
        for entry in page.body["entry"].as_array().into_iter().flatten() {
            if entry["search"]["mode"] != "outcome" {
                let id = entry["resource"]["id"].as_str().unwrap().to_owned();
                assert!(found.insert(id), "{} twice", entry["fullUrl"]);
            }
        }
        let links = page.body["link"].as_array().expect("links").clone();
        let Some(next) = links.iter().find(|link| link["relation"] == "next") else {
            return found;
        };
        path = next["url"]
            .as_str()
            .unwrap()
            .replacen(&format!("{}/", service.base), "", 1);
    }
}

fn data() -> Vec<Value> {
    let observation = |id: &str, patient: &str, date: &str| {
        json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"},
            "subject": {"reference": format!("Patient/{patient}")}, "effectiveDateTime": date})
    };
    vec![
        json!({"resourceType": "Organization", "id": "org", "name": "o"}),
        json!({"resourceType": "Practitioner", "id": "doc"}),
        json!({"resourceType": "Patient", "id": "a", "managingOrganization": {"reference": "Organization/org"},
            "generalPractitioner": [{"reference": "Practitioner/doc"}, {"reference": "Practitioner/nobody"}],
            "link": [{"type": "seealso", "other": {"reference": "Patient/b"}}]}),
        json!({"resourceType": "Patient", "id": "b", "link": [{"type": "seealso", "other": {"reference": "Patient/a"}}]}),
        json!({"resourceType": "Patient", "id": "old", "link": [{"type": "replaced-by", "other": {"reference": "Patient/a"}}]}),
        json!({"resourceType": "Patient", "id": "stranger"}),
        observation("early", "a", "2010-05-01"),
        observation("late", "b", "2020-05-01"),
        observation("other", "stranger", "2020-05-01"),
        json!({"resourceType": "Device", "id": "device", "patient": {"reference": "Patient/a"}}),
        json!({"resourceType": "Appointment", "id": "meeting", "status": "booked",
            "participant": [{"status": "accepted", "actor": {"reference": "Patient/a"}}], "start": "2010-05-01T10:00:00Z", "end": "2010-05-01T11:00:00Z"}),
    ]
}

/// `old` refers to `a`, and so is in its compartment.
#[rstest]
#[case::all("Patient/a/$everything", "a b device doc early late meeting old org")]
#[case::the_other_record("Patient/b/$everything", "a b device early late meeting old org doc")]
#[case::types("Patient/a/$everything?_type=Patient,Observation", "a b early late old")]
#[case::one_type("Patient/a/$everything?_type=Device", "device")]
#[case::from("Patient/a/$everything?start=2015", "a b device doc late meeting old org")]
#[case::until("Patient/a/$everything?end=2015", "a b device doc early meeting old org")]
#[case::between("Patient/a/$everything?start=2009&end=2011&_type=Observation", "early")]
#[case::changed_since("Patient/a/$everything?_since=2100-01-01", "")]
#[case::replaced("Patient/old/$everything", "old")]
#[case::nobody("Patient/unknown/$everything", "")]
#[tokio::test]
async fn finds(#[case] path: &str, #[case] expected: &str) {
    let service = with(&data()).await;
    let expected: BTreeSet<String> = expected.split_whitespace().map(str::to_owned).collect();
    assert_eq!(ids(&service, path).await, expected);
}

#[rstest]
#[case("Patient/a/$everything?start=yesterday")]
#[case("Patient/a/$everything?_since=x")]
#[case("Patient/a/$everything?ct=9")]
#[case("Patient/a/$everything?ct=a~")]
#[case("Patient/a/$everything?ct=0~zz")]
#[tokio::test]
async fn refuses(#[case] path: &str) {
    let service = with(&data()).await;
    assert_eq!(service.get(path).await.status, 400);
}

#[tokio::test]
async fn pages_go_through_all_phases() {
    let mut all = data();
    for number in 0..250 {
        let patient = ["a", "b"][number % 2];
        all.push(json!({"resourceType": "Condition", "id": format!("c{number}"), "subject": {"reference": format!("Patient/{patient}")}}));
    }
    let service = with(&all).await;
    assert_eq!(ids(&service, "Patient/a/$everything").await.len(), 259);
    assert_eq!(ids(&service, "Patient/a/$everything?_type=Condition").await.len(), 250);
    // a deleted patient still has a compartment
    assert_eq!(service.delete("Patient/stranger").await.status, 204);
    assert_eq!(
        ids(&service, "Patient/stranger/$everything").await,
        BTreeSet::from(["other".to_owned()])
    );
}

#[tokio::test]
async fn a_replaced_patient_leads_to_the_other() {
    let mut service = with(&data()).await;
    let lenient = service.get("Patient/old/$everything").await;
    let text = "The patient with id `old` is no longer relevant. Use patient with id `a` instead.";
    assert_eq!(lenient.text("/entry/0/resource/issue/0/diagnostics"), text);
    assert_eq!(lenient.text("/entry/0/resource/issue/0/code"), "conflict");
    service.client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let strict = service
        .send(
            Method::GET,
            "Patient/old/$everything",
            &[("prefer", "handling=strict")],
            None,
        )
        .await;
    assert_eq!(strict.status, 301);
    assert_eq!(
        strict.header("location"),
        format!("{}/Patient/a/$everything", service.base)
    );
}

fn members() -> Vec<Value> {
    let identifier = |value: &str| json!([{"value": value, "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MB"}]}}]);
    let patient = |id: &str, family: &str| json!({"resourceType": "Patient", "id": id, "birthDate": "1970-01-02", "name": [{"family": family}], "identifier": identifier(&format!("{id}-number"))});
    let coverage = |id: &str, patient: &str, code: &str| {
        json!({"resourceType": "Coverage", "id": id, "status": "active", "beneficiary": {"reference": format!("Patient/{patient}")},
            "payor": [{"display": "x"}], "type": {"coding": [{"system": "s", "code": code}]}})
    };
    vec![
        patient("m1", "Muster"),
        patient("m2", "Muster"),
        json!({"resourceType": "Patient", "id": "m3", "name": [{"family": "Numberless"}]}),
        coverage("c1", "m1", "dental"),
        coverage("c2", "m2", "health"),
        coverage("c3", "m1", "health"),
        coverage("c4", "m3", "health"),
    ]
}

#[rstest]
#[case(json!({"name": [{"family": "Muster"}], "birthDate": "1970"}), "dental", Ok("m1-number"))]
#[case(json!({"name": [{"family": "must"}]}), "health", Err((422, "Found multiple matches, narrow search criteria.")))]
#[case(json!({"name": [{"family": "Muster"}], "birthDate": "1971"}), "dental", Err((422, "No match found.")))]
#[case(json!({"name": [{"family": "Numberless"}]}), "health", Err((422, "No match found.")))]
#[tokio::test]
async fn matches_members(#[case] patient: Value, #[case] code: &str, #[case] expected: Result<&str, (u16, &str)>) {
    let service = with(&members()).await;
    let mut patient = patient;
    patient["resourceType"] = json!("Patient");
    let coverage = json!({"resourceType": "Coverage", "status": "active", "beneficiary": {"display": "x"}, "payor": [{"display": "x"}],
        "type": {"coding": [{"system": "s", "code": code}]}});
    let body = json!({"resourceType": "Parameters", "parameter": [
        {"name": "MemberPatient", "resource": patient}, {"name": "OldCoverage", "resource": coverage}]});
    let answer = service.post("Patient/$member-match", &body.to_string()).await;
    match expected {
        Ok(number) => {
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert_eq!(answer.text("/parameter/0/resource/identifier/0/value"), number);
            assert_eq!(
                answer.text("/parameter/0/resource/identifier/0/type/coding/0/code"),
                "UMB"
            );
            assert_eq!(answer.body["parameter"][0]["resource"]["name"], patient["name"]);
        }
        Err((status, text)) => {
            assert_eq!(
                (answer.status.as_u16(), answer.text("/issue/0/diagnostics")),
                (status, text)
            );
        }
    }
}
