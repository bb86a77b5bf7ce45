//! Where a connector's messages come from beside HTTP.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use iot_connector_settings::{MqttVersion, SaslMechanism};

use crate::shared::Volume;

/// Where messages come from: at most one member. Whichever it is, HTTP is served too, and messages are kept in a spool
/// until their readings are Observations: on the pod's volume, or with `shared` in streams of NATS JetStream.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.embedded), has(self.managed), has(self.http), has(self.mqtt), has(self.nats), has(self.kafka)].filter(there, there).size() <= 1")
        .message("at most one of embedded, managed, http, mqtt, nats and kafka")
)]
pub struct Source {
    /// HTTP alone, taken by one replica; says how large the spool's volume is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedded: Option<Volume>,
    /// A NATS JetStream owned by the connector. Not supported by this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedSource>,
    /// HTTP alone, taken by several replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
    /// An MQTT broker to subscribe to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<MqttSource>,
    /// A stream of NATS JetStream to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats: Option<NatsSource>,
    /// Topics of Kafka, or of what speaks its protocol, to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSource>,
}

/// A NATS JetStream owned by the connector.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedSource {
    /// NATS servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5))]
    pub instances: Option<u32>,
}

/// HTTP alone, taken by several replicas: devices may send to any of them.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.shared.nats)")
        .message("source.http.shared.nats is required: the NATS servers in whose JetStream the replicas keep messages")
)]
pub struct HttpSource {
    /// Share the work among several replicas.
    pub shared: SharedWork,
}

/// An MQTT broker to subscribe to, with `QoS` 1 in a session of its own.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MqttSource {
    /// `mqtt://HOST:PORT` (1883), or `mqtts://HOST:PORT` (8883) for TLS.
    #[schemars(length(min = 8, max = 512), regex(pattern = r"^mqtts?://[^/@ ]+/?$"))]
    pub address: String,
    /// Version of the protocol; absent: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<MqttVersion>,
    /// Topic filters, plain (`devices/+/readings`) or shared (`$share/GROUP/FILTER`).
    #[schemars(length(min = 1, max = 100), inner(length(min = 1, max = 1024)))]
    pub topics: Vec<String>,
    /// The level of the topic, from 1, that is the device's id; absent: the id is in the message only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub device_level: Option<u16>,
    /// Secret in the same namespace with `username`, `password` and `ca.crt`, each where it is needed; followed when
    /// it changes. Absent: no user, and the system's authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
}

/// A stream of NATS JetStream to read, through a durable consumer of its own.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.shared) || !has(self.shared.nats)")
        .message("source.nats.shared.nats has to be left out: replicas keep messages in the JetStream of the source")
)]
pub struct NatsSource {
    /// `nats://HOST:PORT`, or `tls://HOST:PORT` for TLS: any of these is asked first, they name the others.
    #[schemars(
        length(min = 1, max = 10),
        inner(length(min = 7, max = 512), regex(pattern = r"^(nats|tls)://[^/@: ][^/@ ]*/?$"))
    )]
    pub servers: Vec<String>,
    /// The stream, which has to be there.
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^.*>/\\\s]+$"))]
    pub stream: String,
    /// Only messages with such subjects (`devices.*.readings`, `devices.>`); absent: all of the stream.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 1024)))]
    pub subjects: Vec<String>,
    /// The token of the subject, from 1, that is the device's id; absent: the id is in the message only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub device_token: Option<u16>,
    /// Share the work among several replicas; absent: one replica works, and keeps messages on a volume of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedWork>,
    /// Secret in the same namespace with `username` and `password`, or `token`, or `user.creds`, and `ca.crt`, each
    /// where it is needed; followed when it changes. Absent: no user, and the system's authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
}

/// Several replicas share the work: messages, measurements and dead letters are kept in streams that are made in a NATS
/// JetStream, and no volume is used. A replica that is gone is taken over by the others within seconds.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.copies) || self.copies in [1, 3, 5]")
        .message("shared.copies has to be 1, 3 or 5")
)]
pub struct SharedWork {
    /// Replicas of the connector, each sized for `capacity`; absent: 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub replicas: Option<u32>,
    /// Copies that the NATS cluster keeps of each stream when it is made: 1, 3 or 5; absent: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5))]
    pub copies: Option<u8>,
    /// The NATS servers in whose JetStream the streams are, where the source isn't NATS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats: Option<NatsAccess>,
}

/// NATS servers with JetStream, and who the connector is to them.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NatsAccess {
    /// `nats://HOST:PORT`, or `tls://HOST:PORT` for TLS: any of these is asked first, they name the others.
    #[schemars(
        length(min = 1, max = 10),
        inner(length(min = 7, max = 512), regex(pattern = r"^(nats|tls)://[^/@: ][^/@ ]*/?$"))
    )]
    pub servers: Vec<String>,
    /// Secret in the same namespace with `username` and `password`, or `token`, or `user.creds`, and `ca.crt`, each
    /// where it is needed; followed when it changes. Absent: no user, and the system's authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
}

/// Topics of Kafka, or of what speaks its protocol like Azure Event Hubs, to read with all their partitions. Where
/// reading goes on is kept with the messages; no consumer group is used.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.shared) || has(self.shared.nats)")
        .message("source.kafka.shared.nats is required: the NATS servers in whose JetStream the replicas keep messages")
)]
pub struct KafkaSource {
    /// `HOST:PORT`: any of these brokers is asked first, they name the others.
    #[schemars(
        length(min = 1, max = 10),
        inner(length(min = 3, max = 512), regex(pattern = r"^[^/@ ]+:[0-9]+$"))
    )]
    pub brokers: Vec<String>,
    /// The topics, which have to be there.
    #[schemars(
        length(min = 1, max = 100),
        inner(length(min = 1, max = 249), regex(pattern = r"^[A-Za-z0-9._-]+$"))
    )]
    pub topics: Vec<String>,
    /// Whether TLS is spoken; absent: it isn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// How user name and password are shown; absent: `PLAIN`, which wants TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<SaslMechanism>,
    /// Whether a record's key is the device's id; absent: the id is in the message only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_key: Option<bool>,
    /// Share the partitions among several replicas; absent: one replica reads them all, and keeps messages on a volume of
    /// its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedWork>,
    /// Secret in the same namespace with `username`, `password` and `ca.crt`, each where it is needed; followed when
    /// it changes. Absent: no user, and the system's authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
}

impl Source {
    /// How the work is shared, if it is.
    pub fn shared(&self) -> Option<&SharedWork> {
        let of_http = self.http.as_ref().map(|http| &http.shared);
        let of_nats = self.nats.as_ref().and_then(|nats| nats.shared.as_ref());
        let of_kafka = self.kafka.as_ref().and_then(|kafka| kafka.shared.as_ref());
        of_http.or(of_nats).or(of_kafka)
    }

    /// The Secret that says who the connector is to its source.
    pub fn secret_name(&self) -> Option<&str> {
        let of_mqtt = self.mqtt.as_ref().and_then(|mqtt| mqtt.secret_name.as_deref());
        let of_nats = self.nats.as_ref().and_then(|nats| nats.secret_name.as_deref());
        let of_kafka = self.kafka.as_ref().and_then(|kafka| kafka.secret_name.as_deref());
        of_mqtt.or(of_nats).or(of_kafka)
    }
}
