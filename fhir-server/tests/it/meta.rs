//! `$meta` of a type and of the service: what is in use, as far as who asks sees it.

use fhir_server_settings::FhirVersion;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::Service;

async fn filled(version: FhirVersion) -> Service {
    let service = Service::anonymous(version).await;
    let tag = |code: &str| json!({"system": "http://s", "code": code, "display": "not kept"});
    let resources = [
        json!({"resourceType": "Patient", "id": "a", "meta": {"tag": [tag("b"), tag("a")], "profile": ["http://p/one"]}}),
        json!({"resourceType": "Patient", "id": "b", "meta": {"tag": [tag("a"), {"code": "alone"}]}}),
        json!({"resourceType": "Device", "id": "c", "meta": {"security": [{"system": "http://v", "code": "R"}]}}),
        json!({"resourceType": "Device", "id": "gone", "meta": {"tag": [tag("gone")]}}),
    ];
    for resource in resources {
        let path = format!(
            "{}/{}",
            resource["resourceType"].as_str().unwrap(),
            resource["id"].as_str().unwrap()
        );
        assert_eq!(service.put(&path, &resource.to_string()).await.status, 201);
    }
    assert_eq!(service.delete("Device/gone").await.status, 204);
    service
}

#[rstest]
#[case::system("$meta", json!({
    "profile": ["http://p/one"],
    "security": [{"system": "http://v", "code": "R"}],
    "tag": [{"code": "alone"}, {"system": "http://s", "code": "a"}, {"system": "http://s", "code": "b"}],
}))]
#[case::a_type("Device/$meta", json!({"security": [{"system": "http://v", "code": "R"}]}))]
#[case::nothing("Observation/$meta", json!({}))]
#[tokio::test]
async fn lists_what_is_in_use(
    #[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion,
    #[values(Method::GET, Method::POST)] method: Method,
    #[case] path: &str,
    #[case] expected: Value,
) {
    let service = filled(version).await;
    let answer = service.send(method, path, &[], None).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        answer.body["parameter"],
        json!([{"name": "return", "valueMeta": expected}])
    );
}
