//! Admission: asked as the API server asks.

use axum::body::Body;
use fhir_operator::admission;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt;

use crate::api::Api;
use crate::objects::{connector, connector_path, says, service, service_path};
use crate::operator::Operator;

async fn ask(operator: &Operator, kind: &str, namespace: &str, object: Value, old: Value) -> Value {
    let name = object["metadata"]["name"].clone();
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "kind": {"group": "fhir-operator.dev", "version": "v1alpha1", "kind": kind},
            "namespace": namespace, "name": name, "operation": if old.is_null() { "CREATE" } else { "UPDATE" },
            "object": object, "oldObject": old,
        },
    });
    let request = Request::post("/admission")
        .header("content-type", "application/json")
        .body(Body::from(review.to_string()))
        .unwrap();
    let response = admission::routes(Arc::clone(&operator.context))
        .oneshot(request)
        .await
        .unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice::<Value>(&bytes).unwrap()["response"].clone()
}

async fn operator_with_service(api: &Api) -> Operator {
    let operator = Operator::start(api).await;
    let path = service_path("ward", "clinic");
    api.put(&path, service("clinic"));
    api.until("its place", |api| {
        says(&api.get(&path)?, "Admitted", "True", "Admitted").then_some(())
    })
    .await;
    operator
}

#[tokio::test]
async fn the_third_connector_is_forbidden_before_anybody_has_a_place() {
    let api = Api::new();
    let operator = operator_with_service(&api).await;
    for name in ["conn-a", "conn-b"] {
        let answer = ask(
            &operator,
            "IoTConnector",
            "ward",
            connector(name, "clinic"),
            Value::Null,
        )
        .await;
        assert_eq!(answer["allowed"], true, "{answer}");
        api.put(&connector_path("ward", name), connector(name, "clinic"));
    }
    let answer = ask(
        &operator,
        "IoTConnector",
        "ward",
        connector("conn-c", "clinic"),
        Value::Null,
    )
    .await;
    assert_eq!(answer["allowed"], false);
    assert_eq!(
        (&answer["status"]["code"], &answer["status"]["reason"]),
        (&json!(403), &json!("Forbidden"))
    );
    let message = answer["status"]["message"].as_str().unwrap();
    assert!(message.starts_with(
        "Reached the maximum number of IoT Connector instances that can be provisioned in this subscription"
    ));
    assert!(message.contains("2 of 2"), "{message}");
}

#[tokio::test]
async fn a_missing_service_is_a_warning() {
    let api = Api::new();
    let operator = operator_with_service(&api).await;
    let answer = ask(
        &operator,
        "IoTConnector",
        "ward",
        connector("vitals", "later"),
        Value::Null,
    )
    .await;
    assert_eq!(answer["allowed"], true);
    assert!(answer["warnings"][0].as_str().unwrap().contains("`later`"), "{answer}");
}

#[tokio::test]
async fn what_cannot_be_read_is_left_to_the_controllers() {
    let api = Api::new();
    let operator = operator_with_service(&api).await;
    let odd = json!({"metadata": {"name": "odd"}, "spec": {"fhirVersion": 7}});
    let answer = ask(&operator, "FhirService", "ward", odd, Value::Null).await;
    assert_eq!(answer["allowed"], true);
}
