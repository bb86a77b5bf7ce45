//! What is made for a service or connector, what is repaired, what is left alone.

use http::{Method, StatusCode};
use serde_json::json;

use crate::api::{Api, Write};
use crate::objects::{connector, connector_path, core_path, says, service, service_path, stateful_set_path};
use crate::operator::Operator;

/// Waits until a service's children are there and its status speaks of them: nothing more comes by itself.
async fn made(api: &Api, namespace: &str, name: &str) {
    let path = service_path(namespace, name);
    let settled = |api: &Api| {
        let conditions = api.get(&path)?["status"]["conditions"].to_string();
        let seen = ["isn't bound yet", "has no pod yet"]
            .iter()
            .all(|message| conditions.contains(message));
        seen.then_some(())
    };
    api.until("children that the status speaks of", settled).await;
}

#[tokio::test]
async fn a_service_gets_its_children_in_order() {
    let api = Api::new();
    let _operator = Operator::start(&api).await;
    api.put(&service_path("ward", "clinic"), service("clinic"));
    made(&api, "ward", "clinic").await;
    let made: Vec<String> = api
        .writes()
        .iter()
        .filter(|write| !write.path.contains("fhirservices"))
        .map(|write| write.path.rsplit("/ward/").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        made,
        [
            "serviceaccounts/clinic-fhir",
            "networkpolicies/clinic-fhir",
            "configmaps/clinic-fhir-settings",
            "configmaps/clinic-fhir-access",
            "persistentvolumeclaims/clinic-fhir-data",
            "services/clinic",
            "statefulsets/clinic-fhir",
        ]
    );
    let claim = api
        .get(&core_path("ward", "persistentvolumeclaims", "clinic-fhir-data"))
        .unwrap();
    assert!(
        claim["metadata"]["ownerReferences"].is_null(),
        "retained data has no owner: {claim}"
    );
}

#[tokio::test]
async fn at_rest_nothing_is_written() {
    let api = Api::new();
    let operator = Operator::start(&api).await;
    api.put(&service_path("ward", "clinic"), service("clinic"));
    made(&api, "ward", "clinic").await;
    operator.stop().await;
    let before = api.writes().len();

    // A new leader looks at everything; when it has made something new, it has seen the old one too.
    let _operator = Operator::start(&api).await;
    api.put(&service_path("annex", "other"), service("other"));
    made(&api, "annex", "other").await;
    let unwanted: Vec<Write> = api
        .writes()
        .split_off(before)
        .into_iter()
        .filter(|write| write.path.contains("clinic"))
        .collect();
    assert_eq!(unwanted, []);
}

#[tokio::test]
async fn drift_is_repaired_and_a_pause_is_respected() {
    let api = Api::new();
    let _operator = Operator::start(&api).await;
    api.put(&service_path("ward", "clinic"), service("clinic"));
    made(&api, "ward", "clinic").await;
    let settings = core_path("ward", "configmaps", "clinic-fhir-settings");
    let wanted = api.get(&settings).unwrap()["data"].clone();
    api.edit(&settings, |map| map["data"]["settings.json"] = json!("{}"));
    api.until("the repair", |api| {
        (api.get(&settings)?["data"] == wanted).then_some(())
    })
    .await;

    api.edit(&service_path("ward", "clinic"), |service| {
        service["metadata"]["annotations"] = json!({"fhir-operator.dev/paused": "true"});
    });
    let paused = |api: &Api| says(&api.get(&service_path("ward", "clinic"))?, "Paused", "True", "Paused").then_some(());
    api.until("the pause", paused).await;
    api.delete(&settings);
    api.put(&service_path("annex", "other"), service("other"));
    made(&api, "annex", "other").await;
    assert_eq!(api.get(&settings), None);
}

#[tokio::test]
async fn a_name_that_is_taken_is_left_alone_and_nothing_else_is_made() {
    let api = Api::new();
    let taken = core_path("ward", "services", "clinic");
    api.put(
        &taken,
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "clinic"}, "spec": {"type": "ClusterIP"}}),
    );
    let before = api.get(&taken);
    let _operator = Operator::start(&api).await;
    api.put(&service_path("ward", "clinic"), service("clinic"));
    let told = |api: &Api| {
        says(
            &api.get(&service_path("ward", "clinic"))?,
            "Ready",
            "False",
            "NameTaken",
        )
        .then_some(())
    };
    api.until("the condition", told).await;
    assert_eq!(api.get(&taken), before);
    assert_eq!(api.paths("/apis/apps/v1/"), Vec::<String>::new());
}

#[tokio::test]
async fn a_refused_volume_is_told_and_the_others_are_applied() {
    let api = Api::new();
    api.fail_next("clinic-fhir-data", StatusCode::UNPROCESSABLE_ENTITY);
    let _operator = Operator::start(&api).await;
    api.put(&service_path("ward", "clinic"), service("clinic"));
    made(&api, "ward", "clinic").await;
}

#[tokio::test]
async fn an_error_is_tried_again() {
    let api = Api::new();
    api.fail_next("statefulsets/clinic-fhir", StatusCode::INTERNAL_SERVER_ERROR);
    let _operator = Operator::start(&api).await;
    api.put(&service_path("ward", "clinic"), service("clinic"));
    made(&api, "ward", "clinic").await;
}

#[tokio::test]
async fn what_is_no_longer_wanted_goes_and_data_stays() {
    let api = Api::new();
    let _operator = Operator::start(&api).await;
    api.put(&service_path("ward", "clinic"), service("clinic"));
    made(&api, "ward", "clinic").await;
    let uid = api.get(&service_path("ward", "clinic")).unwrap()["metadata"]["uid"].clone();
    let labels = json!({
        "app.kubernetes.io/managed-by": "fhir-operator", "app.kubernetes.io/name": "fhir-server",
        "app.kubernetes.io/instance": "clinic", "fhir-operator.dev/owner-uid": uid,
    });
    let old = core_path("ward", "configmaps", "clinic-fhir-old");
    api.put(
        &old,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "clinic-fhir-old", "labels": labels}}),
    );
    api.until("the pruning", |api| api.get(&old).is_none().then_some(()))
        .await;
    let deleted: Vec<Write> = api
        .writes()
        .into_iter()
        .filter(|write| write.method == Method::DELETE)
        .collect();
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    assert!(
        api.get(&core_path("ward", "persistentvolumeclaims", "clinic-fhir-data"))
            .is_some()
    );
}

#[tokio::test]
async fn a_device_key_is_made_once_and_never_lost() {
    let api = Api::new();
    // The Secret is there, but its answer got lost: the operator can't look, and must accept the key that it holds.
    api.fail_next("ward/secrets", StatusCode::SERVICE_UNAVAILABLE);
    let _operator = Operator::start(&api).await;
    api.put(&service_path("ward", "clinic"), service("clinic"));
    api.put(&connector_path("ward", "vitals"), connector("vitals", "clinic"));
    let secret = core_path("ward", "secrets", "vitals-iot-default");
    let secret = api.until("the Secret", |api| api.get(&secret)).await;
    let key = secret["stringData"]["key"].as_str().unwrap().to_owned();
    let keys = core_path("ward", "configmaps", "vitals-iot-keys");
    let settled = stateful_set_path("ward", "vitals-iot");
    api.until("the workload", |api| api.get(&settled)).await;
    let accepted = api.get(&keys).unwrap()["data"]["keys.json"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(accepted.contains(&sha256(&key)), "{accepted}");
    assert!(
        !api.get(&keys).unwrap().to_string().contains(&key),
        "the key itself is in its Secret only"
    );
    assert_eq!(api.paths("/api/v1/namespaces/ward/secrets").len(), 1);
}

fn sha256(text: &str) -> String {
    use sha2::Digest;
    fhir_operator::kubernetes::apply::hex(&sha2::Sha256::digest(text))
}

#[tokio::test]
async fn an_object_that_no_longer_fits_stops_nobody() {
    let api = Api::new();
    let mut odd = service("odd");
    odd["spec"]["fhirVersion"] = json!("R9");
    api.put(&service_path("ward", "odd"), odd);
    let _operator = Operator::start(&api).await;
    api.put(&service_path("ward", "clinic"), service("clinic"));
    made(&api, "ward", "clinic").await;
    let told = |api: &Api| {
        says(
            &api.get(&service_path("ward", "odd"))?,
            "Ready",
            "False",
            "NotSupported",
        )
        .then_some(())
    };
    api.until("the condition", told).await;
}

#[tokio::test]
async fn another_operators_namespace_is_left_alone() {
    let api = Api::new();
    api.edit("/api/v1/namespaces/ward", |namespace| {
        namespace["metadata"]["annotations"] = json!({"fhir-operator.dev/operator": "another"});
    });
    api.put(&service_path("ward", "theirs"), service("theirs"));
    let _operator = Operator::start(&api).await;
    api.put(&service_path("annex", "ours"), service("ours"));
    made(&api, "annex", "ours").await;
    assert!(api.get(&service_path("ward", "theirs")).unwrap()["status"].is_null());
}
