//! Worlds and objects from short YAML. Names differ from the program's, so that swapped labels are seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use daemon_settings::Otlp;
use fhir_operator_core::api::{FhirService, IoTConnector, Tenant};
use fhir_operator_core::collector::Collector;
use fhir_operator_core::releases::Catalogue;
use fhir_operator_core::tenant::Holder;
use fhir_operator_core::{ClusterIssuer, Installation, fhir_service, iot_connector};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

/// A Thursday, outside the default window.
pub const NOW: &str = "2026-01-01T12:00:00Z";
/// A Sunday within the default window.
pub const IN_WINDOW: &str = "2026-01-04T02:30:00Z";

pub fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

pub fn yaml<T: DeserializeOwned>(text: &str) -> T {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub const ADMITTED: &str = "conditions: [{type: Admitted, status: 'True', reason: Admitted, message: has a place, observedGeneration: 1, lastTransitionTime: 2026-01-01T00:00:00Z}]";

/// A collector by TLS.
pub fn collector() -> Collector {
    Collector {
        otlp: Otlp {
            endpoint: Some("https://collector.example.org".to_owned()),
            interval_seconds: 30,
            ca_file: Some("/etc/fhir-operator/otlp-authorities.pem".into()),
            attributes: [("k8s.cluster.name".to_owned(), "north".to_owned())].into(),
            ..Otlp::default()
        },
        authorities: Some("-----BEGIN CERTIFICATE-----\n".to_owned()),
    }
}

/// A FhirService with a place.
pub fn service(spec: &str) -> FhirService {
    yaml(&format!(
        "metadata: {{name: clinic, namespace: ward-a, uid: uid-clinic, generation: 3, creationTimestamp: 2026-01-01T00:00:00Z}}\nspec: {{{spec}}}\nstatus: {{{ADMITTED}}}"
    ))
}

pub const R4: &str = "fhirVersion: R4, authentication: {serviceAccounts: true}";

/// An IoTConnector with a place.
pub fn connector(spec: &str) -> IoTConnector {
    yaml(&format!(
        "metadata: {{name: vitals, namespace: ward-a, uid: uid-vitals, generation: 2, creationTimestamp: 2026-01-01T00:00:00Z}}\nspec: {{fhirService: clinic, {spec}}}\nstatus: {{{ADMITTED}}}"
    ))
}

pub fn tenant(name: &str, namespaces: &[&str], quota: &str) -> Tenant {
    yaml(&format!(
        "metadata: {{name: {name}, uid: uid-{name}, generation: 1, creationTimestamp: 2026-01-01T00:00:00Z}}\nspec: {{namespaces: [{}], quota: {{{quota}}}}}",
        namespaces.join(", ")
    ))
}

pub const CATALOGUE: &str = "
releases:
- {version: 0.1.0, channel: stable, image: 'registry.example.org/fhir:0.1.0', schema: 1}
- {version: 0.2.0, channel: stable, image: 'registry.example.org/fhir:0.2.0', schema: 2}
- {version: 0.3.0-rc.1, channel: rapid, image: 'registry.example.org/fhir:0.3.0-rc.1', schema: 3}
";

pub fn installation() -> Arc<Installation> {
    Arc::new(Installation {
        catalogue: Catalogue::parse(CATALOGUE).unwrap(),
        ..Installation::default()
    })
}

pub fn service_world() -> fhir_service::World {
    fhir_service::World {
        now: at(NOW),
        installation: installation(),
        tenant: Holder::Tenant("hospital".to_owned()),
        connectors: Vec::new(),
        stateful_set: None,
        pods: Vec::new(),
        volume_claim: None,
        network_policies: Vec::new(),
        foreign: Vec::new(),
        cluster_issuer: Some(ClusterIssuer {
            issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
            jwks: r#"{"keys":[{"kid":"one"}]}"#.to_owned(),
        }),
        refused: Vec::new(),
        page: None,
        probe: None,
    }
}

pub fn connector_world() -> iot_connector::World {
    iot_connector::World {
        now: at(NOW),
        installation: installation(),
        tenant: Holder::Tenant("hospital".to_owned()),
        service: Some(Arc::new(serving())),
        mappings: BTreeMap::new(),
        kept_mapping: None,
        keys: None,
        stateful_set: None,
        pods: Vec::new(),
        volume_claim: None,
        foreign: Vec::new(),
        refused: Vec::new(),
        page: None,
    }
}

/// A FhirService whose server runs.
pub fn serving() -> FhirService {
    let mut service = service(R4);
    let running = yaml(
        "{type: WorkloadReady, status: 'True', reason: Running, message: runs, lastTransitionTime: 2026-01-01T00:00:00Z}",
    );
    service.status.as_mut().unwrap().conditions.push(running);
    service
}

/// All of an object as YAML, each document of a list.
pub fn documents<'a>(objects: impl IntoIterator<Item = serde_json::Value> + 'a) -> String {
    let documents: Vec<String> = objects.into_iter().map(|object| through_text(&object)).collect();
    format!(
        "---
{}",
        documents.join(
            "---
"
        )
    )
}

/// YAML by way of text: a `serde_json` number keeps its text, which YAML's serialiser would show as a map.
fn through_text(object: &serde_json::Value) -> String {
    let plain: serde_yaml::Value = serde_yaml::from_str(&object.to_string()).unwrap();
    serde_yaml::to_string(&plain).unwrap()
}

pub fn json(object: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(object).unwrap()
}

/// Conditions as `Type=Status Reason: message`, a line each.
pub fn lines(conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]) -> String {
    let lines: Vec<String> = conditions
        .iter()
        .map(|one| format!("{}={} {}: {}", one.type_, one.status, one.reason, one.message))
        .collect();
    lines.join("\n")
}
