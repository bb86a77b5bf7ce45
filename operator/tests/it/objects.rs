//! Custom resources as small as they can be, and where they are stored.

use serde_json::{Value, json};

const OURS: &str = "/apis/fhir-operator.dev/v1alpha1";

/// The path of a FhirService.
pub fn service_path(namespace: &str, name: &str) -> String {
    format!("{OURS}/namespaces/{namespace}/fhirservices/{name}")
}

/// The path of an IoTConnector.
pub fn connector_path(namespace: &str, name: &str) -> String {
    format!("{OURS}/namespaces/{namespace}/iotconnectors/{name}")
}

/// The path of a Tenant.
pub fn tenant_path(name: &str) -> String {
    format!("{OURS}/tenants/{name}")
}

/// The path of an object of the core group.
pub fn core_path(namespace: &str, plural: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/{plural}/{name}")
}

/// The path of a StatefulSet.
pub fn stateful_set_path(namespace: &str, name: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}")
}

/// A FhirService.
pub fn service(name: &str) -> Value {
    json!({
        "apiVersion": "fhir-operator.dev/v1alpha1", "kind": "FhirService", "metadata": {"name": name},
        "spec": {"fhirVersion": "R4", "authentication": {"serviceAccounts": true}},
    })
}

/// An IoTConnector.
pub fn connector(name: &str, service: &str) -> Value {
    json!({
        "apiVersion": "fhir-operator.dev/v1alpha1", "kind": "IoTConnector", "metadata": {"name": name},
        "spec": {"fhirService": service},
    })
}

/// A Tenant.
pub fn tenant(name: &str, namespaces: &[&str], connectors: u32) -> Value {
    json!({
        "apiVersion": "fhir-operator.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name},
        "spec": {"namespaces": namespaces, "quota": {"iotConnectors": connectors}},
    })
}

/// Status and reason of a condition.
pub fn condition(object: &Value, kind: &str) -> Option<(String, String)> {
    let found = object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)?;
    Some((
        found["status"].as_str()?.to_owned(),
        found["reason"].as_str()?.to_owned(),
    ))
}

/// Whether the condition has this status and reason.
pub fn says(object: &Value, kind: &str, status: &str, reason: &str) -> bool {
    condition(object, kind) == Some((status.to_owned(), reason.to_owned()))
}
