//! Searches, pages, batches and transactions.

use std::collections::BTreeSet;

use fhir_server_settings::FhirVersion;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::Service;

#[tokio::test]
async fn pages_hold_each_resource_once() {
    let service = Service::anonymous(FhirVersion::R4).await;
    for index in 0..7 {
        let body = json!({"resourceType": "Patient", "active": index != 3});
        assert_eq!(service.post("Patient", &body.to_string()).await.status, 201);
    }
    let mut page = service.get("Patient?active=true&_count=2&_total=accurate").await;
    assert_eq!(page.body["total"], 6);
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        for entry in page.body["entry"].as_array().expect("entries") {
            assert!(seen.insert(entry["resource"]["id"].to_string()));
        }
        let links = page.body["link"].as_array().expect("links");
        let Some(next) = links.iter().find(|link| link["relation"] == "next") else {
            break;
        };
        let next = next["url"]
            .as_str()
            .expect("url")
            .strip_prefix(&format!("{}/", service.base))
            .expect("base")
            .to_owned();
        assert!(!next.contains("_total"), "{next}");
        page = service.get(&next).await;
    }
    assert_eq!(seen.len(), 6);
    assert_eq!(service.get("Patient?ct=nonsense").await.status, 400);
}

#[tokio::test]
async fn unknown_parameters_warn_or_are_refused() {
    let service = Service::anonymous(FhirVersion::R4).await;
    let lenient = service.get("Patient?Cookie=Chip").await;
    assert_eq!(lenient.text("/entry/0/search/mode"), "outcome");
    assert_eq!(lenient.text("/entry/0/resource/issue/0/severity"), "warning");
    let strict = service
        .send(
            Method::GET,
            "Patient?Cookie=Chip",
            &[("prefer", "handling=strict")],
            None,
        )
        .await;
    assert_eq!(strict.status, 400);
}

#[tokio::test]
async fn links_in_a_transaction_lead_to_its_entries() {
    let service = Service::anonymous(FhirVersion::R4).await;
    let (file, kept) = (
        "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a",
        "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
    );
    let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"{file}\">{file}</a></div>");
    let document = json!({
        "resourceType": "DocumentReference", "id": "d", "status": "current", "text": {"status": "generated", "div": div},
        "extension": [{"url": "http://example.org/file", "valueUri": file}, {"url": "http://example.org/other", "valueUri": kept}],
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": file}],
        "content": [{"attachment": {"contentType": "text/plain", "url": file}}],
    });
    let entries = [
        json!({"fullUrl": file, "resource": {"resourceType": "Binary", "contentType": "text/plain", "data": "YQ=="},
            "request": request("POST", "Binary")}),
        json!({"resource": document, "request": request("PUT", "DocumentReference/d")}),
    ];
    let answer = service.post("", &bundle("transaction", &entries)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let location = answer.text("/entry/0/response/location").to_owned();
    let binary = &location[location.find("Binary/").unwrap()..location.find("/_history").unwrap()];
    let document = service.get("DocumentReference/d").await;
    assert_eq!(document.text("/content/0/attachment/url"), binary);
    assert_eq!(document.text("/extension/0/valueUri"), binary);
    assert_eq!(document.text("/extension/1/valueUri"), kept);
    // what says that it is a text stays one
    assert_eq!(document.text("/identifier/0/value"), file);
    let linked = format!("<a href=\"{binary}\">{file}</a>");
    assert!(document.text("/text/div").contains(&linked), "{}", document.body);
}

fn bundle(kind: &str, entries: &[Value]) -> String {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries}).to_string()
}

fn request(method: &str, url: &str) -> Value {
    json!({"method": method, "url": url})
}

#[tokio::test]
async fn entries_of_a_batch_are_independent() {
    let service = Service::anonymous(FhirVersion::R4).await;
    let good = json!({"resource": {"resourceType": "Patient"}, "request": request("POST", "Patient")});
    let bad = json!({"resource": {"resourceType": "Patient", "gender": "x"}, "request": request("POST", "Patient")});
    let read = json!({"request": request("GET", "Patient?_summary=count")});
    let answer = service.post("", &bundle("batch", &[read, bad, good])).await;
    assert_eq!((answer.status.as_u16(), answer.text("/type")), (200, "batch-response"));
    let statuses: Vec<&str> = (0..3)
        .map(|index| {
            answer.body["entry"][index]["response"]["status"]
                .as_str()
                .expect("status")
        })
        .collect();
    assert_eq!(statuses, ["200", "400", "201"]);
    // Reads come last, whatever their place.
    assert_eq!(answer.body["entry"][0]["resource"]["total"], 1);
    assert_eq!(
        answer.text("/entry/1/response/outcome/issue/0/expression/0"),
        "Patient.gender"
    );
}

#[rstest]
#[case(FhirVersion::R4)]
#[case(FhirVersion::Stu3)]
#[tokio::test]
async fn a_transaction_is_all_or_nothing(#[case] version: FhirVersion) {
    let service = Service::anonymous(version).await;
    let patient = json!({
        "fullUrl": "urn:uuid:7b4ad5ce-fb7b-4f3a-8d8a-0a2c33a3ff01",
        "resource": {"resourceType": "Patient", "identifier": [{"value": "p"}]},
        "request": request("POST", "Patient"),
    });
    let observation = json!({
        "resource": {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "c"},
            "subject": {"reference": "urn:uuid:7b4ad5ce-fb7b-4f3a-8d8a-0a2c33a3ff01"},
        },
        "request": request("POST", "Observation"),
    });
    let missing = json!({"request": request("GET", "Patient/missing")});
    let failed = service
        .post(
            "",
            &bundle("transaction", &[observation.clone(), patient.clone(), missing]),
        )
        .await;
    assert_eq!(failed.status, 404);
    assert_eq!(
        failed.text("/issue/0/diagnostics"),
        "Transaction failed on 'GET' for the requested url '/Patient/missing'."
    );
    assert_eq!(service.get("Patient?_summary=count").await.body["total"], 0);

    let done = service.post("", &bundle("transaction", &[observation, patient])).await;
    assert_eq!(
        (done.status.as_u16(), done.text("/type")),
        (200, "transaction-response")
    );
    let reference = format!("Patient/{}", done.text("/entry/1/resource/id"));
    assert_eq!(done.text("/entry/0/resource/subject/reference"), reference);
    // The new reference is indexed, too.
    let found = service
        .get(&format!("Observation?subject={reference}&_summary=count"))
        .await;
    assert_eq!(found.body["total"], 1);
    let of_compartment = service.get(&format!("{reference}/*")).await;
    assert_eq!(of_compartment.body["entry"].as_array().map(Vec::len), Some(1));
}

#[rstest]
#[case("batch", 400)]
#[case("transaction", 400)]
#[tokio::test]
async fn bundles_are_bounded(#[case] kind: &str, #[case] status: u16) {
    let service = Service::anonymous(FhirVersion::R4).await;
    let entry = json!({"request": request("GET", "Patient/1")});
    let answer = service.post("", &bundle(kind, &vec![entry; 5_001])).await;
    assert_eq!(answer.status, status);
    assert_eq!(
        answer.text("/issue/0/diagnostics"),
        "The number of entries in the bundle exceeded the configured limit of 5000."
    );
}

#[tokio::test]
async fn conditional_creates_of_a_transaction_race_to_one_each() {
    let service = Service::anonymous(FhirVersion::R4).await;
    let entry = |value: &str| {
        json!({
            "resource": {"resourceType": "Patient", "identifier": [{"value": value}]},
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": format!("identifier={value}")},
        })
    };
    let both = bundle("transaction", &[entry("a"), entry("b")]);
    let sent = (0..8).map(|_| service.post("", &both));
    let answers = futures::future::join_all(sent).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{}", answers[0].body);
    assert_eq!(service.get("Patient?_summary=count").await.body["total"], 2);
}

#[rstest]
#[case(Method::POST, &[("if-none-exist", "")], "Patient", 400)]
#[case(Method::POST, &[("if-none-exist", "unknown=1")], "Patient", 400)]
#[case(Method::PUT, &[], "Patient?_count=1", 400)]
#[case(Method::DELETE, &[], "Patient", 412)]
#[case(Method::DELETE, &[], "Patient?unknown=1", 412)]
#[tokio::test]
async fn conditions_without_a_criterion_are_refused(
    #[case] method: Method,
    #[case] headers: &[(&str, &str)],
    #[case] path: &str,
    #[case] status: u16,
) {
    let service = Service::anonymous(FhirVersion::R4).await;
    let body = (method != Method::DELETE).then_some(r#"{"resourceType":"Patient"}"#);
    assert_eq!(service.send(method, path, headers, body).await.status, status);
}
