//! From where devices outside the cluster reach an `IoTConnector`. None of it is supported by this release.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fhir_service::{Gateway, Tls};

/// How devices outside the cluster reach the connector. Not supported by this release: route to Service `NAME-iot`, port
/// 80, with an Ingress or a Gateway's route of your own.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.gateway) && has(self.ingressClassName))")
        .message("at most one of gateway and ingressClassName")
)]
pub struct DeviceNetworking {
    /// Host name outside the cluster. Not supported by this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,
    /// Gateway of the route. Not supported by this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
    /// `IngressClass` of the route. Not supported by this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub ingress_class_name: Option<String>,
    /// TLS on the Service. Not supported by this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// MQTT from outside the cluster. Not supported by this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<MqttNetworking>,
}

/// How MQTT is reached from outside the cluster.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MqttNetworking {
    /// Type of the Service for MQTT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
}

/// Type of a Service.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ServiceType {
    /// Inside the cluster only.
    ClusterIP,
    /// A port of every node.
    NodePort,
    /// An address of its own.
    LoadBalancer,
}
