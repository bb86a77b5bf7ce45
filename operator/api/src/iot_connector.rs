//! `IoTConnector`: turns device messages into Observations of one `FhirService`.

mod authentication;
mod mapping;
mod networking;
mod source;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use authentication::{DeviceAuthentication, DeviceIssuer};
pub use iot_connector_settings::{Compatibility, IdentityResolution};
pub use mapping::Mapping;
pub use networking::{DeviceNetworking, MqttNetworking, ServiceType};
pub use source::{
    HttpSource, KafkaSource, ManagedSource, MqttSource, MqttVersion, NatsAccess, NatsSource, SaslMechanism, SharedWork,
    Source,
};

use crate::fhir_service::{NAME_MESSAGE, NAME_RULE};
use crate::shared::{DeletionPolicy, PodOptions, Resources};

/// Size of a spool volume if nothing is said. The CEL rule on growth counts an absent size as this one.
pub const DEFAULT_SPOOL_STORAGE: &str = "5Gi";
/// The connection that a connector has if none is named.
pub const DEFAULT_CONNECTION: &str = "default";

/// A connector from devices to a FHIR service.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "fhir-operator.dev",
    version = "v1alpha1",
    kind = "IoTConnector",
    plural = "iotconnectors",
    shortname = "iot",
    category = "fhir-operator",
    namespaced,
    status = "IoTConnectorStatus",
    derive = "PartialEq",
    doc = "A connector that turns device messages into Observations of a FhirService.",
    validation = Rule::new(NAME_RULE).message(NAME_MESSAGE),
    printcolumn(name = "FHIR", type_ = "string", json_path = ".spec.fhirService", description = "FhirService that it writes to"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Mapping", type_ = "string", json_path = r#".status.conditions[?(@.type=="MappingsValid")].reason"#),
    printcolumn(name = "Rate", type_ = "string", json_path = ".status.rate", description = "Messages a second"),
    printcolumn(name = "Backlog", type_ = "integer", json_path = ".status.backlog", description = "Messages that wait"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.fhirService == oldSelf.fhirService")
        .message("fhirService is immutable: make a new IoTConnector for another service"),
    validation = Rule::new("(has(self.source) && has(self.source.managed)) == (has(oldSelf.source) && has(oldSelf.source.managed)) && (has(self.source) && has(self.source.http)) == (has(oldSelf.source) && has(oldSelf.source.http)) && (has(self.source) && has(self.source.mqtt)) == (has(oldSelf.source) && has(oldSelf.source.mqtt)) && (has(self.source) && has(self.source.nats)) == (has(oldSelf.source) && has(oldSelf.source.nats)) && (has(self.source) && has(self.source.kafka)) == (has(oldSelf.source) && has(oldSelf.source.kafka))")
        .message("the kind of source is immutable; absent is embedded"),
    validation = Rule::new("(has(self.source) && has(self.source.nats) && has(self.source.nats.shared)) == (has(oldSelf.source) && has(oldSelf.source.nats) && has(oldSelf.source.nats.shared))")
        .message("source.nats.shared can't be added or removed: messages that wait would stay behind; make a new IoTConnector"),
    validation = Rule::new("(has(self.source) && has(self.source.kafka) && has(self.source.kafka.shared)) == (has(oldSelf.source) && has(oldSelf.source.kafka) && has(oldSelf.source.kafka.shared))")
        .message("source.kafka.shared can't be added or removed: messages that wait would stay behind; make a new IoTConnector"),
    validation = Rule::new("(has(self.source) && has(self.source.embedded) && has(self.source.embedded.storageClassName) ? self.source.embedded.storageClassName : '') == (has(oldSelf.source) && has(oldSelf.source.embedded) && has(oldSelf.source.embedded.storageClassName) ? oldSelf.source.embedded.storageClassName : '')")
        .message("source.embedded.storageClassName is immutable"),
    validation = Rule::new("quantity(has(self.source) && has(self.source.embedded) && has(self.source.embedded.storage) ? self.source.embedded.storage : '5Gi').compareTo(quantity(has(oldSelf.source) && has(oldSelf.source.embedded) && has(oldSelf.source.embedded.storage) ? oldSelf.source.embedded.storage : '5Gi')) >= 0")
        .message("source.embedded.storage only grows; absent is 5Gi"),
    validation = Rule::new("!has(self.connections) || !has(oldSelf.connections) || self.connections.all(new, oldSelf.connections.all(old, old.name != new.name || (has(new.keyGeneration) ? new.keyGeneration : 1) >= (has(old.keyGeneration) ? old.keyGeneration : 1)))")
        .message("connections[].keyGeneration only grows: a higher number makes a new key")
)]
pub struct IoTConnectorSpec {
    /// The `FhirService` in the same namespace that Observations are written to; immutable.
    #[schemars(length(min = 3, max = 24))]
    pub fhir_service: String,
    /// How a device is tied to a Device and a Patient resource; absent: `Lookup`. `LookupWithEncounter` also
    /// needs an Encounter in every message, and finds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_resolution: Option<IdentityResolution>,
    /// Identifier system of Device resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub device_identifier_system: Option<String>,
    /// Identifier system of Patient resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub patient_identifier_system: Option<String>,
    /// Templates from device messages to measurements (`CollectionContent`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_mapping: Option<Mapping>,
    /// Templates from measurements to Observations (`CollectionFhir`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fhir_mapping: Option<Mapping>,
    /// Where messages come from; absent: HTTP into a spool on a volume of 5Gi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Named device credentials; absent: one named `default`. An empty list: no device may send.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub connections: Option<Vec<Connection>>,
    /// Issuers whose tokens let devices send, beside `connections`; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<DeviceAuthentication>,
    /// How devices outside the cluster reach the connector. Not supported by this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networking: Option<DeviceNetworking>,
    /// What the connector is sized for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// For how long readings are collected before an Observation is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Bounds of the dead letters; at a bound no message is taken in until somebody has looked, and nothing is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<DeadLetters>,
    /// What is kept of messages that are done with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// Whether to do as upstream where it differs from good sense; absent: `standard`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<Compatibility>,
    /// What happens to the spool when the connector is deleted; absent: `Retain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Compute resources of the connector; absent: by capacity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Where and how the pod is placed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodOptions>,
    /// Keep messages and configuration, run nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// A named device credential. Its key is in Secret `CONNECTOR-iot-NAME`, or `CONNECTOR-iot-NAME.GENERATION` from the
/// second generation on.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Name of the connection.
    #[schemars(length(min = 1, max = 24), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// A higher number makes a new key; the old one is valid for 24 hours more. Absent: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub key_generation: Option<u32>,
}

/// What the connector is sized for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// Messages a second; what exceeds it waits, and is never dropped. Absent: 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 200, max = 10_000))]
    pub messages_per_second: Option<u32>,
}

/// For how long readings are collected before an Observation is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Seconds; absent: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 900))]
    pub flush_seconds: Option<u32>,
    /// Events after which the window is flushed before its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_events: Option<u32>,
}

/// Bounds of the dead letters, beside the 256 MiB that their messages may take, less on a volume below 3Gi.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetters {
    /// How many; absent: 100,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_count: Option<u32>,
    /// Age of the oldest in days; absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub max_days: Option<u32>,
}

/// What is kept of messages that are done with, so that people can ask what became of them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// The latest so many messages, with bodies of at most 8 KiB, on the connector's volume; 0: none. Absent: 10,000. On a
    /// small volume bodies are shorter or traces fewer, so that they fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 50_000))]
    pub keep: Option<u32>,
}

/// What runs, how devices reach it, and how far it is.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IoTConnectorStatus {
    /// The generation that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where devices send to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// The credentials that are valid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub connections: Vec<ConnectionStatus>,
    /// When the last message came.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_message_time: Option<String>,
    /// Messages a second, for example `12/s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// Messages that wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog: Option<i64>,
    /// Messages that couldn't be turned into Observations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<i64>,
    /// When the figures above were taken; they are at most a minute old while messages flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub figures_time: Option<String>,
    /// The Tenant that holds the namespace; absent where the namespace is a tenant of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Conditions, see the reference of conditions and reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
}

/// Where devices send to.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// URL for HTTP POST.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// Address for MQTT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<String>,
}

/// A valid credential.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionStatus {
    /// Name of the connection.
    pub name: String,
    /// Generation of its key.
    pub key_generation: u32,
    /// Secret that holds the key.
    pub secret_name: String,
}
