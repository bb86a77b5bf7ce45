//! How superseded versions are kept, and what is done with them; `meta` apart from its resource.

use fhir_server_settings::{FhirVersion, History, HistoryPolicy, Settings, TypeHistory};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::Service;
use crate::service::Answer;

async fn with_policies() -> Service {
    let of = |name: &str, policy| TypeHistory {
        resource_type: name.to_owned(),
        policy,
    };
    Service::start(Settings {
        fhir_version: Some(FhirVersion::R4),
        anonymous: true,
        history: History {
            default: HistoryPolicy::Versioned,
            per_type: vec![
                of("Patient", HistoryPolicy::VersionUpdate),
                of("Basic", HistoryPolicy::NoVersion),
            ],
        },
        ..Settings::default()
    })
    .await
}

fn patient(gender: &str) -> String {
    json!({"resourceType": "Patient", "id": "a", "gender": gender}).to_string()
}

async fn versions(service: &Service, path: &str) -> Vec<String> {
    let history = service.get(&format!("{path}/_history")).await;
    let entries = history.body["entry"].as_array().cloned().unwrap_or_default();
    let etag = |entry: &Value| entry["response"]["etag"].as_str().unwrap_or_default().to_owned();
    entries.iter().map(etag).collect()
}

#[tokio::test]
async fn version_update_needs_the_version() {
    let service = with_policies().await;
    assert_eq!(service.put("Patient/a", &patient("male")).await.status, 201);
    let text = "A valid if-match header is required for resource type 'Patient'.";
    let patch = r#"[{"op":"replace","path":"/gender","value":"female"}]"#;
    let patch_type = ("content-type", "application/json-patch+json");
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [{
        "resource": {"resourceType": "Patient", "id": "a", "gender": "other"},
        "request": {"method": "PUT", "url": "Patient/a"},
    }]});
    let refused: Vec<Answer> = vec![
        service.put("Patient/a", &patient("female")).await,
        service.put("Patient?_id=a", &patient("female")).await,
        service
            .send(Method::PATCH, "Patient/a", &[patch_type], Some(patch))
            .await,
        service.post("", &bundle.to_string()).await,
    ];
    for refused in refused {
        assert_eq!(refused.status, 400, "{}", refused.body);
        assert!(refused.body.to_string().contains(text), "{}", refused.body);
    }
    let named = ("if-match", "W/\"1\"");
    let changed = service
        .send(Method::PUT, "Patient/a", &[named], Some(&patient("female")))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let named = ("if-match", "W/\"2\"");
    let patched = service
        .send(Method::PATCH, "Patient/a", &[patch_type, named], Some(patch))
        .await;
    assert_eq!(patched.status, 200, "{}", patched.body);
    // a deletion names none, and what is deleted is created again
    assert_eq!(service.delete("Patient/a").await.status, 204);
    assert_eq!(service.put("Patient/a", &patient("male")).await.status, 201);
}

#[tokio::test]
async fn no_version_keeps_the_current_one_only() {
    let service = with_policies().await;
    let basic = |text: &str| json!({"resourceType": "Basic", "id": "b", "code": {"text": text}}).to_string();
    for text in ["one", "two", "three"] {
        assert!(service.put("Basic/b", &basic(text)).await.status.is_success());
    }
    assert_eq!(versions(&service, "Basic/b").await, ["W/\"3\""]);
    assert_eq!(service.get("Basic/b/_history/2").await.status, 404);
    assert_eq!(service.delete("Basic/b").await.status, 204);
    assert_eq!(service.get("Basic/b/_history/3").await.status, 404);
    let shown = service.get("metadata").await;
    let types = shown.body["rest"][0]["resource"].as_array().cloned().expect("types");
    let versioning = |name: &str| {
        types
            .iter()
            .find(|of| of["type"] == name)
            .map(|of| of["versioning"].clone())
    };
    assert_eq!(versioning("Basic"), Some(json!("no-version")));
    assert_eq!(versioning("Patient"), Some(json!("versioned-update")));
    assert_eq!(versioning("Observation"), Some(json!("versioned")));
}

#[rstest]
#[case::tags_alone(json!({"meta": {"tag": [{"code": "t"}]}}), "?_meta-history=false", &["W/\"2\""])]
#[case::tags_kept(json!({"meta": {"tag": [{"code": "t"}]}}), "?_meta-history=true", &["W/\"2\"", "W/\"1\""])]
#[case::content(json!({"meta": {"tag": [{"code": "t"}]}, "gender": "male"}), "?_meta-history=false", &["W/\"2\"", "W/\"1\""])]
#[case::nothing(json!({}), "?_meta-history=false", &["W/\"1\""])]
#[tokio::test]
async fn meta_history_false_keeps_no_version_that_differs_in_meta_alone(
    #[case] changes: Value,
    #[case] query: &str,
    #[case] kept: &[&str],
) {
    let service = Service::anonymous(FhirVersion::R4).await;
    let mut body = json!({"resourceType": "Patient", "id": "a"});
    service.put("Patient/a", &body.to_string()).await;
    for (name, value) in changes.as_object().expect("an object") {
        body[name] = value.clone();
    }
    let changed = service.put(&format!("Patient/a{query}"), &body.to_string()).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(versions(&service, "Patient/a").await, kept);
}

#[tokio::test]
async fn purge_history_leaves_the_current_version() {
    let service = Service::anonymous(FhirVersion::R4).await;
    for gender in ["male", "female", "other"] {
        service.put("Patient/a", &patient(gender)).await;
    }
    assert_eq!(versions(&service, "Patient/a").await.len(), 3);
    assert_eq!(service.delete("Patient/a/$purge-history").await.status, 204);
    assert_eq!(versions(&service, "Patient/a").await, ["W/\"3\""]);
    assert_eq!(service.get("Patient/a").await.text("/gender"), "other");
    assert_eq!(
        service.get("Patient?gender=other").await.text("/entry/0/resource/id"),
        "a"
    );
    assert_eq!(service.delete("Patient/a/$purge-history").await.status, 204);
    // the history goes on
    service.put("Patient/a", &patient("male")).await;
    assert_eq!(versions(&service, "Patient/a").await, ["W/\"4\"", "W/\"3\""]);
}

#[tokio::test]
async fn meta_is_read_and_edited() {
    let service = Service::anonymous(FhirVersion::R4).await;
    service.put("Patient/a", &patient("male")).await;
    let given = |meta: Value| {
        json!({"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}).to_string()
    };
    let tags = given(json!({"tag": [{"system": "http://s", "code": "a"}, {"code": "b"}]}));
    let added = service.post("Patient/a/$meta-add", &tags).await;
    assert_eq!(
        (added.status.as_u16(), added.text("/parameter/0/valueMeta/versionId")),
        (200, "2")
    );
    // what is there already changes nothing
    assert_eq!(
        service
            .post("Patient/a/$meta-add", &tags)
            .await
            .text("/parameter/0/valueMeta/versionId"),
        "2"
    );
    assert_eq!(
        service
            .get("Patient?_tag=http://s|a")
            .await
            .text("/entry/0/resource/gender"),
        "male"
    );
    let removed = service
        .post("Patient/a/$meta-delete", &given(json!({"tag": [{"code": "b"}]})))
        .await;
    assert_eq!(removed.status, 200, "{}", removed.body);
    let meta = service.get("Patient/a/$meta").await;
    let tag = json!([{"system": "http://s", "code": "a"}]);
    assert_eq!(meta.body["parameter"][0]["valueMeta"]["tag"], tag);
    assert_eq!(service.post("Patient/a/$meta-add", "").await.status, 400);
    assert_eq!(service.get("Patient/nobody/$meta").await.status, 404);
}

#[tokio::test]
async fn the_last_observations_of_each_code() {
    let service = Service::anonymous(FhirVersion::R4).await;
    let observe = async |id: &str, code: &str, day: u32| {
        let body = json!({"resourceType": "Observation", "id": id, "status": "final",
            "category": [{"coding": [{"code": "vital-signs"}]}],
            "code": {"coding": [{"system": "http://l", "code": code}]},
            "subject": {"reference": "Patient/a"}, "effectiveDateTime": format!("2020-01-{day:02}")});
        assert_eq!(
            service
                .put(&format!("Observation/{id}"), &body.to_string())
                .await
                .status,
            201
        );
    };
    for (id, code, day) in [
        ("p1", "pulse", 1),
        ("w1", "weight", 9),
        ("p2", "pulse", 3),
        ("p3", "pulse", 2),
    ] {
        observe(id, code, day).await;
    }
    let ids = async |query: &str| {
        let found = service.get(query).await;
        let entries = found.body["entry"].as_array().cloned().unwrap_or_default();
        let id = |entry: &Value| entry["resource"]["id"].as_str().unwrap_or_default().to_owned();
        entries.iter().map(id).collect::<Vec<_>>()
    };
    assert_eq!(
        ids("Observation/$lastn?patient=a&category=vital-signs").await,
        ["w1", "p2"]
    );
    assert_eq!(
        ids("Observation/$lastn?subject=Patient/a&category=vital-signs&max=2").await,
        ["w1", "p2", "p3"]
    );
    assert_eq!(
        ids("Observation/$lastn?patient=a&code=http://l|pulse&date=lt2020-01-03").await,
        ["p3"]
    );
    assert_eq!(service.get("Observation/$lastn?patient=a").await.status, 400);
    assert_eq!(
        service
            .get("Observation/$lastn?patient=a&category=x&max=0")
            .await
            .status,
        400
    );
    let body = json!({"resourceType": "Parameters", "parameter": [
        {"name": "patient", "valueString": "a"}, {"name": "category", "valueString": "vital-signs"}]});
    assert_eq!(
        service.post("Observation/$lastn", &body.to_string()).await.body["total"],
        2
    );
}
