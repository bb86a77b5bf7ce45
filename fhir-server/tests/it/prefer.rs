//! `Prefer: return` on every write, alone and in bundles, and headers that come back.

use fhir_server_settings::FhirVersion;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::Service;
use crate::service::Answer;

const JSON_PATCH: &str = r#"[{"op":"replace","path":"/gender","value":"other"}]"#;

/// What an answer is: its status and the type of its resource, `-` for none.
fn shape(answer: &Answer) -> String {
    let kind = answer.body["resourceType"].as_str().unwrap_or("-");
    format!("{} {kind}", answer.status.as_u16())
}

#[rstest]
#[case::nothing("", ["201 Patient", "200 Patient", "200 Patient", "200 Patient", "200 Patient", "204 -"])]
#[case::minimal("return=minimal", ["201 -", "200 -", "200 -", "200 -", "200 -", "204 -"])]
#[case::representation("return=representation, respond-async", ["201 Patient", "200 Patient", "200 Patient", "200 Patient", "200 Patient", "204 -"])]
#[case::outcome("return=OperationOutcome", ["201 OperationOutcome", "200 OperationOutcome", "200 OperationOutcome", "200 OperationOutcome", "200 OperationOutcome", "200 OperationOutcome"])]
#[tokio::test]
async fn writes(
    #[case] prefer: &str,
    #[case] expected: [&str; 6],
    #[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion,
) {
    let service = Service::anonymous(version).await;
    let prefer = [("prefer", prefer)];
    let first = r#"{"resourceType":"Patient","id":"a","gender":"male","identifier":[{"value":"x"}]}"#;
    let second = first.replace("male", "female");
    let patch = [prefer[0], ("content-type", "application/json-patch+json")];
    let if_none_exist = [prefer[0], ("if-none-exist", "identifier=x")];
    let answers = [
        service.send(Method::PUT, "Patient/a", &prefer, Some(first)).await,
        service.send(Method::POST, "Patient", &if_none_exist, Some(first)).await,
        service
            .send(Method::PUT, "Patient?identifier=x", &prefer, Some(&second))
            .await,
        service.send(Method::PATCH, "Patient/a", &patch, Some(JSON_PATCH)).await,
        service
            .send(
                Method::PATCH,
                "Patient?identifier=x",
                &patch,
                Some(&JSON_PATCH.replace("other", "unknown")),
            )
            .await,
        service.send(Method::DELETE, "Patient/a", &prefer, None).await,
    ];
    assert_eq!(answers.each_ref().map(shape), expected);
    let etags = answers.each_ref().map(|answer| answer.header("etag"));
    assert_eq!(
        etags,
        ["W/\"1\"", "W/\"1\"", "W/\"2\"", "W/\"3\"", "W/\"4\"", "W/\"5\""]
    );
}

#[rstest]
#[case("return=minimal", "-", "-")]
#[case("return=representation", "Patient", "-")]
#[case("return=OperationOutcome", "-", "OperationOutcome")]
#[tokio::test]
async fn bundles(
    #[case] prefer: &str,
    #[case] resource: &str,
    #[case] outcome: &str,
    #[values("batch", "transaction")] kind: &str,
) {
    let service = Service::anonymous(FhirVersion::R4).await;
    let entry = |method: &str, url: &str| json!({"request": {"method": method, "url": url}, "resource": {"resourceType": "Patient", "id": "a"}});
    let bundle =
        json!({"resourceType": "Bundle", "type": kind, "entry": [entry("POST", "Patient"), entry("PUT", "Patient/a")]});
    let answer = service
        .send(Method::POST, "", &[("prefer", prefer)], Some(&bundle.to_string()))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    for entry in answer.body["entry"].as_array().expect("entries") {
        let kind = |value: &Value| value["resourceType"].as_str().unwrap_or("-").to_owned();
        assert_eq!(
            (kind(&entry["resource"]), kind(&entry["response"]["outcome"])),
            (resource.to_owned(), outcome.to_owned())
        );
        assert_eq!(entry["response"]["status"], "201");
    }
}

#[rstest]
#[case(
    "return=nothing",
    "The 'return' value 'nothing' is invalid. The supported values are: 'minimal', 'representation', 'OperationOutcome'."
)]
#[case(
    "handling=no",
    "The 'handling' value 'no' is invalid. The supported values are: 'strict', 'lenient'."
)]
#[tokio::test]
async fn unknown_values(#[case] prefer: &str, #[case] expected: &str) {
    let service = Service::anonymous(FhirVersion::R4).await;
    let answer = service
        .send(
            Method::POST,
            "Patient",
            &[("prefer", prefer)],
            Some(r#"{"resourceType":"Patient"}"#),
        )
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.text("/issue/0/diagnostics")),
        (400, expected)
    );
}

#[rstest]
#[case(&[("x-request-id", "r")], "r")]
#[case(&[("x-correlation-id", "c")], "c")]
#[case(&[("x-request-id", "r"), ("x-correlation-id", "c")], "r")]
#[case(&[], "")]
#[tokio::test]
async fn a_request_is_known_by_its_id(#[case] headers: &[(&str, &str)], #[case] expected: &str) {
    let service = Service::anonymous(FhirVersion::R4).await;
    let answer = service.send(Method::GET, "Patient", headers, None).await;
    assert_eq!(answer.header("x-correlation-id"), expected);
    assert_eq!(answer.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let service = Service::anonymous(FhirVersion::R4).await;
    service.put("Patient/a", r#"{"resourceType":"Patient","id":"a"}"#).await;
    for (path, status) in [
        ("Patient/a", 200),
        ("Patient/a/_history/1", 200),
        ("Patient", 200),
        ("metadata", 200),
        ("Patient/b", 404),
    ] {
        let get = service.exchange(Method::GET, path, &[], None).await;
        let head = service.exchange(Method::HEAD, path, &[], None).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (status, 0), "{path}");
        for name in ["etag", "last-modified", "content-type", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
    }
}
